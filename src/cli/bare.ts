// `lguest-debug bare`: runs a ROM image or a multiboot kernel on the bare machine, for processor suites and small kernels.
//
// COM1 and port E9h go to stdout line by line, POST codes to stderr. What it leaves out: the machine (launcher/bare.ts), debugging (the adapter).

import { BareMachine } from '../launcher/bare';
import { LauncherError } from '../launcher/errors';
import type { Stop } from '../launcher/machine';
import { readBytes, writeText } from './files';
import { LineMerger } from './lines';
import { jitOptions, type OptionTable, type Parsed, parseOptions, sizeInBytes, UsageError, wholeNumber } from './options';
import { EXIT, LOOK_BACK, parseUntil, tellRefusal, type Until } from './running';

const BARE_USAGE = `usage: lguest-debug bare IMAGE [options]
  IMAGE              a multiboot ELF kernel, or with --rom a raw ROM of 64 KB or 128 KB
  --rom              IMAGE is a ROM: it ends at 1 MB and again at 4 GB, and the processor starts at F000:FFF0
  --memory 64M       memory of the machine, a number with K, M or G
  --cmdline S        multiboot command line
  --module F         multiboot module; may be given again for more
  --post-port N      where POST codes are written (default 0x80; they are shown for ROMs, or when this option is given)
  --input FILE|-     what is typed on COM1 (default: standard input)
  --until WHAT       console:/REGEX/, traps:N or instructions:N
  --limit N          at most so many instructions
  --no-jit           interpret everything (as --jit off; --jit forced translates before the first execution, for tests)
  --stats F.json     instructions, seconds, cpuSeconds, mips, traps, stateHash, exit
exit status: (value << 1) | 1 of a write to isa-debug-exit (port F4h); 0 reset or 'until' reached; 3 shutdown after a triple fault, or stuck in
exceptions; 4 limit met or 'until' not reached; 5 nothing left to do (halted for good); 64 usage. The reason stands on stderr.
`;

/** Instructions between two looks at standard input. */
const SLICE = 10_000_000;
const SLICE_INTERACTIVE = 2_000_000;
/** Once no input can come any more, a machine that only sleeps and says nothing for so long (its own time) has nothing left to do. */
const SILENCE_NS = 600e9;
/** Control-A, then x, ends an interactive session. */
const ESCAPE = 1;

interface BareArguments {
  image: string;
  rom: boolean;
  memoryBytes: number;
  cmdline: string;
  modules: string[];
  postPort: number;
  showPost: boolean;
  input: string | undefined;
  until: Until | undefined;
  limit: number;
  jit: ReturnType<typeof jitOptions>;
  stats: string | undefined;
}

/** @returns the exit status. @throws UsageError, one line. */
export const bareCommand = async (argv: readonly string[]): Promise<number> => {
  const parsed = parseOptions(argv, OPTIONS);
  if (parsed.flags.has('help')) {
    process.stdout.write(BARE_USAGE);
    return EXIT.ok;
  }
  try {
    return await new Session(argumentsOf(parsed)).run();
  } catch (thrown) {
    throw thrown instanceof LauncherError ? new UsageError(thrown.message) : thrown;
  }
};

// ---- arguments --------------------------------------------------------------------------------------------------------------------------------

const OPTIONS: OptionTable = {
  values: ['memory', 'cmdline', 'module', 'post-port', 'input', 'until', 'limit', 'stats', 'jit'],
  flags: ['rom', 'no-jit', 'help'],
  many: ['module'],
};

