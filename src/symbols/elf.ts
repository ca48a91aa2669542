// The ELF container, 32-bit little-endian i386: headers, segments, sections, symbols, and the relocations that the debug
// sections of an object file or kernel module need. System V ABI, "Object Files", and its Intel386 supplement.
// A damaged table is reported in `problems` and left empty; only a file that is no i386 ELF at all throws.
// It leaves out what the sections mean: symbols become a table in symbol-table.ts, DWARF is read in dwarf/.

import { Problems, SymbolError } from './errors';
import { inflating } from './inflate';
import { type Pieces, whole } from './pieces';
import { Reader, textAt, u32At } from './reader';

export const ET_REL = 1;
export const ET_EXEC = 2;
export const ET_DYN = 3;
const EM_386 = 3;
const EM_486 = 6;
const SHT_SYMTAB = 2;
const SHT_RELA = 4;
const SHT_NOBITS = 8;
const SHT_REL = 9;
const SHT_DYNSYM = 11;
const SHF_ALLOC = 0x2;
const SHF_EXECINSTR = 0x4;
const SHF_COMPRESSED = 0x800;
const SHN_ABS = 0xfff1;
const SHN_COMMON = 0xfff2;
const SHN_XINDEX = 0xffff;
const ELFCOMPRESS_ZLIB = 1;
const R_386_32 = 1;
const R_386_PC32 = 2;
/** Deflate cannot shrink data by more than this factor; a header that claims more lies. */
const DEFLATE_LIMIT = 1033;
/** The sections of a 32-bit program are not larger, alone or together; unpacking more would only fill the memory. */
const LARGEST_SECTION = 1 << 29;
const LARGEST_ALL = 3 * 2 ** 28;

const NOTHING = new Uint8Array(0);

const MACHINES: Readonly<Record<number, string>> = { 8: 'MIPS', 20: 'PowerPC', 40: 'ARM', 62: 'x86-64', 183: 'AArch64', 243: 'RISC-V' };

/** A section header. `address` is where it runs (uint32; for an object file where it was placed), or undefined: not placed. */
export interface Section {
  index: number;
  name: string;
  type: number;
  flags: number;
  address: number | undefined;
  offset: number;
  size: number;
  link: number;
  info: number;
  alignment: number;
  entrySize: number;
  alloc: boolean;
  executable: boolean;
}

/** A program header. Addresses are uint32, sizes in bytes. `type` 1 is PT_LOAD. */
export interface Segment {
  type: number;
  offset: number;
  vaddr: number;
  paddr: number;
  fileSize: number;
  memorySize: number;
  flags: number;
  alignment: number;
}

/** A symbol as the file states it; `value` has the section's address added for object files. */
export interface ElfSymbol {
  name: string;
  value: number;
  size: number;
  binding: 'local' | 'global' | 'weak';
  type: 'none' | 'object' | 'function' | 'section' | 'file' | 'common' | 'tls' | 'ifunc';
  /** Section index, or undefined for absolute symbols. */
  section: number | undefined;
}

const SYMBOL_TYPES: Readonly<Record<number, ElfSymbol['type']>> = {
  0: 'none',
  1: 'object',
  2: 'function',
  3: 'section',
  4: 'file',
  5: 'common',
  6: 'tls',
  10: 'ifunc',
};

export interface ElfOptions {
  /** Shown in messages. */
  name?: string;
  /** For object files and kernel modules: where each section was loaded. Sections not named are left out. Without it, one after the other from 0. */
  sectionAddresses?: ReadonlyMap<string, number>;
}

export class ElfFile {
  readonly name: string;
  readonly type: number;
  readonly entry: number;
  readonly segments: Segment[] = [];
  readonly sections: Section[] = [];
  readonly problems = new Problems();
  private readonly contents = new Map<number, Uint8Array>();

  /** Throws SymbolError when `bytes` is no i386 ELF file. */
  constructor(
    readonly bytes: Uint8Array,
    options: ElfOptions = {},
  ) {
    this.name = options.name ?? 'file';
    const header = this.checkHeader();
    this.type = header.u16();
    const machine = header.u16();
    if (machine !== EM_386 && machine !== EM_486) {
      throw new SymbolError(`${this.name} is for ${MACHINES[machine] ?? `machine ${machine}`}, not i386: build it with -m32.`);
    }
    header.skip(4);
    this.entry = header.u32();
    const phoff = header.u32();
    const shoff = header.u32();
    header.skip(6);
    const phentsize = header.u16();
    const phnum = header.u16();
    const shentsize = header.u16();
    const shnum = header.u16();
    const shstrndx = header.u16();
    this.problems.guard(undefined, () => this.readSegments(phoff, phentsize, phnum));
    this.problems.guard(undefined, () => this.readSections(shoff, shentsize, shnum, shstrndx));
    if (this.type === ET_REL) this.placeSections(options.sectionAddresses);
  }

