// ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT: which handler executes which form.
//
// The 32-bit two-operand forms are in alu-forms.ts, written out; bytes, words and the one-operand instructions are bound here.
// What it leaves out: the arithmetic itself (arithmetic.ts), shifts (shift.ts), multiplication (muldiv.ts).

import type { Cpu } from '../cpu';
import { R } from '../decode';
import type { Row } from '../opcodes';
import { FORMS32, slow32 } from './alu-forms';
import { Alu, alu, alu8, alu16, dec32, inc32, sub32 } from './arithmetic';
import {
  type Binders,
  byteReg,
  getReg,
  type Handler,
  linR,
  linW,
  place8,
  place16,
  place32,
  readE,
  rmField,
  type Size,
  setReg,
} from './operands';

/** The numbers of the eight two-operand instructions are those of the opcode map. */
const NUMBERS: Record<string, Alu> = {
  add: Alu.ADD,
  or: Alu.OR,
  adc: Alu.ADC,
  sbb: Alu.SBB,
  and: Alu.AND,
  sub: Alu.SUB,
  xor: Alu.XOR,
  cmp: Alu.CMP,
  test: Alu.TEST,
  inc: Alu.INC,
  dec: Alu.DEC,
};

// ---- bytes and words -----------------------------------------------------------------------------------------------------------------------

/** Reads `a`, combines it with `b` and puts the result back, all within byte or word memory. */
const memory8 = (c: Cpu, op: Alu, linear: number, b: number): void => {
  const p = place8(c, linear);
  if (p >= 0) c.m8[p] = alu8(c.m32, op, c.m8[p], b);
  else c.write8(linear, alu8(c.m32, op, c.read8(linear), b) & 0xff);
};
const memory16 = (c: Cpu, op: Alu, linear: number, b: number): void => {
  const p = place16(c, linear);
  if (p >= 0) c.m16[p] = alu16(c.m32, op, c.m16[p], b);
  else c.write16(linear, alu16(c.m32, op, c.read16(linear), b) & 0xffff);
};

