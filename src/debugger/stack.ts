// The call chain at a stop: from call frame information, which the calls that the processor noted confirm; else by those, by frame pointers, by return addresses on the
// stack; and through traps by the trap record.
//
// A frame that the Host or the processor pushed is recognised by its address and its words, which the record holds; there the chain goes on with the code that was
// interrupted. What cannot be followed ends the chain; no frame is made up. What it leaves out: values of variables (frame-environment.ts).

import { PAGE, RAM_BASE } from '../i386/state';
import { LHCALL } from '../lguest/abi';
import type { GuestRegister } from '../lguest/context';
import type { Host } from '../lguest/host';
import type { TrapRecord } from '../lguest/trap-record';
import type { Frame as SymbolFrame } from '../symbols/dwarf/frame';
import { explain } from '../lguest/explain';
import { boundaryText } from './explain';
import type { Programs } from './programs';
import { switcherPlace } from './switcher-place';
import type { Decision } from './trap-steps';
import { hex8, LINEAR, placeText, segmentedText, type Space, type Target } from './target';
import type { SavedContext, Task, Tasks } from './tasks';

/** How a frame was found. */
export type Method =
  | 'exact'
  | 'shadow stack'
  | 'call frame information'
  | 'frame pointer'
  | 'trap record'
  | 'trap frame'
  | 'saved by the switch'
  | 'scan';

export interface Frame {
  /** decision: what the Host asks about a trap that is not yet applied. host: what it asked on the way to the boundary above. */
  kind: 'code' | 'boundary' | 'note' | 'decision' | 'host';
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
  /** Of a frame of the Host: the decision that it stands for. */
  decision?: Decision;
  /** Ring of the code, when known. */
  cpl: number | undefined;
  /** Set when this is not a frame of what the processor runs: where its addresses and names count. */
  view?: FrameView;
}
/** Of a frame that is no code at work. */
const NO_CODE = {
  pc: 0,
  registers: [],
  file: undefined,
  line: undefined,
  column: undefined,
  inlineDepth: 0,
  afterCall: false,
  cpl: undefined,
};

/** The address space and names of another task. */
export interface FrameView {
  programs: Programs;
  space: Space;
  stack: Stack;
  task: Task;
}

export interface StackOptions {
  /** The user walks the Host's decisions. */
  decision?: Decision | undefined;
  /** Behind each boundary stand the Host's functions that decided about it. */
  hostFrames?: boolean;
  /** Knows the words of trap frames, so that the chain goes on where no trap record is kept any more. */
  tasks?: Tasks;
  /** A task that is not on the processor: the chain begins at what its switch kept. */
  sleeping?: { task: Task; saved: SavedContext; space: Space };
}

export const DWARF_REGISTERS: readonly GuestRegister[] = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip'];
const ESP = 4;
const EBP = 5;
const EIP = 8;
const MOST_FRAMES = 256;
const RECORDS_LOOKED_AT = 4000;
/** Bytes of stack looked through for a return address. */
const SCANNED = 0x1000;
/** A trap frame that far above the stack pointer belongs to something else. */
const REACH = 0x4000;

/** Frames of one kernel stack of 8 KB lie in one piece of memory of that size. */
const STACK_BITS = 13;
/** B of a stack segment, in the access bits: ESP counts whole. */
const STACK_BIG = 1 << 14;

/** One step towards the caller. */
interface Step {
  registers: (number | undefined)[];
  cfa: number;
  signalFrame: boolean;
  method: Method;
  /** The caller is 16-bit code. */
  narrow?: Narrow;
  /** A trap frame by call frame information: where its pt_regs begins. */
  frameAt?: number;
}

/** Of 16-bit code: its segment, and where the stack segment begins. ESP of such a frame is an offset in that. */
interface Narrow {
  cs: number;
  base: number;
  stack: number;
  /** Only SP counts. */
  small: boolean;
}

interface Cursor {
  narrow?: Narrow;
  registers: (number | undefined)[];
  method: Method;
  afterCall: boolean;
  cpl: number | undefined;
}

/** Where a forked task begins, with the registers of its parent's trap on its stack. */
const TASK_BEGINS = 'ret_from_fork';
/** Where a user program begins: nobody calls it. */
const PROGRAM_BEGINS = '_start';
/** Where a rule of call frame information says that the caller's place was saved. */
const EIP_RULE = 'offset';

