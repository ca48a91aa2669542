// The transcendental instructions: 2^x - 1, logarithms to base 2, tangent, arc tangent, sine, cosine.
//
// Each reduces its argument, runs a short series on pairs of doubles (pairs.ts; some 2^-75 of relative error) and rounds once to 64 bits, so results are nearly
// always the correctly rounded ones and the same on every workstation. The trigonometric ones reduce by a pi of 66 bits, as the processors do, so that a large
// argument gives what hardware gives. Invalid operands, exact cases and flags follow the captured processor; outside their documented ranges F2XM1 and FYL2XP1 do too.
// What it leaves out: the stack (unary.ts).

import { W } from '../state';
import {
  BIAS,
  copy,
  DE,
  EXP_MAX,
  invalid,
  isDenormal,
  Kind,
  kindOf,
  normalise,
  oneNaN,
  PE,
  put,
  putInfinity,
  putZero,
  roundSlow,
  SIGN,
  T0,
  T1,
  T2,
  T3,
  TOP_BIT,
  twoNaNs,
  UE,
  ZE,
} from './float80';
import { highWord, LOW, lowWord, power2, product, productError, quotient, sum } from './pairs';
import { ATAN, EXP2, INVERSE, INVERSE_FACTORIAL, LN2, LOG2, LOG2E, PI, PI3_4, PI_2, PI_4, RECIPROCAL } from './tables';

const TWO32 = 4294967296;
/** Below 2^-80 the second term of every series is less than any rounding notices. */
const TINY = -80;

/** Rounds and reports an inexact result, as the hardware always does: even an exact one raises PE. */
const finish = (m: Int32Array, sign: number, exp: number, high: number, low: number, extra: number): number => {
  const cw = m[W.FPU_CW] | 0x300;
  const flags = roundSlow(m, sign, exp, high, low, extra, cw) | PE;
  return (m[T0 + 2] & EXP_MAX) === 0 ? flags | UE : flags;
};

/** Rounds (hi + lo) * 2^scale, hi not zero, with an additional sign. */
const finishPair = (m: Int32Array, sign: number, scale: number, hi: number, lo: number): number => {
  if (hi < 0) {
    hi = -hi;
    lo = -lo;
    sign ^= SIGN;
  }
  const top = highWord(hi);
  const bottom = lowWord();
  let exp = (top >>> 20) - 1023;
  let high = TOP_BIT | ((top & 0xfffff) << 11) | (bottom >>> 21);
  let low = bottom << 11;
  // lo in units of the last bit of `extra`.
  const units = lo * power2(95 - exp);
  const whole = Math.floor(units);
  const carry = Math.floor(whole / TWO32);
  let extra = (whole - carry * TWO32) | 0;
  if (units !== whole) extra |= 1;
  const l = (low >>> 0) + carry;
  if (l < 0) high = (high - 1) | 0;
  low = l | 0;
  if (high >= 0) {
    high = (high << 1) | (low >>> 31);
    low = (low << 1) | (extra >>> 31);
    extra <<= 1;
    exp--;
  }
  return finish(m, sign, exp + BIAS + scale, high, low, extra);
};

/** Mantissa of a normalised slot as a pair in [1, 2): returns the high part, LOW[0] the low one. */
const mantissa = (m: Int32Array, slot: number): number => {
  const a = (m[slot + 1] >>> 0) / 2 ** 31;
  const b = (m[slot] >>> 0) / 2 ** 63;
  const hi = a + b;
  LOW[0] = b - (hi - a);
  return hi;
};

/** Rounds a constant pair. */
const finishConstant = (m: Int32Array, sign: number, pair: readonly number[]): number => finishPair(m, sign, 0, pair[0], pair[1]);

const stopsOnDenormal = (m: Int32Array, flags: number): boolean => (flags & ~m[W.FPU_CW] & DE) !== 0;

// ---- sine, cosine, tangent ----------------------------------------------------------------------------------------------------------------

