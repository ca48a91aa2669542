// Notes behind an instruction: where its memory operand lies now and what is there, how the bytes differ from the file's, and whether it ever ran.
//
// What it leaves out: names of targets (listing.ts).

import type { Decoded, MemoryOperand } from '../i386/disassembly';
import { LD } from '../lguest/abi';
import type { Programs } from './programs';
import { isGuestRegister } from './machine-names';
import { targetNote } from './listing';
import type { Debugger } from './session';
import { hex8, type SegmentName, segmentedText, type Target } from './target';

/** Where an operand lies with the registers of now, uint32 linear; `offset`: inside its segment. */
const placeOf = (target: Target, m: MemoryOperand): { offset: number; linear: number } => {
  const value = (name: string | undefined): number => {
    if (name === undefined) return 0;
    if (isGuestRegister(name)) return target.register(name);
    const wide = `e${name}`;
    return isGuestRegister(wide) ? target.register(wide) & 0xffff : 0;
  };
  const sum = value(m.base) + value(m.index) * m.scale + m.displacement;
  const offset = m.wraps ? sum & 0xffff : sum >>> 0;
  const segment = (m.segment ?? (/^e?[bs]p$/.test(m.base ?? '') ? 'ss' : 'ds')) as SegmentName;
  return { offset, linear: (offset + target.segmentBase(segment)) >>> 0 };
};

/** What stands in the text for the memory operand; it has one at most. */
const operandText = (text: string): string | undefined =>
  (/(?:%[c-gs]s:)?-?(?:0x[0-9a-f]+|\d+)?\((?:%\w+)?(?:,%\w+(?:,[1248])?)?\)/i.exec(text) ?? /(?:[c-gs]s:)?\[[^\]]+\]/.exec(text))?.[0];

/**
 * Address and content of each memory operand, with the registers and segments of now: `  ; 0x10(%esp) = 0xc010afe0: 0x00000001`, and the name of what it points to.
 * Empty without one. LEA has an address only.
 */
export const operandNote = (d: Debugger, decoded: Decoded): string => {
  const { target, programs } = d;
  const content = (address: number, size: number): string => {
    const bytes = target.read(address, size);
    if (bytes.length < size) return 'not mapped';
    if (size > 8) return `0x${hexDigits(bytes)}`;
    const name =
      size === 4 ? targetNote(programs, { target: undefined, constants: [bytes.reduceRight((sum, b) => sum * 256 + b, 0)] }) : '';
    return `0x${hexDigits(bytes)}${name}`;
  };
  const { memory, strings } = decoded;
  if (memory !== undefined) {
    const { offset, linear } = placeOf(target, memory);
    const shown = operandText(decoded.text);
    const at =
      shown === undefined && linear === memory.displacement ? hex8(linear) : `${shown ?? hex8(memory.displacement)} = ${hex8(linear)}`;
    return memory.size === 0 ? `  ; ${shown ?? hex8(offset)} = ${hex8(offset)}` : `  ; ${at}: ${content(linear, memory.size)}`;
  }
  return strings
    .map((m) => {
      const { linear } = placeOf(target, m);
      return `  ; ${m.segment ?? 'ds'}:${m.base} = ${hex8(linear)}: ${content(linear, m.size)}`;
    })
    .join('');
};
const hexDigits = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, '0'))
    .reverse()
    .join('');

/** What a kernel that knows lguest writes over its paravirt calls, by what it does to lguest_data.irq_enabled. Its own documentation, section 8. */
const templateName = (target: Target, bytes: Uint8Array): string => {
  const ld = target.host?.lg.ld ?? -1;
  const word = (at: number): number => (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  const isFlag = (address: number): boolean => ld >= 0 && target.physical(address) === ld + LD.irqEnabled;
  if (bytes.length === 5 && (bytes[0] === 0xa1 || bytes[0] === 0xa3) && isFlag(word(1))) return bytes[0] === 0xa1 ? 'pushf' : 'popf';
  if (bytes.length !== 10 || bytes[0] !== 0xc7 || bytes[1] !== 5 || !isFlag(word(2))) return '';
  return word(6) === 0 ? 'cli' : word(6) === 0x200 ? 'sti' : '';
};

/** What the file has here when memory has something else, as a kernel that patches itself does, and the name of lguest's patches. Empty when they agree or there is no file. */
export const patchNote = (target: Target, programs: Programs, address: number, bytes: Uint8Array): string => {
  const at = programs.linked(address);
  if (at?.program.table.lookup(at.link)?.kind === 'object') return '';
  const file = at?.program.symbols?.elf.read(at.link, bytes.length);
  if (file === undefined || file.every((b, i) => b === bytes[i])) return '';
  const name = templateName(target, bytes);
  return `  ; ${name === '' ? '' : `patched: ${name}, `}file has ${Array.from(file, (b) => b.toString(16).padStart(2, '0')).join(' ')}`;
};

/** `  ; f000:fff0` where the code segment at hand does not begin at 0. */
export const segmentNote = (target: Target, address: number): string => {
  const text = segmentedText(target, address);
  return text === undefined ? '' : `  ; ${text}`;
};

/** The mark of the first instruction of inlined functions: `  ; inlined: list_add`. Empty elsewhere. */
export const inlineNote = (programs: Programs, address: number): string => {
  const inlined = (at: number): string[] =>
    programs
      .inlineChain(at)
      .filter((f) => f.inlined)
      .map((f) => f.name);
  const here = inlined(address);
  if (here.length === 0) return '';
  const before = new Set(address === 0 ? [] : inlined(address - 1));
  const began = here.filter((name) => !before.has(name)).reverse();
  return began.length === 0 ? '' : `  ; inlined: ${began.join(', ')}`;
};

/** The mark of an instruction that was never executed. Empty when it was, or when nobody keeps count. */
export const neverNote = (target: Target, address: number, length: number): string =>
  target.executed(address, length) === false ? '  ; never executed' : '';
