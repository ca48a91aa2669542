// The extension as the editor sees it: the built bundle, activated on a stand-in for the editor's API, driven from outside.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { FakeEditor, type FakeSession, Uri } from './fake-editor';

const DEMO = resolve('examples/demo/demo.elf');

function activated(): FakeEditor {
  const editor = new FakeEditor();
  editor.activate();
  return editor;
}

const guest = (name = 'lguest: demo Guest', id = 's1'): Omit<FakeSession, 'customRequest'> => ({
  id,
  type: 'lguest',
  name,
  configuration: { console: 'integratedTerminal' },
});
const event = (name: string, body: object = {}) => ({ type: 'event', event: name, body });

/** A folder with a kernel, an object file and a script that look alike by name. */
function workspace(): { folder: string; files: string[] } {
  const folder = join(mkdtempSync(join(tmpdir(), 'lguest-')), 'ws');
  mkdirSync(join(folder, 'build'), { recursive: true });
  const elf = (type: number): Uint8Array => Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, ...Array(9).fill(0), type, 0, 3, 0]);
  const files = ['build/vmlinux', 'vmlinux.o', 'vmlinux.lds', 'vmlinux'].map((name) => join(folder, name));
  for (const file of files) writeFileSync(file, file.endsWith('.lds') ? 'SECTIONS {}' : elf(file.endsWith('.o') ? 1 : 2));
  return { folder, files };
}

test('F5 in a folder without kernels boots the demo Guest at once', async () => {
  const editor = activated();
  const resolveConfig = editor.providers.find(({ trigger }) => trigger === 1)?.provider['resolveDebugConfiguration'];
  const full = (await editor.providers[0]?.provider['resolveDebugConfiguration']?.(undefined, {})) as Record<string, unknown>;
  assert.ok(resolveConfig);
  assert.equal(full['program'], DEMO);
  assert.equal(full['runToEntryPoint'], 'start_kernel');
  assert.equal(full['type'], 'lguest');
});

test('F5 in a folder with kernels offers them and the demo; Escape starts nothing', async () => {
  const editor = activated();
  const { folder, files } = workspace();
  editor.files = files;
  editor.pick = 'build/vmlinux';
  const provider = editor.providers[0]?.provider;
  const full = (await provider?.['resolveDebugConfiguration']?.(undefined, {})) as Record<string, unknown>;
  assert.equal(full['program'], join(folder, 'build/vmlinux'));
  editor.pick = undefined;
  assert.equal(await provider?.['resolveDebugConfiguration']?.(undefined, {}), undefined);
  rmSync(dirname(folder), { recursive: true });
});

test('the Run view lists the demo and every i386 kernel of the workspace, the root first', async () => {
  const editor = activated();
  const { folder, files } = workspace();
  editor.files = files;
  const dynamic = editor.providers.find(({ trigger }) => trigger === 2)?.provider;
  const offered = (await dynamic?.['provideDebugConfigurations']?.(undefined)) as { name: string }[];
  assert.deepEqual(
    offered.map(({ name }) => name),
    ['lguest: demo Guest', 'lguest: vmlinux', 'lguest: build/vmlinux'],
  );
  rmSync(dirname(folder), { recursive: true });
});

test('settings fill a launch configuration', async () => {
  const editor = activated();
  editor.settings = { 'lguest.launch.memory': '256M', 'lguest.disassembly.syntax': 'intel' };
  const full = (await editor.providers[0]?.provider['resolveDebugConfiguration']?.(undefined, {
    type: 'lguest',
    name: 'x',
    request: 'launch',
  })) as Record<string, unknown>;
  assert.equal(full['memory'], '256M');
  assert.equal(full['disassemblySyntax'], 'intel');
});

test('a missing kernel file is one clear message and no start', async () => {
  const editor = activated();
  const config = { type: 'lguest', request: 'launch', name: 'x', program: '/no/such/vmlinux' };
  const answer = await editor.providers[0]?.provider['resolveDebugConfigurationWithSubstitutedVariables']?.(undefined, config);
  assert.equal(answer, undefined);
  assert.deepEqual(editor.messages, [
    'error: lguest: "program" names /no/such/vmlinux, which does not exist; correct the path in launch.json.',
  ]);
});

