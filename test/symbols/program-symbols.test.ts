// What a debugger asks of a program, on the fixtures of two compilers, three optimization levels and DWARF 2, 4 and 5.
// The answers were compared with gdb, readelf, addr2line and llvm-symbolizer by oracle.mjs; here they are kept from changing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { declaration, typeName } from '../../src/symbols/dwarf/type-names';
import { type StructType, stripType } from '../../src/symbols/dwarf/types';
import { fetchBytes } from '../../src/symbols/dwarf/value';
import { loadProgram } from '../../src/symbols/program-symbols';
import { FIXTURES, fixture, fixtureBytes, frameOf, lineOf } from './fixture';

const only = <T>(list: readonly T[]): T => {
  assert.equal(list.length, 1);
  return list[0]!;
};
const number = (fetched: { bytes?: Uint8Array }): number => new DataView(fetched.bytes!.slice().buffer).getInt32(0, true);

for (const name of FIXTURES) {
  const program = fixture(name);

  test(`${name}: the first address of a function is the line of its opening, or one that the optimizer moved there`, () => {
    for (const [func, text] of [
      ['work', 'int work('],
      ['area_of', 'int area_of('],
      ['one_line', 'int one_line('],
    ] as const) {
      const info = only(program.functionsNamed(func));
      const declared = lineOf('main.c', text);
      assert.equal(info.line, declared);
      assert.equal(info.file, '/fixture/main.c');
      const at = program.lineAt(info.entry)!;
      assert.ok(at.line >= declared && at.line <= declared + (name.includes('O2') ? 10 : 2), `${func} starts at line ${at.line}`);
      assert.equal(at.file, '/fixture/main.c');
      assert.equal(program.functionAt(info.entry)?.name, func);
      assert.equal(program.functionAt(info.ranges[0]!.high - 1)?.name, func);
      assert.ok(info.postPrologue >= info.entry && info.postPrologue < info.ranges[0]!.high);
    }
  });

  test(`${name}: every address of code is inside of one line range, and ranges of one line are stable`, () => {
    const { ranges } = only(program.functionsNamed('work'));
    const { low, high } = ranges[0]!;
    for (let pc = low; pc < high; pc++) {
      const range = program.lineRange(pc)!;
      assert.ok(range.low <= pc && pc < range.high && range.low >= low && range.high <= high);
      const line = program.lineAt(pc)?.line;
      if (line !== undefined)
        for (let at = range.low; at < range.high; at++) assert.ok([line, undefined].includes(program.lineAt(at)?.line));
    }
  });

  test(`${name}: a breakpoint on a line binds to code of that line, whatever folder the path names`, () => {
    const line = lineOf('main.c', 'hidden += counter');
    for (const path of ['/fixture/main.c', 'main.c', '/home/somebody/project/main.c', 'C:\\src\\MAIN.C']) {
      const [location] = program.locationsForLine(path, line);
      assert.equal(location!.line, line);
      assert.equal(location!.function, 'twice');
      assert.equal(location!.file, '/fixture/main.c');
    }
    assert.deepEqual(program.locationsForLine('nowhere.c', line), []);
    assert.deepEqual(program.locationsForLine('main.c', 100_000), []);
  });

  test(`${name}: a line without code slides to the next line that has some`, () => {
    const brace = lineOf('main.c', 'int value2 = value * 2;') - 1;
    const [location] = program.locationsForLine('main.c', brace);
    assert.ok(location!.line > brace && location!.line <= brace + 2, `slid to ${location!.line}`);
    assert.equal(location!.function, 'twice');
  });

  test(`${name}: a line of an inline function binds in every copy, in both units`, () => {
    const locations = program.locationsForLine('shapes.h', lineOf('shapes.h', 'last_steps = steps'));
    const owners = new Set(locations.map((location) => program.functionAt(location.address)!.name));
    if (name.includes('O0')) assert.deepEqual([...owners], ['clamp']);
    else assert.deepEqual([...owners].sort(), ['area_of', 'make_opaque', 'twice', 'work']);
    assert.equal(new Set(locations.map((location) => location.address)).size, locations.length);
    // gcc -O2 ends some copies one instruction early, so that the row lies in the caller.
    const named = locations.filter((location) => location.function === 'clamp' && location.inlined === !name.includes('O0'));
    assert.ok(named.length >= (name.startsWith('gcc-O2') ? 3 : locations.length));
  });

  test(`${name}: possible breakpoints of a range of lines are its statements`, () => {
    const from = lineOf('main.c', 'int first = twice');
    const lines = new Set(program.breakpointLocations('main.c', from, from + 2).map((spot) => spot.line));
    assert.deepEqual([...lines], [from, from + 1, from + 2]);
    assert.deepEqual(program.breakpointLocations('main.c', 1, 3), []);
  });

  test(`${name}: functions are found by wildcard, regular expression and file`, () => {
    const names = (pattern: string) => [...new Set(program.functionsNamed(pattern).map((info) => info.name))].sort();
    assert.deepEqual(names('w*'), ['wide', 'with_array', 'work']);
    assert.deepEqual(names('/^w.*[ek]$/'), ['wide', 'work']);
    assert.deepEqual(names('main.c:twice'), ['twice']);
    assert.deepEqual(names('other.c:twice'), []);
    assert.deepEqual(names('other.c:make_*'), ['make_opaque']);
    assert.deepEqual(names('no_such_function'), []);
    assert.deepEqual(names('/(/'), []);
  });

  test(`${name}: hand-written functions have names, lines and call frames`, () => {
    const add = only(program.functionsNamed('asm_add'));
    assert.equal(program.lineAt(add.entry)?.file, '/fixture/entry.S');
    assert.equal(add.postPrologue, add.entry);
    assert.equal(only(program.functionsNamed('asm_loop')).name, 'asm_loop');
    const row = program.unwind(add.entry + 1)!;
    assert.deepEqual(row.cfa, { kind: 'register', register: 4, offset: 8 });
    assert.deepEqual(row.rules.get(3), { kind: 'offset', offset: -8 });
    const unwound = program.unwindFrame(frameOf({ eip: add.entry + 1, esp: 0x8000, ebp: 7 }, { 32768: 33, 32772: 0xc0100123 }))!;
    assert.deepEqual(
      [unwound.cfa, unwound.registers[8], unwound.registers[4], unwound.registers[3], unwound.registers[5]],
      [0x8008, 0xc0100123, 0x8008, 33, 7],
    );
    assert.deepEqual([unwound.registers[0], unwound.registers[1], unwound.registers[6]], [undefined, undefined, undefined]);
  });

  test(`${name}: globals, statics of one file and statics of a function are told apart`, () => {
    assert.equal(only(program.globals('counter')).kind, 'global');
    assert.deepEqual(
      program.globals('hidden').map((variable) => [variable.kind, variable.unitName]),
      [
        ['static', 'main.c'],
        ['static', 'other.c'],
      ],
    );
    const other = only(program.globals("'other.c'::hidden"));
    assert.equal(
      other.staticAddress,
      program.symbols.addressesOf('hidden').find((at) => at !== only(program.globals('main.c::hidden')).staticAddress),
    );
    assert.equal(only(program.globals('twice::calls')).kind, 'static');
    assert.deepEqual(program.globals('no_such_variable'), []);
    const initial = program.elf.read(only(program.globals('counter')).staticAddress!, 4)!;
    assert.equal(number({ bytes: initial }), 3);
    assert.equal(
      program.declaredIn(only(program.globals('counter')))?.endsWith('.c') ||
        program.declaredIn(only(program.globals('counter')))?.endsWith('.h'),
      true,
    );
    assert.ok(program.staticsAt(only(program.functionsNamed('work')).entry).some((variable) => variable.name === 'square'));
  });

  test(`${name}: structures have the members, offsets and bit-fields that the compiler used`, () => {
    const shape = program.typeNamed('struct shape') as StructType;
    assert.equal(shape.size, 68);
    assert.deepEqual(
      shape.members.map((member) =>
        `${member.offset} ${declaration(member.type, member.name ?? '')}`.replace('short unsigned int', 'unsigned short'),
      ),
      [
        '0 const char *name',
        '4 enum color color',
        '8 struct list_head link',
        '16 struct flags flags',
        '28 union word word',
        '32 int matrix[2][3]',
        '56 int (*area)(const struct shape *, int)',
        '60 volatile struct shape * const parent',
        '64 struct opaque *secret',
        '68 char tail[0]',
      ],
    );
    const flags = program.typeNamed('struct flags') as StructType;
    assert.deepEqual(
      flags.members.map((member) => [member.name, member.bitOffset, member.bitSize, member.offset]),
      [
        ['ready', 0, 1, 0],
        ['mode', 1, 3, 0],
        ['balance', 4, 5, 0],
        ['wide', 9, 20, 1],
        ['huge', 32, 40, 4],
        ['tail', 72, 2, 9],
      ],
    );
    const word = program.typeNamed('union word') as StructType;
    assert.deepEqual([word.kind, word.size, word.members.length, word.members[2]!.name], ['union', 4, 3, undefined]);
    const inner = word.members[2]!.type as StructType;
    assert.deepEqual(
      inner.members.map((member) => member.name),
      ['low', 'high'],
    );
  });

  test(`${name}: a structure that one unit only declares is found in the unit that defines it`, () => {
    const shape = program.typeNamed('struct shape', only(program.functionsNamed('work')).entry) as StructType;
    const secret = shape.members.find((member) => member.name === 'secret')!.type;
    assert.equal(secret.kind, 'pointer');
    const opaque = (secret as { target: StructType }).target;
    assert.deepEqual([opaque.incomplete, opaque.size, opaque.members.map((member) => member.name)], [false, 8, ['seed', 'self']]);
  });

  test(`${name}: enumerations keep their values and signs, and enumerators are found by name`, () => {
    const level = stripType(program.typeNamed('enum level')!);
    assert.equal(level.kind, 'enum');
    assert.deepEqual(level.kind === 'enum' && [level.signed, level.enumerators.map((e) => e.value)], [true, [-1n, 0n, 0x7fffffffn]]);
    assert.deepEqual([program.enumerator('BLUE')?.value, program.enumerator('BLUE')?.type.name], [6n, 'color']);
    assert.equal(program.enumerator('PURPLE'), undefined);
  });

  test(`${name}: types are found by the spellings of C`, () => {
    assert.equal(program.typeNamed('u32')?.size, 4);
    assert.equal(program.typeNamed('u64')?.size, 8);
    for (const spelling of ['unsigned', 'unsigned int', 'int unsigned']) assert.equal(stripType(program.typeNamed(spelling)!).size, 4);
    for (const [spelling, size] of [
      ['unsigned long', 4],
      ['long long', 8],
      ['signed char', 1],
      ['unsigned short int', 2],
      ['char', 1],
      ['long double', 12],
    ] as const) {
      assert.equal(program.typeNamed(spelling)?.size, size, spelling);
    }
    assert.equal(typeName(program.typeNamed('const struct shape **')!), 'struct shape **');
    assert.equal(program.typeNamed('struct pair[3]')?.size, 24);
    assert.equal(program.typeNamed('void *')?.size, 4);
    for (const wrong of ['struct nothing', 'struct', '', '*', 'no_such_t', 'int)'])
      assert.equal(program.typeNamed(wrong), undefined, wrong);
    assert.ok(program.typeCompletions('struct li').includes('struct list_head'));
    assert.ok(program.completions('area').includes('area_of'));
  });

  test(`${name}: functions and source files are listed, and nothing was damaged`, () => {
    assert.deepEqual(program.sourceFiles(), ['/fixture/entry.S', '/fixture/main.c', '/fixture/other.c', '/fixture/shapes.h']);
    assert.deepEqual(
      program.compilationUnits().map((unit) => [unit.name, unit.directory]),
      [
        ['main.c', '/fixture'],
        ['other.c', '/fixture'],
        ['entry.S', '/fixture'],
      ],
    );
    const type = only(program.functionsNamed('area_of')).type!;
    assert.equal(declaration(type, 'area_of'), 'int area_of(const struct shape *, int)');
    assert.deepEqual(program.problems, []);
  });

  test(`${name}: arguments and locals are in sight where their block is, with inner ones marking outer ones of the same name`, () => {
    const inside = program.locationsForLine('main.c', lineOf('main.c', 'hidden += counter'))[0]!.address;
    const names = program
      .variablesAt(inside)
      .filter((variable) => variable.inlineDepth === 0)
      .map((variable) => `${variable.kind} ${variable.name}`);
    assert.ok(
      names.includes('argument value') &&
        names.includes('local value2') &&
        names.includes('local counter') &&
        names.includes('local calls'),
      names.join(),
    );
    const outside = only(program.functionsNamed('twice')).entry;
    assert.ok(!program.variablesAt(outside).some((variable) => variable.name === 'value2'));
    assert.deepEqual(program.variablesAt(0x1000), []);
  });
}