/** pi / 2 to 66 bits, as hardware has it: two exact parts, and the integer pi * 2^64. */
const HALF_PI_HIGH = 0x1921fb544 / TWO32;
const HALF_PI_LOW = 0x85a308d3 / 2 ** 65;
const PI_66 = 0x3243f6a8885a308d3n;

/** The reduced argument, |r| <= pi / 4. */
const reduced = new Float64Array(2);

/** Reduces |T2| (normalised, below 2^63) by multiples of pi / 2 into `reduced`; returns the multiple, modulo 4. */
const reduce = (m: Int32Array): number => {
  const exp = m[T2 + 2] - BIAS;
  const mh = mantissa(m, T2);
  const ml = LOW[0];
  if (exp < 20) {
    const factor = power2(exp);
    const xh = mh * factor;
    const xl = ml * factor;
    if (xh < 0.785) {
      reduced[0] = xh;
      reduced[1] = xl;
      return 0;
    }
    const n = Math.floor(xh * 0.6366197723675814 + 0.5);
    // Everything is a multiple of 2^-65 below 2^21: the differences are exact.
    const d = sum(xh, xl, -n * HALF_PI_HIGH, 0);
    reduced[0] = sum(d, LOW[0], -n * HALF_PI_LOW, 0);
    reduced[1] = LOW[0];
    return n & 3;
  }
  // In units of 2^-65: pi / 2 is PI_66.
  const x = ((BigInt(m[T2 + 1] >>> 0) << 32n) | BigInt(m[T2] >>> 0)) << BigInt(exp + 2);
  let n = x / PI_66;
  let r = x - n * PI_66;
  if (2n * r > PI_66) {
    n++;
    r -= PI_66;
  }
  const hi = Number(r);
  reduced[0] = hi / 2 ** 65;
  reduced[1] = Number(r - BigInt(hi)) / 2 ** 65;
  return Number(n & 3n);
};

/** sin of `reduced`. The first three terms need a pair, the rest a double. */
const sine = (): number => {
  const rh = reduced[0];
  const rl = reduced[1];
  const zh = product(rh, rl, rh, rl);
  const zl = LOW[0];
  const f = INVERSE_FACTORIAL;
  const tail = f[18] - zh * (f[22] - zh * (f[26] - zh * (f[30] - zh * (f[34] - zh * f[38]))));
  // -1/7! + z * (1/9! - ...)
  let ph = sum(-f[14], -f[15], zh * tail, 0);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], f[10], f[11]);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], -f[6], -f[7]);
  ph = product(ph, LOW[0], zh, zl);
  ph = product(ph, LOW[0], rh, rl);
  return sum(rh, rl, ph, LOW[0]);
};
/** cos of `reduced`. */
const cosine = (): number => {
  const rh = reduced[0];
  const rl = reduced[1];
  const zh = product(rh, rl, rh, rl);
  const zl = LOW[0];
  const f = INVERSE_FACTORIAL;
  const tail = f[20] - zh * (f[24] - zh * (f[28] - zh * (f[32] - zh * (f[36] - zh * f[40]))));
  // 1/8! - z * (1/10! - ...)
  let ph = sum(f[16], f[17], -zh * tail, 0);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], -f[12], -f[13]);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], f[8], f[9]);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], -0.5, 0);
  ph = product(ph, LOW[0], zh, zl);
  return sum(1, 0, ph, LOW[0]);
};

/** What becomes of the argument of a trigonometric instruction. */
const enum Trig {
  /** T0 holds the (special) result; nothing more to do. */
  DONE = 0,
  /** |a| is 2^63 or more: C2 is set and nothing changes. */
  OUT_OF_RANGE = 1,
  /** Zero, in T0. */
  ZERO = 2,
  COMPUTE = 3,
}
/** Exception bits that trigKind() found. */
let trigFlags = 0;
/** Classifies slot a and, for COMPUTE, normalises it into T2. */
const trigKind = (m: Int32Array, a: number): Trig => {
  trigFlags = 0;
  const kind = kindOf(m, a);
  if (kind === Kind.UNSUPPORTED || kind === Kind.INFINITY) {
    trigFlags = invalid(m);
    return Trig.DONE;
  }
  if (kind >= Kind.QUIET) {
    trigFlags = oneNaN(m, a, kind);
    return Trig.DONE;
  }
  if (kind === Kind.ZERO) {
    copy(m, T0, a);
    return Trig.ZERO;
  }
  if ((m[a + 2] & EXP_MAX) >= BIAS + 63) return Trig.OUT_OF_RANGE;
  trigFlags = isDenormal(m, a) ? DE : 0;
  if (stopsOnDenormal(m, trigFlags)) return Trig.DONE;
  normalise(m, T2, a);
  return Trig.COMPUTE;
};

