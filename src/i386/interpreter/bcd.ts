// Decimal arithmetic: DAA DAS AAA AAS AAM AAD.
//
// Rare and odd; written as the manual's pseudo-code says. Flags it calls undefined get what present processors were seen to give. Source: SDM vol. 2.

import type { Cpu } from '../cpu';
import { R } from '../decode';
import { EXC, FL, W } from '../state';
import type { Binders, Handler } from './operands';

/** Result flags of an 8-bit value, with the given AF and CF; OF clear. */
const setByteFlags = (c: Cpu, value: number, af: boolean, cf: boolean): void => {
  c.m32[W.FLAG_RESULT] = (value << 24) >> 24;
  c.m32[W.FLAG_AUX] = (cf ? 0xc0000000 | 0 : 0) | (af ? 8 : 0);
};

const decimalAdjust =
  (subtract: boolean): Handler =>
  (c) => {
    const al = c.m8[0];
    const flags = c.getFlags();
    const low = (al & 0xf) > 9 || (flags & FL.AF) !== 0;
    const high = al > 0x99 || (flags & FL.CF) !== 0;
    const by = (low ? 6 : 0) + (high ? 0x60 : 0);
    const value = (subtract ? al - by : al + by) & 0xff;
    // DAS: a borrow out of the first step sets CF too.
    const cf = high || (subtract && low && al < 6);
    c.m8[0] = value;
    setByteFlags(c, value, low, cf);
  };

const asciiAdjust =
  (subtract: boolean): Handler =>
  (c) => {
    const flags = c.getFlags();
    const adjust = (c.m8[0] & 0xf) > 9 || (flags & FL.AF) !== 0;
    if (adjust) c.m16[0] = subtract ? c.m16[0] - 0x106 : c.m16[0] + 0x106;
    c.m8[0] &= 0xf;
    setByteFlags(c, c.m8[0], adjust, adjust);
  };

export const BCD: Binders = {
  daa: () => decimalAdjust(false),
  das: () => decimalAdjust(true),
  aaa: () => asciiAdjust(false),
  aas: () => asciiAdjust(true),
  aam: () => (c, i) => {
    const base = c.code[i + R.IMM];
    if (base === 0) c.raise(EXC.DE, 0);
    const al = c.m8[0];
    c.m8[1] = Math.trunc(al / base);
    c.m8[0] = al % base;
    setByteFlags(c, c.m8[0], false, false);
  },
  aad: () => (c, i) => {
    const value = (c.m8[0] + c.m8[1] * c.code[i + R.IMM]) & 0xff;
    c.m16[0] = value;
    setByteFlags(c, value, false, false);
  },
};
