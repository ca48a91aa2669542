// Debug exceptions: what the single-step flag, the breakpoint registers and loads of SS do around each other, and the RF flag that frames hold.

import assert from 'node:assert';
import { test } from 'node:test';
import { DS, EAX, EBX, ECX, EDI, ESI, ESP, EXC, FL, RAM_BASE, SS, Shadow, TR, W } from '../../src/i386/state';
import { AT, dword, gate, HANDLERS, ProtectedMachine, SEL, segment, word } from './protected-machine';

const NOP = 0x90;
const STI = 0xfb;
const HLT = 0xf4;
const INT_40 = [0xcd, 0x40];
const MOV_SS_EAX = [0x8e, 0xd0];
const WATCHED = 0x50000;
/** DR7: breakpoint 0 on, execution. */
const EXECUTE_0 = 0x401;
/** DR7: breakpoint 0 on, four bytes, reads and writes. */
const DATA_0 = 0x401 | 0xf0000;
/** DR7: breakpoint 0 on, four bytes, writes. */
const WRITE_0 = 0x401 | 0xd0000;
const BS = 0x4000;

const stepping = (): ProtectedMachine => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.EFLAGS] |= FL.TF;
  return pc;
};
const watching = (dr7: number, at = WATCHED): ProtectedMachine => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.DR] = at;
  pc.m32[W.DR + 7] = dr7;
  pc.cpu.updateMode();
  return pc;
};
const dr6 = (pc: ProtectedMachine): number => pc.m32[W.DR + 6] & 0xe00f;

test('the trap of TF comes after the instruction, with BS in DR6 and RF clear in the frame', () => {
  const pc = stepping();
  pc.run(NOP);
  pc.delivered(EXC.DB);
  assert.deepEqual(pc.stack(3), [AT.CODE + 1, SEL.CODE0, 2 | FL.TF]);
  assert.equal(dr6(pc), BS);
  assert.equal(pc.cpu.getFlags() & FL.TF, 0);
});

test('POPF and IRET that set TF trap after the next instruction, POPF that clears it still traps', () => {
  const set = ProtectedMachine.fresh();
  set.m32[ESP] -= 4;
  set.write32(AT.STACK - 4, 2 | FL.TF);
  set.run(0x9d);
  assert.equal(set.eip, AT.CODE + 1);
  set.run(NOP);
  set.delivered(EXC.DB);
  assert.equal(set.stack(1)[0], AT.CODE + 2);
  const back = ProtectedMachine.fresh();
  back.m32[ESP] -= 12;
  [AT.CODE + 0x10, SEL.CODE0, 2 | FL.TF].forEach((value, n) => {
    back.write32(AT.STACK - 12 + 4 * n, value);
  });
  back.run(0xcf);
  assert.equal(back.eip, AT.CODE + 0x10);
  back.run(NOP);
  back.delivered(EXC.DB);
  const cleared = stepping();
  cleared.m32[ESP] -= 4;
  cleared.write32(AT.STACK - 4, 2);
  cleared.run(0x9d);
  cleared.delivered(EXC.DB);
  assert.equal(cleared.stack(3)[2], 2);
});

test('STI under TF traps at once: it holds off external interrupts only', () => {
  const pc = stepping();
  pc.run(STI);
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(1)[0], AT.CODE + 1);
});

test('an instruction breakpoint after STI stops, one after a load of SS does not', () => {
  const sti = watching(EXECUTE_0, AT.CODE + 1);
  sti.run(STI);
  sti.run(NOP);
  sti.delivered(EXC.DB);
  const ss = watching(EXECUTE_0, AT.CODE + 2);
  ss.m32[EAX] = SEL.DATA0;
  ss.run(...MOV_SS_EAX);
  ss.run(NOP);
  assert.equal(ss.eip, AT.CODE + 3);
});

test('MOV SS and POP SS hold the single-step trap off for one instruction, LSS does not', () => {
  const mov = stepping();
  mov.m32[EAX] = SEL.DATA0;
  mov.run(...MOV_SS_EAX);
  assert.equal(mov.eip, AT.CODE + 2);
  assert.equal(mov.m32[W.SHADOW], Shadow.ALL);
  mov.run(NOP);
  mov.delivered(EXC.DB);
  assert.equal(mov.stack(1)[0], AT.CODE + 3);
  const lss = stepping();
  lss.write32(WATCHED, AT.STACK);
  lss.write32(WATCHED + 4, SEL.DATA0);
  lss.m32[EBX] = WATCHED;
  lss.run(0x0f, 0xb2, 0x23);
  lss.delivered(EXC.DB);
});

