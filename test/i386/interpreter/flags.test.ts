// The six status flags against the manual's definitions, written the slow and obvious way.

import assert from 'node:assert';
import { test } from 'node:test';
import { Alu, alu } from '../../../src/i386/interpreter/arithmetic';
import { condition } from '../../../src/i386/interpreter/control';
import { Shift, shift } from '../../../src/i386/interpreter/shift';
import { FL, W } from '../../../src/i386/state';
import { Bench, stream } from './bench-cpu';

const bench = Bench.fresh();
const { cpu, m32 } = bench;

const bit = (value: bigint, n: number): number => Number((value >> BigInt(n)) & 1n);
const parity = (value: bigint): boolean => {
  let ones = 0;
  for (let n = 0; n < 8; n++) ones += bit(value, n);
  return ones % 2 === 0;
};
const image = (f: { cf: boolean; of: boolean; af: boolean; value: bigint; bits: number }): number =>
  (f.cf ? FL.CF : 0) |
  (f.of ? FL.OF : 0) |
  (f.af ? FL.AF : 0) |
  (parity(f.value) ? FL.PF : 0) |
  (f.value === 0n ? FL.ZF : 0) |
  (bit(f.value, f.bits - 1) ? FL.SF : 0);

const signedOf = (v: bigint, bits: number): bigint => BigInt.asIntN(bits, v);

/** Result and flags by definition: wide integers, signed range for OF, low nibbles for AF. */
const reference = (op: Alu, a: bigint, b: bigint, carry: bigint, bits: number): { value: bigint; flags: number } => {
  const mask = (1n << BigInt(bits)) - 1n;
  const low = -(1n << BigInt(bits - 1));
  const high = -low - 1n;
  const outside = (v: bigint): boolean => v < low || v > high;
  switch (op) {
    case Alu.ADD:
    case Alu.ADC: {
      const c = op === Alu.ADC ? carry : 0n;
      const value = (a + b + c) & mask;
      return {
        value,
        flags: image({
          value,
          bits,
          cf: a + b + c > mask,
          af: (a & 15n) + (b & 15n) + c > 15n,
          of: outside(signedOf(a, bits) + signedOf(b, bits) + c),
        }),
      };
    }
    case Alu.SUB:
    case Alu.CMP:
    case Alu.SBB: {
      const c = op === Alu.SBB ? carry : 0n;
      const value = (a - b - c) & mask;
      return {
        value,
        flags: image({ value, bits, cf: a < b + c, af: (a & 15n) < (b & 15n) + c, of: outside(signedOf(a, bits) - signedOf(b, bits) - c) }),
      };
    }
    case Alu.INC: {
      const value = (a + 1n) & mask;
      return { value, flags: image({ value, bits, cf: carry === 1n, af: (a & 15n) === 15n, of: outside(signedOf(a, bits) + 1n) }) };
    }
    case Alu.DEC: {
      const value = (a - 1n) & mask;
      return { value, flags: image({ value, bits, cf: carry === 1n, af: (a & 15n) === 0n, of: outside(signedOf(a, bits) - 1n) }) };
    }
    default: {
      const value = op === Alu.OR ? a | b : op === Alu.XOR ? a ^ b : a & b;
      return { value, flags: image({ value, bits, cf: false, af: false, of: false }) };
    }
  }
};

const NAMES: [string, Alu, number][] = [
  ['add', Alu.ADD, FL.STATUS],
  ['or', Alu.OR, FL.STATUS & ~FL.AF],
  ['adc', Alu.ADC, FL.STATUS],
  ['sbb', Alu.SBB, FL.STATUS],
  ['and', Alu.AND, FL.STATUS & ~FL.AF],
  ['sub', Alu.SUB, FL.STATUS],
  ['xor', Alu.XOR, FL.STATUS & ~FL.AF],
  ['cmp', Alu.CMP, FL.STATUS],
  ['test', Alu.TEST, FL.STATUS & ~FL.AF],
  ['inc', Alu.INC, FL.STATUS],
  ['dec', Alu.DEC, FL.STATUS],
];

