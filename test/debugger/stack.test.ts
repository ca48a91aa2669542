// How each frame of a chain is found: the processor, call frame information, frame pointers, return addresses, trap records; and names without any file.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openProgram, type Program, Programs } from '../../src/debugger/programs';
import { Debugger } from '../../src/debugger/session';
import type { Frame } from '../../src/debugger/stack';
import { GuestTarget } from '../../src/debugger/target';
import { Machine } from '../../src/launcher/machine';
import { image as kallsyms } from '../symbols/kallsyms-image';
import { image, make, program, stopAfter } from './stand';

const at = async (name: string, d: Debugger): Promise<Debugger> => {
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: name }]);
  await stopAfter(d, () => d.continue());
  return d;
};
const frames = (d: Debugger): Frame[] => {
  d.forget();
  const stack = d.stack();
  stack.need(40);
  return stack.frames;
};
const plainName = (f: Frame): string => f.name.replace(/\+0x\w+/, '').replace(/ \(inlined\)/, '');
const kernelFunctions = [...program.table.all()].filter((s) => s.address >= 0xc010_0000).sort((a, b) => a.address - b.address);
/** The demo's names alone: no call frame information. */
const demoNames = (): Program =>
  openProgram(
    new TextEncoder().encode(
      kernelFunctions.map((s) => `${s.address.toString(16)} ${s.kind === 'object' ? 'D' : 'T'} ${s.name}\n`).join(''),
    ),
    'System.map',
  );
const withoutSections = (): Uint8Array => {
  const bytes = image.slice();
  bytes.fill(0, 32, 36);
  bytes.fill(0, 46, 52);
  return bytes;
};

test('frames come from the processor, then from the calls it noted, and past a trap from its record', async () => {
  const d = await at('handle_syscall', make().d);
  const code = frames(d).filter((f) => f.inlineDepth === 0);
  assert.deepEqual([...new Set(code.map((f) => f.method))], ['exact', 'shadow stack', 'trap record']);
  const boundary = code.findIndex((f) => f.kind === 'boundary');
  assert.deepEqual([code[boundary].method, code[boundary + 1].method, code[boundary + 1].cpl], ['trap record', 'trap record', 3]);
  assert.equal(code[boundary + 1].pc, code[boundary].record?.eip);
  assert.equal(code[boundary + 1].registers[4], code[boundary].record?.esp);
});

test('a handler that overwrites its own frame does not hide what it interrupted', async () => {
  const { d, machine } = make();
  await at('show_visible_page_fault', d);
  d.setFilters([{ id: 'pf.guest', mode: 'handler' }]);
  await stopAfter(d, () => d.continue());
  const before = frames(d);
  const boundary = before.find((f) => f.kind === 'boundary');
  const record = boundary?.record ?? assert.fail('no boundary');
  const interrupted = before[before.indexOf(boundary as Frame) + 1];
  assert.equal(interrupted.pc, record.eip);
  d.target.write(record.frame?.at ?? 0, new Uint8Array(16).fill(0xee));
  const after = frames(d);
  assert.equal(after.find((f) => f.kind === 'boundary')?.record?.k, record.k);
  const now = after[after.findIndex((f) => f.kind === 'boundary') + 1];
  assert.deepEqual([now.name, now.pc, now.registers[4]], [interrupted.name, record.eip, record.esp]);
  assert.ok(machine.host.records.count > record.k);
});

test('a trap frame that an IRET has popped is not in a chain, though its words are still in memory and above the stack pointer', async () => {
  const { d } = make();
  await at('show_visible_page_fault', d);
  d.setFilters([{ id: 'pf.guest', mode: 'handler' }]);
  await stopAfter(d, () => d.continue());
  const record = frames(d).find((f) => f.kind === 'boundary')?.record ?? assert.fail('no boundary');
  const { at: place, words } = record.frame ?? assert.fail('no frame');
  const inHandler = d.target.register('esp');
  d.setFilters([]);
  await stopAfter(d, () => d.runTo([record.eip], 'step', 'there'));
  d.target.setRegister('esp', inHandler);
  words.forEach((w, i) => {
    d.target.write(place + 4 * (words.length - 1 - i), new Uint8Array(new Uint32Array([w.value]).buffer));
  });
  assert.ok(inHandler <= place);
  assert.deepEqual(
    frames(d).filter((f) => f.kind === 'boundary' && f.record?.k === record.k),
    [],
  );
});

