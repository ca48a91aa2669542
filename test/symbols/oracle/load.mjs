// Bundles src/symbols for the oracle scripts, which run outside of npm test and see the parts that a debugger does not.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('../../../src/symbols/', import.meta.url));
/** Modules of src/symbols. */
export const parts = [
  'program-symbols',
  'symbol-table',
  'elf',
  'dwarf/line',
  'dwarf/line-table',
  'dwarf/expression',
  'dwarf/frame',
  'dwarf/value',
  'dwarf/types',
  'dwarf/type-names',
];

export async function loadSymbols() {
  const outfile = join(mkdtempSync(join(tmpdir(), 'symbols-')), 'symbols.mjs');
  const contents = parts.map((part) => `export * from './${part}';`).join('\n');
  await build({
    stdin: { contents, resolveDir: source, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'warning',
  });
  return import(pathToFileURL(outfile).href);
}
