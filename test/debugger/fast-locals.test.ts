// Locals that conditions read in the processor's loop are those that an expression reads at the same place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fastLocal } from '../../src/debugger/fast-locals';
import type { Debugger } from '../../src/debugger/session';
import { ask, make, stopAfter } from './stand';

/** Compares every local in sight. @returns how many were read the fast way. */
const compare = (d: Debugger, kinds: Set<string>): number => {
  let read = 0;
  const { pc } = d.target;
  for (const name of new Set(d.programs.localsAt(pc).map((v) => v.name))) {
    const fast = fastLocal(d.target, d.programs, [{ address: pc }], name);
    if (fast === undefined) continue;
    const { value } = d.evaluate(name, undefined, false);
    if (value.missing !== undefined) continue;
    assert.equal(fast.get(), Number(value.bits), `${name} at ${d.programs.nameOf(pc)}`);
    kinds.add(`${value.register === undefined ? 'memory' : 'register'} ${value.type.kind === 'base' ? value.type.size : ''}`);
    read++;
  }
  return read;
};

test('over hundreds of stops each local that is read fast is what an expression says, in registers and on stacks, of any width', async () => {
  const { d } = make();
  const kinds = new Set<string>();
  let read = 0;
  for (const place of ['show_demand_paging', 'printk', 'find_pte', 'create_task', 'user_hello', 'user_spin']) {
    ask(d, `tb ${place}`);
    await stopAfter(d, () => d.continue());
    for (let n = 0; n < 60; n++) {
      read += compare(d, kinds);
      await stopAfter(d, () => d.step('in', n % 3 === 0 ? 'line' : 'instruction'));
    }
  }
  assert.ok(read > 300, `${read} were read`);
  assert.ok([...kinds].some((k) => k.startsWith('register')) && [...kinds].some((k) => k.startsWith('memory')), [...kinds].join());
});

test('a condition on a parameter stops where it holds and nowhere else', async () => {
  const { d } = make();
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'set_gate', condition: 'vector == 14 && vector > 13u' }]);
  await stopAfter(d, () => d.continue());
  assert.equal(Number(d.evaluate('vector', undefined, false).value.bits), 14);
  const [b] = [...d.breakpoints];
  assert.equal(b.hits, 1);
});
