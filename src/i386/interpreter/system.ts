// System instructions: flags with privilege, descriptor-table registers, control and debug registers, MSRs, SYSENTER, CPUID and the selector questions.
//
// Checks come in the manual's order: encoding and mode (#UD) before privilege (#GP). Whatever changes translation or mode flushes the TLB and calls
// updateMode(). What it leaves out: ports (io.ts) and far transfers (far.ts). Source: SDM vol. 2, each mnemonic; vol. 3 "Control Registers".

import type { Cpu } from '../cpu';
import { cpuid } from '../cpuid';
import { changeableFlags, mergeFlags } from '../interrupts';
import { accessRights, loadLdt, loadTask, mayAccess, segmentLimit } from '../segments';
import { CR0, CR4, EAX, ECX, EDX, ESP, EXC, F, FL, LDTR, Shadow, TR, W } from '../state';
import { loadFlatPair } from '../transfer';
import { IO } from './io';
import { type Binder, type Binders, ea, type Handler, linR, linW, readE, regField, rmField, segment, setReg, writeE } from './operands';

const requirePrivilege = (c: Cpu): void => {
  if (c.m32[W.CPL] !== 0) c.gp(0);
};
/** Instructions about selectors exist only in protected mode. */
const requireProtected = (c: Cpu): void => {
  if (!c.protectedNotV86) c.ud();
};
const setZero = (c: Cpu, on: boolean): void => {
  const flags = c.getFlags();
  c.setStatus(on ? flags | FL.ZF : flags & ~FL.ZF);
};

// ---- flags ----------------------------------------------------------------------------------------------------------------------------

/** Virtual-8086 mode lets PUSHF, POPF, CLI, STI through only with IOPL 3. */
const requireV86Iopl = (c: Cpu): void => {
  if (c.v86 && c.iopl < 3) c.gp(0);
};

const pushFlags: Binder = (_row, size) => (c) => {
  requireV86Iopl(c);
  const flags = c.getFlags() & ~(FL.VM | FL.RF);
  if (size === 2) c.push32(flags);
  else c.push16(flags);
};

const popFlags: Binder = (_row, size) => (c) => {
  requireV86Iopl(c);
  const mask = changeableFlags(c, size === 2, false);
  mergeFlags(c, size === 2 ? c.pop32() : c.pop16(), mask);
};

const cli: Handler = (c) => {
  if (c.m32[W.CPL] > c.iopl) c.gp(0);
  c.m32[W.EFLAGS] &= ~FL.IF;
};

const sti: Handler = (c) => {
  const m = c.m32;
  if (m[W.CPL] > c.iopl) c.gp(0);
  if ((m[W.EFLAGS] & FL.IF) === 0) m[W.SHADOW] = Shadow.INTERRUPTS;
  m[W.EFLAGS] |= FL.IF;
};

const halt: Handler = (c) => {
  requirePrivilege(c);
  c.m32[W.HALTED] = 1;
};

// ---- descriptor tables ----------------------------------------------------------------------------------------------------------------

/** A selector into a register of the operand size, zero-extended, or into 16 bits of memory. */
const storeSelector =
  (seg: number): Binder =>
  (_row, size, memory) =>
  (c, i) => {
    requireProtected(c);
    const selector = c.m32[W.SELECTOR + seg];
    if (memory) c.write16(linW(c, i, 2), selector);
    else setReg(c, size, rmField(c, i), selector);
  };

const loadSelector =
  (load: (c: Cpu, selector: number) => void): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    requireProtected(c);
    requirePrivilege(c);
    load(c, readE(c, i, 1, memory));
  };

const storeTable =
  (base: number, limit: number): Binder =>
  () =>
  (c, i) => {
    const linear = linW(c, i, 6);
    c.probeWrite(linear, 6);
    c.write16(linear, c.m32[limit]);
    c.write32((linear + 2) | 0, c.m32[base]);
  };

