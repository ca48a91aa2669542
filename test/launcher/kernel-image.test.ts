// Kernel images and boot memory: what loads, what is refused with which line, and what lies in memory before the first instruction.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { LauncherError } from '../../src/launcher/errors';
import { bzImage, elf, hypercall, LOOP, machine } from './bench';

const MEGABYTE = 0x100000;
const refuses = (options: Parameters<typeof machine>[0], line: RegExp): void => {
  assert.throws(
    () => machine(options),
    (error: Error) => error instanceof LauncherError && line.test(error.message) && !error.message.includes('\n'),
  );
};

test('an ELF kernel and a bzImage of the same code run alike', () => {
  const code = [...hypercall(17, MEGABYTE + 64), ...LOOP];
  while (code.length < 64) code.push(0);
  code.push(...new TextEncoder().encode('hello\0'));
  for (const kernel of [elf(code), bzImage(code)]) {
    const first = machine({ kernel });
    assert.deepEqual(first.machine.run({ instructions: 5 }).kind, 'killed'); // hypercall 17 before INIT
    const { context, lg } = first.machine.host;
    assert.equal(lg.dead, 'hypercall 17 before INIT');
    assert.equal(context.get('eip'), MEGABYTE + 22);
  }
  assert.equal(machine({ kernel: elf(code) }).machine.kernel.kind, 'elf');
  assert.equal(machine({ kernel: bzImage(code) }).machine.kernel.kind, 'bzImage');
});

test("nothing of a bzImage's own header reaches the boot parameters", () => {
  const { memory } = machine({ kernel: bzImage(LOOP) }).machine;
  assert.equal(memory.u32(0x202) & 0xffff, 0);
  assert.equal(memory.u8(0x1f1), 0);
  assert.equal(memory.u16(0x206), 0x207);
});

