// Requests about traps: what this one was, the log, tables and statistics.

import { injectRequest, QUESTIONS, walkArguments } from '../debugger/questions';
import { walkTree } from '../debugger/views';
import type { Context } from './context';
import { type Arguments, ERRORS, type Handler, type Handlers, RequestError } from './requests';

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
      ...(text.k === undefined ? {} : { evaluateName: `trap(${text.k})` }),
      stackTrace: text.chain,
      ...(text.inside.length === 0
        ? {}
        : { innerException: text.inside.map(({ typeName, message, k }) => ({ typeName, message, evaluateName: `trap(${k})` })) }),
    },
  };
};

const pageWalk = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const { va, access } = walkArguments(d, args);
  const answer = walkTree(d, va, access);
  return { nodes: answer.rows, verdict: answer.verdict };
};

export const trapRequests = (s: Context): Handlers => ({
  exceptionInfo: () => exceptionInfo(s),
  'lguest/view/pageWalk': (a) => pageWalk(s, a),
  'lguest/inject': (a) => injectRequest(s.standing, a),
  ...Object.fromEntries(Object.entries(QUESTIONS).map(([name, ask]): [string, Handler] => [`lguest/${name}`, (a) => ask(s.standing, a)])),
});
