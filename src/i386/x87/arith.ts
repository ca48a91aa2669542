// The four operations, square root and comparison on extended reals, in 32-bit limbs.
//
// Each works on word indexes of two slots, has a fast way for two normal numbers and a slow one for everything else, and leaves its result in T0 (float80.ts).
// Mantissas are 64 bits high:low; `extra` carries 32 more, the lowest sticky. Quotients and roots are guessed in doubles and corrected exactly, so
// nothing depends on how a double rounds. What it leaves out: partial remainders and the transcendentals.

import { W } from '../state';
import {
  copy,
  DE,
  EXP_MAX,
  IE,
  invalid,
  isDenormal,
  Kind,
  kindOf,
  normalise,
  oneNaN,
  putInfinity,
  putZero,
  RC,
  round,
  SIGN,
  T0,
  T2,
  T3,
  TOP_BIT,
  twoNaNs,
  ZE,
} from './float80';

/** High 32 bits of the 64-bit product of two uint32. */
export const mulHigh = (a: number, b: number): number => {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const low = Math.imul(a0, b0);
  const middle = (Math.imul(a1, b0) + (low >>> 16)) | 0;
  const other = (Math.imul(a0, b1) + (middle & 0xffff)) | 0;
  return (Math.imul(a1, b1) + (middle >>> 16) + (other >>> 16)) | 0;
};

/** Adds two magnitudes of the same sign; `ea >= eb`. */
const addMagnitudes = (m: Int32Array, sign: number, ea: number, ha: number, la: number, eb: number, hb: number, lb: number): number => {
  const d = ea - eb;
  let extra = 0;
  if (d !== 0) {
    if (d < 32) {
      extra = lb << (32 - d);
      lb = (lb >>> d) | (hb << (32 - d));
      hb = hb >>> d;
    } else if (d < 64) {
      const s = d - 32;
      if (s === 0) {
        extra = lb;
        lb = hb;
      } else {
        extra = (lb >>> s) | (hb << (32 - s)) | (lb << (32 - s) !== 0 ? 1 : 0);
        lb = hb >>> s;
      }
      hb = 0;
    } else {
      extra = d === 64 ? hb | (lb !== 0 ? 1 : 0) : d < 96 ? (hb >>> (d - 64)) | (((hb << (96 - d)) | lb) !== 0 ? 1 : 0) : 1;
      lb = 0;
      hb = 0;
    }
  }
  let low = (la + lb) | 0;
  const carry = ((la & lb) | ((la | lb) & ~low)) >>> 31;
  let high = (ha + hb + carry) | 0;
  if (((ha & hb) | ((ha | hb) & ~high)) < 0) {
    extra = (low << 31) | (extra >>> 1) | (extra & 1);
    low = (low >>> 1) | (high << 31);
    high = (high >>> 1) | TOP_BIT;
    ea++;
  }
  return round(m, sign, ea, high, low, extra);
};

