// Memory references: the texts by which a client names a place in memory.

import { splitSpace } from '../debugger/space-text';
import { hex8, type Space } from '../debugger/target';
import type { Context } from './context';
import { ERRORS, RequestError } from './requests';

/** A number or an expression in the space that its prefix names. */
export const reference = (s: Context, text: string): { address: number; space: Space } => {
  const { space, rest } = splitSpace(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(rest))
    return { address: Number(BigInt.asUintN(32, s.core.evaluate(rest, undefined, false).value.bits)), space };
  const address = Number(rest);
  if (!(address >= 0 && address <= 0xffffffff)) throw new RequestError(ERRORS.memory, `${text} is beyond 4 GB.`);
  return { address, space };
};

/** A place in the space of `text`, in the one form that all answers have. */
export const spaceName = (text: string, address: number): string => `${splitSpace(text).prefix.toLowerCase()}${hex8(address)}`;
