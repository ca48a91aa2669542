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

/** Mutations that once did harm. */
const FOUND = [448];

function attempt(seed: number): void {
  const started = process.cpuUsage().user;
  try {
    exercise(damage(seed));
  } catch (error) {
    if (!(error instanceof SymbolError)) throw new Error(`mutation ${seed} caused ${(error as Error).stack}`);
  }
  const seconds = (process.cpuUsage().user - started) / 1e6;
  assert.ok(seconds < 10, `mutation ${seed} took ${seconds} s`);
}

test('damaged programs give answers or a SymbolError, never anything else and never late', () => {
  for (let seed = 1; seed <= 170; seed++) attempt(seed);
  for (const seed of FOUND) attempt(seed);
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
    for (let seed = base; process.hrtime.bigint() - start < BigInt(seconds) * 1_000_000_000n; seed++) attempt(seed);
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
