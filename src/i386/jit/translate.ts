// From a region of decoded blocks to one WebAssembly function.
//
// A region is entered at one EIP with the eight general registers and the instruction count as parameters; it leaves by a tail call to the next region or by
// spilling everything and returning. Everything observable is exact: an access that would fault, touch code or a watch leaves the region at that
// instruction with the registers, flags and count of the moment before it, and the interpreter takes over.
// What it leaves out: which regions exist (region.ts), nesting (structure.ts), when to translate (jit.ts). Reasons and figures: README.md.

import { M, R, RECORD } from '../decode';
import { ECX, ESP, S } from '../state';
import { J, JUMP_CACHE, JUMP_CACHE_BYTES, JUMP_CACHE_ENTRIES } from './layout';
import type { RegionBlock } from './region';
import { EFFECT, flagEffect } from './coverage';
import { type FunctionBody, OP } from './wasm';
import { CC } from './conditions';
import { LEFT } from './emission';
import { Instructions } from './instructions';

export class Translator extends Instructions {
  translate(): FunctionBody {
    const { f } = this;
    f.block(OP.block);
    this.labels.push({ target: -1 });
    if (this.shape.loopHeader[0]) this.loadFlags();
    this.tree(0);
    f.op(OP.unreachable);
    this.labels.pop();
    f.op(OP.end);
    // Exit: kind -1 in fk means that memory still holds the flags.
    this.spillRegisters();
    f.i32(0);
    f.get(this.exitEip);
    f.mem(OP.i32_store, S.EIP, 2);
    f.get(this.fk);
    f.i32(0);
    f.op(OP.i32_ge_s);
    f.block(OP.if);
    this.storeFlagLocals();
    f.i32(0);
    f.get(this.fk);
    f.mem(OP.i32_store, J.FLAG_KIND, 2);
    f.op(OP.end);
    return f;
  }

  // ---- nesting ----------------------------------------------------------------------------------------------------------------------

  private tree(p: number): void {
    const merges = this.shape.children[p].filter((c) => this.shape.merge[c]).sort((a, b) => b - a);
    if (this.shape.loopHeader[p]) {
      this.flags = 'dynamic';
      this.f.block(OP.loop);
      this.labels.push({ target: p });
      this.within(p, merges);
      this.labels.pop();
      this.f.op(OP.end);
    } else this.within(p, merges);
  }

  private within(p: number, merges: number[]): void {
    if (merges.length === 0) {
      this.block(p);
      return;
    }
    const [first, ...rest] = merges;
    this.f.block(OP.block);
    this.labels.push({ target: first });
    this.within(p, rest);
    this.labels.pop();
    this.f.op(OP.end);
    this.flags = 'dynamic';
    this.tree(first);
  }

  /** Goes on at node position `to` from `from`. */
  private branch(from: number, to: number): void {
    const backward = to <= from;
    if (backward || this.shape.merge[to]) {
      this.enterDynamic();
      this.f.br(OP.br, this.depthOf(to));
      return;
    }
    if (this.shape.loopHeader[to]) this.enterDynamic();
    this.tree(to);
  }

  /** Tail call to the region whose slot stands in `cell`, at `eip`. */
  private chain(cell: number, eip: number): void {
    const { f } = this;
    this.spillFlags();
    f.i32(0);
    f.i32(eip);
    f.mem(OP.i32_store, S.EIP, 2);
    for (let n = 0; n < 9; n++) f.get(n);
    f.i32(0);
    f.mem(OP.i32_load, cell, 2);
    f.op(OP.return_call_indirect);
    f.code.u32(0);
    f.code.u32(0);
  }

  /** Control goes to linear address `target`, outside the region or at an internal node. */
  private goto(from: RegionBlock, p: number, target: number): void {
    const node = from.edges.get(target);
    if (node !== undefined) {
      const to = this.shape.position[node];
      const backward = to <= p;
      if (!(backward && this.shape.irreducible(p, to))) {
        this.checkMapping(from, target);
        this.branch(p, to);
        return;
      }
    }
    const cell = this.region.cellFor(target);
    if (cell < 0) {
      this.exitAt(target, 0);
      return;
    }
    this.checkMapping(from, target);
    this.chain(cell, target);
  }

  /** A page change inside a region holds only while the TLB still maps the page to where the region's code was read. */
  private checkMapping(from: RegionBlock, target: number): void {
    if ((from.linear ^ target) >>> 12 === 0) return;
    const { f } = this;
    const delta = this.region.deltaOf(target);
    f.i32(0);
    f.mem(OP.i32_load, this.tlbRead + ((target >>> 12) << 2), 2);
    f.i32(delta);
    f.op(OP.i32_ne);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(target, 0);
    this.labels.pop();
    f.op(OP.end);
  }

  /** Control goes to the EIP in local t0: through the jump cache, else out. */
  private gotoIndirect(): void {
    const { f } = this;
    const cache = JUMP_CACHE + (this.region.user ? JUMP_CACHE_BYTES : 0);
    // The cache entry's address: (eip ^ eip >>> 12) & mask, times 16.
    f.get(this.t0);
    f.get(this.t0);
    f.i32(12);
    f.op(OP.i32_shr_u);
    f.op(OP.i32_xor);
    f.i32(JUMP_CACHE_ENTRIES - 1);
    f.op(OP.i32_and);
    f.i32(4);
    f.op(OP.i32_shl);
    f.tee(this.t1);
    f.mem(OP.i32_load, cache, 2);
    f.get(this.t0);
    f.op(OP.i32_eq);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    f.get(this.t1);
    f.mem(OP.i32_load, cache + 4, 2);
    f.get(this.t0);
    f.i32(10);
    f.op(OP.i32_shr_u);
    f.i32(0x3ffffc);
    f.op(OP.i32_and);
    f.mem(OP.i32_load, this.tlbRead, 2);
    f.op(OP.i32_eq);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    const before = this.flags;
    this.spillFlags();
    f.i32(0);
    f.get(this.t0);
    f.mem(OP.i32_store, S.EIP, 2);
    for (let n = 0; n < 9; n++) f.get(n);
    f.get(this.t1);
    f.mem(OP.i32_load, cache + 8, 2);
    f.mem(OP.i32_load, 0, 2);
    f.op(OP.return_call_indirect);
    f.code.u32(0);
    f.code.u32(0);
    this.flags = before;
    this.labels.pop();
    f.op(OP.end);
    this.labels.pop();
    f.op(OP.end);
    f.get(this.t0);
    f.set(this.exitEip);
    this.exitWithEip(0);
  }

