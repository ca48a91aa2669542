// Life and death of translations: which block is hot, the function table, entering, leaving, and forgetting after a write to code.
//
// A cell (a word of the linear memory) stands for "code at this linear address, at this physical place, for this privilege" and holds the function table slot of
// its translation. Before there is one, and again after it was dropped, it holds 0, whose function spills the registers and returns: going on through a cell is
// always safe. Regions are compiled by the dozen, since every instance carries a copy of the function table. What it leaves out: code (translate.ts).

import type { BlockCache } from '../blocks';
import { type Cpu, CpuFault, PageFlag } from '../cpu';
import { R } from '../decode';
import { addCarries, aux8, aux16, aux32, subBorrows } from '../flags';
import { HANDLERS } from '../interpreter';
import { Cause } from '../interrupts';
import { BLOCK, CALLS, FL, PAGE, RAM_BASE, S, TLB_INVALID, W } from '../state';
import { CELLS, J, JUMP_CACHE, JUMP_CACHE_BYTES, JUMP_CACHE_ENTRIES, KIND, LENGTHS, LENGTHS_SLOTS } from './layout';
import { discover, type Surroundings } from './region';
import { KERNEL, createKernel } from '../x87/kernel';
import { EXIT, KERNEL_SLOT, MODULE_TYPES, REGION_TYPE } from './emission';
import { createTransfers, type Transfers } from './transfers';
import { Translator } from './translate';
import { encodeModule, FunctionBody, I32, OP } from './wasm';

const STATUS = J.STATUS >> 2;
const FLAG_KIND = J.FLAG_KIND >> 2;
const FLAG_B = J.FLAG_B >> 2;
const EXIT_NUMBER = J.EXIT >> 2;
const EXIT_REGION = J.EXIT_REGION >> 2;
const EXIT_FLAGS = J.EXIT_FLAGS >> 2;
/** A page where code was dropped more often than that joins no region but its own; after so many times it is left to the interpreter for a while. */
const CHURNS = 2;
const CHURNS_MANY = 64;
/**
 * After so many slow accesses at one place it gets more patience; after so many in a region with such places, the region is translated again. One slow access
 * costs some microseconds, a translation some milliseconds and the engine's optimising compiler more than that.
 */
const SLOW_PLACE = 4;
const SLOW_REGION = 500;
/** Slow accesses at one place count together when no more translated instructions than that lie between two of them: leaving costs as much as some 1000 instructions. */
const SLOW_RECENT = 2000;
/**
 * A way in costs about as much as interpreting so many instructions more. A region that was entered from the run loop for less than that again and again, until the
 * difference summed up to so many, is not worth it: its entry block is left to the interpreter for so many runs, and then for twice as many.
 */
const ENTRY_COST = 24;
const ENTRY_DEBT = -100_000;
const ENTRY_CREDIT = 1 << 20;
const BORED_RUNS = 1 << 17;
const BORED_MOST = 1 << 26;
/** Longest stay in translated code: lets the engine put in better code of a function that never returns. */
const SLICE = 1_000_000;
/** Regions waiting for their module: so many are compiled at once, or fewer as soon as one of their blocks ran so often again. */
const BATCH = 48;
export const URGENT_RUNS = 4096;
/** With so many instances, everything alive is compiled anew as one module, for a new table: setting a table visits every instance that was ever made for it. */
const MAX_INSTANCES = 48;
/** Where every block is translated at once, and so alone, merging waits for a share of what is alive: a fixed number would make its cost quadratic. */
const MAX_INSTANCES_FORCED = 256;
const FORCED_SHARE = 2;
/** Slots of a new table. */
const SLOTS = 1024;
const FLAT_DATA = 0b001111;
/** In the jump cache: what no TLB entry is. */
const NO_PAGE = 2;

/** Figures for `--stats`. */
export interface JitStats {
  translations: number;
  instructions: number;
  bytes: number;
  dropped: number;
  entries: number;
  faults: number;
  punts: number;
  /** Accesses that left a region; regions translated again because of them. */
  slow: number;
  redone: number;
  /** Regions left to the interpreter because stays in them were too short. */
  givenUp: number;
  refused: number;
  modules: number;
}

