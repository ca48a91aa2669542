// Where a longjmp goes on: behind a call of setjmp in one of the functions of the stack. setjmp returns zero when it was called, and something else when a longjmp came back to it.
//
// Calls are found by decoding a function from its symbol on, once. What it leaves out: setjmp through a pointer, and the compiler's own (__builtin_setjmp), which has no name.

import type { Decoded } from '../i386/disassembly';
import type { Programs } from './programs';

const NAMES = ['setjmp', '_setjmp', '__sigsetjmp', '__setjmp', 'sigsetjmp'];
/** How far a function is looked through, in bytes: by its symbol's size, and when that does not say how long it is. */
const LONGEST = { sized: 1 << 16, unsized: 4096 } as const;

export class JumpsBack {
  /** By entry of the function and of what it was looked through for. */
  private readonly known = new Map<string, number[]>();

  constructor(
    private readonly programs: Programs,
    private readonly decode: (address: number) => Decoded | undefined,
  ) {}

  /** Where the functions begin to which a longjmp comes back. */
  get targets(): ReadonlySet<number> {
    return new Set(NAMES.flatMap((name) => this.programs.addressOf(name) ?? []));
  }

  /** Addresses behind the calls of `wanted` in the function around `pc`. */
  in(pc: number, wanted: ReadonlySet<number>): readonly number[] {
    const hit = wanted.size === 0 ? undefined : this.programs.symbolAt(pc);
    if (hit === undefined) return [];
    const entry = (pc - hit.offset) >>> 0;
    const key = [entry, ...wanted].join();
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const found: number[] = [];
    const length = hit.size === 0 ? LONGEST.unsized : Math.min(hit.size, LONGEST.sized);
    for (let at = entry; at - entry < length; ) {
      if (hit.size === 0 && this.programs.symbolAt(at)?.name !== hit.name) break;
      const decoded = this.decode(at);
      // Not there yet: it is looked through again.
      if (decoded === undefined) return found;
      at += decoded.length;
      if (decoded.flow === 'call' && decoded.target !== undefined && wanted.has(decoded.target)) found.push(at);
    }
    this.known.set(key, found);
    return found;
  }
}
