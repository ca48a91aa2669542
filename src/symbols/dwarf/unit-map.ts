// From an address to the unit that holds its code, for a whole file, without opening units that say nothing new:
// .debug_aranges first, the root DIEs of the units that it does not mention after that (clang writes no .debug_aranges).

import type { Dwarf } from './dwarf';
import { type ArangeEntry, readAranges } from './ranges';
import type { Unit } from './unit';

/** Ranges of units do not overlap in sound files; a lookup goes back this far when they do. */
const LOOK_BACK = 16;

export class UnitMap {
  private readonly low: Uint32Array;
  private readonly high: Float64Array;
  private readonly unit: Uint32Array;

  constructor(private readonly dwarf: Dwarf) {
    const found: ArangeEntry[] = [];
    dwarf.problems.guard(undefined, () => readAranges(dwarf.section('.debug_aranges'), found));
    const rows: { low: number; high: number; unit: number }[] = [];
    const mentioned = new Set<number>();
    for (const { low, high, unitOffset } of found) {
      const unit = dwarf.unitOf(unitOffset);
      if (!unit || unit.offset !== unitOffset) continue;
      mentioned.add(unit.index);
      if (dwarf.source.isCode(low)) rows.push({ low, high, unit: unit.index });
    }
    for (const unit of dwarf.units) {
      if (mentioned.has(unit.index) || unit.signature !== undefined) continue;
      for (const { low, high } of unit.ranges) if (dwarf.source.isCode(low)) rows.push({ low, high, unit: unit.index });
    }
    rows.sort((a, b) => a.low - b.low || b.high - a.high);
    this.low = Uint32Array.from(rows, (row) => row.low);
    this.high = Float64Array.from(rows, (row) => row.high);
    this.unit = Uint32Array.from(rows, (row) => row.unit);
  }

  at(address: number): Unit | undefined {
    let low = 0;
    let high = this.low.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.low[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    for (let row = low - 1, tries = 0; row >= 0 && tries < LOOK_BACK; row--, tries++) {
      if (address < this.high[row]!) return this.dwarf.units[this.unit[row]!];
    }
    return undefined;
  }
}
