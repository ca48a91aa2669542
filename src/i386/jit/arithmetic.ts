// Moves and the arithmetic and logic of two operands.
//
// What it leaves out: shifts, products, bits, strings (the layers above). Source: SDM vol. 2, the instructions' pages.

import { R } from '../decode';
import { EAX } from '../state';
import { KIND } from './layout';
import { OP } from './wasm';
import { Conditions } from './conditions';

export abstract class Arithmetic extends Conditions {
  protected mov(i: number, args: string): void {
    const { f } = this;
    const { reg, rm, memory, size } = this.get(i);
    switch (args) {
      case 'Eb Gb':
      case 'Ev Gv':
        if (memory) {
          if (size === 2) this.store(this.refOf(i), 2, reg);
          else {
            this.getReg(reg, size);
            f.set(this.t0);
            this.store(this.refOf(i), size, this.t0);
          }
        } else if (size === 2) {
          f.get(reg);
          f.set(rm);
          this.isNow(rm, this.values[reg], this.offsets[reg], 0);
        } else {
          this.getReg(reg, size);
          f.set(this.t0);
          this.setReg(rm, size, this.t0);
        }
        return;
      case 'Gb Eb':
      case 'Gv Ev':
        this.getE(i);
        f.set(this.t0);
        this.setReg(reg, size, this.t0);
        return;
      case 'AL Ob':
      case 'eAX Ov':
        this.load(this.refOf(i), size);
        f.set(this.t0);
        this.setReg(EAX, size, this.t0);
        return;
      case 'Ob AL':
      case 'Ov eAX':
        this.store(this.refOf(i), size, EAX);
        return;
      default: {
        // Zb Ib, Zv Iv, Eb Ib, Ev Iz
        this.immediate(i);
        f.set(this.t0);
        if (memory) this.store(this.refOf(i), size, this.t0);
        else this.setReg(rm, size, this.t0);
      }
    }
  }

  protected alu(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { reg, rm, memory, size } = this.get(i);
    const imm = code[i + R.IMM];
    const a = this.temp();
    const b = this.temp();
    const r = this.temp();
    const writes = name !== 'cmp' && name !== 'test';
    let destination: 'memory' | number;
    // Operand b first when it is a register or an immediate: it cannot fault.
    if (args === 'Eb Gb' || args === 'Ev Gv') {
      this.getReg(reg, size);
      f.set(b);
      destination = memory ? 'memory' : rm;
    } else if (args === 'Gb Eb' || args === 'Gv Ev') {
      this.getE(i);
      f.set(b);
      destination = reg;
    } else if (args === 'AL Ib' || args === 'eAX Iz') {
      this.immediate(i);
      f.set(b);
      destination = EAX;
    } else {
      this.immediate(i);
      f.set(b);
      destination = memory ? 'memory' : rm;
    }
    if (destination === 'memory') {
      if (writes) {
        this.probe(this.refOf(i), size);
        this.loadProbed(size);
      } else this.load(this.refOf(i), size);
    } else this.getReg(destination, size);
    f.set(a);
    if (name === 'adc' || name === 'sbb') this.carry();
    switch (name) {
      case 'add':
        f.get(a);
        f.get(b);
        f.op(OP.i32_add);
        break;
      case 'adc':
        f.get(a);
        f.op(OP.i32_add);
        f.get(b);
        f.op(OP.i32_add);
        break;
      case 'sub':
      case 'cmp':
        f.get(a);
        f.get(b);
        f.op(OP.i32_sub);
        break;
      case 'sbb':
        f.set(this.t1);
        f.get(a);
        f.get(b);
        f.op(OP.i32_sub);
        f.get(this.t1);
        f.op(OP.i32_sub);
        break;
      case 'and':
      case 'test':
        f.get(a);
        f.get(b);
        f.op(OP.i32_and);
        break;
      case 'or':
        f.get(a);
        f.get(b);
        f.op(OP.i32_or);
        break;
      case 'xor':
        f.get(a);
        f.get(b);
        f.op(OP.i32_xor);
        break;
    }
    f.set(r);
    if (writes) {
      if (destination === 'memory') this.storeProbed(size, r);
      else {
        const value = this.values[destination];
        const offset = this.offsets[destination];
        this.setReg(destination, size, r);
        if (size === 2 && (name === 'add' || name === 'sub') && args !== 'Ev Gv' && args !== 'Gv Ev' && this.patchedAt(i) === 0)
          this.isNow(destination, value, offset, name === 'add' ? imm : -imm);
      }
    }
    if (name === 'add' || name === 'adc') this.arithmeticFlags(false, size, a, b, r);
    else if (name === 'sub' || name === 'cmp' || name === 'sbb') this.arithmeticFlags(true, size, a, b, r);
    else this.logicFlags(size, r);
    if (!this.flagsDead) this.compared = name === 'sub' || name === 'cmp';
  }

