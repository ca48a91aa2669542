// Steps: by instruction, by line, over, in and out, into the calls of a line, into and through traps, and going elsewhere without running.
//
// A step is made of machine steps and of runs to a place with the stack where it was, in the same task. What runs and what stops it meanwhile is run-loop.ts; the Host's
// decisions and the Switcher are trap-steps.ts.

import type { Decoded } from '../i386/disassembly';
import { LGUEST_TRAP_ENTRY, LHCALL } from '../lguest/abi';
import type { TrapRecord } from '../lguest/trap-record';
import { stripType, type Type } from '../symbols/dwarf/types';
import { ExpressionError, fit, load, type Value } from './expression';
import { JumpsBack } from './jumps-back';
import type { Programs } from './programs';
import { delivers, handlerAtWork } from './record-query';
import { nextTurn, type Runner, type Temporary } from './run-loop';
import { type Method, Stack } from './stack';
import { type Outcome, type StopInfo, stopInfo } from './stops';
import { hex8, type Target } from './target';
import type { Task, Tasks } from './tasks';
import { TRAP_TARGET, TrapSteps, type TrapTarget } from './trap-steps';

export type Granularity = 'instruction' | 'line';

/** What this needs of the debugger. */
export interface StepOwner {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
  readonly runner: Runner;
  decode(address: number): Decoded | undefined;
  onStop: (stop: StopInfo) => void;
  /** Values may have changed. */
  forget(): void;
  /** Tells the Host again which records to show. */
  filtersChanged(): void;
}

export class Stepping {
  readonly trapSteps: TrapSteps<StopInfo>;
  /** What the function that was just left has returned. */
  returned: { name: string; value: Value } | undefined;
  private readonly run: Runner;
  private readonly jumpsBack: JumpsBack;

  constructor(private readonly d: StepOwner) {
    this.jumpsBack = new JumpsBack(d.programs, (at) => d.decode(at));
    this.run = d.runner;
    this.trapSteps = new TrapSteps({
      target: d.target,
      oneStep: () => this.run.oneStep(),
      judge: (stop) => this.run.judge(stop),
      stopAt: (description, record) => stopInfo('step', description, record === undefined ? {} : { record, pending: true }),
      restoreFilters: () => d.filtersChanged(),
    });
  }

  /** @param looking into the Host's work: what is held is left as it is. */
  private start(work: () => Promise<StopInfo | 'ended'>, looking = false): void {
    this.run.start(work, true, looking);
  }

  /** @param task one that is not on the processor: runs until it is, first. */
  step(kind: 'in' | 'over' | 'out', granularity: Granularity, task?: Task): void {
    const { trapSteps } = this;
    const { target } = this.d;
    if (trapSteps.decision !== undefined) {
      this.stepDecision(kind);
      return;
    }
    const away = task === undefined || task.current ? undefined : this.whenCurrent(task);
    this.start(async () => {
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
      return outcome ?? stopInfo('step', whose);
    });
  }
  /** Runs to where a task left the processor. */
  private whenCurrent(task: Task): () => Promise<Outcome> {
    const pc = this.d.tasks.saved(task)?.registers[8];
    if (pc === undefined) throw new ExpressionError(`it is not known where task ${task.pid} goes on`);
    return () =>
      this.run.runUntil([
        {
          address: pc,
          test: () =>
            this.d.tasks.currentAddress() === task.address || this.d.tasks.onStack(this.d.target.register('esp')) === task.address,
        },
      ]);
  }

  /** Goes on at another place of the same function, without running anything. @throws Error with one line. */
  goto(address: number): void {
    const { target, programs } = this.d;
    const here = programs.functionAt(target.pc);
    const there = programs.functionAt(address);
    if (this.run.stop?.pending) throw new ExpressionError('a trap is about to be delivered here; step once before going elsewhere');
    if (here === undefined || there === undefined || here.entry !== there.entry)
      throw new ExpressionError('only places in the function at hand can be gone to: another has another stack');
    target.setRegister('eip', address);
    this.d.forget();
    this.run.stop = stopInfo('goto', 'Moved here');
  }

