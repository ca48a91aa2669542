// The DWARF expression evaluator: every operator of DWARF 2 to 5 and the GNU ones, on a stack of generic or typed values.
// It asks the world (registers, memory, the caller's frame) through `ExpressionContext`, and answers with a place or a value.
// What cannot be known becomes a result that says why, never an error: a variables view shows it as it stands.
// It leaves out how a place is read as a type (value.ts) and how the context's answers are found (unwind.ts, program-symbols.ts).

import { SymbolError } from '../errors';
import { Reader } from '../reader';
import * as D from './constants';
import type { DebugUnit } from './die';

/** Where something is. Registers are numbered as in `REGISTER_NAMES`; addresses are uint32. */
export type Location =
  | { kind: 'memory'; address: number }
  | { kind: 'register'; register: number }
  /** The variable is nowhere, but its value is known: an integer, or a number for floating-point types. */
  | { kind: 'value'; value: bigint | number; size: number }
  | { kind: 'bytes'; bytes: Uint8Array }
  /** A pointer that was optimized out, to a variable that can be found: DIE id of that variable, offset in bytes. */
  | { kind: 'implicit-pointer'; die: number; offset: number }
  | { kind: 'pieces'; pieces: Piece[] }
  | { kind: 'optimized-out' }
  /** It exists, but a register or memory that is needed is not known. `why` is for the user. */
  | { kind: 'unknown'; why: string };

/** Part of a value: `bits` wide, taken from `location` starting at bit `skip`. */
export interface Piece {
  bits: number;
  skip: number;
  location: Location;
}

export interface ExpressionContext {
  /** A DWARF register (0 eax ... 7 edi, 8 eip) of this frame as uint32, or undefined when it was not recovered. */
  register?(number: number): number | undefined;
  /** `size` bytes of the frame's address space, or undefined when they cannot be read. */
  readMemory?(address: number, size: number): Uint8Array | undefined;
  /** The function's frame base (DW_OP_fbreg). */
  frameBase?(): number | undefined;
  /** The canonical frame address. */
  cfa?(): number | undefined;
  /** What `expression` was when the function was entered. */
  entryValue?(expression: Uint8Array): bigint | undefined;
  /** Address of a thread-local variable from its offset. */
  tlsAddress?(offset: number): number | undefined;
  /** Address of the object whose member is located (DW_OP_push_object_address). */
  objectAddress?: number;
  /** Added to link-time addresses: where the file runs minus where it was linked. */
  bias?: number;
}

/** DWARF register numbers of i386 (System V ABI, Intel386 supplement, "DWARF Register Number Mapping"). */
export const REGISTER_NAMES: readonly string[] = [
  ...['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip', 'eflags', 'trapno'],
  ...['st0', 'st1', 'st2', 'st3', 'st4', 'st5', 'st6', 'st7', '', ''],
  ...['xmm0', 'xmm1', 'xmm2', 'xmm3', 'xmm4', 'xmm5', 'xmm6', 'xmm7', 'mm0', 'mm1', 'mm2', 'mm3', 'mm4', 'mm5', 'mm6', 'mm7'],
  ...['fctrl', 'fstat', 'mxcsr', 'es', 'cs', 'ss', 'ds', 'fs', 'gs'],
];

export function registerName(number: number): string {
  return REGISTER_NAMES[number] || `register ${number}`;
}

/** DIE id 0 stands for the generic type: an integer of the size of an address. */
interface StackType {
  id: number;
  size: number;
  encoding: 'unsigned' | 'signed' | 'float';
}
interface Entry {
  value: bigint | number;
  type: StackType;
}

const GENERIC: StackType = { id: 0, size: 4, encoding: 'unsigned' };
const STEP_LIMIT = 10_000;
const STACK_LIMIT = 1_000;
const CALL_LIMIT = 16;

/** Ends an evaluation with a reason for the user. */
class Unknown extends Error {}

/**
 * Evaluates `expression`, which stands in `unit`.
 * @param initial values on the stack at the start (the CFA for register rules, 0 for member offsets).
 */
export function evaluate(expression: Uint8Array, unit: DebugUnit, context: ExpressionContext, initial: readonly number[] = []): Location {
  if (expression.length === 0) return { kind: 'optimized-out' };
  try {
    return new Evaluation(unit, context, initial).run(expression);
  } catch (error) {
    if (error instanceof Unknown) return { kind: 'unknown', why: error.message };
    if (!(error instanceof SymbolError)) throw error;
    unit.dwarf.problems.add(error.message);
    return { kind: 'unknown', why: 'its location expression is damaged' };
  }
}

