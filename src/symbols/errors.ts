// The one error that this folder throws.
// Everything that arrives here was written by a compiler, a linker or a bad disk, so each failure is told to the user as one
// line that names the problem and the fix. Damage inside debug information does not throw at all: it is collected as text in
// `problems` and the rest stays readable.

/** A file or a section cannot be used at all. `message` is one line: what is wrong, then what to do about it. */
export class SymbolError extends Error {
  override readonly name = 'SymbolError';
}

/** Collects what was damaged, each text once and at most `limit` texts, so that a corrupt file cannot fill the memory. */
export class Problems {
  readonly list: string[] = [];
  private readonly seen = new Set<string>();

  constructor(private readonly limit = 100) {}

  add(text: string): void {
    if (this.seen.has(text) || this.seen.size >= this.limit) return;
    this.seen.add(text);
    this.list.push(text);
  }

  /** Lines of `list` that are no damage: what somebody did not want to wait for. */
  readonly leftOut: string[] = [];
  leave(text: string): void {
    this.list.unshift(text);
    this.leftOut.push(text);
  }

  /** Runs `work`; a SymbolError becomes a line in the list and `otherwise` the result. Other errors are ours and pass through. */
  guard<T>(otherwise: T, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SymbolError)) throw error;
      this.add(error.message);
      return otherwise;
    }
  }
}
