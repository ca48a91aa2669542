// Breakpoints through DAP on the demo Guest: places, address spaces, conditions, counts, messages; never in the Guest's memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoFile, lineOf } from './client';
import { type Body, Inside } from './inside';

test('functions by name, wildcard, regular expression and file:function bind to every place, and the message counts them', async () => {
  const s = await Inside.at('start_kernel');
  const [plain, wild, regex, file, none] = await s.functions('handle_irq', 'show_*', '/^show_(halt|ports)$/', 'clock.c:halt', 'handle_iqr');
  assert.deepEqual([plain.verified, wild.verified, regex.verified, file.verified, none.verified], [true, true, true, true, false]);
  assert.equal(wild.message, '9 places');
  assert.equal(regex.message, '2 places');
  assert.match(none.message, /No function "handle_iqr" is known/);
  await s.functions('/^show_(halt|ports)$/');
  assert.equal((await s.go()).reason, 'function breakpoint');
  assert.equal((await s.frames())[0].name, 'show_ports');
  await s.end();
});

test('a line without code binds to the next that has some, columns are offered, and what cannot be bound says why', async () => {
  const s = await Inside.at('start_kernel');
  const path = demoFile('clock.c');
  const comment = lineOf('clock.c', 'console input: waking up');
  const { breakpoints } = await s.request('setBreakpoints', { source: { path }, breakpoints: [{ line: comment - 1 }, { line: 4000 }] });
  assert.equal(breakpoints[0].verified, true);
  assert.match(breakpoints[1].message, /No code at line 4000/);
  const foreign = await s.request('setBreakpoints', { source: { path: '/nowhere/else.c' }, breakpoints: [{ line: 1 }] });
  assert.match(foreign.breakpoints[0].message, /No program of this session was built from else.c/);
  const line = lineOf('clock.c', 'ticks++;');
  const spots = await s.request('breakpointLocations', { source: { path }, line: line - 3, endLine: line + 3 });
  assert.ok(spots.breakpoints.length >= 3 && spots.breakpoints.every((b: { column?: number }) => (b.column ?? 1) >= 1));
  const column = spots.breakpoints.find((b: { line: number }) => b.line === line)?.column;
  const assembly = { path: demoFile('entry.S') };
  const body = lineOf('entry.S', 'common_trap:');
  const inAssembly = (await s.request('breakpointLocations', { source: assembly, line: body, endLine: body + 24 })).breakpoints;
  assert.ok(inAssembly.length >= 5, JSON.stringify(inAssembly));
  const [there] = (await s.request('setBreakpoints', { source: assembly, breakpoints: [{ line: inAssembly[1].line }] })).breakpoints;
  assert.deepEqual([there.verified, there.line], [true, inAssembly[1].line]);
  await s.request('setBreakpoints', { source: assembly, breakpoints: [] });
  const exact = await s.request('setBreakpoints', { source: { path }, breakpoints: [{ line, column }] });
  assert.deepEqual([exact.breakpoints[0].verified, exact.breakpoints[0].line, exact.breakpoints[0].column], [true, line, column]);
  await s.go();
  assert.equal((await s.frames())[0].line, line);
  await s.end();
});

test('an address counts in its space: linear, guest-physical through any alias, or one page directory only', async () => {
  const s = await Inside.at('show_held_interrupt');
  const address = Number(/0x[0-9a-f]+/.exec(await s.evaluate('&handle_irq'))?.[0]);
  const physical = `p:0x${(address - 0xc0000000).toString(16)}`;
  const linear = `0x${address.toString(16)}`;
  const [p] = await s.functions(physical);
  assert.equal(p.verified, true);
  assert.equal((await s.go()).reason, 'function breakpoint');
  assert.equal(await s.evaluate('$eip'), `0x${address.toString(16)}`);
  const directory = /0x[0-9a-f]+/.exec(await s.evaluate('lg.gpgdir'))?.[0];
  await s.functions(`v@0x00001000:${linear}`, 'shell');
  assert.equal((await s.frames())[0].name, 'handle_irq');
  const { breakpoints } = await s.request('setInstructionBreakpoints', {
    breakpoints: [{ instructionReference: `v@${directory}:${linear}` }],
  });
  assert.equal(breakpoints[0].verified, true);
  assert.equal((await s.go()).reason, 'instruction breakpoint', 'the directory of now');
  await s.request('setInstructionBreakpoints', { breakpoints: [] });
  await s.go();
  assert.equal((await s.frames())[0].name, 'shell', 'the other directory never ran it');
  await s.end();
});

