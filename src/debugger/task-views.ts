// Tasks as people read them: the tree beside the editor, the list of the console, and everything about one task.
//
// Rows are finished text, parts are made when opened by the views that ask for one task. What it leaves out: finding tasks and reading them (tasks.ts).

import { descriptorText } from './descriptor-text';
import { ExpressionError } from './expression';
import type { Debugger } from './session';
import { hex8 } from './target';
import { STATE_WORDS, type Task } from './tasks';
import type { TreeRow } from './views';

const TREE_DEPTH = 64;
const STACK_SHOWN = 24;

/** `pid 1 init [S] sys_wait4`: how a task is called in lists. */
export const taskName = (d: Debugger, task: Task): string => {
  const where = task.current ? '' : waitChannel(d, task);
  return `pid ${task.pid} ${task.comm} [${task.state}]${where === undefined || where === '' ? '' : ` ${where}`}`;
};

/** What each task was found to wait in, and what its stack held then: a list of threads asks at every step, and few tasks have run meanwhile. */
const channels = new WeakMap<Debugger, Map<string, { stack: string; channel: string | undefined }>>();
/** Bytes of a sleeping stack that tell it from another one at the same place: further than the frames that are looked at reach. */
const STACK_TOLD = 2048;
/** Behind its end another stack may lie, which changes as it likes. */
const STACK_SIZE = 8192;

/** The function that a sleeping task waits in: the first on its stack that is no part of the scheduler. */
export const waitChannel = (d: Debugger, task: Task): string | undefined => {
  if (task.current) return undefined;
  const known = channels.get(d) ?? new Map<string, { stack: string; channel: string | undefined }>();
  channels.set(d, known);
  const esp = d.tasks.object(task).number('thread.esp', 'thread.sp');
  const bytes =
    esp === undefined ? undefined : d.target.read(esp, Math.min(STACK_TOLD, STACK_SIZE - (esp % STACK_SIZE)), d.tasks.space(task));
  const stack = `${d.programs.generation} ${task.address} ${esp} ${bytes === undefined ? '' : latin.decode(bytes)}`;
  const before = known.get(task.key);
  if (before?.stack === stack) return before.channel;
  const channel = findChannel(d, task);
  known.set(task.key, { stack, channel });
  return channel;
};
const latin = new TextDecoder('latin1');

const findChannel = (d: Debugger, task: Task): string | undefined => {
  const { data } = d.tasks;
  const low = data.address('__sched_text_start');
  const high = data.address('__sched_text_end');
  const stack = tryStack(d, task);
  if (stack === undefined) return undefined;
  const inScheduler = (pc: number, name: string): boolean =>
    low !== undefined && high !== undefined ? pc >= low && pc < high : /^(__)?(schedule|context_switch|io_schedule)/.test(name);
  for (let count = 4; count < 2 * STACK_SHOWN; count *= 2) {
    stack.need(count);
    const frame = stack.frames.find((f) => f.kind === 'code' && f.inlineDepth === outermost(stack.frames, f) && !inScheduler(f.pc, f.name));
    if (frame !== undefined) return frame.name.replace(/\+0x[0-9a-f]+$/, '');
  }
  return undefined;
};
/** Inlined functions are left out: the one with the frame has the name that ps would show. */
const outermost = (frames: readonly { pc: number; inlineDepth: number }[], f: { pc: number }): number =>
  Math.max(...frames.filter((x) => x.pc === f.pc).map((x) => x.inlineDepth));

const tryStack = (d: Debugger, task: Task): ReturnType<Debugger['stackOf']> | undefined => {
  try {
    return d.stackOf(task);
  } catch (error) {
    if (error instanceof ExpressionError) return undefined;
    throw error;
  }
};

/** One line a task, as ps has it. */
export const taskListText = (d: Debugger, filter = ''): string => {
  const { tasks, broken } = d.tasks.list();
  const wanted = tasks.filter((t) => filter === '' || String(t.pid) === filter || t.comm.includes(filter));
  const rows = wanted.map((t) => {
    const parent = parentPid(d, t);
    return `${t.current ? '*' : ' '} ${String(t.pid).padStart(5)} ${String(parent ?? '-').padStart(5)} ${t.state}  ${hex8(t.address)} ${(t.mm === 0 ? `[${t.comm}]` : t.comm).padEnd(17)} ${t.current ? '' : (waitChannel(d, t) ?? '')}`.trimEnd();
  });
  const head = '    PID  PPID S  TASK       COMMAND           WAITS IN';
  return `${[head, ...rows].join('\n')}\n${broken === undefined ? '' : `the list of tasks is damaged: ${broken}\n`}`;
};

const parentPid = (d: Debugger, task: Task): number | undefined => {
  const parent = d.tasks.parent(task);
  return parent === undefined || parent === task.address ? undefined : d.tasks.data.at('task_struct', parent).number('pid');
};