/** A region's life: queued, installed in a slot, dead. */
interface Translation {
  /** block * 2 + user */
  entry: number;
  linear: number;
  cell: number;
  slot: number;
  length: number;
  body: Uint8Array;
  dead: boolean;
  number: number;
  /** Three words for each exit, see Emission. */
  exits: Int32Array;
  /** Index into the memory of the code at an EIP. */
  placeOf: (eip: number) => number;
  slow: number;
  impatient: boolean;
  /** See Region. */
  gaps: boolean;
}

/** True when this engine may compile WebAssembly with tail calls at run time. */
export const jitAvailable = (): boolean => {
  try {
    // A function that tail-calls itself. Compiled, not only looked at: a security policy may refuse just that.
    new WebAssembly.Module(
      new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 6, 1, 4, 0, 0x12, 0, 0x0b]),
    );
    return true;
  } catch {
    return false;
  }
};

export class Jit {
  private table!: WebAssembly.Table;
  private freeSlots: number[] = [];
  private nextCell = CELLS;
  private pending: Translation[] = [];
  private live: Translation[] = [];
  /** Out of use; their numbers are given out again once no translated code runs. */
  private gone: Translation[] = [];
  private instances = 0;
  private bail!: () => void;
  private runSlot!: (slot: number) => void;
  private readonly imports: WebAssembly.ModuleImports;
  private madeTransfers: Transfers | undefined;
  private readonly pages: number;
  private readonly cells = new Map<number, { cell: number; linear: number }>();
  /** By slot: instructions that must be left to enter. */
  private lengths = new Int32Array(1024);
  private cellAt = new Int32Array(1024);
  /** By slot: instructions run in stays that began there, less what the ways in cost. */
  private worth = new Int32Array(1024);
  /** By block: for how many runs it was last left to the interpreter because entering its region was not worth it. */
  private readonly bored = new Map<number, number>();
  /** By block: the regions that contain it, dead ones until the next one comes. */
  private readonly users = new Map<number, Set<Translation>>();
  /** By page: how often code was dropped there; a page that churns is left to the interpreter for a while. */
  private readonly churn = new Map<number, number>();
  private dropped = false;
  /** By region number. */
  private readonly regions: (Translation | undefined)[] = [];
  private readonly freeNumbers: number[] = [];
  /** By index of the instruction in the memory: slow accesses seen, and the patience that came of it (Emission). */
  private readonly slowAt = new Map<number, number>();
  private readonly slowWhen = new Map<number, number>();
  private readonly patience = new Map<number, number>();
  private readonly around: Surroundings = {
    cellFor: (a, linear, user) => this.cellFor(a, linear, user),
    isTranslated: (block) => this.users.has(block),
    patience: (at) => this.patience.get(at) ?? 0,
    patched: (at) => this.blocks.patched.has(at - this.blocks.base),
    churns: (page) => (this.churn.get(page) ?? 0) > CHURNS,
  };
  private hurry = false;
  /** Instructions run in translated code, about. */
  private clock = 0;
  /** While translated code runs: instructions of the budget that W.LEFT does not show. */
  held = 0;
  /** EIP of the task in which a fault came up during a task switch from translated code; -1 = none. */
  private taskEip = -1;
  private kernelBound = false;
  private kernel: ReturnType<typeof createKernel> | undefined;
  /** Something other than a fault came out of a handler called from translated code. */
  thrown: unknown;
  readonly stats: JitStats = {
    translations: 0,
    instructions: 0,
    bytes: 0,
    dropped: 0,
    entries: 0,
    faults: 0,
    punts: 0,
    slow: 0,
    redone: 0,
    givenUp: 0,
    refused: 0,
    modules: 0,
  };

  constructor(
    private readonly cpu: Cpu,
    private readonly blocks: BlockCache,
    readonly threshold: number,
  ) {
    this.pages = cpu.memory.buffer.byteLength / 65536;
    blocks.heatAt = threshold;
    this.imports = this.runtime();
    this.newTable(SLOTS);
    this.emptyJumpCaches();
    blocks.onDrop = (block) => this.drop(block);
    blocks.onPatch = (block) => this.patch(block);
    blocks.onClear = () => this.clear();
  }

  /** True while translated code may run at all. */
  modeAllows(): boolean {
    const m = this.cpu.m32;
    return (m[W.FLAT] & FLAT_DATA) === FLAT_DATA && (m[W.CS_BIG] & m[W.SS_BIG]) === 1;
  }

