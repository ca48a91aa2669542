// The Host in the call stack: behind a trap, as a thread, in the console; and traps as frames that can be selected.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

/** Inside the handler of a page fault that the Guest got. */
const inHandler = async (launch: object): Promise<Inside> => {
  const s = await Inside.at('start_paging', launch);
  await s.request('setExceptionBreakpoints', { filters: ['pf.guest'] });
  await s.go();
  await s.request('setExceptionBreakpoints', { filters: [] });
  await s.go('stepIn', { granularity: 'instruction' });
  return s;
};

test('with "hostFrames" the functions that decided about a trap stand behind its boundary, dimmed, each with a page and scopes', async () => {
  const s = await inHandler({ hostFrames: 'frames' });
  const frames = await s.frames();
  const at = frames.findIndex((f) => /^── #PF/.test(f.name));
  assert.match(frames[at - 1].name, /^entry_page_fault/);
  const host = frames.slice(at + 1).filter((f) => f.presentationHint === 'subtle');
  const names = host.map((f) => f.name.split(':')[0]);
  assert.deepEqual(names, ['set_guest_interrupt', 'deliver_trap', 'lguest_arch_handle_trap', 'demand_page'], 'innermost first');
  assert.match(frames[at + 1 + host.length].name, /^show_visible_page_fault/);
  for (const f of host) assert.deepEqual([f.instructionPointerReference, f.source?.presentationHint], [undefined, 'deemphasize']);
  const demand = host[host.length - 1];
  assert.match(demand.name, /^demand_page: is the Guest PTE present\? → no$/);
  const { content } = await s.request('source', { source: demand.source, sourceReference: demand.source?.sourceReference });
  assert.match(content.split('\n')[demand.line - 1], /demand_page .*is the Guest PTE present\?/);
  const { scopes } = await s.request('scopes', { frameId: demand.id });
  assert.deepEqual(
    scopes.map((x: { name: string }) => x.name),
    ['Step', 'Trap', 'Page walk', 'lguest', 'lguest_data'],
  );
  const step = await s.variables(scopes[0].variablesReference);
  assert.equal(step.find((r) => r.name === 'value')?.value, 'no');
  await s.end();
});

test('a frame of code tells how it was found, a label does not', async () => {
  const s = await inHandler({});
  await s.functions('handle_page_fault');
  await s.go();
  const frames = (await s.frames()) as { name: string; method?: string; presentationHint?: string }[];
  const label = frames.findIndex((f) => f.presentationHint === 'label');
  assert.deepEqual(
    frames.slice(0, label + 2).map((f) => f.method),
    ['exact', ...new Array<string>(label - 1).fill('shadow stack'), undefined, 'trap record'],
  );
  await s.end();
});

test('without it the console shows them all the same, and a call that went direct has none', async () => {
  const s = await inHandler({});
  assert.ok((await s.frames()).every((f) => f.presentationHint !== 'subtle'));
  assert.doesNotMatch(await s.evaluate('bt'), /demand_page/);
  assert.match(
    await s.evaluate('bt host'),
    /── #PF.*\n +set_guest_interrupt: .*\n +deliver_trap: .*\n +lguest_arch_handle_trap: .*\n +demand_page: is the Guest PTE present\? → no\n/,
  );
  assert.match(await s.failing('evaluate', { expression: 'bt all', context: 'repl' }), /bt, or bt host/);
  await s.functions('system_call');
  await s.request('setExceptionBreakpoints', { filters: ['syscall'] });
  await s.go();
  await s.go('stepIn', { granularity: 'instruction' });
  assert.match(await s.evaluate('bt host'), /── int 0x80/);
  assert.doesNotMatch(await s.evaluate('bt host'), /setup_idt/);
  await s.end();
});

test('with "hostFrames": "thread" the Host is a thread whose stack are its decisions about the newest trap', async () => {
  const s = await inHandler({ hostFrames: 'thread' });
  const { threads } = await s.request('threads');
  assert.deepEqual(
    threads.map((t: { id: number; name: string }) => [t.id, t.name.split(' (')[0]]),
    [
      [1, 'CPU 0'],
      [2, 'Host – run_guest'],
    ],
  );
  const { stackFrames } = await s.request('stackTrace', { threadId: 2 });
  assert.deepEqual(
    stackFrames.map((f: { name: string }) => f.name.split(':')[0]),
    ['set_guest_interrupt', 'deliver_trap', 'lguest_arch_handle_trap', 'demand_page'],
  );
  assert.ok((await s.frames()).every((f) => !/demand_page/.test(f.name)));
  assert.equal((await s.go('next', { threadId: 2 })).threadId, 1, 'a step is the processor’s');
  await s.end();
});

test('with "trapFrames": "selectable" a trap is a frame with a page that explains it and scopes of its own', async () => {
  const s = await inHandler({ trapFrames: 'selectable' });
  const trap = (await s.frames()).find((f) => /^── #PF/.test(f.name));
  assert.equal(trap?.presentationHint, undefined);
  const { content } = await s.request('source', { source: trap?.source, sourceReference: trap?.source?.sourceReference });
  assert.match(content, /What was asked on the way/);
  const { scopes } = await s.request('scopes', { frameId: trap?.id });
  assert.deepEqual(
    scopes.map((x: { name: string }) => x.name),
    ['Trap', 'Pushed words', 'Page walk'],
  );
  const words = await s.variables(scopes[1].variablesReference);
  assert.deepEqual(
    words.map((w) => w.name),
    ['eflags', 'cs', 'eip', 'error'],
  );
  const [fault] = await s.variables(scopes[2].variablesReference);
  assert.deepEqual([fault.name, fault.value], ['fault', '0xd0000000']);
  await s.end();
  const label = await inHandler({});
  assert.equal((await label.frames()).find((f) => /^── #PF/.test(f.name))?.presentationHint, 'label');
  await label.end();
});

test('the Host’s functions are shown and hidden while the Guest stands', async () => {
  const s = await inHandler({});
  const has = async (): Promise<boolean> => (await s.frames()).some((f) => f.presentationHint === 'subtle');
  assert.equal(await has(), false);
  assert.deepEqual(await s.request('lguest/hostFrames'), { host: true });
  assert.equal(await has(), true);
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal(await has(), true, 'until they are hidden again');
  assert.deepEqual(await s.request('lguest/hostFrames', { host: false }), { host: false });
  assert.equal(await has(), false);
  await s.end();
});
