// The plain road of interrupts, IRET and data segment loads: 32-bit gates, flat stacks, everything present, accessed, in the TLB and in the GDT.
//
// Each function either does the whole transfer exactly as the general code would, or answers false having changed no register, and the general code
// (interrupts.ts, transfer.ts, segments.ts) does it with all its checks. What it has read by then the general code reads too: see place(). A file of its own
// because these few transfers are nearly all that kernels do, and system calls and page faults are as fast as this is. It allocates nothing and throws nothing.
// Source: as the general code; test/i386/plain.test.ts compares the two.

import type { Cpu } from './cpu';
import { accessOf, baseOf, isFlatStack, limitOf, setNull } from './descriptors';
import { CR0, CS, DS, ES, ESP, EXC, FL, FS, GS, SS, TLB, TLB_TABLE_BYTES, TR, W } from './state';

const SUPER_READ = TLB.SUPER_READ >> 2;
const SUPER_WRITE = TLB.SUPER_WRITE >> 2;
const USER_READ = TLB.USER_READ >> 2;
/** Set in the word indexes of the two tables for writing: tables lie in the order read, write, read, write. */
const WRITE_TABLES = TLB_TABLE_BYTES >> 2;
const HIGH = 0xffff0000 | 0;

/** Words of Cpu.delivered: what a delivery on the plain road found and pushed. */
export const enum Delivered {
  GATE_LOW = 0,
  GATE_HIGH = 1,
  /** Linear address of the frame's lowest word. */
  FRAME = 2,
  /** As they were before. */
  SS = 3,
  ESP = 4,
  /** EFLAGS as pushed. */
  EFLAGS = 5,
}

/**
 * Index into c.m32 of `bytes` bytes at a linear address that the processor reads (or writes) by itself, or -1. A page that is not in the TLB comes there as it
 * would through the general code, which makes the same accesses in the same order: accessed bits and CR2 end up the same.
 */
const place = (c: Cpu, table: number, at: number, bytes: number): number => {
  const m = c.m32;
  if ((at & 3) !== 0 || (at & 0xfff) + bytes > 0x1000) return -1;
  const index = table + (at >>> 12);
  let e = m[index];
  if ((e & 1) === 0) {
    if (c.tryTranslate(at, (table & WRITE_TABLES) !== 0, table >= USER_READ) < 0) return -1;
    e = m[index];
    if ((e & 1) === 0) return -1;
  }
  return (at + e + 1) >> 2;
};

/** Index into c.m32 of the eight bytes of the GDT entry that `selector` names, or -1: null, in the LDT, beyond the table, not at hand. */
const descriptorAt = (c: Cpu, selector: number): number => {
  const { m32: m } = c;
  const offset = selector & 0xfff8;
  if (offset === 0 || (selector & 4) !== 0 || offset + 7 > m[W.GDT_LIMIT] >>> 0) return -1;
  return place(c, SUPER_READ, (m[W.GDT_BASE] + offset) | 0, 8);
};

/** What updateMode() does, when only CPL, CS and SS changed, SS is flat, and neither alignment checks nor data breakpoints come or go. */
const settle = (c: Cpu, m: Int32Array, cpl: number): void => {
  c.selectTlb(cpl === 3);
  const access = m[W.ACCESS + CS];
  m[W.CS_BIG] = (access >> 14) & 1;
  m[W.SS_BIG] = 1;
  const flat = m[W.BASE + CS] === 0 && m[W.LIMIT + CS] === -1 && ((access & 0x9e) === 0x92 || (access & 0x9a) === 0x9a);
  m[W.FLAT] = (m[W.FLAT] & ~(1 << CS)) | (1 << SS) | (flat ? 1 << CS : 0);
};

/** True while something unusual is on that only the general code knows about. */
const unusual = (c: Cpu, m: Int32Array): boolean =>
  (m[W.CR0] & CR0.PE) === 0 ||
  (m[W.EFLAGS] & FL.VM) !== 0 ||
  (m[W.DR + 7] & 0xff) !== 0 ||
  c.alignmentChecks ||
  c.dataBreakpoints ||
  !c.plainRoad;

