// A unit of .debug_info (or of .debug_types): its header, its root attributes, and the walk over its DIEs.
// Opening a unit reads the header alone; the abbreviation table and the root DIE follow when somebody asks.
// `scan` passes over DIEs without decoding them, which makes an index of a whole kernel a matter of tenths of a second.

import { SymbolError } from '../errors';
import { Reader, text, textAt, u32At } from '../reader';
import {
  type Abbrev,
  type AbbrevTable,
  SIZE_BLOCK,
  SIZE_BLOCK1,
  SIZE_BLOCK2,
  SIZE_BLOCK4,
  SIZE_LEB,
  SIZE_STRING,
  formSize,
} from './abbrev';
import * as D from './constants';
import { type DebugFile, type DebugUnit, Die } from './die';
import { type AddressRange, readRanges } from './ranges';

/** Children deeper than this belong to damaged data. */
const DEPTH_LIMIT = 256;

export interface UnitHeader {
  offset: number;
  end: number;
  version: number;
  unitType: number;
  addressSize: number;
  offsetSize: 4 | 8;
  abbrevOffset: number;
  firstDie: number;
  /** Type units: signature and section offset of the type's DIE. */
  signature: bigint | undefined;
  typeOffset: number;
}

/** Reads the header at the reader's position; the reader may then skip to `end`. Throws SymbolError when it makes no sense. */
export function readUnitHeader(r: Reader, isTypes: boolean): UnitHeader {
  const offset = r.pos;
  const { length, offsetSize } = r.initialLength();
  const end = r.pos + length;
  if (end > r.end) r.fail();
  const version = r.u16();
  if (version < 2 || version > 5) {
    throw new SymbolError(
      `${r.what} has a unit of DWARF version ${version} at offset 0x${offset.toString(16)}: build with -gdwarf-2 to -gdwarf-5.`,
    );
  }
  let unitType = isTypes ? D.DW_UT_type : D.DW_UT_compile;
  let addressSize: number;
  let abbrevOffset: number;
  if (version >= 5) {
    unitType = r.u8();
    addressSize = r.u8();
    abbrevOffset = r.offset(offsetSize);
  } else {
    abbrevOffset = r.offset(offsetSize);
    addressSize = r.u8();
  }
  if (addressSize !== 4 && addressSize !== 8) {
    throw new SymbolError(`${r.what} has addresses of ${addressSize} bytes at offset 0x${offset.toString(16)}: build it for i386 (-m32).`);
  }
  let signature: bigint | undefined;
  let typeOffset = 0;
  if (unitType === D.DW_UT_type || unitType === D.DW_UT_split_type) {
    signature = r.u64();
    typeOffset = offset + r.offset(offsetSize);
  } else if (unitType === D.DW_UT_skeleton || unitType === D.DW_UT_split_compile) {
    r.skip(8);
  }
  return { offset, end, version, unitType, addressSize, offsetSize, abbrevOffset, firstDie: r.pos, signature, typeOffset };
}

/** Called for each DIE of a scan. `at` is the section offset of its first attribute. Answer true to visit its children as well. */
export type Visitor = (abbrev: Abbrev, at: number, offset: number) => boolean;

/** What a unit needs of the file around it. */
export interface UnitFile extends DebugFile {
  abbrevsOf(unit: Unit): AbbrevTable;
}

export class Unit implements UnitHeader, DebugUnit {
  readonly offset: number;
  readonly end: number;
  readonly version: number;
  readonly unitType: number;
  readonly addressSize: number;
  readonly offsetSize: 4 | 8;
  readonly abbrevOffset: number;
  readonly firstDie: number;
  readonly signature: bigint | undefined;
  readonly typeOffset: number;
  private rootDie: Die | undefined | null = null;
  private rangeCache: AddressRange[] | undefined;

  constructor(
    readonly dwarf: UnitFile,
    readonly index: number,
    /** The section that holds the unit. */
    readonly bytes: Uint8Array,
    /** Added to offsets to make DIE ids: 0 for .debug_info. */
    readonly base: number,
    header: UnitHeader,
  ) {
    this.offset = header.offset;
    this.end = header.end;
    this.version = header.version;
    this.unitType = header.unitType;
    this.addressSize = header.addressSize;
    this.offsetSize = header.offsetSize;
    this.abbrevOffset = header.abbrevOffset;
    this.firstDie = header.firstDie;
    this.signature = header.signature;
    this.typeOffset = header.typeOffset;
    this.what = `The unit at offset 0x${this.offset.toString(16)} of ${base === 0 ? '.debug_info' : '.debug_types'}`;
  }

  /** How messages name the unit. */
  readonly what: string;

  get abbrevs(): AbbrevTable {
    return this.dwarf.abbrevsOf(this);
  }

  reader(at: number): Reader {
    if (!(at >= this.firstDie && at < this.end))
      throw new SymbolError(`${this.what} refers to a place outside of itself: build the file again.`);
    return new Reader(this.bytes, at, this.end, this.what);
  }

