// Programs that were damaged, or made, to do harm: cut at every boundary, going in circles, without end, with sizes beyond measure. Each gets an answer or a SymbolError
// within two seconds of the processor for everything that a debugger asks, and what is not damaged stays readable.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ElfFile } from '../../src/symbols/elf';
import type { ProgramSymbols } from '../../src/symbols/program-symbols';
import { survive } from './exercise';
import { FIXTURES, fixtureBytes, frameOf } from './fixture';
import { ABBREVIATIONS, block, counted, type Entries, ENTRY, made, text, u16, u32, uleb, unitWithWork } from './made';

const TEXT = 0xc0100000;
const debug = (info: readonly number[], more: Readonly<Record<string, ArrayLike<number>>> = {}): Uint8Array =>
  made({ '.debug_abbrev': ABBREVIATIONS, '.debug_info': info, ...more });
const repeated = (times: number, bytes: readonly number[]): number[] => new Array(times).fill(bytes).flat();
/** A program that can be opened. */
const opened = (what: string, bytes: Uint8Array): ProgramSymbols => {
  const program = survive(what, bytes);
  assert.ok(program, `${what} cannot be opened`);
  return program;
};

// ---- the container ----------------------------------------------------------------------------------------------------------------------

test('a program that ends at the beginning or the end of any of its sections or tables, or a byte beside, is read as far as it goes', () => {
  for (const name of FIXTURES) {
    const bytes = fixtureBytes(name);
    const { sections, segments } = new ElfFile(bytes);
    const cuts = new Set<number>([0, 4, 16, 51, 52, 53]);
    const boundaries = [
      ...sections.flatMap((s) => [s.offset, s.offset + s.size]),
      ...segments.flatMap((s) => [s.offset, s.offset + s.fileSize]),
    ];
    for (const at of boundaries) for (const beside of [-1, 0, 1]) cuts.add(Math.max(0, Math.min(bytes.length, at + beside)));
    for (const length of cuts) survive(`${name} of ${length} bytes`, bytes.slice(0, length));
  }
});

test('a section that is shorter than its contents, or reaches over the file, costs only what it holds', () => {
  for (const name of ['gcc-O1-dwarf5-zlib.elf', 'gcc-O0-dwarf2.elf'] as const) {
    const bytes = fixtureBytes(name);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const table = view.getUint32(32, true);
    for (const section of new ElfFile(bytes).sections) {
      if (section.size < 2) continue;
      const at = table + 40 * section.index + 20;
      for (const size of [0, 1, section.size >> 1, section.size - 1, section.size + 1, 0x7fffffff, 0xffffffff]) {
        const damaged = bytes.slice();
        new DataView(damaged.buffer).setUint32(at, size, true);
        const program = survive(`${section.name} of ${name} with ${size} bytes`, damaged);
        if (section.name.startsWith('.debug_')) assert.equal(program?.symbols.named('work')?.kind, 'function');
      }
    }
  }
});

test('as many sections as a file can count, all over the same bytes, are looked at once each', () => {
  const bytes = fixtureBytes('module.o');
  const old = new DataView(bytes.buffer, bytes.byteOffset);
  const table = old.getUint32(32, true);
  const count = old.getUint16(48, true);
  const out = new Uint8Array(bytes.length + 40 * 60_000);
  out.set(bytes);
  out.set(bytes.subarray(table, table + count * 40), bytes.length);
  const view = new DataView(out.buffer);
  view.setUint32(32, bytes.length, true);
  view.setUint16(48, 60_000, true);
  const info = new ElfFile(bytes).sectionNamed('.debug_info')?.index ?? 0;
  const relocations = new ElfFile(bytes).sections.find((s) => s.type === 9 && s.info === info);
  assert.ok(relocations);
  // Each of them says that it relocates .debug_info with the whole file.
  for (let i = count; i < 60_000; i++)
    for (const [k, value] of [relocations.index, 9, 0, 0, 0, out.length, relocations.link, info, 4, 8].entries())
      view.setUint32(bytes.length + 40 * i + 4 * k, value, true);
  const program = opened('60,000 tables of relocations', out);
  assert.equal(program.symbols.named('make_opaque')?.kind, 'function');
  assert.match(program.problems.join(), /more relocations than/);
});

