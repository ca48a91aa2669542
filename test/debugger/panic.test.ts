// The filter "panic" at work: BUG() by its record, die() and panic() by name; and what differs from native delivery, for traps of the demo Guest.
//
// The demo has no such functions, so a System.map gives Linux's names to functions of it; ud2 and its record are written into its memory. Runs are small.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bugAt, inOops } from '../../src/debugger/bug';
import { openProgram, Programs } from '../../src/debugger/programs';
import { QUESTIONS } from '../../src/debugger/questions';
import { hex } from '../../src/lguest/abi';
import { nativeDifferences } from '../../src/lguest/native-delivery';
import { Draft, TrapLog, type TrapRecord } from '../../src/lguest/trap-record';
import { ask, make, program, type Stand, standAt, stopAfter } from './stand';

const TABLE = 0x400;
/** A System.map of these names. */
const names = (of: Record<string, number>) =>
  openProgram(
    new TextEncoder().encode(
      Object.entries(of)
        .sort((a, b) => a[1] - b[1])
        .map(([name, at]) => `${at.toString(16).padStart(8, '0')} T ${name}\n`)
        .join(''),
    ),
    'System.map',
  );
const placeOf = (name: string): number => program.table.named(name)?.address ?? assert.fail(`no ${name}`);
const words = (...list: number[]): Uint8Array => new Uint8Array(new Uint32Array(list).buffer);

/** Stands at the first instruction of show_breakpoints(), where memory below the stack is free. */
const atTour = async (): Promise<Stand & { pc: number; free: number }> => {
  const stand = make();
  const { d } = stand;
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'show_breakpoints' }]);
  await stopAfter(d, () => d.continue());
  return { ...stand, pc: d.target.pc, free: (d.target.register('esp') - 2 * TABLE) >>> 0 };
};
/** ud2 at hand, with a bug table whose second entry is about it. */
const withTable = async (flags: number): Promise<Stand & { pc: number }> => {
  const { d, machine, pc, free } = await atTour();
  d.target.write(pc, new Uint8Array([0x0f, 0x0b]));
  d.target.write(free + 64, new TextEncoder().encode('fs/inode.c\0'));
  d.target.write(free, words(0xc0100000, free + 64, 1, pc, free + 64, (flags << 16) | 250));
  d.programs.add(names({ __start___bug_table: free, __stop___bug_table: free + 24 }));
  return { d, machine, pc };
};

