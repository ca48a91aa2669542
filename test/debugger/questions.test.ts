// The questions about traps, asked at stops of the demo Guest: the log, statistics, page walks, mappings, descriptors, interrupts, cr2, exports.
//
// One machine stands at its first page fault that the Guest sees, one at the prompt with its whole boot in the log; tests only look, so they share them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKind } from '../../src/debugger/address-kind';
import { cr2History, cr2Text } from '../../src/debugger/cr2-history';
import { gdtRows, idtRows, tssFields, tssText } from '../../src/debugger/descriptors';
import { chromeTrace, CSV_HEAD, csvLine, exportText, formatOfPath } from '../../src/debugger/exports';
import { ExpressionError } from '../../src/debugger/expression';
import { hypercallRing, irqState, whyNotDelivered } from '../../src/debugger/irq-state';
import { auditMappings, mappingDifference, mappingsOf, shadowSlots } from '../../src/debugger/mappings';
import { walkPage, walkText } from '../../src/debugger/page-walk';
import { QUESTIONS } from '../../src/debugger/questions';
import { nest, pushedWords, queryLog, recordFilter } from '../../src/debugger/record-query';
import { refaults, statistics } from '../../src/debugger/statistics';
import { findStorm, stormText } from '../../src/debugger/storm';
import { LD, LHCALL, PT } from '../../src/lguest/abi';
import { Draft, TrapLog, type TrapRecord, toJson } from '../../src/lguest/trap-record';
import { ask, make, once, type Stand, standAt } from './stand';
import type { Machine } from '../../src/launcher/machine';

/** At the prompt, asleep. */
const prompt = once(() => {
  const stand = make();
  assert.equal(stand.machine.run({ instructions: 5_000_000 }).kind, 'idle');
  return stand;
});
const PAGE = 0xd0000000;
const fault = once(() => standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE));
/** A log of made-up records. */
const madeUp = (...list: Partial<Draft>[]): TrapLog => {
  const log = new TrapLog(64);
  for (const one of list) log.add(Object.assign(new Draft(), one));
  return log;
};
const pageFault = (cr2: number, more: Partial<Draft> = {}): Partial<Draft> => ({
  vector: 14,
  hasCr2: true,
  hasError: true,
  cr2,
  cs: 0x61,
  outcome: 'paged-in',
  reason: 'read-absent',
  ...more,
});

// ---- the log ------------------------------------------------------------------------------------------------------------------------------------

test('the log is asked by an expression over vector, error bits, words of closed lists and symbols, and goes on where it left off', () => {
  const { d, machine } = prompt();
  const log = machine.host.records;
  const all = [...log];
  const wanted = all.filter((r) => r.vector === 14 && r.outcome === 'reflected' && ((r.err ?? 0) & 2) !== 0);
  const filter = "vector == 14 && outcome == 'reflected' && err.W";
  const first = queryLog(log, d.programs, { filter, count: 1 });
  assert.deepEqual([first.rows[0].k, first.matches, first.total], [wanted[0].k, wanted.length, log.count]);
  const rest = queryLog(log, d.programs, { filter, from: first.next, count: 1000 });
  assert.deepEqual(
    [...first.rows, ...rest.rows].map((r) => r.k),
    wanted.map((r) => r.k),
  );
  assert.equal(rest.next, undefined);
  const here = queryLog(log, d.programs, { filter: 'symbol == show_visible_page_fault && eip >= show_visible_page_fault' }).rows;
  assert.ok(here.some((r) => r.cr2 === PAGE));
  const newest = queryLog(log, d.programs, { filter: 'from == user', count: 2, sort: 'newest' }).rows;
  assert.deepEqual(newest, all.filter((r) => r.cpl === 3).slice(-2));
  assert.equal(queryLog(log, d.programs, { from: -3 }).rows.length, 3);
});

test('a filter that names nothing known or is no comparison is refused with one line that says what there is', () => {
  const { programs } = prompt().d;
  assert.throws(() => recordFilter('vektor == 14', programs), /no "vektor"; it has vector err/);
  assert.throws(() => recordFilter('outcome', programs), /compared with a word, such as outcome == reflected/);
  assert.throws(() => recordFilter('vector ==', programs), ExpressionError);
});

