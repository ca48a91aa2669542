// What a trap under lguest does differently from the same event on a processor that the kernel has for itself, worked out from the record alone.
//
// Sections are those of our documentation of lguest (6.2 to 6.9, 5.4). Only what the record shows is claimed: `shows` tells a difference that is visible in this very delivery
// from one that happens to change nothing here. Left out: names and layout (debugger), and records of the bare machine, which are native.

import { FL, VECTOR_NAMES } from '../i386/state';
import { hex, PT } from './abi';
import type { TrapRecord } from './trap-record';

export interface NativeDifference {
  /** What is compared, a few words. */
  what: string;
  native: string;
  here: string;
  /** false: the rule differs, but with the values of this record both give the same. */
  shows: boolean;
  section: string;
}

const vectorText = (v: number): string => (VECTOR_NAMES[v] === undefined ? `vector ${v}` : `${VECTOR_NAMES[v]} (vector ${v})`);

const differs = (what: string, section: string, native: string, here: string, shows = true): NativeDifference => ({
  what,
  native,
  here,
  shows,
  section,
});

/** Differences of a delivery from the native one, the most telling first; empty when nothing was delivered that a native kernel would know. */
export const nativeDifferences = (r: TrapRecord): NativeDifference[] => {
  const found = raised(r);
  if (r.outcome === 'reflected' || r.outcome === 'virq-delivered') found.push(...frame(r), ...entry(r));
  else if (r.outcome === 'direct' && r.reason === 'gate-type-F') found.push(...directly(r));
  return found;
};

/** About which event it is at all. */
const raised = (r: TrapRecord): NativeDifference[] => {
  const found: NativeDifference[] = [];
  const software = r.vector === 13 && r.err !== undefined && (r.err & 3) === 2;
  if (software) {
    const asked = (r.err ?? 0) >>> 3;
    const allowed = r.cpl === 3 ? `if the Guest's own gate ${asked} has DPL 3` : 'ring 0 may use every gate';
    found.push(
      differs(
        'the trap itself',
        '6.9',
        `${vectorText(asked)} goes to gate ${asked} (${allowed})`,
        `#GP(${hex(r.err ?? 0)}): the installed gate ${asked} is the Switcher's, with DPL 0, and the code runs in ring ${r.cpl}`,
      ),
    );
  }
  switch (r.outcome) {
    case 'paged-in':
      found.push(
        differs(
          'the trap itself',
          '8.6',
          "no trap: the Guest's own tables allow the access, the processor fills its TLB and sets A and D",
          'a page fault of the shadow tables, filled by the Host, which sets A and D',
        ),
      );
      break;
    case 'emulated':
      found.push(differs('the trap itself', '6.3', 'no trap: the port is accessed', '#GP, and the Host answers without a device'));
      break;
    case 'fpu-restored':
      found.push(differs('the trap itself', '6.2', 'no trap: TS is clear', "#NM for the Host's own lazy switch of the FPU"));
      break;
    case 'nmi-ignored':
      found.push(differs('delivery', '9.6', 'through gate 2', 'dropped by the Switcher'));
      break;
    case 'killed':
      if (r.kind === 'trap' && r.reason === 'no-gate')
        found.push(differs('delivery', '6.2', 'a missing gate raises #NP, then a double fault', 'the Host ends the Guest'));
      break;
    default:
  }
  if (r.outcome === 'reflected' && r.vector === 13 && r.cpl === 1 && r.err === 0 && r.reason === 'not-in-out')
    found.push(
      differs(
        'the privilege of kernel code',
        '6.3',
        'the kernel runs in ring 0: an instruction kept for ring 0 does not fault',
        'it runs in ring 1, where such an instruction raises #GP(0)',
      ),
    );
  if (r.outcome === 'reflected' && r.vector === 14 && r.walk !== undefined) {
    const present = ((r.walk.gpde ?? 0) & PT.P) !== 0 && ((r.walk.gpte ?? 0) & PT.P) !== 0;
    const native = present ? 1 : 0;
    const here = (r.err ?? 0) & 1;
    found.push(
      differs(
        'P in the error code',
        '6.2',
        `P=${native}: as the Guest's tables have it`,
        `P=${here}: as the shadow tables have it`,
        native !== here,
      ),
      differs('where cr2 is read', '6.2', 'in register cr2', 'in lguest_data.cr2'),
    );
  }
  if (r.outcome === 'virq-held' && r.reason === 'noirq-range')
    found.push(differs('delivery', '5.4', 'IF alone decides', 'also held because eip is between noirq_start and noirq_end'));
  return found;
};

