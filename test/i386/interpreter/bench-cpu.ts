// A processor on a test bench: flat segments, no paging (or identity paging with chosen pages), one instruction at a time, no run loop.
//
// The tests of the interpreter look at single instructions, so the loop, the block cache and deliveries stay out of the picture.

import { Cpu, CpuFault } from '../../../src/i386/cpu';
import { decode, R } from '../../../src/i386/decode';
import { HANDLERS } from '../../../src/i386/interpreter';
import { CODE, CR0, CS, ES, GS, PAGE, RAM_BASE, SS, TLB, W } from '../../../src/i386/state';

/** What an instruction raised. */
export interface Raised {
  vector: number;
  errorCode: number;
}

const TABLES = 0x300000;

export class Bench {
  readonly cpu = new Cpu({ ramBytes: 0x400000 });
  readonly m32 = this.cpu.m32;
  readonly m8 = this.cpu.m8;

  constructor() {
    this.cpu.code = new Int32Array(this.cpu.memory.buffer, CODE, 64);
    this.reset();
  }

  /** Everything as new: registers and memory zero, no paging. */
  private reset(): void {
    this.m8.fill(0, 0, TLB.SUPER_READ);
    this.m8.fill(0, RAM_BASE);
    this.cpu.flushTlb();
    this.cpu.unfinished = false;
    this.m32[W.EFLAGS] = 2;
    this.m32[W.CR0] = CR0.PE | CR0.ET;
    this.segments(true, 0);
  }

  private static shared: Bench | undefined;
  /** The bench of this test file, as new: one test at a time uses it. */
  static fresh(): Bench {
    Bench.shared ??= new Bench();
    Bench.shared.reset();
    return Bench.shared;
  }

  /** Flat 4 GB segments, 32-bit or 16-bit, at a privilege level. */
  segments(big: boolean, cpl: number): void {
    const { m32 } = this;
    for (let seg = ES; seg <= GS; seg++) {
      m32[W.BASE + seg] = 0;
      m32[W.LIMIT + seg] = -1;
      m32[W.ACCESS + seg] = (big ? 0xc000 : 0x8000) | 0x90 | (cpl << 5) | (seg === CS ? 0xb : 0x3);
    }
    m32[W.CPL] = cpl;
    this.cpu.updateMode();
  }
  /** Limits one segment to [0, limit]. */
  limit(seg: number, limit: number): void {
    this.m32[W.LIMIT + seg] = limit;
    this.cpu.updateMode();
  }
  /** Makes the stack 16 bits wide. */
  narrowStack(): void {
    this.m32[W.ACCESS + SS] &= ~0x4000;
    this.cpu.updateMode();
  }

  /** Identity paging over the first 4 MB; `flags` gives the low bits of a page's entry (0 = not present). */
  paging(flags: (page: number) => number): void {
    const { m32 } = this;
    const directory = (RAM_BASE + TABLES) >> 2;
    m32[directory] = (TABLES + PAGE) | 7;
    for (let page = 0; page < 1024; page++) m32[directory + 1024 + page] = (page << 12) | flags(page);
    m32[W.CR3] = TABLES;
    m32[W.CR0] |= CR0.PG | CR0.WP;
    this.cpu.flushTlb();
  }

  /**
   * Decodes and executes one instruction given as hex, at EIP `eip`.
   * @returns what it raised; EIP afterwards is in m32[W.EIP], as the run loop would have it.
   */
  run(hex: string, eip = 0x1000): Raised | undefined {
    const { cpu, m32 } = this;
    const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    const length = decode(bytes, 0, bytes.length, m32[W.CS_BIG] !== 0, cpu.code, 0);
    if (length !== bytes.length) throw new Error(`${hex}: decodes to ${length} bytes`);
    cpu.blockEip = eip;
    m32[W.EIP] = eip + length;
    try {
      HANDLERS[cpu.code[R.FORM]](cpu, 0);
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof CpuFault)) throw thrown;
      m32[W.EIP] = eip;
      return { vector: thrown.vector, errorCode: thrown.errorCode };
    }
  }

  setRegs(values: Partial<Record<number, number>>): void {
    for (const [n, value] of Object.entries(values)) this.m32[Number(n)] = value as number;
  }
  /** Bytes of memory at a physical address, as hex. */
  bytes(at: number, length: number): string {
    return Buffer.from(this.m8.subarray(RAM_BASE + at, RAM_BASE + at + length)).toString('hex');
  }
  poke(at: number, hex: string): void {
    this.m8.set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), RAM_BASE + at);
  }
  dword(at: number): number {
    return this.m32[(RAM_BASE + at) >> 2];
  }
  setDword(at: number, value: number): void {
    this.m32[(RAM_BASE + at) >> 2] = value;
  }
}

/** A reproducible stream of uint32 (xorshift). */
export const stream = (seed: number): (() => number) => {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
};
