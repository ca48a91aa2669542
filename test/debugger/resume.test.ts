// Steps over traps whose handlers go on elsewhere: a Guest in machine code that rewrites the address on its stack, as a kernel's exception tables do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Programs } from '../../src/debugger/programs';
import { Debugger, type StopInfo } from '../../src/debugger/session';
import { BareTarget, GuestTarget, type Target } from '../../src/debugger/target';
import { Machine } from '../../src/launcher/machine';
import { LD, LHCALL } from '../../src/lguest/abi';
import { boot, CLI_HLT, ENTRY, interruptTable, word32 } from '../launcher/bare-kernel';
import { CODE, Code, DATA, KERNEL_DS, KSTACK, STACK } from '../lguest/bench';
import { stopAfter } from './stand';

const TROUBLE = CODE + 0x400;
const FIXED = CODE + 0x500;
const HANDLER = CODE + 0x600;
const INNER = CODE + 0x700;
const UNMAPPED = 0x7000_0000;

/** An ELF file with one segment, all of which is this code. */
const elf = (code: readonly Code[]): Uint8Array => {
  const bytes = new Uint8Array(0x2000);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  for (const [at, value] of [
    [16, 2],
    [18, 3],
    [42, 32],
    [44, 1],
  ])
    view.setUint16(at, value, true);
  for (const [at, value] of [
    [24, CODE],
    [28, 52],
    [52, 1],
    [56, 0x1000],
    [60, CODE],
    [64, CODE],
    [68, 0x1000],
    [72, 0x1000],
  ])
    view.setUint32(at, value, true);
  for (const part of code) bytes.set(part.bytes, 0x1000 + part.at - CODE);
  return bytes;
};

/** movl $address, offset(%esp) */
const sendTo = (c: Code, address: number, offset: number): Code => c.raw(0xc7, 0x44, 0x24, offset).dword(address);
const gate = (c: Code, vector: number, handler: number, type: 0xe | 0xf): Code =>
  c.hcall(LHCALL.LOAD_IDT_ENTRY, vector, (0x60 << 16) | (handler & 0xffff), (handler & 0xffff0000) | 0xe000 | (type << 8));

/** A Guest that comes to TROUBLE, whose trap `vector` is given to `handler`; UD2 inside of it goes to a handler that passes it over. */
const guestAt = async (
  vector: number,
  type: 0xe | 0xf,
  trouble: (c: Code) => void,
  handler: (c: Code) => void,
  jit: boolean,
  more: Code[] = [],
): Promise<{ d: Debugger; target: Target }> => {
  const start = new Code(CODE)
    .esp(STACK)
    .put(DATA + LD.syscallVec, 0x80)
    .put(DATA + LD.kernelAddress, 0xc000_0000)
    .mov(0, -1)
    .raw(0xbf)
    .dword(DATA + LD.hcallStatus)
    .mov(1, 64)
    .raw(0xfc, 0xf3, 0xaa)
    .hcall(LHCALL.LGUEST_INIT, DATA)
    .hcall(LHCALL.SET_STACK, KERNEL_DS, KSTACK, 1);
  gate(gate(start, 6, INNER, 0xf), vector, HANDLER, type);
  start.raw(0xe9).dword(TROUBLE - (start.here + 4));
  const at = new Code(TROUBLE);
  trouble(at);
  at.raw(0xeb, 0xfe);
  const handling = new Code(HANDLER);
  handler(handling);
  const fixed = new Code(FIXED).raw(0x40, 0xeb, 0xfe); // inc %eax
  const inner = new Code(INNER).raw(0x83, 0x04, 0x24, 2, 0xcf); // addl $2, (%esp); iret
  const kernel = elf([start, at, handling, fixed, inner, ...more]);
  const target = new GuestTarget(new Machine({ kernel, memoryBytes: 4 << 20, jit, jitThreshold: 1 }));
  const d = new Debugger(target, new Programs([]));
  await stopAfter(d, () => d.runTo([TROUBLE], 'entry', 'at the trouble'));
  assert.equal(target.pc, TROUBLE);
  return { d, target };
};
const over = (d: Debugger): Promise<StopInfo> => stopAfter(d, () => d.step('over', 'instruction'));

for (const jit of [false, true]) {
  const on = jit ? 'translated' : 'interpreted';

  test(`a step over a fault ends where the handler's IRET goes, whatever the frame said at first (${on})`, async () => {
    const { d, target } = await guestAt(
      14,
      0xe,
      (c) => c.load(UNMAPPED),
      (c) => sendTo(c.raw(0x83, 0xc4, 4), FIXED, 0).raw(0xcf), // the error code away, then the frame's eip
      jit,
    );
    const stop = await over(d);
    assert.equal(stop.reason, 'step');
    assert.equal(target.pc, FIXED);
    assert.equal(target.register('esp'), STACK, 'the context of the trap');
  });

  test(`traps inside of a handler that end before it do not end the step over it (${on})`, async () => {
    const { d, target } = await guestAt(
      14,
      0xe,
      (c) => c.load(UNMAPPED),
      (c) => sendTo(c.raw(0x0f, 0x0b).raw(0x83, 0xc4, 4), FIXED, 0).raw(0x0f, 0x0b, 0xcf),
      jit,
    );
    assert.equal((await over(d)).reason, 'step');
    assert.equal(target.pc, FIXED);
  });

  test(`a step over INT ends where the handler sent the program, as after a signal or an exec (${on})`, async () => {
    const { d, target } = await guestAt(
      0x80,
      0xf,
      (c) => c.int(0x80),
      (c) => sendTo(c, FIXED, 0).raw(0xcf),
      jit,
    );
    assert.equal((await over(d)).reason, 'step');
    assert.equal(target.pc, FIXED);
  });
}

