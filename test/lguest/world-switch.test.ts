// The world switch in one go against the Switcher's own instructions: the same registers, memory, records and counters.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PageFlag } from '../../src/i386/cpu';
import { Machine } from '../../src/launcher/machine';
import { toJson } from '../../src/lguest/trap-record';
import { Hostile } from './hostile';

const kernel = new Uint8Array(readFileSync('examples/demo/demo.elf'));
const make = (fastSwitch: boolean, stubAlignment: 4 | 16 = 4): Machine =>
  new Machine({ kernel, memoryBytes: 16 << 20, jit: false, records: 4096, fastSwitch, stubAlignment });
const log = (m: Machine): string => [...m.host.records].map(toJson).join('\n');

test('with every switch of a boot the machine is the same, whether the Switcher ran or not', () => {
  for (const alignment of [4, 16] as const) {
    const slow = make(false, alignment);
    const fast = make(true, alignment);
    for (let slice = 0; slice < 120; slice++) {
      const stop = slow.run({ instructions: 20_000, entries: 1 + (slice % 3) });
      assert.deepEqual(fast.run({ instructions: 20_000, entries: 1 + (slice % 3) }), stop);
      assert.deepEqual(fast.position, slow.position, `slice ${slice}`);
      assert.equal(fast.processor.retiredHost, slow.processor.retiredHost, `instructions of the Host, slice ${slice}`);
      if (slice % 8 === 0) assert.equal(fast.stateHash(), slow.stateHash(), `slice ${slice}`);
    }
    slow.run({ instructions: 400_000 });
    fast.run({ instructions: 400_000 });
    assert.equal(fast.stateHash(), slow.stateHash());
    assert.equal(log(fast), log(slow));
  }
});

test('a watcher of Guest memory and shadow tables is told the same by both', () => {
  const seen = [false, true].map((fastSwitch) => {
    const m = make(fastSwitch);
    const { cpu } = m.processor;
    const { memBase, pool } = m.host.layout;
    const events: string[] = [];
    cpu.watcher = {
      read: (at, linear, size) => void events.push(`r ${at} ${linear} ${size} ${m.processor.now()}`),
      write: (at, linear, size, value) => void events.push(`w ${at} ${linear} ${size} ${value} ${m.processor.now()}`),
    };
    for (let page = 0; page < 24; page++) {
      cpu.setPageFlag((pool >>> 12) + page, PageFlag.WATCH_WRITE);
      cpu.setPageFlag((memBase >>> 12) + 0x100 + page, PageFlag.WATCH_WRITE);
      cpu.setPageFlag((memBase >>> 12) + 0x100 + page, PageFlag.WATCH_READ);
    }
    m.run({ instructions: 300_000 });
    return { events, hash: m.stateHash() };
  });
  assert.ok(seen[0].events.length > 10_000, `${seen[0].events.length} events`);
  assert.deepEqual(seen[1], seen[0]);
});

test('hostile Guests see no difference either: faults in the Switcher, odd selectors, deaths', () => {
  const slow = new Hostile(false, false);
  const fast = new Hostile(false, true);
  for (let seed = 1; seed <= 40; seed++) {
    const stop = slow.run(seed);
    assert.deepEqual(fast.run(seed), stop, `seed ${seed}`);
    assert.equal(fast.hash(), slow.hash(), `seed ${seed}`);
  }
});

test('the short cut is taken when nobody looks, and not under a breakpoint in the Switcher, a watch on what the Switcher touches or a step', () => {
  const m = make(true);
  const { processor } = m;
  const decide = processor.shortCut;
  assert.ok(decide);
  let taken = 0;
  processor.shortCut = (eip) => {
    const done = decide(eip);
    if (done) taken++;
    return done;
  };
  m.run({ instructions: 50_000 });
  assert.ok(taken > 10, `${taken}`);
  const stub = (0xffc00000 + m.host.layout.switcher.stubs[14]) >>> 0;
  processor.addBreakpoint(stub);
  let before = taken;
  const stop = m.run({ instructions: 200_000 });
  assert.deepEqual([stop.kind, taken], ['breakpoint', before]);
  processor.removeBreakpoint(stub);
  processor.cpu.watcher = { read: () => {}, write: () => {} };
  processor.cpu.setPageFlag((m.host.layout.memBase >>> 12) + 0x101, PageFlag.WATCH_WRITE);
  m.run({ instructions: 50_000 });
  assert.ok(taken > before, 'only memory of the Guest is watched');
  const { regs } = m.host.layout;
  processor.cpu.setPageFlag(regs >>> 12, PageFlag.WATCH_READ);
  before = taken;
  m.run({ instructions: 50_000 });
  assert.equal(taken, before);
  processor.cpu.clearPageFlag(regs >>> 12, PageFlag.WATCH_READ);
  processor.cpu.watcher = undefined;
  m.run({ instructions: 50_000 });
  assert.ok(taken > before);
  before = taken;
  for (let n = 0; n < 200; n++) m.stepHost();
  assert.equal(taken, before);
});
