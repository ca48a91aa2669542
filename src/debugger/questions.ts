// The questions about traps, tables, descriptors and interrupts, once for every way of asking: DAP requests (lguest/NAME) and console commands.
//
// Each answer is plain data for views and text for the console. What it leaves out: the answers themselves (page-walk.ts, mappings.ts, descriptors.ts, irq-state.ts,
// cr2-history.ts, storm.ts, record-query.ts, statistics.ts, exports.ts).

import type { Host } from '../lguest/host';
import { addressKind } from './address-kind';
import { explain } from '../lguest/explain';
import { nativeDifferences } from '../lguest/native-delivery';
import { cr2History, type Cr2Name, cr2Text } from './cr2-history';
import { gateAudit, gdtRows, gdtText, idtRows, idtText, tssFields, tssText } from './descriptors';
import { becameText, mnemonic, nearestFlip, whatText, whyText } from './explain';
import { ExpressionError } from './expression';
import { fpuState } from './fpu-state';
import { hypercallRing, irqRows, irqState, irqText, ringText, whyNotDelivered } from './irq-state';
import { type InjectWish, inject, parseInject } from './inject';
import { auditMappings, mappingDifference, mappingsOf, mappingsText, shadowSlots, slotsText } from './mappings';
import { accessOf, type PageAccess, parsePageAccess, walkPage, walkText } from './page-walk';
import { pushedText, queryLog, recordFilter, trapRow } from './record-query';
import { differenceText, firstDifference } from './run-diff';
import type { Debugger } from './session';
import { findStorm, stormText } from './storm';
import { kernelLog, logLines } from './dmesg';
import { taskBody, taskListText, taskRows, taskTree } from './task-views';
import { treeText } from './views';
import { EXPORT_FORMATS, type ExportFormat, exportText, parseFormat } from './exports';
import { GROUPINGS, parseGrouping, statistics, statisticsText } from './statistics';
import { hex8 } from './target';
import { formatPosition, type TrapLog, type TrapRecord } from '../lguest/trap-record';

type Arguments = Record<string, unknown>;

const fail = (message: string): never => {
  throw new ExpressionError(message);
};
const hostOf = (d: Debugger): Host => d.target.host ?? fail('this machine has no Host: the question is about lguest Guests');
const numberOf = (d: Debugger, text: string): number => Number(BigInt.asUintN(32, d.evaluate(text, undefined, false).value.bits));
/** A number, or an expression for one. */
const address = (d: Debugger, value: unknown, otherwise: () => number): number =>
  typeof value === 'number' ? value >>> 0 : typeof value === 'string' && value.trim() !== '' ? numberOf(d, value) : otherwise();

const previousLog = (d: Debugger): TrapLog =>
  d.previous ?? fail('there is no run before this one: a restart keeps the log of the run that it ends');
/** By number; negative counts from the newest. */
export const recordNumbered = (d: Debugger, value: unknown): TrapRecord => {
  const { records } = d.target;
  if (value === undefined || value === 'now' || value === '') return d.record ?? fail('nothing has trapped yet');
  const k = Number(value);
  if (!Number.isInteger(k)) fail(`"${String(value)}" is no trap number`);
  return records.get(k < 0 ? records.count + k : k) ?? fail(`trap ${k} is not kept; traps ${records.first} to ${records.count - 1} are`);
};
/** Code of the programs, for the audit. */
const codeRanges = (d: Debugger): { low: number; high: number }[] =>
  d.programs.list.flatMap((p) =>
    (p.symbols?.elf.sections ?? []).flatMap((s) =>
      s.address === undefined || (s.flags & 4) === 0 || s.size === 0
        ? []
        : [{ low: (s.address + p.offset) >>> 0, high: (s.address + p.offset + s.size) >>> 0 }],
    ),
  );
const instructionAt = (d: Debugger, r: TrapRecord): string | undefined => d.decode(r.eip)?.text;

/** Address and access of a walk. Without them: cr2 of the newest trap, else eip; and the access that faulted there, else a read. */
export const walkArguments = (d: Debugger, a: Arguments): { va: number; access: PageAccess } => {
  const { record } = d;
  const va = address(d, a.va, () => record?.cr2 ?? d.target.pc);
  const wanted = textOf(a.access).trim();
  return { va, access: wanted === '' && record?.err !== undefined && va === record.cr2 ? accessOf(record.err) : parsePageAccess(wanted) };
};
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const oneOf = <T extends string>(value: unknown, name: string, values: readonly T[]): T =>
  values.find((v) => v === value) ?? fail(`"${name}" must be one of ${values.join(', ')}.`);
