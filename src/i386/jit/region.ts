// Chooses what one translation covers: the blocks that direct jumps reach from a hot one, within a few pages and a few hundred instructions.
//
// A region assumes one linear address for its code, one privilege, flat 32-bit segments. Its first page was checked by whoever enters; edges to other pages
// carry the TLB entry that must still stand there. What it leaves out: code (translate.ts), life and death of regions (jit.ts).

import type { BlockCache } from '../blocks';
import type { Cpu } from '../cpu';
import { M, R, RECORD } from '../decode';
import { ROW_BITS, ROWS } from '../rows';
import { PAGE } from '../state';
import { canTranslate } from './coverage';

const MAX_BLOCKS = 64;
const MAX_INSTRUCTIONS = 400;
/** A block joins a region only when it ran at least this share of the times its entry did (cold paths stay with the interpreter). */
const WARM_SHARE = 1 / 16;
const MAX_PAGES = 4;
/** Entries of a jump table that are looked at; return addresses that a RET may go to without leaving the region. */
const MAX_TABLE = 64;
const MAX_RETURNS = 8;

export type Terminator =
  | { kind: 'jmp'; target: number }
  | { kind: 'jcc'; target: number; cc: number }
  | { kind: 'loop'; name: string; target: number }
  | { kind: 'call'; target: number }
  | { kind: 'ret' }
  | { kind: 'jmp_ind' }
  | { kind: 'call_ind' }
  /** A REP string instruction: done by the interpreter, then straight on. */
  | { kind: 'interpret' }
  /** A system instruction: done by the interpreter; `straight`: it usually goes on at the next instruction. */
  | { kind: 'system'; straight: boolean };

/** System instructions that a region has done by the interpreter without leaving for the run loop. */
const SYSTEM_STRAIGHT = new Set(
  'mov_to_sreg pop_sreg popf cli sti clts invlpg mov_from_cr mov_to_cr rdtsc rdmsr wrmsr in out lgdt lidt lldt ltr cpuid les lds lfs lgs'.split(
    ' ',
  ),
);
const SYSTEM_JUMPS = new Set('int int3 iret retf callf callf_ind jmpf jmpf_ind'.split(' '));

export interface RegionBlock {
  /** Number in the block cache. */
  block: number;
  linear: number;
  first: number;
  bytes: number;
  /** Records that run inside the region. */
  translated: number;
  terminator: Terminator | undefined;
  /** The instruction reaches into the next page, which must be the same one still. */
  crosses: boolean;
  /** Address of a last instruction that is the interpreter's (system instructions). */
  stopsAt: number | undefined;
  /** Internal successors by linear address. */
  edges: Map<number, number>;
  internal: number[];
}

export interface Region {
  code: Int32Array;
  /** Calls and returns are noted (../calls.ts). */
  calls: boolean;
  /** Memory is watched: accesses that were slow before look for a gap between watched bytes before they leave. */
  gaps: boolean;
  user: boolean;
  blocks: RegionBlock[];
  /** An upper bound of the instructions between two looks at the budget. */
  checkLength: number;
  /** Address of the cell for code at `target`, or -1 when nobody may go there directly. */
  cellFor(target: number): number;
  /** TLB entry of target's page when the region was made. */
  deltaOf(target: number): number;
  /** Names the region in its exits (jit.ts). */
  number: number;
  /** How patiently the instruction at `eip` treats slow accesses, see Emission. */
  patience(eip: number): number;
  /** Index into the memory of a dword immediate at `linear` that must be read from there, 0 when it is a constant. */
  patched(linear: number): number;
}

