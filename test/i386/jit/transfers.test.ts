// The plain road of transfers in WebAssembly against the general code: where a function does not answer 0, it leaves the same registers and memory.

import assert from 'node:assert';
import { test } from 'node:test';
import { addCarries, aux8, aux16, aux32, subBorrows } from '../../../src/i386/flags';
import { J, JUMP_CACHE, JUMP_CACHE_ENTRIES, KIND, LENGTHS } from '../../../src/i386/jit/layout';
import { createTransfers } from '../../../src/i386/jit/transfers';
import { F, FL, W } from '../../../src/i386/state';
import { AT, gate, ProtectedMachine, SEL } from '../protected-machine';
import { Choices, memory, pagePerhaps, prepare, registers, warm } from '../transfer-states';

const FLAT_DATA = 0b001111;
/** What translated code may take for granted. */
const mayRun = (pc: ProtectedMachine): boolean =>
  pc.cpu.tryTranslate(AT.CODE, false, pc.m32[W.CPL] === 3) >= 0 &&
  (pc.m32[W.FLAT] & FLAT_DATA) === FLAT_DATA &&
  (pc.m32[W.CS_BIG] & pc.m32[W.SS_BIG]) === 1 &&
  (pc.m32[W.EFLAGS] & (FL.VM | FL.RF | FL.TF)) === 0;
/** The retired instructions are the run loop's. */
const withoutClock = (words: number[]): number[] => words.filter((_, n) => n !== F.RETIRED * 2 - 1 && n !== F.RETIRED * 2);

/** Leaves flags behind as a region may: operands, and a kind for which nobody has worked out the carries. */
const leaveLazyFlags = (pc: ProtectedMachine, r: Choices): void => {
  const { m32 } = pc;
  const kind = r.of<number>(...Object.values(KIND));
  m32[J.FLAG_KIND >> 2] = kind;
  if (kind === 0) return;
  const bits = kind <= KIND.SUB32 ? 32 : kind <= KIND.SUB16 ? 16 : 8;
  const cut = (v: number): number => (bits === 32 ? v : v & ((1 << bits) - 1));
  const a = cut(r.of(0, 1, -1, 0x7fffffff, 0x80, r.next(0x1000000)));
  const b = cut(r.of(0, 1, -1, 0x7fffffff, 0x80, r.next(0x1000000)));
  const x = (kind & 1 ? a + b : a - b) | 0;
  m32[W.FLAG_RESULT] = (x << (32 - bits)) >> (32 - bits);
  m32[W.FLAG_AUX] = a;
  m32[J.FLAG_B >> 2] = b;
};
const settle = (pc: ProtectedMachine): void => {
  const { m32 } = pc;
  const kind = m32[J.FLAG_KIND >> 2];
  if (kind === 0) return;
  const [a, b, x] = [m32[W.FLAG_AUX], m32[J.FLAG_B >> 2], m32[W.FLAG_RESULT]];
  const carries = kind & 1 ? addCarries(a, b, x) : subBorrows(a, b, x);
  m32[W.FLAG_AUX] = kind <= KIND.SUB32 ? aux32(carries) : kind <= KIND.SUB16 ? aux16(carries) : aux8(carries);
  m32[J.FLAG_KIND >> 2] = 0;
};

