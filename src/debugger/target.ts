// The machine as a debugger sees it: registers, memory in its address spaces, running and stepping.
//
// One interface, so that a bare machine can be debugged by the same code as a Guest under its Host; what only a Guest has is under `host`. Reading never
// changes the machine. What it leaves out: why it stopped (stops.ts) and names (programs.ts).

import type { Cpu } from '../i386/cpu';
import { baseOf, limitOf } from '../i386/descriptors';
import { CR0, CS, DS, ES, FL, FS, GS, LDTR, RAM_BASE, SS, W } from '../i386/state';
import type { Processor } from '../i386/processor';
import { Context, type GuestContext, type GuestRegister } from '../lguest/context';
import type { Host, TrapFilter } from '../lguest/host';
import type { Position, TrapLog, TrapRecord } from '../lguest/trap-record';
import type { BareMachine } from '../launcher/bare';
import type { Device } from '../launcher/devices';
import type { Inputs, Machine, RunOptions, Stop } from '../launcher/machine';

const PAGE = 4096;
/** The Switcher's pages: only the shadow tables know them. */
const SWITCHER = 0xffc00000;

/**
 * Where an address counts: linear (with the page directory of another space), guest-physical, the emulated machine's own memory, or linear by the Host's own
 * tables, where the Switcher's pages are seen as the Host maps them.
 */
export type Space = { kind: 'linear'; directory?: number } | { kind: 'physical' } | { kind: 'machine' } | { kind: 'host' };
export const LINEAR: Space = { kind: 'linear' };
const PHYSICAL: Space = { kind: 'physical' };

export type SegmentName = 'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs';
const SEGMENTS: Readonly<Record<SegmentName, number>> = { cs: CS, ss: SS, ds: DS, es: ES, fs: FS, gs: GS };
/** D of a code segment, in the upper half of its descriptor. */
const D_BIT = 1 << 22;

/** The hidden part of a segment register. */
export interface Hidden {
  base: number;
  limit: number;
  access: number;
}
export const hiddenOf = (cpu: Cpu, n: number): Hidden => ({
  base: cpu.m32[W.BASE + n] >>> 0,
  limit: cpu.m32[W.LIMIT + n] >>> 0,
  access: cpu.m32[W.ACCESS + n],
});

export interface Target {
  readonly processor: Processor;
  /** The Host, when a Guest is what runs. */
  readonly host: Host | undefined;
  readonly position: Position;
  readonly records: TrapLog;
  readonly nowNs: number;
  /** Linear address of the next instruction, and the width of its code. */
  readonly pc: number;
  readonly codeBits: 16 | 32;
  /** Linear address at which a segment of the code at hand begins, uint32. */
  segmentBase(name: SegmentName): number;
  /** Linear address at which the segment of a selector begins, as code that has it would see it; undefined: no such segment. */
  selectorBase(selector: number): number | undefined;
  /** What the processor has, or will load, for a segment register: uint32, the access byte with the flags above it. */
  segment(name: SegmentName): Hidden;
  setFilter(filter: TrapFilter | undefined): void;
  /** Exit status of a run that ended by itself; undefined: by the kind of its end. */
  readonly endStatus: number | undefined;
  /** Guest-physical memory from 0 on, when what runs may be a Linux kernel. */
  guestMemory?(): Uint8Array;
  register(name: GuestRegister): number;
  /** Throws an Error with one line when the processor refuses. */
  setRegister(name: GuestRegister, value: number): void;
  /** Where a byte lies in the machine's memory, or -1. */
  locate(address: number, space?: Space): number;
  /** Physical address (a Guest's: guest-physical) of a linear one by the current tables, or undefined. */
  physical(address: number): number | undefined;
  /** Whether the instruction of so many bytes at a linear address was ever begun; undefined where nobody keeps count (unmapped, the Switcher). */
  executed(address: number, length: number): boolean | undefined;
  /** As many bytes as can be read from `address` on. */
  read(address: number, length: number, space?: Space): Uint8Array;
  /** @returns bytes written before the first that cannot be. */
  write(address: number, bytes: Uint8Array, space?: Space): number;
  /** uint32, or undefined. */
  read32(address: number, space?: Space): number | undefined;
  run(options: RunOptions): Stop;
  step(options: RunOptions): Stop;
  skipIdle(): void;
  /** Ends a run under way before the next instruction, with kind 'stop'. */
  requestStop(): void;
  /** One instruction of whatever runs, the Switcher included, or one step of the Host. */
  stepHost?(): Stop;
  /** The Launcher's devices; only a Guest has them. */
  readonly devices?: readonly Device[];
  /** What the user does to the Guest from outside; only a Guest has it. */
  readonly inputs?: Inputs;
  readonly end: Stop | undefined;
  /** The trap at hand or the newest. */
  readonly current: TrapRecord | undefined;
}

