// `lguest-debug run KERNEL`: boots a Guest without a debugger, its console on stdout, and says by its exit status how it ended.
//
// With a terminal on stdin the console is interactive and a sleeping Guest waits on the wall clock; otherwise the run is a function of its arguments. What it leaves
// out: options' syntax (options.ts), the debugger.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { chromeTrace, CSV_HEAD, csvLine, type ExportFormat, formatOfPath } from '../debugger/exports';
import { HYPERCALLS } from '../lguest/abi';
import { toJson, type TrapRecord } from '../lguest/trap-record';
import { LauncherError } from '../launcher/errors';
import { Machine, type Stop } from '../launcher/machine';
import { readBytes, writeInto, writeText } from './files';
import { jitOptions, type Parsed, parseOptions, sizeInBytes, UsageError, wholeNumber } from './options';
import { EXIT, LOOK_BACK, parseUntil, tellRefusal, type Until } from './running';

const SLICE = 1_000_000;
const BIG_SLICE = 4_000_000;
const ENTRIES = 4_000;
/** Ctrl-] leaves an interactive run, as with telnet. */
const LEAVE = 0x1d;

export const RUN_USAGE = `usage: lguest-debug run KERNEL [--initrd F] [--memory 64M] [--cmdline S] [--input FILE|-] [--until console:/REGEX/|traps:N|instructions:N]
         [--limit N] [--block F]... [--block-write] [--network none|loopback] [--trap-log F.ndjson|.csv|.json] [--trap-totals] [--stats F.json] [--tsc-khz N] [--seed N] [--no-jit|--jit off|on|forced]
exit status: 0 power-off or --until reached, 1 killed, 2 panic, 3 emulator fault, 4 limit met or --until not reached, 5 nothing left to do, 64 usage`;

/** Everything that a run needs; made from options so that tests can make it otherwise. */
interface Plan {
  machine: Machine;
  until: Until | undefined;
  limit: number;
  trapLog: string | undefined;
  totals: boolean;
  stats: string | undefined;
  input: 'none' | 'given' | 'terminal';
}

const TABLE = {
  values: ['initrd', 'memory', 'cmdline', 'input', 'until', 'limit', 'block', 'network', 'trap-log', 'stats', 'tsc-khz', 'seed', 'jit'],
  flags: ['trap-totals', 'no-jit', 'block-write', 'help'],
  many: ['block'],
};

const plan = (p: Parsed): Plan => {
  const one = (name: string): string | undefined => p.values.get(name)?.[0];
  const [path, ...more] = p.positional;
  if (path === undefined) throw new UsageError('name a kernel: lguest-debug run KERNEL');
  if (more.length > 0) throw new UsageError(`one kernel at a time, not also ${more[0]}; words for the kernel go into --cmdline`);
  const untilText = one('until');
  const until = untilText === undefined ? undefined : parseUntil(untilText);
  const limit = one('limit') === undefined ? Number.MAX_SAFE_INTEGER : wholeNumber('limit', one('limit') ?? '');
  const network = one('network') ?? 'none';
  if (network !== 'none' && network !== 'loopback') throw new UsageError(`--network ${network}: none or loopback`);
  const kernel = readBytes('kernel', path);
  const initrd = one('initrd');
  const tsc = one('tsc-khz');
  const seed = one('seed');
  const input = one('input');
  const typed = input === undefined ? undefined : input === '-' ? new Uint8Array(readFileSync(0)) : readBytes('--input', input);
  const disks = p.values.get('block') ?? [];
  const machine = new Machine({
    kernel,
    memoryBytes: sizeInBytes('memory', one('memory') ?? '64M'),
    cmdline: one('cmdline') ?? '',
    network,
    blockDevices: disks.map((f) => readBytes('--block', f)),
    ...jitOptions(p),
    ...(initrd === undefined ? {} : { initrd: readBytes('--initrd', initrd) }),
    ...(tsc === undefined ? {} : { tscKhz: wholeNumber('tsc-khz', tsc) }),
    ...(seed === undefined ? {} : { seed: wholeNumber('seed', seed) }),
  });
  if (p.flags.has('block-write')) {
    if (disks.length === 0) throw new UsageError('--block-write needs a disk: name one with --block');
    for (const [i, path] of disks.entries()) machine.blocks[i].onWrite = writeInto('--block', path);
  }
  const terminal = typed === undefined && process.stdin.isTTY === true;
  if (typed !== undefined) machine.inputs.console(typed);
  if (!terminal) machine.inputs.consoleEnd();
  return {
    machine,
    until,
    limit,
    trapLog: one('trap-log'),
    totals: p.flags.has('trap-totals'),
    stats: one('stats'),
    input: terminal ? 'terminal' : typed === undefined ? 'none' : 'given',
  };
};

/** Records that a Chrome trace may hold: it is one JSON text, made at the end. */
const TRACE_LIMIT = 1_000_000;