/** deliver() on the plain road. @param cause see interrupts.ts; 1 and 3 are software interrupts, 0 a fault. */
export const deliverPlain = (c: Cpu, vector: number, cause: number, errorCode: number): boolean => {
  const m = c.m32;
  if (unusual(c, m) || vector === EXC.DB || vector * 8 + 7 > m[W.IDT_LIMIT] >>> 0) return false;
  const cpl = m[W.CPL];
  const g = place(c, SUPER_READ, (m[W.IDT_BASE] + vector * 8) | 0, 8);
  if (g < 0) return false;
  const gateLow = m[g];
  const gateHigh = m[g + 1];
  // Present, a system descriptor, 32-bit interrupt or trap gate.
  if ((gateHigh & 0x9e00) !== 0x8e00) return false;
  if ((cause & 1) !== 0 && (((gateHigh >> 13) & 3) < cpl || c.intercept[vector] !== 0 || c.passIntercept)) return false;
  const selector = gateLow >>> 16;
  const d = descriptorAt(c, selector);
  if (d < 0) return false;
  const low = m[d];
  const high = m[d + 1];
  // Present, code, not conforming, accessed.
  if ((high & 0x9d00) !== 0x9900) return false;
  const dpl = (high >> 13) & 3;
  const eip = (gateHigh & HIGH) | (gateLow & 0xffff);
  const limit = limitOf(low, high);
  if (dpl > cpl || eip >>> 0 > limit >>> 0) return false;
  const oldEsp = m[ESP];
  const oldSs = m[W.SELECTOR + SS];
  let size = errorCode >= 0 ? 16 : 12;
  let esp = oldEsp;
  let ss = oldSs;
  let access = 0;
  let table = SUPER_WRITE;
  if (dpl < cpl) {
    size += 8;
    const slot = 8 * dpl + 4;
    if ((m[W.ACCESS + TR] & 8) === 0 || slot + 7 > m[W.LIMIT + TR] >>> 0) return false;
    const t = place(c, SUPER_READ, (m[W.BASE + TR] + slot) | 0, 8);
    if (t < 0) return false;
    esp = m[t];
    ss = m[t + 1] & 0xffff;
    const s = descriptorAt(c, ss);
    if (s < 0 || (ss & 3) !== dpl || !isFlatStack(m[s], m[s + 1], dpl)) return false;
    access = accessOf(m[s + 1]);
  } else {
    if (m[W.SS_BIG] === 0 || ((m[W.FLAT] >> SS) & 1) === 0) return false;
    if (cpl === 3) table = c.tw;
  }
  const newEsp = (esp - size) | 0;
  let p = place(c, table, newEsp, size);
  if (p < 0) return false;
  // Nothing can go wrong from here on.
  const flags = c.getFlags() | (cause === 0 && vector !== EXC.BP && vector !== EXC.OF && c.pushesRf ? FL.RF : 0);
  const oldCs = m[W.SELECTOR + CS];
  const oldEip = m[W.EIP];
  if (errorCode >= 0) m[p++] = errorCode;
  m[p] = oldEip;
  m[p + 1] = oldCs;
  m[p + 2] = flags;
  if (dpl < cpl) {
    m[p + 3] = oldEsp;
    m[p + 4] = oldSs;
    m[W.SELECTOR + SS] = ss;
    m[W.BASE + SS] = 0;
    m[W.LIMIT + SS] = -1;
    m[W.ACCESS + SS] = access;
  }
  m[ESP] = newEsp;
  m[W.EFLAGS] &= ~(FL.TF | FL.NT | FL.RF | ((gateHigh & 0x100) === 0 ? FL.IF : 0));
  m[W.SELECTOR + CS] = (selector & 0xfffc) | dpl;
  m[W.BASE + CS] = baseOf(low, high);
  m[W.LIMIT + CS] = limit;
  m[W.ACCESS + CS] = accessOf(high);
  m[W.EIP] = eip;
  m[W.CPL] = dpl;
  settle(c, m, dpl);
  if (c.onTransfer !== undefined) {
    const { delivered } = c;
    delivered[Delivered.GATE_LOW] = gateLow;
    delivered[Delivered.GATE_HIGH] = gateHigh;
    delivered[Delivered.FRAME] = newEsp;
    delivered[Delivered.SS] = oldSs;
    delivered[Delivered.ESP] = oldEsp;
    delivered[Delivered.EFLAGS] = flags;
    c.onTransfer(vector, cause, errorCode, oldCs, oldEip, cpl, true);
  }
  return true;
};

