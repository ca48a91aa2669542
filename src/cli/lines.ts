// Two byte streams (serial port and debug port) to one text, line by line.
//
// Whole lines never mix. Software that sends all its output to both ports is common, so a line that the other port has just completed, letter for letter, is
// not printed again.

const NEWLINE = 10;
const RETURN = 13;
/** A line longer than this goes out in pieces. */
const MAX_LINE = 4096;

interface Source {
  line: number[];
  /** Bytes of the line that are out already. */
  shown: number;
}

export class LineMerger {
  private readonly sources: [Source, Source] = [
    { line: [], shown: 0 },
    { line: [], shown: 0 },
  ];
  /** The line printed last, until the other port has repeated it. */
  private last: { source: number; text: string } | undefined;

  constructor(private readonly sink: (chunk: Uint8Array) => void) {}

  write(source: 0 | 1, byte: number): void {
    const s = this.sources[source];
    s.line.push(byte);
    if (byte === NEWLINE) this.complete(source);
    else if (s.line.length - s.shown >= MAX_LINE) this.show(s);
  }

  /** Prints what stands in unfinished lines: of the serial port only, or at the end of both. */
  flush(all: boolean): void {
    const [serial, debug] = this.sources;
    this.show(serial);
    if (all && debug.line.length > debug.shown && text(debug.line) !== text(serial.line)) this.show(debug);
  }

  private show(s: Source): void {
    if (s.line.length === s.shown) return;
    this.sink(Uint8Array.from(s.line.slice(s.shown)));
    s.shown = s.line.length;
  }
  private complete(source: 0 | 1): void {
    const s = this.sources[source];
    const line = text(s.line);
    if (s.shown === 0 && this.last !== undefined && this.last.source !== source && this.last.text === line) this.last = undefined;
    else {
      this.show(s);
      this.last = { source, text: line };
    }
    s.line = [];
    s.shown = 0;
  }
}

const text = (line: readonly number[]): string => String.fromCharCode(...line.filter((byte) => byte !== RETURN && byte !== NEWLINE));
