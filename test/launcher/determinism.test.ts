// One run is like another: whole, in slices, step by step, saved and restored, with the translator or without.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Machine, type MachineOptions } from '../../src/launcher/machine';
import { toJson } from '../../src/lguest/trap-record';

const kernel = new Uint8Array(readFileSync('examples/demo/demo.elf'));
const END = 450_000;
const make = (options: Partial<MachineOptions> = {}): Machine =>
  new Machine({ kernel, memoryBytes: 16 << 20, jit: false, records: 4096, ...options });
const log = (m: Machine): string => [...m.host.records].map(toJson).join('\n');

const whole = make();
whole.run({ instructions: END });
const hash = whole.stateHash();
const records = log(whole);

test('two runs give the same state and the same records', () => {
  const again = make();
  again.run({ instructions: END });
  assert.equal(again.stateHash(), hash);
  assert.equal(log(again), records);
});

test('a run in slices of all sizes is the same run', () => {
  const m = make();
  let seed = 42;
  while (m.processor.retired < END) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const stop = m.run({ instructions: Math.min(END - m.processor.retired, 1 + (seed % 4000)), entries: 1 + (seed % 3) });
    assert.ok(stop.kind === 'budget' || stop.kind === 'slice', stop.kind);
  }
  m.run({ instructions: 0 });
  assert.equal(m.stateHash(), hash);
  assert.equal(log(m), records);
});

test('a run whose last ten thousand instructions are single steps is the same run', () => {
  const m = make();
  m.run({ instructions: END - 10_000 });
  while (m.processor.retired < END) m.step();
  assert.equal(m.stateHash(), hash);
  assert.equal(log(m), records);
});

test('a machine restored from a snapshot goes the same way again', () => {
  const m = make();
  m.run({ instructions: END / 3 });
  const state = structuredClone(m.save());
  const there = m.stateHash();
  m.run({ instructions: END / 3 });
  m.restore(state);
  assert.equal(m.stateHash(), there);
  m.run({ instructions: END - m.processor.retired });
  assert.equal(m.stateHash(), hash);
  assert.equal(log(m), records);
  const other = make();
  other.restore(state);
  other.run({ instructions: END - other.processor.retired });
  assert.equal(other.stateHash(), hash);
});

test('the translator changes nothing, neither forced nor at its own pace', () => {
  for (const options of [{ jit: true }, { jit: true, jitThreshold: 0 }]) {
    const m = make(options);
    m.run({ instructions: END });
    assert.equal(m.stateHash(), hash);
    assert.equal(log(m), records);
  }
});

test('another seed may choose other shadow slots, and the same inputs at the same place give the same run', () => {
  const session = (): string => {
    const m = make({ memoryBytes: 16 << 20 });
    m.run({ instructions: 5_000_000 });
    m.inputs.console(Buffer.from('help\r'));
    m.run({ instructions: 200_000 });
    return m.stateHash();
  };
  assert.equal(session(), session());
  const m = make({ seed: 7 });
  m.run({ instructions: END });
  assert.notEqual(m.stateHash(), hash);
});
