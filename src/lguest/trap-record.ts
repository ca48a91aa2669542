// The trap record: one entry for every cause that moved control between Guest and Host, with what the Host decided and why.
//
// It is the product's central table: log, views, "why", statistics, filters and stack boundaries all read it. It is always on, so it is
// a fixed-size binary ring (RECORD_BYTES a record) plus totals that never lose anything. Objects are built only for whoever asks.
// Left out: how a decision is made (disposition.ts) and its words (explain.ts).

import { Delivered } from '../i386/plain';
import { hex, hypercallName } from './abi';

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
  'filled-before', // the shadow entry was already there: the Guest's PDE forbids what its PTE allows
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
  'stepping', // the debugger holds it while the user steps; no Host does that
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
  /** Guest instructions from here until an IRET took the frame away again; undefined while the handler is at work, and for traps without a frame. */
  instructions: number | undefined;
  /** Traps: what the Host read to decide. Entries not reached are undefined. */
  walk?: {
    gpde: number | undefined;
    gpte: number | undefined;
    spde: number | undefined;
    spte: number | undefined;
    filled: number | undefined;
  };
  /** Traps with port emulation: the instruction's length and what it did to eax. */
  io?: { length: number; eaxBefore: number; eaxAfter: number };
  /** slot: index in the async ring; undefined for the call itself. Arguments in the order edx, ebx, ecx. */
  hypercall?: { number: number; name: string; args: [number, number, number]; slot: number | undefined };
  virq?: { irq: number; pending: number; blocked: number; irqEnabled: number };
  gate?: { low: number; high: number };
  frame?: PushedFrame;
  /** Text of the death, as lguest prints it. */
  message?: string;
  /** The user asked for it; the Guest's own code did not cause it. */
  injected?: true;
}

// ---- the ring ---------------------------------------------------------------------------------------------------------------------------------

/** Bytes of a record in the ring. */
export const RECORD_BYTES = 96;
const WORDS = RECORD_BYTES / 4;
/** Word indexes of a record. */
const enum Word {
  /** kind, outcome << 4, reason << 8, walk depth << 16, flags << 24 */
  HEAD = 0,
  /** vector, slot + 1 << 16 */
  VECTOR = 1,
  ERROR = 2,
  EIP = 3,
  /** cs, ss << 16 */
  CS_SS = 4,
  ESP = 5,
  EFLAGS = 6,
  CR2 = 7,
  CR3 = 8,
  HOST_STEP = 9,
  /** Two words each: float64. */
  RETIRED = 10,
  NS = 12,
  /** k - parent; 0 = none. */
  PARENT = 14,
  /** Kind's own. */
  A = 15,
  B = 16,
  C = 17,
  D = 18,
  E = 19,
  GATE_LOW = 20,
  GATE_HIGH = 21,
  FRAME_AT = 22,
  /** Instructions until the frame was popped, + 1; 0 = not yet. */
  END = 23,
}
const enum Flag {
  HAS_ERROR = 1,
  HAS_CR2 = 2,
  HAS_GATE = 4,
  HAS_FRAME = 8,
  HAS_IO = 16,
  /** IF in the pushed EFLAGS; all else is as in EFLAGS. */
  FRAME_IF = 32,
  INJECTED = 64,
}

/** What a record is made from; one object, reused. Numbers int32 or uint32. */
export class Draft {
  kind: RecordKind = 'trap';
  outcome: Outcome = 'reflected';
  reason: Reason = 'none';
  vector = 0;
  hasError = false;
  error = 0;
  eip = 0;
  cs = 0;
  ss = 0;
  esp = 0;
  eflags = 0;
  cr2 = -1;
  hasCr2 = false;
  cr3 = 0;
  retired = 0;
  hostStep = 0;
  ns = 0;
  parent = -1;
  /** Page walk depth (see PagePlan), slot + 1 of ring entries. */
  depth = 0;
  slot = -1;
  a = 0;
  b = 0;
  c = 0;
  d = 0;
  e = 0;
  hasGate = false;
  gateLow = 0;
  gateHigh = 0;
  hasFrame = false;
  frameAt = 0;
  frameEflags = 0;
  hasIo = false;
  injected = false;
}

