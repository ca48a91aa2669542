// The demo Guest on the whole machine: what it prints, that it shows each kind of event, and how it ends.
//
// demo-console.txt is its console, chapter by chapter and through a session at the prompt. The same image under an independent Host of our
// own in QEMU printed the same lines, but for how often the timer cut in. UPDATE_GOLDEN=1 rewrites the file; read the difference.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Machine, type Stop } from '../../src/launcher/machine';

const image = new Uint8Array(readFileSync('examples/demo/demo.elf'));
const GOLDEN = 'test/guests/demo-console.txt';
const SESSION = [
  'help',
  'mem',
  'fault',
  'fault null',
  'fault divide',
  'fault cli',
  'user',
  'spin 1000000',
  'xyzzy',
  'int3',
  'ticks',
  'traps',
  'typ\bo',
  'off',
];

interface Ended {
  machine: Machine;
  console: string;
  stop: Stop;
}

/** Boots to the prompt, types `input` there, and runs to the end or until nothing is left to do. */
function run({ input = '', cmdline = '', jit = false, inputEnds = false }): Ended {
  const machine = new Machine({ kernel: image, memoryBytes: 32 << 20, cmdline, jit });
  let console = '';
  machine.onConsole = (bytes) => {
    console += Buffer.from(bytes).toString('latin1');
  };
  let stop = machine.run({ instructions: 5_000_000 });
  if (stop.kind === 'idle') {
    if (input !== '') machine.inputs.console(Buffer.from(input));
    if (inputEnds) machine.inputs.consoleEnd();
    stop = machine.run({ instructions: 20_000_000 });
  }
  return { machine, console, stop };
}

const messageOf = (stop: Stop): string => ('message' in stop ? stop.message : '');

test('the demo Guest prints its chapters and answers a session at the prompt, then powers off', () => {
  const { console, stop } = run({ input: SESSION.map((line) => `${line}\r`).join('') });
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(GOLDEN, console);
  assert.equal(console, readFileSync(GOLDEN, 'utf8'));
  assert.equal(stop.kind, 'power-off');
  assert.equal(messageOf(stop), 'lguest: CRASH: Power down');
});

test('the demo Guest is at its prompt within a million instructions, and asleep without a timer', () => {
  const { machine, console, stop } = run({});
  assert.match(console, /16\. shell: try help\ndemo> $/);
  assert.deepEqual(stop, { kind: 'idle', wakeNs: undefined });
  assert.ok(machine.processor.retired < 1_000_000, `${machine.processor.retired} instructions`);
});

test('the demo Guest shows every kind of event before its prompt', () => {
  const { totals } = run({}).machine.host.records;
  for (const outcome of [
    'direct',
    'reflected',
    'paged-in',
    'emulated',
    'fpu-restored',
    'hypercall',
    'virq-delivered',
    'virq-held',
  ] as const) {
    assert.ok(totals.outcomes[outcome] > 0, `no event "${outcome}"`);
  }
  assert.ok(totals.hypercallsAsync.reduce((a, b) => a + b) > 0, 'no hypercall by the ring');
  assert.ok(totals.filled.dirtyUpgrade > 0, 'no dirty upgrade');
  assert.ok(totals.pageFaultsGiven.ring1 > 0 && totals.pageFaultsGiven.ring3 > 0, 'page faults of both rings');
  assert.ok(totals.emulatedIn > 0 && totals.emulatedOut > 0, 'in and out');
  assert.ok(totals.nmGiven > 0 && totals.gpGiven > 0, 'lazy FPU and int3');
});

for (const [way, kind, message] of [
  ['null', 'panic', /^lguest: CRASH: Oops: page fault at 0xc01[0-9a-f]{5}$/],
  ['trap', 'killed', /^lguest: unhandled trap 13 at 0xc01[0-9a-f]{5} \(0x0\)$/],
  ['page', 'killed', /^lguest: bad page table entry$/],
] as const) {
  test(`"die ${way}" ends the demo Guest as ${kind}`, () => {
    const { stop } = run({ input: `die ${way}\r` });
    assert.equal(stop.kind, kind);
    assert.match(messageOf(stop), message);
  });
}

test('commands after do= on the command line run before the prompt', () => {
  const { console, stop } = run({ cmdline: 'quiet do=spin 1000;off' });
  assert.match(console, /demo> spin 1000\nspin: 50 rounds, checksum 0x[0-9a-f]{8}\ndemo> off/);
  assert.equal(stop.kind, 'power-off');
});

test('the end of the input leaves the prompt clean and the demo Guest asleep', () => {
  const { console, stop } = run({ input: 'xyzzy\r', inputEnds: true });
  assert.match(console, /demo> xyzzy\nxyzzy: unknown command, try help\ndemo> $/);
  assert.deepEqual(stop, { kind: 'idle', wakeNs: undefined });
});

test('two runs of the demo Guest end in the same state', () => {
  const hashes = [1, 2].map(() => run({ input: 'user\roff\r' }).machine.stateHash());
  assert.equal(hashes[0], hashes[1]);
});
