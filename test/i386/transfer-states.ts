// States before an INT, an IRET or a load of a data segment, varied field by field over whatever decides between the roads that a transfer may take.
//
// Rings, gates, descriptors, selectors, limits, flags, stacks, paging, the TLB. Shared by the tests of the plain road in TypeScript and in WebAssembly.

import { DS, ES, ESP, FL, FS, GS, RAM_BASE, S, SS, TR, W } from '../../src/i386/state';
import { AT, gate, type ProtectedMachine, SEL, segment } from './protected-machine';

/** A small generator: the same choices in every run. */
export class Choices {
  private state: number;
  constructor(seed: number) {
    this.state = (seed * 2654435761) | 1;
  }
  next(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0;
    return (this.state >>> 8) % n;
  }
  of<T>(...values: T[]): T {
    return values[this.next(values.length)];
  }
  /** True once in `n`. */
  rarely(n: number): boolean {
    return this.next(n) === 0;
  }
}

const CODES = [SEL.CODE0, SEL.CODE1, SEL.CODE3];
const DATAS = [SEL.DATA0, SEL.DATA1, SEL.DATA3];

/** Makes a state and puts an instruction at EIP. @returns its bytes. */
export const prepare = (pc: ProtectedMachine, r: Choices): number[] => {
  const { m32 } = pc;
  let flags = 2;
  for (const bit of [FL.CF, FL.ZF, FL.SF, FL.PF, FL.AF, FL.OF, FL.IF, FL.DF, FL.ID]) if (r.rarely(2)) flags |= bit;
  if (r.rarely(8)) flags |= r.of(FL.NT, FL.AC, FL.RF, 0x1000, 0x3000);
  pc.cpu.setFlags(flags);
  for (const selector of [...CODES, ...DATAS]) {
    if (!r.rarely(10)) continue;
    const code = CODES.includes(selector as (typeof CODES)[number]);
    const access = (r.of(0x80, 0x80, 0) | r.of(0, 0x20, 0x60) | 0x10 | (code ? 8 : 0) | r.next(8)) & 0xff;
    pc.describe(selector, segment(r.of(0, 0, 0x100), r.of(0xfffff, 0xfffff, 0xffff), access, r.of(0xc, 0xc, 0x4, 0x8, 0xd)));
  }
  if (r.rarely(12)) m32[W.GDT_LIMIT] = r.of(0x37, 0x2f, 0x17);
  if (r.rarely(12)) m32[W.LIMIT + TR] = r.of(0x67, 0x10, 0xb, 3);
  if (r.rarely(12)) m32[W.ACCESS + TR] = 0x83;
  if (r.rarely(8)) pc.write32(AT.TSS + 8, r.of<number>(SEL.DATA3, SEL.CODE0, 0, SEL.DATA0 | 4, 0xf8));
  if (r.rarely(8)) pc.write32(AT.TSS + 4, AT.STACK0 + r.of(1, -0x1000 + 8, 2));
  if (r.rarely(8)) m32[ESP] = AT.STACK - r.of(0xff8, 0xffc, 3);
  if (r.rarely(16)) m32[W.DR + 7] |= 1;
  const kind = r.next(3);
  if (kind === 0) {
    const vector = r.of(3, 0x40, 0x80, 0xff, 13);
    const target = r.of(...CODES, ...CODES, ...CODES, SEL.DATA0, 0, SEL.CODE0 | 4);
    pc.describeGate(
      vector,
      gate(target, r.of(0x9400, 0x19400, 0xf0009400 | 0), r.of(0xee, 0xef, 0xee, 0xef, 0x8e, 0x6e, 0xe6, 0xe5), r.of(0, 0x1f)),
    );
    if (r.rarely(12)) m32[W.IDT_LIMIT] = 0x3ff;
    return vector === 3 && r.rarely(2) ? [0xcc] : [0xcd, vector];
  }
  if (kind === 1) {
    const top = [
      r.of(0x9400, 0x1ffff0),
      r.of(...CODES, ...CODES, 0, SEL.CODE3 & ~3),
      r.of(flags, 2, 0x202, 0x3202, 0x10002, 0x40002, 0x24002, 0x8d7),
    ];
    top.push(r.of(0x8000, 0x8001, 0xffffffff), r.of(...DATAS, ...DATAS, 0, SEL.CODE3));
    m32[ESP] -= 20;
    const at = m32[W.BASE + SS] + m32[ESP];
    for (const [n, value] of top.entries()) for (let b = 0; b < 4; b++) pc.cpu.m8[RAM_BASE + at + 4 * n + b] = value >>> (8 * b);
    return [0xcf];
  }
  m32[0] = r.of<number>(...DATAS, ...DATAS, ...CODES, 0, 3, SEL.TSS, SEL.DATA3 | 4, 0xf8);
  return [0x8e, 0xc0 | (r.of(ES, DS, FS, GS) << 3)];
};

/** One machine in three has paging, some of them with a page missing or protected. */
export const pagePerhaps = (pc: ProtectedMachine, r: Choices): void => {
  if (!r.rarely(3)) return;
  pc.paging(
    r.of({}, {}, { absent: [r.of(AT.GDT, AT.TSS, AT.STACK0 - 4)] }, { readOnly: [AT.STACK0 - 4] }, { supervisor: [0x9000, AT.STACK - 4] }),
  );
};

/** Whatever a transfer may touch is in the TLB. */
export const warm = (pc: ProtectedMachine): void => {
  for (let page = 0; page < 0x40; page++) {
    pc.cpu.tryTranslate(page << 12, true, false);
    pc.cpu.tryTranslate(page << 12, true, true);
    pc.cpu.tryTranslate(page << 12, false, false);
    pc.cpu.tryTranslate(page << 12, false, true);
  }
};
/** All registers but the words of the run loop and of translated code. */
export const registers = (pc: ProtectedMachine): number[] => [
  ...pc.m32.subarray(0, W.LEFT),
  ...pc.m32.subarray(W.LEFT + 1, S.SCRATCH >> 2),
];
export const memory = (pc: ProtectedMachine): Buffer => Buffer.from(pc.cpu.m8.slice(RAM_BASE, RAM_BASE + 0x40000));
