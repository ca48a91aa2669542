// Seeds of the fuzzer that once parted interpreter and translator.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzCommand } from '../../src/cli/fuzz';

const SEEDS: readonly (readonly [number, string])[] = [
  [100166, 'reads across 4 GB'],
  [100778, 'reads across 4 GB that fault'],
  [100760, 'code fetched by an old TLB entry'],
  [711472, 'accesses across two pages whose translations the page tables no longer have'],
  [307842, 'translations of a watched page that the page tables no longer have'],
];

for (const [seed, what] of SEEDS)
  test(`both engines agree on seed ${seed} (${what})`, () => {
    const lines: string[] = [];
    assert.equal(
      fuzzCommand(['--seed', String(seed), '--count', '1'], (line) => lines.push(line)),
      0,
      lines.join('\n'),
    );
  });
