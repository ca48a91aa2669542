// String instructions against a plain element-by-element model, whatever the bulk paths do.

import assert from 'node:assert';
import { test } from 'node:test';
import { EAX, ECX, EDI, ESI, EXC, FL, RAM_BASE, W } from '../../../src/i386/state';
import { Bench, stream } from './bench-cpu';

const AREA = 0x20000;
const LENGTH = 0x4000;

/** The manual's loop on a plain array. */
const model = (
  memory: Uint8Array,
  movs: boolean,
  bytes: number,
  down: boolean,
  count: number,
  si: number,
  di: number,
  eax: number,
): void => {
  for (let n = 0; n < count; n++) {
    const element = [];
    for (let k = 0; k < bytes; k++) element.push(movs ? memory[si + k] : (eax >>> (8 * k)) & 0xff);
    for (let k = 0; k < bytes; k++) memory[di + k] = element[k];
    si += down ? -bytes : bytes;
    di += down ? -bytes : bytes;
  }
};

test('rep movs and rep stos do what single elements do: all widths, directions, overlaps and page crossings', () => {
  const bench = Bench.fresh();
  const { cpu, m32, m8 } = bench;
  const next = stream(4711);
  const pick = (n: number): number => next() % n;
  for (let round = 0; round < 3000; round++) {
    const size = pick(3);
    const bytes = 1 << size;
    const movs = pick(3) !== 0;
    const down = pick(4) === 0;
    const count = pick(8) === 0 ? pick(1500) : pick(70);
    const span = count * bytes;
    const base = down ? span : 0;
    const si = AREA + base + pick(LENGTH - 2 * span > 0 ? LENGTH - 2 * span : 1);
    const near = pick(2) === 0;
    let di = near ? si + pick(65) - 32 : AREA + base + pick(LENGTH - 2 * span > 0 ? LENGTH - 2 * span : 1);
    if (di < AREA + base) di = AREA + base;
    const eax = next();
    const start = m8.slice(RAM_BASE + AREA - 64, RAM_BASE + AREA + LENGTH + 64);
    for (let k = 0; k < 200; k++) start[pick(start.length)] = next();
    m8.set(start, RAM_BASE + AREA - 64);
    const want = start.slice();
    model(want, movs, bytes, down, count, si - AREA + 64, di - AREA + 64, eax);
    bench.setRegs({ [EAX]: eax, [ECX]: count, [ESI]: si, [EDI]: di });
    m32[W.EFLAGS] = down ? 2 | FL.DF : 2;
    const op = (movs ? 0xa4 : 0xaa) | (size > 0 ? 1 : 0);
    assert.equal(bench.run(`${size === 1 ? '66' : ''}f3${op.toString(16)}`), undefined);
    assert.equal(cpu.unfinished, false);
    const step = (down ? -1 : 1) * span;
    assert.deepEqual([m32[ECX], m32[ESI], m32[EDI]], [0, movs ? si + step : si, di + step]);
    const got = m8.subarray(RAM_BASE + AREA - 64, RAM_BASE + AREA + LENGTH + 64);
    if (Buffer.compare(got, want) !== 0)
      assert.fail(`${movs ? 'movs' : 'stos'} size ${bytes}, count ${count}, down ${down}, from ${si.toString(16)} to ${di.toString(16)}`);
  }
});

test('a long rep works in parts, asks the run loop to come back, and completes', () => {
  const bench = Bench.fresh();
  const { cpu, m32 } = bench;
  bench.setRegs({ [EAX]: 0x5a, [ECX]: 150_000, [EDI]: 0x20000 });
  let parts = 0;
  do {
    cpu.unfinished = false;
    assert.equal(bench.run('f3aa'), undefined);
    assert.equal(m32[W.EIP], cpu.unfinished ? 0x1000 : 0x1002);
    parts++;
  } while (cpu.unfinished);
  assert.equal(parts, 3);
  assert.deepEqual([m32[ECX], m32[EDI]], [0, 0x20000 + 150_000]);
  assert.ok(bench.m8.subarray(RAM_BASE + 0x20000, RAM_BASE + 0x20000 + 150_000).every((b) => b === 0x5a));
});

test('a fault in the middle of rep movs leaves the registers at the element that faulted', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  bench.paging((page) => (page === 0x30 ? 5 : 7));
  bench.setRegs({ [ECX]: 100, [ESI]: 0x20000, [EDI]: 0x30000 - 40 });
  bench.poke(0x20000, '01'.repeat(400));
  assert.deepEqual(bench.run('f3a5'), { vector: EXC.PF, errorCode: 3 });
  assert.deepEqual([m32[ECX], m32[ESI], m32[EDI], m32[W.CR2]], [90, 0x20000 + 40, 0x30000, 0x30000]);
  assert.equal(bench.bytes(0x30000 - 40, 40), '01'.repeat(40));
});

test('with 16-bit addressing only SI, DI and CX move, and they wrap', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  bench.poke(0xfffe, '1122');
  bench.poke(0, '3344');
  bench.setRegs({ [ECX]: 0x10004, [ESI]: 0x5fffe, [EDI]: 0x70100 });
  assert.equal(bench.run('67f3a4'), undefined);
  assert.deepEqual([m32[ECX], m32[ESI], m32[EDI]], [0x10000, 0x50002, 0x70104]);
  assert.equal(bench.bytes(0x100, 4), '11223344');
});

