// The probe Guest against its recording under real lguest: some 130 things tried in rings 1 and 3, and every way to die.
//
// Compared line by line. Exceptions are those of the recording's own README (that processor's CPUID, ICEBP, the CR0 of that Host, one test that tests nothing, where
// in a loop the timer hits), and `ds=0 load`: QEMU's translator does not check segment limits, a processor refuses a null data segment.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Machine, type Stop } from '../../src/launcher/machine';

const kernel = new Uint8Array(readFileSync('test/guests/probe/probe.elf'));
const recording = readFileSync('test/guests/probe/probe.expected', 'latin1').replaceAll('\r', '');

const run = (t: number, instructions: number): { stop: Stop; console: string } => {
  const machine = new Machine({ kernel, memoryBytes: 16 << 20, cmdline: `t=${t}`, tscKhz: 0, records: 1024 });
  let console = '';
  machine.onConsole = (bytes) => {
    console += String.fromCharCode(...bytes);
  };
  return { stop: machine.run({ instructions }), console };
};

/** What a line says, with the exceptions taken out. */
const comparable = (line: string): string => {
  if (/^(cpuid0|cpuid1_edx|icebp|syscall|irq from ring3|ds=0 load)/.test(line)) return line.split(' ')[0];
  if (line.startsWith('spin ien=1')) return line.replace(/efl=\S+/, 'efl');
  return line.replace(/ msw=\S+/, '');
};
const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !/^(DUMP|D |lguest:)/.test(line))
    .map(comparable);

test('the probe Guest prints what it printed under real lguest', () => {
  const { stop, console } = run(0, 1_000_000_000);
  assert.deepEqual(lines(console), lines(recording));
  assert.equal('message' in stop ? stop.message : stop.kind, 'lguest: CRASH: probe end');
});

const ENDS: Record<number, string | RegExp> = {
  100: 'hypercall 5 before INIT',
  101: 'already have lguest_data',
  102: 'Bad hypercall 11\n',
  103: 'Bad hypercall 18\n',
  104: 'Bad hypercall 99\n',
  105: 'Bad NOTIFY 0x7fffffff',
  106: 'CRASH: hello crash',
  107: 'bad read address 0x7ffffff0 len 128',
  108: /^unhandled trap 14 at 0x10\w+ \(0x80000000\)$/,
  109: /^unhandled trap 14 at 0x10\w+ \(0x80000000\)$/,
  110: 'bad IDT type 5',
  111: 'Setting idt entry 256',
  112: 'bad stack segment 104',
  113: 'bad stack pages 3',
  114: 'bad stack page 0x7fffffff',
  115: 'bad page table entry',
  116: 'bad page table entry',
  117: 'CRASH: PCD ok',
  118: 'bad page table entry',
  119: 'bad page directory entry',
  120: 'bad page directory entry',
  121: 'bad page directory entry',
  122: 'attempt to access switcher pages',
  123: 'CRASH: fatal test fell through',
  124: 'bad guest page 00000000',
  125: 'bad kernel address 0xffc00000',
  126: 'bad syscall vector',
  127: 'bad kernel address 0xffffffff',
  128: /^unhandled trap 13 at 0x10\w+ \(0x1000\)$/,
  129: 'CRASH: unexpected trap',
  130: /^unhandled trap 256 at 0x10\w+ \(0x0\)$/,
  131: 'too many gdt entries 33',
  132: 'bad read address 0x7ffffff0 len 256',
  133: 'bad read address 0x7ffffff0 len 24',
  134: 'attempt to access switcher pages',
  135: 'bad read address 0x7ffff000 len 4',
  136: 'CRASH: setpmd 1023 ignored',
  137: 'Bad address 0x80000000',
  138: 'Bad address 0x80000000',
  139: 'idle',
  140: /^unhandled trap 13 at 0x10\w+ \(0x0\)$/,
  141: /^unhandled trap 6 at 0x10\w+ \(0x0\)$/,
  142: /^unhandled trap 13 at 0x10\w+ \(0x402\)$/,
  143: /^unhandled trap 13 at 0x10\w+ \(0x102\)$/,
  144: /^unhandled trap 13 at 0x10\w+ \(0x50\)$/,
  145: /^unhandled trap 7 at 0x10\w+ \(0x0\)$/,
  146: 'bad page table entry',
  147: 'CRASH: setpte bad pfn w/o AD ok',
  148: 'Bad hypercall 99\n',
  149: /^unhandled trap 13 at 0x10\w+ \(0x0\)$/,
  150: 'CRASH: unexpected trap',
  151: 'CRASH: in ok without idt',
  152: 'CRASH: in before init ok',
  153: 'Bad NOTIFY 0x4000000',
};

test('each of the 54 ways to die ends as it must', () => {
  for (const [t, expected] of Object.entries(ENDS)) {
    const { stop } = run(Number(t), 20_000_000);
    const text = 'message' in stop ? stop.message.replace(/^lguest: /, '') : stop.kind;
    if (typeof expected === 'string') assert.equal(text, expected, `t=${t}`);
    else assert.match(text, expected, `t=${t}`);
  }
});
