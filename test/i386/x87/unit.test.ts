// The unit around the numbers: stack faults, pending errors, availability, memory images in every format.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXC, FL, W } from '../../../src/i386/state';
import { readST } from '../../../src/i386/x87/inspect';
import { resetUnit } from '../../../src/i386/x87/unit';
import { Unit } from './unit-under-test';

const ONE = '3fff8000000000000000';
const PI = '4000c90fdaa22168c235';
const FLD1 = [0xd9, 0xe8];
const absolute = (opcode: number, ext: number, address: number): number[] => [
  opcode,
  0x05 | (ext << 3),
  address & 0xff,
  address >> 8,
  0,
  0,
];

test('the ninth load overflows the stack: C1 set, the indefinite pushed over the oldest register', () => {
  const unit = new Unit();
  for (let n = 0; n < 8; n++) unit.execute(FLD1);
  assert.equal(unit.status & 0x7f, 0);
  unit.execute(FLD1);
  assert.equal(unit.status & 0x27f, 0x241);
  assert.equal(readST(unit.m, 0).raw, 'ffffc000000000000000');
  assert.equal(readST(unit.m, 1).raw, ONE);
});

test('using an empty register underflows the stack: C1 clear, the indefinite as result', () => {
  const unit = new Unit();
  unit.execute([0xd9, 0xfa]);
  assert.equal(unit.status & 0x27f, 0x41);
  assert.equal(readST(unit.m, 0).raw, 'ffffc000000000000000');
});

test('an unmasked error waits for the next waiting instruction and leaves the operands alone', () => {
  const unit = new Unit();
  unit.prepare(0x33b, ONE, '00000000000000000000');
  assert.equal(unit.execute([0xd8, 0xf1]), -1);
  assert.equal(unit.status & 0x80ff, 0x8084);
  assert.equal(readST(unit.m, 0).raw, ONE);
  assert.equal(unit.execute([0xdf, 0xe0]), -1, 'FNSTSW does not wait');
  assert.equal(unit.execute(FLD1), EXC.MF);
  assert.equal(unit.execute([0x9b]), EXC.MF);
  assert.equal(unit.execute([0xdb, 0xe2]), -1, 'FNCLEX does not wait');
  assert.equal(unit.execute(FLD1), -1);
});

test('with CR0.NE clear a pending error stops nothing', () => {
  const unit = new Unit();
  unit.m[W.CR0] &= ~0x20;
  unit.prepare(0x33b, ONE, '00000000000000000000');
  unit.execute([0xd8, 0xf1]);
  assert.equal(unit.execute(FLD1), -1);
});

test('EM and TS raise #NM for every x87 instruction, MP with TS for FWAIT', () => {
  const unit = new Unit();
  for (const [bits, numeric, wait] of [
    [0, -1, -1],
    [2, -1, -1],
    [4, EXC.NM, -1],
    [8, EXC.NM, -1],
    [10, EXC.NM, EXC.NM],
  ]) {
    unit.m[W.CR0] = 0x31 | bits;
    assert.equal(unit.execute([0xdb, 0xe3]), numeric, `FNINIT with CR0 bits ${bits}`);
    assert.equal(unit.execute([0x9b]), wait, `FWAIT with CR0 bits ${bits}`);
  }
});

test('FNSAVE and FRSTOR keep every bit in all four formats', () => {
  for (const [name, prefix, flags, size] of [
    ['32-bit protected', [], 0, 108],
    ['16-bit protected', [0x66], 0, 94],
    ['32-bit virtual-8086', [], FL.VM, 108],
    ['16-bit virtual-8086', [0x66], FL.VM, 94],
  ] as const) {
    const unit = new Unit();
    unit.prepare(0x37f, PI, '7fff8000000000000001');
    unit.execute([0xd9, 0xe4]);
    unit.m[W.FPU_SW] |= 0x4300;
    const before = unit.m.slice(W.FPU_CW, W.FPU_REGS + 32);
    unit.m[W.EFLAGS] |= flags;
    unit.write(0x1000, 'ee'.repeat(120));
    assert.equal(unit.execute([...prefix, ...absolute(0xdd, 6, 0x1000)]), -1);
    assert.equal(unit.m[W.FPU_VALID], 0, `${name}: FNSAVE initialises`);
    assert.equal(unit.read(0x1000 + size, 4), 'eeeeeeee', `${name}: FNSAVE writes ${size} bytes`);
    assert.equal(unit.execute([...prefix, ...absolute(0xdd, 4, 0x1000)]), -1);
    const after = unit.m.slice(W.FPU_CW, W.FPU_REGS + 32);
    if (prefix.length > 0 && !flags) {
      // The 16-bit protected format has no opcode.
      before[W.FPU_FOP - W.FPU_CW] = after[W.FPU_FOP - W.FPU_CW];
    }
    assert.deepEqual([...after], [...before], name);
  }
});

