// System instructions one at a time: privilege, control and debug registers, flags, ports, MSRs, SYSENTER, CPUID.

import assert from 'node:assert';
import { test } from 'node:test';
import { FEATURES } from '../../../src/i386/cpuid';
import { CR0, CR4, CS, EAX, EBX, ECX, EDI, EDX, ESI, ESP, EXC, FL, RAM_BASE, SS, TR, W } from '../../../src/i386/state';
import { AT, HANDLERS, ProtectedMachine, SEL } from '../protected-machine';

const CLI = 0xfa;
const STI = 0xfb;
const HLT = 0xf4;
const POPF = 0x9d;
const PUSHF = 0x9c;

test('every privileged instruction raises #GP(0) in rings 1 and 3', () => {
  const privileged = [
    [HLT],
    [0x0f, 0x06],
    [0x0f, 0x08],
    [0x0f, 0x09],
    [0x0f, 0x01, 0x13],
    [0x0f, 0x01, 0x1b],
    [0x0f, 0x01, 0x3b],
    [0x0f, 0x01, 0xf0],
    [0x0f, 0x00, 0xd0],
    [0x0f, 0x00, 0xd8],
    [0x0f, 0x20, 0xc0],
    [0x0f, 0x22, 0xc0],
    [0x0f, 0x22, 0xd8],
    [0x0f, 0x21, 0xf8],
    [0x0f, 0x23, 0xf8],
    [0x0f, 0x30],
    [0x0f, 0x32],
    [0x0f, 0x33],
    [0x0f, 0x35],
    [CLI],
    [STI],
    [0xe4, 0x60],
    [0xee],
  ];
  for (const cpl of [1, 3]) {
    for (const code of privileged) {
      const pc = ProtectedMachine.fresh(cpl);
      pc.m32[EBX] = 0x50000;
      pc.m32[W.SYSENTER_CS] = SEL.CODE0;
      pc.run(...code);
      assert.equal(pc.eip, HANDLERS + 16 * EXC.GP, `${code.map((b) => b.toString(16)).join(' ')} in ring ${cpl}`);
      assert.equal(pc.stack(1)[0], 0);
    }
  }
});

test('a control register that does not exist is #UD, also without privilege', () => {
  for (const n of [1, 5, 6, 7]) {
    const pc = ProtectedMachine.fresh(3);
    pc.run(0x0f, 0x22, 0xc0 | (n << 3));
    pc.delivered(EXC.UD);
  }
});

test('POPF changes IF only down to IOPL and IOPL only in ring 0, without a fault', () => {
  for (const [cpl, iopl, want] of [
    [0, 0, FL.IF | FL.IOPL],
    [1, 0, 0],
    [1, 1, FL.IF | 0x1000],
    [3, 3, FL.IF | FL.IOPL],
  ]) {
    const pc = ProtectedMachine.fresh(cpl);
    pc.m32[W.EFLAGS] |= iopl << 12;
    pc.write32(AT.STACK, FL.IF | FL.IOPL | FL.VM | FL.RF | FL.DF);
    pc.run(POPF);
    assert.equal(pc.cpu.getFlags(), want | FL.DF | 2, `ring ${cpl}, IOPL ${iopl}`);
  }
});

test('PUSHF shows neither VM nor RF', () => {
  const pc = ProtectedMachine.fresh();
  pc.v86(3);
  pc.run(0x66, PUSHF);
  assert.deepEqual(pc.stack(1), [FL.IOPL | 2]);
});

test('virtual-8086 mode lets PUSHF, POPF, CLI and STI through only with IOPL 3', () => {
  for (const code of [PUSHF, POPF, CLI, STI]) {
    const low = ProtectedMachine.fresh();
    low.v86(2);
    low.run(code);
    low.delivered(EXC.GP, 0);
    const high = ProtectedMachine.fresh();
    high.v86(3);
    high.run(code);
    assert.equal(high.eip, AT.CODE + 1);
  }
});

test('STI holds interrupts off for one instruction only when IF was clear', () => {
  const pc = ProtectedMachine.fresh();
  pc.run(STI);
  assert.equal(pc.m32[W.SHADOW], 1);
  pc.run(STI);
  assert.equal(pc.m32[W.SHADOW], 0);
});

test('CR0 refuses paging without protection and NW without CD, and keeps only bits that exist', () => {
  for (const value of [CR0.PG, CR0.PE | CR0.NW]) {
    const pc = ProtectedMachine.fresh();
    pc.m32[EAX] = value;
    pc.run(0x0f, 0x22, 0xc0);
    pc.delivered(EXC.GP, 0);
  }
  const pc = ProtectedMachine.fresh();
  pc.m32[EAX] = 0x7fffffff;
  pc.run(0x0f, 0x22, 0xc0);
  assert.equal(pc.m32[W.CR0], 0x6005003f);
});

