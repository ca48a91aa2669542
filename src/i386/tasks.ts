// Task switches: what far jumps and calls to a TSS or task gate, interrupts through task gates and IRET with NT do.
//
// Two halves. The first checks both TSSs and does every write (as supervisor: a read-only page with CR0.WP raises #PF) while the old task still runs, so that a
// fault leaves it untouched. The second is in the new task: what fails there is the new task's fault, with its EIP and its registers.
// What it leaves out: finding the TSS (transfer.ts, interrupts.ts). Source: 386 PRM §7; SDM vol. 3 "Task Management".

import type { Cpu } from './cpu';
import {
  type Descriptor,
  fetchDescriptor,
  findDescriptor,
  isNull,
  SYSTEM,
  setAccessed,
  setNull,
  setSegment,
  setV86Segment,
} from './descriptors';
import { setSystem } from './segments';
import { StackFrame } from './stack-frame';
import { CR0, CS, DS, ES, EXC, FL, FS, GS, LDTR, SS, TR, W } from './state';

/** What starts a task switch: it decides about busy bits, NT and the link. */
export type TaskSwitchReason = 'jump' | 'call' | 'interrupt' | 'iret';

/** Offsets in a 32-bit TSS; segment selectors run from ES in register order. */
const TSS32 = { LINK: 0, CR3: 0x1c, EIP: 0x20, EFLAGS: 0x24, REGS: 0x28, SEGMENTS: 0x48, LDT: 0x60, TRAP: 0x64, LIMIT: 0x67 } as const;
/** The same for the 80286's. */
const TSS16 = { LINK: 0, EIP: 0x0e, EFLAGS: 0x10, REGS: 0x12, SEGMENTS: 0x22, LDT: 0x2a, LIMIT: 0x2b } as const;

/** The available TSS that a task gate names. @param ext EXT bit of error codes. */
export const checkTaskGate = (c: Cpu, gate: Descriptor, ext: number): Descriptor => {
  const selector = gate.gateSelector;
  const error = (selector & 0xfffc) | ext;
  if (selector & 4) c.gp(error);
  const d = fetchDescriptor(c, selector, EXC.GP, ext);
  if (d.isSegment || (d.type !== SYSTEM.TSS16 && d.type !== SYSTEM.TSS32)) c.gp(error);
  if (!d.present) c.raise(EXC.NP, error);
  return d;
};

/** DR6: the task switched to has its T bit set. */
const DR6_BT = 0x8000;

/** What a TSS holds, read before anything is written. */
interface Saved {
  wide: boolean;
  cr3: number;
  eip: number;
  flags: number;
  regs: number[];
  /** ES CS SS DS (FS GS). */
  segments: number[];
  ldt: number;
  trap: boolean;
}

const readTss = (c: Cpu, d: Descriptor, wide: boolean): Saved => {
  const { base } = d;
  if (wide) {
    const at = (offset: number): number => c.sysRead32((base + offset) | 0);
    const low = (offset: number): number => c.sysRead16((base + offset) | 0);
    return {
      wide,
      cr3: at(TSS32.CR3),
      eip: at(TSS32.EIP),
      flags: at(TSS32.EFLAGS),
      regs: Array.from({ length: 8 }, (_, n) => at(TSS32.REGS + 4 * n)),
      segments: Array.from({ length: 6 }, (_, n) => low(TSS32.SEGMENTS + 4 * n)),
      ldt: low(TSS32.LDT),
      trap: (low(TSS32.TRAP) & 1) !== 0,
    };
  }
  const at = (offset: number): number => c.sysRead16((base + offset) | 0);
  return {
    wide,
    cr3: 0,
    eip: at(TSS16.EIP),
    flags: at(TSS16.EFLAGS),
    regs: Array.from({ length: 8 }, (_, n) => at(TSS16.REGS + 2 * n) | (0xffff0000 | 0)),
    segments: [...Array.from({ length: 4 }, (_, n) => at(TSS16.SEGMENTS + 2 * n)), 0, 0],
    ldt: at(TSS16.LDT),
    trap: false,
  };
};

