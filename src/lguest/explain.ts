// The decisions behind a record, in order, in words: which function asked what, what it saw, and which way it went; and the nearest thing that would have changed it.
//
// Records keep what was read, not sentences; the sentences are made here when somebody looks. The functions are named as lguest names them, the sections are those of
// our documentation. Left out: symbols and source lines of the Guest (debugger).

import { pushesErrorCode, VECTOR_NAMES } from '../i386/state';
import { GPDE_ALLOWED, GPTE_FORBIDDEN, HYPERCALLS, hex, PT } from './abi';
import type { DecisionStep, TrapRecord } from './trap-record';

const yes = (fn: string, section: string, condition: string, values: string): DecisionStep => ({
  fn,
  section,
  condition,
  values,
  taken: 'yes',
});
const no = (fn: string, section: string, condition: string, values: string): DecisionStep => ({
  fn,
  section,
  condition,
  values,
  taken: 'no',
});
const does = (fn: string, section: string, what: string, values = ''): DecisionStep => ({
  fn,
  section,
  condition: what,
  values,
  taken: 'done',
});

export const vectorName = (vector: number): string => VECTOR_NAMES[vector] ?? (vector === 256 ? 'trap 256' : `vector ${vector}`);

/** Low bits of a page table entry by name. */
export const entryFlags = (entry: number): string => {
  const names: string[] = [];
  for (const [name, bit] of Object.entries(PT)) if (entry & bit) names.push(name);
  if (entry & 0xe00) names.push(`soft${(entry >> 9) & 7}`);
  return names.length === 0 ? 'none' : names.join(' ');
};
const entry = (value: number | undefined): string => (value === undefined ? 'not read' : `${hex(value)} (${entryFlags(value)})`);

/** The decisions behind a record, first to last. */
export const explain = (r: TrapRecord): DecisionStep[] => {
  switch (r.kind) {
    case 'direct':
      return [
        yes(
          'setup_idt',
          '6.6',
          'may this vector skip the Host?',
          `${vectorName(r.vector)} is below 32 (or the system call vector) and not #NM, #GP, #PF or 31`,
        ),
        yes(
          'setup_idt',
          '6.6',
          'is the Guest gate a trap gate (type F)?',
          r.gate === undefined ? '' : `gate ${hex(r.gate.low)} ${hex(r.gate.high)}`,
        ),
        does('processor', '6.6', 'delivered to ring 1 without an exit', r.handler === undefined ? '' : `handler ${hex(r.handler)}`),
      ];
    case 'hypercall':
      return explainHypercall(r);
    case 'virq':
      return explainVirq(r);
    case 'kill':
      return [does('kill_guest', '12.1', 'the Guest is marked dead; only the first reason counts', r.message ?? '')];
    default:
      return explainTrap(r);
  }
};

const explainHypercall = (r: TrapRecord): DecisionStep[] => {
  const h = r.hypercall;
  if (h === undefined) return [];
  const names = HYPERCALLS[h.number]?.args ?? [];
  const known = HYPERCALLS[h.number] !== undefined;
  const values = h.args.slice(0, known ? names.length : 3).map((value, i) => `${names[i] ?? `arg${i + 1}`}=${hex(value)}`);
  const call = `${h.name}(${values.join(', ')})`;
  const steps =
    h.slot === undefined
      ? [
          yes('lguest_arch_handle_trap', '6.2', 'is it int 0x1f?', 'trapnum 31'),
          does('lguest_arch_handle_trap', '4.1', 'marked pending; it runs at the top of the next round, after the ring', call),
        ]
      : [
          yes('do_async_hcalls', '4.3', 'is the slot ready (status not 0xff)?', `slot ${h.slot}`),
          does('do_async_hcalls', '4.3', 'executed like a synchronous call', call),
        ];
  steps.push(
    known
      ? yes('do_hcall', '4.2', 'is the number known?', String(h.number))
      : no('do_hcall', '4.2', 'is the number known?', String(h.number | 0)),
  );
  if (r.outcome === 'killed') steps.push(does('kill_guest', '12.1', 'the call ended the Guest'));
  return steps;
};

