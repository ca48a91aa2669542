// Types as C programmers know them, read from DIEs on demand: base types, pointers, structures with members and bit-fields,
// arrays, enumerations, typedefs, qualifiers, functions.
// A type is one object per DIE, so that `===` compares and cycles (a list that points to itself) cost nothing: what a type refers to
// is read when asked for. It leaves out finding a type by name (name-index.ts) and printing values.

import * as D from './constants';
import type { Die } from './die';
import { evaluateNumber } from './expression';

export type Type = BaseType | PointerType | StructType | ArrayType | EnumType | TypedefType | QualifiedType | FunctionType | VoidType;

export type BaseEncoding =
  | 'signed'
  | 'unsigned'
  | 'signed char'
  | 'unsigned char'
  | 'boolean'
  | 'float'
  | 'complex'
  | 'address'
  | 'utf'
  | 'other';

export interface BaseType {
  kind: 'base';
  name: string;
  size: number;
  encoding: BaseEncoding;
}
/** `what`: C pointers, and what C++ adds. */
export interface PointerType {
  kind: 'pointer';
  what: 'pointer' | 'reference' | 'rvalue reference' | 'member pointer';
  size: number;
  readonly target: Type;
}
/** A member. `name` is undefined for anonymous structs, unions and padding. Offsets are from the start of the structure. */
export interface Member {
  name: string | undefined;
  readonly type: Type;
  /** In bytes. For a bit-field the byte in which it starts. */
  offset: number;
  /** Bit-fields only: lowest bit counted from the start of the structure (bit 0 is bit 0 of byte 0), and width. */
  bitOffset: number | undefined;
  bitSize: number | undefined;
  /** C++: a base class. */
  inherited: boolean;
}
export interface StructType {
  kind: 'struct' | 'union' | 'class';
  name: string | undefined;
  /** 0 for a declaration without a definition anywhere. */
  readonly size: number;
  readonly members: readonly Member[];
  /** True when only the name is known in this file. */
  readonly incomplete: boolean;
  declFile: number | undefined;
  declLine: number | undefined;
  /** Id of the DIE; `definition()` may lie in another unit. */
  die: number;
}
/** `count` is undefined for `[]` and for arrays whose length is only known at run time. */
export interface ArrayType {
  kind: 'array';
  readonly element: Type;
  count: number | undefined;
  /** In bytes; 0 when the count is not known. */
  readonly size: number;
  vector: boolean;
}
export interface EnumType {
  kind: 'enum';
  name: string | undefined;
  readonly size: number;
  readonly signed: boolean;
  readonly enumerators: readonly { name: string; value: bigint }[];
}
export interface TypedefType {
  kind: 'typedef';
  name: string;
  readonly target: Type;
  readonly size: number;
}
export interface QualifiedType {
  kind: 'const' | 'volatile' | 'restrict' | 'atomic';
  readonly target: Type;
  readonly size: number;
}
export interface FunctionType {
  kind: 'function';
  readonly returns: Type;
  readonly parameters: readonly { name: string | undefined; type: Type }[];
  variadic: boolean;
  prototyped: boolean;
  size: number;
}
export interface VoidType {
  kind: 'void';
  /** 'void', or the name of an unspecified type. */
  name: string;
  size: 0;
}

export const VOID: VoidType = { kind: 'void', name: 'void', size: 0 };

const ENCODINGS: Readonly<Record<number, BaseEncoding>> = {
  [D.DW_ATE_address]: 'address',
  [D.DW_ATE_boolean]: 'boolean',
  [D.DW_ATE_complex_float]: 'complex',
  [D.DW_ATE_float]: 'float',
  [D.DW_ATE_signed]: 'signed',
  [D.DW_ATE_signed_char]: 'signed char',
  [D.DW_ATE_unsigned]: 'unsigned',
  [D.DW_ATE_unsigned_char]: 'unsigned char',
  [D.DW_ATE_UTF]: 'utf',
};
/** Typedefs and qualifiers that refer to each other in a circle are cut here. */
const CHAIN_LIMIT = 64;
const DIMENSION_LIMIT = 16;

/** Turns DIEs into types; one per file. */
export class Types {
  private readonly cache = new Map<number, Type>();

  /**
   * @param definitionOf finds the defining DIE of a declared struct, union, class or enum by tag and name, in any unit.
   */
  constructor(private readonly definitionOf: (tag: number, name: string) => Die | undefined) {}

