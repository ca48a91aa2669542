// The committed fixture programs (see fixtures/build.sh), read once each, and frames made of plain numbers for them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from '../../src/symbols/dwarf/frame';
import { type ProgramSymbols, loadProgram } from '../../src/symbols/program-symbols';

export const FIXTURES = [
  'gcc-O0-dwarf2.elf',
  'gcc-O2-dwarf4.elf',
  'gcc-O2-dwarf5.elf',
  'gcc-O1-dwarf5-zlib.elf',
  'clang-O1-dwarf5.elf',
] as const;
export type FixtureName = (typeof FIXTURES)[number] | 'module.o';

export function fixtureBytes(name: FixtureName): Uint8Array {
  return new Uint8Array(readFileSync(join('test/symbols/fixtures', name)));
}

const loaded = new Map<FixtureName, ProgramSymbols>();
export function fixture(name: FixtureName): ProgramSymbols {
  let program = loaded.get(name);
  if (!program) loaded.set(name, (program = loadProgram(fixtureBytes(name), { name })));
  return program;
}

/** A line of main.c or shapes.h by its text, so that tests survive edits above it. */
export function lineOf(file: 'main.c' | 'other.c' | 'shapes.h', text: string, nth = 1): number {
  const lines = readFileSync(join('test/symbols/fixtures', file), 'utf8').split('\n');
  let seen = 0;
  for (const [index, line] of lines.entries()) if (line.includes(text) && ++seen === nth) return index + 1;
  throw new Error(`${file} has no line with '${text}'`);
}

export const REGISTERS = { eax: 0, ecx: 1, edx: 2, ebx: 3, esp: 4, ebp: 5, esi: 6, edi: 7, eip: 8 } as const;

/** A frame from registers by name and 32-bit words by address; everything else is unknown. */
export function frameOf(
  registers: Partial<Record<keyof typeof REGISTERS, number>>,
  words: Readonly<Record<number, number>> = {},
  more: Partial<Frame> = {},
): Frame {
  const byNumber = new Map(Object.entries(registers).map(([name, value]) => [REGISTERS[name as keyof typeof REGISTERS], value]));
  return {
    pc: registers.eip ?? 0,
    register: (number) => byNumber.get(number as never),
    readMemory: (address, size) => {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at++) {
        const word = words[(address + at) & ~3] ?? words[((address + at) & ~3) >>> 0];
        if (word === undefined) return undefined;
        bytes[at] = (word >>> (((address + at) & 3) * 8)) & 0xff;
      }
      return bytes;
    },
    ...more,
  };
}
