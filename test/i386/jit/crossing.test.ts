// Instructions that lie across the end of a page: kept and translated like others, as long as both their bytes and the page behind are what they were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Processor } from '../../../src/i386/processor';
import { RAM_BASE, W } from '../../../src/i386/state';
import { CODE, flatMachine, RAM } from '../flat-machine';

const TABLES = 0x40000;
const dword = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/** A flat machine with identity pages. ecx: turns. The loop's third instruction, `add ebx, 0x01010101`, has its first two bytes and half the constant before the page end. */
const machine = (jitThreshold: number | undefined, extra: number[] = [], turns = 10_000): Processor => {
  const body = [0x49, 0x40, 0x81, 0xc3, ...dword(0x01010101), ...extra, 0x85, 0xc9];
  const proc = flatMachine([...body, 0x75, -(body.length + 2) & 0xff, 0xf4], jitThreshold, CODE + 0xffa);
  const { m32 } = proc.cpu;
  m32[(RAM_BASE + TABLES) >> 2] = (TABLES + 0x1000) | 7;
  for (let page = 0; page < RAM >> 12; page++) m32[((RAM_BASE + TABLES + 0x1000) >> 2) + page] = (page << 12) | 7;
  m32[W.CR3] = TABLES;
  m32[W.CR0] = 0x80010033 | 0;
  m32[1] = turns;
  m32[4] = 0x30000;
  proc.cpu.updateMode();
  return proc;
};

const finish = (proc: Processor): string => {
  let exit = proc.run(1000);
  for (let n = 0; n < 500 && exit.kind === 'budget'; n++) exit = proc.run(9973);
  assert.equal(exit.kind, 'halt');
  return JSON.stringify([Array.from(proc.cpu.m32.subarray(0, 10)), proc.cpu.getFlags(), proc.retired]);
};

test('a loop with an instruction across a page end runs inside one translation', () => {
  const interpreted = finish(machine(undefined));
  assert.equal(finish(machine(0)), interpreted);
  const proc = machine(50);
  assert.equal(finish(proc), interpreted);
  assert.ok((proc.jit?.stats.entries ?? 0) > 0);
  assert.ok((proc.jit?.stats.entries ?? 0) < 200, `${proc.jit?.stats.entries} entries`);
});

test('a write to either half of such an instruction counts from the next turn on', () => {
  for (const at of [0xffd, 0xfff, 0x1000, 0x1001]) {
    // mov [at], cl: registers of the addition, or a byte of its constant.
    const value = at === 0xffd ? [0xc6, 0x05, ...dword(CODE + at), 0xc2] : [0x88, 0x0d, ...dword(CODE + at)];
    const interpreted = finish(machine(undefined, value, 20));
    for (const threshold of [0, 50]) assert.equal(finish(machine(threshold, value, 20)), interpreted, `threshold ${threshold}, byte ${at}`);
  }
});

test('when another page comes behind, its bytes are what runs', () => {
  const run = (threshold: number | undefined): string => {
    const proc = machine(threshold);
    const { m8, m32 } = proc.cpu;
    assert.equal(proc.run(20_000).kind, 'budget');
    const before = m32[3];
    // A copy with another constant.
    m8.copyWithin(RAM_BASE + 0x20000, RAM_BASE + CODE + 0x1000, RAM_BASE + CODE + 0x2000);
    m8[RAM_BASE + 0x20001] = 0x7f;
    m32[((RAM_BASE + TABLES + 0x1000) >> 2) + ((CODE >> 12) + 1)] = 0x20007;
    proc.cpu.flushTlb();
    assert.equal(proc.run(20_000).kind, 'budget');
    assert.notEqual(m32[3], before);
    // And back.
    m32[((RAM_BASE + TABLES + 0x1000) >> 2) + ((CODE >> 12) + 1)] = (CODE + 0x1000) | 7;
    proc.cpu.flushTlb();
    return finish(proc);
  };
  const interpreted = run(undefined);
  assert.equal(run(0), interpreted);
  assert.equal(run(50), interpreted);
});

test('a page behind that is gone faults at the instruction, with the address of the page', () => {
  for (const threshold of [undefined, 0, 50]) {
    const proc = machine(threshold);
    const { m32 } = proc.cpu;
    assert.equal(proc.run(20_000).kind, 'budget');
    m32[((RAM_BASE + TABLES + 0x1000) >> 2) + ((CODE >> 12) + 1)] = 0;
    proc.cpu.flushTlb();
    proc.cpu.intercept[14] = 1;
    const exit = proc.run(20_000);
    assert.deepEqual(exit, { kind: 'intercept', vector: 14, errorCode: 0, software: false });
    assert.equal(m32[W.CR2] >>> 0, CODE + 0x1000);
    assert.equal(m32[W.EIP] >>> 0, CODE + 0xffc);
  }
});
