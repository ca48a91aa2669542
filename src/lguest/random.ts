// The one source of randomness: which shadow slot gives way. Seeded and part of the saved state, so that a run is its own repetition.

export class Random {
  constructor(public state: number) {
    if (state === 0) this.state = 0x9e3779b9 | 0; // xorshift never leaves zero
  }
  /** uint32. Marsaglia's xorshift, 13 17 5. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }
}
