// Steps into a trap over DAP: the targets that a client is offered, the decisions as a page with a current line, the Switcher with its own registers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoFile, Session } from './client';
import { type Body, Inside } from './inside';

interface Frame {
  id: number;
  name: string;
  line: number;
  source?: { name: string; sourceReference: number };
  presentationHint?: string;
  instructionPointerReference?: string;
}

test('over DAP a trap is stepped into: decisions on a page, Switcher in the disassembly, injection in the console', async () => {
  const s = await Session.start();
  const stack = async (): Promise<Frame[]> => (await s.request('stackTrace', { threadId: 1, levels: 4 })).stackFrames as Frame[];
  const target = async (label: RegExp): Promise<number> => {
    const { targets } = (await s.request('stepInTargets', { frameId: (await stack())[0].id })) as {
      targets: { id: number; label: string }[];
    };
    return targets.find((t) => label.test(t.label))?.id ?? assert.fail(`no target ${label} in ${JSON.stringify(targets)}`);
  };
  try {
    await s.launch({ program: demoFile('demo.elf'), cmdline: 'do=off', console: 'internalConsole' });
    await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'pf.guest', condition: 'cr2 == 0xd0000000' }] });
    await s.done();
    await s.stop();
    await s.request('stepIn', { threadId: 1, targetId: await target(/^Host: /) });
    assert.match((await s.stop()).description ?? '', /^Host decision 1 of \d+: demand_page$/);
    const [top] = await stack();
    assert.deepEqual([top.line, top.presentationHint], [1, undefined]);
    const page = String((await s.request('source', { source: top.source, sourceReference: top.source?.sourceReference })).content).split(
      '\n',
    );
    assert.match(page[0], /^1\. demand_page \(8\.6\.1\): is the Guest PDE present\?/);
    await s.request('next', { threadId: 1 });
    assert.match((await s.stop()).description ?? '', /^Host decision 2 of/);
    assert.equal((await stack())[0].line, 2);
    await s.request('stepIn', { threadId: 1, targetId: await target(/^Switcher/) });
    await s.stop();
    await s.request('stepIn', { threadId: 1, granularity: 'instruction' });
    await s.stop();
    let at = '';
    for (let n = 0; n < 8 && !at.startsWith('switch_to_guest'); n++) {
      await s.request('stepIn', { threadId: 1, granularity: 'instruction' });
      await s.stop();
      at = (await stack())[0].name;
    }
    assert.match(at, /^switch_to_guest(\+0x\w+)? in the Switcher, Host's address space$/);
    const reference = (await stack())[0].instructionPointerReference;
    const { instructions } = (await s.request('disassemble', { memoryReference: reference, instructionCount: 3 })) as {
      instructions: { address: string; instruction: string }[];
    };
    assert.equal(instructions[0].address, reference);
    assert.match(instructions[0].instruction, /push|mov|lea/);
    assert.match(await s.failing('setExpression', { expression: '$eax', value: '1' }), /Switcher's registers cannot be changed/);
    await s.request('stepOut', { threadId: 1 });
    await s.stop();
    assert.match((await stack())[0].name, /entry_page_fault/);
    assert.match(await s.evaluate('inject irq 2'), /irq 2 is pending/);
    assert.match(String((await s.request('lguest/inject', { vector: 6 })).text), /#UD invalid opcode comes before the instruction at/);
    assert.match(await s.failing('lguest/inject', { vector: 99 }), /vector 99 cannot be injected/);
  } finally {
    await s.end();
  }
});

test('the page walk beside the editor is about the access of the page fault at hand, unless the client names another', async () => {
  const s = await Inside.at('start_kernel');
  await s.request('setExceptionBreakpoints', { filters: ['pf.guest'] });
  await s.go();
  const about = async (args: Body): Promise<string> => (await s.request('lguest/view/pageWalk', args)).nodes[0].description;
  assert.match(await about({}), /kernel write$/);
  assert.match(await about({ access: 'user read' }), /user read$/);
  assert.match(await about({ va: '0xc0100000' }), /kernel read$/);
  await s.end();
});

