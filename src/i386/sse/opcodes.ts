// MMX, SSE and SSE2 rows of the opcode list (see ../opcodes.ts for the notation).
import type { Row } from '../opcodes';

export const SSE: readonly Row[] = [];
