// Where each trap goes: cases T20 to T26, T58 to T61, T64, T76, T80, T82 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LHCALL, PT } from '../../src/lguest/abi';
import {
  type Bench,
  bare,
  CODE,
  Code,
  DATA,
  FREE,
  guest,
  handlerOf,
  KERNEL_DS,
  KSTACK,
  setup,
  USER,
  USER_CS,
  USER_DS,
  USTACK,
} from './bench';

type Gates = [vector: number, type: 0xe | 0xf, dpl?: number][];
/** A Guest that goes to ring 3 and runs `user` there. */
const userGuest = (user: (c: Code) => void, gates: Gates, before: (c: Code) => void = () => {}): Bench => {
  const b = guest((c) => {
    before(c);
    c.toUser(USER);
  }, gates);
  const c = new Code(USER);
  user(c);
  return b.load(c);
};

test('T20: int 0x80 through a type-F gate takes no exit; the processor pushes five words with IF set', () => {
  const b = userGuest(
    (c) => c.int(0x80),
    [[0x80, 0xf, 3]],
    (c) => c.put(DATA, 0),
  );
  b.run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('w1'), b.box('w3'), b.box('w4')], [0x80, USER + 2, USER_CS, USTACK, USER_DS]);
  assert.equal(b.box('w2') & 0x200, 0x200);
  assert.equal(b.box('esp'), KSTACK - 20);
  assert.equal(b.box('ss'), KERNEL_DS);
  assert.equal(b.box('irqEnabled'), 0);
  const record = b.records().find((r) => r.kind === 'direct');
  assert.deepEqual(
    [record?.vector, record?.outcome, record?.eip, record?.cpl, record?.handler],
    [0x80, 'direct', USER + 2, 3, handlerOf(0x80)],
  );
  assert.equal(b.traps(0x80).length, 0);
});

test('T21: int 0x80 through a type-E gate arrives as #GP(0x402)', () => {
  const b = userGuest(
    (c) => c.int(0x80),
    [
      [0x80, 0xe, 3],
      [13, 0xe],
    ],
  ).run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('w1')], [13, 0x402, USER]);
});

test('T22: int3 through a type-E gate arrives as #GP(0x1a)', () => {
  const b = userGuest(
    (c) => c.raw(0xcc),
    [
      [3, 0xe, 3],
      [13, 0xe],
    ],
  ).run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('w1')], [13, 0x1a, USER]);
});

test('int3 through a type-F gate is direct', () => {
  const b = userGuest((c) => c.raw(0xcc), [[3, 0xf, 3]]).run();
  assert.deepEqual([b.box('vector'), b.box('w0')], [3, USER + 1]);
});

test('T23: int 0x1f from ring 3 is #GP(0xfa); int 0x20 from ring 1 is #GP(0x102)', () => {
  const user = userGuest((c) => c.int(0x1f), [[13, 0xe]]).run();
  assert.deepEqual([user.box('vector'), user.box('w0')], [13, 0xfa]);
  const kernel = guest((c) => c.int(0x20), [[13, 0xe]]).run();
  assert.deepEqual([kernel.box('vector'), kernel.box('w0')], [13, 0x102]);
});

test('T24: port reads give all ones with the widths of the original, quirks included', () => {
  const tries: [string, number[], number][] = [
    ['in al,dx', [0xec], 0x1234ffff],
    ['in eax,dx', [0xed], 0xffffffff],
    ['in ax,dx', [0x66, 0xed], 0xffffffff],
    ['66 in al,dx', [0x66, 0xec], 0xffff5678],
    ['in al,imm', [0xe4, 0x60], 0x1234ffff],
    ['in eax,imm', [0xe5, 0x60], 0xffffffff],
  ];
  for (const [name, bytes, expected] of tries) {
    const b = bare((c) =>
      c
        .mov(0, 0x12345678)
        .raw(...bytes)
        .store(FREE)
        .done(),
    ).run();
    assert.equal(b.u32(FREE), expected, name);
    const [record] = b.traps(13);
    assert.deepEqual([record.outcome, record.reason, record.io?.length], ['emulated', 'in', bytes.length], name);
  }
});

