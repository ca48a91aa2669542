// The Host's record of one Guest ("lg"), and the only two doors to the Guest's memory: guarded reads and writes, and accesses through lguest_data.
//
// Everything that the Host remembers about the Guest between two traps is here and can be saved. What it leaves out: what is done with it. See page-tables.ts,
// segments.ts, interrupts.ts, hypercalls.ts. Our documentation, 3.5, 6.4, 8.2.

import type { Cpu } from '../i386/cpu';
import { RAM_BASE } from '../i386/state';
import { GDT_ENTRIES, hex, IDT_ENTRIES, PAGE, REGS } from './abi';
import type { Layout } from './layout';
import { Random } from './random';

export interface GuestOptions {
  cpu: Cpu;
  layout: Layout;
  /** Pages that the Guest may name (LHREQ_INITIALIZE's second argument). */
  pfnLimit: number;
  /** Bytes of Guest memory that are really there; normally at least pfnLimit pages. */
  backedBytes: number;
  seed: number;
  /** Module parameter syscall_vector. */
  syscallVector: number;
  /** Value for lguest_data.tsc_khz. */
  tscKhz: number;
}

export interface PgdirSlot {
  /** Guest-physical address of the directory that this slot mirrors. */
  gpgdir: number;
  /** Physical address of the shadow directory; 0 = none yet. */
  shadow: number;
}

/** Bits of Guest.changed. */
export const CHANGED = { IDT: 1, GDT: 2, TLS: 4, ALL: 3 } as const;

/** 2008-01-24 00:00:00 UTC, the day of Linux 2.6.24, in seconds. */
export const EPOCH = 1201132800;

export class Guest {
  readonly cpu: Cpu;
  readonly layout: Layout;
  readonly memBase: number;
  readonly pfnLimit: number;
  /** Bytes of Guest memory that exist; shrinking it is what a Launcher that unmaps memory would do. */
  backedBytes: number;
  readonly syscallVector: number;
  readonly tscKhz: number;

  /** Guest-physical address of lguest_data; -1 before INIT. */
  ld = -1;
  /** INIT went by, whether or not its address was good. */
  kernelAddress = 0;
  noirqStart = 0;
  noirqEnd = 0;
  readonly pgdirs: PgdirSlot[] = [];
  pgdidx = 0;
  readonly gdt = new Uint32Array(GDT_ENTRIES * 2);
  readonly idt = new Uint32Array(IDT_ENTRIES * 2);
  lastPagefault = 0;
  ts = 0;
  halted = false;
  esp1 = 0;
  ss1 = 0;
  stackPages = 0;
  /** Cursor of the async ring. */
  nextHcall = 0;
  /** The registers are a hypercall that has not run yet. */
  hcallPending = false;
  pendingNotify = 0;
  breakOut = false;
  irqsPending = 0;
  changed: number = CHANGED.ALL;
  /** Guest time of the clock event, -1 = none. */
  timer = -1;
  dead: string | undefined;
  /** The Switcher's own code faulted since the last entry. */
  switcherFaulted = false;
  readonly random: Random;
  /** Physical addresses of the pool pages that are free; the last one is taken next. */
  freePages: number[] = [];
  /** What the Host is doing, for whoever watches memory. */
  doing = '';
  /** Called at the first kill. */
  onKill: (message: string) => void = () => {};
  /** Called for every page that pinning filled. */
  onPinned: () => void = () => {};
  /** Called when a directory takes a shadow slot. */
  onSlot: (slot: number, blank: boolean) => void = () => {};

  constructor(options: GuestOptions) {
    this.cpu = options.cpu;
    this.layout = options.layout;
    this.memBase = options.layout.memBase;
    this.pfnLimit = options.pfnLimit;
    this.backedBytes = options.backedBytes;
    this.syscallVector = options.syscallVector;
    this.tscKhz = options.tscKhz;
    this.random = new Random(options.seed | 0);
    for (let i = options.layout.poolPages - 1; i >= 0; i--) this.freePages.push(options.layout.pool + i * PAGE);
    for (let i = 0; i < 4; i++) this.pgdirs.push({ gpgdir: 0, shadow: 0 });
  }

  /** Ends the Guest. Only the first reason is remembered; the Guest stops before it would run again. */
  kill(message: string): void {
    if (this.dead !== undefined) return;
    this.dead = message;
    this.onKill(message);
  }

  // ---- the saved registers ------------------------------------------------------------------------------------------------------------

  /** A saved register by its offset (abi.REGS), int32. */
  reg(offset: number): number {
    return this.cpu.m32[(RAM_BASE + this.layout.regs + offset) >> 2];
  }
  setReg(offset: number, value: number): void {
    this.hostWrite(this.layout.regs + offset, value);
  }
  get cs(): number {
    return this.reg(REGS.cs) & 0xffff;
  }
  get ss(): number {
    return this.reg(REGS.ss) & 0xffff;
  }

  // ---- pages of the Host --------------------------------------------------------------------------------------------------------------

  /** A word of a Host page (shadow tables, Switcher pages), int32. */
  hostRead(physical: number): number {
    return this.cpu.m32[(RAM_BASE + physical) >> 2];
  }
  hostWrite(physical: number, value: number): void {
    this.cpu.physWrite(physical, value, 4);
  }
  /** A zeroed page of the pool, or 0 when there is none left. */
  allocatePage(): number {
    const page = this.freePages.pop() ?? 0;
    if (page !== 0) this.cpu.m32.fill(0, (RAM_BASE + page) >> 2, (RAM_BASE + page + PAGE) >> 2);
    return page;
  }
  freePage(physical: number): void {
    this.freePages.push(physical);
  }