/** Subtracts magnitude b from a; the caller has put the larger first, so `ea >= eb` and the difference is not negative. */
const subMagnitudes = (m: Int32Array, sign: number, ea: number, ha: number, la: number, eb: number, hb: number, lb: number): number => {
  const d = ea - eb;
  let extra = 0;
  if (d !== 0) {
    if (d < 32) {
      extra = lb << (32 - d);
      lb = (lb >>> d) | (hb << (32 - d));
      hb = hb >>> d;
    } else if (d < 64) {
      const s = d - 32;
      if (s === 0) {
        extra = lb;
        lb = hb;
      } else {
        extra = (lb >>> s) | (hb << (32 - s)) | (lb << (32 - s) !== 0 ? 1 : 0);
        lb = hb >>> s;
      }
      hb = 0;
    } else {
      extra = d === 64 ? hb | (lb !== 0 ? 1 : 0) : d < 96 ? (hb >>> (d - 64)) | (((hb << (96 - d)) | lb) !== 0 ? 1 : 0) : 1;
      lb = 0;
      hb = 0;
    }
  }
  // 96-bit a:0 - b:extra.
  const e = -extra | 0;
  let borrow = extra !== 0 ? 1 : 0;
  let low = (la - lb - borrow) | 0;
  borrow = ((~la & lb) | ((~la | lb) & low)) >>> 31;
  let high = (ha - hb - borrow) | 0;
  extra = e;
  if (high >= 0) {
    if (high === 0) {
      if (low === 0) {
        if (extra === 0) {
          putZero(m, T0, (m[W.FPU_CW] & RC.MASK) === RC.DOWN ? SIGN : 0);
          return 0;
        }
        // Only a difference of one unit in the last place of neighbours with d = 1 leaves bits here alone.
        high = extra;
        extra = 0;
        ea -= 64;
      } else {
        high = low;
        low = extra;
        extra = 0;
        ea -= 32;
      }
    }
    const n = Math.clz32(high);
    if (n !== 0) {
      high = (high << n) | (low >>> (32 - n));
      low = (low << n) | (extra >>> (32 - n));
      extra <<= n;
      ea -= n;
    }
  }
  return round(m, sign, ea, high, low, extra);
};

const addNormalised = (
  m: Int32Array,
  sa: number,
  ea: number,
  ha: number,
  la: number,
  sb: number,
  eb: number,
  hb: number,
  lb: number,
): number => {
  if (sa === sb) return ea >= eb ? addMagnitudes(m, sa, ea, ha, la, eb, hb, lb) : addMagnitudes(m, sa, eb, hb, lb, ea, ha, la);
  if (ea > eb || (ea === eb && (ha >>> 0 > hb >>> 0 || (ha === hb && la >>> 0 >= lb >>> 0))))
    return subMagnitudes(m, sa, ea, ha, la, eb, hb, lb);
  return subMagnitudes(m, sb, eb, hb, lb, ea, ha, la);
};

/** a + b, or a - b with `flip` = 0x8000. */
export const add = (m: Int32Array, a: number, b: number, flip: number): number => {
  const sea = m[a + 2];
  const seb = m[b + 2] ^ flip;
  const ea = sea & EXP_MAX;
  const eb = seb & EXP_MAX;
  const ha = m[a + 1];
  const hb = m[b + 1];
  if ((ha & hb) < 0 && (ea - 1) >>> 0 < 0x7ffe && (eb - 1) >>> 0 < 0x7ffe)
    return addNormalised(m, sea & SIGN, ea, ha, m[a], seb & SIGN, eb, hb, m[b]);
  return addSlow(m, a, b, flip);
};

/** Denormal operands: DE, and whether the operation ends there because DE is unmasked. */
const denormals = (m: Int32Array, a: number, b: number): number => (isDenormal(m, a) || isDenormal(m, b) ? DE : 0);
const stops = (m: Int32Array, flags: number): boolean => (flags & ~m[W.FPU_CW] & DE) !== 0;

const addSlow = (m: Int32Array, a: number, b: number, flip: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const sa = m[a + 2] & SIGN;
  const sb = (m[b + 2] ^ flip) & SIGN;
  if (ka === Kind.INFINITY && kb === Kind.INFINITY && sa !== sb) return invalid(m);
  const flags = denormals(m, a, b);
  if (stops(m, flags)) return flags;
  if (ka === Kind.INFINITY || kb === Kind.INFINITY) {
    putInfinity(m, T0, ka === Kind.INFINITY ? sa : sb);
    return flags;
  }
  if (ka === Kind.ZERO && kb === Kind.ZERO) {
    putZero(m, T0, sa === sb ? sa : (m[W.FPU_CW] & RC.MASK) === RC.DOWN ? SIGN : 0);
    return flags;
  }
  if (ka !== Kind.ZERO) normalise(m, T2, a);
  if (kb !== Kind.ZERO) normalise(m, T3, b);
  if (ka === Kind.ZERO) return flags | round(m, sb, m[T3 + 2], m[T3 + 1], m[T3], 0);
  if (kb === Kind.ZERO) return flags | round(m, sa, m[T2 + 2], m[T2 + 1], m[T2], 0);
  return flags | addNormalised(m, sa, m[T2 + 2], m[T2 + 1], m[T2], sb, m[T3 + 2], m[T3 + 1], m[T3]);
};

