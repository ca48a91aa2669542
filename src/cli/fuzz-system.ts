// Machines for the fuzzer's system programs: descriptor tables, an IDT whose handlers skip a few bytes and return, two tasks, paging that programs change.
//
// A program starts in ring 3, ring 0, a 16-bit segment, virtual-8086 mode or real mode, and its snippets move between them: gates, far transfers, segment
// loads, TF and debug registers, page table changes, ports, interrupts. Nothing is intercepted, so every fault goes the whole way through the IDT.
// What it leaves out: judging, and plain instructions (fuzz.ts).

import type { Processor } from '../i386/processor';
import { CS, LDTR, RAM_BASE, TR, W } from '../i386/state';

export const SYSTEM_CODE = 0x10000;
export const SYSTEM_DATA = 0x20000;
const PAGES = 0x1000;
const PAGE_TABLE = 0x2000;
const GDT = 0x3000;
const IDT = 0x3800;
const TSS = 0x4000;
const OTHER_TSS = 0x5000;
const HANDLERS = 0x6000;
const KERNEL_STACK = 0xc000;
const TOP_PAGE = 0x80;

type Random = () => number;
export type Mode = 'user' | 'kernel' | 'user16' | 'v86' | 'real';

/** Descriptors from selector 8 on, as they stand in the table (high dword, low dword). */
const DESCRIPTORS: readonly [number, number][] = [
  [0x00cf9b00, 0x0000ffff], // 08 code, ring 0, flat
  [0x00cf9300, 0x0000ffff], // 10 data, ring 0, flat
  [0x00cffb00, 0x0000ffff], // 18 code, ring 3, flat
  [0x00cff300, 0x0000ffff], // 20 data, ring 3, flat
  [0x00008b00, (TSS << 16) | 0x2ff], // 28 the running task
  [0x00008900, (OTHER_TSS << 16) | 0x67], // 30 the other task
  [0x00009b01, 0x0000ffff], // 38 16-bit code, ring 0, from CODE
  [0x00009302, 0x00002fff], // 40 16-bit data, ring 0, from DATA
  [0x0000fb01, 0x0000ffff], // 48 16-bit code, ring 3
  [0x0000f302, 0x00002fff], // 50 16-bit data, ring 3
  [0x0040f700, 0x00001fff], // 58 expand-down data, ring 3
  [0x00c0f302, 0x10000002], // 60 32-bit data from 21000h, ring 3
  [0x00cf9f00, 0x0000ffff], // 68 conforming code
  [0x0001ec00, 0x00080100], // 70 call gate to CODE + 100h, ring 0
  [0x00cf7300, 0x0000ffff], // 78 data that is not present
  [0x0041fb00, 0x00001fff], // 80 32-bit code, ring 3, ends in the middle of the program
  [0x00cff100, 0x0000ffff], // 88 read-only data, ring 3
];
const SELECTORS = [0x08, 0x10, 0x1b, 0x23, 0x23, 0x23, 0x10, 0x40, 0x53, 0x5b, 0x63, 0x7b, 0x83, 0x8b, 0, 3, 0x93, 0x3b];
const VECTORS = [0, 1, 3, 4, 5, 6, 13, 14, 0x30, 0x31, 0x40, 0x80, 0xff];

const le32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
const pick = <T>(random: Random, list: readonly T[]): T => list[random() % list.length];

