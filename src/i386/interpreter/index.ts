// Joins the parts of the instruction set into one table: HANDLERS[form](cpu, record index).
//
// FORM is row * 8 + size * 2 + memory (see ../decode.ts). The table is filled once, when the module loads; a form that no encoding can have raises #UD.
// What it leaves out: everything an instruction means.

import { ROW_SIZE, ROWS } from '../rows';
import { SSE_BINDERS } from '../sse';
import { X87_BINDERS } from '../x87';
import { ALU } from './alu';
import { BCD } from './bcd';
import { BITS } from './bits';
import { CONTROL } from './control';
import { DATA } from './data';
import { FAR } from './far';
import { MISC } from './misc';
import { MULDIV } from './muldiv';
import type { Binders, Handler, Size } from './operands';
import { SHIFTS } from './shift';
import { STRINGS } from './string';
import { SYSTEM } from './system';

export type { Binder, Binders, Handler, Size } from './operands';

/** Every binder by row name. */
export const BINDERS: Binders = {
  ...ALU,
  ...SHIFTS,
  ...DATA,
  ...STRINGS,
  ...CONTROL,
  ...BITS,
  ...MULDIV,
  ...BCD,
  ...MISC,
  ...FAR,
  ...SYSTEM,
  ...X87_BINDERS,
  ...SSE_BINDERS,
};

/** Names of rows that nobody implements; empty in a finished processor. */
export const UNBOUND: readonly string[] = [...new Set(ROWS.map((row) => row.name).filter((name) => BINDERS[name] === undefined))];

const invalid: Handler = (c) => c.ud();

export const HANDLERS: Handler[] = Array.from({ length: ROWS.length * 8 }, () => invalid);
ROWS.forEach((row, number) => {
  const bind = BINDERS[row.name];
  if (bind === undefined) return;
  const sizes: Size[] = ROW_SIZE[number] === 3 ? [1, 2] : [ROW_SIZE[number] as Size];
  for (const size of sizes) {
    HANDLERS[number * 8 + size * 2] = bind(row, size, false);
    HANDLERS[number * 8 + size * 2 + 1] = bind(row, size, true);
  }
});
