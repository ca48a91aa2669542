// Steps over what is not one instruction for the machine: traps, hypercalls, faults, repeated strings, calls; pauses where nothing runs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoFile, lineOf } from './client';
import { type Body, Inside } from './inside';

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

test('a trap whose handler goes on behind the instruction is one step over, also from where it is about to be delivered', async () => {
  const s = await Inside.at('show_breakpoints');
  await s.request('setExceptionBreakpoints', { filters: ['gp'] });
  await s.go();
  const pc = await here(s);
  const length = await lengthOf(s, pc);
  const stop = await s.go('next', { granularity: 'instruction' });
  assert.equal(stop.reason, 'step');
  assert.equal(Number(await here(s)), Number(pc) + length);
  await s.end();
});

test('by line too, stepping in enters the handler of what traps, and stepping over runs it through', async () => {
  const fault = lineOf('tour.c', '*page = 42;');
  const s = await Inside.at('show_visible_page_fault');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line: fault }] });
  await s.go();
  await s.go('stepIn');
  const [top] = await s.frames();
  assert.deepEqual([top.name, top.source?.name], ['entry_page_fault', 'entry.S']);
  await s.go('stepOut');
  assert.equal((await s.frames())[0].line, fault);
  await s.functions('user_hello');
  await s.go();
  assert.match((await s.frames())[0].name, /user_hello/);
  for (let n = 0; n < 10 && !(await s.frames())[0].name.startsWith('entry_'); n++) await s.go('stepIn');
  assert.equal((await s.frames())[0].name, 'entry_syscall', 'through the call that has the int 0x80');
  assert.match((await s.frames()).map((f) => f.name).join(), /int 0x80.*from user.*,syscall/);
  await s.end();
});

test('what the Host settles by itself, a filled page, an emulated port, a restored FPU, is completed by a step in and by a step over', async () => {
  const outcomes = async (s: Inside): Promise<Record<string, number>> =>
    Object.fromEntries([...(await s.evaluate('stats')).matchAll(/^ {2}([a-z-]+) +(\d+) /gm)].map((m) => [m[1], Number(m[2])]));
  for (const command of ['stepIn', 'next']) {
    for (const [place, pattern, outcome] of [
      ['show_demand_paging', /^movzb|^movb \$|^mov .*\(%e..\),%.l/, 'paged-in'],
      ['show_ports', /^in /, 'emulated'],
    ] as const) {
      const s = await Inside.at(place);
      for (let n = 0; ; n++) {
        assert.ok(n < 60, `no ${outcome} at ${place}`);
        const pc = await upTo(s, pattern);
        const length = await lengthOf(s, pc);
        const before = (await outcomes(s))[outcome] ?? 0;
        assert.equal((await s.go(command, { granularity: 'instruction' })).reason, 'step');
        assert.equal(Number(await here(s)), Number(pc) + length, `${command} over ${outcome}`);
        if (((await outcomes(s))[outcome] ?? 0) > before) break;
      }
      await s.end();
    }
    const s = await Inside.at('user_fpu');
    await s.request('setExceptionBreakpoints', {
      filters: [],
      filterOptions: [{ filterId: 'nm', condition: 'outcome == "fpu-restored"' }],
    });
    assert.equal((await s.go()).reason, 'exception');
    const pc = await here(s);
    const length = await lengthOf(s, pc);
    await s.request('setExceptionBreakpoints', { filters: [] });
    assert.equal((await s.go(command, { granularity: 'instruction' })).reason, 'step');
    assert.equal(Number(await here(s)), Number(pc) + length, `${command} over fpu-restored`);
    await s.end();
  }
});

test('stepping into a halt ends at the first instruction of the interrupt that wakes the Guest, stepping over it behind the halt', async () => {
  for (const granularity of ['instruction', 'line']) {
    const s = await Inside.at('show_halt');
    await s.functions('halt');
    await s.go();
    const ticks = await s.evaluate('ticks,d');
    const pc = granularity === 'instruction' ? await upTo(s, /^int \$0x1f/, 'stepIn') : '';
    for (let n = 0; n < 10 && !/^entry_/.test((await s.frames())[0].name); n++) await s.go('stepIn', { granularity });
    const names = (await s.frames()).map((f) => f.name);
    assert.match(names[0], /^entry_/);
    assert.match(names.join(), /virq 0.*,(hypercall[^,]*,)?halt/);
    assert.equal(await s.evaluate('ticks,d'), ticks, 'its handler has not run');
    await s.go('stepOut');
    assert.match((await s.frames())[0].name, /^halt|^hypercall/);
    if (pc !== '') assert.equal(Number(await here(s)), Number(pc) + 2);
    assert.equal(Number(await s.evaluate('ticks,d')), Number(ticks) + 1);
    await s.end();
  }
});

