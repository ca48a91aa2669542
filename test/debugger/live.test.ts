// Live numbers while a Guest runs, and the lazy FPU as the state of the Host that it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fpuState } from '../../src/debugger/fpu-state';
import { LIVE_MS, Live, type LiveNumbers } from '../../src/debugger/live';
import { ask, make, standAt, stopAfter } from './stand';

test('live numbers come four times a second at most and are those of the totals', () => {
  const { machine, d } = make();
  let now = 0;
  const live = new Live(d.target, () => now);
  live.start();
  machine.run({ instructions: 100_000 });
  now = LIVE_MS - 1;
  assert.equal(live.tick(), undefined);
  now = 500;
  const first = live.tick();
  assert.ok(first);
  const { count, totals } = machine.host.records;
  assert.deepEqual([first.traps, first.trapsPerSecond, first.worldSwitches], [count, count * 2, totals.worldSwitches]);
  assert.equal(first.mips, machine.processor.retired / 500 / 1000);
  assert.equal(first.outcomes['paged-in'], totals.outcomes['paged-in']);
  assert.equal(live.tick(), undefined, 'not twice at a time');
  now = 800;
  assert.equal(live.tick()?.trapsPerSecond, 0);
});

test('a running debugger tells them by itself, and a Guest that stops at once tells none', async () => {
  const { d, machine } = make();
  const told: LiveNumbers[] = [];
  d.onLive = (numbers) => told.push(numbers);
  d.setFilters([{ id: 'syscall' }]);
  await stopAfter(d, () => d.step('in', 'instruction'));
  assert.equal(told.length, 0);
  d.setFilters([]);
  machine.inputs.console(new TextEncoder().encode('spin 2000000000\r'));
  const start = performance.now();
  setTimeout(() => d.pause(), 1200);
  await stopAfter(d, () => d.continue());
  const most = Math.ceil((performance.now() - start) / LIVE_MS);
  assert.ok(told.length >= 1 && told.length <= most, `${told.length} times in ${most} quarters of a second`);
  assert.ok(told.every((n, i) => i === 0 || n.traps >= told[i - 1].traps));
});

test('the FPU is with the Host until its first use, then with the Guest, and kept from it when it asked for TS; #NM follows that', () => {
  const first = standAt(7, (r) => r.outcome === 'fpu-restored');
  assert.deepEqual(fpuState(first.machine.host).ts, 0);
  assert.match(ask(first.d, `why ${first.record.k}`), /did the Guest ask for TS\? {2}\[ts=0: FPU state restored, TS cleared\] {2}→ no/);
  assert.match(ask(first.d, `why ${first.record.k}`), /would have been given to the Guest if it had asked for TS/);
  first.machine.step();
  assert.equal(ask(first.d, 'info fpu'), 'the FPU is with the Guest; its next use does not trap\n');
  const asked = standAt(7, (r) => r.outcome === 'reflected', first);
  assert.match(
    ask(asked.d, 'info fpu'),
    /it wants to be told; its next use traps: the Guest gets #NM, because it asked for TS \(lg\.ts [1-9]/,
  );
  assert.match(ask(asked.d, `why ${asked.record.k}`), /would have been resumed silently if the Guest had not asked for TS/);
});

test('before the first use the FPU is the Host’s, and the next use is foretold', () => {
  const { d, machine } = make();
  machine.run({ instructions: 1000 });
  assert.match(ask(d, 'info fpu'), /^the FPU is with the Host; its next use traps: the Host gives the FPU back silently/);
});

test('refault statistics tell the pages that pinning filled without a trap', () => {
  const { d, machine } = make();
  machine.run({ instructions: 800_000 });
  assert.match(ask(d, 'stats by refault'), new RegExp(`filled without a trap: ${machine.host.records.totals.pinnedFilled}\\n$`));
  assert.ok(machine.host.records.totals.pinnedFilled > 0);
});