test('each trap that the Guest got lasts until its IRET, and what came in between is nested in it', () => {
  const all = nest(prompt().machine.host.records);
  const visible = all.find((n) => n.record.outcome === 'reflected' && n.record.cr2 === PAGE);
  assert.ok((visible?.resume ?? 0) > 10, 'the handler ran some instructions');
  for (const n of all.filter((x) => x.record.outcome === 'paged-in')) assert.equal(n.resume, 0);
  const call = all.find((n) => n.record.kind === 'hypercall' && n.inside !== undefined);
  const outer = all[call?.inside ?? -1];
  assert.ok(['reflected', 'direct', 'virq-delivered'].includes(outer?.record.outcome ?? ''));
  assert.ok((outer.record.pos.retired ?? 0) + (outer.resume ?? Infinity) > (call?.record.pos.retired ?? 0));
  assert.equal(call?.depth, outer.depth + 1);
});

test('every vector and every outcome of the closed list can be a filter of the log', () => {
  const { d, machine } = prompt();
  const log = machine.host.records;
  for (const [outcome, count] of Object.entries(log.totals.outcomes))
    assert.equal(queryLog(log, d.programs, { filter: `outcome == ${outcome}` }).matches, count, outcome);
  for (let v = 0; v < 256; v++) {
    const expected = log.totals.direct[v] + (v === 31 ? 0 : log.totals.traps[v]);
    if (v !== 31 && (v < 32 || v > 63))
      assert.equal(queryLog(log, d.programs, { filter: `vector == ${v} && kind != kill` }).matches, expected, `vector ${v}`);
  }
});

test('the pushed frame is told word by word, with its place in memory and who made it, and memory holds just that', () => {
  const stand = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const list = pushedWords(stand.record);
  assert.deepEqual(
    list.map((w) => [w.name, w.by]),
    [
      ['eflags', 'Host'],
      ['cs', 'Guest state'],
      ['eip', 'Guest state'],
      ['error', 'processor'],
    ],
  );
  stand.machine.step();
  for (const w of list) assert.equal(stand.d.target.read32(w.at), w.value, w.name);
  const { host } = stand.machine;
  assert.equal((list[0].value >> 9) & 1, host.lg.ld32(LD.irqEnabled) === 0 ? 0 : 1, 'IF is that of irq_enabled');
  assert.match(ask(stand.d, `trap ${stand.record.k}`), /eflags 0x[0-9a-f]{8} {2}by the Host {2}IF=[01] as in irq_enabled/);
});

// ---- statistics ---------------------------------------------------------------------------------------------------------------------------------

test('statistics by every grouping add up, and the times are those of the records', () => {
  const { d, machine } = prompt();
  const log = machine.host.records;
  const by = (g: Parameters<typeof statistics>[2]) => statistics(log, d.programs, g);
  for (const g of ['vector', 'outcome', 'reason', 'function'] as const) {
    const rows = by(g);
    assert.equal(
      rows.reduce((n, r) => n + r.count, 0),
      log.count,
      g,
    );
    assert.ok(Math.abs(rows.reduce((n, r) => n + r.share, 0) - 1) < 1e-9);
    for (const r of rows)
      assert.equal(
        Object.values(r.outcomes).reduce((a, b) => a + b, 0),
        r.count,
      );
  }
  const reflected = by('outcome').find((r) => r.name === 'reflected');
  const times = [...log].filter((r) => r.outcome === 'reflected' && r.instructions !== undefined).map((r) => r.instructions as number);
  assert.deepEqual([reflected?.min, reflected?.max], [Math.min(...times), Math.max(...times)]);
  assert.ok(Math.abs((reflected?.avg ?? 0) - times.reduce((a, b) => a + b) / times.length) < 1e-9);
  assert.equal(
    by('page').find((r) => r.name === '0xd0000000')?.outcomes.reflected,
    [...log].filter((r) => r.cr2 !== undefined && r.cr2 >>> 12 === PAGE >>> 12 && r.outcome === 'reflected').length,
  );
  const { hypercallsSync, hypercallsAsync } = log.totals;
  assert.equal(by('hypercall').find((r) => r.name === 'SET_PTE (ring)')?.count ?? 0, hypercallsAsync[LHCALL.SET_PTE]);
  assert.equal(by('hypercall').find((r) => r.name === 'NOTIFY')?.count, hypercallsSync[LHCALL.NOTIFY]);
  assert.match(ask(d, 'stats by outcome'), /reflected +\d+ +\d+\.\d % +\d+ +\d+ +\d+ {2}reflected \d+/);
});

