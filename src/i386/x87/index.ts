// The x87 instruction set's binders, joined. See unit.ts for the unit and float80.ts for the numbers.
import type { Binders } from '../interpreter/operands';
import { ARITHMETIC } from './arithmetic';
import { CONTROL } from './control';
import { MOVES } from './moves';
import { UNARY } from './unary';

export const X87_BINDERS: Binders = { ...ARITHMETIC, ...MOVES, ...UNARY, ...CONTROL };
