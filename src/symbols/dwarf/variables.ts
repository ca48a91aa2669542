// Variables: name, type, and where the value is in a given frame.
// The place follows from DW_AT_location (an expression, or a list by address), the function's frame base, the CFA, and for values
// on entry from what the caller kept (DW_TAG_call_site_parameter).
// It leaves out which variables are in sight (program-symbols.ts) and printing.

import type { FrameTable } from './cfi';
import * as D from './constants';
import type { Die } from './die';
import { type ExpressionContext, type Location, evaluate, evaluateNumber, littleEndian } from './expression';
import { type Frame, frameContext, lookupPc } from './frame';
import type { FunctionEntry } from './functions';
import { readLocationList } from './location-lists';
import { nameOf, originChain, withAttribute } from './name-index';
import type { Type, Types } from './types';
import { stripType } from './types';

/** What variables need to know of the file they are in. */
export interface VariableHome {
  types: Types;
  frames: FrameTable;
  functionAt(address: number): FunctionEntry | undefined;
}

export type VariableKind = 'argument' | 'local' | 'static' | 'global';

const ENTRY_DEPTH_LIMIT = 8;
/** The expression for a register by itself; that of register n is n more. */
export const OP_REG0 = 0x50;

export class Variable {
  private readonly chain: Die[];

  constructor(
    private readonly home: VariableHome,
    readonly die: Die,
    readonly kind: VariableKind,
    /** The function with the frame in which it lives; undefined for globals. */
    readonly owner: FunctionEntry | undefined,
    /** No code of this instance holds it. */
    private readonly gone: boolean,
    /** Index in the inline chain at the pc: 0 is the innermost function. */
    readonly inlineDepth = 0,
    /** An inner variable of the same function has the same name. */
    readonly shadowed = false,
  ) {
    this.chain = originChain(die);
  }

  private attribute(attribute: number): Die | undefined {
    return withAttribute(this.chain, attribute);
  }

  get name(): string {
    return this.attribute(D.DW_AT_name)?.string(D.DW_AT_name) ?? '';
  }

  get linkageName(): string | undefined {
    return this.attribute(D.DW_AT_linkage_name)?.string(D.DW_AT_linkage_name);
  }

  get type(): Type {
    const die = this.attribute(D.DW_AT_type);
    const type = die ? this.home.types.typeOf(die) : this.home.types.typeOf(this.die);
    // `extern int a[]` says less than the definition `int a[3]`, which repeats the type.
    return type;
  }

  /** Made by the compiler. */
  get artificial(): boolean {
    return this.attribute(D.DW_AT_artificial)?.flag(D.DW_AT_artificial) ?? false;
  }

  get external(): boolean {
    return this.attribute(D.DW_AT_external)?.flag(D.DW_AT_external) ?? false;
  }

  get unitName(): string {
    return this.die.unit.name;
  }

  /** Index of the file in the unit's line table, and line. */
  get declaration(): { file: number; line: number } | undefined {
    const die = this.attribute(D.DW_AT_decl_line);
    const line = die?.number(D.DW_AT_decl_line);
    return line === undefined ? undefined : { file: this.attribute(D.DW_AT_decl_file)?.number(D.DW_AT_decl_file) ?? 0, line };
  }

  /** Link-time address of a variable that never moves, or undefined. */
  get staticAddress(): number | undefined {
    const location = this.attribute(D.DW_AT_location)?.location(D.DW_AT_location);
    if (location?.kind !== 'expression' || location.bytes.length === 0) return undefined;
    const place = evaluate(location.bytes, this.die.unit, {});
    return place.kind === 'memory' ? place.address : undefined;
  }

  /** Where the variable is in `frame`. */
  locate(frame: Frame): Location {
    return this.place(frame, 0);
  }

  /** What a register held when the function of this variable was entered in `frame`, uint32, by what its caller passed and still has; undefined: nobody kept it. */
  entryRegister(frame: Frame, register: number): number | undefined {
    const value = this.owner && entryValue(this.home, frame, this.owner, Uint8Array.of(OP_REG0 + register), 0);
    return value === undefined ? undefined : Number(BigInt.asUintN(32, value));
  }

  /** The expression that applies at a link-time address: DWARF bytes, empty when it was optimized out there, undefined when there is none. */
  expressionAt(pc: number): Uint8Array | undefined {
    const die = this.gone ? undefined : this.attribute(D.DW_AT_location);
    const location = die?.location(D.DW_AT_location);
    if (!die || !location) return undefined;
    if (location.kind === 'expression') return location.bytes;
    const entries = die.unit.dwarf.problems.guard([], () => readLocationList(die.unit, location.offset));
    return entries.find((entry) => pc >= entry.low && pc < entry.high)?.expression ?? new Uint8Array(0);
  }

