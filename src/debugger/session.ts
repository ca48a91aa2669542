// The debugger without a protocol: runs a machine in slices, stops it for breakpoints, traps, steps, pauses and ends, and says why it stands.
//
// Everything asynchronous is here. The machine runs only inside slice(), a few milliseconds at a time, so that whoever calls is answered between two slices; while it
// stands, every question is answered at once from memory. What it leaves out: text for editors (adapter), names (programs.ts), stacks (stack.ts).

import { Disassembler, type Decoded, type Syntax } from '../i386/disassembly';
import type { TrapFilter } from '../lguest/host';
import { LGUEST_TRAP_ENTRY, REGS } from '../lguest/abi';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import type { Stop } from '../launcher/machine';
import { stripType, type Type } from '../symbols/dwarf/types';
import { type Breakpoint, Breakpoints, type BreakpointSpec, hitCondition } from './breakpoints';
import { addressKind } from './address-kind';
import { bugAt, bugText, inOops, OOPS_FUNCTIONS, oopsText } from './bug';
import { becameText, chainText, differencesText, mnemonic, whatText, whyText } from './explain';
import { Conditions } from './conditions';
import { evaluate, ExpressionError, fit, load, parse, type Value } from './expression';
import {
  type ActiveFilter,
  COMPACT_FILTERS,
  FILTER_MODES,
  type FilterMode,
  hostFilter,
  isFilterId,
  STEP_VIRQ,
  vectorName,
} from './filters';
import { FrameEnvironment } from './frame-environment';
import { whyNotDelivered } from './irq-state';
import { Live, type LiveNumbers } from './live';
import { LogLimit } from './log-limit';
import { watchSlots } from './mappings';
import type { MachineQuestions } from './machine-functions';
import { MODULE_EVENTS, type ModuleInfo, Modules } from './modules';
import { KernelPrinters } from './printers';
import { type Program, type Programs, programInMemory } from './programs';
import { delivers, recordFilter } from './record-query';
import { type Frame, Stack } from './stack';
import { hex8, LINEAR, type Target } from './target';
import { type Task, Tasks } from './tasks';
import { EXEC_FUNCTIONS, UserPrograms } from './user-programs';
import { splitFormat, type ValueContext } from './value';
import { numberOf, numberText, type Watch, type WatchHit, type WatchWish, Watches } from './watches';
import { TRAP_TARGET, TrapSteps, type TrapTarget } from './trap-steps';

export type StopReason =
  | 'entry'
  | 'step'
  | 'breakpoint'
  | 'function breakpoint'
  | 'instruction breakpoint'
  | 'data breakpoint'
  | 'exception'
  | 'pause'
  | 'goto';

export interface StopInfo {
  reason: StopReason;
  /** At most 80 characters. */
  description: string;
  text?: string;
  hitBreakpoints: number[];
  /** Exception stops: the filter, and the trap. */
  filter?: string;
  record?: TrapRecord;
  /** The instruction that did what the stop is about, when it is not the next one. */
  instruction?: number;
  /** The trap is decided and not yet applied: it is shown above the faulting instruction. */
  pending: boolean;
}

/** How a run ended for good. `exitCode` as the command line gives it. */
export interface EndInfo {
  exitCode: number;
  message: string;
}

export type Granularity = 'instruction' | 'line';

/** What becomes of a virtual interrupt during a step. hold: it waits until the Guest continues. deliver: its handler is run through. stop: the step ends before it. */
export const STEP_VIRQS = ['hold', 'deliver', 'stop'] as const;
export type StepVirq = (typeof STEP_VIRQS)[number];
/** Guest time after which a long step lets interrupts in again: what it steps over may wait for one. */
const LONGEST_HOLD_NS = 10_000_000;

const SLICE_MS = 8;
const FIRST_SLICE = 200_000;
const ENTRIES = 3_000;
const LONGEST_WAIT_MS = 50;
/** Records looked at for the trap that a kernel stumbles over, and how deep below its frame. */
const NEWEST = 256;
const LARGEST_STACK = 0x2000;

const nextTurn: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((done) => setImmediate(done))
    : () =>
        new Promise((done) => {
          const channel = new MessageChannel();
          channel.port1.onmessage = () => done();
          channel.port2.postMessage(0);
        });
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

interface Temporary {
  address: number;
  test: () => boolean;
}

export class Debugger {
  readonly breakpoints: Breakpoints;
  readonly watches: Watches;
  /** The tasks of a Linux Guest, when its debug information tells what a task is. */
  readonly tasks: Tasks;
  readonly printers: KernelPrinters;
  readonly modules: Modules;
  readonly userPrograms: UserPrograms;
  private readonly machineQuestions: MachineQuestions;
  readonly conditions: Conditions;
  disassembler: Disassembler;
  /** The newest stop; undefined while running or before the first. */
  stop: StopInfo | undefined;
  running = false;
  ended: EndInfo | undefined;
  onStop: (stop: StopInfo) => void = () => {};
  onEnd: (end: EndInfo) => void = () => {};
  /** A breakpoint found its place, or names turned up in the Guest's memory. */
  onBound: (b: Breakpoint) => void = () => {};
  onNames: (program: Program) => void = () => {};
  /** A kernel module came or went. */
  onModule: (module: ModuleInfo, what: 'new' | 'removed') => void = () => {};
  /** Text of logpoints. */
  onLog: (text: string, breakpoint: Breakpoint) => void = () => {};
  /** A trap found by a filter that only logs, in words. */
  onTrapLog: (text: string) => void = () => {};
  /** The frame of a watched local has returned: its watch is gone. */
  onExpired: (watch: Watch) => void = () => {};
  /** Something in the machine was changed by the user. */
  onWrite: (address: number, length: number) => void = () => {};
  /** No one can type on the console any more: a Guest that waits without a timer has nothing left to do. */
  inputPossible = true;
  stepVirq: StepVirq = 'hold';
  /** Whether a sleeping Guest waits on the wall clock. */
  realTime = true;

  /** No file gave names: they are looked for in the Guest's memory once its kernel is there. */
  private namesWanted = false;
  private stopWhenNamed = false;
  private nextId = 1;
  private filters: ActiveFilter[] = [];
  private pauseWanted = false;
  private wake: (() => void) | undefined;
  private sliceSize = FIRST_SLICE;
  private temporaries: Temporary[] = [];
  /** Breakpoints that said stop at the newest 'breakpoint' exit, and whether a temporary did. */
  private hit: Breakpoint[] = [];
  private hitTemporary: Temporary | undefined;
  private filterHit: string | undefined;
  /** Where the run began: a breakpoint there has been seen already. */
  private startRetired = -1;
  private startEip = 0;
  private cachedStack: Stack | undefined;

  constructor(
    readonly target: Target,
    readonly programs: Programs,
    syntax: Syntax = 'att',
  ) {
    this.breakpoints = new Breakpoints(target, programs);
    this.watches = new Watches(target, programs);
    this.tasks = new Tasks(target, programs);
    this.printers = new KernelPrinters(this.tasks);
    this.modules = new Modules(target, programs);
    this.userPrograms = new UserPrograms(this.tasks, programs);
    this.breakpoints.isMine = (program) => this.userPrograms.isCurrent(program);
    this.breakpoints.mayCome = () =>
      this.userPrograms.find !== undefined
        ? 'neither a module nor a program that has it is loaded'
        : this.modules.searched && this.modules.known
          ? 'the module that has it is not loaded'
          : undefined;
    this.machineQuestions = {
      target,
      programs,
      tasks: this.tasks,
      printers: this.printers,
      record: () => this.record,
      recordNumbered: (k) => target.records.get(k < 0 ? target.records.count + k : k),
      why: (k) => this.why(k),
      recordTest: (text) => recordFilter(text, programs),
    };
    this.conditions = new Conditions(target, programs, this.tasks, this.machineQuestions, this.printers);
    watchSlots(target.host);
    this.live = new Live(target);
    this.trapSteps = new TrapSteps({
      target,
      oneStep: () => this.oneStep(),
      judge: (stop) => this.judge(stop),
      stopAt: (description, record) => this.stopInfo('step', description, record === undefined ? {} : { record, pending: true }),
      restoreFilters: () => this.installFilters(),
    });
    this.disassembler = new Disassembler(syntax);
    this.namesWanted = programs.list.length === 0 && target.guestMemory !== undefined;
    target.processor.onBreakpoint = (linear) => this.asked(linear);
  }

