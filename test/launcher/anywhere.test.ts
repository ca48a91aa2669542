// The core (processor, Host, Launcher) in a place that is not Node: bundled for a browser and run without any of Node's modules, with and without WebAssembly
// compilation. What it leaves out: the adapter in a browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { buildSync } from 'esbuild';

const PROGRAM = `
  import { Machine } from './src/launcher/machine';
  globalThis.boot = (kernel) => {
    const machine = new Machine({ kernel, memoryBytes: 16 << 20, jitThreshold: 50 });
    let text = '';
    machine.onConsole = (bytes) => { for (const b of bytes) text += String.fromCharCode(b); };
    machine.run({ instructions: 450000 });
    return [machine.stateHash(), text.length, machine.processor.jitRefused, machine.processor.jit?.stats.modules ?? 0].join(' ');
  };`;
const bundle = buildSync({
  stdin: { contents: PROGRAM, resolveDir: process.cwd(), loader: 'ts' },
  bundle: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  write: false,
  logLevel: 'error',
}).outputFiles[0].text;
const kernel = new Uint8Array(readFileSync('examples/demo/demo.elf'));

/** Boots in a fresh context that has the language, WebAssembly and what every Web Worker has besides. */
const boot = (change: string): string[] => {
  const context = createContext({ kernel, TextEncoder, TextDecoder, structuredClone });
  runInContext(change, context);
  runInContext(bundle, context);
  return String(runInContext('boot(Uint8Array.from(kernel))', context)).split(' ');
};

test('the core runs in a place without Node, and the same run comes out, also where WebAssembly may not be compiled', () => {
  const [hash, printed, refusal, modules] = boot('');
  assert.equal(refusal, 'false');
  assert.ok(Number(modules) > 0, 'something was translated');
  assert.ok(Number(printed) > 0, 'the Guest printed');
  // As a page's security policy does it.
  const refused = boot("WebAssembly.Module = function () { throw new WebAssembly.CompileError('refused'); };");
  assert.deepEqual(refused, [hash, printed, 'true', '0']);
});
