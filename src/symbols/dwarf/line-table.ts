// The line table of one unit, arranged for questions: which line is at an address, which addresses belong to a line.
// Rows come in sequences (runs of addresses that only grow); sequences of code that the linker dropped are left out.
// Which of several rows at one address counts is decided here once: the last, but a statement before a non-statement (as gdb does).

import type { DebugFile, DebugUnit } from './die';
import {
  type LineHeader,
  type LineRows,
  ROW_END_SEQUENCE,
  ROW_IS_STMT,
  ROW_PROLOGUE_END,
  filePath,
  readLineHeader,
  readLineRows,
} from './line';

/** A run of rows [first, last] of ascending addresses; `last` is the end-of-sequence row. It covers [low, high). */
interface Sequence {
  low: number;
  high: number;
  first: number;
  last: number;
}

/** The row that covers an address, and the first row after that address. */
interface Found {
  row: number;
  next: number;
  sequence: Sequence;
}

/** A row as others see it. `file` is an index for `path`. Column 0 means unknown, line 0 that no source line made the code. */
export interface LineRow {
  index: number;
  address: number;
  file: number;
  line: number;
  column: number;
  isStmt: boolean;
  prologueEnd: boolean;
}

export class LineTable {
  readonly rows: LineRows;
  private readonly sequences: Sequence[] = [];
  private readonly paths: (string | undefined)[] = [];

  constructor(
    dwarf: DebugFile,
    readonly header: LineHeader,
    private readonly unit: DebugUnit,
  ) {
    this.rows = readLineRows(dwarf, header);
    const { count, flags, address } = this.rows;
    let first = 0;
    for (let row = 0; row < count; row++) {
      if (!(flags[row]! & ROW_END_SEQUENCE)) continue;
      if (row > first) this.sortRows(first, row);
      if (row > first && address[row]! > address[first]! && dwarf.source.isCode(address[first]!)) {
        this.sequences.push({ low: address[first]!, high: address[row]!, first, last: row });
      }
      first = row + 1;
    }
    this.sequences.sort((a, b) => a.low - b.low || a.high - b.high);
  }

  /** The table of a unit, or undefined when it has none or its header is damaged (which is noted). */
  static of(unit: DebugUnit): LineTable | undefined {
    const { dwarf, lineOffset } = unit;
    if (lineOffset === undefined) return undefined;
    const header = dwarf.problems.guard(undefined, () => readLineHeader(dwarf, lineOffset, unit.addressSize));
    return header && new LineTable(dwarf, header, unit);
  }

  /** A sequence must ascend for the searches below; one that does not (hand-written, or damaged) is put in order. */
  private sortRows(first: number, last: number): void {
    const { address, line, file, column, flags } = this.rows;
    let ascending = true;
    for (let row = first + 1; row <= last && ascending; row++) ascending = address[row]! >= address[row - 1]!;
    if (ascending) return;
    const order = Array.from({ length: last - first }, (_, i) => first + i).sort((a, b) => address[a]! - address[b]! || a - b);
    for (const array of [address, line, file, column, flags]) {
      const sorted = order.map((row) => array[row]!);
      array.set(sorted, first);
    }
    address[last] = Math.max(address[last]!, address[last - 1]!);
  }

  /** Address ranges that the table describes, ascending. */
  get ranges(): readonly { low: number; high: number }[] {
    return this.sequences;
  }

  path(file: number): string | undefined {
    if (!(file in this.paths)) this.paths[file] = filePath(this.header, file, this.unit.directory, this.unit.name);
    return this.paths[file];
  }

  get fileCount(): number {
    return this.header.files.length;
  }

  row(index: number): LineRow {
    const { address, line, file, column, flags } = this.rows;
    const bits = flags[index]!;
    return {
      index,
      address: address[index]!,
      file: file[index]!,
      line: line[index]!,
      column: column[index]!,
      isStmt: (bits & ROW_IS_STMT) !== 0,
      prologueEnd: (bits & ROW_PROLOGUE_END) !== 0,
    };
  }

  private sequenceAt(address: number): Sequence | undefined {
    let low = 0;
    let high = this.sequences.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sequences[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    const sequence = this.sequences[low - 1];
    return sequence && address < sequence.high ? sequence : undefined;
  }

  /** Index of the row that covers `address`, and of the first row after its address; undefined where the table says nothing. */
  private find(address: number): Found | undefined {
    const sequence = this.sequenceAt(address);
    return sequence && this.findIn(sequence, address);
  }

  private findIn(sequence: Sequence, address: number): Found {
    const { address: addresses, flags, line } = this.rows;
    let low = sequence.first;
    let high = sequence.last;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (addresses[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    let row = low - 1;
    // Code that the compiler gives to no line goes with the line before it, as in gdb: a stop there still has a source.
    while (row > sequence.first && line[row] === 0) row--;
    if (!(flags[row]! & ROW_IS_STMT)) {
      let earlier = row;
      const here = addresses[row];
      while (earlier > sequence.first && addresses[earlier - 1] === here && line[earlier - 1] !== 0 && !(flags[earlier]! & ROW_IS_STMT)) {
        earlier--;
      }
      if (flags[earlier]! & ROW_IS_STMT) row = earlier;
    }
    return { row, next: low, sequence };
  }

  /** The row that says which line `address` belongs to. */
  rowAt(address: number): LineRow | undefined {
    const found = this.find(address);
    return found && this.row(found.row);
  }

  /** The addresses around `address` that belong to the same line without a gap. */
  lineRange(address: number): { low: number; high: number } | undefined {
    const found = this.find(address);
    if (!found) return undefined;
    const { rows } = this;
    const { sequence } = found;
    const sameLine = (row: number) => rows.line[row] === rows.line[found.row] && rows.file[row] === rows.file[found.row];
    let { next } = found;
    while (next < sequence.last) {
      const at = this.findIn(sequence, rows.address[next]!);
      if (!sameLine(at.row)) break;
      next = at.next;
    }
    let low = rows.address[found.row]!;
    while (low > sequence.low) {
      const before = this.findIn(sequence, low - 1);
      if (!sameLine(before.row)) break;
      low = rows.address[before.row]!;
    }
    return { low, high: rows.address[next]! };
  }

  /**
   * Whether a row has no code of its own because a statement of another file follows at the same address, as at the start and the end
   * of an inlined function.
   */
  isSuperseded(index: number): boolean {
    const { address, file, flags } = this.rows;
    for (let next = index + 1; address[next] === address[index] && !(flags[next]! & ROW_END_SEQUENCE); next++) {
      if (file[next] !== file[index] && flags[next]! & ROW_IS_STMT) return true;
    }
    return false;
  }

  /** Rows of the covered code, by address, for which `accept` says so. */
  *select(accept: (row: number, rows: LineRows) => boolean): Generator<LineRow> {
    for (const { first, last } of this.sequences) {
      for (let row = first; row < last; row++) if (accept(row, this.rows)) yield this.row(row);
    }
  }

  /** Rows in [low, high), by address. */
  *within(low: number, high: number): Generator<LineRow> {
    for (const sequence of this.sequences) {
      if (sequence.high <= low || sequence.low >= high) continue;
      for (let row = sequence.first; row < sequence.last; row++) {
        if (this.rows.address[row]! >= low && this.rows.address[row]! < high) yield this.row(row);
      }
    }
  }
}
