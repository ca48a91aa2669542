// The ports of the bare machine: who answers where, and the few devices too small for a file of their own.
//
// Every port that nobody owns reads all ones and swallows writes. Wider accesses to byte devices are taken apart, low byte first. What it leaves out: the
// serial port, the timer and the interrupt controllers themselves (uart.ts, pit.ts, pic.ts).

import type { Bus } from '../i386/cpu';
import type { PicPair } from './pic';
import type { Pit } from './pit';
import type { Uart } from './uart';

const COM1 = 0x3f8;
const DEBUG_OUT = 0xe9;
const DEBUG_EXIT = 0xf4;
/** A write ends the coprocessor's interrupt 13 and lets x87 instructions go on until their error is cleared. */
const COPROCESSOR_BUSY = 0xf0;
/** Sixteen ports that raise and lower the interrupt lines, as QEMU's pc-testdev has them. */
const TEST_LINES = 0x2000;
/** Four byte ports that only remember what was written, also of pc-testdev. */
const TEST_PORTS = 0xe0;
/** QEMU's firmware configuration device: selector and data. Enough of it to answer how many processors there are. */
const CONFIG_SELECT = 0x510;
const CONFIG_DATA = 0x511;
const RTC_INDEX = 0x70;
const RTC_DATA = 0x71;
const SYSTEM_CONTROL = 0x61;
/** Fast A20 and reset, the keyboard controller's command port, the chipset's reset register. */
const PORT_A = 0x92;
const KEYBOARD_COMMAND = 0x64;
const PCI_ADDRESS = 0xcf8;
const RESET_CONTROL = 0xcf9;
/** Command to the keyboard controller: pulse the processor's reset line. */
const PULSE_RESET = 0xfe;
/** Period of the memory refresh bit in port 61h. */
const REFRESH_NS = 15_085;
/** The clock starts here: 2008-01-24 00:00:00 UTC, a Thursday, as for a Guest. */
const EPOCH_SECONDS = 1_201_132_800;

export interface PortsOptions {
  uart: Uart;
  pit: Pit;
  pic: PicPair;
  postPort: number;
  memoryBytes: number;
  /** Nanoseconds since the start. */
  now: () => number;
  /** A byte to the debug port E9h. */
  onDebug: (byte: number) => void;
  onPost: (code: number) => void;
  /** A write to isa-debug-exit. */
  onExit: (value: number) => void;
  /** Software asked for a reset; `by` names the way. */
  onReset: (by: string) => void;
  /** The coprocessor's busy latch is cleared. */
  onBusyCleared: () => void;
  /** The timer's or the serial port's next moment may have changed. */
  onSchedule: () => void;
}

export interface PortsState {
  index: number;
  speaker: number;
  post: number;
  portA: number;
  configItem: number;
  configOffset: number;
  /** TEST_PORTS, one byte each. */
  test: number;
}

export class BarePorts implements Bus {
  private s: PortsState = { index: 0, speaker: 0, post: 0xff, portA: 2, configItem: 0, configOffset: 0, test: 0 };

  constructor(private readonly o: PortsOptions) {}

  /** The newest POST code; FFh before the first. */
  get post(): number {
    return this.s.post;
  }

  portRead(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte((port + i) & 0xffff) << (8 * i);
    return value >>> 0;
  }
  portWrite(port: number, size: number, value: number): void {
    // A dword at CF8h is the PCI address register, which nobody has here: no reset, though CF9h lies within.
    if (port === PCI_ADDRESS && size === 4) return;
    // These take whatever width comes as one value.
    if (port === DEBUG_EXIT) this.o.onExit(value);
    else if (port >= TEST_LINES && port < TEST_LINES + 16) this.o.pic.setLine(port - TEST_LINES, value !== 0);
    else if (port === CONFIG_SELECT) {
      this.s.configItem = value & 0xffff;
      this.s.configOffset = 0;
    } else if (port === this.o.postPort) {
      this.s.post = value & 0xff;
      this.o.onPost(value);
    } else for (let i = 0; i < size; i++) this.writeByte((port + i) & 0xffff, (value >>> (8 * i)) & 0xff);
  }