test('FNSTENV names instruction, opcode and operand in the protected format', () => {
  const unit = new Unit();
  unit.m[W.EIP] = 0x1234;
  unit.m[W.SELECTOR + 1] = 0x23;
  unit.m[W.SELECTOR + 3] = 0x2b;
  unit.execute(absolute(0xdd, 0, 0x2000));
  unit.execute(absolute(0xd9, 6, 0x1000));
  //                                       cw       sw       tags     EIP      CS, opcode offset   DS
  assert.equal(unit.read(0x1000, 28), ['7f03ffff', '0038ffff', 'ff7fffff', '34120000', '23000505', '00200000', '2b00ffff'].join(''));
  assert.equal(unit.m[W.FPU_CW], 0x37f, 'and masks all exceptions');
});

test('FXSAVE writes one valid bit a register and needs 16-byte alignment', () => {
  const unit = new Unit();
  unit.prepare(0x37f, PI, ONE);
  unit.m[W.FPU_SW] = 0;
  assert.equal(unit.execute([0x0f, 0xae, 0x05, 0x08, 0x10, 0, 0]), EXC.GP);
  assert.equal(unit.execute([0x0f, 0xae, 0x05, 0x00, 0x10, 0, 0]), -1);
  assert.equal(unit.read(0x1000, 6), '7f0300000300');
  assert.equal(unit.read(0x1020, 10), '35c26821a2da0fc90040');
  unit.execute([0xdb, 0xe3]);
  assert.equal(unit.execute([0x0f, 0xae, 0x0d, 0x00, 0x10, 0, 0]), -1);
  assert.equal(readST(unit.m, 0).raw, PI);
  assert.equal(readST(unit.m, 1).tag, 'valid');
  assert.equal(readST(unit.m, 2).tag, 'empty');
});

test('packed decimals go through FBLD and FBSTP unchanged, and 19 digits are invalid', () => {
  const unit = new Unit();
  unit.write(0x1000, '56341290785600000080');
  unit.execute(absolute(0xdf, 4, 0x1000));
  assert.equal(readST(unit.m, 0).value, -567890123456);
  unit.execute(absolute(0xdf, 6, 0x1010));
  assert.equal(unit.read(0x1010, 10), '56341290785600000080');
  unit.setST(0, '403ade0b6b3a76400000');
  unit.execute(absolute(0xdf, 6, 0x1010));
  assert.equal(unit.read(0x1010, 10), '00000000000000c0ffff');
  assert.equal(unit.status & 1, 1);
});

test('a denormal double loads exactly, raises DE, and comes back from FSTP', () => {
  const unit = new Unit();
  unit.write(0x1000, '0300000000000080');
  unit.execute(absolute(0xdd, 0, 0x1000));
  assert.equal(unit.status & 0x3f, 2);
  assert.equal(readST(unit.m, 0).value, -3 * 2 ** -1074);
  unit.execute(absolute(0xdd, 3, 0x1008));
  assert.equal(unit.read(0x1008, 8), '0300000000000080');
});

test('the debugger sees values, raw digits and tags of all kinds of numbers', () => {
  const unit = new Unit();
  const kinds: [string, number, string][] = [
    [ONE, 1, 'valid'],
    ['bffe8000000000000000', -0.5, 'valid'],
    ['80000000000000000000', -0, 'zero'],
    ['7fff8000000000000000', Number.POSITIVE_INFINITY, 'special'],
    ['ffffc000000000000000', Number.NaN, 'special'],
    ['40004000000000000000', Number.NaN, 'special'],
    ['7ffe8000000000000000', Number.POSITIVE_INFINITY, 'valid'],
    ['3bcd8000000000000000', 2 ** -1074, 'valid'],
  ];
  kinds.forEach(([raw], n) => {
    unit.setST(n, raw);
  });
  kinds.forEach(([raw, value, tag], n) => {
    const register = readST(unit.m, n);
    assert.ok(Object.is(register.value, value), `${raw} reads ${register.value}`);
    assert.deepEqual([register.raw, register.tag, register.physical], [raw, tag, n]);
  });
});

test('power-up leaves the control word at 0x40 and MXCSR at 0x1f80', () => {
  const unit = new Unit();
  resetUnit(unit.m);
  assert.equal(unit.m[W.FPU_CW], 0x40);
  assert.equal(unit.m[W.MXCSR], 0x1f80);
});
