// Stepping into traps: the Host's decisions one by one, the Switcher's instructions in both address spaces, and out of a handler to where the record says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Debugger, StopInfo } from '../../src/debugger/session';
import { switcherName } from '../../src/debugger/switcher-place';
import { W } from '../../src/i386/state';
import { explain } from '../../src/lguest/explain';
import { LHCALL } from '../../src/lguest/abi';
import { make, type Stand, stopAfter } from './stand';

const PAGE = 0xd0000000;
const step = (d: Debugger, kind: 'in' | 'over' | 'out' = 'in'): Promise<StopInfo> => stopAfter(d, () => d.step(kind, 'instruction'));
const into = (d: Debugger, what: 'handler' | 'decisions' | 'switcher'): Promise<StopInfo> => stopAfter(d, () => d.stepIntoTrap(what));

/** Stands before the delivery of the first page fault that the Guest sees. */
const atFault = async (): Promise<Stand> => {
  const stand = make();
  stand.d.setFilters([{ id: 'pf.guest', condition: `cr2 == ${PAGE}` }]);
  await stopAfter(stand.d, () => stand.d.continue());
  stand.d.setFilters([]);
  return stand;
};
const frames = (d: Debugger): { kind: string; name: string; pc: number }[] => {
  const stack = d.stack();
  stack.need(5);
  return stack.frames.map(({ kind, name, pc }) => ({ kind, name, pc }));
};

test('at a decided trap the targets are the handler by name, the decisions and the Switcher', async () => {
  const { d } = await atFault();
  assert.deepEqual(
    d.trapTargets().map((t) => t.label),
    ['Guest handler entry_page_fault', 'Host: decision by decision', 'Switcher: instruction by instruction'],
  );
  const { record } = d.stop ?? {};
  await into(d, 'handler');
  assert.equal(d.target.pc, record?.handler);
});

test('the decisions are walked one by one in the order of the chain while nothing runs, and the step behind the last one applies them', async () => {
  const { d, machine } = await atFault();
  const record = d.stop?.record;
  assert.ok(record);
  const chain = explain(record);
  const before = machine.stateHash();
  let stop = await into(d, 'decisions');
  for (let i = 0; i < chain.length; i++) {
    assert.equal(stop.description, `Host decision ${i + 1} of ${chain.length}: ${chain[i].fn}`);
    const [top, boundary, code] = frames(d);
    assert.deepEqual([top.kind, boundary.kind, code.kind, code.pc], ['decision', 'boundary', 'code', record.eip]);
    assert.equal(top.name, `Host: ${chain[i].fn}: ${chain[i].condition} → ${chain[i].taken}`);
    assert.equal(machine.stateHash(), before, 'nothing has run');
    stop = await step(d);
  }
  assert.deepEqual([stop.pending, d.target.pc, d.target.register('esp')], [false, record.handler, record.frame?.at]);
});

test('a step out of the decisions applies them at once', async () => {
  const { d } = await atFault();
  const { record } = d.stop ?? {};
  await into(d, 'decisions');
  await step(d, 'out');
  assert.equal(d.target.pc, record?.handler);
});

test('an instruction that is made to trap is run up to the decision about it; one that does not trap is just a step', async () => {
  const { d, machine } = make();
  d.setFilters([{ id: 'hypercall', condition: `nr == ${LHCALL.LOAD_GDT}` }]);
  const call = await stopAfter(d, () => d.continue());
  d.setFilters([]);
  await step(d); // the hypercall is done
  const plain = await into(d, 'decisions');
  assert.equal(plain.description, 'Paused on step: the instruction did not trap');
  let decided: StopInfo | undefined;
  for (let n = 0; n < 20_000 && decided === undefined; n++) {
    const flow = d.decode(d.target.pc);
    if (flow?.flow === 'int' && flow.vector === 0x1f) {
      assert.deepEqual(
        d.trapTargets().map((t) => t.label),
        ['Host: decision by decision', 'Switcher: instruction by instruction'],
      );
      decided = await into(d, 'decisions');
    } else machine.step();
  }
  assert.match(decided?.description ?? '', /^Host decision 1 of \d: lguest_arch_handle_trap$/);
  assert.deepEqual([decided?.record?.kind, decided?.pending], ['hypercall', true]);
  assert.ok((decided?.record?.k ?? 0) > (call.record?.k ?? 0));
});

