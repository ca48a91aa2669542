// The three cr2 through time: the processor's, the Host's copy and the Guest's own, each change with who caused it; and the warning that a value was lost.
//
// Made from the trap log: a page fault sets the first two, and the third only when the Guest gets the fault. What it leaves out: what the Guest itself stores there.

import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { type Names, nest } from './record-query';
import { hex8 } from './target';

export type Cr2Name = 'hw' | 'host' | 'guest';
export interface Cr2Change {
  which: Cr2Name;
  k: number;
  position: string;
  /** undefined: not known, before the oldest record. */
  old: number | undefined;
  value: number;
  eip: number;
  outcome: string;
  /** A sentence when the Guest's value was overwritten inside the handler that still needed it. */
  warning?: string;
}

/** Changes, oldest first. A Guest that has not called LGUEST_INIT has no cr2 of its own: `guestFrom` is the first record after it. */
export const cr2History = (records: Iterable<TrapRecord>, which?: Cr2Name): Cr2Change[] => {
  const changes: Cr2Change[] = [];
  const now: Record<Cr2Name, number | undefined> = { hw: undefined, host: undefined, guest: undefined };
  const handlers = new Map<number, TrapRecord>();
  const set = (name: Cr2Name, r: TrapRecord, warning?: string): void => {
    const value = r.cr2 as number;
    const old = now[name];
    now[name] = value;
    if (which !== undefined && which !== name) return;
    changes.push({
      which: name,
      k: r.k,
      position: formatPosition(r.pos),
      old,
      value,
      eip: r.eip,
      outcome: r.outcome,
      ...(warning === undefined ? {} : { warning }),
    });
  };
  for (const { record: r, inside } of nest(records)) {
    if (r.vector !== 14 || r.kind !== 'trap' || r.cr2 === undefined) continue;
    set('hw', r);
    set('host', r);
    if (r.outcome !== 'reflected') continue;
    const outer = inside === undefined ? undefined : handlers.get(inside);
    const warning =
      outer === undefined || outer.cr2 === r.cr2
        ? undefined
        : `cr2.guest ${hex8(outer.cr2 ?? 0)} is overwritten ${r.pos.retired - outer.pos.retired} instructions into the page fault handler of trap ${outer.k}: lost unless the handler had read it by then`;
    set('guest', r, warning);
    handlers.set(r.k, r);
  }
  return changes;
};

export const cr2Text = (changes: readonly Cr2Change[], names: Names, count = 20): string => {
  if (changes.length === 0) return 'no page fault yet\n';
  return changes
    .slice(-count)
    .map((c) => {
      const old = c.old === undefined ? '(unknown)' : hex8(c.old);
      return `${String(c.k).padStart(6)} ${c.position.padEnd(12)} cr2.${c.which.padEnd(5)} ${old} → ${hex8(c.value)}  ${names.nameOf(c.eip) ?? hex8(c.eip)}  ${c.outcome}\n${c.warning === undefined ? '' : `       warning: ${c.warning}\n`}`;
    })
    .join('');
};