  newId(): number {
    return this.nextId++;
  }

  // ---- breakpoints ----------------------------------------------------------------------------------------------------------------------

  setBreakpoints(kind: BreakpointSpec['kind'], matches: (b: Breakpoint) => boolean, specs: BreakpointSpec[]): Breakpoint[] {
    const kept: Breakpoint[] = [];
    for (const b of [...this.breakpoints]) {
      if (b.spec.kind === kind && b.spec.console !== true && matches(b)) {
        this.breakpoints.remove(b);
        kept.push(b);
      }
    }
    return specs.map((spec) => {
      const at = kept.findIndex((b) => sameSpec(b.spec, spec));
      // Each number is given once: a list may have the same breakpoint twice.
      const before = at < 0 ? undefined : kept.splice(at, 1)[0];
      const made = this.breakpoints.add(before?.id ?? this.newId(), spec, (b) => this.prepare(b));
      if (before !== undefined) made.hits = before.hits;
      return made;
    });
  }

  /** After a restart: the breakpoints of the old run, under their numbers. */
  adopt(kept: readonly { id: number; spec: BreakpointSpec }[], watches: WatchWish[], old: Debugger): void {
    this.nextId = old.nextId;
    this.watches.adopt(old.watches);
    this.setWatches(watches);
    for (const { id, spec } of kept) this.breakpoints.add(id, spec, (b) => this.prepare(b));
  }

  /** Data breakpoints; each answer has the problem, if there is one. */
  setWatches(given: WatchWish[]): Watch[] {
    const mine = this.watches.all.map((w) => w.wish).filter((w) => w.console === true && !given.includes(w));
    const made = [...mine, ...given].map((wish) => {
      const same = this.watches.all.find((w) => w.wish.dataId === wish.dataId && w.wish.access === wish.access);
      const watch = this.watches.make(same?.id ?? this.newId(), wish);
      watch.hits = same?.hits ?? 0;
      try {
        const condition = wish.condition?.replace(/\|\s*(log|count)\s*$/, '').trim() ?? '';
        if (condition !== '') watch.test = this.conditions.watch(condition);
        if (wish.hitCondition !== undefined && wish.hitCondition.trim() !== '') watch.wantsHit = hitCondition(wish.hitCondition);
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        watch.problem = error.message;
      }
      return watch;
    });
    this.watches.set(made);
    this.plantEnds();
    this.installFilters();
    return made.slice(mine.length);
  }

  private prepare(b: Breakpoint): void {
    const { condition, logMessage } = b.spec;
    if (condition !== undefined && condition.trim() !== '') b.test = this.conditions.breakpoint(condition, b.places);
    if (logMessage !== undefined && logMessage !== '') b.log = this.conditions.message(logMessage);
  }

  valueContext(env: FrameEnvironment, hex = false): ValueContext {
    return { env, names: this.programs, printers: this.printers, hex };
  }

  /** The processor stands before an instruction with a breakpoint: stop? Asked in its loop, so a false condition must cost little. */
  private asked(linear: number): boolean {
    if (this.hooks.size > 0) this.hooks.get(linear)?.();
    if (linear === this.startEip && this.target.processor.now() === this.startRetired) return false;
    if (this.hit.length > 0) this.hit = [];
    this.hitTemporary = this.temporaries.length === 0 ? undefined : this.temporaries.find((t) => t.address === linear && t.test());
    if (this.hitTemporary !== undefined && linear === this.resumed) return true;
    const oops = this.oopsPlaces.size === 0 ? undefined : this.oopsPlaces.get(linear);
    this.oopsHit = oops === undefined ? undefined : this.oops(oops);
    for (const { b, when } of this.breakpoints.at(linear)) {
      if ((when === undefined || when()) && this.met(b)) this.hit.push(b);
    }
    if (this.frameEnds.size > 0 && this.frameEnds.has(linear)) this.expire(linear);
    return this.hit.length > 0 || this.hitTemporary !== undefined || this.oopsHit !== undefined;
  }
  /** A breakpoint is met: counts it and writes its log. @returns whether it says stop. */
  private met(b: Breakpoint): boolean {
    if (b.test !== undefined && !b.test()) return false;
    b.hits++;
    if (b.wantsHit !== undefined && !b.wantsHit(b.hits)) return false;
    if (b.log === undefined) return true;
    this.onLog(b.log(), b);
    return false;
  }
  /** The instruction that a step is coming back to. */
  private resumed: number | undefined;
  /** Where functions return to whose locals are watched. */
  private frameEnds = new Set<number>();
  private expire(pc: number): void {
    for (const w of this.watches.expired(pc, this.target.register('esp'))) {
      this.dropWatch(w);
      this.onExpired(w);
    }
  }
  /** A breakpoint of the Debug Console, beside those of the client. */
  addBreakpoint(spec: BreakpointSpec): Breakpoint {
    return this.breakpoints.add(this.newId(), { ...spec, console: true }, (b) => this.prepare(b));
  }
  /** A watch of the Debug Console, beside those of the client. */
  addWatch(wish: WatchWish): Watch {
    const [made] = this.setWatches([...this.watches.all.map((w) => w.wish), wish]).slice(-1);
    return made;
  }
  dropWatch(w: Watch): void {
    this.watches.remove(w);
    this.plantEnds();
  }
  private plantEnds(): void {
    const { processor } = this.target;
    for (const pc of this.frameEnds) processor.removeBreakpoint(pc);
    this.frameEnds = new Set(this.watches.all.flatMap((w) => (w.subject?.until === undefined ? [] : [w.subject.until.pc])));
    for (const pc of this.frameEnds) processor.addBreakpoint(pc);
  }

  // ---- trap filters -----------------------------------------------------------------------------------------------------------------------

