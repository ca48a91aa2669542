// A demo Guest under a debugger without a protocol, for the tests of this folder.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { runCommand } from '../../src/debugger/commands';
import { openProgram, Programs } from '../../src/debugger/programs';
import { Debugger, type StopInfo } from '../../src/debugger/session';
import { GuestTarget } from '../../src/debugger/target';
import { Machine } from '../../src/launcher/machine';
import type { TrapRecord } from '../../src/lguest/trap-record';

export const image = new Uint8Array(readFileSync('examples/demo/demo.elf'));
export const program = openProgram(image, 'examples/demo/demo.elf');

export interface Stand {
  machine: Machine;
  d: Debugger;
}
export const make = (cmdline = ''): Stand => {
  const machine = new Machine({ kernel: image, memoryBytes: 32 << 20, cmdline, jit: false });
  return { machine, d: new Debugger(new GuestTarget(machine), new Programs([program])) };
};
/** Stands where a record of this vector passes the test, before it is applied. */
export const standAt = (vector: number, wanted: (r: TrapRecord) => boolean, { machine, d } = make()): Stand & { record: TrapRecord } => {
  const vectors = new Uint8Array(257);
  vectors[vector] = 1;
  machine.host.setFilter({ vectors, ring: false, virqDelivered: false, virqHeld: false, test: wanted });
  const stop = machine.run({ instructions: 5_000_000 });
  assert.equal(stop.kind, 'trap');
  machine.host.setFilter(undefined);
  return { machine, d, record: (stop as { record: TrapRecord }).record };
};
export const once = <T>(build: () => T): (() => T) => {
  let made: T | undefined;
  return () => (made ??= build());
};
export const ask = (d: Debugger, line: string): string =>
  runCommand(
    {
      debugger: d,
      send: () => {},
      number: (text) => Number(BigInt.asUintN(32, d.evaluate(text, undefined, false).value.bits)),
      resume: () => {},
    },
    line,
  ) ?? assert.fail(`"${line}" is no command`);

/** How long a Guest may run to its next stop. */
const STOP_MS = 60_000;

/** The next stop after `go` set the Guest running; one that does not come fails the test. */
export const stopAfter = (d: Debugger, go: () => void): Promise<StopInfo> => {
  let timer: NodeJS.Timeout | undefined;
  return new Promise<StopInfo>((done, fail) => {
    d.onStop = done;
    d.onEnd = (end) => fail(new Error(`the Guest ended: ${end.message}`));
    timer = setTimeout(() => {
      d.onStop = () => {};
      d.pause();
      fail(new Error(`the Guest runs on without a stop, at 0x${d.target.pc.toString(16)}`));
    }, STOP_MS);
    go();
  }).finally(() => clearTimeout(timer));
};
