// An ELF file with one more section, as a linker would have written it: for what no fixture holds, such as sections that are too large to keep in the repository.
import { deflateSync } from 'node:zlib';

const SHF_COMPRESSED = 0x800;

/** @returns a copy of `elf` with a section of these bytes at its end. @param flags its sh_flags. */
export function withSection(elf: Uint8Array, name: string, bytes: Uint8Array, flags = 0): Uint8Array {
  const old = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const [table, size, count, names] = [old.getUint32(32, true), old.getUint16(46, true), old.getUint16(48, true), old.getUint16(50, true)];
  const namesAt = old.getUint32(table + names * size + 16, true);
  const namesSize = old.getUint32(table + names * size + 20, true);
  const text = new TextEncoder().encode(`${name}\0`);
  const at = (elf.length + 3) & ~3;
  const newNames = at + ((bytes.length + 3) & ~3);
  const newTable = (newNames + namesSize + text.length + 3) & ~3;
  const out = new Uint8Array(newTable + (count + 1) * size);
  const view = new DataView(out.buffer);
  out.set(elf);
  out.set(bytes, at);
  out.set(elf.subarray(namesAt, namesAt + namesSize), newNames);
  out.set(text, newNames + namesSize);
  out.set(elf.subarray(table, table + count * size), newTable);
  view.setUint32(newTable + names * size + 16, newNames, true);
  view.setUint32(newTable + names * size + 20, namesSize + text.length, true);
  const row = newTable + count * size;
  for (const [i, value] of [namesSize, 1, flags, 0, at, bytes.length, 0, 0, 1, 0].entries()) view.setUint32(row + 4 * i, value, true);
  view.setUint32(32, newTable, true);
  view.setUint16(48, count + 1, true);
  return out;
}

/** As withSection(), compressed. @param claimed bytes that the section's header says it holds; missing: the truth. */
export function withCompressed(elf: Uint8Array, name: string, contents: Uint8Array, claimed = contents.length): Uint8Array {
  const packed = deflateSync(contents);
  const bytes = new Uint8Array(12 + packed.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, claimed, true);
  view.setUint32(8, 1, true);
  bytes.set(packed, 12);
  return withSection(elf, name, bytes, SHF_COMPRESSED);
}
