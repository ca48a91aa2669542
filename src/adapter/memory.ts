// Memory and code: reading, writing, disassembly.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { hitsNote } from '../debugger/breakpoint-rows';
import { type CodeRow, CodeRows } from '../debugger/code-rows';
import { inlineNote, neverNote, operandNote, patchNote, segmentNote } from '../debugger/code-notes';
import { targetNote } from '../debugger/listing';
import { mappingsOf } from '../debugger/mappings';
import { pageState } from '../debugger/memory-grid';
import { parsePattern, parseRegion, REGION_FORMATS, regionText, Search } from '../debugger/memory-tools';
import type { Debugger } from '../debugger/session';
import { hex8, LINEAR, type Space } from '../debugger/target';
import { PAGE } from '../i386/state';
import { inPieces } from './jobs';
import type { Context } from './context';
import { reference, spaceName } from './memory-reference';
import { type Arguments, ERRORS, type Handlers, type Job, oneOf, RequestError, wantNumber, wantText } from './requests';
import { lastPart } from './sources';

const readMemory = (s: Context, args: Arguments): object => {
  const d = s.core;
  const text = wantText(args, 'memoryReference');
  const { address, space } = reference(s, text);
  const from = address + wantNumber(args, 'offset', 0);
  const count = Math.min(wantNumber(args, 'count'), 1 << 24);
  if (count < 0) throw new RequestError(ERRORS.badArgument, '"count" must not be negative.');
  if (from < 0 || from > 0xffffffff) return { address: hex8(from), unreadableBytes: count };
  const bytes = d.target.read(from, count, space);
  if (bytes.length > 0) s.memoryRead.set(text, Math.max(s.memoryRead.get(text) ?? 0, from - address + bytes.length));
  const unreadable = count - bytes.length;
  return {
    address: spaceName(text, from),
    ...(bytes.length > 0 ? { data: toBase64(bytes) } : {}),
    ...(unreadable > 0 ? { unreadableBytes: unreadable } : {}),
  };
};

/** @throws RequestError unless all of a region is mapped. */
const wantMapped = (d: Debugger, from: number, count: number, space: Space, done: string): void => {
  for (let at = from; at < from + count; at += PAGE - (at % PAGE))
    if (at < 0 || at > 0xffffffff || d.target.locate(at, space) < 0)
      throw new RequestError(ERRORS.memory, `${hex8(at)} is not mapped; nothing was ${done}.`);
};

/** Code that was changed by hand runs as it is then, and no source says so: told once a session. */
const warnOfCode = (s: Context, d: Debugger, from: number, length: number): void => {
  if (s.warnedOfCode) return;
  const symbol = d.programs.symbolAt(from);
  if (symbol?.kind !== 'function' || symbol.offset >= Math.max(symbol.size, 1)) return;
  s.warnedOfCode = true;
  s.output(
    `Note: ${length} bytes of code of ${d.programs.nameOf(from) ?? hex8(from)} were changed. The Guest runs what is there now; its source and symbols are those of before.`,
  );
};

const writeMemory = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const { address, space } = reference(s, wantText(args, 'memoryReference'));
  const from = address + wantNumber(args, 'offset', 0);
  const bytes = fromBase64(wantText(args, 'data'));
  if (args.allowPartial !== true) wantMapped(d, from, bytes.length, space, 'written');
  const written = d.target.write(from, bytes, space);
  if (written > 0 && space.kind === 'linear') warnOfCode(s, d, from, written);
  d.forget();
  return { bytesWritten: written };
};

const disassemble = async (s: Context, args: Arguments, job: Job): Promise<object> => {
  const d = s.core;
  const { address } = reference(s, wantText(args, 'memoryReference'));
  const from = address + wantNumber(args, 'offset', 0);
  const count = Math.min(wantNumber(args, 'instructionCount'), 20_000);
  const rows = new CodeRows(d.target, d.programs, d.disassembler).around(
    Math.min(Math.max(from, 0), 0xffffffff),
    wantNumber(args, 'instructionOffset', 0),
    count,
  );
  const here = d.running ? -1 : d.target.pc;
  const instructions: DebugProtocol.DisassembledInstruction[] = [];
  const add = (row: CodeRow): void => {
    const { decoded } = row;
    const out: DebugProtocol.DisassembledInstruction = {
      address: hex8(row.address),
      instruction:
        decoded === undefined
          ? row.bytes.length === 0
            ? '??'
            : '(bad)'
          : `${decoded.text}${targetNote(d.programs, decoded)}${row.address === here ? operandNote(d, decoded) : ''}${segmentNote(d.target, row.address)}${inlineNote(d.programs, row.address)}${patchNote(d.target, d.programs, row.address, row.bytes)}${neverNote(d.target, row.address, row.bytes.length)}${hitsNote(d, row.address)}`,
    };
    if (row.bytes.length > 0) out.instructionBytes = Array.from(row.bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
    if (decoded === undefined) out.presentationHint = 'invalid';
    const symbol = d.programs.symbolAt(row.address);
    if (symbol?.offset === 0) out.symbol = symbol.name;
    const line = d.programs.lineAt(row.address);
    // The first instruction of its line, whatever rows were asked for.
    const before = row.address === 0 ? undefined : d.programs.lineAt(row.address - 1);
    if (line !== undefined && (line.line !== before?.line || line.file !== before.file)) {
      const path = s.sources?.resolve(line.file);
      if (path !== undefined) {
        out.location = { name: lastPart(path), path };
        out.line = s.outLine(line.line);
      }
    }
    instructions.push(out);
  };
  let next = 0;
  await inPieces(s, job, 'Disassembling', () => {
    for (const end = Math.min(rows.length, next + 100); next < end; next++) add(rows[next]);
    return next < rows.length ? next / rows.length : undefined;
  });
  return { instructions };
};

const toBase64 = (bytes: Uint8Array): string => {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
};
const fromBase64 = (text: string): Uint8Array => {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new RequestError(ERRORS.badArgument, '"data" is not base64.');
  }
};

