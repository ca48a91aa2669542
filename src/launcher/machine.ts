// A whole machine: a Guest under its Host, with its devices, and one door for everything that is not determined by the image.
//
// This is the original Launcher's main loop (our documentation, 11.9) turned inside out: run() goes on until its caller has something to decide. The same image
// and the same inputs at the same positions give the same run, bit for bit. Left out: recording and replay (timeline), breakpoints by name (debugger), files.

import { Processor } from '../i386/processor';
import { pushesErrorCode, RAM_BASE, S } from '../i386/state';
import { ControlFile, ERRNO, LHREQ } from '../lguest/control-file';
import { type Host, type HostExit, type HostState, physicalBytes } from '../lguest/host';
import type { Position, TrapRecord } from '../lguest/trap-record';
import { Block, type BlockState } from './block';
import { prepareBoot } from './boot';
import { Console, type ConsoleState } from './console';
import { DEVICE_PAGES, DevicePage } from './devices';
import { echo } from './echo';
import { LauncherDeath, LauncherError } from './errors';
import { GuestMemory } from './guest-memory';
import { type LoadedKernel, loadKernel } from './kernel-image';
import { Net, type NetState } from './net';
import { Hash, hashCpu } from './state-hash';

const PAGE = 4096;
const MEGABYTE = 0x100000;

export interface MachineOptions {
  /** The kernel image, ELF or bzImage. */
  kernel: Uint8Array;
  initrd?: Uint8Array;
  /** Words after the kernel on lguest's command line. */
  cmdline?: string;
  /** Bytes, a multiple of 1 MB, 1 MB to 1 GB. */
  memoryBytes: number;
  /** Block device images. The Guest's writes stay in the machine; the arrays are never changed. */
  blockDevices?: Uint8Array[];
  /** loopback: a card whose neighbour answers ARP and ping and echoes UDP. wire: a card whose frames the caller takes and brings (Machine.net). */
  network?: 'none' | 'loopback' | 'wire';
  /** lguest_data.tsc_khz; default 1,000,000. 0: the Host has no stable TSC. */
  tscKhz?: number;
  /** Seed of the shadow slot choice. Default 1. */
  seed?: number;
  jit?: boolean;
  /** Executions before a block is translated. */
  jitThreshold?: number;
  /** The Host's syscall_vector module parameter. Default 0x80. */
  syscallVector?: number;
  /** Trap records kept in full, a power of two; default 65,536. */
  records?: number;
  /** Switcher stub alignment; 16 makes the Switcher two pages. */
  stubAlignment?: 4 | 16;
  /** false: every instruction of the Switcher runs, also when nobody looks. The run is the same. */
  fastSwitch?: boolean;
}

/** Everything nondeterministic comes in here. What is given takes effect at the present position. */
export interface Inputs {
  /** Bytes typed on the console. */
  console(bytes: Uint8Array): void;
  /** No more console input will come. */
  consoleEnd(): void;
  /** A frame arrives at the network card. */
  netReceive(frame: Uint8Array): void;
  /** The user raises a virtual interrupt, 0 to 31. It is held and delivered by the same rules as any other. @throws LauncherError. */
  irq(irq: number): void;
  /**
   * The user raises a processor exception before the Guest's next instruction. It goes through the IDT like any other.
   * @param error for vectors with an error code. @param cr2 for vector 14. @throws LauncherError.
   */
  trap(vector: number, error?: number, cr2?: number): void;
  /**
   * The user steps: virtual interrupts stay pending for so many nanoseconds of Guest time from now, but wake a halted Guest. 0 lets them in again.
   * @throws LauncherError.
   */
  holdVirqs(ns: number): void;
}

export interface RunOptions {
  /** Retire at most so many Guest instructions. */
  instructions?: number;
  /** World switches at most: a Guest that only faults retires nothing, and its caller wants a turn too. */
  entries?: number;
  /** 'skip' (default): a halted Guest goes to its next timer at once. 'stop': come back with kind 'idle', let the caller wait, then call skipIdle(). */
  idle?: 'skip' | 'stop';
}