  /** @returns for each filter the message of what is wrong with it, or undefined. */
  setFilters(wanted: { id: string; condition?: string; mode?: string }[]): (string | undefined)[] {
    this.filters = [];
    const problems = wanted.map(({ id, condition, mode }) => {
      if (!isFilterId(id)) return `no filter "${id}"; the filters are ${COMPACT_FILTERS.map((f) => f.id).join(' ')} and v0 to v255`;
      const known = FILTER_MODES.find((m) => m === (mode ?? 'stop'));
      if (known === undefined) return `no mode "${mode}"; the modes are ${FILTER_MODES.join(', ')}`;
      const filter: ActiveFilter = { id, mode: known, seen: 0 };
      if (condition !== undefined && condition.trim() !== '') {
        try {
          filter.condition = this.conditions.trap(condition);
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
          return error.message;
        }
      }
      this.filters.push(filter);
      return undefined;
    });
    this.installFilters();
    return problems;
  }
  /** Every filter that is set, with what it found. */
  get filterCounts(): { id: string; mode: FilterMode; count: number }[] {
    return this.filters.map((f) => ({ id: f.id, mode: f.mode ?? 'stop', count: f.seen ?? 0 }));
  }
  private installFilters(): void {
    const { target } = this;
    const cr2 = this.watches.all.flatMap((w): ActiveFilter[] => (w.subject?.cr2 === undefined ? [] : [{ id: `cr2.${w.subject.cr2}` }]));
    const virq: ActiveFilter[] = this.stepping && this.stepVirq === 'stop' ? [{ id: STEP_VIRQ }] : [];
    const filter = hostFilter(
      [...this.filters, ...cr2, ...virq],
      target,
      (id, record, direction) => {
        const watch = id.startsWith('cr2.') ? this.watches.all.find((w) => w.subject?.cr2 === id.slice(4)) : undefined;
        if (watch !== undefined && !this.counts(watch)) return false;
        const filter = this.filters.find((f) => f.id === id);
        if (filter !== undefined) {
          filter.seen = (filter.seen ?? 0) + 1;
          if (filter.mode === 'log') this.logLimit.line(id, () => this.logLine(id, record, direction));
          if (filter.mode === 'log' || filter.mode === 'count') return false;
        }
        this.filterHit = id;
        return true;
      },
      (record) => bugAt(target, this.programs, this.modules, record.eip) !== undefined,
    );
    this.plantOops();
    target.setFilter(this.watches.needsSwitches ? this.withSwitches(filter) : filter);
  }
  /** Fields of the Host are compared before every entry into the Guest. */
  private withSwitches(filter: TrapFilter | undefined): TrapFilter {
    const asked = filter?.worldSwitch;
    return {
      ...(filter ?? { vectors: new Uint8Array(257), ring: false, virqDelivered: false, virqHeld: false, test: () => false }),
      worldSwitch: (direction) => {
        if (direction === 'enter') {
          this.watches.compareSwitches();
          if (this.watches.hits.length > 0) this.switchStop = this.watchStop();
          if (this.switchStop !== undefined) return true;
        }
        return asked?.(direction) ?? false;
      },
    };
  }
  /** A stop found at a world switch. */
  private switchStop: StopInfo | undefined;
  readonly trapSteps: TrapSteps<StopInfo>;
  private readonly live: Live;
  /** Four times a second at most while the Guest runs. */
  onLive: (numbers: LiveNumbers) => void = () => {};
  private readonly logLimit = new LogLimit((text) => this.onTrapLog(text));
  private logLine(id: string, record: TrapRecord | undefined, direction: 'enter' | 'exit' | undefined): string {
    const { target, programs } = this;
    if (direction === 'enter') {
      const eip = target.register('eip');
      return `${id}: into the Guest at ${programs.nameOf(eip) ?? hex8(eip)} (${formatPosition(target.position)})`;
    }
    if (direction === 'exit') {
      // The record of this exit is made only after the stop; the saved registers tell what it is.
      const vector = target.host?.lg.reg(REGS.trapnum) ?? 0;
      const eip = target.register('eip');
      return `${id}: out of the Guest at ${programs.nameOf(eip) ?? hex8(eip)}, trap ${vector} ${vectorName(vector)} (${formatPosition(target.position)})`;
    }
    return record === undefined
      ? id
      : `${id}: ${whatText(record)} ${becameText(record, programs)}. (trap ${record.k}, ${formatPosition(record.pos)})`;
  }
  /** Condition and hit count of a watch that was touched. */
  private counts(w: Watch): boolean {
    if (w.test !== undefined && !w.test()) return false;
    w.hits++;
    return w.wantsHit === undefined || w.wantsHit(w.hits);
  }
  /** A test of records by an expression, for queries: the same language as the filters' conditions. @throws ExpressionError. */
  recordTest(text: string): (record: TrapRecord) => boolean {
    return this.conditions.trap(text);
  }
  /** Entries of the kernel's functions for oops and panic, by address, while the filter for them is set. */
  private readonly oopsPlaces = new Map<number, string>();
  private plantOops(): void {
    const { target, programs, modules } = this;
    const wanted = new Map<number, string>();
    if (this.filters.some((f) => f.id === 'panic'))
      for (const p of programs.list)
        if (!modules.list.some((m) => m.program === p))
          for (const name of OOPS_FUNCTIONS) {
            const symbol = p.table.named(name);
            if (symbol !== undefined) wanted.set((symbol.address + p.offset) >>> 0, name);
          }
    for (const at of this.oopsPlaces.keys()) if (!wanted.has(at)) target.processor.removeBreakpoint(at);
    for (const at of wanted.keys()) if (!this.oopsPlaces.has(at)) target.processor.addBreakpoint(at);
    this.oopsPlaces.clear();
    for (const [at, name] of wanted) this.oopsPlaces.set(at, name);
  }
  /** The stop at the entry of one of them, or undefined when it is part of an oops that was told, or is only logged or counted. */
  private oops(name: string): StopInfo | undefined {
    const filter = this.filters.find((f) => f.id === 'panic');
    const { target, programs } = this;
    if (filter === undefined || inOops(target, programs, name)) return undefined;
    const record = this.atWork();
    if (record !== undefined && filter.condition !== undefined && !filter.condition(record)) return undefined;
    filter.seen = (filter.seen ?? 0) + 1;
    const said = oopsText(target, name);
    const head = `Guest ${name === 'panic' ? 'panic' : 'oops'}: ${name}(${said === undefined ? '' : JSON.stringify(said)})`;
    const bug = record?.vector === 6 ? bugAt(target, programs, this.modules, record.eip) : undefined;
    const cause =
      record === undefined
        ? ''
        : ` in the handler of trap ${record.k}: ${whatText(record)} At ${programs.nameOf(record.eip) ?? hex8(record.eip)}${bug === undefined ? '' : `: ${bugText(bug)}`}`;
    const text = `${head}${cause}`;
    if (filter.mode === 'log') this.logLimit.line('panic', () => `panic: ${text}`);
    if (filter.mode === 'log' || filter.mode === 'count') return undefined;
    return this.stopInfo('exception', head.length > 80 ? `${head.slice(0, 77)}...` : head, { filter: 'panic', text, record });
  }
  /** The exception whose handler is at work on the stack at hand. */
  private atWork(): TrapRecord | undefined {
    const { records } = this.target;
    const esp = this.target.register('esp');
    for (let k = records.count - 1; k >= Math.max(records.first, records.count - NEWEST); k--) {
      const r = records.get(k);
      if (r === undefined || r.vector >= 32 || r.instructions !== undefined || r.frame === undefined) continue;
      if (r.outcome !== 'reflected' && r.outcome !== 'direct') continue;
      if (r.frame.at >= esp && r.frame.at - esp < LARGEST_STACK) return r;
    }
    return undefined;
  }
  private oopsHit: StopInfo | undefined;

  private filterOn(id: string): boolean {
    return this.filters.some((f) => f.id === id && f.mode !== 'log' && f.mode !== 'count');
  }

  // ---- running ------------------------------------------------------------------------------------------------------------------------------

  /** Asks a running machine to stand still. */
  pause(): void {
    this.pauseWanted = true;
    this.wake?.();
  }
  /** Something arrived for a sleeping Guest. */
  nudge(): void {
    this.wake?.();
  }

  continue(): void {
    this.start(async () => (await this.runUntil([])) ?? this.stopInfo('pause', 'Paused'));
  }

  /** Runs until a function or an address, once. */
  runTo(addresses: number[], reason: StopReason, description: string): void {
    this.start(async () => {
      const outcome = await this.runUntil(addresses.map((address) => ({ address, test: () => true })));
      return outcome ?? this.stopInfo(reason, description);
    });
  }

