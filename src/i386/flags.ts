// Lazy flags without a switch: two words hold what every arithmetic instruction leaves behind.
//
// FLAG_RESULT is the result, sign-extended to 32 bits; FLAG_AUX holds the carry chain's two top bits and the half carry. That is enough
// for all six flags, costs an instruction two stores, and lets translated code drop what nobody reads.
// Invariant: CF = aux bit 31; OF = bit 31 ^ bit 30; AF = bit 3; ZF = (result == 0); SF = sign(result) ^ aux bit 0;
// PF = even parity of (result ^ aux >> 8) & 0xff. Only loads of a whole flags image (POPF, IRET, SAHF) use the two flip fields.

import { FL } from './state';

/** Bits of FLAG_AUX that arithmetic writes. */
export const AUX_MASK = 0xc0000008 | 0;

/** PARITY[b] is FL.PF when byte b has an even number of ones, else 0. */
export const PARITY = Uint8Array.from({ length: 256 }, (_, b) => {
  let x = b ^ (b >> 4);
  x ^= x >> 2;
  x ^= x >> 1;
  return x & 1 ? 0 : FL.PF;
});

/** The six status flags as they stand in EFLAGS. */
export const statusFlags = (result: number, aux: number): number =>
  (aux >>> 31) |
  PARITY[(result ^ (aux >>> 8)) & 0xff] |
  ((aux & 8) << 1) |
  (result === 0 ? FL.ZF : 0) |
  (((result >>> 31) ^ (aux & 1)) << 7) |
  (((aux >>> 31) ^ ((aux >>> 30) & 1)) << 11);

/** FLAG_RESULT that stands for the ZF of `flags`. */
export const resultFor = (flags: number): number => (flags & FL.ZF ? 0 : 1);

/** FLAG_AUX that, with resultFor(flags), stands for all six status flags of `flags`. */
export const auxFor = (flags: number): number => {
  const cf = flags & 1;
  const of = (flags >>> 11) & 1;
  const naturalParity = flags & FL.ZF ? FL.PF : 0;
  return (cf << 31) | ((cf ^ of) << 30) | ((flags & FL.AF) >>> 1) | ((flags >>> 7) & 1) | (naturalParity === (flags & FL.PF) ? 0 : 0x100);
};

/** Carries out of every bit of a + b (+ carry) = r. */
export const addCarries = (a: number, b: number, r: number): number => (a & b) | ((a | b) & ~r);
/** Borrows out of every bit of a - b (- borrow) = r. */
export const subBorrows = (a: number, b: number, r: number): number => (~a & b) | ((~a | b) & r);
/** A carry vector of an 8-, 16- or 32-bit operation as FLAG_AUX. */
export const aux8 = (carries: number): number => ((carries << 24) & 0xc0000000) | (carries & 8);
export const aux16 = (carries: number): number => ((carries << 16) & 0xc0000000) | (carries & 8);
export const aux32 = (carries: number): number => carries & AUX_MASK;
