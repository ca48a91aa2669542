// The trap record: what is in it, stops before a decision is applied, positions, the words of explain(), and saving in the middle.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LHCALL } from '../../src/lguest/abi';
import { explain, nearestFlip } from '../../src/lguest/explain';
import type { TrapFilter } from '../../src/lguest/host';
import { Draft, OUTCOMES, RECORD_BYTES, TrapLog, type TrapRecord, toJson } from '../../src/lguest/trap-record';
import { type Bench, bare, Code, DATA, FREE, guest, handlerOf, USER } from './bench';

const filter = (o: Partial<TrapFilter>, vectors: number[] = []): TrapFilter => {
  const wanted = new Uint8Array(257);
  for (const v of vectors) wanted[v] = 1;
  return { vectors: wanted, ring: false, virqDelivered: false, virqHeld: false, test: () => true, ...o };
};
/** Runs to the next stop of the filter. */
const stop = (b: Bench): TrapRecord => {
  const exit = b.exit((host) => host.run(1_000_000));
  assert.equal(exit.kind, 'trap');
  return (exit as { record: TrapRecord }).record;
};

test('a record takes at most 96 bytes, and the log keeps the newest in full and counts all', () => {
  assert.ok(RECORD_BYTES <= 96);
  const log = new TrapLog(4);
  const d = new Draft();
  for (let i = 0; i < 10; i++) {
    d.eip = i;
    d.vector = 6;
    log.add(d);
  }
  assert.deepEqual(
    [...log].map((r) => [r.k, r.eip]),
    [
      [6, 6],
      [7, 7],
      [8, 8],
      [9, 9],
    ],
  );
  assert.equal(log.get(5), undefined);
  assert.equal(log.get(10), undefined);
  assert.equal(log.totals.traps[6], 10);
});

test('a page fault is one record with what the Host read to decide', () => {
  const b = guest((c) => c.load(FREE).done(), [[14, 0xe]]).run();
  const [r] = b.traps(14).filter((x) => x.cr2 === FREE);
  assert.deepEqual([r.kind, r.outcome, r.reason, r.err, r.cpl], ['trap', 'paged-in', 'read-absent', 0, 1]);
  assert.equal(r.walk?.gpte, FREE | 7);
  assert.equal((r.walk?.filled ?? 0) & 0xfff, 0x25);
  assert.equal((r.walk?.filled ?? 0) - b.lg.memBase - 0x25, FREE);
});

test('a reflected fault has the handler, the frame with who made each word, and cr2', () => {
  const b = guest((c) => c.load(0x80000000), [[14, 0xe]]).run();
  const r = b.traps(14).find((x) => x.cr2 === 0x80000000);
  assert.deepEqual([r?.outcome, r?.reason, r?.cr2, r?.handler], ['reflected', 'gpde-absent', 0x80000000, handlerOf(14)]);
  assert.deepEqual(
    r?.frame?.words.map((w) => w.name),
    ['eflags', 'cs', 'eip', 'error'],
  );
  assert.equal(r?.frame?.at, b.box('esp'));
});

test('a record learns after how many instructions its frame was popped', () => {
  const b = guest(
    (c) => c.toUser(USER),
    [
      [0x80, 0xf, 3],
      [13, 0xe],
    ],
  ).load(new Code(USER).int(0x80).raw(0xfa).int(0x80));
  b.code((c) => c.raw(0x90, 0x90, 0xcf), handlerOf(0x80)); // nop, nop, iret
  b.code((c) => c.raw(0x83, 0xc4, 4, 0x83, 0x04, 0x24, 1, 0xcf), handlerOf(13)); // drop the error code, step over cli, iret
  b.exit((host) => host.run(200));
  const seen = b.records().filter((r) => r.frame !== undefined);
  assert.deepEqual(
    seen.slice(0, 3).map((r) => [r.vector, r.outcome, r.instructions]),
    [
      [0x80, 'direct', 3],
      [13, 'reflected', 3],
      [0x80, 'direct', 3],
    ],
  );
});

