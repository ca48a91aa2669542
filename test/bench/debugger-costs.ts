// The part of the debugger's costs that is measured inside one process: steps of the core, false conditions, breakpoints and watches that are never met.
//
// The Guest is guest/dbg.c: an endless loop around work(), whose variables lie on known pages. Slowdowns are ratios of turns with and without, one after the other, so that
// what else the machine does meets both alike. What it leaves out: the protocol, start-up and memory (debugger-costs.mjs).

import { readFileSync } from 'node:fs';
import { openProgram, Programs } from '../../src/debugger/programs';
import { Debugger } from '../../src/debugger/session';
import { GuestTarget } from '../../src/debugger/target';
import { Machine } from '../../src/launcher/machine';

const WARM = 60_000_000;
const STEPS = 200_000;

interface Session {
  machine: Machine;
  d: Debugger;
  /** Address of a name of the Guest. @throws Error when it has none. */
  at(name: string): number;
}

const start = (image: Uint8Array): Session => {
  const machine = new Machine({ kernel: image, memoryBytes: 64 << 20, cmdline: '' });
  const programs = new Programs([openProgram(image, 'dbg')]);
  const d = new Debugger(new GuestTarget(machine), programs);
  machine.run({ instructions: WARM });
  const at = (name: string): number => {
    const found = programs.addressOf(name);
    if (found === undefined) throw new Error(`the Guest has no "${name}": make -C test/bench/guest dbg-lguest.elf`);
    return found;
  };
  return { machine, d, at };
};

/** The processor's seconds, not the clock's: others may be at work on the same machine. */
const seconds = (work: () => void): number => {
  const from = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
};

export const median = (list: readonly number[]): number => {
  const sorted = [...list].sort((a, b) => a - b);
  const n = sorted.length;
  return n % 2 === 1 ? sorted[(n - 1) / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
};

/** How many times longer the same instructions take after `setUp`. */
const slowdown = (image: Uint8Array, setUp: (s: Session) => void, turns: number, instructions = 150_000_000): number => {
  const plain = start(image);
  const other = start(image);
  setUp(other);
  for (const s of [plain, other]) s.machine.run({ instructions: WARM });
  const ratios: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const before = seconds(() => plain.machine.run({ instructions }));
    const with1 = seconds(() => other.machine.run({ instructions }));
    const after = seconds(() => plain.machine.run({ instructions }));
    ratios.push((2 * with1) / (before + after));
  }
  return median(ratios);
};

/** Evaluations a second of a condition that is never true, all included: the Guest's work in between and the way to the breakpoint and back. */
const conditions = (image: Uint8Array, condition: string, turns: number): number => {
  const { machine, d, at } = start(image);
  d.setBreakpoints('instruction', () => true, [{ kind: 'instruction', address: at('work'), condition }]);
  const ask = machine.processor.onBreakpoint;
  const instructions = 20_000_000;
  let asks = 0;
  machine.processor.onBreakpoint = (linear) => {
    asks++;
    return ask?.(linear) ?? false;
  };
  machine.run({ instructions });
  asks = 0;
  machine.run({ instructions });
  machine.processor.onBreakpoint = ask;
  const rates: number[] = [];
  for (let turn = 0; turn < turns; turn++) rates.push(asks / seconds(() => machine.run({ instructions })));
  return median(rates);
};

const steps = (image: Uint8Array, turns: number): number => {
  const { machine } = start(image);
  const rates: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const spent = seconds(() => {
      for (let i = 0; i < STEPS; i++) machine.step({ idle: 'stop' });
    });
    rates.push(STEPS / spent);
  }
  return median(rates);
};

const watch = (address: number): { dataId: string; access: 'write' } => ({ dataId: `mem:v:0x${address.toString(16)}:4`, access: 'write' });

/** One figure of each by its name in debugger-costs.mjs. */
export const measure = (imagePath: string, turns: number, only: (name: string) => boolean): Record<string, number> => {
  const image = new Uint8Array(readFileSync(imagePath));
  const all: Record<string, () => number> = {
    'core-steps': () => steps(image, turns),
    'condition-register': () => conditions(image, '$eax == 0x12345678 && $ebx == 3', turns),
    'condition-global': () => conditions(image, 'sink == 0xfffffff1', turns),
    'condition-local': () => conditions(image, 'x == 0x12345678', turns),
    'breakpoint-same-page': () =>
      slowdown(
        image,
        ({ d, at }) => void d.setBreakpoints('instruction', () => true, [{ kind: 'instruction', address: at('never') }]),
        turns,
      ),
    'watch-hot-page': () => slowdown(image, ({ d, at }) => void d.setWatches([watch(at('hot') + 2048)]), turns),
    'watch-100-ranges': () =>
      slowdown(
        image,
        ({ d, at }) =>
          void d.setWatches([...Array(100).keys()].map((i) => watch(at('hot') + (i < 50 ? 2048 + 16 * i : 0x100000 + 0x1234 * i)))),
        turns,
      ),
  };
  const figures: Record<string, number> = {};
  for (const [name, work] of Object.entries(all)) if (only(name)) figures[name] = work();
  return figures;
};
