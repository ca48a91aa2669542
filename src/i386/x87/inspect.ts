// The x87 stack as a debugger shows it: value, raw digits, tag. Reads only, and works on any state block, so that snapshots can be looked at too.
// What it leaves out: formatting for a particular view.

import { W } from '../state';
import { EXP_MAX, Kind, kindOf, SIGN } from './float80';

/** One register of the stack. */
export interface StackRegister {
  /** n of ST(n). */
  readonly index: number;
  /** Physical register number, as tag word and FNSAVE count them. */
  readonly physical: number;
  readonly tag: 'valid' | 'zero' | 'special' | 'empty';
  /** Nearest double; NaN for NaNs and unsupported encodings. Contents are shown even when the register is empty. */
  readonly value: number;
  /** 20 hex digits: sign and exponent, then the mantissa. */
  readonly raw: string;
}

const digits = (value: number, count: number): string => (value >>> 0).toString(16).padStart(count, '0');

/** The double nearest to a slot's value (rounded twice below the range of normal doubles, which a view will not notice). */
export const slotValue = (m: Int32Array, slot: number): number => {
  const kind = kindOf(m, slot);
  const sign = m[slot + 2] & SIGN ? -1 : 1;
  if (kind === Kind.ZERO) return sign * 0;
  if (kind === Kind.INFINITY) return sign * Number.POSITIVE_INFINITY;
  if (kind !== Kind.FINITE) return Number.NaN;
  const exp = (m[slot + 2] & EXP_MAX) - 16446;
  const mantissa = (m[slot + 1] >>> 0) * 4294967296 + (m[slot] >>> 0);
  // 2^exp may be out of range where the product is not.
  if (exp > 1000) return sign * Number.POSITIVE_INFINITY;
  const half = exp >> 1;
  return sign * mantissa * 2 ** half * 2 ** (exp - half);
};

/** ST(n) of the machine whose state block `m` is. */
export const readST = (m: Int32Array, n: number): StackRegister => {
  const physical = ((m[W.FPU_SW] >> 11) + n) & 7;
  const slot = W.FPU_REGS + (physical << 2);
  const kind = kindOf(m, slot);
  const empty = ((m[W.FPU_VALID] >> physical) & 1) === 0;
  const tag = empty ? 'empty' : kind === Kind.ZERO ? 'zero' : kind === Kind.FINITE && (m[slot + 2] & EXP_MAX) !== 0 ? 'valid' : 'special';
  return {
    index: n,
    physical,
    tag,
    value: slotValue(m, slot),
    raw: digits(m[slot + 2] & 0xffff, 4) + digits(m[slot + 1], 8) + digits(m[slot], 8),
  };
};
