// The processor's innermost layer: registers, exceptions, linear memory with the software TLB, and the segment checks of one data access.
//
// Everything an instruction does goes through this class, so it is written for the common case: aligned access to a page in the TLB through a flat segment.
// The rest (page walks, crossings, watched pages, pages with code, limits) is in the slow methods below. It leaves out: what instructions mean
// (interpreter/), descriptor loads and control transfer (segments.ts, transfer.ts, interrupts.ts, tasks.ts), and the run loop (processor.ts).

import { CALL_KIND, CallTable } from './calls';
import { auxFor, resultFor, statusFlags } from './flags';
import { CR0, CR4, CS, DELIVERED, EXC, F, FL, GAPS, INTERCEPT, LINES, PAGE, RAM_BASE, SS, TLB, TLB_INVALID, W } from './state';

/** Thrown (always the same object for one processor) when the current instruction faults; the run loop delivers it. */
export class CpuFault {
  vector = 0;
  errorCode = 0;
}

/** Thrown before a delivery that the debugger wants to see first; nothing has changed. */
export class Intercepted {
  vector = 0;
  errorCode = -1;
  software = false;
}

/** Ends of stretches of GAPS, two each, after which clearing all of it costs less. */
const MOST_GAP_RUNS = 128;
/** Thrown by a watcher to stop before the access: the instruction is left as if it had not begun, and run() comes back with kind 'stop'. */
export class WatchStop {}

/** Thrown before an x87 instruction that a pending error freezes (CR0.NE clear): the processor waits for an external interrupt. Nothing has changed. */
export class FpuFrozen {}

/** Sees accesses to watched pages; called from the slow path, before a write takes effect. Must not touch the machine; may throw WatchStop. */
export interface MemoryWatcher {
  /** @param linear uint32, or -1 when the processor itself walks tables. @param size bytes, 1 to 4 (larger accesses come in parts). */
  read(physical: number, linear: number, size: number): void;
  write(physical: number, linear: number, size: number, value: number): void;
  /**
   * The stretch around an address where accesses of this kind mean nothing to the watcher, within the page: first offset | end << 16; 0 when there is none. It counts
   * until page flags change. Without it every access to the page is told.
   */
  gap?(physical: number, write: boolean): number;
}

/** Port space of the machine. The caller's layer implements it. @param size 1, 2 or 4 bytes. Values uint32. */
export interface Bus {
  portRead(port: number, size: number): number;
  portWrite(port: number, size: number, value: number): void;
}

/** Bits of Cpu.pageFlags, one byte for each physical page. */
export const enum PageFlag {
  /** Decoded or translated code lies here: stores take the slow path. */
  CODE = 1,
  WATCH_READ = 2,
  WATCH_WRITE = 4,
  /** Read-only memory: stores are dropped. */
  ROM = 8,
}

const SUPER_READ = TLB.SUPER_READ >> 2;
const SUPER_WRITE = TLB.SUPER_WRITE >> 2;
const USER_READ = TLB.USER_READ >> 2;
const USER_WRITE = TLB.USER_WRITE >> 2;
const WRITE_TABLES = [SUPER_WRITE, USER_WRITE];
const ALL_TABLES = [SUPER_READ, SUPER_WRITE, USER_READ, USER_WRITE];
const keptKey = (page: number, write: boolean, user: boolean): number => page * 4 + (write ? 2 : 0) + (user ? 1 : 0);
/** Pages remembered for the next flush; when more were filled, whole tables are cleared. */
const FILLED_MAX = 1 << 16;
/** RSVD bit of a page fault's error code. */
const RESERVED = 8;

export interface CpuOptions {
  /** Physical memory in bytes, a multiple of 4096, below 2 GB. */
  ramBytes: number;
  bus?: Bus;
}

/** Low address bits that an aligned operand of `size` bytes has clear: odd sizes are images made of words, dwords or quadwords. SDM vol. 3, "Alignment check". */
const alignmentMask = (size: number): number => {
  switch (size) {
    case 6: // far pointer
    case 28: // x87 environment and state, 32-bit
    case 108:
      return 3;
    case 10: // extended real, packed decimal
      return 7;
    case 14: // x87 environment and state, 16-bit
    case 94:
      return 1;
    case 512: // FXSAVE image
      return 15;
    default:
      return size - 1;
  }
};

/** Offsets from FFFFFE00 on are checked even in flat segments: an access across 4 GB is beyond the limit. 512 bytes is the longest access. */
export const NEAR_TOP = 0x1ff;

const NO_BUS: Bus = { portRead: (_port, size) => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff), portWrite: () => {} };

export class Cpu {
  readonly memory: WebAssembly.Memory;
  readonly m8: Uint8Array;
  readonly m16: Uint16Array;
  /** The whole memory as int32; the state block stands at its start, so m32[EAX] is EAX and m32[W.EIP] is EIP. */
  readonly m32: Int32Array;
  readonly f64: Float64Array;
  readonly ramBytes: number;
  bus: Bus;

  /** Word index of the TLB tables for the current privilege; mirrors of W.TLB_READ and W.TLB_WRITE. */
  tr = SUPER_READ;
  tw = SUPER_WRITE;
  readonly pageFlags: Uint8Array;
  private readonly filled = new Int32Array(FILLED_MAX);
  private filledCount = 0;
  /** By page directory entry: 1 = translations of a large page are in the TLB. */
  private readonly large = new Uint8Array(1024);
  /** Counts TLB flushes; translated code and caches may compare it. */
  flushes = 0;

