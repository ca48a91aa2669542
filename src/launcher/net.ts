// A virtio network card on a wire that leads nowhere but back: another part of this program answers, or a second Guest. Never the workstation's network.
//
// Each packet is preceded by an 8-byte header in its own buffer. Our documentation, 11.7. Left out: protocols (echo.ts).

import { LauncherDeath } from './errors';
import { DEVICE, type Device, type DevicePage, FIELD } from './devices';
import type { GuestMemory } from './guest-memory';
import type { Chain } from './virtqueue';

const HEADER_BYTES = 8;
/** Longer frames are dropped. */
const FRAME_MAX = 0xffff;
/** Frames that wait for a buffer; more are dropped, as a wire does. */
const WAITING_MAX = 256;

export class Net {
  readonly device: Device;
  private waiting: Uint8Array[] = [];
  /** Called with each frame that the Guest sends. */
  onTransmit: (frame: Uint8Array) => void = () => {};

  constructor(
    private readonly memory: GuestMemory,
    private readonly page: DevicePage,
    mac: Uint8Array,
    private readonly warn: (line: string) => void,
  ) {
    this.device = page.add('net', DEVICE.NET, 2, [{ type: FIELD.MAC, bytes: mac }]);
    this.device.queues[0].onKick = () => this.feed();
    this.device.queues[1].onKick = () => this.transmit();
  }

  /** A frame arrives from the wire. */
  receive(frame: Uint8Array): void {
    if (this.waiting.length < WAITING_MAX) this.waiting.push(frame.slice());
    this.feed();
  }

  private feed(): void {
    const queue = this.device.queues[0];
    while (this.waiting.length > 0) {
      const chain = queue.take();
      if (chain === undefined) {
        if (this.page.isReady(this.device)) this.warn('network: no dma buffer!');
        return;
      }
      if (chain.out.length > 0) throw new LauncherDeath('Output buffers in network recv queue?');
      const header = this.header(chain, chain.in[0]);
      this.memory.set8(header, 0);
      this.memory.set8(header + 1, 0);
      const frame = this.waiting.shift() ?? new Uint8Array(0);
      let n = 0;
      for (const b of chain.in.slice(1)) {
        const part = frame.subarray(n, n + b.length);
        this.memory.write(b.address, part);
        n += part.length;
      }
      queue.giveBack(chain.head, HEADER_BYTES + n);
      queue.interrupt();
    }
  }

  private transmit(): void {
    const queue = this.device.queues[1];
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      if (chain.in.length > 0) throw new LauncherDeath('Input buffers in output queue?');
      this.header(chain, chain.out[0]);
      const parts = chain.out.slice(1);
      const length = parts.reduce((sum, b) => sum + b.length, 0);
      if (length > FRAME_MAX) {
        // The original hands it to its tap device, which refuses; nobody looks at the answer.
        queue.giveBack(chain.head, length);
        queue.interrupt();
        continue;
      }
      const frame = new Uint8Array(length);
      let n = 0;
      for (const b of parts) {
        frame.set(this.memory.view(b.address, b.length), n);
        n += b.length;
      }
      queue.giveBack(chain.head, n);
      queue.interrupt();
      this.onTransmit(frame);
    }
  }

  private header(_chain: Chain, buffer: { address: number; length: number } | undefined): number {
    if (buffer === undefined || buffer.length !== HEADER_BYTES)
      throw new LauncherDeath(`Bad iovec size ${buffer?.length ?? 0} for virtio_net_hdr`);
    if (buffer.address & 1) throw new LauncherDeath(`Bad alignment ${buffer.address.toString(16).padStart(8, '0')} for virtio_net_hdr`);
    return buffer.address;
  }

  save(): NetState {
    return { waiting: this.waiting.map((f) => f.slice()), lastAvail: this.device.queues.map((q) => q.lastAvail) };
  }
  restore(s: NetState): void {
    this.waiting = s.waiting.map((f) => f.slice());
    for (const [i, queue] of this.device.queues.entries()) queue.lastAvail = s.lastAvail[i];
  }
}

export interface NetState {
  waiting: Uint8Array[];
  lastAvail: number[];
}
