// What an expression sees in a frame: its registers, its variables, the program's symbols and types, and the machine's own names and functions.
//
// Names of the machine (vector, err, cr2, lguest_data's fields, position) come last, so that a program's own names win; `$` always means a register.
// What it leaves out: the language (expression.ts).

import { LHCALL } from '../lguest/abi';
import type { GuestRegister } from '../lguest/context';
import type { TrapRecord } from '../lguest/trap-record';
import { type Frame as SymbolFrame, frameContext } from '../symbols/dwarf/frame';
import { fetchBytes } from '../symbols/dwarf/value';
import { type Type, stripType } from '../symbols/dwarf/types';
import type { Variable } from '../symbols/dwarf/variables';
import { ADDRESS, type Environment, ExpressionError, fromBytes, INT, load, number, pointerTo, UINT, type Value } from './expression';
import { hostName } from './host-values';
import { callMachine, type MachineQuestions } from './machine-functions';
import { isGuestRegister, machineRegister, partOf, setRegister, setVectorPart } from './machine-names';
import { textValue } from './made-values';
import type { Programs } from './programs';
import { DWARF_REGISTERS, type Frame, type Stack } from './stack';
import { LINEAR, type Space, type Target } from './target';
import { trapNumber, trapText } from './trap-names';

/** Names of the task on the processor. */
const TASK_NAMES = new Set(['pid', 'tgid', 'comm', 'current']);
const PARTS: Readonly<Record<string, [GuestRegister, number, number]>> = {
  ax: ['eax', 0, 16],
  al: ['eax', 0, 8],
  ah: ['eax', 8, 8],
  bx: ['ebx', 0, 16],
  bl: ['ebx', 0, 8],
  bh: ['ebx', 8, 8],
  cx: ['ecx', 0, 16],
  cl: ['ecx', 0, 8],
  ch: ['ecx', 8, 8],
  dx: ['edx', 0, 16],
  dl: ['edx', 0, 8],
  dh: ['edx', 8, 8],
  sp: ['esp', 0, 32],
  pc: ['eip', 0, 32],
};
export interface EnvironmentOptions {
  target: Target;
  programs: Programs;
  frame?: Frame;
  stack?: Stack;
  /** What the machine's functions ask; its tasks give the names `pid`, `comm`, `current`. */
  machine?: MachineQuestions;
  /** Where addresses count; the current address space unless said. */
  space?: Space;
  /** The trap at hand: its fields are names. */
  record?: TrapRecord;
  /** May change the machine. */
  writable?: boolean;
  onWrite?: (address: number, length: number) => void;
}

/** A frame as symbols see it, and its callers, which know what they passed. */
export const withCaller = (frame: Frame, programs: Programs, stack: Stack): SymbolFrame => ({
  ...stack.symbolFrame(frame, programs.linked(frame.pc - (frame.afterCall ? 1 : 0))?.bias ?? 0),
  caller: () => {
    stack.need(1);
    const kept = stack.frames.indexOf(frame);
    const at = kept < 0 && frame.method === 'exact' ? stack.frames.findIndex((f) => f.kind === 'code') : kept;
    if (at < 0) return undefined;
    const { registers } = stack.frames[at];
    for (let i = at + 1; ; i++) {
      stack.need(i + 1);
      const next = stack.frames[i];
      if (next?.kind !== 'code') return undefined;
      if (next.registers !== registers) return withCaller(next, programs, stack);
    }
  },
});

/** The value of a DWARF variable in a frame. */
export const variableValue = (variable: Variable, frame: Frame, target: Target, programs: Programs, stack: Stack): Value => {
  const type = variable.type;
  const at = programs.linked(frame.afterCall ? frame.pc - 1 : frame.pc);
  const symbolFrame = withCaller(frame, programs, stack);
  const place = variable.locate(symbolFrame);
  const t = stripType(type);
  if (place.kind === 'memory') return load({ read: readerOf(target, frame.view?.space) }, type, place.address);
  const size = Math.max(1, t.size);
  const table = frameContext(symbolFrame, { rowAt: (pc: number) => at?.program.symbols?.unwind(pc) } as never, variable.die.unit);
  const got = fetchBytes(place, size, table);
  if (got.bytes === undefined) return { type, bits: 0n, missing: got.why };
  const value: Value = { type, bits: t.size <= 8 ? fromBytes(got.bytes, type) : 0n, bytes: got.bytes };
  if (place.kind === 'register' && frame.method === 'exact' && t.size === 4) value.register = DWARF_REGISTERS[place.register];
  return value;
};