test('T25: port writes change nothing and are stepped over', () => {
  for (const bytes of [[0xee], [0xef], [0x66, 0xef], [0xe6, 0x80], [0xe7, 0x80]]) {
    const b = bare((c) =>
      c
        .mov(0, 0x12345678)
        .raw(...bytes)
        .store(FREE)
        .done(),
    ).run();
    assert.equal(b.u32(FREE), 0x12345678);
  }
});

test('T26: in from ring 3, rep insb, a second prefix, cli and rdmsr are given to the Guest', () => {
  const b = userGuest((c) => c.raw(0xec), [[13, 0xe]]).run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('w1')], [13, 0, USER]);
  assert.equal(b.traps(13)[0].reason, 'not-ring-1');
  for (const bytes of [[0xf3, 0x6c], [0x66, 0x66, 0xed], [0x2e, 0xec], [0xfa], [0x0f, 0x32], [0xf4], [0x0f, 0x01, 0x38]]) {
    let at = 0;
    const kernel = guest(
      (c) => {
        at = c.here;
        c.raw(...bytes);
      },
      [[13, 0xe]],
    ).run();
    assert.deepEqual([kernel.box('vector'), kernel.box('w0'), kernel.box('w1')], [13, 0, at], bytes.toString());
    assert.equal(kernel.traps(13)[0].reason, 'not-in-out');
  }
});

test('the byte after a 0x66 at the end of a page is the physically next one', () => {
  // Virtual pages FREE and FREE + 0x1000 are swapped in memory; the instruction crosses from the first into the second.
  const b = bare((c) =>
    c
      .hcall(LHCALL.FLUSH_TLB, 1)
      .mov(0, 0)
      .raw(0xe9)
      .dword(FREE + 0xfff - (c.here + 4)),
  );
  b.set32(b.gpteAt(FREE), (FREE + 0x1000) | 7);
  b.set32(b.gpteAt(FREE + 0x1000), FREE | 7);
  b.memory.set8(FREE + 0x1fff, 0x66); // virtual FREE + 0xfff
  b.memory.set8(FREE, 0xed); // virtual FREE + 0x1000: what the processor runs
  b.memory.set8(FREE + 0x2000, 0xfa); // physically next: what the Host looks at
  assert.equal(b.die(), `unhandled trap 13 at 0x${(FREE + 0xfff).toString(16)} (0x0)`);
});

test("T58: with TS asked for, an FPU instruction is the Guest's #NM; without, the Host resumes silently", () => {
  const asked = guest((c) => c.hcall(LHCALL.TS, 8).raw(0xd9, 0xd0), [[7, 0xe]]).run();
  assert.equal(asked.box('vector'), 7);
  assert.equal(asked.lg.ts, 8);
  const silent = guest((c) => c.hcall(LHCALL.TS, 8).hcall(LHCALL.TS, 0).raw(0xd9, 0xd0).done(), [[7, 0xe]]).run();
  assert.deepEqual(
    silent.traps(7).map((r) => r.outcome),
    ['fpu-restored'],
  );
});

test('T59: sysenter is #GP(0) in ring 3', () => {
  const b = userGuest((c) => c.raw(0x0f, 0x34), [[13, 0xe]]).run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('w1')], [13, 0, USER]);
});

test("T60: a hardware interrupt runs the Host handler in the Switcher's segments and leaves the Guest as it was", () => {
  const b = bare((c) => c.mov(1, 111).mov(6, 222).raw(0xeb, 0xfe));
  b.exit((host) => host.run(20));
  const { context, processor, layout } = b.host;
  const before = (
    ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip', 'eflags', 'cs', 'ds', 'es', 'fs', 'gs', 'ss'] as const
  ).map((r) => context.get(r));
  b.host.interrupt(0x30);
  // Single-step the Switcher up to the Host's handler.
  const { cpu } = processor;
  const handler = 0xc0004000 | 0;
  for (let i = 0; i < 200 && cpu.m32[9] !== handler; i++) b.host.stepHost();
  assert.equal(cpu.m32[9], handler);
  assert.deepEqual([cpu.m32[17], cpu.m32[18]], [0x50, 0x58]); // cs, ss
  assert.equal(cpu.getFlags() & 0x200, 0);
  const frame = (i: number): number => cpu.sysRead32(cpu.m32[4] + 4 * i) >>> 0;
  assert.deepEqual([frame(0), frame(1), frame(2) & 0x200], [layout.stubEnd - 1, 0x60, 0]);
  b.exit((host) => host.run(4));
  const [record] = b.traps(0x30);
  assert.equal(record.outcome, 'host-irq');
  assert.deepEqual(
    (['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip', 'eflags', 'cs', 'ds', 'es', 'fs', 'gs', 'ss'] as const).map((r) =>
      context.get(r),
    ),
    before,
  );
});

