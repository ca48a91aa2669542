// Decompression of zlib streams (RFC 1950 and 1951): what `gcc -gz` does to debug sections.
// It is here because this folder runs in a browser worker as well as in Node and must answer synchronously.
// It leaves out compression, preset dictionaries, and the checksum (a wrong byte shows as damaged DWARF anyway).

import { SymbolError } from './errors';
import { type Pieces, whole } from './pieces';

/** Lengths 257-285 and distances 0-29: base value and number of extra bits (RFC 1951 section 3.2.5). */
const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
  24577,
];
const DISTANCE_EXTRA = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/** The order in which a dynamic block stores the lengths of its code-length codes. */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST = 15;

/** A Huffman code as one look-up table: index = the next `bits` bits, entry = symbol << 4 | length; 0 marks an unused code. */
interface Code {
  bits: number;
  table: Uint16Array;
}

function damaged(): never {
  throw new SymbolError('A compressed debug section is damaged: build the file again, or without -gz.');
}

function makeCode(lengths: Uint8Array): Code {
  const count = new Uint16Array(LONGEST + 1);
  for (const length of lengths) count[length]!++;
  count[0] = 0;
  let bits = LONGEST;
  while (bits > 1 && count[bits] === 0) bits--;
  const next = new Uint16Array(LONGEST + 2);
  let left = 1;
  for (let length = 1; length <= LONGEST; length++) {
    next[length + 1] = (next[length]! + count[length]!) << 1;
    left = (left << 1) - count[length]!;
    if (left < 0) damaged(); // more codes than the lengths allow
  }
  const table = new Uint16Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0) continue;
    const code = next[length]!++;
    let reversed = 0; // the stream delivers the highest bit of a code first
    for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
    for (let index = reversed; index < table.length; index += 1 << length) table[index] = (symbol << 4) | length;
  }
  return { bits, table };
}

function fixedCodes(): [Code, Code] {
  const lengths = new Uint8Array(288);
  for (let i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  return [makeCode(lengths), makeCode(new Uint8Array(30).fill(5))];
}

/** Bytes of output between two pieces. */
const PIECE = 1 << 18;

/**
 * Decompresses a zlib stream.
 * @param size bytes that must come out; a stream that makes more or less is damaged.
 * Throws SymbolError on damage.
 */
export function inflateZlib(input: Uint8Array, size: number): Uint8Array {
  return whole(inflating(input, size)) ?? damaged();
}

/** As inflateZlib(), in pieces. Undefined when it is asked to end early. */
export function* inflating(input: Uint8Array, size: number): Pieces<Uint8Array | undefined> {
  if (input.length < 2 || (input[0]! & 0x0f) !== 8 || ((input[0]! << 8) | input[1]!) % 31 !== 0 || input[1]! & 0x20) damaged();
  // A header may lie about the size: room is made as the stream fills it.
  let output = new Uint8Array(Math.min(size, Math.max(PIECE, 4 * input.length)));
  const room = (wanted: number): void => {
    if (wanted <= output.length) return;
    const larger = new Uint8Array(Math.min(size, Math.max(wanted, 2 * output.length)));
    larger.set(output.subarray(0, out));
    output = larger;
  };
  let at = 2;
  let out = 0;
  let hold = 0;
  let held = 0;

  const take = (bits: number): number => {
    while (held < bits) {
      if (at >= input.length) damaged();
      hold |= input[at++]! << held;
      held += 8;
    }
    const value = hold & ((1 << bits) - 1);
    hold >>>= bits;
    held -= bits;
    return value;
  };
  const symbol = (code: Code): number => {
    while (held < code.bits && at < input.length) {
      hold |= input[at++]! << held;
      held += 8;
    }
    const entry = code.table[hold & ((1 << code.bits) - 1)]!;
    const length = entry & 15;
    if (length === 0 || length > held) damaged();
    hold >>>= length;
    held -= length;
    return entry >> 4;
  };
  const dynamicCodes = (): [Code, Code] => {
    const literals = take(5) + 257;
    const distances = take(5) + 1;
    const codes = take(4) + 4;
    const orderLengths = new Uint8Array(19);
    for (let i = 0; i < codes; i++) orderLengths[CODE_LENGTH_ORDER[i]!] = take(3);
    const lengthCode = makeCode(orderLengths);
    const lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length; ) {
      const what = symbol(lengthCode);
      if (what < 16) {
        lengths[i++] = what;
        continue;
      }
      if (what === 16 && i === 0) damaged();
      const value = what === 16 ? lengths[i - 1]! : 0;
      const repeat = what === 16 ? 3 + take(2) : what === 17 ? 3 + take(3) : 11 + take(7);
      if (i + repeat > lengths.length) damaged();
      lengths.fill(value, i, i + repeat);
      i += repeat;
    }
    return [makeCode(lengths.subarray(0, literals)), makeCode(lengths.subarray(literals))];
  };
  const stored = (): void => {
    at -= held >> 3; // whole bytes that were read ahead go back
    hold = held = 0;
    if (at + 4 > input.length) damaged();
    const length = input[at]! | (input[at + 1]! << 8);
    at += 4;
    if (at + length > input.length || out + length > size) damaged();
    room(out + length);
    output.set(input.subarray(at, at + length), out);
    at += length;
    out += length;
  };
  /** @returns whether the block has ended; else it goes on at the next piece. */
  const compressed = ([literal, distance]: [Code, Code]): boolean => {
    const until = out + PIECE;
    for (;;) {
      if (out >= until) return false;
      const what = symbol(literal);
      if (what < 256) {
        if (out >= size) damaged();
        if (out >= output.length) room(out + 1);
        output[out++] = what;
        continue;
      }
      if (what === 256) return true;
      if (what > 285) damaged();
      const length = LENGTH_BASE[what - 257]! + take(LENGTH_EXTRA[what - 257]!);
      const where = symbol(distance);
      if (where > 29) damaged();
      const back = DISTANCE_BASE[where]! + take(DISTANCE_EXTRA[where]!);
      if (back > out || out + length > size) damaged();
      room(out + length);
      if (back >= length) output.copyWithin(out, out - back, out - back + length);
      else for (let i = 0; i < length; i++) output[out + i] = output[out + i - back]!;
      out += length;
    }
  };

  for (let last = 0; !last; ) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) {
      stored();
      continue;
    }
    if (kind === 3) damaged();
    const codes = kind === 1 ? fixedCodes() : dynamicCodes();
    // Making a code costs as much as many bytes, and a block may be empty.
    if (yield out / size) return undefined;
    while (!compressed(codes)) if (yield out / size) return undefined;
  }
  if (out !== size) damaged();
  return output;
}