const loadTable =
  (base: number, limit: number): Binder =>
  (_row, size) =>
  (c, i) => {
    requirePrivilege(c);
    const linear = linR(c, i, 6);
    const bytes = c.read16(linear);
    const address = c.read32((linear + 2) | 0);
    c.m32[limit] = bytes;
    c.m32[base] = size === 2 ? address : address & 0xffffff;
  };

// ---- control registers ----------------------------------------------------------------------------------------------------------------

/** CR0 bits that exist. */
const CR0_BITS = 0xe005003f | 0;
/** CR4 bits that exist; the others raise #GP. */
const CR4_BITS = CR4.TSD | CR4.DE | CR4.PSE | CR4.PGE | CR4.PCE | CR4.OSFXSR | CR4.OSXMMEXCPT;

const writeCr0 = (c: Cpu, wanted: number): void => {
  const m = c.m32;
  const value = (wanted & CR0_BITS) | CR0.ET;
  if (value & CR0.PG && !(value & CR0.PE)) c.gp(0);
  if (value & CR0.NW && !(value & CR0.CD)) c.gp(0);
  const changed = m[W.CR0] ^ value;
  m[W.CR0] = value;
  if (changed & (CR0.PG | CR0.WP | CR0.PE)) c.flushTlb();
  c.updateMode();
};

const writeCr4 = (c: Cpu, value: number): void => {
  if (value & ~CR4_BITS) c.gp(0);
  const m = c.m32;
  const changed = m[W.CR4] ^ value;
  m[W.CR4] = value;
  if (changed & (CR4.PSE | CR4.PGE)) c.flushTlb();
};

/** #UD for the numbers that are no control register, whatever the privilege. */
const requireControlRegister = (c: Cpu, n: number): void => {
  if (n === 1 || n > 4) c.ud();
};

const moveFromControl: Handler = (c, i) => {
  const n = regField(c, i);
  requireControlRegister(c, n);
  requirePrivilege(c);
  c.m32[rmField(c, i)] = c.m32[W.CR0 + (n === 0 ? 0 : n - 1)];
};

const moveToControl: Handler = (c, i) => {
  const m = c.m32;
  const n = regField(c, i);
  requireControlRegister(c, n);
  requirePrivilege(c);
  setControlRegister(c, n, m[rmField(c, i)]);
};
/** MOV CRn without its checks of privilege: also for whoever changes registers from outside. @throws CpuFault (#GP) for values that the processor refuses. */
export const setControlRegister = (c: Cpu, n: number, value: number): void => {
  const m = c.m32;
  if (n === 0) writeCr0(c, value);
  else if (n === 2) m[W.CR2] = value;
  else if (n === 3) {
    m[W.CR3] = value;
    c.flushTlb();
  } else writeCr4(c, value);
};

const storeStatusWord: Binder = (_row, size, memory) => (c, i) => {
  if (memory) c.write16(linW(c, i, 2), c.m32[W.CR0]);
  else setReg(c, size, rmField(c, i), c.m32[W.CR0]);
};

/** LMSW changes PE (only sets it), MP, EM and TS. */
const loadStatusWord: Binder = (_row, _size, memory) => (c, i) => {
  requirePrivilege(c);
  const cr0 = c.m32[W.CR0];
  writeCr0(c, (cr0 & ~0xe) | (readE(c, i, 1, memory) & 0xf));
};

const clearTaskSwitched: Handler = (c) => {
  requirePrivilege(c);
  c.m32[W.CR0] &= ~CR0.TS;
};

const invalidatePage: Handler = (c, i) => {
  requirePrivilege(c);
  c.flushPage((c.m32[W.BASE + segment(c, i)] + ea(c, i)) | 0);
};

// ---- debug registers ------------------------------------------------------------------------------------------------------------------

const DR6_FIXED = 0xffff0ff0 | 0;
const DR6_BD = 0x2000;
const DR7_GD = 0x2000;