test('the adapter is a process of its own, run by the Node of the editor', () => {
  const editor = activated();
  let descriptor: { command: string; args: string[]; options: { env: Record<string, string> } } | undefined;
  try {
    descriptor = editor.factory?.createDebugAdapterDescriptor({ configuration: { exceptionFilters: 'perVector' } });
  } catch (error) {
    assert.match((error as Error).message, /adapter\.js is missing; reinstall the extension, or run "npm run build"/);
    return;
  }
  assert.equal(descriptor?.command, process.execPath);
  assert.deepEqual(descriptor?.args, [resolve('dist/adapter.js'), '--exception-filters', 'perVector']);
  assert.equal(descriptor?.options.env['ELECTRON_RUN_AS_NODE'], '1');
});

test('what the Guest prints appears in its terminal, also what came before the terminal was open', () => {
  const editor = activated();
  const session = editor.start(guest());
  editor.message(session, event('lguest/consoleData', { data: 'boot\n' }));
  const terminal = editor.terminals[0];
  assert.ok(terminal);
  assert.equal(terminal.name, 'Guest console: demo Guest');
  assert.equal(terminal.shown, true);
  terminal.open();
  editor.message(session, event('lguest/consoleData', { data: 'demo> ' }));
  assert.equal(terminal.text, 'boot\r\ndemo> ');
});

test('keys typed in the terminal go to the Guest, until the session ends', async () => {
  const editor = activated();
  const asked: unknown[] = [];
  const session = editor.start(guest(), (command, args) => asked.push([command, args]));
  const terminal = editor.terminals[0];
  assert.ok(terminal);
  terminal.open();
  terminal.type('ls\r');
  editor.end(session);
  terminal.type('x');
  assert.deepEqual(asked, [['lguest/console', { text: 'ls\n' }]]);
  assert.match(terminal.text, /the session has ended/);
});

test('the next run of the same name replaces the old terminal, a run beside it gets its own', () => {
  const editor = activated();
  const first = editor.start(guest());
  editor.end(first);
  editor.start(guest('lguest: demo Guest', 's2'));
  editor.start(guest('lguest: other', 's3'));
  assert.deepEqual(
    editor.terminals.map(({ disposed }) => disposed),
    [true, false, false],
  );
});

test('a session that prints to the Debug Console has no terminal', () => {
  const editor = activated();
  editor.start({ ...guest(), configuration: { console: 'internalConsole' } });
  assert.equal(editor.terminals.length, 0);
});

const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

const trapNodes = [
  { label: 'cr2', description: '0x00000010', children: [{ label: 'host', description: '0x00000010' }, { label: 'host' }] },
];

test('the views show what the adapter answers while the Guest is stopped, and nothing while it runs', async () => {
  const editor = activated();
  const session = editor.start(guest(), (command) => ({ nodes: command === 'lguest/view/trap' ? trapNodes : [] }));
  assert.deepEqual(await editor.rows('lguest.trap'), []);
  editor.message(session, event('stopped', { reason: 'exception' }));
  assert.deepEqual(await editor.rows('lguest.trap'), ['cr2 0x00000010', '  host 0x00000010', '  host']);
  assert.equal(editor.context('lguest.stopped'), true);
  editor.message(session, { type: 'request', command: 'continue' });
  assert.deepEqual(await editor.rows('lguest.trap'), []);
  assert.equal(editor.context('lguest.stopped'), true, 'most steps are over at once');
  await later(350);
  assert.equal(editor.context('lguest.stopped'), false);
});

test('the cr2 & Trap view opens by itself at the very first stop, and never again', () => {
  const editor = activated();
  const opened = (): number => editor.executed.filter(([command]) => command === 'lguest.trap.focus').length;
  const session = editor.start(guest());
  assert.equal(opened(), 0);
  editor.message(session, event('stopped'));
  editor.message(session, event('stopped'));
  assert.equal(opened(), 1);
  editor.end(session);
  editor.message(editor.start(guest()), event('stopped'));
  assert.equal(opened(), 1);
});

