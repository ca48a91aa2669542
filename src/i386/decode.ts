// The decoder: bytes to one record of eight int32 that interpreter and translator share.
//
// It is driven by the opcode list (rows.ts) and knows nothing of what an instruction does. It reads from a byte array and says when it needs more bytes,
// so that page crossings, segment limits and the 15-byte limit stay with the caller, who knows which fault they are.
// Record fields are at the indexes R below.

import { CASE_OF } from './quick/forms';
import { BY_MODRM, HAS_MODRM, IMM, LOOKUP, ROW_BITS, ROW_IMM, ROW_SIZE, X87_REG } from './rows';

/** Indexes into a record. */
export const enum R {
  /** row * 8 + size * 2 + memory; size 0 byte, 1 word, 2 dword; memory 1 when an operand is in memory. */
  FORM = 0,
  /** See M. */
  META = 1,
  /** Bits 0-2 ModR/M reg; bits 4-6 rm or the register in the opcode; bits 8-15 the whole ModR/M byte. */
  REGS = 2,
  /** base | index << 4 | scale << 8; 8 = none (that register word is always zero). */
  EA = 3,
  DISP = 4,
  IMM = 5,
  IMM2 = 6,
  /** Bytes from the block's first instruction to the end of this one. */
  END = 7,
}
export const RECORD = 8;

/** Bits of the META field. */
export const enum M {
  LENGTH = 0xf,
  /** Segment of the memory operand (override applied), bits 4-6. */
  SEG_SHIFT = 4,
  /** 0x100: F2, 0x200: F3 (the last one given). */
  REPNE = 0x100,
  REPE = 0x200,
  REP = 0x300,
  LOCK = 0x400,
  ADDR16 = 0x800,
  OP16 = 0x1000,
  MEMORY = 0x2000,
  OVERRIDE = 0x4000,
  ENDS = 0x8000,
  /** Bits 16 on: number of the case of the quick interpreter that may run it (quick/forms.ts), 0 = none. */
  CASE_SHIFT = 16,
  WITHOUT_CASE = 0xffff,
}

/** Result of decode(): a length, or one of these. */
export const NEED_MORE = 0;
const NONE = 8;

/** ES, SS and DS; the quick interpreter takes them for flat. */
const PLAIN_SEGMENT = [true, false, true, true, false, false];
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX16 = [6, 7, 6, 7, NONE, NONE, NONE, NONE];
const SS_DEFAULT16 = [0, 0, 1, 1, 0, 0, 1, 0];

/**
 * Decodes one instruction.
 * @param src bytes, `at` the first one, `end` one past the last that may be read.
 * @param big true in a 32-bit code segment.
 * @param out,o record to fill, from index o.
 * @returns the length (1-15), or NEED_MORE when `end` was reached first. An encoding that does not exist gives row 0 ("ud") with the length seen so far.
 */
