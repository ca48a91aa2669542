// The common x87 instructions as WebAssembly, for translated code: whole instructions on the state block, with 64-bit arithmetic.
//
// An entry does its instruction completely and returns 1, or changes nothing and returns 0 and the interpreter's handler must do it. It does the ordinary case: all
// exceptions masked, extended precision, rounding to nearest, full registers, numbers that are neither denormal nor special and whose result is not either, memory
// in the TLB and inside one page. Results and status are those of arith.ts and convert.ts bit by bit (a test compares them). What it leaves out: the rest.

import { CR0, S } from '../state';
import { J } from '../jit/layout';
import { encodeModule, FunctionBody, type FuncType, I32, I64, OP } from '../jit/wasm';

// ---- a small notation for WebAssembly expressions -----------------------------------------------------------------------------------------

type Code = (f: FunctionBody) => void;

const unary =
  (op: number) =>
  (a: Code): Code =>
  (f) => {
    a(f);
    f.op(op);
  };
const binary =
  (op: number) =>
  (a: Code, b: Code): Code =>
  (f) => {
    a(f);
    b(f);
    f.op(op);
  };
const load =
  (op: number, align: number) =>
  (a: Code, offset = 0): Code =>
  (f) => {
    a(f);
    f.mem(op, offset, align);
  };
const store =
  (op: number, align: number) =>
  (a: Code, value: Code, offset = 0): Code =>
  (f) => {
    a(f);
    value(f);
    f.mem(op, offset, align);
  };
const w = {
  c:
    (value: number): Code =>
    (f) =>
      f.i32(value),
  C:
    (value: bigint): Code =>
    (f) =>
      f.i64(value),
  add: binary(OP.i32_add),
  sub: binary(OP.i32_sub),
  and: binary(OP.i32_and),
  or: binary(OP.i32_or),
  xor: binary(OP.i32_xor),
  shl: binary(OP.i32_shl),
  shr: binary(OP.i32_shr_u),
  eq: binary(OP.i32_eq),
  ne: binary(OP.i32_ne),
  ltU: binary(OP.i32_lt_u),
  leU: binary(OP.i32_le_u),
  gtU: binary(OP.i32_gt_u),
  geU: binary(OP.i32_ge_u),
  ltS: binary(OP.i32_lt_s),
  gtS: binary(OP.i32_gt_s),
  not: unary(OP.i32_eqz),
  Add: binary(OP.i64_add),
  Sub: binary(OP.i64_sub),
  Mul: binary(OP.i64_mul),
  Div: binary(OP.i64_div_u),
  Rem: binary(OP.i64_rem_u),
  And: binary(OP.i64_and),
  Or: binary(OP.i64_or),
  Xor: binary(OP.i64_xor),
  Shl: binary(OP.i64_shl),
  Shr: binary(OP.i64_shr_u),
  Eq: binary(OP.i64_eq),
  Ne: binary(OP.i64_ne),
  LtU: binary(OP.i64_lt_u),
  LeU: binary(OP.i64_le_u),
  GtU: binary(OP.i64_gt_u),
  GeU: binary(OP.i64_ge_u),
  LtS: binary(OP.i64_lt_s),
  GeS: binary(OP.i64_ge_s),
  Not: unary(OP.i64_eqz),
  Clz: unary(OP.i64_clz),
  wrap: unary(OP.i32_wrap_i64),
  extend: unary(OP.i64_extend_i32_u),
  extendS: unary(OP.i64_extend_i32_s),
  load32: load(OP.i32_load, 0),
  load16s: load(OP.i32_load16_s, 0),
  load16: load(OP.i32_load16_u, 0),
  load64: load(OP.i64_load, 0),
  store32: store(OP.i32_store, 0),
  store16: store(OP.i32_store16, 0),
  store64: store(OP.i64_store, 0),
} as const;

/** One function under construction: locals as readable and settable names, statements in order. */
class Builder {
  readonly body: FunctionBody;
  constructor(readonly type: FuncType) {
    this.body = new FunctionBody(type.params.length);
  }
  param(n: number): Code & { index: number } {
    return this.named(n);
  }
  i32(value?: Code): Code & { index: number } {
    return this.fresh(I32, value);
  }
  i64(value?: Code): Code & { index: number } {
    return this.fresh(I64, value);
  }
  private fresh(type: number, value?: Code): Code & { index: number } {
    const local = this.named(this.body.local(type));
    if (value) this.set(local, value);
    return local;
  }
  private named(index: number): Code & { index: number } {
    return Object.assign((f: FunctionBody) => f.get(index), { index });
  }
  set(local: { index: number }, value: Code): void {
    value(this.body);
    this.body.set(local.index);
  }
  do(code: Code): void {
    code(this.body);
  }
  if(condition: Code, then: () => void, otherwise?: () => void): void {
    condition(this.body);
    this.body.block(OP.if);
    then();
    if (otherwise) {
      this.body.op(OP.else);
      otherwise();
    }
    this.body.op(OP.end);
  }
  return(value: Code): void {
    value(this.body);
    this.body.op(OP.return);
  }
  /** Calls an internal function and leaves its result on the stack. */
  call(index: number, ...args: Code[]): Code {
    return (f) => {
      for (const arg of args) arg(f);
      f.call(index);
    };
  }
  /** Ends with a result; the body's bytes. */
  end(value: Code): Uint8Array {
    value(this.body);
    return this.body.encode();
  }
}