const mulMagnitudes = (m: Int32Array, sign: number, exp: number, ha: number, la: number, hb: number, lb: number): number => {
  if ((la | lb) === 0) {
    // Both short (integers, and singles): one product is enough.
    let high = mulHigh(ha, hb);
    let low = Math.imul(ha, hb);
    if (high >= 0) {
      high = (high << 1) | (low >>> 31);
      low <<= 1;
      exp--;
    }
    return round(m, sign, exp, high, low, 0);
  }
  const p01 = Math.imul(la, hb);
  const p10 = Math.imul(ha, lb);
  const p11 = Math.imul(ha, hb);
  const h00 = mulHigh(la, lb);
  const h01 = mulHigh(la, hb);
  const h10 = mulHigh(ha, lb);
  const w0 = Math.imul(la, lb);
  const s1 = (p01 + p10) | 0;
  let extra = (s1 + h00) | 0;
  const c1 = (s1 >>> 0 < p10 >>> 0 ? 1 : 0) + (extra >>> 0 < s1 >>> 0 ? 1 : 0);
  const s2 = (h01 + h10) | 0;
  const s3 = (s2 + p11) | 0;
  let low = (s3 + c1) | 0;
  const c2 = (s2 >>> 0 < h10 >>> 0 ? 1 : 0) + (s3 >>> 0 < p11 >>> 0 ? 1 : 0) + (low >>> 0 < c1 ? 1 : 0);
  let high = (mulHigh(ha, hb) + c2) | 0;
  if (w0 !== 0) {
    if (high >= 0) {
      high = (high << 1) | (low >>> 31);
      low = (low << 1) | (extra >>> 31);
      extra = (extra << 1) | 1;
      exp--;
    } else extra |= 1;
  } else if (high >= 0) {
    high = (high << 1) | (low >>> 31);
    low = (low << 1) | (extra >>> 31);
    extra <<= 1;
    exp--;
  }
  return round(m, sign, exp, high, low, extra);
};

export const mul = (m: Int32Array, a: number, b: number): number => {
  const sea = m[a + 2];
  const seb = m[b + 2];
  const ea = sea & EXP_MAX;
  const eb = seb & EXP_MAX;
  const ha = m[a + 1];
  const hb = m[b + 1];
  if ((ha & hb) < 0 && (ea - 1) >>> 0 < 0x7ffe && (eb - 1) >>> 0 < 0x7ffe)
    return mulMagnitudes(m, (sea ^ seb) & SIGN, ea + eb - 0x3ffe, ha, m[a], hb, m[b]);
  return mulSlow(m, a, b);
};

const mulSlow = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const sign = (m[a + 2] ^ m[b + 2]) & SIGN;
  if ((ka === Kind.INFINITY && kb === Kind.ZERO) || (ka === Kind.ZERO && kb === Kind.INFINITY)) return invalid(m);
  const flags = denormals(m, a, b);
  if (stops(m, flags)) return flags;
  if (ka === Kind.INFINITY || kb === Kind.INFINITY) putInfinity(m, T0, sign);
  else if (ka === Kind.ZERO || kb === Kind.ZERO) putZero(m, T0, sign);
  else {
    normalise(m, T2, a);
    normalise(m, T3, b);
    return flags | mulMagnitudes(m, sign, m[T2 + 2] + m[T3 + 2] - 0x3ffe, m[T2 + 1], m[T2], m[T3 + 1], m[T3]);
  }
  return flags;
};

