// The bare machine: how it boots, what its devices do, how it ends, and that one run is like another.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RAM_BASE, W } from '../../src/i386/state';
import { boot, CLI_HLT, controllers, ENTRY, exit, inByte, interruptTable, kernel, out, type Run, say, word16, word32 } from './bare-kernel';

const LIMIT = { instructions: 5_000_000 };
const at32 = (r: Run, address: number): number => r.machine.cpu.m32[(RAM_BASE + address) >> 2] >>> 0;
const stringAt = (r: Run, address: number): string => {
  let text = '';
  for (let a = RAM_BASE + address; r.machine.cpu.m8[a] !== 0; a++) text += String.fromCharCode(r.machine.cpu.m8[a]);
  return text;
};

test('a multiboot kernel finds the magic number, memory sizes, its command line, its module and a memory map', () => {
  const r = boot(CLI_HLT, { cmdline: 'one two', modules: [{ name: 'disk.img', bytes: Uint8Array.of(1, 2, 3) }] });
  const { context } = r.machine;
  assert.equal(context.get('eax'), 0x2badb002);
  assert.equal(context.get('eip'), ENTRY);
  const info = context.get('ebx');
  assert.equal(at32(r, info) & 0x4d, 0x4d);
  assert.equal(at32(r, info + 4), 639);
  assert.equal(at32(r, info + 8), 3 * 1024);
  assert.equal(stringAt(r, at32(r, info + 16)), 'one two');
  assert.equal(at32(r, info + 20), 1);
  const module = at32(r, info + 24);
  assert.equal(at32(r, module) & 0xfff, 0);
  assert.equal(at32(r, module + 4) - at32(r, module), 3);
  assert.deepEqual([...r.machine.cpu.m8.subarray(RAM_BASE + at32(r, module), RAM_BASE + at32(r, module) + 3)], [1, 2, 3]);
  assert.equal(stringAt(r, at32(r, module + 8)), 'disk.img');
  let available = 0;
  for (let at = at32(r, info + 48); at < at32(r, info + 48) + at32(r, info + 44); at += at32(r, at) + 4) {
    if (at32(r, at + 20) === 1) available += at32(r, at + 12);
  }
  assert.equal(available, 0x9fc00 + (3 << 20));
});

test('a multiboot kernel starts in flat 32-bit segments with paging and interrupts off', () => {
  const { m32 } = boot(CLI_HLT).machine.cpu;
  assert.equal(m32[W.CR0] & 0x80000001, 1);
  assert.equal(m32[W.EFLAGS] & 0x20200, 0);
  assert.equal(m32[W.CS_BIG], 1);
  for (let seg = 0; seg < 6; seg++) assert.deepEqual([m32[W.BASE + seg], m32[W.LIMIT + seg]], [0, -1]);
});

test('an image without a header, a foreign ELF, a truncated one and one too large each get one clear line', () => {
  assert.throws(() => boot(new Uint8Array(100)), /no multiboot header in its first 8 KB/);
  const tooLarge = kernel(CLI_HLT);
  new DataView(tooLarge.buffer).setUint32(24, 0x800000, true);
  assert.throws(() => boot(tooLarge), /needs memory up to 8 MB, the machine has 4 MB/);
  const demanding = kernel(CLI_HLT);
  new DataView(demanding.buffer).setUint32(4, 0x10013, true);
  new DataView(demanding.buffer).setUint32(8, -(0x1badb002 + 0x10013), true);
  assert.throws(() => boot(demanding), /demands features 0x10/);
  assert.throws(() => boot(CLI_HLT, { modules: [{ name: 'm', bytes: new Uint8Array(4 << 20) }] }), /module m does not fit/);
  assert.throws(() => boot(CLI_HLT, { memoryBytes: 12345 }), /whole number of MB/);
  assert.throws(() => boot(new Uint8Array(1000), { rom: true }), /must be 64 KB or 128 KB/);
});

test('text to the serial port and the debug port comes out, and a write to port F4h ends the run with QEMU’s status', () => {
  const r = boot([...say('hi\n'), ...say('dbg', 0xe9), ...exit(5)]);
  const stop = r.machine.run(LIMIT);
  assert.equal(stop.kind, 'power-off');
  assert.equal(r.console(), 'hi\n');
  assert.equal(r.debug(), 'dbg');
  assert.deepEqual(r.machine.bareEnd, { kind: 'debug-exit', value: 5, status: 11 });
  assert.equal(r.machine.run(LIMIT), stop);
});