  readonly fault = new CpuFault();
  watcher: MemoryWatcher | undefined;
  /** Called after a store to a page with code: physical address and length. Set by the run loop. */
  onCodeWrite: (physical: number, length: number) => void = () => {};

  /** Decoded records (see decode.ts); handlers get the index of theirs. Owned by the run loop. */
  code = new Int32Array(0);
  /** EIP of the first instruction of the running block: with record field END this gives EIP of every instruction in it. */
  blockEip = 0;
  /** Index of the running record, -1 between blocks; first record and CPL of the running block. With blockEip: how a fault finds its instruction. */
  cur = -1;
  blockFirst = 0;
  blockCpl = 0;
  /** Set by a REP instruction that stopped at its chunk bound: not retired, comes back. */
  unfinished = false;
  /** A REP instruction gives way between two of its elements; who needs a turn may ask the processor to stop. Must not touch the machine. */
  onPart: (() => void) | undefined;
  /** The interrupt line of the machine's interrupt controller. Like all of LINES it stands in the memory, for translated code. */
  get intr(): boolean {
    return this.m32[LINES.INTR >> 2] !== 0;
  }
  set intr(on: boolean) {
    this.m32[LINES.INTR >> 2] = on ? 1 : 0;
  }
  /** A fault was raised after a task switch had gone through: it is the new task's, EIP is not put back. Set by tasks.ts, cleared by deliverException(). */
  inNewTask = false;
  /**
   * Called after each delivery through the IDT. `cause`: 0 fault, 1 int n, 2 external, 3 int3/into, 4 icebp; error code -1 = none; cs, eip, cpl as they were.
   * `plain`: Cpu.delivered holds the rest.
   */
  onTransfer:
    | ((vector: number, cause: number, errorCode: number, cs: number, eip: number, cpl: number, plain: boolean) => void)
    | undefined;
  /** What the latest delivery on the plain road found and pushed: see plain.ts. */
  readonly delivered: Int32Array;
  private onPlainRoad = true;
  /** False: every transfer goes through the general code (see plain.ts). The run is the same. */
  get plainRoad(): boolean {
    return this.onPlainRoad;
  }
  set plainRoad(on: boolean) {
    this.onPlainRoad = on;
    this.noteRoad();
  }
  private noteRoad(): void {
    this.m32[LINES.GENERAL >> 2] = this.onPlainRoad && !this.alignmentChecks && !this.dataBreakpoints ? 0 : 1;
  }
  /** run() shall come back at the next block boundary. */
  get stopRequested(): boolean {
    return this.m32[LINES.STOP >> 2] !== 0;
  }
  set stopRequested(on: boolean) {
    this.m32[LINES.STOP >> 2] = on ? 1 : 0;
  }
  private returnHook: ((esp: number, cpl: number) => void) | undefined;
  /** Called after each IRET within protected mode that popped a frame: where ESP and CPL were before. */
  get onReturn(): ((esp: number, cpl: number) => void) | undefined {
    return this.returnHook;
  }
  set onReturn(hook: ((esp: number, cpl: number) => void) | undefined) {
    this.returnHook = hook;
    this.m32[LINES.ON_RETURN >> 2] = hook === undefined ? 0 : 1;
  }
  /** The time-stamp counter; by default the counted instructions (the run loop knows them exactly). Below 2^53. */
  tsc: () => number = () => this.f64[F.RETIRED];
  /** The current instruction went through the IDT or switched tasks: the single-step trap that stood behind it is off. */
  noStep = false;
  /** DR6 bits of data breakpoints hit by the current instruction (see checkSegment). */
  debugHits = 0;
  /** False: faults push RF as it is. For machines whose software cannot reach the breakpoint registers, where RF has no use. */
  pushesRf = true;
  /** What FERR# is wired to: told when an x87 error freezes the processor, before FpuFrozen is thrown. Undefined: nothing is, and errors are ignored. */
  onFpuError: (() => void) | undefined;
  readonly frozen = new FpuFrozen();
  /** True when CPL 0 is the Host's: its deliveries are never intercepted. */
  get hostRing0(): boolean {
    return this.m32[LINES.HOST_RING0 >> 2] !== 0;
  }
  set hostRing0(on: boolean) {
    this.m32[LINES.HOST_RING0 >> 2] = on ? 1 : 0;
  }
  /** Return addresses on stacks, when somebody wants to know. */
  readonly calls: CallTable;
  /** [vector] = 1: the debugger wants to stop before this vector is delivered. */
  readonly intercept: Uint8Array;
  get passIntercept(): boolean {
    return this.m32[LINES.PASS >> 2] !== 0;
  }
  set passIntercept(on: boolean) {
    this.m32[LINES.PASS >> 2] = on ? 1 : 0;
  }
  /** True when a delivery of `vector` must be reported first. Consumes the pass. */
  intercepts(vector: number): boolean {
    if (this.passIntercept) {
      this.passIntercept = false;
      return false;
    }
    return this.intercept[vector] !== 0 && !(this.hostRing0 && this.m32[W.CPL] === 0);
  }
  private readonly intercepted = new Intercepted();
  /** Called by INT n, INT3 and INTO when their gate lets them through: leaves the instruction when the debugger wants to see the delivery first. */
  beforeSoftwareInterrupt(vector: number): void {
    if (!this.intercepts(vector)) return;
    this.intercepted.vector = vector;
    this.intercepted.software = true;
    throw this.intercepted;
  }

  /** Physical regions beyond RAM: [physical start, length, physical target] for ROM aliases. */
  private aliases: { start: number; length: number; target: number }[] = [];

