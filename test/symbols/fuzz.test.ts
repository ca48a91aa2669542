// Damaged programs: whatever the bytes, an answer or a SymbolError comes back, soon, and the undamaged parts stay readable.
// Mutations are seeded, so a failure names the one that caused it. With FUZZ_SECONDS=60 in the environment new ones run for that long.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ElfFile } from '../../src/symbols/elf';
import { SymbolError } from '../../src/symbols/errors';
import { declaration } from '../../src/symbols/dwarf/type-names';
import { type Type, stripType } from '../../src/symbols/dwarf/types';
import { fetchBytes } from '../../src/symbols/dwarf/value';
import { loadProgram } from '../../src/symbols/program-symbols';
import { FIXTURES, fixtureBytes, frameOf } from './fixture';

const ALL = [...FIXTURES, 'module.o'] as const;

function random(seed: number): (below: number) => number {
  let state = (seed * 2654435761) >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Values that lengths, offsets and LEB128 numbers are most likely to stumble over. */
const NASTY = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff];

function damage(seed: number): Uint8Array {
  const pick = random(seed);
  const name = ALL[seed % ALL.length]!;
  const bytes = fixtureBytes(name).slice();
  const sections = new ElfFile(bytes).sections.filter((section) => section.size > 0 && (!section.alloc || section.name === '.eh_frame'));
  if (seed % 17 === 0) return bytes.slice(0, pick(bytes.length));
  const target = seed % 11 === 0 ? undefined : sections[pick(sections.length)]!;
  const [from, size] = target ? [target.offset, target.size] : [0, bytes.length];
  for (let times = 1 + pick(seed % 3 === 0 ? 200 : 6); times > 0; times--) {
    const at = from + pick(size);
    bytes[at] = pick(2) ? NASTY[pick(NASTY.length)]! : pick(256);
  }
  return bytes;
}

/** Bytes that mean something in the section where they are put: numbers without end or measure, opcodes with operands, references to oneself. */
const SHAPES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  '.debug_abbrev': [
    [0x01, 0x34, 0x00], // another tag, no children
    [0x49, 0x13], // DW_AT_type by reference
    [0x02, 0x18, 0x21, 0x0b], // an expression, a constant
    [0xff, 0xff, 0xff, 0xff, 0x0f], // a code, tag or form of 32 bits
    [0x00, 0x00], // the end too early
  ],
  '.debug_line': [
    [0x00, 0xff, 0xff, 0xff, 0xff, 0x0f], // an extended opcode of 4 GB
    [0x03, 0x80, 0x80, 0x80, 0x80, 0x78], // the line far below zero
    [0x02, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x09, 0xff, 0xff],
    [0x00, 0x01, 0x01], // end of sequence
  ],
  '.debug_frame': [
    [0x0c, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0x7f], // CFA by a register that is none
    [0x0f, 0xff, 0xff, 0x03], // CFA by an expression that is too long
    [0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a], // states remembered and never restored
    [0x0b, 0x0b, 0x0b],
    [0x03, 0xff, 0xff],
  ],
  '.eh_frame': [
    [0xff, 0xff, 0xff, 0xff],
    [0x00, 0x00, 0x00, 0x00],
    [0x10, 0x03, 0x03, 0x2f, 0xfd, 0xff], // an expression that jumps to itself
  ],
  '.debug_loc': [
    [0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00],
    [0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x2f, 0xfd, 0xff],
  ],
  '.debug_loclists': [
    [0x04, 0x80, 0x80, 0x80, 0x80, 0x80],
    [0x04, 0x00, 0xff, 0xff, 0x7f, 0xff, 0x7f],
    [0x06, 0xff, 0xff, 0xff, 0xff],
    [0x2f, 0xfd, 0xff],
  ],
  '.debug_rnglists': [
    [0x04, 0x80, 0x80, 0x80, 0x80, 0x80],
    [0x05, 0xff, 0xff, 0xff, 0xff],
    [0x03, 0xff, 0xff, 0xff, 0xff, 0x0f],
  ],
  '.debug_str': [[0xff, 0xff, 0xff, 0xff]],
};
const ANY_SHAPE: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff],
  [0x00, 0x00, 0x00, 0x80],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
];

/** Damage that knows the format: whole numbers, opcodes, and references between entries that go in circles. */
function reshape(seed: number): Uint8Array {
  const pick = random(seed ^ 0x5eed);
  const bytes = fixtureBytes(ALL[seed % ALL.length]!).slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const sections = new ElfFile(bytes).sections.filter(
    (s) =>
      (s.size > 8 && s.name.startsWith('.debug_')) || s.name === '.eh_frame' || s.name.startsWith('.symtab') || s.name.startsWith('.rel'),
  );
  for (let times = 1 + pick(seed % 4 === 0 ? 60 : 5); times > 0; times--) {
    const section = sections[pick(sections.length)]!;
    const at = section.offset + pick(section.size);
    const room = section.offset + section.size - at;
    if (section.name === '.debug_info' && room >= 4) {
      // A reference to an entry nearby, to itself, to the root, or a length or offset of another kind.
      view.setUint32(
        at,
        [at - section.offset, 11, 0, pick(section.size), Math.max(0, at - section.offset - pick(40)), 0xffffffff, 0x7fffffff, section.size][
          pick(8)
        ]!,
        true,
      );
      continue;
    }
    const shapes = pick(3) === 0 ? ANY_SHAPE : (SHAPES[section.name] ?? ANY_SHAPE);
    for (const [i, byte] of shapes[pick(shapes.length)]!.entries()) if (i < room) bytes[at + i] = byte;
  }
  return bytes;
}

