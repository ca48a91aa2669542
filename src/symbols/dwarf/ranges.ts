// Address ranges: of a DIE (low and high pc, .debug_ranges, .debug_rnglists) and the table from addresses to units (.debug_aranges).
// Ranges are half-open, [low, high), uint32, link-time. Empty ones are dropped.

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import * as D from './constants';
import type { DebugUnit, Die } from './die';

export interface AddressRange {
  low: number;
  high: number;
}

/** More entries than any compiler writes for one list. */
const LIST_LIMIT = 0x10000;

/** The ranges of a DIE in the file's order; empty when it has no code. Throws SymbolError on damage. */
export function readRanges(die: Die): AddressRange[] {
  const { unit } = die;
  if (die.has(D.DW_AT_ranges)) {
    const at = die.rangeList(D.DW_AT_ranges);
    if (at === undefined) return [];
    // The root's own low pc is the base of every list, that of the root included.
    return unit.version >= 5 ? readRnglist(unit, at) : readRangelist(unit, at);
  }
  const low = die.address(D.DW_AT_low_pc);
  if (low === undefined) return [];
  const high = die.isAddress(D.DW_AT_high_pc) ? die.address(D.DW_AT_high_pc) : low + (die.number(D.DW_AT_high_pc) ?? 0);
  return high !== undefined && high > low ? [{ low, high }] : [];
}

function readRangelist(unit: DebugUnit, at: number): AddressRange[] {
  const bytes = unit.dwarf.section('.debug_ranges');
  const r = new Reader(bytes, at, bytes.length, '.debug_ranges');
  const ranges: AddressRange[] = [];
  const select = unit.addressSize === 4 ? 0xffffffff : Number.MAX_SAFE_INTEGER;
  let base = unit.lowPc;
  for (let count = 0; count < LIST_LIMIT; count++) {
    const low = r.unsigned(unit.addressSize);
    const high = r.unsigned(unit.addressSize);
    if (low === 0 && high === 0) return ranges;
    if (low === select) base = high;
    else add(ranges, base + low, base + high);
  }
  throw tooLong('.debug_ranges', at);
}

function readRnglist(unit: DebugUnit, at: number): AddressRange[] {
  const bytes = unit.dwarf.section('.debug_rnglists');
  const r = new Reader(bytes, at, bytes.length, '.debug_rnglists');
  const ranges: AddressRange[] = [];
  const indexed = () => unit.addressAt(r.uleb()) ?? 0;
  let base = unit.lowPc;
  for (let count = 0; count < LIST_LIMIT; count++) {
    const kind = r.u8();
    let low: number;
    switch (kind) {
      case D.DW_RLE_end_of_list:
        return ranges;
      case D.DW_RLE_base_addressx:
        base = indexed();
        break;
      case D.DW_RLE_base_address:
        base = r.unsigned(unit.addressSize);
        break;
      case D.DW_RLE_startx_endx:
        low = indexed();
        add(ranges, low, indexed());
        break;
      case D.DW_RLE_startx_length:
        low = indexed();
        add(ranges, low, low + r.uleb());
        break;
      case D.DW_RLE_offset_pair:
        low = base + r.uleb();
        add(ranges, low, base + r.uleb());
        break;
      case D.DW_RLE_start_end:
        low = r.unsigned(unit.addressSize);
        add(ranges, low, r.unsigned(unit.addressSize));
        break;
      case D.DW_RLE_start_length:
        low = r.unsigned(unit.addressSize);
        add(ranges, low, low + r.uleb());
        break;
      default:
        throw new SymbolError(
          `.debug_rnglists has an unknown entry ${kind} at offset 0x${(r.pos - 1).toString(16)}: build the file again.`,
        );
    }
  }
  throw tooLong('.debug_rnglists', at);
}

function tooLong(section: string, at: number): SymbolError {
  return new SymbolError(`A list in ${section} at offset 0x${at.toString(16)} does not end: build the file again.`);
}

function add(ranges: AddressRange[], low: number, high: number): void {
  if (high > low && high <= 0x1_0000_0000) ranges.push({ low, high });
}

/** One entry of .debug_aranges. `unitOffset` is the offset of the unit in .debug_info. */
export interface ArangeEntry extends AddressRange {
  unitOffset: number;
}

/** All of .debug_aranges. Throws SymbolError where it stops making sense; `found` holds what came before. */
export function readAranges(bytes: Uint8Array, found: ArangeEntry[]): void {
  const r = new Reader(bytes, 0, bytes.length, '.debug_aranges');
  while (!r.done) {
    const start = r.pos;
    const { length, offsetSize } = r.initialLength();
    const end = r.pos + length;
    if (end > r.end) r.fail();
    const version = r.u16();
    const unitOffset = r.offset(offsetSize);
    const addressSize = r.u8();
    const segmentSize = r.u8();
    if (version === 2 && (addressSize === 4 || addressSize === 8) && segmentSize === 0) {
      const tuple = 2 * addressSize;
      r.pos = start + Math.ceil((r.pos - start) / tuple) * tuple;
      while (r.pos + tuple <= end) {
        const low = r.unsigned(addressSize);
        const size = r.unsigned(addressSize);
        if (low === 0 && size === 0) break;
        if (size > 0 && low + size <= 0x1_0000_0000) found.push({ low, high: low + size, unitOffset });
      }
    }
    r.pos = end;
  }
}
