// The first serial port: a 16550 whose transmitter is always ready and whose receiver gets its bytes from the user.
//
// Output leaves at once, so that a polling guest never waits. Two things take time, because software relies on it: the "transmitter empty" interrupt comes a
// little after the write (a driver would otherwise never leave its handler), and received bytes arrive at the pace of the line. Left out: modem lines that
// change, errors, break. Like QEMU's, the interrupt line does not depend on OUT2. Source: National Semiconductor PC16550D data sheet.

/** Register offsets. */
const REG = { DATA: 0, IER: 1, IIR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
const IER = { RECEIVED: 1, EMPTY: 2, LINE: 4, MODEM: 8 } as const;
const IIR = { NONE: 1, EMPTY: 2, RECEIVED: 4, FIFO: 0xc0 } as const;
const LSR = { READY: 1, EMPTY: 0x20, IDLE: 0x40 } as const;
const FCR = { ENABLE: 1, CLEAR_RECEIVER: 2, CLEAR_TRANSMITTER: 4 } as const;
const DLAB = 0x80;
const LOOPBACK = 0x10;
/** CTS, DSR and carrier are there. */
const MODEM_LINES = 0xb0;
/** One character of ten bits at 115,200 baud, in nanoseconds. */
const CHARACTER_NS = 86_806;
/** From a write to the interrupt that asks for more. */
const EMPTY_NS = 10_000;
/** So many looks at the line status without a byte sent mean that the guest waits for input, although it has no interrupt enabled. */
const POLLS = 16;
export const NEVER = Number.MAX_SAFE_INTEGER;

/** All of it but the bytes that wait for the line. */
export interface UartState {
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  divisor: number;
  received: number;
  emptyAt: number;
  emptyPending: boolean;
  receiveAt: number;
  polls: number;
  input: number[];
}

export class Uart {
  private s: UartState = {
    ier: 0,
    fcr: 0,
    lcr: 3,
    mcr: 0,
    scr: 0,
    divisor: 12,
    received: -1,
    emptyAt: NEVER,
    emptyPending: false,
    receiveAt: NEVER,
    polls: 0,
    input: [],
  };
  /** Gets every byte sent. */
  onByte: (byte: number) => void = () => {};

  /**
   * @param now nanoseconds.
   * @param setLine the level of the interrupt line.
   */
  constructor(
    private readonly now: () => number,
    private readonly setLine: (level: boolean) => void,
  ) {}

  /** Bytes typed by the user. They wait outside until the guest listens. */
  type(bytes: Uint8Array): void {
    for (const byte of bytes) this.s.input.push(byte);
    this.schedule();
  }
  /** True when typed bytes wait. */
  get waiting(): boolean {
    return this.s.input.length > 0;
  }
  /** True when the guest would notice a typed byte. */
  get listens(): boolean {
    return (this.s.ier & IER.RECEIVED) !== 0 || this.s.polls >= POLLS;
  }

  /** When something happens by itself next, in nanoseconds, or NEVER. */
  get deadline(): number {
    return Math.min(this.s.emptyAt, this.s.receiveAt);
  }
  /** Lets the time pass up to now. */
  advance(): void {
    const { s } = this;
    const now = this.now();
    if (now >= s.emptyAt) {
      s.emptyAt = NEVER;
      s.emptyPending = true;
    }
    if (now >= s.receiveAt) {
      s.receiveAt = NEVER;
      const byte = s.input.shift();
      if (byte !== undefined) s.received = byte;
    }
    this.update();
  }

  /** The next byte starts its way when the receiver is empty and somebody listens. */
  private schedule(): void {
    const { s } = this;
    if (s.receiveAt === NEVER && s.received < 0 && s.input.length > 0 && this.listens && (s.mcr & LOOPBACK) === 0) {
      s.receiveAt = this.now() + CHARACTER_NS * Math.max(1, Math.min(s.divisor, 96));
    }
  }

  private cause(): number {
    const { s } = this;
    if (s.ier & IER.RECEIVED && s.received >= 0) return IIR.RECEIVED;
    if (s.ier & IER.EMPTY && s.emptyPending) return IIR.EMPTY;
    return IIR.NONE;
  }
  private update(): void {
    this.setLine(this.cause() !== IIR.NONE);
  }

  read(offset: number): number {
    const { s } = this;
    switch (offset) {
      case REG.DATA: {
        if (s.lcr & DLAB) return s.divisor & 0xff;
        const byte = Math.max(s.received, 0);
        s.received = -1;
        this.schedule();
        this.update();
        return byte;
      }
      case REG.IER:
        return s.lcr & DLAB ? s.divisor >> 8 : s.ier;
      case REG.IIR: {
        const cause = this.cause();
        if (cause === IIR.EMPTY) s.emptyPending = false;
        this.update();
        return cause | (s.fcr & FCR.ENABLE ? IIR.FIFO : 0);
      }
      case REG.LCR:
        return s.lcr;
      case REG.MCR:
        return s.mcr;
      case REG.LSR:
        if (s.polls < POLLS) s.polls++;
        this.schedule();
        return LSR.EMPTY | LSR.IDLE | (s.received >= 0 ? LSR.READY : 0);
      case REG.MSR:
        // In loopback the four outputs come back: DTR as DSR, RTS as CTS, OUT1 as RI, OUT2 as DCD.
        if (s.mcr & LOOPBACK) return ((s.mcr & 1) << 5) | ((s.mcr & 2) << 3) | ((s.mcr & 4) << 4) | ((s.mcr & 8) << 4);
        return MODEM_LINES;
      default:
        return s.scr;
    }
  }

  write(offset: number, value: number): void {
    const { s } = this;
    switch (offset) {
      case REG.DATA:
        if (s.lcr & DLAB) s.divisor = (s.divisor & 0xff00) | value;
        else if (s.mcr & LOOPBACK) s.received = value;
        else {
          s.polls = 0;
          this.onByte(value);
        }
        if (!(s.lcr & DLAB)) this.sent();
        break;
      case REG.IER:
        if (s.lcr & DLAB) s.divisor = (s.divisor & 0xff) | (value << 8);
        else {
          const turnedOn = value & ~s.ier & IER.EMPTY;
          s.ier = value & 15;
          // The transmitter is empty, which is news to whoever just asked to be told.
          if (turnedOn && s.emptyAt === NEVER) s.emptyPending = true;
          this.schedule();
        }
        break;
      case REG.IIR:
        if (value & FCR.CLEAR_RECEIVER || (value ^ s.fcr) & FCR.ENABLE) s.received = -1;
        s.fcr = value & FCR.ENABLE;
        this.schedule();
        break;
      case REG.LCR:
        s.lcr = value;
        break;
      case REG.MCR:
        s.mcr = value & 0x1f;
        break;
      case REG.SCR:
        s.scr = value;
        break;
    }
    this.update();
  }
  private sent(): void {
    const { s } = this;
    s.emptyPending = (s.ier & IER.EMPTY) === 0;
    s.emptyAt = s.emptyPending ? NEVER : this.now() + EMPTY_NS;
  }

  save(): UartState {
    return { ...this.s, input: [...this.s.input] };
  }
  restore(s: UartState): void {
    this.s = { ...s, input: [...s.input] };
    this.update();
  }
}
