// Statistics of traps in the manner of `perf kvm stat`: how often, which share, how many Guest instructions until the interrupted code went on; grouped at will.
//
// Counts are over the records still kept. Also why a page had to be filled again: the refault causes. What it leaves out: the running totals (TrapLog.totals).

import { LHCALL } from '../lguest/abi';
import type { Outcome, TrapRecord } from '../lguest/trap-record';
import { mnemonic } from './explain';
import { vectorName } from './filters';
import { type Names, nest, type RecordFilter } from './record-query';
import { hex8 } from './target';
import { ExpressionError } from './expression';

export const GROUPINGS = ['vector', 'outcome', 'reason', 'function', 'page', 'hypercall', 'refault'] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface StatisticsRow {
  /** What the group is about; deliveries without the Host are groups of their own. */
  name: string;
  count: number;
  /** Of all rows, 0 to 1. */
  share: number;
  /** Guest instructions until the interrupted code went on; undefined when none did. */
  min: number | undefined;
  avg: number | undefined;
  max: number | undefined;
  outcomes: Partial<Record<Outcome, number>>;
}

export const parseGrouping = (text: string | undefined): Grouping => {
  const by = (text ?? '').replace(/^by\s+/, '').trim() || 'vector';
  const alias: Readonly<Record<string, Grouping>> = { symbol: 'function', eip: 'function', cr2: 'page', hcall: 'hypercall' };
  const found = GROUPINGS.find((g) => g === by) ?? (Object.hasOwn(alias, by) ? alias[by] : undefined);
  if (found === undefined) throw new ExpressionError(`stats by what? ${GROUPINGS.join(', ')}`);
  return found;
};

/** Rows, most frequent first. */
export const statistics = (
  records: Iterable<TrapRecord>,
  names: Names,
  by: Grouping,
  filter: RecordFilter = () => true,
): StatisticsRow[] => {
  const all = nest(records);
  const causes = by === 'refault' ? refaults(all.map((n) => n.record)) : undefined;
  const label = (r: TrapRecord): string | undefined => {
    switch (by) {
      case 'vector':
        return r.kind === 'kill'
          ? 'kill'
          : r.vector < 32 || r.vector === 128
            ? `${r.vector} ${r.kind === 'virq' ? mnemonic(r) : vectorName(r.vector)}${r.kind === 'direct' ? ' (direct)' : ''}`
            : mnemonic(r);
      case 'outcome':
        return r.outcome;
      case 'reason':
        return r.reason;
      case 'function':
        return names.symbolAt(r.eip)?.name ?? hex8(r.eip);
      case 'page':
        return r.cr2 === undefined ? undefined : hex8(r.cr2 & ~0xfff);
      case 'hypercall':
        return r.hypercall === undefined ? undefined : `${r.hypercall.name}${r.hypercall.slot === undefined ? '' : ' (ring)'}`;
      case 'refault':
        return causes?.get(r.k);
    }
  };
  const groups = new Map<string, { row: StatisticsRow; sum: number; known: number }>();
  let total = 0;
  for (const { record, resume } of all) {
    if (!filter(record)) continue;
    const name = label(record);
    if (name === undefined) continue;
    total++;
    let g = groups.get(name);
    if (g === undefined) {
      g = { row: { name, count: 0, share: 0, min: undefined, avg: undefined, max: undefined, outcomes: {} }, sum: 0, known: 0 };
      groups.set(name, g);
    }
    g.row.count++;
    g.row.outcomes[record.outcome] = (g.row.outcomes[record.outcome] ?? 0) + 1;
    if (resume === undefined) continue;
    g.known++;
    g.sum += resume;
    g.row.min = Math.min(g.row.min ?? resume, resume);
    g.row.max = Math.max(g.row.max ?? resume, resume);
  }
  return [...groups.values()]
    .map(({ row, sum, known }) => ({ ...row, share: row.count / total, avg: known === 0 ? undefined : sum / known }))
    .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
};

