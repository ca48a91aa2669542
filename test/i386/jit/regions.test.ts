// Translated code against the interpreter on small programs, one for each thing that translation does in a way of its own: calls and returns inside a region,
// jump tables, accesses that share a check, repeats, patched immediates, x87 runs. Registers, flags, memory and the instruction count must be equal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Processor } from '../../../src/i386/processor';
import { RAM_BASE, W } from '../../../src/i386/state';
import { CODE, flatMachine, RAM } from '../flat-machine';

const DATA = 0x20000;

/** ESP below DATA, which is filled. */
const machine = (code: number[], jitThreshold: number | undefined): Processor => {
  const proc = flatMachine(code, jitThreshold);
  const { m8, m32 } = proc.cpu;
  for (let i = 0; i < 0x3000; i++) m8[RAM_BASE + DATA + i] = (i * 7 + (i >> 8)) & 0xff;
  m32[4] = DATA - 0x100;
  m32[W.FPU_CW] = 0x37f;
  m32[W.MXCSR] = 0x1f80;
  return proc;
};

const dword = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/** Runs the program to its HLT on the interpreter and with the translator forced; both must agree. */
const agree = (code: number[], setUp: (proc: Processor) => void = () => {}): Processor[] => {
  const all = [undefined, 0].map((threshold) => {
    const proc = machine(code, threshold);
    setUp(proc);
    let exit = proc.run(1000);
    for (let n = 0; n < 2000 && exit.kind === 'budget'; n++) exit = proc.run(997);
    assert.equal(exit.kind, 'halt', `threshold ${threshold}: ${exit.kind} at ${(proc.cpu.m32[W.EIP] >>> 0).toString(16)}`);
    return proc;
  });
  const state = (proc: Processor): string =>
    JSON.stringify([
      Array.from(proc.cpu.m32.subarray(0, 10)),
      proc.cpu.getFlags(),
      proc.retired,
      Array.from(proc.cpu.m32.subarray(W.FPU_CW, W.FPU_REGS + 32)),
    ]);
  for (const proc of all.slice(1)) {
    assert.equal(state(proc), state(all[0]));
    assert.equal(Buffer.compare(proc.cpu.m8.subarray(RAM_BASE, RAM_BASE + RAM), all[0].cpu.m8.subarray(RAM_BASE, RAM_BASE + RAM)), 0);
    assert.ok((proc.jit?.stats.entries ?? 0) > 0, 'nothing ran translated');
  }
  return all;
};

test('a recursive function and its returns give the same inside a region as in the interpreter', () => {
  // eax = fib(12) by recursion, fifty times.
  const fib = [
    0x83,
    0xf8,
    0x02,
    0x72,
    0x0f,
    0x50,
    0x48,
    0xe8,
    ...dword(-12),
    0x87,
    0x04,
    0x24,
    0x48,
    0x48,
    0xe8,
    ...dword(-22),
    0x5a,
    0x01,
    0xd0,
    0xc3,
  ];
  // cmp eax,2; jb ret; push eax; dec eax; call fib; xchg [esp],eax; dec eax; dec eax; call fib; pop edx; add eax,edx; ret
  fib[4] = fib.length - 1 - 5;
  const main = [0xbe, ...dword(50), 0xb8, ...dword(12), 0xe8, ...dword(5), 0x4e, 0x75, 0xf3, 0xf4, 0x90, 0x90];
  main[11] = 0;
  const program = [...main, ...fib];
  const at = main.length;
  program.splice(11, 4, ...dword(at - 15));
  const [plain] = agree(program);
  assert.equal(plain.cpu.m32[0], 144);
});

