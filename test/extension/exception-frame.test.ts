// An exception that the editor would not show by itself, because it asked for the frames twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeEditor } from './fake-editor';

const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** How often the topmost frame was focused after an exception and these requests of the editor. */
async function focused(reason: string, ...requests: { command: string; arguments?: object }[]): Promise<number> {
  const editor = new FakeEditor();
  editor.activate();
  const session = editor.start({ id: 's1', type: 'lguest', name: 'x', configuration: {} }, () => ({ nodes: [] }));
  editor.message(session, { type: 'event', event: 'stopped', body: { reason } });
  for (const request of requests) editor.message(session, { type: 'request', ...request });
  await later(800);
  const count = editor.executed.filter(([command]) => command === 'workbench.action.debug.callStackTop').length;
  editor.end(session);
  editor.deactivate();
  return count;
}
const top = { command: 'stackTrace', arguments: { threadId: 1, startFrame: 0 } };
const rest = { command: 'stackTrace', arguments: { threadId: 1, startFrame: 1 } };

test('the topmost frame is focused again when the editor asked for the frames twice and not for the exception', async () => {
  const [twice, once, shown, step, gone] = await Promise.all([
    focused('exception', top, top, rest),
    focused('exception', top, rest),
    focused('exception', top, top, { command: 'exceptionInfo' }),
    focused('step', top, top),
    focused('exception', top, top, { command: 'continue' }),
  ]);
  assert.deepEqual({ twice, once, shown, step, gone }, { twice: 1, once: 0, shown: 0, step: 0, gone: 0 });
});