/** What of the block's end the translator understands. */
const terminatorOf = (code: Int32Array, i: number, next: number): Terminator | undefined => {
  const row = ROWS[code[i + R.FORM] >> 3];
  const target = (next + code[i + R.IMM]) | 0;
  // Ports are the run loop's: a device may want an interrupt or a new deadline at once.
  if (row.name === 'ins' || row.name === 'outs') return undefined;
  if (ROW_BITS[code[i + R.FORM] >> 3] & 8 && code[i + R.META] & M.REP) return { kind: 'interpret' };
  if (SYSTEM_STRAIGHT.has(row.name)) return { kind: 'system', straight: true };
  if (SYSTEM_JUMPS.has(row.name)) return { kind: 'system', straight: false };
  if (!canTranslate(code, i)) return undefined;
  switch (row.name) {
    case 'jmp':
      return { kind: 'jmp', target };
    case 'call':
      return { kind: 'call', target };
    case 'ret':
      return { kind: 'ret' };
    case 'jmp_ind':
      return { kind: 'jmp_ind' };
    case 'call_ind':
      return { kind: 'call_ind' };
    case 'loop':
    case 'loope':
    case 'loopne':
    case 'jcxz':
      return { kind: 'loop', name: row.name, target };
    default:
      return row.args[0] === 'J' ? { kind: 'jcc', target, cc: row.op & 15 } : undefined;
  }
};

/** What region forming asks of the translator's memory of the past (jit.ts). `a` and `at` are indexes of code in the memory. */
export interface Surroundings {
  /** Address of the cell for that code run at `linear`, -1 when there is none to be had. */
  cellFor(a: number, linear: number, user: boolean): number;
  /** True for blocks that are, or were, in a region. */
  isTranslated(block: number): boolean;
  /** See Emission. */
  patience(at: number): number;
  /** True when the program patches the dword immediate there. */
  patched(at: number): boolean;
  /** True for pages whose code is rewritten now and then. */
  churns(page: number): boolean;
}

/**
 * Finds the region entered at `linear`, whose code lies at index `a` of the memory.
 * @returns undefined when its first instruction is not translatable.
 */
