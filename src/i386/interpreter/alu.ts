// Addition, subtraction, logic, comparison, increment, negation: the instructions that make up half of every program.
//
// The 32-bit forms are written out one by one, so that each handler is a small function without inner decisions; bytes and words go through one
// function with a switch. What it leaves out: shifts (shift.ts), multiplication (muldiv.ts). Flags: see ../flags.ts. Source: SDM vol. 2, each mnemonic.

import type { Cpu } from '../cpu';
import { R } from '../decode';
import { AUX_MASK, aux8, aux16 } from '../flags';
import type { Row } from '../opcodes';
import { W } from '../state';
import {
  type Binders,
  byteReg,
  getReg,
  type Handler,
  linR,
  linW,
  place8,
  place16,
  place32,
  readE,
  rmField,
  type Size,
  setReg,
} from './operands';

type Memory = Int32Array;

// ---- 32 bits: results are int32 --------------------------------------------------------------------------------------------------------

export const add32 = (m: Memory, a: number, b: number): number => {
  const r = (a + b) | 0;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = ((a & b) | ((a | b) & ~r)) & AUX_MASK;
  return r;
};
export const adc32 = (m: Memory, a: number, b: number): number => {
  const r = (a + b + (m[W.FLAG_AUX] >>> 31)) | 0;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = ((a & b) | ((a | b) & ~r)) & AUX_MASK;
  return r;
};
export const sub32 = (m: Memory, a: number, b: number): number => {
  const r = (a - b) | 0;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = ((~a & b) | ((~a | b) & r)) & AUX_MASK;
  return r;
};
export const sbb32 = (m: Memory, a: number, b: number): number => {
  const r = (a - b - (m[W.FLAG_AUX] >>> 31)) | 0;
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = ((~a & b) | ((~a | b) & r)) & AUX_MASK;
  return r;
};
/** Flags of a logical result: CF and OF clear, AF (undefined) clear. */
export const logic = (m: Memory, r: number): number => {
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = 0;
  return r;
};
/** INC and DEC keep CF: bit 31 of FLAG_AUX stays, bit 30 is CF ^ OF. */
export const inc32 = (m: Memory, a: number): number => {
  const r = (a + 1) | 0;
  const cf = m[W.FLAG_AUX] & (1 << 31);
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = cf | ((((~a & r) ^ cf) >>> 1) & 0x40000000) | (a & ~r & 8);
  return r;
};
export const dec32 = (m: Memory, a: number): number => {
  const r = (a - 1) | 0;
  const cf = m[W.FLAG_AUX] & (1 << 31);
  m[W.FLAG_RESULT] = r;
  m[W.FLAG_AUX] = cf | ((((a & ~r) ^ cf) >>> 1) & 0x40000000) | (~a & r & 8);
  return r;
};

// ---- bytes and words: operands zero- or sign-extended, results to be truncated by the caller ---------------------------------------------

/** The numbers of the eight two-operand instructions are those of the opcode map. */
export enum Alu {
  ADD = 0,
  OR = 1,
  ADC = 2,
  SBB = 3,
  AND = 4,
  SUB = 5,
  XOR = 6,
  CMP = 7,
  TEST = 8,
  INC = 9,
  DEC = 10,
}
const NUMBERS: Record<string, Alu> = {
  add: Alu.ADD,
  or: Alu.OR,
  adc: Alu.ADC,
  sbb: Alu.SBB,
  and: Alu.AND,
  sub: Alu.SUB,
  xor: Alu.XOR,
  cmp: Alu.CMP,
  test: Alu.TEST,
  inc: Alu.INC,
  dec: Alu.DEC,
};

