// SSE arithmetic, comparisons, logic, shuffles and conversions of floating-point registers, with MXCSR.
//
// Every lane is computed and kept aside; then the flags go to MXCSR, an unmasked one raises #XM (or #UD without CR4.OSXMMEXCPT), and only then is the
// destination written. What it leaves out: the lanes themselves (float.ts).

import type { Cpu } from '../cpu';
import { R } from '../decode';
import type { Binder, Binders } from '../interpreter/operands';
import { CR4, EXC, FL, W } from '../state';
import { approximate, compare, compute, convert, fromInt, MX, OP, ORDER, OUT, toInt } from './float';
import { beginMmx, beginSse, copyWords, enterMmx, load, mm, regOf, rmOf, SOURCE, wroteMmx, xmm } from './unit';

/** Results of a whole instruction until they may be written. */
const result = new Int32Array(4);

/** Exceptions found before computing (invalid, denormal, zero-divide): when one is unmasked, the later ones are not reported. */
const EARLY = 7;

/** Adds flags to MXCSR; raises when one of them is unmasked. */
const signal = (c: Cpu, flags: number): void => {
  if (flags === 0) return;
  const m = c.m32;
  const unmasked = flags & ~(m[W.MXCSR] >> MX.MASK_SHIFT) & 0x3f;
  m[W.MXCSR] |= unmasked & EARLY ? flags & EARLY : flags;
  if (unmasked !== 0) c.raise(m[W.CR4] & CR4.OSXMMEXCPT ? EXC.XM : EXC.UD);
};
const write = (c: Cpu, d: number, words: number): void => {
  for (let n = 0; n < words; n++) c.m32[d + n] = result[n];
};

/** Shape of a row by its name's end: which format, how many elements. */
interface Shape {
  readonly single: boolean;
  readonly lanes: number;
  /** Bytes of a memory operand. */
  readonly bytes: number;
}
const SHAPES: Record<string, Shape> = {
  ps: { single: true, lanes: 4, bytes: 16 },
  pd: { single: false, lanes: 2, bytes: 16 },
  ss: { single: true, lanes: 1, bytes: 4 },
  sd: { single: false, lanes: 1, bytes: 8 },
};
/** Source operand as a word index, memory loaded. */
const source = (c: Cpu, i: number, memory: boolean, bytes: number): number => {
  if (!memory) return xmm(rmOf(c, i));
  load(c, i, bytes, bytes === 16);
  return SOURCE;
};

const operation =
  (op: number, { single, lanes, bytes }: Shape): Binder =>
  (_row, _size, memory) => {
    const step = single ? 1 : 2;
    return (c, i) => {
      beginSse(c);
      const s = source(c, i, memory, bytes);
      const m = c.m32;
      const d = xmm(regOf(c, i));
      const mxcsr = m[W.MXCSR];
      let flags = 0;
      for (let n = 0; n < lanes * step; n += step) {
        if (single) {
          flags |= compute(op, true, mxcsr, m[d + n], 0, m[s + n], 0);
          result[n] = OUT[0];
        } else {
          flags |= compute(op, false, mxcsr, m[d + n + 1], m[d + n], m[s + n + 1], m[s + n]);
          result[n] = OUT[0];
          result[n + 1] = OUT[1];
        }
      }
      signal(c, flags);
      write(c, d, lanes * step);
    };
  };

/** CMPccPS and family; predicates 0-7: eq lt le unord neq nlt nle ord. */
const comparison =
  ({ single, lanes, bytes }: Shape): Binder =>
  (_row, _size, memory) => {
    const step = single ? 1 : 2;
    return (c, i) => {
      beginSse(c);
      const s = source(c, i, memory, bytes);
      const m = c.m32;
      const d = xmm(regOf(c, i));
      const predicate = c.code[i + R.IMM] & 7;
      const quietly = (predicate & 3) === 0 || (predicate & 3) === 3;
      let flags = 0;
      for (let n = 0; n < lanes * step; n += step) {
        const order = single
          ? compare(true, m[W.MXCSR], m[d + n], 0, m[s + n], 0, quietly)
          : compare(false, m[W.MXCSR], m[d + n + 1], m[d + n], m[s + n + 1], m[s + n], quietly);
        flags |= OUT[0];
        let yes: boolean;
        if ((predicate & 3) === 0) yes = order === ORDER.EQUAL;
        else if ((predicate & 3) === 1) yes = order === ORDER.LESS;
        else if ((predicate & 3) === 2) yes = order === ORDER.LESS || order === ORDER.EQUAL;
        else yes = order === ORDER.UNORDERED;
        const bits = yes !== predicate > 3 ? -1 : 0;
        result[n] = bits;
        if (!single) result[n + 1] = bits;
      }
      signal(c, flags);
      write(c, d, lanes * step);
    };
  };

