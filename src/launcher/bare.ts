// The bare machine: the processor with a PC's few oldest devices and no Host, for ROM images and multiboot kernels.
//
// It runs, stops and is saved like the Guest's machine (machine.ts), with the same kinds of stops and the same trap records (all of them `direct`), so that the
// debugger can treat both alike. Its clock is the instruction counter: one retired instruction is one nanosecond for the TSC, the timer, the clock chip and
// the serial line; a halted processor goes to its next event at once. What it leaves out: devices (pic.ts, pit.ts, uart.ts, bare-ports.ts), files, names.

import { type Cpu, CpuFault } from '../i386/cpu';
import { RECORD } from '../i386/decode';
import { type Exit, Processor } from '../i386/processor';
import { loadSegment } from '../i386/segments';
import { CS, DS, EAX, EBX, EDX, ES, ESP, FL, FS, GS, LDTR, pushesErrorCode, RAM_BASE, S, SS, TR, W } from '../i386/state';
import type { GuestContext, GuestRegister } from '../lguest/context';
import type { TrapFilter } from '../lguest/host';
import { Draft, type Position, TrapLog, type TrapRecord, type TrapTotals } from '../lguest/trap-record';
import { BarePorts, type PortsState } from './bare-ports';
import { LauncherError } from './errors';
import type { RunOptions, Stop } from './machine';
import { BOOT_MAGIC, loadMultiboot, type MultibootModule } from './multiboot';
import { PicPair, type PicState } from './pic';
import { Pit, type PitState } from './pit';
import { loadRom } from './rom';
import { Hash, hashCpu } from './state-hash';
import { NEVER, Uart, type UartState } from './uart';

const PAGE = 4096;
const MEGABYTE = 0x100000;
const TIMER_IRQ = 0;
const COM1_IRQ = 4;
const COPROCESSOR_IRQ = 13;
/** So many deliveries in a row without one instruction retired: a loop of faults that no timer can end. */
const STORM = 100_000;
const CAUSE_EXTERNAL = 2;
/**
 * Where a local APIC would answer. There is none; multiboot machines have a page of plain memory there (a page of the hole below 1 MB that no memory map
 * offers), because software that takes an APIC for granted would read all ones as "busy" for ever.
 */
const APIC = 0xfee00000;
const APIC_BACKING = 0xdf000;
/** Device memory of QEMU's pc-testdev, which test suites use as such; in the same hole. */
const TEST_MEMORY = 0xff000000;
const TEST_MEMORY_BYTES = 0x10000;
const TEST_BACKING = 0xc0000;

export interface BareOptions {
  image: Uint8Array;
  /** true: a raw ROM; false (default): a multiboot kernel. */
  rom?: boolean;
  /** Bytes, a multiple of 1 MB, 1 MB to 1 GB. */
  memoryBytes: number;
  /** Multiboot: the command line as the kernel gets it. */
  cmdline?: string;
  modules?: readonly MultibootModule[];
  /** Where POST codes are written; default 80h. */
  postPort?: number;
  jit?: boolean;
  /** Executions before a block is translated. */
  jitThreshold?: number;
  /** Trap records kept in full, a power of two; default 65,536. */
  records?: number;
}

/** How a bare machine ended, beside the Stop that run() answers. */
export type BareEnd =
  /** isa-debug-exit: `status` is (value << 1) | 1, as QEMU's exit status, before it is cut to a byte. */
  | { kind: 'debug-exit'; value: number; status: number }
  | { kind: 'reset'; by: string }
  | { kind: 'shutdown' }
  /** Exceptions without end, none of which lets an instruction retire. */
  | { kind: 'storm' };

export class BareMachine {
  readonly processor: Processor;
  readonly cpu: Cpu;
  readonly uart: Uart;
  readonly pic: PicPair;
  readonly pit: Pit;
  readonly ports: BarePorts;
  readonly records: TrapLog;
  readonly context: GuestContext;
  readonly inputs: { console(bytes: Uint8Array): void; consoleEnd(): void };
  /** What the software sends to COM1. */
  onConsole: (bytes: Uint8Array) => void = () => {};
  /** What it writes to port E9h. */
  onDebugPort: (byte: number) => void = () => {};
  onPost: (code: number) => void = () => {};

