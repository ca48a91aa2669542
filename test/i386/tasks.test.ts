// Task switches: what is saved and loaded, busy bits and links, and on whose account a fault goes.

import assert from 'node:assert';
import { test } from 'node:test';
import { CR0, CS, DS, EAX, EBX, ESP, EXC, FL, SS, TR, W } from '../../src/i386/state';
import { AT, dword, gate, HANDLERS, ProtectedMachine, SEL, segment, word } from './protected-machine';

const callf = (selector: number): number[] => [0x9a, ...dword(0), ...word(selector)];
const jmpf = (selector: number): number[] => [0xea, ...dword(0), ...word(selector)];
const IRET = 0xcf;

/** Fills a 32-bit TSS for a task of ring `cpl`. */
const fillTss = (
  pc: ProtectedMachine,
  at: number,
  fields: { eip?: number; cs?: number; ss?: number; ds?: number; flags?: number; trap?: boolean; ldt?: number } = {},
): void => {
  pc.write32(at + 0x04, AT.STACK0);
  pc.write32(at + 0x08, SEL.DATA0);
  pc.write32(at + 0x1c, pc.m32[W.CR3]);
  pc.write32(at + 0x20, fields.eip ?? 0x9800);
  pc.write32(at + 0x24, fields.flags ?? 2);
  for (let n = 0; n < 8; n++) pc.write32(at + 0x28 + 4 * n, n === ESP ? 0x8800 : 0x1000 + n);
  const data = fields.ds ?? SEL.DATA0;
  [data, fields.cs ?? SEL.CODE0, fields.ss ?? SEL.DATA0, data, data, data].forEach((selector, n) => {
    pc.write32(at + 0x48 + 4 * n, selector);
  });
  pc.write32(at + 0x60, fields.ldt ?? 0);
  pc.write32(at + 0x64, 0x680000 | (fields.trap ? 1 : 0));
};

const machine = (cpl = 0, fields?: Parameters<typeof fillTss>[2]): ProtectedMachine => {
  const pc = ProtectedMachine.fresh(cpl);
  fillTss(pc, AT.TSS2, fields);
  return pc;
};

test('a far call to a TSS saves the old task, loads the new one, links them and sets NT, TS and both busy bits', () => {
  const pc = machine();
  pc.m32[EBX] = 0x4242;
  pc.run(...callf(SEL.TSS2));
  assert.equal(pc.eip, 0x9800);
  assert.equal(pc.selector(TR), SEL.TSS2);
  assert.equal(pc.m32[EAX], 0x1000);
  assert.equal(pc.esp, 0x8800);
  assert.equal(pc.cpu.getFlags(), FL.NT | 2);
  assert.notEqual(pc.m32[W.CR0] & CR0.TS, 0);
  assert.equal(pc.accessByte(SEL.TSS), 0x8b);
  assert.equal(pc.accessByte(SEL.TSS2), 0x8b);
  assert.equal(pc.read32(AT.TSS2), SEL.TSS);
  assert.equal(pc.read32(AT.TSS + 0x20), AT.CODE + 7);
  assert.equal(pc.read32(AT.TSS + 0x28 + 4 * EBX), 0x4242);
  assert.equal(pc.read32(AT.TSS + 0x4c), SEL.CODE0);
});

test('IRET with NT goes back through the link, frees the task it leaves and clears NT in its image', () => {
  const pc = machine();
  pc.run(...callf(SEL.TSS2));
  pc.run(IRET);
  assert.equal(pc.eip, AT.CODE + 7);
  assert.equal(pc.selector(TR), SEL.TSS);
  assert.equal(pc.accessByte(SEL.TSS2), 0x89);
  assert.equal(pc.accessByte(SEL.TSS), 0x8b);
  assert.equal(pc.read32(AT.TSS2 + 0x24) & FL.NT, 0);
  assert.equal(pc.read32(AT.TSS2 + 0x20), 0x9801);
});

test('a far jump frees the task it leaves and writes no link', () => {
  const pc = machine();
  pc.write32(AT.TSS2, 0x7777);
  pc.run(...jmpf(SEL.TSS2));
  assert.equal(pc.eip, 0x9800);
  assert.equal(pc.accessByte(SEL.TSS), 0x89);
  assert.equal(pc.accessByte(SEL.TSS2), 0x8b);
  assert.equal(pc.read32(AT.TSS2), 0x7777);
  assert.equal(pc.cpu.getFlags() & FL.NT, 0);
});

test('a task switch in a guest whose TSS page is read-only raises #PF error 3 at the start of the TSS and changes nothing', () => {
  const pc = machine(1);
  pc.describe(SEL.TSS2, segment(AT.TSS2, 0x67, 0xa9, 0));
  pc.paging({ readOnly: [AT.GDT, AT.TSS] });
  pc.run(...callf(SEL.TSS2));
  pc.delivered(EXC.PF, 3);
  assert.equal(pc.m32[W.CR2], AT.TSS);
  assert.equal(pc.stack(2)[1], AT.CODE);
  assert.equal(pc.selector(TR), SEL.TSS);
  assert.equal(pc.accessByte(SEL.TSS2), 0xa9);
  assert.equal(pc.read32(AT.TSS + 0x20), 0);
});

test('a read-only GDT stops the switch before the old task is saved', () => {
  const pc = machine();
  pc.paging({ readOnly: [AT.GDT] });
  pc.run(...callf(SEL.TSS2));
  pc.delivered(EXC.PF, 3);
  assert.equal(pc.read32(AT.TSS + 0x20), 0);
  assert.equal(pc.read32(AT.TSS2), 0);
});