  /** Slot for a block as it is about to run, 0 when there is none or the budget is too short for it. */
  find(block: number, linear: number, user: number): number {
    const { table } = this.blocks;
    const t = block * BLOCK.SIZE + 2 * user;
    const slot = table[t + BLOCK.SLOT];
    return slot !== 0 && table[t + BLOCK.LINEAR] === linear ? slot : 0;
  }
  lengthOf(slot: number): number {
    return this.lengths[slot];
  }

  /** Word index of the jump cache entry for code at `linear` run at the present privilege. */
  private jumpEntry(linear: number): number {
    const cache = (JUMP_CACHE + (this.cpu.m32[W.CPL] === 3 ? JUMP_CACHE_BYTES : 0)) >> 2;
    return cache + (((linear ^ (linear >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) << 2);
  }

  /** An empty entry holds for no address: a 0 at the place of address 0 would, so there stands an address that belongs elsewhere. */
  private emptyJumpCaches(): void {
    const m = this.cpu.m32;
    m.fill(0, JUMP_CACHE >> 2, (JUMP_CACHE + 2 * JUMP_CACHE_BYTES) >> 2);
    m[JUMP_CACHE >> 2] = m[(JUMP_CACHE + JUMP_CACHE_BYTES) >> 2] = 1;
  }

  /** Runs translated code from `slot`. @returns see J.STATUS. */
  enter(slot: number, linear: number): number {
    const { cpu } = this;
    const m = cpu.m32;
    // Whoever came here through the run loop may come directly next time.
    const at = this.jumpEntry(linear);
    m[at] = linear;
    const page = m[cpu.tr + (linear >>> 12)];
    m[at + 1] = page === TLB_INVALID ? NO_PAGE : page;
    m[at + 2] = this.cellAt[slot];
    const left = m[W.LEFT];
    const slice = Math.min(left, SLICE);
    m[W.LEFT] = slice;
    this.held = left - slice;
    m[STATUS] = 0;
    m[EXIT_NUMBER] = -1;
    this.dropped = false;
    this.stats.entries++;
    this.runSlot(slot);
    cpu.syncTlb();
    const stay = slice - m[W.LEFT];
    this.clock += stay;
    const worth = this.worth[slot] + stay - ENTRY_COST;
    this.worth[slot] = Math.min(worth, ENTRY_CREDIT);
    if (m[EXIT_NUMBER] >= 0) this.takeExit();
    m[W.LEFT] += this.held;
    this.held = 0;
    if (m[FLAG_KIND] !== 0) this.settleFlags();
    if (this.taskEip !== -1) {
      m[W.EIP] = this.taskEip;
      this.taskEip = -1;
    }
    if (worth < ENTRY_DEBT && this.threshold > 0) this.giveUp(slot);
    return m[STATUS];
  }
  /** The region in `slot` is entered often and left again at once. */
  private giveUp(slot: number): void {
    this.worth[slot] = 0;
    const t = this.live.find((other) => !other.dead && other.slot === slot);
    if (t === undefined) return;
    const block = t.entry >> 1;
    const runs = Math.min(2 * (this.bored.get(block) ?? BORED_RUNS / 2), BORED_MOST);
    this.bored.set(block, runs);
    this.retire(t);
    this.blocks.setRuns(block, -runs);
    this.stats.givenUp++;
  }

  /** Does what the region left undone when it took an exit: EIP, the count, the flags. */
  private takeExit(): void {
    const m = this.cpu.m32;
    const t = this.regions[m[EXIT_REGION]];
    if (t === undefined) throw new Error('translated code left through an exit that is gone');
    const at = m[EXIT_NUMBER] * 3;
    const bits = t.exits[at + 2];
    if (!(bits & EXIT.EIP_IN_MEMORY)) m[W.EIP] = t.exits[at];
    m[W.LEFT] += t.exits[at + 1];
    const kind = bits & EXIT.KIND;
    if (kind !== EXIT.KIND_MEMORY) {
      m[W.FLAG_RESULT] = m[EXIT_FLAGS];
      m[W.FLAG_AUX] = m[EXIT_FLAGS + 1];
      m[FLAG_B] = m[EXIT_FLAGS + 2];
      m[FLAG_KIND] = kind === EXIT.KIND_DYNAMIC ? m[EXIT_FLAGS + 3] : kind;
    }
    if (bits & EXIT.SLOW) {
      m[STATUS] = 5;
      this.stats.slow++;
      this.slowAccess(t, t.placeOf(m[W.EIP]), bits >> EXIT.PATIENCE_SHIFT);
    }
  }

  /** Learns from an access that left a region: a place where it happens again and again is translated more patiently. */
  private slowAccess(t: Translation, place: number, patience: number): void {
    if (patience >= 2) return;
    t.slow++;
    const watched = this.cpu.watcher !== undefined;
    if (watched) this.cpu.wantGap = true;
    // Made before anything was watched: looking for a gap comes first.
    if (watched && !t.gaps && patience === 1) t.impatient = true;
    if ((this.patience.get(place) ?? 0) > patience) t.impatient = true;
    else {
      // Now and then is no reason: a first touch, a task switch.
      const recent = this.clock - (this.slowWhen.get(place) ?? 0) < SLOW_RECENT;
      const n = recent ? (this.slowAt.get(place) ?? 0) + 1 : 1;
      this.slowWhen.set(place, this.clock);
      if (n >= Math.min(SLOW_PLACE, this.threshold + 1)) {
        this.slowAt.delete(place);
        this.patience.set(place, patience + 1);
        t.impatient = true;
      } else this.slowAt.set(place, n);
    }
    if (!t.impatient || t.dead || t.slow < Math.min(SLOW_REGION, this.threshold + 1)) return;
    this.retire(t);
    this.blocks.setRuns(t.entry >> 1, this.threshold);
    this.hurry = true;
    this.stats.redone++;
  }

  /** Turns the flags words into the interpreter's form. */
  private settleFlags(): void {
    const m = this.cpu.m32;
    const kind = m[FLAG_KIND];
    const a = m[W.FLAG_AUX];
    const b = m[FLAG_B];
    const r = m[W.FLAG_RESULT];
    const carries = kind & 1 ? addCarries(a, b, r) : subBorrows(a, b, r);
    m[W.FLAG_AUX] = kind <= KIND.SUB32 ? aux32(carries) : kind <= KIND.SUB16 ? aux16(carries) : aux8(carries);
    m[FLAG_KIND] = 0;
  }

  /**
   * Called each time a block that is not translated has run more than `threshold` times: queues its region, or has the queue compiled.
   * @param runs how often it ran.
   */
  heat(block: number, a: number, linear: number, user: boolean, runs: number): void {
    if (runs === this.threshold + 1) {
      this.queue(block, a, linear, user);
      if (this.pending.length >= BATCH || this.threshold === 0 || this.hurry) this.flush();
    } else if (runs % URGENT_RUNS === 0) {
      if (this.pending.length > 0) this.flush();
      else this.blocks.setRuns(block, 0);
    }
  }

  private queue(block: number, a: number, linear: number, user: boolean): void {
    const { cpu, blocks } = this;
    // Translated code says nothing of what it executes: it must have been executed before (executed.ts), or be about to where everything is translated at once.
    if (this.threshold === 0 && blocks.begun(block) < blocks.count(block)) blocks.note(block, blocks.count(block));
    const churn = this.churn.get(blocks.page(block)) ?? 0;
    if (churn > CHURNS_MANY) {
      // Rewritten again and again: try once more only after it has run for long.
      this.churn.set(blocks.page(block), churn - 8);
      blocks.setRuns(block, -1000);
      return;
    }
    // All blocks of a loop are hot at the same time: the first one's region is theirs too. When the loop never comes by its entry, heat() asks again.
    if (this.threshold > 0 && this.awaits(block)) return;
    const cell = this.cellFor(a, linear, user);
    const region = cell < 0 ? undefined : discover(cpu, blocks, a, linear, user, this.around);
    if (region === undefined) {
      this.stats.refused++;
      blocks.setRuns(block, -1 << 30);
      return;
    }
    const number = this.freeNumbers.pop() ?? this.regions.length;
    const translator = new Translator({ ...region, number });
    const body = translator.translate().encode();
    if (translator.usesKernel) this.bindKernel();
    const translation: Translation = {
      entry: block * 2 + (user ? 1 : 0),
      linear,
      cell,
      slot: 0,
      length: region.checkLength,
      body,
      dead: false,
      number,
      exits: Int32Array.from(translator.exits),
      placeOf: (eip) => (eip + region.deltaOf(eip)) | 0,
      slow: 0,
      impatient: false,
      gaps: region.gaps,
    };
    this.regions[number] = translation;
    for (const b of region.blocks) {
      let set = this.users.get(b.block);
      if (set === undefined) {
        set = new Set();
        this.users.set(b.block, set);
      }
      // What the region holds needs an entry of its own only if it is run from outside from now on.
      if (this.threshold > 0 && b.block !== block && blocks.runs(b.block) > 0) blocks.setRuns(b.block, 0);
      // Only here: that a block was in a region at all says that it is warm.
      for (const t of set) if (t.dead) set.delete(t);
      set.add(translation);
    }
    this.pending.push(translation);
    this.stats.translations++;
    this.stats.instructions += region.checkLength;
  }

  /** Starts an empty function table. No translated code may be running, and nothing that is alive keeps its slot. */
  private newTable(slots: number): void {
    this.table = new WebAssembly.Table({ element: 'anyfunc', initial: slots });
    this.imports.t = this.table;
    const { bail, run } = this.trampolines();
    this.bail = bail;
    this.runSlot = run;
    for (let n = 0; n < slots; n++) this.table.set(n, bail);
    this.freeSlots = [];
    for (let n = slots - 1; n >= KERNEL_SLOT + KERNEL.length; n--) this.freeSlots.push(n);
    if (!this.kernelBound) return;
    this.kernelBound = false;
    this.bindKernel();
  }

  /** Puts the x87 kernel into the table, the first time that a region calls it: most Guests never do. */
  private bindKernel(): void {
    if (this.kernelBound) return;
    this.kernelBound = true;
    this.kernel ??= createKernel(this.cpu.memory);
    const { kernel } = this;
    KERNEL.forEach(({ name }, n) => {
      this.table.set(KERNEL_SLOT + n, kernel[name]);
    });
  }

  /** INT, IRET and segment loads for regions; made with the first module. */
  private get transfers(): Transfers {
    const { cpu } = this;
    this.madeTransfers ??= createTransfers(cpu.memory, {
      transfer: (vector, cs, eip, cpl) => {
        cpu.syncTlb();
        cpu.onTransfer?.(vector, Cause.INT_N, -1, cs, eip, cpl, true);
      },
      returned: (esp, cpl) => {
        cpu.syncTlb();
        cpu.onReturn?.(esp, cpl);
      },
    });
    return this.madeTransfers;
  }

  /** Compiles what is queued and opens its cells. */
  private flush(): void {
    let batch = this.pending.filter((t) => !t.dead);
    this.pending = [];
    this.hurry = false;
    this.reclaim();
    if (batch.length === 0) return;
    this.live = this.live.filter((t) => !t.dead);
    if (this.instances >= this.maxInstances) {
      this.newTable(this.table.length);
      batch = [...this.live, ...batch];
      this.live = [];
      this.instances = 0;
    }
    const bytes = encodeModule(
      this.pages,
      IMPORTS,
      MODULE_TYPES,
      batch.map(({ body }) => ({ type: 0, body })),
    );
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), {
      e: { ...this.imports, ...this.transfers },
    });
    this.instances++;
    this.stats.modules++;
    this.stats.bytes += bytes.length;
    batch.forEach((t, n) => {
      t.slot = this.takeSlot();
      this.table.set(t.slot, exports[`f${n}`] as () => void);
      this.lengths[t.slot] = t.length;
      if (t.slot < LENGTHS_SLOTS) this.cpu.m32[(LENGTHS >> 2) + t.slot] = t.length;
      this.cellAt[t.slot] = t.cell;
      this.worth[t.slot] = 0;
      this.blocks.setSlot(t.entry >> 1, t.entry & 1, t.slot, t.linear);
      this.cpu.m32[t.cell >> 2] = t.slot;
      this.live.push(t);
    });
  }

