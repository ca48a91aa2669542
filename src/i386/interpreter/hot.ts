// The hot path of the interpreter: runs the records of a block with the commonest forms written out inside one loop.
//
// Calling a handler through the table costs more than most instructions do. About a hundred forms make up nearly all of what programs execute; they are the
// cases of one dense switch here, with registers, TLB bases and segment checks at hand. A case takes only the plain road: 32-bit operand and address, flat
// segment, page in the TLB, aligned. Whatever else there is (`break slow`) goes to HANDLERS, which can do everything; the two must agree, and a test says so.

import type { Cpu } from '../cpu';
import { M, R, RECORD } from '../decode';
import type { Row } from '../opcodes';
import { ROW_SIZE, ROWS } from '../rows';
import { CS, DS, EAX, EBX, ESP, PAGE, RAM_BASE, S, SS, W } from '../state';
import { Alu, alu, alu8 } from './arithmetic';
import { byteReg, type Handler } from './operands';
import { sar32, shl32, shr32 } from './shift';

/** One number for each form with a case below; 0 = ask HANDLERS. */
const enum H {
  NONE = 0,
  MOV_EG = 1,
  MOV_GE = 2,
  MOV_EI = 3,
  MOV_GM = 4,
  MOV_MG = 5,
  MOV_MI = 6,
  MOV_AO = 7,
  MOV_OA = 8,
  MOVB_GM = 9,
  MOVB_MG = 10,
  MOVB_MI = 11,
  MOVZX_B_M = 12,
  MOVSX_B_M = 13,
  MOVZX_B_E = 14,
  MOVZX_W_M = 15,
  MOVZX_W_E = 16,
  LEA = 17,
  PUSH_Z = 18,
  PUSH_I = 19,
  POP_Z = 20,
  ADD_EG = 21,
  ADD_GE = 22,
  ADD_GM = 23,
  ADD_EI = 24,
  ADD_AI = 25,
  SUB_EG = 26,
  SUB_GE = 27,
  SUB_GM = 28,
  SUB_EI = 29,
  SUB_AI = 30,
  AND_EG = 31,
  AND_GE = 32,
  AND_GM = 33,
  AND_EI = 34,
  AND_AI = 35,
  OR_EG = 36,
  OR_GE = 37,
  OR_GM = 38,
  OR_EI = 39,
  XOR_EG = 40,
  XOR_GE = 41,
  XOR_GM = 42,
  XOR_EI = 43,
  CMP_EG = 44,
  CMP_GE = 45,
  CMP_GM = 46,
  CMP_EI = 47,
  CMP_AI = 48,
  CMP_MG = 49,
  CMP_MI = 50,
  TEST_EG = 51,
  TEST_EI = 52,
  TEST_AI = 53,
  TEST_MG = 54,
  TEST_MI = 55,
  RMW_MG = 56,
  RMW_MI = 57,
  ALUB_MI = 58,
  ALUB_GM = 59,
  ALUB_EI = 60,
  ALUB_EG = 61,
  INC_Z = 62,
  DEC_Z = 63,
  SHL_EI = 64,
  SHL_E1 = 65,
  SHR_EI = 66,
  SHR_E1 = 67,
  SAR_EI = 68,
  SAR_E1 = 69,
  NOP = 70,
  JO = 71,
  JNO = 72,
  JB = 73,
  JAE = 74,
  JE = 75,
  JNE = 76,
  JBE = 77,
  JA = 78,
  JS = 79,
  JNS = 80,
  JL = 81,
  JGE = 82,
  JLE = 83,
  JG = 84,
  JMP = 85,
  CALL = 86,
  RET = 87,
}

