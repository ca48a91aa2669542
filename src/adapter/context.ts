// The state of one session that the handlers share: the debugger, what the client said about itself, and the handles of the present stop.
//
// What it leaves out: every request (the files beside it), and the protocol's sequence numbers (session.ts).

import type { DebugProtocol } from '@vscode/debugprotocol';
import { COMPACT_FILTERS } from '../debugger/filters';
import { MemoryGrid } from '../debugger/memory-grid';
import { RegistersView } from '../debugger/registers-view';
import type { Item } from '../debugger/item';
import type { Program } from '../debugger/programs';
import type { Debugger } from '../debugger/session';
import type { Frame } from '../debugger/stack';
import type { BareMachine } from '../launcher/bare';
import type { Machine } from '../launcher/machine';
import type { Files, LaunchArguments } from './launch';
import { type Arguments, ERRORS, type Job, RequestError } from './requests';
import type { Sources } from './sources';

export const THREAD = 1;

export interface AdapterOptions {
  files: Files;
  /** Filters offered at initialize; the extension knows the launch configuration before. */
  exceptionFilters?: 'compact' | 'perVector';
  /** Reading symbols shows progress after so many milliseconds; missing: 500. */
  progressAfterMs?: number;
}

export class Context {
  d: Debugger | undefined;
  machine: Machine | BareMachine | undefined;
  launchArguments: LaunchArguments | undefined;
  rawLaunch: Arguments = {};
  sources: Sources | undefined;
  configured = false;
  finished = false;
  /** The client has left: nothing starts any more. */
  closed = false;
  linesStartAt1 = true;
  columnsStartAt1 = true;
  supports: DebugProtocol.InitializeRequestArguments = { adapterID: 'lguest' };
  /** Handles of this stop. */
  readonly frames = new Map<number, Frame>();
  nextHandle = 1;
  readonly opened = new Map<number, Item>();
  /** Pages of code where the machine stood at some stop. */
  readonly warmed = new Set<number>();
  /** References that the client has read memory by since the last stop. */
  readonly memoryRead = new Map<string, number>();
  /** Counts of breakpoints that the client was told; `total`: of what it was told last, NaN: nothing is known to be told. */
  readonly hitsTold = { total: 0, byId: new Map<number, number>() };
  readonly registersView = new RegistersView();
  readonly memoryGrid = new MemoryGrid();
  /** Tells what the client follows; undefined: it follows nothing. */
  followed: (() => void) | undefined;
  /** The client asks for hexadecimal numbers: its newest request for values said so. */
  hex = false;
  /** Formats of single values, by expression; they stay over a restart. */
  readonly formats = new Map<string, string>();
  /** That code was changed was told. */
  warnedOfCode = false;
  /** What stands in the scope `Globals (pinned)`; it stays over a restart. */
  readonly pinned: string[] = [];
  readonly consoleText: Uint8Array[] = [];
  consoleTimer = false;
  readonly decoder = new TextDecoder();
  filterWishes: { id: string; condition?: string; mode?: string }[] = COMPACT_FILTERS.filter((f) => f.on).map((f) => ({ id: f.id }));
  /** Requests on their way by their number, and those that show progress by its name. */
  readonly jobs = new Map<number, Job>();
  readonly progress = new Map<string, Job>();
  progressCount = 0;
  /** Grows with each request that others wait for. */
  waiting = 0;
  /** Paths of files with symbols whose damage was told. */
  readonly toldProblems = new Set<string>();
  /** What was told of cancelled readings, and of which reading. */
  readonly toldCancelled = new Map<string, object>();
  /** Files with symbols that were opened, for a restart. */
  readonly symbols = new Map<string, { bytes: Uint8Array; program: Program }>();
  /** Places that variables lead to, by number: in code, or where the source declares them. */
  readonly locations = new Map<number, number | { file: string; line: number }>();
  /** What a handler wants to be done once its answer is on the way: events that the answer must precede. */
  afterResponse: (() => void) | undefined;

  /** @param event sends one event to the client. */
  constructor(
    readonly options: AdapterOptions,
    readonly event: (event: string, body?: object) => void,
  ) {}

  get files(): Files {
    return this.options.files;
  }
  output(text: string, category: 'console' | 'stdout' | 'stderr' | 'important' = 'console', more: object = {}): void {
    if (text !== '') this.event('output', { category, output: text.endsWith('\n') || category === 'stdout' ? text : `${text}\n`, ...more });
  }
  get core(): Debugger {
    if (this.d === undefined) throw new RequestError(ERRORS.notLaunched, 'Nothing is launched yet.');
    return this.d;
  }
  /** The debugger, standing still. */
  get standing(): Debugger {
    const { core } = this;
    if (core.running) throw new RequestError(ERRORS.running, 'The Guest is running; pause it first.');
    return core;
  }
  handle(item: Item): number {
    if (item.open === undefined) return 0;
    const n = this.nextHandle++;
    this.opened.set(n, item);
    return n;
  }
  frame(id: unknown): Frame | undefined {
    if (id === undefined) return undefined;
    const found = typeof id === 'number' ? this.frames.get(id) : undefined;
    if (found === undefined)
      throw new RequestError(ERRORS.badArgument, `No frame ${JSON.stringify(id)}: frames are valid until the Guest runs again.`);
    return found;
  }
  forgetHandles(): void {
    // Clearing makes new tables even when there is nothing, and every step comes by here.
    for (const handles of [this.frames, this.opened, this.locations]) if (handles.size > 0) handles.clear();
  }
  outLine(line: number): number {
    return this.linesStartAt1 ? line : line - 1;
  }
  inLine(line: number): number {
    return this.linesStartAt1 ? line : line + 1;
  }
}
