// Rules around MMX and SSE instructions: who may run them, memory operands, the registers shared with the x87, stores and state images.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CR4, EXC, W } from '../../../src/i386/state';
import { SSE } from '../../../src/i386/sse/opcodes';
import { SSE_BINDERS } from '../../../src/i386/sse';
import { readST } from '../../../src/i386/x87/inspect';
import { Unit } from '../x87/unit-under-test';

const ready = (): Unit => {
  const unit = new Unit();
  unit.m[W.CR4] = CR4.OSFXSR | CR4.OSXMMEXCPT;
  unit.m[W.MXCSR] = 0x1f80;
  return unit;
};
/** Bytes of prefix + 0F opcode with reg field and an absolute address. */
const absolute = (prefix: number[], opcode: number, reg: number, address: number): number[] => [
  ...prefix,
  0x0f,
  opcode,
  0x05 | (reg << 3),
  address & 0xff,
  address >> 8,
  0,
  0,
];
const words = (unit: Unit, at: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => (unit.m[at + n] >>> 0).toString(16));

test('every row of the MMX and SSE list has a binder', () => {
  assert.deepEqual(
    SSE.filter((row) => SSE_BINDERS[row.name] === undefined).map((row) => row.name),
    [],
  );
});

test('EM makes MMX and SSE undefined, TS makes them unavailable, a clear OSFXSR makes SSE undefined', () => {
  const unit = ready();
  const pxor = [0x0f, 0xef, 0xc0];
  const xorps = [0x0f, 0x57, 0xc0];
  for (const [cr0, cr4, mmx, sse] of [
    [0x31, 0x600, -1, -1],
    [0x35, 0x600, EXC.UD, EXC.UD],
    [0x39, 0x600, EXC.NM, EXC.NM],
    [0x3d, 0x600, EXC.UD, EXC.UD],
    [0x31, 0x400, -1, EXC.UD],
    [0x39, 0x400, EXC.NM, EXC.UD],
  ]) {
    unit.m[W.CR0] = cr0;
    unit.m[W.CR4] = cr4;
    assert.equal(unit.execute(pxor), mmx, `PXOR with CR0 ${cr0.toString(16)}`);
    assert.equal(unit.execute(xorps), sse, `XORPS with CR0 ${cr0.toString(16)} CR4 ${cr4.toString(16)}`);
  }
});

test('a pending x87 error stops MMX but not SSE', () => {
  const unit = ready();
  unit.prepare(0x33b, '3fff8000000000000000', '00000000000000000000');
  unit.execute([0xd8, 0xf1]);
  assert.equal(unit.execute([0x0f, 0xef, 0xc0]), EXC.MF);
  assert.equal(unit.execute([0x0f, 0x77]), EXC.MF);
  assert.equal(unit.execute([0x0f, 0x57, 0xc0]), -1);
});

test('without OSXMMEXCPT an unmasked SIMD exception is an undefined opcode', () => {
  const unit = ready();
  unit.m[W.CR4] = CR4.OSFXSR;
  unit.m[W.MXCSR] = 0x1d80;
  unit.m.set([0, 0x3ff00000, 0, 0, 0, 0, 0, 0], W.XMM);
  // divsd xmm0, xmm1 (zero)
  assert.equal(unit.execute([0xf2, 0x0f, 0x5e, 0xc1]), EXC.UD);
  assert.equal(unit.m[W.MXCSR], 0x1d84);
});

test('MMX registers are the mantissas of the physical x87 registers; writing one sets its exponent, EMMS empties all', () => {
  const unit = ready();
  unit.m[W.FPU_SW] = 0x1800;
  unit.m[0] = 0x12345678;
  // movd mm3, eax
  assert.equal(unit.execute([0x0f, 0x6e, 0xd8]), -1);
  assert.equal(unit.m[W.FPU_SW], 0);
  assert.equal(unit.m[W.FPU_VALID], 0xff);
  assert.equal(readST(unit.m, 3).raw, 'ffff0000000012345678');
  assert.equal(unit.execute([0x0f, 0x77]), -1);
  assert.equal(unit.m[W.FPU_VALID], 0);
});

