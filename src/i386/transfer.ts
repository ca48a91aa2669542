// Far control transfers: JMP, CALL and RET through code descriptors, call gates, task gates and TSS descriptors, and the way into SYSENTER/SYSEXIT segments.
//
// Each function checks everything first, pushes or reads the stack, and changes registers only at its end; a fault in between leaves the instruction to be
// restarted. What it leaves out: interrupts and IRET (interrupts.ts), the task switch itself (tasks.ts).
// Source: 386 PRM §6.3.4, CALL, JMP, RET; SDM vol. 2 "CALL", vol. 3 "Gate Descriptors".

import type { Cpu } from './cpu';
import {
  checkCode,
  Descriptor,
  fetchDescriptor,
  isNull,
  SYSTEM,
  setAccessed,
  setRealSegment,
  setSegment,
  setV86Segment,
} from './descriptors';
import { dropPrivilegedSegments } from './segments';
import { StackFrame } from './stack-frame';
import { CS, ESP, EXC, SS, W } from './state';
import { checkTaskGate, switchTask } from './tasks';

/** CS of real and V86 mode. */
const loadPlainCs = (c: Cpu, selector: number, eip: number): void => {
  if (c.v86) setV86Segment(c, CS, selector);
  else setRealSegment(c, CS, selector);
  c.m32[W.EIP] = eip;
  c.updateMode();
};

/** Loads CS:EIP at privilege `cpl`; the checks have passed. */
export const enterCode = (c: Cpu, selector: number, d: Descriptor, eip: number, cpl: number): void => {
  const m = c.m32;
  setSegment(c, CS, (selector & 0xfffc) | cpl, d);
  m[W.EIP] = eip;
  m[W.CPL] = cpl;
  c.updateMode();
};

const checkEip = (c: Cpu, d: Descriptor, eip: number, ext = 0): void => {
  if (eip >>> 0 > d.limit >>> 0) c.gp(ext);
};

/** The code segment behind a call gate: any RPL will do. @param call false: a jump, which cannot gain privilege. */
const gateTarget = (c: Cpu, selector: number, call: boolean): Descriptor => {
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  const error = selector & 0xfffc;
  const cpl = c.m32[W.CPL];
  if (!d.isCode || (call || d.conforming ? d.dpl > cpl : d.dpl !== cpl)) c.gp(error);
  if (!d.present) c.raise(EXC.NP, error);
  return d;
};

/** A gate or TSS that a far jump or call names: its DPL must allow CPL and RPL. */
const checkSystem = (c: Cpu, d: Descriptor, selector: number): void => {
  const error = selector & 0xfffc;
  if (d.dpl < c.m32[W.CPL] || d.dpl < (selector & 3)) c.gp(error);
  const t = d.type;
  const tss = t === SYSTEM.TSS16 || t === SYSTEM.TSS32;
  if (!tss && t !== SYSTEM.CALL16 && t !== SYSTEM.CALL32 && t !== SYSTEM.TASK_GATE) c.gp(error);
  if (tss && selector & 4) c.gp(error);
  if (!d.present) c.raise(EXC.NP, error);
};

/** JMP FAR. @param offset 16 bits when the operand size is 16. */
export const farJump = (c: Cpu, selector: number, offset: number): void => {
  if (!c.protectedNotV86) {
    if (offset >>> 0 > (c.v86 ? 0xffff : c.m32[W.LIMIT + CS] >>> 0)) c.gp(0);
    loadPlainCs(c, selector, offset);
    return;
  }
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  const cpl = c.m32[W.CPL];
  if (d.isSegment) {
    checkCode(c, d, selector, selector & 3, cpl);
    checkEip(c, d, offset);
    setAccessed(c, d);
    enterCode(c, selector, d, offset, cpl);
    return;
  }
  checkSystem(c, d, selector);
  if (d.type === SYSTEM.CALL16 || d.type === SYSTEM.CALL32) {
    const target = gateTarget(c, d.gateSelector, false);
    checkEip(c, target, d.gateOffset);
    setAccessed(c, target);
    enterCode(c, d.gateSelector, target, d.gateOffset, cpl);
  } else if (d.type === SYSTEM.TASK_GATE) switchTask(c, d.gateSelector, checkTaskGate(c, d, 0), 'jump');
  else switchTask(c, selector, d, 'jump');
};

