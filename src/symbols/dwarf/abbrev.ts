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

const WHAT = '.debug_abbrev';

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
  tag: number;
  children: boolean;
  /** Attribute numbers (DW_AT_...). */
  names: readonly number[];
  forms: readonly number[];
  /** Byte size of each attribute or a SIZE_... code. */
  sizes: readonly number[];
  /** Byte offset of each attribute from the first, or -1 when something of unknown size stands before it. */
  offsets: readonly number[];
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

/** Codes up to this are looked up in an array; compilers count from 1. */
const DENSE_LIMIT = 4096;

/**
 * One table. Opening it only notes where each declaration starts: a unit of a kernel declares two hundred and most visits need a few.
 * Units declare the same things over and over; `shared` holds the decoded declarations of all tables with the same sizes, by their bytes.
 */
export class AbbrevTable {
  /** By code: offsets of the declaration's tag and of its end, one after the other. */
  private readonly places: number[] = [];
  private readonly rarePlaces = new Map<number, [number, number]>();
  private readonly read: (Abbrev | undefined)[] = [];

  /** Throws SymbolError when the table is cut off. Unknown forms throw when a DIE uses them. */
  constructor(
    private readonly bytes: Uint8Array,
    offset: number,
    private readonly sizes: FormSizes,
    private readonly shared: Map<string, Abbrev>,
  ) {
    const r = new Reader(bytes, offset, bytes.length, WHAT);
    for (let code = r.uleb(); code !== 0; code = r.uleb()) {
      const start = r.pos;
      skipDeclaration(r);
      if (code >= DENSE_LIMIT) {
        this.rarePlaces.set(code, [start, r.pos]);
        continue;
      }
      while (this.places.length <= code * 2) this.places.push(0, 0);
      this.places[code * 2] = start;
      this.places[code * 2 + 1] = r.pos;
    }
  }

  get(code: number): Abbrev | undefined {
    return this.read[code] ?? this.open(code);
  }

  private open(code: number): Abbrev | undefined {
    const [start, end] = code < DENSE_LIMIT ? [this.places[code * 2], this.places[code * 2 + 1]] : (this.rarePlaces.get(code) ?? []);
    if (!start || !end) return undefined;
    if (end - start > LONGEST)
      throw new SymbolError(`${WHAT} declares an entry with more attributes than any compiler writes: build the file again.`);
    const key = String.fromCharCode.apply(null, this.bytes.subarray(start, Math.min(end, start + KEY_LIMIT)) as unknown as number[]);
    let abbrev = end - start <= KEY_LIMIT ? this.shared.get(key) : undefined;
    if (!abbrev) {
      abbrev = readAbbrev(new Reader(this.bytes, start, end, WHAT), this.sizes);
      if (end - start <= KEY_LIMIT) this.shared.set(key, abbrev);
    }
    if (code < DENSE_LIMIT) this.read[code] = abbrev;
    return abbrev;
  }

  /** Every declaration. */
  *[Symbol.iterator](): Generator<Abbrev> {
    for (let code = 1; code * 2 < this.places.length; code++) {
      const abbrev = this.get(code);
      if (abbrev) yield abbrev;
    }
    for (const code of this.rarePlaces.keys()) yield this.get(code)!;
  }
}

/** Bytes of a declaration at most: attributes may take no room in an entry, but to read one takes time for each. */
const LONGEST = 2048;
/** Longer declarations than this, in bytes, are not shared. */
const KEY_LIMIT = 200;

function skipDeclaration(r: Reader): void {
  r.uleb();
  r.skip(1);
  for (;;) {
    const name = r.uleb();
    const form = r.uleb();
    if (form === D.DW_FORM_implicit_const) r.sleb();
    if (name === 0 && form === 0) return;
  }
}

function readAbbrev(r: Reader, sizes: FormSizes): Abbrev {
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
      throw new SymbolError(`${WHAT} uses form 0x${form.toString(16)}, which is not DWARF 2 to 5: build with -gdwarf-5 or lower.`);
    }
    if (name === D.DW_AT_sibling && form === D.DW_FORM_ref4 && at >= 0) sibling = names.length;
    names.push(name);
    forms.push(form);
    bytes.push(size);
    offsets.push(at);
    at = size < 0 || at < 0 || at > 0x7f00 ? -1 : at + size;
  }
  return {
    tag,
    children,
    names,
    forms,
    sizes: bytes,
    offsets: offsets,
    fixed: at,
    implicit,
    sibling,
    declaration: names.includes(D.DW_AT_declaration),
  };
}
