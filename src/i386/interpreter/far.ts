// Segment registers and far control transfers as instructions: operands in, the machinery of segments.ts, transfer.ts and interrupts.ts does the rest.
//
// All of these end a block, so EIP already stands after the instruction when their handlers run.
// What it leaves out: tables, control registers and flags (system.ts). Source: SDM vol. 2, each mnemonic.

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import { Cause, deliver, interruptReturn } from '../interrupts';
import type { Row } from '../opcodes';
import { loadSegment } from '../segments';
import { CS, DS, ES, ESP, EXC, FL, FS, GS, SS, Shadow, W } from '../state';
import { farCall, farJump, farReturn } from '../transfer';
import { type Binder, type Binders, ea, type Handler, linW, regField, rmField, segment, setReg } from './operands';

const SEGMENTS: Record<string, number> = { ES, CS, SS, DS, FS, GS };

const segmentArgument = (row: Row): number => SEGMENTS[row.args];

const pushSegment: Binder = (row, size) => {
  const seg = W.SELECTOR + segmentArgument(row);
  // A 32-bit push writes a whole dword, as AMD processors do; the upper half is architecturally free.
  return size === 2 ? (c) => c.push32(c.m32[seg]) : (c) => c.push16(c.m32[seg]);
};

const popSegment: Binder = (row, size) => {
  const seg = segmentArgument(row);
  const bytes = size === 2 ? 4 : 2;
  return (c) => {
    const m = c.m32;
    const linear = c.linR(SS, c.stackOffset(0), bytes);
    const selector = size === 2 ? c.read32(linear) & 0xffff : c.read16(linear);
    const big = m[W.SS_BIG];
    loadSegment(c, seg, selector);
    // The old stack's width decides how the pointer moves, also after POP SS.
    m[ESP] = big ? (m[ESP] + bytes) | 0 : (m[ESP] & ~0xffff) | ((m[ESP] + bytes) & 0xffff);
    if (seg === SS) m[W.SHADOW] = Shadow.ALL;
  };
};

const moveFromSegment: Binder = (_row, size, memory) => (c, i) => {
  const seg = regField(c, i);
  if (seg > GS) c.ud();
  const selector = c.m32[W.SELECTOR + seg];
  if (memory) c.write16(linW(c, i, 2), selector);
  else setReg(c, size, rmField(c, i), selector);
};

const moveToSegment: Binder = (_row, _size, memory) => (c, i) => {
  const seg = regField(c, i);
  if (seg === CS || seg > GS) c.ud();
  const selector = memory ? c.read16(c.linR(segment(c, i), ea(c, i), 2)) : c.m16[rmField(c, i) << 1];
  loadSegment(c, seg, selector);
  if (seg === SS) c.m32[W.SHADOW] = Shadow.ALL;
};

/** Far pointer in memory: the offset is read first, then the selector. */
const farOffset = (c: Cpu, i: number, wide: boolean): number => {
  const linear = c.linR(segment(c, i), ea(c, i), wide ? 4 : 2);
  return wide ? c.read32(linear) : c.read16(linear);
};
const farSelector = (c: Cpu, i: number, wide: boolean): number => {
  const after = (ea(c, i) + (wide ? 4 : 2)) | 0;
  return c.read16(c.linR(segment(c, i), c.code[i + R.META] & M.ADDR16 ? after & 0xffff : after, 2));
};

const loadPointer =
  (seg: number): Binder =>
  (_row, size) =>
  (c, i) => {
    const offset = farOffset(c, i, size === 2);
    loadSegment(c, seg, farSelector(c, i, size === 2));
    setReg(c, size, regField(c, i), offset);
  };

const viaMemory =
  (go: (c: Cpu, selector: number, offset: number, wide: boolean) => void): Binder =>
  (_row, size) =>
  (c, i) => {
    const wide = size === 2;
    const offset = farOffset(c, i, wide);
    go(c, farSelector(c, i, wide), offset, wide);
  };

const direct =
  (go: (c: Cpu, selector: number, offset: number, wide: boolean) => void): Binder =>
  (_row, size) =>
  (c, i) =>
    go(c, c.code[i + R.IMM2], c.code[i + R.IMM], size === 2);

const interrupt: Handler = (c, i) => {
  if (c.v86 && c.iopl < 3) c.gp(0);
  deliver(c, c.code[i + R.IMM], Cause.INT_N, -1);
};

const into: Handler = (c) => {
  if (c.getFlags() & FL.OF) deliver(c, EXC.OF, Cause.TRAP, -1);
};

/** Instructions that load segments or leave the code segment. */
export const FAR: Binders = {
  push_sreg: pushSegment,
  pop_sreg: popSegment,
  mov_from_sreg: moveFromSegment,
  mov_to_sreg: moveToSegment,
  les: loadPointer(ES),
  lds: loadPointer(DS),
  lss: loadPointer(SS),
  lfs: loadPointer(FS),
  lgs: loadPointer(GS),
  callf: direct(farCall),
  callf_ind: viaMemory(farCall),
  jmpf: direct(farJump),
  jmpf_ind: viaMemory(farJump),
  retf: (_row, size) => (c, i) => farReturn(c, size === 2, c.code[i + R.IMM]),
  int: () => interrupt,
  int3: () => (c) => deliver(c, EXC.BP, Cause.TRAP, -1),
  into: () => into,
  int1: () => (c) => deliver(c, EXC.DB, Cause.ICEBP, -1),
  iret: (_row, size) => (c) => interruptReturn(c, size === 2),
};