const readerOf =
  (target: Target, space: Space = LINEAR) =>
  (address: number, size: number): Uint8Array | undefined => {
    const bytes = target.read(address >>> 0, size, space);
    return bytes.length === size ? bytes : undefined;
  };

export class FrameEnvironment implements Environment {
  readonly read: (address: number, size: number) => Uint8Array | undefined;
  write?: (address: number, bytes: Uint8Array) => boolean;
  setRegister?: (name: string, value: number, real?: number) => void;
  setRegisterPart?: (register: string, offset: number, bytes: Uint8Array) => void;

  constructor(private readonly o: EnvironmentOptions) {
    const { target } = o;
    this.read = readerOf(target, o.space);
    if (!o.writable) return;
    this.write = (address, bytes) => {
      const done = target.write(address >>> 0, bytes, o.space);
      if (done > 0) o.onWrite?.(address, done);
      return done === bytes.length;
    };
    const ownRegisters = (): void => {
      if (o.frame !== undefined && o.frame.method !== 'exact')
        throw new ExpressionError('registers of a caller cannot be changed; select the top frame');
    };
    this.setRegister = (name, value, real) => {
      ownRegisters();
      setRegister(target, name, value, real);
    };
    this.setRegisterPart = (register, offset, bytes) => {
      ownRegisters();
      setVectorPart(target, register, offset, bytes);
    };
  }

  register(name: string): Value | undefined {
    const lower = name.toLowerCase();
    const { target, frame } = this.o;
    const known = (register: GuestRegister): number => {
      if (frame === undefined || frame.method === 'exact' || frame.registers.length === 0) return target.register(register);
      const index = DWARF_REGISTERS.indexOf(register);
      const value = index < 0 ? undefined : frame.registers[index];
      if (value === undefined) throw new ExpressionError(`${register} is not known in this frame`);
      return value;
    };
    if (isGuestRegister(lower)) return { ...number(known(lower)), register: lower };
    if (lower === 'pc' && (frame === undefined || frame.method === 'exact')) return number(target.pc, ADDRESS);
    if (Object.hasOwn(PARTS, lower)) {
      const [register, shift, bits] = PARTS[lower];
      const value = known(register);
      return number(bits === 32 ? value : (value >>> shift) & ((1 << bits) - 1));
    }
    return machineRegister(target, lower);
  }

  variable(name: string): Value | undefined {
    const { target, programs, frame, stack, record } = this.o;
    // A trap condition is about the trap: its names come first there.
    if (record !== undefined) {
      const value = trapNumber(record, name);
      if (value !== undefined) return number(value, value < 0 ? INT : UINT);
      const side = this.switchSide(record, name);
      if (side !== undefined) return side;
      const word = trapText(record, name);
      if (word !== undefined) return textValue(word);
    }
    if (frame !== undefined && stack !== undefined && frame.kind === 'code') {
      const local = this.locals().find((v) => v.name === name && v.inlineDepth >= frame.inlineDepth && !v.shadowed);
      if (local !== undefined) return variableValue(local, frame, target, programs, stack);
    }
    const part = partOf(target, name);
    if (part !== undefined) return part;
    const plain = name.replace(/^'(.*)'$/, '$1');
    const global = programs.globalNamed(plain);
    if (global !== undefined) return load(this, global.variable.type, this.place(programs.addresses(global.program, global.address)));
    for (const program of programs.list) {
      const enumerator = program.symbols?.enumerator(plain);
      if (enumerator !== undefined) return { type: enumerator.type, bits: enumerator.value };
    }
    if (isGuestRegister(plain)) return undefined;
    const f = programs.functionsNamed(plain).find((x) => x.name === plain);
    if (f !== undefined) {
      const info = f.program.symbols?.functionAt(f.entry);
      const type: Type = info?.type ?? { kind: 'function', returns: UINT, parameters: [], variadic: false, prototyped: false, size: 0 };
      return { type, bits: BigInt(f.entry), address: this.place(programs.addresses(f.program, f.entry)) };
    }
    const address = programs.addressOf(plain);
    if (address !== undefined) {
      const at = programs.linked(address);
      return load(this, UINT, at === undefined ? address : this.place(programs.addresses(at.program, at.link)));
    }
    return this.machineName(name);
  }

