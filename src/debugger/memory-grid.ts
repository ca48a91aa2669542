// Memory as a grid of rows: sixteen bytes with their text, what changed since the Guest was last set running, and what is known about each byte.
//
// A grid is about an expression, so it follows a register or a pointer from stop to stop; what is compared is the same place in memory, not the same row. Unmapped bytes are `??`,
// never an error. Reading changes nothing. What it leaves out: searching and files (memory-tools.ts), and who draws it.

import { ExpressionError } from './expression';
import { lastWrite, lastWriteText } from './last-writes';
import type { Debugger } from './session';
import { hex8, type Space } from './target';
import { children, formatValue, PLAIN_FORMAT } from './value';
import type { TreeRow } from './views';

export const GRID_WIDTH = 16;
const PAGE = 4096;
const MOST_ROWS = 256;
const MOST_MEMBERS = 200;

/** A row of the grid. `highlights`: ranges of characters of the label that stand for changed bytes. */
export interface GridRow extends TreeRow {
  highlights?: [from: number, to: number][];
  children?: GridRow[];
}

/** Who maps a page: `both`, or only one of the two tables, or nobody. */
export type PageState = 'mapped' | 'guest only' | 'shadow only' | 'hole';

export const pageState = (d: Debugger, address: number, space: Space): PageState => {
  const { target } = d;
  const { host } = target;
  if (space.kind !== 'linear' || space.directory !== undefined || host === undefined)
    return target.locate(address, space) < 0 ? 'hole' : 'mapped';
  const guest = host.guestWalk(address).target !== undefined;
  const shadow = host.shadowWalk(address).target !== undefined;
  return guest ? (shadow ? 'mapped' : 'guest only') : shadow ? 'shadow only' : 'hole';
};

export interface GridWish {
  /** What the user wrote, for the first row. */
  text: string;
  address: number;
  space: Space;
  /** How a place of this space is written: `p:0x00001000`. */
  name: (address: number) => string;
  rows: number;
  /** A type to lay over the bytes, as C writes it. */
  as?: string;
}

export class MemoryGrid {
  /** The wish of each grid by its text, for as long as somebody asks for it. */
  private readonly wishes = new Map<string, { space: Space; address: number; length: number }>();
  /** What lay there when the Guest was last set running. */
  private before = new Map<string, { address: number; bytes: (number | undefined)[] }>();

  /** The Guest is about to run. */
  remember(d: Debugger): void {
    // Steps come by here ten thousand times a second.
    if (this.wishes.size === 0 && this.before.size === 0) return;
    this.before = new Map(
      [...this.wishes].map(([text, { space, address, length }]) => [text, { address, bytes: bytesAt(d, address, length, space) }]),
    );
    this.wishes.clear();
  }
  /** Another run: nothing to compare with. */
  forget(): void {
    this.before.clear();
    this.wishes.clear();
  }

  /** @throws ExpressionError for a type that is not known. */
  tree(d: Debugger, wish: GridWish): GridRow[] {
    const { address, space, name } = wish;
    const count = Math.max(1, Math.min(MOST_ROWS, wish.rows));
    const length = Math.min(count * GRID_WIDTH, 2 ** 32 - address);
    this.wishes.set(wish.text, { space, address, length });
    const now = bytesAt(d, address, length, space);
    const rows: GridRow[] = [{ label: wish.text, description: this.heading(d, wish), expanded: true }];
    if (wish.as !== undefined) rows.push(overlay(d, wish, wish.as));
    for (let at = 0; at < length; at += GRID_WIDTH) {
      const bytes = now.slice(at, at + GRID_WIDTH);
      const changed = bytes.map((b, i) => this.changed(wish.text, (address + at + i) >>> 0, b));
      const place = name((address + at) >>> 0);
      const state = pageState(d, (address + at) >>> 0, space);
      const symbol = space.kind === 'linear' ? d.programs.nameOf((address + at) >>> 0) : undefined;
      const row: GridRow = {
        label: `${place}  ${bytes.map(pair).join(' ')}  |${bytes.map(letter).join('')}|`,
        description: [symbol, state === 'mapped' ? undefined : state].filter((x) => x !== undefined).join(', '),
        reference: place,
        children: bytes.map((b, i) => byteRow(d, wish, (address + at + i) >>> 0, b, changed[i])),
      };
      const start = place.length + 2;
      const highlights = changed.flatMap((c, i): [number, number][] => (c ? [[start + 3 * i, start + 3 * i + 2]] : []));
      if (highlights.length > 0) row.highlights = highlights;
      rows.push(row);
    }
    return rows;
  }

