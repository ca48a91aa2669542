// Which instructions have been executed: a bit for each byte of memory where one began, together with the bytes that it had then.
//
// The run loop notes a block's records the first time that it gets so far, so the common case costs one comparison for each block; translated code runs only
// blocks that were noted before. An instruction counts when it was begun, also when it faulted. With the bytes, code that lies where other code ran before
// does not count as executed. It belongs to the processor's life, not to the machine's state: going back in a run forgets nothing.
// What it leaves out: how often (translated code counts no runs), and addresses other than physical ones.

import type { Cpu } from './cpu';
import { M, R, RECORD } from './decode';
import { PAGE, RAM_BASE } from './state';

/** What is known of one physical page. */
interface Marks {
  /** A bit for each byte: an instruction that begins there was executed. */
  starts: Uint8Array;
  /** The bytes of those instructions as they were executed. */
  bytes: Uint8Array;
}

export class Executed {
  private readonly pages: (Marks | undefined)[] = [];

  constructor(private readonly cpu: Cpu) {}

  /** Notes the records from index `first` to `end` (exclusive) of the block that begins at `start`. */
  records(start: number, first: number, end: number): void {
    const { code } = this.cpu;
    for (let o = first; o < end; o += RECORD) {
      const length = code[o + R.META] & M.LENGTH;
      this.note(start + code[o + R.END] - length, length);
    }
  }
  /** Notes an instruction of so many bytes. */
  alone(physical: number, length: number): void {
    this.note(physical, length);
  }
  /** A program patched the immediate of decoded code: for it that is the same instruction. */
  patched(physical: number, length: number): void {
    const page = this.pages[physical >>> 12];
    const at = physical & (PAGE - 1);
    const a = RAM_BASE + physical;
    page?.bytes.set(this.cpu.m8.subarray(a, a + length), at);
  }
  /** Bytes in the next page do not count. */
  private note(physical: number, length: number): void {
    const number = physical >>> 12;
    let page = this.pages[number];
    if (page === undefined) this.pages[number] = page = { starts: new Uint8Array(PAGE / 8), bytes: new Uint8Array(PAGE) };
    const at = physical & (PAGE - 1);
    page.starts[at >> 3] |= 1 << (at & 7);
    const a = RAM_BASE + physical;
    const here = Math.min(length, PAGE - at);
    for (let i = 0; i < here; i++) page.bytes[at + i] = this.cpu.m8[a + i];
  }

  /**
   * True when an instruction that began at `physical` (of the machine's memory) was executed with the bytes that stand there now.
   * @param length bytes of the instruction, as far as they lie in the page.
   */
  was(physical: number, length: number): boolean {
    const page = this.pages[physical >>> 12];
    const at = physical & (PAGE - 1);
    if (page === undefined || (page.starts[at >> 3] & (1 << (at & 7))) === 0) return false;
    const end = Math.min(at + length, PAGE);
    const a = RAM_BASE + physical - at;
    for (let i = at; i < end; i++) if (page.bytes[i] !== this.cpu.m8[a + i]) return false;
    return true;
  }
  /** Numbers of all physical pages in which something was executed, ascending. */
  touched(): number[] {
    return Object.keys(this.pages).map(Number);
  }
  /** A bit for each byte of a page, as noted, whatever stands there now. */
  startsOf(page: number): Uint8Array {
    return this.pages[page]?.starts ?? new Uint8Array(PAGE / 8);
  }
  forget(): void {
    this.pages.length = 0;
  }
}