/** The records that match, and the lines of logpoints among them; those after the newest record too, when it is there. */
const exportTraps = (d: Debugger, format: ExportFormat, filter: string): string => {
  const { records } = d.target;
  const chosen = [...records].filter(recordFilter(filter, d.programs));
  const [first, last] = [chosen[0], chosen.at(-1)];
  const notes =
    first === undefined || last === undefined ? [] : d.logNotes.between(first.k, last.k === records.count - 1 ? records.count : last.k);
  return exportText(chosen, format, d.programs, notes);
};

/** By name, without the `lguest/`. Throws ExpressionError with one line. */
export const QUESTIONS: Readonly<Record<string, (d: Debugger, args: Arguments) => object>> = {
  'trapLog/get': (d, a) => {
    const r = recordNumbered(d, a.k);
    return {
      row: trapRow(d.programs, r),
      record: r,
      ...(r.cr2 === undefined ? {} : { address: addressKind(d, r.cr2) }),
      what: whatText(r),
      became: becameText(r, d.programs),
      differences: nativeDifferences(r),
      chain: explain(r),
      flip: nearestFlip(r),
    };
  },
  'trapLog/query': (d, a) => {
    const before = oneOf(a.run ?? 'this', 'run', ['this', 'previous'] as const) === 'previous';
    const answer = queryLog(before ? previousLog(d) : d.target.records, d.programs, {
      ...(typeof a.filter === 'string' ? { filter: a.filter } : {}),
      ...(typeof a.from === 'number' ? { from: a.from } : {}),
      ...(typeof a.count === 'number' ? { count: a.count } : {}),
      ...(a.sort === undefined ? {} : { sort: oneOf(a.sort, 'sort', ['oldest', 'newest'] as const) }),
    });
    const [first, last] = [answer.rows[0], answer.rows.at(-1)];
    const logs = before || last === undefined ? [] : d.logNotes.between(first.k, last.k === answer.total - 1 ? answer.total : last.k);
    return {
      ...answer,
      rows: answer.rows.map((r) => trapRow(d.programs, r)),
      ...(logs.length === 0 ? {} : { logs: logs.map((n) => ({ ...n, position: formatPosition(n.position) })) }),
    };
  },
  'trapLog/diff': (d) => {
    const found = firstDifference(d.target.records, previousLog(d));
    const row = (r: TrapRecord | undefined): object | undefined => (r === undefined ? undefined : trapRow(d.programs, r));
    return { ...found, now: row(found.now), previous: row(found.previous), text: differenceText(found, d.programs) };
  },
  trapStats: (d, a) => {
    const by = oneOf(a.by ?? 'outcome', 'by', GROUPINGS);
    const rows = statistics(d.target.records, d.programs, by, recordFilter(textOf(a.filter), d.programs));
    // Filled without a trap: no record tells of them.
    return by === 'refault' ? { rows, pinned: d.target.records.totals.pinnedFilled } : { rows };
  },
  export: (d, a) => ({ text: exportTraps(d, oneOf(a.format ?? 'ndjson', 'format', EXPORT_FORMATS), textOf(a.filter)) }),
  gateAudit: (d) => ({ rows: gateAudit(hostOf(d), d.programs) }),
  irqState: (d) => ({ ...irqState(hostOf(d), d.programs), rows: irqRows(hostOf(d), d.programs) }),
  why: (d, a) => ({ text: a.k === undefined ? d.why() : whyRecord(d, recordNumbered(d, a.k)) }),
  pageWalk: (d, a) => {
    const { va, access } = walkArguments(d, a);
    const answer = walkPage(hostOf(d), va, access);
    return { ...answer, kind: addressKind(d, va), text: walkText(answer, addressKind(d, va)) };
  },
  mappings: (d, a) => {
    const kind = a.table === 'shadow' ? 'shadow' : 'guest';
    const rows = mappingsOf(hostOf(d), kind, typeof a.pgd === 'number' ? a.pgd : undefined);
    return { rows, text: mappingsText(rows, kind, d.programs) };
  },
  mappingDiff: (d) => mappingDifference(hostOf(d)),
  pageAudit: (d) => ({ findings: auditMappings(hostOf(d), d.programs, codeRanges(d)) }),
  descriptors: (d, a) => {
    const host = hostOf(d);
    switch (a.table ?? 'gdt') {
      case 'gdt':
        return { rows: gdtRows(host) };
      case 'idt':
        return { rows: idtRows(host) };
      case 'tss':
        return tssFields(host);
      case 'ldt':
        return { rows: [], text: NO_LDT };
      default:
        return fail('"table" must be gdt, idt, tss or ldt');
    }
  },
  whyIrq: (d, a) => whyNotDelivered(hostOf(d), irqNumber(a.irq), d.programs),
  hypercallRing: (d) => ({ slots: hypercallRing(hostOf(d)) ?? [] }),
  shadowSlots: (d) => shadowSlots(hostOf(d)),
  cr2History: (d, a) => {
    const which = a.which === undefined ? undefined : (['hw', 'host', 'guest'] as const).find((w) => w === a.which);
    if (a.which !== undefined && which === undefined) fail('"which" must be hw, host or guest');
    const changes = cr2History(d.target.records, which);
    const count = typeof a.count === 'number' ? a.count : 100;
    return { changes: changes.slice(-count), total: changes.length, now: hostOf(d).cr2 };
  },
  tasks: (d, a) => {
    if (a.pid !== undefined) {
      const task = d.tasks.byPid(numberOf(d, String(a.pid)) | 0);
      return { task: taskBody(d, task), nodes: taskRows(d, task) };
    }
    if (!d.tasks.known) return { tasks: [], nodes: taskTree(d) };
    const { tasks, broken } = d.tasks.list();
    return { tasks: tasks.map((t) => taskBody(d, t)), nodes: taskTree(d), ...(broken === undefined ? {} : { broken }) };
  },
  dmesg: (d, a) => {
    try {
      return { text: dmesg(d, a.level === undefined ? '' : String(a.level)) };
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return { text: '', problem: error.message };
    }
  },
  fpu: (d) => fpuState(hostOf(d)),
  filterCounts: (d) => ({ filters: d.filterCounts }),
  storm: (d) => {
    const storm = findStorm(d.target.records);
    return {
      text: stormText(storm, d.programs),
      ...(storm === undefined
        ? {}
        : { times: storm.times, from: storm.from, to: storm.to, pattern: storm.pattern.map((r) => trapRow(d.programs, r)) }),
    };
  },
};