test('a data breakpoint hit by MOV SS is reported after the next instruction', () => {
  const pc = watching(DATA_0);
  pc.write32(WATCHED, SEL.DATA0);
  pc.m32[EBX] = WATCHED;
  pc.run(0x8e, 0x13);
  assert.equal(pc.eip, AT.CODE + 2);
  assert.equal(dr6(pc), 0);
  pc.run(NOP);
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(1)[0], AT.CODE + 3);
  assert.equal(dr6(pc), 1);
});

test('INT n, INT3, INTO and ICEBP under TF enter their handlers without a trap, and the frame keeps TF', () => {
  for (const [code, vector] of [
    [INT_40, 0x40],
    [[0xcc], EXC.BP],
    [[0xce], EXC.OF],
    [[0xf1], EXC.DB],
  ] as const) {
    const pc = stepping();
    pc.cpu.setStatus(FL.OF);
    pc.run(...code);
    pc.delivered(vector);
    assert.equal(pc.esp, AT.STACK - 12);
    assert.deepEqual(pc.stack(3), [AT.CODE + code.length, SEL.CODE0, 2 | FL.TF | FL.OF]);
  }
});

test('INTO that does not trap and a far jump are stepped like any instruction', () => {
  for (const code of [[0xce], [0xea, ...dword(AT.CODE + 0x20), ...word(SEL.CODE0)]]) {
    const pc = stepping();
    pc.run(...code);
    pc.delivered(EXC.DB);
    assert.equal(pc.esp, AT.STACK - 12);
  }
});

test('a task switch under TF leaves the single-step trap behind', () => {
  const pc = stepping();
  pc.write32(AT.TSS2 + 0x1c, 0);
  pc.write32(AT.TSS2 + 0x20, 0x9800);
  pc.write32(AT.TSS2 + 0x24, 2);
  for (let n = 0; n < 6; n++) pc.write32(AT.TSS2 + 0x48 + 4 * n, n === 1 ? SEL.CODE0 : SEL.DATA0);
  pc.run(0xea, ...dword(0), ...word(SEL.TSS2));
  assert.equal(pc.selector(TR), SEL.TSS2);
  assert.equal(pc.eip, 0x9800);
});

test('HLT under TF traps instead of waiting', () => {
  const pc = stepping();
  pc.run(HLT);
  pc.delivered(EXC.DB);
  assert.equal(pc.m32[W.HALTED], 0);
  assert.equal(pc.stack(1)[0], AT.CODE + 1);
});

test('a fault wins over the single-step trap of its instruction', () => {
  const pc = stepping();
  pc.run(0x0f, 0x0b);
  pc.delivered(EXC.UD);
  assert.deepEqual(pc.stack(3), [AT.CODE, SEL.CODE0, 2 | FL.TF | FL.RF]);
});

test('an instruction breakpoint is a fault before the instruction, wins over #PF of its operand, and pushes RF clear', () => {
  const pc = watching(EXECUTE_0, AT.CODE);
  pc.paging({ absent: [WATCHED] });
  pc.m32[EBX] = WATCHED;
  pc.run(0x8b, 0x03);
  pc.delivered(EXC.DB);
  assert.equal(dr6(pc), 1);
  assert.deepEqual(pc.stack(3), [AT.CODE, SEL.CODE0, 2]);
});

test('RF set by IRETD passes the breakpoint once', () => {
  const pc = watching(EXECUTE_0, AT.CODE + 0x10);
  pc.m32[ESP] -= 12;
  [AT.CODE + 0x10, SEL.CODE0, 2 | FL.RF].forEach((value, n) => {
    pc.write32(AT.STACK - 12 + 4 * n, value);
  });
  pc.run(0xcf);
  pc.run(NOP);
  assert.equal(pc.eip, AT.CODE + 0x11);
  assert.equal(pc.cpu.getFlags() & FL.RF, 0);
  pc.m32[W.EIP] = AT.CODE + 0x10;
  pc.run(NOP);
  pc.delivered(EXC.DB);
});