const bind8 = (op: Alu, args: string, memory: boolean): Handler => {
  const keeps = op !== Alu.CMP && op !== Alu.TEST;
  if (args === 'AL Ib') {
    return (c, i) => {
      const r = alu8(c.m32, op, c.m8[0], c.code[i + R.IMM]);
      if (keeps) c.m8[0] = r;
    };
  }
  if (args === 'Gb Eb') {
    return (c, i) => {
      const b = memory ? c.read8(linR(c, i, 1)) : c.m8[byteReg(rmField(c, i))];
      const g = byteReg(c.code[i + R.REGS] & 7);
      const r = alu8(c.m32, op, c.m8[g], b);
      if (keeps) c.m8[g] = r;
    };
  }
  const immediate = args === 'Eb Ib';
  if (!memory) {
    return (c, i) => {
      const e = byteReg(rmField(c, i));
      const r = alu8(c.m32, op, c.m8[e], immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
      if (keeps) c.m8[e] = r;
    };
  }
  if (keeps) return (c, i) => memory8(c, op, linW(c, i, 1), immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
  return (c, i) => {
    alu8(c.m32, op, c.read8(linR(c, i, 1)), immediate ? c.code[i + R.IMM] : c.m8[byteReg(c.code[i + R.REGS] & 7)]);
  };
};

const bind16 = (op: Alu, args: string, memory: boolean): Handler => {
  const keeps = op !== Alu.CMP && op !== Alu.TEST;
  if (args === 'eAX Iz') {
    return (c, i) => {
      const r = alu16(c.m32, op, c.m16[0], c.code[i + R.IMM]);
      if (keeps) c.m16[0] = r;
    };
  }
  if (args === 'Gv Ev') {
    return (c, i) => {
      const b = memory ? c.read16(linR(c, i, 2)) : c.m16[rmField(c, i) << 1];
      const g = (c.code[i + R.REGS] & 7) << 1;
      const r = alu16(c.m32, op, c.m16[g], b);
      if (keeps) c.m16[g] = r;
    };
  }
  const immediate = args !== 'Ev Gv';
  if (!memory) {
    return (c, i) => {
      const e = rmField(c, i) << 1;
      const r = alu16(c.m32, op, c.m16[e], immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
      if (keeps) c.m16[e] = r;
    };
  }
  if (keeps) return (c, i) => memory16(c, op, linW(c, i, 2), immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
  return (c, i) => {
    alu16(c.m32, op, c.read16(linR(c, i, 2)), immediate ? c.code[i + R.IMM] : c.m16[(c.code[i + R.REGS] & 7) << 1]);
  };
};

const bind32 = (name: string, args: string, memory: boolean): Handler => {
  const forms = FORMS32[name];
  if (args === 'eAX Iz') return forms.AI;
  if (args === 'Gv Ev') return memory ? forms.GM : forms.GE;
  if (args === 'Ev Gv') return memory ? forms.MG : forms.EG;
  return memory ? forms.MI : forms.EI;
};

const bind = (row: Row, size: Size, memory: boolean): Handler => {
  if (size === 2) return bind32(row.name, row.args, memory);
  const op = NUMBERS[row.name];
  return size === 1 ? bind16(op, row.args, memory) : bind8(op, row.args, memory);
};

// ---- one operand ----------------------------------------------------------------------------------------------------------------------------

const bindStep = (row: Row, size: Size, memory: boolean): Handler => {
  const op = NUMBERS[row.name];
  const up = op === Alu.INC;
  if (size === 2 && !memory) {
    if (up) {
      return (c, i) => {
        const e = (c.code[i + R.REGS] >> 4) & 7;
        c.m32[e] = inc32(c.m32, c.m32[e]);
      };
    }
    return (c, i) => {
      const e = (c.code[i + R.REGS] >> 4) & 7;
      c.m32[e] = dec32(c.m32, c.m32[e]);
    };
  }
  if (size === 2) {
    return (c, i) => {
      const m = c.m32;
      const linear = linW(c, i, 4);
      const p = place32(c, linear);
      if (p >= 0) m[p] = up ? inc32(m, m[p]) : dec32(m, m[p]);
      else slow32(c, op, linear, 1);
    };
  }
  if (memory) return size === 1 ? (c, i) => memory16(c, op, linW(c, i, 2), 1) : (c, i) => memory8(c, op, linW(c, i, 1), 1);
  return (c, i) => setReg(c, size, rmField(c, i), alu(c.m32, size, op, getReg(c, size, rmField(c, i)), 1));
};

/** 0 - a, flags as of a subtraction. */
const bindNeg = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1 << size);
      c.probeWrite(linear, 1 << size);
      if (size === 2) c.write32(linear, sub32(c.m32, 0, c.read32(linear)));
      else if (size === 1) c.write16(linear, alu16(c.m32, Alu.SUB, 0, c.read16(linear)) & 0xffff);
      else c.write8(linear, alu8(c.m32, Alu.SUB, 0, c.read8(linear)) & 0xff);
    };
  }
  if (size === 2) {
    return (c, i) => {
      const e = (c.code[i + R.REGS] >> 4) & 7;
      c.m32[e] = sub32(c.m32, 0, c.m32[e]);
    };
  }
  return (c, i) => setReg(c, size, rmField(c, i), alu(c.m32, size, Alu.SUB, 0, getReg(c, size, rmField(c, i))));
};

const bindNot = (_row: Row, size: Size, memory: boolean): Handler => {
  if (memory) {
    return (c, i) => {
      const linear = linW(c, i, 1 << size);
      c.probeWrite(linear, 1 << size);
      if (size === 2) c.write32(linear, ~c.read32(linear));
      else if (size === 1) c.write16(linear, ~c.read16(linear) & 0xffff);
      else c.write8(linear, ~c.read8(linear) & 0xff);
    };
  }
  return (c, i) => setReg(c, size, rmField(c, i), ~readE(c, i, size, false));
};

export const ALU: Binders = {
  add: bind,
  or: bind,
  adc: bind,
  sbb: bind,
  and: bind,
  sub: bind,
  xor: bind,
  cmp: bind,
  test: bind,
  inc: bindStep,
  dec: bindStep,
  neg: bindNeg,
  not: bindNot,
};