  private place(frame: Frame, depth: number): Location {
    if (this.gone) return { kind: 'optimized-out' };
    const constant = this.constant();
    if (constant) return constant;
    const expression = this.expressionAt(lookupPc(frame));
    if (!expression) return { kind: 'optimized-out' };
    return evaluate(expression, this.die.unit, contextFor(this.home, frame, this.owner, this.die, depth));
  }

  private constant(): Location | undefined {
    const die = this.attribute(D.DW_AT_const_value);
    if (!die || this.die.has(D.DW_AT_location)) return undefined;
    const block = die.block(D.DW_AT_const_value);
    if (block) return { kind: 'bytes', bytes: block };
    const text = die.string(D.DW_AT_const_value);
    if (text !== undefined) return { kind: 'bytes', bytes: Uint8Array.from([...text, '\0'], (c) => c.charCodeAt(0)) };
    const type = stripType(this.type);
    const signed = type.kind === 'base' && (type.encoding === 'signed' || type.encoding === 'signed char');
    const value = die.constant(D.DW_AT_const_value, signed);
    return value === undefined ? undefined : { kind: 'value', value, size: Math.max(type.size, 1) };
  }
}

/** Everything a variable's expression may ask. `owner` is the function whose frame this is. */
export function contextFor(home: VariableHome, frame: Frame, owner: FunctionEntry | undefined, die: Die, depth: number): ExpressionContext {
  const context = frameContext(frame, home.frames, die.unit);
  context.frameBase = () => {
    const base = owner?.attribute(D.DW_AT_frame_base);
    const location = base?.location(D.DW_AT_frame_base);
    if (!base || !location) return undefined;
    let { bytes } = location as { bytes?: Uint8Array };
    if (location.kind === 'list') {
      const pc = lookupPc(frame);
      const entries = die.unit.dwarf.problems.guard([], () => readLocationList(base.unit, location.offset));
      bytes = entries.find((entry) => pc >= entry.low && pc < entry.high)?.expression;
    }
    // The frame base may not be defined by itself.
    return bytes && evaluateNumber(bytes, base.unit, { ...context, frameBase: () => undefined });
  };
  context.entryValue = (expression) => owner && entryValue(home, frame, owner, expression, depth);
  return context;
}

/**
 * The value that `expression` (a register, as a rule) had when the frame's function `callee` was entered: what its caller passed.
 * Undefined unless the call at the return address is known to be one of `callee`: another function called there may have jumped to it.
 */
function entryValue(home: VariableHome, frame: Frame, callee: FunctionEntry, expression: Uint8Array, depth: number): bigint | undefined {
  const caller = depth < ENTRY_DEPTH_LIMIT ? frame.caller?.() : undefined;
  if (!caller?.afterCall) return undefined;
  const owner = home.functionAt(lookupPc(caller));
  if (!owner) return undefined;
  const returnPc = (caller.pc - (caller.bias ?? 0)) >>> 0;
  for (const scope of owner.scope.all()) {
    for (const site of scope.callSites) {
      const at = site.address(D.DW_AT_call_return_pc) ?? site.address(D.DW_AT_low_pc);
      if (at !== returnPc || !calls(home, site, callee, caller, owner, depth)) continue;
      for (const parameter of site.children()) {
        if (parameter.tag !== D.DW_TAG_call_site_parameter && parameter.tag !== D.DW_TAG_GNU_call_site_parameter) continue;
        const place = parameter.block(D.DW_AT_location);
        const value = parameter.block(D.DW_AT_call_value) ?? parameter.block(D.DW_AT_GNU_call_site_value);
        if (!place || !value || !sameBytes(place, expression)) continue;
        const context = contextFor(home, caller, owner, parameter, depth + 1);
        const result = evaluate(value, parameter.unit, context);
        if (result.kind === 'memory') return BigInt(result.address);
        if (result.kind === 'value' && typeof result.value === 'bigint') return result.value;
        if (result.kind === 'bytes') return littleEndian(result.bytes);
        const number = result.kind === 'register' ? caller.register(result.register) : undefined;
        return number === undefined ? undefined : BigInt(number);
      }
    }
  }
  return undefined;
}

/** Whether a call site calls `callee`: by name, or through a pointer that the caller still has. */
function calls(home: VariableHome, site: Die, callee: FunctionEntry, caller: Frame, owner: FunctionEntry, depth: number): boolean {
  const origin = site.referenced(D.DW_AT_call_origin) ?? site.referenced(D.DW_AT_abstract_origin);
  // A builtin has its function's name as linkage name.
  if (origin) {
    const names = [nameOf(origin), origin.string(D.DW_AT_linkage_name)];
    return originChain(callee.die).some((die) => die.id === origin.id) || names.includes(callee.name);
  }
  const target = site.block(D.DW_AT_call_target) ?? site.block(D.DW_AT_GNU_call_site_target);
  if (!target) return false;
  const address = evaluateNumber(target, site.unit, contextFor(home, caller, owner, site, depth + 1));
  return address !== undefined && (address - (caller.bias ?? 0)) >>> 0 === callee.entry;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
