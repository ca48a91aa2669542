// Conditions and near control transfer: Jcc, JMP, CALL, RET, LOOP, JCXZ.
//
// Every target is checked against the CS limit before anything changes; a 16-bit operand size cuts EIP to 16 bits. The sixteen conditional jumps are
// written out, each with its own flag test. What it leaves out: far transfer (far.ts). Source: SDM vol. 2, "Jcc", "CALL", "RET", "LOOP/LOOPcc".

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import { PARITY } from '../flags';
import type { Row } from '../opcodes';
import { CS, ECX, ESP, SS, W } from '../state';
import { type Binders, type Handler, linR, rmField, type Size } from './operands';

// ---- conditions: straight from the two flag words (see ../flags.ts) ------------------------------------------------------------------------

type Memory = Int32Array;
const isO = (m: Memory): boolean => (m[W.FLAG_AUX] ^ (m[W.FLAG_AUX] << 1)) < 0;
const isB = (m: Memory): boolean => m[W.FLAG_AUX] < 0;
const isE = (m: Memory): boolean => m[W.FLAG_RESULT] === 0;
const isBE = (m: Memory): boolean => m[W.FLAG_AUX] < 0 || m[W.FLAG_RESULT] === 0;
const isS = (m: Memory): boolean => (m[W.FLAG_RESULT] ^ (m[W.FLAG_AUX] << 31)) < 0;
const isP = (m: Memory): boolean => PARITY[(m[W.FLAG_RESULT] ^ (m[W.FLAG_AUX] >>> 8)) & 0xff] !== 0;
const isL = (m: Memory): boolean => {
  const aux = m[W.FLAG_AUX];
  return (m[W.FLAG_RESULT] ^ (aux << 31) ^ aux ^ (aux << 1)) < 0;
};
const isLE = (m: Memory): boolean => m[W.FLAG_RESULT] === 0 || isL(m);

/** Condition by its number in the opcode map (0 = O, 1 = NO, ... 15 = G). */
export const condition = (m: Memory, cc: number): boolean => {
  switch (cc >> 1) {
    case 0:
      return isO(m) !== ((cc & 1) === 1);
    case 1:
      return isB(m) !== ((cc & 1) === 1);
    case 2:
      return isE(m) !== ((cc & 1) === 1);
    case 3:
      return isBE(m) !== ((cc & 1) === 1);
    case 4:
      return isS(m) !== ((cc & 1) === 1);
    case 5:
      return isP(m) !== ((cc & 1) === 1);
    case 6:
      return isL(m) !== ((cc & 1) === 1);
    default:
      return isLE(m) !== ((cc & 1) === 1);
  }
};

// ---- jumps ------------------------------------------------------------------------------------------------------------------------------------

/** Raises #GP(0) when `eip` is beyond the code segment. */
export const checkTarget = (c: Cpu, eip: number): void => {
  const limit = c.m32[W.LIMIT + CS];
  if (limit !== -1 && eip >>> 0 > limit >>> 0) c.gp(0);
};

/** Takes the relative jump of record `i`. */
const jump = (c: Cpu, i: number): void => {
  const k = c.code;
  let eip = (c.blockEip + k[i + R.END] + k[i + R.IMM]) | 0;
  if (k[i + R.META] & M.OP16) eip &= 0xffff;
  checkTarget(c, eip);
  c.m32[W.EIP] = eip;
};