test('a kernel that is no kernel is refused in one clear line', () => {
  refuses({ kernel: new Uint8Array(2) }, /only 2 bytes/);
  refuses({ kernel: new Uint8Array(5000) }, /doesn't look like a bzImage/);
  refuses({ kernel: elf(LOOP).subarray(0, 40) }, /truncated inside its ELF header/);
  refuses({ kernel: elf(LOOP).subarray(0, 60) }, /program headers lie beyond its end/);
  refuses({ kernel: elf(LOOP).subarray(0, 85) }, /truncated: a segment ends at byte 86, the file at 85/);
  refuses({ kernel: elf(LOOP, { machine: 62 }) }, /for x86-64, not i386/);
  refuses({ kernel: elf(LOOP, { machine: 0x1234 }) }, /for machine 4660, not i386/);
  refuses({ kernel: elf(LOOP, { type: 1 }) }, /not an executable/);
  const wide = elf(LOOP);
  wide[4] = 2;
  refuses({ kernel: wide }, /64-bit ELF/);
  const headers = elf(LOOP);
  headers[44] = 0;
  refuses({ kernel: headers }, /Malformed elf header/);
  const nothing = elf(LOOP);
  nothing[52] = 4;
  refuses({ kernel: nothing }, /nothing to load/);
  refuses({ kernel: elf(LOOP, { memoryBytes: 64 * MEGABYTE }) }, /needs memory up to 65 MB, the Guest has 4 MB/);
});

test('a bzImage that is cut short or too old is refused', () => {
  refuses({ kernel: bzImage(LOOP, 0x206) }, /boot protocol is 2\.06, too old for a Guest, which needs 2\.07/);
  refuses({ kernel: bzImage(LOOP).subarray(0, 0x210) }, /truncated inside its header/);
  refuses({ kernel: bzImage(new Array<number>(100).fill(0x90)).subarray(0, 2600) }, /truncated: it holds 40 of 112 bytes/);
});

test('a memory size that is no whole number of MB, an initrd or a command line that does not fit are refused', () => {
  refuses({ memoryBytes: 5_000_000 }, /whole number of MB/);
  refuses({ memoryBytes: 0 }, /from 1 to 1024/);
  refuses({ memoryBytes: 2048 * MEGABYTE }, /from 1 to 1024/);
  refuses({ initrd: new Uint8Array(4 * MEGABYTE) }, /initrd \(4 MB\) does not fit into the Guest's 4 MB/);
  refuses({ cmdline: 'x'.repeat(2100) }, /command line is 2101 bytes long/);
  refuses({ cmdline: 'a\0b' }, /NUL/);
});

test('the initrd lies at the top of memory, rounded up to a page, with the page tables below it', () => {
  const initrd = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);
  const { memory, host } = machine({ initrd, cmdline: 'root=/dev/ram  quiet' }).machine;
  const at = 4 * MEGABYTE - 8192;
  assert.deepEqual([memory.u32(0x218), memory.u32(0x21c), memory.u8(0x210)], [at, 8192, 0xff]);
  assert.deepEqual([...memory.view(at, 5000)], [...initrd]);
  assert.equal(memory.u8(at + 5000), 0);
  const pgdir = at - 4096;
  assert.equal(host.lg.pgdirs[0].gpgdir, pgdir);
  assert.equal(memory.u32(pgdir), (pgdir - 4096) | 7);
  assert.equal(memory.u32(pgdir - 4096 + 4 * 1023), 0x3ff007);
  assert.equal(Buffer.from(memory.view(0x1000, 22)).toString('latin1'), 'root=/dev/ram quiet \0\0');
});

test('memory before the first instruction is what the recording of real lguest shows', () => {
  const kernel = new Uint8Array(readFileSync('test/guests/probe/probe.elf'));
  const { memory, host } = machine({ kernel, memoryBytes: 16 * MEGABYTE, cmdline: 't=0' }).machine;
  const lines = readFileSync('test/guests/probe/probe.expected', 'latin1').split('\n');
  let compared = 0;
  for (const line of lines.filter((l) => l.startsWith('D '))) {
    const [, address, ...bytes] = line.trim().split(/\s+/);
    const at = Number.parseInt(address, 16);
    assert.deepEqual(
      [...memory.view(at, 16)].map((b) => b.toString(16).padStart(2, '0')),
      bytes,
      line,
    );
    compared += 16;
  }
  assert.ok(compared > 250);
  const head = lines[0];
  assert.equal(host.lg.pgdirs[0].gpgdir, Number.parseInt(/pgdir=0x([0-9a-f]+)/.exec(head)?.[1] ?? '', 16));
  assert.equal(memory.limit, Number.parseInt(/limit=0x([0-9a-f]+)/.exec(head)?.[1] ?? '', 16));
  assert.equal(host.context.get('eip'), Number.parseInt(/start=0x([0-9a-f]+)/.exec(head)?.[1] ?? '', 16));
});

test('64 MB with a console give the Guest 0x4005 pages and a directory at 0x03fff000', () => {
  const { host } = machine({ memoryBytes: 64 * MEGABYTE }).machine;
  assert.equal(host.lg.pfnLimit, 0x4005);
  assert.equal(host.lg.pgdirs[0].gpgdir, 0x03fff000);
});

test('T68: the same kernel as vmlinux and as bzImage runs alike, with the page directory in the last page of 64 MB', () => {
  const text = [...new TextEncoder().encode('booted\0')];
  const ld = 0x200000;
  const put = (at: number, value: number): number[] => [0xc7, 0x05, ...le32(at), ...le32(value)];
  const code = [
    ...put(ld + 1128, 0xc0000000),
    ...put(ld + 1132, 0x80),
    ...Array.from({ length: 16 }, (_, i) => put(ld + 20 + i * 4, 0xffffffff)).flat(),
    ...hypercall(1, ld),
    ...[0, 4].flatMap((i) =>
      put(
        0x210000 + i,
        text.slice(i, i + 4).reduceRight((sum, b) => sum * 256 + b, 0),
      ),
    ),
    ...hypercall(17, 0x210000),
    ...LOOP,
  ];
  const [a, b] = [elf(code), bzImage(code)].map((kernel) => {
    const run = machine({ kernel, memoryBytes: 64 << 20 });
    const stop = run.machine.run({ instructions: 5000 });
    return { text: run.console(), stop, pgdir: run.machine.host.lg.pgdirs[0].gpgdir, position: run.machine.position };
  });
  assert.deepEqual(a, b);
  assert.deepEqual([a.text, a.pgdir], ['booted', 0x03fff000]);
});
const le32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