test('conditions of filters know the handlers at work and how often they were asked, and a trap inside of a handler names the one around it', async () => {
  const s = await Inside.at('show_held_interrupt');
  const filter = async (condition: string): Promise<void> => {
    await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'hypercall', condition }] });
  };
  await filter('depth > 0');
  const stop = await s.go();
  assert.equal(stop.reason, 'exception');
  const { details } = await s.request('exceptionInfo', { threadId: 1 });
  assert.match(details.evaluateName, /^trap\(\d+\)$/);
  assert.match(await s.evaluate(details.evaluateName, 'watch'), /kind = "hypercall", vector = 31/);
  const [around] = details.innerException;
  assert.match(around.message, /^int 0x80 from user mode/);
  assert.match(await s.evaluate(around.evaluateName, 'watch'), /kind = "direct"/);
  assert.equal(await s.evaluate('depth', 'watch').catch(() => 'no name elsewhere'), 'no name elsewhere');
  await filter('depth == 0 && count >= 3');
  const calls = async (): Promise<number> => Number(/hypercall +(\d+)/.exec(await s.evaluate('stats'))?.[1]);
  const before = await calls();
  assert.equal((await s.go()).reason, 'exception');
  assert.ok((await calls()) >= before + 3);
  assert.equal((await s.request('exceptionInfo', { threadId: 1 })).details.innerException, undefined);
  await s.end();
});

test('with "exceptionsStopAt": "handler" filters stop at the first instruction of the handler, unless their mode says otherwise', async () => {
  const s = await Inside.at('show_visible_page_fault', { exceptionsStopAt: 'handler' });
  await s.request('setExceptionBreakpoints', { filters: ['pf.guest'] });
  assert.equal((await s.go()).reason, 'exception');
  assert.equal((await s.frames())[0].name, 'entry_page_fault');
  await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'pf.guest', mode: 'stop' }] });
  await s.go();
  assert.match((await s.frames())[0].name, /#PF/);
  assert.match(
    await s.failing('restart', { arguments: { exceptionsStopAt: 'never' } }),
    /"exceptionsStopAt" must be "beforeDelivery" or "handler", not "never"/,
  );
  await s.end();
});

test('a filter whose condition names what is nothing is refused at once, with a name that is like it; names of records, tasks and locals are not', async () => {
  const s = await Inside.at('show_held_interrupt');
  const set = async (...conditions: string[]): Promise<Body[]> => {
    const filterOptions = conditions.map((condition) => ({ filterId: 'pf.guest', condition }));
    return (await s.request('setExceptionBreakpoints', { filters: [], filterOptions })).breakpoints;
  };
  const bad = await set(
    'vectr == 14',
    'err.W && cr2 < 0x1000 : tick == 3',
    '$ebq == 1',
    'wolk(cr2) != 0',
    'args[0] == 1 && nonsense.member > 2',
  );
  assert.deepEqual(
    bad.map((b) => [b.verified, b.message]),
    [
      [false, 'no symbol, variable or register "vectr"'],
      [false, 'no symbol, variable or register "tick"; did you mean run_ticks?'],
      [false, 'no register "$ebq"'],
      [false, 'no function "wolk"'],
      [false, 'no symbol, variable or register "nonsense"'],
    ],
  );
  const good = await set(
    'err.W && cr2 >= 0x1000 : ticks > 0 && lg.ts == 0',
    'from == user && outcome == reflected || depth > 1 || count == 3',
    'nr == 14 && args[0] != 0 && pid != 7 && insns > 100',
    'eip == sym(cr2) || ring == 3 || eflags.IF || irq_enabled != 0',
    'argument != 0',
  );
  assert.deepEqual(
    good.map((b) => b.message),
    [undefined, undefined, undefined, undefined, undefined],
  );
  await s.end();
});