const JUMPS: Handler[] = [
  (c, i) => {
    if (isO(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isO(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isB(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isB(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isE(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isE(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isBE(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isBE(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isS(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isS(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isP(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isP(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isL(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isL(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (isLE(c.m32)) jump(c, i);
  },
  (c, i) => {
    if (!isLE(c.m32)) jump(c, i);
  },
];

const SUFFIXES = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
/** Number of the condition a mnemonic ends in. */
export const conditionOf = (row: Row): number => row.op & 15;

/** Pushes the return address and goes to `eip`: stack limit first, then target limit, then the write. */
const callTo = (c: Cpu, i: number, eip: number): void => {
  const k = c.code;
  const back = (c.blockEip + k[i + R.END]) | 0;
  if (k[i + R.META] & M.OP16) {
    const linear = c.linW(SS, c.stackOffset(-2), 2);
    checkTarget(c, eip);
    c.write16(linear, back & 0xffff);
    if (c.calls.on) c.noteOtherCall(linear, back, false, false);
    c.moveStack(-2);
  } else {
    const linear = c.linW(SS, c.stackOffset(-4), 4);
    checkTarget(c, eip);
    c.write32(linear, back);
    if (c.calls.on) c.noteCall(linear, back);
    c.moveStack(-4);
  }
  c.m32[W.EIP] = eip;
};

const call32: Handler = (c, i) => {
  const k = c.code;
  const m = c.m32;
  const back = (c.blockEip + k[i + R.END]) | 0;
  const eip = (back + k[i + R.IMM]) | 0;
  if (m[W.SS_BIG] === 0) {
    callTo(c, i, eip);
    return;
  }
  const esp = (m[ESP] - 4) | 0;
  const linear = c.linW(SS, esp, 4);
  checkTarget(c, eip);
  c.write32(linear, back);
  if (c.calls.on) c.noteCall(linear, back);
  m[ESP] = esp;
  m[W.EIP] = eip;
};

const ret32: Handler = (c) => {
  const m = c.m32;
  if (m[W.SS_BIG] !== 0) {
    const esp = m[ESP];
    const linear = c.linR(SS, esp, 4);
    const eip = c.read32(linear);
    checkTarget(c, eip);
    if (c.calls.on) c.noteReturn(linear);
    m[ESP] = (esp + 4) | 0;
    m[W.EIP] = eip;
  } else {
    const linear = c.linR(SS, c.stackOffset(0), 4);
    const eip = c.read32(linear);
    checkTarget(c, eip);
    if (c.calls.on) c.noteReturn(linear);
    c.moveStack(4);
    m[W.EIP] = eip;
  }
};

const bindRet = (row: Row, size: Size): Handler => {
  const more = row.args === 'Iw';
  if (size === 2 && !more) return ret32;
  return (c, i) => {
    const at = c.linR(SS, c.stackOffset(0), 1 << size);
    const eip = size === 2 ? c.read32(at) : c.read16(at);
    checkTarget(c, eip);
    if (c.calls.on) c.noteReturn(at);
    c.moveStack((1 << size) + (more ? c.code[i + R.IMM] : 0));
    c.m32[W.EIP] = eip;
  };
};

/** Target of an indirect jump or call. */
const target = (c: Cpu, i: number, size: Size, memory: boolean): number => {
  if (memory) {
    const linear = linR(c, i, 1 << size);
    return size === 2 ? c.read32(linear) : c.read16(linear);
  }
  return size === 2 ? c.m32[rmField(c, i)] : c.m16[rmField(c, i) << 1];
};

/** LOOP family: which 0 = LOOPNE, 1 = LOOPE, 2 = LOOP. The counter is CX with 16-bit addressing and changes only when no fault follows. */
const bindLoop = (row: Row): Handler => {
  const which = row.op & 3;
  return (c, i) => {
    const m = c.m32;
    const narrow = (c.code[i + R.META] & M.ADDR16) !== 0;
    const count = (m[ECX] - 1) & (narrow ? 0xffff : -1);
    if (count !== 0 && (which === 2 || isE(m) === (which === 1))) jump(c, i);
    if (narrow) c.m16[ECX << 1] = count;
    else m[ECX] = count;
  };
};

export const CONTROL: Binders = {
  ...Object.fromEntries(SUFFIXES.map((suffix, cc) => [`j${suffix}`, () => JUMPS[cc]])),
  jmp: () => jump,
  call: (_row, size) =>
    size === 2
      ? call32
      : (c, i) => {
          callTo(c, i, (c.blockEip + c.code[i + R.END] + c.code[i + R.IMM]) & 0xffff);
        },
  call_ind: (_row, size, memory) => (c, i) => callTo(c, i, target(c, i, size, memory)),
  jmp_ind: (_row, size, memory) => (c, i) => {
    const eip = target(c, i, size, memory);
    checkTarget(c, eip);
    c.m32[W.EIP] = eip;
  },
  ret: bindRet,
  loopne: bindLoop,
  loope: bindLoop,
  loop: bindLoop,
  jcxz: () => (c, i) => {
    if ((c.code[i + R.META] & M.ADDR16 ? c.m16[ECX << 1] : c.m32[ECX]) === 0) jump(c, i);
  },
};