/** x less a trifle, x in T2. */
const justBelow = (m: Int32Array): number => {
  let high = m[T2 + 1];
  let low = m[T2];
  const exp = m[T2 + 2];
  if (low === 0) high = (high - 1) | 0;
  low = (low - 1) | 0;
  if (high >= 0) return finish(m, m[T2 + 3], exp - 1, -1, -1, -2);
  return finish(m, m[T2 + 3], exp, high, low, -1);
};

/** Result of sine (`which` 0), cosine (1) or tangent (2) for the argument in T2. */
const trigonometric = (m: Int32Array, which: number): number => {
  const sign = m[T2 + 3];
  if (m[T2 + 2] - BIAS < -40) {
    if (which === 0) return justBelow(m);
    if (which === 1) return finish(m, 0, BIAS - 1, -1, -1, -2);
    return finish(m, sign, m[T2 + 2], m[T2 + 1], m[T2], 1);
  }
  const n = reduce(m);
  if (which === 2) {
    const sh = sine();
    const sl = LOW[0];
    const ch = cosine();
    const cl = LOW[0];
    if (n & 1) {
      const t = quotient(ch, cl, sh, sl);
      return finishPair(m, sign ^ SIGN, 0, t, LOW[0]);
    }
    const t = quotient(sh, sl, ch, cl);
    return finishPair(m, sign, 0, t, LOW[0]);
  }
  const quadrant = n + which;
  const value = quadrant & 1 ? cosine() : sine();
  // cos(-x) = cos(x); sin(-x) = -sin(x).
  const s = (quadrant & 2 ? SIGN : 0) ^ (which === 0 ? sign : 0);
  return finishPair(m, s, 0, value, LOW[0]);
};

/** C2: argument out of range. */
const C2 = 0x400;

/** FSIN: result in T0, or C2. */
export const sin = (m: Int32Array, a: number): number => {
  const kind = trigKind(m, a);
  if (kind === Trig.OUT_OF_RANGE) return C2;
  return kind === Trig.COMPUTE ? trigFlags | trigonometric(m, 0) : trigFlags;
};
/** FCOS. */
export const cos = (m: Int32Array, a: number): number => {
  const kind = trigKind(m, a);
  if (kind === Trig.OUT_OF_RANGE) return C2;
  if (kind === Trig.ZERO) put(m, T0, BIAS, TOP_BIT, 0);
  return kind === Trig.COMPUTE ? trigFlags | trigonometric(m, 1) : trigFlags;
};
/** FPTAN: the tangent goes to T1, what is pushed to T0 (1.0, or the NaN again). */
export const tan = (m: Int32Array, a: number): number => {
  const kind = trigKind(m, a);
  if (kind === Trig.OUT_OF_RANGE) return C2;
  let flags = trigFlags;
  if (kind === Trig.COMPUTE) flags |= trigonometric(m, 2);
  copy(m, T1, T0);
  if (kind !== Trig.DONE) put(m, T0, BIAS, TOP_BIT, 0);
  return flags;
};
/** FSINCOS: the sine goes to T1, the cosine to T0. */
export const sinCos = (m: Int32Array, a: number): number => {
  const kind = trigKind(m, a);
  if (kind === Trig.OUT_OF_RANGE) return C2;
  let flags = trigFlags;
  if (kind === Trig.COMPUTE) {
    flags |= trigonometric(m, 0);
    copy(m, T1, T0);
    return flags | trigonometric(m, 1);
  }
  copy(m, T1, T0);
  if (kind === Trig.ZERO) put(m, T0, BIAS, TOP_BIT, 0);
  return flags;
};

