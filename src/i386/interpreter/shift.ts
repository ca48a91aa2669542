// Shifts and rotates, single and double.
//
// Counts are masked to five bits; a count of zero changes no flag, but a memory operand is still written, as the processor does. Shifts set all flags,
// rotates only CF and OF. OF after counts above one and AF are undefined; they get the values the formulas give. Source: SDM vol. 2, "SAL/SAR/SHL/SHR",
// "RCL/RCR/ROL/ROR", "SHLD", "SHRD".

import type { Cpu } from '../cpu';
import { R } from '../decode';
import type { Row } from '../opcodes';
import { ECX, W } from '../state';
import {
  type Binders,
  getReg,
  type Handler,
  linW,
  probeM,
  readLinear,
  rmField,
  type Size,
  setReg,
  signed,
  unsigned,
  writeLinear,
} from './operands';

type Memory = Int32Array;

/** ROL ROR RCL RCR SHL SHR (SHL) SAR: numbered as in the opcode map. */
export enum Shift {
  ROL = 0,
  ROR = 1,
  RCL = 2,
  RCR = 3,
  SHL = 4,
  SHR = 5,
  SAR = 7,
}
const NUMBERS: Record<string, Shift> = { rol: 0, ror: 1, rcl: 2, rcr: 3, shl: 4, shr: 5, sar: 7 };

/** Changes CF and OF (0 or 1) and keeps the other four. */
const setCfOf = (m: Memory, cf: number, of: number): void => {
  m[W.FLAG_AUX] = (m[W.FLAG_AUX] & 0x3fffffff) | (cf << 31) | ((cf ^ of) << 30);
};

// 32 bits, count 1 to 31.

export const shl32 = (m: Memory, a: number, n: number): number => {
  const r = a << n;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = ((a >>> (32 - n)) << 31) | ((r >>> 1) & 0x40000000);
  return r;
};
export const shr32 = (m: Memory, a: number, n: number): number => {
  const cf = (a >>> (n - 1)) & 1;
  const r = (a >>> n) | 0;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = (cf << 31) | (((cf << 30) ^ r) & 0x40000000);
  return r;
};
export const sar32 = (m: Memory, a: number, n: number): number => {
  const cf = (a >> (n - 1)) & 1;
  const r = a >> n;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = (cf << 31) | (cf << 30);
  return r;
};

/**
 * Any of them, any width. @param a zero-extended (int32 for dwords). @param count 0 to 31.
 * @returns the result, to be truncated by the caller.
 */
export const shift = (m: Memory, size: Size, op: Shift, a: number, count: number): number => {
  if (count === 0) return a;
  const bits = 8 << size;
  const top = bits - 1;
  let r: number;
  let cf: number;
  switch (op) {
    case Shift.SHL:
      if (size === 2) return shl32(m, a, count);
      r = a << count;
      cf = (r >>> bits) & 1;
      m[W.FLAG_RESULT] = signed(size, r);
      m[W.FLAG_AUX] = (cf << 31) | (((r >>> top) & 1) << 30);
      return r;
    case Shift.SHR:
      if (size === 2) return shr32(m, a, count);
      r = a >>> count;
      cf = (a >>> (count - 1)) & 1;
      m[W.FLAG_RESULT] = signed(size, r);
      m[W.FLAG_AUX] = (cf << 31) | ((cf ^ ((r >>> (top - 1)) & 1)) << 30);
      return r;
    case Shift.SAR:
      return sar32(m, signed(size, a), count);
    case Shift.ROL: {
      const n = count & top;
      r = n === 0 ? a : (a << n) | (unsigned(size, a) >>> (bits - n));
      cf = r & 1;
      setCfOf(m, cf, cf ^ ((r >>> top) & 1));
      return r;
    }
    case Shift.ROR: {
      const n = count & top;
      r = n === 0 ? a : (unsigned(size, a) >>> n) | (a << (bits - n));
      cf = (r >>> top) & 1;
      setCfOf(m, cf, cf ^ ((r >>> (top - 1)) & 1));
      return r;
    }
    case Shift.RCL: {
      const n = size === 2 ? count : count % (bits + 1);
      const carry = m[W.FLAG_AUX] >>> 31;
      if (n === 0) {
        setCfOf(m, carry, carry ^ ((a >>> top) & 1));
        return a;
      }
      r = (a << n) | (carry << (n - 1)) | (n > 1 ? unsigned(size, a) >>> (bits + 1 - n) : 0);
      cf = (a >>> (bits - n)) & 1;
      setCfOf(m, cf, cf ^ ((r >>> top) & 1));
      return r;
    }
    case Shift.RCR: {
      const n = size === 2 ? count : count % (bits + 1);
      const carry = m[W.FLAG_AUX] >>> 31;
      if (n === 0) {
        setCfOf(m, carry, ((a >>> top) ^ (a >>> (top - 1))) & 1);
        return a;
      }
      r = (unsigned(size, a) >>> n) | (carry << (bits - n)) | (n > 1 ? a << (bits + 1 - n) : 0);
      cf = (a >>> (n - 1)) & 1;
      setCfOf(m, cf, ((r >>> top) ^ (r >>> (top - 1))) & 1);
      return r;
    }
  }
};