/** lguest/inject: the one request here that changes the machine. */
export const injectRequest = (d: Debugger, a: Arguments): { text: string } => {
  const wish: InjectWish = {};
  for (const name of ['vector', 'err', 'cr2', 'irq'] as const)
    if (a[name] !== undefined) wish[name] = address(d, a[name], () => fail(`"${name}" must be a number or an expression`));
  return { text: inject(d, wish) };
};

const NO_LDT = 'no LDT: lguest has none; a Guest kernel that loads one gets #GP\n';
const irqNumber = (value: unknown): number => {
  const irq = Number(value ?? 0);
  return Number.isInteger(irq) && irq >= 0 && irq < 32 ? irq : fail(`"${String(value)}" is no virtual interrupt: 0 to 31`);
};
const whyRecord = (d: Debugger, r: TrapRecord): string =>
  `${r.cr2 === undefined ? '' : `cr2 ${hex8(r.cr2)} is ${addressKind(d, r.cr2)}\n`}${whyText(r, d.programs, instructionAt(d, r))}${r.frame === undefined ? '' : `\nPushed on the Guest's stack:\n${pushedText(r, d.programs)}`}`;

/** `dmesg [LEVEL]`. */
const dmesg = (d: Debugger, rest: string): string => {
  const level = rest === '' ? 15 : Number(rest);
  if (!Number.isInteger(level) || level < 0) fail(`"${rest}" is no level: 0 (emergency) to 7 (debug)`);
  const lines = logLines(kernelLog(d.target, d.programs), level);
  return lines.length === 0 ? 'the log is empty\n' : `${lines.join('\n')}\n`;
};
/** `tasks [PID | NAME]`, `tasks tree`. */
const tasks = (d: Debugger, rest: string): string => {
  if (rest === 'tree') return treeText(taskTree(d));
  if (/^\d+$/.test(rest)) {
    const task = d.tasks.byPid(Number(rest));
    return `pid ${task.pid} ${task.comm}\n${treeText(taskRows(d, task), '  ')}`;
  }
  return taskListText(d, rest);
};

const line = (d: Debugger, r: TrapRecord): string => {
  const row = trapRow(d.programs, r);
  return `${String(r.k).padStart(6)} ${row.position.padEnd(12)} ${row.what}${r.hypercall === undefined ? '' : ` ${r.hypercall.name}`}${r.cr2 === undefined ? '' : ` cr2 ${hex8(r.cr2)}`} ${row.at} → ${r.outcome}${r.reason === 'none' ? '' : ` (${r.reason})`}${r.injected ? ', injected' : ''}\n`;
};

