// Single bits: BT, BTS, BTR, BTC, BSF, BSR.
//
// A register bit offset reaches beyond a memory operand: the address moves by whole operands, in either direction. Only CF changes (BT family) or only
// ZF is defined (scans); the rest keeps its value. Source: SDM vol. 2, "BT", "BSF", "BSR".

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import type { Row } from '../opcodes';
import { W } from '../state';
import {
  type Binders,
  ea,
  getReg,
  type Handler,
  readE,
  readLinear,
  regField,
  rmField,
  type Size,
  setReg,
  signed,
  writeLinear,
} from './operands';

/** Sets CF and leaves the other five: OF is bit 31 ^ bit 30, so both change together. */
export const setCarry = (m: Int32Array, cf: number): void => {
  if (m[W.FLAG_AUX] >>> 31 !== cf) m[W.FLAG_AUX] ^= 0xc0000000;
};

const OPERATIONS: Record<string, number> = { bt: 0, bts: 1, btr: 2, btc: 3 };
const apply = (operation: number, value: number, bit: number): number =>
  operation === 1 ? value | bit : operation === 2 ? value & ~bit : value ^ bit;

const bind = (row: Row, size: Size, memory: boolean): Handler => {
  const operation = OPERATIONS[row.name];
  const immediate = row.args.endsWith('Ib');
  const mask = (8 << size) - 1;
  const bytes = 1 << size;
  if (!memory) {
    return (c, i) => {
      const e = rmField(c, i);
      const n = (immediate ? c.code[i + R.IMM] : c.m32[regField(c, i)]) & mask;
      const value = getReg(c, size, e);
      setCarry(c.m32, (value >>> n) & 1);
      if (operation !== 0) setReg(c, size, e, apply(operation, value, 1 << n));
    };
  }
  const address = (c: Cpu, i: number): number => {
    let offset = ea(c, i);
    if (!immediate) {
      offset = (offset + (signed(size, getReg(c, size, regField(c, i))) >> (size + 3)) * bytes) | 0;
      if (c.code[i + R.META] & M.ADDR16) offset &= 0xffff;
    }
    const seg = (c.code[i + R.META] >> M.SEG_SHIFT) & 7;
    return operation === 0 ? c.linR(seg, offset, bytes) : c.linW(seg, offset, bytes);
  };
  return (c, i) => {
    const linear = address(c, i);
    if (operation !== 0) c.probeWrite(linear, bytes);
    const n = (immediate ? c.code[i + R.IMM] : c.m32[regField(c, i)]) & mask;
    const value = readLinear(c, size, linear);
    setCarry(c.m32, (value >>> n) & 1);
    if (operation !== 0) writeLinear(c, size, linear, apply(operation, value, 1 << n));
  };
};

/** Flags of a scan: ZF says "nothing found"; the others are undefined and cleared. */
const bindScan = (row: Row, size: Size, memory: boolean): Handler => {
  const forward = row.name === 'bsf';
  return (c, i) => {
    const value = readE(c, i, size, memory);
    if (value !== 0) setReg(c, size, regField(c, i), 31 - Math.clz32(forward ? value & -value : value));
    c.m32[W.FLAG_RESULT] = value === 0 ? 0 : 1;
    c.m32[W.FLAG_AUX] = 0;
  };
};

export const BITS: Binders = { bt: bind, bts: bind, btr: bind, btc: bind, bsf: bindScan, bsr: bindScan };
