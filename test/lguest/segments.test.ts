// Descriptor tables: cases T12 to T19, T62, T63, T74, T81 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LHCALL } from '../../src/lguest/abi';
import { bare, guest, KERNEL_DS, KSTACK, TABLE } from './bench';

const word = (b: ReturnType<typeof bare>, index: number, low: number, high: number): void => {
  b.set32(TABLE + index * 8, low);
  b.set32(TABLE + index * 8 + 4, high);
};
/** A GDT to load that keeps kernel code and data alive. */
const gdt = (entries: [index: number, low: number, high: number][], count = 32): ReturnType<typeof bare> => {
  const b = bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, count).done()).gdtTable();
  for (const e of entries) word(b, ...e);
  return b;
};

test('T12: more than 32 GDT entries kill, and nothing is copied', () => {
  const b = bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, 33)).gdtTable();
  assert.equal(b.die(), 'too many gdt entries 33');
  assert.equal(b.lg.gdt[14 * 2 + 1], 0);
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, -1)).die(), 'too many gdt entries -1');
});

test('T13: DPL 0 becomes 1, the accessed bit is set, and a null entry gets both', () => {
  const b = gdt([
    [18, 0x0000ffff, 0x00cf9a00],
    [19, 0x0000ffff, 0x00cffa00],
    [20, 0, 0],
  ]).run();
  assert.deepEqual(
    [18, 19, 20].map((i) => b.live('gdt', i)[1]),
    [0x00cfbb00, 0x00cffb00, 0x00002100],
  );
});

test('T14: entries 10, 11, 16 and 31 of the Guest never reach the processor', () => {
  const plain = gdt([]).run();
  const before = [10, 11, 16, 31].map((i) => plain.live('gdt', i));
  assert.deepEqual(before[3], [0, 0]);
  assert.deepEqual(before[0], [0x0000ffff, 0x00cf9b00]);
  const b = gdt([10, 11, 16, 31].map((i) => [i, 0x12345678, 0x00cffa00])).run();
  assert.deepEqual(
    [10, 11, 16, 31].map((i) => b.live('gdt', i)),
    before,
  );
});

test('T15: a LOAD_GDT of fewer entries keeps the others, fixed up again', () => {
  const b = gdt([[7, 1, 0x00409200]], 6);
  b.run();
  assert.deepEqual(b.live('gdt', 7), [0, 0x2100]);
  assert.deepEqual(b.live('gdt', 12), [0x0000ffff, 0x00cfbb00]);
});

test('T16: LOAD_TLS refreshes entries 6 to 8 only', () => {
  const b = bare((c) => c.hcall(LHCALL.LOAD_TLS, TABLE).done());
  for (let i = 0; i < 3; i++) word(b, i, 0x1000 + i, 0x00cff200);
  b.exit((host) => host.run(8)); // INIT is done, the tables are copied
  const spoiled = b.host.layout.statePage - 0x1000 + 0x1890 + 14 * 8;
  b.lg.hostWrite(spoiled, 0x5555);
  b.run();
  assert.deepEqual(
    [6, 7, 8].map((i) => b.live('gdt', i)),
    [
      [0x1000, 0x00cff300],
      [0x1001, 0x00cff300],
      [0x1002, 0x00cff300],
    ],
  );
  assert.equal(b.live('gdt', 14)[0], 0x5555);
});

test('T17: gates 2, 8, 15 and 31 are ignored, whatever they hold', () => {
  const b = bare((c) => {
    for (const v of [2, 8, 15, 31]) c.hcall(LHCALL.LOAD_IDT_ENTRY, v, 0x00600000, 0x8500);
    c.done();
  });
  b.run();
  for (const v of [2, 8, 15, 31]) assert.equal(b.lg.idt[v * 2 + 1], 0);
});

test('T18: gate numbers beyond 255 and strange types kill; an absent entry is stored as zeros', () => {
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_IDT_ENTRY, 256, 0, 0x8e00)).die(), 'Setting idt entry 256');
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_IDT_ENTRY, 9, 0, 0x8500)).die(), 'bad IDT type 5');
  const b = bare((c) => c.hcall(LHCALL.LOAD_IDT_ENTRY, 9, 1, 0x8e00).hcall(LHCALL.LOAD_IDT_ENTRY, 9, 0x1234, 0x0500).done()).run();
  assert.deepEqual([b.lg.idt[18], b.lg.idt[19]], [0, 0]);
});

