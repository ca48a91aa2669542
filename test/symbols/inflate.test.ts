import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateSync } from 'node:zlib';
import { SymbolError } from '../../src/symbols/errors';
import { inflateZlib, inflating } from '../../src/symbols/inflate';

/** Deterministic bytes between noise and repetition. */
function sample(length: number, variety: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 12345;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = at > 300 && (state >>> 16) % 5 > 1 ? bytes[at - 300]! : (state >>> 16) % variety;
  }
  return bytes;
}

test('every kind of deflate block of zlib comes out as it went in', () => {
  const strategies = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE];
  for (const length of [0, 1, 2, 257, 258, 259, 1000, 70_000]) {
    for (const variety of [1, 17, 256]) {
      for (const level of [0, 1, 9]) {
        for (const strategy of strategies) {
          const bytes = sample(length, variety);
          assert.deepEqual(
            Buffer.compare(inflateZlib(deflateSync(bytes, { level, strategy }), length), bytes),
            0,
            `${length} ${variety} ${level} ${strategy}`,
          );
        }
      }
    }
  }
});

test('a stream that holds more or less than announced is refused', () => {
  const packed = deflateSync(sample(1000, 256));
  for (const size of [0, 999, 1001]) assert.throws(() => inflateZlib(packed, size), SymbolError);
});

test('a cut or altered stream ends with a SymbolError and never hangs', () => {
  const packed = new Uint8Array(deflateSync(sample(5000, 40)));
  for (let length = 0; length < packed.length - 4; length += 7) {
    assert.throws(() => inflateZlib(packed.subarray(0, length), 5000), SymbolError);
  }
  let refused = 0;
  for (let at = 2; at < packed.length; at += 3) {
    const broken = packed.slice();
    broken[at]! ^= 1 << (at & 7);
    try {
      inflateZlib(broken, 5000);
    } catch (error) {
      assert.ok(error instanceof SymbolError, String(error));
      refused++;
    }
  }
  assert.ok(refused > packed.length / 12, `${refused} of ${packed.length}`);
});

test('decompression can be ended between any two blocks, even empty ones, and says how far it is', () => {
  // Empty blocks with fixed codes: 3 bits of header, 7 of end.
  const bits: number[] = [];
  for (let n = 0; n < 800; n++) bits.push(n === 799 ? 1 : 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const bytes = new Uint8Array(2 + 1000);
  bytes.set([0x78, 0x9c]);
  for (const [i, bit] of bits.entries()) bytes[2 + (i >> 3)]! |= bit << (i & 7);
  assert.equal(inflateZlib(bytes, 0).length, 0);
  const pieces = inflating(bytes, 0);
  let steps = 0;
  while (steps < 500 && !pieces.next().done) steps++;
  assert.equal(steps, 500);
  assert.deepEqual(pieces.next(true), { done: true, value: undefined });

  const large = deflateSync(new Uint8Array(1 << 20).map((_, i) => (i * i) >> 7));
  const shares: number[] = [];
  for (const share of inflating(large, 1 << 20)) shares.push(share);
  assert.ok(shares.length > 3);
  assert.deepEqual(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.ok(shares.every((x) => x >= 0 && x <= 1));
});
