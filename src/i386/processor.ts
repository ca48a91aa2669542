// The run loop: finds blocks, runs them, delivers faults, honours budgets, breakpoints, traps for the debugger and the single-step flag.
//
// It is the one place where an instruction's life begins and ends: what retired is counted here, faults are turned into deliveries here, and every reason to
// stop is an Exit. What it leaves out: what instructions do (interpreter/) and how deliveries work (interrupts.ts). Source: SDM vol. 3 "Debug", "Interrupts".

import { BlockCache, SCRATCH_RECORD } from './blocks';
import { Cpu, CpuFault, type CpuOptions, FpuFrozen, Intercepted, WatchStop } from './cpu';
import { decode, M, NEED_MORE, R, RECORD } from './decode';
import { HANDLERS } from './interpreter';
import { deliver, deliverException } from './interrupts';
import { Jit, jitAvailable, STALE, URGENT_RUNS } from './jit/jit';
import { entryOf, Q, type QuickRun, quickRun } from './quick/quick';
import { BLOCK, CODE, CS, EXC, F, FL, FOUND, FOUND_MASK, PAGE, RAM_BASE, Shadow, TLB_INVALID, W } from './state';

/** Why run() or step() returned. EIP is at the next instruction to run unless said otherwise. */
export type Exit =
  /** The counted instructions are used up (after step(): the instruction is done). */
  | { kind: 'budget' }
  /** HLT ran at CPL 0; EIP is after it. Or an x87 error froze the processor before the instruction at EIP (see x87/unit.ts): an interrupt ends both. */
  | { kind: 'halt' }
  /** Triple fault. */
  | { kind: 'shutdown' }
  /** The instruction at EIP has a breakpoint and has not run. */
  | { kind: 'breakpoint'; address: number }
  /** The instruction at EIP is about to deliver `vector`; nothing has changed yet. */
  | { kind: 'intercept'; vector: number; errorCode: number; software: boolean }
  /** An external interrupt is wanted (Cpu.intr) and would be accepted now. */
  | { kind: 'interrupt-window' }
  /** requestStop() was called, at an instruction boundary. */
  | { kind: 'stop' };

export interface ProcessorOptions extends CpuOptions {
  /** false: instructions at CPL 0 are the Host's and do not use up budgets. */
  countRing0: boolean;
  /** Translate hot code to WebAssembly (default true where the engine allows it). */
  jit?: boolean;
  /** false: every instruction that is not translated is done by its handler, as where the engine refuses to compile WebAssembly. */
  quick?: boolean;
  /** Times a block is interpreted before it is translated; 0 = at once. */
  jitThreshold?: number;
}

/** Exists in tests built with `node esbuild.mjs --forced`: everything is translated before its first execution. */
declare const TRANSLATE_AT_ONCE: true;
/** Times a block is interpreted before it is translated. */
const DEFAULT_THRESHOLD = typeof TRANSLATE_AT_ONCE === 'undefined' ? 2000 : 0;

/** What there is to say about `jitRefused`. */
export const JIT_REFUSED = 'this engine refuses to compile WebAssembly; everything is interpreted, which is slower';

/** FLAT when ES, CS, SS and DS are flat. */
const FLAT_ALL = 0b001111;
const BUDGET: Exit = { kind: 'budget' };

export class Processor {
  readonly cpu: Cpu;
  readonly blocks: BlockCache;
  private readonly countRing0: boolean;
  private readonly breaks = new Map<number, number>();
  /** Asked before a breakpoint stops; false = run on. */
  onBreakpoint: ((linear: number) => boolean) | undefined;
  /** A breakpoint at this linear address was already reported for the present position. */
  private passBreak = -1;
  private readonly bytes = new Uint8Array(16);
  /** The block that the interpreter runs or ran last. */
  private running = 0;
  /** The block at EIP is to be interpreted even when there is a translation of it. */
  private interpretNext = false;
  /** True when translation was asked for and the engine refuses to compile WebAssembly: whoever owns the machine says so once (JIT_REFUSED). */
  readonly jitRefused: boolean;
  /** The translator; undefined: everything is interpreted. */
  readonly jit: Jit | undefined;
  /** Whether the quick interpreter may run; not where the engine refuses to compile WebAssembly: handlers do everything. */
  private readonly mayBeQuick: boolean;
  /** The quick interpreter, from the first run on: a machine that is only looked at or stepped needs none. */
  private quick: QuickRun | undefined;