  private get maxInstances(): number {
    if (this.threshold > 0) return MAX_INSTANCES;
    return Math.max(MAX_INSTANCES, Math.min(MAX_INSTANCES_FORCED, this.live.length / FORCED_SHARE));
  }

  private takeSlot(): number {
    const free = this.freeSlots.pop();
    if (free !== undefined) return free;
    const from = this.table.length;
    this.table.grow(from);
    for (let n = from; n < 2 * from; n++) this.table.set(n, this.bail);
    for (let n = 2 * from - 1; n > from; n--) this.freeSlots.push(n);
    const lengths = new Int32Array(2 * from);
    lengths.set(this.lengths);
    this.lengths = lengths;
    const cellAt = new Int32Array(2 * from);
    cellAt.set(this.cellAt);
    this.cellAt = cellAt;
    const worth = new Int32Array(2 * from);
    worth.set(this.worth);
    this.worth = worth;
    return from;
  }
  private release(slot: number): void {
    this.table.set(slot, this.bail);
    this.freeSlots.push(slot);
  }

  /** Address of the cell for code at index `a` of the memory run at `linear`, -1 when another linear address has it. */
  private cellFor(a: number, linear: number, user: boolean): number {
    const key = a * 2 + (user ? 1 : 0);
    const known = this.cells.get(key);
    if (known !== undefined) return known.linear === linear ? known.cell : -1;
    if (this.nextCell === CALLS.TIME) return -1;
    const cell = this.nextCell;
    this.nextCell += 4;
    this.cpu.m32[cell >> 2] = 0;
    this.cells.set(key, { cell, linear });
    return cell;
  }

