// Loads, stores, constants, exchanges and conditional moves.
//
// Order in every store: convert, let the memory write raise its faults (they win over numeric exceptions), then status, then the pop. Loads read memory before
// they look at the stack. What it leaves out: the conversions (convert.ts).

import type { Cpu } from '../cpu';
import { linR, linW } from '../interpreter/operands';
import type { Binder, Binders } from '../interpreter/operands';
import type { Row } from '../opcodes';
import { W } from '../state';
import { fromDecimal, fromDouble, fromInt32, fromInt64, fromSingle, toDecimal, toInteger, toReal } from './convert';
import { C1, copy, IE, put, putIndefinite, RC, SF, T0, T1 } from './float80';
import { begin, isEmpty, note, noteMemory, overflow, physical, pop, push, setValid, signal, signalStore, st, underflow } from './unit';

const opcodeOf = (row: Row): number => (row.op & 7) << 8;
const stackOf = (row: Row): number => (row.modrm ?? 0) & 7;

/** Pushes T1, loaded with `flags` (IE: signaling NaN that must become quiet). */
const pushLoaded = (m: Int32Array, flags: number): void => {
  if (!isEmpty(m, 7)) {
    overflow(m);
    return;
  }
  // An unmasked denormal is pushed all the same; only a signaling NaN stops the load.
  if (!signal(m, flags) && flags & IE) return;
  if (flags & IE) m[T1 + 1] |= 0x40000000;
  copy(m, push(m), T1);
};

const fldM32: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    const flags = fromSingle(c.m32, T1, c.read32(linR(c, i, 4)));
    noteMemory(c, i, opcode);
    pushLoaded(c.m32, flags);
  };
};
const fldM64: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    const linear = linR(c, i, 8);
    const low = c.read32(linear);
    const flags = fromDouble(c.m32, T1, low, c.read32((linear + 4) | 0));
    noteMemory(c, i, opcode);
    pushLoaded(c.m32, flags);
  };
};
const fldM80: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    const linear = linR(c, i, 10);
    const low = c.read32(linear);
    const high = c.read32((linear + 4) | 0);
    put(c.m32, T1, c.read16((linear + 8) | 0), high, low);
    noteMemory(c, i, opcode);
    pushLoaded(c.m32, 0);
  };
};
const fild =
  (bits: 16 | 32 | 64): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    return (c, i) => {
      begin(c);
      const m = c.m32;
      if (bits === 64) {
        const linear = linR(c, i, 8);
        const low = c.read32(linear);
        fromInt64(m, T1, low, c.read32((linear + 4) | 0));
      } else fromInt32(m, T1, bits === 32 ? c.read32(linR(c, i, 4)) : (c.read16(linR(c, i, 2)) << 16) >> 16);
      noteMemory(c, i, opcode);
      pushLoaded(m, 0);
    };
  };
const fbld: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    // The first eight bytes fault before the last two are looked at, even by the segment check.
    const linear = linR(c, i, 8);
    const low = c.read32(linear);
    const middle = c.read32((linear + 4) | 0);
    fromDecimal(c.m32, T1, low, middle, c.read16((linR(c, i, 10) + 8) | 0));
    noteMemory(c, i, opcode);
    pushLoaded(c.m32, 0);
  };
};

/** Writes several words; every fault comes before the first byte changes. */
const store64 = (c: Cpu, linear: number, low: number, high: number): void => {
  if ((linear & 0xfff) > 0xff8) c.probeWrite(linear, 8);
  c.write32(linear, low);
  c.write32((linear + 4) | 0, high);
};
const store80 = (c: Cpu, linear: number, low: number, high: number, signExp: number): void => {
  if ((linear & 0xfff) > 0xff6) c.probeWrite(linear, 10);
  c.write32(linear, low);
  c.write32((linear + 4) | 0, high);
  c.write16((linear + 8) | 0, signExp);
};