export const alu8 = (m: Memory, op: Alu, a: number, b: number): number => {
  let r: number;
  switch (op) {
    case Alu.ADC:
    case Alu.ADD:
      r = a + b + (op === Alu.ADC ? m[W.FLAG_AUX] >>> 31 : 0);
      m[W.FLAG_AUX] = aux8((a & b) | ((a | b) & ~r));
      break;
    case Alu.SBB:
    case Alu.SUB:
    case Alu.CMP:
      r = a - b - (op === Alu.SBB ? m[W.FLAG_AUX] >>> 31 : 0);
      m[W.FLAG_AUX] = aux8((~a & b) | ((~a | b) & r));
      break;
    case Alu.INC: {
      r = a + 1;
      const cf = m[W.FLAG_AUX] & (1 << 31);
      m[W.FLAG_AUX] = cf | (((((~a & r) << 24) ^ cf) >>> 1) & 0x40000000) | (a & ~r & 8);
      break;
    }
    case Alu.DEC: {
      r = a - 1;
      const cf = m[W.FLAG_AUX] & (1 << 31);
      m[W.FLAG_AUX] = cf | (((((a & ~r) << 24) ^ cf) >>> 1) & 0x40000000) | (~a & r & 8);
      break;
    }
    default:
      r = op === Alu.OR ? a | b : op === Alu.XOR ? a ^ b : a & b;
      m[W.FLAG_AUX] = 0;
  }
  m[W.FLAG_RESULT] = (r << 24) >> 24;
  return r;
};

export const alu16 = (m: Memory, op: Alu, a: number, b: number): number => {
  let r: number;
  switch (op) {
    case Alu.ADC:
    case Alu.ADD:
      r = a + b + (op === Alu.ADC ? m[W.FLAG_AUX] >>> 31 : 0);
      m[W.FLAG_AUX] = aux16((a & b) | ((a | b) & ~r));
      break;
    case Alu.SBB:
    case Alu.SUB:
    case Alu.CMP:
      r = a - b - (op === Alu.SBB ? m[W.FLAG_AUX] >>> 31 : 0);
      m[W.FLAG_AUX] = aux16((~a & b) | ((~a | b) & r));
      break;
    case Alu.INC: {
      r = a + 1;
      const cf = m[W.FLAG_AUX] & (1 << 31);
      m[W.FLAG_AUX] = cf | (((((~a & r) << 16) ^ cf) >>> 1) & 0x40000000) | (a & ~r & 8);
      break;
    }
    case Alu.DEC: {
      r = a - 1;
      const cf = m[W.FLAG_AUX] & (1 << 31);
      m[W.FLAG_AUX] = cf | (((((a & ~r) << 16) ^ cf) >>> 1) & 0x40000000) | (~a & r & 8);
      break;
    }
    default:
      r = op === Alu.OR ? a | b : op === Alu.XOR ? a ^ b : a & b;
      m[W.FLAG_AUX] = 0;
  }
  m[W.FLAG_RESULT] = (r << 16) >> 16;
  return r;
};

/** Any width; the result is to be truncated by the caller. */
export const alu = (m: Memory, size: Size, op: Alu, a: number, b: number): number => {
  if (size === 0) return alu8(m, op, a, b);
  if (size === 1) return alu16(m, op, a, b);
  switch (op) {
    case Alu.ADD:
      return add32(m, a, b);
    case Alu.ADC:
      return adc32(m, a, b);
    case Alu.SBB:
      return sbb32(m, a, b);
    case Alu.SUB:
    case Alu.CMP:
      return sub32(m, a, b);
    case Alu.INC:
      return inc32(m, a);
    case Alu.DEC:
      return dec32(m, a);
    case Alu.OR:
      return logic(m, a | b);
    case Alu.XOR:
      return logic(m, a ^ b);
    default:
      return logic(m, a & b);
  }
};

// ---- hot 32-bit forms ----------------------------------------------------------------------------------------------------------------------

/** Read-modify-write of a memory dword that cannot be done in place. */
const slow32 = (c: Cpu, op: Alu, linear: number, b: number): void => c.write32(linear, alu(c.m32, 2, op, c.read32(linear), b));