for (const name of FIXTURES.filter((fixtureName) => !fixtureName.includes('O0'))) {
  const program = fixture(name);

  test(`${name}: nested inlined calls are told from the inside out with their call lines`, () => {
    const at = program
      .locationsForLine('shapes.h', lineOf('shapes.h', 'last_steps = steps'))
      .find((l) => program.functionAt(l.address)?.name === 'work')!;
    const chain = program.inlineChain(at.address);
    assert.deepEqual(
      chain.map((level) => [level.name, level.inlined]),
      [
        ['clamp', true],
        ['clamp_pair', true],
        ['work', false],
      ],
    );
    assert.equal(chain[0]!.line, lineOf('shapes.h', 'last_steps = steps'));
    assert.ok([lineOf('shapes.h', 'int low = clamp'), lineOf('shapes.h', 'return low + clamp')].includes(chain[1]!.line!));
    assert.equal(chain[2]!.line, lineOf('main.c', 'counter = clamp_pair'));
    assert.deepEqual([chain[0]!.file, chain[1]!.file, chain[2]!.file], ['/fixture/shapes.h', '/fixture/shapes.h', '/fixture/main.c']);
  });

  test(`${name}: a breakpoint on an inlined function means every copy of it`, () => {
    const copies = program.functionsNamed('clamp');
    assert.deepEqual([...new Set(copies.map((copy) => copy.within))].sort(), ['area_of', 'make_opaque', 'twice', 'work']);
    assert.equal(copies.filter((copy) => copy.within === 'work').length, 2);
    assert.ok(copies.every((copy) => copy.inlined && copy.postPrologue === copy.entry));
  });

  test(`${name}: variables of inlined levels are kept apart and in the order of the source`, () => {
    const at = program
      .locationsForLine('shapes.h', lineOf('shapes.h', 'last_steps = steps'))
      .find((l) => program.functionAt(l.address)?.name === 'work')!;
    const byLevel = [0, 1, 2].map((depth) =>
      program
        .variablesAt(at.address)
        .filter((v) => v.inlineDepth === depth)
        .map((v) => v.name),
    );
    assert.deepEqual(byLevel[0], ['value', 'limit', 'steps']);
    assert.deepEqual(byLevel[1], ['left', 'right', 'low']);
    assert.deepEqual(byLevel[2]!.slice(0, 3), ['argument', 'first', 'second']);
  });
}

