// Virtual interrupts, HALT and the clock: cases T50 to T57, T78 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LD, LHCALL } from '../../src/lguest/abi';
import { LHREQ } from '../../src/lguest/control-file';
import { EPOCH } from '../../src/lguest/guest';
import {
  type Bench,
  type Code,
  CODE,
  DATA,
  FREE,
  guest,
  handlerOf,
  KERNEL_DS,
  KSTACK,
  STACK,
  USER,
  USER_CS,
  USER_DS,
  USTACK,
} from './bench';

const IRQ_GATES: [number, 0xe | 0xf][] = [0, 1, 2, 3, 5].map((irq) => [32 + irq, 0xe]);
/** setup() and then `write`; interrupts 0 to 3 and 5 have gates. The Guest's first hypercall of its own is where irqs are raised from outside. */
const irqGuest = (write: (c: Code) => void): Bench => guest(write, IRQ_GATES);
/** Runs up to a NOTIFY of 0x1234, which the program makes when it is ready. */
const ready = (b: Bench): Bench => {
  const r = b.read();
  assert.deepEqual(r, { kind: 'notify', result: 4, address: 0x1234 });
  return b;
};
const raise = (b: Bench, irq: number): Bench => {
  assert.equal(b.control.write([LHREQ.IRQ, irq]), 0);
  return b;
};
const virqs = (b: Bench): [outcome: string, reason: string, irq: number | undefined][] =>
  b
    .records()
    .filter((r) => r.kind === 'virq')
    .map((r) => [r.outcome, r.reason, r.virq?.irq]);

test('T50: HALT with an unblocked interrupt pending wakes at once, with interrupts on, whatever irq_enabled said', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0).hcall(LHCALL.NOTIFY, 0x1234).hcall(LHCALL.HALT).done(0x9999)));
  raise(b, 3).run();
  assert.deepEqual([b.box('vector'), b.box('w2') & 0x200, b.box('irqEnabled')], [35, 0x200, 0]);
  assert.deepEqual(virqs(b).at(-1), ['virq-delivered', 'woke-halted', 3]);
});

test('T51: HALT with only blocked interrupts pending sleeps on', () => {
  const b = ready(
    irqGuest((c) =>
      c
        .put(DATA + LD.blockedInterrupts, -1)
        .hcall(LHCALL.NOTIFY, 0x1234)
        .hcall(LHCALL.HALT),
    ),
  );
  raise(b, 3);
  assert.deepEqual(b.read(), { kind: 'early', exit: { kind: 'halted', wakeNs: undefined } });
  assert.deepEqual(virqs(b).at(-1), ['virq-held', 'blocked', 3]);
  b.setLdField('blockedInterrupts', 0);
  b.run();
  assert.equal(b.box('vector'), 35);
});

test('T52: nothing is delivered while eip is in the noirq range; its start counts, its end does not', () => {
  const attempt = (start: number, end: number): number => {
    const b = irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).done());
    ready(b);
    const eip = b.host.context.get('eip');
    b.lg.noirqStart = eip + start;
    b.lg.noirqEnd = eip + end;
    raise(b, 1);
    b.exit((host) => host.run(1));
    return b.lg.irqsPending;
  };
  assert.equal(attempt(0, 1), 2);
  assert.equal(attempt(-5, 1), 2);
  assert.equal(attempt(-5, 0), 0);
  assert.equal(attempt(1, 9), 0);
});

test('T52: the range is read at INIT, and the interrupt comes after it is left', () => {
  // The program spins inside the range; the tick forces exits.
  const b = irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).spin(600_000).raw(0x90).hcall(LHCALL.FLUSH_ASYNC).done(0x9999));
  ready(b);
  const eip = b.host.context.get('eip');
  b.lg.noirqStart = eip;
  b.lg.noirqEnd = eip + 9;
  raise(b, 1).run();
  assert.equal(b.box('vector'), 33);
  assert.ok(b.box('w0') >= eip + 9);
  assert.ok(virqs(b).some(([outcome, reason]) => outcome === 'virq-held' && reason === 'noirq-range'));
});

test('T53: irq_enabled non-zero without bit 9 lets interrupts in and pushes IF clear', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0x46).hcall(LHCALL.NOTIFY, 0x1234).done(0x9999)));
  raise(b, 1).run();
  assert.deepEqual([b.box('vector'), b.box('w2') & 0x200, b.box('irqEnabled')], [33, 0, 0]);
});

test('T54: the lowest pending interrupt comes first, the other on a later entry', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).done(0x9999)));
  raise(raise(b, 5), 2).run();
  assert.equal(b.box('vector'), 34);
  assert.equal(b.lg.irqsPending, 1 << 5);
  b.setLdField('irqEnabled', 0x200);
  b.run();
  assert.equal(b.box('vector'), 37);
});

