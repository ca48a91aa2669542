// Hypercalls and the async ring: cases T10, T11, T46 to T49, T72, T73 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LD, LHCALL } from '../../src/lguest/abi';
import { bare, type Code, DATA, DONE, FREE } from './bench';

test('T10: unknown hypercalls kill with a signed number and a newline', () => {
  assert.equal(bare((c) => c.hcall(12)).die(), 'Bad hypercall 12\n');
  assert.equal(bare((c) => c.hcall(18)).die(), 'Bad hypercall 18\n');
  assert.equal(bare((c) => c.hcall(0x80000000)).die(), 'Bad hypercall -2147483648\n');
});

test('T11: CRASH takes 127 characters, and all 128 bytes must be readable', () => {
  const long = 'x'.repeat(200);
  assert.equal(
    bare((c) => c.hcall(LHCALL.CRASH, FREE))
      .text(FREE, long)
      .die(),
    `CRASH: ${'x'.repeat(127)}`,
  );
  const late = 0x401000 - 100;
  assert.equal(bare((c) => c.hcall(LHCALL.CRASH, late)).die(), 'bad read address 0x400f9c len 128');
  assert.equal(
    bare((c) => c.hcall(LHCALL.CRASH, FREE))
      .text(FREE, 'short')
      .die(),
    'CRASH: short',
  );
});

test('no hypercall changes a register, and eip is past the instruction', () => {
  const b = bare((c) => c.hcall(LHCALL.TS, 8, 0x11, 0x22).done());
  b.exit((host) => host.run(11)); // INIT: 1 + 5, TS: 5
  const { context } = b.host;
  assert.deepEqual([context.get('eax'), context.get('edx'), context.get('ebx'), context.get('ecx')], [LHCALL.TS, 8, 0x11, 0x22]);
  b.run();
  assert.equal(b.lg.ts, 8);
});

test('T46: ready entries run in the order of their slots, before the synchronous call, and are freed', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).done());
  b.ring(0, LHCALL.TS, 8).ring(1, LHCALL.TS, 16).ring(2, LHCALL.SET_CLOCKEVENT, 77);
  b.run();
  assert.deepEqual(
    [0, 1, 2, 3].map((slot) => b.ringStatus(slot)),
    [0xff, 0xff, 0xff, 0xff],
  );
  assert.equal(b.lg.nextHcall, 3);
  const calls = b.records().filter((r) => r.kind === 'hypercall');
  assert.deepEqual(
    calls.map((r) => [r.hypercall?.name, r.hypercall?.slot, r.hypercall?.args[0]]),
    [
      ['LGUEST_INIT', undefined, DATA],
      ['FLUSH_ASYNC', undefined, 0],
      ['TS', 0, 8],
      ['TS', 1, 16],
      ['SET_CLOCKEVENT', 2, 77],
      ['NOTIFY', undefined, DONE],
    ],
  );
  assert.ok(calls.slice(2, 5).every((r) => r.parent === calls[1].k));
});

test('a slot that is not next stays where it is', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).done());
  b.ring(1, LHCALL.TS, 8).run();
  assert.equal(b.ringStatus(1), 0);
  assert.equal(b.lg.ts, 0);
});

test('any status but 0xff is ready', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).done());
  b.ring(0, LHCALL.TS, 8);
  b.memory.set8(DATA + LD.hcallStatus, 0x7f);
  b.run();
  assert.equal(b.lg.ts, 8);
});

test('T47: a NOTIFY in the ring goes to the Launcher first; the next read() does the rest, then the synchronous call', () => {
  const b = bare((c) => c.hcall(LHCALL.HALT).done());
  b.ring(0, LHCALL.TS, 8).ring(1, LHCALL.NOTIFY, 0x4444).ring(2, LHCALL.TS, 32);
  assert.deepEqual(b.read(), { kind: 'notify', result: 4, address: 0x4444 });
  assert.equal(b.lg.ts, 8);
  assert.equal(b.ringStatus(2), 0);
  const next = b.read();
  assert.equal(b.lg.ts, 32);
  assert.equal(b.lg.halted, true);
  assert.deepEqual(next, { kind: 'early', exit: { kind: 'halted', wakeNs: undefined } });
});