const { c, C } = w;
const MIN = C(-0x8000000000000000n);
const SIGN = 0x8000;
const PE = 0x20;
const ROUNDED_UP = 0x220;
const CONDITIONS = 0x4500;
/** Working slot of a memory operand, as a byte offset. */
const OPERAND = S.FPU_TEMP + 16;

/** Exponent field of a sign-and-exponent word is that of a normal number. */
const normal = (signExp: Code): Code => w.ltU(w.sub(w.and(signExp, c(0x7fff)), c(1)), c(0x7ffe));

// ---- arithmetic on slots: (destination, a, b...) as byte offsets; status bits, or -1 and nothing written -------------------------------------

/** Index of internal functions in the module. */
const INTERNAL = { ADD: 0, MUL: 1, DIV: 2, SQRT: 3, COMPARE: 4 } as const;

const slots = (count: number): FuncType => ({ params: Array.from({ length: count }, () => I32), results: [I32] });

/** Rounds mantissa `m` with 64 bits `x` below it, and stores; ends the function. */
const finish = (f: Builder, d: Code, sign: Code, e: Code & { index: number }, m: Code & { index: number }, x: Code): Uint8Array => {
  const flags = f.i32(c(0));
  f.if(w.Ne(x, C(0n)), () => {
    f.set(flags, c(PE));
    f.if(w.and(w.LtS(x, C(0n)), w.or(w.Ne(x, MIN), w.wrap(w.And(m, C(1n))))), () => {
      f.set(flags, c(ROUNDED_UP));
      f.set(m, w.Add(m, C(1n)));
      f.if(w.Not(m), () => {
        f.set(m, MIN);
        f.set(e, w.add(e, c(1)));
      });
    });
  });
  f.if(w.geU(w.sub(e, c(1)), c(0x7ffe)), () => f.return(c(-1)));
  f.do(w.store64(d, m));
  f.do(w.store32(d, w.or(w.and(sign, c(SIGN)), e), 8));
  return f.end(flags);
};

/** a + b, the sign of b flipped by `flip`. */
const addFunction = (): Uint8Array => {
  const f = new Builder(slots(4));
  const [d, a, b, flip] = [0, 1, 2, 3].map((n) => f.param(n));
  const sa = f.i32(w.load32(a, 8));
  const sb = f.i32(w.xor(w.load32(b, 8), flip));
  const ma = f.i64(w.load64(a));
  const mb = f.i64(w.load64(b));
  f.if(w.not(w.and(w.and(normal(sa), normal(sb)), w.LtS(w.And(ma, mb), C(0n)))), () => {
    // A zero and an ordinary number: the number.
    const result = (m: Code, s: Code): void => {
      f.do(w.store64(d, m));
      f.do(w.store32(d, s, 8));
      f.return(c(0));
    };
    const isZero = (m: Code, s: Code): Code => w.and(w.Not(m), w.not(w.and(s, c(0x7fff))));
    f.if(w.and(isZero(mb, sb), w.and(normal(sa), w.LtS(ma, C(0n)))), () => result(ma, sa));
    f.if(w.and(isZero(ma, sa), w.and(normal(sb), w.LtS(mb, C(0n)))), () => result(mb, sb));
    f.return(c(-1));
  });
  const e = f.i32(w.and(sa, c(0x7fff)));
  const eb = f.i32(w.and(sb, c(0x7fff)));
  // The larger first.
  f.if(w.or(w.ltU(e, eb), w.and(w.eq(e, eb), w.LtU(ma, mb))), () => {
    const t = f.i64(ma);
    f.set(ma, mb);
    f.set(mb, t);
    const u = f.i32(e);
    f.set(e, eb);
    f.set(eb, u);
    f.set(u, sa);
    f.set(sa, sb);
    f.set(sb, u);
  });
  const distance = f.i64(w.extend(w.sub(e, eb)));
  const x = f.i64(C(0n));
  f.if(w.Ne(distance, C(0n)), () => {
    f.if(
      w.LtU(distance, C(64n)),
      () => {
        f.set(x, w.Shl(mb, w.Sub(C(64n), distance)));
        f.set(mb, w.Shr(mb, distance));
      },
      () => {
        f.if(
          w.LtU(distance, C(128n)),
          () => {
            // Shift counts are taken modulo 64: at 64 the whole mantissa is below.
            f.set(x, w.Or(w.Shr(mb, distance), w.extend(w.and(w.Ne(distance, C(64n)), w.Ne(w.Shl(mb, w.Sub(C(128n), distance)), C(0n))))));
          },
          () => f.set(x, C(1n)),
        );
        f.set(mb, C(0n));
      },
    );
  });
  const m = f.i64();
  f.if(
    w.not(w.and(w.xor(sa, sb), c(SIGN))),
    () => {
      f.set(m, w.Add(ma, mb));
      f.if(w.LtU(m, ma), () => {
        f.set(x, w.Or(w.Shl(m, C(63n)), w.Or(w.Shr(x, C(1n)), w.And(x, C(1n)))));
        f.set(m, w.Or(w.Shr(m, C(1n)), MIN));
        f.set(e, w.add(e, c(1)));
      });
    },
    () => {
      f.set(m, w.Sub(w.Sub(ma, mb), w.extend(w.Ne(x, C(0n)))));
      f.set(x, w.Sub(C(0n), x));
      f.if(w.GeS(m, C(0n)), () => {
        f.if(w.Not(m), () => {
          f.if(w.Not(x), () => {
            f.do(w.store64(d, C(0n)));
            f.do(w.store32(d, c(0), 8));
            f.return(c(0));
          });
          f.set(m, x);
          f.set(x, C(0n));
          f.set(e, w.sub(e, c(64)));
        });
        const n = f.i64(w.Clz(m));
        f.if(w.Ne(n, C(0n)), () => {
          f.set(m, w.Or(w.Shl(m, n), w.Shr(x, w.Sub(C(64n), n))));
          f.set(x, w.Shl(x, n));
          f.set(e, w.sub(e, w.wrap(n)));
        });
      });
    },
  );
  return finish(f, d, sa, e, m, x);
};