  /** Of the two places of a symbol the one that is mapped now. */
  private place(addresses: number[]): number {
    const { target } = this.o;
    return addresses.find((a) => target.locate(a) >= 0) ?? addresses[0];
  }

  /** At a task switch: `from` and `to` are pids, `from.comm` and `to.comm` names. */
  private switchSide(record: TrapRecord, name: string): Value | undefined {
    const [side, member = 'pid'] = name.split('.');
    const tasks = this.o.machine?.tasks;
    if ((side !== 'from' && side !== 'to') || record.hypercall?.number !== LHCALL.SET_STACK || !tasks?.known) return undefined;
    const at = side === 'from' ? tasks.currentAddress() : tasks.onStack(record.hypercall.args[1]);
    const field = tasks.data.field('task_struct', member);
    return at === undefined || field === undefined ? undefined : load(this, field.type, at + field.offset);
  }

  /** `pid`, `tgid`, `comm`, `current`: of the task on the processor, or of the one whose frame is looked at. */
  private taskName(name: string): Value | undefined {
    const tasks = this.o.machine?.tasks;
    if (tasks === undefined || !TASK_NAMES.has(name) || !tasks.known) return undefined;
    const at = this.o.frame?.view?.task.address ?? tasks.currentAddress();
    if (at === undefined) return undefined;
    const type = tasks.data.type('struct task_struct');
    if (name === 'current') return type === undefined ? undefined : number(at, pointerTo(type));
    const field = tasks.data.field('task_struct', name);
    return field === undefined ? undefined : load(this, field.type, at + field.offset);
  }

  /** Whether the machine or the Host has this name, whatever programs are known. */
  isOfMachine(name: string): boolean {
    return this.register(name) !== undefined || partOf(this.o.target, name) !== undefined || this.machineName(name) !== undefined;
  }

  private machineName(name: string): Value | undefined {
    const { target } = this.o;
    const task = this.taskName(name);
    if (task !== undefined) return task;
    if (name === 'ring') return number(this.o.frame?.cpl ?? target.register('cs') & 3);
    const { host } = target;
    if (host === undefined) return undefined;
    const { cr2 } = host;
    switch (name) {
      case 'cr2.hw':
        return { ...number(cr2.hw, ADDRESS), register: name };
      case 'cr2.host':
        return { ...number(cr2.host, ADDRESS), register: name };
      case 'cr2.guest':
        return cr2.guest === undefined
          ? { type: UINT, bits: 0n, missing: 'the Guest has not made LGUEST_INIT yet' }
          : { ...number(cr2.guest, ADDRESS), register: name };
      case 'insns':
        return number(BigInt(target.position.retired), { kind: 'base', name: 'unsigned long long', size: 8, encoding: 'unsigned' });
      case 'cr2':
        return undefined; // the processor's own register
      default: {
        const kept = hostName(host, name);
        if (kept !== undefined) return kept;
        const r = target.current;
        const value = r === undefined ? undefined : trapNumber(r, name);
        return value === undefined ? undefined : number(value);
      }
    }
  }

  /** Locals and arguments in sight of the frame. */
  locals(): Variable[] {
    const { programs, frame } = this.o;
    if (frame === undefined) return [];
    return programs.localsAt(frame.afterCall ? frame.pc - 1 : frame.pc);
  }

  type(name: string): Type | undefined {
    const { programs, frame } = this.o;
    for (const program of programs.list) {
      const at = frame === undefined ? undefined : programs.linked(frame.pc);
      const found = program.symbols?.typeNamed(name, at?.program === program ? at.link : undefined);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  similar(name: string): string | undefined {
    return this.o.programs.similar(name);
  }

  call(name: string, args: Value[]): Value | undefined {
    return this.o.machine === undefined ? undefined : callMachine(this.o.machine, this, name, args);
  }
}