  private drop(block: number): void {
    this.dropped = true;
    const set = this.users.get(block);
    if (set === undefined) return;
    this.users.delete(block);
    const page = this.blocks.page(block);
    this.churn.set(page, (this.churn.get(page) ?? 0) + 1);
    for (const t of set) {
      if (t.dead) continue;
      this.retire(t);
      this.blocks.setRuns(t.entry >> 1, 0);
    }
  }
  /** An immediate of the block is patched from now on: what was translated with its value goes, and comes back reading it. */
  private patch(block: number): void {
    const set = this.users.get(block);
    if (set === undefined) return;
    this.dropped = true;
    this.users.delete(block);
    for (const t of set) {
      if (t.dead) continue;
      this.retire(t);
      this.blocks.setRuns(t.entry >> 1, this.threshold);
      this.hurry = true;
    }
  }
  /** True when a region that contains the block is queued: most likely it will be run from there. */
  private awaits(block: number): boolean {
    const set = this.users.get(block);
    if (set !== undefined) for (const t of set) if (!t.dead && t.slot === 0) return true;
    return false;
  }
  private inUse(block: number): boolean {
    const set = this.users.get(block);
    if (set !== undefined) for (const t of set) if (!t.dead) return true;
    return false;
  }
  /** Takes a translation out of use. Its number stays taken while its code may be running. */
  private retire(t: Translation): void {
    t.dead = true;
    this.gone.push(t);
    this.stats.dropped++;
    if (t.slot === 0) return;
    this.cpu.m32[t.cell >> 2] = 0;
    this.blocks.setSlot(t.entry >> 1, t.entry & 1, 0, 0);
    this.release(t.slot);
  }
  /** Gives numbers of dead translations out again; called when no translated code runs. */
  private reclaim(): void {
    for (const t of this.gone) {
      this.regions[t.number] = undefined;
      this.freeNumbers.push(t.number);
    }
    this.gone = [];
  }
  private clear(): void {
    this.dropped = true;
    for (const t of this.regions) if (t !== undefined && !t.dead) this.retire(t);
    this.live = [];
    this.pending = [];
    this.slowAt.clear();
    this.slowWhen.clear();
    this.patience.clear();
    this.bored.clear();
    this.users.clear();
    this.cells.clear();
    this.cpu.m32.fill(0, CELLS >> 2, this.nextCell >> 2);
    this.nextCell = CELLS;
    this.emptyJumpCaches();
  }

