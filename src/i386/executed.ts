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
    if (first >= end) return;
    const { starts } = this.pageOf(start >>> 12);
    const offset = start & (PAGE - 1);
    for (let o = first; o < end; o += RECORD) {
      const at = offset + code[o + R.END] - (code[o + R.META] & M.LENGTH);
      starts[at >> 3] |= 1 << (at & 7);
    }
    // One lies behind the other.
    const from = code[first + R.END] - (code[first + R.META] & M.LENGTH);
    this.copy(start + from, code[end - RECORD + R.END] - from);
  }
  /** Notes an instruction of so many bytes. */
  alone(physical: number, length: number): void {
    const at = physical & (PAGE - 1);
    this.pageOf(physical >>> 12).starts[at >> 3] |= 1 << (at & 7);
    this.copy(physical, length);
  }
  /** A program patched the immediate of decoded code: for it that is the same instruction. */
  patched(physical: number, length: number): void {
    if (this.pages[physical >>> 12] !== undefined) this.copy(physical, length);
  }
  private pageOf(number: number): Marks {
    return (this.pages[number] ??= { starts: new Uint8Array(PAGE / 8), bytes: new Uint8Array(PAGE) });
  }
  /** Keeps bytes as they stand now. Those in the next page do not count. */
  private copy(physical: number, length: number): void {
    const { bytes } = this.pageOf(physical >>> 12);
    const { m8 } = this.cpu;
    const at = physical & (PAGE - 1);
    const a = RAM_BASE + physical - at;
    const end = Math.min(at + length, PAGE);
    for (let i = at; i < end; i++) bytes[i] = m8[a + i];
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