test('the filter stops between decision and application: nothing is written before the next run', () => {
  const b = guest((c) => c.load(0x80000000), [[14, 0xe]]);
  b.host.setFilter(filter({ test: (r) => r.outcome === 'reflected' }, [14]));
  const r = stop(b);
  assert.equal(r.reason, 'gpde-absent');
  assert.equal(b.ld('cr2'), 0);
  assert.equal(b.host.context.get('eip'), r.eip);
  assert.equal(b.host.current?.k, r.k);
  b.run();
  assert.equal(b.box('cr2'), 0x80000000);
  assert.equal(b.host.records.get(r.k)?.outcome, 'reflected');
});

test('a stop before a silent fill shows the tables as they were', () => {
  const b = guest((c) => c.store(FREE).done());
  b.host.setFilter(filter({ test: (r) => r.cr2 === FREE }, [14]));
  const r = stop(b);
  assert.deepEqual([r.outcome, b.gpte(FREE) & 0x60, b.sflags(FREE)], ['paged-in', 0, 0]);
  b.host.setFilter(undefined);
  b.run();
  assert.equal(b.gpte(FREE) & 0x60, 0x60);
});

test('direct traps can be stopped before they are delivered, and are recorded when they are', () => {
  const b = guest((c) => c.toUser(USER), [[0x80, 0xf, 3]]).load(new Code(USER).int(0x80));
  b.host.setFilter(filter({}, [0x80]));
  const r = stop(b);
  assert.deepEqual([r.kind, r.vector, r.outcome, r.cpl], ['direct', 0x80, 'direct', 3]);
  assert.equal(b.host.records.count, r.k);
  assert.equal(b.host.inGuest, true);
  b.run();
  assert.deepEqual([b.host.records.get(r.k)?.kind, b.box('vector')], ['direct', 0x80]);
});

test('hypercalls and ring entries stop before they run', () => {
  const b = bare((c) => c.hcall(LHCALL.FLUSH_ASYNC).done())
    .ring(0, LHCALL.TS, 8)
    .ring(1, LHCALL.TS, 16);
  b.host.setFilter(filter({ ring: true, test: (r) => r.hypercall?.name !== 'LGUEST_INIT' }, [31]));
  const call = stop(b);
  assert.deepEqual([call.hypercall?.name, b.lg.hcallPending], ['FLUSH_ASYNC', false]);
  const first = stop(b);
  assert.deepEqual([first.hypercall?.name, first.hypercall?.slot, first.parent, b.lg.ts], ['TS', 0, call.k, 0]);
  const second = stop(b);
  assert.deepEqual([second.hypercall?.slot, second.parent, b.lg.ts], [1, call.k, 8]);
  b.host.setFilter(undefined);
  b.run();
  assert.equal(b.lg.ts, 16);
});

test('virtual interrupts stop before they go in, and when they are newly held', () => {
  const b = guest((c) => c.put(DATA, 0).hcall(0).put(DATA, 0x200).hcall(0).done(), [[33, 0xe]]);
  b.host.setFilter(filter({ virqDelivered: true, virqHeld: true, test: (r) => r.reason !== 'before-init' }));
  b.control.write([2, 1]);
  assert.equal(stop(b).reason, 'disabled');
  const r = stop(b);
  assert.deepEqual([r.outcome, r.reason, b.lg.irqsPending], ['virq-delivered', 'injected', 2]);
  b.host.setFilter(undefined);
  assert.equal(b.run().box('vector'), 33);
});

test('world switches can be stopped on both ways', () => {
  const b = bare((c) => c.hcall(0).done());
  const seen: string[] = [];
  b.host.setFilter(
    filter({
      worldSwitch: (direction) => {
        seen.push(direction);
        return seen.length === 2;
      },
    }),
  );
  const exit = b.exit((host) => host.run(100_000));
  assert.deepEqual(exit, { kind: 'world-switch', direction: 'exit' });
  b.run();
  assert.deepEqual(seen.slice(0, 4), ['enter', 'exit', 'enter', 'exit']);
});

