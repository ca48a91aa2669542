// One debugging information entry (DIE), decoded: attribute values by name, in the class that the reader asks for.
// Values stay as stored until asked for: a string is an offset, a reference the place it points to.
// The unit and the file around it are known here by what a DIE asks of them; the classes are in unit.ts and dwarf.ts, which build on this.
// It leaves out the tree (unit.ts walks it) and what the tags mean (functions.ts, types.ts).

import { SymbolError } from '../errors';
import type { Reader } from '../reader';
import type { Abbrev } from './abbrev';
import * as D from './constants';
import type { Problems } from '../errors';

/** An attribute as stored: numbers, offsets, indices and flags as number (bigint beyond 2^53), blocks and data16 as bytes. */
export type RawValue = number | bigint | Uint8Array;

/** A location or constant: an expression, an offset into a location list, or a number. */
export type LocationValue = { kind: 'expression'; bytes: Uint8Array } | { kind: 'list'; offset: number };

/** Where the sections come from. */
export interface DwarfSource {
  /** Contents of a section by name, or undefined. */
  section(name: string): Uint8Array | undefined;
  /** Run-time address of a section, for addresses relative to it. */
  sectionAddress(name: string): number | undefined;
  /** Whether an address lies in code of this file. Linkers leave debug information of dropped functions behind at 0 or so. */
  isCode(address: number): boolean;
}

/** The debug sections of a file, as DIEs, lists and line tables use them. */
export interface DebugFile {
  readonly source: DwarfSource;
  readonly problems: Problems;
  /** Contents of a section; empty when the file has none. */
  section(name: string): Uint8Array;
  /** A text of .debug_str. */
  string(offset: number): string | undefined;
  /** A text of .debug_line_str. */
  lineString(offset: number): string | undefined;
  /** The DIE of that id, or undefined when there is none there. */
  die(id: number): Die | undefined;
  /** The id of the type that a type unit of that signature defines. */
  typeUnitDie(signature: bigint): number | undefined;
}

/** The unit of a DIE. */
export interface DebugUnit {
  readonly dwarf: DebugFile;
  readonly index: number;
  /** The unit's first byte and end in its section. */
  readonly offset: number;
  readonly end: number;
  /** Added to offsets to make DIE ids: 0 for .debug_info. */
  readonly base: number;
  readonly version: number;
  readonly addressSize: number;
  readonly offsetSize: 4 | 8;
  readonly abbrevs: { get(code: number): Abbrev | undefined };
  /** How messages name the unit. */
  readonly what: string;
  readonly name: string;
  readonly directory: string;
  /** The base for range and location lists: the unit's low pc, or 0. */
  readonly lowPc: number;
  /** Offset of the line program in .debug_line. */
  readonly lineOffset: number | undefined;
  reader(at: number): Reader;
  /** The text of a string form; `value` is what the form stores (a section offset, or an index). */
  stringOf(form: number, value: number): string | undefined;
  /** Entry `index` of the unit's part of .debug_addr. */
  addressAt(index: number): number | undefined;
  rangeListAt(index: number): number | undefined;
  locationListAt(index: number): number | undefined;
  /** The DIEs below `die`, one level. */
  childrenOf(die: Die): Die[];
}

export class Die {
  /** Offset of what follows the attributes: the first child, or the next sibling when there are no children. */
  next = 0;
  private constructor(
    readonly unit: DebugUnit,
    /** Offset in the section, which names the DIE (see DebugUnit.base for .debug_types). */
    readonly offset: number,
    readonly abbrev: Abbrev,
    /** As in the abbreviation, with DW_FORM_indirect replaced. */
    private readonly forms: readonly number[],
    private readonly values: readonly RawValue[],
  ) {}

  /** Decodes the DIE at section offset `at`; undefined for a null entry. Throws SymbolError on damage. */
  static read(unit: DebugUnit, at: number): Die | undefined {
    const r = unit.reader(at);
    const code = r.uleb();
    if (code === 0) return undefined;
    const abbrev = unit.abbrevs.get(code);
    if (!abbrev) throw new SymbolError(`${unit.what} uses abbreviation ${code}, which is not declared: build the file again.`);
    let forms = abbrev.forms;
    const values: RawValue[] = [];
    for (let i = 0; i < abbrev.forms.length; i++) {
      let form = abbrev.forms[i]!;
      if (form === D.DW_FORM_indirect) {
        form = r.uleb();
        if (forms === abbrev.forms) forms = [...forms];
        (forms as number[])[i] = form;
      }
      values.push(form === D.DW_FORM_implicit_const ? narrow(abbrev.implicit?.get(i) ?? 0n) : readForm(r, form, unit));
    }
    const die = new Die(unit, at, abbrev, forms, values);
    die.next = r.pos;
    return die;
  }

