// What comes with a stop by itself: the answers of the views that a client follows, the same as if it had asked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

test('a followed stop brings the registers and the trap at once, just as their requests answer them', async () => {
  const s = await Inside.at('start_kernel');
  const answer = await s.request('lguest/follow', { views: { 'lguest/view/registers': { groups: ['General'] }, 'lguest/view/trap': {} } });
  assert.deepEqual(answer, { views: ['lguest/view/registers', 'lguest/view/trap'] });
  for (let n = 0; n < 3; n++) {
    s.order.length = s.events.length = 0;
    await s.go('next');
    await s.request('threads');
    assert.equal(s.order[s.order.indexOf('stopped') + 1], 'lguest/stop', s.order.join());
    const { info, views } = s.events.find((e) => e.event === 'lguest/stop')?.body ?? {};
    assert.deepEqual(views['lguest/view/registers'], await s.request('lguest/view/registers', { groups: ['General'] }));
    assert.deepEqual(views['lguest/view/trap'], await s.request('lguest/view/trap'));
    assert.deepEqual(info, await s.request('lguest/info'));
    const eip = views['lguest/view/registers'].nodes[0].children.find((row: { label: string }) => row.label === 'eip');
    assert.equal(eip.changed, n > 0 ? true : undefined, 'before the first step nobody had asked what to compare with');
  }
  await s.end();
});

test('a client that asked to follow nothing gets no event beyond those of DAP at a stop', async () => {
  const s = await Inside.at('start_kernel');
  s.order.length = s.events.length = 0;
  await s.go('next');
  await s.request('threads');
  assert.ok(s.order.includes('stopped'));
  assert.deepEqual(
    s.events.map((e) => e.event).filter((name) => name.startsWith('lguest/')),
    [],
  );
  await s.end();
});

test('only cheap views can be followed, and what a view cannot answer is left out', async () => {
  const s = await Inside.at('start_kernel');
  await assert.rejects(
    s.request('lguest/follow', { views: { 'lguest/tasks': {} } }),
    /"lguest\/tasks" cannot be followed; only lguest\/view\/registers and/,
  );
  await s.request('lguest/follow', { views: { 'lguest/view/registers': { groups: ['None'] } } });
  await s.go('next');
  await s.request('threads');
  const told = s.events.find((e) => e.event === 'lguest/stop')?.body;
  assert.deepEqual(told.views, {});
  assert.match(told.info.position, /^#?[\d.]+$/);
  await s.end();
});
