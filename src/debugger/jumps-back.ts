// Where a longjmp goes on: behind a call of setjmp in one of the functions of the stack. setjmp returns zero when it was called, and something else when a longjmp came back to it.
//
// Calls are found by decoding a function from its symbol on, once. What it leaves out: setjmp through a pointer, and the compiler's own (__builtin_setjmp), which has no name.

import type { Decoded } from '../i386/disassembly';
import type { Programs } from './programs';

const NAMES = ['setjmp', '_setjmp', '__sigsetjmp', '__setjmp', 'sigsetjmp'];
/** The longest function that is looked through, in bytes, when its symbol does not say how long it is. */
const LONGEST = 4096;

export class JumpsBack {
  /** By entry of the function and of what it was looked through for. */
  private readonly known = new Map<string, number[]>();

  constructor(
    private readonly programs: Programs,
    private readonly decode: (address: number) => Decoded | undefined,
  ) {}

  /** Addresses behind the calls of setjmp in the function around `pc`. None where nothing has that name. */
  in(pc: number): readonly number[] {
    const wanted = new Set(NAMES.flatMap((name) => this.programs.addressOf(name) ?? []));
    const hit = wanted.size === 0 ? undefined : this.programs.symbolAt(pc);
    if (hit === undefined) return [];
    const entry = (pc - hit.offset) >>> 0;
    const key = [entry, ...wanted].join();
    let found = this.known.get(key);
    if (found === undefined) {
      found = [];
      for (let at = entry; at - entry < (hit.size || LONGEST); ) {
        const decoded = this.decode(at);
        if (decoded === undefined || (!hit.size && this.programs.symbolAt(at)?.name !== hit.name)) break;
        at += decoded.length;
        if (decoded.flow === 'call' && decoded.target !== undefined && wanted.has(decoded.target)) found.push(at);
      }
      this.known.set(key, found);
    }
    return found;
  }
}
