// Breakpoints, watches and filters with how often each was met: as rows for a view, and as notes beside instructions.
//
// The counts are those that decide hit conditions; a restart begins anew. What it leaves out: who counts (run-loop.ts, watch-stops.ts, trap-stops.ts) and who is told.

import type { Breakpoint, BreakpointSpec } from './breakpoints';
import type { Listing } from './listing';
import type { Debugger } from './session';
import { hex8 } from './target';
import type { TreeRow } from './views';
import type { Watch } from './watches';

/** A row about one breakpoint or watch: its number, and whether this view may take it away (the editor's own list has the others). */
export interface BreakpointRow extends TreeRow {
  breakpoint?: number;
  kind?: 'breakpoint' | 'watch';
  own?: boolean;
  children?: BreakpointRow[];
}

/** `1 hit`, `12 hits`. */
export const hitsText = (hits: number): string => `${hits} ${hits === 1 ? 'hit' : 'hits'}`;

/** What a breakpoint is about, as its user wrote it. */
export const placeText = ({ pattern, file, line, address }: BreakpointSpec): string =>
  pattern ?? (file === undefined ? hex8(address ?? 0) : `${file.split(/[\\/]/).pop()}:${line}`);
export const watchText = (w: Watch): string => `${w.wish.access} ${w.subject?.name ?? w.wish.dataId}`;

const conditionText = ({ condition, hitCondition }: { condition?: string; hitCondition?: string }): string =>
  `${condition === undefined ? '' : `, if ${condition}`}${hitCondition === undefined ? '' : `, hits ${hitCondition}`}`;

const breakpointRow = (d: Debugger, b: Breakpoint): BreakpointRow => {
  const { spec } = b;
  const places = b.places.map((p) => ({ label: hex8(p.address), description: d.programs.nameOf(p.address) ?? '' }));
  const state = b.verified ? hitsText(b.hits) : (b.message ?? 'not bound');
  return {
    label: placeText(spec),
    description: `${state}${conditionText(spec)}${spec.logMessage !== undefined || spec.mode === 'log' ? ', logs' : ''}${spec.mode === 'count' ? ', only counts' : ''}`,
    tooltip: `Breakpoint ${b.id}${b.message === undefined ? '' : `: ${b.message}`}`,
    breakpoint: b.id,
    kind: 'breakpoint',
    own: spec.console === true,
    ...(places.length > 1 ? { children: places } : {}),
  };
};
const watchRow = (w: Watch): BreakpointRow => ({
  label: watchText(w),
  description: `${hitsText(w.hits)}${w.mode === 'stop' ? '' : `, only ${w.mode}s`}${conditionText(w.wish)}`,
  tooltip: `Watch ${w.id}, set at ${w.since}`,
  breakpoint: w.id,
  kind: 'watch',
  own: w.wish.console === true,
});

/** Groups, those that have something. May be asked at any time. */
export const breakpointTree = (d: Debugger): BreakpointRow[] => {
  const groups: BreakpointRow[] = [
    { label: 'Breakpoints', children: [...d.breakpoints].map((b) => breakpointRow(d, b)) },
    { label: 'Watches', children: d.watches.all.map(watchRow) },
    {
      label: 'Console',
      children: d.consoleStops.list.map((s) => ({
        label: s.text,
        description: `${hitsText(s.hits)}${s.once ? ', once' : ''}`,
        tooltip: `Breakpoint ${s.id}, on the Guest's console`,
        breakpoint: s.id,
        kind: 'breakpoint' as const,
        own: true,
      })),
    },
    {
      label: 'Filters',
      children: d.filterCounts.map((f) => ({
        label: f.id,
        description: `${hitsText(f.count)}${f.mode === 'stop' ? '' : `, ${f.mode}`}`,
      })),
    },
  ];
  return groups
    .filter((g) => g.children !== undefined && g.children.length > 0)
    .map((g) => ({ ...g, description: String(g.children?.length ?? 0), expanded: true }));
};

/** `info b`: every breakpoint and watch with its hits. */
export const breakpointTable = (d: Debugger): string => {
  const rows = [...d.breakpoints].map(({ id, spec, hits, places, message }) => {
    const count = `${places.length} ${places.length === 1 ? 'place' : 'places'}`;
    const condition = spec.condition === undefined ? '' : `, if ${spec.condition}`;
    return `${String(id).padStart(4)} ${placeText(spec).padEnd(32)} hits ${hits}, ${count}${condition}${message === undefined ? '' : ` (${message})`}`;
  });
  for (const w of d.watches.all) {
    const condition = w.wish.condition === undefined ? '' : `, if ${w.wish.condition}`;
    rows.push(`${String(w.id).padStart(4)} ${watchText(w).padEnd(32)} hits ${w.hits}${condition}`);
  }
  for (const s of d.consoleStops.list)
    rows.push(`${String(s.id).padStart(4)} ${`console ${s.text}`.padEnd(32)} hits ${s.hits}${s.once ? ', once' : ''}`);
  return rows.length === 0 ? 'no breakpoints\n' : `${rows.join('\n')}\n`;
};

/** What stands beside an instruction that has breakpoints: `  ; breakpoint 3: 5 hits`. Empty without one. */
export const hitsNote = (d: Debugger, address: number): string =>
  d.breakpoints
    .at(address)
    .map(({ b }) => `  ; breakpoint ${b.id}: ${hitsText(b.hits)}`)
    .join('');

/** The lines of a listing, from 1, that have breakpoints, with the same text. */
export const hitLines = (d: Debugger, listing: Listing): { line: number; text: string }[] =>
  listing.addresses.flatMap((address, i) => {
    const text = address === undefined ? '' : hitsNote(d, address).trim();
    return text === '' ? [] : [{ line: i + 1, text }];
  });
