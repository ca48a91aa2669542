// `lguest-debug fuzz`: two processors, one that has handlers do every instruction and one with the translator forced on, run the same random programs; whatever
// they disagree on is a bug. One seed in four also compares the quick interpreter with the handlers.
//
// Programs are random encodings drawn from the opcode list, with loops, page crossings, read-only and missing pages, and stores into their own code. Half
// of them are plain programs in a flat user-mode segment (one in four with x87, MMX and SSE), where a fault stops the run; half are system programs
// (fuzz-system.ts), where it goes through the IDT. After every slice of a random length the whole state block, the instruction count, the reason for
// stopping, what watches and ports saw, and all memory must be equal. A seed reproduces a run.

import { PageFlag } from '../i386/cpu';
import { HAS_MODRM, ROWS } from '../i386/rows';
import { type Exit, Processor } from '../i386/processor';
import { CS, F, RAM_BASE, W } from '../i386/state';
import { emitSnippet, type Mode, setUpSystem, SYSTEM_CODE, SYSTEM_DATA } from './fuzz-system';
import { wholeNumber } from './options';

/** Deterministic 32-bit generator (xorshift). */
const generator = (seed: number): (() => number) => {
  let x = seed | 0 || 0x9e3779b9;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
};

const RAM = 0x80000;
const CODE = SYSTEM_CODE;
const CODE_BYTES = 0x2000;
const DATA = SYSTEM_DATA;
const TABLE = 0x1000;

/** Rows a plain program does not draw from: port, table and mode instructions. */
const SKIP =
  /^(in|out|ins|outs|hlt|lgdt|lidt|lldt|ltr|lmsw|invlpg|clts|invd|wbinvd|mov_(to|from)_(cr|dr|sreg)|pop_sreg|l[defgs]s|lss|callf|retf|jmpf|callf_ind|jmpf_ind|iret|int|int3|int1|into|rdtsc|rdpmc|rdmsr|wrmsr|sysenter|sysexit|cpuid|sti|cli|popf|ud|ud1|ud2|s[gil]dt|str|fxsave|fxrstor|fnsave|frstor|fldenv|fnstenv)$/;
const COMMON =
  /^(mov|add|sub|cmp|and|or|xor|test|inc|dec|lea|push|pop|j[a-z]+|movzx_.|movsx_.|shl|shr|sar|adc|sbb|call|ret|imul.?|set[a-z]+|cmov[a-z]+|rol|ror|neg|not|xchg|mul|div|idiv|bt|shld|shrd|loop|leave|cwd|cbw|bswap|stc|clc|cmc)$/;

/** What a program is made of: plain instructions, with x87 and SIMD, or with system instructions. */
type Kind = 'plain' | 'fpu' | 'system';

const POSSIBLE = ROWS.slice(1);
const isX87 = (op: number): boolean => op >= 0xd8 && op <= 0xdf;
const isSimd = (feature: string | undefined): boolean => /^(mmx|sse|sse2|fxsr)$/.test(feature ?? '');
const PLAIN = POSSIBLE.filter(({ op, name, feature }) => !SKIP.test(name) && !isX87(op) && !isSimd(feature));
const OFTEN = PLAIN.filter(({ name }) => COMMON.test(name));
const X87 = POSSIBLE.filter(({ op }) => isX87(op));
const SIMD = POSSIBLE.filter(({ feature }) => isSimd(feature));
const SYSTEM = POSSIBLE.filter(({ name }) => SKIP.test(name) && !/^(l[gi]dt|ltr|mov_to_cr|ud.?)$/.test(name));
const PREFIXES = [[], [0x66], [0xf3], [0xf2]];

/** The rows to draw from for the next instruction. */
const pool = (random: () => number, kind: Kind): readonly (typeof POSSIBLE)[number][] => {
  const n = random() % 16;
  if (kind === 'fpu' && n < 8) return n < 5 ? X87 : SIMD;
  if (n < 2) return PLAIN;
  if (kind === 'system' && n < 5) return n === 2 ? SYSTEM : n === 3 ? X87 : SIMD;
  return OFTEN;
};