test('a number of instructions is a place: the Guest stops when so many have run', async () => {
  const s = await Inside.at('start_kernel');
  const [b] = await s.functions('#200000');
  assert.equal(b.verified, true);
  assert.equal((await s.go()).reason, 'function breakpoint');
  assert.match(await s.evaluate('when'), /^#200[ ,.]?000\b/);
  await s.end();
});

test('hit counts know == >= > < and %, and start anew with a restart', async () => {
  for (const [hitCondition, nth] of [
    ['== 3', 3],
    ['>= 2', 2],
    ['> 4', 5],
    ['% 4', 4],
  ] as const) {
    const s = await Inside.at('show_demand_paging');
    await s.functions({ name: 'printk', hitCondition });
    await s.go();
    assert.match(await s.evaluate('info b'), new RegExp(`printk +hits ${nth},`));
    await s.end();
  }
  const s = await Inside.at('start_kernel');
  const [bad] = await s.functions({ name: 'printk', hitCondition: 'often' });
  assert.match(bad.message, /"often" is no hit count/);
  await s.functions({ name: 'printk', hitCondition: '== 2' });
  await s.go();
  const first = await s.evaluate('when');
  await s.go('restart');
  await s.go();
  assert.equal(await s.evaluate('when'), first);
  await s.end();
});

test('how often a breakpoint was met is told at each stop and while the Guest runs, stands beside its instruction, and begins anew with a restart', async () => {
  const s = await Inside.at('show_demand_paging');
  const told = (id: number): string[] =>
    s.events.flatMap((e) => (e.event === 'breakpoint' && e.body.breakpoint.id === id ? [e.body.breakpoint.message ?? ''] : []));
  const [often, stop] = await s.functions({ name: 'printk', hitCondition: '== 3' }, 'show_halt');
  const [watch] = await s.watch(['ticks', 'write', 'new == 2']);
  assert.deepEqual(told(often.id), []);
  await s.go();
  assert.deepEqual(told(often.id), ['3 hits']);
  assert.ok(s.order.lastIndexOf('breakpoint') < s.order.lastIndexOf('stopped'), 'before the stop, so that it is right when that is shown');
  const { instructions } = await s.request('disassemble', { memoryReference: '$eip', instructionCount: 2 });
  assert.ok(instructions[0].instruction.endsWith(`; breakpoint ${often.id}: 3 hits`), instructions[0].instruction);
  assert.doesNotMatch(instructions[1].instruction, /breakpoint/);
  const stops = [await s.go(), await s.go()];
  assert.deepEqual(stops.map((x) => x.reason).sort(), ['data breakpoint', 'function breakpoint']);
  assert.deepEqual([told(stop.id), told(watch.id)], [['1 hit'], ['1 hit']]);
  const labels = async (): Promise<string[]> =>
    (await s.request('lguest/view/breakpoints')).nodes.flatMap((g: Body) => g.children.map((c: Body) => `${c.label}: ${c.description}`));
  assert.match(
    (await labels()).join('\n'),
    /^printk: \d+ hits, hits == 3\nshow_halt: 1 hit\nwrite ticks: 1 hit, if new == 2\nkilled: 0 hits\npanic: /,
  );
  await s.go('restart', { arguments: { program: demoFile('demo.elf'), stopOnEntry: true } });
  assert.match((await labels()).join('\n'), /^printk: 0 hits, hits == 3\nshow_halt: 0 hits\nwrite ticks: 0 hits/);
  assert.deepEqual(
    [told(often.id).at(-1), told(stop.id).at(-1), told(watch.id).at(-1)],
    ['', '', ''],
    'the editor is told that they begin anew',
  );
  await s.go();
  assert.equal(told(often.id).at(-1), '3 hits');
  await s.end();
});

test('functions of the Host and hypercalls are breakpoints by name, with conditions over the trap, and stop before it is applied', async () => {
  const s = await Inside.at('show_visible_page_fault');
  const [page, call, host, both, none, number] = await s.functions(
    { name: 'demand_page', condition: 'outcome == reflected && cr2 == 0xd0000000' },
    { name: 'hcall:SET_PTE', hitCondition: '>= 2' },
    'host:emulate_insn',
    { name: 'deliver_trap', logMessage: 'delivers {vector,d}' },
    'hcall:SET_NOTHING',
    { name: 'hcall:14', condition: 'bad +' },
  );
  assert.deepEqual(
    [page.verified, call.verified, host.verified, both.verified, none.verified, number.verified],
    [true, true, true, true, false, false],
  );
  assert.match(none.message, /no hypercall "SET_NOTHING"; there are .*SET_PTE/);
  assert.match((await s.functions({ name: 'host:main' }))[0].message, /the Host has no "main".*demand_page/);
  await s.functions(
    { name: 'demand_page', condition: 'outcome == reflected && cr2 == 0xd0000000' },
    { name: 'deliver_trap', logMessage: 'delivers {vector,d}' },
  );
  const stop = await s.go();
  assert.deepEqual([stop.reason, stop.description], ['function breakpoint', 'Paused on function breakpoint: Host: demand_page']);
  assert.equal(stop.hitBreakpointIds?.length, 1);
  const frames = await s.frames();
  assert.match(frames[0].name, /#PF.*reflected/);
  assert.equal(frames[1].name, 'show_visible_page_fault', 'the Guest stands at the instruction that faulted');
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal((await s.frames())[0].name, 'entry_page_fault');
  await s.functions({ name: 'hcall:SET_PTE', hitCondition: '>= 2' }, { name: 'deliver_trap', logMessage: 'delivers {vector,d}' });
  const second = await s.go();
  assert.equal(second.description, 'Paused on function breakpoint: SET_PTE');
  assert.match(await s.evaluate('info b'), /hcall:SET_PTE +hits 2,/);
  await s.functions('emulate_insn');
  assert.equal((await s.go()).description, 'Paused on function breakpoint: Host: emulate_insn');
  assert.match(s.output, /delivers 14/);
  await s.functions('shell');
  assert.equal((await s.go()).description, 'Paused on function breakpoint');
  await s.end();
});

test('by its mode a breakpoint stops, logs where the Guest came by, or only counts', async () => {
  const s = await Inside.at('show_demand_paging');
  const at = async (name: string): Promise<string> =>
    (await s.request('disassemble', { memoryReference: `&${name}`, instructionCount: 1 })).instructions[0].address;
  const [log, count] = [await at('handle_irq'), await at('printk')];
  const wrong = await s.failing('setInstructionBreakpoints', { breakpoints: [{ instructionReference: log, mode: 'loud' }] });
  assert.match(wrong, /"mode" must be one of stop, log, count/);
  const { breakpoints } = await s.request('setInstructionBreakpoints', {
    breakpoints: [
      { instructionReference: log, mode: 'log' },
      { instructionReference: count, mode: 'count' },
    ],
  });
  await s.request('setBreakpoints', {
    source: { path: demoFile('tour.c') },
    breakpoints: [{ line: lineOf('tour.c', '\thalt();'), mode: 'software' }],
  });
  assert.equal((await s.go()).reason, 'breakpoint');
  assert.match(s.output, new RegExp(`breakpoint ${breakpoints[0].id}, hit 1: handle_irq \\(#\\d`));
  const rows = (await s.request('lguest/view/breakpoints')).nodes[0].children as Body[];
  assert.match(rows[0].description, /^\d+ hits?, logs$/);
  assert.match(rows[1].description, /^\d\d+ hits, only counts$/);
  await s.end();
});

test('while the Guest runs its counts grow in the view and in what the client is told', async () => {
  const s = await Inside.at('spin', { cmdline: 'do=spin 4000000000' });
  const { breakpoints } = await s.request('setBreakpoints', {
    source: { path: demoFile('shell.c') },
    breakpoints: [{ line: lineOf('shell.c', 'x ^= x << 13;'), hitCondition: '== 4000000000' }],
  });
  const [b] = breakpoints;
  await s.request('continue', { threadId: 1 });
  const seen = new Set<string>();
  const told = (): string[] =>
    s.events.flatMap((e) => (e.event === 'breakpoint' && e.body.breakpoint.id === b.id ? [e.body.breakpoint.message] : []));
  for (let n = 0; n < 2000 && (seen.size < 3 || told().length < 2); n++) {
    await new Promise((done) => setTimeout(done, 5));
    seen.add((await s.request('lguest/view/breakpoints')).nodes[0].children[0].description);
  }
  assert.ok(seen.size >= 3, [...seen].join());
  assert.ok(told().length >= 2 && told().every((m) => /^\d+ hits?$/.test(m)), told().join());
  await s.end();
});

test('a listing tells which of its lines have breakpoints and how often those were met', async () => {
  const s = await Inside.at('handle_irq');
  const [{ address }] = (await s.request('disassemble', { memoryReference: '&handle_irq', instructionCount: 1 })).instructions;
  const lines = async (): Promise<Body[]> => (await s.request('lguest/executed', { name: 'handle_irq.lgl' })).hits;
  assert.deepEqual(await lines(), []);
  const { breakpoints } = await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: address }] });
  await s.go();
  await s.go();
  assert.deepEqual(
    await lines(),
    [{ line: 3, text: `; breakpoint ${breakpoints[0].id}: 2 hits` }],
    'a line for the range, one for the name',
  );
  await s.end();
});

