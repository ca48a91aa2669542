// Deliveries through the IDT, exceptions on top of exceptions, and IRET, in protected, virtual-8086 and real mode.

import assert from 'node:assert';
import { test } from 'node:test';
import { CS, DS, EAX, EBX, ES, ESP, EXC, FL, SS, W } from '../../src/i386/state';
import { AT, gate, HANDLERS, ProtectedMachine, SEL, segment } from './protected-machine';

const UD2 = [0x0f, 0x0b];
const IRET = 0xcf;
const int = (vector: number): number[] => [0xcd, vector];

/** Puts a frame on the current stack, lowest dword first. */
const frame = (pc: ProtectedMachine, ...values: number[]): void => {
  pc.m32[ESP] = AT.STACK - 4 * values.length;
  values.forEach((value, n) => {
    pc.write32(pc.esp + 4 * n, value);
  });
};

test('a fault from ring 3 switches to the ring-0 stack and pushes SS, ESP, EFLAGS with RF, CS and the address of the instruction', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.cpu.setFlags(FL.IF | FL.TF | FL.NT | FL.CF);
  pc.m32[W.EFLAGS] &= ~FL.TF;
  pc.run(...UD2);
  pc.delivered(EXC.UD);
  assert.equal(pc.cpl, 0);
  assert.equal(pc.esp, AT.STACK0 - 20);
  assert.deepEqual(pc.stack(5), [AT.CODE, SEL.CODE3, FL.RF | FL.NT | FL.IF | FL.CF | 2, AT.STACK, SEL.DATA3]);
  assert.equal(pc.cpu.getFlags(), FL.CF | 2);
});

test('an interrupt gate clears IF, a trap gate leaves it', () => {
  for (const [access, kept] of [
    [0xee, 0],
    [0xef, FL.IF],
  ]) {
    const pc = ProtectedMachine.fresh();
    pc.cpu.setFlags(FL.IF | 2);
    pc.describeGate(0x40, gate(SEL.CODE0, 0x9400, access));
    pc.run(...int(0x40));
    assert.equal(pc.eip, 0x9400);
    assert.equal(pc.cpu.getFlags() & FL.IF, kept);
    assert.deepEqual(pc.stack(3), [AT.CODE + 2, SEL.CODE0, FL.IF | 2]);
  }
});

test('a 16-bit gate pushes words', () => {
  const pc = ProtectedMachine.fresh();
  pc.describeGate(0x40, gate(SEL.CODE0, 0xffff9400 | 0, 0xe6));
  pc.run(...int(0x40));
  assert.equal(pc.eip, 0x9400);
  assert.deepEqual(pc.words(3), [AT.CODE + 2, SEL.CODE0, 2]);
});

test('INT n and INT3 obey the DPL of the gate, faults and external interrupts do not', () => {
  const soft = ProtectedMachine.fresh(3);
  soft.run(...int(0x40));
  soft.delivered(EXC.GP, 0x40 * 8 + 2);
  const three = ProtectedMachine.fresh(3);
  three.describeGate(3, gate(SEL.CODE0, HANDLERS + 48, 0x8e));
  three.run(0xcc);
  three.delivered(EXC.GP, 3 * 8 + 2);
  const external = ProtectedMachine.fresh(3);
  assert.ok(external.proc.interrupt(0x40));
  external.delivered(0x40);
});

test('the EXT bit is set when an exception or external interrupt cannot be delivered, and clear for INT n', () => {
  const external = ProtectedMachine.fresh();
  external.describeGate(0x40, gate(SEL.CODE0, 0, 0x0e));
  external.proc.interrupt(0x40);
  external.delivered(EXC.NP, 0x40 * 8 + 3);
  const soft = ProtectedMachine.fresh();
  soft.describeGate(0x40, gate(SEL.CODE0, 0, 0x0e));
  soft.run(...int(0x40));
  soft.delivered(EXC.NP, 0x40 * 8 + 2);
});

test('a vector beyond the IDT limit raises #GP with the vector', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.IDT_LIMIT] = 0x40 * 8 + 6;
  pc.run(...int(0x40));
  pc.delivered(EXC.GP, 0x40 * 8 + 2);
});

test('two contributory exceptions make a double fault whose error code is 0', () => {
  const pc = ProtectedMachine.fresh();
  pc.describeGate(EXC.GP, gate(SEL.CODE0, 0, 0x0e));
  pc.m32[EAX] = 0x400;
  pc.run(0x8e, 0xd8);
  pc.delivered(EXC.DF, 0);
});

