// Virtual interrupts: which are pending, and for any one of them why it is not delivered; and the ring of asynchronous hypercalls as the Guest left it.
//
// The questions are those of the Host (our documentation, 5.4 and 4.3), asked for one number now. What it leaves out: what happened before (trap log).

import { hypercallName, LD, REGS, RING_ENTRIES, RING_FREE } from '../lguest/abi';
import type { Host } from '../lguest/host';
import { guestGate } from '../lguest/interrupts';
import { hex8 } from './target';
import type { Names } from './record-query';

export const HELD_REASONS = [
  'nothing pending',
  'no lguest_data',
  'blocked',
  'a lower number first',
  'noirq range',
  'interrupts disabled',
  'no gate',
  'held while stepping',
  'will be delivered',
] as const;
export interface IrqAnswer {
  irq: number;
  reason: (typeof HELD_REASONS)[number];
  /** One sentence. */
  text: string;
}

export const whyNotDelivered = (host: Host, irq: number, names?: Names): IrqAnswer => {
  const { lg } = host;
  const say = (reason: IrqAnswer['reason'], text: string): IrqAnswer => ({ irq, reason, text: `irq ${irq}: ${text}` });
  const bit = 2 ** irq;
  if ((lg.irqsPending & bit) === 0)
    return say(
      'nothing pending',
      `nothing is pending (irqs_pending ${hex8(lg.irqsPending)})${irq === 0 ? `; ${timerText(host)}` : ': no device has raised it'}`,
    );
  if (lg.ld < 0)
    return say('no lguest_data', 'the Guest has not called LGUEST_INIT, so the Host does not know where its interrupt flag is');
  const blocked = lg.ld32(LD.blockedInterrupts);
  if (blocked & bit) return say('blocked', `the Guest masked it: bit ${irq} of blocked_interrupts ${hex8(blocked)} is set`);
  const eip = lg.reg(REGS.eip) >>> 0;
  if (lg.noirqStart <= eip && eip < lg.noirqEnd)
    return say(
      'noirq range',
      `eip ${hex8(eip)}${names?.nameOf(eip) === undefined ? '' : ` (${names.nameOf(eip)})`} is between noirq_start ${hex8(lg.noirqStart)} and noirq_end ${hex8(lg.noirqEnd)}, where the Guest is about to return from an interrupt`,
    );
  const enabled = lg.ld32(LD.irqEnabled);
  if (!lg.halted && enabled === 0) return say('interrupts disabled', 'the Guest has interrupts off: irq_enabled in lguest_data is 0');
  const first = lowest(lg.irqsPending & ~blocked);
  if (first !== irq) return say('a lower number first', `irq ${first} is pending too and goes first, one for each entry`);
  if (guestGate(lg, 32 + irq) === undefined)
    return say('no gate', `the Guest has no gate for vector ${32 + irq}; the interrupt stays pending`);
  if (host.holdsVirqs && !lg.halted)
    return say('held while stepping', 'the debugger holds it while you step (stepVirq "hold"); continuing lets it in');
  return say(
    'will be delivered',
    `nothing is in its way: the Host delivers it before the next entry${lg.halted ? ' and wakes the Guest' : ''}`,
  );
};
const lowest = (bits: number): number => 31 - Math.clz32(bits & -bits);

const timerText = (host: Host): string =>
  host.lg.timer < 0 ? 'no timer is set (SET_CLOCKEVENT)' : `the timer fires in ${Math.max(0, host.lg.timer - host.nowNs)} ns of Guest time`;

