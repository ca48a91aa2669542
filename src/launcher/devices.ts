// The device page: where the Guest learns which virtio devices it has, and who answers when it kicks a queue.
//
// Descriptors stand one after another without padding: type, config length, status, then fields of {type, length, bytes}. Each queue takes the next interrupt
// number and the next pages after RAM. Our documentation, 11.2 to 11.6. Left out: the devices themselves.

import { LauncherDeath, LauncherError } from './errors';
import { type GuestMemory, hex } from './guest-memory';
import { QUEUE_ENTRIES, ringBytes, Virtqueue } from './virtqueue';

const PAGE = 4096;
export const DEVICE_PAGES = 256;
export const DEVICE = { NET: 1, BLOCK: 2, CONSOLE: 3 } as const;
const FIELD_VIRTQUEUE = 2;
/** Config field types of virtio 2.6.24. */
export const FIELD = { MAC: 0x41, CAPACITY: 0x41, SEG_MAX: 0x43 } as const;
/** Status bit: the driver is ready. */
export const STATUS_DRIVER_OK = 4;

export interface Device {
  name: string;
  /** Guest-physical address of the descriptor. */
  descriptor: number;
  queues: Virtqueue[];
}

export class DevicePage {
  readonly devices: Device[] = [];
  private readonly page: number;
  private end: number;
  private nextIrq = 1;

  constructor(
    private readonly memory: GuestMemory,
    private readonly raise: (irq: number) => void,
  ) {
    this.page = this.takePages(1);
    this.end = this.page;
  }

  private takePages(count: number): number {
    const at = this.memory.limit;
    if (at + count * PAGE > this.memory.maxBytes) throw new LauncherError('Not enough memory for devices: take some away');
    this.memory.limit += count * PAGE;
    return at;
  }
  private byte(value: number): void {
    if (this.end >= this.page + PAGE) throw new LauncherError('Too many devices: take some away');
    this.memory.set8(this.end++, value);
  }

  /** Adds a device. Queues come first in its config, then the fields. */
  add(name: string, type: number, queueCount: number, fields: { type: number; bytes: Uint8Array }[]): Device {
    const descriptor = this.end;
    const queues: Virtqueue[] = [];
    this.byte(type);
    this.byte(0);
    this.byte(0);
    const field = (fieldType: number, bytes: Uint8Array): void => {
      this.byte(fieldType);
      this.byte(bytes.length);
      for (const b of bytes) this.byte(b);
    };
    for (let i = 0; i < queueCount; i++) {
      const pfn = this.takePages(Math.ceil(ringBytes(QUEUE_ENTRIES) / PAGE)) / PAGE;
      const irq = this.nextIrq++;
      queues.push(new Virtqueue(this.memory, irq, pfn, this.raise));
      field(FIELD_VIRTQUEUE, le([QUEUE_ENTRIES, 2], [irq, 2], [pfn, 4]));
    }
    for (const f of fields) field(f.type, f.bytes);
    this.memory.set8(descriptor + 1, this.end - descriptor - 3);
    const device = { name, descriptor, queues };
    this.devices.push(device);
    return device;
  }

  /** True once the Guest's driver said so. */
  isReady(device: Device): boolean {
    return (this.memory.u8(device.descriptor + 2) & STATUS_DRIVER_OK) !== 0;
  }

  /** The Guest's NOTIFY: a kick of the queue on that page, else a string for the console. @returns the string. */
  notify(address: number): Uint8Array | undefined {
    const pfn = address >>> 12;
    for (const device of this.devices) {
      for (const queue of device.queues) {
        if (queue.pfn !== pfn || queue.onKick === undefined) continue;
        queue.kick();
        return undefined;
      }
    }
    if (address >>> 0 >= this.memory.limit) throw new LauncherDeath(`Bad NOTIFY ${hex(address)}`);
    const rest = this.memory.view(address, this.memory.limit - address);
    const end = rest.indexOf(0);
    return rest.slice(0, end < 0 ? rest.length : end);
  }
}

/** Little-endian bytes of [value, size] pairs; values below 2^53. */
export const le = (...parts: [value: number, size: number][]): Uint8Array => {
  const bytes: number[] = [];
  for (const [value, size] of parts) for (let i = 0; i < size; i++) bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
  return Uint8Array.from(bytes);
};
