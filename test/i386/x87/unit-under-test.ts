// A bare x87 unit for tests: a Cpu in flat protected mode, one instruction at a time through the handlers.

import { Cpu, CpuFault } from '../../../src/i386/cpu';
import { decode, R } from '../../../src/i386/decode';
import { HANDLERS } from '../../../src/i386/interpreter';
import { RAM_BASE, W } from '../../../src/i386/state';
import { initialise } from '../../../src/i386/x87/unit';

const TRANSCENDENTAL = new Set(['f2xm1', 'fyl2x', 'fptan', 'fpatan', 'fyl2xp1', 'fsincos', 'fsin', 'fcos']);
/** Units in the last place that a result may be off. */
export const exactness = (name: string): number => (TRANSCENDENTAL.has(name) ? 1 : 0);

export class Unit {
  readonly cpu = new Cpu({ ramBytes: 0x10000 });
  readonly m = this.cpu.m32;

  constructor() {
    this.cpu.code = new Int32Array(8);
    // Protected mode, native errors; six flat segments.
    this.m[W.CR0] = 0x31;
    for (let seg = 0; seg < 6; seg++) {
      this.m[W.LIMIT + seg] = -1;
      this.m[W.ACCESS + seg] = seg === 1 ? 0xc09b : 0xc093;
    }
    this.cpu.updateMode();
    initialise(this.m);
  }
  get status(): number {
    return this.m[W.FPU_SW];
  }
  /** Writes 20 hex digits to ST(n) and marks it as filled. */
  setST(n: number, raw: string): void {
    const physical = ((this.m[W.FPU_SW] >> 11) + n) & 7;
    const slot = W.FPU_REGS + 4 * physical;
    this.m[slot] = Number.parseInt(raw.slice(12), 16);
    this.m[slot + 1] = Number.parseInt(raw.slice(4, 12), 16);
    this.m[slot + 2] = Number.parseInt(raw.slice(0, 4), 16);
    this.m[W.FPU_VALID] |= 1 << physical;
  }
  /** Fresh unit with two numbers on the stack. */
  prepare(cw: number, st0: string, st1: string): void {
    initialise(this.m);
    this.m[W.FPU_CW] = cw | 0x40;
    this.m.fill(0, W.FPU_REGS, W.FPU_REGS + 32);
    this.setST(0, st0);
    this.setST(1, st1);
  }
  /** Executes the bytes; returns the vector it faulted with, or -1. @param big false in a 16-bit segment. */
  execute(bytes: number[], big = true): number {
    const c = this.cpu;
    const length = decode(Uint8Array.from([...bytes, 0, 0, 0, 0, 0, 0, 0, 0]), 0, bytes.length + 8, big, c.code, 0);
    c.blockEip = this.m[W.EIP];
    const next = (this.m[W.EIP] + length) | 0;
    try {
      HANDLERS[c.code[R.FORM]](c, 0);
    } catch (error) {
      if (!(error instanceof CpuFault)) throw error;
      return error.vector;
    }
    this.m[W.EIP] = next;
    return -1;
  }
  /** Bytes of the emulated memory. */
  read(address: number, length: number): string {
    return Buffer.from(this.cpu.m8.subarray(RAM_BASE + address, RAM_BASE + address + length)).toString('hex');
  }
  write(address: number, hex: string): void {
    this.cpu.m8.set(Buffer.from(hex, 'hex'), RAM_BASE + address);
  }
}
