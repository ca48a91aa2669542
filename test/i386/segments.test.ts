// Segment loads and questions about selectors: what is checked, which fault comes, what is written into the table.

import assert from 'node:assert';
import { test } from 'node:test';
import { DS, EAX, EBX, ECX, EXC, FL, FS, LDTR, SS, Shadow, TR, W } from '../../src/i386/state';
import { AT, ProtectedMachine, SEL, segment } from './protected-machine';

const MOV_DS_AX = [0x8e, 0xd8];
const MOV_SS_AX = [0x8e, 0xd0];
const MOV_FS_AX = [0x8e, 0xe0];

/** A machine in ring `cpl` whose AX holds `selector`. */
const holding = (selector: number, cpl = 0): ProtectedMachine => {
  const pc = ProtectedMachine.fresh(cpl);
  pc.m32[EAX] = selector;
  return pc;
};

test('a data segment load fills base, limit and rights from the descriptor and sets its accessed bit', () => {
  const pc = holding(SEL.TEST);
  pc.describe(SEL.TEST, segment(0x12345678, 0x4567, 0x92, 0x4));
  pc.run(...MOV_DS_AX);
  assert.equal(pc.selector(DS), SEL.TEST);
  assert.equal(pc.m32[W.BASE + DS], 0x12345678);
  assert.equal(pc.m32[W.LIMIT + DS], 0x4567);
  assert.equal(pc.m32[W.ACCESS + DS], 0x4093);
  assert.equal(pc.accessByte(SEL.TEST), 0x93);
});

test('page granularity makes the limit count in 4096-byte units with the low bits set', () => {
  const pc = holding(SEL.TEST);
  pc.describe(SEL.TEST, segment(0, 2, 0x93, 0xc));
  pc.run(...MOV_DS_AX);
  assert.equal(pc.m32[W.LIMIT + DS], 0x2fff);
});

test('setting an accessed bit in a read-only page raises a supervisor write fault under CR0.WP, even from ring 1, and loads nothing', () => {
  const pc = holding(SEL.TEST, 1);
  pc.describe(SEL.TEST, segment(0, 0xfffff, 0xf2));
  pc.paging({ readOnly: [AT.GDT] });
  pc.run(...MOV_DS_AX);
  pc.delivered(EXC.PF, 3);
  assert.equal(pc.m32[W.CR2] >>> 3, (AT.GDT + SEL.TEST) >>> 3);
  assert.equal(pc.selector(DS), SEL.DATA1);
  assert.equal(pc.accessByte(SEL.TEST), 0xf2);
});

test('a set accessed bit is not written again: loads from a read-only GDT work', () => {
  const pc = holding(SEL.TEST, 1);
  pc.describe(SEL.TEST, segment(0, 0xfffff, 0xf3));
  pc.paging({ readOnly: [AT.GDT] });
  pc.run(...MOV_DS_AX);
  assert.equal(pc.selector(DS), SEL.TEST);
});

test('a null selector loads into DS and any access through it then raises #GP(0)', () => {
  const pc = holding(3);
  pc.run(...MOV_DS_AX);
  assert.equal(pc.selector(DS), 3);
  pc.run(0x8b, 0x03);
  pc.delivered(EXC.GP, 0);
});

test('a null selector for SS raises #GP(0)', () => {
  const pc = holding(0);
  pc.run(...MOV_SS_AX);
  pc.delivered(EXC.GP, 0);
});

test('data segments need DPL of at least CPL and RPL; conforming code may be read by everybody', () => {
  for (const [selector, access, cpl, fault] of [
    [SEL.TEST, 0x93, 3, EXC.GP],
    [SEL.TEST | 3, 0x93, 0, EXC.GP],
    [SEL.TEST | 3, 0xf3, 3, -1],
    [SEL.TEST | 3, 0x9f, 3, -1],
    [SEL.TEST | 3, 0x9b, 3, EXC.GP],
    [SEL.TEST, 0x99, 0, EXC.GP],
    [SEL.TEST, 0x82, 0, EXC.GP],
    [SEL.TEST, 0x13, 0, EXC.NP],
  ]) {
    const pc = holding(selector, cpl);
    pc.describe(SEL.TEST, segment(0, 0xfffff, access));
    pc.run(...MOV_FS_AX);
    if (fault < 0) assert.equal(pc.selector(FS), selector, `access ${access.toString(16)} from ring ${cpl}`);
    else pc.delivered(fault, SEL.TEST);
  }
});

test('SS needs writable data whose DPL and RPL equal CPL, and an absent stack is #SS', () => {
  for (const [selector, access, fault] of [
    [SEL.TEST, 0x93, -1],
    [SEL.TEST | 1, 0x93, EXC.GP],
    [SEL.TEST, 0xb3, EXC.GP],
    [SEL.TEST, 0x91, EXC.GP],
    [SEL.TEST, 0x9b, EXC.GP],
    [SEL.TEST, 0x13, EXC.SS],
  ]) {
    const pc = holding(selector);
    pc.describe(SEL.TEST, segment(0, 0xfffff, access));
    pc.run(...MOV_SS_AX);
    if (fault < 0) assert.equal(pc.selector(SS), selector);
    else pc.delivered(fault, SEL.TEST);
  }
});

test('a selector beyond its table raises #GP with the selector; with a null LDTR no LDT selector is within', () => {
  const pc = holding(0x107);
  pc.run(...MOV_DS_AX);
  pc.delivered(EXC.GP, 0x104);
  const beyond = holding(0x100);
  beyond.run(...MOV_DS_AX);
  beyond.delivered(EXC.GP, 0x100);
});