test('setting CR0.WP takes effect on pages already written: the next supervisor write to a read-only page faults', () => {
  const pc = ProtectedMachine.fresh();
  pc.paging({ readOnly: [0x50000] });
  pc.m32[EBX] = 0x50000;
  pc.m32[EAX] = pc.m32[W.CR0] & ~CR0.WP;
  pc.run(0x0f, 0x22, 0xc0);
  pc.run(0x89, 0x03);
  assert.equal(pc.eip, AT.CODE + 5);
  pc.m32[EAX] |= CR0.WP;
  pc.run(0x0f, 0x22, 0xc0);
  pc.run(0x89, 0x03);
  pc.delivered(EXC.PF, 3);
});

test('a CR3 load forgets old translations, INVLPG forgets one', () => {
  const pc = ProtectedMachine.fresh();
  pc.paging();
  pc.m32[EBX] = 0x50000;
  pc.write32(0x50000, 5);
  pc.write32(0x60000, 6);
  pc.run(0x8b, 0x03);
  assert.equal(pc.m32[EAX], 5);
  pc.write32(0x101000 + 4 * 0x50, 0x60067);
  pc.run(0x8b, 0x03);
  assert.equal(pc.m32[EAX], 5, 'the old translation is still in the TLB');
  pc.run(0x0f, 0x01, 0x3b);
  pc.run(0x8b, 0x03);
  assert.equal(pc.m32[EAX], 6);
  pc.write32(0x101000 + 4 * 0x50, 0x50067);
  pc.m32[ECX] = pc.m32[W.CR3];
  pc.run(0x0f, 0x22, 0xd9);
  pc.run(0x8b, 0x03);
  assert.equal(pc.m32[EAX], 5);
});

test('a set reserved bit in the entry of a large page raises #PF with RSVD', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.paging();
  pc.m32[W.CR4] = CR4.PSE;
  for (const [entry, error] of [
    [0x87, -1],
    [0x1087, 0xd],
    [0x200085, 0xf],
    [0x80, 6],
  ]) {
    pc.ring(3);
    pc.m32[W.EIP] = AT.CODE;
    pc.m32[ESP] = AT.STACK;
    // Linear 4 MB is physical 0.
    pc.write32(0x100004, entry);
    pc.cpu.flushTlb();
    pc.m32[EBX] = 0x400000 + 0x50000;
    pc.run(...(error & 2 && error > 0 ? [0x89, 0x03] : [0x8b, 0x03]));
    if (error < 0) assert.equal(pc.eip, AT.CODE + 2);
    else pc.delivered(EXC.PF, error);
  }
});

test('bit 7 of a small page entry is reserved with CR4.PSE, as there is no PAT, and ignored without', () => {
  for (const [pse, flags, error] of [
    [0, 0x80, -1],
    [CR4.PSE, 0, -1],
    [CR4.PSE, 0x80, 0xd],
  ]) {
    const pc = ProtectedMachine.fresh(3);
    pc.paging();
    pc.m32[W.CR4] = pse;
    pc.write32(0x101000 + 4 * 0x50, 0x50067 | flags);
    pc.cpu.flushTlb();
    pc.m32[EBX] = 0x50000;
    pc.run(0x8b, 0x03);
    if (error < 0) assert.equal(pc.eip, AT.CODE + 2);
    else pc.delivered(EXC.PF, error);
  }
});

test('CR4 takes the bits of announced features and refuses the rest', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[EAX] = CR4.TSD | CR4.DE | CR4.PSE | CR4.PGE;
  pc.run(0x0f, 0x22, 0xe0);
  assert.equal(pc.m32[W.CR4], pc.m32[EAX]);
  pc.m32[EAX] = CR4.PAE;
  pc.run(0x0f, 0x22, 0xe0);
  pc.delivered(EXC.GP, 0);
});

test('LMSW sets PE but cannot clear it', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[EAX] = 0x8;
  pc.run(0x0f, 0x01, 0xf0);
  assert.equal(pc.m32[W.CR0], CR0.ET | CR0.PE | CR0.TS);
  pc.run(0x0f, 0x06);
  assert.equal(pc.m32[W.CR0], CR0.ET | CR0.PE);
});

