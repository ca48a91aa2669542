// The Host: runs one Guest on one emulated processor, round after round, until there is something to tell the Launcher or the debugger.
//
// One round is: hypercalls, what the Launcher must know, a virtual interrupt, entry through the Switcher, and a decision about the trap that ends it. The steps
// stand below in that order (our documentation, 5.2), as phases, because a debugger may stop between any two of them and the state in between can be saved.
// What it leaves out: each step's own rules (hypercalls.ts, interrupts.ts, disposition.ts, page-tables.ts, segments.ts) and the devices (the Launcher).

import type { Cpu } from '../i386/cpu';
import { RECORD } from '../i386/decode';
import type { Exit, Processor } from '../i386/processor';
import { Delivered } from '../i386/plain';
import { CR0, EAX, EBX, ESP, EXC, RAM_BASE, W } from '../i386/state';
import { LD, LGUEST_TRAP_ENTRY, PAGES, PT, REGS, TRAP_SENTINEL, TSS } from './abi';
import { Context, type GuestContext } from './context';
import { applyTrap, decideTrap, describeTrap, TrapPlan } from './disposition';
import { Guest, type GuestState } from './guest';
import { argsFromRegs, doHypercall, type Drain, initialize, nextSlot, ringEntry, runSlot, startDrain } from './hypercalls';
import { applyVirq, planVirq, raiseIrq, VirqPlan } from './interrupts';
import { ALL_SHADOW_PAGES, buildHost, type Layout, planLayout } from './layout';
import { initPgdirs, mapSwitcher } from './page-tables';
import { copyDescriptors, isDirect, isDirectCandidate, setupBootGdt } from './segments';
import { WorldSwitch } from './world-switch';
import { Draft, type Position, TrapLog, type TrapRecord, type TrapTotals } from './trap-record';

/** A trap that the user wants. */
export interface Injection {
  vector: number;
  /** Pushed if not negative. */
  error: number;
  /** For page faults. */
  cr2: number;
}

/** Why run() came back. */
export type HostExit =
  /** The instructions asked for have retired; the Guest stands before the next one. */
  | { kind: 'budget' }
  /** The world switches asked for are used up. */
  | { kind: 'slice' }
  /** read() returned 4: the Guest's NOTIFY for the Launcher. */
  | { kind: 'notify'; address: number }
  /** read() returned -ENOENT: death was noticed. */
  | { kind: 'dead'; message: string }
  /** read() returned the text: the Guest was dead already. */
  | { kind: 'reason'; message: string }
  /** read() returned -EAGAIN: break_out is set. */
  | { kind: 'break' }
  /** The Guest sleeps. `wakeNs`: Guest nanoseconds until its clock event, undefined when none is set. */
  | { kind: 'halted'; wakeNs: number | undefined }
  /** The filter said stop. The record is decided and not yet applied; the next run() applies it. */
  | { kind: 'trap'; record: TrapRecord }
  /** The filter's worldSwitch said stop: before an entry, or after an exit whose trap is not yet decided. */
  | { kind: 'world-switch'; direction: 'enter' | 'exit' }
  /** The processor's own: breakpoints, watches, requestStop(). */
  | Exclude<Exit, { kind: 'budget' | 'halt' | 'shutdown' | 'intercept' | 'interrupt-window' }>
  /** Something that cannot happen happened. */
  | { kind: 'emulator'; message: string };

/** What the debugger wants to be asked about. Only records of interest are built as objects, so that the rest costs nothing. */
export interface TrapFilter {
  /** [vector] = 1: ask for traps and direct traps of this vector, 0 to 256; 31 is synchronous hypercalls, 256 faults in the Switcher. */
  vectors: Uint8Array;
  /** Ask for async ring entries. */
  ring: boolean;
  virqDelivered: boolean;
  virqHeld: boolean;
  /** true: stop before it is applied. Must not change the machine. */
  test(record: TrapRecord): boolean;
  /** Asked before every entry and after every exit when given; true: stop. */
  worldSwitch?: (direction: 'enter' | 'exit') => boolean;
}

/** Two levels of one table for one address. Entries are undefined when not reached or not readable. Guest tables: guest-physical addresses; shadow: physical. */
export interface Walk {
  directory: number;
  pdeAt: number;
  pde: number | undefined;
  pteAt: number | undefined;
  pte: number | undefined;
  /** Where the address leads; undefined when not mapped. */
  target: number | undefined;
}

export interface HostOptions {
  /** Guest memory in bytes, device pages included. */
  guestBytes: number;
  /** LHREQ_INITIALIZE's arguments. Nothing of it is validated. */
  pfnLimit: number;
  pgdir: number;
  entry: number;
  seed?: number;
  syscallVector?: number;
  tscKhz?: number;
  /** Alignment of the Switcher's stubs: 4 makes it one page, 16 two. */
  stubAlignment?: 4 | 16;
  /** Physical pages for shadow tables. Default: as many as can ever be used. */
  shadowPages?: number;
  /** Trap records kept in full, a power of two. */
  records?: number;
  /** false: every instruction of the Switcher runs, also when nobody looks. The run is the same. */
  fastSwitch?: boolean;
}

