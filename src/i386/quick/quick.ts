// The quick interpreter: runs records of decoded code one after another, and block after block, in one WebAssembly function.
//
// Code that is not (yet) translated runs here. A record's case (forms.ts) is the index of one big br_table; what has no case, or meets something that is not
// plain, is given back to the run loop, which has the handler do it and comes back. Between two blocks only what can change by itself is looked at: the budget and
// the next block, which is one of the two that followed last time, or found by the physical address in a small table. Everything else (breakpoints, interrupts, modes, translations) makes the run loop take its
// turn: BLOCK.GO is 0 where it has to. What it leaves out: what instructions do (cases.ts), decoding and the books (../blocks.ts).

import type { Cpu } from '../cpu';
import { R, RECORD } from '../decode';
import { encodeModule, I32, OP } from '../jit/wasm';
import { BLOCK, BLOCKS, CODE, FOUND, FOUND_MASK, S } from '../state';
import { Cases } from './cases';
import { CASES } from './forms';

/** Words of the state block that tell the run loop where the function stopped: the block, and EIP of its first instruction. */
export const Q = {
  BLOCK: S.SCRATCH + 0x40,
  EIP: S.SCRATCH + 0x44,
  /** Where the block that follows belongs in the links of the one that ran last (index of the word's first byte), 0 = nowhere: the function did not find it. */
  LINK: S.SCRATCH + 0x48,
} as const;

const BYTES = 4 * RECORD;

/**
 * Runs from record `record` of a block on. @param block its entry in the table of blocks (bytes from the table's start).
 * @param record 0 for the block's first one (EIP is in the state block), else the index of its first byte in the memory; Q.EIP holds the block's EIP then.
 * @param chain 1: go on with the blocks that follow.
 * @returns the record (index of its first byte) that its handler has to do, 0 when a block is done: EIP, LEFT and the blocks' counters are up to date.
 */
export type QuickRun = (block: number, record: number, chain: number) => number;

/** By whether calls are noted. */
const made: { bytes: Uint8Array; pages: number }[] = [];
const NOTED = new Set(['call', 'call_ind E', 'call_ind M', 'ret', 'ret I']);

