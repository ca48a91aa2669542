// Code that is not flat: real mode, 16-bit code in protected mode, and 32-bit code in a segment that does not begin at 0.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Inside } from './inside';

const BASE = 0xf0000;
/** Code at F000:0100, entered from the reset vector; the places of its instructions by name, as offsets. */
const rom = (): { image: Uint8Array; at: Record<string, number> } => {
  const image = new Uint8Array(0x10000).fill(0xf4);
  const at: Record<string, number> = {};
  let next = 0x100;
  const put = (name: string, bytes: number[]): void => {
    at[name] = next;
    image.set(bytes, next);
    next += bytes.length;
  };
  image.set([0xea, 0x00, 0x01, 0x00, 0xf0], 0xfff0); // jmp f000:0100
  put('start', [0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xbb, 0x10, 0x00]); // mov ax, 2000h; mov ds, ax; mov bx, 10h
  put('store', [0xc6, 0x47, 0x02, 0x5a]); // mov byte [bx+2], 5ah
  put('jump', [0xe9, 0x03, 0xff]); // jmp below
  next = 0x12;
  put('below', [0x2e, 0x66, 0x0f, 0x01, 0x16, 0x00, 0x04]); // lgdt cs:[400h]
  put('protect', [0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0]); // cr0 |= 1
  put('far', [0xea, 0x40, 0x00, 0x08, 0x00]); // jmp 8:40h
  next = 0x40;
  put('narrow', [0x66, 0xea, 0x50, 0x00, 0x00, 0x00, 0x10, 0x00]); // jmp dword 10h:50h
  next = 0x50;
  put('wide', [0xb8, 0x78, 0x56, 0x34, 0x12, 0xe8, 0x03, 0x00, 0x00, 0x00, 0xf4]); // mov eax, 12345678h; call called; hlt
  next = 0x5d;
  put('called', [0x8e, 0xd0, 0xf4]);
  next = 0x600;
  put('calls', [0xb8, 0x00, 0x30, 0x8e, 0xd0, 0xbc, 0x00, 0x01]); // mov ax, 3000h; mov ss, ax; mov sp, 100h
  put('idle', [0xe8, 0x3a, 0x00]); // call leaf
  put('outer', [0x6a, 0x07, 0xe8, 0x00, 0x01, 0xf4]); // push 7; call near: one; hlt
  next = 0x645;
  put('leaf', [0xc3]);
  next = 0x710;
  put('one', [0x50, 0x9a, 0x00, 0x00, 0x00, 0xf1, 0x58, 0xc3]); // push ax; call f100:0000; pop ax; ret
  next = 0x1000;
  put('two', [0x9a, 0x20, 0x00, 0x00, 0xf1, 0x66, 0xe8, 0x13, 0x00, 0x00, 0x00, 0xcb]); // call f100:0020; call dword three; retf
  next = 0x101e;
  put('three', [0x90, 0x66]); // nop
  next = 0x1020;
  put('farLeaf', [0xcb]);
  image.set([0, 0, 0, 0, 0, 0, 0, 0], 0x300);
  image.set([0xff, 0xff, 0, 0, 0x0f, 0x9a, 0x00, 0], 0x308); // code, 16-bit, base F0000
  image.set([0xff, 0xff, 0, 0, 0x0f, 0x9a, 0x40, 0], 0x310); // code, 32-bit, base F0000
  image.set([0x17, 0, 0x00, 0x03, 0x0f, 0x00], 0x400); // limit 17h, base F0300
  return { image, at };
};

const standing = async (act: (s: Inside, at: Record<string, number>) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-rom-'));
  try {
    const { image, at } = rom();
    const program = join(folder, 'rom.bin');
    writeFileSync(program, image);
    const s = new Inside();
    await s.request('initialize', { adapterID: 'lguest' });
    await s.request('launch', { machine: 'bare', rom: true, program, memory: '8M', stopOnEntry: true });
    await s.request('configurationDone');
    await s.stop();
    await act(s, at);
    await s.end();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
type Row = { address: string; instruction: string };
const rowsAt = async (s: Inside, address: number | string, count: number): Promise<Row[]> =>
  (await s.request('disassemble', { memoryReference: String(address), instructionOffset: 0, instructionCount: count })).instructions;
const goTo = async (s: Inside, offset: number): Promise<void> => {
  await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: `0x${(BASE + offset).toString(16)}` }] });
  assert.equal((await s.go()).reason, 'instruction breakpoint');
};

