// Keeps filters that only log from flooding the Debug Console: so many lines a second for each, then a count of what was left out.
//
// Editors stall on thousands of output events a second, and a Guest traps tens of thousands of times a second. What it leaves out: counting (trap-stops.ts counts all).

export const LINES_A_SECOND = 20;
const WINDOW_MS = 1000;

interface Window {
  since: number;
  lines: number;
  left: number;
}

export class LogLimit {
  private readonly windows = new Map<string, Window>();

  /** @param now milliseconds of any steady clock. */
  constructor(
    private readonly write: (text: string) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Writes a line, or counts it. @param text made only when it is written. */
  line(id: string, text: () => string): void {
    const now = this.now();
    let w = this.windows.get(id);
    if (w === undefined || now - w.since >= WINDOW_MS) {
      this.summary(id, w);
      w = { since: now, lines: 0, left: 0 };
      this.windows.set(id, w);
    }
    if (w.lines < LINES_A_SECOND) {
      w.lines++;
      this.write(text());
    } else w.left++;
  }

  /** At a stop: what is not told yet. */
  flush(): void {
    for (const [id, w] of this.windows) this.summary(id, w);
    this.windows.clear();
  }
  private summary(id: string, w: Window | undefined): void {
    if (w !== undefined && w.left > 0)
      this.write(`${id}: ${w.left} more, not shown (at most ${LINES_A_SECOND} lines a second; "info filters" has the count)`);
  }
}