test('rows with equal labels have different identities, and the same ones after the next stop', async () => {
  const editor = activated();
  const session = editor.start(guest(), () => ({ nodes: trapNodes }));
  const ids = async (): Promise<unknown[]> => {
    editor.message(session, event('stopped'));
    const tree = editor.trees.get('lguest.trap');
    assert.ok(tree);
    const [row] = await tree.getChildren();
    return (await tree.getChildren(row)).map((child) => tree.getTreeItem(child)['id']);
  };
  const first = await ids();
  assert.equal(new Set(first).size, 2);
  assert.deepEqual(await ids(), first);
});

test('a stop that is reported before the step is answered still counts as stopped', () => {
  const editor = activated();
  const session = editor.start(guest());
  editor.message(session, { type: 'request', command: 'next' });
  editor.message(session, event('stopped'));
  editor.message(session, { type: 'response', command: 'next', success: true });
  assert.equal(editor.context('lguest.stopped'), true);
});

test('a refused step leaves the Guest stopped', async () => {
  const editor = activated();
  const session = editor.start(guest());
  editor.message(session, event('stopped'));
  editor.message(session, { type: 'request', command: 'stepIn' });
  await later(350);
  assert.equal(editor.context('lguest.stopped'), false);
  editor.message(session, { type: 'response', command: 'stepIn', success: false });
  assert.equal(editor.context('lguest.stopped'), true);
});

test('an edited variable refreshes the views', async () => {
  const editor = activated();
  const session = editor.start(guest());
  const before = editor.refreshed;
  editor.message(session, { type: 'response', command: 'setVariable', success: true });
  await later(250);
  assert.equal(editor.refreshed, before + 6);
});

test('an adapter that cannot answer is a row that says why', async () => {
  const editor = activated();
  const session = editor.start(guest(), () => {
    throw new Error('no page tables yet');
  });
  editor.message(session, event('stopped'));
  assert.deepEqual(await editor.rows('lguest.pageWalk'), ['Not available no page tables yet']);
});

/** An editor whose Guest stands still, and the arguments with which a view asks. */
const standing = (request: string): { editor: ReturnType<typeof activated>; asked: unknown[] } => {
  const editor = activated();
  editor.hidden.add('lguest.pageWalk'); // asks when the test looks at its rows, and not at each change
  const asked: unknown[] = [];
  const session = editor.start(guest(), (command, args) => {
    if (command === request) asked.push(args);
    return { nodes: [] };
  });
  editor.message(session, event('stopped'));
  return { editor, asked };
};

test('the page walk asks about the chosen address and access, and about none when the choice is emptied', async () => {
  const { editor, asked } = standing('lguest/view/pageWalk');
  editor.input = '$esp';
  await editor.run('lguest.walkAddress');
  editor.pick = 'user write';
  await editor.run('lguest.walkAccess');
  await editor.rows('lguest.pageWalk');
  editor.input = '';
  await editor.run('lguest.walkAddress');
  await editor.rows('lguest.pageWalk');
  assert.deepEqual(asked, [{ va: '$esp', access: 'user write' }, { access: 'user write' }]);
});

test('the page walk sends no access unless one is set or chosen, and "automatic" leaves it to the adapter again', async () => {
  const { editor, asked } = standing('lguest/view/pageWalk');
  await editor.rows('lguest.pageWalk');
  editor.settings['lguest.pageWalk.access'] = 'user read';
  await editor.rows('lguest.pageWalk');
  editor.pick = 'automatic';
  await editor.run('lguest.walkAccess');
  await editor.rows('lguest.pageWalk');
  assert.deepEqual(asked, [{}, { access: 'user read' }, {}]);
});

