// Memory and disassembly through DAP: spaces, search, regions as files, rows, notes, cancelling.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseRegion } from '../../src/debugger/memory-tools';
import { openProgram } from '../../src/debugger/programs';
import { demoFile } from './client';
import { Inside } from './inside';

test("memory references name linear, guest-physical, another directory's and the machine's memory, and may be expressions", async () => {
  const s = await Inside.at('show_held_interrupt');
  const address = Number(/0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0]);
  const directory = /0x[0-9a-f]+/.exec(await s.evaluate('lg.gpgdir'))?.[0];
  const read = async (memoryReference: string): Promise<string> => (await s.request('readMemory', { memoryReference, count: 16 })).data;
  const linear = await read(`0x${address.toString(16)}`);
  for (const reference of [`p:0x${(address - 0xc0000000).toString(16)}`, `v@${directory}:0x${address.toString(16)}`, '&ticks'])
    assert.equal(await read(reference), linear, reference);
  assert.equal((await s.request('readMemory', { memoryReference: 'host:0x00000000', count: 4 })).address, 'host:0x00000000');
  assert.match(await s.failing('readMemory', { memoryReference: '&nothing', count: 4 }), /nothing/);
  await s.end();
});

test('a search finds text, words and bytes, tells its progress and can be cancelled', async () => {
  const s = await Inside.at('show_held_interrupt', {}, { supportsProgressReporting: true });
  const { matches } = await s.request('lguest/memory/search', { pattern: '"held interrupt: timer"', from: '0xc0000000', to: '0xc1000000' });
  assert.equal(matches.length, 1);
  const [at] = matches;
  assert.equal((await s.evaluate(`find "held interrupt: timer"`)).split(' ')[0], at.reference);
  const physical = await s.request('lguest/memory/search', {
    pattern: '"held interrupt: timer"',
    from: 'p:0x00000000',
    to: 'p:0x02000000',
  });
  assert.equal(physical.matches[0].reference, `p:0x${(Number(at.reference) - 0xc0000000).toString(16).padStart(8, '0')}`);
  assert.deepEqual(physical.matches[0].virtual, [at.reference], 'and through which addresses the Guest sees it');
  await s.evaluate('ticks = 0x1badd00d');
  const word = await s.request('lguest/memory/search', { pattern: '0x1badd00d', from: '0xc0000000', to: '0xc1000000' });
  const ticks = /0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0];
  assert.deepEqual(
    word.matches.map((m: { reference: string }) => m.reference),
    [ticks],
  );
  const bytes = await s.request('lguest/memory/search', { pattern: 'bytes 68 65 6c 64 20 69', from: '0xc0000000', to: '0xc1000000' });
  assert.ok(bytes.matches.some((m: { reference: string }) => m.reference === at.reference));
  assert.match(await s.failing('lguest/memory/search', { pattern: '?' }), /nothing to look for/);
  const long = s.raw('lguest/memory/search', { pattern: '"no such text anywhere"' });
  await s.request('cancel', { requestId: long.seq });
  const response = await long.response;
  assert.deepEqual([response.success, response.message], [false, 'cancelled']);
  await s.end();
});

test('a region is saved and loaded as bytes, Intel HEX and S-records', async () => {
  const s = await Inside.at('show_held_interrupt');
  const from = '0xc0100000';
  const raw = Buffer.from((await s.request('lguest/memory/export', { memoryReference: from, count: 100 })).data, 'base64');
  for (const format of ['hex', 'srec']) {
    const { text } = await s.request('lguest/memory/export', { memoryReference: from, count: 100, format });
    const whole = Buffer.concat(parseRegion(text).map((p) => p.bytes));
    assert.deepEqual([parseRegion(text)[0].address, whole.equals(raw)], [0xc0100000, true], format);
    assert.equal((await s.request('lguest/memory/import', { text })).bytesWritten, 100);
    const broken = text.replace(/[0-9A-F]\n/, (m: string) => `${m[0] === '0' ? '1' : '0'}\n`);
    assert.match(await s.failing('lguest/memory/import', { text: broken }), /^line 1: wrong checksum/);
  }
  assert.match(await s.failing('lguest/memory/export', { memoryReference: '0xe0000000', count: 4 }), /0xe0000000 is not mapped/);
  assert.match(await s.failing('lguest/memory/import', { text: 'hello' }), /line 1: neither/);
  await s.end();
});

