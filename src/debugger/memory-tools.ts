// Memory as a whole: searching an address space, regions as files (raw, Intel HEX, S-records), and what is known about one byte.
//
// Reading never changes the machine; what is not mapped is passed over. What it leaves out: values with types (expression.ts).

import { ExpressionError } from './expression';
import { lastWrite, lastWriteText, type WriteRecorder } from './last-writes';
import type { Programs } from './programs';
import { hex8, type Space, type Target } from './target';

const PAGE = 4096;

/** `"text"`, `0x1234` (a word, as a pointer lies in memory), `bytes 12 34 ab`. @throws ExpressionError. */
export const parsePattern = (text: string): Uint8Array => {
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(text.trim());
  if (quoted !== null) {
    const bytes = new TextEncoder().encode(
      quoted[1].replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, c: string) =>
        c.length === 3 ? String.fromCharCode(Number.parseInt(c.slice(1), 16)) : ({ n: '\n', t: '\t', 0: '\0' }[c] ?? c),
      ),
    );
    if (bytes.length > 0) return bytes;
  }
  const list = /^(?:bytes\s+)?((?:[0-9a-f]{2}[\s,]*)+)$/i.exec(text.trim());
  if (list !== null && !/^\d+$/.test(text.trim()))
    return Uint8Array.from((list[1].match(/[0-9a-f]{2}/gi) ?? []).map((b) => Number.parseInt(b, 16)));
  const word = /^(0x[0-9a-f]{1,8}|\d+)$/i.exec(text.trim());
  if (word !== null) {
    const value = Number(word[1]);
    return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
  }
  throw new ExpressionError(`"${text}" is nothing to look for; write "text", 0x1234 for a word, or bytes 12 34 ab`);
};

/** A search that is done page by page. `next()` looks at some pages; it returns the share that is done, undefined at the end. */
export class Search {
  readonly found: number[] = [];
  private at: number;
  /** The end of the page before, for matches that cross. */
  private rest = new Uint8Array();

  constructor(
    private readonly target: Target,
    private readonly pattern: Uint8Array,
    private readonly from: number,
    private readonly to: number,
    private readonly space: Space,
    private readonly most: number,
  ) {
    this.at = from;
  }

  /** At the start of what a page table would map, and neither the Guest nor the shadow has one: most of 4 GB is like that. */
  private emptyTable(): boolean {
    const { host } = this.target;
    if (host === undefined || this.space.kind !== 'linear' || this.space.directory !== undefined || this.at % TABLE !== 0) return false;
    const isMissing = (pde: number | undefined): boolean => pde === undefined || (pde & 1) === 0;
    return isMissing(host.guestWalk(this.at).pde) && isMissing(host.shadowWalk(this.at).pde);
  }

  next(): number | undefined {
    const { pattern, target, space } = this;
    for (let n = 0; n < 256; n++) {
      if (this.at >= this.to || this.found.length >= this.most) return undefined;
      const size = Math.min(this.to - this.at, PAGE - (this.at % PAGE));
      const bytes = target.read(this.at, size, space);
      if (bytes.length === 0) {
        this.rest = new Uint8Array();
        // Nothing at the start of a table and none of its pages: the next one.
        this.at += this.emptyTable() ? Math.min(TABLE, this.to - this.at) : size;
        continue;
      }
      const both = new Uint8Array(this.rest.length + bytes.length);
      both.set(this.rest);
      both.set(bytes, this.rest.length);
      const base = this.at - this.rest.length;
      for (let i = both.indexOf(pattern[0]); i >= 0 && i + pattern.length <= both.length; i = both.indexOf(pattern[0], i + 1)) {
        let k = 1;
        while (k < pattern.length && both[i + k] === pattern[k]) k++;
        if (k === pattern.length && this.found.length < this.most) this.found.push(base + i);
      }
      this.rest = both.slice(Math.max(0, both.length - pattern.length + 1));
      this.at += size;
    }
    return (this.at - this.from) / (this.to - this.from);
  }
}

/** What one page table maps. */
const TABLE = 1 << 22;

export const REGION_FORMATS = ['raw', 'hex', 'srec'] as const;
export type RegionFormat = (typeof REGION_FORMATS)[number];

const h2 = (n: number): string => (n & 0xff).toString(16).toUpperCase().padStart(2, '0');
const sum = (bytes: readonly number[]): number => bytes.reduce((a, b) => a + b, 0) & 0xff;

