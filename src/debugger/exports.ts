// The trap log as a file for other tools: NDJSON and CSV for scripts and tables, Chrome trace JSON for trace viewers (Perfetto, chrome://tracing).
//
// Texts are made here, files are written by whoever has a file system. What it leaves out: choosing records (trap-log.ts).

import { hex } from '../lguest/abi';
import { formatPosition, toJson, type TrapRecord } from '../lguest/trap-record';
import { ExpressionError } from './expression';
import { hypercallText, mnemonic, whatText } from './explain';
import type { LogNote } from './log-notes';
import { type Names, nest } from './record-query';

export const EXPORT_FORMATS = ['ndjson', 'csv', 'chrome'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
/** Changes when a column changes its meaning or goes away. */
export const SCHEMA = 1;

/** By the end of a file's name: .csv, .json is Chrome trace, anything else NDJSON. */
export const formatOfPath = (path: string): ExportFormat => (/\.csv$/i.test(path) ? 'csv' : /\.json$/i.test(path) ? 'chrome' : 'ndjson');
export const parseFormat = (text: string | undefined): ExportFormat => {
  const word = text === undefined || text === '' ? 'ndjson' : text === 'json' ? 'chrome' : text;
  const found = EXPORT_FORMATS.find((f) => f === word);
  if (found === undefined) throw new ExpressionError(`export as what? ${EXPORT_FORMATS.join(', ')}`);
  return found;
};

const COLUMNS = [
  'k',
  'pos',
  'ns',
  'kind',
  'vector',
  'err',
  'eip',
  'symbol',
  'cs',
  'cpl',
  'cr2',
  'outcome',
  'reason',
  'parent',
  'handler',
  'call',
  'message',
] as const;
export const CSV_HEAD = COLUMNS.join(',');
const cell = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export const csvLine = (r: TrapRecord, names?: Names): string => {
  const h = (v: number | undefined): string => (v === undefined ? '' : hex(v));
  const values = [
    r.k,
    formatPosition(r.pos),
    r.ns,
    r.kind,
    r.vector,
    h(r.err),
    h(r.eip),
    names?.nameOf(r.eip) ?? '',
    h(r.cs),
    r.cpl,
    h(r.cr2),
    r.outcome,
    r.reason,
    r.parent ?? '',
    h(r.handler),
    hypercallText(r),
    r.message ?? '',
  ];
  return values.map((v) => cell(String(v))).join(',');
};

/** A logpoint's line as a row of kind `log`; it has no number of its own. */
const noteCsv = (n: LogNote, names?: Names): string => {
  const at = { pos: formatPosition(n.position), ns: n.ns, kind: 'log', eip: hex(n.at), symbol: names?.nameOf(n.at) ?? '', message: n.text };
  return COLUMNS.map((column) => cell(String((at as Partial<Record<string, string | number>>)[column] ?? ''))).join(',');
};
const noteJson = (n: LogNote): string =>
  JSON.stringify({ kind: 'log', before: n.k, pos: formatPosition(n.position), ns: n.ns, eip: hex(n.at), text: n.text });

/** An event of the trace event format; ts and dur in microseconds of Guest time. */
interface TraceEvent {
  name: string;
  cat: string;
  ph: 'X' | 'i' | 'M';
  pid: 1;
  tid: number;
  ts?: number;
  dur?: number;
  s?: 't';
  args: Record<string, unknown>;
}
const LANES = ['user', 'kernel', 'hypercalls', 'virtual interrupts', 'Host', 'logpoints'] as const;
const laneOf = (r: TrapRecord): number =>
  r.kind === 'hypercall' ? 2 : r.kind === 'virq' ? 3 : r.outcome === 'host-irq' || r.kind === 'kill' ? 4 : r.cpl === 3 ? 0 : 1;

/** Every record is a moment; deliveries to the Guest also a stretch as long as their handlers. */
export const chromeTrace = (records: readonly TrapRecord[], names?: Names, notes: readonly LogNote[] = []): string => {
  const events: TraceEvent[] = [
    { name: 'process_name', cat: '__metadata', ph: 'M', pid: 1, tid: 0, args: { name: 'lguest Guest' } },
    ...LANES.map((name, tid): TraceEvent => ({ name: 'thread_name', cat: '__metadata', ph: 'M', pid: 1, tid, args: { name } })),
  ];
  for (const { record: r, resume, inside } of nest(records)) {
    const args = {
      k: r.k,
      position: formatPosition(r.pos),
      what: whatText(r),
      outcome: r.outcome,
      reason: r.reason,
      at: names?.nameOf(r.eip) ?? hex(r.eip),
      ...(r.cr2 === undefined ? {} : { cr2: hex(r.cr2) }),
      ...(inside === undefined ? {} : { inside }),
    };
    const base = { name: r.hypercall?.name ?? mnemonic(r), cat: r.outcome, pid: 1 as const, tid: laneOf(r), ts: r.ns / 1000, args };
    events.push({ ...base, ph: 'i', s: 't' });
    if (resume !== undefined && resume > 0) events.push({ ...base, name: `${base.name} handler`, ph: 'X', dur: resume / 1000 });
  }
  for (const n of notes) {
    const args = { before: n.k, position: formatPosition(n.position), at: names?.nameOf(n.at) ?? hex(n.at) };
    events.push({ name: n.text, cat: 'log', ph: 'i', pid: 1, tid: LANES.length - 1, ts: n.ns / 1000, s: 't', args });
  }
  return `${JSON.stringify({ displayTimeUnit: 'ns', otherData: { schema: SCHEMA, clock: 'Guest nanoseconds; one instruction is one' }, traceEvents: events })}\n`;
};

/** @param notes lines of logpoints, oldest first; each comes before the record that it stands before. */
export const exportText = (records: readonly TrapRecord[], format: ExportFormat, names?: Names, notes: readonly LogNote[] = []): string => {
  if (format === 'chrome') return chromeTrace(records, names, notes);
  const csv = format === 'csv';
  const lines: string[] = csv ? [CSV_HEAD] : [];
  let next = 0;
  const upTo = (k: number): void => {
    for (; next < notes.length && notes[next].k <= k; next++) lines.push(csv ? noteCsv(notes[next], names) : noteJson(notes[next]));
  };
  for (const r of records) {
    upTo(r.k);
    lines.push(csv ? csvLine(r, names) : toJson(r));
  }
  upTo(Number.POSITIVE_INFINITY);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
};
