// Deliveries through the IDT in every mode, double and triple faults, and the way back: IRET.
//
// deliver() either succeeds and calls Cpu.onTransfer, or raises and has changed no register, so that deliverException() can deliver the new fault in its place.
// What it leaves out: what caused the delivery (the run loop, interpreter/system.ts) and whether a debugger wants to see it first (processor.ts).
// Source: 386 PRM §9, INT, IRET; SDM vol. 3 "Interrupt and Exception Handling", table "Conditions for Generating a Double Fault".

import { type Cpu, CpuFault } from './cpu';
import { Descriptor, fetchDescriptor, isNull, SYSTEM, setAccessed, setNull, setV86Segment } from './descriptors';
import { deliverPlain, interruptReturnPlain } from './plain';
import { StackFrame } from './stack-frame';
import { CR0, CS, DS, ES, ESP, EXC, FL, FS, GS, pushesErrorCode, SS, TR, W } from './state';
import { checkTaskGate, switchTask } from './tasks';
import { enterCode, peekStack, returnPlain, returnTo } from './transfer';

/** What asks for a delivery. INT n, INT3 and INTO obey the gate's DPL; all but these set the EXT bit in error codes. */
export const enum Cause {
  FAULT = 0,
  INT_N = 1,
  EXTERNAL = 2,
  /** INT3 and INTO. */
  TRAP = 3,
  ICEBP = 4,
}

/**
 * Delivers `vector` through the IDT. EIP is what the frame shall hold: the instruction's start for a fault, the next instruction otherwise.
 * @param errorCode pushed if not negative. Raises what the delivery itself runs into.
 */
export const deliver = (c: Cpu, vector: number, cause: Cause, errorCode: number): void => {
  c.noStep = true;
  if (deliverPlain(c, vector, cause, errorCode)) return;
  const m = c.m32;
  const cs = m[W.SELECTOR + CS];
  const eip = m[W.EIP];
  const cpl = m[W.CPL];
  if (m[W.CR0] & CR0.PE) deliverProtected(c, vector, cause, errorCode);
  else deliverReal(c, vector, cause);
  if (vector === EXC.DB) m[W.DR + 7] &= ~0x2000;
  c.onTransfer?.(vector, cause, errorCode, cs, eip, cpl, false);
};

/** Four bytes an entry: IP and CS; a frame of FLAGS, CS and IP, and never an error code. */
const deliverReal = (c: Cpu, vector: number, cause: Cause): void => {
  const m = c.m32;
  if (vector * 4 + 3 > m[W.IDT_LIMIT] >>> 0) c.gp(vector * 8 + 2);
  if (cause === Cause.INT_N || cause === Cause.TRAP) c.beforeSoftwareInterrupt(vector);
  const entry = c.sysRead32((m[W.IDT_BASE] + vector * 4) | 0);
  const frame = StackFrame.current(c);
  frame.push(false, c.getFlags());
  frame.push(false, m[W.SELECTOR + CS]);
  frame.push(false, m[W.EIP]);
  frame.commit();
  m[W.EFLAGS] &= ~(FL.IF | FL.TF | FL.RF | FL.AC);
  returnPlain(c, entry >>> 16, entry & 0xffff);
};

const deliverProtected = (c: Cpu, vector: number, cause: Cause, errorCode: number): void => {
  const m = c.m32;
  const software = cause === Cause.INT_N || cause === Cause.TRAP;
  const ext = software ? 0 : 1;
  const idtError = (vector * 8 + 2) | ext;
  if (vector * 8 + 7 > m[W.IDT_LIMIT] >>> 0) c.gp(idtError);
  const at = (m[W.IDT_BASE] + vector * 8) | 0;
  const gate = new Descriptor(at, c.sysRead32(at), c.sysRead32((at + 4) | 0));
  const { type } = gate;
  const task = type === SYSTEM.TASK_GATE;
  const known = task || type === SYSTEM.INT16 || type === SYSTEM.TRAP16 || type === SYSTEM.INT32 || type === SYSTEM.TRAP32;
  if (gate.isSegment || !known) c.gp(idtError);
  if (software && gate.dpl < m[W.CPL]) c.gp(idtError);
  if (!gate.present) c.raise(EXC.NP, idtError);
  if (software) c.beforeSoftwareInterrupt(vector);
  const flags = frameFlags(c, vector, cause);
  if (task) switchTask(c, gate.gateSelector, checkTaskGate(c, gate, ext), 'interrupt', errorCode, ext, flags);
  else throughGate(c, gate, flags, errorCode, ext);
};