/** Guest nanoseconds that an entry into the Guest costs, and between two Host ticks. */
const ENTRY_NS = 500;
const TICK_NS = 1_000_000;
/** Vector of the Host's clock interrupt. */
const TICK_VECTOR = 32;
const NMI = 2;
/** Frames remembered until they are popped; those of dead tasks never are. */
const OPEN_FRAMES = 1024;
const NO_DEADLINE = Number.MAX_SAFE_INTEGER;

/** Where run() goes on. Each is the beginning of a step. */
export type Phase = 'read' | 'loop' | 'hypercalls' | 'after-hypercalls' | 'virq' | 'enter' | 'guest' | 'exit' | 'decide' | 'apply';

/** Physical memory that a machine with these options needs. */
export const physicalBytes = (o: Pick<HostOptions, 'guestBytes' | 'stubAlignment' | 'shadowPages'>): number =>
  planLayout({ stubAlignment: o.stubAlignment ?? 4, shadowPages: o.shadowPages ?? ALL_SHADOW_PAGES }).memBase + o.guestBytes;

export class Host {
  readonly processor: Processor;
  readonly cpu: Cpu;
  readonly layout: Layout;
  readonly lg: Guest;
  readonly records: TrapLog;
  readonly context: GuestContext;
  /** Asked before traps are applied. Set it with setFilter(). */
  private filter: TrapFilter | undefined;

  phase: Phase = 'read';
  /** Guest time beyond retired instructions: entries and idle time, in nanoseconds. */
  private extraNs = 0;
  private nextTick = TICK_NS;
  /** k of the record that the Host is working on, -1 = none. */
  private currentK = -1;
  private drain: Drain | undefined;
  /** The slot whose record is made already, while a stop lies before its execution. */
  private drainSlot = -1;
  /** Frames on the Guest's stacks that no IRET has popped yet: address of the eip word (int32) to k. Oldest first; a frame in the same place replaces it. */
  private readonly openFrames = new Map<number, number>();
  /** The newest of them, kept apart. newestK -1 = none. */
  private newestAt = 0;
  private newestK = -1;
  /** A trap that the user wants, raised before the next Guest instruction. */
  private injection: Injection | undefined;
  /** What comes back from the Guest next is that trap. */
  private injecting = false;
  /** Pending interrupts that the user raised, a bit each. */
  private injectedIrqs = 0;
  /** Virtual interrupts are held back for the debugger until this Guest time, in nanoseconds. */
  private virqsHeldUntil = 0;
  /** Newest virtual interrupt that was held, as irq and reason: only changes are recorded. */
  private lastHeld = '';

  /** Position: instructions at the newest trap, and Host steps counted until then. */
  private stepRetired = 0;
  private stepBase = 0;
  /** Host steps at the newest transfer out of rings 1 and 3. */
  private transferSteps = 0;

  /**
   * Called after every act that may change what the Host keeps of the Guest; `lg.doing` names the act. For whoever looks, never for whoever changes.
   * @param entered the processor stands in the Switcher, on its way into the Guest.
   */
  onAct: ((entered: boolean) => void) | undefined;
  private readonly worldSwitch: WorldSwitch | undefined;
  private readonly plan = new TrapPlan();
  private readonly virqPlan = new VirqPlan();
  private readonly draft = new Draft();
  /** Since step() began a trap or virtual interrupt was handed to the Guest, or the Host did the instruction's work. */
  private delivered = false;

  constructor(processor: Processor, options: HostOptions) {
    this.processor = processor;
    this.cpu = processor.cpu;
    const { cpu } = this;
    this.layout = buildHost(
      cpu,
      planLayout({ stubAlignment: options.stubAlignment ?? 4, shadowPages: options.shadowPages ?? ALL_SHADOW_PAGES }),
    );
    this.records = new TrapLog(options.records);
    this.lg = new Guest({
      cpu,
      layout: this.layout,
      pfnLimit: options.pfnLimit,
      backedBytes: options.guestBytes,
      seed: options.seed ?? 1,
      syscallVector: options.syscallVector ?? 0x80,
      tscKhz: options.tscKhz ?? 1_000_000,
    });
    const { lg } = this;
    initPgdirs(lg, options.pgdir);
    setupBootGdt(lg);
    lg.setReg(REGS.ds, 0x69);
    lg.setReg(REGS.es, 0x69);
    lg.setReg(REGS.ss, 0x69);
    lg.setReg(REGS.cs, 0x61);
    lg.setReg(REGS.eflags, 0x202);
    lg.setReg(REGS.eip, options.entry);
    lg.onKill = (message) => this.recordKill(message);
    lg.onPinned = () => this.records.totals.pinnedFilled++;
    this.context = new Context(this);
    cpu.pushesRf = false; // as in the recordings of real lguest; no Guest has breakpoint registers
    if (options.fastSwitch !== false) {
      const worldSwitch = new WorldSwitch(processor, lg, this.layout);
      this.worldSwitch = worldSwitch;
      processor.shortCut = (eip) => worldSwitch.leave(eip);
    }
    const scale = lg.tscKhz === 0 ? 1 : lg.tscKhz / 1_000_000;
    cpu.tsc = () => Math.floor((this.retiredNow() + this.extraNs) * scale);
    cpu.onReturn = (esp, cpl) => this.returned(esp, cpl);
    cpu.onTransfer = (vector, cause, errorCode, cs, eip, cpl, plain) => this.transferred(vector, cause, errorCode, cs, eip, cpl, plain);
  }