/** The integer that an expression leaves: an address for memory, else the value. Undefined when it is not known. */
export function evaluateNumber(
  expression: Uint8Array,
  unit: DebugUnit,
  context: ExpressionContext,
  initial: readonly number[] = [],
): number | undefined {
  const location = evaluate(expression, unit, context, initial);
  switch (location.kind) {
    case 'memory':
      return location.address;
    case 'register':
      return context.register?.(location.register);
    case 'value':
      return typeof location.value === 'bigint' ? Number(BigInt.asUintN(32, location.value)) : undefined;
    default:
      return undefined;
  }
}

class Evaluation {
  private stack: Entry[];
  private pieces: Piece[] = [];
  /** Set once the place is known to be something else than memory at the top of the stack. */
  private place: Location | undefined;
  private steps = 0;

  constructor(
    private readonly unit: DebugUnit,
    private readonly context: ExpressionContext,
    initial: readonly number[],
  ) {
    this.stack = initial.map((value) => ({ value: BigInt(value), type: GENERIC }));
  }

  run(expression: Uint8Array): Location {
    this.execute(expression, 0);
    if (this.pieces.length > 0) return { kind: 'pieces', pieces: this.pieces };
    return this.takePlace();
  }

  /** The place described so far; the stack and the place are used up. */
  private takePlace(): Location {
    const { place } = this;
    this.place = undefined;
    if (place) return place;
    if (this.stack.length === 0) return { kind: 'optimized-out' };
    return { kind: 'memory', address: Number(BigInt.asUintN(32, this.popInteger())) };
  }

  private push(value: bigint | number, type: StackType = GENERIC): void {
    if (this.stack.length >= STACK_LIMIT) throw new SymbolError('A DWARF expression overflows its stack: build the file again.');
    this.stack.push({ value: normal(value, type), type });
  }

  private pop(): Entry {
    const entry = this.stack.pop();
    if (!entry) throw new SymbolError('A DWARF expression takes from an empty stack: build the file again.');
    return entry;
  }

  private popInteger(): bigint {
    const { value } = this.pop();
    return typeof value === 'bigint' ? value : BigInt(Math.trunc(Number.isFinite(value) ? value : 0));
  }

  private popAddress(): number {
    return Number(BigInt.asUintN(32, this.popInteger()));
  }

  private pick(index: number): Entry {
    const entry = this.stack[this.stack.length - 1 - index];
    if (!entry) throw new SymbolError('A DWARF expression takes from an empty stack: build the file again.');
    return entry;
  }

  private register(number: number): number {
    const value = this.context.register?.(number);
    if (value === undefined) throw new Unknown(`${registerName(number)} is not known in this frame`);
    return value;
  }

  private memory(address: number, size: number): Uint8Array {
    const bytes = size <= 64 ? this.context.readMemory?.(address, size) : undefined;
    if (!bytes || bytes.length < size) throw new Unknown(`memory at 0x${address.toString(16)} cannot be read`);
    return bytes;
  }

  private frameBase(): number {
    const base = this.context.frameBase?.();
    if (base === undefined) throw new Unknown('the frame of its function is not known');
    return base;
  }

  private typeAt(unitOffset: number): StackType {
    if (unitOffset === 0) return GENERIC;
    const die = this.unit.dwarf.die(this.unit.base + this.unit.offset + unitOffset);
    const size = die?.number(D.DW_AT_byte_size);
    if (!die || size === undefined || size > 16)
      throw new SymbolError('A DWARF expression uses a type that is not there: build the file again.');
    const encoding = die.number(D.DW_AT_encoding);
    if (encoding === D.DW_ATE_float) {
      if (size !== 4 && size !== 8) throw new Unknown(`it needs floating-point numbers of ${size} bytes`);
      return { id: die.id, size, encoding: 'float' };
    }
    return { id: die.id, size, encoding: encoding === D.DW_ATE_signed || encoding === D.DW_ATE_signed_char ? 'signed' : 'unsigned' };
  }

  private binary(work: (a: bigint, b: bigint) => bigint, floats?: (a: number, b: number) => number): void {
    const b = this.pop();
    const a = this.pop();
    if (typeof a.value === 'number' || typeof b.value === 'number') {
      if (!floats) throw new SymbolError('A DWARF expression uses an integer operator on a floating-point number: build the file again.');
      this.push(floats(Number(a.value), Number(b.value)), a.type);
    } else {
      this.push(work(a.value, b.value), a.type);
    }
  }

