import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findKallsyms, readKallsyms } from '../../src/symbols/kallsyms';

const SYMBOLS: [number, string][] = [
  [0xc0100000, 'T_text'],
  [0xc0100000, 'tstartup_32'],
  ...Array.from({ length: 700 }, (_, i): [number, string] => [0xc0100010 + i * 16, `Tsys_call_${i}`]),
  [0xc0300000, 'Djiffies'],
  [0xc0300004, 'bhidden'],
];

/** A memory image with the table at `at`, made as the kernel's build makes it: frequent strings become tokens. */
function image(at: number, symbols = SYMBOLS): Uint8Array {
  const tokens = Array.from({ length: 256 }, (_, code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : `unused${code}`));
  tokens[0x01] = 'sys_';
  tokens[0x80] = 'call_';
  const bytes: number[] = [];
  const align = () => {
    while (bytes.length % 4) bytes.push(0);
  };
  const word = (value: number) => bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  for (const [address] of symbols) word(address);
  word(symbols.length);
  const start = bytes.length;
  const markers: number[] = [];
  for (const [index, [, name]] of symbols.entries()) {
    if (index % 256 === 0) markers.push(bytes.length - start);
    const codes = [...name.replace('sys_', '\x01').replace('call_', '\x80')].map((c) => c.charCodeAt(0));
    bytes.push(codes.length, ...codes);
  }
  align();
  for (const marker of markers) word(marker);
  const offsets: number[] = [];
  const table = bytes.length;
  for (const token of tokens) {
    offsets.push(bytes.length - table);
    bytes.push(...[...token].map((c) => c.charCodeAt(0)), 0);
  }
  align();
  for (const offset of offsets) bytes.push(offset & 255, offset >>> 8);
  const memory = new Uint8Array(at + bytes.length + 5000).fill(0x55, 0, at);
  memory.set(bytes, at);
  return memory;
}

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