test('a page fault whose handler cannot be reached is a double fault, and one on the way to #UD is an ordinary page fault', () => {
  const pc = ProtectedMachine.fresh();
  pc.paging({ absent: [0x60000] });
  pc.describeGate(EXC.PF, gate(SEL.CODE0, 0, 0x0e));
  pc.m32[EBX] = 0x60000;
  pc.run(0x8b, 0x03);
  pc.delivered(EXC.DF, 0);
  assert.equal(pc.m32[W.CR2], 0x60000);
  const benign = ProtectedMachine.fresh(3);
  benign.paging({ absent: [0x60000] });
  benign.write32(AT.TSS + 4, 0x60100);
  benign.describe(SEL.TEST, segment(0, 0xfffff, 0x9b));
  benign.describeGate(EXC.PF, gate(SEL.CODE1, HANDLERS + 16 * 14, 0x8e));
  benign.run(...UD2);
  benign.delivered(EXC.PF, 2);
});

test('a fault while a double fault is delivered shuts the processor down', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.IDT_LIMIT] = 0;
  assert.equal(pc.run(...UD2).kind, 'shutdown');
  const real = ProtectedMachine.fresh();
  real.real();
  real.m32[W.IDT_LIMIT] = 0;
  assert.equal(real.run(...UD2).kind, 'shutdown');
});

test('IRET to the same ring restores EIP, CS and the flags that the ring may change', () => {
  const pc = ProtectedMachine.fresh(1);
  pc.m32[W.EFLAGS] |= FL.IF;
  frame(pc, 0x9400, SEL.CODE1, FL.CF | FL.IOPL | FL.VM | FL.DF);
  pc.run(IRET);
  assert.equal(pc.eip, 0x9400);
  assert.equal(pc.esp, AT.STACK);
  // Ring 1 with IOPL 0: IF, IOPL and VM stay as they were.
  assert.equal(pc.cpu.getFlags(), FL.IF | FL.CF | FL.DF | 2);
});

test('IRET to an outer ring loads SS:ESP and drops privileged data segments', () => {
  const pc = ProtectedMachine.fresh();
  frame(pc, 0x9400, SEL.CODE3, FL.IF | 2, 0x8800, SEL.DATA3);
  pc.run(IRET);
  assert.equal(pc.cpl, 3);
  assert.equal(pc.esp, 0x8800);
  assert.equal(pc.selector(SS), SEL.DATA3);
  assert.equal(pc.selector(DS), 0);
  assert.equal(pc.cpu.getFlags(), FL.IF | 2);
});

test('IRET from ring 0 with VM set enters virtual-8086 mode with all its segments', () => {
  const pc = ProtectedMachine.fresh();
  frame(pc, 0x123, 0x900, FL.VM | FL.IF | 2, 0x456, 0x1000, 0x1111, 0x2222, 0x3333, 0x4444);
  pc.run(IRET);
  assert.equal(pc.cpl, 3);
  assert.ok(pc.cpu.v86);
  assert.equal(pc.eip, 0x123);
  assert.equal(pc.esp, 0x456);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((seg) => pc.selector(seg)),
    [0x1111, 0x900, 0x1000, 0x2222, 0x3333, 0x4444],
  );
  assert.equal(pc.m32[W.BASE + CS], 0x9000);
});

test('a fault in virtual-8086 mode pushes all segments onto the ring-0 stack and nulls the data segments', () => {
  const pc = ProtectedMachine.fresh();
  pc.v86(0);
  pc.m32[W.SELECTOR + ES] = 0x1111;
  pc.run(...UD2);
  pc.delivered(EXC.UD);
  assert.equal(pc.cpl, 0);
  assert.deepEqual(pc.stack(9), [AT.CODE, 0, FL.RF | FL.VM | 2, AT.STACK, 0, 0x1111, 0, 0, 0]);
  assert.equal(pc.selector(ES), 0);
  assert.ok(!pc.cpu.v86);
});

test('INT n in virtual-8086 mode needs IOPL 3, INT3 does not', () => {
  const low = ProtectedMachine.fresh();
  low.v86(2);
  low.run(...int(3));
  low.delivered(EXC.GP, 0);
  const three = ProtectedMachine.fresh();
  three.v86(0);
  three.run(0xcc);
  three.delivered(EXC.BP);
  const high = ProtectedMachine.fresh();
  high.v86(3);
  high.run(...int(3));
  high.delivered(EXC.BP);
});

