// Conversions between the extended format and what memory holds: singles, doubles, integers of 16, 32 and 64 bits, packed decimals.
//
// Loading is exact and goes to a slot of the caller's choice. Storing rounds by the control word and leaves the bits in T0 (low) and T0 + 1 (high) with the
// status bits returned; the caller decides what reaches memory. What it leaves out: which exceptions stop a store (unit.ts).

import { W } from '../state';
import {
  BIAS,
  C1,
  DE,
  EXP_MAX,
  IE,
  Kind,
  kindOf,
  normalise,
  OE,
  PE,
  put,
  putInfinity,
  putZero,
  RC,
  SIGN,
  T0,
  T2,
  TOP_BIT,
  UE,
} from './float80';

/** A single to slot `to`. Returns DE for a denormal, IE for a signaling NaN (which is kept as it is). */
export const fromSingle = (m: Int32Array, to: number, bits: number): number => {
  const sign = (bits >>> 16) & SIGN;
  const exp = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exp === 0) {
    if (fraction === 0) {
      putZero(m, to, sign);
      return 0;
    }
    const n = Math.clz32(fraction);
    put(m, to, sign | (BIAS - 118 - n), fraction << n, 0);
    return DE;
  }
  put(m, to, sign | (exp === 0xff ? EXP_MAX : exp + (BIAS - 127)), TOP_BIT | (fraction << 8), 0);
  return exp === 0xff && fraction !== 0 && (fraction & 0x400000) === 0 ? IE : 0;
};

/** A double to slot `to`; as fromSingle(). */
export const fromDouble = (m: Int32Array, to: number, low: number, high: number): number => {
  const exp = (high >>> 20) & 0x7ff;
  if ((exp - 1) >>> 0 < 0x7fe) {
    m[to] = low << 11;
    m[to + 1] = TOP_BIT | ((high & 0xfffff) << 11) | (low >>> 21);
    m[to + 2] = ((high >>> 16) & SIGN) | (exp + (BIAS - 1023));
    return 0;
  }
  const sign = (high >>> 16) & SIGN;
  const fraction = high & 0xfffff;
  if (exp === 0) {
    if ((fraction | low) === 0) {
      putZero(m, to, sign);
      return 0;
    }
    const n = fraction !== 0 ? Math.clz32(fraction) : 32 + Math.clz32(low);
    if (n < 32) put(m, to, sign | (BIAS - 1011 - n), (fraction << n) | (low >>> (32 - n)), low << n);
    else put(m, to, sign | (BIAS - 1011 - n), low << (n - 32), 0);
    return DE;
  }
  put(m, to, sign | EXP_MAX, TOP_BIT | (fraction << 11) | (low >>> 21), low << 11);
  return (fraction | low) !== 0 && (fraction & 0x80000) === 0 ? IE : 0;
};

/** An int32 to slot `to`. */
export const fromInt32 = (m: Int32Array, to: number, value: number): void => {
  if (value === 0) {
    putZero(m, to, 0);
    return;
  }
  const magnitude = value < 0 ? -value | 0 : value;
  const n = Math.clz32(magnitude);
  put(m, to, (value < 0 ? SIGN : 0) | (BIAS + 31 - n), magnitude << n, 0);
};

/** A signed 64-bit integer to slot `to`. */
export const fromInt64 = (m: Int32Array, to: number, low: number, high: number): void => {
  const sign = high < 0 ? SIGN : 0;
  if (sign) {
    low = -low | 0;
    high = (~high + (low === 0 ? 1 : 0)) | 0;
  }
  fromMagnitude(m, to, sign, low, high);
};

const fromMagnitude = (m: Int32Array, to: number, sign: number, low: number, high: number): void => {
  if ((high | low) === 0) {
    putZero(m, to, sign);
    return;
  }
  let exp = BIAS + 63;
  if (high === 0) {
    high = low;
    low = 0;
    exp -= 32;
  }
  const n = Math.clz32(high);
  if (n !== 0) {
    high = (high << n) | (low >>> (32 - n));
    low <<= n;
  }
  put(m, to, sign | (exp - n), high, low);
};