const TWO32 = 4294967296;

/** a / b of mantissas with their integer bits set. */
const divMagnitudes = (m: Int32Array, sign: number, exp: number, ha: number, la: number, hb: number, lb: number): number => {
  // Remainder rh:rl < b always. One digit of 32 bits at a time: guess in doubles (off by one at most), then correct.
  let rh = ha;
  let rl = la;
  const one = ha >>> 0 > hb >>> 0 || (ha === hb && la >>> 0 >= lb >>> 0);
  if (one) {
    rl = (la - lb) | 0;
    rh = (ha - hb - (la >>> 0 < lb >>> 0 ? 1 : 0)) | 0;
  } else exp--;
  const divisor = (hb >>> 0) * TWO32 + (lb >>> 0);
  let high = 0;
  let low = 0;
  for (let digit = 0; digit < 2; digit++) {
    if ((rh | rl) !== 0) {
      let q = Math.floor((((rh >>> 0) * TWO32 + (rl >>> 0)) / divisor) * TWO32);
      if (q > 0xffffffff) q = 0xffffffff;
      q |= 0;
      // r * 2^32 - q * b: three words w2:w1:w0, w2 ends as 0 or -1 (guess too high); a value of b or more means too low.
      const l = Math.imul(q, lb);
      const mid = Math.imul(q, hb);
      const s = (mulHigh(q, lb) + mid) | 0;
      const top = (mulHigh(q, hb) + (s >>> 0 < mid >>> 0 ? 1 : 0)) | 0;
      let w0 = -l | 0;
      let w1 = (rl - s - (l !== 0 ? 1 : 0)) | 0;
      let w2 = (rh - top - (((~rl & s) | ((~rl | s) & w1)) >>> 31)) | 0;
      while (w2 < 0) {
        q = (q - 1) | 0;
        const t = (w0 + lb) | 0;
        const carry = ((w0 & lb) | ((w0 | lb) & ~t)) >>> 31;
        const u = (w1 + hb + carry) | 0;
        w2 = (w2 + (((w1 & hb) | ((w1 | hb) & ~u)) >>> 31)) | 0;
        w0 = t;
        w1 = u;
      }
      while (w2 > 0 || w1 >>> 0 > hb >>> 0 || (w1 === hb && w0 >>> 0 >= lb >>> 0)) {
        q = (q + 1) | 0;
        const t = (w0 - lb) | 0;
        const borrow = ((~w0 & lb) | ((~w0 | lb) & t)) >>> 31;
        const u = (w1 - hb - borrow) | 0;
        w2 = (w2 - (((~w1 & hb) | ((~w1 | hb) & u)) >>> 31)) | 0;
        w0 = t;
        w1 = u;
      }
      rh = w1;
      rl = w0;
      if (digit === 0) high = q;
      else low = q;
    }
  }
  if (one) {
    const extra = (low << 31) | ((rh | rl) !== 0 ? 1 : 0);
    return round(m, sign, exp, (high >>> 1) | TOP_BIT, (low >>> 1) | (high << 31), extra);
  }
  let extra = 0;
  if ((rh | rl) !== 0) {
    // Half or more of a unit left?
    if (rh < 0) extra = TOP_BIT | 1;
    else {
      const dh = (rh << 1) | (rl >>> 31);
      const dl = rl << 1;
      extra = dh === hb && dl === lb ? TOP_BIT : dh >>> 0 > hb >>> 0 || (dh === hb && dl >>> 0 > lb >>> 0) ? TOP_BIT | 1 : 1;
    }
  }
  return round(m, sign, exp, high, low, extra);
};