/** EFLAGS as the frame or the TSS of the old task holds them: a fault sets RF there (see Cpu.pushesRf), so that an instruction breakpoint does not fire again on the way back. */
const frameFlags = (c: Cpu, vector: number, cause: Cause): number => {
  const fault = cause === Cause.FAULT && vector !== EXC.DB && vector !== EXC.BP && vector !== EXC.OF;
  return c.getFlags() | (fault && c.pushesRf ? FL.RF : 0);
};

const throughGate = (c: Cpu, gate: Descriptor, flags: number, errorCode: number, ext: number): void => {
  const m = c.m32;
  const cpl = m[W.CPL];
  const v86 = (flags & FL.VM) !== 0;
  const wide = (gate.type & 8) !== 0;
  const selector = gate.gateSelector;
  const eip = gate.gateOffset;
  if (isNull(selector)) c.gp(ext);
  const d = fetchDescriptor(c, selector, EXC.GP, ext);
  const error = (selector & 0xfffc) | ext;
  if (!d.isCode || d.dpl > cpl) c.gp(error);
  if (!d.present) c.raise(EXC.NP, error);
  const inner = !d.conforming && d.dpl < cpl;
  if (v86 && (!inner || d.dpl !== 0)) c.gp(error);
  const frame = inner ? StackFrame.inner(c, d.dpl, ext) : StackFrame.current(c, ext);
  // The stack's limit counts before the code's, page faults of the pushes after both.
  frame.room((inner ? (v86 ? 9 : 5) : 3) + (errorCode >= 0 ? 1 : 0), wide);
  if (eip >>> 0 > d.limit >>> 0) c.gp(ext);
  if (inner) {
    if (v86) for (const seg of [GS, FS, DS, ES]) frame.push(wide, m[W.SELECTOR + seg]);
    frame.push(wide, m[W.SELECTOR + SS]);
    frame.push(wide, m[ESP]);
  }
  frame.push(wide, flags);
  frame.push(wide, m[W.SELECTOR + CS]);
  frame.push(wide, m[W.EIP]);
  if (errorCode >= 0) frame.push(wide, errorCode);
  setAccessed(c, d);
  frame.touch();
  frame.commit();
  const interruptGate = (gate.type & 1) === 0;
  m[W.EFLAGS] &= ~(FL.TF | FL.NT | FL.VM | FL.RF | (interruptGate ? FL.IF : 0));
  if (v86) for (const seg of [GS, FS, DS, ES]) setNull(c, seg, 0);
  enterCode(c, selector, d, eip, inner ? d.dpl : cpl);
};

/** Exceptions that combine to a double fault: 1 contributory, 2 page fault, 0 the rest. */
const faultClass = (vector: number): 0 | 1 | 2 => {
  if (vector === EXC.PF) return 2;
  return vector === EXC.DE || (vector >= EXC.TS && vector <= EXC.GP) ? 1 : 0;
};

/**
 * Delivers an exception, and what its delivery raises in turn.
 * @returns false: a fault while delivering a double fault; the processor shuts down.
 */
export const deliverException = (c: Cpu, vector: number, errorCode: number): boolean => {
  let v = vector;
  let code = errorCode;
  for (;;) {
    c.inNewTask = false;
    // What the faulting instruction, or a delivery that failed, hit is lost with it.
    c.debugHits = 0;
    try {
      deliver(c, v, Cause.FAULT, pushesErrorCode(v) ? code : -1);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof CpuFault)) throw thrown;
      if (v === EXC.DF) return false;
      const first = faultClass(v);
      const second = faultClass(thrown.vector);
      const double = (first === 1 && second === 1) || (first === 2 && second !== 0);
      v = double ? EXC.DF : thrown.vector;
      code = double ? 0 : thrown.errorCode;
    }
  }
};

