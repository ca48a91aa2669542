// From a region of decoded blocks to one WebAssembly function.
//
// A region is entered at one EIP with the eight general registers and the instruction count as parameters; it leaves by a tail call to the next region or by
// spilling everything and returning. Everything observable is exact: an access that would fault, touch code or a watch leaves the region at that
// instruction with the registers, flags and count of the moment before it, and the interpreter takes over.
// What it leaves out: which regions exist (region.ts), nesting (structure.ts), when to translate (jit.ts). Reasons and figures: README.md.

import { M, R, RECORD } from '../decode';
import { ROWS } from '../rows';
import { CS, ECX, ESP, GS, PAGE, S, SS } from '../state';
import { CC } from './conditions';
import { EFFECT, flagEffect, flatOperand, SEGMENT_NAMES } from './coverage';
import { EXIT, IMPORT, LEFT } from './emission';
import { Instructions } from './instructions';
import { JUMP_CACHE, JUMP_CACHE_BYTES, JUMP_CACHE_ENTRIES } from './layout';
import type { RegionBlock, Terminator } from './region';
import { type FunctionBody, OP } from './wasm';

/** So many internal targets of an indirect jump are compared one after another; more go by a table, or when no table fits, the first few are compared. */
const COMPARED_TARGETS = 3;
const MAX_COMPARED = 6;

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
    this.exitBlock();
    return f;
  }

  // ---- nesting ----------------------------------------------------------------------------------------------------------------------

  private tree(p: number): void {
    const merges = this.shape.children[p].filter((c) => this.shape.merge[c]).sort((a, b) => b - a);
    if (this.shape.loopHeader[p]) {
      this.knowNothing();
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
    this.knowNothing();
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

  // ---- going on ---------------------------------------------------------------------------------------------------------------------

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
    if ((from.linear ^ target) >>> 12 !== 0) this.checkPage(target, target);
  }
  /** Leaves at `eip` when the page of `target` is not what it was. */
  private checkPage(target: number, eip: number): void {
    const { f } = this;
    f.i32(0);
    f.mem(OP.i32_load, this.tlbRead + ((target >>> 12) << 2), 2);
    f.i32((this.region.deltaOf(target) - 1) | 0);
    f.op(OP.i32_ne);
    this.exitIf(eip, 0);
  }

  /** When the value on the stack is not zero, goes to `target`; what is known afterwards is what was known before. */
  private gotoIf(from: RegionBlock, p: number, target: number): void {
    const before = this.know();
    this.f.block(OP.if);
    this.labels.push({ target: -2 });
    this.goto(from, p, target);
    this.labels.pop();
    this.f.op(OP.end);
    this.recall(before);
  }

  /** Control goes to the EIP in local t0: to one of the block's internal successors, else through the jump cache, else out. */
  private gotoIndirect(from: RegionBlock, p: number): void {
    const { f } = this;
    const targets = [...from.edges.keys()];
    const hash = targets.length > COMPARED_TARGETS ? perfectHash(targets) : undefined;
    if (hash === undefined) {
      for (const target of targets.slice(0, MAX_COMPARED)) {
        f.get(this.t0);
        f.i32(target);
        f.op(OP.i32_eq);
        this.gotoIf(from, p, target);
      }
    } else {
      // block $other; block $0; block $1; ... br_table; end; target 0; br $other; end; target 1; ...
      f.block(OP.block);
      this.labels.push({ target: -2 });
      for (let n = 0; n < targets.length; n++) {
        f.block(OP.block);
        this.labels.push({ target: -2 });
      }
      f.get(this.t0);
      f.i32(hash.shift);
      f.op(OP.i32_shr_u);
      f.i32(hash.slots.length - 1);
      f.op(OP.i32_and);
      f.op(OP.br_table);
      f.code.u32(hash.slots.length);
      for (const n of hash.slots) f.code.u32(n < 0 ? targets.length : n);
      f.code.u32(targets.length);
      targets.forEach((target, n) => {
        this.labels.pop();
        f.op(OP.end);
        f.get(this.t0);
        f.i32(target);
        f.op(OP.i32_eq);
        this.gotoIf(from, p, target);
        f.br(OP.br, targets.length - 1 - n);
      });
      this.labels.pop();
      f.op(OP.end);
    }
    this.gotoCached();
  }

  /** Control goes to the EIP in local t0 through the jump cache, else out. */
  private gotoCached(): void {
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
    f.op(OP.end);
    f.op(OP.end);
    f.i32(0);
    f.get(this.t0);
    f.mem(OP.i32_store, S.EIP, 2);
    this.exitAt(0, 0, EXIT.EIP_IN_MEMORY);
  }

  // ---- a block ----------------------------------------------------------------------------------------------------------------------

  private block(p: number): void {
    const { f } = this;
    const b = this.region.blocks[this.shape.order[p]];
    if (p === 0 || this.shape.loopHeader[p]) {
      // Enough instructions left for the longest way to the next such check?
      f.get(LEFT);
      f.i32(this.region.checkLength);
      f.op(OP.i32_lt_s);
      this.exitIf(b.linear, 0);
    }
    if (b.crosses) this.checkPage((b.linear + PAGE) | 0, b.linear);
    f.get(LEFT);
    f.i32(b.translated);
    f.op(OP.i32_sub);
    f.set(LEFT);
    const dead = this.deadFlags(b);
    // Once to see the accesses, then for good.
    const known = this.know();
    const mark = this.mark();
    this.collecting = true;
    this.accesses = [];
    this.body(b, dead);
    this.rewind(mark);
    this.recall(known);
    this.collecting = false;
    this.cursor = 0;
    this.body(b, dead);
    if (b.terminator !== undefined) this.transfer(b, p, b.terminator);
    else if (b.stopsAt !== undefined) this.exitAt(b.stopsAt, 0);
    else this.goto(b, p, (b.linear + b.bytes) | 0);
  }

  /** The block's instructions; of the last one what comes before control goes elsewhere. */
  private body(b: RegionBlock, dead: Uint8Array): void {
    const { code } = this;
    this.beginBlock();
    for (let k = 0; k < b.translated; k++) {
      const i = b.first + k * RECORD;
      this.beginInstruction();
      this.next = (b.linear + code[i + R.END]) | 0;
      this.eip = (this.next - (code[i + R.META] & M.LENGTH)) | 0;
      this.refund = b.translated - k;
      this.flagsDead = dead[k] === 1;
      this.patience = this.region.patience(this.eip);
      if (k === b.translated - 1 && b.terminator !== undefined) {
        this.endRun();
        this.prepare(b.terminator, i);
      } else this.instruction(i);
    }
    this.endRun();
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

  /** What a block's last instruction does besides going elsewhere. An indirect target ends up in local t0. */
  private prepare(t: Terminator, i: number): void {
    const { f, code } = this;
    const { rm, memory } = this.get(i);
    switch (t.kind) {
      case 'loop':
        // LOOP, LOOPE, LOOPNE, JCXZ with 32-bit counts.
        if (t.name !== 'jcxz') this.move(ECX, -1);
        return;
      case 'call':
        f.i32(this.next);
        f.set(this.t0);
        this.pushReturn(this.t0, this.next);
        return;
      case 'ret':
        this.popReturn(code[i + R.IMM]);
        return;
      case 'jmp_ind':
      case 'call_ind':
        if (memory) this.load(this.refOf(i), 2);
        else f.get(rm);
        f.set(this.t0);
        if (t.kind === 'call_ind') {
          f.i32(this.next);
          f.set(this.t1);
          this.pushReturn(this.t1, this.next);
        }
        return;
      case 'interpret':
        // A REP string instruction: straight on when it is done.
        if (this.canRepeat(i)) this.repeated(i);
        else this.interpret(i);
        return;
      case 'system':
        if (this.loadSegment(i)) return;
        this.system(i, t.straight);
        return;
    }
  }

  /** MOV to and POP of ES, DS, FS and GS, on the plain road without leaving the registers' locals. @returns false: not one of them. */
  private loadSegment(i: number): boolean {
    const { f, code } = this;
    const row = ROWS[code[i + R.FORM] >> 3];
    const { reg, rm, memory, size } = this.get(i);
    const pops = row.name === 'pop_sreg';
    const segment = pops ? SEGMENT_NAMES.indexOf(row.args) : reg;
    if ((!pops && row.name !== 'mov_to_sreg') || segment === CS || segment === SS || segment > GS || (pops && size !== 2)) return false;
    if (memory && !flatOperand(code, i)) return false;
    if (pops || memory) {
      this.load(pops ? this.based(ESP) : this.refOf(i), pops ? 2 : 1);
      f.i32(0xffff);
      f.op(OP.i32_and);
    } else this.getReg(rm, 1);
    f.set(this.t0);
    // Both ways meet with the flags in the same state.
    const loaded = this.flags !== 'memory';
    if (loaded) this.enterDynamic();
    if (loaded) this.flags = 'dynamic';
    f.i32(segment);
    f.get(this.t0);
    f.call(IMPORT.LOAD_DATA);
    f.op(OP.i32_eqz);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.system(i, true);
    if (loaded) this.loadFlags();
    this.labels.pop();
    if (pops) {
      f.op(OP.else);
      this.move(ESP, 4);
      this.f.onRegister(ESP);
    }
    f.op(OP.end);
    this.compared = false;
    return true;
  }

  private transfer(b: RegionBlock, p: number, t: Terminator): void {
    const { f, next } = this;
    switch (t.kind) {
      case 'jmp':
      case 'call':
        this.goto(b, p, t.target);
        return;
      case 'jcc':
        this.condition(t.cc);
        this.gotoIf(b, p, t.target);
        this.goto(b, p, next);
        return;
      case 'loop':
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
        this.gotoIf(b, p, t.target);
        this.goto(b, p, next);
        return;
      case 'ret':
      case 'jmp_ind':
      case 'call_ind':
        this.gotoIndirect(b, p);
        return;
      case 'interpret':
        this.goto(b, p, next);
        return;
      case 'system':
        if (t.straight) this.goto(b, p, next);
        return;
    }
  }

  /** A system instruction, the last of its block: POPF in place if it can be, any other by the interpreter. */
  private system(i: number, straight: boolean): void {
    this.spillFlags();
    this.flags = 'memory';
    if (ROWS[this.code[i + R.FORM] >> 3].name === 'popf' && this.get(i).size === 2) this.popFlags(() => this.handled(i, straight));
    else this.handled(i, straight);
  }
  /** Lets the interpreter's handler do system instruction i and goes where that leads: on (only if `straight`), to another region, out. */
  private handled(i: number, straight: boolean): void {
    const { f } = this;
    // The clock must not count it yet.
    const count = (op: number): void => {
      f.get(LEFT);
      f.i32(this.refund);
      f.op(op);
      f.set(LEFT);
    };
    count(OP.i32_add);
    this.spillRegisters();
    const { name } = ROWS[this.code[i + R.FORM] >> 3];
    const { size } = this.get(i);
    const plain = name === 'int' || (name === 'iret' && size === 2);
    if (plain) {
      if (name === 'int') {
        f.i32(this.code[i + R.IMM] & 0xff);
        f.i32(this.next);
        f.call(IMPORT.DELIVER);
      } else f.call(IMPORT.IRET);
      f.tee(this.t0);
      f.op(OP.i32_eqz);
      f.block(OP.if);
    }
    f.i32(straight ? i : ~i);
    f.i32(this.next);
    f.call(IMPORT.SYSTEM);
    f.set(this.t0);
    if (plain) f.op(OP.end);
    for (let n = 0; n < 8; n++) {
      f.i32(0);
      f.mem(OP.i32_load, S.REGS + 4 * n, 2);
      f.set(n);
    }
    count(OP.i32_sub);
    this.forgetPages();
    this.compared = false;
    const when = (code: number, then: () => void): void => {
      f.get(this.t0);
      if (code > 0) {
        f.i32(code);
        f.op(OP.i32_eq);
      }
      f.block(OP.if);
      this.labels.push({ target: -2 });
      then();
      this.labels.pop();
      f.op(OP.end);
    };
    const leave = (): void => {
      when(1, () => this.exitAt(this.eip, this.refund));
      when(2, () => this.exitAt(0, 0, EXIT.EIP_IN_MEMORY));
      for (let n = 0; n < 9; n++) f.get(n);
      f.get(this.t0);
      f.i32(2);
      f.op(OP.i32_shr_u);
      f.op(OP.return_call_indirect);
      f.code.u32(0);
      f.code.u32(0);
    };
    if (straight) when(0, leave);
    else leave();
  }
}

/** A shift and a power-of-two table in which every target has a slot of its own; slots hold target numbers, -1 = none. */
const perfectHash = (targets: readonly number[]): { shift: number; slots: number[] } | undefined => {
  for (let size = 8; size <= 64; size *= 2) {
    for (let shift = 0; shift <= 12; shift++) {
      const slots: number[] = Array(size).fill(-1);
      if (
        targets.every((target, n) => {
          const slot = (target >>> shift) & (size - 1);
          if (slots[slot] >= 0) return false;
          slots[slot] = n;
          return true;
        })
      )
        return { shift, slots };
    }
  }
  return undefined;
};
