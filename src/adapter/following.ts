// What a client shows at every stop without asking: it says once what that is, and each stop is followed by one event with all of it. An editor's own questions
// pass through its busy page twice each way; this saves them. Only what is cheap can be followed, since the editor's first questions come right behind.

import { heldWhileStepping } from '../debugger/irq-state';
import { parseGroups } from '../debugger/registers-view';
import { trapTree } from '../debugger/views';
import { formatPosition } from '../lguest/trap-record';
import type { Context } from './context';
import { type Arguments, ERRORS, type Handler, type Handlers, RequestError } from './requests';

const views = (s: Context): Readonly<Record<string, (args: Arguments) => object>> => ({
  'lguest/view/registers': (a) => ({ nodes: s.registersView.tree(s.standing, parseGroups(a.groups)) }),
  'lguest/view/trap': () => ({ nodes: trapTree(s.standing) }),
});

const info = (s: Context): object => {
  const { target } = s.standing;
  return {
    position: formatPosition(target.position),
    ns: target.nowNs,
    traps: target.records.count,
    held: heldWhileStepping(target.host),
  };
};

/** `{views: {name: arguments}}` -> `{views: [name]}`: from now on every stop is followed by `lguest/stop`. No views: only where the Guest stands. */
const follow = (s: Context, known: ReturnType<typeof views>, args: Arguments): object => {
  const wanted = new Map(Object.entries((args.views ?? {}) as Record<string, Arguments>));
  for (const name of wanted.keys())
    if (!Object.hasOwn(known, name))
      throw new RequestError(ERRORS.badArgument, `"${name}" cannot be followed; only ${Object.keys(known).join(' and ')} can.`);
  s.followed = () => {
    const told: Record<string, object> = {};
    for (const [name, a] of wanted) {
      try {
        told[name] = known[name](a);
      } catch {
        // The client asks for what it was not told, and gets the reason.
      }
    }
    s.event('lguest/stop', { info: info(s), views: told });
  };
  return { views: [...wanted.keys()] };
};

export const followRequests = (s: Context): Handlers => {
  const known = views(s);
  return {
    ...(known satisfies Readonly<Record<string, Handler>>),
    'lguest/info': () => info(s),
    'lguest/follow': (a) => follow(s, known, a),
  };
};
