// The plain road of transfers against the general code: from the same state both leave the same registers and the same memory.
//
// States are varied field by field over whatever decides between the roads: rings, gates, descriptors, selectors, limits, flags, stacks, paging, the TLB.

import assert from 'node:assert';
import { test } from 'node:test';
import { CS, ESP, FL, W } from '../../src/i386/state';
import { AT, gate, ProtectedMachine, SEL } from './protected-machine';
import { Choices, memory, pagePerhaps, prepare, registers, warm } from './transfer-states';

test('deliveries, IRET and segment loads leave the same machine on the plain road as through the general code', () => {
  let plain = 0;
  for (let seed = 1; seed <= 800; seed++) {
    const run = (general: boolean): { pc: ProtectedMachine; exit: string } => {
      const r = new Choices(seed);
      const pc = ProtectedMachine.fresh(r.of(0, 1, 3));
      pagePerhaps(pc, r);
      pc.code(...prepare(pc, r));
      pc.cpu.onTransfer = (...transfer) => {
        if (transfer[6]) plain++;
      };
      pc.cpu.plainRoad = !general;
      if (r.rarely(2)) warm(pc);
      else pc.cpu.flushTlb();
      const exit = pc.proc.step();
      return { pc, exit: exit.kind };
    };
    const general = run(true);
    const expected = [general.exit, registers(general.pc), memory(general.pc)] as const;
    const fast = run(false);
    assert.equal(fast.exit, expected[0], `seed ${seed}`);
    assert.deepEqual(registers(fast.pc), expected[1], `registers, seed ${seed}`);
    assert.ok(memory(fast.pc).equals(expected[2]), `memory, seed ${seed}`);
  }
  assert.ok(plain > 60, `the plain road was taken ${plain} times only`);
});

test('IRET to virtual-8086 mode reads no descriptor, so a GDT page that is not there is never asked for', () => {
  for (const plainRoad of [false, true]) {
    const pc = ProtectedMachine.fresh(0);
    pc.m32[W.CR2] = 0;
    pc.m32[ESP] -= 36;
    [0x123, 0x900, FL.VM | 2, 0x456, 0x1000, 0, 0, 0, 0].forEach((value, n) => {
      pc.write32(AT.STACK - 36 + 4 * n, value);
    });
    pc.m32[W.GDT_LIMIT] = 0xffff;
    pc.paging({ absent: [AT.GDT + 0x900] });
    pc.cpu.plainRoad = plainRoad;
    pc.run(0xcf);
    assert.equal(pc.selector(CS), 0x900);
    assert.equal(pc.m32[W.CR2], 0);
  }
});

test('what a delivery on the plain road reports is what it pushed', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describeGate(0x80, gate(SEL.CODE0, 0x9400, 0xee));
  warm(pc);
  let taken = false;
  pc.cpu.onTransfer = (...transfer) => {
    taken = transfer[6];
  };
  pc.run(0xcd, 0x80);
  assert.ok(taken);
  const { delivered } = pc.cpu;
  assert.equal(delivered[2], AT.STACK0 - 20);
  assert.deepEqual(pc.stack(5), [AT.CODE + 2, SEL.CODE3, delivered[5], delivered[4], delivered[3]]);
  assert.deepEqual([delivered[0], delivered[1] & 0xff00], [pc.read32(AT.IDT + 0x80 * 8), 0xee00]);
  assert.equal(pc.m32[W.SELECTOR + CS], SEL.CODE0);
});
