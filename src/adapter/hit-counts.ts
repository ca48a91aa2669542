// How often breakpoints were met: told to the client while the Guest runs and at each stop, and shown in a view of our own with the watches and filters.
//
// The view may be asked at any time, since its counts are live. It also takes what the editor's list cannot hold: places given as text, and watches that only log.
// What it leaves out: the client's own lists (breakpoint-requests.ts, data-breakpoints.ts).

import { addBreakpointText, addWatchText } from '../debugger/breakpoint-commands';
import { breakpointTree, hitsText } from '../debugger/breakpoint-rows';
import { breakpointBody } from './breakpoint-requests';
import type { Context } from './context';
import { type Arguments, ERRORS, type Handlers, oneOf, RequestError, wantNumber, wantText } from './requests';

/** Tells of each breakpoint whose count is another than the client knows. Costs nothing when nothing was met. */
export const tellHits = (s: Context): void => {
  const { d } = s;
  if (d === undefined) return;
  const total = d.breakpoints.hits + d.watches.counted;
  if (total === s.hitsTold.total) return;
  s.hitsTold.total = total;
  const { byId } = s.hitsTold;
  const differs = (id: number, hits: number): boolean => {
    if ((byId.get(id) ?? 0) === hits) return false;
    byId.set(id, hits);
    return true;
  };
  for (const b of d.breakpoints) if (differs(b.id, b.hits)) s.event('breakpoint', { reason: 'changed', breakpoint: breakpointBody(s, b) });
  for (const w of d.watches.all)
    if (differs(w.id, w.hits))
      s.event('breakpoint', {
        reason: 'changed',
        breakpoint: { id: w.id, verified: true, ...(w.hits === 0 ? {} : { message: hitsText(w.hits) }) },
      });
};

/** A breakpoint or watch from text, as the Debug Console takes it. Stays when the client sends its lists. */
const add = (s: Context, args: Arguments): object => {
  const what = oneOf(args, 'what', ['breakpoint', 'watch'], 'breakpoint');
  const place = wantText(args, 'place');
  return { text: (what === 'watch' ? addWatchText(s.core, place) : addBreakpointText(s.core, place)).trim() };
};

const found = (s: Context, args: Arguments): { remove: () => void; setMode?: (mode: 'stop' | 'log' | 'count') => boolean } => {
  const d = s.core;
  const id = wantNumber(args, 'id');
  const b = [...d.breakpoints].find((x) => x.id === id && x.spec.console === true);
  if (b !== undefined) return { remove: () => d.breakpoints.remove(b) };
  const w = d.watches.all.find((x) => x.id === id);
  if (w === undefined)
    throw new RequestError(ERRORS.badArgument, `There is no breakpoint ${id} of ours; the editor's list has the others.`);
  return {
    remove: () => {
      if (w.wish.console !== true) throw new RequestError(ERRORS.badArgument, `Watch ${id} is in the editor's list: take it away there.`);
      d.dropWatch(w);
    },
    setMode: (mode) => d.watches.setMode(w, mode),
  };
};

export const hitCountRequests = (s: Context): Handlers => ({
  'lguest/view/breakpoints': () => ({ nodes: s.d === undefined ? [] : breakpointTree(s.d) }),
  'lguest/breakpointsPlus/add': (a) => add(s, a),
  'lguest/breakpointsPlus/remove': (a) => {
    found(s, a).remove();
    return {};
  },
  'lguest/breakpointsPlus/mode': (a) => {
    const { setMode } = found(s, a);
    const mode = oneOf(a, 'mode', ['stop', 'log', 'count'], 'stop');
    if (setMode === undefined) throw new RequestError(ERRORS.badArgument, 'Only watches have a mode; a breakpoint logs with "-> TEXT".');
    if (!setMode(mode))
      throw new RequestError(ERRORS.badArgument, 'The condition of this watch ends in "| log" or "| count": change it there.');
    return {};
  },
});