  // ---- time and position --------------------------------------------------------------------------------------------------------------

  /** Guest time in nanoseconds since the start. */
  get nowNs(): number {
    return this.processor.retired + this.extraNs;
  }
  /** Counted instructions retired, also in the middle of a run. */
  private retiredNow(): number {
    const { cpu } = this;
    return this.processor.now() + (cpu.cur >= 0 && cpu.blockCpl !== 0 ? (cpu.cur - cpu.blockFirst) / RECORD : 0);
  }
  private get hostSteps(): number {
    return this.processor.retiredHost + this.records.count;
  }
  get position(): Position {
    const { retired } = this.processor;
    if (retired === this.stepRetired) return { retired, hostStep: this.hostSteps - this.stepBase };
    return { retired, hostStep: this.inGuest ? 0 : this.hostSteps - this.transferSteps };
  }
  /** Called at a trap, or when the Host has the processor again: Host steps count from the trap if the Guest retired anything before it. */
  private notePosition(retired = this.processor.retired): void {
    if (retired === this.stepRetired) return;
    this.stepRetired = retired;
    this.stepBase = this.transferSteps;
  }
  /** True while the Guest's code is what runs next. */
  get inGuest(): boolean {
    return this.phase === 'guest' && this.cpu.m32[W.CPL] !== 0;
  }
  /** True while the Switcher (or the Host's stub) is what runs next. */
  get inSwitcher(): boolean {
    return this.phase === 'guest' && this.cpu.m32[W.CPL] === 0;
  }

  // ---- records ------------------------------------------------------------------------------------------------------------------------

  setFilter(filter: TrapFilter | undefined): void {
    this.filter = filter;
    for (let v = 0; v < 256; v++)
      this.cpu.intercept[v] = filter !== undefined && filter.vectors[v] !== 0 && isDirectCandidate(this.lg, v) ? 1 : 0;
  }
  /** The record that the Host is working on (at a trap stop: decided, not applied), else the newest one. */
  get current(): TrapRecord | undefined {
    return this.records.get(this.currentK >= 0 ? this.currentK : this.records.count - 1);
  }
  private stamp(d: Draft): void {
    const { retired } = this.processor;
    d.retired = retired;
    d.ns = this.nowNs;
    d.hostStep = this.hostSteps - (retired === this.stepRetired ? this.stepBase : this.transferSteps);
  }
  /** Adds the draft. @returns the record when the filter wants to stop here. */
  private record(wanted: boolean, message?: string): TrapRecord | undefined {
    this.stamp(this.draft);
    const k = this.records.add(this.draft, message);
    this.currentK = k;
    if (this.draft.hasFrame) this.opened(k, this.draft);
    if (!wanted || this.filter === undefined) return undefined;
    const record = this.records.get(k) as TrapRecord;
    return this.filter.test(record) ? record : undefined;
  }
  private recordKill(message: string): void {
    const { lg, draft: d } = this;
    const parent = this.currentK;
    this.describeRegs(d);
    d.kind = 'kill';
    d.outcome = 'killed';
    d.reason = message.startsWith('CRASH: ') ? 'crash' : 'none';
    d.vector = lg.reg(REGS.trapnum);
    d.parent = parent;
    this.stamp(d);
    this.records.add(d, message);
    const cause = parent < 0 ? undefined : this.records.get(parent);
    if (cause !== undefined && cause.outcome !== 'killed' && cause.outcome !== 'switcher-fault')
      this.records.amend(parent, 'killed', 'killed-by-hypercall');
  }
  /** The Guest's saved registers, and nothing kind-specific. */
  private describeRegs(d: Draft): void {
    const { lg } = this;
    d.reason = 'none';
    d.hasError = d.hasCr2 = d.hasGate = d.hasFrame = d.hasIo = d.injected = false;
    d.error = d.cr2 = d.depth = 0;
    d.eip = lg.reg(REGS.eip);
    d.cs = lg.cs;
    d.ss = lg.ss;
    d.esp = lg.reg(REGS.esp);
    d.eflags = lg.reg(REGS.eflags);
    d.cr3 = lg.pgdirs[lg.pgdidx].gpgdir;
    d.parent = -1;
    d.slot = -1;
  }

