// Moves: whole registers, halves, single elements, masks, non-temporal and masked stores, MXCSR, fences and hints.
//
// What it leaves out: shuffles of integers (integer.ts) and FXSAVE (x87/control.ts).

import type { Cpu } from '../cpu';
import { M, R } from '../decode';
import { linR, linW, segment } from '../interpreter/operands';
import type { Binder, Binders } from '../interpreter/operands';
import { EDI, W } from '../state';
import { MXCSR_MASK } from '../x87/control';
import { beginMmx, beginSse, copyWords, enterMmx, load, mm, regOf, rmOf, SOURCE, store, wroteMmx, xmm } from './unit';

/** Whole xmm register from register or memory. */
const loadAll =
  (aligned: boolean): Binder =>
  (_row, _size, memory) =>
    memory
      ? (c, i) => {
          beginSse(c);
          load(c, i, 16, aligned);
          copyWords(c.m32, xmm(regOf(c, i)), SOURCE, 4);
        }
      : (c, i) => {
          beginSse(c);
          copyWords(c.m32, xmm(regOf(c, i)), xmm(rmOf(c, i)), 4);
        };
const storeAll =
  (aligned: boolean): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    if (memory) store(c, i, xmm(regOf(c, i)), 4, aligned);
    else copyWords(c.m32, xmm(rmOf(c, i)), xmm(regOf(c, i)), 4);
  };
/** MOVSS, MOVSD: a load from memory clears the rest of the register, a copy between registers keeps it. */
const loadScalar =
  (words: number): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    if (memory) {
      load(c, i, words << 2, false);
      copyWords(c.m32, xmm(regOf(c, i)), SOURCE, 4);
    } else copyWords(c.m32, xmm(regOf(c, i)), xmm(rmOf(c, i)), words);
  };
const storeScalar =
  (words: number): Binder =>
  (_row, _size, memory) =>
  (c, i) => {
    beginSse(c);
    if (memory) store(c, i, xmm(regOf(c, i)), words, false);
    else copyWords(c.m32, xmm(rmOf(c, i)), xmm(regOf(c, i)), words);
  };
/** Half a register from or to memory; `half` 0 or 2, in words. */
const loadHalf =
  (half: number): Binder =>
  () =>
  (c, i) => {
    beginSse(c);
    load(c, i, 8, false);
    copyWords(c.m32, xmm(regOf(c, i)) + half, SOURCE, 2);
  };
const storeHalf =
  (half: number): Binder =>
  () =>
  (c, i) => {
    beginSse(c);
    store(c, i, xmm(regOf(c, i)) + half, 2, false);
  };
const copyHalf =
  (to: number, from: number): Binder =>
  () =>
  (c, i) => {
    beginSse(c);
    copyWords(c.m32, xmm(regOf(c, i)) + to, xmm(rmOf(c, i)) + from, 2);
  };

const movdLoad: Binder = (row, _size, memory) => {
  const mmx = row.args[0] === 'P';
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    const m = c.m32;
    const value = memory ? c.read32(linR(c, i, 4)) : m[rmOf(c, i)];
    if (mmx) {
      enterMmx(m);
      const d = mm(regOf(c, i));
      m[d] = value;
      m[d + 1] = 0;
      wroteMmx(m, d);
    } else {
      const d = xmm(regOf(c, i));
      m[d] = value;
      m[d + 1] = 0;
      m[d + 2] = 0;
      m[d + 3] = 0;
    }
  };
};
const movdStore: Binder = (row, _size, memory) => {
  const mmx = row.args.includes('P');
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    const m = c.m32;
    const value = m[mmx ? mm(regOf(c, i)) : xmm(regOf(c, i))];
    if (memory) c.write32(linW(c, i, 4), value);
    else m[rmOf(c, i)] = value;
    if (mmx) enterMmx(m);
  };
};
/** MOVQ to a register; an xmm register's upper half is cleared. */
const movqLoad: Binder = (row, _size, memory) => {
  const mmx = row.args[0] === 'P';
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    if (memory) load(c, i, 8, false);
    const m = c.m32;
    const d = mmx ? mm(regOf(c, i)) : xmm(regOf(c, i));
    if (mmx) enterMmx(m);
    copyWords(m, d, memory ? SOURCE : mmx ? mm(rmOf(c, i)) : xmm(rmOf(c, i)), 2);
    if (mmx) wroteMmx(m, d);
    else {
      m[d + 2] = 0;
      m[d + 3] = 0;
    }
  };
};
const movqStore: Binder = (row, _size, memory) => {
  const mmx = row.args.includes('P');
  return (c, i) => {
    if (mmx) beginMmx(c);
    else beginSse(c);
    const m = c.m32;
    const from = mmx ? mm(regOf(c, i)) : xmm(regOf(c, i));
    if (memory) store(c, i, from, 2, false);
    if (mmx) enterMmx(m);
    if (memory) return;
    const d = mmx ? mm(rmOf(c, i)) : xmm(rmOf(c, i));
    copyWords(m, d, from, 2);
    if (mmx) wroteMmx(m, d);
    else {
      m[d + 2] = 0;
      m[d + 3] = 0;
    }
  };
};
const movq2dq: Binder = () => (c, i) => {
  beginSse(c);
  beginMmx(c);
  const m = c.m32;
  enterMmx(m);
  const d = xmm(regOf(c, i));
  copyWords(m, d, mm(rmOf(c, i)), 2);
  m[d + 2] = 0;
  m[d + 3] = 0;
};
const movdq2q: Binder = () => (c, i) => {
  beginSse(c);
  beginMmx(c);
  const m = c.m32;
  enterMmx(m);
  const d = mm(regOf(c, i));
  copyWords(m, d, xmm(rmOf(c, i)), 2);
  wroteMmx(m, d);
};

