// Stepping into a trap: through the Host's decisions one by one, and through the Switcher's instructions.
//
// The Host decides in one go and without writing, so its decisions are walked in the record while the machine stands; only the step behind the last one applies them.
// The Switcher is real code, so it is stepped with the processor. What it leaves out: steps of the Guest (stepping.ts) and texts for editors (adapter).

import { explain } from '../lguest/explain';
import type { TrapFilter } from '../lguest/host';
import type { DecisionStep, TrapRecord } from '../lguest/trap-record';
import type { Stop } from '../launcher/machine';
import { switcherPlace } from './switcher-place';
import type { Target } from './target';

/** Where in the decisions of a trap that is not yet applied the user stands. */
export interface Decision {
  record: TrapRecord;
  steps: DecisionStep[];
  index: number;
}

/** Ids of the targets of a step into a trap. Calls have their address for an id, and nothing is called below 4096. */
export const TRAP_TARGET = { handler: 1, decisions: 2, switcher: 3 } as const;
export type TrapTarget = keyof typeof TRAP_TARGET;
export const trapTargetOf = (id: number): TrapTarget | undefined =>
  (Object.keys(TRAP_TARGET) as TrapTarget[]).find((name) => TRAP_TARGET[name] === id);

/** What this needs of the debugger. S: its stops. */
export interface Stepper<S> {
  readonly target: Target;
  /** One Guest step; undefined when it was done. */
  oneStep(): Promise<S | 'ended' | undefined>;
  judge(stop: Stop): Promise<S | 'ended' | 'go on' | 'temporary'>;
  stopAt(description: string, pending?: TrapRecord): S;
  /** Puts the user's filters back. */
  restoreFilters(): void;
}

const ENTRIES = 3_000;
/** Phases of the Host between two places worth a stop are few. */
const MOST_PHASES = 1_000;

export class TrapSteps<S> {
  decision: Decision | undefined;

  constructor(private readonly d: Stepper<S>) {}

  /** Begins at the first decision about `pending`; without one, runs the next instruction up to the decision about what it raises. */
  async toDecisions(pending: TrapRecord | undefined): Promise<S | 'ended'> {
    let record = pending;
    if (record === undefined) {
      const { decided, outcome } = await this.decideNext();
      if (decided === undefined) return outcome ?? this.d.stopAt('Paused on step: the instruction did not trap');
      record = decided;
    }
    this.decision = { record, steps: explain(record), index: 0 };
    return this.atDecision(this.decision);
  }

  /** To the next decision. @returns undefined behind the last one: the trap is to be applied now. */
  next(): S | undefined {
    const { decision } = this;
    if (decision === undefined || decision.index + 1 >= decision.steps.length) {
      this.decision = undefined;
      return undefined;
    }
    decision.index++;
    return this.atDecision(decision);
  }
  private atDecision({ record, steps, index }: Decision): S {
    const fn = steps[index]?.fn ?? '';
    return this.d.stopAt(`Host decision ${index + 1} of ${steps.length}: ${fn}`, record);
  }

  /** Runs one instruction up to the Host's decision about the trap that it raises. */
  private async decideNext(): Promise<{ decided: TrapRecord | undefined; outcome: S | 'ended' | undefined }> {
    const { d } = this;
    let decided: TrapRecord | undefined;
    const all: TrapFilter = {
      vectors: new Uint8Array(257).fill(1),
      ring: false,
      virqDelivered: false,
      virqHeld: false,
      test: (record) => {
        decided = record;
        return true;
      },
    };
    d.target.setFilter(all);
    try {
      const outcome = await d.oneStep();
      return { decided, outcome };
    } finally {
      d.restoreFilters();
    }
  }

  /**
   * One instruction of the Switcher; of the Guest, when that runs and may trap; or what the Host does between two of them.
   * Stops in the Switcher, at a decision, or at the Guest's next instruction.
   */
  async switcher(): Promise<S | 'ended'> {
    const { target } = this.d;
    const { host } = target;
    if (host === undefined || target.stepHost === undefined) return this.d.stopAt('Not moved: this machine has no Switcher');
    const decided = host.phase === 'apply' ? host.records.count : -1;
    for (let n = 0; n < MOST_PHASES; n++) {
      const stop = target.stepHost();
      if (stop.kind !== 'budget' && stop.kind !== 'slice') {
        const verdict = await this.d.judge(stop);
        if (verdict !== 'go on' && verdict !== 'temporary') return verdict;
      }
      if (host.inSwitcher) return this.d.stopAt(`At ${switcherPlace(host)}`);
      if (host.inGuest) return this.d.stopAt('Paused on step, in the Guest');
      if (host.phase === 'apply' && host.records.count !== decided) return this.d.stopAt('The Host has decided', target.current);
    }
    return this.d.stopAt('Paused on step');
  }

  /** Out of the Switcher: to the Guest's next instruction, or to the Host's decision on the way back. */
  async outOfSwitcher(): Promise<S | 'ended'> {
    const { target } = this.d;
    for (let n = 0; n < ENTRIES; n++) {
      const outcome = await this.switcher();
      if (outcome === 'ended' || target.host?.inSwitcher !== true) return outcome;
    }
    return this.d.stopAt('Paused on step');
  }
}