export interface TrapTotals {
  /** Reached the Host, by vector (0-256). */
  traps: number[];
  /** Went straight to the Guest, by vector (0-255). */
  direct: number[];
  outcomes: Record<Outcome, number>;
  /** By hypercall number; the last place counts the unknown ones. */
  hypercallsSync: number[];
  hypercallsAsync: number[];
  /** Page faults filled: kernel (ring 1) and user by reason. */
  filled: {
    readAbsentKernel: number;
    readAbsentUser: number;
    writeAbsentKernel: number;
    writeAbsentUser: number;
    dirtyUpgrade: number;
    before: number;
  };
  /** Page faults given to the Guest, by the ring of the code. */
  pageFaultsGiven: { ring1: number; ring3: number };
  pinnedFilled: number;
  emulatedIn: number;
  emulatedOut: number;
  gpGiven: number;
  nmTaken: number;
  nmGiven: number;
  /** By irq. */
  virqsDelivered: number[];
  virqsHeld: number;
  /** Entries into the Guest. */
  worldSwitches: number;
}
export const HYPERCALL_KINDS = 19;

const newTotals = (): TrapTotals => ({
  traps: new Array<number>(257).fill(0),
  direct: new Array<number>(256).fill(0),
  outcomes: Object.fromEntries(OUTCOMES.map((o) => [o, 0])) as Record<Outcome, number>,
  hypercallsSync: new Array<number>(HYPERCALL_KINDS).fill(0),
  hypercallsAsync: new Array<number>(HYPERCALL_KINDS).fill(0),
  filled: { readAbsentKernel: 0, readAbsentUser: 0, writeAbsentKernel: 0, writeAbsentUser: 0, dirtyUpgrade: 0, before: 0 },
  pageFaultsGiven: { ring1: 0, ring3: 0 },
  pinnedFilled: 0,
  emulatedIn: 0,
  emulatedOut: 0,
  gpGiven: 0,
  nmTaken: 0,
  nmGiven: 0,
  virqsDelivered: new Array<number>(32).fill(0),
  virqsHeld: 0,
  worldSwitches: 0,
});

const KIND_CODE = new Map<string, number>(KINDS.map((x, i) => [x, i]));
const OUTCOME_CODE = new Map<string, number>(OUTCOMES.map((x, i) => [x, i]));
const REASON_CODE = new Map<string, number>(REASONS.map((x, i) => [x, i]));

/** HEAD of every direct trap, reason and flags left out. */
const DIRECT = KINDS.indexOf('direct') | (OUTCOMES.indexOf('direct') << 4);

/** All records of a run, the newest `capacity` of them in full. */
export class TrapLog {
  /** Records made since the start; the next one gets this k. */
  count = 0;
  totals = newTotals();
  private readonly words: Int32Array;
  private readonly floats: Float64Array;
  /** Texts of deaths, by k. */
  private readonly messages = new Map<number, string>();
  /** Called with every new record's k, after it is in the ring; for those who stream the log. */
  onRecord: ((k: number) => void) | undefined;

  /** @param capacity records kept, a power of two. */
  constructor(readonly capacity = 1 << 16) {
    const buffer = new ArrayBuffer((capacity + 1) * RECORD_BYTES);
    this.words = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
  }

  /** k of the oldest record still in full. */
  get first(): number {
    return Math.max(0, this.count - this.capacity);
  }

  /** Writes a record into a place of the ring; the place after the last is for preview(). */
  private write(d: Draft, place: number): void {
    const { words } = this;
    const at = place * WORDS;
    const flags =
      (d.hasError ? Flag.HAS_ERROR : 0) |
      (d.hasCr2 ? Flag.HAS_CR2 : 0) |
      (d.hasGate ? Flag.HAS_GATE : 0) |
      (d.hasFrame ? Flag.HAS_FRAME : 0) |
      (d.hasIo ? Flag.HAS_IO : 0) |
      (d.frameEflags & 0x200 ? Flag.FRAME_IF : 0) |
      (d.injected ? Flag.INJECTED : 0);
    words[at + Word.HEAD] =
      (KIND_CODE.get(d.kind) ?? 0) |
      ((OUTCOME_CODE.get(d.outcome) ?? 0) << 4) |
      ((REASON_CODE.get(d.reason) ?? 0) << 8) |
      (d.depth << 16) |
      (flags << 24);
    words[at + Word.VECTOR] = d.vector | ((d.slot + 1) << 16);
    words[at + Word.ERROR] = d.error;
    words[at + Word.EIP] = d.eip;
    words[at + Word.CS_SS] = (d.cs & 0xffff) | (d.ss << 16);
    words[at + Word.ESP] = d.esp;
    words[at + Word.EFLAGS] = d.eflags;
    words[at + Word.CR2] = d.cr2;
    words[at + Word.CR3] = d.cr3;
    words[at + Word.HOST_STEP] = d.hostStep;
    this.floats[(at + Word.RETIRED) >> 1] = d.retired;
    this.floats[(at + Word.NS) >> 1] = d.ns;
    words[at + Word.PARENT] = d.parent < 0 ? 0 : this.count - d.parent;
    words[at + Word.A] = d.a;
    words[at + Word.B] = d.b;
    words[at + Word.C] = d.c;
    words[at + Word.D] = d.d;
    words[at + Word.E] = d.e;
    words[at + Word.GATE_LOW] = d.gateLow;
    words[at + Word.GATE_HIGH] = d.gateHigh;
    words[at + Word.FRAME_AT] = d.frameAt;
    words[at + Word.END] = 0;
  }

