// The kernel's entries: one function for each common x87 instruction, from permission to instruction pointers.
//
// An entry either does its instruction completely and returns 1, or changes nothing and returns 0. It wants all exceptions masked and none pending, and where
// rounding matters extended precision to nearest; registers filled (or free, for a push); memory in the TLB and inside one page. Results and status are the handlers'
// (../moves.ts, ../arithmetic.ts, ../unary.ts) bit by bit; a test compares them. What it leaves out: everything rare, which is the handlers' work.

import { J } from '../../jit/layout';
import { type FuncType, I32 } from '../../jit/wasm';
import { CR0, S } from '../../state';
import { Builder, type Code, type Local, w } from './notation';
import {
  addNumbers,
  compareNumbers,
  divideNumbers,
  exponent,
  getSlot,
  isOrdinary,
  MIN,
  multiplyNumbers,
  type Number80,
  putSlot,
  rootOfNumber,
  roundingFlags,
  SIGN,
} from './numbers';

const { c, C } = w;

/** Parameters of an entry on registers: n of ST(n), EIP, opcode (FOP). */
export const REGISTER: FuncType = { params: [I32, I32, I32], results: [I32] };
/** Parameters of an entry with a memory operand: linear address (which is the offset: the segment is flat), TLB table, EIP, FOP | segment number << 16. */
export const MEMORY: FuncType = { params: [I32, I32, I32, I32], results: [I32] };

const C1 = 0x200;
const C3_C2_C0 = 0x4500;
const TOP = 0x3800;

/** A word of the state block. */
const at = (offset: number): Code => w.load32(c(0), offset);
const set = (f: Builder, offset: number, value: Code): void => f.do(w.store32(c(0), value, offset));

/** Start of an entry: returns 0 unless the ordinary case holds; the status word in a local. */
const begin = (f: Builder, rounds: boolean): Local => {
  const sw = f.i32(at(S.FPU_SW));
  const mask = rounds ? 0xf3f : 0x3f;
  const unfit = w.xor(w.and(at(S.FPU_CW), c(mask)), c(rounds ? 0x33f : 0x3f));
  f.if(w.or(unfit, w.or(w.and(at(S.CR0), c(CR0.EM | CR0.TS)), w.and(sw, c(0x80)))), () => f.return(c(0)));
  return sw;
};
/** Physical number of ST(n). */
const physical = (f: Builder, sw: Code, n: Code): Local => f.i32(w.and(w.add(w.shr(sw, c(11)), n), c(7)));
const slotOf = (p: Code): Code => w.add(w.shl(p, c(4)), c(S.FPU_REGS));
/** Bit 0: physical register p is filled. */
const valid = (p: Code): Code => w.shr(at(S.FPU_VALID), p);
const needFilled = (f: Builder, ...registers: Code[]): void =>
  f.if(
    w.not(
      w.and(
        registers.map(valid).reduce((a, b) => w.and(a, b)),
        c(1),
      ),
    ),
    () => f.return(c(0)),
  );
const needFree = (f: Builder, p: Code): void => f.if(w.and(valid(p), c(1)), () => f.return(c(0)));