const bind = (row: Row, size: Size, memory: boolean): Handler => {
  const op = NUMBERS[row.name];
  const source = row.args.split(' ')[1];
  const by = source === '1' ? 1 : source === 'CL' ? -1 : 0;
  if (memory) {
    return (c, i) => {
      const linear = probeM(c, i, size);
      const count = by === 1 ? 1 : (by < 0 ? c.m32[ECX] : c.code[i + R.IMM]) & 31;
      writeLinear(c, size, linear, unsigned(size, shift(c.m32, size, op, readLinear(c, size, linear), count)) | 0);
    };
  }
  if (size === 2 && by >= 0) {
    if (op === Shift.SHL) {
      return (c, i) => {
        const e = (c.code[i + R.REGS] >> 4) & 7;
        const n = by === 1 ? 1 : c.code[i + R.IMM] & 31;
        if (n !== 0) c.m32[e] = shl32(c.m32, c.m32[e], n);
      };
    }
    if (op === Shift.SHR) {
      return (c, i) => {
        const e = (c.code[i + R.REGS] >> 4) & 7;
        const n = by === 1 ? 1 : c.code[i + R.IMM] & 31;
        if (n !== 0) c.m32[e] = shr32(c.m32, c.m32[e], n);
      };
    }
    if (op === Shift.SAR) {
      return (c, i) => {
        const e = (c.code[i + R.REGS] >> 4) & 7;
        const n = by === 1 ? 1 : c.code[i + R.IMM] & 31;
        if (n !== 0) c.m32[e] = sar32(c.m32, c.m32[e], n);
      };
    }
  }
  return (c, i) => {
    const e = rmField(c, i);
    const count = by === 1 ? 1 : (by < 0 ? c.m32[ECX] : c.code[i + R.IMM]) & 31;
    setReg(c, size, e, shift(c.m32, size, op, getReg(c, size, e), count));
  };
};

/**
 * SHLD and SHRD: `a` with bits of `b` moved in. Word counts above 16 (undefined) shift through a, b, a, as hardware was seen to do.
 * @param count 1 to 31.
 */
const double = (m: Memory, size: Size, left: boolean, a: number, b: number, count: number): number => {
  let r: number;
  let cf: number;
  const top = (8 << size) - 1;
  if (size === 2) {
    r = left ? (a << count) | (b >>> (32 - count)) : (a >>> count) | (b << (32 - count));
    cf = (left ? a >>> (32 - count) : a >>> (count - 1)) & 1;
  } else if (count <= 16) {
    r = left ? (a << count) | (b >>> (16 - count)) : (a >>> count) | (b << (16 - count));
    cf = (left ? a >>> (16 - count) : a >>> (count - 1)) & 1;
  } else {
    const n = count - 16;
    r = left ? (b << n) | (a >>> (16 - n)) : (b >>> n) | (a << (16 - n));
    cf = (left ? b >>> (16 - n) : b >>> (n - 1)) & 1;
  }
  const of = left ? cf ^ ((r >>> top) & 1) : ((r >>> top) ^ (r >>> (top - 1))) & 1;
  m[W.FLAG_RESULT] = signed(size, r);
  m[W.FLAG_AUX] = (cf << 31) | ((cf ^ of) << 30);
  return r;
};

const bindDouble = (row: Row, size: Size, memory: boolean): Handler => {
  const left = row.name === 'shld';
  const byCl = row.args.endsWith('CL');
  const countOf = (c: Cpu, i: number): number => (byCl ? c.m32[ECX] : c.code[i + R.IMM]) & 31;
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1 << size);
      c.probeWrite(linear, 1 << size);
      const count = countOf(c, i);
      const a = readLinear(c, size, linear);
      const r = count === 0 ? a : double(c.m32, size, left, a, getReg(c, size, c.code[i + R.REGS] & 7), count);
      writeLinear(c, size, linear, unsigned(size, r) | 0);
    };
  }
  return (c, i) => {
    const count = countOf(c, i);
    if (count === 0) return;
    const e = rmField(c, i);
    setReg(c, size, e, double(c.m32, size, left, getReg(c, size, e), getReg(c, size, c.code[i + R.REGS] & 7), count));
  };
};

export const SHIFTS: Binders = {
  rol: bind,
  ror: bind,
  rcl: bind,
  rcr: bind,
  shl: bind,
  shr: bind,
  sar: bind,
  shld: bindDouble,
  shrd: bindDouble,
};