test('a debug-register access under DR7.GD pushes RF: it is a fault that is no instruction breakpoint', () => {
  const pc = ProtectedMachine.fresh();
  pc.m32[W.DR + 7] = 0x2400;
  pc.run(0x0f, 0x21, 0xc0);
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(3)[2], 2 | FL.RF);
});

test('data breakpoints trap after the instruction: writes for kind 1, reads too for kind 3, by overlap of the bytes', () => {
  const cases: [dr7: number, code: number[], hit: boolean][] = [
    [WRITE_0, [0x89, 0x03], true],
    [WRITE_0, [0x8b, 0x03], false],
    [DATA_0, [0x8b, 0x03], true],
    [DATA_0, [0x8a, 0x43, 3], true],
    [DATA_0, [0x8a, 0x43, 4], false],
    [DATA_0, [0x8b, 0x43, 0xfd], true],
    [DATA_0, [0x8b, 0x43, 0xfc], false],
    [WRITE_0, [0x01, 0x03], true],
  ];
  for (const [dr7, code, hit] of cases) {
    const pc = watching(dr7);
    pc.m32[EBX] = WATCHED;
    pc.run(...code);
    assert.equal(dr6(pc), hit ? 1 : 0, code.join());
    if (hit) pc.delivered(EXC.DB);
    assert.equal(hit ? pc.stack(1)[0] : pc.eip, AT.CODE + code.length);
  }
});

test('pushes of near and far calls hit data breakpoints', () => {
  for (const code of [
    [0xe8, 0, 0, 0, 0],
    [0x9a, ...dword(AT.CODE + 7), ...word(SEL.CODE0)],
  ]) {
    const pc = watching(WRITE_0, AT.STACK - 4);
    pc.run(...code);
    pc.delivered(EXC.DB);
    assert.equal(dr6(pc), 1);
  }
});

test('the frame of an INT n, a fault or an interrupt that hits a data breakpoint traps before the first instruction of its handler', () => {
  const ways: [vector: number, enter: (pc: ProtectedMachine) => void][] = [
    [0x40, (pc) => pc.run(...INT_40)],
    [
      EXC.UD,
      (pc) => {
        pc.run(0x0f, 0x0b);
        pc.proc.step();
      },
    ],
    [
      0x21,
      (pc) => {
        pc.proc.interrupt(0x21);
        pc.proc.step();
      },
    ],
  ];
  for (const [vector, enter] of ways) {
    const pc = watching(WRITE_0, AT.STACK - 8);
    enter(pc);
    pc.delivered(EXC.DB);
    assert.equal(dr6(pc), 1);
    assert.equal(pc.esp, AT.STACK - 24);
    assert.equal(pc.stack(1)[0], HANDLERS + 16 * vector);
  }
});

test('a frame on the inner stack, and a call gate frame there, hit data breakpoints too', () => {
  const interrupted = watching(WRITE_0, AT.STACK0 - 20);
  interrupted.ring(3);
  interrupted.proc.interrupt(0x21);
  interrupted.proc.step();
  interrupted.delivered(EXC.DB);
  assert.equal(interrupted.esp, AT.STACK0 - 32);
  assert.equal(interrupted.stack(1)[0], HANDLERS + 16 * 0x21);
  const called = watching(WRITE_0, AT.STACK0 - 16);
  called.ring(3);
  called.describe(SEL.TSS2, gate(SEL.CODE0, HANDLERS, 0xec));
  called.run(0x9a, ...dword(0), ...word(SEL.TSS2 | 3));
  called.delivered(EXC.DB);
  assert.equal(called.stack(1)[0], HANDLERS);
});

test('a frame in real mode hits a data breakpoint', () => {
  const pc = watching(WRITE_0, AT.STACK - 4);
  pc.real();
  pc.write32(4 * 0x21, 0x1234);
  pc.write32(4 * EXC.DB, 0x4321);
  pc.proc.interrupt(0x21);
  assert.equal(pc.eip, 0x1234);
  pc.proc.step();
  assert.equal(pc.eip, 0x4321);
  assert.equal(pc.read16(AT.STACK - 12), 0x1234);
});

