// What every MMX and SSE instruction needs: permission to run, operands as word indexes, memory operands with their alignment.
//
// mmx registers are the mantissas of the physical x87 registers; xmm registers stand in the state block. A memory operand is copied to SOURCE, so that
// operations work on word indexes into c.m32 wherever their operands come from. What it leaves out: the operations.

import type { Cpu } from '../cpu';
import { R } from '../decode';
import { linR, linW } from '../interpreter/operands';
import { CR0, CR4, EXC, W } from '../state';
import { pendingError } from '../x87/unit';

/** Where memory operands are copied to: four words, the x87's second working slot. */
export const SOURCE = W.FPU_TEMP + 4;

/** Word index of mmx register n, and of xmm register n. */
export const mm = (n: number): number => W.FPU_REGS + (n << 2);
export const xmm = (n: number): number => W.XMM + (n << 2);
export const regOf = (c: Cpu, i: number): number => c.code[i + R.REGS] & 7;
export const rmOf = (c: Cpu, i: number): number => (c.code[i + R.REGS] >> 4) & 7;

/** #UD, #NM and pending x87 errors before an MMX instruction. */
export const beginMmx = (c: Cpu): void => {
  const m = c.m32;
  if (m[W.CR0] & CR0.EM) c.ud();
  if (m[W.CR0] & CR0.TS) c.raise(EXC.NM);
  if ((m[W.FPU_SW] & 0x80) !== 0) pendingError(c);
};
/** The x87 side of an MMX instruction: TOP = 0 and every register counts as filled. */
export const enterMmx = (m: Int32Array): void => {
  m[W.FPU_SW] &= ~0x3800;
  m[W.FPU_VALID] = 0xff;
};
/** A written mmx register has all ones for sign and exponent. */
export const wroteMmx = (m: Int32Array, at: number): void => {
  m[at + 2] = 0xffff;
};

/** #UD and #NM before an instruction on xmm registers. */
export const beginSse = (c: Cpu): void => {
  const m = c.m32;
  if (m[W.CR0] & CR0.EM || !(m[W.CR4] & CR4.OSFXSR)) c.ud();
  if (m[W.CR0] & CR0.TS) c.raise(EXC.NM);
};

/** Copies `bytes` (2, 4, 8, 16) of the memory operand to SOURCE, the rest of its words zero; 16 bytes must be aligned if `aligned`. */
export const load = (c: Cpu, i: number, bytes: number, aligned: boolean): void => {
  const m = c.m32;
  const linear = linR(c, i, bytes);
  if (aligned && linear & 15) c.gp(0);
  const w0 = bytes === 2 ? c.read16(linear) : c.read32(linear);
  const w1 = bytes > 4 ? c.read32((linear + 4) | 0) : 0;
  if (bytes === 16) {
    const w2 = c.read32((linear + 8) | 0);
    m[SOURCE + 3] = c.read32((linear + 12) | 0);
    m[SOURCE + 2] = w2;
  } else {
    m[SOURCE + 2] = 0;
    m[SOURCE + 3] = 0;
  }
  m[SOURCE] = w0;
  m[SOURCE + 1] = w1;
};

/** Stores `words` words from word index `from` to the memory operand; every fault comes before the first byte changes. */
export const store = (c: Cpu, i: number, from: number, words: number, aligned: boolean): void => {
  const m = c.m32;
  const linear = linW(c, i, words << 2);
  if (aligned && linear & 15) c.gp(0);
  if ((linear & 0xfff) + (words << 2) > 0x1000) c.probeWrite(linear, words << 2);
  for (let n = 0; n < words; n++) c.write32((linear + 4 * n) | 0, m[from + n]);
};

export const copyWords = (m: Int32Array, to: number, from: number, words: number): void => {
  for (let n = 0; n < words; n++) m[to + n] = m[from + n];
};