test('a filter changes nothing of the run', () => {
  const program = (c: Code): Code => c.load(FREE).store(FREE).hcall(0).raw(0xec).toUser(USER);
  const make = (): Bench =>
    guest(program, [
      [0x80, 0xf, 3],
      [14, 0xe],
    ])
      .ring(0, LHCALL.TS, 8)
      .load(new Code(USER).load(FREE).int(0x80));
  const plain = make().run();
  const expected = plain.records().map(toJson);
  const b = make();
  b.host.setFilter(
    filter(
      { ring: true, virqDelivered: true, virqHeld: true, worldSwitch: () => true },
      Array.from({ length: 257 }, (_, v) => v),
    ),
  );
  for (let stops = 0; ; stops++) {
    const read = b.control.read((host) => host.run(1_000_000));
    if (read.kind === 'notify') break;
    assert.ok(stops < 1000);
  }
  assert.deepEqual(b.records().map(toJson), expected);
});

test('positions are unique, ascending, and count Guest instructions', () => {
  const b = guest(
    (c) => c.load(FREE).hcall(0).toUser(USER),
    [
      [0x80, 0xf, 3],
      [14, 0xe],
    ],
  )
    .ring(0, LHCALL.TS, 0)
    .load(new Code(USER).int(0x80))
    .run();
  const all = b.records();
  for (let i = 1; i < all.length; i++) {
    const [x, y] = [all[i - 1].pos, all[i].pos];
    assert.ok(
      y.retired > x.retired || (y.retired === x.retired && y.hostStep > x.hostStep),
      `${toJson(all[i - 1])} before ${toJson(all[i])}`,
    );
  }
});

test('single steps stop once for each instruction, and at the handler when the instruction traps to the Guest', () => {
  const b = guest((c) => c.raw(0x90).load(FREE).load(0x80000000), [[14, 0xe]]);
  const { host } = b;
  const step = (): number => {
    host.beginStep();
    assert.deepEqual(
      b.exit((h) => h.step()),
      { kind: 'budget' },
    );
    return host.context.get('eip');
  };
  // Up to the program's own instructions: setup() is 1 + 3 * 5 + 5.
  for (let i = 0; i < 21; i++) step();
  const nop = host.context.get('eip');
  assert.deepEqual([step(), step(), step()], [nop + 1, nop + 6, handlerOf(14)]);
  assert.equal(host.processor.retired, 23);
});

test('stepHost goes through the Switcher one instruction at a time', () => {
  const b = bare((c) => c.done());
  const eips: number[] = [];
  for (let i = 0; i < 60; i++) {
    if (b.host.inSwitcher) eips.push(b.processor.cpu.m32[9] >>> 0);
    b.exit((host) => host.stepHost());
    if (b.host.inGuest) break;
  }
  assert.equal(eips[0], b.host.layout.stubEip);
  assert.ok(eips.filter((eip) => eip >= 0xffc00000).length >= 25);
  assert.equal(b.host.inGuest, true);
});

test('explain() tells each decision in order and ends with what settled it', () => {
  const b = guest((c) => c.load(FREE).raw(0xec).load(0x80000000), [[14, 0xe]]).run();
  const last = b.traps(14).find((r) => r.cr2 === 0x80000000) as TrapRecord;
  assert.deepEqual(explain(last).map((s) => [s.fn, s.condition, s.taken])[0], ['demand_page', 'is the Guest PDE present?', 'no']);
  assert.match(nearestFlip(last) ?? '', /Guest PDE/);
  const fill = b.traps(14).find((r) => r.cr2 === FREE) as TrapRecord;
  assert.deepEqual(
    explain(fill).map((s) => `${s.condition} ${s.taken}`),
    [
      'is the Guest PDE present? yes',
      'is the shadow PDE present? yes',
      'is the Guest PTE present? yes',
      'Guest PTE marked done',
      'is the page dirty? no',
      'shadow PTE set done',
    ],
  );
  const io = explain(b.traps(13)[0]);
  assert.equal(io.at(-1)?.condition, 'reads all ones');
});

