// Texts that decide while the machine runs: conditions of breakpoints, watches and filters, and the messages of logpoints.
//
// Each is parsed once. Integer expressions over registers and globals become closures over the processor's own memory, since they are asked in its loop; others are
// evaluated from the tree. A condition that cannot be evaluated stops, and says so. What it leaves out: the language (expression.ts), who asks (run-loop.ts, trap-stops.ts, watch-stops.ts).

import { RAM_BASE, W } from '../i386/state';
import type { TrapRecord } from '../lguest/trap-record';
import { stripType } from '../symbols/dwarf/types';
import {
  compile,
  evaluate,
  ExpressionError,
  type FastReader,
  INT,
  type Node,
  number,
  parse,
  SLOW,
  truth,
  UINT,
  type Value,
} from './expression';
import { fastLocal, fastPlace } from './fast-locals';
import { FrameEnvironment } from './frame-environment';
import { isGuestRegister } from './machine-names';
import { trapNumber, trapText } from './trap-names';
import { MACHINE_FUNCTIONS, type MachineQuestions } from './machine-functions';
import type { KernelPrinters } from './printers';
import type { Programs } from './programs';
import { Stack } from './stack';
import type { Target } from './target';
import { handlerChain } from './record-query';
import { switchedTasks, type Tasks } from './tasks';
import { formatValue, splitFormat } from './value';

/** What a watch's condition may ask about the access at hand. */
export interface AccessNames {
  old: number;
  new: number;
  /** Address of the instruction; 0 for the Host. */
  pc: number;
  host: number;
}
const ACCESS = ['old', 'new', 'pc', 'host'] as const;

const PROBES = new Set(['vector', 'err', 'err.P', 'err.W', 'err.U', 'cr2', 'cpl', 'nr', 'arg1', 'arg2', 'arg3', 'virq', 'handler', 'trap']);

