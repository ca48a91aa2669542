// The debug sections of one file as a whole: sections loaded on first use, the list of units, and any DIE by its id.
// Nothing but the unit headers is read at the start. Abbreviation tables are kept for the units in use only.
// It leaves out every question that a debugger asks; those are program-symbols.ts, one floor up in this folder.

import type { Problems } from '../errors';
import { SymbolError } from '../errors';
import { Reader, textAt } from '../reader';
import { type Abbrev, AbbrevTable } from './abbrev';
import * as D from './constants';
import { type DebugFile, Die, type DwarfSource } from './die';
import { Unit, type UnitHeader, readUnitHeader } from './unit';

/** DIE ids of .debug_types start here: no section of a 32-bit file reaches it. */
const TYPES_BASE = 2 ** 33;
/** Abbreviation tables kept at a time. */
const TABLES_KEPT = 64;
const NOTHING = new Uint8Array(0);
const NO_ABBREVS = new AbbrevTable(new Uint8Array(1), 0, { version: 4, addressSize: 4, offsetSize: 4 }, new Map());
const EMPTY_HEADER: UnitHeader = {
  offset: 0,
  end: 0,
  version: 4,
  unitType: D.DW_UT_compile,
  addressSize: 4,
  offsetSize: 4,
  abbrevOffset: 0,
  firstDie: 0,
  signature: undefined,
  typeOffset: 0,
};

export class Dwarf implements DebugFile {
  /** Compile, partial and type units, in file order, .debug_types last. */
  readonly units: Unit[] = [];
  private readonly sections = new Map<string, Uint8Array>();
  private readonly tables = new Map<string, AbbrevTable>();
  private readonly lineStrings = new Map<number, string>();
  private readonly declarations = new Map<string, Map<string, Abbrev>>();
  private lastUnit: Unit | undefined;
  private lastTable = NO_ABBREVS;
  private placeholder: Unit | undefined;
  private typeUnits: Map<bigint, Unit> | undefined;

  constructor(
    readonly source: DwarfSource,
    readonly problems: Problems,
  ) {
    this.openUnits('.debug_info', 0);
    this.openUnits('.debug_types', TYPES_BASE);
  }

  private openUnits(name: string, base: number): void {
    const bytes = this.section(name);
    const r = new Reader(bytes, 0, bytes.length, name);
    this.problems.guard(undefined, () => {
      while (!r.done) {
        const start = r.pos;
        const { length } = r.initialLength();
        const next = r.pos + length;
        if (length === 0) continue; // padding between units
        r.pos = start;
        const header = this.problems.guard(undefined, () => readUnitHeader(r, base !== 0));
        if (header) this.units.push(new Unit(this, this.units.length, bytes, base, header));
        if (next <= start || next > r.end) return;
        r.pos = next;
      }
    });
  }

  /** Contents of a section; empty when the file has none. */
  section(name: string): Uint8Array {
    let bytes = this.sections.get(name);
    if (!bytes) this.sections.set(name, (bytes = this.source.section(name) ?? NOTHING));
    return bytes;
  }

  /** A text of .debug_line_str. Kept: the line tables of all units name the same few files. */
  lineString(offset: number): string | undefined {
    const known = this.lineStrings.get(offset);
    if (known !== undefined) return known;
    const text = textAt(this.section('.debug_line_str'), offset);
    if (text !== undefined) this.lineStrings.set(offset, text);
    return text;
  }

  string(offset: number): string | undefined {
    return textAt(this.section('.debug_str'), offset);
  }

  abbrevsOf(unit: Unit): AbbrevTable {
    if (unit === this.lastUnit) return this.lastTable; // asked for at every DIE
    this.lastTable = this.findAbbrevs(unit);
    this.lastUnit = unit;
    return this.lastTable;
  }

  private findAbbrevs(unit: Unit): AbbrevTable {
    const key = `${unit.abbrevOffset} ${unit.version} ${unit.addressSize} ${unit.offsetSize}`;
    let table = this.tables.get(key);
    if (table) return table;
    table = this.problems.guard(
      NO_ABBREVS,
      () => new AbbrevTable(this.section('.debug_abbrev'), unit.abbrevOffset, unit, this.declarationsFor(unit)),
    );
    if (this.tables.size >= TABLES_KEPT) this.tables.delete(this.tables.keys().next().value!);
    this.tables.set(key, table);
    return table;
  }

  private declarationsFor({ version, addressSize, offsetSize }: Unit): Map<string, Abbrev> {
    const key = `${version} ${addressSize} ${offsetSize}`;
    let declarations = this.declarations.get(key);
    if (!declarations) this.declarations.set(key, (declarations = new Map()));
    return declarations;
  }

  /** The unit that contains a DIE id. */
  unitOf(id: number): Unit | undefined {
    let low = 0;
    let high = this.units.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const unit = this.units[middle]!;
      if (unit.base + unit.offset <= id) low = middle + 1;
      else high = middle;
    }
    const unit = this.units[low - 1];
    return unit && id < unit.base + unit.end ? unit : undefined;
  }

  /** The DIE of that id, or undefined when there is none there. */
  die(id: number): Die | undefined {
    const unit = this.unitOf(id);
    return unit && this.problems.guard(undefined, () => Die.read(unit, id - unit.base));
  }

  /** The id of the type that a type unit of that signature defines. */
  typeUnitDie(signature: bigint): number | undefined {
    if (!this.typeUnits) {
      this.typeUnits = new Map();
      for (const unit of this.units) if (unit.signature !== undefined) this.typeUnits.set(unit.signature, unit);
    }
    const unit = this.typeUnits.get(signature);
    return unit && unit.base + unit.typeOffset;
  }

  /** A unit for expressions that stand in none: those of call frame information. */
  get anyUnit(): Unit {
    this.placeholder ??= this.units[0] ?? new Unit(this, 0, NOTHING, 0, EMPTY_HEADER);
    return this.placeholder;
  }

  /** Notes what this reader does not follow: split DWARF leaves functions and types in .dwo files. */
  noteSplit(): void {
    for (const unit of this.units) {
      if (unit.unitType !== D.DW_UT_skeleton && !unit.root?.has(D.DW_AT_GNU_dwo_name)) continue;
      this.problems.add(new SymbolError('Debug information lies in .dwo files, which are not read: build without -gsplit-dwarf.').message);
      return;
    }
  }
}
