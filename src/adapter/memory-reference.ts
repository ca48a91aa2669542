// Memory references: the texts by which a client names a place in memory.

import { hex8, LINEAR, type Space } from '../debugger/target';
import type { Context } from './context';
import { ERRORS, RequestError } from './requests';

/** `0x…`, `p:0x…`, `v@0x…:0x…`, `host:0x…`. */
export const reference = (s: Context, text: string): { address: number; space: Space } => {
  const m = /^(?:(p|host|v)(?:@(0x[0-9a-f]+|\d+))?:)?(0x[0-9a-f]+|\d+)$/i.exec(text.trim());
  if (m === null) {
    const { value } = s.core.evaluate(text, undefined, false);
    return { address: Number(BigInt.asUintN(32, value.bits)), space: LINEAR };
  }
  const address = Number(m[3]);
  if (!(address >= 0 && address <= 0xffffffff)) throw new RequestError(ERRORS.memory, `${text} is beyond 4 GB.`);
  if (m[1] === 'p') return { address, space: { kind: 'physical' } };
  if (m[1] === 'host') return { address, space: { kind: 'machine' } };
  return { address, space: m[2] === undefined ? LINEAR : { kind: 'linear', directory: Number(m[2]) } };
};

export const spaceName = (text: string, address: number): string => {
  const prefix = /^((?:p|host|v@[^:]+):)/i.exec(text)?.[1] ?? '';
  return `${prefix}${hex8(address)}`;
};
