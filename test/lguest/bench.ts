// A test bench for the Host: a few megabytes of Guest memory, hand-assembled Guest code, and the control file as the Launcher sees it.
//
// The Guest's code is written with Code below, one method an instruction; every program ends by a NOTIFY of a known address or by dying. Memory is identity
// mapped by the Launcher's first page tables, so code, data and tables have the same addresses in Guest-virtual and Guest-physical memory.

import { Processor } from '../../src/i386/processor';
import { RAM_BASE, S } from '../../src/i386/state';
import { LD, LHCALL } from '../../src/lguest/abi';
import { ControlFile, LHREQ, type ReadResult } from '../../src/lguest/control-file';
import { type Host, type HostExit, physicalBytes } from '../../src/lguest/host';
import type { TrapRecord } from '../../src/lguest/trap-record';
import { prepareBoot } from '../../src/launcher/boot';
import { GuestMemory } from '../../src/launcher/guest-memory';

export const MEGABYTES = 4;
export const PAGES = MEGABYTES * 256 + 1;
/** Where things are in the bench's Guest. */
export const CODE = 0x100000;
export const HANDLERS = 0x110000;
export const USER = 0x120000;
export const DATA = 0x200000;
export const STACK = 0x210ff0;
export const KSTACK = 0x214ff0;
export const USTACK = 0x218ff0;
export const TABLE = 0x220000;
/** Pages free for tests. */
export const FREE = 0x280000;
/** The address with which a test program says that it has come to its end. */
export const DONE = 0x1ff000;
export const KERNEL_CS = 0x61;
export const KERNEL_DS = 0x69;
export const USER_CS = 0x73;
export const USER_DS = 0x7b;

/** Guest code, byte by byte. */
export class Code {
  readonly bytes: number[] = [];
  constructor(readonly at: number) {}
  get here(): number {
    return this.at + this.bytes.length;
  }
  raw(...bytes: number[]): this {
    this.bytes.push(...bytes);
    return this;
  }
  dword(value: number): this {
    return this.raw(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff);
  }
  /** mov $value, %reg (0 eax 1 ecx 2 edx 3 ebx 4 esp 5 ebp 6 esi 7 edi) */
  mov(reg: number, value: number): this {
    return this.raw(0xb8 + reg).dword(value);
  }
  esp(value: number): this {
    return this.mov(4, value);
  }
  /** int $0x1f with all four registers loaded. */
  hcall(number: number, arg1 = 0, arg2 = 0, arg3 = 0): this {
    return this.mov(0, number).mov(2, arg1).mov(3, arg2).mov(1, arg3).raw(0xcd, 0x1f);
  }
  /** NOTIFY(DONE), then a loop, should somebody go on. */
  done(address = DONE): this {
    return this.hcall(LHCALL.NOTIFY, address).raw(0xeb, 0xfe);
  }
  int(vector: number): this {
    return this.raw(0xcd, vector);
  }
  /** mov address, %eax */
  load(address: number): this {
    return this.raw(0xa1).dword(address);
  }
  /** mov %eax, address */
  store(address: number): this {
    return this.raw(0xa3).dword(address);
  }
  /** movl $value, address */
  put(address: number, value: number): this {
    return this.raw(0xc7, 0x05).dword(address).dword(value);
  }
  /** iret to ring 3 at `eip`. */
  toUser(eip: number, esp = USTACK, eflags = 0x202): this {
    return this.mov(0, USER_DS).raw(0x8e, 0xd8, 0x8e, 0xc0).push(USER_DS).push(esp).push(eflags).push(USER_CS).push(eip).raw(0xcf);
  }
  push(value: number): this {
    return this.raw(0x68).dword(value);
  }
  /** dec/jnz loop of 2 * n instructions on ecx. */
  spin(n: number): this {
    return this.mov(1, n).raw(0x49, 0x75, 0xfd);
  }
}

/** What the handlers of vectors() leave in memory when a trap arrives: see BOX. */
export const BOX = 0x1fe000;
const BOX_FIELDS = { esp: 0, w0: 4, w1: 8, w2: 12, w3: 16, w4: 20, w5: 24, vector: 28, cr2: 32, irqEnabled: 36, ss: 40, eax: 44 } as const;
type BoxField = keyof typeof BOX_FIELDS;

export interface BenchOptions {
  seed?: number;
  syscallVector?: number;
  tscKhz?: number;
  shadowPages?: number;
  /** Bytes of Guest memory that exist, when fewer than named. */
  stubAlignment?: 4 | 16;
  /** The words that the Launcher writes: default the right ones. */
  pfnLimit?: number;
}

const SHADOW_PAGES = 512;
const processors = new Map<number, Processor>();
/** A processor as after power-on. Making one is slow, so that each size is made once; only the newest bench of a size is alive. */
const freshProcessor = (ramBytes: number): Processor => {
  const known = processors.get(ramBytes);
  if (known === undefined) {
    const made = new Processor({ ramBytes, countRing0: false, jit: false });
    processors.set(ramBytes, made);
    return made;
  }
  const { cpu } = known;
  known.reset();
  cpu.m8.fill(0, 0, S.END);
  cpu.m8.fill(0, RAM_BASE, RAM_BASE + ramBytes);
  cpu.intercept.fill(0);
  return known;
};

