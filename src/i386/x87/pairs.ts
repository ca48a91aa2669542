// Arithmetic on pairs of doubles: a number is the unevaluated sum of a high and a low part, about 106 bits.
//
// Built on error-free sums and products (Dekker, Knuth), which IEEE doubles make exact and every machine does alike; Math.* is not used. A function returns the
// high part and leaves the low part in LOW[0], so that nothing is allocated. Operands must be far from the ends of a double's range.
// What it leaves out: conversion to and from extended reals (transcendental.ts).

/** Low part of the last result. */
export const LOW = new Float64Array(1);

const SPLIT = 134217729;

/** What a * b loses when rounded to a double. */
export const productError = (a: number, b: number, p: number): number => {
  const ta = SPLIT * a;
  const ah = ta - (ta - a);
  const al = a - ah;
  const tb = SPLIT * b;
  const bh = tb - (tb - b);
  const bl = b - bh;
  return ah * bh - p + ah * bl + al * bh + al * bl;
};

export const sum = (ah: number, al: number, bh: number, bl: number): number => {
  const s = ah + bh;
  const v = s - ah;
  let e = ah - (s - v) + (bh - v);
  const t = al + bl;
  const w = t - al;
  const f = al - (t - w) + (bl - w);
  e += t;
  const h = s + e;
  e = e - (h - s) + f;
  const hi = h + e;
  LOW[0] = e - (hi - h);
  return hi;
};

export const product = (ah: number, al: number, bh: number, bl: number): number => {
  const p = ah * bh;
  const e = productError(ah, bh, p) + (ah * bl + al * bh);
  const hi = p + e;
  LOW[0] = e - (hi - p);
  return hi;
};

export const quotient = (ah: number, al: number, bh: number, bl: number): number => {
  const q1 = ah / bh;
  let ph = product(bh, bl, q1, 0);
  let rh = sum(ah, al, -ph, -LOW[0]);
  let rl = LOW[0];
  const q2 = rh / bh;
  ph = product(bh, bl, q2, 0);
  rh = sum(rh, rl, -ph, -LOW[0]);
  rl = LOW[0];
  const q3 = rh / bh;
  const h = q1 + q2;
  return sum(h, q2 - (h - q1), q3, 0);
};

const bits = new Float64Array(1);
const words = new Int32Array(bits.buffer);
/** 2^n, n from -1022 to 1023. */
export const power2 = (n: number): number => {
  words[0] = 0;
  words[1] = (n + 1023) << 20;
  return bits[0];
};
/** Words of a double: the high one; lowWord() the other, of the same double. */
export const highWord = (x: number): number => {
  bits[0] = x;
  return words[1];
};
export const lowWord = (): number => words[0];
