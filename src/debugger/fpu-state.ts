// Lazy FPU as the Host sees it: whose state is in the registers, whether the next use traps, and what the Host will do about it.
//
// Two wishes meet in CR0.TS: the Host's own (it took the FPU away) and the Guest's (hypercall TS, kept in lg.ts). What it leaves out: the registers (scopes.ts).

import { CR0, W } from '../i386/state';
import type { Host } from '../lguest/host';

export interface FpuState {
  /** lg.ts: what the Guest asked for. */
  ts: number;
  owner: string;
  nextUse: string;
}

export const fpuState = (host: Host): FpuState => {
  const { ts } = host.lg;
  const taken = (host.cpu.m32[W.CR0] & CR0.TS) !== 0;
  if (ts !== 0)
    return {
      ts,
      owner: 'the Guest, but it wants to be told',
      nextUse: `traps: the Guest gets #NM, because it asked for TS (lg.ts ${ts})`,
    };
  return taken
    ? { ts, owner: 'the Host', nextUse: 'traps: the Host gives the FPU back silently and the instruction runs again, because lg.ts is 0' }
    : { ts, owner: 'the Guest', nextUse: 'does not trap' };
};