test('in real mode the frame, the disassembly, the listing and the console name the place as cs:ip beside its linear address', () =>
  standing(async (s, at) => {
    const [reset] = await s.frames();
    assert.deepEqual([reset.name, reset.instructionPointerReference], ['0xfffffff0 (f000:fff0)', '0xfffffff0']);
    await goTo(s, at.start);
    const [frame, ...callers] = await s.frames();
    assert.deepEqual([frame.name, frame.instructionPointerReference, callers.length], ['0x000f0100 (f000:0100)', '0x000f0100', 0]);
    assert.match(await s.evaluate('info reg'), /eip 0x00000100 {2}f000:0100 = linear 0x000f0100/);
    assert.match(await s.evaluate('disas'), /^0x000f0100 f000:0100: mov \$0x2000,%ax\n0x000f0103 f000:0103: mov %ax,%ds\n/);
    const { content } = await s.request('source', { source: frame.source, sourceReference: frame.source?.sourceReference });
    assert.match(content, /f000:0100 on, 16-bit code\n {2}0x000f0100 {2}f000:0100 {2}b8 00 20 +mov \$0x2000,%ax\n/);
    assert.match((await rowsAt(s, '$pc', 1))[0].instruction, /^mov \$0x2000,%ax {2}; f000:0100/);
  }));

test('an operand of 16-bit code lies in its segment, and a jump there stays in its code segment', () =>
  standing(async (s, at) => {
    await goTo(s, at.store);
    assert.match((await rowsAt(s, '$pc', 1))[0].instruction, /; 2\(%bx\) = 0x00020012: 0x00 |; 0x2\(%bx\) = 0x00020012: 0x00 /);
    const jump = await s.evaluate(`x/1i ${BASE + at.jump}`);
    assert.match(jump, /jmp 0x0*12$/m, 'the text counts from the segment, as the processor does');
    assert.equal((await s.go('next', { granularity: 'instruction' })).reason, 'step');
    assert.equal((await s.request('readMemory', { memoryReference: '0x20012', count: 1 })).data, Buffer.from([0x5a]).toString('base64'));
    await s.go('stepIn', { granularity: 'instruction' });
    assert.equal((await s.frames())[0].instructionPointerReference, '0x000f0012');
  }));

test('the D bit of cs decides how code is read: the same bytes are 16-bit code before a far jump and 32-bit code behind it', () =>
  standing(async (s, at) => {
    await goTo(s, at.narrow);
    assert.deepEqual(
      (await rowsAt(s, BASE + at.wide, 2)).map((r) => r.instruction.split('  ')[0]),
      ['mov $0x5678,%ax', 'xor $0x12,%al'],
    );
    assert.match((await s.frames())[0].name, /\(0008:0040\)$/);
    await goTo(s, at.wide);
    const [first, second] = await rowsAt(s, BASE + at.wide, 2);
    assert.match(first.instruction, /^mov \$0x12345678,%eax/);
    assert.match(second.instruction, /^call 0x0000005d/);
    const [frame] = await s.frames();
    assert.match(frame.name, /\(0010:0050\)$/);
    const { content } = await s.request('source', { source: frame.source, sourceReference: frame.source?.sourceReference });
    assert.match(content, /0010:0050 {2}b8 78 56 34 12 +mov \$0x12345678,%eax\n/, 'a listing made for 16-bit code is made anew');
    assert.equal(await s.evaluate('$pc == $eip + 0xf0000'), '1');
  }));

test('callers in 16-bit code are followed by the noted calls, near, far and with 32-bit return addresses, each by its cs:ip', () =>
  standing(async (s, at) => {
    await goTo(s, at.start);
    await s.request('setExpression', { expression: '$eip', value: `0x${at.calls.toString(16)}` });
    await goTo(s, at.three);
    const frames = await s.frames();
    const places = frames.map((f) => [/\((.*)\)/.exec(f.name)?.[1], f.instructionPointerReference, (f as { method?: string }).method]);
    const behind = (offset: number): string => `0x${(BASE + offset).toString(16).padStart(8, '0')}`;
    assert.deepEqual(places, [
      ['f100:001e', behind(at.three), 'exact'],
      ['f100:000b', behind(at.two + 11), 'shadow stack'],
      ['f000:0716', behind(at.one + 6), 'shadow stack'],
      [`f000:${(at.outer + 5).toString(16).padStart(4, '0')}`, behind(at.outer + 5), 'shadow stack'],
    ]);
    // A word that was overwritten is no return address any more.
    await s.request('writeMemory', { memoryReference: '0x000300fc', data: Buffer.from([0, 0]).toString('base64') });
    assert.equal((await s.frames()).length, 3);
  }));
