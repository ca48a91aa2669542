// Packed integers, on mmx and xmm registers alike.
//
// An operation is a function of (cpu, destination, source, words, immediate): word indexes into c.m32 and the register's length, 2 or 4 words. One table of them serves
// both register files; the binder adds permission, operand and x87 side effects. What it leaves out: moves (moves.ts).

import type { Cpu } from '../cpu';
import { R } from '../decode';
import type { Binder, Binders } from '../interpreter/operands';
import { mulHigh } from '../x87/arith';
import { beginMmx, beginSse, enterMmx, load, mm, regOf, rmOf, SOURCE, wroteMmx, xmm } from './unit';

type Operation = (c: Cpu, d: number, s: number, words: number, immediate: number) => void;

const s8 = (x: number): number => (x << 24) >> 24;
const s16 = (x: number): number => (x << 16) >> 16;
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** Lane by lane on bytes, words, dwords; lanes arrive unsigned (dwords signed), results are cut to size. */
const bytes =
  (f: (a: number, b: number) => number): Operation =>
  (c, d, s, words) => {
    for (let n = 0; n < words << 2; n++) c.m8[(d << 2) + n] = f(c.m8[(d << 2) + n], c.m8[(s << 2) + n]);
  };
const halves =
  (f: (a: number, b: number) => number): Operation =>
  (c, d, s, words) => {
    for (let n = 0; n < words << 1; n++) c.m16[(d << 1) + n] = f(c.m16[(d << 1) + n], c.m16[(s << 1) + n]);
  };
const dwords =
  (f: (a: number, b: number) => number): Operation =>
  (c, d, s, words) => {
    for (let n = 0; n < words; n++) c.m32[d + n] = f(c.m32[d + n], c.m32[s + n]);
  };

/** Interleaves lanes of `size` bytes from the low or high halves of destination and source. */
const unpack =
  (size: number, high: boolean): Operation =>
  (c, d, s, words) => {
    const half = words << 1;
    const from = high ? half : 0;
    const a = c.m8.slice((d << 2) + from, (d << 2) + from + half);
    const b = c.m8.slice((s << 2) + from, (s << 2) + from + half);
    for (let n = 0; n < half; n += size) {
      for (let k = 0; k < size; k++) {
        c.m8[(d << 2) + 2 * n + k] = a[n + k];
        c.m8[(d << 2) + 2 * n + size + k] = b[n + k];
      }
    }
  };
/** Narrows words to bytes, destination's first, then the source's. */
const packWords =
  (low: number, high: number): Operation =>
  (c, d, s, words) => {
    const count = words << 1;
    const a = c.m16.slice(d << 1, (d << 1) + count);
    const b = c.m16.slice(s << 1, (s << 1) + count);
    for (let n = 0; n < count; n++) {
      c.m8[(d << 2) + n] = clamp(s16(a[n]), low, high);
      c.m8[(d << 2) + count + n] = clamp(s16(b[n]), low, high);
    }
  };
