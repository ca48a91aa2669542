// Registers by name beyond the general ones: control, debug and x87 registers, the task register, the hidden parts of segments; and how each of them is changed.
//
// A change goes the way an instruction would go, with the same checks, so that the processor is never in a state that no program could bring it to.
// What it leaves out: which of them are shown where (machine-rows.ts).

import { CpuFault } from '../i386/cpu';
import { setControlRegister, setDebugRegister } from '../i386/interpreter/system';
import { enterMmx, mm, wroteMmx, xmm } from '../i386/sse/unit';
import { FL, LDTR, TR, W } from '../i386/state';
import { MXCSR_MASK } from '../i386/x87/control';
import { LD } from '../lguest/abi';
import { GUEST_REGISTERS, type GuestRegister } from '../lguest/context';
import type { Type } from '../symbols/dwarf/types';
import { ADDRESS, DOUBLE, ExpressionError, FLOAT, INT, number, UINT, type Value } from './expression';
import { overlaid, UWIDE } from './made-values';
import { hex8, hiddenOf, type SegmentName, type Target } from './target';

/** The flags that are one bit of EFLAGS, lowest first. */
export const FLAG_BITS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(FL).filter(([, mask]) => (mask & (mask - 1)) === 0),
);
/** Words of the processor's control registers. */
export const CONTROL_REGISTERS: Readonly<Record<string, number>> = { cr0: W.CR0, cr2: W.CR2, cr3: W.CR3, cr4: W.CR4 };
export const isGuestRegister = (name: string): name is GuestRegister => (GUEST_REGISTERS as readonly string[]).includes(name);
/** Words of the x87 unit. */
const FPU_WORDS: Readonly<Record<string, number>> = { fcw: W.FPU_CW, fsw: W.FPU_SW, ftw: W.FPU_VALID };
const LONG_DOUBLE: Type = { kind: 'base', name: 'long double', size: 12, encoding: 'float' };
const USHORT: Type = { kind: 'base', name: 'unsigned short', size: 2, encoding: 'address' };
const BYTE: Type = { kind: 'base', name: 'unsigned char', size: 1, encoding: 'address' };
const IOPL_SHIFT = 12;

/** Word index of st(n). */
const stackRegister = (target: Target, n: number): number => {
  const { m32 } = target.processor.cpu;
  return W.FPU_REGS + 4 * ((((m32[W.FPU_SW] >> 11) & 7) + n) & 7);
};
/** The ten bytes of st(n). */
export const stackBytes = (target: Target, n: number): Uint8Array => {
  const { m32 } = target.processor.cpu;
  const at = stackRegister(target, n) * 4;
  return new Uint8Array(m32.buffer, m32.byteOffset + at, 10).slice();
};
/** Nothing was loaded there: the tag says empty. */
export const stackEmpty = (target: Target, n: number): boolean => {
  const { m32 } = target.processor.cpu;
  return (m32[W.FPU_VALID] & (1 << ((((m32[W.FPU_SW] >> 11) & 7) + n) & 7))) === 0;
};

/** mm(n) is the mantissa of the physical x87 register n; xmm(n) is a register of its own. Both as every type that its instructions know. */
const vectorRegister = (target: Target, wide: boolean, n: number): Value => {
  const { m32 } = target.processor.cpu;
  const at = (wide ? W.XMM : W.FPU_REGS) + 4 * n;
  // The register itself, not a copy: a row that is open shows what was just written to one of its parts.
  const bytes = new Uint8Array(m32.buffer, m32.byteOffset + at * 4, wide ? 16 : 8);
  const value = overlaid(wide ? 'vec128' : 'vec64', bytes, [
    ...(wide
      ? ([
          ['v4_float', FLOAT],
          ['v2_double', DOUBLE],
        ] as const)
      : []),
    [wide ? 'v2_int64' : 'uint64', UWIDE],
    [wide ? 'v4_int32' : 'v2_int32', ADDRESS],
    [wide ? 'v8_int16' : 'v4_int16', USHORT],
    [wide ? 'v16_int8' : 'v8_int8', BYTE],
  ]);
  return { ...value, part: { register: `${wide ? 'xmm' : 'mm'}${n}`, offset: 0 } };
};
/** Writes bytes of an MMX or SSE register. What an MMX instruction does to the x87 unit is done too: all registers in use, TOP 0, this one's exponent all ones. */
export const setVectorPart = (target: Target, register: string, offset: number, bytes: Uint8Array): void => {
  const { m32, m8 } = target.processor.cpu;
  const n = Number(register.slice(-1));
  const at = register.startsWith('x') ? xmm(n) : mm(n);
  m8.set(bytes, at * 4 + offset);
  if (register.startsWith('x')) return;
  enterMmx(m32);
  wroteMmx(m32, at);
};