const note = (f: Builder, eip: Code, fop: Code): void => {
  set(f, S.FPU_FIP, eip);
  set(f, S.FPU_FCS, at(S.SELECTOR + 4));
  set(f, S.FPU_FOP, fop);
};
/** Ends an entry that was done. */
const done = (f: Builder): Uint8Array => {
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
const doneMemory = (f: Builder): Uint8Array => {
  const info = f.param(3);
  note(f, f.param(2), w.and(info, c(0x7ff)));
  set(f, S.FPU_FDP, f.param(0));
  set(f, S.FPU_FDS, w.load32(w.shl(w.shr(info, c(16)), c(2)), S.SELECTOR));
  return f.end(c(1));
};
/** Replaces C1 (and ORs exceptions in). */
const setStatus = (f: Builder, sw: Code, flags: Code): void => set(f, S.FPU_SW, w.or(w.and(sw, c(~C1)), flags));
/** The same, and pops ST(0), whose physical number is p. */
const setStatusAndPop = (f: Builder, sw: Code, flags: Code, p: Code): void => {
  set(f, S.FPU_VALID, w.and(at(S.FPU_VALID), w.xor(w.shl(c(1), p), c(-1))));
  set(f, S.FPU_SW, w.or(w.or(w.and(sw, c(~(C1 | TOP))), flags), w.and(w.add(sw, c(0x800)), c(TOP))));
};
/** Marks physical register p as the new, filled ST(0). */
const setStatusAndPush = (f: Builder, sw: Code, p: Code): void => {
  set(f, S.FPU_VALID, w.or(at(S.FPU_VALID), w.shl(c(1), p)));
  set(f, S.FPU_SW, w.or(w.and(sw, c(~(C1 | TOP))), w.shl(p, c(11))));
};
const conclude = (f: Builder, sw: Code, flags: Code, p: Code, pops: boolean): void =>
  pops ? setStatusAndPop(f, sw, flags, p) : setStatus(f, sw, flags);

// ---- memory operands ----------------------------------------------------------------------------------------------------------------------

type Format = 'm32' | 'm64' | 'm80' | 'i16' | 'i32' | 'i64';
const BYTES: Record<Format, number> = { m32: 4, m64: 8, m80: 10, i16: 2, i32: 4, i64: 8 };

/** Where the operand lies in the linear memory, by the TLB; returns 0 from the entry when it is not one plain piece of it. */
const operand = (f: Builder, bytes: number): Local => {
  const linear = f.param(0);
  const entry = f.i32(w.load32(w.add(f.param(1), w.shl(w.shr(linear, c(12)), c(2)))));
  f.if(w.or(w.xor(w.and(entry, c(1)), c(1)), w.gtU(w.and(linear, c(0xfff)), c(4096 - bytes))), () => f.return(c(0)));
  return f.i32(w.add(w.add(linear, entry), c(1)));
};
/** The operand as a number; returns 0 from the entry for denormal and special singles and doubles. */
const fetch = (f: Builder, format: Format, address: Code = operand(f, BYTES[format])): Number80 => {
  const m = f.i64();
  const s = f.i32();
  if (format === 'm80') {
    f.set(m, w.load64(address));
    f.set(s, w.load16(address, 8));
  } else if (format === 'm32' || format === 'm64') {
    const wide = format === 'm64';
    const v = f.i64(wide ? w.load64(address) : w.extend(w.load32(address)));
    const e = f.i32(w.and(w.wrap(w.Shr(v, C(wide ? 52n : 23n))), c(wide ? 0x7ff : 0xff)));
    f.set(s, w.and(w.wrap(w.Shr(v, C(wide ? 48n : 16n))), c(SIGN)));
    f.if(
      w.ltU(w.sub(e, c(1)), c(wide ? 0x7fe : 0xfe)),
      () => {
        f.set(m, w.Or(w.Shl(v, C(wide ? 11n : 40n)), MIN));
        f.set(s, w.or(s, w.add(e, c(wide ? 15360 : 16256))));
      },
      () => f.if(w.Ne(w.Shl(v, C(wide ? 1n : 33n)), C(0n)), () => f.return(c(0))),
    );
  } else {
    const v = f.i64(format === 'i64' ? w.load64(address) : w.extendS(format === 'i32' ? w.load32(address) : w.load16s(address)));
    f.if(w.Ne(v, C(0n)), () => {
      f.set(s, w.and(w.wrap(w.Shr(v, C(48n))), c(SIGN)));
      f.if(s, () => f.set(v, w.Sub(C(0n), v)));
      const n = f.i64(w.Clz(v));
      f.set(m, w.Shl(v, n));
      f.set(s, w.or(s, w.sub(c(16383 + 63), w.wrap(n))));
    });
  }
  return { s, m };
};

// ---- instructions -------------------------------------------------------------------------------------------------------------------------

/** FLD, FILD. */
const loadEntry = (format: Format): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, false);
  const p = physical(f, sw, c(7));
  needFree(f, p);
  const { s, m } = fetch(f, format);
  putSlot(f, slotOf(p), s, m);
  setStatusAndPush(f, sw, p);
  return doneMemory(f);
};

