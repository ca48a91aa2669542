// What an address is, in one line: NULL and an offset, the Switcher, a symbol, a mapping of the process and how far beside it, a stack, vmalloc space, a guard page.
//
// The nearest truth that can be told comes first; what needs debug information of a Linux kernel is left out without it. Left out: page tables (page-walk.ts).

import { hex, SWITCHER_ADDR } from '../lguest/abi';
import type { Programs } from './programs';
import { hex8, type Target } from './target';
import type { Mapping, Task, Tasks } from './tasks';

/** What is asked for answers: a Debugger has it all. */
export interface AddressSources {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
}

const PAGE = 4096;
/** A mapping that near is worth naming. */
const NEAR = 0x100000;
const VMALLOC_GAP = 0x800000;

export const addressKind = (s: AddressSources, address: number): string => {
  const { target, programs } = s;
  const a = address >>> 0;
  if (a < PAGE) return a === 0 ? 'NULL' : `NULL + ${a}`;
  if (target.host !== undefined && a >= SWITCHER_ADDR) return `the Switcher's area (from ${hex8(SWITCHER_ADDR)} on)`;
  const kernel = kernelStart(target);
  const task = s.tasks.current();
  if (a < kernel) return inProcess(s, task, a) ?? named(programs, a) ?? 'user space';
  if (a >= 0xfffff000 && target.host === undefined)
    return `the end of the address space, ${hex(0x100000000 - a)} bytes below it: NULL - ${0x100000000 - a}`;
  return (
    onKernelStack(s, task, a) ?? inVmalloc(s, a) ?? kernelName(programs, a) ?? (target.host === undefined ? 'no symbol' : 'kernel space')
  );
};

const kernelStart = (target: Target): number => {
  const known = target.host?.lg.kernelAddress ?? 0;
  return known === 0 ? 0xc0000000 : known;
};

const named = (programs: Programs, a: number): string | undefined => {
  const name = programs.nameOf(a);
  return name === undefined ? undefined : name;
};
/** A symbol, unless it is so far below that the address only comes after the last one. */
const kernelName = (programs: Programs, a: number): string | undefined => {
  const hit = programs.symbolAt(a);
  if (hit === undefined || (hit.sized && hit.offset >= Math.max(hit.size, 1)) || hit.offset >= NEAR) return undefined;
  return `${hit.offset === 0 ? hit.name : `${hit.name}+${hex(hit.offset)}`} (${hit.kind === 'function' ? 'kernel code' : 'kernel data'})`;
};

const mappingName = (m: Mapping): string => `${m.file ?? 'anonymous memory'} ${hex8(m.start)}-${hex8(m.end)} ${m.access}`;

/** By the mappings of the process on the processor. */
const inProcess = ({ tasks }: AddressSources, task: Task | undefined, a: number): string | undefined => {
  if (task === undefined || task.mm === 0) return undefined;
  const whose = `pid ${task.pid} ${task.comm}`;
  const list = tasks.mappings(task.mm);
  const inside = list.find((m) => a >= m.start && a < m.end);
  if (inside !== undefined)
    return `${inside.file === '[stack]' ? `the stack of ${whose}` : `in ${mappingName(inside)} of ${whose}`}${inside.file === '[stack]' ? ` (${hex8(inside.start)}-${hex8(inside.end)})` : ''}`;
  const above = list.find((m) => m.start > a);
  if (above?.file === '[stack]' && above.start - a < NEAR)
    return `${above.start - a} bytes below the stack of ${whose} (${hex8(above.start)}): it may grow there`;
  const below = list.findLast((m) => m.end <= a);
  if (below !== undefined && a - below.end < NEAR)
    return `${a - below.end} bytes behind ${mappingName(below)} of ${whose}: nothing is mapped there`;
  return `no mapping of ${whose}`;
};

/** The kernel stack in use, and what lies just below it. */
const onKernelStack = ({ target, tasks }: AddressSources, task: Task | undefined, a: number): string | undefined => {
  const { host } = target;
  const whose = task === undefined ? '' : ` of pid ${task.pid} ${task.comm}`;
  const low = task === undefined ? undefined : tasks.object(task).number('stack', 'thread_info');
  const size = tasks.data.type('union thread_union')?.size;
  if (low !== undefined && size !== undefined) {
    if (a >= low && a < low + size) return `the kernel stack${whose} (${hex8(low)}-${hex8(low + size)})`;
    if (a < low && low - a <= PAGE) return `${low - a} bytes below the kernel stack${whose}: it overflowed`;
    return undefined;
  }
  if (host === undefined || host.lg.stackPages === 0) return undefined;
  const { esp1, stackPages } = host.lg;
  const bottom = esp1 - stackPages * PAGE;
  return a < esp1 && a >= bottom ? `the kernel stack of SET_STACK (${stackPages} pages below ${hex8(esp1)})` : undefined;
};

/** Between the kernel's memory and its fixed mappings: what vmalloc gave out, and the guard page behind each piece. */
const inVmalloc = ({ target, tasks }: AddressSources, a: number): string | undefined => {
  const { data } = tasks;
  const highAt = data.address('high_memory');
  const high = highAt === undefined ? undefined : target.read32(highAt);
  if (high === undefined || high === 0 || a < high) return undefined;
  const listAt = data.address('vmlist');
  let at = listAt === undefined ? undefined : target.read32(listAt);
  for (let n = 0; at !== undefined && at !== 0 && n < 10_000; n++) {
    const area = data.at('vm_struct', at);
    const start = area.number('addr');
    const size = area.number('size');
    if (start === undefined || size === undefined) break;
    if (a >= start && a < start + size)
      return a >= start + size - PAGE
        ? `the guard page behind vmalloc memory ${hex8(start)}-${hex8(start + size - PAGE)}`
        : `vmalloc memory ${hex8(start)}-${hex8(start + size - PAGE)}`;
    at = area.number('next');
  }
  const topAt = data.address('__FIXADDR_TOP');
  const top = topAt === undefined ? undefined : target.read32(topAt);
  if (top !== undefined && a >= top - 0x100000) return 'the fixed mappings of the kernel';
  const start = (high + VMALLOC_GAP) & ~(VMALLOC_GAP - 1);
  return a < start >>> 0 ? 'the hole between memory and vmalloc space' : 'vmalloc space where nothing is given out';
};