/**
 * Trap frames that are still on some stack, lowest address first. A frame is there while memory holds its words. A Host knows of each IRET: a frame that it popped is gone,
 * whatever its words; one that it did not is there also when its handler has overwritten them, unless the stack was left since: a later trap came above it, or the Guest
 * went to another task's stack and back.
 */
const liveFrames = (target: Target): TrapRecord[] => {
  const { records } = target;
  const found: TrapRecord[] = [];
  const seen = new Set<number>();
  const highest = new Map<number, number>();
  for (let k = records.count - 1; k >= Math.max(records.first, records.count - RECORDS_LOOKED_AT); k--) {
    const r = records.get(k);
    if (r?.hypercall?.number === LHCALL.SET_STACK) highest.set((r.hypercall.args[1] - 1) >>> STACK_BITS, 0xffffffff);
    if (r?.frame === undefined || seen.has(r.frame.at) || r.outcome === 'killed') continue;
    const { at, words } = r.frame;
    seen.add(at);
    const stack = at >>> STACK_BITS;
    const left = (highest.get(stack) ?? 0) > at;
    if (!left) highest.set(stack, at);
    const popped = target.host !== undefined && r.instructions !== undefined;
    const atWork = target.host !== undefined && !left;
    const same = words.every(
      (w, i) => (w.name !== 'eip' && w.name !== 'cs') || target.read32(at + 4 * (words.length - 1 - i)) === w.value >>> 0,
    );
    if (popped || (!same && !atWork)) continue;
    // The words of a younger frame are not those of an older one, even if what both have in common looks right.
    const below = at + 4 * words.length;
    if (found.some((f) => f.frame !== undefined && f.frame.at < below && at < f.frame.at + 4 * f.frame.words.length)) continue;
    found.push(r);
  }
  return found.sort((a, b) => (a.frame?.at ?? 0) - (b.frame?.at ?? 0));
};

/** The functions of the Host that decided about a trap, innermost first, each with its last decision. Traps that go direct have none. */
export const hostFrames = (record: TrapRecord): Frame[] => {
  const steps = explain(record);
  const frames: Frame[] = [];
  for (let index = steps.length - 1; index >= 0; index--) {
    const { fn, condition, taken } = steps[index];
    // What is set up beforehand, or done by the processor, is no function at work.
    if (record.kind === 'direct' || steps[index + 1]?.fn === fn) continue;
    const decision = { record, steps, index };
    frames.push({ ...NO_CODE, kind: 'host', name: `${fn}: ${condition} → ${taken}`, method: 'trap record', record, decision });
  }
  return frames;
};

export class Stack {
  readonly frames: Frame[] = [];
  private cursor: Cursor | undefined;
  private live: TrapRecord[] | undefined;
  private done = false;
  /** `f000:fff0` of the code at hand, when that is not its linear address. */
  private readonly segmented: string | undefined;
  private readonly space: Space = LINEAR;
  private readonly view: FrameView | undefined;

