// The x87 unit around its arithmetic: the register stack, exceptions, instruction pointers, and what stops an instruction before it starts.
//
// Every numeric handler runs begin() (device not available, pending errors), works in the slots of float80.ts, reports its status bits through signal() and
// only then writes the stack. signal() says whether a result may be stored: an unmasked invalid, denormal or zero-divide leaves the operands alone.
// What it leaves out: the instructions themselves.

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import { ea } from '../interpreter/operands';
import { CR0, CS, EXC, W } from '../state';
import { C1, IE, putIndefinite, SF } from './float80';

/** Status-word bits that summarise an unmasked exception: ES, and B that mirrors it. */
const PENDING = 0x8080;
const TOP_MASK = 0x3800;

/** FNINIT: no exceptions unmasked, extended precision, to nearest; all registers empty. */
export const initialise = (m: Int32Array): void => {
  m[W.FPU_CW] = 0x37f;
  m[W.FPU_SW] = 0;
  m[W.FPU_IGNORE] = 0;
  m[W.FPU_VALID] = 0;
  m[W.FPU_FOP] = 0;
  m[W.FPU_FIP] = 0;
  m[W.FPU_FCS] = 0;
  m[W.FPU_FDP] = 0;
  m[W.FPU_FDS] = 0;
};

/** Power-up state: FNINIT's with the control word 0x40 and registers +0.0 (SDM vol. 3, "Processor state after reset"). */
export const resetUnit = (m: Int32Array): void => {
  initialise(m);
  m[W.FPU_CW] = 0x40;
  m.fill(0, W.FPU_REGS, W.FPU_REGS + 32);
  m[W.MXCSR] = 0x1f80;
  m.fill(0, W.XMM, W.XMM + 32);
};

/** A waiting x87 instruction may start: not emulated, no task switch pending, no unmasked exception pending. */
export const begin = (c: Cpu): void => {
  const m = c.m32;
  if ((m[W.CR0] & (CR0.EM | CR0.TS)) !== 0) c.raise(EXC.NM);
  if ((m[W.FPU_SW] & 0x80) !== 0) pendingError(c);
};
/**
 * What a waiting x87 or MMX instruction does about a pending error (ES). With CR0.NE it is #MF. Else, in the MS-DOS compatibility mode, the processor asserts
 * FERR#, which a PC brings to interrupt 13, and freezes before the instruction until an interrupt comes, unless IGNNE# is held. SDM vol. 1, appendix
 * "Guidelines for writing x87 FPU exception handlers"; FERR# is always deferred to here.
 */
export const pendingError = (c: Cpu): void => {
  const m = c.m32;
  if ((m[W.CR0] & CR0.NE) !== 0) c.raise(EXC.MF);
  if (c.onFpuError === undefined || m[W.FPU_IGNORE] !== 0) return;
  c.onFpuError();
  throw c.frozen;
};
/** The same for the FN... instructions, which ignore pending exceptions. */
export const beginNoWait = (c: Cpu): void => {
  if ((c.m32[W.CR0] & (CR0.EM | CR0.TS)) !== 0) c.raise(EXC.NM);
};

/** Remembers instruction and opcode for FNSTENV. `opcode`: the low three bits of the first byte << 8. */
export const note = (c: Cpu, i: number, opcode: number): void => {
  const m = c.m32;
  const k = c.code;
  m[W.FPU_FIP] = c.blockEip + k[i + R.END] - (k[i + R.META] & M.LENGTH);
  m[W.FPU_FCS] = m[W.SELECTOR + CS];
  m[W.FPU_FOP] = opcode | (k[i + R.REGS] >> 8);
};
/** note() for a memory operand: remembers its address too. */
export const noteMemory = (c: Cpu, i: number, opcode: number): void => {
  const m = c.m32;
  const k = c.code;
  const meta = k[i + R.META];
  m[W.FPU_FIP] = c.blockEip + k[i + R.END] - (meta & M.LENGTH);
  m[W.FPU_FCS] = m[W.SELECTOR + CS];
  m[W.FPU_FOP] = opcode | (k[i + R.REGS] >> 8);
  m[W.FPU_FDP] = ea(c, i);
  m[W.FPU_FDS] = m[W.SELECTOR + ((meta >> M.SEG_SHIFT) & 7)];
};

/** Physical number of ST(n). */
export const physical = (m: Int32Array, n: number): number => ((m[W.FPU_SW] >> 11) + n) & 7;
/** Slot of ST(n). */
export const st = (m: Int32Array, n: number): number => W.FPU_REGS + ((((m[W.FPU_SW] >> 11) + n) & 7) << 2);
export const isEmpty = (m: Int32Array, n: number): boolean => ((m[W.FPU_VALID] >> (((m[W.FPU_SW] >> 11) + n) & 7)) & 1) === 0;
export const setValid = (m: Int32Array, n: number): void => {
  m[W.FPU_VALID] |= 1 << (((m[W.FPU_SW] >> 11) + n) & 7);
};

/** Empties ST(0) and moves TOP on. */
export const pop = (m: Int32Array): void => {
  const sw = m[W.FPU_SW];
  m[W.FPU_VALID] &= ~(1 << ((sw >> 11) & 7));
  m[W.FPU_SW] = (sw & ~TOP_MASK) | ((sw + 0x800) & TOP_MASK);
};
/** Moves TOP back and marks the new ST(0) as filled; returns its slot. */
export const push = (m: Int32Array): number => {
  const sw = m[W.FPU_SW];
  const top = (sw - 0x800) & TOP_MASK;
  m[W.FPU_SW] = (sw & ~TOP_MASK) | top;
  m[W.FPU_VALID] |= 1 << (top >> 11);
  return W.FPU_REGS + ((top >> 11) << 2);
};
/** TOP without touching contents or tags. */
export const rotate = (m: Int32Array, by: number): void => {
  const sw = m[W.FPU_SW];
  m[W.FPU_SW] = (sw & ~TOP_MASK) | ((sw + by * 0x800) & TOP_MASK);
};

/**
 * Takes an operation's status bits into the status word (C1 is replaced, exceptions accumulate).
 * @returns false when an unmasked invalid, denormal or zero-divide forbids storing a result.
 */
export const signal = (m: Int32Array, flags: number): boolean => {
  const sw = (m[W.FPU_SW] & ~C1) | flags;
  const unmasked = flags & ~m[W.FPU_CW] & 0x3f;
  if (unmasked === 0) {
    m[W.FPU_SW] = sw;
    return true;
  }
  m[W.FPU_SW] = sw | PENDING;
  return (unmasked & 7) === 0;
};
/** signal() for stores to memory, where unmasked overflow and underflow stop the store too. */
export const signalStore = (m: Int32Array, flags: number): boolean => signal(m, flags) && (flags & ~m[W.FPU_CW] & 0x18) === 0;

/** Stack underflow; true when masked, so that the indefinite is the result. */
export const underflow = (m: Int32Array): boolean => signal(m, IE | SF);
/** Stack overflow of a push; when masked, the indefinite is pushed. */
export const overflow = (m: Int32Array): void => {
  if (signal(m, IE | SF | C1)) putIndefinite(m, push(m));
};

/** Brings ES and B in line with flags and masks after either changed. IGNNE# is let go with FERR#. */
export const updatePending = (m: Int32Array): void => {
  if (m[W.FPU_SW] & ~m[W.FPU_CW] & 0x3f) m[W.FPU_SW] |= PENDING;
  else {
    m[W.FPU_SW] &= ~PENDING;
    m[W.FPU_IGNORE] = 0;
  }
};