  /** Adds a record. @returns its k. */
  add(d: Draft, message?: string): number {
    this.write(d, this.count % this.capacity);
    const k = this.count++;
    if (message !== undefined) this.messages.set(k, message);
    this.tally(d);
    this.onRecord?.(k);
    return k;
  }

  /**
   * Adds the record of a direct trap that the processor delivered on the plain road: what add() does, straight into the ring.
   * @param delivered Cpu.delivered. @param error -1 = none. @param cr2 -1 with `hasCr2` false.
   */
  addDirect(
    delivered: Int32Array,
    reason: Reason,
    vector: number,
    error: number,
    cs: number,
    eip: number,
    hasCr2: boolean,
    cr2: number,
    cr3: number,
    retired: number,
    ns: number,
    hostStep: number,
  ): number {
    const { words, floats } = this;
    const k = this.count++;
    const at = (k % this.capacity) * WORDS;
    const eflags = delivered[Delivered.EFLAGS];
    const flags =
      (error >= 0 ? Flag.HAS_ERROR : 0) |
      (hasCr2 ? Flag.HAS_CR2 : 0) |
      Flag.HAS_GATE |
      Flag.HAS_FRAME |
      (eflags & 0x200 ? Flag.FRAME_IF : 0);
    words[at + Word.HEAD] = DIRECT | ((REASON_CODE.get(reason) ?? 0) << 8) | (flags << 24);
    words[at + Word.VECTOR] = vector;
    words[at + Word.ERROR] = error;
    words[at + Word.EIP] = eip;
    words[at + Word.CS_SS] = (cs & 0xffff) | (delivered[Delivered.SS] << 16);
    words[at + Word.ESP] = delivered[Delivered.ESP];
    words[at + Word.EFLAGS] = eflags;
    words[at + Word.CR2] = cr2;
    words[at + Word.CR3] = cr3;
    words[at + Word.HOST_STEP] = hostStep;
    floats[(at + Word.RETIRED) >> 1] = retired;
    floats[(at + Word.NS) >> 1] = ns;
    words[at + Word.PARENT] = 0;
    words[at + Word.A] = words[at + Word.B] = words[at + Word.C] = words[at + Word.D] = words[at + Word.E] = 0;
    words[at + Word.GATE_LOW] = delivered[Delivered.GATE_LOW];
    words[at + Word.GATE_HIGH] = delivered[Delivered.GATE_HIGH];
    words[at + Word.FRAME_AT] = delivered[Delivered.FRAME];
    words[at + Word.END] = 0;
    this.totals.outcomes.direct++;
    this.totals.direct[vector]++;
    this.onRecord?.(k);
    return k;
  }

  /** The record that add(d) would make, without making it. */
  preview(d: Draft, message?: string): TrapRecord {
    this.write(d, this.capacity);
    const record = this.read(this.count, this.capacity);
    if (message !== undefined) record.message = message;
    return record;
  }