const OPERATIONS = ['add', 'mul', 'sub', 'subr', 'div', 'divr'] as const;
type Operation = (typeof OPERATIONS)[number];
/** d = a op b; the status bits. The sign of a subtrahend is turned in its local. */
const operate = (f: Builder, op: Operation, d: Code, a: Number80, b: Number80): Code => {
  switch (op) {
    case 'add':
      return addNumbers(f, d, a, b);
    case 'sub':
      f.set(b.s, w.xor(b.s, c(SIGN)));
      return addNumbers(f, d, a, b);
    case 'subr':
      f.set(a.s, w.xor(a.s, c(SIGN)));
      return addNumbers(f, d, b, a);
    case 'mul':
      return multiplyNumbers(f, d, a, b);
    case 'div':
      return divideNumbers(f, d, a, b);
    case 'divr':
      return divideNumbers(f, d, b, a);
  }
};
const arithmeticMemory = (op: Operation, format: Format): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, true);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const b = fetch(f, format);
  const slot = f.i32(slotOf(p));
  setStatus(f, sw, operate(f, op, slot, getSlot(f, slot), b));
  return doneMemory(f);
};
/** ST = ST op ST(n), or ST(n) = ST(n) op ST with or without a pop. */
const arithmeticRegisters = (op: Operation, toTop: boolean, pops: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, true);
  const p = physical(f, sw, c(0));
  const q = physical(f, sw, f.param(0));
  needFilled(f, p, q);
  const top = getSlot(f, slotOf(p));
  const other = getSlot(f, slotOf(q));
  const slot = f.i32(slotOf(toTop ? p : q));
  const flags = toTop ? operate(f, op, slot, top, other) : operate(f, op, slot, other, top);
  conclude(f, sw, flags, p, pops);
  return done(f);
};
const squareRoot = (): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, true);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const slot = f.i32(slotOf(p));
  setStatus(f, sw, rootOfNumber(f, slot, getSlot(f, slot)));
  return done(f);
};
/** FCHS (flips the sign) and FABS (clears it). */
const signEntry = (flips: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const slot = f.i32(slotOf(p));
  f.do(w.store32(slot, flips ? w.xor(w.load32(slot, 8), c(SIGN)) : w.and(w.load32(slot, 8), c(0x7fff)), 8));
  setStatus(f, sw, c(0));
  return done(f);
};

/** Where a comparison's outcome goes: C3 and C0, or ZF and CF (nothing ordinary is unordered). */
type Outcome = 'status' | 'flags';
const concludeComparison = (f: Builder, sw: Local, p: Code, order: Code, to: Outcome, pops: number): void => {
  f.set(sw, w.and(sw, c(to === 'status' ? ~(C3_C2_C0 | C1) : ~C1)));
  if (to === 'status') f.set(sw, w.or(sw, order));
  else {
    // In the form of ../../flags.ts: ZF is a result of zero, which has even parity, so bit 8 of the aux word turns PF over; CF in bits 31 and 30 means no OF.
    const equal = w.and(order, c(0x4000));
    const less = w.and(order, c(0x100));
    set(f, S.FLAG_RESULT, w.not(equal));
    set(f, S.FLAG_AUX, w.or(w.or(w.shl(less, c(23)), w.shl(less, c(22))), w.shr(equal, c(6))));
    set(f, J.FLAG_KIND, c(0));
  }
  conclude(f, sw, c(0), p, pops > 0);
  if (pops === 2) {
    f.set(sw, at(S.FPU_SW));
    setStatusAndPop(f, sw, c(0), physical(f, sw, c(0)));
  }
};
const compareRegisters = (to: Outcome, pops: number): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  const q = physical(f, sw, f.param(0));
  needFilled(f, p, q);
  concludeComparison(f, sw, p, compareNumbers(f, getSlot(f, slotOf(p)), getSlot(f, slotOf(q))), to, pops);
  return done(f);
};
const compareMemory = (format: Format, pops: number): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const b = fetch(f, format);
  concludeComparison(f, sw, p, compareNumbers(f, getSlot(f, slotOf(p)), b), 'status', pops);
  return doneMemory(f);
};

