// The floors of src/: imports point down only, type-only imports included, and no circle exists between files.
// The ranks below are the architecture; everything else in this file only reads imports. Cannot see: dynamic paths
// built at run time (none are allowed anyway).
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';

/** Floor of each folder of src/. A file may import its own folder and folders on lower floors, never a neighbour on its own floor. */
const FLOORS: Readonly<Record<string, number>> = {
  i386: 1,
  symbols: 1,
  lguest: 2,
  launcher: 3,
  timeline: 4,
  debugger: 5,
  adapter: 6,
  extension: 7,
  cli: 7,
};

/** Folders that may import nothing of ours outside themselves, and the folders above that may not see everything below them. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  i386: [],
  symbols: [],
  lguest: ['i386'],
  launcher: ['i386', 'lguest', 'symbols'],
  extension: ['adapter'],
};

interface Import {
  file: string;
  target: string;
  text: string;
}

const sources = (folder: string): string[] =>
  !existsSync(folder)
    ? []
    : readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? sources(join(folder, entry.name)) : /\.[mc]?ts$/.test(entry.name) ? [join(folder, entry.name)] : [],
      );

/** Every module specifier of a file: import, import type, export from, import(), require(), import('x').Type. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/[^\n]*/g, '$1');
  const patterns = [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"\n]+)['"]/g,
    /\bimport\s*['"]([^'"\n]+)['"]/g,
    /\b(?:import|require)\s*\(\s*['"]([^'"\n]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] as string));
}

function resolveRelative(file: string, specifier: string): string | undefined {
  const base = normalize(join(dirname(file), specifier));
  return [base, `${base}.ts`, join(base, 'index.ts'), base.replace(/\.js$/, '.ts')].find(
    (path) => existsSync(path) && statSync(path).isFile(),
  );
}

function imports(): { found: Import[]; broken: string[] } {
  const found: Import[] = [];
  const broken: string[] = [];
  for (const file of sources('src')) {
    for (const text of specifiers(readFileSync(file, 'utf8'))) {
      if (!text.startsWith('.')) continue;
      const target = resolveRelative(file, text);
      if (target === undefined) broken.push(`${file} imports '${text}', which is no file.`);
      else found.push({ file, target, text });
    }
  }
  return { found, broken };
}

const folderOf = (file: string): string => relative('src', file).split(/[\\/]/)[0] as string;

function complaint({ file, target, text }: Import): string | undefined {
  const from = folderOf(file);
  const to = folderOf(target);
  if (target.startsWith('..') || to === '..') return `${file} imports '${text}', which lies outside src/.`;
  if (from === to) return undefined;
  const [low, high] = [FLOORS[to], FLOORS[from]];
  if (low === undefined || high === undefined) return `${file} imports '${text}': ${low === undefined ? to : from} has no floor in FLOORS.`;
  if (low >= high) return `${file} (floor ${high}) imports '${text}' (floor ${low}): imports point down only.`;
  if (ALLOWED[from] && !ALLOWED[from].includes(to))
    return `${file} imports '${text}', but ${from} may import only: ${ALLOWED[from].join(', ') || 'nothing'}.`;
  return undefined;
}

/** First circle found among files, as a path that ends where it began. */
function circle(edges: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const next of edges.get(file) ?? []) {
      const hit = visit(next);
      if (hit) return hit;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const hit = visit(file);
    if (hit) return hit;
  }
  return undefined;
}

test('every import in src/ points to a lower floor', () => {
  const { found, broken } = imports();
  assert.deepEqual([...broken, ...found.map(complaint).filter((text) => text !== undefined)], []);
});

test('no circle of imports exists in src/', () => {
  const edges = new Map<string, string[]>();
  for (const { file, target } of imports().found) edges.set(file, [...(edges.get(file) ?? []), target]);
  const hit = circle(edges);
  assert.equal(hit, undefined, `imports run in a circle: ${hit?.join(' -> ')}`);
});

test('every folder of src/ has a floor', () => {
  const folders = existsSync('src') ? readdirSync('src', { withFileTypes: true }) : [];
  assert.deepEqual(
    folders.filter((entry) => !entry.isDirectory() || FLOORS[entry.name] === undefined).map((entry) => entry.name),
    [],
  );
});

test('the floor check sees type-only imports, re-exports and inline type imports', () => {
  const text = `import type { A } from '../x';\nexport * from "./y";\nlet z: import('../z').Z;\nimport './side';\n// import './no'\nimport {\n  b,\n} from './b';`;
  assert.deepEqual(specifiers(text).sort(), ['../x', '../z', './b', './side', './y']);
});

test('the floor check refuses an upward import and finds a circle', () => {
  assert.match(
    complaint({ file: 'src/i386/a.ts', target: 'src/lguest/b.ts', text: '../lguest/b' }) ?? '',
    /src\/i386\/a\.ts .*'..\/lguest\/b'/,
  );
  assert.match(complaint({ file: 'src/cli/a.ts', target: 'src/extension/b.ts', text: '../extension/b' }) ?? '', /down only/);
  assert.equal(complaint({ file: 'src/cli/a.ts', target: 'src/i386/b.ts', text: '../i386/b' }), undefined);
  const edges = new Map([
    ['a', ['b']],
    ['b', ['c']],
    ['c', ['a']],
  ]);
  assert.deepEqual(circle(edges), ['a', 'b', 'c', 'a']);
});
