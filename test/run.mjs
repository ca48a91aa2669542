// Runs the bundled tests: `node test/run.mjs [PART OF A PATH ...]`, all of them when no part is named.
// Why not plain `node --test dist/test`: on Node 20 a wrong path or a file without a test passes silently. Here every
// test/**/*.test.ts must have a bundle, every bundle must run at least one test, and a skipped or todo test counts as failed.
// The last line is always "N passed, M failed".
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const files = readdirSync('test', { withFileTypes: true, recursive: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  .filter((path) => !path.includes('node_modules'))
  .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
  .map((path) => resolve('dist', path.replace(/\.ts$/, '.js')))
  .sort();

const problems = [];
if (files.length === 0) problems.push(`no test file matches ${wanted.join(' ') || 'test/**/*.test.ts'}`);
for (const file of files) {
  if (!existsSync(file)) problems.push(`${relative('.', file)} is missing: run "npm run build" first`);
}

let passed = 0;
let failed = 0;
const ran = new Map(files.map((file) => [file, 0]));

if (problems.length === 0) {
  const seconds = new Map();
  const stream = run({ files, concurrency: 2, timeout: 300_000 });
  const count = (data, ok) => {
    if (data.details?.type === 'suite') return;
    const file = data.file ?? '';
    // Node reports a file itself as a test when it holds none, or when its process died.
    if (resolve(data.name) === file || files.includes(resolve(data.name))) {
      if (!ok) problems.push(`${relative('.', resolve(data.name))} as a whole failed`);
      return;
    }
    const leftOut = data.skip !== undefined || data.todo !== undefined;
    if (leftOut) problems.push(`"${data.name}" was skipped: a test runs or goes`);
    if (ok && !leftOut) passed++;
    else failed++;
    if (file) {
      ran.set(file, (ran.get(file) ?? 0) + 1);
      if (data.nesting === 0) seconds.set(file, (seconds.get(file) ?? 0) + (data.details?.duration_ms ?? 0) / 1000);
    }
  };
  stream.on('test:pass', (data) => count(data, true));
  stream.on('test:fail', (data) => count(data, false));
  const printed = stream.compose(new spec());
  printed.pipe(process.stdout, { end: false });
  await new Promise((done, fail) => printed.on('end', done).on('error', fail));
  for (const [file, tests] of ran) if (tests === 0) problems.push(`${relative('.', file)} ran no test`);
  const slow = [...seconds].filter(([, s]) => s > 10).sort((a, b) => b[1] - a[1]);
  if (slow.length > 0) console.log(`\nslowest files: ${slow.map(([f, s]) => `${relative('dist', f)} ${s.toFixed(0)} s`).join(', ')}`);
}

for (const problem of problems) console.log(`problem: ${problem}`);
failed += problems.length;
console.log(`\n${files.length} files`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
