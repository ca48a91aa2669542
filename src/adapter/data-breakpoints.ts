// Data breakpoints: what can be watched, the watches, and what those saw that only log.

import { type Watchable, watchBytes, watchItem, watchNamed } from '../debugger/watch-names';
import { common } from './breakpoint-requests';
import type { Context } from './context';
import { reference } from './memory-reference';
import { type Arguments, ERRORS, type Handlers, list, oneOf, RequestError, wantNumber, wantText } from './requests';

const dataBreakpointInfo = (s: Context, args: Arguments): object => {
  const d = s.core;
  const name = wantText(args, 'name');
  const frame = s.frame(args.frameId);
  const answer = (w: Watchable | string): object =>
    typeof w === 'string'
      ? { dataId: null, description: w }
      : { dataId: w.id, description: w.description, accessTypes: w.access, canPersist: w.persistent };
  if (args.asAddress === true) {
    const { address, space } = reference(s, name);
    return answer(watchBytes(d, address, space, wantNumber(args, 'bytes', 4)));
  }
  const parent = typeof args.variablesReference === 'number' ? s.opened.get(args.variablesReference) : undefined;
  const item = parent?.open?.(0, 100_000).find((i) => i.name === name);
  if (item?.watch !== undefined) return answer(watchItem(d, item.watch.id, name, frame));
  if (item === undefined && parent !== undefined) throw new RequestError(ERRORS.badArgument, `No variable "${name}" here.`);
  return answer(watchNamed(d, item?.evaluateName ?? name, frame));
};

const setDataBreakpoints = (s: Context, args: Arguments): object => {
  const wanted = list(args, 'breakpoints').map((x) => ({
    dataId: wantText(x, 'dataId'),
    access: oneOf(x, 'accessType', ['read', 'write', 'readWrite'], 'write'),
    ...common(x),
  }));
  const made = s.core.setWatches(wanted);
  return {
    breakpoints: made.map((w) => ({
      id: w.id,
      verified: w.problem === undefined,
      ...(w.problem === undefined ? {} : { message: w.problem, reason: 'failed' }),
    })),
  };
};

const COLUMNS = ['name', 'position', 'task', 'directory', 'pc', 'by', 'kind', 'old', 'new'] as const;

export const dataBreakpointRequests = (s: Context): Handlers => ({
  dataBreakpointInfo: (a) => dataBreakpointInfo(s, a),
  setDataBreakpoints: (a) => setDataBreakpoints(s, a),
  'lguest/watchLog': (a) => {
    const { rows } = s.standing.watches;
    if (oneOf(a, 'format', ['rows', 'csv'], 'rows') === 'rows') return { rows };
    const cell = (v: unknown): string => (/[",\n]/.test(String(v ?? '')) ? `"${String(v).replaceAll('"', '""')}"` : String(v ?? ''));
    return { text: `${[COLUMNS.join(','), ...rows.map((r) => COLUMNS.map((c) => cell(r[c])).join(','))].join('\n')}\n` };
  },
});
