// What package.json promises the editor, held against the source: every promise is documented and kept, and nothing is left over.
// Reads files, and activates once to see the views; how the parts behave is tested in activation.test.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LAUNCH_SETTINGS } from '../../src/extension/launch-configuration';
import { FakeEditor } from './fake-editor';

interface Property {
  type?: string | string[];
  markdownDescription?: string;
  default?: unknown;
  enum?: unknown[];
  enumDescriptions?: string[];
  scope?: string;
}
interface MenuItem {
  command: string;
  when?: string;
}
interface Manifest {
  main: string;
  icon: string;
  engines: { vscode: string };
  bin: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  contributes: {
    debuggers: {
      type: string;
      label: string;
      variables: Record<string, string>;
      configurationAttributes: { launch: { properties: Record<string, Property> } };
      initialConfigurations: Record<string, unknown>[];
      configurationSnippets: { label: string; description: string; body: Record<string, unknown> }[];
    }[];
    commands: { command: string; title: string; category: string; icon?: string }[];
    menus: Record<string, MenuItem[]>;
    keybindings: { command: string; key: string; mac: string; when: string }[];
    views: Record<string, { id: string; name: string; when: string }[]>;
    viewsWelcome: { view: string; contents: string }[];
    languages: { id: string; extensions: string[]; configuration?: string }[];
    grammars: { language: string; scopeName: string; path: string }[];
    breakpoints: { language: string }[];
    configuration: { properties: Record<string, Property> };
  };
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
const { contributes } = manifest;
const lguest = contributes.debuggers[0];
assert.ok(lguest);
const attributes = lguest.configurationAttributes.launch.properties;
const settings = contributes.configuration.properties;
const source = readdirSync('src/extension')
  .map((name) => readFileSync(join('src/extension', name), 'utf8'))
  .join('\n');
const commands = contributes.commands.map(({ command }) => command).sort();

/** Names of `items` for which `ok` does not hold. */
const offenders = <T>(items: Record<string, T>, ok: (item: T, name: string) => boolean): string[] =>
  Object.entries(items)
    .filter(([name, item]) => !ok(item, name))
    .map(([name]) => name);

test('the debug type is lguest, labelled "lguest (i386 Guest)"', () => {
  assert.equal(lguest.type, 'lguest');
  assert.equal(lguest.label, 'lguest (i386 Guest)');
  assert.equal(contributes.debuggers.length, 1);
});

test('every launch attribute has a type, a default and a description with an example', () => {
  assert.deepEqual(
    offenders(attributes, (a) => a.type !== undefined && a.default !== undefined && /Example: `/.test(a.markdownDescription ?? '')),
    [],
  );
});

test('every choice of an attribute or setting is described, and its default is one of the choices', () => {
  const described = (a: Property): boolean =>
    a.enum === undefined || (a.enum.includes(a.default) && a.enumDescriptions?.length === a.enum.length);
  assert.deepEqual(offenders({ ...attributes, ...settings }, described), []);
});

test('there are at most 40 settings, each described, with a default and a scope', () => {
  assert.ok(Object.keys(settings).length <= 40);
  assert.deepEqual(
    offenders(settings, (s, name) => name.startsWith('lguest.') && !!s.markdownDescription && s.default !== undefined && !!s.scope),
    [],
  );
});

test('every setting is used by the extension', () => {
  const used = (name: string): boolean => {
    const rest = name.replace(/^lguest\./, '');
    const launch = rest.replace(/^launch\./, '');
    return launch !== rest ? (LAUNCH_SETTINGS as readonly string[]).includes(launch) : source.includes(`'${rest}'`);
  };
  assert.deepEqual(
    offenders(settings, (_, name) => used(name)),
    [],
  );
});

test('every setting that the extension reads is contributed', () => {
  const read = [...source.matchAll(/\b(?:get(?:<[^>]*>)?|setting)\('([\w.]+)'/g)].map((match) => `lguest.${match[1]}`);
  assert.ok(read.length >= 3);
  assert.deepEqual(
    [...read, ...LAUNCH_SETTINGS.map((name) => `lguest.launch.${name}`)].filter((name) => !settings[name]),
    [],
  );
});

test('a launch default setting has the default of its attribute', () => {
  for (const name of LAUNCH_SETTINGS) assert.deepEqual(settings[`lguest.launch.${name}`]?.default, attributes[name]?.default, name);
});

test('the contributed commands are exactly those that the extension registers', () => {
  const registered = [...source.matchAll(/^\s+'(lguest\.\w+)': /gm)].map((match) => match[1]).sort();
  assert.deepEqual(registered, commands);
});

test('every command has the category lguest and a title in title case', () => {
  for (const { title, category, command } of contributes.commands) {
    assert.equal(category, 'lguest', command);
    assert.match(title, /^[A-Z][\w'…]*( (?:the|of|for|to|in|at|[A-Z][\w'…]*))*$/, command);
  }
});

test('menus and keys name contributed commands only, and debug menus show in lguest sessions only', () => {
  for (const [menu, items] of Object.entries(contributes.menus)) {
    for (const item of items) {
      assert.ok(commands.includes(item.command), `${menu}: ${item.command}`);
      if (menu.startsWith('debug/')) assert.match(item.when ?? '', /^debugType == 'lguest'/, `${menu}: ${item.command}`);
    }
  }
  for (const key of contributes.keybindings) {
    assert.ok(commands.includes(key.command), key.command);
    assert.ok(key.mac, `${key.command} has no key on a Mac`);
    assert.match(key.when, /debugType == 'lguest' && inDebugMode/, key.command);
  }
});

test('every command without a menu of its own can be run from the palette with no argument', () => {
  const hidden = contributes.menus['commandPalette']?.filter(({ when }) => when === 'false').map(({ command }) => command);
  assert.deepEqual(hidden, [
    'lguest.pickKernel',
    'lguest.copyRow',
    'lguest.unpinRegister',
    'lguest.setRegister',
    'lguest.removeBreakpoint',
    'lguest.watchMode',
    'lguest.setBytes',
    'lguest.pinGlobal',
    'lguest.formatValue',
    'lguest.taskDetails',
  ]);
});

test('snippets and initial configurations use documented attributes only', () => {
  const known = new Set(['type', 'request', 'name', ...Object.keys(attributes)]);
  for (const config of [...lguest.initialConfigurations, ...lguest.configurationSnippets.map(({ body }) => body)]) {
    assert.deepEqual(
      Object.keys(config).filter((name) => !known.has(name)),
      [],
    );
    assert.equal(config['type'], 'lguest');
    assert.equal(config['request'], 'launch');
  }
  assert.ok(lguest.configurationSnippets.length >= 5);
});

test('views sit in the debug side bar for lguest sessions, in their order, each with a welcome text and code behind it', () => {
  assert.deepEqual(
    contributes.views['debug']?.map(({ name }) => name),
    ['Registers', 'cr2 & Trap', 'Page Walk', 'Tasks', 'Breakpoints+', 'Memory'],
  );
  for (const { id, when } of contributes.views['debug'] ?? []) {
    assert.equal(when, "debugType == 'lguest'");
    assert.ok(
      contributes.viewsWelcome.some(({ view }) => view === id),
      id,
    );
  }
  const editor = new FakeEditor();
  editor.activate();
  assert.deepEqual([...editor.trees.keys()].sort(), contributes.views['debug']?.map(({ id }) => id).sort());
});

test('breakpoints can be set in C, C++, assembly of the common extensions and our listings', () => {
  const languages = contributes.breakpoints.map(({ language }) => language);
  for (const language of ['c', 'cpp', 'gas', 'asm', 'asm-intel-x86-generic', 'lguest-listing'])
    assert.ok(languages.includes(language), language);
});

test('every file that the manifest names exists in a built checkout', () => {
  const files = [
    manifest.main,
    manifest.icon,
    ...contributes.grammars.map(({ path }) => path),
    ...contributes.languages.map((l) => l.configuration),
  ];
  assert.deepEqual(
    files.filter((file) => file !== undefined && !existsSync(file)),
    [],
  );
});

test('each grammar belongs to a contributed language and names its own scope', () => {
  for (const { language, scopeName, path } of contributes.grammars) {
    assert.ok(
      contributes.languages.some(({ id }) => id === language),
      language,
    );
    assert.equal((JSON.parse(readFileSync(path, 'utf8')) as { scopeName: string }).scopeName, scopeName);
  }
});

test('versions are exact, and the editor API that is compiled against is the oldest that is promised', () => {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  assert.deepEqual(
    offenders(all, (version) => /^\d+\.\d+\.\d+$/.test(version)),
    [],
  );
  assert.equal(`^${manifest.devDependencies['@types/vscode']}`, manifest.engines.vscode);
});

test('docs/attributes.md is what the manifest says', () => {
  const { status, stderr } = spawnSync(process.execPath, ['docs/make-attributes.mjs', '--check'], { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