  private checkHeader(): Reader {
    const { bytes, name } = this;
    if (bytes.length < 52)
      throw new SymbolError(`${name} is too short for an ELF file (${bytes.length} bytes): check the path, build it again.`);
    if (u32At(bytes, 0) !== 0x464c457f) {
      throw new SymbolError(`${name} is not an ELF file: give the uncompressed vmlinux that the build leaves beside bzImage.`);
    }
    if (bytes[4] !== 1) throw new SymbolError(`${name} is a 64-bit ELF file: build it for i386 (-m32).`);
    if (bytes[5] !== 1) throw new SymbolError(`${name} is a big-endian ELF file: build it for i386.`);
    return new Reader(bytes, 16, 52, `The ELF header of ${name}`);
  }

  private readSegments(offset: number, entrySize: number, count: number): void {
    if (count === 0) return;
    if (entrySize < 32)
      throw new SymbolError(`The program headers of ${this.name} have ${entrySize} bytes each instead of 32: build it again.`);
    for (let index = 0; index < count; index++) {
      const at = offset + index * entrySize;
      const r = new Reader(this.bytes, Math.min(at, this.bytes.length), at + 32, `The program header table of ${this.name}`);
      const [type, fileOffset, vaddr, paddr] = [r.u32(), r.u32(), r.u32(), r.u32()];
      const [fileSize, memorySize, flags, alignment] = [r.u32(), r.u32(), r.u32(), r.u32()];
      this.segments.push({ type, offset: fileOffset, vaddr, paddr, fileSize, memorySize, flags, alignment });
    }
  }

  private readSections(offset: number, entrySize: number, count: number, namesIndex: number): void {
    if (offset === 0) return;
    if (entrySize < 40)
      throw new SymbolError(`The section headers of ${this.name} have ${entrySize} bytes each instead of 40: build it again.`);
    const at = (index: number) => {
      const start = offset + index * entrySize;
      return new Reader(this.bytes, Math.min(start, this.bytes.length), start + 40, `The section header table of ${this.name}`);
    };
    if (count === 0) {
      const first = at(0); // too many for 16 bits: the count is in the first entry
      first.skip(20);
      count = first.u32();
    }
    if (namesIndex === SHN_XINDEX) {
      const first = at(0);
      first.skip(24);
      namesIndex = first.u32();
    }
    const nameOffsets: number[] = [];
    this.problems.guard(undefined, () => {
      for (let index = 0; index < count; index++) {
        const r = at(index);
        nameOffsets.push(r.u32());
        const [type, flags, address, fileOffset] = [r.u32(), r.u32(), r.u32(), r.u32()];
        const [size, link, info, alignment] = [r.u32(), r.u32(), r.u32(), r.u32()];
        this.sections.push({
          index,
          name: '',
          type,
          flags,
          address,
          offset: fileOffset,
          size,
          link,
          info,
          alignment,
          entrySize: r.u32(),
          alloc: (flags & SHF_ALLOC) !== 0,
          executable: (flags & SHF_EXECINSTR) !== 0,
        });
      }
    });
    const names = this.sections[namesIndex];
    const strings = names ? this.rawBytes(names) : undefined;
    for (const section of this.sections) section.name = (strings && textAt(strings, nameOffsets[section.index]!)) ?? '';
  }

  private placeSections(addresses: ReadonlyMap<string, number> | undefined): void {
    let next = 0;
    for (const section of this.sections) {
      if (!section.alloc) continue;
      if (addresses) {
        section.address = addresses.get(section.name);
      } else {
        const alignment = Math.max(section.alignment, 1);
        section.address = Math.ceil(next / alignment) * alignment;
        next = section.address + section.size;
      }
    }
  }

  /** The section's bytes as they lie in the file; cut short, with a problem noted, when the file is shorter. */
  private rawBytes(section: Section): Uint8Array {
    if (section.type === SHT_NOBITS) return new Uint8Array(0);
    const end = section.offset + section.size;
    if (end > this.bytes.length) {
      this.problems.add(
        `Section ${section.name || section.index} of ${this.name} reaches past the end of the file: copy or build it again.`,
      );
    }
    return this.bytes.subarray(Math.min(section.offset, this.bytes.length), Math.min(end, this.bytes.length));
  }

