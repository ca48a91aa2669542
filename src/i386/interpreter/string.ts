// String instructions MOVS, STOS, LODS, CMPS, SCAS, alone and under REP.
//
// One element at a time, exactly, is the rule; MOVS and STOS through flat segments move whole page parts at once when source and destination do
// not overlap in a way that byte order would show. A REP runs at most CHUNK elements and then asks the run loop to come back, so that interrupts and
// budgets are honoured. A fault leaves the registers at the element that faulted. What it leaves out: INS and OUTS (system.ts). Source: SDM vol. 2, "REP".

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import type { Row } from '../opcodes';
import { EAX, ECX, EDI, ES, ESI, FL, PAGE, W } from '../state';
import { Alu, alu } from './arithmetic';
import { type Binders, getReg, type Handler, readLinear, type Size, setReg, thisEip, writeLinear } from './operands';

/** Elements a REP processes before it returns to the run loop. */
const CHUNK = 65536;
/** Below this many bytes a plain loop is faster than copyWithin() or fill(). */
const BULK = 64;

enum Kind {
  MOVS = 0,
  STOS = 1,
  LODS = 2,
  CMPS = 3,
  SCAS = 4,
}
const KINDS: Record<string, Kind> = { movs: Kind.MOVS, stos: Kind.STOS, lods: Kind.LODS, cmps: Kind.CMPS, scas: Kind.SCAS };

/** Adds to an index register: all of it, or its low word with 16-bit addressing. */
const advance = (c: Cpu, n: number, by: number, narrow: boolean): void => {
  if (narrow) c.m16[n << 1] = c.m16[n << 1] + by;
  else c.m32[n] = (c.m32[n] + by) | 0;
};

/** One element. Registers move after the last access. */
const element = (c: Cpu, kind: Kind, size: Size, seg: number, narrow: boolean, step: number): void => {
  const bytes = 1 << size;
  const si = narrow ? c.m16[ESI << 1] : c.m32[ESI];
  const di = narrow ? c.m16[EDI << 1] : c.m32[EDI];
  switch (kind) {
    case Kind.MOVS:
      writeLinearAfter(c, size, readLinear(c, size, c.linR(seg, si, bytes)), di, bytes);
      advance(c, ESI, step, narrow);
      advance(c, EDI, step, narrow);
      break;
    case Kind.STOS:
      writeLinear(c, size, c.linW(ES, di, bytes), getReg(c, size, EAX));
      advance(c, EDI, step, narrow);
      break;
    case Kind.LODS:
      setReg(c, size, EAX, readLinear(c, size, c.linR(seg, si, bytes)));
      advance(c, ESI, step, narrow);
      break;
    case Kind.CMPS: {
      const a = readLinear(c, size, c.linR(seg, si, bytes));
      const b = readLinear(c, size, c.linR(ES, di, bytes));
      alu(c.m32, size, Alu.CMP, a, b);
      advance(c, ESI, step, narrow);
      advance(c, EDI, step, narrow);
      break;
    }
    case Kind.SCAS: {
      const b = readLinear(c, size, c.linR(ES, di, bytes));
      alu(c.m32, size, Alu.CMP, getReg(c, size, EAX), b);
      advance(c, EDI, step, narrow);
      break;
    }
  }
};
const writeLinearAfter = (c: Cpu, size: Size, value: number, di: number, bytes: number): void =>
  writeLinear(c, size, c.linW(ES, di, bytes), value);

/** Elements from address `at` on, upwards or down, that lie in its page; 0 when the first does not. */
const room = (at: number, size: Size, down: boolean): number => {
  const offset = at & 0xfff;
  if (!down) return (PAGE - offset) >> size;
  return offset + (1 << size) > PAGE ? 0 : (offset >> size) + 1;
};

/**
 * As many elements of a MOVS or STOS as lie within one page on either side, at once.
 * @returns elements done; 0 when the ordinary way must be taken (segments, pages not in the TLB, page end, overlap).
 */