/** The register meant by a number: 4 and 5 are 6 and 7 unless CR4.DE. */
const debugRegister = (c: Cpu, i: number): number => {
  const m = c.m32;
  let n = regField(c, i);
  if (n === 4 || n === 5) {
    if (m[W.CR4] & CR4.DE) c.ud();
    n += 2;
  }
  requirePrivilege(c);
  if (m[W.DR + 7] & DR7_GD) {
    m[W.DR + 6] |= DR6_BD;
    // Unlike the other debug exceptions this one is an ordinary fault: it pushes RF.
    if (c.pushesRf) m[W.EFLAGS] |= FL.RF;
    c.raise(EXC.DB, 0);
  }
  return n;
};

const moveFromDebug: Handler = (c, i) => {
  const n = debugRegister(c, i);
  c.m32[rmField(c, i)] = c.m32[W.DR + n];
};

const moveToDebug: Handler = (c, i) => {
  const n = debugRegister(c, i);
  setDebugRegister(c, n, c.m32[rmField(c, i)]);
};
/** MOV DRn without its checks. */
export const setDebugRegister = (c: Cpu, n: number, value: number): void => {
  const m = c.m32;
  if (n === 6) m[W.DR + 6] = (value & 0xe00f) | DR6_FIXED;
  else if (n === 7) {
    m[W.DR + 7] = (value & (0xffff23ff | 0)) | 0x400;
    c.updateMode(); // data breakpoints come or go
  } else m[W.DR + n] = value;
};

// ---- model-specific registers, time, SYSENTER -----------------------------------------------------------------------------------------

const MSR = {
  TSC: 0x10,
  PLATFORM_ID: 0x17,
  APIC_BASE: 0x1b,
  MICROCODE: 0x8b,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
} as const;
const TWO32 = 0x100000000;

const now = (c: Cpu): number => c.tsc() + c.f64[F.TSC_OFFSET];

const setEdxEax = (c: Cpu, high: number, low: number): void => {
  c.m32[EAX] = low | 0;
  c.m32[EDX] = high | 0;
};

const readTime: Handler = (c) => {
  if (c.m32[W.CR4] & CR4.TSD) requirePrivilege(c);
  const t = now(c);
  setEdxEax(c, Math.floor(t / TWO32), t % TWO32);
};

const readMsr: Handler = (c) => {
  requirePrivilege(c);
  const m = c.m32;
  switch (m[ECX]) {
    case MSR.TSC: {
      const t = now(c);
      return setEdxEax(c, Math.floor(t / TWO32), t % TWO32);
    }
    case MSR.APIC_BASE:
      // The register of a P6 whose APIC is switched off for good.
      return setEdxEax(c, 0, 0xfee00000);
    case MSR.PLATFORM_ID:
    case MSR.MICROCODE:
      return setEdxEax(c, 0, 0);
    case MSR.SYSENTER_CS:
      return setEdxEax(c, 0, m[W.SYSENTER_CS]);
    case MSR.SYSENTER_ESP:
      return setEdxEax(c, 0, m[W.SYSENTER_ESP]);
    case MSR.SYSENTER_EIP:
      return setEdxEax(c, 0, m[W.SYSENTER_EIP]);
    default:
      return c.gp(0);
  }
};

const writeMsr: Handler = (c) => {
  requirePrivilege(c);
  const m = c.m32;
  const low = m[EAX];
  switch (m[ECX]) {
    case MSR.TSC:
      // Writes clear the upper half, as P6 processors do: 2^53 stays far away.
      c.f64[F.TSC_OFFSET] = (low >>> 0) - c.tsc();
      return;
    case MSR.APIC_BASE:
    case MSR.MICROCODE:
      return;
    case MSR.SYSENTER_CS:
      m[W.SYSENTER_CS] = low;
      return;
    case MSR.SYSENTER_ESP:
      m[W.SYSENTER_ESP] = low;
      return;
    case MSR.SYSENTER_EIP:
      m[W.SYSENTER_EIP] = low;
      return;
    default:
      c.gp(0);
  }
};

