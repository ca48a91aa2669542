// Traps and the stops they make: the filters that the user sets, what of them only logs or counts, oopses and panics, the texts of exception stops.
//
// Which records the Host shows is filters.ts; running on to a handler is run-loop.ts.

import { REGS } from '../lguest/abi';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { type AddressSources, addressKind } from './address-kind';
import { bugAt, bugText, inOops, OOPS_FUNCTIONS, oopsText } from './bug';
import type { Conditions } from './conditions';
import { becameText, chainText, differencesText, mnemonic, whatText, whyText } from './explain';
import { ExpressionError } from './expression';
import {
  type ActiveFilter,
  COMPACT_FILTERS,
  FILTER_MODES,
  type FilterMode,
  hostFilter,
  isFilterId,
  STEP_VIRQ,
  vectorName,
} from './filters';
import type { Breakpoint, Breakpoints } from './breakpoints';
import { LogLimit } from './log-limit';
import type { Modules } from './modules';
import { handlerAtWork, handlerChain } from './record-query';
import { type StopInfo, stopInfo } from './stops';
import { hex8 } from './target';
import { switchedTasks } from './tasks';
import type { WatchStops } from './watch-stops';
import type { Watches } from './watches';

/** What this needs of the debugger. */
export interface TrapOwner extends AddressSources {
  readonly modules: Modules;
  readonly watches: Watches;
  readonly watchStops: WatchStops;
  readonly conditions: Conditions;
  /** A virtual interrupt that comes in now ends the step under way. */
  readonly virqEndsStep: boolean;
  readonly breakpoints: Breakpoints;
  /** Counts a breakpoint and writes its log. @returns whether it says stop. */
  breakpointMet(b: Breakpoint, record: TrapRecord | undefined): boolean;
  /** The newest stop, and the trap that it is about. */
  readonly stop: StopInfo | undefined;
  readonly record: TrapRecord | undefined;
  textAt(address: number): string | undefined;
  /** A trap found by a filter that only logs, in words. */
  onTrapLog: (text: string) => void;
}

/** What an exception stop says for an editor's exception widget. */
export interface ExceptionText {
  id: string;
  description: string;
  unhandled: boolean;
  typeName: string;
  outcome: string;
  chain: string;
  /** The record's number; undefined: it is about no trap. */
  k: number | undefined;
  /** The traps whose handlers were at work when it came, innermost first. */
  inside: { typeName: string; message: string; k: number }[];
}

export class TrapStops {
  private filters: ActiveFilter[] = [];
  /** The mode of filters that say none. */
  usualMode: FilterMode = 'stop';
  /** Breakpoints at the Host's work that said stop. */
  private placesMet: Breakpoint[] = [];
  /** The filter that said stop. */
  private hit: string | undefined;
  private readonly logLimit = new LogLimit((text) => this.d.onTrapLog(text));
  /** Entries of the kernel's functions for oops and panic, by address, while the filter for them is set. */
  private readonly oopsPlaces = new Map<number, string>();

  constructor(private readonly d: TrapOwner) {}

