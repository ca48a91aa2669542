// Integer instructions one at a time: results, addresses, stack rules, and what stays unchanged when something faults.
//
// Bulk agreement with hardware is the vectors' business (test:vectors); these cases pin the rules that are easy to break when handlers are tuned.

import assert from 'node:assert';
import { test } from 'node:test';
import { EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, EXC, FL, CS, DS, ES, SS, W } from '../../../src/i386/state';
import { imulHigh, mulHigh } from '../../../src/i386/interpreter/muldiv';
import { Bench, stream } from './bench-cpu';

const PF_WRITE_PRESENT = { vector: EXC.PF, errorCode: 3 };

test('the upper halves of 32-bit products are exact', () => {
  const next = stream(5);
  const edges = [0, 1, -1, 2, 0x7fffffff, 0x80000000 | 0, 0xffff, 0x10000, 0xffff0000 | 0];
  const pairs = edges.flatMap((a) => edges.map((b) => [a, b]));
  for (let n = 0; n < 5000; n++) pairs.push([next() | 0, next() | 0]);
  for (const [a, b] of pairs) {
    assert.equal(mulHigh(a, b), Number(BigInt.asIntN(32, (BigInt(a >>> 0) * BigInt(b >>> 0)) >> 32n)), `${a} * ${b}`);
    assert.equal(imulHigh(a, b), Number(BigInt.asIntN(32, (BigInt(a) * BigInt(b)) >> 32n)), `${a} * ${b} signed`);
  }
});

test('div and idiv give the exact quotient and remainder, or #DE when the quotient does not fit', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  const next = stream(17);
  const words = (): number => {
    const kind = next() % 6;
    const v = next();
    return kind === 0
      ? v & 0xff
      : kind === 1
        ? v | 0xffff0000
        : kind === 2
          ? [0, 1, 0x7fffffff, 0x80000000, 0xffffffff][v % 5]
          : kind === 3
            ? v >>> 11
            : v;
  };
  let faults = 0;
  for (let n = 0; n < 20000; n++) {
    const [high, low, d] = [words() | 0, words() | 0, words() | 0];
    for (const isSigned of [false, true]) {
      bench.setRegs({ [EAX]: low, [EDX]: high, [EBX]: d });
      const raised = bench.run(isSigned ? 'f7fb' : 'f7f3');
      const whole = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      const dividend = isSigned ? BigInt.asIntN(64, whole) : whole;
      const divisor = isSigned ? BigInt(d) : BigInt(d >>> 0);
      const fits =
        divisor !== 0n &&
        (isSigned ? BigInt.asIntN(32, dividend / divisor) : BigInt.asUintN(32, dividend / divisor)) === dividend / divisor;
      if (!fits) {
        faults++;
        assert.deepEqual(raised, { vector: EXC.DE, errorCode: 0 }, `${dividend} / ${divisor}`);
        assert.deepEqual([m32[EAX], m32[EDX]], [low, high]);
      } else {
        assert.equal(raised, undefined, `${dividend} / ${divisor}`);
        assert.equal(m32[EAX], Number(BigInt.asIntN(32, dividend / divisor)), `${dividend} / ${divisor}`);
        assert.equal(m32[EDX], Number(BigInt.asIntN(32, dividend % divisor)), `${dividend} % ${divisor}`);
      }
    }
  }
  assert.ok(faults > 1000 && faults < 39000);
});

test('imul with two and three operands sets CF and OF exactly when the product is cut', () => {
  const bench = Bench.fresh();
  const next = stream(23);
  for (let n = 0; n < 2000; n++) {
    const a = next() >> (next() & 31);
    const b = next() >> (next() & 31);
    bench.setRegs({ [EAX]: a, [EBX]: b });
    assert.equal(bench.run('0fafc3'), undefined);
    assert.equal(bench.m32[EAX], Math.imul(a, b));
    const cut = BigInt(a) * BigInt(b) !== BigInt(Math.imul(a, b));
    assert.equal((bench.cpu.getFlags() & (FL.CF | FL.OF)) !== 0, cut);
  }
});