const CONDITIONS = [H.JO, H.JNO, H.JB, H.JAE, H.JE, H.JNE, H.JBE, H.JA, H.JS, H.JNS, 0, 0, H.JL, H.JGE, H.JLE, H.JG];
const ARITHMETIC: Record<string, { alu: Alu; EG: H; GE: H; GM: H; EI: H; AI: H; MG: H; MI: H }> = {
  add: { alu: Alu.ADD, EG: H.ADD_EG, GE: H.ADD_GE, GM: H.ADD_GM, EI: H.ADD_EI, AI: H.ADD_AI, MG: H.RMW_MG, MI: H.RMW_MI },
  or: { alu: Alu.OR, EG: H.OR_EG, GE: H.OR_GE, GM: H.OR_GM, EI: H.OR_EI, AI: H.NONE, MG: H.RMW_MG, MI: H.RMW_MI },
  and: { alu: Alu.AND, EG: H.AND_EG, GE: H.AND_GE, GM: H.AND_GM, EI: H.AND_EI, AI: H.AND_AI, MG: H.RMW_MG, MI: H.RMW_MI },
  sub: { alu: Alu.SUB, EG: H.SUB_EG, GE: H.SUB_GE, GM: H.SUB_GM, EI: H.SUB_EI, AI: H.SUB_AI, MG: H.RMW_MG, MI: H.RMW_MI },
  xor: { alu: Alu.XOR, EG: H.XOR_EG, GE: H.XOR_GE, GM: H.XOR_GM, EI: H.XOR_EI, AI: H.NONE, MG: H.RMW_MG, MI: H.RMW_MI },
  cmp: { alu: Alu.CMP, EG: H.CMP_EG, GE: H.CMP_GE, GM: H.CMP_GM, EI: H.CMP_EI, AI: H.CMP_AI, MG: H.CMP_MG, MI: H.CMP_MI },
  test: { alu: Alu.TEST, EG: H.TEST_EG, GE: H.NONE, GM: H.NONE, EI: H.TEST_EI, AI: H.TEST_AI, MG: H.TEST_MG, MI: H.TEST_MI },
  inc: { alu: Alu.INC, EG: H.NONE, GE: H.NONE, GM: H.NONE, EI: H.NONE, AI: H.NONE, MG: H.NONE, MI: H.RMW_MI },
  dec: { alu: Alu.DEC, EG: H.NONE, GE: H.NONE, GM: H.NONE, EI: H.NONE, AI: H.NONE, MG: H.NONE, MI: H.RMW_MI },
};
const SHIFTS: Record<string, [immediate: H, once: H]> = { shl: [H.SHL_EI, H.SHL_E1], shr: [H.SHR_EI, H.SHR_E1], sar: [H.SAR_EI, H.SAR_E1] };

/** Which case, if any, runs a 32-bit form of a row. */
const hot32 = (row: Row, memory: boolean): H => {
  const { name, args } = row;
  const cc = name[0] === 'j' && (args === 'Jb' || args === 'Jz') && name !== 'jmp' && name !== 'jcxz' ? CONDITIONS[row.op & 15] : 0;
  if (cc !== 0) return cc;
  const arithmetic = ARITHMETIC[name];
  if (arithmetic !== undefined) {
    if (args === 'Zv') return name === 'inc' ? H.INC_Z : H.DEC_Z;
    if (args === 'Ev') return memory ? arithmetic.MI : name === 'inc' ? H.INC_Z : H.DEC_Z;
    if (args === 'Ev Gv') return memory ? arithmetic.MG : arithmetic.EG;
    if (args === 'Gv Ev') return memory ? arithmetic.GM : arithmetic.GE;
    if (args === 'eAX Iz') return arithmetic.AI;
    return memory ? arithmetic.MI : arithmetic.EI;
  }
  const once = SHIFTS[name];
  if (once !== undefined) return memory || args === 'Ev CL' ? H.NONE : once[args === 'Ev 1' ? 1 : 0];
  switch (`${name} ${args}`) {
    case 'mov Ev Gv':
      return memory ? H.MOV_MG : H.MOV_EG;
    case 'mov Gv Ev':
      return memory ? H.MOV_GM : H.MOV_GE;
    case 'mov Zv Iv':
    case 'mov Ev Iz':
      return memory ? H.MOV_MI : H.MOV_EI;
    case 'mov eAX Ov':
      return H.MOV_AO;
    case 'mov Ov eAX':
      return H.MOV_OA;
    case 'movzx_b Gv Eb':
      return memory ? H.MOVZX_B_M : H.MOVZX_B_E;
    case 'movsx_b Gv Eb':
      return memory ? H.MOVSX_B_M : H.NONE;
    case 'movzx_w Gv Ew':
      return memory ? H.MOVZX_W_M : H.MOVZX_W_E;
    case 'lea Gv M':
      return H.LEA;
    case 'push Zv':
      return H.PUSH_Z;
    case 'push Iz':
    case 'push Ibs':
      return H.PUSH_I;
    case 'pop Zv':
      return H.POP_Z;
    case 'xchg Zv eAX':
      return row.op === 0x90 ? H.NOP : H.NONE;
    case 'jmp Jb':
    case 'jmp Jz':
      return H.JMP;
    case 'call Jz':
      return H.CALL;
    case 'ret ':
      return H.RET;
    default:
      return H.NONE;
  }
};

