// Kernel types as what they mean: a task as pid and name, a page table entry as address and bits, a list as its length, a timer as when and what.
//
// By name and debug information, so for every version that has the members; a type that only looks alike falls back to plain C. Nothing here changes the Guest, and
// a damaged list or pointer gives a short text, never a long walk. A format letter (`,x`) shows the plain numbers. What it leaves out: plain C values (value.ts).

import { PT } from '../lguest/abi';
import { type Type, stripType } from '../symbols/dwarf/types';
import { descriptorWords } from './descriptor-text';
import { entryBits } from './explain';
import { type Environment, findMember, pointerTo, type Value } from './expression';
import type { KernelData } from './kernel-data';
import { hex8 } from './target';
import type { Tasks } from './tasks';
import type { Child, Printer } from './value';

type Reader = Pick<Environment, 'read'>;

/** Elements of a list that are counted and shown. */
const LIST_SHOWN = 1000;
const CPUS = 256;

/** Names on the way from a type to what it stands for: typedefs, then the structure's own. */
const namesOf = (type: Type): string[] => {
  const names: string[] = [];
  let t = type;
  for (let i = 0; i < 16; i++) {
    if (t.kind === 'typedef') {
      names.push(t.name);
      t = t.target;
    } else if (t.kind === 'const' || t.kind === 'volatile' || t.kind === 'restrict' || t.kind === 'atomic') t = t.target;
    else break;
  }
  if ((t.kind === 'struct' || t.kind === 'union') && t.name !== undefined) names.push(t.name);
  return names;
};

/** Number of the first member that is one, however deep: what a `pte_t` of a struct in a struct holds. */
const innerNumber = (env: Reader, v: Value, depth = 0): number | undefined => {
  const t = stripType(v.type);
  if (v.missing !== undefined || depth > 4) return undefined;
  if (t.kind === 'base' || t.kind === 'enum' || t.kind === 'pointer') return Number(BigInt.asUintN(32, v.bits));
  if ((t.kind !== 'struct' && t.kind !== 'union') || t.members.length === 0) return undefined;
  const [first] = t.members;
  const inner = first.name === undefined ? undefined : findMember(env, v, first.name);
  return inner === undefined ? undefined : innerNumber(env, inner, depth + 1);
};

const entryText = (entry: number): string => {
  if (entry === 0) return 'none';
  if ((entry & PT.P) === 0) return `${hex8(entry)} not present`;
  return `${hex8(entry)} → ${hex8(entry & 0xfffff000)} ${entryBits(entry)}`;
};

/** `1.250 s` */
const seconds = (n: number): string => `${n.toFixed(3)} s`;

export class KernelPrinters implements Printer {
  private readonly data: KernelData;
  private readonly table: Readonly<Record<string, (env: Reader, v: Value) => string | undefined>>;

  constructor(private readonly tasks: Tasks) {
    this.data = tasks.data;
    const entry = (env: Reader, v: Value): string | undefined => {
      const n = innerNumber(env, v);
      return n === undefined ? undefined : entryText(n);
    };
    const counter = (env: Reader, v: Value): string | undefined => {
      const n = findMember(env, v, 'counter');
      return n === undefined || n.missing !== undefined ? undefined : n.bits.toString();
    };
    const text =
      (path: string) =>
      (env: Reader, v: Value): string | undefined =>
        this.text(env, v, path);
    this.table = {
      list_head: (env, v) => this.listText(env, v),
      hlist_head: (env, v) => this.hlistText(env, v, 'first'),
      hlist_node: (env, v) => this.hlistText(env, v, 'next'),
      atomic_t: counter,
      atomic64_t: counter,
      atomic_long_t: counter,
      cpumask_t: (env, v) => this.cpus(env, v),
      pte_t: entry,
      pmd_t: entry,
      pud_t: entry,
      pgd_t: entry,
      pgprot_t: entry,
      desc_struct: (env, v) => this.descriptor(env, v),
      task_struct: (_, v) => this.taskText(v.address),
      thread_info: (env, v) => {
        const task = this.number(env, v, 'task');
        const whose = this.taskText(task);
        return whose === undefined ? undefined : `of ${whose}`;
      },
      pt_regs: (env, v) => this.registers(env, v),
      __wait_queue_head: (env, v) => this.waiters(env, v),
      __wait_queue: (env, v) => this.waiter(env, v),
      timer_list: (env, v) => this.timer(env, v),
      ktime: (env, v) => this.ktime(env, v),
      ktime_t: (env, v) => this.ktime(env, v),
      timespec: (env, v) => {
        const s = this.number(env, v, 'tv_sec');
        const ns = this.number(env, v, 'tv_nsec');
        return s === undefined || ns === undefined ? undefined : `${s | 0}.${String(ns).padStart(9, '0')} s`;
      },
      qstr: (env, v) => this.text(env, v, 'name'),
      dentry: text('d_name.name'),
      module: text('name'),
      file: (_, v) => (v.address === undefined ? undefined : this.tasks.path(this.data.at('file', v.address))),
      vm_area_struct: (env, v) => {
        const start = this.number(env, v, 'vm_start');
        const end = this.number(env, v, 'vm_end');
        const flags = this.number(env, v, 'vm_flags') ?? 0;
        if (start === undefined || end === undefined) return undefined;
        const file = this.number(env, v, 'vm_file') ?? 0;
        return `${hex8(start)}-${hex8(end)} ${flags & 1 ? 'r' : '-'}${flags & 2 ? 'w' : '-'}${flags & 4 ? 'x' : '-'}${flags & 8 ? 's' : 'p'}${file === 0 ? '' : ` ${this.tasks.path(this.data.at('file', file))}`}`;
      },
    };
  }

