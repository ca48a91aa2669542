// What a frame shows: its scopes, in one fixed order with fixed names, so that editors keep what is open; locals, statics, the task and the trap at hand.
//
// A value's text holds the value alone. A scope is only made when it is opened; the first three are cheap. What it leaves out: rows of the machine (machine-rows.ts)
// and of the Host (host-rows.ts), numbering (the adapter's handles).

import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import type { Variable } from '../symbols/dwarf/variables';
import { becameText, decisionChain, entryBits, errorWords, hypercallText, mnemonic, nearestFlip, whatText } from './explain';
import { ExpressionError, load, store, type Value } from './expression';
import { type FrameEnvironment, variableValue } from './frame-environment';
import { hostRows, pageWalkRows, sharedRows, stepRows } from './host-rows';
import { fromRow, type Item, valueItem } from './item';
import { controlRows, debugRows, flagRows, fpuRows, registerRows, segmentRows } from './machine-rows';
import type { Debugger } from './session';
import type { Frame } from './stack';
import { hex8 } from './target';
import { taskRows } from './task-views';
import type { Task } from './tasks';
import { PLAIN_FORMAT, type ValueContext } from './value';

export interface ScopeItem extends Item {
  expensive: boolean;
  hint: 'locals' | 'registers' | undefined;
}

export class Scopes {
  /** @param pinned expressions that the user wants to see in every frame. */
  constructor(
    private readonly d: Debugger,
    private readonly hex: () => boolean,
    private readonly pinned: readonly string[] = [],
  ) {}

  /** In the order of all scopes; a frame has those that say something about it. */
  of(frame: Frame): ScopeItem[] {
    const { d } = this;
    const list: ScopeItem[] = [];
    const add = (name: string, open: () => Item[], expensive: boolean, hint?: ScopeItem['hint']): void => {
      list.push({ name, value: '', open, expensive, hint });
    };
    const isGuest = d.target.host !== undefined;
    const hostScopes = (): void => {
      if (!isGuest) return;
      add('Page walk', () => pageWalkRows(d), true);
      add('lguest', () => hostRows(d, this.hostContext()), true);
      add('lguest_data', () => sharedRows(d, this.hostContext()), true);
    };
    if (frame.kind !== 'code') {
      const { decision } = frame;
      if (decision !== undefined) add('Step', () => stepRows(decision), false);
      add('Trap', () => this.trap(frame.record ?? d.record), false);
      const { record } = frame;
      if (frame.kind === 'boundary' && record?.frame !== undefined) add('Pushed words', () => pushedRows(record), true);
      if (decision !== undefined) hostScopes();
      else if (frame.kind === 'boundary' && isGuest) add('Page walk', () => pageWalkRows(d, record?.cr2), true);
      return list;
    }
    if (this.hasLocals(frame)) add('Locals', () => this.locals(frame), false, 'locals');
    add('Registers', () => registerRows(d, frame), false, 'registers');
    if (frame.view !== undefined) {
      // Another task: what the processor has is not its.
      const { task } = frame.view;
      add('Task', () => this.task(task), true);
    } else {
      add('Trap', () => this.trap(frame.record ?? d.record), false);
      add('Flags', () => flagRows(d), true);
      add('Segments', () => segmentRows(d), true);
      add('Control & cr2', () => controlRows(d), true);
      add('FPU', () => fpuRows(d), true);
      add('Debug registers', () => debugRows(d), true);
      hostScopes();
      const task = d.tasks.ready ? d.tasks.current() : undefined;
      if (task !== undefined) add('Task', () => this.task(task), true);
    }
    if (this.statics(frame).length > 0) add('Statics', () => this.staticItems(frame), true);
    if (this.pinned.length > 0) add('Globals (pinned)', () => this.pinnedItems(frame), true);
    return list;
  }

  private hostContext(): ValueContext {
    return this.context(this.d.environment(undefined, true));
  }