  /** Every delivery through the IDT comes by here: those to ring 1 are direct traps, those out of the Guest begin an exit. */
  private transferred(vector: number, cause: number, errorCode: number, cs: number, eip: number, cpl: number, plain: boolean): void {
    if (cpl === 0) {
      if (cause !== 2) this.lg.switcherFaulted = true;
      return;
    }
    this.transferSteps = this.hostSteps;
    if (this.cpu.m32[W.CPL] === 0) {
      if (vector === NMI) this.recordNmi(cs, eip);
      return;
    }
    this.delivered = true;
    const d = this.draft;
    const { cpu, lg } = this;
    // INT n, INT3 and INTO have retired.
    const retired = this.retiredNow() + (cause & 1);
    this.notePosition(retired);
    const hostStep = this.hostSteps - this.stepBase;
    const ns = retired + this.extraNs;
    const { gpgdir } = lg.pgdirs[lg.pgdidx];
    if (plain && !this.injecting) {
      const { delivered } = cpu;
      const k = this.records.addDirect(delivered, 'gate-type-F', vector, errorCode, cs, eip, false, 0, gpgdir, retired, ns, hostStep);
      this.openedAt(k, (delivered[Delivered.FRAME] + (errorCode >= 0 ? 4 : 0)) >>> 0);
      this.currentK = -1;
      return;
    }
    d.kind = 'direct';
    d.outcome = 'direct';
    d.reason = 'gate-type-F';
    d.vector = vector;
    d.hasError = errorCode >= 0;
    d.error = errorCode;
    d.eip = eip;
    d.cs = cs;
    const esp = cpu.m32[ESP];
    const at = (word: number): number => {
      const physical = cpu.peekTranslate((esp + 4 * word) | 0);
      return physical < 0 ? 0 : lg.hostRead(physical & ~3);
    };
    const first = errorCode >= 0 ? 1 : 0;
    d.eflags = at(first + 2);
    if (cpl === 3) {
      d.esp = at(first + 3);
      d.ss = at(first + 4);
    } else {
      d.esp = esp + 4 * (first + 3);
      d.ss = cpu.m32[W.SELECTOR + 2];
    }
    d.hasCr2 = d.hasIo = false;
    d.injected = this.injecting;
    this.injecting = false;
    d.depth = 0;
    d.cr3 = gpgdir;
    d.parent = d.slot = -1;
    d.hasGate = d.hasFrame = true;
    d.gateLow = lg.idt[vector * 2];
    d.gateHigh = lg.idt[vector * 2 + 1];
    d.frameAt = esp;
    d.frameEflags = d.eflags;
    d.retired = retired;
    d.ns = ns;
    d.hostStep = hostStep;
    this.opened(this.records.add(d), d);
    this.currentK = -1;
  }

  /** The Switcher swallows NMIs; nobody else will ever know. */
  private recordNmi(cs: number, eip: number): void {
    const d = this.draft;
    this.describeRegs(d);
    d.kind = 'trap';
    d.outcome = 'nmi-ignored';
    d.reason = 'nmi';
    d.vector = NMI;
    d.cs = cs;
    d.eip = eip;
    d.esp = this.lg.reg(REGS.esp); // the processor has just pushed these
    d.ss = this.lg.ss;
    d.eflags = this.lg.reg(REGS.eflags);
    this.stamp(d);
    this.records.add(d);
  }

  /** A frame was (or is about to be) pushed. */
  private opened(k: number, d: Draft): void {
    this.openedAt(k, (d.frameAt + (d.hasError ? 4 : 0)) >>> 0);
  }
  private openedAt(k: number, at: number): void {
    this.keepNewest();
    this.newestAt = at | 0;
    this.newestK = k;
  }
  /** Puts the newest frame to the others. Most frames are popped before another one is pushed and never come there. */
  private keepNewest(): void {
    if (this.newestK < 0) return;
    this.openFrames.delete(this.newestAt);
    this.openFrames.set(this.newestAt, this.newestK);
    this.newestK = -1;
    if (this.openFrames.size > OPEN_FRAMES) this.openFrames.delete(this.openFrames.keys().next().value ?? 0);
  }
  /** An IRET popped what stood at `esp`. */
  private returned(esp: number, cpl: number): void {
    if (cpl === 0) return;
    const at = esp | 0;
    let k: number | undefined = this.newestK;
    if (k >= 0 && at === this.newestAt) {
      this.newestK = -1;
      // An older frame in the same place is gone with it.
      if (this.openFrames.size > 0) this.openFrames.delete(at);
    } else {
      k = this.openFrames.size === 0 ? undefined : this.openFrames.get(at);
      if (k === undefined) return;
      this.openFrames.delete(at);
    }
    const start = this.records.retiredAt(k);
    if (start !== undefined) this.records.setEnd(k, this.retiredNow() + 1 - start);
  }

  // ---- the run loop ---------------------------------------------------------------------------------------------------------------------

  /**
   * Runs the Guest.
   * @param budget counted instructions at most; 0 = up to the next Guest instruction.
   * @param entries world switches at most, so that a Guest that only faults gives the caller a turn too.
   */
  run(budget: number, entries = NO_DEADLINE): HostExit {
    return this.rounds(this.processor.retired + budget, entries, false);
  }

  /** Begins a Guest step: the next instruction completes, or what it raises is handed to the Guest. */
  beginStep(): void {
    this.delivered = false;
    this.stepEnd = this.processor.retired + 1;
  }
  /** Runs to the end of the step begun; 'budget' when it is there. Ends early as run() does, and may then be called again. */
  step(entries = NO_DEADLINE): HostExit {
    return this.rounds(this.stepEnd, entries, true);
  }
  private stepEnd = 0;

  /** One instruction of the processor, in the Switcher too; outside it, one phase of the Host. */
  stepHost(): HostExit {
    if (this.phase !== 'guest') return this.rounds(this.processor.retired, 0, false, true);
    // The Guest's instructions keep their deadlines: stepping must not change the run.
    const exit = this.inGuest
      ? this.injection !== undefined
        ? this.inject(this.injection)
        : this.stepGuest()
      : this.afterRun(this.processor.step());
    return exit ?? { kind: 'budget' };
  }

