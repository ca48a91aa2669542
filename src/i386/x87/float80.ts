// The extended real format: slots, classes, NaN rules and the one place where results are rounded.
//
// A number lies in the state block as [mantissa low, mantissa high, sign and exponent, unused], be it a stack register or one of the working slots below, so that
// arithmetic takes word indexes and allocates nothing. Every operation leaves its result in slot T0 and returns status-word bits (exceptions, and C1 for
// "rounded up"); storing it, or not, is the caller's part. Exponents are biased by 0x3fff. Source: SDM vol. 1, "Programming with the x87 FPU".
// What it leaves out: the stack and the instructions (unit.ts, index.ts), arithmetic (arith.ts), other formats (convert.ts).

import { W } from '../state';

/** Working slots: T0 takes results, T1 a memory operand, the others normalised operands [low, high, exponent as signed int32, sign 0 or 0x8000]. */
export const T0 = W.FPU_TEMP;
export const T1 = W.FPU_TEMP + 4;
export const T2 = W.FPU_TEMP + 8;
export const T3 = W.FPU_TEMP + 12;

/** Status-word bits. */
export const IE = 1;
export const DE = 2;
export const ZE = 4;
export const OE = 8;
export const UE = 0x10;
export const PE = 0x20;
export const SF = 0x40;
export const C1 = 0x200;

export const SIGN = 0x8000;
export const EXP_MAX = 0x7fff;
export const BIAS = 0x3fff;
export const TOP_BIT = 0x80000000 | 0;
/** What an unmasked overflow or underflow adds to or takes from the exponent of a register result. */
export const WRAP = 0x6000;

/** Rounding control as it stands in the control word, bits 10-11. */
export const RC = { NEAREST: 0, DOWN: 0x400, UP: 0x800, CHOP: 0xc00, MASK: 0xc00 } as const;

/** What kind of number a slot holds. UNSUPPORTED: an integer bit that contradicts the exponent (unnormal, pseudo-NaN, pseudo-infinity). */
export enum Kind {
  ZERO = 0,
  FINITE = 1,
  INFINITY = 2,
  QUIET = 3,
  SIGNALING = 4,
  UNSUPPORTED = 5,
}

export const kindOf = (m: Int32Array, slot: number): Kind => {
  const exp = m[slot + 2] & EXP_MAX;
  const high = m[slot + 1];
  if (exp === 0) return (high | m[slot]) === 0 ? Kind.ZERO : Kind.FINITE;
  if (high >= 0) return Kind.UNSUPPORTED;
  if (exp !== EXP_MAX) return Kind.FINITE;
  if (high === TOP_BIT && m[slot] === 0) return Kind.INFINITY;
  return high & 0x40000000 ? Kind.QUIET : Kind.SIGNALING;
};

/** True for denormals and pseudo-denormals, the operands that raise DE. */
export const isDenormal = (m: Int32Array, slot: number): boolean => (m[slot + 2] & EXP_MAX) === 0 && (m[slot + 1] | m[slot]) !== 0;

export const put = (m: Int32Array, slot: number, signExp: number, high: number, low: number): void => {
  m[slot] = low;
  m[slot + 1] = high;
  m[slot + 2] = signExp;
};
export const copy = (m: Int32Array, to: number, from: number): void => {
  m[to] = m[from];
  m[to + 1] = m[from + 1];
  m[to + 2] = m[from + 2];
};
/** The real indefinite: the quiet NaN that masked invalid operations give. */
export const putIndefinite = (m: Int32Array, slot: number): void => put(m, slot, 0xffff, 0xc0000000 | 0, 0);
export const putZero = (m: Int32Array, slot: number, sign: number): void => put(m, slot, sign, 0, 0);
export const putInfinity = (m: Int32Array, slot: number, sign: number): void => put(m, slot, sign | EXP_MAX, TOP_BIT, 0);

/** Writes a finite non-zero number to a working slot with its integer bit set: [low, high, exponent (may be below 1), sign]. */
export const normalise = (m: Int32Array, to: number, from: number): void => {
  let low = m[from];
  let high = m[from + 1];
  const signExp = m[from + 2];
  let exp = signExp & EXP_MAX;
  if (exp === 0) exp = 1;
  if (high >= 0) {
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
  }
  m[to] = low;
  m[to + 1] = high;
  m[to + 2] = exp;
  m[to + 3] = signExp & SIGN;
};

/** Invalid operation: the indefinite goes to T0. */
export const invalid = (m: Int32Array): number => {
  putIndefinite(m, T0);
  return IE;
};

/** Result of an operation with one NaN operand (kind QUIET or SIGNALING): itself, quiet. */
export const oneNaN = (m: Int32Array, a: number, kind: Kind): number => {
  put(m, T0, m[a + 2], m[a + 1] | 0x40000000, m[a]);
  return kind === Kind.SIGNALING ? IE : 0;
};