/** FST, FSTP to a single or double: ordinary numbers and zeros whose result is one too. */
const storeReal = (single: boolean, pops: boolean): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, true);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const number = getSlot(f, slotOf(p));
  conclude(f, sw, roundToReal(f, single, number, operand(f, single ? 4 : 8)), p, pops);
  return doneMemory(f);
};
/** Rounds a number to a single or double at index `address`; the status bits. */
const roundToReal = (f: Builder, single: boolean, { s, m }: Number80, address: Code): Local => {
  const flags = f.i32(c(0));
  const v = f.i64();
  const e = f.i32(w.sub(exponent(s), c(single ? 16256 : 15360)));
  // The largest exponent is left out: rounding could overflow.
  f.if(
    w.and(w.ltU(w.sub(e, c(1)), c(single ? 0xfd : 0x7fd)), w.LtS(m, C(0n))),
    () => {
      const bits = single ? 40n : 11n;
      const half = C(1n << (bits - 1n));
      const cut = f.i64(w.And(m, C((1n << bits) - 1n)));
      f.set(v, w.Or(w.And(w.Shr(m, C(bits)), C((1n << (63n - bits)) - 1n)), w.Shl(w.extend(e), C(63n - bits))));
      const up = f.i32(w.or(w.GtU(cut, half), w.and(w.Eq(cut, half), w.wrap(w.And(v, C(1n))))));
      f.set(flags, roundingFlags(w.Ne(cut, C(0n)), up));
      f.set(v, w.Add(v, w.extend(up)));
    },
    () => f.if(w.or(w.Ne(m, C(0n)), exponent(s)), () => f.return(c(0))),
  );
  f.set(v, w.Or(v, w.Shl(w.extend(w.and(s, c(SIGN))), C(single ? 16n : 48n))));
  f.do(single ? w.store32(address, w.wrap(v)) : w.store64(address, v));
  return flags;
};
/** FIST, FISTP of zero and of numbers from 0.5 that fit, rounding to nearest or (as C casts do) towards zero. */
const storeInteger = (bytes: 2 | 4 | 8, pops: boolean): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, false);
  const mode = f.i32(w.and(at(S.FPU_CW), c(0xc00)));
  f.if(w.and(w.ne(mode, c(0)), w.ne(mode, c(0xc00))), () => f.return(c(0)));
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const number = getSlot(f, slotOf(p));
  const { s, m } = number;
  const address = operand(f, bytes);
  const flags = f.i32(c(0));
  const v = f.i64();
  f.if(
    isOrdinary(number),
    () => {
      // Bits left of the point, of 64; below 1 none.
      const keep = f.i32(w.sub(exponent(s), c(16383 - 1)));
      f.if(w.geU(keep, c(8 * bytes)), () => f.return(c(0)));
      const n = f.i64(w.extend(keep));
      const cut = f.i64(w.Shl(m, n));
      f.if(keep, () => f.set(v, w.Shr(m, w.Sub(C(64n), n))));
      const up = f.i32(w.and(w.not(mode), w.and(w.LtS(cut, C(0n)), w.or(w.Ne(cut, MIN), w.wrap(w.And(v, C(1n)))))));
      f.set(flags, roundingFlags(w.Ne(cut, C(0n)), up));
      f.set(v, w.Add(v, w.extend(up)));
      // Rounding may have reached the first number that does not fit.
      f.if(w.Ne(w.Shr(v, C(BigInt(8 * bytes - 1))), C(0n)), () => f.return(c(0)));
      const sign = w.Sub(C(0n), w.extend(w.shr(s, c(15))));
      f.set(v, w.Sub(w.Xor(v, sign), sign));
    },
    () => f.if(w.or(w.Ne(m, C(0n)), exponent(s)), () => f.return(c(0))),
  );
  f.do(bytes === 8 ? w.store64(address, v) : bytes === 4 ? w.store32(address, w.wrap(v)) : w.store16(address, w.wrap(v)));
  conclude(f, sw, flags, p, pops);
  return doneMemory(f);
};
const storeExtended = (): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  needFilled(f, p);
  const { s, m } = getSlot(f, slotOf(p));
  const address = operand(f, 10);
  f.do(w.store64(address, m));
  f.do(w.store16(address, s, 8));
  setStatusAndPop(f, sw, c(0), p);
  return doneMemory(f);
};

