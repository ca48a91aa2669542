// Damaged programs: whatever the bytes, an answer or a SymbolError comes back, soon, and the undamaged parts stay readable.
// Mutations are seeded, so a failure names the one that caused it. With FUZZ_SECONDS=60 in the environment new ones run for that long.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ElfFile } from '../../src/symbols/elf';
import { loadProgram } from '../../src/symbols/program-symbols';
import { exercise, survive } from './exercise';
import { FIXTURES, fixtureBytes } from './fixture';

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

/** Mutations that once did harm. */
const FOUND = [448];

const attempt = (seed: number, how: (seed: number) => Uint8Array = damage): unknown => survive(`${how.name} ${seed}`, how(seed));

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