/**
 * Result of an operation where `a` or `b` is a NaN, none unsupported. A quiet NaN wins over a signaling one; of two alike the larger significand wins, of two
 * equal ones the positive. SDM vol. 1, table "Rules for handling NaNs".
 */
export const twoNaNs = (m: Int32Array, a: number, b: number, ka: Kind, kb: Kind): number => {
  const flags = ka === Kind.SIGNALING || kb === Kind.SIGNALING ? IE : 0;
  let winner: number;
  if (ka < Kind.QUIET) winner = b;
  else if (kb < Kind.QUIET) winner = a;
  else if (ka !== kb) winner = ka === Kind.QUIET ? a : b;
  else {
    const high = (m[a + 1] >>> 0) - (m[b + 1] >>> 0);
    const order = high !== 0 ? high : (m[a] >>> 0) - (m[b] >>> 0);
    winner = order > 0 ? a : order < 0 ? b : m[a + 2] & SIGN ? b : a;
  }
  put(m, T0, m[winner + 2], m[winner + 1] | 0x40000000, m[winner]);
  return flags;
};

/**
 * Rounds high:low:extra (integer bit set; extra = 32 more bits, the lowest sticky) to the precision and direction of the control word, into T0.
 * @param sign 0 or 0x8000. @param exp biased exponent, any int32.
 * @returns PE, OE, UE and C1 as they come up.
 */
export const round = (m: Int32Array, sign: number, exp: number, high: number, low: number, extra: number): number => {
  if ((m[W.FPU_CW] & (FORMAT.ANY | 0xf00)) === 0x300 && exp > 0 && exp < 0x7ffe) {
    // Extended precision to nearest, far from the ends of the range: nearly everything.
    let flags = 0;
    if (extra !== 0) {
      flags = PE;
      if (extra < 0 && (extra !== TOP_BIT || (low & 1) !== 0)) {
        flags = PE | C1;
        low = (low + 1) | 0;
        if (low === 0) {
          high = (high + 1) | 0;
          if (high === 0) {
            high = TOP_BIT;
            exp++;
          }
        }
      }
    }
    m[T0] = low;
    m[T0 + 1] = high;
    m[T0 + 2] = sign | exp;
    return flags;
  }
  return roundSlow(m, sign, exp, high, low, extra, m[W.FPU_CW]);
};

/**
 * Bits above a control word's 16 that make round() produce numbers of SSE's formats: precision and exponent range of doubles (with precision control 0x200)
 * or singles (with 0). The result is still an extended real, which converts exactly. FLUSH: tiny results become zero.
 */
export const FORMAT = { DOUBLE: 0x10000, SINGLE: 0x20000, FLUSH: 0x40000, ANY: 0x30000 } as const;

/** Bits that roundBits() returns. */
const INEXACT = 1;
const ROUNDED_UP = 2;
const CARRIED = 4;

/** Rounds a mantissa in place (T0's first two words) to 24, 53 or 64 bits. */
const roundBits = (m: Int32Array, sign: number, high: number, low: number, extra: number, cw: number): number => {
  const precision = cw & 0x300;
  // `rest` holds the bits cut off, as half bit and everything below it.
  let half: boolean;
  let below: boolean;
  let odd: boolean;
  if (precision === 0) {
    half = (high & 0x80) !== 0;
    below = ((high & 0x7f) | low | extra) !== 0;
    odd = (high & 0x100) !== 0;
    high &= ~0xff;
    low = 0;
  } else if (precision === 0x200) {
    half = (low & 0x400) !== 0;
    below = ((low & 0x3ff) | extra) !== 0;
    odd = (low & 0x800) !== 0;
    low &= ~0x7ff;
  } else {
    half = extra < 0;
    below = (extra & 0x7fffffff) !== 0;
    odd = (low & 1) !== 0;
  }
  let result = half || below ? INEXACT : 0;
  const mode = cw & RC.MASK;
  const up = mode === RC.NEAREST ? half && (below || odd) : mode === RC.CHOP ? false : result !== 0 && (mode === RC.UP) === (sign === 0);
  if (up) {
    result |= ROUNDED_UP;
    if (precision === 0) high = (high + 0x100) | 0;
    else {
      const step = precision === 0x200 ? 0x800 : 1;
      low = (low + step) | 0;
      if (low === 0) high = (high + 1) | 0;
    }
    if (high === 0 && low === 0) {
      high = TOP_BIT;
      result |= CARRIED;
    }
  }
  m[T0] = low;
  m[T0 + 1] = high;
  return result;
};