const bulk = (c: Cpu, kind: Kind, size: Size, seg: number, count: number, down: boolean): number => {
  const m = c.m32;
  if (((m[W.FLAT] >> ES) & 1) === 0) return 0;
  const di = m[EDI];
  const eDst = m[c.tw + (di >>> 12)];
  if ((eDst & 1) === 0) return 0;
  let n = Math.min(count, room(di, size, down));
  let si = 0;
  let eSrc = 0;
  if (kind === Kind.MOVS) {
    if (((m[W.FLAT] >> seg) & 1) === 0) return 0;
    si = m[ESI];
    eSrc = m[c.tr + (si >>> 12)];
    if ((eSrc & 1) === 0) return 0;
    n = Math.min(n, room(si, size, down));
  }
  if (n === 0) return 0;
  const bytes = n << size;
  // Indexes of the lowest bytes: a downward one begins with the highest element.
  const back = down ? (1 << size) - bytes : 0;
  const dst = (di + eDst + 1 + back) | 0;
  const step = down ? -bytes : bytes;
  if (kind === Kind.STOS) store(c, size, dst, n);
  else {
    if (!copy(c, size, dst, (si + eSrc + 1 + back) | 0, n, down)) return 0;
    m[ESI] = (si + step) | 0;
  }
  m[EDI] = (di + step) | 0;
  return n;
};

/** Moves `n` elements as one after another, upwards or down, would be moved. @returns false when they overlap within an element. */
const copy = (c: Cpu, size: Size, dst: number, src: number, n: number, down: boolean): boolean => {
  const { m8, m32: m } = c;
  const bytes = n << size;
  const ahead = down ? src - dst : dst - src;
  if (ahead <= 0 || ahead >= bytes) {
    if (bytes >= BULK || down) m8.copyWithin(dst, src, src + bytes);
    else if (size === 2 && ((src | dst) & 3) === 0) for (let k = 0, s = src >> 2, d = dst >> 2; k < n; k++) m[d + k] = m[s + k];
    else for (let k = 0; k < bytes; k++) m8[dst + k] = m8[src + k];
    return true;
  }
  if (ahead < 1 << size) return false;
  // The copy feeds on itself: whole elements, so byte by byte in the same direction gives the same.
  if (down) for (let k = bytes - 1; k >= 0; k--) m8[dst + k] = m8[src + k];
  else for (let k = 0; k < bytes; k++) m8[dst + k] = m8[src + k];
  return true;
};

const store = (c: Cpu, size: Size, dst: number, n: number): void => {
  const { m8 } = c;
  const value = c.m32[EAX];
  if (size === 0) m8.fill(value, dst, dst + n);
  else if (size === 1 && (dst & 1) === 0) c.m16.fill(value, dst >> 1, (dst >> 1) + n);
  else if (size === 2 && (dst & 3) === 0) c.m32.fill(value, dst >> 2, (dst >> 2) + n);
  else {
    const bytes = n << size;
    const mask = (1 << size) - 1;
    for (let k = 0; k < bytes; k++) m8[dst + k] = value >> ((k & mask) << 3);
  }
};

/** First of `n` elements from `at` on that differs from (or, !whileEqual, equals) `value`: how many were looked at. `a` holds them, indexed by elements. */
const scanFor = (a: Int32Array | Uint16Array | Uint8Array, at: number, n: number, value: number, whileEqual: boolean): number => {
  let k = 0;
  do if ((a[at + k++] === value) !== whileEqual) break;
  while (k < n);
  return k;
};
/** The same for the first byte that equals `value`, four at a time. */
const findByte = ({ m8, m32 }: Cpu, at: number, n: number, value: number): number => {
  let k = 0;
  while (((at + k) & 3) !== 0 && k < n) if (m8[at + k++] === value) return k;
  const four = Math.imul(value, 0x01010101);
  for (; k + 4 <= n; k += 4) {
    const x = m32[(at + k) >> 2] ^ four;
    if ((((x - 0x01010101) | 0) & ~x & 0x80808080) !== 0) break;
  }
  while (k < n) if (m8[at + k++] === value) return k;
  return n;
};
const scanBoth = (a: Int32Array | Uint16Array | Uint8Array, one: number, other: number, n: number, whileEqual: boolean): number => {
  let k = 0;
  do {
    const equal = a[one + k] === a[other + k];
    k++;
    if (equal !== whileEqual) break;
  } while (k < n);
  return k;
};