/** Ends with a zero of the product's sign when one operand is zero and the other a zero or an ordinary number; else with -1. */
const zeroOrNothing = (f: Builder, d: Code, sa: Code, sb: Code, ma: Code, mb: Code, divides: boolean): void => {
  const zero = (s: Code, m: Code): Code => w.and(w.Not(m), w.not(w.and(s, c(0x7fff))));
  const ordinary = (s: Code, m: Code): Code => w.and(normal(s), w.LtS(m, C(0n)));
  const allowed = divides
    ? w.and(zero(sa, ma), ordinary(sb, mb))
    : w.or(w.and(zero(sa, ma), w.or(zero(sb, mb), ordinary(sb, mb))), w.and(zero(sb, mb), ordinary(sa, ma)));
  f.if(allowed, () => {
    f.do(w.store64(d, C(0n)));
    f.do(w.store32(d, w.and(w.xor(sa, sb), c(SIGN)), 8));
    f.return(c(0));
  });
  f.return(c(-1));
};

/** Both operands of mul and div, checked. */
const operands = (f: Builder, divides: boolean) => {
  const [d, a, b] = [0, 1, 2].map((n) => f.param(n));
  const sa = f.i32(w.load32(a, 8));
  const sb = f.i32(w.load32(b, 8));
  const ma = f.i64(w.load64(a));
  const mb = f.i64(w.load64(b));
  f.if(w.not(w.and(w.and(normal(sa), normal(sb)), w.LtS(w.And(ma, mb), C(0n)))), () => zeroOrNothing(f, d, sa, sb, ma, mb, divides));
  return { d, sa, sb, ma, mb };
};
const LOW = C(0xffffffffn);
const low = (x: Code): Code => w.And(x, LOW);
const high = (x: Code): Code => w.Shr(x, C(32n));

const mulFunction = (): Uint8Array => {
  const f = new Builder(slots(3));
  const { d, sa, sb, ma, mb } = operands(f, false);
  const al = f.i64(low(ma));
  const ah = f.i64(high(ma));
  const bl = f.i64(low(mb));
  const bh = f.i64(high(mb));
  const p = f.i64(w.Mul(al, bl));
  const q = f.i64(w.Add(w.Mul(al, bh), high(p)));
  const r = f.i64(w.Add(w.Mul(ah, bl), low(q)));
  const m = f.i64(w.Add(w.Add(w.Mul(ah, bh), high(q)), high(r)));
  const x = f.i64(w.Or(w.Shl(r, C(32n)), low(p)));
  const e = f.i32(w.sub(w.add(w.and(sa, c(0x7fff)), w.and(sb, c(0x7fff))), c(0x3ffe)));
  f.if(w.GeS(m, C(0n)), () => {
    f.set(m, w.Or(w.Shl(m, C(1n)), w.Shr(x, C(63n))));
    f.set(x, w.Shl(x, C(1n)));
    f.set(e, w.sub(e, c(1)));
  });
  return finish(f, d, w.xor(sa, sb), e, m, x);
};

const divFunction = (): Uint8Array => {
  const f = new Builder(slots(3));
  const { d, sa, sb, ma, mb } = operands(f, true);
  const e = f.i32(w.add(w.sub(w.and(sa, c(0x7fff)), w.and(sb, c(0x7fff))), c(0x3fff)));
  const bh = f.i64(high(mb));
  const bl = f.i64(low(mb));
  const one = f.i32(w.GeU(ma, mb));
  const r = f.i64(ma);
  f.if(
    one,
    () => f.set(r, w.Sub(r, mb)),
    () => f.set(e, w.sub(e, c(1))),
  );
  /** One digit of 32 bits: r * 2^32 = q * b + rest; r becomes the rest. Knuth's algorithm D, two words by two. */
  const digit = (): Code & { index: number } => {
    const q = f.i64(w.Div(r, bh));
    const rest = f.i64(w.Sub(r, w.Mul(q, bh)));
    const tooMuch = w.or(w.GtU(q, LOW), w.GtU(w.Mul(q, bl), w.Shl(rest, C(32n))));
    // At most twice; the comparison is only right while the rest has 32 bits.
    const correct = (again: () => void): void =>
      f.if(tooMuch, () => {
        f.set(q, w.Sub(q, C(1n)));
        f.set(rest, w.Add(rest, bh));
        f.if(w.LeU(rest, LOW), again);
      });
    correct(() => correct(() => {}));
    f.set(r, w.Sub(w.Shl(r, C(32n)), w.Mul(q, mb)));
    return q;
  };
  const q1 = digit();
  const q0 = digit();
  const m = f.i64(w.Or(w.Shl(q1, C(32n)), q0));
  const x = f.i64();
  f.if(
    one,
    () => {
      f.set(x, w.Or(w.Shl(m, C(63n)), w.extend(w.Ne(r, C(0n)))));
      f.set(m, w.Or(w.Shr(m, C(1n)), MIN));
    },
    () => {
      // Twice the rest against b: half, below or above.
      f.if(
        w.Not(r),
        () => f.set(x, C(0n)),
        () => {
          f.set(x, C(1n));
          f.if(w.or(w.LtS(r, C(0n)), w.GeU(w.Shl(r, C(1n)), mb)), () => {
            f.set(x, w.Or(MIN, w.extend(w.or(w.LtS(r, C(0n)), w.Ne(w.Shl(r, C(1n)), mb)))));
          });
        },
      );
    },
  );
  return finish(f, d, w.xor(sa, sb), e, m, x);
};