/** FLD ST(n), and the constants. */
const pushEntry = (constant?: { s: number; m: bigint }): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, false);
  const p = physical(f, sw, c(7));
  needFree(f, p);
  if (constant) putSlot(f, slotOf(p), c(constant.s), C(constant.m));
  else {
    const q = physical(f, sw, f.param(0));
    needFilled(f, q);
    const { s, m } = getSlot(f, slotOf(q));
    putSlot(f, slotOf(p), s, m);
  }
  setStatusAndPush(f, sw, p);
  return done(f);
};
const exchange = (): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  const q = physical(f, sw, f.param(0));
  needFilled(f, p, q);
  const a = getSlot(f, slotOf(p));
  const b = getSlot(f, slotOf(q));
  putSlot(f, slotOf(p), b.s, b.m);
  putSlot(f, slotOf(q), a.s, a.m);
  setStatus(f, sw, c(0));
  return done(f);
};
/** FST ST(n), FSTP ST(n). */
const storeRegister = (pops: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = begin(f, false);
  const p = physical(f, sw, c(0));
  const q = physical(f, sw, f.param(0));
  needFilled(f, p);
  const { s, m } = getSlot(f, slotOf(p));
  putSlot(f, slotOf(q), s, m);
  set(f, S.FPU_VALID, w.or(at(S.FPU_VALID), w.shl(c(1), q)));
  conclude(f, sw, c(0), p, pops);
  return done(f);
};
/** FLDCW that unmasks nothing pending. */
const loadControl = (): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = begin(f, false);
  const value = f.i32(w.or(w.and(w.load16(operand(f, 2)), c(0x1f3f)), c(0x40)));
  f.if(w.and(w.and(sw, c(0x3f)), w.xor(value, c(-1))), () => f.return(c(0)));
  set(f, S.FPU_CW, value);
  return f.end(c(1));
};
const storeControl = (): Uint8Array => {
  const f = new Builder(MEMORY);
  begin(f, false);
  f.do(w.store16(operand(f, 2), at(S.FPU_CW)));
  return f.end(c(1));
};

// ---- pieces -------------------------------------------------------------------------------------------------------------------------------

// For translated code that keeps status, tags and pointers itself (jit/floating.ts): operands are addresses of slots or indexes of memory operands. They return 0
// when the operands are not ordinary and nothing has changed, else the status bits (or the order, of a comparison) with bit 0 set.

const piece = (build: (f: Builder) => Code): Entry =>
  registers(() => {
    const f = new Builder(REGISTER);
    return f.end(w.or(build(f), c(1)));
  });
const loadPiece = (format: Format): Entry =>
  piece((f) => {
    const { s, m } = fetch(f, format, f.param(1));
    putSlot(f, f.param(0), s, m);
    return c(0);
  });
const storePiece = (single: boolean): Entry => piece((f) => roundToReal(f, single, getSlot(f, f.param(1)), f.param(0)));
const operationPiece = (op: Operation): Entry => piece((f) => operate(f, op, f.param(0), getSlot(f, f.param(1)), getSlot(f, f.param(2))));

/** An entry: `writes` says which TLB table a memory operand wants. */
export interface Entry {
  readonly memory: boolean;
  readonly writes: boolean;
  readonly body: () => Uint8Array;
}
const registers = (body: () => Uint8Array): Entry => ({ memory: false, writes: false, body });
const reads = (body: () => Uint8Array): Entry => ({ memory: true, writes: false, body });
const writes = (body: () => Uint8Array): Entry => ({ memory: true, writes: true, body });

