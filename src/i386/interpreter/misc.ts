// What fits nowhere else: flag instructions, exchange-and-compare, BOUND, SALC, NOP with an operand, and the encodings that always raise #UD.
//
// Source: SDM vol. 2, each mnemonic; SALC from the opcode map's reserved D6, which every i386 executes.

import { M, R } from '../decode';
import type { Row } from '../opcodes';
import { EAX, EBX, ECX, EDX, EXC, FL, W } from '../state';
import { Alu, alu } from './arithmetic';
import { setCarry } from './bits';
import {
  type Binders,
  ea,
  getReg,
  type Handler,
  linW,
  probeM,
  readLinear,
  regField,
  rmField,
  type Size,
  setReg,
  signed,
  unsigned,
  writeLinear,
} from './operands';

const invalid: Handler = (c) => c.ud();

const bindCmpxchg = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = probeM(c, i, size);
      const old = readLinear(c, size, linear);
      const wanted = getReg(c, size, EAX);
      alu(c.m32, size, Alu.CMP, wanted, old);
      // The destination is written in either case.
      if (wanted === old) writeLinear(c, size, linear, getReg(c, size, regField(c, i)));
      else {
        writeLinear(c, size, linear, old);
        setReg(c, size, EAX, old);
      }
    };
  }
  return (c, i) => {
    const old = getReg(c, size, rmField(c, i));
    const wanted = getReg(c, size, EAX);
    alu(c.m32, size, Alu.CMP, wanted, old);
    if (wanted === old) setReg(c, size, rmField(c, i), getReg(c, size, regField(c, i)));
    else setReg(c, size, EAX, old);
  };
};

const bindXadd = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = probeM(c, i, size);
      const old = readLinear(c, size, linear);
      const sum = alu(c.m32, size, Alu.ADD, old, getReg(c, size, regField(c, i)));
      writeLinear(c, size, linear, unsigned(size, sum) | 0);
      setReg(c, size, regField(c, i), old);
    };
  }
  return (c, i) => {
    const old = getReg(c, size, rmField(c, i));
    const sum = alu(c.m32, size, Alu.ADD, old, getReg(c, size, regField(c, i)));
    setReg(c, size, regField(c, i), old);
    setReg(c, size, rmField(c, i), sum);
  };
};

/** Compares EDX:EAX with eight bytes; only ZF changes. */
const cmpxchg8b: Handler = (c, i) => {
  const m = c.m32;
  const linear = linW(c, i, 8);
  c.probeWrite(linear, 8);
  const low = c.read32(linear);
  const high = c.read32((linear + 4) | 0);
  const equal = low === m[EAX] && high === m[EDX];
  c.write32(linear, equal ? m[EBX] : low);
  c.write32((linear + 4) | 0, equal ? m[ECX] : high);
  if (!equal) {
    m[EAX] = low;
    m[EDX] = high;
  }
  const flags = c.getFlags();
  c.setStatus(equal ? flags | FL.ZF : flags & ~FL.ZF);
};

/** BOUND: the pair of signed bounds lies in memory, lower one first. */
const bindBound = (_row: Row, size: Size): Handler => {
  const bytes = 1 << size;
  return (c, i) => {
    const seg = (c.code[i + R.META] >> M.SEG_SHIFT) & 7;
    const offset = ea(c, i);
    const second = (c.code[i + R.META] & M.ADDR16) !== 0 ? (offset + bytes) & 0xffff : (offset + bytes) | 0;
    const lower = signed(size, readLinear(c, size, c.linR(seg, offset, bytes)));
    const upper = signed(size, readLinear(c, size, c.linR(seg, second, bytes)));
    const index = signed(size, getReg(c, size, regField(c, i)));
    if (index < lower || index > upper) c.raise(EXC.BR, 0);
  };
};

export const MISC: Binders = {
  ud: () => invalid,
  ud1: () => invalid,
  ud2: () => invalid,
  nop_ev: () => () => {},
  cmc: () => (c) => {
    c.m32[W.FLAG_AUX] ^= 0xc0000000;
  },
  clc: () => (c) => setCarry(c.m32, 0),
  stc: () => (c) => setCarry(c.m32, 1),
  cld: () => (c) => {
    c.m32[W.EFLAGS] &= ~FL.DF;
  },
  std: () => (c) => {
    c.m32[W.EFLAGS] |= FL.DF;
  },
  lahf: () => (c) => {
    c.m8[1] = (c.getFlags() & 0xd5) | 2;
  },
  sahf: () => (c) => {
    c.setStatus((c.m8[1] & 0xd5) | (c.getFlags() & FL.OF));
  },
  salc: () => (c) => {
    c.m8[0] = c.cf ? 0xff : 0;
  },
  cmpxchg: bindCmpxchg,
  xadd: bindXadd,
  cmpxchg8b: () => cmpxchg8b,
  bound: bindBound,
};
