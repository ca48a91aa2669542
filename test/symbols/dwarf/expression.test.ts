import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as D from '../../../src/symbols/dwarf/constants';
import { type ExpressionContext, evaluate, evaluateNumber } from '../../../src/symbols/dwarf/expression';
import { fetchBytes, fetchPieces } from '../../../src/symbols/dwarf/value';
import { fixture } from '../fixture';

const program = fixture('gcc-O2-dwarf5.elf');
const unit = program.dwarf.units[0]!;
/** Unit offset of a base type, as typed operators name it. */
const typeOffset = (name: string): number => {
  const die = unit.root!.children().find((child) => child.tag === D.DW_TAG_base_type && child.string(D.DW_AT_name) === name);
  return die!.offset - unit.offset;
};
const uleb = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...uleb(value >>> 7)]);
const u32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];

const memory = new Map<number, number>([...u32(0xdeadbeef), ...u32(0x80000001)].map((byte, at) => [0x1000 + at, byte]));
const context: ExpressionContext = {
  register: (number) => (number === 3 ? 0x1000 : number === 0 ? 5 : undefined),
  readMemory: (address, size) => {
    const bytes = Array.from({ length: size }, (_, at) => memory.get(address + at));
    return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes as number[]) : undefined;
  },
  frameBase: () => 0x2000,
  cfa: () => 0x3000,
  entryValue: (expression) => (expression[0] === 0x50 ? 77n : undefined),
  tlsAddress: (offset) => 0x7000 + offset,
  objectAddress: 0x5000,
};
/** The top of the stack after the operators, as uint32. */
const top = (...bytes: number[]): number | undefined => evaluateNumber(Uint8Array.from(bytes), unit, context);
const place = (...bytes: number[]) => evaluate(Uint8Array.from(bytes), unit, context);
const NEG = (n: number) => (0x100000000 - n) >>> 0;

test('constants of every width and sign are pushed as they stand', () => {
  assert.equal(top(0x30), 0);
  assert.equal(top(0x4f), 31);
  assert.equal(top(0x08, 0xff), 255);
  assert.equal(top(0x09, 0xff), NEG(1));
  assert.equal(top(0x0a, 0xff, 0xff), 65535);
  assert.equal(top(0x0b, 0xff, 0xff), NEG(1));
  assert.equal(top(0x0c, ...u32(0xfffffffe)), 0xfffffffe);
  assert.equal(top(0x0d, ...u32(0xfffffffe)), NEG(2));
  assert.equal(top(0x0e, ...u32(7), ...u32(9)), 7);
  assert.equal(top(0x0f, ...u32(NEG(7)), ...u32(NEG(1))), NEG(7));
  assert.equal(top(0x10, 0x80, 0x01), 128);
  assert.equal(top(0x11, 0x7f), NEG(1));
  assert.equal(top(0x03, ...u32(0xc0100000)), 0xc0100000);
});

test('an address moves with the bias of the image, a constant does not', () => {
  const moved = { ...context, bias: -0x40000000 };
  assert.equal(evaluateNumber(Uint8Array.from([0x03, ...u32(0xc0100000)]), unit, moved), 0x80100000);
  assert.equal(evaluateNumber(Uint8Array.from([0x0c, ...u32(0xc0100000)]), unit, moved), 0xc0100000);
});

test('stack operators move what they say', () => {
  assert.equal(top(0x31, 0x12, 0x22), 2); // dup
  assert.equal(top(0x31, 0x32, 0x13), 1); // drop
  assert.equal(top(0x31, 0x32, 0x14), 1); // over
  assert.equal(top(0x31, 0x32, 0x33, 0x15, 2), 1); // pick
  assert.equal(top(0x31, 0x32, 0x16, 0x1c), 1); // swap: 2 - 1
  const rotated = [0x31, 0x32, 0x33, 0x17]; // 1 2 3 becomes 3 1 2
  assert.deepEqual([top(...rotated), top(...rotated, 0x13), top(...rotated, 0x13, 0x13)], [2, 1, 3]);
});

