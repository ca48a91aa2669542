// The 8253 timer of a PC: channel 0 drives interrupt line 0, channel 2 the speaker and whatever measures time with it.
//
// Nothing counts in the background: a channel remembers when it was started and everything else follows from the present time, which comes from the
// instruction clock. Channel 0 alone has moments at which something happens (deadline). A channel is silent until a count was written. Left out: BCD
// counting (taken as binary), the glitches of reprogramming in mid-count. Source: Intel 8254 data sheet.

import { NEVER } from './uart';

/** Input clock of all channels. */
const HZ = 1_193_182;
const SECOND = 1_000_000_000;

/** Input clocks that have passed at a time in nanoseconds, exactly. */
const clocksAt = (ns: number): number => {
  const seconds = Math.floor(ns / SECOND);
  return seconds * HZ + Math.floor(((ns - seconds * SECOND) * HZ) / SECOND);
};
/** The first nanosecond at which so many clocks have passed. */
const timeOf = (clocks: number): number => {
  const seconds = Math.floor(clocks / HZ);
  return seconds * SECOND + Math.ceil(((clocks - seconds * HZ) * SECOND) / HZ);
};

export interface ChannelState {
  mode: number;
  /** 1 low byte, 2 high byte, 3 low then high. */
  access: number;
  /** Counts from here, 1 to 65536; 0: no count was written yet. */
  reload: number;
  /** Clock at which counting began, -1 = it waits for the gate. */
  start: number;
  gate: boolean;
  /** Written low byte that waits for its high byte, -1 = none. */
  half: number;
  /** Latched count, low byte first; bytes still to read. */
  latch: number;
  latched: number;
  status: number;
  /** The next read gives the high byte. */
  high: boolean;
}

class Channel {
  s: ChannelState;

  constructor(gate: boolean) {
    this.s = { mode: 3, access: 3, reload: 0, start: -1, gate, half: -1, latch: 0, latched: 0, status: -1, high: false };
  }

  control(value: number): void {
    const { s } = this;
    const mode = (value >> 1) & 7;
    s.mode = mode > 5 ? mode - 4 : mode;
    s.access = (value >> 4) & 3;
    s.reload = 0;
    s.start = -1;
    s.half = -1;
    s.latched = 0;
    s.status = -1;
    s.high = false;
  }
  write(value: number, clocks: number): void {
    const { s } = this;
    if (s.access === 3 && s.half < 0) {
      s.half = value;
      // Modes 0 and 4 stop while the count is incomplete.
      if (s.mode === 0) s.start = -1;
      return;
    }
    const count = s.access === 3 ? s.half | (value << 8) : s.access === 2 ? value << 8 : value;
    s.half = -1;
    const first = s.reload === 0;
    s.reload = count === 0 ? 0x10000 : count;
    // Periodic modes take a new count over at once here; one-shot modes 1 and 5 wait for the gate.
    if (s.mode === 1 || s.mode === 5) {
      if (first) s.start = -1;
    } else s.start = s.gate ? clocks : -1;
  }
  setGate(gate: boolean, clocks: number): void {
    const { s } = this;
    if (gate === s.gate) return;
    s.gate = gate;
    if (gate && s.reload !== 0) s.start = clocks;
    else if (!gate && s.mode !== 1 && s.mode !== 5) s.start = -1;
  }

  /** Present count, 16 bits. */
  count(clocks: number): number {
    const { s } = this;
    if (s.start < 0) return s.reload & 0xffff;
    const passed = clocks - s.start;
    switch (s.mode) {
      case 2:
        return (s.reload - (passed % s.reload)) & 0xffff;
      case 3:
        // Counts down by two, twice a period.
        return (s.reload - ((passed * 2) % s.reload)) & 0xfffe;
      default:
        return (s.reload - passed) & 0xffff;
    }
  }
  output(clocks: number): boolean {
    const { s } = this;
    if (s.reload === 0 || s.start < 0) return s.mode !== 0;
    const passed = clocks - s.start;
    switch (s.mode) {
      case 0:
      case 1:
        return passed >= s.reload;
      case 2:
        return passed % s.reload !== s.reload - 1;
      case 3:
        return passed % s.reload < (s.reload + 1) >> 1;
      default:
        return passed !== s.reload;
    }
  }
  /** Clock of the first rising edge of the output after `clocks`, or NEVER. */
  nextRise(clocks: number): number {
    const { s } = this;
    if (s.reload === 0 || s.start < 0) return NEVER;
    const passed = clocks - s.start;
    if (s.mode === 2 || s.mode === 3) return s.start + (Math.floor(passed / s.reload) + 1) * s.reload;
    const end = s.reload + (s.mode >= 4 ? 1 : 0);
    return passed < end ? s.start + end : NEVER;
  }