/** CALL FAR. @param wide operand size 32: dwords are pushed. EIP stands after the instruction. */
export const farCall = (c: Cpu, selector: number, offset: number, wide: boolean): void => {
  const m = c.m32;
  if (!c.protectedNotV86) {
    if (offset >>> 0 > (c.v86 ? 0xffff : m[W.LIMIT + CS] >>> 0)) c.gp(0);
    const frame = StackFrame.current(c, 0, true);
    frame.push(wide, m[W.SELECTOR + CS]);
    frame.push(wide, m[W.EIP]);
    frame.commit();
    if (c.calls.on) c.noteOtherCall((m[W.BASE + SS] + c.stackOffset(0)) | 0, m[W.EIP], wide, true);
    loadPlainCs(c, selector, offset);
    return;
  }
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  const cpl = m[W.CPL];
  if (d.isSegment) {
    checkCode(c, d, selector, selector & 3, cpl);
    pushAndEnter(c, selector, d, offset, wide);
    return;
  }
  checkSystem(c, d, selector);
  if (d.type === SYSTEM.TASK_GATE) switchTask(c, d.gateSelector, checkTaskGate(c, d, 0), 'call');
  else if (d.type === SYSTEM.CALL16 || d.type === SYSTEM.CALL32) callThroughGate(c, d);
  else switchTask(c, selector, d, 'call');
};

/** A call that stays at its privilege. */
const pushAndEnter = (c: Cpu, selector: number, d: Descriptor, eip: number, wide: boolean): void => {
  const m = c.m32;
  const frame = StackFrame.current(c, 0, true);
  frame.push(wide, m[W.SELECTOR + CS]);
  frame.push(wide, m[W.EIP]);
  // Only now: the hardware pushes before it looks at the limit, and a stack fault wins.
  checkEip(c, d, eip);
  setAccessed(c, d);
  frame.commit();
  if (c.calls.on) c.noteOtherCall((m[W.BASE + SS] + c.stackOffset(0)) | 0, m[W.EIP], wide, true);
  enterCode(c, selector, d, eip, m[W.CPL]);
};

const callThroughGate = (c: Cpu, gate: Descriptor): void => {
  const m = c.m32;
  const wide = gate.type === SYSTEM.CALL32;
  const selector = gate.gateSelector;
  const target = gateTarget(c, selector, true);
  if (target.conforming || target.dpl === m[W.CPL]) {
    pushAndEnter(c, selector, target, gate.gateOffset, wide);
    return;
  }
  const frame = StackFrame.inner(c, target.dpl, 0);
  frame.room((gate.hi & 0x1f) + 4, wide);
  checkEip(c, target, gate.gateOffset);
  // Parameters are read with the caller's privilege, before the frame is written.
  const parameters: number[] = [];
  const size = wide ? 4 : 2;
  for (let n = (gate.hi & 0x1f) - 1; n >= 0; n--) {
    const linear = c.linR(SS, c.stackOffset(n * size), size);
    parameters.push(wide ? c.read32(linear) : c.read16(linear));
  }
  frame.push(wide, m[W.SELECTOR + SS]);
  frame.push(wide, m[ESP]);
  for (const value of parameters) frame.push(wide, value);
  frame.push(wide, m[W.SELECTOR + CS]);
  frame.push(wide, m[W.EIP]);
  setAccessed(c, target);
  frame.touch();
  frame.commit();
  enterCode(c, selector, target, gate.gateOffset, target.dpl);
};

/** Reads the word or dword `delta` bytes above the stack pointer. */
export const peekStack = (c: Cpu, delta: number, wide: boolean): number => {
  const linear = c.linR(SS, c.stackOffset(delta), wide ? 4 : 2);
  return wide ? c.read32(linear) : c.read16(linear);
};

