// A cursor over little-endian bytes: the only place that knows how integers, LEB128 numbers and strings lie in a file.
// Every read checks its bounds and throws a SymbolError, so that no reader above can run past a section, whatever it holds.
// It leaves out what the bytes mean.

import { SymbolError } from './errors';

/** Reads forward through `bytes` from `pos` to `end`. Positions are byte offsets into `bytes`. */
export class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public pos = 0,
    public end = bytes.length,
    readonly what = 'data',
  ) {
    if (end > bytes.length) this.end = bytes.length;
    if (!(pos >= 0 && pos <= this.end)) this.fail();
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  fail(): never {
    throw new SymbolError(`${this.what} is cut off at offset 0x${this.pos.toString(16)}: the file is damaged, build it again.`);
  }

  private need(length: number): number {
    const at = this.pos;
    if (!(length >= 0 && at + length <= this.end)) this.fail();
    this.pos = at + length;
    return at;
  }

  u8(): number {
    return this.bytes[this.need(1)]!;
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    const at = this.need(2);
    return this.bytes[at]! | (this.bytes[at + 1]! << 8);
  }

  u24(): number {
    const at = this.need(3);
    return this.bytes[at]! | (this.bytes[at + 1]! << 8) | (this.bytes[at + 2]! << 16);
  }

  u32(): number {
    const at = this.need(4);
    return u32At(this.bytes, at);
  }

  u64(): bigint {
    const low = this.u32();
    return BigInt(low) | (BigInt(this.u32()) << 32n);
  }

  /** An offset or length of 4 or 8 bytes as a number; 8-byte values beyond 2^53 become 2^53, which no section reaches. */
  offset(size: number): number {
    if (size === 4) return this.u32();
    const low = this.u32();
    return Math.min(this.u32() * 0x1_0000_0000 + low, Number.MAX_SAFE_INTEGER);
  }

  /** An unsigned integer of 1 to 8 bytes; 8-byte values lose precision beyond 2^53. */
  unsigned(size: number): number {
    switch (size) {
      case 1:
        return this.u8();
      case 2:
        return this.u16();
      case 3:
        return this.u24();
      case 4:
        return this.u32();
      case 8:
        return this.offset(8);
      default:
        throw new SymbolError(`${this.what} asks for an integer of ${size} bytes at offset 0x${this.pos.toString(16)}: build it again.`);
    }
  }

  /** Unsigned LEB128. Exact up to 2^53, and never negative. */
  uleb(): number {
    let result = 0;
    let factor = 1;
    for (;;) {
      const byte = this.u8();
      result += (byte & 0x7f) * factor;
      if (byte < 0x80) return Math.min(result, Number.MAX_SAFE_INTEGER);
      factor *= 128;
    }
  }

  /** Signed LEB128. Exact between -2^53 and 2^53. */
  sleb(): number {
    let result = 0;
    let factor = 1;
    for (;;) {
      const byte = this.u8();
      result += (byte & 0x7f) * factor;
      factor *= 128;
      if (byte < 0x80) {
        if (byte & 0x40) result -= factor;
        return Math.max(Math.min(result, Number.MAX_SAFE_INTEGER), -Number.MAX_SAFE_INTEGER);
      }
    }
  }

  ulebBig(): bigint {
    let result = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      if (shift < 128n) result |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return result;
    }
  }

  slebBig(): bigint {
    let result = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      if (shift < 128n) result |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return byte & 0x40 && shift < 128n ? result - (1n << shift) : result;
    }
  }

  /** The next `length` bytes, not copied. */
  block(length: number): Uint8Array {
    const at = this.need(length);
    return this.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.need(length);
  }

  /** A string that ends in a zero byte. */
  cstring(): string {
    const start = this.pos;
    this.skipString();
    return text(this.bytes, start, this.pos - 1);
  }

  skipString(): void {
    const zero = this.bytes.indexOf(0, this.pos);
    if (zero < 0 || zero >= this.end) this.fail();
    this.pos = zero + 1;
  }

  /** `unit_length` of DWARF: 4 bytes, or 0xffffffff and 8 bytes. Gives the length and the size of offsets in what follows. */
  initialLength(): { length: number; offsetSize: 4 | 8 } {
    const length = this.u32();
    if (length === 0xffffffff) return { length: this.offset(8), offsetSize: 8 };
    if (length >= 0xfffffff0) this.fail();
    return { length, offsetSize: 4 };
  }
}

/** The uint32 at `at`. The caller has checked the bounds. */
export function u32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** The UTF-8 text in `bytes[start, end)`; a byte that is no UTF-8 stands for itself (old kernels carry Latin-1 names). */
export function text(bytes: Uint8Array, start: number, end: number): string {
  for (let at = start; at < end; at++) if (bytes[at]! >= 0x80) return utf8(bytes, start, end);
  // In one call: names are short, and adding character by character would leave a chain of fragments for each.
  if (end - start <= 4096) return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
  return utf8(bytes, start, end);
}

function utf8(bytes: Uint8Array, start: number, end: number): string {
  let result = '';
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    let code = length === 1 ? byte : byte & (0x7f >> length);
    let used = 1;
    while (used < length && at + used < end && (bytes[at + used]! & 0xc0) === 0x80) code = (code << 6) | (bytes[at + used++]! & 0x3f);
    if (used === length && code <= 0x10ffff) {
      result += String.fromCodePoint(code);
      at += length - 1;
    } else {
      result += String.fromCharCode(byte);
    }
  }
  return result;
}

/** Names are not longer: tables of names overlap at will, and in a damaged one each could be the whole table. */
const LONGEST_TEXT = 1024;

/** The zero-terminated text at `at`, cut after 1024 bytes, or undefined when `at` lies outside or no zero follows. */
export function textAt(bytes: Uint8Array, at: number): string | undefined {
  if (!(at >= 0 && at < bytes.length)) return undefined;
  const most = Math.min(bytes.length, at + LONGEST_TEXT);
  let end = at;
  while (end < most && bytes[end] !== 0) end++;
  return end === bytes.length ? undefined : text(bytes, at, end);
}
