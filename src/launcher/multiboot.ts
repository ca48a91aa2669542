// Multiboot kernels for the bare machine: the header, the segments, the modules, and the information structure that EBX points to.
//
// What a boot loader does and nothing more. It is a file of its own because its input is untrusted and its layout is the specification's.
// What it leaves out: the processor's boot state (bare.ts). Source: Multiboot Specification 0.6.96, "OS image format" and "Machine state".

import { LauncherError } from './errors';
import { megabytes } from './kernel-image';

const HEADER_MAGIC = 0x1badb002;
/** EAX at the entry. */
export const BOOT_MAGIC = 0x2badb002;
/** The header lies wholly within so many bytes of the file, at a multiple of four. */
const SEARCH_BYTES = 8192;
const PAGE = 4096;
const MEGABYTE = 0x100000;
/** End of usable memory below 640 KB; the last kilobyte belongs to the BIOS's data area, as on a PC. */
const LOW_END = 0x9fc00;
const LOADER_NAME = 'lguest-debug';

/** Header flags. */
const WANTS = { PAGE_ALIGNED: 1, MEMORY: 2, VIDEO: 4, ADDRESSES: 0x10000 } as const;
/** Information flags: what is filled in. */
const HAS = { MEMORY: 1, CMDLINE: 4, MODULES: 8, MMAP: 0x40, LOADER_NAME: 0x200 } as const;
/** Byte offsets in the information structure. */
const INFO = {
  FLAGS: 0,
  LOWER: 4,
  UPPER: 8,
  CMDLINE: 16,
  MODULE_COUNT: 20,
  MODULES: 24,
  MMAP_BYTES: 44,
  MMAP: 48,
  LOADER_NAME: 64,
  BYTES: 120,
} as const;
const MMAP_ENTRY_BYTES = 24;
const MMAP_AVAILABLE = 1;
const MMAP_RESERVED = 2;

export interface MultibootModule {
  /** The string that goes with it, usually its file name. */
  name: string;
  bytes: Uint8Array;
}

export interface MultibootOptions {
  image: Uint8Array;
  cmdline: string;
  modules: readonly MultibootModule[];
  /** Bytes. */
  memoryBytes: number;
}

export interface MultibootBoot {
  /** Physical address of the first instruction. */
  entry: number;
  /** Physical address of the information structure. */
  info: number;
  /** Physical address of room for a descriptor table of up to 64 bytes, beside the information. */
  scratch: number;
}

/** A piece of the image and where it goes. `bytes` may be shorter than `length`; the rest is zero. */
interface Segment {
  address: number;
  length: number;
  bytes: Uint8Array;
}

/** Puts the kernel, its modules and the information structure into `ram`, which is all zero. @throws LauncherError with one clear line. */
export const loadMultiboot = (ram: Uint8Array, options: MultibootOptions): MultibootBoot => {
  const { image, memoryBytes } = options;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const header = findHeader(view);
  const flags = view.getUint32(header + 4, true);
  const unknown = flags & 0xffff & ~(WANTS.PAGE_ALIGNED | WANTS.MEMORY | WANTS.VIDEO);
  if (unknown !== 0)
    throw new LauncherError(
      `the multiboot header demands features 0x${unknown.toString(16)} that this machine does not have: only bits 0 to 2 are known`,
    );
  const isElf = image.length >= 4 && view.getUint32(0, false) === 0x7f454c46;
  const { segments, entry } = !isElf && flags & WANTS.ADDRESSES ? byAddresses(view, image, header) : elf(view, image);
  let end = MEGABYTE;
  for (const s of segments) {
    if (s.address + s.length > memoryBytes)
      throw new LauncherError(
        `the kernel does not fit: it needs memory up to ${megabytes(s.address + s.length)}, the machine has ${megabytes(memoryBytes)}: give --memory more`,
      );
    ram.set(s.bytes, s.address);
    end = Math.max(end, s.address + s.length);
  }
  const placed = options.modules.map((m) => {
    const start = Math.ceil(end / PAGE) * PAGE;
    end = start + m.bytes.length;
    if (end > memoryBytes)
      throw new LauncherError(
        `the module ${m.name} does not fit: it needs memory up to ${megabytes(end)}, the machine has ${megabytes(memoryBytes)}: give --memory more`,
      );
    ram.set(m.bytes, start);
    return { start, end, name: m.name };
  });
  const info = freePages(segments, infoBytes(options));
  writeInfo(ram, info, options, placed);
  return { entry, info, scratch: info + INFO.BYTES };
};

/** True when the bytes hold a multiboot header. */
export const isMultiboot = (image: Uint8Array): boolean => headerAt(new DataView(image.buffer, image.byteOffset, image.length)) >= 0;

const headerAt = (view: DataView): number => {
  const end = Math.min(view.byteLength, SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    if (((HEADER_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)) | 0) === 0) return at;
  }
  return -1;
};
const findHeader = (view: DataView): number => {
  const at = headerAt(view);
  if (at < 0)
    throw new LauncherError(
      'the image has no multiboot header in its first 8 KB: give a multiboot kernel, or a 64 KB or 128 KB ROM with --rom',
    );
  return at;
};

/** The header says itself where everything goes. */
const byAddresses = (view: DataView, image: Uint8Array, header: number): { segments: Segment[]; entry: number } => {
  if (header + 32 > view.byteLength) throw new LauncherError('the image is truncated inside its multiboot header: copy it again');
  const word = (n: number): number => view.getUint32(header + n, true);
  const headerAddress = word(12);
  const address = word(16);
  const loadEnd = word(20);
  const bssEnd = word(24);
  const from = header - (headerAddress - address);
  const fileBytes = loadEnd === 0 ? image.length - from : loadEnd - address;
  if (from < 0 || fileBytes < 0 || from + fileBytes > image.length)
    throw new LauncherError('the multiboot header gives load addresses that do not fit the file: rebuild the image');
  const length = Math.max(fileBytes, bssEnd === 0 ? 0 : bssEnd - address);
  return { segments: [{ address, length, bytes: image.subarray(from, from + fileBytes) }], entry: word(28) };
};