/** What `$name` is, for names that are not in the Guest's saved registers. */
export const machineRegister = (target: Target, name: string): Value | undefined => {
  const { m32 } = target.processor.cpu;
  if (Object.hasOwn(CONTROL_REGISTERS, name)) return { ...number(m32[CONTROL_REGISTERS[name]] >>> 0, ADDRESS), register: name };
  if (Object.hasOwn(FPU_WORDS, name)) return { ...number(m32[FPU_WORDS[name]] & 0xffff, USHORT), register: name };
  if (name === 'tr' || name === 'ldtr') return number(m32[W.SELECTOR + (name === 'tr' ? TR : LDTR)] & 0xffff, USHORT);
  const dr = /^dr([0-7])$/.exec(name);
  if (dr !== null) return { ...number(m32[W.DR + Number(dr[1])] >>> 0, ADDRESS), register: name };
  if (name === 'mxcsr') return { ...number(m32[W.MXCSR] >>> 0, ADDRESS), register: name };
  const vector = /^(x?mm)([0-7])$/.exec(name);
  if (vector !== null) return vectorRegister(target, vector[1] === 'xmm', Number(vector[2]));
  const st = /^st([0-7])$/.exec(name);
  if (st === null) return undefined;
  const value: Value = { type: LONG_DOUBLE, bits: 0n, bytes: stackBytes(target, Number(st[1])), register: name };
  return stackEmpty(target, Number(st[1])) ? { ...value, missing: 'empty' } : value;
};

/** `cs.base`, `ss.limit`, `gs.dpl`, `tr.access`; `gdtr.base`, `idtr.limit`; `eflags.ZF`, `eflags.IOPL`. */
export const partOf = (target: Target, name: string): Value | undefined => {
  const m = /^(eflags|[c-gs]s|ldtr|tr|gdtr|idtr)\.([A-Za-z]+)$/.exec(name);
  if (m === null) return undefined;
  const [, whole, part] = m;
  if (whole === 'eflags') {
    const flags = target.register('eflags');
    if (part === 'IOPL') return { ...number((flags >> IOPL_SHIFT) & 3, INT), register: name };
    return Object.hasOwn(FLAG_BITS, part) ? { ...number(flags & FLAG_BITS[part] ? 1 : 0, INT), register: name } : undefined;
  }
  const { m32 } = target.processor.cpu;
  if (whole === 'gdtr' || whole === 'idtr') {
    const [base, limit] = whole === 'gdtr' ? [W.GDT_BASE, W.GDT_LIMIT] : [W.IDT_BASE, W.IDT_LIMIT];
    return part === 'base' ? number(m32[base] >>> 0, ADDRESS) : part === 'limit' ? number(m32[limit] >>> 0, ADDRESS) : undefined;
  }
  const hidden =
    whole === 'tr' || whole === 'ldtr' ? hiddenOf(target.processor.cpu, whole === 'tr' ? TR : LDTR) : target.segment(whole as SegmentName);
  if (part === 'base') return number(hidden.base, ADDRESS);
  if (part === 'limit') return number(hidden.limit, ADDRESS);
  if (part === 'access') return number(hidden.access, ADDRESS);
  return part === 'dpl' ? number((hidden.access >> 5) & 3, UINT) : undefined;
};
/** Sets a register by name; flags as `eflags.IF`. @param real the value as a floating-point number, for x87 registers. @throws Error with one line. */
export const setRegister = (target: Target, name: string, value: number, real?: number): void => {
  const flag = /^eflags\.([A-Z]+)$/.exec(name)?.[1];
  if (flag === 'IOPL' || (flag !== undefined && Object.hasOwn(FLAG_BITS, flag))) {
    const mask = flag === 'IOPL' ? 3 << IOPL_SHIFT : FLAG_BITS[flag];
    const bits = flag === 'IOPL' ? (value & 3) << IOPL_SHIFT : value === 0 ? 0 : mask;
    target.setRegister('eflags', (target.register('eflags') & ~mask) | bits);
  } else if (isGuestRegister(name)) target.setRegister(name, value | 0);
  else if (name.startsWith('cr2.')) setCr2(target, name, value);
  else if (/^(cr|dr)\d$/.test(name)) setSystemRegister(target, name, value);
  else if (/^st[0-7]$/.test(name)) setStack(target, Number(name[2]), real ?? value);
  else if (name === 'mxcsr') {
    // As LDMXCSR checks it.
    if (value & ~MXCSR_MASK) throw new ExpressionError(`the processor refuses ${hex8(value)} for mxcsr: only the low 16 bits are there`);
    target.processor.cpu.m32[W.MXCSR] = value;
  } else if (Object.hasOwn(FPU_WORDS, name)) target.processor.cpu.m32[FPU_WORDS[name]] = name === 'ftw' ? value & 0xff : value & 0xffff;
  else throw new ExpressionError(`${name} cannot be changed`);
};

