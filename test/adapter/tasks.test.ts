// Tasks of the Guest as threads, over DAP.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Session } from './client';

test('with "threads": "tasks" every sleeping task is a thread with its own chain, and the processor stays thread 1', async () => {
  const s = await Session.start();
  try {
    await s.launch({ program: 'test/debugger/fixtures/kernel.elf', machine: 'bare', memory: '8M', threads: 'tasks' });
    await s.request('setFunctionBreakpoints', { breakpoints: [{ name: 'ready' }] });
    await s.done();
    await s.stop();
    const { threads } = (await s.request('threads')) as unknown as { threads: { id: number; name: string }[] };
    assert.equal(threads[0].name, 'CPU 0 – swapper (pid 0) kernel');
    assert.equal(threads[0].id, 1);
    const worker = threads.find((t) => t.name === 'pid 2 worker [S] wait_for_event');
    assert.ok(worker !== undefined, threads.map((t) => t.name).join());
    const { stackFrames } = (await s.request('stackTrace', { threadId: worker.id, startFrame: 0, levels: 3 })) as unknown as {
      stackFrames: { name: string }[];
    };
    assert.deepEqual(
      stackFrames.map((f) => f.name),
      ['schedule', 'wait_for_event', 'worker'],
    );
    assert.match(await s.failing('stackTrace', { threadId: 999 }), /no thread 999/);
  } finally {
    await s.end();
  }
});
