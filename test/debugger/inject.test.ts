// Traps and interrupts raised by the user: they go the way of all others, the log says where they came from, and the run stays determined.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpressionError } from '../../src/debugger/expression';
import { injectRequest } from '../../src/debugger/questions';
import { toJson, type TrapRecord } from '../../src/lguest/trap-record';
import { Machine } from '../../src/launcher/machine';
import { ask, image, make, type Stand, standAt } from './stand';

/** Stands in the Guest's kernel, behind its first system call. */
const inKernel = (): Stand => {
  const { machine, d } = standAt(0x80, () => true);
  machine.step();
  return { machine, d };
};
const newest = ({ machine }: Stand, wanted: (r: TrapRecord) => boolean): TrapRecord =>
  [...machine.host.records].filter(wanted).at(-1) ?? assert.fail('no such record');

test('an injected page fault is decided by the Host like any other: reflected, with its own error code and cr2, at the instruction that was next', () => {
  const stand = inKernel();
  const { machine, d } = stand;
  const { eip, retired } = { eip: d.target.pc, retired: machine.position.retired };
  assert.match(ask(d, 'inject vector 14 err=2 cr2=0xd0003000'), /^#PF page fault err 2 cr2 0xd0003000 comes before the instruction at \w+/);
  assert.equal(machine.step().kind, 'budget');
  const r = newest(stand, (x) => x.injected === true);
  assert.deepEqual(
    [r.kind, r.outcome, r.reason, r.err, r.cr2, r.eip, r.pos.retired],
    ['trap', 'reflected', 'gpte-absent', 2, 0xd0003000, eip, retired],
  );
  assert.deepEqual([d.target.pc, machine.host.cr2.guest, machine.position.retired], [r.handler, 0xd0003000, retired]);
  assert.equal(JSON.parse(toJson(r)).injected, true);
  assert.match(ask(d, `why ${r.k}`), /Injected by the user\./);
  assert.equal(newest(stand, (x) => x.k < r.k).injected, undefined, 'only this one');
});

test('an injected page fault at a page that the Guest maps is filled silently, and one that the Guest has no gate for kills it', () => {
  const stand = inKernel();
  const { machine, d } = stand;
  ask(d, `inject vector 14 err=0 cr2=${d.target.pc}`);
  machine.step();
  assert.equal(newest(stand, (x) => x.injected === true).outcome, 'paged-in');
  const other = inKernel();
  other.machine.host.lg.idt[17 * 2 + 1] = 0;
  ask(other.d, 'inject vector 17');
  const end = other.machine.run({ instructions: 1000 });
  assert.match('message' in end ? end.message : '', /^lguest: unhandled trap 17 at 0x[0-9a-f]+ \(0x0\)$/);
});

test('an injected trap with a trap gate goes direct, and filters see it before it does', () => {
  const stand = make();
  const { machine, d } = stand;
  machine.run({ instructions: 200_000 });
  machine.inputs.trap(0x80);
  const vectors = new Uint8Array(257);
  vectors[0x80] = 1;
  let asked = 0;
  machine.host.setFilter({ vectors, ring: false, virqDelivered: false, virqHeld: false, test: () => asked++ === 0 });
  const stop = machine.run({ instructions: 1_000_000 });
  assert.ok(stop.kind === 'trap');
  assert.deepEqual([stop.record.outcome, stop.record.injected], ['direct', true]);
  machine.step();
  const r = newest(stand, (x) => x.injected === true);
  assert.deepEqual([r.outcome, d.target.pc, r.k], ['direct', r.handler, machine.host.records.count - 1]);
});

test('an injected interrupt is held for the reason of the moment and delivered when that is over; its record says so', () => {
  const stand = standAt(14, (r) => r.outcome === 'reflected');
  const { machine, d } = stand;
  assert.equal(ask(d, 'inject irq 0'), 'irq 0 is pending; "info irq 0" says when it goes in\n');
  assert.match(ask(d, 'info irq 0'), /the Guest masked it/);
  machine.run({ instructions: 2_000_000 });
  const held = [...machine.host.records].find((r) => r.injected && r.outcome === 'virq-held');
  const delivered = [...machine.host.records].find((r) => r.injected && r.outcome === 'virq-delivered');
  assert.equal(held?.reason, 'blocked');
  assert.deepEqual([delivered?.virq?.irq, delivered?.reason], [0, 'injected']);
  assert.ok((delivered?.k ?? 0) > (held?.k ?? 0));
  assert.ok(
    [...machine.host.records].filter((r) => r.kind === 'virq' && r.k > (delivered?.k ?? 0)).every((r) => !r.injected),
    'later ones are the Guest’s own',
  );
});

test('a run with injections is the same each time, translated or not, and from a saved state that holds one', () => {
  const hashes = [false, true].map((jit) => {
    const machine = new Machine({ kernel: image, memoryBytes: 32 << 20, cmdline: '', jit, jitThreshold: 10 });
    const go = (): string => {
      machine.inputs.trap(14, 2, 0xd0004000);
      machine.inputs.irq(0);
      const state = machine.save();
      machine.run({ instructions: 30_000 });
      const hash = machine.stateHash();
      machine.restore(state);
      machine.run({ instructions: 30_000 });
      assert.equal(machine.stateHash(), hash);
      return hash;
    };
    machine.run({ instructions: 150_000 });
    return go();
  });
  assert.equal(hashes[0], hashes[1]);
});

test('held interrupts wait for the time given, in the same way each time, translated or not, and from a saved state; a length that is none is refused', () => {
  const runs = [false, true].map((jit) => {
    const machine = new Machine({ kernel: image, memoryBytes: 32 << 20, cmdline: '', jit, jitThreshold: 10 });
    machine.run({ instructions: 150_000 });
    const from = machine.host.nowNs;
    machine.inputs.irq(0);
    machine.inputs.holdVirqs(3_000_000);
    const state = machine.save();
    machine.run({ instructions: 4_500_000 });
    const virqs = [...machine.host.records].filter((r) => r.kind === 'virq' && r.ns >= from);
    const hash = machine.stateHash();
    machine.restore(state);
    machine.run({ instructions: 4_500_000 });
    assert.equal(machine.stateHash(), hash);
    for (const wrong of [-1, 0.5, Number.NaN]) assert.throws(() => machine.inputs.holdVirqs(wrong), /cannot be held for .* ns/);
    for (const r of virqs)
      if (r.outcome === 'virq-delivered' && r.reason !== 'woke-halted')
        assert.ok(r.ns >= from + 3_000_000, `trap ${r.k} at ${r.ns - from}`);
    return { hash, held: virqs.some((r) => r.reason === 'stepping'), delivered: virqs.some((r) => r.outcome === 'virq-delivered') };
  });
  assert.equal(runs[0].hash, runs[1].hash);
  assert.deepEqual([runs[0].held, runs[0].delivered], [true, true]);
});

test('what cannot be injected is refused with one line', () => {
  const { d, machine } = make();
  const before = machine.stateHash();
  for (const [text, why] of [
    ['inject', /inject what\?/],
    ['inject vector', /inject what\?/],
    ['inject vector 31', /vector 31 cannot be injected: 0 to 30 and 128 can/],
    ['inject vector 300', /cannot be injected/],
    ['inject vector 6 err=1', /vector 6 has no error code/],
    ['inject vector 13 cr2=1', /only vector 14 has a cr2/],
    ['inject irq 32', /no virtual interrupt 32: 0 to 31/],
    ['inject irq 1 err=2', /"err=2" is not understood/],
    ['inject vector 14 colour=2', /"colour=2" is not understood/],
  ] as const)
    assert.throws(
      () => ask(d, text),
      (e) => e instanceof ExpressionError && why.test(e.message) && !e.message.includes('\n'),
      text,
    );
  assert.throws(() => injectRequest(d, {}), /inject what\?/);
  assert.equal(machine.stateHash(), before);
  assert.deepEqual(injectRequest(d, { irq: 3 }), { text: 'irq 3 is pending; "info irq 3" says when it goes in' });
});
