// The tasks of a Linux Guest, found by the kernel's own debug information: who there is, who runs, what each waits for, owns and maps.
//
// Everything is read from memory when asked; nothing is followed while the Guest runs. Lists may be broken (that is what debuggers are for): walks are cut, and say so.
// What it leaves out: call chains (stack.ts makes them from the saved registers given here) and user programs' names (user-programs.ts).

import { LHCALL } from '../lguest/abi';
import type { TrapRecord } from '../lguest/trap-record';
import { ExpressionError, type FastReader } from './expression';
import type { Field, KernelObject } from './kernel-data';
import { KernelData } from './kernel-data';
import type { Programs } from './programs';
import { hex8, LINEAR, type Space, type Target } from './target';

export interface Task {
  /** Linear address of the task_struct. */
  address: number;
  pid: number;
  tgid: number;
  comm: string;
  /** One letter as ps has it: R S D T t Z X. */
  state: string;
  /** Linear address of the mm_struct; 0 for a kernel thread. */
  mm: number;
  /** On the processor now. */
  current: boolean;
  /** Stays the same for a task and is used by no other: a pid comes again, and so does a task_struct. */
  key: string;
}

/** A mapping of a process. Addresses are linear; `offset` in bytes of the file. */
export interface Mapping {
  start: number;
  end: number;
  /** `r-xp`. */
  access: string;
  executable: boolean;
  offset: number;
  /** Path in the Guest, or what else lies there. */
  file: string | undefined;
}

/** Registers of a task that is not on the processor, as far as they are kept. By DWARF number. */
export interface SavedContext {
  registers: (number | undefined)[];
  /** It has never run: the way back to ring 3 or its first function stands on its stack. */
  fresh: boolean;
  /** Its place is behind a call. */
  afterCall: boolean;
}

const ESP = 4;
const EIP = 8;
const VM_READ = 1;
const VM_WRITE = 2;
const VM_EXEC = 4;
const VM_SHARED = 8;
const PATH_PARTS = 64;
const MAPPINGS = 2000;
const FILES = 1024;
/** Registers that pops restore, by their number in the opcode. */
const POP = [0, 1, 2, 3, 4, 5, 6, 7];

export const STATE_WORDS: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'uninterruptible sleep',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  X: 'dead',
  '?': 'unknown',
};

/** Letter of `state` and `exit_state` as Linux 2.6.24 numbers them. */
const stateLetter = (state: number | undefined, exit: number | undefined): string => {
  if (state === undefined) return '?';
  const all = state | (exit ?? 0);
  if (all & 16) return 'Z';
  if (all & (32 | 64)) return 'X';
  if (state === 0) return 'R';
  return state & 1 ? 'S' : state & 2 ? 'D' : state & 4 ? 'T' : state & 8 ? 't' : '?';
};

export class Tasks {
  readonly data: KernelData;
  private currentPlaces: { count: number; addresses: readonly number[] } | undefined;

  constructor(
    readonly target: Target,
    readonly programs: Programs,
  ) {
    this.data = new KernelData(target, programs);
  }

  /** Whether the kernel's debug information tells what a task is. */
  get known(): boolean {
    return this.data.field('task_struct', 'pid') !== undefined && this.data.field('task_struct', 'comm') !== undefined;
  }
  /** As `known`, but false rather than slow while the names of the kernel have not been gone through: for what is asked at every stop. */
  get ready(): boolean {
    return this.programs.list.some((p) => p.symbols?.indexed) && this.known;
  }
  private want(): void {
    if (!this.known)
      throw new ExpressionError(
        'the kernel has no debug information about tasks (no struct task_struct): name its vmlinux in "symbolFiles"',
      );
  }

  /** Where the kernel keeps the pointer to the task on the processor: its virtual address, and the physical one that counts early in a boot. */
  private currentPointers(): readonly number[] {
    const { programs, data } = this;
    if (this.currentPlaces?.count !== programs.list.length) {
      const found = ['per_cpu__current_task', 'current_task'].flatMap((name) => data.addresses(name));
      this.currentPlaces = { count: programs.list.length, addresses: found };
    }
    const { addresses } = this.currentPlaces;
    if (addresses.length === 0) return addresses;
    // One processor: the first area of per-CPU variables, where there are several.
    const offset = data.address('__per_cpu_offset');
    if (offset === undefined) return addresses;
    const area = data.read32(offset) ?? 0;
    return addresses.map((at) => (at + area) >>> 0);
  }

