// Launch, the first move, and restart: makes machine and debugger from a launch request and connects their events.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { Debugger } from '../debugger/session';
import { COMPACT_FILTERS, VECTOR_FILTERS } from '../debugger/filters';
import { type Program, Programs } from '../debugger/programs';
import { BareTarget, GuestTarget } from '../debugger/target';
import { JIT_REFUSED } from '../i386/processor';
import { BareMachine } from '../launcher/bare';
import { Machine } from '../launcher/machine';
import { breakpointBody } from './breakpoint-requests';
import { capabilities, filterBody } from './capabilities';
import type { Context } from './context';
import { changed, guestEnded, guestPrinted, logged, stopped } from './events';
import { connectGuestFiles } from './guest-files';
import { tellHits } from './hit-counts';
import { after, loading } from './jobs';
import { type LaunchArguments, LaunchProblem, openSymbols, parseLaunch, readFile } from './launch';
import { moduleOf } from './modules';
import { type Arguments, ERRORS, type Handlers, type Job, RequestError } from './requests';
import { lastPart, Sources } from './sources';

const initialize = (s: Context, args: Arguments): object => {
  s.supports = args as unknown as DebugProtocol.InitializeRequestArguments;
  s.linesStartAt1 = args.linesStartAt1 !== false;
  s.columnsStartAt1 = args.columnsStartAt1 !== false;
  return capabilities(s.options.exceptionFilters === 'perVector' ? VECTOR_FILTERS : COMPACT_FILTERS);
};

const launch = (s: Context, args: Arguments, job: Job): undefined | Promise<undefined> => {
  if (s.d !== undefined) throw new RequestError(ERRORS.launch, 'A Guest is launched already; end this session or restart it.', true);
  s.rawLaunch = args;
  return after(build(s, args, job), () => {
    if (s.closed) return undefined;
    if (args.exceptionFilters === 'perVector' && s.options.exceptionFilters !== 'perVector') {
      s.event('capabilities', { capabilities: { exceptionBreakpointFilters: VECTOR_FILTERS.map(filterBody) } });
    }
    s.event('initialized');
    return undefined;
  });
};

/** Makes machine and debugger. Throws with one line. */
const build = (s: Context, given: Arguments, job: Job): void | Promise<void> => {
  const a = parseLaunch(given, s.files);
  const image = readFile(s.files, 'program', a.program);
  const target = a.machine === 'bare' ? bareTarget(s, a, image) : guestTarget(s, a, image);
  const opened = loading(s, `Reading symbols of ${lastPart(a.program)}`, openSymbols(a, image, s.files, s.symbols), job);
  return after(opened, ({ programs, notes }) => assemble(s, a, target, programs, notes));
};

const assemble = (s: Context, a: LaunchArguments, target: BareTarget | GuestTarget, programs: Program[], notes: string[]): void => {
  for (const note of [...a.notes, ...notes]) s.output(note);
  if (target.processor.jitRefused) s.output(`Note: ${JIT_REFUSED}.`);
  const d = new Debugger(target, new Programs(programs), a.disassemblySyntax);
  d.stepVirq = a.stepVirq;
  d.traps.usualMode = a.exceptionsStopAt === 'handler' ? 'handler' : 'stop';
  d.formats = s.formats;
  d.hostFrames = a.hostFrames === 'frames';
  d.inPieces = (title, pieces) => loading(s, title, pieces);
  d.onStop = (stop) => stopped(s, stop);
  d.onEnd = (end) => guestEnded(s, end);
  d.onLog = (text, b) => {
    if (a.logTo === 'trapLog')
      d.logNotes.add({ k: target.records.count, position: target.position, ns: target.nowNs, text, at: target.pc });
    else logged(s, text, b);
  };
  d.onExpired = (w) => {
    s.output(`The watch on ${w.subject?.name ?? w.wish.dataId} is gone: its function has returned.`);
    s.event('breakpoint', {
      reason: 'removed',
      breakpoint: { id: w.id, verified: false, message: 'The function of this variable has returned' },
    });
  };
  d.onTrapLog = (text) => s.output(text);
  d.onNotice = (text) => s.output(text);
  d.onLive = (numbers) => {
    tellHits(s);
    s.event('lguest/live', numbers);
  };
  d.onWrite = () => changed(s);
  d.onBound = (b) => s.event('breakpoint', { reason: 'changed', breakpoint: breakpointBody(s, b) });
  d.onNames = (program) => {
    s.output(`Names of ${program.table.size} symbols were found in the Guest's memory (kallsyms).`);
    s.event('module', { reason: 'new', module: moduleOf(program) });
  };
  s.d = d;
  s.machine = target.machine;
  s.launchArguments = a;
  s.sources = new Sources(s.files, a, s.sources);
  s.event('process', { name: lastPart(a.program), isLocalProcess: false, startMethod: 'launch', pointerSize: 32 });
  for (const program of programs) s.event('module', { reason: 'new', module: moduleOf(program) });
  connectGuestFiles(s, d, a);
};