  /** The type that `die` refers to by DW_AT_type; void when there is none. */
  typeOf(die: Die): Type {
    const id = die.reference(D.DW_AT_type);
    if (id === undefined) return VOID;
    const cached = this.cache.get(id);
    if (cached) return cached;
    const target = die.unit.dwarf.die(id);
    return target ? this.fromDie(target) : VOID;
  }

  fromDie(die: Die): Type {
    const cached = this.cache.get(die.id);
    if (cached) return cached;
    const type = this.make(die);
    this.cache.set(die.id, type);
    return type;
  }

  private make(die: Die): Type {
    switch (die.tag) {
      case D.DW_TAG_base_type:
        return {
          kind: 'base',
          name: die.string(D.DW_AT_name) ?? '?',
          size: sizeOf(die) ?? 0,
          encoding: ENCODINGS[die.number(D.DW_AT_encoding) ?? 0] ?? 'other',
        };
      case D.DW_TAG_pointer_type:
        return this.pointer(die, 'pointer');
      case D.DW_TAG_reference_type:
        return this.pointer(die, 'reference');
      case D.DW_TAG_rvalue_reference_type:
        return this.pointer(die, 'rvalue reference');
      case D.DW_TAG_ptr_to_member_type:
        return this.pointer(die, 'member pointer');
      case D.DW_TAG_structure_type:
        return new LazyStruct(this, die, 'struct');
      case D.DW_TAG_union_type:
        return new LazyStruct(this, die, 'union');
      case D.DW_TAG_class_type:
        return new LazyStruct(this, die, 'class');
      case D.DW_TAG_array_type:
        return this.array(die);
      case D.DW_TAG_enumeration_type:
        return new LazyEnum(this, die);
      case D.DW_TAG_typedef:
        return new LazyTypedef(this, die);
      case D.DW_TAG_const_type:
        return new LazyQualified(this, die, 'const');
      case D.DW_TAG_volatile_type:
        return new LazyQualified(this, die, 'volatile');
      case D.DW_TAG_restrict_type:
        return new LazyQualified(this, die, 'restrict');
      case D.DW_TAG_atomic_type:
        return new LazyQualified(this, die, 'atomic');
      case D.DW_TAG_subroutine_type:
      case D.DW_TAG_subprogram:
        return new LazyFunction(this, die);
      case D.DW_TAG_unspecified_type:
        return { kind: 'void', name: die.string(D.DW_AT_name) ?? 'void', size: 0 };
      default:
        return VOID;
    }
  }

  private pointer(die: Die, what: PointerType['what']): PointerType {
    return new LazyPointer(this, die, what);
  }

  /** DWARF lists the dimensions of `int a[2][3]` under one DIE; here it is an array of 2 arrays of 3. */
  private array(die: Die): Type {
    const counts: (number | undefined)[] = [];
    for (const child of die.children()) {
      if (counts.length >= DIMENSION_LIMIT) break;
      if (child.tag === D.DW_TAG_subrange_type || child.tag === D.DW_TAG_enumeration_type) counts.push(countOf(child));
    }
    if (counts.length === 0) counts.push(undefined);
    const vector = die.flag(D.DW_AT_GNU_vector);
    let array: ArrayType | undefined;
    for (const count of counts.reverse()) array = new LazyArray(this, die, array, count, vector);
    return array!;
  }

  definition(die: Die): Die | undefined {
    if (!die.flag(D.DW_AT_declaration)) return die;
    const unit = die.referenced(D.DW_AT_signature);
    if (unit) return unit;
    const name = die.string(D.DW_AT_name);
    return name === undefined ? undefined : this.definitionOf(die.tag, name);
  }
}

function sizeOf(die: Die): number | undefined {
  return die.number(D.DW_AT_byte_size);
}

function countOf(subrange: Die): number | undefined {
  if (subrange.tag === D.DW_TAG_enumeration_type) return subrange.children().length;
  const count = subrange.number(D.DW_AT_count);
  if (count !== undefined && !subrange.location(D.DW_AT_count)) return count;
  if (subrange.reference(D.DW_AT_upper_bound) !== undefined) return undefined; // the length of a variable-length array lies in a variable
  const upper = subrange.number(D.DW_AT_upper_bound);
  if (upper === undefined) return undefined;
  const length = upper - (subrange.number(D.DW_AT_lower_bound) ?? 0) + 1;
  return length >= 0x1_0000_0000 || length < 0 ? 0 : length; // an upper bound of -1, in 4 or 8 bytes: no elements
}