export type Stop =
  /** The instructions asked for have retired. */
  | { kind: 'budget' }
  /** The world switches asked for are used up. */
  | { kind: 'slice' }
  /** CRASH with text `Power down`. `message` is what lguest prints: `lguest: CRASH: Power down`. `record`: the kill. */
  | { kind: 'power-off'; message: string; record: TrapRecord | undefined }
  /** Any other CRASH. */
  | { kind: 'panic'; message: string; record: TrapRecord | undefined }
  /** Any other kill, and the errors with which the Launcher ends. */
  | { kind: 'killed'; message: string; record: TrapRecord | undefined }
  /** Halted. `wakeNs`: Guest nanoseconds until its timer; undefined: no timer, nothing left to do unless an input wakes it. */
  | { kind: 'idle'; wakeNs: number | undefined }
  /** Breakpoints, watches, trap and world-switch stops, requestStop(), emulator faults: as the Host has them. */
  | Exclude<HostExit, { kind: 'budget' | 'slice' | 'notify' | 'dead' | 'reason' | 'break' | 'halted' }>;

export class Machine {
  readonly processor: Processor;
  readonly host: Host;
  readonly control: ControlFile;
  readonly memory: GuestMemory;
  readonly kernel: LoadedKernel;
  readonly inputs: Inputs;
  readonly console: Console;
  readonly blocks: Block[] = [];
  readonly net: Net | undefined;
  readonly devices: DevicePage;
  /** What the Guest prints, in its own bytes. */
  onConsole: (bytes: Uint8Array) => void = () => {};
  /** Lines that the original Launcher prints on stderr and survives. */
  onWarning: (line: string) => void = () => {};
  /** How it ended; every further run() answers the same. */
  private ended: Stop | undefined;

  /** @throws LauncherError with one clear line. */
  constructor(options: MachineOptions) {
    const ramBytes = options.memoryBytes;
    if (!Number.isInteger(ramBytes) || ramBytes % MEGABYTE !== 0 || ramBytes < MEGABYTE || ramBytes > 1024 * MEGABYTE) {
      throw new LauncherError(`the Guest's memory must be a whole number of MB from 1 to 1024, not ${ramBytes / MEGABYTE} MB`);
    }
    const guestBytes = ramBytes + DEVICE_PAGES * PAGE;
    const { stubAlignment } = options;
    this.processor = new Processor({
      ramBytes: physicalBytes({ guestBytes, stubAlignment }),
      countRing0: false,
      jit: options.jit,
      jitThreshold: options.jitThreshold,
    });
    const { cpu } = this.processor;
    const memBase = physicalBytes({ guestBytes: 0, stubAlignment });
    this.memory = new GuestMemory(cpu, memBase, ramBytes, guestBytes);
    const { memory } = this;

    // Devices in the original's order: blocks and nets as given, the console last.
    this.control = new ControlFile(this.processor, {
      guestBytes,
      seed: options.seed,
      syscallVector: options.syscallVector,
      tscKhz: options.tscKhz,
      stubAlignment,
      records: options.records,
      fastSwitch: options.fastSwitch,
    });
    const raise = (irq: number): void => this.request('Triggering irq', LHREQ.IRQ, irq);
    const warn = (line: string): void => this.onWarning(`lguest: ${line}`);
    this.devices = new DevicePage(memory, raise);
    for (const image of options.blockDevices ?? []) this.blocks.push(new Block(memory, this.devices, image, warn));
    if (options.network === 'loopback' || options.network === 'wire') {
      const net = new Net(memory, this.devices, Uint8Array.of(0x02, 0x6c, 0x67, 0, 0, 2), warn);
      this.net = net;
      if (options.network === 'loopback') {
        net.onTransmit = (frame) => {
          const answer = echo(frame);
          if (answer !== undefined) net.receive(answer);
        };
      }
    }
    this.console = new Console(memory, this.devices, (bytes) => this.onConsole(bytes));

    this.kernel = loadKernel(memory, options.kernel);
    const pgdir = prepareBoot(memory, { cmdline: options.cmdline ?? '', initrd: options.initrd });
    this.request('Writing to /dev/lguest', LHREQ.INITIALIZE, memory.base, memory.limit / PAGE, pgdir, this.kernel.entry);
    this.host = this.control.host as Host;
    this.inputs = {
      console: (bytes) => this.guarded(() => this.console.type(bytes)),
      consoleEnd: () => this.console.end(),
      netReceive: (frame) => this.guarded(() => this.net?.receive(frame)),
      irq: (irq) => {
        if (!Number.isInteger(irq) || irq < 0 || irq > 31) throw new LauncherError(`there is no virtual interrupt ${irq}: 0 to 31`);
        this.host.injectIrq(irq);
      },
      trap: (vector, error, cr2) => {
        if (!Number.isInteger(vector) || vector < 0 || (vector > 30 && vector !== 0x80))
          throw new LauncherError(`vector ${vector} cannot be injected: 0 to 30 and 128 can; interrupts are injected as irq 0 to 31`);
        const code = pushesErrorCode(vector);
        if (error !== undefined && !code) throw new LauncherError(`vector ${vector} has no error code`);
        if (cr2 !== undefined && vector !== 14) throw new LauncherError('only vector 14 has a cr2');
        this.host.injectTrap({ vector, error: code ? (error ?? 0) : -1, cr2: cr2 ?? 0 });
      },
      holdVirqs: (ns) => {
        if (!Number.isSafeInteger(ns) || ns < 0)
          throw new LauncherError(`virtual interrupts cannot be held for ${ns} ns: a whole number from 0 on`);
        this.host.holdVirqs(ns);
      },
    };
  }