  /** @returns for each filter the message of what is wrong with it, or undefined. */
  set(wanted: { id: string; condition?: string; mode?: string }[]): (string | undefined)[] {
    this.filters = [];
    const problems = wanted.map(({ id, condition, mode }) => {
      if (!isFilterId(id)) return `no filter "${id}"; the filters are ${COMPACT_FILTERS.map((f) => f.id).join(' ')} and v0 to v255`;
      const known = FILTER_MODES.find((m) => m === (mode ?? this.usualMode));
      if (known === undefined) return `no mode "${mode}"; the modes are ${FILTER_MODES.join(', ')}`;
      const filter: ActiveFilter = { id, mode: known, seen: 0 };
      if (condition !== undefined && condition.trim() !== '') {
        try {
          filter.condition = this.d.conditions.trap(condition);
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
          return error.message;
        }
      }
      this.filters.push(filter);
      return undefined;
    });
    this.install();
    return problems;
  }
  /** Every filter that is set, with what it found. */
  get counts(): { id: string; mode: FilterMode; count: number }[] {
    return this.filters.map((f) => ({ id: f.id, mode: f.mode ?? 'stop', count: f.seen ?? 0 }));
  }
  /** Tells the Host which records to show. */
  install(): void {
    const { target } = this.d;
    const cr2 = this.d.watches.all.flatMap((w): ActiveFilter[] => (w.subject?.cr2 === undefined ? [] : [{ id: `cr2.${w.subject.cr2}` }]));
    const virq: ActiveFilter[] = this.d.virqEndsStep ? [{ id: STEP_VIRQ }] : [];
    const places = [...new Set([...this.d.breakpoints].flatMap((b) => (b.trap === undefined ? [] : [b.trap])))].map((id) => ({ id }));
    const filter = hostFilter(
      [...this.filters, ...cr2, ...virq, ...places],
      target,
      (id, record, direction) => {
        const watch = id.startsWith('cr2.') ? this.d.watches.all.find((w) => w.subject?.cr2 === id.slice(4)) : undefined;
        if (watch !== undefined && !this.d.watchStops.counts(watch)) return false;
        if (/^(host|hcall)\./.test(id)) {
          this.placesMet = this.d.breakpoints.withTrap(id).filter((b) => this.d.breakpointMet(b, record));
          if (this.placesMet.length === 0) return false;
        }
        const filter = this.filters.find((f) => f.id === id);
        if (filter !== undefined) {
          filter.seen = (filter.seen ?? 0) + 1;
          if (filter.mode === 'log') this.logLimit.line(id, () => this.logLine(id, record, direction));
          if (filter.mode === 'log' || filter.mode === 'count') return false;
        }
        this.hit = id;
        return true;
      },
      (record) => bugAt(target, this.d.programs, this.d.modules, record.eip) !== undefined,
    );
    this.plantOops();
    target.setFilter(this.d.watches.needsSwitches ? this.d.watchStops.withSwitches(filter) : filter);
  }
  private logLine(id: string, record: TrapRecord | undefined, direction: 'enter' | 'exit' | undefined): string {
    const { target, programs } = this.d;
    if (direction === 'enter') {
      const eip = target.register('eip');
      return `${id}: into the Guest at ${programs.nameOf(eip) ?? hex8(eip)} (${formatPosition(target.position)})`;
    }
    if (direction === 'exit') {
      // The record of this exit is made only after the stop; the saved registers tell what it is.
      const vector = target.host?.lg.reg(REGS.trapnum) ?? 0;
      const eip = target.register('eip');
      return `${id}: out of the Guest at ${programs.nameOf(eip) ?? hex8(eip)}, trap ${vector} ${vectorName(vector)} (${formatPosition(target.position)})`;
    }
    return record === undefined
      ? id
      : id === 'taskSwitch'
        ? `${id}: ${this.switchText(record)} (trap ${record.k}, ${formatPosition(record.pos)})`
        : `${id}: ${whatText(record)} ${becameText(record, programs)}. (trap ${record.k}, ${formatPosition(record.pos)})`;
  }
  /** Which task gives way to which. */
  private switchText(record: TrapRecord): string {
    const { target, tasks } = this.d;
    const switched = switchedTasks(target, tasks, record);
    if (switched === undefined) return '';
    const name = (n: number): string => {
      const task = tasks.known ? tasks.list().tasks.find((t) => t.pid === n) : undefined;
      return task === undefined ? `the kernel stack ${hex8(n)}` : `pid ${n} ${task.comm}`;
    };
    return `From ${name(switched.from)} to ${name(switched.to)}.`;
  }
  plantOops(): void {
    const { target, programs, modules } = this.d;
    const wanted = new Map<number, string>();
    if (this.filters.some((f) => f.id === 'panic'))
      for (const p of programs.list)
        if (!modules.list.some((m) => m.program === p))
          for (const name of OOPS_FUNCTIONS) {
            const symbol = p.table.named(name);
            if (symbol !== undefined) wanted.set((symbol.address + p.offset) >>> 0, name);
          }
    for (const at of this.oopsPlaces.keys()) if (!wanted.has(at)) target.processor.removeBreakpoint(at);
    for (const at of wanted.keys()) if (!this.oopsPlaces.has(at)) target.processor.addBreakpoint(at);
    this.oopsPlaces.clear();
    for (const [at, name] of wanted) this.oopsPlaces.set(at, name);
  }
  /** The stop at the entry of such a function at this address, if it is one. */
  oopsAt(linear: number): StopInfo | undefined {
    const name = this.oopsPlaces.size === 0 ? undefined : this.oopsPlaces.get(linear);
    return name === undefined ? undefined : this.oops(name);
  }
  /** The stop at the entry of one of them, or undefined when it is part of an oops that was told, or is only logged or counted. */
  private oops(name: string): StopInfo | undefined {
    const filter = this.filters.find((f) => f.id === 'panic');
    const { target, programs } = this.d;
    if (filter === undefined || inOops(target, programs, name)) return undefined;
    const record = handlerAtWork(target.records, target.register('esp'), (r) => r.kind !== 'virq' && r.vector < 32);
    if (record !== undefined && filter.condition !== undefined && !filter.condition(record)) return undefined;
    filter.seen = (filter.seen ?? 0) + 1;
    const said = oopsText(target, name);
    const head = `Guest ${name === 'panic' ? 'panic' : 'oops'}: ${name}(${said === undefined ? '' : JSON.stringify(said)})`;
    const bug = record?.vector === 6 ? bugAt(target, programs, this.d.modules, record.eip) : undefined;
    const cause =
      record === undefined
        ? ''
        : ` in the handler of trap ${record.k}: ${whatText(record)} At ${programs.nameOf(record.eip) ?? hex8(record.eip)}${bug === undefined ? '' : `: ${bugText(bug)}`}`;
    const text = `${head}${cause}`;
    if (filter.mode === 'log') this.logLimit.line('panic', () => `panic: ${text}`);
    if (filter.mode === 'log' || filter.mode === 'count') return undefined;
    return stopInfo('exception', head, { filter: 'panic', text, record });
  }
  /** No stop is near: what was held back of the log is told. */
  flush(): void {
    this.logLimit.flush();
  }
  /** Whether a filter stops. */
  isOn(id: string): boolean {
    return this.filters.some((f) => f.id === id && f.mode !== 'log' && f.mode !== 'count');
  }

