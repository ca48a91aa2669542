// Which instructions were executed: exact to the instruction, the same with and without translation, and by the bytes that stand there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Processor } from '../../src/i386/processor';
import { RAM_BASE, W } from '../../src/i386/state';
import { Machine } from '../../src/launcher/machine';
import { CODE, flatMachine } from './flat-machine';

const starts = (proc: Processor): number[] => Array.from({ length: 64 }, (_, i) => i).filter((i) => proc.blocks.executed.was(CODE + i, 1));

test('an instruction counts as executed once it was begun, and what a jump leaves out does not', () => {
  // nop; jmp +1; inc eax (left out); inc ecx; hlt; inc edx (never reached)
  const proc = flatMachine([0x90, 0xeb, 0x01, 0x40, 0x41, 0xf4, 0x42]);
  assert.equal(proc.run(100).kind, 'halt');
  assert.deepEqual(starts(proc), [0, 1, 4, 5]);
});

test('the rest of a block behind a budget or a fault does not count until it runs', () => {
  // five times inc eax; ud2; inc ecx; hlt
  const proc = flatMachine([0x40, 0x40, 0x40, 0x40, 0x40, 0x0f, 0x0b, 0x41, 0xf4]);
  assert.equal(proc.run(2).kind, 'budget');
  assert.deepEqual(starts(proc), [0, 1]);
  assert.equal(proc.run(100).kind, 'shutdown', 'no gate for #UD');
  assert.deepEqual(starts(proc), [0, 1, 2, 3, 4, 5], 'UD2 itself was begun');
});

test('a single step counts, and so does an instruction across two pages', () => {
  const proc = flatMachine([]);
  const at = CODE + 0xffe;
  proc.cpu.m8.set([0xb8, 1, 2, 3, 4, 0xf4], RAM_BASE + at);
  proc.cpu.m32[W.EIP] = at;
  assert.equal(proc.step().kind, 'budget');
  assert.ok(proc.blocks.executed.was(at, 5));
  assert.ok(!proc.blocks.executed.was(at + 5, 1));
});

test('other code where code was executed is not executed code; a patched immediate is the same instruction', () => {
  // mov ecx,1; hlt
  const proc = flatMachine([0xb9, 1, 0, 0, 0, 0xf4]);
  proc.run(100);
  proc.cpu.physWrite(CODE + 1, 5, 4);
  assert.ok(proc.blocks.executed.was(CODE, 5), 'patched while decoded');
  proc.cpu.physWrite(CODE, 0x40, 1);
  assert.ok(!proc.blocks.executed.was(CODE, 1), 'another instruction now');
  assert.ok(proc.blocks.executed.was(CODE + 5, 1), 'HLT still stands there');
});

test('a run of the demo Guest marks the same instructions with the translator, without it, and in pieces', () => {
  const image = new Uint8Array(readFileSync('examples/demo/demo.elf'));
  const marks = (jit: boolean, piece: number): string => {
    const m = new Machine({ kernel: image, memoryBytes: 32 << 20, cmdline: '', jit });
    m.inputs.console(new TextEncoder().encode('sum\nring\n'));
    for (let n = 0; n < 3_000_000 && m.end === undefined; n += piece) m.run({ instructions: piece });
    if (jit) assert.ok((m.processor.jit?.stats.entries ?? 0) > 0, 'nothing ran translated');
    const { executed } = m.processor.blocks;
    // Ring 0 is the Switcher, which is mostly not run instruction by instruction.
    const guest = m.host.layout.memBase >>> 12;
    return executed
      .touched()
      .filter((page) => page >= guest)
      .map((page) => `${page}: ${Buffer.from(executed.startsOf(page)).toString('hex')}`)
      .join('\n');
  };
  const reference = marks(false, 3_000_000);
  assert.ok(reference.length > 1000);
  assert.equal(marks(true, 3_000_000), reference);
  assert.equal(marks(true, 9973), reference);
});
