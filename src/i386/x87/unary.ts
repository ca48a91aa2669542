// Instructions on ST alone, or on ST and ST(1) without operands: signs, roots, remainders, scaling, extraction, rounding; and the transcendentals.
//
// All share one shape: check for empty registers, compute, signal, store. What it leaves out: the computing (arith.ts, remainder.ts, transcendental.ts).

import type { Binder, Binders } from '../interpreter/operands';
import { W } from '../state';
import { C2, sqrt } from './arith';
import { C1, copy, IE, putIndefinite, SF, SIGN, T0, T1 } from './float80';
import { extract, integral, remainder, scale } from './remainder';
import { arcTan2, cos, exponential, sin, sinCos, tan, yLog2, yLog2P1 } from './transcendental';
import { begin, isEmpty, note, overflow, pop, push, setValid, signal, st, underflow } from './unit';

/** ST = f(ST). */
const unary =
  (f: (m: Int32Array, a: number) => number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (isEmpty(m, 0)) {
        if (!underflow(m)) return;
        putIndefinite(m, st(m, 0));
        setValid(m, 0);
      } else if (signal(m, f(m, st(m, 0)))) copy(m, st(m, 0), T0);
    };
  };
/** ST = f(ST, ST(1)); `conditions`: status bits that f replaces besides C1. */
const binary =
  (f: (m: Int32Array, a: number, b: number) => number, conditions: number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      m[W.FPU_SW] &= ~conditions;
      if (isEmpty(m, 0) || isEmpty(m, 1)) {
        if (!underflow(m)) return;
        putIndefinite(m, st(m, 0));
        setValid(m, 0);
      } else if (signal(m, f(m, st(m, 0), st(m, 1)))) copy(m, st(m, 0), T0);
    };
  };

/** ST(1) = f(ST, ST(1)), then pops. */
const popping =
  (f: (m: Int32Array, a: number, b: number) => number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (isEmpty(m, 0) || isEmpty(m, 1)) {
        if (!underflow(m)) return;
        putIndefinite(m, st(m, 1));
        setValid(m, 1);
      } else {
        if (!signal(m, f(m, st(m, 0), st(m, 1)))) return;
        copy(m, st(m, 1), T0);
      }
      pop(m);
    };
  };
/** FSIN, FCOS: C2 says that the argument was out of range and stands as it was. */
const trigonometric =
  (f: (m: Int32Array, a: number) => number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      m[W.FPU_SW] &= ~C2;
      if (isEmpty(m, 0)) {
        if (!underflow(m)) return;
        putIndefinite(m, st(m, 0));
        setValid(m, 0);
        return;
      }
      const flags = f(m, st(m, 0));
      if (signal(m, flags) && (flags & C2) === 0) copy(m, st(m, 0), T0);
    };
  };
/** FPTAN, FSINCOS: as trigonometric(), with a second result that is pushed. f leaves the first in T1, the second in T0. */
const pushing =
  (f: (m: Int32Array, a: number) => number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      m[W.FPU_SW] &= ~C2;
      if (isEmpty(m, 0) || !isEmpty(m, 7)) {
        const empty = isEmpty(m, 0);
        if (empty ? !underflow(m) : !signal(m, IE | SF | C1)) return;
        putIndefinite(m, st(m, 0));
        setValid(m, 0);
        putIndefinite(m, push(m));
        return;
      }
      const flags = f(m, st(m, 0));
      if (!signal(m, flags) || (flags & C2) !== 0) return;
      copy(m, st(m, 0), T1);
      copy(m, push(m), T0);
    };
  };

const sign =
  (change: (signExp: number) => number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      const a = st(m, 0);
      if (isEmpty(m, 0)) {
        if (!underflow(m)) return;
        putIndefinite(m, a);
        setValid(m, 0);
        return;
      }
      m[W.FPU_SW] &= ~C1;
      m[a + 2] = change(m[a + 2]);
    };
  };

const fxtract: Binder = (row) => {
  const opcode = (row.op & 7) << 8;
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
    const m = c.m32;
    if (isEmpty(m, 0)) {
      if (!underflow(m)) return;
      putIndefinite(m, st(m, 0));
      setValid(m, 0);
      putIndefinite(m, push(m));
      return;
    }
    if (!isEmpty(m, 7)) {
      const below = st(m, 0);
      overflow(m);
      if (st(m, 1) === below) putIndefinite(m, below);
      return;
    }
    if (!signal(m, extract(m, st(m, 0)))) return;
    copy(m, st(m, 0), T1);
    copy(m, push(m), T0);
  };
};

export const UNARY: Binders = {
  fchs: sign((signExp) => signExp ^ SIGN),
  fabs: sign((signExp) => signExp & ~SIGN),
  fsqrt: unary(sqrt),
  frndint: unary(integral),
  fprem: binary((m, a, b) => remainder(m, a, b, false), C2),
  fprem1: binary((m, a, b) => remainder(m, a, b, true), C2),
  fscale: binary(scale, 0),
  fxtract,
  f2xm1: unary(exponential),
  fyl2x: popping(yLog2),
  fyl2xp1: popping(yLog2P1),
  fpatan: popping(arcTan2),
  fsin: trigonometric(sin),
  fcos: trigonometric(cos),
  fptan: pushing(tan),
  fsincos: pushing(sinCos),
};
