// Trap filters from the Debug Console, for clients without check boxes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

test('catch stops at traps that meet a condition, log only writes them, and both stay when the editor sends its own list', async () => {
  const s = await Inside.at('start_paging');
  assert.equal(await s.evaluate('catch pf.guest if cr2 == 0xd0001000'), 'pf.guest: stop if cr2 == 0xd0001000');
  assert.equal(await s.evaluate('log syscall'), 'syscall: log');
  await s.request('setExceptionBreakpoints', { filters: ['killed'] });
  assert.equal((await s.go()).reason, 'exception');
  assert.equal(await s.evaluate('cr2.hw,x'), '0xd0001000');
  assert.match(await s.evaluate('catch'), /killed +stop +0\npf\.guest +stop +1\nsyscall +log +0/);
  assert.equal(await s.evaluate('catch off pf.guest'), 'pf.guest is as the editor has it');
  await s.functions('shell');
  assert.equal((await s.go()).reason, 'function breakpoint', 'no other page fault stops');
  assert.match(s.output, /syscall: .*int 0x80/);
  assert.match(await s.failing('evaluate', { expression: 'catch nothing', context: 'repl' }), /no filter "nothing"; the filters are/);
  assert.match(await s.failing('evaluate', { expression: 'catch pf.guest if cr2 ==', context: 'repl' }), /ends too early/);
  assert.match(await s.failing('evaluate', { expression: 'catch off pf.guest', context: 'repl' }), /was not set here/);
  assert.doesNotMatch(await s.evaluate('catch'), /pf\.guest/);
  await s.end();
});

test('last tells who wrote something last, where a watch records it', async () => {
  const s = await Inside.at('handle_irq');
  assert.match(await s.failing('evaluate', { expression: 'last ticks', context: 'repl' }), /not recorded: set a watch/);
  await s.evaluate('watch ticks | log');
  await s.go('stepOut');
  assert.match(await s.evaluate('last ticks'), /^\{insns = \d+, pc = 0x\w{8} <handle_irq\+0x\w+>, by = ".*Guest.*"\}$/);
  await s.end();
});