test('ports and memory that nobody owns read all ones', () => {
  // in eax, dx at 1234h; mov ebx, [C0000000h]
  const r = boot([0x66, 0xba, ...word16(0x1234), 0xed, 0x8b, 0x1d, ...word32(0xc0000000), ...exit(0)]);
  r.machine.run({ instructions: 3 });
  assert.equal(r.machine.context.get('eax'), 0xffffffff);
  assert.equal(r.machine.context.get('ebx'), 0xffffffff);
});

const rom = (): Uint8Array => {
  const image = new Uint8Array(0x10000).fill(0xf4);
  // At the reset vector: far jump to F000:0100. There: cs: mov byte [200h], 55h; cs: mov al, [200h]; out 90h, al; hlt
  image.set([0xea, 0x00, 0x01, 0x00, 0xf0], 0xfff0);
  image.set([0x2e, 0xc6, 0x06, 0x00, 0x02, 0x55, 0x2e, 0xa0, 0x00, 0x02, 0xe6, 0x90, 0xfa, 0xf4], 0x100);
  image[0x200] = 0xa7;
  return image;
};

test('a ROM starts below 4 GB, is seen below 1 MB, and cannot be written', () => {
  const r = boot(rom(), { rom: true, postPort: 0x90 });
  const { cpu } = r.machine;
  assert.equal((cpu.m32[W.BASE + 1] + cpu.m32[W.EIP]) >>> 0, 0xfffffff0);
  assert.deepEqual(r.machine.run(LIMIT), { kind: 'idle', wakeNs: undefined });
  assert.deepEqual(r.posts, [0xa7]);
  assert.equal(cpu.physRead(0xffff0200, 1), 0xa7);
  assert.equal(cpu.physRead(0xf0200, 1), 0xa7);
});

test('a fault without a usable handler shuts the machine down, and the line says where', () => {
  const r = boot([0x0f, 0x01, 0x1d, ...word32(0x118000), 0x0f, 0x0b]); // lidt with limit 0; ud2
  const stop = r.machine.run(LIMIT);
  assert.equal(stop.kind, 'killed');
  assert.match('message' in stop ? stop.message : '', /triple fault: the processor shut down at 0008:00100027/);
});

test('exceptions without end stop the machine, or give the caller a turn, although nothing retires', () => {
  // The handler of #UD is #UD itself, and its stack lies where there is no memory to run out of.
  const code = [
    ...interruptTable({ 6: 0x200000 }),
    0xbc,
    ...word32(0xe0000000),
    0x66,
    0xc7,
    0x05,
    ...word32(0x200000),
    0x0f,
    0x0b,
    0x0f,
    0x0b,
  ];
  const turn = boot(code).machine.run({ ...LIMIT, entries: 1000 });
  assert.equal(turn.kind, 'slice');
  const r = boot(code);
  const stop = r.machine.run(LIMIT);
  assert.equal(stop.kind, 'killed');
  assert.match('message' in stop ? stop.message : '', /^stuck: 100000 exceptions in a row/);
});

// ---- interrupts and time --------------------------------------------------------------------------------------------------------------------

const handlerAt = 0x180000;
/** Copies a handler to its place: mov dword by dword. */
const place = (address: number, bytes: readonly number[]): number[] => {
  const padded = [...bytes, 0x90, 0x90, 0x90];
  const code: number[] = [];
  for (let i = 0; i + 3 < padded.length; i += 4) code.push(0xc7, 0x05, ...word32(address + i), ...padded.slice(i, i + 4));
  return code;
};
/** inc dword [counter]; mov al, 20h; out 20h, al; iret */
const counter = 0x190000;
const count = [0xff, 0x05, ...word32(counter), 0xb0, 0x20, 0xe6, 0x20, 0xcf];

/** A 1000 Hz timer whose ticks are counted; after ten, the end. Between them: `wait`. */
const ticking = (wait: readonly number[]): number[] => {
  const loop = [...wait, 0x83, 0x3d, ...word32(counter), 10]; // cmp dword [counter], 10
  return [
    ...interruptTable({ 32: handlerAt }),
    ...place(handlerAt, count),
    ...controllers(1),
    ...out(0x43, 0x34),
    ...out(0x40, 1193 & 0xff),
    ...out(0x40, 1193 >> 8),
    0xfb, // sti
    ...loop,
    0x75,
    -(loop.length + 2) & 0xff, // jne loop
    ...exit(0),
  ];
};

