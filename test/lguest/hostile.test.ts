// Hostile Guests for a few seconds (see hostile.ts); HOSTILE_SECONDS makes it longer, HOSTILE_SEED begins elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hostile } from './hostile';

const seconds = Number(process.env.HOSTILE_SECONDS ?? 5);
const first = Number(process.env.HOSTILE_SEED ?? 1);

test('no hostile Guest hurts the Host', () => {
  const guests = new Hostile(false);
  const end = performance.now() + seconds * 1000;
  let seed = first;
  while (performance.now() < end || seed < first + 50) guests.run(seed++);
  const kinds = Object.keys(guests.ends).length;
  if (seconds > 60) console.log(`${seed - first} Guests`, guests.ends);
  assert.ok(kinds >= 5, `only ${kinds} kinds of ends in ${seed - first} Guests: the programs are too tame`);
});

test('a hostile Guest is the same one each time', () => {
  const guests = new Hostile(false);
  for (const seed of [first, first + 1, first + 2]) assert.deepEqual(guests.run(seed), guests.run(seed));
});
