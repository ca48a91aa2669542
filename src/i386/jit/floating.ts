// Runs of common x87 instructions inside a block, with everything but the arithmetic settled at translation time.
//
// The first of a run checks once what all need: extended precision to nearest, all exceptions masked, none pending, the right registers filled and free. From there
// on TOP and the tags are known relative to the start, a register is the address of its slot, and status word, tags and pointers are written only when the run ends or
// leaves. Arithmetic is done by the kernel's pieces, which refuse what is not ordinary; then the region leaves before the instruction. What it leaves out: precise
// results (x87/kernel), everything rare, and blocks where leaving turned out to be common (special.ts).

import { M, R } from '../decode';
import { ROWS } from '../rows';
import { CR0, EAX, S } from '../state';
import { X87_ENTRY } from './coverage';
import { KERNEL_SLOT, REGISTER_ENTRY } from './emission';
import { KIND } from './layout';
import type { Place } from './operands';
import { Repeats } from './repeats';
import { I64, OP } from './wasm';

/** Status word: rounded up; TOP; condition codes; what a piece may report. */
const C1 = 0x200;
const TOP = 0x3800;
const CONDITIONS = 0x4500;
const REPORTED = 0x220;

/** What a run wants of the registers, by number relative to TOP at its start. */
interface Needs {
  filled: number;
  free: number;
}
/** A run under construction. Registers are numbered relative to TOP at its start. */
interface Run {
  needs: Needs;
  /** Pushes lower it, pops raise it. */
  top: number;
  filled: Map<number, boolean>;
  /** Registers whose slot address is in its local. */
  located: Set<number>;
  last: { eip: number; fop: number } | undefined;
  /** Segment number of the latest memory operand, whose linear address is in a local. */
  segment: number | undefined;
}

const ARITHMETIC = /^f(i?)(add|mul|subr|sub|divr|div)(?:_(to_pop|to|m16|m32|m64))?$/;
const COMPARISON = /^fu?com(i?)(pp|p|)(?:_(m32|m64))?$/;
const CONSTANTS: Record<string, [number, bigint]> = { fld1: [0x3fff, -0x8000000000000000n], fldz: [0, 0n] };
const SIZES: Record<string, number> = { m16: 1, m32: 2, m64: 3 };

export abstract class Floating extends Repeats {
  private run: Run | undefined;
  private readonly status = this.f.local();
  private readonly startTop = this.f.local();
  private readonly tags = this.f.local();
  private readonly dataPointer = this.f.local();
  private readonly slots = Array.from({ length: 8 }, () => this.f.local());
  /** Of the block's runs, in order: found out by the first emission. */
  private wanted: Needs[] = [];
  private runs = 0;
  /** Of the instruction being translated, once nothing can go wrong any more: notes its memory operand. */
  private pending: (() => void) | undefined;

  /** Called before each emission of a block. */
  protected beginBlock(): void {
    if (this.collecting) this.wanted = [];
    this.runs = 0;
  }

  // ---- runs ---------------------------------------------------------------------------------------------------------------------------

