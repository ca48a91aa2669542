// Lines and addresses for a debugger: which line a pc belongs to, where a breakpoint on a line goes, what a step runs through,
// and where a function's prologue ends. The rules follow gdb's, which people know (see the README of this folder).
// It leaves out decoding line tables (dwarf/line.ts) and finding functions.

import * as D from './dwarf/constants';
import type { Die } from './dwarf/die';
import type { FunctionEntry } from './dwarf/functions';
import type { LineRow, LineTable } from './dwarf/line-table';
import type { AddressRange } from './dwarf/ranges';
import type { FileUse, SourceIndex } from './dwarf/source-index';
import type { Unit } from './dwarf/unit';

/** The source line of an address. `column` 0: not known. `address` is where the line's row starts. */
export interface LineInfo {
  file: string;
  line: number;
  column: number;
  isStmt: boolean;
  address: number;
}

/** A place for a breakpoint. `line` differs from the one asked for when that has no code. */
export interface CodeLocation {
  address: number;
  file: string;
  line: number;
  column: number;
  /** Function (an inlined one, where the code was inlined) that contains it. */
  function: string | undefined;
  inlined: boolean;
}

export interface BreakpointSpot {
  line: number;
  column: number;
}

/** What the questions here need. */
export interface LineHome {
  units: readonly Unit[];
  tableOf(unit: Unit): LineTable | undefined;
  unitAt(address: number): Unit | undefined;
  functionAt(address: number): FunctionEntry | undefined;
  /** Where the symbol begins that has an address. */
  symbolStart(address: number): number | undefined;
  sources(): SourceIndex;
}

export class Lines {
  /** By unit index: whether its variables have location lists. */
  private readonly locationLists = new Map<number, boolean>();

  constructor(private readonly home: LineHome) {}

  private tableAt(pc: number): LineTable | undefined {
    const unit = this.home.unitAt(pc);
    return unit && this.home.tableOf(unit);
  }

  at(pc: number): LineInfo | undefined {
    const table = this.tableAt(pc);
    const row = table?.rowAt(pc);
    if (!table || !row || row.line === 0) return undefined;
    const { line, column, isStmt, address } = row;
    return { file: table.path(row.file) ?? '', line, column, isStmt, address };
  }

  range(pc: number): AddressRange | undefined {
    const range = this.tableAt(pc)?.lineRange(pc);
    if (!range) return undefined;
    const within = this.home.functionAt(pc)?.ranges.find((r) => pc >= r.low && pc < r.high);
    return within ? { low: Math.max(range.low, within.low), high: Math.min(range.high, within.high) } : range;
  }

  private *usesOf(file: string): Generator<FileUse & { path: string; table: LineTable }> {
    const sources = this.home.sources();
    for (const path of sources.match(file)) {
      const byUnit = new Map<Unit, Set<number>>();
      for (const use of sources.usesOf(path)) {
        const files = byUnit.get(use.unit) ?? new Set();
        byUnit.set(use.unit, files.add(use.file));
      }
      for (const [unit, files] of byUnit) {
        const table = this.home.tableOf(unit);
        if (table) for (const used of files) yield { unit, file: used, path, table };
      }
    }
  }

  /**
   * Where a breakpoint on `line` of `file` belongs. Code of the line that lies in one block of one function (or one inlined copy; of one symbol, in assembly, where a line
   * may be a macro) counts once, at its lowest address; at the start of a function the place moves behind the prologue. When the line has no code, the nearest
   * following line that has some is taken. With `column`, the rows of that column, if the line has any, else of the whole line.
   */
  forLine(file: string, line: number, column?: number): CodeLocation[] {
    const uses = [...this.usesOf(file)];
    let best = Number.POSITIVE_INFINITY;
    let rows: { row: LineRow; path: string; superseded: boolean }[] = [];
    for (const { file: index, path, table } of uses) {
      const { line: lines } = table.rows;
      for (const row of table.select(
        (at, r) => r.file[at] === index && lines[at]! >= line && lines[at]! <= best && (r.flags[at]! & 1) !== 0,
      )) {
        if (row.line > best) continue;
        if (row.line < best) {
          best = row.line;
          rows = [];
        }
        rows.push({ row, path, superseded: table.isSuperseded(row.index) });
      }
    }
    if (column !== undefined && rows.some(({ row }) => row.column === column)) rows = rows.filter(({ row }) => row.column === column);
    rows.sort((a, b) => a.row.address - b.row.address);
    // A row without code of its own counts only where its function has no better one.
    const withCode = new Set(rows.filter((r) => !r.superseded).map(({ row }) => this.home.functionAt(row.address)));
    rows = rows.filter(({ row, superseded }) => !superseded || !withCode.has(this.home.functionAt(row.address)));
    const seen = new Set<unknown>();
    const locations: CodeLocation[] = [];
    for (const { row, path, superseded } of rows) {
      const entry = this.home.functionAt(row.address);
      const scopes = entry?.scope.pathTo(row.address) ?? [];
      const block: unknown = scopes[scopes.length - 1] ?? this.home.symbolStart(row.address) ?? row.address;
      if (seen.has(block)) continue;
      seen.add(block);
      // A line that begins with an inlined call shares its address with the callee's first line, but belongs to the caller.
      const inlined = scopes.findLast((scope) => scope.kind === 'inlined' && !(superseded && scope.entry === row.address));
      const atEntry = entry !== undefined && row.address === entry.entry;
      const address = atEntry ? this.postPrologue(entry) : row.address;
      if (locations.some((location) => location.address === address)) continue;
      locations.push({
        address,
        file: path,
        line: row.line,
        column: row.column,
        function: inlined ? nameOfInlined(inlined.die) : entry?.name,
        inlined: inlined !== undefined,
      });
    }
    return locations;
  }