  /** Time beyond retired instructions that the processor slept through, in nanoseconds. */
  private idleNs = 0;
  private halted = false;
  private inputEnded = false;
  /** The run must end for the machine's own sake: a new deadline, an end. */
  private attention = false;
  private stopWanted = false;
  private ended: { stop: Stop; end: BareEnd } | undefined;
  private filter: TrapFilter | undefined;
  /** The external interrupt at hand was shown to the filter already. */
  private passInterrupt = false;
  private readonly draft = new Draft();
  /** For the storm guard: deliveries since the last retired instruction. */
  private stormRetired = -1;
  private stormCount = 0;
  private stormLimit = STORM;

  /** @throws LauncherError with one clear line. */
  constructor(options: BareOptions) {
    const { memoryBytes } = options;
    if (!Number.isInteger(memoryBytes) || memoryBytes % MEGABYTE !== 0 || memoryBytes < MEGABYTE || memoryBytes > 1024 * MEGABYTE)
      throw new LauncherError(`the machine's memory must be a whole number of MB from 1 to 1024, not ${memoryBytes / MEGABYTE} MB`);
    const postPort = options.postPort ?? 0x80;
    if (!Number.isInteger(postPort) || postPort < 0 || postPort > 0xffff)
      throw new LauncherError('the POST port must be a number from 0 to 0xffff');
    this.processor = new Processor({ ramBytes: memoryBytes, countRing0: true, jit: options.jit, jitThreshold: options.jitThreshold });
    const { cpu } = this.processor;
    this.cpu = cpu;
    this.records = new TrapLog(options.records);
    const now = (): number => this.retiredNow() + this.idleNs;
    cpu.tsc = now;
    this.pic = new PicPair((level) => {
      cpu.intr = level;
    });
    this.pit = new Pit(now, () => {
      this.pic.setLine(TIMER_IRQ, false);
      this.pic.setLine(TIMER_IRQ, true);
    });
    this.uart = new Uart(now, (level) => this.pic.setLine(COM1_IRQ, level));
    this.uart.onByte = (byte) => this.onConsole(Uint8Array.of(byte));
    this.ports = new BarePorts({
      uart: this.uart,
      pit: this.pit,
      pic: this.pic,
      postPort,
      memoryBytes,
      now,
      onDebug: (byte) => this.onDebugPort(byte),
      onPost: (code) => this.onPost(code),
      onExit: (value) => {
        const status = ((value << 1) | 1) >>> 0;
        this.finish({ kind: 'debug-exit', value, status }, 'power-off', `isa-debug-exit: value 0x${value.toString(16)}, status ${status}`);
      },
      onReset: (by) => this.finish({ kind: 'reset', by }, 'power-off', `reset through ${by}`),
      onSchedule: () => this.interruptRun(),
      onBusyCleared: () => {
        this.pic.setLine(COPROCESSOR_IRQ, false);
        // IGNNE#, for as long as FERR# is there.
        if (cpu.m32[W.FPU_SW] & 0x80) cpu.m32[W.FPU_IGNORE] = 1;
      },
    });
    cpu.bus = this.ports;
    cpu.onFpuError = () => this.pic.setLine(COPROCESSOR_IRQ, true);
    this.context = new BareContext(cpu);
    this.inputs = {
      console: (bytes) => {
        this.uart.type(bytes);
      },
      consoleEnd: () => {
        this.inputEnded = true;
      },
    };
    cpu.onTransfer = (vector, cause, errorCode, cs, eip, cpl, plain) =>
      plain ? this.transferredPlain(vector, cause, errorCode, cs, eip) : this.transferred(vector, cause, errorCode, cs, eip, cpl);
    powerOn(cpu);
    if (options.rom === true) loadRom(cpu, options.image);
    else {
      const ram = cpu.m8.subarray(RAM_BASE, RAM_BASE + memoryBytes);
      const { image, cmdline = '', modules = [] } = options;
      const { entry, info, scratch } = loadMultiboot(ram, { image, cmdline, modules, memoryBytes });
      enterMultiboot(cpu, entry, info, scratch);
      cpu.addAlias(APIC, PAGE, APIC_BACKING);
      cpu.addAlias(TEST_MEMORY, TEST_MEMORY_BYTES, TEST_BACKING);
    }
    cpu.updateMode();
  }