/** True when rounding goes away from zero. `half`: the bits cut off are half a unit or more; `below`: any bit under the half; `odd`: last kept bit. */
const roundsUp = (cw: number, negative: boolean, half: boolean, below: boolean, odd: boolean): boolean => {
  switch (cw & RC.MASK) {
    case RC.NEAREST:
      return half && (below || odd);
    case RC.DOWN:
      return negative && (half || below);
    case RC.UP:
      return !negative && (half || below);
    default:
      return false;
  }
};

/** A NaN narrowed to a double's or single's fraction: quiet; IE when it was signaling. */
const narrowNaN = (kind: Kind): number => (kind === Kind.SIGNALING ? IE : 0);

/**
 * Slot `from` as a single (`single`) or double in T0, T0 + 1.
 * Unmasked overflow and underflow report OE or UE only: the store does not happen. Denormal operands are stored without DE.
 */
export const toReal = (m: Int32Array, from: number, single: boolean): number => {
  const signExp = m[from + 2];
  const exp = signExp & EXP_MAX;
  let high = m[from + 1];
  let low = m[from];
  const cw = m[W.FPU_CW];
  if (!single) {
    const e = exp - (BIAS - 1023);
    if (high < 0 && e > 0 && e < 0x7fe && (cw & RC.MASK) === RC.NEAREST) {
      // A double's range, to nearest: nearly everything.
      const cut = low & 0x7ff;
      let l = (low >>> 11) | (high << 21);
      let h = ((signExp & SIGN) << 16) | (e << 20) | ((high >>> 11) & 0xfffff);
      let flags = 0;
      if (cut !== 0) {
        flags = PE;
        if (cut > 0x400 || (cut === 0x400 && (l & 1) !== 0)) {
          flags = PE | C1;
          l = (l + 1) | 0;
          if (l === 0) h = (h + 1) | 0;
        }
      }
      // A carry ran into the exponent by itself; the largest that can come out is 0x7fe.
      m[T0] = l;
      m[T0 + 1] = h;
      return flags;
    }
  }
  const negative = (signExp & SIGN) !== 0;
  const topExp = single ? 0xff : 0x7ff;
  const kind = kindOf(m, from);
  const pack = (e: number, fractionHigh: number, fractionLow: number): void => {
    // fraction: 52 bits as 20:32, or 23 bits in fractionHigh.
    if (single) {
      m[T0] = (negative ? TOP_BIT : 0) | (e << 23) | (fractionHigh & 0x7fffff);
      m[T0 + 1] = 0;
    } else {
      m[T0] = fractionLow;
      m[T0 + 1] = (negative ? TOP_BIT : 0) | (e << 20) | (fractionHigh & 0xfffff);
    }
  };
  if (kind === Kind.UNSUPPORTED) {
    m[T0] = single ? 0xffc00000 | 0 : 0;
    m[T0 + 1] = single ? 0 : 0xfff80000 | 0;
    return IE;
  }
  if (kind >= Kind.QUIET) {
    if (single) pack(topExp, 0x400000 | (high >>> 8), 0);
    else pack(topExp, 0x80000 | (high >>> 11), (low >>> 11) | (high << 21));
    return narrowNaN(kind);
  }
  if (kind === Kind.INFINITY) {
    pack(topExp, 0, 0);
    return 0;
  }
  if (kind === Kind.ZERO) {
    pack(0, 0, 0);
    return 0;
  }
  let flags = 0;
  normalise(m, T2, from);
  low = m[T2];
  high = m[T2 + 1];
  let e = m[T2 + 2] - BIAS + (single ? 127 : 1023);
  const bits = single ? 24 : 53;
  // Is the result tiny once rounded to `bits` with no limit to the exponent?
  let tiny = false;
  if (e <= 0) {
    tiny = e < 0 || !roundsToCarry(cw, negative, high, low, single);
    if (tiny && !(cw & UE)) return UE;
  }
  // Cut position: bits kept of the 64.
  let keep = bits;
  if (e <= 0) {
    keep = bits - 1 + e;
    e = 0;
  }
  const cut = 64 - keep;
  // q = mantissa >> cut; half and below.
  let half: boolean;
  let below: boolean;
  let qh: number;
  let ql: number;
  if (cut > 64) {
    half = false;
    below = true;
    qh = ql = 0;
  } else if (cut === 64) {
    half = high < 0;
    below = ((high & 0x7fffffff) | low) !== 0;
    qh = ql = 0;
  } else if (cut > 32) {
    const s = cut - 32;
    qh = 0;
    ql = high >>> s;
    half = ((high >>> (s - 1)) & 1) !== 0;
    below = ((s === 1 ? 0 : high << (33 - s)) | low) !== 0;
  } else if (cut === 32) {
    qh = 0;
    ql = high;
    half = low < 0;
    below = (low & 0x7fffffff) !== 0;
  } else {
    qh = high >>> cut;
    ql = (low >>> cut) | (high << (32 - cut));
    half = ((low >>> (cut - 1)) & 1) !== 0;
    below = low << (33 - cut) !== 0 && cut > 1;
  }
  const up = roundsUp(cw, negative, half, below, (ql & 1) !== 0);
  if (half || below) flags |= PE | (tiny ? UE : 0);
  if (up) {
    flags |= C1;
    ql = (ql + 1) | 0;
    if (ql === 0) qh = (qh + 1) | 0;
  }
  // For normal results the integer bit sits on top of the fraction: adding it to (e - 1) in the exponent field handles every carry.
  const base = e === 0 ? 0 : e - 1;
  const word = single ? base * 0x800000 + (ql >>> 0) : base * 0x100000 + qh;
  const overflows = single ? word >= 0x7f800000 : word >= 0x7ff00000;
  if (overflows) {
    if (!(cw & OE)) return OE;
    const mode = cw & RC.MASK;
    if (mode === RC.NEAREST || (mode === RC.UP && !negative) || (mode === RC.DOWN && negative)) {
      pack(topExp, 0, 0);
      return (flags & ~C1) | OE | PE | C1;
    }
    pack(topExp - 1, -1, -1);
    return (flags & ~C1) | OE | PE;
  }
  if (single) {
    m[T0] = (negative ? TOP_BIT : 0) | word;
    m[T0 + 1] = 0;
  } else {
    m[T0] = ql;
    m[T0 + 1] = (negative ? TOP_BIT : 0) | word;
  }
  return flags;
};