test('names that share one text without an end, or with one a megabyte away, are cut', () => {
  const symbols = new Uint8Array(16 * 20_000);
  const view = new DataView(symbols.buffer);
  for (let i = 1; i < 20_000; i++)
    for (const [k, value] of [i, TEXT + (i & 0xfff), 1, 0x12 | (2 << 16)].entries()) view.setUint32(16 * i + 4 * k, value, true);
  for (const end of [0x61, 0]) {
    const strings = new Uint8Array(1 << 20).fill(0x61);
    strings[strings.length - 1] = end;
    const bytes = made({ '.symtab': symbols, '.strtab': strings });
    const at = new DataView(bytes.buffer).getUint32(32, true) + 40 * 3;
    new DataView(bytes.buffer).setUint32(at + 4, 2, true);
    new DataView(bytes.buffer).setUint32(at + 24, 4, true);
    new DataView(bytes.buffer).setUint32(at + 36, 16, true);
    const program = opened('long names', bytes);
    assert.ok((program.symbols.nearest(TEXT + 4)?.name.length ?? 0) <= 1024);
  }
});

// ---- entries ----------------------------------------------------------------------------------------------------------------------------

const circles: Record<string, (e: Entries) => unknown> = {
  'a typedef of itself': (e) => e.add('typedef', 'a', 'u64', '@a'),
  'typedefs of each other': (e) => e.add('typedef', 'a', 'u64', '@b').add('typedef', 'b', 'b', '@a'),
  'a const of itself': (e) => e.add('const', 'a', '@a'),
  'a pointer to itself': (e) => e.add('pointer', 'a', '@a'),
  'an array of itself': (e) => e.add('array', 'a', '@a').add('range', '', 0x7fffffff).end(),
  'arrays of each other': (e) => e.add('array', 'a', '@b').add('range', '', 3).end().add('array', 'b', '@a').add('range', '', 3).end(),
  'a struct within itself': (e) => e.add('struct', 'a', 'shape', 8).add('member', '', 'again', '@a', 0).end(),
  'structs within each other': (e) =>
    e
      .add('struct', 'a', 'shape', 8)
      .add('member', '', 'x', '@b', 0)
      .end()
      .add('struct', 'b', 'word', 8)
      .add('member', '', 'y', '@a', 4)
      .end(),
  'a function type that returns and takes itself': (e) =>
    e.add('functionType', 'a', '@a').add('parameter', '', '@a').add('parameter', '', '@a').end(),
  'a type that is the unit': (e) => e.add('typedef', 'a', 'u64', '@unit'),
  'a type in the middle of an entry': (e) => e.add('typedef', 'a', 'u64', 13),
};
for (const [name, write] of Object.entries(circles))
  test(`${name} is a type that can be named, sized and shown`, () => {
    const e = unitWithWork().add('variable', '', 'x', '@a', [0x91, 0]).end();
    write(e);
    const bytes = debug(
      e
        .add('variable', '', 'counter', '@a', [3, ...u32(TEXT)])
        .end()
        .unit(),
    );
    const program = opened(name, bytes);
    assert.equal(program.functionsNamed('work').length, 1);
    assert.ok(program.variablesAt(TEXT).length > 0);
    assert.equal(program.globals('counter').length, 1);
  });