test('iret is one step: in, over and by line it ends where the trap came from', async () => {
  for (const how of [
    ['next', 'instruction'],
    ['next', 'line'],
    ['stepIn', 'line'],
  ]) {
    const over = await Inside.at('show_breakpoints');
    await upTo(over, /^int3/);
    await over.go('stepIn', { granularity: 'instruction' });
    await upTo(over, /^iret/);
    await over.go(how[0], { granularity: how[1] });
    assert.equal((await over.frames())[0].name, 'show_breakpoints', how.join());
    await over.end();
  }
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
  const pc = await here(s);
  const next = (await s.request('disassemble', { memoryReference: pc, instructionCount: 2 })).instructions[1].address;
  for (const [place, where] of [
    [next, next],
    [`boot.c:${line}`, pc],
  ]) {
    await s.evaluate(`jump ${place}`);
    assert.equal((await s.stop()).reason, 'goto');
    assert.equal(await here(s), where);
  }
  assert.match(await s.failing('evaluate', { expression: 'jump clock.c:9', context: 'repl' }), /only places in the function at hand/);
  assert.match(await s.failing('evaluate', { expression: 'jump', context: 'repl' }), /where\?/);
  await s.end();
});

test('a frame is restarted with the registers of its first entry, runs again, and says that memory stays; what is no call of a function is refused', async () => {
  const s = await Inside.at('start_kernel');
  const registers = async (): Promise<string> => {
    const all: string[] = [];
    for (const name of ['eip', 'esp', 'ebp', 'ebx', 'esi', 'edi']) all.push(`${name} ${await s.evaluate(`$${name}`)}`);
    return all.join();
  };
  const { breakpoints } = await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '&create_task' }] });
  assert.equal(breakpoints[0].verified, true);
  await s.go();
  const first = await registers();
  const entry = (await s.frames()).map((f) => `${f.name}:${f.line}`);
  await s.functions('alloc_page');
  await s.go();
  const frames = await s.frames();
  const mine = frames.find((f) => f.name === 'create_task');
  assert.equal(mine?.canRestart, true);
  const stop = await s.go('restartFrame', { frameId: mine?.id });
  assert.equal(stop.reason, 'restart');
  assert.equal(stop.description, 'Paused at the start of create_task again');
  assert.match(stop.text ?? '', /what it has written stays/);
  assert.equal(await registers(), first);
  assert.deepEqual(
    (await s.frames()).map((f) => `${f.name}:${f.line}`),
    entry,
  );
  assert.match((await s.go()).reason, /function breakpoint/);
  assert.equal(
    (await s.frames()).some((f) => f.name === 'create_task'),
    true,
    'it runs again',
  );

  await s.request('setInstructionBreakpoints', { breakpoints: [] });
  await s.functions('handle_irq');
  await s.go();
  const above = await s.frames();
  const label = above.find((f) => f.presentationHint === 'label');
  const interrupted = above.findIndex((f) => f.presentationHint === 'label') + 1;
  assert.match(await s.failing('restartFrame', { frameId: label?.id }), /no frame of a function/);
  assert.match(await s.failing('restartFrame', { frameId: above[interrupted].id }), /handler is at work above/);
  assert.match(await s.failing('restartFrame', { frameId: above.at(-1)?.id }), /handler is at work above|was not called|nothing is known/);
  await s.end();
});