test('INT, IRET and segment loads in translated code leave the same machine as the general code, or refuse having changed nothing', () => {
  const { cpu, m32 } = ProtectedMachine.fresh();
  const functions = createTransfers(cpu.memory, {
    transfer: (vector, cs, eip, cpl) => cpu.onTransfer?.(vector, 1, -1, cs, eip, cpl, true),
    returned: (esp, cpl) => cpu.onReturn?.(esp, cpl),
  });
  const done = { int: 0, iret: 0, load: 0 };
  let refused = 0;
  for (let seed = 1; seed <= 2000; seed++) {
    const make = (): { pc: ProtectedMachine; bytes: number[]; heard: string[] } => {
      const r = new Choices(seed);
      const pc = ProtectedMachine.fresh(r.of(0, 1, 3));
      pagePerhaps(pc, r);
      const bytes = prepare(pc, r);
      pc.code(...bytes);
      if (r.rarely(20)) pc.cpu.plainRoad = false;
      if (r.rarely(20)) pc.cpu.intercept[0x80] = 1;
      leaveLazyFlags(pc, r);
      if (!r.rarely(6)) warm(pc);
      const heard: string[] = [];
      pc.cpu.onTransfer = (vector, cause, error, cs, eip, cpl) => heard.push(`to ${[vector, cause, error, cs, eip, cpl]}`);
      if (r.rarely(2)) pc.cpu.onReturn = (esp, cpl) => heard.push(`back ${[esp, cpl]}`);
      return { pc, bytes, heard };
    };
    const slow = make();
    if (!mayRun(slow.pc) || slow.bytes[0] === 0xcc) continue;
    settle(slow.pc);
    const exit = slow.pc.proc.step();
    const want = { registers: registers(slow.pc), memory: memory(slow.pc), tables: [slow.pc.cpu.tr, slow.pc.cpu.tw] };

    // The same machine anew.
    const fast = make();
    const { pc, bytes, heard } = fast;
    assert.equal(pc.cpu, cpu);
    const before = [registers(pc), memory(pc)] as const;
    const next = (m32[W.EIP] + bytes.length) | 0;
    const [name, answer] =
      bytes[0] === 0xcd
        ? (['int', functions.deliver(bytes[1], next)] as const)
        : bytes[0] === 0xcf
          ? (['iret', functions.iret()] as const)
          : (['load', functions.loadData((bytes[1] >> 3) & 7, m32[0] & 0xffff)] as const);
    if (answer === 0) {
      refused++;
      assert.deepEqual([registers(pc), memory(pc)], before, `refused, seed ${seed}`);
      assert.deepEqual(heard, [], `refused, seed ${seed}`);
      continue;
    }
    done[name]++;
    if (name === 'load') m32[W.EIP] = next;
    if (name === 'load') settle(pc);
    assert.notEqual(exit.kind, 'intercept', `seed ${seed}`);
    assert.deepEqual(withoutClock(registers(pc)), withoutClock(want.registers), `${name}, seed ${seed}`);
    assert.ok(memory(pc).equals(want.memory), `memory after ${name}, seed ${seed}`);
    assert.deepEqual(heard, slow.heard, `${name} ${bytes} ${exit.kind} eip ${m32[W.EIP]} ${slow.pc.m32[W.EIP]}, seed ${seed}`);
    cpu.syncTlb();
    assert.deepEqual([cpu.tr, cpu.tw], want.tables, `tables, seed ${seed}`);
  }
  assert.ok(done.int > 50 && done.iret > 70 && done.load > 120, `done ${JSON.stringify(done)}, refused ${refused}`);
  assert.ok(refused > 200, `refused ${refused} times only`);
});

test('after a delivery translated code goes on where the jump cache says, unless something wants a turn', () => {
  const SLOT = 9;
  const HANDLER = 0x9400;
  const run = (change: (pc: ProtectedMachine) => void): number => {
    const pc = ProtectedMachine.fresh(0);
    const { cpu, m32 } = pc;
    pc.describeGate(0x80, gate(SEL.CODE0, HANDLER, 0xef));
    warm(pc);
    cpu.setFlags(FL.IF | 2);
    m32[W.LEFT] = 100;
    const at = (JUMP_CACHE + (((HANDLER ^ (HANDLER >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) << 4)) >> 2;
    const cell = 0x1130000;
    m32.set([HANDLER, m32[cpu.tr + (HANDLER >>> 12)], cell], at);
    m32[cell >> 2] = SLOT;
    m32[(LENGTHS >> 2) + SLOT] = 50;
    change(pc);
    const { deliver } = createTransfers(cpu.memory, { transfer: () => {}, returned: () => {} });
    return deliver(0x80, AT.CODE + 2);
  };
  assert.equal(
    run(() => {}),
    SLOT * 4 + 3,
  );
  const out: [string, (pc: ProtectedMachine) => void][] = [
    ['the interrupt line', (pc) => (pc.cpu.intr = true)],
    ['a stop', (pc) => (pc.cpu.stopRequested = true)],
    ['too few instructions left', (pc) => (pc.m32[W.LEFT] = 50)],
    ['another page there by now', (pc) => (pc.m32[pc.cpu.tr + (HANDLER >>> 12)] += 0x1000)],
    ['nothing translated', (pc) => (pc.m32[0x1130000 >> 2] = 0)],
    ['a slot beyond the table of lengths', (pc) => (pc.m32[0x1130000 >> 2] = 0x3000)],
  ];
  for (const [what, change] of out) assert.equal(run(change), 2, what);
  assert.equal(
    run((pc) => pc.cpu.flushTlb()),
    0,
  );
});
