// The debug adapter: DAP requests in, answers and events out. Each handler translates arguments, asks the debugger, translates the answer.
//
// Only dispatch() knows about sequence numbers, success and errors; every request is answered, unknown ones too. It runs wherever streams or messages can be had;
// files come through Files. What it leaves out: streams and sockets (main.ts), debugging (debugger/).

import { ProtocolServer } from '@vscode/debugadapter/lib/protocol';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Breakpoint, BreakpointSpec } from '../debugger/breakpoints';
import { CodeRows } from '../debugger/code-rows';
import { commandNames, runCommand } from '../debugger/commands';
import { evaluate, ExpressionError, parse, store } from '../debugger/expression';
import { COMPACT_FILTERS, type FilterDescription, VECTOR_FILTERS } from '../debugger/filters';
import { targetNote } from '../debugger/listing';
import { Programs } from '../debugger/programs';
import { QUESTIONS } from '../debugger/questions';
import { type Item, Scopes, type ScopeItem, valueItem } from '../debugger/scopes';
import { Debugger, type EndInfo, type Granularity, type StopInfo } from '../debugger/session';
import type { Frame } from '../debugger/stack';
import { BareTarget, GuestTarget, hex8, LINEAR, type Space, type Target } from '../debugger/target';
import { EXPORTS, exportTraps, GROUPS, gateAudit, groupTraps, irqState, queryTraps } from '../debugger/trap-log';
import { parseAccess, trapTree, walkTree } from '../debugger/views';
import { BareMachine } from '../launcher/bare';
import { Machine } from '../launcher/machine';
import { LauncherError } from '../launcher/errors';
import { type Files, type LaunchArguments, LaunchProblem, openSymbols, parseLaunch, readFile } from './launch';
import { lastPart, Sources } from './sources';

const THREAD = 1;
const CONSOLE_DELAY_MS = 5;

/** What can go wrong for the user, with a number for each kind. */
class RequestError extends Error {
  constructor(
    readonly id: number,
    message: string,
    readonly showUser = false,
  ) {
    super(message);
  }
}
const ERRORS = {
  unknownRequest: 1000,
  notLaunched: 1001,
  running: 1002,
  badArgument: 1003,
  launch: 1100,
  expression: 1200,
  memory: 1300,
  internal: 1900,
} as const;

type Arguments = Record<string, unknown>;
type Handler = (args: Arguments) => object | undefined | Promise<object | undefined>;

const wantText = (args: Arguments, name: string): string => {
  const v = args[name];
  if (typeof v !== 'string') throw new RequestError(ERRORS.badArgument, `"${name}" must be a text.`);
  return v;
};
const oneOf = <T extends string>(args: Arguments, name: string, values: readonly T[], otherwise: T): T => {
  const v = args[name] ?? otherwise;
  if (!values.includes(v as T)) throw new RequestError(ERRORS.badArgument, `"${name}" must be one of ${values.join(', ')}.`);
  return v as T;
};
const wantNumber = (args: Arguments, name: string, otherwise?: number): number => {
  const v = args[name] ?? otherwise;
  if (typeof v !== 'number' || !Number.isFinite(v)) throw new RequestError(ERRORS.badArgument, `"${name}" must be a number.`);
  return v;
};

export interface AdapterOptions {
  files: Files;
  /** Filters offered at initialize; the extension knows the launch configuration before. */
  exceptionFilters?: 'compact' | 'perVector';
}

export class AdapterSession extends ProtocolServer {
  private readonly files: Files;
  private d: Debugger | undefined;
  private machine: Machine | BareMachine | undefined;
  private launchArguments: LaunchArguments | undefined;
  private rawLaunch: Arguments = {};
  private sources: Sources | undefined;
  private configured = false;
  private finished = false;
  private linesStartAt1 = true;
  private columnsStartAt1 = true;
  private supports: DebugProtocol.InitializeRequestArguments = { adapterID: 'lguest' };
  /** Handles of this stop. */
  private frames = new Map<number, Frame>();
  private nextHandle = 1;
  private opened = new Map<number, Item>();
  /** References that the client has read memory by since the last stop. */
  private memoryRead = new Map<string, number>();
  private consoleText: Uint8Array[] = [];
  private consoleTimer = false;
  private readonly decoder = new TextDecoder();
  private filterWishes: { id: string; condition?: string; mode?: string }[] = COMPACT_FILTERS.filter((f) => f.on).map((f) => ({
    id: f.id,
  }));
  private readonly handlers: Readonly<Record<string, Handler>>;

  constructor(private readonly options: AdapterOptions) {
    super();
    this.files = options.files;
    this.handlers = this.table();
  }

