// Data watches and the stops they make: what was touched, by whom, from what to what; what only logs or counts.
//
// Where a watch is and when it is touched is watches.ts; which watches there are, their conditions and the end of watched locals are here.

import { formatPosition } from '../lguest/trap-record';
import type { TrapFilter } from '../lguest/host';
import { hitCondition } from './breakpoints';
import type { Conditions } from './conditions';
import { ExpressionError } from './expression';
import { mnemonic } from './explain';
import type { Programs } from './programs';
import { handlerAtWork } from './record-query';
import { type StopInfo, stopInfo } from './stops';
import { hex8, type Target } from './target';
import type { Tasks } from './tasks';
import { numberOf, numberText, probedText, type Watch, type WatchHit, type WatchWish, type Watches } from './watches';

/** What this needs of the debugger. */
export interface WatchOwner {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
  readonly watches: Watches;
  readonly conditions: Conditions;
  newId(): number;
  textAt(address: number): string | undefined;
  /** The frame of a watched local has returned: its watch is gone. */
  onExpired: (watch: Watch) => void;
  /** Which watches there are decides what the Host must show. */
  watchesChanged(): void;
}

export class WatchStops {
  /** A stop found at a world switch. */
  switchStop: StopInfo | undefined;
  /** Where functions return to whose locals are watched. */
  frameEnds = new Set<number>();

  constructor(private readonly d: WatchOwner) {}

  /** Data breakpoints of the client, beside those of the Debug Console; each answer has the problem, if there is one. */
  set(given: WatchWish[]): Watch[] {
    const { watches, conditions } = this.d;
    const mine = watches.all.map((w) => w.wish).filter((w) => w.console === true && !given.includes(w));
    // Each number is given once: the client's list and the Debug Console may watch the same.
    const key = (w: WatchWish): string => `${w.console === true} ${w.access} ${w.dataId}`;
    const before = new Map<string, Watch[]>();
    for (const w of watches.all) before.set(key(w.wish), [...(before.get(key(w.wish)) ?? []), w]);
    const made = [...mine, ...given].map((wish) => {
      const same = before.get(key(wish))?.shift();
      const watch = watches.make(same?.id ?? this.d.newId(), wish);
      watch.hits = same?.hits ?? 0;
      watch.since = same?.since ?? watch.since;
      try {
        const condition = wish.condition?.replace(/\|\s*(log|count)\s*$/, '').trim() ?? '';
        if (condition !== '') watch.test = conditions.watch(condition);
        if (wish.hitCondition !== undefined && wish.hitCondition.trim() !== '') watch.wantsHit = hitCondition(wish.hitCondition);
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        watch.problem = error.message;
      }
      return watch;
    });
    watches.set(made);
    this.plantEnds();
    this.d.watchesChanged();
    return made.slice(mine.length);
  }

  /** A watch of the Debug Console, beside those of the client. */
  add(wish: WatchWish): Watch {
    const [made] = this.set([...this.d.watches.all.map((w) => w.wish), wish]).slice(-1);
    return made;
  }
  drop(w: Watch): void {
    this.d.watches.remove(w);
    this.plantEnds();
  }
  private plantEnds(): void {
    const { processor } = this.d.target;
    for (const pc of this.frameEnds) processor.removeBreakpoint(pc);
    this.frameEnds = new Set(this.d.watches.all.flatMap((w) => (w.subject?.until === undefined ? [] : [w.subject.until.pc])));
    for (const pc of this.frameEnds) processor.addBreakpoint(pc);
  }

  expire(pc: number): void {
    for (const w of this.d.watches.expired(pc, this.d.target.register('esp'))) {
      this.drop(w);
      this.d.onExpired(w);
    }
  }

  /** Fields of the Host are compared before every entry into the Guest. */
  withSwitches(filter: TrapFilter | undefined): TrapFilter {
    const asked = filter?.worldSwitch;
    return {
      ...(filter ?? { vectors: new Uint8Array(257), ring: false, virqDelivered: false, virqHeld: false, test: () => false }),
      worldSwitch: (direction) => {
        if (direction === 'enter') {
          this.d.watches.compareSwitches();
          if (this.d.watches.hits.length > 0) this.switchStop = this.stop();
          if (this.switchStop !== undefined) return true;
        }
        return asked?.(direction) ?? false;
      },
    };
  }
  /** Condition and hit count of a watch that was touched. */
  counts(w: Watch): boolean {
    if (w.test !== undefined && !w.test()) return false;
    w.hits++;
    this.d.watches.counted++;
    return w.wantsHit === undefined || w.wantsHit(w.hits);
  }

