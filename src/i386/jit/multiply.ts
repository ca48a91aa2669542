// Products, quotients, and the instructions on single bits (BT and its kin, BSF, BSR).
//
// Anything that would raise #DE leaves the region; the interpreter raises it. Undefined flags are the interpreter's.

import { R } from '../decode';
import { EAX, EDX } from '../state';
import { KIND } from './layout';
import { I64, OP } from './wasm';
import { Shifts } from './shifts';

export abstract class Multiply extends Shifts {
  protected imul(i: number, args: string): void {
    const { f, code } = this;
    const { reg } = this.get(i);
    this.getE(i);
    f.op(OP.i64_extend_i32_s);
    if (args === 'Gv Ev') f.get(reg);
    else f.i32(code[i + R.IMM]);
    f.op(OP.i64_extend_i32_s);
    f.op(OP.i64_mul);
    f.tee(this.l0);
    f.op(OP.i32_wrap_i64);
    f.set(reg);
    this.productFlags(reg, true);
  }
  /** Flags of a multiplication whose product is in l0, low dword in local `low`: CF = OF = the high half matters. */
  protected productFlags(low: number, signed: boolean): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(low);
    f.set(this.fr);
    f.get(low);
    f.op(signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u);
    f.get(this.l0);
    f.op(OP.i64_ne);
    // CF = OF, so bit 30 is 0. AF and the parity follow the interpreter: AF 0, result = low dword.
    f.i32(31);
    f.op(OP.i32_shl);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }
  protected multiply(i: number, signed: boolean): void {
    const { f } = this;
    const extend = signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u;
    this.getE(i);
    f.op(extend);
    f.get(EAX);
    f.op(extend);
    f.op(OP.i64_mul);
    f.tee(this.l0);
    f.op(OP.i32_wrap_i64);
    f.set(EAX);
    f.get(this.l0);
    f.i64(32n);
    f.op(OP.i64_shr_u);
    f.op(OP.i32_wrap_i64);
    f.set(EDX);
    this.productFlags(EAX, signed);
  }
  /** 32-bit division; anything that would raise #DE goes to the interpreter. Flags are left as they are (undefined on hardware). */
  protected divide(i: number, signed: boolean): void {
    const { f } = this;
    const divisor = this.temp();
    this.getE(i);
    f.set(divisor);
    const leave = (): void => this.leaveIf();
    f.get(divisor);
    f.op(OP.i32_eqz);
    leave();
    const q = this.temp(I64);
    f.get(EDX);
    f.op(OP.i64_extend_i32_u);
    f.i64(32n);
    f.op(OP.i64_shl);
    f.get(EAX);
    f.op(OP.i64_extend_i32_u);
    f.op(OP.i64_or);
    f.set(this.l0);
    if (signed) {
      // -2^63 / -1 would trap in WebAssembly; EDX = 80000000 never gives a quotient that fits.
      f.get(EDX);
      f.i32(0x80000000 | 0);
      f.op(OP.i32_eq);
      leave();
    }
    const extend = signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u;
    f.get(this.l0);
    f.get(divisor);
    f.op(extend);
    f.op(signed ? OP.i64_div_s : OP.i64_div_u);
    f.tee(q);
    f.get(q);
    f.op(OP.i32_wrap_i64);
    f.op(extend);
    f.op(OP.i64_ne);
    leave();
    f.get(this.l0);
    f.get(q);
    f.get(divisor);
    f.op(extend);
    f.op(OP.i64_mul);
    f.op(OP.i64_sub);
    f.op(OP.i32_wrap_i64);
    f.set(EDX);
    f.get(q);
    f.op(OP.i32_wrap_i64);
    f.set(EAX);
  }

  /** BT, BTS, BTR, BTC on dwords. */
  protected bitTest(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { reg, rm, memory } = this.get(i);
    const writes = name !== 'bt';
    const value = this.temp();
    const n = this.temp();
    if (args === 'Ev Ib') f.i32(code[i + R.IMM] & 31);
    else {
      f.get(reg);
      f.i32(31);
      f.op(OP.i32_and);
    }
    f.set(n);
    if (memory) {
      let ref = this.refOf(i);
      if (args !== 'Ev Ib') {
        // A register's bit offset reaches beyond the dword.
        const local = this.temp();
        this.address(ref);
        f.get(reg);
        f.i32(5);
        f.op(OP.i32_shr_s);
        f.i32(2);
        f.op(OP.i32_shl);
        f.op(OP.i32_add);
        f.set(local);
        ref = { ...ref, local };
      }
      if (writes) {
        this.probe(ref, 2);
        this.loadProbed(2);
      } else this.load(ref, 2);
    } else f.get(rm);
    f.set(value);
    if (writes) {
      const r = this.temp();
      f.get(value);
      f.i32(1);
      f.get(n);
      f.op(OP.i32_shl);
      if (name === 'btr') {
        f.i32(-1);
        f.op(OP.i32_xor);
      }
      f.op(name === 'bts' ? OP.i32_or : name === 'btr' ? OP.i32_and : OP.i32_xor);
      f.set(r);
      this.writeBack(i, r);
    }
    if (this.flagsDead) return;
    this.canonical();
    f.get(value);
    f.get(n);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.set(this.t0);
    // Only CF changes; OF is kept, so bit 30 (CF ^ OF) flips with CF.
    f.get(this.fa);
    f.get(this.fa);
    f.i32(31);
    f.op(OP.i32_shr_u);
    f.get(this.t0);
    f.op(OP.i32_ne);
    f.i32(30);
    f.op(OP.i32_shl);
    f.i32(3);
    f.op(OP.i32_mul);
    f.op(OP.i32_xor);
    f.set(this.fa);
    this.compared = false;
  }

  /** BSF and BSR on dwords; zero leaves the destination alone, the undefined flags are cleared as in the interpreter. */
  protected bitScan(i: number, forward: boolean): void {
    const { f } = this;
    const { reg } = this.get(i);
    const value = this.temp();
    this.getE(i);
    f.tee(value);
    f.block(OP.if);
    if (forward) {
      f.get(value);
      f.op(OP.i32_ctz);
    } else {
      f.i32(31);
      f.get(value);
      f.op(OP.i32_clz);
      f.op(OP.i32_sub);
    }
    f.set(reg);
    f.op(OP.end);
    if (this.flagsDead) return;
    f.get(value);
    f.i32(0);
    f.op(OP.i32_ne);
    f.set(this.fr);
    f.i32(0);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }
}