  spots(file: string, fromLine: number, toLine: number): BreakpointSpot[] {
    const found = new Map<string, BreakpointSpot>();
    for (const { file: index, table } of this.usesOf(file)) {
      const { line } = table.rows;
      for (const row of table.select(
        (at, r) => r.file[at] === index && line[at]! >= fromLine && line[at]! <= toLine && (r.flags[at]! & 1) !== 0,
      )) {
        if (row.line !== 0) found.set(`${row.line}:${row.column}`, { line: row.line, column: row.column });
      }
    }
    return [...found.values()].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  /**
   * Where a function's arguments are in place. A row marked prologue-end says so. Optimized code with location lists describes variables
   * from the first instruction on, so there the entry itself serves, as in gdb. Else the second line of the function starts behind the prologue.
   */
  postPrologue(entry: FunctionEntry): number {
    const { unit, entry: start, end } = entry;
    const table = this.home.tableOf(unit);
    if (!table || unit.language === D.DW_LANG_Mips_Assembler) return start;
    const rows = [...table.within(start, end)];
    const marked = rows.find((row) => row.prologueEnd);
    if (marked) return marked.address;
    if (!isClang(unit) && this.hasLocationLists(unit)) return start;
    return secondLine(rows, start, end);
  }

  private hasLocationLists(unit: Unit): boolean {
    let answer = this.locationLists.get(unit.index);
    if (answer === undefined) {
      answer = false;
      for (const abbrev of unit.abbrevs) {
        if (abbrev.tag !== D.DW_TAG_variable && abbrev.tag !== D.DW_TAG_formal_parameter) continue;
        const form = abbrev.forms[abbrev.names.indexOf(D.DW_AT_location)];
        const isData = form === D.DW_FORM_data4 || form === D.DW_FORM_data8;
        answer ||= form === D.DW_FORM_sec_offset || form === D.DW_FORM_loclistx || (isData && unit.version < 4);
      }
      this.locationLists.set(unit.index, answer);
    }
    return answer;
  }
}

function isClang(unit: Unit): boolean {
  return unit.producer.includes('clang');
}

function nameOfInlined(die: Die): string | undefined {
  return die.string(D.DW_AT_name) ?? die.referenced(D.DW_AT_abstract_origin)?.string(D.DW_AT_name);
}

/** gdb's rule for code without marks: the first row after the entry, going on while lines go back (moved instructions). */
function secondLine(rows: readonly LineRow[], start: number, end: number): number {
  const first = rows.findLast((row) => row.address === start && row.isStmt) ?? rows[0];
  if (!first || first.line === 0) return start;
  const atStart = rows.filter((row) => row.address === start && row.isStmt);
  if (atStart.length > 1 && atStart[1]!.line !== 0) return start; // two rows at the entry: a prologue without instructions
  let next = rows.find((row) => row.address > start && row.isStmt);
  let line = first.line;
  for (let at = next; at && at.address < end; ) {
    if (at.line === 0 || at.line >= line || at.file !== first.file) break;
    line = at.line;
    const { address } = at;
    const after = rows.find((row) => row.address > address && row.isStmt);
    if (!after) break;
    next = at = after;
  }
  return next ? next.address : start;
}
