// What a trap's record says, by the names that conditions and filters use.
//
// Numbers and words of closed lists; tasks and frames are not in a record. What it leaves out: the languages in which the names stand (conditions.ts, record-query.ts).

import type { TrapRecord } from '../lguest/trap-record';

/** What a trap's record says, by the names that conditions use. */
export const trapNumber = (r: TrapRecord, name: string): number | undefined => {
  switch (name) {
    case 'vector':
      return r.vector;
    case 'err':
      return r.err ?? 0;
    case 'err.P':
      return (r.err ?? 0) & 1;
    case 'err.W':
      return ((r.err ?? 0) >> 1) & 1;
    case 'err.U':
      return ((r.err ?? 0) >> 2) & 1;
    case 'cr2':
      return r.cr2 ?? 0;
    case 'cpl':
      return r.cpl;
    case 'nr':
      return r.hypercall?.number ?? 0;
    case 'arg1':
      return r.hypercall?.args[0] ?? 0;
    case 'arg2':
      return r.hypercall?.args[1] ?? 0;
    case 'arg3':
      return r.hypercall?.args[2] ?? 0;
    case 'virq':
      return r.virq?.irq ?? -1;
    case 'handler':
      return r.handler ?? 0;
    case 'trap':
      return r.k;
    case 'insns':
      return r.pos.retired;
    default:
      return undefined;
  }
};

/** Words of closed lists, by the names that conditions use. */
export const trapText = (r: Pick<TrapRecord, 'outcome' | 'reason' | 'kind' | 'cpl'>, name: string): string | undefined => {
  switch (name) {
    case 'outcome':
      return r.outcome;
    case 'reason':
      return r.reason;
    case 'origin':
    case 'kind':
      return r.kind;
    case 'from':
      return r.cpl === 3 ? 'user' : 'kernel';
    default:
      return undefined;
  }
};