/** Would rounding to 24 or 53 bits carry out of the mantissa? Then a number just below the smallest normal becomes it and is not tiny. */
const roundsToCarry = (cw: number, negative: boolean, high: number, low: number, single: boolean): boolean => {
  if (single) return high >>> 8 === 0xffffff && roundsUp(cw, negative, (high & 0x80) !== 0, ((high & 0x7f) | low) !== 0, true);
  return high === -1 && low >>> 11 === 0x1fffff && roundsUp(cw, negative, (low & 0x400) !== 0, (low & 0x3ff) !== 0, true);
};

/**
 * Slot `from` rounded to an integer of `bits` (16, 32, 64) in T0, T0 + 1, by the rounding control or, with `chop`, towards zero.
 * IE with the integer indefinite when it does not fit.
 */
export const toInteger = (m: Int32Array, from: number, bits: number): number => {
  const flags = toMagnitude(m, from);
  const negative = (m[from + 2] & SIGN) !== 0;
  let low = m[T0];
  let high = m[T0 + 1];
  let fits = (flags & IE) === 0;
  if (fits) {
    if (bits === 64) fits = high >= 0 || (negative && high === TOP_BIT && low === 0);
    else if (high !== 0) fits = false;
    else if (bits === 32) fits = low >= 0 || (negative && low === TOP_BIT);
    else fits = low >>> 0 < 0x8000 || (negative && low === 0x8000);
  }
  if (!fits) {
    m[T0] = bits === 64 ? 0 : bits === 32 ? TOP_BIT : 0x8000;
    m[T0 + 1] = bits === 64 ? TOP_BIT : 0;
    return IE;
  }
  if (negative) {
    low = -low | 0;
    high = (~high + (low === 0 ? 1 : 0)) | 0;
  }
  m[T0] = low;
  m[T0 + 1] = high;
  return flags;
};

