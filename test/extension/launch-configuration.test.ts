// The rules that complete and check a launch configuration, as plain functions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEAD_BYTES, kernelKind } from '../../src/extension/kernel-images';
import {
  completeConfiguration,
  configurationProblem,
  demoConfiguration,
  isEmpty,
  kernelConfiguration,
} from '../../src/extension/launch-configuration';

const DEMO = '/ext/examples/demo/demo.elf';
const none = (): undefined => undefined;

test('an entry that says only its type boots the demo Guest', () => {
  const full = completeConfiguration({ type: 'lguest' }, DEMO, none);
  assert.equal(full['program'], DEMO);
  assert.equal(full.request, 'launch');
  assert.equal(full['disassemblySyntax'], 'att');
});

test('what the entry says wins over the settings, and a setting wins over nothing', () => {
  const settings: Record<string, unknown> = {
    'launch.memory': '128M',
    'launch.cmdline': 'quiet',
    'disassembly.syntax': 'intel',
    'step.virq': 'stop',
    'exceptions.stopAt': 'handler',
  };
  const full = completeConfiguration({ type: 'lguest', program: '/k', memory: '32M' }, DEMO, (name) => settings[name]);
  assert.equal(full['program'], '/k');
  assert.equal(full['memory'], '32M');
  assert.equal(full['cmdline'], 'quiet');
  assert.equal(full['disassemblySyntax'], 'intel');
  assert.equal(full['stepVirq'], 'stop');
  assert.equal(full['exceptionsStopAt'], 'handler');
});

test('an empty setting adds no attribute', () => {
  const full = completeConfiguration({ type: 'lguest' }, DEMO, (name) =>
    name === 'launch.sysroot' ? '' : name === 'launch.sourceMap' ? {} : undefined,
  );
  assert.equal('sysroot' in full, false);
  assert.equal('sourceMap' in full, false);
});

test('false is a value: it is not replaced by a setting', () => {
  const full = completeConfiguration({ type: 'lguest', stopOnEntry: false }, DEMO, (name) =>
    name === 'launch.stopOnEntry' ? true : undefined,
  );
  assert.equal(full['stopOnEntry'], false);
});

test('words of other debuggers are understood', () => {
  const full = completeConfiguration(
    { type: 'lguest', args: ['console=hvc0', 'quiet'], sourceFileMap: { '/a': '/b' }, kernel: '/k' },
    DEMO,
    none,
  );
  assert.equal(full['cmdline'], 'console=hvc0 quiet');
  assert.deepEqual(full['sourceMap'], { '/a': '/b' });
  assert.equal(full['program'], '/k');
  for (const alias of ['args', 'sourceFileMap', 'kernel']) assert.equal(alias in full, false, alias);
});

test('F5 without a launch.json is recognised by its empty configuration', () => {
  assert.equal(isEmpty({}), true);
  assert.equal(isEmpty({ type: 'lguest' }), false);
});

test('the demo configuration stops in the first C function, a kernel configuration carries the path a person knows', () => {
  assert.equal(demoConfiguration(DEMO)['runToEntryPoint'], 'start_kernel');
  assert.equal(kernelConfiguration('/ws/build/vmlinux', 'build/vmlinux').name, 'lguest: build/vmlinux');
});

const complete = (extra: object) => completeConfiguration({ type: 'lguest', program: '/there', ...extra }, DEMO, none);
const there = (path: string): boolean => path === '/there';

test('a configuration whose files exist has no problem', () => {
  assert.equal(
    configurationProblem(complete({ initrd: '/there', symbolFiles: ['/there', { file: '/there', offset: 16 }] }), there),
    undefined,
  );
});

test('a missing file is named with its attribute', () => {
  assert.match(configurationProblem(complete({ initrd: '/gone' }), there) ?? '', /^"initrd" names \/gone, which does not exist/);
  assert.match(configurationProblem(complete({ symbolFiles: [{ file: '/gone' }] }), there) ?? '', /^"symbolFiles" names \/gone/);
  assert.match(configurationProblem(complete({ blockDevices: ['/there', '/gone'] }), there) ?? '', /^"blockDevices" names \/gone/);
});

test('a path that is no text, and a request other than launch, are refused in one sentence', () => {
  assert.equal(configurationProblem(complete({ program: 7 }), there), '"program" must be a path, not 7.');
  assert.match(configurationProblem(complete({ request: 'attach' }), there) ?? '', /"attach" is not known; use "launch"/);
});

/** An ELF head with the given class, type and machine. */
function elf(bits: 1 | 2, type: number, machine: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  head.set([0x7f, 0x45, 0x4c, 0x46, bits, 1, 1]);
  head[16] = type;
  head[18] = machine;
  return head;
}

test('an i386 ELF executable and a bzImage are kernels; objects, 64-bit images, scripts and stubs are not', () => {
  assert.equal(kernelKind(elf(1, 2, 3)), 'elf');
  assert.equal(kernelKind(elf(1, 1, 3)), undefined, 'an object file such as vmlinux.o');
  assert.equal(kernelKind(elf(2, 2, 62)), undefined, 'an x86-64 kernel');
  const bzImage = new Uint8Array(HEAD_BYTES);
  bzImage.set([0x55, 0xaa], 0x1fe);
  bzImage.set(new TextEncoder().encode('HdrS'), 0x202);
  assert.equal(kernelKind(bzImage), 'bzImage');
  assert.equal(kernelKind(bzImage.subarray(0, 0x204)), undefined, 'cut short');
  assert.equal(kernelKind(new TextEncoder().encode('OUTPUT_FORMAT("elf32-i386")')), undefined, 'vmlinux.lds');
  assert.equal(kernelKind(new Uint8Array()), undefined);
});
