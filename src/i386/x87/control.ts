// Control instructions: initialisation, control and status word, environment and whole-state images, tags, FWAIT.
//
// The environment has four formats (16 or 32 bits, real or protected) and FXSAVE a fifth. The stored tag word with two bits a register is made from one
// valid bit and the contents. Source: SDM vol. 1, "x87 FPU state image". What it leaves out: SSE's part of FXSAVE is only the registers and MXCSR.

import type { Cpu } from '../cpu';
import { linR, linW } from '../interpreter/operands';
import type { Binder, Binders } from '../interpreter/operands';
import { CR0, CR4, EXC, W } from '../state';
import { C1, Kind, kindOf } from './float80';
import { begin, beginNoWait, initialise, isEmpty, note, pendingError, pop, rotate, setValid, updatePending } from './unit';

/** Bits of the control word that exist; bit 6 always reads as one. */
const CW_MASK = 0x1f3f;
const setControl = (m: Int32Array, value: number): void => {
  m[W.FPU_CW] = (value & CW_MASK) | 0x40;
  updatePending(m);
};
const setStatus = (m: Int32Array, value: number): void => {
  m[W.FPU_SW] = value & 0x7f7f;
  updatePending(m);
};

/** The tag word as memory images show it: two bits a physical register, 0 valid, 1 zero, 2 special, 3 empty. */
export const tagWord = (m: Int32Array): number => {
  let tags = 0;
  for (let r = 0; r < 8; r++) {
    let tag = 3;
    if ((m[W.FPU_VALID] >> r) & 1) {
      const slot = W.FPU_REGS + (r << 2);
      const kind = kindOf(m, slot);
      tag = kind === Kind.ZERO ? 1 : kind === Kind.FINITE && (m[slot + 2] & 0x7fff) !== 0 ? 0 : 2;
    }
    tags |= tag << (2 * r);
  }
  return tags;
};
const setTags = (m: Int32Array, tags: number): void => {
  let valid = 0;
  for (let r = 0; r < 8; r++) if (((tags >> (2 * r)) & 3) !== 3) valid |= 1 << r;
  m[W.FPU_VALID] = valid;
};

/** Real-address format: real and virtual-8086 mode. */
const realFormat = (c: Cpu): boolean => !c.protectedNotV86;

/** Writes the 28- or 14-byte environment; the whole image has been checked. */
const writeEnvironment = (c: Cpu, at: number, wide: boolean): void => {
  const m = c.m32;
  const cw = m[W.FPU_CW];
  const sw = m[W.FPU_SW];
  const tags = tagWord(m);
  const real = realFormat(c);
  const ip = real ? (m[W.FPU_FIP] + (m[W.FPU_FCS] << 4)) | 0 : m[W.FPU_FIP];
  const dp = real ? (m[W.FPU_FDP] + (m[W.FPU_FDS] << 4)) | 0 : m[W.FPU_FDP];
  if (wide) {
    c.write32(at, cw | 0xffff0000);
    c.write32((at + 4) | 0, sw | 0xffff0000);
    c.write32((at + 8) | 0, tags | 0xffff0000);
    if (real) {
      c.write32((at + 12) | 0, (ip & 0xffff) | 0xffff0000);
      c.write32((at + 16) | 0, ((ip >>> 16) << 12) | m[W.FPU_FOP]);
      c.write32((at + 20) | 0, (dp & 0xffff) | 0xffff0000);
      c.write32((at + 24) | 0, (dp >>> 16) << 12);
    } else {
      c.write32((at + 12) | 0, ip);
      c.write32((at + 16) | 0, m[W.FPU_FCS] | (m[W.FPU_FOP] << 16));
      c.write32((at + 20) | 0, dp);
      c.write32((at + 24) | 0, m[W.FPU_FDS] | 0xffff0000);
    }
  } else {
    c.write16(at, cw);
    c.write16((at + 2) | 0, sw);
    c.write16((at + 4) | 0, tags);
    c.write16((at + 6) | 0, ip & 0xffff);
    c.write16((at + 8) | 0, real ? (((ip >>> 16) & 15) << 12) | m[W.FPU_FOP] : m[W.FPU_FCS]);
    c.write16((at + 10) | 0, dp & 0xffff);
    c.write16((at + 12) | 0, real ? ((dp >>> 16) & 15) << 12 : m[W.FPU_FDS]);
  }
};