test('what a handler has saved below a trap frame are the registers of the interrupted code, once it is whole and as long as it goes back there', async () => {
  const types = openProgram(new Uint8Array(readFileSync('test/debugger/fixtures/kernel.elf')), 'kernel.elf');
  types.segments = [{ low: 0, high: 0, physicalBias: 0 }];
  const machine = new Machine({ kernel: withoutSections(), memoryBytes: 32 << 20, jit: false });
  const d = new Debugger(new GuestTarget(machine), new Programs([demoNames(), types]));
  await at('show_visible_page_fault', d);
  d.setFilters([{ id: 'pf.guest' }]);
  await stopAfter(d, () => d.continue());
  const truth = frames(d).find((f) => f.kind === 'code')?.registers ?? assert.fail('no frame');
  d.setFilters([]);
  await at('handle_page_fault', d);
  d.target.setRegister('eip', d.target.pc + 1);
  const record = frames(d).find((f) => f.kind === 'boundary')?.record ?? assert.fail('no boundary');
  const { at: place, words } = record.frame ?? assert.fail('no frame');
  const eip = place + 4 * (words.length - 1 - words.findIndex((w) => w.name === 'eip'));
  const member = (name: string): number => d.tasks.data.field('pt_regs', name)?.offset ?? assert.fail(name);
  const base = eip - member('eip');
  const interrupted = (): Frame => {
    const all = frames(d);
    return all[all.findIndex((f) => f.record?.k === record.k) + 1];
  };
  const put = (name: string, value: number): number => d.target.write(base + member(name), new Uint8Array(new Uint32Array([value]).buffer));
  // The demo's own handler saves in another order than this pt_regs has; here is what Linux's would leave.
  const order = ['eax', 'ecx', 'edx', 'ebx', undefined, 'ebp', 'esi', 'edi'];
  for (const [n, name] of order.entries()) if (name !== undefined) put(name, truth[n] ?? 0);
  assert.ok(d.target.register('esp') <= base);
  assert.deepEqual(interrupted().registers, truth);
  // A handler that goes back to another place has put other registers there, too.
  put('eip', record.eip + 4);
  assert.equal(interrupted().registers[0], undefined);
  put('eip', record.eip);
  assert.deepEqual(interrupted().registers, truth);
  // Not yet all saved.
  d.target.setRegister('esp', base + 4);
  assert.equal(interrupted().registers[0], undefined);
});

test('where call frame information leads to no code, the noted call goes on: inline assembly pushes without saying so', async () => {
  const d = await at('console_write', make().d);
  const whole = frames(d).filter((f) => f.inlineDepth === 0);
  assert.ok(whole.length > 3);
  const esp = d.target.register('esp');
  d.target.write(esp - 8, new Uint8Array(8));
  d.target.setRegister('esp', esp - 8);
  const moved = frames(d).filter((f) => f.inlineDepth === 0);
  assert.deepEqual(
    moved.map((f) => f.pc),
    whole.map((f) => f.pc),
  );
  assert.equal(moved[1].registers[3], undefined, 'what it saved is not known');
});

test('without call frame information and calls noted, return addresses on the stack are taken where a call of the very function stands before them, and marked', async () => {
  const machine = new Machine({ kernel: withoutSections(), memoryBytes: 32 << 20, jit: false });
  const d = new Debugger(new GuestTarget(machine), new Programs([demoNames()]));
  machine.processor.recordCalls(false);
  await at('console_write', d);
  d.target.setRegister('ebp', 0);
  const bare = frames(d);
  const full = frames(await at('console_write', make().d)).filter((f) => !/inlined/.test(f.name));
  const scanned = bare.filter((f) => f.method === 'scan');
  assert.ok(scanned.length >= 1 && scanned.every((f) => f.name.endsWith(' ?')), JSON.stringify(bare.map((f) => [f.name, f.method])));
  for (const f of bare)
    assert.ok(
      full.some((g) => g.pc === f.pc || f === bare[0]),
      `${plainName(f)} is no made-up frame`,
    );
});

test('without any call frame information the noted calls give the whole chain, and what was called before and has returned is not in it', async () => {
  const full = frames(await at('console_write', make().d)).filter((f) => f.inlineDepth === 0);
  const machine = new Machine({ kernel: withoutSections(), memoryBytes: 32 << 20, jit: false });
  const d = new Debugger(new GuestTarget(machine), new Programs([]));
  const entry = full[0].pc;
  const stop = stopAfter(d, () => d.runTo([entry], 'step', 'there'));
  await stop;
  d.target.setRegister('ebp', 0);
  const chain = (): number[] => frames(d).map((f) => f.pc);
  assert.equal(d.target.pc, entry);
  const expected = full.map((f) => f.pc);
  assert.deepEqual(chain().slice(0, expected.length), expected);
  assert.ok(
    frames(d)
      .slice(1)
      .every((f) => f.method === 'shadow stack'),
  );
  // Words below the stack pointer are those of calls that have returned.
  d.target.setRegister('esp', d.target.register('esp') - 512);
  assert.deepEqual(chain().slice(0, expected.length), expected);
});

test('a kernel without any file has the names of its own table, once it runs', async () => {
  const machine = new Machine({ kernel: withoutSections(), memoryBytes: 32 << 20, jit: false });
  const table = kallsyms(
    0x4000,
    kernelFunctions.map((s) => [s.address, `${s.kind === 'object' ? 'D' : 'T'}${s.name}`]),
  );
  machine.memory.write(16 << 20, table.subarray(0x4000 - 0x1000));
  const d = new Debugger(new GuestTarget(machine), new Programs([]));
  const told: string[] = [];
  d.onNames = (p) => told.push(p.name);
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'load_traps' }]);
  assert.equal([...d.breakpoints][0].verified, false);
  assert.equal(d.awaitsNames, true);
  await stopAfter(d, () => d.runToNamed('start_kernel', 'entry', 'there'));
  assert.deepEqual(told, ['kallsyms']);
  assert.equal(d.programs.nameOf(d.target.pc), 'start_kernel');
  assert.equal((await stopAfter(d, () => d.continue())).reason, 'function breakpoint');
  assert.equal(frames(d)[0].name, 'load_traps');
});