test('explain() and the JSON line have something to say about every record', () => {
  const b = guest(
    (c) => c.put(DATA, 0x200).hcall(LHCALL.SET_CLOCKEVENT, 1000).load(FREE).raw(0xec).hcall(0).spin(5000).toUser(USER),
    [
      [0x80, 0xf, 3],
      [32, 0xf],
    ],
  );
  b.ring(0, LHCALL.TS, 8).load(new Code(USER).int(0x80));
  b.code((c) => c.raw(0xcf), handlerOf(32)); // iret
  b.run();
  for (const r of b.records()) {
    assert.ok(explain(r).length > 0, toJson(r));
    const line = JSON.parse(toJson(r)) as Record<string, unknown>;
    for (const key of ['k', 'pos', 'vector', 'err', 'eip', 'cs', 'cpl', 'cr2', 'outcome', 'reason', 'parent']) assert.ok(key in line, key);
    assert.ok(OUTCOMES.includes(r.outcome));
  }
  const outcomes = new Set(b.records().map((r) => r.outcome));
  for (const o of ['direct', 'paged-in', 'emulated', 'hypercall', 'virq-delivered', 'host-irq'])
    assert.ok(outcomes.has(o as TrapRecord['outcome']), o);
});

test('a kill has a record of its own, child of what caused it', () => {
  const b = bare((c) => c.hcall(12));
  b.die();
  const kill = b.records().at(-1);
  assert.deepEqual([kill?.kind, kill?.message, kill?.outcome], ['kill', 'Bad hypercall 12\n', 'killed']);
  const cause = b.host.records.get(kill?.parent ?? -1);
  assert.deepEqual([cause?.hypercall?.number, cause?.outcome], [12, 'killed']);
});

test('a Host saved at a stop goes on as if nothing had happened', () => {
  const make = (): Bench =>
    guest((c) => c.load(FREE).hcall(0).load(0x80000000), [[14, 0xe]])
      .ring(0, LHCALL.TS, 8)
      .ring(1, LHCALL.TS, 16);
  const expected = make().run().records().map(toJson);
  for (const wanted of ['reflected', 'paged-in', 'hypercall'] as const) {
    const b = make();
    b.host.setFilter(
      filter(
        {
          ring: true,
          test: (r) =>
            r.outcome === wanted && r.kind !== 'kill' && (wanted !== 'hypercall' || r.hypercall?.slot === 1) && (r.cr2 ?? FREE) >= FREE,
        },
        [14],
      ),
    );
    stop(b);
    const state = b.host.save();
    // Memory and registers are unchanged; decisions not yet applied are made again.
    b.host.restore(structuredClone(state));
    b.host.setFilter(undefined);
    b.run();
    assert.deepEqual(b.records().map(toJson), expected, wanted);
  }
});

test('totals agree with the records', () => {
  const b = guest((c) => c.load(FREE).store(FREE).raw(0xec, 0xee).hcall(0).load(0x80000000), [[14, 0xe]])
    .ring(0, LHCALL.TS, 8)
    .run();
  const { totals } = b.host.records;
  const all = b.records();
  for (const o of OUTCOMES) assert.equal(totals.outcomes[o], all.filter((r) => r.outcome === o).length, o);
  assert.equal(totals.traps[14], b.traps(14).length);
  assert.deepEqual([totals.emulatedIn, totals.emulatedOut, totals.filled.dirtyUpgrade > 0], [1, 1, true]);
  assert.deepEqual([totals.pageFaultsGiven.ring1, totals.pageFaultsGiven.ring3], [1, 0]);
  assert.equal(totals.hypercallsAsync[LHCALL.TS], 1);
});
