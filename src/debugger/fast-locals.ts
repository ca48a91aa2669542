// Locals in conditions at machine speed: at a place in code a variable is, as a rule, in one register or at a fixed distance from one. Found out once, read in the
// processor's loop.
//
// How far an address follows each register is tried out on the variable's own location, with made-up registers and no memory: so whatever debug information describes, frame
// base and call frame information included, needs no second interpreter. What does not come out that simple is left to the slow way (frame-environment.ts).

import { RAM_BASE } from '../i386/state';
import type { Variable } from '../symbols/dwarf/variables';
import { stripType, type Type } from '../symbols/dwarf/types';
import { type FastReader, type Node, SLOW } from './expression';
import type { Programs } from './programs';
import type { Target } from './target';

/** eax to edi: the processor's words in the order of DWARF's numbers. */
const REGISTERS = 8;
const STEP = 0x1000;

/** Where a value is: in a register, or at `distance` from one (from nothing: at an address). */
type Spot = { register: number } | { base: number | undefined; distance: number };

const spotOf = (variable: Variable, pc: number, bias: number): Spot | undefined => {
  const at = (moved: number): ReturnType<Variable['locate']> =>
    variable.locate({
      pc,
      bias,
      register: (n) => (n < REGISTERS ? 0x40000000 + n * 0x1000000 + (n === moved ? STEP : 0) : undefined),
      readMemory: () => undefined,
    });
  const place = at(-1);
  if (place.kind === 'register') return place.register < REGISTERS ? { register: place.register } : undefined;
  if (place.kind !== 'memory') return undefined;
  let base: number | undefined;
  for (let n = 0; n < REGISTERS; n++) {
    const moved = at(n);
    if (moved.kind !== 'memory') return undefined;
    const by = (moved.address - place.address) >>> 0;
    if (by === 0) continue;
    if (by !== STEP || base !== undefined) return undefined;
    base = n;
  }
  return { base, distance: base === undefined ? place.address : (place.address - (0x40000000 + base * 0x1000000)) | 0 };
};

const WORD_BITS = 32;
/** Widens the low bytes of a word to an int32, or to a uint32. */
const fitted = (bytes: number, signed: boolean): ((v: number) => number) => {
  const shift = WORD_BITS - 8 * bytes;
  return signed ? (v) => (v << shift) >> shift : (v) => (v << shift) >>> shift;
};

/** Reads 1, 2 or 4 bytes at a linear address: what the processor knows of the page is asked first. @throws SLOW where nothing is mapped. */
export const wordReader = (target: Target, bytes: number): ((address: number) => number) => {
  const { cpu } = target.processor;
  const { m32, m16, m8 } = cpu;
  const slow = (address: number): number => {
    const found = target.read(address >>> 0, bytes);
    if (found.length < bytes) throw SLOW;
    return found.reduceRight((sum, b) => (sum << 8) | b, 0);
  };
  return (address) => {
    const a = (address & (bytes - 1)) !== 0 ? -1 : cpu.cached(address);
    if (a < RAM_BASE || a + bytes > m8.length) return slow(address);
    return bytes === 4 ? m32[a >> 2] : bytes === 2 ? m16[a >> 1] : m8[a];
  };
};

/** Size and sign of what can be read as an int; undefined: anything else. */
const intType = (type: Type): { bytes: number; signed: boolean } | undefined => {
  const t = stripType(type);
  if (t.kind !== 'enum' && (t.kind !== 'base' || !/^(un)?signed( char)?$|^boolean$/.test(t.encoding))) return undefined;
  if (t.size !== 1 && t.size !== 2 && t.size !== 4) return undefined;
  return { bytes: t.size, signed: t.kind === 'enum' ? t.signed : t.encoding.startsWith('signed') };
};
/** What is narrower than an int becomes one. */
const readerOf = (get: () => number, bytes: number, signed: boolean): FastReader => ({ get, signed: signed || bytes < 4 });

/** The innermost local of a name where it is in sight at all of these places and the same way everywhere; undefined: it is not that simple. */
const localAt = (programs: Programs, places: readonly { address: number }[], name: string): { spot: Spot; type: Type } | undefined => {
  let found: { spot: Spot; type: Type } | undefined;
  for (const { address } of places) {
    const at = programs.linked(address);
    const variable = programs.localsAt(address).find((v) => v.name === name && v.inlineDepth >= 0 && !v.shadowed);
    const spot = at === undefined || variable === undefined ? undefined : spotOf(variable, address, at.bias);
    if (spot === undefined || variable === undefined) return undefined;
    if (found !== undefined && JSON.stringify(found.spot) !== JSON.stringify(spot)) return undefined;
    found = { spot, type: variable.type };
  }
  return found;
};

