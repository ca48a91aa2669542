// The serial port and the debug port on one standard output.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineMerger } from '../../src/cli/lines';

const merged = (bytes: readonly [source: 0 | 1, text: string][]): string => {
  let out = '';
  const merger = new LineMerger((chunk) => {
    out += String.fromCharCode(...chunk);
  });
  for (const [source, text] of bytes) for (const c of text) merger.write(source, c.charCodeAt(0));
  merger.flush(true);
  return out;
};

test('lines of two ports never mix', () => {
  assert.equal(
    merged([
      [0, 'ab'],
      [1, 'x'],
      [0, 'c\n'],
      [1, 'y\n'],
    ]),
    'abc\nxy\n',
  );
});
test('a line that software sends to both ports, byte by byte, is printed once', () => {
  assert.equal(
    merged(
      [...'same\nmore\n'].flatMap((c): [0 | 1, string][] => [
        [0, c],
        [1, c],
      ]),
    ),
    'same\nmore\n',
  );
});
test('a line that one port repeats is printed each time', () => {
  assert.equal(merged([[0, 'again\nagain\n']]), 'again\nagain\n');
});
test('an unfinished line is printed at the end', () => {
  assert.equal(merged([[0, 'prompt> ']]), 'prompt> ');
});
