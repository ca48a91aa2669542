// Interpreter against translator for a while: node test/fuzz/fuzz.mjs [--seconds N] [--seed N]. Builds nothing: run `npm run build` first.
// A process lives for a minute at most: the engine frees dead WebAssembly modules late, and forced translation makes thousands.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const option = (name, otherwise) => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? otherwise : Number(process.argv[i + 1]);
};
let left = option('seconds', 60);
let seed = option('seed', 1);
let passed = 0;
let failed = 0;
while (left > 0) {
  const seconds = Math.min(left, 60);
  const { stdout, status } = spawnSync(process.execPath, [cli, 'fuzz', '--seconds', String(seconds), '--seed', String(seed)], {
    encoding: 'utf8',
  });
  const lines = stdout.trim().split('\n');
  const counts = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? '');
  if (status !== 0) console.log(stdout);
  if (counts === null) {
    console.log(`the fuzzer ended without a result (status ${status})`);
    failed++;
    break;
  }
  passed += Number(counts[1]);
  failed += Number(counts[2]);
  seed += Number(counts[1]) + Number(counts[2]);
  left -= seconds;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