  constructor(options: CpuOptions) {
    this.ramBytes = options.ramBytes;
    const pages = Math.ceil((RAM_BASE + options.ramBytes) / 65536) + 1;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.m8 = new Uint8Array(buffer);
    this.m16 = new Uint16Array(buffer);
    this.m32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.calls = new CallTable(this.m32);
    this.delivered = new Int32Array(buffer, DELIVERED, 6);
    this.intercept = new Uint8Array(buffer, INTERCEPT, 256);
    this.pageFlags = new Uint8Array(options.ramBytes / PAGE + 1);
    this.bus = options.bus ?? NO_BUS;
  }

  // ---- exceptions -------------------------------------------------------------------------------------------------------------------

  /** Abandons the current instruction with an exception. The instruction must not have changed anything yet. */
  raise(vector: number, errorCode = 0): never {
    this.fault.vector = vector;
    this.fault.errorCode = errorCode;
    throw this.fault;
  }
  gp(errorCode = 0): never {
    return this.raise(EXC.GP, errorCode);
  }
  ud(): never {
    return this.raise(EXC.UD, 0);
  }

  // ---- flags ------------------------------------------------------------------------------------------------------------------------

  /** The whole EFLAGS image. */
  getFlags(): number {
    return this.m32[W.EFLAGS] | statusFlags(this.m32[W.FLAG_RESULT], this.m32[W.FLAG_AUX]);
  }
  /** Replaces the whole EFLAGS image, without privilege rules. VM may change only together with the segments: see loadMode callers. */
  setFlags(flags: number): void {
    this.m32[W.EFLAGS] = (flags & ~FL.STATUS & 0x3f7fd7) | 2;
    this.setStatus(flags);
    if ((flags & FL.AC) !== 0 || this.alignmentChecks) this.updateMode();
  }
  /** Replaces CF PF AF ZF SF OF only. */
  setStatus(flags: number): void {
    this.m32[W.FLAG_RESULT] = resultFor(flags);
    this.m32[W.FLAG_AUX] = auxFor(flags);
  }
  get cf(): number {
    return this.m32[W.FLAG_AUX] >>> 31;
  }

  // ---- mode -------------------------------------------------------------------------------------------------------------------------

  get protectedMode(): boolean {
    return (this.m32[W.CR0] & CR0.PE) !== 0;
  }
  get v86(): boolean {
    return (this.m32[W.EFLAGS] & FL.VM) !== 0;
  }
  /** Protected mode and not V86. */
  get protectedNotV86(): boolean {
    return (this.m32[W.CR0] & CR0.PE) !== 0 && (this.m32[W.EFLAGS] & FL.VM) === 0;
  }
  get iopl(): number {
    return (this.m32[W.EFLAGS] >> 12) & 3;
  }
  /** True while CR0.AM, EFLAGS.AC and CPL 3 ask for alignment checks; then no segment counts as flat, so every access passes checkSegment(). */
  alignmentChecks = false;

  /** True while an enabled breakpoint register watches data; then no segment counts as flat either. */
  dataBreakpoints = false;

  setCpl(cpl: number): void {
    this.m32[W.CPL] = cpl;
    this.updateMode();
  }

  /** Selects the TLB tables of a privilege. */
  selectTlb(user: boolean): void {
    this.tr = user ? USER_READ : SUPER_READ;
    this.tw = user ? USER_WRITE : SUPER_WRITE;
    this.m32[W.TLB_READ] = this.tr << 2;
    this.m32[W.TLB_WRITE] = this.tw << 2;
  }

  /** After translated code, which changes tables by itself: takes over which ones are selected. */
  syncTlb(): void {
    this.tr = this.m32[W.TLB_READ] >> 2;
    this.tw = this.m32[W.TLB_WRITE] >> 2;
  }

  /** Recomputes everything derived from CPL, CR0, EFLAGS.AC and the hidden segment parts. Call after changing any of them. */
  updateMode(): void {
    const m = this.m32;
    const user = m[W.CPL] === 3;
    this.selectTlb(user);
    m[W.CS_BIG] = (m[W.ACCESS + CS] >> 14) & 1;
    m[W.SS_BIG] = (m[W.ACCESS + SS] >> 14) & 1;
    this.alignmentChecks = user && (m[W.CR0] & CR0.AM) !== 0 && (m[W.EFLAGS] & FL.AC) !== 0;
    let flat = 0;
    // Data breakpoints are looked for in checkSegment(), so while one is enabled no segment is flat.
    this.dataBreakpoints = (m[W.DR + 7] & 0xff) !== 0 && (m[W.DR + 7] & 0x33330000) !== 0;
    this.noteRoad();
    if (!this.alignmentChecks && !this.dataBreakpoints) {
      for (let seg = 0; seg < 6; seg++) {
        if (m[W.BASE + seg] !== 0 || m[W.LIMIT + seg] !== -1) continue;
        const type = m[W.ACCESS + seg] & 0x9f;
        // Present data segment, writable, expand-up; or present code segment, readable.
        if ((type & 0x9e) === 0x92 || (seg === CS && (type & 0x9a) === 0x9a)) flat |= 1 << seg;
      }
    }
    m[W.FLAT] = flat;
  }

  // ---- segments of one access -------------------------------------------------------------------------------------------------------

  /** Linear address of a read of `size` bytes at seg:offset; raises #GP or #SS (#AC) as the processor does. */
  linR(seg: number, offset: number, size: number): number {
    return (this.m32[W.FLAT] >> seg) & 1 && (offset | NEAR_TOP) !== -1 ? offset : this.checkSegment(seg, offset, size, false);
  }
  /** The same for a write. */
  linW(seg: number, offset: number, size: number): number {
    return ((this.m32[W.FLAT] & ~(1 << CS)) >> seg) & 1 && (offset | NEAR_TOP) !== -1 ? offset : this.checkSegment(seg, offset, size, true);
  }