  /** One line, or undefined: not one of ours. */
  summary(env: Reader, v: Value): string | undefined {
    if (v.missing !== undefined) return undefined;
    for (const name of namesOf(v.type)) {
      const print = Object.hasOwn(this.table, name) ? this.table[name] : undefined;
      const text = print?.(env, v);
      if (text !== undefined) return text;
    }
    return undefined;
  }

  /** As summary(), for what a pointer points to. An element says nothing about its list. */
  pointed(env: Reader, v: Value): string | undefined {
    return namesOf(v.type).some((name) => /^h?list_(head|node)$/.test(name)) ? undefined : this.summary(env, v);
  }

  /** What a name adds to a number: `jiffies` as time since the boot. */
  named(name: string, v: Value): string | undefined {
    if (!/^jiffies(_64)?$/.test(name) || v.missing !== undefined || stripType(v.type).kind !== 'base') return undefined;
    const hz = this.hz();
    return hz === undefined ? undefined : `${v.bits} (${seconds(this.sinceBoot(Number(BigInt.asUintN(32, v.bits)), hz))} after boot)`;
  }

  /** Elements of lists, behind the plain members. */
  more(env: Reader, v: Value): Child[] | undefined {
    const names = namesOf(v.type);
    if (v.address === undefined) return undefined;
    const isList = names.includes('list_head');
    if (!isList && !names.includes('hlist_head')) return undefined;
    const { at } = isList ? this.walk(env, v) : this.hwalk(env, v, 'first');
    const first = findMember(env, v, isList ? 'next' : 'first');
    const pointer = first === undefined ? undefined : stripType(first.type);
    if (pointer?.kind !== 'pointer') return undefined;
    const { target } = pointer;
    const name = `struct ${isList ? 'list_head' : 'hlist_node'}`;
    return at.map((address, i) => ({
      name: `[${i}]`,
      path: '',
      expression: `*(${name} *)${hex8(address)}`,
      value: { type: pointerTo(target), bits: BigInt(address) },
    }));
  }

  /** The objects of a list as an array of pointers: what `list(head, "struct module", "list")` gives. */
  elements(env: Reader, head: Value, type: Type, offset: number): Value {
    const { at, broken } = this.walk(env, head);
    const pointers = new Uint8Array(at.length * 4);
    const view = new DataView(pointers.buffer);
    for (const [i, address] of at.entries()) view.setUint32(i * 4, (address - offset) >>> 0, true);
    const element = pointerTo(type);
    const value: Value = {
      type: { kind: 'array', element, count: at.length, size: pointers.length, vector: false },
      bits: 0n,
      bytes: pointers,
    };
    if (broken !== undefined && at.length === 0) value.missing = broken;
    return value;
  }

