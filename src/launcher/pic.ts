// The two 8259 interrupt controllers of a PC, wired as on every PC: the second one sits on line 2 of the first.
//
// They begin as a BIOS leaves them (vectors 08h and 70h) with every device's line masked, so that they are silent until programmed. Lines are
// edge-triggered, as on an ISA bus; the level registers (4D0h, 4D1h) make single lines level-triggered. Left out: poll mode, special fully nested mode,
// 8080 mode. Source: Intel 8259A data sheet.

const CASCADE = 2;
/** Lines that are open before anything is programmed: the cascade and those where this machine has no device, so that only software can raise them. */
const FREE = (1 << CASCADE) | (1 << 9) | (1 << 10) | (1 << 11);

export interface PicState {
  /** Requested, in service, masked. */
  irr: number;
  isr: number;
  imr: number;
  /** Levels of the lines as they are now. */
  lines: number;
  vector: number;
  /** Next initialisation word that is expected (2, 3 or 4), 0 when none is. */
  icw: number;
  wantsIcw4: boolean;
  /** No third word comes: the software takes the chip for the only one. */
  single: boolean;
  ready: boolean;
  autoEoi: boolean;
  rotateOnAutoEoi: boolean;
  /** What a read of the command port gives. */
  readIsr: boolean;
  specialMask: boolean;
  /** The line with the lowest priority. */
  lowest: number;
  /** Level-triggered lines. */
  level: number;
}

const powerOn = (): PicState => ({
  irr: 0,
  isr: 0,
  imr: 0xff,
  lines: 0,
  vector: 0,
  icw: 0,
  wantsIcw4: false,
  single: false,
  ready: false,
  autoEoi: false,
  rotateOnAutoEoi: false,
  readIsr: false,
  specialMask: false,
  lowest: 7,
  level: 0,
});

class Chip {
  s: PicState;

  /** @param cascade the line on which the other chip sits, -1 = none. */
  constructor(
    private readonly cascade: number,
    vector: number,
    free: number,
    private readonly changed: () => void,
  ) {
    this.s = { ...powerOn(), vector, imr: 0xff & ~free, ready: true };
  }

  setLine(line: number, high: boolean): void {
    const { s } = this;
    const bit = 1 << line;
    if (high) {
      if ((s.lines & bit) === 0 || s.level & bit) s.irr |= bit;
      s.lines |= bit;
    } else {
      s.lines &= ~bit;
      // An edge is remembered until it is taken, as QEMU has it; only levels, and the second chip's request, go away with their line.
      if (s.level & bit || line === this.cascade) s.irr &= ~bit;
    }
    this.changed();
  }

  /** Priority 0 (highest) to 7 of a line. */
  private rank(line: number): number {
    return (line - s7(this.s.lowest + 1)) & 7;
  }
  private best(lines: number): number {
    for (let rank = 0; rank < 8; rank++) {
      const line = s7(this.s.lowest + 1 + rank);
      if ((lines >> line) & 1) return line;
    }
    return -1;
  }
  /** The line that asks for the processor, or -1. */
  get request(): number {
    const { s } = this;
    if (!s.ready) return -1;
    const line = this.best(s.irr & ~s.imr);
    if (line < 0) return -1;
    const serving = this.best(s.specialMask ? s.isr & ~s.imr : s.isr);
    return serving < 0 || this.rank(line) < this.rank(serving) ? line : -1;
  }
  /** Takes the request. @returns the line; 7 when there is none any more. */
  acknowledge(): number {
    const { s } = this;
    const line = this.request;
    if (line < 0) return 7;
    const bit = 1 << line;
    if ((s.level & bit) === 0) s.irr &= ~bit;
    if (!s.autoEoi) s.isr |= bit;
    else if (s.rotateOnAutoEoi) s.lowest = line;
    this.changed();
    return line;
  }

  read(offset: number): number {
    const { s } = this;
    if (offset === 1) return s.imr;
    return s.readIsr ? s.isr : s.irr;
  }
  write(offset: number, value: number): void {
    if (offset === 1) this.data(value);
    else if (value & 0x10) this.initialize(value);
    else if (value & 8) this.mode(value);
    else this.endOfInterrupt(value);
    this.changed();
  }