  private readByte(port: number): number {
    const { o, s } = this;
    if (port >= COM1 && port < COM1 + 8) {
      const before = o.uart.deadline;
      const value = o.uart.read(port - COM1);
      if (o.uart.deadline !== before) o.onSchedule();
      return value;
    }
    if (port >= TEST_PORTS && port < TEST_PORTS + 4) return (s.test >>> (8 * (port - TEST_PORTS))) & 0xff;
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
      case 0x4d0:
      case 0x4d1:
        return o.pic.read(port);
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
        return o.pit.read(port - 0x40);
      case SYSTEM_CONTROL:
        return (s.speaker & 0xf) | (Math.floor(o.now() / REFRESH_NS) & 1 ? 0x10 : 0) | (o.pit.output2 ? 0x20 : 0);
      case RTC_INDEX:
        return 0xff;
      case RTC_DATA:
        return this.cmos(s.index & 0x7f);
      case PORT_A:
        return s.portA;
      case CONFIG_DATA:
        return this.configuration(s.configItem, s.configOffset++);
      case DEBUG_OUT:
        // Says that the port is there, as in Bochs and QEMU.
        return DEBUG_OUT;
      default:
        return 0xff;
    }
  }

  private writeByte(port: number, value: number): void {
    const { o, s } = this;
    if (port >= COM1 && port < COM1 + 8) {
      const before = o.uart.deadline;
      o.uart.write(port - COM1, value);
      if (o.uart.deadline !== before) o.onSchedule();
      return;
    }
    if (port >= TEST_PORTS && port < TEST_PORTS + 4) {
      const shift = 8 * (port - TEST_PORTS);
      s.test = (s.test & ~(0xff << shift)) | (value << shift);
      return;
    }
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
      case 0x4d0:
      case 0x4d1:
        o.pic.write(port, value);
        break;
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
        o.pit.write(port - 0x40, value);
        o.onSchedule();
        break;
      case SYSTEM_CONTROL:
        s.speaker = value & 0xf;
        o.pit.setGate2((value & 1) !== 0);
        break;
      case RTC_INDEX:
        s.index = value;
        break;
      case COPROCESSOR_BUSY:
        o.onBusyCleared();
        break;
      case PORT_A:
        s.portA = (value & ~1) | 2;
        if (value & 1) o.onReset('port 92h');
        break;
      case KEYBOARD_COMMAND:
        if (value === PULSE_RESET) o.onReset('the keyboard controller');
        break;
      case RESET_CONTROL:
        if (value & 4) o.onReset('port CF9h');
        break;
      case DEBUG_OUT:
        o.onDebug(value);
        break;
    }
  }

  /** The clock chip: time, status and the memory sizes that a BIOS would have left there; the rest all ones. */
  private cmos(index: number): number {
    const { memoryBytes } = this.o;
    const extended = Math.min(0xffff, (memoryBytes - 0x100000) >> 10);
    const above16 = Math.max(0, Math.min(0xffff, (memoryBytes - 0x1000000) >> 16));
    switch (index) {
      case 0x0a:
        return 0x26;
      case 0x0b:
        return 2;
      case 0x0c:
        return 0;
      case 0x0d:
        return 0x80;
      case 0x0e: // diagnostic status: all well
      case 0x0f: // shutdown status: a normal reset
      case 0x10: // no diskette drives
      case 0x12: // no disks
        return 0;
      case 0x15:
        return 640 & 0xff;
      case 0x16:
        return 640 >> 8;
      case 0x17:
      case 0x30:
        return extended & 0xff;
      case 0x18:
      case 0x31:
        return extended >> 8;
      case 0x34:
        return above16 & 0xff;
      case 0x35:
        return above16 >> 8;
      default:
        return this.time(index);
    }
  }
  /** Byte `offset` of a configuration item: the signature, the memory, one processor; zeros else. */
  private configuration(item: number, offset: number): number {
    switch (item) {
      case 0:
        return offset < 4 ? 'QEMU'.charCodeAt(offset) : 0;
      case 3:
        return offset < 4 ? (this.o.memoryBytes >>> (8 * offset)) & 0xff : 0;
      case 5: // processors
      case 15: // highest number of processors
        return offset === 0 ? 1 : 0;
      default:
        return 0;
    }
  }
  private time(index: number): number {
    const date = new Date((EPOCH_SECONDS + Math.floor(this.o.now() / 1e9)) * 1000);
    const bcd = (n: number): number => (Math.floor(n / 10) << 4) | (n % 10);
    switch (index) {
      case 0:
        return bcd(date.getUTCSeconds());
      case 2:
        return bcd(date.getUTCMinutes());
      case 4:
        return bcd(date.getUTCHours());
      case 6:
        return date.getUTCDay() + 1;
      case 7:
        return bcd(date.getUTCDate());
      case 8:
        return bcd(date.getUTCMonth() + 1);
      case 9:
        return bcd(date.getUTCFullYear() % 100);
      case 0x32:
        return bcd(Math.floor(date.getUTCFullYear() / 100));
      default:
        return 0xff;
    }
  }

  save(): PortsState {
    return { ...this.s };
  }
  restore(s: PortsState): void {
    this.s = { ...s };
  }
}
