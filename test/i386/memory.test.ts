// Where memory accesses end: at 4 GB in flat segments, what INVLPG forgets when a large page is in the TLB, and what the TLB remembers of watched pages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageFlag } from '../../src/i386/cpu';
import { Processor } from '../../src/i386/processor';
import { CS, EAX, EBP, EBX, EXC, RAM_BASE, TLB, TLB_INVALID, W } from '../../src/i386/state';

const CODE = 0x1000;
const MEGABYTE = 1 << 20;

/** A processor in ring 0 with flat segments and paging off; every exception comes back from run(). */
const flat = (jit: boolean): Processor => {
  const proc = new Processor({ ramBytes: 12 * MEGABYTE, countRing0: true, jit, jitThreshold: 0 });
  const { m32 } = proc.cpu;
  proc.reset();
  for (let seg = 0; seg < 6; seg++) {
    m32[W.BASE + seg] = 0;
    m32[W.LIMIT + seg] = -1;
    m32[W.ACCESS + seg] = seg === CS ? 0xc09b : 0xc093;
  }
  m32[W.CR0] = 0x11;
  m32[W.EFLAGS] = 2;
  m32[W.EIP] = CODE;
  proc.cpu.intercept.fill(1);
  proc.cpu.updateMode();
  return proc;
};

const run = (proc: Processor, code: number[]): ReturnType<Processor['run']> => {
  proc.cpu.m32[W.EIP] = CODE;
  proc.cpu.m8.set([...code, 0xf4], RAM_BASE + CODE);
  proc.blocks.clear();
  return proc.run(20);
};

