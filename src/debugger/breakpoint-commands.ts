// Breakpoints, watches and memory from the Debug Console, in gdb's and Bochs' spellings.
//
// What is made here has numbers of the same series as the client's, and stays when the client sends its lists. What it leaves out: everything that only looks (commands.ts).

import { ExpressionError } from './expression';
import type { FilterMode } from './filters';
import { aboutByte, parsePattern, Search } from './memory-tools';
import type { Debugger } from './session';
import { hex8, LINEAR } from './target';
import { watchNamed } from './watch-names';
import { formatValue } from './value';
import type { WatchAccess } from './watches';

const fail = (message: string): never => {
  throw new ExpressionError(message);
};

/** `PLACE [if CONDITION]` or `PLACE -> LOG TEXT`. @returns what was made, in one line. @throws ExpressionError. */
export const addBreakpointText = (d: Debugger, text: string, once = false): string => {
  const m = /^(.*?)(?:\s+if\s+(.+?))?(?:\s+->\s*(.+))?$/s.exec(text.trim());
  const place = m?.[1] ?? '';
  if (place === '') return fail('where? b NAME, b file.c:LINE, b 0xADDRESS, b p:0xADDRESS, b #INSTRUCTIONS');
  const line = /^(.+):(\d+)$/.exec(place);
  const more = {
    ...(m?.[2] === undefined ? {} : { condition: m[2] }),
    ...(m?.[3] === undefined ? {} : { logMessage: m[3] }),
    ...(once ? { once } : {}),
  };
  const b = d.addBreakpoint(
    line !== null && !/^0x/i.test(line[2]) && !/^(v|p|all)$/.test(line[1])
      ? { kind: 'source', file: line[1], line: Number(line[2]), ...more }
      : { kind: 'function', pattern: place, ...more },
  );
  if (!b.verified) {
    d.breakpoints.remove(b);
    return fail(b.message ?? `"${place}" is no place`);
  }
  const at = b.places
    .map((p) => `${hex8(p.address)}${d.programs.nameOf(p.address) === undefined ? '' : ` <${d.programs.nameOf(p.address)}>`}`)
    .slice(0, 4)
    .join(', ');
  return `${once ? 'Temporary breakpoint' : 'Breakpoint'} ${b.id} at ${b.count === undefined ? at : `instruction ${b.count}`}${b.message === undefined ? '' : ` (${b.message})`}\n`;
};

/** `/REGEX/` or `/REGEX/i`; without, those that there are. */
const consoleStop = (d: Debugger, text: string): string => {
  if (text === '') return consoleTable(d) || 'no text of the console stops the Guest: console /REGEX/\n';
  const [, once, pattern] = /^(once\s+)?(.*)$/s.exec(text) ?? [];
  const stop = d.consoleStops.add(d.newId(), pattern ?? '', once !== undefined);
  return `Breakpoint ${stop.id} at console text ${stop.text}${stop.once ? ', once' : ''}\n`;
};
const consoleTable = (d: Debugger): string =>
  d.consoleStops.list.map((s) => `${s.id} console ${s.text}, ${s.hits} ${s.hits === 1 ? 'hit' : 'hits'}\n`).join('');

/** `FILTER [if CONDITION]`, `off FILTER`; without, what every filter does. */
const trapFilter = (d: Debugger, text: string, mode: FilterMode): string => {
  if (text === '') return d.filterCounts.map((f) => `${f.id.padEnd(12)} ${f.mode.padEnd(6)} ${f.count}\n`).join('') || 'no filter is set\n';
  const [, off, id, condition] = /^(off\s+|on\s+)?(\S+)(?:\s+if\s+(.+))?$/s.exec(text) ?? [];
  if (id === undefined) return fail('which filter? catch pf.guest if cr2 < 0x1000, catch off pf.guest');
  if (off?.startsWith('off')) return d.dropFilter(id) ? `${id} is as the editor has it\n` : fail(`${id} was not set here`);
  d.addFilter({ id, mode, ...(condition === undefined ? {} : { condition }) });
  return `${id}: ${mode}${condition === undefined ? '' : ` if ${condition}`}\n`;
};

/** Who wrote something last, where a watch records it. */
const lastWriter = (d: Debugger, text: string): string => {
  if (text === '') return fail('of what? last jiffies');
  const { value, env, format } = d.evaluate(`lastwrite(${text})`, undefined, false);
  return `${formatValue(value, d.valueContext(env), format)}\n`;
};

/** `WHAT [if CONDITION] [| log]`. @throws ExpressionError. */
export const addWatchText = (d: Debugger, text: string, access: WatchAccess = 'write'): string => {
  // `PLACE | log` is a watch without a condition that logs.
  const m = /^(.*?)(?:\s+if\s+(.+)|\s*(\|\s*(?:log|count)))?$/s.exec(text.trim());
  const condition = m?.[2] ?? m?.[3];
  const found = watchNamed(d, m?.[1] ?? '', undefined);
  if (typeof found === 'string') return fail(found);
  const kind = found.access.includes(access) ? access : 'write';
  const made = d.addWatch({ dataId: found.id, access: kind, console: true, ...(condition === undefined ? {} : { condition }) });
  return made.problem === undefined ? `Watch ${made.id}: ${found.description}\n` : fail(made.problem);
};