  get tag(): number {
    return this.abbrev.tag;
  }

  /** The DIE's name among all sections: the offset, plus a constant for .debug_types. */
  get id(): number {
    return this.unit.base + this.offset;
  }

  private indexOf(attribute: number): number {
    return this.abbrev.names.indexOf(attribute);
  }

  has(attribute: number): boolean {
    return this.indexOf(attribute) >= 0;
  }

  raw(attribute: number): RawValue | undefined {
    const index = this.indexOf(attribute);
    return index < 0 ? undefined : this.values[index];
  }

  flag(attribute: number): boolean {
    const value = this.raw(attribute);
    return value !== undefined && value !== 0;
  }

  /** A constant as a number; undefined when absent, a block, or beyond 2^53. Unsigned unless the form is signed. */
  number(attribute: number): number | undefined {
    const value = this.raw(attribute);
    return typeof value === 'number' ? value : typeof value === 'bigint' ? Number(value) : undefined;
  }

  block(attribute: number): Uint8Array | undefined {
    const value = this.raw(attribute);
    return value instanceof Uint8Array ? value : undefined;
  }

  string(attribute: number): string | undefined {
    const index = this.indexOf(attribute);
    const value = this.values[index];
    return index < 0 || typeof value !== 'number' ? undefined : this.unit.stringOf(this.forms[index]!, value);
  }

  /** The id of the DIE that a reference points to. */
  reference(attribute: number): number | undefined {
    const index = this.indexOf(attribute);
    if (index < 0) return undefined;
    const value = this.values[index]!;
    switch (this.forms[index]) {
      case D.DW_FORM_ref1:
      case D.DW_FORM_ref2:
      case D.DW_FORM_ref4:
      case D.DW_FORM_ref8:
      case D.DW_FORM_ref_udata: {
        const at = this.unit.offset + Number(value);
        return at < this.unit.end ? this.unit.base + at : undefined;
      }
      case D.DW_FORM_ref_addr:
        return Number(value);
      case D.DW_FORM_ref_sig8:
        return this.unit.dwarf.typeUnitDie(BigInt(value as number | bigint));
      default:
        return undefined;
    }
  }

  /** The DIE that a reference points to, or undefined when there is none or it is damaged. */
  referenced(attribute: number): Die | undefined {
    const id = this.reference(attribute);
    return id === undefined ? undefined : this.unit.dwarf.die(id);
  }

  /** An address (uint32), directly or by its index in .debug_addr. */
  address(attribute: number): number | undefined {
    const index = this.indexOf(attribute);
    const value = this.values[index];
    if (index < 0 || typeof value !== 'number') return undefined;
    switch (this.forms[index]) {
      case D.DW_FORM_addr:
        return value;
      case D.DW_FORM_addrx:
      case D.DW_FORM_addrx1:
      case D.DW_FORM_addrx2:
      case D.DW_FORM_addrx3:
      case D.DW_FORM_addrx4:
      case D.DW_FORM_GNU_addr_index:
        return this.unit.addressAt(value);
      default:
        return undefined;
    }
  }

  /** An expression or a location list, by the attribute's class; undefined for constants. */
  location(attribute: number): LocationValue | undefined {
    const index = this.indexOf(attribute);
    if (index < 0) return undefined;
    const value = this.values[index]!;
    if (value instanceof Uint8Array) return this.forms[index] === D.DW_FORM_data16 ? undefined : { kind: 'expression', bytes: value };
    switch (this.forms[index]) {
      case D.DW_FORM_sec_offset:
        return { kind: 'list', offset: Number(value) };
      case D.DW_FORM_data4:
      case D.DW_FORM_data8:
        return this.unit.version < 4 ? { kind: 'list', offset: Number(value) } : undefined; // before DWARF 4, section offsets had no form of their own
      case D.DW_FORM_loclistx: {
        const offset = this.unit.locationListAt(Number(value));
        return offset === undefined ? undefined : { kind: 'list', offset };
      }
      default:
        return undefined;
    }
  }