test('at -O0 arguments and locals are read from the frame, and a frame without ebp says what is missing', () => {
  const program = fixture('gcc-O0-dwarf2.elf');
  const pc = program.locationsForLine('main.c', lineOf('main.c', 'hidden += counter'))[0]!.address;
  const words: Record<number, number> = { 36872: 21, 36860: 42, 36856: 43, 36868: 0xc0100204, 36864: 0xaaaa };
  const frame = frameOf({ eip: pc, ebp: 0x9000, esp: 0x8fe0 }, words);
  const values = new Map(program.variablesAt(pc).map((v) => [v.name, fetchBytes(v.locate(frame), v.type.size, frame)]));
  assert.equal(number(values.get('value')!), 21);
  assert.equal(number(values.get('value2')!), 42);
  assert.equal(number(values.get('counter')!), 43);
  const blind = frameOf({ eip: pc, esp: 0x8fe0 }, words);
  const value = program.variablesAt(pc).find((v) => v.name === 'value')!;
  assert.deepEqual(value.locate(blind), { kind: 'unknown', why: 'the frame of its function is not known' });
  const unwound = program.unwindFrame(frame)!;
  assert.deepEqual([unwound.cfa, unwound.registers[8], unwound.registers[5]], [0x9008, 0xc0100204, 0xaaaa]);
});

