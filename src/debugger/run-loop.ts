// The running machine: in slices of a few milliseconds, so that whoever asks is answered between two of them, until something stops it.
//
// Each way in which a slice ends is judged in one place (judge) and becomes a stop with a reason, or going on. Left out: what a trap or a watch says (trap-stops.ts,
// watch-stops.ts), and where steps go (stepping.ts).

import type { Stop } from '../launcher/machine';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import type { ConsoleStop, ConsoleStops } from './console-stops';
import type { Breakpoint, Breakpoints } from './breakpoints';
import type { Conditions } from './conditions';
import type { Following } from './following';
import { FrameGone } from './frame-gone';
import { heldWhileStepping } from './irq-state';
import { Live, type LiveNumbers } from './live';
import type { Programs } from './programs';
import { delivers } from './record-query';
import { type EndInfo, type Outcome, type StopInfo, type StopReason, short, stopInfo } from './stops';
import { hex8, type Target } from './target';
import type { Tasks } from './tasks';
import type { TrapStops } from './trap-stops';
import type { WatchStops } from './watch-stops';
import type { Watches } from './watches';

/** What becomes of a virtual interrupt during a step. hold: it waits until the Guest continues. deliver: its handler is run through. stop: the step ends before it. */
export const STEP_VIRQS = ['hold', 'deliver', 'stop'] as const;
export type StepVirq = (typeof STEP_VIRQS)[number];
/** Guest time after which a long step lets interrupts in again: what it steps over may wait for one. */
const LONGEST_HOLD_NS = 10_000_000;

const SLICE_MS = 8;
const FIRST_SLICE = 200_000;
const ENTRIES = 3_000;
const LONGEST_WAIT_MS = 50;

export const nextTurn: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((done) => setImmediate(done))
    : () =>
        new Promise((done) => {
          const channel = new MessageChannel();
          channel.port1.onmessage = () => done();
          channel.port2.postMessage(0);
        });
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** A place where a run ends, when the test says so. */
export interface Temporary {
  address: number;
  test: () => boolean;
  /** Not where the run is to end, but where it shows that it never will. switch: the task never runs again. passed: a function further out has gone on. */
  gone?: 'switch' | 'passed';
}

/** What a run waits for beside its places. */
export interface Awaited {
  /** The trap whose handler is run through: an IRET from its frame ends the run too, wherever that goes. */
  handler?: TrapRecord | undefined;
  /** Whether the task that is waited for is on the processor. */
  mine?: () => boolean;
  /** Ring of the frame that is waited for. */
  cpl?: number;
}

const goneStop = (gone: FrameGone | undefined): Outcome =>
  gone?.text === undefined
    ? undefined
    : stopInfo('step', 'Paused on step: its frame is gone', { text: `The frame is gone: ${gone.text}.` });

/** What a stop of the machine means. */
export type Verdict = StopInfo | 'ended' | 'go on' | 'temporary';

/** The Switcher's way into the Guest is some dozen instructions. */
const SWITCHER_STEPS = 1000;

/** What this needs of the debugger. */
export interface RunOwner {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
  readonly breakpoints: Breakpoints;
  readonly watches: Watches;
  readonly consoleStops: ConsoleStops;
  readonly conditions: Conditions;
  readonly traps: TrapStops;
  readonly watchStops: WatchStops;
  readonly following: Following;
  inputPossible: boolean;
  realTime: boolean;
  stepVirq: StepVirq;
  onStop: (stop: StopInfo) => void;
  onEnd: (end: EndInfo) => void;
  onLog: (text: string, breakpoint: Breakpoint) => void;
  onNotice: (text: string) => void;
  readonly patienceMs: number;
  onLive: (numbers: LiveNumbers) => void;
  /** The machine is about to run: what belongs to the last stop is over. */
  starting(): void;
  /** Values may have changed. */
  forget(): void;
}

export class Runner {
  /** The newest stop; undefined while running or before the first. */
  stop: StopInfo | undefined;
  running = false;
  ended: EndInfo | undefined;
  /** A step is under way. */
  stepping = false;
  pauseWanted = false;
  /** The instruction that a step is coming back to. */
  resumed: number | undefined;
  /** The trap that the last stop was about, while it is not applied. */
  pending: TrapRecord | undefined;

