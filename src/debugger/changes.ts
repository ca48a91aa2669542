// What `changed(EXPRESSION)` compares with: each expression that was asked about, as it looked when the Guest was last set running.
//
// An expression is known from its first question on, so its first answer comes one stop later. What it leaves out: the Registers view, which keeps its own (registers-view.ts).

/** So many expressions are kept; the oldest go first. */
const MOST = 200;

export class Changes {
  /** By text; undefined until the Guest was set running once. */
  private readonly before = new Map<string, string | undefined>();

  /** @param show an expression's value as text; what it cannot be read for counts as its value. */
  constructor(private readonly show: (expression: string) => string) {}

  /** The Guest is about to run. */
  remember(): void {
    for (const text of this.before.keys()) this.before.set(text, this.show(text));
  }
  /** Undefined: asked for the first time. */
  changed(text: string): boolean | undefined {
    const now = this.show(text);
    const before = this.before.get(text);
    if (!this.before.has(text)) {
      if (this.before.size >= MOST) this.before.delete(this.before.keys().next().value ?? '');
      this.before.set(text, undefined);
    }
    return before === undefined ? undefined : before !== now;
  }
}
