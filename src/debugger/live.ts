// Numbers of a running Guest for whoever watches: how far it is, how fast it runs, how often it traps and with what outcome. At most four times a second.
//
// Everything comes from running totals, so the Guest is not slowed down by being watched. What it leaves out: statistics over records (statistics.ts).

import { formatPosition } from '../lguest/trap-record';
import type { Target } from './target';

export const LIVE_MS = 250;

export interface LiveNumbers {
  position: string;
  /** Guest time in nanoseconds. */
  ns: number;
  /** Millions of Guest instructions a second of the wall clock since the last time. */
  mips: number;
  /** Records made so far, and a second of the wall clock. */
  traps: number;
  trapsPerSecond: number;
  worldSwitches: number;
  /** Outcomes with at least one record. */
  outcomes: Record<string, number>;
}

export class Live {
  private since = 0;
  private retired = 0;
  private records = 0;

  /** @param now milliseconds of any steady clock. */
  constructor(
    private readonly target: Target,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The Guest begins to run. */
  start(): void {
    this.note(this.now());
  }
  private note(now: number): void {
    this.since = now;
    this.retired = this.target.processor.retired;
    this.records = this.target.records.count;
  }

  /** The numbers, when it is time for them. */
  tick(): LiveNumbers | undefined {
    const now = this.now();
    const ms = now - this.since;
    if (ms < LIVE_MS) return undefined;
    const { target } = this;
    const { count, totals } = target.records;
    const numbers: LiveNumbers = {
      position: formatPosition(target.position),
      ns: target.nowNs,
      mips: (target.processor.retired - this.retired) / ms / 1000,
      traps: count,
      trapsPerSecond: Math.round(((count - this.records) * 1000) / ms),
      worldSwitches: totals.worldSwitches,
      outcomes: Object.fromEntries(Object.entries(totals.outcomes).filter(([, n]) => n > 0)),
    };
    this.note(now);
    return numbers;
  }
}
