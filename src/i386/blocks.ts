// The cache of decoded code: blocks of records, found by the physical address of their first byte, dropped when somebody writes there.
//
// A block is straight-line code inside one page, or one instruction that reaches into the next page. Keeping blocks by physical address makes them survive CR3 loads;
// keeping the bytes they cover in a bitmap of 64-byte lines lets data writes on a code page pass without harm. What it leaves out: running (processor.ts) and
// translating (jit/).

import type { Cpu } from './cpu';
import { PageFlag } from './cpu';
import { decode, M, NEED_MORE, R, RECORD } from './decode';
import { Executed } from './executed';
import { IMM, ROW_BITS, ROW_IMM, ROWS } from './rows';
import { BLOCK, BLOCKS, CODE, FOUND, FOUND_MASK, MAX_BLOCKS, MAX_RECORDS, PAGE, RAM_BASE } from './state';

/** FORM of a record that must not run any more: its handler makes the run loop look the code up again. */
export const STALE_FORM = 6;

const MAX_BLOCK_LENGTH = 64;
/** In BLOCK.BEGUN: decoded for a 32-bit segment. */
const BIG = 0x100;
/** Immediates remembered as patched; more are treated as any other write to code. */
const MAX_PATCHED = 4096;
/** By row: 1 when the instruction ends with an immediate that is a plain operand, so that code may be patched there without decoding anew. */
export const PATCHABLE = Uint8Array.from(ROWS, ({ name }, row) =>
  ROW_IMM[row] === IMM.IZ && /^(mov|add|or|adc|sbb|and|sub|xor|cmp|test|push)$/.test(name) ? 1 : 0,
);
/** Decoded alone, not kept: single steps, and page-crossing instructions while one of their pages is not in the TLB. */
export const SCRATCH_RECORD = MAX_RECORDS * RECORD;

/** What is known of one physical page with code. */
export interface CodePage {
  /** Block number + 1 by page offset; 0 = nothing decoded here. */
  index: Int32Array;
  /** Blocks that start here. */
  blocks: number[];
  /** Blocks that start in the page before, whose instruction ends here. */
  crossing: number[];
  /** For each 64-byte line, how many blocks cover some of it. */
  lines: Uint16Array;
}

export class BlockCache {
  readonly pages: (CodePage | undefined)[] = [];
  /** Index of physical address 0 in the memory. */
  readonly base = RAM_BASE;
  /** The table of blocks, words: see BLOCK and BLOCK. */
  readonly table: Int32Array;
  /** Runs after which the run loop is asked about translating a block; a large number: never. */
  heatAt = 0x7fffffff;
  /** Number 0 is no block: nothing is ever found there. */
  private blocks = 1;
  private records = 0;
  /** Page offsets (0-4095) where a block must begin, because a breakpoint may be there. */
  readonly splits = new Uint16Array(PAGE);
  /** Physical addresses of dword immediates that were written to while decoded: translated code reads them from the memory. */
  readonly patched = new Set<number>();
  /** Called with a block one of whose immediates joined `patched`. */
  onPatch: (block: number) => void = () => {};
  /** Called with every block that is dropped. */
  onDrop: (block: number) => void = () => {};
  /** Called when everything is dropped at once. */
  onClear: () => void = () => {};
  readonly executed: Executed;
  /** How often everything had to go because the cache was full. */
  clears = 0;

  constructor(private readonly cpu: Cpu) {
    this.executed = new Executed(cpu);
    cpu.code = new Int32Array(cpu.memory.buffer, CODE, (MAX_RECORDS + 4) * RECORD);
    this.table = new Int32Array(cpu.memory.buffer, BLOCKS, MAX_BLOCKS * BLOCK.SIZE);
    this.table[BLOCK.ADDRESS] = -1;
    cpu.onCodeWrite = (physical, length) => this.written(physical, length);
  }

  private readonly crossed = new Uint8Array(16);

