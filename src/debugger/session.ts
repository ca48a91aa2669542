// The debugger without a protocol: runs a machine, stops it for breakpoints, traps, steps, pauses and ends, and says why it stands.
//
// This file puts the parts together and answers what is asked of a standing machine: stacks, expressions, why. What runs is run-loop.ts, how steps go stepping.ts, what
// traps and watches stop trap-stops.ts and watch-stops.ts, what is loaded meanwhile following.ts. What it leaves out: texts for editors (adapter).

import { Disassembler, type Decoded, type Syntax } from '../i386/disassembly';
import type { TrapLog, TrapRecord } from '../lguest/trap-record';
import { type Pieces, whole } from '../symbols/pieces';
import { type Breakpoint, Breakpoints, type BreakpointSpec } from './breakpoints';
import { Changes } from './changes';
import { Conditions } from './conditions';
import { ConsoleStops } from './console-stops';
import { evaluate, ExpressionError, parse, type Value } from './expression';
import type { FilterMode } from './filters';
import { Following } from './following';
import { FrameEnvironment } from './frame-environment';
import { lastWrite } from './last-writes';
import type { LiveNumbers } from './live';
import { LogNotes } from './log-notes';
import { watchSlots } from './mappings';
import type { MachineQuestions } from './machine-functions';
import { type ModuleInfo, Modules } from './modules';
import { KernelPrinters } from './printers';
import type { Program, Programs } from './programs';
import { recordFilter } from './record-query';
import { Runner, type StepVirq } from './run-loop';
import { type Frame, Stack } from './stack';
import { type Granularity, Stepping } from './stepping';
import { type EndInfo, type StopInfo, type StopReason, stopInfo } from './stops';
import { LINEAR, type Target } from './target';
import { type Task, Tasks } from './tasks';
import { type ExceptionText, TrapStops } from './trap-stops';
import type { TrapSteps, TrapTarget } from './trap-steps';
import { UserPrograms } from './user-programs';
import { formatValue, splitFormat, type ValueContext } from './value';
import { WatchStops } from './watch-stops';
import { type Watch, type WatchWish, Watches } from './watches';