test('T55: without a gate the interrupt stays pending; the time is written only when interrupts are on', () => {
  for (const irqEnabled of [0x200, 0]) {
    const b = ready(
      irqGuest((c) =>
        c
          .put(DATA, irqEnabled)
          .put(DATA + LD.time, 0)
          .hcall(LHCALL.NOTIFY, 0x1234)
          .done(),
      ),
    );
    raise(b, 9).run();
    assert.equal(b.lg.irqsPending, 1 << 9);
    assert.equal(b.ld('time'), irqEnabled === 0 ? 0 : EPOCH);
    assert.deepEqual(virqs(b), [['virq-held', irqEnabled === 0 ? 'disabled' : 'no-gate', 9]]);
  }
});

test('a halted Guest without a gate is awake all the same', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0).hcall(LHCALL.NOTIFY, 0x1234).hcall(LHCALL.HALT).done()));
  raise(b, 9).run();
  assert.equal(b.ld('irqEnabled'), 0x200);
});

test('T56: an interrupt of ring 3 goes to esp1 with five words, of ring 1 onto the same stack with three', () => {
  const user = guest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).toUser(USER), IRQ_GATES);
  user.memory.write(USER, Uint8Array.of(0xeb, 0xfe));
  ready(user);
  user.exit((host) => host.run(100));
  raise(user, 1).run();
  assert.deepEqual([user.box('esp'), user.box('ss')], [KSTACK - 20, KERNEL_DS]);
  assert.deepEqual([user.box('w0'), user.box('w1'), user.box('w3'), user.box('w4')], [USER, USER_CS, USTACK, USER_DS]);
  const kernel = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).raw(0xeb, 0xfe)));
  const eip = kernel.host.context.get('eip');
  raise(kernel, 1).run();
  assert.deepEqual([kernel.box('esp'), kernel.box('w0'), kernel.box('w1')], [STACK - 12, eip, 0x61]);
});

test('T57: SET_CLOCKEVENT fires once; 0 cancels it, but not an interrupt that is pending already', () => {
  const once = irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.SET_CLOCKEVENT, 1_000_000).raw(0xeb, 0xfe)).run();
  assert.equal(once.box('vector'), 32);
  assert.equal(once.lg.timer, -1);
  once.setLdField('irqEnabled', 0x200);
  once.code((c) => c.raw(0xeb, 0xfe), FREE);
  once.host.context.set('eip', FREE);
  assert.equal(once.exit((host) => host.run(3_000_000)).kind, 'budget');

  const cancelled = irqGuest((c) =>
    c.put(DATA, 0x200).hcall(LHCALL.SET_CLOCKEVENT, 1_000_000).hcall(LHCALL.SET_CLOCKEVENT, 0).spin(1_000_000).done(),
  ).run();
  assert.deepEqual(virqs(cancelled), []);

  const late = irqGuest((c) => {
    c.put(DATA, 0).hcall(LHCALL.SET_CLOCKEVENT, 1_000_000).spin(1_000_000).hcall(LHCALL.SET_CLOCKEVENT, 0);
    c.put(DATA, 0x200).hcall(LHCALL.FLUSH_ASYNC).done(0x9999);
  }).run();
  assert.equal(late.box('vector'), 32);
});

test('a clock event of 1 ns is as good as any', () => {
  const b = irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.SET_CLOCKEVENT, 1).raw(0xeb, 0xfe)).run();
  assert.equal(b.box('vector'), 32);
});

test('the timer goes off at its very instruction: Guest time is retired instructions and 500 ns an entry', () => {
  const b = irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.SET_CLOCKEVENT, 300_000).raw(0xeb, 0xfe)).run();
  const set = b.records().find((r) => r.hypercall?.name === 'SET_CLOCKEVENT');
  const [exit] = b.traps(32).filter((r) => r.k > (set?.k ?? 0));
  assert.equal(exit.ns, (set?.ns ?? 0) + 300_000);
  assert.equal(exit.pos.retired, (set?.pos.retired ?? 0) + 300_000 - 500);
});

test('a Host tick ends every millisecond of Guest time', () => {
  const b = irqGuest((c) => c.raw(0xeb, 0xfe));
  b.exit((host) => host.run(10_200_000));
  const ticks = b.traps(32);
  assert.equal(ticks.length, 10);
  assert.deepEqual(
    ticks.map((r) => r.ns),
    Array.from({ length: 10 }, (_, i) => (i + 1) * 1_000_000),
  );
  assert.ok(ticks.every((r) => r.outcome === 'host-irq'));
});

