// Data breakpoints: what can be watched, and the watches.

import { ExpressionError } from '../debugger/expression';
import { valueItem } from '../debugger/scopes';
import { hex8 } from '../debugger/target';
import { common } from './breakpoint-requests';
import type { Context } from './context';
import { reference } from './memory-reference';
import { type Arguments, type Handlers, list, wantNumber, wantText } from './requests';

const dataBreakpointInfo = (s: Context, args: Arguments): object => {
  const d = s.core;
  const name = wantText(args, 'name');
  if (args.asAddress === true) {
    const { address } = reference(s, name);
    const bytes = wantNumber(args, 'bytes', 4);
    return {
      dataId: `mem:v:${hex8(address)}:${bytes}`,
      description: `${bytes} bytes at ${hex8(address)}`,
      accessTypes: ['read', 'write', 'readWrite'],
      canPersist: true,
    };
  }
  const parent = typeof args.variablesReference === 'number' ? s.opened.get(args.variablesReference) : undefined;
  let watch = parent?.open?.(0, 100_000).find((i) => i.name === name)?.watch;
  if (watch === undefined && parent === undefined) {
    if (/^cr2\.(hw|host|guest)$/.test(name))
      watch = {
        id: name.replace('.', ':'),
        description: `${name}, written by ${name === 'cr2.guest' ? 'the Host for the Guest' : 'every page fault'}`,
      };
    else {
      try {
        const { value, env } = d.evaluate(name, s.frame(args.frameId), false);
        watch = valueItem(name, name, value, d.valueContext(env), { letter: undefined, count: undefined }).watch;
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        return { dataId: null, description: error.message };
      }
    }
  }
  if (watch === undefined || watch.id.startsWith('reg:'))
    return {
      dataId: null,
      description: watch === undefined ? `${name} is not in memory` : `${name}: registers cannot be watched; watch memory or a cr2`,
    };
  const accessTypes = watch.id.startsWith('cr2:') ? ['write'] : ['read', 'write', 'readWrite'];
  return { dataId: watch.id, description: watch.description, accessTypes, canPersist: !watch.id.startsWith('mem:v:') };
};

const setDataBreakpoints = (s: Context, args: Arguments): object => {
  const wanted = list(args, 'breakpoints').map((x) => ({
    dataId: wantText(x, 'dataId'),
    access: (typeof x.accessType === 'string' ? x.accessType : 'write') as 'read' | 'write' | 'readWrite',
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

export const dataBreakpointRequests = (s: Context): Handlers => ({
  dataBreakpointInfo: (a) => dataBreakpointInfo(s, a),
  setDataBreakpoints: (a) => setDataBreakpoints(s, a),
});
