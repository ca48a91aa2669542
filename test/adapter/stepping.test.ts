// Steps over what is not one instruction for the machine: traps, hypercalls, faults, repeated strings, calls; pauses where nothing runs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoFile, lineOf } from './client';
import { Inside } from './inside';

/** Steps by instruction until the next one looks like this. */
const upTo = async (s: Inside, pattern: RegExp, command = 'next'): Promise<string> => {
  for (let n = 0; n < 400; n++) {
    const [{ instructionPointerReference: pc }] = await s.frames();
    const [row] = (await s.request('disassemble', { memoryReference: pc, instructionCount: 1 })).instructions;
    if (pattern.test(row.instruction)) return pc ?? '';
    await s.go(command, { granularity: 'instruction' });
  }
  throw new Error(`no ${pattern} within 400 instructions`);
};
const lengthOf = async (s: Inside, pc: string): Promise<number> =>
  (await s.request('disassemble', { memoryReference: pc, instructionCount: 1 })).instructions[0].instructionBytes.split(' ').length;
const here = async (s: Inside): Promise<string> =>
  (await s.frames()).find((f) => f.presentationHint !== 'label')?.instructionPointerReference ?? '';

test('int, a hypercall, a call and a repeated string are each one step over, whatever the Guest does meanwhile', async () => {
  const s = await Inside.at('show_breakpoints');
  for (const pattern of [/^call/, /^int3/]) {
    const pc = await upTo(s, pattern);
    const length = await lengthOf(s, pc);
    const stop = await s.go('next', { granularity: 'instruction' });
    assert.equal(stop.reason, 'step');
    assert.equal(Number(await here(s)), Number(pc) + length, String(pattern));
  }
  await s.end();
  const h = await Inside.at('set_timer');
  const pc = await upTo(h, /^int \$0x1f/, 'stepIn');
  await h.go('next', { granularity: 'instruction' });
  assert.equal(Number(await here(h)), Number(pc) + 2);
  await h.end();
  const r = new Inside();
  await r.request('initialize', { adapterID: 'lguest' });
  await r.request('launch', { program: demoFile('demo.elf'), stopOnEntry: true });
  await r.request('configurationDone');
  await r.stop();
  const rep = await upTo(r, /^rep /, 'stepIn');
  const length = await lengthOf(r, rep);
  await r.go('next', { granularity: 'instruction' });
  assert.equal(Number(await here(r)), Number(rep) + length);
  assert.equal(await r.evaluate('$ecx'), '0x00000000', 'all of it');
  await r.end();
});

test('a line whose instruction faults is one step over; stepping in enters the handler; stepping out of it comes back to the instruction', async () => {
  const s = await Inside.at('show_visible_page_fault');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line: lineOf('tour.c', '*page = 42;') }] });
  await s.go();
  const pc = await upTo(s, /^movl \$0x2a/);
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal((await s.frames())[0].name, 'entry_page_fault');
  await s.go('stepOut');
  assert.equal(await here(s), pc, 'the instruction that faulted is to be run again');
  await s.end();
  const o = await Inside.at('show_visible_page_fault');
  await o.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line: lineOf('tour.c', '*page = 42;') }] });
  await o.go();
  await o.go('next');
  assert.equal((await o.frames())[0].line, lineOf('tour.c', 'old = *entry;'));
  assert.equal(await o.evaluate('read32(0xd0000000),d'), '42');
  await o.end();
});

test('iret is one step: in, over and by line it ends where the trap came from', async () => {
  const s = await Inside.at('show_breakpoints');
  const int3 = await upTo(s, /^int3/);
  await s.go('stepIn', { granularity: 'instruction' });
  assert.notEqual(await here(s), int3);
  await upTo(s, /^iret/);
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal((await s.frames())[0].name, 'show_breakpoints');
  await s.end();
});

test('a sleeping Guest is paused at once, and steps go on from there', async () => {
  const s = await Inside.at('shell');
  await s.request('continue');
  for (let n = 0; !s.console.includes('demo> ') && n < 400; n++) await new Promise((done) => setTimeout(done, 25));
  const times: number[] = [];
  for (let n = 0; n < 5; n++) {
    await new Promise((done) => setTimeout(done, 20));
    const from = performance.now();
    await s.request('pause');
    const stop = await s.stop();
    times.push(performance.now() - from);
    assert.deepEqual([stop.reason, stop.description], ['pause', 'Paused while the Guest sleeps']);
    await s.request('continue');
  }
  assert.ok(Math.min(...times) < 50, times.join(' '));
  await s.end();
});

test('a jump goes to a line of the same function, and is refused anywhere else', async () => {
  const s = await Inside.at('start_kernel');
  const line = lineOf('boot.c', '\tload_segments();');
  const { targets } = await s.request('gotoTargets', { source: { path: demoFile('boot.c') }, line });
  await s.request('goto', { threadId: 1, targetId: targets[0].id });
  assert.equal((await s.stop()).reason, 'goto');
  assert.equal((await s.frames())[0].line, line);
  const { targets: far } = await s.request('gotoTargets', { source: { path: demoFile('clock.c') }, line: lineOf('clock.c', 'ticks++;') });
  assert.match(await s.failing('goto', { threadId: 1, targetId: far[0].id }), /only places in the function at hand/);
  await s.end();
});
