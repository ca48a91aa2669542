// SKELETON of the Host's public face (being filled in): one Guest on one emulated processor.
import type { Processor } from '../i386/processor';
import type { DecisionStep, Position, TrapRecord } from './trap-record';

/** Why Host.run() came back. */
export type HostExit =
  /** The instructions asked for have retired (or the deadline of the caller is reached). */
  | { kind: 'budget' }
  /** read() returned 4: the Guest's NOTIFY for the Launcher. */
  | { kind: 'notify'; address: number }
  /** read() returned -ENOENT: death was noticed. */
  | { kind: 'dead'; message: string }
  /** read() returned the text: the Guest was dead on entry. */
  | { kind: 'reason'; message: string }
  /** read() returned -EAGAIN: break_out is set. */
  | { kind: 'break' }
  /** The Guest sleeps. `wakeNs`: Guest time of its clock event, undefined when none is set. */
  | { kind: 'halted'; wakeNs: number | undefined }
  /** trapFilter said stop: the record is decided and not yet applied; the next run() applies it. */
  | { kind: 'trap'; record: TrapRecord }
  | { kind: 'breakpoint'; address: number }
  | { kind: 'watch' }
  | { kind: 'stop' }
  /** Something that cannot happen happened. */
  | { kind: 'emulator'; message: string };

/** What the debugger wants to be asked about. Only records of interest are built as objects, so the rest costs nothing. */
export interface TrapFilter {
  /** [vector] = 1: ask for traps and direct traps of this vector (0 to 256; 31 = synchronous hypercalls). */
  vectors: Uint8Array;
  /** Ask for async ring entries. */
  ring: boolean;
  virqDelivered: boolean;
  virqHeld: boolean;
  /** Ask before every entry into the Guest and after every exit (records of kind trap with outcome as decided; entries have none). */
  worldSwitch: boolean;
  /** true: stop before it is applied. Must not change the machine. */
  test(record: TrapRecord): boolean;
}

/** Registers of the Guest, wherever they are: saved in the register page while the Host runs, else in the processor. */
export interface GuestContext {
  get(name: GuestRegister): number;
  set(name: GuestRegister, value: number): void;
}
export const GUEST_REGISTERS = ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip', 'eflags', 'cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;
export type GuestRegister = (typeof GUEST_REGISTERS)[number];

/** Two levels of one table for one address. Entries are undefined when not reached or not readable. Addresses are guest-physical (Guest) or physical (shadow). */
export interface Walk {
  directory: number;
  pdeAt: number;
  pde: number | undefined;
  pteAt: number | undefined;
  pte: number | undefined;
  /** Guest: guest-physical; shadow: physical. undefined when not mapped. */
  target: number | undefined;
}

/** struct lguest, readable. All numbers uint32 unless said. */
export interface LguestState {
  memBase: number;
  pfnLimit: number;
  /** guest-physical address of lguest_data; undefined before INIT */
  lguestData: number | undefined;
  kernelAddress: number;
  noirqStart: number;
  noirqEnd: number;
  pgdirs: { gpgdir: number; shadow: number | undefined }[];
  pgdidx: number;
  lastPagefault: number;
  ts: number;
  halted: boolean;
  esp1: number;
  ss1: number;
  stackPages: number;
  nextHcall: number;
  pendingNotify: number;
  irqsPending: number;
  timerNs: number | undefined;
  dead: string | undefined;
  /** [2n], [2n+1]: low and high word of entry n as the Guest asked (after fix-up). */
  gdt: Uint32Array;
  idt: Uint32Array;
}

export interface HostApi {
  readonly processor: Processor;
  readonly lg: LguestState;
  filter: TrapFilter | undefined;
  run(budget: number): HostExit;
  readonly position: Position;
  /** Guest time in nanoseconds since the start. */
  readonly nowNs: number;
  /** True while ring 1 or 3 code is what runs next; false while the Host or the Switcher is at work. */
  readonly inGuest: boolean;
  readonly context: GuestContext;
  /** The record decided but not applied (a trap stop), or the newest one. */
  readonly current: TrapRecord | undefined;
  /** The decisions behind a record, first to last. */
  explain(record: TrapRecord): DecisionStep[];
  guestWalk(vaddr: number): Walk;
  shadowWalk(vaddr: number): Walk;
}
