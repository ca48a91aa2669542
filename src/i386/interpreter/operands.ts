// What every instruction needs first: the types of handlers and binders, addresses of memory operands, and operands by width.
//
// A handler is one function for one form of an instruction; a binder makes it, once, when the module loads. Hot forms are written out as functions of
// their own (a closure that calls a captured function costs an indirect call); the rest go through the width-generic accessors here.
// What it leaves out: meaning. See index.ts for how forms find their handlers.

import { type Cpu, NEAR_TOP } from '../cpu';
import { M, R } from '../decode';
import type { Row } from '../opcodes';
import { W } from '../state';

/** Executes the record at index `i` of c.code. Raises through c.raise() before anything has changed. */
export type Handler = (c: Cpu, i: number) => void;
/** Operand width: 0 byte, 1 word, 2 dword. */
export type Size = 0 | 1 | 2;
/** Makes the handler of one form of a row. @param memory true when an operand is in memory. */
export type Binder = (row: Row, size: Size, memory: boolean) => Handler;
/** Binders by row name; one part of the instruction set. */
export type Binders = Partial<Record<string, Binder>>;

/** Offset of the memory operand within its segment, int32 (0 to 0xffff with 16-bit addressing). */
export const ea = (c: Cpu, i: number): number => {
  const k = c.code;
  const m = c.m32;
  const e = k[i + R.EA];
  const offset = (m[e & 15] + (m[(e >> 4) & 15] << (e >> 8)) + k[i + R.DISP]) | 0;
  return (k[i + R.META] & M.ADDR16) === 0 ? offset : offset & 0xffff;
};

/** Segment number of the memory operand, override applied. */
export const segment = (c: Cpu, i: number): number => (c.code[i + R.META] >> M.SEG_SHIFT) & 7;

/** Linear address of the memory operand, checked for a read of `bytes`. */
export const linR = (c: Cpu, i: number, bytes: number): number => {
  const seg = (c.code[i + R.META] >> M.SEG_SHIFT) & 7;
  const offset = ea(c, i);
  return (c.m32[W.FLAT] >> seg) & 1 && (offset | NEAR_TOP) !== -1 ? offset : c.checkSegment(seg, offset, bytes, false);
};
/** Linear address of the memory operand, checked for a write of `bytes`. */
export const linW = (c: Cpu, i: number, bytes: number): number => {
  const seg = (c.code[i + R.META] >> M.SEG_SHIFT) & 7;
  const offset = ea(c, i);
  return ((c.m32[W.FLAT] & ~2) >> seg) & 1 && (offset | NEAR_TOP) !== -1 ? offset : c.checkSegment(seg, offset, bytes, true);
};

/**
 * First half of a read-modify-write: index into c.m32 (m16, m8) of an operand that can be changed in place, or -1 when the access must go the long
 * way (unaligned, watched, code, read-only memory...). In both cases a write there can no longer fault.
 */
export const place32 = (c: Cpu, linear: number): number => {
  const e = c.m32[c.tw + (linear >>> 12)];
  if ((e & ~linear & 3) === 3) return (linear + e + 1) >> 2;
  c.probeWrite(linear, 4);
  return -1;
};
export const place16 = (c: Cpu, linear: number): number => {
  const e = c.m32[c.tw + (linear >>> 12)];
  if ((e & ~linear & 1) !== 0) return (linear + e + 1) >> 1;
  c.probeWrite(linear, 2);
  return -1;
};
export const place8 = (c: Cpu, linear: number): number => {
  const e = c.m32[c.tw + (linear >>> 12)];
  if ((e & 1) !== 0) return (linear + e + 1) | 0;
  c.probeWrite(linear, 1);
  return -1;
};

/** EIP of the instruction after record `i`. */
export const nextEip = (c: Cpu, i: number): number => (c.blockEip + c.code[i + R.END]) | 0;
/** EIP of record `i`. */
export const thisEip = (c: Cpu, i: number): number => (c.blockEip + c.code[i + R.END] - (c.code[i + R.META] & M.LENGTH)) | 0;

/** ModR/M reg field. */
export const regField = (c: Cpu, i: number): number => c.code[i + R.REGS] & 7;
/** ModR/M rm field (mod 3), or the register in the opcode. */
export const rmField = (c: Cpu, i: number): number => (c.code[i + R.REGS] >> 4) & 7;
/** Index into m8 of byte register 0-7: al cl dl bl ah ch dh bh. */
export const byteReg = (n: number): number => ((n & 3) << 2) | (n >> 2);

// ---- by width, for rare forms -------------------------------------------------------------------------------------------------------

/** A register, zero-extended (int32 for dwords). */
export const getReg = (c: Cpu, size: Size, n: number): number => (size === 2 ? c.m32[n] : size === 1 ? c.m16[n << 1] : c.m8[byteReg(n)]);
/** Replaces the register's low byte, word, or all of it. */
export const setReg = (c: Cpu, size: Size, n: number, value: number): void => {
  if (size === 2) c.m32[n] = value;
  else if (size === 1) c.m16[n << 1] = value;
  else c.m8[byteReg(n)] = value;
};
/** Memory at a checked linear address, zero-extended (int32 for dwords). */
export const readLinear = (c: Cpu, size: Size, linear: number): number =>
  size === 2 ? c.read32(linear) : size === 1 ? c.read16(linear) : c.read8(linear);
export const writeLinear = (c: Cpu, size: Size, linear: number, value: number): void => {
  if (size === 2) c.write32(linear, value);
  else if (size === 1) c.write16(linear, value);
  else c.write8(linear, value);
};
/** Reads the E operand. */
export const readE = (c: Cpu, i: number, size: Size, memory: boolean): number =>
  memory ? readLinear(c, size, linR(c, i, 1 << size)) : getReg(c, size, rmField(c, i));
/** Writes the E operand (not for read-modify-write: see probeE). */
export const writeE = (c: Cpu, i: number, size: Size, memory: boolean, value: number): void => {
  if (memory) writeLinear(c, size, linW(c, i, 1 << size), value);
  else setReg(c, size, rmField(c, i), value);
};
/** Linear address of a memory operand that will be read and then written; every fault of both happens here. */
export const probeM = (c: Cpu, i: number, size: Size): number => {
  const linear = linW(c, i, 1 << size);
  c.probeWrite(linear, 1 << size);
  return linear;
};
/** Sign-extends a byte or word. */
export const signed = (size: Size, value: number): number => (size === 2 ? value : size === 1 ? (value << 16) >> 16 : (value << 24) >> 24);
/** Zero-extends to uint32. */
export const unsigned = (size: Size, value: number): number => (size === 2 ? value >>> 0 : size === 1 ? value & 0xffff : value & 0xff);