/** Opcodes that nothing else needs. */
const OP_F64_CONVERT_I64_U = 0xba;
const OP_F64_SQRT = 0x9f;
const OP_I64_TRUNC_F64_U = 0xb1;

/** Square root of a positive number: 32 bits from a double's root, the other 32 by division, both corrected. */
const sqrtFunction = (): Uint8Array => {
  const f = new Builder(slots(2));
  const [d, a] = [0, 1].map((n) => f.param(n));
  const sa = f.i32(w.load32(a, 8));
  const ma = f.i64(w.load64(a));
  f.if(w.not(w.and(w.and(normal(sa), w.not(w.and(sa, c(SIGN)))), w.LtS(ma, C(0n)))), () => f.return(c(-1)));
  // The radicand as 128 bits n:next:0 with an even exponent; next is a word.
  const odd = f.i32(w.not(w.and(sa, c(1))));
  const n = f.i64(ma);
  const next = f.i64(C(0n));
  f.if(w.not(odd), () => {
    f.set(next, w.Shl(w.And(n, C(1n)), C(31n)));
    f.set(n, w.Shr(n, C(1n)));
  });
  const e = f.i32(w.sub(w.shr(w.add(sa, w.add(c(0x3fff), odd)), c(1)), odd));
  const s = f.i64((g) => {
    n(g);
    g.op(OP_F64_CONVERT_I64_U);
    g.op(OP_F64_SQRT);
    g.op(OP_I64_TRUNC_F64_U);
  });
  f.if(w.GtU(s, LOW), () => f.set(s, LOW));
  f.if(w.GtU(w.Mul(s, s), n), () => f.set(s, w.Sub(s, C(1n))));
  const r = f.i64(w.Sub(n, w.Mul(s, s)));
  f.if(w.GtU(r, w.Shl(s, C(1n))), () => {
    f.set(r, w.Sub(r, w.Add(w.Shl(s, C(1n)), C(1n))));
    f.set(s, w.Add(s, C(1n)));
  });
  // (r * 2^32 + next) / (2 s)
  const t = f.i64(w.Or(w.Shl(r, C(31n)), w.Shr(next, C(1n))));
  const q = f.i64(w.Div(t, s));
  const u = f.i64(w.Add(w.Shl(w.Sub(t, w.Mul(q, s)), C(1n)), w.And(next, C(1n))));
  f.if(w.GtU(q, LOW), () => {
    f.set(q, LOW);
    f.set(u, w.Add(u, w.Shl(s, C(1n))));
  });
  // What remains is u * 2^32 - q^2; negative: the root is one less.
  const square = f.i64(w.Mul(q, q));
  const m = f.i64(w.Add(w.Shl(s, C(32n)), q));
  const x = f.i64(C(1n));
  f.if(
    w.and(w.LeU(u, LOW), w.LtU(w.Shl(u, C(32n)), square)),
    () => {
      // -T with 0 < T < 2^64. The root is one less, and T then decides: more than half a unit was lost when T <= root.
      const lost = f.i64(w.Sub(square, w.Shl(u, C(32n))));
      f.set(m, w.Sub(m, C(1n)));
      f.if(w.LeU(lost, m), () => f.set(x, w.Or(MIN, C(1n))));
    },
    () => {
      f.if(
        w.and(w.Eq(w.Shl(u, C(32n)), square), w.LeU(u, LOW)),
        () => f.set(x, C(0n)),
        () => {
          // u * 2^32 - q^2 > s * 2^32 + q
          f.if(w.GtU(u, s), () => {
            const difference = f.i64(w.Sub(u, s));
            f.if(w.or(w.GtU(difference, LOW), w.GtU(w.Shl(difference, C(32n)), w.Add(q, square))), () => f.set(x, w.Or(MIN, C(1n))));
          });
        },
      );
    },
  );
  return finish(f, d, c(0), e, m, x);
};

/** Compares two slots: C3 equal, C0 a < b; -1 when one is no ordinary number nor zero. */
const compareFunction = (): Uint8Array => {
  const f = new Builder(slots(2));
  const [a, b] = [0, 1].map((n) => f.param(n));
  const sa = f.i32(w.load32(a, 8));
  const sb = f.i32(w.load32(b, 8));
  const ma = f.i64(w.load64(a));
  const mb = f.i64(w.load64(b));
  const fine = (s: Code, m: Code): Code => w.or(w.and(normal(s), w.LtS(m, C(0n))), w.and(w.Not(m), w.not(w.and(s, c(0x7fff)))));
  f.if(w.not(w.and(fine(sa, ma), fine(sb, mb))), () => f.return(c(-1)));
  f.if(w.Not(w.Or(ma, mb)), () => f.return(c(0x4000)));
  f.if(w.and(w.xor(sa, sb), c(SIGN)), () => f.return(w.shr(w.and(sa, c(SIGN)), c(7))));
  // Same sign; a zero has exponent 0.
  f.if(w.and(w.eq(sa, sb), w.Eq(ma, mb)), () => f.return(c(0x4000)));
  const less = w.or(w.ltU(sa, sb), w.and(w.eq(sa, sb), w.LtU(ma, mb)));
  return f.end(w.shl(w.xor(less, w.shr(sa, c(15))), c(8)));
};

