// Registers at a stop: few rows first, decoded, editable, the Guest's view beside the machine's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

const named = async (s: Inside, scope: string, name: string): Promise<{ value: string; variablesReference: number }> => {
  const found = (await s.variables((await s.scopes())[scope])).find((v) => v.name === name);
  assert.ok(found, `${scope}: no ${name}`);
  return found;
};

test('the registers are ten rows; formats follow a comma in any expression', async () => {
  const s = await Inside.at('show_held_interrupt');
  const rows = await s.variables((await s.scopes()).Registers);
  assert.deepEqual(
    rows.map((r) => r.name),
    ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip', 'eflags'],
  );
  assert.ok(rows.every((r) => /^0x[0-9a-f]{8}/.test(r.value)));
  await s.evaluate('$ebx = 0xfffffff6');
  assert.deepEqual(await Promise.all(['$ebx,x', '$ebx,d', '$ebx,u', '$eip,i'].map((e) => s.evaluate(e, 'watch'))), [
    '0xfffffff6',
    '-10',
    '4294967286',
    await s.evaluate('$eip,i'),
  ]);
  assert.match(await s.evaluate('$eip,i'), /<show_held_interrupt/);
  assert.match(await s.evaluate('$ebx,b'), /11110110/);
  assert.equal(Number(await s.evaluate('$bl,x')), 0xf6);
  await s.end();
});

test('general registers, eip, flags and segments are set where they are shown; a selector that the processor refuses is refused', async () => {
  const s = await Inside.at('show_held_interrupt');
  const scopes = await s.scopes();
  const set = (scope: string, name: string, value: string): Promise<{ value?: string }> =>
    s.request('setVariable', { variablesReference: scopes[scope], name, value });
  assert.equal((await set('Registers', 'esi', '0x10 + 2')).value, '0x00000012');
  assert.match((await set('Registers', 'eflags', '0x243')).value ?? '', /^0x00000243 \[CF .*ZF.* IF\]$/);
  assert.equal((await set('Flags', 'ZF', '0')).value, '0');
  assert.equal((await set('Flags', 'DF', '1')).value, '1');
  assert.match(await s.evaluate('info reg'), /DF/);
  assert.match(
    await s.failing('setVariable', { variablesReference: scopes.Segments, name: 'fs', value: '0xfff8' }),
    /refuses selector 0xfff8 for fs/,
  );
  assert.equal((await s.request('setExpression', { expression: '$edi', value: '5' })).value, '0x00000005');
  await s.end();
});

test('control registers have names for their bits, and what the Guest believes stands beside what the machine has', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match((await named(s, 'Control & cr2', 'cr0')).value, /^0x8\w{7} \[PE .*PG\]$/);
  const [guest, shadow] = [await named(s, 'Control & cr2', 'cr3 (guest)'), await named(s, 'Control & cr2', 'cr3 (shadow)')];
  assert.notEqual(guest.value, shadow.value);
  assert.match((await named(s, 'Flags', 'irq_enabled (guest believes)')).value, /^[01]$/);
  assert.equal((await named(s, 'Flags', 'IF')).value, '1');
  const cs = await named(s, 'Segments', 'cs');
  const hidden = Object.fromEntries((await s.variables(cs.variablesReference)).map((v) => [v.name, v.value]));
  assert.deepEqual([cs.value, hidden.base, hidden.dpl], ['0x0061', '0x00000000', '1']);
  await s.end();
});

test('the FPU shows each register as number and bits with its tag', async () => {
  const s = await Inside.at('shell');
  const rows = await s.variables((await s.scopes()).FPU);
  assert.deepEqual(rows.filter((r) => r.name.startsWith('st')).length, 8);
  assert.ok(rows.some((r) => r.name === 'cw' && /^0x/.test(r.value)) && rows.some((r) => r.name === 'lg.ts'));
  await s.end();
});