const remove = (d: Debugger, text: string): string => {
  const ids = text === '' ? undefined : text.split(/[\s,]+/).map(Number);
  const mine = [...d.breakpoints].filter((b) => b.spec.console && (ids === undefined || ids.includes(b.id)));
  const watches = d.watches.all.filter((w) => w.wish.console && (ids === undefined || ids.includes(w.id)));
  for (const b of mine) d.breakpoints.remove(b);
  for (const w of watches) d.dropWatch(w);
  const texts = d.consoleStops.list
    .filter((x) => ids === undefined || ids.includes(x.id))
    .filter((x) => d.consoleStops.remove(x.id)).length;
  const count = mine.length + watches.length + texts;
  if (ids !== undefined && count < ids.length) return fail(`not all of ${text} were made here; the editor has the others`);
  return `${count} deleted\n`;
};

const find = (d: Debugger, text: string): string => {
  const m = /^(".*"|(?:bytes\s+)?(?:[0-9a-f]{2}\s+)+[0-9a-f]{2}|\S+)(?:\s+from\s+(0x[0-9a-f]+)(?:\s+to\s+(0x[0-9a-f]+))?)?$/is.exec(
    text.trim(),
  );
  if (m === null) return fail('find "text", find 0x1234 or find bytes 12 34 ab, then: from 0x… to 0x…');
  const from = Number(m[2] ?? 0xc0000000);
  const search = new Search(d.target, parsePattern(m[1]), from, Number(m[3] ?? 0xffc00000), LINEAR, 50);
  while (search.next() !== undefined);
  return search.found.length === 0
    ? 'not found\n'
    : `${search.found.map((at) => `${hex8(at)} ${d.programs.nameOf(at) ?? ''}`.trimEnd()).join('\n')}\n`;
};

/** `set *ADDRESS = VALUE`, as Bochs' setpmem and gdb's set do by an assignment. */
const set = (d: Debugger, text: string): string => {
  const m = /^(?:var\s+)?(.+?)\s*=\s*(.+)$/s.exec(text);
  if (m === null) return fail('set PLACE = VALUE');
  d.evaluate(`${m[1]} = ${m[2]}`, undefined, true);
  d.forget();
  return '';
};

const watchLog = (d: Debugger, text: string): string => {
  const rows = d.watches.rows.slice(-(Number(text) || 20));
  return rows.length === 0
    ? 'no watch has logged anything; a condition that ends in "| log" makes one log\n'
    : `${rows.map((r) => `${r.position.padEnd(14)} ${r.name} ${r.kind === 'read' ? `read as ${r.new}` : `${r.old} → ${r.new}`} by ${r.by}${r.pc === undefined ? '' : ` at ${d.programs.nameOf(r.pc) ?? hex8(r.pc)}`}`).join('\n')}\n`;
};

type Command = (d: Debugger, rest: string) => string;
export const BREAKPOINT_COMMANDS: Readonly<Record<string, Command>> = {
  b: (d, rest) => addBreakpointText(d, rest),
  tb: (d, rest) => addBreakpointText(d, rest, true),
  watch: (d, rest) => addWatchText(d, rest),
  rwatch: (d, rest) => addWatchText(d, rest, 'read'),
  awatch: (d, rest) => addWatchText(d, rest, 'readWrite'),
  catch: (d, rest) => trapFilter(d, rest, 'stop'),
  log: (d, rest) => trapFilter(d, rest, 'log'),
  last: lastWriter,
  console: consoleStop,
  watchlog: watchLog,
  delete: remove,
  find,
  set,
  what: (d, rest) =>
    `${aboutByte(d.target, d.programs, d.watches, Number(BigInt.asUintN(32, d.evaluate(rest === '' ? '$eip' : rest, undefined, false).value.bits))).join('\n')}\n`,
};

/** Other tools' words for our commands; `$1` is what follows. */
export const SPELLINGS: Readonly<Record<string, string>> = {
  // gdb
  break: 'b',
  tbreak: 'tb',
  hbreak: 'b',
  d: 'delete',
  del: 'delete',
  continue: 'c',
  cont: 'c',
  step: 's',
  next: 'n',
  stepi: 'si',
  nexti: 'ni',
  finish: 'fin',
  backtrace: 'bt',
  where: 'bt',
  disassemble: 'disas',
  // Bochs
  vb: 'b v:',
  vbreak: 'b v:',
  lb: 'b v:',
  lbreak: 'b v:',
  pb: 'b p:',
  pbreak: 'b p:',
  sb: 'b #',
  blist: 'info b',
  bpd: 'delete',
  print: 'print',
  p: 'print',
  r: 'info reg',
  reg: 'info reg',
  regs: 'info reg',
  u: 'disas',
  ptime: 'when',
  cr: 'info cr',
  creg: 'info cr',
  xp: 'xp',
};