const saveTss = (c: Cpu, base: number, wide: boolean, flags: number): void => {
  const m = c.m32;
  if (wide) {
    c.sysWrite32((base + TSS32.EIP) | 0, m[W.EIP]);
    c.sysWrite32((base + TSS32.EFLAGS) | 0, flags);
    for (let n = 0; n < 8; n++) c.sysWrite32((base + TSS32.REGS + 4 * n) | 0, m[n]);
    for (let n = 0; n < 6; n++) c.sysWrite16((base + TSS32.SEGMENTS + 4 * n) | 0, m[W.SELECTOR + n]);
  } else {
    c.sysWrite16((base + TSS16.EIP) | 0, m[W.EIP]);
    c.sysWrite16((base + TSS16.EFLAGS) | 0, flags);
    for (let n = 0; n < 8; n++) c.sysWrite16((base + TSS16.REGS + 2 * n) | 0, m[n]);
    for (let n = 0; n < 4; n++) c.sysWrite16((base + TSS16.SEGMENTS + 2 * n) | 0, m[W.SELECTOR + n]);
  }
};

/** Sets or clears the busy bit of the TSS descriptor at a linear address. */
const setBusy = (c: Cpu, at: number, busy: boolean): void => {
  const byte = c.sysRead8((at + 5) | 0);
  c.sysWrite8((at + 5) | 0, busy ? byte | 2 : byte & ~2);
};

/**
 * Switches to the task whose TSS is `d` (present, type checked by the caller). EIP stands where the old task shall go on.
 * @param errorCode pushed on the new task's stack, -1 = none. @param ext EXT bit of error codes. @param flags EFLAGS of the old task.
 */
export const switchTask = (
  c: Cpu,
  selector: number,
  d: Descriptor,
  reason: TaskSwitchReason,
  errorCode = -1,
  ext = 0,
  flags = c.getFlags(),
): void => {
  const m = c.m32;
  const wide = (d.type & 8) !== 0;
  if (d.limit >>> 0 < (wide ? TSS32.LIMIT : TSS16.LIMIT)) c.raise(EXC.TS, (selector & 0xfffc) | ext);
  const oldWide = (m[W.ACCESS + TR] & 8) !== 0;
  const oldBase = m[W.BASE + TR];
  const oldSize = oldWide ? TSS32.LIMIT : TSS16.LIMIT;
  if (m[W.LIMIT + TR] >>> 0 < oldSize) c.raise(EXC.TS, (m[W.SELECTOR + TR] & 0xfffc) | ext);
  const nested = reason === 'call' || reason === 'interrupt';
  const leaves = reason === 'jump' || reason === 'iret';

  // Everything that may page-fault on the old task's account.
  c.sysProbeWrite(oldBase, 1);
  c.sysProbeWrite((oldBase + oldSize) | 0, 1);
  const saved = readTss(c, d, wide);
  if (nested) c.sysProbeWrite(d.base, 2);
  const old = leaves ? findDescriptor(c, m[W.SELECTOR + TR]) : undefined;
  if (old !== undefined) c.sysProbeWrite((old.at + 5) | 0, 1);
  if (reason !== 'iret') c.sysProbeWrite((d.at + 5) | 0, 1);

  saveTss(c, oldBase, oldWide, reason === 'iret' ? flags & ~FL.NT : flags);
  if (nested) c.sysWrite16(d.base, m[W.SELECTOR + TR]);
  if (old !== undefined) setBusy(c, old.at, false);
  if (reason !== 'iret') setBusy(c, d.at, true);

  setSystem(c, TR, selector, d);
  m[W.ACCESS + TR] |= 2;
  m[W.CR0] |= CR0.TS;
  c.noStep = true;
  try {
    enterTask(c, saved, nested, ext);
    if (saved.eip >>> 0 > m[W.LIMIT + CS] >>> 0) c.gp(ext);
    if (errorCode >= 0) {
      const frame = StackFrame.current(c, ext);
      frame.push(wide, errorCode);
      frame.commit();
    }
    if (saved.trap) {
      m[W.DR + 6] |= DR6_BT;
      c.raise(EXC.DB, 0);
    }
  } catch (thrown) {
    c.inNewTask = true;
    throw thrown;
  }
};