const packssdw: Operation = (c, d, s, words) => {
  const a = c.m32.slice(d, d + words);
  const b = c.m32.slice(s, s + words);
  for (let n = 0; n < words; n++) {
    c.m16[(d << 1) + n] = clamp(a[n], -0x8000, 0x7fff);
    c.m16[(d << 1) + words + n] = clamp(b[n], -0x8000, 0x7fff);
  }
};
const pmaddwd: Operation = (c, d, s, words) => {
  for (let n = 0; n < words; n++) {
    const a = c.m32[d + n];
    const b = c.m32[s + n];
    c.m32[d + n] = Math.imul(s16(a), s16(b)) + Math.imul(a >> 16, b >> 16);
  }
};
const psadbw: Operation = (c, d, s, words) => {
  for (let q = 0; q < words; q += 2) {
    let sum = 0;
    for (let n = 0; n < 8; n++) sum += Math.abs(c.m8[((d + q) << 2) + n] - c.m8[((s + q) << 2) + n]);
    c.m32[d + q] = sum;
    c.m32[d + q + 1] = 0;
  }
};
const pmuludq: Operation = (c, d, s, words) => {
  for (let q = 0; q < words; q += 2) {
    const a = c.m32[d + q];
    const b = c.m32[s + q];
    c.m32[d + q] = Math.imul(a, b);
    c.m32[d + q + 1] = mulHigh(a, b);
  }
};
const paddq: Operation = (c, d, s, words) => {
  const m = c.m32;
  for (let q = 0; q < words; q += 2) {
    const low = (m[d + q] + m[s + q]) | 0;
    m[d + q + 1] += m[s + q + 1] + (low >>> 0 < m[s + q] >>> 0 ? 1 : 0);
    m[d + q] = low;
  }
};
const psubq: Operation = (c, d, s, words) => {
  const m = c.m32;
  for (let q = 0; q < words; q += 2) {
    const borrow = m[d + q] >>> 0 < m[s + q] >>> 0 ? 1 : 0;
    m[d + q + 1] -= m[s + q + 1] + borrow;
    m[d + q] -= m[s + q];
  }
};

/** Shifts: the count is a 64-bit number in every source, or an immediate; a count of the lane's width or more clears (or fills with the sign). */
type Shift = (c: Cpu, d: number, words: number, count: number) => void;
const shiftHalves =
  (f: (a: number, n: number) => number, arithmetic: boolean): Shift =>
  (c, d, words, count) => {
    for (let n = 0; n < words << 1; n++) {
      const at = (d << 1) + n;
      c.m16[at] = count < 16 ? f(c.m16[at], count) : arithmetic ? f(c.m16[at], 15) : 0;
    }
  };
const shiftDwords =
  (f: (a: number, n: number) => number, arithmetic: boolean): Shift =>
  (c, d, words, count) => {
    for (let n = 0; n < words; n++) c.m32[d + n] = count < 32 ? f(c.m32[d + n], count) : arithmetic ? f(c.m32[d + n], 31) : 0;
  };
const psrlq: Shift = (c, d, words, count) => {
  const m = c.m32;
  for (let q = d; q < d + words; q += 2) {
    const low = m[q];
    const high = m[q + 1];
    m[q] = count === 0 ? low : count < 32 ? (low >>> count) | (high << (32 - count)) : count < 64 ? high >>> (count - 32) : 0;
    m[q + 1] = count < 32 ? high >>> count : 0;
  }
};
const psllq: Shift = (c, d, words, count) => {
  const m = c.m32;
  for (let q = d; q < d + words; q += 2) {
    const low = m[q];
    const high = m[q + 1];
    m[q + 1] = count === 0 ? high : count < 32 ? (high << count) | (low >>> (32 - count)) : count < 64 ? low << (count - 32) : 0;
    m[q] = count < 32 ? low << count : 0;
  }
};
/** Whole register by bytes. */
const psrldq: Shift = (c, d, _words, count) => {
  const old = c.m8.slice(d << 2, (d << 2) + 16);
  for (let n = 0; n < 16; n++) c.m8[(d << 2) + n] = n + count < 16 ? old[n + count] : 0;
};
const pslldq: Shift = (c, d, _words, count) => {
  const old = c.m8.slice(d << 2, (d << 2) + 16);
  for (let n = 0; n < 16; n++) c.m8[(d << 2) + n] = n - count >= 0 ? old[n - count] : 0;
};
const SHIFTS: Record<string, Shift> = {
  psrlw: shiftHalves((a, n) => a >>> n, false),
  psraw: shiftHalves((a, n) => s16(a) >> n, true),
  psllw: shiftHalves((a, n) => a << n, false),
  psrld: shiftDwords((a, n) => a >>> n, false),
  psrad: shiftDwords((a, n) => a >> n, true),
  pslld: shiftDwords((a, n) => a << n, false),
  psrlq,
  psllq,
};