test('the page walk of a variable takes its memory reference, else a value that is an address', async () => {
  const editor = activated();
  editor.hidden.add('lguest.pageWalk');
  const asked: { va?: string }[] = [];
  const session = editor.start(guest(), (command, args) => {
    if (command === 'lguest/view/pageWalk') asked.push(args as { va?: string });
    return { nodes: [] };
  });
  editor.message(session, event('stopped'));
  for (const variable of [{ memoryReference: '0xc0100000', value: '1' }, { value: '0xbffff000' }]) {
    await editor.run('lguest.walkAddress', { variable });
    await editor.rows('lguest.pageWalk');
  }
  assert.deepEqual(
    asked.map(({ va }) => va),
    ['0xc0100000', '0xbffff000'],
  );
});

test('Explain This Trap opens a page with the answer', async () => {
  const editor = activated();
  const session = editor.start(guest(), (command) => (command === 'lguest/why' ? { text: 'The page was not present.\n' } : {}));
  editor.message(session, event('stopped'));
  await editor.run('lguest.explainTrap');
  assert.deepEqual(editor.pages, ['The page was not present.\n']);
});

test('Explain This Trap asks for a stop when the Guest is running', async () => {
  const editor = activated();
  editor.start(guest());
  await editor.run('lguest.explainTrap');
  assert.match(editor.messages[0] ?? '', /The Guest is running/);
});

test('Send Text to Console adds Enter, and Escape sends nothing', async () => {
  const editor = activated();
  const asked: unknown[] = [];
  editor.start(guest(), (_command, args) => asked.push(args));
  editor.input = 'help';
  await editor.run('lguest.sendText');
  editor.input = undefined;
  await editor.run('lguest.sendText');
  assert.deepEqual(asked, [{ text: 'help\n' }]);
});

test('commands that need a session say so when there is none, or when another debugger is active', async () => {
  const editor = activated();
  const commands = ['lguest.explainTrap', 'lguest.sendText', 'lguest.showConsole', 'lguest.walkAddress', 'lguest.walkAccess'];
  for (const command of commands) await editor.run(command);
  editor.start({ ...guest(), type: 'node' });
  for (const command of commands) await editor.run(command);
  assert.equal(editor.messages.length, 2 * commands.length);
  for (const message of editor.messages) assert.match(message, /No lguest Guest is being debugged\. Start one first \(F5\)\./);
});

test('a request that the adapter refuses is shown as a message', async () => {
  const editor = activated();
  editor.start(guest(), () => {
    throw new Error('the Guest has no console yet');
  });
  editor.input = 'x';
  await editor.run('lguest.sendText');
  assert.deepEqual(editor.messages, ['error: lguest: the Guest has no console yet']);
});

test('a kernel can be debugged from the explorer, and the demo from the palette', async () => {
  const editor = activated();
  await editor.run('lguest.debugKernel', Uri.file('/a/ws/build/vmlinux'));
  await editor.run('lguest.debugDemo');
  assert.deepEqual(
    editor.started.map(({ program }) => program),
    ['/a/ws/build/vmlinux', DEMO],
  );
});

const registerNodes = [
  {
    label: 'General',
    expanded: true,
    children: [
      { label: 'eax', description: '0x00000001', evaluateName: '$eax', changed: true, tooltip: 'at the stop before: 0x00000000' },
      { label: 'ebx', description: '0x00000002', evaluateName: '$ebx' },
    ],
  },
];

test('the Registers view marks changed registers and offers to pin and to set them', async () => {
  const editor = activated();
  const asked: unknown[] = [];
  const session = editor.start(guest(), (command, args) => {
    if (command === 'lguest/view/registers' || command === 'evaluate') asked.push(args);
    return { nodes: registerNodes, never: [] };
  });
  editor.message(session, event('stopped'));
  assert.deepEqual(await editor.rows('lguest.registers'), ['General', '  eax 0x00000001', '  ebx 0x00000002']);
  const tree = editor.trees.get('lguest.registers');
  const [general] = (await tree?.getChildren()) ?? [];
  const [eax, ebx] = (await tree?.getChildren(general)) ?? [];
  const item = tree?.getTreeItem(eax) ?? {};
  assert.deepEqual(item['label'], { label: 'eax', highlights: [[0, 3]] });
  assert.equal((item['iconPath'] as { id: string }).id, 'circle-small-filled');
  assert.equal(item['contextValue'], 'lguest.register');
  assert.equal(item['tooltip'], 'at the stop before: 0x00000000');
  assert.equal(tree?.getTreeItem(ebx)['iconPath'], undefined);
  await editor.run('lguest.pinRegister', ebx);
  editor.input = 'jiffies';
  await editor.run('lguest.pinRegister');
  editor.settings['lguest.registers.groups'] = ['General'];
  asked.length = 0;
  await editor.rows('lguest.registers');
  assert.deepEqual(asked, [{ groups: [{ name: 'Pinned', registers: ['ebx', 'jiffies'] }, 'General'] }]);
  await editor.run('lguest.unpinRegister', ebx);
  assert.deepEqual(editor.inWorkspace.get('pinnedRegisters'), ['jiffies']);
  asked.length = 0;
  editor.input = '0x10';
  editor.hidden.add('lguest.registers');
  await editor.run('lguest.setRegister', eax);
  assert.deepEqual(asked, [{ expression: '$eax = 0x10', context: 'repl' }]);
});