/** |slot| rounded to a 64-bit unsigned integer in T0, T0 + 1; IE when it is no finite number or has more than 64 bits. No DE: stores of integers do not look. */
export const toMagnitude = (m: Int32Array, from: number): number => {
  const kind = kindOf(m, from);
  if (kind === Kind.ZERO) {
    m[T0] = 0;
    m[T0 + 1] = 0;
    return 0;
  }
  if (kind !== Kind.FINITE) return IE;
  const exp = (m[from + 2] & EXP_MAX) - BIAS;
  const high = m[from + 1];
  const low = m[from];
  if (exp > 63) return IE;
  let half: boolean;
  let below: boolean;
  let qh = 0;
  let ql = 0;
  const cut = 63 - exp;
  if (cut > 64) {
    half = false;
    below = true;
  } else if (cut === 64) {
    half = high < 0;
    below = ((high & 0x7fffffff) | low) !== 0;
  } else if (cut > 32) {
    const s = cut - 32;
    ql = high >>> s;
    half = ((high >>> (s - 1)) & 1) !== 0;
    below = ((s === 1 ? 0 : high << (33 - s)) | low) !== 0;
  } else if (cut === 32) {
    ql = high;
    half = low < 0;
    below = (low & 0x7fffffff) !== 0;
  } else if (cut > 0) {
    qh = high >>> cut;
    ql = (low >>> cut) | (high << (32 - cut));
    half = ((low >>> (cut - 1)) & 1) !== 0;
    below = cut > 1 && low << (33 - cut) !== 0;
  } else {
    qh = high;
    ql = low;
    half = below = false;
  }
  let flags = half || below ? PE : 0;
  if (roundsUp(m[W.FPU_CW], (m[from + 2] & SIGN) !== 0, half, below, (ql & 1) !== 0)) {
    flags |= C1;
    ql = (ql + 1) | 0;
    if (ql === 0) {
      qh = (qh + 1) | 0;
      if (qh === 0) return IE;
    }
  }
  m[T0] = ql | 0;
  m[T0 + 1] = qh | 0;
  return flags;
};

/** Slot `from` rounded to an integral value of the same format, in T0 (FRNDINT, finite non-zero operand). */
export const roundToIntegral = (m: Int32Array, from: number): number => {
  if ((m[from + 2] & EXP_MAX) - BIAS >= 63) {
    put(m, T0, m[from + 2], m[from + 1], m[from]);
    return 0;
  }
  const sign = m[from + 2] & SIGN;
  const flags = toMagnitude(m, from);
  if (flags & IE) {
    // Rounded up from just below 2^64: cannot happen, numbers this large have no fraction.
    putInfinity(m, T0, sign);
    return flags;
  }
  fromMagnitude(m, T0, sign, m[T0], m[T0 + 1]);
  return flags;
};

/** Ten bytes of packed decimal, as words low, middle and the last two bytes, to slot `to`. */
export const fromDecimal = (m: Int32Array, to: number, low: number, middle: number, last: number): void => {
  let h = 0;
  let l = 0;
  for (let digit = 17; digit >= 0; digit--) {
    const d =
      digit >= 16 ? (last >> ((digit - 16) * 4)) & 15 : digit >= 8 ? (middle >>> ((digit - 8) * 4)) & 15 : (low >>> (digit * 4)) & 15;
    // h:l = h:l * 10 + d
    const t = (l >>> 0) * 10 + d;
    h = (Math.imul(h, 10) + Math.floor(t / 4294967296)) | 0;
    l = t | 0;
  }
  fromMagnitude(m, to, last & 0x8000 ? SIGN : 0, l, h);
};

/** Slot `from` as packed decimal in T0 (low), T0 + 1 (middle), T0 + 2 (last two bytes). IE with the decimal indefinite when it has more than 18 digits. */
export const toDecimal = (m: Int32Array, from: number): number => {
  const flags = toMagnitude(m, from);
  let h = m[T0 + 1] >>> 0;
  let l = m[T0] >>> 0;
  // 10^18 = 0x0de0b6b3:a7640000
  if (flags & IE || h > 0x0de0b6b3 || (h === 0x0de0b6b3 && l >= 0xa7640000)) {
    m[T0] = 0;
    m[T0 + 1] = 0xc0000000 | 0;
    m[T0 + 2] = 0xffff;
    return IE;
  }
  const out = [0, 0, 0];
  for (let digit = 0; digit < 18; digit++) {
    const qh = Math.floor(h / 10);
    const t = (h - qh * 10) * 4294967296 + l;
    const ql = Math.floor(t / 10);
    out[digit >> 3] |= (t - ql * 10) << ((digit & 7) * 4);
    h = qh;
    l = ql;
  }
  m[T0] = out[0];
  m[T0 + 1] = out[1];
  m[T0 + 2] = out[2] | (m[from + 2] & SIGN);
  return flags;
};
