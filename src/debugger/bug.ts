// Where a kernel gives up by itself: its functions for an oops and a panic, and BUG(), which is ud2 with file and line in a record beside the code.
//
// Records are looked for in the table between __start___bug_table and __stop___bug_table, in the tables of modules, and, for kernels without a table, behind the ud2
// itself: a 16-bit line and the address of the file's name. Everything is only read. What it leaves out: stopping (trap-stops.ts), warnings, which are no end.

import { KernelData } from './kernel-data';
import type { Modules } from './modules';
import type { Programs } from './programs';
import type { Target } from './target';

/** Functions that a Linux kernel passes when it cannot go on; the first that is met in one call chain counts. */
export const OOPS_FUNCTIONS: readonly string[] = ['die', '__die', 'oops_begin', 'panic'];

export interface BugRecord {
  file: string | undefined;
  line: number | undefined;
  /** Who says so. */
  source: 'bug table' | 'words after ud2' | 'line table';
}

const ENTRY = { size: 12, file: 4, line: 8, flags: 10 };
const WARNING = 1;
const LARGEST_TABLE = 1 << 20;
const LONGEST_TEXT = 160;
const SOURCE_NAME = /^[\x20-\x7e]+\.[chS]$/;

/** Text in the Guest's memory up to its zero byte; undefined when it is not readable, empty or no plain text. */
export const textAt = (target: Target, address: number): string | undefined => {
  const bytes = target.read(address >>> 0, LONGEST_TEXT);
  const zero = bytes.indexOf(0);
  const text = String.fromCharCode(...(zero < 0 ? bytes : bytes.subarray(0, zero)));
  return /^[\x20-\x7e\n\t]+$/.test(text) ? text.trim() : undefined;
};

/** Of a table of records the one about the instruction at `eip`. */
const inTable = (data: KernelData, low: number, length: number, eip: number): BugRecord | 'warning' | undefined => {
  const { target } = data;
  const bytes = target.read(low >>> 0, Math.min(length, LARGEST_TABLE));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = data.type('struct bug_entry');
  const place = (name: string, usual: number): number | undefined => (type === undefined ? usual : data.field('bug_entry', name)?.offset);
  const size = type === undefined ? ENTRY.size : (data.field('bug_entry', 'flags')?.offset ?? 0) + 2 <= 8 ? 8 : 12;
  const [file, line, flags] = [place('file', ENTRY.file), place('line', ENTRY.line), place('flags', ENTRY.flags)];
  // Debug information may say anything: no member is read beyond what is there.
  const reach = Math.max(size, (file ?? 0) + 4, (line ?? 0) + 2, (flags ?? 0) + 2);
  for (let at = 0; at + reach <= bytes.length; at += size) {
    if (view.getUint32(at, true) !== eip >>> 0) continue;
    if (flags !== undefined && view.getUint16(at + flags, true) & WARNING) return 'warning';
    return {
      file: file === undefined ? undefined : textAt(target, view.getUint32(at + file, true)),
      line: line === undefined ? undefined : view.getUint16(at + line, true),
      source: 'bug table',
    };
  }
  return undefined;
};

/** The BUG() whose ud2 stands at an address of kernel code, or undefined when there is none. */
export const bugAt = (target: Target, programs: Programs, modules: Modules, eip: number): BugRecord | undefined => {
  const code = target.read(eip, 8);
  if (code.length < 2 || code[0] !== 0x0f || code[1] !== 0x0b) return undefined;
  const data = new KernelData(target, programs);
  const low = programs.addressOf('__start___bug_table');
  const high = programs.addressOf('__stop___bug_table');
  let found: BugRecord | 'warning' | undefined;
  if (low !== undefined && high !== undefined && high > low) found = inTable(data, low, high - low, eip);
  if (found === undefined && modules.known) {
    const module = modules.walk().find((m) => [m.core, m.init].some((r) => eip >= r.low && eip < r.high));
    const o = module === undefined ? undefined : data.at('module', module.address);
    const table = o?.number('bug_table');
    if (table !== undefined) found = inTable(data, table, ENTRY.size * (o?.number('num_bugs') ?? 0), eip);
  }
  if (found === undefined && low === undefined && code.length === 8) {
    const view = new DataView(code.buffer, code.byteOffset, 8);
    const name = textAt(target, view.getUint32(4, true));
    if (name !== undefined && SOURCE_NAME.test(name)) found = { file: name, line: view.getUint16(2, true), source: 'words after ud2' };
  }
  if (found === undefined || found === 'warning') return undefined;
  if (found.file !== undefined) return found;
  const row = programs.lineAt(eip);
  return row === undefined ? found : { file: row.file, line: row.line, source: 'line table' };
};

/** `kernel BUG at fs/inode.c:250!`, as the kernel itself prints it. */
export const bugText = (bug: BugRecord): string =>
  bug.file === undefined
    ? 'kernel BUG, its record has no file and line'
    : `kernel BUG at ${bug.file}${bug.line === undefined ? '' : `:${bug.line}`}!`;

/** Whether an oops function is part of an oops that began in another one, at whose entry the stop has been. Asked at its first instruction. */
export const inOops = (target: Target, programs: Programs, name: string): boolean => {
  if (name === 'panic') return false;
  const back = target.read32(target.register('esp'));
  const caller = back === undefined ? undefined : programs.symbolAt(back)?.name;
  return caller !== undefined && caller !== 'panic' && OOPS_FUNCTIONS.includes(caller);
};

/** The text that an oops function got: panic() has its arguments on the stack, the others in eax first (kernels built with register arguments). */
export const oopsText = (target: Target, name: string): string | undefined => {
  const first = target.read32(target.register('esp') + 4);
  for (const pointer of name === 'panic' ? [first] : [target.register('eax'), first]) {
    const text = pointer === undefined || pointer >>> 0 < 4096 ? undefined : textAt(target, pointer);
    if (text !== undefined && text.length >= 3) return text;
  }
  return undefined;
};
