// Add, multiply, divide, root and compare on ordinary extended numbers, as pieces of WebAssembly that entries.ts puts into its functions.
//
// A number is two locals, sign-exponent word and 64-bit mantissa; a result goes to a slot and its status bits to a local. Whatever is not ordinary (denormals, NaNs,
// infinities, results out of range) makes the whole entry return 0. Bits that data decides, rounding above all, are computed and not branched on: a mispredicted branch
// costs as much as the multiplication. Same results as ../arith.ts, rounding to nearest with 64 bits.

import { type Builder, type Code, type Local, w } from './notation';

const { c, C } = w;
export const MIN = C(-0x8000000000000000n);
export const SIGN = 0x8000;
/** Status bits: PE in bit 5, C1 in bit 9. */
const PE_SHIFT = 5;
const C1_SHIFT = 9;
const LOW = C(0xffffffffn);
const low = (x: Code): Code => w.And(x, LOW);
const high = (x: Code): Code => w.Shr(x, C(32n));
/** All ones or zero from a condition. */
const mask32 = (condition: Code): Code => w.sub(c(0), condition);
const mask64 = (condition: Code): Code => w.Sub(C(0n), w.extend(condition));

/** An extended real in two locals: sign and exponent, mantissa. */
export interface Number80 {
  readonly s: Local;
  readonly m: Local;
}

export const exponent = (s: Code): Code => w.and(s, c(0x7fff));
const normalExponent = (s: Code): Code => w.ltU(w.sub(exponent(s), c(1)), c(0x7ffe));
export const isOrdinary = ({ s, m }: Number80): Code => w.and(normalExponent(s), w.LtS(m, C(0n)));
export const isZero = ({ s, m }: Number80): Code => w.and(w.Not(m), w.not(exponent(s)));
const bothOrdinary = (a: Number80, b: Number80): Code =>
  w.and(w.and(normalExponent(a.s), normalExponent(b.s)), w.LtS(w.And(a.m, b.m), C(0n)));

/** Writes a number to a slot. */
export const putSlot = (f: Builder, slot: Code, s: Code, m: Code): void => {
  f.do(w.store64(slot, m));
  f.do(w.store32(slot, s, 8));
};
export const getSlot = (f: Builder, slot: Code): Number80 => ({ s: f.i32(w.load32(slot, 8)), m: f.i64(w.load64(slot)) });

/** Status bits for "inexact" and "rounded up". */
export const roundingFlags = (inexact: Code, up: Code): Code => w.or(w.shl(inexact, c(PE_SHIFT)), w.shl(up, c(C1_SHIFT)));

/** Rounds mantissa m with 64 bits x below it to nearest, stores to slot d, sets `flags`. Consumes e and m. */
const finish = (f: Builder, d: Code, sign: Code, e: Local, m: Local, x: Code, flags: Local): void => {
  const up = f.i32(w.and(w.LtS(x, C(0n)), w.or(w.Ne(x, MIN), w.wrap(w.And(m, C(1n))))));
  f.set(m, w.Add(m, w.extend(up)));
  f.if(w.Not(m), () => {
    f.set(m, MIN);
    f.set(e, w.add(e, c(1)));
  });
  f.if(w.geU(w.sub(e, c(1)), c(0x7ffe)), () => f.return(c(0)));
  f.set(flags, roundingFlags(w.Ne(x, C(0n)), up));
  putSlot(f, d, w.or(w.and(sign, c(SIGN)), e), m);
};