test('the Switcher is stepped into at a trap: stub, saving, the change of address space, the decision, and back to the handler', async () => {
  const { d, machine } = await atFault();
  const { host } = machine;
  const record = d.stop?.record;
  // The way in: from the decision to the handler.
  let stop = await into(d, 'switcher');
  assert.match(stop.description, /^At the Host's call of the Switcher, Host's address space$/);
  const places: string[] = [];
  const spaces = new Set<string>();
  for (let n = 0; n < 200 && host.inSwitcher; n++) {
    const [top, note, guest] = frames(d);
    assert.equal(top.pc, d.target.pc);
    assert.equal(top.pc, host.cpu.m32[W.EIP] >>> 0, 'the registers shown are the processor’s own');
    assert.match(note.name, /in the Switcher/);
    assert.equal(guest.pc, host.context.get('eip'), 'the Guest stands below, as it is saved');
    assert.ok(d.decode(top.pc) !== undefined, 'its code can be read');
    const name = switcherName(host, top.pc);
    if (name !== undefined) places.push(name);
    spaces.add(top.name.replace(/.*, /, ''));
    stop = await step(d);
  }
  assert.deepEqual([places[0], [...spaces]], ['switch_to_guest', ["Host's address space", "Guest's address space"]]);
  assert.ok(places.some((p) => p.startsWith('switch_to_guest+')));
  assert.equal(stop.description, 'Paused on step, in the Guest');
  assert.equal(d.target.pc, record?.handler);
});

test('from the Guest a trap is followed through its stub to the decision, and out of the Switcher in one step', async () => {
  const { d, machine } = make();
  d.setFilters([{ id: 'hypercall', condition: `nr == ${LHCALL.LOAD_GDT}` }]);
  await stopAfter(d, () => d.continue());
  d.setFilters([]);
  await step(d);
  for (let n = 0; n < 20_000; n++) {
    const code = d.decode(d.target.pc);
    if (code?.flow === 'int' && code.vector === 0x1f) break;
    machine.step();
  }
  const eip = d.target.pc;
  const stub = await into(d, 'switcher');
  assert.match(stub.description, /^At trap_stub_31 in the Switcher, Guest's address space$/);
  const decided = await step(d, 'out');
  assert.deepEqual([decided.description, decided.record?.kind, decided.pending], ['The Host has decided', 'hypercall', true]);
  assert.equal(d.target.pc, eip + 2, 'the Guest’s own registers again');
  await step(d);
  assert.ok(machine.host.inGuest);
});

test('stepping through the Switcher leaves the run as it is without', async () => {
  const stepped = await atFault();
  const plain = await atFault();
  for (let n = 0; n < 300; n++) await into(stepped.d, 'switcher');
  const { retired } = stepped.machine.position;
  stepped.machine.run({ instructions: 20_000 });
  plain.machine.run({ instructions: retired + 20_000 - plain.machine.position.retired });
  assert.equal(stepped.machine.stateHash(), plain.machine.stateHash());
});

test('a step out of a handler ends where its record says that the interrupted code goes on', async () => {
  const { d } = await atFault();
  const { record } = d.stop ?? {};
  assert.ok(record);
  await into(d, 'handler');
  for (let n = 0; n < 3; n++) await step(d, 'over');
  const stop = await step(d, 'out');
  assert.equal(stop.reason, 'step');
  assert.deepEqual([d.target.pc, d.target.register('esp'), d.target.register('cs')], [record.eip, record.esp, record.cs]);
  assert.ok(record.k < d.target.records.count);
  assert.ok(d.target.records.get(record.k)?.instructions !== undefined, 'its IRET has been');
});
