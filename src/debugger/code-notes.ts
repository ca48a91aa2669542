// Notes behind an instruction: where its memory operand lies now and what is there, how the bytes differ from the file's, and whether it ever ran.
//
// What it leaves out: names of targets (listing.ts).

import { LD } from '../lguest/abi';
import type { Programs } from './programs';
import type { Debugger } from './session';
import { isGuestRegister } from './frame-environment';
import { hex8, type Target } from './target';

/** Address and content of the memory operand, with the registers of now: `  ; 0x10(%esp) = 0xc010afe0: 0x00000001`. Empty without one. */
export const operandNote = (d: Debugger, text: string): string => {
  const att = /(?:%[c-gs]s:)?(-?(?:0x[0-9a-f]+|\d+))?\((%\w+)?(?:,(%\w+)(?:,([1248]))?)?\)/i.exec(text);
  const intel = /\[([^\]]+)\]/.exec(text);
  const value = (register: string | undefined): number | undefined => {
    const name = register?.replace('%', '').toLowerCase() ?? '';
    return isGuestRegister(name) ? d.target.register(name) : undefined;
  };
  let address = 0;
  if (att !== null) {
    for (const [register, scale] of [
      [att[2], 1],
      [att[3], Number(att[4] ?? 1)],
    ] as const) {
      if (register === undefined) continue;
      const v = value(register);
      if (v === undefined) return '';
      address += v * scale;
    }
    address += Number(att[1]?.replace('-', '') ?? 0) * (att[1]?.startsWith('-') ? -1 : 1);
  } else if (intel !== null) {
    for (const [, sign, part] of intel[1].replace(/^(?![+-])/, '+').matchAll(/([+-])\s*([^+-]+)/g)) {
      const m = /^(\w+)(?:\*([1248]))?$/.exec(part.trim().replace(/^[c-gs]s:/, ''));
      const v = m === null ? undefined : /^(0x[0-9a-f]+|\d)/i.test(m[1]) ? Number(m[1].replace(/^([0-9a-f]+)h$/i, '0x$1')) : value(m[1]);
      if (v === undefined || Number.isNaN(v)) return '';
      address += (sign === '-' ? -1 : 1) * v * Number(m?.[2] ?? 1);
    }
  } else return '';
  if (/^\s*lea/.test(text)) return `  ; ${(att ?? intel)?.[0]} = ${hex8(address)}`;
  const there = d.target.read32(address >>> 0);
  return `  ; ${(att ?? intel)?.[0]} = ${hex8(address)}: ${there === undefined ? 'not mapped' : hex8(there)}`;
};

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

/** The mark of an instruction that was never executed. Empty when it was, or when nobody keeps count. */
export const neverNote = (target: Target, address: number, length: number): string =>
  target.executed(address, length) === false ? '  ; never executed' : '';