// ---- instructions --------------------------------------------------------------------------------------------------------------------------

const at = (offset: number): Code => w.load32(c(0), offset);

/** Parameters of an entry on registers: n of ST(n), EIP, opcode (FOP). Of one with a memory operand: linear address (= offset), TLB table, EIP, FOP | segment << 16. */
const REGISTER: FuncType = { params: [I32, I32, I32], results: [I32] };
const MEMORY: FuncType = { params: [I32, I32, I32, I32], results: [I32] };

/** Start of an entry: returns 0 unless the ordinary case holds; leaves the status word in a local. */
const guard = (f: Builder, rounding = true): Code & { index: number } => {
  const sw = f.i32(at(S.FPU_SW));
  // All exceptions masked; extended precision and to nearest where that matters.
  const cw = rounding ? w.ne(w.and(at(S.FPU_CW), c(0xf3f)), c(0x33f)) : w.ne(w.and(at(S.FPU_CW), c(0x3f)), c(0x3f));
  f.if(w.or(cw, w.or(w.and(at(S.CR0), c(CR0.EM | CR0.TS)), w.and(sw, c(0x80)))), () => f.return(c(0)));
  return sw;
};
/** Physical number of ST(n), and its slot. */
const physical = (sw: Code, n: Code): Code => w.and(w.add(w.shr(sw, c(11)), n), c(7));
const slotOf = (p: Code): Code => w.add(w.shl(p, c(4)), c(S.FPU_REGS));
/** 1 when physical register p is filled. */
const filled = (p: Code): Code => w.and(w.shr(at(S.FPU_VALID), p), c(1));
const note = (f: Builder, eip: Code, fop: Code): void => {
  f.do(w.store32(c(0), eip, S.FPU_FIP));
  f.do(w.store32(c(0), at(S.SELECTOR + 4), S.FPU_FCS));
  f.do(w.store32(c(0), fop, S.FPU_FOP));
};
const noteMemory = (f: Builder, linear: Code, eip: Code, info: Code): void => {
  note(f, eip, w.and(info, c(0x7ff)));
  f.do(w.store32(c(0), linear, S.FPU_FDP));
  f.do(w.store32(c(0), w.load32(w.shl(w.shr(info, c(16)), c(2)), S.SELECTOR), S.FPU_FDS));
};
const setStatus = (f: Builder, sw: Code, flags: Code): void => f.do(w.store32(c(0), w.or(w.and(sw, c(~0x200)), flags), S.FPU_SW));
/** Empties ST(0), whose physical number is p, and moves TOP on; sw is the status word to start from. */
const popStack = (f: Builder, sw: Code, p: Code): void => {
  f.do(w.store32(c(0), w.and(at(S.FPU_VALID), w.xor(w.shl(c(1), p), c(-1))), S.FPU_VALID));
  f.do(w.store32(c(0), w.or(w.and(sw, c(~0x3800)), w.and(w.add(sw, c(0x800)), c(0x3800))), S.FPU_SW));
};

/** Index into the linear memory of the operand, by the TLB; returns 0 from the entry when it is not one plain piece of memory. */
const operand = (f: Builder, bytes: number): Code & { index: number } => {
  const linear = f.param(0);
  const entry = f.i32(w.load32(w.add(f.param(1), w.shl(w.shr(linear, c(12)), c(2)))));
  f.if(w.or(w.and(entry, c(1)), w.gtU(w.and(linear, c(0xfff)), c(4096 - bytes))), () => f.return(c(0)));
  return f.i32(w.add(linear, entry));
};

/** Writes a number to a slot. */
const putSlot = (f: Builder, slot: Code, signExp: Code, m: Code): void => {
  f.do(w.store64(slot, m));
  f.do(w.store32(slot, signExp, 8));
};
type Format = 'm32' | 'm64' | 'm80' | 'i16' | 'i32' | 'i64';
const BYTES: Record<Format, number> = { m32: 4, m64: 8, m80: 10, i16: 2, i32: 4, i64: 8 };
/** Converts the operand at `address` to mantissa and sign-exponent locals; returns 0 from the entry for denormals and special reals. */
const fetch = (f: Builder, address: Code, format: Format) => {
  const m = f.i64();
  const s = f.i32();
  if (format === 'm80') {
    f.set(m, w.load64(address));
    f.set(s, w.load16(address, 8));
  } else if (format === 'm32' || format === 'm64') {
    const wide = format === 'm64';
    const v = f.i64(wide ? w.load64(address) : w.extend(w.load32(address)));
    const e = f.i32(w.and(w.wrap(w.Shr(v, C(wide ? 52n : 23n))), c(wide ? 0x7ff : 0xff)));
    const sign = w.and(w.wrap(w.Shr(v, C(wide ? 48n : 16n))), c(SIGN));
    f.if(
      w.ltU(w.sub(e, c(1)), c(wide ? 0x7fe : 0xfe)),
      () => {
        f.set(m, w.Or(w.Shl(v, C(wide ? 11n : 40n)), MIN));
        f.set(s, w.or(sign, w.add(e, c(wide ? 15360 : 16256))));
      },
      () => {
        f.if(w.Ne(w.Shl(v, C(wide ? 1n : 33n)), C(0n)), () => f.return(c(0)));
        f.set(s, sign);
      },
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
  return { m, s };
};

/** FLD, FILD. */
const loadEntry = (format: Format): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(7)));
  f.if(filled(p), () => f.return(c(0)));
  const { m, s } = fetch(f, operand(f, BYTES[format]), format);
  putSlot(f, slotOf(p), s, m);
  f.do(w.store32(c(0), w.or(at(S.FPU_VALID), w.shl(c(1), p)), S.FPU_VALID));
  f.do(w.store32(c(0), w.or(w.and(sw, c(~0x3a00)), w.shl(p, c(11))), S.FPU_SW));
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};

