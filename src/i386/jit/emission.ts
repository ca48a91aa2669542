// The ground that every part of the translator stands on: the function under construction, its locals and labels, where the flags are, how to leave exactly.
//
// The translator is one class in layers, one file each, because one instruction family is as much as one wants to read at a time: emission, operands,
// conditions, arithmetic, shifts, multiply, repeats, floating, special, instructions, translate. What it leaves out: instructions.

import { S, TLB } from '../state';
import { J } from './layout';
import type { Region } from './region';
import { type Structure, structure } from './structure';
import { KERNEL_TYPES } from '../x87/kernel';
import { FunctionBody, I32, I64, OP } from './wasm';

/** Types of a region module: a region's own, and those of the x87 kernel's entries, which stand in the function table from slot KERNEL_SLOT. */
export const KERNEL_SLOT = 1;
export const REGISTER_ENTRY = 1;
export const MEMORY_ENTRY = 2;
/** Indexes of the imported functions, in this order (jit.ts binds them). */
export const IMPORT = {
  READ8: 0,
  READ16: 1,
  READ32: 2,
  WRITE8: 3,
  WRITE16: 4,
  WRITE32: 5,
  PROBE: 6,
  INTERPRET: 7,
  SYSTEM: 8,
  STACK_PLACE: 9,
  DELIVER: 10,
  IRET: 11,
  LOAD_DATA: 12,
} as const;
export const REGION_TYPE = { params: [I32, I32, I32, I32, I32, I32, I32, I32, I32], results: [] };
export const MODULE_TYPES = [REGION_TYPE, ...KERNEL_TYPES];

export const LEFT = 8;
/** Flags at a point of the translation: still in memory as on entry, in locals with a kind known only at run time, or in locals of a known kind. */
export type FlagState = 'memory' | 'dynamic' | number;

interface Label {
  /** Position of the node a branch to this label reaches, or -1 for the exit block, -2 for plain nesting. */
  target: number;
}

/** A function under construction that says which guest register it writes. */
class Body extends FunctionBody {
  onRegister: (n: number) => void = () => {};
  override set(local: number): void {
    super.set(local);
    if (local < 8) this.onRegister(local);
  }
  override tee(local: number): void {
    super.tee(local);
    if (local < 8) this.onRegister(local);
  }
}

/**
 * A stretch of linear addresses that was found to lie in one page with a fast TLB entry. Local `p` holds the index into the memory of its lowest byte, less 1.
 * `key` names the address without its constant part: which value of which registers.
 */
export interface Proven {
  key: string;
  lo: number;
  hi: number;
  write: boolean;
  p: number;
}

/** What is known at a point of the translation and differs from path to path. */
export interface Knowledge {
  flags: FlagState;
  compared: boolean;
  /** Registers as a named value plus a constant. */
  values: number[];
  offsets: number[];
  proven: Proven[];
}

/** An exit record's third word above the flag kind: EIP is in memory already; an access was slow, and how patient its place was. */
export const EXIT = { EIP_IN_MEMORY: 0x100, SLOW: 0x200, PATIENCE_SHIFT: 10, KIND: 0xff, KIND_MEMORY: 0xff, KIND_DYNAMIC: 0xfe } as const;

export abstract class Emission {
  protected readonly f = new Body(9);
  protected readonly fr = this.f.local();
  protected readonly fa = this.f.local();
  protected readonly fb = this.f.local();
  protected readonly fk = this.f.local();
  protected readonly exitNumber = this.f.local();
  protected readonly lin = this.f.local();
  protected readonly entry = this.f.local();
  protected readonly t0 = this.f.local();
  protected readonly t1 = this.f.local();
  protected readonly t2 = this.f.local();
  protected readonly l0 = this.f.local(I64);
  protected readonly labels: Label[] = [];
  protected flags: FlagState = 'memory';
  /** True while the flags come from a plain CMP or SUB (no borrow-in), so that conditions may compare its operands. */
  protected compared = false;
  protected readonly shape: Structure;
  protected readonly code: Int32Array;
  protected readonly tlbRead: number;
  protected readonly tlbWrite: number;
  /** Of the instruction being translated: its address, the next one's, and how many of the block's count have not retired when it faults. */
  protected eip = 0;
  protected next = 0;
  protected refund = 0;
  protected flagsDead = false;
  /** 0: a slow access leaves; accesses to one page share a check; 1: each has its own; 2: slow accesses call the runtime and go on. */
  protected patience = 0;
  protected values = [0, 1, 2, 3, 4, 5, 6, 7];
  protected offsets = [0, 0, 0, 0, 0, 0, 0, 0];
  private nextValue = 8;
  protected proven: Proven[] = [];
  /** Three words for each exit: EIP, instructions to give back, EXIT bits. */
  readonly exits: number[] = [];
  /** Set when the code calls the x87 kernel. */
  usesKernel = false;
  private readonly temps: number[] = [];
  private readonly longTemps: number[] = [];
  private tempsUsed = 0;
  private longTempsUsed = 0;