/** Stores the bytes whose mask byte has its top bit set, at DS:(E)DI or the segment overridden. */
const maskedStore = (c: Cpu, i: number, data: number, mask: number, length: number): void => {
  const m = c.m32;
  let any = false;
  for (let n = 0; n < length; n++) any ||= c.m8[(mask << 2) + n] > 127;
  const offset = c.code[i + R.META] & M.ADDR16 ? m[EDI] & 0xffff : m[EDI];
  const linear = c.linW(segment(c, i), offset, length);
  if (!any) return;
  c.probeWrite(linear, length);
  for (let n = 0; n < length; n++) if (c.m8[(mask << 2) + n] > 127) c.write8((linear + n) | 0, c.m8[(data << 2) + n]);
};

/** Signs of the elements as bits of a general register; `step` words an element. */
const signMask =
  (step: number): Binder =>
  () =>
  (c, i) => {
    beginSse(c);
    const at = xmm(rmOf(c, i));
    let bits = 0;
    for (let n = step - 1, bit = 0; n < 4; n += step, bit++) bits |= (c.m32[at + n] >>> 31) << bit;
    c.m32[regOf(c, i)] = bits;
  };

const ldmxcsr: Binder = () => (c, i) => {
  beginSse(c);
  const value = c.read32(linR(c, i, 4));
  if (value & ~MXCSR_MASK) c.gp(0);
  c.m32[W.MXCSR] = value;
};
const stmxcsr: Binder = () => (c, i) => {
  beginSse(c);
  c.write32(linW(c, i, 4), c.m32[W.MXCSR]);
};
/** Hints and fences: memory here is strongly ordered and has no cache. */
const nothing: Binder = () => () => {};

export const MOVES: Binders = {
  movups_load: loadAll(false),
  movupd_load: loadAll(false),
  movdqu_load: loadAll(false),
  movdqa_load: loadAll(true),
  mova_load_ps: loadAll(true),
  mova_load_pd: loadAll(true),
  movups_store: storeAll(false),
  movupd_store: storeAll(false),
  movdqu_store: storeAll(false),
  movdqa_store: storeAll(true),
  mova_store_ps: storeAll(true),
  mova_store_pd: storeAll(true),
  movntps: storeAll(true),
  movntpd: storeAll(true),
  movntdq: storeAll(true),
  movss_load: loadScalar(1),
  movsd_load: loadScalar(2),
  movss_store: storeScalar(1),
  movsd_store: storeScalar(2),
  movl_load_ps: loadHalf(0),
  movl_load_pd: loadHalf(0),
  movh_load_ps: loadHalf(2),
  movh_load_pd: loadHalf(2),
  movl_store_ps: storeHalf(0),
  movl_store_pd: storeHalf(0),
  movh_store_ps: storeHalf(2),
  movh_store_pd: storeHalf(2),
  movhlps: copyHalf(0, 2),
  movlhps: copyHalf(2, 0),
  movd_load: movdLoad,
  movd_store: movdStore,
  movq_load: movqLoad,
  movq_store: movqStore,
  movq2dq,
  movdq2q,
  movntq: movqStore,
  movnti: () => (c, i) => c.write32(linW(c, i, 4), c.m32[regOf(c, i)]),
  maskmovq: () => (c, i) => {
    beginMmx(c);
    maskedStore(c, i, mm(regOf(c, i)), mm(rmOf(c, i)), 8);
    enterMmx(c.m32);
  },
  maskmovdqu: () => (c, i) => {
    beginSse(c);
    maskedStore(c, i, xmm(regOf(c, i)), xmm(rmOf(c, i)), 16);
  },
  movmskps: signMask(1),
  movmskpd: signMask(2),
  emms: () => (c) => {
    beginMmx(c);
    c.m32[W.FPU_VALID] = 0;
    // Like every MMX instruction it leaves TOP at 0.
    c.m32[W.FPU_SW] &= ~0x3800;
  },
  ldmxcsr,
  stmxcsr,
  lfence: nothing,
  mfence: nothing,
  sfence: nothing,
  clflush: () => (c, i) => {
    c.read8(linR(c, i, 1));
  },
  prefetch: nothing,
};