  /** Whether names may still turn up. */
  get awaitsNames(): boolean {
    return this.namesWanted;
  }
  /** As runTo(), for a kernel whose names are not known before it runs. */
  runToNamed(name: string, reason: StopReason, description: string): void {
    this.start(async () => {
      this.stopWhenNamed = true;
      const early = await this.runUntil([]);
      this.stopWhenNamed = false;
      if (early !== undefined) return early;
      const places = this.programs.functionsNamed(name).flatMap((f) => this.programs.addresses(f.program, f.postPrologue));
      if (places.length === 0) return this.stopInfo('entry', `No function "${name}" is known`);
      const outcome = await this.runUntil(places.map((address) => ({ address, test: () => true })));
      return outcome ?? this.stopInfo(reason, description);
    });
  }
  /** After the Guest's first hypercall its kernel is unpacked: its own symbol table can be read. */
  private lookForNames(): void {
    this.namesWanted = false;
    const memory = this.target.guestMemory?.();
    const program = memory === undefined ? undefined : programInMemory(memory);
    if (program === undefined) return;
    this.programs.add(program);
    this.onNames(program);
    this.bindAgain();
    this.follow();
  }

  // ---- what is loaded while the Guest runs ----------------------------------------------------------------------------------------------------

  /** Places in the kernel that are watched for the debugger's own sake: nothing stops there. */
  private readonly hooks = new Map<number, () => void>();

  private hook(address: number, act: () => void): void {
    if (this.hooks.has(address)) return;
    this.hooks.set(address, act);
    this.target.processor.addBreakpoint(address);
  }
  /** Follows modules and user programs from now on. Called once their files can be found, and when new names are known. */
  follow(): void {
    const { programs } = this;
    const entries = (names: readonly string[]): number[] =>
      names.flatMap((name) =>
        programs.list.flatMap((p) => (p.table.named(name) === undefined ? [] : [(p.table.named(name)?.address ?? 0) + p.offset])),
      );
    if (this.modules.searched && this.modules.known) for (const at of entries(MODULE_EVENTS)) this.hook(at >>> 0, () => this.loaded());
    if (this.userPrograms.find !== undefined && this.tasks.known)
      for (const at of entries(EXEC_FUNCTIONS))
        this.hook(at >>> 0, () => {
          const back = this.target.read32(this.target.register('esp'));
          if (back !== undefined) this.hook(back, () => this.loaded());
        });
    this.loaded();
  }
  /** Looks at what the kernel has loaded; breakpoints find their places in what is new. Cheap when nothing is. */
  loaded(): void {
    // Nobody asked for modules, and to know what one is would cost a pass over all names.
    if (!this.modules.searched && !this.userPrograms.wanted && !this.tasks.ready) return;
    const { added, removed, freed } = this.modules.sync();
    const programs = this.userPrograms.sync();
    if (added.length === 0 && removed.length === 0 && !freed && !programs) return;
    this.cachedStack = undefined;
    for (const m of removed) this.onModule(m, 'removed');
    for (const m of added) this.onModule(m, 'new');
    this.bindAgain();
  }
  private bindAgain(): void {
    this.plantOops();
    for (const b of [...this.breakpoints]) if (this.breakpoints.rebind(b, (x) => this.prepare(x))) this.onBound(b);
  }

  /** @param task one that is not on the processor: runs until it is, first. */
  step(kind: 'in' | 'over' | 'out', granularity: Granularity, task?: Task): void {
    const { target, trapSteps } = this;
    if (trapSteps.decision !== undefined) {
      this.stepDecision(kind);
      return;
    }
    const away = task === undefined || task.current ? undefined : this.whenCurrent(task);
    this.startStep(async () => {
      const early = await away?.();
      if (early !== undefined) return early;
      const outcome = await (kind === 'out'
        ? target.host?.inSwitcher
          ? this.trapSteps.outOfSwitcher()
          : this.stepOut()
        : target.host?.inSwitcher
          ? this.trapSteps.switcher()
          : granularity === 'instruction'
            ? this.stepInstruction(kind)
            : this.stepLine(kind));
      const whose = task === undefined || task.current ? 'Paused on step' : `Paused on step, when pid ${task.pid} ran again`;
      return outcome ?? this.stopInfo('step', whose);
    });
  }
  /** Runs to where a task left the processor. */
  private whenCurrent(task: Task): () => Promise<StopInfo | 'ended' | undefined> {
    const pc = this.tasks.saved(task)?.registers[8];
    if (pc === undefined) throw new ExpressionError(`it is not known where task ${task.pid} goes on`);
    return () =>
      this.runUntil([
        {
          address: pc,
          test: () => this.tasks.currentAddress() === task.address || this.tasks.onStack(this.target.register('esp')) === task.address,
        },
      ]);
  }

  /** Goes on at another place of the same function, without running anything. @throws Error with one line. */
  goto(address: number): void {
    const { target, programs } = this;
    const here = programs.functionAt(target.pc);
    const there = programs.functionAt(address);
    if (this.stop?.pending) throw new ExpressionError('a trap is about to be delivered here; step once before going elsewhere');
    if (here === undefined || there === undefined || here.entry !== there.entry)
      throw new ExpressionError('only places in the function at hand can be gone to: another has another stack');
    target.setRegister('eip', address);
    this.cachedStack = undefined;
    this.stop = this.stopInfo('goto', 'Moved here');
  }

  /** What the line at hand calls. */
  calls(): { address: number; name: string }[] {
    const { target, programs } = this;
    const range = programs.lineRange(target.pc);
    const found = new Map<number, string>();
    for (let at = target.pc; found.size < 20; ) {
      const decoded = this.decode(at);
      if (decoded === undefined) break;
      if (decoded.flow === 'call' && decoded.target !== undefined)
        found.set(decoded.target, programs.nameOf(decoded.target) ?? hex8(decoded.target));
      at += decoded.length;
      if (range === undefined || at >= range.high) break;
    }
    return [...found].map(([address, name]) => ({ address, name }));
  }

  /** What can be stepped into at a trap that is decided, or at an instruction that is made to trap. */
  trapTargets(): { id: number; label: string }[] {
    const { target, programs, stop } = this;
    if (target.host === undefined) return [];
    const decoded = this.decode(target.pc);
    const switcher = { id: TRAP_TARGET.switcher, label: 'Switcher: instruction by instruction' };
    if (target.host.inSwitcher) return [switcher];
    const decisions = { id: TRAP_TARGET.decisions, label: 'Host: decision by decision' };
    const record = stop?.pending ? stop.record : undefined;
    const handler = (name: string): { id: number; label: string } => ({ id: TRAP_TARGET.handler, label: `Guest handler${name}` });
    if (record !== undefined) {
      const name = record.handler === undefined ? undefined : ` ${programs.nameOf(record.handler) ?? hex8(record.handler)}`;
      return [...(name === undefined ? [] : [handler(name)]), decisions, switcher];
    }
    if (decoded?.flow !== 'int') return [decisions, switcher];
    return [...(decoded.vector === LGUEST_TRAP_ENTRY ? [] : [handler('')]), decisions, switcher];
  }
  stepIntoTrap(what: TrapTarget): void {
    const pending = this.stop?.pending ? this.stop.record : undefined;
    this.startStep(async () => {
      if (what === 'handler') return (await this.stepInstruction('in')) ?? this.stopInfo('step', 'Paused on step');
      return what === 'switcher' ? this.trapSteps.switcher() : this.trapSteps.toDecisions(pending);
    }, what !== 'handler');
  }
  /** Among the Host's decisions: to the next one, or on to what they lead to. Nothing runs in between. */
  private stepDecision(kind: 'in' | 'over' | 'out'): void {
    const next = kind === 'out' ? undefined : this.trapSteps.next();
    if (next === undefined) {
      this.trapSteps.decision = undefined;
      this.startStep(async () => (await this.oneStep()) ?? this.stopInfo('step', 'Paused on step: the decision is applied'));
      return;
    }
    this.stop = next;
    this.cachedStack = undefined;
    this.onStop(next);
  }

