// Which forms of instructions the quick interpreter runs by itself, and the names of its cases.
//
// A case has a name that says all there is to know for making its code (cases.ts): what is done, operand width, operands. Many forms share a case. The decoder
// writes the case's number into the record (M.CASE_SHIFT), 0 for forms that only their handler can run. A file of its own because the decoder needs no more
// than this. What it leaves out: the code.

import type { Row } from '../opcodes';
import { ROW_SIZE, ROWS } from '../rows';

const ARITHMETIC = new Set(['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test']);
const CONDITIONS = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
/** Operand letters by a row's arguments: E register or M memory, G the other register, I immediate, A the accumulator, O a fixed address. */
const operands = (args: string, memory: boolean): string => {
  const e = memory ? 'M' : 'E';
  switch (args.replace(/[bvzs]+\b/g, '')) {
    case 'E G':
      return `${e}G`;
    case 'G E':
      return `G${e}`;
    case 'E I':
    case 'Z I':
      return `${e}I`;
    case 'AL I':
    case 'eAX I':
      return 'AI';
    default:
      return '';
  }
};

/** Name of the case that runs a form, '' = none. */
const caseOf = (row: Row, size: number, memory: boolean): string => {
  const { name, args } = row;
  const e = memory ? 'M' : 'E';
  const ev = /^Gv/.test(args) ? e : '';
  if (ARITHMETIC.has(name)) {
    if (size === 1 && name !== 'cmp' && name !== 'test') return '';
    const letters = operands(args, memory);
    return letters === '' ? '' : `alu ${name} ${size} ${letters}`;
  }
  if (name === 'mov') {
    if (args[0] === 'O' || args.split(' ')[1][0] === 'O') return size === 1 ? '' : `mov ${size} ${args[0] === 'O' ? 'OA' : 'AO'}`;
    return `mov ${size} ${operands(args, memory)}`;
  }
  const set = name.startsWith('set') ? CONDITIONS.indexOf(name.slice(3)) : -1;
  if (set >= 0) return `set ${set} ${e}`;
  if ((name === 'movs' || name === 'stos' || name === 'lods') && size !== 1) return `string ${name} ${size}`;
  if (size === 0) return (name === 'inc' || name === 'dec') && args === 'Eb' ? `step ${name} 0 ${e}` : '';
  if (size !== 2) return '';
  const jump = args === 'Jb' || args === 'Jz' ? CONDITIONS.indexOf(name.slice(1)) : -1;
  if (jump >= 0 && name[0] === 'j') return `jump ${jump}`;
  const move = name.startsWith('cmov') ? CONDITIONS.indexOf(name.slice(4)) : -1;
  if (move >= 0) return `cmov ${move} ${e}`;
  switch (name) {
    case 'inc':
    case 'dec':
      return `step ${name} 2 ${args === 'Zv' ? 'E' : e}`;
    case 'neg':
    case 'not':
      return `${name} ${e}`;
    case 'movzx_b':
    case 'movsx_b':
    case 'movzx_w':
    case 'movsx_w':
      return `extend ${name} ${e}`;
    case 'lea':
      return memory ? 'lea' : '';
    case 'push':
      return args[0] === 'I' ? 'push I' : args === 'Zv' ? 'push E' : `push ${e}`;
    case 'pop':
      return memory ? '' : 'pop';
    case 'leave':
      return 'leave';
    case 'shl':
    case 'shr':
    case 'sar':
    case 'rol':
    case 'ror':
      return memory ? '' : `shift ${name} ${args === 'Ev 1' ? '1' : args === 'Ev CL' ? 'C' : 'I'}`;
    case 'shld':
    case 'shrd':
      return memory ? '' : `double ${name} ${args.endsWith('CL') ? 'C' : 'I'}`;
    case 'imul2':
    case 'imul3':
    case 'mul':
    case 'imul':
    case 'div':
      return `${name} ${e}`;
    case 'cbw':
      return 'cwde';
    case 'cwd':
      return 'cdq';
    case 'xchg':
      return args === 'Zv eAX' ? 'xchg A' : `xchg ${e}`;
    case 'nop_ev':
      return 'nop';
    case 'jmp':
    case 'call':
      return name;
    case 'ret':
      return args === 'Iw' ? 'ret I' : 'ret';
    case 'call_ind':
    case 'jmp_ind':
      return `${name} ${e}`;
    case 'loop':
    case 'loope':
    case 'loopne':
    case 'jcxz':
      return name;
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      return args === 'Ev Ib' ? `bit ${name} ${e}I` : memory ? '' : `bit ${name} EG`;
    case 'bsf':
    case 'bsr':
      return ev === '' ? '' : `scan ${name} ${e}`;
    default:
      return '';
  }
};

/** Names by number; number 0 is "none". */
export const CASES: string[] = [''];
/** By form (see R.FORM): number of its case. */
export const CASE_OF = new Uint16Array(ROWS.length * 8);
ROWS.forEach((row, number) => {
  const sizes = ROW_SIZE[number] === 3 ? [1, 2] : [ROW_SIZE[number]];
  for (const size of sizes) {
    for (const memory of [false, true]) {
      const name = caseOf(row, size, memory);
      if (name === '') continue;
      let found = CASES.indexOf(name);
      if (found < 0) found = CASES.push(name) - 1;
      CASE_OF[number * 8 + size * 2 + (memory ? 1 : 0)] = found;
    }
  }
});
