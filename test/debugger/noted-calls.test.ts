// Chains of frames by noted calls alone: bare machine code without names, call frame information or frame pointers, interpreted and translated.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openProgram, Programs } from '../../src/debugger/programs';
import { Debugger } from '../../src/debugger/session';
import { BareTarget } from '../../src/debugger/target';
import { boot, CLI_HLT, ENTRY, word32 } from '../launcher/bare-kernel';
import { counted, madeWithSymbols, TEXT, text, u32 } from '../symbols/made';
import { stopAfter } from './stand';

const ENGINES = [{ jit: false }, { jit: true, jitThreshold: 0 }, { jit: true }];
/** Tops of two stacks, further from each other than a chain is followed. */
const STACK_A = 0x300000;
const STACK_B = 0x320000;
const MOV_ESP = 0xbc;
const CALL = 0xe8;
const JMP = 0xe9;
const NOP = 0x90;

type Part = number | readonly [op: number, label: string] | string;
/** Machine code with labels: a text is a label; [op, label] is a call or jump there, or an instruction with its address. */
const assemble = (parts: readonly Part[]): { code: number[]; at: (label: string) => number } => {
  const places = new Map<string, number>();
  const size = (p: Part): number => (typeof p === 'string' ? 0 : typeof p === 'number' ? 1 : 5);
  let here = ENTRY;
  for (const p of parts) {
    if (typeof p === 'string') places.set(p, here);
    here += size(p);
  }
  const at = (label: string): number => places.get(label) ?? assert.fail(label);
  const code: number[] = [];
  for (const p of parts) {
    if (typeof p === 'number') code.push(p);
    else if (typeof p !== 'string') {
      const relative = p[0] === CALL || p[0] === JMP;
      code.push(p[0], ...word32(relative ? at(p[1]) - (ENTRY + code.length + 5) : at(p[1])));
    }
  }
  return { code, at };
};
/** The chain at each of the stops, for every engine; all must be the same. */
const chains = async (parts: readonly Part[], stops: readonly string[]): Promise<number[][]> => {
  const { code, at } = assemble(parts);
  const all: number[][][] = [];
  for (const engine of ENGINES) {
    const { machine } = boot(code, engine);
    const d = new Debugger(new BareTarget(machine), new Programs([]));
    const found: number[][] = [];
    for (const stop of stops) {
      await stopAfter(d, () => d.runTo([at(stop)], 'step', 'there'));
      assert.equal(d.target.pc, at(stop));
      d.target.setRegister('ebp', 0);
      d.forget();
      const stack = d.stack();
      stack.need(256);
      assert.ok(stack.frames.slice(1).every((f) => f.method === 'shadow stack'));
      found.push(stack.frames.map((f) => f.pc));
    }
    all.push(found);
  }
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual(all[2], all[0]);
  return all[0];
};
const labels = (parts: readonly Part[], names: readonly string[]): number[] => names.map((name) => assemble(parts).at(name));

test('every level of a deep recursion is a frame, though the same code went up and down before', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A), 0xbe, ...word32(60)], // mov $60,%esi
    'again',
    ...[0xb9, ...word32(150)], // mov $150,%ecx
    [CALL, 'f'],
    'back',
    ...[0x4e, 0x75, 0xf3, ...CLI_HLT], // dec %esi; jnz again
    'f',
    ...[0x49, 0x75, 7, 0x83, 0xfe, 1, 0x74, 9, NOP, 0xc3], // dec %ecx; jnz more; cmp $1,%esi; je deepest; nop; ret
    [CALL, 'f'],
    'up',
    0xc3,
    NOP,
    'deepest',
    ...[NOP, 0xc3],
  ];
  const [chain] = await chains(parts, ['deepest']);
  const [deepest, up, back] = labels(parts, ['deepest', 'up', 'back']);
  assert.deepEqual(chain, [deepest, ...new Array<number>(149).fill(up), back]);
});

test('two tasks have each its own chain, whichever runs', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A)],
    [CALL, 'a'],
    'in main',
    ...CLI_HLT,
    'a',
    [CALL, 'switch'],
    'in a',
    ...CLI_HLT,
    'switch',
    ...[0x89, 0xe3, MOV_ESP, ...word32(STACK_B)], // mov %esp,%ebx
    [CALL, 'b'],
    'in task b',
    ...CLI_HLT,
    'b',
    [CALL, 'stop b'],
    'in b',
    ...CLI_HLT,
    'stop b',
    ...[NOP, 0x89, 0xdc], // mov %ebx,%esp
    'stop a',
    ...[NOP, ...CLI_HLT],
  ];
  const [b, a] = await chains(parts, ['stop b', 'stop a']);
  assert.deepEqual(b, labels(parts, ['stop b', 'in b', 'in task b']));
  assert.deepEqual(a, labels(parts, ['stop a', 'in a', 'in main']));
});

