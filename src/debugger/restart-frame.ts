// Restarting a frame: the processor is put back to where the function was entered, as far as every register that counts there is known for certain.
//
// The stack pointer and what a function must give back come from the frame of its caller; arguments in registers from what that caller kept. Memory stays as it is,
// arguments on the stack too: only going back in time could undo what was written. What is not certain is refused with the reason. Left out: who asks (adapter).

import { OP_REG0, type Variable } from '../symbols/dwarf/variables';
import { ExpressionError } from './expression';
import { withCaller } from './frame-environment';
import type { Debugger } from './session';
import { DWARF_REGISTERS, type Frame } from './stack';
import { type StopInfo, stopInfo } from './stops';

const fail = (message: string): never => {
  throw new ExpressionError(message);
};

const ESP = 4;
/** ebx, ebp, esi, edi: a function gives them back as it found them. */
const KEPT = [3, 5, 6, 7];
const DF = 0x400;

/** Whether a frame is one that can be asked to restart: a function of its own, of what is on the processor. */
export const mayRestart = (d: Debugger, f: Frame): boolean =>
  f.kind === 'code' && f.view === undefined && d.target.host?.inSwitcher !== true && !isInlined(d, f);
const lookAt = (f: Frame): number => f.pc - (f.afterCall ? 1 : 0);
/** The function around an inlined one is the next frame, at the same place. */
const isInlined = (d: Debugger, f: Frame): boolean => {
  const { frames } = d.stack();
  return frames[frames.indexOf(f) + 1]?.registers === f.registers;
};

/** Puts the processor to the entry of a frame's function. @returns the stop there. @throws ExpressionError with what is not certain. */
export const restartFrame = (d: Debugger, frame: Frame): StopInfo => {
  const { target, programs } = d;
  const { name } = frame;
  if (frame.kind !== 'code') fail('this is no frame of a function');
  if (frame.view !== undefined) fail('this task is not on the processor: what it has saved cannot be put back');
  if (target.host?.inSwitcher) fail('the Switcher is at work: step out of it first');
  if (d.stop?.pending) fail('a trap is about to be delivered here; step once before going elsewhere');
  if (isInlined(d, frame)) fail(`${name} has no entry of its own; restart the function that it is a part of`);
  const stack = d.stack();
  const at = stack.frames.indexOf(frame);
  if (stack.frames.slice(0, at).some((f) => f.kind !== 'code')) fail(`a trap's handler is at work above ${name}: step out of it first`);
  stack.need(at + 2);
  const caller = stack.frames[at + 1] ?? fail(`nothing is known of who called ${name}`);
  if (caller.kind !== 'code' || !caller.afterCall) fail(`${name} was not called: a trap leads there`);
  const f = programs.functionAt(lookAt(frame));
  if (f?.unit === undefined) return fail(`how ${name} takes its arguments is not known: there is no debug information of it`);
  const top = caller.registers[ESP] ?? fail(`where ${name} began on the stack is not known`);
  if (target.read32(top - 4) !== caller.pc >>> 0) fail(`the return address of ${name} is not on the stack any more`);
  const entry = (f.entry + f.bias) >>> 0;
  const put = new Map<number, number>([[ESP, (top - 4) >>> 0]]);
  for (const n of KEPT) put.set(n, caller.registers[n] ?? fail(`what ${DWARF_REGISTERS[n]} held when ${name} began is not known`));
  const atEntry = target.pc === entry && target.register('esp') === put.get(ESP);
  for (const v of programs.localsAt(entry)) {
    if (v.kind !== 'argument' || v.inlineDepth !== 0 || atEntry) continue;
    const n = registerAt(v, f.entry);
    if (n === undefined || n === ESP || KEPT.includes(n)) continue;
    put.set(n, v.entryRegister(withCaller(frame, programs, stack), n) ?? fail(lost(v, n)));
  }
  for (const [n, value] of put) target.setRegister(DWARF_REGISTERS[n], value);
  target.setRegister('eip', entry);
  target.setRegister('eflags', target.register('eflags') & ~DF);
  d.forget();
  d.runner.stop = stopInfo('restart', `Paused at the start of ${f.name} again`, {
    text: `${f.name} begins again. Memory is as it is: what it has written stays, and so do changed arguments on the stack.`,
  });
  return d.runner.stop;
};

const lost = (v: Variable, n: number): string =>
  `the argument "${v.name}" came in ${DWARF_REGISTERS[n]}, and its caller has not kept it; nothing was changed`;

/** The register in which an argument comes; undefined: it comes on the stack, or the function never looks at it. */
const registerAt = (v: Variable, entry: number): number | undefined => {
  const expression = v.expressionAt(entry);
  if (expression === undefined || expression.length === 0) return undefined;
  const n = expression[0] - OP_REG0;
  if (n >= 0 && n < 9) return expression.length === 1 ? n : fail(`the argument "${v.name}" comes in several registers`);
  return undefined;
};
