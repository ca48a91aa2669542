// How a place in an address space is written: `0x…` linear, `p:0x…` guest-physical, `v@0x…:0x…` by another page directory, `sw:0x…` by the Host's own tables,
// `host:0x…` in the emulated machine's memory.
//
// One grammar for memory references, the console and the memory view. What it leaves out: breakpoints by address space (breakpoints.ts), which have `all:` too.

import { LINEAR, type Space } from './target';

/** Splits off the prefix. @returns the space, the prefix as written (with its colon, or empty) and the rest, which is a number or an expression. */
export const splitSpace = (text: string): { space: Space; prefix: string; rest: string } => {
  const m = /^(?:(p|host|sw|v)(?:@(0x[0-9a-f]+|\d+))?:)\s*(.+)$/is.exec(text.trim());
  if (m === null || (m[2] !== undefined && m[1].toLowerCase() !== 'v')) return { space: LINEAR, prefix: '', rest: text.trim() };
  const prefix = text.trim().slice(0, text.trim().indexOf(':') + 1);
  switch (m[1].toLowerCase()) {
    case 'p':
      return { space: { kind: 'physical' }, prefix, rest: m[3] };
    case 'sw':
      return { space: { kind: 'host' }, prefix, rest: m[3] };
    case 'host':
      return { space: { kind: 'machine' }, prefix, rest: m[3] };
    default:
      return {
        space: m[2] === undefined ? LINEAR : { kind: 'linear', directory: Number(m[2]) },
        prefix: m[2] === undefined ? '' : prefix,
        rest: m[3],
      };
  }
};