/** d = a + b. */
export const addNumbers = (f: Builder, d: Code, a: Number80, b: Number80): Local => {
  const flags = f.i32(c(0));
  f.if(
    bothOrdinary(a, b),
    () => {
      const ma = f.i64();
      const mb = f.i64();
      const sa = f.i32();
      const sb = f.i32();
      // The larger magnitude first.
      const swap = f.i32(w.or(w.ltU(exponent(a.s), exponent(b.s)), w.and(w.eq(exponent(a.s), exponent(b.s)), w.LtU(a.m, b.m))));
      const exchanged = f.i64(w.And(w.Xor(a.m, b.m), mask64(swap)));
      f.set(ma, w.Xor(a.m, exchanged));
      f.set(mb, w.Xor(b.m, exchanged));
      const words = f.i32(w.and(w.xor(a.s, b.s), mask32(swap)));
      f.set(sa, w.xor(a.s, words));
      f.set(sb, w.xor(b.s, words));
      const e = f.i32(exponent(sa));
      const distance = f.i64(w.extend(w.sub(e, exponent(sb))));
      // mb : x is the smaller one, moved to the larger one's exponent, its last bit sticky.
      const x = f.i64();
      f.if(
        w.LtU(distance, C(64n)),
        () => {
          f.set(x, w.Shl(w.Shl(mb, C(1n)), w.Sub(C(63n), distance)));
          f.set(mb, w.Shr(mb, distance));
        },
        () => {
          f.if(
            w.LtU(distance, C(128n)),
            // Shift counts are taken modulo 64.
            () =>
              f.set(
                x,
                w.Or(w.Shr(mb, distance), w.extend(w.and(w.Ne(distance, C(64n)), w.Ne(w.Shl(mb, w.Sub(C(128n), distance)), C(0n))))),
              ),
            () => f.set(x, C(1n)),
          );
          f.set(mb, C(0n));
        },
      );
      // Different signs: add the negative of all 128 bits.
      const negative = f.i32(w.shr(w.and(w.xor(sa, sb), c(SIGN)), c(15)));
      const flip = f.i64(mask64(negative));
      f.set(x, w.Sub(w.Xor(x, flip), flip));
      f.set(mb, w.Add(w.Xor(mb, flip), w.extend(w.and(negative, w.Not(x)))));
      const m = f.i64(w.Add(ma, mb));
      // Same signs may carry out: one to the right.
      const carry = f.i64(w.extend(w.and(w.LtU(m, ma), w.xor(negative, c(1)))));
      f.set(x, w.Or(w.Or(w.Shr(x, carry), w.And(x, carry)), w.And(w.Shl(m, C(63n)), w.Sub(C(0n), carry))));
      f.set(m, w.Or(w.Shr(m, carry), w.Shl(carry, C(63n))));
      f.set(e, w.add(e, w.wrap(carry)));
      f.if(
        w.Not(w.Or(m, x)),
        () => putSlot(f, d, c(0), C(0n)),
        () => {
          f.if(w.Not(m), () => {
            f.set(m, x);
            f.set(x, C(0n));
            f.set(e, w.sub(e, c(64)));
          });
          const n = f.i64(w.Clz(m));
          f.set(m, w.Or(w.Shl(m, n), w.Shr(w.Shr(x, C(1n)), w.Sub(C(63n), n))));
          f.set(x, w.Shl(x, n));
          f.set(e, w.sub(e, w.wrap(n)));
          finish(f, d, sa, e, m, x, flags);
        },
      );
    },
    () => {
      // Zeros: the other number, or a zero that is negative only if both are.
      f.if(
        w.and(isZero(b), isOrdinary(a)),
        () => putSlot(f, d, a.s, a.m),
        () =>
          f.if(
            w.and(isZero(a), isOrdinary(b)),
            () => putSlot(f, d, b.s, b.m),
            () => {
              f.if(w.not(w.and(isZero(a), isZero(b))), () => f.return(c(0)));
              putSlot(f, d, w.and(a.s, b.s), C(0n));
            },
          ),
      );
    },
  );
  return flags;
};

/** Product or quotient with a zero in it, for operands that are not both ordinary. */
const zeroResult = (f: Builder, d: Code, a: Number80, b: Number80, divides: boolean): void => {
  const fine = divides
    ? w.and(isZero(a), isOrdinary(b))
    : w.or(w.and(isZero(a), w.or(isZero(b), isOrdinary(b))), w.and(isZero(b), isOrdinary(a)));
  f.if(w.not(fine), () => f.return(c(0)));
  putSlot(f, d, w.and(w.xor(a.s, b.s), c(SIGN)), C(0n));
};