export interface IrqState {
  pending: number;
  blocked: number | undefined;
  irqEnabled: number | undefined;
  halted: boolean;
  noirq: { start: number; end: number };
  /** Guest nanoseconds until the timer, undefined: not set. */
  timerNs: number | undefined;
  answers: IrqAnswer[];
}
export const irqState = (host: Host, names?: Names): IrqState => {
  const { lg } = host;
  const known = lg.ld >= 0;
  const answers: IrqAnswer[] = [];
  for (let irq = 0; irq < 32; irq++) if (irq === 0 || lg.irqsPending & (2 ** irq)) answers.push(whyNotDelivered(host, irq, names));
  return {
    pending: lg.irqsPending >>> 0,
    blocked: known ? lg.ld32(LD.blockedInterrupts) >>> 0 : undefined,
    irqEnabled: known ? lg.ld32(LD.irqEnabled) >>> 0 : undefined,
    halted: lg.halted,
    noirq: { start: lg.noirqStart, end: lg.noirqEnd },
    timerNs: lg.timer < 0 ? undefined : Math.max(0, lg.timer - host.nowNs),
    answers,
  };
};
/** Interrupts with a gate or pending, each with what will become of it. */
export const irqRows = (host: Host, names?: Names): { irq: number; verdict: string; reason: string }[] => {
  const rows: { irq: number; verdict: string; reason: string }[] = [];
  const { pending } = irqState(host);
  for (let irq = 0; irq < 32; irq++) {
    const gate = (host.lg.idt[(32 + irq) * 2 + 1] & 0x8000) !== 0;
    if (!gate && (pending & (2 ** irq)) === 0) continue;
    const { reason, text } = whyNotDelivered(host, irq, names);
    const plain = text.replace(/^irq \d+: /, '');
    const verdict =
      reason === 'nothing pending' ? 'not pending' : reason === 'will be delivered' ? 'goes in before the next entry' : `held: ${plain}`;
    rows.push({ irq, reason, verdict });
  }
  return rows;
};

export const irqText = (s: IrqState): string => {
  const or = (v: number | undefined): string => (v === undefined ? 'unknown before LGUEST_INIT' : hex8(v));
  return `pending ${hex8(s.pending)}, blocked ${or(s.blocked)}, irq_enabled ${or(s.irqEnabled)}, ${s.halted ? 'halted' : 'not halted'}\nnoirq range ${hex8(s.noirq.start)}-${hex8(s.noirq.end)}, ${s.timerNs === undefined ? 'timer not set' : `timer in ${s.timerNs} ns`}\n${s.answers.map((a) => `${a.text}\n`).join('')}`;
};

// ---- the ring ---------------------------------------------------------------------------------------------------------------------------------

export interface RingSlot {
  slot: number;
  /** The Host takes this one next. */
  next: boolean;
  free: boolean;
  name: string;
  args: [number, number, number];
}
/** All 64 slots; undefined before LGUEST_INIT. Freed slots show the call that was in them last. */
export const hypercallRing = (host: Host): RingSlot[] | undefined => {
  const { lg } = host;
  if (!lg.ldReachable(LD.hcallStatus, LD.hcalls - LD.hcallStatus + RING_ENTRIES * 16)) return undefined;
  return Array.from({ length: RING_ENTRIES }, (_, slot) => {
    const at = LD.hcalls + slot * 16;
    return {
      slot,
      next: slot === lg.nextHcall,
      free: lg.peek8(lg.ld + LD.hcallStatus + slot) === RING_FREE,
      name: hypercallName(lg.ld32(at)),
      args: [lg.ld32(at + 12) >>> 0, lg.ld32(at + 4) >>> 0, lg.ld32(at + 8) >>> 0],
    };
  });
};
export const ringText = (ring: readonly RingSlot[] | undefined): string => {
  if (ring === undefined) return 'the ring is unknown before LGUEST_INIT\n';
  const ready = ring.filter((s) => !s.free);
  const next = ring.find((s) => s.next)?.slot ?? 0;
  return `${ready.length} of ${ring.length} slots ready, the Host looks at slot ${next} next\n${ready.map((s) => `${s.next ? '*' : ' '} ${String(s.slot).padStart(2)} ${s.name}(${s.args.map((a) => `0x${a.toString(16)}`).join(', ')})\n`).join('')}`;
};

/** Virtual interrupts that wait only because the user is stepping. */
export const heldWhileStepping = (host: Host | undefined): number[] =>
  host === undefined || !host.holdsVirqs || host.lg.irqsPending === 0
    ? []
    : [...Array(32).keys()].filter((irq) => whyNotDelivered(host, irq).reason === 'held while stepping');