  constructor(protected readonly region: Region) {
    this.code = region.code;
    this.shape = structure(region.blocks.map((b) => b.internal));
    this.tlbRead = region.user ? TLB.USER_READ : TLB.SUPER_READ;
    this.tlbWrite = region.user ? TLB.USER_WRITE : TLB.SUPER_WRITE;
    this.f.onRegister = (n) => {
      this.values[n] = this.nextValue++;
      this.offsets[n] = 0;
    };
  }

  /** A local that lives no longer than the instruction. */
  protected temp(type: number = I32): number {
    const long = type === I64;
    const pool = long ? this.longTemps : this.temps;
    const n = long ? this.longTempsUsed++ : this.tempsUsed++;
    if (n === pool.length) pool.push(this.f.local(type));
    return pool[n];
  }
  protected beginInstruction(): void {
    this.tempsUsed = 0;
    this.longTempsUsed = 0;
  }

  // ---- knowledge ----------------------------------------------------------------------------------------------------------------------

  protected know(): Knowledge {
    return { flags: this.flags, compared: this.compared, values: [...this.values], offsets: [...this.offsets], proven: [...this.proven] };
  }
  protected recall(k: Knowledge): void {
    this.flags = k.flags;
    this.compared = k.compared;
    this.values = [...k.values];
    this.offsets = [...k.offsets];
    this.proven = [...k.proven];
  }
  /** Where paths meet: flags in locals of whatever kind, registers anything. */
  protected knowNothing(): void {
    this.flags = 'dynamic';
    this.compared = false;
    for (let n = 0; n < 8; n++) this.f.onRegister(n);
    this.proven = [];
  }
  /** Where the emission stands, for rewind(). */
  protected mark(): { bytes: number; exits: number; value: number; usesKernel: boolean } {
    return { bytes: this.f.code.length, exits: this.exits.length, value: this.nextValue, usesKernel: this.usesKernel };
  }
  /** Unsays everything emitted since mark(). */
  protected rewind(m: { bytes: number; exits: number; value: number; usesKernel: boolean }): void {
    this.f.code.length = m.bytes;
    this.exits.length = m.exits;
    this.nextValue = m.value;
    this.usesKernel = m.usesKernel;
  }
  /** After the fact: register n is now what register `from` was (value and offset as given), plus `by`. */
  protected isNow(n: number, value: number, offset: number, by: number): void {
    this.values[n] = value;
    this.offsets[n] = (offset + by) | 0;
  }

  protected depthOf(target: number): number {
    for (let i = this.labels.length - 1; i >= 0; i--) if (this.labels[i].target === target) return this.labels.length - 1 - i;
    throw new Error(`no label for node ${target}`);
  }