/** Reading and writing by place, the same for every machine. */
abstract class MemoryTarget {
  abstract readonly processor: Processor;
  abstract locate(address: number, space?: Space): number;
  /** Below it in the machine's memory, code is not run instruction by instruction. */
  protected codeFrom = 0;

  executed(address: number, length: number): boolean | undefined {
    const physical = this.locate(address);
    return physical < this.codeFrom || physical < 0 ? undefined : this.processor.blocks.executed.was(physical, length);
  }

  read(address: number, length: number, space: Space = LINEAR): Uint8Array {
    const { m8 } = this.processor.cpu;
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = address + done;
      if (at > 0xffffffff) break;
      const physical = this.locate(at, space);
      if (physical < 0) break;
      const count = Math.min(length - done, PAGE - (at & (PAGE - 1)));
      bytes.set(m8.subarray(RAM_BASE + physical, RAM_BASE + physical + count), done);
      done += count;
    }
    return done === length ? bytes : bytes.subarray(0, done);
  }

  write(address: number, bytes: Uint8Array, space: Space = LINEAR): number {
    // It may be a page table.
    this.processor.cpu.tablesChanged();
    for (let i = 0; i < bytes.length; i++) {
      const physical = this.locate(address + i, space);
      if (physical < 0) return i;
      this.processor.cpu.physWrite(physical, bytes[i], 1);
    }
    return bytes.length;
  }

  read32(address: number, space: Space = LINEAR): number | undefined {
    const { m8 } = this.processor.cpu;
    const physical = this.locate(address, space);
    if (physical < 0) return undefined;
    if ((address & (PAGE - 1)) <= PAGE - 4) {
      const a = RAM_BASE + physical;
      return (m8[a] | (m8[a + 1] << 8) | (m8[a + 2] << 16) | (m8[a + 3] << 24)) >>> 0;
    }
    const bytes = this.read(address, 4, space);
    return bytes.length < 4 ? undefined : (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
  }
}

/** A Guest under its Host. */
export class GuestTarget extends MemoryTarget implements Target {
  readonly processor: Processor;
  readonly host: Host;

  constructor(readonly machine: Machine) {
    super();
    this.processor = machine.processor;
    this.host = machine.host;
    this.own = new Context({ cpu: machine.processor.cpu, lg: machine.host.lg, inGuest: true });
    this.codeFrom = machine.host.layout.memBase;
  }