  private number(n: number): number {
    const top = this.run?.top ?? 0;
    return (top + n) & 7;
  }
  /** Opens a run unless there is one. */
  private open(): Run {
    if (this.run !== undefined) return this.run;
    const { f } = this;
    if (this.collecting) this.wanted.push({ filled: 0, free: 0 });
    const needs = this.wanted[this.runs++];
    const word = (offset: number): void => {
      f.i32(0);
      f.mem(OP.i32_load, offset, 2);
    };
    word(S.FPU_SW);
    f.tee(this.status);
    f.i32(11);
    f.op(OP.i32_shr_u);
    f.i32(7);
    f.op(OP.i32_and);
    f.set(this.startTop);
    // Tags, turned so that bit n stands for ST(n).
    word(S.FPU_VALID);
    f.i32(0x101);
    f.op(OP.i32_mul);
    f.get(this.startTop);
    f.op(OP.i32_shr_u);
    f.i32(0xff);
    f.op(OP.i32_and);
    f.tee(this.tags);
    f.i32(needs.filled | needs.free);
    f.op(OP.i32_and);
    f.i32(needs.filled);
    f.op(OP.i32_ne);
    word(S.FPU_CW);
    f.i32(0xf3f);
    f.op(OP.i32_and);
    f.i32(0x33f);
    f.op(OP.i32_ne);
    f.op(OP.i32_or);
    word(S.CR0);
    f.i32(CR0.EM | CR0.TS);
    f.op(OP.i32_and);
    f.get(this.status);
    f.i32(0x80);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
    f.op(OP.i32_or);
    this.leaveIf(1);
    this.run = { needs, top: 0, filled: new Map(), located: new Set(), last: undefined, segment: undefined };
    this.onLeave = () => this.writeBack87();
    return this.run;
  }
  /** Ends the run, if there is one: everything to memory. */
  protected override endRun(): void {
    if (this.run === undefined) return;
    this.writeBack87();
    this.run = undefined;
    this.onLeave = undefined;
  }
  /** Status word with the present TOP onto the stack. */
  private statusWord(): void {
    const { f } = this;
    f.get(this.status);
    f.i32(~TOP);
    f.op(OP.i32_and);
    f.get(this.startTop);
    f.i32(this.number(0));
    f.op(OP.i32_add);
    f.i32(11);
    f.op(OP.i32_shl);
    f.i32(TOP);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
  }
  private writeBack87(): void {
    const { f, run } = this;
    if (run === undefined) return;
    const store = (offset: number, value: () => void): void => {
      f.i32(0);
      value();
      f.mem(OP.i32_store, offset, 2);
    };
    const selector = (segment: number): void => {
      f.i32(0);
      f.mem(OP.i32_load, S.SELECTOR + 4 * segment, 2);
    };
    store(S.FPU_SW, () => this.statusWord());
    let filled = 0;
    let free = 0;
    for (const [n, is] of run.filled) {
      if (is) filled |= 1 << n;
      else free |= 1 << n;
    }
    store(S.FPU_VALID, () => {
      f.get(this.tags);
      f.i32(~free & 0xff);
      f.op(OP.i32_and);
      f.i32(filled);
      f.op(OP.i32_or);
      f.i32(0x101);
      f.op(OP.i32_mul);
      f.get(this.startTop);
      f.op(OP.i32_shl);
      f.i32(8);
      f.op(OP.i32_shr_u);
      f.i32(0xff);
      f.op(OP.i32_and);
    });
    const { last, segment } = run;
    if (last !== undefined) {
      store(S.FPU_FIP, () => f.i32(last.eip));
      store(S.FPU_FCS, () => selector(1));
      store(S.FPU_FOP, () => f.i32(last.fop));
    }
    if (segment !== undefined) {
      store(S.FPU_FDP, () => f.get(this.dataPointer));
      store(S.FPU_FDS, () => selector(segment));
    }
  }

  /** ST(n) must be filled (or free). @returns false when it is known not to be. */
  private want(n: number, filled: boolean): boolean {
    const run = this.open();
    const r = this.number(n);
    const known = run.filled.get(r);
    if (known !== undefined) return known === filled;
    if (this.collecting) {
      if (filled) run.needs.filled |= 1 << r;
      else run.needs.free |= 1 << r;
    }
    run.filled.set(r, filled);
    return true;
  }
  /** Address of the slot of ST(n) in a local. */
  private slot(n: number): number {
    const { f } = this;
    const run = this.open();
    const r = this.number(n);
    const local = this.slots[r];
    if (!run.located.has(r)) {
      run.located.add(r);
      f.get(this.startTop);
      f.i32(r);
      f.op(OP.i32_add);
      f.i32(7);
      f.op(OP.i32_and);
      f.i32(4);
      f.op(OP.i32_shl);
      f.i32(S.FPU_REGS);
      f.op(OP.i32_add);
      f.set(local);
    }
    return local;
  }
  private push87(): void {
    const run = this.open();
    run.top--;
    run.filled.set(this.number(0), true);
  }
  private pop87(): void {
    const run = this.open();
    run.filled.set(this.number(0), false);
    run.top++;
  }
  /** Calls a piece of the kernel; arguments are on the stack. Leaves when it refuses. What it reports is in the local. */
  private piece(name: string): number {
    const { f } = this;
    const result = this.temp();
    const entry = X87_ENTRY.get(`piece_${name}`);
    if (entry === undefined) throw new Error(`the x87 kernel has no piece ${name}`);
    this.usesKernel = true;
    f.i32(KERNEL_SLOT + entry);
    f.op(OP.call_indirect);
    f.code.u32(REGISTER_ENTRY);
    f.code.u32(0);
    f.tee(result);
    f.op(OP.i32_eqz);
    this.leaveIf(1);
    return result;
  }
  /** Replaces C1 and adds exceptions from local `reported` (none: C1 is cleared). */
  private report(reported?: number): void {
    const { f } = this;
    f.get(this.status);
    f.i32(~C1);
    f.op(OP.i32_and);
    if (reported !== undefined) {
      f.get(reported);
      f.i32(REPORTED);
      f.op(OP.i32_and);
      f.op(OP.i32_or);
    }
    f.set(this.status);
  }

