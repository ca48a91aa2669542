// Traps and interrupts that the user raises: `inject vector 14 err=2 cr2=0x10`, `inject irq 0`.
//
// They enter by the machine's door for inputs and go the way of every other trap, so what becomes of them is the Guest's and the Host's doing; the record says that
// they were injected. What it leaves out: the way itself (lguest/host.ts).

import { LauncherError } from '../launcher/errors';
import { ExpressionError } from './expression';
import { vectorName } from './filters';
import type { Debugger } from './session';
import { hex8 } from './target';

export interface InjectWish {
  vector?: number;
  err?: number;
  cr2?: number;
  irq?: number;
}

const USAGE = 'inject what? "inject vector N [err=CODE] [cr2=ADDRESS]" or "inject irq N"';

/** @param number turns an expression into a number. */
export const parseInject = (text: string, number: (expression: string) => number): InjectWish => {
  const [kind, what, ...rest] = text.trim().split(/\s+/);
  if (what === undefined || (kind !== 'vector' && kind !== 'irq')) throw new ExpressionError(USAGE);
  const wish: InjectWish = { [kind]: number(what) };
  for (const part of rest) {
    const m = /^(err|cr2)=(.+)$/.exec(part);
    if (m === null || kind === 'irq') throw new ExpressionError(`"${part}" is not understood: ${USAGE}`);
    wish[m[1] as 'err' | 'cr2'] = number(m[2]);
  }
  return wish;
};

/** Does it. @returns one line: what will happen. @throws ExpressionError with one line. */
export const inject = (d: Debugger, wish: InjectWish): string => {
  const { inputs, host } = d.target;
  if (inputs === undefined || host === undefined)
    throw new ExpressionError('this machine has no Host: only an lguest Guest can be injected into');
  const { vector, err, cr2, irq } = wish;
  try {
    if (irq !== undefined && vector === undefined) {
      inputs.irq(irq);
      return `irq ${irq} is pending; "info irq ${irq}" says when it goes in`;
    }
    if (vector === undefined || irq !== undefined) throw new ExpressionError(USAGE);
    inputs.trap(vector, err, cr2);
  } catch (error) {
    throw error instanceof LauncherError ? new ExpressionError(error.message) : error;
  }
  const at = d.programs.nameOf(d.target.pc) ?? hex8(d.target.pc);
  const more = `${err === undefined ? '' : ` err ${err}`}${cr2 === undefined ? '' : ` cr2 ${hex8(cr2)}`}`;
  if (host.lg.halted) return `${vectorName(vector)}${more} comes when the sleeping Guest runs again`;
  return `${vectorName(vector)}${more} comes ${d.stop?.pending ? 'after the trap at hand was applied' : `before the instruction at ${at}`}`;
};
