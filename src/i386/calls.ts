// The shadow call stack: which words of memory are return addresses that a CALL pushed and no RET has popped yet.
//
// Not a stack but a table, indexed by the place in physical memory that a CALL wrote to: stacks are switched without notice, and the same linear address is another
// stack in another address space, while a physical place is only itself. CALL writes an entry, RET empties the one of the word that it pops; interpreter
// and translated code do the same (jit/operands.ts), so both leave the same table. Each entry says when it was made: a call further out that came later proves that a
// word was left behind (longjmp, a task that ended). Two places that share an entry lose one of them; nothing is ever made up.
// A call of 16-bit operand size has pushed two bytes, a far one CS too; translated code makes neither. It is no part of the machine's state and costs nothing while it is off. What it leaves out: chains of frames (the debugger's).

import { CALLS } from './state';

const TABLE = CALLS.TABLE >> 2;
const TIME = CALLS.TIME >> 2;

/** Offset in the table of the entry for a place (index into the memory). Upper address bits go in low, so that stacks which lie alike do not fall together. */
const entryOf = (a: number): number => ((a << 2) ^ (a >>> 15)) & CALLS.MASK;

/** Kinds of calls, in the upper bits of the entry's time: two bytes for IP; CS was pushed before it. Calls of 16 bits have the caller's CS above IP in their address. */
export const CALL_KIND = { NARROW: 0x20000000, FAR: 0x40000000, MASK: 0x60000000 } as const;

export interface Call {
  /** EIP behind the CALL, uint32. */
  back: number;
  /** IP was pushed as two bytes. */
  narrow: boolean;
  /** CS of the caller stands on the stack behind EIP. */
  far: boolean;
  /** CS of the caller, of narrow calls. */
  cs: number | undefined;
  /** Number of the call since the table was emptied: later calls have greater ones. */
  time: number;
}

export class CallTable {
  /** Set by Processor.recordCalls(). */
  on = false;

  constructor(private readonly m: Int32Array) {}

  /** A CALL pushed `back`, of a narrow one cs << 16 | ip. @param a where to, as an index into the memory; negative: to where there is none. @param kind CALL_KIND. */
  push(a: number, back: number, kind = 0): void {
    if (a < 0) return;
    const { m } = this;
    const at = TABLE + (entryOf(a) >> 2);
    const low = (m[TIME] + 1) | 0;
    m[TIME] = low;
    if (low === 0) m[TIME + 1]++;
    m[at] = a;
    m[at + 1] = back;
    m[at + 2] = low;
    m[at + 3] = m[TIME + 1] | kind;
  }

  /** A RET popped the word at index `a` of the memory. */
  pop(a: number): void {
    if (a >= 0) this.m[TABLE + (entryOf(a) >> 2)] = 0;
  }

  /** The call whose return address was pushed to index `a` of the memory and not popped; the memory need no longer hold it. */
  at(a: number): Call | undefined {
    const { m } = this;
    const at = TABLE + (entryOf(a) >> 2);
    if (m[at] !== a || a <= 0) return undefined;
    const back = m[at + 1] >>> 0;
    const high = m[at + 3];
    const narrow = (high & CALL_KIND.NARROW) !== 0;
    return {
      back: narrow ? back & 0xffff : back,
      narrow,
      far: (high & CALL_KIND.FAR) !== 0,
      cs: narrow ? back >>> 16 : undefined,
      time: (high & ~CALL_KIND.MASK) * 2 ** 32 + (m[at + 2] >>> 0),
    };
  }

  clear(): void {
    this.m.fill(0, TIME, CALLS.END >> 2);
  }
}