  /** Steps into one of the calls of this line; stops behind the line when it is not made. */
  stepInto(address: number): void {
    this.startStep(async () => {
      const { target, programs } = this;
      const range = programs.lineRange(target.pc);
      const esp = target.register('esp');
      const f = programs.functionAt(address);
      const inside = f === undefined ? address : (f.postPrologue + f.bias) >>> 0;
      const stack = new Stack(target, programs);
      stack.need(3);
      const caller = stack.frames.find((x) => x.kind === 'code' && x.registers !== stack.frames[0]?.registers);
      const places: Temporary[] = [{ address: inside, test: () => target.register('esp') < esp }];
      if (range !== undefined) places.push({ address: range.high, test: () => target.register('esp') >= esp });
      if (caller !== undefined) places.push({ address: caller.pc, test: () => target.register('esp') > esp });
      return (await this.runUntil(places)) ?? this.stopInfo('step', 'Paused on step');
    });
  }

  /** A step is under way. */
  private stepping = false;
  /** @param looking into the Host's work: what is held is left as it is, so that the run is the same as without. */
  private startStep(work: () => Promise<StopInfo | 'ended'>, looking = false): void {
    this.start(work, true, looking);
  }
  private setStepping(on: boolean): void {
    const before = this.stepping;
    this.stepping = on;
    if (before !== on && this.stepVirq === 'stop') this.installFilters();
  }
  /** What a step says of the interrupts that it holds. */
  private heldText(): string {
    const { host } = this.target;
    if (host === undefined || !host.holdsVirqs || host.lg.irqsPending === 0) return '';
    const held = [...Array(32).keys()].filter((irq) => whyNotDelivered(host, irq).reason === 'held while stepping');
    return held.length === 0 ? '' : `; irq ${held.join(', ')} held until the Guest continues`;
  }
  private start(work: () => Promise<StopInfo | 'ended'>, stepping = false, looking = false): void {
    if (this.running) throw new Error('the Guest is running already');
    this.running = true;
    this.setStepping(stepping);
    const hold = stepping && this.stepVirq === 'hold';
    if (!looking && (hold || this.target.host?.holdsVirqs)) this.target.inputs?.holdVirqs(hold ? LONGEST_HOLD_NS : 0);
    this.pendingRecord = this.stop?.pending ? this.stop.record : undefined;
    this.stop = undefined;
    this.trapSteps.decision = undefined;
    this.live.start();
    this.returned = undefined;
    this.cachedStack = undefined;
    this.pauseWanted = false;
    this.wasIdle = false;
    const standing = (): void => {
      this.running = false;
      this.setStepping(false);
      this.logLimit.flush();
      this.cachedStack = undefined;
    };
    const run = async (): Promise<StopInfo | 'ended'> => {
      const outcome = await work();
      if (outcome !== 'ended') this.loaded();
      return outcome;
    };
    void run().then(
      (outcome) => {
        standing();
        if (outcome === 'ended') return;
        if (outcome.reason === 'step') outcome.description = `${outcome.description}${this.heldText()}`.slice(0, 80);
        this.stop = outcome;
        this.onStop(outcome);
      },
      (error: Error) => {
        standing();
        this.stop = this.stopInfo('exception', 'Emulator fault', { text: error.stack ?? error.message, filter: 'emulator' });
        this.onStop(this.stop);
      },
    );
  }

  private stopInfo(reason: StopReason, description: string, more: Partial<StopInfo> = {}): StopInfo {
    return { reason, description, hitBreakpoints: [], pending: false, ...more };
  }

  private noteStart(): void {
    this.startRetired = this.target.processor.retired;
    this.startEip = this.target.pc;
  }

  /** Runs until one of the places is met (undefined), or something else stops it. */
  private async runUntil(places: Temporary[]): Promise<StopInfo | 'ended' | undefined> {
    this.temporaries = places;
    this.watches.arm();
    this.breakpoints.refresh();
    for (const { address } of places) this.target.processor.addBreakpoint(address);
    this.noteStart();
    let turned = performance.now();
    try {
      for (;;) {
        if (this.pauseWanted) return this.paused();
        const from = performance.now();
        const before = this.target.processor.retired;
        const due = this.breakpoints.due(before) - before;
        const stop = this.watches.needsSteps
          ? this.stepSlice()
          : this.target.run({ instructions: Math.min(this.sliceSize, due), entries: this.namesWanted ? 1 : ENTRIES, idle: 'stop' });
        const spent = performance.now() - from;
        if (this.target.processor.retired === before + due && this.atCount(before + due)) return this.atBreakpoint() as StopInfo;
        const verdict = await this.judge(stop);
        if (verdict === 'temporary') return undefined;
        if (verdict !== 'go on') return verdict;
        if (this.namesWanted && (this.target.host?.lg.ld ?? -1) >= 0) {
          this.lookForNames();
          if (this.stopWhenNamed) return undefined;
        }
        if (stop.kind === 'budget' || stop.kind === 'slice') this.adapt(spent, this.target.processor.retired - before);
        const numbers = this.live.tick();
        if (numbers !== undefined) this.onLive(numbers);
        // Whoever asks is answered in time, but a watch that is met again and again does not wait each time.
        if (performance.now() - turned > SLICE_MS / 2) {
          await nextTurn();
          turned = performance.now();
        }
      }
    } finally {
      for (const { address } of places) this.target.processor.removeBreakpoint(address);
      this.temporaries = [];
    }
  }
  /** Breakpoints at a number of instructions: those that count become the hit. */
  private atCount(retired: number): boolean {
    this.hitTemporary = undefined;
    this.hit = this.breakpoints.countsAt(retired).filter((b) => this.met(b));
    return this.hit.length > 0;
  }
  /** Instruction by instruction for a while, because registers are watched. */
  private stepSlice(): Stop {
    const { target, watches } = this;
    const until = performance.now() + SLICE_MS;
    const due = this.breakpoints.due(target.processor.retired);
    for (let n = 1; ; n++) {
      const { pc } = target;
      if (target.processor.hasBreakpoint(pc) && this.asked(pc)) return { kind: 'breakpoint', address: pc };
      const stop = watches.note(() => target.step({ entries: ENTRIES, idle: 'stop' }));
      watches.compareSteps(pc);
      if (watches.hits.length > 0) return { kind: 'stop' };
      if (stop.kind !== 'budget') return stop;
      if (target.processor.retired >= due || ((n & 63) === 0 && performance.now() > until)) return { kind: 'slice' };
    }
  }
  private adapt(spent: number, done: number): void {
    if (done < this.sliceSize / 2 && spent < 2 * SLICE_MS) return;
    const scale = Math.min(2, Math.max(0.25, SLICE_MS / Math.max(0.5, spent)));
    this.sliceSize = Math.min(50_000_000, Math.max(20_000, Math.round(this.sliceSize * scale)));
  }

  private paused(): StopInfo {
    this.pauseWanted = false;
    return this.stopInfo('pause', this.wasIdle ? 'Paused while the Guest sleeps' : 'Paused');
  }
  private wasIdle = false;

