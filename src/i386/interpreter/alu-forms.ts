// The hot 32-bit forms of the two-operand arithmetic instructions, written out: nine instructions, seven forms each.
//
// Each handler is a function of its own on purpose: V8 inlines the arithmetic and the address checks into it, and no handler decides at run time what its
// operands are. Everything here is the same seven shapes; what they compute is in arithmetic.ts. Memory destinations are changed in place where the TLB allows it.

import type { Cpu } from '../cpu';
import { R } from '../decode';
import { Alu, adc32, add32, alu, logic, sbb32, sub32 } from './arithmetic';
import { type Handler, linR, linW, place32 } from './operands';

/** Read-modify-write of a memory dword that cannot be done in place. */
export const slow32 = (c: Cpu, op: Alu, linear: number, b: number): void => c.write32(linear, alu(c.m32, 2, op, c.read32(linear), b));

/** One instruction's forms: E = rm register, M = memory, G = reg, I = immediate, A = eAX; destination first. */
export interface Forms {
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
/** By mnemonic. */
export const FORMS32: Record<string, Forms> = { add: ADD, or: OR, adc: ADC, sbb: SBB, and: AND, sub: SUB, xor: XOR, cmp: CMP, test: TEST };
