// Joins the parts of the opcode list into one numbered table and gives the decoder its look-up arrays.
//
// A file of its own so that the parts (opcodes.ts, sse/opcodes.ts) stay plain lists. Row numbers are the identity of an encoding inside the engines:
// a handler's number is row * 8 + size * 2 + memory. Row 0 is "no such instruction" (#UD).

import { ONE_BYTE, type Row, TWO_BYTE, X87 } from './opcodes';
import { SSE } from './sse/opcodes';

export const ROWS: readonly Row[] = [{ op: -1, name: 'ud', args: '', ends: true }, ...ONE_BYTE, ...TWO_BYTE, ...X87, ...SSE];

/** Operand width of the form: 0 byte, 1 word, 2 dword; 3 = by operand size (becomes 1 or 2). */
const sizeOf = (row: Row): number => {
  for (const arg of row.args.split(' ')) {
    if (arg === '' || arg === 'DX' || arg[0] === 'I' || arg[0] === 'J' || arg === '1') continue;
    if (arg === 'AL' || arg === 'CL') return 0;
    const letter = arg.slice(1);
    if (letter === 'b') return 0;
    if (letter === 'w') return arg === 'Sw' ? 3 : 1;
    if (letter === 'd') return 2;
    return 3;
  }
  return 3;
};

/** Per row: what the decoder must know, packed for speed. */
export const ROW_SIZE = Uint8Array.from(ROWS, sizeOf);
/** How immediates follow: 0 none, 1 Ib, 2 Ibs, 3 Iw, 4 Iz/Iv, 5 Jb, 6 Jz, 7 Ap, 8 Iw Ib, 9 O (moffs). */
export const IMM = { NONE: 0, IB: 1, IBS: 2, IW: 3, IZ: 4, JB: 5, JZ: 6, AP: 7, IW_IB: 8, MOFFS: 9 } as const;
export const ROW_IMM = Uint8Array.from(ROWS, ({ args }) => {
  if (args === 'Iw Ib') return IMM.IW_IB;
  for (const arg of args.split(' ')) {
    if (arg === 'Ib') return IMM.IB;
    if (arg === 'Ibs') return IMM.IBS;
    if (arg === 'Iw') return IMM.IW;
    if (arg === 'Iz' || arg === 'Iv') return IMM.IZ;
    if (arg === 'Jb') return IMM.JB;
    if (arg === 'Jz') return IMM.JZ;
    if (arg === 'Ap') return IMM.AP;
    if (arg[0] === 'O') return IMM.MOFFS;
  }
  return IMM.NONE;
});
/** Bits: 1 ends a block, 2 may be locked, 4 register only by rm (control and debug registers: mod is ignored), 8 string, 16 opcode-register form. */
export const ROW_BITS = Uint8Array.from(
  ROWS,
  (row) =>
    (row.ends ? 1 : 0) | (row.lock ? 2 : 0) | (/\bRd\b/.test(row.args) ? 4 : 0) | (row.string ? 8 : 0) | (/^Z[bv]/.test(row.args) ? 16 : 0),
);

const usesModRM = (row: Row): boolean =>
  row.ext !== undefined ||
  row.modrm !== undefined ||
  row.mod !== undefined ||
  /\b[EGMRSCDPQVWUN][bwdqvaptxs]*\b/.test(row.args.replace(/\b(ES|CS|SS|DS|FS|GS|DX|CL)\b/g, ''));

/** HAS_MODRM[map << 8 | opcode]: map 0 one-byte, 1 two-byte (0F). */
export const HAS_MODRM = new Uint8Array(512);
/** LOOKUP[((map * 4 + pfx) << 8 | opcode) << 4 | register form << 3 | reg] is a row number; 0 = no such instruction. */
export const LOOKUP = new Uint16Array(2 * 4 * 256 * 16);
/** X87_REG[(opcode - D8) << 6 | (ModR/M - C0)] is a row number. */
export const X87_REG = new Uint16Array(8 * 64);
/** For forms chosen by the whole ModR/M byte outside x87: key map << 16 | opcode << 8 | modrm. */
export const BY_MODRM = new Map<number, number>();

ROWS.forEach((row, number) => {
  if (number === 0) return;
  const map = row.op > 0xff ? 1 : 0;
  const opcode = row.op & 0xff;
  if (map === 0 && opcode >= 0xd8 && opcode <= 0xdf && row.modrm !== undefined) {
    X87_REG[((opcode - 0xd8) << 6) | (row.modrm - 0xc0)] = number;
    HAS_MODRM[opcode] = 1;
    return;
  }
  if (row.modrm !== undefined) {
    BY_MODRM.set((map << 16) | (opcode << 8) | row.modrm, number);
    HAS_MODRM[(map << 8) | opcode] = 1;
    return;
  }
  if (usesModRM(row)) HAS_MODRM[(map << 8) | opcode] = 1;
  const memoryOnly = row.mod === 'mem' || (/\bM[a-z]*\b/.test(row.args) && row.mod === undefined);
  const registerOnly = row.mod === 'reg' || /\b[UN][a-z]*\b/.test(row.args);
  for (let pfx = 0; pfx < 4; pfx++) {
    if (row.pfx !== undefined && row.pfx !== pfx) continue;
    for (let reg = 0; reg < 8; reg++) {
      if (row.ext !== undefined && row.ext !== reg) continue;
      const at = ((((map * 4 + pfx) << 8) | opcode) << 4) | reg;
      if (!registerOnly) LOOKUP[at] = number;
      if (!memoryOnly) LOOKUP[at | 8] = number;
    }
  }
});