test('an image that runs elsewhere than linked gives the same answers through the bias of the frame', () => {
  const program = fixture('gcc-O0-dwarf2.elf');
  const pc = program.locationsForLine('main.c', lineOf('main.c', 'hidden += counter'))[0]!.address;
  const frame = frameOf(
    { eip: pc - 0xc0000000, ebp: 0x9000, esp: 0x8fe0 },
    { 36872: 21, 36868: 0x00100204, 36864: 0 },
    { bias: -0xc0000000 },
  );
  const value = program.variablesAt(pc).find((v) => v.name === 'value')!;
  assert.equal(number(fetchBytes(value.locate(frame), 4, frame)), 21);
  const counter = program.globals('counter')[0]!;
  assert.deepEqual(counter.locate(frame), { kind: 'memory', address: counter.staticAddress! - 0xc0000000 });
  assert.equal(program.unwindFrame(frame)!.registers[8], 0x00100204);
});

test('an argument whose register is gone is computed from what the caller passed', () => {
  const program = fixture('gcc-O2-dwarf5.elf');
  const twice = program.functionsNamed('twice')[0]!;
  const value = (pc: number) =>
    program.variablesAt(pc).find((v) => v.name === 'value' && v.inlineDepth === program.inlineChain(pc).length - 1)!;
  // gcc passes the argument in eax; after the first instructions eax holds something else.
  const late = Array.from({ length: twice.ranges[0]!.high - twice.entry }, (_, at) => twice.entry + at).find((pc) => {
    const location = value(pc).locate(frameOf({ eip: pc }));
    return location.kind === 'unknown' && location.why.includes('on entry');
  });
  assert.ok(late !== undefined, 'the fixture has no entry value any more');
  const work = program.functionsNamed('work')[0]!;
  const argument = (pc: number) => program.variablesAt(pc).find((v) => v.name === 'argument')!;
  const returnPc = Array.from({ length: 40 }, (_, at) => work.entry + at).find(
    (pc) => program.lineAt(pc)?.line === lineOf('main.c', 'int second = area_of'),
  )!;
  assert.ok(argument(returnPc));
  // The call site says "what the caller's ebx holds" or the like: give every register the value 1234 and accept only that.
  const caller = frameOf(
    { eip: returnPc, eax: 1234, ebx: 1234, ecx: 1234, edx: 1234, esi: 1234, edi: 1234, ebp: 1234, esp: 0x8000 },
    { 32768: 1234, 32772: 1234, 32776: 1234, 32780: 1234, 32784: 1234 },
    { afterCall: true },
  );
  const located = value(late).locate(frameOf({ eip: late }, {}, { caller: () => caller }));
  assert.equal(located.kind, 'value');
  assert.equal(located.kind === 'value' && located.value, 1234n);
});

