// Far jumps, calls and returns: rings, gates, parameters, limits, and that a fault changes nothing.

import assert from 'node:assert';
import { test } from 'node:test';
import { CS, DS, ESP, EXC, SS, W } from '../../src/i386/state';
import { AT, dword, gate, ProtectedMachine, SEL, segment, word } from './protected-machine';

const callf = (selector: number, offset: number): number[] => [0x9a, ...dword(offset), ...word(selector)];
const jmpf = (selector: number, offset: number): number[] => [0xea, ...dword(offset), ...word(selector)];
const RETF = 0xcb;

test('a far jump to code of the same ring loads CS and EIP and sets the accessed bit', () => {
  const pc = ProtectedMachine.fresh();
  pc.describe(SEL.TEST, segment(0x1000, 0xffff, 0x9a, 0x4));
  pc.run(...jmpf(SEL.TEST, 0x5678));
  assert.equal(pc.selector(CS), SEL.TEST);
  assert.equal(pc.eip, 0x5678);
  assert.equal(pc.m32[W.BASE + CS], 0x1000);
  assert.equal(pc.accessByte(SEL.TEST), 0x9b);
});

test('a far jump beyond the limit of its target raises #GP(0) and goes nowhere', () => {
  const pc = ProtectedMachine.fresh();
  pc.describe(SEL.TEST, segment(0, 0xfff, 0x9b, 0x4));
  pc.run(...jmpf(SEL.TEST, 0x1000));
  pc.delivered(EXC.GP, 0);
  assert.deepEqual(pc.stack(3).slice(1), [AT.CODE, SEL.CODE0]);
});

test('ring 3 cannot jump to ring-0 code, but runs conforming code of ring 0 in ring 3', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.run(...jmpf(SEL.CODE0, 0x9000));
  pc.delivered(EXC.GP, SEL.CODE0);
  const conforming = ProtectedMachine.fresh(3);
  conforming.describe(SEL.TEST, segment(0, 0xfffff, 0x9f));
  conforming.run(...jmpf(SEL.TEST, 0x9100));
  assert.equal(conforming.eip, 0x9100);
  assert.equal(conforming.cpl, 3);
  assert.equal(conforming.selector(CS), SEL.TEST | 3);
});

test('a far call pushes CS and the address after it; RETF goes back', () => {
  const pc = ProtectedMachine.fresh();
  pc.run(...callf(SEL.CODE0, 0x9500));
  assert.equal(pc.eip, 0x9500);
  assert.deepEqual(pc.stack(2), [AT.CODE + 7, SEL.CODE0]);
  pc.run(RETF);
  assert.equal(pc.eip, AT.CODE + 7);
  assert.equal(pc.esp, AT.STACK);
});

test('a call gate switches to the stack of the inner ring and copies its parameters', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describe(SEL.TEST, gate(SEL.CODE1, 0x9600, 0xec, 2));
  pc.write32(AT.STACK, 0xaaaa);
  pc.write32(AT.STACK + 4, 0xbbbb);
  pc.run(...callf(SEL.TEST | 3, 0x12345678));
  assert.equal(pc.eip, 0x9600);
  assert.equal(pc.cpl, 1);
  assert.equal(pc.selector(CS), SEL.CODE1);
  assert.equal(pc.selector(SS), SEL.DATA1);
  assert.deepEqual(pc.stack(6), [AT.CODE + 7, SEL.CODE3, 0xaaaa, 0xbbbb, AT.STACK, SEL.DATA3]);
  // The return releases the parameters on both stacks.
  pc.run(0xca, 8, 0);
  assert.equal(pc.cpl, 3);
  assert.equal(pc.selector(SS), SEL.DATA3);
  assert.equal(pc.esp, AT.STACK + 8);
});

test('a 16-bit call gate pushes words and uses the low half of its offset', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describe(SEL.TEST, gate(SEL.CODE0, 0xffff9600 | 0, 0xe4, 1));
  pc.write16(AT.STACK, 0x7777);
  pc.run(...callf(SEL.TEST, 0));
  assert.equal(pc.eip, 0x9600);
  assert.deepEqual(pc.words(5), [AT.CODE + 7, SEL.CODE3, 0x7777, AT.STACK, SEL.DATA3]);
});