  private compare(work: (a: bigint | number, b: bigint | number) => boolean): void {
    const b = this.pop();
    const a = this.pop();
    this.push(work(signedOf(a), signedOf(b)) ? 1n : 0n);
  }

  private execute(expression: Uint8Array, depth: number): void {
    if (depth > CALL_LIMIT) throw new SymbolError('DWARF expressions call each other without end: build the file again.');
    const { unit } = this;
    const r = new Reader(expression, 0, expression.length, 'A DWARF expression');
    while (!r.done) {
      if (++this.steps > STEP_LIMIT) throw new SymbolError('A DWARF expression does not end: build the file again.');
      const op = r.u8();
      if (op >= 0x30 && op <= 0x4f) {
        this.push(BigInt(op - 0x30)); // lit0 to lit31
      } else if (op >= 0x50 && op <= 0x6f) {
        this.place = { kind: 'register', register: op - 0x50 };
      } else if (op >= 0x70 && op <= 0x8f) {
        this.push(BigInt(this.register(op - 0x70)) + BigInt(r.sleb()));
      } else {
        this.operator(op, r, depth, unit);
      }
    }
  }

  /** The operators that have an operation of their own; numbers from DWARF 5 table 7.9. */
  private operator(op: number, r: Reader, depth: number, unit: DebugUnit): void {
    switch (op) {
      case 0x03: // addr
        this.push(BigInt(r.unsigned(unit.addressSize) + (this.context.bias ?? 0)));
        return;
      case 0xa1: // addrx
      case 0xfb: // GNU_addr_index
        this.push(BigInt(this.indexed(r.uleb()) + (this.context.bias ?? 0)));
        return;
      case 0xa2: // constx
      case 0xfc: // GNU_const_index
        this.push(BigInt(this.indexed(r.uleb())));
        return;
      case 0x06: // deref
        this.push(littleEndian(this.memory(this.popAddress(), 4)));
        return;
      case 0x94: // deref_size
        this.push(littleEndian(this.memory(this.popAddress(), r.u8())));
        return;
      case 0xa6: // deref_type
      case 0xf6: {
        const size = r.u8();
        const type = this.typeAt(r.uleb());
        this.push(fromBytes(this.memory(this.popAddress(), size), type), type);
        return;
      }
      case 0x18: // xderef
      case 0x95: // xderef_size
      case 0xa7: // xderef_type
        throw new Unknown('it lies in another address space');
      case 0x08:
        this.push(BigInt(r.u8()));
        return;
      case 0x09:
        this.push(BigInt(r.i8()));
        return;
      case 0x0a:
        this.push(BigInt(r.u16()));
        return;
      case 0x0b:
        this.push(BigInt((r.u16() << 16) >> 16));
        return;
      case 0x0c:
        this.push(BigInt(r.u32()));
        return;
      case 0x0d:
        this.push(BigInt(r.u32() | 0));
        return;
      case 0x0e:
        this.push(r.u64());
        return;
      case 0x0f:
        this.push(BigInt.asIntN(64, r.u64()));
        return;
      case 0x10:
        this.push(r.ulebBig());
        return;
      case 0x11:
        this.push(r.slebBig());
        return;
      case 0xa4: // const_type
      case 0xf4: {
        const type = this.typeAt(r.uleb());
        this.push(fromBytes(r.block(r.u8()), type), type);
        return;
      }
      case 0x12: {
        const top = this.pick(0);
        this.push(top.value, top.type);
        return;
      }
      case 0x13:
        this.pop();
        return;
      case 0x14: // over
      case 0x15: {
        const entry = this.pick(op === 0x14 ? 1 : r.u8());
        this.push(entry.value, entry.type);
        return;
      }
      case 0x16: {
        const [a, b] = [this.pop(), this.pop()];
        this.stack.push(a, b);
        return;
      }
      case 0x17: {
        const [a, b, c] = [this.pop(), this.pop(), this.pop()];
        this.stack.push(a, c, b);
        return;
      }
      case 0x19: {
        const a = this.pop();
        const value = signedOf(a);
        this.push(value < 0 ? -value : value, a.type);
        return;
      }
      case 0x1a:
        this.binary((a, b) => a & b);
        return;
      case 0x1b: {
        const b = this.pop();
        const a = this.pop();
        const [x, y] = [signedOf(a), signedOf(b)];
        if (typeof x === 'number' || typeof y === 'number') {
          this.push(Number(x) / Number(y), a.type);
          return;
        }
        if (y === 0n) throw new Unknown('its location divides by zero');
        this.push(a.type.encoding === 'unsigned' && a.type !== GENERIC ? (a.value as bigint) / (b.value as bigint) : x / y, a.type);
        return;
      }
      case 0x1c:
        this.binary(
          (a, b) => a - b,
          (a, b) => a - b,
        );
        return;
      case 0x1d:
        this.binary((a, b) => {
          if (b === 0n) throw new Unknown('its location divides by zero');
          return a % b;
        });
        return;
      case 0x1e:
        this.binary(
          (a, b) => a * b,
          (a, b) => a * b,
        );
        return;
      case 0x1f: {
        const a = this.pop();
        this.push(-a.value, a.type);
        return;
      }
      case 0x20: {
        const a = this.pop();
        this.push(~BigInt(a.value), a.type);
        return;
      }
      case 0x21:
        this.binary((a, b) => a | b);
        return;
      case 0x22:
        this.binary(
          (a, b) => a + b,
          (a, b) => a + b,
        );
        return;
      case 0x23: {
        const a = this.pop();
        const add = r.ulebBig();
        this.push(typeof a.value === 'bigint' ? a.value + add : a.value + Number(add), a.type);
        return;
      }
      case 0x24:
        this.binary((a, b) => (b >= 0n && b < 128n ? a << b : 0n));
        return;
      case 0x25: {
        const b = this.popInteger();
        const a = this.pop();
        const unsigned = BigInt.asUintN(a.type.size * 8, BigInt(a.value));
        this.push(b >= 0n && b < 128n ? unsigned >> b : 0n, a.type);
        return;
      }
      case 0x26: {
        const b = this.popInteger();
        const a = this.pop();
        const signed = BigInt.asIntN(a.type.size * 8, BigInt(a.value));
        this.push(signed >> (b >= 0n && b < 128n ? b : 127n), a.type);
        return;
      }
      case 0x27:
        this.binary((a, b) => a ^ b);
        return;
      case 0x28: {
        const distance = (r.u16() << 16) >> 16;
        if (this.popInteger() !== 0n) this.jump(r, distance);
        return;
      }
      case 0x2f:
        this.jump(r, (r.u16() << 16) >> 16);
        return;
      case 0x29:
        this.compare((a, b) => a === b);
        return;
      case 0x2a:
        this.compare((a, b) => a >= b);
        return;
      case 0x2b:
        this.compare((a, b) => a > b);
        return;
      case 0x2c:
        this.compare((a, b) => a <= b);
        return;
      case 0x2d:
        this.compare((a, b) => a < b);
        return;
      case 0x2e:
        this.compare((a, b) => a !== b);
        return;
      case 0x90: // regx
        this.place = { kind: 'register', register: r.uleb() };
        return;
      case 0x91: // fbreg
        this.push(BigInt(this.frameBase()) + BigInt(r.sleb()));
        return;
      case 0x92: {
        const register = this.register(r.uleb());
        this.push(BigInt(register) + BigInt(r.sleb()));
        return;
      }
      case 0xa5: // regval_type
      case 0xf5: {
        const number = r.uleb();
        const type = this.typeAt(r.uleb());
        if (type.encoding === 'float') throw new Unknown(`${registerName(number)} is not known in this frame`);
        this.push(BigInt(this.register(number)), type);
        return;
      }
      case 0x93: // piece
        this.piece(r.uleb() * 8, 0);
        return;
      case 0x9d: {
        const bits = r.uleb();
        this.piece(bits, r.uleb());
        return;
      }
      case 0x96: // nop
      case 0xf0: // GNU_uninit
        return;
      case 0x97:
        if (this.context.objectAddress === undefined) throw new Unknown('the object it belongs to is not known');
        this.push(BigInt(this.context.objectAddress));
        return;
      case 0x98:
        this.call(unit.base + unit.offset + r.u16(), depth);
        return;
      case 0x99:
        this.call(unit.base + unit.offset + r.u32(), depth);
        return;
      case 0x9a:
        this.call(r.offset(unit.version <= 2 ? 4 : unit.offsetSize), depth);
        return;
      case 0x9b: // form_tls_address
      case 0xe0: {
        const address = this.context.tlsAddress?.(this.popAddress());
        if (address === undefined) throw new Unknown('it is thread-local, and the thread is not known');
        this.push(BigInt(address));
        return;
      }
      case 0x9c: {
        const cfa = this.context.cfa?.();
        if (cfa === undefined) throw new Unknown('there is no call frame information here');
        this.push(BigInt(cfa));
        return;
      }
      case 0x9e:
        this.place = { kind: 'bytes', bytes: r.block(r.uleb()) };
        return;
      case 0x9f: {
        const { value, type } = this.pop();
        this.place = { kind: 'value', value, size: type.size };
        return;
      }
      case 0xa0: // implicit_pointer
      case 0xf2: {
        const die = r.offset(unit.version <= 2 ? 4 : unit.offsetSize);
        this.place = { kind: 'implicit-pointer', die, offset: r.sleb() };
        return;
      }
      case 0xa3: // entry_value
      case 0xf3: {
        const value = this.context.entryValue?.(r.block(r.uleb()));
        if (value === undefined) throw new Unknown('its value on entry to the function was not kept by the caller');
        this.push(value);
        return;
      }
      case 0xa8: // convert
      case 0xf7: {
        const type = this.typeAt(r.uleb());
        const entry = this.pop();
        const value = signedOf(entry);
        if (type.encoding === 'float') {
          this.push(Number(entry.type.encoding === 'unsigned' ? entry.value : value), type);
          return;
        }
        this.push(typeof value === 'number' ? BigInt(Math.trunc(Number.isFinite(value) ? value : 0)) : entry.value, type);
        return;
      }
      case 0xa9: // reinterpret
      case 0xf9: {
        const type = this.typeAt(r.uleb());
        const entry = this.pop();
        this.push(fromBytes(toBytes(entry.value, entry.type.size), type), type);
        return;
      }
      case 0xfa: // GNU_parameter_ref
        throw new Unknown('it was a parameter that the caller did not keep');
      case 0xfd: {
        // GNU_variable_value
        const die = r.offset(unit.version <= 2 ? 4 : unit.offsetSize);
        this.call(die, depth);
        if (!this.place) {
          this.push(littleEndian(this.memory(this.popAddress(), 4)));
          return;
        }
        const place = this.takePlace();
        if (place.kind === 'register') {
          this.push(BigInt(this.register(place.register)));
          return;
        }
        if (place.kind === 'value') {
          this.push(place.value);
          return;
        }
        throw new Unknown('it depends on a variable that is not known');
      }
      default:
        throw new Unknown(`its location uses the DWARF operator 0x${op.toString(16)}, which is not known here`);
    }
  }

