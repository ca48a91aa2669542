// The Launcher's view of Guest memory: one array that begins at guest-physical 0.
//
// Writes go through the processor's physical memory, so that watches and the code cache see them. Left out: the Guest's virtual addresses.

import type { Cpu } from '../i386/cpu';
import { RAM_BASE } from '../i386/state';
import { LauncherDeath } from './errors';

export class GuestMemory {
  /** End of what the Guest may name: RAM and the device pages in use. Grows while devices are made. */
  limit: number;

  constructor(
    private readonly cpu: Cpu,
    /** Physical address of guest-physical 0. */
    readonly base: number,
    /** Bytes of RAM; device pages follow. */
    readonly ramBytes: number,
    /** Bytes in all. */
    readonly maxBytes: number,
  ) {
    this.limit = ramBytes;
  }

  /** A live view, for reading. */
  view(address: number, length: number): Uint8Array {
    const a = RAM_BASE + this.base + address;
    return this.cpu.m8.subarray(a, a + length);
  }
  u8(address: number): number {
    return this.cpu.m8[RAM_BASE + this.base + address];
  }
  u16(address: number): number {
    return this.u8(address) | (this.u8(address + 1) << 8);
  }
  u32(address: number): number {
    return (this.u16(address) | (this.u16(address + 2) << 16)) >>> 0;
  }
  set8(address: number, value: number): void {
    this.cpu.physWrite(this.base + address, value & 0xff, 1);
  }
  set16(address: number, value: number): void {
    this.set8(address, value);
    this.set8(address + 1, value >> 8);
  }
  set32(address: number, value: number): void {
    if (((this.base + address) & 0xfff) <= 0xffc) this.cpu.physWrite(this.base + address, value | 0, 4);
    else {
      this.set16(address, value);
      this.set16(address + 2, value >> 16);
    }
  }
  write(address: number, bytes: Uint8Array): void {
    let i = 0;
    // Word by word where it can be: devices move whole pages.
    for (; i < bytes.length && ((this.base + address + i) & 3) !== 0; i++) this.set8(address + i, bytes[i]);
    for (; i + 4 <= bytes.length; i += 4)
      this.cpu.physWrite(this.base + address + i, bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24), 4);
    for (; i < bytes.length; i++) this.set8(address + i, bytes[i]);
  }
  /** Before the first instruction: straight into memory. */
  load(address: number, bytes: Uint8Array): void {
    this.cpu.m8.set(bytes, RAM_BASE + this.base + address);
  }

  /**
   * Checks a buffer that a descriptor names, as the original does (32-bit sums, an end exactly at the limit is refused).
   * The original's undetected wrap-around is refused too.
   */
  checkPointer(address: number, length: number): number {
    const end = (address + length) >>> 0;
    if (address >= this.limit || end >= this.limit || end < address)
      throw new LauncherDeath(`lguest.c:check_pointer: Invalid address ${hex(address)}`);
    return address;
  }
}

/** `%#lx` */
export const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