/** @param calls true: CALL and RET are left to their handlers, which note them (../calls.ts). */
const make = (pages: number, calls: boolean): Uint8Array => {
  const f = new Cases();
  const { at, i, chain, last, eip, next, a, t, link, to } = f;
  /** A word of the block's entry; one that is a word index into the code, as a byte offset. */
  const local = (word: number): void => {
    f.get(at);
    f.mem(OP.i32_load, BLOCKS + 4 * word, 2);
  };
  const code = (word: number): void => {
    local(word);
    f.i32(2);
    f.op(OP.i32_shl);
  };
  /** Prepares for block `at`, whose first EIP is in `eip`. */
  const begin = (): void => {
    // Byte offset of its last record within the code.
    code(BLOCK.FIRST);
    local(BLOCK.COUNT);
    f.i32(1);
    f.op(OP.i32_sub);
    f.i32(BYTES);
    f.op(OP.i32_mul);
    f.op(OP.i32_add);
    f.set(last);
    f.get(eip);
    local(BLOCK.BYTES);
    f.op(OP.i32_add);
    f.set(next);
    f.get(at);
    f.set(link);
  };
  f.load(S.TLB_READ);
  f.set(f.readTable);
  f.load(S.TLB_WRITE);
  f.set(f.writeTable);
  f.get(i);
  f.op(OP.i32_eqz);
  f.block(OP.if);
  f.load(S.EIP);
  f.set(eip);
  code(BLOCK.FIRST);
  f.set(i);
  f.op(OP.else);
  f.load(Q.EIP);
  f.set(eip);
  f.get(i);
  f.i32(CODE);
  f.op(OP.i32_sub);
  f.set(i);
  f.op(OP.end);
  begin();

  f.block(OP.loop);
  f.block(OP.block); // block done
  f.block(OP.block); // slow
  f.block(OP.block); // taken jump
  f.block(OP.block); // next record
  const n = CASES.length;
  for (let k = 0; k < n; k++) f.block(OP.block);
  f.field(R.META);
  f.i32(16);
  f.op(OP.i32_shr_u);
  f.op(OP.br_table);
  f.code.u32(n);
  for (let k = 0; k < n; k++) f.code.u32(k);
  f.code.u32(0);
  for (let k = 0; k < n; k++) {
    f.op(OP.end);
    // k + 1 of the case blocks are closed.
    const exits = n - 1 - k;
    if (k === 0 || (calls && NOTED.has(CASES[k]))) f.br(OP.br, exits + 2);
    else f.make(CASES[k], exits);
  }
  f.op(OP.end); // next record
  f.get(i);
  f.get(last);
  f.op(OP.i32_eq);
  f.br(OP.br_if, 2);
  f.get(i);
  f.i32(BYTES);
  f.op(OP.i32_add);
  f.set(i);
  f.br(OP.br, 3);
  f.op(OP.end); // taken jump
  f.get(eip);
  f.field(R.END);
  f.op(OP.i32_add);
  f.field(R.IMM);
  f.op(OP.i32_add);
  f.set(next);
  f.get(at);
  f.i32(4);
  f.op(OP.i32_add);
  f.set(link);
  f.br(OP.br, 1);
  f.op(OP.end); // slow
  f.store(S.EIP, () => f.get(next));
  f.store(Q.EIP, () => f.get(eip));
  f.store(Q.BLOCK, () => f.get(at));
  f.get(i);
  f.i32(CODE);
  f.op(OP.i32_add);
  f.op(OP.return);
  f.op(OP.end); // block done
  f.store(S.EIP, () => f.get(next));
  f.get(at);
  f.get(next);
  f.mem(OP.i32_store, BLOCKS + 4 * BLOCK.FOLLOW, 2);
  f.store(S.LEFT, () => {
    f.load(S.LEFT);
    local(BLOCK.COUNT);
    f.op(OP.i32_sub);
    f.tee(t);
  });
  f.block(OP.block); // back to the run loop
  f.get(chain);
  f.op(OP.i32_eqz);
  f.br(OP.br_if, 0);
  // Where the next block lies, and its entry.
  f.get(next);
  f.i32(12);
  f.op(OP.i32_shr_u);
  f.i32(2);
  f.op(OP.i32_shl);
  f.get(f.readTable);
  f.op(OP.i32_add);
  f.mem(OP.i32_load, 0, 2);
  f.tee(a);
  f.i32(1);
  f.op(OP.i32_and);
  f.op(OP.i32_eqz);
  f.br(OP.br_if, 0);
  f.get(next);
  f.get(a);
  f.op(OP.i32_add);
  f.i32(1);
  f.op(OP.i32_add);
  f.set(a);
  const isThere = (): void => {
    f.tee(to);
    f.mem(OP.i32_load, BLOCKS + 4 * BLOCK.ADDRESS, 2);
    f.get(a);
    f.op(OP.i32_ne);
  };
  f.get(link);
  f.mem(OP.i32_load, BLOCKS + 4 * BLOCK.LINKS, 2);
  isThere();
  f.block(OP.if);
  // The run loop is to link the block that it finds.
  f.store(Q.LINK, () => {
    f.get(link);
    f.i32(BLOCKS + 4 * BLOCK.LINKS);
    f.op(OP.i32_add);
  });
  f.get(a);
  f.get(a);
  f.i32(16);
  f.op(OP.i32_shr_u);
  f.op(OP.i32_xor);
  f.i32(FOUND_MASK);
  f.op(OP.i32_and);
  f.i32(2);
  f.op(OP.i32_shl);
  f.mem(OP.i32_load, FOUND, 2);
  isThere();
  f.br(OP.br_if, 1);
  f.store(Q.LINK, () => f.i32(0));
  f.get(link);
  f.get(to);
  f.mem(OP.i32_store, BLOCKS + 4 * BLOCK.LINKS, 2);
  f.op(OP.end);
  f.get(to);
  f.set(at);
  local(BLOCK.GO);
  f.op(OP.i32_eqz);
  f.br(OP.br_if, 0);
  local(BLOCK.COUNT);
  f.get(t);
  f.op(OP.i32_gt_s);
  f.br(OP.br_if, 0);
  local(BLOCK.RUNS);
  f.tee(t);
  local(BLOCK.HEAT);
  f.op(OP.i32_ge_s);
  f.br(OP.br_if, 0);
  f.get(at);
  f.get(t);
  f.i32(1);
  f.op(OP.i32_add);
  f.mem(OP.i32_store, BLOCKS + 4 * BLOCK.RUNS, 2);
  f.get(next);
  f.set(eip);
  code(BLOCK.FIRST);
  f.set(i);
  begin();
  f.br(OP.br, 1);
  f.op(OP.end); // back to the run loop
  f.i32(0);
  f.op(OP.return);
  f.op(OP.end); // loop
  f.op(OP.unreachable);
  return encodeModule(pages, [], [{ params: [I32, I32, I32], results: [I32] }], [{ type: 0, body: f.encode() }]).slice();
};

/** The function for a processor's memory. Throws what the engine throws when it refuses to compile WebAssembly. */
export const quickRun = (cpu: Cpu): QuickRun => {
  const kind = cpu.calls.on ? 1 : 0;
  const pages = cpu.memory.buffer.byteLength / 65536;
  if (made[kind]?.pages !== pages) made[kind] = { bytes: make(pages, cpu.calls.on), pages };
  const t = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(made[kind].bytes as BufferSource), { e: { m: cpu.memory, t } });
  return exports.f0 as QuickRun;
};

/** A block's entry, in bytes from the table's start. */
export const entryOf = (block: number): number => block * BLOCK.SIZE * 4;