  dead(filter: 'killed' | 'panic', message: string, record: TrapRecord | undefined): StopInfo {
    const text = message.replace(/^lguest: /, '');
    const head = filter === 'panic' ? `Guest panic: ${text.replace(/^CRASH: /, '')}` : `Guest killed by the Host: ${text}`;
    return stopInfo('exception', head, { text: message, filter, record });
  }
  /** The filter that found the record at hand stops at the handler. */
  get goesToHandler(): boolean {
    return this.filters.some((f) => f.id === this.hit && f.mode === 'handler');
  }
  /** The stop at a record that a filter chose. */
  atTrap(record: TrapRecord): StopInfo {
    const filter = this.hit ?? 'emulator';
    this.hit = undefined;
    if (filter === STEP_VIRQ)
      return stopInfo('step', `Paused on step: irq ${record.virq?.irq ?? 0} comes in here`, { record, pending: true });
    if (/^(host|hcall)\./.test(filter)) {
      const hitBreakpoints = this.placesMet.map((b) => b.id);
      const at = filter.startsWith('host.') ? `Host: ${filter.slice(5)}` : (record.hypercall?.name ?? 'hypercall');
      return stopInfo('function breakpoint', `Paused on function breakpoint: ${at}`, {
        record,
        pending: true,
        text: whatText(record),
        hitBreakpoints,
      });
    }
    const watch = this.d.watches.all.find((w) => `cr2.${w.subject?.cr2}` === filter);
    if (watch !== undefined) {
      const { cr2 } = this.d.target.host ?? {};
      const change =
        filter === 'cr2.guest'
          ? `${cr2?.guest === undefined ? 'unknown' : hex8(cr2.guest)} → ${hex8(record.cr2 ?? 0)}`
          : `→ ${hex8(record.cr2 ?? 0)}`;
      return stopInfo('data breakpoint', `${filter}: ${change}`, {
        record,
        pending: true,
        text: `${filter}: ${change}. ${whatText(record)}`,
        hitBreakpoints: [watch.id],
      });
    }
    const bug = filter === 'panic' ? bugAt(this.d.target, this.d.programs, this.d.modules, record.eip) : undefined;
    const label =
      bug === undefined
        ? (COMPACT_FILTERS.find((f) => f.id === filter)?.label ?? vectorName(record.vector))
        : bugText(bug).length > 80
          ? `...${bugText(bug).slice(-77)}`
          : bugText(bug);
    const text =
      filter === 'taskSwitch'
        ? `${whatText(record)} ${this.switchText(record)}`.trim()
        : bug === undefined
          ? whatText(record)
          : `${bugText(bug)} (by the ${bug.source}) ${whatText(record)}`;
    const { problem } = this.d.conditions;
    this.d.conditions.problem = undefined;
    return stopInfo('exception', label, {
      filter,
      record,
      pending: true,
      text: problem === undefined ? text : `${text} (${problem})`,
    });
  }

