// `lguest-debug fuzz`: two processors, one with the translator forced on, run the same random programs; whatever they disagree on is a bug.
//
// Programs are random encodings drawn from the opcode list, in a flat user-mode segment, with loops, page crossings, read-only and missing pages, and stores
// into their own code. After every slice of a random length all registers, flags, the instruction count, the reason for stopping and all memory must be equal.
// A seed reproduces a run. What it leaves out: system instructions (they end a translation anyway and have vectors of their own).

import { ROWS } from '../i386/rows';
import { type Exit, Processor } from '../i386/processor';
import { CS, RAM_BASE, W } from '../i386/state';

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
const CODE = 0x10000;
const CODE_BYTES = 0x2000;
const DATA = 0x20000;
const TABLE = 0x1000;

/** Rows a program may draw from: no port, table or mode instructions. */
const SKIP =
  /^(in|out|ins|outs|hlt|lgdt|lidt|lldt|ltr|lmsw|invlpg|clts|invd|wbinvd|mov_(to|from)_(cr|dr|sreg)|pop_sreg|l[defgs]s|lss|callf|retf|jmpf|callf_ind|jmpf_ind|iret|int|int3|int1|into|rdtsc|rdpmc|rdmsr|wrmsr|sysenter|sysexit|cpuid|sti|cli|popf|ud|ud1|ud2|s[gil]dt|str|fxsave|fxrstor|fnsave|frstor|fldenv|fnstenv)$/;
const COMMON =
  /^(mov|add|sub|cmp|and|or|xor|test|inc|dec|lea|push|pop|j[a-z]+|movzx_.|movsx_.|shl|shr|sar|adc|sbb|call|ret|imul.?|set[a-z]+|cmov[a-z]+|rol|ror|neg|not|xchg|mul|div|idiv|bt|shld|shrd|loop|leave|cwd|cbw|bswap|stc|clc|cmc)$/;

interface Choice {
  op: number;
  ext: number | undefined;
  modrm: number | undefined;
  name: string;
  args: string;
}
const ALL: Choice[] = ROWS.filter((row, n) => n > 0 && !SKIP.test(row.name) && row.pfx === undefined).map(
  ({ op, ext, modrm, name, args }) => ({ op, ext, modrm, name, args }),
);
const OFTEN = ALL.filter(({ name }) => COMMON.test(name));