const setCr2 = (target: Target, name: string, value: number): void => {
  const { host } = target;
  if (host === undefined) throw new ExpressionError('this machine has one cr2: $cr2');
  if (name === 'cr2.hw') host.cpu.m32[W.CR2] = value;
  else if (name === 'cr2.host') host.lg.lastPagefault = value >>> 0;
  else if (name !== 'cr2.guest') throw new ExpressionError(`${name} cannot be changed`);
  else if (!host.lg.ldReachable(LD.cr2, 4)) throw new ExpressionError('the Guest has not made LGUEST_INIT yet');
  else host.cpu.physWrite(host.layout.memBase + host.lg.ld + LD.cr2, value, 4);
};
const setSystemRegister = (target: Target, name: string, value: number): void => {
  if (target.host !== undefined && name !== 'cr2' && name.startsWith('cr'))
    throw new ExpressionError(`${name} is the Host's: the Guest runs on ${name === 'cr3' ? 'shadow tables' : 'what the Host chose'}`);
  try {
    if (name.startsWith('cr')) setControlRegister(target.processor.cpu, Number(name[2]), value | 0);
    else setDebugRegister(target.processor.cpu, Number(name[2]), value | 0);
  } catch (thrown) {
    if (!(thrown instanceof CpuFault)) throw thrown;
    throw new ExpressionError(`the processor refuses ${hex8(value)} for ${name}`);
  }
};

/** A number as the 80-bit format has it, exactly; the register is not empty then. */
const setStack = (target: Target, n: number, value: number): void => {
  const { m32 } = target.processor.cpu;
  const at = stackRegister(target, n);
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const high = view.getUint32(0);
  const exponent = (high >>> 20) & 0x7ff;
  const sign = high >>> 31 ? 0x8000 : 0;
  let mantissa = (BigInt(high & 0xfffff) << 32n) | BigInt(view.getUint32(4));
  let wide = 0;
  if (exponent === 0x7ff) wide = 0x7fff;
  else if (exponent !== 0) wide = exponent - 1023 + 16383;
  mantissa = exponent === 0 ? mantissa << 11n : (mantissa | (1n << 52n)) << 11n;
  if (exponent === 0 && mantissa !== 0n) {
    // Below the smallest normal double: still a normal 80-bit number.
    wide = 1 - 1023 + 16383;
    while (mantissa >> 63n === 0n) {
      mantissa <<= 1n;
      wide--;
    }
  }
  m32[at] = Number(BigInt.asIntN(32, mantissa));
  m32[at + 1] = Number(BigInt.asIntN(32, mantissa >> 32n));
  m32[at + 2] = sign | wide;
  m32[W.FPU_VALID] |= 1 << ((at - W.FPU_REGS) >> 2);
};
