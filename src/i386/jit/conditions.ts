// Flags and conditions: how the locals stand for the six status flags, and what a condition code becomes.
//
// Carries are worked out only where somebody asks; a compare followed by its jump is one comparison. What it leaves out: who sets the flags.

import { KIND } from './layout';
import { I32, OP } from './wasm';
import { Operands } from './operands';

/** Condition numbers (low four bits of Jcc) that come in pairs: even = as named, odd = negated. */
export const CC = { O: 0, B: 2, Z: 4, BE: 6, S: 8, P: 10, L: 12, LE: 14 } as const;

export abstract class Conditions extends Operands {
  /** Sign-extends the value on the stack from a width. */
  protected extend(size: number): void {
    if (size === 0) this.f.op(OP.i32_extend8_s);
    else if (size === 1) this.f.op(OP.i32_extend16_s);
  }
  /** Flags of an addition or subtraction: operands in locals a and b, result in local r (any upper bits). */
  protected arithmeticFlags(subtracts: boolean, size: number, a: number, b: number, r: number): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(a);
    f.set(this.fa);
    f.get(b);
    f.set(this.fb);
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    this.flags = [KIND.ADD8, KIND.ADD16, KIND.ADD32][size] + (subtracts ? 1 : 0);
  }
  protected logicFlags(size: number, r: number): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    f.i32(0);
    f.set(this.fa);
    this.flags = KIND.AUX;
  }

  /** The aux word of the present flags onto the stack. */
  protected aux(): void {
    const { f } = this;
    if (this.flags === 'memory') this.loadFlags();
    const carries = (subtract: boolean): void => {
      // add: (a & b) | ((a | b) & ~r); subtract: (~a & b) | ((~a | b) & r)
      const a = (): void => {
        f.get(this.fa);
        if (subtract) {
          f.i32(-1);
          f.op(OP.i32_xor);
        }
      };
      a();
      f.get(this.fb);
      f.op(OP.i32_and);
      a();
      f.get(this.fb);
      f.op(OP.i32_or);
      f.get(this.fr);
      if (!subtract) {
        f.i32(-1);
        f.op(OP.i32_xor);
      }
      f.op(OP.i32_and);
      f.op(OP.i32_or);
    };
    const ofKind = (kind: number): void => {
      carries((kind & 1) === 0);
      if (kind >= KIND.ADD16) {
        const t = this.t2;
        f.tee(t);
        f.i32(kind >= KIND.ADD8 ? 24 : 16);
        f.op(OP.i32_shl);
        f.i32(0xc0000000 | 0);
        f.op(OP.i32_and);
        f.get(t);
        f.i32(8);
        f.op(OP.i32_and);
        f.op(OP.i32_or);
      } else {
        f.i32(0xc0000008 | 0);
        f.op(OP.i32_and);
      }
    };
    if (this.flags === KIND.AUX) f.get(this.fa);
    else if (typeof this.flags === 'number') ofKind(this.flags);
    else {
      // Only now and then: the six kinds one after another.
      f.get(this.fk);
      f.op(OP.i32_eqz);
      f.block(OP.if, I32);
      f.get(this.fa);
      f.op(OP.else);
      for (let kind = 1; kind <= 6; kind++) {
        if (kind < 6) {
          f.get(this.fk);
          f.i32(kind);
          f.op(OP.i32_eq);
          f.block(OP.if, I32);
        }
        ofKind(kind);
        if (kind < 6) f.op(OP.else);
      }
      for (let kind = 1; kind <= 6; kind++) f.op(OP.end);
    }
  }
  /** Turns the flags into result and aux word (kind AUX) in the locals. */
  protected canonical(): void {
    if (this.flags === KIND.AUX) return;
    this.aux();
    this.f.set(this.fa);
    this.flags = KIND.AUX;
  }
  /** CF as 0 or 1 onto the stack. */
  protected carry(): void {
    const { f } = this;
    this.aux();
    f.i32(31);
    f.op(OP.i32_shr_u);
  }

  /** Condition `cc` (0-15) as 0/1 (or any non-zero for true when used as a test) onto the stack. */
  protected condition(cc: number): void {
    const { f } = this;
    const negated = (cc & 1) !== 0;
    const base = cc & ~1;
    if (this.flags === 'memory') this.loadFlags();
    const kind = this.flags;
    const compare = this.compared;
    if (compare && (kind === KIND.SUB32 || kind === KIND.SUB16 || kind === KIND.SUB8) && base !== CC.O && base !== CC.P && base !== CC.S) {
      // Directly after a subtraction without borrow-in: compare its operands.
      const shift = kind === KIND.SUB8 ? 24 : kind === KIND.SUB16 ? 16 : 0;
      const operand = (local: number): void => {
        f.get(local);
        if (shift) {
          f.i32(shift);
          f.op(OP.i32_shl);
        }
      };
      operand(this.fa);
      operand(this.fb);
      const ops: Record<number, [number, number]> = {
        [CC.B]: [OP.i32_lt_u, OP.i32_ge_u],
        [CC.Z]: [OP.i32_eq, OP.i32_ne],
        [CC.BE]: [OP.i32_le_u, OP.i32_gt_u],
        [CC.L]: [OP.i32_lt_s, OP.i32_ge_s],
        [CC.LE]: [OP.i32_le_s, OP.i32_gt_s],
      };
      f.op(ops[base][negated ? 1 : 0]);
      return;
    }
    switch (base) {
      case CC.Z:
        f.get(this.fr);
        if (negated) {
          f.i32(0);
          f.op(OP.i32_ne);
        } else f.op(OP.i32_eqz);
        return;
      case CC.B:
        this.carry();
        break;
      case CC.BE:
        this.carry();
        f.get(this.fr);
        f.op(OP.i32_eqz);
        f.op(OP.i32_or);
        break;
      case CC.S:
        this.sign();
        break;
      case CC.O:
        this.overflow();
        break;
      case CC.P: {
        // Parity of the low byte of result ^ aux >> 8.
        f.get(this.fr);
        this.aux();
        f.i32(8);
        f.op(OP.i32_shr_u);
        f.op(OP.i32_xor);
        f.i32(0xff);
        f.op(OP.i32_and);
        f.op(OP.i32_popcnt);
        f.i32(1);
        f.op(OP.i32_and);
        f.i32(1);
        f.op(OP.i32_xor);
        break;
      }
      case CC.L:
      case CC.LE:
        this.sign();
        this.overflow();
        f.op(OP.i32_xor);
        if (base === CC.LE) {
          f.get(this.fr);
          f.op(OP.i32_eqz);
          f.op(OP.i32_or);
        }
        break;
    }
    if (negated) f.op(OP.i32_eqz);
  }
  protected sign(): void {
    const { f } = this;
    f.get(this.fr);
    f.i32(31);
    f.op(OP.i32_shr_u);
    if (this.flags === KIND.AUX || this.flags === 'dynamic') {
      this.aux();
      f.i32(1);
      f.op(OP.i32_and);
      f.op(OP.i32_xor);
    }
  }
  protected overflow(): void {
    const { f } = this;
    this.aux();
    f.tee(this.t1);
    f.i32(31);
    f.op(OP.i32_shr_u);
    f.get(this.t1);
    f.i32(30);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.op(OP.i32_xor);
  }
}
