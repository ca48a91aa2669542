// One lane of SSE arithmetic: singles and doubles as bits in, bits and exception flags out.
//
// Special operands (NaNs, infinities, zeros, denormals) are sorted out on the bits by SSE's own rules; finite ones are computed exactly by the x87's soft float on a
// work area of its own and rounded once to the format (float80.ts FORMAT). Where the host's doubles must give the same (ordinary numbers, rounding to nearest,
// inexactness already noted) they do the work. What it leaves out: registers, MXCSR side effects (arithmetic.ts, convert.ts).

import { W } from '../state';
import { add, div, mul, sqrt } from '../x87/arith';
import { fromDouble, fromInt32, fromSingle, toInteger } from '../x87/convert';
import { BIAS, DE, EXP_MAX, FORMAT, IE, normalise, PE, round, SIGN, T0, T2, ZE } from '../x87/float80';

/** Operations of compute(). */
export const OP = { ADD: 0, MUL: 1, SUB: 2, MIN: 3, DIV: 4, MAX: 5, SQRT: 6 } as const;

/** Bits of MXCSR. */
export const MX = { DAZ: 0x40, MASK_SHIFT: 7, RC: 0x6000, FTZ: 0x8000 } as const;

/** Result of the last lane: a double's low and high word, or a single in the first. */
export const OUT = new Int32Array(2);
const outDouble = new Float64Array(OUT.buffer);
const outSingle = new Float32Array(OUT.buffer);
const inWords = new Int32Array(4);
const inDoubles = new Float64Array(inWords.buffer);
const inSingles = new Float32Array(inWords.buffer);

/** The soft float's work area: laid out like a state block, because that is what its functions take. */
const w = new Int32Array(W.FPU_TEMP + 32);
const A = 0;
const B = 4;

/** Control word for the work area from MXCSR. */
const control = (mxcsr: number, single: boolean): void => {
  w[W.FPU_CW] =
    ((mxcsr >> MX.MASK_SHIFT) & 0x3f) |
    ((mxcsr & MX.RC) >> 3) |
    (single ? FORMAT.SINGLE : FORMAT.DOUBLE | 0x200) |
    (mxcsr & MX.FTZ ? FORMAT.FLUSH : 0);
};

/** 0 a number, 1 quiet NaN, 2 signaling NaN. A single has its bits in `high`, and `low` 0. */
const nanKind = (single: boolean, high: number, low: number): number => {
  const magnitude = high & 0x7fffffff;
  if (single) return magnitude <= 0x7f800000 ? 0 : magnitude & 0x400000 ? 1 : 2;
  if (magnitude < 0x7ff00000 || (magnitude === 0x7ff00000 && low === 0)) return 0;
  return magnitude & 0x80000 ? 1 : 2;
};
const denormal = (single: boolean, high: number, low: number): boolean =>
  single ? (high & 0x7f800000) === 0 && (high & 0x7fffff) !== 0 : (high & 0x7ff00000) === 0 && ((high & 0xfffff) | low) !== 0;
const infinite = (single: boolean, high: number, low: number): boolean =>
  (high & 0x7fffffff) === (single ? 0x7f800000 : 0x7ff00000) && low === 0;
const zero = (high: number, low: number): boolean => ((high & 0x7fffffff) | low) === 0;

const put = (single: boolean, high: number, low: number): void => {
  if (single) OUT[0] = high;
  else {
    OUT[0] = low;
    OUT[1] = high;
  }
};
const quiet = (single: boolean, high: number, low: number): void => put(single, high | (single ? 0x400000 : 0x80000), low);
const indefinite = (single: boolean): number => {
  put(single, single ? 0xffc00000 | 0 : 0xfff80000 | 0, 0);
  return IE;
};

/** Writes the extended real in T0, which is one of the format's numbers, to OUT. */
const pack = (single: boolean): void => {
  const signExp = w[T0 + 2];
  const high = w[T0 + 1];
  const low = w[T0];
  const sign = (signExp & SIGN) << 16;
  const exp = signExp & EXP_MAX;
  if ((high | low) === 0) put(single, sign, 0);
  else if (exp === EXP_MAX) put(single, sign | (single ? 0x7f800000 : 0x7ff00000), 0);
  else if (single) {
    const e = exp - BIAS + 127;
    OUT[0] = e > 0 ? sign | (e << 23) | ((high >>> 8) & 0x7fffff) : sign | (high >>> (9 - e));
  } else {
    const e = exp - BIAS + 1023;
    if (e > 0) {
      OUT[0] = (low >>> 11) | (high << 21);
      OUT[1] = sign | (e << 20) | ((high >>> 11) & 0xfffff);
    } else {
      // Denormal: the integer bit becomes a fraction bit.
      const n = 12 - e;
      OUT[0] = n < 32 ? (low >>> n) | (high << (32 - n)) : n === 32 ? high : n < 64 ? high >>> (n - 32) : 0;
      OUT[1] = sign | (n < 32 ? high >>> n : 0);
    }
  }
};
const loadSlot = (single: boolean, slot: number, high: number, low: number): void => {
  if (single) fromSingle(w, slot, high);
  else fromDouble(w, slot, low, high);
};

