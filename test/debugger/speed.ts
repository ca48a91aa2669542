// The measurements behind speed.mjs, on the demo Guest's `spin` command.

import { readFileSync } from 'node:fs';
import { openProgram, Programs } from '../../src/debugger/programs';
import { Debugger } from '../../src/debugger/session';
import { GuestTarget } from '../../src/debugger/target';
import { Machine } from '../../src/launcher/machine';

const TURNS = 5;
const INSTRUCTIONS = 40_000_000;
const LONG = 10 * INSTRUCTIONS;

/** Milliseconds of the best turn for so many instructions of spin(), after the debugger was set up. `asks`: conditions asked in it. */
const spin = (setUp: (d: Debugger, m: Machine) => void, instructions = INSTRUCTIONS): { ms: number; asks: number } => {
  const image = new Uint8Array(readFileSync('examples/demo/demo.elf'));
  const machine = new Machine({ kernel: image, memoryBytes: 64 << 20, cmdline: 'do=spin 4000000000' });
  const d = new Debugger(new GuestTarget(machine), new Programs([openProgram(image, 'demo.elf')]));
  let text = '';
  machine.onConsole = (b) => {
    text += new TextDecoder().decode(b);
  };
  while (!text.includes('demo> spin')) machine.run({ instructions: 100_000 });
  machine.run({ instructions: INSTRUCTIONS });
  // It stands in the loop now: an instruction that runs in every round.
  setUp(d, machine);
  machine.run({ instructions: INSTRUCTIONS });
  const { processor } = machine;
  const ask = processor.onBreakpoint;
  let asks = 0;
  processor.onBreakpoint = (linear) => {
    asks++;
    return ask?.(linear) ?? false;
  };
  machine.run({ instructions: INSTRUCTIONS });
  processor.onBreakpoint = ask;
  let ms = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < TURNS; turn++) {
    // The processor's time, not the clock's: others may be at work on the same machine.
    const from = process.cpuUsage();
    machine.run({ instructions });
    const { user, system } = process.cpuUsage(from);
    ms = Math.min(ms, (user + system) / 1000);
  }
  return { ms, asks };
};

export const measure = (): void => {
  const plain = spin(() => {});
  console.log(`spin, ${INSTRUCTIONS} instructions: ${plain.ms.toFixed(1)} ms`);
  for (const condition of ['$eax == 0x12345678 && $ebx == 3', 'ticks == 0x12345678', '($esp & 7) == 5 || ticks > 0x7fffffff']) {
    const with1 = spin((d) => d.setBreakpoints('instruction', () => true, [{ kind: 'instruction', address: d.target.pc, condition }]));
    const each = ((with1.ms - plain.ms) * 1000) / with1.asks;
    console.log(`false condition "${condition}": ${with1.asks} asked, ${each.toFixed(3)} microseconds each, all included`);
  }
  const watched = spin((d) => {
    d.setWatches(
      [...Array(100).keys()].map((i) => ({ dataId: `mem:v:0x${(0xc0200000 + 0x1234 * i).toString(16)}:4`, access: 'write' as const })),
    );
  }, LONG);
  const free = spin(() => {}, LONG);
  console.log(
    `100 watches not touched: ${watched.ms.toFixed(1)} ms, ${(100 * (watched.ms / free.ms - 1)).toFixed(1)} % slower than ${free.ms.toFixed(1)} ms`,
  );
};
