// Bundles everything that ships and everything that is tested:
//   dist/extension.js, dist/adapter.js, dist/cli*.js  one file each, third-party code included (the .vsix carries no node_modules), and the disassembler
//                                                     (dist/iced_x86*) beside them
//   dist/test/**/*.test.js                            one file per test; packages stay outside, since tests run in the checkout
// `node esbuild.mjs PART...` builds only entries whose path contains a part, while the rest of the tree is being worked on.
// `--forced` builds the tests with a translator that translates everything before its first execution (src/i386/processor.ts).
// An entry whose source does not exist is named and skipped, so that a part of the tree can be built alone.
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, context } from 'esbuild';

const watch = process.argv.includes('--watch');
const forced = process.argv.includes('--forced');
const parts = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const wanted = (path) => parts.length === 0 || parts.some((part) => path.includes(part));

/**
 * The disassembler (iced-x86) is as large as all the rest together. It lies beside our programs in dist/ and is loaded when something is first disassembled,
 * so that a boot need not even read it.
 */
const lazyIced = {
  name: 'lazy-iced-x86',
  setup(bundle) {
    bundle.onResolve({ filter: /^iced-x86$/ }, () => ({ path: 'iced-x86', namespace: 'lazy' }));
    bundle.onLoad({ filter: /.*/, namespace: 'lazy' }, () => {
      const from = dirname(createRequire(import.meta.url).resolve('iced-x86'));
      mkdirSync('dist', { recursive: true });
      for (const file of ['iced_x86.js', 'iced_x86_bg.wasm']) copyFileSync(join(from, file), join('dist', file));
      // Named imports are looked up in the prototype, at their first use.
      return {
        contents:
          "module.exports = Object.create(new Proxy({}, { get: (_, name) => (name === '__esModule' ? undefined : require('./iced_x86.js')[name]) }));",
      };
    });
    bundle.onResolve({ filter: /^\.\/iced_x86\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

/** Parts of the command line that are loaded when they are asked for: `import('./machine')` finds dist/cli-machine.js. */
const lazyParts = {
  name: 'lazy-parts',
  setup(bundle) {
    bundle.onResolve({ filter: /^\.\// }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: path.replace('./', './cli-') + '.js', external: true } : undefined,
    );
  },
};

/** Every `*.test.ts` under test/, as paths relative to the checkout, sorted. */
function testFiles(folder = 'test') {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.includes('node_modules') && wanted(path))
    .sort();
}

const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  sourcemap: 'linked',
  logLevel: 'warning',
  legalComments: 'inline',
};

const programs = [
  { source: 'src/extension/main.ts', out: 'dist/extension.js', external: ['vscode'] },
  { source: 'src/adapter/main.ts', out: 'dist/adapter.js' },
  {
    source: 'src/cli/main.ts',
    out: 'dist/cli.js',
    banner: { js: '#!/usr/bin/env node' },
    plugins: [lazyParts],
    supported: { 'dynamic-import': false },
  },
  { source: 'src/cli/machine.ts', out: 'dist/cli-machine.js' },
  { source: 'src/cli/debugging.ts', out: 'dist/cli-debugging.js' },
  { source: 'src/cli/laboratory.ts', out: 'dist/cli-laboratory.js' },
];

const jobs = [];
for (const { source, out, plugins = [lazyIced], ...rest } of programs) {
  if (!wanted(source)) continue;
  if (existsSync(source))
    jobs.push({ ...common, ...rest, entryPoints: [source], outfile: out, plugins, minifyWhitespace: true, minifySyntax: true });
  else console.log(`skipped ${out}: ${source} does not exist yet`);
}
const tests = testFiles();
if (tests.length > 0)
  jobs.push({
    ...common,
    entryPoints: tests,
    outbase: 'test',
    outdir: 'dist/test',
    packages: 'external',
    define: forced ? { TRANSLATE_AT_ONCE: 'true' } : {},
  });

if (watch) {
  for (const job of jobs) await (await context({ ...job, logLevel: 'info' })).watch();
} else {
  if (parts.length === 0) rmSync('dist/test', { recursive: true, force: true }); // a test whose source is gone must not run on
  const results = await Promise.allSettled(jobs.map((job) => build(job)));
  if (results.some((result) => result.status === 'rejected')) process.exit(1); // esbuild has printed why
  console.log(`built ${jobs.length - (tests.length > 0 ? 1 : 0)} programs, ${tests.length} test files`);
}