const OPERATIONS: Record<string, Operation> = {
  punpcklbw: unpack(1, false),
  punpcklwd: unpack(2, false),
  punpckldq: unpack(4, false),
  punpcklqdq: unpack(8, false),
  punpckhbw: unpack(1, true),
  punpckhwd: unpack(2, true),
  punpckhdq: unpack(4, true),
  punpckhqdq: unpack(8, true),
  packsswb: packWords(-0x80, 0x7f),
  packuswb: packWords(0, 0xff),
  packssdw,
  pcmpeqb: bytes((a, b) => (a === b ? 0xff : 0)),
  pcmpeqw: halves((a, b) => (a === b ? 0xffff : 0)),
  pcmpeqd: dwords((a, b) => (a === b ? -1 : 0)),
  pcmpgtb: bytes((a, b) => (s8(a) > s8(b) ? 0xff : 0)),
  pcmpgtw: halves((a, b) => (s16(a) > s16(b) ? 0xffff : 0)),
  pcmpgtd: dwords((a, b) => (a > b ? -1 : 0)),
  pand: dwords((a, b) => a & b),
  pandn: dwords((a, b) => ~a & b),
  por: dwords((a, b) => a | b),
  pxor: dwords((a, b) => a ^ b),
  paddb: bytes((a, b) => a + b),
  paddw: halves((a, b) => a + b),
  paddd: dwords((a, b) => a + b),
  paddq,
  psubb: bytes((a, b) => a - b),
  psubw: halves((a, b) => a - b),
  psubd: dwords((a, b) => a - b),
  psubq,
  paddsb: bytes((a, b) => clamp(s8(a) + s8(b), -0x80, 0x7f)),
  paddsw: halves((a, b) => clamp(s16(a) + s16(b), -0x8000, 0x7fff)),
  psubsb: bytes((a, b) => clamp(s8(a) - s8(b), -0x80, 0x7f)),
  psubsw: halves((a, b) => clamp(s16(a) - s16(b), -0x8000, 0x7fff)),
  paddusb: bytes((a, b) => clamp(a + b, 0, 0xff)),
  paddusw: halves((a, b) => clamp(a + b, 0, 0xffff)),
  psubusb: bytes((a, b) => clamp(a - b, 0, 0xff)),
  psubusw: halves((a, b) => clamp(a - b, 0, 0xffff)),
  pmullw: halves((a, b) => Math.imul(a, b)),
  pmulhw: halves((a, b) => Math.imul(s16(a), s16(b)) >> 16),
  pmulhuw: halves((a, b) => Math.imul(a, b) >>> 16),
  pmaddwd,
  pmuludq,
  psadbw,
  pavgb: bytes((a, b) => (a + b + 1) >> 1),
  pavgw: halves((a, b) => (a + b + 1) >> 1),
  pminub: bytes((a, b) => Math.min(a, b)),
  pmaxub: bytes((a, b) => Math.max(a, b)),
  pminsw: halves((a, b) => (s16(a) < s16(b) ? a : b)),
  pmaxsw: halves((a, b) => (s16(a) > s16(b) ? a : b)),
};

/** d op= s on the row's register file. `operation` may be any of two operands. */
const bind =
  (operation: Operation): Binder =>
  (row, _size, memory) => {
    if (row.args[0] === 'P') {
      const width = row.args.includes('Qd') ? 4 : 8;
      return (c, i) => {
        beginMmx(c);
        if (memory) load(c, i, width, false);
        const m = c.m32;
        enterMmx(m);
        const d = mm(regOf(c, i));
        operation(c, d, memory ? SOURCE : mm(rmOf(c, i)), 2, c.code[i + R.IMM]);
        wroteMmx(m, d);
      };
    }
    return (c, i) => {
      beginSse(c);
      if (memory) load(c, i, 16, true);
      operation(c, xmm(regOf(c, i)), memory ? SOURCE : xmm(rmOf(c, i)), 4, c.code[i + R.IMM]);
    };
  };