  // ---- time and position --------------------------------------------------------------------------------------------------------------

  /** Instructions retired, exact also in the middle of a block. */
  private retiredNow(): number {
    const { cpu } = this;
    return this.processor.now() + (cpu.cur >= 0 ? (cpu.cur - cpu.blockFirst) / RECORD : 0);
  }
  /** Nanoseconds since power-on. */
  get nowNs(): number {
    return this.processor.retired + this.idleNs;
  }
  get position(): Position {
    return { retired: this.processor.retired, hostStep: 0 };
  }
  get end(): Stop | undefined {
    return this.ended?.stop;
  }
  /** How it ended, in the machine's own terms. */
  get bareEnd(): BareEnd | undefined {
    return this.ended?.end;
  }
  /** The newest trap record. */
  get current(): TrapRecord | undefined {
    return this.records.get(this.records.count - 1);
  }

  // ---- running ------------------------------------------------------------------------------------------------------------------------

  /** `entries` bounds deliveries through the IDT: a program that only faults retires nothing, and its caller wants a turn too. */
  run(options: RunOptions = {}): Stop {
    const end = this.processor.retired + (options.instructions ?? Number.MAX_SAFE_INTEGER);
    return this.loop(end, options, false);
  }
  /** The next instruction completes, or what it raises (or an interrupt that was due) is handed to its handler. */
  step(options: Pick<RunOptions, 'idle' | 'entries'> = {}): Stop {
    return this.loop(this.processor.retired + 1, options, true);
  }
  /** The same: there is no Host to step through. */
  stepHost(): Stop {
    return this.step({ idle: 'stop' });
  }

  private loop(end: number, options: RunOptions, single: boolean): Stop {
    const { processor, records } = this;
    const lastDelivery = records.count + (options.entries ?? Number.MAX_SAFE_INTEGER);
    this.stormLimit = Math.min(STORM, options.entries ?? STORM);
    const firstRecord = records.count;
    for (;;) {
      if (this.ended !== undefined) return this.ended.stop;
      this.advance();
      if (this.halted) {
        const stop = this.sleep(options.idle ?? 'skip');
        if (stop !== undefined) return stop;
      }
      const { retired } = processor;
      if (retired >= end) return { kind: 'budget' };
      if (records.count >= lastDelivery) return { kind: 'slice' };
      if (single && records.count > firstRecord) return { kind: 'budget' };
      const budget = Math.min(end - retired, Math.max(1, this.deadline - this.nowNs));
      this.attention = false;
      const exit = single ? processor.step() : processor.run(budget);
      const stop = this.afterRun(exit);
      if (stop !== undefined) return stop;
      if (single && !this.halted && exit.kind === 'budget') {
        this.advance();
        return this.end ?? { kind: 'budget' };
      }
    }
  }

  private afterRun(exit: Exit): Stop | undefined {
    switch (exit.kind) {
      case 'budget':
        return undefined;
      case 'halt':
        this.halted = true;
        return undefined;
      case 'interrupt-window':
        return this.interrupt();
      case 'shutdown':
        this.finish({ kind: 'shutdown' }, 'killed', `triple fault: the processor shut down at ${this.place()}`);
        return this.end;
      case 'intercept':
        return this.beforeDelivery(exit.vector, exit.errorCode);
      case 'stop':
        // The machine's own wishes and those of whoever watches use the same door.
        if (this.attention && !this.stopWanted) {
          this.attention = false;
          return undefined;
        }
        this.attention = this.stopWanted = false;
        return exit;
      default:
        return exit;
    }
  }

