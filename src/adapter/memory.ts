// Memory and code: reading, writing, disassembly.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { CodeRows } from '../debugger/code-rows';
import { targetNote } from '../debugger/listing';
import { hex8 } from '../debugger/target';
import type { Context } from './context';
import { reference, spaceName } from './memory-reference';
import { type Arguments, ERRORS, type Handlers, RequestError, wantNumber, wantText } from './requests';
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

const writeMemory = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const { address, space } = reference(s, wantText(args, 'memoryReference'));
  const from = address + wantNumber(args, 'offset', 0);
  const bytes = fromBase64(wantText(args, 'data'));
  if (args.allowPartial !== true) {
    for (let i = 0; i < bytes.length; i += 1) {
      if ((i === 0 || ((from + i) & 0xfff) === 0) && d.target.locate(from + i, space) < 0)
        throw new RequestError(ERRORS.memory, `${hex8(from + i)} is not mapped; nothing was written.`);
    }
  }
  const written = d.target.write(from, bytes, space);
  d.forget();
  return { bytesWritten: written };
};

const disassemble = (s: Context, args: Arguments): object => {
  const d = s.core;
  const { address } = reference(s, wantText(args, 'memoryReference'));
  const from = address + wantNumber(args, 'offset', 0);
  const count = Math.min(wantNumber(args, 'instructionCount'), 20_000);
  const rows = new CodeRows(d.target, d.programs, d.disassembler).around(
    Math.min(Math.max(from, 0), 0xffffffff),
    wantNumber(args, 'instructionOffset', 0),
    count,
  );
  let lastLine = '';
  const instructions = rows.map((row): DebugProtocol.DisassembledInstruction => {
    const { decoded } = row;
    const out: DebugProtocol.DisassembledInstruction = {
      address: hex8(row.address),
      instruction:
        decoded === undefined ? (row.bytes.length === 0 ? '??' : '(bad)') : `${decoded.text}${targetNote(d.programs, decoded.target)}`,
    };
    if (row.bytes.length > 0) out.instructionBytes = Array.from(row.bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
    if (decoded === undefined) out.presentationHint = 'invalid';
    const symbol = d.programs.symbolAt(row.address);
    if (symbol?.offset === 0) out.symbol = symbol.name;
    const line = d.programs.lineAt(row.address);
    const key = line === undefined ? '' : `${line.file}:${line.line}`;
    if (line !== undefined && key !== lastLine) {
      const path = s.sources?.resolve(line.file);
      if (path !== undefined) {
        out.location = { name: lastPart(path), path };
        out.line = s.outLine(line.line);
      }
    }
    lastLine = key;
    return out;
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

export const memoryRequests = (s: Context): Handlers => ({
  readMemory: (a) => readMemory(s, a),
  writeMemory: (a) => writeMemory(s, a),
  disassemble: (a) => disassemble(s, a),
});
