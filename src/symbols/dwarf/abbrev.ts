// Abbreviation tables (.debug_abbrev): which attributes a DIE has and in which forms.
// Each declaration is prepared for skipping: most DIEs of a kernel are passed over, not read, and with the byte offsets of
// their attributes known beforehand a name can be fetched without decoding what stands before it.
// It leaves out decoding values (die.ts).

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import * as D from './constants';

/** What decides the size of a form besides the form itself. */
export interface FormSizes {
  version: number;
  addressSize: number;
  offsetSize: 4 | 8;
}

/** Sizes of forms that are not a fixed number of bytes, as negative numbers. */
export const SIZE_LEB = -1;
export const SIZE_STRING = -2;
export const SIZE_BLOCK = -3;
export const SIZE_BLOCK1 = -4;
export const SIZE_BLOCK2 = -5;
export const SIZE_BLOCK4 = -6;
export const SIZE_INDIRECT = -7;

/** One declaration. The arrays run in parallel, one entry an attribute. */
export interface Abbrev {
  code: number;
  tag: number;
  children: boolean;
  /** Attribute numbers (DW_AT_...). */
  names: readonly number[];
  forms: readonly number[];
  /** Byte size of each attribute or a SIZE_... code. */
  sizes: Int8Array;
  /** Byte offset of each attribute from the first, or -1 when something of unknown size stands before it. */
  offsets: Int16Array;
  /** Size of all attributes together, or -1 when it varies. */
  fixed: number;
  /** Values of DW_FORM_implicit_const, at their attribute's index. */
  implicit: ReadonlyMap<number, bigint> | undefined;
  /** Index of DW_AT_sibling when it is a DW_FORM_ref4 at a known offset, else -1. */
  sibling: number;
  /** Whether DW_AT_declaration is among the attributes (no compiler writes it with the value false). */
  declaration: boolean;
}

/** Size in bytes of a form, a SIZE_... code, or undefined for a form that is not known. */
export function formSize(form: number, sizes: FormSizes): number | undefined {
  switch (form) {
    case D.DW_FORM_flag_present:
    case D.DW_FORM_implicit_const:
      return 0;
    case D.DW_FORM_data1:
    case D.DW_FORM_ref1:
    case D.DW_FORM_flag:
    case D.DW_FORM_strx1:
    case D.DW_FORM_addrx1:
      return 1;
    case D.DW_FORM_data2:
    case D.DW_FORM_ref2:
    case D.DW_FORM_strx2:
    case D.DW_FORM_addrx2:
      return 2;
    case D.DW_FORM_strx3:
    case D.DW_FORM_addrx3:
      return 3;
    case D.DW_FORM_data4:
    case D.DW_FORM_ref4:
    case D.DW_FORM_ref_sup4:
    case D.DW_FORM_strx4:
    case D.DW_FORM_addrx4:
      return 4;
    case D.DW_FORM_data8:
    case D.DW_FORM_ref8:
    case D.DW_FORM_ref_sig8:
    case D.DW_FORM_ref_sup8:
      return 8;
    case D.DW_FORM_data16:
      return 16;
    case D.DW_FORM_addr:
      return sizes.addressSize;
    case D.DW_FORM_ref_addr:
      return sizes.version <= 2 ? sizes.addressSize : sizes.offsetSize;
    case D.DW_FORM_strp:
    case D.DW_FORM_line_strp:
    case D.DW_FORM_sec_offset:
    case D.DW_FORM_strp_sup:
    case D.DW_FORM_GNU_ref_alt:
    case D.DW_FORM_GNU_strp_alt:
      return sizes.offsetSize;
    case D.DW_FORM_sdata:
    case D.DW_FORM_udata:
    case D.DW_FORM_ref_udata:
    case D.DW_FORM_strx:
    case D.DW_FORM_addrx:
    case D.DW_FORM_loclistx:
    case D.DW_FORM_rnglistx:
    case D.DW_FORM_GNU_addr_index:
    case D.DW_FORM_GNU_str_index:
      return SIZE_LEB;
    case D.DW_FORM_string:
      return SIZE_STRING;
    case D.DW_FORM_block:
    case D.DW_FORM_exprloc:
      return SIZE_BLOCK;
    case D.DW_FORM_block1:
      return SIZE_BLOCK1;
    case D.DW_FORM_block2:
      return SIZE_BLOCK2;
    case D.DW_FORM_block4:
      return SIZE_BLOCK4;
    case D.DW_FORM_indirect:
      return SIZE_INDIRECT;
    default:
      return undefined;
  }
}

/** The declarations of one table, by code. Codes are small and dense in practice; others go to a map. */
export class AbbrevTable {
  private readonly dense: (Abbrev | undefined)[] = [];
  private readonly sparse = new Map<number, Abbrev>();

  get(code: number): Abbrev | undefined {
    return code < 4096 ? this.dense[code] : this.sparse.get(code);
  }

  add(abbrev: Abbrev): void {
    if (abbrev.code < 4096) this.dense[abbrev.code] = abbrev;
    else this.sparse.set(abbrev.code, abbrev);
  }

  *[Symbol.iterator](): Generator<Abbrev> {
    for (const abbrev of this.dense) if (abbrev) yield abbrev;
    yield* this.sparse.values();
  }
}

/** Reads the table at `offset` of .debug_abbrev. Throws SymbolError when it is cut off or uses an unknown form. */
export function readAbbrevs(bytes: Uint8Array, offset: number, sizes: FormSizes): AbbrevTable {
  const r = new Reader(bytes, offset, bytes.length, '.debug_abbrev');
  const table = new AbbrevTable();
  for (;;) {
    const code = r.uleb();
    if (code === 0) return table;
    table.add(readAbbrev(r, code, sizes));
  }
}

function readAbbrev(r: Reader, code: number, sizes: FormSizes): Abbrev {
  const tag = r.uleb();
  const children = r.u8() !== 0;
  const names: number[] = [];
  const forms: number[] = [];
  const bytes: number[] = [];
  const offsets: number[] = [];
  let implicit: Map<number, bigint> | undefined;
  let sibling = -1;
  let at = 0;
  for (;;) {
    const name = r.uleb();
    const form = r.uleb();
    if (form === D.DW_FORM_implicit_const) (implicit ??= new Map()).set(names.length, r.slebBig());
    if (name === 0 && form === 0) break;
    const size = formSize(form, sizes);
    if (size === undefined) {
      throw new SymbolError(`.debug_abbrev uses form 0x${form.toString(16)}, which is not DWARF 2 to 5: build with -gdwarf-5 or lower.`);
    }
    if (name === D.DW_AT_sibling && form === D.DW_FORM_ref4 && at >= 0) sibling = names.length;
    names.push(name);
    forms.push(form);
    bytes.push(size);
    offsets.push(at);
    at = size < 0 || at < 0 || at > 0x7f00 ? -1 : at + size;
  }
  return {
    code,
    tag,
    children,
    names,
    forms,
    sizes: Int8Array.from(bytes),
    offsets: Int16Array.from(offsets),
    fixed: at,
    implicit,
    sibling,
    declaration: names.includes(D.DW_AT_declaration),
  };
}
