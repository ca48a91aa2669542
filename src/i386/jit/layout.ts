// Where translated code and the run loop meet in the linear memory: a few words after the state block, and the caches of indirect jump targets.

import { GAPS, S } from '../state';

export const J = {
  /**
   * Why translated code came back: 0 look up EIP; 1 a fault (Cpu.fault) is to be delivered; 2 interpret the instruction at EIP first; 4 rethrow Jit.thrown;
   * 5 interpret the rest of the block.
   */
  STATUS: S.SCRATCH,
  /** Kind of the flags words, see KIND. FLAG_RESULT holds r, FLAG_AUX holds a (or the final aux word), FLAG_B holds b. */
  FLAG_KIND: S.SCRATCH + 4,
  FLAG_B: S.SCRATCH + 8,
  /** Number of the exit that translated code took, -1 when everything is in memory; number of its region; flags: r, a, b, kind. */
  EXIT: S.SCRATCH + 12,
  EXIT_REGION: S.SCRATCH + 16,
  EXIT_FLAGS: S.SCRATCH + 20,
} as const;

/** What FLAG_AUX stands for: the aux word itself, or the operands of an addition or subtraction whose carries nobody has asked for yet. SUB follows ADD. */
export const KIND = { AUX: 0, ADD32: 1, SUB32: 2, ADD16: 3, SUB16: 4, ADD8: 5, SUB8: 6 } as const;

/** Jump caches, supervisor then user: entries of 16 bytes {eip, TLB entry of its page, address of its cell, unused}. */
export const JUMP_CACHE = 0x1100000;
export const JUMP_CACHE_ENTRIES = 4096;
export const JUMP_CACHE_BYTES = JUMP_CACHE_ENTRIES * 16;

/** Cells: one word for each place that translated code may go on to, holding a function table slot; 0 = not translated. They end at CALLS.TIME (state.ts). */
export const CELLS: number = GAPS.END;

/** By function table slot: instructions that must be left to enter its region. Slots beyond the table count as never to be entered in a hurry. */
export const LENGTHS = 0xf2000;
export const LENGTHS_SLOTS = 0x3000;
