// Moving data: MOV and its relatives, LEA, XCHG, CMOVcc, SETcc, and the stack instructions PUSH, POP, PUSHA, POPA, ENTER, LEAVE.
//
// Nothing here sets flags. Stack pointers move only after the memory access has succeeded. What it leaves out: segment registers (system.ts).
// Source: SDM vol. 2, each mnemonic.

import { type Cpu, NEAR_TOP } from '../cpu';
import { R } from '../decode';
import type { Row } from '../opcodes';
import { EAX, EBP, EBX, EDX, ESP, SS, W } from '../state';
import { condition, conditionOf } from './control';
import {
  type Binders,
  byteReg,
  ea,
  getReg,
  type Handler,
  linR,
  linW,
  place8,
  place32,
  probeM,
  readE,
  readLinear,
  regField,
  rmField,
  type Size,
  setReg,
  writeE,
  writeLinear,
} from './operands';

// ---- mov -----------------------------------------------------------------------------------------------------------------------------------

const mov_E_G: Handler = (c, i) => {
  const g = c.code[i + R.REGS];
  c.m32[(g >> 4) & 7] = c.m32[g & 7];
};
const mov_G_E: Handler = (c, i) => {
  const g = c.code[i + R.REGS];
  c.m32[g & 7] = c.m32[(g >> 4) & 7];
};
const mov_M_G: Handler = (c, i) => {
  c.write32(linW(c, i, 4), c.m32[c.code[i + R.REGS] & 7]);
};
const mov_G_M: Handler = (c, i) => {
  c.m32[c.code[i + R.REGS] & 7] = c.read32(linR(c, i, 4));
};
const mov_M_I: Handler = (c, i) => {
  c.write32(linW(c, i, 4), c.code[i + R.IMM]);
};
const mov_E_I: Handler = (c, i) => {
  c.m32[(c.code[i + R.REGS] >> 4) & 7] = c.code[i + R.IMM];
};
const movb_M_G: Handler = (c, i) => {
  c.write8(linW(c, i, 1), c.m8[byteReg(c.code[i + R.REGS] & 7)]);
};
const movb_G_M: Handler = (c, i) => {
  c.m8[byteReg(c.code[i + R.REGS] & 7)] = c.read8(linR(c, i, 1));
};

const bindMov = (row: Row, size: Size, memory: boolean): Handler => {
  switch (row.args) {
    case 'Eb Gb':
    case 'Ev Gv':
      if (size === 2) return memory ? mov_M_G : mov_E_G;
      if (size === 0 && memory) return movb_M_G;
      return (c, i) => writeE(c, i, size, memory, getReg(c, size, regField(c, i)));
    case 'Gb Eb':
    case 'Gv Ev':
      if (size === 2) return memory ? mov_G_M : mov_G_E;
      if (size === 0 && memory) return movb_G_M;
      return (c, i) => setReg(c, size, regField(c, i), readE(c, i, size, memory));
    case 'AL Ob':
    case 'eAX Ov':
      return (c, i) => setReg(c, size, EAX, readLinear(c, size, linR(c, i, 1 << size)));
    case 'Ob AL':
    case 'Ov eAX':
      return (c, i) => writeLinear(c, size, linW(c, i, 1 << size), getReg(c, size, EAX));
    default: // immediates, to E or to the register in the opcode
      if (size === 2) return memory ? mov_M_I : mov_E_I;
      return (c, i) => writeE(c, i, size, memory, c.code[i + R.IMM]);
  }
};

/** MOVZX and MOVSX. The row's size is that of the destination. */
const bindExtend = (row: Row, size: Size, memory: boolean): Handler => {
  const zero = row.name.startsWith('movzx');
  const byte = row.name.endsWith('b');
  if (size === 2 && byte && memory) {
    if (zero) {
      return (c, i) => {
        c.m32[c.code[i + R.REGS] & 7] = c.read8(linR(c, i, 1));
      };
    }
    return (c, i) => {
      c.m32[c.code[i + R.REGS] & 7] = (c.read8(linR(c, i, 1)) << 24) >> 24;
    };
  }
  if (size === 2 && memory) {
    if (zero) {
      return (c, i) => {
        c.m32[c.code[i + R.REGS] & 7] = c.read16(linR(c, i, 2));
      };
    }
    return (c, i) => {
      c.m32[c.code[i + R.REGS] & 7] = (c.read16(linR(c, i, 2)) << 16) >> 16;
    };
  }
  const from: Size = byte ? 0 : 1;
  const up = zero ? 0 : byte ? 24 : 16;
  return (c, i) => setReg(c, size, regField(c, i), (readE(c, i, from, memory) << up) >> up);
};

const lea32: Handler = (c, i) => {
  c.m32[c.code[i + R.REGS] & 7] = ea(c, i);
};

