// A session on the bare machine: the same requests as for a Guest, without a Host behind them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLI_HLT, ENTRY, exit, inByte, interruptTable, kernel, say } from '../launcher/bare-kernel';
import { Session } from './client';

const HANDLER = ENTRY + 0x800;

/** Says "up", waits for a typed byte and sends it to COM1 plus one, divides by zero; the handler of #DE ends the run with status 7. */
const image = (): { bytes: Uint8Array; wait: number; divide: number } => {
  const before = [...interruptTable({ 0: HANDLER }), ...say('up\n')];
  const wait = [...inByte(0x3fd), 0xa8, 1];
  const echo = [
    ...wait,
    0x74,
    -(wait.length + 2) & 0xff,
    ...[0x66, 0xba, 0xf8, 3, 0xec, 0xfe, 0xc0, 0xee], // in al, 3F8h; inc al; out
    ...say('\n'),
    ...[0x31, 0xc9], // xor ecx, ecx
  ];
  const code = [...before, ...echo, 0xf7, 0xf1, ...CLI_HLT]; // div ecx
  const all = new Uint8Array(0x800 + 16);
  all.set(code);
  all.set(exit(3), 0x800);
  return { bytes: kernel([...all]), wait: ENTRY + before.length, divide: ENTRY + before.length + echo.length };
};

test('a bare machine is debugged like a Guest: registers, breakpoints, COM1 both ways, and a trap with outcome direct', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-bare-'));
  const s = await Session.start();
  try {
    const { bytes, wait, divide } = image();
    const program = join(folder, 'kernel.bin');
    writeFileSync(program, bytes);
    await s.launch({ machine: 'bare', program, memory: '8M', stopOnEntry: true });
    await s.done();
    assert.equal((await s.stop()).reason, 'entry');
    const registers = new Map((await s.scope('Registers')).map((v) => [v.name, v.value]));
    assert.match(registers.get('eax') ?? '', /2badb002/i);
    assert.match(registers.get('eip') ?? '', new RegExp(ENTRY.toString(16)));

    await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: `0x${wait.toString(16)}` }] });
    const there = await s.go('continue');
    assert.equal(there.reason, 'instruction breakpoint');
    assert.ok(s.lines.includes('  | up'), s.lines.join('\n'));
    assert.match(await s.evaluate('$eip,x'), new RegExp(wait.toString(16)));

    await s.request('setInstructionBreakpoints', { breakpoints: [] });
    await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'fault' }] });
    await s.evaluate('send A');
    const trap = await s.go('continue');
    assert.equal(trap.reason, 'exception');
    assert.ok(s.lines.includes('  | B'), s.lines.join('\n'));
    const info = (await s.request('exceptionInfo', { threadId: 1 })) as { exceptionId: string; description: string };
    assert.match(info.exceptionId, /#DE|0/);
    assert.match(info.description, /^#DE divide error from ring 0\./);
    assert.match(info.description, /no Host involved/);
    assert.match(await s.evaluate('trap'), /direct/);
    assert.match(await s.evaluate('$eip,x'), new RegExp(divide.toString(16)));

    await s.request('setExceptionBreakpoints', { filters: [] });
    await s.request('continue', { threadId: 1 });
    assert.equal(await s.ended, 7);
  } finally {
    await s.end();
    rmSync(folder, { recursive: true, force: true });
  }
});
