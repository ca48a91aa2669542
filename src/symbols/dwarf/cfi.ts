// Call frame information (.debug_frame and .eh_frame): for any instruction, how to find the caller's registers.
// The sections hold tables in the form of small programs (DWARF 5 section 6.4); `rowAt` runs the one for a pc up to that pc.
// It leaves out reading registers and memory by the row's rules (unwind.ts).

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import type { DebugFile } from './die';

/** How to get a register of the caller. Offsets are bytes from the CFA. */
export type RegisterRule =
  | { kind: 'undefined' }
  | { kind: 'same' }
  | { kind: 'offset'; offset: number }
  | { kind: 'value-offset'; offset: number }
  | { kind: 'register'; register: number }
  | { kind: 'expression'; bytes: Uint8Array }
  | { kind: 'value-expression'; bytes: Uint8Array };

export type CfaRule = { kind: 'register'; register: number; offset: number } | { kind: 'expression'; bytes: Uint8Array };

/** The row of the table for [low, high). Registers without a rule: see unwind.ts. */
export interface UnwindRow {
  low: number;
  high: number;
  cfa: CfaRule;
  rules: ReadonlyMap<number, RegisterRule>;
  /** The register whose rule gives the return address: 8 on i386. */
  returnAddress: number;
  /** The frame was interrupted rather than called: the caller's pc is exact, not after a call. */
  signalFrame: boolean;
  section: '.debug_frame' | '.eh_frame';
}

interface Cie {
  codeAlignment: number;
  dataAlignment: number;
  returnAddress: number;
  encoding: number;
  hasAugmentation: boolean;
  signalFrame: boolean;
  addressSize: number;
  start: number;
  end: number;
}
interface Fde {
  low: number;
  high: number;
  cie: number;
  /** Offset of what follows the address range, and end, in the section. */
  start: number;
  end: number;
}
interface State {
  cfa: CfaRule | undefined;
  rules: Map<number, RegisterRule>;
}

const REMEMBER_LIMIT = 64;

/** The table of one section. */
class FrameSection {
  private readonly bytes: Uint8Array;
  private readonly fdes: Fde[] = [];
  private readonly cies = new Map<number, Cie | undefined>();

  constructor(
    private readonly dwarf: DebugFile,
    private readonly name: UnwindRow['section'],
  ) {
    this.bytes = dwarf.section(name);
    dwarf.problems.guard(undefined, () => this.index());
    this.fdes.sort((a, b) => a.low - b.low);
  }

  private get isEh(): boolean {
    return this.name === '.eh_frame';
  }

  /** Lists the FDEs; their programs are left alone. */
  private index(): void {
    const r = new Reader(this.bytes, 0, this.bytes.length, this.name);
    while (!r.done) {
      const { length, offsetSize } = r.initialLength();
      if (length === 0) {
        if (this.isEh) return; // the terminator
        continue;
      }
      const idAt = r.pos;
      const end = idAt + length;
      if (end > r.end) r.fail();
      const id = r.offset(offsetSize);
      const isCie = this.isEh ? id === 0 : offsetSize === 4 ? id === 0xffffffff : id === Number.MAX_SAFE_INTEGER;
      if (!isCie) this.dwarf.problems.guard(undefined, () => this.indexFde(r.pos, end, this.isEh ? idAt - id : id));
      r.pos = end;
    }
  }

  private indexFde(at: number, end: number, cieOffset: number): void {
    const cie = this.cie(cieOffset);
    if (!cie) return;
    const r = new Reader(this.bytes, at, end, this.name);
    const low = this.pointer(r, cie.encoding, cie.addressSize);
    const size = this.pointer(r, cie.encoding & 0x0f, cie.addressSize);
    if (size > 0 && this.dwarf.source.isCode(low)) this.fdes.push({ low, high: low + size, cie: cieOffset, start: r.pos, end });
  }

  private cie(offset: number): Cie | undefined {
    if (this.cies.has(offset)) return this.cies.get(offset);
    const cie = this.dwarf.problems.guard(undefined, () => this.readCie(offset));
    this.cies.set(offset, cie);
    return cie;
  }

