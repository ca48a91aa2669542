// From an image of EFLAGS to the two words that stand for the status flags: resultFor() and auxFor() of ../flags.ts as WebAssembly.
//
// For whoever takes flags from a word: SAHF, POPF, IRET. What it leaves out: flags that come from results (conditions.ts).

import { type FunctionBody, OP } from './wasm';

/** Bit n of a local, 0 or 1, onto the stack. */
export const bitOf = (f: FunctionBody, local: number, n: number): void => {
  f.get(local);
  if (n > 0) {
    f.i32(n);
    f.op(OP.i32_shr_u);
  }
  f.i32(1);
  f.op(OP.i32_and);
};

/** The result word of the image in local `flags` onto the stack: 0 when ZF is set, else 1. */
export const resultWord = (f: FunctionBody, flags: number): void => {
  bitOf(f, flags, 6);
  f.op(OP.i32_eqz);
};

/** The aux word that goes with it onto the stack. @param overflow leaves OF, 0 or 1, on the stack. */
export const auxWord = (f: FunctionBody, flags: number, overflow: () => void): void => {
  const at = (n: number, place: number): void => {
    bitOf(f, flags, n);
    f.i32(place);
    f.op(OP.i32_shl);
  };
  at(0, 31);
  bitOf(f, flags, 0);
  overflow();
  f.op(OP.i32_xor);
  f.i32(30);
  f.op(OP.i32_shl);
  f.op(OP.i32_or);
  at(4, 3);
  f.op(OP.i32_or);
  bitOf(f, flags, 7);
  f.op(OP.i32_or);
  // The parity of the result word is ZF.
  bitOf(f, flags, 2);
  bitOf(f, flags, 6);
  f.op(OP.i32_xor);
  f.i32(8);
  f.op(OP.i32_shl);
  f.op(OP.i32_or);
};