const argumentsOf = (parsed: Parsed): BareArguments => {
  const { positional, values, flags } = parsed;
  const value = (name: string): string | undefined => values.get(name)?.[0];
  if (positional.length !== 1)
    throw new UsageError(`bare: one IMAGE is wanted, not ${positional.length}; lguest-debug bare --help tells more`);
  const postPort = value('post-port');
  const untilText = value('until');
  const limit = value('limit');
  return {
    image: positional[0],
    rom: flags.has('rom'),
    memoryBytes: sizeInBytes('memory', value('memory') ?? '64M'),
    cmdline: value('cmdline') ?? '',
    modules: values.get('module') ?? [],
    postPort: postPort === undefined ? 0x80 : wholeNumber('post-port', postPort),
    showPost: flags.has('rom') || postPort !== undefined,
    input: value('input'),
    until: untilText === undefined ? undefined : parseUntil(untilText),
    limit: limit === undefined ? Number.MAX_SAFE_INTEGER : wholeNumber('limit', limit),
    jit: jitOptions(parsed),
    stats: value('stats'),
  };
};

// ---- a run ------------------------------------------------------------------------------------------------------------------------------------

class Session {
  private readonly machine: BareMachine;
  private readonly out = new LineMerger((chunk) => process.stdout.write(chunk));
  private recent = '';
  private reached = false;
  private quit = false;
  private inputOpen = false;
  private escaped = false;
  private wake: (() => void) | undefined;
  private lastSound = 0;

  constructor(private readonly a: BareArguments) {
    this.machine = new BareMachine({
      image: readBytes('image', a.image),
      rom: a.rom,
      memoryBytes: a.memoryBytes,
      cmdline: a.cmdline,
      modules: a.modules.map((path) => ({ name: path, bytes: readBytes('--module', path) })),
      postPort: a.postPort,
      ...a.jit,
    });
    const { machine } = this;
    tellRefusal(machine.processor);
    machine.onConsole = (chunk) => this.print(0, chunk[0]);
    machine.onDebugPort = (byte) => this.print(1, byte);
    if (a.showPost) machine.onPost = (code) => process.stderr.write(`POST ${code.toString(16).toUpperCase().padStart(2, '0')}\n`);
    if (a.until?.kind === 'traps') {
      const { count } = a.until;
      machine.records.onRecord = (k) => {
        if (k + 1 === count) this.reach();
      };
    }
  }

  private reach(): void {
    this.reached = true;
    this.machine.requestStop();
  }
  private print(source: 0 | 1, byte: number): void {
    this.out.write(source, byte);
    this.lastSound = this.machine.nowNs;
    if (this.a.until?.kind !== 'console') return;
    this.recent += String.fromCharCode(byte);
    if (this.recent.length > 2 * LOOK_BACK) this.recent = this.recent.slice(-LOOK_BACK);
    if (!this.reached && this.a.until.pattern.test(this.recent)) this.reach();
  }

  async run(): Promise<number> {
    const { a, machine } = this;
    this.openInput();
    const started = performance.now();
    const end = a.until?.kind === 'instructions' ? Math.min(a.until.count, a.limit) : a.limit;
    const [status, exit, line] = await this.slices(end);
    const seconds = (performance.now() - started) / 1000;
    this.closeInput();
    this.out.flush(true);
    if (line !== '') process.stderr.write(`${line}\n`);
    if (a.stats !== undefined) {
      const cpu = process.cpuUsage();
      const instructions = machine.processor.retired;
      const stats = {
        instructions,
        seconds,
        cpuSeconds: (cpu.user + cpu.system) / 1e6,
        mips: instructions / seconds / 1e6,
        traps: machine.records.count,
        stateHash: machine.stateHash(),
        exit,
        ...(machine.processor.jit === undefined ? {} : { jit: machine.processor.jit.stats }),
      };
      writeText('--stats', a.stats, `${JSON.stringify(stats, undefined, 2)}\n`);
    }
    return status;
  }