  // ---- a block ----------------------------------------------------------------------------------------------------------------------

  private block(p: number): void {
    const { f, code } = this;
    const node = this.shape.order[p];
    const b = this.region.blocks[node];
    const first = b.first;
    if (p === 0 || this.shape.loopHeader[p]) {
      // Enough instructions left for the longest way to the next such check?
      f.get(LEFT);
      f.i32(this.region.checkLength);
      f.op(OP.i32_lt_s);
      f.block(OP.if);
      this.labels.push({ target: -2 });
      this.exitAt(b.linear, 0);
      this.labels.pop();
      f.op(OP.end);
    }
    f.get(LEFT);
    f.i32(b.translated);
    f.op(OP.i32_sub);
    f.set(LEFT);
    const dead = this.deadFlags(b);
    for (let k = 0; k < b.translated; k++) {
      const i = first + k * RECORD;
      this.next = (b.linear + code[i + R.END]) | 0;
      this.eip = (this.next - (code[i + R.META] & M.LENGTH)) | 0;
      this.refund = b.translated - k;
      this.flagsDead = dead[k] === 1;
      const last = k === b.translated - 1;
      if (last && b.terminator !== undefined) {
        this.terminate(b, p, i);
        return;
      }
      this.instruction(i);
    }
    // Straight on: to the next block, or out before an instruction that is the interpreter's.
    if (b.stopsAt !== undefined) this.exitAt(b.stopsAt, 0);
    else this.goto(b, p, (b.linear + b.bytes) | 0);
  }

  /** dead[k] = 1: the flags of instruction k are replaced before anybody can see them. */
  private deadFlags(b: RegionBlock): Uint8Array {
    const dead = new Uint8Array(b.translated);
    let needed = true;
    for (let k = b.translated - 1; k >= 0; k--) {
      const i = b.first + k * RECORD;
      const effect = flagEffect(this.code, i);
      if (effect & EFFECT.DEFINES && !needed) dead[k] = 1;
      if (effect & EFFECT.DEFINES) needed = false;
      if (effect & (EFFECT.USES | EFFECT.MAY_LEAVE)) needed = true;
    }
    return dead;
  }

  // ---- block ends -------------------------------------------------------------------------------------------------------------------

  private terminate(b: RegionBlock, p: number, i: number): void {
    const { f, code } = this;
    const t = b.terminator;
    if (t === undefined) return;
    // Emitting one way may translate whole blocks, which moves this.next on.
    const { next } = this;
    const { rm, memory } = this.get(i);
    switch (t.kind) {
      case 'jmp':
        this.goto(b, p, t.target);
        return;
      case 'jcc': {
        this.condition(t.cc);
        const before = this.flags;
        const { compared } = this;
        f.block(OP.if);
        this.labels.push({ target: -2 });
        this.goto(b, p, t.target);
        this.labels.pop();
        f.op(OP.end);
        this.flags = before;
        this.compared = compared;
        this.goto(b, p, next);
        return;
      }
      case 'loop': {
        // LOOP, LOOPE, LOOPNE, JCXZ with 32-bit counts.
        if (t.name !== 'jcxz') {
          f.get(ECX);
          f.i32(1);
          f.op(OP.i32_sub);
          f.set(ECX);
        }
        f.get(ECX);
        if (t.name === 'jcxz') f.op(OP.i32_eqz);
        else {
          f.i32(0);
          f.op(OP.i32_ne);
          if (t.name !== 'loop') {
            this.condition(t.name === 'loope' ? CC.Z : CC.Z | 1);
            f.op(OP.i32_and);
          }
        }
        const before = this.flags;
        const { compared } = this;
        f.block(OP.if);
        this.labels.push({ target: -2 });
        this.goto(b, p, t.target);
        this.labels.pop();
        f.op(OP.end);
        this.flags = before;
        this.compared = compared;
        this.goto(b, p, next);
        return;
      }
      case 'call':
        f.i32(this.next);
        f.set(this.t0);
        this.push(this.t0);
        this.goto(b, p, t.target);
        return;
      case 'ret':
        f.get(ESP);
        this.load(2);
        f.set(this.t0);
        f.get(ESP);
        f.i32(4 + code[i + R.IMM]);
        f.op(OP.i32_add);
        f.set(ESP);
        this.gotoIndirect();
        return;
      case 'jmp_ind':
      case 'call_ind':
        if (memory) {
          this.ea(i);
          this.load(2);
        } else f.get(rm);
        f.set(this.t0);
        if (t.kind === 'call_ind') {
          f.i32(this.next);
          f.set(this.t1);
          this.push(this.t1);
        }
        this.gotoIndirect();
        return;
      case 'interpret':
        // A REP string instruction: straight on when it is done.
        this.interpret(i);
        this.goto(b, p, next);
        return;
    }
  }
}