/** About the words on the Guest's stack. */
const frame = (r: TrapRecord): NativeDifference[] => {
  const found: NativeDifference[] = [];
  const user = (r.ss & 3) !== 1;
  const word = (name: string): number | undefined => r.frame?.words.find((w) => w.name === name)?.value;
  const flags = word('eflags');
  if (flags !== undefined) {
    const pushed = flags & FL.IF ? 1 : 0;
    found.push(
      differs(
        'IF in the pushed eflags',
        '6.5',
        "the processor's IF",
        `IF=${pushed}, from irq_enabled in the Guest's memory; the processor's own is ${r.eflags & FL.IF ? 1 : 0}`,
        pushed !== (r.eflags & FL.IF ? 1 : 0),
      ),
    );
  }
  if (r.virq !== undefined && r.virq.irqEnabled !== 0 && (r.virq.irqEnabled & FL.IF) === 0 && r.reason !== 'woke-halted')
    found.push(
      differs('whether interrupts are on', '5.4', 'IF is bit 9', `irq_enabled is ${hex(r.virq.irqEnabled)}: any bit counts as on`),
    );
  if (r.reason === 'woke-halted' && r.virq?.irqEnabled === 0)
    found.push(differs('the end of a halt', '5.4', 'with IF=0 no interrupt ends HLT', 'the Host sets irq_enabled to 0x200 and delivers'));
  found.push(
    differs(
      'the stack',
      '6.5',
      user ? 'ss0:esp0 of the TSS' : 'ss:esp as they are',
      user ? 'ss1:esp1 of the hypercall SET_STACK' : 'the same, the base of ss left out; pages are written past RW and without A and D',
      user,
    ),
  );
  if (r.frame !== undefined && r.frame.words.length > 0) {
    const top = r.frame.at + 4 * r.frame.words.length;
    const crosses = Math.floor(r.frame.at / 4096) !== Math.floor(top / 4096);
    if (crosses)
      found.push(
        differs(
          'the page of the frame',
          '6.5',
          'every word goes through the page tables by itself',
          (top & 0xfff) === 0
            ? `the page above, at ${hex(top)}, is looked up; the words go to the physical page before it`
            : `only the page of ${hex(top)} is looked up; words below it go to the physical page before`,
        ),
      );
  }
  return found;
};

/** About the state in which the handler begins. */
const entry = (r: TrapRecord): NativeDifference[] => {
  const set = (['TF', 'NT', 'RF'] as const).filter((name) => r.eflags & FL[name]);
  const found = [
    differs(
      'TF, NT and RF in the handler',
      '6.5',
      'cleared',
      set.length === 0 ? 'left as they were (none is set)' : `left as they were: ${set.join(' ')} stays set`,
      set.length > 0,
    ),
  ];
  const { gate } = r;
  if (gate === undefined) return found;
  const selector = gate.low >>> 16;
  const type = (gate.high >>> 8) & 15;
  found.push(
    differs(
      'cs of the handler',
      '6.5',
      `${hex(selector)} of the gate, ring 0`,
      'always 0x61 (__KERNEL_CS, ring 1), whatever the gate says',
      (selector & ~3) !== 0x60,
    ),
    differs(
      'IF in the handler',
      '6.5',
      type === 14 ? "the gate's type E clears IF" : 'left as it is',
      `the processor's IF stays ${r.eflags & FL.IF ? 1 : 0}; irq_enabled is ${type === 14 ? 'set to 0' : 'left alone'}`,
      type === 14,
    ),
  );
  if (type !== 14 && type !== 15)
    found.push(
      differs(
        "the gate's type",
        '6.5',
        type === 5 ? 'type 5 is a task gate: the processor switches tasks' : `type ${type} is no 32-bit gate`,
        'taken like a 32-bit trap gate',
      ),
    );
  return found;
};

/** Through the IDT into ring 1, without the Host. */
const directly = (r: TrapRecord): NativeDifference[] => {
  const user = r.cpl === 3;
  return [
    differs('the ring of the handler', '6.6', 'ring 0', 'ring 1, by the DPL of the segment'),
    ...(user ? [differs('the stack', '6.6', 'ss0:esp0 of the TSS', 'ss1:esp1 of the TSS, as the hypercall SET_STACK gave them')] : []),
    differs(
      'IF in the pushed eflags',
      '6.6',
      'says whether the kernel has interrupts on',
      `the processor's own, ${r.eflags & FL.IF ? 1 : 0}; whether interrupts are on is in irq_enabled, which is not looked at`,
    ),
  ];
};

/** One line a difference, those that show first. */
export const differenceLines = (list: readonly NativeDifference[]): string[] =>
  [...list.filter((x) => x.shows), ...list.filter((x) => !x.shows)].map(
    (x) => `${x.what} (${x.section}): natively ${x.native}; here ${x.here}${x.shows ? '' : ' [the same with these values]'}`,
  );