test('places that the editor cannot list are set and taken away by text, also while the Guest runs, and a watch of its list may only log', async () => {
  const s = await Inside.at('start_kernel');
  await s.watch(['ticks', 'write']);
  const rows = async (): Promise<Body[]> => (await s.request('lguest/view/breakpoints')).nodes.flatMap((g: Body) => g.children);
  const [ticks] = await rows();
  await s.request('lguest/breakpointsPlus/mode', { id: ticks.breakpoint, mode: 'log' });
  await s.watch(['ticks', 'write']);
  assert.match((await rows())[0].description, /only logs/, 'the list that is sent anew knows nothing of modes');
  await s.request('lguest/breakpointsPlus/add', { place: 'show_halt if ticks > 0' });
  await s.request('lguest/breakpointsPlus/add', { what: 'watch', place: 'ticks if new > 1000000 | count' });
  assert.equal((await s.go()).reason, 'function breakpoint');
  assert.ok((await s.request('lguest/watchLog')).rows.length > 0);
  const own = (await rows()).filter((r) => r.own);
  assert.deepEqual(
    own.map((r) => r.label),
    ['show_halt', 'write ticks'],
  );
  assert.match(await s.failing('lguest/breakpointsPlus/mode', { id: own[0].breakpoint, mode: 'log' }), /Only watches have a mode/);
  assert.match(await s.failing('lguest/breakpointsPlus/mode', { id: own[1].breakpoint, mode: 'log' }), /condition of this watch/);
  assert.equal(new Set((await rows()).filter((r) => r.breakpoint !== undefined).map((r) => r.breakpoint)).size, 3, 'one number for each');
  for (const { breakpoint } of own) await s.request('lguest/breakpointsPlus/remove', { id: breakpoint });
  assert.equal(
    (await rows()).some((r) => r.own),
    false,
  );
  assert.match(await s.failing('lguest/breakpointsPlus/remove', { id: ticks.breakpoint }), /editor's list/);
  await s.end();
});

test("a breakpoint is never in the Guest's memory, and holds when the Guest changes the code there", async () => {
  const s = await Inside.at('show_held_interrupt');
  const address = /0x[0-9a-f]+/.exec(await s.evaluate('&handle_irq'))?.[0] ?? '';
  const read = async (): Promise<string> => (await s.request('readMemory', { memoryReference: address, count: 16 })).data;
  const before = await read();
  await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: address }] });
  await s.go();
  assert.equal(await read(), before);
  // The same bytes with a NOP over the first one-byte instruction: code as a kernel patches it.
  const bytes = Buffer.from(before, 'base64');
  bytes[0] = 0x90;
  await s.request('writeMemory', { memoryReference: address, data: bytes.subarray(0, 1).toString('base64') });
  assert.equal(
    (await s.request('disassemble', { memoryReference: address, instructionCount: 1 })).instructions[0].instruction.startsWith('nop'),
    true,
  );
  assert.match(
    (await s.request('disassemble', { memoryReference: address, instructionCount: 1 })).instructions[0].instruction,
    /file has /,
  );
  await s.request('writeMemory', { memoryReference: address, data: Buffer.from(before, 'base64').subarray(0, 1).toString('base64') });
  assert.equal((await s.go()).reason, 'instruction breakpoint');
  await s.end();
});

