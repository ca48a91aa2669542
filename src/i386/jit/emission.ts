// The ground that every part of the translator stands on: the function under construction, its locals and labels, where the flags are, how to leave exactly.
//
// The translator is one class in layers, one file each, because one instruction family is as much as one wants to read at a time: emission, operands,
// conditions, arithmetic, shifts, multiply, special, instructions, translate. What it leaves out: instructions.

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
export const IMPORT = { READ8: 0, READ16: 1, READ32: 2, WRITE8: 3, WRITE16: 4, WRITE32: 5, PROBE: 6, INTERPRET: 7 } as const;
export const REGION_TYPE = { params: [I32, I32, I32, I32, I32, I32, I32, I32, I32], results: [] };
export const MODULE_TYPES = [REGION_TYPE, ...KERNEL_TYPES];

export const LEFT = 8;
/** Flags at a point of the translation: still in memory as on entry, in locals with a kind known only at run time, or in locals of a known kind. */
export type FlagState = 'memory' | 'dynamic' | number;

interface Label {
  /** Position of the node a branch to this label reaches, or -1 for the exit block, -2 for plain nesting. */
  target: number;
}

export abstract class Emission {
  protected readonly f = new FunctionBody(9);
  protected readonly fr = this.f.local();
  protected readonly fa = this.f.local();
  protected readonly fb = this.f.local();
  protected readonly fk = this.f.local();
  protected readonly exitEip = this.f.local();
  protected readonly lin = this.f.local();
  protected readonly entry = this.f.local();
  protected readonly t0 = this.f.local();
  protected readonly t1 = this.f.local();
  protected readonly t2 = this.f.local();
  protected readonly addr = this.f.local();
  protected readonly l0 = this.f.local(I64);
  protected readonly labels: Label[] = [];
  protected flags: FlagState = 'memory';
  protected readonly shape: Structure;
  protected readonly code: Int32Array;
  protected readonly tlbRead: number;
  protected readonly tlbWrite: number;
  /** Of the instruction being translated: its address, the next one's, and how many of the block's count have not retired when it faults. */
  protected eip = 0;
  protected next = 0;
  protected refund = 0;
  protected flagsDead = false;
  /** Set when the code calls the x87 kernel. */
  usesKernel = false;

  constructor(protected readonly region: Region) {
    this.code = region.code;
    this.shape = structure(region.blocks.map((b) => b.internal));
    this.tlbRead = region.user ? TLB.USER_READ : TLB.SUPER_READ;
    this.tlbWrite = region.user ? TLB.USER_WRITE : TLB.SUPER_WRITE;
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

  /** Leaves through the exit block with EIP `eip`; `refund` instructions of the block have not retired. Does not change what follows. */
  protected exitAt(eip: number, refund: number): void {
    const { f } = this;
    f.i32(eip);
    f.set(this.exitEip);
    this.exitWithEip(refund);
  }
  protected exitWithEip(refund: number): void {
    const { f } = this;
    if (refund !== 0) {
      f.get(LEFT);
      f.i32(refund);
      f.op(OP.i32_add);
      f.set(LEFT);
    }
    if (this.flags !== 'dynamic') {
      f.i32(this.flags === 'memory' ? -1 : this.flags);
      f.set(this.fk);
    }
    f.br(OP.br, this.depthOf(-1));
  }
  /** After a call into the runtime: leaves at the current instruction when it could not be done. */
  protected checkStatus(): void {
    const { f } = this;
    f.i32(0);
    f.mem(OP.i32_load, J.STATUS, 2);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(this.eip, this.refund);
    this.labels.pop();
    f.op(OP.end);
  }
}