test('the status bar shows where the Guest is, how fast it runs, and which interrupts stepping holds back', async () => {
  const editor = activated();
  let held: number[] = [];
  const session = editor.start(guest(), (command) =>
    command === 'lguest/info' ? { position: '#1234567.2', ns: 1e9, traps: 3, held } : { nodes: [] },
  );
  const settled = (): Promise<void> => new Promise((done) => setImmediate(done));
  editor.message(session, event('lguest/live', { position: '#98765', ns: 1, mips: 34.56, traps: 1, trapsPerSecond: 120 }));
  assert.equal(editor.status, '$(pulse) #98,765  35 MIPS  120 traps/s');
  editor.message(session, event('stopped'));
  await settled();
  assert.equal(editor.status, '$(debug-pause) #1,234,567');
  held = [0, 1];
  editor.message(session, event('stopped'));
  await settled();
  assert.equal(editor.status, '$(debug-pause) #1,234,567  $(bell-slash) irq 0, 1 held');
  editor.end(session);
  await settled();
  assert.equal(editor.status, '');
});

test('"Only in This Task" limits the breakpoint of a line by a condition, and makes the breakpoint when there is none', async () => {
  const editor = activated();
  const tasks = [
    { pid: 1, comm: 'init', current: false },
    { pid: 7, comm: 'sh', current: true },
  ];
  const session = editor.start(guest(), (command) => (command === 'lguest/tasks' ? { tasks, nodes: [] } : { nodes: [] }));
  editor.message(session, event('stopped'));
  const line = { lineNumber: 10, uri: Uri.file('/ws/sched.c') };
  editor.pick = 'pid 7 sh';
  await editor.run('lguest.onlyInThisTask', line);
  assert.deepEqual(
    editor.breakpoints.map((b) => [b.location.range.start.line, b.condition]),
    [[9, 'pid == 7']],
  );
  editor.pick = 'pid 1 init';
  await editor.run('lguest.onlyInThisTask', line);
  assert.deepEqual(
    editor.breakpoints.map((b) => b.condition),
    ['pid == 1'],
    'another task takes the place of the first',
  );
  editor.breakpoints[0] = new (editor.api.SourceBreakpoint as never as new (...a: unknown[]) => (typeof editor.breakpoints)[0])(
    editor.breakpoints[0]?.location,
    true,
    'x > 3',
  );
  await editor.run('lguest.onlyInThisTask', line);
  assert.equal(editor.breakpoints[0]?.condition, '(x > 3) && pid == 1');
  editor.pick = 'pid 7 sh';
  await editor.run('lguest.onlyInThisTask', line);
  assert.equal(editor.breakpoints[0]?.condition, '(x > 3) && pid == 7');
  tasks.length = 0;
  await editor.run('lguest.onlyInThisTask', line);
  assert.match(editor.messages.at(-1) ?? '', /no tasks that are known/);
});

test('the Tasks view shows the tree that the adapter makes', async () => {
  const editor = activated();
  const session = editor.start(guest(), (command) => ({
    nodes: command === 'lguest/tasks' ? [{ label: 'pid 0 swapper', children: [{ label: 'pid 1 init', description: 'S' }] }] : [],
    tasks: [],
  }));
  editor.message(session, event('stopped'));
  assert.deepEqual(await editor.rows('lguest.tasks'), ['pid 0 swapper', '  pid 1 init S']);
});