function walkType(type: Type, depth: number): number {
  if (depth > 6) return 0;
  let count = 1;
  void type.size;
  declaration(type, 'x');
  const plain = stripType(type);
  if (plain.kind === 'pointer') count += walkType(plain.target, depth + 2);
  if (plain.kind === 'array') count += walkType(plain.element, depth + 1);
  if (plain.kind === 'enum') count += plain.enumerators.length;
  if (plain.kind === 'function') for (const parameter of plain.parameters) count += walkType(parameter.type, depth + 2);
  if (plain.kind === 'struct' || plain.kind === 'union')
    for (const member of plain.members.slice(0, 30)) count += walkType(member.type, depth + 1);
  return count;
}

/** Asks everything that a debugger asks. */
function exercise(bytes: Uint8Array): void {
  const program = loadProgram(bytes, { name: 'damaged' });
  const words: Record<number, number> = {};
  for (let at = 0x8f00; at < 0x9100; at += 4) words[at] = 0xc0100010 + at;
  const frame = (pc: number) =>
    frameOf({ eip: pc, esp: 0x9000, ebp: 0x9010, eax: 1, ebx: 2, ecx: 3, edx: 4, esi: 5, edi: 6 }, words, {
      caller: () => frameOf({ eip: 0xc0100140, esp: 0x9020, ebp: 0x9030 }, words, { afterCall: true }),
    });
  for (const pattern of ['work', 'clamp', 'make_opaque', '*']) {
    for (const info of program.functionsNamed(pattern).slice(0, 40)) {
      void info.postPrologue;
      if (info.type) walkType(info.type, 0);
      for (const pc of [info.entry, info.entry + 9, info.ranges[0]!.high - 1]) {
        program.inlineChain(pc);
        program.lineRange(pc);
        program.unwindFrame(frame(pc));
        for (const variable of program.variablesAt(pc)) {
          walkType(variable.type, 2);
          const location = variable.locate(frame(pc));
          fetchBytes(location, Math.min(variable.type.size, 4096), frame(pc));
          if (location.kind === 'implicit-pointer') program.variableOf(location, pc);
        }
      }
    }
  }
  for (const file of ['main.c', 'shapes.h', 'entry.S']) {
    for (const line of [1, 20, 53]) program.locationsForLine(file, line);
    program.breakpointLocations(file, 1, 80);
  }
  for (const name of ['counter', "'other.c'::hidden", 'twice::calls', 'square']) {
    for (const variable of program.globals(name)) walkType(variable.type, 0);
  }
  for (const name of ['struct shape', 'union word', 'enum level', 'u64', 'unsigned long']) {
    const type = program.typeNamed(name, 0xc0100000);
    if (type) walkType(type, 0);
  }
  program.enumerator('BLUE');
  program.sourceFiles();
  program.compilationUnits();
  program.staticsAt(0xc0100000);
  program.completions('a');
  assert.ok(program.problems.length <= 100 && program.problems.every((problem) => !problem.includes('\n')));
}

/** Seconds of the processor that one damaged program may take for all that is asked of it, some thousand questions. */
const SLOWEST = 10;
/** Mutations that once did harm. */
const FOUND = [448];

function attempt(seed: number, how: (seed: number) => Uint8Array = damage): void {
  const started = process.cpuUsage().user;
  try {
    exercise(how(seed));
  } catch (error) {
    if (!(error instanceof SymbolError)) throw new Error(`${how.name} ${seed} caused ${(error as Error).stack}`);
  }
  const seconds = (process.cpuUsage().user - started) / 1e6;
  assert.ok(seconds < SLOWEST, `${how.name} ${seed} took ${seconds} s`);
}

test('damaged programs give answers or a SymbolError, never anything else and never late', () => {
  for (let seed = 1; seed <= 170; seed++) attempt(seed);
  for (const seed of FOUND) attempt(seed);
});

test('numbers, opcodes and references that make no sense in their place give answers or a SymbolError, and never go round for ever', () => {
  for (let seed = 1; seed <= 120; seed++) attempt(seed, reshape);
});

test('a whole program survives being asked everything without a problem noted', () => {
  for (const name of ALL) {
    exercise(fixtureBytes(name));
    assert.deepEqual(loadProgram(fixtureBytes(name)).problems, []);
  }
});

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
if (seconds > 0) {
  test(`fresh mutations for ${seconds} s give answers or a SymbolError`, () => {
    const start = process.hrtime.bigint();
    const base = Number(start % 1_000_000_000n);
    for (let seed = base; process.hrtime.bigint() - start < BigInt(seconds) * 1_000_000_000n; seed++)
      attempt(seed, seed % 2 === 0 ? damage : reshape);
  });
}

test('damage in one section leaves the others readable', () => {
  const bytes = fixtureBytes('gcc-O2-dwarf4.elf').slice();
  const info = new ElfFile(bytes).sectionNamed('.debug_info')!;
  bytes.fill(0xff, info.offset + 40, info.offset + 400);
  const program = loadProgram(bytes, { name: 'damaged' });
  assert.equal(program.functionsNamed('asm_add').length, 1);
  assert.equal(program.symbols.named('work')?.kind, 'function');
  assert.equal(program.functionsNamed('make_opaque')[0]?.unit, 'other.c');
  assert.ok(program.functionsNamed('work').length > 0);
  assert.ok(program.problems.length > 0);
});
