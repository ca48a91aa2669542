// When a frame that a step waits for is gone with a return to user mode: told from the ring, the task and its memory, with a task made for the purpose.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameGone, type GoneOwner } from '../../src/debugger/frame-gone';
import { W } from '../../src/i386/state';

const TASK = { address: 0xc1000000, pid: 7, comm: 'sh', mm: 0xc2000000 };

/** A task before an IRET. `now`: what memory says of it behind that. */
const before = (cpl: number, now: { mm?: number; comm?: string; ring?: number; mine?: boolean }): FrameGone => {
  const m32 = new Int32Array(W.CPL + 1);
  m32[W.CPL] = now.ring ?? 3;
  const owner = {
    target: { processor: { cpu: { m32 } }, host: {} },
    programs: { addressOf: () => undefined },
    tasks: {
      ready: true,
      current: () => TASK,
      at: () => ({ ...TASK, comm: now.comm ?? TASK.comm }),
      object: () => ({ number: (name: string) => (name === 'mm' ? (now.mm ?? TASK.mm) : 0) }),
    },
  } as unknown as GoneOwner;
  return new FrameGone(owner, () => now.mine !== false, cpl);
};

test('a program that gave way to another in its own task is gone, and the text has both names', () => {
  const gone = before(3, { mm: 0xc2000100, comm: 'ls' });
  assert.equal(
    gone.returned(1, () => false),
    true,
  );
  assert.equal(gone.text, 'pid 7 (sh) runs another program, ls');
});

test('a program whose system call returns, also to a signal handler, is still there', () => {
  const gone = before(3, {});
  assert.equal(
    gone.returned(1, () => false),
    false,
  );
  assert.equal(gone.text, undefined);
});

test("a kernel's frame is gone once its task is back in user mode, unless the step goes there", () => {
  const gone = before(1, {});
  assert.equal(
    gone.returned(1, () => true),
    false,
  );
  assert.equal(
    gone.returned(1, () => false),
    true,
  );
  assert.equal(gone.text, 'pid 7 (sh) went to user mode');
});

test("returns that stay in the kernel, another task's, the Switcher's and a program's own say nothing", () => {
  assert.equal(
    before(1, { ring: 1 }).returned(1, () => false),
    false,
  );
  assert.equal(
    before(1, { mine: false }).returned(1, () => false),
    false,
  );
  assert.equal(
    before(1, {}).returned(0, () => false),
    false,
  );
  assert.equal(
    before(3, { mm: 1 }).returned(3, () => false),
    false,
  );
});