const bindXchg = (row: Row, size: Size, memory: boolean): Handler => {
  if (row.args === 'Zv eAX') {
    return (c, i) => {
      const e = rmField(c, i);
      const a = getReg(c, size, EAX);
      setReg(c, size, EAX, getReg(c, size, e));
      setReg(c, size, e, a);
    };
  }
  if (memory) {
    if (size === 2) {
      return (c, i) => {
        const m = c.m32;
        const g = c.code[i + R.REGS] & 7;
        const linear = linW(c, i, 4);
        const p = place32(c, linear);
        const old = p >= 0 ? m[p] : c.read32(linear);
        if (p >= 0) m[p] = m[g];
        else c.write32(linear, m[g]);
        m[g] = old;
      };
    }
    return (c, i) => {
      const linear = probeM(c, i, size);
      const old = readLinear(c, size, linear);
      writeLinear(c, size, linear, getReg(c, size, regField(c, i)));
      setReg(c, size, regField(c, i), old);
    };
  }
  return (c, i) => {
    const e = rmField(c, i);
    const g = regField(c, i);
    const old = getReg(c, size, e);
    setReg(c, size, e, getReg(c, size, g));
    setReg(c, size, g, old);
  };
};

/** The memory operand of CMOVcc is read whatever the condition. */
const bindCmov = (row: Row, size: Size, memory: boolean): Handler => {
  const cc = conditionOf(row);
  return (c, i) => {
    const value = readE(c, i, size, memory);
    if (condition(c.m32, cc)) setReg(c, size, regField(c, i), value);
  };
};
const bindSet = (row: Row, _size: Size, memory: boolean): Handler => {
  const cc = conditionOf(row);
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1);
      const p = place8(c, linear);
      if (p >= 0) c.m8[p] = condition(c.m32, cc) ? 1 : 0;
      else c.write8(linear, condition(c.m32, cc) ? 1 : 0);
    };
  }
  return (c, i) => {
    c.m8[byteReg(rmField(c, i))] = condition(c.m32, cc) ? 1 : 0;
  };
};

// ---- push and pop ----------------------------------------------------------------------------------------------------------------------------

/** Pushes a dword with every check. */
const push32 = (c: Cpu, value: number): void => {
  const m = c.m32;
  if (m[W.SS_BIG] !== 0) {
    const esp = (m[ESP] - 4) | 0;
    c.write32((m[W.FLAT] >> SS) & 1 && (esp | NEAR_TOP) !== -1 ? esp : c.checkSegment(SS, esp, 4, true), value);
    m[ESP] = esp;
  } else c.push32(value);
};
const push_Z: Handler = (c, i) => push32(c, c.m32[(c.code[i + R.REGS] >> 4) & 7]);
const push_I: Handler = (c, i) => push32(c, c.code[i + R.IMM]);
const push_M: Handler = (c, i) => push32(c, c.read32(linR(c, i, 4)));
const pop_Z: Handler = (c, i) => {
  const m = c.m32;
  const e = (c.code[i + R.REGS] >> 4) & 7;
  if (m[W.SS_BIG] !== 0) {
    const esp = m[ESP];
    const value = c.read32((m[W.FLAT] >> SS) & 1 && (esp | NEAR_TOP) !== -1 ? esp : c.checkSegment(SS, esp, 4, false));
    m[ESP] = (esp + 4) | 0;
    m[e] = value;
  } else m[e] = c.pop32();
};

const bindPush = (row: Row, size: Size, memory: boolean): Handler => {
  const immediate = row.args[0] === 'I';
  if (size === 2) return immediate ? push_I : memory ? push_M : push_Z;
  if (immediate) return (c, i) => c.push16(c.code[i + R.IMM] & 0xffff);
  return (c, i) => c.push16(readE(c, i, 1, memory));
};

const bindPop = (_row: Row, size: Size, memory: boolean): Handler => {
  if (!memory) {
    if (size === 2) return pop_Z;
    return (c, i) => {
      const value = c.pop16();
      c.m16[rmField(c, i) << 1] = value;
    };
  }
  const bytes = 1 << size;
  return (c, i) => {
    const value = readLinear(c, size, c.linR(SS, c.stackOffset(0), bytes));
    // An address that uses ESP counts from the value after the pop.
    const esp = c.m32[ESP];
    c.moveStack(bytes);
    const offset = ea(c, i);
    c.m32[ESP] = esp;
    writeLinear(c, size, c.linW((c.code[i + R.META] >> 4) & 7, offset, bytes), value);
    c.moveStack(bytes);
  };
};

const bindPusha = (_row: Row, size: Size): Handler => {
  const bytes = 1 << size;
  return (c) => {
    for (let n = 0; n < 8; n++) {
      writeLinear(c, size, c.linW(SS, c.stackOffset(-bytes * (n + 1)), bytes), getReg(c, size, n));
    }
    c.moveStack(-8 * bytes);
  };
};

