// A descriptor's two words as text: segment, gate or nothing. For the Guest's tables as the Host keeps them, and for `desc_struct` in memory.

import { hex8 } from './target';

/** Type, presence and width from the access byte with the flags of the high word. */
export const accessText = (access: number): string => {
  const kind =
    access & 0x10
      ? access & 8
        ? `code${access & 2 ? ' readable' : ''}`
        : `data${access & 2 ? ' writable' : ''}`
      : `system type 0x${(access & 15).toString(16)}`;
  return `${kind}${access & 0x80 ? '' : ', not present'}, ${access & 0x4000 ? '32' : '16'}-bit`;
};
export const descriptorText = (low: number, high: number): string => {
  if (low === 0 && high === 0) return 'null';
  const base = ((high & 0xff000000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0;
  const raw = ((high & 0xf0000) | (low & 0xffff)) >>> 0;
  const limit = high & 0x800000 ? ((raw << 12) | 0xfff) >>> 0 : raw;
  return `base ${hex8(base)} limit ${hex8(limit)} dpl ${(high >> 13) & 3} ${accessText((high >> 8) & 0xf0ff)}`;
};

/** As descriptorText(), and gates as gates: selector, offset, type and DPL. */
export const descriptorWords = (low: number, high: number): string => {
  const system = (high & 0x1000) === 0;
  const type = (high >> 8) & 15;
  if (low === 0 && high === 0) return 'null';
  if (!system || ![5, 6, 7, 14, 15].includes(type)) return descriptorText(low, high);
  const offset = type === 5 ? undefined : ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
  const kind = { 5: 'task gate', 6: '16-bit interrupt gate', 7: '16-bit trap gate', 14: 'interrupt gate', 15: 'trap gate' }[type];
  return `${offset === undefined ? '' : `${hex8(offset)} `}${kind} selector 0x${(low >>> 16).toString(16)} dpl ${(high >> 13) & 3}${high & 0x8000 ? '' : ', not present'}`;
};