test('lines of a listing that never ran are dimmed at each stop, and no longer when the setting is off', async () => {
  const editor = activated();
  let never = [3, 4, 99];
  const session = editor.start(guest(), (command, args) =>
    command === 'lguest/executed' && (args as { name: string }).name === 'tick.lgl' ? { never } : { nodes: [] },
  );
  const settled = (): Promise<void> => new Promise((done) => setImmediate(done));
  editor.show('/tick.lgl', 'lguest-listing', 10);
  editor.message(session, event('stopped'));
  await settled();
  assert.deepEqual(editor.painted, [2, 3], 'lines count from 0 in the editor, and none lies behind its end');
  never = [4];
  editor.message(session, event('stopped'));
  await settled();
  assert.deepEqual(editor.painted, [3]);
  editor.settings['lguest.disassembly.dimNeverExecuted'] = false;
  editor.settingsChanged.fire({ affectsConfiguration: () => true });
  await settled();
  assert.deepEqual(editor.painted, []);
});

test('lines of a listing with breakpoints tell behind them how often those were met', async () => {
  const editor = activated();
  const session = editor.start(guest(), (command) =>
    command === 'lguest/executed'
      ? {
          never: [],
          hits: [
            { line: 2, text: '; breakpoint 1: 5 hits' },
            { line: 50, text: 'gone' },
          ],
        }
      : { nodes: [] },
  );
  editor.show('/tick.lgl', 'lguest-listing', 10);
  editor.message(session, event('stopped'));
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(
    editor.notes.map((n) => [n.range, n.renderOptions.after.contentText]),
    [[1, '; breakpoint 1: 5 hits']],
  );
});

test('the Breakpoints+ view counts while the Guest runs, and takes away what was made in it only', async () => {
  const editor = activated();
  let hits = 1;
  const asked: [string, unknown][] = [];
  const session = editor.start(guest(), (command, args) => {
    asked.push([command, args]);
    const rows = [
      { label: '0xc0101234', description: `${hits} hits`, breakpoint: 7, kind: 'breakpoint', own: true },
      { label: 'boot.c:33', description: '2 hits', breakpoint: 3, kind: 'breakpoint', own: false },
      { label: 'write ticks', breakpoint: 9, kind: 'watch', own: false },
    ];
    return { nodes: command === 'lguest/view/breakpoints' ? rows : [] };
  });
  assert.match((await editor.rows('lguest.breakpoints'))[0] ?? '', /1 hits/, 'nothing has stopped yet');
  hits = 2;
  const before = editor.refreshed;
  editor.message(session, event('lguest/live', { position: '#1', ns: 0, mips: 1, traps: 0, trapsPerSecond: 0 }));
  await later(250);
  assert.ok(editor.refreshed > before);
  assert.match((await editor.rows('lguest.breakpoints'))[0] ?? '', /2 hits/);
  const tree = editor.trees.get('lguest.breakpoints');
  const rows = (await tree?.getChildren()) ?? [];
  assert.deepEqual(
    rows.map((row) => tree?.getTreeItem(row)['contextValue']),
    ['lguest.breakpoint.own', 'lguest.breakpoint', 'lguest.watch'],
  );
  await editor.run('lguest.removeBreakpoint', rows[0]);
  editor.pick = 'Log';
  await editor.run('lguest.watchMode', rows[2]);
  assert.deepEqual(
    asked.filter(([command]) => command.startsWith('lguest/breakpointsPlus/')),
    [
      ['lguest/breakpointsPlus/remove', { id: 7 }],
      ['lguest/breakpointsPlus/mode', { id: 9, mode: 'log' }],
    ],
  );
});