  /** Address of the current task_struct. Cheap: conditions ask it. */
  currentAddress(): number | undefined {
    const pointers = this.currentPointers();
    let at = pointers.length === 0 ? this.fromStack() : undefined;
    for (let i = 0; i < pointers.length && at === undefined; i++) at = this.target.read32(pointers[i]);
    return at === undefined || at < 0x1000 ? undefined : at;
  }
  /** Kernels without such a pointer: thread_info lies at the bottom of the kernel stack and knows its task. */
  private fromStack(): number | undefined {
    const { target, data } = this;
    const member = data.field('thread_info', 'task');
    if (member === undefined) return undefined;
    const esp = (target.register('cs') & 3) === 3 ? target.host?.lg.esp1 : target.register('esp');
    if (esp === undefined) return undefined;
    for (const size of [8192, 4096]) {
      const info = (esp & ~(size - 1)) >>> 0;
      const task = target.read32(info + member.offset);
      if (task === undefined || task < 0x1000) continue;
      const back = data.at('task_struct', task).number('stack', 'thread_info');
      if (back === info) return task;
    }
    return undefined;
  }

  /** Whose kernel stack an address lies on: the bottom of every kernel stack leads to its task. */
  onStack(address: number): number | undefined {
    const { data } = this;
    const member = data.field('thread_info', 'task');
    const size = data.type('union thread_union')?.size ?? 8192;
    if (member !== undefined) {
      const task = this.target.read32(((address - 1) & ~(size - 1)) + member.offset);
      if (task !== undefined && task >= 0x1000) return task;
    }
    return this.list().tasks.find((t) => this.object(t).number('thread.esp0', 'thread.sp0') === address >>> 0)?.address;
  }

  current(): Task | undefined {
    const at = this.currentAddress();
    return at === undefined || !this.known ? undefined : this.read(at);
  }

  /** The task at an address, if something is there. */
  at(address: number): Task | undefined {
    return this.known ? this.read(address) : undefined;
  }

  private read(address: number, current = this.currentAddress()): Task | undefined {
    const o = this.data.at('task_struct', address);
    const pid = o.number('pid');
    if (pid === undefined) return undefined;
    return {
      address,
      pid: pid | 0,
      tgid: (o.number('tgid') ?? pid) | 0,
      comm: o.text('comm') ?? '?',
      state: stateLetter(o.number('state', '__state'), o.number('exit_state')),
      mm: o.number('mm') ?? 0,
      current: address === current,
      key: `${hex8(address)}@${o.wide('start_time.tv_sec', 'start_time') ?? 0n}.${o.number('start_time.tv_nsec') ?? 0}.${pid}`,
    };
  }

  /** All tasks: init_task first (pid 0, the idle task), then process by process with their threads. @throws ExpressionError without debug information. */
  list(): { tasks: Task[]; broken: string | undefined } {
    this.want();
    const { data } = this;
    const first = data.address('init_task');
    const link = data.field('task_struct', 'tasks');
    if (first === undefined || link === undefined) throw new ExpressionError('this kernel has no list of tasks (init_task.tasks)');
    const current = this.currentAddress();
    const tasks: Task[] = [];
    const seen = new Set<number>();
    const add = (address: number): void => {
      if (seen.has(address)) return;
      seen.add(address);
      const task = this.read(address, current);
      if (task !== undefined) tasks.push(task);
    };
    add(first);
    const leaders = data.list(first + link.offset, link.offset);
    let { broken } = leaders;
    for (const leader of leaders.objects) {
      add(leader);
      const threads = this.threadsOf(leader);
      broken ??= threads.broken;
      for (const thread of threads.objects) add(thread);
    }
    if (current !== undefined) add(current);
    return { tasks, broken };
  }
  private threadsOf(leader: number): { objects: number[]; broken: string | undefined } {
    const { data } = this;
    const group = data.field('task_struct', 'thread_group');
    if (group !== undefined) return data.list(leader + group.offset, group.offset);
    const node = data.field('task_struct', 'thread_node');
    const head = data.at('task_struct', leader).follow('signal_struct', 'signal')?.addressOf('thread_head');
    return node === undefined || head === undefined ? { objects: [], broken: undefined } : data.list(head, node.offset);
  }

  /** By pid; negative or 0 is the idle task. @throws ExpressionError when there is none. */
  byPid(pid: number): Task {
    const found = this.list().tasks.find((t) => t.pid === pid);
    if (found === undefined) throw new ExpressionError(`there is no task with pid ${pid}; "tasks" lists them`);
    return found;
  }