  private tally(d: Draft): void {
    const t = this.totals;
    t.outcomes[d.outcome]++;
    const number = (list: number[], n: number): void => {
      list[n >>> 0 < HYPERCALL_KINDS - 1 ? n : HYPERCALL_KINDS - 1]++;
    };
    switch (d.kind) {
      case 'hypercall':
        if (d.slot < 0) t.traps[31]++;
        number(d.slot < 0 ? t.hypercallsSync : t.hypercallsAsync, d.a);
        return;
      case 'direct':
        t.direct[d.vector]++;
        return;
      case 'virq':
        if (d.outcome === 'virq-held') t.virqsHeld++;
        else t.virqsDelivered[d.vector - 32]++;
        return;
      case 'kill':
        return;
      default:
        t.traps[d.vector]++;
    }
    const user = (d.error & 4) !== 0;
    if (d.vector === 14) {
      if (d.outcome === 'reflected') {
        if ((d.cs & 3) === 1) t.pageFaultsGiven.ring1++;
        else t.pageFaultsGiven.ring3++;
      } else if (d.outcome === 'paged-in') {
        if (d.reason === 'dirty-upgrade') t.filled.dirtyUpgrade++;
        else if (d.reason === 'filled-before') t.filled.before++;
        else if (d.reason === 'write-absent') user ? t.filled.writeAbsentUser++ : t.filled.writeAbsentKernel++;
        else user ? t.filled.readAbsentUser++ : t.filled.readAbsentKernel++;
      }
    } else if (d.vector === 13) {
      if (d.reason === 'in') t.emulatedIn++;
      else if (d.reason === 'out') t.emulatedOut++;
      else if (d.outcome === 'reflected') t.gpGiven++;
    } else if (d.vector === 7) {
      t.nmTaken++;
      if (d.outcome === 'reflected') t.nmGiven++;
    }
  }

  /** Record k, or undefined when it is not made yet or no longer kept. */
  get(k: number): TrapRecord | undefined {
    return k >= this.first && k < this.count ? this.read(k, k % this.capacity) : undefined;
  }
  /** Changes the outcome of a record: what it set off ended in a death. */
  amend(k: number, outcome: Outcome, reason: Reason): void {
    if (k < this.first || k >= this.count) return;
    const at = (k % this.capacity) * WORDS + Word.HEAD;
    const before = OUTCOMES[(this.words[at] >> 4) & 15];
    this.totals.outcomes[before]--;
    this.totals.outcomes[outcome]++;
    this.words[at] = (this.words[at] & ~0xfff0) | ((OUTCOME_CODE.get(outcome) ?? 0) << 4) | ((REASON_CODE.get(reason) ?? 0) << 8);
  }
  /** Notes after how many instructions the frame of record k was popped; undefined takes that back. */
  setEnd(k: number, instructions: number | undefined): void {
    if (k < this.first || k >= this.count) return;
    this.words[(k % this.capacity) * WORDS + Word.END] = instructions === undefined ? 0 : instructions + 1;
  }
  /** Guest instructions retired at record k, or undefined when it is no longer kept. */
  retiredAt(k: number): number | undefined {
    return k >= this.first && k < this.count ? this.floats[((k % this.capacity) * WORDS + Word.RETIRED) >> 1] : undefined;
  }
  *[Symbol.iterator](): Generator<TrapRecord> {
    for (let k = this.first; k < this.count; k++) yield this.read(k, k % this.capacity);
  }

  private read(k: number, place: number): TrapRecord {
    const { words } = this;
    const at = place * WORDS;
    const head = words[at + Word.HEAD];
    const flags = head >>> 24;
    const depth = (head >> 16) & 0xff;
    const kind = KINDS[head & 15];
    const cs = words[at + Word.CS_SS] & 0xffff;
    const back = words[at + Word.PARENT];
    const vector = words[at + Word.VECTOR] & 0xffff;
    const slot = (words[at + Word.VECTOR] >>> 16) - 1;
    const u = (w: number): number => words[at + w] >>> 0;
    const gate = flags & Flag.HAS_GATE ? { low: u(Word.GATE_LOW), high: u(Word.GATE_HIGH) } : undefined;
    const record: TrapRecord = {
      k,
      kind,
      pos: { retired: this.floats[(at + Word.RETIRED) >> 1], hostStep: u(Word.HOST_STEP) },
      ns: this.floats[(at + Word.NS) >> 1],
      vector,
      err: flags & Flag.HAS_ERROR ? u(Word.ERROR) : undefined,
      eip: u(Word.EIP),
      cs,
      cpl: cs & 3,
      ss: words[at + Word.CS_SS] >>> 16,
      esp: u(Word.ESP),
      eflags: u(Word.EFLAGS),
      cr2: flags & Flag.HAS_CR2 ? u(Word.CR2) : undefined,
      cr3: u(Word.CR3),
      outcome: OUTCOMES[(head >> 4) & 15],
      reason: REASONS[(head >> 8) & 0xff],
      parent: back === 0 ? undefined : k - back,
      handler: undefined,
      instructions: u(Word.END) === 0 ? undefined : u(Word.END) - 1,
    };
    if (gate !== undefined) {
      record.gate = gate;
      if (gate.high & 0x8000) record.handler = ((gate.high & 0xffff0000) | (gate.low & 0xffff)) >>> 0;
    }
    if (flags & Flag.INJECTED) record.injected = true;
    const message = this.messages.get(k);
    if (message !== undefined) record.message = message;
    if (kind === 'trap' && vector === 14) {
      record.walk = {
        gpde: depth >= 1 ? u(Word.A) : undefined,
        spde: depth >= 2 ? u(Word.B) : undefined,
        gpte: depth >= 3 ? u(Word.C) : undefined,
        spte: depth >= 4 ? u(Word.D) : undefined,
        filled: record.outcome === 'paged-in' ? u(Word.E) : undefined,
      };
    } else if (flags & Flag.HAS_IO) record.io = { length: u(Word.A), eaxBefore: u(Word.B), eaxAfter: u(Word.C) };
    else if (kind === 'hypercall') {
      record.hypercall = {
        number: words[at + Word.A],
        name: hypercallName(words[at + Word.A]),
        args: [u(Word.B), u(Word.C), u(Word.D)],
        slot: slot < 0 ? undefined : slot,
      };
    } else if (kind === 'virq') record.virq = { irq: vector - 32, pending: u(Word.A), blocked: u(Word.B), irqEnabled: u(Word.C) };
    if (flags & Flag.HAS_FRAME)
      record.frame = frameOf(record, u(Word.FRAME_AT), ((record.eflags & ~0x200) | (flags & Flag.FRAME_IF ? 0x200 : 0)) >>> 0);
    return record;
  }

