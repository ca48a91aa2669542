// Loading segment registers and asking about selectors: MOV/POP/LES..., LLDT, LTR, LAR, LSL, VERR, VERW, ARPL.
//
// Every check stands in the manual's order, because the order decides which fault a program sees. Nothing of the register file changes before the last check;
// the accessed and busy bits are written last, as supervisor, so that a read-only descriptor table with CR0.WP raises #PF.
// What it leaves out: CS, which only far transfers load (transfer.ts). Source: 386 PRM §6.3, MOV, LAR, LSL, VERR; SDM vol. 3 "Privilege Checking".

import type { Cpu } from './cpu';
import {
  type Descriptor,
  fetchDescriptor,
  findDescriptor,
  isNull,
  SYSTEM,
  setAccessed,
  setNull,
  setRealSegment,
  setSegment,
  setV86Segment,
} from './descriptors';
import { loadDataPlain } from './plain';
import { EXC, LDTR, SS, TR, W } from './state';

/** Loads ES, SS, DS, FS or GS in whatever mode the processor is. @param selector uint16. */
export const loadSegment = (c: Cpu, seg: number, selector: number): void => {
  if (seg !== SS && loadDataPlain(c, seg, selector)) return;
  if (c.v86) setV86Segment(c, seg, selector);
  else if (!c.protectedMode) setRealSegment(c, seg, selector);
  else if (seg === SS) loadStack(c, selector);
  else loadData(c, seg, selector);
  c.updateMode();
};

const loadStack = (c: Cpu, selector: number): void => {
  if (isNull(selector)) c.gp(0);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  const cpl = c.m32[W.CPL];
  if ((selector & 3) !== cpl || !d.isWritableData || d.dpl !== cpl) c.gp(selector & 0xfffc);
  if (!d.present) c.raise(EXC.SS, selector & 0xfffc);
  setAccessed(c, d);
  setSegment(c, SS, selector, d);
};

const loadData = (c: Cpu, seg: number, selector: number): void => {
  if (isNull(selector)) {
    setNull(c, seg, selector);
    return;
  }
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  if (!d.isReadable || !mayUse(d, selector, c.m32[W.CPL])) c.gp(selector & 0xfffc);
  if (!d.present) c.raise(EXC.NP, selector & 0xfffc);
  setAccessed(c, d);
  setSegment(c, seg, selector, d);
};

/** Data and non-conforming code need DPL >= CPL and RPL; conforming code may be used by everybody. */
const mayUse = (d: Descriptor, selector: number, cpl: number): boolean => d.conforming || (d.dpl >= (selector & 3) && d.dpl >= cpl);

/** After a return to less privilege: segments that the new CPL may not use become null. */
export const dropPrivilegedSegments = (c: Cpu): void => {
  const m = c.m32;
  const cpl = m[W.CPL];
  for (const seg of [0, 3, 4, 5]) {
    const access = m[W.ACCESS + seg];
    const conforming = (access & 0x1c) === 0x1c;
    if (access !== 0 && !conforming && ((access >> 5) & 3) < cpl) setNull(c, seg, 0);
  }
};

/** LLDT. The caller has checked mode and CPL. */
export const loadLdt = (c: Cpu, selector: number): void => {
  if (isNull(selector)) {
    setNull(c, LDTR, selector);
    return;
  }
  if (selector & 4) c.gp(selector & 0xfffc);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  if (d.isSegment || d.type !== SYSTEM.LDT) c.gp(selector & 0xfffc);
  if (!d.present) c.raise(EXC.NP, selector & 0xfffc);
  setSystem(c, LDTR, selector, d);
};

/** LTR: marks the TSS busy. The caller has checked mode and CPL. */
export const loadTask = (c: Cpu, selector: number): void => {
  if (isNull(selector)) c.gp(0);
  if (selector & 4) c.gp(selector & 0xfffc);
  const d = fetchDescriptor(c, selector, EXC.GP, 0);
  if (d.isSegment || (d.type !== SYSTEM.TSS16 && d.type !== SYSTEM.TSS32)) c.gp(selector & 0xfffc);
  if (!d.present) c.raise(EXC.NP, selector & 0xfffc);
  c.sysWrite8((d.at + 5) | 0, ((d.hi >> 8) & 0xff) | 2);
  setSystem(c, TR, selector, d);
  c.m32[W.ACCESS + TR] |= 2;
};

/** Fills LDTR or TR. */
export const setSystem = (c: Cpu, seg: number, selector: number, d: Descriptor): void => {
  const m = c.m32;
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = d.base;
  m[W.LIMIT + seg] = d.limit;
  m[W.ACCESS + seg] = d.access;
};

/** Types LAR accepts: TSS, LDT, call gates, task gate. */
const LAR_TYPES = 0b1_1010_0011_1110;
/** Types LSL accepts: those with a limit. */
const LSL_TYPES = 0b0_1010_0000_1110;

const queried = (c: Cpu, selector: number, systemTypes: number): Descriptor | undefined => {
  if (isNull(selector)) return undefined;
  const d = findDescriptor(c, selector);
  if (d === undefined) return undefined;
  if (!d.isSegment && !((systemTypes >> d.type) & 1)) return undefined;
  return mayUse(d, selector, c.m32[W.CPL]) ? d : undefined;
};

/** LAR's answer (bits 8-23 of the high dword without the limit's, which are undefined), or -1: ZF becomes 0. */
export const accessRights = (c: Cpu, selector: number): number => {
  const d = queried(c, selector, LAR_TYPES);
  return d === undefined ? -1 : d.hi & 0x00f0ff00;
};

/** LSL's answer, or undefined: ZF becomes 0. */
export const segmentLimit = (c: Cpu, selector: number): number | undefined => queried(c, selector, LSL_TYPES)?.limit;

/** VERR (VERW with `write`): may this selector be read (written) from here? */
export const mayAccess = (c: Cpu, selector: number, write: boolean): boolean => {
  const d = queried(c, selector, 0);
  return d !== undefined && (write ? d.isWritableData : d.isReadable);
};
