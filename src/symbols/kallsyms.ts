// The kernel's own symbol table, found and decoded in an image of its memory: names for a kernel that came without files.
// With CONFIG_KALLSYMS a kernel carries, one after the other and aligned to 4 bytes: the addresses, their number, the names (a length
// byte, then that many token numbers), a marker for every 256th name, the tokens, and the offset of each of the 256 tokens.
// Nothing points to them from outside, so they are recognised by their shape. The layout is that of Linux 2.6 to 4.5 on i386.
// It leaves out reading the memory: the caller passes bytes.

import { type Pieces, whole } from './pieces';
import { text, u32At } from './reader';
import { SymbolTable } from './symbol-table';

/** Where the parts lie in the image, in bytes. */
export interface KallsymsLayout {
  addresses: number;
  count: number;
  names: number;
  tokens: number;
  tokenIndex: number;
}

const TOKENS = 256;
/** The digits stand for themselves in the token table: `0`, `1`, ... `9`, each with its zero. */
const DIGITS = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? 0x30 + at / 2 : 0));
const NAMES_PER_MARKER = 256;
const LONGEST_NAME = 128;

const u16At = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
const alignUp = (at: number): number => (at + 3) & ~3;

/** Finds the table in an image of memory (any base; offset 0 must be 4-byte aligned in the Guest). Undefined when there is none. */
export function findKallsyms(image: Uint8Array): KallsymsLayout | undefined {
  return whole(findingKallsyms(image));
}

/** Bytes searched between two pieces. */
const PIECE = 1 << 21;

/** As findKallsyms(), in pieces. Ended early, there is none. */
export function* findingKallsyms(image: Uint8Array): Pieces<KallsymsLayout | undefined> {
  let next = PIECE;
  for (let at = image.indexOf(0x30); at >= 0 && at + DIGITS.length < image.length; at = image.indexOf(0x30, at + 1)) {
    if (at >= next) {
      if (yield at / image.length) return undefined;
      next = at + PIECE;
    }
    if (image[at + 1] !== 0 || image[at + 2] !== 0x31) continue;
    if (!DIGITS.every((byte, i) => image[at + i] === byte)) continue;
    const layout = layoutAround(image, at);
    if (layout) return layout;
  }
  return undefined;
}

/** `zero` is the place of token 0x30, the digit 0. */
function layoutAround(image: Uint8Array, zero: number): KallsymsLayout | undefined {
  let end = zero;
  for (let token = 0x30; token < TOKENS; token++) {
    end = image.indexOf(0, end) + 1;
    if (end === 0) return undefined;
  }
  const tokenIndex = alignUp(end);
  if (tokenIndex + 2 * TOKENS > image.length) return undefined;
  const tokens = zero - u16At(image, tokenIndex + 2 * 0x30);
  for (let token = 1; token < TOKENS; token++) {
    const [before, here] = [u16At(image, tokenIndex + 2 * token - 2), u16At(image, tokenIndex + 2 * token)];
    if (here <= before || (token === 1 && before !== 0)) return undefined;
  }
  const found = tokens > 0 ? namesBefore(image, tokens) : undefined;
  return found && { ...found, tokens, tokenIndex };
}

function namesBefore(image: Uint8Array, tokens: number): Omit<KallsymsLayout, 'tokens' | 'tokenIndex'> | undefined {
  // Markers ascend from 0 up to the token table.
  let markers = (tokens & ~3) - 4;
  const last = markers >= 0 ? u32At(image, markers) : 0;
  while (markers >= 4 && u32At(image, markers) !== 0) {
    if (u32At(image, markers - 4) >= u32At(image, markers)) return undefined;
    markers -= 4;
  }
  if (markers < 4) return undefined;
  const blocks = ((tokens & ~3) - markers) / 4;
  const furthest = markers - last - NAMES_PER_MARKER * LONGEST_NAME - 8;
  for (let names = (markers - last) & ~3; names >= Math.max(furthest, 8); names -= 4) {
    const count = u32At(image, names - 4);
    if (Math.ceil(count / NAMES_PER_MARKER) !== blocks || alignUp(namesEnd(image, names, count, markers)) !== markers) continue;
    const addresses = names - 4 - 4 * count;
    if (addresses >= 0 && ascends(image, addresses, count)) return { addresses, count, names };
  }
  return undefined;
}

/** Offset after `count` names that start at `at`, or more than `limit` when they do not fit. */
function namesEnd(image: Uint8Array, at: number, count: number, limit: number): number {
  for (let name = 0; name < count && at <= limit; name++) at += 1 + image[at]!;
  return at;
}

function ascends(image: Uint8Array, at: number, count: number): boolean {
  for (let index = 1; index < count; index++) if (u32At(image, at + 4 * index) < u32At(image, at + 4 * index - 4)) return false;
  return true;
}

/** Decodes the table that `findKallsyms` found. Each name starts with its type letter, as in System.map. */
export function readKallsyms(image: Uint8Array, layout: KallsymsLayout): SymbolTable {
  const tokens: string[] = [];
  for (let token = 0; token < TOKENS; token++) {
    const start = layout.tokens + u16At(image, layout.tokenIndex + 2 * token);
    tokens.push(text(image, start, Math.max(image.indexOf(0, start), start)));
  }
  const lines: string[] = [];
  let at = layout.names;
  for (let index = 0; index < layout.count; index++) {
    const length = image[at]!;
    let name = '';
    for (let i = 1; i <= length; i++) name += tokens[image[at + i]!]!;
    at += 1 + length;
    lines.push(`${u32At(image, layout.addresses + 4 * index).toString(16)} ${name[0]} ${name.slice(1)}`);
  }
  return SymbolTable.fromText(lines.join('\n'), 'kallsyms');
}
