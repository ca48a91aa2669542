// Notes behind an instruction: where its memory operand lies now and what is there, how the bytes differ from the file's, and whether it ever ran.
//
// What it leaves out: names of targets (listing.ts).

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

/** What the file has here when memory has something else, as a kernel that patches itself does. Empty when they agree or there is no file. */
export const patchNote = (programs: Programs, address: number, bytes: Uint8Array): string => {
  const at = programs.linked(address);
  if (at?.program.table.lookup(at.link)?.kind === 'object') return '';
  const file = at?.program.symbols?.elf.read(at.link, bytes.length);
  if (file === undefined || file.every((b, i) => b === bytes[i])) return '';
  return `  ; file has ${Array.from(file, (b) => b.toString(16).padStart(2, '0')).join(' ')}`;
};

/** The mark of an instruction that was never executed. Empty when it was, or when nobody keeps count. */
export const neverNote = (target: Target, address: number, length: number): string =>
  target.executed(address, length) === false ? '  ; never executed' : '';