  private rounds(end: number, entriesLeft: number, stepping: boolean, onePhase = false): HostExit {
    const { lg } = this;
    let entries = entriesLeft;
    for (;;) {
      switch (this.phase) {
        case 'read': // the Launcher calls read()
          if (lg.dead !== undefined) return { kind: 'reason', message: lg.dead };
          if (lg.pendingNotify !== 0) {
            lg.doing = 'read';
            lg.pendingNotify = 0;
            this.onAct?.(false);
          }
          this.phase = 'loop';
          break;
        case 'loop':
          if (lg.dead !== undefined) return this.died();
          this.phase = lg.hcallPending ? 'hypercalls' : 'after-hypercalls';
          break;
        case 'hypercalls': {
          const stop = this.runHypercalls();
          if (stop !== undefined) return { kind: 'trap', record: stop };
          this.phase = 'after-hypercalls';
          break;
        }
        case 'after-hypercalls': {
          if (lg.pendingNotify !== 0) {
            this.phase = 'read';
            return { kind: 'notify', address: lg.pendingNotify };
          }
          if (lg.breakOut) {
            this.phase = 'read';
            return { kind: 'break' };
          }
          this.serviceClock();
          this.phase = 'virq';
          const stop = this.decideVirq();
          if (stop !== undefined) return { kind: 'trap', record: stop };
          break;
        }
        case 'virq':
          this.applyVirq();
          if (lg.dead !== undefined) return this.died();
          if (lg.halted) {
            this.phase = 'loop';
            return { kind: 'halted', wakeNs: lg.timer < 0 ? undefined : Math.max(0, lg.timer - this.nowNs) };
          }
          this.phase = 'enter';
          if (this.filter?.worldSwitch?.('enter')) return { kind: 'world-switch', direction: 'enter' };
          break;
        case 'enter':
          if (entries <= 0 && !onePhase) return { kind: 'slice' };
          entries--;
          this.enter();
          this.phase = 'guest';
          this.onAct?.(true);
          if (onePhase) return { kind: 'budget' };
          this.worldSwitch?.enter();
          break;
        case 'guest': {
          if (this.injection !== undefined && this.inGuest) {
            const exit = this.inject(this.injection);
            if (exit !== undefined) return exit;
            break;
          }
          if (stepping && this.inGuest && (this.delivered || this.processor.retired >= end)) return { kind: 'budget' };
          const exit = stepping ? this.stepGuest() : this.runGuest(end);
          if (exit !== undefined) return exit;
          break;
        }
        case 'exit':
          this.phase = 'decide';
          this.capture();
          if (this.filter?.worldSwitch?.('exit')) return { kind: 'world-switch', direction: 'exit' };
          break;
        case 'decide': {
          this.phase = 'apply';
          const stop = this.decide();
          if (stop !== undefined) return { kind: 'trap', record: stop };
          break;
        }
        case 'apply':
          lg.doing = 'trap';
          // Handed on, or done in the Guest's place: either way the step is over when the Guest is back.
          if (this.plan.outcome === 'reflected' || this.plan.outcome === 'emulated') this.delivered = true;
          applyTrap(lg, this.plan);
          this.onAct?.(false);
          if (!lg.hcallPending) this.currentK = -1;
          this.phase = 'loop';
          break;
      }
      if (onePhase) return { kind: 'budget' };
    }
  }

  /** The user's trap goes the way of every other: through the IDT, and from there to the Guest or to us. */
  private inject({ vector, error, cr2 }: Injection): HostExit | undefined {
    if (vector === EXC.PF) this.cpu.m32[W.CR2] = cr2;
    this.injecting = true;
    const exit = this.processor.raise(vector, error);
    if (exit?.kind !== 'intercept') this.injection = undefined;
    return exit === undefined ? undefined : this.afterRun(exit);
  }

  private died(): HostExit {
    this.phase = 'read';
    return { kind: 'dead', message: this.lg.dead ?? '' };
  }

  /** Lets the Host's clock catch up: the Guest's timer, and the tick. */
  private serviceClock(): void {
    const { lg } = this;
    const now = this.nowNs;
    if (lg.timer >= 0 && now >= lg.timer) {
      lg.doing = 'clock event';
      lg.timer = -1;
      lg.irqsPending |= 1;
      this.onAct?.(false);
    }
    if (now >= this.nextTick) this.nextTick = (Math.floor(now / TICK_NS) + 1) * TICK_NS;
  }

