// MMX, SSE and SSE2: binders, and what CPUID may announce because of them.

import type { Binders } from '../interpreter/operands';
import { FLOAT } from './arithmetic';
import { INTEGER } from './integer';
import { MOVES } from './moves';

export const SSE_BINDERS: Binders = { ...INTEGER, ...MOVES, ...FLOAT };

/** Bits of CPUID leaf 1 EDX: MMX, SSE, SSE2. FXSR is the x87's; CLFLUSH works but is not announced, for there are no cache lines to speak of. */
export const SSE_FEATURES = (1 << 23) | (1 << 25) | (1 << 26);