  /** The root DIE, or undefined when it is damaged. */
  get root(): Die | undefined {
    if (this.rootDie === null) {
      this.rootDie = undefined; // while it is being read, so that its own attributes cannot ask for it again
      this.rootDie = this.dwarf.problems.guard(undefined, () => (this.firstDie < this.end ? Die.read(this, this.firstDie) : undefined));
    }
    return this.rootDie ?? undefined;
  }

  get name(): string {
    return this.root?.string(D.DW_AT_name) ?? '';
  }

  get directory(): string {
    return this.root?.string(D.DW_AT_comp_dir) ?? '';
  }

  get producer(): string {
    return this.root?.string(D.DW_AT_producer) ?? '';
  }

  get language(): number {
    return this.root?.number(D.DW_AT_language) ?? 0;
  }

  /** Offset of the line program in .debug_line. */
  get lineOffset(): number | undefined {
    return this.root?.number(D.DW_AT_stmt_list);
  }

  /** The base for range and location lists: the unit's low pc, or 0. */
  get lowPc(): number {
    return this.root?.address(D.DW_AT_low_pc) ?? 0;
  }

  /** The unit's own address ranges, from its root DIE. */
  get ranges(): readonly AddressRange[] {
    const { root } = this;
    this.rangeCache ??= root ? this.dwarf.problems.guard([], () => readRanges(root)) : [];
    return this.rangeCache;
  }

  private baseOf(attribute: number, otherwise: number): number {
    return this.root?.number(attribute) ?? otherwise;
  }