test('functions, inlined calls and variables whose origin is themselves, each other, or a unit imported by itself, come to an end', () => {
  for (const [what, make] of Object.entries({
    origin: (e: Entries) => e.add('copy', 'a', '@a', TEXT, 64).end(),
    origins: (e: Entries) => e.add('copy', 'a', '@b', TEXT, 64).end().add('copy', 'b', '@a', TEXT, 64).end(),
    inlined: (e: Entries) => e.add('inlined', 'a', '@a', TEXT, 64).add('inlined', 'b', '@a', TEXT, 32).end().end(),
    'inlined itself': (e: Entries) => e.add('inlined', 'a', '@work', TEXT, 64).end(),
    variable: (e: Entries) => e.add('variableCopy', 'a', '@a', [0x91, 0]),
    variables: (e: Entries) => e.add('variableCopy', 'a', '@b', [0x91, 0]).add('specified', 'b', '@a', [0x91, 0]),
    specification: (e: Entries) => e.add('functionSpecified', 'a', '@a', TEXT, 16).add('specified', 'b', '@b', [3, ...u32(TEXT)]),
    imported: (e: Entries) => e.add('imported', '', 0).add('imported', '', 11),
    siblings: (e: Entries) => e.add('skipping', 'a', '@a', 'clamp').end().add('skipping', 'b', '@a', 'square').end(),
    'sibling beyond': (e: Entries) => e.add('skipping', 'a', 0x7ffffff0, 'clamp').end().add('skipping', 'b', 0, 'square').end(),
  })) {
    for (const place of ['in the function', 'beside it']) {
      const e = unitWithWork();
      if (place === 'beside it') e.end();
      make(e);
      if (place !== 'beside it') e.end();
      const program = opened(`${what} ${place}`, debug(e.end().unit()));
      assert.equal(program.functionsNamed('work').length, 1, what);
    }
  }
});

test('entries twenty thousand deep, and chains of as many types, need no stack', () => {
  const deep = 20_000;
  const blocks = unitWithWork();
  for (let i = 0; i < deep; i++) blocks.add('blockOf', '');
  opened('nested blocks', debug(blocks.unit()));
  const placed = unitWithWork();
  for (let i = 0; i < deep; i++) placed.add('blockAt', '', TEXT, 64);
  placed.add('variable', '', 'counter', 0, [0x91, 0]);
  opened('nested blocks with addresses', debug(placed.unit()));
  const inlined = unitWithWork();
  for (let i = 0; i < deep / 2; i++) inlined.add('inlined', '', '@work', TEXT, 64);
  opened('nested inlined calls', debug(inlined.unit()));
  const structs = unitWithWork().end();
  for (let i = 0; i < deep; i++) structs.add('struct', '', 'shape', 8);
  opened('nested structs', debug(structs.unit()));
  for (const kind of ['typedef', 'const', 'pointer', 'array', 'functionType'] as const) {
    const chain = unitWithWork()
      .add('variable', '', 'counter', '@0', [3, ...u32(TEXT)])
      .end();
    for (let i = 0; i < deep; i++) {
      chain.add(kind, String(i), ...(kind === 'typedef' ? ['u64'] : []), `@${i + 1}`);
      if (kind === 'array') chain.add('range', '', 1).end();
      if (kind === 'functionType') chain.add('parameter', '', `@${i + 1}`).end();
    }
    opened(`a chain of ${kind}`, debug(chain.end().unit()));
  }
});

test('arrays of four thousand million elements in twenty dimensions have a size that is none, and nothing is made of them', () => {
  const e = unitWithWork().add('variable', '', 'counter', '@a', [3, ...u32(TEXT)]);
  e.end()
    .add('variable', '', 'counter', '@a', [3, ...u32(TEXT)])
    .add('struct', 's', 'shape', 0xffffffff);
  e.add('member', '', 'x', '@a', 0xffffffff).end().add('array', 'a', '@s');
  for (let i = 0; i < 20; i++) e.add('range', '', 0xfffffffe);
  opened('arrays', debug(e.end().end().unit()));
});

test('entries that take no bytes but a thousand attributes cost no more than their bytes', () => {
  const attributes = repeated(20_000, [0x3f, 0x19]);
  const abbreviations = [1, 0x11, 1, 0x3f, 0x19, 0, 0, 2, 0x34, 0, ...attributes, 0, 0, 3, 0x2e, 1, ...attributes, 0, 0, 0];
  for (const code of [2, 3]) {
    const info = counted([...u16(4), ...u32(0), 4, 1, ...repeated(100_000, [code])]);
    survive(`code ${code}`, made({ '.debug_abbrev': abbreviations, '.debug_info': info }));
  }
});