test('a restart is done in place, keeps breakpoints, watches and filters, and takes at most 200 ms', async () => {
  const s = await Inside.at('start_kernel');
  await s.functions('show_halt');
  await s.watch(['ticks', 'write', 'new == 2']);
  await s.go();
  const times: number[] = [];
  // The processor's time, and the best of many: others may be at work on the machine that runs this, and take its caches.
  for (let n = 0; n < 20 && (n < 3 || Math.min(...times) > 200); n++) {
    const from = process.cpuUsage();
    await s.request('restart');
    const { user, system } = process.cpuUsage(from);
    times.push((user + system) / 1000);
    await s.stop();
    assert.equal((await s.frames())[0].name, 'start_kernel');
  }
  assert.ok(Math.min(...times) <= 200, `${times.map((t) => t.toFixed(0)).join(' ')} ms`);
  const [first, second] = [await s.go(), await s.go()];
  assert.deepEqual([first.reason, second.reason].sort(), ['data breakpoint', 'function breakpoint']);
  await s.end();
});

test('a restart keeps the trap log of the run before: it can be asked, and the first difference is named', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match(await s.failing('lguest/trapLog/query', { run: 'previous' }), /there is no run before this one/);
  const before = await s.request('lguest/trapLog/query', { count: 5 });
  await s.go('restart');
  const previous = await s.request('lguest/trapLog/query', { run: 'previous', count: 5 });
  assert.deepEqual(previous.rows, before.rows);
  assert.equal(previous.total, before.total);
  assert.match(
    await s.evaluate('diff'),
    new RegExp(`^no difference in ${before.total} records\nrecords: ${before.total} in this run, ${before.total}`),
  );
  await s.request('lguest/inject', { vector: 6 });
  await s.functions('show_halt');
  await s.go();
  await s.go('restart');
  const longer = await s.request('lguest/trapLog/query', { run: 'previous', sort: 'newest', count: 1 });
  assert.ok(longer.total > before.total);
  await s.go();
  const { k, fields, previous: was } = await s.request('lguest/trapLog/diff');
  assert.ok(k >= before.total, 'where the trap was injected');
  assert.ok(fields.includes('vector') || fields.includes('kind'), String(fields));
  assert.match(was.what, /#UD/);
  assert.match(await s.evaluate('diff'), new RegExp(`^first difference at trap ${k}: .*\n {2}this run .*\n {2}run before .*#UD`));
  assert.match(await s.failing('lguest/trapLog/query', { run: 'next' }), /"run" must be one of this, previous/);
  await s.end();
});