  exceptionText(): ExceptionText | undefined {
    const { stop } = this.d;
    if (stop?.reason !== 'exception') return undefined;
    const { record } = stop;
    const unhandled = stop.filter === 'killed' || stop.filter === 'panic' || stop.filter === 'switcher' || stop.filter === 'emulator';
    if (record === undefined)
      return {
        id: stop.filter ?? 'emulator',
        description: stop.text ?? stop.description,
        unhandled,
        typeName: stop.filter ?? '',
        outcome: '',
        chain: '',
        k: undefined,
        inside: [],
      };
    const instruction = this.d.textAt(record.eip);
    const at = this.d.programs.nameOf(record.eip);
    const parent = record.kind === 'kill' && record.parent !== undefined ? this.d.target.records.get(record.parent) : undefined;
    const lines = [
      stop.filter === 'killed' || stop.filter === 'panic' ? `${stop.text ?? stop.description}` : whatText(record),
      `${instruction ?? '(unreadable instruction)'} ${at === undefined ? `at ${hex8(record.eip)}` : `in ${at}`}, ${formatPosition(record.pos)}, trap ${record.k}.`,
      ...(record.cr2 === undefined ? [] : [`${hex8(record.cr2)} is ${addressKind(this.d, record.cr2)}.`]),
      parent === undefined ? `${becameText(record, this.d.programs)}.` : `${whatText(parent)} ${becameText(parent, this.d.programs)}.`,
    ];
    return {
      id: stop.filter ?? 'trap',
      description: lines.join('\n'),
      unhandled,
      typeName: mnemonic(parent ?? record),
      outcome: record.outcome,
      chain: `${chainText(parent ?? record, this.d.programs)}${differencesText(parent ?? record)}`,
      k: (parent ?? record).k,
      inside: handlerChain(this.d.target.records, (parent ?? record).esp, (parent ?? record).k)
        .filter(() => (parent ?? record).cpl !== 3)
        .map((r) => ({ typeName: mnemonic(r), message: `${whatText(r)} ${becameText(r, this.d.programs)}.`, k: r.k })),
    };
  }

  /** @param k a trap's number, negative from the newest; without: the trap at hand. @throws ExpressionError when it is not kept. */
  why(k?: number): string {
    const { records } = this.d.target;
    const record = k === undefined ? this.d.record : records.get(k < 0 ? records.count + k : k);
    if (k !== undefined && record === undefined) throw new ExpressionError(`trap ${k} is not kept`);
    if (record === undefined) return 'Nothing has trapped yet.\n';
    const parent = record.kind === 'kill' && record.parent !== undefined ? this.d.target.records.get(record.parent) : undefined;
    const { cr2 } = parent ?? record;
    const kind = cr2 === undefined ? '' : `cr2 ${hex8(cr2)} is ${addressKind(this.d, cr2)}\n`;
    const text = kind + whyText(parent ?? record, this.d.programs, this.d.textAt(record.eip));
    return parent === undefined ? text : `The Guest is dead: ${record.message ?? ''}\n\n${text}`;
  }
}