/** Keeps the first answer of `make`. */
class Once<T> {
  private value: T | undefined;
  private made = false;
  get(make: () => T): T {
    if (!this.made) {
      this.value = make();
      this.made = true;
    }
    return this.value as T;
  }
}

class LazyPointer implements PointerType {
  readonly kind = 'pointer';
  readonly size: number;
  constructor(
    private readonly types: Types,
    private readonly source: Die,
    readonly what: PointerType['what'],
  ) {
    this.size = sizeOf(source) ?? 4;
  }
  get target(): Type {
    return this.types.typeOf(this.source);
  }
}

class LazyTypedef implements TypedefType {
  readonly kind = 'typedef';
  readonly name: string;
  constructor(
    private readonly types: Types,
    private readonly source: Die,
  ) {
    this.name = source.string(D.DW_AT_name) ?? '?';
  }
  get target(): Type {
    return this.types.typeOf(this.source);
  }
  get size(): number {
    const stripped = stripType(this);
    return stripped === this ? 0 : stripped.size;
  }
}

class LazyQualified implements QualifiedType {
  constructor(
    private readonly types: Types,
    private readonly source: Die,
    readonly kind: QualifiedType['kind'],
  ) {}
  get target(): Type {
    return this.types.typeOf(this.source);
  }
  get size(): number {
    const stripped = stripType(this);
    return stripped === this ? 0 : stripped.size;
  }
}

class LazyArray implements ArrayType {
  readonly kind = 'array';
  constructor(
    private readonly types: Types,
    private readonly source: Die,
    private readonly inner: ArrayType | undefined,
    readonly count: number | undefined,
    readonly vector: boolean,
  ) {}
  get element(): Type {
    return this.inner ?? this.types.typeOf(this.source);
  }
  get size(): number {
    return (this.count ?? 0) * sizeOfType(this.element);
  }
}

class LazyEnum implements EnumType {
  readonly kind = 'enum';
  readonly name: string | undefined;
  private readonly list = new Once<{ name: string; value: bigint }[]>();
  private readonly found = new Once<Die>();
  constructor(
    private readonly types: Types,
    private readonly source: Die,
  ) {
    this.name = source.string(D.DW_AT_name);
  }
  private get definition(): Die {
    return this.found.get(() => this.types.definition(this.source) ?? this.source);
  }
  get size(): number {
    return sizeOf(this.definition) ?? 4;
  }
  /** Signed when the underlying type is, or, without one (DWARF 2), when an enumerator is negative. */
  get signed(): boolean {
    const underlying = stripType(this.types.typeOf(this.definition));
    if (underlying.kind === 'base') return underlying.encoding === 'signed' || underlying.encoding === 'signed char';
    return this.enumerators.some((e) => e.value < 0n);
  }
  get enumerators(): { name: string; value: bigint }[] {
    return this.list.get(() =>
      this.definition
        .children()
        .filter((child) => child.tag === D.DW_TAG_enumerator)
        .map((child) => ({ name: child.string(D.DW_AT_name) ?? '?', value: this.valueOf(child) })),
    );
  }
  /** Without an underlying type, compilers write small positive values as data1 that are not meant to be negative. */
  private valueOf(child: Die): bigint {
    const underlying = this.definition.has(D.DW_AT_type) ? stripType(this.types.typeOf(this.definition)) : undefined;
    const unsigned = child.constant(D.DW_AT_const_value, false) ?? 0n;
    if (underlying?.kind !== 'base' || unsigned < 0n) return unsigned;
    return underlying.encoding === 'signed'
      ? (child.constant(D.DW_AT_const_value, unsigned >= 1n << BigInt(this.size * 8 - 1)) ?? 0n)
      : unsigned;
  }
}