test('a read-modify-write of a read-only page faults as a write and changes nothing', () => {
  const bench = Bench.fresh();
  bench.paging((page) => (page === 0x20 ? 5 : 7));
  bench.setDword(0x20000, 0x11223344);
  for (const code of [
    '0103',
    '8103 01000000',
    'ff03',
    'f71b',
    'd123',
    '0fc103',
    '0fb10b',
    '0fab03',
    '8703',
    '0fa40304',
    '0f9403',
    '0fc70b',
  ]) {
    bench.setRegs({ [EAX]: 7, [ECX]: 9, [EDX]: 11, [EBX]: 0x20000, [ESP]: 0x3000 });
    bench.cpu.setStatus(FL.CF | FL.ZF);
    const before = Array.from(bench.m32.subarray(0, 8));
    assert.deepEqual(bench.run(code), PF_WRITE_PRESENT, code);
    assert.equal(bench.m32[W.CR2], 0x20000);
    assert.deepEqual(Array.from(bench.m32.subarray(0, 8)), before, code);
    assert.equal(bench.cpu.getFlags() & FL.STATUS, FL.CF | FL.ZF, code);
    assert.equal(bench.dword(0x20000), 0x11223344);
  }
});

test('a store that crosses into a missing page faults on that page and leaves the first one unchanged', () => {
  const bench = Bench.fresh();
  bench.paging((page) => (page === 0x21 ? 0 : 7));
  bench.setDword(0x20ffc, 0x55667788);
  for (const code of ['8903', '0103', '8703', 'c703 01020304']) {
    bench.setRegs({ [EAX]: -1, [EBX]: 0x20ffe });
    assert.deepEqual(bench.run(code), { vector: EXC.PF, errorCode: 2 }, code);
    assert.equal(bench.m32[W.CR2], 0x21000, code);
    assert.equal(bench.dword(0x20ffc), 0x55667788, code);
  }
});

test('an unaligned read-modify-write inside a page and across two pages gives what an aligned one gives', () => {
  const bench = Bench.fresh();
  for (const at of [0x20000, 0x20001, 0x20002, 0x20003, 0x20ffd, 0x20ffe, 0x20fff]) {
    bench.poke(at, '78563412');
    bench.setRegs({ [EAX]: 0x11111111, [EBX]: at });
    assert.equal(bench.run('0103'), undefined);
    assert.equal(bench.bytes(at, 4), '89674523', at.toString(16));
  }
});

test('push esp stores the value from before the push', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [ESP]: 0x3000 });
  assert.equal(bench.run('54'), undefined);
  assert.equal(bench.m32[ESP], 0x2ffc);
  assert.equal(bench.dword(0x2ffc), 0x3000);
});

test('pop esp leaves the popped value, and pop [esp+4] counts from the stack pointer after the pop', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [ESP]: 0x3000 });
  bench.setDword(0x3000, 0xabcd);
  assert.equal(bench.run('5c'), undefined);
  assert.equal(bench.m32[ESP], 0xabcd);
  bench.setRegs({ [ESP]: 0x3000 });
  assert.equal(bench.run('8f442404'), undefined);
  assert.equal(bench.m32[ESP], 0x3004);
  assert.equal(bench.dword(0x3008), 0xabcd);
});

test('a pop whose destination faults leaves ESP alone', () => {
  const bench = Bench.fresh();
  bench.paging((page) => (page === 0x20 ? 5 : 7));
  bench.setRegs({ [ESP]: 0x3000, [EBX]: 0x20000 });
  assert.deepEqual(bench.run('8f03'), PF_WRITE_PRESENT);
  assert.equal(bench.m32[ESP], 0x3000);
});

test('with a 16-bit stack SP wraps at 64 KB and the upper half of ESP stays', () => {
  const bench = Bench.fresh();
  bench.narrowStack();
  bench.setRegs({ [ESP]: 0xabcd0002, [EAX]: 0x12345678 });
  assert.equal(bench.run('6650'), undefined);
  assert.equal(bench.m32[ESP], 0xabcd0000 | 0);
  assert.equal(bench.bytes(0, 2), '7856');
  assert.equal(bench.run('50'), undefined);
  assert.equal(bench.m32[ESP], 0xabcdfffc | 0);
  assert.equal(bench.bytes(0xfffc, 4), '78563412');
});

