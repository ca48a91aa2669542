// Where names and sources come from, and breakpoints and steps in code that runs before the kernel's addresses hold.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { openProgram } from '../../src/debugger/programs';
import { demoFile, lineOf } from './client';
import { Inside } from './inside';

const folder = mkdtempSync(join(tmpdir(), 'lguest-symbols-'));
after(() => rmSync(folder, { recursive: true }));
const image = new Uint8Array(readFileSync(demoFile('demo.elf')));

/** The demo without any section: no names, no lines. */
const stripped = (name: string): string => {
  const bytes = image.slice();
  bytes.fill(0, 32, 36);
  bytes.fill(0, 46, 52);
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
/** A System.map of the demo's functions. */
const systemMap = (): string => {
  const rows = [...openProgram(image, 'demo.elf').table.all()].map(
    (s) => `${s.address.toString(16).padStart(8, '0')} ${s.kind === 'object' ? 'D' : 'T'} ${s.name}`,
  );
  writeFileSync(join(folder, 'System.map'), `${rows.join('\n')}\n`);
  return join(folder, 'System.map');
};
const atEntry = async (more: object = {}): Promise<Inside> => {
  const s = new Inside();
  await s.request('initialize', { adapterID: 'lguest' });
  await s.request('launch', { program: demoFile('demo.elf'), stopOnEntry: true, ...more });
  return s;
};

test('breakpoints on the first code fire at the physical addresses it runs at, later ones at the virtual, and nobody has to say which', async () => {
  const s = await atEntry();
  const line = lineOf('head.S', 'LHCALL_LGUEST_INIT, %eax');
  const { breakpoints } = await s.request('setBreakpoints', { source: { path: demoFile('head.S') }, breakpoints: [{ line }] });
  assert.equal(breakpoints[0].verified, true);
  const [start] = await s.functions('start_kernel');
  await s.request('configurationDone');
  await s.stop();
  const early = await s.go();
  assert.deepEqual(early.hitBreakpointIds, [breakpoints[0].id]);
  const [frame] = await s.frames();
  assert.deepEqual([frame.name, frame.line, Number(frame.instructionPointerReference) >>> 20], ['_start', line, 1]);
  const late = await s.go();
  assert.deepEqual(late.hitBreakpointIds, [start.id]);
  assert.equal(Number((await s.frames())[0].instructionPointerReference) >>> 20, 0xc01);
  await s.end();
});

test('a breakpoint at the very first instruction stops there; "all:" is every address of a name, "v:" its virtual one only, "p:" the memory behind it', async () => {
  const first = async (name: string): Promise<string> => {
    const s = new Inside();
    await s.request('initialize', { adapterID: 'lguest' });
    await s.request('launch', { program: demoFile('demo.elf') });
    const [b] = await s.functions(name, 'start_kernel');
    assert.equal(b.verified, true, b.message);
    await s.request('configurationDone');
    const stop = await s.stop();
    const [{ name: where, instructionPointerReference: at }] = await s.frames();
    if (where === '_start') assert.match(await s.evaluate('when'), /^#0[.,]/);
    const more = stop.hitBreakpointIds?.includes(b.id) ? await s.go() : stop;
    assert.equal(more.hitBreakpointIds?.length, 1, 'once, and then the next');
    assert.equal((await s.frames())[0].name, 'start_kernel');
    await s.end();
    return `${where} ${at}`;
  };
  for (const name of ['_start', 'all:_start', 'p:0x00100000', '0x00100000']) assert.equal(await first(name), '_start 0x00100000', name);
  assert.match(await first('v:_start'), /^start_kernel 0xc01/, 'never at the virtual one');
});

test('assembly is stepped line by line, through the jump from physical to virtual addresses, and into C', async () => {
  const s = await atEntry();
  await s.request('configurationDone');
  await s.stop();
  const lines: (number | undefined)[] = [];
  let name = '_start';
  for (let n = 0; n < 60 && name === '_start'; n++) {
    const [frame] = await s.frames();
    assert.equal(frame.source?.name, 'head.S');
    lines.push(frame.line);
    await s.go('stepIn', { granularity: 'line' });
    name = (await s.frames())[0].name;
  }
  assert.equal(name, 'start_kernel');
  assert.equal((await s.frames())[0].source?.name, 'boot.c');
  assert.deepEqual(
    [...lines],
    [...lines].sort((a, b) => (a ?? 0) - (b ?? 0)),
    'in the order of the file, macro or not',
  );
  for (const text of ['cld', 'outb', 'rep stosl', 'rep movsl', '$jump_high, %eax']) assert.ok(lines.includes(lineOf('head.S', text)), text);
  await s.end();
});

test('a System.map gives an image without symbols its names: for breakpoints, stacks and expressions', async () => {
  const s = await atEntry({
    program: stripped('plain.elf'),
    symbolFiles: [systemMap()],
    stopOnEntry: false,
    runToEntryPoint: 'start_kernel',
  });
  const [printk, none] = await s.functions('printk', 'no_such_function');
  assert.deepEqual([printk.verified, none.verified], [true, false]);
  await s.request('configurationDone');
  await s.stop();
  assert.equal((await s.frames())[0].name, 'start_kernel');
  assert.equal((await s.go()).reason, 'function breakpoint');
  assert.deepEqual(
    (await s.frames()).slice(0, 2).map((f) => f.name.replace(/\+.*/, '')),
    ['printk', 'announce'],
  );
  assert.match(await s.evaluate('sym($eip)'), /printk/);
  const { modules } = await s.request('modules');
  assert.deepEqual(
    modules.slice(0, 1).map((m: { name: string; symbolStatus: string }) => [m.name, m.symbolStatus]),
    [['System.map', 'names only']],
  );
  await s.end();
});

test('sources that lie elsewhere are found by "sourceMap", and breakpoints in them bind', async () => {
  const program = join(folder, 'demo.elf');
  copyFileSync(demoFile('demo.elf'), program);
  copyFileSync(demoFile('boot.c'), join(folder, 'boot.c'));
  const s = await atEntry({
    program: stripped('bare.elf'),
    symbolFiles: [demoFile('demo.elf')],
    sourceMap: { [demoFile('')]: folder },
    stopOnEntry: false,
    runToEntryPoint: 'start_kernel',
  });
  const line = lineOf('boot.c', 'load_segments();');
  const { breakpoints } = await s.request('setBreakpoints', { source: { path: join(folder, 'boot.c') }, breakpoints: [{ line }] });
  assert.equal(breakpoints[0].verified, true);
  await s.request('configurationDone');
  await s.stop();
  assert.equal((await s.frames())[0].source?.path, join(folder, 'boot.c'));
  await s.go();
  assert.deepEqual([(await s.frames())[0].source?.path, (await s.frames())[0].line], [join(folder, 'boot.c'), line]);
  await s.end();
});

test('below a system call stands its boundary by name, then the program of ring 3 with its lines and variables', async () => {
  const s = await Inside.at('handle_syscall');
  const frames = await s.frames();
  const label = frames.findIndex((f) => f.presentationHint === 'label');
  assert.ok(label > 0);
  assert.match(frames[label].name, /^── int 0x80.* from user → direct +trap \d+ ──$/);
  const user = frames.slice(label + 1);
  assert.deepEqual([user[0].source?.name, user[0].name], ['user.c', 'syscall'], JSON.stringify(user.map((f) => f.name)));
  assert.ok(user.every((f) => Number(f.instructionPointerReference) < 0x0900_0000));
  const { scopes } = await s.request('scopes', { frameId: user[0].id });
  const locals = await s.variables(scopes.find((x: { name: string }) => x.name === 'Locals').variablesReference);
  assert.ok(
    locals.some((v) => v.name === 'number'),
    JSON.stringify(locals),
  );
  await s.end();
});

test('task switches stop or are logged with both sides, and "from" and "to" are conditions', async () => {
  const s = await Inside.at('show_task_switches');
  const set = (condition: string): Promise<unknown> =>
    s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'taskSwitch', condition }] });
  await set('from != to');
  const stop = await s.go();
  assert.deepEqual([stop.reason, stop.description], ['exception', 'Task switch']);
  const text = /SET_STACK.* From the kernel stack (0x[0-9a-f]+) to the kernel stack (0x[0-9a-f]+)\.$/.exec(stop.text ?? '');
  assert.ok(text, stop.text);
  await set(`from == ${text[1]}`);
  const back = await s.go();
  assert.ok(back.text?.includes(`From the kernel stack ${text[1]} to`), back.text);
  await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'taskSwitch', mode: 'log' }] });
  await s.functions('shell');
  await s.go();
  assert.match(s.output, /taskSwitch: From the kernel stack 0x[0-9a-f]+ to the kernel stack 0x[0-9a-f]+\. \(trap \d+, #/);
  await s.end();
});