  /** Next moment at which something happens by itself, in nanoseconds. */
  private get deadline(): number {
    return Math.min(this.pit.deadline, this.uart.deadline);
  }
  private advance(): void {
    const now = this.nowNs;
    if (now >= this.pit.deadline) this.pit.advance();
    if (now >= this.uart.deadline) this.uart.advance();
  }
  /** Ends the processor's run at the next block boundary (port instructions end their block), so that a new deadline counts from here. */
  private interruptRun(): void {
    if (this.attention || this.deadline === NEVER) return;
    this.attention = true;
    this.processor.requestStop();
  }

  /** HLT: until an interrupt comes. @returns a stop when the caller must decide. */
  private sleep(idle: 'skip' | 'stop'): Stop | undefined {
    const { cpu } = this;
    while (!(cpu.intr && cpu.m32[W.EFLAGS] & FL.IF)) {
      const { deadline } = this;
      const hopeless = (cpu.m32[W.EFLAGS] & FL.IF) === 0;
      if (deadline === NEVER || hopeless) return { kind: 'idle', wakeNs: undefined };
      if (idle === 'stop' && deadline > this.nowNs) return { kind: 'idle', wakeNs: deadline - this.nowNs };
      this.idleNs += Math.max(0, deadline - this.nowNs);
      this.advance();
    }
    this.halted = false;
    return undefined;
  }
  /** After a stop 'idle' with wakeNs: go to the next event. */
  skipIdle(): void {
    const { deadline } = this;
    if (!this.halted || deadline === NEVER) return;
    this.idleNs += Math.max(0, deadline - this.nowNs);
    this.advance();
  }
  /** True while the processor sleeps in HLT. */
  get sleeping(): boolean {
    return this.halted;
  }
  /** True when a typed byte would wake the machine. */
  get awaitsInput(): boolean {
    return this.uart.listens && !this.inputEnded;
  }

  /** The processor accepts an external interrupt now. */
  private interrupt(): Stop | undefined {
    const { filter } = this;
    const { vector } = this.pic;
    if (filter !== undefined && filter.vectors[vector] !== 0 && !this.passInterrupt) {
      this.describe(vector, CAUSE_EXTERNAL, -1);
      const record = this.records.preview(this.draft);
      if (filter.test(record)) {
        this.passInterrupt = true;
        return { kind: 'trap', record };
      }
    }
    this.passInterrupt = false;
    this.halted = false;
    if (this.processor.interrupt(this.pic.acknowledge())) return undefined;
    return this.afterRun({ kind: 'shutdown' });
  }

  /** Makes run() come back with kind 'stop' at the next instruction boundary. For callbacks. */
  requestStop(): void {
    this.stopWanted = true;
    this.processor.requestStop();
  }

  private finish(end: BareEnd, kind: 'power-off' | 'killed', message: string): void {
    if (this.ended !== undefined) return;
    this.ended = { end, stop: { kind, message, record: this.current } };
    this.attention = true;
    this.processor.requestStop();
  }
  private place(): string {
    const { m32 } = this.cpu;
    return `${(m32[W.SELECTOR + CS] & 0xffff).toString(16).padStart(4, '0')}:${(m32[W.EIP] >>> 0).toString(16).padStart(8, '0')}`;
  }

  // ---- records ------------------------------------------------------------------------------------------------------------------------

  /** As Host.setFilter(): which deliveries to ask about. */
  setFilter(filter: TrapFilter | undefined): void {
    this.filter = filter;
    for (let v = 0; v < 256; v++) this.cpu.intercept[v] = filter !== undefined && filter.vectors[v] !== 0 ? 1 : 0;
  }

  private beforeDelivery(vector: number, errorCode: number): Stop | undefined {
    this.processor.passIntercept();
    if (this.filter === undefined) return undefined;
    this.describe(vector, 0, pushesErrorCode(vector) ? errorCode : -1);
    const record = this.records.preview(this.draft);
    return this.filter.test(record) ? { kind: 'trap', record } : undefined;
  }