test('a debug frame that hits a data breakpoint itself traps again, below it', () => {
  const pc = watching(WRITE_0 | 0xd00004, AT.STACK - 12);
  pc.m32[W.DR + 1] = AT.STACK - 16;
  pc.proc.interrupt(0x21);
  pc.proc.step();
  assert.equal(pc.stack(1)[0], HANDLERS + 16 * 0x21);
  pc.proc.step();
  assert.equal(pc.stack(1)[0], HANDLERS + 16 * EXC.DB);
  assert.equal(pc.esp, AT.STACK - 36);
  pc.code(NOP);
  pc.proc.step();
  assert.equal(pc.eip, HANDLERS + 16 * EXC.DB + 1);
});

test('what a faulting instruction hit before its fault is forgotten, and an interrupt waits behind the trap of a frame', () => {
  const movs = watching(DATA_0);
  movs.paging({ absent: [WATCHED + 0x2000] });
  movs.m32[ESI] = WATCHED;
  movs.m32[EDI] = WATCHED + 0x2000;
  movs.run(0xa5);
  movs.delivered(EXC.PF);
  movs.code(NOP);
  movs.proc.step();
  assert.equal(movs.eip, HANDLERS + 16 * EXC.PF + 1);
  const pc = watching(WRITE_0, AT.STACK - 4);
  pc.describeGate(0x21, gate(SEL.CODE0, HANDLERS + 16 * 0x21, 0x8f));
  pc.m32[W.EFLAGS] |= FL.IF;
  pc.proc.interrupt(0x21);
  pc.cpu.intr = true;
  const exit = pc.proc.step();
  pc.cpu.intr = false;
  assert.equal(exit.kind, 'budget');
  pc.delivered(EXC.DB);
});

test('a debug trap that was intercepted is still delivered where it came up, and only once', () => {
  const pc = stepping();
  pc.cpu.intercept[EXC.DB] = 1;
  assert.deepEqual(pc.run(NOP), { kind: 'intercept', vector: EXC.DB, errorCode: 0, software: false });
  assert.equal(pc.eip, AT.CODE + 1);
  pc.proc.passIntercept();
  pc.proc.step();
  pc.delivered(EXC.DB);
  assert.equal(pc.stack(1)[0], AT.CODE + 1);
  assert.equal(dr6(pc), BS);
  pc.code(NOP);
  pc.proc.step();
  assert.equal(pc.eip, HANDLERS + 16 * EXC.DB + 1);
});

test('a fault of the new task, and the trap of its T bit, that were intercepted are still delivered in it', () => {
  for (const [vector, trap, data] of [
    [EXC.DB, 1, SEL.DATA0],
    [EXC.TS, 0, SEL.CODE0 + 0x1000],
  ]) {
    const pc = ProtectedMachine.fresh();
    pc.write32(AT.TSS2 + 0x1c, 0);
    pc.write32(AT.TSS2 + 0x20, 0x9800);
    pc.write32(AT.TSS2 + 0x24, 2);
    pc.write32(AT.TSS2 + 0x28 + 4 * ESP, 0x8800);
    for (let n = 0; n < 6; n++) pc.write32(AT.TSS2 + 0x48 + 4 * n, n === 1 ? SEL.CODE0 : n === 3 ? data : SEL.DATA0);
    pc.write32(AT.TSS2 + 0x64, 0x680000 | trap);
    pc.cpu.intercept[vector] = 1;
    assert.equal(pc.run(0xea, ...dword(0), ...word(SEL.TSS2)).kind, 'intercept');
    pc.proc.passIntercept();
    pc.proc.step();
    pc.delivered(vector, vector === EXC.TS ? data & 0xfffc : undefined);
    assert.equal(pc.stack(2).includes(0x9800), true);
  }
});

test('one trap reports a data breakpoint and the single step together', () => {
  const pc = watching(WRITE_0);
  pc.m32[W.EFLAGS] |= FL.TF;
  pc.m32[EBX] = WATCHED;
  pc.run(0x89, 0x03);
  pc.delivered(EXC.DB);
  assert.equal(dr6(pc), BS | 1);
  assert.equal(pc.esp, AT.STACK - 12);
});

