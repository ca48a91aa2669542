// What of a piece of code was ever executed: as lines of a listing and as text for the console.
//
// The processor keeps the map (i386/executed.ts); here addresses become rows. What it leaves out: how often, which nobody counts in translated code.

import { CodeRows } from './code-rows';
import { ExpressionError } from './expression';
import { type Listing, listingRange } from './listing';
import type { Debugger } from './session';
import { hex8 } from './target';

const MOST_ROWS = 20_000;

/** Lines of a listing, from 1, whose instruction was never executed; none where nobody keeps count. */
export const neverLines = (d: Debugger, listing: Listing): number[] =>
  listing.addresses.flatMap((address, i) => {
    if (address === undefined) return [];
    const decoded = d.decode(address);
    return decoded !== undefined && d.target.executed(address, decoded.length) === false ? [i + 1] : [];
  });

/** One line for the function (or, without symbols, the 256 bytes) around an address, then the stretches that were never executed. */
export const coverageText = (d: Debugger, address: number): string => {
  const { low, high, name } = listingRange(d.programs, address);
  if (d.target.executed(low, 1) === undefined) throw new ExpressionError(`nobody keeps count of what is executed at ${hex8(low)}`);
  const rows = new CodeRows(d.target, d.programs, d.disassembler);
  const never: { from: number; to: number; rows: number }[] = [];
  let total = 0;
  let begun = 0;
  for (let at = name.startsWith('0x') ? address : low; at < high && total < MOST_ROWS; ) {
    const row = rows.at(at);
    const next = at + Math.max(1, row.bytes.length);
    if (row.decoded !== undefined) {
      total++;
      if (d.target.executed(at, row.bytes.length)) begun++;
      else {
        const last = never[never.length - 1];
        if (last?.to === at) {
          last.to = next;
          last.rows++;
        } else never.push({ from: at, to: next, rows: 1 });
      }
    }
    at = next;
  }
  const head = `${name}: ${begun} of ${total} instructions executed`;
  return `${[head, ...never.map((r) => `  never ${hex8(r.from)} to ${hex8(r.to - 1)}: ${r.rows}${lineNote(d, r.from)}`)].join('\n')}\n`;
};

const lineNote = (d: Debugger, address: number): string => {
  const line = d.programs.lineAt(address);
  return line === undefined ? '' : ` (${line.file}:${line.line})`;
};