/** The same for a byte form: moves, and comparisons that write nothing. */
const hot8 = (row: Row, memory: boolean): H => {
  const { name, args } = row;
  if (name === 'mov') {
    if (!memory) return H.NONE;
    return args === 'Gb Eb' ? H.MOVB_GM : args === 'Eb Gb' ? H.MOVB_MG : args === 'Eb Ib' ? H.MOVB_MI : H.NONE;
  }
  if (name !== 'cmp' && name !== 'test') return H.NONE;
  if (args === 'Eb Ib') return memory ? H.ALUB_MI : H.ALUB_EI;
  if (args === 'Gb Eb') return memory ? H.ALUB_GM : H.NONE;
  return args === 'Eb Gb' && !memory ? H.ALUB_EG : H.NONE;
};

/** By form (see R.FORM): the case that runs it. */
export const HOT = new Uint8Array(ROWS.length * 8);
/** By form: its Alu number. */
const ALU_OF = new Uint8Array(ROWS.length * 8);
ROWS.forEach((row, number) => {
  const bytes = ROW_SIZE[number] === 0;
  for (let memory = 0; memory < 2; memory++) {
    const form = number * 8 + (bytes ? 0 : 4) + memory;
    HOT[form] = bytes ? hot8(row, memory === 1) : hot32(row, memory === 1);
    ALU_OF[form] = ARITHMETIC[row.name]?.alu ?? 0;
  }
});

/** Bits of FLAG_AUX that arithmetic writes, and its carry bit. */
const enum Bits {
  AUX = -0x3ffffff8,
  CARRY = -0x80000000,
}

/**
 * Runs the records from index `first` to index `last` (inclusive) of c.code; `handlers` is HANDLERS.
 * c.blockEip is set. On return m32[W.EIP] is where to go on; c.cur is the record at work, for whoever catches a fault.
 */