/** Writes the trap log as the run goes on, a slice at a time: a record may still change within its slice. The format is that of the file's name. */
class LogWriter {
  private readonly file: number;
  private readonly format: ExportFormat;
  private readonly kept: TrapRecord[] = [];
  private left = 0;
  private next = 0;
  constructor(
    path: string,
    private readonly machine: Machine,
  ) {
    this.format = formatOfPath(path);
    try {
      this.file = openSync(path, 'w');
      if (this.format === 'csv') writeSync(this.file, `${CSV_HEAD}\n`);
    } catch (error) {
      throw new UsageError(`--trap-log ${path} cannot be written: ${(error as Error).message}`);
    }
  }
  flush(): void {
    const { records } = this.machine.host;
    const lines: string[] = [];
    for (; this.next < records.count; this.next++) {
      const r = records.get(this.next);
      if (r === undefined) continue;
      if (this.format === 'chrome') {
        if (this.kept.length < TRACE_LIMIT) this.kept.push(r);
        else this.left++;
      } else lines.push(this.format === 'csv' ? csvLine(r) : toJson(r));
    }
    if (lines.length > 0) writeSync(this.file, `${lines.join('\n')}\n`);
  }
  close(): void {
    this.flush();
    if (this.format === 'chrome') writeSync(this.file, chromeTrace(this.kept));
    closeSync(this.file);
    if (this.left > 0)
      process.stderr.write(`lguest-debug: --trap-log: the last ${this.left} records are left out: a Chrome trace holds ${TRACE_LIMIT}\n`);
  }
}

export const totalsText = (machine: Machine): string => {
  const t = machine.host.records.totals;
  const rows: string[] = [];
  const row = (name: string, value: string | number): void => {
    rows.push(`${name.padEnd(44)} ${value}`);
  };
  row('trap 14 / 31 / 13 / 7 at the Host', [14, 31, 13, 7].map((v) => t.traps[v]).join(' / '));
  row('page faults filled by the Host / given', `${t.outcomes['paged-in']} / ${t.pageFaultsGiven.ring1 + t.pageFaultsGiven.ring3}`);
  row('of those given: from ring 1 / ring 3', `${t.pageFaultsGiven.ring1} / ${t.pageFaultsGiven.ring3}`);
  const f = t.filled;
  row('filled: read absent kernel, read absent user', `${f.readAbsentKernel}, ${f.readAbsentUser}`);
  row('filled: write absent kernel, write absent user', `${f.writeAbsentKernel}, ${f.writeAbsentUser}`);
  row('filled: write to clean page, was there before', `${f.dirtyUpgrade}, ${f.before}`);
  row('pinned stack pages filled', t.pinnedFilled);
  row('#GP emulated (in / out) / given', `${t.emulatedIn} / ${t.emulatedOut} / ${t.gpGiven}`);
  row('#NM given, of those taken', `${t.nmGiven} of ${t.nmTaken}`);
  t.virqsDelivered.forEach((n, irq) => {
    if (n > 0) row(`virtual interrupt ${irq} delivered`, n);
  });
  row('virtual interrupts held', t.virqsHeld);
  t.direct.forEach((n, v) => {
    if (n > 0) row(`direct ${v}`, n);
  });
  t.hypercallsSync.forEach((n, i) => {
    const ring = t.hypercallsAsync[i];
    if (n + ring > 0) row(`${HYPERCALLS[i]?.name ?? 'unknown hypercalls'} sync + async`, `${n} + ${ring}`);
  });
  row('entries into the Guest', t.worldSwitches);
  return `${rows.join('\n')}\n`;
};

interface Ending {
  status: number;
  /** power-off, killed, panic, emulator, limit, until, idle. */
  word: string;
  message: string | undefined;
}

const endingOf = (stop: Stop, until: Until | undefined): Ending | undefined => {
  switch (stop.kind) {
    case 'power-off':
      return { status: until === undefined ? EXIT.ok : EXIT.limit, word: 'power-off', message: stop.message };
    case 'panic':
      return { status: EXIT.panic, word: 'panic', message: stop.message };
    case 'killed':
      return { status: EXIT.killed, word: 'killed', message: stop.message };
    case 'emulator':
      return { status: EXIT.emulator, word: 'emulator', message: `lguest-debug: emulator fault: ${stop.message}` };
    default:
      return undefined;
  }
};

export const runCommand = async (argv: readonly string[]): Promise<number> => {
  const parsed = parseOptions(argv, TABLE);
  if (parsed.flags.has('help')) {
    process.stdout.write(`${RUN_USAGE}\n`);
    return EXIT.ok;
  }
  let p: Plan;
  try {
    p = plan(parsed);
  } catch (error) {
    if (!(error instanceof LauncherError)) throw error;
    throw new UsageError(error.message);
  }
  return new Run(p).go();
};

class Run {
  private window = '';
  private matched = false;
  private log: LogWriter | undefined;
  private wake: (() => void) | undefined;
  private left = false;
  private readonly untilPattern: RegExp | undefined;

  constructor(private readonly p: Plan) {
    this.untilPattern = p.until?.kind === 'console' ? p.until.pattern : undefined;
  }