/** a / b. */
export const div = (m: Int32Array, a: number, b: number): number => {
  const sea = m[a + 2];
  const seb = m[b + 2];
  const ea = sea & EXP_MAX;
  const eb = seb & EXP_MAX;
  const ha = m[a + 1];
  const hb = m[b + 1];
  if ((ha & hb) < 0 && (ea - 1) >>> 0 < 0x7ffe && (eb - 1) >>> 0 < 0x7ffe)
    return divMagnitudes(m, (sea ^ seb) & SIGN, ea - eb + 0x3fff, ha, m[a], hb, m[b]);
  return divSlow(m, a, b);
};

const divSlow = (m: Int32Array, a: number, b: number): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka === Kind.UNSUPPORTED || kb === Kind.UNSUPPORTED) return invalid(m);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return twoNaNs(m, a, b, ka, kb);
  const sign = (m[a + 2] ^ m[b + 2]) & SIGN;
  if (ka === kb && (ka === Kind.INFINITY || ka === Kind.ZERO)) return invalid(m);
  if (kb === Kind.ZERO && ka !== Kind.INFINITY) {
    // Divide by zero comes before a denormal dividend.
    putInfinity(m, T0, sign);
    return ZE;
  }
  const flags = denormals(m, a, b);
  if (stops(m, flags)) return flags;
  if (ka === Kind.INFINITY) putInfinity(m, T0, sign);
  else if (ka === Kind.ZERO || kb === Kind.INFINITY) putZero(m, T0, sign);
  else {
    normalise(m, T2, a);
    normalise(m, T3, b);
    return flags | divMagnitudes(m, sign, m[T2 + 2] - m[T3 + 2] + 0x3fff, m[T2 + 1], m[T2], m[T3 + 1], m[T3]);
  }
  return flags;
};

/** Square root of slot a. */
export const sqrt = (m: Int32Array, a: number): number => {
  const kind = kindOf(m, a);
  if (kind === Kind.UNSUPPORTED) return invalid(m);
  if (kind >= Kind.QUIET) return oneNaN(m, a, kind);
  if (kind === Kind.ZERO) {
    copy(m, T0, a);
    return 0;
  }
  if (m[a + 2] & SIGN) return invalid(m);
  if (kind === Kind.INFINITY) {
    copy(m, T0, a);
    return 0;
  }
  const flags = isDenormal(m, a) ? DE : 0;
  if (stops(m, flags)) return flags;
  normalise(m, T2, a);
  const exp = m[T2 + 2];
  let h = m[T2 + 1];
  let l = m[T2];
  // value = mantissa * 2^(exp - BIAS - 63). Take the radicand as a 128-bit integer n3:n2:n1:0 below 2^128, its root has 64 bits with the top one set.
  let n1 = 0;
  const odd = (exp & 1) === 0;
  if (!odd) {
    // Even power of two: halve the mantissa.
    n1 = l << 31;
    l = (l >>> 1) | (h << 31);
    h = h >>> 1;
  }
  const result = ((exp + (odd ? 0x4000 : 0x3fff)) >> 1) - (odd ? 1 : 0);
  // First digit: s1 = floor(sqrt(h:l)), remainder r1 = h:l - s1^2 <= 2 * s1.
  const top = (h >>> 0) * TWO32 + (l >>> 0);
  let s1 = Math.floor(Math.sqrt(top));
  if (s1 > 0xffffffff) s1 = 0xffffffff;
  let s = s1 | 0;
  let sqLow = Math.imul(s, s);
  let sqHigh = mulHigh(s, s);
  if (sqHigh >>> 0 > h >>> 0 || (sqHigh === h && sqLow >>> 0 > l >>> 0)) {
    s1 -= 1;
    s = s1 | 0;
    sqLow = Math.imul(s, s);
    sqHigh = mulHigh(s, s);
  }
  // r1 is at most 2^33, so a double holds it exactly.
  let r1 = ((h - sqHigh - (l >>> 0 < sqLow >>> 0 ? 1 : 0)) | 0) * TWO32 + ((l - sqLow) >>> 0);
  if (r1 > 2 * s1) {
    r1 -= 2 * s1 + 1;
    s1 += 1;
  }
  // Second digit: (r1 * 2^32 + n1) / (2 * s1) = q, remainder u; the root is s1:q, unless u:0 - q^2 is negative. All of it below 2^66: exact in two parts.
  const d = 2 * s1;
  let q = Math.floor((r1 * TWO32) / d);
  // u = r1 * 2^32 + n1 - q * d, corrected into [0, d). Computed mod 2^64 in two words: the true value is small.
  const dl = d | 0;
  const dh = d >= TWO32 ? 1 : 0;
  if (q > 0xffffffff) q = 0xffffffff;
  const qi = q | 0;
  const ql = Math.imul(qi, dl);
  const qh = (mulHigh(qi, dl) + (dh ? qi : 0)) | 0;
  const ul = (n1 - ql) | 0;
  const uh = ((r1 | 0) - qh - (n1 >>> 0 < ql >>> 0 ? 1 : 0)) | 0;
  let u = uh * TWO32 + (ul >>> 0);
  while (u < 0) {
    u += d;
    q -= 1;
  }
  while (u >= d && q < 0xffffffff) {
    u -= d;
    q += 1;
  }
  // Remainder of the whole: u * 2^32 - q^2, between -2^64 and 2^66.
  const q2l = Math.imul(q | 0, q | 0);
  const q2h = mulHigh(q | 0, q | 0) >>> 0;
  let remHigh = u - q2h - (q2l !== 0 ? 1 : 0);
  let remLow = -q2l >>> 0;
  while (remHigh < 0) {
    // One too many: add 2 * root - 1 back.
    q -= 1;
    if (q < 0) {
      q = 0xffffffff;
      s1 -= 1;
    }
    remLow += 2 * q + 1;
    const carry = Math.floor(remLow / TWO32);
    remLow -= carry * TWO32;
    remHigh += carry + 2 * s1;
  }
  // The root is irrational or exact in 64 bits; the half is reached when the remainder exceeds the root.
  let extra = 0;
  if (remHigh !== 0 || remLow !== 0) extra = remHigh > s1 || (remHigh === s1 && remLow > q) ? TOP_BIT | 1 : 1;
  return flags | round(m, 0, result, s1 | 0, q | 0, extra);
};