test('frames that a longjmp left behind are gone as soon as its function calls again', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A)],
    [CALL, 'outer'],
    'in main',
    ...CLI_HLT,
    'outer',
    ...[0x89, 0xe3], // mov %esp,%ebx
    [CALL, 'middle'],
    'landing',
    [CALL, 'leaf'],
    'in outer',
    ...CLI_HLT,
    'middle',
    [CALL, 'inner'],
    'in middle',
    ...CLI_HLT,
    'inner',
    'stop inner',
    ...[0x89, 0xdc], // mov %ebx,%esp
    [JMP, 'landing'],
    'leaf',
    ...[0x83, 0xec, 64], // sub $64,%esp: over what was left
    'stop leaf',
    ...[NOP, ...CLI_HLT],
  ];
  const [inner, leaf] = await chains(parts, ['stop inner', 'stop leaf']);
  assert.deepEqual(inner, labels(parts, ['stop inner', 'in middle', 'landing', 'in main']));
  assert.deepEqual(leaf, labels(parts, ['stop leaf', 'in outer', 'in main']));
});

test('a longjmp ends a step where it goes on: in the function at hand as any step, in one further out with a word that the frame is gone', async () => {
  const parts: Part[] = [
    'main',
    ...[MOV_ESP, ...word32(STACK_A)],
    [CALL, 'outer'],
    ...CLI_HLT,
    'outer',
    [CALL, 'setjmp'],
    'landing',
    ...[0x85, 0xc0, 0x75, 5 + CLI_HLT.length], // test %eax,%eax; jnz behind the hlt
    'call',
    [CALL, 'middle'],
    ...CLI_HLT,
    ...[NOP, ...CLI_HLT],
    'setjmp',
    ...[0x8d, 0x5c, 0x24, 4, 0x31, 0xc0, 0xc3], // lea 4(%esp),%ebx; xor %eax,%eax; ret
    'middle',
    [CALL, 'inner'],
    ...CLI_HLT,
    'inner',
    ...[NOP, 0x89, 0xdc, 0xb8, ...word32(1)], // mov %ebx,%esp; mov $1,%eax
    [JMP, 'landing'],
  ];
  const { code, at } = assemble(parts);
  const functions = ['main', 'outer', 'setjmp', 'middle', 'inner'];
  const map = functions.map((name) => `${at(name).toString(16).padStart(8, '0')} T ${name}\n`).join('');
  for (const engine of ENGINES)
    for (const kind of ['over', 'out'] as const) {
      const { machine } = boot(code, engine);
      const names = openProgram(new TextEncoder().encode(map), 'System.map');
      const d = new Debugger(new BareTarget(machine), new Programs([names]));
      await stopAfter(d, () => d.runTo([at(kind === 'over' ? 'call' : 'inner')], 'step', 'there'));
      const stop = await stopAfter(d, () => d.step(kind, 'instruction'));
      assert.equal(d.target.pc, at('landing'), kind);
      assert.deepEqual(
        [stop.description, stop.text],
        kind === 'over'
          ? ['Paused on step', undefined]
          : ['Paused on step: its frame is gone', 'The frame is gone: outer+0x5 has gone on.'],
      );
    }
});

test('a return address that was pushed by hand is no call: its frame is left out, and the chain goes on', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A)],
    [CALL, 'f'],
    'in main',
    ...CLI_HLT,
    'f',
    [0x68, 'by hand'], // push $by hand
    [JMP, 'g'],
    'by hand',
    'stop after',
    ...[NOP, ...CLI_HLT],
    'g',
    [CALL, 'h'],
    'in g',
    0xc3,
    'h',
    'stop h',
    ...[NOP, 0xc3],
  ];
  const [h, after] = await chains(parts, ['stop h', 'stop after']);
  assert.deepEqual(h, labels(parts, ['stop h', 'in g', 'in main']));
  assert.deepEqual(after, labels(parts, ['stop after', 'in main']));
});

test('a frame without a note, as in the stack page that a fork copied, is found by its frame pointer and not passed over for a noted one further out', async () => {
  for (const call of [[CALL, 'middle'] as const, 0xd0ff /* call *%eax */]) {
    const parts: Part[] = [
      ...[MOV_ESP, ...word32(STACK_A), 0x31, 0xed], // xor %ebp,%ebp
      [CALL, 'outer'],
      'in main',
      ...CLI_HLT,
      'outer',
      ...[0x55, 0x89, 0xe5], // push %ebp; mov %esp,%ebp
      [0x68, 'in outer'], // what a call pushes, without the call
      [JMP, 'middle'],
      ...(typeof call === 'number' ? [call & 0xff, call >> 8] : [call]),
      'in outer',
      ...CLI_HLT,
      'middle',
      ...[0x55, 0x89, 0xe5],
      'there',
      ...[NOP, ...CLI_HLT],
    ];
    const { code, at } = assemble(parts);
    const map = [['main', ENTRY] as const, ...(['outer', 'middle'] as const).map((name) => [name, at(name)] as const)]
      .map(([name, address]) => `${address.toString(16).padStart(8, '0')} T ${name}\n`)
      .join('');
    const names = openProgram(new TextEncoder().encode(map), 'System.map');
    const { machine } = boot(code, ENGINES[0]);
    const d = new Debugger(new BareTarget(machine), new Programs([names]));
    await stopAfter(d, () => d.runTo([at('there')], 'step', 'there'));
    const stack = d.stack();
    stack.need(16);
    assert.deepEqual(
      stack.frames.map((f) => [f.pc, f.method]),
      [
        [at('there'), 'exact'],
        [at('in outer'), 'frame pointer'],
        [at('in main'), 'shadow stack'],
      ],
    );
  }
});