test('thirty thousand units of a few bytes, all with the same long table of files, are gone through once', () => {
  const unit = (lines: number): number[] => counted([...u16(4), ...u32(0), 4, 1, ...text(''), ...u32(TEXT), ...u32(64), ...u32(lines), 0]);
  const files = Array.from({ length: 20_000 }, (_, i) => [...text(`f${i}.c`), 0, 0, 0]).flat();
  const header = [1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, ...files, 0];
  const lines = counted([...u16(3), ...u32(header.length), ...header]);
  const info = repeated(30_000, unit(0));
  const program = opened('units', debug([...unitWithWork().end().end().unit(), ...info], { '.debug_line': lines }));
  assert.equal(program.functionsNamed('work').length, 1);
  assert.ok(program.sourceFiles().length >= 20_000);
});

// ---- numbers without end --------------------------------------------------------------------------------------------------------------------

test('LEB128 numbers of a hundred thousand bytes are refused or cut wherever numbers stand', () => {
  const giant = [...new Array(100_000).fill(0xff), 1];
  const work = unitWithWork().end().end().unit();
  const abbreviation = [...giant, 0x11, 1, 0, 0, 0];
  survive('codes of abbreviations', made({ '.debug_abbrev': abbreviation, '.debug_info': work }));
  survive('attributes', made({ '.debug_abbrev': [1, 0x11, 1, ...giant, ...giant, 0, 0, 0], '.debug_info': work }));
  survive('codes of entries', debug(counted([...u16(4), ...u32(0), 4, ...giant])));
  for (const opcode of [[2], [3], [0, ...giant], [0], [4], [5]]) {
    const program = opened('line programs', debug(unitWithWork().end().end().unit(), { '.debug_line': lineTable([...opcode, ...giant]) }));
    assert.equal(program.functionsNamed('work').length, 1);
  }
  for (const op of [0x10, 0x11, 0x23, 0x08, 0x90, 0x91, 0x92, 0x93, 0x9e])
    opened(
      `operator ${op}`,
      debug(
        unitWithWork()
          .add('variable', '', 'x', 0, [op, ...giant])
          .end()
          .end()
          .unit(),
      ),
    );
  survive('frames', debug(work, { '.debug_frame': frames([0x0e, ...giant]) }));
  survive('alignment of frames', debug(work, { '.debug_frame': counted([...u32(0xffffffff), 1, 0, ...giant, ...giant, 8]) }));
});

// ---- lines --------------------------------------------------------------------------------------------------------------------------------

const lineTable = (
  program: readonly number[],
  minimum = 1,
  range = 14,
  files: readonly number[] = [0, ...text('main.c'), 0, 0, 0, 0],
): number[] => {
  const header = [minimum, 1, 0xfb, range, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, ...files];
  return counted([...u16(3), ...u32(header.length), ...header, ...program]);
};
const setAddress = (address: number): number[] => [0, 5, 2, ...u32(address)];
const five = (directories: readonly number[], files: readonly number[]): number[] => {
  const header = [1, 1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, ...directories, ...files];
  return counted([...u16(5), 4, 0, ...u32(header.length), ...header]);
};

test('tables of files that are cyclic, endless, or of entries without bytes come to an end, and their unit keeps its names', () => {
  const huge = uleb(0xffffffff);
  const cases: Record<string, number[]> = {
    'entries without columns': five([0, ...huge], [0, ...huge]),
    'entries whose columns take no bytes': five([1, 1, 0x19, ...huge], [2, 1, 0x19, 2, 0x21, ...huge]),
    'directories of directories': five([1, 1, 8, 2, ...text('..'), ...text('.')], [2, 1, 8, 2, 0x0b, 1, ...text('main.c'), 1]),
    'a directory that is not there': five([1, 1, 8, 0], [2, 1, 8, 2, 0x0f, 2, ...text('main.c'), ...huge, ...text('a.c'), ...huge]),
    'two hundred and fifty-five columns': five([255, ...repeated(255, [1, 8])], [0, 0]),
    'no end': lineTable([], 1, 14, text('a')),
    'line range 0': lineTable([200, 200], 1, 0),
  };
  for (const [name, lines] of Object.entries(cases)) {
    const program = opened(name, debug(unitWithWork().end().end().unit(), { '.debug_line': lines }));
    assert.equal(program.functionsNamed('work').length, 1, name);
  }
});