export const statisticsText = (rows: readonly StatisticsRow[], by: Grouping): string => {
  if (rows.length === 0) return `no record has a ${by}\n`;
  const n = (v: number | undefined): string => (v === undefined ? '-' : String(Math.round(v)));
  const head = `${`by ${by}`.padEnd(30)} ${'count'.padStart(8)} ${'share'.padStart(8)} ${'min'.padStart(8)} ${'avg'.padStart(10)} ${'max'.padStart(10)}  outcomes`;
  const lines = rows.map((r) => {
    const outcomes = Object.entries(r.outcomes).map(([o, c]) => `${o} ${c}`);
    return `${r.name.padEnd(30)} ${String(r.count).padStart(8)} ${`${(100 * r.share).toFixed(1)} %`.padStart(8)} ${n(r.min).padStart(8)} ${n(r.avg).padStart(10)} ${n(r.max).padStart(10)}  ${outcomes.join(', ')}`;
  });
  return `${[head, ...lines, 'min, avg, max: Guest instructions until the interrupted code went on; 0 for what the Host settles by itself'].join('\n')}\n`;
};

// ---- why a page is filled -----------------------------------------------------------------------------------------------------------------

export const REFAULT_CAUSES = [
  'first touch',
  'dirty upgrade',
  'after a flush',
  'after SET_PTE',
  'after SET_PMD',
  'after an eviction',
  'PDE stricter than PTE',
  'reflected',
  'killed',
] as const;
export type RefaultCause = (typeof REFAULT_CAUSES)[number];
/** The first page of the kernel's part, which FLUSH_TLB(0) leaves alone and which SET_PTE means in every directory. */
const KERNEL_PAGE = 0xc0000;

/**
 * For each page fault, by k, why the shadow tables had nothing for it.
 * A page that was filled, was not taken away by any hypercall, and is missing all the same has lost its shadow directory: another directory took the slot. Records that
 * the ring no longer holds are not known, so an early "first touch" may be a second one.
 */
export const refaults = (records: Iterable<TrapRecord>): Map<number, RefaultCause> => {
  const causes = new Map<number, RefaultCause>();
  /** Pages that are filled, by directory; and by directory:page, what took the others away. */
  const there = new Map<number, { user: Set<number>; kernel: Set<number> }>();
  const gone = new Map<string, RefaultCause>();
  const filled = (directory: number): { user: Set<number>; kernel: Set<number> } => {
    let pages = there.get(directory);
    if (pages === undefined) there.set(directory, (pages = { user: new Set(), kernel: new Set() }));
    return pages;
  };
  const forget = (cause: RefaultCause, directory: number, pages: Set<number>, which: Iterable<number>): void => {
    for (const page of which) if (pages.delete(page)) gone.set(`${directory}:${page}`, cause);
  };
  for (const r of records) {
    const call = r.hypercall;
    if (call !== undefined) {
      const [a, b] = call.args;
      if (call.number === LHCALL.LGUEST_INIT || (call.number === LHCALL.FLUSH_TLB && a !== 0))
        for (const [directory, pages] of there)
          for (const part of [pages.user, pages.kernel]) forget('after a flush', directory, part, part);
      else if (call.number === LHCALL.FLUSH_TLB) forget('after a flush', r.cr3, filled(r.cr3).user, filled(r.cr3).user);
      else if (call.number === LHCALL.SET_PTE && b >>> 12 >= KERNEL_PAGE)
        for (const [directory, { kernel }] of there) forget('after SET_PTE', directory, kernel, [b >>> 12]);
      else if (call.number === LHCALL.SET_PTE) forget('after SET_PTE', a, filled(a).user, [b >>> 12]);
      else if (call.number === LHCALL.SET_PMD) {
        const { user, kernel } = filled(a);
        const first = b * 1024;
        forget(
          'after SET_PMD',
          a,
          first < KERNEL_PAGE ? user : kernel,
          Array.from({ length: 1024 }, (_, i) => first + i),
        );
      }
    }
    if (r.kind !== 'trap' || r.vector !== 14 || r.cr2 === undefined) continue;
    if (r.outcome === 'reflected' || r.outcome === 'killed') {
      causes.set(r.k, r.outcome);
      continue;
    }
    const page = r.cr2 >>> 12;
    const pages = filled(r.cr3)[page < KERNEL_PAGE ? 'user' : 'kernel'];
    const before = pages.has(page) ? 'after an eviction' : (gone.get(`${r.cr3}:${page}`) ?? 'first touch');
    const cause: RefaultCause =
      r.reason === 'dirty-upgrade' ? 'dirty upgrade' : r.reason === 'filled-before' ? 'PDE stricter than PTE' : before;
    causes.set(r.k, cause);
    pages.add(page);
  }
  return causes;
};
