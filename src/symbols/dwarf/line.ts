// Line number programs (.debug_line, DWARF 2 to 5): the header with its file names, and the rows.
// A program is a byte code that describes a table too large to store; `readLineRows` runs it and gives the table.
// It leaves out which row answers a question (line-table.ts).

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import * as D from './constants';
import type { DebugFile } from './die';

/** A file of the header: its name as written, and the index of its directory. */
interface FileEntry {
  name: string;
  directory: number;
}

export interface LineHeader {
  offset: number;
  version: number;
  /** Offsets of the program and of the end of the whole, in .debug_line. */
  program: number;
  end: number;
  addressSize: number;
  minInstructionLength: number;
  maxOperations: number;
  defaultIsStmt: boolean;
  lineBase: number;
  lineRange: number;
  opcodeBase: number;
  operandCounts: readonly number[];
  directories: readonly string[];
  /** Index as in the rows: DWARF 5 counts from 0, older versions from 1 (and entry 0 is missing). */
  files: readonly (FileEntry | undefined)[];
}

/** What a row says besides address, file, line and column; bits of `LineRows.flags`. */
export const ROW_IS_STMT = 1;
export const ROW_END_SEQUENCE = 2;
export const ROW_PROLOGUE_END = 4;
export const ROW_EPILOGUE_BEGIN = 8;
export const ROW_BASIC_BLOCK = 16;

/** The rows in the order of the program. Addresses are uint32. */
export interface LineRows {
  count: number;
  address: Uint32Array;
  line: Uint32Array;
  file: Uint16Array;
  column: Uint16Array;
  flags: Uint8Array;
}

const WHAT = '.debug_line';
/** Refused: no compiler opens so many files in a unit. Rows keep file numbers in 16 bits. */
const FILE_LIMIT = 0xffff;

/** Reads the header at `offset`. Throws SymbolError when it is damaged. */
export function readLineHeader(dwarf: DebugFile, offset: number, unitAddressSize: number): LineHeader {
  const bytes = dwarf.section('.debug_line');
  const r = new Reader(bytes, offset, bytes.length, WHAT);
  const { length, offsetSize } = r.initialLength();
  const end = r.pos + length;
  if (end > r.end) r.fail();
  r.end = end;
  const version = r.u16();
  if (version < 2 || version > 5) {
    throw new SymbolError(
      `${WHAT} has a table of version ${version} at offset 0x${offset.toString(16)}: build with -gdwarf-2 to -gdwarf-5.`,
    );
  }
  let addressSize = unitAddressSize;
  if (version >= 5) {
    addressSize = r.u8();
    r.skip(1);
  }
  const headerLength = r.offset(offsetSize);
  const program = r.pos + headerLength;
  if (program > end) r.fail();
  const minInstructionLength = r.u8();
  const maxOperations = version >= 4 ? r.u8() : 1;
  const defaultIsStmt = r.u8() !== 0;
  const lineBase = r.i8();
  const lineRange = r.u8();
  const opcodeBase = r.u8();
  if (lineRange === 0) throw new SymbolError(`${WHAT} has a line range of 0 at offset 0x${offset.toString(16)}: build the file again.`);
  const operandCounts: number[] = [0];
  for (let opcode = 1; opcode < opcodeBase; opcode++) operandCounts.push(r.u8());
  const directories: string[] = [];
  const files: (FileEntry | undefined)[] = [];
  r.end = program;
  dwarf.problems.guard(undefined, () => {
    if (version >= 5) {
      for (const entry of readEntries(r, dwarf, offsetSize)) directories.push(entry.name);
      for (const entry of readEntries(r, dwarf, offsetSize)) files.push(entry);
      return;
    }
    directories.push(''); // entry 0 is the directory of the compilation
    for (let name = r.cstring(); name !== ''; name = r.cstring()) directories.push(name);
    files.push(undefined);
    for (let name = r.cstring(); name !== ''; name = r.cstring()) {
      files.push({ name, directory: r.uleb() });
      r.uleb();
      r.uleb();
    }
  });
  return {
    offset,
    version,
    program,
    end,
    addressSize,
    minInstructionLength,
    maxOperations: Math.max(maxOperations, 1),
    defaultIsStmt,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    directories,
    files,
  };
}