  constructor(options: ProcessorOptions) {
    this.countRing0 = options.countRing0;
    this.cpu = new Cpu(options);
    this.blocks = new BlockCache(this.cpu);
    this.cpu.hostRing0 = !options.countRing0;
    this.cpu.tsc = () => this.now() + this.inBlock();
    const available = jitAvailable();
    this.jitRefused = options.jit !== false && !available;
    if (options.jit !== false && available) this.jit = new Jit(this.cpu, this.blocks, options.jitThreshold ?? DEFAULT_THRESHOLD);
    this.mayBeQuick = available && options.quick !== false;
    HANDLERS[6] = stale;
    HANDLERS[7] = stale;
  }

  /** Counted instructions retired since the start. */
  get retired(): number {
    return this.cpu.f64[F.RETIRED];
  }
  set retired(value: number) {
    this.cpu.f64[F.RETIRED] = value;
  }
  /** Instructions retired at CPL 0 while those are not counted. */
  get retiredHost(): number {
    return this.cpu.f64[F.RETIRED_HOST];
  }

  /** Makes run() return {kind: 'stop'} at the next block boundary. */
  requestStop(): void {
    this.cpu.stopRequested = true;
  }

  // ---- breakpoints ------------------------------------------------------------------------------------------------------------------

  /** True for linear addresses of ring-0 code that `shortCut` may jump over. */
  isHidden: (linear: number) => boolean = () => false;
  /** Breakpoints at such addresses. */
  hiddenBreakpoints = 0;
  /** Asked when uncounted ring-0 code is about to run at EIP: true when all of it up to and with its HLT has been done. */
  shortCut: ((eip: number) => boolean) | undefined;

  /** Stops before the instruction at a linear address. Counted: as many removals are needed. */
  addBreakpoint(linear: number): void {
    const at = linear >>> 0;
    const n = this.breaks.get(at) ?? 0;
    this.breaks.set(at, n + 1);
    if (n === 0 && this.isHidden(at)) this.hiddenBreakpoints++;
    if (n === 0 && this.blocks.splits[at & 0xfff]++ === 0) this.blocks.dropAtOffset(at & 0xfff);
  }
  hasBreakpoint(linear: number): boolean {
    return this.breaks.has(linear >>> 0);
  }
  removeBreakpoint(linear: number): void {
    const at = linear >>> 0;
    const n = this.breaks.get(at) ?? 0;
    if (n > 1) this.breaks.set(at, n - 1);
    else if (n === 1) {
      this.breaks.delete(at);
      if (this.isHidden(at)) this.hiddenBreakpoints--;
      if (--this.blocks.splits[at & 0xfff] === 0) this.blocks.dropAtOffset(at & 0xfff);
    }
  }

  /** Whether CALL and RET are noted in `cpu.calls`. The run is the same; between runs only. */
  recordCalls(on: boolean): void {
    const { calls } = this.cpu;
    if (calls.on === on) return;
    calls.on = on;
    calls.clear();
    // Translations and the quick interpreter know only one of the two.
    this.blocks.clear();
    this.quick = undefined;
  }

  /** Lets the delivery that was last intercepted go through. */
  passIntercept(): void {
    this.cpu.passIntercept = true;
  }

