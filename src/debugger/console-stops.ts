// Stops at what the Guest prints: regular expressions over the lines of its console.
//
// A line counts as soon as it matches, at most once for each expression, so the Guest stands right behind the hypercall or port access that wrote the matching piece: its stack
// is that of the writer. What it leaves out: the console itself (the Launcher's) and stopping (run-loop.ts).

import { ExpressionError } from './expression';

export interface ConsoleStop {
  id: number;
  /** `/text/i` as it was written. */
  text: string;
  pattern: RegExp;
  once: boolean;
  hits: number;
  /** It has matched the line at hand. */
  matched: boolean;
}

/** Longer lines are looked at in their last part. */
const LONGEST_LINE = 4096;

/** `/REGEX/` or `/REGEX/i`. @throws ExpressionError with one line. */
export const parseConsolePattern = (text: string): RegExp => {
  const m = /^\/(.+)\/(i?)$/s.exec(text.trim());
  if (m === null) throw new ExpressionError(`"${text}" is no pattern: write console /login:/ or console /oops/i`);
  try {
    return new RegExp(m[1], m[2]);
  } catch (error) {
    throw new ExpressionError((error as Error).message);
  }
};

export class ConsoleStops {
  list: ConsoleStop[] = [];
  /** What matched since the last look, with the line. */
  hit: { stop: ConsoleStop; line: string } | undefined;
  private line = '';
  private readonly decoder = new TextDecoder();

  /** @param stopSoon asks the machine to end its run before the next instruction. */
  constructor(private readonly stopSoon: () => void) {}

  add(id: number, text: string, once: boolean): ConsoleStop {
    const stop: ConsoleStop = { id, text: text.trim(), pattern: parseConsolePattern(text), once, hits: 0, matched: false };
    this.list.push(stop);
    return stop;
  }
  /** @returns whether there was one. */
  remove(id: number): boolean {
    const before = this.list.length;
    this.list = this.list.filter((s) => s.id !== id);
    return this.list.length < before;
  }
  /** Those of the run before, from their first line on. */
  adopt(old: ConsoleStops): void {
    this.list = old.list.map((s) => ({ ...s, hits: 0, matched: false }));
  }

  /** What the Guest printed, in pieces of any size. */
  printed(bytes: Uint8Array): void {
    if (this.list.length === 0) return;
    for (const part of this.decoder
      .decode(bytes, { stream: true })
      .replace(/\r/g, '')
      .split(/(?<=\n)/)) {
      this.line = (this.line + part.replace(/\n$/, '')).slice(-LONGEST_LINE);
      for (const stop of this.list) {
        if (stop.matched || !stop.pattern.test(this.line)) continue;
        stop.matched = true;
        stop.hits++;
        this.hit ??= { stop, line: this.line };
        this.stopSoon();
      }
      if (!part.endsWith('\n')) continue;
      this.line = '';
      for (const stop of this.list) stop.matched = false;
    }
  }

  /** What the machine stands for now; it is told once. */
  take(): { stop: ConsoleStop; line: string } | undefined {
    const { hit } = this;
    this.hit = undefined;
    if (hit?.stop.once) this.remove(hit.stop.id);
    return hit;
  }
}