test('a programmed timer interrupts a waiting loop at its rate in retired instructions, the same with and without translation', () => {
  const runs = [false, true].map((jit) => boot(ticking([]), { jit, jitThreshold: 2 }));
  for (const r of runs) {
    assert.equal(r.machine.run({ instructions: 20_000_000 }).kind, 'power-off');
    assert.equal(at32(r, counter), 10);
    // Ten periods of 1193 / 1,193,182 s.
    assert.ok(Math.abs(r.machine.nowNs - 9_998_475) < 2000, `${r.machine.nowNs} ns`);
  }
  assert.equal(runs[0].machine.stateHash(), runs[1].machine.stateHash());
  assert.equal(runs[0].machine.processor.retired, runs[1].machine.processor.retired);
});

test('a halted processor goes straight to the next tick', () => {
  const r = boot(ticking([0xf4]));
  assert.equal(r.machine.run(LIMIT).kind, 'power-off');
  assert.ok(r.machine.processor.retired < 1000, `${r.machine.processor.retired} instructions`);
  assert.ok(r.machine.nowNs > 9_900_000);
});

test('with idle: stop, a halted processor says how long until it wakes', () => {
  const r = boot(ticking([0xf4]));
  const stop = r.machine.run({ ...LIMIT, idle: 'stop' });
  assert.equal(stop.kind, 'idle');
  assert.ok(stop.kind === 'idle' && stop.wakeNs !== undefined && stop.wakeNs > 900_000 && stop.wakeNs <= 1_000_000);
  r.machine.skipIdle();
  assert.equal(r.machine.run({ ...LIMIT, idle: 'stop' }).kind, 'idle');
  assert.equal(at32(r, counter), 1);
});

test('nothing interrupts before the controllers are programmed', () => {
  const r = boot([...interruptTable({}), ...out(0x43, 0x34), ...out(0x40, 0), ...out(0x40, 4), 0xfb, 0xeb, 0xfe]); // sti; jmp $
  assert.equal(r.machine.run({ instructions: 3_000_000 }).kind, 'budget');
  assert.equal(r.machine.records.count, 0);
});

/** Receives with interrupts and sends each byte back, plus one. Sleeps in between. */
const echoing = [
  ...interruptTable({ 36: handlerAt }),
  // mov dx, 3F8h; in al, dx; inc al; out dx, al; mov al, 20h; out 20h, al; iret
  ...place(handlerAt, [0x66, 0xba, 0xf8, 3, 0xec, 0xfe, 0xc0, 0xee, 0xb0, 0x20, 0xe6, 0x20, 0xcf]),
  ...controllers(1 << 4),
  ...out(0x3f9, 1),
  0xfb,
  0xf4,
  0xeb,
  0xfd, // hlt; jmp hlt
];

test('typed bytes arrive one by one with interrupt 4, also those typed before the software listened', () => {
  const r = boot(echoing);
  r.machine.inputs.console(Uint8Array.from([...'HAL'].map((c) => c.charCodeAt(0))));
  assert.deepEqual(r.machine.run(LIMIT), { kind: 'idle', wakeNs: undefined });
  assert.equal(r.console(), 'IBM');
  assert.ok(r.machine.awaitsInput);
  r.machine.inputs.console(Uint8Array.of(0x30));
  r.machine.run(LIMIT);
  assert.equal(r.console(), 'IBM1');
  r.machine.inputs.consoleEnd();
  assert.ok(!r.machine.awaitsInput);
});

test('software that polls the line status gets typed bytes too', () => {
  // wait: mov dx, 3FDh; in al, dx; test al, 1; jz wait; then the byte goes to E9h
  const wait = [...inByte(0x3fd), 0xa8, 1];
  const r = boot([...wait, 0x74, -(wait.length + 2) & 0xff, ...inByte(0x3f8), 0xe6, 0xe9, ...exit(0)]);
  r.machine.inputs.console(Uint8Array.of(0x51));
  assert.equal(r.machine.run(LIMIT).kind, 'power-off');
  assert.equal(r.debug(), 'Q');
});

