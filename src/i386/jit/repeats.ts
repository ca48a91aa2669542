// REP MOVS and REP STOS inside a region.
//
// Programs copy and clear a few dozen bytes at a time far more often than whole pages, so what counts is the cost of getting started: both stretches are checked
// once, then quadwords move in a loop, or memory.copy and memory.fill do it when there are many. What it leaves out: everything but the upward case within
// one page on either side (the interpreter's handler, interpreter/string.ts).

import { M, R } from '../decode';
import { ROWS } from '../rows';
import { EAX, ECX, EDI, ESI, S } from '../state';
import { Multiply } from './multiply';
import { I64, OP } from './wasm';

/** More bytes than this are a matter for memory.copy and memory.fill, which take some 20 ns to begin. */
const LONG = 256;

export abstract class Repeats extends Multiply {
  /** True for a REP MOVS or REP STOS that repeated() can do. */
  protected canRepeat(i: number): boolean {
    const meta = this.code[i + R.META];
    const { name } = ROWS[this.code[i + R.FORM] >> 3];
    return (name === 'movs' || name === 'stos') && !(meta & M.ADDR16) && ((meta >> M.SEG_SHIFT) & 7) < 4;
  }

  /** REP MOVS and REP STOS upwards within one page on either side, without an overlap that byte order would show; anything else is the handler's. */
  protected repeated(i: number): void {
    const { f } = this;
    const { size } = this.get(i);
    const moves = ROWS[this.code[i + R.FORM] >> 3].name === 'movs';
    const bytes = this.temp();
    const to = this.temp();
    const from = this.temp();
    /** Is the stretch at a register not in one page with a fast entry? Its index into the memory goes to `index`. */
    const outside = (reg: number, table: number, index: number): void => {
      f.get(reg);
      f.i32(10);
      f.op(OP.i32_shr_u);
      f.i32(0x3ffffc);
      f.op(OP.i32_and);
      f.mem(OP.i32_load, table, 2);
      f.tee(this.entry);
      f.i32(1);
      f.op(OP.i32_and);
      f.op(OP.i32_eqz);
      f.get(reg);
      f.i32(0xfff);
      f.op(OP.i32_and);
      f.get(bytes);
      f.op(OP.i32_add);
      f.i32(0x1000);
      f.op(OP.i32_gt_u);
      f.op(OP.i32_or);
      f.get(reg);
      f.get(this.entry);
      f.op(OP.i32_add);
      f.i32(1);
      f.op(OP.i32_add);
      f.set(index);
    };
    if (this.patience >= 2) this.enterDynamic();
    f.get(ECX);
    f.i32(size);
    f.op(OP.i32_shl);
    f.set(bytes);
    f.get(ECX);
    f.i32(0x1000);
    f.op(OP.i32_gt_u);
    f.i32(0);
    f.mem(OP.i32_load, S.EFLAGS, 2);
    f.i32(0x400);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
    outside(EDI, this.tlbWrite, to);
    f.op(OP.i32_or);
    if (moves) {
      outside(ESI, this.tlbRead, from);
      f.op(OP.i32_or);
      f.get(to);
      f.get(from);
      f.op(OP.i32_sub);
      f.get(bytes);
      f.op(OP.i32_lt_u);
      f.op(OP.i32_or);
    }
    if (this.patience < 2) {
      this.leaveIf(1);
      if (moves) this.copy(to, from, bytes);
      else this.fill(to, bytes, size);
      this.afterRepeat(moves, bytes);
      return;
    }
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.interpret(i);
    this.loadFlags();
    f.op(OP.else);
    if (moves) this.copy(to, from, bytes);
    else this.fill(to, bytes, size);
    this.afterRepeat(moves, bytes);
    this.labels.pop();
    f.op(OP.end);
    this.flags = 'dynamic';
    this.compared = false;
    for (const n of [ECX, EDI, ESI]) f.onRegister(n);
  }
  private afterRepeat(moves: boolean, bytes: number): void {
    const { f } = this;
    for (const n of moves ? [EDI, ESI] : [EDI]) {
      f.get(n);
      f.get(bytes);
      f.op(OP.i32_add);
      f.set(n);
    }
    f.i32(0);
    f.set(ECX);
  }

  /** A loop over whole quadwords, then what is left: `one` moves or stores 8, 4, 2 or 1 bytes at offset `k`. */
  private pieces(bytes: number, k: number, one: (log: number) => void): void {
    const { f } = this;
    f.i32(0);
    f.set(k);
    f.get(bytes);
    f.i32(8);
    f.op(OP.i32_ge_u);
    f.block(OP.if);
    f.block(OP.loop);
    one(3);
    f.get(k);
    f.i32(8);
    f.op(OP.i32_add);
    f.tee(k);
    f.get(bytes);
    f.i32(-8);
    f.op(OP.i32_and);
    f.op(OP.i32_lt_u);
    f.br(OP.br_if, 0);
    f.op(OP.end);
    f.op(OP.end);
    for (let log = 2; log >= 0; log--) {
      f.get(bytes);
      f.i32(1 << log);
      f.op(OP.i32_and);
      f.block(OP.if);
      one(log);
      if (log > 0) {
        f.get(k);
        f.i32(1 << log);
        f.op(OP.i32_add);
        f.set(k);
      }
      f.op(OP.end);
    }
  }
  private copy(to: number, from: number, bytes: number): void {
    const { f } = this;
    const k = this.temp();
    const at = (base: number): void => {
      f.get(base);
      f.get(k);
      f.op(OP.i32_add);
    };
    f.get(bytes);
    f.i32(LONG);
    f.op(OP.i32_gt_u);
    f.block(OP.if);
    f.get(to);
    f.get(from);
    f.get(bytes);
    f.bulk('copy');
    f.op(OP.else);
    this.pieces(bytes, k, (log) => {
      at(to);
      at(from);
      f.mem([OP.i32_load8_u, OP.i32_load16_u, OP.i32_load, OP.i64_load][log], 0, 0);
      f.mem([OP.i32_store8, OP.i32_store16, OP.i32_store, OP.i64_store][log], 0, 0);
    });
    f.op(OP.end);
  }
  private fill(to: number, bytes: number, size: number): void {
    const { f } = this;
    const k = this.temp();
    const dword = this.temp();
    const qword = this.temp(I64);
    // The pattern four and eight bytes wide.
    this.getReg(EAX, size);
    if (size < 2) {
      f.i32(size === 0 ? 0x01010101 : 0x00010001);
      f.op(OP.i32_mul);
    }
    f.set(dword);
    f.get(bytes);
    f.i32(LONG);
    f.op(OP.i32_gt_u);
    f.get(dword);
    f.get(dword);
    f.i32(8);
    f.op(OP.i32_rotl);
    f.op(OP.i32_eq);
    f.op(OP.i32_and);
    f.block(OP.if);
    f.get(to);
    f.get(dword);
    f.get(bytes);
    f.bulk('fill');
    f.op(OP.else);
    f.get(dword);
    f.op(OP.i64_extend_i32_u);
    f.tee(qword);
    f.get(qword);
    f.i64(32n);
    f.op(OP.i64_shl);
    f.op(OP.i64_or);
    f.set(qword);
    this.pieces(bytes, k, (log) => {
      f.get(to);
      f.get(k);
      f.op(OP.i32_add);
      f.get(log === 3 ? qword : dword);
      f.mem([OP.i32_store8, OP.i32_store16, OP.i32_store, OP.i64_store][log], 0, 0);
    });
    f.op(OP.end);
  }
}
