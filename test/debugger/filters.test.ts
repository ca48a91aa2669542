// Exception filters at work: where they stop, what they log and count, and what a page walk foretells for Guests that cannot take a fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINES_A_SECOND, LogLimit } from '../../src/debugger/log-limit';
import { hostFilter } from '../../src/debugger/filters';
import { walkPage } from '../../src/debugger/page-walk';
import { ask, make, standAt, stopAfter } from './stand';

const PAGE = 0xd0000000;

test('a filter stops before delivery with the Guest untouched, or at the first instruction of its handler', async () => {
  const first = make();
  first.d.setFilters([{ id: 'pf.guest', condition: `cr2 == ${PAGE}` }]);
  const before = await stopAfter(first.d, () => first.d.continue());
  const { record } = before;
  assert.ok(record?.handler);
  assert.deepEqual([before.pending, first.d.target.pc, first.d.target.register('esp')], [true, record.eip, record.esp]);

  const second = make();
  second.d.setFilters([{ id: 'pf.guest', condition: `cr2 == ${PAGE}`, mode: 'handler' }]);
  const at = await stopAfter(second.d, () => second.d.continue());
  assert.deepEqual([at.pending, at.record?.k, second.d.target.pc], [false, record.k, record.handler]);
  assert.equal(second.d.target.register('esp'), record.frame?.at);
  assert.match(at.description, /^Page fault the Guest sees: at its handler$/);
  assert.equal(second.machine.position.retired, record.pos.retired, 'no instruction of the Guest has run in between');
});

test('the handler of a direct trap and of a virtual interrupt can be stopped at, and traps without a handler stop before', async () => {
  const { d } = make();
  d.setFilters([{ id: 'syscall', mode: 'handler' }]);
  const direct = await stopAfter(d, () => d.continue());
  assert.deepEqual([direct.record?.outcome, d.target.pc], ['direct', direct.record?.handler]);
  d.setFilters([{ id: 'virq', mode: 'handler' }]);
  const virq = await stopAfter(d, () => d.continue());
  assert.deepEqual([virq.record?.outcome, d.target.pc], ['virq-delivered', virq.record?.handler]);
  d.setFilters([{ id: 'hypercall', mode: 'handler' }]);
  const call = await stopAfter(d, () => d.continue());
  assert.deepEqual([call.record?.kind, call.pending], ['hypercall', true]);
});

test('on a bare machine the filter for page faults finds the direct ones', () => {
  const filter = hostFilter([{ id: 'pf.guest' }], { host: undefined, current: undefined }, () => true);
  const record = { vector: 14, kind: 'direct', outcome: 'direct' } as Parameters<NonNullable<typeof filter>['test']>[0];
  assert.equal(filter?.test(record), true);
  assert.equal(filter?.test({ ...record, kind: 'trap', outcome: 'paged-in' }), false);
});

test('worldSwitch stops, logs and counts like every other filter', async () => {
  const { d, machine } = make();
  const lines: string[] = [];
  d.onTrapLog = (text) => lines.push(text);
  assert.deepEqual(d.setFilters([{ id: 'worldSwitch', mode: 'count' }, { id: 'syscall' }]), [undefined, undefined]);
  await stopAfter(d, () => d.continue());
  // Every entry but the newest had its exit; a direct system call makes none.
  assert.equal(d.filterCounts[0].count, 2 * machine.host.records.totals.worldSwitches - 1);
  d.setFilters([{ id: 'worldSwitch', mode: 'log' }, { id: 'hypercall' }]);
  await stopAfter(d, () => d.continue());
  assert.match(lines[0], /^worldSwitch: (into|out of) the Guest at \w+/);
  d.setFilters([{ id: 'worldSwitch' }]);
  const stop = await stopAfter(d, () => d.continue());
  assert.equal(stop.filter, 'worldSwitch');
});

test('a filter that logs writes so many lines a second, then how many it left out', () => {
  const lines: string[] = [];
  let now = 0;
  const limit = new LogLimit(
    (text) => lines.push(text),
    () => now,
  );
  for (let i = 0; i < 5000; i++) limit.line('pf.shadow', () => `line ${i}`);
  assert.equal(lines.length, LINES_A_SECOND);
  limit.line('gp', () => 'another filter has lines of its own');
  assert.equal(lines.length, LINES_A_SECOND + 1);
  now = 1500;
  limit.line('pf.shadow', () => 'later');
  assert.deepEqual(lines.slice(LINES_A_SECOND + 1), [
    `pf.shadow: ${5000 - LINES_A_SECOND} more, not shown (at most ${LINES_A_SECOND} lines a second; "info filters" has the count)`,
    'later',
  ]);
  limit.flush();
  assert.equal(lines.at(-1), 'later', 'nothing more to tell');
});

test('a page walk for a Guest without a gate foretells the very message it then dies with', async () => {
  const { machine, record } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  host.lg.idt[14 * 2 + 1] = 0;
  const walk = walkPage(host, PAGE, { write: ((record.err ?? 0) & 2) !== 0, user: false });
  assert.equal(walk.outlook, 'kills');
  // The decision at hand was made while there was a gate; the walk is asked anew from the same instruction.
  const saved = machine.save();
  machine.restore(saved);
  const stop = machine.run({ instructions: 10_000 });
  assert.deepEqual([stop.kind, 'message' in stop ? stop.message : ''], ['killed', `lguest: ${walk.message}`]);
});

test('a page walk for a Guest whose handler has no stack says so with the message, user mode by the stack of SET_STACK', async () => {
  const { machine, d } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  assert.equal(walkPage(host, PAGE, { write: false, user: true }).outlook, 'reflects');
  const { esp1 } = host.lg;
  host.lg.esp1 = 0x70000000;
  const walk = walkPage(host, PAGE, { write: false, user: true });
  assert.deepEqual([walk.outlook, walk.message], ['kills', 'Bad address 0x70000000']);
  assert.match(ask(d, `page ${PAGE} user read`), /cannot be pushed: it is killed \(lguest: Bad address 0x70000000\)/);
  host.lg.esp1 = esp1;
  assert.equal(walkPage(host, PAGE, { write: false, user: false }).outlook, 'reflects', 'ring 1 keeps its own stack');
});