/** A DWARF 5 list of directories or files: a description of the columns, then the rows. */
function readEntries(r: Reader, dwarf: DebugFile, offsetSize: 4 | 8): FileEntry[] {
  const columns: { content: number; form: number }[] = [];
  for (let count = r.u8(); count > 0; count--) columns.push({ content: r.uleb(), form: r.uleb() });
  const entries: FileEntry[] = [];
  const count = r.uleb();
  if (count > FILE_LIMIT || (columns.length === 0 && count > 0)) r.fail();
  for (let index = 0; index < count; index++) {
    const entry: FileEntry = { name: '', directory: 0 };
    for (const { content, form } of columns) {
      const value = readEntryForm(r, dwarf, form, offsetSize);
      if (content === D.DW_LNCT_path && typeof value === 'string') entry.name = value;
      else if (content === D.DW_LNCT_directory_index && typeof value === 'number') entry.directory = value;
    }
    entries.push(entry);
  }
  return entries;
}

function readEntryForm(r: Reader, dwarf: DebugFile, form: number, offsetSize: 4 | 8): string | number | undefined {
  switch (form) {
    case D.DW_FORM_string:
      return r.cstring();
    case D.DW_FORM_line_strp:
      return dwarf.lineString(r.offset(offsetSize));
    case D.DW_FORM_strp:
      return dwarf.string(r.offset(offsetSize));
    case D.DW_FORM_udata:
      return r.uleb();
    case D.DW_FORM_data1:
      return r.u8();
    case D.DW_FORM_data2:
      return r.u16();
    case D.DW_FORM_data4:
      return r.u32();
    case D.DW_FORM_data8:
      r.skip(8);
      return undefined;
    case D.DW_FORM_data16:
      r.skip(16);
      return undefined;
    case D.DW_FORM_block:
      r.skip(r.uleb());
      return undefined;
    default:
      throw new SymbolError(`${WHAT} uses form 0x${form.toString(16)} in its file list: build with -gdwarf-4.`);
  }
}

/** Grows while a program runs; `finish` copies to the exact size. */
class RowBuilder implements LineRows {
  count = 0;
  address = new Uint32Array(256);
  line = new Uint32Array(256);
  file = new Uint16Array(256);
  column = new Uint16Array(256);
  flags = new Uint8Array(256);

  add(address: number, file: number, line: number, column: number, flags: number): void {
    const at = this.count++;
    if (at === this.address.length) this.grow();
    this.address[at] = address;
    this.file[at] = file;
    this.line[at] = line;
    this.column[at] = Math.min(column, 0xffff);
    this.flags[at] = flags;
  }

  private grow(): void {
    const copy = <T extends Uint32Array | Uint16Array | Uint8Array>(bigger: T, old: T): T => {
      bigger.set(old);
      return bigger;
    };
    const size = this.count * 2;
    this.address = copy(new Uint32Array(size), this.address);
    this.line = copy(new Uint32Array(size), this.line);
    this.file = copy(new Uint16Array(size), this.file);
    this.column = copy(new Uint16Array(size), this.column);
    this.flags = copy(new Uint8Array(size), this.flags);
  }

  finish(): LineRows {
    const { count } = this;
    return {
      count,
      address: this.address.slice(0, count),
      line: this.line.slice(0, count),
      file: this.file.slice(0, count),
      column: this.column.slice(0, count),
      flags: this.flags.slice(0, count),
    };
  }
}

/** Runs the program of a header. Damage ends it and is noted; the rows before it stay. */
export function readLineRows(dwarf: DebugFile, header: LineHeader): LineRows {
  const rows = new RowBuilder();
  dwarf.problems.guard(undefined, () =>
    runProgram(new Reader(dwarf.section('.debug_line'), header.program, header.end, WHAT), header, rows),
  );
  return rows.finish();
}