export class Bench {
  readonly processor: Processor;
  readonly control: ControlFile;
  readonly host: Host;
  readonly memory: GuestMemory;
  readonly pgdir: number;
  /** The answer to INITIALIZE. */
  readonly initialized: number;

  constructor(options: BenchOptions = {}) {
    const guestBytes = PAGES * 4096;
    const { stubAlignment, shadowPages = SHADOW_PAGES, pfnLimit = PAGES, ...rest } = options;
    this.processor = freshProcessor(physicalBytes({ guestBytes, stubAlignment, shadowPages }));
    const memBase = physicalBytes({ guestBytes: 0, stubAlignment, shadowPages });
    this.memory = new GuestMemory(this.processor.cpu, memBase, MEGABYTES << 20, guestBytes);
    this.pgdir = prepareBoot(this.memory, { cmdline: '', initrd: undefined });
    this.control = new ControlFile(this.processor, { guestBytes, stubAlignment, shadowPages, records: 4096, ...rest });
    this.initialized = this.control.write([LHREQ.INITIALIZE, memBase, pfnLimit, this.pgdir, CODE]);
    this.host = this.control.host as Host;
    this.setLd();
  }

  get lg(): Host['lg'] {
    return this.host.lg;
  }

  // ---- memory -------------------------------------------------------------------------------------------------------------------------

  u32(address: number): number {
    return this.memory.u32(address);
  }
  set32(address: number, value: number): void {
    this.memory.set32(address, value);
  }
  load(code: Code): this {
    this.memory.write(code.at, Uint8Array.from(code.bytes));
    return this;
  }
  /** Writes Guest code at `at`. */
  code(write: (c: Code) => void, at = CODE): this {
    const c = new Code(at);
    write(c);
    return this.load(c);
  }
  text(address: number, text: string): this {
    this.memory.write(address, new TextEncoder().encode(`${text}\0`));
    return this;
  }
  /** The fields of lguest_data that the Guest provides. */
  setLd(fields: Partial<Record<keyof typeof LD, number>> = {}, at = DATA): this {
    const values: Partial<Record<keyof typeof LD, number>> = {
      blockedInterrupts: 0,
      kernelAddress: 0xc0000000,
      syscallVec: 0x80,
      ...fields,
    };
    for (const [name, value] of Object.entries(values)) this.set32(at + LD[name as keyof typeof LD], value);
    for (let i = 0; i < 64; i++) this.memory.set8(at + LD.hcallStatus + i, 0xff);
    return this;
  }
  ld(field: keyof typeof LD, at = DATA): number {
    return this.u32(at + LD[field]);
  }
  setLdField(field: keyof typeof LD, value: number): void {
    this.set32(DATA + LD[field], value);
  }
  ringStatus(slot: number): number {
    return this.memory.u8(DATA + LD.hcallStatus + slot);
  }
  /** Puts a request into the async ring. */
  ring(slot: number, number: number, arg1 = 0, arg2 = 0, arg3 = 0): this {
    const at = DATA + LD.hcalls + slot * 16;
    this.set32(at, number);
    this.set32(at + 4, arg2);
    this.set32(at + 8, arg3);
    this.set32(at + 12, arg1);
    this.memory.set8(DATA + LD.hcallStatus + slot, 0);
    return this;
  }
  /** Guest-physical address of the first tables' PTE for an address. */
  gpteAt(address: number): number {
    return this.pgdir - 4096 + (address >>> 12) * 4;
  }
  gpte(address: number): number {
    return this.u32(this.gpteAt(address));
  }
  gpdeAt(address: number): number {
    return this.pgdir + (address >>> 22) * 4;
  }
  /** Shadow PTE for an address in a slot, or undefined. */
  spte(address: number, slot = this.lg.pgdidx): number | undefined {
    return this.host.shadowWalk(address, slot).pte;
  }
  /** The shadow PTE's low 12 bits, 0 when there is none. */
  sflags(address: number, slot = this.lg.pgdidx): number {
    return (this.spte(address, slot) ?? 0) & 0xfff;
  }
  /** Live descriptor or gate. */
  live(table: 'gdt' | 'idt', index: number): [low: number, high: number] {
    const at = this.host.layout.statePage - 0x1000 + (table === 'gdt' ? 0x1890 : 0x1090) + index * 8;
    return [this.lg.hostRead(at) >>> 0, this.lg.hostRead(at + 4) >>> 0];
  }

  // ---- running ------------------------------------------------------------------------------------------------------------------------

