// The virtio console: queue 0 brings what the user types, queue 1 what the Guest prints.
//
// Input waits here until the Guest offers a buffer; the 2.6.24 driver never takes interrupts for it, it polls. Our documentation, 11.7. Left out: terminals.

import { LauncherDeath } from './errors';
import { DEVICE, type Device, type DevicePage } from './devices';
import type { GuestMemory } from './guest-memory';

export class Console {
  readonly device: Device;
  private input: number[] = [];
  private ended = false;

  constructor(
    private readonly memory: GuestMemory,
    page: DevicePage,
    private readonly print: (bytes: Uint8Array) => void,
  ) {
    this.device = page.add('console', DEVICE.CONSOLE, 2, []);
    this.device.queues[0].onKick = () => this.feed();
    this.device.queues[1].onKick = () => this.output();
  }

  /** Bytes typed but not yet taken by the Guest. */
  get waiting(): number {
    return this.input.length;
  }
  type(bytes: Uint8Array): void {
    if (this.ended) return;
    for (const b of bytes) this.input.push(b);
    this.feed();
  }
  /** No more input will come: afterwards the input queue is nobody's. */
  end(): void {
    this.ended = true;
    if (this.input.length === 0) this.device.queues[0].onKick = undefined;
  }

  /** Moves waiting input into the buffers that the Guest offers, one chain at a time. */
  private feed(): void {
    const queue = this.device.queues[0];
    while (this.input.length > 0) {
      const chain = queue.take();
      if (chain === undefined) return;
      if (chain.out.length > 0) throw new LauncherDeath('Output buffers in console in queue?');
      let n = 0;
      for (const buffer of chain.in) {
        const part = this.input.splice(0, buffer.length);
        this.memory.write(buffer.address, Uint8Array.from(part));
        n += part.length;
        if (this.input.length === 0) break;
      }
      queue.giveBack(chain.head, n);
      queue.interrupt();
    }
    if (this.ended) queue.onKick = undefined;
  }

  private output(): void {
    const queue = this.device.queues[1];
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      if (chain.in.length > 0) throw new LauncherDeath('Input buffers in output queue?');
      let n = 0;
      for (const buffer of chain.out) {
        queue.spend(buffer.length);
        this.print(this.memory.view(buffer.address, buffer.length).slice());
        n += buffer.length;
      }
      queue.giveBack(chain.head, n);
      queue.interrupt();
    }
  }

  save(): ConsoleState {
    return {
      input: [...this.input],
      ended: this.ended,
      kicked: this.device.queues[0].onKick !== undefined,
      lastAvail: this.device.queues.map((q) => q.lastAvail),
    };
  }
  restore(s: ConsoleState): void {
    this.input = [...s.input];
    this.ended = s.ended;
    this.device.queues[0].onKick = s.kicked ? () => this.feed() : undefined;
    for (const [i, queue] of this.device.queues.entries()) queue.lastAvail = s.lastAvail[i];
  }
}

export interface ConsoleState {
  input: number[];
  ended: boolean;
  kicked: boolean;
  lastAvail: number[];
}