/** Result bits of a comparison as they stand in the status word. */
export const C0 = 0x100;
export const C2 = 0x400;
export const C3 = 0x4000;
export const UNORDERED = C3 | C2 | C0;

/**
 * Compares a with b: C3 equal, C0 a < b, all three unordered; IE and DE as they come up.
 * @param quiet FUCOM: only signaling NaNs and unsupported encodings are invalid.
 */
export const compare = (m: Int32Array, a: number, b: number, quiet: boolean): number => {
  const ka = kindOf(m, a);
  const kb = kindOf(m, b);
  if (ka >= Kind.QUIET || kb >= Kind.QUIET) return UNORDERED | (!quiet || ka > Kind.QUIET || kb > Kind.QUIET ? IE : 0);
  const flags = denormals(m, a, b);
  const sa = m[a + 2] & SIGN;
  const sb = m[b + 2] & SIGN;
  if (ka === Kind.ZERO && kb === Kind.ZERO) return C3 | flags;
  if (sa !== sb) return (sa ? C0 : 0) | flags;
  // Same sign: order of exponent and mantissa. A pseudo-denormal has the value of exponent 1.
  const ea = m[a + 2] & EXP_MAX || (m[a + 1] < 0 ? 1 : 0);
  const eb = m[b + 2] & EXP_MAX || (m[b + 1] < 0 ? 1 : 0);
  let order = ea - eb;
  if (order === 0) order = (m[a + 1] >>> 0) - (m[b + 1] >>> 0);
  if (order === 0) order = (m[a] >>> 0) - (m[b] >>> 0);
  if (order === 0) return C3 | flags;
  return (order < 0 !== (sa !== 0) ? C0 : 0) | flags;
};
