// The table of calls: it knows the return addresses that are on the stack, no others, and is the same whoever runs the code.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Processor } from '../../src/i386/processor';
import { CALLS, ESP, RAM_BASE, W } from '../../src/i386/state';
import { CODE, flatMachine, STACK } from './flat-machine';
import { AT, dword, ProtectedMachine, SEL, word } from './protected-machine';

// mov $14,%eax; call fib; hlt; fib: cmp $2,%eax; jl out; push %eax; dec %eax; call fib; pop %eax; sub $2,%eax; call *%esi; out: ret
const FIB = [
  0xb8, 14, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xf4, 0x83, 0xf8, 2, 0x7c, 0x0d, 0x50, 0x48, 0xe8, 0xf4, 0xff, 0xff, 0xff, 0x58, 0x83, 0xe8, 2, 0xff,
  0xd6, 0xc3,
];
const fib = (jitThreshold?: number): Processor => {
  const proc = flatMachine(FIB, jitThreshold);
  proc.cpu.m32[6] = CODE + 11;
  return proc;
};
const live = (proc: Processor): [number, number][] => {
  const found: [number, number][] = [];
  for (let at = STACK - 4; at >= STACK - 0x1000; at -= 4) {
    const call = proc.cpu.calls.at(RAM_BASE + at);
    if (call !== undefined) found.push([at, call.back]);
  }
  return found;
};
const table = (proc: Processor): Int32Array => proc.cpu.m32.slice(CALLS.TIME >> 2, CALLS.END >> 2);

test('the table holds what was called and has not returned, after every instruction', () => {
  const proc = fib();
  proc.recordCalls(true);
  const { cpu } = proc;
  const expected: [number, number][] = [];
  for (let n = 0; n < 3000; n++) {
    const eip = cpu.m32[W.EIP];
    const op = cpu.m8[RAM_BASE + eip];
    const esp = cpu.m32[ESP];
    proc.step();
    if (op === 0xe8) expected.push([esp - 4, eip + 5]);
    if (op === 0xff) expected.push([esp - 4, eip + 2]);
    if (op === 0xc3) expected.pop();
    assert.deepEqual(live(proc), expected);
  }
});

test('a call of 16 bits is noted with the two bytes that it pushed and its segment, and its return takes it off', () => {
  const proc = flatMachine([0x66, 0xe8, 1, 0, 0xf4, 0x66, 0xc3], undefined, 0x1000); // callw f; hlt; f: retw
  proc.recordCalls(true);
  const { cpu } = proc;
  proc.step();
  assert.deepEqual(cpu.calls.at(RAM_BASE + STACK - 2), { back: 0x1004, narrow: true, far: false, cs: 8, time: 1 });
  proc.step();
  assert.equal(cpu.m32[W.EIP], 0x1004);
  assert.equal(cpu.calls.at(RAM_BASE + STACK - 2), undefined);
});

test('interpreter, quick interpreter and translated code leave the same table and the same machine', () => {
  const machines = [fib(), fib(0), fib(3)];
  const plain = fib();
  const stepped = fib();
  for (const proc of [...machines, stepped]) proc.recordCalls(true);
  for (const slice of [1, 7, 100, 1000, 3000, 1234]) {
    for (let n = 0; n < slice; n++) stepped.step();
    plain.run(slice);
    for (const proc of machines) {
      proc.run(slice);
      assert.deepEqual(table(proc), table(stepped));
      assert.deepEqual(proc.cpu.m32.slice(0, 10), plain.cpu.m32.slice(0, 10));
    }
  }
  assert.ok((machines[1].jit?.stats.translations ?? 0) > 0);
  assert.ok(table(plain).every((word) => word === 0));
});

test('turning it on after code was translated makes that code note its calls', () => {
  const proc = fib(0);
  proc.run(500);
  proc.recordCalls(true);
  proc.run(1500);
  assert.ok(live(proc).length > 3);
  proc.recordCalls(false);
  assert.ok(table(proc).every((word) => word === 0));
});

test('a far call within its privilege is noted, and its return takes it off', () => {
  const pc = ProtectedMachine.fresh();
  const { proc } = pc;
  proc.recordCalls(true);
  try {
    const place = RAM_BASE + AT.STACK - 8;
    pc.run(0x9a, ...dword(0x9500), ...word(SEL.CODE0));
    assert.deepEqual([proc.cpu.calls.at(place)?.back, proc.cpu.calls.at(place)?.far], [AT.CODE + 7, true]);
    pc.run(0xcb);
    assert.equal(pc.esp, AT.STACK);
    assert.equal(proc.cpu.calls.at(place), undefined);
  } finally {
    proc.recordCalls(false);
  }
});