  object(task: Pick<Task, 'address'>): KernelObject {
    return this.data.at('task_struct', task.address);
  }

  /** The address space of a task: its own page directory, or what the processor has for the current task and for kernel threads. */
  space(task: Task): Space {
    if (task.current || task.mm === 0) return LINEAR;
    const pgd = this.data.at('mm_struct', task.mm).number('pgd');
    const directory = pgd === undefined ? undefined : this.target.physical(pgd);
    return directory === undefined ? LINEAR : { kind: 'linear', directory };
  }

  /** What a sleeping task will continue with: the stack pointer and place that the switch kept, and what its first instructions pop. */
  saved(task: Task): SavedContext | undefined {
    const o = this.object(task);
    const esp = o.number('thread.esp', 'thread.sp');
    const eip = o.number('thread.eip', 'thread.ip');
    if (esp === undefined || eip === undefined || esp === 0) return undefined;
    const registers: (number | undefined)[] = new Array(9).fill(undefined);
    const fresh = this.programs.symbolAt(eip)?.name.startsWith('ret_from_') ?? false;
    let pc = eip;
    let sp = esp;
    // A switch pushes what it wants kept before it stores the stack pointer; the code at the saved place pops it again.
    let afterCall = false;
    for (let n = 0; n < 8 && !fresh && !afterCall; n++) {
      const op = this.target.read(pc, 1)[0];
      if (op === undefined) break;
      if (op === 0xc3) {
        pc = this.data.read32(sp) ?? 0;
        sp += 4;
        afterCall = true;
        break;
      }
      if (op >= 0x58 && op <= 0x5f && op !== 0x5c) registers[POP[op - 0x58]] = this.data.read32(sp);
      else if (op !== 0x9d) break;
      sp += 4;
      pc += 1;
    }
    registers[ESP] = sp >>> 0;
    registers[EIP] = pc >>> 0;
    return { registers, fresh, afterCall };
  }

  /** Registers that a task had in ring 3 when it entered the kernel: the words at the very top of its kernel stack. By DWARF number. */
  userRegisters(task: Task): { registers: (number | undefined)[]; cs: number } | undefined {
    const size = this.data.field('pt_regs', 'eip', 'ip') === undefined ? undefined : this.data.type('struct pt_regs')?.size;
    const top = this.object(task).number('thread.esp0', 'thread.sp0');
    if (size === undefined || top === undefined || top < size) return undefined;
    return this.ptRegs(top - size);
  }
  /** A `pt_regs` at an address. By DWARF number. */
  ptRegs(address: number): { registers: (number | undefined)[]; cs: number } | undefined {
    const o = this.data.at('pt_regs', address);
    const cs = o.number('xcs', 'cs');
    const eip = o.number('eip', 'ip');
    if (cs === undefined || eip === undefined) return undefined;
    const registers: (number | undefined)[] = [
      o.number('eax', 'ax'),
      o.number('ecx', 'cx'),
      o.number('edx', 'dx'),
      o.number('ebx', 'bx'),
      (cs & 3) === 3 ? o.number('esp', 'sp') : o.addressOf('esp', 'sp'),
      o.number('ebp', 'bp'),
      o.number('esi', 'si'),
      o.number('edi', 'di'),
      eip,
    ];
    return { registers, cs: cs & 0xffff };
  }

  // ---- what a task owns -------------------------------------------------------------------------------------------------------------------

  /** The mappings of a process, by address; empty for kernel threads. */
  mappings(mm: number): Mapping[] {
    const found: Mapping[] = [];
    if (mm === 0) return found;
    const seen = new Set<number>();
    let vma = this.data.at('mm_struct', mm).follow('vm_area_struct', 'mmap');
    const o = this.data.at('mm_struct', mm);
    const heap = o.number('start_brk');
    const stack = o.number('start_stack');
    while (vma !== undefined && found.length < MAPPINGS && !seen.has(vma.address)) {
      seen.add(vma.address);
      const start = vma.number('vm_start');
      const end = vma.number('vm_end');
      if (start === undefined || end === undefined) break;
      const flags = vma.number('vm_flags') ?? 0;
      const file = vma.follow('file', 'vm_file');
      found.push({
        start,
        end,
        access: `${flags & VM_READ ? 'r' : '-'}${flags & VM_WRITE ? 'w' : '-'}${flags & VM_EXEC ? 'x' : '-'}${flags & VM_SHARED ? 's' : 'p'}`,
        executable: (flags & VM_EXEC) !== 0,
        offset: file === undefined ? 0 : (vma.number('vm_pgoff') ?? 0) * 4096,
        file:
          file !== undefined
            ? this.path(file)
            : stack !== undefined && stack >= start && stack < end
              ? '[stack]'
              : heap !== undefined && heap >= start && heap < end
                ? '[heap]'
                : undefined,
      });
      vma = vma.follow('vm_area_struct', 'vm_next');
    }
    return found;
  }

