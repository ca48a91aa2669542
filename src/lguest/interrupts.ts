// Building a frame on the Guest's stack: how the Guest gets a trap or a virtual interrupt, and when it may get the latter.
//
// As with page faults, each is decided first (plan...) and done afterwards (apply...): the plan reads, checks and computes all words, so applying it cannot fail.
// Our documentation, 5.4, 6.5, 6.7. Left out: which trap takes which way (disposition.ts).

import { pushesErrorCode } from '../i386/state';
import { FIRST_EXTERNAL_VECTOR, GUEST_PL, KERNEL_CS, LD, LGUEST_IRQS, REGS } from './abi';
import { badWrite, EPOCH, type Guest } from './guest';
import { guestPa } from './page-tables';
import type { Reason } from './trap-record';

const IF = 0x200;

/** The frame to be pushed, or the reason why it cannot be. */
export class FramePlan {
  ok = false;
  /** Message of the kill when not ok. */
  message = '';
  reason: Reason = 'none';
  /** Guest-physical address of the highest word's end; words follow downwards. */
  top = 0;
  readonly words = new Int32Array(6);
  count = 0;
  newSs = 0;
  newEsp = 0;
  newEip = 0;
  eflags = 0;
  interruptGate = false;
}

/**
 * Plans the frame for a gate.
 * Quirks: SS decides where the Guest comes from; only addresses are checked, not page permissions; a frame that crosses a page goes on in the page that lies
 * physically below; the gate's own selector is not looked at.
 */
export const planFrame = (
  lg: Guest,
  low: number,
  high: number,
  errorCode: number | undefined,
  plan: FramePlan,
  irqEnabled = lg.ld32(LD.irqEnabled),
): void => {
  plan.ok = false;
  plan.reason = 'bad-address';
  const fromUser = (lg.ss & 3) !== GUEST_PL;
  const virt = fromUser ? lg.esp1 : lg.reg(REGS.esp) >>> 0;
  plan.newSs = fromUser ? lg.ss1 : lg.ss;
  const top = guestPa(lg, virt);
  if (typeof top === 'string') {
    plan.message = top;
    plan.reason = top.startsWith('bad read') ? 'bad-read' : 'bad-address';
    return;
  }
  let n = 0;
  const { words } = plan;
  if (fromUser) {
    words[n++] = lg.ss;
    words[n++] = lg.reg(REGS.esp);
  }
  plan.eflags = lg.reg(REGS.eflags) & (irqEnabled & IF ? -1 : ~IF);
  words[n++] = plan.eflags;
  words[n++] = lg.cs;
  words[n++] = lg.reg(REGS.eip);
  if (errorCode !== undefined) words[n++] = errorCode;
  for (let i = 1; i <= n; i++) {
    const at = (top - 4 * i) >>> 0;
    if (lg.readable(at, 4)) continue;
    plan.message = badWrite(at, 4);
    plan.reason = 'bad-write';
    return;
  }
  plan.top = top;
  plan.count = n;
  plan.newEsp = (virt - 4 * n) >>> 0;
  plan.newEip = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
  plan.interruptGate = ((high >> 8) & 0xf) === 0xe;
  plan.ok = true;
};

/** Pushes the frame and points the Guest at its handler. */
export const applyFrame = (lg: Guest, plan: FramePlan): void => {
  if (!plan.ok) {
    lg.kill(plan.message);
    return;
  }
  for (let i = 0; i < plan.count; i++) lg.poke32((plan.top - 4 * (i + 1)) >>> 0, plan.words[i]);
  lg.setReg(REGS.ss, plan.newSs);
  lg.setReg(REGS.esp, plan.newEsp);
  lg.setReg(REGS.cs, KERNEL_CS | GUEST_PL);
  lg.setReg(REGS.eip, plan.newEip);
  if (plan.interruptGate && !lg.setLd32(LD.irqEnabled, 0)) lg.kill('Disabling interrupts');
};