/** Entries by row name (../../opcodes.ts). */
export const ENTRIES: Readonly<Record<string, Entry>> = {
  piece_load_m32: loadPiece('m32'),
  piece_load_m64: loadPiece('m64'),
  piece_load_i16: loadPiece('i16'),
  piece_load_i32: loadPiece('i32'),
  piece_load_i64: loadPiece('i64'),
  piece_store_m32: storePiece(true),
  piece_store_m64: storePiece(false),
  piece_compare: piece((f) => compareNumbers(f, getSlot(f, f.param(0)), getSlot(f, f.param(1)))),
  piece_sqrt: piece((f) => rootOfNumber(f, f.param(0), getSlot(f, f.param(1)))),
  ...Object.fromEntries(OPERATIONS.map((op): [string, Entry] => [`piece_${op}`, operationPiece(op)])),
  fld_m32: reads(() => loadEntry('m32')),
  fld_m64: reads(() => loadEntry('m64')),
  fld_m80: reads(() => loadEntry('m80')),
  fild_m16: reads(() => loadEntry('i16')),
  fild_m32: reads(() => loadEntry('i32')),
  fild_m64: reads(() => loadEntry('i64')),
  fst_m32: writes(() => storeReal(true, false)),
  fstp_m32: writes(() => storeReal(true, true)),
  fst_m64: writes(() => storeReal(false, false)),
  fstp_m64: writes(() => storeReal(false, true)),
  fstp_m80: writes(storeExtended),
  fist_m16: writes(() => storeInteger(2, false)),
  fistp_m16: writes(() => storeInteger(2, true)),
  fist_m32: writes(() => storeInteger(4, false)),
  fistp_m32: writes(() => storeInteger(4, true)),
  fistp_m64: writes(() => storeInteger(8, true)),
  fldcw: reads(loadControl),
  fnstcw: writes(storeControl),
  fcom_m32: reads(() => compareMemory('m32', 0)),
  fcomp_m32: reads(() => compareMemory('m32', 1)),
  fcom_m64: reads(() => compareMemory('m64', 0)),
  fcomp_m64: reads(() => compareMemory('m64', 1)),
  fld: registers(() => pushEntry()),
  fld1: registers(() => pushEntry({ s: 0x3fff, m: -0x8000000000000000n })),
  fldz: registers(() => pushEntry({ s: 0, m: 0n })),
  fxch: registers(exchange),
  fst: registers(() => storeRegister(false)),
  fstp: registers(() => storeRegister(true)),
  fchs: registers(() => signEntry(true)),
  fabs: registers(() => signEntry(false)),
  fsqrt: registers(squareRoot),
  fcom: registers(() => compareRegisters('status', 0)),
  fcomp: registers(() => compareRegisters('status', 1)),
  fcompp: registers(() => compareRegisters('status', 2)),
  fucom: registers(() => compareRegisters('status', 0)),
  fucomp: registers(() => compareRegisters('status', 1)),
  fucompp: registers(() => compareRegisters('status', 2)),
  fcomi: registers(() => compareRegisters('flags', 0)),
  fcomip: registers(() => compareRegisters('flags', 1)),
  fucomi: registers(() => compareRegisters('flags', 0)),
  fucomip: registers(() => compareRegisters('flags', 1)),
  ...Object.fromEntries(
    OPERATIONS.flatMap((op): [string, Entry][] => [
      [`f${op}`, registers(() => arithmeticRegisters(op, true, false))],
      [`f${op}_to`, registers(() => arithmeticRegisters(op, false, false))],
      [`f${op}_to_pop`, registers(() => arithmeticRegisters(op, false, true))],
      [`f${op}_m32`, reads(() => arithmeticMemory(op, 'm32'))],
      [`f${op}_m64`, reads(() => arithmeticMemory(op, 'm64'))],
      [`fi${op}_m16`, reads(() => arithmeticMemory(op, 'i16'))],
      [`fi${op}_m32`, reads(() => arithmeticMemory(op, 'i32'))],
    ]),
  ),
};
