// What debugging costs: `node test/debugger/speed.mjs` prints the price of a false condition, and how much slower a Guest runs with 100 watches that nothing touches.
// Figures are of the machine that runs it and of its best of five turns; no test compares them.
import { build } from 'esbuild';

const { outputFiles } = await build({
  stdin: { contents: `export { measure } from './test/debugger/speed';`, resolveDir: process.cwd(), loader: 'ts' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  write: false,
  external: ['iced-x86'],
});
const module = { exports: {} };
const { createRequire } = await import('node:module');
new Function('module', 'exports', 'require', outputFiles[0].text)(module, module.exports, createRequire(import.meta.url));
module.exports.measure();