// ---- exponential --------------------------------------------------------------------------------------------------------------------------

/** F2XM1: 2^a - 1 for |a| <= 1. */
export const exponential = (m: Int32Array, a: number): number => {
  const kind = kindOf(m, a);
  if (kind === Kind.UNSUPPORTED) return invalid(m);
  if (kind >= Kind.QUIET) return oneNaN(m, a, kind);
  const negative = (m[a + 2] & SIGN) !== 0;
  if (kind === Kind.INFINITY && negative) {
    put(m, T0, SIGN | BIAS, TOP_BIT, 0);
    return 0;
  }
  copy(m, T0, a);
  if (kind !== Kind.FINITE) return 0;
  const flags = isDenormal(m, a) ? DE : 0;
  if (stopsOnDenormal(m, flags)) return flags;
  const exp = (m[a + 2] & EXP_MAX) - BIAS;
  if (exp >= 0) {
    // Quirk: outside (-1, 1) the operand itself comes back (2^1 - 1 happens to be right); at -1 the result is right.
    if (exp === 0 && negative && m[a + 1] === TOP_BIT && m[a] === 0) m[T0 + 2] = SIGN | (BIAS - 1);
    return PE;
  }
  normalise(m, T2, a);
  const sign = m[T2 + 3];
  const mh = mantissa(m, T2);
  const ml = LOW[0];
  const scale = m[T2 + 2] - BIAS;
  if (scale < TINY) {
    const h = product(mh, ml, LN2[0], LN2[1]);
    return flags | finishPair(m, sign, scale, h, LOW[0]);
  }
  const factor = sign ? -power2(scale) : power2(scale);
  const xh = mh * factor;
  const k = Math.floor(xh * 16 + 0.5);
  const t = sum(xh, ml * factor, -k / 16, 0);
  const zh = product(t, LOW[0], LN2[0], LN2[1]);
  const zl = LOW[0];
  const f = INVERSE_FACTORIAL;
  // e^z - 1 = z + z^2 (1/2 + z (1/6 + z (1/24 + ...)))
  const tail = f[8] + zh * (f[10] + zh * (f[12] + zh * (f[14] + zh * (f[16] + zh * (f[18] + zh * (f[20] + zh * f[22]))))));
  let ph = sum(f[6], f[7], zh * tail, 0);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(ph, LOW[0], 0.5, 0);
  ph = product(ph, LOW[0], zh, zl);
  ph = product(ph, LOW[0], zh, zl);
  ph = sum(zh, zl, ph, LOW[0]);
  if (k !== 0) {
    const th = EXP2[2 * (k + 16)];
    const tl = EXP2[2 * (k + 16) + 1];
    ph = product(ph, LOW[0], th, tl);
    const pl = LOW[0];
    const oh = sum(th, tl, -1, 0);
    ph = sum(oh, LOW[0], ph, pl);
  }
  return flags | finishPair(m, 0, 0, ph, LOW[0]);
};

// ---- logarithms ---------------------------------------------------------------------------------------------------------------------------

/** ln(1 + r) for |r| < 2^-5.5 or so. */
const logOnePlus = (rh: number, rl: number): number => {
  const v = INVERSE;
  let tail = v[30];
  for (let n = 15; n >= 4; n--) tail = v[2 * n - 2] - rh * tail;
  // r + r^2 (-1/2 + r (1/3 - r (1/4 - ...)))
  let ph = sum(v[4], v[5], -rh * tail, 0);
  ph = product(ph, LOW[0], rh, rl);
  ph = sum(ph, LOW[0], -0.5, 0);
  ph = product(ph, LOW[0], rh, rl);
  ph = product(ph, LOW[0], rh, rl);
  return sum(rh, rl, ph, LOW[0]);
};

