// A small machine for tests of single programs: flat 32-bit segments in ring 0, no paging, the program at CODE, the stack below STACK.
import { Processor } from '../../src/i386/processor';
import { CS, RAM_BASE, W } from '../../src/i386/state';

export const CODE = 0x10000;
export const STACK = 0x20000;
export const RAM = 0x80000;

/** @param jitThreshold runs before translation; undefined: never. @param at where the program stands. */
export const flatMachine = (code: readonly number[], jitThreshold?: number, at = CODE): Processor => {
  const proc = new Processor({ ramBytes: RAM, countRing0: true, jit: jitThreshold !== undefined, jitThreshold: jitThreshold ?? 0 });
  const { m8, m32 } = proc.cpu;
  proc.reset();
  m8.set(code, RAM_BASE + at);
  m32[W.CR0] = 0x33;
  for (let seg = 0; seg < 6; seg++) {
    m32[W.SELECTOR + seg] = seg === CS ? 8 : 16;
    m32[W.BASE + seg] = 0;
    m32[W.LIMIT + seg] = -1;
    m32[W.ACCESS + seg] = seg === CS ? 0xc09b : 0xc093;
  }
  m32[4] = STACK;
  m32[W.EIP] = at;
  proc.cpu.setFlags(2);
  proc.cpu.updateMode();
  return proc;
};