  /** The draft of a delivery that is about to happen, from the registers as they are. */
  private describe(vector: number, cause: number, errorCode: number): void {
    const { cpu, draft: d } = this;
    const m = cpu.m32;
    d.kind = 'direct';
    d.outcome = 'direct';
    d.reason = cause === CAUSE_EXTERNAL ? 'host-interrupt' : 'none';
    d.vector = vector;
    d.hasError = errorCode >= 0;
    d.error = errorCode;
    d.eip = m[W.EIP];
    d.cs = m[W.SELECTOR + CS];
    d.ss = m[W.SELECTOR + SS];
    d.esp = m[ESP];
    d.eflags = cpu.getFlags();
    d.hasCr2 = vector === 14 && cause !== CAUSE_EXTERNAL;
    d.cr2 = d.hasCr2 ? m[W.CR2] : 0;
    d.hasIo = d.hasFrame = d.hasGate = false;
    d.depth = 0;
    d.cr3 = m[W.CR3];
    d.parent = d.slot = -1;
    d.retired = this.retiredNow();
    d.ns = d.retired + this.idleNs;
    d.hostStep = 0;
  }

  /** Every delivery through the IDT comes by here, when it is done. */
  private transferred(vector: number, cause: number, errorCode: number, cs: number, eip: number, cpl: number): void {
    const { cpu, draft: d } = this;
    const m = cpu.m32;
    this.describe(vector, cause, errorCode);
    d.eip = eip;
    d.cs = cs;
    // A software interrupt retires with its delivery.
    if (cause === 1 || cause === 3) {
      d.retired++;
      d.ns++;
    }
    if (m[W.CR0] & 1) {
      const wide = m[W.CS_BIG] !== 0;
      const at = m[W.IDT_BASE] + vector * 8;
      d.hasGate = true;
      d.gateLow = this.peek32(at);
      d.gateHigh = this.peek32(at + 4);
      if (wide && (d.gateHigh & 0xf00) >= 0xe00) {
        const first = errorCode >= 0 ? 1 : 0;
        const frame = m[W.BASE + SS] + m[ESP];
        d.hasFrame = true;
        d.frameAt = frame;
        d.frameEflags = d.eflags = this.peek32(frame + 4 * (first + 2));
        if (m[W.CPL] < cpl) {
          d.esp = this.peek32(frame + 4 * (first + 3));
          d.ss = this.peek32(frame + 4 * (first + 4)) & 0xffff;
        } else d.esp = m[ESP] + 4 * (first + 3);
      }
    }
    this.records.add(d);
    this.guardAgainstStorm(vector, d.retired);
  }
  /** The same for a delivery on the plain road: the processor has noted all there is to say. */
  private transferredPlain(vector: number, cause: number, errorCode: number, cs: number, eip: number): void {
    const { cpu } = this;
    const { m32: m, delivered } = cpu;
    const retired = this.retiredNow() + (cause & 1);
    const hasCr2 = vector === 14 && cause !== CAUSE_EXTERNAL;
    const reason = cause === CAUSE_EXTERNAL ? 'host-interrupt' : 'none';
    const cr2 = hasCr2 ? m[W.CR2] : 0;
    const ns = retired + this.idleNs;
    this.records.addDirect(delivered, reason, vector, errorCode, cs, eip, hasCr2, cr2, m[W.CR3], retired, ns, 0);
    this.guardAgainstStorm(vector, retired);
  }
  private guardAgainstStorm(vector: number, retired: number): void {
    if (retired !== this.stormRetired) {
      this.stormRetired = retired;
      this.stormCount = 0;
    } else if (++this.stormCount >= this.stormLimit) this.storm(vector);
  }
  private storm(vector: number): void {
    this.stormCount = 0;
    if (this.stormLimit < STORM) {
      // The caller wants a turn.
      this.attention = true;
      this.processor.requestStop();
      return;
    }
    const message = `stuck: ${STORM} exceptions in a row (the last one vector ${vector}) and no instruction completed, at ${this.place()}`;
    this.finish({ kind: 'storm' }, 'killed', message);
  }
  private peek32(linear: number): number {
    const { cpu } = this;
    const whole = (linear & 0xfff) <= 0xffc;
    const at = (address: number): number => {
      const physical = cpu.peekTranslate(address);
      return physical < 0 ? -1 : cpu.physicalOffset(physical);
    };
    let a = at(linear);
    let value = 0;
    for (let i = 0; i < 4; i++) {
      if (!whole && i > 0) a = at((linear + i) | 0) - i;
      value |= (a < 0 ? 0 : cpu.m8[a + i]) << (8 * i);
    }
    return value;
  }