/** log2 of (mh + ml) * 2^exp, mh in [1, 2). */
const log2 = (mh: number, ml: number, exp: number): number => {
  if (mh >= 1.42) {
    mh *= 0.5;
    ml *= 0.5;
    exp++;
  }
  const i = Math.floor(mh * 64 + 0.5) - 45;
  const c = RECIPROCAL[i] / 256;
  const p = mh * c;
  const rh = sum(p - 1, 0, productError(mh, c, p), ml * c);
  let h = logOnePlus(rh, LOW[0]);
  h = product(h, LOW[0], LOG2E[0], LOG2E[1]);
  if (c !== 1) h = sum(LOG2[2 * i], LOG2[2 * i + 1], h, LOW[0]);
  return exp === 0 ? h : sum(exp, 0, h, LOW[0]);
};

/** y * (lh + ll), y normalised in T3. */
const timesY = (m: Int32Array, lh: number, ll: number, scale: number): number => {
  const yh = mantissa(m, T3);
  const h = product(yh, LOW[0], lh, ll);
  return finishPair(m, m[T3 + 3], m[T3 + 2] - BIAS + scale, h, LOW[0]);
};

/** FYL2X: b * log2(a). */
export const yLog2 = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const sign = m[b + 2] & SIGN;
  if (ka === Kind.ZERO) {
    if (kb === Kind.ZERO) return invalid(m);
    putInfinity(m, T0, sign ^ SIGN);
    return kb === Kind.INFINITY ? 0 : ZE;
  }
  if (m[a + 2] & SIGN) return invalid(m);
  const one = (m[a + 2] & EXP_MAX) === BIAS && m[a + 1] === TOP_BIT && m[a] === 0;
  if (ka === Kind.INFINITY ? kb === Kind.ZERO : one && kb === Kind.INFINITY) return invalid(m);
  const flags = isDenormal(m, a) || isDenormal(m, b) ? DE : 0;
  if (stopsOnDenormal(m, flags)) return flags;
  const below = (m[a + 2] & EXP_MAX) < BIAS;
  if (ka === Kind.INFINITY || kb === Kind.INFINITY) {
    putInfinity(m, T0, below ? sign ^ SIGN : sign);
    return flags;
  }
  if (kb === Kind.ZERO || one) {
    putZero(m, T0, below ? sign ^ SIGN : sign);
    return flags;
  }
  normalise(m, T2, a);
  normalise(m, T3, b);
  const mh = mantissa(m, T2);
  const h = log2(mh, LOW[0], m[T2 + 2] - BIAS);
  return flags | timesY(m, h, LOW[0], 0);
};

/** FYL2XP1: b * log2(a + 1). */
export const yLog2P1 = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const negative = (m[a + 2] & SIGN) !== 0;
  const sign = (m[a + 2] ^ m[b + 2]) & SIGN;
  if (ka === Kind.INFINITY ? negative || kb === Kind.ZERO : ka === Kind.ZERO && kb === Kind.INFINITY) return invalid(m);
  const flags = isDenormal(m, a) || isDenormal(m, b) ? DE : 0;
  if (stopsOnDenormal(m, flags)) return flags;
  if (ka === Kind.INFINITY || kb === Kind.INFINITY) {
    putInfinity(m, T0, sign);
    return flags;
  }
  if (ka === Kind.ZERO || kb === Kind.ZERO) {
    putZero(m, T0, sign);
    return flags;
  }
  normalise(m, T2, a);
  normalise(m, T3, b);
  const exp = m[T2 + 2] - BIAS;
  if (negative && exp >= 0) {
    // Quirk: -1 and below are outside the function's range; the operand itself comes back.
    copy(m, T0, a);
    return flags | PE;
  }
  const mh = mantissa(m, T2);
  const ml = LOW[0];
  if (exp < TINY) {
    const h = product(mh, ml, LOG2E[0], LOG2E[1]);
    return flags | timesY(m, negative ? -h : h, negative ? -LOW[0] : LOW[0], exp);
  }
  if (exp > 110) {
    const h = log2(mh, ml, exp);
    return flags | timesY(m, h, LOW[0], 0);
  }
  const factor = negative ? -power2(exp) : power2(exp);
  const xh = mh * factor;
  const xl = ml * factor;
  if (exp < -6) {
    let h = logOnePlus(xh, xl);
    h = product(h, LOW[0], LOG2E[0], LOG2E[1]);
    return flags | timesY(m, h, LOW[0], 0);
  }
  const vh = sum(1, 0, xh, xl);
  const vl = LOW[0];
  const e = (highWord(vh) >> 20) - 1023;
  const back = power2(-e);
  const h = log2(vh * back, vl * back, e);
  return flags | timesY(m, h, LOW[0], 0);
};

