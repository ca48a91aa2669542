// What the adapter says to bad input: one clear line each, an answer to everything, and no end.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LaunchProblem, parseLaunch } from '../../src/adapter/launch';
import { demoFile, Session } from './client';
import { type Body, Inside } from './inside';

const folder = mkdtempSync(join(tmpdir(), 'lguest-bad-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const demo = new Uint8Array(readFileSync('examples/demo/demo.elf'));

test('launches that cannot be are refused with one line that names the fix, and the session can be launched afterwards', async () => {
  const s = await Session.start();
  try {
    const other = demo.slice();
    other[18] = 62;
    const wide = demo.slice();
    wide[4] = 2;
    const refused: [object, RegExp][] = [
      [{ program: join(folder, 'none') }, /^"program": .*none cannot be read: no such file; correct the path\.$/],
      [{ program: folder }, /it is a folder/],
      [{ program: file('empty', new Uint8Array()) }, /only 0 bytes long/],
      [{ program: file('text', new TextEncoder().encode('hello '.repeat(200))) }, /doesn't look like a bzImage/],
      [{ program: file('short', demo.slice(0, 3000)) }, /truncated/],
      [{ program: file('other', other) }, /is for x86-64, not i386/],
      [{ program: file('wide', wide) }, /64-bit/],
      [{ program: demoFile('demo.elf'), memory: 'much' }, /"memory": "much" is no size; write a number with K, M or G/],
      [{ program: demoFile('demo.elf'), memory: '1M' }, /does not fit|needs memory/],
      [{ program: demoFile('demo.elf'), initrd: file('initrd', new Uint8Array(3 << 20)), memory: '2M' }, /initrd|does not fit/i],
      [{ program: demoFile('demo.elf'), cmdline: 'x'.repeat(5000) }, /command line/],
      [{ program: demoFile('demo.elf'), stopOnEntry: 'yes' }, /"stopOnEntry" must be true or false, not "yes"/],
      [{ program: demoFile('demo.elf'), network: 'wlan' }, /"network" must be "none" or "loopback", not "wlan"/],
      [{ program: demoFile('demo.elf'), symbolFiles: [{ offset: 4 }] }, /"symbolFiles" must hold paths/],
      [{ program: 5 }, /"program" must be a text, not 5/],
    ];
    for (const [args, message] of refused) {
      const said = await s.failing('launch', args as Record<string, unknown>);
      assert.match(said, message);
      assert.ok(!said.includes('\n'), said);
    }
    assert.match(await s.failing('attach'), /nothing to attach to/);
    await s.launch({
      program: demoFile('demo.elf'),
      memroy: '8M',
      symbolFiles: [file('junk.map', new TextEncoder().encode('junk'))],
      __sessionId: 'x',
      preLaunchTask: 'y',
    });
    const lines = s.lines.filter((l) => l.startsWith('* output'));
    assert.ok(
      lines.some((l) => l.includes('Unknown launch attribute "memroy" is ignored; did you mean "memory"?')),
      lines.join('\n'),
    );
    assert.ok(
      lines.some((l) => l.includes('neither an ELF file nor a System.map')),
      lines.join('\n'),
    );
    assert.ok(!lines.some((l) => l.includes('sessionId') || l.includes('preLaunchTask')), lines.join('\n'));
  } finally {
    await s.end();
  }
});

test('every request is answered: unknown ones, ones too early, and ones with nonsense in them', async () => {
  const s = await Session.start();
  try {
    assert.match(await s.failing('noSuchRequest'), /"noSuchRequest" is not known/);
    assert.match(await s.failing('toString'), /"toString" is not known/);
    assert.match(await s.failing('stackTrace', { threadId: 1 }), /Nothing is launched yet/);
    assert.match(await s.failing('continue', { threadId: 1 }), /Nothing is launched yet/);
    await s.launch({ program: demoFile('demo.elf'), stopOnEntry: true });
    assert.match(await s.failing('continue', { threadId: 1 }), /not configured/);
    await s.done();
    await s.stop();
    assert.match(await s.failing('scopes', { frameId: 99 }), /No frame 99/);
    assert.match(await s.failing('scopes', {}), /"frameId" is missing/);
    assert.match(await s.failing('variables', { variablesReference: 12345 }), /gone/);
    assert.match(await s.failing('variables', {}), /"variablesReference" must be a number/);
    assert.match(await s.failing('evaluate', { expression: '1 +' }), /ends too early/);
    assert.match(await s.failing('evaluate', { expression: 'eax = 1', context: 'watch' }), /nothing can be changed from here/);
    assert.match(await s.failing('setBreakpoints', { source: {}, breakpoints: [{ line: 1 }] }), /needs a path/);
    assert.match(await s.failing('setBreakpoints', { source: { path: '/x.c' }, breakpoints: 5 }), /must be a list/);
    assert.match(await s.failing('writeMemory', { memoryReference: '0xf0000000', data: 'AAAA' }), /is not mapped; nothing was written/);
    assert.match(await s.failing('writeMemory', { memoryReference: '0x100000', data: '***' }), /not base64/);
    assert.match(await s.failing('readMemory', { memoryReference: 'nowhere', count: 4 }), /no symbol/);
    assert.match(await s.failing('source', { sourceReference: 77 }), /no such listing/);
    assert.match(await s.failing('exceptionInfo', { threadId: 1 }), /about no trap/);
    assert.match(await s.failing('launch', { program: demoFile('demo.elf') }), /launched already/);
    const { breakpoints: filters } = (await s.request('setExceptionBreakpoints', {
      filters: ['nope'],
      filterOptions: [{ filterId: 'pf.guest', condition: 'err.W &&' }],
    })) as { breakpoints: { verified: boolean; message?: string }[] };
    assert.match(filters[0].message ?? '', /no filter "nope"/);
    assert.match(filters[1].message ?? '', /ends too early/);
    const { breakpoints } = (await s.request('setFunctionBreakpoints', {
      breakpoints: [{ name: 'strat_kernel' }, { name: 'start_paging', condition: ')' }],
    })) as {
      breakpoints: { verified: boolean; message?: string }[];
    };
    assert.match(breakpoints[0].message ?? '', /No function "strat_kernel"/);
    assert.equal(breakpoints[1].verified, false);
    const { breakpoints: elsewhere } = (await s.request('setBreakpoints', {
      source: { path: '/tmp/other.c' },
      breakpoints: [{ line: 3 }],
    })) as {
      breakpoints: { verified: boolean; message?: string }[];
    };
    assert.match(elsewhere[0].message ?? '', /No program of this session was built from other\.c/);
    await s.request('continue', { threadId: 1 });
    assert.match(await s.failing('stackTrace', { threadId: 1 }), /running; pause it first/);
    assert.match(await s.failing('evaluate', { expression: 'why', context: 'repl' }), /running; pause it first/);
  } finally {
    await s.end();
  }
});

test('launch attributes of other tools and of the editor are understood', () => {
  const files = { demo: '/demo.elf' };
  const a = parseLaunch(
    {
      kernel: '/k',
      args: ['a', 'b=c'],
      sourceFileMap: { '/src': '/here' },
      tscKhz: 0,
      postPort: '0x190',
      noDebug: true,
      name: 'x',
      presentation: {},
    },
    files,
  );
  assert.equal(a.program, '/k');
  assert.equal(a.cmdline, 'a b=c');
  assert.deepEqual(a.sourceMap, [['/src', '/here']]);
  assert.equal(a.tscKhz, 0);
  assert.equal(a.postPort, 0x190);
  assert.equal(a.noDebug, true);
  assert.deepEqual(a.notes, []);
  assert.equal(parseLaunch({}, files).program, '/demo.elf');
  assert.equal(parseLaunch({ memory: 128 << 20 }, files).memoryBytes, 128 << 20);
  assert.throws(() => parseLaunch({ memory: '3K' }, files), LaunchProblem);
});

test('requests that come in one piece are answered in their order, each by what the one before did, and none of them ends the session', async () => {
  const s = await Inside.at('start_kernel');
  const { Registers } = await s.scopes();
  await s.functions('shell');
  s.order.length = 0;
  const set = s.raw('setVariable', { variablesReference: Registers, name: 'ebx', value: '1' });
  const first = s.raw('continue', { threadId: 1 });
  const second = s.raw('continue', { threadId: 1 });
  const step = s.raw('next', { threadId: 1 });
  const [a, b, c, d] = await Promise.all([set, first, second, step].map(({ response }) => response));
  assert.deepEqual([a.success, b.success, c.success, d.success], [true, true, false, false]);
  assert.match(c.message ?? '', /running; pause it first/);
  assert.deepEqual(s.order.slice(0, 5), ['setVariable', 'invalidated', 'continue', 'continue', 'next']);
  assert.equal((await s.stop()).reason, 'function breakpoint');
  await s.end();
});

test('a restart that cannot be leaves the session as it was: the Guest that ran is stopped, and goes on when told to', async () => {
  const s = await Inside.at('start_kernel', { cmdline: 'do=spin 4000000000' });
  await s.functions();
  await s.request('continue', { threadId: 1 });
  const wrong = { program: demoFile('demo.elf'), symbolFiles: [join(folder, 'none')] };
  assert.match(await s.failing('restart', { arguments: wrong }), /none cannot be read: no such file/);
  assert.equal((await s.stop()).reason, 'pause');
  await s.request('continue', { threadId: 1 });
  await s.request('pause', { threadId: 1 });
  assert.equal((await s.stop()).reason, 'pause');
  await s.request('restart');
  assert.equal((await s.stop()).reason, 'entry');
  await s.end();
});

test('where the engine refuses to compile WebAssembly, the session says so and works', async () => {
  const { Module } = WebAssembly;
  let s: Inside;
  try {
    // As a security policy does it.
    Object.assign(WebAssembly, {
      Module: class {
        constructor() {
          throw new WebAssembly.CompileError('refused');
        }
      },
    });
    s = await Inside.at('start_kernel');
  } finally {
    Object.assign(WebAssembly, { Module });
  }
  assert.match(s.output, /^Note: this engine refuses to compile WebAssembly; everything is interpreted, which is slower\.$/m);
  await s.functions('shell');
  assert.equal((await s.go()).reason, 'function breakpoint');
  await s.end();
});

test('a load that would meet a hole in memory changes nothing, and no more is saved than an answer can hold', async () => {
  const s = await Inside.at('shell');
  // The page at 0xd0000000 once more, two pages on: between them is nothing.
  const word = async (at: number): Promise<number> => Number(await s.evaluate(`read32(${at})`));
  const directory = Number(await s.evaluate('lg.gpgdir')) + 0xc0000000;
  const table = 0xc0000000 + ((await word(directory + 4 * (0xd0000000 >>> 22))) & 0xfffff000);
  const entry = Buffer.alloc(4);
  entry.writeUInt32LE(await word(table));
  await s.request('writeMemory', { memoryReference: `0x${(table + 8).toString(16)}`, data: entry.toString('base64') });
  const read = async (memoryReference: string): Promise<Body> => s.request('readMemory', { memoryReference, count: 0x2000 });
  const [before, behind] = [await read('0xd0000000'), await read('0xd0002000')];
  assert.deepEqual([before.unreadableBytes, behind.unreadableBytes], [0x1000, 0x1000]);
  const data = Buffer.alloc(0x3000, 0x5a).toString('base64');
  for (const request of ['lguest/memory/import', 'writeMemory'])
    assert.match(await s.failing(request, { memoryReference: '0xd0000000', data }), /^0xd0001000 is not mapped; nothing was/);
  assert.deepEqual([await read('0xd0000000'), await read('0xd0002000')], [before, behind]);
  assert.equal((await s.request('lguest/memory/import', { memoryReference: '&ticks', data: '' })).bytesWritten, 0);
  for (const count of [-1, 1e12])
    assert.match(await s.failing('lguest/memory/export', { memoryReference: '0xc0100000', count }), /"count" must be from 0 to/);
  await s.end();
});
