import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findKallsyms, readKallsyms } from '../../src/symbols/kallsyms';
import { image, SYMBOLS } from './kallsyms-image';

test('the table of a kernel is found in its memory and every name is decoded', () => {
  const memory = image(0x4000);
  const layout = findKallsyms(memory)!;
  assert.deepEqual([layout.addresses, layout.count], [0x4000, SYMBOLS.length]);
  const table = readKallsyms(memory, layout);
  assert.equal(table.size, SYMBOLS.length);
  assert.deepEqual(table.addressesOf('sys_call_655'), [0xc0100010 + 655 * 16]);
  assert.deepEqual(
    [table.named('hidden')?.binding, table.named('hidden')?.kind, table.named('hidden')?.source],
    ['local', 'object', 'kallsyms'],
  );
  assert.equal(table.lookup(0xc0100000)?.name, '_text');
});

test('a decoy that looks like the token table does not stop the search', () => {
  const memory = image(0x8000);
  memory.set(
    [...'0123456789'].flatMap((c) => [c.charCodeAt(0), 0]),
    0x100,
  );
  assert.equal(findKallsyms(memory)?.addresses, 0x8000);
});

test('memory without a table, or with a damaged one, gives nothing', () => {
  assert.equal(findKallsyms(new Uint8Array(100_000)), undefined);
  const memory = image(0x4000);
  assert.equal(findKallsyms(memory.subarray(0, memory.length - 5300)), undefined);
  const count = 0x4000 + 4 * SYMBOLS.length;
  memory[count + 1]! ^= 4;
  assert.equal(findKallsyms(memory), undefined);
});
