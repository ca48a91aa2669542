// Raw ROM images for the bare machine: below 1 MB, seen again below 4 GB, where a reset processor starts.
//
// What it leaves out: the reset state of the processor (bare.ts).

import { type Cpu, PageFlag } from '../i386/cpu';
import { PAGE, RAM_BASE } from '../i386/state';
import { LauncherError } from './errors';

const MEGABYTE = 0x100000;
const TOP = 0x1_0000_0000;
const KILOBYTE = 1024;

/** Places the image so that its last byte is the last of the first megabyte, and makes it read-only. @throws LauncherError for sizes that no machine has. */
export const loadRom = (cpu: Cpu, image: Uint8Array): void => {
  const { length } = image;
  if (length !== 64 * KILOBYTE && length !== 128 * KILOBYTE)
    throw new LauncherError(`a ROM image must be 64 KB or 128 KB (65536 or 131072 bytes), this one has ${length} bytes`);
  const start = MEGABYTE - length;
  cpu.m8.set(image, RAM_BASE + start);
  for (let page = start / PAGE; page < MEGABYTE / PAGE; page++) cpu.setPageFlag(page, PageFlag.ROM);
  cpu.addAlias(TOP - length, length, start);
};