test('slices of all sizes, steps and a restored save give the same state as one run', () => {
  const whole = boot(ticking([0xf4]));
  whole.machine.run(LIMIT);
  const sliced = boot(ticking([0xf4]));
  for (let n = 1; sliced.machine.end === undefined; n = (n * 5 + 3) % 17) sliced.machine.run({ instructions: 1 + n });
  const stepped = boot(ticking([0xf4]));
  while (stepped.machine.end === undefined) stepped.machine.step();
  const first = boot(ticking([0xf4]));
  first.machine.run({ instructions: 130 });
  const second = boot(CLI_HLT);
  second.machine.restore(first.machine.save());
  second.machine.run(LIMIT);
  for (const r of [sliced, stepped, second]) assert.equal(r.machine.stateHash(), whole.machine.stateHash());
});

// ---- records ----------------------------------------------------------------------------------------------------------------------------------

test('every delivery is a record with outcome direct, its gate and its frame', () => {
  const code = [...interruptTable({ 6: handlerAt }), ...place(handlerAt, exit(0)), 0x0f, 0x0b];
  const r = boot(code);
  r.machine.run(LIMIT);
  const record = r.machine.records.get(0);
  assert.equal(record?.outcome, 'direct');
  assert.equal(record?.vector, 6);
  assert.equal(record?.eip, ENTRY + code.length - 2);
  assert.equal(record?.handler, handlerAt);
  assert.equal(record?.frame?.at, 0x90000 - 12);
});

test('a filter stops before a fault and before an external interrupt is delivered, once each', () => {
  const vectors = new Uint8Array(257);
  vectors[6] = vectors[0x20] = 1;
  const filter = { vectors, ring: false, virqDelivered: false, virqHeld: false, test: () => true };
  const fault = boot([...interruptTable({ 6: handlerAt }), ...place(handlerAt, exit(0)), 0x0f, 0x0b]).machine;
  fault.setFilter(filter);
  const before = fault.run(LIMIT);
  assert.equal(before.kind, 'trap');
  assert.equal(fault.records.count, 0);
  assert.equal(fault.run(LIMIT).kind, 'power-off');
  const timer = boot(ticking([])).machine;
  timer.setFilter(filter);
  const stop = timer.run(LIMIT);
  assert.ok(stop.kind === 'trap' && stop.record.vector === 0x20);
  assert.equal(timer.records.count, 0);
  assert.equal(timer.run(LIMIT).kind, 'trap');
  assert.equal(timer.records.count, 1);
});

test('a reset through the keyboard controller ends the machine and says so', () => {
  const r = boot([0xb0, 0xfe, 0xe6, 0x64, ...CLI_HLT]);
  const stop = r.machine.run(LIMIT);
  assert.ok(stop.kind === 'power-off' && stop.message === 'reset through the keyboard controller');
  assert.deepEqual(r.machine.bareEnd, { kind: 'reset', by: 'the keyboard controller' });
});

test('a string sent by REP OUTS with the transmitter’s interrupt on gives the same run with and without translation', () => {
  // edi times: mov esi, text; mov ecx, 16; mov dx, 3F8h; rep outsb; mov ecx, 11000; loop $
  const round = [
    0xbe,
    ...word32(0x100000),
    0xb9,
    ...word32(16),
    0x66,
    0xba,
    ...word16(0x3f8),
    0xf3,
    0x6e,
    0xb9,
    ...word32(11_000),
    0xe2,
    0xfe,
    0x4f,
  ];
  const code = [
    ...interruptTable({ 36: handlerAt }),
    // push eax; push edx; mov dx, 3FAh; in al, dx; inc dword [counter]; mov al, 20h; out 20h, al; pop edx; pop eax; iret
    ...place(handlerAt, [0x50, 0x52, ...inByte(0x3fa), ...count.slice(0, -1), 0x5a, 0x58, 0xcf]),
    ...controllers(1 << 4),
    ...out(0x3f9, 2),
    0xfb,
    0xbf,
    ...word32(100), // mov edi, 100
    ...round,
    0x75,
    -(round.length + 2) & 0xff,
    ...exit(0),
  ];
  const runs = [false, true].map((jit) => boot(code, { jit, jitThreshold: 2 }));
  for (const r of runs) assert.equal(r.machine.run(LIMIT).kind, 'power-off');
  assert.ok(at32(runs[0], counter) >= 10);
  assert.equal(runs[0].machine.stateHash(), runs[1].machine.stateHash());
});

