// The quick interpreter and the handlers are two implementations of the same forms: they must leave the same machine behind.

import assert from 'node:assert';
import { test } from 'node:test';
import { CpuFault } from '../../../src/i386/cpu';
import { decode, M, NEED_MORE, R, RECORD } from '../../../src/i386/decode';
import { HANDLERS } from '../../../src/i386/interpreter';
import { CASE_OF, CASES } from '../../../src/i386/quick/forms';
import { entryOf, Q, quickRun } from '../../../src/i386/quick/quick';
import { ROW_SIZE, ROWS } from '../../../src/i386/rows';
import { BLOCK, BLOCKS, ESP, FL, RAM_BASE, S, W } from '../../../src/i386/state';
import { Bench, stream } from '../interpreter/bench-cpu';

/** Runs one record by its handler; what it raised, or 'done'. */
const handled = ({ cpu, m32 }: Bench): string => {
  cpu.blockEip = EIP;
  m32[W.EIP] = EIP + cpu.code[R.END];
  try {
    HANDLERS[cpu.code[R.FORM]](cpu, 0);
    return 'done';
  } catch (thrown) {
    if (!(thrown instanceof CpuFault)) throw thrown;
    m32[W.EIP] = 0; // the run loop's business
    return `#${thrown.vector} ${thrown.errorCode}`;
  }
};

const EIP = 0x1000;
/** A block of one record. */
const BLOCK_AT = entryOf(1);

test('every case gives what the handler gives: registers, flags, EIP and memory; and what it leaves to the handler it leaves untouched', () => {
  // Two machines in step: the left one uses handlers, the right one the quick interpreter.
  const left = new Bench();
  const right = new Bench();
  const quick = quickRun(right.cpu);
  const { cpu, m32 } = left;
  const next = stream(20240);
  const bytes = new Uint8Array(15);
  const ran = new Map<number, number>();
  let sinceLook: string[] = [];
  const state = S.SCRATCH >> 2;
  for (let round = 0; round < 400_000; round++) {
    for (let k = 0; k < 15; k++) bytes[k] = next();
    let p = 0;
    if (round % 4 === 1) bytes[p++] = 0x66;
    if (round % 16 === 0) bytes[p++] = [0x66, 0x67, 0x64, 0x36, 0x2e, 0xf3][next() % 6];
    if (next() % 4 === 0) {
      bytes[p++] = 0x0f;
      bytes[p] = [0x40, 0x80, 0x90, 0xa0, 0xb0][next() % 5] | (next() & 15);
    }
    // Fixed addresses that are there.
    if ((bytes[p] & 0xfc) === 0xa0) bytes.set([next(), 0x00, 0x02, 0x00], p + 1);
    if (decode(bytes, 0, 15, true, cpu.code, 0) === NEED_MORE) continue;
    const number = cpu.code[R.META] >>> M.CASE_SHIFT;
    if (number === 0) continue;
    left.segments(true, 3);
    for (let n = 0; n < 8; n++) m32[n] = next() & 1 ? 0x20000 + (next() & 0xfff) : next() % 3 === 0 ? next() : next() & 0xff;
    if (next() & 3) m32[ESP] &= ~3;
    cpu.setStatus(next());
    m32[W.EFLAGS] = (m32[W.EFLAGS] & ~FL.DF) | (next() & FL.DF);
    m32[W.EIP] = EIP;
    m32[W.LEFT] = 5;
    right.m32.set(m32.subarray(0, state));
    right.cpu.code.set(cpu.code.subarray(0, RECORD));
    right.cpu.updateMode();
    right.m32.set([0, 0, 1, cpu.code[R.END]], (BLOCKS + BLOCK_AT) >> 2);
    const want = handled(left);
    const row = ROWS[cpu.code[R.FORM] >> 3];
    const what = `${row.name} ${row.args} (${CASES[number]}): ${Buffer.from(bytes).toString('hex')}`;
    sinceLook.push(what);
    let got = 'done';
    if (quick(BLOCK_AT, 0, 0) === 0) {
      ran.set(number, (ran.get(number) ?? 0) + 1);
      assert.equal(right.m32[W.LEFT], 4, what);
      assert.equal(right.m32[((BLOCKS + BLOCK_AT) >> 2) + BLOCK.FOLLOW], right.m32[W.EIP], what);
      right.m32[W.LEFT] = 5;
    } else {
      assert.deepEqual([right.m32[Q.EIP >> 2], right.m32[Q.BLOCK >> 2]], [EIP, BLOCK_AT], what);
      got = handled(right);
    }
    assert.equal(got, want, what);
    for (let n = 0; n < state; n++)
      if (right.m32[n] !== m32[n]) assert.fail(`${what}: word ${n} of the state block is ${right.m32[n]}, not ${m32[n]}`);
    if (sinceLook.length === 4000) {
      assert.equal(
        Buffer.compare(right.m8.subarray(RAM_BASE), left.m8.subarray(RAM_BASE)),
        0,
        `memory after one of\n${sinceLook.join('\n')}`,
      );
      sinceLook = [];
    }
  }
  assert.equal(Buffer.compare(right.m8.subarray(RAM_BASE), left.m8.subarray(RAM_BASE)), 0, `memory after one of\n${sinceLook.join('\n')}`);
  const never = CASES.filter((_, number) => number !== 0 && (ran.get(number) ?? 0) < 3);
  assert.deepEqual(never, [], 'cases that hardly ran');
});

test('forms with a case are forms the decoder can give', () => {
  CASE_OF.forEach((number, form) => {
    if (number === 0) return;
    const size = (form >> 1) & 3;
    assert.ok(
      ROW_SIZE[form >> 3] === 3 ? size === 1 || size === 2 : size === ROW_SIZE[form >> 3],
      `${ROWS[form >> 3].name} ${ROWS[form >> 3].args}, size ${size}`,
    );
  });
});

test('the decoder gives no case to what is not plain: other segments, 16-bit addresses, repetition', () => {
  const out = new Int32Array(RECORD);
  const caseOf = (hex: string): string => {
    const bytes = Buffer.from(hex, 'hex');
    decode(bytes, 0, bytes.length, true, out, 0);
    return CASES[out[R.META] >>> M.CASE_SHIFT];
  };
  assert.equal(caseOf('8b03'), 'mov 2 GM');
  assert.equal(caseOf('268b03'), 'mov 2 GM');
  for (const prefix of ['2e', '64', '65', '67']) assert.equal(caseOf(`${prefix}8b03aabb`), '');
  assert.equal(caseOf('648bc3'), 'mov 2 GE', 'no operand in memory');
  assert.equal(caseOf('a5'), 'string movs 2');
  assert.equal(caseOf('f3a5'), '');
  assert.equal(caseOf('64a5'), '');
});