  private initialize(value: number): void {
    const { lines, level } = this.s;
    this.s = { ...powerOn(), imr: 0, lines, level, icw: 2, wantsIcw4: (value & 1) !== 0, single: (value & 2) !== 0 };
  }
  private data(value: number): void {
    const { s } = this;
    switch (s.icw) {
      case 2:
        s.vector = value & 0xf8;
        s.icw = s.single ? (s.wantsIcw4 ? 4 : 0) : 3;
        break;
      case 3:
        s.icw = s.wantsIcw4 ? 4 : 0;
        break;
      case 4:
        s.autoEoi = (value & 2) !== 0;
        s.icw = 0;
        break;
      default:
        s.imr = value;
        return;
    }
    s.ready = s.icw === 0;
  }
  private mode(value: number): void {
    const { s } = this;
    if (value & 2) s.readIsr = (value & 1) !== 0;
    if (value & 0x40) s.specialMask = (value & 0x20) !== 0;
  }
  private endOfInterrupt(value: number): void {
    const { s } = this;
    const specific = value & 7;
    switch (value >> 5) {
      case 0:
        s.rotateOnAutoEoi = false;
        break;
      case 4:
        s.rotateOnAutoEoi = true;
        break;
      case 1: // non-specific
      case 5: {
        const line = this.best(s.isr);
        if (line < 0) break;
        s.isr &= ~(1 << line);
        if (value >> 5 === 5) s.lowest = line;
        break;
      }
      case 3: // specific
      case 7:
        s.isr &= ~(1 << specific);
        if (value >> 5 === 7) s.lowest = specific;
        break;
      case 6:
        s.lowest = specific;
        break;
    }
    // A level-triggered line that is still high asks again.
    s.irr |= s.lines & s.level;
  }
}

const s7 = (n: number): number => n & 7;

export class PicPair {
  private readonly first: Chip;
  private readonly second: Chip;
  private settling = false;

  /** @param setIntr the processor's interrupt line. */
  constructor(setIntr: (level: boolean) => void) {
    const settle = (): void => {
      if (this.settling) return;
      this.settling = true;
      this.first.setLine(CASCADE, this.second.request >= 0);
      this.settling = false;
      setIntr(this.first.request >= 0);
    };
    this.first = new Chip(CASCADE, 0x08, FREE & 0xff, settle);
    this.second = new Chip(-1, 0x70, FREE >> 8, settle);
  }

  /** Sets the level of line 0 to 15. */
  setLine(irq: number, high: boolean): void {
    if (irq < 8) this.first.setLine(irq, high);
    else this.second.setLine(irq - 8, high);
  }
  /** The vector that acknowledge() would give. */
  get vector(): number {
    const line = this.first.request;
    if (line !== CASCADE) return this.first.s.vector + (line < 0 ? 7 : line);
    const behind = this.second.request;
    return this.second.s.vector + (behind < 0 ? 7 : behind);
  }
  /** The processor takes the interrupt. @returns its vector; line 7's when nothing asks any more. */
  acknowledge(): number {
    const line = this.first.acknowledge();
    return line === CASCADE ? this.second.s.vector + this.second.acknowledge() : this.first.s.vector + line;
  }

  /** @param port 20h, 21h, A0h, A1h, 4D0h or 4D1h. */
  read(port: number): number {
    const chip = port === 0x4d1 || port >> 4 === 0xa ? this.second : this.first;
    return port >= 0x4d0 ? chip.s.level : chip.read(port & 1);
  }
  write(port: number, value: number): void {
    const chip = port === 0x4d1 || port >> 4 === 0xa ? this.second : this.first;
    if (port >= 0x4d0) chip.s.level = value & (port === 0x4d0 ? 0xf8 : 0xde);
    else chip.write(port & 1, value);
  }

  save(): { first: PicState; second: PicState } {
    return { first: { ...this.first.s }, second: { ...this.second.s } };
  }
  restore(state: { first: PicState; second: PicState }): void {
    this.first.s = { ...state.first };
    this.second.s = { ...state.second };
    // Recomputes the processor's line.
    this.first.setLine(CASCADE, this.second.request >= 0);
  }
}