test('arithmetic of the generic type wraps at 32 bits, divides with sign and takes remainders without', () => {
  assert.equal(top(0x0c, ...u32(0xffffffff), 0x31, 0x22), 0);
  assert.equal(top(0x30, 0x31, 0x1c), NEG(1));
  assert.equal(top(0x09, 0xf8, 0x32, 0x1b), NEG(4)); // -8 / 2
  assert.equal(top(0x09, 0xf8, 0x35, 0x1d), 0xfffffff8 % 5);
  assert.equal(top(0x0c, ...u32(0x10001), 0x12, 0x1e), 0x20001);
  assert.equal(top(0x35, 0x1f), NEG(5));
  assert.equal(top(0x09, 0xfb, 0x19), 5);
  assert.equal(top(0x35, 0x20), NEG(6));
  assert.equal(top(0x3c, 0x3a, 0x1a), 12 & 10);
  assert.equal(top(0x3c, 0x33, 0x21), 12 | 3);
  assert.equal(top(0x3c, 0x3a, 0x27), 12 ^ 10);
  assert.equal(top(0x31, 0x4f, 0x24), 0x80000000);
  assert.equal(top(0x31, 0x08, 32, 0x24), 0);
  assert.equal(top(0x09, 0xff, 0x34, 0x25), 0x0fffffff);
  assert.equal(top(0x09, 0x80, 0x34, 0x26), NEG(8));
  assert.equal(top(0x30, 0x23, ...uleb(1000)), 1000);
});

test('comparisons of the generic type are signed', () => {
  const compare = (op: number) => [top(0x09, 0xff, 0x31, op), top(0x31, 0x31, op), top(0x31, 0x09, 0xff, op)];
  assert.deepEqual(compare(0x29), [0, 1, 0]);
  assert.deepEqual(compare(0x2a), [0, 1, 1]);
  assert.deepEqual(compare(0x2b), [0, 0, 1]);
  assert.deepEqual(compare(0x2c), [1, 1, 0]);
  assert.deepEqual(compare(0x2d), [1, 0, 0]);
  assert.deepEqual(compare(0x2e), [1, 0, 1]);
});

test('branches and skips go both ways, and one that never ends is stopped', () => {
  assert.equal(top(0x31, 0x31, 0x28, 1, 0, 0x13, 0x35), 5);
  assert.equal(top(0x35, 0x30, 0x28, 1, 0, 0x23, 2), 7);
  assert.equal(top(0x35, 0x2f, 1, 0, 0x13), 5);
  assert.deepEqual(place(0x2f, 0xfd, 0xff), { kind: 'unknown', why: 'its location expression is damaged' });
  assert.match(program.problems.join(), /A DWARF expression does not end/);
});

test('registers, frame base and CFA are asked from the frame', () => {
  assert.equal(top(0x73, 0x04), 0x1004);
  assert.equal(top(0x92, 3, 0x7c), 0xffc);
  assert.equal(top(0x91, 0x78), 0x2000 - 8);
  assert.equal(top(0x9c), 0x3000);
  assert.equal(top(0x97), 0x5000);
  assert.equal(top(0x34, 0x9b), 0x7004);
  assert.equal(top(0x34, 0xe0), 0x7004);
  assert.deepEqual(place(0x53), { kind: 'register', register: 3 });
  assert.deepEqual(place(0x90, 9), { kind: 'register', register: 9 });
  assert.deepEqual(place(0x71, 0), { kind: 'unknown', why: 'ecx is not known in this frame' });
});

test('memory is read little-endian, and memory that cannot be read says its address', () => {
  assert.equal(top(0x73, 0, 0x06), 0xdeadbeef);
  assert.equal(top(0x73, 0, 0x94, 1), 0xef);
  assert.equal(top(0x73, 1, 0x94, 2), 0xadbe);
  assert.deepEqual(place(0x0a, 0, 0x20, 0x06), { kind: 'unknown', why: 'memory at 0x2000 cannot be read' });
});

test('values, implicit values and implicit pointers are told apart from places', () => {
  assert.deepEqual(place(0x35, 0x9f), { kind: 'value', value: 5n, size: 4 });
  assert.deepEqual(place(0x9e, 2, 0xaa, 0xbb), { kind: 'bytes', bytes: Uint8Array.of(0xaa, 0xbb) });
  assert.deepEqual(place(0xa0, ...u32(0x123), 0x7c), { kind: 'implicit-pointer', die: 0x123, offset: -4 });
  assert.deepEqual(place(0xf2, ...u32(0x123), 0x04), { kind: 'implicit-pointer', die: 0x123, offset: 4 });
  assert.deepEqual(place(), { kind: 'optimized-out' });
});

