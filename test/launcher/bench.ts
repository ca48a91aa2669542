// Small kernels made by the tests, and a machine that runs them.

import { Machine, type MachineOptions } from '../../src/launcher/machine';

const MEGABYTE = 0x100000;

/** An ELF executable with one segment at guest-physical 1 MB. */
export const elf = (code: readonly number[], o: { machine?: number; type?: number; memoryBytes?: number } = {}): Uint8Array => {
  const bytes = new Uint8Array(84 + code.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, o.type ?? 2, true);
  view.setUint16(18, o.machine ?? 3, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, MEGABYTE, true); // entry
  view.setUint32(28, 52, true); // program headers
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  view.setUint32(52, 1, true); // PT_LOAD
  view.setUint32(56, 84, true);
  view.setUint32(60, 0xc0100000, true);
  view.setUint32(64, MEGABYTE, true);
  view.setUint32(68, code.length, true);
  view.setUint32(72, o.memoryBytes ?? code.length, true);
  bytes.set(code, 84);
  return bytes;
};

/** A bzImage with four setup sectors and the code as its protected-mode part. */
export const bzImage = (code: readonly number[], version = 0x207): Uint8Array => {
  const setup = 5 * 512;
  const bytes = new Uint8Array(setup + Math.ceil(code.length / 16) * 16);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 4;
  view.setUint32(0x1f4, Math.ceil(code.length / 16), true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, version, true);
  view.setUint32(0x214, MEGABYTE, true);
  bytes.set(code, setup);
  return bytes;
};

/** jmp to itself */
export const LOOP = [0xeb, 0xfe];
const le = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
export const hypercall = (number: number, arg1 = 0, arg2 = 0, arg3 = 0): number[] => [
  ...[0xb8, ...le(number)],
  ...[0xba, ...le(arg1)],
  ...[0xbb, ...le(arg2)],
  ...[0xb9, ...le(arg3)],
  ...[0xcd, 0x1f],
];

export interface Running {
  machine: Machine;
  console: () => string;
  warnings: string[];
}
export const machine = (options: Partial<MachineOptions> = {}): Running => {
  const made = new Machine({ kernel: elf(LOOP), memoryBytes: 4 * MEGABYTE, jit: false, records: 4096, ...options });
  let text = '';
  const warnings: string[] = [];
  made.onConsole = (bytes) => {
    text += Buffer.from(bytes).toString('latin1');
  };
  made.onWarning = (line) => warnings.push(line);
  return { machine: made, console: () => text, warnings };
};
