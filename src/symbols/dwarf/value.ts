// Bytes of a variable from the place where it is: memory, a register, a known value, or pieces of all of these.
// It leaves out what the bytes mean; types.ts has their shape, the debugger prints them.

import { type ExpressionContext, type Location, registerName, toBytes } from './expression';

/** The bytes, or why there are none. */
export type Fetched = { bytes: Uint8Array; why?: undefined } | { bytes?: undefined; why: string };

const OPTIMIZED_OUT = 'optimized out';

/**
 * Reads `size` bytes of a variable at `location`.
 * A structure that is only partly there answers with the reason of the first part that is missing; `readPieces` gives the rest.
 */
export function fetchBytes(location: Location, size: number, context: ExpressionContext): Fetched {
  switch (location.kind) {
    case 'memory': {
      const bytes = context.readMemory?.(location.address, size);
      return bytes && bytes.length >= size ? { bytes } : { why: `memory at 0x${location.address.toString(16)} cannot be read` };
    }
    case 'register':
      return fetchRegister(location.register, size, context);
    case 'value':
      return { bytes: toBytes(location.value, size) };
    case 'bytes': {
      const bytes = new Uint8Array(size);
      bytes.set(location.bytes.subarray(0, size));
      return { bytes };
    }
    case 'implicit-pointer':
      return { why: 'the pointer itself was optimized out' };
    case 'optimized-out':
      return { why: OPTIMIZED_OUT };
    case 'unknown':
      return { why: location.why };
    case 'pieces': {
      const { bytes, missing } = fetchPieces(location, size, context);
      return missing === undefined ? { bytes } : { why: missing };
    }
  }
}

/** A value wider than a register continues in the next one (edx:eax is written as pieces, but old compilers rely on it for esi:edi and so on). */
function fetchRegister(register: number, size: number, context: ExpressionContext): Fetched {
  const bytes = new Uint8Array(size);
  for (let at = 0, number = register; at < size; at += 4, number++) {
    const value = context.register?.(number);
    if (value === undefined) return { why: `${registerName(number)} is not known in this frame` };
    bytes.set(toBytes(BigInt(value), Math.min(4, size - at)), at);
  }
  return { bytes };
}

/**
 * Puts the pieces together as far as they are known.
 * @returns the bytes (zero where unknown), a mask with 0xff where a byte is known, and why the first unknown one is.
 */
export function fetchPieces(
  location: Extract<Location, { kind: 'pieces' }>,
  size: number,
  context: ExpressionContext,
): { bytes: Uint8Array; mask: Uint8Array; missing: string | undefined } {
  const bytes = new Uint8Array(size);
  const mask = new Uint8Array(size);
  let missing: string | undefined;
  let bit = 0;
  for (const piece of location.pieces) {
    const bits = Math.min(piece.bits, size * 8 - bit);
    if (bits <= 0) break;
    const part = fetchBytes(piece.location, Math.ceil((piece.skip + bits) / 8), context);
    if (part.bytes) {
      for (let i = 0; i < bits; i++) {
        const from = piece.skip + i;
        const to = bit + i;
        if ((part.bytes[from >> 3]! >> (from & 7)) & 1) bytes[to >> 3]! |= 1 << (to & 7);
        mask[to >> 3]! |= 1 << (to & 7);
      }
    } else {
      missing ??= part.why;
    }
    bit += bits;
  }
  if (bit < size * 8) missing ??= OPTIMIZED_OUT;
  return { bytes, mask, missing };
}