test('with "logTo": "trapLog" lines of logpoints stand among the records, not in the console', async () => {
  const s = await Inside.at('show_held_interrupt', { logTo: 'trapLog' });
  await s.functions({ name: 'handle_irq', logMessage: 'tick {ticks,d}' }, 'show_halt');
  await s.go();
  assert.doesNotMatch(s.output, /tick \d/);
  const { logs, rows } = await s.request('lguest/trapLog/query', { sort: 'newest', count: 200 });
  assert.ok(logs.length > 0);
  assert.equal(logs[0].text, 'tick 0');
  assert.ok(logs[0].k >= rows[0].k);
  const position = Number(logs[0].position.slice(1).split('.')[0]);
  const next = rows.find((r: { k: number }) => r.k === logs[0].k);
  assert.ok(next === undefined || Number(next.position.slice(1).split('.')[0]) >= position, 'it stands before the record that came next');
  const exported = async (format: string): Promise<string[]> => (await s.request('lguest/export', { format })).text.trimEnd().split('\n');
  const [json, csv] = [await exported('ndjson'), await exported('csv')];
  const at = json.findIndex((line) => line.startsWith('{"kind":"log"'));
  const note = JSON.parse(json[at]);
  assert.deepEqual([note.before, note.pos, note.text], [logs[0].k, logs[0].position, 'tick 0']);
  assert.equal(JSON.parse(json[at - 1]).k, note.before - 1);
  assert.equal(json.filter((line) => line.startsWith('{"kind":"log"')).length, csv.filter((line) => line.split(',')[3] === 'log').length);
  const columns = csv[0].split(',');
  const row = csv.find((line) => line.split(',')[3] === 'log')?.split(',') ?? [];
  assert.deepEqual([row.length, row[columns.indexOf('ns')], row[columns.indexOf('message')]], [columns.length, String(note.ns), 'tick 0']);
  assert.ok(csv.findIndex((line) => line.split(',')[3] === 'log') === at + 1, 'behind the head');
  const [trace] = await exported('chrome');
  const event = JSON.parse(trace).traceEvents.find((e: { cat: string }) => e.cat === 'log');
  assert.deepEqual([event.name, event.ph, event.args.before], ['tick 0', 'i', note.before]);
  assert.equal(event.ts, note.ns / 1000);
  assert.ok(note.ns >= JSON.parse(json[at - 1]).ns);
  assert.match(await s.evaluate('traps 200'), /#[\d.]+ +log tick 0 \(handle_irq[+0-9a-fx]*\)\n/);
  await s.end();
});
