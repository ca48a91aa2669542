// What keeps an editor's trees open while a user steps: names and order that never change, one thread number, and nothing worked out that nobody opened.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Inside } from './inside';

test('over a thousand steps the thread, the scopes, their order and the rows of the cheap ones keep their names, and a file its source', async () => {
  const s = await Inside.at('start_kernel');
  const scopeNames = new Set<string>();
  const rowNames = new Map<string, Set<string>>();
  const sources = new Map<string, Set<string>>();
  for (let n = 0; n < 1000; n++) {
    const stop = await s.go('stepIn', { granularity: 'instruction' });
    assert.equal(stop.threadId, 1);
    const [frame] = (await s.request('stackTrace', { threadId: 1, levels: 1 })).stackFrames as DebugProtocol.StackFrame[];
    const { path = '', name = '' } = frame.source ?? {};
    sources.set(path, (sources.get(path) ?? new Set()).add(name));
    const { scopes } = (await s.request('scopes', { frameId: frame.id })) as { scopes: DebugProtocol.Scope[] };
    for (const scope of scopes) assert.ok(scope.line === undefined && scope.column === undefined, 'a range would be part of its identity');
    scopeNames.add(
      scopes
        .map((scope) => scope.name)
        .filter((name) => name !== 'Locals' && name !== 'Statics') // there when the code has some
        .join(),
    );
    const registers = scopes.find((scope) => scope.name === 'Registers');
    const rows = (await s.variables(registers?.variablesReference ?? 0)).map((v) => v.name).join();
    rowNames.set('Registers', (rowNames.get('Registers') ?? new Set()).add(rows));
  }
  assert.equal(scopeNames.size, 1, [...scopeNames].join('\n'));
  assert.equal(rowNames.get('Registers')?.size, 1);
  for (const [path, names] of sources) assert.equal(names.size, 1, path);
  const { threads } = await s.request('threads');
  assert.deepEqual(
    threads.map((t: DebugProtocol.Thread) => t.id),
    [1],
  );
  await s.end();
});

test('only locals, registers and the trap are fetched unasked; page walks, tables and tasks wait behind a click', async () => {
  const s = await Inside.at('handle_irq');
  const [frame] = await s.frames();
  const { scopes } = (await s.request('scopes', { frameId: frame.id })) as { scopes: DebugProtocol.Scope[] };
  const cheap = scopes.filter((x) => !x.expensive).map((x) => x.name);
  assert.deepEqual(
    cheap.filter((name) => name !== 'Locals'),
    ['Registers', 'Trap'],
  );
  const expensive = scopes.filter((x) => x.expensive).map((x) => x.name);
  for (const name of ['Flags', 'Segments', 'Control & cr2', 'FPU', 'Debug registers', 'Page walk', 'lguest', 'lguest_data'])
    assert.ok(expensive.includes(name), `${name} among ${expensive.join()}`);
  // A row that costs more than a millisecond has no value until it is opened: then it is the one row that comes.
  const opened = async (row: DebugProtocol.Variable | undefined): Promise<DebugProtocol.Variable> => {
    assert.deepEqual([row?.presentationHint?.lazy, (row?.variablesReference ?? 0) > 0], [true, true], row?.name);
    const [only, ...others] = await s.variables(row?.variablesReference ?? 0);
    assert.deepEqual([only.name, only.presentationHint?.lazy, others.length], [row?.name, undefined, 0]);
    return only;
  };
  const data = await s.variables(scopes.find((x) => x.name === 'lguest_data')?.variablesReference ?? 0);
  const ring = await opened(data.find((v) => v.name === 'ring'));
  assert.match(ring.value, /^\d+ of 64 ready, at guest-physical 0x[0-9a-f]{8}$/);
  const slots = await s.variables(ring.variablesReference);
  assert.deepEqual([slots.length, ring.indexedVariables], [64, 64]);
  const { variables: some } = await s.request('variables', {
    variablesReference: ring.variablesReference,
    filter: 'indexed',
    start: 10,
    count: 2,
  });
  assert.deepEqual(
    some.map((v: DebugProtocol.Variable) => v.name),
    ['[10]', '[11]'],
  );
  const walks = await s.variables(scopes.find((x) => x.name === 'Page walk')?.variablesReference ?? 0);
  assert.deepEqual(
    walks.map((v) => v.name),
    ['eip', 'esp', 'cr2.host'],
  );
  const walk = await opened(walks[0]);
  assert.match(walk.value, /^0xc01[0-9a-f]{5}: A kernel read goes through/);
  const levels = await s.variables(walk.variablesReference);
  assert.ok(
    levels.some((v) => /Guest tables/.test(v.name)) && levels.some((v) => /shadow/i.test(v.name)),
    levels.map((v) => v.name).join(),
  );
  await s.end();
});

test('what an editor asks after a stop, its views included, costs the adapter at most 60 ms', async () => {
  const s = await Inside.at('handle_irq');
  const times: number[] = [];
  for (let n = 0; n < 20 && (n < 5 || Math.min(...times.slice(1)) > 60); n++) {
    // The processor's time from the step to the last answer, and the best of many: others may be at work on the machine.
    const from = process.cpuUsage();
    await s.go('next');
    await s.request('threads');
    const frames = await s.frames();
    const { scopes } = (await s.request('scopes', { frameId: frames.find((f) => f.presentationHint !== 'label')?.id })) as {
      scopes: DebugProtocol.Scope[];
    };
    for (const scope of scopes) if (!scope.expensive) await s.variables(scope.variablesReference);
    for (const view of ['registers', 'trap', 'pageWalk']) await s.request(`lguest/view/${view}`);
    await s.request('lguest/info');
    const { user, system } = process.cpuUsage(from);
    times.push((user + system) / 1000);
  }
  assert.ok(Math.min(...times.slice(1)) <= 60, `${times.map((t) => t.toFixed(0)).join(' ')} ms`);
  await s.end();
});