// ---- IRET -----------------------------------------------------------------------------------------------------------------------------

/** Flags that IRET and POPF may change at this privilege. `iret` adds RF. */
export const changeableFlags = (c: Cpu, wide: boolean, iret: boolean): number => {
  const m = c.m32;
  const cpl = m[W.CPL];
  let mask: number = FL.STATUS | FL.TF | FL.DF | FL.NT;
  if (wide) mask |= FL.AC | FL.ID | (iret ? FL.RF : 0);
  if (cpl <= c.iopl) mask |= FL.IF;
  if (cpl === 0) mask |= FL.IOPL;
  return mask;
};

/** Replaces the flags in `mask`. */
export const mergeFlags = (c: Cpu, flags: number, mask: number): void => c.setFlags((c.getFlags() & ~mask) | (flags & mask));

/** IRET and IRETD. */
export const interruptReturn = (c: Cpu, wide: boolean): void => {
  if (wide && interruptReturnPlain(c)) return;
  const m = c.m32;
  if (!c.protectedMode) {
    returnFromPlain(c, wide, changeableFlags(c, wide, true));
    return;
  }
  if (c.v86) {
    if (c.iopl < 3) c.gp(0);
    returnFromPlain(c, wide, changeableFlags(c, wide, true));
    return;
  }
  if (m[W.EFLAGS] & FL.NT) {
    returnToTask(c);
    return;
  }
  const size = wide ? 4 : 2;
  const eip = peekStack(c, 0, wide);
  const selector = peekStack(c, size, wide) & 0xffff;
  const flags = peekStack(c, 2 * size, wide);
  if (wide && flags & FL.VM && m[W.CPL] === 0) {
    returnToV86(c, eip, selector, flags);
    return;
  }
  const mask = changeableFlags(c, wide, true);
  const esp = m[ESP];
  const cpl = m[W.CPL];
  returnTo(c, selector, eip, 3 * size, 3 * size, 0, wide, () => mergeFlags(c, flags, mask));
  c.onReturn?.(esp, cpl);
};

const returnFromPlain = (c: Cpu, wide: boolean, mask: number): void => {
  const size = wide ? 4 : 2;
  const eip = peekStack(c, 0, wide);
  const selector = peekStack(c, size, wide) & 0xffff;
  const flags = peekStack(c, 2 * size, wide);
  if (eip >>> 0 > (c.v86 ? 0xffff : c.m32[W.LIMIT + CS] >>> 0)) c.gp(0);
  c.moveStack(3 * size);
  returnPlain(c, selector, eip);
  mergeFlags(c, flags, mask);
};

const returnToV86 = (c: Cpu, eip: number, cs: number, flags: number): void => {
  const m = c.m32;
  const esp = peekStack(c, 12, true);
  const selectors = [ES, CS, SS, DS, FS, GS].map((seg) =>
    seg === CS ? cs : peekStack(c, seg === SS ? 16 : seg === ES ? 20 : 12 + 4 * seg, true) & 0xffff,
  );
  if (eip >>> 0 > 0xffff) c.gp(0);
  c.setFlags(flags);
  for (let seg = 0; seg < 6; seg++) setV86Segment(c, seg, selectors[seg]);
  m[ESP] = esp;
  m[W.EIP] = eip;
  m[W.CPL] = 3;
  c.updateMode();
};

const returnToTask = (c: Cpu): void => {
  const m = c.m32;
  const link = c.sysRead16(m[W.BASE + TR]);
  const error = link & 0xfffc;
  if (link & 4 || error === 0) c.raise(EXC.TS, error);
  const d = fetchDescriptor(c, link, EXC.TS, 0);
  if (d.isSegment || (d.type !== SYSTEM.TSS16_BUSY && d.type !== SYSTEM.TSS32_BUSY)) c.raise(EXC.TS, error);
  if (!d.present) c.raise(EXC.NP, error);
  switchTask(c, link, d, 'iret');
};