/** A region as text: Intel HEX with linear addresses, or Motorola S-records with 32-bit addresses. */
export const regionText = (bytes: Uint8Array, address: number, format: 'hex' | 'srec'): string => {
  const lines: string[] = [];
  const intel = (type: number, at: number, data: readonly number[]): void => {
    const all = [data.length, (at >>> 8) & 0xff, at & 0xff, type, ...data];
    lines.push(`:${all.map(h2).join('')}${h2(-sum(all))}`);
  };
  const motorola = (type: number, at: number, data: readonly number[]): void => {
    const all = [data.length + 5, (at >>> 24) & 0xff, (at >>> 16) & 0xff, (at >>> 8) & 0xff, at & 0xff, ...data];
    lines.push(`S${type}${all.map(h2).join('')}${h2(~sum(all))}`);
  };
  let high = -1;
  for (let i = 0; i < bytes.length; ) {
    const at = address + i;
    const data = [...bytes.subarray(i, i + Math.min(16, bytes.length - i, 0x10000 - (at & 0xffff)))];
    if (format === 'hex') {
      if (at >>> 16 !== high) {
        high = at >>> 16;
        intel(4, 0, [high >>> 8, high & 0xff]);
      }
      intel(0, at & 0xffff, data);
    } else motorola(3, at, data);
    i += data.length;
  }
  if (format === 'hex') intel(1, 0, []);
  else motorola(7, address, []);
  return `${lines.join('\n')}\n`;
};

/** Reads either text. @throws ExpressionError with the line that is wrong. */
export const parseRegion = (text: string): { address: number; bytes: Uint8Array }[] => {
  const out: { address: number; bytes: Uint8Array }[] = [];
  let high = 0;
  for (const [n, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const bad = (why: string): never => {
      throw new ExpressionError(`line ${n + 1}: ${why}`);
    };
    const digits = /^(?::|S\d)((?:[0-9a-f]{2})+)$/i.exec(line)?.[1] ?? bad('neither Intel HEX nor an S-record');
    const all = (digits.match(/../g) ?? []).map((d) => Number.parseInt(d, 16));
    if (line[0] === ':') {
      if (all.length < 5 || all.length !== all[0] + 5) bad('wrong length');
      if (sum(all) !== 0) bad('wrong checksum');
      const data = all.slice(4, -1);
      if (all[3] === 4) high = (data[0] << 8) | data[1];
      else if (all[3] === 2) high = ((data[0] << 8) | data[1]) >>> 12;
      else if (all[3] === 0) out.push({ address: high * 0x10000 + ((all[1] << 8) | all[2]), bytes: Uint8Array.from(data) });
      continue;
    }
    if (all.length < 3 || all.length !== all[0] + 1) bad('wrong length');
    if (sum(all) !== 0xff) bad('wrong checksum');
    const width = { 1: 2, 2: 3, 3: 4 }[Number(line[1])];
    if (width === undefined) continue;
    let address = 0;
    for (let i = 1; i <= width; i++) address = address * 256 + all[i];
    out.push({ address, bytes: Uint8Array.from(all.slice(1 + width, -1)) });
  }
  return out;
};

/** What is known about a byte: symbol, who may access it by the Guest's and the shadow tables, where it lies, its other addresses. */
export const aboutByte = (target: Target, programs: Programs, recorder: WriteRecorder, address: number): string[] => {
  const rows = [`${hex8(address)}: ${programs.nameOf(address) ?? 'no symbol'}`];
  const bits = (pte: number | undefined): string =>
    pte === undefined || (pte & 1) === 0
      ? 'not mapped'
      : `${pte & 4 ? 'user' : 'kernel'} ${pte & 2 ? 'read-write' : 'read-only'}${pte & 0x40 ? ', dirty' : ''}${pte & 0x20 ? ', accessed' : ''}`;
  const { host } = target;
  if (host !== undefined) {
    rows.push(`Guest's table: ${bits(host.guestWalk(address).pte)}`, `shadow table: ${bits(host.shadowWalk(address).pte)}`);
  }
  const physical = target.physical(address);
  if (physical !== undefined) rows.push(`physical ${hex8(physical)}`);
  const [byte] = target.read(address, 1);
  rows.push(byte === undefined ? 'unreadable' : `value 0x${byte.toString(16).padStart(2, '0')}`);
  if (byte !== undefined) rows.push(`last write: ${lastWriteText(programs, lastWrite(target, recorder, address, 1))}`);
  return rows;
};
