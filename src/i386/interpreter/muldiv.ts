// Multiplication and division.
//
// 64-bit products and dividends go through doubles where these are exact (below 2^53) and through 16-bit halves where not. A quotient that does not fit
// raises #DE. CF = OF = "the upper half matters" after a multiplication; its other flags and all flags of a division are undefined. Source: SDM vol. 2.

import type { Cpu } from '../cpu';
import { R } from '../decode';
import type { Row } from '../opcodes';
import { EAX, EDX, EXC, W } from '../state';
import { type Binders, getReg, type Handler, readE, regField, type Size, setReg, signed } from './operands';

/** Upper 32 bits of the unsigned 64-bit product, int32. */
export const mulHigh = (a: number, b: number): number => {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const mid = ah * bl + ((al * bl) >>> 16);
  const low = (mid & 0xffff) + al * bh;
  return (ah * bh + Math.floor(mid / 65536) + Math.floor(low / 65536)) | 0;
};
/** Upper 32 bits of the signed 64-bit product, int32. */
export const imulHigh = (a: number, b: number): number => (mulHigh(a, b) - (a < 0 ? b : 0) - (b < 0 ? a : 0)) | 0;

const setOverflow = (m: Int32Array, result: number, overflow: boolean): void => {
  m[W.FLAG_RESULT] = result;
  m[W.FLAG_AUX] = overflow ? 1 << 31 : 0;
};

const bindMul = (row: Row, size: Size, memory: boolean): Handler => {
  const isSigned = row.name === 'imul';
  if (size === 2) {
    return (c, i) => {
      const m = c.m32;
      const b = readE(c, i, 2, memory);
      const a = m[EAX];
      const low = Math.imul(a, b);
      const high = isSigned ? imulHigh(a, b) : mulHigh(a, b);
      m[EAX] = low;
      m[EDX] = high;
      setOverflow(m, low, isSigned ? high !== low >> 31 : high !== 0);
    };
  }
  return (c, i) => {
    const b = readE(c, i, size, memory);
    const a = getReg(c, size, EAX);
    const product = isSigned ? signed(size, a) * signed(size, b) : a * b;
    if (size === 0) c.m16[EAX] = product;
    else {
      c.m16[EAX] = product;
      c.m16[EDX << 1] = product >>> 16;
    }
    const low = signed(size, product);
    setOverflow(c.m32, low, isSigned ? low !== product : product >>> (8 << size) !== 0);
  };
};

/** The two- and three-operand forms: signed, the upper half is lost. */
const bindImul = (row: Row, size: Size, memory: boolean): Handler => {
  const three = row.name === 'imul3';
  if (size === 2) {
    return (c, i) => {
      const m = c.m32;
      const e = readE(c, i, 2, memory);
      const g = regField(c, i);
      const b = three ? c.code[i + R.IMM] : m[g];
      const low = Math.imul(e, b);
      m[g] = low;
      // A product below 2^53 is exact as a double; a larger one does not fit anyhow.
      setOverflow(m, low, e * b !== low);
    };
  }
  return (c, i) => {
    const e = signed(size, readE(c, i, size, memory));
    const g = regField(c, i);
    const b = signed(size, three ? c.code[i + R.IMM] : getReg(c, size, g));
    const product = e * b;
    setReg(c, size, g, product);
    setOverflow(c.m32, signed(size, product), product !== signed(size, product));
  };
};

/** Quotient and remainder of the last division by divide64, uint32. */
let quotient = 0;
let remainder = 0;
/** (high * 2^32 + low) / d with high < d, all uint32. */
const divide64 = (high: number, low: number, d: number): void => {
  if (high < 0x200000) {
    const n = high * 4294967296 + low;
    quotient = Math.floor(n / d);
    remainder = n - quotient * d;
    return;
  }
  // Two steps of 16 bits: every dividend stays below 2^48.
  const n1 = high * 65536 + (low >>> 16);
  const q1 = Math.floor(n1 / d);
  const n0 = (n1 - q1 * d) * 65536 + (low & 0xffff);
  const q0 = Math.floor(n0 / d);
  quotient = q1 * 65536 + q0;
  remainder = n0 - q0 * d;
};

const div32 = (c: Cpu, d: number): void => {
  const m = c.m32;
  const high = m[EDX] >>> 0;
  if (high >= d) c.raise(EXC.DE, 0); // d = 0 as well
  divide64(high, m[EAX] >>> 0, d);
  m[EAX] = quotient;
  m[EDX] = remainder;
};
const idiv32 = (c: Cpu, d: number): void => {
  const m = c.m32;
  let high = m[EDX];
  let low = m[EAX];
  const negative = high < 0;
  if (negative) {
    low = -low | 0;
    high = ~high + (low === 0 ? 1 : 0);
  }
  const divisor = Math.abs(d);
  if (high >>> 0 >= divisor) c.raise(EXC.DE, 0);
  divide64(high >>> 0, low >>> 0, divisor);
  const opposite = negative !== d < 0;
  if (quotient > (opposite ? 0x80000000 : 0x7fffffff)) c.raise(EXC.DE, 0);
  m[EAX] = opposite ? -quotient : quotient;
  m[EDX] = negative ? -remainder : remainder;
};

const bindDiv = (row: Row, size: Size, memory: boolean): Handler => {
  const isSigned = row.name === 'idiv';
  if (size === 2) return isSigned ? (c, i) => idiv32(c, readE(c, i, 2, memory)) : (c, i) => div32(c, readE(c, i, 2, memory) >>> 0);
  const half = 1 << (8 << size); // 2^8 or 2^16
  return (c, i) => {
    const d = isSigned ? signed(size, readE(c, i, size, memory)) : readE(c, i, size, memory);
    if (d === 0) c.raise(EXC.DE, 0);
    const dividend = size === 0 ? c.m16[EAX] : ((c.m16[EDX << 1] << 16) | c.m16[EAX]) >>> 0;
    const n = isSigned ? (size === 0 ? (dividend << 16) >> 16 : dividend | 0) : dividend;
    const q = Math.trunc(n / d);
    if (isSigned ? q < -half / 2 || q >= half / 2 : q >= half) c.raise(EXC.DE, 0);
    const rest = n - q * d;
    if (size === 0) c.m16[EAX] = (q & 0xff) | ((rest & 0xff) << 8);
    else {
      c.m16[EAX] = q;
      c.m16[EDX << 1] = rest;
    }
  };
};

export const MULDIV: Binders = { mul: bindMul, imul: bindMul, imul2: bindImul, imul3: bindImul, div: bindDiv, idiv: bindDiv };
