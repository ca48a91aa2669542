// SKELETON of the Launcher's public face (being filled in): a Guest with its devices, and one door for everything nondeterministic.
import type { Processor } from '../i386/processor';
import type { HostApi } from '../lguest/host';
import type { Position, TrapRecord } from '../lguest/trap-record';

export interface MachineOptions {
  /** The kernel image, ELF or bzImage. */
  kernel: Uint8Array;
  initrd?: Uint8Array;
  /** Words after the kernel on lguest's command line, joined by single spaces. */
  cmdline?: string;
  /** Bytes, a multiple of 1 MB. */
  memoryBytes: number;
  /** Contents of block device images; the machine writes to its own copy. */
  blockDevices?: Uint8Array[];
  network?: 'none' | 'loopback';
  /** lguest_data.tsc_khz; default 1,000,000; 0: the Host has no stable TSC. */
  tscKhz?: number;
  /** Seed of the shadow slot choice. Default 1. */
  seed?: number;
  jit?: boolean;
  /** The Host's syscall_vector module parameter. */
  syscallVector?: number;
}

/** Everything nondeterministic comes in here, stamped with the position. */
export interface Inputs {
  /** Bytes typed on the console. */
  console(bytes: Uint8Array): void;
  /** No more console input will come. */
  consoleEnd(): void;
}

export interface RunOptions {
  /** Retire at most so many Guest instructions. */
  instructions?: number;
  /** 'skip' (default): a halted Guest goes to its next timer at once. 'stop': come back with kind 'idle' and let the caller wait, then call skipIdle(). */
  idle?: 'skip' | 'stop';
}

export type Stop =
  | { kind: 'budget' }
  /** CRASH with text `Power down`. `message` is what lguest prints: `lguest: CRASH: Power down`. */
  | { kind: 'power-off'; message: string; record: TrapRecord | undefined }
  /** Any other CRASH. */
  | { kind: 'panic'; message: string; record: TrapRecord | undefined }
  /** Any other kill, and errors that end the Launcher. */
  | { kind: 'killed'; message: string; record: TrapRecord | undefined }
  | { kind: 'breakpoint'; address: number }
  | { kind: 'watch' }
  /** The filter said stop: decided, not yet applied. */
  | { kind: 'trap'; record: TrapRecord }
  /** processor.requestStop() */
  | { kind: 'stop' }
  /** Halted. `wakeNs`: Guest nanoseconds until its timer; undefined: no timer, nothing left to do unless input can wake it. */
  | { kind: 'idle'; wakeNs: number | undefined }
  | { kind: 'emulator'; message: string };

export interface MachineApi {
  readonly processor: Processor;
  readonly host: HostApi;
  readonly inputs: Inputs;
  readonly position: Position;
  /** Console output, in the Guest's own bytes. */
  onConsole: (bytes: Uint8Array) => void;
  run(options?: RunOptions): Stop;
  /** One Guest step: the next instruction completes, or its trap is delivered to the Guest's handler. Stops early like run(). */
  step(): Stop;
  /** One instruction of whatever runs, the Switcher and the Host stub included. */
  stepHost(): Stop;
  /** After a stop 'idle' with wakeNs: jump to the timer. */
  skipIdle(): void;
  save(): Uint8Array[];
  /** 16 hex digits over all saved state. */
  stateHash(): string;
}