// fninit; fldcw [unmasked]; fld1; fldz; fdivp st1: the divide by zero stays pending.
const PENDING = [
  ...[0xc7, 0x05, ...word32(0x119000), ...word32(0x37b)],
  ...[0xdb, 0xe3, 0xd9, 0x2d, ...word32(0x119000), 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9],
];
const FWAIT = 0x9b;
const STI = 0xfb;
/** Only the cascade and line 13, at vector 2Dh; EOI to both. */
const LINE_13 = [...controllers(4), ...out(0xa1, 0xdf)];
const EOI = [...out(0xa0, 0x20), ...out(0x20, 0x20)];
const HANDLER = 0x120000;

for (const jit of [false, true]) {
  const with13 = (handler: readonly number[], rest: readonly number[]): Run => {
    const setUp = [...place(HANDLER, handler), ...interruptTable({ 45: HANDLER, 16: HANDLER + 0x800 }), ...LINE_13];
    return boot([...setUp, ...PENDING, ...rest], { jit, jitThreshold: 0 });
  };
  const told = (r: Run): string => {
    r.machine.run(LIMIT);
    return r.debug();
  };
  const name = jit ? 'translated' : 'interpreted';

  test(`an x87 error with CR0.NE clear freezes the next waiting instruction until interrupt 13 has cleared it (${name})`, () => {
    // say 'i' in the handler, fnclex, clear the latch, EOI, iret; say 'a' after fwait.
    const handler = [...say('i', 0xe9), 0xdb, 0xe2, ...out(0xf0, 0), ...EOI, 0xcf];
    assert.equal(told(with13(handler, [STI, ...say('b', 0xe9), FWAIT, ...say('a', 0xe9), ...CLI_HLT])), 'bia');
  });

  test(`a write to port F0h lets x87 instructions go on with the error pending, and only that error (${name})`, () => {
    const handler = [...say('i', 0xe9), ...out(0xf0, 0), ...EOI, 0xcf];
    const rest = [STI, 0xd9, 0xe8, ...say('1', 0xe9), 0xd9, 0xe8, ...say('2', 0xe9), 0xdb, 0xe2, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9];
    assert.equal(told(with13(handler, [...rest, ...say('3', 0xe9), FWAIT, ...say('4', 0xe9), ...CLI_HLT])), 'i123i4');
  });

  test(`with interrupts off a frozen x87 instruction sleeps like HLT, and its error raises no vector 16 (${name})`, () => {
    const r = with13([0xcf], [FWAIT, ...say('x', 0xe9), ...CLI_HLT]);
    assert.deepEqual(r.machine.run(LIMIT), { kind: 'idle', wakeNs: undefined });
    assert.equal(r.debug(), '');
    assert.equal(r.machine.cpu.m8[RAM_BASE + r.machine.context.get('eip')], FWAIT);
    assert.equal(r.machine.records.count, 0);
  });

  test(`with CR0.NE set the same error is vector 16 (${name})`, () => {
    const ne = [0x0f, 0x20, 0xc0, 0x0c, 0x20, 0x0f, 0x22, 0xc0];
    const r = boot([...interruptTable({ 16: HANDLER }), ...place(HANDLER, [...say('m', 0xe9), ...CLI_HLT]), ...ne, ...PENDING, FWAIT], {
      jit,
    });
    assert.equal(told(r), 'm');
  });
}

test('a filter that lets single steps pass loses none of them', () => {
  // The handler counts at 0x119000; pushfd, or dword [esp], 100h, popfd, three NOPs, pushfd, and ..., popfd, cli, hlt.
  const code = [
    ...place(handlerAt, [0xff, 0x05, ...word32(0x119000), 0xcf]),
    ...interruptTable({ 1: handlerAt }),
    ...[0x9c, 0x81, 0x0c, 0x24, ...word32(0x100), 0x9d, 0x90, 0x90, 0x90, 0x9c, 0x81, 0x24, 0x24, ...word32(~0x100), 0x9d],
    ...CLI_HLT,
  ];
  const plain = boot(code);
  plain.machine.run(LIMIT);
  assert.equal(at32(plain, 0x119000), 6);
  const vectors = new Uint8Array(256);
  vectors[1] = 1;
  let asked = 0;
  const filtered = boot(code);
  filtered.machine.setFilter({
    vectors,
    ring: false,
    virqDelivered: false,
    virqHeld: false,
    test: () => {
      asked++;
      return false;
    },
  });
  filtered.machine.run(LIMIT);
  assert.equal(asked, 6);
  assert.equal(filtered.machine.stateHash(), plain.machine.stateHash());
});