test('each page that is filled has its cause: first touch, dirty upgrade, after a flush, after SET_PTE, after an eviction', () => {
  const causes = refaults(prompt().machine.host.records);
  const { totals } = prompt().machine.host.records;
  const count = (cause: string): number => [...causes.values()].filter((c) => c === cause).length;
  assert.equal(count('dirty upgrade'), totals.filled.dirtyUpgrade);
  assert.equal(count('reflected'), totals.pageFaultsGiven.ring1 + totals.pageFaultsGiven.ring3);
  assert.ok(count('first touch') > 0);
  const call = (number: number, a: number, b = 0): Partial<Draft> => ({
    kind: 'hypercall',
    outcome: 'hypercall',
    reason: 'async',
    vector: 31,
    a: number,
    b: a,
    c: b,
    cr3: 0x1000,
  });
  const made = madeUp(
    pageFault(0x5000, { cr3: 0x1000 }),
    call(LHCALL.FLUSH_TLB, 0),
    pageFault(0x5000, { cr3: 0x1000 }),
    call(LHCALL.SET_PTE, 0x1000, 0x5000),
    pageFault(0x5000, { cr3: 0x1000 }),
    pageFault(0x5000, { cr3: 0x1000 }),
    pageFault(0x5000, { cr3: 0x1000, reason: 'dirty-upgrade' }),
  );
  assert.deepEqual([...refaults(made).values()], ['first touch', 'after a flush', 'after SET_PTE', 'after an eviction', 'dirty upgrade']);
  // What a hypercall leaves alone: FLUSH_TLB(0) the kernel's part, SET_PTE other pages and other directories' user part, SET_PMD other entries.
  const kernel = 0xc0400000;
  const user = 0x08048000;
  const left = madeUp(
    pageFault(kernel, { cr3: 0x1000 }),
    pageFault(user, { cr3: 0x1000 }),
    pageFault(user, { cr3: 0x2000 }),
    call(LHCALL.FLUSH_TLB, 0),
    call(LHCALL.SET_PTE, 0x3000, user),
    call(LHCALL.SET_PMD, 0x2000, (user >>> 22) + 1),
    pageFault(kernel, { cr3: 0x1000 }),
    pageFault(user, { cr3: 0x1000 }),
    pageFault(user, { cr3: 0x2000 }),
    call(LHCALL.SET_PTE, 0x3000, kernel),
    call(LHCALL.SET_PMD, 0x2000, user >>> 22),
    pageFault(kernel, { cr3: 0x1000 }),
    pageFault(user, { cr3: 0x2000 }),
    call(LHCALL.FLUSH_TLB, 1),
    call(LHCALL.SET_PTE, 0x1000, kernel),
    pageFault(kernel, { cr3: 0x1000 }),
  );
  assert.deepEqual([...refaults(left).values()].slice(3), [
    'after an eviction',
    'after a flush',
    'after an eviction',
    'after SET_PTE',
    'after SET_PMD',
    'after a flush',
  ]);
});

test('the causes of a full log are found in one pass, however many pages and hypercalls there are', () => {
  const log = new TrapLog();
  const pairs = log.capacity / 2;
  for (let n = 0; n < pairs; n++) {
    log.add(Object.assign(new Draft(), pageFault(n * 0x1000, { cr3: 0x1000 })));
    log.add(
      Object.assign(new Draft(), { kind: 'hypercall', outcome: 'hypercall', vector: 31, a: LHCALL.SET_PTE, b: 0x1000, c: 0xfffff000 }),
    );
  }
  const from = process.cpuUsage();
  assert.equal(refaults(log).size, pairs);
  const { user } = process.cpuUsage(from);
  assert.ok(user < 5e6, `${user / 1e6} s`);
});

// ---- page walk ----------------------------------------------------------------------------------------------------------------------------------

