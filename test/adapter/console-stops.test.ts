// Stops at what the Guest prints.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

test('the Guest stops where it prints a line that matches, with the writer on the stack, once for each line', async () => {
  const s = await Inside.at('start_kernel');
  assert.match(await s.evaluate('console /held INTERRUPT/i'), /^Breakpoint \d+ at console text \/held INTERRUPT\/i$/);
  const stop = await s.go();
  assert.deepEqual([stop.reason, stop.hitBreakpointIds?.length], ['breakpoint', 1]);
  assert.match(stop.description ?? '', /^Console: .*held interrupt/);
  const names = (await s.frames()).map((f) => f.name);
  assert.doesNotMatch(names[0], /Switcher/);
  assert.ok(names.includes('show_held_interrupt'), names.join());
  assert.match(await s.evaluate('info b'), /console \/held INTERRUPT\/i +hits 1/);
  const writer = await s.evaluate('when');
  // Another run stops at the same place.
  assert.equal((await s.go('restart')).reason, 'entry');
  assert.equal((await s.go()).reason, 'breakpoint');
  assert.equal(await s.evaluate('when'), writer);
  const id = /^ *(\d+) console/m.exec(await s.evaluate('info b'))?.[1];
  assert.equal(await s.evaluate(`delete ${id}`), '1 deleted');
  assert.match(await s.evaluate('console'), /no text of the console stops the Guest/);
  await s.end();
});

test('a pattern for once stops once, several patterns are told apart, and what is no pattern is refused in one line', async () => {
  const s = await Inside.at('start_kernel');
  await s.evaluate('console once /ring 3: I am/');
  await s.evaluate('console /^ *\\d+\\. user task/');
  assert.match((await s.go()).text ?? '', /^printed \/\^ \*\\d\+\\\. user task\/: 14\. user task/);
  assert.match((await s.go()).text ?? '', /^printed \/ring 3: I am\/: /);
  assert.doesNotMatch(await s.evaluate('info b'), /ring 3/);
  assert.match(
    await s.failing('evaluate', { expression: 'console login:', context: 'repl' }),
    /"login:" is no pattern: write console \/login:\//,
  );
  assert.match(await s.failing('evaluate', { expression: 'console /(/', context: 'repl' }), /Invalid regular expression/);
  await s.end();
});