/** Ordinary in the format: neither zero, denormal, infinite nor NaN. */
const ordinary = (single: boolean, high: number): boolean =>
  single ? (((high >> 23) & 0xff) - 1) >>> 0 < 0xfe : (((high >> 20) & 0x7ff) - 1) >>> 0 < 0x7fe;

/** The host's answer, when MXCSR asks for nothing that the host could not give; false when it may differ. */
const byHost = (op: number, single: boolean, ah: number, al: number, bh: number, bl: number): boolean => {
  if (!ordinary(single, bh) || (op !== OP.SQRT && !ordinary(single, ah))) return false;
  let a: number;
  let b: number;
  if (single) {
    inWords[0] = ah;
    inWords[1] = bh;
    a = inSingles[0];
    b = inSingles[1];
  } else {
    inWords[0] = al;
    inWords[1] = ah;
    inWords[2] = bl;
    inWords[3] = bh;
    a = inDoubles[0];
    b = inDoubles[1];
  }
  let result: number;
  if (op === OP.ADD) result = a + b;
  else if (op === OP.SUB) result = a - b;
  else if (op === OP.MUL) result = a * b;
  else if (op === OP.DIV) result = a / b;
  else {
    if (b < 0) return false;
    result = Math.sqrt(b);
  }
  // A double has more than twice a single's bits: rounding twice gives the same as rounding once.
  if (single) outSingle[0] = result;
  else outDouble[0] = result;
  return ordinary(single, single ? OUT[0] : OUT[1]);
};

/**
 * a op b (SQRT: of b) into OUT. @param mxcsr masks, rounding, DAZ and FTZ; with PE set and masked in it, inexact results need not be noticed.
 * @returns exception flags.
 */
export const compute = (op: number, single: boolean, mxcsr: number, ah: number, al: number, bh: number, bl: number): number => {
  const minMax = op === OP.MIN || op === OP.MAX;
  if ((mxcsr & 0xf060) === 0x1020 && !minMax && byHost(op, single, ah, al, bh, bl)) return 0;
  const two = op !== OP.SQRT;
  if (mxcsr & MX.DAZ) {
    if (two && denormal(single, ah, al)) {
      ah &= 0x80000000;
      al = 0;
    }
    if (denormal(single, bh, bl)) {
      bh &= 0x80000000;
      bl = 0;
    }
  }
  const na = two ? nanKind(single, ah, al) : 0;
  const nb = nanKind(single, bh, bl);
  if (na !== 0 || nb !== 0) {
    if (minMax) {
      // Any NaN: the second operand, as it is.
      put(single, bh, bl);
      return IE;
    }
    if (na !== 0) quiet(single, ah, al);
    else quiet(single, bh, bl);
    return na === 2 || nb === 2 ? IE : 0;
  }
  const flags = (two && denormal(single, ah, al)) || denormal(single, bh, bl) ? DE : 0;
  if (minMax) {
    const order = compareNumbers(ah, al, bh, bl);
    // Equal, so also with zeros of different signs: the second operand.
    if (op === OP.MIN ? order < 0 : order > 0) put(single, ah, al);
    else put(single, bh, bl);
    return flags;
  }
  const sign = two ? (ah ^ bh) & 0x80000000 : 0;
  if (op === OP.SQRT) {
    if (zero(bh, bl)) {
      put(single, bh, bl);
      return 0;
    }
    if (bh < 0) return indefinite(single);
    if (infinite(single, bh, bl)) {
      put(single, bh, bl);
      return 0;
    }
  } else {
    const ia = infinite(single, ah, al);
    const ib = infinite(single, bh, bl);
    const za = zero(ah, al);
    const zb = zero(bh, bl);
    if (op === OP.MUL && ((ia && zb) || (za && ib))) return indefinite(single);
    if (op === OP.DIV) {
      if ((ia && ib) || (za && zb)) return indefinite(single);
      if (zb && !ia) {
        put(single, sign | (single ? 0x7f800000 : 0x7ff00000), 0);
        return ZE;
      }
    }
    if (ia && ib && op === OP.ADD && ah !== bh) return indefinite(single);
    if (ia && ib && op === OP.SUB && ah === bh) return indefinite(single);
  }
  if (flags & ~(mxcsr >> MX.MASK_SHIFT)) return flags;
  control(mxcsr, single);
  if (two) loadSlot(single, A, ah, al);
  loadSlot(single, B, bh, bl);
  let more: number;
  if (op === OP.ADD) more = add(w, A, B, 0);
  else if (op === OP.SUB) more = add(w, A, B, SIGN);
  else if (op === OP.MUL) more = mul(w, A, B);
  else if (op === OP.DIV) more = div(w, A, B);
  else more = sqrt(w, B);
  pack(single);
  return flags | (more & 0x3f);
};

