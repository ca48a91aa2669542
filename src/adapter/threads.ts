// Threads: the processor, always number 1, and with "threads": "tasks" every task of the Guest that is not on it.
//
// A task keeps its number for the whole session, also when its pid is used again. While the Guest runs, the newest list known is answered: tasks are read at stops only.
// What it leaves out: reading tasks (debugger/tasks.ts).

import { taskName } from '../debugger/task-views';
import type { Debugger } from '../debugger/session';
import { hostFrames, type Stack } from '../debugger/stack';
import type { Task } from '../debugger/tasks';
import type { Pieces } from '../symbols/pieces';
import { type Context, THREAD } from './context';
import { after, loading } from './jobs';
import { ERRORS, type Handlers, RequestError } from './requests';

/** With "hostFrames": "thread": what the Host decided about the trap at hand or the newest. */
const HOST_THREAD = THREAD + 1;
/** So many threads say what they wait for; with more of them, that is left to who opens one. */
const EAGER = 32;
const MOST = 1000;
const INDEX_DELAY_MS = 300;

interface Thread {
  id: number;
  name: string;
}
interface Known {
  ids: Map<string, number>;
  next: number;
  /** At the newest stop. */
  tasks: Map<number, Task>;
  /** The processor's, the name as it was last asked for: most stops of a row of steps are told and not looked at. */
  cpu: Thread;
  others: Thread[];
  /** Whose names are gone through, or will be. */
  prepared: Debugger | undefined;
}
const sessions = new WeakMap<Context, Known>();
const knownOf = (s: Context): Known => {
  let known = sessions.get(s);
  if (known === undefined)
    sessions.set(
      s,
      (known = {
        ids: new Map(),
        next: HOST_THREAD + 1,
        tasks: new Map(),
        cpu: { id: THREAD, name: 'CPU 0' },
        others: [],
        prepared: undefined,
      }),
    );
  return known;
};

const indexed = (s: Context, d: Debugger): void | Promise<void> => {
  const names = function* (): Pieces<void> {
    for (const { symbols } of d.programs.list) if (symbols !== undefined) yield* symbols.indexing();
  };
  return loading(s, 'Reading the names of the kernel', names());
};

/** Goes through the kernel's names when nobody waits, so that the second stop knows its tasks at once. */
const prepare = (s: Context): void => {
  const { d } = s;
  const known = knownOf(s);
  if (d === undefined || known.prepared === d || d.tasks.ready) return;
  known.prepared = d;
  setTimeout(() => s.d === d && !s.closed && void after(indexed(s, d), () => d.tasks.known), INDEX_DELAY_MS).unref?.();
};

const cpuName = (d: Debugger): string => {
  const task = d.tasks.current();
  // Before a kernel has tasks, or where nobody knows what a task is.
  if (task === undefined) return d.tasks.known ? 'CPU 0 – boot' : 'CPU 0';
  const atHost = d.target.host?.inSwitcher === true || d.trapSteps.decision !== undefined;
  const where = atHost ? 'host' : (d.target.register('cs') & 3) === 3 ? 'user' : 'kernel';
  return `CPU 0 – ${task.comm} (pid ${task.pid}) ${where}`;
};

/** Reads the tasks at a stop; tells which threads came and went. */
export const refreshThreads = (s: Context): void => {
  const { d } = s;
  const known = knownOf(s);
  if (d === undefined || d.running) return;
  if (s.launchArguments?.threads !== 'tasks' || !d.tasks.known) {
    prepare(s);
    known.others = [];
    return;
  }
  const before = known.tasks;
  const sleeping = d.tasks
    .list()
    .tasks.filter((t) => !t.current)
    .slice(0, MOST);
  known.tasks = new Map();
  known.others = [];
  for (const task of sleeping) {
    let id = known.ids.get(task.key);
    if (id === undefined) known.ids.set(task.key, (id = known.next++));
    known.tasks.set(id, task);
    known.others.push({ id, name: sleeping.length <= EAGER ? taskName(d, task) : `pid ${task.pid} ${task.comm} [${task.state}]` });
  }
  for (const id of known.tasks.keys()) if (!before.has(id)) s.event('thread', { reason: 'started', threadId: id });
  for (const id of before.keys()) if (!known.tasks.has(id)) s.event('thread', { reason: 'exited', threadId: id });
};

const hasHostThread = (s: Context): boolean => s.launchArguments?.hostFrames === 'thread' && s.d?.target.host !== undefined;

/** The sleeping task of a thread; undefined for the processor. @throws RequestError for a number that is no thread. */
export const taskOfThread = (s: Context, id: unknown): Task | undefined => {
  if (id === undefined || id === THREAD || (id === HOST_THREAD && hasHostThread(s))) return undefined;
  const task = typeof id === 'number' ? knownOf(s).tasks.get(id) : undefined;
  if (task === undefined)
    throw new RequestError(ERRORS.badArgument, `There is no thread ${JSON.stringify(id)} now: its task is on the processor or gone.`);
  return task;
};

/** The call chain of a thread. */
export const stackOfThread = (s: Context, id: unknown): Pick<Stack, 'frames' | 'complete' | 'need'> => {
  const d = s.standing;
  if (id === HOST_THREAD && hasHostThread(s))
    return { frames: d.record === undefined ? [] : hostFrames(d.record), complete: true, need: () => {} };
  const task = taskOfThread(s, id);
  return task === undefined ? d.stack() : d.stackOf(task);
};

export const threadRequests = (s: Context): Handlers => ({
  threads: () => {
    const { d } = s;
    const known = knownOf(s);
    if (d !== undefined && !d.running) {
      const named = d.tasks.ready || (s.launchArguments?.threads === 'tasks' && d.tasks.known);
      known.cpu = { id: THREAD, name: named ? cpuName(d) : 'CPU 0' };
    }
    return { threads: [known.cpu, ...(hasHostThread(s) ? [{ id: HOST_THREAD, name: 'Host – run_guest' }] : []), ...known.others] };
  },
});