test('ud2 at a BUG() stops before delivery with file and line of its record in the bug table', async () => {
  const { d, pc } = await withTable(0);
  d.setFilters([{ id: 'panic' }]);
  const stop = await stopAfter(d, () => d.continue());
  assert.deepEqual(
    [stop.reason, stop.filter, stop.description, stop.pending, stop.record?.vector, d.target.pc],
    ['exception', 'panic', 'kernel BUG at fs/inode.c:250!', true, 6, pc],
  );
  assert.match(stop.text ?? '', /^kernel BUG at fs\/inode\.c:250! \(by the bug table\) #UD invalid opcode from kernel mode\.$/);
  assert.match(d.exceptionText()?.description ?? '', /^kernel BUG at fs\/inode\.c:250!/);
});

test('a warning, and ud2 without a record, are no BUG()', async () => {
  const warning = await withTable(1);
  assert.equal(bugAt(warning.d.target, warning.d.programs, warning.d.modules, warning.pc), undefined);
  const plain = await atTour();
  plain.d.target.write(plain.pc, new Uint8Array([0x0f, 0x0b]));
  assert.equal(bugAt(plain.d.target, plain.d.programs, plain.d.modules, plain.pc), undefined);
});

test('a kernel without a bug table has line and file name behind the ud2', async () => {
  const { d, pc, free } = await atTour();
  d.target.write(pc, new Uint8Array([0x0f, 0x0b, 77, 0, ...words(free)]));
  d.target.write(free, new TextEncoder().encode('mm/slab.c\0'));
  assert.deepEqual(bugAt(d.target, d.programs, d.modules, pc), { file: 'mm/slab.c', line: 77, source: 'words after ud2' });
  d.target.write(free, new TextEncoder().encode('\x01no name'));
  assert.equal(bugAt(d.target, d.programs, d.modules, pc), undefined);
});

test('panic() stops at its first instruction with its text, unless the filter is off or only counts', async () => {
  const { d } = await atTour();
  const printk = placeOf('printk');
  d.programs.add(names({ panic: printk }));
  d.setFilters([{ id: 'panic' }]);
  const stop = await stopAfter(d, () => d.continue());
  assert.deepEqual([stop.filter, d.target.pc, stop.pending], ['panic', printk, false]);
  assert.match(stop.description, /^Guest panic: panic\("10\. int3: once through/);
  const lines: string[] = [];
  d.onTrapLog = (text) => lines.push(text);
  d.setFilters([
    { id: 'panic', mode: 'log' },
    { id: 'gp', condition: 'err == 0x1a' },
  ]);
  const next = await stopAfter(d, () => d.continue());
  assert.equal(next.filter, 'gp');
  d.setFilters([{ id: 'panic', mode: 'count' }, { id: 'syscall' }]);
  await stopAfter(d, () => d.continue());
  assert.ok(d.filterCounts[0].count > 0);
  d.setFilters([]);
  assert.equal(d.target.processor.hasBreakpoint(printk), false, 'nothing is left behind');
});

test('die() tells the trap in whose handler the kernel stumbles', async () => {
  const { d } = await atTour();
  const handler = placeOf('handle_protection_fault');
  d.programs.add(names({ die: handler }));
  d.setFilters([{ id: 'panic' }]);
  const stop = await stopAfter(d, () => d.continue());
  assert.deepEqual([stop.filter, d.target.pc, stop.record?.vector, stop.record?.err], ['panic', handler, 13, 0x1a]);
  assert.match(
    stop.text ?? '',
    /^Guest oops: die\(.*\) in the handler of trap \d+: #GP general protection from kernel mode, error code 0x1a\. At show_breakpoints/,
  );
});

test('an oops is told once: functions that die() calls do not stop again, panic() does', async () => {
  const { d } = await atTour();
  const caller = d.target.read32(d.target.register('esp')) ?? 0;
  const map = new Programs([names({ die: caller - 16, other: caller + 16 })]);
  assert.equal(map.symbolAt(caller)?.name, 'die');
  assert.deepEqual(
    ['oops_begin', '__die', 'panic'].map((name) => inOops(d.target, map, name)),
    [true, true, false],
  );
  const elsewhere = new Programs([names({ do_page_fault: caller - 16 })]);
  assert.equal(inOops(d.target, elsewhere, 'oops_begin'), false);
});

// ---- native delivery ----------------------------------------------------------------------------------------------------------------------------

const shown = (r: TrapRecord): string[] =>
  nativeDifferences(r)
    .filter((x) => x.shows)
    .map((x) => x.what);
const about = (r: TrapRecord, what: string): { native: string; here: string; shows: boolean } =>
  nativeDifferences(r).find((x) => x.what === what) ?? assert.fail(`nothing about "${what}"`);

test('int3 through an interrupt gate is told to be #GP(0x1a) for the DPL of the Switcher, in why, the record and exceptionInfo', async () => {
  const { d } = make();
  d.setFilters([{ id: 'gp', condition: 'err == 0x1a' }]);
  const { record } = await stopAfter(d, () => d.continue());
  assert.ok(record);
  const { native, here } = about(record, 'the trap itself');
  assert.match(native, /^#BP \(vector 3\) goes to gate 3 \(ring 0 may use every gate\)$/);
  assert.match(here, /^#GP\(0x1a\): the installed gate 3 is the Switcher's, with DPL 0, and the code runs in ring 1$/);
  assert.match(d.why(), /\nDiffers from native i386 delivery:\n {2}- the trap itself \(6\.9\): natively #BP/);
  assert.match(d.exceptionText()?.chain ?? '', /Differs from native i386 delivery:/);
  await stopAfter(d, () => d.step('over', 'instruction'));
  const got = QUESTIONS['trapLog/get'](d, { k: record.k }) as { differences: { what: string }[] };
  assert.equal(got.differences[0].what, 'the trap itself');
  assert.match(
    ask(d, `why ${record.k}`),
    /IF in the handler \(6\.5\): natively the gate's type E clears IF; here the processor's IF stays 1/,
  );
});

test('a reflected trap keeps TF, NT and RF, which shows when one is set, and does not look at the cs of the gate', () => {
  const made = (eflags: number, selector: number): TrapRecord => {
    const log = new TrapLog(4);
    const draft = { vector: 6, cs: 0x61, ss: 0x69, esp: 0xc0200100, eflags, hasGate: true, gateLow: (selector << 16) | 0x100 };
    log.add(
      Object.assign(new Draft(), {
        ...draft,
        gateHigh: 0xc0108e00 | 0,
        hasFrame: true,
        frameAt: 0xc02000f4 | 0,
        frameEflags: eflags & ~0x200,
      }),
    );
    return log.get(0) ?? assert.fail();
  };
  const plain = made(0x202, 0x60);
  assert.equal(about(plain, 'TF, NT and RF in the handler').shows, false);
  assert.equal(about(plain, 'cs of the handler').shows, false);
  assert.match(about(plain, 'IF in the pushed eflags').here, /^IF=0, from irq_enabled .* own is 1$/);
  const odd = made(0x14302, 0x10);
  assert.match(about(odd, 'TF, NT and RF in the handler').here, /: TF NT RF stays set$/);
  assert.deepEqual(
    ['TF, NT and RF in the handler', 'cs of the handler'].map((what) => about(odd, what).shows),
    [true, true],
  );
});

test("the error code's P is the shadow tables' and is told where the Guest's own say otherwise", () => {
  const { record } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === 0xd0000000);
  const p = about(record, 'P in the error code');
  assert.deepEqual([p.shows, about(record, 'where cr2 is read').here], [false, 'in lguest_data.cr2']);
  const readOnly = { ...record, err: 2, walk: { ...record.walk, gpde: 0x67, gpte: 0x65 } } as TrapRecord;
  assert.deepEqual(about(readOnly, 'P in the error code'), {
    ...about(readOnly, 'P in the error code'),
    native: "P=1: as the Guest's tables have it",
    here: 'P=0: as the shadow tables have it',
    shows: true,
  });
});

test('silent fills, direct traps and virtual interrupts have their own differences, and the bare machine none', () => {
  const filled = standAt(14, (r) => r.outcome === 'paged-in').record;
  assert.match(about(filled, 'the trap itself').native, /^no trap: the Guest's own tables allow the access/);
  const direct = standAt(0x80, (r) => r.outcome === 'direct').record;
  assert.deepEqual(shown(direct), ['the ring of the handler', 'the stack', 'IF in the pushed eflags']);
  const woken = {
    ...direct,
    kind: 'virq',
    outcome: 'virq-delivered',
    reason: 'woke-halted',
    virq: { irq: 0, pending: 1, blocked: 0, irqEnabled: 0 },
  } as TrapRecord;
  assert.match(about(woken, 'the end of a halt').here, /irq_enabled to 0x200/);
  const whole = { ...woken, reason: 'injected', virq: { irq: 0, pending: 1, blocked: 0, irqEnabled: 0x46 } } as TrapRecord;
  assert.match(about(whole, 'whether interrupts are on').here, new RegExp(`irq_enabled is ${hex(0x46)}: any bit`));
  assert.deepEqual(nativeDifferences({ ...direct, reason: 'none' }), [], 'a delivery of the bare machine is the native one');
});
