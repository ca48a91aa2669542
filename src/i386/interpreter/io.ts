// IN, OUT, INS, OUTS and the question who may use a port.
//
// CPL above IOPL, and virtual-8086 mode always, must find a clear bit for each byte of the port in the I/O bitmap of a 32-bit TSS.
// What it leaves out: what ports do (Bus, in cpu.ts). Source: 386 PRM §8.3; SDM vol. 1 "I/O Port Protection".

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import { CR0, CR4, EAX, ECX, EDI, EDX, ES, ESI, FL, TR, W } from '../state';
import { type Binder, type Binders, readLinear, setReg, type Size, thisEip, writeLinear } from './operands';

/** Elements a REP INS or OUTS moves before it returns to the run loop. */
const CHUNK = 65536;
/** Offset in the TSS of the 16-bit offset of the I/O bitmap. */
const BITMAP_BASE = 0x66;

/** Raises #GP(0) when this privilege may not use ports [port, port + bytes). */
const checkPort = (c: Cpu, port: number, bytes: number): void => {
  const m = c.m32;
  if (!(m[W.CR0] & CR0.PE) || (!(m[W.EFLAGS] & FL.VM) && m[W.CPL] <= c.iopl)) return;
  const limit = m[W.LIMIT + TR] >>> 0;
  if ((m[W.ACCESS + TR] & 0x9d) !== 0x89 || limit < BITMAP_BASE + 1) c.gp(0);
  const tss = m[W.BASE + TR];
  const at = c.sysRead16((tss + BITMAP_BASE) | 0) + (port >> 3);
  // Two bytes are read, whatever the port: the bitmap must have one byte to spare.
  if (at + 1 > limit) c.gp(0);
  const bits = c.sysRead16((tss + at) | 0) >> (port & 7);
  if (bits & ((1 << bytes) - 1)) c.gp(0);
};

/** I/O breakpoints (CR4.DE): DR7 type 2, lengths 1, 2 and 4. */
const noteBreakpoints = (c: Cpu, port: number, bytes: number): void => {
  const m = c.m32;
  const dr7 = m[W.DR + 7];
  if (!(m[W.CR4] & CR4.DE)) return;
  for (let n = 0; n < 4; n++) {
    if (!((dr7 >> (2 * n)) & 3) || ((dr7 >> (16 + 4 * n)) & 3) !== 2) continue;
    const length = ((dr7 >> (18 + 4 * n)) & 3) + 1;
    const start = (m[W.DR + n] & ~(length - 1)) >>> 0;
    if (port < start + length && port + bytes > start) c.debugHits |= 1 << n;
  }
};

const portIn = (c: Cpu, port: number, bytes: number): number => {
  if (c.m32[W.DR + 7] & 0xff) noteBreakpoints(c, port, bytes);
  return c.bus.portRead(port, bytes);
};
const portOut = (c: Cpu, port: number, bytes: number, value: number): void => {
  if (c.m32[W.DR + 7] & 0xff) noteBreakpoints(c, port, bytes);
  c.bus.portWrite(port, bytes, value);
};

const bindIn: Binder = (row, size) => {
  const bytes = 1 << size;
  const immediate = row.args.includes('Ib');
  return (c, i) => {
    const port = immediate ? c.code[i + R.IMM] & 0xff : c.m16[EDX << 1];
    checkPort(c, port, bytes);
    setReg(c, size, EAX, portIn(c, port, bytes));
  };
};

const bindOut: Binder = (row, size) => {
  const bytes = 1 << size;
  const immediate = row.args.includes('Ib');
  const mask = size === 2 ? 0xffffffff : size === 1 ? 0xffff : 0xff;
  return (c, i) => {
    const port = immediate ? c.code[i + R.IMM] & 0xff : c.m16[EDX << 1];
    checkPort(c, port, bytes);
    portOut(c, port, bytes, (c.m32[EAX] & mask) >>> 0);
  };
};

/** One element from or to a port; the index register moves last. */
const inOne = (c: Cpu, size: Size, narrow: boolean, step: number): void => {
  const bytes = 1 << size;
  const di = narrow ? c.m16[EDI << 1] : c.m32[EDI];
  const linear = c.linW(ES, di, bytes);
  c.probeWrite(linear, bytes);
  writeLinear(c, size, linear, portIn(c, c.m16[EDX << 1], bytes));
  if (narrow) c.m16[EDI << 1] = di + step;
  else c.m32[EDI] = di + step;
};
const outOne = (c: Cpu, size: Size, seg: number, narrow: boolean, step: number): void => {
  const bytes = 1 << size;
  const si = narrow ? c.m16[ESI << 1] : c.m32[ESI];
  const value = readLinear(c, size, c.linR(seg, si, bytes));
  portOut(c, c.m16[EDX << 1], bytes, value >>> 0);
  if (narrow) c.m16[ESI << 1] = si + step;
  else c.m32[ESI] = si + step;
};

const bindString: Binder = (row, size) => {
  const input = row.name === 'ins';
  return (c, i) => {
    const meta = c.code[i + R.META];
    const narrow = (meta & M.ADDR16) !== 0;
    const seg = (meta >> M.SEG_SHIFT) & 7;
    const step = c.m32[W.EFLAGS] & FL.DF ? -(1 << size) : 1 << size;
    const repeated = (meta & M.REP) !== 0;
    checkPort(c, c.m16[EDX << 1], 1 << size);
    // A debug trap comes after the element that caused it.
    const chunk = c.m32[W.EFLAGS] & FL.TF || c.m32[W.DR + 7] & 0xff ? 1 : CHUNK;
    for (let done = 0; ; done++) {
      const left = narrow ? c.m16[ECX << 1] : c.m32[ECX] >>> 0;
      if (repeated && left === 0) return;
      if (done === chunk) {
        c.m32[W.EIP] = thisEip(c, i);
        c.unfinished = true;
        c.onPart?.();
        return;
      }
      if (input) inOne(c, size, narrow, step);
      else outOne(c, size, seg, narrow, step);
      if (!repeated) return;
      if (narrow) c.m16[ECX << 1] = left - 1;
      else c.m32[ECX] = left - 1;
    }
  };
};

/** Port instructions. */
export const IO: Binders = { in: bindIn, out: bindOut, ins: bindString, outs: bindString };
