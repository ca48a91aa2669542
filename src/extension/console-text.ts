// Line ends between a Guest's console and a terminal: what a tty driver would do for a real one.
// Apart from the terminal so that the rules (a "\r\n" may be cut in two by the transport) can be tested alone.

/** Adds the carriage return that a terminal needs before a line feed. Remembers the last character between pieces. */
export class OutputLines {
  private lastWasReturn = false;

  /** @returns `data` with every line feed preceded by exactly one carriage return. */
  convert(data: string): string {
    const joined = (this.lastWasReturn ? '\r' : '') + data;
    const converted = joined.replace(/\r?\n/g, '\r\n').slice(this.lastWasReturn ? 1 : 0);
    if (data !== '') this.lastWasReturn = data.endsWith('\r');
    return converted;
  }
}

/** Keys as the terminal sends them, turned into what the Guest expects: Enter is a line feed. */
export const inputText = (keys: string): string => keys.replace(/\r\n?/g, '\n');