test('T61: an NMI while the Guest runs is lost: only our record knows of it', () => {
  const b = bare((c) => c.raw(0xeb, 0xfe));
  b.exit((host) => host.run(20));
  const switches = b.host.records.totals.worldSwitches;
  b.host.interrupt(2);
  b.exit((host) => host.run(10));
  assert.deepEqual([b.host.records.totals.worldSwitches, b.records().at(-1)?.outcome], [switches, 'nmi-ignored']);
  assert.equal(b.host.inGuest, true);
  assert.equal(b.host.context.get('eip'), CODE + 5 + 22);
});

test('T64: a direct trap whose stack is null ends as a double fault', () => {
  const b = userGuest(
    (c) => c.raw(0x31, 0xc9, 0xf7, 0xf1),
    [[0, 0xf]],
    (c) => c.hcall(LHCALL.SET_STACK, 1, KSTACK, 1),
  );
  assert.equal(b.die(), `unhandled trap 8 at 0x${(USER + 2).toString(16)} (0x0)`);
});

test('T76: with the stack page gone and the page above there, the frame goes where the Host finds it', () => {
  const top = FREE + 0x1000;
  const b = guest(() => {}).load(new Code(USER).int(0x80));
  b.code((c) => {
    setup(c, [
      [0x80, 0xf, 3],
      [14, 0xe],
    ]).hcall(LHCALL.SET_STACK, KERNEL_DS, top, 1);
    c.put(b.gpteAt(FREE), 0).hcall(LHCALL.SET_PTE, b.pgdir, FREE, 0).toUser(USER);
  });
  // The handler's first push is at top - 24 - 4: the bench's handlers do not push, so let this one.
  b.code((c) => c.raw(0x50), handlerOf(14));
  assert.equal(b.die(), `Bad address 0x${(top - 24).toString(16)}`);
  assert.deepEqual(
    [1, 2, 4, 5, 6].map((i) => b.u32(top - 4 * i)),
    [USER_DS, USTACK, USER_CS, USER, 2],
  );
});

test('T80: a frame that crosses a page goes on in the page that lies physically below', () => {
  const esp = FREE + 0x1000 + 8; // two words fit above the page boundary
  const b = guest((c) => c.esp(esp).raw(0xfa), [[13, 0xe]]);
  b.set32(b.gpteAt(FREE + 0x1000), (FREE + 0x5000) | 7); // virtual FREE + 0x1000 lies at FREE + 0x5000
  b.set32(FREE + 0x4ffc, 0);
  b.read();
  // flags and cs above the boundary, eip and the error code physically below.
  assert.equal(b.u32(FREE + 0x5000), 0x61);
  assert.equal(b.u32(FREE + 0x4ffc) >>> 12, CODE >>> 12);
  assert.equal(b.u32(FREE + 0x4ff8), 0);
});

test('T82: what the Guest writes into its register page is of no effect', () => {
  const b = guest((c) => {
    c.mov(6, 0x600d).put(0xffc01ff4, 0xbad).put(0xffc01fb8, 0xbad).hcall(LHCALL.FLUSH_ASYNC);
    c.raw(0x89, 0x35).dword(FREE).done(); // mov %esi, FREE
  }).run();
  assert.equal(b.u32(FREE), 0x600d);
  assert.equal(b.lg.dead, undefined);
});