test('SGDT stores what LGDT loaded; with a 16-bit operand the base has 24 bits', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[EBX] = 0x50000;
  pc.cpu.m8.set([0x34, 0x12, 0x78, 0x56, 0x34, 0x12], RAM_BASE + 0x50000);
  pc.run(0x0f, 0x01, 0x1b);
  assert.equal(pc.m32[W.IDT_BASE], 0x12345678);
  assert.equal(pc.m32[W.IDT_LIMIT], 0x1234);
  pc.run(0x66, 0x0f, 0x01, 0x1b);
  assert.equal(pc.m32[W.IDT_BASE], 0x345678);
  pc.m32[EBX] = 0x51000;
  pc.run(0x0f, 0x01, 0x03);
  assert.equal(pc.read16(0x51000), 0xff);
  assert.equal(pc.read16(0x51002), AT.GDT);
});

test('SLDT, STR and LAR exist only in protected mode', () => {
  for (const code of [
    [0x0f, 0x00, 0xc0],
    [0x0f, 0x00, 0xc8],
    [0x0f, 0x02, 0xc0],
    [0x63, 0xc0],
  ]) {
    const pc = ProtectedMachine.fresh();
    pc.v86(3);
    pc.run(...code);
    pc.delivered(EXC.UD);
  }
});

test('DR4 and DR5 are DR6 and DR7 until CR4.DE makes them #UD', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[EAX] = 0x401;
  pc.run(0x0f, 0x23, 0xe8);
  assert.equal(pc.m32[W.DR + 7], 0x401);
  pc.m32[W.DR + 7] = 0x400;
  pc.m32[W.CR4] = CR4.DE;
  pc.run(0x0f, 0x23, 0xe8);
  pc.delivered(EXC.UD);
});

test('an access to a debug register under DR7.GD raises #DB with BD in DR6 and the handler may access them', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.DR + 7] = 0x2400;
  pc.run(0x0f, 0x21, 0xc0);
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(1)[0], AT.CODE);
  assert.notEqual(pc.m32[W.DR + 6] & 0x2000, 0);
  assert.equal(pc.m32[W.DR + 7], 0x400);
});

test('a port needs CPL at most IOPL, or clear bits in the bitmap of the TSS for every byte of it', () => {
  const denied = ProtectedMachine.fresh(3);
  denied.m32[EDX] = 0x60;
  denied.run(0xec);
  denied.delivered(EXC.GP, 0);
  const iopl = ProtectedMachine.fresh(3);
  iopl.m32[W.EFLAGS] |= FL.IOPL;
  iopl.m32[EDX] = 0x1f0;
  iopl.run(0xed);
  assert.equal(iopl.m32[EAX], 0x12345678);
  assert.deepEqual(iopl.ports, [{ port: 0x1f0, size: 4 }]);
  const bitmap = (bits: number, limit: number): ProtectedMachine => {
    const pc = ProtectedMachine.fresh(3);
    pc.m32[W.LIMIT + TR] = limit;
    pc.write16(AT.TSS + 0x68 + (0x60 >> 3), bits);
    pc.m32[EDX] = 0x60;
    pc.m32[EAX] = 0xabcd;
    pc.run(0x66, 0xef);
    return pc;
  };
  assert.deepEqual(bitmap(0xfffc, 0x68 + 0xd).ports, [{ port: 0x60, size: 2, value: 0xabcd }]);
  bitmap(0xfffe, 0x68 + 0xd).delivered(EXC.GP, 0);
  bitmap(0, 0x68 + 0xc).delivered(EXC.GP, 0);
});

test('virtual-8086 mode asks the bitmap whatever the IOPL', () => {
  const pc = ProtectedMachine.fresh();
  pc.v86(3);
  pc.run(0xe4, 0x60);
  pc.delivered(EXC.GP, 0);
});

test('REP OUTS and INS move ECX elements; a fault in the middle leaves the registers at the element that faulted', () => {
  const out = ProtectedMachine.fresh();
  out.m32[ECX] = 3;
  out.m32[ESI] = 0x50000;
  out.m32[EDX] = 0x80;
  out.cpu.m8.set([1, 2, 3], RAM_BASE + 0x50000);
  out.run(0xf3, 0x6e);
  assert.deepEqual(
    out.ports.map(({ value }) => value),
    [1, 2, 3],
  );
  assert.equal(out.m32[ECX], 0);
  const into = ProtectedMachine.fresh();
  into.paging({ absent: [0x51000] });
  into.m32[ECX] = 3;
  into.m32[EDI] = 0x50ff8;
  into.m32[EDX] = 0x80;
  into.run(0xf3, 0x6d);
  into.delivered(EXC.PF, 2);
  assert.equal(into.m32[ECX], 1);
  assert.equal(into.m32[EDI], 0x51000);
  assert.equal(into.ports.length, 2, 'the port is not read for the element that cannot be stored');
});

