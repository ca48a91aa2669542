// Reading symbols takes its time: it shows how far it is, can be cancelled, and lets through what cannot wait.
// A compressed section of 24 MB, which is nothing but zeros, makes any file slow to open.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withCompressed, withSection } from '../symbols/add-section';
import { demoFile, lineOf } from './client';
import { type Body, Inside } from './inside';

const folder = mkdtempSync(join(tmpdir(), 'lguest-loading-'));
after(() => rmSync(folder, { recursive: true }));
const image = new Uint8Array(readFileSync(demoFile('demo.elf')));
const slow = withCompressed(image, '.debug_more', new Uint8Array(24 << 20));
const write = (name: string, bytes: Uint8Array): string => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
const slowFile = write('slow.elf', slow);

const PROGRESS = { supportsProgressReporting: true };
const prepare = async (client: Body = PROGRESS): Promise<Inside> => {
  const s = new Inside({ progressAfterMs: 0 });
  await s.request('initialize', { adapterID: 'lguest', ...client });
  return s;
};
const launchSlow = (s: Inside, more: Body = {}) => s.raw('launch', { program: slowFile, stopOnEntry: true, ...more });
const seen = async (s: Inside, event: string): Promise<Body> => {
  for (const until = performance.now() + 20_000; performance.now() < until; ) {
    const found = s.events.find((e) => e.event === event);
    if (found !== undefined) return found.body;
    await new Promise((done) => setTimeout(done, 1));
  }
  throw new Error(`no ${event}; came: ${s.order.join(' ')}`);
};
const progress = (s: Inside) => s.events.filter((e) => e.event.startsWith('progress'));
const lineBreakpoint = async (s: Inside): Promise<boolean> => {
  const line = lineOf('boot.c', 'start_paging();');
  const { breakpoints } = await s.request('setBreakpoints', { source: { path: demoFile('boot.c') }, breakpoints: [{ line }] });
  return breakpoints[0].verified;
};

