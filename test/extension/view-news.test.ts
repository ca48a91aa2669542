// What a stop costs the editor: which rows the views tell it of, what they ask for it, and when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeEditor, type FakeSession } from './fake-editor';

const event = (name: string, body: object = {}) => ({ type: 'event', event: name, body });
const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const request = (command: string) => ({ type: 'request', command });

const registers = (eax: number, ebx: number) => [
  {
    label: 'General',
    description: `${eax + ebx} changed`,
    expanded: true,
    children: [
      { label: 'eax', description: String(eax), changed: eax > 0 },
      { label: 'ebx', description: String(ebx) },
    ],
  },
];
const info = { position: '#5', ns: 0, traps: 0, held: [] };
const details = (nodes: object[]) =>
  event('lguest/stop', { info, views: { 'lguest/view/registers': { nodes }, 'lguest/view/trap': { nodes: [] } } });

/** An editor with a Guest that tells with each stop what is followed; `asked` are the requests of the extension from then on. */
async function following(hidden: string[] = []): Promise<{ editor: FakeEditor; session: FakeSession; asked: string[] }> {
  const editor = new FakeEditor();
  editor.follows = true;
  for (const view of ['lguest.pageWalk', 'lguest.tasks', 'lguest.memory', 'lguest.breakpoints', ...hidden]) editor.hidden.add(view);
  editor.activate();
  const asked: string[] = [];
  const session = editor.start({ id: 's1', type: 'lguest', name: 'x', configuration: {} }, (command) => {
    asked.push(command);
    return command === 'lguest/info' ? info : { nodes: registers(0, 0) };
  });
  editor.message(session, event('stopped'));
  await later(250);
  await editor.rows('lguest.registers');
  await editor.rows('lguest.trap');
  await later(250);
  asked.length = editor.news.length = 0;
  return { editor, session, asked };
}

test('a step whose stop brings its details asks nothing, and the editor is told of the rows that look otherwise at once', async () => {
  const { editor, session, asked } = await following();
  assert.deepEqual(editor.followed, [{ views: { 'lguest/view/registers': { groups: [] }, 'lguest/view/trap': {} } }]);
  editor.message(session, request('next'));
  editor.message(session, event('stopped'));
  assert.deepEqual(editor.news, [], 'its details are on the way');
  editor.message(session, details(registers(7, 0)));
  await later(0);
  assert.deepEqual(asked, []);
  assert.deepEqual(
    editor.news.filter(({ view }) => view === 'lguest.registers'),
    [{ view: 'lguest.registers', rows: ['/General/eax'] }],
  );
  assert.deepEqual(editor.status, '$(debug-pause) #5');
  const tree = editor.trees.get('lguest.registers');
  const [group] = (await tree?.getChildren()) ?? [];
  assert.equal(tree?.getTreeItem(group)['description'], '', 'what has changed in an open group can be seen');
  assert.deepEqual(await editor.rows('lguest.registers'), ['General', '  eax 7', '  ebx 0']);
});

test('a stop at which nothing looks otherwise tells the editor nothing', async () => {
  const { editor, session } = await following(['lguest.trap']);
  editor.message(session, request('next'));
  editor.message(session, event('stopped'));
  editor.message(session, details(registers(0, 0)));
  await later(350);
  assert.deepEqual(
    editor.news.filter(({ view }) => view === 'lguest.registers'),
    [],
  );
});

test('stops in quick succession are told together, the newest values, and none is lost', async () => {
  const { editor, session } = await following();
  for (let n = 1; n <= 5; n++) {
    editor.message(session, request('next'));
    editor.message(session, event('stopped'));
    editor.message(session, details(registers(n, n > 3 ? 1 : 0)));
    await later(5);
  }
  await later(300);
  assert.deepEqual(
    editor.news.filter(({ view }) => view === 'lguest.registers'),
    [
      { view: 'lguest.registers', rows: ['/General/eax'] },
      { view: 'lguest.registers', rows: ['/General/eax', '/General/ebx'] },
    ],
  );
});

test('rows that come or go are asked for again as a whole', async () => {
  const { editor, session } = await following();
  editor.message(session, event('stopped'));
  editor.message(session, details([...registers(0, 0), { label: 'Flags' }]));
  await later(0);
  assert.deepEqual(
    editor.news.filter(({ view }) => view === 'lguest.registers'),
    [{ view: 'lguest.registers', rows: undefined }],
  );
  assert.deepEqual(await editor.rows('lguest.registers'), ['General', '  eax 0', '  ebx 0', 'Flags']);
});

test('a view out of sight is neither followed nor asked for, and the editor is told once that it is old', async () => {
  const { editor, session, asked } = await following(['lguest.registers']);
  assert.deepEqual(editor.followed, [{ views: { 'lguest/view/trap': {} } }]);
  for (let n = 0; n < 3; n++) {
    editor.message(session, request('next'));
    editor.message(session, event('stopped'));
    editor.message(session, details([]));
    await later(0);
  }
  await later(250);
  assert.deepEqual(
    editor.news.filter(({ view }) => view === 'lguest.registers'),
    [{ view: 'lguest.registers', rows: undefined }],
  );
  assert.deepEqual(asked, []);
});

test('a stop whose details do not come is shown all the same, by asking', async () => {
  const { editor, session, asked } = await following();
  editor.message(session, event('stopped'));
  await later(100);
  assert.deepEqual(asked.toSorted(), ['lguest/info', 'lguest/view/registers', 'lguest/view/trap']);
});

test('an edited value is asked for, though details came with the stop', async () => {
  const { editor, session, asked } = await following();
  editor.message(session, event('stopped'));
  editor.message(session, details(registers(0, 0)));
  editor.message(session, { type: 'response', command: 'setVariable', success: true });
  await later(0);
  assert.ok(asked.includes('lguest/view/registers'));
});

test('an edited value of one session is asked for while another one has just been set running', async () => {
  const { editor, session, asked } = await following();
  editor.message(session, event('stopped'));
  editor.message(session, details(registers(0, 0)));
  const other = editor.start({ id: 's2', type: 'lguest', name: 'y', configuration: {} }, () => ({ nodes: [] }));
  editor.active = session;
  editor.message(other, request('continue'));
  editor.message(session, { type: 'response', command: 'setVariable', success: true });
  await editor.rows('lguest.registers');
  assert.ok(asked.includes('lguest/view/registers'));
});
