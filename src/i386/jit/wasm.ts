// A WebAssembly encoder: just the parts of the binary format that translated code needs, written straight into one growing byte array.
//
// It is a file of its own because it knows nothing of i386. It leaves out validation: the engine does that. Source: WebAssembly core specification, "Binary Format".

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F64 = 0x7c;
/** Block type "no value". */
export const VOID = 0x40;

/** Opcodes, by the specification's names. */
export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call: 0x12,
  return_call_indirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  i32_load: 0x28,
  i64_load: 0x29,
  f64_load: 0x2b,
  i32_load8_s: 0x2c,
  i32_load8_u: 0x2d,
  i32_load16_s: 0x2e,
  i32_load16_u: 0x2f,
  i32_store: 0x36,
  i64_store: 0x37,
  f64_store: 0x39,
  i32_store8: 0x3a,
  i32_store16: 0x3b,
  i32_const: 0x41,
  i64_const: 0x42,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_gt_s: 0x4a,
  i32_gt_u: 0x4b,
  i32_le_s: 0x4c,
  i32_le_u: 0x4d,
  i32_ge_s: 0x4e,
  i32_ge_u: 0x4f,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_gt_s: 0x55,
  i64_gt_u: 0x56,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  i64_ge_s: 0x59,
  i64_ge_u: 0x5a,
  i32_clz: 0x67,
  i32_ctz: 0x68,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_div_s: 0x6d,
  i32_div_u: 0x6e,
  i32_rem_s: 0x6f,
  i32_rem_u: 0x70,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_s: 0x75,
  i32_shr_u: 0x76,
  i32_rotl: 0x77,
  i32_rotr: 0x78,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i32_extend8_s: 0xc0,
  i32_extend16_s: 0xc1,
} as const;

/** A growing byte array with the format's integers. */
export class Bytes {
  data: Uint8Array;
  length = 0;
  constructor(capacity = 4096) {
    this.data = new Uint8Array(capacity);
  }