test('line programs of very many rows, that run backwards, jump, or define files for ever, come to an end', () => {
  const cases: Record<string, number[]> = {
    'many rows': [...setAddress(TEXT), ...new Array(1 << 18).fill(0xff)],
    'many rows at one place': [...setAddress(TEXT), ...new Array(1 << 18).fill(1)],
    'many sequences': [...setAddress(TEXT), ...repeated(60_000, [1, 0, 1, 1])],
    'addresses down and up': repeated(40_000, [...setAddress(TEXT + 64), 1, ...setAddress(TEXT), 1]),
    'files defined for ever': repeated(40_000, [0, 6, 3, 0x61, 0, 0, 0, 0, 1]),
    'files by numbers beyond': repeated(40_000, [4, 0xff, 0xff, 0xff, 0x0f, 1]),
    'lines below zero': repeated(40_000, [3, 0x80, 0x80, 0x80, 0x78, 1]),
    'lines beyond measure': repeated(40_000, [3, 0xff, 0xff, 0xff, 0xff, 0x07, 1]),
  };
  for (const [name, lines] of Object.entries(cases))
    for (const minimum of [0, 255])
      opened(`${name}, ${minimum}`, debug(unitWithWork().end().end().unit(), { '.debug_line': lineTable(lines, minimum) }));
});

// ---- frames and places --------------------------------------------------------------------------------------------------------------------

/** One CIE and an entry over the whole code with these instructions. */
const frames = (instructions: readonly number[], augmentation = ''): number[] => {
  const cie = counted([...u32(0xffffffff), 1, ...text(augmentation), 1, 0x7c, 8, 0x0c, 4, 4, 0x88, 1]);
  return [...cie, ...counted([...u32(0), ...u32(TEXT), ...u32(4096), ...instructions])];
};

test('call frame information that goes in circles, remembers for ever or is measureless is left out, and the rest still unwinds', () => {
  const work = unitWithWork().end().end().unit();
  const self = counted([...u32(0), ...u32(TEXT), ...u32(4096)]);
  const cases: Record<string, number[]> = {
    'an entry that is its own head': self,
    'entries that are each other’s head': [
      ...counted([...u32(16), ...u32(TEXT), ...u32(64)]),
      ...counted([...u32(0), ...u32(TEXT), ...u32(64)]),
    ],
    'very many states': frames(new Array(1 << 18).fill(0x0a)),
    'very many states restored': frames([...new Array(1 << 17).fill(0x0a), ...new Array(1 << 17).fill(0x0b)]),
    'very many advances': frames(new Array(1 << 18).fill(0x40)),
    'advances beyond': frames([4, 0xff, 0xff, 0xff, 0xff, 4, 0xff, 0xff, 0xff, 0xff]),
    'registers beyond': frames(repeated(50_000, [5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1])),
    'many registers': frames(Array.from({ length: 10_000 }, (_, i) => [5, ...uleb(i), 1]).flat()),
    'many registers, many states': frames([
      ...Array.from({ length: 2_000 }, (_, i) => [5, ...uleb(i), 1]).flat(),
      ...new Array(20_000).fill(0x0a),
    ]),
    'an expression for ever': frames([0x0f, ...block([0x2f, ...u16(0xfffd)])]),
    'very many empty entries': [...frames([]), ...repeated(40_000, counted([...u32(0), ...u32(TEXT), ...u32(0)]))],
    'very many heads': repeated(40_000, counted([...u32(0xffffffff), 1, 0, 1, 0x7c, 8])),
    'nothing but lengths of nothing': new Array(400_000).fill(0),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    opened(name, debug(work, { '.debug_frame': bytes }));
    survive(`${name}, in .eh_frame`, debug(work, { '.eh_frame': bytes }));
  }
});