/** Operations in the order of the opcode map: add mul com comp sub subr div divr. */
const OPERATIONS = { add: 0, mul: 1, sub: 4, subr: 5, div: 6, divr: 7 } as const;
type Operation = keyof typeof OPERATIONS;
/** d = a op b. */
const operate = (f: Builder, op: Operation, d: Code, a: Code, b: Code): Code => {
  if (op === 'add') return f.call(INTERNAL.ADD, d, a, b, c(0));
  if (op === 'sub') return f.call(INTERNAL.ADD, d, a, b, c(SIGN));
  if (op === 'subr') return f.call(INTERNAL.ADD, d, b, a, c(SIGN));
  if (op === 'mul') return f.call(INTERNAL.MUL, d, a, b);
  return op === 'div' ? f.call(INTERNAL.DIV, d, a, b) : f.call(INTERNAL.DIV, d, b, a);
};

const arithmeticMemory = (op: Operation, format: Format): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const { m, s } = fetch(f, operand(f, BYTES[format]), format);
  putSlot(f, c(OPERAND), s, m);
  const a = f.i32(slotOf(p));
  const flags = f.i32(operate(f, op, a, a, c(OPERAND)));
  f.if(w.ltS(flags, c(0)), () => f.return(c(0)));
  setStatus(f, sw, flags);
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};
/** Forms on two registers: ST = ST op ST(n), or ST(n) = ST(n) op ST with or without a pop. */
const arithmeticRegisters = (op: Operation, toTop: boolean, pops: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f);
  const p = f.i32(physical(sw, c(0)));
  const q = f.i32(physical(sw, f.param(0)));
  f.if(w.not(w.and(filled(p), filled(q))), () => f.return(c(0)));
  const top = f.i32(slotOf(p));
  const other = f.i32(slotOf(q));
  const flags = f.i32(toTop ? operate(f, op, top, top, other) : operate(f, op, other, other, top));
  f.if(w.ltS(flags, c(0)), () => f.return(c(0)));
  if (pops) {
    f.set(sw, w.or(w.and(sw, c(~0x200)), flags));
    popStack(f, sw, p);
  } else setStatus(f, sw, flags);
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};

const squareRoot = (): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  const flags = f.i32(f.call(INTERNAL.SQRT, a, a));
  f.if(w.ltS(flags, c(0)), () => f.return(c(0)));
  setStatus(f, sw, flags);
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
/** FCHS (flips) and FABS (clears). */
const signEntry = (flips: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  f.do(w.store32(a, flips ? w.xor(w.load32(a, 8), c(SIGN)) : w.and(w.load32(a, 8), c(0x7fff)), 8));
  setStatus(f, sw, c(0));
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};

/** Compares ST with ST(n), or with memory; `to`: the condition bits C3 and C0, or EFLAGS (ordinary numbers are never unordered). */
const concludeComparison = (f: Builder, sw: Code & { index: number }, p: Code, order: Code, to: 'status' | 'flags', pops: number): void => {
  f.if(w.ltS(order, c(0)), () => f.return(c(0)));
  if (to === 'status') f.set(sw, w.or(w.and(sw, c(~(CONDITIONS | 0x200))), order));
  else {
    f.set(sw, w.and(sw, c(~0x200)));
    // ZF from C3, CF from C0, the others clear, in the form of flags.ts: a result of zero has even parity, so bit 8 of the aux word turns PF over.
    const equal = w.and(order, c(0x4000));
    const carry = w.and(order, c(0x100));
    f.do(w.store32(c(0), w.not(equal), S.FLAG_RESULT));
    f.do(w.store32(c(0), w.or(w.or(w.shl(carry, c(23)), w.shl(carry, c(22))), w.shr(equal, c(6))), S.FLAG_AUX));
    f.do(w.store32(c(0), c(0), J.FLAG_KIND));
  }
  if (pops === 0) f.do(w.store32(c(0), sw, S.FPU_SW));
  else popStack(f, sw, p);
  if (pops === 2) {
    f.set(sw, at(S.FPU_SW));
    popStack(f, sw, physical(sw, c(0)));
  }
};
const compareRegisters = (to: 'status' | 'flags', pops: number): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  const q = f.i32(physical(sw, f.param(0)));
  f.if(w.not(w.and(filled(p), filled(q))), () => f.return(c(0)));
  const order = f.i32(f.call(INTERNAL.COMPARE, slotOf(p), slotOf(q)));
  concludeComparison(f, sw, p, order, to, pops);
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
const compareMemory = (format: Format, pops: number): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const { m, s } = fetch(f, operand(f, BYTES[format]), format);
  putSlot(f, c(OPERAND), s, m);
  const order = f.i32(f.call(INTERNAL.COMPARE, slotOf(p), c(OPERAND)));
  concludeComparison(f, sw, p, order, 'status', pops);
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};