// ---- arc tangent --------------------------------------------------------------------------------------------------------------------------

/** atan of a pair in [0, 1]. */
const arcTangent = (th: number, tl: number): number => {
  const k = Math.floor(th * 32 + 0.5);
  let uh = th;
  let ul = tl;
  if (k !== 0) {
    // atan(t) = atan(c) + atan((t - c) / (1 + t c))
    const c = k / 32;
    const dh = product(th, tl, c, 0);
    const bh = sum(1, 0, dh, LOW[0]);
    const bl = LOW[0];
    const nh = sum(th, tl, -c, 0);
    uh = quotient(nh, LOW[0], bh, bl);
    ul = LOW[0];
  }
  const zh = product(uh, ul, uh, ul);
  const zl = LOW[0];
  const v = INVERSE;
  const tail = v[8] - zh * (v[12] - zh * (v[16] - zh * (v[20] - zh * (v[24] - zh * (v[28] - zh * v[32])))));
  let ph = sum(-v[4], -v[5], zh * tail, 0);
  ph = product(ph, LOW[0], zh, zl);
  ph = product(ph, LOW[0], uh, ul);
  ph = sum(uh, ul, ph, LOW[0]);
  return k === 0 ? ph : sum(ATAN[2 * k], ATAN[2 * k + 1], ph, LOW[0]);
};

/** FPATAN: the angle of the point (a, b): atan(b / a) in all four quadrants. */
export const arcTan2 = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const left = (m[a + 2] & SIGN) !== 0;
  const sign = m[b + 2] & SIGN;
  const flags = isDenormal(m, a) || isDenormal(m, b) ? DE : 0;
  if (stopsOnDenormal(m, flags)) return flags;
  if (kb === Kind.INFINITY) return flags | finishConstant(m, sign, ka !== Kind.INFINITY ? PI_2 : left ? PI3_4 : PI_4);
  if (ka === Kind.INFINITY || kb === Kind.ZERO) {
    if (left) return flags | finishConstant(m, sign, PI);
    putZero(m, T0, sign);
    return flags;
  }
  if (ka === Kind.ZERO) return flags | finishConstant(m, sign, PI_2);
  normalise(m, T2, a);
  normalise(m, T3, b);
  const xh = mantissa(m, T2);
  const xl = LOW[0];
  const yh = mantissa(m, T3);
  const yl = LOW[0];
  let distance = m[T3 + 2] - m[T2 + 2];
  const steep = distance > 0 || (distance === 0 && (yh > xh || (yh === xh && yl > xl)));
  let qh = steep ? quotient(xh, xl, yh, yl) : quotient(yh, yl, xh, xl);
  let ql = LOW[0];
  if (steep) distance = -distance;
  if (distance < TINY) {
    // atan(t) is less than t by t^3 / 3.
    if (!steep && !left) return flags | finishPair(m, sign, distance, qh, ql - qh * 2 ** -90);
    // Only to be seen as "a little less" or "a little more".
    distance = -100;
  }
  const factor = power2(distance);
  qh = arcTangent(qh * factor, ql * factor);
  ql = LOW[0];
  if (steep) qh = left ? sum(PI_2[0], PI_2[1], qh, ql) : sum(PI_2[0], PI_2[1], -qh, -ql);
  else if (left) qh = sum(PI[0], PI[1], -qh, -ql);
  else LOW[0] = ql;
  return flags | finishPair(m, sign, 0, qh, LOW[0]);
};