export const discover = (
  cpu: Cpu,
  cache: BlockCache,
  a: number,
  linear: number,
  user: boolean,
  around: Surroundings,
): Omit<Region, 'number'> | undefined => {
  const { code, m32 } = cpu;
  const blocks: RegionBlock[] = [];
  const nodeOf = new Map<number, number>();
  const pages = new Map<number, number>([[linear >>> 12, (a - linear) | 0]]);
  let instructions = 0;

  const deltaOf = (target: number): number => pages.get(target >>> 12) ?? (m32[cpu.tr + (target >>> 12)] + 1) | 0;
  /** Index into the memory of code at `target`, -1 when it is not in the TLB or another page too many. */
  const locate = (target: number, mayAdd: boolean): number => {
    const delta = deltaOf(target);
    if (delta & 1) return -1;
    if (!pages.has(target >>> 12)) {
      if (!mayAdd || pages.size >= MAX_PAGES) return -1;
      pages.set(target >>> 12, delta);
    }
    return (target + delta) | 0;
  };
  let warm = 0;
  const add = (at: number, target: number): number | undefined => {
    const page = cache.pages[(at - cache.base) >>> 12];
    const number = page === undefined ? -1 : page.index[at & 0xfff] - 1;
    if (number < 0 || cache.big(number) !== 1) return undefined;
    // Code that is rewritten now and then would take the whole region with it.
    if (blocks.length > 0 && cache.page(number) !== cache.page(blocks[0].block) && around.churns(cache.page(number))) return undefined;
    // Translated blocks no longer count their runs: they were warm when they were translated.
    if (blocks.length > 0 && cache.runs(number) < warm && !around.isTranslated(number)) return undefined;
    const second = cache.second(number);
    if (second >= 0) {
      const behind = ((target & ~0xfff) + PAGE) | 0;
      const there = behind === 0 ? -1 : locate(behind, true);
      if (there < 0 || (there - cache.base) >>> 12 !== second || around.churns(second)) return undefined;
    }
    if (blocks.length === 0) warm = cache.runs(number) * WARM_SHARE;
    const first = cache.first(number);
    // Only what has been begun: code that was never executed must stay known as such, and behind an instruction that always faults nothing ever is.
    const count = cache.begun(number);
    if (count === 0) return undefined;
    const last = first + (count - 1) * RECORD;
    const next = (target + code[last + R.END]) | 0;
    const partly = count < cache.count(number);
    const ends = (code[last + R.META] & M.ENDS) !== 0 || (ROW_BITS[code[last] >> 3] & 8 && code[last + R.META] & M.REP) !== 0;
    const terminator = ends ? terminatorOf(code, last, next) : undefined;
    const stops = ends && terminator === undefined;
    const translated = stops ? count - 1 : count;
    if (translated === 0) return undefined;
    blocks.push({
      block: number,
      linear: target,
      first,
      bytes: cache.bytes(number),
      crosses: second >= 0,
      translated,
      terminator,
      stopsAt: partly ? next : stops ? (next - (code[last + R.META] & M.LENGTH)) | 0 : undefined,
      edges: new Map(),
      internal: [],
    });
    instructions += translated;
    nodeOf.set(target, blocks.length - 1);
    return blocks.length - 1;
  };

  /** Node of the code at `target`, made when it is warm and there is room. */
  const nodeAt = (target: number): number | undefined => {
    const known = nodeOf.get(target);
    if (known !== undefined) return known;
    if (blocks.length >= MAX_BLOCKS || instructions >= MAX_INSTRUCTIONS || cache.splits[target & 0xfff] !== 0) return undefined;
    const at = locate(target, true);
    return at < 0 ? undefined : add(at, target);
  };
  const join = (b: RegionBlock, target: number, node: number): void => {
    if (b.edges.has(target)) return;
    b.edges.set(target, node);
    b.internal.push(node);
  };
  /** Where an indirect jump may go, as far as can be guessed: where it went last, and what stands in its table. */
  const guesses = (b: RegionBlock): number[] => {
    const i = b.first + (b.translated - 1) * RECORD;
    const found = [cache.follow(b.block)];
    const e = code[i + R.EA];
    if (code[i + R.FORM] & 1 && (e & 15) === 8 && ((e >> 4) & 15) !== 8 && e >> 8 === 2) {
      for (let n = 0; n < MAX_TABLE; n++) {
        const entry = (code[i + R.DISP] + 4 * n) | 0;
        const delta = (m32[cpu.tr + (entry >>> 12)] + 1) | 0;
        if (delta & 1 || entry & 3) break;
        const target = m32[(entry + delta) >> 2];
        if ((target ^ b.linear) >>> 16 !== 0) break;
        if (!found.includes(target)) found.push(target);
      }
    }
    return found;
  };

  if (cache.splits[linear & 0xfff] !== 0 || add(a, linear) === undefined) return undefined;
  /** Addresses behind calls whose target is in the region. */
  const returns = new Set<number>();
  for (let n = 0; n < blocks.length; n++) {
    const b = blocks[n];
    const t = b.terminator;
    const next = (b.linear + b.bytes) | 0;
    const targets: number[] = [];
    if (t === undefined) {
      if (b.stopsAt === undefined) targets.push(next);
    } else if (t.kind === 'jmp') targets.push(t.target);
    else if (t.kind === 'jcc' || t.kind === 'loop') targets.push(next, t.target);
    else if (t.kind === 'interpret' || (t.kind === 'system' && t.straight)) targets.push(next);
    else if (t.kind === 'call') targets.push(t.target);
    else if (t.kind === 'jmp_ind' || t.kind === 'call_ind') targets.push(...guesses(b));
    for (const target of targets) {
      const node = nodeAt(target);
      if (node !== undefined) join(b, target, node);
    }
    if ((t?.kind === 'call' || t?.kind === 'call_ind') && b.edges.size > 0 && returns.size < MAX_RETURNS && nodeAt(next) !== undefined)
      returns.add(next);
  }
  for (const b of blocks) {
    if (b.terminator?.kind !== 'ret') continue;
    for (const target of returns) join(b, target, nodeOf.get(target) ?? 0);
  }
  return {
    code,
    calls: cpu.calls.on,
    gaps: cpu.watcher !== undefined,
    user,
    blocks,
    checkLength: instructions,
    cellFor: (target) => {
      if (cache.splits[target & 0xfff] !== 0) return -1;
      const delta = deltaOf(target);
      return delta & 1 ? -1 : around.cellFor((target + delta) | 0, target, user);
    },
    deltaOf,
    patience: (eip) => around.patience((eip + deltaOf(eip)) | 0),
    patched: (at) => {
      const a = (at + deltaOf(at)) | 0;
      return around.patched(a) ? a : 0;
    },
  };
};