  /** After a system instruction in translated code: 0 go straight on, 2 leave for the run loop, else slot * 4 + 3 of the code to go on with. */
  private goOn(straight: boolean): number {
    const { cpu } = this;
    const m = cpu.m32;
    const eflags = m[W.EFLAGS];
    if ((eflags & FL.TF) | m[W.SHADOW] | m[W.HALTED] | (m[W.DR + 7] & 0xff)) return 2;
    if (this.dropped || cpu.stopRequested || (cpu.intr && eflags & FL.IF) || !this.modeAllows()) return 2;
    if (straight && (eflags & FL.RF) === 0) return 0;
    return cpu.hostRing0 && m[W.CPL] === 0 ? 2 : this.transfers.go();
  }

  // ---- what translated code calls -----------------------------------------------------------------------------------------------------

  private runtime(): WebAssembly.ModuleImports {
    const { cpu, blocks } = this;
    const { m32, pageFlags } = cpu;
    const fault = (thrown: unknown): number => {
      if (thrown instanceof CpuFault) m32[STATUS] = 1;
      else {
        m32[STATUS] = 4;
        this.thrown = thrown;
      }
      return 0;
    };
    const punt = (): number => {
      m32[STATUS] = 2;
      return 0;
    };
    const user = (): boolean => m32[W.CPL] === 3;
    const inUse = (block: number): boolean => this.inUse(block);
    const crosses = (linear: number, size: number): boolean => (linear & 0xfff) + size > PAGE;
    /** Watched pages are the interpreter's: the stop must find the registers where they belong. */
    const { m8 } = cpu;
    /**
     * The slow side of a translated read: pages not in the TLB, page crossings, operands not aligned. Page faults do not go through an exception here, which
     * would cost more than all the rest.
     */
    const read = (linear: number, size: number): number => {
      cpu.syncTlb();
      const e = m32[cpu.tr + (linear >>> 12)];
      if (crosses(linear, size)) {
        // Across 4 GB lies the end of the segment: the interpreter knows which fault that is.
        if (cpu.watcher !== undefined || linear >>> 12 === 0xfffff) return punt();
        try {
          return size === 2 ? cpu.read16(linear) : cpu.read32(linear);
        } catch (thrown) {
          return fault(thrown);
        }
      }
      let a = (linear + e + 1) | 0;
      if ((e & 1) === 0) {
        const physical = cpu.tryTranslate(linear, false, user());
        if (physical < 0) {
          m32[STATUS] = 1;
          return 0;
        }
        a = cpu.physicalOffset(physical);
        if (a < 0) return size === 1 ? 0xff : size === 2 ? 0xffff : -1;
        if (pageFlags[(a - RAM_BASE) >>> 12] & PageFlag.WATCH_READ && cpu.watcher !== undefined && !cpu.inGap(linear, a, size, false))
          return punt();
      }
      return size === 1 ? m8[a] : size === 2 ? m8[a] | (m8[a + 1] << 8) : m8[a] | (m8[a + 1] << 8) | (m8[a + 2] << 16) | (m8[a + 3] << 24);
    };
    const write = (linear: number, value: number, size: number): void => {
      cpu.syncTlb();
      if (crosses(linear, size)) {
        punt();
        return;
      }
      const e = m32[cpu.tw + (linear >>> 12)];
      let a = (linear + e + 1) | 0;
      if ((e & 1) === 0) {
        const physical = cpu.tryTranslate(linear, true, user());
        if (physical < 0) {
          m32[STATUS] = 1;
          return;
        }
        a = cpu.physicalOffset(physical);
        if (a < 0) return;
        const flags = pageFlags[(a - RAM_BASE) >>> 12];
        if (flags !== 0) {
          const physical = a - RAM_BASE;
          if ((flags & ~PageFlag.CODE) !== 0) {
            if (!cpu.inGap(linear, a, size, true)) {
              punt();
              return;
            }
          } else if (blocks.covers(physical, size)) {
            if (blocks.quiet(physical, size, inUse))
              cpu.physWrite(physical, size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value, size, linear);
            else punt();
            return;
          }
        }
      }
      m8[a] = value;
      if (size > 1) m8[a + 1] = value >> 8;
      if (size > 2) {
        m8[a + 2] = value >> 16;
        m8[a + 3] = value >> 24;
      }
    };
    return {
      m: cpu.memory,
      r8: (linear: number): number => read(linear, 1),
      r16: (linear: number): number => read(linear, 2),
      r32: (linear: number): number => read(linear, 4),
      w8: (linear: number, value: number): void => write(linear, value, 1),
      w16: (linear: number, value: number): void => write(linear, value, 2),
      w32: (linear: number, value: number): void => write(linear, value, 4),
      probe: (linear: number, size: number): number => {
        cpu.syncTlb();
        if (crosses(linear, size)) return punt();
        const e = m32[cpu.tw + (linear >>> 12)];
        if ((e & 1) !== 0) return (linear + e + 1) | 0;
        const physical = cpu.tryTranslate(linear, true, user());
        if (physical < 0) {
          m32[STATUS] = 1;
          return 0;
        }
        if (physical >= cpu.ramBytes) return punt();
        const a = RAM_BASE + physical;
        return pageFlags[physical >>> 12] === 0 || cpu.inGap(linear, a, size, true) ? a : punt();
      },
      stackPlace: (linear: number): number => {
        cpu.syncTlb();
        return cpu.placeOf(linear, true);
      },
      interpret: (i: number, next: number): number => {
        cpu.syncTlb();
        if (m32[FLAG_KIND] !== 0) this.settleFlags();
        const { code } = cpu;
        cpu.blockEip = (next - code[i + R.END]) | 0;
        m32[W.EIP] = next;
        try {
          HANDLERS[code[i]](cpu, i);
        } catch (thrown) {
          if (thrown === STALE) return 1;
          fault(thrown);
          return 1;
        }
        if (cpu.unfinished) {
          cpu.unfinished = false;
          if (cpu.pushesRf) m32[W.EFLAGS] |= FL.RF;
          return 1;
        }
        return this.dropped ? 2 : 0;
      },
      system: (at: number, next: number): number => {
        cpu.syncTlb();
        if (m32[FLAG_KIND] !== 0) this.settleFlags();
        const i = at < 0 ? ~at : at;
        const { code, flushes } = cpu;
        cpu.blockEip = (next - code[i + R.END]) | 0;
        m32[W.EIP] = next;
        const cpl = m32[W.CPL];
        try {
          HANDLERS[code[i]](cpu, i);
        } catch (thrown) {
          if (thrown === STALE) return 1;
          fault(thrown);
          if (cpu.inNewTask) this.taskEip = m32[W.EIP];
          return 1;
        }
        return this.goOn(at >= 0 && m32[W.EIP] === next && m32[W.CPL] === cpl && cpu.flushes === flushes);
      },
    };
  }

