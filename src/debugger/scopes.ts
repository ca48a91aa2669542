import { fpuState } from './fpu-state';
// What a frame shows: locals, registers, the trap, flags, segments, control registers and the three cr2, as a tree of named texts that can be opened and edited.
//
// Names and order never change, so that editors keep what is open. A value's text holds the value alone. What it leaves out: numbering (the adapter's handles).

import { W } from '../i386/state';
import { GDT, KERNEL_CS, LD } from '../lguest/abi';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { errorWords, becameText, decisionChain, entryBits, hypercallText, mnemonic, nearestFlip, whatText } from './explain';
import { accessText, descriptorText } from './descriptor-text';
import { evaluate, load, parse, store, type Value } from './expression';
import { stripType } from '../symbols/dwarf/types';
import { vectorName } from './filters';
import { FLAG_BITS, type FrameEnvironment, setRegister, variableValue } from './frame-environment';
import type { Variable } from '../symbols/dwarf/variables';
import { taskRows } from './task-views';
import type { Task } from './tasks';
import { hypercallRing } from './irq-state';
import { parsePageAccess } from './page-walk';
import { type TreeRow, walkTree } from './views';
import type { Debugger } from './session';
import { DWARF_REGISTERS, type Frame } from './stack';
import { hex8 } from './target';
import { children, type Format, formatValue, hasChildren, PLAIN_FORMAT, type ValueContext, typeText } from './value';

export interface Item {
  name: string;
  value: string;
  type?: string;
  evaluateName?: string;
  /** Linear address of what the value is or points to. */
  memory?: number;
  /** The value is a place in code. */
  code?: number;
  /** Parts; `indexed`: how many numbered ones, fetched by range. */
  open?: (start: number, count: number) => Item[];
  indexed?: number;
  /** Changes the value. Throws ExpressionError or Error with one line. */
  set?: (text: string) => void;
  /** Data breakpoint that this row offers. */
  watch?: { id: string; description: string; bytes?: number };
}
export interface ScopeItem extends Item {
  expensive: boolean;
  hint: 'locals' | 'registers' | undefined;
}

const GENERAL = ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip'] as const;
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

