// The trap log asked by question: which records match an expression, who is handled inside whom, and which words it found on its stack.
//
// Nothing is stored beside the records; every answer is made by one pass over those still kept. What it leaves out: counting (statistics.ts) and files (exports.ts).

import { hex } from '../lguest/abi';
import { formatPosition, type TrapLog, type TrapRecord } from '../lguest/trap-record';
import { hypercallText, mnemonic } from './explain';
import { compile, ExpressionError, parse } from './expression';
import { trapNumber } from './trap-names';
import type { Programs } from './programs';
import { hex8 } from './target';

export type Names = Pick<Programs, 'nameOf' | 'addressOf' | 'symbolAt'>;
export type RecordFilter = (record: TrapRecord) => boolean;

/** Fields with a word for a value. */
const WORDS: Readonly<Record<string, (r: TrapRecord, names: Names) => string>> = {
  outcome: (r) => r.outcome,
  reason: (r) => r.reason,
  kind: (r) => r.kind,
  origin: (r) => r.kind,
  from: (r) => (r.cpl === 3 ? 'user' : 'kernel'),
  name: (r) => r.hypercall?.name ?? '',
  symbol: (r, names) => names.symbolAt(r.eip)?.name ?? '',
};
/** Fields with a number beside those of conditions. */
const NUMBERS: Readonly<Record<string, (r: TrapRecord) => number>> = {
  eip: (r) => r.eip,
  cs: (r) => r.cs,
  ss: (r) => r.ss,
  esp: (r) => r.esp,
  eflags: (r) => r.eflags,
  cr3: (r) => r.cr3,
  k: (r) => r.k,
  ns: (r) => r.ns,
  page: (r) => (r.cr2 ?? 0) >>> 12,
  slot: (r) => r.hypercall?.slot ?? -1,
};

/** `outcome == reflected && err.W && cr2 < 0x1000` as a function of records; '' takes all. Throws ExpressionError. */
export const recordFilter = (text: string, names: Names): RecordFilter => {
  if (text.trim() === '') return () => true;
  const tests: RecordFilter[] = [];
  const plain = text
    .replace(
      /\b([a-z]+)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][\w-]*))/g,
      (whole, field: string, op: string, a?: string, b?: string, c?: string) => {
        const read = Object.hasOwn(WORDS, field) ? WORDS[field] : undefined;
        if (read === undefined) return whole;
        const word = a ?? b ?? c ?? '';
        tests.push((r) => (read(r, names) === word) === (op === '=='));
        return `__word${tests.length - 1}`;
      },
    )
    .replace(/\bargs\[([0-2])\]/g, (_, n: string) => `arg${Number(n) + 1}`);
  let current: TrapRecord | undefined;
  const unknown: string[] = [];
  const test = compile(parse(plain), {
    reader: (name) => {
      const word = /^__word(\d+)$/.exec(name);
      if (word !== null) return () => (tests[Number(word[1])](current as TrapRecord) ? 1 : 0);
      const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
      if (number !== undefined) return () => number(current as TrapRecord) >>> 0;
      if (Object.hasOwn(WORDS, name))
        throw new ExpressionError(
          `"${name}" is compared with a word, such as ${name} == ${name === 'outcome' ? 'reflected' : name === 'from' ? 'user' : 'WORD'}`,
        );
      if (isTrapName(name)) return () => (trapNumber(current as TrapRecord, name) ?? 0) >>> 0;
      const address = names.addressOf(name);
      if (address !== undefined) return () => address;
      unknown.push(name);
      return undefined;
    },
  });
  if (unknown.length > 0) throw new ExpressionError(`a filter of records has no "${unknown[0]}"; it has ${FILTER_NAMES.join(' ')}`);
  if (test === undefined) throw new ExpressionError('a filter of records is made of comparisons, && || ! and + - & | only');
  return (r) => {
    current = r;
    return test() !== 0;
  };
};
const SAMPLE = { err: 0, cr2: 0, handler: 0, k: 0, vector: 0, cpl: 0, pos: { retired: 0 } } as unknown as TrapRecord;
const isTrapName = (name: string): boolean => trapNumber(SAMPLE, name) !== undefined;
export const FILTER_NAMES = [
  'vector',
  'err',
  'err.P',
  'err.W',
  'err.U',
  'cr2',
  'page',
  'eip',
  'cs',
  'cpl',
  'ss',
  'esp',
  'eflags',
  'cr3',
  'nr',
  'args[0]',
  'virq',
  'handler',
  'k',
  'insns',
  ...Object.keys(WORDS),
];