test('reading changes nothing: no page comes in, no accessed bit, and a hole is unreadable without an error', async () => {
  const s = await Inside.at('show_demand_paging');
  const fresh = /0x[0-9a-f]+/.exec(await s.evaluate('&fresh'))?.[0];
  const entry = await s.evaluate(`what ${fresh}`);
  await s.request('readMemory', { memoryReference: fresh, count: 0x4000 });
  await s.request('disassemble', { memoryReference: fresh, instructionCount: 50 });
  assert.equal(await s.evaluate(`what ${fresh}`), entry);
  assert.match(entry, /Guest's table: kernel read-write\nshadow table: not mapped/);
  assert.deepEqual(await s.request('readMemory', { memoryReference: '0xe0000000', count: 4096 }), {
    address: '0xe0000000',
    unreadableBytes: 4096,
  });
  await s.end();
});

test('a type is laid over bytes by an expression, and every stop tells that what was read may have changed', async () => {
  const s = await Inside.at('show_held_interrupt');
  const frame = (await s.frames())[0];
  const body = await s.request('evaluate', { expression: '*(struct task *)&init_stack', context: 'watch', frameId: frame.id });
  assert.ok(body.variablesReference > 0, body.result);
  assert.ok((await s.variables(body.variablesReference)).length > 1);
  await s.request('readMemory', { memoryReference: '&ticks', count: 64 });
  await s.go('next');
  const told = s.events.find((e) => e.event === 'memory');
  assert.deepEqual(told?.body, { memoryReference: '&ticks', offset: 0, count: 64 });
  await s.end();
});

test('disassembly gives exactly the rows asked for at both ends of the address space, in either syntax, and agrees with itself', async () => {
  const s = await Inside.at('show_held_interrupt');
  const rows = async (
    memoryReference: string,
    instructionOffset: number,
    instructionCount: number,
  ): Promise<{ address: string; instruction: string }[]> =>
    (await s.request('disassemble', { memoryReference, instructionOffset, instructionCount })).instructions;
  for (const [where, offset, count] of [
    ['0x00000000', -50, 100],
    ['0xffffffff', -50, 100],
    ['0xc0100000', -200, 400],
    ['0xc0100000', 37, 5],
  ] as const)
    assert.equal((await rows(where, offset, count)).length, count);
  const [{ instructionPointerReference: pc }] = await s.frames();
  const wide = await rows(pc ?? '', -60, 160);
  assert.equal(wide[60].address, pc);
  assert.deepEqual(await rows(pc ?? '', -30, 60), wide.slice(30, 90));
  assert.ok(
    wide.some((r) => /call .*<\w+>/.test(r.instruction)),
    'targets by name',
  );
  await s.end();
  const intel = await Inside.at('show_held_interrupt', { disassemblySyntax: 'intel' });
  const { instructions } = await intel.request('disassemble', { memoryReference: pc, instructionOffset: 0, instructionCount: 30 });
  assert.ok(instructions.some((r: { instruction: string }) => /\be[a-d]x, ?/.test(r.instruction) && !r.instruction.includes('%')));
  await intel.end();
});

test('disassembly, listings and the console say which instructions were never executed, and what ran decides where rows begin', async () => {
  const s = await Inside.at('handle_irq');
  const rows = async (): Promise<{ address: string; instruction: string }[]> =>
    (await s.request('disassemble', { memoryReference: '&handle_irq', instructionOffset: 0, instructionCount: 8 })).instructions;
  const marked = (list: { instruction: string }[]): boolean[] => list.map((r) => r.instruction.endsWith('; never executed'));
  assert.ok(marked(await rows()).every(Boolean), 'the first interrupt is about to be handled');
  assert.match(await s.evaluate('executed', 'repl'), /^handle_irq: 0 of \d+ instructions executed\n {2}never 0x/);
  await s.go('stepIn', { granularity: 'instruction' });
  await s.go('stepIn', { granularity: 'instruction' });
  assert.deepEqual(marked(await rows()).slice(0, 3), [false, false, true], 'two steps later two are not marked');
  assert.match(await s.evaluate('executed', 'repl'), /^handle_irq: 2 of/);
  const { never } = await s.request('lguest/executed', { name: 'handle_irq.lgl' });
  assert.deepEqual(never.slice(0, 2), [5, 6], 'a line for the range, one for the name, two that ran');
  assert.match(await s.failing('lguest/executed', { name: 'nothing.lgl' }), /no such listing/);
  assert.match(await s.failing('evaluate', { expression: 'executed 0xffc00000', context: 'repl' }), /nobody keeps count/);
  await s.end();
});

test('the instruction at hand shows where its memory operand is and what is there; lines and symbols stand on their first row', async () => {
  const s = await Inside.at('handle_irq');
  let note = '';
  for (let n = 0; n < 40 && note === ''; n++) {
    const [{ instructionPointerReference: pc }] = await s.frames();
    const { instructions } = await s.request('disassemble', { memoryReference: pc, instructionOffset: 0, instructionCount: 1 });
    note = /; .*\(%e?\w+.*\) = (0x[0-9a-f]{8}): (0x[0-9a-f]{8})/.exec(instructions[0].instruction)?.[0] ?? '';
    if (note === '') await s.go('stepIn', { granularity: 'instruction' });
  }
  const [, address, value] = /= (0x[0-9a-f]{8}): (0x[0-9a-f]{8})/.exec(note) ?? [];
  assert.equal(Number(await s.evaluate(`read32(${address}),d`)) >>> 0, Number(value));
  const { instructions } = await s.request('disassemble', { memoryReference: '&handle_irq', instructionOffset: 0, instructionCount: 40 });
  assert.equal(instructions[0].symbol, 'handle_irq');
  const located = instructions.filter((r: { location?: object }) => r.location !== undefined);
  assert.ok(located.length > 3 && located.length < 40);
  assert.ok(
    instructions.some((r: { instruction: string }) => /^(add|inc|mov)\w* .*0xc01[0-9a-f]{5}.* <ticks>/.test(r.instruction)),
    'operands that are addresses by name',
  );
  await s.end();
});

test('memory bound to an expression follows it: each stop reads where it leads then', async () => {
  const s = await Inside.at('set_gate');
  const read = async (memoryReference: string): Promise<[number, string]> => {
    const { address, data } = await s.request('readMemory', { memoryReference, count: 4 });
    return [Number(address), data];
  };
  const esp = async (): Promise<number> => Number(await s.evaluate('$esp,x'));
  const before = await read('$esp');
  assert.equal(before[0], await esp());
  await s.go('stepOut');
  const after = await read('$esp');
  assert.equal(after[0], await esp());
  assert.notEqual(after[0], before[0]);
  assert.deepEqual(await read('$esp - 4'), await read(`0x${(after[0] - 4).toString(16)}`));
  await s.end();
});

test('disassembly marks where inlined functions begin, and code that is changed by hand is told once', async () => {
  const s = await Inside.at('start_kernel');
  const notes: string[] = [];
  for (const name of ['start_kernel', 'show_visible_page_fault', 'show_held_interrupt', 'handle_irq', 'printk']) {
    const { instructions } = await s.request('disassemble', { memoryReference: `&${name}`, instructionOffset: 0, instructionCount: 60 });
    for (const r of instructions) notes.push(...(/; inlined: ((?:\w+, )*\w+)/.exec(r.instruction)?.[1].split(', ') ?? []));
  }
  assert.ok(notes.length > 0);
  const { symbols } = openProgram(new Uint8Array(readFileSync(demoFile('demo.elf'))), 'demo.elf');
  for (const name of notes) assert.ok((symbols?.functionsNamed(name).length ?? 0) > 0, name);
  const at = (await s.evaluate('&handle_irq')).split(' ')[0];
  const write = async (): Promise<unknown> =>
    s.request('writeMemory', { memoryReference: at, data: Buffer.from([0x90]).toString('base64') });
  await write();
  await write();
  assert.equal(s.output.match(/bytes of code of handle_irq were changed/g)?.length, 1);
  await s.request('writeMemory', { memoryReference: '&ticks', data: Buffer.from([1]).toString('base64') });
  await s.end();
});

test('a search of the whole address space passes over what no table maps, and finds what lies at the end of it', async () => {
  const s = await Inside.at('show_held_interrupt');
  const from = performance.now();
  const { matches } = await s.request('lguest/memory/search', { pattern: '"held interrupt: timer"', from: '0x00000000' });
  assert.ok(performance.now() - from < 5_000);
  assert.ok(matches.length >= 1);
  const code = Buffer.from((await s.request('readMemory', { memoryReference: '0xffc00000', count: 12 })).data, 'base64');
  const text = [...code].map((b) => b.toString(16).padStart(2, '0')).join(' ');
  const found = await s.request('lguest/memory/search', { pattern: `bytes ${text}`, from: '0xf0000000' });
  assert.equal(found.matches[0]?.reference, '0xffc00000', "the Switcher's code, which only the shadow tables map");
  await s.end();
});
