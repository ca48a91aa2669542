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

test('the Registers view marks what changed since the stop before, says what it was, and keeps its rows and groups', async () => {
  const s = await Inside.at('handle_irq');
  type Row = { label: string; description?: string; tooltip?: string; changed?: boolean; children: Row[] };
  const ask = async (groups?: unknown): Promise<Row[]> =>
    (await s.request('lguest/view/registers', groups === undefined ? {} : { groups })).nodes;
  const changed = (rows: Row[]): string[] => rows.flatMap((g) => g.children.filter((r) => r.changed).map((r) => r.label));
  const first = await ask();
  assert.deepEqual(
    first.map((g) => g.label),
    ['General', 'Flags', 'Segments', 'Control'],
  );
  assert.equal(first[0].children.length, 10);
  assert.deepEqual(changed(first), [], 'nothing to compare with');
  const [{ instructionPointerReference: pc }] = await s.frames();
  await s.go('stepIn', { granularity: 'instruction' });
  // Other requests between the stops, which would make an editor's own marks go, change nothing.
  await s.scopes();
  const second = await ask();
  assert.deepEqual(
    second.map((g) => g.children.map((r) => r.label)),
    first.map((g) => g.children.map((r) => r.label)),
  );
  assert.ok(changed(second).includes('eip') && !changed(second).includes('cs'));
  const eip = second[0].children[8];
  assert.match(eip.tooltip ?? '', new RegExp(`at the stop before: ${pc}`));
  assert.deepEqual(await ask(), second, 'asking again does not lose the marks');
  await s.request('evaluate', { expression: '$ecx = 0x1234', context: 'repl' });
  await s.go('stepIn', { granularity: 'instruction' });
  const mine = await ask(['Flags', { name: 'Mine', registers: ['ecx', 'ax', 'ticks', 'esp', 'nonsense'] }]);
  assert.deepEqual(
    mine.map((g) => g.label),
    ['Flags', 'Mine'],
  );
  assert.match(mine[1].children[0].description ?? '', /^0x00001234/);
  assert.equal(mine[1].children[0].changed, undefined, 'what the user changed at the stop was seen there');
  assert.match(mine[1].children[2].description ?? '', /^\d/, 'expressions stand among registers');
  assert.match(mine[1].children[4].description ?? '', /nonsense/, 'what cannot be evaluated says why');
  assert.match(
    await s.failing('lguest/view/registers', { groups: ['Generals'] }),
    /"Generals" is no group: General, Flags, Segments, Control/,
  );
  assert.match(await s.failing('lguest/view/registers', { groups: [{ name: 'x' }] }), /a register group is/);
  await s.end();
});