const INFO: Readonly<Record<string, (d: Debugger, rest: string) => string>> = {
  idt: (d) => idtText(idtRows(hostOf(d)), d.programs),
  gdt: (d, rest) => gdtText(gdtRows(hostOf(d)), rest === 'all'),
  ldt: () => NO_LDT,
  tss: (d) => tssText(tssFields(hostOf(d))),
  tlb: (d) => {
    const host = hostOf(d);
    const x = mappingDifference(host);
    const stale = x.stale.length === 0 ? '' : `, ${x.stale.length} stale`;
    return `${mappingsText(mappingsOf(host, 'shadow'), 'shadow', d.programs)}${x.equal} pages as in the Guest's tables, ${x.untilWritten} read-only until written, ${x.notYet} not yet paged in${stale}\n`;
  },
  mem: (d, rest) =>
    mappingsText(mappingsOf(hostOf(d), rest === 'shadow' ? 'shadow' : 'guest'), rest === 'shadow' ? 'shadow' : 'guest', d.programs),
  audit: (d) => {
    const found = auditMappings(hostOf(d), d.programs, codeRanges(d));
    return found.length === 0 ? 'nothing found\n' : found.map((f) => `${f.rule}: ${f.text}\n`).join('');
  },
  traps: (d, rest) => traps(d, rest),
  irq: (d, rest) =>
    rest === '' ? irqText(irqState(hostOf(d), d.programs)) : `${whyNotDelivered(hostOf(d), irqNumber(rest), d.programs).text}\n`,
  hcall: (d) => ringText(hypercallRing(hostOf(d))),
  shadow: (d) => slotsText(hostOf(d)),
  cr2: (d, rest) => {
    const { hw, host, guest } = hostOf(d).cr2;
    const which = (['hw', 'host', 'guest'] as const).find((w) => w === rest) as Cr2Name | undefined;
    return `cr2.hw ${hex8(hw)}, cr2.host ${hex8(host)}, cr2.guest ${guest === undefined ? 'unknown before LGUEST_INIT' : hex8(guest)}${guest !== undefined && guest !== host ? '  (differs: the newest fault was not given to the Guest)' : ''}\n${cr2Text(cr2History(d.target.records, which), d.programs)}`;
  },
  fpu: (d) => {
    const f = fpuState(hostOf(d));
    return `the FPU is with ${f.owner}; its next use ${f.nextUse}\n`;
  },
  filters: (d) => d.filterCounts.map((f) => `${f.id.padEnd(12)} ${f.mode.padEnd(6)} ${f.count}\n`).join('') || 'no filter is set\n',
  storm: (d) => stormText(findStorm(d.target.records), d.programs),
  tasks: (d, rest) => tasks(d, rest),
};

/** `traps [N] [FILTER]`: the newest that match. */
const traps = (d: Debugger, rest: string): string => {
  const m = /^(\d+)?\s*(.*)$/s.exec(rest);
  const count = m?.[1] === undefined ? 20 : Number(m[1]);
  if (count < 1) fail('0 records are none');
  const { rows, matches, total } = queryLog(d.target.records, d.programs, { filter: m?.[2] ?? '', count, sort: 'newest' });
  if (total === 0) return 'nothing has trapped yet\n';
  const last = rows.at(-1)?.k ?? 0;
  const notes = rows.length === 0 ? [] : d.logNotes.between(rows[0].k, last === total - 1 ? total : last);
  const before = (k: number, end = k): string =>
    notes
      .filter((n) => n.k >= k && n.k <= end)
      .map((n) => `       ${formatPosition(n.position).padEnd(12)} log ${n.text} (${d.programs.nameOf(n.at) ?? hex8(n.at)})\n`)
      .join('');
  const lines = rows.map((r, i) => `${before((rows[i - 1]?.k ?? r.k - 1) + 1, r.k)}${line(d, r)}`).join('');
  return `${lines}${before(last + 1, total)}${matches > rows.length ? `${matches} records match\n` : rows.length === 0 ? 'no record matches\n' : ''}`;
};