for (const jit of [false, true]) {
  const engine = jit ? 'translated' : 'interpreted';

  test(`an access across 4 GB is beyond the limit of a flat segment (${engine})`, () => {
    const cases: [string, number[], number][] = [
      ['mov eax,[FFFFFFFD]', [0x8b, 0x05, 0xfd, 0xff, 0xff, 0xff], EXC.GP],
      ['mov [FFFFFFFF],ax', [0x66, 0x89, 0x05, 0xff, 0xff, 0xff, 0xff], EXC.GP],
      ['add [ebx],eax', [0x01, 0x03], EXC.GP],
      ['movsx eax,word [ebx+1]', [0x0f, 0xbf, 0x43, 0x01], EXC.GP],
      ['mov eax,[ebp]', [0x8b, 0x45, 0x00], EXC.SS],
      ['leave', [0xc9], EXC.SS],
      ['fld tword [ebx]', [0xdb, 0x2b], EXC.GP],
    ];
    for (const [name, code, vector] of cases) {
      const proc = flat(jit);
      proc.cpu.m32[EBX] = -2;
      proc.cpu.m32[EBP] = -1;
      assert.deepEqual(run(proc, code), { kind: 'intercept', vector, errorCode: 0, software: false }, name);
      assert.equal(proc.cpu.m32[W.EIP], CODE, name);
    }
  });

  test(`an access that ends at 4 GB is within a flat segment (${engine})`, () => {
    const proc = flat(jit);
    proc.cpu.m32[EBX] = -4;
    assert.equal(run(proc, [0x8b, 0x03, 0x89, 0x03, 0x66, 0x8b, 0x4b, 0x02, 0x8a, 0x53, 0x03]).kind, 'halt');
    assert.equal(proc.cpu.m32[EAX], -1, 'there is no memory, so all ones');
  });

  test(`a single step fetches by what the TLB holds, as a run does, when the tables say something else by then (${engine})`, () => {
    const proc = flat(jit);
    const { m32 } = proc.cpu;
    m32[(RAM_BASE + 0x2000) >> 2] = 0x3003;
    for (let page = 0; page < 16; page++) m32[(RAM_BASE + 0x3000 + 4 * page) >> 2] = (page << 12) | 3;
    m32[W.CR3] = 0x2000;
    m32[W.CR0] = 0x80000011 | 0;
    // nop; mov dword [3004h],0 (page 1, where this is); inc ebx; hlt
    proc.cpu.m8.set([0x90, 0xc7, 0x05, 4, 0x30, 0, 0, 0, 0, 0, 0, 0x43, 0xf4], RAM_BASE + CODE);
    m32[EBX] = 7;
    proc.run(2);
    assert.equal(proc.step().kind, 'budget');
    assert.equal(m32[EBX], 8);
  });

  test(`INVLPG forgets the whole of a large page, and nothing of other pages (${engine})`, () => {
    const proc = flat(jit);
    const { m32 } = proc.cpu;
    const word = (physical: number, value: number): void => {
      m32[(RAM_BASE + physical) >> 2] = value;
    };
    const DIRECTORY = 0x2000;
    const TABLE = 0x3000;
    word(DIRECTORY, 0x83);
    word(DIRECTORY + 4, 0x83);
    word(DIRECTORY + 8, TABLE | 3);
    word(TABLE, 0x5003);
    word(0x5000, 0x5555);
    word(0x6000, 0x6666);
    word(0x10000, 1);
    word(0x20000, 2);
    word(4 * MEGABYTE + 0x10000, 0x11);
    word(4 * MEGABYTE + 0x20000, 0x22);
    m32[W.CR4] = 0x10;
    m32[W.CR3] = DIRECTORY;
    m32[W.CR0] = 0x80000011 | 0;
    const load = (linear: number): number => {
      assert.equal(run(proc, [0x8b, 0x05, linear & 0xff, (linear >> 8) & 0xff, (linear >> 16) & 0xff, 0]).kind, 'halt');
      return m32[EAX];
    };
    assert.deepEqual([load(0x410000), load(0x420000), load(0x800000)], [1, 2, 0x5555]);
    word(DIRECTORY + 4, 0x400083);
    word(TABLE, 0x6003);
    assert.deepEqual([load(0x410000), load(0x420000), load(0x800000)], [1, 2, 0x5555], 'until INVLPG the TLB holds what it had');
    assert.equal(run(proc, [0x0f, 0x01, 0x3d, 0, 0, 0x42, 0]).kind, 'halt');
    assert.deepEqual([load(0x410000), load(0x420000), load(0x800000)], [0x11, 0x22, 0x5555]);
    assert.equal(run(proc, [0x0f, 0x01, 0x3d, 0, 0, 0x80, 0]).kind, 'halt');
    assert.equal(load(0x800000), 0x6666);
  });

  test(`a watch that comes and goes changes nothing of what the TLB remembers (${engine})`, () => {
    const proc = flat(jit);
    const { cpu } = proc;
    const { m32 } = cpu;
    const word = (physical: number, value: number): void => {
      m32[(RAM_BASE + physical) >> 2] = value;
    };
    const DIRECTORY = 0x2000;
    const TABLE = 0x3000;
    word(DIRECTORY, TABLE | 3);
    for (let page = 0; page < 16; page++) word(TABLE + 4 * page, (page << 12) | 3);
    word(0x6004, 0x6666);
    word(0x7004, 0x7777);
    m32[W.CR3] = DIRECTORY;
    m32[W.CR0] = 0x80000011 | 0;
    const load = (linear: number): number => {
      assert.equal(run(proc, [0x8b, 0x05, linear & 0xff, (linear >> 8) & 0xff, 0, 0]).kind, 'halt');
      return m32[EAX];
    };
    const store = (linear: number): void => {
      assert.equal(run(proc, [0x89, 0x05, linear & 0xff, (linear >> 8) & 0xff, 0, 0]).kind, 'halt');
    };
    const watch = (on: boolean): void => {
      for (const flag of [PageFlag.WATCH_READ, PageFlag.WATCH_WRITE]) {
        if (on) cpu.setPageFlag(6, flag);
        else cpu.clearPageFlag(6, flag);
      }
    };
    let told = 0;
    cpu.watcher = {
      read: () => told++,
      write: () => told++,
    };
    load(0x6004);
    store(0x6008);
    // The tables say something else now, but nobody has told the processor.
    word(TABLE + 4 * 6, 0x7003);
    m32[EAX] = 1;
    store(0x600c);
    assert.deepEqual([load(0x6004), m32[(RAM_BASE + 0x600c) >> 2], told], [0x6666, 1, 0]);
    watch(true);
    m32[EAX] = 2;
    store(0x600c);
    assert.deepEqual([load(0x6004), m32[(RAM_BASE + 0x600c) >> 2], told], [0x6666, 2, 2]);
    watch(false);
    m32[EAX] = 3;
    store(0x600c);
    assert.deepEqual([load(0x6004), m32[(RAM_BASE + 0x600c) >> 2], told], [0x6666, 3, 2]);
    watch(true);
    assert.equal(run(proc, [0x0f, 0x01, 0x3d, 0, 0x60, 0, 0]).kind, 'halt'); // invlpg
    assert.equal(load(0x6004), 0x7777);
  });

  test(`decoded code in a page, and accesses across its end, change nothing of what the TLB remembers (${engine})`, () => {
    const proc = flat(jit);
    const { m32 } = proc.cpu;
    const word = (physical: number, value: number): void => {
      m32[(RAM_BASE + physical) >> 2] = value;
    };
    const DIRECTORY = 0x2000;
    const TABLE = 0x3000;
    word(DIRECTORY, TABLE | 3);
    for (let page = 0; page < 16; page++) word(TABLE + 4 * page, (page << 12) | 3);
    word(0x6ffc, 0x11223344);
    word(0x7000, 0x55667788);
    word(0x6100, 0xc3c3c3c3 | 0);
    m32[W.CR3] = DIRECTORY;
    m32[W.CR0] = 0x80000011 | 0;
    m32[4] = 0x9000;
    // mov [0x6800], eax; mov [0x7800], eax: both pages are in the TLB for writing. call 0x6100: code is decoded in the first.
    const call = [0xe8, ...[0x6100 - (CODE + 15)].flatMap((d) => [d & 0xff, (d >> 8) & 0xff, 0, 0])];
    assert.equal(run(proc, [0xa3, 0, 0x68, 0, 0, 0xa3, 0, 0x78, 0, 0, ...call]).kind, 'halt');
    word(TABLE + 4 * 6, 0xa003);
    word(TABLE + 4 * 7, 0xb003);
    // mov ebx, [0x6ffe]; mov [0x6900], ebx; add dword [0x6ffe], 1
    const across = [0x8b, 0x1d, 0xfe, 0x6f, 0, 0, 0x89, 0x1d, 0, 0x69, 0, 0, 0x83, 0x05, 0xfe, 0x6f, 0, 0, 1];
    assert.equal(run(proc, across).kind, 'halt');
    const words = [m32[EBX], m32[(RAM_BASE + 0x6900) >> 2], m32[(RAM_BASE + 0x6ffc) >> 2], m32[(RAM_BASE + 0xa900) >> 2]];
    assert.deepEqual(
      words.map((v) => v >>> 0),
      [0x77881122, 0x77881122, 0x11233344, 0],
    );
  });
}

test('the tables of the TLB begin as untouched memory: every access takes the slow way once', () => {
  const { cpu } = new Processor({ ramBytes: MEGABYTE, countRing0: true });
  const tables = cpu.m32.subarray(TLB.SUPER_READ >> 2, (TLB.USER_WRITE >> 2) + (1 << 20));
  assert.ok(tables.every((entry) => entry === TLB_INVALID && entry === 0));
  cpu.read32(0x2000);
  assert.equal(cpu.m32[(TLB.SUPER_READ >> 2) + 2], RAM_BASE - 1);
  cpu.flushTlb();
  assert.ok(tables.every((entry) => entry === TLB_INVALID));
});