  protected incDec(i: number, inc: boolean): void {
    const { f } = this;
    const { rm, memory, size } = this.get(i);
    const a = this.temp();
    const r = this.temp();
    this.readModify(i, a);
    f.get(a);
    f.i32(1);
    f.op(inc ? OP.i32_add : OP.i32_sub);
    f.set(r);
    const value = this.values[rm];
    const offset = this.offsets[rm];
    this.writeBack(i, r);
    if (size === 2 && !memory) this.isNow(rm, value, offset, inc ? 1 : -1);
    if (this.flagsDead) return;
    // CF stays: take it over, then build the aux word. OF: 0x7f..f -> 0x80..0 (inc), 0x80..0 -> 0x7f..f (dec).
    const cf = this.temp();
    this.carry();
    f.set(cf);
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    f.get(cf);
    f.i32(31);
    f.op(OP.i32_shl);
    f.get(cf);
    f.get(this.fr);
    f.i32(inc ? [-0x80, -0x8000, 0x80000000 | 0][size] : [0x7f, 0x7fff, 0x7fffffff][size]);
    f.op(OP.i32_eq);
    f.op(OP.i32_xor);
    f.i32(30);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    // AF: low nibble became 0 (inc) or f (dec).
    f.get(r);
    f.i32(15);
    f.op(OP.i32_and);
    f.i32(inc ? 0 : 15);
    f.op(OP.i32_eq);
    f.i32(3);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }

  protected notNeg(i: number, neg: boolean): void {
    const { f } = this;
    const { size } = this.get(i);
    const a = this.temp();
    const r = this.temp();
    this.readModify(i, a);
    if (neg) {
      f.i32(0);
      f.get(a);
      f.op(OP.i32_sub);
    } else {
      f.get(a);
      f.i32(-1);
      f.op(OP.i32_xor);
    }
    f.set(r);
    this.writeBack(i, r);
    if (!neg || this.flagsDead) return;
    const zero = this.temp();
    f.i32(0);
    f.set(zero);
    this.arithmeticFlags(true, size, zero, a, r);
    this.compared = true;
  }

  protected xchg(i: number, args: string): void {
    const { f } = this;
    const { reg, rm, memory, size } = this.get(i);
    if (args === 'Zv eAX') {
      if (rm === EAX) return;
      f.get(EAX);
      f.set(this.t0);
      this.getReg(rm, size);
      f.set(this.t1);
      this.setReg(EAX, size, this.t1);
      this.setReg(rm, size, this.t0);
      return;
    }
    const a = this.temp();
    this.readModify(i, a);
    this.getReg(reg, size);
    f.set(this.t0);
    if (memory) this.storeProbed(size, this.t0);
    else this.setReg(rm, size, this.t0);
    this.setReg(reg, size, a);
  }

  protected exchangeAdd(i: number): void {
    const { f } = this;
    const { reg, rm, memory, size } = this.get(i);
    const a = this.temp();
    const b = this.temp();
    const r = this.temp();
    this.readModify(i, a);
    this.getReg(reg, size);
    f.tee(b);
    f.get(a);
    f.op(OP.i32_add);
    f.set(r);
    if (memory) this.storeProbed(size, r);
    this.setReg(reg, size, a);
    // Of a register with itself the sum stays.
    if (!memory) this.setReg(rm, size, r);
    this.arithmeticFlags(false, size, a, b, r);
    if (!this.flagsDead) this.compared = false;
  }

  /** The destination is written in either case: what is there already, when it is not what EAX has. */
  protected compareExchange(i: number): void {
    const { f } = this;
    const { reg, size } = this.get(i);
    const old = this.temp();
    const wanted = this.temp();
    const next = this.temp();
    const r = this.temp();
    this.readModify(i, old);
    this.getReg(EAX, size);
    f.set(wanted);
    this.getReg(reg, size);
    f.get(old);
    f.get(wanted);
    f.get(old);
    f.op(OP.i32_eq);
    f.op(OP.select);
    f.set(next);
    this.setReg(EAX, size, old);
    this.writeBack(i, next);
    f.get(wanted);
    f.get(old);
    f.op(OP.i32_sub);
    f.set(r);
    this.arithmeticFlags(true, size, wanted, old, r);
    if (!this.flagsDead) this.compared = true;
  }
}
