// One virtqueue as the Launcher works it: takes chains of buffers that the Guest made available, gives them back used.
//
// The layout and the checks are the 2.6.24 Launcher's; a Guest that breaks them ends itself (LauncherDeath). Our documentation, 11.5. Left out: what is in the
// buffers (console.ts, block.ts, net.ts).

import { LauncherDeath } from './errors';
import type { GuestMemory } from './guest-memory';

const PAGE = 4096;
export const QUEUE_ENTRIES = 128;
const DESC_NEXT = 1;
const DESC_WRITE = 2;
/**
 * Bytes that one kick may ask a device to move. A driver's ring holds 128 segments of at most 64 KB, so none comes near it; without a bound, a Guest whose chains
 * name all of its memory over and over would keep the workstation busy for hours.
 */
const KICK_BYTES = 64 << 20;
/** avail.flags: the Guest wants no interrupt. */
const NO_INTERRUPT = 1;

/** Bytes of a ring with `num` entries. */
export const ringBytes = (num: number): number => roundUp(num * 16 + 4 + 2 * num) + 4 + 8 * num;
const roundUp = (n: number): number => Math.ceil(n / PAGE) * PAGE;

export interface Buffer {
  address: number;
  length: number;
}
export interface Chain {
  head: number;
  /** Buffers that the Guest filled. */
  out: Buffer[];
  /** Buffers that the Guest wants filled. */
  in: Buffer[];
}

export class Virtqueue {
  /** Index of the next available entry that was not looked at, uint16. */
  lastAvail = 0;
  /** Called when the Guest kicks the queue; undefined: a kick is taken for a string, as in the original. */
  onKick: (() => void) | undefined;

  private moved = 0;

  constructor(
    private readonly memory: GuestMemory,
    readonly irq: number,
    /** Guest-physical page number of the ring. */
    readonly pfn: number,
    private readonly raise: (irq: number) => void,
    readonly num = QUEUE_ENTRIES,
  ) {}

  private get base(): number {
    return this.pfn * PAGE;
  }
  /** Guest-physical address of the available ring: flags, index, heads. */
  get avail(): number {
    return this.base + this.num * 16;
  }
  /** Guest-physical address of the used ring: flags, index, {head, length}. */
  get used(): number {
    return this.base + roundUp(this.num * 16 + 4 + 2 * this.num);
  }

  /** The Guest's NOTIFY for this queue. */
  kick(): void {
    this.moved = 0;
    this.onKick?.();
  }
  /** Accounts for bytes that a device is about to move for this kick. */
  spend(bytes: number): void {
    this.moved += bytes;
    if (this.moved > KICK_BYTES) throw new LauncherDeath(`Guest asked a device to move more than ${KICK_BYTES >> 20} MB at once`);
  }

  /** The next available chain, or undefined when there is none. */
  take(): Chain | undefined {
    const { memory, num } = this;
    const idx = memory.u16(this.avail + 2);
    if (((idx - this.lastAvail) & 0xffff) > num) throw new LauncherDeath(`Guest moved used index from ${this.lastAvail} to ${idx}`);
    if (idx === this.lastAvail) return undefined;
    const head = memory.u16(this.avail + 4 + (this.lastAvail % num) * 2);
    this.lastAvail = (this.lastAvail + 1) & 0xffff;
    if (head >= num) throw new LauncherDeath(`Guest says index ${head} is available`);
    const chain: Chain = { head, out: [], in: [] };
    let i = head;
    for (;;) {
      const at = this.base + i * 16;
      const address = memory.u32(at);
      const length = memory.u32(at + 8);
      const flags = memory.u16(at + 12);
      memory.checkPointer(address, length);
      if (flags & DESC_WRITE) chain.in.push({ address, length });
      else {
        if (chain.in.length > 0) throw new LauncherDeath('Descriptor has out after in');
        chain.out.push({ address, length });
      }
      if (chain.out.length + chain.in.length > num) throw new LauncherDeath('Looped descriptor');
      if ((flags & DESC_NEXT) === 0) return chain;
      i = memory.u16(at + 14);
      if (i >= num) throw new LauncherDeath(`Desc next is ${i}`);
    }
  }

  /** Gives a chain back. @param length bytes written into its buffers. */
  giveBack(head: number, length: number): void {
    const { memory, num } = this;
    const idx = memory.u16(this.used + 2);
    const at = this.used + 4 + (idx % num) * 8;
    memory.set32(at, head);
    memory.set32(at + 4, length);
    memory.set16(this.used + 2, (idx + 1) & 0xffff);
  }
  /** Interrupts the Guest unless it said that it looks by itself. */
  interrupt(): void {
    if ((this.memory.u16(this.avail) & NO_INTERRUPT) === 0) this.raise(this.irq);
  }
}