  /** @returns exit status, its name for --stats, and a line for stderr. */
  private async slices(end: number): Promise<[number, string, string]> {
    const { machine, a } = this;
    for (;;) {
      const left = end - machine.processor.retired;
      const stop = machine.run({
        instructions: Math.max(0, Math.min(left, this.inputOpen ? SLICE_INTERACTIVE : SLICE)),
        entries: 200_000,
        idle: this.inputOpen ? 'stop' : 'skip',
      });
      if (this.reached) return [EXIT.ok, 'until', ''];
      const done = this.finished(stop);
      if (done !== undefined) return done;
      if (machine.processor.retired >= end) {
        if (a.until?.kind === 'instructions' && machine.processor.retired >= a.until.count) return [EXIT.ok, 'until', ''];
        return [EXIT.limit, 'limit', `limit of ${a.limit} instructions met`];
      }
      if (this.quit) return [EXIT.ok, 'quit', ''];
      if (this.inputOpen) {
        this.out.flush(false);
        await this.breathe(stop.kind === 'idle' ? stop.wakeNs : 0);
        if (stop.kind === 'idle') machine.skipIdle();
      } else if (stop.kind === 'idle' || (machine.nowNs - this.lastSound > SILENCE_NS && this.idles())) return this.nothingLeft();
    }
  }
  /** More than nine tenths of the time since the last output asleep. */
  private idles(): boolean {
    const { nowNs, processor } = this.machine;
    return processor.retired < nowNs / 10;
  }
  private nothingLeft(): [number, string, string] {
    if (this.a.until !== undefined)
      return [EXIT.limit, 'until-not-reached', 'nothing left to do: the processor is halted, and --until was not reached'];
    return [EXIT.nothingLeft, 'nothing-left', 'nothing left to do: the processor is halted and nothing can wake it'];
  }

  private finished(stop: Stop): [number, string, string] | undefined {
    const end = this.machine.bareEnd;
    if (end !== undefined) {
      const message = 'message' in stop ? stop.message : '';
      const unreached = this.a.until !== undefined ? EXIT.limit : undefined;
      switch (end.kind) {
        case 'debug-exit':
          return [end.status & 0xff, end.kind, message];
        case 'reset':
          return [unreached ?? EXIT.ok, end.kind, message];
        default:
          return [EXIT.emulator, end.kind, message];
      }
    }
    // Asleep with interrupts off, or with input open but nobody listening for it.
    if (stop.kind === 'idle' && stop.wakeNs === undefined && !(this.inputOpen && this.machine.awaitsInput)) return this.nothingLeft();
    if (stop.kind === 'emulator') return [EXIT.emulator, 'emulator', stop.message];
    return undefined;
  }

  // ---- input ----------------------------------------------------------------------------------------------------------------------------

  private openInput(): void {
    const { input } = this.a;
    if (input !== undefined && input !== '-') {
      this.machine.inputs.console(readBytes('--input', input));
      this.machine.inputs.consoleEnd();
      return;
    }
    const { stdin } = process;
    this.inputOpen = true;
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on('data', (chunk: Buffer) => {
      const typed = stdin.isTTY ? this.withoutEscapes(chunk) : chunk;
      if (typed.length > 0) this.machine.inputs.console(typed);
      this.wake?.();
    });
    const ended = (): void => {
      this.inputOpen = false;
      this.machine.inputs.consoleEnd();
      this.wake?.();
    };
    stdin.on('end', ended);
    stdin.on('error', ended);
  }
  private closeInput(): void {
    const { stdin } = process;
    if (stdin.listenerCount('data') === 0) return;
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.removeAllListeners();
    stdin.destroy();
  }
  private withoutEscapes(chunk: Uint8Array): Uint8Array {
    const typed: number[] = [];
    for (const byte of chunk) {
      if (!this.escaped && byte === ESCAPE) this.escaped = true;
      else if (this.escaped && byte === 0x78) this.quit = true;
      else {
        this.escaped = false;
        typed.push(byte);
      }
    }
    return Uint8Array.from(typed);
  }
  /** Lets input in; waits for it, or for the machine's next event, while the machine sleeps. @param ns undefined: until input comes. */
  private breathe(ns: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (ns === 0) {
        setImmediate(resolve);
        return;
      }
      const timer = ns === undefined ? setInterval(() => {}, 1 << 30) : setTimeout(() => this.wake?.(), Math.min(ns / 1e6, 1 << 30));
      this.wake = () => {
        clearTimeout(timer);
        this.wake = undefined;
        resolve();
      };
    });
  }
}