test('a gate whose DPL is below CPL or RPL raises #GP, an absent gate #NP, both with the gate as error code', () => {
  const low = ProtectedMachine.fresh(3);
  low.describe(SEL.TEST, gate(SEL.CODE0, 0x9600, 0x8c));
  low.run(...callf(SEL.TEST, 0));
  low.delivered(EXC.GP, SEL.TEST);
  const absent = ProtectedMachine.fresh(3);
  absent.describe(SEL.TEST, gate(SEL.CODE0, 0x9600, 0x6c));
  absent.run(...callf(SEL.TEST, 0));
  absent.delivered(EXC.NP, SEL.TEST);
});

test('a jump through a call gate gains no privilege: #GP with the target as error code', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describe(SEL.TEST, gate(SEL.CODE0, 0x9600, 0xec));
  pc.run(...jmpf(SEL.TEST, 0));
  pc.delivered(EXC.GP, SEL.CODE0);
});

test('a bad inner stack is #TS with its selector, an absent one #SS, and a TSS that is too short #TS with the task', () => {
  const wrongRing = ProtectedMachine.fresh(3);
  wrongRing.describe(SEL.TEST, gate(SEL.CODE1, 0x9600, 0xec));
  wrongRing.write32(AT.TSS + 16, SEL.DATA3);
  wrongRing.run(...callf(SEL.TEST, 0));
  wrongRing.delivered(EXC.TS, SEL.DATA3 & ~3);
  const absent = ProtectedMachine.fresh(3);
  absent.describe(SEL.TEST, gate(SEL.CODE1, 0x9600, 0xec));
  absent.describe(SEL.DATA1, segment(0, 0xfffff, 0x33));
  absent.run(...callf(SEL.TEST, 0));
  absent.delivered(EXC.SS, SEL.DATA1 & ~3);
  const short = ProtectedMachine.fresh(3);
  short.describe(SEL.TEST, gate(SEL.CODE1, 0x9600, 0xec));
  short.m32[W.LIMIT + 7] = 0x12;
  short.run(...callf(SEL.TEST, 0));
  short.delivered(EXC.TS, SEL.TSS);
});

test('a page fault on the new stack leaves the call to be restarted with its registers as they were', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.describe(SEL.TEST, gate(SEL.CODE1, 0x9600, 0xec));
  pc.paging({ absent: [AT.STACK1 - 4] });
  pc.write32(AT.TSS + 4, 0x8000);
  pc.run(...callf(SEL.TEST, 0));
  pc.delivered(EXC.PF, 2);
  assert.deepEqual(pc.stack(6).slice(1), [AT.CODE, SEL.CODE3, 0x10002, AT.STACK, SEL.DATA3]);
});

test('a return to an outer ring nulls data segments that the outer ring may not use', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[ESP] = AT.STACK - 16;
  [0x9700, SEL.CODE3, AT.STACK, SEL.DATA3].forEach((value, n) => {
    pc.write32(AT.STACK - 16 + 4 * n, value);
  });
  pc.run(RETF);
  assert.equal(pc.cpl, 3);
  assert.equal(pc.eip, 0x9700);
  assert.equal(pc.selector(DS), 0);
  assert.equal(pc.m32[W.ACCESS + DS], 0);
  assert.equal(pc.selector(SS), SEL.DATA3);
});

test('a return to an inner ring raises #GP with the selector', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.write32(AT.STACK, 0x9700);
  pc.write32(AT.STACK + 4, SEL.CODE0);
  pc.run(RETF);
  pc.delivered(EXC.GP, SEL.CODE0);
});

test('far transfers in real mode and in virtual-8086 mode change base and selector only', () => {
  const real = ProtectedMachine.fresh();
  real.real();
  real.run(0x9a, ...word(0x10), ...word(0x900));
  assert.equal(real.m32[W.BASE + CS], 0x9000);
  assert.equal(real.eip, 0x10);
  assert.deepEqual(real.words(2), [AT.CODE + 5, 0]);
  real.run(RETF);
  assert.equal(real.eip, AT.CODE + 5);
  const v86 = ProtectedMachine.fresh();
  v86.v86(0);
  v86.run(0xea, ...word(0x20), ...word(0x1234));
  assert.equal(v86.m32[W.BASE + CS], 0x12340);
  assert.equal(v86.cpl, 3);
});