// ---- who is handled inside whom ---------------------------------------------------------------------------------------------------------

export interface Nested {
  record: TrapRecord;
  /** k of the delivery in whose handler this happened. */
  inside: number | undefined;
  depth: number;
  /** Guest instructions until the interrupted code went on: 0 for what the Host settles itself; undefined while the Guest's handler is at work. */
  resume: number | undefined;
}

const KERNEL_STACK = 0x2000;
export const delivers = (r: TrapRecord): boolean => r.outcome === 'reflected' || r.outcome === 'direct' || r.outcome === 'virq-delivered';

/** Records looked at for the trap whose handler is at work. */
const NEWEST = 256;
/** The innermost trap whose handler is at work: not left yet, its frame on the stack at `esp`. */
export const handlerAtWork = (records: TrapLog, esp: number, counts: (r: TrapRecord) => boolean = () => true): TrapRecord | undefined => {
  for (let k = records.count - 1; k >= Math.max(records.first, records.count - NEWEST); k--) {
    const r = records.get(k);
    if (r?.frame === undefined || r.instructions !== undefined || !delivers(r) || !counts(r)) continue;
    if (r.frame.at >= esp && r.frame.at - esp < KERNEL_STACK) return r;
  }
  return undefined;
};

/** The deliveries whose handlers are at work above `esp` on its kernel stack, innermost first, among the records before `k`. */
export const handlerChain = (records: TrapLog, esp: number, k = records.count): TrapRecord[] => {
  const chain: TrapRecord[] = [];
  let above = esp;
  for (let i = k - 1; i >= Math.max(records.first, k - NEWEST); i--) {
    const r = records.get(i);
    if (r?.frame === undefined || r.instructions !== undefined || !delivers(r)) continue;
    if (r.frame.at < above || r.frame.at - esp >= KERNEL_STACK) continue;
    chain.push(r);
    if (r.cpl === 3) break;
    above = r.frame.at + 1;
  }
  return chain;
};

/** Whether `r` came while the handler that `h` began was at work: on the same kernel stack, below its frame, before its IRET. */
const within = (h: TrapRecord, r: TrapRecord): boolean => {
  const at = h.frame?.at;
  return r.cpl !== 3 && at !== undefined && r.esp <= at && at - r.esp < KERNEL_STACK;
};

/** All records kept, oldest first, each with its place among the Guest's handlers. */
export const nest = (records: Iterable<TrapRecord>): Nested[] => {
  const all: Nested[] = [];
  let open: Nested[] = [];
  for (const record of records) {
    const { retired } = record.pos;
    open = open.filter(({ record: h }) => {
      if (h.instructions !== undefined) return h.pos.retired + h.instructions > retired;
      // Its IRET is not on record: it is over once its own code goes on where it was.
      return !(record.eip === h.eip && record.esp === h.esp && record.cpl === h.cpl);
    });
    const inner = open.findLast((h) => within(h.record, record));
    const nested: Nested = {
      record,
      inside: inner?.record.k,
      depth: inner === undefined ? 0 : inner.depth + 1,
      resume: delivers(record) ? record.instructions : 0,
    };
    all.push(nested);
    if (delivers(record)) open.push(nested);
  }
  return all;
};