const sysenter: Handler = (c) => {
  const m = c.m32;
  const selector = m[W.SYSENTER_CS] & 0xfffc;
  if (!c.protectedMode || selector === 0) c.gp(0);
  m[W.EFLAGS] &= ~(FL.VM | FL.IF | FL.RF);
  m[ESP] = m[W.SYSENTER_ESP];
  m[W.EIP] = m[W.SYSENTER_EIP];
  loadFlatPair(c, selector, 0);
};

const sysexit: Handler = (c) => {
  const m = c.m32;
  const selector = m[W.SYSENTER_CS] & 0xfffc;
  if (!c.protectedMode || selector === 0 || m[W.CPL] !== 0) c.gp(0);
  m[ESP] = m[ECX];
  m[W.EIP] = m[EDX];
  loadFlatPair(c, ((selector + 16) & 0xffff) | 3, 3);
};

// ---- questions about selectors --------------------------------------------------------------------------------------------------------

const loadAccessRights: Binder = (_row, size, memory) => (c, i) => {
  requireProtected(c);
  const rights = accessRights(c, readE(c, i, 1, memory));
  if (rights !== -1) setReg(c, size, regField(c, i), rights);
  setZero(c, rights !== -1);
};

const loadSegmentLimit: Binder = (_row, size, memory) => (c, i) => {
  requireProtected(c);
  const limit = segmentLimit(c, readE(c, i, 1, memory));
  if (limit !== undefined) setReg(c, size, regField(c, i), limit);
  setZero(c, limit !== undefined);
};

const verify =
  (write: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    requireProtected(c);
    setZero(c, mayAccess(c, readE(c, i, 1, memory), write));
  };

/** The destination is written only when its RPL rises: a read-only page stands as long as it does not. */
const adjustRpl: Binder = (_row, _size, memory) => (c, i) => {
  requireProtected(c);
  const wanted = c.m16[regField(c, i) << 1] & 3;
  const old = readE(c, i, 1, memory);
  const raised = (old & 3) < wanted;
  if (raised) writeE(c, i, 1, memory, (old & 0xfffc) | wanted);
  setZero(c, raised);
};

const plain =
  (handler: Handler): Binder =>
  () =>
    handler;

/** System instructions, ports included. */
export const SYSTEM: Binders = {
  ...IO,
  pushf: pushFlags,
  popf: popFlags,
  cli: plain(cli),
  sti: plain(sti),
  hlt: plain(halt),
  sldt: storeSelector(LDTR),
  str: storeSelector(TR),
  lldt: loadSelector(loadLdt),
  ltr: loadSelector(loadTask),
  sgdt: storeTable(W.GDT_BASE, W.GDT_LIMIT),
  sidt: storeTable(W.IDT_BASE, W.IDT_LIMIT),
  lgdt: loadTable(W.GDT_BASE, W.GDT_LIMIT),
  lidt: loadTable(W.IDT_BASE, W.IDT_LIMIT),
  smsw: storeStatusWord,
  lmsw: loadStatusWord,
  invlpg: plain(invalidatePage),
  lar: loadAccessRights,
  lsl: loadSegmentLimit,
  verr: verify(false),
  verw: verify(true),
  arpl: adjustRpl,
  clts: plain(clearTaskSwitched),
  invd: plain(requirePrivilege),
  wbinvd: plain(requirePrivilege),
  mov_from_cr: plain(moveFromControl),
  mov_to_cr: plain(moveToControl),
  mov_from_dr: plain(moveFromDebug),
  mov_to_dr: plain(moveToDebug),
  rdtsc: plain(readTime),
  rdmsr: plain(readMsr),
  wrmsr: plain(writeMsr),
  rdpmc: plain((c) => c.gp(0)),
  sysenter: plain(sysenter),
  sysexit: plain(sysexit),
  cpuid: plain(cpuid),
};