test('Break at Address, Watch for Writes and Jump begin with what was copied or chosen, and send what was typed', async () => {
  const editor = activated();
  const asked: [string, unknown][] = [];
  const session = editor.start(guest(), (command, args) => {
    if (command === 'evaluate' || command.includes('breakpointsPlus')) asked.push([command, args]);
    return { nodes: [] };
  });
  editor.clipboard = ' 0xc0101234\n';
  editor.input = '0xc0101234 if $eax == 0';
  await editor.run('lguest.breakAtAddress');
  assert.equal(editor.offered, '0xc0101234');
  editor.clipboard = 'rm -rf';
  editor.input = 'ticks | log';
  await editor.run('lguest.watchExpression', { variable: { evaluateName: 'ticks' } });
  assert.equal(editor.offered, 'ticks');
  editor.input = 'tour.c:44';
  await editor.run('lguest.jumpTo');
  assert.match(editor.messages.at(-1) ?? '', /running/);
  editor.message(session, event('stopped'));
  await editor.run('lguest.jumpTo');
  assert.equal(editor.offered, '', 'no address was copied');
  assert.deepEqual(asked, [
    ['lguest/breakpointsPlus/add', { place: '0xc0101234 if $eax == 0' }],
    ['lguest/breakpointsPlus/add', { what: 'watch', place: 'ticks | log' }],
    ['evaluate', { expression: 'jump tour.c:44', context: 'repl' }],
  ]);
});

test('hovering over a register in assembly evaluates the register', () => {
  const editor = activated();
  const hover = editor.hovers[0];
  assert.ok(hover?.languages.includes('lguest-listing') && hover.languages.includes('gas'));
  const document = { lineAt: () => ({ text: '\tmovl\t%cr2, %eax' }) };
  const found = hover.provideEvaluatableExpression(document, { line: 3, character: 7 }) as { expression: string; range: { at: number[] } };
  assert.equal(found.expression, '$cr2');
  assert.deepEqual(found.range.at, [3, 6, 3, 10]);
});

test('deactivating takes every command back', () => {
  const editor = activated();
  assert.ok(editor.commands.size >= 10);
  editor.deactivate();
  assert.equal(editor.commands.size, 0);
});

test('the Memory view follows an expression, lays a type over its bytes, marks those that changed, and writes bytes', async () => {
  const editor = activated();
  editor.hidden.add('lguest.memory'); // asks when the test looks at its rows, and not at each change
  const asked: [string, unknown][] = [];
  const nodes = [
    { label: '$esp', description: '= 0xc0100000' },
    { label: '0xc0100000  01 02', reference: '0xc0100000', highlights: [[12, 14]] },
  ];
  const session = editor.start(guest(), (command, args) => {
    if (command === 'lguest/view/memory' || command === 'writeMemory' || command === 'evaluate') asked.push([command, args]);
    return { nodes };
  });
  editor.message(session, event('stopped'));
  await editor.rows('lguest.memory');
  await editor.run('lguest.memoryAt', { variable: { memoryReference: '0xc0200000' } });
  editor.input = 'struct pt_regs';
  await editor.run('lguest.memoryAs');
  await editor.rows('lguest.memory');
  assert.deepEqual(asked, [
    ['lguest/view/memory', {}],
    ['lguest/view/memory', { memoryReference: '0xc0200000', as: 'struct pt_regs' }],
  ]);
  const tree = editor.trees.get('lguest.memory');
  const [head, bytes] = (await tree?.getChildren()) ?? [];
  const item = tree?.getTreeItem(bytes) ?? {};
  assert.deepEqual(item['label'], { label: '0xc0100000  01 02', highlights: [[12, 14]] });
  assert.deepEqual([item['contextValue'], tree?.getTreeItem(head)['contextValue']], ['lguest.bytes', 'lguest.row']);
  asked.length = 0;
  editor.input = 'de ad BEEF';
  await editor.run('lguest.setBytes', bytes);
  editor.input = 'no bytes';
  await editor.run('lguest.setBytes', bytes);
  await editor.run('lguest.pinGlobal', { variable: { evaluateName: 'jiffies' } });
  assert.deepEqual(
    asked.filter(([command]) => command !== 'lguest/view/memory'),
    [
      ['writeMemory', { memoryReference: '0xc0100000', data: Buffer.from('deadbeef', 'hex').toString('base64') }],
      ['evaluate', { expression: 'pin jiffies', context: 'repl' }],
    ],
  );
});