/** IRETD within protected mode, to the same or an outer privilege, on the plain road. */
export const interruptReturnPlain = (c: Cpu): boolean => {
  const m = c.m32;
  const old = m[W.EFLAGS];
  if (unusual(c, m) || (old & (FL.NT | FL.AC)) !== 0 || m[W.SS_BIG] === 0 || ((m[W.FLAT] >> SS) & 1) === 0) return false;
  const esp = m[ESP];
  const p = place(c, c.tr, esp, 20);
  if (p < 0) return false;
  const eip = m[p];
  const selector = m[p + 1] & 0xffff;
  const flags = m[p + 2];
  // A return to virtual-8086 mode never reads the table.
  if ((flags & (FL.VM | FL.AC)) !== 0) return false;
  const cpl = m[W.CPL];
  const rpl = selector & 3;
  const d = descriptorAt(c, selector);
  if (d < 0 || rpl < cpl) return false;
  const low = m[d];
  const high = m[d + 1];
  const limit = limitOf(low, high);
  if ((high & 0x9d00) !== 0x9900 || ((high >> 13) & 3) !== rpl || eip >>> 0 > limit >>> 0) return false;
  let mask: number = FL.STATUS | FL.TF | FL.DF | FL.NT | FL.AC | FL.ID | FL.RF;
  if (cpl <= ((old >> 12) & 3)) mask |= FL.IF;
  if (cpl === 0) mask |= FL.IOPL;
  if (rpl === cpl) m[ESP] = (esp + 12) | 0;
  else {
    const ss = m[p + 4] & 0xffff;
    const s = descriptorAt(c, ss);
    if (s < 0 || (ss & 3) !== rpl || !isFlatStack(m[s], m[s + 1], rpl)) return false;
    m[ESP] = m[p + 3];
    m[W.SELECTOR + SS] = ss;
    m[W.BASE + SS] = 0;
    m[W.LIMIT + SS] = -1;
    m[W.ACCESS + SS] = accessOf(m[s + 1]);
  }
  c.setFlags((old & ~mask) | (flags & mask));
  m[W.SELECTOR + CS] = selector;
  m[W.BASE + CS] = baseOf(low, high);
  m[W.LIMIT + CS] = limit;
  m[W.ACCESS + CS] = accessOf(high);
  m[W.EIP] = eip;
  m[W.CPL] = rpl;
  settle(c, m, rpl);
  if (rpl !== cpl) {
    dropWhenPrivileged(c, ES, rpl);
    dropWhenPrivileged(c, DS, rpl);
    dropWhenPrivileged(c, FS, rpl);
    dropWhenPrivileged(c, GS, rpl);
  }
  c.onReturn?.(esp, cpl);
  return true;
};

/** After a return to less privilege: a segment that code at `cpl` may not use becomes null (as dropPrivilegedSegments() has it). */
const dropWhenPrivileged = (c: Cpu, seg: number, cpl: number): void => {
  const access = c.m32[W.ACCESS + seg];
  if (access === 0 || (access & 0x1c) === 0x1c || ((access >> 5) & 3) >= cpl) return;
  drop(c, seg, 0);
};

const drop = (c: Cpu, seg: number, selector: number): void => {
  setNull(c, seg, selector);
  c.m32[W.FLAT] &= ~(1 << seg);
};

/** Loads ES, DS, FS or GS on the plain road. @param selector uint16. */
export const loadDataPlain = (c: Cpu, seg: number, selector: number): boolean => {
  const m = c.m32;
  if (unusual(c, m)) return false;
  if ((selector & 0xfffc) === 0) {
    drop(c, seg, selector);
    return true;
  }
  const d = descriptorAt(c, selector);
  if (d < 0) return false;
  const low = m[d];
  const high = m[d + 1];
  const dpl = (high >> 13) & 3;
  // Present, accessed data, or code that can be read and is not conforming.
  const kind = high & 0x9f00;
  if ((kind & 0x9900) !== 0x9100 && (kind & 0x9f00) !== 0x9b00) return false;
  if (dpl < (selector & 3) || dpl < m[W.CPL]) return false;
  const base = baseOf(low, high);
  const limit = limitOf(low, high);
  const access = accessOf(high);
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = base;
  m[W.LIMIT + seg] = limit;
  m[W.ACCESS + seg] = access;
  if (base === 0 && limit === -1 && (access & 0x9e) === 0x92) m[W.FLAT] |= 1 << seg;
  else m[W.FLAT] &= ~(1 << seg);
  return true;
};