/** COMISS and family: ZF PF CF, the other status flags cleared. */
const flagsOf = [FL.CF, FL.ZF, 0, FL.ZF | FL.PF | FL.CF];
const comis =
  (single: boolean, quietly: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const s = source(c, i, memory, single ? 4 : 8);
    const m = c.m32;
    const d = xmm(regOf(c, i));
    const order = single
      ? compare(true, m[W.MXCSR], m[d], 0, m[s], 0, quietly)
      : compare(false, m[W.MXCSR], m[d + 1], m[d], m[s + 1], m[s], quietly);
    signal(c, OUT[0]);
    c.setStatus(flagsOf[order]);
  };

const approximation =
  (root: boolean, lanes: number): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const s = source(c, i, memory, 4 * lanes);
    for (let n = 0; n < lanes; n++) {
      approximate(root, c.m32[s + n]);
      result[n] = OUT[0];
    }
    write(c, xmm(regOf(c, i)), lanes);
  };

const logic =
  (f: (a: number, b: number) => number): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const s = source(c, i, memory, 16);
    const d = xmm(regOf(c, i));
    for (let n = 0; n < 4; n++) c.m32[d + n] = f(c.m32[d + n], c.m32[s + n]);
  };
/** Rearranges words: `order` gives, for each destination word, a word 0-3 of the destination or 4-7 of the source. */
const rearrange =
  (order: (immediate: number) => readonly number[]): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const s = source(c, i, memory, 16);
    const m = c.m32;
    const d = xmm(regOf(c, i));
    order(c.code[i + R.IMM]).forEach((from, n) => {
      result[n] = from < 4 ? m[d + from] : m[s + from - 4];
    });
    write(c, d, 4);
  };
const fixed = (...order: number[]) => rearrange(() => order);

// ---- conversions --------------------------------------------------------------------------------------------------------------------------

/** Between singles and doubles. @param lanes elements converted. @param clear words of the destination that become zero after them. */
const reals =
  (fromSingles: boolean, lanes: number, clear: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const s = source(c, i, memory, lanes * (fromSingles ? 4 : 8));
    const m = c.m32;
    let flags = 0;
    for (let n = 0; n < lanes; n++) {
      flags |= fromSingles ? convert(true, m[W.MXCSR], m[s + n], 0) : convert(false, m[W.MXCSR], m[s + 2 * n + 1], m[s + 2 * n]);
      if (fromSingles) {
        result[2 * n] = OUT[0];
        result[2 * n + 1] = OUT[1];
      } else result[n] = OUT[0];
    }
    signal(c, flags);
    const d = xmm(regOf(c, i));
    const words = lanes * (fromSingles ? 2 : 1);
    write(c, d, words);
    if (clear) m.fill(0, d + words, d + 4);
  };

/** `lanes` reals at s to int32 in `result`; returns flags. */
const integers = (c: Cpu, s: number, single: boolean, lanes: number, chop: boolean): number => {
  const m = c.m32;
  let flags = 0;
  for (let n = 0; n < lanes; n++) {
    flags |= single ? toInt(true, m[W.MXCSR], m[s + n], 0, chop) : toInt(false, m[W.MXCSR], m[s + 2 * n + 1], m[s + 2 * n], chop);
    result[n] = OUT[0];
  }
  return flags;
};
/** To packed int32 in an xmm register. */
const toDwords =
  (single: boolean, chop: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    const lanes = single ? 4 : 2;
    signal(c, integers(c, source(c, i, memory, 16), single, lanes, chop));
    const d = xmm(regOf(c, i));
    write(c, d, lanes);
    if (!single) c.m32.fill(0, d + 2, d + 4);
  };
/** To two int32 in an mmx register. */
const toMmx =
  (single: boolean, chop: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    beginMmx(c);
    const s = source(c, i, memory, single ? 8 : 16);
    const flags = integers(c, s, single, 2, chop);
    enterMmx(c.m32);
    signal(c, flags);
    const d = mm(regOf(c, i));
    write(c, d, 2);
    wroteMmx(c.m32, d);
  };