  latchCount(clocks: number): void {
    const { s } = this;
    if (s.latched !== 0) return;
    s.latch = this.count(clocks);
    s.latched = s.access === 3 ? 2 : 1;
    if (s.access === 2) s.latch >>= 8;
  }
  latchStatus(clocks: number): void {
    const { s } = this;
    if (s.status >= 0) return;
    s.status = (this.output(clocks) ? 0x80 : 0) | (s.reload === 0 ? 0x40 : 0) | (s.access << 4) | (s.mode << 1);
  }
  read(clocks: number): number {
    const { s } = this;
    if (s.status >= 0) {
      const { status } = s;
      s.status = -1;
      return status;
    }
    if (s.latched > 0) {
      const byte = s.latch & 0xff;
      s.latch >>= 8;
      s.latched--;
      return byte;
    }
    const count = this.count(clocks);
    if (s.access !== 3) return s.access === 2 ? count >> 8 : count & 0xff;
    s.high = !s.high;
    return s.high ? count & 0xff : count >> 8;
  }
}

export interface PitState {
  channels: ChannelState[];
  risen: number;
}

export class Pit {
  private readonly channels = [new Channel(true), new Channel(true), new Channel(false)];
  /** Clock up to which channel 0's edges were reported. */
  private risen = 0;

  /**
   * @param now nanoseconds.
   * @param pulse interrupt line 0 rises (and falls again before its next rise).
   */
  constructor(
    private readonly now: () => number,
    private readonly pulse: () => void,
  ) {}

  private get clocks(): number {
    return clocksAt(this.now());
  }
  /** When channel 0 rises next, in nanoseconds, or NEVER. */
  get deadline(): number {
    const rise = this.channels[0].nextRise(this.risen);
    return rise === NEVER ? NEVER : timeOf(rise);
  }
  /** Lets the time pass up to now. Edges that were missed altogether count as one. */
  advance(): void {
    const { clocks } = this;
    const rise = this.channels[0].nextRise(this.risen);
    this.risen = clocks;
    if (rise <= clocks) this.pulse();
  }

  /** @param offset 0 to 3 from port 40h. */
  read(offset: number): number {
    return offset === 3 ? 0xff : this.channels[offset].read(this.clocks);
  }
  write(offset: number, value: number): void {
    const { clocks } = this;
    if (offset < 3) {
      this.channels[offset].write(value, clocks);
      if (offset === 0) this.risen = clocks;
    } else if (value >> 6 === 3) {
      // Read-back: latches several channels at once.
      for (let n = 0; n < 3; n++) {
        if (!((value >> (n + 1)) & 1)) continue;
        if (!(value & 0x20)) this.channels[n].latchCount(clocks);
        if (!(value & 0x10)) this.channels[n].latchStatus(clocks);
      }
    } else if ((value >> 4) & 3) this.channels[value >> 6].control(value);
    else this.channels[value >> 6].latchCount(clocks);
  }

  /** Bit 0 of port 61h. */
  setGate2(gate: boolean): void {
    this.channels[2].setGate(gate, this.clocks);
  }
  /** Bit 5 of port 61h. */
  get output2(): boolean {
    return this.channels[2].output(this.clocks);
  }

  save(): PitState {
    return { channels: this.channels.map((c) => ({ ...c.s })), risen: this.risen };
  }
  restore(state: PitState): void {
    for (const [n, s] of state.channels.entries()) this.channels[n].s = { ...s };
    this.risen = state.risen;
  }
}