function runProgram(r: Reader, header: LineHeader, rows: RowBuilder): void {
  const { minInstructionLength, maxOperations, lineBase, lineRange, opcodeBase, operandCounts } = header;
  const defaultFlags = header.defaultIsStmt ? ROW_IS_STMT : 0;
  const constAdd = Math.floor((255 - opcodeBase) / lineRange);
  let address = 0;
  let operation = 0; // stays 0 but for VLIW machines
  let file = 1;
  let line = 1;
  let column = 0;
  let stmt = defaultFlags;
  let once = 0; // flags that hold for one row

  const advance = (count: number): void => {
    if (maxOperations === 1) {
      address = (address + count * minInstructionLength) >>> 0;
      return;
    }
    const total = operation + count;
    address = (address + minInstructionLength * Math.floor(total / maxOperations)) >>> 0;
    operation = total % maxOperations;
  };
  const emit = (extra: number): void => {
    rows.add(address, file, line, column, stmt | once | extra);
    once = 0;
  };

  while (!r.done) {
    const opcode = r.u8();
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase;
      advance(Math.floor(adjusted / lineRange));
      line = (line + lineBase + (adjusted % lineRange)) >>> 0;
      emit(0);
      continue;
    }
    switch (opcode) {
      case 0: {
        const length = r.uleb();
        const next = r.pos + length;
        if (length === 0) break;
        if (next > r.end) r.fail();
        switch (r.u8()) {
          case D.DW_LNE_end_sequence:
            emit(ROW_END_SEQUENCE);
            address = operation = column = 0;
            file = line = 1;
            stmt = defaultFlags;
            break;
          case D.DW_LNE_set_address:
            address = r.unsigned(Math.min(length - 1, 8)) >>> 0;
            operation = 0;
            break;
          case D.DW_LNE_define_file: {
            const name = r.cstring();
            const entry: FileEntry = { name, directory: r.uleb() };
            if (header.files.length < FILE_LIMIT) (header.files as (FileEntry | undefined)[]).push(entry);
            break;
          }
          default: // discriminators, and what vendors added
            break;
        }
        r.pos = next;
        break;
      }
      case D.DW_LNS_copy:
        emit(0);
        break;
      case D.DW_LNS_advance_pc:
        advance(r.uleb());
        break;
      case D.DW_LNS_advance_line:
        line = (line + r.sleb()) >>> 0;
        break;
      case D.DW_LNS_set_file:
        file = r.uleb();
        break;
      case D.DW_LNS_set_column:
        column = r.uleb();
        break;
      case D.DW_LNS_negate_stmt:
        stmt ^= ROW_IS_STMT;
        break;
      case D.DW_LNS_set_basic_block:
        once |= ROW_BASIC_BLOCK;
        break;
      case D.DW_LNS_const_add_pc:
        advance(constAdd);
        break;
      case D.DW_LNS_fixed_advance_pc:
        address = (address + r.u16()) >>> 0;
        operation = 0;
        break;
      case D.DW_LNS_set_prologue_end:
        once |= ROW_PROLOGUE_END;
        break;
      case D.DW_LNS_set_epilogue_begin:
        once |= ROW_EPILOGUE_BEGIN;
        break;
      case D.DW_LNS_set_isa:
        r.uleb();
        break;
      default: // an opcode of a later standard: the header says how many operands to pass over
        for (let count = operandCounts[opcode] ?? 0; count > 0; count--) r.uleb();
    }
  }
}

/** The full path of file `index`, tidied, with the compilation directory in front of relative names. Undefined for an index that is not there. */
export function filePath(header: LineHeader, index: number, compilationDirectory: string, unitName: string): string | undefined {
  const entry = header.files[index];
  if (!entry || entry.name === '')
    return header.version < 5 && index === 0 && unitName !== '' ? joinPath(compilationDirectory, unitName) : undefined;
  const directory = header.directories[entry.directory] ?? '';
  return joinPath(joinPath(compilationDirectory, directory), entry.name);
}

/** Joins and tidies: `\` becomes `/`, `.` and `..` are resolved. An absolute second path stands alone. */
export function joinPath(directory: string, name: string): string {
  const path = isAbsolute(name) || directory === '' ? name : `${directory}/${name}`;
  const parts: string[] = [];
  const slashed = path.replace(/\\/g, '/');
  for (const part of slashed.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts[parts.length - 1] !== '..') parts.pop();
    else if (part !== '..' || !slashed.startsWith('/')) parts.push(part);
  }
  return (slashed.startsWith('/') ? '/' : '') + parts.join('/');
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/') || path.startsWith('\\') || /^[A-Za-z]:[\\/]/.test(path);
}