test('a page walk foretells what the Host then does, level by level, for the very fault at hand', () => {
  const { machine, record } = fault();
  const answer = walkPage(machine.host, PAGE, { write: true, user: false });
  assert.equal(answer.outlook, 'reflects');
  const [deciding] = answer.levels.filter((l) => l.deciding);
  assert.deepEqual(
    [deciding.table, deciding.level, deciding.refuses],
    ['guest', record.reason === 'gpde-absent' ? 'directory' : 'table', 'P=0'],
  );
  assert.match(answer.answer, /the Guest gets the fault: .* has P=0; cr2\.guest becomes 0xd0000000\.$/);
  assert.match(answer.flip ?? '', /would have been filled silently if the Guest P[TD]E/);
  assert.equal(answer.levels.length, 4);
  assert.deepEqual(
    answer.levels.map((l) => l.index),
    [PAGE >>> 22, 0, PAGE >>> 22, 0],
  );
});

test('a page walk for what-if accesses says goes through, fills silently, reflects or kills with the message', () => {
  const { machine } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  const eip = machine.host.context.get('eip');
  assert.equal(walkPage(host, eip, { write: false, user: false }).outlook, 'goes through');
  const user = walkPage(host, eip, { write: false, user: true });
  assert.equal(user.outlook, 'reflects');
  assert.equal(user.levels.find((l) => l.deciding)?.refuses, 'US=0 and access is from user mode');
  let untouched = 0xc0000000;
  while (host.shadowWalk(untouched).target !== undefined || host.guestWalk(untouched).target === undefined) untouched += 0x1000;
  const fills = walkPage(host, untouched, { write: true, user: false });
  assert.equal(fills.outlook, 'fills silently');
  assert.match(fills.answer, /it becomes 0x[0-9a-f]{8} \(P RW .*A D\)/);
  // An entry with a forbidden bit, put there and taken away again.
  const { pteAt, pte } = host.guestWalk(untouched);
  host.lg.poke32(pteAt ?? 0, (pte ?? 0) | PT.PSE);
  const kills = walkPage(host, untouched, { write: false, user: false });
  host.lg.poke32(pteAt ?? 0, pte ?? 0);
  assert.deepEqual([kills.outlook, kills.message], ['kills', 'bad page table entry']);
  assert.match(kills.flip ?? '', /neither PWT nor bit 7/);
});

test('asking for page walks, mappings and descriptors changes nothing in the machine', () => {
  const { machine, d } = fault();
  const before = machine.stateHash();
  for (let va = 0; va < 0x100000000; va += 0x155000) walkPage(machine.host, va, { write: true, user: va % 2 === 0 });
  for (const line of [
    'info idt',
    'info gdt',
    'info tss',
    'info tlb',
    'info mem',
    'info audit',
    'info irq',
    'info hcall',
    'info shadow',
    'info cr2',
    'info storm',
    'page 0',
    'traps',
    'why -1',
    'export csv',
  ])
    assert.notEqual(ask(d, line), '', line);
  assert.equal(machine.stateHash(), before);
});