  /** What the line at hand calls. */
  calls(): { address: number; name: string }[] {
    const { target, programs } = this.d;
    const range = programs.lineRange(target.pc);
    const found = new Map<number, string>();
    for (let at = target.pc; found.size < 20; ) {
      const decoded = this.d.decode(at);
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
    const { target, programs } = this.d;
    const { stop } = this.run;
    if (target.host === undefined) return [];
    const decoded = this.d.decode(target.pc);
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
    const pending = this.run.stop?.pending ? this.run.stop.record : undefined;
    this.start(async () => {
      if (what === 'handler') return (await this.stepInstruction('in')) ?? stopInfo('step', 'Paused on step');
      return what === 'switcher' ? this.trapSteps.switcher() : this.trapSteps.toDecisions(pending);
    }, what !== 'handler');
  }
  /** Among the Host's decisions: to the next one, or on to what they lead to. Nothing runs in between. */
  private stepDecision(kind: 'in' | 'over' | 'out'): void {
    const next = kind === 'out' ? undefined : this.trapSteps.next();
    if (next === undefined) {
      this.trapSteps.decision = undefined;
      this.start(async () => (await this.run.oneStep()) ?? stopInfo('step', 'Paused on step: the decision is applied'));
      return;
    }
    this.run.stop = next;
    this.d.forget();
    this.d.onStop(next);
  }

  /** Steps into one of the calls of this line; stops behind the line when it is not made. */
  stepInto(address: number): void {
    this.start(async () => {
      const { target, programs } = this.d;
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
      return (await this.run.runUntil(places)) ?? stopInfo('step', 'Paused on step');
    });
  }

  /** The newest transfer to the Guest since record `k`: what a step may have run into. */
  private deliveredSince(k: number): TrapRecord | undefined {
    const { records } = this.d.target;
    for (let i = records.count - 1; i >= Math.max(k, records.first); i--) {
      const r = records.get(i);
      if (r !== undefined && delivers(r)) return r;
    }
    return undefined;
  }

  /** Runs until control is back at one of the addresses with the stack where it was, in the same task: others may come by there meanwhile. */
  private back(addresses: readonly number[], esp: number, handler?: TrapRecord, cpl = this.d.target.register('cs') & 3): Promise<Outcome> {
    const mine = this.sameTask();
    const test = (): boolean => {
      const now = this.d.target.register('esp');
      return now >= esp && now - esp < 0x200 && mine();
    };
    const places: Temporary[] = addresses.map((address) => ({ address, test }));
    return this.run.runUntil([...places, ...this.furtherOut(esp, mine)], { handler, mine, cpl });
  }
  /**
   * Where the callers further out go on: met with the stack above the frame that is waited for, they show that it was left for good. And where a longjmp goes on, in
   * those or in the function that is waited for.
   */
  private furtherOut(above: number, mine: () => boolean): Temporary[] {
    const { target, programs, tasks } = this.d;
    const stack = new Stack(target, programs, undefined, { tasks });
    stack.need(FURTHER_OUT);
    const places: Temporary[] = [];
    const setjmps = this.jumpsBack.targets;
    for (const f of stack.frames) {
      const esp = f.registers[4];
      if (f.kind !== 'code' || esp === undefined || esp < above || !(EXACT.has(f.method) || f === stack.frames[0])) continue;
      const further = esp > above;
      const jumped = (): boolean => target.register('eax') !== 0 && Math.abs(target.register('esp') - esp) < 0x200 && mine();
      for (const address of this.jumpsBack.in(f.pc, setjmps))
        places.push({ address, test: jumped, ...(further ? { gone: 'passed' as const } : {}) });
      if (!f.afterCall || !further) continue;
      const test = (): boolean => {
        const now = target.register('esp');
        return now >= esp && now - esp < 0x200 && mine();
      };
      places.push({ address: f.pc, test, gone: 'passed' });
    }
    return places;
  }
  /** A test for the task that runs now: by task_struct, and by page directory for kernels without debug information. */
  private sameTask(): () => boolean {
    const { tasks, target } = this.d;
    const lg = target.host?.lg;
    if (tasks.ready) {
      const mine = tasks.currentAddress();
      return () => tasks.currentAddress() === mine;
    }
    const directory = lg?.pgdirs[lg.pgdidx].gpgdir;
    return () => lg?.pgdirs[lg.pgdidx].gpgdir === directory || (target.register('cs') & 3) !== 3;
  }

  /** Whether the Guest has gone to sleep since record `k`. */
  private sleptSince(k: number): boolean {
    const { records } = this.d.target;
    for (let i = records.count - 1; i >= Math.max(k, records.first); i--)
      if (records.get(i)?.hypercall?.number === LHCALL.HALT) return true;
    return false;
  }

  /**
   * into: stop at the first instruction of a call or a handler. over: what it calls, and what interrupts it, is run through.
   * @param enters over: handlers that are stopped at all the same.
   */
  private async stepInstruction(kind: 'in' | 'over', enters?: (trap: TrapRecord) => boolean): Promise<Outcome> {
    const { target } = this.d;
    const eip = target.pc;
    const esp = target.register('esp');
    // A step into hardly ever needs to know what the instruction is, and many come one after another.
    const decoded = kind === 'over' ? this.d.decode(eip) : undefined;
    if (kind === 'over' && decoded !== undefined && this.run.pending === undefined) {
      if (decoded.flow === 'call' || decoded.rep) return this.back([(eip + decoded.length) >>> 0], esp);
    }
    const k = target.records.count;
    const pendingVirq = this.run.pending?.kind === 'virq';
    const { pending } = this.run;
    const outcome = await this.run.oneStep();
    this.run.pending = undefined;
    if (outcome !== undefined) return outcome;
    const delivered = this.deliveredSince(k) ?? (pending !== undefined && target.pc === pending.handler ? pending : undefined);
    if (delivered === undefined || target.pc !== delivered.handler) {
      // Nothing is recorded: what is known of an INT is where it returns to by itself.
      const next = decoded?.flow === 'int' && decoded.vector !== 31 ? (eip + decoded.length) >>> 0 : target.pc;
      return kind === 'over' && delivered === undefined && target.pc !== next ? this.back([next], esp) : undefined;
    }
    // A virtual interrupt is not what the user steps into, unless the stop was about it or the Guest slept until it came.
    const wanted = delivered.kind !== 'virq' || pendingVirq || this.sleptSince(k);
    if (wanted && (kind === 'in' || enters?.(delivered))) return undefined;
    // Back at an instruction that faulted: it was stopped at before the step, so a breakpoint there is not met anew.
    this.run.resumed = delivered.eip === eip ? eip : undefined;
    // A handler may do an instruction's work, pass it over, or send the program to code that deals with the fault: the IRET from its frame tells. Should it leave by
    // another way, it is met where it was to go on. An interrupt goes on where it cut in, even if a signal handler comes first.
    const length = delivered.eip === eip ? (decoded ?? this.d.decode(eip))?.length : undefined;
    const behind = length === undefined ? [] : [(eip + length) >>> 0];
    const handler = delivered.kind === 'virq' ? undefined : delivered;
    const returned = await this.back([delivered.eip, ...behind], delivered.esp, handler, delivered.cpl);
    this.run.resumed = undefined;
    if (returned !== undefined) return returned;
    const again = target.pc === eip && target.register('esp') === esp;
    return again ? this.stepInstruction(kind, enters) : undefined;
  }

  private async stepLine(kind: 'in' | 'over'): Promise<Outcome> {
    const { target, programs } = this.d;
    const pc = target.pc;
    const range = programs.lineRange(pc);
    const line = programs.lineAt(pc);
    if (range === undefined || line === undefined) return this.stepInstruction(kind);
    const startFunction = programs.functionAt(pc)?.entry;
    const startEsp = target.register('esp');
    for (let n = 0; ; n++) {
      const eip = target.pc;
      const decoded = this.d.decode(eip);
      const isCall = decoded?.flow === 'call';
      let trapped = false;
      const enters = (trap: TrapRecord): boolean => {
        trapped = trap.handler !== undefined && programs.lineAt(trap.handler) !== undefined;
        return trapped;
      };
      const outcome = await this.stepInstruction(
        isCall && kind === 'in' ? 'in' : kind === 'in' && this.run.pending !== undefined ? 'in' : 'over',
        kind === 'in' ? enters : undefined,
      );
      if (outcome !== undefined || trapped) return outcome;
      if (n % 200 === 199) {
        await nextTurn();
        if (this.run.pauseWanted) return this.run.paused();
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
    const { target, programs } = this.d;
    const f = programs.functionAt(pc);
    if (f === undefined || programs.lineAt(pc) === undefined) return this.back([returnTo], target.register('esp') + 4);
    const after = (f.postPrologue + f.bias) >>> 0;
    if (after !== pc && f.postPrologue > f.entry) {
      const outcome = await this.run.runUntil([{ address: after, test: () => true }]);
      if (outcome !== undefined) return outcome;
    }
    return 'stop';
  }

  private async stepOut(): Promise<Outcome> {
    const { target, programs } = this.d;
    const stack = new Stack(target, programs);
    stack.need(4);
    const frames = stack.frames.filter((f) => f.kind === 'code');
    const caller = frames.find((f) => f.registers !== frames[0]?.registers);
    const esp = caller?.registers[4];
    if (caller === undefined || esp === undefined) return stopInfo('step', 'Not moved: the caller of this function is not known');
    const left = caller.method === 'trap record' || caller.method === 'trap frame' ? undefined : programs.functionAt(target.pc);
    const outcome = await this.back(
      [caller.pc],
      esp,
      left === undefined ? handlerAtWork(target.records, target.register('esp')) : undefined,
      caller.cpl,
    );
    if (outcome === undefined && left !== undefined && target.pc === caller.pc) this.returned = this.returnValue(left.name, left.type);
    return outcome;
  }

  /** By the i386 C calling convention: in eax, edx:eax, or at eax for structures. */
  private returnValue(name: string, type: Type | undefined): { name: string; value: Value } | undefined {
    const t = type === undefined ? undefined : stripType(type);
    if (t?.kind !== 'function') return undefined;
    const returns = stripType(t.returns);
    const eax = this.d.target.register('eax') >>> 0;
    if (returns.kind === 'void' || returns.kind === 'function' || returns.kind === 'array') return undefined;
    if (returns.kind === 'base' && (returns.encoding === 'float' || returns.encoding === 'complex')) return undefined;
    if (returns.kind === 'struct' || returns.kind === 'union' || returns.kind === 'class')
      return { name, value: load({ read: (at, n) => this.whole(at, n) }, t.returns, eax) };
    const bits = returns.size > 4 ? (BigInt(this.d.target.register('edx') >>> 0) << 32n) | BigInt(eax) : BigInt(eax);
    return { name, value: { type: t.returns, bits: fit(bits, t.returns) } };
  }
  private whole(address: number, size: number): Uint8Array | undefined {
    const bytes = this.d.target.read(address, size);
    return bytes.length === size ? bytes : undefined;
  }
}

/** Frames looked at for those that must not go on before the one that is waited for, and how they must have been found. */
const FURTHER_OUT = 12;
const EXACT: ReadonlySet<Method> = new Set(['shadow stack', 'call frame information']);

const isLineStart = (now: number, range: { low: number }, from: number): boolean => now === range.low && from !== now;