  // ---- the Guest's memory -------------------------------------------------------------------------------------------------------------

  /** The address check, off by one on the strict side: an access that ends exactly at the limit is refused. */
  ok(address: number, length: number): boolean {
    const start = address >>> 0;
    const sum = (start + length) >>> 0;
    return sum >= start && sum >>> 12 < this.pfnLimit;
  }
  private backed(address: number, length: number): boolean {
    return (address >>> 0) + length <= this.backedBytes;
  }
  /** True when a guarded access would succeed. */
  readable(address: number, length: number): boolean {
    return this.ok(address, length) && this.backed(address, length);
  }

  /** A dword that is known to be readable, int32, any alignment. */
  peek32(address: number): number {
    const a = RAM_BASE + this.memBase + (address >>> 0);
    const { cpu } = this;
    return (a & 3) === 0 ? cpu.m32[a >> 2] : cpu.m8[a] | (cpu.m8[a + 1] << 8) | (cpu.m8[a + 2] << 16) | (cpu.m8[a + 3] << 24);
  }
  peek8(address: number): number {
    return this.cpu.m8[RAM_BASE + this.memBase + (address >>> 0)];
  }
  /** A dword that is known to be writable; seen by watches and by the code cache. */
  poke32(address: number, value: number): void {
    const physical = this.memBase + (address >>> 0);
    const { cpu } = this;
    if ((physical & 0xfff) <= PAGE - 4) cpu.physWrite(physical, value, 4);
    else for (let i = 0; i < 4; i++) cpu.physWrite(physical + i, (value >>> (8 * i)) & 0xff, 1);
  }

  /** Guarded read of `length` bytes: zeroes and a kill when it may not be. */
  lgread(address: number, length: number): Uint8Array {
    if (!this.readable(address, length)) {
      this.kill(badRead(address, length));
      return new Uint8Array(length);
    }
    const a = RAM_BASE + this.memBase + (address >>> 0);
    return this.cpu.m8.slice(a, a + length);
  }

  // ---- lguest_data --------------------------------------------------------------------------------------------------------------------

  /** True when the fields [offset, offset + length) can be reached. The address was checked once, at INIT. */
  ldReachable(offset: number, length: number): boolean {
    return this.ld >= 0 && this.backed(this.ld + offset, length);
  }
  /** A field known to be reachable, int32; 0 otherwise. */
  ld32(offset: number): number {
    return this.ldReachable(offset, 4) ? this.peek32(this.ld + offset) : 0;
  }
  /** @returns false when the field cannot be written. */
  setLd32(offset: number, value: number): boolean {
    if (!this.ldReachable(offset, 4)) return false;
    this.poke32(this.ld + offset, value);
    return true;
  }
  setLd8(offset: number, value: number): boolean {
    if (!this.ldReachable(offset, 1)) return false;
    this.cpu.physWrite(this.memBase + this.ld + offset, value, 1);
    return true;
  }

  // ---- saving -------------------------------------------------------------------------------------------------------------------------

  /** Everything but memory, as plain data. */
  save(): GuestState {
    return {
      backedBytes: this.backedBytes,
      ld: this.ld,
      kernelAddress: this.kernelAddress,
      noirqStart: this.noirqStart,
      noirqEnd: this.noirqEnd,
      pgdirs: this.pgdirs.map((slot) => ({ ...slot })),
      pgdidx: this.pgdidx,
      gdt: [...this.gdt],
      idt: [...this.idt],
      lastPagefault: this.lastPagefault,
      ts: this.ts,
      halted: this.halted,
      esp1: this.esp1,
      ss1: this.ss1,
      stackPages: this.stackPages,
      nextHcall: this.nextHcall,
      hcallPending: this.hcallPending,
      pendingNotify: this.pendingNotify,
      breakOut: this.breakOut,
      irqsPending: this.irqsPending,
      changed: this.changed,
      timer: this.timer,
      dead: this.dead,
      switcherFaulted: this.switcherFaulted,
      random: this.random.state,
      freePages: [...this.freePages],
    };
  }
  restore(s: GuestState): void {
    const { gdt, idt, random, pgdirs, freePages, ...plain } = s;
    Object.assign(this, plain);
    this.gdt.set(gdt);
    this.idt.set(idt);
    this.random.state = random;
    this.freePages = [...freePages];
    for (let i = 0; i < pgdirs.length; i++) this.pgdirs[i] = { ...pgdirs[i] };
  }
}

export interface GuestState {
  backedBytes: number;
  ld: number;
  kernelAddress: number;
  noirqStart: number;
  noirqEnd: number;
  pgdirs: PgdirSlot[];
  pgdidx: number;
  gdt: number[];
  idt: number[];
  lastPagefault: number;
  ts: number;
  halted: boolean;
  esp1: number;
  ss1: number;
  stackPages: number;
  nextHcall: number;
  hcallPending: boolean;
  pendingNotify: number;
  breakOut: boolean;
  irqsPending: number;
  changed: number;
  timer: number;
  dead: string | undefined;
  switcherFaulted: boolean;
  random: number;
  freePages: number[];
}

export const badRead = (address: number, length: number): string => `bad read address ${hex(address)} len ${length >>> 0}`;
export const badWrite = (address: number, length: number): string => `bad write address ${hex(address)} len ${length >>> 0}`;
