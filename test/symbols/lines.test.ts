// Where breakpoints on lines of hand-written code go: a macro's line has many rows and no function in the debug information, only symbols.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadProgram } from '../../src/symbols/program-symbols';
import { ABBREVIATIONS, CODE, counted, Entries, made, TEXT, text, u16, u32 } from './made';

/** Rows of `main.c`, each with a statement: `[line, bytes]`. */
const lineTable = (rows: readonly (readonly [line: number, bytes: number])[]): number[] => {
  const header = [1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, ...text('main.c'), 0, 0, 0, 0];
  let line = 1;
  const program = [0, 5, 2, ...u32(TEXT)];
  for (const [to, bytes] of rows) {
    program.push(3, (to - line) & 0x7f, 1, 2, bytes);
    line = to;
  }
  return counted([...u16(3), ...u32(header.length), ...header, ...program, 0, 1, 1]);
};

/** A unit of assembly: lines and symbols alone. */
const assembly = (
  rows: readonly (readonly [number, number])[],
  symbols: readonly (readonly [string, at: number, size: number])[],
): Uint8Array => {
  const names = ['', ...symbols.map(([name]) => name)];
  const offset = (i: number): number => names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0);
  const table = symbols.flatMap(([, at, size], i) => [...u32(offset(i + 1)), ...u32(TEXT + at), ...u32(size), 0x12, 0, ...u16(1)]);
  const file = made({
    '.debug_abbrev': ABBREVIATIONS,
    '.debug_info': new Entries().add('unit', 'unit', 'main.c', TEXT, CODE, 0).end().unit(),
    '.debug_line': lineTable(rows),
    '.strtab': names.flatMap(text),
    '.symtab': [...new Array<number>(16).fill(0), ...table],
  });
  const view = new DataView(file.buffer, file.byteOffset);
  const [headers, count] = [view.getUint32(32, true), view.getUint16(48, true)];
  for (const [row, type, link, size] of [
    [count - 2, 3, 0, 0],
    [count - 1, 2, count - 2, 16],
  ] as const) {
    view.setUint32(headers + 40 * row + 4, type, true);
    view.setUint32(headers + 40 * row + 24, link, true);
    view.setUint32(headers + 40 * row + 36, size, true);
  }
  return file;
};

test('a line of assembly that is a macro has one place in each symbol, however many instructions it makes', () => {
  const rows = [...Array.from({ length: 6 }, () => [5, 2] as const), [6, 4] as const];
  const named = loadProgram(
    assembly(rows, [
      ['entry_1', 0, 6],
      ['entry_2', 6, 6],
      ['after', 12, 4],
    ]),
  );
  const places = (program: typeof named, line: number): number[] => program.locationsForLine('main.c', line).map((l) => l.address - TEXT);
  assert.deepEqual(places(named, 5), [0, 6]);
  assert.deepEqual(places(named, 6), [12]);
  assert.deepEqual(places(loadProgram(assembly(rows, [['entry_1', 0, 12]])), 5), [0]);
});