  private stopWhenNamed = false;
  private wake: (() => void) | undefined;
  private sliceSize = FIRST_SLICE;
  /** When the slice or step under way began. */
  private sliceFrom = 0;
  private temporaries: Temporary[] = [];
  /** Breakpoints that said stop at the newest 'breakpoint' exit, and whether a temporary did. */
  private hit: Breakpoint[] = [];
  private hitTemporary: Temporary | undefined;
  /** The stop at the entry of a function that tells of an oops. */
  private oopsHit: StopInfo | undefined;
  /** Where the run began: a breakpoint there has been seen already. */
  private startRetired = -1;
  /** The machine has never stood anywhere that was told: a breakpoint at its very first instruction counts. */
  private untold = true;
  private startEip = 0;
  private wasIdle = false;
  private readonly live: Live;
  private readonly traps: TrapStops;
  private readonly watchStops: WatchStops;
  private readonly following: Following;

  constructor(private readonly d: RunOwner) {
    this.traps = d.traps;
    this.watchStops = d.watchStops;
    this.following = d.following;
    this.live = new Live(d.target);
    d.target.processor.onBreakpoint = (linear) => this.asked(linear);
    // One REP may last longer than a slice.
    d.target.processor.cpu.onPart = () => {
      if (performance.now() - this.sliceFrom > SLICE_MS) d.target.requestStop();
    };
  }

  /** The processor stands before an instruction with a breakpoint: stop? Asked in its loop, so a false condition must cost little. */
  private asked(linear: number, mayLook = true): boolean {
    const { hooks } = this.following;
    if (hooks.size > 0 && mayLook) {
      hooks.get(linear)?.();
      if (this.following.due) {
        // Asked again once what was loaded is known: it may be what a breakpoint waits for.
        this.hit = [];
        this.hitTemporary = undefined;
        return true;
      }
    }
    if (linear === this.startEip && this.d.target.processor.now() === this.startRetired) return false;
    if (this.hit.length > 0) this.hit = [];
    this.hitTemporary = this.temporaries.length === 0 ? undefined : this.temporaries.find((t) => t.address === linear && t.test());
    if (this.hitTemporary !== undefined && linear === this.resumed) return true;
    this.oopsHit = this.traps.oopsAt(linear);
    for (const { b, when } of this.d.breakpoints.at(linear)) {
      if ((when === undefined || when()) && this.met(b)) this.hit.push(b);
    }
    if (this.watchStops.frameEnds.has(linear)) this.watchStops.expire(linear);
    return this.hit.length > 0 || this.hitTemporary !== undefined || this.oopsHit !== undefined;
  }
  /** A breakpoint is met: counts it and writes its log. @returns whether it says stop. */
  met(b: Breakpoint): boolean {
    if (b.test !== undefined && !b.test()) return false;
    b.hits++;
    this.d.breakpoints.hits++;
    if (b.wantsHit !== undefined && !b.wantsHit(b.hits)) return false;
    const { mode } = b.spec;
    if (mode === 'count') return false;
    if (b.log === undefined && mode !== 'log') return true;
    this.d.onLog(b.log?.() ?? this.cameBy(b), b);
    return false;
  }