  /** The text of a string form; `value` is what the form stores (a section offset, or an index). */
  stringOf(form: number, value: number): string | undefined {
    const { dwarf } = this;
    switch (form) {
      case D.DW_FORM_string:
        return textAt(this.bytes, value);
      case D.DW_FORM_strp:
        return dwarf.string(value);
      case D.DW_FORM_line_strp:
        return dwarf.lineString(value);
      case D.DW_FORM_strx:
      case D.DW_FORM_strx1:
      case D.DW_FORM_strx2:
      case D.DW_FORM_strx3:
      case D.DW_FORM_strx4:
      case D.DW_FORM_GNU_str_index: {
        const offsets = dwarf.section('.debug_str_offsets');
        const at = this.baseOf(D.DW_AT_str_offsets_base, this.offsetSize === 4 ? 8 : 16) + value * this.offsetSize;
        return at + this.offsetSize <= offsets.length ? dwarf.string(u32At(offsets, at)) : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Entry `index` of the unit's part of .debug_addr. */
  addressAt(index: number): number | undefined {
    const table = this.dwarf.section('.debug_addr');
    const at = this.baseOf(D.DW_AT_addr_base, 8) + index * this.addressSize;
    return at + this.addressSize <= table.length ? u32At(table, at) : undefined;
  }

  private listAt(section: string, base: number, index: number): number | undefined {
    const table = this.dwarf.section(section);
    const at = base + index * this.offsetSize;
    return at + this.offsetSize <= table.length ? base + u32At(table, at) : undefined;
  }

  rangeListAt(index: number): number | undefined {
    return this.listAt('.debug_rnglists', this.baseOf(D.DW_AT_rnglists_base, this.offsetSize === 4 ? 12 : 20), index);
  }

  locationListAt(index: number): number | undefined {
    return this.listAt('.debug_loclists', this.baseOf(D.DW_AT_loclists_base, this.offsetSize === 4 ? 12 : 20), index);
  }

  /** The DIEs below `die`, one level. What is damaged ends the list and is noted. */
  childrenOf(die: Die): Die[] {
    const children: Die[] = [];
    if (!die.abbrev.children) return children;
    this.dwarf.problems.guard(undefined, () => {
      for (let at = die.next; at < this.end; ) {
        const child = Die.read(this, at);
        if (!child) return;
        children.push(child);
        at = this.after(child);
      }
    });
    return children;
  }

  /** Section offset of what follows `die` and its children. */
  private after(die: Die): number {
    if (!die.abbrev.children) return die.next;
    const sibling = die.reference(D.DW_AT_sibling);
    if (sibling !== undefined && sibling - this.base > die.offset && sibling - this.base <= this.end) return sibling - this.base;
    return this.scan(die.next, () => false);
  }

  /**
   * Walks the siblings from section offset `at` to the null entry that ends them; `visit` says which to descend into.
   * @returns the offset after that null entry. Throws SymbolError on damage.
   */
  scan(at: number, visit: Visitor): number {
    const { bytes, end, abbrevs, offset: unitOffset } = this;
    let depth = 1;
    let silent = 0; // depth below which nothing is visited
    while (at < end) {
      const offset = at;
      let code = bytes[at++]!;
      if (code >= 0x80) {
        let shift = 7;
        code &= 0x7f;
        for (;;) {
          if (at >= end) this.cutOff(offset);
          const byte = bytes[at++]!;
          if (shift < 28) code |= (byte & 0x7f) << shift;
          shift += 7;
          if (byte < 0x80) break;
        }
      }
      if (code === 0) {
        depth--;
        if (depth < silent) silent = 0;
        if (depth === 0) return at;
        continue;
      }
      const abbrev = abbrevs.get(code);
      if (!abbrev) throw new SymbolError(`${this.what} uses abbreviation ${code}, which is not declared: build the file again.`);
      const descend = silent === 0 && visit(abbrev, at, offset);
      if (!abbrev.children) {
        at = abbrev.fixed >= 0 ? at + abbrev.fixed : this.skip(abbrev, at, abbrev.sizes.length);
        continue;
      }
      if (!descend && abbrev.sibling >= 0) {
        const where = at + abbrev.offsets[abbrev.sibling]!;
        if (where + 4 > end) this.cutOff(offset);
        const next = unitOffset + u32At(bytes, where);
        if (next > offset && next <= end) {
          at = next;
          continue;
        }
      }
      at = abbrev.fixed >= 0 ? at + abbrev.fixed : this.skip(abbrev, at, abbrev.sizes.length);
      depth++;
      if (depth > DEPTH_LIMIT) throw new SymbolError(`${this.what} nests too deeply: build the file again.`);
      if (!descend && silent === 0) silent = depth;
    }
    if (at > end) this.cutOff(end);
    return at;
  }

  private cutOff(at: number): never {
    throw new SymbolError(`${this.what} is cut off at offset 0x${at.toString(16)}: build the file again.`);
  }

  /** Offset after the first `count` attributes of a DIE whose attributes start at `at`. */
  skip(abbrev: Abbrev, at: number, count: number): number {
    const { bytes, end } = this;
    const { sizes } = abbrev;
    for (let i = 0; i < count; i++) {
      let size = sizes[i]!;
      if (size >= 0) {
        at += size;
        continue;
      }
      if (size === SIZE_LEB) {
        while (at < end && bytes[at]! >= 0x80) at++;
        at++;
      } else if (size === SIZE_STRING) {
        at = bytes.indexOf(0, at) + 1;
        if (at === 0) this.cutOff(end);
      } else {
        const r = this.reader(at);
        if (size === SIZE_BLOCK) r.skip(r.uleb());
        else if (size === SIZE_BLOCK1) r.skip(r.u8());
        else if (size === SIZE_BLOCK2) r.skip(r.u16());
        else if (size === SIZE_BLOCK4) r.skip(r.u32());
        else {
          const form = r.uleb();
          size = formSize(form, this) ?? -100;
          if (size >= 0) r.skip(size);
          else if (size === SIZE_LEB) r.uleb();
          else if (size === SIZE_STRING) r.skipString();
          else if (size === SIZE_BLOCK) r.skip(r.uleb());
          else if (size === SIZE_BLOCK1) r.skip(r.u8());
          else if (size === SIZE_BLOCK2) r.skip(r.u16());
          else if (size === SIZE_BLOCK4) r.skip(r.u32());
          else this.cutOff(at);
        }
        at = r.pos;
      }
      if (at > end) this.cutOff(end);
    }
    return at;
  }

  /** Where attribute `index` of a scanned DIE lies. */
  attributeAt(abbrev: Abbrev, at: number, index: number): number {
    const offset = abbrev.offsets[index]!;
    return offset >= 0 ? at + offset : this.skip(abbrev, at, index);
  }

  /**
   * The name of a scanned DIE without decoding the rest: an offset into .debug_str as a number, or its text, or undefined.
   * The number lets an index notice names that it has met without making a string.
   */
  nameOf(abbrev: Abbrev, at: number): number | string | undefined {
    const index = abbrev.names.indexOf(D.DW_AT_name);
    if (index < 0) return undefined;
    const where = this.attributeAt(abbrev, at, index);
    const form = abbrev.forms[index]!;
    if (form === D.DW_FORM_strp && this.offsetSize === 4) {
      if (where + 4 > this.end) this.cutOff(where);
      return u32At(this.bytes, where);
    }
    if (form === D.DW_FORM_string) {
      const zero = this.bytes.indexOf(0, where);
      return zero < 0 ? undefined : text(this.bytes, where, zero);
    }
    const r = this.reader(where);
    const size = abbrev.sizes[index]!;
    const value = size === SIZE_LEB ? r.uleb() : size > 0 && size <= 8 ? r.unsigned(size) : undefined;
    return value === undefined ? undefined : this.stringOf(form, value);
  }

  /** The DIE id that an attribute of a scanned DIE refers to, when it is a plain reference within the unit; else undefined. */
  referenceOf(abbrev: Abbrev, at: number, attribute: number): number | undefined {
    const index = abbrev.names.indexOf(attribute);
    if (index < 0 || abbrev.forms[index] !== D.DW_FORM_ref4) return undefined;
    const where = this.attributeAt(abbrev, at, index);
    return where + 4 <= this.end ? this.base + this.offset + u32At(this.bytes, where) : undefined;
  }
}
