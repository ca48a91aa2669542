// Requests about traps: what this one was, the log, tables and statistics.

import { QUESTIONS } from '../debugger/questions';
import { EXPORTS, exportTraps, GROUPS, gateAudit, groupTraps, irqState, queryTraps } from '../debugger/trap-log';
import { parseAccess, trapTree, walkTree } from '../debugger/views';
import type { Context } from './context';
import { ERRORS, type Arguments, type Handler, type Handlers, oneOf, RequestError } from './requests';

const exceptionInfo = (s: Context): object => {
  const text = s.standing.exceptionText();
  if (text === undefined) throw new RequestError(ERRORS.badArgument, 'This stop is about no trap.');
  return {
    exceptionId: `${text.id} ${text.typeName}`.trim(),
    description: text.description,
    breakMode: text.unhandled ? 'unhandled' : 'always',
    details: {
      message: text.description,
      typeName: text.typeName,
      fullTypeName: text.outcome,
      evaluateName: 'trap',
      stackTrace: text.chain,
    },
  };
};

const pageWalk = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const va = typeof args.va === 'string' && args.va.trim() !== '' ? args.va : undefined;
  const { record } = d;
  const address = va === undefined ? (record?.cr2 ?? d.target.pc) : Number(BigInt.asUintN(32, d.evaluate(va, undefined, false).value.bits));
  const answer = walkTree(d, address, parseAccess(typeof args.access === 'string' ? args.access : undefined));
  return { nodes: answer.rows, verdict: answer.verdict };
};

export const trapRequests = (s: Context): Handlers => ({
  exceptionInfo: () => exceptionInfo(s),
  'lguest/view/trap': () => ({ nodes: trapTree(s.standing) }),
  'lguest/view/pageWalk': (a) => pageWalk(s, a),
  'lguest/trapLog/query': (a) =>
    queryTraps(s.standing, {
      ...(typeof a.filter === 'string' ? { filter: a.filter } : {}),
      ...(typeof a.from === 'number' ? { from: a.from } : {}),
      ...(typeof a.count === 'number' ? { count: a.count } : {}),
    }),
  'lguest/trapStats': (a) => ({
    rows: groupTraps(s.standing, oneOf(a, 'by', GROUPS, 'outcome'), typeof a.filter === 'string' ? a.filter : undefined),
  }),
  'lguest/gateAudit': () => ({ rows: gateAudit(s.standing) }),
  'lguest/irqState': () => ({ rows: irqState(s.standing) }),
  'lguest/export': (a) => ({ text: exportTraps(s.standing, oneOf(a, 'format', EXPORTS, 'ndjson')) }),
  ...Object.fromEntries(Object.entries(QUESTIONS).map(([name, ask]): [string, Handler] => [`lguest/${name}`, (a) => ask(s.standing, a)])),
});
