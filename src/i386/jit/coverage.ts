// What the translator has code for, and what each of those instructions does to the flags.
//
// A file of its own because region forming asks as well as translating. Everything not listed is done by the interpreter's handler. Must agree with
// Instructions.instruction(): the differential fuzzer would see it otherwise.

import { M, R } from '../decode';
import { ROWS } from '../rows';
import { CS } from '../state';
import { KERNEL } from '../x87/kernel';

export const EFFECT = { DEFINES: 1, USES: 2, MAY_LEAVE: 4 } as const;

/** Which rows touch flags, for dead-flag elimination. Whatever is not listed may leave the region, so it keeps the flags alive. */
export const flagEffect = (code: Int32Array, i: number): number => {
  const form = code[i + R.FORM];
  const { name, args } = ROWS[form >> 3];
  const memory = (form & 1) !== 0 ? EFFECT.MAY_LEAVE : 0;
  if (!canTranslate(code, i)) return EFFECT.USES | EFFECT.MAY_LEAVE;
  const count = constantCount(args, code[i + R.IMM]);
  switch (name) {
    case 'add':
    case 'sub':
    case 'and':
    case 'or':
    case 'xor':
    case 'cmp':
    case 'test':
    case 'neg':
    case 'xadd':
    case 'cmpxchg':
      return EFFECT.DEFINES | memory;
    case 'imul2':
    case 'imul3':
    case 'mul':
    case 'imul':
      return EFFECT.DEFINES | memory;
    case 'adc':
    case 'sbb':
    case 'inc':
    case 'dec':
      return EFFECT.DEFINES | EFFECT.USES | memory;
    case 'shl':
    case 'shr':
    case 'sar':
      return (count === undefined ? EFFECT.USES : count === 0 ? 0 : EFFECT.DEFINES) | memory;
    case 'shld':
    case 'shrd':
      return (count === 0 ? 0 : EFFECT.DEFINES) | memory;
    case 'scas':
    case 'cmps':
      return EFFECT.DEFINES | EFFECT.MAY_LEAVE;
    case 'movs':
    case 'lods':
    case 'stos':
      return EFFECT.MAY_LEAVE;
    case 'mov_from_sreg':
      return 0;
    case 'bsf':
    case 'bsr':
      return EFFECT.DEFINES | memory;
    case 'mov':
    case 'movzx_b':
    case 'movzx_w':
    case 'movsx_b':
    case 'movsx_w':
    case 'not':
    case 'xchg':
      return memory;
    case 'lea':
    case 'cbw':
    case 'cwd':
    case 'bswap':
    case 'nop_ev':
    case 'cld':
    case 'std':
      return 0;
    case 'lahf':
      return EFFECT.USES;
    default:
      return EFFECT.USES | EFFECT.MAY_LEAVE;
  }
};

const SEGMENTS_FLAT = 0b001111;
/** By number, as rows name them. */
export const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];
/** True when a record's memory operand lies in a segment that is flat where translated code runs. */
export const flatOperand = (code: Int32Array, i: number): boolean => ((SEGMENTS_FLAT >> ((code[i + R.META] >> M.SEG_SHIFT) & 7)) & 1) === 1;

/** Count of a shift or rotate by a constant, 0 to 31; undefined: it is in CL. */
export const constantCount = (args: string, immediate: number): number | undefined =>
  args.endsWith('CL') ? undefined : args.endsWith('1') ? 1 : immediate & 31;

/** Rows that the x87 kernel does, by name: number in KERNEL. */
export const X87_ENTRY = new Map(KERNEL.map(({ name }, n) => [name, n]));

/** True when the translator has code for the record; otherwise the interpreter's handler is called for it. */
export const canTranslate = (code: Int32Array, i: number): boolean => {
  const form = code[i + R.FORM];
  const meta = code[i + R.META];
  const row = ROWS[form >> 3];
  const memory = (form & 1) !== 0;
  const size = (form >> 1) & 3;
  const { name, args } = row;
  const count = constantCount(args, code[i + R.IMM]);
  // A shift by zero still probes its memory operand for writing.
  const probesOnly = memory && count === 0;
  // FS and GS have bases of their own (operands.ts); a write through CS faults.
  const segment = (meta >> M.SEG_SHIFT) & 7;
  if (memory && name !== 'lea' && !flatOperand(code, i) && (X87_ENTRY.has(name) || /^bt[src]?$/.test(name))) return false;
  if (memory && segment === CS && name !== 'jmp_ind' && name !== 'call_ind' && !(name === 'mov' && args.startsWith('G'))) return false;
  switch (name) {
    case 'mov':
    case 'lea':
    case 'add':
    case 'sub':
    case 'and':
    case 'or':
    case 'xor':
    case 'cmp':
    case 'adc':
    case 'sbb':
    case 'test':
    case 'inc':
    case 'dec':
    case 'not':
    case 'neg':
    case 'movzx_b':
    case 'movzx_w':
    case 'movsx_b':
    case 'movsx_w':
    case 'cbw':
    case 'clc':
    case 'stc':
    case 'cmc':
    case 'nop_ev':
    case 'xchg':
    case 'sahf':
    case 'lahf':
    case 'cld':
    case 'std':
    case 'xadd':
    case 'cmpxchg':
    case 'fnstsw_ax':
      return true;
    case 'push':
    case 'pushf':
    case 'push_sreg':
    case 'pusha':
    case 'popa':
    case 'leave':
      return size === 2;
    case 'pop':
      return size === 2 && args === 'Zv';
    case 'cwd':
    case 'bswap':
    case 'imul2':
    case 'imul3':
    case 'mul':
    case 'imul':
    case 'div':
    case 'idiv':
      return size === 2;
    case 'shl':
    case 'shr':
    case 'sar':
      return !probesOnly && (size === 2 || (count !== undefined && count < 8 << size));
    case 'rol':
    case 'ror':
      return !probesOnly && (size === 2 || count !== undefined);
    case 'rcl':
    case 'rcr':
      return size === 2 && count === 1;
    case 'shld':
    case 'shrd':
      return !probesOnly && size === 2 && count !== undefined;
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      return size === 2 && !(memory && meta & M.ADDR16);
    case 'bsf':
    case 'bsr':
      return size === 2;
    case 'movs':
    case 'lods':
    case 'stos':
    case 'scas':
    case 'cmps':
      // A source in FS or GS, 16-bit pointers and repeats are the interpreter's.
      return !(meta & (M.REP | M.ADDR16)) && segment < 4;
    case 'mov_from_sreg':
      return size === 2 && !memory && (code[i + R.REGS] & 7) < 6;
    case 'jmp':
    case 'call':
    case 'ret':
    case 'jmp_ind':
    case 'call_ind':
      return size === 2;
    case 'loop':
    case 'loope':
    case 'loopne':
    case 'jcxz':
      return size === 2 && !(meta & M.ADDR16);
    default:
      if (name.startsWith('set')) return true;
      if (name.startsWith('cmov')) return true;
      if (X87_ENTRY.has(name)) return true;
      if (/^j[a-z]+$/.test(name) && args[0] === 'J') return size === 2;
      return false;
  }
};
