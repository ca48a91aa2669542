// The memory view's rows: bytes in any address space, bound to an expression, with what changed since the stop before and what each byte is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inside } from './inside';

interface Row {
  label: string;
  description?: string;
  reference?: string;
  highlights?: [number, number][];
  children?: Row[];
}
const grid = async (s: Inside, memoryReference?: string, more: object = {}): Promise<Row[]> =>
  (await s.request('lguest/view/memory', { ...(memoryReference === undefined ? {} : { memoryReference }), ...more })).nodes;
const word = (s: Inside, text: string): Promise<number> => s.evaluate(`(unsigned)(${text}),u`).then(Number);
const hex8 = (n: number): string => `0x${n.toString(16).padStart(8, '0')}`;

test('the grid shows rows of sixteen bytes from where an expression leads, with symbols, text and the bytes one by one', async () => {
  const s = await Inside.at('show_held_interrupt');
  const [at] = (await s.evaluate('find "held interrupt: timer"')).split(' ');
  const [head, first, ...rest] = await grid(s, at, { rows: 4 });
  assert.equal(head.label, at);
  assert.equal(first.label, `${at}  68 65 6c 64 20 69 6e 74 65 72 72 75 70 74 3a 20  |held interrupt: |`);
  assert.deepEqual([rest.length, rest[0].reference], [3, hex8(Number(at) + 16)]);
  assert.deepEqual([first.children?.length, first.children?.[1].label], [16, `${hex8(Number(at) + 1)}  65`]);
  assert.match(first.children?.[1].description ?? '', /^101 'e';.*Guest kernel rw?, shadow kernel rw?/);
  await s.end();
});

test('a grid bound to an expression follows it, and marks exactly the bytes of its place in memory that changed while the Guest ran', async () => {
  const s = await Inside.at('handle_irq');
  const [head, row] = await grid(s, '&ticks', { rows: 2 });
  assert.equal(head.description, `= ${hex8(await word(s, '&ticks'))}, ticks`);
  assert.equal(row.highlights, undefined, 'nothing to compare with');
  await grid(s, '$esp', { rows: 8 });
  const before = await word(s, '$esp');
  await s.go('stepOut');
  const marked = (await grid(s, '&ticks', { rows: 2 }))[1];
  const start = marked.label.indexOf('  ') + 2;
  assert.deepEqual(marked.highlights, [[start, start + 2]], 'the low byte of ticks went from 0 to 1');
  assert.match(marked.children?.[0].description ?? '', /^1 .*changed/);
  assert.doesNotMatch(marked.children?.[1].description ?? '', /changed/);
  const followed = await grid(s, '$esp', { rows: 8 });
  const now = await word(s, '$esp');
  assert.notEqual(now, before);
  assert.equal(followed[1].reference, hex8(now));
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal((await grid(s, '&ticks', { rows: 2 }))[1].highlights, undefined, 'since the newest stop nothing changed');
  await s.end();
});

test('what is not mapped is ?? and hides nothing behind it, and a page that only one of the tables maps says so', async () => {
  const s = await Inside.at('show_demand_paging');
  const rows = await grid(s, '0xc0fffff0', { rows: 3 });
  assert.equal(rows.length, 4);
  assert.match(rows[1].label, /^0xc0fffff0 {2}([0-9a-f]{2} ){16}/);
  assert.match(rows[2].label, /^0xc1000000 {2}(\?\? ){16} \| {16}\|$/);
  assert.match(rows[2].description ?? '', /hole$/);
  const fresh = hex8(await word(s, '&fresh'));
  assert.match((await grid(s, '&fresh', { rows: 1 }))[1].description ?? '', /guest only$/);
  const { pages } = await s.request('lguest/readPages', { memoryReference: fresh, count: 0x1000 });
  assert.deepEqual([pages[0].state, Buffer.from(pages[0].data, 'base64').length], ['guest only', 4096]);
  const { pages: around } = await s.request('lguest/readPages', { memoryReference: '0xc0fff000', count: 0x2000 });
  assert.deepEqual(
    around.map((p: { reference: string; state: string; data?: string }) => [p.reference, p.state, p.data !== undefined]),
    [
      ['0xc0fff000', 'guest only', true],
      ['0xc1000000', 'hole', false],
    ],
  );
  assert.match((await grid(s, '&fresh', { rows: 1 }))[1].description ?? '', /guest only$/, 'looking pages nothing in');
  await s.end();
});

test('the grid and memory references know guest-physical memory, another directory, the machine, and the Switcher as the Host maps it', async () => {
  const s = await Inside.at('show_held_interrupt');
  const bytes = async (place: string): Promise<string> => (await grid(s, place, { rows: 1 }))[1].label.split('  ')[1];
  const linear = await bytes('&ticks');
  const physical = hex8((await word(s, '&ticks')) - 0xc0000000);
  const directory = hex8(await word(s, 'lg.gpgdir'));
  for (const place of [`p:${physical}`, 'p:pa(&ticks)', `v@${directory}:&ticks`]) assert.equal(await bytes(place), linear, place);
  assert.match((await grid(s, `p:${physical}`, { rows: 1 }))[1].label, new RegExp(`^p:${physical}  `));
  const machine = hex8((await word(s, 'walk(&ticks).machine')) >>> 0);
  assert.equal(await bytes(`host:${machine}`), linear);
  // The Switcher's code is the same bytes through the Guest's shadow tables and the Host's own.
  assert.equal(await bytes('sw:0xffc00000'), await bytes('0xffc00000'));
  assert.notEqual(await bytes('sw:0xffc00000'), Array(16).fill('??').join(' '));
  assert.equal(await bytes('sw:0xc0001000'), await bytes('host:0x00001000'), "the Host's own memory, which the Guest cannot see");
  assert.equal((await s.request('readMemory', { memoryReference: 'sw:0xffc00000', count: 4 })).address, 'sw:0xffc00000');
  assert.match(await s.evaluate('x/4bx sw:0xffc00000'), new RegExp(`0x${(await bytes('0xffc00000')).slice(0, 2)} `));
  await s.end();
});

test('a type is laid over the bytes of the grid, and a change through the grid is what memory has then', async () => {
  const s = await Inside.at('show_held_interrupt');
  const [, type] = await grid(s, '&init_stack', { as: 'struct task', rows: 1 });
  assert.equal(type.label, 'struct task');
  assert.ok((type.children?.length ?? 0) > 1 && type.children?.every((c) => c.description !== ''));
  assert.match(await s.failing('lguest/view/memory', { memoryReference: '&ticks', as: 'struct nothing' }), /no type "struct nothing"/);
  assert.match(await s.failing('lguest/view/memory', { memoryReference: 'p:0x1000', as: 'struct task' }), /linear addresses only/);
  const [, row] = await grid(s, '&ticks', { rows: 1 });
  await s.request('writeMemory', { memoryReference: row.reference, data: Buffer.from([0x2a, 1]).toString('base64') });
  assert.equal(await s.evaluate('ticks & 0xffff'), String(0x12a));
  assert.match((await grid(s, '&ticks', { rows: 1 }))[1].label, /^0x\w{8} {2}2a 01 /);
  await s.end();
});