  /** What a stop of the machine means. */
  private async judge(stop: Stop): Promise<StopInfo | 'ended' | 'go on' | 'temporary'> {
    this.wasIdle = stop.kind === 'idle';
    switch (stop.kind) {
      case 'budget':
      case 'slice':
        return 'go on';
      case 'stop':
        return this.watched();
      case 'breakpoint':
        return this.atBreakpoint();
      case 'trap':
        if (this.filterHit === STEP_VIRQ) {
          this.filterHit = undefined;
          const { record } = stop;
          return this.stopInfo('step', `Paused on step: irq ${record.virq?.irq ?? 0} comes in here`, { record, pending: true });
        }
        return this.filters.some((f) => f.id === this.filterHit && f.mode === 'handler')
          ? this.atHandler(this.atTrap(stop.record))
          : this.atTrap(stop.record);
      case 'world-switch': {
        const watched = this.switchStop;
        this.switchStop = undefined;
        if (watched !== undefined) return watched;
        return this.stopInfo('exception', stop.direction === 'enter' ? 'Before an entry into the Guest' : 'After an exit from the Guest', {
          filter: 'worldSwitch',
          record: this.target.current,
        });
      }
      case 'idle':
        return this.idle(stop.wakeNs);
      case 'power-off':
        return this.finish({ exitCode: this.target.endStatus ?? 0, message: stop.message });
      case 'panic':
        return this.filterOn('panic') ? this.dead('panic', stop.message, stop.record) : this.finish({ exitCode: 2, message: stop.message });
      case 'killed':
        return this.filterOn('killed')
          ? this.dead('killed', stop.message, stop.record)
          : this.finish({ exitCode: 1, message: stop.message });
      case 'emulator':
        return this.stopInfo('exception', 'Emulator fault', { filter: 'emulator', text: stop.message });
    }
  }

  /** Something watched is or was touched. */
  private async watched(): Promise<StopInfo | 'ended' | 'go on' | 'temporary'> {
    const { watches, target } = this;
    if (watches.stoppedBefore) {
      const once = (): Stop => watches.note(() => target.step({ entries: ENTRIES, idle: 'stop' }));
      let stop = once();
      // The step may have ended in something else, such as a fault that the Host fills first; a Guest in a storm gets nowhere.
      while (stop.kind === 'slice') {
        await nextTurn();
        if (this.pauseWanted) return this.paused();
        stop = once();
      }
      const found = this.watchStop();
      if (found !== undefined) return found;
      return stop.kind === 'budget' || stop.kind === 'stop' ? 'go on' : this.judge(stop);
    }
    watches.compareTouched();
    return this.watchStop() ?? 'go on';
  }
  private watchStop(): StopInfo | undefined {
    const { watches, target } = this;
    const found: { hit: WatchHit; after: Uint8Array }[] = [];
    const { hits } = watches;
    watches.hits = [];
    for (const hit of hits) {
      const after = watches.after(hit);
      const { watch } = hit;
      if (watch.subject?.memory?.changedOnly && hit.before.every((b, i) => b === after[i])) continue;
      this.conditions.access = { old: hit.old, new: numberOf(after), pc: hit.eip ?? 0, host: hit.eip === undefined ? 1 : 0 };
      if (!this.counts(watch)) continue;
      if (watch.mode === 'stop') found.push({ hit, after });
      else if (watch.mode === 'log')
        watches.addRow({
          name: this.accessed(hit),
          position: formatPosition(target.position),
          directory: target.host?.lg.pgdirs[target.host.lg.pgdidx].gpgdir ?? 0,
          pc: hit.eip,
          by: hit.by,
          kind: hit.kind,
          old: numberText(hit.before),
          new: numberText(after),
        });
    }
    const [first] = found;
    if (first === undefined) return undefined;
    const { hit, after } = first;
    const name = this.accessed(hit);
    const where = hit.eip === undefined ? '' : ` at ${this.programs.nameOf(hit.eip) ?? hex8(hit.eip)}: ${this.decode(hit.eip)?.text ?? ''}`;
    const change = hit.kind === 'read' ? `read as ${numberText(after)}` : `${numberText(hit.before)} → ${numberText(after)}`;
    const { problem } = this.conditions;
    this.conditions.problem = undefined;
    return this.stopInfo('data breakpoint', `${name}: ${change}`.slice(0, 80), {
      text: `${name}: ${change} by ${hit.by}${where}${problem === undefined ? '' : ` (${problem})`}`,
      hitBreakpoints: [...new Set(found.map((f) => f.hit.watch.id))],
      ...(hit.eip === undefined ? {} : { instruction: hit.eip }),
    });
  }
  /** What an access touched, by name: of something long the part. */
  private accessed({ watch, at }: WatchHit): string {
    const { subject, place } = watch;
    if (subject === undefined) return watch.wish.dataId;
    if (at < 0 || subject.length <= 8) return subject.name;
    let before = 0;
    for (const r of place.ranges) {
      if (at >= r.physical && at < r.physical + r.length) {
        const address = subject.address + before + (at - r.physical);
        return subject.memory?.space.kind === 'physical' ? `p:${hex8(address)}` : (this.programs.nameOf(address) ?? hex8(address));
      }
      before += r.length;
    }
    return subject.name;
  }

  private async idle(wakeNs: number | undefined): Promise<StopInfo | 'go on'> {
    if (wakeNs === undefined && !this.inputPossible)
      return this.stopInfo('pause', 'Nothing left to do: the Guest sleeps, no timer is set and no input can come');
    if (wakeNs !== undefined && (!this.realTime || wakeNs < 200_000)) {
      this.target.skipIdle();
      return 'go on';
    }
    const ms = wakeNs === undefined ? LONGEST_WAIT_MS * 20 : wakeNs / 1e6;
    let nudged = false;
    await Promise.race([
      sleep(ms),
      new Promise<void>((done) => {
        this.wake = () => {
          nudged = true;
          done();
        };
      }),
    ]);
    this.wake = undefined;
    if (wakeNs !== undefined && !nudged) this.target.skipIdle();
    return 'go on';
  }

  private dead(filter: 'killed' | 'panic', message: string, record: TrapRecord | undefined): StopInfo {
    const text = message.replace(/^lguest: /, '');
    const head = filter === 'panic' ? `Guest panic: ${text.replace(/^CRASH: /, '')}` : `Guest killed by the Host: ${text}`;
    return this.stopInfo('exception', head.length > 80 ? `${head.slice(0, 77)}...` : head, { text: message, filter, record });
  }
  private finish(end: EndInfo): 'ended' {
    this.ended = end;
    this.onEnd(end);
    return 'ended';
  }

  private atBreakpoint(): StopInfo | 'temporary' | 'go on' {
    const oops = this.oopsHit;
    this.oopsHit = undefined;
    for (const b of this.hit) if (b.spec.once) this.breakpoints.remove(b);
    if (oops !== undefined) return { ...oops, hitBreakpoints: this.hit.map((b) => b.id) };
    if (this.hit.length === 0) return this.hitTemporary !== undefined ? 'temporary' : 'go on';
    const [first] = this.hit;
    const reason: StopReason =
      first.spec.kind === 'function' ? 'function breakpoint' : first.spec.kind === 'instruction' ? 'instruction breakpoint' : 'breakpoint';
    const words = {
      'function breakpoint': 'Paused on function breakpoint',
      'instruction breakpoint': 'Paused on instruction breakpoint',
      breakpoint: 'Paused on breakpoint',
    };
    const { problem } = this.conditions;
    this.conditions.problem = undefined;
    return this.stopInfo(reason, words[reason as keyof typeof words], {
      hitBreakpoints: this.hit.map((b) => b.id),
      ...(problem === undefined ? {} : { text: problem }),
    });
  }
  private atTrap(record: TrapRecord): StopInfo {
    const filter = this.filterHit ?? 'emulator';
    this.filterHit = undefined;
    const watch = this.watches.all.find((w) => `cr2.${w.subject?.cr2}` === filter);
    if (watch !== undefined) {
      const { cr2 } = this.target.host ?? {};
      const change =
        filter === 'cr2.guest'
          ? `${cr2?.guest === undefined ? 'unknown' : hex8(cr2.guest)} → ${hex8(record.cr2 ?? 0)}`
          : `→ ${hex8(record.cr2 ?? 0)}`;
      return this.stopInfo('data breakpoint', `${filter}: ${change}`, {
        record,
        pending: true,
        text: `${filter}: ${change}. ${whatText(record)}`,
        hitBreakpoints: [watch.id],
      });
    }
    const bug = filter === 'panic' ? bugAt(this.target, this.programs, this.modules, record.eip) : undefined;
    const label =
      bug === undefined
        ? (COMPACT_FILTERS.find((f) => f.id === filter)?.label ?? vectorName(record.vector))
        : bugText(bug).length > 80
          ? `...${bugText(bug).slice(-77)}`
          : bugText(bug);
    const text = bug === undefined ? whatText(record) : `${bugText(bug)} (by the ${bug.source}) ${whatText(record)}`;
    const { problem } = this.conditions;
    this.conditions.problem = undefined;
    return this.stopInfo('exception', label, {
      filter,
      record,
      pending: true,
      text: problem === undefined ? text : `${text} (${problem})`,
    });
  }

