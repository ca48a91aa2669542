// The Guest's registers, wherever they are: in the processor while the Guest runs, in the register page while the Host does.
//
// A debugger shows and edits the Guest's registers at every stop; this is its one way to them. Left out: the Switcher's own registers (the processor's).

import { CpuFault, type Cpu } from '../i386/cpu';
import { loadSegment } from '../i386/segments';
import { CS, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, SS, W } from '../i386/state';
import { REGS } from './abi';
import type { Guest } from './guest';

export const GUEST_REGISTERS = [
  'eax',
  'ebx',
  'ecx',
  'edx',
  'esi',
  'edi',
  'ebp',
  'esp',
  'eip',
  'eflags',
  'cs',
  'ss',
  'ds',
  'es',
  'fs',
  'gs',
] as const;
export type GuestRegister = (typeof GUEST_REGISTERS)[number];

/** By offset in lguest_regs. */
const NAME_AT = new Map<number, GuestRegister>(GUEST_REGISTERS.map((name) => [REGS[name], name]));

export interface GuestContext {
  /** uint32. */
  get(name: GuestRegister): number;
  /** Throws an Error with one line for a selector that the processor refuses. */
  set(name: GuestRegister, value: number): void;
}

const GENERAL: Partial<Record<GuestRegister, number>> = {
  eax: EAX,
  ebx: EBX,
  ecx: ECX,
  edx: EDX,
  esi: ESI,
  edi: EDI,
  ebp: EBP,
  esp: ESP,
  eip: W.EIP,
};
const SEGMENTS: Partial<Record<GuestRegister, number>> = { cs: CS, ss: SS, ds: DS, es: ES, fs: FS, gs: GS };

export class Context implements GuestContext {
  constructor(private readonly host: { readonly cpu: Cpu; readonly lg: Guest; readonly inGuest: boolean }) {}

  get(name: GuestRegister): number {
    const { cpu, lg, inGuest } = this.host;
    const segment = SEGMENTS[name];
    if (!inGuest) return segment === undefined ? lg.reg(REGS[name]) >>> 0 : lg.reg(REGS[name]) & 0xffff;
    if (name === 'eflags') return cpu.getFlags() >>> 0;
    if (segment !== undefined) return cpu.m32[W.SELECTOR + segment] & 0xffff;
    return cpu.m32[GENERAL[name] ?? 0] >>> 0;
  }

  set(name: GuestRegister, value: number): void {
    const { cpu, lg, inGuest } = this.host;
    if (!inGuest) {
      lg.setReg(REGS[name], value);
      return;
    }
    const segment = SEGMENTS[name];
    if (name === 'eflags') cpu.setFlags(value);
    else if (segment === undefined) cpu.m32[GENERAL[name] ?? 0] = value;
    else if (segment === CS) throw new Error('cs cannot be changed while the Guest runs: stop before a trap is delivered');
    else {
      try {
        loadSegment(cpu, segment, value & 0xffff);
        cpu.updateMode();
      } catch (thrown) {
        if (!(thrown instanceof CpuFault)) throw thrown;
        throw new Error(`the processor refuses selector 0x${(value & 0xffff).toString(16)} for ${name}`);
      }
    }
  }
}

/**
 * The Guest as the Host would find it, if it trapped now: for questions about what would be. Reading it is safe, applying a plan made from it is not.
 * @param as registers that differ from now.
 */
export const guestNow = (
  host: { readonly lg: Guest; readonly context: GuestContext },
  as: Partial<Record<GuestRegister, number>> = {},
): Guest => {
  const { lg, context } = host;
  const now = Object.create(lg) as Guest;
  now.reg = (offset) => {
    const name = NAME_AT.get(offset);
    return name === undefined ? lg.reg(offset) : (as[name] ?? context.get(name)) | 0;
  };
  return now;
};