const EXPORT_LIMIT = 2000;
const COMMANDS: Readonly<Record<string, (d: Debugger, rest: string) => string | undefined>> = {
  info: (d, rest) => {
    const [, what, more] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
    return Object.hasOwn(INFO, what ?? '') ? INFO[what ?? ''](d, (more ?? '').trim()) : undefined;
  },
  page: (d, rest) => {
    const host = hostOf(d);
    const m = /^(.*?)\s*((?:\s(?:user|kernel|read|write|execute))*)$/.exec(` ${rest}`);
    const { va, access } = walkArguments(d, { va: m?.[1], access: m?.[2] });
    return walkText(walkPage(host, va, access), addressKind(d, va));
  },
  why: (d, rest) => (rest === '' ? undefined : whyRecord(d, recordNumbered(d, rest))),
  trap: (d, rest) => {
    const r = recordNumbered(d, rest);
    const lasts =
      r.frame === undefined
        ? ''
        : r.instructions === undefined
          ? 'its handler has not returned\n'
          : `its handler returned after ${r.instructions} instructions\n`;
    return `${line(d, r)}${mnemonic(r)}: ${whatText(r)}\n${r.cr2 === undefined ? '' : `address ${hex8(r.cr2)}: ${addressKind(d, r.cr2)}\n`}${becameText(r, d.programs)}.\n${lasts}${r.frame === undefined ? '' : pushedText(r, d.programs)}`;
  },
  traps: (d, rest) => traps(d, rest),
  tasks: (d, rest) => tasks(d, rest),
  ps: (d, rest) => tasks(d, rest),
  diff: (d) => differenceText(firstDifference(d.target.records, previousLog(d)), d.programs),
  modules: (d) => {
    d.following.lookNow();
    return d.modules.text();
  },
  dmesg: (d, rest) => dmesg(d, rest),
  stats: (d, rest) => {
    const m = /^by (\S+)\s*(.*)$/s.exec(rest);
    if (m === null) return rest === '' ? undefined : fail(`stats by what? ${GROUPINGS.join(', ')}`);
    const by = parseGrouping(m[1]);
    const text = statisticsText(statistics(d.target.records, d.programs, by, recordFilter(m[2], d.programs)), by);
    return by === 'refault' ? `${text}pinned kernel stack pages, filled without a trap: ${d.target.records.totals.pinnedFilled}\n` : text;
  },
  gates: (d) =>
    gateAudit(hostOf(d), d.programs)
      .map(
        (g) =>
          `${String(g.vector).padStart(3)} ${g.name.padEnd(24)} ${g.route.padEnd(9)} asked ${g.asked}; installed ${g.installed}; ${g.why}\n`,
      )
      .join('') || 'the Guest has no gates yet\n',
  irqs: (d) =>
    irqRows(hostOf(d), d.programs)
      .map((i) => `irq ${i.irq}: ${i.verdict}\n`)
      .join('') || 'no interrupt is set up or pending\n',
  inject: (d, rest) =>
    `${inject(
      d,
      parseInject(rest, (text) => numberOf(d, text)),
    )}\n`,
  export: (d, rest) => {
    const [, format, filter] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
    const known = parseFormat(format);
    const text = exportTraps(d, known, filter ?? '');
    const lines = text.split('\n');
    return known === 'chrome' || lines.length <= EXPORT_LIMIT
      ? text
      : `${lines.slice(0, EXPORT_LIMIT).join('\n')}\n... ${lines.length - 1 - EXPORT_LIMIT} lines more: give a filter, or ask lguest/export\n`;
  },
};

export const QUESTION_HELP = `  info idt|gdt|tss     descriptors and gates: asked, installed, why
  info mem|tlb|audit   the Guest's mappings, the shadow's, what is odd about them
  info irq [N]         interrupts; why irq N is not delivered
  info fpu             whose the FPU is, and what its next use will do
  info hcall|shadow    the ring of asynchronous hypercalls; shadow slots and evictions
  info cr2 [hw|host|guest], info storm   the three cr2 and their history; a fault that repeats without progress
  info filters         what each exception filter does (stop, log, count) and how much it found
  tasks [PID|NAME|tree], ps   the Guest's tasks; one with its stack, mappings and files
  modules              kernel modules, where they lie and whose symbols are known
  dmesg [LEVEL]        the kernel's log from its memory; LEVEL 0 to 7 leaves out what is less urgent
  gates, irqs          gates asked for and installed; why each interrupt is or is not delivered
  traps [N] [FILTER]   the newest records that match, such as traps 5 outcome == reflected && err.W
  diff                 the first trap in which this run differs from the one before the restart
  inject vector N [err=E] [cr2=A], inject irq N   raises a trap or an interrupt, which then goes its usual way
  export ndjson|csv|chrome [FILTER]      the log as text
`;
export const questionNames = (): string[] => Object.keys(COMMANDS);

/** Answers a console line, or undefined when it is none of ours. */
export const askInConsole = (d: Debugger, word: string, rest: string): string | undefined =>
  Object.hasOwn(COMMANDS, word) ? COMMANDS[word](d, rest) : undefined;