test('real mode reads four-byte vectors, pushes FLAGS, CS and IP, and never an error code', () => {
  const pc = ProtectedMachine.fresh();
  pc.real();
  pc.write32(13 * 4, 0x03000020);
  pc.m32[W.EFLAGS] |= FL.IF;
  pc.run(0x8b, 0x06, 0xff, 0xff);
  assert.equal(pc.eip, 0x20);
  assert.equal(pc.selector(CS), 0x300);
  assert.deepEqual(pc.words(3), [AT.CODE, 0, FL.IF | 2]);
  assert.equal(pc.cpu.getFlags() & FL.IF, 0);
  pc.run(IRET);
  assert.equal(pc.eip, AT.CODE);
  assert.notEqual(pc.cpu.getFlags() & FL.IF, 0);
});

test('each successful delivery is reported once, with where it came from', () => {
  const pc = ProtectedMachine.fresh(3);
  const seen: (number | boolean)[][] = [];
  pc.cpu.onTransfer = (...transfer) => seen.push(transfer);
  pc.run(...int(0x40));
  assert.deepEqual(
    seen.map((transfer) => transfer.slice(0, 6)),
    [[EXC.GP, 0, 0x40 * 8 + 2, SEL.CODE3, AT.CODE, 3]],
  );
});

test('an intercepted INT n stops before its delivery only if its gate would let it through, and passes when told', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.cpu.intercept[3] = 1;
  const exit = pc.run(...int(3));
  assert.deepEqual(exit, { kind: 'intercept', vector: 3, errorCode: -1, software: true });
  assert.equal(pc.eip, AT.CODE);
  pc.proc.passIntercept();
  pc.proc.step();
  pc.delivered(3);
  const blocked = ProtectedMachine.fresh(3);
  blocked.cpu.intercept[0x40] = 1;
  blocked.run(...int(0x40));
  blocked.delivered(EXC.GP, 0x40 * 8 + 2);
});

test('a frame that does not fit on the inner stack is #SS with its selector and EXT, before anything changed', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describe(SEL.TEST, segment(0, 0xfff, 0x93, 0x4));
  pc.describeGate(EXC.SS, gate(SEL.CODE1, HANDLERS + 16 * 12, 0x8e));
  pc.write32(AT.TSS + 4, 0x2000);
  pc.write32(AT.TSS + 8, SEL.TEST);
  pc.describeGate(EXC.UD, gate(SEL.CODE0, 0x9400, 0x8e));
  pc.run(...UD2);
  pc.delivered(EXC.SS, SEL.TEST | 1);
  assert.equal(pc.cpl, 1);
});

test('INTO delivers vector 4 only while OF is set', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.run(0xce);
  assert.equal(pc.eip, AT.CODE + 1);
  pc.cpu.setStatus(FL.OF);
  pc.run(0xce);
  pc.delivered(EXC.OF);
  assert.deepEqual(pc.stack(1), [AT.CODE + 2]);
});

test('INT1 delivers #DB whatever the DPL of its gate', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.run(0xf1);
  pc.delivered(EXC.DB);
  assert.deepEqual(pc.stack(1), [AT.CODE + 1]);
});

test('a gate to code of an outer ring raises #GP with the code selector', () => {
  const pc = ProtectedMachine.fresh();
  pc.describeGate(0x40, gate(SEL.CODE3, 0x9400, 0xee));
  pc.run(...int(0x40));
  pc.delivered(EXC.GP, SEL.CODE3 & ~3);
  assert.equal(pc.esp, AT.STACK - 16);
});

test('a new stack without room is #SS with its selector, even when the entry point is beyond the code limit as well', () => {
  for (const [limit, offset, vector, error] of [
    [0xf, 0x20000, EXC.SS, SEL.TEST],
    [0xf, 0x100, EXC.SS, SEL.TEST],
    [0xffff, 0x20000, EXC.GP, 0],
  ]) {
    for (const viaCall of [false, true]) {
      const pc = ProtectedMachine.fresh(3);
      // #SS and #GP go to ring 0 on a task of their own stack: a stack of ring 1 is the short one.
      pc.describe(SEL.TEST, segment(0, limit, 0xb3, 4));
      pc.describe(SEL.TEST2, segment(0, 0xffff, 0xbb, 4));
      pc.write32(AT.TSS + 12, 0x100);
      pc.write32(AT.TSS + 16, SEL.TEST | 1);
      if (viaCall) {
        pc.describe(SEL.LDT, gate(SEL.TEST2, offset, 0xec, 1));
        pc.run(0x9a, 0, 0, 0, 0, SEL.LDT | 3, 0);
      } else {
        pc.describeGate(0x40, gate(SEL.TEST2, offset, 0xee));
        pc.run(...int(0x40));
      }
      pc.delivered(vector, error);
      assert.equal(pc.stack(2)[1], AT.CODE);
    }
  }
});