/** d = a * b. */
export const multiplyNumbers = (f: Builder, d: Code, a: Number80, b: Number80): Local => {
  const flags = f.i32(c(0));
  f.if(
    bothOrdinary(a, b),
    () => {
      const al = f.i64(low(a.m));
      const ah = f.i64(high(a.m));
      const bl = f.i64(low(b.m));
      const bh = f.i64(high(b.m));
      const p = f.i64(w.Mul(al, bl));
      const q = f.i64(w.Add(w.Mul(al, bh), high(p)));
      const r = f.i64(w.Add(w.Mul(ah, bl), low(q)));
      const m = f.i64(w.Add(w.Add(w.Mul(ah, bh), high(q)), high(r)));
      const x = f.i64(w.Or(w.Shl(r, C(32n)), low(p)));
      // One to the left when the product of two mantissas in [1, 2) is below 2.
      const n = f.i64(w.Xor(w.Shr(m, C(63n)), C(1n)));
      f.set(m, w.Or(w.Shl(m, n), w.And(w.Shr(x, C(63n)), n)));
      f.set(x, w.Shl(x, n));
      const e = f.i32(w.sub(w.sub(w.add(exponent(a.s), exponent(b.s)), c(0x3ffe)), w.wrap(n)));
      finish(f, d, w.xor(a.s, b.s), e, m, x, flags);
    },
    () => zeroResult(f, d, a, b, false),
  );
  return flags;
};

/** d = a / b. */
export const divideNumbers = (f: Builder, d: Code, a: Number80, b: Number80): Local => {
  const flags = f.i32(c(0));
  f.if(
    bothOrdinary(a, b),
    () => {
      const bh = f.i64(high(b.m));
      const bl = f.i64(low(b.m));
      const one = f.i32(w.GeU(a.m, b.m));
      const r = f.i64(w.Sub(a.m, w.And(b.m, mask64(one))));
      /** One digit of 32 bits: r * 2^32 = q * b + rest; r becomes the rest. Knuth's algorithm D, two words by two, its two corrections without branches. */
      const digit = (): Local => {
        const q = f.i64(w.Div(r, bh));
        const rest = f.i64(w.Sub(r, w.Mul(q, bh)));
        const over = f.i32(w.or(w.GtU(q, LOW), w.GtU(w.Mul(q, bl), w.Shl(rest, C(32n)))));
        f.set(q, w.Sub(q, w.extend(over)));
        f.set(rest, w.Add(rest, w.And(bh, mask64(over))));
        // The second comparison means something only while the rest has 32 bits.
        const again = w.and(w.and(over, w.LeU(rest, LOW)), w.or(w.GtU(q, LOW), w.GtU(w.Mul(q, bl), w.Shl(rest, C(32n)))));
        f.set(q, w.Sub(q, w.extend(again)));
        f.set(r, w.Sub(w.Shl(r, C(32n)), w.Mul(q, b.m)));
        return q;
      };
      const q1 = digit();
      const q0 = digit();
      const m = f.i64(w.Or(w.Shl(q1, C(32n)), q0));
      // With a first digit of one, the quotient has 65 bits; else the rest decides about the half.
      const shift = f.i64(w.extend(one));
      const doubled = w.Shl(r, C(1n));
      const half = w.or(w.LtS(r, C(0n)), w.GeU(doubled, b.m));
      const exact = w.and(w.GeS(r, C(0n)), w.Eq(doubled, b.m));
      const more = w.extend(w.and(w.Ne(r, C(0n)), w.or(one, w.not(exact))));
      const top = f.i64(w.Or(w.And(w.Shl(m, C(63n)), w.Sub(C(0n), shift)), w.Shl(w.And(w.extend(half), w.Xor(shift, C(1n))), C(63n))));
      const x = f.i64(w.Or(top, more));
      f.set(m, w.Or(w.Shr(m, shift), w.Shl(shift, C(63n))));
      const e = f.i32(w.add(w.sub(exponent(a.s), exponent(b.s)), w.add(c(0x3ffe), one)));
      finish(f, d, w.xor(a.s, b.s), e, m, x, flags);
    },
    () => zeroResult(f, d, a, b, true),
  );
  return flags;
};

/** Opcodes that nothing else needs. */
const F64_CONVERT_I64_U = 0xba;
const F64_SQRT = 0x9f;
const I64_TRUNC_F64_U = 0xb1;