  /** The stop for what was touched since the last time, unless conditions say that it is none. */
  stop(): StopInfo | undefined {
    const { watches, target, conditions } = this.d;
    const found: { hit: WatchHit; after: Uint8Array }[] = [];
    const { hits } = watches;
    watches.hits = [];
    for (const hit of hits) {
      const after = watches.after(hit);
      const { watch } = hit;
      if (watch.subject?.memory?.changedOnly && hit.before.every((b, i) => b === after[i])) continue;
      conditions.access = { old: hit.old, new: numberOf(after), pc: hit.eip ?? 0, host: hit.eip === undefined ? 1 : 0 };
      if (!this.counts(watch)) continue;
      if (watch.mode === 'stop') found.push({ hit, after });
      else if (watch.mode === 'log')
        watches.addRow({
          name: this.accessed(hit),
          position: formatPosition(target.position),
          task: this.taskText(),
          directory: target.host?.lg.pgdirs[target.host.lg.pgdidx].gpgdir ?? 0,
          pc: hit.eip,
          by: hit.by,
          kind: hit.kind,
          old: hit.change === undefined ? numberText(hit.before) : probedText(hit.change.old),
          new: hit.change === undefined ? numberText(after) : probedText(hit.change.now),
        });
    }
    const [first] = found;
    if (first === undefined) return undefined;
    const { hit } = first;
    const change = this.changeText(first);
    const where = this.whereText(hit);
    const around = [this.taskText(), hit.eip === undefined ? '' : this.handlerText()].filter((x) => x !== '').join(', ');
    // The Host may have done several things before the Guest goes on.
    const more = found
      .slice(1)
      .filter((f) => f.hit.change !== undefined)
      .map((f) => `; ${this.changeText(f)} by ${f.hit.by}${this.whereText(f.hit)}`)
      .join('');
    const { problem } = conditions;
    conditions.problem = undefined;
    return stopInfo('data breakpoint', change, {
      text: `${change} by ${hit.by}${where}${more}${around === '' ? '' : ` (${around})`}${problem === undefined ? '' : ` (${problem})`}`,
      hitBreakpoints: [...new Set(found.map((f) => f.hit.watch.id))],
      ...(hit.eip === undefined ? {} : { instruction: hit.eip }),
    });
  }
  /** What was touched, from what to what. */
  private changeText({ hit, after }: { hit: WatchHit; after: Uint8Array }): string {
    const name = this.accessed(hit);
    if (hit.change !== undefined) return `${name}: ${probedText(hit.change.old)} → ${probedText(hit.change.now)}`;
    return hit.kind === 'read' ? `${name}: read as ${numberText(after)}` : `${name}: ${numberText(hit.before)} → ${numberText(after)}`;
  }
  /** The instruction that did it, or for which the Host did it. */
  private whereText({ eip, record, exitAt }: WatchHit): string {
    const { programs } = this.d;
    if (eip !== undefined) return ` at ${programs.nameOf(eip) ?? hex8(eip)}: ${this.d.textAt(eip) ?? ''}`;
    if (exitAt !== undefined) return `, exit at ${programs.nameOf(exitAt) ?? hex8(exitAt)}`;
    if (record === undefined) return '';
    const place = programs.nameOf(record.eip) ?? hex8(record.eip);
    const slot = record.hypercall?.slot;
    if (record.hypercall !== undefined) return `${slot === undefined ? ', hypercall' : `, slot ${slot} of the ring,`} at ${place}`;
    return record.kind === 'trap' ? `, trap ${record.k} ${mnemonic(record)} at ${place}` : '';
  }
  /** `pid 7 cat`, where the kernel's debug information tells what a task is. */
  private taskText(): string {
    const task = this.d.tasks.ready ? this.d.tasks.current() : undefined;
    return task === undefined ? '' : `pid ${task.pid} ${task.comm}`;
  }
  /** What the Guest's handler at work is about. */
  private handlerText(): string {
    const { target } = this.d;
    const r = (target.register('cs') & 3) === 3 ? undefined : handlerAtWork(target.records, target.register('esp'));
    return r === undefined ? '' : `in the handler of ${r.virq === undefined ? mnemonic(r) : `virq ${r.virq.irq}`}, trap ${r.k}`;
  }
  /** What an access touched, by name: of something long the part. */
  private accessed({ watch, at }: WatchHit): string {
    const { subject, place } = watch;
    if (subject === undefined) return watch.wish.dataId;
    if (at < 0 || subject.length <= 8) return subject.name;
    if (subject.partAt !== undefined) return subject.partAt(at);
    let before = 0;
    for (const r of place.ranges) {
      if (at >= r.physical && at < r.physical + r.length) {
        const address = subject.address + before + (at - r.physical);
        return subject.memory?.space.kind === 'physical' ? `p:${hex8(address)}` : (this.d.programs.nameOf(address) ?? hex8(address));
      }
      before += r.length;
    }
    return subject.name;
  }
}
