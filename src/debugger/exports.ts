// The trap log as a file for other tools: NDJSON and CSV for scripts and tables, Chrome trace JSON for trace viewers (Perfetto, chrome://tracing).
//
// Texts are made here, files are written by whoever has a file system. What it leaves out: choosing records (trap-log.ts).

import { hex } from '../lguest/abi';
import { formatPosition, toJson, type TrapRecord } from '../lguest/trap-record';
import { ExpressionError } from './expression';
import { hypercallText, mnemonic, whatText } from './explain';
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
const LANES = ['user', 'kernel', 'hypercalls', 'virtual interrupts', 'Host'] as const;
const laneOf = (r: TrapRecord): number =>
  r.kind === 'hypercall' ? 2 : r.kind === 'virq' ? 3 : r.outcome === 'host-irq' || r.kind === 'kill' ? 4 : r.cpl === 3 ? 0 : 1;

/** Every record is a moment; deliveries to the Guest also a stretch as long as their handlers. */
export const chromeTrace = (records: readonly TrapRecord[], names?: Names): string => {
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
  return `${JSON.stringify({ displayTimeUnit: 'ns', otherData: { schema: SCHEMA, clock: 'Guest nanoseconds; one instruction is one' }, traceEvents: events })}\n`;
};

export const exportText = (records: readonly TrapRecord[], format: ExportFormat, names?: Names): string => {
  if (format === 'chrome') return chromeTrace(records, names);
  const lines = format === 'csv' ? [CSV_HEAD, ...records.map((r) => csvLine(r, names))] : records.map(toJson);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
};