test('code that the kernel has patched shows what the file has, and the name of what lguest patches in', async () => {
  const s = await Inside.at('show_breakpoints');
  const flag = Number(await s.evaluate('&lguest_data.irq_enabled'));
  const [{ instructionPointerReference: pc }] = await s.frames();
  const word = (n: number): number[] => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24];
  const patches = [
    [0xc7, 0x05, ...word(flag), ...word(0)],
    [0xc7, 0x05, ...word(flag), ...word(0x200)],
    [0xa1, ...word(flag)],
    [0xa3, ...word(flag)],
    [0x90],
  ];
  const data = Buffer.from(patches.flat()).toString('base64');
  await s.request('writeMemory', { memoryReference: pc, data });
  const { instructions } = await s.request('disassemble', { memoryReference: pc, instructionCount: 5 });
  const notes = instructions.map((i: { instruction: string }) => /patched: (\w+), file has|file has/.exec(i.instruction)?.slice(0, 2));
  assert.deepEqual(
    notes.map((n: string[] | undefined) => n?.[1]),
    ['cli', 'sti', 'pushf', 'popf', undefined],
  );
  await s.end();
});

test('a source that is not found is named, and found from the moment on at which its folder is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-located-'));
  try {
    const program = join(folder, 'demo.elf');
    copyFileSync(demoFile('demo.elf'), program);
    const s = await Inside.at('start_kernel', { program });
    const [frame] = await s.frames();
    assert.equal(frame.source?.name, 'start_kernel.lgl');
    const { file, path } = await s.request('lguest/source/missing', { frameId: frame.id });
    assert.match(file, /boot\.c$/);
    assert.equal(path, undefined);
    await s.request('lguest/source/map', { from: dirname(file), to: dirname(demoFile('boot.c')) });
    assert.ok(s.events.some((e) => e.event === 'invalidated' && e.body.areas[0] === 'stacks'));
    const [located] = await s.frames();
    assert.deepEqual([located.source?.path, located.name], [demoFile('boot.c'), 'start_kernel']);
    assert.match(readFileSync(demoFile('boot.c'), 'utf8').split('\n')[located.line - 1], /\S/);
    assert.equal((await s.request('lguest/source/missing', { frameId: located.id })).path, demoFile('boot.c'));
    await s.end();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