  checkSegment(seg: number, offset: number, size: number, write: boolean): number {
    const m = this.m32;
    const access = m[W.ACCESS + seg];
    const vector = seg === SS ? EXC.SS : EXC.GP;
    if ((access & 0x80) === 0) this.raise(vector, 0);
    if (this.protectedNotV86) {
      if (access & 8) {
        // Code: never writable; readable only with bit 1.
        if (write || !(access & 2)) this.raise(vector, 0);
      } else if (write && !(access & 2)) this.raise(vector, 0);
    }
    const first = offset >>> 0;
    const last = first + size - 1;
    const limit = m[W.LIMIT + seg] >>> 0;
    if ((access & 0xc) === 4) {
      const top = access & 0x4000 ? 0xffffffff : 0xffff;
      if (first <= limit || last > top) this.raise(vector, 0);
    } else if (last > limit) this.raise(vector, 0);
    const linear = (m[W.BASE + seg] + offset) | 0;
    if (this.alignmentChecks && (linear & alignmentMask(size)) !== 0) this.raise(EXC.AC, 0);
    if (this.dataBreakpoints) this.matchData(linear, size, write);
    return linear;
  }

  /** Notes the data breakpoints that an access touches. SDM vol. 3 "Debug Registers". */
  matchData(linear: number, size: number, write: boolean): void {
    const m = this.m32;
    const dr7 = m[W.DR + 7];
    for (let n = 0; n < 4; n++) {
      const kind = (dr7 >> (16 + 4 * n)) & 3;
      if (((dr7 >> (2 * n)) & 3) === 0 || (kind !== 3 && !(kind === 1 && write))) continue;
      const length = ((dr7 >> (18 + 4 * n)) & 3) + 1;
      const from = (m[W.DR + n] & ~(length - 1)) >>> 0;
      const at = linear >>> 0;
      if (at < from + length && at + size > from) this.debugHits |= 1 << n;
    }
  }

  /** Index into m8 of what lies at a linear address, if the TLB has it for reading at the current privilege; else -1. Nothing is looked up, and no watch is told. */
  cached(linear: number): number {
    const e = this.m32[this.tr + (linear >>> 12)];
    return (e & 1) !== 0 ? (linear + e + 1) | 0 : -1;
  }

  // ---- linear memory, current privilege ---------------------------------------------------------------------------------------------

  read8(linear: number): number {
    const e = this.m32[this.tr + (linear >>> 12)];
    return (e & 1) !== 0 ? this.m8[(linear + e + 1) | 0] : this.slowRead(linear, 1, this.tr);
  }
  /** uint16 */
  read16(linear: number): number {
    const e = this.m32[this.tr + (linear >>> 12)];
    return (e & ~linear & 1) !== 0 ? this.m16[((linear + e + 1) | 0) >> 1] : this.slowRead(linear, 2, this.tr);
  }
  /** int32 */
  read32(linear: number): number {
    const e = this.m32[this.tr + (linear >>> 12)];
    return (e & ~linear & 3) === 3 ? this.m32[((linear + e + 1) | 0) >> 2] : this.slowRead(linear, 4, this.tr);
  }
  write8(linear: number, value: number): void {
    const e = this.m32[this.tw + (linear >>> 12)];
    if ((e & 1) !== 0) this.m8[(linear + e + 1) | 0] = value;
    else this.slowWrite(linear, value, 1, this.tw);
  }
  write16(linear: number, value: number): void {
    const e = this.m32[this.tw + (linear >>> 12)];
    if ((e & ~linear & 1) !== 0) this.m16[((linear + e + 1) | 0) >> 1] = value;
    else this.slowWrite(linear, value, 2, this.tw);
  }
  write32(linear: number, value: number): void {
    const e = this.m32[this.tw + (linear >>> 12)];
    if ((e & ~linear & 3) === 3) this.m32[((linear + e + 1) | 0) >> 2] = value;
    else this.slowWrite(linear, value, 4, this.tw);
  }

  /** Raises the page fault that a write of `size` bytes would, and fills the TLB, without writing: first half of every read-modify-write. */
  probeWrite(linear: number, size: number): void {
    const e = this.m32[this.tw + (linear >>> 12)];
    if ((e & 1) !== 0 && (linear & 0xfff) + size <= PAGE) return;
    const user = this.tw === USER_WRITE;
    this.translate(linear, true, user);
    if ((linear & 0xfff) + size > PAGE) this.translate((linear + size - 1) & ~0xfff, true, user);
  }

  // ---- linear memory, as supervisor whatever the CPL (descriptor tables, TSS, inner stacks) ------------------------------------------

  sysRead8(linear: number): number {
    return this.slowRead(linear, 1, SUPER_READ);
  }
  sysRead16(linear: number): number {
    const e = this.m32[SUPER_READ + (linear >>> 12)];
    return (e & ~linear & 1) !== 0 ? this.m16[((linear + e + 1) | 0) >> 1] : this.slowRead(linear, 2, SUPER_READ);
  }
  sysRead32(linear: number): number {
    const e = this.m32[SUPER_READ + (linear >>> 12)];
    return (e & ~linear & 3) === 3 ? this.m32[((linear + e + 1) | 0) >> 2] : this.slowRead(linear, 4, SUPER_READ);
  }
  sysWrite8(linear: number, value: number): void {
    this.slowWrite(linear, value, 1, SUPER_WRITE);
  }
  sysWrite16(linear: number, value: number): void {
    this.slowWrite(linear, value, 2, SUPER_WRITE);
  }
  sysWrite32(linear: number, value: number): void {
    const e = this.m32[SUPER_WRITE + (linear >>> 12)];
    if ((e & ~linear & 3) === 3) this.m32[((linear + e + 1) | 0) >> 2] = value;
    else this.slowWrite(linear, value, 4, SUPER_WRITE);
  }
  /** As probeWrite(), as supervisor. */
  sysProbeWrite(linear: number, size: number): void {
    this.translate(linear, true, false);
    if ((linear & 0xfff) + size > PAGE) this.translate((linear + size - 1) & ~0xfff, true, false);
  }