/** FST, FSTP to a single or double: ordinary numbers and zeros whose result is one too. */
const storeReal = (single: boolean, pops: boolean): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  const s = f.i32(w.load32(a, 8));
  const m = f.i64(w.load64(a));
  const address = operand(f, single ? 4 : 8);
  const flags = f.i32(c(0));
  const v = f.i64();
  const e = f.i32(w.sub(w.and(s, c(0x7fff)), c(single ? 16256 : 15360)));
  // The largest exponent is left out: rounding could overflow.
  f.if(
    w.and(w.ltU(w.sub(e, c(1)), c(single ? 0xfd : 0x7fd)), w.LtS(m, C(0n))),
    () => {
      const bits = single ? 40n : 11n;
      const fraction = (1n << (63n - bits)) - 1n;
      const cut = f.i64(w.And(m, C((1n << bits) - 1n)));
      f.set(v, w.Or(w.And(w.Shr(m, C(bits)), C(fraction)), w.Shl(w.extend(e), C(63n - bits))));
      f.if(w.Ne(cut, C(0n)), () => {
        f.set(flags, c(PE));
        const half = C(1n << (bits - 1n));
        f.if(w.or(w.GtU(cut, half), w.and(w.Eq(cut, half), w.wrap(w.And(v, C(1n))))), () => {
          f.set(flags, c(ROUNDED_UP));
          f.set(v, w.Add(v, C(1n)));
        });
      });
    },
    () => f.if(w.or(w.Ne(m, C(0n)), w.and(s, c(0x7fff))), () => f.return(c(0))),
  );
  f.set(v, w.Or(v, w.Shl(w.extend(w.and(s, c(SIGN))), C(single ? 16n : 48n))));
  f.do(single ? w.store32(address, w.wrap(v)) : w.store64(address, v));
  if (pops) {
    f.set(sw, w.or(w.and(sw, c(~0x200)), flags));
    popStack(f, sw, p);
  } else setStatus(f, sw, flags);
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};
/** FIST, FISTP of ordinary numbers that fit, rounding to nearest or (as C casts do) towards zero. */
const storeInteger = (bytes: 2 | 4 | 8, pops: boolean): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f, false);
  const mode = f.i32(w.and(at(S.FPU_CW), c(0xc00)));
  f.if(w.and(w.ne(mode, c(0)), w.ne(mode, c(0xc00))), () => f.return(c(0)));
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  const s = f.i32(w.load32(a, 8));
  const m = f.i64(w.load64(a));
  const address = operand(f, bytes);
  const flags = f.i32(c(0));
  const v = f.i64();
  const e = f.i32(w.and(s, c(0x7fff)));
  f.if(
    w.and(normal(s), w.LtS(m, C(0n))),
    () => {
      // From 0.5 up to the largest that fits.
      f.if(w.geU(w.sub(e, c(16383 - 1)), c(8 * bytes)), () => f.return(c(0)));
      // Bits left of the point; below 1 none.
      const keep = f.i64(w.extend(w.sub(e, c(16383 - 1))));
      const cut = f.i64(w.Shl(m, keep));
      f.if(w.Ne(keep, C(0n)), () => f.set(v, w.Shr(m, w.Sub(C(64n), keep))));
      f.if(w.Ne(cut, C(0n)), () => {
        f.set(flags, c(PE));
        f.if(w.and(w.not(mode), w.and(w.LtS(cut, C(0n)), w.or(w.Ne(cut, MIN), w.wrap(w.And(v, C(1n)))))), () => {
          f.set(flags, c(ROUNDED_UP));
          f.set(v, w.Add(v, C(1n)));
        });
      });
      // 2^(bits - 1) may have come up.
      f.if(w.Ne(w.Shr(v, C(BigInt(8 * bytes - 1))), C(0n)), () => f.return(c(0)));
      f.if(w.and(s, c(SIGN)), () => f.set(v, w.Sub(C(0n), v)));
    },
    () => f.if(w.or(w.Ne(m, C(0n)), e), () => f.return(c(0))),
  );
  f.do(bytes === 8 ? w.store64(address, v) : bytes === 4 ? w.store32(address, w.wrap(v)) : w.store16(address, w.wrap(v)));
  if (pops) {
    f.set(sw, w.or(w.and(sw, c(~0x200)), flags));
    popStack(f, sw, p);
  } else setStatus(f, sw, flags);
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};
const storeExtended = (): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  const address = operand(f, 10);
  f.do(w.store64(address, w.load64(a)));
  f.do(w.store16(address, w.load32(a, 8), 8));
  f.set(sw, w.and(sw, c(~0x200)));
  popStack(f, sw, p);
  noteMemory(f, f.param(0), f.param(2), f.param(3));
  return f.end(c(1));
};