const enterTask = (c: Cpu, saved: Saved, nested: boolean, ext: number): void => {
  const m = c.m32;
  if (saved.wide && m[W.CR0] & CR0.PG) {
    m[W.CR3] = saved.cr3;
    c.flushTlb();
  }
  m[W.EIP] = saved.eip;
  for (let n = 0; n < 8; n++) m[n] = saved.regs[n];
  c.setFlags(saved.wide ? saved.flags : saved.flags & 0xffff);
  if (nested) m[W.EFLAGS] |= FL.NT;
  m[W.DR + 7] &= ~0x155;

  const { segments } = saved;
  const v86 = c.v86;
  for (let seg = 0; seg < 6; seg++) setNull(c, seg, segments[seg]);
  setNull(c, LDTR, saved.ldt);
  // Until SS is good, a fault must find its stack through the TSS.
  m[W.CPL] = 3;
  c.updateMode();
  loadTaskLdt(c, saved.ldt, ext);
  if (v86) {
    for (let seg = 0; seg < 6; seg++) setV86Segment(c, seg, segments[seg]);
    c.updateMode();
    return;
  }
  const cpl = segments[CS] & 3;
  const stack = checkTaskStack(c, segments[SS], cpl, ext);
  setAccessed(c, stack);
  setSegment(c, SS, segments[SS], stack);
  m[W.CPL] = cpl;
  c.updateMode();
  const code = checkTaskCode(c, segments[CS], ext);
  setAccessed(c, code);
  setSegment(c, CS, segments[CS], code);
  c.updateMode();
  for (const seg of [ES, DS, FS, GS]) loadTaskData(c, seg, segments[seg], cpl, ext);
  c.updateMode();
};

const loadTaskLdt = (c: Cpu, selector: number, ext: number): void => {
  if (isNull(selector)) return;
  const error = (selector & 0xfffc) | ext;
  if (selector & 4) c.raise(EXC.TS, error);
  const d = fetchDescriptor(c, selector, EXC.TS, ext);
  if (d.isSegment || d.type !== SYSTEM.LDT || !d.present) c.raise(EXC.TS, error);
  setSystem(c, LDTR, selector, d);
};

const checkTaskStack = (c: Cpu, selector: number, cpl: number, ext: number): Descriptor => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) c.raise(EXC.TS, error);
  const d = fetchDescriptor(c, selector, EXC.TS, ext);
  if (!d.isWritableData) c.raise(EXC.TS, error);
  if (!d.present) c.raise(EXC.SS, error);
  if (d.dpl !== cpl || (selector & 3) !== cpl) c.raise(EXC.TS, error);
  return d;
};

const checkTaskCode = (c: Cpu, selector: number, ext: number): Descriptor => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) c.raise(EXC.TS, error);
  const d = fetchDescriptor(c, selector, EXC.TS, ext);
  const rpl = selector & 3;
  if (!d.isCode || (d.conforming ? d.dpl > rpl : d.dpl !== rpl)) c.raise(EXC.TS, error);
  if (!d.present) c.raise(EXC.NP, error);
  return d;
};

const loadTaskData = (c: Cpu, seg: number, selector: number, cpl: number, ext: number): void => {
  if (isNull(selector)) return;
  const error = (selector & 0xfffc) | ext;
  const d = fetchDescriptor(c, selector, EXC.TS, ext);
  if (!d.isReadable || (!d.conforming && (d.dpl < (selector & 3) || d.dpl < cpl))) c.raise(EXC.TS, error);
  if (!d.present) c.raise(EXC.NP, error);
  setAccessed(c, d);
  setSegment(c, seg, selector, d);
};