  get position(): Position {
    return this.host.position;
  }
  /** The end, once there was one. */
  get end(): Stop | undefined {
    return this.ended;
  }

  // ---- running ------------------------------------------------------------------------------------------------------------------------

  run(options: RunOptions = {}): Stop {
    const end = this.processor.retired + (options.instructions ?? Number.MAX_SAFE_INTEGER);
    const lastEntry = this.entries + (options.entries ?? Number.MAX_SAFE_INTEGER);
    return this.loop((host) => host.run(end - this.processor.retired, lastEntry - this.entries), options.idle ?? 'skip');
  }

  /** One Guest step: the next instruction completes, or what it raises is handed to the Guest's handler. Stops early as run() does. */
  step(options: Pick<RunOptions, 'idle' | 'entries'> = {}): Stop {
    const lastEntry = this.entries + (options.entries ?? Number.MAX_SAFE_INTEGER);
    this.host.beginStep();
    return this.loop((host) => host.step(lastEntry - this.entries), options.idle ?? 'skip');
  }

  /** One instruction of whatever runs, the Switcher included; one step of the Host when that is at work. */
  stepHost(): Stop {
    return this.loop((host) => host.stepHost(), 'stop');
  }

  /** After a stop 'idle' with wakeNs: go to the timer. */
  skipIdle(): void {
    this.host.skipIdle();
  }

  private get entries(): number {
    return this.host.records.totals.worldSwitches;
  }

  /** Reads /dev/lguest until there is something for our caller. */
  private loop(run: (host: Host) => HostExit, idle: 'skip' | 'stop'): Stop {
    while (this.ended === undefined) {
      const read = this.control.read(run);
      if (read.kind === 'notify') this.guarded(() => this.notify(read.address));
      else if (read.kind === 'error') {
        if (read.result === -ERRNO.ENOENT) this.ended = this.death();
        else if (read.result === -ERRNO.EAGAIN) this.request('Resetting break', LHREQ.BREAK, 0);
      } else if (read.kind === 'reason') {
        // Quirk: the text came where a NOTIFY was expected; its first four bytes are taken for the address.
        this.guarded(() => this.notify(fourBytes(read.text)));
      } else {
        const { exit } = read;
        if (exit.kind === 'halted') {
          if (idle === 'stop' || exit.wakeNs === undefined) return { kind: 'idle', wakeNs: exit.wakeNs };
          this.host.skipIdle();
        } else if (exit.kind !== 'notify' && exit.kind !== 'dead' && exit.kind !== 'reason' && exit.kind !== 'break') return exit;
      }
    }
    return this.ended;
  }

  /** Writes a request; errors end the Launcher, but a dead Guest's are for the next read to tell. */
  private request(doing: string, ...words: number[]): void {
    const result = this.control.write(words);
    if (result < 0 && result !== -ERRNO.ENOENT) throw new LauncherDeath(`${doing}: error ${-result}`);
  }