  private slowRead(linear: number, size: number, table: number): number {
    const e = this.m32[table + (linear >>> 12)];
    const offset = linear & 0xfff;
    if ((e & 1) !== 0 && offset + size <= PAGE) {
      const a = (linear + e + 1) | 0;
      return size === 1 ? this.m8[a] : size === 2 ? this.m8[a] | (this.m8[a + 1] << 8) : this.load32(a);
    }
    // A gap is the program's: what the processor reads for itself may lie where the program may not.
    if (table !== this.tr) this.wantGap = false;
    const user = table === USER_READ;
    const physical = this.translate(linear, false, user);
    if (offset + size <= PAGE) return this.physRead(physical, size, linear);
    // Crosses into the next page: both must be there before anything is read.
    const head = PAGE - offset;
    const tail = this.translate((linear + head) | 0, false, user);
    let value = 0;
    for (let i = 0; i < size; i++) {
      value |= (i < head ? this.physRead(physical + i, 1, linear + i) : this.physRead(tail + i - head, 1, linear + i)) << (8 * i);
    }
    return value;
  }

  private slowWrite(linear: number, value: number, size: number, table: number): void {
    const e = this.m32[table + (linear >>> 12)];
    const offset = linear & 0xfff;
    if ((e & 1) !== 0 && offset + size <= PAGE) {
      const a = (linear + e + 1) | 0;
      this.m8[a] = value;
      if (size > 1) this.m8[a + 1] = value >> 8;
      if (size > 2) {
        this.m8[a + 2] = value >> 16;
        this.m8[a + 3] = value >> 24;
      }
      return;
    }
    if (table !== this.tw) this.wantGap = false;
    const user = table === USER_WRITE;
    const physical = this.translate(linear, true, user);
    if (offset + size <= PAGE) {
      this.physWrite(physical, value, size, linear);
      return;
    }
    const head = PAGE - offset;
    const tail = this.translate((linear + head) | 0, true, user);
    for (let i = 0; i < size; i++) {
      if (i < head) this.physWrite(physical + i, (value >> (8 * i)) & 0xff, 1, linear + i);
      else this.physWrite(tail + i - head, (value >> (8 * i)) & 0xff, 1, linear + i);
    }
  }

  private load32(a: number): number {
    return this.m8[a] | (this.m8[a + 1] << 8) | (this.m8[a + 2] << 16) | (this.m8[a + 3] << 24);
  }

  // ---- physical memory --------------------------------------------------------------------------------------------------------------

  /** Makes [start, start + length) read what lies at `target` (a ROM image seen below 4 GB). */
  addAlias(start: number, length: number, target: number): void {
    this.aliases.push({ start, length, target });
  }
  /** Index into m8 of a physical address, or -1 where there is no memory. */
  physicalOffset(physical: number): number {
    const p = physical >>> 0;
    if (p < this.ramBytes) return RAM_BASE + p;
    for (const a of this.aliases) if (p >= a.start && p - a.start < a.length) return RAM_BASE + a.target + (p - a.start);
    return -1;
  }
  /** Physical read with watches; all ones where there is no memory. 8 and 16 bits unsigned, 32 bits signed. `physical + size` stays in one page. */
  physRead(physical: number, size: number, linear = -1): number {
    const a = this.physicalOffset(physical);
    if (a < 0) return size === 1 ? 0xff : size === 2 ? 0xffff : -1;
    if (this.pageFlags[(a - RAM_BASE) >>> 12] & PageFlag.WATCH_READ) {
      this.watcher?.read(a - RAM_BASE, linear, size);
      if (this.wantGap) this.noteGap(linear, a, size, false);
    }
    return size === 1 ? this.m8[a] : size === 2 ? this.m8[a] | (this.m8[a + 1] << 8) : this.load32(a);
  }
  /** Physical write with watches and code invalidation; dropped where there is no memory or only ROM. */
  physWrite(physical: number, value: number, size: number, linear = -1): void {
    const a = this.physicalOffset(physical);
    if (a < 0) return;
    const flags = this.pageFlags[(a - RAM_BASE) >>> 12];
    if (flags !== 0) {
      if (flags & PageFlag.ROM) return;
      if (flags & PageFlag.WATCH_WRITE) {
        this.watcher?.write(a - RAM_BASE, linear, size, value);
        if (this.wantGap) this.noteGap(linear, a, size, true);
      }
    }
    this.m8[a] = value;
    if (size > 1) this.m8[a + 1] = value >> 8;
    if (size > 2) {
      this.m8[a + 2] = value >> 16;
      this.m8[a + 3] = value >> 24;
    }
    if (flags & PageFlag.CODE) this.onCodeWrite(a - RAM_BASE, size);
  }

  // ---- paging -----------------------------------------------------------------------------------------------------------------------