  // ---- saving -------------------------------------------------------------------------------------------------------------------------

  /** Physical ranges [from, to) whose content is state. */
  stateRanges(): [from: number, to: number][] {
    return [[0, this.cpu.ramBytes]];
  }
  save(): BareState {
    const { m8, m32 } = this.cpu;
    const pages = new Map<number, Uint8Array>();
    for (let page = 0; page < this.cpu.ramBytes; page += PAGE) {
      const a = RAM_BASE + page;
      let any = 0;
      for (let i = a >> 2; i < (a + PAGE) >> 2; i++) any |= m32[i];
      if (any !== 0) pages.set(page, m8.slice(a, a + PAGE));
    }
    return { registers: m8.slice(0, S.SCRATCH), pages, ...this.saveParts() };
  }
  saveParts(): BareParts {
    return {
      idleNs: this.idleNs,
      halted: this.halted,
      inputEnded: this.inputEnded,
      ended: this.ended && { stop: this.ended.stop, end: this.ended.end },
      records: this.records.save(),
      uart: this.uart.save(),
      pit: this.pit.save(),
      pic: this.pic.save(),
      ports: this.ports.save(),
    };
  }
  restore(s: BareState): void {
    const { m8 } = this.cpu;
    m8.fill(0, RAM_BASE, RAM_BASE + this.cpu.ramBytes);
    for (const [page, bytes] of s.pages) m8.set(bytes, RAM_BASE + page);
    m8.set(s.registers, 0);
    this.restoreParts(s);
  }
  /** After registers and memory were put back by the caller. */
  restoreParts(s: BareParts): void {
    const { processor, cpu } = this;
    processor.blocks.clear();
    cpu.flushTlb();
    cpu.updateMode();
    this.idleNs = s.idleNs;
    this.halted = s.halted;
    this.inputEnded = s.inputEnded;
    this.ended = s.ended;
    this.records.restore(s.records);
    this.uart.restore(s.uart);
    this.pit.restore(s.pit);
    this.pic.restore(s.pic);
    this.ports.restore(s.ports);
    this.passInterrupt = false;
    this.stormCount = 0;
  }

  /** 16 hex digits over all saved state. */
  stateHash(): string {
    const hash = new Hash();
    hashCpu(hash, this.cpu);
    hash.pages(this.cpu.m32, 0, this.cpu.ramBytes);
    const { ended, ...parts } = this.saveParts();
    hash.data(parts);
    hash.data(ended === undefined ? '' : ended.end.kind);
    return hash.finish();
  }
}

export interface BareParts {
  idleNs: number;
  halted: boolean;
  inputEnded: boolean;
  ended: { stop: Stop; end: BareEnd } | undefined;
  records: { count: number; totals: TrapTotals };
  uart: UartState;
  pit: PitState;
  pic: { first: PicState; second: PicState };
  ports: PortsState;
}
export interface BareState extends BareParts {
  /** The processor's state block. */
  registers: Uint8Array;
  /** Pages that are not zero, by physical address. */
  pages: Map<number, Uint8Array>;
}

// ---- the processor before its first instruction ---------------------------------------------------------------------------------------------

/** Access rights of a present, writable, accessed data segment; with the bits of a flat 32-bit one. */
const DATA = 0x93;
const FLAT = 0xc000;
const CODE_READABLE = 0x9b;