test('reading symbols at launch shows its start, how far it is and its end, before the launch is answered, and names the request', async () => {
  const s = await prepare();
  const launch = launchSlow(s);
  assert.ok((await launch.response).success);
  const all = progress(s);
  assert.equal(all[0]?.event, 'progressStart');
  assert.equal(all.at(-1)?.event, 'progressEnd');
  assert.ok(all.slice(1, -1).every((e) => e.event === 'progressUpdate'));
  const [start, ...others] = all;
  assert.equal(start?.body.requestId, launch.seq);
  assert.equal(start?.body.cancellable, true);
  assert.match(start?.body.title, /slow\.elf/);
  for (const e of others) assert.equal(e.body.progressId, start?.body.progressId);
  const shares = all.slice(0, -1).map((e) => e.body.percentage);
  assert.deepEqual(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.ok(shares.every((x) => x >= 0 && x <= 100));
  assert.ok(s.order.indexOf('progressEnd') < s.order.indexOf('launch'));
  await s.end();
});

test('a client that does not report progress is told nothing of it', async () => {
  const s = await prepare({});
  assert.ok((await launchSlow(s).response).success);
  assert.deepEqual(progress(s), []);
  await s.end();
});

test('what is quick shows no progress', async () => {
  const s = await prepare();
  await s.request('launch', { program: demoFile('demo.elf'), stopOnEntry: true });
  assert.deepEqual(progress(s), []);
  await s.end();
});

for (const how of ['progressId', 'requestId'] as const) {
  test(`reading symbols that is cancelled by its ${how} leaves a session with names and without lines, which says so; restart reads all`, async () => {
    const s = await prepare();
    const launch = launchSlow(s);
    const start = await seen(s, 'progressStart');
    const wanted = how === 'progressId' ? { progressId: start.progressId } : { requestId: launch.seq };
    const cancelled = s.raw('cancel', wanted).response;
    assert.ok((await launch.response).success);
    assert.ok((await cancelled).success);
    assert.equal(progress(s).at(-1)?.event, 'progressEnd');
    assert.equal(s.output.match(/Reading slow\.elf was cancelled: its names are known, its lines and types are not/g)?.length, 1);
    assert.ok((await s.raw('cancel', wanted).response).success, 'a second time does no harm');
    assert.equal(await lineBreakpoint(s), false);
    const [named] = await s.functions('start_kernel');
    assert.equal(named?.verified, true);
    await s.request('configurationDone');
    await s.stop();
    assert.deepEqual((await s.go()).hitBreakpointIds, [named?.id]);
    assert.match(await s.evaluate('info symbols'), /slow\.elf: \d+ names, no lines and types\n {2}Reading slow\.elf was cancelled/);
    await s.request('restart');
    await s.stop();
    assert.equal(await lineBreakpoint(s), true);
    assert.doesNotMatch(await s.evaluate('info symbols'), /cancelled/);
    await s.end();
  });
}

test('a restart after the Guest has ended reads a changed file to its end', async () => {
  const copy = join(folder, 'changing.elf');
  copyFileSync(demoFile('demo.elf'), copy);
  const s = await prepare();
  await s.request('launch', { program: copy, noDebug: true, cmdline: 'do=off' });
  await s.request('configurationDone');
  await seen(s, 'terminated');
  writeFileSync(copy, slow);
  await s.request('restart', { arguments: { program: copy, stopOnEntry: true } });
  await s.stop();
  assert.equal(await lineBreakpoint(s), true);
  await s.end();
});

test('requests behind the one that reads are answered in their order, and what cannot wait at once', async () => {
  const s = await prepare();
  const launch = launchSlow(s);
  await seen(s, 'progressStart');
  const behind = [s.raw('modules'), s.raw('setFunctionBreakpoints', { breakpoints: [{ name: 'start_kernel' }] }), s.raw('modules')];
  const urgent = s.raw('cancel', { requestId: 12345 });
  assert.ok((await urgent.response).success);
  assert.ok(!s.order.includes('launch'), 'answered while it reads');
  const answers = await Promise.all([launch, ...behind].map((r) => r.response));
  assert.ok(answers.every((a) => a.success));
  assert.deepEqual(
    s.order.filter((name) => ['launch', 'modules', 'setFunctionBreakpoints'].includes(name)),
    ['launch', 'modules', 'setFunctionBreakpoints', 'modules'],
  );
  assert.equal(answers[2]?.body.breakpoints[0].verified, true);
  await s.end();
});

for (const command of ['launch', 'restart'])
  test(`a client that leaves while ${command} reads symbols leaves nothing running`, async () => {
    const s = await prepare();
    if (command === 'restart') {
      await s.request('launch', { program: demoFile('demo.elf'), stopOnEntry: true });
      await s.request('configurationDone');
      await s.stop();
    }
    const reading = command === 'launch' ? launchSlow(s) : s.raw('restart', { arguments: { program: slowFile } });
    await seen(s, 'progressStart');
    const before = s.events.length;
    await s.end();
    await reading.response;
    await new Promise((done) => setTimeout(done, 50));
    const later = s.events.slice(before).map((e) => e.event);
    for (const event of ['initialized', 'stopped', 'continued', 'terminated']) assert.ok(!later.includes(event), later.join(' '));
    assert.equal(s.console, '');
  });

test('damage of a file is told once, with the first of it; the rest is in "info symbols", and names still work', async () => {
  const bytes = withSection(withSection(image, '.debug_more', new Uint8Array(2), 0x800), '.debug_less', new Uint8Array(2), 0x800);
  const s = await prepare();
  await s.request('launch', { program: write('damaged.elf', bytes), stopOnEntry: true });
  await s.request('configurationDone');
  await s.stop();
  await s.evaluate('1 + 1');
  await s.functions('start_kernel');
  const told = s.output.split('\n').filter((line) => /damaged\.elf|debug_more|debug_less/.test(line));
  assert.equal(told.length, 1, s.output);
  assert.match(told[0] ?? '', /debug_more.*\(and 1 more\) What is readable is used; "info symbols" tells what/);
  assert.match(await s.evaluate('info symbols'), /debug_more[\s\S]*debug_less/);
  assert.equal(await lineBreakpoint(s), true);
  await s.end();
});
