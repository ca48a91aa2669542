// Shifts and rotates, single and double.
//
// Undefined flags are the interpreter's (interpreter/shift.ts), or two runs of one Guest would differ. What it leaves out: see coverage.ts.

import { R } from '../decode';
import { ECX } from '../state';
import { constantCount } from './coverage';
import { KIND } from './layout';
import { OP } from './wasm';
import { Arithmetic } from './arithmetic';

export abstract class Shifts extends Arithmetic {
  /** Shifts and rotates by a constant or, for dwords, by CL; the rest is left to the interpreter (canTranslate). */
  protected shift(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { size } = this.get(i);
    const a = this.temp();
    const r = this.temp();
    const n = this.temp();
    const constant = constantCount(args, code[i + R.IMM]);
    const byCl = constant === undefined;
    if (constant === 0) return;
    this.readModify(i, a);
    if (constant === undefined) {
      f.get(ECX);
      f.i32(31);
      f.op(OP.i32_and);
    } else f.i32(constant);
    f.set(n);
    const rotate = name[0] === 'r';
    const left = name === 'rol' || name === 'rcl';
    const last = this.temp();
    if (name === 'rcl' || name === 'rcr') {
      // Of a dword by one: what goes out is the next carry.
      this.canonical();
      f.get(a);
      f.i32(left ? 31 : 0);
      f.op(OP.i32_shr_u);
      f.i32(1);
      f.op(OP.i32_and);
      f.set(last);
      f.get(a);
      f.i32(1);
      f.op(left ? OP.i32_shl : OP.i32_shr_u);
      this.carry();
      f.i32(left ? 0 : 31);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
    } else if (rotate && size < 2) {
      const bits = 8 << size;
      const by = (constant ?? 0) & (bits - 1);
      f.get(a);
      f.i32(left ? by : bits - by);
      f.op(OP.i32_shl);
      f.get(a);
      f.i32(left ? bits - by : by);
      f.op(OP.i32_shr_u);
      f.op(OP.i32_or);
    } else {
      const op = { shl: OP.i32_shl, shr: OP.i32_shr_u, sar: OP.i32_shr_s, rol: OP.i32_rotl, ror: OP.i32_rotr }[name] ?? OP.i32_shl;
      f.get(a);
      if (name === 'sar') this.extend(size);
      f.get(n);
      f.op(op);
    }
    f.set(r);
    this.writeBack(i, r);
    if (this.flagsDead) return;
    if (byCl) {
      // A count of zero leaves the flags alone.
      this.canonical();
      f.get(n);
      f.block(OP.if);
    }
    if (rotate) {
      // CF: the bit that went out; OF: CF and the top bit differ (left), the two top bits do (right); the rest stays.
      this.canonical();
      const top = this.temp();
      f.get(r);
      f.i32(32 - (8 << size));
      f.op(OP.i32_shl);
      f.set(top);
      if (name[1] === 'o') {
        f.get(left ? r : top);
        f.i32(left ? 0 : 31);
        f.op(OP.i32_shr_u);
        f.i32(1);
        f.op(OP.i32_and);
        f.set(last);
      }
      f.get(this.fa);
      f.i32(0x3fffffff);
      f.op(OP.i32_and);
      f.get(last);
      f.i32(31);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
      // Bit 30 is CF ^ OF: left the top bit; right the next one, with ROR, where CF is the top bit, and both with RCR.
      const bit = (number: number): void => {
        f.get(top);
        f.i32(number);
        f.op(OP.i32_shr_u);
        f.i32(1);
        f.op(OP.i32_and);
      };
      bit(left ? 31 : 30);
      if (name === 'rcr') {
        bit(31);
        f.op(OP.i32_xor);
        f.get(last);
        f.op(OP.i32_xor);
      }
      f.i32(30);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
      f.set(this.fa);
      this.flags = KIND.AUX;
    } else {
      const bits = 8 << size;
      f.get(r);
      this.extend(size);
      f.set(this.fr);
      const cf = this.temp();
      // The last bit out.
      if (name === 'shl') {
        f.get(a);
        f.i32(bits);
        f.get(n);
        f.op(OP.i32_sub);
        f.op(OP.i32_shr_u);
      } else {
        f.get(a);
        if (name === 'sar') this.extend(size);
        f.get(n);
        f.i32(1);
        f.op(OP.i32_sub);
        f.op(name === 'sar' ? OP.i32_shr_s : OP.i32_shr_u);
      }
      f.i32(1);
      f.op(OP.i32_and);
      f.set(cf);
      f.get(cf);
      f.i32(31);
      f.op(OP.i32_shl);
      // bit 30 = CF ^ OF. shl: OF = MSB(result) ^ CF. shr: OF = the result's second bit (MSB(a) for a count of 1). sar: OF = 0.
      if (name === 'shl') {
        f.get(this.fr);
        f.i32(31);
        f.op(OP.i32_shr_u);
      } else if (name === 'shr') {
        f.get(cf);
        f.get(r);
        f.i32(bits - 2);
        f.op(OP.i32_shr_u);
        f.i32(1);
        f.op(OP.i32_and);
        f.op(OP.i32_xor);
      } else f.get(cf);
      f.i32(30);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
      f.set(this.fa);
      this.flags = KIND.AUX;
    }
    if (byCl) f.op(OP.end);
    this.compared = false;
  }

  /** SHLD and SHRD of dwords by a constant. */
  protected doubleShift(i: number, left: boolean): void {
    const { f, code } = this;
    const { reg } = this.get(i);
    const constant = code[i + R.IMM] & 31;
    if (constant === 0) return;
    const a = this.temp();
    const n = this.temp();
    const r = this.temp();
    this.readModify(i, a);
    f.i32(constant);
    f.set(n);
    f.get(a);
    f.get(n);
    f.op(left ? OP.i32_shl : OP.i32_shr_u);
    f.get(reg);
    f.i32(32);
    f.get(n);
    f.op(OP.i32_sub);
    f.op(left ? OP.i32_shr_u : OP.i32_shl);
    f.op(OP.i32_or);
    f.set(r);
    this.writeBack(i, r);
    if (this.flagsDead) return;
    f.get(r);
    f.set(this.fr);
    const cf = this.temp();
    f.get(a);
    if (left) f.i32(32 - constant);
    else f.i32(constant - 1);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.set(cf);
    f.get(cf);
    f.i32(31);
    f.op(OP.i32_shl);
    // OF as the interpreter has it for every count. bit 30 = CF ^ OF: shld MSB(r), shrd CF ^ the two top bits of r.
    f.get(r);
    f.i32(31);
    f.op(OP.i32_shr_u);
    if (!left) {
      f.get(r);
      f.i32(30);
      f.op(OP.i32_shr_u);
      f.op(OP.i32_xor);
      f.i32(1);
      f.op(OP.i32_and);
      f.get(cf);
      f.op(OP.i32_xor);
    }
    f.i32(30);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }
}
