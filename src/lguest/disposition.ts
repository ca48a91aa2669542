// What becomes of each trap that brought the Guest back to the Host.
//
// decideTrap() reads and answers, applyTrap() does it; a debugger may stop between the two. The order of questions is the original's: the Host looks at #GP (for
// port instructions), #PF (for its own demand paging) and #NM (for lazy FPU) first; hypercalls and hardware interrupts are its own; all else is the Guest's, and
// a Guest without a gate for it dies. Our documentation, 6. Left out: traps that never come here (segments.ts isDirect).

import { EXC } from '../i386/state';
import { FIRST_EXTERNAL_VECTOR, GUEST_PL, hex, LD, LGUEST_TRAP_ENTRY, REGS, TRAP_SENTINEL } from './abi';
import { badRead, type Guest } from './guest';
import { applyFrame, FramePlan, frameError, guestGate, planFrame } from './interrupts';
import { applyPage, decidePage, guestPa, PagePlan } from './page-tables';
import type { Draft, Outcome, Reason } from './trap-record';

/** The decision about one trap. */
export class TrapPlan {
  trapnum = 0;
  errorCode = 0;
  cr2 = 0;
  outcome: Outcome = 'reflected';
  reason: Reason = 'given';
  /** Text of the death when the outcome is killed. */
  message = '';
  readonly page = new PagePlan();
  readonly frame = new FramePlan();
  gateLow = 0;
  gateHigh = 0;
  /** Port emulation: length of the instruction and the new EAX. */
  ioLength = 0;
  ioEax = 0;
}

/** Decides about the trap in the saved registers. @param cr2 the fault address that the Host saved, for trap 14. */
export const decideTrap = (lg: Guest, cr2: number, plan: TrapPlan): void => {
  const trapnum = lg.reg(REGS.trapnum);
  const errorCode = lg.reg(REGS.errcode);
  plan.trapnum = trapnum;
  plan.errorCode = errorCode;
  plan.cr2 = cr2 >>> 0;
  plan.message = '';
  plan.reason = 'given';
  switch (trapnum) {
    case EXC.GP:
      if (errorCode !== 0) plan.reason = 'error-code';
      else if (decideIo(lg, plan)) return;
      break;
    case EXC.PF:
      decidePage(lg, cr2, errorCode, plan.page);
      plan.reason = plan.page.reason;
      if (plan.page.result === 'killed') {
        plan.outcome = 'killed';
        plan.message = plan.page.message;
        return;
      }
      if (plan.page.result === 'filled') {
        plan.outcome = 'paged-in';
        return;
      }
      break;
    case EXC.NM:
      if (lg.ts === 0) {
        plan.outcome = 'fpu-restored';
        plan.reason = 'ts-clear';
        return;
      }
      plan.reason = 'ts-set';
      break;
    case LGUEST_TRAP_ENTRY:
      plan.outcome = 'hypercall';
      plan.reason = 'sync';
      return;
    default:
      if (trapnum >= FIRST_EXTERNAL_VECTOR && trapnum < TRAP_SENTINEL) {
        // The Host's handler has run already. 80 = 0x50 is what a failed IRET into the Guest leaves here.
        plan.outcome = trapnum === 80 && lg.switcherFaulted ? 'switcher-fault' : 'host-irq';
        plan.reason = plan.outcome === 'host-irq' ? 'host-interrupt' : 'switcher-iret';
        return;
      }
  }
  decideDelivery(lg, plan);
};

const decideDelivery = (lg: Guest, plan: TrapPlan): void => {
  const { trapnum, errorCode } = plan;
  const gate = guestGate(lg, trapnum);
  if (gate === undefined) {
    plan.outcome = trapnum === TRAP_SENTINEL ? 'switcher-fault' : 'killed';
    plan.reason = 'no-gate';
    plan.message = `unhandled trap ${trapnum} at ${hex(lg.reg(REGS.eip))} (${hex(trapnum === EXC.PF ? plan.cr2 : errorCode)})`;
    return;
  }
  plan.gateLow = gate.low;
  plan.gateHigh = gate.high;
  planFrame(lg, gate.low, gate.high, frameError(trapnum, errorCode), plan.frame);
  if (plan.frame.ok) plan.outcome = 'reflected';
  else {
    plan.outcome = 'killed';
    plan.reason = plan.frame.reason;
    plan.message = plan.frame.message;
  }
};

/**
 * Port instructions of ring 1 do nothing and read all ones. @returns true when that (or a death on the way) settles the trap.
 * Quirks: a byte read sets 16 bits; only one 0x66 prefix is known; the byte after it is the next one in physical memory.
 */
