// Storms: the same traps over and over while the Guest retires nothing. Such a Guest looks busy and gets nowhere; this says at which fault.
//
// A storm is a pattern of one to four traps that repeats at one count of retired instructions. What it leaves out: slow loops that retire something.

import type { TrapLog, TrapRecord } from '../lguest/trap-record';
import { mnemonic } from './explain';
import type { Names } from './record-query';
import { hex8 } from './target';

export interface Storm {
  /** The traps that repeat, in order. */
  pattern: TrapRecord[];
  /** How many times the pattern was seen in a row. */
  times: number;
  /** First and last record. */
  from: number;
  to: number;
}

const LONGEST_PATTERN = 4;
/** Fewer are a healthy Guest: a fill, a dirty upgrade, an interrupt between them. */
export const STORM_AT = 8;

const same = (a: TrapRecord, b: TrapRecord): boolean =>
  a.vector === b.vector && a.eip === b.eip && a.cr2 === b.cr2 && a.err === b.err && a.outcome === b.outcome && a.kind === b.kind;
const counts = (r: TrapRecord): boolean => r.outcome !== 'host-irq';

/** The storm that the log ends with, or undefined. */
export const findStorm = (log: TrapLog, least = STORM_AT): Storm | undefined => {
  const newest: TrapRecord[] = []; // newest first, all at one count of instructions
  for (let k = log.count - 1; k >= log.first; k--) {
    const r = log.get(k);
    if (r === undefined) break;
    if (!counts(r)) continue;
    if (newest.length > 0 && r.pos.retired !== newest[0].pos.retired) break;
    newest.push(r);
  }
  for (let length = 1; length <= LONGEST_PATTERN && length * 2 <= newest.length; length++) {
    let n = length;
    while (n < newest.length && same(newest[n], newest[n - length])) n++;
    const times = Math.floor(n / length);
    if (times < least) continue;
    const last = newest[times * length - 1];
    return { pattern: newest.slice(0, length).reverse(), times, from: last.k, to: newest[0].k };
  }
  return undefined;
};

export const stormText = (storm: Storm | undefined, names: Names): string => {
  if (storm === undefined) return 'no storm: the Guest retires instructions between its traps\n';
  const one = (r: TrapRecord): string =>
    `${mnemonic(r)}${r.cr2 === undefined ? '' : ` cr2 ${hex8(r.cr2)}`} at ${names.nameOf(r.eip) ?? hex8(r.eip)} → ${r.outcome}`;
  return `storm: ${storm.pattern.map(one).join(', then ')}; ${storm.times} times in a row and no instruction retired (traps ${storm.from} to ${storm.to})\n`;
};