  /** Offset of the range list in .debug_ranges or .debug_rnglists. */
  rangeList(attribute: number): number | undefined {
    const index = this.indexOf(attribute);
    const value = this.values[index];
    if (index < 0 || typeof value !== 'number') return undefined;
    return this.forms[index] === D.DW_FORM_rnglistx ? this.unit.rangeListAt(value) : value;
  }

  /** Whether the attribute is written as an address (rather than as a length, for DW_AT_high_pc). */
  isAddress(attribute: number): boolean {
    const form = this.forms[this.indexOf(attribute)];
    if (form === D.DW_FORM_addr || form === D.DW_FORM_addrx || form === D.DW_FORM_GNU_addr_index) return true;
    return form !== undefined && form >= D.DW_FORM_addrx1 && form <= D.DW_FORM_addrx4;
  }

  /** A constant with its sign: `bits` wide data forms are read as signed when `signed`. */
  constant(attribute: number, signed: boolean): bigint | undefined {
    const index = this.indexOf(attribute);
    if (index < 0) return undefined;
    const value = this.values[index]!;
    if (value instanceof Uint8Array) return undefined;
    const size = this.abbrev.sizes[index]!;
    const isData = this.forms[index] === D.DW_FORM_sdata || this.forms[index] === D.DW_FORM_implicit_const;
    return signed && !isData && size > 0 ? BigInt.asIntN(size * 8, BigInt(value)) : BigInt(value);
  }

  children(): Die[] {
    return this.unit.childrenOf(this);
  }
}

function narrow(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

function readForm(r: Reader, form: number, unit: DebugUnit): RawValue {
  switch (form) {
    case D.DW_FORM_flag_present:
      return 1;
    case D.DW_FORM_data1:
    case D.DW_FORM_ref1:
    case D.DW_FORM_flag:
    case D.DW_FORM_strx1:
    case D.DW_FORM_addrx1:
      return r.u8();
    case D.DW_FORM_data2:
    case D.DW_FORM_ref2:
    case D.DW_FORM_strx2:
    case D.DW_FORM_addrx2:
      return r.u16();
    case D.DW_FORM_strx3:
    case D.DW_FORM_addrx3:
      return r.u24();
    case D.DW_FORM_data4:
    case D.DW_FORM_ref4:
    case D.DW_FORM_ref_sup4:
    case D.DW_FORM_strx4:
    case D.DW_FORM_addrx4:
      return r.u32();
    case D.DW_FORM_data8:
    case D.DW_FORM_ref8:
    case D.DW_FORM_ref_sup8:
      return narrow(r.u64());
    case D.DW_FORM_ref_sig8:
      return r.u64();
    case D.DW_FORM_data16:
      return r.block(16);
    case D.DW_FORM_addr:
      return r.unsigned(unit.addressSize);
    case D.DW_FORM_ref_addr:
      return r.offset(unit.version <= 2 && unit.addressSize === 4 ? 4 : unit.offsetSize);
    case D.DW_FORM_strp:
    case D.DW_FORM_line_strp:
    case D.DW_FORM_sec_offset:
    case D.DW_FORM_strp_sup:
    case D.DW_FORM_GNU_ref_alt:
    case D.DW_FORM_GNU_strp_alt:
      return r.offset(unit.offsetSize);
    case D.DW_FORM_sdata:
      return narrow(r.slebBig());
    case D.DW_FORM_udata:
      return narrow(r.ulebBig());
    case D.DW_FORM_ref_udata:
    case D.DW_FORM_strx:
    case D.DW_FORM_addrx:
    case D.DW_FORM_loclistx:
    case D.DW_FORM_rnglistx:
    case D.DW_FORM_GNU_addr_index:
    case D.DW_FORM_GNU_str_index:
      return r.uleb();
    case D.DW_FORM_string: {
      const at = r.pos;
      r.skipString();
      return at;
    }
    case D.DW_FORM_block:
    case D.DW_FORM_exprloc:
      return r.block(r.uleb());
    case D.DW_FORM_block1:
      return r.block(r.u8());
    case D.DW_FORM_block2:
      return r.block(r.u16());
    case D.DW_FORM_block4:
      return r.block(r.u32());
    default:
      throw new SymbolError(`${unit.what} uses form 0x${form.toString(16)}, which is not DWARF 2 to 5: build with -gdwarf-5 or lower.`);
  }
}