const explainVirq = (r: TrapRecord): DecisionStep[] => {
  const fn = 'maybe_do_interrupt';
  const v = r.virq;
  if (v === undefined) return [];
  const steps: DecisionStep[] = [];
  if (r.reason === 'before-init') return [no(fn, '5.4', 'is lguest_data known?', 'LGUEST_INIT has not been called')];
  const pending = `irqs_pending=${hex(v.pending)} blocked_interrupts=${hex(v.blocked)}`;
  if (r.reason === 'blocked') return [no(fn, '5.4', 'is a pending interrupt unblocked?', pending)];
  steps.push(yes(fn, '5.4', 'is a pending interrupt unblocked?', `${pending}: irq ${v.irq} is the lowest`));
  if (r.reason === 'noirq-range') return [...steps, yes(fn, '5.4', 'is eip between noirq_start and noirq_end?', `eip=${hex(r.eip)}`)];
  steps.push(no(fn, '5.4', 'is eip between noirq_start and noirq_end?', `eip=${hex(r.eip)}`));
  if (r.reason === 'disabled') return [...steps, no(fn, '5.4', 'is irq_enabled non-zero?', `irq_enabled=${hex(v.irqEnabled)}`)];
  if (r.reason === 'stepping')
    return [
      ...steps,
      yes(fn, '5.4', 'is irq_enabled non-zero?', `irq_enabled=${hex(v.irqEnabled)}`),
      does('debugger', '–', 'holds it while the user steps', 'no Host does that; it stays pending until the Guest continues'),
    ];
  if (r.reason === 'woke-halted') steps.push(yes(fn, '5.4', 'is the Guest halted?', 'it wakes with irq_enabled=0x200, whatever it was'));
  else steps.push(yes(fn, '5.4', 'is irq_enabled non-zero?', `irq_enabled=${hex(v.irqEnabled)}`));
  if (r.reason === 'no-gate') return [...steps, no(fn, '5.4', 'is there a gate?', `vector ${r.vector}; the interrupt stays pending`)];
  steps.push(yes(fn, '5.4', 'is there a gate?', r.gate === undefined ? '' : `gate ${hex(r.gate.low)} ${hex(r.gate.high)}`));
  steps.push(...explainFrame(r));
  return steps;
};

const explainFrame = (r: TrapRecord): DecisionStep[] => {
  const fn = 'set_guest_interrupt';
  const user = (r.ss & 3) !== 1;
  const steps = [
    user
      ? yes(fn, '6.5', 'does it come from user mode (by ss)?', `ss=${hex(r.ss)}: stack from ss1:esp1`)
      : no(fn, '6.5', 'does it come from user mode (by ss)?', `ss=${hex(r.ss)}: same stack`),
  ];
  if (r.frame !== undefined) {
    const flags = r.frame.words.find((w) => w.name === 'eflags');
    steps.push(
      does(
        fn,
        '6.5',
        `frame of ${r.frame.words.length} words pushed`,
        `at ${hex(r.frame.at)}; IF as in irq_enabled: eflags ${hex(flags?.value ?? 0)}${pushesErrorCode(r.vector) ? `, error ${hex(r.err ?? 0)}` : ''}`,
      ),
    );
  }
  if (r.handler !== undefined) steps.push(does(fn, '6.5', 'eip set to the handler', `0x61:${hex(r.handler)}`));
  if (r.gate !== undefined) {
    const type = (r.gate.high >> 8) & 15;
    steps.push(
      type === 14
        ? yes(fn, '6.5', 'is it an interrupt gate (type E)?', 'irq_enabled set to 0')
        : no(fn, '6.5', 'is it an interrupt gate (type E)?', 'irq_enabled left alone'),
    );
  }
  return steps;
};