/** An environment read from memory: control, status, tags, then the four fields as stored. */
const readEnvironment = (c: Cpu, at: number, wide: boolean): number[] => {
  const fields: number[] = [];
  for (let n = 0; n < 7; n++) fields.push(wide ? c.read32((at + 4 * n) | 0) : c.read16((at + 2 * n) | 0));
  return fields;
};
const loadEnvironment = (c: Cpu, fields: readonly number[], wide: boolean): void => {
  const m = c.m32;
  const [cw, sw, tags, ip, cs, dp, ds] = fields;
  m[W.FPU_CW] = (cw & CW_MASK) | 0x40;
  setStatus(m, sw);
  setTags(m, tags);
  if (realFormat(c)) {
    // Linear addresses; the selectors are lost.
    const mask = wide ? 0xffff : 15;
    m[W.FPU_FIP] = (ip & 0xffff) | (((cs >> 12) & mask) << 16);
    m[W.FPU_FCS] = 0;
    m[W.FPU_FOP] = cs & 0x7ff;
    m[W.FPU_FDP] = (dp & 0xffff) | (((ds >> 12) & mask) << 16);
    m[W.FPU_FDS] = 0;
  } else {
    m[W.FPU_FIP] = ip;
    m[W.FPU_FCS] = cs & 0xffff;
    if (wide) m[W.FPU_FOP] = (cs >>> 16) & 0x7ff;
    m[W.FPU_FDP] = dp;
    m[W.FPU_FDS] = ds & 0xffff;
  }
};

/** Byte offset of ST(n) in the linear memory's words. */
const stackSlot = (m: Int32Array, n: number): number => W.FPU_REGS + ((((m[W.FPU_SW] >> 11) + n) & 7) << 2);

/** Reads the first field of an image: its page fault comes before a limit that the image's end breaks. */
const touch = (c: Cpu, i: number, wide: boolean): void => {
  if (wide) c.read32(linR(c, i, 4));
  else c.read16(linR(c, i, 2));
};

const fnstenv: Binder = (_row, size) => {
  const wide = size === 2;
  const bytes = wide ? 28 : 14;
  return (c, i) => {
    beginNoWait(c);
    const at = linW(c, i, bytes);
    c.probeWrite(at, bytes);
    writeEnvironment(c, at, wide);
    c.m32[W.FPU_CW] |= 0x3f;
    updatePending(c.m32);
  };
};
const fldenv: Binder = (_row, size) => {
  const wide = size === 2;
  return (c, i) => {
    begin(c);
    touch(c, i, wide);
    loadEnvironment(c, readEnvironment(c, linR(c, i, wide ? 28 : 14), wide), wide);
  };
};
const fnsave: Binder = (_row, size) => {
  const wide = size === 2;
  const environment = wide ? 28 : 14;
  return (c, i) => {
    beginNoWait(c);
    const m = c.m32;
    const at = linW(c, i, environment + 80);
    c.probeWrite(at, environment + 80);
    writeEnvironment(c, at, wide);
    for (let n = 0; n < 8; n++) {
      const slot = stackSlot(m, n);
      const a = (at + environment + 10 * n) | 0;
      c.write32(a, m[slot]);
      c.write32((a + 4) | 0, m[slot + 1]);
      c.write16((a + 8) | 0, m[slot + 2]);
    }
    initialise(m);
  };
};
const frstor: Binder = (_row, size) => {
  const wide = size === 2;
  const environment = wide ? 28 : 14;
  return (c, i) => {
    begin(c);
    const m = c.m32;
    touch(c, i, wide);
    const at = linR(c, i, environment + 80);
    const fields = readEnvironment(c, at, wide);
    const words: number[] = [];
    for (let n = 0; n < 8; n++) {
      const a = (at + environment + 10 * n) | 0;
      words.push(c.read32(a), c.read32((a + 4) | 0), c.read16((a + 8) | 0));
    }
    loadEnvironment(c, fields, wide);
    for (let n = 0; n < 8; n++) {
      const slot = stackSlot(m, n);
      m[slot] = words[3 * n];
      m[slot + 1] = words[3 * n + 1];
      m[slot + 2] = words[3 * n + 2];
    }
  };
};

/** Bits of MXCSR that exist (no denormals-are-zeros before the Pentium 4; it is announced by FXSAVE's mask). */
export const MXCSR_MASK = 0xffff;