  // ---- dispatch ---------------------------------------------------------------------------------------------------------------------------

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    void this.dispatch(request);
  }

  private async dispatch(request: DebugProtocol.Request): Promise<void> {
    const { command } = request;
    const answer: Record<string, unknown> = { type: 'response', seq: 0, request_seq: request.seq, command, success: true };
    let after: (() => void) | undefined;
    try {
      const handler = Object.hasOwn(this.handlers, command) ? this.handlers[command] : undefined;
      if (handler === undefined) throw new RequestError(ERRORS.unknownRequest, `The request "${command}" is not known to this adapter.`);
      const args = request.arguments;
      const body = await handler(typeof args === 'object' && args !== null ? (args as Arguments) : {});
      if (body !== undefined) answer.body = body;
      after = this.afterResponse;
      this.afterResponse = undefined;
    } catch (error) {
      const e = error instanceof RequestError ? error : this.translate(error as Error);
      answer.success = false;
      answer.message = e.message;
      answer.body = { error: { id: e.id, format: e.message, showUser: e.showUser } };
      this.afterResponse = undefined;
    }
    this.sendResponse(answer as unknown as DebugProtocol.Response);
    after?.();
  }
  /** What a handler wants to be done once its answer is on the way: events that the answer must precede. */
  private afterResponse: (() => void) | undefined;

  private translate(error: Error): RequestError {
    if (error instanceof ExpressionError) return new RequestError(ERRORS.expression, error.message);
    if (error instanceof LaunchProblem || error instanceof LauncherError) return new RequestError(ERRORS.launch, error.message, true);
    return new RequestError(ERRORS.internal, error.message || String(error));
  }

  private event(event: string, body?: object): void {
    this.sendEvent({ type: 'event', seq: 0, event, ...(body === undefined ? {} : { body }) });
  }
  private output(text: string, category: 'console' | 'stdout' | 'stderr' | 'important' = 'console', more: object = {}): void {
    if (text !== '') this.event('output', { category, output: text.endsWith('\n') || category === 'stdout' ? text : `${text}\n`, ...more });
  }

  // ---- state ------------------------------------------------------------------------------------------------------------------------------

  private get core(): Debugger {
    if (this.d === undefined) throw new RequestError(ERRORS.notLaunched, 'Nothing is launched yet.');
    return this.d;
  }
  /** The debugger, standing still. */
  private get standing(): Debugger {
    const { core } = this;
    if (core.running) throw new RequestError(ERRORS.running, 'The Guest is running; pause it first.');
    return core;
  }
  private handle(item: Item): number {
    if (item.open === undefined) return 0;
    const n = this.nextHandle++;
    this.opened.set(n, item);
    return n;
  }
  private frame(id: unknown): Frame | undefined {
    if (id === undefined) return undefined;
    const found = typeof id === 'number' ? this.frames.get(id) : undefined;
    if (found === undefined)
      throw new RequestError(ERRORS.badArgument, `No frame ${JSON.stringify(id)}: frames are valid until the Guest runs again.`);
    return found;
  }
  private forgetHandles(): void {
    this.frames.clear();
    this.opened.clear();
  }

  // ---- starting and ending ------------------------------------------------------------------------------------------------------------------

  private initialize(args: Arguments): object {
    this.supports = args as unknown as DebugProtocol.InitializeRequestArguments;
    this.linesStartAt1 = args.linesStartAt1 !== false;
    this.columnsStartAt1 = args.columnsStartAt1 !== false;
    const filters = this.options.exceptionFilters === 'perVector' ? VECTOR_FILTERS : COMPACT_FILTERS;
    return capabilities(filters);
  }

  private async launch(args: Arguments): Promise<undefined> {
    if (this.d !== undefined) throw new RequestError(ERRORS.launch, 'A Guest is launched already; end this session or restart it.', true);
    this.rawLaunch = args;
    this.build(args);
    if (args.exceptionFilters === 'perVector' && this.options.exceptionFilters !== 'perVector') {
      this.event('capabilities', { capabilities: { exceptionBreakpointFilters: VECTOR_FILTERS.map(filterBody) } });
    }
    this.event('initialized');
    return undefined;
  }

  /** Makes machine and debugger. Throws with one line. */
  private build(given: Arguments): void {
    const a = parseLaunch(given, this.files);
    const image = readFile(this.files, 'program', a.program);
    const target = a.machine === 'bare' ? this.bareTarget(a, image) : this.guestTarget(a, image);
    const { programs, notes } = openSymbols(a, image, this.files);
    for (const note of [...a.notes, ...notes]) this.output(note);
    const d = new Debugger(target, new Programs(programs), a.disassemblySyntax);
    d.onStop = (stop) => this.stopped(stop);
    d.onEnd = (end) => this.guestEnded(end);
    d.onLog = (text, b) => this.logged(text, b);
    d.onTrapLog = (text) => this.output(text);
    d.onWrite = () => this.changed();
    d.onBound = (b) => this.event('breakpoint', { reason: 'changed', breakpoint: this.breakpointBody(b) });
    d.onNames = (program) => {
      this.output(`Names of ${program.table.size} symbols were found in the Guest's memory (kallsyms).`);
      this.event('module', { reason: 'new', module: moduleOf(program) });
    };
    this.d = d;
    this.launchArguments = a;
    this.sources = new Sources(this.files, a);
    this.event('process', { name: lastPart(a.program), isLocalProcess: false, startMethod: 'launch', pointerSize: 32 });
    for (const program of programs) this.event('module', { reason: 'new', module: moduleOf(program) });
  }

  private bareTarget(a: LaunchArguments, image: Uint8Array): Target {
    const machine = new BareMachine({
      image,
      rom: a.rom,
      memoryBytes: a.memoryBytes,
      cmdline: a.cmdline,
      postPort: a.postPort,
      jit: a.jit,
      ...(a.module === undefined ? {} : { modules: [{ bytes: readFile(this.files, 'module', a.module), name: lastPart(a.module) }] }),
    });
    machine.onConsole = (bytes) => this.guestPrinted(bytes);
    machine.onDebugPort = (byte) => this.guestPrinted(Uint8Array.of(byte));
    machine.onPost = (code) => this.output(`POST ${code.toString(16).padStart(2, '0')}`);
    this.machine = machine;
    return new BareTarget(machine);
  }
  private guestTarget(a: LaunchArguments, image: Uint8Array): Target {
    const initrd = a.initrd === undefined ? undefined : readFile(this.files, 'initrd', a.initrd);
    const machine = new Machine({
      kernel: image,
      memoryBytes: a.memoryBytes,
      cmdline: a.cmdline,
      jit: a.jit,
      network: a.network,
      blockDevices: a.blockDevices.map((path) => readFile(this.files, 'blockDevices', path)),
      ...(initrd === undefined ? {} : { initrd }),
      ...(a.tscKhz === undefined ? {} : { tscKhz: a.tscKhz }),
      ...(a.seed === undefined ? {} : { seed: a.seed }),
    });
    machine.onConsole = (bytes) => this.guestPrinted(bytes);
    machine.onWarning = (line) => this.output(line, 'stderr');
    this.machine = machine;
    return new GuestTarget(machine);
  }

  private configurationDone(): undefined {
    const d = this.core;
    if (this.configured) return undefined;
    this.configured = true;
    this.afterResponse = () => this.go(d);
    return undefined;
  }

  /** The first move. */
  private go(d: Debugger): void {
    const a = this.launchArguments;
    if (a === undefined) return;
    if (a.noDebug) {
      for (const b of [...d.breakpoints]) d.breakpoints.remove(b);
      d.setFilters([]);
      d.continue();
      return;
    }
    d.setFilters(this.filterWishes);
    if (a.stopOnEntry) {
      d.stop = { reason: 'entry', description: 'Before the first instruction of the Guest', hitBreakpoints: [], pending: false };
      this.stopped(d.stop);
      return;
    }
    const to = a.runToEntryPoint;
    if (to === undefined) {
      d.continue();
      return;
    }
    const places = d.programs.functionsNamed(to).flatMap((f) => d.programs.addresses(f.program, f.postPrologue));
    if (places.length === 0 && d.awaitsNames) {
      d.runToNamed(to, 'entry', `Paused at ${to}`);
      return;
    }
    if (places.length === 0) {
      const similar = d.programs.similar(to);
      this.output(
        `"runToEntryPoint": no function "${to}" is known${similar === undefined ? '' : `; did you mean "${similar}"?`} Stopped before the first instruction.`,
        'important',
      );
      d.stop = { reason: 'entry', description: 'Before the first instruction of the Guest', hitBreakpoints: [], pending: false };
      this.stopped(d.stop);
      return;
    }
    d.runTo(places, 'entry', `Paused at ${to}`);
  }

  private guestPrinted(bytes: Uint8Array): void {
    this.consoleText.push(bytes.slice());
    if (this.consoleTimer) return;
    this.consoleTimer = true;
    setTimeout(() => this.flushConsole(), CONSOLE_DELAY_MS);
  }
  private flushConsole(): void {
    this.consoleTimer = false;
    if (this.consoleText.length === 0) return;
    const text = this.consoleText.map((b) => this.decoder.decode(b, { stream: true })).join('');
    this.consoleText = [];
    if (text === '') return;
    if (this.launchArguments?.console === 'integratedTerminal') this.event('lguest/consoleData', { data: text });
    else this.output(text, 'stdout');
  }
  private logged(text: string, b: Breakpoint): void {
    const line = b.line;
    const path = b.file === undefined ? undefined : this.sources?.resolve(b.file);
    this.output(
      `${text}\n`,
      'console',
      path === undefined || line === undefined ? {} : { source: { name: lastPart(path), path }, line: this.outLine(line) },
    );
  }

  private stopped(stop: StopInfo): void {
    this.flushConsole();
    this.forgetHandles();
    if (this.finished) return;
    this.warm();
    const dead = stop.filter === 'killed' || stop.filter === 'panic' || stop.filter === 'emulator';
    if (dead) this.output(`${stop.text ?? stop.description}\n`, 'important');
    this.event('stopped', {
      reason: stop.reason,
      description: stop.description,
      threadId: THREAD,
      allThreadsStopped: true,
      hitBreakpointIds: stop.hitBreakpoints,
      ...(stop.text === undefined ? {} : { text: stop.text }),
    });
    if (this.supports.supportsMemoryEvent)
      for (const [memoryReference, count] of this.memoryRead) this.event('memory', { memoryReference, offset: 0, count });
    this.memoryRead.clear();
  }
  /** The client asks for the top frame at once, and editors get confused when its answer lags: what it needs is read before the stop is told. */
  private warm(): void {
    const stack = this.d?.stack();
    stack?.need(2);
    for (const f of stack?.frames.slice(0, 2) ?? [])
      if (f.kind === 'code' && this.d !== undefined) this.sources?.at(this.d, f.pc, f.file, f.line);
  }
  private guestEnded(end: EndInfo): void {
    this.flushConsole();
    this.output(`${end.message}\n`, end.exitCode === 0 ? 'console' : 'important');
    this.terminated(end.exitCode);
  }
  private terminated(exitCode: number): void {
    if (this.finished) return;
    this.finished = true;
    this.event('exited', { exitCode });
    this.event('terminated');
  }
  private changed(): void {
    this.core.forget();
    this.forgetHandles();
    if (this.supports.supportsInvalidatedEvent) this.event('invalidated', { areas: ['variables', 'stacks'] });
  }

  private exitCode(): number {
    const kind = this.machine?.end?.kind;
    return kind === 'panic' ? 2 : kind === 'killed' ? 1 : this.d?.stop?.filter === 'emulator' ? 3 : 0;
  }
  private stopMachine(): void {
    this.flushConsole();
    this.d?.pause();
    if (this.d !== undefined) this.d.onStop = () => {};
  }

  private async restart(args: Arguments): Promise<undefined> {
    const old = this.core;
    if (old.running) {
      await new Promise<void>((done) => {
        old.onStop = () => done();
        old.onEnd = () => done();
        old.pause();
      });
    }
    const given = typeof args.arguments === 'object' && args.arguments !== null ? (args.arguments as Arguments) : this.rawLaunch;
    this.forgetHandles();
    const kept = [...old.breakpoints].map((b) => ({ id: b.id, spec: b.spec }));
    this.build(given);
    this.rawLaunch = given;
    this.core.adopt(kept, old);
    this.finished = false;
    this.afterResponse = () => this.go(this.core);
    return undefined;
  }

  // ---- breakpoints --------------------------------------------------------------------------------------------------------------------------

  private outLine(line: number): number {
    return this.linesStartAt1 ? line : line - 1;
  }
  private inLine(line: number): number {
    return this.linesStartAt1 ? line : line + 1;
  }
  private breakpointBody(b: Breakpoint, source?: DebugProtocol.Source): DebugProtocol.Breakpoint {
    const body: DebugProtocol.Breakpoint = { id: b.id, verified: b.verified };
    if (b.message !== undefined) body.message = b.message;
    if (!b.verified) body.reason = 'failed';
    if (!b.verified && b.spec.kind === 'function' && this.d?.awaitsNames) {
      body.reason = 'pending';
      body.message = "Waits for the symbol table in the kernel's own memory";
    }
    if (b.line !== undefined && b.verified) body.line = this.outLine(b.line);
    if (b.column !== undefined) body.column = this.columnsStartAt1 ? b.column : b.column - 1;
    const [place] = b.places;
    if (place !== undefined) body.instructionReference = hex8(place.address);
    if (source !== undefined) body.source = source;
    else if (b.file !== undefined && b.verified) {
      const path = this.sources?.resolve(b.file);
      if (path !== undefined) body.source = { name: lastPart(path), path };
    }
    return body;
  }
  private common(x: Arguments): Partial<BreakpointSpec> {
    const spec: Partial<BreakpointSpec> = {};
    for (const key of ['condition', 'hitCondition', 'logMessage'] as const) {
      const v = x[key];
      if (typeof v === 'string' && v !== '') spec[key] = v;
    }
    return spec;
  }
  private list(args: Arguments, name: string): Arguments[] {
    const v = args[name] ?? [];
    if (!Array.isArray(v)) throw new RequestError(ERRORS.badArgument, `"${name}" must be a list.`);
    return v.map((x) => (typeof x === 'object' && x !== null ? (x as Arguments) : {}));
  }

  private setBreakpoints(args: Arguments): object {
    const d = this.core;
    const source = (args.source ?? {}) as DebugProtocol.Source;
    const wanted = this.list(args, 'breakpoints');
    const lines =
      wanted.length === 0 && Array.isArray(args.lines) ? (args.lines as number[]).map((line) => ({ line }) as Arguments) : wanted;
    const isListing =
      (source.sourceReference ?? 0) > 0 || (source.path?.endsWith('.lgl') ?? false) || source.name?.endsWith('.lgl') === true;
    if (isListing) {
      const listing = this.sources?.listing(source.sourceReference ?? 0) ?? this.sources?.listingNamed(d, source.name ?? source.path ?? '');
      const file = `listing ${listing?.name ?? source.name}`;
      const specs = lines.map((x): BreakpointSpec => {
        const line = this.inLine(wantNumber(x, 'line'));
        const at = listing?.addresses.findIndex((a, i) => i >= line - 1 && a !== undefined) ?? -1;
        const address = at < 0 ? undefined : listing?.addresses[at];
        return { kind: 'instruction', file, line: at + 1, ...(address === undefined ? {} : { address }), ...this.common(x) };
      });
      const made = d.setBreakpoints('instruction', (b) => b.spec.file === file, specs);
      return { breakpoints: made.map((b) => this.breakpointBody(b, source)) };
    }
    const path = source.path ?? source.name;
    if (typeof path !== 'string') throw new RequestError(ERRORS.badArgument, '"source" needs a path or a sourceReference.');
    if (source.path !== undefined) this.sources?.seen(source.path);
    const specs = lines.map((x): BreakpointSpec => {
      const column = typeof x.column === 'number' ? (this.columnsStartAt1 ? x.column : x.column + 1) : undefined;
      return {
        kind: 'source',
        file: path,
        line: this.inLine(wantNumber(x, 'line')),
        ...(column === undefined ? {} : { column }),
        ...this.common(x),
      };
    });
    const made = d.setBreakpoints('source', (b) => b.spec.file === path, specs);
    return { breakpoints: made.map((b) => this.breakpointBody(b, b.verified ? { name: lastPart(path), path } : undefined)) };
  }

  private setFunctionBreakpoints(args: Arguments): object {
    const specs = this.list(args, 'breakpoints').map(
      (x): BreakpointSpec => ({ kind: 'function', pattern: wantText(x, 'name'), ...this.common(x) }),
    );
    return { breakpoints: this.core.setBreakpoints('function', () => true, specs).map((b) => this.breakpointBody(b)) };
  }
  private setInstructionBreakpoints(args: Arguments): object {
    const specs = this.list(args, 'breakpoints').map((x): BreakpointSpec => {
      const { address } = this.reference(wantText(x, 'instructionReference'));
      return { kind: 'instruction', address: (address + wantNumber(x, 'offset', 0)) >>> 0, ...this.common(x) };
    });
    return {
      breakpoints: this.core.setBreakpoints('instruction', (b) => b.spec.file === undefined, specs).map((b) => this.breakpointBody(b)),
    };
  }
  private setExceptionBreakpoints(args: Arguments): object {
    const plain = Array.isArray(args.filters) ? args.filters.map((id) => ({ id: String(id) })) : [];
    const optioned = this.list(args, 'filterOptions').map((x) => ({
      id: wantText(x, 'filterId'),
      ...(typeof x.condition === 'string' ? { condition: x.condition } : {}),
      ...(typeof x.mode === 'string' ? { mode: x.mode } : {}),
    }));
    this.filterWishes = [...plain, ...optioned];
    const problems = this.core.setFilters(this.filterWishes);
    return {
      breakpoints: problems.map((message) => (message === undefined ? { verified: true } : { verified: false, message, reason: 'failed' })),
    };
  }
  private breakpointLocations(args: Arguments): object {
    const source = (args.source ?? {}) as DebugProtocol.Source;
    const line = this.inLine(wantNumber(args, 'line'));
    const end = args.endLine === undefined ? line : this.inLine(wantNumber(args, 'endLine'));
    const listing = (source.sourceReference ?? 0) > 0 ? this.sources?.listing(source.sourceReference ?? 0) : undefined;
    if (listing !== undefined) {
      return {
        breakpoints: listing.addresses.flatMap((a, i) =>
          a !== undefined && i + 1 >= line && i + 1 <= end ? [{ line: this.outLine(i + 1) }] : [],
        ),
      };
    }
    const spots = this.core.programs.breakpointLocations(source.path ?? source.name ?? '', line, end);
    return {
      breakpoints: spots.map((s) => ({
        line: this.outLine(s.line),
        ...(s.column > 0 ? { column: this.columnsStartAt1 ? s.column : s.column - 1 } : {}),
      })),
    };
  }

  private dataBreakpointInfo(args: Arguments): object {
    const d = this.core;
    const name = wantText(args, 'name');
    if (args.asAddress === true) {
      const { address } = this.reference(name);
      const bytes = wantNumber(args, 'bytes', 4);
      return {
        dataId: `mem:v:${hex8(address)}:${bytes}`,
        description: `${bytes} bytes at ${hex8(address)}`,
        accessTypes: ['read', 'write', 'readWrite'],
        canPersist: true,
      };
    }
    const parent = typeof args.variablesReference === 'number' ? this.opened.get(args.variablesReference) : undefined;
    let watch = parent?.open?.(0, 100_000).find((i) => i.name === name)?.watch;
    if (watch === undefined && parent === undefined) {
      if (/^cr2\.(hw|host|guest)$/.test(name))
        watch = {
          id: name.replace('.', ':'),
          description: `${name}, written by ${name === 'cr2.guest' ? 'the Host for the Guest' : 'every page fault'}`,
        };
      else {
        try {
          const { value, env } = d.evaluate(name, this.frame(args.frameId), false);
          watch = valueItem(name, name, value, d.valueContext(env), { letter: undefined, count: undefined }).watch;
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
          return { dataId: null, description: error.message };
        }
      }
    }
    if (watch === undefined || watch.id.startsWith('reg:'))
      return {
        dataId: null,
        description: watch === undefined ? `${name} is not in memory` : `${name}: registers cannot be watched; watch memory or a cr2`,
      };
    const accessTypes = watch.id.startsWith('cr2:') ? ['write'] : ['read', 'write', 'readWrite'];
    return { dataId: watch.id, description: watch.description, accessTypes, canPersist: !watch.id.startsWith('mem:v:') };
  }
  private setDataBreakpoints(args: Arguments): object {
    const wanted = this.list(args, 'breakpoints').map((x) => ({
      dataId: wantText(x, 'dataId'),
      access: (typeof x.accessType === 'string' ? x.accessType : 'write') as 'read' | 'write' | 'readWrite',
      ...this.common(x),
    }));
    const made = this.core.setWatches(wanted);
    return {
      breakpoints: made.map((w) => ({
        id: w.id,
        verified: w.problem === undefined,
        ...(w.problem === undefined ? {} : { message: w.problem, reason: 'failed' }),
      })),
    };
  }

  // ---- running ------------------------------------------------------------------------------------------------------------------------------

  private resume(how: (d: Debugger) => void): void {
    const d = this.standing;
    if (!this.configured) throw new RequestError(ERRORS.notLaunched, 'The session is not configured yet.');
    this.forgetHandles();
    this.afterResponse = () => how(d);
  }
  private step(kind: 'in' | 'over' | 'out', args: Arguments): undefined {
    const granularity: Granularity = args.granularity === 'instruction' ? 'instruction' : 'line';
    this.resume((d) => d.step(kind, granularity));
    return undefined;
  }

  private gotoTargets(args: Arguments): object {
    const d = this.standing;
    const source = (args.source ?? {}) as DebugProtocol.Source;
    const line = this.inLine(wantNumber(args, 'line'));
    const listing = (source.sourceReference ?? 0) > 0 ? this.sources?.listing(source.sourceReference ?? 0) : undefined;
    const places =
      listing === undefined
        ? d.programs
            .locationsForLine(source.path ?? source.name ?? '', line)
            .flatMap(({ program, at }) => d.programs.addresses(program, at.address).slice(0, 1))
        : [listing.addresses[line - 1]].filter((a) => a !== undefined);
    return {
      targets: places.map((a) => ({
        id: a,
        label: d.programs.nameOf(a) ?? hex8(a),
        line: this.outLine(line),
        instructionPointerReference: hex8(a),
      })),
    };
  }
  private goto(args: Arguments): undefined {
    const d = this.standing;
    d.goto(wantNumber(args, 'targetId'));
    this.afterResponse = () => this.stopped(d.stop as StopInfo);
    return undefined;
  }

  // ---- looking ------------------------------------------------------------------------------------------------------------------------------

  private stackTrace(args: Arguments): object {
    const d = this.standing;
    const stack = d.stack();
    const start = wantNumber(args, 'startFrame', 0);
    const levels = wantNumber(args, 'levels', 0) || 1000;
    stack.need(start + levels);
    const stackFrames = stack.frames.slice(start, start + levels).map((f) => this.frameBody(d, f));
    return { stackFrames, ...(stack.complete ? { totalFrames: stack.frames.length } : { totalFrames: stack.frames.length + 20 }) };
  }
  private frameBody(d: Debugger, f: Frame): DebugProtocol.StackFrame {
    const id = this.nextHandle++;
    this.frames.set(id, f);
    if (f.kind !== 'code') return { id, name: f.name, line: 0, column: 0, presentationHint: 'label' };
    const place = this.sources?.at(d, f.pc, f.file, f.line);
    return {
      id,
      name: f.name,
      line: this.outLine(place?.line ?? 1),
      column: this.columnsStartAt1 ? (place?.column ?? 1) : 0,
      instructionPointerReference: hex8(f.pc),
      ...(place === undefined ? {} : { source: place.source }),
    };
  }
  private scopes(args: Arguments): object {
    const d = this.standing;
    const frame = this.frame(args.frameId);
    if (frame === undefined) throw new RequestError(ERRORS.badArgument, '"frameId" is missing.');
    const scopes = new Scopes(d, false).of(frame).map((s: ScopeItem) => ({
      name: s.name,
      variablesReference: this.handle(s),
      expensive: s.expensive,
      ...(s.hint === undefined ? {} : { presentationHint: s.hint }),
    }));
    return { scopes };
  }
  private variables(args: Arguments): object {
    void this.standing;
    const item = this.opened.get(wantNumber(args, 'variablesReference'));
    if (item?.open === undefined) throw new RequestError(ERRORS.badArgument, 'These variables are gone: the Guest has run since.');
    const filter = args.filter;
    if (filter === 'named' && item.indexed !== undefined) return { variables: [] };
    const start = wantNumber(args, 'start', 0);
    const count = wantNumber(args, 'count', 0) || 1000;
    return { variables: item.open(start, count).map((i) => this.variableBody(i)) };
  }
  private variableBody(i: Item): DebugProtocol.Variable {
    const v: DebugProtocol.Variable = { name: i.name, value: i.value, variablesReference: this.handle(i) };
    if (i.type !== undefined) v.type = i.type;
    if (i.evaluateName !== undefined) v.evaluateName = i.evaluateName;
    if (i.memory !== undefined) v.memoryReference = hex8(i.memory);
    if (i.indexed !== undefined) v.indexedVariables = i.indexed;
    if (i.set === undefined) v.presentationHint = { attributes: ['readOnly'] };
    return v;
  }
  private setVariable(args: Arguments): object {
    const d = this.standing;
    const parent = this.opened.get(wantNumber(args, 'variablesReference'));
    const name = wantText(args, 'name');
    const item = parent?.open?.(0, 100_000).find((i) => i.name === name);
    if (item === undefined) throw new RequestError(ERRORS.badArgument, `No variable "${name}" here.`);
    if (item.set === undefined) throw new RequestError(ERRORS.expression, `${name} cannot be changed.`);
    item.set(wantText(args, 'value'));
    d.forget();
    const after = parent?.open?.(0, 100_000).find((i) => i.name === name) ?? item;
    const body = this.variableBody(after);
    if (this.supports.supportsInvalidatedEvent) this.afterResponse = () => this.event('invalidated', { areas: ['variables'] });
    return { value: body.value, variablesReference: body.variablesReference, ...(body.type === undefined ? {} : { type: body.type }) };
  }
  private setExpression(args: Arguments): object {
    const d = this.standing;
    const frame = this.frame(args.frameId);
    const env = d.environment(frame, true);
    const value = store(env, evaluate(parse(wantText(args, 'expression')), env), evaluate(parse(wantText(args, 'value')), env));
    d.forget();
    const body = this.variableBody(valueItem('', undefined, value, d.valueContext(env), { letter: undefined, count: undefined }));
    return { value: body.value, variablesReference: body.variablesReference, ...(body.type === undefined ? {} : { type: body.type }) };
  }

  private evaluate(args: Arguments): object {
    const d = this.core;
    const text = wantText(args, 'expression');
    const repl = args.context === 'repl';
    const format = args.format as { hex?: boolean } | undefined;
    if (repl || args.context === undefined) {
      const result = runCommand(
        {
          debugger: d,
          send: (typed) => this.type(typed),
          number: (expression) => Number(BigInt.asUintN(32, d.evaluate(expression, undefined, false).value.bits)),
          resume: (how, granularity) => this.resume((x) => (how === 'continue' ? x.continue() : x.step(how, granularity))),
        },
        text.replace(/^\?\s*/, ''),
      );
      if (result !== undefined) {
        if (/^(c|s|n|si|ni|fin)$/.test(text.trim())) {
          const go = this.afterResponse;
          this.afterResponse = () => {
            this.event('continued', { threadId: THREAD, allThreadsContinued: true });
            go?.();
          };
        }
        return { result: result.replace(/\n$/, ''), variablesReference: 0 };
      }
    }
    void this.standing;
    const frame = this.frame(args.frameId);
    const found = d.evaluate(text, frame?.kind === 'code' ? frame : undefined, repl);
    const { expression } = { expression: text.replace(/,\s*(?:\[\d+\])?\s*[xduobcsphi]?\s*$/, '') };
    const item = valueItem(text, expression, found.value, d.valueContext(found.env, format?.hex === true), found.format);
    const v = this.variableBody(item);
    return {
      result: v.value,
      variablesReference: v.variablesReference,
      ...(v.type === undefined ? {} : { type: v.type }),
      ...(v.memoryReference === undefined ? {} : { memoryReference: v.memoryReference }),
      ...(v.indexedVariables === undefined ? {} : { indexedVariables: v.indexedVariables }),
    };
  }
  private completions(args: Arguments): object {
    const d = this.core;
    const text = wantText(args, 'text');
    const column = wantNumber(args, 'column', text.length + 1) - (this.columnsStartAt1 ? 1 : 0);
    const before = text.slice(0, column);
    const m = /(\$?)([\w']*)$/.exec(before);
    const word = m?.[2] ?? '';
    const start = column - word.length;
    const targets: DebugProtocol.CompletionItem[] = [];
    const add = (label: string, type: DebugProtocol.CompletionItemType): void => {
      if (label.startsWith(word)) targets.push({ label, type, start, length: word.length });
    };
    const registers = [
      'eax',
      'ebx',
      'ecx',
      'edx',
      'esi',
      'edi',
      'ebp',
      'esp',
      'eip',
      'eflags',
      'cs',
      'ss',
      'ds',
      'es',
      'fs',
      'gs',
      'cr0',
      'cr2',
      'cr3',
      'cr4',
    ];
    if (before.trim() === word) for (const name of commandNames()) add(name, 'keyword');
    for (const name of registers) add(name, 'variable');
    if (m?.[1] === '') {
      if (!d.running) for (const v of d.environment(this.frame(args.frameId), false).locals()) add(v.name, 'variable');
      if (word.length > 0)
        for (const name of d.programs.completions(word, 200)) targets.push({ label: name, type: 'text', start, length: word.length });
    }
    return { targets };
  }

  private source(args: Arguments): object {
    const source = (args.source ?? {}) as DebugProtocol.Source;
    const reference = source.sourceReference ?? wantNumber(args, 'sourceReference', 0);
    const listing =
      this.sources?.listing(reference) ?? (source.name === undefined ? undefined : this.sources?.listingNamed(this.core, source.name));
    if (listing === undefined) throw new RequestError(ERRORS.badArgument, 'There is no such listing.');
    return { content: listing.text, mimeType: 'text/x-lguest-listing' };
  }
  private loadedSources(): object {
    const names = this.core.programs.list.flatMap((p) => p.symbols?.sourceFiles() ?? []);
    const sources = names.flatMap((file) => {
      const path = this.sources?.resolve(file);
      return path === undefined ? [] : [{ name: lastPart(path), path }];
    });
    return { sources };
  }
  private exceptionInfo(): object {
    const text = this.standing.exceptionText();
    if (text === undefined) throw new RequestError(ERRORS.badArgument, 'This stop is about no trap.');
    return {
      exceptionId: `${text.id} ${text.typeName}`.trim(),
      description: text.description,
      breakMode: text.unhandled ? 'unhandled' : 'always',
      details: {
        message: text.description,
        typeName: text.typeName,
        fullTypeName: text.outcome,
        evaluateName: 'trap',
        stackTrace: text.chain,
      },
    };
  }

  // ---- memory and code ----------------------------------------------------------------------------------------------------------------------

  /** `0x…`, `p:0x…`, `v@0x…:0x…`, `host:0x…`. */
  private reference(text: string): { address: number; space: Space } {
    const m = /^(?:(p|host|v)(?:@(0x[0-9a-f]+|\d+))?:)?(0x[0-9a-f]+|\d+)$/i.exec(text.trim());
    if (m === null) {
      const { value } = this.core.evaluate(text, undefined, false);
      return { address: Number(BigInt.asUintN(32, value.bits)), space: LINEAR };
    }
    const address = Number(m[3]);
    if (!(address >= 0 && address <= 0xffffffff)) throw new RequestError(ERRORS.memory, `${text} is beyond 4 GB.`);
    if (m[1] === 'p') return { address, space: { kind: 'physical' } };
    if (m[1] === 'host') return { address, space: { kind: 'machine' } };
    return { address, space: m[2] === undefined ? LINEAR : { kind: 'linear', directory: Number(m[2]) } };
  }
  private spaceName(text: string, address: number): string {
    const prefix = /^((?:p|host|v@[^:]+):)/i.exec(text)?.[1] ?? '';
    return `${prefix}${hex8(address)}`;
  }
  private readMemory(args: Arguments): object {
    const d = this.core;
    const text = wantText(args, 'memoryReference');
    const { address, space } = this.reference(text);
    const from = address + wantNumber(args, 'offset', 0);
    const count = Math.min(wantNumber(args, 'count'), 1 << 24);
    if (count < 0) throw new RequestError(ERRORS.badArgument, '"count" must not be negative.');
    if (from < 0 || from > 0xffffffff) return { address: hex8(from), unreadableBytes: count };
    const bytes = d.target.read(from, count, space);
    if (bytes.length > 0) this.memoryRead.set(text, Math.max(this.memoryRead.get(text) ?? 0, from - address + bytes.length));
    const unreadable = count - bytes.length;
    return {
      address: this.spaceName(text, from),
      ...(bytes.length > 0 ? { data: toBase64(bytes) } : {}),
      ...(unreadable > 0 ? { unreadableBytes: unreadable } : {}),
    };
  }
  private writeMemory(args: Arguments): object {
    const d = this.standing;
    const { address, space } = this.reference(wantText(args, 'memoryReference'));
    const from = address + wantNumber(args, 'offset', 0);
    const bytes = fromBase64(wantText(args, 'data'));
    if (args.allowPartial !== true) {
      for (let i = 0; i < bytes.length; i += 1) {
        if ((i === 0 || ((from + i) & 0xfff) === 0) && d.target.locate(from + i, space) < 0)
          throw new RequestError(ERRORS.memory, `${hex8(from + i)} is not mapped; nothing was written.`);
      }
    }
    const written = d.target.write(from, bytes, space);
    d.forget();
    return { bytesWritten: written };
  }
  private disassemble(args: Arguments): object {
    const d = this.core;
    const { address } = this.reference(wantText(args, 'memoryReference'));
    const from = address + wantNumber(args, 'offset', 0);
    const count = Math.min(wantNumber(args, 'instructionCount'), 20_000);
    const rows = new CodeRows(d.target, d.programs, d.disassembler).around(
      Math.min(Math.max(from, 0), 0xffffffff),
      wantNumber(args, 'instructionOffset', 0),
      count,
    );
    let lastLine = '';
    const instructions = rows.map((row): DebugProtocol.DisassembledInstruction => {
      const { decoded } = row;
      const out: DebugProtocol.DisassembledInstruction = {
        address: hex8(row.address),
        instruction:
          decoded === undefined ? (row.bytes.length === 0 ? '??' : '(bad)') : `${decoded.text}${targetNote(d.programs, decoded.target)}`,
      };
      if (row.bytes.length > 0) out.instructionBytes = Array.from(row.bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
      if (decoded === undefined) out.presentationHint = 'invalid';
      const symbol = d.programs.symbolAt(row.address);
      if (symbol?.offset === 0) out.symbol = symbol.name;
      const line = d.programs.lineAt(row.address);
      const key = line === undefined ? '' : `${line.file}:${line.line}`;
      if (line !== undefined && key !== lastLine) {
        const path = this.sources?.resolve(line.file);
        if (path !== undefined) {
          out.location = { name: lastPart(path), path };
          out.line = this.outLine(line.line);
        }
      }
      lastLine = key;
      return out;
    });
    return { instructions };
  }

  // ---- ours ---------------------------------------------------------------------------------------------------------------------------------

  private type(text: string): void {
    const { machine } = this;
    if (machine === undefined) throw new RequestError(ERRORS.notLaunched, 'Nothing is launched yet.');
    machine.inputs.console(new TextEncoder().encode(text));
    this.d?.nudge();
  }
  private pageWalk(args: Arguments): object {
    const d = this.standing;
    const va = typeof args.va === 'string' && args.va.trim() !== '' ? args.va : undefined;
    const { record } = d;
    const address =
      va === undefined ? (record?.cr2 ?? d.target.pc) : Number(BigInt.asUintN(32, d.evaluate(va, undefined, false).value.bits));
    const answer = walkTree(d, address, parseAccess(typeof args.access === 'string' ? args.access : undefined));
    return { nodes: answer.rows, verdict: answer.verdict };
  }

  // ---- the table of requests ------------------------------------------------------------------------------------------------------------------

  private table(): Record<string, Handler> {
    return {
      initialize: (a) => this.initialize(a),
      launch: (a) => this.launch(a),
      attach: () => {
        throw new RequestError(ERRORS.launch, 'There is nothing to attach to: use "request": "launch".', true);
      },
      configurationDone: () => this.configurationDone(),
      disconnect: () => {
        this.stopMachine();
        this.finished = true;
        this.afterResponse = () => this.emit('finished');
        return undefined;
      },
      terminate: () => {
        const code = this.exitCode();
        this.stopMachine();
        this.afterResponse = () => this.terminated(code);
        return undefined;
      },
      restart: (a) => this.restart(a),
      setBreakpoints: (a) => this.setBreakpoints(a),
      setFunctionBreakpoints: (a) => this.setFunctionBreakpoints(a),
      setInstructionBreakpoints: (a) => this.setInstructionBreakpoints(a),
      setExceptionBreakpoints: (a) => this.setExceptionBreakpoints(a),
      breakpointLocations: (a) => this.breakpointLocations(a),
      dataBreakpointInfo: (a) => this.dataBreakpointInfo(a),
      setDataBreakpoints: (a) => this.setDataBreakpoints(a),
      exceptionInfo: () => this.exceptionInfo(),
      continue: () => {
        this.resume((d) => d.continue());
        return { allThreadsContinued: true };
      },
      pause: () => {
        this.core.pause();
        return undefined;
      },
      next: (a) => this.step('over', a),
      stepIn: (a) => {
        const { targetId } = a;
        if (typeof targetId !== 'number') return this.step('in', a);
        this.resume((d) => d.stepInto(targetId));
        return undefined;
      },
      stepOut: (a) => this.step('out', a),
      stepInTargets: () => ({ targets: this.standing.calls().map((c) => ({ id: c.address, label: c.name })) }),
      gotoTargets: (a) => this.gotoTargets(a),
      goto: (a) => this.goto(a),
      threads: () => ({ threads: [{ id: THREAD, name: this.d === undefined ? 'CPU 0' : 'CPU 0' }] }),
      stackTrace: (a) => this.stackTrace(a),
      scopes: (a) => this.scopes(a),
      variables: (a) => this.variables(a),
      setVariable: (a) => this.setVariable(a),
      setExpression: (a) => this.setExpression(a),
      evaluate: (a) => this.evaluate(a),
      completions: (a) => this.completions(a),
      source: (a) => this.source(a),
      loadedSources: () => this.loadedSources(),
      modules: () => ({ modules: this.core.programs.list.map(moduleOf), totalModules: this.core.programs.list.length }),
      readMemory: (a) => this.readMemory(a),
      writeMemory: (a) => this.writeMemory(a),
      disassemble: (a) => this.disassemble(a),
      cancel: () => undefined,
      'lguest/view/trap': () => ({ nodes: trapTree(this.standing) }),
      'lguest/view/pageWalk': (a) => this.pageWalk(a),
      'lguest/trapLog/query': (a) =>
        queryTraps(this.standing, {
          ...(typeof a.filter === 'string' ? { filter: a.filter } : {}),
          ...(typeof a.from === 'number' ? { from: a.from } : {}),
          ...(typeof a.count === 'number' ? { count: a.count } : {}),
        }),
      'lguest/trapStats': (a) => ({
        rows: groupTraps(this.standing, oneOf(a, 'by', GROUPS, 'outcome'), typeof a.filter === 'string' ? a.filter : undefined),
      }),
      'lguest/gateAudit': () => ({ rows: gateAudit(this.standing) }),
      'lguest/irqState': () => ({ rows: irqState(this.standing) }),
      'lguest/export': (a) => ({ text: exportTraps(this.standing, oneOf(a, 'format', EXPORTS, 'ndjson')) }),
      ...Object.fromEntries(
        Object.entries(QUESTIONS).map(([name, ask]): [string, Handler] => [`lguest/${name}`, (a) => ask(this.standing, a)]),
      ),
      'lguest/console': (a) => {
        this.type(wantText(a, 'text'));
        return {};
      },
    };
  }
}

const filterBody = (f: FilterDescription): object => ({
  filter: f.id,
  label: f.label,
  description: f.description,
  default: f.on,
  supportsCondition: true,
  conditionDescription: 'An expression, such as err.W && cr2 < 0x1000',
});

const capabilities = (filters: readonly FilterDescription[]): object => ({
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsEvaluateForHovers: true,
  supportsSetVariable: true,
  supportsGotoTargetsRequest: true,
  supportsStepInTargetsRequest: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: ['.', '>', '$', ':'],
  supportsModulesRequest: true,
  supportsRestartRequest: true,
  supportsValueFormattingOptions: true,
  supportsExceptionInfoRequest: true,
  supportTerminateDebuggee: true,
  supportsDelayedStackTraceLoading: true,
  supportsLoadedSourcesRequest: true,
  supportsLogPoints: true,
  supportsSetExpression: true,
  supportsTerminateRequest: true,
  supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsCancelRequest: true,
  supportsBreakpointLocationsRequest: true,
  supportsClipboardContext: true,
  supportsSteppingGranularity: true,
  supportsInstructionBreakpoints: true,
  supportsExceptionFilterOptions: true,
  breakpointModes: [
    { mode: 'stop', label: 'Stop', description: 'Stop the Guest before the trap is applied.', appliesTo: ['exception'] },
    { mode: 'log', label: 'Log', description: 'Write a line to the Debug Console and go on.', appliesTo: ['exception'] },
    { mode: 'count', label: 'Count', description: 'Only count: "info filters" tells how many.', appliesTo: ['exception'] },
  ],
  exceptionBreakpointFilters: filters.map(filterBody),
});

const moduleOf = (program: Programs['list'][number]): object => {
  const [first] = program.segments;
  const high = Math.max(...program.segments.map((s) => s.high), 0);
  return {
    id: program.path,
    name: program.name,
    path: program.path,
    symbolStatus: program.symbols === undefined ? 'names only' : program.symbols.hasDebugInfo ? 'lines and types' : 'names only',
    ...(first === undefined ? {} : { addressRange: `${hex8(first.low + program.offset)}-${hex8(high + program.offset)}` }),
  };
};

const toBase64 = (bytes: Uint8Array): string => {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
};
const fromBase64 = (text: string): Uint8Array => {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new RequestError(ERRORS.badArgument, '"data" is not base64.');
  }
};