/** Writes one random instruction. @param wide for 32-bit code. */
const emit = (random: () => number, out: number[], kind: Kind, wide: boolean): void => {
  const rows = pool(random, kind);
  const choice = rows[random() % rows.length];
  if (random() % 16 === 0) out.push(0x66);
  if (random() % 64 === 0) out.push([0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0][random() % 8]);
  if (choice.pfx !== undefined) out.push(...PREFIXES[choice.pfx]);
  if (/^(movs|stos|lods|cmps|scas)$/.test(choice.name) && random() % 2) out.push(random() % 2 ? 0xf3 : 0xf2);
  if (choice.op > 0xff) out.push(0x0f);
  out.push(choice.op & 0xff);
  if (choice.modrm !== undefined) {
    out.push(choice.modrm);
    return;
  }
  const { args } = choice;
  const bytes = (n: number): void => {
    for (let i = 0; i < n; i++) out.push(random() & 0xff);
  };
  if (HAS_MODRM[(choice.op > 0xff ? 0x100 : 0) | (choice.op & 0xff)] !== 0) {
    const reg = choice.ext ?? random() % 8;
    const form = /\bM/.test(args) || choice.mod === 'mem' ? 1 + (random() % 3) : choice.mod === 'reg' ? 0 : random() % 5;
    if (form === 0 || form === 4) out.push(0xc0 | (reg << 3) | (random() % 8));
    else if (!wide) {
      // [disp16], or a register pair with or without an 8-bit displacement.
      const rm = form === 1 ? 6 : random() % 8;
      out.push((form === 2 ? 0x40 : 0) | (reg << 3) | rm);
      if (form === 2) out.push(random() & 0xff);
      else if (rm === 6) out.push(random() & 0xff, random() % 0x31);
    } else if (form === 1) {
      // [disp32] in the data area, sometimes in the code.
      const address = random() % 24 === 0 ? CODE + (random() % CODE_BYTES) : DATA + (random() % 0x3010);
      out.push((reg << 3) | 5, address & 0xff, (address >> 8) & 0xff, (address >> 16) & 0xff, 0);
    } else if (form === 2) {
      // [reg + disp8]
      const rm = random() % 8;
      out.push(0x40 | (reg << 3) | rm);
      if (rm === 4) out.push(random() & 0xff);
      out.push(random() & 0xff);
    } else {
      const rm = random() % 8;
      out.push((reg << 3) | rm);
      if (rm === 4) {
        const sib = random() & 0xff;
        out.push(sib);
        if ((sib & 7) === 5) out.push(0, 2 * (random() & 1), 2, 0);
      }
      if (rm === 5) out.push(random() & 0xff, (random() % 0x30) & 0xff, 2, 0);
    }
  }
  for (const arg of args.split(' ')) {
    if (arg === 'Ib' || arg === 'Ibs') out.push(random() % 3 ? random() % 40 : random() & 0xff);
    else if (arg === 'Iw') out.push((random() % 8) * 4, 0);
    else if (arg === 'Iz' || arg === 'Iv') {
      if (!wide) bytes(2);
      else if (random() % 4) out.push(random() & 0xff, (random() % 0x30) & 0xff, 2, 0);
      else bytes(4);
    } else if (arg === 'Jb') out.push((random() % 100) - 60 < 0 ? 256 - (random() % 90) : random() % 40);
    else if (arg === 'Jz') {
      const d = (random() % 400) - 200;
      out.push(d & 0xff, (d >> 8) & 0xff);
      if (wide) out.push((d >> 16) & 0xff, (d >> 24) & 0xff);
    } else if (arg[0] === 'O') out.push(random() & 0xff, (random() % 0x30) & 0xff, ...(wide ? [2, 0] : []));
  }
};

/** A program of CODE_BYTES, more or less. */
const compose = (random: () => number, kind: Kind, wide: boolean): number[] => {
  const program: number[] = [];
  while (program.length < CODE_BYTES - 64) {
    if (random() % 40 === 0) {
      // A short loop: dec ecx; jnz back.
      program.push(0x49, 0x75, 256 - 2 - (2 + (random() % 30)));
    }
    if (kind === 'system' && random() % 12 === 0) emitSnippet(random, program, wide);
    else emit(random, program, kind, wide);
  }
  return program;
};

/** What the watches and ports of a processor saw, and which interrupt is wanted. */
interface Seen {
  log: number;
  events: number;
  /** Deliveries since the last retired instruction, and how many had retired. */
  storm: number;
  stormAt: number;
}
const STORM = 200;

/** How a run goes, by its seed. */
interface Plan {
  kind: Kind;
  mode: Mode;
  /** A page whose accesses are watched, or -1. */
  watched: number;
  breakpoints: number[];
}

