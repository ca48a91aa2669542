// What a Guest finds in memory before its first instruction: initrd, identity page tables, boot parameters, command line.
//
// Our documentation, 2.4 to 2.6. Left out: the kernel itself (kernel-image.ts) and the device page (devices.ts).

import { LauncherError } from './errors';
import type { GuestMemory } from './guest-memory';
import { megabytes } from './kernel-image';

const PAGE = 4096;
const COMMAND_LINE = 0x1000;
/** What the kernel copies of it. */
const COMMAND_LINE_MAX = 2048;
const BOOT = {
  e820Entries: 0x1e8,
  version: 0x206,
  typeOfLoader: 0x210,
  loadflags: 0x211,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  cmdLinePtr: 0x228,
  subarch: 0x23c,
  e820Map: 0x2d0,
} as const;
const KEEP_SEGMENTS = 0x40;
const LGUEST_SUBARCH = 1;

/** @returns the guest-physical address of the page directory. */
export const prepareBoot = (memory: GuestMemory, o: { cmdline: string; initrd: Uint8Array | undefined }): number => {
  const { ramBytes } = memory;
  const initrdBytes = o.initrd === undefined ? 0 : Math.ceil(o.initrd.length / PAGE) * PAGE;
  const tables = Math.ceil(ramBytes / PAGE / 1024);
  if (initrdBytes + (tables + 1) * PAGE + 0x100000 > ramBytes) {
    throw new LauncherError(
      `the initrd (${megabytes(initrdBytes)}) does not fit into the Guest's ${megabytes(ramBytes)} of memory: give it more memory`,
    );
  }
  const cmdline = commandLine(o.cmdline);
  if (o.initrd !== undefined) memory.load(ramBytes - initrdBytes, o.initrd);
  const pgdir = ramBytes - initrdBytes - PAGE;
  const firstTable = pgdir - tables * PAGE;
  for (let page = 0; page < ramBytes / PAGE; page++) memory.set32(firstTable + page * 4, page * PAGE + 7);
  for (let table = 0; table < tables; table++) memory.set32(pgdir + table * 4, firstTable + table * PAGE + 7);

  memory.set8(BOOT.e820Entries, 1);
  memory.set16(BOOT.version, 0x207);
  memory.set8(BOOT.loadflags, memory.u8(BOOT.loadflags) | KEEP_SEGMENTS);
  if (o.initrd !== undefined) {
    memory.set8(BOOT.typeOfLoader, 0xff);
    memory.set32(BOOT.ramdiskImage, ramBytes - initrdBytes);
    memory.set32(BOOT.ramdiskSize, initrdBytes);
  }
  memory.set32(BOOT.cmdLinePtr, COMMAND_LINE);
  memory.set32(BOOT.subarch, LGUEST_SUBARCH);
  memory.set32(BOOT.e820Map + 8, ramBytes);
  memory.set32(BOOT.e820Map + 16, 1);
  memory.load(COMMAND_LINE, cmdline);
  return pgdir;
};

/** Each word followed by a space, as the original joins its arguments. */
const commandLine = (text: string): Uint8Array => {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const bytes = new TextEncoder().encode(`${words.map((word) => `${word} `).join('')}\0`);
  if (bytes.length > COMMAND_LINE_MAX)
    throw new LauncherError(`the command line is ${bytes.length - 1} bytes long; the kernel takes ${COMMAND_LINE_MAX - 1}: shorten it`);
  if (bytes.subarray(0, -1).includes(0)) throw new LauncherError('the command line holds a NUL character: take it out');
  return bytes;
};