  /** Back to power-on as far as run control goes: no decoded code, no translations, nothing pending. Registers and memory are the caller's. */
  reset(): void {
    const c = this.cpu;
    this.blocks.clear();
    this.blocks.executed.forget();
    this.cpu.calls.clear();
    c.flushTlb();
    c.m32[W.SHADOW] = 0;
    c.m32[W.HALTED] = 0;
    c.m32.fill(0, W.DR, W.DR + 8);
    c.m32[W.DR + 6] = 0xffff0ff0 | 0;
    c.m32[W.DR + 7] = 0x400;
    c.debugHits = 0;
    c.passIntercept = false;
    c.unfinished = false;
    this.cpu.stopRequested = false;
    this.passBreak = -1;
  }

  /** Delivers an external interrupt between two instructions. @returns false when that ended in a shutdown. */
  interrupt(vector: number): boolean {
    const c = this.cpu;
    if (c.parked !== -1) c.flushTlb();
    c.m32[W.HALTED] = 0;
    c.m32[W.SHADOW] = 0;
    this.passBreak = -1;
    c.debugHits = 0;
    try {
      deliver(c, vector, 2, -1);
    } catch (thrown) {
      if (!(thrown instanceof CpuFault)) throw thrown;
      return this.deliverFault(thrown.vector, thrown.errorCode) === undefined;
    }
    this.keepHits();
    return true;
  }

  /**
   * Raises an exception between two instructions, as if the next one had. Interception holds for it as for any other.
   * @param errorCode pushed if not negative. @returns undefined when it was delivered.
   */
  raise(vector: number, errorCode: number): Exit | undefined {
    const c = this.cpu;
    if (c.parked !== -1) c.flushTlb();
    if (c.intercepts(vector)) return { kind: 'intercept', vector, errorCode, software: false };
    c.m32[W.SHADOW] = 0;
    this.passBreak = -1;
    return this.deliverFault(vector, errorCode);
  }

  /** Runs one instruction, in whatever ring. Breakpoints do not stop it. */
  step(): Exit {
    const c = this.cpu;
    const before = c.f64[F.RETIRED];
    c.m32[W.LEFT] = 1;
    this.passBreak = (c.m32[W.BASE + CS] + c.m32[W.EIP]) | 0;
    const exit = this.guarded(true);
    if (c.m32[W.LEFT] <= 0) c.f64[F.RETIRED] = before + 1;
    this.passBreak = -1;
    return exit;
  }

  /** Runs until `budget` counted instructions have retired or something stops it. */
  run(budget: number): Exit {
    const c = this.cpu;
    const limit = Math.min(budget, 0x7fffffff);
    c.m32[W.LEFT] = limit;
    this.limit = limit;
    this.runStart = c.f64[F.RETIRED];
    const exit = this.guarded(false);
    c.f64[F.RETIRED] = this.runStart + (limit - c.m32[W.LEFT]);
    this.limit = 0;
    return exit;
  }
  private limit = 0;
  private runStart = 0;

  /** Counted instructions retired, also in the middle of run(). */
  now(): number {
    return this.limit === 0 ? this.cpu.f64[F.RETIRED] : this.runStart + (this.limit - this.cpu.m32[W.LEFT] - (this.jit?.held ?? 0));
  }

  /** Instructions of the running block that have retired but are not in now() yet. */
  private inBlock(): number {
    const c = this.cpu;
    return c.cur >= 0 && (this.countRing0 || c.blockCpl !== 0) ? (c.cur - c.blockFirst) / RECORD : 0;
  }

  private guarded(single: boolean): Exit {
    const c = this.cpu;
    if (!single && this.mayBeQuick) this.quick ??= quickRun(c);
    if (c.parked !== -1) c.flushTlb();
    for (;;) {
      try {
        return this.loop(single);
      } catch (thrown) {
        const exit = this.recover(thrown);
        if (exit !== undefined) return exit;
        if (single) return BUDGET;
        if (c.m32[W.LEFT] <= 0 && (this.countRing0 || c.m32[W.CPL] !== 0)) return BUDGET;
      }
    }
  }