/** The Guest's gate for a vector, or undefined when it has none. */
export const guestGate = (lg: Guest, vector: number): { low: number; high: number } | undefined => {
  if (vector >= 256) return undefined;
  const high = lg.idt[vector * 2 + 1];
  return high & 0x8000 ? { low: lg.idt[vector * 2], high } : undefined;
};

/** The error code that goes with a trap to the Guest, or undefined. */
export const frameError = (vector: number, errorCode: number): number | undefined => (pushesErrorCode(vector) ? errorCode : undefined);

// ---- virtual interrupts -----------------------------------------------------------------------------------------------------------------------

export class VirqPlan {
  /** none: nothing pending. held: `reason` says why. deliver: the frame is planned (and may not be possible). wake: halted, un-halted, but no gate. */
  result: 'none' | 'held' | 'deliver' | 'no-gate' = 'none';
  reason: Reason = 'none';
  irq = 0;
  pending = 0;
  blocked = 0;
  irqEnabled = 0;
  wake = false;
  gateLow = 0;
  gateHigh = 0;
  readonly frame = new FramePlan();
}

/** Decides whether a virtual interrupt goes in before the next entry. @param hold the debugger keeps it back, unless nothing else can wake the Guest. */
export const planVirq = (lg: Guest, plan: VirqPlan, hold: boolean): void => {
  plan.result = 'none';
  plan.pending = lg.irqsPending;
  if (lg.irqsPending === 0) return;
  plan.result = 'held';
  plan.wake = false;
  plan.irq = lowestBit(lg.irqsPending);
  if (lg.ld < 0) {
    plan.reason = 'before-init';
    return;
  }
  plan.blocked = lg.ld32(LD.blockedInterrupts);
  plan.irqEnabled = lg.ld32(LD.irqEnabled);
  const candidates = lg.irqsPending & ~plan.blocked;
  if (candidates === 0) {
    plan.reason = 'blocked';
    return;
  }
  plan.irq = lowestBit(candidates);
  const eip = lg.reg(REGS.eip) >>> 0;
  if (lg.noirqStart <= eip && eip < lg.noirqEnd) {
    plan.reason = 'noirq-range';
    return;
  }
  let irqEnabled = plan.irqEnabled;
  if (lg.halted) {
    plan.wake = true;
    irqEnabled = IF;
  } else if (plan.irqEnabled === 0) {
    plan.reason = 'disabled';
    return;
  } else if (hold) {
    plan.reason = 'stepping';
    return;
  }
  const gate = guestGate(lg, FIRST_EXTERNAL_VECTOR + plan.irq);
  if (gate === undefined) {
    plan.result = 'no-gate';
    plan.reason = 'no-gate';
    return;
  }
  plan.result = 'deliver';
  plan.reason = plan.wake ? 'woke-halted' : 'injected';
  plan.gateLow = gate.low;
  plan.gateHigh = gate.high;
  planFrame(lg, gate.low, gate.high, undefined, plan.frame, irqEnabled);
};

const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits);

/** Does what planVirq decided. @param nowNs Guest time. */
export const applyVirq = (lg: Guest, plan: VirqPlan, nowNs: number): void => {
  if (plan.result !== 'deliver' && plan.result !== 'no-gate') return;
  if (plan.wake) {
    if (!lg.setLd32(LD.irqEnabled, IF)) lg.kill('Re-enabling interrupts');
    lg.halted = false;
  }
  if (plan.result === 'deliver') {
    lg.irqsPending &= ~(1 << plan.irq);
    applyFrame(lg, plan.frame);
  }
  if (!writeTime(lg, nowNs)) lg.kill('Writing timestamp');
};

/** The wall clock for the Guest. @returns false when lguest_data cannot be written. */
export const writeTime = (lg: Guest, nowNs: number): boolean =>
  lg.setLd32(LD.time, EPOCH + Math.floor(nowNs / 1e9)) && lg.setLd32(LD.time + 4, nowNs % 1e9);

/** LHREQ_IRQ. @returns false for a number that does not exist. */
export const raiseIrq = (lg: Guest, irq: number): boolean => {
  if (irq >>> 0 >= LGUEST_IRQS) return false;
  lg.irqsPending |= 1 << irq;
  return true;
};