  /** The line of a breakpoint that logs and has no text of its own. */
  private cameBy(b: Breakpoint): string {
    const { target, programs } = this.d;
    const task = this.d.tasks.ready ? this.d.tasks.current() : undefined;
    const whose = task === undefined ? '' : `, pid ${task.pid} ${task.comm}`;
    return `breakpoint ${b.id}, hit ${b.hits}: ${programs.nameOf(target.pc) ?? hex8(target.pc)} (${formatPosition(target.position)}${whose})`;
  }

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
    this.start(async () => (await this.runUntil([])) ?? stopInfo('pause', 'Paused'));
  }

  /** Runs until a function or an address, once. */
  runTo(addresses: number[], reason: StopReason, description: string): void {
    this.start(async () => {
      const outcome = await this.runUntil(addresses.map((address) => ({ address, test: () => true })));
      return outcome ?? stopInfo(reason, description);
    });
  }

  /** As runTo(), for a kernel whose names are not known before it runs. */
  runToNamed(name: string, reason: StopReason, description: string): void {
    this.start(async () => {
      this.stopWhenNamed = true;
      const early = await this.runUntil([]);
      this.stopWhenNamed = false;
      if (early !== undefined) return early;
      const places = this.d.programs.functionsNamed(name).flatMap((f) => this.d.programs.addresses(f.program, f.postPrologue));
      if (places.length === 0) return stopInfo('entry', `No function "${name}" is known`);
      const outcome = await this.runUntil(places.map((address) => ({ address, test: () => true })));
      return outcome ?? stopInfo(reason, description);
    });
  }

  private setStepping(on: boolean): void {
    const before = this.stepping;
    this.stepping = on;
    if (before !== on && this.d.stepVirq === 'stop') this.traps.install();
  }
  /** What a step says of the interrupts that it holds. */
  private heldText(): string {
    const held = heldWhileStepping(this.d.target.host);
    return held.length === 0 ? '' : `; irq ${held.join(', ')} held until the Guest continues`;
  }
  /**
   * Sets the machine running.
   * @param stepping a step: interrupts come as the setting for steps says.
   * @param looking into the Host's work: what is held is left as it is, so that the run is the same as without.
   */
  start(work: () => Promise<StopInfo | 'ended'>, stepping = false, looking = false): void {
    if (this.running) throw new Error('the Guest is running already');
    this.running = true;
    this.setStepping(stepping);
    const hold = stepping && this.d.stepVirq === 'hold';
    if (!looking && (hold || this.d.target.host?.holdsVirqs)) this.d.target.inputs?.holdVirqs(hold ? LONGEST_HOLD_NS : 0);
    this.pending = this.stop?.pending ? this.stop.record : undefined;
    if (this.stop !== undefined) this.untold = false;
    this.stop = undefined;
    this.live.start();
    this.d.starting();
    this.d.forget();
    this.pauseWanted = false;
    this.wasIdle = false;
    const from = this.d.target.processor.retired;
    const standing = (): void => {
      this.running = false;
      this.setStepping(false);
      this.traps.flush();
      this.d.forget();
    };
    const run = async (): Promise<StopInfo | 'ended'> => {
      const outcome = await work();
      if (outcome !== 'ended') await this.following.loaded();
      return outcome;
    };
    void run().then(
      (ran) => {
        standing();
        if (ran === 'ended') return;
        const outcome = ran.reason === 'step' && this.d.target.processor.retired !== from ? this.meet(ran) : ran;
        if (outcome.reason === 'step') outcome.description = short(`${outcome.description}${this.heldText()}`);
        this.stop = outcome;
        this.d.onStop(outcome);
      },
      (error: Error) => {
        standing();
        this.stop = stopInfo('exception', 'Emulator fault', { text: error.stack ?? error.message, filter: 'emulator' });
        this.d.onStop(this.stop);
      },
    );
  }

  /** Breakpoints of this place have had their turn since the last instruction. */
  private counted = -1;
  /** A step has ended at a place with breakpoints: they count and log as if the Guest had come by, and the stop names them. */
  private meet(outcome: StopInfo): StopInfo {
    const { pc, processor } = this.d.target;
    if (outcome.pending || pc === this.counted || !processor.hasBreakpoint(pc) || !this.asked(pc, false)) return outcome;
    const stop = this.atBreakpoint();
    return typeof stop === 'string' ? outcome : stop;
  }

  noteStart(): void {
    this.counted = -1;
    this.startRetired = this.untold ? -1 : this.d.target.processor.retired;
    this.untold = false;
    this.startEip = this.d.target.pc;
  }

  /**
   * Runs until one of the places is met (undefined), or something else stops it.
   */
  async runUntil(wanted: Temporary[], { handler, mine, cpl }: Awaited = {}): Promise<Outcome> {
    const gone = mine === undefined || cpl === undefined ? undefined : new FrameGone(this.d, mine, cpl);
    const switched = gone?.switchPlace;
    const places = switched === undefined ? wanted : [...wanted, { ...switched, gone: 'switch' as const }];
    this.temporaries = places;
    const endWatch = this.watchReturn(handler, gone, () => wanted.some((t) => t.address === this.d.target.pc && t.test()));
    this.d.watches.arm();
    this.d.breakpoints.refresh();
    for (const { address } of places) this.d.target.processor.addBreakpoint(address);
    this.noteStart();
    const begun = performance.now();
    let turned = begun;
    let told = mine === undefined || !this.d.tasks.ready;
    try {
      for (;;) {
        if (this.pauseWanted) return this.paused();
        const from = performance.now();
        this.sliceFrom = from;
        const before = this.d.target.processor.retired;
        const due = this.d.breakpoints.due(before) - before;
        const stop = this.d.watches.needsSteps
          ? this.stepSlice()
          : this.d.target.run({
              instructions: Math.min(this.sliceSize, due),
              entries: this.following.namesWanted ? 1 : ENTRIES,
              idle: 'stop',
            });
        const spent = performance.now() - from;
        if (this.d.target.processor.retired === before + due && this.atCount(before + due)) return this.atBreakpoint() as StopInfo;
        let verdict = await this.judge(stop);
        if (verdict === 'go on' && this.following.due) verdict = await this.looked();
        if (verdict === 'temporary') {
          const how = this.hitTemporary?.gone;
          if (how !== undefined && gone !== undefined) return this.wentAway(gone, how);
          this.counted = this.d.target.pc;
          return undefined;
        }
        if (verdict !== 'go on') return verdict;
        const printed = this.d.consoleStops.take();
        if (printed !== undefined) return this.atConsole(printed);
        if (!told && performance.now() - begun >= this.d.patienceMs && mine?.() === false) {
          const other = this.d.tasks.current();
          told = other !== undefined;
          if (other !== undefined)
            this.d.onNotice(`Step gave way to pid ${other.pid} (${other.comm}): it ends when its own task runs again.`);
        }
        if (this.cameBack) return this.landed() ?? goneStop(gone);
        if (this.following.namesWanted && (this.d.target.host?.lg.ld ?? -1) >= 0) {
          await this.following.lookForNames();
          if (this.stopWhenNamed) return undefined;
        }
        if (stop.kind === 'budget' || stop.kind === 'slice') this.adapt(spent, this.d.target.processor.retired - before);
        const numbers = this.live.tick();
        if (numbers !== undefined) this.d.onLive(numbers);
        // Whoever asks is answered in time, but a watch that is met again and again does not wait each time.
        if (performance.now() - turned > SLICE_MS / 2) {
          await nextTurn();
          turned = performance.now();
        }
      }
    } finally {
      for (const { address } of places) this.d.target.processor.removeBreakpoint(address);
      this.temporaries = [];
      endWatch();
    }
  }
  private atConsole({ stop, line }: { stop: ConsoleStop; line: string }): StopInfo {
    // The Launcher prints while the Host works: the Guest is to stand behind what it wrote with, not in the Switcher.
    const { target } = this.d;
    for (let n = 0; n < SWITCHER_STEPS && target.host?.inSwitcher; n++) target.stepHost?.();
    return stopInfo('breakpoint', `Console: ${line.trim()}`, { text: `printed ${stop.text}: ${line}`, hitBreakpoints: [stop.id] });
  }
  /** The frame that is waited for will not come back. */
  private async wentAway(gone: FrameGone, how: 'switch' | 'passed'): Promise<Outcome> {
    if (how === 'passed') {
      this.counted = this.d.target.pc;
      gone.passed();
      return goneStop(gone);
    }
    this.temporaries = [];
    let early: Outcome;
    await gone.follow(async () => (early = await this.oneStep()) === undefined);
    return early ?? goneStop(gone);
  }
  /** Takes over what the kernel has loaded, and asks the place again at which it said so. */
  private async looked(): Promise<Verdict> {
    await this.following.loaded();
    const { pc, processor } = this.d.target;
    return processor.hasBreakpoint(pc) && this.asked(pc, false) ? this.atBreakpoint() : 'go on';
  }
  /** An IRET took the frame of the awaited handler away. */
  private cameBack = false;
  /**
   * Asks the processor to stop behind the IRET from this trap's frame, and behind one that shows that the frame waited for is gone. Other tasks' frames lie elsewhere.
   * @param atPlace whether it ends where the run is to end anyway.
   */
  private watchReturn(handler: TrapRecord | undefined, gone: FrameGone | undefined, atPlace: () => boolean): () => void {
    this.cameBack = false;
    const { target } = this.d;
    const { cpu } = target.processor;
    if (handler?.frame === undefined && gone === undefined) return () => {};
    const frame = handler?.frame;
    const popped = frame === undefined ? undefined : (frame.at + (frame.words.some((w) => w.name === 'error') ? 4 : 0)) | 0;
    /** Whether it was the awaited handler's own frame: one that replaced it is another record's. */
    const ended = (k: number): boolean =>
      target.host === undefined || target.records.get(k)?.instructions !== undefined || k < target.records.first;
    const others = cpu.onReturn;
    cpu.onReturn = (esp, cpl) => {
      others?.(esp, cpl);
      const handlers = handler !== undefined && (esp | 0) === popped;
      if (handlers && !ended(handler.k)) return;
      const left = gone?.returned(cpl, atPlace) ?? false;
      if (!handlers && !left) return;
      this.cameBack = true;
      target.requestStop();
    };
    return () => {
      cpu.onReturn = others;
      this.cameBack = false;
    };
  }
  /** Where a handler has come back to: a breakpoint there counts, unless the step began there. */
  private landed(): Outcome {
    const { pc, processor } = this.d.target;
    this.counted = pc;
    if (pc === this.resumed || !processor.hasBreakpoint(pc) || !this.asked(pc, false)) return undefined;
    const stop = this.atBreakpoint();
    return typeof stop === 'string' ? undefined : stop;
  }
  /** Breakpoints at a number of instructions: those that count become the hit. */
  private atCount(retired: number): boolean {
    this.hitTemporary = undefined;
    this.hit = this.d.breakpoints.countsAt(retired).filter((b) => this.met(b));
    return this.hit.length > 0;
  }
  /** Instruction by instruction for a while, because registers are watched. */
  private stepSlice(): Stop {
    const { target, watches } = this.d;
    const until = performance.now() + SLICE_MS;
    const due = this.d.breakpoints.due(target.processor.retired);
    for (let n = 1; ; n++) {
      const { pc } = target;
      if (target.processor.hasBreakpoint(pc) && this.asked(pc)) return { kind: 'breakpoint', address: pc };
      this.sliceFrom = performance.now();
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

  paused(): StopInfo {
    this.pauseWanted = false;
    return stopInfo('pause', this.wasIdle ? 'Paused while the Guest sleeps' : 'Paused');
  }

  /** What a stop of the machine means. */
  async judge(stop: Stop): Promise<Verdict> {
    // What the Host did on the way here may be watched too.
    const { kind } = stop;
    const first = kind === 'idle' || kind === 'power-off' || ((kind === 'panic' || kind === 'killed') && !this.traps.isOn(kind));
    const early = first ? this.watchStops.stop() : undefined;
    if (early !== undefined) return early;
    const verdict = await this.judgeStop(stop);
    if (typeof verdict === 'string' || kind === 'world-switch' || this.d.watches.hits.length === 0) return verdict;
    const watched = this.watchStops.stop();
    if (watched === undefined) return verdict;
    const text = [verdict.text ?? verdict.description, watched.text].join('; ');
    return { ...verdict, text, hitBreakpoints: [...verdict.hitBreakpoints, ...watched.hitBreakpoints] };
  }
  private async judgeStop(stop: Stop): Promise<Verdict> {
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
        return this.traps.goesToHandler ? this.atHandler(this.traps.atTrap(stop.record)) : this.traps.atTrap(stop.record);
      case 'world-switch': {
        const watched = this.watchStops.switchStop;
        this.watchStops.switchStop = undefined;
        if (watched !== undefined) return watched;
        return stopInfo('exception', stop.direction === 'enter' ? 'Before an entry into the Guest' : 'After an exit from the Guest', {
          filter: 'worldSwitch',
          record: this.d.target.current,
        });
      }
      case 'idle':
        return this.idle(stop.wakeNs);
      case 'power-off':
        return this.finish({ exitCode: this.d.target.endStatus ?? 0, message: stop.message });
      case 'panic':
        return this.traps.isOn('panic')
          ? this.traps.dead('panic', stop.message, stop.record)
          : this.finish({ exitCode: 2, message: stop.message });
      case 'killed':
        return this.traps.isOn('killed')
          ? this.traps.dead('killed', stop.message, stop.record)
          : this.finish({ exitCode: 1, message: stop.message });
      case 'emulator':
        return stopInfo('exception', 'Emulator fault', { filter: 'emulator', text: stop.message });
    }
  }

  /** Something watched is or was touched. */
  private async watched(): Promise<Verdict> {
    const { watches, target } = this.d;
    if (watches.stoppedBefore) {
      const once = (): Stop => watches.note(() => target.step({ entries: ENTRIES, idle: 'stop' }));
      let stop = once();
      // The step may have ended in something else, such as a fault that the Host fills first; a Guest in a storm gets nowhere.
      while (stop.kind === 'slice') {
        await nextTurn();
        if (this.pauseWanted) return this.paused();
        stop = once();
      }
      const found = this.watchStops.stop();
      if (found !== undefined) return found;
      return stop.kind === 'budget' || stop.kind === 'stop' ? 'go on' : this.judge(stop);
    }
    watches.compareTouched();
    return this.watchStops.stop() ?? 'go on';
  }
  private async idle(wakeNs: number | undefined): Promise<StopInfo | 'go on'> {
    if (wakeNs === undefined && !this.d.inputPossible)
      return stopInfo('pause', 'Nothing left to do: the Guest sleeps, no timer is set and no input can come');
    if (wakeNs !== undefined && (!this.d.realTime || wakeNs < 200_000)) {
      this.d.target.skipIdle();
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
    if (wakeNs !== undefined && !nudged) this.d.target.skipIdle();
    return 'go on';
  }

  private finish(end: EndInfo): 'ended' {
    this.ended = end;
    this.d.onEnd(end);
    return 'ended';
  }

  private atBreakpoint(): StopInfo | 'temporary' | 'go on' {
    const oops = this.oopsHit;
    this.oopsHit = undefined;
    for (const b of this.hit) if (b.spec.once) this.d.breakpoints.remove(b);
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
    const { problem } = this.d.conditions;
    this.d.conditions.problem = undefined;
    return stopInfo(reason, words[reason as keyof typeof words], {
      hitBreakpoints: this.hit.map((b) => b.id),
      ...(problem === undefined ? {} : { text: problem }),
    });
  }
  /** The second chance: the decided trap is applied, and the stop is at the first instruction of the Guest's handler. Without a handler it stays where it is. */
  private async atHandler(before: StopInfo): Promise<StopInfo | 'ended'> {
    const { record } = before;
    if (record?.handler === undefined || !delivers(record)) return before;
    const outcome = await this.oneStep();
    if (outcome !== undefined) return outcome;
    const name = this.d.programs.nameOf(record.handler) ?? hex8(record.handler);
    return {
      ...before,
      pending: false,
      description: short(`${before.description}: at its handler`),
      text: `${before.text ?? ''} At its handler ${name}.`.trim(),
    };
  }

  /** One machine step. undefined: done. */
  async oneStep(): Promise<Outcome> {
    this.noteStart();
    this.d.watches.arm();
    let first = true;
    for (;;) {
      this.sliceFrom = performance.now();
      const stop = this.d.watches.note(() => this.d.target.step({ entries: ENTRIES, idle: 'stop' }));
      const touched = this.d.watches.hits.length > 0 ? this.watchStops.stop() : undefined;
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
}