test('an I/O breakpoint traps after the instruction when CR4.DE is set', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.CR4] = CR4.DE;
  pc.m32[W.DR] = 0x60;
  pc.m32[W.DR + 7] = 0x20402;
  pc.run(0xe4, 0x60);
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(1)[0], AT.CODE + 2);
  assert.equal(pc.m32[W.DR + 6] & 0xf, 1);
});

test('RDTSC reads the clock of the machine, CR4.TSD keeps it for ring 0', () => {
  const pc = ProtectedMachine.fresh(3);
  const own = pc.cpu.tsc;
  pc.cpu.tsc = () => 0x123_4567_89ab;
  pc.run(0x0f, 0x31);
  pc.cpu.tsc = own;
  assert.deepEqual([pc.m32[EDX], pc.m32[EAX]], [0x123, 0x456789ab]);
  pc.m32[W.CR4] = CR4.TSD;
  pc.run(0x0f, 0x31);
  pc.delivered(EXC.GP, 0);
});

test('the time-stamp counter counts every instruction of a block, and WRMSR sets it', () => {
  const pc = ProtectedMachine.fresh();
  pc.proc.retired = 0;
  pc.code(0x90, 0x90, 0x0f, 0x31);
  pc.proc.run(3);
  assert.equal(pc.m32[EAX], 2);
  pc.m32[ECX] = 0x10;
  pc.m32[EAX] = 1000;
  pc.run(0x0f, 0x30);
  pc.run(0x0f, 0x31);
  assert.equal(pc.m32[EAX], 1001);
  pc.cpu.f64[39] = 0;
});

test('MSRs that do not exist raise #GP(0)', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[ECX] = 0x12345;
  pc.run(0x0f, 0x32);
  pc.delivered(EXC.GP, 0);
});

test('SYSENTER enters ring 0 at the addresses of its MSRs, SYSEXIT returns to ring 3', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.m32[W.SYSENTER_CS] = SEL.CODE0;
  pc.m32[W.SYSENTER_ESP] = 0x8800;
  pc.m32[W.SYSENTER_EIP] = 0x9400;
  pc.m32[W.EFLAGS] |= FL.IF;
  pc.run(0x0f, 0x34);
  assert.deepEqual([pc.eip, pc.esp, pc.cpl, pc.selector(CS), pc.selector(SS)], [0x9400, 0x8800, 0, SEL.CODE0, SEL.DATA0]);
  assert.equal(pc.cpu.getFlags() & FL.IF, 0);
  pc.m32[ECX] = 0x8700;
  pc.m32[EDX] = 0x9300;
  pc.run(0x0f, 0x35);
  assert.deepEqual([pc.eip, pc.esp, pc.cpl, pc.selector(CS), pc.selector(SS)], [0x9300, 0x8700, 3, SEL.CODE0 + 16 + 3, SEL.CODE0 + 24 + 3]);
});

test('SYSENTER raises #GP(0) while its code selector is null', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.run(0x0f, 0x34);
  pc.delivered(EXC.GP, 0);
  assert.equal(pc.m32[ESP], AT.STACK0 - 24);
});

test('HLT stops the processor after itself, and an interrupt goes on from there', () => {
  const pc = ProtectedMachine.fresh();
  pc.code(HLT);
  assert.equal(pc.proc.run(10).kind, 'halt');
  assert.equal(pc.eip, AT.CODE + 1);
  pc.proc.interrupt(0x40);
  pc.delivered(0x40);
  assert.equal(pc.stack(1)[0], AT.CODE + 1);
});

test('CPUID names the vendor, announces the features and repeats its last leaf beyond it', () => {
  const pc = ProtectedMachine.fresh(3);
  pc.run(0x0f, 0xa2);
  const text = [EBX, EDX, ECX].map((n) => Buffer.from(new Int32Array([pc.m32[n]]).buffer).toString('latin1')).join('');
  assert.equal(text, 'GenuineIntel');
  const last = pc.m32[EAX];
  pc.m32[EAX] = 1;
  pc.run(0x0f, 0xa2);
  assert.equal(pc.m32[EDX], FEATURES);
  pc.m32[EAX] = last;
  pc.run(0x0f, 0xa2);
  const answer = pc.m32[EAX];
  pc.m32[EAX] = 0x80000000 | 0;
  pc.run(0x0f, 0xa2);
  assert.equal(pc.m32[EAX], answer);
});
