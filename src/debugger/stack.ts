// The call chain at a stop: from call frame information, else by frame pointers, and through traps by the trap record.
//
// A frame that the Host or the processor pushed is recognised by its address and its words, which the record holds; there the chain goes on with the code that was
// interrupted. What cannot be followed ends the chain; no frame is made up. What it leaves out: values of variables (frame-environment.ts).

import type { GuestRegister } from '../lguest/context';
import type { TrapRecord } from '../lguest/trap-record';
import type { Frame as SymbolFrame } from '../symbols/dwarf/frame';
import { boundaryText } from './explain';
import type { Programs } from './programs';
import { hex8, type Target } from './target';

/** How a frame was found. */
export type Method = 'exact' | 'call frame information' | 'frame pointer' | 'trap record';

export interface Frame {
  kind: 'code' | 'boundary' | 'note';
  name: string;
  pc: number;
  /** By DWARF number, 0 to 8 (eax ecx edx ebx esp ebp esi edi eip); undefined: not recoverable. */
  registers: (number | undefined)[];
  method: Method;
  file: string | undefined;
  line: number | undefined;
  column: number | undefined;
  /** Position in the chain of inlined functions at the same pc, 0 innermost. */
  inlineDepth: number;
  /** pc is a return address. */
  afterCall: boolean;
  record: TrapRecord | undefined;
  /** Ring of the code, when known. */
  cpl: number | undefined;
}

export const DWARF_REGISTERS: readonly GuestRegister[] = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip'];
const ESP = 4;
const EBP = 5;
const EIP = 8;
const MOST_FRAMES = 256;
const RECORDS_LOOKED_AT = 4000;
/** A trap frame that far above the stack pointer belongs to something else. */
const REACH = 0x4000;

interface Cursor {
  registers: (number | undefined)[];
  method: Method;
  afterCall: boolean;
  cpl: number | undefined;
}

/** Trap frames that are still on some stack, lowest address first. */
const liveFrames = (target: Target): TrapRecord[] => {
  const { records } = target;
  const found = new Map<number, TrapRecord>();
  for (let k = records.count - 1; k >= Math.max(records.first, records.count - RECORDS_LOOKED_AT); k--) {
    const r = records.get(k);
    if (r?.frame === undefined || found.has(r.frame.at) || r.outcome === 'killed') continue;
    const { at, words } = r.frame;
    const same = words.every(
      (w, i) => (w.name !== 'eip' && w.name !== 'cs') || target.read32(at + 4 * (words.length - 1 - i)) === w.value >>> 0,
    );
    if (same) found.set(at, r);
  }
  return [...found.values()].sort((a, b) => (a.frame?.at ?? 0) - (b.frame?.at ?? 0));
};

export class Stack {
  readonly frames: Frame[] = [];
  private cursor: Cursor | undefined;
  private live: TrapRecord[] | undefined;
  private done = false;