test('T48: a full ring of 64 is emptied by one call, from wherever the cursor stands', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).hcall(LHCALL.FLUSH_ASYNC).done());
  for (let slot = 0; slot < 64; slot++) b.ring(slot, LHCALL.TS, slot + 1);
  b.lg.nextHcall = 20;
  b.run();
  assert.equal(b.lg.nextHcall, 20);
  assert.equal(b.lg.ts, 20); // slot 19 was the last
  for (let slot = 0; slot < 64; slot++) assert.equal(b.ringStatus(slot), 0xff);
});

test('T49: NOTIFY 0 does not return to the Launcher, nor stop the ring', () => {
  const b = bare((c) => c.hcall(LHCALL.NOTIFY, 0).done());
  b.ring(0, LHCALL.NOTIFY, 0).ring(1, LHCALL.TS, 8);
  assert.deepEqual(b.read(), { kind: 'notify', result: 4, address: DONE });
  assert.equal(b.lg.ts, 8);
});

test('T72: a kill in the ring does not stop it; the NOTIFY comes first, then the text of the death', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC)).text(FREE, 'text one');
  b.ring(0, LHCALL.CRASH, FREE).ring(1, LHCALL.NOTIFY, 0x5000);
  assert.deepEqual(b.read(), { kind: 'notify', result: 4, address: 0x5000 });
  assert.deepEqual(b.read(), { kind: 'reason', result: 4, text: 'CRAS' });
});

test('T73: after a NOTIFY stop the rest of the ring runs in the next read(), and the first kill is the one remembered', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC)).text(FREE, 'later');
  b.ring(0, LHCALL.NOTIFY, 0x5000).ring(1, 99).ring(2, LHCALL.CRASH, FREE);
  assert.deepEqual(b.read(), { kind: 'notify', result: 4, address: 0x5000 });
  assert.equal(b.die(), 'Bad hypercall 99\n');
  assert.equal(b.ringStatus(2), 0xff);
});

test('a NOTIFY stop looks at the ring anew: entries added in between run too', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).done());
  b.ring(0, LHCALL.NOTIFY, 0x5000).read();
  b.ring(1, LHCALL.TS, 8).run();
  assert.equal(b.lg.ts, 8);
});

test('only a synchronous hypercall empties the ring: a fault does not', () => {
  const b = bare((c) => c.load(FREE).raw(0xeb, 0xfe));
  b.ring(0, LHCALL.TS, 8);
  b.exit((host) => host.run(20));
  assert.equal(b.lg.ts, 0);
  assert.equal(b.ringStatus(0), 0);
});

/** lguest_data across the end of what exists, so that its first `bytes` can be reached. INIT must have gone by. */
const cutAfterInit = (bytes: number, write: (c: Code) => void): string => {
  const b = bare(write);
  b.exit((host) => host.run(6));
  // Page tables live above lguest_data; only what the Host reaches through `ld` is cut, so the Launcher's tables are moved below.
  const tables = 0x80000;
  for (let i = 0; i < 1024; i++) b.set32(tables + 4096 + i * 4, i * 4096 + 7);
  b.set32(tables, tables + 4096 + 7);
  b.lg.pgdirs[b.lg.pgdidx].gpgdir = tables;
  b.lg.backedBytes = DATA + bytes;
  return b.die();
};

test('a ring entry that cannot be read kills', () => {
  assert.equal(
    cutAfterInit(LD.hcalls + 8, (c) => c.put(DATA + LD.hcallStatus, 0xffffff00).hcall(LHCALL.FLUSH_ASYNC)),
    'Fetching async hypercalls',
  );
});

test('without the ring in reach a hypercall runs alone', () => {
  assert.equal(
    cutAfterInit(LD.hcallStatus + 8, (c) => c.put(DATA + LD.hcallStatus, 0xffffff00).hcall(11)),
    'Bad hypercall 11\n',
  );
});