/** d = square root of a, positive: 32 bits from a double's root, the other 32 by division, both corrected. */
export const rootOfNumber = (f: Builder, d: Code, a: Number80): Local => {
  f.if(w.or(w.not(isOrdinary(a)), w.and(a.s, c(SIGN))), () => f.return(c(0)));
  // The radicand as 128 bits n:next:0 with an even exponent; next is a word.
  const odd = f.i32(w.not(w.and(a.s, c(1))));
  const n = f.i64(a.m);
  const next = f.i64(C(0n));
  f.if(w.not(odd), () => {
    f.set(next, w.Shl(w.And(n, C(1n)), C(31n)));
    f.set(n, w.Shr(n, C(1n)));
  });
  const e = f.i32(w.sub(w.shr(w.add(a.s, w.add(c(0x3fff), odd)), c(1)), odd));
  const s = f.i64((g) => {
    n(g);
    g.op(F64_CONVERT_I64_U);
    g.op(F64_SQRT);
    g.op(I64_TRUNC_F64_U);
  });
  f.if(w.GtU(s, LOW), () => f.set(s, LOW));
  f.if(w.GtU(w.Mul(s, s), n), () => f.set(s, w.Sub(s, C(1n))));
  const r = f.i64(w.Sub(n, w.Mul(s, s)));
  f.if(w.GtU(r, w.Shl(s, C(1n))), () => {
    f.set(r, w.Sub(r, w.Add(w.Shl(s, C(1n)), C(1n))));
    f.set(s, w.Add(s, C(1n)));
  });
  // (r * 2^32 + next) / (2 s)
  const t = f.i64(w.Or(w.Shl(r, C(31n)), w.Shr(next, C(1n))));
  const q = f.i64(w.Div(t, s));
  const u = f.i64(w.Add(w.Shl(w.Sub(t, w.Mul(q, s)), C(1n)), w.And(next, C(1n))));
  f.if(w.GtU(q, LOW), () => {
    f.set(q, LOW);
    f.set(u, w.Add(u, w.Shl(s, C(1n))));
  });
  // What remains is u * 2^32 - q^2; negative: the root is one less.
  const square = f.i64(w.Mul(q, q));
  const m = f.i64(w.Add(w.Shl(s, C(32n)), q));
  const x = f.i64(C(1n));
  f.if(
    w.and(w.LeU(u, LOW), w.LtU(w.Shl(u, C(32n)), square)),
    () => {
      // -T with 0 < T < 2^64. The root is one less, and T then decides: more than half a unit was lost when T <= root.
      const lost = f.i64(w.Sub(square, w.Shl(u, C(32n))));
      f.set(m, w.Sub(m, C(1n)));
      f.if(w.LeU(lost, m), () => f.set(x, w.Or(MIN, C(1n))));
    },
    () => {
      f.if(
        w.and(w.Eq(w.Shl(u, C(32n)), square), w.LeU(u, LOW)),
        () => f.set(x, C(0n)),
        () => {
          // u * 2^32 - q^2 > s * 2^32 + q
          f.if(w.GtU(u, s), () => {
            const difference = f.i64(w.Sub(u, s));
            f.if(w.or(w.GtU(difference, LOW), w.GtU(w.Shl(difference, C(32n)), w.Add(q, square))), () => f.set(x, w.Or(MIN, C(1n))));
          });
        },
      );
    },
  );
  const flags = f.i32();
  finish(f, d, c(0), e, m, x, flags);
  return flags;
};

/** C3 when a equals b, C0 when it is less, else 0. */
export const compareNumbers = (f: Builder, a: Number80, b: Number80): Local => {
  const fine = (n: Number80): Code => w.or(isOrdinary(n), isZero(n));
  f.if(w.not(w.and(fine(a), fine(b))), () => f.return(c(0)));
  // As one number that grows with the value: exponents first, signs turned round. Zeros have exponent 0 and mantissa 0, either sign.
  const ea = f.i32(exponent(a.s));
  const eb = f.i32(exponent(b.s));
  const na = f.i32(w.and(w.shr(a.s, c(15)), w.Ne(a.m, C(0n))));
  const nb = f.i32(w.and(w.shr(b.s, c(15)), w.Ne(b.m, C(0n))));
  const same = f.i32(w.and(w.eq(ea, eb), w.Eq(a.m, b.m)));
  const smaller = f.i32(w.or(w.ltU(ea, eb), w.and(w.eq(ea, eb), w.LtU(a.m, b.m))));
  const equal = w.and(same, w.eq(na, nb));
  // Signs alike: the smaller magnitude is less, or the larger when both are negative. Signs unlike: the negative one.
  const less = w.or(w.and(na, w.xor(nb, c(1))), w.and(w.eq(na, nb), w.and(w.xor(same, c(1)), w.xor(smaller, na))));
  return f.i32(w.or(w.shl(equal, c(14)), w.shl(less, c(8))));
};
