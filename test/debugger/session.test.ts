// The debugger as a whole, where no other test of this folder looks: names that JavaScript's own objects have, lists of breakpoints, and Guests that get nowhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpressionError } from '../../src/debugger/expression';
import { recordFilter } from '../../src/debugger/record-query';
import { parseGrouping } from '../../src/debugger/statistics';
import { ask, make, standAt, stopAfter } from './stand';

test('names that every JavaScript object has are no registers, commands, fields or groups', () => {
  const { d } = make();
  for (const name of ['constructor', 'toString', 'valueOf']) {
    assert.throws(() => d.evaluate(`$${name}`, undefined, false), ExpressionError, name);
    assert.throws(() => recordFilter(name, d.programs), /a filter of records has no/, name);
    assert.throws(() => parseGrouping(name), /stats by what\?/, name);
    const [watch] = d.setWatches([{ dataId: `reg:${name}`, access: 'write' }]);
    assert.match(watch.problem ?? '', /no register ".*" can be watched/, name);
  }
  assert.throws(() => ask(d, 'constructor'), /"constructor" is no command/);
});

test('a list that has the same breakpoint twice makes two, and both go with the next list', () => {
  const { d } = make();
  const set = (...patterns: string[]): number[] =>
    d
      .setBreakpoints(
        'function',
        () => true,
        patterns.map((pattern) => ({ kind: 'function', pattern })),
      )
      .map((b) => b.id);
  const [first] = set('printk');
  const [again, other] = set('printk', 'printk');
  assert.equal(again, first, 'a breakpoint that stays keeps its number');
  assert.notEqual(other, first);
  const [{ address }] = [...d.breakpoints][0].places;
  assert.equal(d.target.processor.hasBreakpoint(address), true);
  set();
  assert.equal(d.target.processor.hasBreakpoint(address), false);
});

test('a breakpoint at a number of instructions logs when it has a message, and the run goes on', async () => {
  const { d } = make();
  const lines: string[] = [];
  d.onLog = (text) => lines.push(text);
  ask(d, 'b #1_000 -> at {insns}');
  ask(d, 'b #2_000');
  const stop = await stopAfter(d, () => d.continue());
  assert.deepEqual([stop.reason, d.target.processor.retired, lines], ['function breakpoint', 2000, ['at 1000']]);
});

test('a watched access that gets nowhere, as in a storm of faults, can be paused', async () => {
  const { d } = make();
  ask(d, 'tb printk');
  await stopAfter(d, () => d.continue());
  const below = (d.target.register('esp') - 256) >>> 0;
  d.setWatches([{ dataId: `mem:v:0x${below.toString(16)}:256`, access: 'write' }]);
  let asked = 0;
  d.target.step = ({ entries }) => {
    asked++;
    assert.ok(entries !== undefined, 'without a bound it would never come back');
    if (asked === 3) d.pause();
    return { kind: 'slice' };
  };
  const stop = await stopAfter(d, () => d.continue());
  assert.deepEqual([stop.reason, asked], ['pause', 3]);
});

test('a mistake after a step, as in looking for modules, is a stop that says so', async () => {
  const { d } = make();
  d.modules.searched = true;
  // biome-ignore lint/correctness/useYield: it only fails
  d.modules.syncing = function* () {
    throw new Error('the folder is gone');
  };
  const stop = await stopAfter(d, () => d.step('in', 'instruction'));
  assert.deepEqual([stop.filter, d.running], ['emulator', false]);
  assert.match(stop.text ?? '', /the folder is gone/);
});

test('a Guest that trapped in a 16-bit code segment of its own is read there: base and D bit are those of its descriptor', () => {
  const { machine, d } = standAt(14, () => true);
  const eip = d.target.register('eip');
  assert.deepEqual([d.target.pc, d.target.codeBits, d.target.segmentBase('cs')], [eip, 32, 0]);
  machine.host.lg.gdt.set([0x1234ffff, 0xc000ba10], 18 * 2); // base C0101234, 16-bit code, DPL 1
  d.target.setRegister('cs', (18 << 3) | 1);
  assert.deepEqual([d.target.pc, d.target.codeBits], [(0xc0101234 + eip) >>> 0, 16]);
});
