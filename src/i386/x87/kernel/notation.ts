// A small notation for WebAssembly functions written by hand: expressions as closures, statements in order.
//
// It reads like the algorithm and emits like the encoder (jit/wasm.ts). Lower-case names are 32-bit operations, capitalised ones 64-bit. What it leaves out: types
// are not checked here; the engine validates.

import { FunctionBody, type FuncType, I32, I64, OP } from '../../jit/wasm';

/** Emits an expression (or statement). Expressions are emitted again wherever they are used: locals hold what is used twice. */
export type Code = (f: FunctionBody) => void;

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
export const w = {
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
  gtU: binary(OP.i32_gt_u),
  geU: binary(OP.i32_ge_u),
  not: unary(OP.i32_eqz),
  Add: binary(OP.i64_add),
  Sub: binary(OP.i64_sub),
  Mul: binary(OP.i64_mul),
  Div: binary(OP.i64_div_u),
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

/** A local or parameter: reads as an expression, and can be set. */
export type Local = Code & { readonly index: number };

/** One function under construction: locals as readable and settable names, statements in order. */
export class Builder {
  readonly body: FunctionBody;
  constructor(readonly type: FuncType) {
    this.body = new FunctionBody(type.params.length);
  }
  param(n: number): Local {
    return this.named(n);
  }
  i32(value?: Code): Local {
    return this.fresh(I32, value);
  }
  i64(value?: Code): Local {
    return this.fresh(I64, value);
  }
  private fresh(type: number, value?: Code): Local {
    const local = this.named(this.body.local(type));
    if (value) this.set(local, value);
    return local;
  }
  private named(index: number): Local {
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
  /** Ends with a result; the body's bytes. */
  end(value: Code): Uint8Array {
    value(this.body);
    return this.body.encode();
  }
}
