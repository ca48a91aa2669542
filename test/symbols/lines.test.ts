// Where breakpoints on lines of hand-written code go: a macro's line has many rows and no function in the debug information, only symbols.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadProgram } from '../../src/symbols/program-symbols';
import { ABBREVIATIONS, CODE, counted, Entries, madeWithSymbols, TEXT, text, u16, u32 } from './made';

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
  return madeWithSymbols(
    {
      '.debug_abbrev': ABBREVIATIONS,
      '.debug_info': new Entries().add('unit', 'unit', 'main.c', TEXT, CODE, 0).end().unit(),
      '.debug_line': lineTable(rows),
    },
    symbols,
  );
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