/** To a general register. */
const toGeneral =
  (single: boolean, chop: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    signal(c, integers(c, source(c, i, memory, single ? 4 : 8), single, 1, chop));
    c.m32[regOf(c, i)] = result[0];
  };
/** `lanes` int32 at s to reals in `result`. */
const toReals = (c: Cpu, s: number, single: boolean, lanes: number): number => {
  let flags = 0;
  for (let n = 0; n < lanes; n++) {
    flags |= fromInt(single, c.m32[W.MXCSR], c.m32[s + n]);
    if (single) result[n] = OUT[0];
    else {
      result[2 * n] = OUT[0];
      result[2 * n + 1] = OUT[1];
    }
  }
  return flags;
};
const fromDwords =
  (single: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    signal(c, toReals(c, source(c, i, memory, single ? 16 : 8), single, single ? 4 : 2));
    write(c, xmm(regOf(c, i)), 4);
  };
const fromMmx =
  (single: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    // CVTPI2PD from memory leaves the x87 side alone.
    const touches = single || !memory;
    if (touches) beginMmx(c);
    if (memory) load(c, i, 8, false);
    if (touches) enterMmx(c.m32);
    const flags = toReals(c, memory ? SOURCE : mm(rmOf(c, i)), single, 2);
    signal(c, flags);
    write(c, xmm(regOf(c, i)), single ? 2 : 4);
  };
const fromGeneral =
  (single: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    if (memory) load(c, i, 4, false);
    else copyWords(c.m32, SOURCE, rmOf(c, i), 1);
    signal(c, toReals(c, SOURCE, single, 1));
    write(c, xmm(regOf(c, i)), single ? 1 : 2);
  };

const NAMES = { add: OP.ADD, mul: OP.MUL, sub: OP.SUB, min: OP.MIN, div: OP.DIV, max: OP.MAX, sqrt: OP.SQRT };

export const FLOAT: Binders = {
  ...Object.fromEntries(
    Object.entries(NAMES).flatMap(([name, op]) => Object.entries(SHAPES).map(([suffix, shape]) => [name + suffix, operation(op, shape)])),
  ),
  ...Object.fromEntries(Object.entries(SHAPES).map(([suffix, shape]) => [`cmp${suffix}`, comparison(shape)])),
  ucomiss: comis(true, true),
  ucomisd: comis(false, true),
  comiss: comis(true, false),
  comisd: comis(false, false),
  rcpps: approximation(false, 4),
  rcpss: approximation(false, 1),
  rsqrtps: approximation(true, 4),
  rsqrtss: approximation(true, 1),
  andps: logic((a, b) => a & b),
  andpd: logic((a, b) => a & b),
  andnps: logic((a, b) => ~a & b),
  andnpd: logic((a, b) => ~a & b),
  orps: logic((a, b) => a | b),
  orpd: logic((a, b) => a | b),
  xorps: logic((a, b) => a ^ b),
  xorpd: logic((a, b) => a ^ b),
  unpcklps: fixed(0, 4, 1, 5),
  unpckhps: fixed(2, 6, 3, 7),
  unpcklpd: fixed(0, 1, 4, 5),
  unpckhpd: fixed(2, 3, 6, 7),
  shufps: rearrange((n) => [n & 3, (n >> 2) & 3, 4 + ((n >> 4) & 3), 4 + ((n >> 6) & 3)]),
  shufpd: rearrange((n) => [2 * (n & 1), 2 * (n & 1) + 1, 4 + (n & 2), 5 + (n & 2)]),
  cvtps2pd: reals(true, 2, false),
  cvtss2sd: reals(true, 1, false),
  cvtpd2ps: reals(false, 2, true),
  cvtsd2ss: reals(false, 1, false),
  cvtdq2ps: fromDwords(true),
  cvtdq2pd: fromDwords(false),
  cvtps2dq: toDwords(true, false),
  cvttps2dq: toDwords(true, true),
  cvtpd2dq: toDwords(false, false),
  cvttpd2dq: toDwords(false, true),
  cvtpi2ps: fromMmx(true),
  cvtpi2pd: fromMmx(false),
  cvtps2pi: toMmx(true, false),
  cvttps2pi: toMmx(true, true),
  cvtpd2pi: toMmx(false, false),
  cvttpd2pi: toMmx(false, true),
  cvtss2si: toGeneral(true, false),
  cvttss2si: toGeneral(true, true),
  cvtsd2si: toGeneral(false, false),
  cvttsd2si: toGeneral(false, true),
  cvtsi2ss: fromGeneral(true),
  cvtsi2sd: fromGeneral(false),
};