const MODES: readonly Mode[] = ['user', 'user', 'user', 'kernel', 'kernel', 'user16', 'v86', 'real'];

const plan = (seed: number): Plan => {
  const random = generator(seed ^ 0x2545f491);
  const kind = seed % 2 === 0 ? 'system' : seed % 4 === 1 ? 'fpu' : 'plain';
  const mode = kind === 'system' ? MODES[random() % MODES.length] : 'user';
  const watched = random() % 4 === 0 ? (DATA >> 12) + (random() % 3) : -1;
  const breakpoints = random() % 4 === 0 ? [CODE + (random() % CODE_BYTES), CODE + (random() % 0x400)] : [];
  return { kind, mode, watched, breakpoints };
};

const QUIET = [
  { from: 0x81, end: 0x14f },
  { from: 0x151, end: 0x1e2 },
  { from: 0x1e3, end: 0x3f0 },
  { from: 0x401, end: 0xe01 },
];

const setUp = (proc: Processor, seed: number, { kind, mode, watched, breakpoints }: Plan, seen: Seen): void => {
  const random = generator(seed);
  const { cpu } = proc;
  const { m32, m8, f64 } = cpu;
  proc.reset();
  // Who strays from the program halts.
  m8.fill(0xf4, RAM_BASE, RAM_BASE + RAM);
  m8.fill(0, RAM_BASE + 0x1000, RAM_BASE + 0x8000);
  const wide = mode === 'user' || mode === 'kernel';
  compose(random, kind, wide).forEach((byte, i) => {
    m8[RAM_BASE + CODE + i] = byte & 0xff;
  });
  for (let i = 0; i < 0x3000; i++) m8[RAM_BASE + DATA + i] = random() & 0xff;
  for (let n = 0; n < 8; n++) m32[n] = random() % 4 ? DATA + (random() % 0x2f00) : random();
  m32[1] = random() % 50;
  m32[4] = DATA + 0x1000 + (random() % 0x800);
  m32[W.CR2] = 0;
  m32[W.FPU_CW] = 0x37f;
  m32[W.MXCSR] = 0x1f80;
  m32.fill(0, W.FPU_SW, W.MXCSR);
  m32.fill(0, W.XMM, W.FPU_TEMP);
  f64[F.TSC_OFFSET] = 0;
  if (kind === 'system') setUpSystem(proc, mode, random);
  else setUpUser(proc, random);
  cpu.updateMode();
  cpu.intercept.fill(kind === 'system' ? 0 : 1);
  cpu.intr = false;
  proc.retired = 0;
  for (let page = 0; page < RAM >> 12; page++) cpu.clearPageFlag(page, PageFlag.WATCH_READ | PageFlag.WATCH_WRITE);
  const note = (what: number, a: number, b: number, c: number): void => {
    seen.events++;
    // A watch does not tell when within a block it was met; a port instruction's moment is exact.
    for (const v of [what, a, b, c, what > 2 ? cpu.tsc() : 0]) seen.log = (Math.imul(seen.log, 0x01000193) ^ v) | 0;
  };
  seen.log = 0;
  seen.events = 0;
  // A handler that faults for ever retires nothing: the run is stopped from here.
  cpu.onTransfer = (vector, cause, error, cs, eip) => {
    note(5, (vector << 8) | cause, error, (cs << 16) ^ eip);
    if (proc.now() !== seen.stormAt) seen.storm = 0;
    seen.stormAt = proc.now();
    if (++seen.storm === STORM) proc.requestStop();
  };
  cpu.watcher = undefined;
  if (watched >= 0) {
    // Some stretches of the page mean nothing to the watcher: translated code goes on by itself there.
    const stretch = (physical: number, size: number): { from: number; end: number } | undefined =>
      QUIET.find((q) => (physical & 0xfff) >= q.from && (physical & 0xfff) + size <= q.end);
    const quiet = (physical: number, size: number): boolean => stretch(physical, size) !== undefined;
    cpu.watcher = {
      read: (physical, linear, size) => {
        if (!quiet(physical, size)) note(1, physical, linear, size);
      },
      write: (physical, linear, size) => {
        if (!quiet(physical, size)) note(2, physical, linear, size);
      },
      gap: (physical) => {
        const q = stretch(physical, 1);
        return q === undefined ? 0 : q.from | (q.end << 16);
      },
    };
    cpu.setPageFlag(watched, PageFlag.WATCH_READ);
    cpu.setPageFlag(watched, PageFlag.WATCH_WRITE);
  }
  cpu.bus = {
    portRead: (port, size) => {
      note(3, port, size, 0);
      return (seen.log & (size === 4 ? -1 : (1 << (8 * size)) - 1)) >>> 0;
    },
    portWrite: (port, size, value) => {
      note(4, port, size, value);
      if (port & 1) cpu.intr = true;
    },
  };
  for (const at of breakpoints) proc.addBreakpoint(at);
};

