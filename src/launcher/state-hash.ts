// One number for a whole machine: equal states give equal hashes, on every machine and with every engine.
//
// Only what the architecture defines goes in: registers by value (not lazy flags), memory page by page (zero pages cost nothing), the records of Host and
// devices. Left out: caches of all kinds.

import type { Cpu } from '../i386/cpu';
import { F, RAM_BASE, W } from '../i386/state';

const PAGE_WORDS = 1024;

export class Hash {
  private a = 0x243f6a88 | 0;
  private b = 0x85a308d3 | 0;

  word(value: number): void {
    this.a = Math.imul(this.a ^ value, 0x9e3779b1);
    this.a ^= this.a >>> 15;
    this.b = Math.imul(this.b + value, 0x85ebca77) ^ (this.a >>> 7);
    this.b = (this.b << 13) | (this.b >>> 19);
  }
  number(value: number): void {
    this.word(value | 0);
    this.word(Math.floor(value / 2 ** 32) | 0);
  }
  text(value: string): void {
    this.word(value.length);
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i));
  }
  /** Plain data: numbers, strings, booleans, arrays, byte arrays, objects (keys in order). */
  data(value: unknown): void {
    if (typeof value === 'number') this.number(value);
    else if (typeof value === 'string') this.text(value);
    else if (value instanceof Uint8Array) {
      this.word(value.length);
      for (const byte of value) this.word(byte);
    } else if (Array.isArray(value)) {
      this.word(value.length);
      for (const item of value) this.data(item);
    } else if (value !== null && typeof value === 'object') {
      for (const [key, item] of Object.entries(value)) {
        this.text(key);
        this.data(item);
      }
    } else this.word(value === true ? 1 : value === false ? 2 : 3);
  }
  /** Physical pages [from, to), zero pages left out. */
  pages(m32: Int32Array, from: number, to: number): void {
    for (let page = from; page < to; page += PAGE_WORDS * 4) {
      const start = (RAM_BASE + page) >> 2;
      let any = 0;
      for (let i = start; i < start + PAGE_WORDS; i++) any |= m32[i];
      if (any === 0) continue;
      this.word(page);
      let { a, b } = this;
      for (let i = start; i < start + PAGE_WORDS; i++) {
        const v = m32[i];
        a = Math.imul(a ^ v, 0x9e3779b1);
        a ^= a >>> 15;
        b = Math.imul(b + v, 0x85ebca77) ^ (a >>> 7);
        b = (b << 13) | (b >>> 19);
      }
      this.a = a;
      this.b = b;
    }
  }
  /** 16 hex digits. */
  finish(): string {
    const h = (v: number): string => (v >>> 0).toString(16).padStart(8, '0');
    return h(this.a) + h(this.b);
  }
}

/** The processor's registers, as the architecture knows them. */
export const hashCpu = (hash: Hash, cpu: Cpu): void => {
  const { m32, f64 } = cpu;
  for (let i = 0; i < 8; i++) hash.word(m32[i]);
  hash.word(m32[W.EIP]);
  hash.word(cpu.getFlags());
  hash.word(m32[W.CPL]);
  for (let i = W.SELECTOR; i < W.FLAT; i++) hash.word(m32[i]);
  hash.word(m32[W.SHADOW]);
  for (let i = W.SYSENTER_CS; i <= W.FPU_IGNORE; i++) hash.word(m32[i]);
  for (let i = W.FPU_CW; i <= W.MXCSR; i++) hash.word(m32[i]);
  for (let i = W.XMM; i < W.XMM + 32; i++) hash.word(m32[i]);
  hash.number(f64[F.RETIRED]);
  hash.number(f64[F.RETIRED_HOST]);
};