const decideIo = (lg: Guest, plan: TrapPlan): boolean => {
  const eip = lg.reg(REGS.eip) >>> 0;
  const pa = guestPa(lg, eip);
  if (typeof pa === 'string') {
    plan.outcome = 'killed';
    plan.reason = pa.startsWith('bad read') ? 'bad-read' : 'bad-address';
    plan.message = pa;
    return true;
  }
  if ((lg.cs & 3) !== GUEST_PL) {
    plan.reason = 'not-ring-1';
    return false;
  }
  let at = pa;
  let length = 0;
  let shift = 0;
  if (!lg.readable(at, 1)) return badCode(plan, at);
  let byte = lg.peek8(at);
  if (byte === 0x66) {
    shift = 16;
    length = 1;
    at = (pa + 1) >>> 0;
    if (!lg.readable(at, 1)) return badCode(plan, at);
    byte = lg.peek8(at);
  }
  const kind = byte & 0xfe;
  const isIn = kind === 0xe4 || kind === 0xec;
  if (!isIn && kind !== 0xe6 && kind !== 0xee) {
    plan.reason = 'not-in-out';
    return false;
  }
  plan.ioLength = length + (kind === 0xe4 || kind === 0xe6 ? 2 : 1);
  plan.ioEax = lg.reg(REGS.eax);
  if (isIn) plan.ioEax = byte & 1 ? -1 : plan.ioEax | (0xffff << shift);
  plan.outcome = 'emulated';
  plan.reason = isIn ? 'in' : 'out';
  return true;
};
const badCode = (plan: TrapPlan, at: number): true => {
  plan.outcome = 'killed';
  plan.reason = 'bad-read';
  plan.message = badRead(at, 1);
  return true;
};

/** Does what decideTrap decided. Hypercalls are only marked here; they run at the top of the next round. */
export const applyTrap = (lg: Guest, plan: TrapPlan): void => {
  switch (plan.outcome) {
    case 'emulated':
      lg.setReg(REGS.eax, plan.ioEax);
      lg.setReg(REGS.eip, lg.reg(REGS.eip) + plan.ioLength);
      return;
    case 'paged-in':
      applyPage(lg, plan.cr2, plan.page);
      return;
    case 'hypercall':
      lg.hcallPending = true;
      return;
    case 'reflected':
      if (plan.trapnum === EXC.PF) {
        applyPage(lg, plan.cr2, plan.page); // a page table may have been needed on the way to "no"
        if (lg.ld >= 0 && !lg.setLd32(LD.cr2, plan.cr2)) {
          lg.kill('Writing cr2');
          return;
        }
      }
      applyFrame(lg, plan.frame);
      return;
    case 'killed':
      if (plan.trapnum === EXC.PF && plan.page.result === 'declined') {
        applyPage(lg, plan.cr2, plan.page);
        if (lg.ld >= 0 && !lg.setLd32(LD.cr2, plan.cr2)) lg.kill('Writing cr2');
      }
      lg.kill(plan.message);
      return;
    case 'switcher-fault':
      if (plan.message !== '') lg.kill(plan.message);
      return;
    default: // fpu-restored, host-irq: nothing more to do
  }
};

/** Fills in the record of a decided trap, but for its position. */
export const describeTrap = (lg: Guest, plan: TrapPlan, d: Draft): void => {
  const { trapnum } = plan;
  d.kind = trapnum === LGUEST_TRAP_ENTRY ? 'hypercall' : 'trap';
  d.outcome = plan.outcome;
  d.reason = plan.reason;
  d.vector = trapnum;
  d.error = plan.errorCode;
  d.hasError = frameError(trapnum, 0) !== undefined || trapnum === TRAP_SENTINEL;
  d.eip = lg.reg(REGS.eip);
  d.cs = lg.cs;
  d.ss = lg.ss;
  d.esp = lg.reg(REGS.esp);
  d.eflags = lg.reg(REGS.eflags);
  d.hasCr2 = trapnum === EXC.PF;
  d.cr2 = plan.cr2;
  d.cr3 = lg.pgdirs[lg.pgdidx].gpgdir;
  d.parent = -1;
  d.slot = -1;
  d.depth = 0;
  d.hasGate = plan.outcome === 'reflected';
  d.gateLow = plan.gateLow;
  d.gateHigh = plan.gateHigh;
  d.hasFrame = d.hasGate;
  d.frameAt = plan.frame.newEsp;
  d.frameEflags = plan.frame.eflags;
  d.hasIo = plan.outcome === 'emulated';
  if (trapnum === EXC.PF) {
    const { page } = plan;
    d.depth = page.depth;
    d.a = page.gpde;
    d.b = page.spde;
    d.c = page.gpte;
    d.d = page.spte;
    d.e = page.newSpte;
  } else if (trapnum === LGUEST_TRAP_ENTRY) {
    d.a = lg.reg(REGS.eax);
    d.b = lg.reg(REGS.edx);
    d.c = lg.reg(REGS.ebx);
    d.d = lg.reg(REGS.ecx);
  } else if (d.hasIo) {
    d.a = plan.ioLength;
    d.b = lg.reg(REGS.eax);
    d.c = plan.ioEax;
  }
};
