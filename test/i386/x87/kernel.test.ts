// The WebAssembly kernel against the interpreter's handlers: whatever an entry takes on it does exactly alike, whatever it leaves it leaves untouched.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, R } from '../../../src/i386/decode';
import { HANDLERS } from '../../../src/i386/interpreter';
import { ROWS } from '../../../src/i386/rows';
import { RAM_BASE, S, TLB, W } from '../../../src/i386/state';
import { createKernel, KERNEL } from '../../../src/i386/x87/kernel';
import { Unit } from './unit-under-test';

const unit = new Unit();
const { m, cpu } = unit;
const kernel = createKernel(cpu.memory);

let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  let x = seed ^ (seed >>> 15);
  x = Math.imul(x, 0x2c1b3c6d);
  return (x ^ (x >>> 13)) >>> 0;
};
const below = (n: number): number => random() % n;

/** A number for slot `slot`: mostly ordinary ones of near exponents, some zeros, some special. */
const fill = (slot: number): void => {
  const kind = below(20);
  let high = random() | 0x80000000;
  let low = below(3) === 0 ? 0 : random();
  let exp = kind < 10 ? 0x3fff + below(8) - 4 : kind < 15 ? 0x3fff + below(140) - 70 : kind < 17 ? 1 + below(0x7ffe) : 0x3fff + below(66);
  if (below(4) === 0) {
    // Few bits, or nearly a power of two: ties and carries.
    high = below(2) ? 0x80000000 | (random() & 0xff000000) : -1;
    low = [0, 0x80000000, 0xffffffff, 0xfffffc00, 0x400, 0x800, 0x7ff, 1][below(8)];
  }
  if (kind === 18) high = low = exp = 0;
  if (kind === 19) exp = [0, 0x7fff, 1, 0x7ffe][below(4)];
  m[slot] = low;
  m[slot + 1] = high;
  m[slot + 2] = exp | (below(2) << 15);
};
/** Operand bytes at `index` into the memory, by the width in the row's name. */
const fillMemory = (index: number, name: string): void => {
  for (let n = 0; n < 12; n++) cpu.m8[index + n] = random();
  if (/_m64$/.test(name) && !/^fi/.test(name)) {
    const exp = below(10) === 0 ? [0, 0x7ff, 1, 0x7fe][below(4)] : 1023 + below(40) - 20;
    cpu.m8[index + 7] = (below(2) << 7) | (exp >> 4);
    cpu.m8[index + 6] = (exp << 4) | below(16);
    if (below(12) === 0) cpu.m8.fill(0, index, index + 8);
  } else if (/_m32$/.test(name) && !/^fi/.test(name)) {
    const exp = below(10) === 0 ? [0, 0xff, 1, 0xfe][below(4)] : 127 + below(40) - 20;
    cpu.m8[index + 3] = (below(2) << 7) | (exp >> 1);
    cpu.m8[index + 2] = (exp << 7) | below(128);
    if (below(12) === 0) cpu.m8.fill(0, index, index + 4);
  } else if (name === 'fldcw') {
    cpu.m8[index] = 0x7f - (below(8) === 0 ? below(64) : 0);
    cpu.m8[index + 1] = below(16);
  }
  if (/^fi/.test(name) && below(6) === 0) cpu.m8.fill(below(2) ? 255 : 0, index, index + 8);
};

/** The state block without its working slots and free words. */
const state = (): number[] => [...m.subarray(0, S.FPU_TEMP >> 2)];
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const ADDRESS = 0x1800;

for (const [number, row] of ROWS.entries()) {
  const entry = KERNEL.find((e) => e.name === row.name);
  if (entry === undefined || row.op < 0xd8 || row.op > 0xdf || (row.modrm !== undefined && (row.modrm & 5) !== 0 && row.args !== ''))
    continue;
  const modrm = row.modrm ?? 0x05 | ((row.ext ?? 0) << 3);
  test(`${row.name} (${row.op.toString(16)} ${modrm.toString(16)}) does in WebAssembly what its handler does`, () => {
    let taken = 0;
    const rounds = 300;
    for (let round = 0; round < rounds; round++) {
      const address = ADDRESS + (below(16) === 0 ? 0x7f0 + below(32) : below(64));
      unit.execute([0xdb, 0xe3]);
      m[W.FPU_CW] = [0x37f, 0x37f, 0x37f, 0x37f, 0xf7f, 0xb7f, 0x27f, 0x37e][below(8)];
      m[W.FPU_SW] = (below(8) << 11) | (random() & 0x4723 & random()) | (below(30) === 0 ? 0x8080 : 0);
      m[W.FPU_VALID] = below(8) === 0 ? below(256) : /^(fld|fild)/.test(row.name) ? 0xff & ~(1 << (((m[W.FPU_SW] >> 11) + 7) & 7)) : 0xff;
      for (let r = 0; r < 8; r++) fill(W.FPU_REGS + 4 * r);
      if (below(10) === 0) {
        const top = (m[W.FPU_SW] >> 11) & 7;
        m.copyWithin(W.FPU_REGS + 4 * top, W.FPU_REGS + 4 * ((top + 2) & 7), W.FPU_REGS + 4 * ((top + 2) & 7) + 3);
      }
      m[W.CR0] = 0x31 | (below(40) === 0 ? 8 : 0);
      cpu.setStatus(0x8d5);
      const index = RAM_BASE + address;
      fillMemory(index, row.name);
      cpu.flushTlb();
      if (below(20) !== 0) {
        cpu.probeWrite(address, 1);
        cpu.read8(address);
        cpu.read8((address + 16) | 0);
      }
      const bytes = [row.op, modrm, ...(entry.memory ? [address & 0xff, address >> 8, 0, 0] : []), 0, 0, 0];
      decode(Uint8Array.from(bytes), 0, bytes.length, true, cpu.code, 0);
      assert.equal(cpu.code[R.FORM] >> 3, number);
      cpu.blockEip = 0x777;
      const before = state();
      const memoryBefore = cpu.m8.slice(RAM_BASE, RAM_BASE + 0x3000);
      const eip = 0x777;
      const fop = ((row.op & 7) << 8) | modrm;
      const result = entry.memory
        ? kernel[row.name](address, entry.writes ? TLB.SUPER_WRITE : TLB.SUPER_READ, eip, fop | (3 << 16))
        : kernel[row.name](modrm & 7, eip, fop);
      const after = state();
      const memoryAfter = cpu.m8.slice(RAM_BASE, RAM_BASE + 0x3000);
      if (result === 0) {
        assert.deepEqual(after, before, 'an entry that declines changes nothing');
        assert.ok(same(memoryAfter, memoryBefore), 'nor memory');
        continue;
      }
      taken++;
      m.set(before);
      cpu.m8.set(memoryBefore, RAM_BASE);
      HANDLERS[cpu.code[R.FORM]](cpu, 0);
      const slots = [0, 1, 2, 3, 4, 5, 6, 7].map((r) =>
        before.slice(W.FPU_REGS + 4 * r, W.FPU_REGS + 4 * r + 3).map((v) => (v >>> 0).toString(16)),
      );
      assert.deepEqual(
        after,
        state(),
        `CW ${before[W.FPU_CW].toString(16)} SW ${before[W.FPU_SW].toString(16)} registers ${JSON.stringify(slots)}`,
      );
      assert.ok(same(memoryAfter, cpu.m8.slice(RAM_BASE, RAM_BASE + 0x3000)), 'memory');
    }
    assert.ok(taken > rounds / 6, `only ${taken} of ${rounds} cases were taken`);
  });
}
