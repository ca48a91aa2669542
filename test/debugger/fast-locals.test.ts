// Locals that conditions read in the processor's loop are those that an expression reads at the same place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, SLOW } from '../../src/debugger/expression';
import { fastLocal, fastPlace, wordReader } from '../../src/debugger/fast-locals';
import type { Debugger } from '../../src/debugger/session';
import { stripType } from '../../src/symbols/dwarf/types';
import { ask, make, stopAfter } from './stand';

/** Compares every local in sight. @returns how many were read the fast way. */
const compare = (d: Debugger, kinds: Set<string>): number => {
  let read = 0;
  const { pc } = d.target;
  for (const name of new Set(d.programs.localsAt(pc).map((v) => v.name))) {
    const fast = fastLocal(d.target, d.programs, [{ address: pc }], name);
    if (fast === undefined) continue;
    const { value } = d.evaluate(name, undefined, false);
    if (value.missing !== undefined) continue;
    assert.equal(fast.get(), Number(value.bits), `${name} at ${d.programs.nameOf(pc)}`);
    kinds.add(`${value.register === undefined ? 'memory' : 'register'} ${value.type.kind === 'base' ? value.type.size : ''}`);
    read++;
  }
  return read;
};

/** Compares what the pointers in sight lead to, members and all, and some globals. @returns how many were read the fast way. */
const comparePlaces = (d: Debugger, seen: Set<string>): number => {
  const { pc } = d.target;
  const expressions = ['lguest_data.irq_enabled', 'trap_count[14]', 'current->pid', 'current->stats.preempted', '*current->next'];
  for (const v of d.programs.localsAt(pc)) {
    const t = stripType(v.type);
    const to = t.kind === 'pointer' ? stripType(t.target) : undefined;
    if (to?.kind === 'base') expressions.push(`*${v.name}`, `${v.name}[1]`);
    if (to?.kind === 'struct') for (const m of to.members) expressions.push(`${v.name}->${m.name}`, `(*${v.name}).${m.name}`);
  }
  let read = 0;
  for (const text of new Set(expressions)) {
    const fast = fastPlace(
      d.target,
      d.programs,
      [{ address: pc }],
      parse(text, () => false),
    );
    if (fast === undefined) continue;
    let wanted: number | undefined;
    try {
      const { value } = d.evaluate(text, undefined, false);
      wanted = value.missing === undefined ? Number(value.bits) : undefined;
    } catch {
      wanted = undefined;
    }
    if (wanted === undefined) assert.throws(fast.get, (thrown) => thrown === SLOW, text);
    else assert.equal(fast.get(), wanted, `${text} at ${d.programs.nameOf(pc)}`);
    seen.add(text);
    read++;
  }
  return read;
};

test('what pointers, members and elements lead to is read fast, and as an expression says; what is not mapped is left to the expression', async () => {
  const { d } = make();
  const seen = new Set<string>();
  let read = 0;
  for (const place of [
    'show_demand_paging',
    'find_pte',
    'show_visible_page_fault',
    'handle_page_fault',
    'create_task',
    'handle_irq',
    'handle_syscall',
  ]) {
    ask(d, `tb ${place}`);
    await stopAfter(d, () => d.continue());
    for (let n = 0; n < 30; n++) {
      read += comparePlaces(d, seen);
      await stopAfter(d, () => d.step('in', 'instruction'));
    }
  }
  assert.ok(read > 300, `${read} were read`);
  for (const text of ['lguest_data.irq_enabled', 'trap_count[14]', 'regs->eip'])
    assert.ok(seen.has(text), `${text} is not among ${[...seen].join(' ')}`);
});

test('over hundreds of stops each local that is read fast is what an expression says, in registers and on stacks, of any width', async () => {
  const { d } = make();
  const kinds = new Set<string>();
  let read = 0;
  for (const place of ['show_demand_paging', 'printk', 'find_pte', 'create_task', 'user_hello', 'user_spin']) {
    ask(d, `tb ${place}`);
    await stopAfter(d, () => d.continue());
    for (let n = 0; n < 60; n++) {
      read += compare(d, kinds);
      await stopAfter(d, () => d.step('in', n % 3 === 0 ? 'line' : 'instruction'));
    }
  }
  assert.ok(read > 300, `${read} were read`);
  assert.ok([...kinds].some((k) => k.startsWith('register')) && [...kinds].some((k) => k.startsWith('memory')), [...kinds].join());
});

test('a word is what lies at its linear address, whether the TLB has the page or not; where nothing is mapped, it is left to the expression', async () => {
  const { d } = make();
  ask(d, 'tb user_hello');
  await stopAfter(d, () => d.continue());
  const { target } = d;
  const { cpu } = target.processor;
  const here = target.register('esp');
  const places = [
    here,
    target.pc & ~3,
    ...Array.from({ length: 256 }, (_, i) => (i << 20) + 0x1000),
    ...Array.from({ length: 64 }, (_, i) => 0xc0000000 + (i << 16)),
  ];
  let mapped = 0;
  for (const bytes of [1, 2, 4]) {
    const read = wordReader(target, bytes);
    for (const full of [true, false]) {
      for (const at of places) {
        if (!full) cpu.flushTlb();
        const found = target.read(at >>> 0, bytes);
        if (found.length < bytes)
          assert.throws(
            () => read(at),
            (thrown) => thrown === SLOW,
            `0x${at.toString(16)}`,
          );
        else {
          mapped++;
          const wanted = found.reduceRight((sum, b) => sum * 256 + b, 0);
          assert.equal(read(at) >>> 0, wanted, `${bytes} at 0x${at.toString(16)}`);
        }
      }
    }
  }
  assert.ok(cpu.cached(here) < 0 && mapped > 100, `${mapped} were mapped`);
});

test('a condition on a parameter stops where it holds and nowhere else', async () => {
  const { d } = make();
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'set_gate', condition: 'vector == 14 && vector > 13u' }]);
  await stopAfter(d, () => d.continue());
  assert.equal(Number(d.evaluate('vector', undefined, false).value.bits), 14);
  const [b] = [...d.breakpoints];
  assert.equal(b.hits, 1);
});