export const decode = (src: Uint8Array, at: number, end: number, big: boolean, out: Int32Array, o: number): number => {
  let p = at;
  let op16 = !big;
  let addr16 = !big;
  let seg = -1;
  let rep = 0;
  let overridden = 0;
  let lock = false;
  let pfx66 = false;
  let byte: number;
  for (;;) {
    if (p >= end) return NEED_MORE;
    byte = src[p++];
    if (byte === 0x66) {
      op16 = big;
      pfx66 = true;
    } else if (byte === 0x67) addr16 = big;
    else if (byte === 0xf3) rep = M.REPE;
    else if (byte === 0xf2) rep = M.REPNE;
    else if (byte === 0xf0) lock = true;
    else if (byte === 0x2e) seg = 1;
    else if (byte === 0x36) seg = 2;
    else if (byte === 0x3e) seg = 3;
    else if (byte === 0x26) seg = 0;
    else if (byte === 0x64) seg = 4;
    else if (byte === 0x65) seg = 5;
    else break;
  }
  let map = 0;
  let opcode = byte;
  if (byte === 0x0f) {
    if (p >= end) return NEED_MORE;
    map = 1;
    opcode = src[p++];
  }
  const pfx = rep === M.REPE ? 2 : rep === M.REPNE ? 3 : pfx66 ? 1 : 0;
  const at16 = (((map * 4 + pfx) << 8) | opcode) << 4;
  let row: number;
  let memory = 0;
  let regs = 0;
  let ea = NONE | (NONE << 4);
  let disp = 0;
  let defaultSeg = 3;
  if (HAS_MODRM[(map << 8) | opcode]) {
    if (p >= end) return NEED_MORE;
    const modrm = src[p++];
    const reg = (modrm >> 3) & 7;
    const rm = modrm & 7;
    regs = reg | (rm << 4) | (modrm << 8);
    if (modrm >= 0xc0) {
      row = map === 0 && (opcode & 0xf8) === 0xd8 ? X87_REG[((opcode - 0xd8) << 6) | (modrm - 0xc0)] : LOOKUP[at16 | 8 | reg];
      if (row === 0 && map === 1) row = BY_MODRM.get(0x10000 | (opcode << 8) | modrm) ?? 0;
    } else {
      row = LOOKUP[at16 | reg];
      if (row !== 0 && ROW_BITS[row] & 4) {
        // Control and debug register moves take the rm field as a register whatever mod says.
      } else {
        memory = 1;
        const mod = modrm >> 6;
        if (addr16) {
          let dispSize = mod;
          ea = BASE16[rm] | (INDEX16[rm] << 4);
          if (mod === 0 && rm === 6) {
            ea = NONE | (NONE << 4);
            dispSize = 2;
          } else if (SS_DEFAULT16[rm]) defaultSeg = 2;
          if (p + dispSize > end) return NEED_MORE;
          if (dispSize === 1) disp = (src[p] << 24) >> 24;
          else if (dispSize === 2) disp = src[p] | (src[p + 1] << 8);
          p += dispSize;
        } else {
          let base = rm;
          let index = NONE;
          let scale = 0;
          let dispSize = mod === 2 ? 4 : mod;
          if (rm === 4) {
            if (p >= end) return NEED_MORE;
            const sib = src[p++];
            base = sib & 7;
            scale = sib >> 6;
            index = (sib >> 3) & 7;
            if (index === 4) {
              index = NONE;
              scale = 0;
            }
          }
          if (base === 5 && mod === 0) {
            base = NONE;
            dispSize = 4;
          } else if (base === 4 || base === 5) defaultSeg = 2;
          ea = base | (index << 4) | (scale << 8);
          if (p + dispSize > end) return NEED_MORE;
          if (dispSize === 1) disp = (src[p] << 24) >> 24;
          else if (dispSize === 4) disp = src[p] | (src[p + 1] << 8) | (src[p + 2] << 16) | (src[p + 3] << 24);
          p += dispSize;
        }
      }
    }
  } else {
    row = LOOKUP[at16];
    regs = (opcode & 7) << 4;
  }
  let imm = 0;
  let imm2 = 0;
  switch (ROW_IMM[row]) {
    case IMM.NONE:
      break;
    case IMM.IB:
      if (p >= end) return NEED_MORE;
      imm = src[p++];
      break;
    case IMM.IBS:
    case IMM.JB:
      if (p >= end) return NEED_MORE;
      imm = (src[p++] << 24) >> 24;
      break;
    case IMM.IW:
      if (p + 2 > end) return NEED_MORE;
      imm = src[p] | (src[p + 1] << 8);
      p += 2;
      break;
    case IMM.IW_IB:
      if (p + 3 > end) return NEED_MORE;
      imm = src[p] | (src[p + 1] << 8);
      imm2 = src[p + 2];
      p += 3;
      break;
    case IMM.IZ:
    case IMM.JZ:
    case IMM.AP: {
      const jump = ROW_IMM[row] === IMM.JZ;
      if (op16) {
        if (p + 2 > end) return NEED_MORE;
        imm = src[p] | (src[p + 1] << 8);
        if (jump) imm = (imm << 16) >> 16;
        p += 2;
      } else {
        if (p + 4 > end) return NEED_MORE;
        imm = src[p] | (src[p + 1] << 8) | (src[p + 2] << 16) | (src[p + 3] << 24);
        p += 4;
      }
      if (ROW_IMM[row] === IMM.AP) {
        if (p + 2 > end) return NEED_MORE;
        imm2 = src[p] | (src[p + 1] << 8);
        p += 2;
      }
      break;
    }
    case IMM.MOFFS: {
      memory = 1;
      const n = addr16 ? 2 : 4;
      if (p + n > end) return NEED_MORE;
      disp = src[p] | (src[p + 1] << 8);
      if (!addr16) disp |= (src[p + 2] << 16) | (src[p + 3] << 24);
      p += n;
      break;
    }
  }
  const bits = ROW_BITS[row];
  if (lock && !(bits & 2 && memory)) row = 0;
  const size = ROW_SIZE[row] === 3 ? (op16 ? 1 : 2) : ROW_SIZE[row];
  const length = p - at;
  const form = row * 8 + size * 2 + memory;
  if (seg < 0) seg = defaultSeg;
  else overridden = M.OVERRIDE;
  // Plain: 32-bit addresses, no repetition, and an operand in ES, SS or DS.
  const plain = !addr16 && ((bits & 8) === 0 ? memory === 0 || PLAIN_SEGMENT[seg] : rep === 0 && PLAIN_SEGMENT[seg]);
  out[o + R.FORM] = form;
  out[o + R.META] =
    (plain ? CASE_OF[form] << M.CASE_SHIFT : 0) |
    (length & 15) |
    (seg << M.SEG_SHIFT) |
    rep |
    (lock ? M.LOCK : 0) |
    (addr16 ? M.ADDR16 : 0) |
    (op16 ? M.OP16 : 0) |
    (memory ? M.MEMORY : 0) |
    overridden |
    (bits & 1 || row === 0 ? M.ENDS : 0);
  out[o + R.REGS] = regs;
  out[o + R.EA] = ea;
  out[o + R.DISP] = disp;
  out[o + R.IMM] = imm;
  out[o + R.IMM2] = imm2;
  out[o + R.END] = length;
  return length;
};