  /** Counts what retired before a fault, puts EIP back and delivers. */
  private recover(thrown: unknown): Exit | undefined {
    const c = this.cpu;
    const m = c.m32;
    if (c.cur >= 0) {
      const done = (c.cur - c.blockFirst) / RECORD;
      this.count(done, c.blockCpl);
      // A stale record was not begun.
      const begun = thrown === STALE ? done : done + 1;
      if (c.blockFirst !== SCRATCH_RECORD && begun > this.blocks.begun(this.running)) this.blocks.note(this.running, begun);
      if (!c.inNewTask) m[W.EIP] = (c.blockEip + c.code[c.cur + R.END] - (c.code[c.cur + R.META] & M.LENGTH)) | 0;
      c.cur = -1;
    }
    if (thrown === STALE) return undefined;
    if (thrown instanceof WatchStop) return { kind: 'stop' };
    if (thrown instanceof FpuFrozen) {
      m[W.HALTED] = 1;
      return undefined;
    }
    if (thrown instanceof Intercepted)
      return { kind: 'intercept', vector: thrown.vector, errorCode: thrown.errorCode, software: thrown.software };
    if (!(thrown instanceof CpuFault)) throw thrown;
    const { vector, errorCode } = thrown;
    if (c.intercepts(vector)) {
      // The task switch is done: nothing would raise this again.
      if (c.inNewTask) m[W.SHADOW] = Shadow.PENDING | (vector << Shadow.SHIFT) | (errorCode << Shadow.ERROR_SHIFT);
      return { kind: 'intercept', vector, errorCode, software: false };
    }
    m[W.SHADOW] = 0;
    return this.deliverFault(vector, errorCode);
  }
  private deliverFault(vector: number, errorCode: number): Exit | undefined {
    const c = this.cpu;
    if (!deliverException(c, vector, errorCode)) return { kind: 'shutdown' };
    this.keepHits();
    return undefined;
  }
  /** Data breakpoints that the pushes of a delivery hit are reported before its handler's first instruction. */
  private keepHits(): void {
    const c = this.cpu;
    if (c.debugHits === 0) return;
    this.waitForDebug(c.debugHits);
    c.debugHits = 0;
  }

  private count(n: number, cpl: number): void {
    const c = this.cpu;
    if (this.countRing0 || cpl !== 0) c.m32[W.LEFT] -= n;
    else c.f64[F.RETIRED_HOST] += n;
  }