for (const [name, op, defined] of NAMES) {
  test(`${name} on bytes gives the manual's result and flags for all 65,536 pairs and both carries`, () => {
    for (let carry = 0; carry < 2; carry++) {
      for (let a = 0; a < 256; a++) {
        for (let b = 0; b < 256; b++) {
          cpu.setStatus(carry ? FL.CF : 0);
          const got = alu(m32, 0, op, a, b) & 0xff;
          const flags = cpu.getFlags() & FL.STATUS;
          const want = reference(op, BigInt(a), BigInt(b), BigInt(carry), 8);
          if (got !== Number(want.value) || ((flags ^ want.flags) & defined) !== 0) {
            assert.fail(
              `${name} ${a}, ${b}, carry ${carry}: got ${got} flags ${flags.toString(16)}, want ${want.value} ${want.flags.toString(16)}`,
            );
          }
        }
      }
    }
  });

  test(`${name} on words and dwords gives the manual's result and flags at the edges and at random`, () => {
    const next = stream(0x1234 + op);
    const edges = [0, 1, 2, 0xf, 0x10, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
    const pairs = edges.flatMap((a) => edges.map((b) => [a, b]));
    for (let n = 0; n < 2000; n++) pairs.push([next(), next()]);
    for (const size of [1, 2] as const) {
      const mask = size === 1 ? 0xffff : 0xffffffff;
      for (const [a, b] of pairs) {
        for (let carry = 0; carry < 2; carry++) {
          cpu.setStatus(carry ? FL.CF : 0);
          const x = (a & mask) >>> 0;
          const y = (b & mask) >>> 0;
          const got = (alu(m32, size, op, size === 2 ? x | 0 : x, size === 2 ? y | 0 : y) & mask) >>> 0;
          const flags = cpu.getFlags() & FL.STATUS;
          const want = reference(op, BigInt(x), BigInt(y), BigInt(carry), 8 << size);
          if (got !== Number(want.value) || ((flags ^ want.flags) & defined) !== 0) {
            assert.fail(
              `${name} ${x}, ${y}, carry ${carry}, size ${size}: got ${got} ${flags.toString(16)}, want ${want.value} ${want.flags.toString(16)}`,
            );
          }
        }
      }
    }
  });
}

/** One single-bit step of a shift or rotate. @returns value and carry after it. */
const step = (op: Shift, a: bigint, carry: number, bits: number): [bigint, number] => {
  const mask = (1n << BigInt(bits)) - 1n;
  const top = bit(a, bits - 1);
  const bottom = bit(a, 0);
  const high = (b: number): bigint => BigInt(b) << BigInt(bits - 1);
  switch (op) {
    case Shift.ROL:
      return [((a << 1n) & mask) | BigInt(top), top];
    case Shift.ROR:
      return [(a >> 1n) | high(bottom), bottom];
    case Shift.RCL:
      return [((a << 1n) & mask) | BigInt(carry), top];
    case Shift.RCR:
      return [(a >> 1n) | high(carry), bottom];
    case Shift.SHL:
      return [(a << 1n) & mask, top];
    case Shift.SHR:
      return [a >> 1n, bottom];
    default:
      return [(a >> 1n) | high(top), bottom];
  }
};

const SHIFT_NAMES: [string, Shift][] = [
  ['rol', Shift.ROL],
  ['ror', Shift.ROR],
  ['rcl', Shift.RCL],
  ['rcr', Shift.RCR],
  ['shl', Shift.SHL],
  ['shr', Shift.SHR],
  ['sar', Shift.SAR],
];

const checkShift = (name: string, op: Shift, size: 0 | 1 | 2, a: number, count: number, before: number): void => {
  const bits = 8 << size;
  const mask = size === 2 ? 0xffffffff : (1 << bits) - 1;
  cpu.setStatus(before);
  const got = (shift(m32, size, op, size === 2 ? a | 0 : a, count) & mask) >>> 0;
  const flags = cpu.getFlags() & FL.STATUS;
  let value = BigInt(a);
  let carry = before & FL.CF;
  for (let n = 0; n < count; n++) [value, carry] = step(op, value, carry, bits);
  const rotates = op <= Shift.RCR;
  let want = before;
  if (count > 0) {
    const sign = bit(value, bits - 1);
    const of =
      op === Shift.SHL || op === Shift.ROL || op === Shift.RCL ? sign !== carry : op === Shift.SAR ? false : sign !== bit(value, bits - 2);
    want = rotates
      ? (before & ~(FL.CF | FL.OF)) | (carry ? FL.CF : 0) | (of ? FL.OF : 0)
      : image({ value, bits, cf: carry === 1, of, af: false });
  }
  let defined: number = FL.STATUS;
  if (count > 1) defined &= ~FL.OF;
  if (!rotates && count > 0) defined &= ~FL.AF;
  if (!rotates && count > bits) defined &= ~FL.CF;
  if (got !== Number(value) || ((flags ^ want) & defined) !== 0) {
    assert.fail(
      `${name} ${a}, ${count} (size ${size}, flags ${before.toString(16)}): got ${got} ${flags.toString(16)}, want ${value} ${want.toString(16)}`,
    );
  }
};

for (const [name, op] of SHIFT_NAMES) {
  test(`${name} on bytes equals repeated single steps for every value, count and carry`, () => {
    for (let a = 0; a < 256; a++)
      for (let count = 0; count < 32; count++) for (const before of [0, FL.STATUS]) checkShift(name, op, 0, a, count, before);
  });
  test(`${name} on words and dwords equals repeated single steps`, () => {
    const next = stream(0x77 + op);
    for (let n = 0; n < 60; n++) {
      const a = n < 4 ? [0, 1, 0x80000000, 0xffffffff][n] : next();
      for (let count = 0; count < 32; count++) {
        for (const before of [FL.CF | FL.ZF, FL.SF | FL.PF | FL.AF | FL.OF]) {
          checkShift(name, op, 1, a & 0xffff, count, before);
          checkShift(name, op, 2, a, count, before);
        }
      }
    }
  });
}

test('every flags image survives being taken apart and put together', () => {
  for (let n = 0; n < 64; n++) {
    const flags =
      (n & 1 ? FL.CF : 0) | (n & 2 ? FL.PF : 0) | (n & 4 ? FL.AF : 0) | (n & 8 ? FL.ZF : 0) | (n & 16 ? FL.SF : 0) | (n & 32 ? FL.OF : 0);
    cpu.setStatus(flags);
    assert.equal(cpu.getFlags() & FL.STATUS, flags);
  }
});

test('all sixteen conditions read every flags image as the manual defines them', () => {
  for (let n = 0; n < 64; n++) {
    const [c, p, z, s, o] = [n & 1, n & 2, n & 8, n & 16, n & 32].map((b) => b !== 0);
    cpu.setStatus((c ? FL.CF : 0) | (p ? FL.PF : 0) | (z ? FL.ZF : 0) | (s ? FL.SF : 0) | (o ? FL.OF : 0));
    const truth = [o, c, z, c || z, s, p, s !== o, z || s !== o];
    for (let cc = 0; cc < 16; cc++) assert.equal(condition(m32, cc), truth[cc >> 1] !== ((cc & 1) === 1), `condition ${cc}, flags ${n}`);
  }
});

test('clc, stc and cmc change CF alone, whatever the other flags are', () => {
  for (let n = 0; n < 64; n++) {
    const flags =
      (n & 1 ? FL.CF : 0) | (n & 2 ? FL.PF : 0) | (n & 4 ? FL.AF : 0) | (n & 8 ? FL.ZF : 0) | (n & 16 ? FL.SF : 0) | (n & 32 ? FL.OF : 0);
    for (const [code, want] of [
      ['f8', flags & ~FL.CF],
      ['f9', flags | FL.CF],
      ['f5', flags ^ FL.CF],
    ] as const) {
      cpu.setStatus(flags);
      assert.equal(bench.run(code), undefined);
      assert.equal(cpu.getFlags() & FL.STATUS, want);
    }
  }
});

test('sahf loads five flags from AH and keeps OF, lahf stores them with bit 1 set', () => {
  for (let ah = 0; ah < 256; ah++) {
    for (const of of [0, FL.OF]) {
      cpu.setStatus(of | (~ah & 0xd5));
      m32[0] = ah << 8;
      assert.equal(bench.run('9e'), undefined);
      assert.equal(cpu.getFlags() & FL.STATUS, (ah & 0xd5) | of);
      m32[0] = 0;
      assert.equal(bench.run('9f'), undefined);
      assert.equal(m32[0] >>> 8, (ah & 0xd5) | 2);
    }
  }
  m32[W.EFLAGS] = 2;
});