/** The stack segment that a return to an outer privilege loads. @param rpl privilege returned to. */
export const checkOuterStack = (c: Cpu, selector: number, rpl: number): Descriptor => {
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  const error = selector & 0xfffc;
  if ((selector & 3) !== rpl || !d.isWritableData || d.dpl !== rpl) c.gp(error);
  if (!d.present) c.raise(EXC.SS, error);
  return d;
};

/**
 * The protected-mode part that RETF and IRET share: CS:EIP was read; the outer SS:ESP, if the privilege drops, lies `above` bytes over the stack pointer.
 * @param release bytes that leave the stack at the same privilege. @param parameters bytes that leave the outer stack, too.
 * @param beforeCommit changes flags, with the old CPL, when nothing can fault any more.
 */
export const returnTo = (
  c: Cpu,
  selector: number,
  eip: number,
  above: number,
  release: number,
  parameters: number,
  wide: boolean,
  beforeCommit?: () => void,
): void => {
  const m = c.m32;
  const cpl = m[W.CPL];
  const rpl = selector & 3;
  // The hardware reads the outer stack pointer, selector first, before it looks at CS.
  const ss = rpl === cpl ? 0 : peekStack(c, above + (wide ? 4 : 2), wide) & 0xffff;
  const esp = rpl === cpl ? 0 : peekStack(c, above, wide);
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  if (rpl < cpl) c.gp(selector & 0xfffc);
  checkCode(c, d, selector, rpl, rpl);
  if (rpl === cpl) {
    checkEip(c, d, eip);
    setAccessed(c, d);
    beforeCommit?.();
    c.moveStack(release);
    enterCode(c, selector, d, eip, cpl);
    return;
  }
  const stack = checkOuterStack(c, ss, rpl);
  checkEip(c, d, eip);
  setAccessed(c, d);
  setAccessed(c, stack);
  beforeCommit?.();
  setSegment(c, SS, ss, stack);
  m[ESP] = stack.big ? esp : (m[ESP] & ~0xffff) | (esp & 0xffff);
  enterCode(c, selector, d, eip, rpl);
  c.moveStack(parameters);
  dropPrivilegedSegments(c);
  c.updateMode();
};

/** RETF. @param parameters bytes to release, 0 to 65535. */
export const farReturn = (c: Cpu, wide: boolean, parameters: number): void => {
  const size = wide ? 4 : 2;
  const eip = peekStack(c, 0, wide);
  const selector = peekStack(c, size, wide) & 0xffff;
  if (c.protectedNotV86) {
    // With the caller's page table entries: afterwards the privilege may be another.
    const place = c.calls.on ? c.placeOf((c.m32[W.BASE + SS] + c.stackOffset(0)) | 0, false) : -1;
    returnTo(c, selector, eip, 2 * size + parameters, 2 * size + parameters, parameters, wide);
    c.calls.pop(place);
    return;
  }
  if (eip >>> 0 > (c.v86 ? 0xffff : c.m32[W.LIMIT + CS] >>> 0)) c.gp(0);
  if (c.calls.on) c.noteReturn((c.m32[W.BASE + SS] + c.stackOffset(0)) | 0);
  c.moveStack(2 * size + parameters);
  loadPlainCs(c, selector, eip);
};

/** Real-mode and V86 part of IRET: CS:EIP after the flags were set. */
export const returnPlain = loadPlainCs;

/** The flat segments that SYSENTER and SYSEXIT load without reading a table. */
export const loadFlatPair = (c: Cpu, codeSelector: number, cpl: number): void => {
  const dpl = cpl << 13;
  setSegment(c, CS, codeSelector & 0xffff, new Descriptor(0, 0xffff, 0xcf9b00 | dpl));
  setSegment(c, SS, (codeSelector + 8) & 0xffff, new Descriptor(0, 0xffff, 0xcf9300 | dpl));
  c.m32[W.CPL] = cpl;
  c.updateMode();
};