/** In the task that only computes, some 200 instructions before the timer cuts in. */
const inSpin = async (launch: Body = {}): Promise<Inside> => {
  const s = await Inside.at('show_task_switches', launch);
  await s.request('setBreakpoints', {
    source: { path: demoFile('tour.c') },
    breakpoints: [{ line: lineOf('tour.c', 'set_timer(time_slice);') }],
  });
  await s.go();
  await s.evaluate('time_slice = 20000');
  await s.functions('user_spin');
  await s.go();
  for (let n = 0; n < 4; n++) await s.go('next'); // its pages are there now: no trap takes time from here on
  const ns = Number(/the timer fires in (\d+) ns/.exec(await s.evaluate('info irq 0'))?.[1]);
  const retired = Number(/^#([\d ]+)/.exec(await s.evaluate('when'))?.[1].replaceAll(' ', ''));
  assert.ok(ns > 200, 'the timer is set');
  await s.functions(`#${retired + ns - 200}`);
  await s.go();
  await s.functions();
  assert.equal((await s.frames())[0].name, 'user_spin');
  return s;
};

test('a step holds the virtual interrupts: 500 instructions of a loop never meet the handler, each stop says what is held, and continuing lets it in', async () => {
  const s = await inSpin();
  const ticks = await s.evaluate('ticks');
  const said = new Set<string>();
  for (let n = 0; n < 500; n++) {
    said.add((await s.go('stepIn', { granularity: 'instruction' })).description ?? '');
    if (n % 50 === 0) assert.equal((await s.frames())[0].name, 'user_spin');
  }
  assert.equal(await s.evaluate('ticks'), ticks);
  assert.deepEqual([...said], ['Paused on step', 'Paused on step; irq 0 held until the Guest continues']);
  assert.match(await s.evaluate('info irq 0'), /the debugger holds it while you step/);
  const info = await s.request('lguest/info');
  assert.deepEqual(info.held, [0], 'for the status bar');
  assert.equal(info.position, (await s.evaluate('when')).split(',')[0]);
  assert.match(await s.evaluate('why -1'), /the debugger holds it while you step/);
  await s.functions('handle_irq');
  await s.go();
  assert.equal((await s.frames())[0].name, 'handle_irq');
  assert.match(await s.evaluate('info irq 0'), /nothing is pending/);
  assert.deepEqual((await s.request('lguest/info')).held, []);
  await s.end();
});

test('with "stepVirq": "deliver" the handler is run through between two steps', async () => {
  const s = await inSpin({ stepVirq: 'deliver' });
  const ticks = Number(await s.evaluate('ticks,d'));
  for (let n = 0; n < 300; n++) {
    assert.equal((await s.go('stepIn', { granularity: 'instruction' })).description, 'Paused on step');
    assert.equal((await s.frames())[0].name, 'user_spin');
  }
  assert.equal(Number(await s.evaluate('ticks,d')), ticks + 1);
  await s.end();
});

test('with "stepVirq": "stop" a step ends before the interrupt, and stepping in from there enters its handler', async () => {
  const s = await Inside.at('show_held_interrupt', { stepVirq: 'stop' });
  const line = lineOf('tour.c', 'after_enable = ticks - before;');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line }] });
  await s.go();
  await s.go('next');
  const stop = await s.go('next');
  assert.deepEqual([stop.reason, stop.description], ['step', 'Paused on step: irq 0 comes in here']);
  const before = await s.evaluate('ticks,d');
  await s.go('stepIn', { granularity: 'instruction' });
  assert.match((await s.frames())[0].name, /^entry_|irq/);
  assert.equal(await s.evaluate('ticks,d'), before, 'not yet run');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [] });
  await s.functions('show_halt');
  await s.go();
  assert.match(s.console, /after the next hypercall: 1\n/, 'a run without steps is not stopped by it');
  await s.end();
});

test('lines and calls are steps that hold too, and a Guest that sleeps is woken all the same', async () => {
  const s = await Inside.at('show_held_interrupt');
  const line = lineOf('tour.c', 'after_enable = ticks - before;');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line }] });
  await s.go();
  const ticks = await s.evaluate('ticks,d');
  await s.go('next');
  assert.match((await s.go('next')).description ?? '', /irq 0 held/);
  assert.equal(await s.evaluate('ticks,d'), ticks);
  const halt = lineOf('tour.c', '\thalt();');
  await s.request('setBreakpoints', { source: { path: demoFile('tour.c') }, breakpoints: [{ line: halt }] });
  await s.go();
  assert.match(s.console.replace(/\r/g, ''), /after the next hypercall: 0\n/, 'it was held where it arrives without a debugger');
  const slept = Number(await s.evaluate('ticks,d'));
  assert.equal((await s.go('next')).reason, 'step');
  assert.equal((await s.frames())[0].line, halt + 1);
  assert.equal(Number(await s.evaluate('ticks,d')), slept + 1);
  await s.end();
});

test('a wrong "stepVirq" is one line that names the choices', async () => {
  const s = new Inside();
  await s.request('initialize', { adapterID: 'lguest' });
  assert.equal(
    await s.failing('launch', { program: demoFile('demo.elf'), stepVirq: 'never' }),
    '"stepVirq" must be "hold" or "deliver" or "stop", not "never".',
  );
  await s.end();
});

test('a step that ends at breakpoints counts them, logs once, and says which they are', async () => {
  const s = await Inside.at('show_breakpoints');
  await s.go('next');
  const [{ line }] = await s.frames();
  const next = await Inside.at('show_breakpoints');
  await next.go('next');
  await next.go('next');
  const [{ line: after }] = await next.frames();
  await next.end();
  const source = { path: demoFile('tour.c') };
  const { breakpoints } = await s.request('setBreakpoints', {
    source,
    breakpoints: [{ line: after, logMessage: 'here' }, { line: after, hitCondition: '== 1' }, { line }],
  });
  const stop = await s.go('next');
  assert.deepEqual([stop.reason, stop.hitBreakpointIds], ['breakpoint', [breakpoints[1].id]]);
  await s.go('next');
  assert.equal(s.output.match(/here/g)?.length, 1);
  await s.end();
});