  byte(value: number): void {
    if (this.length === this.data.length) this.grow(this.length + 1);
    this.data[this.length++] = value;
  }
  private grow(needed: number): void {
    const bigger = new Uint8Array(Math.max(needed, this.data.length * 2));
    bigger.set(this.data);
    this.data = bigger;
  }
  /** Unsigned LEB128 of a uint32. */
  u32(value: number): void {
    let v = value >>> 0;
    while (v > 0x7f) {
      this.byte((v & 0x7f) | 0x80);
      v >>>= 7;
    }
    this.byte(v);
  }
  /** Signed LEB128 of an int32. */
  s32(value: number): void {
    let v = value | 0;
    for (;;) {
      const low = v & 0x7f;
      v >>= 7;
      if ((v === 0 && (low & 0x40) === 0) || (v === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }
  s64(value: bigint): void {
    let v = value;
    for (;;) {
      const low = Number(v & 0x7fn);
      v >>= 7n;
      if ((v === 0n && (low & 0x40) === 0) || (v === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }
  text(value: string): void {
    this.u32(value.length);
    for (let i = 0; i < value.length; i++) this.byte(value.charCodeAt(i));
  }
  append(other: Uint8Array): void {
    const needed = this.length + other.length;
    if (needed > this.data.length) this.grow(needed);
    this.data.set(other, this.length);
    this.length = needed;
  }
  view(): Uint8Array {
    return this.data.subarray(0, this.length);
  }
}

/** Function type: numbers of i32 parameters and results, or explicit value types. */
export interface FuncType {
  params: readonly number[];
  results: readonly number[];
}

export interface ImportedFunction {
  name: string;
  type: FuncType;
}

/** One buffer serves every function in turn: only one is under construction at a time. */
const scratch = new Bytes();

/** One function under construction. Locals beyond the parameters are i32 unless asked otherwise. Call encode() before the next one is begun. */
export class FunctionBody {
  readonly code = scratch;
  private readonly locals: number[] = [];
  constructor(private readonly paramCount: number) {
    scratch.length = 0;
  }

  local(type: number = I32): number {
    this.locals.push(type);
    return this.paramCount + this.locals.length - 1;
  }
  op(opcode: number): void {
    this.code.byte(opcode);
  }
  get(local: number): void {
    this.code.byte(OP.local_get);
    this.code.u32(local);
  }
  set(local: number): void {
    this.code.byte(OP.local_set);
    this.code.u32(local);
  }
  tee(local: number): void {
    this.code.byte(OP.local_tee);
    this.code.u32(local);
  }
  i32(value: number): void {
    this.code.byte(OP.i32_const);
    this.code.s32(value);
  }
  i64(value: bigint): void {
    this.code.byte(OP.i64_const);
    this.code.s64(value);
  }
  /** A load or store with its static offset. `align` is log2 of the alignment promised. */
  mem(opcode: number, offset: number, align = 0): void {
    this.code.byte(opcode);
    this.code.u32(align);
    this.code.u32(offset);
  }
  block(opcode: number, type: number = VOID): void {
    this.code.byte(opcode);
    this.code.byte(type);
  }
  br(opcode: number, depth: number): void {
    this.code.byte(opcode);
    this.code.u32(depth);
  }
  call(index: number): void {
    this.code.byte(OP.call);
    this.code.u32(index);
  }
  /** memory.copy or memory.fill (bulk memory). */
  bulk(kind: 'copy' | 'fill'): void {
    this.code.byte(0xfc);
    this.code.byte(kind === 'copy' ? 10 : 11);
    this.code.byte(0);
    if (kind === 'copy') this.code.byte(0);
  }
  /** Body with its local declarations and final end, in bytes of its own. */
  encode(): Uint8Array {
    const out = new Bytes(16);
    const groups: [number, number][] = [];
    for (const type of this.locals) {
      const last = groups[groups.length - 1];
      if (last && last[1] === type) last[0]++;
      else groups.push([1, type]);
    }
    out.u32(groups.length);
    for (const [n, type] of groups) {
      out.u32(n);
      out.byte(type);
    }
    const body = new Uint8Array(out.length + scratch.length + 1);
    body.set(out.view());
    body.set(scratch.view(), out.length);
    body[body.length - 1] = OP.end;
    return body;
  }
}

/**
 * Encodes a module that imports "e"."m" (memory of `pages` 64 KB pages), "e"."t" (function table) and `imports` from "e", and exports its functions as f0, f1, ...
 * Imported functions come first in the index space.
 */
export const encodeModule = (
  pages: number,
  imports: readonly ImportedFunction[],
  types: readonly FuncType[],
  functions: readonly { type: number; body: Uint8Array }[],
): Uint8Array => {
  const out = new Bytes();
  for (const b of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(b);
  const section = (id: number, fill: (s: Bytes) => void): void => {
    const s = new Bytes();
    fill(s);
    out.byte(id);
    out.u32(s.length);
    out.append(s.view());
  };
  const all = [...types, ...imports.map((i) => i.type)];
  section(1, (s) => {
    s.u32(all.length);
    for (const t of all) {
      s.byte(0x60);
      s.u32(t.params.length);
      for (const p of t.params) s.byte(p);
      s.u32(t.results.length);
      for (const p of t.results) s.byte(p);
    }
  });
  section(2, (s) => {
    s.u32(imports.length + 2);
    s.text('e');
    s.text('m');
    s.byte(2);
    s.byte(1);
    s.u32(pages);
    s.u32(pages);
    s.text('e');
    s.text('t');
    s.byte(1);
    s.byte(0x70);
    s.byte(0);
    s.u32(1);
    imports.forEach((imported, i) => {
      s.text('e');
      s.text(imported.name);
      s.byte(0);
      s.u32(types.length + i);
    });
  });
  section(3, (s) => {
    s.u32(functions.length);
    for (const f of functions) s.u32(f.type);
  });
  section(7, (s) => {
    s.u32(functions.length);
    functions.forEach((_, i) => {
      s.text(`f${i}`);
      s.byte(0);
      s.u32(imports.length + i);
    });
  });
  section(10, (s) => {
    s.u32(functions.length);
    for (const f of functions) {
      s.u32(f.body.length);
      s.append(f.body);
    }
  });
  return out.view();
};