test('names and source files are read in pieces; ended early, those of the rest are not known and a line says so; symbols stay', () => {
  for (const [pass, text] of [
    ['indexing', /Reading names was cancelled: those of 1 of \d+ source files are known; restart to read all/],
    ['listingSources', /Reading source files was cancelled: those of 1 of \d+ line tables are known; restart to read all/],
  ] as const) {
    const program = loadProgram(fixtureBytes('gcc-O2-dwarf5.elf'));
    assert.deepEqual([program.indexed, program.hasSources], [false, false]);
    const pieces = program[pass]();
    assert.equal(pieces.next().done, false);
    assert.deepEqual(pieces.next(true), { done: true, value: undefined });
    assert.equal(pass === 'indexing' ? program.indexed : program.hasSources, true, 'it is not begun again');
    assert.match(program.problems[0] ?? '', text);
    assert.deepEqual(program.leftOut, program.problems);
    assert.equal(program.symbols.named('work')?.kind, 'function');
    assert.equal(program[pass]().next().done, true);
  }
  const all = loadProgram(fixtureBytes('gcc-O2-dwarf5.elf'));
  const shares = [...all.indexing()];
  assert.equal(shares.at(-1), 1);
  assert.equal(all.indexed, true);
  assert.deepEqual(all.leftOut, []);
});