const bareTarget = (s: Context, a: LaunchArguments, image: Uint8Array): BareTarget => {
  const machine = new BareMachine({
    image,
    rom: a.rom,
    memoryBytes: a.memoryBytes,
    cmdline: a.cmdline,
    postPort: a.postPort,
    jit: a.jit,
    ...(a.module === undefined ? {} : { modules: [{ bytes: readFile(s.files, 'module', a.module), name: lastPart(a.module) }] }),
  });
  machine.onConsole = (bytes) => guestPrinted(s, bytes);
  machine.onDebugPort = (byte) => guestPrinted(s, Uint8Array.of(byte));
  machine.onPost = (code) => s.output(`POST ${code.toString(16).padStart(2, '0')}`);
  return new BareTarget(machine);
};

const guestTarget = (s: Context, a: LaunchArguments, image: Uint8Array): GuestTarget => {
  const initrd = a.initrd === undefined ? undefined : readFile(s.files, 'initrd', a.initrd);
  const machine = new Machine({
    kernel: image,
    memoryBytes: a.memoryBytes,
    cmdline: a.cmdline,
    jit: a.jit,
    network: a.network,
    blockDevices: a.blockDevices.map((path) => readFile(s.files, 'blockDevices', path)),
    ...(initrd === undefined ? {} : { initrd }),
    ...(a.tscKhz === undefined ? {} : { tscKhz: a.tscKhz }),
    ...(a.seed === undefined ? {} : { seed: a.seed }),
  });
  machine.onConsole = (bytes) => guestPrinted(s, bytes);
  machine.onWarning = (line) => s.output(line, 'stderr');
  if (a.blockWrite) for (const [i, path] of a.blockDevices.entries()) machine.blocks[i].onWrite = diskWriter(s, path);
  return new GuestTarget(machine);
};

/** Writes go into the file; when that fails it is said once, and the Guest goes on with its own copy. */
const diskWriter = (s: Context, path: string): ((at: number, bytes: Uint8Array) => void) => {
  const { writeInto } = s.files;
  const refuse = (why: string): never => {
    throw new LaunchProblem(`"blockWrite": ${path} cannot be written: ${why}; leave "blockWrite" out to keep the writes in memory.`);
  };
  if (writeInto === undefined) return refuse('this editor has no files to write');
  let write: ((at: number, bytes: Uint8Array) => void) | undefined;
  try {
    write = writeInto(path);
  } catch (error) {
    return refuse((error as Error).message);
  }
  return (at, bytes) => {
    try {
      write?.(at, bytes);
    } catch (error) {
      write = undefined;
      s.output(`${path} cannot be written any more: ${(error as Error).message}`, 'important');
    }
  };
};

const configurationDone = (s: Context): undefined => {
  const d = s.core;
  if (s.configured) return undefined;
  s.configured = true;
  s.afterResponse = () => go(s, d);
  return undefined;
};

/** The first move. */
const go = (s: Context, d: Debugger): void => {
  const a = s.launchArguments;
  if (a === undefined) return;
  if (a.noDebug) {
    for (const b of [...d.breakpoints]) d.breakpoints.remove(b);
    d.setFilters([]);
    d.continue();
    return;
  }
  d.setFilters(s.filterWishes);
  if (a.stopOnEntry) {
    stopped(s, d.standAt('entry', 'Before the first instruction of the Guest'));
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
    s.output(
      `"runToEntryPoint": no function "${to}" is known${similar === undefined ? '' : `; did you mean "${similar}"?`} Stopped before the first instruction.`,
      'important',
    );
    stopped(s, d.standAt('entry', 'Before the first instruction of the Guest'));
    return;
  }
  d.runTo(places, 'entry', `Paused at ${to}`);
};

const restart = async (s: Context, args: Arguments, job: Job): Promise<undefined> => {
  const old = s.core;
  let halted: (() => void) | undefined;
  if (old.running) {
    const { onStop, onEnd } = old;
    halted = await new Promise<() => void>((done) => {
      old.onStop = (stop) => done(() => onStop(stop));
      old.onEnd = (end) => done(() => onEnd(end));
      old.pause();
    });
    old.onStop = onStop;
    old.onEnd = onEnd;
  }
  const given = typeof args.arguments === 'object' && args.arguments !== null ? (args.arguments as Arguments) : s.rawLaunch;
  s.forgetHandles();
  s.registersView.forget();
  s.memoryGrid.forget();
  const kept = [...old.breakpoints].map((b) => ({ id: b.id, spec: b.spec }));
  const watches = old.watches.all.map((w) => w.wish).filter((w) => !w.dataId.startsWith('local:'));
  try {
    await build(s, given, job);
  } catch (error) {
    halted?.(); // the Guest of before stands still now
    throw error;
  }
  if (s.closed) return undefined;
  s.rawLaunch = given;
  s.core.adopt(kept, watches, old);
  s.hitsTold.total = Number.NaN; // the counts begin anew
  s.finished = false;
  s.afterResponse = () => go(s, s.core);
  return undefined;
};

export const startRequests = (s: Context): Handlers => ({
  initialize: (a) => initialize(s, a),
  launch: (a, job) => launch(s, a, job),
  attach: () => {
    throw new RequestError(ERRORS.launch, 'There is nothing to attach to: use "request": "launch".', true);
  },
  configurationDone: () => configurationDone(s),
  restart: (a, job) => restart(s, a, job),
});
