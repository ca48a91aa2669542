// Two-operand arithmetic and comparisons: FADD, FMUL, FSUB(R), FDIV(R), FCOM and their integer, popping and flag-setting forms.
//
// The six operations share one switch, so that handlers differ only in where operands come from and the result goes. What it leaves out: the numbers
// themselves (arith.ts).

import type { Cpu } from '../cpu';
import { linR } from '../interpreter/operands';
import type { Binder, Binders, Handler } from '../interpreter/operands';
import type { Row } from '../opcodes';
import { W } from '../state';
import { add, C0, C2, C3, compare, div, mul, UNORDERED } from './arith';
import { fromDouble, fromInt32, fromSingle } from './convert';
import { C1, copy, IE, put, putIndefinite, SF, SIGN, T0, T1 } from './float80';
import { begin, isEmpty, note, noteMemory, pop, signal, st, underflow } from './unit';

const OPERATIONS = ['add', 'mul', 'sub', 'subr', 'div', 'divr'] as const;

/** a op b for an index of OPERATIONS. */
const operate = (m: Int32Array, op: number, a: number, b: number): number => {
  switch (op) {
    case 0:
      return add(m, a, b, 0);
    case 1:
      return mul(m, a, b);
    case 2:
      return add(m, a, b, SIGN);
    case 3:
      return add(m, b, a, SIGN);
    case 4:
      return div(m, a, b);
    default:
      return div(m, b, a);
  }
};

/** ST(to) = ST(to) op ST(from), then perhaps pops. */
const registers = (c: Cpu, op: number, to: number, from: number, pops: boolean): void => {
  const m = c.m32;
  const a = st(m, to);
  if (isEmpty(m, to) || isEmpty(m, from)) {
    if (!underflow(m)) return;
    putIndefinite(m, a);
    m[W.FPU_VALID] |= 1 << ((a - W.FPU_REGS) >> 2);
  } else {
    if (!signal(m, operate(m, op, a, st(m, from)))) return;
    copy(m, a, T0);
  }
  if (pops) pop(m);
};

/** ST = ST op T1; `loaded`: status bits of loading T1. */
const withMemory = (c: Cpu, op: number, loaded: number): void => {
  const m = c.m32;
  const a = st(m, 0);
  if (isEmpty(m, 0)) {
    if (!underflow(m)) return;
    putIndefinite(m, a);
    m[W.FPU_VALID] |= 1 << ((a - W.FPU_REGS) >> 2);
    return;
  }
  let flags = operate(m, op, a, T1);
  // A denormal single or double has become a normal number here; its DE counts unless the operation was invalid or divided by zero.
  if (loaded & 2 && (flags & 5) === 0 && !isNaNResult(m)) {
    flags |= 2;
    if ((m[W.FPU_CW] & 2) === 0) flags = 2;
  }
  if (signal(m, flags)) copy(m, a, T0);
};
const isNaNResult = (m: Int32Array): boolean => (m[T0 + 2] & 0x7fff) === 0x7fff && ((m[T0 + 1] & 0x7fffffff) | m[T0]) !== 0;

/** Loads T1 from memory: 'm32' 'm64' reals, 'i16' 'i32' integers. Returns status bits. */
type Source = 'm32' | 'm64' | 'i16' | 'i32';
const load = (c: Cpu, i: number, source: Source): number => {
  switch (source) {
    case 'm32':
      return fromSingle(c.m32, T1, c.read32(linR(c, i, 4)));
    case 'm64': {
      const linear = linR(c, i, 8);
      const low = c.read32(linear);
      return fromDouble(c.m32, T1, low, c.read32((linear + 4) | 0));
    }
    case 'i16':
      fromInt32(c.m32, T1, (c.read16(linR(c, i, 2)) << 16) >> 16);
      return 0;
    default:
      fromInt32(c.m32, T1, c.read32(linR(c, i, 4)));
      return 0;
  }
};
const opcodeOf = (row: Row): number => (row.op & 7) << 8;
const stackOf = (row: Row): number => (row.modrm ?? 0) & 7;

const memoryForm =
  (op: number, source: Source): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    if (source === 'm64')
      return (c, i) => {
        begin(c);
        const linear = linR(c, i, 8);
        const low = c.read32(linear);
        const loaded = fromDouble(c.m32, T1, low, c.read32((linear + 4) | 0));
        noteMemory(c, i, opcode);
        withMemory(c, op, loaded);
      };
    return (c, i) => {
      begin(c);
      const loaded = load(c, i, source);
      noteMemory(c, i, opcode);
      withMemory(c, op, loaded);
    };
  };
const registerForm =
  (op: number, toTop: boolean, pops: boolean): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const n = stackOf(row);
    const to = toTop ? 0 : n;
    const from = toTop ? n : 0;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      registers(c, op, to, from, pops);
    };
  };

