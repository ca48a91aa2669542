// Tells kernel images apart from other files by their first bytes, so that F5 can offer them without asking for a path.
// Looks at names and heads only; whether the image really boots is the adapter's business.

/** Glob of the names worth a look; `lguest.kernels.include` replaces it. */
export const KERNEL_GLOB = '**/{vmlinux*,bzImage*,*.elf}';

/** Bytes of a file that `kernelKind` needs. */
export const HEAD_BYTES = 0x210;

export type KernelKind = 'elf' | 'bzImage';

const u16 = (head: Uint8Array, at: number): number => (head[at] ?? 0) | ((head[at + 1] ?? 0) << 8);
const text = (head: Uint8Array, at: number, length: number): string => String.fromCharCode(...head.subarray(at, at + length));

/**
 * What kind of image starts with these bytes: a 32-bit little-endian i386 ELF executable, or a bzImage with its setup header
 * (`HdrS` at 0x202); undefined for anything else, such as vmlinux.o, vmlinux.lds or a 64-bit kernel.
 */
export function kernelKind(head: Uint8Array): KernelKind | undefined {
  const [ET_EXEC, EM_386] = [2, 3];
  if (text(head, 0, 4) === '\x7fELF') {
    const is32LittleEndian = head[4] === 1 && head[5] === 1;
    return is32LittleEndian && u16(head, 16) === ET_EXEC && u16(head, 18) === EM_386 ? 'elf' : undefined;
  }
  const bootSignature = u16(head, 0x1fe) === 0xaa55;
  return bootSignature && text(head, 0x202, 4) === 'HdrS' ? 'bzImage' : undefined;
}
