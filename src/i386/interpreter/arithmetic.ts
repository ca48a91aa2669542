// Addition, subtraction, logic and comparison as functions of two numbers: they return the result and set FLAG_RESULT and FLAG_AUX.
//
// The handlers (alu.ts, alu-forms.ts) and every instruction that compares or adds on the way (string.ts, misc.ts) share them. The 32-bit ones stand alone
// so that V8 can inline them; bytes and words go through one function with a switch. Flags: see ../flags.ts. Source: SDM vol. 2, each mnemonic.

import { AUX_MASK, aux8, aux16 } from '../flags';
import { W } from '../state';
import type { Size } from './operands';

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