  // ---- instructions -------------------------------------------------------------------------------------------------------------------

  /** Does record i inside a run when it can. @returns false: nothing was done but perhaps a run opened. */
  protected floating(i: number, name: string): boolean {
    this.pending = undefined;
    if (this.patience >= 2 || !this.floatingCase(i, name)) return false;
    const run = this.open();
    this.notePending();
    run.last = { eip: this.eip, fop: ((ROWS[this.code[i + R.FORM] >> 3].op & 7) << 8) | ((this.code[i + R.REGS] >> 8) & 0xff) };
    return true;
  }

  private notePending(): void {
    this.pending?.();
  }

  private floatingCase(i: number, name: string): boolean {
    const { f, code } = this;
    const n = (code[i + R.REGS] >> 4) & 7;
    const arithmetic = ARITHMETIC.exec(name);
    if (arithmetic !== null) {
      const [, integer, op, to] = arithmetic;
      if (!this.want(0, true)) return false;
      let a = 0;
      let b = n;
      if (to?.startsWith('to')) [a, b] = [n, 0];
      let source: number;
      if (to?.startsWith('m')) {
        source = this.temp();
        f.i32(S.FPU_TEMP);
        f.set(source);
        this.fetch(i, integer ? `i${to.slice(1)}` : to, SIZES[to], source);
      } else {
        if (!this.want(n, true)) return false;
        source = this.slot(b);
      }
      const target = this.slot(a);
      f.get(target);
      f.get(target);
      f.get(source);
      this.report(this.piece(op));
      if (to === 'to_pop') this.pop87();
      return true;
    }
    const comparison = COMPARISON.exec(name);
    if (comparison !== null) {
      const [, toFlags, pops, to] = comparison;
      if (!this.want(0, true)) return false;
      if (pops === 'pp' && n !== 1) return false;
      let source: number;
      if (to !== undefined) {
        source = this.temp();
        f.i32(S.FPU_TEMP);
        f.set(source);
        this.fetch(i, to, SIZES[to], source);
      } else {
        if (!this.want(n, true)) return false;
        source = this.slot(n);
      }
      f.get(this.slot(0));
      f.get(source);
      f.i32(0);
      this.compare(this.piece('compare'), toFlags !== '');
      for (let k = 0; k < pops.length; k++) this.pop87();
      return true;
    }
    if (name in CONSTANTS || name === 'fld') {
      if (name === 'fld' && !this.want(n, true)) return false;
      if (!this.want(-1, false)) return false;
      const target = this.slot(-1);
      if (name === 'fld') this.copy87(target, this.slot(n));
      else {
        const [s, m] = CONSTANTS[name];
        f.get(target);
        f.i64(m);
        f.mem(OP.i64_store, 0, 3);
        f.get(target);
        f.i32(s);
        f.mem(OP.i32_store, 8, 2);
      }
      this.push87();
      this.report();
      return true;
    }
    switch (name) {
      case 'fld_m32':
      case 'fld_m64':
      case 'fild_m16':
      case 'fild_m32':
      case 'fild_m64': {
        if (!this.want(-1, false)) return false;
        const to = name.slice(-3);
        this.fetch(i, name.startsWith('fi') ? `i${to.slice(1)}` : to, SIZES[to], this.slot(-1));
        this.push87();
        this.report();
        return true;
      }
      case 'fst_m32':
      case 'fstp_m32':
      case 'fst_m64':
      case 'fstp_m64': {
        if (!this.want(0, true)) return false;
        const source = this.slot(0);
        const pointer = this.temp();
        this.index(this.pointed(i, SIZES[name.slice(-3)], true, pointer));
        f.get(source);
        f.i32(0);
        this.report(this.piece(`store_${name.slice(-3)}`));
        this.pending = () => this.pointTo(i, pointer);
        if (name.startsWith('fstp')) this.pop87();
        return true;
      }
      case 'fst':
      case 'fstp':
        if (!this.want(0, true)) return false;
        this.copy87(this.slot(n), this.slot(0));
        this.open().filled.set(this.number(n), true);
        if (name === 'fstp') this.pop87();
        this.report();
        return true;
      case 'fxch': {
        if (!this.want(0, true) || !this.want(n, true)) return false;
        const m = this.temp(I64);
        const s = this.temp();
        const a = this.slot(0);
        const b = this.slot(n);
        f.get(a);
        f.mem(OP.i64_load, 0, 3);
        f.set(m);
        f.get(a);
        f.mem(OP.i32_load, 8, 2);
        f.set(s);
        this.copy87(a, b);
        f.get(b);
        f.get(m);
        f.mem(OP.i64_store, 0, 3);
        f.get(b);
        f.get(s);
        f.mem(OP.i32_store, 8, 2);
        this.report();
        return true;
      }
      case 'fchs':
      case 'fabs': {
        if (!this.want(0, true)) return false;
        const a = this.slot(0);
        f.get(a);
        f.get(a);
        f.mem(OP.i32_load, 8, 2);
        f.i32(name === 'fchs' ? 0x8000 : 0x7fff);
        f.op(name === 'fchs' ? OP.i32_xor : OP.i32_and);
        f.mem(OP.i32_store, 8, 2);
        this.report();
        return true;
      }
      case 'fsqrt': {
        if (!this.want(0, true)) return false;
        const a = this.slot(0);
        f.get(a);
        f.get(a);
        f.i32(0);
        this.report(this.piece('sqrt'));
        return true;
      }
    }
    return false;
  }

