// The trap record: one entry for every cause that moved control between Guest and Host, with what the Host decided and why.
//
// It is the product's central table: log, views, "why", statistics, filters and stack boundaries all read it. It is always on, so it is
// a fixed-size binary ring (RECORD_BYTES a record) plus totals that never lose anything. Objects are built only for whoever asks.
// Left out: how a decision is made (disposition.ts) and its words (explain.ts).

/** A moment of the run, `#I.h`: Guest instructions retired since the entry, then Host steps (ring-0 instructions and records) since the last of them. */
export interface Position {
  retired: number;
  hostStep: number;
}
export const formatPosition = (p: Position): string => (p.hostStep === 0 ? `#${p.retired}` : `#${p.retired}.${p.hostStep}`);

/** trap: reached the Host through the Switcher. direct: went through the IDT to ring 1 without an exit. hypercall: int 0x1f, or an async ring entry. */
export const KINDS = ['trap', 'hypercall', 'virq', 'kill', 'direct'] as const;
export type RecordKind = (typeof KINDS)[number];

/** Closed list (product.md 2.0). */
export const OUTCOMES = [
  'direct',
  'reflected',
  'paged-in',
  'emulated',
  'fpu-restored',
  'hypercall',
  'host-irq',
  'nmi-ignored',
  'virq-delivered',
  'virq-held',
  'killed',
  'switcher-fault',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Why the outcome is what it is: the step of the decision chain that settled it. Closed list. */
export const REASONS = [
  'none',
  // page faults filled
  'read-absent', // shadow entry was absent, read access
  'write-absent', // shadow entry was absent, write access
  'dirty-upgrade', // shadow entry was there, read-only until the first write
  // page faults given to the Guest
  'gpde-absent',
  'gpte-absent',
  'gpte-read-only',
  'gpte-supervisor',
  // #GP
  'in',
  'out',
  'error-code', // a #GP with an error code is never emulated
  'not-ring-1', // I/O instructions of ring 3 are not emulated
  'not-in-out', // the instruction is not in or out
  // #NM
  'ts-clear',
  'ts-set',
  // the rest
  'given', // the Host gives every such trap to the Guest's gate
  'gate-type-F', // direct: a trap gate that the Host installed as it is
  'host-interrupt',
  'switcher-iret', // "trap 80": the IRET into the Guest faulted
  'sync',
  'async',
  // virtual interrupts
  'injected',
  'woke-halted',
  'before-init',
  'blocked', // masked in blocked_interrupts
  'disabled', // irq_enabled is zero
  'noirq-range', // eip between noirq_start and noirq_end
  'no-gate',
  // deaths
  'killed-by-hypercall',
  'bad-gpde',
  'bad-gpte',
  'switcher-slot',
  'bad-address', // the Host's walk of the Guest's tables for a frame or for eip failed
  'bad-read',
  'bad-write',
  'out-of-memory',
  'crash',
  'nmi',
] as const;
export type Reason = (typeof REASONS)[number];

/** One decision of the chain: which function asked what, what it saw, and the way it took. `section` is of our own documentation of lguest. */
export interface DecisionStep {
  fn: string;
  section: string;
  condition: string;
  values: string;
  taken: string;
}

/** A frame that the Host (or, for direct traps, the processor) pushed on the Guest's stack. */
export interface PushedFrame {
  /** Guest-virtual address of the lowest word. */
  at: number;
  /** Highest address first. `by`: who chose the value. */
  words: { name: 'ss' | 'esp' | 'eflags' | 'cs' | 'eip' | 'error'; value: number; by: 'Guest state' | 'Host' | 'processor' }[];
}

export interface TrapRecord {
  /** Ordinal since the machine started, from 0. */
  k: number;
  kind: RecordKind;
  pos: Position;
  /** Guest time in nanoseconds since the start. */
  ns: number;
  /** 0 to 256. Virtual interrupts: 32 + irq. Hypercalls: 31. Kills: that of the parent or 256. */
  vector: number;
  /** Error code as the processor gave it; undefined when the vector has none. */
  err: number | undefined;
  eip: number;
  cs: number;
  cpl: number;
  ss: number;
  esp: number;
  eflags: number;
  /** Page faults only: the faulting address. */
  cr2: number | undefined;
  /** Guest-physical address of the Guest page directory in use. */
  cr3: number;
  outcome: Outcome;
  reason: Reason;
  /** k of the record that this one belongs to: a ring entry's hypercall, a kill's trap. */
  parent: number | undefined;
  /** Handler address of the Guest's gate, when the Guest gets the trap. */
  handler: number | undefined;
  /** Traps: what the Host read to decide. Entries not reached are undefined. */
  walk?: { gpde: number | undefined; gpte: number | undefined; spde: number | undefined; spte: number | undefined; filled: number | undefined };
  /** Traps with port emulation: the instruction's length and what it did to eax. */
  io?: { length: number; eaxBefore: number; eaxAfter: number };
  /** slot: index in the async ring; undefined for the call itself. Arguments in the order edx, ebx, ecx. */
  hypercall?: { number: number; name: string; args: [number, number, number]; slot: number | undefined };
  virq?: { irq: number; pending: number; blocked: number; irqEnabled: number };
  gate?: { low: number; high: number };
  frame?: PushedFrame;
  /** Text of the death, as lguest prints it. */
  message?: string;
}
