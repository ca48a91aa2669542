// A small machine for tests of the protected-mode machinery: tables, three rings, handlers, and one instruction at a time through the real run loop.
//
// Layout (physical = linear until paging() is called): GDT 0x1000, IDT 0x2000 (32-bit interrupt gates to HANDLERS + 16 * vector), TSS 0x3000,
// second TSS 0x3800, inner stacks below 0x7000 and 0x6800, code at 0x9000, stack below 0xa000, page tables at 0x100000.

import assert from 'node:assert';
import { type Exit, Processor } from '../../src/i386/processor';
import { CR0, CS, ES, ESP, GS, LDTR, LINES, RAM_BASE, SS, TR, W } from '../../src/i386/state';

export const SEL = {
  CODE0: 0x08,
  DATA0: 0x10,
  CODE3: 0x1b,
  DATA3: 0x23,
  TSS: 0x28,
  CODE1: 0x31,
  DATA1: 0x39,
  LDT: 0x40,
  TSS2: 0x48,
  /** Free for the test. */
  TEST: 0x50,
  TEST2: 0x58,
} as const;

export const AT = {
  GDT: 0x1000,
  IDT: 0x2000,
  TSS: 0x3000,
  TSS2: 0x3800,
  LDT: 0x4000,
  STACK1: 0x6800,
  STACK0: 0x7000,
  CODE: 0x9000,
  STACK: 0xa000,
} as const;
/** Handler of vector n stands at HANDLERS + 16 * n. */
export const HANDLERS = 0x20000;
const DIRECTORY = 0x100000;
const TABLE = 0x101000;
const RAM = 0x200000;

/** A code or data descriptor: `access` is P DPL S type, `flags` the upper nibble (G D/B). */
export const segment = (base: number, limit: number, access: number, flags = 0xc): [number, number] => [
  (limit & 0xffff) | (base << 16),
  ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) | (base & 0xff000000),
];
/** A gate: `access` is P DPL 0 type. */
export const gate = (selector: number, offset: number, access: number, count = 0): [number, number] => [
  (offset & 0xffff) | (selector << 16),
  (offset & 0xffff0000) | (access << 8) | count,
];

export class ProtectedMachine {
  readonly ports: { port: number; size: number; value?: number }[] = [];
  readonly proc = new Processor({
    ramBytes: RAM,
    countRing0: true,
    jit: false,
    bus: {
      portRead: (port, size) => {
        this.ports.push({ port, size });
        return 0x12345678;
      },
      portWrite: (port, size, value) => {
        this.ports.push({ port, size, value });
      },
    },
  });
  readonly cpu = this.proc.cpu;
  readonly m32 = this.cpu.m32;

  constructor() {
    this.reset();
  }

  private static shared: ProtectedMachine | undefined;
  /** The machine of this test file in ring `cpl`, as new: one test at a time uses it. */
  static fresh(cpl = 0): ProtectedMachine {
    ProtectedMachine.shared ??= new ProtectedMachine();
    ProtectedMachine.shared.reset();
    ProtectedMachine.shared.ring(cpl);
    return ProtectedMachine.shared;
  }

  private reset(): void {
    const { m32, cpu } = this;
    m32.fill(0, 0, LINES.INTR >> 2);
    cpu.intr = false;
    cpu.stopRequested = false;
    cpu.passIntercept = false;
    cpu.plainRoad = true;
    cpu.onReturn = undefined;
    cpu.m8.fill(0, RAM_BASE, RAM_BASE + RAM);
    cpu.pageFlags.fill(0);
    this.ports.length = 0;
    cpu.intercept.fill(0);
    cpu.onTransfer = undefined;
    m32[W.EFLAGS] = 2;
    cpu.setStatus(0);
    m32[W.CR0] = CR0.PE | CR0.ET;
    m32[W.GDT_BASE] = AT.GDT;
    m32[W.GDT_LIMIT] = 0xff;
    m32[W.IDT_BASE] = AT.IDT;
    m32[W.IDT_LIMIT] = 0x7ff;
    this.describe(SEL.CODE0, segment(0, 0xfffff, 0x9b));
    this.describe(SEL.DATA0, segment(0, 0xfffff, 0x93));
    this.describe(SEL.CODE3, segment(0, 0xfffff, 0xfb));
    this.describe(SEL.DATA3, segment(0, 0xfffff, 0xf3));
    this.describe(SEL.CODE1, segment(0, 0xfffff, 0xbb));
    this.describe(SEL.DATA1, segment(0, 0xfffff, 0xb3));
    this.describe(SEL.TSS, segment(AT.TSS, 0x67, 0x8b, 0));
    this.describe(SEL.TSS2, segment(AT.TSS2, 0x67, 0x89, 0));
    this.describe(SEL.LDT, segment(AT.LDT, 0x1f, 0x82, 0));
    for (let vector = 0; vector < 256; vector++) {
      this.describeGate(vector, gate(SEL.CODE0, HANDLERS + 16 * vector, vector === 3 || vector === 4 ? 0xee : 0x8e));
    }
    this.write32(AT.TSS + 4, AT.STACK0);
    this.write32(AT.TSS + 8, SEL.DATA0);
    this.write32(AT.TSS + 12, AT.STACK1);
    this.write32(AT.TSS + 16, SEL.DATA1);
    this.write16(AT.TSS + 0x66, 0x68);
    m32[W.SELECTOR + TR] = SEL.TSS;
    m32[W.BASE + TR] = AT.TSS;
    m32[W.LIMIT + TR] = 0x67;
    m32[W.ACCESS + TR] = 0x8b;
    m32[W.ACCESS + LDTR] = 0;
    m32[W.EIP] = AT.CODE;
    m32[ESP] = AT.STACK;
    this.proc.reset();
  }

