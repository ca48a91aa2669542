// A virtio disk: an image that is never changed, with the Guest's writes in a layer above it. Who wants them elsewhere too is told of each.
//
// Requests are a header, data and a status byte. They are served at the kick, in ring order, with one interrupt each; the original uses a thread for it.
// A barrier needs nothing: requests are served in order, and each is done before the next is looked at. Our documentation, 11.7. Left out: where the image comes
// from, and files.

import { LauncherDeath } from './errors';
import { DEVICE, type Device, type DevicePage, FIELD, le } from './devices';
import type { GuestMemory } from './guest-memory';
import type { Chain, Virtqueue } from './virtqueue';

const SECTOR = 512;
const HEADER_BYTES = 24;
const WRITE = 1;
const SCSI = 2;
const STATUS_OK = 0;
const STATUS_UNSUPPORTED = 2;
/** Requests carry at most so many data segments (ring size less header and status). */
const SEG_MAX = 126;

export class Block {
  readonly device: Device;
  /** Sectors that the Guest wrote, by number. */
  private layer = new Map<number, Uint8Array>();
  /** Called with each write of the Guest, after it is in the layer. `at`: bytes from the image's start; `bytes`: the Guest's own memory, for now. */
  onWrite: (at: number, bytes: Uint8Array) => void = () => {};

  constructor(
    private readonly memory: GuestMemory,
    page: DevicePage,
    private readonly image: Uint8Array,
    private readonly warn: (line: string) => void,
  ) {
    this.device = page.add('block', DEVICE.BLOCK, 1, [
      { type: FIELD.CAPACITY, bytes: le([Math.floor(image.length / SECTOR), 8]) },
      { type: FIELD.SEG_MAX, bytes: le([SEG_MAX, 4]) },
    ]);
    this.device.queues[0].onKick = () => this.serve();
  }

  private serve(): void {
    const queue = this.device.queues[0];
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      queue.giveBack(chain.head, this.request(queue, chain));
      queue.interrupt();
    }
  }

  /** @returns the used length. */
  private request(queue: Virtqueue, chain: Chain): number {
    const { memory } = this;
    const header = chain.out[0];
    const status = chain.in.at(-1);
    if (header === undefined || status === undefined)
      throw new LauncherDeath(`Bad virtblk cmd ${chain.head} out=${chain.out.length} in=${chain.in.length}`);
    if (header.length !== HEADER_BYTES) throw new LauncherDeath(`Bad iovec size ${header.length} for virtio_blk_outhdr`);
    if (header.address & 3) throw new LauncherDeath(`Bad alignment ${header.address.toString(16).padStart(8, '0')} for virtio_blk_outhdr`);
    if (status.length !== 1) throw new LauncherDeath(`Bad iovec size ${status.length} for virtio_blk_inhdr`);
    const type = memory.u32(header.address);
    const sector = memory.u32(header.address + 8) + memory.u32(header.address + 12) * 2 ** 32;
    const start = sector * SECTOR;
    if (type & SCSI) {
      this.warn('Scsi commands unsupported');
      memory.set8(status.address, STATUS_UNSUPPORTED);
      return 1;
    }
    if (type & WRITE) {
      const data = chain.out.slice(1);
      const length = data.reduce((sum, b) => sum + b.length, 0);
      if (start + length > this.image.length) throw new LauncherDeath(`Write past end ${start}+${length}`);
      queue.spend(length);
      let at = start;
      for (const b of data) {
        const bytes = memory.view(b.address, b.length);
        this.write(at, bytes);
        this.onWrite(at, bytes);
        at += b.length;
      }
      memory.set8(status.address, STATUS_OK);
      return 1;
    }
    // Quirk: the data buffers are counted from the header on, so this is right only with exactly one readable descriptor, which is all Linux sends.
    const all = [...chain.out, ...chain.in];
    let at = start;
    let bytes = 0;
    for (const b of all.slice(1, chain.in.length)) {
      const part = this.read(at, b.length);
      queue.spend(part.length);
      memory.write(b.address, part);
      at += part.length;
      bytes += part.length;
      if (part.length < b.length) break;
    }
    memory.set8(status.address, STATUS_OK);
    return 1 + bytes;
  }

  /** Up to `length` bytes; fewer at the image's end. */
  private read(at: number, length: number): Uint8Array {
    const end = Math.min(at + length, this.image.length);
    if (at >= end) return new Uint8Array(0);
    const bytes = this.image.slice(at, end);
    for (let s = Math.floor(at / SECTOR); s * SECTOR < end; s++) {
      const own = this.layer.get(s);
      if (own === undefined) continue;
      const from = Math.max(at, s * SECTOR);
      const to = Math.min(end, s * SECTOR + own.length);
      bytes.set(own.subarray(from - s * SECTOR, to - s * SECTOR), from - at);
    }
    return bytes;
  }
  private write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const s = Math.floor((at + done) / SECTOR);
      const offset = at + done - s * SECTOR;
      const n = Math.min(SECTOR - offset, bytes.length - done);
      const sector = this.layer.get(s) ?? this.image.slice(s * SECTOR, (s + 1) * SECTOR);
      sector.set(bytes.subarray(done, done + n), offset);
      this.layer.set(s, sector);
      done += n;
    }
  }

  save(): BlockState {
    return {
      layer: [...this.layer].sort((a, b) => a[0] - b[0]).map(([s, bytes]) => [s, bytes.slice()]),
      lastAvail: this.device.queues[0].lastAvail,
    };
  }
  restore(s: BlockState): void {
    this.layer = new Map(s.layer.map(([n, bytes]) => [n, bytes.slice()]));
    this.device.queues[0].lastAvail = s.lastAvail;
  }
}

export interface BlockState {
  layer: [sector: number, bytes: Uint8Array][];
  lastAvail: number;
}