test('a jump table whose targets change with every turn reaches each of them', () => {
  // Eight handlers of "add ebx, n; jmp next"; the table stands behind the code.
  const handlers = Array.from({ length: 8 }, (_, n) => [0x83, 0xc3, n * 3 + 1, 0xe9, 0, 0, 0, 0]);
  const head = [0xb9, ...dword(3000), 0x31, 0xdb];
  // loop: mov eax,ecx; and eax,7; jmp [table+eax*4]
  const loop = [0x89, 0xc8, 0x83, 0xe0, 0x07, 0xff, 0x24, 0x85, 0, 0, 0, 0];
  const next = [0x49, 0x0f, 0x85, 0, 0, 0, 0, 0xf4];
  const loopAt = head.length;
  const handlersAt = loopAt + loop.length;
  const nextAt = handlersAt + 64;
  const tableAt = (nextAt + next.length + 3) & ~3;
  loop.splice(8, 4, ...dword(CODE + tableAt));
  handlers.forEach((h, n) => {
    h.splice(4, 4, ...dword(nextAt - (handlersAt + 8 * (n + 1))));
  });
  next.splice(3, 4, ...dword(loopAt - (nextAt + 7)));
  const program = [...head, ...loop, ...handlers.flat(), ...next];
  while (program.length < tableAt) program.push(0x90);
  for (let n = 0; n < 8; n++) program.push(...dword(CODE + handlersAt + 8 * n));
  agree(program);
});

test('accesses that share one check are right where the stretch crosses a page', () => {
  // ebx walks through the data in steps of 12: sums and stores at [ebx], [ebx+8], [ebx+20], [ebx-4].
  const program = [
    0xbb, ...dword(DATA + 0x10), 0xb9, ...dword(900),
    0x8b, 0x03, 0x03, 0x43, 0x08, 0x01, 0x43, 0x14, 0x66, 0x31, 0x43, 0xfc, 0x8a, 0x53, 0x15, 0x30, 0x53, 0x02,
    0x83, 0xc3, 0x0c, 0x49, 0x75, 0xe8, 0xf4,
  ]; // biome-ignore format: bytes of one instruction group a line
  agree(program);
});

test('REP MOVS and REP STOS of all sizes, overlaps, directions and page crossings do as the interpreter does', () => {
  const program: number[] = [];
  const piece = (prefix: number[], from: number, to: number, count: number): void => {
    program.push(0xbe, ...dword(DATA + from), 0xbf, ...dword(DATA + to), 0xb9, ...dword(count), ...prefix);
  };
  for (const op of [
    [0xf3, 0xa4],
    [0xf3, 0xa5],
    [0xf3, 0x66, 0xa5],
    [0xf3, 0xaa],
    [0xf3, 0xab],
    [0xf2, 0xa5],
  ]) {
    for (const [from, to, count] of [
      [0, 0x1000, 0],
      [3, 0x1000, 1],
      [16, 20, 40],
      [20, 16, 40],
      [0x0f80, 0x1f90, 100],
      [0x10, 0x13, 7],
      [0x100, 0x900, 300],
    ])
      piece(op, from, to, count);
  }
  program.push(0xfd);
  piece([0xf3, 0xa5], 0x200, 0x300, 20);
  program.push(0xfc);
  // Ten rounds: dec dword [counter]; jnz to the start.
  const counter = DATA + 0x4000;
  const start = [0xc7, 0x05, ...dword(counter), ...dword(10)];
  const body = [...program, 0xff, 0x0d, ...dword(counter)];
  agree([...start, ...body, 0x0f, 0x85, ...dword(-(body.length + 6)), 0xf4]);
});