/** A flat user-mode segment, identity pages; the last data page is read-only, the one behind it missing. */
const setUpUser = (proc: Processor, random: () => number): void => {
  const { cpu } = proc;
  const { m32 } = cpu;
  m32[(RAM_BASE + TABLE) >> 2] = (TABLE + 0x1000) | 7;
  for (let page = CODE >> 12; page < RAM >> 12; page++) m32[(RAM_BASE + TABLE + 0x1000 + page * 4) >> 2] = (page << 12) | 7;
  m32[(RAM_BASE + TABLE + 0x1000 + ((DATA >> 12) + 2) * 4) >> 2] = (DATA + 0x2000) | 5;
  m32[(RAM_BASE + TABLE + 0x1000 + ((DATA >> 12) + 3) * 4) >> 2] = 0;
  m32[W.CR0] = 0x80010033 | 0;
  m32[W.CR3] = TABLE;
  m32[W.CR4] = 0x600;
  m32[W.CPL] = 3;
  for (let seg = 0; seg < 6; seg++) {
    const code = seg === CS;
    m32[W.SELECTOR + seg] = code ? 0x23 : 0x2b;
    m32[W.BASE + seg] = 0;
    m32[W.LIMIT + seg] = -1;
    m32[W.ACCESS + seg] = code ? 0xc0fb : 0xc0f3;
  }
  m32[W.EIP] = CODE + (random() % 64);
  m32[W.EFLAGS] = 0x202;
  cpu.setFlags(0x202 | (random() & 0x8d5));
};

const describe = (proc: Processor, exit: Exit): string => {
  const { cpu } = proc;
  const regs = Array.from(cpu.m32.subarray(0, 8), (v) => (v >>> 0).toString(16).padStart(8, '0')).join(' ');
  return `${regs} eip=${(cpu.m32[W.EIP] >>> 0).toString(16)} cs=${cpu.m32[W.SELECTOR + CS].toString(16)} fl=${cpu.getFlags().toString(16)} n=${proc.retired} ${JSON.stringify(exit)} cr2=${(cpu.m32[W.CR2] >>> 0).toString(16)}`;
};

/** The state block without lazy flags, the budget, and what translated code keeps for itself. */
const STATE_WORDS = Array.from({ length: W.FPU_TEMP }, (_, w) => w).filter((w) => w !== W.FLAG_RESULT && w !== W.FLAG_AUX && w !== W.LEFT);

/** run(budget), perhaps in two parts. */
const runParts = (proc: Processor, budget: number, cut: number): Exit => {
  if (cut === 0 || cut >= budget) return proc.run(budget);
  const exit = proc.run(cut);
  return exit.kind === 'budget' ? proc.run(budget - cut) : exit;
};