export const runRecords = (c: Cpu, first: number, last: number, handlers: Handler[]): void => {
  const m = c.m32;
  const { m8, m16, code: k, tr, tw, blockEip: eip } = c;
  const readable = m[W.FLAT];
  const writable = readable & ~(1 << CS);
  const stack = m[W.SS_BIG] !== 0 && ((readable >> SS) & 1) !== 0;
  m[W.EIP] = (eip + k[last + R.END]) | 0;
  for (let i = first; i <= last; i += RECORD) {
    c.cur = i;
    // biome-ignore lint/suspicious/noConfusingLabels: the two ways out of the switch
    slow: {
      // biome-ignore lint/suspicious/noConfusingLabels: as above
      jump: {
        switch (HOT[k[i]]) {
          case H.MOV_EG: {
            const g = k[i + R.REGS];
            m[(g >> 4) & 7] = m[g & 7];
            continue;
          }
          case H.MOV_GE: {
            const g = k[i + R.REGS];
            m[g & 7] = m[(g >> 4) & 7];
            continue;
          }
          case H.MOV_EI:
            m[(k[i + R.REGS] >> 4) & 7] = k[i + R.IMM];
            continue;
          case H.MOV_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[k[i + R.REGS] & 7] = m[(a + t) >> 2];
            continue;
          }
          case H.MOV_MG: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[(a + t) >> 2] = m[k[i + R.REGS] & 7];
            continue;
          }
          case H.MOV_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[(a + t) >> 2] = k[i + R.IMM];
            continue;
          }
          case H.MOV_AO: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[EAX] = m[(a + t) >> 2];
            continue;
          }
          case H.MOV_OA: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[(a + t) >> 2] = m[EAX];
            continue;
          }
          case H.MOVB_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const g = k[i + R.REGS];
            m8[((g & 3) << 2) | ((g >> 2) & 1)] = m8[(a + t) | 0];
            continue;
          }
          case H.MOVB_MG: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const g = k[i + R.REGS];
            m8[(a + t) | 0] = m8[((g & 3) << 2) | ((g >> 2) & 1)];
            continue;
          }
          case H.MOVB_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m8[(a + t) | 0] = k[i + R.IMM];
            continue;
          }
          case H.MOVZX_B_M: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[k[i + R.REGS] & 7] = m8[(a + t) | 0];
            continue;
          }
          case H.MOVSX_B_M: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[k[i + R.REGS] & 7] = (m8[(a + t) | 0] << 24) >> 24;
            continue;
          }
          case H.MOVZX_B_E: {
            const g = k[i + R.REGS];
            m[g & 7] = m8[((g >> 2) & 12) | ((g >> 6) & 1)];
            continue;
          }
          case H.MOVZX_W_M: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            m[k[i + R.REGS] & 7] = m16[(a + t) >> 1];
            continue;
          }
          case H.MOVZX_W_E: {
            const g = k[i + R.REGS];
            m[g & 7] = m[(g >> 4) & 7] & 0xffff;
            continue;
          }
          case H.LEA: {
            const e = k[i + R.EA];
            if ((k[i + R.META] & M.ADDR16) !== 0) break slow;
            m[k[i + R.REGS] & 7] = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            continue;
          }
          case H.PUSH_Z: {
            const esp = (m[ESP] - 4) | 0;
            const t = m[tw + (esp >>> 12)];
            if (!stack || ((t | esp) & 3) !== 0) break slow;
            m[(esp + t) >> 2] = m[(k[i + R.REGS] >> 4) & 7];
            m[ESP] = esp;
            continue;
          }
          case H.PUSH_I: {
            const esp = (m[ESP] - 4) | 0;
            const t = m[tw + (esp >>> 12)];
            if (!stack || ((t | esp) & 3) !== 0) break slow;
            m[(esp + t) >> 2] = k[i + R.IMM];
            m[ESP] = esp;
            continue;
          }
          case H.POP_Z: {
            const esp = m[ESP];
            const t = m[tr + (esp >>> 12)];
            if (!stack || ((t | esp) & 3) !== 0) break slow;
            m[ESP] = (esp + 4) | 0;
            m[(k[i + R.REGS] >> 4) & 7] = m[(esp + t) >> 2];
            continue;
          }
          case H.ADD_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = (x + y) | 0;
            m[W.FLAG_AUX] = ((x & y) | ((x | y) & ~r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.ADD_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = (x + y) | 0;
            m[W.FLAG_AUX] = ((x & y) | ((x | y) & ~r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.ADD_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = (x + y) | 0;
            m[W.FLAG_AUX] = ((x & y) | ((x | y) & ~r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.ADD_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = (x + y) | 0;
            m[W.FLAG_AUX] = ((x & y) | ((x | y) & ~r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.ADD_AI: {
            const x = m[EAX];
            const y = k[i + R.IMM];
            const r = (x + y) | 0;
            m[W.FLAG_AUX] = ((x & y) | ((x | y) & ~r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[EAX] = r;
            continue;
          }
          case H.SUB_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.SUB_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.SUB_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.SUB_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.SUB_AI: {
            const x = m[EAX];
            const y = k[i + R.IMM];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            m[EAX] = r;
            continue;
          }
          case H.AND_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.AND_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.AND_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.AND_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.AND_AI: {
            const x = m[EAX];
            const y = k[i + R.IMM];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[EAX] = r;
            continue;
          }
          case H.OR_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = x | y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.OR_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = x | y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.OR_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = x | y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.OR_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = x | y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.XOR_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = x ^ y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.XOR_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = x ^ y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.XOR_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = x ^ y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.XOR_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = x ^ y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.CMP_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_GE: {
            const g = k[i + R.REGS];
            const d = g & 7;
            const x = m[d];
            const y = m[(g >> 4) & 7];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const d = k[i + R.REGS] & 7;
            const x = m[d];
            const y = m[(a + t) >> 2];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_AI: {
            const x = m[EAX];
            const y = k[i + R.IMM];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_MG: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const x = m[(a + t) >> 2];
            const y = m[k[i + R.REGS] & 7];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.CMP_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const x = m[(a + t) >> 2];
            const y = k[i + R.IMM];
            const r = (x - y) | 0;
            m[W.FLAG_AUX] = ((~x & y) | ((~x | y) & r)) & Bits.AUX;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.TEST_EG: {
            const g = k[i + R.REGS];
            const d = (g >> 4) & 7;
            const x = m[d];
            const y = m[g & 7];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.TEST_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const y = k[i + R.IMM];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.TEST_AI: {
            const x = m[EAX];
            const y = k[i + R.IMM];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.TEST_MG: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const x = m[(a + t) >> 2];
            const y = m[k[i + R.REGS] & 7];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.TEST_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const x = m[(a + t) >> 2];
            const y = k[i + R.IMM];
            const r = x & y;
            m[W.FLAG_AUX] = 0;
            m[W.FLAG_RESULT] = r;
            continue;
          }
          case H.RMW_MG: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const p = (a + t) >> 2;
            m[p] = alu(m, 2, ALU_OF[k[i]], m[p], m[k[i + R.REGS] & 7]);
            continue;
          }
          case H.RMW_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tw + (a >>> 12)];
            if (((t | a) & 3) !== 0 || (meta & M.ADDR16) !== 0 || ((writable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            const p = (a + t) >> 2;
            m[p] = alu(m, 2, ALU_OF[k[i]], m[p], k[i + R.IMM]);
            continue;
          }
          case H.ALUB_MI: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            alu8(m, ALU_OF[k[i]], m8[(a + t) | 0], k[i + R.IMM]);
            continue;
          }
          case H.ALUB_GM: {
            const e = k[i + R.EA];
            const a = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
            const meta = k[i + R.META];
            const t = m[tr + (a >>> 12)];
            if ((t & 1) !== 0 || (meta & M.ADDR16) !== 0 || ((readable >> ((meta >> M.SEG_SHIFT) & 7)) & 1) === 0) break slow;
            alu8(m, ALU_OF[k[i]], m8[byteReg(k[i + R.REGS] & 7)], m8[(a + t) | 0]);
            continue;
          }
          case H.ALUB_EI:
            alu8(m, ALU_OF[k[i]], m8[byteReg((k[i + R.REGS] >> 4) & 7)], k[i + R.IMM]);
            continue;
          case H.ALUB_EG: {
            const g = k[i + R.REGS];
            alu8(m, ALU_OF[k[i]], m8[byteReg((g >> 4) & 7)], m8[byteReg(g & 7)]);
            continue;
          }
          case H.INC_Z: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const r = (x + 1) | 0;
            const cf = m[W.FLAG_AUX] & Bits.CARRY;
            m[W.FLAG_AUX] = cf | ((((~x & r) ^ cf) >>> 1) & 0x40000000) | (x & ~r & 8);
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.DEC_Z: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const x = m[d];
            const r = (x - 1) | 0;
            const cf = m[W.FLAG_AUX] & Bits.CARRY;
            m[W.FLAG_AUX] = cf | ((((x & ~r) ^ cf) >>> 1) & 0x40000000) | (~x & r & 8);
            m[W.FLAG_RESULT] = r;
            m[d] = r;
            continue;
          }
          case H.SHL_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const n = k[i + R.IMM] & 31;
            if (n !== 0) m[d] = shl32(m, m[d], n);
            continue;
          }
          case H.SHL_E1: {
            const d = (k[i + R.REGS] >> 4) & 7;
            m[d] = shl32(m, m[d], 1);
            continue;
          }
          case H.SHR_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const n = k[i + R.IMM] & 31;
            if (n !== 0) m[d] = shr32(m, m[d], n);
            continue;
          }
          case H.SHR_E1: {
            const d = (k[i + R.REGS] >> 4) & 7;
            m[d] = shr32(m, m[d], 1);
            continue;
          }
          case H.SAR_EI: {
            const d = (k[i + R.REGS] >> 4) & 7;
            const n = k[i + R.IMM] & 31;
            if (n !== 0) m[d] = sar32(m, m[d], n);
            continue;
          }
          case H.SAR_E1: {
            const d = (k[i + R.REGS] >> 4) & 7;
            m[d] = sar32(m, m[d], 1);
            continue;
          }
          case H.NOP:
            continue;
          case H.JO:
            if ((m[W.FLAG_AUX] ^ (m[W.FLAG_AUX] << 1)) < 0) break jump;
            continue;
          case H.JNO:
            if ((m[W.FLAG_AUX] ^ (m[W.FLAG_AUX] << 1)) >= 0) break jump;
            continue;
          case H.JB:
            if (m[W.FLAG_AUX] < 0) break jump;
            continue;
          case H.JAE:
            if (m[W.FLAG_AUX] >= 0) break jump;
            continue;
          case H.JE:
            if (m[W.FLAG_RESULT] === 0) break jump;
            continue;
          case H.JNE:
            if (m[W.FLAG_RESULT] !== 0) break jump;
            continue;
          case H.JBE:
            if (m[W.FLAG_AUX] < 0 || m[W.FLAG_RESULT] === 0) break jump;
            continue;
          case H.JA:
            if (m[W.FLAG_AUX] >= 0 && m[W.FLAG_RESULT] !== 0) break jump;
            continue;
          case H.JS:
            if ((m[W.FLAG_RESULT] ^ (m[W.FLAG_AUX] << 31)) < 0) break jump;
            continue;
          case H.JNS:
            if ((m[W.FLAG_RESULT] ^ (m[W.FLAG_AUX] << 31)) >= 0) break jump;
            continue;
          case H.JL: {
            const x = m[W.FLAG_AUX];
            if ((m[W.FLAG_RESULT] ^ (x << 31) ^ x ^ (x << 1)) < 0) break jump;
            continue;
          }
          case H.JGE: {
            const x = m[W.FLAG_AUX];
            if ((m[W.FLAG_RESULT] ^ (x << 31) ^ x ^ (x << 1)) >= 0) break jump;
            continue;
          }
          case H.JLE: {
            const x = m[W.FLAG_AUX];
            if (m[W.FLAG_RESULT] === 0 || (m[W.FLAG_RESULT] ^ (x << 31) ^ x ^ (x << 1)) < 0) break jump;
            continue;
          }
          case H.JG: {
            const x = m[W.FLAG_AUX];
            if (m[W.FLAG_RESULT] !== 0 && (m[W.FLAG_RESULT] ^ (x << 31) ^ x ^ (x << 1)) >= 0) break jump;
            continue;
          }
          case H.JMP:
            break jump;
          case H.CALL: {
            const esp = (m[ESP] - 4) | 0;
            const t = m[tw + (esp >>> 12)];
            if (!stack || m[W.LIMIT + CS] !== -1 || ((t | esp) & 3) !== 0) break slow;
            const back = (eip + k[i + R.END]) | 0;
            m[(esp + t) >> 2] = back;
            m[ESP] = esp;
            m[W.EIP] = (back + k[i + R.IMM]) | 0;
            continue;
          }
          case H.RET: {
            const esp = m[ESP];
            const t = m[tr + (esp >>> 12)];
            if (!stack || m[W.LIMIT + CS] !== -1 || ((t | esp) & 3) !== 0) break slow;
            m[ESP] = (esp + 4) | 0;
            m[W.EIP] = m[(esp + t) >> 2];
            continue;
          }
          default:
            break slow;
        }
      }
      // A jump that is taken.
      if (m[W.LIMIT + CS] !== -1) break slow;
      m[W.EIP] = (eip + k[i + R.END] + k[i + R.IMM]) | 0;
      continue;
    }
    handlers[k[i]](c, i);
  }
};

let warmed = false;

/**
 * Runs every case a few times on a processor that has not started yet, once in a program's life. Without this the engine would compile the loop knowing
 * only the cases seen so far and throw the code away at the first new one, again and again while a Guest boots. Leaves no trace in the processor.
 */
export const warmUp = (c: Cpu, handlers: Handler[]): void => {
  if (warmed) return;
  warmed = true;
  const m = c.m32;
  const state = m.slice(0, S.END >> 2);
  const page = c.m8.slice(RAM_BASE, RAM_BASE + PAGE);
  const { blockEip, cur } = c;
  const record = c.code.slice(0, RECORD);
  c.write32(0x100, 0);
  for (let round = 0; round < 4; round++) {
    for (let form = 0; form < HOT.length; form++) {
      if (HOT[form] === 0) continue;
      for (let n = 0; n < 8; n++) m[n] = round & 1 ? 0x87654321 + n : n;
      m[EBX] = 0x100;
      m[ESP] = 0x200;
      m[W.FLAG_RESULT] = round & 1 ? 0 : -5;
      m[W.FLAG_AUX] = round & 2 ? Bits.CARRY : 0;
      m[W.FLAT] = 0x3f;
      m[W.SS_BIG] = 1;
      m[W.LIMIT + CS] = -1;
      // [ebx + 8] in DS, or unaligned at ebx + 9, so that the slow road is known too; reg ecx, rm edx, immediate 3.
      m[ESP] += round & 1;
      c.code.set([form, 2 | (DS << M.SEG_SHIFT) | (form & 1 ? M.MEMORY : 0), 0x21, EBX | (8 << 4), 8 + (round & 1), 3, 0, 2]);
      runRecords(c, 0, 0, handlers);
      // The same form without a case: straight to its handler.
      c.code[R.META] |= M.ADDR16;
      if (form & 1) runRecords(c, 0, 0, handlers);
    }
  }
  m.set(state);
  c.m8.set(page, RAM_BASE);
  c.code.set(record);
  c.blockEip = blockEip;
  c.cur = cur;
  c.flushTlb();
};