test('exchanges that compute, short rotates, rotates through the carry and the flags as a word do as the interpreter does', () => {
  // eax ebx edx: three random numbers of one generator each turn; every result and the flags after each piece go to memory at edi.
  const next = [0x69, 0xed, ...dword(1664525), 0x81, 0xc5, ...dword(1013904223)];
  const random = [...next, 0x89, 0xe8, ...next, 0x89, 0xeb, ...next, 0x89, 0xea];
  const keep = [0x9c, 0x8f, 0x07, 0x89, 0x47, 0x04, 0x89, 0x5f, 0x08, 0x83, 0xc7, 0x0c];
  const cell = dword(DATA + 0x100);
  const pieces = [
    [0x0f, 0xc1, 0xd8],
    [0x0f, 0xc0, 0xe3],
    [0x66, 0x0f, 0xc1, 0xd8],
    [0x0f, 0xc1, 0xc0],
    [0xf0, 0x0f, 0xc1, 0x05, ...cell],
    [0x0f, 0xc0, 0x1d, ...cell],
    // cmpxchg, unequal as a rule; then with the accumulator loaded from the destination, so that it is equal.
    [0x0f, 0xb1, 0xd3],
    [0x88, 0xd8, 0x0f, 0xb0, 0xfb],
    [0x66, 0x89, 0xd8, 0x66, 0x0f, 0xb1, 0xd3],
    [0xa1, ...cell, 0xf0, 0x0f, 0xb1, 0x15, ...cell],
    [0x0f, 0xb1, 0xd0],
    ...[0xc0, 0xc8].flatMap((op) =>
      [1, 3, 8, 15].flatMap((n) => [
        [0xc0, op + 4, n],
        [0xc0, op + 3, n + 16],
        [0x66, 0xc1, op, n],
        [0xc0, op - 0xc0 + 5, ...cell, n],
      ]),
    ),
    [0xd1, 0xd0],
    [0xd1, 0xdb],
    [0xd1, 0x15, ...cell],
    [0xd1, 0x1d, ...cell],
    [0x9f],
    // pushf with DF, popf of what stands in eax (status flags and DF), popf that changes IF, IOPL and NT as well.
    [0xfd, 0x9c, 0x58, 0xfc],
    [0x25, ...dword(0xcd7), 0x50, 0x9d, 0x9c, 0x5b, 0xfc],
    [0x25, ...dword(0x7ed7), 0x50, 0x9d, 0x9c, 0x5b, 0x6a, 0x02, 0x9d],
  ];
  const body = [0xbf, ...dword(DATA + 0x200), ...pieces.flatMap((piece) => [...random, 0x01, 0xc2, ...piece, ...keep]), 0x49];
  const program = [0xb9, ...dword(300), 0xbd, ...dword(12345), ...body, 0x0f, 0x85, ...dword(-(body.length + 6)), 0xf4];
  const [, forced] = agree(program);
  assert.equal(forced.jit?.stats.punts, 0, 'the interpreter had to help');
});

test("operands in FS and GS lie at their bases, and one beyond its limit or in a segment that is not plain data is the interpreter's", () => {
  // esi counts down from 3FBh to 2 in steps of 3: reads, writes and changes at gs:[esi], gs:[10h] and fs:[300h].
  const body = [
    ...[0x65, 0x8b, 0x06, 0x01, 0xc3],
    ...[0x65, 0x88, 0x06],
    ...[0x65, 0x66, 0x01, 0x1e],
    ...[0x64, 0x8b, 0x15, ...dword(0x300), 0x31, 0xd3],
    ...[0x64, 0xff, 0x05, ...dword(0x300)],
    ...[0x65, 0x0f, 0xb6, 0x06, 0x01, 0xc3],
    ...[0x64, 0x0f, 0xba, 0x2d, ...dword(0x304), 0x07],
    ...[0x65, 0xd9, 0x06, 0xdd, 0xd8],
    ...[0x65, 0xa1, ...dword(0x10), 0x01, 0xc3],
    ...[0x83, 0xee, 0x03],
  ];
  const program = [0xbe, ...dword(0x3fb), ...body, 0x0f, 0x89, ...dword(-(body.length + 6)), 0xf4];
  const inSegments = (limit: number, access: number) => (proc: Processor) => {
    const { m32 } = proc.cpu;
    for (const [seg, base] of [
      [4, DATA + 0x123],
      [5, DATA + 0x1001],
    ]) {
      m32[W.BASE + seg] = base;
      m32[W.LIMIT + seg] = limit;
      m32[W.ACCESS + seg] = access;
    }
    proc.cpu.updateMode();
  };
  for (const limit of [0x3ff, 0xfff, -1]) {
    const [, forced] = agree(program, inSegments(limit, 0xc093));
    assert.ok((forced.jit?.stats.entries ?? 0) < 200, `${forced.jit?.stats.entries} entries`);
  }
  // Data that grows downwards: inside is what lies above the limit.
  agree(program, inSegments(1, 0xc097));
  // The first read is beyond the limit, the second in no segment at all: without an IDT the processor shuts down, at the same place.
  for (const [limit, access] of [
    [0x3fd, 0xc093],
    [-1, 0],
  ]) {
    const [plain, forced] = [undefined, 0].map((threshold) => {
      const proc = machine(program, threshold);
      inSegments(limit, access)(proc);
      return [proc.run(1000).kind, proc.retired, ...proc.cpu.m32.subarray(0, 10)];
    });
    assert.equal(plain[0], 'shutdown');
    assert.deepEqual(forced, plain);
  }
});