  /** Path of an open file in the Guest, through its mounts. */
  path(file: KernelObject): string {
    let dentry = file.follow('dentry', 'f_path.dentry', 'f_dentry');
    let mount = file.follow('vfsmount', 'f_path.mnt', 'f_vfsmnt');
    const parts: string[] = [];
    for (let n = 0; n < PATH_PARTS && dentry !== undefined; n++) {
      const root = mount?.number('mnt_root');
      const parent = dentry.follow('dentry', 'd_parent');
      if (dentry.address === root || parent === undefined || parent.address === dentry.address) {
        const up = mount?.follow('vfsmount', 'mnt_parent');
        if (mount === undefined || up === undefined || up.address === mount.address || dentry.address !== root) {
          const name = dentry.text('d_name.name') ?? '/';
          return name === '/' ? `/${parts.join('/')}` : `${name}${parts.join('/')}`;
        }
        dentry = mount.follow('dentry', 'mnt_mountpoint');
        mount = up;
        continue;
      }
      parts.unshift(dentry.text('d_name.name') ?? '?');
      dentry = parent;
    }
    return parts.length === 0 ? '?' : `.../${parts.join('/')}`;
  }

  /** Open files by descriptor. */
  files(task: Task): { fd: number; path: string; file: number }[] {
    const found: { fd: number; path: string; file: number }[] = [];
    const table = this.object(task).follow('files_struct', 'files')?.follow('fdtable', 'fdt');
    const array = table?.number('fd');
    const most = Math.min(FILES, table?.number('max_fds') ?? 0);
    if (array === undefined) return found;
    for (let fd = 0; fd < most; fd++) {
      const file = this.data.read32(array + 4 * fd);
      if (file === undefined) break;
      if (file !== 0) found.push({ fd, file, path: this.path(this.data.at('file', file)) });
    }
    return found;
  }

  parent(task: Task): number | undefined {
    return this.object(task).number('real_parent', 'parent');
  }

  // ---- conditions at speed ------------------------------------------------------------------------------------------------------------------

  /** Readers of the current task's numbers for compiled conditions. */
  fastReader(name: string): FastReader | undefined {
    const field = name === 'pid' || name === 'tgid' ? this.data.field('task_struct', name) : undefined;
    if (field === undefined || !this.known) return undefined;
    const { target } = this;
    return { get: () => (target.read32((this.currentAddress() ?? 0) + field.offset) ?? -1) | 0, signed: true };
  }
  /** Whether the current task's name is a text, for compiled conditions. */
  commIs(text: string): (() => boolean) | undefined {
    const field: Field | undefined = this.data.field('task_struct', 'comm');
    if (field === undefined || !this.known) return undefined;
    const wanted = new TextEncoder().encode(`${text}\0`);
    if (wanted.length > field.size) return () => false;
    return () => {
      const at = this.currentAddress();
      if (at === undefined) return false;
      const have = this.target.read(at + field.offset, wanted.length);
      return have.length === wanted.length && wanted.every((b, i) => have[i] === b);
    };
  }
}

/**
 * Who gives way to whom at a SET_STACK that is not yet done: pids where the kernel's debug information tells what a task is, else kernel stacks. undefined: the
 * record is no task switch.
 */
export const switchedTasks = (target: Target, tasks: Tasks, r: TrapRecord): { from: number; to: number } | undefined => {
  const { host } = target;
  if (host === undefined || r.hypercall?.number !== LHCALL.SET_STACK) return undefined;
  const pid = (stack: number): number | undefined => {
    const at = tasks.known ? tasks.onStack(stack) : undefined;
    return at === undefined ? undefined : tasks.at(at)?.pid;
  };
  const [old, next] = [host.lg.esp1 >>> 0, r.hypercall.args[1] >>> 0];
  const [from, to] = [tasks.known ? tasks.current()?.pid : undefined, pid(next)];
  return from === undefined || to === undefined ? { from: old, to: next } : { from, to };
};