  /** The way in (run a slot with the registers from the state block) and the slot function of code that is not translated. */
  private trampolines(): { bail: () => void; run: (slot: number) => void } {
    const bail = new FunctionBody(9);
    for (let n = 0; n < 9; n++) {
      bail.i32(0);
      bail.get(n);
      bail.mem(OP.i32_store, n === 8 ? S.LEFT : S.REGS + 4 * n, 2);
    }
    const bailBytes = bail.encode();
    const run = new FunctionBody(1);
    for (let n = 0; n < 9; n++) {
      run.i32(0);
      run.mem(OP.i32_load, n === 8 ? S.LEFT : S.REGS + 4 * n, 2);
    }
    run.get(0);
    run.op(OP.call_indirect);
    run.code.u32(0);
    run.code.u32(0);
    const bytes = encodeModule(
      this.pages,
      [],
      [REGION_TYPE, { params: [I32], results: [] }],
      [
        { type: 0, body: bailBytes },
        { type: 1, body: run.encode() },
      ],
    );
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { e: this.imports });
    return { bail: exports.f0 as () => void, run: exports.f1 as (slot: number) => void };
  }
}

/** Thrown by the handler of a dropped record (processor.ts). */
export const STALE = { relook: true };

const f = (name: string, params: number, results: number): { name: string; type: { params: number[]; results: number[] } } => ({
  name,
  type: { params: Array(params).fill(I32), results: Array(results).fill(I32) },
});
/** In the order of IMPORT (emission.ts). */
const IMPORTS = [
  f('r8', 1, 1),
  f('r16', 1, 1),
  f('r32', 1, 1),
  f('w8', 2, 0),
  f('w16', 2, 0),
  f('w32', 2, 0),
  f('probe', 2, 1),
  f('interpret', 2, 1),
  f('system', 2, 1),
  f('stackPlace', 1, 1),
  f('deliver', 2, 1),
  f('iret', 0, 1),
  f('loadData', 2, 1),
];