  private readCie(offset: number): Cie {
    const r = new Reader(this.bytes, offset, this.bytes.length, this.name);
    const { length, offsetSize } = r.initialLength();
    const end = r.pos + length;
    if (end > r.end) r.fail();
    r.end = end;
    const id = r.offset(offsetSize);
    if (this.isEh ? id !== 0 : offsetSize === 4 ? id !== 0xffffffff : id !== Number.MAX_SAFE_INTEGER) r.fail();
    const version = r.u8();
    if (version !== 1 && version !== 3 && version !== 4) {
      throw new SymbolError(`${this.name} has an entry of version ${version}, which is not known: build the file again.`);
    }
    const augmentation = r.cstring();
    let addressSize = 4;
    if (version >= 4) {
      addressSize = r.u8();
      r.skip(1);
    }
    if (augmentation === 'eh') r.skip(addressSize);
    const codeAlignment = r.uleb();
    const dataAlignment = r.sleb();
    const returnAddress = version === 1 ? r.u8() : r.uleb();
    let encoding = 0;
    let signalFrame = false;
    const hasAugmentation = augmentation.startsWith('z');
    if (hasAugmentation) {
      const length = r.uleb();
      const after = r.pos + length;
      for (const letter of augmentation.slice(1)) {
        if (letter === 'R') encoding = r.u8();
        else if (letter === 'L') r.skip(1);
        else if (letter === 'P') this.pointer(r, r.u8() & 0x7f, addressSize);
        else if (letter === 'S') signalFrame = true;
        else if (letter !== 'B') break;
      }
      if (after > end) r.fail();
      r.pos = after;
    }
    return { codeAlignment, dataAlignment, returnAddress, encoding, hasAugmentation, signalFrame, addressSize, start: r.pos, end };
  }

  /** A pointer in one of the DW_EH_PE encodings (Linux Standard Base, "DWARF Exception Header Encoding"). */
  private pointer(r: Reader, encoding: number, addressSize: number): number {
    if (encoding === 0xff) return 0;
    const place = (this.dwarf.source.sectionAddress(this.name) ?? 0) + r.pos;
    const form = encoding & 0x0f;
    let value: number;
    if (form === 0x0) value = r.unsigned(addressSize);
    else if (form === 0x1) value = r.uleb();
    else if (form === 0x9) value = r.sleb();
    else if (form === 0x2) value = r.u16();
    else if (form === 0xa) value = (r.u16() << 16) >> 16;
    else if (form === 0x3) value = r.u32();
    else if (form === 0xb) value = r.u32() | 0;
    else if (form === 0x4 || form === 0xc) value = Number(BigInt.asUintN(32, r.u64()));
    else
      throw new SymbolError(`${this.name} has a pointer of encoding 0x${encoding.toString(16)}, which is not known: build the file again.`);
    const base = encoding & 0x70;
    if (base === 0x10) value += place;
    else if (base === 0x30) value += this.dwarf.source.sectionAddress('.got') ?? 0;
    return value >>> 0;
  }