/** All places of a pattern in an address space, a piece at a time. */
const search = async (s: Context, args: Arguments, job: Job): Promise<object> => {
  const d = s.standing;
  const pattern = parsePattern(wantText(args, 'pattern'));
  const { address, space } = reference(s, typeof args.from === 'string' ? args.from : '0x00000000');
  const end = space.kind === 'linear' ? 2 ** 32 : Math.min(2 ** 32, d.target.processor.cpu.ramBytes);
  const to = typeof args.to === 'string' ? reference(s, args.to).address : end;
  const found = new Search(d.target, pattern, address, Math.min(to, end), space, wantNumber(args, 'most', 1000));
  await inPieces(s, job, 'Searching memory', () => {
    if (d.running) throw new RequestError(ERRORS.running, 'The Guest runs again: not all of its memory was searched.');
    return found.next();
  });
  const prefix = typeof args.from === 'string' ? args.from : '';
  const { host } = d.target;
  const maps = space.kind === 'physical' && host !== undefined && found.found.length > 0 ? mappingsOf(host, 'guest') : [];
  const aliases = (physical: number): string[] =>
    maps.filter((m) => physical >= m.target && physical - m.target <= m.to - m.from).map((m) => hex8(m.from + (physical - m.target)));
  return {
    matches: found.found.map((at) => ({
      reference: spaceName(prefix, at),
      name: space.kind === 'linear' ? (d.programs.nameOf(at) ?? '') : '',
      ...(space.kind === 'physical' ? { virtual: aliases(at) } : {}),
    })),
  };
};

/** An answer is one text, which cannot be much longer. */
const MOST_EXPORTED = 1 << 26;

/** A region as a file's content: base64, Intel HEX or S-records. */
const exportRegion = (s: Context, args: Arguments): object => {
  const { address, space } = reference(s, wantText(args, 'memoryReference'));
  const count = wantNumber(args, 'count');
  if (count < 0 || count > MOST_EXPORTED) throw new RequestError(ERRORS.badArgument, `"count" must be from 0 to ${MOST_EXPORTED}.`);
  const format = oneOf(args, 'format', REGION_FORMATS, 'raw');
  const bytes = s.standing.target.read(address, count, space);
  if (bytes.length < count)
    throw new RequestError(
      ERRORS.memory,
      `${hex8(address + bytes.length)} is not mapped: only ${bytes.length} of ${count} bytes can be saved.`,
    );
  return format === 'raw' ? { data: toBase64(bytes) } : { text: regionText(bytes, address, format) };
};
const importRegion = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const at = typeof args.memoryReference === 'string' ? reference(s, args.memoryReference) : undefined;
  const pieces =
    typeof args.text === 'string' ? parseRegion(args.text) : [{ address: at?.address ?? 0, bytes: fromBase64(wantText(args, 'data')) }];
  const space = at?.space ?? LINEAR;
  for (const { address, bytes } of pieces) wantMapped(d, address, bytes.length, space, 'loaded');
  let written = 0;
  for (const { address, bytes } of pieces) written += d.target.write(address, bytes, space);
  d.forget();
  return { bytesWritten: written };
};

/** Rows of memory for a view, from where an expression leads now. */
const grid = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const text = typeof args.memoryReference === 'string' && args.memoryReference.trim() !== '' ? args.memoryReference.trim() : '$esp';
  const { address, space } = reference(s, text);
  const as = typeof args.as === 'string' && args.as !== '' ? args.as : undefined;
  const nodes = s.memoryGrid.tree(d, {
    text,
    address,
    space,
    name: (at) => spaceName(text, at),
    rows: wantNumber(args, 'rows', 16),
    ...(as === undefined ? {} : { as }),
  });
  return { nodes };
};

/** What each page of a region is: `lguest/readPages`. */
const readPages = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const text = wantText(args, 'memoryReference');
  const { address, space } = reference(s, text);
  const count = Math.min(wantNumber(args, 'count'), 1 << 24);
  const pages: object[] = [];
  for (let at = (address & ~(PAGE - 1)) >>> 0; at < address + count && at < 2 ** 32; at += PAGE) {
    const bytes = d.target.read(at, PAGE, space);
    pages.push({
      reference: spaceName(text, at),
      state: pageState(d, at, space),
      ...(bytes.length === PAGE ? { data: toBase64(bytes) } : {}),
    });
  }
  return { pages };
};

export const memoryRequests = (s: Context): Handlers => ({
  'lguest/view/memory': (a) => grid(s, a),
  'lguest/readPages': (a) => readPages(s, a),
  'lguest/memory/search': (a, job) => search(s, a, job),
  'lguest/memory/export': (a) => exportRegion(s, a),
  'lguest/memory/import': (a) => importRegion(s, a),
  readMemory: (a) => readMemory(s, a),
  writeMemory: (a) => writeMemory(s, a),
  disassemble: (a, job) => disassemble(s, a, job),
});