test('pusha stores the eight registers with the old ESP, and popa restores all but ESP', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  for (let n = 0; n < 8; n++) m32[n] = 0x1000 + n;
  m32[ESP] = 0x3000;
  assert.equal(bench.run('60'), undefined);
  for (let n = 0; n < 8; n++) assert.equal(bench.dword(0x2ffc - 4 * n), n === ESP ? 0x3000 : 0x1000 + n);
  bench.setDword(0x2ffc - 4 * ESP, 0xdead);
  for (let n = 0; n < 8; n++) if (n !== ESP) m32[n] = 0;
  assert.equal(bench.run('61'), undefined);
  for (let n = 0; n < 8; n++) assert.equal(m32[n], n === ESP ? 0x3000 : 0x1000 + n);
});

test('enter copies the frame pointers of the outer levels, and leave undoes it', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  bench.setRegs({ [ESP]: 0x3000, [EBP]: 0x4000 });
  bench.setDword(0x3ffc, 0x111);
  bench.setDword(0x3ff8, 0x222);
  assert.equal(bench.run('c8 1000 03'), undefined);
  assert.equal(m32[EBP], 0x2ffc);
  assert.equal(bench.dword(0x2ffc), 0x4000);
  assert.deepEqual([bench.dword(0x2ff8), bench.dword(0x2ff4), bench.dword(0x2ff0)], [0x111, 0x222, 0x2ffc]);
  assert.equal(m32[ESP], 0x2ff0 - 0x10);
  assert.equal(bench.run('c9'), undefined);
  assert.deepEqual([m32[ESP], m32[EBP]], [0x3000, 0x4000]);
});

test('a register bit offset reaches memory before and behind the operand', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EBX]: 0x20000, [EAX]: -1 });
  bench.setDword(0x1fffc, 0);
  assert.equal(bench.run('0fab03'), undefined);
  assert.equal(bench.dword(0x1fffc), 0x80000000 | 0);
  assert.equal(bench.cpu.cf, 0);
  bench.setRegs({ [EAX]: 32 * 5 + 3 });
  assert.equal(bench.run('0fab03'), undefined);
  assert.equal(bench.dword(0x20014), 8);
  assert.equal(bench.run('0fb303'), undefined);
  assert.deepEqual([bench.dword(0x20014), bench.cpu.cf], [0, 1]);
});

test('bsf and bsr find every bit, and leave the destination alone when there is none', () => {
  const bench = Bench.fresh();
  for (let n = 0; n < 32; n++) {
    bench.setRegs({ [EBX]: n === 0 ? 0x80000001 | 0 : (1 << n) | 0x80000000 | 0 });
    bench.run('0fbcc3');
    assert.equal(bench.m32[EAX], n);
    bench.setRegs({ [EBX]: (1 << n) | 1 });
    bench.run('0fbdc3');
    assert.equal(bench.m32[EAX], n);
    assert.equal(bench.cpu.getFlags() & FL.ZF, 0);
  }
  bench.setRegs({ [EAX]: 77, [EBX]: 0 });
  bench.run('0fbcc3');
  assert.deepEqual([bench.m32[EAX], bench.cpu.getFlags() & FL.ZF], [77, FL.ZF]);
});

test('cmpxchg stores on a match and loads the accumulator otherwise', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EBX]: 0x20000, [ECX]: 42, [EAX]: 5 });
  bench.setDword(0x20000, 5);
  bench.run('0fb10b');
  assert.deepEqual([bench.dword(0x20000), bench.m32[EAX], bench.cpu.getFlags() & FL.ZF], [42, 5, FL.ZF]);
  bench.run('0fb10b');
  assert.deepEqual([bench.dword(0x20000), bench.m32[EAX], bench.cpu.getFlags() & FL.ZF], [42, 42, 0]);
});