  /** @returns the record of a ring entry before which the filter stops. */
  private runHypercalls(): TrapRecord | undefined {
    const { lg } = this;
    if (lg.ld < 0) {
      initialize(lg, argsFromRegs(lg), this.nowNs);
      lg.hcallPending = false;
      this.onAct?.(false);
      this.currentK = -1;
      return undefined;
    }
    this.drain ??= startDrain(lg);
    const { drain } = this;
    if (drain !== undefined) {
      const parent = this.drainSlot >= 0 ? (this.records.get(this.currentK)?.parent ?? -1) : this.currentK;
      for (let slot = nextSlot(lg, drain); slot >= 0; slot = nextSlot(lg, drain)) {
        const entry = ringEntry(lg, slot);
        if (entry === undefined) {
          lg.kill('Fetching async hypercalls');
          break;
        }
        if (this.drainSlot < 0) {
          const d = this.draft;
          this.describeRegs(d);
          d.kind = 'hypercall';
          d.outcome = 'hypercall';
          d.reason = 'async';
          d.vector = LGUEST_TRAP_ENTRY;
          d.parent = parent;
          d.slot = slot;
          d.a = entry.number;
          d.b = entry.arg1;
          d.c = entry.arg2;
          d.d = entry.arg3;
          const stop = this.record(this.filter?.ring === true);
          this.drainSlot = slot;
          if (stop !== undefined) return stop;
        }
        runSlot(lg, drain, slot, entry, this.nowNs);
        this.onAct?.(false);
        this.drainSlot = -1;
        if (lg.pendingNotify !== 0) break;
      }
      this.currentK = parent;
      this.drain = undefined;
      this.drainSlot = -1;
    }
    if (lg.pendingNotify === 0) {
      doHypercall(lg, argsFromRegs(lg), this.nowNs);
      lg.hcallPending = false;
      this.onAct?.(false);
      this.currentK = -1;
    }
    return undefined;
  }

  private decideVirq(): TrapRecord | undefined {
    const { lg, virqPlan: plan, draft: d } = this;
    planVirq(lg, plan, this.holdsVirqs);
    if (plan.result === 'none') {
      this.lastHeld = '';
      return undefined;
    }
    const deliver = plan.result === 'deliver';
    if (!deliver) {
      const held = `${plan.irq} ${plan.reason}`;
      if (held === this.lastHeld) return undefined;
      this.lastHeld = held;
    } else this.lastHeld = '';
    this.describeRegs(d);
    d.injected = (this.injectedIrqs & (1 << plan.irq)) !== 0;
    d.kind = 'virq';
    d.outcome = !deliver ? 'virq-held' : plan.frame.ok ? 'virq-delivered' : 'killed';
    d.reason = deliver && !plan.frame.ok ? plan.frame.reason : plan.reason;
    d.vector = TICK_VECTOR + plan.irq;
    d.a = plan.pending;
    d.b = plan.blocked;
    d.c = plan.irqEnabled;
    if (deliver) {
      d.hasGate = d.hasFrame = true;
      d.gateLow = plan.gateLow;
      d.gateHigh = plan.gateHigh;
      d.frameAt = plan.frame.newEsp;
      d.frameEflags = plan.frame.eflags;
    }
    const { filter } = this;
    return this.record(filter !== undefined && (deliver ? filter.virqDelivered : filter.virqHeld));
  }

  private applyVirq(): void {
    const { lg, virqPlan: plan } = this;
    lg.doing = 'maybe_do_interrupt';
    applyVirq(lg, plan, this.nowNs);
    this.onAct?.(false);
    if (plan.result === 'deliver') {
      this.delivered = true;
      this.injectedIrqs &= ~(1 << plan.irq);
    }
    plan.result = 'none';
    if (!lg.hcallPending) this.currentK = -1;
  }

  /** Makes everything ready and stands the processor before the Host's stub. Our documentation, 9.2. */
  private enter(): void {
    const { lg, cpu } = this;
    const m = cpu.m32;
    lg.doing = 'lguest_arch_run_guest';
    lg.switcherFaulted = false;
    if (lg.ts !== 0) m[W.CR0] |= CR0.TS;
    m[W.SYSENTER_CS] = 0;
    mapSwitcher(lg);
    const tss = (RAM_BASE + this.layout.statePage - 0x1000 + PAGES.guestTss) >> 2;
    m[tss + TSS.esp1 / 4] = lg.esp1;
    m[tss + TSS.ss1 / 4] = lg.ss1;
    if (lg.changed !== 0) copyDescriptors(lg);
    m[(RAM_BASE + this.layout.regs + REGS.trapnum) >> 2] = TRAP_SENTINEL;
    m[EAX] = this.layout.pagesAddress | 0;
    m[EBX] = lg.pgdirs[lg.pgdidx].shadow;
    m[ESP] = this.layout.stackTop | 0;
    m[W.EIP] = this.layout.stubEip | 0;
    this.extraNs += ENTRY_NS;
    this.records.totals.worldSwitches++;
  }

  /** Runs the processor until the budget, the next deadline, an exit or a stop. */
  private runGuest(end: number): HostExit | undefined {
    const { processor, lg } = this;
    const { retired } = processor;
    const left = end - retired;
    const deadline = Math.min(this.nextTick, lg.timer < 0 ? NO_DEADLINE : lg.timer);
    const untilDeadline = Math.max(0, deadline - (retired + this.extraNs));
    if (this.inGuest) {
      if (left <= 0) return { kind: 'budget' };
      if (untilDeadline === 0 && this.cpu.m32[W.SHADOW] === 0) {
        this.interrupt(TICK_VECTOR);
        if (this.worldSwitch?.leave(this.cpu.m32[W.EIP])) this.phase = 'exit';
        return undefined;
      }
    }
    // After MOV SS an interrupt waits for one instruction.
    const budget = this.inGuest ? Math.min(left, Math.max(1, untilDeadline)) : Math.min(left, untilDeadline);
    return this.afterRun(processor.run(Math.max(0, budget)));
  }
  /** One instruction, or what remains of the Switcher. */
  private stepGuest(): HostExit | undefined {
    if (!this.inGuest) return this.afterRun(this.processor.run(0));
    const deadline = Math.min(this.nextTick, this.lg.timer < 0 ? NO_DEADLINE : this.lg.timer);
    if (deadline <= this.nowNs && this.cpu.m32[W.SHADOW] === 0) {
      this.interrupt(TICK_VECTOR);
      return undefined;
    }
    return this.afterRun(this.processor.step());
  }

