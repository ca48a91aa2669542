// What the extension and the adapter say to each other beyond standard DAP: names and shapes of the custom requests and events.
// The adapter answers with finished text and trees, so that no knowledge about Guests, traps or page tables is needed up here.
// Left out: everything DAP already defines.

/** The debug type of launch.json. */
export const DEBUG_TYPE = 'lguest';

/** A DAP message between editor and adapter, as far as those who listen look at it. */
export interface Message {
  type: string;
  event?: string;
  command?: string;
  success?: boolean;
  arguments?: { startFrame?: number };
  body?: unknown;
}

/** One row of a tree view, made by the adapter. `description` is shown dimmed after the label; `children` make it expandable. */
export interface ViewNode {
  label: string;
  description?: string;
  tooltip?: string;
  /** Another value than at the stop before. */
  changed?: boolean;
  /** Memory view: where the row's bytes are, and which characters of the label stand for changed ones. */
  reference?: string;
  /** Tasks view: the type of what lies there, and the task's number. */
  as?: string;
  task?: number;
  highlights?: [from: number, to: number][];
  /** The expression that this row is the value of. */
  evaluateName?: string;
  /** Breakpoints view: the number of what this row is about, and whether this view may take it away. */
  breakpoint?: number;
  kind?: 'breakpoint' | 'watch';
  own?: boolean;
  /** Open at first sight. Without it a row with children starts closed. */
  expanded?: boolean;
  children?: ViewNode[];
}

/** Answer of `lguest/view/trap` and the other views. */
export interface ViewAnswer {
  nodes: ViewNode[];
}

/** What a page walk can be asked about; `automatic` leaves the choice to the adapter. */
export const ACCESS_CHOICES = ['automatic', 'read', 'write', 'execute', 'user read', 'user write', 'user execute'] as const;
export type AccessChoice = (typeof ACCESS_CHOICES)[number];

/** Answer of `lguest/why`: finished lines of plain text. */
export interface WhyAnswer {
  text: string;
}

/** Body of the event `lguest/consoleData`: what the Guest wrote on its console, any length, line ends as the Guest sent them. */
export interface ConsoleData {
  data: string;
}

/** Answer of `lguest/executed`: lines of a listing, from 1, whose instruction never ran. */
export interface ExecutedAnswer {
  never: number[];
  /** Lines with breakpoints, and how often those were met. */
  hits?: { line: number; text: string }[];
}

/** Answer of `lguest/info`: where the Guest stands. */
export interface InfoAnswer {
  position: string;
  ns: number;
  traps: number;
  /** Virtual interrupts that wait because the user is stepping. */
  held: number[];
}

/** Body of the event `lguest/stop`: the answers of `lguest/info` and of the views that are followed, by the names of their requests. */
export interface StopDetails {
  info: InfoAnswer;
  views: Record<string, ViewAnswer>;
}

/** Body of the event `lguest/live`: a running Guest, at most four times a second. */
export interface LiveNumbers {
  position: string;
  ns: number;
  mips: number;
  traps: number;
  trapsPerSecond: number;
}

/** Answer of `lguest/tasks`; it has `nodes` for a view too. */
export interface TasksAnswer {
  tasks: { pid: number; comm: string; current: boolean }[];
}

/** Answer of `lguest/source/missing`: the file as debug information names it; `path` when it was found. */
export interface MissingSource {
  file: string;
  path?: string;
}

export const REQUESTS = {
  /** `{groups?}` -> ViewAnswer: registers in groups, what changed since the stop before marked. */
  viewRegisters: 'lguest/view/registers',
  /** `{views: {request: arguments}}` -> `{views}`: what is to come with each stop, in STOP_EVENT. */
  follow: 'lguest/follow',
  /** `{}` -> InfoAnswer. */
  info: 'lguest/info',
  /** `{}` -> TasksAnswer and ViewAnswer. */
  tasks: 'lguest/tasks',
  /** `{}` -> ViewAnswer: the three cr2 values and the current trap. */
  viewTrap: 'lguest/view/trap',
  /**
   * `{va?, access?}` -> ViewAnswer: Guest and shadow tables side by side. `va`: an expression (`$esp`, `0xc0101000`); left out, the adapter takes cr2 after a
   * page fault, else eip. `access`: left out, the adapter takes that of the page fault at this address, else a read.
   */
  viewPageWalk: 'lguest/view/pageWalk',
  /** `{memoryReference?, as?, rows?}` -> ViewAnswer: memory where an expression leads now; left out, at the stack pointer. */
  viewMemory: 'lguest/view/memory',
  /** `{frameId}` -> MissingSource. */
  missingSource: 'lguest/source/missing',
  /** `{from, to}` -> `{}`: files that begin with `from` lie below `to`. */
  mapSource: 'lguest/source/map',
  /** `{}` -> `{host}`: shows or hides the Host's functions in stacks. */
  hostFrames: 'lguest/hostFrames',
  /** `{formats}` -> `{formats}`: format letters of single values by their expressions; an empty letter takes one away. */
  formats: 'lguest/formats',
  /** `{}` -> WhyAnswer: why the current trap ended as it did. */
  why: 'lguest/why',
  /** `{name}` -> ExecutedAnswer: what of a listing was never executed. */
  executed: 'lguest/executed',
  /** `{}` -> ViewAnswer: breakpoints, watches and filters with how often each was met. Answered while the Guest runs too. */
  viewBreakpoints: 'lguest/view/breakpoints',
  /** `{what?: 'breakpoint' | 'watch', place}` -> `{text}`: a place as the Debug Console takes it. */
  addBreakpoint: 'lguest/breakpointsPlus/add',
  /** `{id}` -> `{}`. */
  removeBreakpoint: 'lguest/breakpointsPlus/remove',
  /** `{id, mode: 'stop' | 'log' | 'count'}` -> `{}`: what a watch does when it is met. */
  watchMode: 'lguest/breakpointsPlus/mode',
  /** `{text}` -> `{}`: keys for the Guest's console. */
  console: 'lguest/console',
} as const;

/** Event behind each stop, once `lguest/follow` was asked: its body is a StopDetails. */
export const STOP_EVENT = 'lguest/stop';
export const LIVE_EVENT = 'lguest/live';
export const CONSOLE_EVENT = 'lguest/consoleData';