  /** read() until an answer of the Host; halts with a timer are skipped. Fails the test when nothing comes in `budget` instructions. */
  read(budget = 20_000_000): ReadResult {
    for (let turns = 0; ; turns++) {
      const result = this.control.read((host) => host.run(budget, 100_000));
      if (result.kind === 'early' && result.exit.kind === 'halted' && result.exit.wakeNs !== undefined && turns < 1000) {
        this.host.skipIdle();
        continue;
      }
      return result;
    }
  }
  /** Runs a program to its DONE. */
  run(budget?: number): this {
    const result = this.read(budget);
    if (result.kind !== 'notify' || result.address !== DONE)
      throw new Error(`the program did not come to its end: ${JSON.stringify(result)} dead: ${this.lg.dead}`);
    return this;
  }
  /** Runs a program to its death. @returns the reason. */
  die(budget?: number): string {
    const first = this.read(budget);
    if (first.kind !== 'error' || first.result !== -2) throw new Error(`the Guest did not die: ${JSON.stringify(first)}`);
    const second = this.control.read((host) => host.run(0), 1023);
    if (second.kind !== 'reason') throw new Error(`no reason: ${JSON.stringify(second)}`);
    return second.text.slice(0, -1);
  }
  exit(run: (host: Host) => HostExit): HostExit {
    const result = this.control.read(run);
    if (result.kind !== 'early') throw new Error(`unexpected ${JSON.stringify(result)}`);
    return result.exit;
  }
  records(): TrapRecord[] {
    return [...this.host.records];
  }
  /** Records of traps with a vector. */
  traps(vector: number): TrapRecord[] {
    return this.records().filter((r) => r.kind === 'trap' && r.vector === vector);
  }

  // ---- ready-made surroundings --------------------------------------------------------------------------------------------------------

  /** Writes the usual GDT into TABLE: kernel and user segments. */
  gdtTable(): this {
    const entries: [number, number, number][] = [
      [12, 0x0000ffff, 0x00cf9a00],
      [13, 0x0000ffff, 0x00cf9200],
      [14, 0x0000ffff, 0x00cffa00],
      [15, 0x0000ffff, 0x00cff200],
    ];
    for (const [index, low, high] of entries) {
      this.set32(TABLE + index * 8, low);
      this.set32(TABLE + index * 8 + 4, high);
    }
    return this;
  }
  /** Handlers for all vectors: store the frame in BOX and end with NOTIFY(DONE). */
  handlers(): this {
    for (let v = 0; v < 256; v++) {
      const c = new Code(HANDLERS + v * 64);
      c.raw(0x36, 0xa3).dword(BOX + BOX_FIELDS.eax); // mov %eax, %ss:
      c.raw(0x36, 0x89, 0x25).dword(BOX); // mov %esp, %ss:
      c.raw(0x36, 0xc7, 0x05)
        .dword(BOX + BOX_FIELDS.vector)
        .dword(v);
      c.raw(0xe9).dword(HANDLERS + 256 * 64 - (c.here + 4));
      this.load(c);
    }
    const c = new Code(HANDLERS + 256 * 64);
    c.mov(0, KERNEL_DS).raw(0x8e, 0xd8, 0x8e, 0xc0);
    for (let i = 0; i < 6; i++) c.raw(0x8b, 0x44, 0x24, 4 * i).store(BOX + 4 + 4 * i); // mov 4*i(%esp), %eax
    c.load(DATA + LD.cr2).store(BOX + BOX_FIELDS.cr2);
    c.load(DATA + LD.irqEnabled).store(BOX + BOX_FIELDS.irqEnabled);
    c.raw(0x8c, 0xd0).store(BOX + BOX_FIELDS.ss);
    c.done();
    this.load(c);
    return this;
  }
  /** A field that the handler left: w0 is the lowest word of the frame. */
  box(field: BoxField): number {
    return this.u32(BOX + BOX_FIELDS[field]);
  }
}

export const handlerOf = (vector: number): number => HANDLERS + vector * 64;
/** Arguments of LOAD_IDT_ENTRY for the bench's handler. */
export const gate = (vector: number, type: 0xe | 0xf, dpl = 0): [number, number, number] => [
  vector,
  (0x60 << 16) | (handlerOf(vector) & 0xffff),
  (handlerOf(vector) & 0xffff0000) | 0x8000 | (dpl << 13) | (type << 8),
];

/** Program start: INIT, segments, kernel stack, and interrupt gates for the given vectors. */
export const setup = (c: Code, gates: [vector: number, type: 0xe | 0xf, dpl?: number][] = []): Code => {
  c.esp(STACK).hcall(LHCALL.LGUEST_INIT, DATA).hcall(LHCALL.LOAD_GDT, TABLE, 32).hcall(LHCALL.SET_STACK, KERNEL_DS, KSTACK, 1);
  for (const [vector, type, dpl] of gates) c.hcall(LHCALL.LOAD_IDT_ENTRY, ...gate(vector, type, dpl));
  return c;
};
/** A bench with handlers and tables, whose program begins with setup(). */
export const guest = (
  write: (c: Code) => void,
  gates: [vector: number, type: 0xe | 0xf, dpl?: number][] = [],
  options: BenchOptions = {},
): Bench =>
  new Bench(options)
    .gdtTable()
    .handlers()
    .code((c) => write(setup(c, gates)));
/** Only INIT before the program. */
export const bare = (write: (c: Code) => void, options: BenchOptions = {}): Bench =>
  new Bench(options).code((c) => write(c.esp(STACK).hcall(LHCALL.LGUEST_INIT, DATA)));
