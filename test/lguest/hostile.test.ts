// Hostile Guests for a few seconds (see hostile.ts); HOSTILE_SECONDS makes it longer, HOSTILE_SEED begins elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hostile } from './hostile';

/** A Guest has a few ten thousand instructions to run: even a busy machine needs no minute. */
const HANGS_MS = 60_000;
const seconds = Number(process.env.HOSTILE_SECONDS ?? 5);
const first = Number(process.env.HOSTILE_SEED ?? 1);

test('no hostile Guest hurts the Host', () => {
  const guests = new Hostile(false);
  const end = performance.now() + seconds * 1000;
  let seed = first;
  let slowest = 0;
  while (performance.now() < end || seed < first + 50) {
    const start = performance.now();
    guests.run(seed++);
    slowest = Math.max(slowest, performance.now() - start);
  }
  const kinds = Object.keys(guests.ends).length;
  if (seconds > 60) console.log(`${seed - first} Guests, the slowest took ${Math.round(slowest)} ms`, guests.ends);
  assert.ok(kinds >= 5, `only ${kinds} kinds of ends in ${seed - first} Guests: the programs are too tame`);
  assert.ok(slowest < HANGS_MS, `a Guest kept the Host busy for ${slowest} ms`);
});

test('a hostile Guest is the same one each time, translated or not', () => {
  const guests = new Hostile(false);
  const translated = new Hostile(true);
  for (let seed = first; seed < first + 8; seed++) {
    const stop = guests.run(seed);
    const hash = guests.hash();
    assert.deepEqual(guests.run(seed), stop);
    assert.equal(guests.hash(), hash);
    assert.deepEqual(translated.run(seed), stop, `seed ${seed}`);
    assert.equal(translated.hash(), hash, `seed ${seed}`);
  }
});