test('a REP stops at the element that hits a data breakpoint, with RF in the frame because it is not finished', () => {
  const pc = watching(WRITE_0, WATCHED + 8);
  pc.m32[EDI] = WATCHED;
  pc.m32[ECX] = 4;
  pc.code(0xf3, 0xab);
  for (let n = 0; n < 3; n++) pc.proc.step();
  pc.delivered(EXC.DB);
  assert.equal(pc.m32[ECX], 1);
  assert.deepEqual(pc.stack(3), [AT.CODE, SEL.CODE0, 2 | FL.RF]);
});

test('an instruction breakpoint on a REP fires once, also when every element is stepped', () => {
  const pc = watching(EXECUTE_0, AT.CODE);
  pc.describeGate(EXC.DB, gate(SEL.CODE0, HANDLERS, 0x8e));
  // Handler: counts in EAX and returns with RF as the frame has it, set by hand for the breakpoint itself.
  pc.cpu.m8.set([0x40, 0x81, 0x4c, 0x24, 0x08, ...dword(FL.RF), 0xcf], RAM_BASE + HANDLERS);
  pc.m32[W.EFLAGS] |= FL.TF;
  pc.m32[ESI] = WATCHED;
  pc.m32[EDI] = WATCHED + 0x100;
  pc.m32[ECX] = 3;
  pc.code(0xf3, 0xa4, HLT);
  pc.proc.addBreakpoint(AT.CODE + 3);
  const exit = pc.proc.run(100);
  pc.proc.removeBreakpoint(AT.CODE + 3);
  assert.equal(exit.kind, 'breakpoint');
  // One breakpoint, one trap an element, and HLT's.
  assert.equal(pc.m32[EAX], 5);
  assert.equal(pc.m32[ECX], 0);
});

test('an external interrupt in the middle of a long REP pushes RF, so that the breakpoint on it does not fire again', () => {
  const pc = watching(EXECUTE_0, AT.CODE);
  pc.m32[W.EFLAGS] |= FL.RF | FL.IF;
  pc.m32[EDI] = 0x80000;
  pc.m32[ECX] = 70000;
  pc.code(0xf3, 0xaa);
  pc.proc.step();
  assert.notEqual(pc.m32[ECX], 0);
  assert.equal(pc.eip, AT.CODE);
  pc.proc.interrupt(0x40);
  assert.equal(pc.stack(3)[2], 2 | FL.RF | FL.IF);
});

test('bits of DR6 and DR7 that do not exist keep their fixed values', () => {
  const pc = ProtectedMachine.fresh();
  for (const [n, value, reads] of [
    [6, 0, 0xffff0ff0],
    [6, -1, 0xffffefff],
    [7, 0, 0x400],
    [7, 0xffffdfff | 0, 0xffff07ff],
  ]) {
    pc.m32[W.EIP] = AT.CODE;
    pc.m32[W.DR + 7] = 0x400;
    pc.m32[EAX] = value;
    pc.run(0x0f, 0x23, 0xc0 | (n << 3));
    assert.equal(pc.m32[W.DR + n] >>> 0, reads, `DR${n} = ${value}`);
  }
});

test('the T bit of a TSS raises #DB with BT in the new task, before its first instruction', () => {
  const pc = ProtectedMachine.fresh();
  pc.describe(SEL.TEST, segment(0, 0xfffff, 0x93));
  pc.write32(AT.TSS2 + 0x20, 0x9800);
  pc.write32(AT.TSS2 + 0x24, 2);
  pc.write32(AT.TSS2 + 0x38, 0x8800);
  for (let n = 0; n < 6; n++) pc.write32(AT.TSS2 + 0x48 + 4 * n, n === 1 ? SEL.CODE0 : SEL.DATA0);
  pc.write16(AT.TSS2 + 0x64, 1);
  pc.run(0xea, ...dword(0), ...word(SEL.TSS2));
  pc.delivered(EXC.DB);
  assert.equal(dr6(pc), 0x8000);
  assert.equal(pc.stack(1)[0], 0x9800);
  assert.equal(pc.selector(SS), SEL.DATA0);
  assert.equal(pc.selector(DS), SEL.DATA0);
});