const fxsave: Binder = () => (c, i) => {
  beginNoWait(c);
  const m = c.m32;
  const at = linW(c, i, 512);
  if (at & 15) c.gp(0);
  c.probeWrite(at, 512);
  let tags = 0;
  for (let r = 0; r < 8; r++) if ((m[W.FPU_VALID] >> r) & 1) tags |= 1 << r;
  c.write32(at, m[W.FPU_CW] | (m[W.FPU_SW] << 16));
  c.write32((at + 4) | 0, tags | (m[W.FPU_FOP] << 16));
  c.write32((at + 8) | 0, m[W.FPU_FIP]);
  c.write32((at + 12) | 0, m[W.FPU_FCS]);
  c.write32((at + 16) | 0, m[W.FPU_FDP]);
  c.write32((at + 20) | 0, m[W.FPU_FDS]);
  const sse = (m[W.CR4] & CR4.OSFXSR) !== 0;
  c.write32((at + 24) | 0, m[W.MXCSR]);
  c.write32((at + 28) | 0, MXCSR_MASK);
  for (let n = 0; n < 8; n++) {
    const slot = stackSlot(m, n);
    const a = (at + 32 + 16 * n) | 0;
    c.write32(a, m[slot]);
    c.write32((a + 4) | 0, m[slot + 1]);
    c.write32((a + 8) | 0, m[slot + 2]);
    c.write32((a + 12) | 0, 0);
  }
  if (sse) for (let n = 0; n < 32; n++) c.write32((at + 160 + 4 * n) | 0, m[W.XMM + n]);
};
const fxrstor: Binder = () => (c, i) => {
  beginNoWait(c);
  const m = c.m32;
  const at = linR(c, i, 512);
  if (at & 15) c.gp(0);
  const image = new Int32Array(128);
  for (let n = 0; n < 128; n++) image[n] = c.read32((at + 4 * n) | 0);
  const sse = (m[W.CR4] & CR4.OSFXSR) !== 0;
  if (sse && image[6] & ~MXCSR_MASK) c.gp(0);
  m[W.FPU_CW] = (image[0] & CW_MASK) | 0x40;
  setStatus(m, image[0] >>> 16);
  m[W.FPU_VALID] = image[1] & 0xff;
  m[W.FPU_FOP] = (image[1] >>> 16) & 0x7ff;
  m[W.FPU_FIP] = image[2];
  m[W.FPU_FCS] = image[3] & 0xffff;
  m[W.FPU_FDP] = image[4];
  m[W.FPU_FDS] = image[5] & 0xffff;
  for (let n = 0; n < 8; n++) {
    const slot = stackSlot(m, n);
    m[slot] = image[8 + 4 * n];
    m[slot + 1] = image[9 + 4 * n];
    m[slot + 2] = image[10 + 4 * n] & 0xffff;
  }
  if (sse) {
    m[W.MXCSR] = image[6];
    for (let n = 0; n < 32; n++) m[W.XMM + n] = image[40 + n];
  }
};

const fninit: Binder = () => (c) => {
  beginNoWait(c);
  initialise(c.m32);
};
const fnclex: Binder = () => (c) => {
  beginNoWait(c);
  c.m32[W.FPU_SW] &= 0x7f00;
  c.m32[W.FPU_IGNORE] = 0;
};
const fldcw: Binder = () => (c, i) => {
  begin(c);
  setControl(c.m32, c.read16(linR(c, i, 2)));
};
const fnstcw: Binder = () => (c, i) => {
  beginNoWait(c);
  c.write16(linW(c, i, 2), c.m32[W.FPU_CW]);
};
const fnstsw: Binder = () => (c, i) => {
  beginNoWait(c);
  c.write16(linW(c, i, 2), c.m32[W.FPU_SW]);
};
const fnstswAx: Binder = () => (c) => {
  beginNoWait(c);
  c.m16[0] = c.m32[W.FPU_SW];
};
/** FNOP, and the 8087's and 80287's FNENI, FNDISI, FNSETPM that later units ignore. */
const fnop: Binder = (row) => {
  const opcode = (row.op & 7) << 8;
  return (c, i) => {
    begin(c);
    note(c, i, opcode);
  };
};
const ignored: Binder = () => (c) => beginNoWait(c);
const fwait: Binder = () => (c) => {
  const m = c.m32;
  if ((m[W.CR0] & (CR0.MP | CR0.TS)) === (CR0.MP | CR0.TS)) c.raise(EXC.NM);
  if ((m[W.FPU_SW] & 0x80) !== 0) pendingError(c);
};
const step =
  (by: number): Binder =>
  (row) => {
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      rotate(c.m32, by);
      c.m32[W.FPU_SW] &= ~C1;
    };
  };
const ffree =
  (pops: boolean): Binder =>
  (row) => {
    const n = (row.modrm ?? 0) & 7;
    const opcode = (row.op & 7) << 8;
    return (c, i) => {
      begin(c);
      note(c, i, opcode);
      const m = c.m32;
      if (!isEmpty(m, n)) {
        setValid(m, n);
        m[W.FPU_VALID] ^= 1 << (((m[W.FPU_SW] >> 11) + n) & 7);
      }
      if (pops) pop(m);
    };
  };

export const CONTROL: Binders = {
  fnstenv,
  fldenv,
  fnsave,
  frstor,
  fxsave,
  fxrstor,
  fninit,
  fnclex,
  fldcw,
  fnstcw,
  fnstsw,
  fnstsw_ax: fnstswAx,
  fnop,
  fneni: ignored,
  fndisi: ignored,
  fnsetpm: ignored,
  fwait,
  fdecstp: step(-1),
  fincstp: step(1),
  ffree: ffree(false),
  ffreep: ffree(true),
};
