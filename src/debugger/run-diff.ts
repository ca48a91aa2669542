// Two runs of the same session compared by their trap logs: the first record in which they differ.
//
// A restart keeps the log of the run before. Records are compared in order by what happened in them, not by when; a difference in position alone is told apart.
// What it leaves out: aligning runs that went different ways, and states of the machines.

import { formatPosition, type TrapLog, type TrapRecord } from '../lguest/trap-record';
import { mnemonic } from './explain';
import type { Names } from './record-query';
import { hex8 } from './target';

export interface RunDifference {
  /** Records compared that were equal, from the oldest that both logs still have. */
  equal: number;
  from: number;
  /** Number of the first record that differs, and in what. Missing: none does as far as both go. */
  k?: number;
  fields?: string[];
  now?: TrapRecord;
  previous?: TrapRecord;
  /** First record that is equal but for its position. */
  moved?: number;
  /** Records of either run. */
  totals: { now: number; previous: number };
}

const COMPARED: readonly [name: string, read: (r: TrapRecord) => unknown][] = [
  ['kind', (r) => r.kind],
  ['vector', (r) => r.vector],
  ['eip', (r) => r.eip],
  ['ring', (r) => r.cpl],
  ['err', (r) => r.err],
  ['cr2', (r) => r.cr2],
  ['outcome', (r) => r.outcome],
  ['reason', (r) => r.reason],
  ['handler', (r) => r.handler],
  ['hypercall', (r) => r.hypercall?.number],
  ['arguments', (r) => r.hypercall?.args.join()],
  ['irq', (r) => r.virq?.irq],
];

export const firstDifference = (now: TrapLog, previous: TrapLog): RunDifference => {
  const from = Math.max(now.first, previous.first);
  const answer: RunDifference = { equal: 0, from, totals: { now: now.count, previous: previous.count } };
  for (let k = from; k < Math.min(now.count, previous.count); k++) {
    const a = now.get(k);
    const b = previous.get(k);
    if (a === undefined || b === undefined) break;
    const fields = COMPARED.filter(([, read]) => read(a) !== read(b)).map(([name]) => name);
    if (fields.length > 0) return { ...answer, k, fields, now: a, previous: b };
    answer.equal++;
    if (answer.moved === undefined && a.pos.retired !== b.pos.retired) answer.moved = k;
  }
  return answer;
};

export const differenceText = (d: RunDifference, names: Names): string => {
  const line = (r: TrapRecord): string =>
    `${formatPosition(r.pos)} ${mnemonic(r)}${r.hypercall === undefined ? '' : ` ${r.hypercall.name}`}${r.err === undefined ? '' : ` err ${r.err}`}${r.cr2 === undefined ? '' : ` cr2 ${hex8(r.cr2)}`} at ${names.nameOf(r.eip) ?? hex8(r.eip)}, ring ${r.cpl} → ${r.outcome}`;
  const totals = `records: ${d.totals.now} in this run, ${d.totals.previous} in the run before`;
  const begin = d.from === 0 ? '' : ` (older than ${d.from} are no longer kept)`;
  const moved = d.moved === undefined ? '' : `; from trap ${d.moved} on at other positions`;
  if (d.k === undefined || d.now === undefined || d.previous === undefined)
    return `no difference in ${d.equal} records${begin}${moved}\n${totals}\n`;
  return [
    `first difference at trap ${d.k}: ${d.fields?.join(', ')}; ${d.equal} records before it are equal${begin}${moved}`,
    `  this run    ${line(d.now)}`,
    `  run before  ${line(d.previous)}`,
    `${totals}\n`,
  ].join('\n');
};
