// Values that lie nowhere in the Guest's memory: texts and structures that answers are made of, so that they are opened, formatted and watched like any other value.
//
// What it leaves out: what the answers are (machine-functions.ts, host-values.ts) and how they look (value.ts).

import type { Type } from '../symbols/dwarf/types';
import { pointerTo, toLittleEndian, UINT, type Value } from './expression';

const CHAR: Type = { kind: 'base', name: 'char', size: 1, encoding: 'signed char' };
export const UWIDE: Type = { kind: 'base', name: 'unsigned long long', size: 8, encoding: 'unsigned' };
/** A place in code: shown with its name. */
export const CODE: Type = pointerTo({ kind: 'function', returns: UINT, parameters: [], variadic: false, prototyped: false, size: 1 });
export const arrayOf = (element: Type, count: number): Type => ({
  kind: 'array',
  element,
  count,
  size: element.size * count,
  vector: false,
});

/** A text as a char array. */
export const textValue = (text: string): Value => {
  const bytes = new TextEncoder().encode(`${text}\0`);
  return { type: arrayOf(CHAR, bytes.length), bits: 0n, bytes };
};
/** A whole text, however long, shown as it is. */
export const prose = (text: string): Value => ({ ...textValue(text), text: text.replace(/\n$/, '') });

/** Name, type, value. A text becomes a char array, a made value itself; a missing one is left out. */
export type MadeMember = readonly [name: string, type: Type | 'text' | 'value', value: number | bigint | string | Value | undefined];

export const structure = (name: string, members: readonly MadeMember[]): Value => {
  const parts: { name: string; type: Type; bytes: Uint8Array }[] = [];
  for (const [member, type, value] of members) {
    if (value === undefined) continue;
    if (typeof value === 'object') parts.push({ name: member, type: value.type, bytes: value.bytes ?? new Uint8Array() });
    else if (typeof value === 'string') {
      const { type: t, bytes } = textValue(value);
      parts.push({ name: member, type: t, bytes: bytes as Uint8Array });
    } else if (typeof type !== 'string') parts.push({ name: member, type, bytes: toLittleEndian(BigInt(value), type.size) });
  }
  const whole = joined(parts.map((p) => p.bytes));
  const list = parts.map((p, i) => ({
    name: p.name,
    type: p.type,
    offset: whole.starts[i],
    bitOffset: undefined,
    bitSize: undefined,
    inherited: false,
  }));
  const size = whole.bytes.length;
  const type: Type = { kind: 'struct', name, size, members: list, incomplete: false, declFile: undefined, declLine: undefined, die: -1 };
  return { type, bits: 0n, bytes: whole.bytes };
};

/** The same bytes seen as several types: each member begins at the first byte. */
export const overlaid = (name: string, bytes: Uint8Array, members: readonly (readonly [name: string, element: Type])[]): Value => {
  const list = members.map(([member, element]) => ({
    name: member,
    type: element.size === bytes.length ? element : arrayOf(element, bytes.length / element.size),
    offset: 0,
    bitOffset: undefined,
    bitSize: undefined,
    inherited: false,
  }));
  const size = bytes.length;
  return {
    type: { kind: 'union', name, size, members: list, incomplete: false, declFile: undefined, declLine: undefined, die: -1 },
    bits: 0n,
    bytes,
  };
};

/** An array of values that are all of one size. */
export const array = (elements: readonly Value[]): Value => ({
  type: arrayOf(elements[0]?.type ?? UINT, elements.length),
  bits: 0n,
  bytes: joined(elements.map((e) => e.bytes ?? new Uint8Array())).bytes,
});

const joined = (parts: readonly Uint8Array[]): { bytes: Uint8Array; starts: number[] } => {
  const starts: number[] = [];
  let size = 0;
  for (const p of parts) {
    starts.push(size);
    size += p.length;
  }
  const bytes = new Uint8Array(size);
  for (const [i, p] of parts.entries()) bytes.set(p, starts[i]);
  return { bytes, starts };
};