test('a busy TSS is #GP, an absent one #NP, one that is too short #TS, each with its selector and in the old task', () => {
  for (const [access, limit, vector] of [
    [0x8b, 0x67, EXC.GP],
    [0x09, 0x67, EXC.NP],
    [0x89, 0x66, EXC.TS],
  ]) {
    const pc = machine();
    pc.describe(SEL.TSS2, segment(AT.TSS2, limit, access, 0));
    pc.run(...callf(SEL.TSS2));
    pc.delivered(vector, SEL.TSS2);
    assert.equal(pc.selector(TR), SEL.TSS);
    assert.equal(pc.stack(2)[1], AT.CODE);
  }
});

test('a bad segment in the new TSS is the fault of the new task: #TS with that selector at its first instruction', () => {
  const pc = machine(0, { ds: SEL.TEST });
  pc.run(...callf(SEL.TSS2));
  pc.delivered(EXC.TS, SEL.TEST);
  assert.equal(pc.selector(TR), SEL.TSS2);
  assert.equal(pc.stack(2)[1], 0x9800);
  assert.equal(pc.selector(DS), SEL.TEST);
});

test('an EIP beyond the new code segment is #GP(0) in the new task', () => {
  const pc = machine(0, { cs: SEL.TEST, eip: 0x10000 });
  pc.describe(SEL.TEST, segment(0, 0xffff, 0x9b, 0x4));
  pc.run(...jmpf(SEL.TSS2));
  pc.delivered(EXC.GP, 0);
  assert.equal(pc.stack(2)[1], 0x10000);
});

test('a task can run in ring 3 and in virtual-8086 mode', () => {
  const ring3 = machine(0, { cs: SEL.CODE3, ss: SEL.DATA3, ds: SEL.DATA3 });
  ring3.run(...jmpf(SEL.TSS2));
  assert.equal(ring3.cpl, 3);
  assert.equal(ring3.selector(SS), SEL.DATA3);
  const v86 = machine(0, { cs: 0x900, ss: 0x100, ds: 0x200, flags: FL.VM | 2, eip: 0x10 });
  v86.run(...jmpf(SEL.TSS2));
  assert.ok(v86.cpu.v86);
  assert.equal(v86.cpl, 3);
  assert.equal(v86.m32[W.BASE + CS], 0x9000);
  assert.equal(v86.m32[W.LIMIT + DS], 0xffff);
});

test('a task gate in the IDT switches tasks and pushes the error code on the new stack', () => {
  const pc = machine();
  pc.describeGate(EXC.GP, gate(SEL.TSS2, 0, 0x85));
  pc.m32[EAX] = 0x400;
  pc.run(0x8e, 0xd8);
  assert.equal(pc.eip, 0x9800);
  assert.equal(pc.esp, 0x8800 - 4);
  assert.deepEqual(pc.stack(1), [0x400]);
  assert.equal(pc.read32(AT.TSS2), SEL.TSS);
  assert.equal(pc.read32(AT.TSS + 0x20), AT.CODE);
});

test('a fault through a task gate leaves RF in the old task, so that IRET passes its instruction breakpoint; INT n does not', () => {
  const fault = machine();
  fault.describeGate(EXC.UD, gate(SEL.TSS2, 0, 0x85));
  fault.run(0x0f, 0x0b);
  assert.equal(fault.read32(AT.TSS + 0x24), 2 | FL.RF);
  fault.run(IRET);
  assert.equal(fault.eip, AT.CODE);
  assert.equal(fault.cpu.getFlags() & FL.RF, FL.RF);
  const software = machine();
  software.describeGate(0x40, gate(SEL.TSS2, 0, 0x85));
  software.run(0xcd, 0x40);
  assert.equal(software.read32(AT.TSS + 0x24), 2);
});

test('a task gate in the GDT leads to its TSS whatever the DPL of that', () => {
  const pc = machine(3);
  pc.describe(SEL.TEST, gate(SEL.TSS2, 0, 0xe5));
  pc.run(...callf(SEL.TEST));
  assert.equal(pc.selector(TR), SEL.TSS2);
  assert.equal(pc.eip, 0x9800);
  assert.equal(pc.cpl, 0);
});

test('the T bit of a TSS raises #DB before the first instruction of the task and says so in DR6', () => {
  const pc = machine(0, { trap: true });
  pc.run(...jmpf(SEL.TSS2));
  assert.equal(pc.eip, HANDLERS + 16);
  assert.equal(pc.stack(1)[0], 0x9800);
  assert.notEqual(pc.m32[W.DR + 6] & 0x8000, 0);
});

test('a switch to a 16-bit TSS loads words and leaves FS and GS null', () => {
  const pc = ProtectedMachine.fresh();
  pc.describe(SEL.TSS2, segment(AT.TSS2, 0x2b, 0x81, 0));
  [0x9900, 2, 1, 2, 3, 4, 0x8800, 6, 7, 8, SEL.DATA0, SEL.CODE0, SEL.DATA0, SEL.DATA0, 0].forEach((value, n) => {
    pc.write16(AT.TSS2 + 0x0e + 2 * n, value);
  });
  pc.run(...callf(SEL.TSS2));
  assert.equal(pc.eip, 0x9900);
  assert.equal(pc.m32[EAX] & 0xffff, 1);
  assert.equal(pc.m32[ESP] & 0xffff, 0x8800);
  assert.equal(pc.selector(4), 0);
  assert.equal(pc.accessByte(SEL.TSS2), 0x83);
});

test('IRET with NT whose link names no busy TSS raises #TS with the link', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.EFLAGS] |= FL.NT;
  pc.write32(AT.TSS, SEL.TSS2);
  pc.run(IRET);
  pc.delivered(EXC.TS, SEL.TSS2);
});