test('a step out of a handler ends at its IRET when that goes elsewhere, and a breakpoint there is met once', async () => {
  const { d, target } = await guestAt(
    14,
    0xe,
    (c) => c.load(UNMAPPED),
    (c) => sendTo(c.raw(0x90).raw(0x83, 0xc4, 4), FIXED, 0).raw(0xcf),
    false,
  );
  await stopAfter(d, () => d.step('in', 'instruction'));
  assert.equal(target.pc, HANDLER);
  const b = d.addBreakpoint({ kind: 'instruction', address: FIXED });
  const stop = await stopAfter(d, () => d.step('out', 'instruction'));
  assert.equal(target.pc, FIXED);
  assert.deepEqual([stop.reason, stop.hitBreakpoints, b.hits], ['instruction breakpoint', [b.id], 1]);
});

test('a handler that leaves by a jump is met where the trap was to go on', async () => {
  const { d, target } = await guestAt(
    14,
    0xe,
    (c) => c.load(UNMAPPED),
    (c) => c.raw(0x83, 0xc4, 16, 0xe9).dword(TROUBLE + 5 - (c.here + 4)), // the frame and its error code away, jmp behind the instruction
    false,
  );
  assert.equal((await over(d)).reason, 'step');
  assert.equal(target.pc, TROUBLE + 5);
});

test('a step over a call that is left for a function further out ends where that goes on, and says so', async () => {
  const at = (c: Code, to: number): Code => c.raw(0xe8).dword(to - (c.here + 4));
  for (const jit of [false, true]) {
    const { d, target } = await guestAt(
      14,
      0xe,
      (c) => at(c, FIXED + 0x20), // calls the first of three functions; behind it the Guest goes round and round
      (c) => {
        c.raw(0xcf);
      },
      jit,
      [
        at(new Code(FIXED + 0x20), FIXED + 0x40).raw(0xeb, 0xfe),
        at(new Code(FIXED + 0x40), FIXED + 0x60).raw(0xeb, 0xfe),
        new Code(FIXED + 0x60).raw(0x83, 0xc4, 8, 0xc3), // two return addresses away, ret
      ],
    );
    await stopAfter(d, () => d.step('in', 'instruction'));
    await stopAfter(d, () => d.step('in', 'instruction'));
    assert.equal(target.pc, FIXED + 0x40);
    const stop = await over(d);
    assert.deepEqual([target.pc, target.register('esp')], [TROUBLE + 5, STACK]);
    assert.deepEqual([stop.reason, stop.description], ['step', 'Paused on step: its frame is gone']);
    assert.match(stop.text ?? '', /^The frame is gone: 0x[0-9a-f]{8} has gone on\.$/);
  }
});

test('on the bare machine too a step over a trap ends where the handler sent the program', async () => {
  const set = interruptTable({ 6: ENTRY + 0x200 });
  const code = new Array<number>(0x300).fill(0x90);
  const put = (at: number, bytes: readonly number[]): void =>
    bytes.forEach((b, i) => {
      code[at + i] = b;
    });
  put(0, set);
  put(set.length, [0x0f, 0x0b, ...CLI_HLT]);
  put(0x100, [0x40, ...CLI_HLT]);
  put(0x200, [0xc7, 0x04, 0x24, ...word32(ENTRY + 0x100), 0xcf]);
  const { machine } = boot(code);
  const target = new BareTarget(machine);
  const d = new Debugger(target, new Programs([]));
  await stopAfter(d, () => d.runTo([ENTRY + set.length], 'entry', 'at the trouble'));
  assert.equal((await over(d)).reason, 'step');
  assert.equal(target.pc, ENTRY + 0x100);
});

/** Milliseconds from asking for a pause, some time into a run, to the stop; the best of a few, since others may be at work on the machine that runs this. */
const pauseTakes = async (d: Debugger): Promise<number> => {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 5 && best > 25; n++) {
    let asked = 0;
    const stop = await stopAfter(d, () => {
      d.continue();
      setTimeout(() => {
        asked = performance.now();
        d.pause();
      }, 60);
    });
    assert.equal(stop.reason, 'pause');
    best = Math.min(best, performance.now() - asked);
  }
  return best;
};

test('a pause is answered within 50 ms while a Guest only faults, again and again at one instruction', async () => {
  const { d } = await guestAt(
    14,
    0xe,
    (c) => c.load(UNMAPPED),
    (c) => {
      c.raw(0x83, 0xc4, 4, 0xcf); // the error code away, iret: the same fault again
    },
    false,
  );
  const before = d.target.records.count;
  const ms = await pauseTakes(d);
  assert.ok(d.target.records.count > before + 100, 'a storm');
  assert.ok(ms < 50, `${ms.toFixed(0)} ms`);
});

test('a pause is answered within 50 ms inside of a repeated string instruction, which goes on where it was', async () => {
  for (const jit of [false, true]) {
    // mov $-1, %ecx; xor %esi, %esi; cld; rep lodsb; jmp .
    const code = [0xb9, 0xff, 0xff, 0xff, 0xff, 0x31, 0xf6, 0xfc, 0xf3, 0xac, 0xeb, 0xfe];
    const d = new Debugger(new BareTarget(boot(code, { jit, jitThreshold: 1 }).machine), new Programs([]));
    const ms = await pauseTakes(d);
    assert.equal(d.target.pc, ENTRY + 8, 'at the instruction');
    const left = d.target.register('ecx') >>> 0;
    assert.ok(left > 0 && left < 0xffffffff, `${left} to go`);
    assert.ok(ms < 50, `${ms.toFixed(0)} ms`);
    await pauseTakes(d);
    assert.ok(d.target.register('ecx') >>> 0 < left, 'and it goes on');
  }
});