test('cmpxchg8b compares and exchanges eight bytes and changes ZF only', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EDI]: 0x20000, [EAX]: 1, [EDX]: 2, [EBX]: 3, [ECX]: 4 });
  bench.setDword(0x20000, 1);
  bench.setDword(0x20004, 2);
  bench.cpu.setStatus(FL.CF | FL.SF | FL.OF | FL.PF | FL.AF);
  bench.run('0fc70f');
  assert.deepEqual([bench.dword(0x20000), bench.dword(0x20004)], [3, 4]);
  assert.equal(bench.cpu.getFlags() & FL.STATUS, FL.STATUS);
  bench.run('0fc70f');
  assert.deepEqual([bench.m32[EAX], bench.m32[EDX], bench.dword(0x20000)], [3, 4, 3]);
  assert.equal(bench.cpu.getFlags() & FL.STATUS, FL.STATUS & ~FL.ZF);
});

test('xadd with the same register twice doubles it', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EAX]: 21 });
  bench.run('0fc1c0');
  assert.equal(bench.m32[EAX], 42);
});

test('bound raises #BR outside the signed bounds, both inclusive', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EBX]: 0x20000 });
  bench.setDword(0x20000, -5);
  bench.setDword(0x20004, 10);
  for (const [index, inside] of [
    [-6, false],
    [-5, true],
    [0, true],
    [10, true],
    [11, false],
  ] as const) {
    bench.setRegs({ [EAX]: index });
    assert.deepEqual(bench.run('6203'), inside ? undefined : { vector: EXC.BR, errorCode: 0 }, `${index}`);
  }
});

test('a jump beyond the CS limit raises #GP(0) and leaves EIP; an untaken one does not care', () => {
  const bench = Bench.fresh();
  bench.limit(CS, 0x1fff);
  const gp = { vector: EXC.GP, errorCode: 0 };
  assert.deepEqual(bench.run('e9 00100000'), gp);
  assert.equal(bench.m32[W.EIP], 0x1000);
  bench.cpu.setStatus(FL.ZF);
  assert.deepEqual(bench.run('0f84 00100000'), gp);
  assert.equal(bench.run('0f85 00100000'), undefined);
  bench.setRegs({ [ECX]: 5 });
  assert.deepEqual(bench.run('e280', 0x10), gp); // back beyond zero
  assert.equal(bench.m32[ECX], 5);
  bench.setRegs({ [ESP]: 0x3000 });
  assert.deepEqual(bench.run('e8 00100000'), gp);
  assert.equal(bench.m32[ESP], 0x3000);
  bench.setDword(0x3000, 0x2000);
  assert.deepEqual(bench.run('c3'), gp);
  assert.equal(bench.m32[ESP], 0x3000);
});

test('a 16-bit operand size cuts the target of jumps, calls and returns to 16 bits', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [ESP]: 0x3000 });
  assert.equal(bench.run('66e9 0100', 0x12345), undefined);
  assert.equal(bench.m32[W.EIP], 0x234a);
  assert.equal(bench.run('66e8 0100', 0x12345), undefined);
  assert.equal(bench.m32[W.EIP], 0x234a);
  assert.equal(bench.m32[ESP], 0x2ffe);
  assert.equal(bench.bytes(0x2ffe, 2), '4923');
  assert.equal(bench.run('66c3', 0x50000), undefined);
  assert.equal(bench.m32[W.EIP], 0x2349);
});

test('call and ret go there and back, and ret n drops the arguments', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [ESP]: 0x3000, [EAX]: 0x5000 });
  assert.equal(bench.run('ffd0'), undefined);
  assert.deepEqual([bench.m32[W.EIP], bench.m32[ESP], bench.dword(0x2ffc)], [0x5000, 0x2ffc, 0x1002]);
  assert.equal(bench.run('c20800', 0x5000), undefined);
  assert.deepEqual([bench.m32[W.EIP], bench.m32[ESP]], [0x1002, 0x3008]);
});

test('loop counts in CX with 16-bit addressing and keeps the upper half of ECX', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [ECX]: 0x50001 });
  assert.equal(bench.run('67e2fd'), undefined);
  assert.deepEqual([bench.m32[ECX], bench.m32[W.EIP]], [0x50000, 0x1003]);
  assert.equal(bench.run('67e2fd'), undefined);
  assert.deepEqual([bench.m32[ECX], bench.m32[W.EIP]], [0x5ffff, 0x1000]);
});

