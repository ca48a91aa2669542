// What an address is: on the demo Guest by its symbols and its stack, and on a made-up Linux by its mappings, stacks and vmalloc areas.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AddressSources, addressKind } from '../../src/debugger/address-kind';
import { QUESTIONS } from '../../src/debugger/questions';
import { ask, standAt } from './stand';

test('on the demo Guest: NULL and an offset, the Switcher, kernel code and data, the stack of SET_STACK', () => {
  const { d, machine } = standAt(0x80, () => true);
  const kind = (a: number): string => addressKind(d, a);
  assert.equal(kind(0), 'NULL');
  assert.equal(kind(0x10), 'NULL + 16');
  assert.equal(kind(0xffc01000), "the Switcher's area (from 0xffc00000 on)");
  const code = d.programs.addressOf('entry_page_fault') ?? 0;
  assert.equal(kind(code + 2), 'entry_page_fault+0x2 (kernel code)');
  const { esp1, stackPages } = machine.host.lg;
  assert.match(kind(esp1 - 8), /stack|kernel data/);
  assert.ok(stackPages > 0);
  assert.equal(kind(0xf0000000), 'kernel space');
  assert.match(ask(d, 'page 0x10'), /^0x00000010 NULL \+ 16, kernel read/);
});

test('a fault tells what its address is, in the console, the record and the exception', async () => {
  const { d, record } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === 0xd0000000);
  assert.match(ask(d, `trap ${record.k}`), /^address 0xd0000000: /m);
  assert.match(ask(d, `why ${record.k}`), /^cr2 0xd0000000 is /m);
  assert.equal(typeof (QUESTIONS['trapLog/get'](d, { k: record.k }) as { address: string }).address, 'string');
});

/** Structures of a made-up kernel: address to fields. */
const linux = (
  fields: Record<number, Record<string, number>>,
  words: Record<number, number>,
  globals: Record<string, number>,
): AddressSources => {
  const object = (address: number): { number: (...names: string[]) => number | undefined } => ({
    number: (...names) => names.map((n) => fields[address]?.[n]).find((v) => v !== undefined),
  });
  const sources = {
    target: { host: undefined, read32: (a: number) => words[a] },
    programs: { nameOf: () => undefined, symbolAt: () => undefined },
    tasks: {
      current: () => ({ address: 0xc3000000, pid: 12, comm: 'sh', mm: 1 }),
      object: (task: { address: number }) => object(task.address),
      mappings: () => [
        { start: 0x08048000, end: 0x0804c000, access: 'r-xp', executable: true, offset: 0, file: '/bin/sh' },
        { start: 0x0804c000, end: 0x0804e000, access: 'rw-p', executable: false, offset: 0, file: '[heap]' },
        { start: 0xbfff0000, end: 0xc0000000, access: 'rw-p', executable: false, offset: 0, file: '[stack]' },
      ],
      data: { type: () => ({ size: 8192 }), address: (name: string) => globals[name], at: (_: string, a: number) => object(a) },
    },
  };
  return sources as unknown as AddressSources;
};

test('with a Linux kernel’s types: mappings by name, below the stack, behind a mapping, the kernel stack, vmalloc and its guard page', () => {
  const s = linux(
    {
      3271557120: { stack: 0xc3a00000 },
      3238002688: { addr: 0xc4800000, size: 0x3000, next: 0 },
    },
    { 3224371200: 0xc4000000, 3224371204: 0xc1000000, 3224371208: 0xffbff000 },
    { high_memory: 0xc0300000, vmlist: 0xc0300004, __FIXADDR_TOP: 0xc0300008 },
  );
  for (const [address, text] of [
    [0x08049000, 'in /bin/sh 0x08048000-0x0804c000 r-xp of pid 12 sh'],
    [0xbfff8000, 'the stack of pid 12 sh (0xbfff0000-0xc0000000)'],
    [0xbffefff8, '8 bytes below the stack of pid 12 sh (0xbfff0000): it may grow there'],
    [0x0804e010, '16 bytes behind [heap] 0x0804c000-0x0804e000 rw-p of pid 12 sh: nothing is mapped there'],
    [0x60000000, 'no mapping of pid 12 sh'],
    [0xc3a01000, 'the kernel stack of pid 12 sh (0xc3a00000-0xc3a02000)'],
    [0xc39ffff0, '16 bytes below the kernel stack of pid 12 sh: it overflowed'],
    [0xc4801000, 'vmalloc memory 0xc4800000-0xc4802000'],
    [0xc4802010, 'the guard page behind vmalloc memory 0xc4800000-0xc4802000'],
    [0xc4900000, 'vmalloc space where nothing is given out'],
    [0xc4100000, 'the hole between memory and vmalloc space'],
    [0xffbfa000, 'the fixed mappings of the kernel'],
    [0xc2000000, 'no symbol'],
  ] as const)
    assert.equal(addressKind(s, address), text);
});