test('T19: a trap gate is stored with the kernel code selector and installed as it is; an interrupt gate is not', () => {
  const b = bare((c) =>
    c.hcall(LHCALL.LOAD_IDT_ENTRY, 5, 0x0060abcd, 0xc0109f12).hcall(LHCALL.LOAD_IDT_ENTRY, 6, 0x0060abcd, 0xc0109e12).done(),
  ).run();
  assert.deepEqual(b.live('idt', 5), [0x0061abcd, 0xc0108f00]);
  assert.deepEqual([b.lg.idt[12], b.lg.idt[13]], [0x0061abcd, 0xc0108e00]);
  const [low, high] = b.live('idt', 6);
  assert.equal(low >>> 16, 0x50);
  assert.equal(high & 0xffff, 0x8e00);
});

test('a gate that was direct gets its Switcher stub back when it becomes an interrupt gate', () => {
  const b = bare((c) =>
    c.hcall(LHCALL.LOAD_IDT_ENTRY, 5, 0x0060abcd, 0xc0109f00).hcall(0).hcall(LHCALL.LOAD_IDT_ENTRY, 5, 0x0060abcd, 0xc0108e00).done(),
  );
  const stub = b.live('idt', 5);
  assert.deepEqual(b.run().live('idt', 5), stub);
});

test('vectors that the Host must see are never direct', () => {
  const b = bare((c) => {
    for (const v of [7, 13, 14, 32, 0x30, 0x81]) c.hcall(LHCALL.LOAD_IDT_ENTRY, v, 0x0060abcd, 0xc010ef00);
    c.done();
  });
  const before = [7, 13, 14, 32, 0x30, 0x81].map((v) => b.live('idt', v));
  b.run();
  assert.deepEqual(
    [7, 13, 14, 32, 0x30, 0x81].map((v) => b.live('idt', v)),
    before,
  );
});

test('T62: zeroing the kernel data segment in use ends in the Switcher, on the next entry', () => {
  const b = bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, 32).done()).gdtTable();
  word(b, 13, 0, 0);
  const after = 0x100000 + 5 + 2 * 22;
  assert.equal(b.die(), `unhandled trap 256 at 0x${after.toString(16)} (0x0)`);
  assert.equal(b.records().find((r) => r.vector === 256)?.outcome, 'switcher-fault');
});

test('T63: breaking only the kernel code segment ends the same way, after one bogus trap 80', () => {
  const b = bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, 32).done()).gdtTable();
  word(b, 12, 0, 0);
  assert.match(b.die(), /^unhandled trap 256 at 0x[0-9a-f]+ \(0x82\)$/);
  const bogus = b.records().filter((r) => r.vector === 80);
  assert.deepEqual(
    bogus.map((r) => [r.outcome, r.reason]),
    [['switcher-fault', 'switcher-iret']],
  );
});

test('T74: LOAD_GDT of nothing still checks the address', () => {
  bare((c) => c.hcall(LHCALL.LOAD_GDT, TABLE, 0).done()).run();
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_GDT, 0x402000, 0)).die(), 'bad read address 0x402000 len 0');
});

test('LOAD_GDT and LOAD_TLS from memory that the Guest does not have kill', () => {
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_GDT, 0x7ffffff0, 32)).die(), 'bad read address 0x7ffffff0 len 256');
  assert.equal(bare((c) => c.hcall(LHCALL.LOAD_TLS, 0x7ffffff0)).die(), 'bad read address 0x7ffffff0 len 24');
});

test("T81: a far call through a TSS of the Guest's own faults on the Host's read-only page", () => {
  const b = guest(
    (c) =>
      c
        .raw(0x9a)
        .dword(0)
        .raw(18 * 8, 0),
    [[14, 0xe]],
  );
  word(b, 18, 0x00000067, 0x00208900);
  b.run();
  assert.equal(b.box('vector'), 14);
  assert.equal(b.box('w0'), 3);
  assert.equal(b.box('cr2'), 0xffc02028);
});

test('SET_STACK keeps 8 bits of the selector', () => {
  const b = bare((c) => c.hcall(LHCALL.SET_STACK, 0x100 | KERNEL_DS, KSTACK, 0).done()).run();
  assert.equal(b.lg.ss1, KERNEL_DS);
});