export { STEP_VIRQS, type StepVirq } from './run-loop';
export type { Granularity } from './stepping';
export type { EndInfo, StopInfo, StopReason } from './stops';

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
  readonly traps: TrapStops;
  readonly watchStops: WatchStops;
  /** Stops at what the Guest prints. */
  readonly consoleStops = new ConsoleStops(() => this.target.requestStop());
  /** What `changed()` compares with. */
  readonly changes = new Changes((text) => this.shown(text));
  readonly following: Following;
  readonly runner: Runner;
  readonly stepping: Stepping;
  /** Lines of logpoints that belong into the trap log. */
  readonly logNotes = new LogNotes();
  /** The trap log of the run before a restart. */
  previous: TrapLog | undefined;
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
  /** What a user wants to know of a step that is still under way, in one line. */
  onNotice: (text: string) => void = () => {};
  /** A step whose task has not been on the processor for so long says so, in milliseconds of real time. */
  patienceMs = 1000;
  /** The frame of a watched local has returned: its watch is gone. */
  onExpired: (watch: Watch) => void = () => {};
  /** Something in the machine was changed by the user. */
  onWrite: (address: number, length: number) => void = () => {};
  /** No one can type on the console any more: a Guest that waits without a timer has nothing left to do. */
  inputPossible = true;
  stepVirq: StepVirq = 'hold';
  /** Stacks have the Host's functions behind each boundary. */
  hostFrames = false;
  /** Whether a sleeping Guest waits on the wall clock. */
  realTime = true;
  /** Does work in pieces: whoever asks is answered meanwhile, and may end it early. */
  inPieces: <T>(title: string, pieces: Pieces<T>) => T | Promise<T> = (_, pieces) => whole(pieces);
  /** Four times a second at most while the Guest runs. */
  onLive: (numbers: LiveNumbers) => void = () => {};

  private nextId = 1;
  private cachedStack: Stack | undefined;

  constructor(
    readonly target: Target,
    readonly programs: Programs,
    syntax: Syntax = 'att',
  ) {
    target.processor.recordCalls(true);
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
      lastWrite: (address, length) => lastWrite(target, this.watches, address, length),
      recordTest: (text) => recordFilter(text, programs),
      changed: (text) => this.changes.changed(text),
    };
    this.conditions = new Conditions(target, programs, this.tasks, this.machineQuestions, this.printers);
    watchSlots(target.host);
    this.watchStops = new WatchStops(this);
    this.traps = new TrapStops(this);
    this.breakpoints.onTraps = () => this.traps.install();
    this.following = new Following(this);
    this.runner = new Runner(this);
    this.stepping = new Stepping(this);
    this.disassembler = new Disassembler(syntax);
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
    this.previous = old.target.records;
    this.watches.adopt(old.watches);
    this.consoleStops.adopt(old.consoleStops);
    this.consoleFilters = old.consoleFilters;
    this.setFilters(old.editorFilters);
    this.setWatches(watches);
    for (const { id, spec } of kept) this.breakpoints.add(id, spec, (b) => this.prepare(b));
  }

  prepare(b: Breakpoint): void {
    const { condition, logMessage } = b.spec;
    if (condition !== undefined && condition.trim() !== '') {
      if (b.trap === undefined) b.test = this.conditions.breakpoint(condition, b.places);
      else {
        const test = this.conditions.trap(condition);
        b.test = () => this.recordMet !== undefined && test(this.recordMet);
      }
    }
    if (logMessage !== undefined && logMessage !== '') b.log = this.conditions.message(logMessage);
  }

  /**
   * How values become text in an environment.
   * @param hex whether numbers are wanted in hexadecimal; asked anew for each text, since rows are opened later than they are made.
   * @param whole nothing is shortened, up to 20,000 values.
   */
  valueContext(env: FrameEnvironment, hex: () => boolean = () => false, whole = false): ValueContext {
    const { programs, printers, formats } = this;
    return {
      env,
      names: programs,
      printers,
      get hex() {
        return hex();
      },
      formatOf: (name) => formats.get(name),
      ...(whole ? { whole: { left: 20_000 } } : {}),
    };
  }
  /** Format letters that the user chose for single values, by their expressions. */
  formats = new Map<string, string>();

  /** A breakpoint of the Debug Console, beside those of the client. */
  addBreakpoint(spec: BreakpointSpec): Breakpoint {
    return this.breakpoints.add(this.newId(), { ...spec, console: true }, (b) => this.prepare(b));
  }

  // ---- watches and filters ------------------------------------------------------------------------------------------------------------------

  /** Data breakpoints; each answer has the problem, if there is one. */
  setWatches(given: WatchWish[]): Watch[] {
    return this.watchStops.set(given);
  }
  /** A watch of the Debug Console, beside those of the client. */
  addWatch(wish: WatchWish): Watch {
    return this.watchStops.add(wish);
  }
  dropWatch(w: Watch): void {
    this.watchStops.drop(w);
  }
  watchesChanged(): void {
    this.traps.install();
  }
  /** @returns for each filter the message of what is wrong with it, or undefined. */
  setFilters(wanted: { id: string; condition?: string; mode?: string }[]): (string | undefined)[] {
    this.editorFilters = wanted;
    const kept = wanted.filter((w) => !this.consoleFilters.has(w.id));
    const problems = this.traps.set([...kept, ...this.consoleFilters.values()]);
    return wanted.map((w) => (kept.includes(w) ? problems[kept.indexOf(w)] : undefined));
  }
  private editorFilters: { id: string; condition?: string; mode?: string }[] = [];
  /** Set in the Debug Console; each goes before the editor's of the same name and stays when the editor sends its list. */
  private consoleFilters = new Map<string, { id: string; condition?: string; mode: FilterMode }>();
  /** @throws ExpressionError for a filter or a condition that is none. */
  addFilter(filter: { id: string; condition?: string; mode: FilterMode }): void {
    const before = this.consoleFilters.get(filter.id);
    this.consoleFilters.delete(filter.id);
    this.consoleFilters.set(filter.id, filter);
    const kept = this.editorFilters.filter((w) => !this.consoleFilters.has(w.id));
    const problem = this.traps.set([...kept, ...this.consoleFilters.values()]).at(-1);
    if (problem === undefined) return;
    this.consoleFilters.delete(filter.id);
    if (before !== undefined) this.consoleFilters.set(filter.id, before);
    this.setFilters(this.editorFilters);
    throw new ExpressionError(problem);
  }
  /** @returns whether the console had set it. */
  dropFilter(id: string): boolean {
    const had = this.consoleFilters.delete(id);
    if (had) this.setFilters(this.editorFilters);
    return had;
  }
  /** Every filter that is set, with what it found. */
  get filterCounts(): { id: string; mode: FilterMode; count: number }[] {
    return this.traps.counts;
  }
  filtersChanged(): void {
    this.traps.install();
  }
  /** The record at which a breakpoint at the Host's work is met. */
  private recordMet: TrapRecord | undefined;
  /** Counts such a breakpoint and writes its log. @returns whether it says stop. */
  breakpointMet(b: Breakpoint, record: TrapRecord | undefined): boolean {
    this.recordMet = record;
    return this.runner.met(b);
  }
  get virqEndsStep(): boolean {
    return this.runner.stepping && this.stepVirq === 'stop';
  }
  /** A test of records by an expression, for queries: the same language as the filters' conditions. @throws ExpressionError. */
  recordTest(text: string): (record: TrapRecord) => boolean {
    return this.conditions.trap(text);
  }

  // ---- running and stepping -----------------------------------------------------------------------------------------------------------------

  /** The newest stop; undefined while running or before the first. */
  get stop(): StopInfo | undefined {
    return this.runner.stop;
  }
  /** The machine stands where it is, for this reason. */
  standAt(reason: StopReason, description: string): StopInfo {
    this.runner.stop = stopInfo(reason, description);
    return this.runner.stop;
  }
  get running(): boolean {
    return this.runner.running;
  }
  get ended(): EndInfo | undefined {
    return this.runner.ended;
  }
  starting(): void {
    this.stepping.trapSteps.decision = undefined;
    this.stepping.returned = undefined;
  }
  /** Asks a running machine to stand still. */
  pause(): void {
    this.runner.pause();
  }
  /** Something arrived for a sleeping Guest. */
  nudge(): void {
    this.runner.nudge();
  }
  continue(): void {
    this.runner.continue();
  }
  /** Runs until a function or an address, once. */
  runTo(addresses: number[], reason: StopReason, description: string): void {
    this.runner.runTo(addresses, reason, description);
  }
  /** Whether names may still turn up. */
  get awaitsNames(): boolean {
    return this.following.namesWanted;
  }
  /** As runTo(), for a kernel whose names are not known before it runs. */
  runToNamed(name: string, reason: StopReason, description: string): void {
    this.runner.runToNamed(name, reason, description);
  }
  /** Follows modules and user programs from now on. Called once their files can be found, and when new names are known. */
  follow(): void {
    this.following.follow();
  }
  /** Every file with symbols: the kernel's, its modules, user programs. */
  allPrograms(): readonly Program[] {
    const { programs, userPrograms } = this;
    if (userPrograms.named.length === 0 && userPrograms.opened.size === 0) return programs.list;
    return [
      ...programs.list,
      ...userPrograms.named.map((n) => n.program),
      ...[...userPrograms.opened.values()].filter((p) => p !== undefined),
    ];
  }
  namesChanged(): void {
    this.forget();
    this.traps.plantOops();
  }
  /** @param task one that is not on the processor: runs until it is, first. */
  step(kind: 'in' | 'over' | 'out', granularity: Granularity, task?: Task): void {
    this.stepping.step(kind, granularity, task);
  }
  /** Goes on at another place of the same function, without running anything. @throws Error with one line. */
  goto(address: number): void {
    this.stepping.goto(address);
  }
  /** What the line at hand calls. */
  calls(): { address: number; name: string }[] {
    return this.stepping.calls();
  }
  /** Steps into one of the calls of this line; stops behind the line when it is not made. */
  stepInto(address: number): void {
    this.stepping.stepInto(address);
  }
  /** What can be stepped into at a trap that is decided, or at an instruction that is made to trap. */
  trapTargets(): { id: number; label: string }[] {
    return this.stepping.trapTargets();
  }
  stepIntoTrap(what: TrapTarget): void {
    this.stepping.stepIntoTrap(what);
  }
  get trapSteps(): TrapSteps<StopInfo> {
    return this.stepping.trapSteps;
  }
  /** What the function that was just left has returned. */
  get returned(): { name: string; value: Value } | undefined {
    return this.stepping.returned;
  }

  // ---- looking --------------------------------------------------------------------------------------------------------------------------------

  /** The instruction at an address, or undefined. */
  decode(address: number): Decoded | undefined {
    const { target } = this;
    return this.disassembler.decode(target.read(address, 15), address, target.codeBits, target.segmentBase('cs'));
  }
  textAt(address: number): string | undefined {
    return this.decode(address)?.text;
  }

  /** The chain of frames at this stop. */
  stack(): Stack {
    this.cachedStack ??= new Stack(this.target, this.programs, this.stop?.pending ? this.stop.record : undefined, {
      tasks: this.tasks,
      decision: this.trapSteps.decision,
      hostFrames: this.hostFrames,
    });
    return this.cachedStack;
  }
  /** As stack(), with the Host's functions whatever is chosen. */
  stackWithHost(): Stack {
    const pending = this.stop?.pending ? this.stop.record : undefined;
    return new Stack(this.target, this.programs, pending, { tasks: this.tasks, decision: this.trapSteps.decision, hostFrames: true });
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

  /** An expression's whole value as text; a value that cannot be read as its reason. */
  private shown(text: string): string {
    try {
      const { value, env, format } = this.evaluate(text, undefined, false);
      return formatValue(value, this.valueContext(env, undefined, true), format);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return error.message;
    }
  }

  /** The trap that this stop is about, or the newest. */
  get record(): TrapRecord | undefined {
    return this.stop?.record ?? this.target.current;
  }
  exceptionText(): ExceptionText | undefined {
    return this.traps.exceptionText();
  }
  /** @param k a trap's number, negative from the newest; without: the trap at hand. @throws ExpressionError when it is not kept. */
  why(k?: number): string {
    return this.traps.why(k);
  }
}

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