/**
 * As many elements of an upward SCAS or CMPS as lie within one page on either side, or up to the one that ends it; flags are those of the last one.
 * @returns elements done; 0 when the ordinary way must be taken (segments, pages not in the TLB, page end, unaligned words).
 */
const compareBulk = (c: Cpu, kind: Kind, size: Size, seg: number, count: number, whileEqual: boolean): number => {
  const m = c.m32;
  if (((m[W.FLAT] >> ES) & 1) === 0) return 0;
  const unaligned = (1 << size) - 1;
  const di = m[EDI];
  const eOne = m[c.tr + (di >>> 12)];
  if ((eOne & 1) === 0 || (di & unaligned) !== 0) return 0;
  const elements = size === 2 ? m : size === 1 ? c.m16 : c.m8;
  const di0 = ((di + eOne + 1) | 0) >> size;
  let n = Math.min(count, (PAGE - (di & 0xfff)) >> size);
  if (kind === Kind.SCAS) {
    const value = getReg(c, size, EAX);
    n = size === 0 && !whileEqual ? findByte(c, di0, n, value) : scanFor(elements, di0, n, value, whileEqual);
    alu(m, size, Alu.CMP, value, elements[di0 + n - 1]);
  } else {
    if (((m[W.FLAT] >> seg) & 1) === 0) return 0;
    const si = m[ESI];
    const eOther = m[c.tr + (si >>> 12)];
    if ((eOther & 1) === 0 || (si & unaligned) !== 0) return 0;
    const si0 = ((si + eOther + 1) | 0) >> size;
    n = scanBoth(elements, si0, di0, Math.min(n, (PAGE - (si & 0xfff)) >> size), whileEqual);
    alu(m, size, Alu.CMP, elements[si0 + n - 1], elements[di0 + n - 1]);
    m[ESI] = (si + (n << size)) | 0;
  }
  m[EDI] = (di + (n << size)) | 0;
  return n;
};

const repeat = (c: Cpu, i: number, kind: Kind, size: Size): void => {
  const m = c.m32;
  const meta = c.code[i + R.META];
  const narrow = (meta & M.ADDR16) !== 0;
  const seg = (meta >> M.SEG_SHIFT) & 7;
  const down = (m[W.EFLAGS] & FL.DF) !== 0;
  const step = down ? -(1 << size) : 1 << size;
  const compares = kind >= Kind.CMPS;
  const whileEqual = (meta & M.REPE) !== 0;
  // A debug trap comes after the element that caused it.
  const chunk = (m[W.EFLAGS] & FL.TF) === 0 && !c.dataBreakpoints ? CHUNK : 1;
  const mayBulk = kind !== Kind.LODS && !(down && compares) && !narrow && chunk > 1;
  for (let done = 0; done < chunk; ) {
    const left = narrow ? c.m16[ECX << 1] : m[ECX] >>> 0;
    if (left === 0) return;
    if (mayBulk) {
      const most = Math.min(left, chunk - done);
      const n = compares ? compareBulk(c, kind, size, seg, most, whileEqual) : bulk(c, kind, size, seg, most, down);
      if (n > 0) {
        m[ECX] = left - n;
        done += n;
        if (compares && (m[W.FLAG_RESULT] === 0) !== whileEqual) return;
        continue;
      }
    }
    element(c, kind, size, seg, narrow, step);
    if (narrow) c.m16[ECX << 1] = left - 1;
    else m[ECX] = left - 1;
    done++;
    if (compares && (m[W.FLAG_RESULT] === 0) !== whileEqual) return;
  }
  if ((narrow ? c.m16[ECX << 1] : m[ECX]) !== 0) {
    m[W.EIP] = thisEip(c, i);
    c.unfinished = true;
    c.onPart?.();
  }
};

const bind = (row: Row, size: Size): Handler => {
  const kind = KINDS[row.name];
  return (c, i) => {
    const meta = c.code[i + R.META];
    if (meta & M.REP) repeat(c, i, kind, size);
    else element(c, kind, size, (meta >> M.SEG_SHIFT) & 7, (meta & M.ADDR16) !== 0, c.m32[W.EFLAGS] & FL.DF ? -(1 << size) : 1 << size);
  };
};

export const STRINGS: Binders = { movs: bind, stos: bind, lods: bind, cmps: bind, scas: bind };
