// What a stop of the debugger is: why the machine stands, in words and as data.
//
// A file of its own because everything that stops the machine makes one, and everything above reads it. Left out: what stops (trap-stops.ts, watch-stops.ts, run-loop.ts).

import type { TrapRecord } from '../lguest/trap-record';

export type StopReason =
  | 'entry'
  | 'step'
  | 'breakpoint'
  | 'function breakpoint'
  | 'instruction breakpoint'
  | 'data breakpoint'
  | 'exception'
  | 'pause'
  | 'goto'
  | 'restart';

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

/** How a run or a step went. undefined: it got where it was sent. */
export type Outcome = StopInfo | 'ended' | undefined;

/** A text in the room that a stop's description has. */
export const short = (text: string): string => (text.length > 80 ? `${text.slice(0, 77)}...` : text);

export const stopInfo = (reason: StopReason, description: string, more: Partial<StopInfo> = {}): StopInfo => ({
  reason,
  description: short(description),
  hitBreakpoints: [],
  pending: false,
  ...more,
});