/** Writes a few instructions that change what the processor allows. @param wide the program's code is 32-bit. */
export const emitSnippet = (random: Random, out: number[], wide: boolean): void => {
  // Operand size 32 whatever the segment.
  const o = wide ? [] : [0x66];
  const code = SYSTEM_CODE + (random() % 0x1f00);
  const push = (value: number): void => {
    out.push(...o, 0x68, ...le32(value));
  };
  const movEax = (value: number): void => {
    out.push(...o, 0xb8, ...le32(value));
  };
  switch (random() % 22) {
    case 0: {
      // Flags: TF, IF, DF, NT, AC, IOPL.
      const bit = pick(random, [0x100, 0x100, 0x200, 0x400, 0x4000, 0x40000, 0x3000]);
      out.push(...o, 0x9c, ...(wide ? [] : [0x67]), ...o, 0x81, 0x34, 0x24, ...le32(bit), ...o, 0x9d);
      return;
    }
    case 1:
      // A segment register.
      movEax(pick(random, SELECTORS));
      out.push(0x8e, 0xc0 | (pick(random, [0, 2, 3, 3, 4, 5]) << 3));
      return;
    case 2:
      // CR0: MP EM TS NE WP AM.
      out.push(0x0f, 0x20, 0xc0, ...o, 0x35, ...le32(pick(random, [2, 4, 8, 0x20, 0x10000, 0x40000])), 0x0f, 0x22, 0xc0);
      return;
    case 3:
      // CR4: TSD DE PSE PGE; CR3 to itself.
      if (random() % 2) out.push(0x0f, 0x20, 0xe0, ...o, 0x35, ...le32(pick(random, [4, 8, 0x10, 0x80])), 0x0f, 0x22, 0xe0);
      else out.push(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8);
      return;
    case 4:
      // A breakpoint register, then DR7: more often off than on.
      movEax(random() % 2 ? code : SYSTEM_DATA + (random() % 0x3000));
      out.push(0x0f, 0x23, 0xc0 | ((random() % 4) << 3));
      movEax(random() % 3 ? 0 : (random() & 0xff) | ((random() & 0xffff) << 16));
      out.push(0x0f, 0x23, 0xf8);
      return;
    case 5:
      movEax(0);
      out.push(0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xf3);
      return;
    case 6: {
      // A page table entry: W, U, present; then INVLPG, or not.
      const page = pick(random, [0x20, 0x21, 0x22, 0x23, 0x10, 0x11]);
      out.push(0xa0, ...(wide ? le32(PAGE_TABLE + 4 * page) : [(4 * page) & 0xff, 0x20]), 0x34, pick(random, [2, 2, 4, 1]));
      out.push(0xa2, ...(wide ? le32(PAGE_TABLE + 4 * page) : [(4 * page) & 0xff, 0x20]));
      if (random() % 4) out.push(...(wide ? [] : [0x67]), 0x0f, 0x01, 0x3d, ...le32(page << 12));
      return;
    }
    case 7:
      out.push(0xcd, pick(random, VECTORS));
      return;
    case 8:
      out.push(pick(random, [0xcc, 0xce, 0xf1, 0xf4, 0xfa, 0xfb, 0xfb, 0x9b]));
      return;
    case 9:
      // Far return and far jump.
      push(pick(random, [0x08, 0x1b, 0x1b, 0x83, 0x4b, 0x68]));
      push(code);
      out.push(...o, 0xcb);
      return;
    case 10:
      out.push(...o, pick(random, [0xea, 0x9a]), ...le32(code), ...[pick(random, [0x08, 0x1b, 0x73, 0x73, 0x30, 0x68, 0x3b, 0x4b]), 0]);
      return;
    case 11:
      // IRET within the ring.
      push(pick(random, [0x202, 0x302, 0x10202, 0x2, 0x3202, 0x40202]));
      out.push(...o, 0x0e);
      push(code);
      out.push(...o, 0xcf);
      return;
    case 12:
      // IRET to virtual-8086 mode (in ring 3 only VM is dropped).
      for (const segment of [0x2000, 0x2000, 0x2000, 0x2000, 0x2000, 0x2000]) push(segment);
      push(0x20202 | ((random() % 4) << 12));
      push(0x1000);
      push(random() % 0x1f00);
      out.push(...o, 0xcf);
      return;
    case 13:
      // IRET to ring 3.
      push(0x23);
      push(SYSTEM_DATA + 0x1800);
      push(0x3202);
      push(0x1b);
      push(code);
      out.push(...o, 0xcf);
      return;
    case 14:
      out.push(0x66 ^ (random() % 2 ? 0 : 0xf6), pick(random, [0xe4, 0xe5, 0xe6, 0xe7]), random() & 0xff);
      return;
    case 15:
      out.push(pick(random, [0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f]));
      return;
    case 16:
      out.push(0xf3, pick(random, [0x6c, 0x6e, 0x6f, 0xa4, 0xa5, 0xab, 0xa6, 0xae]));
      return;
    case 17:
      out.push(pick(random, [0xfc, 0xfd]), 0xf3, pick(random, [0xa4, 0xa5, 0xaa, 0xab, 0xad, 0xa7, 0xaf]));
      return;
    case 18:
      out.push(0x0f, pick(random, [0x31, 0xa2, 0x06, 0x08, 0x09, 0x34, 0x35, 0x0b]));
      return;
    case 19:
      // Back to a flat world: what would otherwise be lost for the rest of the program.
      movEax(0x23);
      for (const seg of [0, 2, 3]) out.push(0x8e, 0xc0 | (seg << 3));
      return;
    case 20:
      // A store into the code just ahead or behind.
      out.push(...(wide ? [] : [0x67]), 0xc6, 0x05, ...le32(code), random() & 0xff);
      return;
    default: {
      // FS and GS accesses, LAR LSL VERR ARPL on interesting selectors.
      movEax(pick(random, SELECTORS));
      out.push(
        ...pick(random, [
          [0x0f, 0x02, 0xd8],
          [0x0f, 0x03, 0xd8],
          [0x0f, 0x00, 0xe0],
          [0x0f, 0x00, 0xe8],
          [0x63, 0xc3],
          [0x0f, 0x00, 0xd0],
        ]),
      );
    }
  }
};