test('a Guest that only faults meets its timer too', () => {
  const b = guest((c) => c.put(DATA, 0).hcall(LHCALL.SET_CLOCKEVENT, 400_000).toUser(USER), IRQ_GATES);
  b.memory.write(USER, Uint8Array.of(0xa1, 0, 0, 0x28, 0x80)); // mov 0x80280000, %eax
  b.set32(b.gpdeAt(0x80000000), (b.pgdir - 4096) | 3);
  b.exit((host) => host.run(100_000, 1_000));
  assert.equal(b.lg.irqsPending, 1);
});

test('T78: HALT inside the noirq range sleeps on', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).hcall(LHCALL.HALT)));
  b.lg.noirqStart = CODE;
  b.lg.noirqEnd = CODE + 0x1000;
  raise(b, 1);
  assert.deepEqual(b.read(), { kind: 'early', exit: { kind: 'halted', wakeNs: undefined } });
});

test('enabling interrupts is noticed only at the next exit', () => {
  const b = ready(
    irqGuest((c) => c.put(DATA, 0).hcall(LHCALL.NOTIFY, 0x1234).put(DATA, 0x200).raw(0x90, 0x90).hcall(LHCALL.FLUSH_ASYNC).done(0x9999)),
  );
  raise(b, 1);
  b.exit((host) => host.run(3));
  assert.equal(b.lg.irqsPending, 2);
  assert.equal(b.run().box('vector'), 33);
});

test('an interrupt held for one reason is recorded once, not at every entry', () => {
  const b = ready(
    irqGuest((c) =>
      c
        .put(DATA, 0)
        .hcall(LHCALL.NOTIFY, 0x1234)
        .hcall(0)
        .hcall(0)
        .hcall(0)
        .put(DATA + LD.blockedInterrupts, -1)
        .hcall(0)
        .done(),
    ),
  );
  raise(b, 1).run();
  assert.deepEqual(virqs(b), [
    ['virq-held', 'disabled', 1],
    ['virq-held', 'blocked', 1],
  ]);
});

test('an interrupt before INIT waits', () => {
  const b = irqGuest((c) => c.done());
  raise(b, 1);
  b.exit((host) => host.run(1));
  assert.deepEqual(virqs(b), [['virq-held', 'before-init', 1]]);
});

/** lguest_data out of reach after `bytes`, while the Guest is ready and an interrupt pending. The page tables move below it. */
const cut = (bytes: number, program: (c: Code) => void): string => {
  const b = ready(irqGuest(program));
  const tables = 0x80000;
  for (let i = 0; i < 1024; i++) b.set32(tables + 4096 + i * 4, b.u32(b.pgdir - 4096 + i * 4));
  b.set32(tables, (tables + 4096) | 7);
  b.lg.pgdirs[0].gpgdir = tables;
  // Handlers and stack are below lguest_data or not needed.
  b.lg.setReg(64, 0x1f0000);
  b.lg.backedBytes = DATA + bytes;
  raise(b, 1);
  return b.die();
};
test('lguest_data that went away makes each of its writes a death', () => {
  assert.equal(
    cut(14, (c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).done()),
    'Writing timestamp',
  );
  const gone = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).hcall(LHCALL.HALT)));
  gone.lg.halted = true;
  const realLd32 = gone.lg.ld32.bind(gone.lg);
  gone.lg.setLd32 = () => false; // readable, not writable: what a read-only mapping in the Launcher would be
  gone.lg.ld32 = realLd32;
  raise(gone, 1);
  assert.equal(gone.die(), 'Re-enabling interrupts');
  const disabling = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).done()));
  disabling.lg.setLd32 = () => false;
  raise(disabling, 1);
  assert.equal(disabling.die(), 'Disabling interrupts');
  const fault = ready(guest((c) => c.hcall(LHCALL.NOTIFY, 0x1234).load(0x80000000), [[14, 0xe]]));
  fault.lg.setLd32 = () => false;
  assert.equal(fault.die(), 'Writing cr2');
  const ring = ready(guest((c) => c.hcall(LHCALL.NOTIFY, 0x1234).hcall(0)));
  ring.ring(0, LHCALL.TS, 0);
  ring.lg.setLd8 = () => false;
  assert.equal(ring.die(), 'Writing result for async hypercall');
});

test('handlers of interrupts run at the gate, in ring 1', () => {
  const b = ready(irqGuest((c) => c.put(DATA, 0x200).hcall(LHCALL.NOTIFY, 0x1234).raw(0xeb, 0xfe)));
  raise(b, 1);
  b.exit((host) => host.run(0));
  assert.deepEqual([b.host.context.get('eip'), b.host.context.get('cs')], [handlerOf(33), 0x61]);
});