  private number(env: Reader, v: Value, path: string): number | undefined {
    const found = this.inside(env, v, path);
    return found === undefined || found.missing !== undefined ? undefined : innerNumber(env, found);
  }
  private inside(env: Reader, v: Value, path: string): Value | undefined {
    let at: Value | undefined = v;
    for (const name of path.split('.')) at = at === undefined ? undefined : findMember(env, at, name);
    return at;
  }
  private text(env: Reader, v: Value, path: string): string | undefined {
    const found = this.inside(env, v, path);
    if (found === undefined || found.missing !== undefined) return undefined;
    const t = stripType(found.type);
    const bytes = t.kind === 'array' ? found.bytes : env.read(Number(BigInt.asUintN(32, found.bits)), 1) && this.until0(env, found);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return `"${String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end)))}"`;
  }
  private until0(env: Reader, v: Value): Uint8Array | undefined {
    const at = Number(BigInt.asUintN(32, v.bits));
    const bytes: number[] = [];
    for (let i = 0; i < 128; i++) {
      const b = env.read(at + i, 1)?.[0];
      if (b === undefined || b === 0) break;
      bytes.push(b);
    }
    return Uint8Array.from(bytes);
  }

  // ---- lists --------------------------------------------------------------------------------------------------------------------------------

  private word(env: Reader, address: number): number | undefined {
    const b = env.read(address >>> 0, 4);
    return b === undefined || b.length < 4 ? undefined : (b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)) >>> 0;
  }
  private walk(env: Reader, v: Value): { at: number[]; broken: string | undefined } {
    const head = (v.address ?? 0) >>> 0;
    const at: number[] = [];
    const seen = new Set<number>([head]);
    for (let next = this.word(env, head); ; next = this.word(env, next)) {
      if (next === undefined) return { at, broken: at.length === 0 ? 'not readable' : `broken: element ${at.length} is not mapped` };
      if (next === head) return { at, broken: undefined };
      if (next === 0) return { at, broken: at.length === 0 ? 'not initialised' : `broken: element ${at.length} is null` };
      if (next === 0x00100100 || next === 0x00200200) return { at, broken: 'removed from its list (poisoned)' };
      if (seen.has(next)) return { at, broken: `broken: element ${at.length} was there before, in a circle without the head` };
      if (at.length >= LIST_SHOWN) return { at, broken: `only the first ${LIST_SHOWN} are counted` };
      seen.add(next);
      at.push(next);
    }
  }
  private hwalk(env: Reader, v: Value, member: string): { at: number[]; broken: string | undefined } {
    const at: number[] = [];
    const seen = new Set<number>();
    for (let next = this.number(env, v, member); ; next = this.word(env, next)) {
      if (next === undefined) return { at, broken: `broken: element ${at.length} is not mapped` };
      if (next === 0) return { at, broken: undefined };
      if (seen.has(next)) return { at, broken: `broken: element ${at.length} was there before` };
      if (at.length >= LIST_SHOWN) return { at, broken: `only the first ${LIST_SHOWN} are counted` };
      seen.add(next);
      at.push(next);
    }
  }
  private countText({ at, broken }: { at: number[]; broken: string | undefined }, empty: string): string {
    const count = at.length === 0 ? empty : at.length === 1 ? '1 element' : `${at.length} elements`;
    return broken === undefined ? count : at.length === 0 ? broken : `${count}, ${broken}`;
  }
  private listText(env: Reader, v: Value): string | undefined {
    return v.address === undefined ? undefined : this.countText(this.walk(env, v), 'empty');
  }
  private hlistText(env: Reader, v: Value, member: string): string {
    return this.countText(this.hwalk(env, v, member), member === 'first' ? 'empty' : 'last');
  }

  // ---- the rest -----------------------------------------------------------------------------------------------------------------------------

  private taskText(address: number | undefined): string | undefined {
    const task = address === undefined || address === 0 ? undefined : this.tasks.at(address);
    return task === undefined ? undefined : `pid ${task.pid} ${task.comm} [${task.state}]`;
  }
  private cpus(env: Reader, v: Value): string | undefined {
    const bits = this.inside(env, v, 'bits');
    const bytes = bits?.bytes ?? v.bytes;
    if (bytes === undefined) return undefined;
    const set: number[] = [];
    for (let n = 0; n < Math.min(CPUS, bytes.length * 8); n++) if (bytes[n >> 3] & (1 << (n & 7))) set.push(n);
    if (set.length === 0) return 'no CPU';
    const ranges: string[] = [];
    for (let i = 0; i < set.length; ) {
      let k = i;
      while (k + 1 < set.length && set[k + 1] === set[k] + 1) k++;
      ranges.push(k === i ? String(set[i]) : `${set[i]}-${set[k]}`);
      i = k + 1;
    }
    return `CPU ${ranges.join(',')}`;
  }
  private descriptor(env: Reader, v: Value): string | undefined {
    const bytes = v.bytes ?? (v.address === undefined ? undefined : env.read(v.address, 8));
    if (bytes === undefined || bytes.length < 8) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
    const low = view.getUint32(0, true);
    const high = view.getUint32(4, true);
    const text = descriptorWords(low, high);
    const handler = /^0x\w+ .*gate/.test(text) ? this.tasks.programs.nameOf(((high & 0xffff0000) | (low & 0xffff)) >>> 0) : undefined;
    return handler === undefined ? text : `${handler} ${text}`;
  }
  private registers(env: Reader, v: Value): string | undefined {
    const eip = this.number(env, v, 'eip') ?? this.number(env, v, 'ip');
    const cs = this.number(env, v, 'xcs') ?? this.number(env, v, 'cs');
    if (eip === undefined || cs === undefined) return undefined;
    const ring = cs & 3;
    const esp = ring === 3 ? (this.number(env, v, 'esp') ?? this.number(env, v, 'sp')) : undefined;
    const name = this.tasks.programs.nameOf(eip);
    return `ring ${ring} eip ${hex8(eip)}${name === undefined ? '' : ` <${name}>`}${esp === undefined ? '' : ` esp ${hex8(esp)}`}`;
  }
  private waiters(env: Reader, v: Value): string | undefined {
    const head = findMember(env, v, 'task_list');
    const link = this.data.field('__wait_queue', 'task_list');
    const whose = this.data.field('__wait_queue', 'private', 'task');
    if (head?.address === undefined || link === undefined || whose === undefined) return undefined;
    const { at, broken } = this.walk(env, head);
    if (at.length === 0) return broken ?? 'nobody waits';
    const names = at.slice(0, 4).map((a) => this.taskText(this.word(env, a - link.offset + whose.offset)) ?? hex8(a - link.offset));
    return `${at.length} ${at.length === 1 ? 'waits' : 'wait'}: ${names.join(', ')}${at.length > 4 ? ', ...' : ''}${broken === undefined ? '' : ` (${broken})`}`;
  }
  private waiter(env: Reader, v: Value): string | undefined {
    const task = this.taskText(this.number(env, v, 'private') ?? this.number(env, v, 'task'));
    const func = this.number(env, v, 'func');
    const name = func === undefined ? undefined : this.tasks.programs.nameOf(func);
    return task === undefined ? undefined : `${task}${name === undefined ? '' : `, woken by ${name}`}`;
  }
  private timer(env: Reader, v: Value): string | undefined {
    const pending = this.number(env, v, 'entry.next');
    const expires = this.number(env, v, 'expires');
    const func = this.number(env, v, 'function');
    if (pending === undefined || expires === undefined || func === undefined) return undefined;
    const name = func === 0 ? 'no function' : (this.tasks.programs.nameOf(func) ?? hex8(func));
    if (pending === 0) return `${name}, not pending`;
    const at = this.data.address('jiffies');
    const now = at === undefined ? undefined : this.data.read32(at);
    const hz = this.hz();
    if (now === undefined || hz === undefined) return `${name}, at ${expires} jiffies`;
    const left = (expires - now) | 0;
    return left >= 0 ? `${name} in ${seconds(left / hz)}` : `${name}, due since ${seconds(-left / hz)}`;
  }
  private ktime(env: Reader, v: Value): string | undefined {
    const ns = findMember(env, v, 'tv64');
    return ns === undefined || ns.missing !== undefined ? undefined : `${Number(BigInt.asIntN(64, ns.bits)) / 1e9} s`;
  }
  /** Ticks per second: the kernel's own constant is no variable, but the length of a tick is. */
  private hz(): number | undefined {
    const at = this.data.address('tick_nsec');
    const ns = at === undefined ? undefined : this.data.read32(at);
    return ns === undefined || ns === 0 ? undefined : Math.round(1e9 / ns);
  }
  /** Jiffies begin five minutes before they overflow. */
  private sinceBoot(jiffies: number, hz: number): number {
    return ((jiffies + 300 * hz) >>> 0) / hz;
  }
}