  private heading(d: Debugger, { address, space, name, text }: GridWish): string {
    const place = name(address);
    const parts = [place === text ? '' : `= ${place}`];
    if (space.kind === 'linear') parts.push(d.programs.nameOf(address) ?? '');
    parts.push(pageState(d, address, space) === 'hole' ? 'not mapped' : '');
    return parts.filter((p) => p !== '').join(', ');
  }
  private changed(text: string, address: number, now: number | undefined): boolean {
    const before = this.before.get(text);
    const at = before === undefined ? -1 : address - before.address;
    return before !== undefined && at >= 0 && at < before.bytes.length && before.bytes[at] !== now;
  }
}

const pair = (b: number | undefined): string => (b === undefined ? '??' : b.toString(16).padStart(2, '0'));
const letter = (b: number | undefined): string => (b === undefined ? ' ' : b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.');

/** Each byte by itself: a hole in the middle hides nothing behind it. */
const bytesAt = (d: Debugger, address: number, length: number, space: Space): (number | undefined)[] => {
  const out: (number | undefined)[] = [];
  while (out.length < length) {
    const at = (address + out.length) >>> 0;
    const size = Math.min(length - out.length, PAGE - (at % PAGE));
    const bytes = d.target.read(at, size, space);
    for (let i = 0; i < size; i++) out.push(bytes[i]);
  }
  return out;
};

/** One byte: what it is called, who may do what there, who wrote it last. */
const byteRow = (d: Debugger, wish: GridWish, address: number, b: number | undefined, changed: boolean): GridRow => {
  const { space, name } = wish;
  const row: GridRow = {
    label: `${name(address)}  ${pair(b)}`,
    description: b === undefined ? 'not mapped' : `${b} ${quotedLetter(b)}${changed ? ', changed' : ''}`,
    reference: name(address),
  };
  if (space.kind !== 'linear' || space.directory !== undefined) return row;
  const { host } = d.target;
  const bits = (pte: number | undefined): string =>
    pte === undefined || (pte & 1) === 0 ? 'none' : `${pte & 4 ? 'user' : 'kernel'} ${pte & 2 ? 'rw' : 'r'}`;
  const parts = [d.programs.nameOf(address) ?? ''];
  if (host !== undefined) parts.push(`Guest ${bits(host.guestWalk(address).pte)}, shadow ${bits(host.shadowWalk(address).pte)}`);
  const write = lastWrite(d.target, d.watches, address, 1);
  if (typeof write !== 'string') parts.push(`last write ${lastWriteText(d.programs, write)}`);
  row.description = [row.description, ...parts].filter((p) => p !== '').join('; ');
  return row;
};
const quotedLetter = (b: number): string => (b >= 0x20 && b < 0x7f ? `'${String.fromCharCode(b)}'` : '');

/** A type over the bytes: each member with its offset. */
const overlay = (d: Debugger, { address, space }: GridWish, as: string): GridRow => {
  if (space.kind !== 'linear') throw new ExpressionError('a type is laid over linear addresses only');
  const text = `*(${as} *)${hex8(address)}`;
  const { value, env, format } = d.evaluate(text, undefined, false);
  const context = d.valueContext(env);
  const { items } = children(value, context, PLAIN_FORMAT, 0, MOST_MEMBERS);
  return {
    label: as,
    description: formatValue(value, context, format),
    expanded: true,
    children: items.map((c) => ({
      label: c.name,
      description: formatValue(c.value, context, PLAIN_FORMAT),
      tooltip: c.value.address === undefined ? c.name : `${c.name} at +0x${((c.value.address - address) >>> 0).toString(16)}`,
      ...(c.value.address === undefined ? {} : { reference: hex8(c.value.address) }),
    })),
  };
};