test('16-bit addresses wrap within 64 KB', () => {
  const bench = Bench.fresh();
  bench.setRegs({ [EBX]: 0xffff, [ESI]: 0x12 });
  bench.setDword(0x10, 0xcafe);
  assert.equal(bench.run('678b40ff', 0x1000), undefined); // mov eax, [bx+si-1]
  assert.equal(bench.m32[EAX], 0xcafe);
});

test('a limited or write-protected segment raises #GP, the stack segment #SS', () => {
  const bench = Bench.fresh();
  bench.limit(DS, 0x2fff);
  bench.limit(SS, 0x2fff);
  bench.setRegs({ [EBX]: 0x2ffd, [EBP]: 0x2ffd, [ESP]: 0x3002 });
  assert.deepEqual(bench.run('8b03'), { vector: EXC.GP, errorCode: 0 });
  assert.deepEqual(bench.run('8b4500'), { vector: EXC.SS, errorCode: 0 });
  assert.deepEqual(bench.run('50'), { vector: EXC.SS, errorCode: 0 });
  bench.setRegs({ [EBX]: 0x2ffc });
  assert.equal(bench.run('8b03'), undefined);
  assert.deepEqual(bench.run('2e8903'), { vector: EXC.GP, errorCode: 0 });
  assert.equal(bench.run('268903'), undefined);
  bench.m32[W.ACCESS + ES] &= ~2;
  bench.cpu.updateMode();
  assert.deepEqual(bench.run('268903'), { vector: EXC.GP, errorCode: 0 });
});

test('decimal adjustment corrects sums and differences of all packed pairs', () => {
  const bench = Bench.fresh();
  const packed = (n: number): number => (Math.floor(n / 10) << 4) | (n % 10);
  for (let a = 0; a < 100; a++) {
    for (let b = 0; b < 100; b++) {
      bench.setRegs({ [EAX]: packed(a), [EBX]: packed(b) });
      bench.run('00d8');
      bench.run('27');
      assert.deepEqual([bench.m8[0], bench.cpu.cf], [packed((a + b) % 100), a + b > 99 ? 1 : 0], `${a} + ${b}`);
      bench.setRegs({ [EAX]: packed(a), [EBX]: packed(b) });
      bench.run('28d8');
      bench.run('2f');
      assert.deepEqual([bench.m8[0], bench.cpu.cf], [packed((a - b + 100) % 100), a < b ? 1 : 0], `${a} - ${b}`);
    }
  }
});

test('aam splits, aad joins, and aam by zero raises #DE', () => {
  const bench = Bench.fresh();
  for (let n = 0; n < 100; n++) {
    bench.setRegs({ [EAX]: n });
    bench.run('d40a');
    assert.equal(bench.m32[EAX], (Math.floor(n / 10) << 8) | (n % 10));
    bench.run('d50a');
    assert.equal(bench.m32[EAX], n);
  }
  assert.deepEqual(bench.run('d400'), { vector: EXC.DE, errorCode: 0 });
});

test('cbw, cwde, cwd, cdq and bswap', () => {
  const bench = Bench.fresh();
  const { m32 } = bench;
  bench.setRegs({ [EAX]: 0x12340080, [EDX]: 0x55555555 });
  bench.run('6698');
  assert.equal(m32[EAX], 0x1234ff80);
  bench.run('98');
  assert.equal(m32[EAX], 0xffffff80 | 0);
  bench.run('6699');
  assert.equal(m32[EDX], 0x5555ffff);
  bench.run('99');
  assert.equal(m32[EDX], -1);
  bench.setRegs({ [ECX]: 0x11223344 });
  bench.run('0fc9');
  assert.equal(m32[ECX], 0x44332211);
});

test('cmov reads its memory operand even when the condition is false', () => {
  const bench = Bench.fresh();
  bench.paging((page) => (page === 0x20 ? 0 : 7));
  bench.setRegs({ [EBX]: 0x20000, [EAX]: 1 });
  bench.cpu.setStatus(0);
  assert.deepEqual(bench.run('0f4403'), { vector: EXC.PF, errorCode: 0 });
  assert.equal(bench.run('0f44c3'), undefined);
  assert.equal(bench.m32[EAX], 1);
  bench.cpu.setStatus(FL.ZF);
  assert.equal(bench.run('0f44c3'), undefined);
  assert.equal(bench.m32[EAX], 0x20000);
});