  /** The second chance: the decided trap is applied, and the stop is at the first instruction of the Guest's handler. Without a handler it stays where it is. */
  private async atHandler(before: StopInfo): Promise<StopInfo | 'ended'> {
    const { record } = before;
    if (record?.handler === undefined || !delivers(record)) return before;
    const outcome = await this.oneStep();
    if (outcome !== undefined) return outcome;
    const name = this.programs.nameOf(record.handler) ?? hex8(record.handler);
    return {
      ...before,
      pending: false,
      description: `${before.description}: at its handler`.slice(0, 80),
      text: `${before.text ?? ''} At its handler ${name}.`.trim(),
    };
  }

  // ---- stepping -------------------------------------------------------------------------------------------------------------------------------

  /** The instruction at an address, or undefined. */
  decode(address: number): Decoded | undefined {
    return this.disassembler.decode(this.target.read(address, 15), address, this.target.codeBits);
  }

  /** One machine step. undefined: done. */
  private async oneStep(): Promise<StopInfo | 'ended' | undefined> {
    this.noteStart();
    this.watches.arm();
    let first = true;
    for (;;) {
      const stop = this.watches.note(() => this.target.step({ entries: ENTRIES, idle: 'stop' }));
      const touched = this.watches.hits.length > 0 ? this.watchStop() : undefined;
      if (touched !== undefined) return touched;
      if (stop.kind === 'budget') return undefined;
      const verdict = await this.judge(stop);
      if (verdict === 'temporary') return undefined;
      if (verdict !== 'go on') return verdict;
      if (stop.kind === 'slice' || !first) await nextTurn();
      first = false;
      if (this.pauseWanted) return this.paused();
    }
  }

  /** The newest transfer to the Guest since record `k`: what a step may have run into. */
  private deliveredSince(k: number): TrapRecord | undefined {
    const { records } = this.target;
    for (let i = records.count - 1; i >= Math.max(k, records.first); i--) {
      const r = records.get(i);
      if (r !== undefined && delivers(r)) return r;
    }
    return undefined;
  }

  /** Runs until control is back at one of the addresses with the stack where it was, in the same task: others may come by there meanwhile. */
  private back(addresses: readonly number[], esp: number): Promise<StopInfo | 'ended' | undefined> {
    const mine = this.sameTask();
    const test = (): boolean => {
      const now = this.target.register('esp');
      return now >= esp && now - esp < 0x200 && mine();
    };
    return this.runUntil(addresses.map((address) => ({ address, test })));
  }
  /** A test for the task that runs now: by task_struct, and by page directory for kernels without debug information. */
  private sameTask(): () => boolean {
    const { tasks, target } = this;
    const lg = target.host?.lg;
    if (tasks.ready) {
      const mine = tasks.currentAddress();
      return () => tasks.currentAddress() === mine;
    }
    const directory = lg?.pgdirs[lg.pgdidx].gpgdir;
    return () => lg?.pgdirs[lg.pgdidx].gpgdir === directory || (target.register('cs') & 3) !== 3;
  }

  /** into: stop at the first instruction of a call or a handler. over: what it calls, and what interrupts it, is run through. */
  private async stepInstruction(kind: 'in' | 'over'): Promise<StopInfo | 'ended' | undefined> {
    const { target } = this;
    const eip = target.pc;
    const esp = target.register('esp');
    const decoded = this.decode(eip);
    if (kind === 'over' && decoded !== undefined && this.pendingRecord === undefined) {
      if (decoded.flow === 'call' || (decoded.flow === 'int' && decoded.vector !== 31) || decoded.rep)
        return this.back([(eip + decoded.length) >>> 0], esp);
    }
    const k = target.records.count;
    const pendingVirq = this.pendingRecord?.kind === 'virq';
    const { pendingRecord } = this;
    const outcome = await this.oneStep();
    this.pendingRecord = undefined;
    if (outcome !== undefined) return outcome;
    const delivered =
      this.deliveredSince(k) ?? (pendingRecord !== undefined && target.pc === pendingRecord.handler ? pendingRecord : undefined);
    if (delivered === undefined || target.pc !== delivered.handler) return undefined;
    // A virtual interrupt is not what the user steps into, unless the stop was about it.
    if (delivered.kind === 'virq' ? kind === 'in' && pendingVirq : kind === 'in') return undefined;
    // Back at an instruction that faulted: it was stopped at before the step, so a breakpoint there is not met anew.
    this.resumed = delivered.eip === eip ? eip : undefined;
    // Handlers that do an instruction's work, or pass it over, go on behind it.
    const behind = delivered.eip === eip && decoded !== undefined ? [(eip + decoded.length) >>> 0] : [];
    const returned = await this.back([delivered.eip, ...behind], delivered.esp);
    this.resumed = undefined;
    if (returned !== undefined) return returned;
    const again = target.pc === eip && target.register('esp') === esp;
    return again ? this.stepInstruction(kind) : undefined;
  }
  /** The trap that the last stop was about, while it is not applied. */
  private pendingRecord: TrapRecord | undefined;

  private async stepLine(kind: 'in' | 'over'): Promise<StopInfo | 'ended' | undefined> {
    const { target, programs } = this;
    const pc = target.pc;
    const range = programs.lineRange(pc);
    const line = programs.lineAt(pc);
    if (range === undefined || line === undefined) return this.stepInstruction(kind);
    const startFunction = programs.functionAt(pc)?.entry;
    const startEsp = target.register('esp');
    for (let n = 0; ; n++) {
      const eip = target.pc;
      const decoded = this.decode(eip);
      const isCall = decoded?.flow === 'call';
      const outcome = await this.stepInstruction(
        isCall && kind === 'in' ? 'in' : kind === 'in' && this.pendingRecord !== undefined ? 'in' : 'over',
      );
      if (outcome !== undefined) return outcome;
      if (n % 200 === 199) {
        await nextTurn();
        if (this.pauseWanted) return this.paused();
      }
      const now = target.pc;
      if (now >= range.low && now < range.high && (now !== range.low || target.register('esp') === startEsp || n > 0)) {
        if (isLineStart(now, range, eip)) return undefined; // around a loop on one line
        continue;
      }
      const f = programs.functionAt(now);
      if (isCall && kind === 'in' && now !== eip + (decoded?.length ?? 0)) {
        const inside = await this.entered(now, (eip + (decoded?.length ?? 0)) >>> 0);
        if (inside !== undefined) return inside === 'stop' ? undefined : inside;
        continue;
      }
      const at = programs.lineAt(now);
      if (at === undefined) return undefined;
      const sameFunction = f?.entry === startFunction;
      if (sameFunction && at.line === line.line && at.file === line.file) continue; // another piece of the same line
      if (sameFunction && now !== (at.address + (f?.bias ?? 0)) >>> 0) continue; // in the middle of a line: go on to the next start
      return undefined;
    }
  }

