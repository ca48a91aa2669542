// Listings: text for code that has no source, so that every stop has something to show. One page for each function or, without symbols, each 256 bytes.
//
// A listing's lines map to addresses both ways, so breakpoints can be set in it. What it leaves out: who asks and how it is numbered.

import type { Decoded, Disassembler } from '../i386/disassembly';
import type { Programs } from './programs';
import { hex8, segmentedText, type Target } from './target';

export interface Listing {
  name: string;
  low: number;
  high: number;
  text: string;
  /** Address of each line, from line 1; undefined for lines that are no instruction. */
  addresses: (number | undefined)[];
  /** How it was read: in another code segment it reads otherwise. */
  mode: string;
}

const PAGE = 256;
const LONGEST = 0x4000;
const MOST_ROWS = 4000;

/** What a jump leads to, or what an address among the operands is: ` <printk>`. Small numbers are numbers. */
export const targetNote = (programs: Programs, decoded: Pick<Decoded, 'target' | 'constants'>): string => {
  const named = (c: number): string | undefined => (c < FIRST_NAMED ? undefined : dataName(programs, c));
  const name = decoded.target === undefined ? decoded.constants.map(named).find((n) => n !== undefined) : programs.nameOf(decoded.target);
  return name === undefined ? '' : ` <${name}>`;
};
/** A function's start, or a place inside of an object: anything else that lies behind a symbol is a number like any other. */
const dataName = (programs: Programs, address: number): string | undefined => {
  const symbol = programs.symbolAt(address);
  if (symbol === undefined || (symbol.offset !== 0 && (symbol.kind !== 'object' || symbol.offset >= symbol.size))) return undefined;
  return programs.nameOf(address);
};
const FIRST_NAMED = 0x10000;

/** Bits and base of the code segment at hand. */
export const codeMode = (target: Target): string => `${target.codeBits} ${target.segmentBase('cs')}`;

/** Where the listing of an address starts and ends. */
export const listingRange = (programs: Programs, address: number): { low: number; high: number; name: string } => {
  const at = programs.linked(address);
  const symbol = at?.program.table.lookup(at.link);
  if (at !== undefined && symbol !== undefined && symbol.kind !== 'object') {
    const low = (symbol.address + at.bias) >>> 0;
    const size = Math.max(symbol.size, symbol.offset + 1);
    if (size <= LONGEST) return { low, high: low + size, name: symbol.name };
  }
  const low = (address & ~(PAGE - 1)) >>> 0;
  return { low, high: low + PAGE, name: hex8(low) };
};

export const makeListing = (target: Target, programs: Programs, disassembler: Disassembler, address: number): Listing => {
  const { low, high, name } = listingRange(programs, address);
  const lines: string[] = [];
  const addresses: (number | undefined)[] = [];
  const place = (at: number): string => [hex8(at), segmentedText(target, at)].filter((x) => x !== undefined).join('  ');
  const add = (text: string, at?: number): void => {
    lines.push(text);
    addresses.push(at);
  };
  const first = segmentedText(target, low);
  add(`; ${name}: ${hex8(low)} to ${hex8(high)}${first === undefined ? '' : `, ${first} on, ${target.codeBits}-bit code`}`);
  // Without a symbol the first instruction's start is a guess: the address asked about is an instruction, so go from there.
  let at = name.startsWith('0x') ? address : low;
  const bytes = target.read(low, high - low + 15);
  while (at < high && lines.length < MOST_ROWS) {
    const here = bytes.subarray(at - low, at - low + 15);
    const symbol = programs.symbolAt(at);
    if (symbol?.offset === 0) add(`${symbol.name}:`);
    const decoded = disassembler.decode(here, at, target.codeBits, target.segmentBase('cs'));
    if (decoded === undefined) {
      add(
        `  ${place(at)}  ${here.length === 0 ? '??' : `${here[0].toString(16).padStart(2, '0')}`.padEnd(24)}  ${here.length === 0 ? '(not mapped)' : '(bad)'}`,
        at,
      );
      if (here.length === 0) break;
      at++;
      continue;
    }
    const raw = Array.from(here.subarray(0, decoded.length), (b) => b.toString(16).padStart(2, '0')).join(' ');
    add(`  ${place(at)}  ${raw.padEnd(24)}  ${decoded.text}${targetNote(programs, decoded)}`, at);
    at += decoded.length;
  }
  return { name, low, high, text: `${lines.join('\n')}\n`, addresses, mode: codeMode(target) };
};

export const lineOf = (listing: Listing, address: number): number => {
  const i = listing.addresses.indexOf(address);
  if (i >= 0) return i + 1;
  // Behind the last instruction: a call that does not come back.
  const last = listing.addresses.findLastIndex((a) => a !== undefined && a < address);
  return Math.max(0, last) + 1;
};
