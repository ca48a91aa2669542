// Accesses between watched bytes of one page: translated code goes on by itself there, the watcher is told of all others, and nothing else differs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageFlag } from '../../../src/i386/cpu';
import type { Processor } from '../../../src/i386/processor';
import { GAPS, RAM_BASE, W } from '../../../src/i386/state';
import { flatMachine } from '../flat-machine';

const DATA = 0x30000;
const OUTER = 200;
const INNER = 250;
const dword = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

interface Seen {
  proc: Processor;
  events: string[];
}
/** A loop that writes, reads and modifies at these offsets; every INNER turns it writes the word at `met`. Words at `watched` are watched for reads and writes. */
const run = (jitThreshold: number | undefined, offsets: readonly number[], watched: readonly number[], met: number): Seen => {
  const access = offsets.flatMap((at, n) => [[0x89, 0x8b, 0x01][n % 3], 0x0d + (n % 3 === 1 ? 0x10 : 0), ...dword(DATA + at)]);
  const inner = [...access, 0x49];
  const proc = flatMachine(
    [
      ...[0xba, ...dword(OUTER), 0xb9, ...dword(INNER)],
      ...[...inner, 0x75, -(inner.length + 2) & 0xff],
      ...[0x89, 0x15, ...dword(DATA + met), 0x4a, 0x75, -(inner.length + 16) & 0xff, 0xf4],
    ],
    jitThreshold,
  );
  const { cpu } = proc;
  const events: string[] = [];
  const isWatched = (at: number, size: number): boolean => watched.some((w) => (at & 0xfff) < w + 4 && (at & 0xfff) + size > w);
  const note = (kind: string, at: number, size: number): void => {
    if (isWatched(at, size)) events.push(`${kind} ${(at - DATA).toString(16)} ${size}`);
  };
  cpu.watcher = {
    read: (at, _linear, size) => note('read', at, size),
    write: (at, _linear, size, value) => note(`write ${value}`, at, size),
    gap: (at) => {
      if (isWatched(at, 1)) return 0;
      let from = at & 0xfff;
      let end = from + 1;
      while (from > 0 && !isWatched(from - 1, 1)) from--;
      while (end < 4096 && !isWatched(end, 1)) end++;
      return from | (end << 16);
    },
  };
  cpu.setPageFlag(DATA >> 12, PageFlag.WATCH_READ);
  cpu.setPageFlag(DATA >> 12, PageFlag.WATCH_WRITE);
  let exit = proc.run(1000);
  for (let n = 0; n < 500 && exit.kind === 'budget'; n++) exit = proc.run(9973);
  assert.equal(exit.kind, 'halt');
  return { proc, events };
};
const state = ({ proc, events }: Seen): unknown[] => [
  [...proc.cpu.m32.subarray(0, 9)],
  proc.cpu.getFlags(),
  proc.retired,
  [...proc.cpu.m8.subarray(RAM_BASE + DATA, RAM_BASE + DATA + 4096)].join(' '),
  events,
];

test('with watched words among what a loop accesses, every access to those is told, in order, and the machine is the same', () => {
  for (const offsets of [
    [0, 0x20, 0x28, 0x800],
    [0x10, 0x1c, 0x15, 0xffc],
    [0x18, 0x1c, 0x26, 0x30],
  ]) {
    const interpreted = run(undefined, offsets, [0x18, 0x24, 0x700], 0x24);
    assert.ok(interpreted.events.filter((e) => e.endsWith(' 24 4')).length >= OUTER);
    for (const threshold of [0, 50]) assert.deepEqual(state(run(threshold, offsets, [0x18, 0x24, 0x700], 0x24)), state(interpreted));
  }
});

test('a loop whose accesses lie in several gaps of one page stays in translated code', () => {
  // Fifty watched words, sixteen bytes apart, and accesses before, among and behind them.
  const watched = [...Array(50).keys()].map((n) => 0x400 + 16 * n);
  const { proc } = run(50, [0, 0x404, 0x418, 0x52c, 0x708, 0xf00], watched, 0x400);
  const { entries, slow } = proc.jit?.stats ?? { entries: 0, slow: 0 };
  assert.ok(entries > 0);
  assert.ok(entries < 4 * OUTER + 1500, `${entries} entries`);
  assert.ok(slow < 1500, `${slow} slow accesses of ${6 * OUTER * INNER}`);
});

test('what the processor reads and writes for itself at CPL 3 opens no gap to the program', () => {
  const { cpu } = flatMachine([0xf4]);
  const { m32 } = cpu;
  cpu.watcher = { read: () => {}, write: () => {}, gap: () => 0x1000 << 16 };
  cpu.pageFlags[DATA >>> 12] |= PageFlag.WATCH_READ | PageFlag.WATCH_WRITE;
  m32[W.CPL] = 3;
  cpu.updateMode();
  const found = (write: boolean): boolean => m32[(GAPS.START + GAPS.USER + (write ? GAPS.WRITE : 0) + (DATA & GAPS.MASK) + 4) >> 2] !== 0;
  for (const [own, program, write] of [
    [() => cpu.sysRead32(DATA), () => cpu.read32(DATA), false],
    [() => cpu.sysWrite32(DATA, 1), () => cpu.write32(DATA, 1), true],
  ] as const) {
    cpu.wantGap = true;
    own();
    assert.equal(found(write), false, `${write} for itself`);
    cpu.wantGap = true;
    program();
    assert.equal(found(write), true, `${write} by the program`);
  }
});