  /** Flat segments of a ring. */
  ring(cpl: number): void {
    const { m32 } = this;
    const selectors = [
      [SEL.CODE0, SEL.DATA0],
      [SEL.CODE1, SEL.DATA1],
      [0, 0],
      [SEL.CODE3, SEL.DATA3],
    ][cpl];
    for (let seg = ES; seg <= GS; seg++) {
      m32[W.SELECTOR + seg] = selectors[seg === CS ? 0 : 1];
      m32[W.BASE + seg] = 0;
      m32[W.LIMIT + seg] = -1;
      m32[W.ACCESS + seg] = 0xc090 | (cpl << 5) | (seg === CS ? 0xb : 0x3);
    }
    m32[W.CPL] = cpl;
    this.cpu.updateMode();
  }

  /** Real mode at 0:CODE with a stack at 0:STACK. */
  real(): void {
    this.m32[W.CR0] = CR0.ET;
    this.plain(0);
    this.m32[W.IDT_BASE] = 0;
    this.m32[W.IDT_LIMIT] = 0x3ff;
  }
  /** Virtual-8086 mode at 0:CODE. */
  v86(iopl: number): void {
    this.m32[W.EFLAGS] |= 0x20000 | (iopl << 12);
    this.plain(3);
  }
  private plain(cpl: number): void {
    const { m32 } = this;
    for (let seg = ES; seg <= GS; seg++) {
      m32[W.SELECTOR + seg] = 0;
      m32[W.BASE + seg] = 0;
      m32[W.LIMIT + seg] = 0xffff;
      m32[W.ACCESS + seg] = 0x93 | (cpl << 5);
    }
    m32[W.CPL] = cpl;
    this.cpu.updateMode();
  }

  /** Identity paging of the first 2 MB with CR0.WP, everything user and writable; `readOnly` and `supervisor` list exceptions by address. */
  paging(options: { readOnly?: number[]; supervisor?: number[]; absent?: number[] } = {}): void {
    this.write32(DIRECTORY, TABLE | 0x67);
    for (let page = 0; page < RAM >> 12; page++) this.write32(TABLE + 4 * page, (page << 12) | 0x67);
    const change = (addresses: number[] | undefined, bits: number): void => {
      for (const a of addresses ?? []) this.write32(TABLE + 4 * (a >> 12), this.read32(TABLE + 4 * (a >> 12)) & ~bits);
    };
    change(options.readOnly, 2);
    change(options.supervisor, 4);
    change(options.absent, 1);
    this.m32[W.CR3] = DIRECTORY;
    this.m32[W.CR0] |= CR0.PG | CR0.WP;
    this.cpu.flushTlb();
    this.cpu.updateMode();
  }

  describe(selector: number, [lo, hi]: [number, number]): void {
    this.write32(AT.GDT + (selector & 0xfff8), lo);
    this.write32(AT.GDT + (selector & 0xfff8) + 4, hi);
  }
  describeGate(vector: number, [lo, hi]: [number, number]): void {
    this.write32(AT.IDT + 8 * vector, lo);
    this.write32(AT.IDT + 8 * vector + 4, hi);
  }
  /** The access byte of a GDT entry as it stands in memory. */
  accessByte(selector: number): number {
    return this.cpu.m8[RAM_BASE + AT.GDT + (selector & 0xfff8) + 5];
  }

  read32(at: number): number {
    return this.m32[(RAM_BASE + at) >> 2];
  }
  read16(at: number): number {
    return this.cpu.m16[(RAM_BASE + at) >> 1];
  }
  write32(at: number, value: number): void {
    this.m32[(RAM_BASE + at) >> 2] = value;
  }
  write16(at: number, value: number): void {
    this.cpu.m16[(RAM_BASE + at) >> 1] = value;
  }

  /** Puts code at EIP's linear address. */
  code(...bytes: number[]): void {
    this.cpu.m8.set(bytes, RAM_BASE + ((this.m32[W.BASE + CS] + this.m32[W.EIP]) >>> 0));
  }
  /** Puts code at EIP and runs one instruction (with whatever it delivers). */
  run(...bytes: number[]): Exit {
    this.code(...bytes);
    return this.proc.step();
  }

  get eip(): number {
    return this.m32[W.EIP] >>> 0;
  }
  get esp(): number {
    return this.m32[ESP] >>> 0;
  }
  get cpl(): number {
    return this.m32[W.CPL];
  }
  selector(seg: number): number {
    return this.m32[W.SELECTOR + seg];
  }
  /** The topmost `n` dwords of the current stack. */
  stack(n: number): number[] {
    const top = (this.m32[W.BASE + SS] + this.m32[ESP]) >>> 0;
    return Array.from({ length: n }, (_, i) => this.read32(top + 4 * i) >>> 0);
  }
  /** The topmost `n` words of the current stack. */
  words(n: number): number[] {
    const top = (this.m32[W.BASE + SS] + (this.m32[ESP] & 0xffff)) >>> 0;
    return Array.from({ length: n }, (_, i) => this.read16(top + 2 * i));
  }

  /** Asserts that the last step delivered `vector` to its handler, with an error code on top of the stack if one is given. */
  delivered(vector: number, errorCode?: number): void {
    assert.equal(this.eip, HANDLERS + 16 * vector, `expected the handler of vector ${vector}, EIP is ${this.eip.toString(16)}`);
    if (errorCode !== undefined) assert.equal(this.stack(1)[0], errorCode, 'error code');
  }
}

/** Little-endian bytes of a dword and of a word. */
export const dword = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
export const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