  get devices(): readonly Device[] {
    return this.machine.devices.devices;
  }
  get inputs(): Inputs {
    return this.machine.inputs;
  }
  get position(): Position {
    return this.machine.position;
  }
  get end(): Stop | undefined {
    return this.machine.end;
  }
  get current(): TrapRecord | undefined {
    return this.host.current;
  }
  get records(): TrapLog {
    return this.host.records;
  }
  get nowNs(): number {
    return this.host.nowNs;
  }
  get pc(): number {
    return (this.segmentBase('cs') + this.register('eip')) >>> 0;
  }
  guestMemory(): Uint8Array {
    return this.machine.memory.view(0, Math.min(this.machine.memory.ramBytes, 64 << 20));
  }
  get codeBits(): 16 | 32 {
    if (this.live) return this.processor.cpu.m32[W.CS_BIG] === 0 ? 16 : 32;
    return this.descriptor('cs')[1] & D_BIT ? 32 : 16;
  }
  segmentBase(name: SegmentName): number {
    if (this.live) return this.processor.cpu.m32[W.BASE + SEGMENTS[name]] >>> 0;
    return baseOf(...this.descriptor(name)) >>> 0;
  }
  selectorBase(selector: number): number | undefined {
    const { gdt } = this.host.lg;
    const at = (selector >> 3) * 2;
    return at + 1 < gdt.length ? baseOf(gdt[at], gdt[at + 1]) >>> 0 : undefined;
  }
  segment(name: SegmentName): Hidden {
    if (this.live) return hiddenOf(this.processor.cpu, SEGMENTS[name]);
    const [low, high] = this.descriptor(name);
    return { base: baseOf(low, high) >>> 0, limit: limitOf(low, high) >>> 0, access: (high >> 8) & 0xf0ff };
  }
  /** The processor itself has what the Guest's registers are. */
  private get live(): boolean {
    return this.host.inGuest || this.host.inSwitcher;
  }
  /** Of a selector that is saved: what the table for this Guest has, as two words. lguest has no LDT. */
  private descriptor(name: SegmentName): [number, number] {
    const { gdt } = this.host.lg;
    const at = (this.register(name) >> 3) * 2;
    // Nothing is loaded before the Guest's first entry: then it is flat.
    return at > 0 && at + 1 < gdt.length ? [gdt[at], gdt[at + 1]] : [0, D_BIT];
  }
  readonly endStatus = undefined;
  setFilter(filter: TrapFilter | undefined): void {
    this.host.setFilter(filter);
  }
  /** The Guest's, wherever they are saved; the processor's own only while the Switcher is being stepped. */
  register(name: GuestRegister): number {
    return this.host.inSwitcher ? this.own.get(name) : this.host.context.get(name);
  }
  setRegister(name: GuestRegister, value: number): void {
    if (this.host.inSwitcher) throw new Error("the Switcher's registers cannot be changed: step out of it first");
    this.host.context.set(name, value);
  }
  private readonly own: GuestContext;

  locate(address: number, space: Space = LINEAR): number {
    const { host, processor } = this;
    const a = address >>> 0;
    const { memBase } = host.layout;
    if (space.kind === 'machine') return a < processor.cpu.ramBytes ? a : -1;
    if (space.kind === 'host') return this.byHostTables(a);
    if (space.kind === 'physical') return a < this.machine.memory.maxBytes ? memBase + a : -1;
    if (host.inSwitcher && space.directory === undefined) {
      const here = processor.cpu.peekTranslate(a | 0);
      if (here >= 0 && here < processor.cpu.ramBytes) return here;
    }
    const guest = host.guestWalk(a, space.directory).target;
    if (guest !== undefined && guest < this.machine.memory.maxBytes) return memBase + guest;
    // What the processor still has although the Guest's tables say no; and the Switcher.
    if (space.directory !== undefined && a < SWITCHER) return -1;
    const shadow = host.shadowWalk(a).target;
    return shadow !== undefined && shadow < processor.cpu.ramBytes ? shadow : -1;
  }

  private byHostTables(address: number): number {
    const word = (at: number): number => this.processor.cpu.m32[(RAM_BASE + at) >> 2] >>> 0;
    const pde = word(this.host.layout.hostPgdir + (address >>> 22) * 4);
    const pte = pde & 1 ? word(((pde & ~0xfff) >>> 0) + ((address >>> 12) & 0x3ff) * 4) : 0;
    return pte & 1 ? ((pte & ~0xfff) | (address & 0xfff)) >>> 0 : -1;
  }

  physical(address: number): number | undefined {
    return this.host.guestWalk(address >>> 0).target;
  }

  run(options: RunOptions): Stop {
    return this.machine.run(options);
  }
  step(options: RunOptions): Stop {
    return this.machine.step(options);
  }
  stepHost(): Stop {
    return this.machine.stepHost();
  }
  requestStop(): void {
    this.processor.requestStop();
  }
  skipIdle(): void {
    this.machine.skipIdle();
  }
}

/** The bare machine: no Host, no Guest, one address space. */
export class BareTarget extends MemoryTarget implements Target {
  readonly processor: Processor;
  readonly host = undefined;

  constructor(readonly machine: BareMachine) {
    super();
    this.processor = machine.processor;
  }

