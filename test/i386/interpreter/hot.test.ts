// The hot loop and the handler table are two implementations of the same forms: they must leave the same machine behind.

import assert from 'node:assert';
import { test } from 'node:test';
import { CpuFault } from '../../../src/i386/cpu';
import { decode, NEED_MORE, R, RECORD } from '../../../src/i386/decode';
import { HANDLERS } from '../../../src/i386/interpreter';
import { HOT, runRecords, warmUp } from '../../../src/i386/interpreter/hot';
import { ROW_SIZE, ROWS } from '../../../src/i386/rows';
import { CS, DS, ESP, RAM_BASE, S, SS, W } from '../../../src/i386/state';
import { Bench, stream } from './bench-cpu';

/** Runs one record; what it raised, or 'done'. */
const execute = (bench: Bench, run: () => void): string => {
  const { cpu, m32 } = bench;
  cpu.blockEip = 0x1000;
  m32[W.EIP] = 0x1000 + cpu.code[R.END];
  try {
    run();
    return 'done';
  } catch (thrown) {
    if (!(thrown instanceof CpuFault)) throw thrown;
    m32[W.EIP] = 0; // the run loop's business
    return `#${thrown.vector} ${thrown.errorCode}`;
  }
};

test('every hot form gives what its handler gives: registers, flags, EIP, memory and faults', () => {
  // Two machines in step: the left one uses handlers, the right one the hot loop.
  const left = new Bench();
  const right = new Bench();
  const { cpu, m32 } = left;
  const next = stream(20240);
  const bytes = new Uint8Array(15);
  const seen = new Map<number, number>();
  let sinceLook: string[] = [];
  for (let round = 0; round < 120_000; round++) {
    for (let k = 0; k < 15; k++) bytes[k] = next();
    let p = 0;
    if (round % 16 === 0) bytes[p++] = [0x66, 0x67, 0x64, 0x36, 0x2e][next() % 5];
    if (next() % 8 === 0) {
      bytes[p++] = 0x0f;
      if (next() & 1) bytes[p] = [0xb6, 0xb7, 0xbe, 0x80 | (next() & 15)][next() % 4];
    }
    if (decode(bytes, 0, 15, true, cpu.code, 0) === NEED_MORE) continue;
    const form = cpu.code[R.FORM];
    if (HOT[form] === 0) continue;
    seen.set(HOT[form], (seen.get(HOT[form]) ?? 0) + 1);
    // Now and then a CS limit, a stack segment of its own, a 16-bit stack.
    left.segments(true, 3);
    if (round % 7 === 0) left.limit(CS, 0x2000 + (next() % 0x2000));
    if (round % 11 === 0) left.limit(SS, 0x20fff);
    if (round % 13 === 0) left.narrowStack();
    if (round % 17 === 0) left.limit(DS, 0x20fff);
    for (let n = 0; n < 8; n++) m32[n] = next() & 1 ? 0x20000 + (next() & 0xfff) : next() % 3 === 0 ? next() : next() & 0xff;
    if (next() & 3) m32[ESP] &= ~3;
    cpu.setStatus(next());
    right.m32.set(m32.subarray(0, S.END >> 2));
    right.cpu.code.set(cpu.code.subarray(0, RECORD));
    right.cpu.updateMode();
    const want = execute(left, () => HANDLERS[form](cpu, 0));
    const got = execute(right, () => runRecords(right.cpu, 0, 0, HANDLERS));
    const row = ROWS[form >> 3];
    const what = `${row.name} ${row.args}: ${Buffer.from(bytes).toString('hex')}`;
    sinceLook.push(what);
    assert.equal(got, want, what);
    for (let n = 0; n < S.END >> 2; n++)
      if (right.m32[n] !== m32[n]) assert.fail(`${what}: word ${n} of the state block is ${right.m32[n]}, not ${m32[n]}`);
    if (sinceLook.length === 2000) {
      assert.equal(
        Buffer.compare(right.m8.subarray(RAM_BASE), left.m8.subarray(RAM_BASE)),
        0,
        `memory after one of\n${sinceLook.join('\n')}`,
      );
      sinceLook = [];
    }
  }
  assert.equal(Buffer.compare(right.m8.subarray(RAM_BASE), left.m8.subarray(RAM_BASE)), 0, `memory after one of\n${sinceLook.join('\n')}`);
  const never = [...new Set(HOT)].filter((h) => h !== 0 && (seen.get(h) ?? 0) < 3);
  assert.deepEqual(never, [], 'cases that hardly ran');
});

test('hot forms are forms the decoder can give', () => {
  HOT.forEach((h, form) => {
    if (h === 0) return;
    const size = (form >> 1) & 3;
    assert.ok(
      ROW_SIZE[form >> 3] === 3 ? size === 2 : size === ROW_SIZE[form >> 3],
      `${ROWS[form >> 3].name} ${ROWS[form >> 3].args}, size ${size}`,
    );
  });
});

test('warming up leaves the state block, memory and decoded code as they were', () => {
  const bench = Bench.fresh();
  const { cpu, m32, m8 } = bench;
  for (let n = 0; n < 8; n++) m32[n] = 0x1111 * n;
  bench.poke(0, '0102030405060708');
  bench.poke(0x100, 'ff'.repeat(64));
  cpu.code.set([9, 8, 7, 6, 5, 4, 3, 2]);
  const state = m32.slice(0, S.END >> 2);
  const memory = m8.slice(RAM_BASE, RAM_BASE + 0x2000);
  warmUp(cpu, HANDLERS);
  assert.deepEqual(m32.slice(0, S.END >> 2), state);
  assert.equal(Buffer.compare(m8.subarray(RAM_BASE, RAM_BASE + 0x2000), memory), 0);
  assert.deepEqual(Array.from(cpu.code.subarray(0, 8)), [9, 8, 7, 6, 5, 4, 3, 2]);
});