  private copy87(to: number, from: number): void {
    const { f } = this;
    f.get(to);
    f.get(from);
    f.mem(OP.i64_load, 0, 3);
    f.mem(OP.i64_store, 0, 3);
    f.get(to);
    f.get(from);
    f.mem(OP.i32_load, 8, 2);
    f.mem(OP.i32_store, 8, 2);
  }
  private index({ p, offset }: Place): void {
    const { f } = this;
    f.get(p);
    if (offset !== 0) {
      f.i32(offset);
      f.op(OP.i32_add);
    }
  }
  /** Place of the memory operand, whose linear address goes to local `pointer`. */
  private pointed(i: number, size: number, write: boolean, pointer: number): Place {
    const ref = this.refOf(i);
    this.address(ref);
    this.f.set(pointer);
    return this.place(ref, size, write);
  }
  private pointTo(i: number, pointer: number): void {
    this.f.get(pointer);
    this.f.set(this.dataPointer);
    this.open().segment = (this.code[i + R.META] >> M.SEG_SHIFT) & 7;
  }
  /** The memory operand as an extended number into the slot whose address is in local `slot`. */
  private fetch(i: number, format: string, size: number, slot: number): void {
    const { f } = this;
    const pointer = this.temp();
    const place = this.pointed(i, size, false, pointer);
    f.get(slot);
    this.index(place);
    f.i32(0);
    this.piece(`load_${format}`);
    this.pending = () => this.pointTo(i, pointer);
  }
  /** Order in local `order`: into the condition codes, or into ZF, PF and CF. */
  private compare(order: number, toFlags: boolean): void {
    const { f } = this;
    f.get(this.status);
    f.i32(~(toFlags ? C1 : C1 | CONDITIONS));
    f.op(OP.i32_and);
    if (!toFlags) {
      f.get(order);
      f.i32(CONDITIONS);
      f.op(OP.i32_and);
      f.op(OP.i32_or);
      f.set(this.status);
      return;
    }
    f.set(this.status);
    // In the form of ../flags.ts: a result of zero has even parity, so bit 8 of the aux word turns PF over; CF in bits 31 and 30 means no OF.
    const bit = (mask: number, shift: number): void => {
      f.get(order);
      f.i32(mask);
      f.op(OP.i32_and);
      f.i32(Math.abs(shift));
      f.op(shift < 0 ? OP.i32_shr_u : OP.i32_shl);
    };
    f.get(order);
    f.i32(0x4000);
    f.op(OP.i32_and);
    f.op(OP.i32_eqz);
    f.set(this.fr);
    bit(0x100, 23);
    bit(0x100, 22);
    f.op(OP.i32_or);
    bit(0x4000, -6);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }

  /** FNSTSW AX inside a run. @returns false when there is none. */
  protected statusToAx(): boolean {
    if (this.run === undefined) return false;
    this.statusWord();
    this.f.set(this.t0);
    this.setReg(EAX, 1, this.t0);
    return true;
  }
}