test('a reflected trap shows the virtual interrupt flag, a type-E gate turns it off and a type-F gate does not', () => {
  for (const [type, irqEnabled, pushed, after] of [
    [0xe, 0x200, 0x200, 0],
    [0xe, 0, 0, 0],
    [0xf, 0x200, 0x200, 0x200],
    [0xf, 0x46, 0, 0x46],
  ] as const) {
    const b = guest((c) => c.put(DATA, irqEnabled).raw(0xfa), [[13, type]]).run();
    assert.deepEqual([b.box('w3') & 0x200, b.box('irqEnabled')], [pushed, after]);
  }
});

test("the selector in the Guest's gate does not matter: handlers run in 0x61", () => {
  const b = guest((c) =>
    c.hcall(LHCALL.LOAD_IDT_ENTRY, 13, (0x08 << 16) | (handlerOf(13) & 0xffff), (handlerOf(13) & 0xffff0000) | 0x8e00).raw(0xfa),
  ).run();
  assert.equal(b.box('vector'), 13);
  assert.equal(b.records().at(-2)?.kind, 'trap');
});

test('SS decides where a frame goes, CS whether port instructions are emulated', () => {
  // A far return to ring-1 code is not needed: ring 3 with a ring-3 SS is the only way, so the rule is seen in the frame of a ring-3 trap.
  const b = userGuest((c) => c.raw(0xfa), [[13, 0xe]]).run();
  assert.deepEqual([b.box('esp'), b.box('ss')], [KSTACK - 24, KERNEL_DS]);
});

test('every trap that the Guest has no gate for kills with its number, address and error code', () => {
  assert.equal(bare((c) => c.raw(0x0f, 0x0b)).die(), `unhandled trap 6 at 0x${(CODE + 27).toString(16)} (0x0)`);
  assert.equal(bare((c) => c.int(0x80)).die(), `unhandled trap 13 at 0x${(CODE + 27).toString(16)} (0x402)`);
  assert.equal(bare((c) => c.hcall(LHCALL.TS, 8).raw(0xd9, 0xd0)).die(), `unhandled trap 7 at 0x${(CODE + 49).toString(16)} (0x0)`);
});

test('a frame that cannot be pushed kills', () => {
  const unmapped = guest((c) => c.esp(0x80000000).raw(0xfa), [[13, 0xe]]);
  assert.equal(unmapped.die(), 'Bad address 0x80000000');
  const outside = guest((c) => c.esp(FREE + 0x20).raw(0xfa), [[13, 0xe]]);
  outside.set32(outside.gpteAt(FREE), 0x00800007); // a frame beyond the Guest's memory
  assert.equal(outside.die(), 'bad write address 0x80001c len 4');
});

test('a page fault in a Guest whose page directory lies outside its memory kills', () => {
  assert.equal(bare((c) => c.hcall(LHCALL.NEW_PGTABLE, 0x7ffff000)).die(), 'bad read address 0x7ffff000 len 4');
});

test("an instruction of the Switcher's, jumped to from ring 1, kills when the Host cannot find it in the Guest's tables", () => {
  const b = bare((c) => c.raw(0xe9).dword(0xffc00000 - (c.here + 4)));
  const death = b.die();
  assert.match(death, /^(Bad address 0xffc000|unhandled trap)/);
});

test('the interrupted flags stay live in a handler reached through the Host', () => {
  const b = guest((c) => c.push(0x40202).raw(0x9d, 0xfa), [[13, 0xe]]); // AC
  b.code((c) => c.raw(0x9c, 0x58).store(FREE).done(), handlerOf(13));
  b.run();
  assert.equal(b.u32(FREE) & 0x40000, 0x40000);
});

test('lguest_data.cr2 is written when the Guest is given the fault, not when the Host fills the page', () => {
  const b = guest((c) => c.load(0x80000000), [[14, 0xe]]).run();
  assert.deepEqual([b.box('vector'), b.box('cr2')], [14, 0x80000000]);
  const filled = guest((c) => c.load(FREE).done(), [[14, 0xe]]).run();
  assert.equal(filled.ld('cr2'), 0);
  assert.equal(filled.gpte(FREE) & PT.A, PT.A);
});
