// Exact operations on the parts of a number: partial remainders, scaling, extraction of exponent and significand, rounding to an integral value.
//
// They have their own file because none of them is rounded by precision control. Results in T0, status bits returned, as in arith.ts; FXTRACT's second result
// is in T1. What it leaves out: the stack (unary.ts).

import { W } from '../state';
import { C0, C2, C3 } from './arith';
import { fromInt32, roundToIntegral } from './convert';
import {
  BIAS,
  C1,
  copy,
  DE,
  EXP_MAX,
  invalid,
  isDenormal,
  Kind,
  kindOf,
  normalise,
  OE,
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
  twoNaNs,
  UE,
  WRAP,
  ZE,
} from './float80';

/** round() at 64 bits whatever precision control says. */
const roundExtended = (m: Int32Array, sign: number, exp: number, high: number, low: number): number =>
  roundSlow(m, sign, exp, high, low, 0, m[W.FPU_CW] | 0x300);

/** Normalises high:low (not zero) and stores it; exp belongs to a set integer bit. */
const finish = (m: Int32Array, sign: number, exp: number, high: number, low: number): number => {
  if (high === 0) {
    high = low;
    low = 0;
    exp -= 32;
  }
  const n = Math.clz32(high);
  if (n !== 0) {
    high = (high << n) | (low >>> (32 - n));
    low <<= n;
    exp -= n;
  }
  return roundExtended(m, sign, exp, high, low);
};

/**
 * a REM b, by truncating division (FPREM) or to the nearest quotient (FPREM1, `nearest`).
 * C2 set: exponents were 64 or more apart and only part of the way was done; else C0 C3 C1 are the quotient's low three bits.
 */
export const remainder = (m: Int32Array, a: number, b: number, nearest: boolean): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  if (ka === Kind.INFINITY || kb === Kind.ZERO) return invalid(m);
  const flags = isDenormal(m, a) || isDenormal(m, b) ? DE : 0;
  if (flags & ~m[W.FPU_CW]) return flags;
  // Only from here on does the quotient replace C3 and C0; the caller has cleared C2.
  m[W.FPU_SW] &= ~(C3 | C0);
  if (ka === Kind.ZERO) {
    copy(m, T0, a);
    return flags;
  }
  normalise(m, T2, a);
  const sign = m[T2 + 3];
  const ea = m[T2 + 2];
  let rh = m[T2 + 1];
  let rl = m[T2];
  if (kb === Kind.INFINITY) return flags | roundExtended(m, sign, ea, rh, rl);
  normalise(m, T3, b);
  const eb = m[T3 + 2];
  const hb = m[T3 + 1];
  const lb = m[T3];
  const distance = ea - eb;
  if (distance < (nearest ? -1 : 0)) return flags | roundExtended(m, sign, ea, rh, rl);
  if (distance === -1) {
    // Less than b: the quotient rounds to 1 when 2a > b.
    const above = rh >>> 0 > hb >>> 0 || (rh === hb && rl >>> 0 > lb >>> 0);
    if (!above) return flags | roundExtended(m, sign, ea, rh, rl);
    // b - a at a's scale: 2b - a = b - (a - b).
    const dl = (rl - lb) | 0;
    const dh = (rh - hb - (rl >>> 0 < lb >>> 0 ? 1 : 0)) | 0;
    const l = (lb - dl) | 0;
    const h = (hb - dh - (lb >>> 0 < dl >>> 0 ? 1 : 0)) | 0;
    return flags | C1 | (finish(m, sign ^ SIGN, ea, h, l) & ~C1);
  }
  const partial = distance >= 64;
  // A partial reduction takes 32 to 63 bits off.
  const steps = partial ? (distance & 31) | 32 : distance;
  let q = 0;
  let carry = false;
  for (let k = 0; ; k++) {
    if (carry || rh >>> 0 > hb >>> 0 || (rh === hb && rl >>> 0 >= lb >>> 0)) {
      const l = (rl - lb) | 0;
      rh = (rh - hb - (rl >>> 0 < lb >>> 0 ? 1 : 0)) | 0;
      rl = l;
      q |= 1;
    }
    if (k === steps) break;
    carry = rh < 0;
    rh = (rh << 1) | (rl >>> 31);
    rl <<= 1;
    q <<= 1;
  }
  const exp = ea - steps;
  if (partial) {
    if ((rh | rl) === 0) putZero(m, T0, sign);
    else return flags | C2 | (finish(m, sign, exp, rh, rl) & ~C1);
    return flags | C2;
  }
  let resultSign = sign;
  if (nearest) {
    // Twice the remainder against b.
    const dh = (rh << 1) | (rl >>> 31);
    const dl = rl << 1;
    const above = rh < 0 || dh >>> 0 > hb >>> 0 || (dh === hb && dl >>> 0 > lb >>> 0);
    if (above || (dh === hb && dl === lb && (q & 1) !== 0)) {
      const l = (lb - rl) | 0;
      rh = (hb - rh - (lb >>> 0 < rl >>> 0 ? 1 : 0)) | 0;
      rl = l;
      resultSign ^= SIGN;
      q++;
    }
  }
  const bits = (q & 1 ? C1 : 0) | (q & 2 ? C3 : 0) | (q & 4 ? C0 : 0);
  if ((rh | rl) === 0) {
    putZero(m, T0, sign);
    return flags | bits;
  }
  return flags | bits | (finish(m, resultSign, exp, rh, rl) & ~C1);
};