/** FLD ST(n), and constants (`constant`: exponent and mantissa). */
const pushEntry = (constant?: { signExp: number; mantissa: bigint }): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(7)));
  f.if(filled(p), () => f.return(c(0)));
  if (constant) putSlot(f, slotOf(p), c(constant.signExp), C(constant.mantissa));
  else {
    const q = f.i32(physical(sw, f.param(0)));
    f.if(w.not(filled(q)), () => f.return(c(0)));
    const from = f.i32(slotOf(q));
    putSlot(f, slotOf(p), w.load32(from, 8), w.load64(from));
  }
  f.do(w.store32(c(0), w.or(at(S.FPU_VALID), w.shl(c(1), p)), S.FPU_VALID));
  f.do(w.store32(c(0), w.or(w.and(sw, c(~0x3a00)), w.shl(p, c(11))), S.FPU_SW));
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
const exchange = (): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  const q = f.i32(physical(sw, f.param(0)));
  f.if(w.not(w.and(filled(p), filled(q))), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  const b = f.i32(slotOf(q));
  const m = f.i64(w.load64(a));
  const s = f.i32(w.load32(a, 8));
  putSlot(f, a, w.load32(b, 8), w.load64(b));
  putSlot(f, b, s, m);
  setStatus(f, sw, c(0));
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
/** FST ST(n), FSTP ST(n). */
const storeRegister = (pops: boolean): Uint8Array => {
  const f = new Builder(REGISTER);
  const sw = guard(f, false);
  const p = f.i32(physical(sw, c(0)));
  const q = f.i32(physical(sw, f.param(0)));
  f.if(w.not(filled(p)), () => f.return(c(0)));
  const a = f.i32(slotOf(p));
  putSlot(f, slotOf(q), w.load32(a, 8), w.load64(a));
  f.do(w.store32(c(0), w.or(at(S.FPU_VALID), w.shl(c(1), q)), S.FPU_VALID));
  if (pops) {
    f.set(sw, w.and(sw, c(~0x200)));
    popStack(f, sw, p);
  } else setStatus(f, sw, c(0));
  note(f, f.param(1), f.param(2));
  return f.end(c(1));
};
/** FLDCW that unmasks nothing pending, and FNSTCW. */
const loadControl = (): Uint8Array => {
  const f = new Builder(MEMORY);
  const sw = guard(f, false);
  const value = f.i32(w.or(w.and(w.load16(operand(f, 2)), c(0x1f3f)), c(0x40)));
  f.if(w.and(w.and(sw, c(0x3f)), w.xor(value, c(-1))), () => f.return(c(0)));
  f.do(w.store32(c(0), value, S.FPU_CW));
  return f.end(c(1));
};
const storeControl = (): Uint8Array => {
  const f = new Builder(MEMORY);
  guard(f, false);
  f.do(w.store16(operand(f, 2), at(S.FPU_CW)));
  return f.end(c(1));
};

/** Row names (opcodes.ts) that have an entry, with what the entry takes. `writes`: the TLB table for writing is wanted. */
interface Entry {
  readonly memory: boolean;
  readonly writes: boolean;
  readonly body: () => Uint8Array;
}
const register = (body: () => Uint8Array): Entry => ({ memory: false, writes: false, body });
const reads = (body: () => Uint8Array): Entry => ({ memory: true, writes: false, body });
const writes = (body: () => Uint8Array): Entry => ({ memory: true, writes: true, body });

const ENTRIES: Record<string, Entry> = {
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
  fld: register(() => pushEntry()),
  fld1: register(() => pushEntry({ signExp: 0x3fff, mantissa: -0x8000000000000000n })),
  fldz: register(() => pushEntry({ signExp: 0, mantissa: 0n })),
  fxch: register(exchange),
  fst: register(() => storeRegister(false)),
  fstp: register(() => storeRegister(true)),
  fchs: register(() => signEntry(true)),
  fabs: register(() => signEntry(false)),
  fsqrt: register(squareRoot),
  fcom: register(() => compareRegisters('status', 0)),
  fcomp: register(() => compareRegisters('status', 1)),
  fcompp: register(() => compareRegisters('status', 2)),
  fucom: register(() => compareRegisters('status', 0)),
  fucomp: register(() => compareRegisters('status', 1)),
  fucompp: register(() => compareRegisters('status', 2)),
  fcomi: register(() => compareRegisters('flags', 0)),
  fcomip: register(() => compareRegisters('flags', 1)),
  fucomi: register(() => compareRegisters('flags', 0)),
  fucomip: register(() => compareRegisters('flags', 1)),
};
for (const op of Object.keys(OPERATIONS) as Operation[]) {
  ENTRIES[`f${op}`] = register(() => arithmeticRegisters(op, true, false));
  ENTRIES[`f${op}_to`] = register(() => arithmeticRegisters(op, false, false));
  ENTRIES[`f${op}_to_pop`] = register(() => arithmeticRegisters(op, false, true));
  ENTRIES[`f${op}_m32`] = reads(() => arithmeticMemory(op, 'm32'));
  ENTRIES[`f${op}_m64`] = reads(() => arithmeticMemory(op, 'm64'));
  ENTRIES[`fi${op}_m16`] = reads(() => arithmeticMemory(op, 'i16'));
  ENTRIES[`fi${op}_m32`] = reads(() => arithmeticMemory(op, 'i32'));
}

/** What translated code must know to call an entry. */
export interface KernelEntry {
  readonly name: string;
  readonly type: FuncType;
  readonly memory: boolean;
  readonly writes: boolean;
}
/** The entries, in the order of their exports; an entry does everything for the row of the same name. Row "fstp" of opcode D9 is not covered (see moves.ts). */
export const KERNEL: readonly KernelEntry[] = Object.entries(ENTRIES).map(([name, { memory, writes: w }]) => ({
  name,
  type: memory ? MEMORY : REGISTER,
  memory,
  writes: w,
}));

/** Compiles the kernel for one machine's memory: its functions by row name. */
export const createKernel = (memory: WebAssembly.Memory): Record<string, (...args: number[]) => number> => {
  const internal = [addFunction(), mulFunction(), divFunction(), sqrtFunction(), compareFunction()];
  const types = [slots(4), slots(3), slots(2), REGISTER, MEMORY];
  const functions = [
    ...internal.map((body, n) => ({ type: [0, 1, 1, 2, 2][n], body })),
    ...Object.values(ENTRIES).map((entry) => ({ type: entry.memory ? 4 : 3, body: entry.body() })),
  ];
  const bytes = encodeModule(memory.buffer.byteLength / 65536, [], types, functions);
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { e: { m: memory, t: table } });
  return Object.fromEntries(KERNEL.map(({ name }, n) => [name, exports[`f${internal.length + n}`] as (...args: number[]) => number]));
};