  /** @param pending the trap that is decided and not yet applied: it stands above the faulting instruction. */
  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
    pending?: TrapRecord,
  ) {
    const registers = DWARF_REGISTERS.map((name) => (name === 'eip' ? target.pc : target.register(name)));
    this.cursor = { registers, method: 'exact', afterCall: false, cpl: target.register('cs') & 3 };
    if (pending !== undefined) this.boundary(pending);
  }

  /** The frame that the processor is in, without its name and line: enough for conditions, and cheap. */
  static here(target: Target): Frame {
    const registers = DWARF_REGISTERS.map((name) => (name === 'eip' ? target.pc : target.register(name)));
    return {
      kind: 'code',
      name: '',
      pc: target.pc,
      registers,
      method: 'exact',
      file: undefined,
      line: undefined,
      column: undefined,
      inlineDepth: 0,
      afterCall: false,
      record: undefined,
      cpl: target.register('cs') & 3,
    };
  }

  /** Makes at least so many frames, if there are that many. */
  need(count: number): void {
    while (!this.done && this.frames.length < count) this.next();
  }
  get complete(): boolean {
    return this.done;
  }

  private boundary(record: TrapRecord): void {
    this.frames.push({
      kind: 'boundary',
      name: boundaryText(record),
      pc: record.eip,
      registers: [],
      method: 'trap record',
      file: undefined,
      line: undefined,
      column: undefined,
      inlineDepth: 0,
      afterCall: false,
      record,
      cpl: undefined,
    });
  }
  private note(text: string): void {
    this.frames.push({
      kind: 'note',
      name: text,
      pc: 0,
      registers: [],
      method: 'exact',
      file: undefined,
      line: undefined,
      column: undefined,
      inlineDepth: 0,
      afterCall: false,
      record: undefined,
      cpl: undefined,
    });
  }

  private next(): void {
    const { cursor } = this;
    if (cursor === undefined || this.frames.length >= MOST_FRAMES) {
      this.done = true;
      return;
    }
    this.push(cursor);
    this.cursor = this.up(cursor);
    if (this.cursor === undefined) this.done = true;
  }

  private push(c: Cursor): void {
    const pc = c.registers[EIP] ?? 0;
    const look = c.afterCall ? pc - 1 : pc;
    const chain = this.programs.inlineChain(look);
    const base = {
      kind: 'code' as const,
      pc,
      registers: c.registers,
      method: c.method,
      afterCall: c.afterCall,
      record: undefined,
      cpl: c.cpl,
    };
    if (chain.length === 0) {
      const name = this.programs.nameOf(pc) ?? hex8(pc);
      this.frames.push({
        ...base,
        name: c.cpl === 3 ? `${name} (user)` : name,
        file: undefined,
        line: undefined,
        column: undefined,
        inlineDepth: 0,
      });
      return;
    }
    chain.forEach((f, inlineDepth) => {
      this.frames.push({
        ...base,
        name: f.inlined ? `${f.name} (inlined)` : f.name,
        file: f.file,
        line: f.line,
        column: f.column,
        inlineDepth,
      });
    });
  }

  private up(c: Cursor): Cursor | undefined {
    const esp = c.registers[ESP];
    if (esp === undefined) return undefined;
    const plain = this.byRules(c) ?? this.byPrologue(c);
    this.live ??= liveFrames(this.target);
    const trap = this.live.find((r) => r.frame !== undefined && r.frame.at >= esp && r.frame.at - esp < REACH);
    if (trap?.frame !== undefined) {
      const cfa = plain?.cfa;
      if (plain === undefined || cfa === undefined || plain.signalFrame || cfa > trap.frame.at || cfa < esp) {
        this.boundary(trap);
        const exact = plain?.signalFrame === true && plain.registers[EIP] === trap.eip;
        const registers = exact && plain !== undefined ? [...plain.registers] : this.kept(c, plain);
        registers[ESP] = trap.esp;
        registers[EIP] = trap.eip;
        this.live = this.live.filter((r) => r !== trap && (r.frame?.at ?? 0) !== trap.frame?.at && r.k < trap.k);
        return { registers, method: 'trap record', afterCall: false, cpl: trap.cpl };
      }
    }
    if (plain === undefined) {
      if (c.cpl === 3) this.note('(user stack not followed: no symbols)');
      return undefined;
    }
    const pc = plain.registers[EIP];
    if (pc === undefined || pc === 0 || plain.cfa <= esp - 4 || this.target.locate(pc) < 0) return undefined;
    if (this.programs.list.length > 0 && this.programs.nameOf(pc) === undefined && c.cpl !== 3) return undefined;
    return { registers: plain.registers, method: plain.method, afterCall: !plain.signalFrame, cpl: c.cpl };
  }

  /** What a trap leaves as it was, as far as the handler's first instructions tell: only at its very entry. */
  private kept(c: Cursor, plain: { registers: (number | undefined)[] } | undefined): (number | undefined)[] {
    const symbol = this.programs.symbolAt(c.registers[EIP] ?? 0);
    if (symbol?.offset === 0) return [...c.registers];
    const registers: (number | undefined)[] = new Array(9).fill(undefined);
    registers[EBP] = plain?.registers[EBP] ?? c.registers[EBP];
    return registers;
  }

  /** The symbols' view of a cursor. */
  symbolFrame(c: Pick<Frame, 'pc' | 'afterCall' | 'registers'>, bias: number): SymbolFrame {
    return {
      pc: c.pc,
      afterCall: c.afterCall,
      bias,
      register: (n) => c.registers[n],
      readMemory: (address, size) => {
        const bytes = this.target.read(address >>> 0, size);
        return bytes.length === size ? bytes : undefined;
      },
    };
  }

  private byRules(c: Cursor): { registers: (number | undefined)[]; cfa: number; signalFrame: boolean; method: Method } | undefined {
    const pc = c.registers[EIP] ?? 0;
    const at = this.programs.linked(c.afterCall ? pc - 1 : pc);
    if (at?.program.symbols === undefined) return undefined;
    const found = at.program.symbols.unwindFrame(this.symbolFrame({ pc, afterCall: c.afterCall, registers: c.registers }, at.bias));
    if (found === undefined) return undefined;
    return { registers: found.registers, cfa: found.cfa, signalFrame: found.signalFrame, method: 'call frame information' };
  }

  /** push %ebp; mov %esp,%ebp: where in it are we? Else the frame pointer as it stands. */
  private byPrologue(c: Cursor): { registers: (number | undefined)[]; cfa: number; signalFrame: boolean; method: Method } | undefined {
    const pc = c.registers[EIP] ?? 0;
    const esp = c.registers[ESP] ?? 0;
    const ebp = c.registers[EBP];
    const symbol = this.programs.symbolAt(pc);
    const caller = (cfa: number, newEbp: number | undefined): ReturnType<Stack['byPrologue']> => {
      const back = this.target.read32(cfa - 4);
      if (back === undefined) return undefined;
      const registers: (number | undefined)[] = new Array(9).fill(undefined);
      registers[ESP] = cfa >>> 0;
      registers[EBP] = newEbp;
      registers[EIP] = back;
      return { registers, cfa: cfa >>> 0, signalFrame: false, method: 'frame pointer' };
    };
    if (symbol !== undefined && symbol.kind === 'function' && !c.afterCall) {
      if (symbol.offset === 0) return caller(esp + 4, ebp);
      if (symbol.offset === 1 && this.target.read(pc - 1, 1)[0] === 0x55) return caller(esp + 8, ebp);
    }
    if (ebp === undefined || ebp < esp || ebp - esp > 0x10000) return undefined;
    const saved = this.target.read32(ebp);
    if (saved === undefined) return undefined;
    const found = caller(ebp + 8, saved);
    const back = found?.registers[EIP];
    return back !== undefined && this.programs.nameOf(back) !== undefined ? found : undefined;
  }
}