  /** Makes the locals hold the flags with their kind in fk, as merge points and loops expect. */
  protected enterDynamic(): void {
    if (this.flags === 'memory') this.loadFlags();
    else if (this.flags !== 'dynamic') {
      this.f.i32(this.flags);
      this.f.set(this.fk);
    }
  }
  protected loadFlags(): void {
    const { f } = this;
    const load = (offset: number, local: number): void => {
      f.i32(0);
      f.mem(OP.i32_load, offset, 2);
      f.set(local);
    };
    load(S.FLAG_RESULT, this.fr);
    load(S.FLAG_AUX, this.fa);
    load(J.FLAG_B, this.fb);
    load(J.FLAG_KIND, this.fk);
    this.flags = 'dynamic';
  }
  protected storeFlagLocals(): void {
    const { f } = this;
    const store = (offset: number, local: number): void => {
      f.i32(0);
      f.get(local);
      f.mem(OP.i32_store, offset, 2);
    };
    store(S.FLAG_RESULT, this.fr);
    store(S.FLAG_AUX, this.fa);
    store(J.FLAG_B, this.fb);
  }
  /** Writes the flags to memory if they are not there. */
  protected spillFlags(): void {
    if (this.flags === 'memory') return;
    this.storeFlagLocals();
    this.f.i32(0);
    if (this.flags === 'dynamic') this.f.get(this.fk);
    else this.f.i32(this.flags);
    this.f.mem(OP.i32_store, J.FLAG_KIND, 2);
  }

  protected spillRegisters(): void {
    const { f } = this;
    for (let n = 0; n < 8; n++) {
      f.i32(0);
      f.get(n);
      f.mem(OP.i32_store, S.REGS + 4 * n, 2);
    }
    f.i32(0);
    f.get(LEFT);
    f.mem(OP.i32_store, S.LEFT, 2);
  }

  // ---- leaving ----------------------------------------------------------------------------------------------------------------------

  /** Emits what must reach memory before an exit besides registers and flags. */
  protected onLeave: (() => void) | undefined;
  /** Ends a run of x87 instructions (floating.ts). */
  protected endRun(): void {}
  /** Number of an exit at `eip`; `refund` instructions of the block have not retired. Names the exit in its local. */
  private exitRecord(eip: number, refund: number, bits: number): void {
    const kind = this.flags === 'memory' ? EXIT.KIND_MEMORY : this.flags === 'dynamic' ? EXIT.KIND_DYNAMIC : this.flags;
    this.f.i32(this.exits.length / 3);
    this.f.set(this.exitNumber);
    this.exits.push(eip, refund, kind | bits);
  }
  /** Leaves through the exit block. Does not change what follows. @param bits of EXIT. */
  protected exitAt(eip: number, refund: number, bits = 0): void {
    this.onLeave?.();
    this.exitRecord(eip, refund, bits);
    this.f.br(OP.br, this.depthOf(-1));
  }
  /** Leaves when the value on the stack is not zero. */
  protected exitIf(eip: number, refund: number, bits = 0): void {
    if (this.onLeave !== undefined) {
      this.f.block(OP.if);
      this.labels.push({ target: -2 });
      this.exitAt(eip, refund, bits);
      this.labels.pop();
      this.f.op(OP.end);
      return;
    }
    this.exitRecord(eip, refund, bits);
    this.f.br(OP.br_if, this.depthOf(-1));
  }
  /** After a call into the runtime: leaves at the current instruction when it could not be done. */
  protected checkStatus(): void {
    const { f } = this;
    f.i32(0);
    f.mem(OP.i32_load, J.STATUS, 2);
    this.exitIf(this.eip, this.refund);
  }
  /** Leaves before the present instruction, which the interpreter does; when that happens often, the translation is made anew with more patience. */
  protected leaveIf(patience = this.patience): void {
    this.exitIf(this.eip, this.refund, EXIT.SLOW | (patience << EXIT.PATIENCE_SHIFT));
  }
  /** The exit block: everything into memory, with the number of the exit (Jit.enter reads it). */
  protected exitBlock(): void {
    const { f } = this;
    this.spillRegisters();
    const store = (offset: number, local: number): void => {
      f.i32(0);
      f.get(local);
      f.mem(OP.i32_store, offset, 2);
    };
    store(J.EXIT, this.exitNumber);
    f.i32(0);
    f.i32(this.region.number);
    f.mem(OP.i32_store, J.EXIT_REGION, 2);
    store(J.EXIT_FLAGS, this.fr);
    store(J.EXIT_FLAGS + 4, this.fa);
    store(J.EXIT_FLAGS + 8, this.fb);
    store(J.EXIT_FLAGS + 12, this.fk);
  }
}