  /** A hardware interrupt hits the processor between two Guest instructions. */
  interrupt(vector: number): void {
    this.processor.interrupt(vector);
  }

  private afterRun(exit: Exit): HostExit | undefined {
    switch (exit.kind) {
      case 'budget':
        return undefined;
      case 'halt':
        if (this.cpu.m32[W.EIP] !== (this.layout.stubEnd | 0)) return { kind: 'emulator', message: 'the Host halted outside its stub' };
        this.phase = 'exit';
        return undefined;
      case 'shutdown':
        return { kind: 'emulator', message: 'triple fault: the processor shut down' };
      case 'interrupt-window':
        return undefined;
      case 'intercept':
        return this.beforeDirect(exit.vector, exit.errorCode);
      default:
        return exit;
    }
  }

  /** A trap that may be direct is about to be delivered: ask the filter, and let it through. */
  private beforeDirect(vector: number, errorCode: number): HostExit | undefined {
    this.processor.passIntercept();
    const { cpu, draft: d, lg } = this;
    if (this.filter === undefined || !isDirect(lg, vector)) return undefined;
    const m = cpu.m32;
    this.describeRegs(d);
    d.injected = this.injecting;
    d.kind = 'direct';
    d.outcome = 'direct';
    d.reason = 'gate-type-F';
    d.vector = vector;
    d.hasError = errorCode >= 0;
    d.error = errorCode;
    d.eip = m[W.EIP];
    d.cs = m[W.SELECTOR + 1];
    d.ss = m[W.SELECTOR + 2];
    d.esp = m[ESP];
    d.eflags = cpu.getFlags();
    d.hasGate = true;
    d.gateLow = lg.idt[vector * 2];
    d.gateHigh = lg.idt[vector * 2 + 1];
    this.stamp(d);
    const record = this.records.preview(d);
    return this.filter.test(record) ? { kind: 'trap', record } : undefined;
  }

  /** What must be saved right after the Switcher came back, before anything else can change it. Our documentation, 6.1. */
  private capture(): void {
    const { lg, cpu } = this;
    lg.doing = 'lguest_arch_run_guest';
    this.notePosition();
    const trapnum = lg.reg(REGS.trapnum);
    if (trapnum === EXC.PF) lg.lastPagefault = cpu.m32[W.CR2] >>> 0;
    else if (trapnum === EXC.NM) cpu.m32[W.CR0] &= ~CR0.TS;
    cpu.m32[W.SYSENTER_CS] = 0x60;
    this.onAct?.(false);
  }

  private decide(): TrapRecord | undefined {
    const { lg, plan, filter } = this;
    decideTrap(lg, lg.lastPagefault, plan);
    describeTrap(lg, plan, this.draft);
    this.draft.injected = this.injecting;
    this.injecting = false;
    return this.record(filter !== undefined && filter.vectors[plan.trapnum] !== 0, plan.message === '' ? undefined : plan.message);
  }

  // ---- the Launcher's requests ------------------------------------------------------------------------------------------------------------

  /** LHREQ_IRQ. @returns false for a number beyond 31. */
  raiseIrq(irq: number): boolean {
    this.lg.doing = 'Launcher';
    const raised = raiseIrq(this.lg, irq);
    this.onAct?.(false);
    return raised;
  }
  /** As raiseIrq(), and the record of its delivery says that it was injected. */
  injectIrq(irq: number): void {
    if (this.raiseIrq(irq)) this.injectedIrqs |= 1 << irq;
  }
  /** Holds virtual interrupts for so many nanoseconds of Guest time from now; 0 lets them in again. One that is decided already is not held. */
  holdVirqs(ns: number): void {
    this.virqsHeldUntil = ns === 0 ? 0 : this.nowNs + ns;
  }
  /** Whether they are held now. A halted Guest is woken all the same. */
  get holdsVirqs(): boolean {
    return this.nowNs < this.virqsHeldUntil;
  }
  /** Raises a trap before the next Guest instruction, whenever that comes. A second one replaces it. */
  injectTrap(injection: Injection): void {
    this.injection = injection;
  }
  /** LHREQ_BREAK. */
  setBreak(on: boolean): void {
    this.lg.doing = 'Launcher';
    this.lg.breakOut = on;
    this.onAct?.(false);
  }
  /** Sleeping: go to the clock event at once. @returns false when none is set. */
  skipIdle(): boolean {
    const { lg } = this;
    if (lg.timer < 0) return false;
    this.extraNs += Math.max(0, lg.timer - this.nowNs);
    return true;
  }

  // ---- looking ----------------------------------------------------------------------------------------------------------------------------