  /** A call was stepped into: to the end of the prologue when there is source, else out again. */
  private async entered(pc: number, returnTo: number): Promise<StopInfo | 'ended' | 'stop' | undefined> {
    const { target, programs } = this;
    const f = programs.functionAt(pc);
    if (f === undefined || programs.lineAt(pc) === undefined) return this.back([returnTo], target.register('esp') + 4);
    const after = (f.postPrologue + f.bias) >>> 0;
    if (after !== pc && f.postPrologue > f.entry) {
      const outcome = await this.runUntil([{ address: after, test: () => true }]);
      if (outcome !== undefined) return outcome;
    }
    return 'stop';
  }

  private async stepOut(): Promise<StopInfo | 'ended' | undefined> {
    const stack = new Stack(this.target, this.programs);
    stack.need(4);
    const frames = stack.frames.filter((f) => f.kind === 'code');
    const caller = frames.find((f) => f.registers !== frames[0]?.registers);
    const esp = caller?.registers[4];
    if (caller === undefined || esp === undefined) return this.stopInfo('step', 'Not moved: the caller of this function is not known');
    const left = caller.method === 'trap record' || caller.method === 'trap frame' ? undefined : this.programs.functionAt(this.target.pc);
    const outcome = await this.back([caller.pc], esp);
    if (outcome === undefined && left !== undefined) this.returned = this.returnValue(left.name, left.type);
    return outcome;
  }

  /** What the function that was just left has returned. */
  returned: { name: string; value: Value } | undefined;

  /** By the i386 C calling convention: in eax, edx:eax, or at eax for structures. */
  private returnValue(name: string, type: Type | undefined): { name: string; value: Value } | undefined {
    const t = type === undefined ? undefined : stripType(type);
    if (t?.kind !== 'function') return undefined;
    const returns = stripType(t.returns);
    const eax = this.target.register('eax') >>> 0;
    if (returns.kind === 'void' || returns.kind === 'function' || returns.kind === 'array') return undefined;
    if (returns.kind === 'base' && (returns.encoding === 'float' || returns.encoding === 'complex')) return undefined;
    if (returns.kind === 'struct' || returns.kind === 'union' || returns.kind === 'class')
      return { name, value: load({ read: (at, n) => this.whole(at, n) }, t.returns, eax) };
    const bits = returns.size > 4 ? (BigInt(this.target.register('edx') >>> 0) << 32n) | BigInt(eax) : BigInt(eax);
    return { name, value: { type: t.returns, bits: fit(bits, t.returns) } };
  }
  private whole(address: number, size: number): Uint8Array | undefined {
    const bytes = this.target.read(address, size);
    return bytes.length === size ? bytes : undefined;
  }

  // ---- looking --------------------------------------------------------------------------------------------------------------------------------

  /** The chain of frames at this stop. */
  stack(): Stack {
    this.cachedStack ??= new Stack(this.target, this.programs, this.stop?.pending ? this.stop.record : undefined, {
      tasks: this.tasks,
      decision: this.trapSteps.decision,
    });
    return this.cachedStack;
  }
  /** The chain of a task that is not on the processor; of the current task: the processor's own. @throws ExpressionError when nothing is kept of it. */
  stackOf(task: Task): Stack {
    if (task.current) return this.stack();
    const saved = this.tasks.saved(task);
    if (saved === undefined) throw new ExpressionError(`task ${task.pid} ${task.comm} has no saved stack pointer (thread.esp)`);
    const sleeping = { task, saved, space: this.tasks.space(task) };
    return new Stack(this.target, this.userPrograms.view(task), undefined, { tasks: this.tasks, sleeping });
  }
  /** Values may have changed: the chain is made anew when next asked for. */
  forget(): void {
    this.cachedStack = undefined;
  }

  environment(frame: Frame | undefined, writable: boolean): FrameEnvironment {
    const stack = this.stack();
    stack.need(1);
    const top = frame ?? stack.frames.find((f) => f.kind === 'code');
    return new FrameEnvironment({
      target: this.target,
      programs: top?.view?.programs ?? this.programs,
      frame: top,
      stack: top?.view?.stack ?? stack,
      machine: this.machineQuestions,
      space: top?.view?.space ?? LINEAR,
      writable,
      onWrite: (address, length) => this.onWrite(address, length),
    });
  }

  evaluate(
    text: string,
    frame: Frame | undefined,
    writable: boolean,
  ): { value: Value; env: FrameEnvironment; format: ReturnType<typeof splitFormat>['format'] } {
    const { expression, format } = splitFormat(text);
    const env = this.environment(frame, writable);
    return {
      value: evaluate(
        parse(expression, (name) => this.conditions.isType(name)),
        env,
      ),
      env,
      format,
    };
  }

  /** The trap that this stop is about, or the newest. */
  get record(): TrapRecord | undefined {
    return this.stop?.record ?? this.target.current;
  }

  exceptionText(): { id: string; description: string; unhandled: boolean; typeName: string; outcome: string; chain: string } | undefined {
    const { stop } = this;
    if (stop?.reason !== 'exception') return undefined;
    const { record } = stop;
    const unhandled = stop.filter === 'killed' || stop.filter === 'panic' || stop.filter === 'switcher' || stop.filter === 'emulator';
    if (record === undefined)
      return {
        id: stop.filter ?? 'emulator',
        description: stop.text ?? stop.description,
        unhandled,
        typeName: stop.filter ?? '',
        outcome: '',
        chain: '',
      };
    const instruction = this.decode(record.eip)?.text;
    const at = this.programs.nameOf(record.eip);
    const parent = record.kind === 'kill' && record.parent !== undefined ? this.target.records.get(record.parent) : undefined;
    const lines = [
      stop.filter === 'killed' || stop.filter === 'panic' ? `${stop.text ?? stop.description}` : whatText(record),
      `${instruction ?? '(unreadable instruction)'} ${at === undefined ? `at ${hex8(record.eip)}` : `in ${at}`}, ${formatPosition(record.pos)}, trap ${record.k}.`,
      ...(record.cr2 === undefined ? [] : [`${hex8(record.cr2)} is ${addressKind(this, record.cr2)}.`]),
      parent === undefined ? `${becameText(record, this.programs)}.` : `${whatText(parent)} ${becameText(parent, this.programs)}.`,
    ];
    return {
      id: stop.filter ?? 'trap',
      description: lines.join('\n'),
      unhandled,
      typeName: mnemonic(parent ?? record),
      outcome: record.outcome,
      chain: `${chainText(parent ?? record, this.programs)}${differencesText(parent ?? record)}`,
    };
  }

  /** @param k a trap's number, negative from the newest; without: the trap at hand. @throws ExpressionError when it is not kept. */
  why(k?: number): string {
    const { records } = this.target;
    const record = k === undefined ? this.record : records.get(k < 0 ? records.count + k : k);
    if (k !== undefined && record === undefined) throw new ExpressionError(`trap ${k} is not kept`);
    if (record === undefined) return 'Nothing has trapped yet.\n';
    const parent = record.kind === 'kill' && record.parent !== undefined ? this.target.records.get(record.parent) : undefined;
    const { cr2 } = parent ?? record;
    const kind = cr2 === undefined ? '' : `cr2 ${hex8(cr2)} is ${addressKind(this, cr2)}\n`;
    const text = kind + whyText(parent ?? record, this.programs, this.decode(record.eip)?.text);
    return parent === undefined ? text : `The Guest is dead: ${record.message ?? ''}\n\n${text}`;
  }
}

const isLineStart = (now: number, range: { low: number }, from: number): boolean => now === range.low && from !== now;

const sameSpec = (a: BreakpointSpec, b: BreakpointSpec): boolean =>
  a.file === b.file &&
  a.line === b.line &&
  a.column === b.column &&
  a.pattern === b.pattern &&
  a.address === b.address &&
  JSON.stringify(a.space) === JSON.stringify(b.space) &&
  a.condition === b.condition &&
  a.hitCondition === b.hitCondition &&
  a.logMessage === b.logMessage;
