// Locals in conditions at machine speed: at a place in code a variable is, as a rule, in one register or at a fixed distance from one. Found out once, read in the
// processor's loop.
//
// How far an address follows each register is tried out on the variable's own location, with made-up registers and no memory: so whatever debug information describes, frame
// base and call frame information included, needs no second interpreter. What does not come out that simple is left to the slow way (frame-environment.ts).

import { RAM_BASE } from '../i386/state';
import type { Variable } from '../symbols/dwarf/variables';
import { stripType } from '../symbols/dwarf/types';
import type { FastReader } from './expression';
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

/** The closure for a variable at one place. @param bytes 1, 2 or 4. */
const readerAt = (target: Target, spot: Spot, bytes: number, signed: boolean): (() => number) => {
  const { cpu } = target.processor;
  const { m32, m16, m8 } = cpu;
  const shift = 32 - 8 * bytes;
  const fit = signed ? (v: number): number => (v << shift) >> shift : (v: number): number => (v << shift) >>> shift;
  if ('register' in spot) return () => fit(m32[spot.register]);
  const { base, distance } = spot;
  const slow = (address: number): number => {
    const found = target.read(address >>> 0, bytes);
    return fit(found.reduceRight((sum, b) => (sum << 8) | b, 0));
  };
  return () => {
    const address = base === undefined ? distance | 0 : (m32[base] + distance) | 0;
    const e = m32[cpu.tr + (address >>> 12)];
    if ((e & 1) !== 0 || (address & (bytes - 1)) !== 0) return slow(address);
    const a = (address + e) | 0;
    if (a < RAM_BASE || a + bytes > m8.length) return slow(address);
    return fit(bytes === 4 ? m32[a >> 2] : bytes === 2 ? m16[a >> 1] : m8[a]);
  };
};

/** Reads the innermost local of a name where it is in sight at all of these places and the same way everywhere; undefined: it is not that simple. */
export const fastLocal = (
  target: Target,
  programs: Programs,
  places: readonly { address: number }[],
  name: string,
): FastReader | undefined => {
  let found: { spot: Spot; bytes: number; signed: boolean } | undefined;
  for (const { address } of places) {
    const at = programs.linked(address);
    const variable = programs.localsAt(address).find((v) => v.name === name && v.inlineDepth >= 0 && !v.shadowed);
    if (at === undefined || variable === undefined) return undefined;
    const t = stripType(variable.type);
    if (t.kind !== 'enum' && (t.kind !== 'base' || !/^(un)?signed( char)?$|^boolean$/.test(t.encoding))) return undefined;
    if (t.size !== 1 && t.size !== 2 && t.size !== 4) return undefined;
    const signed = t.kind === 'enum' ? t.signed : t.encoding.startsWith('signed');
    const spot = spotOf(variable, address, at.bias);
    if (spot === undefined) return undefined;
    const here = { spot, bytes: t.size, signed };
    if (found !== undefined && JSON.stringify(found) !== JSON.stringify(here)) return undefined;
    found = here;
  }
  // What is narrower than an int becomes one.
  return found === undefined
    ? undefined
    : { get: readerAt(target, found.spot, found.bytes, found.signed), signed: found.signed || found.bytes < 4 };
};