/** Reads a local of an integer type. */
export const fastLocal = (
  target: Target,
  programs: Programs,
  places: readonly { address: number }[],
  name: string,
): FastReader | undefined => {
  const local = localAt(programs, places, name);
  const int = local === undefined ? undefined : intType(local.type);
  if (local === undefined || int === undefined) return undefined;
  const { spot } = local;
  const { m32 } = target.processor.cpu;
  const fit = fitted(int.bytes, int.signed);
  if ('register' in spot) return readerOf(() => fit(m32[spot.register]), int.bytes, int.signed);
  const read = wordReader(target, int.bytes);
  const address = addressOf(target, spot);
  return readerOf(() => fit(read(address())), int.bytes, int.signed);
};
const addressOf = (target: Target, { base, distance }: { base: number | undefined; distance: number }): (() => number) => {
  const { m32 } = target.processor.cpu;
  return base === undefined ? () => distance | 0 : () => (m32[base] + distance) | 0;
};

/** Something in memory: where it is then, and what it is. */
interface Lvalue {
  address: () => number;
  type: Type;
}

/** Reads an integer that members, pointers and elements with a constant index lead to, from a local or a global: `task->state`, `*p`, `table[3].low`. */
export const fastPlace = (
  target: Target,
  programs: Programs,
  places: readonly { address: number }[],
  node: Node,
): FastReader | undefined => {
  const { m32 } = target.processor.cpu;
  const word = wordReader(target, 4);
  const isLocal = (name: string): boolean => places.some((p) => programs.localsAt(p.address).some((v) => v.name === name));

  const lvalue = (n: Node): Lvalue | undefined => {
    if (n.k === 'name') {
      if (isLocal(n.name)) {
        const local = localAt(programs, places, n.name);
        return local === undefined || 'register' in local.spot ? undefined : { address: addressOf(target, local.spot), type: local.type };
      }
      const global = programs.globalNamed(n.name);
      if (global === undefined) return undefined;
      const [at, ...others] = programs.addresses(global.program, global.address);
      // Early in a boot it is not known which of two addresses counts when this is asked.
      return others.length > 0 && target.locate(at) < 0 ? undefined : { address: () => at | 0, type: global.variable.type };
    }
    if (n.k === 'unary' && n.op === '*') return pointee(n.a);
    if (n.k === 'member') {
      const whole = pointee(n.a) ?? lvalue(n.a);
      const t = whole === undefined ? undefined : stripType(whole.type);
      if (whole === undefined || t === undefined || (t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'class')) return undefined;
      const member = t.members.find((m) => m.name === n.name);
      if (member === undefined || member.bitSize !== undefined) return undefined;
      const { offset } = member;
      return { address: () => (whole.address() + offset) | 0, type: member.type };
    }
    if (n.k !== 'index' || n.b.k !== 'num') return undefined;
    const array = pointee(n.a) ?? lvalue(n.a);
    if (array === undefined) return undefined;
    const t = stripType(array.type);
    const pointed = pointerTo(n.a);
    const element = pointed ?? (t.kind === 'array' ? t.element : undefined);
    if (element === undefined) return undefined;
    const distance = Number(n.b.value) * stripType(element).size;
    return { address: () => (array.address() + distance) | 0, type: element };
  };
  /** The type that an expression points to, when it is a pointer. */
  const pointerTo = (n: Node): Type | undefined => {
    const type = n.k === 'name' && isLocal(n.name) ? localAt(programs, places, n.name)?.type : lvalue(n)?.type;
    const t = type === undefined ? undefined : stripType(type);
    return t?.kind === 'pointer' ? t.target : undefined;
  };
  /** What a pointer leads to. */
  const pointee = (n: Node): Lvalue | undefined => {
    const type = pointerTo(n);
    if (type === undefined) return undefined;
    const local = n.k === 'name' && isLocal(n.name) ? localAt(programs, places, n.name) : undefined;
    if (local !== undefined && 'register' in local.spot) {
      const { register } = local.spot;
      return { address: () => m32[register], type };
    }
    const at = lvalue(n);
    return at === undefined ? undefined : { address: () => word(at.address()), type };
  };

  const found = lvalue(node);
  const int = found === undefined ? undefined : intType(found.type);
  if (found === undefined || int === undefined) return undefined;
  const read = wordReader(target, int.bytes);
  const fit = fitted(int.bytes, int.signed);
  return readerOf(() => fit(read(found.address())), int.bytes, int.signed);
};
