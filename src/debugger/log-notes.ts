// Lines of logpoints that stand in the trap log instead of the console, each before the record that came next.
//
// Kept beside the records, whose form is fixed. What it leaves out: making the lines (conditions.ts).

import type { Position } from '../lguest/trap-record';

export interface LogNote {
  /** Number of the record before which it stands. */
  k: number;
  position: Position;
  /** Guest time in nanoseconds. */
  ns: number;
  text: string;
  /** Place of the logpoint. */
  at: number;
}

const MOST_NOTES = 100_000;

export class LogNotes {
  private list: LogNote[] = [];

  add(note: LogNote): void {
    if (this.list.length >= MOST_NOTES) this.list.splice(0, MOST_NOTES / 10);
    this.list.push(note);
  }
  get count(): number {
    return this.list.length;
  }
  /** The notes before records `from` to `to`, both included, oldest first. */
  between(from: number, to: number): LogNote[] {
    return this.list.filter((n) => n.k >= from && n.k <= to);
  }
}