  /** For snapshots: how far the log is. The records themselves stay in the ring. */
  save(): { count: number; totals: TrapTotals } {
    return { count: this.count, totals: structuredClone(this.totals) };
  }
  restore(s: { count: number; totals: TrapTotals }): void {
    this.count = s.count;
    this.totals = structuredClone(s.totals);
  }
}

const frameOf = (r: TrapRecord, at: number, eflags: number): PushedFrame => {
  const by = r.kind === 'direct' ? 'processor' : 'Host';
  const words: PushedFrame['words'] = [];
  if (r.cpl === 3) words.push({ name: 'ss', value: r.ss, by: 'Guest state' }, { name: 'esp', value: r.esp, by: 'Guest state' });
  words.push({ name: 'eflags', value: eflags, by });
  words.push({ name: 'cs', value: r.cs, by: 'Guest state' }, { name: 'eip', value: r.eip, by: 'Guest state' });
  if (r.err !== undefined && r.kind !== 'virq') words.push({ name: 'error', value: r.err, by: 'processor' });
  return { at, words };
};

/** One line of NDJSON. Addresses are hex strings, counts numbers; keys in the order of architecture.md. */
export const toJson = (r: TrapRecord): string => {
  const h = (value: number | undefined): string | null => (value === undefined ? null : hex(value));
  return JSON.stringify({
    k: r.k,
    pos: formatPosition(r.pos),
    ns: r.ns,
    kind: r.kind,
    vector: r.vector,
    err: h(r.err),
    eip: h(r.eip),
    cs: h(r.cs),
    cpl: r.cpl,
    cr2: h(r.cr2),
    outcome: r.outcome,
    reason: r.reason,
    parent: r.parent ?? null,
    esp: h(r.esp),
    eflags: h(r.eflags),
    cr3: h(r.cr3),
    ...(r.handler === undefined ? {} : { handler: h(r.handler) }),
    ...(r.instructions === undefined ? {} : { instructions: r.instructions }),
    ...(r.walk === undefined
      ? {}
      : { gpde: h(r.walk.gpde), gpte: h(r.walk.gpte), spde: h(r.walk.spde), spte: h(r.walk.spte), filled: h(r.walk.filled) }),
    ...(r.io === undefined ? {} : { length: r.io.length, eax: h(r.io.eaxAfter) }),
    ...(r.hypercall === undefined
      ? {}
      : {
          nr: r.hypercall.number,
          name: r.hypercall.name,
          args: r.hypercall.args.map(hex),
          ...(r.hypercall.slot === undefined ? {} : { slot: r.hypercall.slot }),
        }),
    ...(r.virq === undefined
      ? {}
      : { irq: r.virq.irq, pending: h(r.virq.pending), blocked: h(r.virq.blocked), irqEnabled: h(r.virq.irqEnabled) }),
    ...(r.injected ? { injected: true } : {}),
    ...(r.message === undefined ? {} : { message: r.message }),
  });
};