test('a loop whose immediate the program patches runs on with each new value and is not translated again each time', () => {
  // esi rounds: mov [imm], eax; ecx = 20: add eax, imm32; rol eax, 5; dec ecx; jnz.
  const head = [0xbe, ...dword(400)];
  const store = [0xa3, 0, 0, 0, 0, 0xb9, ...dword(20)];
  const loop = [0x05, ...dword(1), 0xc1, 0xc0, 0x05, 0x49, 0x75, 0xf5];
  const tail = [0x4e, 0x75, 0, 0xf4];
  store.splice(1, 4, ...dword(CODE + head.length + store.length + 1));
  tail[2] = 256 - (store.length + loop.length + 3);
  const [, forced] = agree([...head, ...store, ...loop, ...tail]);
  assert.ok((forced.jit?.stats.translations ?? 0) < 60, `${forced.jit?.stats.translations} translations`);
});

test('x87 runs with pushes, pops, exchanges, comparisons and a stack fault give the same registers, tags and pointers', () => {
  const data = DATA + 0x2000;
  const turn = [
    0xd9, 0xe8, // fld1
    0xd9, 0xee, // fldz
    0xdb, 0x05, ...dword(data), // fild dword
    0xd8, 0xc2, // fadd st, st(2)
    0xd9, 0xc9, // fxch
    0xdc, 0x35, ...dword(data + 8), // fdiv qword
    0xde, 0xc1, // faddp
    0xd9, 0xfa, // fsqrt
    0xdb, 0xf1, // fcomi st, st(1)
    0x0f, 0x97, 0xc0, // seta al
    0xd8, 0xd1, // fcom st(1)
    0xdf, 0xe0, // fnstsw ax
    0xd9, 0xe0, // fchs
    0xdd, 0x15, ...dword(data + 16), // fst qword
    0xd8, 0x25, ...dword(data + 24), // fsub dword
    0xd9, 0x1d, ...dword(data + 24), // fstp dword
    0xdd, 0xd8, // fstp st(0)
    0xff, 0x05, ...dword(data), // inc dword
  ]; // biome-ignore format: an instruction a line
  const head = [0xb9, ...dword(300)];
  head.push(0xc7, 0x05, ...dword(data), ...dword(3));
  head.push(0xc7, 0x05, ...dword(data + 8), ...dword(0), 0xc7, 0x05, ...dword(data + 12), ...dword(0x40080000));
  head.push(0xc7, 0x05, ...dword(data + 24), ...dword(0x3f800000));
  // At the end nine pushes: the last one overflows the stack.
  const overflow = Array.from({ length: 9 }, () => [0xd9, 0xe8]).flat();
  agree([...head, ...turn, 0x49, 0x0f, 0x85, ...dword(-(turn.length + 7)), ...overflow, 0xf4]);
});

test('indirect jumps to where no code is, the last byte of the address space included, end in translated code as in the interpreter', () => {
  for (const target of [-1, 0, 0x7fffffff, -2]) {
    const ends = [undefined, 0].map((threshold) => {
      // mov ecx, target; jmp ecx
      const proc = machine([0xb9, ...dword(target), 0xff, 0xe1], threshold);
      proc.cpu.m32[0] = 0x123456;
      proc.cpu.m8.fill(0x0f, RAM_BASE, RAM_BASE + 16);
      const { kind } = proc.run(1000);
      return [kind, proc.cpu.m32[W.EIP], proc.retired];
    });
    assert.deepEqual(ends[1], ends[0], `to ${target}`);
  }
});