const fstReal =
  (single: boolean, pops: boolean): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    return (c, i) => {
      begin(c);
      const m = c.m32;
      const linear = linW(c, i, single ? 4 : 8);
      let flags: number;
      if (isEmpty(m, 0)) {
        flags = IE | SF;
        m[T0] = single ? 0xffc00000 | 0 : 0;
        m[T0 + 1] = 0xfff80000 | 0;
      } else flags = toReal(m, st(m, 0), single);
      if ((flags & ~m[W.FPU_CW] & 0x1f) !== 0) c.probeWrite(linear, single ? 4 : 8);
      else if (single) c.write32(linear, m[T0]);
      else store64(c, linear, m[T0], m[T0 + 1]);
      noteMemory(c, i, opcode);
      if (signalStore(m, flags) && pops) pop(m);
    };
  };
const fstpM80: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    const m = c.m32;
    const linear = linW(c, i, 10);
    let flags = 0;
    if (isEmpty(m, 0)) {
      flags = IE | SF;
      putIndefinite(m, T1);
    } else copy(m, T1, st(m, 0));
    if ((flags & ~m[W.FPU_CW]) !== 0) c.probeWrite(linear, 10);
    else store80(c, linear, m[T1], m[T1 + 1], m[T1 + 2]);
    noteMemory(c, i, opcode);
    if (signal(m, flags)) pop(m);
  };
};
const fist =
  (bits: 16 | 32 | 64, pops: boolean): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const bytes = bits / 8;
    return (c, i) => {
      begin(c);
      const m = c.m32;
      const linear = linW(c, i, bytes);
      let flags: number;
      if (isEmpty(m, 0)) {
        flags = IE | SF;
        m[T0] = bits === 64 ? 0 : bits === 32 ? 0x80000000 | 0 : 0x8000;
        m[T0 + 1] = 0x80000000 | 0;
      } else flags = toInteger(m, st(m, 0), bits);
      if ((flags & ~m[W.FPU_CW] & IE) !== 0) c.probeWrite(linear, bytes);
      else if (bits === 16) c.write16(linear, m[T0] & 0xffff);
      else if (bits === 32) c.write32(linear, m[T0]);
      else store64(c, linear, m[T0], m[T0 + 1]);
      noteMemory(c, i, opcode);
      if (signal(m, flags) && pops) pop(m);
    };
  };
const fbstp: Binder = (row) => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    const m = c.m32;
    const linear = linW(c, i, 10);
    let flags: number;
    if (isEmpty(m, 0)) {
      flags = IE | SF;
      put(m, T0, 0xffff, 0xc0000000 | 0, 0);
    } else flags = toDecimal(m, st(m, 0));
    if ((flags & ~m[W.FPU_CW] & IE) !== 0) c.probeWrite(linear, 10);
    else store80(c, linear, m[T0], m[T0 + 1], m[T0 + 2]);
    noteMemory(c, i, opcode);
    if (signal(m, flags)) pop(m);
  };
};

const fld: Binder = (row) => {
  const opcode = opcodeOf(row);
  const n = stackOf(row);
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
    const m = c.m32;
    if (isEmpty(m, n)) {
      // An empty source counts before a full stack.
      if (underflow(m)) putIndefinite(m, push(m));
      return;
    }
    if (!isEmpty(m, 7)) {
      overflow(m);
      return;
    }
    m[W.FPU_SW] &= ~C1;
    const from = st(m, n);
    copy(m, push(m), from);
  };
};
const fst =
  (pops: boolean): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const n = stackOf(row);
    // Quirk: the undocumented D9 D8+i only pops when ST(0) is empty.
    const silent = row.op === 0xd9;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (isEmpty(m, 0)) {
        if (silent) {
          m[W.FPU_SW] &= ~C1;
          pop(m);
          return;
        }
        if (!underflow(m)) return;
        putIndefinite(m, st(m, n));
      } else {
        m[W.FPU_SW] &= ~C1;
        copy(m, st(m, n), st(m, 0));
      }
      setValid(m, n);
      if (pops) pop(m);
    };
  };