/** Result of a comparison into C3 C2 C0 (C1 is cleared); pops when the comparison was allowed to finish. */
const conclude = (m: Int32Array, flags: number, pops: number): void => {
  m[W.FPU_SW] &= ~(C3 | C2 | C0);
  if (!signal(m, flags)) return;
  for (let n = 0; n < pops; n++) pop(m);
};
const compareForm = (m: Int32Array, n: number, quiet: boolean, pops: number): void => {
  conclude(m, isEmpty(m, 0) || isEmpty(m, n) ? UNORDERED | IE | SF : compare(m, st(m, 0), st(m, n), quiet), pops);
};
const compareStack =
  (quiet: boolean, pops: number): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const n = stackOf(row);
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      compareForm(c.m32, n, quiet, pops);
    };
  };
const compareMemory =
  (source: Source, pops: number): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    return (c, i) => {
      begin(c);
      const m = c.m32;
      const loaded = load(c, i, source);
      noteMemory(c, i, opcode);
      let flags = isEmpty(m, 0) ? UNORDERED | IE | SF : compare(m, st(m, 0), T1, false);
      if (loaded & 2 && (flags & IE) === 0) flags |= 2;
      conclude(m, flags, pops);
    };
  };
/** FCOMI and family: ZF PF CF take what C3 C2 C0 would; OF SF AF are cleared. */
const compareFlags =
  (quiet: boolean, pops: number): Binder =>
  (row) => {
    const opcode = opcodeOf(row);
    const n = stackOf(row);
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      const flags = isEmpty(m, 0) || isEmpty(m, n) ? UNORDERED | IE | SF : compare(m, st(m, 0), st(m, n), quiet);
      const allowed = signal(m, flags & ~UNORDERED);
      c.setStatus((flags & C0 ? 1 : 0) | (flags & C2 ? 4 : 0) | (flags & C3 ? 0x40 : 0));
      if (!allowed) return;
      for (let k = 0; k < pops; k++) pop(m);
    };
  };

const ftst: Binder = (row): Handler => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
    const m = c.m32;
    put(m, T1, 0, 0, 0);
    conclude(m, isEmpty(m, 0) ? UNORDERED | IE | SF : compare(m, st(m, 0), T1, false), 0);
  };
};

/** FXAM: C3 C2 C0 say what ST holds, C1 its sign, empty or not. */
const fxam: Binder = (row): Handler => {
  const opcode = opcodeOf(row);
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
    const m = c.m32;
    const a = st(m, 0);
    const exp = m[a + 2] & 0x7fff;
    const high = m[a + 1];
    const zero = (high | m[a]) === 0;
    let bits: number;
    if (isEmpty(m, 0)) bits = C3 | C0;
    else if (exp === 0) bits = zero ? C3 : C3 | C2;
    else if (high >= 0) bits = 0;
    else if (exp !== 0x7fff) bits = C2;
    else bits = ((high & 0x7fffffff) | m[a]) === 0 ? C2 | C0 : C0;
    m[W.FPU_SW] = (m[W.FPU_SW] & ~(C3 | C2 | C1 | C0)) | bits | (m[a + 2] & SIGN ? C1 : 0);
  };
};

const table: Record<string, Binder> = {};
OPERATIONS.forEach((name, op) => {
  table[`f${name}`] = registerForm(op, true, false);
  table[`f${name}_to`] = registerForm(op, false, false);
  table[`f${name}_to_pop`] = registerForm(op, false, true);
  table[`f${name}_m32`] = memoryForm(op, 'm32');
  table[`f${name}_m64`] = memoryForm(op, 'm64');
  table[`fi${name}_m16`] = memoryForm(op, 'i16');
  table[`fi${name}_m32`] = memoryForm(op, 'i32');
});
for (const [suffix, pops] of [
  ['', 0],
  ['p', 1],
] as const) {
  table[`fcom${suffix}`] = compareStack(false, pops);
  table[`fucom${suffix}`] = compareStack(true, pops);
  table[`fcom${suffix}_m32`] = compareMemory('m32', pops);
  table[`fcom${suffix}_m64`] = compareMemory('m64', pops);
  table[`ficom${suffix}_m16`] = compareMemory('i16', pops);
  table[`ficom${suffix}_m32`] = compareMemory('i32', pops);
  table[`fcomi${suffix}`] = compareFlags(false, pops);
  table[`fucomi${suffix}`] = compareFlags(true, pops);
}
table.fcompp = compareStack(false, 2);
table.fucompp = compareStack(true, 2);
table.ftst = ftst;
table.fxam = fxam;

export const ARITHMETIC: Binders = table;