/** high:low:extra shifted right by n (1 or more): high and low go to T0, extra is returned, bits lost stay visible in its lowest. */
const shiftRight = (m: Int32Array, high: number, low: number, extra: number, n: number): number => {
  if (n < 32) {
    m[T0] = (low >>> n) | (high << (32 - n));
    m[T0 + 1] = high >>> n;
    return (low << (32 - n)) | (extra >>> n) | (extra << (32 - n) !== 0 ? 1 : 0);
  }
  m[T0 + 1] = 0;
  if (n === 32) {
    m[T0] = high;
    return low | (extra !== 0 ? 1 : 0);
  }
  if (n < 64) {
    const s = n - 32;
    m[T0] = high >>> s;
    return (low >>> s) | (high << (32 - s)) | ((extra | (low << (32 - s))) !== 0 ? 1 : 0);
  }
  m[T0] = 0;
  if (n >= 96) return 1;
  const s = n - 64;
  return (high >>> s) | ((extra | low | (s === 0 ? 0 : high << (32 - s))) !== 0 ? 1 : 0);
};

/** round() for everything that is not common. `cw` gives precision, direction and masks. */
export const roundSlow = (m: Int32Array, sign: number, exp: number, high: number, low: number, extra: number, cw: number): number => {
  if (cw & FORMAT.ANY) return roundFormat(m, sign, exp, high, low, extra, cw);
  let flags = 0;
  if (exp <= 0) {
    // Tiny after rounding as if the exponent had no lower end?
    const trial = roundBits(m, sign, high, low, extra, cw);
    const tiny = exp < 0 || (trial & CARRIED) === 0;
    if (tiny && (cw & UE) === 0) {
      m[T0 + 2] = sign | (exp + (trial & CARRIED ? 1 : 0) + WRAP);
      return UE | (trial & INEXACT ? PE : 0) | (trial & ROUNDED_UP ? C1 : 0);
    }
    extra = shiftRight(m, high, low, extra, 1 - exp);
    // A carry out of roundBits needs an integer bit, which is clear here, so it only means "became normal" or nothing.
    const done = roundBits(m, sign, m[T0 + 1], m[T0], extra, cw);
    m[T0 + 2] = sign | (m[T0 + 1] < 0 ? 1 : 0);
    if (done & INEXACT) flags |= PE | (tiny ? UE : 0);
    if (done & ROUNDED_UP) flags |= C1;
    return flags;
  }
  const done = roundBits(m, sign, high, low, extra, cw);
  if (done & CARRIED) exp++;
  if (done & INEXACT) flags |= PE;
  if (done & ROUNDED_UP) flags |= C1;
  if (exp >= EXP_MAX) {
    if ((cw & OE) === 0) {
      m[T0 + 2] = sign | ((exp - WRAP) & EXP_MAX);
      return flags | OE;
    }
    const mode = cw & RC.MASK;
    if (mode === RC.NEAREST || (mode === RC.UP && sign === 0) || (mode === RC.DOWN && sign !== 0)) {
      putInfinity(m, T0, sign);
      return OE | PE | C1;
    }
    // The largest number of the precision in force.
    const precision = cw & 0x300;
    put(m, T0, sign | 0x7ffe, precision === 0 ? ~0xff : -1, precision === 0 ? 0 : precision === 0x200 ? ~0x7ff : -1);
    return OE | PE;
  }
  m[T0 + 2] = sign | exp;
  return flags;
};

/** round() to the range of doubles or singles. Overflow and underflow are reported as the masks in `cw` say, but always answered as if masked. */
const roundFormat = (m: Int32Array, sign: number, exp: number, high: number, low: number, extra: number, cw: number): number => {
  const range = cw & FORMAT.SINGLE ? 127 : 1023;
  const smallest = BIAS + 1 - range;
  if (exp < smallest) {
    const trial = roundBits(m, sign, high, low, extra, cw);
    const tiny = exp < smallest - 1 || (trial & CARRIED) === 0;
    if (tiny && cw & FORMAT.FLUSH && cw & UE) {
      putZero(m, T0, sign);
      return UE | PE;
    }
    // Unmasked, it is inexact only if the full precision does not suffice.
    if (tiny && !(cw & UE)) return UE | (trial & INEXACT ? PE : 0);
    extra = shiftRight(m, high, low, extra, smallest - exp);
    const done = roundBits(m, sign, m[T0 + 1], m[T0], extra, cw);
    if ((m[T0] | m[T0 + 1]) === 0) m[T0 + 2] = sign;
    else {
      m[T0 + 2] = smallest;
      normalise(m, T0, T0);
      m[T0 + 2] |= sign;
    }
    return done & INEXACT ? PE | (tiny ? UE : 0) : 0;
  }
  const done = roundBits(m, sign, high, low, extra, cw);
  if (done & CARRIED) exp++;
  if (exp > BIAS + range) {
    const mode = cw & RC.MASK;
    if (mode === RC.NEAREST || (mode === RC.UP && sign === 0) || (mode === RC.DOWN && sign !== 0)) putInfinity(m, T0, sign);
    else put(m, T0, sign | (BIAS + range), cw & FORMAT.SINGLE ? ~0xff : -1, cw & FORMAT.SINGLE ? 0 : ~0x7ff);
    return OE | (cw & OE || done & INEXACT ? PE : 0);
  }
  m[T0 + 2] = sign | exp;
  return done & INEXACT ? PE : 0;
};