/** a * 2^trunc(b). */
export const scale = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const sign = m[a + 2] & SIGN;
  const down = (m[b + 2] & SIGN) !== 0;
  if (kb === Kind.INFINITY && ((ka === Kind.ZERO && !down) || (ka === Kind.INFINITY && down))) return invalid(m);
  const flags = isDenormal(m, a) || isDenormal(m, b) ? DE : 0;
  if (flags & ~m[W.FPU_CW]) return flags;
  if (kb === Kind.INFINITY) {
    if (down) putZero(m, T0, sign);
    else putInfinity(m, T0, sign);
    return flags;
  }
  if (ka !== Kind.FINITE) {
    copy(m, T0, a);
    return flags;
  }
  normalise(m, T2, a);
  // Anything beyond 2^16 in b is as good as infinite; below 1 it is nothing.
  let n = 0;
  if (kb !== Kind.ZERO) {
    const e = (m[b + 2] & EXP_MAX) - BIAS;
    if (e >= 16) n = 0x10000;
    else if (e >= 0) n = m[b + 1] >>> (31 - e);
    if (down) n = -n;
  }
  const exp = m[T2 + 2] + n;
  // Where even the shifted exponent of an unmasked exception is out of range: infinity or zero, whatever the rounding.
  const unmasked = ~m[W.FPU_CW];
  if (exp >= EXP_MAX + WRAP && unmasked & OE) {
    putInfinity(m, T0, sign);
    return flags | OE | PE | C1;
  }
  if (exp <= -WRAP && unmasked & UE) {
    putZero(m, T0, sign);
    return flags | UE | PE;
  }
  return flags | roundExtended(m, sign, exp, m[T2 + 1], m[T2]);
};

/** FXTRACT: significand (exponent 0) in T0, unbiased exponent as a number in T1. */
export const extract = (m: Int32Array, a: number): number => {
  const kind = kindOf(m, a);
  if (kind === Kind.UNSUPPORTED) {
    invalid(m);
    copy(m, T1, T0);
    return 1;
  }
  if (kind >= Kind.QUIET) {
    const flags = oneNaN(m, a, kind);
    copy(m, T1, T0);
    return flags;
  }
  if (kind === Kind.INFINITY) {
    copy(m, T0, a);
    putInfinity(m, T1, 0);
    return 0;
  }
  if (kind === Kind.ZERO) {
    copy(m, T0, a);
    putInfinity(m, T1, SIGN);
    return ZE;
  }
  const flags = isDenormal(m, a) ? DE : 0;
  if (flags & ~m[W.FPU_CW]) return flags;
  normalise(m, T2, a);
  put(m, T0, m[T2 + 3] | BIAS, m[T2 + 1], m[T2]);
  fromInt32(m, T1, m[T2 + 2] - BIAS);
  return flags;
};

/** FRNDINT. */
export const integral = (m: Int32Array, a: number): number => {
  const kind = kindOf(m, a);
  if (kind === Kind.UNSUPPORTED) return invalid(m);
  if (kind >= Kind.QUIET) return oneNaN(m, a, kind);
  if (kind !== Kind.FINITE) {
    copy(m, T0, a);
    return 0;
  }
  const flags = isDenormal(m, a) ? DE : 0;
  if (flags & ~m[W.FPU_CW]) return flags;
  return flags | roundToIntegral(m, a);
};