  sectionNamed(name: string): Section | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** The contents of a section, decompressed and relocated, or undefined when there is none. Kept after the first call. */
  contentsOf(name: string): Uint8Array | undefined {
    const section = this.sectionNamed(name) ?? (name.startsWith('.debug_') ? this.sectionNamed(`.z${name.slice(1)}`) : undefined);
    if (!section) return undefined;
    const kept = this.contents.get(section.index);
    if (kept) return kept.length === 0 && section.size > 0 ? undefined : kept;
    return this.keep(
      section,
      this.problems.guard(undefined, () => whole(this.decompress(section, this.rawBytes(section)))),
    );
  }
  /** What could not be read once is not tried again. */
  private keep(section: Section, bytes: Uint8Array | undefined): Uint8Array | undefined {
    const ready = bytes && this.type === ET_REL ? this.relocate(section, bytes) : bytes;
    this.contents.set(section.index, ready ?? NOTHING);
    return ready;
  }

  /** Decompresses the debug sections ahead of their first use. Ended early, none of them counts. */
  *unpack(): Pieces<void> {
    // Of several with one name only the first is ever asked for.
    const packed = this.sections.filter(
      (s) => /^\.z?debug_/.test(s.name) && this.isPacked(s) && this.sectionNamed(s.name) === s && !this.contents.has(s.index),
    );
    const total = packed.reduce((sum, s) => sum + s.size, 0);
    let done = 0;
    for (const section of packed) {
      try {
        const pieces = this.decompress(section, this.rawBytes(section));
        let step = pieces.next();
        while (!step.done) {
          const stop = yield (done + step.value * section.size) / total;
          if (stop) {
            this.leaveOutDebugInfo();
            return;
          }
          step = pieces.next();
        }
        this.keep(section, step.value);
      } catch (error) {
        this.problems.guard(undefined, () => {
          throw error;
        });
        this.contents.set(section.index, NOTHING);
      }
      done += section.size;
    }
  }
  private leaveOutDebugInfo(): void {
    for (const s of this.sections) if (/^\.z?debug_/.test(s.name)) this.contents.set(s.index, NOTHING);
    this.problems.leave(`Reading ${this.name} was cancelled: its names are known, its lines and types are not; restart to read them.`);
  }

  /** Bytes that the compressed sections opened so far claim to hold. */
  private unpacked = 0;
  private isPacked(section: Section): boolean {
    return (section.flags & SHF_COMPRESSED) !== 0 || section.name.startsWith('.zdebug_');
  }

  private *decompress(section: Section, raw: Uint8Array): Pieces<Uint8Array | undefined> {
    let size: number;
    let start: number;
    if (section.flags & SHF_COMPRESSED) {
      const r = new Reader(raw, 0, raw.length, `The compression header of ${section.name}`);
      const method = r.u32();
      size = r.u32();
      start = 12;
      if (method !== ELFCOMPRESS_ZLIB) {
        throw new SymbolError(`${section.name} of ${this.name} is compressed by method ${method}: build it with -gz=none or -gz=zlib.`);
      }
    } else if (section.name.startsWith('.zdebug_') && raw.length >= 12 && u32At(raw, 0) === 0x42494c5a) {
      const r = new Reader(raw, 4);
      size = 0;
      for (let i = 0; i < 8; i++) size = size * 256 + r.u8(); // this one length is big-endian
      start = 12;
    } else {
      return raw;
    }
    if (size > Math.min((raw.length - start) * DEFLATE_LIMIT, LARGEST_SECTION)) {
      throw new SymbolError(
        `${section.name} of ${this.name} claims to hold ${size} bytes, more than it can: build it again, or with -gz=none.`,
      );
    }
    this.unpacked += size;
    if (this.unpacked > LARGEST_ALL) {
      throw new SymbolError(
        `${section.name} of ${this.name} is one too many: its sections claim to hold ${this.unpacked} bytes; build it again.`,
      );
    }
    return yield* inflating(raw.subarray(start), size);
  }

