// Names to DIEs for the whole file: functions, global and file-static variables, types, enumerators.
// Built on first need by one pass over the top level of every unit, which decodes nothing but names. The same header type stands in
// hundreds of units of a kernel; only its first definition is kept, recognised by the offset of its name in .debug_str.
// It leaves out what the DIEs say.

import type { Abbrev } from './abbrev';
import * as D from './constants';
import type { Die } from './die';
import type { Pieces } from '../pieces';
import type { Dwarf } from './dwarf';
import type { Unit } from './unit';

/** Kinds of names that live apart: C has one name space for tags and another for typedefs. */
type Category = 'struct' | 'union' | 'enum' | 'typedef' | 'base' | 'enumerator';
const TYPE_CATEGORIES: Readonly<Record<number, Category>> = {
  [D.DW_TAG_structure_type]: 'struct',
  [D.DW_TAG_class_type]: 'struct',
  [D.DW_TAG_union_type]: 'union',
  [D.DW_TAG_enumeration_type]: 'enum',
  [D.DW_TAG_typedef]: 'typedef',
  [D.DW_TAG_base_type]: 'base',
};
const SEEN_BITS: Readonly<Record<Category, number>> = { struct: 1, union: 2, enum: 4, typedef: 8, base: 16, enumerator: 32 };

export class NameIndex {
  /** Function name to indices of the units that define it or hold an inlined copy's origin. */
  readonly functions = new Map<string, number[]>();
  /** Variable name to DIE ids of its definitions. */
  readonly variables = new Map<string, number[]>();
  private readonly types: Record<Category, Map<string, number>> = {
    struct: new Map(),
    union: new Map(),
    enum: new Map(),
    typedef: new Map(),
    base: new Map(),
    enumerator: new Map(),
  };
  /** By offset in .debug_str: bits of the categories in which the name was met. */
  private seen: Uint8Array;

  /** Units gone through so far. */
  private next = 0;

  constructor(private readonly dwarf: Dwarf) {
    this.seen = new Uint8Array(dwarf.section('.debug_str').length);
  }

  get complete(): boolean {
    return this.next >= this.dwarf.units.length;
  }
  /** The pass over all units, in pieces. Several may drive it; ended early, the names of the rest are not known. */
  *building(): Pieces<void> {
    const { dwarf } = this;
    while (!this.complete) {
      const unit = dwarf.units[this.next++]!;
      dwarf.problems.guard(undefined, () => this.addUnit(unit));
      if ((yield this.next / dwarf.units.length) && !this.complete) {
        dwarf.problems.leave(
          `Reading names was cancelled: those of ${this.next} of ${dwarf.units.length} source files are known; restart to read all.`,
        );
        this.next = dwarf.units.length;
      }
    }
    this.seen = new Uint8Array(0);
  }

  private addUnit(unit: Unit): void {
    if (unit.firstDie >= unit.end) return;
    unit.scan(unit.firstDie, (abbrev, at, offset) => this.visit(unit, abbrev, at, offset));
  }

  /** @returns whether the children matter as well. */
  private visit(unit: Unit, abbrev: Abbrev, at: number, offset: number): boolean {
    switch (abbrev.tag) {
      case D.DW_TAG_compile_unit:
      case D.DW_TAG_partial_unit:
      case D.DW_TAG_type_unit:
      case D.DW_TAG_namespace:
        return true;
      case D.DW_TAG_subprogram:
        if (!abbrev.declaration) this.addTo(this.functions, this.nameOf(unit, abbrev, at, offset), unit.index);
        return false;
      case D.DW_TAG_variable:
        if (!abbrev.declaration) this.addTo(this.variables, this.nameOf(unit, abbrev, at, offset), unit.base + offset);
        return false;
      case D.DW_TAG_enumerator:
        this.addType('enumerator', unit, abbrev, at, offset);
        return false;
      default: {
        const category = TYPE_CATEGORIES[abbrev.tag];
        if (category === undefined || abbrev.declaration) return false;
        const isNew = this.addType(category, unit, abbrev, at, offset);
        return category === 'enum' && isNew;
      }
    }
  }

  private addType(category: Category, unit: Unit, abbrev: Abbrev, at: number, offset: number): boolean {
    let name = unit.nameOf(abbrev, at);
    if (name === undefined) return true; // an anonymous enumeration still has enumerators
    if (typeof name === 'number') {
      const bit = SEEN_BITS[category];
      if (name >= this.seen.length || this.seen[name]! & bit) return false;
      this.seen[name]! |= bit;
      name = this.dwarf.string(name);
      if (name === undefined) return false;
    }
    const map = this.types[category];
    if (map.has(name)) return false;
    map.set(name, unit.base + offset);
    return true;
  }

  /** The name of a function or variable, which a definition may leave to the declaration or the abstract instance it refers to. */
  private nameOf(unit: Unit, abbrev: Abbrev, at: number, offset: number): string | undefined {
    const name = unit.nameOf(abbrev, at);
    if (typeof name === 'number') return this.dwarf.string(name);
    if (name !== undefined) return name;
    if (!abbrev.names.includes(D.DW_AT_specification) && !abbrev.names.includes(D.DW_AT_abstract_origin)) return undefined;
    const die = this.dwarf.die(unit.base + offset);
    return die && nameOf(die);
  }

  private addTo(map: Map<string, number[]>, name: string | undefined, value: number): void {
    if (name === undefined) return;
    const list = map.get(name);
    if (!list) map.set(name, [value]);
    else if (list[list.length - 1] !== value) list.push(value);
  }

  private lookup(category: Category, name: string): Die | undefined {
    const id = this.types[category].get(name);
    return id === undefined ? undefined : this.dwarf.die(id);
  }

  /** The definition of a struct, union, class or enum by the tag of its declaration. */
  tagged(tag: number, name: string): Die | undefined {
    const category = TYPE_CATEGORIES[tag];
    return category && this.lookup(category, name);
  }

  struct(name: string): Die | undefined {
    return this.lookup('struct', name);
  }

  union(name: string): Die | undefined {
    return this.lookup('union', name);
  }

  enum(name: string): Die | undefined {
    return this.lookup('enum', name);
  }

  /** A typedef or base type, which share C's ordinary names. */
  plain(name: string): Die | undefined {
    return this.lookup('typedef', name) ?? this.lookup('base', name);
  }

  enumerator(name: string): Die | undefined {
    return this.lookup('enumerator', name);
  }

  /** Names of base types, for spellings such as `unsigned long`. */
  baseNames(): Iterable<string> {
    return this.types.base.keys();
  }

  /** Names of one kind, in no order: for search and completion. */
  namesOf(category: Category): Iterable<string> {
    return this.types[category].keys();
  }
}

const ORIGIN_LIMIT = 8;

/** `die`, then what it refers to as its abstract origin or specification, nearest first. */
export function originChain(die: Die): Die[] {
  const chain = [die];
  for (let at = die; chain.length < ORIGIN_LIMIT; ) {
    const next = at.referenced(D.DW_AT_abstract_origin) ?? at.referenced(D.DW_AT_specification);
    if (!next || chain.some((d) => d.id === next.id)) break;
    chain.push((at = next));
  }
  return chain;
}

/** The first of the chain that has the attribute. */
export function withAttribute(chain: readonly Die[], attribute: number): Die | undefined {
  return chain.find((die) => die.has(attribute));
}

export function nameOf(die: Die): string | undefined {
  return die.string(D.DW_AT_name) ?? withAttribute(originChain(die), D.DW_AT_name)?.string(D.DW_AT_name);
}