  async go(): Promise<number> {
    const { p } = this;
    const { machine } = p;
    machine.onConsole = (bytes) => this.printed(bytes);
    machine.onWarning = (line) => process.stderr.write(`${line}\n`);
    tellRefusal(machine.processor);
    if (p.trapLog !== undefined) this.log = new LogWriter(p.trapLog, machine);
    if (p.input === 'terminal') this.openTerminal();
    const from = performance.now();
    const ending = await this.loop();
    const seconds = (performance.now() - from) / 1000;
    this.log?.close();
    this.closeTerminal();
    if (ending.message !== undefined) process.stderr.write(`${ending.message}\n`);
    if (p.totals) process.stderr.write(totalsText(machine));
    if (p.stats !== undefined) writeText('--stats', p.stats, `${JSON.stringify(this.stats(ending, seconds), undefined, 2)}\n`);
    return ending.status;
  }

  private stats(ending: Ending, seconds: number): object {
    const { machine } = this.p;
    const { processor, host } = machine;
    const instructions = processor.retired;
    return {
      instructions,
      seconds: Number(seconds.toFixed(6)),
      mips: Number((instructions / 1e6 / Math.max(seconds, 1e-9)).toFixed(3)),
      traps: host.records.count,
      stateHash: machine.stateHash(),
      exit: ending.status,
      end: ending.word,
      guestNs: host.nowNs,
      worldSwitches: host.records.totals.worldSwitches,
      hostInstructions: processor.retiredHost,
      ...(processor.jit === undefined ? {} : { jit: processor.jit.stats }),
    };
  }

  private async loop(): Promise<Ending> {
    const { machine, until, limit, input } = this.p;
    const interactive = input === 'terminal';
    const slice = this.log === undefined && !interactive ? BIG_SLICE : SLICE;
    const last = Math.min(limit, until?.kind === 'instructions' ? until.count : Number.MAX_SAFE_INTEGER);
    for (;;) {
      const instructions = Math.min(slice, last - machine.processor.retired);
      const entries = until?.kind === 'traps' ? Math.max(1, Math.min(ENTRIES, (until.count - machine.host.records.count) >> 3)) : ENTRIES;
      const stop = machine.run({ instructions, entries, idle: interactive ? 'stop' : 'skip' });
      this.log?.flush();
      if (this.matched) return { status: EXIT.ok, word: 'until', message: undefined };
      if (until?.kind === 'traps' && machine.host.records.count >= until.count)
        return { status: EXIT.ok, word: 'until', message: undefined };
      const ending = endingOf(stop, until);
      if (ending !== undefined) return ending;
      if (this.left) return { status: EXIT.limit, word: 'left', message: 'lguest-debug: left' };
      if (machine.processor.retired >= last) {
        if (until?.kind === 'instructions' && machine.processor.retired >= until.count)
          return { status: EXIT.ok, word: 'until', message: undefined };
        return { status: EXIT.limit, word: 'limit', message: `lguest-debug: limit of ${limit} instructions met` };
      }
      if (stop.kind === 'idle') {
        if (!interactive)
          return {
            status: EXIT.nothingLeft,
            word: 'idle',
            message: 'lguest-debug: nothing left to do: the Guest sleeps, no timer is set and no input can come',
          };
        await this.sleep(stop.wakeNs);
      } else if (interactive) await new Promise<void>((done) => setImmediate(done));
    }
  }

  private async sleep(wakeNs: number | undefined): Promise<void> {
    let woken = false;
    await new Promise<void>((done) => {
      const timer = wakeNs === undefined ? undefined : setTimeout(done, wakeNs / 1e6);
      this.wake = () => {
        woken = true;
        clearTimeout(timer);
        done();
      };
    });
    this.wake = undefined;
    if (!woken) this.p.machine.skipIdle();
  }

  private printed(bytes: Uint8Array): void {
    writeAll(bytes);
    if (this.untilPattern === undefined || this.matched) return;
    this.window = (this.window + Buffer.from(bytes).toString('latin1')).slice(-LOOK_BACK);
    if (this.untilPattern.test(this.window.replace(/\r\n/g, '\n'))) {
      this.matched = true;
      this.p.machine.processor.requestStop();
    }
  }

  private readonly typed = (data: Buffer): void => {
    if (data.includes(LEAVE)) this.left = true;
    else this.p.machine.inputs.console(new Uint8Array(data));
    this.wake?.();
  };
  private openTerminal(): void {
    process.stdin.setRawMode(true);
    process.stdin.on('data', this.typed);
    process.stdin.resume();
    process.stderr.write('lguest-debug: keys go to the Guest; Ctrl-] leaves\n');
  }
  private closeTerminal(): void {
    if (this.p.input !== 'terminal') return;
    process.stdin.off('data', this.typed);
    process.stdin.setRawMode(false);
    process.stdin.pause();
  }
}

/** Straight to stdout, in order with everything else, also when it is a slow pipe. */
const writeAll = (bytes: Uint8Array): void => {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') return;
      throw error;
    }
  }
};