  private indexed(index: number): number {
    const address = this.unit.addressAt(index);
    if (address === undefined) throw new SymbolError('A DWARF expression uses an address index that is not there: build the file again.');
    return address;
  }

  private jump(r: Reader, distance: number): void {
    const target = r.pos + distance;
    if (target < 0 || target > r.end) r.fail();
    r.pos = target;
  }

  private piece(bits: number, skip: number): void {
    const location = this.takePlace();
    this.pieces.push({ bits, skip, location });
    if (this.pieces.length > STACK_LIMIT) throw new SymbolError('A DWARF expression has too many pieces: build the file again.');
  }

  private call(id: number, depth: number): void {
    const location = this.unit.dwarf.die(id)?.location(D.DW_AT_location);
    if (location?.kind === 'expression') this.execute(location.bytes, depth + 1);
  }
}

/** A value brought into the range of its type: integers wrap, stored unsigned unless the type is signed. */
function normal(value: bigint | number, type: StackType): bigint | number {
  if (type.encoding === 'float') return type.size === 4 ? Math.fround(Number(value)) : Number(value);
  const integer = typeof value === 'bigint' ? value : BigInt(Math.trunc(Number.isFinite(value) ? value : 0));
  return type.encoding === 'signed' ? BigInt.asIntN(type.size * 8, integer) : BigInt.asUintN(type.size * 8, integer);
}

/** For division and comparison the generic type is signed (DWARF 5 section 2.5.1.4). */
function signedOf({ value, type }: Entry): bigint | number {
  return type === GENERIC && typeof value === 'bigint' ? BigInt.asIntN(32, value) : value;
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at]!);
  return value;
}

function fromBytes(bytes: Uint8Array, type: StackType): bigint | number {
  if (type.encoding !== 'float') return littleEndian(bytes);
  const view = new DataView(new ArrayBuffer(8));
  for (let at = 0; at < type.size; at++) view.setUint8(at, bytes[at] ?? 0);
  return type.size === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
}

/** `size` little-endian bytes of a value; a number becomes a float or double by the size. */
export function toBytes(value: bigint | number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  if (typeof value === 'number') {
    const view = new DataView(new ArrayBuffer(8));
    if (size === 4) view.setFloat32(0, value, true);
    else view.setFloat64(0, value, true);
    for (let at = 0; at < Math.min(size, 8); at++) bytes[at] = view.getUint8(at);
    return bytes;
  }
  let rest = BigInt.asUintN(size * 8, value);
  for (let at = 0; at < size; at++) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
