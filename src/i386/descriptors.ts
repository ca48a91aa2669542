// Descriptors as the processor reads them: eight bytes of the GDT or LDT with names for their fields.
//
// A file of its own because segment loads, far transfers, interrupts and task switches all start here. It reads tables (as supervisor, like the processor's own
// accesses) and sets accessed bits; which descriptor is good for what is decided by the callers. Source: 386 PRM §5.1, §6.3; SDM vol. 3 "Segment Descriptors".

import type { Cpu } from './cpu';
import { EXC, LDTR, W } from './state';

/** Types of system descriptors (S = 0). */
export const SYSTEM = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL16: 4,
  TASK_GATE: 5,
  INT16: 6,
  TRAP16: 7,
  TSS32: 9,
  TSS32_BUSY: 11,
  CALL32: 12,
  INT32: 14,
  TRAP32: 15,
} as const;

/** Base of a code, data or system descriptor, from its two dwords. */
export const baseOf = (lo: number, hi: number): number => (lo >>> 16) | ((hi & 0xff) << 16) | (hi & (0xff000000 | 0));
/** Last valid offset in bytes, granularity applied, int32 (-1 is 4 GB - 1). */
export const limitOf = (lo: number, hi: number): number => {
  const raw = (lo & 0xffff) | (hi & 0xf0000);
  return hi & 0x800000 ? (raw << 12) | 0xfff : raw;
};
/** Access rights in the format of the state block. */
export const accessOf = (hi: number): number => (hi >>> 8) & 0xf0ff;
/** A writable, accessed, present, expand-up data segment of all 4 GB with a 32-bit stack pointer and this DPL. */
export const isFlatStack = (lo: number, hi: number, dpl: number): boolean =>
  lo === 0xffff && (hi & (0xffcfffff | 0)) === (0xcf9300 | (dpl << 13));

/** One descriptor: `at` is its linear address, `lo` and `hi` its two dwords. */
export class Descriptor {
  constructor(
    readonly at: number,
    readonly lo: number,
    readonly hi: number,
  ) {}

  /** The four type bits. */
  get type(): number {
    return (this.hi >> 8) & 0xf;
  }
  /** S: code or data, not a system descriptor. */
  get isSegment(): boolean {
    return (this.hi & 0x1000) !== 0;
  }
  get dpl(): number {
    return (this.hi >> 13) & 3;
  }
  get present(): boolean {
    return (this.hi & 0x8000) !== 0;
  }
  get isCode(): boolean {
    return (this.hi & 0x1800) === 0x1800;
  }
  /** Code that runs at its caller's privilege. */
  get conforming(): boolean {
    return (this.hi & 0x1c00) === 0x1c00;
  }
  get isWritableData(): boolean {
    return (this.hi & 0x1a00) === 0x1200;
  }
  /** Data, or code that may be read. */
  get isReadable(): boolean {
    return (this.hi & 0x1000) !== 0 && (this.hi & 0xa00) !== 0x800;
  }
  get base(): number {
    return baseOf(this.lo, this.hi);
  }
  get limit(): number {
    return limitOf(this.lo, this.hi);
  }
  get access(): number {
    return accessOf(this.hi);
  }
  /** 32-bit segment (D or B). */
  get big(): boolean {
    return (this.hi & 0x400000) !== 0;
  }

  // Gates.
  get gateSelector(): number {
    return this.lo >>> 16;
  }
  /** Target offset; the upper half counts only in 32-bit gates. */
  get gateOffset(): number {
    return (this.lo & 0xffff) | (this.type & 8 ? this.hi & (0xffff0000 | 0) : 0);
  }
}

/** True for the selectors 0 to 3. */
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;

/** Reads a descriptor, or gives undefined when the selector lies beyond its table. The null selector reads GDT entry 0: test for it first. */
export const findDescriptor = (c: Cpu, selector: number): Descriptor | undefined => {
  const m = c.m32;
  const offset = selector & 0xfff8;
  let base: number;
  if (selector & 4) {
    if ((m[W.ACCESS + LDTR] & 0x80) === 0 || offset + 7 > m[W.LIMIT + LDTR] >>> 0) return undefined;
    base = m[W.BASE + LDTR];
  } else {
    if (offset + 7 > m[W.GDT_LIMIT] >>> 0) return undefined;
    base = m[W.GDT_BASE];
  }
  const at = (base + offset) | 0;
  return new Descriptor(at, c.sysRead32(at), c.sysRead32((at + 4) | 0));
};

/** Reads a descriptor; beyond its table raises `vector` with the selector as error code. @param ext 1 when an external event is being delivered. */
export const fetchDescriptor = (c: Cpu, selector: number, vector: number, ext: number): Descriptor =>
  findDescriptor(c, selector) ?? c.raise(vector, (selector & 0xfffc) | ext);

/** Sets the accessed bit when it is clear: a supervisor write, so a read-only page with CR0.WP raises #PF. Call after the last check. */
export const setAccessed = (c: Cpu, d: Descriptor): void => {
  if ((d.hi & 0x100) === 0) c.sysWrite8((d.at + 5) | 0, ((d.hi >> 8) & 0xff) | 1);
};

/** Fills a segment register with a code or data descriptor whose checks have passed. The caller calls updateMode(). */
export const setSegment = (c: Cpu, seg: number, selector: number, d: Descriptor): void => {
  const m = c.m32;
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = d.base;
  m[W.LIMIT + seg] = d.limit;
  m[W.ACCESS + seg] = d.access | 1;
};

/** Fills a segment register with a null selector: every access through it faults. */
export const setNull = (c: Cpu, seg: number, selector: number): void => {
  const m = c.m32;
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = 0;
  m[W.LIMIT + seg] = 0;
  m[W.ACCESS + seg] = 0;
};

/** A segment as virtual-8086 mode has it: 64 KB at selector * 16, readable, writable, DPL 3. */
export const setV86Segment = (c: Cpu, seg: number, selector: number): void => {
  const m = c.m32;
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = selector << 4;
  m[W.LIMIT + seg] = 0xffff;
  m[W.ACCESS + seg] = 0xf3;
};

/** A load in real mode: only base and selector change; limit and width stay as protected mode left them ("unreal" mode). */
export const setRealSegment = (c: Cpu, seg: number, selector: number): void => {
  const m = c.m32;
  const access = m[W.ACCESS + seg];
  m[W.SELECTOR + seg] = selector;
  m[W.BASE + seg] = selector << 4;
  if ((access & 0x80) === 0) m[W.LIMIT + seg] = 0xffff;
  m[W.ACCESS + seg] = (access & 0x80 ? access & 0xf000 : 0) | 0x93;
};

/**
 * Checks a code segment a jump, call or return goes to without a gate.
 * @param rpl privilege that the selector asks for; @param cpl privilege of the code there once it runs (a call: CPL, a return: the selector's RPL).
 */
export const checkCode = (c: Cpu, d: Descriptor, selector: number, rpl: number, cpl: number): void => {
  const error = selector & 0xfffc;
  if (!d.isCode) c.gp(error);
  if (d.conforming) {
    if (d.dpl > cpl) c.gp(error);
  } else if (rpl > cpl || d.dpl !== cpl) c.gp(error);
  if (!d.present) c.raise(EXC.NP, error);
};