/** A C value as a row. */
export const valueItem = (
  name: string,
  evaluateName: string | undefined,
  v: Value,
  context: ValueContext,
  format: Format,
  assign?: (text: string) => void,
): Item => {
  const named = format.letter === undefined ? context.printers?.named(name, v) : undefined;
  const item: Item = { name, value: named ?? formatValue(v, context, format), type: typeText(v.type) };
  if (evaluateName !== undefined) item.evaluateName = evaluateName;
  const isPointer = item.type?.endsWith('*') ?? false;
  if (isPointer) item.memory = Number(BigInt.asUintN(32, v.bits));
  const code = codeOf(v, format);
  if (code !== undefined) item.code = code;
  else if (v.address !== undefined) item.memory = v.address;
  if (v.address !== undefined && v.missing === undefined && v.bitSize === undefined) {
    const bytes = Math.max(1, v.bytes?.length ?? 4);
    item.watch = {
      id: `mem:v:${hex8(v.address)}:${Math.min(bytes, sizeFor(v))}`,
      description: `${evaluateName ?? name}: ${sizeFor(v)} bytes at ${hex8(v.address)}`,
    };
  }
  if (assign !== undefined && v.missing === undefined && (v.address !== undefined || v.register !== undefined)) item.set = assign;
  if (hasChildren(v, format)) {
    const { total } = children(v, context, format, 0, 0);
    item.open = (start, count) =>
      children(v, context, format, start, count).items.map((c) => {
        const path =
          evaluateName === undefined || c.path === ''
            ? c.expression
            : c.path === '*'
              ? `*(${evaluateName})`
              : `${needsParens(evaluateName) ? `(${evaluateName})` : evaluateName}${c.path}`;
        return valueItem(
          c.name,
          path ?? evaluateName,
          c.value,
          context,
          { ...format, count: undefined },
          path === undefined ? undefined : assign && ((text) => assignText(context, c.value, text)),
        );
      });
    if (total > 100 || item.type?.endsWith(']')) item.indexed = total;
  }
  return item;
};
/** The place in code that a value names: functions, pointers to them, and whatever is shown as a place. */
const codeOf = (v: Value, format: Format): number | undefined => {
  const t = stripType(v.type);
  if (v.missing !== undefined) return undefined;
  if (t.kind === 'function') return v.address;
  const at = Number(BigInt.asUintN(32, v.bits));
  const isCode = t.kind === 'pointer' ? stripType(t.target).kind === 'function' : t.kind === 'base' && t.size === 4;
  return at !== 0 && (t.kind === 'pointer' ? isCode || format.letter === 'i' : isCode && (format.letter === 'i' || format.letter === 'p'))
    ? at
    : undefined;
};
const sizeFor = (v: Value): number => Math.max(1, 'size' in v.type ? v.type.size : 4);
const needsParens = (expression: string): boolean => !/^[\w$.>\-[\]:']+$/.test(expression) || expression.startsWith('-');

/** A row of a tree as an item that opens. */
const fromRow = (r: TreeRow): Item => ({
  name: r.label,
  value: r.description ?? '',
  ...(r.children === undefined || r.children.length === 0 ? {} : { open: () => (r.children ?? []).map(fromRow) }),
});

const assignText = (context: ValueContext, to: Value, text: string): void => {
  const env = context.env as FrameEnvironment;
  store(env, to, evaluate(parse(text), env));
};

export class Scopes {
  constructor(
    private readonly d: Debugger,
    private readonly hex: boolean,
  ) {}

  of(frame: Frame): ScopeItem[] {
    const list: ScopeItem[] = [];
    const add = (name: string, open: () => Item[], expensive: boolean, hint?: ScopeItem['hint']): void => {
      list.push({ name, value: '', open, expensive, hint });
    };
    if (frame.kind === 'code') {
      const locals = this.locals(frame);
      if (locals.length > 0) add('Locals', () => this.locals(frame), false, 'locals');
      add('Registers', () => this.registers(frame), false, 'registers');
    }
    if (frame.view !== undefined) {
      // Another task: what the processor has is not its.
      const { task } = frame.view;
      add('Task', () => this.task(task), true);
      if (frame.kind === 'code' && this.statics(frame).length > 0) add('Statics', () => this.staticItems(frame), true);
      return list;
    }
    add('Trap', () => this.trap(frame.record ?? this.d.record), false);
    if (frame.kind === 'code') {
      add('Flags', () => this.flags(), true);
      add('Segments', () => this.segments(), true);
      add('Control & cr2', () => this.control(), true);
      add('FPU', () => this.fpu(), true);
      add('Debug registers', () => this.debugRegisters(), true);
      add('Descriptor tables', () => this.tables(), true);
      if (this.d.target.host !== undefined) add('Page walk', () => this.pageWalk(), true);
      add('Host', () => this.host(), true);
      if (this.d.target.host !== undefined) add('lguest_data', () => this.shared(), true);
      const task = this.d.tasks.ready ? this.d.tasks.current() : undefined;
      if (task !== undefined) add('Task', () => this.task(task), true);
      if (this.statics(frame).length > 0) add('Statics', () => this.staticItems(frame), true);
    }
    return list;
  }

  /** A task in words, and its task_struct to be opened. */
  private task(task: Task): Item[] {
    const type = this.d.tasks.data.type('struct task_struct');
    const rows = taskRows(this.d, task).map((r) => fromRow(r));
    if (type === undefined) return rows;
    const context = this.context(this.d.environment(undefined, true));
    const value = load(context.env, type, task.address);
    return [valueItem('task_struct', `*(struct task_struct *)${hex8(task.address)}`, value, context, PLAIN_FORMAT), ...rows];
  }
  private statics(frame: Frame): Variable[] {
    const programs = frame.view?.programs ?? this.d.programs;
    const at = programs.linked(frame.afterCall ? frame.pc - 1 : frame.pc);
    return (at?.program.symbols?.staticsAt(at.link) ?? []).filter((v) => v.staticAddress !== undefined);
  }
  private staticItems(frame: Frame): Item[] {
    const env = this.d.environment(frame, true);
    const { stack, programs } = frame.view ?? { stack: this.d.stack(), programs: this.d.programs };
    return this.statics(frame).map((v) => {
      const value = variableValue(v, frame, this.d.target, programs, stack);
      return valueItem(v.name, v.name, value, this.context(env), PLAIN_FORMAT, (text) => store(env, value, evaluate(parse(text), env)));
    });
  }

  private context(env: FrameEnvironment): ValueContext {
    return this.d.valueContext(env, this.hex);
  }

  private locals(frame: Frame): Item[] {
    const env = this.d.environment(frame, true);
    const seen = new Set<string>();
    const items: Item[] = [];
    const { returned } = this.d;
    if (returned !== undefined && frame.method === 'exact' && frame.inlineDepth === 0)
      items.push({
        ...valueItem('return', undefined, returned.value, this.context(env), PLAIN_FORMAT),
        name: `return of ${returned.name}`,
      });
    for (const v of env.locals()) {
      if (v.inlineDepth !== frame.inlineDepth) continue;
      const value = variableValue(v, frame, this.d.target, frame.view?.programs ?? this.d.programs, frame.view?.stack ?? this.d.stack());
      const name = seen.has(v.name) ? `${v.name} (outer)` : v.name;
      seen.add(v.name);
      items.push(
        valueItem(name, v.shadowed ? undefined : v.name, value, this.context(env), PLAIN_FORMAT, (text) =>
          store(env, value, evaluate(parse(text), env)),
        ),
      );
    }
    return items;
  }

  private registerItem(name: string, value: number | undefined, editable: boolean): Item {
    if (value === undefined) return { name, value: 'unknown', type: 'unsigned int' };
    const item: Item = {
      name,
      value: hex8(value),
      type: 'unsigned int',
      evaluateName: `$${name}`,
      memory: value,
      watch: { id: `reg:${name}`, description: `register ${name}` },
    };
    if (name === 'eip') item.code = item.memory = editable ? this.d.target.pc : value;
    if (name === 'esp' && editable) item.memory = (this.d.target.segmentBase('ss') + value) >>> 0;
    if (editable) item.set = (text) => this.assignRegister(name, text);
    return item;
  }
  private assignRegister(name: string, text: string): void {
    const env = this.d.environment(undefined, true);
    const value = evaluate(parse(text), env);
    setRegister(this.d.target, name, Number(BigInt.asUintN(32, value.bits)));
  }

  private registers(frame: Frame): Item[] {
    const { target } = this.d;
    if (frame.method === 'exact') {
      const rows = GENERAL.map((name) => this.registerItem(name, target.register(name), true));
      const flags = target.register('eflags');
      rows.push({ ...this.registerItem('eflags', flags, true), value: `${hex8(flags)} [${flagNames(flags)}]` });
      return rows;
    }
    return GENERAL.map((name) => this.registerItem(name, frame.registers[DWARF_REGISTERS.indexOf(name)], false));
  }

  private flags(): Item[] {
    const { target } = this.d;
    const flags = target.register('eflags');
    const rows: Item[] = Object.entries(FLAG_BITS).map(([name, bit]) => ({
      name,
      value: flags & bit ? '1' : '0',
      type: 'flag',
      evaluateName: `eflags.${name}`,
      set: (text) => this.assignRegister(`eflags.${name}`, text),
    }));
    rows.push({ name: 'IOPL', value: String((flags >> 12) & 3), type: 'flag' });
    const { host } = target;
    if (host !== undefined) {
      const enabled = host.lg.ld < 0 ? 'unknown before LGUEST_INIT' : host.lg.ld32(LD.irqEnabled) & 0x200 ? '1' : '0';
      rows.push({ name: 'irq_enabled (guest believes)', value: enabled, type: 'flag', evaluateName: 'virt.irq_enabled' });
    }
    return rows;
  }

  private segments(): Item[] {
    const { target } = this.d;
    const { cpu } = target.processor;
    const live = target.host?.inGuest ?? true;
    const rows: Item[] = SEGMENT_NAMES.map((name, n) => {
      const selector = target.register(name);
      return {
        name,
        value: `0x${selector.toString(16).padStart(4, '0')}`,
        type: 'selector',
        evaluateName: `$${name}`,
        set: (text: string) => this.assignRegister(name, text),
        open: () => (live ? this.hidden(n) : this.descriptor(selector)),
      };
    });
    const { m32 } = cpu;
    for (const [name, n] of [
      ['ldtr', 6],
      ['tr', 7],
    ] as const) {
      rows.push({
        name,
        value: `0x${(m32[W.SELECTOR + n] & 0xffff).toString(16).padStart(4, '0')}`,
        type: 'selector',
        open: () => this.hidden(n),
      });
    }
    rows.push({ name: 'gdtr', value: `${hex8(m32[W.GDT_BASE])} limit 0x${m32[W.GDT_LIMIT].toString(16)}`, memory: m32[W.GDT_BASE] >>> 0 });
    rows.push({ name: 'idtr', value: `${hex8(m32[W.IDT_BASE])} limit 0x${m32[W.IDT_LIMIT].toString(16)}`, memory: m32[W.IDT_BASE] >>> 0 });
    return rows;
  }
  private hidden(n: number): Item[] {
    const { m32 } = this.d.target.processor.cpu;
    const access = m32[W.ACCESS + n];
    return [
      { name: 'base', value: hex8(m32[W.BASE + n]) },
      { name: 'limit', value: hex8(m32[W.LIMIT + n]) },
      { name: 'dpl', value: String((access >> 5) & 3) },
      { name: 'type', value: accessText(access) },
    ];
  }
  private descriptor(selector: number): Item[] {
    const lg = this.d.target.host?.lg;
    const index = selector >> 3;
    if (lg === undefined || selector < 4 || index >= 32 || selector & 4) return [{ name: 'descriptor', value: 'none' }];
    return [{ name: 'descriptor', value: descriptorText(lg.gdt[index * 2], lg.gdt[index * 2 + 1]) }];
  }

  private control(): Item[] {
    const { target } = this.d;
    const { m32 } = target.processor.cpu;
    const { host } = target;
    const rows: Item[] = [];
    if (host !== undefined) {
      const { cr2, lg } = host;
      const one = (name: 'hw' | 'host' | 'guest', value: number | undefined): Item => ({
        name: `cr2.${name}`,
        value: value === undefined ? 'unknown before LGUEST_INIT' : hex8(value),
        type: { hw: 'the processor has', host: 'the Host saved', guest: 'the Guest sees' }[name],
        evaluateName: `cr2.${name}`,
        watch: {
          id: `cr2:${name}`,
          description: `cr2 as ${{ hw: 'the processor has it: every page fault', host: 'the Host saves it: every page fault', guest: 'the Guest sees it: every fault that is given to it' }[name]}`,
        },
        ...(value === undefined ? {} : { memory: value }),
      });
      rows.push(one('hw', cr2.hw), one('host', cr2.host), one('guest', cr2.guest));
      rows.push({ name: 'cr3 (guest)', value: hex8(lg.pgdirs[lg.pgdidx].gpgdir), type: 'guest-physical', evaluateName: 'lg.gpgdir' });
      rows.push({ name: 'cr3 (shadow)', value: hex8(lg.pgdirs[lg.pgdidx].shadow), type: 'physical' });
    } else rows.push({ name: 'cr2', value: hex8(m32[W.CR2]), evaluateName: '$cr2' });
    rows.push({ name: 'cr0', value: `${hex8(m32[W.CR0])} [${bitNames(m32[W.CR0], CR0_NAMES)}]`, evaluateName: '$cr0' });
    rows.push({ name: 'cr3', value: hex8(m32[W.CR3]), evaluateName: '$cr3' });
    rows.push({ name: 'cr4', value: `${hex8(m32[W.CR4])} [${bitNames(m32[W.CR4], CR4_NAMES)}]`, evaluateName: '$cr4' });
    return rows;
  }

  private fpu(): Item[] {
    const { m32 } = this.d.target.processor.cpu;
    const top = (m32[W.FPU_SW] >> 11) & 7;
    const rows: Item[] = [];
    for (let i = 0; i < 8; i++) {
      const n = (top + i) & 7;
      const at = W.FPU_REGS + 4 * n;
      const empty = (m32[W.FPU_VALID] & (1 << n)) === 0;
      const digits = [m32[at + 2] & 0xffff, m32[at + 1], m32[at]]
        .map((v, k) => (v >>> 0).toString(16).padStart(k === 0 ? 4 : 8, '0'))
        .join('');
      rows.push({
        name: `st${i}`,
        value: empty ? 'empty' : `${extended(m32[at], m32[at + 1], m32[at + 2])} (0x${digits})`,
        type: 'long double',
      });
    }
    const h4 = (value: number): string => `0x${(value & 0xffff).toString(16).padStart(4, '0')}`;
    rows.push({ name: 'cw', value: h4(m32[W.FPU_CW]) }, { name: 'sw', value: h4(m32[W.FPU_SW]) }, { name: 'top', value: String(top) });
    const lg = this.d.target.host?.lg;
    if (lg !== undefined) rows.push({ name: 'lg.ts', value: String(lg.ts), evaluateName: 'lg.ts' });
    const { host } = this.d.target;
    if (host !== undefined) rows.push({ name: 'owner', value: fpuState(host).owner }, { name: 'next use', value: fpuState(host).nextUse });
    return rows;
  }
  private debugRegisters(): Item[] {
    const { m32 } = this.d.target.processor.cpu;
    return [0, 1, 2, 3, 6, 7].map((n) => ({ name: `dr${n}`, value: hex8(m32[W.DR + n]), evaluateName: `$dr${n}` }));
  }

  private tables(): Item[] {
    const lg = this.d.target.host?.lg;
    if (lg === undefined) return [];
    const { programs } = this.d;
    const gate = (n: number): Item => {
      const low = lg.idt[n * 2];
      const high = lg.idt[n * 2 + 1];
      const handler = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
      const present = (high & 0x8000) !== 0;
      return {
        name: `[${n}] ${vectorName(n)}`,
        value: present
          ? `${programs.nameOf(handler) ?? hex8(handler)} type 0x${((high >> 8) & 15).toString(16)} dpl ${(high >> 13) & 3}`
          : 'not present',
        ...(present ? { code: handler, memory: handler } : {}),
      };
    };
    return [
      {
        name: 'IDT (Guest)',
        value: '256 gates',
        indexed: 256,
        open: (start, count) => [...Array(Math.min(count, 256 - start)).keys()].map((i) => gate(start + i)),
      },
      {
        name: 'GDT (Guest)',
        value: '32 descriptors',
        open: () =>
          [...Array(32).keys()].map((n) => ({
            name: `[${n}]${n === KERNEL_CS / 8 ? ' kernel code' : n === GDT.KERNEL_DS ? ' kernel data' : ''}`,
            value: descriptorText(lg.gdt[n * 2], lg.gdt[n * 2 + 1]),
          })),
      },
    ];
  }

  private host(): Item[] {
    const { host } = this.d.target;
    if (host === undefined) return [];
    const { lg } = host;
    const rows: Item[] = [
      { name: 'phase', value: host.phase },
      { name: 'position', value: formatPosition(host.position) },
      { name: 'irqs_pending', value: hex8(lg.irqsPending), evaluateName: 'lg.irqs_pending' },
      { name: 'halted', value: lg.halted ? '1' : '0', evaluateName: 'lg.halted' },
      { name: 'ts', value: String(lg.ts), evaluateName: 'lg.ts' },
      { name: 'esp1', value: hex8(lg.esp1), memory: lg.esp1 >>> 0 },
      { name: 'pgdidx', value: String(lg.pgdidx) },
      { name: 'timer', value: lg.timer < 0 ? 'not set' : `${lg.timer} ns` },
      { name: 'dead', value: lg.dead ?? 'no' },
    ];
    rows.push({
      name: 'shadow directories',
      value: '4 slots',
      open: () =>
        lg.pgdirs.map((p, n) => ({ name: `[${n}]`, value: p.shadow === 0 ? 'free' : `guest ${hex8(p.gpgdir)} shadow ${hex8(p.shadow)}` })),
    });
    return rows;
  }

  /** The addresses of most interest, each walked only when it is opened. */
  private pageWalk(): Item[] {
    const { target } = this.d;
    const { host } = target;
    if (host === undefined) return [];
    const places: [string, number][] = [
      ['eip', target.register('eip')],
      ['esp', target.register('esp')],
      ['cr2.host', host.cr2.host],
    ];
    return places.map(([name, at]) => ({
      name,
      value: hex8(at),
      memory: at >>> 0,
      open: () => walkTree(this.d, at >>> 0, parsePageAccess('')).rows.map(fromRow),
    }));
  }

  /** The page that Host and Guest share. */
  private shared(): Item[] {
    const { host } = this.d.target;
    const ring = host === undefined ? undefined : hypercallRing(host);
    if (host === undefined || ring === undefined) return [{ name: 'lguest_data', value: 'unknown before LGUEST_INIT' }];
    const { lg } = host;
    const word = (name: string, offset: number): Item => ({ name, value: hex8(lg.ld32(offset)) });
    return [
      { ...word('irq_enabled', LD.irqEnabled), evaluateName: 'virt.irq_enabled' },
      word('blocked_interrupts', LD.blockedInterrupts),
      { ...word('cr2', LD.cr2), evaluateName: 'cr2.guest' },
      {
        name: 'hcalls',
        value: `${ring.filter((slot) => !slot.free).length} of ${ring.length} ready`,
        indexed: ring.length,
        open: (start, count) =>
          ring.slice(start, start + count).map((slot) => ({
            name: `[${slot.slot}]`,
            value: slot.free ? 'free' : `${slot.name}(${slot.args.map((a) => hex8(a)).join(', ')})${slot.next ? ', next' : ''}`,
          })),
      },
      word('reserve_mem', LD.reserveMem),
      word('tsc_khz', LD.tscKhz),
      word('noirq_start', LD.noirqStart),
      word('noirq_end', LD.noirqEnd),
      word('syscall_vec', LD.syscallVec),
    ];
  }

  /** The trap at hand as rows. */
  trap(r: TrapRecord | undefined): Item[] {
    if (r === undefined) return [{ name: 'trap', value: 'none yet' }];
    const { programs } = this.d;
    const rows: Item[] = [
      { name: 'trap', value: `${r.k}: ${mnemonic(r)}` },
      { name: 'what', value: whatText(r) },
      { name: 'outcome', value: r.outcome },
      { name: 'became', value: becameText(r, programs) },
      { name: 'position', value: formatPosition(r.pos) },
      {
        name: 'eip',
        value: `${hex8(r.eip)}${programs.nameOf(r.eip) === undefined ? '' : ` <${programs.nameOf(r.eip)}>`}`,
        code: r.eip,
        memory: r.eip,
      },
      { name: 'ring', value: String(r.cpl) },
    ];
    if (r.err !== undefined)
      rows.push({
        name: 'error code',
        value: r.vector === 14 ? `0x${r.err.toString(16)}: ${errorWords(r.err)}` : `0x${r.err.toString(16)}`,
      });
    if (r.cr2 !== undefined) rows.push({ name: 'cr2', value: hex8(r.cr2), memory: r.cr2 });
    if (r.hypercall !== undefined) rows.push({ name: 'call', value: hypercallText(r) });
    if (r.handler !== undefined)
      rows.push({ name: 'handler', value: programs.nameOf(r.handler) ?? hex8(r.handler), code: r.handler, memory: r.handler });
    if (r.message !== undefined) rows.push({ name: 'message', value: r.message });
    if (r.walk !== undefined) {
      const { walk } = r;
      rows.push({
        name: 'entries',
        value: 'as the Host read them',
        open: () =>
          (['gpde', 'gpte', 'spde', 'spte', 'filled'] as const)
            .filter((n) => walk[n] !== undefined)
            .map((n) => ({ name: n, value: `${hex8(walk[n] ?? 0)}: ${entryBits(walk[n] ?? 0)}` })),
      });
    }
    const { frame } = r;
    if (frame !== undefined) {
      rows.push({
        name: 'pushed words',
        value: `${frame.words.length} at ${hex8(frame.at)}`,
        memory: frame.at,
        open: () =>
          frame.words.map((w, i) => ({
            name: w.name,
            value: hex8(w.value),
            type: `by the ${w.by}`,
            memory: frame.at + 4 * (frame.words.length - 1 - i),
          })),
      });
    }
    const chain = decisionChain(r, programs);
    rows.push({
      name: 'decisions',
      value: `${chain.length} steps`,
      open: () => chain.map((s, i) => ({ name: `${i + 1}. ${s.fn}`, value: `${s.condition} [${s.values}] → ${s.taken}` })),
    });
    const flip = nearestFlip(r);
    if (flip !== undefined) rows.push({ name: 'nearest flip', value: flip });
    return rows;
  }
}

const CR0_NAMES: Readonly<Record<string, number>> = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 16,
  NE: 32,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000,
};
const CR4_NAMES: Readonly<Record<string, number>> = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 16,
  PAE: 32,
  MCE: 64,
  PGE: 128,
  PCE: 256,
  OSFXSR: 512,
};
const bitNames = (value: number, names: Readonly<Record<string, number>>): string =>
  Object.entries(names)
    .filter(([, bit]) => value & bit)
    .map(([name]) => name)
    .join(' ');
export const flagNames = (flags: number): string => {
  const names = bitNames(flags, FLAG_BITS);
  return (flags >> 12) & 3 ? `${names} IOPL=${(flags >> 12) & 3}` : names;
};
/** An 80-bit number as text, to double precision. */
const extended = (low: number, high: number, se: number): string => {
  const exponent = se & 0x7fff;
  const sign = se & 0x8000 ? -1 : 1;
  const mantissa = (high >>> 0) * 2 ** 32 + (low >>> 0);
  if (exponent === 0x7fff) return (high & 0x7fffffff) === 0 && low === 0 ? (sign < 0 ? '-inf' : 'inf') : 'nan';
  if (mantissa === 0) return sign < 0 ? '-0' : '0';
  return String(sign * (mantissa / 2 ** 63) * 2 ** (exponent - 16383));
};
