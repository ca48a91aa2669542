// Location lists (.debug_loc, .debug_loclists): where a variable lives, depending on the instruction.
// Entries are half-open ranges of link-time addresses with an expression each. What the expression says is expression.ts.

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import * as D from './constants';
import type { DebugUnit } from './die';

/** One entry; `expression` is DWARF bytes. The default location of DWARF 5 covers everything: it comes last, as [0, 2^32). */
export interface LocationEntry {
  low: number;
  high: number;
  expression: Uint8Array;
}

const LIST_LIMIT = 0x10000;

/** The list at `offset` of the unit's location section, in file order. Throws SymbolError on damage. */
export function readLocationList(unit: DebugUnit, offset: number): LocationEntry[] {
  return unit.version >= 5 ? readLoclist(unit, offset) : readLoc(unit, offset);
}

function readLoc(unit: DebugUnit, offset: number): LocationEntry[] {
  const bytes = unit.dwarf.section('.debug_loc');
  const r = new Reader(bytes, offset, bytes.length, '.debug_loc');
  const entries: LocationEntry[] = [];
  const select = unit.addressSize === 4 ? 0xffffffff : Number.MAX_SAFE_INTEGER;
  let base = unit.lowPc;
  for (let count = 0; count < LIST_LIMIT; count++) {
    const low = r.unsigned(unit.addressSize);
    const high = r.unsigned(unit.addressSize);
    if (low === 0 && high === 0) return entries;
    if (low === select) {
      base = high;
      continue;
    }
    const expression = r.block(r.u16());
    add(entries, base + low, base + high, expression);
  }
  throw tooLong('.debug_loc', offset);
}

function readLoclist(unit: DebugUnit, offset: number): LocationEntry[] {
  const bytes = unit.dwarf.section('.debug_loclists');
  const r = new Reader(bytes, offset, bytes.length, '.debug_loclists');
  const entries: LocationEntry[] = [];
  const indexed = () => unit.addressAt(r.uleb()) ?? 0;
  let otherwise: LocationEntry | undefined;
  let base = unit.lowPc;
  for (let count = 0; count < LIST_LIMIT; count++) {
    const kind = r.u8();
    let low = 0;
    let high = 0;
    switch (kind) {
      case D.DW_LLE_end_of_list:
        if (otherwise) entries.push(otherwise);
        return entries;
      case D.DW_LLE_base_addressx:
        base = indexed();
        continue;
      case D.DW_LLE_base_address:
        base = r.unsigned(unit.addressSize);
        continue;
      case D.DW_LLE_GNU_view_pair:
        r.uleb();
        r.uleb();
        continue;
      case D.DW_LLE_default_location:
        otherwise = { low: 0, high: 0x1_0000_0000, expression: r.block(r.uleb()) };
        continue;
      case D.DW_LLE_startx_endx:
        low = indexed();
        high = indexed();
        break;
      case D.DW_LLE_startx_length:
        low = indexed();
        high = low + r.uleb();
        break;
      case D.DW_LLE_offset_pair:
        low = base + r.uleb();
        high = base + r.uleb();
        break;
      case D.DW_LLE_start_end:
        low = r.unsigned(unit.addressSize);
        high = r.unsigned(unit.addressSize);
        break;
      case D.DW_LLE_start_length:
        low = r.unsigned(unit.addressSize);
        high = low + r.uleb();
        break;
      default:
        throw new SymbolError(
          `.debug_loclists has an unknown entry ${kind} at offset 0x${(r.pos - 1).toString(16)}: build the file again.`,
        );
    }
    add(entries, low, high, r.block(r.uleb()));
  }
  throw tooLong('.debug_loclists', offset);
}

function add(entries: LocationEntry[], low: number, high: number, expression: Uint8Array): void {
  if (high > low) entries.push({ low, high, expression });
}

function tooLong(section: string, at: number): SymbolError {
  return new SymbolError(`A list in ${section} at offset 0x${at.toString(16)} does not end: build the file again.`);
}