  /** @param pending the trap that is decided and not yet applied: it stands above the faulting instruction. */
  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
    pending?: TrapRecord,
    private readonly options: StackOptions = {},
  ) {
    const { sleeping } = options;
    if (sleeping !== undefined) {
      this.space = sleeping.space;
      this.view = { programs, space: sleeping.space, stack: this, task: sleeping.task };
      this.cursor = {
        registers: sleeping.saved.registers,
        method: 'saved by the switch',
        afterCall: sleeping.saved.afterCall,
        cpl: target.host === undefined ? 0 : 1,
      };
      return;
    }
    const registers = DWARF_REGISTERS.map((name) => (name === 'eip' ? target.pc : target.register(name)));
    this.segmented = segmentedText(target, target.pc);
    this.cursor = { registers, method: 'exact', afterCall: false, cpl: target.register('cs') & 3 };
    if (target.codeBits === 16) {
      const small = (target.segment('ss').access & STACK_BIG) === 0;
      this.cursor.narrow = { cs: target.register('cs'), base: target.segmentBase('cs'), stack: target.segmentBase('ss'), small };
    }
    if (target.host?.inSwitcher) this.switcher(target.host, registers);
    const { decision } = options;
    if (decision !== undefined) {
      const step = decision.steps[decision.index];
      this.note(`Host: ${step?.fn ?? ''}: ${step?.condition ?? ''} → ${step?.taken ?? ''}`);
      this.frames[0] = { ...this.frames[0], kind: 'decision', record: decision.record, decision };
    }
    if (pending !== undefined) this.boundary(pending);
  }

  /** The Switcher's frame; below it the Guest as it is saved. */
  private switcher(host: Host, registers: (number | undefined)[]): void {
    const place = switcherPlace(host);
    this.note(place);
    this.frames[0] = { ...this.frames[0], kind: 'code', pc: registers[EIP] ?? 0, registers, cpl: 0 };
    this.note(`── in the Switcher; the Guest as its registers are saved ──`);
    this.cursor = {
      registers: DWARF_REGISTERS.map((name) => host.context.get(name)),
      method: 'exact',
      afterCall: false,
      cpl: host.context.get('cs') & 3,
    };
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
    this.label('boundary', boundaryText(record), record.eip, 'trap record', record);
    if (this.options.hostFrames) for (const frame of hostFrames(record)) this.frames.push({ ...frame, ...this.seen });
  }
  private note(text: string): void {
    this.label('note', text, 0, 'exact', undefined);
  }
  private label(kind: 'boundary' | 'note', name: string, pc: number, method: Method, record: TrapRecord | undefined): void {
    this.frames.push({ ...NO_CODE, kind, name, pc, method, record, ...this.seen });
  }
  private get seen(): { view?: FrameView } {
    return this.view === undefined ? {} : { view: this.view };
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
      ...this.seen,
    };
    const { narrow } = c;
    const place = c.method === 'exact' ? this.segmented : narrow && placeText(narrow.cs, (pc - narrow.base) >>> 0);
    const where = place === undefined ? '' : ` (${place})`;
    if (chain.length === 0) {
      const name = `${this.programs.nameOf(pc, c.afterCall) ?? hex8(pc)}${c.method === 'scan' ? ' ?' : ''}${where}`;
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
        name: `${f.name}${f.inlined ? ' (inlined)' : ''}${c.method === 'scan' ? ' ?' : ''}${where}`,
        file: f.file,
        line: f.line,
        column: f.column,
        inlineDepth,
      });
    });
  }

  private up(c: Cursor): Cursor | undefined {
    const offset = c.registers[ESP];
    if (offset === undefined) return undefined;
    const { narrow } = c;
    const esp = narrow === undefined ? offset : (narrow.stack + (narrow.small ? offset & 0xffff : offset)) >>> 0;
    const { sleeping } = this.options;
    if (sleeping?.saved.fresh && c.method === 'saved by the switch') return this.byTrapFrame(esp, 'has not run yet');
    const here = c.afterCall ? undefined : this.programs.symbolAt(c.registers[EIP] ?? 0);
    const begins = here?.name === TASK_BEGINS && here.offset === 0 ? this.byTrapFrame(esp, undefined) : undefined;
    if (begins !== undefined) return begins;
    // In 16-bit code a return address has two bytes or four, and only the noted calls tell where they lie.
    const plain =
      narrow !== undefined ? this.byNarrowCalls(esp, narrow) : (this.byCalls(c, this.byRules(c) ?? this.byPrologue(c)) ?? this.byScan(c));
    this.live ??= liveFrames(this.target);
    const trap = this.live.find(
      (r) => r.frame !== undefined && r.frame.at >= esp && r.frame.at - esp < REACH && this.sameStack(r.frame.at, esp),
    );
    if (trap?.frame !== undefined) {
      const cfa = plain?.cfa;
      if (plain === undefined || cfa === undefined || plain.signalFrame || cfa > trap.frame.at || cfa < esp) {
        this.boundary(trap);
        const exact = plain?.signalFrame === true && plain.registers[EIP] === trap.eip;
        const registers = exact && plain !== undefined ? [...plain.registers] : (this.saved(c, trap) ?? this.kept(c, plain));
        registers[ESP] = trap.esp;
        registers[EIP] = trap.eip;
        const base = narrow === undefined ? undefined : this.target.selectorBase(trap.cs);
        if (narrow !== undefined && base !== undefined) registers[EIP] = (base + trap.eip) >>> 0;
        const inside = narrow === undefined || base === undefined ? {} : { narrow: { ...narrow, cs: trap.cs, base } };
        this.live = this.live.filter((r) => r !== trap && (r.frame?.at ?? 0) !== trap.frame?.at && r.k < trap.k);
        return { registers, method: 'trap record', afterCall: false, cpl: trap.cpl, ...inside };
      }
    }
    if (plain === undefined) {
      const known = this.programs.symbolAt((c.registers[EIP] ?? 0) - (c.afterCall ? 1 : 0));
      if (c.cpl === 3 && known?.name !== PROGRAM_BEGINS)
        this.note(`(user stack not followed: no ${known === undefined ? 'symbols' : 'call frame information'})`);
      return undefined;
    }
    if (plain.signalFrame) {
      const found = plain.frameAt === undefined ? undefined : this.byTrapFrame(plain.frameAt, undefined, plain.registers);
      if (found !== undefined) return found;
    }
    const pc = plain.registers[EIP];
    if (pc === undefined || pc === 0) return undefined;
    // Behind the call of a function that never returns the next one may begin, or nothing. A place that was pushed by hand is no call's.
    const byHand = plain.method !== 'shadow stack' && this.programs.symbolAt(pc)?.offset === 0 && !this.isBehindCall(pc);
    const afterCall = !plain.signalFrame && !byHand;
    if (plain.narrow !== undefined)
      return { registers: plain.registers, method: plain.method, afterCall: true, cpl: c.cpl, narrow: plain.narrow };
    if (plain.cfa <= esp - 4 || this.target.locate(afterCall ? pc - 1 : pc, this.space) < 0) return undefined;
    if (c.cpl !== 3 && !this.isNamed(pc, afterCall)) return undefined;
    return { registers: plain.registers, method: plain.method, afterCall, cpl: c.cpl };
  }

  /** Whether a place can be a kernel's: it has a name, unless there are none. */
  private isNamed(pc: number | undefined, afterCall: boolean): boolean {
    return this.programs.list.length === 0 || (pc !== undefined && this.programs.nameOf(pc, afterCall) !== undefined);
  }

  /** Kernel stacks lie side by side: a frame on the neighbour's is not ours. */
  private sameStack(a: number, b: number): boolean {
    const size = this.stackSize();
    return size === 0 || ((a ^ b) & -size) === 0;
  }
  /** Bytes of a kernel stack, which begins at a multiple of them; 0 where that is not known. */
  private stackSize(): number {
    const size = this.options.tasks?.data.type('union thread_union')?.size ?? 0;
    return (size & (size - 1)) === 0 ? size : 0;
  }

  /**
   * Past a trap frame on the stack of which no record is kept. `at`: its `pt_regs`.
   * @param exact what call frame information says about the registers below, which goes first.
   */
  private byTrapFrame(at: number, why: string | undefined, exact?: (number | undefined)[]): Cursor | undefined {
    const { tasks } = this.options;
    const frame = tasks?.ptRegs(at);
    const pc = frame?.registers[EIP];
    if (tasks === undefined || frame === undefined || pc === undefined || pc === 0) return undefined;
    const cpl = frame.cs & 3;
    if (exact !== undefined && exact[EIP] !== pc) return undefined;
    const number = tasks.data.at('pt_regs', at).number('orig_eax', 'orig_ax') ?? 0xffffffff;
    const table = tasks.data.address('sys_call_table');
    const call =
      cpl === 3 && number < 512 && table !== undefined ? this.programs.nameOf(tasks.data.read32(table + 4 * number) ?? 0) : undefined;
    const what = why ?? (call === undefined ? 'trap frame' : `${call}, system call ${number}`);
    this.label('boundary', `── ${what}${cpl === 3 ? '  from user' : ''} ──`, pc, 'trap frame', undefined);
    return { registers: frame.registers, method: 'trap frame', afterCall: false, cpl };
  }

  /** What the handler has saved above what the processor pushed: a kernel's `pt_regs`, once its lowest word is on the stack and while the interrupted place is in it. */
  private saved(c: Cursor, trap: TrapRecord): (number | undefined)[] | undefined {
    const { tasks } = this.options;
    const { frame } = trap;
    const member = tasks?.data.field('pt_regs', 'eip', 'ip');
    const esp = c.registers[ESP];
    if (tasks === undefined || frame === undefined || member === undefined || esp === undefined) return undefined;
    const place = frame.at + 4 * (frame.words.length - 1 - frame.words.findIndex((w) => w.name === 'eip'));
    const at = (place - member.offset) >>> 0;
    const found = esp > at ? undefined : tasks.ptRegs(at);
    return found !== undefined && found.registers[EIP] === trap.eip >>> 0 && (found.cs & 3) === trap.cpl ? [...found.registers] : undefined;
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
        const bytes = this.target.read(address >>> 0, size, this.space);
        return bytes.length === size ? bytes : undefined;
      },
    };
  }

  private byRules(c: Cursor): Step | undefined {
    const pc = c.registers[EIP] ?? 0;
    const at = this.programs.linked(c.afterCall ? pc - 1 : pc);
    if (at?.program.symbols === undefined) return undefined;
    const found = at.program.symbols.unwindFrame(this.symbolFrame({ pc, afterCall: c.afterCall, registers: c.registers }, at.bias));
    if (found === undefined) return undefined;
    const step: Step = { registers: found.registers, cfa: found.cfa, signalFrame: found.signalFrame, method: 'call frame information' };
    const rule = found.row.rules.get(EIP);
    const member = this.options.tasks?.data.field('pt_regs', 'eip', 'ip');
    if (found.signalFrame && rule?.kind === EIP_RULE && member !== undefined)
      step.frameAt = (found.cfa + rule.offset - member.offset) >>> 0;
    return step;
  }

  /** As much of a stretch of a stack as is mapped without a gap: its end, and the index into the memory of each linear address in it. Pages are looked up once. */
  private stretch(from: number, to: number): { end: number; placeOf: (at: number) => number } {
    const first = (from & -PAGE) >>> 0;
    const pages: number[] = [];
    let end = to;
    for (let page = first; page < end; page += PAGE) {
      const place = this.target.locate(page, this.space);
      if (place >= 0) pages.push(RAM_BASE + place);
      else end = page;
    }
    return { end, placeOf: (at) => pages[(at - first) >>> 12] + (at & (PAGE - 1)) };
  }

  /**
   * The innermost return address at or above `esp` that a CALL pushed and no RET popped, by the processor's table of calls. A word is left out when a call further out
   * came later (what was below is gone then), or when it lies behind a call of the next instruction, which only asks for EIP.
   */
  private pushedCall(c: Cursor): { at: number; back: number } | undefined {
    const { calls } = this.target.processor.cpu;
    const esp = c.registers[ESP];
    if (!calls.on || esp === undefined) return undefined;
    let found: { at: number; back: number } | undefined;
    let latest = 0;
    const size = c.cpl === 3 ? 0 : this.stackSize();
    const { end, placeOf } = this.stretch(esp, Math.min(esp + REACH, 2 ** 32, size === 0 ? 2 ** 32 : ((esp & -size) >>> 0) + size));
    for (let at = esp + 4 * Math.ceil((end - esp) / 4) - 4; at >= esp; at -= 4) {
      const call = calls.at(placeOf(at));
      if (call === undefined || call.narrow || call.time < latest) continue;
      latest = call.time;
      if (this.target.read32(at, this.space) !== call.back) continue;
      const asksForEip = this.target.read(call.back - 5, 1, this.space)[0] === 0xe8 && this.target.read32(call.back - 4, this.space) === 0;
      if (!asksForEip) found = { at, back: call.back };
    }
    return found;
  }

  /** The caller of 16-bit code: the innermost noted call on its stack whose words are still there. @param top linear address of the stack's top. */
  private byNarrowCalls(top: number, narrow: Narrow): Step | undefined {
    const { calls } = this.target.processor.cpu;
    if (!calls.on) return undefined;
    const { end, placeOf } = this.stretch(top, Math.min(top + REACH, narrow.small ? narrow.stack + 0x10000 : 2 ** 32, 2 ** 32));
    let found: Step | undefined;
    let latest = 0;
    for (let at = top + 2 * Math.floor((end - top) / 2) - 2; at >= top; at -= 2) {
      const call = calls.at(placeOf(at));
      if (call === undefined || call.time < latest) continue;
      latest = call.time;
      const size = call.narrow ? 2 : 4;
      const bytes = this.target.read(at, 2 * size, this.space);
      const word = (offset: number): number => bytes[offset] | (bytes[offset + 1] << 8);
      const held = call.narrow ? word(0) : (word(0) | (word(2) << 16)) >>> 0;
      const cs = call.far ? word(size) : (call.cs ?? narrow.cs);
      if (held !== call.back || (call.cs !== undefined && cs !== call.cs)) continue;
      const base = cs === narrow.cs ? narrow.base : this.target.selectorBase(cs);
      if (base === undefined) continue;
      const registers: (number | undefined)[] = new Array(9).fill(undefined);
      const cfa = at + (call.far ? 2 * size : size);
      registers[ESP] = (cfa - narrow.stack) & (narrow.small ? 0xffff : -1);
      registers[ESP] = registers[ESP] >>> 0;
      registers[EIP] = (base + call.back) >>> 0;
      found = { registers, cfa, signalFrame: false, method: 'shadow stack', narrow: { ...narrow, cs, base } };
    }
    return found;
  }

  /**
   * What the table of calls says about a step found otherwise. Call frame information is kept, for it has the caller's registers too; the table confirms it. Where there is
   * none, or it leads to no code (inline assembly moves the stack pointer and does not say so), the table decides before frame pointers, unless these know a frame further in whose return address stands behind a call. Return addresses that were pushed by
   * hand are not in it: there the other methods hold.
   */
  private byCalls(c: Cursor, other: Step | undefined): Step | undefined {
    if (other?.signalFrame) return other;
    if (other?.method === 'call frame information') {
      const { calls } = this.target.processor.cpu;
      const place = calls.on ? this.target.locate((other.cfa - 4) >>> 0, this.space) : -1;
      const noted = place < 0 ? undefined : calls.at(RAM_BASE + place);
      if (noted !== undefined && noted.back === other.registers[EIP]) return { ...other, method: 'shadow stack' };
      if (c.cpl === 3 || this.isNamed(other.registers[EIP], true) || this.isNamed(other.registers[EIP], false)) return other;
    }
    const call = this.pushedCall(c);
    if (call === undefined) return other;
    const cfa = (call.at + 4) >>> 0;
    if (other !== undefined && other.cfa === cfa && other.registers[EIP] === call.back) return { ...other, method: 'shadow stack' };
    // A fork copies stack pages, and the copy has no calls: a frame in there is not to be passed over.
    if (other !== undefined && other.cfa < cfa && this.isBehindCall(other.registers[EIP])) return other;
    const registers: (number | undefined)[] = this.atKnownPlace(c, call) ?? new Array(9).fill(undefined);
    registers[ESP] = cfa;
    registers[EIP] = call.back;
    return { registers, cfa, signalFrame: false, method: 'shadow stack' };
  }

  /**
   * The caller's registers where call frame information counts from a register that is not known (a callee without any has lost it): the noted call tells where the frame
   * lies, and so what that register is. Only for a call of this very function, or one through a pointer.
   */
  private atKnownPlace(c: Cursor, call: { at: number; back: number }): (number | undefined)[] | undefined {
    const pc = c.registers[EIP] ?? 0;
    const look = c.afterCall ? pc - 1 : pc;
    const at = this.programs.linked(look);
    const symbols = at?.program.symbols;
    const row = symbols?.unwind((look - (at?.bias ?? 0)) >>> 0);
    if (at === undefined || symbols === undefined || row === undefined || row.signalFrame || row.cfa.kind !== 'register') return undefined;
    const direct = this.target.read(call.back - 5, 1, this.space)[0] === 0xe8;
    const called = (call.back + (this.target.read32(call.back - 4, this.space) ?? 0)) >>> 0;
    const begins = look - (this.programs.symbolAt(look)?.offset ?? look);
    if (direct ? called !== begins >>> 0 : !this.isBehindCall(call.back)) return undefined;
    const cfa = (call.at + 4) >>> 0;
    const base = (cfa - row.cfa.offset) >>> 0;
    if (c.registers[row.cfa.register] !== undefined || base < (c.registers[ESP] ?? 0) || base > cfa) return undefined;
    c.registers[row.cfa.register] = base;
    const found = symbols.unwindFrame(this.symbolFrame({ pc, afterCall: c.afterCall, registers: c.registers }, at.bias), cfa);
    return found?.registers[EIP] === call.back ? [...found.registers] : undefined;
  }

  /** Whether the instruction before an address can be a near call: E8 with its distance, or FF /2 with its operand. */
  private isBehindCall(pc: number | undefined): boolean {
    if (pc === undefined) return false;
    if (this.target.read(pc - 5, 1, this.space)[0] === 0xe8) return true;
    for (let length = 2; length <= 7; length++) {
      const [op, modrm, sib] = this.target.read(pc - length, 3, this.space);
      if (op !== 0xff || ((modrm >> 3) & 7) !== 2) continue;
      const mod = modrm >> 6;
      const hasSib = mod !== 3 && (modrm & 7) === 4;
      const noBase = mod === 0 && ((hasSib ? sib : modrm) & 7) === 5;
      if (length === 2 + (hasSib ? 1 : 0) + (mod === 1 ? 1 : mod === 2 || noBase ? 4 : 0)) return true;
    }
    return false;
  }

  /** The next word on the stack that can only be a return address: behind a call of this very function. Where that was jumped to there is none, and no frame is made up. */
  private byScan(c: Cursor): Step | undefined {
    const esp = c.registers[ESP] ?? 0;
    const here = this.programs.symbolAt((c.registers[EIP] ?? 0) - (c.afterCall ? 1 : 0));
    if (here === undefined || here.kind === 'object' || c.cpl === 3) return undefined;
    for (let at = (esp & ~3) >>> 0; at < esp + SCANNED; at += 4) {
      const word = this.target.read32(at, this.space);
      if (word === undefined) return undefined;
      if (this.target.read(word - 5, 1, this.space)[0] !== 0xe8) continue;
      const called = (word + (this.target.read32(word - 4, this.space) ?? 0)) >>> 0;
      const symbol = this.programs.symbolAt(called);
      if (symbol?.offset !== 0 || symbol.address !== here.address || this.programs.symbolAt(word - 1)?.kind === 'object') continue;
      const registers: (number | undefined)[] = new Array(9).fill(undefined);
      registers[ESP] = (at + 4) >>> 0;
      registers[EIP] = word;
      return { registers, cfa: (at + 4) >>> 0, signalFrame: false, method: 'scan' };
    }
    return undefined;
  }

  /** push %ebp; mov %esp,%ebp: where in it are we? Else the frame pointer as it stands. */
  private byPrologue(c: Cursor): Step | undefined {
    const pc = c.registers[EIP] ?? 0;
    const esp = c.registers[ESP] ?? 0;
    const ebp = c.registers[EBP];
    const symbol = this.programs.symbolAt(pc);
    const caller = (cfa: number, newEbp: number | undefined): Step | undefined => {
      const back = this.target.read32(cfa - 4, this.space);
      if (back === undefined) return undefined;
      const registers: (number | undefined)[] = new Array(9).fill(undefined);
      registers[ESP] = cfa >>> 0;
      registers[EBP] = newEbp;
      registers[EIP] = back;
      return { registers, cfa: cfa >>> 0, signalFrame: false, method: 'frame pointer' };
    };
    if (symbol !== undefined && symbol.kind === 'function' && !c.afterCall) {
      if (symbol.offset === 0) return caller(esp + 4, ebp);
      if (symbol.offset === 1 && this.target.read(pc - 1, 1, this.space)[0] === 0x55) return caller(esp + 8, ebp);
    }
    if (ebp === undefined || ebp < esp || ebp - esp > 0x10000) return undefined;
    const saved = this.target.read32(ebp, this.space);
    if (saved === undefined) return undefined;
    const found = caller(ebp + 8, saved);
    const back = found?.registers[EIP];
    return back !== undefined && this.programs.nameOf(back) !== undefined ? found : undefined;
  }
}