/** Order of two numbers (no NaNs) of the same format: negative, 0 (also for zeros of either sign), positive. */
const compareNumbers = (ah: number, al: number, bh: number, bl: number): number => {
  if (zero(ah, al) && zero(bh, bl)) return 0;
  if ((ah ^ bh) < 0) return ah < 0 ? -1 : 1;
  const order = ah !== bh ? ah - bh : (al >>> 0) - (bl >>> 0);
  return ah < 0 ? -order : order;
};

/** Outcome of compare(). */
export const ORDER = { LESS: 0, EQUAL: 1, GREATER: 2, UNORDERED: 3 } as const;

/** Compares; flags in OUT[0]. @param quietly only signaling NaNs are invalid. */
export const compare = (single: boolean, mxcsr: number, ah: number, al: number, bh: number, bl: number, quietly: boolean): number => {
  if (mxcsr & MX.DAZ) {
    if (denormal(single, ah, al)) ah = al = 0;
    if (denormal(single, bh, bl)) bh = bl = 0;
  }
  const na = nanKind(single, ah, al);
  const nb = nanKind(single, bh, bl);
  if (na !== 0 || nb !== 0) {
    OUT[0] = !quietly || na === 2 || nb === 2 ? IE : 0;
    return ORDER.UNORDERED;
  }
  OUT[0] = denormal(single, ah, al) || denormal(single, bh, bl) ? DE : 0;
  const order = compareNumbers(ah, al, bh, bl);
  return order < 0 ? ORDER.LESS : order === 0 ? ORDER.EQUAL : ORDER.GREATER;
};

/** To an int32 in OUT[0], rounding by MXCSR or, with `chop`, towards zero. */
export const toInt = (single: boolean, mxcsr: number, high: number, low: number, chop: boolean): number => {
  if (mxcsr & MX.DAZ && denormal(single, high, low)) high = low = 0;
  loadSlot(single, A, high, low);
  w[W.FPU_CW] = 0x37f | (chop ? 0xc00 : (mxcsr & MX.RC) >> 3);
  const flags = toInteger(w, A, 32);
  OUT[0] = w[T0];
  return flags & 0x3f;
};

/** An int32 as single or double in OUT. */
export const fromInt = (single: boolean, mxcsr: number, value: number): number => {
  if (!single) {
    outDouble[0] = value;
    return 0;
  }
  fromInt32(w, A, value);
  if (value === 0) {
    OUT[0] = 0;
    return 0;
  }
  control(mxcsr, true);
  normalise(w, T2, A);
  const flags = round(w, w[T2 + 3], w[T2 + 2], w[T2 + 1], w[T2], 0);
  pack(true);
  return flags & PE;
};

/** A single (`single`) to a double, or a double to a single, in OUT. */
export const convert = (single: boolean, mxcsr: number, high: number, low: number): number => {
  if (mxcsr & MX.DAZ && denormal(single, high, low)) {
    high &= 0x80000000;
    low = 0;
  }
  const kind = nanKind(single, high, low);
  if (kind !== 0) {
    if (single) {
      OUT[0] = high << 29;
      OUT[1] = (high & 0x80000000) | 0x7ff80000 | ((high & 0x7fffff) >>> 3);
    } else OUT[0] = (high & 0x80000000) | 0x7fc00000 | ((high & 0x7ffff) << 3) | (low >>> 29);
    return kind === 2 ? IE : 0;
  }
  const flags = denormal(single, high, low) ? DE : 0;
  if (flags & ~(mxcsr >> MX.MASK_SHIFT)) return flags;
  if (zero(high, low)) {
    put(!single, high, 0);
    return 0;
  }
  if (infinite(single, high, low)) {
    put(!single, (high & 0x80000000) | (single ? 0x7ff00000 : 0x7f800000), 0);
    return 0;
  }
  loadSlot(single, A, high, low);
  control(mxcsr, !single);
  normalise(w, T2, A);
  const more = round(w, w[T2 + 3], w[T2 + 2], w[T2 + 1], w[T2], 0);
  pack(!single);
  return flags | (more & 0x3f);
};

/** 1 / x (`root`: 1 / sqrt x) of a single, to more than the 12 bits that are asked for, in OUT[0]. Denormals count as zero, tiny results become zero. No flags. */
export const approximate = (root: boolean, bits: number): void => {
  if (nanKind(true, bits, 0) !== 0) {
    OUT[0] = bits | 0x400000;
    return;
  }
  if ((bits & 0x7f800000) === 0) {
    OUT[0] = (bits & 0x80000000) | 0x7f800000;
    return;
  }
  if (root && bits < 0) {
    OUT[0] = 0xffc00000 | 0;
    return;
  }
  inWords[0] = bits;
  outSingle[0] = root ? 1 / Math.sqrt(inSingles[0]) : 1 / inSingles[0];
  if ((OUT[0] & 0x7f800000) === 0) OUT[0] &= 0x80000000;
};