class LazyStruct implements StructType {
  readonly name: string | undefined;
  readonly declFile: number | undefined;
  readonly declLine: number | undefined;
  readonly die: number;
  private readonly found = new Once<Die | undefined>();
  private readonly list = new Once<Member[]>();
  constructor(
    private readonly types: Types,
    private readonly source: Die,
    readonly kind: StructType['kind'],
  ) {
    this.name = source.string(D.DW_AT_name);
    this.declFile = source.number(D.DW_AT_decl_file);
    this.declLine = source.number(D.DW_AT_decl_line);
    this.die = source.id;
  }
  private get definition(): Die | undefined {
    return this.found.get(() => this.types.definition(this.source));
  }
  get incomplete(): boolean {
    return this.definition === undefined;
  }
  get size(): number {
    return (this.definition && sizeOf(this.definition)) ?? 0;
  }
  get members(): Member[] {
    return this.list.get(() => {
      const members: Member[] = [];
      for (const child of this.definition?.children() ?? []) {
        const inherited = child.tag === D.DW_TAG_inheritance;
        if ((child.tag !== D.DW_TAG_member && !inherited) || child.flag(D.DW_AT_external) || child.flag(D.DW_AT_declaration)) continue;
        members.push(new LazyMember(this.types, child, inherited));
      }
      return members;
    });
  }
}

class LazyMember implements Member {
  readonly name: string | undefined;
  readonly offset: number;
  readonly bitOffset: number | undefined;
  readonly bitSize: number | undefined;
  constructor(
    private readonly types: Types,
    private readonly source: Die,
    readonly inherited: boolean,
  ) {
    this.name = source.string(D.DW_AT_name);
    this.bitSize = source.number(D.DW_AT_bit_size);
    const start = memberOffset(source);
    if (this.bitSize === undefined) {
      this.offset = start;
      return;
    }
    const modern = source.number(D.DW_AT_data_bit_offset);
    if (modern !== undefined) {
      this.bitOffset = modern;
    } else {
      // DWARF 2 and 3 count from the most significant bit of the storage unit (3.5.6 of DWARF 3); a little-endian bit number counts from the other end.
      const storage = (sizeOf(source) ?? types.typeOf(source).size) * 8;
      // clang writes negative offsets for fields that reach beyond the unit.
      const fromTop = Number(source.constant(D.DW_AT_bit_offset, true) ?? 0n);
      this.bitOffset = start * 8 + storage - fromTop - this.bitSize;
    }
    this.offset = Math.floor(this.bitOffset / 8);
  }
  get type(): Type {
    return this.types.typeOf(this.source);
  }
}

/** DWARF 2 writes the offset as an expression that adds to the address of the structure. */
function memberOffset(die: Die): number {
  const bytes = die.block(D.DW_AT_data_member_location);
  if (!bytes) return die.number(D.DW_AT_data_member_location) ?? 0;
  return evaluateNumber(bytes, die.unit, {}, [0]) ?? 0;
}

class LazyFunction implements FunctionType {
  readonly kind = 'function';
  readonly size = 1; // what gcc's sizeof says
  private readonly list = new Once<{ name: string | undefined; type: Type }[]>();
  constructor(
    private readonly types: Types,
    private readonly source: Die,
  ) {}
  get returns(): Type {
    return this.types.typeOf(this.source);
  }
  get variadic(): boolean {
    return this.source.children().some((child) => child.tag === D.DW_TAG_unspecified_parameters);
  }
  get prototyped(): boolean {
    return this.source.flag(D.DW_AT_prototyped);
  }
  get parameters(): { name: string | undefined; type: Type }[] {
    return this.list.get(() =>
      this.source
        .children()
        .filter((child) => child.tag === D.DW_TAG_formal_parameter)
        .map((child) => ({ name: child.string(D.DW_AT_name), type: this.types.typeOf(child) })),
    );
  }
}

/** The type behind typedefs and qualifiers. A circle of them answers with one of its members. */
export function stripType(type: Type): Exclude<Type, TypedefType | QualifiedType> | TypedefType | QualifiedType {
  let at = type;
  for (let i = 0; i < CHAIN_LIMIT; i++) {
    if (at.kind !== 'typedef' && at.kind !== 'const' && at.kind !== 'volatile' && at.kind !== 'restrict' && at.kind !== 'atomic') return at;
    at = at.target;
  }
  return type;
}

let sizeDepth = 0;
/** Size of a type in bytes; an array that contains itself (damaged) has size 0. */
function sizeOfType(type: Type): number {
  if (sizeDepth > CHAIN_LIMIT) return 0;
  sizeDepth++;
  try {
    return type.size;
  } finally {
    sizeDepth--;
  }
}
