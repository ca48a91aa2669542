// The answers about the whole log that requests and console commands share: rows of a query, groups, exports, gates and interrupts, ready to be sent.
//
// Thin: the work is in record-query.ts, statistics.ts, exports.ts, descriptors.ts and irq-state.ts.

import { hex } from '../lguest/abi';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { idtRows } from './descriptors';
import { EXPORT_FORMATS, type ExportFormat, exportText } from './exports';
import { hypercallText, mnemonic } from './explain';
import { irqState as irqAnswers, whyNotDelivered } from './irq-state';
import { type Query, pushedWords, queryLog, recordFilter } from './record-query';
import type { Debugger } from './session';
import { type Grouping, statistics } from './statistics';
import { hex8 } from './target';

export const EXPORTS = EXPORT_FORMATS;
export const GROUPS = ['vector', 'outcome', 'reason', 'function', 'page', 'hypercall', 'refault'] as const;
export type Group = (typeof GROUPS)[number];

export interface TrapRow {
  k: number;
  position: string;
  what: string;
  at: string;
  eip: string;
  cpl: number;
  err: string | undefined;
  cr2: string | undefined;
  outcome: string;
  reason: string;
  parent: number | undefined;
  instructions: number | undefined;
  call: string | undefined;
  frame: { at: string; name: string; value: string; by: string }[];
  message: string | undefined;
}
const opt = (v: number | undefined): string | undefined => (v === undefined ? undefined : hex(v));
export const trapRow = (d: Debugger, r: TrapRecord): TrapRow => ({
  k: r.k,
  position: formatPosition(r.pos),
  what: mnemonic(r),
  at: d.programs.nameOf(r.eip) ?? hex8(r.eip),
  eip: hex(r.eip),
  cpl: r.cpl,
  err: opt(r.err),
  cr2: opt(r.cr2),
  outcome: r.outcome,
  reason: r.reason,
  parent: r.parent,
  instructions: r.instructions,
  call: r.hypercall === undefined ? undefined : hypercallText(r),
  frame: pushedWords(r).map((w) => ({ ...w, at: hex8(w.at), value: hex8(w.value) })),
  message: r.message,
});

export const queryTraps = (
  d: Debugger,
  q: Query,
): { rows: TrapRow[]; matches: number; next: number | undefined; first: number; total: number } => {
  const answer = queryLog(d.target.records, d.programs, q);
  return { ...answer, rows: answer.rows.map((r) => trapRow(d, r)) };
};

export const groupTraps = (
  d: Debugger,
  by: Group,
  filter = '',
): { name: string; count: number; share: number; min?: number; avg?: number; max?: number; outcomes: object }[] => {
  const grouping: Grouping = by === 'function' ? 'symbol' : by;
  return statistics(d.target.records, d.programs, grouping, recordFilter(filter, d.programs)).map(
    ({ label, count, share, min, avg, max, outcomes }) => ({
      name: by === 'vector' && Object.keys(outcomes).join() === 'direct' ? `${label} (direct)` : label,
      count,
      share,
      ...(min === undefined || avg === undefined || max === undefined ? {} : { min, avg, max }),
      outcomes,
    }),
  );
};
export const groupText = (rows: ReturnType<typeof groupTraps>): string => {
  if (rows.length === 0) return 'no record matches\n';
  const n = (v: number | undefined): string => (v === undefined ? '-' : String(Math.round(v)));
  const line = (...cells: string[]): string =>
    `${cells[0].padEnd(32)} ${cells
      .slice(1, 6)
      .map((c) => c.padStart(9))
      .join(' ')}  ${cells[6]}\n`;
  return (
    line('', 'count', 'share', 'min', 'avg', 'max', 'outcomes') +
    rows
      .map((r) => {
        const outcomes = Object.entries(r.outcomes).map(([o, c]) => `${o} ${c}`);
        return line(r.name, String(r.count), `${(100 * r.share).toFixed(1)} %`, n(r.min), n(r.avg), n(r.max), outcomes.join(', '));
      })
      .join('') +
    'min, avg, max: Guest instructions until the interrupted code went on; 0 for what the Host settles by itself\n'
  );
};

export const exportTraps = (d: Debugger, format: ExportFormat, filter = ''): string =>
  exportText([...d.target.records].filter(recordFilter(filter, d.programs)), format, d.programs);

export const gateAudit = (
  d: Debugger,
): { vector: number; name: string; route: string; asked: string; installed: string; why: string; hits: number }[] => {
  const { host } = d.target;
  if (host === undefined) return [];
  const gate = (low: number, high: number): string => {
    if ((high & 0x8000) === 0) return 'not present';
    const to = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
    return `${d.programs.nameOf(to) ?? hex8(to)} type 0x${((high >> 8) & 15).toString(16)} dpl ${(high >> 13) & 3}`;
  };
  return idtRows(host)
    .filter((g) => g.handler !== undefined || g.hits > 0)
    .map((g) => ({
      vector: g.vector,
      name: g.name,
      route: g.route,
      asked:
        g.asked === undefined ? (g.handler === undefined ? 'nothing' : gate(g.kept.low, g.kept.high)) : gate(g.asked.low, g.asked.high),
      installed: gate(g.installed.low, g.installed.high),
      why: g.why,
      hits: g.hits,
    }));
};

/** Interrupts with a gate or pending. */
export const irqState = (d: Debugger): { irq: number; verdict: string; reason: string }[] => {
  const { host } = d.target;
  if (host === undefined) return [];
  const rows: { irq: number; verdict: string; reason: string }[] = [];
  const { pending } = irqAnswers(host);
  for (let irq = 0; irq < 32; irq++) {
    const gate = (host.lg.idt[(32 + irq) * 2 + 1] & 0x8000) !== 0;
    if (!gate && (pending & (2 ** irq)) === 0) continue;
    const { reason, text } = whyNotDelivered(host, irq, d.programs);
    const plain = text.replace(/^irq \d+: /, '');
    rows.push({
      irq,
      reason,
      verdict:
        reason === 'nothing pending' ? 'not pending' : reason === 'will be delivered' ? 'goes in before the next entry' : `held: ${plain}`,
    });
  }
  return rows;
};
