// The control file, the first registers, and LGUEST_INIT: cases T1 to T9, T27, T28 and T65 to T67 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Processor } from '../../src/i386/processor';
import { LHCALL } from '../../src/lguest/abi';
import { ControlFile, ERRNO, LHREQ } from '../../src/lguest/control-file';
import { EPOCH } from '../../src/lguest/guest';
import { physicalBytes } from '../../src/lguest/host';
import { Bench, bare, CODE, DATA, PAGES } from './bench';

test('T1: INITIALIZE answers 16 and gives the Guest its first registers and two segments', () => {
  const b = new Bench();
  assert.equal(b.initialized, 16);
  const r = (name: Parameters<typeof b.host.context.get>[0]): number => b.host.context.get(name);
  assert.deepEqual([r('cs'), r('ds'), r('es'), r('ss'), r('fs'), r('gs')], [0x61, 0x69, 0x69, 0x69, 0, 0]);
  assert.deepEqual([r('eflags'), r('eip')], [0x202, CODE]);
  for (const name of ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp'] as const) assert.equal(r(name), 0, name);
  assert.deepEqual([...b.lg.gdt.slice(24, 28)], [0x0000ffff, 0x00cfbb00, 0x0000ffff, 0x00cfb300]);
  assert.ok(b.lg.gdt.every((word, i) => (i >= 24 && i < 28) || word === 0));
  assert.ok(b.lg.idt.every((word) => word === 0));
  assert.deepEqual(b.host.position, { retired: 0, hostStep: 0 });
});

test('T2: read() before INITIALIZE is EINVAL, and by another task EPERM', () => {
  const processor = new Processor({ ramBytes: physicalBytes({ guestBytes: 0x1000 }), countRing0: false, jit: false });
  const empty = new ControlFile(processor, { guestBytes: 0x1000 });
  assert.deepEqual(
    empty.read((host) => host.run(1)),
    { kind: 'error', result: -ERRNO.EINVAL },
  );
  assert.equal(empty.write([LHREQ.IRQ, 1]), -ERRNO.EINVAL);
  const b = new Bench();
  assert.deepEqual(
    b.control.read((host) => host.run(1), 4, 99),
    { kind: 'error', result: -ERRNO.EPERM },
  );
  assert.equal(b.control.write([LHREQ.IRQ, 1], 99), -ERRNO.EPERM);
});

test('INITIALIZE twice is EBUSY, an unknown or obsolete request EINVAL, a short one EFAULT', () => {
  const b = new Bench();
  assert.equal(b.control.write([LHREQ.INITIALIZE, 0, 1, 0, 0]), -ERRNO.EBUSY);
  assert.equal(b.control.write([LHREQ.GETDMA]), -ERRNO.EINVAL);
  assert.equal(b.control.write([77]), -ERRNO.EINVAL);
  assert.equal(b.control.write([]), -ERRNO.EFAULT);
  assert.equal(b.control.write([LHREQ.IRQ]), -ERRNO.EFAULT);
});

test('T3: a first hypercall other than INIT kills; read() says ENOENT once and then the text with its NUL', () => {
  const b = new Bench().code((c) => c.hcall(17));
  const first = b.read();
  assert.deepEqual(first, { kind: 'error', result: -ERRNO.ENOENT });
  const text = 'hypercall 17 before INIT\0';
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(
      b.control.read((host) => host.run(1), 1023),
      { kind: 'reason', result: text.length, text },
    );
  }
  assert.deepEqual(
    b.control.read((host) => host.run(1), 5),
    { kind: 'reason', result: 5, text: 'hyper' },
  );
});

test('T4: INIT with an end exactly at the limit is refused', () => {
  assert.equal(new Bench().code((c) => c.hcall(1, PAGES * 4096 - 1136)).die(), 'bad guest page 00000000');
});

test('T5: INIT one byte lower is accepted, unaligned as it is', () => {
  const at = PAGES * 4096 - 1136 - 1;
  assert.equal(new Bench().code((c) => c.hcall(1, at)).die(), 'bad syscall vector');
  const b = new Bench().setLd({}, at).code((c) => c.hcall(1, at).done());
  assert.equal(b.run().ld('reserveMem', at), 0x400000);
});

test('T6: INIT with a system call vector that the Host does not have kills', () => {
  assert.equal(
    new Bench()
      .setLd({ syscallVec: 0x40 })
      .code((c) => c.hcall(1, DATA))
      .die(),
    'bad syscall vector',
  );
  new Bench({ syscallVector: 0x40 })
    .setLd({ syscallVec: 0x40 })
    .code((c) => c.hcall(1, DATA).done())
    .run();
});