  /**
   * Decodes the block at index `a` of cpu.m8.
   * @param after index where the code goes on behind the page, -1 when that is not known. @returns the block number, or -1 when the first instruction needs to know.
   */
  build(a: number, big: boolean, after: number): number {
    if (this.blocks === MAX_BLOCKS || this.records + MAX_BLOCK_LENGTH > MAX_RECORDS) this.clear();
    const { code, m8 } = this.cpu;
    const pageEnd = (a & ~0xfff) + PAGE;
    const start = this.records * RECORD;
    let p = a;
    let n = 0;
    while (n < MAX_BLOCK_LENGTH && p < pageEnd) {
      if (n > 0 && this.splits[p & 0xfff] !== 0) break;
      const o = start + n * RECORD;
      const length = decode(m8, p, Math.min(p + 15, pageEnd), big, code, o);
      if (length === NEED_MORE) break;
      p += length;
      code[o + R.END] = p - a;
      n++;
      const meta = code[o + R.META];
      if (meta & M.ENDS || (meta & M.REP && ROW_BITS[code[o] >> 3] & 8)) break;
    }
    let second = -1;
    if (n === 0) {
      if (after < 0) return -1;
      const head = pageEnd - a;
      for (let k = 0; k < 15; k++) this.crossed[k] = m8[k < head ? a + k : after + k - head];
      const length = decode(this.crossed, 0, 15, big, code, start);
      if (length === NEED_MORE) return -1;
      code[start + R.END] = length;
      p += length;
      n = 1;
      second = (after - RAM_BASE) >>> 12;
    }
    const block = this.blocks++;
    this.records += n;
    const { table } = this;
    const t = block * BLOCK.SIZE;
    table.fill(0, t, t + BLOCK.SIZE);
    table[t + BLOCK.ADDRESS] = a;
    table[t + BLOCK.FIRST] = start;
    table[t + BLOCK.COUNT] = n;
    table[t + BLOCK.BYTES] = p - a;
    table[t + BLOCK.HEAT] = this.heatAt;
    table[t + BLOCK.BEGUN] = big ? BIG : 0;
    table[t + BLOCK.SECOND] = second;
    const number = (a - RAM_BASE) >>> 12;
    const page = this.pageOf(number);
    const old = page.index[a & 0xfff];
    if (old !== 0) this.drop(old - 1);
    // The page may have gone with its last block.
    const kept = this.pageOf(number);
    kept.index[a & 0xfff] = block + 1;
    kept.blocks.push(block);
    if (second >= 0) this.pageOf(second).crossing.push(block);
    this.countLines(block, 1);
    return block;
  }
  private pageOf(number: number): CodePage {
    let page = this.pages[number];
    if (page === undefined) {
      page = { index: new Int32Array(PAGE), blocks: [], crossing: [], lines: new Uint16Array(64) };
      this.pages[number] = page;
      this.cpu.setPageFlag(number, PageFlag.CODE);
    }
    return page;
  }
  private forgetIfEmpty(number: number): void {
    const page = this.pages[number];
    if (page === undefined || page.blocks.length > 0 || page.crossing.length > 0) return;
    this.pages[number] = undefined;
    this.cpu.clearPageFlag(number, PageFlag.CODE);
  }