/** Writes one random instruction. @returns its length. */
const emit = (random: () => number, out: number[], fpu: boolean): void => {
  const pool = random() % 8 === 0 ? ALL : OFTEN;
  let choice = pool[random() % pool.length];
  if (!fpu && choice.op >= 0xd8 && choice.op <= 0xdf) choice = OFTEN[random() % OFTEN.length];
  if (random() % 16 === 0) out.push(0x66);
  if (random() % 64 === 0) out.push([0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0][random() % 8]);
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
  const modrm = choice.ext !== undefined || /\b[EGMR][a-z]*\b/.test(args) || (choice.op >= 0xd8 && choice.op <= 0xdf);
  if (modrm) {
    const reg = choice.ext ?? random() % 8;
    const kind = /\bM/.test(args) || (choice.op >= 0xd8 && choice.op <= 0xdf) ? 1 + (random() % 3) : random() % 5;
    if (kind === 0 || kind === 4) out.push(0xc0 | (reg << 3) | (random() % 8));
    else if (kind === 1) {
      // [disp32] in the data area, sometimes in the code.
      const address = random() % 24 === 0 ? CODE + (random() % CODE_BYTES) : DATA + (random() % 0x3010);
      out.push((reg << 3) | 5, address & 0xff, (address >> 8) & 0xff, (address >> 16) & 0xff, 0);
    } else if (kind === 2) {
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
  const wide = out[out.length - 1] === -1 ? 2 : 4;
  for (const arg of args.split(' ')) {
    if (arg === 'Ib' || arg === 'Ibs') out.push(random() % 3 ? random() % 40 : random() & 0xff);
    else if (arg === 'Iw') out.push((random() % 8) * 4, 0);
    else if (arg === 'Iz' || arg === 'Iv') {
      if (random() % 4) out.push(random() & 0xff, (random() % 0x30) & 0xff, 2, 0);
      else bytes(wide);
    } else if (arg === 'Jb') out.push((random() % 100) - 60 < 0 ? 256 - (random() % 90) : random() % 40);
    else if (arg === 'Jz') {
      const d = (random() % 400) - 200;
      out.push(d & 0xff, (d >> 8) & 0xff, (d >> 16) & 0xff, (d >> 24) & 0xff);
    } else if (arg[0] === 'O') out.push(random() & 0xff, (random() % 0x30) & 0xff, 2, 0);
  }
};

const setUp = (proc: Processor, seed: number, fpu: boolean): void => {
  const random = generator(seed);
  const { cpu } = proc;
  const { m32, m8 } = cpu;
  proc.reset();
  m8.fill(0, RAM_BASE, RAM_BASE + RAM);
  // Identity pages, user; the last data page is read-only, the one behind it missing.
  m32[(RAM_BASE + TABLE) >> 2] = (TABLE + 0x1000) | 7;
  for (let page = CODE >> 12; page < RAM >> 12; page++) m32[(RAM_BASE + TABLE + 0x1000 + page * 4) >> 2] = (page << 12) | 7;
  m32[(RAM_BASE + TABLE + 0x1000 + ((DATA >> 12) + 2) * 4) >> 2] = (DATA + 0x2000) | 5;
  m32[(RAM_BASE + TABLE + 0x1000 + ((DATA >> 12) + 3) * 4) >> 2] = 0;
  const program: number[] = [];
  while (program.length < CODE_BYTES - 32) {
    if (random() % 40 === 0) {
      // A short loop: dec ecx; jnz back.
      program.push(0x49, 0x75, 256 - 2 - (2 + (random() % 30)));
    }
    emit(random, program, fpu);
  }
  program.forEach((byte, i) => {
    m8[RAM_BASE + CODE + i] = byte & 0xff;
  });
  for (let i = 0; i < 0x3000; i++) m8[RAM_BASE + DATA + i] = random() & 0xff;
  m32[W.CR0] = 0x80010033 | 0;
  m32[W.CR2] = 0;
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
  for (let n = 0; n < 8; n++) m32[n] = random() % 4 ? DATA + (random() % 0x2f00) : random();
  m32[1] = random() % 50;
  m32[4] = DATA + 0x1000 + (random() % 0x800);
  m32[W.FPU_CW] = 0x37f;
  m32[W.FPU_SW] = 0;
  m32[W.FPU_VALID] = 0;
  m32[W.MXCSR] = 0x1f80;
  m32.fill(0, W.FPU_REGS, W.FPU_REGS + 32);
  m32[W.EIP] = CODE + (random() % 64);
  m32[W.EFLAGS] = 0x202;
  cpu.setFlags(0x202 | (random() & 0x8d5));
  cpu.updateMode();
  cpu.intercept.fill(1);
  proc.retired = 0;
};

const describe = (proc: Processor, exit: Exit): string => {
  const { cpu } = proc;
  const regs = Array.from(cpu.m32.subarray(0, 8), (v) => (v >>> 0).toString(16).padStart(8, '0')).join(' ');
  return `${regs} eip=${(cpu.m32[W.EIP] >>> 0).toString(16)} fl=${cpu.getFlags().toString(16)} n=${proc.retired} ${JSON.stringify(exit)} cr2=${(cpu.m32[W.CR2] >>> 0).toString(16)}`;
};

const STATE_WORDS = [
  ...Array(8).keys(),
  W.EIP,
  W.EFLAGS,
  W.CR2,
  ...Array.from({ length: 8 }, (_, n) => W.FPU_CW + n),
  ...Array.from({ length: 32 }, (_, n) => W.FPU_REGS + n),
];

/** Runs one seed. @returns undefined, or what differs. */
export const fuzzOne = (plain: Processor, translated: Processor, seed: number): string | undefined => {
  const fpu = seed % 4 === 0;
  setUp(plain, seed, fpu);
  setUp(translated, seed, fpu);
  const random = generator(seed ^ 0x5bd1e995);
  for (let slice = 0; slice < 40; slice++) {
    const budget = 1 + (random() % (random() % 4 ? 60 : 3000));
    const before = describe(plain, { kind: 'budget' });
    const from = plain.cpu.m32[W.EIP];
    const a = plain.run(budget);
    const b = translated.run(budget);
    const one = describe(plain, a);
    const two = describe(translated, b);
    let where = one === two ? '' : 'registers';
    const p = plain.cpu;
    const t = translated.cpu;
    for (const w of STATE_WORDS) if (p.m32[w] !== t.m32[w]) where = `state word ${w}`;
    if (Buffer.compare(p.m8.subarray(RAM_BASE, RAM_BASE + RAM), t.m8.subarray(RAM_BASE, RAM_BASE + RAM)) !== 0) where ||= 'memory';
    if (where !== '')
      return `seed ${seed} slice ${slice} budget ${budget}: ${where}\n  before      ${before}\n  interpreter ${one}\n  translated  ${two}\n  code        ${Buffer.from(p.m8.subarray(RAM_BASE + from, RAM_BASE + from + 48)).toString('hex')}`;
    if (a.kind === 'intercept') {
      // On from somewhere else, with a sane stack.
      const eip = CODE + (random() % (CODE_BYTES - 64));
      const esp = DATA + 0x1000 + (random() % 0x800);
      const ecx = random() % 50;
      for (const c of [p, t]) {
        c.m32[W.EIP] = eip;
        c.m32[4] = esp;
        c.m32[1] = ecx;
        c.m32[W.FPU_SW] = 0;
        c.m32[W.FPU_CW] = 0x37f;
      }
    }
  }
  return undefined;
};

/** The command. @returns the exit status. */
export const fuzzCommand = (args: readonly string[], print: (line: string) => void): number => {
  let seconds = 60;
  let seed = 1;
  let count = Number.POSITIVE_INFINITY;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--seconds') seconds = Number(args[++i]);
    else if (args[i] === '--seed') seed = Number(args[++i]);
    else if (args[i] === '--count') count = Number(args[++i]);
    else {
      print('usage: lguest-debug fuzz [--seconds N] [--seed N] [--count N]');
      return 64;
    }
  }
  const end = performance.now() + seconds * 1000;
  const options = { ramBytes: RAM, countRing0: true };
  const plain = new Processor({ ...options, jit: false });
  const translated = new Processor({ ...options, jit: true, jitThreshold: 0 });
  let failed = 0;
  let n = 0;
  for (; n < count && performance.now() < end; n++) {
    const difference = fuzzOne(plain, translated, seed + n);
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