test('places of variables that loop, call themselves, or pile up end with a reason, and the variable is listed', () => {
  const loop = [0x2f, ...u16(0xfffd)];
  const cases: Record<string, number[]> = {
    'a jump to itself': loop,
    'a loop that counts to four thousand million': [0x0c, ...u32(0xffffffff), 0x31, 0x1c, 0x12, 0x28, ...u16(0xfff9)],
    'a loop that piles up': [0x30, 0x2f, ...u16(0xfffc)],
    'a loop that doubles': [0x31, 0x12, 0x22, 0x12, 0x2f, ...u16(0xfffa)],
    'a million duplicates': [0x30, ...new Array(1 << 20).fill(0x12)],
    'a million pieces': repeated(200_000, [0x50, 0x93, 1]),
    'pieces of four gigabytes': repeated(1000, [0x50, 0x93, ...uleb(0xffffffff)]),
    'pieces of no bits': repeated(100_000, [0x50, 0x9d, 0, 0]),
    'a pick beyond': [0x30, 0x15, 0xff],
    'a division by nothing': [0x31, 0x30, 0x1b, 0x31, 0x30, 0x1d],
    'a shift by all bits': [0x31, 0x0d, ...u32(0xffffffff), 0x24, 0x31, 0x0d, ...u32(0x7fffffff), 0x26],
    'entry values in each other': Array.from({ length: 200 }).reduce<number[]>((inner) => [0xa3, ...block(inner)], [0x50]),
    'entry value of a loop': [0xa3, ...block(loop)],
    'an implicit value of four gigabytes': [0x9e, ...uleb(0xffffffff), 1, 2],
    'an implicit pointer to the unit': [0xf2, ...u32(11), 0],
    'a call of the unit': [0x99, ...u32(11)],
    'reads of reads': [0x70, 0, ...new Array(100_000).fill(0x06)],
  };
  for (const [name, place] of Object.entries(cases)) {
    const program = opened(name, debug(unitWithWork().add('variable', 'v', 'x', 0, place).end().end().unit()));
    const [variable] = program.variablesAt(TEXT);
    assert.equal(variable?.name, 'x', name);
    const location = variable.locate(frameOf({ eip: TEXT, esp: 0x9000, eax: 1 }, { 0: 0, 4: 4 }));
    if (location.kind === 'unknown') assert.ok(location.why.length > 0 && !location.why.includes('\n'), name);
  }
  // A place that calls the place of the variable itself, and two that call each other.
  const self = unitWithWork();
  const at = 11 + 1 + 7 + 12 + 1 + 5 + 8 + 3;
  for (const target of [at, at + 1, at - 1]) survive('calls', debug(self.add('variable', '', 'x', 0, [0x99, ...u32(target)]).unit()));
});

test('every kind of entry that this file writes is read as it was meant', () => {
  const e = unitWithWork(0);
  for (const kind of Object.keys(ENTRY) as (keyof typeof ENTRY)[])
    if (kind !== 'unit' && kind !== 'function') assert.ok(ENTRY[kind][0] > 0);
  e.add('variable', '', 'x', '@int', [0x91, 4])
    .end()
    .add('variable', '', 'counter', '@int', [3, ...u32(TEXT + 16)])
    .add('typedef', 'int', 'u64', '@s');
  e.add('struct', 's', 'shape', 8)
    .add('member', '', 'first', '@p', 0)
    .add('member', '', 'second', '@p', 4)
    .end()
    .add('pointer', 'p', '@s')
    .end();
  const program = opened(
    'whole',
    debug(e.unit(), { '.debug_line': lineTable([...setAddress(TEXT), 1, 0xff, 2, 16, 0, 1, 1]), '.debug_frame': frames([]) }),
  );
  assert.deepEqual(program.problems, []);
  const [work] = program.functionsNamed('work');
  assert.deepEqual([work?.entry, work?.unit], [TEXT, 'main.c']);
  assert.equal(program.globals('counter')[0]?.staticAddress, TEXT + 16);
  assert.equal(program.typeNamed('struct shape', TEXT)?.size, 8);
  assert.equal(program.lineAt(TEXT)?.line, 1);
  assert.deepEqual(program.unwind(TEXT)?.cfa, { kind: 'register', register: 4, offset: 4 });
});