  /** Linear to physical for one access, by the TLB or else by the tables: then it sets accessed and dirty bits and fills the TLB. Raises #PF with CR2 and the error code (P W U RSVD). */
  translate(linear: number, write: boolean, user: boolean): number {
    const physical = this.tryTranslate(linear, write, user);
    if (physical < 0) throw this.fault;
    return physical;
  }

  /**
   * The same without raising: -1 after a page fault, which `fault` and CR2 then hold.
   * Source: 386 PRM §5.2, §9.8; SDM vol. 3 "Paging".
   */
  tryTranslate(linear: number, write: boolean, user: boolean): number {
    const m = this.m32;
    const cr0 = m[W.CR0];
    // What the TLB has holds, whatever the tables say by now: accesses across two pages and probes come by here although it has it.
    const e = m[(user ? (write ? USER_WRITE : USER_READ) : write ? SUPER_WRITE : SUPER_READ) + (linear >>> 12)];
    if ((e & 1) !== 0) return (((linear + e + 1) | 0) - RAM_BASE) >>> 0;
    if (this.kept.size !== 0) {
      const page = this.kept.get(keptKey(linear >>> 12, write, user));
      if (page !== undefined) return (page | (linear & 0xfff)) >>> 0;
    }
    let physical: number;
    let writable = true;
    if ((cr0 & CR0.PG) === 0) physical = linear >>> 0;
    else {
      const pdeAt = (m[W.CR3] & ~0xfff) + ((linear >>> 22) << 2);
      const pde = this.physRead(pdeAt, 4);
      if ((pde & 1) === 0) return this.pageFault(linear, 0, write, user);
      const large = pde & 0x80 && m[W.CR4] & CR4.PSE;
      // With neither PAT nor PSE-36 announced, bits 12 to 21 of a large page's entry are reserved.
      if (large && pde & 0x3ff000) return this.pageFault(linear, 1 | RESERVED, write, user);
      if (large) {
        if (user && (pde & 4) === 0) return this.pageFault(linear, 1, write, user);
        writable = (pde & 2) !== 0 || (!user && (cr0 & CR0.WP) === 0);
        if (write && !writable) return this.pageFault(linear, 1, write, user);
        const updated = pde | 0x20 | (write ? 0x40 : 0);
        if (updated !== pde) this.physWrite(pdeAt, updated, 4);
        physical = ((pde & 0xffc00000) | (linear & 0x3fffff)) >>> 0;
        this.large[linear >>> 22] = 1;
      } else {
        const pteAt = (pde & ~0xfff) + ((linear >>> 10) & 0xffc);
        const pte = this.physRead(pteAt, 4);
        if ((pte & 1) === 0) return this.pageFault(linear, 0, write, user);
        // So is bit 7 here, where PAT would be; without CR4.PSE no bit is.
        if (pte & 0x80 && m[W.CR4] & CR4.PSE) return this.pageFault(linear, 1 | RESERVED, write, user);
        const both = pde & pte;
        if (user && (both & 4) === 0) return this.pageFault(linear, 1, write, user);
        writable = (both & 2) !== 0 || (!user && (cr0 & CR0.WP) === 0);
        if (write && !writable) return this.pageFault(linear, 1, write, user);
        if ((pde & 0x20) === 0) this.physWrite(pdeAt, pde | 0x20, 4);
        const updated = pte | 0x20 | (write ? 0x40 : 0);
        if (updated !== pte) this.physWrite(pteAt, updated, 4);
        physical = ((pte & 0xfffff000) | (linear & 0xfff)) >>> 0;
      }
    }
    this.fill(linear, physical, write, user);
    return physical;
  }

  /** @param bits P and RSVD of the error code. */
  private pageFault(linear: number, bits: number, write: boolean, user: boolean): -1 {
    this.m32[W.CR2] = linear;
    this.fault.vector = EXC.PF;
    this.fault.errorCode = bits | (write ? 2 : 0) | (user ? 4 : 0);
    return -1;
  }

  private fill(linear: number, physical: number, write: boolean, user: boolean): void {
    const a = this.physicalOffset(physical & ~0xfff);
    if (a < 0) return;
    const flags = this.pageFlags[(a - RAM_BASE) >>> 12];
    const page = linear >>> 12;
    const m = this.m32;
    const entry = (a - (linear & ~0xfff) - 1) | 0;
    if (!this.isFilled(page)) {
      if (this.filledCount === FILLED_MAX) this.flushTlb();
      this.filled[this.filledCount++] = page;
    }
    if (!(flags & PageFlag.WATCH_READ)) m[(user ? USER_READ : SUPER_READ) + page] = entry;
    else this.keep(page, false, user, physical);
    if (!write) return;
    if (flags === 0) m[(user ? USER_WRITE : SUPER_WRITE) + page] = entry;
    else this.keep(page, true, user, physical);
  }
  /** True when a page has a fast entry. */
  private isFilled(page: number): boolean {
    const m = this.m32;
    if (m[SUPER_READ + page] !== TLB_INVALID || m[SUPER_WRITE + page] !== TLB_INVALID) return true;
    return m[USER_READ + page] !== TLB_INVALID || m[USER_WRITE + page] !== TLB_INVALID;
  }