const explainTrap = (r: TrapRecord): DecisionStep[] => {
  const handle = 'lguest_arch_handle_trap';
  const steps: DecisionStep[] = [];
  if (r.outcome === 'host-irq')
    return [yes(handle, '6.2', 'is it a hardware interrupt (32 to 255)?', `vector ${r.vector}: the Host's handler has run already`)];
  if (r.outcome === 'nmi-ignored')
    return [does('Switcher', '9.6', 'the NMI is dropped', 'the stub returns at once; neither Host nor Guest notices')];
  if (r.reason === 'switcher-iret') {
    return [
      yes(
        handle,
        '9.7',
        'did the IRET into the Guest fault?',
        "the trap number slot holds the Switcher's CS, 0x50; taken for an interrupt, the next entry fails",
      ),
    ];
  }
  if (r.vector === 14) steps.push(...explainPage(r));
  else if (r.vector === 13) {
    if (r.reason === 'error-code') steps.push(no(handle, '6.2', 'is the error code 0?', `error ${hex(r.err ?? 0)}`));
    else {
      steps.push(yes(handle, '6.2', 'is the error code 0?', ''));
      const fn = 'emulate_insn';
      if (r.reason === 'bad-address' || r.reason === 'bad-read')
        steps.push(no(fn, '6.3', 'can the instruction be read?', `eip=${hex(r.eip)}`));
      else if (r.reason === 'not-ring-1') steps.push(no(fn, '6.3', 'was it ring 1 (by cs)?', `cs=${hex(r.cs)}`));
      else {
        steps.push(yes(fn, '6.3', 'was it ring 1 (by cs)?', `cs=${hex(r.cs)}`));
        if (r.io === undefined) steps.push(no(fn, '6.3', 'is it in or out, with at most one 0x66 prefix?', `at ${hex(r.eip)}`));
        else {
          steps.push(yes(fn, '6.3', 'is it in or out, with at most one 0x66 prefix?', `at ${hex(r.eip)}`));
          steps.push(
            does(
              fn,
              '6.3',
              r.reason === 'in' ? 'reads all ones' : 'does nothing',
              `eax ${hex(r.io.eaxBefore)} -> ${hex(r.io.eaxAfter)}, eip += ${r.io.length}`,
            ),
          );
        }
      }
    }
  } else if (r.vector === 7) {
    steps.push(
      r.reason === 'ts-clear'
        ? no(handle, '6.2', 'did the Guest ask for TS?', 'ts=0: FPU state restored, TS cleared')
        : yes(handle, '6.2', 'did the Guest ask for TS?', 'ts is set'),
    );
  } else steps.push(no(handle, '6.2', 'is this trap one that the Host handles itself?', vectorName(r.vector)));
  if (r.outcome === 'paged-in' || r.outcome === 'emulated' || r.outcome === 'fpu-restored') return steps;
  if (r.reason === 'bad-gpde' || r.reason === 'bad-gpte' || r.reason === 'switcher-slot' || r.reason === 'out-of-memory') return steps;
  if (r.vector === 14 && r.outcome === 'reflected') steps.push(does(handle, '6.2', 'lguest_data.cr2 set', hex(r.cr2 ?? 0)));
  if (r.reason === 'no-gate') {
    steps.push(
      no('deliver_trap', '6.2', 'is there a gate?', `idt[${r.vector}]`),
      does('kill_guest', '12.1', 'no handler, so the Guest dies', r.message ?? ''),
    );
    return steps;
  }
  if (r.gate !== undefined) steps.push(yes('deliver_trap', '6.2', 'is there a gate?', `gate ${hex(r.gate.low)} ${hex(r.gate.high)}`));
  if (r.outcome === 'reflected') steps.push(...explainFrame(r));
  else if (r.message !== undefined) steps.push(does('kill_guest', '12.1', 'the frame cannot be pushed, so the Guest dies', r.message));
  return steps;
};