  /** Object files: a debug section holds zeros where the linker would put addresses and offsets; fill them in on a copy. */
  private relocate(target: Section, bytes: Uint8Array): Uint8Array {
    const tables = this.sections.filter((s) => (s.type === SHT_REL || s.type === SHT_RELA) && s.info === target.index);
    if (tables.length === 0) return bytes;
    const copy = bytes.slice();
    const view = new DataView(copy.buffer, copy.byteOffset, copy.length);
    for (const table of tables) {
      const entries = this.rawBytes(table);
      const step = table.type === SHT_RELA ? 12 : 8;
      const symbols = this.sections[table.link];
      const symbolBytes = symbols ? this.rawBytes(symbols) : new Uint8Array(0);
      // As many as the file has room for, however many tables claim the same bytes.
      this.relocations += entries.length;
      if (this.relocations > this.bytes.length) {
        this.problems.add(`${this.name} claims more relocations than it has room for: build it again.`);
        break;
      }
      for (let at = 0; at + step <= entries.length; at += step) {
        const where = u32At(entries, at);
        const info = u32At(entries, at + 4);
        if (where + 4 > copy.length) {
          this.problems.add(`A relocation of ${target.name} in ${this.name} points outside the section: build it again.`);
          continue;
        }
        const addend = step === 12 ? u32At(entries, at + 8) : view.getUint32(where, true);
        const symbol = this.symbolValue(symbolBytes, info >>> 8);
        const type = info & 0xff;
        if (type === R_386_32) view.setUint32(where, symbol === undefined ? 0 : symbol + addend, true);
        else if (type === R_386_PC32)
          view.setUint32(where, symbol === undefined ? 0 : symbol + addend - ((target.address ?? 0) + where), true);
      }
    }
    return copy;
  }

  /** Bytes of relocations that were applied. */
  private relocations = 0;
  private symbolValue(table: Uint8Array, index: number): number | undefined {
    const at = index * 16;
    if (at + 16 > table.length) return undefined;
    const value = u32At(table, at + 4);
    const sectionIndex = table[at + 14]! | (table[at + 15]! << 8);
    if (sectionIndex === 0) return undefined;
    if (sectionIndex >= 0xff00) return value;
    const section = this.sections[sectionIndex];
    if (!section) return undefined;
    if (!section.alloc) return value; // an offset into another debug section
    return section.address === undefined ? undefined : value + section.address;
  }

  /** All symbols of `.symtab`, or of `.dynsym` when the file was stripped. Symbols of sections that were not placed are left out. */
  *symbols(): Generator<ElfSymbol> {
    const table = this.sections.find((s) => s.type === SHT_SYMTAB) ?? this.sections.find((s) => s.type === SHT_DYNSYM);
    if (!table) return;
    const bytes = this.rawBytes(table);
    const stringSection = this.sections[table.link];
    const strings = stringSection ? this.rawBytes(stringSection) : new Uint8Array(0);
    for (let at = 16; at + 16 <= bytes.length; at += 16) {
      const info = bytes[at + 12]!;
      const sectionIndex = bytes[at + 14]! | (bytes[at + 15]! << 8);
      if (sectionIndex === 0 || sectionIndex === SHN_COMMON) continue;
      const section = sectionIndex < 0xff00 ? this.sections[sectionIndex] : undefined;
      let value = u32At(bytes, at + 4);
      if (this.type === ET_REL && section) {
        if (section.address === undefined) continue;
        value = (value + section.address) >>> 0;
      }
      const binding = info >> 4;
      yield {
        name: textAt(strings, u32At(bytes, at)) ?? '',
        value,
        size: u32At(bytes, at + 8),
        binding: binding === 0 ? 'local' : binding === 2 ? 'weak' : 'global',
        type: SYMBOL_TYPES[info & 15] ?? 'none',
        section: sectionIndex === SHN_ABS ? undefined : section?.index,
      };
    }
  }

  /** The section whose run-time addresses contain `address`. */
  sectionAt(address: number): Section | undefined {
    return this.sections.find((s) => s.alloc && s.address !== undefined && address >= s.address && address - s.address < s.size);
  }

  /** Up to `length` bytes that the file holds for a run-time address, or undefined where it holds none (`.bss`, outside). */
  read(address: number, length: number): Uint8Array | undefined {
    if (this.type === ET_REL) {
      const section = this.sectionAt(address);
      if (!section || section.type === SHT_NOBITS) return undefined;
      const bytes = this.contentsOf(section.name) ?? this.rawBytes(section);
      const at = address - section.address!;
      return at + length <= bytes.length ? bytes.subarray(at, at + length) : undefined;
    }
    const segment = this.segments.find((s) => s.type === 1 && address >= s.vaddr && address - s.vaddr + length <= s.fileSize);
    if (!segment) return undefined;
    const at = segment.offset + (address - segment.vaddr);
    return at + length <= this.bytes.length ? this.bytes.subarray(at, at + length) : undefined;
  }
}