const byRegister =
  (shift: Shift): Operation =>
  (c, d, s, words) => {
    const count = c.m32[s + 1] !== 0 || c.m32[s] >>> 0 > 63 ? 64 : c.m32[s];
    shift(c, d, words, count);
  };
const byImmediate =
  (shift: Shift): Binder =>
  (row) =>
    row.args[0] === 'N'
      ? (c, i) => {
          beginMmx(c);
          enterMmx(c.m32);
          const d = mm(rmOf(c, i));
          shift(c, d, 2, c.code[i + R.IMM]);
          wroteMmx(c.m32, d);
        }
      : (c, i) => {
          beginSse(c);
          shift(c, xmm(rmOf(c, i)), 4, c.code[i + R.IMM]);
        };

/** Word n of four, by the immediate's two bits; the rest of the register is handled by the callers. */
const shuffleWords = (c: Cpu, d: number, s: number, order: number): void => {
  const a = c.m16.slice(s << 1, (s << 1) + 4);
  for (let n = 0; n < 4; n++) c.m16[(d << 1) + n] = a[(order >> (2 * n)) & 3];
};
const pinsrw: Binder = (row, _size, memory) => {
  const mmx = row.args[0] === 'P';
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    if (memory) load(c, i, 2, false);
    const m = c.m32;
    const value = memory ? m[SOURCE] : m[rmOf(c, i)];
    const lane = c.code[i + R.IMM];
    if (mmx) {
      enterMmx(m);
      const d = mm(regOf(c, i));
      c.m16[(d << 1) + (lane & 3)] = value;
      wroteMmx(m, d);
    } else c.m16[(xmm(regOf(c, i)) << 1) + (lane & 7)] = value;
  };
};
const pextrw: Binder = (row) => {
  const mmx = row.args.includes('N');
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    if (mmx) enterMmx(c.m32);
    const lane = c.code[i + R.IMM];
    const at = mmx ? (mm(rmOf(c, i)) << 1) + (lane & 3) : (xmm(rmOf(c, i)) << 1) + (lane & 7);
    c.m32[regOf(c, i)] = c.m16[at];
  };
};
const pmovmskb: Binder = (row) => {
  const mmx = row.args.includes('N');
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    if (mmx) enterMmx(c.m32);
    const at = (mmx ? mm(rmOf(c, i)) : xmm(rmOf(c, i))) << 2;
    let bits = 0;
    for (let n = 0; n < (mmx ? 8 : 16); n++) bits |= (c.m8[at + n] >> 7) << n;
    c.m32[regOf(c, i)] = bits;
  };
};

export const INTEGER: Binders = {
  ...Object.fromEntries(Object.entries(OPERATIONS).map(([name, operation]) => [name, bind(operation)])),
  ...Object.fromEntries(Object.entries(SHIFTS).map(([name, shift]) => [name, bind(byRegister(shift))])),
  ...Object.fromEntries(Object.entries(SHIFTS).map(([name, shift]) => [`${name}_i`, byImmediate(shift)])),
  psrldq_i: byImmediate(psrldq),
  pslldq_i: byImmediate(pslldq),
  pshufw: bind((c, d, s, _words, order) => shuffleWords(c, d, s, order)),
  pshufd: bind((c, d, s, _words, order) => {
    const a = c.m32.slice(s, s + 4);
    for (let n = 0; n < 4; n++) c.m32[d + n] = a[(order >> (2 * n)) & 3];
  }),
  pshuflw: bind((c, d, s, _words, order) => {
    shuffleWords(c, d, s, order);
    c.m32[d + 2] = c.m32[s + 2];
    c.m32[d + 3] = c.m32[s + 3];
  }),
  pshufhw: bind((c, d, s, _words, order) => {
    shuffleWords(c, d + 2, s + 2, order);
    c.m32[d] = c.m32[s];
    c.m32[d + 1] = c.m32[s + 1];
  }),
  pinsrw,
  pextrw,
  pmovmskb,
};