/** Runs one seed. @returns undefined, or what differs. */
const fuzzOne = (plain: Processor, translated: Processor, seed: number, name: string): string | undefined => {
  const how = plan(seed);
  const seenPlain: Seen = { log: 0, events: 0, storm: 0, stormAt: 0 };
  const seenTranslated: Seen = { log: 0, events: 0, storm: 0, stormAt: 0 };
  const start = (): void => {
    setUp(plain, seed, how, seenPlain);
    setUp(translated, seed, how, seenTranslated);
  };
  const stopBreaking = (): void => {
    for (const at of how.breakpoints) {
      plain.removeBreakpoint(at);
      translated.removeBreakpoint(at);
    }
  };
  start();
  const random = generator(seed ^ 0x5bd1e995);
  const p = plain.cpu;
  const t = translated.cpu;
  for (let slice = 0; slice < 40; slice++) {
    const budget = 1 + (random() % (random() % 4 ? 60 : 3000));
    const cut = random() % 3 === 0 ? random() % budget : 0;
    if (how.kind === 'system' && random() % 8 === 0) {
      p.intr = true;
      t.intr = true;
    }
    const before = describe(plain, { kind: 'budget' });
    const from = plain.cpu.m32[W.EIP];
    const a = runParts(plain, budget, cut);
    const b = translated.run(budget);
    const one = describe(plain, a);
    const two = describe(translated, b);
    let where = one === two ? '' : 'registers';
    for (const w of STATE_WORDS) if (p.m32[w] !== t.m32[w]) where ||= `state word ${w}`;
    if (seenPlain.log !== seenTranslated.log) where ||= `what watches and ports saw (${seenPlain.events} and ${seenTranslated.events})`;
    if (p.intr !== t.intr) where ||= 'interrupt line';
    if (Buffer.compare(p.m8.subarray(RAM_BASE, RAM_BASE + RAM), t.m8.subarray(RAM_BASE, RAM_BASE + RAM)) !== 0) where ||= 'memory';
    if (where !== '') {
      stopBreaking();
      const at = (p.m32[W.BASE + CS] + from) >>> 0;
      const code = at < RAM ? Buffer.from(p.m8.subarray(RAM_BASE + at, RAM_BASE + at + 48)).toString('hex') : '';
      return `seed ${seed} (${how.kind} ${how.mode}) slice ${slice} budget ${budget} cut ${cut}: ${where}\n  before      ${before}\n  handlers    ${one}\n  ${name.padEnd(11)} ${two}\n  code        ${code}`;
    }
    if (a.kind === 'interrupt-window') {
      p.intr = false;
      t.intr = false;
      const vector = 0x20 + (random() % 0x60);
      if (plain.interrupt(vector) !== translated.interrupt(vector))
        return `seed ${seed} slice ${slice}: only one shut down on interrupt ${vector}`;
    } else if (a.kind === 'shutdown' || a.kind === 'stop' || (a.kind === 'halt' && random() % 4 === 0)) {
      // Everything anew, on from somewhere else.
      stopBreaking();
      start();
      const eip = (p.m32[W.EIP] + (random() % (CODE_BYTES - 128))) | 0;
      for (const c of [p, t]) c.m32[W.EIP] = eip;
    } else if (a.kind === 'intercept') {
      // On from somewhere else, with a sane stack.
      const eip = CODE + (random() % (CODE_BYTES - 64));
      const esp = DATA + 0x1000 + (random() % 0x800);
      const ecx = random() % 50;
      for (const c of [p, t]) {
        c.m32[W.EIP] = eip;
        c.m32[W.SHADOW] = 0;
        c.m32[4] = esp;
        c.m32[1] = ecx;
        c.m32[W.FPU_SW] = 0;
        c.m32[W.FPU_CW] = 0x37f;
        c.m32[W.MXCSR] = 0x1f80;
      }
    }
  }
  stopBreaking();
  return undefined;
};

/** The command. @returns the exit status. */
export const fuzzCommand = (args: readonly string[], print: (line: string) => void): number => {
  let seconds = 60;
  let seed = 1;
  let count = Number.POSITIVE_INFINITY;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--seconds') seconds = wholeNumber('seconds', args[++i] ?? '');
    else if (args[i] === '--seed') seed = wholeNumber('seed', args[++i] ?? '');
    else if (args[i] === '--count') count = wholeNumber('count', args[++i] ?? '');
    else {
      print('usage: lguest-debug fuzz [--seconds N] [--seed N] [--count N]');
      return 64;
    }
  }
  const end = performance.now() + seconds * 1000;
  const options = { ramBytes: RAM, countRing0: true };
  const plain = new Processor({ ...options, jit: false, quick: false });
  // A pair of its own: what a processor remembers from the seeds before must be the same in both.
  const again = new Processor({ ...options, jit: false, quick: false });
  const quick = new Processor({ ...options, jit: false });
  const translated = new Processor({ ...options, jit: true, jitThreshold: 0 });
  let failed = 0;
  let n = 0;
  for (; n < count && performance.now() < end; n++) {
    const at = seed + n;
    const difference = fuzzOne(plain, translated, at, 'translated') ?? (at % 4 === 1 ? fuzzOne(again, quick, at, 'quick') : undefined);
    if (difference === undefined) continue;
    failed++;
    print(difference);
    if (failed >= 10) break;
  }
  const stats = translated.jit?.stats;
  print(
    `seeds ${seed} to ${seed + n - 1}; ${stats?.translations ?? 0} translations, ${stats?.entries ?? 0} entries, ${stats?.faults ?? 0} faults, ${stats?.punts ?? 0} punts`,
  );
  print(`${n - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
};
