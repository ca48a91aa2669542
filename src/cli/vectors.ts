// `lguest-debug vectors PATH...`: runs instruction test vectors through the processor and reports per group what agrees.
//
// Two formats: hwvec-1 (a header line, then one case a line; groups captured on hardware in ring 3, and sys_ groups from emulators that agree) and the
// one-JSON-a-line real-mode form of SingleStepTests/80286. A case sees a bare Processor; what it states is compared, what it masks is not.
// What it leaves out: judging. Cases marked q=0 or z are counted apart as advisory.

import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { R } from '../i386/decode';
import { SCRATCH_RECORD } from '../i386/blocks';
import { type Exit, Processor } from '../i386/processor';
import { CS, ES, FL, LDTR, RAM_BASE, SS, TR, W } from '../i386/state';
import { readBytes } from './files';
import { UsageError, wholeNumber } from './options';

export type Engine = 'interpreter' | 'jit';

interface HwHeader {
  group: string;
  gdt?: Record<string, string | number>;
  ldt?: Record<string, string | number>;
  base?: [number, string][];
}
interface FpuState {
  cw: number;
  sw: number;
  tw: number;
  st: string[];
}
interface HwCase {
  n: string;
  b: string;
  r: number[];
  f: number;
  p?: number;
  s?: Partial<Record<SegName, number>>;
  m?: [number, string][];
  x?: FpuState;
  e?: number[];
  k?: number;
  q?: 0 | 1;
  z?: string[];
  t?: 1;
  u?: number;
  us?: number;
  ir?: Record<string, number>;
  im?: [number, number][];
  v2?: 1;
  rf?: number;
  idt?: [number, number];
  cr0?: number;
  cr2?: number;
  cr4?: number;
  dr?: number[];
  o: {
    r?: Record<string, number>;
    f?: number;
    p?: number;
    s?: Partial<Record<SegName, number>>;
    m?: [number, string][];
    x?: { cw?: number; sw?: number; tw?: number; st?: Record<string, string> };
    cr0?: number;
    cr2?: number;
    cr3?: number;
    cr4?: number;
    tr?: number;
    ldtr?: number;
    gdtr?: [number, number];
    idtr?: [number, number];
  };
}
interface RealCase {
  bytes: number[];
  name: string;
  flags_mask: number;
  exception?: { number: number; flag_address: number };
  init: { regs: Record<string, number>; ram: [number, number][] };
  final: { regs: Record<string, number>; ram: [number, number][] };
}