const explainPage = (r: TrapRecord): DecisionStep[] => {
  const fn = 'demand_page';
  const w = r.walk;
  const err = r.err ?? 0;
  const steps: DecisionStep[] = [];
  if (w === undefined) return steps;
  if (w.gpde === undefined) return [no(fn, '8.3', 'is the Guest page directory readable?', `cr3=${hex(r.cr3)}`)];
  if (r.reason === 'gpde-absent') return [no(fn, '8.6.1', 'is the Guest PDE present?', entry(w.gpde))];
  steps.push(yes(fn, '8.6.1', 'is the Guest PDE present?', entry(w.gpde)));
  if (r.reason === 'switcher-slot') return [...steps, yes(fn, '8.6.2', "is it the Switcher's slot (1023)?", hex(r.cr2 ?? 0))];
  if (w.spde !== undefined)
    steps.push(
      w.spde & PT.P
        ? yes(fn, '8.6.3', 'is the shadow PDE present?', entry(w.spde))
        : no(fn, '8.6.3', 'is the shadow PDE present?', 'a page table is allocated'),
    );
  if (r.reason === 'out-of-memory') return [...steps, no(fn, '8.6.3', 'is there a page for it?', 'the pool is empty')];
  if (r.reason === 'bad-gpde')
    return [
      ...steps,
      no(
        'check_gpgd',
        '8.4',
        'is the Guest PDE acceptable?',
        `${entry(w.gpde)}: only ${entryFlags(GPDE_ALLOWED)} may be set, and the frame must exist`,
      ),
    ];
  if (w.gpte === undefined) return [...steps, no(fn, '8.6.4', 'is the Guest page table readable?', entry(w.gpde))];
  if (r.reason === 'gpte-absent') return [...steps, no(fn, '8.6.4', 'is the Guest PTE present?', entry(w.gpte))];
  steps.push(yes(fn, '8.6.4', 'is the Guest PTE present?', entry(w.gpte)));
  if (r.reason === 'gpte-read-only')
    return [...steps, no(fn, '8.6.5', 'may it be written?', `${entry(w.gpte)}: write access, RW is clear`)];
  if (err & 2) steps.push(yes(fn, '8.6.5', 'may it be written?', entry(w.gpte)));
  if (r.reason === 'gpte-supervisor') return [...steps, no(fn, '8.6.6', 'may user code touch it?', `${entry(w.gpte)}: US is clear`)];
  if (err & 4) steps.push(yes(fn, '8.6.6', 'may user code touch it?', entry(w.gpte)));
  if (r.reason === 'bad-gpte')
    return [
      ...steps,
      no(
        'check_gpte',
        '8.4',
        'is the Guest PTE acceptable?',
        `${entry(w.gpte)}: ${entryFlags(GPTE_FORBIDDEN)} are forbidden, and the frame must exist`,
      ),
    ];
  const newGpte = w.gpte | PT.A | (err & 2 ? PT.D : 0);
  steps.push(does(fn, '8.6.8', 'Guest PTE marked', `${entryFlags(w.gpte)} -> ${entryFlags(newGpte)}`));
  if (w.spte !== undefined && w.spte & PT.P) steps.push(does(fn, '8.6.9', 'old shadow PTE released', entry(w.spte)));
  steps.push(
    newGpte & PT.D
      ? yes(fn, '8.6.10', 'is the page dirty?', 'shadow PTE as the Guest PTE')
      : no(fn, '8.6.10', 'is the page dirty?', 'shadow PTE without RW, so that the first write is seen'),
  );
  steps.push(does(fn, '8.6.10', 'shadow PTE set', entry(w.filled)));
  return steps;
};

/** The nearest difference that would have given another outcome, or undefined when there is none worth naming. */
export const nearestFlip = (r: TrapRecord): string | undefined => {
  switch (r.reason) {
    case 'gpde-absent':
      return 'would have been filled silently if the Guest PDE (and the PTE below it) were present';
    case 'gpte-absent':
      return 'would have been filled silently if the Guest PTE had P=1';
    case 'gpte-read-only':
      return 'would have been filled silently if the Guest PTE had RW=1';
    case 'gpte-supervisor':
      return 'would have been filled silently if the Guest PTE had US=1';
    case 'bad-gpde':
      return 'would have been filled silently if the Guest PDE had only P, RW, US, A and D and a frame below pfn_limit';
    case 'bad-gpte':
      return 'would have been filled silently if the Guest PTE had neither PWT nor bit 7 and a frame below pfn_limit';
    case 'error-code':
    case 'not-in-out':
      return r.outcome === 'reflected'
        ? 'would have been emulated only if the instruction were in or out in ring 1, with error code 0'
        : undefined;
    case 'not-ring-1':
      return 'would have been emulated if the code ran in ring 1';
    case 'ts-clear':
      return 'would have been given to the Guest if it had asked for TS';
    case 'ts-set':
      return 'would have been resumed silently if the Guest had not asked for TS';
    case 'no-gate':
      return r.kind === 'virq'
        ? 'would have been delivered if the Guest had a gate for it'
        : 'would have been given to the Guest if it had a present gate for it';
    case 'blocked':
      return 'would have been delivered if its bit in blocked_interrupts were clear';
    case 'disabled':
      return 'would have been delivered if irq_enabled were not zero';
    case 'noirq-range':
      return 'would have been delivered if eip were outside noirq_start to noirq_end';
    case 'stepping':
      return 'would have been delivered if the debugger did not hold it while stepping';
    case 'gate-type-F':
      return 'would have come to the Host first if the Guest gate were an interrupt gate (type E)';
    case 'given':
      return r.outcome === 'reflected' && r.vector < 32
        ? 'would have skipped the Host if the Guest gate were a trap gate (type F)'
        : undefined;
    default:
      return undefined;
  }
};