/** One instruction's forms: E = rm register, M = memory, G = reg, I = immediate, A = eAX; destination first. */
interface Forms {
  EG: Handler;
  MG: Handler;
  GE: Handler;
  GM: Handler;
  EI: Handler;
  MI: Handler;
  AI: Handler;
}
const ADD: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = add32(m, m[(g >> 4) & 7], m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = add32(m, m[p], b);
    else slow32(c, Alu.ADD, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = add32(m, m[p], b);
    else slow32(c, Alu.ADD, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = add32(m, m[g & 7], m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = add32(m, m[g], b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = add32(m, m[e], c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = add32(m, m[0], c.code[i + R.IMM]);
  },
};
const OR: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = logic(m, m[(g >> 4) & 7] | m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] | b);
    else slow32(c, Alu.OR, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] | b);
    else slow32(c, Alu.OR, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = logic(m, m[g & 7] | m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = logic(m, m[g] | b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = logic(m, m[e] | c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = logic(m, m[0] | c.code[i + R.IMM]);
  },
};
const ADC: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = adc32(m, m[(g >> 4) & 7], m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = adc32(m, m[p], b);
    else slow32(c, Alu.ADC, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = adc32(m, m[p], b);
    else slow32(c, Alu.ADC, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = adc32(m, m[g & 7], m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = adc32(m, m[g], b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = adc32(m, m[e], c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = adc32(m, m[0], c.code[i + R.IMM]);
  },
};
const SBB: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = sbb32(m, m[(g >> 4) & 7], m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = sbb32(m, m[p], b);
    else slow32(c, Alu.SBB, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = sbb32(m, m[p], b);
    else slow32(c, Alu.SBB, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = sbb32(m, m[g & 7], m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = sbb32(m, m[g], b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = sbb32(m, m[e], c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = sbb32(m, m[0], c.code[i + R.IMM]);
  },
};
const AND: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = logic(m, m[(g >> 4) & 7] & m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] & b);
    else slow32(c, Alu.AND, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] & b);
    else slow32(c, Alu.AND, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = logic(m, m[g & 7] & m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = logic(m, m[g] & b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = logic(m, m[e] & c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = logic(m, m[0] & c.code[i + R.IMM]);
  },
};
const SUB: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = sub32(m, m[(g >> 4) & 7], m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = sub32(m, m[p], b);
    else slow32(c, Alu.SUB, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = sub32(m, m[p], b);
    else slow32(c, Alu.SUB, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = sub32(m, m[g & 7], m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = sub32(m, m[g], b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = sub32(m, m[e], c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = sub32(m, m[0], c.code[i + R.IMM]);
  },
};
const XOR: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[(g >> 4) & 7] = logic(m, m[(g >> 4) & 7] ^ m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    const b = m[c.code[i + R.REGS] & 7];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] ^ b);
    else slow32(c, Alu.XOR, linear, b);
  },
  MI: (c, i) => {
    const m = c.m32;
    const b = c.code[i + R.IMM];
    const linear = linW(c, i, 4);
    const p = place32(c, linear);
    if (p >= 0) m[p] = logic(m, m[p] ^ b);
    else slow32(c, Alu.XOR, linear, b);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    m[g & 7] = logic(m, m[g & 7] ^ m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    m[g] = logic(m, m[g] ^ b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    m[e] = logic(m, m[e] ^ c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    m[0] = logic(m, m[0] ^ c.code[i + R.IMM]);
  },
};
const CMP: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    sub32(m, m[(g >> 4) & 7], m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    sub32(m, c.read32(linR(c, i, 4)), m[c.code[i + R.REGS] & 7]);
  },
  MI: (c, i) => {
    const m = c.m32;
    sub32(m, c.read32(linR(c, i, 4)), c.code[i + R.IMM]);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    sub32(m, m[g & 7], m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    sub32(m, m[g], b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    sub32(m, m[e], c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    sub32(m, m[0], c.code[i + R.IMM]);
  },
};
const TEST: Forms = {
  EG: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    logic(m, m[(g >> 4) & 7] & m[g & 7]);
  },
  MG: (c, i) => {
    const m = c.m32;
    logic(m, c.read32(linR(c, i, 4)) & m[c.code[i + R.REGS] & 7]);
  },
  MI: (c, i) => {
    const m = c.m32;
    logic(m, c.read32(linR(c, i, 4)) & c.code[i + R.IMM]);
  },
  GE: (c, i) => {
    const m = c.m32;
    const g = c.code[i + R.REGS];
    logic(m, m[g & 7] & m[(g >> 4) & 7]);
  },
  GM: (c, i) => {
    const m = c.m32;
    const b = c.read32(linR(c, i, 4));
    const g = c.code[i + R.REGS] & 7;
    logic(m, m[g] & b);
  },
  EI: (c, i) => {
    const m = c.m32;
    const e = (c.code[i + R.REGS] >> 4) & 7;
    logic(m, m[e] & c.code[i + R.IMM]);
  },
  AI: (c, i) => {
    const m = c.m32;
    logic(m, m[0] & c.code[i + R.IMM]);
  },
};
const FORMS32: Record<string, Forms> = { add: ADD, or: OR, adc: ADC, sbb: SBB, and: AND, sub: SUB, xor: XOR, cmp: CMP, test: TEST };

// ---- bytes and words -----------------------------------------------------------------------------------------------------------------------

/** Reads `a`, combines it with `b` and puts the result back, all within byte or word memory. */
const memory8 = (c: Cpu, op: Alu, linear: number, b: number): void => {
  const p = place8(c, linear);
  if (p >= 0) c.m8[p] = alu8(c.m32, op, c.m8[p], b);
  else c.write8(linear, alu8(c.m32, op, c.read8(linear), b) & 0xff);
};
const memory16 = (c: Cpu, op: Alu, linear: number, b: number): void => {
  const p = place16(c, linear);
  if (p >= 0) c.m16[p] = alu16(c.m32, op, c.m16[p], b);
  else c.write16(linear, alu16(c.m32, op, c.read16(linear), b) & 0xffff);
};

const bind8 = (op: Alu, args: string, memory: boolean): Handler => {
  const keeps = op !== Alu.CMP && op !== Alu.TEST;
  if (args === 'AL Ib') {
    return (c, i) => {
      const r = alu8(c.m32, op, c.m8[0], c.code[i + R.IMM]);
      if (keeps) c.m8[0] = r;
    };
  }
  if (args === 'Gb Eb') {
    return (c, i) => {
      const b = memory ? c.read8(linR(c, i, 1)) : c.m8[byteReg(rmField(c, i))];
      const g = byteReg(c.code[i + R.REGS] & 7);
      const r = alu8(c.m32, op, c.m8[g], b);
      if (keeps) c.m8[g] = r;
    };
  }
  const immediate = args === 'Eb Ib';
  if (!memory) {
    return (c, i) => {
      const e = byteReg(rmField(c, i));
      const r = alu8(c.m32, op, c.m8[e], immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
      if (keeps) c.m8[e] = r;
    };
  }
  if (keeps) return (c, i) => memory8(c, op, linW(c, i, 1), immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
  return (c, i) => {
    alu8(c.m32, op, c.read8(linR(c, i, 1)), immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
  };
};

const bind16 = (op: Alu, args: string, memory: boolean): Handler => {
  const keeps = op !== Alu.CMP && op !== Alu.TEST;
  if (args === 'eAX Iz') {
    return (c, i) => {
      const r = alu16(c.m32, op, c.m16[0], c.code[i + R.IMM]);
      if (keeps) c.m16[0] = r;
    };
  }
  if (args === 'Gv Ev') {
    return (c, i) => {
      const b = memory ? c.read16(linR(c, i, 2)) : c.m16[rmField(c, i) << 1];
      const g = (c.code[i + R.REGS] & 7) << 1;
      const r = alu16(c.m32, op, c.m16[g], b);
      if (keeps) c.m16[g] = r;
    };
  }
  const immediate = args !== 'Ev Gv';
  if (!memory) {
    return (c, i) => {
      const e = rmField(c, i) << 1;
      const r = alu16(c.m32, op, c.m16[e], immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
      if (keeps) c.m16[e] = r;
    };
  }
  if (keeps) return (c, i) => memory16(c, op, linW(c, i, 2), immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
  return (c, i) => {
    alu16(c.m32, op, c.read16(linR(c, i, 2)), immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
  };
};

const bind32 = (name: string, args: string, memory: boolean): Handler => {
  const forms = FORMS32[name];
  if (args === 'eAX Iz') return forms.AI;
  if (args === 'Gv Ev') return memory ? forms.GM : forms.GE;
  if (args === 'Ev Gv') return memory ? forms.MG : forms.EG;
  return memory ? forms.MI : forms.EI;
};

const bind = (row: Row, size: Size, memory: boolean): Handler => {
  if (size === 2) return bind32(row.name, row.args, memory);
  const op = NUMBERS[row.name];
  return size === 1 ? bind16(op, row.args, memory) : bind8(op, row.args, memory);
};

// ---- one operand ----------------------------------------------------------------------------------------------------------------------------

const bindStep = (row: Row, size: Size, memory: boolean): Handler => {
  const op = NUMBERS[row.name];
  const up = op === Alu.INC;
  if (size === 2 && !memory) {
    if (up) {
      return (c, i) => {
        const e = (c.code[i + R.REGS] >> 4) & 7;
        c.m32[e] = inc32(c.m32, c.m32[e]);
      };
    }
    return (c, i) => {
      const e = (c.code[i + R.REGS] >> 4) & 7;
      c.m32[e] = dec32(c.m32, c.m32[e]);
    };
  }
  if (size === 2) {
    return (c, i) => {
      const m = c.m32;
      const linear = linW(c, i, 4);
      const p = place32(c, linear);
      if (p >= 0) m[p] = up ? inc32(m, m[p]) : dec32(m, m[p]);
      else slow32(c, op, linear, 1);
    };
  }
  if (memory) return size === 1 ? (c, i) => memory16(c, op, linW(c, i, 2), 1) : (c, i) => memory8(c, op, linW(c, i, 1), 1);
  return (c, i) => setReg(c, size, rmField(c, i), alu(c.m32, size, op, getReg(c, size, rmField(c, i)), 1));
};

/** 0 - a, flags as of a subtraction. */
const bindNeg = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1 << size);
      c.probeWrite(linear, 1 << size);
      if (size === 2) c.write32(linear, sub32(c.m32, 0, c.read32(linear)));
      else if (size === 1) c.write16(linear, alu16(c.m32, Alu.SUB, 0, c.read16(linear)) & 0xffff);
      else c.write8(linear, alu8(c.m32, Alu.SUB, 0, c.read8(linear)) & 0xff);
    };
  }
  if (size === 2) {
    return (c, i) => {
      const e = (c.code[i + R.REGS] >> 4) & 7;
      c.m32[e] = sub32(c.m32, 0, c.m32[e]);
    };
  }
  return (c, i) => setReg(c, size, rmField(c, i), alu(c.m32, size, Alu.SUB, 0, getReg(c, size, rmField(c, i))));
};

const bindNot = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1 << size);
      c.probeWrite(linear, 1 << size);
      if (size === 2) c.write32(linear, ~c.read32(linear));
      else if (size === 1) c.write16(linear, ~c.read16(linear) & 0xffff);
      else c.write8(linear, ~c.read8(linear) & 0xff);
    };
  }
  return (c, i) => setReg(c, size, rmField(c, i), ~readE(c, i, size, false));
};

export const ALU: Binders = {
  add: bind,
  or: bind,
  adc: bind,
  sbb: bind,
  and: bind,
  sub: bind,
  xor: bind,
  cmp: bind,
  test: bind,
  inc: bindStep,
  dec: bindStep,
  neg: bindNeg,
  not: bindNot,
};