// ---- queries ------------------------------------------------------------------------------------------------------------------------------

export interface Query {
  filter?: string;
  /** First k to look at; negative: counted from the end. */
  from?: number;
  /** Rows at most, default 100. */
  count?: number;
  /** 'newest': the last matching rows rather than the first. */
  sort?: 'oldest' | 'newest';
}
export interface QueryAnswer {
  rows: TrapRecord[];
  /** Records that match in all, from `from` on. */
  matches: number;
  /** k to go on from, or undefined when there is no more. */
  next: number | undefined;
  /** Oldest record still kept, and how many were made. */
  first: number;
  total: number;
}

export const queryLog = (log: TrapLog, names: Names, q: Query): QueryAnswer => {
  const test = recordFilter(q.filter ?? '', names);
  const count = q.count ?? 100;
  const from = q.from === undefined ? log.first : q.from < 0 ? log.count + q.from : q.from;
  const newest = q.sort === 'newest';
  const rows: TrapRecord[] = [];
  let matches = 0;
  let next: number | undefined;
  for (let k = Math.max(from, log.first); k < log.count; k++) {
    const r = log.get(k);
    if (r === undefined || !test(r)) continue;
    matches++;
    if (newest) {
      rows.push(r);
      if (rows.length > count) rows.shift();
    } else if (rows.length < count) rows.push(r);
    else next ??= k;
  }
  return { rows, matches, next, first: log.first, total: log.count };
};

/** The words that were pushed, highest address first, each with its place and its maker. */
export const pushedWords = (r: TrapRecord): { at: number; name: string; value: number; by: string }[] =>
  (r.frame?.words ?? []).map((w, i, list) => ({
    at: ((r.frame?.at ?? 0) + 4 * (list.length - 1 - i)) >>> 0,
    name: w.name,
    value: w.value >>> 0,
    by: w.by,
  }));
export const pushedText = (r: TrapRecord, names: Names): string => {
  const words = pushedWords(r);
  if (words.length === 0) return "no frame was pushed on the Guest's stack\n";
  return words
    .map((w) => {
      const name = w.name === 'eip' ? names.nameOf(w.value) : undefined;
      const flag = w.name === 'eflags' && w.by === 'Host' ? `  IF=${(w.value >> 9) & 1} as in irq_enabled` : '';
      return `  ${hex8(w.at)}  ${w.name.padEnd(6)} ${hex8(w.value)}  by the ${w.by}${name === undefined ? '' : `  ${name}`}${flag}\n`;
    })
    .join('');
};

// ---- rows -----------------------------------------------------------------------------------------------------------------------------------

/** A record as a row of a table: finished text but for counts. */
export interface TrapRow {
  k: number;
  position: string;
  what: string;
  at: string;
  eip: string;
  cpl: number;
  err: string | undefined;
  cr2: string | undefined;
  outcome: string;
  reason: string;
  parent: number | undefined;
  instructions: number | undefined;
  call: string | undefined;
  frame: { at: string; name: string; value: string; by: string }[];
  message: string | undefined;
  injected: boolean;
}
const opt = (v: number | undefined): string | undefined => (v === undefined ? undefined : hex(v));
export const trapRow = (names: Names, r: TrapRecord): TrapRow => ({
  k: r.k,
  position: formatPosition(r.pos),
  what: mnemonic(r),
  at: names.nameOf(r.eip) ?? hex8(r.eip),
  eip: hex(r.eip),
  cpl: r.cpl,
  err: opt(r.err),
  cr2: opt(r.cr2),
  outcome: r.outcome,
  reason: r.reason,
  parent: r.parent,
  instructions: r.instructions,
  call: r.hypercall === undefined ? undefined : hypercallText(r),
  frame: pushedWords(r).map((w) => ({ ...w, at: hex8(w.at), value: hex8(w.value) })),
  message: r.message,
  injected: r.injected === true,
});