const bindPopa = (_row: Row, size: Size): Handler => {
  const bytes = 1 << size;
  const values = new Int32Array(8);
  return (c) => {
    for (let n = 0; n < 8; n++) values[7 - n] = readLinear(c, size, c.linR(SS, c.stackOffset(bytes * n), bytes));
    c.moveStack(8 * bytes);
    for (let n = 0; n < 8; n++) if (n !== ESP) setReg(c, size, n, values[n]);
  };
};

/** ENTER size, level: the frame pointers of `level - 1` outer procedures are copied from the old frame. */
const bindEnter = (_row: Row, size: Size): Handler => {
  const bytes = 1 << size;
  return (c, i) => {
    const m = c.m32;
    const level = c.code[i + R.IMM2] & 31;
    const wrap = m[W.SS_BIG] ? -1 : 0xffff;
    const esp = m[ESP];
    let top = esp - bytes;
    writeLinear(c, size, c.linW(SS, top & wrap, bytes), getReg(c, size, EBP));
    const frame = top;
    if (level > 0) {
      for (let n = 1; n < level; n++) {
        const pointer = readLinear(c, size, c.linR(SS, (m[EBP] - bytes * n) & wrap, bytes));
        top -= bytes;
        writeLinear(c, size, c.linW(SS, top & wrap, bytes), pointer);
      }
      top -= bytes;
      const value = m[W.SS_BIG] ? frame : (esp & ~0xffff) | (frame & 0xffff);
      writeLinear(c, size, c.linW(SS, top & wrap, bytes), size === 2 ? value : value & 0xffff);
    }
    top -= c.code[i + R.IMM];
    // The new top must be writable, though nothing is written.
    c.probeWrite(c.linW(SS, top & wrap, bytes), bytes);
    const value = m[W.SS_BIG] ? frame : (esp & ~0xffff) | (frame & 0xffff);
    setReg(c, size, EBP, value);
    if (m[W.SS_BIG]) m[ESP] = top;
    else c.m16[ESP << 1] = top;
  };
};

const bindLeave = (_row: Row, size: Size): Handler => {
  const bytes = 1 << size;
  return (c) => {
    const m = c.m32;
    const big = m[W.SS_BIG] !== 0;
    const frame = big ? m[EBP] : m[EBP] & 0xffff;
    const value = readLinear(c, size, c.linR(SS, frame, bytes));
    if (big) m[ESP] = (frame + bytes) | 0;
    else c.m16[ESP << 1] = frame + bytes;
    setReg(c, size, EBP, value);
  };
};

// ---- the rest --------------------------------------------------------------------------------------------------------------------------------

const bindXlat = (): Handler => (c, i) => {
  // The table is at [EBX + AL]: the decoder gives this row no address of its own.
  const k = c.code;
  const sum = (c.m32[EBX] + c.m8[0]) | 0;
  const offset = k[i + R.META] & 0x800 ? sum & 0xffff : sum;
  c.m8[0] = c.read8(c.linR((k[i + R.META] >> 4) & 7, offset, 1));
};

export const DATA: Binders = {
  mov: bindMov,
  movzx_b: bindExtend,
  movzx_w: bindExtend,
  movsx_b: bindExtend,
  movsx_w: bindExtend,
  lea: (_row, size) => (size === 2 ? lea32 : (c, i) => setReg(c, size, regField(c, i), ea(c, i))),
  xchg: bindXchg,
  ...Object.fromEntries(
    ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'].flatMap((cc) => [
      [`cmov${cc}`, bindCmov],
      [`set${cc}`, bindSet],
    ]),
  ),
  push: bindPush,
  pop: bindPop,
  pusha: bindPusha,
  popa: bindPopa,
  enter: bindEnter,
  leave: bindLeave,
  xlat: bindXlat,
  /** CBW, CWDE */
  cbw: (_row, size) =>
    size === 2
      ? (c) => {
          c.m32[EAX] = (c.m32[EAX] << 16) >> 16;
        }
      : (c) => {
          c.m16[EAX] = (c.m32[EAX] << 24) >> 24;
        },
  /** CWD, CDQ */
  cwd: (_row, size) =>
    size === 2
      ? (c) => {
          c.m32[EDX] = c.m32[EAX] >> 31;
        }
      : (c) => {
          c.m16[EDX << 1] = (c.m32[EAX] << 16) >> 31;
        },
  bswap: (_row, size) =>
    size === 2
      ? (c, i) => {
          const e = rmField(c, i);
          const v = c.m32[e];
          c.m32[e] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
        }
      : (c, i) => setReg(c, 1, rmField(c, i), 0), // undefined; processors were seen to give 0
};