test('a format is chosen for a value, kept with the workspace, and told to the next session', async () => {
  const editor = activated();
  const asked: unknown[] = [];
  const answer = (command: string, args: unknown): object => {
    if (command === 'lguest/formats') asked.push(args);
    return { nodes: [] };
  };
  const session = editor.start(guest(), answer);
  assert.deepEqual(asked, [], 'nothing is kept yet');
  editor.message(session, event('stopped'));
  editor.pick = 'Binary';
  await editor.run('lguest.formatValue', { variable: { evaluateName: 'ticks' } });
  editor.pick = 'Symbol';
  await editor.run('lguest.formatValue', { node: { label: 'eip', evaluateName: '$eip' } });
  editor.pick = 'Usual';
  await editor.run('lguest.formatValue', { variable: { evaluateName: 'ticks' } });
  assert.deepEqual(asked, [{ formats: { ticks: 'b' } }, { formats: { $eip: 'p' } }, { formats: { ticks: '' } }]);
  assert.deepEqual(editor.inWorkspace.get('formats'), { $eip: 'p' });
  asked.length = 0;
  editor.start(guest(), answer);
  assert.deepEqual(asked, [{ formats: { $eip: 'p' } }]);
});

test('a source that is not found is located once: the mapping goes to the session and into the settings', async () => {
  const editor = activated();
  const asked: [string, unknown][] = [];
  let found: string | undefined;
  const session = editor.start(guest(), (command, args) => {
    if (command.startsWith('lguest/source/')) asked.push([command, args]);
    return { nodes: [], file: '/build/linux/fs/read_write.c', ...(found === undefined ? {} : { path: found }) };
  });
  editor.message(session, event('stopped'));
  editor.settings['lguest.launch.sourceMap'] = { '/old': '/new' };
  editor.chosenFile = '/home/me/linux-2.6.24/fs/read_write.c';
  await editor.run('lguest.locateFile', { frameId: 7 });
  const mapping = { from: '/build/linux', to: '/home/me/linux-2.6.24' };
  assert.deepEqual(asked, [
    ['lguest/source/missing', { frameId: 7 }],
    ['lguest/source/map', mapping],
  ]);
  assert.deepEqual(editor.settings['lguest.launch.sourceMap'], { '/old': '/new', [mapping.from]: mapping.to });
  asked.length = 0;
  editor.chosenFile = '/home/me/other.c';
  await editor.run('lguest.locateFile', { frameId: 7 });
  found = '/here/read_write.c';
  await editor.run('lguest.locateFile', { frameId: 7 });
  assert.deepEqual(
    asked.map(([command]) => command),
    ['lguest/source/missing', 'lguest/source/missing'],
    'another file, or one that is found already, maps nothing',
  );
});

test('a task of the Tasks view opens as a page with everything about it, and its task_struct in the Memory view', async () => {
  const editor = activated();
  const asked: [string, unknown][] = [];
  const nodes = [{ label: '7 cat', reference: '0xc3801000', as: 'struct task_struct', task: 7 }];
  const session = editor.start(guest(), (command, args) => {
    if (command === 'evaluate' || command === 'lguest/view/memory') asked.push([command, args]);
    return { nodes, result: 'pid 7 cat' };
  });
  editor.message(session, event('stopped'));
  const tree = editor.trees.get('lguest.tasks');
  const [cat] = (await tree?.getChildren()) ?? [];
  assert.equal(tree?.getTreeItem(cat)['contextValue'], 'lguest.task');
  await editor.run('lguest.taskDetails', cat);
  assert.deepEqual(editor.pages.slice(-1), ['pid 7 cat']);
  await editor.run('lguest.memoryAt', cat);
  await editor.rows('lguest.memory');
  assert.deepEqual(asked, [
    ['evaluate', { expression: 'tasks 7', context: 'repl' }],
    ['lguest/view/memory', { memoryReference: '0xc3801000', as: 'struct task_struct' }],
  ]);
});