test('16-byte operands must be aligned, except for MOVUPS, MOVDQU and scalars', () => {
  const unit = ready();
  const cases: [string, number[], number][] = [
    ['movaps', absolute([], 0x28, 0, 0x1008), EXC.GP],
    ['movaps store', absolute([], 0x29, 0, 0x1008), EXC.GP],
    ['addps', absolute([], 0x58, 0, 0x1004), EXC.GP],
    ['paddb', absolute([0x66], 0xfc, 0, 0x1004), EXC.GP],
    ['movntps', absolute([], 0x2b, 0, 0x1001), EXC.GP],
    ['movups', absolute([], 0x10, 0, 0x1003), -1],
    ['movdqu store', absolute([0xf3], 0x7f, 0, 0x1001), -1],
    ['addss', absolute([0xf3], 0x58, 0, 0x1001), -1],
    ['cvtps2pd', absolute([], 0x5a, 0, 0x1001), -1],
    ['addps aligned', absolute([], 0x58, 0, 0x1010), -1],
  ];
  for (const [name, bytes, vector] of cases) assert.equal(unit.execute(bytes), vector, name);
});

test('loads of one element clear the rest of the register, copies keep it', () => {
  const unit = ready();
  unit.write(0x1000, '0102030405060708090a0b0c0d0e0f10');
  unit.m.fill(-1, W.XMM, W.XMM + 8);
  unit.execute(absolute([0xf3], 0x10, 0, 0x1000));
  assert.deepEqual(words(unit, W.XMM, 4), ['4030201', '0', '0', '0']);
  unit.execute(absolute([0xf2], 0x10, 1, 0x1000));
  assert.deepEqual(words(unit, W.XMM + 4, 4), ['4030201', '8070605', '0', '0']);
  unit.m.fill(-1, W.XMM, W.XMM + 4);
  unit.execute([0xf3, 0x0f, 0x10, 0xc1]);
  assert.deepEqual(words(unit, W.XMM, 4), ['4030201', 'ffffffff', 'ffffffff', 'ffffffff']);
});

test('halves move between memory and register without touching the other half', () => {
  const unit = ready();
  unit.m.set([1, 2, 3, 4], W.XMM);
  unit.write(0x1000, 'aa000000bb000000');
  unit.execute(absolute([], 0x16, 0, 0x1000));
  assert.deepEqual(words(unit, W.XMM, 4), ['1', '2', 'aa', 'bb']);
  unit.execute(absolute([], 0x13, 0, 0x1010));
  unit.execute(absolute([0x66], 0x17, 0, 0x1018));
  assert.equal(unit.read(0x1010, 16), '0100000002000000aa000000bb000000');
});

test('MASKMOVDQU stores only the bytes whose mask has its top bit set', () => {
  const unit = ready();
  unit.write(0x1000, 'ee'.repeat(16));
  unit.m.set([0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c], W.XMM);
  unit.m.set([0x80, 0, 0, 0x80ff7f00 | 0], W.XMM + 4);
  unit.m[7] = 0x1000;
  assert.equal(unit.execute([0x66, 0x0f, 0xf7, 0xc1]), -1);
  assert.equal(unit.read(0x1000, 16), '00eeeeeeeeeeeeeeeeeeeeeeeeee0e0f');
});

test('LDMXCSR refuses reserved bits and STMXCSR gives back what was loaded', () => {
  const unit = ready();
  unit.write(0x1000, '80ff0100');
  assert.equal(unit.execute(absolute([], 0xae, 2, 0x1000)), EXC.GP);
  unit.write(0x1000, '805f0000');
  assert.equal(unit.execute(absolute([], 0xae, 2, 0x1000)), -1);
  assert.equal(unit.execute(absolute([], 0xae, 3, 0x1010)), -1);
  assert.equal(unit.read(0x1010, 4), '805f0000');
});

test('FXSAVE keeps xmm registers and MXCSR when CR4.OSFXSR is set', () => {
  const unit = ready();
  unit.m.set(
    Array.from({ length: 32 }, (_, n) => n + 1),
    W.XMM,
  );
  unit.m[W.MXCSR] = 0x1fa0;
  unit.execute(absolute([], 0xae, 0, 0x1000));
  unit.m.fill(0, W.XMM, W.XMM + 32);
  unit.m[W.MXCSR] = 0;
  unit.execute(absolute([], 0xae, 1, 0x1000));
  assert.equal(unit.m[W.MXCSR], 0x1fa0);
  assert.deepEqual(
    [...unit.m.subarray(W.XMM, W.XMM + 32)],
    Array.from({ length: 32 }, (_, n) => n + 1),
  );
  assert.equal(unit.read(0x101c, 4), 'ffff0000', 'the MXCSR mask');
});