  // What the table says of a block.
  first(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.FIRST];
  }
  count(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.COUNT];
  }
  bytes(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.BYTES];
  }
  /** 1 = decoded for a 32-bit segment. */
  big(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.BEGUN] >> 8;
  }
  begun(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.BEGUN] & (BIG - 1);
  }
  /** Physical page number and offset of its first byte. */
  page(block: number): number {
    return (this.table[block * BLOCK.SIZE + BLOCK.ADDRESS] - RAM_BASE) >>> 12;
  }
  offset(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.ADDRESS] & 0xfff;
  }
  /** The physical page where a crossing instruction ends, -1 for blocks inside a page. Whoever runs the block makes sure that it is the next page still. */
  second(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.SECOND];
  }
  /** EIP after the block's last run in the interpreter: where an indirect jump went. A hint, nothing more. */
  follow(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.FOLLOW];
  }
  runs(block: number): number {
    return this.table[block * BLOCK.SIZE + BLOCK.RUNS];
  }
  /** Sets how often the block counts as run; the run loop is asked again when it gets hot. */
  setRuns(block: number, runs: number): void {
    this.table[block * BLOCK.SIZE + BLOCK.RUNS] = runs;
    this.table[block * BLOCK.SIZE + BLOCK.HEAT] = this.heatAt;
  }
  /** Slot of the block's translation for a privilege (user 1 = CPL 3), 0 = none. */
  setSlot(block: number, user: number, slot: number, linear: number): void {
    const t = block * BLOCK.SIZE + 2 * user;
    this.table[t + BLOCK.SLOT] = slot;
    this.table[t + BLOCK.LINEAR] = linear;
    this.settle(block);
  }
  /** Works out BLOCK.GO anew. */
  private settle(block: number): void {
    const { table } = this;
    const t = block * BLOCK.SIZE;
    const a = table[t + BLOCK.ADDRESS];
    const alive = this.pages[(a - RAM_BASE) >>> 12]?.index[a & 0xfff] === block + 1;
    const plain = table[t + BLOCK.BEGUN] === (table[t + BLOCK.COUNT] | BIG) && table[t + BLOCK.SECOND] < 0 && this.splits[a & 0xfff] === 0;
    table[t + BLOCK.GO] = alive && plain && (table[t + BLOCK.SLOT] | table[t + BLOCK.SLOT + 2]) === 0 ? 1 : 0;
  }

  /** The first `n` records of a block have been begun. */
  note(block: number, n: number): void {
    const t = block * BLOCK.SIZE;
    const first = this.table[t + BLOCK.FIRST];
    this.executed.records(this.table[t + BLOCK.ADDRESS] - RAM_BASE, first + this.begun(block) * RECORD, first + n * RECORD);
    this.table[t + BLOCK.BEGUN] = n | (this.table[t + BLOCK.BEGUN] & BIG);
    this.settle(block);
  }

  /** True when decoded code may overlap `length` bytes at `physical` (by 64-byte lines). */
  covers(physical: number, length: number): boolean {
    const page = this.pages[physical >>> 12];
    if (page === undefined) return false;
    const from = physical & 0xfff;
    for (let line = from >> 6; line <= (from + length - 1) >> 6; line++) if (page.lines[line] !== 0) return true;
    return false;
  }

  private countLines(block: number, by: number): void {
    const end = this.offset(block) + this.bytes(block);
    const last = (Math.min(end, PAGE) - 1) >> 6;
    const lines = this.pages[this.page(block)]?.lines;
    if (lines !== undefined) for (let line = this.offset(block) >> 6; line <= last; line++) lines[line] += by;
    const behind = end > PAGE ? this.pages[this.second(block)]?.lines : undefined;
    if (behind !== undefined) behind[0] += by;
  }
  /** Whether some of the block's bytes lie in page `number` at offsets `from` to `to` (exclusive). */
  private touches(block: number, number: number, from: number, to: number): boolean {
    const start = this.offset(block);
    const end = start + this.bytes(block);
    return (
      (this.page(block) === number && start < to && Math.min(end, PAGE) > from) || (this.second(block) === number && end - PAGE > from)
    );
  }

  /** Record of the block whose patchable immediate holds page offsets `from` to `to` (exclusive) whole, or -1. */
  private patchable(block: number, from: number, to: number): number {
    if (this.second(block) >= 0) return -1;
    const { code } = this.cpu;
    const start = this.offset(block);
    for (let i = 0, o = this.first(block); i < this.count(block); i++, o += RECORD) {
      const end = start + code[o + R.END];
      if (end < to) continue;
      const form = code[o + R.FORM];
      return PATCHABLE[form >> 3] !== 0 && ((form >> 1) & 3) === 2 && from >= end - 4 ? o : -1;
    }
    return -1;
  }
  private immediateAt(block: number, record: number): number {
    return this.page(block) * PAGE + this.offset(block) + this.cpu.code[record + R.END] - 4;
  }

  /** True when a write there concerns no block for which `inUse` holds, or only immediates that are known to be patched. */
  quiet(physical: number, length: number, inUse: (block: number) => boolean): boolean {
    const number = physical >>> 12;
    const page = this.pages[number];
    if (page === undefined) return true;
    const from = physical & 0xfff;
    const to = from + length;
    for (const block of page.crossing) if (this.touches(block, number, from, to) && inUse(block)) return false;
    for (const block of page.blocks) {
      if (!this.touches(block, number, from, to) || !inUse(block)) continue;
      const record = this.patchable(block, from, to);
      if (record < 0 || !this.patched.has(this.immediateAt(block, record))) return false;
    }
    return true;
  }

  /**
   * Brings up to date what overlaps `length` bytes written at `physical`: a block whose immediate was patched gets the new one; others are dropped, together
   * with their neighbours in the same lines, which a program that writes code is about to overwrite as well.
   */
  written(physical: number, length: number): void {
    const number = physical >>> 12;
    const page = this.pages[number];
    if (page === undefined || !this.covers(physical, length)) return;
    const from = physical & 0xfff;
    const to = from + length;
    let dropped = false;
    for (let i = page.blocks.length - 1; i >= 0; i--) {
      const block = page.blocks[i];
      if (!this.touches(block, number, from, to)) continue;
      const record = this.patchable(block, from, to);
      const at = record < 0 ? -1 : this.immediateAt(block, record);
      if (at >= 0 && (this.patched.size < MAX_PATCHED || this.patched.has(at))) {
        const { m8, code } = this.cpu;
        const a = this.base + at;
        code[record + R.IMM] = m8[a] | (m8[a + 1] << 8) | (m8[a + 2] << 16) | (m8[a + 3] << 24);
        this.executed.patched(at, 4);
        if (this.patched.has(at)) continue;
        this.patched.add(at);
        this.onPatch(block);
      } else {
        this.drop(block);
        dropped = true;
      }
    }
    for (let i = page.crossing.length - 1; i >= 0; i--) {
      const block = page.crossing[i];
      if (!this.touches(block, number, from, to)) continue;
      this.drop(block);
      dropped = true;
    }
    if (!dropped) return;
    const low = from & ~63;
    const high = (to + 63) & ~63;
    for (let i = page.blocks.length - 1; i >= 0; i--) if (this.touches(page.blocks[i], number, low, high)) this.drop(page.blocks[i]);
  }

  /** Drops every block that covers a page offset for which `hit` is true, on all pages (breakpoints changed). */
  dropAtOffset(offset: number): void {
    for (const page of this.pages) {
      if (page === undefined) continue;
      for (let i = page.blocks.length - 1; i >= 0; i--) {
        const block = page.blocks[i];
        const end = this.offset(block) + this.bytes(block);
        if ((this.offset(block) <= offset && end > offset) || end > offset + PAGE) this.drop(block);
      }
    }
  }

  private drop(block: number): void {
    const number = this.page(block);
    const page = this.pages[number];
    if (page === undefined) return;
    const { code } = this.cpu;
    for (let i = 0, o = this.first(block); i < this.count(block); i++, o += RECORD) {
      code[o] = STALE_FORM;
      code[o + R.META] &= M.WITHOUT_CASE;
    }
    if (page.index[this.offset(block)] === block + 1) page.index[this.offset(block)] = 0;
    this.table[block * BLOCK.SIZE + BLOCK.GO] = 0;
    const last = page.blocks.pop() ?? -1;
    if (last !== block) page.blocks[page.blocks.indexOf(block)] = last;
    this.countLines(block, -1);
    const behind = this.second(block) < 0 ? undefined : this.pages[this.second(block)];
    behind?.crossing.splice(behind.crossing.indexOf(block), 1);
    this.onDrop(block);
    this.forgetIfEmpty(number);
    if (behind !== undefined) this.forgetIfEmpty(this.second(block));
  }

  /** Forgets everything. Records of a block that is running just now stay readable: they are made stale, not reused at once. */
  clear(): void {
    const { code } = this.cpu;
    for (let o = 0; o < this.records * RECORD; o += RECORD) {
      code[o] = STALE_FORM;
      code[o + R.META] &= M.WITHOUT_CASE;
    }
    for (let number = 0; number < this.pages.length; number++) {
      if (this.pages[number] === undefined) continue;
      this.pages[number] = undefined;
      this.cpu.clearPageFlag(number, PageFlag.CODE);
    }
    this.cpu.m32.fill(0, FOUND >> 2, (FOUND >> 2) + FOUND_MASK + 1);
    this.blocks = 1;
    this.records = 0;
    this.patched.clear();
    this.clears++;
    this.onClear();
  }
}