  /** The Guest's own tables for an address. @param directory guest-physical; default the current one. */
  guestWalk(vaddr: number, directory = this.lg.pgdirs[this.lg.pgdidx].gpgdir): Walk {
    const { lg } = this;
    const read = (at: number): number | undefined => (lg.readable(at, 4) ? lg.peek32(at) >>> 0 : undefined);
    return walk(vaddr, directory, read);
  }
  /** The shadow tables for an address. @param slot default the current one. */
  shadowWalk(vaddr: number, slot = this.lg.pgdidx): Walk {
    const { lg } = this;
    return walk(vaddr, lg.pgdirs[slot].shadow, (at) => (at === 0 ? undefined : lg.hostRead(at) >>> 0));
  }
  /** Guest-physical address of a Guest-virtual one by the Guest's tables; undefined when not mapped. */
  guestPhysical(vaddr: number): number | undefined {
    return this.guestWalk(vaddr).target;
  }
  /** cr2 as the processor has it, as the Host saved it, and as the Guest sees it (undefined before INIT). */
  get cr2(): { hw: number; host: number; guest: number | undefined } {
    const { lg } = this;
    return { hw: this.cpu.m32[W.CR2] >>> 0, host: lg.lastPagefault, guest: lg.ld < 0 ? undefined : lg.ld32(LD.cr2) >>> 0 };
  }

  // ---- saving -----------------------------------------------------------------------------------------------------------------------------

  save(): HostState {
    return {
      guest: this.lg.save(),
      records: this.records.save(),
      phase: this.phase,
      extraNs: this.extraNs,
      nextTick: this.nextTick,
      currentK: this.currentK,
      drain: this.drain && { status: [...this.drain.status], turns: this.drain.turns },
      drainSlot: this.drainSlot,
      openFrames: [...this.openFrames],
      newestFrame: this.newestK < 0 ? undefined : [this.newestAt, this.newestK],
      lastHeld: this.lastHeld,
      // What the debugger holds needs no deciding again: nothing is to be applied.
      virqPlanned: this.virqPlan.result !== 'none' && this.virqPlan.reason !== 'stepping',
      virqsHeldUntil: this.virqsHeldUntil,
      stepRetired: this.stepRetired,
      stepBase: this.stepBase,
      transferSteps: this.transferSteps,
      injection: this.injection && { ...this.injection },
      injecting: this.injecting,
      injectedIrqs: this.injectedIrqs,
    };
  }
  /** The processor's registers and all memory must be restored first: decisions not yet applied are decided again from them. */
  restore(s: HostState): void {
    this.lg.restore(s.guest);
    this.records.restore(s.records);
    this.phase = s.phase;
    this.extraNs = s.extraNs;
    this.nextTick = s.nextTick;
    this.currentK = s.currentK;
    this.drain = s.drain && { status: Uint8Array.from(s.drain.status), turns: s.drain.turns };
    this.drainSlot = s.drainSlot;
    this.openFrames.clear();
    this.newestK = -1;
    for (const [at, k] of s.openFrames) {
      this.openFrames.set(at, k);
      this.records.setEnd(k, undefined); // it ended in a future that is no more
    }
    if (s.newestFrame !== undefined) {
      [this.newestAt, this.newestK] = s.newestFrame;
      this.records.setEnd(this.newestK, undefined);
    }
    this.lastHeld = s.lastHeld;
    this.stepRetired = s.stepRetired;
    this.stepBase = s.stepBase;
    this.transferSteps = s.transferSteps;
    this.injection = s.injection && { ...s.injection };
    this.injecting = s.injecting;
    this.injectedIrqs = s.injectedIrqs;
    if (this.phase === 'apply') decideTrap(this.lg, this.lg.lastPagefault, this.plan);
    this.virqPlan.result = 'none';
    this.virqsHeldUntil = s.virqsHeldUntil;
    if (s.virqPlanned) planVirq(this.lg, this.virqPlan, false);
  }
}

export interface HostState {
  guest: GuestState;
  records: { count: number; totals: TrapTotals };
  phase: Phase;
  extraNs: number;
  nextTick: number;
  currentK: number;
  drain: { status: number[]; turns: number } | undefined;
  drainSlot: number;
  openFrames: [at: number, k: number][];
  newestFrame: [at: number, k: number] | undefined;
  lastHeld: string;
  virqPlanned: boolean;
  virqsHeldUntil: number;
  stepRetired: number;
  stepBase: number;
  transferSteps: number;
  injection: Injection | undefined;
  injecting: boolean;
  injectedIrqs: number;
}

const walk = (vaddr: number, directory: number, read: (at: number) => number | undefined): Walk => {
  const pdeAt = (directory + (vaddr >>> 22) * 4) >>> 0;
  const pde = read(pdeAt);
  if (pde === undefined || (pde & PT.P) === 0) return { directory, pdeAt, pde, pteAt: undefined, pte: undefined, target: undefined };
  const pteAt = ((pde & 0xfffff000) + ((vaddr >>> 10) & 0xffc)) >>> 0;
  const pte = read(pteAt);
  const target = pte !== undefined && pte & PT.P ? ((pte & 0xfffff000) | (vaddr & 0xfff)) >>> 0 : undefined;
  return { directory, pdeAt, pde, pteAt, pte, target };
};