  private loop(single: boolean): Exit {
    const c = this.cpu;
    const m = c.m32;
    const { blocks, jit } = this;
    c.cur = -1;
    for (;;) {
      if (c.stopRequested) {
        c.stopRequested = false;
        return { kind: 'stop' };
      }
      if (m[W.HALTED] !== 0) {
        if (c.intr && m[W.EFLAGS] & FL.IF) return { kind: 'interrupt-window' };
        m[W.HALTED] = 0;
        return { kind: 'halt' };
      }
      const cpl = m[W.CPL];
      const counted = this.countRing0 || cpl !== 0;
      if (counted && m[W.LEFT] <= 0) return BUDGET;
      if (c.intr && m[W.SHADOW] === 0 && m[W.EFLAGS] & FL.IF) return { kind: 'interrupt-window' };
      const eip = m[W.EIP];
      const linear = (m[W.BASE + CS] + eip) | 0;
      if (this.breaks.size !== 0 && this.breaks.has(linear >>> 0) && this.passBreak !== linear) {
        if (this.onBreakpoint === undefined || this.onBreakpoint(linear >>> 0)) {
          this.passBreak = linear;
          return { kind: 'breakpoint', address: linear >>> 0 };
        }
      }
      this.passBreak = -1;
      if (!counted && !single && this.shortCut?.(eip)) return { kind: 'halt' };
      if (single || (m[W.EFLAGS] & (FL.TF | FL.RF)) | m[W.SHADOW] | (m[W.DR + 7] & 0xff)) {
        if (single || (m[W.EFLAGS] & FL.TF) | m[W.SHADOW] | (m[W.DR + 7] & 0xff)) {
          this.stepSlowly(eip, linear, cpl);
          if (single) return BUDGET;
          continue;
        }
        // RF holds for one instruction, and without breakpoint registers it has nothing to say.
        m[W.EFLAGS] &= ~FL.RF;
      }
      const e = m[c.tr + (linear >>> 12)];
      let a: number;
      if ((e & 1) !== 0) a = (linear + e + 1) | 0;
      else {
        const physical = c.translate(linear, false, cpl === 3);
        a = c.physicalOffset(physical);
        if (a < 0) {
          this.stepSlowly(eip, linear, cpl);
          continue;
        }
      }
      const page = blocks.pages[(a - RAM_BASE) >>> 12];
      let block = page === undefined ? -1 : page.index[a & 0xfff] - 1;
      const big = m[W.CS_BIG];
      if (block < 0 || blocks.big(block) !== big) {
        block = blocks.build(a, big !== 0, this.behind(linear));
        if (block < 0) {
          this.stepSlowly(eip, linear, cpl);
          continue;
        }
      }
      // An instruction across a page end holds as long as the same page comes next.
      if ((a & 0xfff) > PAGE - 15 && blocks.second(block) >= 0 && (this.behind(linear) - RAM_BASE) >>> 12 !== blocks.second(block)) {
        this.stepSlowly(eip, linear, cpl);
        continue;
      }
      const { table } = blocks;
      const entry = block * BLOCK.SIZE;
      const limit = m[W.LIMIT + CS];
      if (limit !== -1 && (eip >>> 0) + blocks.bytes(block) - 1 > limit >>> 0) {
        this.stepSlowly(eip, linear, cpl);
        continue;
      }
      if (jit !== undefined && counted) {
        const user = cpl === 3 ? 1 : 0;
        const slot = this.interpretNext ? 0 : jit.find(block, linear, user);
        if (slot !== 0) {
          if (m[W.LEFT] >= jit.lengthOf(slot) && jit.modeAllows()) {
            const exit = this.translated(slot, linear);
            if (exit !== undefined) return exit;
            continue;
          }
        } else if (this.interpretNext) this.interpretNext = false;
        else {
          const runs = ++table[entry + BLOCK.RUNS];
          if (runs > jit.threshold && jit.modeAllows()) {
            jit.heat(block, a, linear, user === 1, runs);
            const now = table[entry + BLOCK.RUNS];
            if (now > jit.threshold) table[entry + BLOCK.HEAT] = (Math.floor(now / URGENT_RUNS) + 1) * URGENT_RUNS - 1;
            // A translation may have come.
            if (jit.find(block, linear, user) !== 0) continue;
          }
        }
      }
      let n = table[entry + BLOCK.COUNT];
      if (counted && n > m[W.LEFT]) n = m[W.LEFT];
      else if (counted && this.quick !== undefined && (m[W.FLAT] & FLAT_ALL) === FLAT_ALL && (m[W.CS_BIG] & m[W.SS_BIG]) === 1) {
        const found = entryOf(block);
        m[(FOUND >> 2) + ((a ^ (a >>> 16)) & FOUND_MASK)] = found;
        const link = m[Q.LINK >> 2];
        if (link !== 0) {
          m[link >> 2] = found;
          m[Q.LINK >> 2] = 0;
        }
        c.blockCpl = cpl;
        this.runQuick(this.quick, block);
        continue;
      }
      const first = table[entry + BLOCK.FIRST];
      const last = first + (n - 1) * RECORD;
      c.blockEip = eip;
      c.blockFirst = first;
      c.blockCpl = cpl;
      this.running = block;
      m[W.EIP] = (eip + c.code[last + R.END]) | 0;
      for (let i = first; i <= last; i += RECORD) {
        c.cur = i;
        HANDLERS[c.code[i]](c, i);
      }
      c.cur = -1;
      this.blockDone(block, n, counted);
    }
  }