/** Parents with their children, threads under their process. */
export const taskTree = (d: Debugger): TreeRow[] => {
  if (!d.tasks.known) return [{ label: 'The kernel has no debug information about tasks', tooltip: 'Name its vmlinux in "symbolFiles".' }];
  const { tasks, broken } = d.tasks.list();
  const byAddress = new Map(tasks.map((t) => [t.address, t]));
  const below = new Map<number, Task[]>();
  const roots: Task[] = [];
  for (const task of tasks) {
    const parent = task.tgid === task.pid ? d.tasks.parent(task) : tasks.find((t) => t.pid === task.tgid)?.address;
    if (parent === undefined || parent === task.address || !byAddress.has(parent)) roots.push(task);
    else below.set(parent, [...(below.get(parent) ?? []), task]);
  }
  const shown = new Set<number>();
  const row = (task: Task, depth: number): TreeRow => {
    shown.add(task.address);
    const children =
      depth > TREE_DEPTH ? [] : (below.get(task.address) ?? []).filter((t) => !shown.has(t.address)).map((t) => row(t, depth + 1));
    const waits = task.current ? 'on the processor' : waitChannel(d, task);
    return {
      label: `${task.pid} ${task.mm === 0 ? `[${task.comm}]` : task.comm}`,
      description: `${STATE_WORDS[task.state] ?? task.state}${waits === undefined ? '' : `, ${task.current ? waits : `in ${waits}`}`}`,
      tooltip: `task_struct at ${hex8(task.address)}`,
      reference: hex8(task.address),
      as: 'struct task_struct',
      task: task.pid,
      ...(depth < 2 ? { expanded: true } : {}),
      ...(children.length === 0 ? {} : { children }),
    };
  };
  const rows = roots.map((t) => row(t, 0));
  // Parents in a circle are no roots: whoever was not reached is shown flat.
  for (const task of tasks) if (!shown.has(task.address)) rows.push(row(task, TREE_DEPTH + 1));
  return broken === undefined ? rows : [...rows, { label: 'The list of tasks is damaged', description: broken }];
};

/** Everything about one task. */
export const taskRows = (d: Debugger, task: Task): TreeRow[] => {
  const { tasks } = d;
  const o = tasks.object(task);
  const rows: TreeRow[] = [
    { label: 'state', description: `${task.state} ${STATE_WORDS[task.state] ?? ''}${task.current ? ', on the processor' : ''}` },
    { label: 'task_struct', description: hex8(task.address) },
    { label: 'pid, tgid, parent', description: `${task.pid}, ${task.tgid}, ${parentPid(d, task) ?? 'none'}` },
  ];
  const credentials = o.follow('cred', 'cred') ?? o;
  const ids = ['uid', 'euid', 'gid', 'egid'].map((name) => [name, credentials.number(name)] as const).filter(([, v]) => v !== undefined);
  if (ids.length > 0) rows.push({ label: 'credentials', description: ids.map(([name, v]) => `${name} ${v}`).join(', ') });
  const priority = o.number('static_prio');
  if (priority !== undefined) rows.push({ label: 'priority', description: `static ${priority}, nice ${priority - 120}` });
  const stack = o.number('stack', 'thread_info');
  const top = o.number('thread.esp0', 'thread.sp0');
  if (stack !== undefined)
    rows.push({ label: 'kernel stack', description: `${hex8(stack)}${top === undefined ? '' : `, esp0 ${hex8(top)}`}` });
  const waits = waitChannel(d, task);
  if (waits !== undefined) rows.push({ label: 'waits in', description: waits });
  const tls = o.field('thread.tls_array');
  if (tls !== undefined) {
    const words = tasks.data.bytes(task.address + tls.offset, Math.min(24, tls.size));
    if (words?.some((b) => b !== 0)) rows.push({ label: 'TLS', description: tlsText(words) });
  }
  const chain = tryStack(d, task);
  if (chain !== undefined) {
    chain.need(STACK_SHOWN);
    rows.push({
      label: 'stack',
      description: `${chain.frames.length} frames`,
      children: chain.frames.map((f) => ({
        label: f.name,
        ...(f.kind === 'code'
          ? { description: `${hex8(f.pc)}${f.file === undefined ? '' : ` ${f.file.split('/').pop()}:${f.line}`}` }
          : {}),
      })),
    });
  }
  if (task.mm === 0) rows.push({ label: 'mm', description: 'none: a kernel thread' });
  else {
    const mm = tasks.data.at('mm_struct', task.mm);
    const pgd = mm.number('pgd');
    const mappings = tasks.mappings(task.mm);
    rows.push({
      label: 'mm',
      description: `${hex8(task.mm)}, pgd ${pgd === undefined ? 'unknown' : hex8(pgd)}, ${mappings.length} mappings`,
      children: mappings.map((m) => ({
        label: `${hex8(m.start)}-${hex8(m.end)} ${m.access}`,
        description: m.file === undefined ? '' : m.file.startsWith('[') ? m.file : `${m.file} from ${hex8(m.offset)}`,
      })),
    });
  }
  const files = tasks.files(task);
  rows.push({
    label: 'files',
    description: `${files.length} open`,
    children: files.map((f) => ({ label: String(f.fd), description: f.path, tooltip: `struct file at ${hex8(f.file)}` })),
  });
  return rows;
};

/** The descriptors that are set, by their places in the table. */
const tlsText = (bytes: Uint8Array): string => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const texts: string[] = [];
  for (let i = 0; i + 8 <= bytes.length; i += 8) {
    const [low, high] = [view.getUint32(i, true), view.getUint32(i + 4, true)];
    if (low !== 0 || high !== 0) texts.push(`[${i / 8}] ${descriptorText(low, high)}`);
  }
  return texts.join('; ');
};

/** A task as plain data, for requests. */
export const taskBody = (d: Debugger, task: Task): object => ({
  pid: task.pid,
  tgid: task.tgid,
  comm: task.comm,
  state: task.state,
  current: task.current,
  address: hex8(task.address),
  kernelThread: task.mm === 0,
  waitChannel: waitChannel(d, task),
  name: taskName(d, task),
});