test("T7: INIT with a kernel address in the Switcher's slot kills, just below is accepted", () => {
  assert.equal(
    new Bench()
      .setLd({ kernelAddress: 0xffc00000 })
      .code((c) => c.hcall(1, DATA))
      .die(),
    'bad kernel address 0xffc00000',
  );
  new Bench()
    .setLd({ kernelAddress: 0xffbff000 })
    .code((c) => c.hcall(1, DATA).done())
    .run();
});

test('T8: INIT fills in what the Host provides, leaves eax and the ring alone', () => {
  const b = new Bench().ring(0, 99).code((c) =>
    c
      .hcall(1, DATA)
      .raw(0x90)
      .store(DATA + 2048)
      .done(0),
  );
  b.exit((host) => host.run(8));
  assert.equal(b.u32(DATA + 2048), 1);
  assert.equal(b.ld('reserveMem'), 0x400000);
  assert.equal(b.ld('pgdir'), b.pgdir);
  assert.equal(b.ld('tscKhz'), 1_000_000);
  assert.equal(b.ld('time'), EPOCH);
  assert.equal(b.ringStatus(0), 0);
  assert.equal(b.lg.dead, undefined);
  assert.equal(b.lg.nextHcall, 0);
});

test('a Host without a stable TSC tells the Guest 0', () => {
  assert.equal(
    new Bench({ tscKhz: 0 })
      .code((c) => c.hcall(1, DATA).done())
      .run()
      .ld('tscKhz'),
    0,
  );
});

test('T9: INIT twice kills, by the ring as well', () => {
  assert.equal(bare((c) => c.hcall(1, DATA)).die(), 'already have lguest_data');
  assert.equal(
    bare((c) => c.hcall(0))
      .ring(0, 1, DATA)
      .die(),
    'already have lguest_data',
  );
});

test('T27: a privileged instruction other than in and out before INIT kills', () => {
  assert.equal(new Bench().code((c) => c.raw(0xfa)).die(), 'unhandled trap 13 at 0x100000 (0x0)');
});

test('T28: an unmapped access before INIT kills and names the address', () => {
  assert.equal(new Bench().code((c) => c.load(0x80000000)).die(), 'unhandled trap 14 at 0x100000 (0x80000000)');
});

test('T65: LHREQ_IRQ takes 0 to 31', () => {
  const b = new Bench();
  assert.equal(b.control.write([LHREQ.IRQ, 31]), 0);
  assert.equal(b.lg.irqsPending >>> 0, 0x80000000);
  assert.equal(b.control.write([LHREQ.IRQ, 32]), -ERRNO.EINVAL);
});

test('T66: while break_out is set every read() is EAGAIN; anybody may set and clear it', () => {
  const b = bare((c) => c.raw(0xeb, 0xfe));
  assert.equal(b.exit((host) => host.run(100)).kind, 'budget');
  assert.equal(b.control.write([LHREQ.BREAK, 1], 7), 0);
  for (let i = 0; i < 3; i++) assert.deepEqual(b.read(2_000_000), { kind: 'error', result: -ERRNO.EAGAIN });
  assert.equal(b.control.write([LHREQ.BREAK, 0], 7), 0);
  assert.equal(b.exit((host) => host.run(100)).kind, 'budget');
});

test('T67: every write to a dead Guest is ENOENT', () => {
  const b = new Bench().code((c) => c.hcall(17));
  b.die();
  for (const request of [[LHREQ.INITIALIZE, 0, 0, 0, 0], [LHREQ.IRQ, 1], [LHREQ.BREAK, 1], [42]])
    assert.equal(b.control.write(request), -ERRNO.ENOENT);
});

test('memory that is not there turns each step of INIT into its own death', () => {
  const at = 0x400000; // the device page: above the first page tables
  const cut = (bytes: number): string => {
    const b = new Bench().setLd({}, at).code((c) => c.hcall(LHCALL.LGUEST_INIT, at));
    b.lg.backedBytes = at + bytes;
    return b.die();
  };
  const page = `bad guest page ${(new Bench().lg.memBase + at).toString(16).padStart(8, '0')}`;
  assert.equal(cut(1000), page);
  assert.equal(cut(1116), 'bad syscall vector'); // tsc_khz can be written, syscall_vec not read
});