/** The state after a hardware reset: real mode at F000:FFF0, which lies just below 4 GB. SDM vol. 3 "Processor Management and Initialization". */
const powerOn = (cpu: Cpu): void => {
  const m = cpu.m32;
  cpu.setFlags(2);
  m[EDX] = 0x683; // processor signature
  m[W.EIP] = 0xfff0;
  m[W.CR0] = 0x60000010;
  for (let seg = 0; seg < 8; seg++) {
    m[W.SELECTOR + seg] = 0;
    m[W.BASE + seg] = 0;
    m[W.LIMIT + seg] = 0xffff;
    m[W.ACCESS + seg] = DATA;
  }
  m[W.SELECTOR + CS] = 0xf000;
  m[W.BASE + CS] = 0xffff0000 | 0;
  m[W.ACCESS + LDTR] = 0x82;
  m[W.ACCESS + TR] = 0x8b;
  m[W.GDT_LIMIT] = 0xffff;
  m[W.IDT_LIMIT] = 0x3ff;
  m[W.DR + 6] = 0xffff0ff0 | 0;
  m[W.DR + 7] = 0x400;
  m[W.FPU_CW] = 0x40;
  m[W.FPU_SW] = 0;
  m[W.FPU_VALID] = 0xff;
  m[W.MXCSR] = 0x1f80;
};

/** The machine state that a multiboot kernel may rely on; a small descriptor table backs the segments, for kernels that reload them too early. */
const enterMultiboot = (cpu: Cpu, entry: number, info: number, scratch: number): void => {
  const m = cpu.m32;
  m[EAX] = BOOT_MAGIC;
  m[EBX] = info;
  m[EDX] = 0;
  m[W.EIP] = entry | 0;
  m[W.CR0] = 0x11;
  const table = (scratch + 7) & ~7;
  const words = (RAM_BASE + table) >> 2;
  m.set([0, 0, 0xffff, 0x00cf9b00, 0xffff, 0x00cf9300], words);
  m[W.GDT_BASE] = table;
  m[W.GDT_LIMIT] = 23;
  for (const seg of [ES, CS, SS, DS, FS, GS]) {
    m[W.SELECTOR + seg] = seg === CS ? 8 : 16;
    m[W.BASE + seg] = 0;
    m[W.LIMIT + seg] = -1;
    m[W.ACCESS + seg] = FLAT | (seg === CS ? CODE_READABLE : DATA);
  }
};

const GENERAL: readonly string[] = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const SEGMENTS: Partial<Record<GuestRegister, number>> = { cs: CS, ss: SS, ds: DS, es: ES, fs: FS, gs: GS };

/** Registers by name, as the Guest's context has them. */
class BareContext implements GuestContext {
  constructor(private readonly cpu: Cpu) {}

  get(name: GuestRegister): number {
    const { cpu } = this;
    if (name === 'eflags') return cpu.getFlags() >>> 0;
    const segment = SEGMENTS[name];
    if (segment !== undefined) return cpu.m32[W.SELECTOR + segment] & 0xffff;
    return cpu.m32[name === 'eip' ? W.EIP : GENERAL.indexOf(name)] >>> 0;
  }
  set(name: GuestRegister, value: number): void {
    const { cpu } = this;
    const segment = SEGMENTS[name];
    if (name === 'eflags') cpu.setFlags(value);
    else if (name === 'eip') cpu.m32[W.EIP] = value;
    else if (segment === undefined) cpu.m32[GENERAL.indexOf(name)] = value;
    else if (segment === CS) throw new Error('cs cannot be changed: a far jump of the program must do that');
    else {
      try {
        loadSegment(cpu, segment, value & 0xffff);
        cpu.updateMode();
      } catch (thrown) {
        if (!(thrown instanceof CpuFault)) throw thrown;
        throw new Error(`the processor refuses selector 0x${(value & 0xffff).toString(16)} for ${name}`);
      }
    }
  }
}
