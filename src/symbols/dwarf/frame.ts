// A stack frame as this folder sees it, one step from it to its caller, and what a variable's expression may ask of it.
// The debugger fills in registers and memory; nothing here keeps them.

import type { CfaRule, FrameTable, RegisterRule, UnwindRow } from './cfi';
import { type ExpressionContext, evaluate, evaluateNumber } from './expression';
import type { DebugUnit } from './die';

/** A frame. Addresses are run-time addresses, uint32; `bias` is run-time minus link-time, usually 0. */
export interface Frame {
  /** The instruction to be executed next in this frame. */
  pc: number;
  /** True when `pc` is a return address: then the frame is at the call before it. */
  afterCall?: boolean;
  /** A DWARF register (0 eax 1 ecx 2 edx 3 ebx 4 esp 5 ebp 6 esi 7 edi 8 eip), or undefined when its value in this frame is not known. */
  register(number: number): number | undefined;
  /** Bytes of the frame's address space, or undefined when they cannot be read. */
  readMemory(address: number, size: number): Uint8Array | undefined;
  /** The frame that called this one, when there is a way to find it. Needed for values on entry only. */
  caller?(): Frame | undefined;
  tlsAddress?(offset: number): number | undefined;
  bias?: number;
}

/** The link-time address that decides in which function, block and range a frame is. */
export function lookupPc(frame: Frame): number {
  return (frame.pc - (frame.bias ?? 0) - (frame.afterCall ? 1 : 0)) >>> 0;
}

/** What one step up the stack found. */
export interface Unwound {
  /** Canonical frame address: the caller's esp before it pushed the return address and after it pushed arguments. */
  cfa: number;
  /** By DWARF number, 0 to 8; undefined: not recoverable. `registers[8]` is the caller's pc, `registers[4]` its esp. */
  registers: (number | undefined)[];
  /** The caller's pc is exact (an interrupted instruction), not a return address. */
  signalFrame: boolean;
  row: UnwindRow;
}

const ESP = 4;
/** Registers that the i386 ABI lets a function change: without a rule their value in the caller is lost. */
const CALLER_SAVED = new Set([0, 1, 2]);

/** The CFA of a frame, or undefined when its row does not describe it or a register is not known. */
export function cfaOf(rule: CfaRule, frame: Frame, unit: DebugUnit): number | undefined {
  if (rule.kind === 'register') {
    const base = frame.register(rule.register);
    return base === undefined ? undefined : (base + rule.offset) >>> 0;
  }
  return evaluateNumber(rule.bytes, unit, plainContext(frame));
}

/** Steps from a frame to its caller by its row. `unit` is any unit of the file: expressions of rules need its address size. @param known the CFA, where the row need not tell it. */
export function unwindByRow(row: UnwindRow, frame: Frame, unit: DebugUnit, known?: number): Unwound | undefined {
  const cfa = known ?? cfaOf(row.cfa, frame, unit);
  if (cfa === undefined) return undefined;
  const registers: (number | undefined)[] = [];
  for (let number = 0; number <= 8; number++) {
    const rule = row.rules.get(number);
    if (rule) registers.push(apply(rule, number, cfa, frame, unit));
    else if (number === ESP) registers.push(cfa);
    else registers.push(CALLER_SAVED.has(number) && !row.signalFrame ? undefined : frame.register(number));
  }
  if (row.returnAddress !== 8) registers[8] = registers[row.returnAddress];
  if (row.rules.get(row.returnAddress) === undefined) registers[8] = undefined; // without a rule there is no way back
  return { cfa, registers, signalFrame: row.signalFrame, row };
}

function apply(rule: RegisterRule, number: number, cfa: number, frame: Frame, unit: DebugUnit): number | undefined {
  switch (rule.kind) {
    case 'undefined':
      return undefined;
    case 'same':
      return frame.register(number);
    case 'offset':
      return read32(frame, (cfa + rule.offset) >>> 0);
    case 'value-offset':
      return (cfa + rule.offset) >>> 0;
    case 'register':
      return frame.register(rule.register);
    case 'expression': {
      const place = evaluate(rule.bytes, unit, plainContext(frame), [cfa]);
      return place.kind === 'memory'
        ? read32(frame, place.address)
        : place.kind === 'register'
          ? frame.register(place.register)
          : undefined;
    }
    case 'value-expression':
      return evaluateNumber(rule.bytes, unit, plainContext(frame), [cfa]);
  }
}

function read32(frame: Frame, address: number): number | undefined {
  const bytes = frame.readMemory(address, 4);
  return bytes && bytes.length >= 4 ? (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0 : undefined;
}

function plainContext(frame: Frame): ExpressionContext {
  return {
    register: (number) => frame.register(number),
    readMemory: (address, size) => frame.readMemory(address, size),
    ...(frame.bias === undefined ? {} : { bias: frame.bias }),
  };
}

/** Everything that a variable's expression may ask of a frame, but for the function's frame base and values on entry. */
export function frameContext(frame: Frame, table: FrameTable, unit: DebugUnit): ExpressionContext {
  return {
    ...plainContext(frame),
    cfa: () => {
      const row = table.rowAt(lookupPc(frame));
      return row && cfaOf(row.cfa, frame, unit);
    },
    ...(frame.tlsAddress ? { tlsAddress: (offset: number) => frame.tlsAddress?.(offset) } : {}),
  };
}