const fxch: Binder = (row) => {
  const opcode = opcodeOf(row);
  const n = stackOf(row);
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
    const m = c.m32;
    const a = st(m, 0);
    const b = st(m, n);
    if (isEmpty(m, 0) || isEmpty(m, n)) {
      if (!underflow(m)) return;
      if (isEmpty(m, 0)) putIndefinite(m, a);
      if (isEmpty(m, n)) putIndefinite(m, b);
      setValid(m, 0);
      setValid(m, n);
    } else m[W.FPU_SW] &= ~C1;
    const low = m[a];
    const high = m[a + 1];
    const signExp = m[a + 2];
    copy(m, a, b);
    put(m, b, signExp, high, low);
  };
};

/** Constants to 66 bits or so: mantissa truncated to 64 bits, and whether nearest and up round it up. */
const CONSTANTS: Record<string, [signExp: number, high: number, low: number, roundsUp: boolean | 'exact']> = {
  fld1: [0x3fff, 0x80000000, 0, 'exact'],
  fldz: [0, 0, 0, 'exact'],
  fldl2t: [0x4000, 0xd49a784b, 0xcd1b8afe, false],
  fldl2e: [0x3fff, 0xb8aa3b29, 0x5c17f0bb, true],
  fldpi: [0x4000, 0xc90fdaa2, 0x2168c234, true],
  fldlg2: [0x3ffd, 0x9a209a84, 0xfbcff798, true],
  fldln2: [0x3ffe, 0xb17217f7, 0xd1cf79ab, true],
};
const constant =
  (name: string): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const [signExp, high, low, up] = CONSTANTS[name];
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (!isEmpty(m, 7)) {
        overflow(m);
        return;
      }
      m[W.FPU_SW] &= ~C1;
      const mode = m[W.FPU_CW] & RC.MASK;
      const increment = up !== 'exact' && (mode === RC.UP || (mode === RC.NEAREST && up)) ? 1 : 0;
      put(m, push(m), signExp, high | 0, (low + increment) | 0);
    };
  };

/** FCMOVcc: condition on EFLAGS (CF 1, PF 4, ZF 0x40). */
const fcmov =
  (mask: number, wanted: boolean): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const n = stackOf(row);
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (isEmpty(m, 0) || isEmpty(m, n)) {
        if (!underflow(m)) return;
        putIndefinite(m, st(m, 0));
        setValid(m, 0);
        return;
      }
      if (((c.getFlags() & mask) !== 0) === wanted) copy(m, st(m, 0), W.FPU_REGS + (physical(m, n) << 2));
    };
  };

export const MOVES: Binders = {
  fld,
  fst: fst(false),
  fstp: fst(true),
  fxch,
  fld_m32: fldM32,
  fld_m64: fldM64,
  fld_m80: fldM80,
  fild_m16: fild(16),
  fild_m32: fild(32),
  fild_m64: fild(64),
  fbld,
  fst_m32: fstReal(true, false),
  fstp_m32: fstReal(true, true),
  fst_m64: fstReal(false, false),
  fstp_m64: fstReal(false, true),
  fstp_m80: fstpM80,
  fist_m16: fist(16, false),
  fist_m32: fist(32, false),
  fistp_m16: fist(16, true),
  fistp_m32: fist(32, true),
  fistp_m64: fist(64, true),
  fbstp,
  ...Object.fromEntries(Object.keys(CONSTANTS).map((name) => [name, constant(name)])),
  fcmovb: fcmov(1, true),
  fcmove: fcmov(0x40, true),
  fcmovbe: fcmov(0x41, true),
  fcmovu: fcmov(4, true),
  fcmovnb: fcmov(1, false),
  fcmovne: fcmov(0x40, false),
  fcmovnbe: fcmov(0x41, false),
  fcmovnu: fcmov(4, false),
};