test('repe cmps and repne scas stop at the first difference and the first match', () => {
  const bench = Bench.fresh();
  const { cpu, m32 } = bench;
  bench.poke(0x20000, '0102030405');
  bench.poke(0x21000, '0102030905');
  bench.setRegs({ [ECX]: 5, [ESI]: 0x20000, [EDI]: 0x21000 });
  assert.equal(bench.run('f3a6'), undefined);
  assert.deepEqual([m32[ECX], m32[ESI], m32[EDI]], [1, 0x20004, 0x21004]);
  assert.equal(cpu.getFlags() & (FL.ZF | FL.CF), FL.CF);
  bench.setRegs({ [EAX]: 4, [ECX]: 10, [EDI]: 0x20000 });
  assert.equal(bench.run('f2ae'), undefined);
  assert.deepEqual([m32[ECX], m32[EDI], cpu.getFlags() & FL.ZF], [6, 0x20004, FL.ZF]);
});

test('rep cmps and rep scas give what single elements give: all widths, directions and page crossings', () => {
  const bench = Bench.fresh();
  const { cpu, m32, m8 } = bench;
  const next = stream(815);
  const pick = (n: number): number => next() % n;
  for (let round = 0; round < 3000; round++) {
    const size = pick(3);
    const bytes = 1 << size;
    const scas = pick(2) === 0;
    const down = pick(4) === 0;
    const whileEqual = pick(2) === 0;
    const count = pick(8) === 0 ? 1 + pick(900) : 1 + pick(40);
    const start = AREA + (pick(2) === 0 ? 0x1000 - pick(64) : 0x1000 + pick(64));
    const other = AREA + 0x4000 + (pick(2) === 0 ? 0x1000 - pick(64) : 0x1000 + pick(64));
    // Long runs of equal (or of different) elements, now and then one of the other kind.
    const fill = pick(256);
    m8.fill(fill, RAM_BASE + AREA, RAM_BASE + AREA + 0x3000);
    m8.fill(whileEqual ? fill : fill ^ 1, RAM_BASE + AREA + 0x4000, RAM_BASE + AREA + 0x7000);
    for (let k = 0; k < 30; k++) m8[RAM_BASE + AREA + 0x4000 + pick(0x3000)] = whileEqual ? pick(256) : fill;
    const value = fill * 0x01010101;
    const load = (): void => {
      bench.setRegs({ [EAX]: value, [ECX]: count, [ESI]: start, [EDI]: other });
      m32[W.EFLAGS] = down ? 2 | FL.DF : 2;
      cpu.setStatus(0);
    };
    const op = `${size === 1 ? '66' : ''}${((scas ? 0xae : 0xa6) | (size > 0 ? 1 : 0)).toString(16)}`;
    load();
    do {
      assert.equal(bench.run(op), undefined);
      m32[ECX]--;
    } while (m32[ECX] !== 0 && ((cpu.getFlags() & FL.ZF) !== 0) === whileEqual);
    const want = [m32[ECX], m32[ESI], m32[EDI], cpu.getFlags()];
    load();
    assert.equal(bench.run(`${whileEqual ? 'f3' : 'f2'}${op}`), undefined);
    assert.deepEqual(
      [m32[ECX], m32[ESI], m32[EDI], cpu.getFlags()],
      want,
      `${scas ? 'scas' : 'cmps'} ${bytes} bytes, count ${count}, down ${down}, while equal ${whileEqual}`,
    );
  }
});

test('a rep with a count of zero changes nothing, flags included', () => {
  const bench = Bench.fresh();
  const { cpu, m32 } = bench;
  cpu.setStatus(FL.CF | FL.PF);
  for (const op of ['f3a4', 'f3a5', 'f3a6', 'f2a7', 'f3aa', 'f3ac', 'f2ae', 'f3af']) {
    bench.setRegs({ [EAX]: 1, [ECX]: 0, [ESI]: 0x20000, [EDI]: 0x21000 });
    assert.equal(bench.run(op), undefined);
    assert.deepEqual([m32[EAX], m32[ECX], m32[ESI], m32[EDI]], [1, 0, 0x20000, 0x21000]);
    assert.equal(cpu.getFlags() & FL.STATUS, FL.CF | FL.PF);
  }
});

test('while TF is set a rep does one element at a time', () => {
  const bench = Bench.fresh();
  const { cpu, m32 } = bench;
  m32[W.EFLAGS] = 2 | FL.TF;
  bench.setRegs({ [ECX]: 2, [EDI]: 0x20000 });
  assert.equal(bench.run('f3ab'), undefined);
  assert.deepEqual([m32[ECX], m32[W.EIP], cpu.unfinished], [1, 0x1000, true]);
  cpu.unfinished = false;
  assert.equal(bench.run('f3ab'), undefined);
  assert.deepEqual([m32[ECX], m32[W.EIP], cpu.unfinished], [0, 0x1002, false]);
});
