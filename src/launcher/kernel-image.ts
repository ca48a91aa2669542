// Kernel images: which kind a file is, and its bytes into Guest memory.
//
// An ELF kernel is placed segment by segment; a bzImage's protected-mode part goes to 1 MB as it is and unpacks itself inside the Guest. What the original only
// notices as a crash (truncated files, foreign machines, old boot protocols) is a clear line here. Our documentation, 2.2 to 2.4. Left out: boot parameters.

import { LauncherError } from './errors';
import type { GuestMemory } from './guest-memory';

const BZIMAGE_ADDRESS = 0x100000;
const HDRS = 0x53726448;
const MACHINES: Readonly<Record<number, string>> = { 40: 'ARM', 62: 'x86-64', 183: 'AArch64', 20: 'PowerPC', 8: 'MIPS', 243: 'RISC-V' };

export interface LoadedKernel {
  kind: 'elf' | 'bzImage';
  /** Guest-physical address of the first instruction. */
  entry: number;
}

/** Loads a kernel. @throws LauncherError when the image cannot be an i386 kernel for a Guest. */
export const loadKernel = (memory: GuestMemory, image: Uint8Array): LoadedKernel => {
  if (image.length < 4) throw new LauncherError(`the kernel image is only ${image.length} bytes long: give a vmlinux or bzImage`);
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (view.getUint32(0, false) === 0x7f454c46) return loadElf(memory, image, view);
  return loadBzImage(memory, image, view);
};

const loadElf = (memory: GuestMemory, image: Uint8Array, view: DataView): LoadedKernel => {
  if (image.length < 52)
    throw new LauncherError(`the kernel image is truncated inside its ELF header (${image.length} bytes): copy it again`);
  if (image[4] !== 1 || image[5] !== 1) {
    const what = image[4] === 2 ? '64-bit' : 'not 32-bit little-endian';
    throw new LauncherError(`the kernel image is ${what} ELF, but a Guest is an i386: build the kernel with ARCH=i386`);
  }
  const machine = view.getUint16(18, true);
  if (machine !== 3)
    throw new LauncherError(
      `the kernel image is for ${MACHINES[machine] ?? `machine ${machine}`}, not i386: build the kernel with ARCH=i386`,
    );
  const type = view.getUint16(16, true);
  if (type !== 2)
    throw new LauncherError(
      `the ELF file is not an executable (type ${type}): give the linked kernel, vmlinux, not an object file or a module`,
    );
  const entrySize = view.getUint16(42, true);
  const count = view.getUint16(44, true);
  if (entrySize !== 32 || count < 1 || count > 2048) throw new LauncherError('Malformed elf header: the program headers make no sense');
  const table = view.getUint32(28, true);
  if (table + count * 32 > image.length)
    throw new LauncherError(`the kernel image is truncated: its program headers lie beyond its end (${image.length} bytes)`);
  let loaded = 0;
  for (let i = 0; i < count; i++) {
    const at = table + i * 32;
    if (view.getUint32(at, true) !== 1) continue;
    const offset = view.getUint32(at + 4, true);
    const address = view.getUint32(at + 12, true);
    const fileBytes = view.getUint32(at + 16, true);
    const memoryBytes = Math.max(fileBytes, view.getUint32(at + 20, true));
    if (offset + fileBytes > image.length)
      throw new LauncherError(`the kernel image is truncated: a segment ends at byte ${offset + fileBytes}, the file at ${image.length}`);
    if (address + memoryBytes > memory.ramBytes) {
      throw new LauncherError(
        `the kernel does not fit: it needs memory up to ${megabytes(address + memoryBytes)}, the Guest has ${megabytes(memory.ramBytes)}: give it more memory`,
      );
    }
    memory.load(address, image.subarray(offset, offset + fileBytes));
    loaded++;
  }
  if (loaded === 0) throw new LauncherError('the kernel image holds nothing to load: it has no PT_LOAD segment');
  return { kind: 'elf', entry: view.getUint32(24, true) };
};

const loadBzImage = (memory: GuestMemory, image: Uint8Array, view: DataView): LoadedKernel => {
  if (image.length < 0x206 || view.getUint32(0x202, true) !== HDRS) {
    throw new LauncherError("This doesn't look like a bzImage to me (nor like an ELF file): give a vmlinux or bzImage");
  }
  if (image.length < 0x218) throw new LauncherError(`the bzImage is truncated inside its header (${image.length} bytes): copy it again`);
  const version = view.getUint16(0x206, true);
  if (version < 0x207) {
    const text = `${version >> 8}.${(version & 0xff).toString().padStart(2, '0')}`;
    throw new LauncherError(`the kernel's boot protocol is ${text}, too old for a Guest, which needs 2.07 (Linux 2.6.24 or later)`);
  }
  const start = (image[0x1f1] + 1) * 512;
  const size = image.length - start;
  const expected = view.getUint32(0x1f4, true) * 16; // syssize, in paragraphs
  if (size <= 0 || size + 15 < expected)
    throw new LauncherError(`the bzImage is truncated: it holds ${Math.max(0, size)} of ${expected} bytes of the kernel`);
  if (BZIMAGE_ADDRESS + size > memory.ramBytes) {
    throw new LauncherError(
      `the kernel does not fit: it needs memory up to ${megabytes(BZIMAGE_ADDRESS + size)}, the Guest has ${megabytes(memory.ramBytes)}: give it more memory`,
    );
  }
  memory.load(BZIMAGE_ADDRESS, image.subarray(start));
  return { kind: 'bzImage', entry: view.getUint32(0x214, true) };
};

/** Rounded up, for messages. */
export const megabytes = (bytes: number): string => `${Math.ceil(bytes / 0x100000)} MB`;