/** What a handler does: step over a few bytes of whoever faulted, and go back. */
const handler = (random: Random, vector: number, real: boolean): number[] => {
  const skip = vector < 0x20 && vector !== 1 && vector !== 3 && vector !== 4 ? 1 + (random() % 4) : 0;
  if (real) return [0x55, 0x89, 0xe5, 0x83, 0x46, 0x02, skip, 0x5d, 0xcf];
  const error = vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
  const out = error ? [0x83, 0xc4, 0x04] : [];
  if (skip !== 0) out.push(0x83, 0x04, 0x24, skip);
  // Single steps end soon, pages come back, the coprocessor is switched on.
  if (vector === 1 && random() % 2) out.push(0x81, 0x64, 0x24, 0x08, 0xff, 0xfe, 0xff, 0xff);
  if (vector === 7) out.push(0x0f, 0x06);
  if (vector === 16) out.push(0xdb, 0xe2);
  if (vector === 14 && random() % 2)
    out.push(0x80, 0x0d, ...le32(PAGE_TABLE + 4 * pick(random, [0x20, 0x21, 0x22])), 0x07, 0x0f, 0x01, 0x3d, ...le32(0x21000));
  out.push(0xcf);
  return out;
};

/** Puts tables, handlers and registers in place. Memory is zero but for the program and its data. */
export const setUpSystem = (proc: Processor, mode: Mode, random: Random): void => {
  const { cpu } = proc;
  const { m32, m8 } = cpu;
  const word = (address: number, value: number): void => {
    m32[(RAM_BASE + address) >> 2] = value;
  };
  word(PAGES, PAGE_TABLE | 7);
  for (let page = 0; page < TOP_PAGE; page++) word(PAGE_TABLE + page * 4, (page << 12) | (page < 0x10 ? 3 : 7));
  word(PAGE_TABLE + 4 * 0x22, 0x22005);
  word(PAGE_TABLE + 4 * 0x23, 0);
  DESCRIPTORS.forEach(([high, low], n) => {
    word(GDT + 8 * (n + 1), low);
    word(GDT + 8 * (n + 1) + 4, high);
  });
  for (let vector = 0; vector < 256; vector++) {
    const at = HANDLERS + 32 * vector;
    const dpl = [1, 3, 4, 5, 0x30, 0x31, 0x80].includes(vector) ? 0x6000 : 0;
    if (mode === 'real') word(vector * 4, at);
    else if (vector === 0x31) {
      word(IDT + 8 * vector, 0x30 << 16);
      word(IDT + 8 * vector + 4, 0x8500 | dpl);
    } else {
      word(IDT + 8 * vector, (0x08 << 16) | at);
      word(IDT + 8 * vector + 4, 0x8e00 | dpl | (random() % 4 === 0 ? 0x100 : 0));
    }
    m8.set(handler(random, vector, mode === 'real'), RAM_BASE + at);
  }
  for (const [tss, esp0] of [
    [TSS, KERNEL_STACK],
    [OTHER_TSS, KERNEL_STACK - 0x2000],
  ]) {
    word(tss + 4, esp0);
    word(tss + 8, 0x10);
    word(tss + 0x1c, PAGES);
    word(tss + 0x20, SYSTEM_CODE + 0x400);
    word(tss + 0x24, 2);
    for (let n = 0; n < 8; n++) word(tss + 0x28 + 4 * n, n === 4 ? KERNEL_STACK - 0x1000 : SYSTEM_DATA + (random() % 0x2000));
    for (let seg = 0; seg < 6; seg++) word(tss + 0x48 + 4 * seg, seg === CS ? 0x08 : 0x10);
    word(tss + 0x64, 0x680000);
    for (let n = 0; n < 0x80; n += 4) word(tss + 0x68 + n, random());
  }
  m32.fill(0, W.SYSENTER_CS, W.SYSENTER_EIP + 1);
  m32[W.SYSENTER_CS] = 8;
  m32[W.SYSENTER_ESP] = KERNEL_STACK - 0x800;
  m32[W.SYSENTER_EIP] = SYSTEM_CODE + 0x800;
  m32[W.GDT_BASE] = GDT;
  m32[W.GDT_LIMIT] = 8 * DESCRIPTORS.length + 7;
  m32[W.IDT_BASE] = mode === 'real' ? 0 : IDT;
  m32[W.IDT_LIMIT] = mode === 'real' ? 0x3ff : 0x7ff;
  m32[W.CR0] = mode === 'real' ? 0x10 : 0x80000031 | 0 | (random() % 2 ? 0x10000 : 0);
  m32[W.CR3] = PAGES;
  m32[W.CR4] = 0x600 | (random() % 4 ? 0 : 0x10);
  const set = (seg: number, selector: number, base: number, limit: number, access: number): void => {
    m32[W.SELECTOR + seg] = selector;
    m32[W.BASE + seg] = base;
    m32[W.LIMIT + seg] = limit;
    m32[W.ACCESS + seg] = access;
  };
  set(LDTR, 0, 0, 0, 0);
  set(TR, 0x28, TSS, 0x2ff, 0x8b);
  for (let seg = 0; seg < 6; seg++) {
    const code = seg === CS;
    if (mode === 'user') set(seg, code ? 0x1b : 0x23, 0, -1, code ? 0xc0fb : 0xc0f3);
    else if (mode === 'kernel') set(seg, code ? 0x08 : 0x10, 0, -1, code ? 0xc09b : 0xc093);
    else if (mode === 'user16') set(seg, code ? 0x4b : 0x53, code ? SYSTEM_CODE : SYSTEM_DATA, code ? 0xffff : 0x2fff, code ? 0xfb : 0xf3);
    else set(seg, code ? 0x1000 : 0x2000, code ? SYSTEM_CODE : SYSTEM_DATA, 0xffff, mode === 'v86' ? 0xf3 : 0x93);
  }
  m32[W.CPL] = mode === 'kernel' || mode === 'real' ? 0 : 3;
  const wide = mode === 'user' || mode === 'kernel';
  if (!wide) for (let n = 0; n < 8; n++) m32[n] = random() % 0x2f00;
  if (mode === 'kernel') m32[4] = KERNEL_STACK - 0x400;
  m32[W.EIP] = (wide ? SYSTEM_CODE : 0) + (random() % 64);
  const flags = 0x202 | (random() & 0x8d5) | (random() % 2 ? 0x3000 : 0) | (mode === 'v86' ? 0x20000 : 0);
  m32[W.EFLAGS] = flags;
  cpu.setFlags(flags);
};