  /** The books after the first `n` instructions of a block ran. */
  private blockDone(block: number, n: number, counted: boolean): void {
    const c = this.cpu;
    const { blocks } = this;
    if (n > blocks.begun(block)) blocks.note(block, n);
    blocks.table[block * BLOCK.SIZE + BLOCK.FOLLOW] = c.m32[W.EIP];
    let retired = n;
    if (c.unfinished) {
      this.interrupted();
      retired--;
    }
    if (counted) c.m32[W.LEFT] -= retired;
    else c.f64[F.RETIRED_HOST] += retired;
  }

  /** Runs a block and those that follow it in the quick interpreter, and has handlers do what that leaves to them. It comes back between two blocks. */
  private runQuick(quick: QuickRun, block: number): void {
    const c = this.cpu;
    const m = c.m32;
    const { blocks } = this;
    const { table } = blocks;
    const fresh = blocks.begun(block) !== blocks.count(block);
    let entry = entryOf(block);
    let record = quick(entry, 0, fresh ? 0 : 1);
    while (record !== 0) {
      entry = m[Q.BLOCK >> 2];
      const t = entry >> 2;
      const i = (record - CODE) >> 2;
      c.blockEip = m[Q.EIP >> 2];
      c.blockFirst = table[t + BLOCK.FIRST];
      this.running = t / BLOCK.SIZE;
      c.cur = i;
      HANDLERS[c.code[i]](c, i);
      c.cur = -1;
      const n = table[t + BLOCK.COUNT];
      if (i === table[t + BLOCK.FIRST] + (n - 1) * RECORD) {
        this.blockDone(this.running, n, true);
        return;
      }
      // What the handler did may concern the next block, but not the rest of this one.
      record = quick(entry, record + 4 * RECORD, 0);
    }
    if (fresh) blocks.note(block, blocks.count(block));
  }

  /** Index into the memory of the start of the page behind `linear`, -1 when the TLB does not have it. */
  private behind(linear: number): number {
    const c = this.cpu;
    const next = ((linear & ~0xfff) + PAGE) | 0;
    const e = next === 0 ? TLB_INVALID : c.m32[c.tr + (next >>> 12)];
    return (e & 1) !== 0 ? (next + e + 1) | 0 : -1;
  }

  /** Runs translated code and deals with the way it came back. */
  private translated(slot: number, linear: number): Exit | undefined {
    const { jit } = this;
    if (jit === undefined) return undefined;
    const c = this.cpu;
    switch (jit.enter(slot, linear)) {
      case 1:
        jit.stats.faults++;
        return this.recover(c.fault);
      case 2: {
        // An access that is the interpreter's: code, watches, a page crossing.
        jit.stats.punts++;
        const eip = c.m32[W.EIP];
        this.stepSlowly(eip, (c.m32[W.BASE + CS] + eip) | 0, c.m32[W.CPL]);
        return undefined;
      }
      case 4:
        throw jit.thrown;
      case 5:
        // An access that translated code leaves to the interpreter, together with the rest of its block.
        this.interpretNext = true;
        return undefined;
      default:
        return undefined;
    }
  }

