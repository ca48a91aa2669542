// Rows of disassembly around an address, forwards and backwards, always as many as asked for.
//
// Going back is decided by going forward: from the start of the function, else from an instruction nearby that was executed, else from the farthest start nearby whose
// instructions meet the address. So two overlapping answers agree. What it leaves out: the protocol's shape (adapter) and listings (listing.ts).

import type { Decoded, Disassembler } from '../i386/disassembly';
import type { Programs } from './programs';
import type { Target } from './target';

export interface CodeRow {
  address: number;
  /** Missing: unmapped or no valid instruction. */
  decoded: Decoded | undefined;
  bytes: Uint8Array;
}

const FUNCTION_REACH = 0x10000;
const BACK = 48;

export class CodeRows {
  private readonly chains = new Map<number, number[]>();

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
    private readonly disassembler: Disassembler,
  ) {}

  /** One row. Bytes that make no instruction are rows of one byte. */
  at(address: number): CodeRow {
    const bytes = this.target.read(address, 15);
    const decoded = this.disassembler.decode(bytes, address, this.target.codeBits, this.target.segmentBase('cs'));
    return { address, decoded, bytes: bytes.subarray(0, decoded?.length ?? 1) };
  }

  /** `count` rows; the row at `address` has index -`offset`. Addresses below 0 and above 4 GB give rows without bytes at the nearest end. */
  around(address: number, offset: number, count: number): CodeRow[] {
    const rows: CodeRow[] = [];
    const back: CodeRow[] = [];
    let at = address;
    for (let i = 0; i < -offset; i++) {
      if (at === 0) back.push({ address: 0, decoded: undefined, bytes: new Uint8Array() });
      else {
        const row = this.before(at);
        back.push(row);
        at = row.address;
      }
    }
    rows.push(...back.reverse());
    let next = address;
    const total = Math.max(0, count + Math.max(0, offset)) + Math.max(0, -offset);
    while (rows.length < total) {
      if (next > 0xffffffff) {
        rows.push({ address: 0xffffffff, decoded: undefined, bytes: new Uint8Array() });
        continue;
      }
      const row = this.at(next);
      rows.push(row);
      next += Math.max(1, row.bytes.length);
    }
    const first = Math.max(0, offset);
    return rows.slice(first, first + count);
  }

  private before(address: number): CodeRow {
    const last = address - 1;
    const at = this.programs.linked(last);
    const symbol = at?.program.table.lookup(at.link);
    if (at !== undefined && symbol !== undefined && symbol.kind !== 'object' && symbol.offset < FUNCTION_REACH) {
      const start = (symbol.address + at.bias) >>> 0;
      const found = this.lastBefore(this.chain(start, address), address);
      if (found !== undefined) return this.at(found);
    }
    // What ran is an instruction for certain: the nearest one decides.
    for (let start = last; start >= Math.max(0, address - BACK); start--) {
      if (this.target.executed(start, 1) !== true || this.target.executed(start, this.at(start).bytes.length) !== true) continue;
      const found = this.walk(start, address);
      if (found !== undefined) return this.at(found);
    }
    for (let start = Math.max(0, address - BACK); start < address; start++) {
      const chain = this.walk(start, address);
      if (chain !== undefined) return this.at(chain);
    }
    return { address: last, decoded: undefined, bytes: this.target.read(last, 1) };
  }

  /** Instruction starts from a function's first to at least `until`. */
  private chain(start: number, until: number): number[] {
    let chain = this.chains.get(start);
    if (chain === undefined) this.chains.set(start, (chain = [start]));
    for (;;) {
      const last = chain[chain.length - 1];
      if (last >= until) return chain;
      chain.push(last + Math.max(1, this.at(last).bytes.length));
    }
  }
  private lastBefore(chain: number[], address: number): number | undefined {
    const i = chain.indexOf(address);
    if (i > 0) return chain[i - 1];
    return undefined;
  }
  /** The instruction that ends at `address` when instructions are read from `start`; undefined when none does. */
  private walk(start: number, address: number): number | undefined {
    let at = start;
    for (;;) {
      const row = this.at(at);
      if (row.decoded === undefined) return undefined;
      const next = at + row.decoded.length;
      if (next === address) return at;
      if (next > address) return undefined;
      at = next;
    }
  }
}