const elf = (view: DataView, image: Uint8Array): { segments: Segment[]; entry: number } => {
  if (image.length < 52 || view.getUint32(0, false) !== 0x7f454c46)
    throw new LauncherError(
      'the image has a multiboot header but is neither an ELF file nor gives load addresses: link it as a 32-bit ELF',
    );
  if (image[4] !== 1 || image[5] !== 1 || view.getUint16(18, true) !== 3)
    throw new LauncherError('the image is not a 32-bit i386 ELF file: link it with -m elf_i386');
  const table = view.getUint32(28, true);
  const count = view.getUint16(44, true);
  if (view.getUint16(42, true) !== 32 || count < 1 || table + count * 32 > image.length)
    throw new LauncherError('the ELF file is truncated or its program headers make no sense: copy it again');
  const segments: Segment[] = [];
  let entry = view.getUint32(24, true);
  let translated = false;
  for (let i = 0; i < count; i++) {
    const at = table + i * 32;
    const word = (n: number): number => view.getUint32(at + n, true);
    if (word(0) !== 1) continue;
    const offset = word(4);
    const virtual = word(8);
    const address = word(12);
    const fileBytes = word(16);
    const length = Math.max(fileBytes, word(20));
    if (offset + fileBytes > image.length)
      throw new LauncherError(`the ELF file is truncated: a segment ends at byte ${offset + fileBytes}, the file at ${image.length}`);
    segments.push({ address, length, bytes: image.subarray(offset, offset + fileBytes) });
    // An entry given as a virtual address is meant at the place where its segment is loaded.
    if (!translated && virtual !== address && entry >= virtual && entry < virtual + length) {
      entry = entry - virtual + address;
      translated = true;
    }
  }
  if (segments.length === 0) throw new LauncherError('the ELF file holds nothing to load: it has no PT_LOAD segment');
  return { segments, entry };
};

/** The structure, room for a descriptor table, the memory map, module entries and all strings. */
const infoBytes = (o: MultibootOptions): number =>
  INFO.BYTES +
  64 +
  8 * MMAP_ENTRY_BYTES +
  o.modules.reduce((n, m) => n + 16 + latin1(m.name).length, 0) +
  latin1(o.cmdline).length +
  latin1(LOADER_NAME).length;

/** Lowest page below 640 KB from 0x9000 on where `bytes` are free of the kernel's segments. */
const freePages = (segments: readonly Segment[], bytes: number): number => {
  for (let at = 0x9000; at + bytes <= LOW_END; at += PAGE) {
    if (segments.every((s) => at + bytes <= s.address || at >= s.address + s.length)) return at;
  }
  throw new LauncherError('the kernel leaves no room below 640 KB for the boot information: link it at 1 MB');
};

const latin1 = (text: string): Uint8Array => Uint8Array.from([...text, '\0'], (c) => c.charCodeAt(0) & 0xff);

const writeInfo = (ram: Uint8Array, info: number, o: MultibootOptions, modules: { start: number; end: number; name: string }[]): void => {
  const view = new DataView(ram.buffer, ram.byteOffset, ram.length);
  let free = info + INFO.BYTES + 64;
  const put = (at: number, value: number): void => view.setUint32(at, value, true);
  const room = (bytes: number): number => {
    const at = free;
    free += bytes;
    return at;
  };
  // Memory: what a PC of this size has. A ROM area stands reserved although a multiboot machine has none.
  const map: [start: number, end: number, type: number][] = [
    [0, LOW_END, MMAP_AVAILABLE],
    [LOW_END, 0xa0000, MMAP_RESERVED],
    [0xf0000, MEGABYTE, MMAP_RESERVED],
    [MEGABYTE, o.memoryBytes, MMAP_AVAILABLE],
  ];
  const mmap = room(map.length * MMAP_ENTRY_BYTES);
  map.forEach(([start, end, type], i) => {
    const at = mmap + i * MMAP_ENTRY_BYTES;
    put(at, MMAP_ENTRY_BYTES - 4);
    put(at + 4, start);
    put(at + 12, end - start);
    put(at + 20, type);
  });
  const list = room(modules.length * 16);
  const string = (text: string): number => {
    const bytes = latin1(text);
    const at = room(bytes.length);
    ram.set(bytes, at);
    return at;
  };
  modules.forEach((m, i) => {
    put(list + i * 16, m.start);
    put(list + i * 16 + 4, m.end);
    put(list + i * 16 + 8, string(m.name));
  });
  put(info + INFO.FLAGS, HAS.MEMORY | HAS.CMDLINE | (modules.length > 0 ? HAS.MODULES : 0) | HAS.MMAP | HAS.LOADER_NAME);
  put(info + INFO.LOWER, LOW_END >> 10);
  put(info + INFO.UPPER, (o.memoryBytes - MEGABYTE) >> 10);
  put(info + INFO.CMDLINE, string(o.cmdline));
  put(info + INFO.MODULE_COUNT, modules.length);
  put(info + INFO.MODULES, modules.length > 0 ? list : 0);
  put(info + INFO.MMAP_BYTES, map.length * MMAP_ENTRY_BYTES);
  put(info + INFO.MMAP, mmap);
  put(info + INFO.LOADER_NAME, string(LOADER_NAME));
};