  /**
   * TLB entries that must not be fast, because somebody wants to see the accesses: by keptKey() the physical page. Neither watches nor decoded code, which is not the
   * same with and without translation, may change what the Guest sees, and that goes for translations that its page tables no longer have, too.
   */
  private readonly kept = new Map<number, number>();
  /** Physical pages that have or had such entries. */
  private readonly keptPages = new Set<number>();
  private keep(page: number, write: boolean, user: boolean, physical: number): void {
    this.kept.set(keptKey(page, write, user), physical & ~0xfff);
    this.keptPages.add(physical >>> 12);
  }
  /** Entries of a physical page whose flags allow it now become fast. */
  private settleKept(physicalPage: number): void {
    if (!this.keptPages.has(physicalPage)) return;
    const m = this.m32;
    const flags = this.pageFlags[physicalPage];
    for (const [key, physical] of this.kept) {
      const write = (key & 2) !== 0;
      if (physical >>> 12 !== physicalPage || (write ? flags : flags & PageFlag.WATCH_READ) !== 0) continue;
      const page = key >>> 2;
      if (!this.isFilled(page)) {
        if (this.filledCount === FILLED_MAX) return;
        this.filled[this.filledCount++] = page;
      }
      this.kept.delete(key);
      m[(key & 1 ? (write ? USER_WRITE : USER_READ) : write ? SUPER_WRITE : SUPER_READ) + page] =
        (RAM_BASE + physical - page * PAGE - 1) | 0;
    }
  }

  // ---- between watched bytes ----------------------------------------------------------------------------------------------------------

  /** Where GAPS was filled: first and end word of each stretch. */
  private readonly gapRuns: number[] = [];
  /** Translated code has just left for an access: if that is to a watched page, its gap is noted, so that next time it need not. */
  wantGap = false;
  /** Whether nobody watches this access, although its page is watched. If so, translated code may go on in the same gap by itself. @param a index into the memory. */
  inGap(linear: number, a: number, size: number, write: boolean): boolean {
    const physical = a - RAM_BASE;
    const others = write ? PageFlag.CODE | PageFlag.ROM : 0;
    if ((this.pageFlags[physical >>> 12] & others) !== 0) return false;
    const gap = this.watcher?.gap?.(physical, write) ?? 0;
    const from = gap & 0xffff;
    const end = gap >>> 16;
    const offset = linear & 0xfff;
    if (offset < from || offset + size > end) return false;
    const m = this.m32;
    const first = from & ~(GAPS.LINE - 1);
    const table = (GAPS.START + (write ? GAPS.WRITE : 0) + (m[W.CPL] === 3 ? GAPS.USER : 0)) >> 2;
    const at = table + ((linear & ~0xfff & GAPS.MASK) >> 2);
    const start = (linear & ~0xfff) | from;
    const length = Math.max(0, end - from - 3);
    const delta = (a - linear - 1) | 0;
    for (let line = first; line < end; line += GAPS.LINE) {
      const i = at + (line >> 2);
      // Lines at its ends may have other gaps too: there the one counts that was used last.
      const shared = line < from || line + GAPS.LINE > end;
      if (shared && m[i + 1] !== 0 && line !== (offset & ~(GAPS.LINE - 1))) continue;
      m[i] = start;
      m[i + 1] = length;
      m[i + 2] = delta;
    }
    if (this.gapRuns.length <= MOST_GAP_RUNS) this.gapRuns.push(at + (first >> 2), at + ((end + GAPS.LINE - 1) >> 2));
    return true;
  }
  private noteGap(linear: number, a: number, size: number, write: boolean): void {
    if (linear === -1) return;
    this.wantGap = false;
    this.inGap(linear, a, size, write);
  }
  private forgetGaps(): void {
    const { gapRuns } = this;
    if (gapRuns.length === 0) return;
    if (gapRuns.length > MOST_GAP_RUNS) this.m32.fill(0, GAPS.START >> 2, GAPS.END >> 2);
    else for (let i = 0; i < gapRuns.length; i += 2) this.m32.fill(0, gapRuns[i], gapRuns[i + 1]);
    gapRuns.length = 0;
  }

  /** The page directory that the TLB belongs to while CR3 already holds another one, -1 = the TLB is CR3's. */
  parked = -1;
  /**
   * Keeps the TLB for the page directory in CR3, which is about to be replaced: for a Host that runs no code until it comes back to the same directory and says what it
   * changed there (tableChanged). The run loop forgets a parked TLB before it runs anything.
   */
  parkTlb(): void {
    this.parked = this.m32[W.CR3];
  }
  /** CR3 was loaded: what was parked for this directory counts again, everything else is forgotten. */
  unparkTlb(): void {
    if (this.parked !== this.m32[W.CR3]) this.flushTlb();
    this.parked = -1;
  }
  /** The entry for `linear` below a page directory was changed from outside. */
  tableChanged(directory: number, linear: number): void {
    if (this.parked === directory) this.flushPage(linear);
  }
  /** Any number of entries were. */
  tablesChanged(directory = this.parked): void {
    if (this.parked !== -1 && this.parked === directory) this.flushTlb();
  }