type SegName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs';
const SEGS: SegName[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const CODE_AREA = 0x100000;
/** The memory a case can name lies here; what lies outside belongs to the harness. */
const TOP = 0x330000;
const REGIONS: [number, number][] = [
  [0x100000, 0x150000],
  [0x300000, TOP],
];
const RAM_BYTES = 0x400000;
const STRAIGHT = 0x100200;
const FPU_CW_MASK = 0x1f3f;

/** One case's verdict: the parts that differ (empty = passed). */
export interface Verdict {
  name: string;
  group: string;
  advisory: boolean;
  differences: string[];
  detail: () => string;
}

const hexBytes = (h: string): Uint8Array => Uint8Array.from(Buffer.from(h, 'hex'));

const patternDword = (address: number): number => {
  let x = Math.imul(address >>> 2, 0x9e3779b1) >>> 0;
  x ^= x >>> 15;
  x = Math.imul(x, 0x85ebca6b) >>> 0;
  return (x ^ (x >>> 13)) >>> 0;
};

/** Memory as every case of a group finds it, up to TOP. */
const pristine = (header: HwHeader): Uint8Array => {
  const system = header.group.startsWith('sys_');
  const image = new Uint8Array(TOP);
  const view = new DataView(image.buffer);
  const pattern = (from: number, to: number): void => {
    for (let a = from; a < to; a += 4) view.setUint32(a, patternDword(a), true);
  };
  for (const [from, to] of [
    [0x120000, 0x130000],
    [0x131000, 0x133000],
    [0x134000, 0x137000],
    [0x140000, 0x150000],
  ])
    pattern(from, to);
  image.fill(system ? 0xcc : 0xf4, CODE_AREA, CODE_AREA + 0x10000);
  if (system) {
    for (const [address, bytes] of header.base ?? []) image.set(hexBytes(bytes), address);
    return image;
  }
  const table = (at: number, entries: Record<string, string | number> | undefined): void => {
    for (const [index, descriptor] of Object.entries(entries ?? {}))
      view.setBigUint64(at + 8 * Number(index), BigInt(typeof descriptor === 'string' ? `0x${descriptor}` : descriptor), true);
  };
  table(0x310000, header.gdt);
  table(0x312000, header.ldt);
  for (let n = 0; n < 256; n++) {
    view.setUint32(0x311000 + 8 * n, 0x00080000, true);
    view.setUint32(0x311004 + 8 * n, 0x00208e00 | (n === 3 || n === 4 ? 0x6000 : 0), true);
  }
  // The TSS has no I/O bitmap.
  view.setUint16(0x313066, 0x68, true);
  // The TSS has no I/O permission map: its offset lies beyond the limit.
  view.setUint16(0x313066, 0x68, true);
  view.setUint32(0x320000, 0x321067, true);
  for (let page = 0x100; page < 0x110; page++) view.setUint32(0x321000 + 4 * page, (page << 12) | 0x67, true);
  const writable = (from: number, to: number, bits: number): void => {
    for (let page = from; page < to; page++) view.setUint32(0x321000 + 4 * page, (page << 12) | bits, true);
  };
  writable(0x120, 0x130, 0x67);
  writable(0x131, 0x133, 0x65);
  writable(0x134, 0x135, 0x67);
  writable(0x135, 0x136, 0x65);
  writable(0x136, 0x137, 0x67);
  writable(0x140, 0x150, 0x67);
  writable(0x200, 0x400, 0x63);
  return image;
};

/** Loads a segment register and its hidden part from the descriptor tables without any check. */
const loadHidden = (proc: Processor, seg: number, selector: number): void => {
  const { m32 } = proc.cpu;
  m32[W.SELECTOR + seg] = selector;
  if ((selector & 0xfffc) === 0) {
    m32[W.BASE + seg] = 0;
    m32[W.LIMIT + seg] = 0;
    m32[W.ACCESS + seg] = 0;
    return;
  }
  const table = RAM_BASE + (selector & 4 ? m32[W.BASE + LDTR] : m32[W.GDT_BASE]) + (selector & 0xfff8);
  const lo = m32[table >> 2];
  const hi = m32[(table >> 2) + 1];
  const raw = (lo & 0xffff) | (hi & 0xf0000);
  m32[W.BASE + seg] = (hi & 0xff000000) | ((hi & 0xff) << 16) | (lo >>> 16);
  m32[W.LIMIT + seg] = hi & 0x800000 ? (raw << 12) | 0xfff : raw;
  m32[W.ACCESS + seg] = (hi >> 8) & 0xf0ff;
};

const loadRealSegment = (proc: Processor, seg: number, selector: number, dpl: number): void => {
  const { m32 } = proc.cpu;
  m32[W.SELECTOR + seg] = selector;
  m32[W.BASE + seg] = selector << 4;
  m32[W.LIMIT + seg] = 0xffff;
  m32[W.ACCESS + seg] = 0x93 | (dpl << 5);
};

const signExponent = (proc: Processor, n: number): string => {
  const { m32 } = proc.cpu;
  const at = W.FPU_REGS + 4 * n;
  const part = (v: number, digits: number): string => (v >>> 0).toString(16).padStart(digits, '0');
  return part(m32[at + 2] & 0xffff, 4) + part(m32[at + 1], 8) + part(m32[at], 8);
};

const setFpu = (proc: Processor, x: FpuState | undefined): void => {
  const { m32 } = proc.cpu;
  m32[W.FPU_CW] = x ? x.cw | 0x40 : 0x37f;
  m32[W.FPU_SW] = x ? x.sw : 0;
  m32[W.FPU_VALID] = x ? x.tw : 0;
  m32.fill(0, W.FPU_FOP, W.FPU_REGS); // FNINIT's: no last instruction
  for (let n = 0; n < 8; n++) {
    const digits = x?.st[n] ?? '0'.repeat(20);
    const at = W.FPU_REGS + 4 * n;
    m32[at + 2] = Number.parseInt(digits.slice(0, 4), 16);
    m32[at + 1] = Number.parseInt(digits.slice(4, 12), 16);
    m32[at] = Number.parseInt(digits.slice(12), 16);
  }
};

/** |a/b - 1| as a power of two, for transcendental results: -Infinity when equal. */
const relativeError = (a: string, b: string): number => {
  if (a === b) return Number.NEGATIVE_INFINITY;
  const exp = (h: string): number => Number.parseInt(h.slice(0, 4), 16);
  const mant = (h: string): bigint => BigInt(`0x${h.slice(4)}`);
  if ((exp(a) ^ exp(b)) & 0x8000) return 0;
  const shift = (exp(a) & 0x7fff) - (exp(b) & 0x7fff);
  if (Math.abs(shift) > 1) return 0;
  let ma = mant(a) << 2n;
  let mb = mant(b) << 2n;
  if (shift === 1) ma <<= 1n;
  if (shift === -1) mb <<= 1n;
  const difference = ma > mb ? ma - mb : mb - ma;
  return difference === 0n ? Number.NEGATIVE_INFINITY : Math.log2(Number(difference)) - Math.log2(Number(mb === 0n ? 1n : mb));
};

/** Runs hwvec-1 cases of one file. */
export class HardwareRunner {
  private readonly proc: Processor;
  private readonly image: Uint8Array;
  /** What memory must hold after the case at hand: the image, the case's own bytes, its outcome. */
  private readonly want: Uint8Array;
  private patched: [number, number][] = [];
  private readonly system: boolean;

  constructor(
    private readonly header: HwHeader,
    engine: Engine,
  ) {
    this.system = header.group.startsWith('sys_');
    this.proc = new Processor({ ramBytes: RAM_BYTES, countRing0: true, jit: engine === 'jit', jitThreshold: 0 });
    this.image = pristine(header);
    this.want = this.image.slice();
    this.proc.cpu.m8.set(this.image, RAM_BASE);
    // Tier S states are those before the handler's first instruction.
    if (this.system) this.proc.cpu.onTransfer = () => this.proc.requestStop();
  }

  run(test: HwCase): Verdict {
    const { proc } = this;
    const { cpu } = proc;
    const { m32, m8 } = cpu;
    this.prepare(test);
    const code = hexBytes(test.b);
    let exception: number[] | undefined;
    const result = this.execute(test);
    let eip = m32[W.EIP] >>> 0;
    if (!this.system && result?.kind === 'intercept') {
      exception = [result.vector, result.errorCode, m32[W.CR2] >>> 0];
      if (result.software) eip = (eip + (test.k ? cpu.code[SCRATCH_RECORD + R.END] : code.length)) >>> 0;
    }
    const differences = this.compare(test, eip, exception, result);
    const final = Array.from(m32.subarray(0, 8), (v) => v >>> 0);
    const flags = cpu.getFlags();
    const memory: string[] = [];
    if (differences.includes('mem')) {
      for (const [from, to] of REGIONS)
        for (let a = from; a < to && memory.length < 12; a++)
          if (m8[RAM_BASE + a] !== this.want[a])
            memory.push(`${a.toString(16)}: got ${m8[RAM_BASE + a].toString(16)}, want ${this.want[a].toString(16)}`);
    }
    this.restore();
    return {
      name: test.n,
      group: this.header.group,
      advisory: test.q === 0 || (test.z !== undefined && test.z.length > 0),
      differences,
      detail: () => {
        return [
          `  case ${JSON.stringify(test)}`,
          `  got  r=${JSON.stringify(final)} f=${flags} (${(flags ^ (test.o.f ?? test.f)).toString(16)} differ) eip=${eip} exc=${JSON.stringify(exception)} exit=${JSON.stringify(result)} fpu=${test.x ? JSON.stringify({ cw: m32[W.FPU_CW], sw: m32[W.FPU_SW], tw: m32[W.FPU_VALID] }) : '-'}`,
          ...memory.map((line) => `  mem  ${line}`),
        ].join('\n');
      },
    };
  }

  private prepare(test: HwCase): void {
    const { proc } = this;
    const { cpu } = proc;
    const { m32 } = cpu;
    proc.reset();
    const code = hexBytes(test.b);
    m32[W.GDT_BASE] = 0x310000;
    m32[W.GDT_LIMIT] = this.system ? 0x1ff : 0x7f;
    m32[W.IDT_BASE] = test.idt ? test.idt[0] : 0x311000;
    m32[W.IDT_LIMIT] = test.idt ? test.idt[1] : 0x7ff;
    m32[W.CR0] = this.system ? (test.cr0 ?? 0x80010031 | 0) : 0x80050033 | 0;
    m32[W.CR2] = test.cr2 ?? 0;
    m32[W.CR3] = 0x320000;
    m32[W.CR4] = test.cr4 ?? 0;
    const v86 = (test.f & FL.VM) !== 0;
    const selectors = { es: 0x2b, cs: 0x23, ss: 0x2b, ds: 0x2b, fs: 0, gs: 0, ...test.s };
    // Code bytes go in before the case's own memory, which may patch descriptors: those are read below.
    const put = (): void => {
      const at = this.codeBase(test, selectors.cs, v86);
      for (let i = 0; i < code.length; i++) if (this.system || at + i < 0x110000) this.poke(this.flatten(at + i), code.subarray(i, i + 1));
    };
    for (const [address, bytes] of test.m ?? []) this.poke(address, hexBytes(bytes));
    m32[W.SELECTOR + LDTR] = 0;
    if (this.system) {
      loadHidden(proc, LDTR, 0x48);
      loadHidden(proc, TR, 0x40);
    } else {
      m32[W.BASE + LDTR] = 0x312000;
      m32[W.LIMIT + LDTR] = 0xbf;
      m32[W.ACCESS + LDTR] = 0x82;
      m32[W.BASE + TR] = 0x313000;
      m32[W.LIMIT + TR] = 0x67;
      m32[W.ACCESS + TR] = 0x8b;
    }
    m32[W.EFLAGS] = 2;
    SEGS.forEach((name, seg) => {
      if (v86) loadRealSegment(proc, seg, selectors[name], 3);
      else loadHidden(proc, seg, selectors[name]);
    });
    m32[W.CPL] = v86 ? 3 : selectors.cs & 3;
    test.r.forEach((value, n) => {
      m32[n] = value;
    });
    m32[W.EIP] = test.p ?? STRAIGHT;
    put();
    for (const [address, bytes] of test.m ?? []) this.poke(address, hexBytes(bytes));
    setFpu(proc, test.x);
    cpu.setFlags(test.f);
    cpu.updateMode();
    cpu.intercept.fill(this.system ? 0 : 1);
  }

  /** Linear to physical of the fixed layout (tier S maps two low windows for V86). */
  private flatten(linear: number): number {
    if (!this.system) return linear;
    if (linear >= 0x20000 && linear < 0x30000) return linear + 0x100000;
    if (linear >= 0x30000 && linear < 0x40000) return linear + 0x110000;
    return linear;
  }

  private codeBase(test: HwCase, cs: number, v86: boolean): number {
    const eip = test.p ?? STRAIGHT;
    if (v86) return (cs << 4) + eip;
    return (this.proc.cpu.m32[W.BASE + CS] + eip) >>> 0;
  }

  private execute(test: HwCase): Exit | undefined {
    const { proc } = this;
    if (test.k === undefined) {
      const exit = proc.run(1);
      // Tier S ran on until something was delivered: a transfer to a page that cannot be fetched ends with that page fault.
      const { cpu } = proc;
      const next = (cpu.m32[W.BASE + CS] + cpu.m32[W.EIP]) >>> 0;
      if (this.system && test.e?.[0] === 14 && cpu.m32[W.EIP] >>> 0 !== test.o.p && next === test.o.cr2) return proc.run(1);
      return exit;
    }
    const final = (test.o.p ?? (test.p ?? STRAIGHT) + test.b.length / 2) >>> 0;
    let exit: Exit | undefined;
    // One more than stated: a store into the instruction just ahead was counted short in one recording.
    for (let n = 0; n <= test.k; n++) {
      exit = proc.run(1);
      if (exit.kind !== 'budget') return exit;
      if (proc.cpu.m32[W.EIP] >>> 0 === final && !test.e) return exit;
    }
    return exit;
  }

  /** Puts bytes of the case into memory, and into what is expected of it. */
  private poke(address: number, bytes: Uint8Array, both = true): void {
    if (both) this.proc.cpu.m8.set(bytes, RAM_BASE + address);
    this.want.set(bytes, address);
    this.patched.push([address, address + bytes.length]);
  }

  private restore(): void {
    const { m8 } = this.proc.cpu;
    for (const [from, to] of REGIONS) m8.set(this.image.subarray(from, to), RAM_BASE + from);
    for (const [from, to] of this.patched) {
      this.want.set(this.image.subarray(from, to), from);
      m8.set(this.image.subarray(from, to), RAM_BASE + from);
    }
    this.patched = [];
  }

  private compare(test: HwCase, eip: number, exception: number[] | undefined, exit: Exit | undefined): string[] {
    const { cpu } = this.proc;
    const { m32 } = cpu;
    const { o } = test;
    const wrong: string[] = [];
    for (let n = 0; n < 8; n++) {
      const want = o.r?.[n] ?? test.r[n];
      if (((m32[n] ^ want) & ~(test.ir?.[n] ?? 0)) !== 0) wrong.push(`r${n}`);
    }
    if (((cpu.getFlags() ^ (o.f ?? test.f)) & ~((test.u ?? 0) | FL.RF)) !== 0) wrong.push('eflags');
    const length = test.b.length / 2;
    const start = test.p ?? STRAIGHT;
    const isFault = !this.system && test.e !== undefined && ![1, 3, 4].includes(test.e[0]);
    const wantEip = o.p ?? (isFault ? start : start + length);
    if (eip !== wantEip >>> 0) wrong.push('eip');
    const selectors = { es: 0x2b, cs: 0x23, ss: 0x2b, ds: 0x2b, fs: 0, gs: 0, ...test.s, ...o.s };
    SEGS.forEach((name, seg) => {
      const fold = (s: number): number => (s < 4 && !(test.f & FL.VM) ? 0 : s);
      if (fold(selectors[name]) !== fold(m32[W.SELECTOR + seg])) wrong.push(name);
    });
    if (!this.system) {
      if (!test.e !== !exception) wrong.push('exc');
      else if (test.e && exception) {
        const loose = test.v2 ? 2 : 0;
        if (test.e[0] !== exception[0]) wrong.push('vector');
        else if ([8, 10, 11, 12, 13, 14, 17].includes(test.e[0]) && (test.e[1] | loose) !== (exception[1] | loose)) wrong.push('error');
        else if (test.e[0] === 14 && !test.v2 && test.e[2] >>> 0 !== exception[2]) wrong.push('cr2');
      }
      if (exit && exit.kind !== 'budget' && exit.kind !== 'intercept' && exit.kind !== 'halt') wrong.push(exit.kind);
    } else {
      const check = (name: string, got: number, want: number | undefined): void => {
        if (want !== undefined && got >>> 0 !== want >>> 0) wrong.push(name);
      };
      check('cr0', m32[W.CR0], o.cr0 ?? test.cr0);
      check('cr2', m32[W.CR2], o.cr2);
      check('cr3', m32[W.CR3], o.cr3);
      check('cr4', m32[W.CR4], o.cr4);
      check('tr', m32[W.SELECTOR + TR], o.tr);
      check('ldtr', m32[W.SELECTOR + LDTR], o.ldtr);
      check('gdtr limit', m32[W.GDT_LIMIT], o.gdtr?.[0]);
      check('gdtr base', m32[W.GDT_BASE], o.gdtr?.[1]);
      check('idtr limit', m32[W.IDT_LIMIT], o.idtr?.[0]);
      check('idtr base', m32[W.IDT_BASE], o.idtr?.[1]);
    }
    this.compareMemory(test, wrong);
    if (test.x) this.compareFpu(test, test.x, wrong);
    return wrong;
  }

  /** Every byte must be what the case says, or what it was. */
  private compareMemory(test: HwCase, wrong: string[]): void {
    const { m8 } = this.proc.cpu;
    const { want } = this;
    for (const [address, bytes] of test.o.m ?? []) this.poke(address, hexBytes(bytes), false);
    const forgive = (address: number, mask: number): void => {
      m8[RAM_BASE + address] = (m8[RAM_BASE + address] & ~mask) | (want[address] & mask);
    };
    for (const [address, length] of test.im ?? []) for (let i = 0; i < length; i++) forgive(address + i, 0xff);
    if (test.rf !== undefined) forgive(test.rf, 1);
    // RF in the EFLAGS image of a TSS (byte 38).
    if (this.system) for (const tss of [0x313000, 0x314000, 0x314800]) forgive(tss + 38, 1);
    for (const [from, to] of REGIONS) {
      if (Buffer.compare(m8.subarray(RAM_BASE + from, RAM_BASE + to), want.subarray(from, to)) !== 0) {
        wrong.push('mem');
        return;
      }
    }
  }

  private compareFpu(test: HwCase, x: FpuState, wrong: string[]): void {
    const { m32 } = this.proc.cpu;
    const { o } = test;
    if (((m32[W.FPU_CW] ^ (o.x?.cw ?? x.cw)) & FPU_CW_MASK) !== 0) wrong.push('fcw');
    if (((m32[W.FPU_SW] ^ (o.x?.sw ?? x.sw)) & ~(test.us ?? 0)) !== 0) wrong.push('fsw');
    const tw = o.x?.tw ?? x.tw;
    if (m32[W.FPU_VALID] !== tw) wrong.push('ftw');
    for (let n = 0; n < 8; n++) {
      if (!((tw >> n) & 1)) continue;
      const want = o.x?.st?.[n] ?? x.st[n];
      const got = signExponent(this.proc, n);
      if (want !== got && !(test.t && relativeError(got, want) <= -60)) wrong.push(`R${n} got ${got} want ${want}`);
    }
  }
}

/** Runs one real-mode case of the 80286 format; `bytes` end in HLT. */
export const runRealCase = (proc: Processor, test: RealCase): string[] => {
  const { cpu } = proc;
  const { m32, m8, m16 } = cpu;
  proc.reset();
  const { regs } = test.init;
  for (const [address, byte] of test.init.ram) m8[RAM_BASE + address] = byte;
  m32[W.CR0] = 0x10;
  m32[W.IDT_BASE] = 0;
  m32[W.IDT_LIMIT] = 0x3ff;
  const names = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
  names.forEach((name, n) => {
    m32[n] = regs[name];
  });
  const segs: [string, number][] = [
    ['es', ES],
    ['cs', CS],
    ['ss', SS],
    ['ds', 3],
  ];
  for (const [, seg] of [...segs, ['fs', 4], ['gs', 5]] as [string, number][]) loadRealSegment(proc, seg, 0, 0);
  for (const [name, seg] of segs) loadRealSegment(proc, seg, regs[name], 0);
  m32[W.CPL] = 0;
  m32[W.EIP] = regs.ip;
  cpu.intercept.fill(0);
  cpu.setFlags(regs.flags & 0xfff);
  cpu.updateMode();
  // One instruction, then (as recorded) the HLT behind it or at the handler.
  for (let n = 0; n < 70000; n++) {
    const exit = proc.run(1);
    if (exit.kind !== 'budget') break;
  }
  const wrong: string[] = [];
  const want: Record<string, number> = { ...regs, flags: regs.flags & 0xfff, ...test.final.regs };
  names.forEach((name, n) => {
    if (m16[n * 2] !== want[name]) wrong.push(`${name} got ${m16[n * 2].toString(16)} want ${want[name].toString(16)}`);
  });
  for (const [name, seg] of segs) if (m32[W.SELECTOR + seg] !== want[name]) wrong.push(name);
  if ((m32[W.EIP] & 0xffff) !== want.ip) wrong.push(`ip got ${m32[W.EIP].toString(16)} want ${want.ip.toString(16)}`);
  if (((cpu.getFlags() ^ want.flags) & test.flags_mask & 0xfff) !== 0)
    wrong.push(`flags got ${(cpu.getFlags() & 0xfff).toString(16)} want ${(want.flags & 0xfff).toString(16)}`);
  for (const [address, byte] of test.final.ram) {
    const got = m8[RAM_BASE + address];
    if (got === byte) continue;
    const at = test.exception?.flag_address;
    if (at !== undefined && (address === at || address === at + 1)) {
      const shift = address === at ? 0 : 8;
      if (((got ^ byte) & (test.flags_mask >> shift) & (shift ? 0x0f : 0xff)) === 0) continue;
    }
    wrong.push(`[${address.toString(16)}] got ${got.toString(16)} want ${byte.toString(16)}`);
  }
  for (const [address] of test.init.ram) m8[RAM_BASE + address] = 0;
  for (const [address] of test.final.ram) m8[RAM_BASE + address] = 0;
  return wrong;
};

/** Lines of a file, unpacked. @throws UsageError, one line. */
const linesOf = (path: string): string[] => {
  const raw = readBytes('vectors', path);
  try {
    const text = Buffer.from(raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('utf8');
    return text.split('\n').filter((line) => line !== '');
  } catch (thrown) {
    throw new UsageError(`${path}: cannot be unpacked (${(thrown as Error).message}); give a whole .jsonl or .jsonl.gz file`);
  }
};

/** Calls `each` with the verdict of every case of a file (gzip or plain JSON lines). */
export const runVectorFile = (path: string, engine: Engine, each: (verdict: Verdict) => void): void => {
  const lines = linesOf(path);
  const parse = (n: number, fields: readonly string[]): Record<string, unknown> => {
    try {
      const value = JSON.parse(lines[n]);
      if (fields.every((field) => value[field] !== undefined)) return value;
    } catch {
      // Told below.
    }
    throw new UsageError(
      `${path}: line ${n + 1} is not a vector${fields.length > 0 ? ` with ${fields.join(', ')}` : ''}; is the file cut off?`,
    );
  };
  // biome-ignore lint/suspicious/noExplicitAny: two formats, told apart by their fields
  const head: any = lines.length > 0 ? parse(0, []) : {};
  if (head.format === 'hwvec-1') {
    const runner = new HardwareRunner(head, engine);
    for (let i = 1; i < lines.length; i++) each(runner.run(parse(i, ['n', 'b', 'r', 'f', 'o']) as unknown as HwCase));
    return;
  }
  if (head.bytes === undefined || head.init === undefined)
    throw new UsageError(`${path}: neither hwvec-1 nor SingleStepTests JSON lines; give a .jsonl or .jsonl.gz vector file`);
  const proc = new Processor({ ramBytes: 0x120000, countRing0: true, jit: engine === 'jit', jitThreshold: 0 });
  for (const [n, line] of lines.entries()) {
    const test = parse(n, ['bytes', 'name', 'init', 'final']) as unknown as RealCase;
    const differences = runRealCase(proc, test);
    each({
      name: test.name,
      group: basename(path).replace(/\.jsonl(\.gz)?$/, ''),
      advisory: false,
      differences,
      detail: () => `  ${line}\n  ${differences.join(', ')}`,
    });
  }
};

/** The vector files that a path names. @throws UsageError. */
const filesOf = (path: string): string[] => {
  const what = statSync(path, { throwIfNoEntry: false });
  if (what === undefined) throw new UsageError(`${path}: there is no such file or folder; name vector files or folders of them`);
  if (!what.isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => /\.jsonl(\.gz)?$/.test(name));
  if (names.length === 0) throw new UsageError(`${path}: no .jsonl or .jsonl.gz file in this folder`);
  return names.sort().map((name) => join(path, name));
};

/** The command. @returns the exit status. */
export const vectorsCommand = (args: readonly string[], print: (line: string) => void): number => {
  let engine = 'interpreter';
  let show = 3;
  let advisory = false;
  const paths: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--engine') engine = args[++i] ?? '';
    else if (args[i] === '--show') show = wholeNumber('show', args[++i] ?? '');
    else if (args[i] === '--advisory') advisory = true;
    else paths.push(args[i]);
  }
  if (paths.length === 0 || !['interpreter', 'jit', 'both'].includes(engine)) {
    print(
      'usage: lguest-debug vectors PATH... [--engine interpreter|jit|both] (jit: translated before the first execution) [--show N] [--advisory]',
    );
    return 64;
  }
  let passed = 0;
  let failed = 0;
  for (const path of paths.flatMap(filesOf)) {
    for (const which of engine === 'both' ? (['interpreter', 'jit'] as const) : [engine as Engine]) {
      let ok = 0;
      let advisoryOk = 0;
      let advisoryBad = 0;
      let bad = 0;
      const forms = new Map<string, number>();
      runVectorFile(path, which, (verdict) => {
        if (verdict.advisory) {
          if (verdict.differences.length === 0) advisoryOk++;
          else {
            advisoryBad++;
            if (advisory) print(`ADVISORY ${verdict.group} ${verdict.name}: ${verdict.differences.join(', ')}\n${verdict.detail()}`);
          }
          return;
        }
        if (verdict.differences.length === 0) {
          ok++;
          return;
        }
        bad++;
        const form = `${verdict.name}: ${verdict.differences.map((d) => d.split(' ')[0]).join(' ')}`;
        forms.set(form, (forms.get(form) ?? 0) + 1);
        if (bad <= show) print(`FAIL ${verdict.group} ${verdict.name}: ${verdict.differences.join(', ')}\n${verdict.detail()}`);
      });
      passed += ok;
      failed += bad;
      for (const [form, n] of [...forms].sort((a, b) => b[1] - a[1]).slice(0, 25)) print(`    ${n} x ${form}`);
      const aside = advisoryOk + advisoryBad > 0 ? `, advisory ${advisoryOk} agree, ${advisoryBad} differ` : '';
      print(`${basename(path)} (${which}): ${ok} passed, ${bad} failed${aside}`);
    }
  }
  print(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
};