  private notify(address: number): void {
    const text = this.devices.notify(address);
    if (text !== undefined) this.onConsole(text);
  }
  /** Device work that a misbehaving Guest can end. */
  private guarded(work: () => void): void {
    if (this.ended !== undefined) return;
    this.host.lg.doing = 'Launcher';
    try {
      work();
    } catch (thrown) {
      if (!(thrown instanceof LauncherDeath)) throw thrown;
      this.ended = { kind: 'killed', message: `lguest: ${thrown.message}`, record: this.host.current };
    }
    this.host.onAct?.(false);
  }
  /** The Guest died: read the reason, up to 1023 bytes. */
  private death(): Stop {
    const { records } = this.host;
    const read = this.control.read((host) => host.run(0), 1023);
    const reason = read.kind === 'reason' ? read.text.replace(/\0$/, '') : '';
    let record: TrapRecord | undefined;
    for (let k = records.count - 1; k >= records.first && record === undefined; k--) {
      const r = records.get(k);
      if (r?.kind === 'kill') record = r;
    }
    const message = `lguest: ${reason}`;
    if (reason === 'CRASH: Power down') return { kind: 'power-off', message, record };
    return { kind: reason.startsWith('CRASH: ') ? 'panic' : 'killed', message, record };
  }

  // ---- saving -------------------------------------------------------------------------------------------------------------------------

  /** Physical ranges [from, to) whose content is state; all the rest is free. Page aligned, ascending. */
  stateRanges(): [from: number, to: number][] {
    const { layout, lg } = this.host;
    const ranges: [number, number][] = [[0, layout.pool]];
    const free = new Set(lg.freePages);
    for (let i = 0; i < layout.poolPages; i++) {
      const page = layout.pool + i * PAGE;
      if (!free.has(page)) ranges.push([page, page + PAGE]);
    }
    ranges.push([layout.memBase, layout.memBase + this.memory.maxBytes]);
    return ranges;
  }

  /** All that the machine is, copied. Zero pages are left out. */
  save(): MachineState {
    const { m8, m32 } = this.processor.cpu;
    const pages = new Map<number, Uint8Array>();
    for (const [from, to] of this.stateRanges()) {
      for (let page = from; page < to; page += PAGE) {
        const a = RAM_BASE + page;
        let any = 0;
        for (let i = a >> 2; i < (a + PAGE) >> 2; i++) any |= m32[i];
        if (any !== 0) pages.set(page, m8.slice(a, a + PAGE));
      }
    }
    return { registers: m8.slice(0, S.SCRATCH), pages, ...this.saveParts() };
  }
  /** Host, devices and end: everything beside registers and memory. */
  saveParts(): MachineParts {
    return {
      host: this.host.save(),
      console: this.console.save(),
      blocks: this.blocks.map((block) => block.save()),
      net: this.net?.save(),
      ended: this.ended,
    };
  }
  restore(s: MachineState): void {
    const { m8 } = this.processor.cpu;
    for (const [from, to] of this.stateRanges()) m8.fill(0, RAM_BASE + from, RAM_BASE + to);
    for (const [page, bytes] of s.pages) m8.set(bytes, RAM_BASE + page);
    m8.set(s.registers, 0);
    this.restoreParts(s);
  }
  /** After registers and memory were put back by the caller. */
  restoreParts(s: MachineParts): void {
    const { processor } = this;
    processor.blocks.clear();
    processor.cpu.calls.clear();
    processor.cpu.flushTlb();
    processor.cpu.updateMode();
    this.host.restore(s.host);
    this.console.restore(s.console);
    for (const [i, block] of this.blocks.entries()) block.restore(s.blocks[i]);
    if (s.net !== undefined) this.net?.restore(s.net);
    this.ended = s.ended;
  }

  /** 16 hex digits over all saved state. */
  stateHash(): string {
    const hash = new Hash();
    const { cpu } = this.processor;
    hashCpu(hash, cpu);
    for (const [from, to] of this.stateRanges()) hash.pages(cpu.m32, from, to);
    const { ended, ...parts } = this.saveParts();
    hash.data(parts);
    hash.data(ended === undefined ? '' : ended.kind);
    return hash.finish();
  }
}

export interface MachineParts {
  host: HostState;
  console: ConsoleState;
  blocks: BlockState[];
  net: NetState | undefined;
  ended: Stop | undefined;
}
export interface MachineState extends MachineParts {
  /** The processor's state block. */
  registers: Uint8Array;
  /** Pages that are not zero, by physical address. */
  pages: Map<number, Uint8Array>;
}

const fourBytes = (text: string): number => {
  let value = 0;
  for (let i = 0; i < 4; i++) value |= (i < text.length ? text.charCodeAt(i) & 0xff : 0) << (8 * i);
  return value >>> 0;
};