test('values on entry come from the caller or are not known', () => {
  assert.deepEqual(place(0xa3, 1, 0x50, 0x9f), { kind: 'value', value: 77n, size: 4 });
  assert.deepEqual(place(0xf3, 1, 0x50, 0x9f), { kind: 'value', value: 77n, size: 4 });
  assert.match((place(0xa3, 1, 0x51, 0x9f) as { why: string }).why, /on entry .* not kept by the caller/);
});

test('pieces are put together from registers and memory, and a missing one is said', () => {
  const pieces = place(0x50, 0x93, 2, 0x73, 0, 0x93, 2);
  assert.equal(pieces.kind, 'pieces');
  assert.deepEqual(fetchBytes(pieces, 4, context), { bytes: Uint8Array.of(5, 0, 0xef, 0xbe) });
  const partly = place(0x50, 0x93, 2, 0x93, 2);
  assert.deepEqual(fetchBytes(partly, 4, context), { why: 'optimized out' });
  assert.deepEqual(fetchPieces(partly as never, 4, context), {
    bytes: Uint8Array.of(5, 0, 0, 0),
    mask: Uint8Array.of(255, 255, 0, 0),
    missing: 'optimized out',
  });
  const bits = place(0x50, 0x9d, 3, 0, 0x0c, ...u32(0xff), 0x9f, 0x9d, 5, 2);
  assert.deepEqual(fetchBytes(bits, 1, context), { bytes: Uint8Array.of(0b11111101) });
});

test('typed operators compute in the type they name', () => {
  const long = uleb(typeOffset('long long unsigned int'));
  const double = uleb(typeOffset('double'));
  const int = uleb(typeOffset('int'));
  // 64-bit: 0xffffffff converted, plus 1, does not wrap.
  assert.deepEqual(place(0x0c, ...u32(0xffffffff), 0xa8, ...long, 0xa4, ...long, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0x22, 0x9f), {
    kind: 'value',
    value: 0x100000000n,
    size: 8,
  });
  assert.deepEqual(place(0x33, 0xa8, ...int, 0xf7, ...double, 0x34, 0xa8, ...int, 0xf7, ...double, 0x1b, 0x9f), {
    kind: 'value',
    value: 0.75,
    size: 8,
  });
  assert.deepEqual(place(0x09, 0xff, 0xa8, ...int, 0xa8, 0, 0x9f), { kind: 'value', value: 0xffffffffn, size: 4 });
  assert.deepEqual(place(0xa5, 0, ...int, 0x9f), { kind: 'value', value: 5n, size: 4 });
  assert.deepEqual(place(0x73, 4, 0xa6, 4, ...int, 0x9f), { kind: 'value', value: -0x7fffffffn, size: 4 });
  assert.deepEqual(
    place(0x0e, ...u32(0), ...u32(0x3ff00000), 0xa8, ...long, 0x13, 0xa4, ...long, 8, ...u32(0), ...u32(0x3ff00000), 0xa9, ...double, 0x9f),
    {
      kind: 'value',
      value: 1,
      size: 8,
    },
  );
});

test('division by zero, an empty stack, an unknown operator and a cut operand are reasons, not errors', () => {
  assert.deepEqual(place(0x31, 0x30, 0x1b), { kind: 'unknown', why: 'its location divides by zero' });
  assert.deepEqual(place(0x31, 0x30, 0x1d), { kind: 'unknown', why: 'its location divides by zero' });
  assert.equal(place(0x22).kind, 'unknown');
  assert.match((place(0xe5) as { why: string }).why, /operator 0xe5/);
  assert.equal(place(0x0c, 1).kind, 'unknown');
  assert.equal(place(0x98, 0xff, 0xff).kind, 'optimized-out');
});

test('a value wider than a register continues in the next', () => {
  const two: ExpressionContext = { register: (number) => (number === 0 ? 1 : number === 1 ? 2 : undefined) };
  assert.deepEqual(fetchBytes({ kind: 'register', register: 0 }, 8, two), { bytes: Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0) });
  assert.deepEqual(fetchBytes({ kind: 'register', register: 1 }, 8, two), { why: 'edx is not known in this frame' });
});