  /** One instruction with everything that may stand around it: page crossings, segment limits, breakpoint registers, TF. */
  private stepSlowly(eip: number, linear: number, cpl: number): void {
    const c = this.cpu;
    const m = c.m32;
    const shadow = m[W.SHADOW];
    m[W.SHADOW] = 0;
    if (shadow & Shadow.PENDING) {
      // It stays pending until it is delivered: whoever intercepts it comes back here.
      m[W.SHADOW] = shadow;
      c.raise((shadow >> Shadow.SHIFT) & 0xff, shadow >>> Shadow.ERROR_SHIFT);
    }
    const dr7 = m[W.DR + 7];
    if (dr7 & 0xff) {
      c.debugHits = 0;
      if (!(m[W.EFLAGS] & FL.RF) && (shadow & Shadow.ALL) === 0) {
        const hits = matchExecute(m, linear);
        if (hits) {
          m[W.DR + 6] = (m[W.DR + 6] & ~0xf) | hits;
          c.raise(EXC.DB, 0);
        }
      }
    }
    m[W.EFLAGS] &= ~FL.RF;
    const tf = m[W.EFLAGS] & FL.TF;
    const a = this.fetch(eip, linear, cpl === 3);
    if (a >= 0) this.blocks.executed.alone(a - RAM_BASE, c.code[SCRATCH_RECORD + R.META] & M.LENGTH);
    c.blockEip = eip;
    c.blockFirst = SCRATCH_RECORD;
    c.blockCpl = cpl;
    c.cur = SCRATCH_RECORD;
    m[W.EIP] = (eip + c.code[SCRATCH_RECORD + R.END]) | 0;
    c.noStep = false;
    HANDLERS[c.code[SCRATCH_RECORD]](c, SCRATCH_RECORD);
    c.cur = -1;
    if (c.unfinished) this.interrupted();
    else this.count(1, cpl);
    const hits = (dr7 & 0xff ? c.debugHits : 0) | (shadow >> Shadow.SHIFT);
    const step = tf !== 0 && !c.noStep;
    if (!step && hits === 0) return;
    c.debugHits = 0;
    if (m[W.SHADOW] === Shadow.ALL) {
      // A load of SS: what its own access hit is reported after the next instruction, a single step not at all.
      m[W.SHADOW] |= hits << Shadow.SHIFT;
      return;
    }
    // A trap takes the processor out of HLT.
    m[W.HALTED] = 0;
    this.waitForDebug(hits | (step ? 0x4000 : 0));
    c.raise(EXC.DB, 0);
  }

  /** A debug trap is due: the instruction is done, so running it again would not bring the trap back. @param why bits of DR6. */
  private waitForDebug(why: number): void {
    const m = this.cpu.m32;
    m[W.DR + 6] = (m[W.DR + 6] & ~0xf) | why;
    m[W.SHADOW] = Shadow.PENDING | (EXC.DB << Shadow.SHIFT);
  }

  /** A REP instruction is between two of its elements: whatever interrupts it there pushes RF, so that its instruction breakpoint does not fire again. */
  private interrupted(): void {
    const c = this.cpu;
    c.unfinished = false;
    if (c.pushesRf) c.m32[W.EFLAGS] |= FL.RF;
  }

  /** Decodes the instruction at EIP into the scratch record, raising what its fetch raises. @returns where in the memory it begins, or -1. */
  private fetch(eip: number, linear: number, user: boolean): number {
    const c = this.cpu;
    const { bytes } = this;
    const limit = c.m32[W.LIMIT + CS] >>> 0;
    let n = 0;
    let a = -1;
    let start = -1;
    for (;;) {
      if (n === 15) c.gp(0);
      if ((eip >>> 0) + n > limit) c.gp(0);
      const at = (linear + n) | 0;
      if (n === 0 || (at & 0xfff) === 0) {
        // What the TLB holds counts, as for whole blocks, whatever the tables say by now.
        const e = c.m32[c.tr + (at >>> 12)];
        a = (e & 1) !== 0 ? (at + e + 1) | 0 : c.physicalOffset(c.translate(at, false, user));
      }
      if (n === 0) start = a;
      // Whole rest of the page at once, as far as the limit allows.
      const room = Math.min(15 - n, PAGE - (at & 0xfff), limit - (eip >>> 0) - n + 1);
      for (let k = 0; k < room; k++) bytes[n + k] = a < 0 ? 0xff : c.m8[a + k];
      n += room;
      if (decode(bytes, 0, n, c.m32[W.CS_BIG] !== 0, c.code, SCRATCH_RECORD) !== NEED_MORE) return start;
    }
  }
}

const stale = (): never => {
  throw STALE;
};

/** DR6 bits of the execution breakpoints that match. */
const matchExecute = (m: Int32Array, linear: number): number => {
  let hits = 0;
  const dr7 = m[W.DR + 7];
  for (let n = 0; n < 4; n++) if ((dr7 >> (2 * n)) & 3 && ((dr7 >> (16 + 4 * n)) & 3) === 0 && m[W.DR + n] === linear) hits |= 1 << n;
  return hits;
};