test('behind a call that never returns another function may begin: the frame is still the caller, and a place pushed by hand is its own function', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A), 0x31, 0xed], // xor %ebp,%ebp
    [CALL, 'first'],
    'first',
    ...[0x55, 0x89, 0xe5], // push %ebp; mov %esp,%ebp
    [0x68, 'second'], // push $second
    [JMP, 'third'],
    NOP,
    'second',
    ...CLI_HLT,
    'third',
    ...[0x55, 0x89, 0xe5],
    'there',
    ...[NOP, ...CLI_HLT],
  ];
  const { code, at } = assemble(parts);
  const map = [['main', ENTRY] as const, ...(['first', 'second', 'third'] as const).map((name) => [name, at(name)] as const)]
    .map(([name, address]) => `${address.toString(16).padStart(8, '0')} T ${name}\n`)
    .join('');
  const { machine } = boot(code, ENGINES[0]);
  const names = openProgram(new TextEncoder().encode(map), 'System.map');
  const d = new Debugger(new BareTarget(machine), new Programs([names]));
  const chain = (): [string, boolean][] => {
    d.forget();
    const stack = d.stack();
    stack.need(16);
    return stack.frames.slice(1).map((f) => [f.name, f.afterCall]);
  };
  await stopAfter(d, () => d.runTo([at('first')], 'step', 'there'));
  const main: [string, boolean] = [`main+0x${(at('first') - ENTRY).toString(16)}`, true];
  assert.deepEqual(chain(), [main]);
  await stopAfter(d, () => d.runTo([at('there')], 'step', 'there'));
  machine.processor.cpu.calls.on = false;
  assert.deepEqual(chain(), [['second', false]]);
});

test('a frame whose base register a callee without call frame information has lost lies where its call was noted, and its caller has its registers again', async () => {
  const parts: Part[] = [
    ...[MOV_ESP, ...word32(STACK_A), 0xbd, ...word32(0x1234)], // mov $0x1234,%ebp
    [CALL, 'outer'],
    'in main',
    ...CLI_HLT,
    'outer',
    ...[0x55, 0x89, 0xe5], // push %ebp; mov %esp,%ebp
    'going on',
    ...[0x83, 0xec, 64], // sub $64,%esp
    [CALL, 'lost'],
    'in outer',
    ...CLI_HLT,
    'lost',
    ...[0x31, 0xed], // xor %ebp,%ebp
    [CALL, 'inner'],
    'in lost',
    ...CLI_HLT,
    'inner',
    ...[NOP, ...CLI_HLT],
    'end',
  ];
  const { code, at } = assemble(parts);
  const bias = TEXT - 0x100000;
  const link = (label: string): number => at(label) + bias;
  const head = counted([...u32(0xffffffff), 1, ...text(''), 1, 0x7c, 8, 0x0c, 4, 4, 0x88, 1]);
  const pushed = [0x40 + 1, 0x0e, 8, 0x85, 2, 0x40 + 2, 0x0d, 5]; // +1: CFA esp+8, ebp at CFA-8; +2: CFA ebp+8
  const names = ['outer', 'lost', 'inner', 'end'];
  const file = madeWithSymbols(
    { '.debug_frame': [...head, ...counted([...u32(0), ...u32(link('outer')), ...u32(at('lost') - at('outer')), ...pushed])] },
    [
      ['main', ENTRY - 0x100000, at('outer') - ENTRY],
      ...names.slice(0, -1).map((name, i) => [name, at(name) - 0x100000, at(names[i + 1]) - at(name)] as const),
    ],
  );
  for (const engine of ENGINES) {
    const { machine } = boot(code, engine);
    const d = new Debugger(new BareTarget(machine), new Programs([openProgram(file, 'made')]));
    await stopAfter(d, () => d.runTo([at('inner')], 'step', 'there'));
    const stack = d.stack();
    stack.need(16);
    assert.deepEqual(
      stack.frames.map((f) => [f.pc, f.registers[5]]),
      [
        [at('inner'), 0],
        [at('in lost'), 0],
        [at('in outer'), STACK_A - 8],
        [at('in main'), 0x1234],
      ],
    );
  }
});