  rowAt(pc: number): UnwindRow | undefined {
    let low = 0;
    let high = this.fdes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.fdes[middle]!.low <= pc) low = middle + 1;
      else high = middle;
    }
    const fde = this.fdes[low - 1];
    return fde && pc < fde.high ? this.dwarf.problems.guard(undefined, () => this.run(fde, pc)) : undefined;
  }

  private run(fde: Fde, pc: number): UnwindRow | undefined {
    const cie = this.cie(fde.cie)!;
    const state: State = { cfa: undefined, rules: new Map() };
    this.execute(new Reader(this.bytes, cie.start, cie.end, this.name), cie, state, undefined, 0, Number.POSITIVE_INFINITY);
    const initial = new Map(state.rules);
    const r = new Reader(this.bytes, fde.start, fde.end, this.name);
    if (cie.hasAugmentation) r.skip(r.uleb());
    const { low, high } = this.execute(r, cie, state, initial, fde.low, pc);
    if (!state.cfa) return undefined;
    return {
      low,
      high: Math.min(high, fde.high),
      cfa: state.cfa,
      rules: state.rules,
      returnAddress: cie.returnAddress,
      signalFrame: cie.signalFrame,
      section: this.name,
    };
  }

  /** Runs instructions until the table's location passes `pc`. @returns the addresses for which the state then holds. */
  private execute(
    r: Reader,
    cie: Cie,
    state: State,
    initial: ReadonlyMap<number, RegisterRule> | undefined,
    start: number,
    pc: number,
  ): { low: number; high: number } {
    const remembered: State[] = [];
    let low = start;
    const set = (register: number, rule: RegisterRule) => state.rules.set(register, rule);
    const restore = (register: number) => {
      const rule = initial?.get(register);
      if (rule) state.rules.set(register, rule);
      else state.rules.delete(register);
    };
    const cfaOffset = (offset: number) => {
      if (state.cfa?.kind !== 'register') throw new SymbolError(`${this.name} moves a CFA that it has not set: build the file again.`);
      state.cfa = { ...state.cfa, offset };
    };
    while (!r.done) {
      const byte = r.u8();
      const low6 = byte & 0x3f;
      let next: number | undefined;
      switch (byte >> 6) {
        case 1:
          next = low + low6 * cie.codeAlignment;
          break;
        case 2:
          set(low6, { kind: 'offset', offset: r.uleb() * cie.dataAlignment });
          continue;
        case 3:
          restore(low6);
          continue;
      }
      if (next === undefined) {
        switch (byte) {
          case 0x00: // nop
            continue;
          case 0x01: // set_loc
            next = this.pointer(r, cie.encoding, cie.addressSize);
            break;
          case 0x02:
            next = low + r.u8() * cie.codeAlignment;
            break;
          case 0x03:
            next = low + r.u16() * cie.codeAlignment;
            break;
          case 0x04:
            next = low + r.u32() * cie.codeAlignment;
            break;
          case 0x05: // offset_extended
            set(r.uleb(), { kind: 'offset', offset: r.uleb() * cie.dataAlignment });
            continue;
          case 0x06: // restore_extended
            restore(r.uleb());
            continue;
          case 0x07:
            set(r.uleb(), { kind: 'undefined' });
            continue;
          case 0x08:
            set(r.uleb(), { kind: 'same' });
            continue;
          case 0x09:
            set(r.uleb(), { kind: 'register', register: r.uleb() });
            continue;
          case 0x0a: // remember_state
            if (remembered.length >= REMEMBER_LIMIT) r.fail();
            remembered.push({ cfa: state.cfa, rules: new Map(state.rules) });
            continue;
          case 0x0b: {
            const old = remembered.pop();
            if (!old) r.fail();
            state.cfa = old.cfa;
            state.rules = old.rules;
            continue;
          }
          case 0x0c: // def_cfa
            state.cfa = { kind: 'register', register: r.uleb(), offset: r.uleb() };
            continue;
          case 0x0d: // def_cfa_register
            state.cfa = { kind: 'register', register: r.uleb(), offset: state.cfa?.kind === 'register' ? state.cfa.offset : 0 };
            continue;
          case 0x0e:
            cfaOffset(r.uleb());
            continue;
          case 0x0f:
            state.cfa = { kind: 'expression', bytes: r.block(r.uleb()) };
            continue;
          case 0x10: {
            const register = r.uleb();
            set(register, { kind: 'expression', bytes: r.block(r.uleb()) });
            continue;
          }
          case 0x11: // offset_extended_sf
            set(r.uleb(), { kind: 'offset', offset: r.sleb() * cie.dataAlignment });
            continue;
          case 0x12: // def_cfa_sf
            state.cfa = { kind: 'register', register: r.uleb(), offset: r.sleb() * cie.dataAlignment };
            continue;
          case 0x13:
            cfaOffset(r.sleb() * cie.dataAlignment);
            continue;
          case 0x14: // val_offset
            set(r.uleb(), { kind: 'value-offset', offset: r.uleb() * cie.dataAlignment });
            continue;
          case 0x15:
            set(r.uleb(), { kind: 'value-offset', offset: r.sleb() * cie.dataAlignment });
            continue;
          case 0x16: {
            const register = r.uleb();
            set(register, { kind: 'value-expression', bytes: r.block(r.uleb()) });
            continue;
          }
          case 0x2d: // GNU_window_save: other processors only
            continue;
          case 0x2e: // GNU_args_size
            r.uleb();
            continue;
          case 0x2f: // GNU_negative_offset_extended
            set(r.uleb(), { kind: 'offset', offset: -r.uleb() * cie.dataAlignment });
            continue;
          default:
            throw new SymbolError(`${this.name} uses an unknown instruction 0x${byte.toString(16)}: build the file again.`);
        }
      }
      if (next > pc) return { low, high: next };
      low = next;
    }
    return { low, high: Number.POSITIVE_INFINITY };
  }
}

/** Both sections of a file; .debug_frame is asked first since it says more. */
export class FrameTable {
  private readonly sections: FrameSection[];

  constructor(dwarf: DebugFile) {
    this.sections = (['.debug_frame', '.eh_frame'] as const)
      .filter((name) => dwarf.section(name).length > 0)
      .map((name) => new FrameSection(dwarf, name));
  }

  /** The row for a link-time address, or undefined when nothing describes it. */
  rowAt(pc: number): UnwindRow | undefined {
    for (const section of this.sections) {
      const row = section.rowAt(pc);
      if (row) return row;
    }
    return undefined;
  }
}