test('MOV SS holds interrupts and single-step traps off for one instruction', () => {
  const pc = holding(SEL.DATA0);
  pc.run(...MOV_SS_AX);
  assert.equal(pc.m32[W.SHADOW], Shadow.ALL);
  pc.run(0x90);
  assert.equal(pc.m32[W.SHADOW], 0);
});

test('POP SS moves the pointer by the width of the old stack', () => {
  const pc = ProtectedMachine.fresh();
  pc.describe(SEL.TEST, segment(0, 0xffff, 0x93, 0));
  pc.write32(AT.STACK, SEL.TEST);
  pc.run(0x17);
  assert.equal(pc.selector(SS), SEL.TEST);
  assert.equal(pc.m32[W.SS_BIG], 0);
  assert.equal(pc.esp, AT.STACK + 4);
});

test('a real-mode load keeps limit and width that protected mode left behind', () => {
  const pc = ProtectedMachine.fresh();
  pc.real();
  pc.m32[W.LIMIT + DS] = -1;
  pc.m32[EAX] = 0x1234;
  pc.run(...MOV_DS_AX);
  assert.equal(pc.m32[W.BASE + DS], 0x12340);
  assert.equal(pc.m32[W.LIMIT + DS], -1);
  pc.m32[EBX] = 0x100000;
  pc.write32(0x112340, 0x55);
  pc.run(0x67, 0x66, 0x8b, 0x03);
  assert.equal(pc.m32[EAX], 0x55);
});

test('LLDT takes an LDT descriptor, LTR marks its TSS busy, and a busy TSS cannot be loaded', () => {
  const pc = holding(SEL.LDT);
  pc.run(0x0f, 0x00, 0xd0);
  assert.equal(pc.m32[W.BASE + LDTR], AT.LDT);
  pc.m32[EAX] = SEL.TSS2;
  pc.run(0x0f, 0x00, 0xd8);
  assert.equal(pc.selector(TR), SEL.TSS2);
  assert.equal(pc.accessByte(SEL.TSS2), 0x8b);
  pc.run(0x0f, 0x00, 0xd8);
  pc.delivered(EXC.GP, SEL.TSS2);
});

test('LLDT and LTR do not exist in real mode and are privileged in protected mode', () => {
  const pc = holding(SEL.LDT, 3);
  pc.run(0x0f, 0x00, 0xd0);
  pc.delivered(EXC.GP, 0);
  const real = ProtectedMachine.fresh();
  real.real();
  real.write32(6 * 4, 0x1234);
  real.run(0x0f, 0x00, 0xd8);
  assert.equal(real.eip, 0x1234);
});

test('LAR gives the rights of descriptors the caller may use and says so in ZF', () => {
  const pc = holding(SEL.TEST, 1);
  // What lguest makes of a call gate, of an LDT and of an available TSS.
  for (const [access, visible] of [
    [0xac, 1],
    [0xad, 0],
    [0xa3, 1],
    [0xa5, 1],
    [0xa9, 1],
    [0xa6, 0],
    [0x8c, 0],
  ]) {
    pc.describe(SEL.TEST, [0, access << 8]);
    pc.m32[W.EIP] = AT.CODE;
    pc.m32[ECX] = -1;
    pc.m32[EAX] = SEL.TEST | 1;
    pc.run(0x0f, 0x02, 0xc8);
    assert.equal((pc.cpu.getFlags() & FL.ZF) !== 0, visible === 1, access.toString(16));
    assert.equal(pc.m32[ECX], visible ? access << 8 : -1);
  }
});

test('LSL gives the limit in bytes, VERR and VERW answer for reading and writing', () => {
  const pc = holding(SEL.TEST);
  pc.describe(SEL.TEST, segment(0, 0x12, 0x91, 0xc));
  pc.run(0x0f, 0x03, 0xc8);
  assert.equal(pc.m32[ECX], 0x12fff);
  pc.run(0x0f, 0x00, 0xe0);
  assert.notEqual(pc.cpu.getFlags() & FL.ZF, 0);
  pc.run(0x0f, 0x00, 0xe8);
  assert.equal(pc.cpu.getFlags() & FL.ZF, 0);
});

test('ARPL raises the RPL to that of the other selector and leaves a read-only page alone when nothing rises', () => {
  const pc = holding(0x51);
  pc.m32[ECX] = 0x13;
  pc.run(0x63, 0xc8);
  assert.equal(pc.m32[EAX], 0x53);
  assert.notEqual(pc.cpu.getFlags() & FL.ZF, 0);
  pc.paging({ readOnly: [0x50000] });
  pc.write16(0x50000, 0x53);
  pc.m32[EAX] = 0x50000;
  pc.run(0x63, 0x08);
  assert.equal(pc.cpu.getFlags() & FL.ZF, 0);
  pc.write16(0x50000, 0x50);
  pc.run(0x63, 0x08);
  pc.delivered(EXC.PF, 3);
});

test('LES reads offset and selector before anything changes, also when the selector is bad', () => {
  const pc = ProtectedMachine.fresh();
  pc.write32(0x50000, 0x1111);
  pc.write16(0x50004, 0x200);
  pc.m32[EBX] = 0x50000;
  pc.m32[ECX] = 7;
  pc.run(0xc5, 0x0b);
  pc.delivered(EXC.GP, 0x200);
  assert.equal(pc.m32[ECX], 7);
  assert.equal(pc.esp, AT.STACK - 16);
});