test('the page command shows both tables side by side with the deciding level marked', () => {
  const { d } = fault();
  const text = ask(d, 'page 0xd0000000 write');
  assert.match(text, /Guest {2}\(directory 0x[0-9a-f]{8}, guest-physical\) +\| Shadow \(directory/);
  assert.match(text, /▶ \[\d+\] 0x[0-9a-f]{8}: .*\(P=0\)/);
  assert.equal(text, walkText(walkPage(fault().machine.host, PAGE, { write: true, user: false }), addressKind(d, PAGE)));
});

test('without an access a walk asks about the one that faulted there, and about a read anywhere else', () => {
  const { d } = fault();
  const write = ask(d, 'page 0xd0000000 write');
  // The function at hand has a variable `page`, so the word alone would be that.
  assert.equal(ask(d, 'page cr2.hw'), write);
  assert.equal((QUESTIONS.pageWalk(d, {}) as { text: string }).text, write);
  assert.notEqual(ask(d, 'page 0xd0000000 read'), write);
  assert.equal(ask(d, 'page 0xd0001000'), ask(d, 'page 0xd0001000 read'));
});

// ---- mappings -----------------------------------------------------------------------------------------------------------------------------------

test('mappings are merged ranges that agree with a walk of every page', () => {
  const { machine } = prompt();
  const { host } = machine;
  const list = mappingsOf(host, 'guest');
  assert.ok(list.length < 200);
  for (const m of list) {
    for (const va of [m.from, m.to - 0xfff]) {
      const w = host.guestWalk(va);
      assert.equal(w.target, m.target + (va - m.from));
      assert.deepEqual([(w.pte ?? 0) & PT.RW, (w.pte ?? 0) & PT.US], [m.write ? PT.RW : 0, m.user ? PT.US : 0]);
    }
  }
  const shadow = mappingsOf(host, 'shadow');
  const pages = shadow.reduce((n, m) => n + m.pages, 0);
  const diff = mappingDifference(host);
  assert.equal(diff.equal + diff.untilWritten + diff.stale.length, pages);
  assert.equal(
    diff.notYet + diff.equal + diff.untilWritten,
    list.reduce((n, m) => n + m.pages, 0),
  );
});

test('the audit finds writable code, user-visible kernel pages, aliases and entries that the Host was not told of', () => {
  const { machine, d } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  const eip = machine.host.context.get('eip');
  const code = (eip & ~0xfff) >>> 0;
  const rules = (): Set<string> => new Set(auditMappings(host, d.programs, [{ low: code, high: code + 0x1000 }]).map((f) => f.rule));
  assert.equal(rules().has('user-visible kernel'), false);
  assert.equal(rules().has('writable and executable'), false, 'the demo maps its code read-only');
  const text = host.guestWalk(eip);
  host.lg.poke32(text.pteAt ?? 0, (text.pte ?? 0) | PT.RW);
  assert.equal(rules().has('writable and executable'), true);
  host.lg.poke32(text.pteAt ?? 0, text.pte ?? 0);
  const va = 0xc0200000;
  const { pteAt, pte } = host.guestWalk(va);
  host.lg.poke32(pteAt ?? 0, ((pte ?? 0) | PT.US) & ~PT.RW);
  assert.equal(rules().has('user-visible kernel'), true);
  host.lg.poke32(pteAt ?? 0, ((host.guestWalk(va + 0x1000).pte ?? 0) & ~PT.RW) >>> 0);
  const found = auditMappings(host, d.programs);
  assert.ok(found.some((f) => f.rule === 'alias' && /same memory with different rights/.test(f.text)));
  const here = host.guestWalk(eip);
  host.lg.poke32(here.pteAt ?? 0, 0);
  assert.ok(auditMappings(host, d.programs).some((f) => f.rule === 'stale shadow entry' && f.from === (eip & ~0xfff) >>> 0));
  host.lg.poke32(here.pteAt ?? 0, here.pte ?? 0);
});

test('the four shadow slots tell their directories and entries, and an eviction tells who gave way to whom', () => {
  const { machine } = make();
  machine.run({ instructions: 5_000_000 });
  const { host } = machine;
  const { slots } = shadowSlots(host);
  assert.equal(slots.length, 4);
  const [current] = slots.filter((s) => s.current);
  assert.equal(current.directory, host.lg.pgdirs[host.lg.pgdidx].gpgdir);
  assert.equal(
    current.entries,
    mappingsOf(host, 'shadow').reduce((n, m) => n + m.pages, 0),
  );
  const seen = shadowSlots(host).evictions.length;
  const owners = new Map(host.lg.pgdirs.map((p, i) => [i, p.gpgdir]));
  host.lg.onSlot(current.slot, false); // as when a new directory takes the slot
  const [eviction] = shadowSlots(host).evictions.slice(seen);
  assert.deepEqual([eviction.slot, eviction.lost], [current.slot, owners.get(current.slot)]);
});

// ---- descriptors --------------------------------------------------------------------------------------------------------------------------------

test('the IDT has for each gate what was asked, what is installed, the route and the rule behind it', () => {
  const { machine } = prompt();
  const { host } = machine;
  const rows = idtRows(host);
  const pf = rows[14];
  assert.deepEqual([pf.route, pf.type], ['reflected', 'E']);
  assert.match(pf.why, /^reflected: the Host must see this vector first, for demand paging/);
  const system = rows[128];
  assert.deepEqual([system.route, system.type, system.dpl], ['direct', 'F', 3]);
  assert.equal(system.installed.high, system.kept.high);
  const asked = [...host.records].filter((r) => r.hypercall?.number === LHCALL.LOAD_IDT_ENTRY && r.hypercall.args[0] === 128).at(-1);
  if (asked !== undefined) assert.deepEqual(system.asked, { low: asked.hypercall?.args[1], high: asked.hypercall?.args[2] });
  assert.ok(host.records.totals.direct[128] > 0);
  assert.equal(system.hits, host.records.totals.direct[128]);
  assert.match(rows[8].why, /ignored: a Guest can never set vector 8/);
  assert.match(rows[31].why, /hypercalls; the only gate of the Host that ring 1 may call/);
  for (const r of rows) if (r.type === 'E') assert.equal(r.installed.high & 0x6000, 0, `vector ${r.vector} goes to the Host's stub`);
});

test('the GDT shows the DPL fix-up, the accessed bit, and which entries of the Guest are ignored', () => {
  const { machine, d } = prompt();
  const rows = gdtRows(machine.host);
  const code = rows[12];
  assert.equal((code.installed.high >> 13) & 3, 1);
  assert.ok(code.usedBy.includes('cs'));
  assert.match(code.why, /DPL 0 → 1: the Guest kernel runs in ring 1/);
  for (const i of [10, 11, 16, 31]) assert.match(rows[i].why, /^ignored/, String(i));
  assert.match(ask(d, 'info gdt'), /12 0060 base 0x00000000 limit 0xffffffff dpl 1/);
});

test('the TSS tells the kernel stack and warns when a page of it is not there', () => {
  const { machine } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  const t = tssFields(host);
  assert.equal(t.esp1, host.lg.esp1);
  assert.ok(t.pinned.length > 0);
  assert.ok(t.pinned.every((p) => p.state === 'pinned, writable'));
  assert.equal(t.warning, undefined);
  const { pteAt, pte } = host.shadowWalk(t.pinned[0].page);
  host.lg.hostWrite(pteAt ?? 0, 0);
  assert.match(
    tssText(tssFields(host)),
    /warning: stack page 0x[0-9a-f]{8} is missing: the next direct trap from user mode onto it ends in a double fault, which kills/,
  );
  host.lg.hostWrite(pteAt ?? 0, pte ?? 0);
});

// ---- interrupts, the ring -----------------------------------------------------------------------------------------------------------------------

test('"why is irq N not delivered" has all its answers', () => {
  const { machine, d } = standAt(14, (r) => r.outcome === 'reflected' && r.cr2 === PAGE);
  const { host } = machine;
  const { lg } = host;
  const why = (irq: number): string => whyNotDelivered(host, irq, d.programs).reason;
  lg.irqsPending = 0;
  assert.equal(why(0), 'nothing pending');
  lg.irqsPending = 3;
  lg.setLd32(LD.blockedInterrupts, 1);
  assert.equal(why(0), 'blocked');
  lg.setLd32(LD.blockedInterrupts, 0);
  lg.setLd32(LD.irqEnabled, 0);
  assert.equal(why(0), 'interrupts disabled');
  lg.setLd32(LD.irqEnabled, 0x200);
  assert.equal(why(0), 'will be delivered');
  assert.equal(why(1), 'a lower number first');
  lg.irqsPending = (2 ** 31) | 0;
  assert.equal(why(31), 'no gate');
  const { noirqStart, noirqEnd } = lg;
  lg.noirqStart = host.context.get('eip');
  lg.noirqEnd = lg.noirqStart + 1;
  assert.equal(why(31), 'noirq range');
  lg.noirqStart = noirqStart;
  lg.noirqEnd = noirqEnd;
  const { ld } = lg;
  lg.ld = -1;
  assert.equal(why(31), 'no lguest_data');
  lg.ld = ld;
  assert.match(ask(d, 'info irq 5'), /^irq 5: nothing is pending/);
  assert.throws(() => ask(d, 'info irq 32'), /no virtual interrupt: 0 to 31/);
});

test('the state of interrupts is that of the Guest and its Host', () => {
  const { machine } = prompt();
  const s = irqState(machine.host);
  assert.deepEqual([s.pending, s.halted, s.irqEnabled], [machine.host.lg.irqsPending, true, machine.host.lg.ld32(LD.irqEnabled) >>> 0]);
  assert.equal(s.timerNs, undefined);
});

test('the hypercall ring shows what is ready, by name, and where the Host goes on', () => {
  const { machine } = standAt(
    31,
    (r) =>
      r.hypercall?.name === 'FLUSH_ASYNC' ||
      (r.kind === 'hypercall' && (hypercallRing(machine2?.host as never) ?? []).some((s) => !s.free)),
    ...hold(),
  );
  const ring = hypercallRing(machine.host);
  assert.equal(ring?.length, 64);
  const ready = ring?.filter((s) => !s.free) ?? [];
  assert.ok(ready.length > 0, 'something waits in the ring');
  assert.ok(ready.every((s) => Object.values(LHCALL).length > 0 && !s.name.startsWith('hypercall ')));
  assert.equal(
    ring?.findIndex((s) => s.next),
    machine.host.lg.nextHcall,
  );
  assert.equal(hypercallRing(make().machine.host), undefined, 'unknown before LGUEST_INIT');
});
let machine2: Machine | undefined;
const hold = (): [Stand] => {
  const stand = make();
  machine2 = stand.machine;
  return [stand];
};

// ---- cr2, storms --------------------------------------------------------------------------------------------------------------------------------

test('the history of the three cr2 ends with what they are now, and only faults that the Guest got change its own', () => {
  const { machine } = prompt();
  const { host } = machine;
  const changes = cr2History(host.records);
  const last = (which: string): number | undefined => changes.filter((c) => c.which === which).at(-1)?.value;
  assert.deepEqual({ hw: last('hw'), host: last('host'), guest: last('guest') }, host.cr2);
  const guest = changes.filter((c) => c.which === 'guest');
  assert.ok(guest.every((c) => c.outcome === 'reflected'));
  for (let i = 1; i < guest.length; i++) assert.equal(guest[i].old, guest[i - 1].value);
  assert.ok(changes.filter((c) => c.which === 'hw').length > guest.length);
});

test('a fault inside the page fault handler warns that cr2.guest was overwritten', () => {
  const gate = { hasGate: true, gateLow: 0x610000, gateHigh: 0xc0108e00 | 0, hasFrame: true };
  const log = madeUp(
    pageFault(0x1000, { outcome: 'reflected', reason: 'gpte-absent', esp: 0xc0102000 | 0, frameAt: 0xc0101ff0 | 0, retired: 100, ...gate }),
    pageFault(0x2000, {
      outcome: 'reflected',
      reason: 'gpte-absent',
      esp: 0xc0101fd0 | 0,
      frameAt: 0xc0101fc0 | 0,
      retired: 107,
      eip: 5,
      ...gate,
    }),
  );
  const [, second] = cr2History(log, 'guest');
  assert.match(second.warning ?? '', /cr2\.guest 0x00001000 is overwritten 7 instructions into the page fault handler of trap 0/);
  assert.match(cr2Text(cr2History(log), prompt().d.programs), /warning: cr2\.guest/);
  assert.equal(
    cr2History(prompt().machine.host.records).some((c) => c.warning !== undefined),
    false,
    'the demo keeps its cr2',
  );
});

test('a storm is the same faults without an instruction retired, not a busy healthy Guest', () => {
  assert.equal(findStorm(prompt().machine.host.records), undefined);
  const one = pageFault(0x5000, { outcome: 'reflected', reason: 'gpte-absent', retired: 50, eip: 0xc0100000 | 0 });
  const other = { ...one, cr2: 0x6000 };
  const storm = findStorm(madeUp({ ...one, retired: 49 }, ...Array.from({ length: 10 }, () => [one, other]).flat()));
  assert.deepEqual([storm?.pattern.map((r) => r.cr2), storm?.times, storm?.from, storm?.to], [[0x5000, 0x6000], 10, 1, 20]);
  assert.match(
    stormText(storm, prompt().d.programs),
    /^storm: #PF\(14\) cr2 0x00005000 .*, then .*; 10 times in a row and no instruction retired \(traps 1 to 20\)/,
  );
  assert.equal(findStorm(madeUp(...Array.from({ length: 20 }, (_, i) => ({ ...one, retired: i })))), undefined);
});

// ---- exports ------------------------------------------------------------------------------------------------------------------------------------

test('the log leaves as NDJSON, CSV and Chrome trace with every record in it', () => {
  const { machine, d } = prompt();
  const records = [...machine.host.records];
  const lines = exportText(records, 'ndjson', d.programs).trimEnd().split('\n');
  assert.deepEqual(lines, records.map(toJson));
  const csv = exportText(records, 'csv', d.programs).trimEnd().split('\n');
  assert.equal(csv[0], CSV_HEAD);
  assert.equal(csv.length, records.length + 1);
  const trace = JSON.parse(chromeTrace(records, d.programs)) as {
    traceEvents: { ph: string; ts?: number; dur?: number; args: { k?: number } }[];
  };
  assert.deepEqual(
    trace.traceEvents.filter((e) => e.ph === 'i').map((e) => e.args.k),
    records.map((r) => r.k),
  );
  const stretches = trace.traceEvents.filter((e) => e.ph === 'X');
  assert.equal(stretches.length, records.filter((r) => (r.instructions ?? 0) > 0).length);
  assert.ok(stretches.every((e) => (e.dur ?? 0) > 0));
  assert.deepEqual(['a.csv', 'b.JSON', 'c.ndjson', 'd'].map(formatOfPath), ['csv', 'chrome', 'ndjson', 'ndjson']);
});

test('a CSV cell with commas, quotes or line ends is quoted as RFC 4180 says', () => {
  const log = new TrapLog(4);
  log.add(Object.assign(new Draft(), { kind: 'kill', outcome: 'killed' }), 'CRASH: a, "b"\n');
  assert.ok(csvLine([...log][0]).endsWith(',"CRASH: a, ""b""\n"'));
});

test('every question is answered at a stop, and says in one line when it cannot be', () => {
  const { d } = fault();
  assert.throws(() => QUESTIONS['trapLog/diff'](d, {}), /there is no run before this one/);
  d.previous = fault().d.target.records;
  for (const [name, question] of Object.entries(QUESTIONS)) assert.equal(typeof question(d, {}), 'object', name);
  assert.throws(() => QUESTIONS['trapLog/get'](d, { k: 1e9 }), /trap 1000000000 is not kept; traps 0 to \d+ are/);
  d.previous = undefined;
  assert.throws(() => QUESTIONS.descriptors(d, { table: 'xdt' }), /"table" must be gdt, idt, tss or ldt/);
  assert.match((QUESTIONS.pageWalk(d, { va: '0xd0000000', access: 'write' }) as { text: string }).text, /the Guest gets the fault/);
  assert.match(
    (QUESTIONS.why(d, { k: fault().record.k }) as { text: string }).text,
    /demand_page .*would have been filled silently.*Pushed on the Guest's stack/s,
  );
});

test('a filter stops, logs or only counts, and tells how much it found', async () => {
  const { d, machine } = make();
  const lines: string[] = [];
  d.onTrapLog = (text) => lines.push(text);
  assert.deepEqual(
    d.setFilters([
      { id: 'pf.guest', mode: 'log', condition: 'err.W' },
      { id: 'pf.shadow', mode: 'count' },
      { id: 'syscall' },
      { id: 'nm', mode: 'shout' },
    ]),
    [undefined, undefined, undefined, 'no mode "shout"; the modes are stop, handler, log, count'],
  );
  const stop = await new Promise<{ filter?: string; record?: TrapRecord }>((done) => {
    d.onStop = done;
    d.continue();
  });
  assert.deepEqual([stop.filter, stop.record?.vector], ['syscall', 128]);
  const log = machine.host.records;
  const found = (filter: string): number => queryLog(log, d.programs, { filter }).matches;
  const counts = new Map(d.filterCounts.map((f) => [f.id, f.count]));
  assert.equal(counts.get('pf.shadow'), found('outcome == paged-in'));
  assert.ok((counts.get('pf.shadow') ?? 0) > 10);
  assert.equal(counts.get('pf.guest'), found('vector == 14 && outcome == reflected && err.W'));
  assert.equal(lines.length, counts.get('pf.guest'));
  assert.equal(counts.get('syscall'), 1);
  assert.match(ask(d, 'info filters'), /^pf\.guest +log +\d+\npf\.shadow +count +\d+\nsyscall +stop +1\n$/);
});