  /** A task in words, and its task_struct to be opened. What takes longer waits until it is asked for. */
  private task(task: Task): Item[] {
    const type = this.d.tasks.data.type('struct task_struct');
    const rows = taskRows(this.d, task).map((r): Item => {
      const row = fromRow(r);
      if (row.open === undefined) return { ...row, type: 'text' };
      return { name: row.name, value: '', type: 'text', lazy: true, open: () => [row] };
    });
    if (type === undefined) return rows;
    const context = this.context(this.d.environment(undefined, true));
    const value = load(context.env, type, task.address);
    const whole = valueItem('task_struct', `*(struct task_struct *)${hex8(task.address)}`, value, context, PLAIN_FORMAT);
    return [whole, ...rows.filter((row) => row.name !== whole.name)];
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
      return valueItem(v.name, v.name, value, this.context(env), PLAIN_FORMAT, (text) => store(env, value, this.given(text, frame)));
    });
  }

  private context(env: FrameEnvironment): ValueContext {
    return this.d.valueContext(env, this.hex);
  }

  /** Names that the user pinned, by whatever they mean in this frame. */
  private pinnedItems(frame: Frame): Item[] {
    return this.pinned.map((text) => {
      try {
        const { value, env, format } = this.d.evaluate(text, frame, true);
        const context = this.context(env);
        return valueItem(text, text.replace(/,[^,]*$/, ''), value, context, format, (given) => store(env, value, this.given(given, frame)));
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        return { name: text, value: `<${error.message}>`, type: 'text', evaluateName: text };
      }
    });
  }

  private given(text: string, frame: Frame): Value {
    return this.d.evaluate(text, frame, true).value;
  }

  private hasLocals(frame: Frame): boolean {
    if (this.d.returned !== undefined && frame.method === 'exact' && frame.inlineDepth === 0) return true;
    return this.d
      .environment(frame, false)
      .locals()
      .some((v) => v.inlineDepth === frame.inlineDepth);
  }
  private locals(frame: Frame): Item[] {
    const env = this.d.environment(frame, true);
    const seen = new Map<string, number>();
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
      const times = (seen.get(v.name) ?? 0) + 1;
      seen.set(v.name, times);
      // Rows are known by their names.
      const name = times === 1 ? v.name : times === 2 ? `${v.name} (outer)` : `${v.name} (outer ${times - 1})`;
      const item = valueItem(name, v.shadowed ? undefined : v.name, value, this.context(env), PLAIN_FORMAT, (text) =>
        store(env, value, this.given(text, frame)),
      );
      const declared = (frame.view?.programs ?? this.d.programs).declared(v, frame.pc - (frame.afterCall ? 1 : 0));
      items.push(declared === undefined ? item : { ...item, declared });
    }
    return items;
  }

  /** The trap at hand as rows. */
  trap(r: TrapRecord | undefined): Item[] {
    if (r === undefined) return [{ name: 'trap', value: 'none yet', type: 'trap' }];
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
        open: () => pushedRows(r),
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
    return rows.map((row) => {
      const member = TRAP_MEMBERS[row.name];
      return {
        type: 'text',
        ...row,
        ...(member === undefined ? {} : { evaluateName: member === '' ? `trap(${r.k})` : `trap(${r.k}).${member}` }),
      };
    });
  }
}

/** The words of a trap's frame, each with its place and who pushed it. */
const pushedRows = ({ frame }: TrapRecord): Item[] =>
  (frame?.words ?? []).map((w, i, words) => ({
    name: w.name,
    value: hex8(w.value),
    type: `by the ${w.by}`,
    memory: (frame?.at ?? 0) + 4 * (words.length - 1 - i),
  }));

/** Rows of a trap by the member of `trap(k)` that says the same. */
const TRAP_MEMBERS: Readonly<Record<string, string>> = {
  trap: '',
  what: 'what',
  outcome: 'outcome',
  became: 'became',
  position: 'insns',
  eip: 'eip',
  ring: 'cpl',
  'error code': 'err',
  cr2: 'cr2',
  call: 'call',
  handler: 'handler',
  message: 'message',
};