  get position(): Position {
    return this.machine.position;
  }
  get end(): Stop | undefined {
    return this.machine.end;
  }
  get endStatus(): number | undefined {
    const end = this.machine.bareEnd;
    return end?.kind === 'debug-exit' ? end.status & 0xff : undefined;
  }
  get current(): TrapRecord | undefined {
    return this.machine.current;
  }
  get records(): TrapLog {
    return this.machine.records;
  }
  get nowNs(): number {
    return this.machine.nowNs;
  }
  get pc(): number {
    const { m32 } = this.processor.cpu;
    return (m32[W.BASE + CS] + m32[W.EIP]) >>> 0;
  }
  get codeBits(): 16 | 32 {
    return this.processor.cpu.m32[W.CS_BIG] === 0 ? 16 : 32;
  }
  segmentBase(name: SegmentName): number {
    return this.processor.cpu.m32[W.BASE + SEGMENTS[name]] >>> 0;
  }
  selectorBase(selector: number): number | undefined {
    const { m32 } = this.processor.cpu;
    if ((m32[W.CR0] & CR0.PE) === 0 || m32[W.EFLAGS] & FL.VM) return (selector & 0xffff) << 4;
    const table = selector & 4 ? m32[W.BASE + LDTR] : m32[W.GDT_BASE];
    const at = (table + (selector & 0xfff8)) >>> 0;
    const low = this.read32(at);
    const high = this.read32(at + 4);
    return low === undefined || high === undefined ? undefined : baseOf(low, high) >>> 0;
  }
  segment(name: SegmentName): Hidden {
    return hiddenOf(this.processor.cpu, SEGMENTS[name]);
  }
  setFilter(filter: TrapFilter | undefined): void {
    this.machine.setFilter(filter);
  }
  register(name: GuestRegister): number {
    return this.machine.context.get(name);
  }
  setRegister(name: GuestRegister, value: number): void {
    this.machine.context.set(name, value);
  }

  locate(address: number, space: Space = LINEAR): number {
    const physical =
      space.kind !== 'linear'
        ? address
        : space.directory === undefined
          ? this.processor.cpu.peekTranslate(address | 0)
          : this.walk(address >>> 0, space.directory);
    return physical < 0 ? -1 : this.place(physical);
  }
  private place(physical: number): number {
    const offset = this.processor.cpu.physicalOffset(physical);
    return offset < 0 ? -1 : offset - RAM_BASE;
  }
  /** Through the page tables of another address space. @returns a physical address, or -1. */
  private walk(address: number, directory: number): number {
    const pde = this.read32((directory & ~0xfff) + (address >>> 22) * 4, PHYSICAL) ?? 0;
    if ((pde & 1) === 0) return -1;
    if (pde & 0x80 && this.processor.cpu.m32[W.CR4] & 0x10) return ((pde & 0xffc00000) | (address & 0x3fffff)) >>> 0;
    const pte = this.read32(((pde & ~0xfff) >>> 0) + ((address >>> 12) & 0x3ff) * 4, PHYSICAL) ?? 0;
    return (pte & 1) === 0 ? -1 : ((pte & ~0xfff) | (address & 0xfff)) >>> 0;
  }

  physical(address: number): number | undefined {
    const found = this.processor.cpu.peekTranslate(address | 0);
    return found < 0 ? undefined : found >>> 0;
  }

  run(options: RunOptions): Stop {
    return this.machine.run(options);
  }
  step(options: RunOptions): Stop {
    return this.machine.step(options);
  }
  requestStop(): void {
    this.machine.requestStop();
  }
  skipIdle(): void {
    this.machine.skipIdle();
  }
}

/** `f000:fff0` for a place in the code segment at hand when that does not begin at 0; undefined when it does, for then the linear address is the offset. */
export const segmentedText = (target: Target, linear: number): string | undefined => {
  const base = target.segmentBase('cs');
  return base === 0 ? undefined : placeText(target.register('cs'), (linear - base) >>> 0);
};
export const placeText = (cs: number, offset: number): string =>
  `${cs.toString(16).padStart(4, '0')}:${offset.toString(16).padStart(offset > 0xffff ? 8 : 4, '0')}`;

export const hex8 = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
