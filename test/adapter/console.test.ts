// The Debug Console: breakpoints, watches and memory in gdb's and Bochs' words, completion, places that values lead to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineOf } from './client';
import { Inside } from './inside';

test('breakpoints and watches are set in the console, with conditions and log texts, and stay when the client sends its own', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match(await s.evaluate('b handle_irq if ticks == 1'), /^Breakpoint \d+ at 0xc01\w+ <handle_irq/);
  assert.match(await s.evaluate('tb clock.c:' + lineOf('clock.c', 'ticks++;')), /^Temporary breakpoint \d+ at /);
  assert.match(await s.evaluate('watch ticks if new == 2'), /^Watch \d+: guest-physical 0x\w+, 4 bytes \(ticks\)/);
  await s.functions('shell');
  await s.request('setDataBreakpoints', { breakpoints: [] });
  assert.match(await s.evaluate('info b'), /handle_irq .*if ticks == 1[\s\S]*write ticks/);
  const reasons = [(await s.go()).reason, (await s.go()).reason, (await s.go()).reason];
  assert.deepEqual(reasons, ['breakpoint', 'function breakpoint', 'data breakpoint']);
  assert.doesNotMatch(await s.evaluate('info b'), /clock\.c:/, 'the temporary one is gone');
  assert.equal(await s.evaluate('delete'), '2 deleted');
  assert.match(await s.failing('evaluate', { expression: 'b nowhere_at_all', context: 'repl' }), /No function/);
  await s.end();
});

test('words of gdb and Bochs are understood: print/x, x, stepi, where, info reg, xp, r, creg, vb, pb, sb, blist, bpd, u', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match(await s.evaluate('print/x ticks'), /^0x0+$/);
  assert.match(await s.evaluate('p ticks'), /^0$/);
  const address = Number(/0x[0-9a-f]+/.exec(await s.evaluate('p &ticks'))?.[0]);
  const x = (await s.evaluate(`x/2xw ${address}`)).replace(/^\S+/, '');
  assert.equal((await s.evaluate(`xp/2xw 0x${(address - 0xc0000000).toString(16)}`)).replace(/^\S+/, ''), x);
  assert.match(await s.evaluate('where'), /^#0 +0x\w+ show_held_interrupt/);
  assert.equal(await s.evaluate('r'), await s.evaluate('info reg'));
  assert.match(await s.evaluate('creg'), /^cr0 0x\w+ cr2 0x\w+ cr3 0x\w+ cr4/);
  assert.match(await s.evaluate('u'), /show_held_interrupt/);
  await s.evaluate('stepi');
  assert.equal((await s.stop()).reason, 'step');
  assert.ok(
    s.events.some((e) => e.event === 'continued'),
    'a command that runs tells the client',
  );
  for (const command of [`vb 0x${address.toString(16)}`, `pb 0x${(address - 0xc0000000).toString(16)}`, 'sb 9000000'])
    assert.match(await s.evaluate(command), /^Breakpoint/);
  assert.equal((await s.evaluate('blist')).split('\n').length, 3);
  assert.equal(await s.evaluate('bpd'), '3 deleted');
  await s.evaluate('set ticks = 41');
  assert.equal(await s.evaluate('ticks + 1'), '42');
  await s.end();
});

test('completion knows commands, registers, symbols, members, and the parts of machine names', async () => {
  const s = await Inside.at('show_held_interrupt');
  const labels = async (text: string): Promise<string[]> =>
    (await s.request('completions', { text, column: text.length + 1 })).targets.map((t: { label: string }) => t.label);
  assert.ok((await labels('wa')).includes('watch'));
  assert.ok((await labels('$e')).includes('eax'));
  assert.ok((await labels('1 + handle_i')).includes('handle_irq'));
  assert.ok((await labels('lguest_data.irq_')).includes('irq_enabled'));
  assert.ok((await labels('current->st')).includes('stats'));
  assert.ok((await labels('eflags.I')).includes('IF'));
  assert.deepEqual(await labels('nothing.'), []);
  await s.end();
});

test('values that are places in code lead to their text: a function, eip, a gate', async () => {
  const s = await Inside.at('show_held_interrupt');
  const { valueLocationReference } = await s.request('evaluate', { expression: 'handle_irq', context: 'watch' });
  const place = await s.request('locations', { locationReference: valueLocationReference });
  assert.deepEqual([place.source.name, place.line], ['clock.c', lineOf('clock.c', 'noinline void handle_irq') + 1]);
  const scopes = await s.scopes();
  const eip = (await s.variables(scopes.Registers)).find((v) => v.name === 'eip') as { valueLocationReference?: number } | undefined;
  assert.equal((await s.request('locations', { locationReference: eip?.valueLocationReference })).source.name, 'tour.c');
  const idt = (await s.variables(scopes.Segments)).find((v) => v.name.startsWith('IDT'));
  const gates = (await s.variables(idt?.variablesReference ?? 0)) as { name: string; valueLocationReference?: number }[];
  const gate = gates.find((g) => g.name.startsWith('[14]'));
  assert.equal((await s.request('locations', { locationReference: gate?.valueLocationReference })).source.name, 'entry.S');
  assert.match(await s.failing('locations', { locationReference: 999_999 }), /gone/);
  await s.end();
});

test('examining memory takes a blank before the slash, as gdb and Bochs do', async () => {
  const s = await Inside.at('show_held_interrupt');
  const four = await s.evaluate('x/4wx $esp');
  assert.match(four, /^0x\w{8}: (0x\w{8} ?){4}$/);
  assert.equal(await s.evaluate('x /4wx $esp'), four);
  assert.equal(await s.evaluate('x/4 $esp'), four);
  assert.equal(await s.evaluate('xp /4bx 0x100000'), await s.evaluate('x/4bx p:0x100000'));
  assert.match(await s.failing('evaluate', { expression: '09 + 1', context: 'repl' }), /"09" at column 1 is no octal number/);
  await s.end();
});

test('a local variable goes before a command of its name, and what follows makes it the command', async () => {
  const s = await Inside.at('show_visible_page_fault');
  await s.go('next');
  assert.match(await s.evaluate('page'), /^0xd000\w{4}$|^<optimized out>$/);
  assert.match(await s.evaluate('page $esp read'), /Guest .*directory/s);
  await s.end();
});

test('a local leads to the line that declares it', async () => {
  const s = await Inside.at('show_visible_page_fault');
  const { Locals } = await s.scopes();
  const old = (await s.variables(Locals)).find((v) => v.name === 'old');
  const { source, line } = await s.request('locations', { locationReference: old?.declarationLocationReference });
  assert.deepEqual([source.name, line], ['tour.c', lineOf('tour.c', 'pte_t old;')]);
  await s.end();
});
