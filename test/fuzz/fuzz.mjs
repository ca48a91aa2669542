// Interpreter against translator for a while: node test/fuzz/fuzz.mjs [--seconds N] [--seed N]. Builds nothing: run `npm run build` first.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const { status } = spawnSync(process.execPath, [cli, 'fuzz', ...process.argv.slice(2)], { stdio: 'inherit' });
process.exitCode = status ?? 1;