  /** Forgets every translation. */
  flushTlb(): void {
    const m = this.m32;
    this.parked = -1;
    this.forgetGaps();
    for (let i = 0; i < this.filledCount; i++) {
      const page = this.filled[i];
      m[SUPER_READ + page] = TLB_INVALID;
      m[SUPER_WRITE + page] = TLB_INVALID;
      m[USER_READ + page] = TLB_INVALID;
      m[USER_WRITE + page] = TLB_INVALID;
    }
    this.filledCount = 0;
    if (this.kept.size !== 0) this.kept.clear();
    if (this.keptPages.size !== 0) this.keptPages.clear();
    this.large.fill(0);
    this.flushes++;
  }
  /** Forgets the translation of one page (INVLPG); of 4 MB when a large page was filled in there, as many small ones. */
  flushPage(linear: number): void {
    this.forgetGaps();
    const directory = linear >>> 22;
    const isLarge = this.large[directory] !== 0;
    const first = isLarge ? directory << 10 : linear >>> 12;
    const end = first + (isLarge ? 1024 : 1);
    for (const table of ALL_TABLES) this.m32.fill(TLB_INVALID, table + first, table + end);
    for (const key of this.kept.keys()) if (key >>> 2 >= first && key >>> 2 < end) this.kept.delete(key);
    this.large[directory] = 0;
    this.flushes++;
  }
  /** Sets bits of a physical page's flags and takes its fast TLB entries away. */
  setPageFlag(physicalPage: number, flag: PageFlag): void {
    if (this.pageFlags[physicalPage] & flag) return;
    this.forgetGaps();
    this.pageFlags[physicalPage] |= flag;
    const m = this.m32;
    for (let i = 0; i < this.filledCount; i++) {
      const page = this.filled[i];
      const entry = (RAM_BASE + physicalPage * PAGE - page * PAGE - 1) | 0;
      for (const table of flag === PageFlag.WATCH_READ ? ALL_TABLES : WRITE_TABLES) {
        if (m[table + page] !== entry) continue;
        m[table + page] = TLB_INVALID;
        this.keep(page, table === SUPER_WRITE || table === USER_WRITE, table >= USER_READ, physicalPage * PAGE);
      }
    }
  }
  clearPageFlag(physicalPage: number, flag: PageFlag): void {
    this.forgetGaps();
    this.pageFlags[physicalPage] &= ~flag;
    this.settleKept(physicalPage);
  }
  /** Linear to physical without side effects (no accessed bits, no TLB, no fault); -1 when not mapped. Ignores protection. */
  peekTranslate(linear: number): number {
    const m = this.m32;
    if ((m[W.CR0] & CR0.PG) === 0) return linear >>> 0;
    const peek = (physical: number): number => {
      const a = this.physicalOffset(physical);
      return a < 0 ? 0 : this.load32(a);
    };
    const pde = peek((m[W.CR3] & ~0xfff) + ((linear >>> 22) << 2));
    if ((pde & 1) === 0) return -1;
    if (pde & 0x80 && m[W.CR4] & CR4.PSE) return ((pde & 0xffc00000) | (linear & 0x3fffff)) >>> 0;
    const pte = peek((pde & ~0xfff) + ((linear >>> 10) & 0xffc));
    return pte & 1 ? ((pte & 0xfffff000) | (linear & 0xfff)) >>> 0 : -1;
  }

  // ---- stack ------------------------------------------------------------------------------------------------------------------------

  /** Offset of `delta` bytes from the stack pointer, wrapped to SP in a 16-bit stack. */
  stackOffset(delta: number): number {
    const esp = (this.m32[4] + delta) | 0;
    return this.m32[W.SS_BIG] ? esp : esp & 0xffff;
  }
  /** Moves ESP (or SP) by `delta` bytes. */
  moveStack(delta: number): void {
    const esp = this.m32[4];
    this.m32[4] = this.m32[W.SS_BIG] ? (esp + delta) | 0 : (esp & ~0xffff) | ((esp + delta) & 0xffff);
  }
  /** Index into the memory of what an access that has just been made at `linear` went to, -1 when there is no memory. Changes nothing. */
  placeOf(linear: number, write: boolean): number {
    const e = this.m32[(write ? this.tw : this.tr) + (linear >>> 12)];
    if ((e & 1) !== 0) return (linear + e + 1) | 0;
    const page = this.kept.get(keptKey(linear >>> 12, write, this.tw === USER_WRITE));
    const physical = page === undefined ? this.peekTranslate(linear) : page | (linear & 0xfff);
    return physical === -1 ? -1 : this.physicalOffset(physical);
  }
  /** A CALL has pushed `back`, its lowest byte at `linear`; a RET has popped what lay there. */
  noteCall(linear: number, back: number, kind = 0): void {
    this.calls.push(this.placeOf(linear, true), back, kind);
  }
  /** The same for a CALL that pushed two bytes, or a far one. */
  noteOtherCall(linear: number, ip: number, wide: boolean, far: boolean): void {
    const kind = (wide ? 0 : CALL_KIND.NARROW) | (far ? CALL_KIND.FAR : 0);
    this.noteCall(linear, wide ? ip : (this.m32[W.SELECTOR + CS] << 16) | (ip & 0xffff), kind);
  }
  noteReturn(linear: number): void {
    this.calls.pop(this.placeOf(linear, false));
  }
  push32(value: number): void {
    const offset = this.stackOffset(-4);
    this.write32(this.linW(SS, offset, 4), value);
    this.moveStack(-4);
  }
  push16(value: number): void {
    const offset = this.stackOffset(-2);
    this.write16(this.linW(SS, offset, 2), value);
    this.moveStack(-2);
  }
  /** Reads the top of the stack and moves the pointer after the read succeeded. */
  pop32(): number {
    const value = this.read32(this.linR(SS, this.stackOffset(0), 4));
    this.moveStack(4);
    return value;
  }
  pop16(): number {
    const value = this.read16(this.linR(SS, this.stackOffset(0), 2));
    this.moveStack(2);
    return value;
  }

  // ---- registers by width -----------------------------------------------------------------------------------------------------------

  /** Byte register 0-7: al cl dl bl ah ch dh bh. */
  getReg8(n: number): number {
    return this.m8[n < 4 ? n << 2 : ((n & 3) << 2) | 1];
  }
  setReg8(n: number, value: number): void {
    this.m8[n < 4 ? n << 2 : ((n & 3) << 2) | 1] = value;
  }
  getReg16(n: number): number {
    return this.m16[n << 1];
  }
  setReg16(n: number, value: number): void {
    this.m16[n << 1] = value;
  }
}