export class Conditions {
  /** Why the newest condition could not be evaluated. */
  problem: string | undefined;
  /** The access that a watch's condition is asked about. */
  access: AccessNames = { old: 0, new: 0, pc: 0, host: 0 };

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
    private readonly tasks: Tasks,
    private readonly machine: MachineQuestions,
    private readonly printers: KernelPrinters,
  ) {}

  /** The condition of a breakpoint at these places: asked before the instruction there runs. @throws ExpressionError. */
  breakpoint(text: string, places: readonly { address: number }[]): () => boolean {
    const node = parse(text, (name) => this.isType(name));
    const quick = compile(node, {
      reader: (name) => this.reader(name, places),
      lvalue: (inner) => fastPlace(this.target, this.programs, places, inner),
      textIs: (name, wanted) => this.commIs(name, wanted, places),
    });
    return this.asked(text, node, quick, () => this.environment());
  }

  /** The condition of a watch. @throws ExpressionError. */
  watch(text: string): () => boolean {
    const node = parse(text, (name) => this.isType(name));
    const reader = (name: string): FastReader | undefined => {
      const found = ACCESS.find((a) => a === name);
      if (found !== undefined) return { get: () => this.access[found], signed: false };
      if (isGuestRegister(name)) return { get: () => this.target.register(name), signed: false };
      return this.isFree(name, []) ? this.tasks.fastReader(name) : undefined;
    };
    const textIs = (name: string, wanted: string): (() => boolean) | undefined => this.commIs(name, wanted, []);
    return this.asked(
      text,
      node,
      compile(node, { reader, textIs }),
      () => new MoreNames(this.environment(), (name) => this.accessName(name)),
    );
  }

  private accessName(name: string): Value | undefined {
    const found = ACCESS.find((a) => a === name);
    return found === undefined ? undefined : number(this.access[found], found === 'host' ? INT : UINT);
  }

  private asked(
    text: string,
    node: Node,
    quick: (() => number) | undefined,
    environment: () => Parameters<typeof evaluate>[1],
  ): () => boolean {
    const evaluated = (): boolean => {
      try {
        return truth(evaluate(node, environment()));
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        this.problem = `the condition "${text}" cannot be evaluated: ${error.message}`;
        return true;
      }
    };
    if (quick === undefined) return evaluated;
    return () => {
      try {
        return quick() !== 0;
      } catch (thrown) {
        if (thrown !== SLOW) throw thrown;
        return evaluated();
      }
    };
  }

  /** Reads a register, or a global of 4 bytes that no local of these places hides. The Guest is in the processor when this is asked. */
  private reader(name: string, places: readonly { address: number }[]): FastReader | undefined {
    const { target, programs } = this;
    const { m32 } = target.processor.cpu;
    if (places.some((p) => programs.localsAt(p.address).some((v) => v.name === name))) return fastLocal(target, programs, places, name);
    const global = programs.globalNamed(name);
    if (global !== undefined && places.length > 0) {
      const t = stripType(global.variable.type);
      if (
        t.size !== 4 ||
        (t.kind !== 'base' && t.kind !== 'enum') ||
        (t.kind === 'base' && t.encoding !== 'signed' && t.encoding !== 'unsigned')
      )
        return undefined;
      const signed = t.kind === 'enum' ? t.signed : t.encoding === 'signed';
      const get = this.word(programs.addresses(global.program, global.address));
      return { get: signed ? () => get() | 0 : get, signed };
    }
    const general = REGISTERS.indexOf(name);
    if (general >= 0) return { get: () => m32[general] >>> 0, signed: false };
    if (isGuestRegister(name)) return { get: () => target.register(name), signed: false };
    if (name === 'ring' && this.isFree(name, places)) return { get: () => m32[W.CPL], signed: false };
    return this.isFree(name, places) ? this.tasks.fastReader(name) : undefined;
  }
  private commIs(name: string, wanted: string, places: readonly { address: number }[]): (() => boolean) | undefined {
    return name === 'comm' && this.isFree(name, places) ? this.tasks.commIs(wanted) : undefined;
  }
  /** Whether no variable of the program has this name at these places: then it is the machine's. */
  private isFree(name: string, places: readonly { address: number }[]): boolean {
    const { programs } = this;
    return programs.globalNamed(name) === undefined && !places.some((p) => programs.localsAt(p.address).some((v) => v.name === name));
  }

  /** The aligned word at the first of these addresses that is mapped. What the processor knows of the page is asked first. */
  private word(addresses: readonly number[]): () => number {
    const { target } = this;
    const { cpu } = target.processor;
    const { m32, m8 } = cpu;
    const [first] = addresses;
    const slow = (): number => {
      for (const a of addresses) {
        const value = target.read32(a);
        if (value !== undefined) return value;
      }
      return 0;
    };
    if ((first & 3) !== 0) return slow;
    return () => {
      const a = cpu.cached(first);
      return a >= RAM_BASE && a + 4 <= m8.length ? m32[a >> 2] >>> 0 : slow();
    };
  }

  /** The text of a logpoint: `{expr,format}` is replaced. @throws ExpressionError. */
  message(text: string): () => string {
    const parts: (string | { node: Node; format: ReturnType<typeof splitFormat>['format'] })[] = [];
    for (const [, plain, inner] of text.matchAll(/((?:[^{\\]|\\.)+)|\{([^}]*)\}/g)) {
      if (plain !== undefined) parts.push(plain.replace(/\\([{}])/g, '$1'));
      else {
        const { expression, format } = splitFormat(inner);
        parts.push({ node: parse(expression, (name) => this.isType(name)), format });
      }
    }
    return () => {
      const env = this.environment();
      return parts
        .map((p) => {
          if (typeof p === 'string') return p;
          try {
            return formatValue(evaluate(p.node, env), { env, names: this.programs, printers: this.printers, hex: false }, p.format);
          } catch (error) {
            if (!(error instanceof ExpressionError)) throw error;
            return `<${error.message}>`;
          }
        })
        .join('');
    };
  }

  /** The condition of a filter, about a record. `err.W && cr2 < 0x1000 : current != 0`: both parts must hold. Words of closed lists need no quotes. */
  trap(text: string): (record: TrapRecord) => boolean {
    const colon = splitAtColon(text);
    if (colon !== undefined) {
      const [a, b] = colon.map((part) => this.trap(part));
      return (r) => a(r) && b(r);
    }
    const node = parse(
      text
        .replace(/\bargs\[([0-2])\]/g, (_, n: string) => `arg${Number(n) + 1}`)
        .replace(/\b(outcome|reason|origin|kind)(\s*[=!]=\s*)([A-Za-z][\w-]*)/g, '$1$2"$3"')
        .replace(/\bfrom(\s*[=!]=\s*)["']?(user|kernel)\b["']?/g, 'from$1"$2"'),
      (name) => this.isType(name),
    );
    let current: TrapRecord | undefined;
    let count = 0;
    // How often this was asked, and how many handlers the record's trap came out of.
    const own: Readonly<Record<string, () => number>> = { count: () => count, depth: () => handlersAtWork(this.target, current) };
    const quick = compile(node, {
      reader: (name) => {
        if (Object.hasOwn(own, name) && this.isFree(name, [])) return { get: own[name], signed: false };
        if (isGuestRegister(name)) return { get: () => this.target.register(name), signed: false };
        if ((name === 'from' || name === 'to') && this.isFree(name, []))
          return { get: () => (switchedTasks(this.target, this.tasks, current as TrapRecord)?.[name] ?? 0) >>> 0, signed: false };
        if (PROBES.has(name)) return { get: () => (trapNumber(current as TrapRecord, name) ?? 0) >>> 0, signed: false };
        return this.isFree(name, []) ? this.tasks.fastReader(name) : undefined;
      },
      textIs: (name, wanted) =>
        this.commIs(name, wanted, []) ??
        (trapText(SAMPLE_RECORD, name) === undefined ? undefined : () => trapText(current as TrapRecord, name) === wanted),
    });
    const names = (name: string): Value | undefined =>
      Object.hasOwn(own, name) && this.isFree(name, []) ? number(own[name](), INT) : undefined;
    const unknown = this.unknownIn(node, own);
    if (unknown !== undefined) throw new ExpressionError(unknown);
    const ask = this.asked(text, node, quick, () => new MoreNames(this.environment(current), names));
    return (record) => {
      current = record;
      count++;
      return ask();
    };
  }

  /**
   * What a filter's condition asks for that is nothing: not of the record, the machine or the kernel's tasks, and no program that is known has the name anywhere, so no local
   * variable at a trap can have it either. Undefined: nothing, or no names are known yet.
   */
  private unknownIn(node: Node, own: Readonly<Record<string, unknown>>): string | undefined {
    const { programs } = this;
    if (programs.list.length === 0) return undefined;
    const env = this.environment();
    const isKnown = (name: string): boolean => {
      const [first] = name.split('.');
      if (Object.hasOwn(own, name) || PROBES.has(name) || SIDES.has(first) || TASK_NAMES.has(name)) return true;
      if (trapNumber(SAMPLE_RECORD, name) !== undefined || trapText(SAMPLE_RECORD, name) !== undefined) return true;
      return env.isOfMachine(name) || programs.addressOf(name) !== undefined || programs.list.some((p) => p.symbols?.mentions(name));
    };
    const look = (n: Node): string | undefined => {
      if (n.k === 'reg') return env.register(n.name) === undefined ? `no register "$${n.name}"` : undefined;
      if (n.k === 'call' && !MACHINE_FUNCTIONS.includes(n.name) && !isKnown(n.name)) return `no function "${n.name}"`;
      if (n.k === 'name' && !isKnown(n.name.replace(/^.*::/, ''))) {
        const similar = programs.similar(n.name);
        return `no symbol, variable or register "${n.name}"${similar === undefined ? '' : `; did you mean ${similar}?`}`;
      }
      // `err.W` and the like are names of their own.
      if (n.k === 'member' && n.a.k === 'name' && !n.arrow && isKnown(`${n.a.name}.${n.name}`)) return undefined;
      for (const part of Object.values(n).flat())
        if (typeof part === 'object' && part !== null && 'k' in part) {
          const found = look(part as Node);
          if (found !== undefined) return found;
        }
      return undefined;
    };
    return look(node);
  }

  isType(name: string): boolean {
    return this.programs.list.some((p) => p.symbols?.typeNamed(name) !== undefined) && this.programs.addressOf(name) === undefined;
  }

  private environment(record?: TrapRecord): FrameEnvironment {
    const { target, programs } = this;
    return new FrameEnvironment({
      target,
      programs,
      frame: Stack.here(target),
      stack: new Stack(target, programs),
      machine: this.machine,
      ...(record === undefined ? {} : { record }),
    });
  }
}

/** A frame's names, and before them those of what a condition is asked about. */
class MoreNames {
  readonly read: FrameEnvironment['read'];
  constructor(
    private readonly inner: FrameEnvironment,
    private readonly more: (name: string) => Value | undefined,
  ) {
    this.read = inner.read;
  }
  register(name: string): Value | undefined {
    return this.inner.register(name);
  }
  variable(name: string): Value | undefined {
    return this.more(name) ?? this.inner.variable(name);
  }
  type(name: string): ReturnType<FrameEnvironment['type']> {
    return this.inner.type(name);
  }
  call(name: string, args: Value[]): Value | undefined {
    return this.inner.call(name, args);
  }
  similar(name: string): string | undefined {
    return this.inner.similar(name);
  }
}

/** The Guest's handlers that are at work where a trap comes from; none when it comes from user mode. */
const handlersAtWork = (target: Target, record: TrapRecord | undefined): number => {
  if (record === undefined || record.cpl === 3) return 0;
  return handlerChain(target.records, record.esp, record.k).length;
};

/** Any record: tells which names are texts of a record. */
const SAMPLE_RECORD = {
  k: 0,
  vector: 0,
  pos: { retired: 0, hostStep: 0 },
  outcome: 'direct',
  reason: 'none',
  kind: 'trap',
  cpl: 0,
} as TrapRecord;
/** The sides of a task switch, and names of a task, which are known only later. */
const SIDES = new Set(['from', 'to']);
const TASK_NAMES = new Set(['pid', 'tgid', 'comm', 'current']);

/** In the order of the processor's words. */
const REGISTERS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

/** The one colon that is not part of `?:`. */
const splitAtColon = (text: string): [string, string] | undefined => {
  if (text.includes('?') || !text.includes(' : ')) return undefined;
  const at = text.indexOf(' : ');
  return [text.slice(0, at), text.slice(at + 3)];
};
