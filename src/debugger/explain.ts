// A trap record in words: what happened, where, what became of it, which questions the Host asked on the way, and what would have had to differ.
//
// The decisions themselves are the Host's (lguest/explain.ts); here they meet names, instructions and positions. What it leaves out: the page walk of an address at
// will (views.ts) and layout (the adapter).

import { HYPERCALLS, LHCALL, PT } from '../lguest/abi';
import { explain, nearestFlip as flipOf } from '../lguest/explain';
import { differenceLines, nativeDifferences } from '../lguest/native-delivery';
import { type DecisionStep, formatPosition, type TrapRecord } from '../lguest/trap-record';
import { pushesErrorCode, VECTOR_NAMES } from '../i386/state';
import type { Namer } from './value';
import { vectorName } from './filters';
import { hex8 } from './target';

const ringName = (cpl: number): string => (cpl === 3 ? 'user' : cpl === 1 ? 'kernel' : cpl === 0 ? 'Host' : `ring ${cpl}`);
const hex = (value: number | undefined): string => (value === undefined ? 'not read' : `0x${(value >>> 0).toString(16)}`);

/** Bits of a page table entry in letters. */
export const entryBits = (entry: number): string => {
  const names: [number, string][] = [
    [PT.P, 'P'],
    [PT.RW, 'RW'],
    [PT.US, 'US'],
    [PT.PWT, 'PWT'],
    [PT.PCD, 'PCD'],
    [PT.A, 'A'],
    [PT.D, 'D'],
    [PT.PSE, 'PSE'],
    [PT.G, 'G'],
  ];
  const set = names.filter(([bit]) => entry & bit).map(([, name]) => name);
  return set.length === 0 ? 'no bit set' : set.join(' ');
};

/** `err 2: write, kernel mode, page not present`. */
export const errorWords = (err: number): string =>
  [
    err & 16 ? 'instruction fetch' : err & 2 ? 'write' : 'read',
    err & 4 ? 'user mode' : 'kernel mode',
    err & 1 ? 'protection violation' : 'page not present',
  ].join(', ');

/** `SET_PTE(pgdir=0x1000, vaddr=0xc0101000, pte=0x101063)`. */
export const hypercallText = (r: TrapRecord): string => {
  const call = r.hypercall;
  if (call === undefined) return '';
  const names = HYPERCALLS[call.number]?.args ?? ['edx', 'ebx', 'ecx'];
  return `${call.name}(${names.map((name, i) => `${name}=${hex(call.args[i])}`).join(', ')})`;
};

/** `#PF(14)`, `int 0x80`, `virq 0`. */
export const mnemonic = (r: TrapRecord): string => {
  if (r.kind === 'virq') return `virq ${r.virq?.irq ?? r.vector - 32}`;
  if (r.kind === 'hypercall') return 'hypercall';
  if (r.vector === 256) return 'Switcher fault';
  if (r.vector < VECTOR_NAMES.length) return `${VECTOR_NAMES[r.vector]}(${r.vector})`;
  return r.outcome === 'host-irq' ? `Host interrupt ${r.vector}` : `int 0x${r.vector.toString(16)}`;
};

/** What happened, one sentence. */
export const whatText = (r: TrapRecord): string => {
  if (r.kind === 'kill') return `The Guest is killed: ${r.message ?? 'no reason given'}.`;
  if (r.kind === 'hypercall')
    return `Hypercall ${hypercallText(r)}${r.hypercall?.slot === undefined ? '' : `, slot ${r.hypercall.slot} of the asynchronous ring`}.`;
  if (r.kind === 'virq') return `Virtual interrupt ${r.virq?.irq}${r.virq?.irq === 0 ? ' (timer)' : ''} is pending.`;
  if (r.vector === 14 && r.cr2 !== undefined) {
    const err = r.err ?? 0;
    const access = err & 2 ? 'Write to' : r.cr2 === r.eip ? 'Fetch from' : 'Read from';
    return `#PF page fault: ${access} ${hex8(r.cr2)} from ${err & 4 ? 'user' : 'kernel'} mode: ${err & 1 ? 'the page is there but forbids it' : 'page not present'}.`;
  }
  if (r.vector === 256) return 'The Switcher itself faulted: the Guest did not get as far as running.';
  const error = r.err === undefined || !pushesErrorCode(r.vector) ? '' : `, error code 0x${r.err.toString(16)}`;
  // Nobody but a bare machine's own kernel meets a trap of ring 0 without the Host.
  const from = r.outcome === 'direct' && r.cpl === 0 ? 'ring 0' : `${ringName(r.cpl)} mode`;
  const origin = r.outcome === 'host-irq' ? ' came while the Guest ran' : ` from ${from}`;
  return `${r.vector < 32 ? vectorName(r.vector) : mnemonic(r)}${origin}${error}.`;
};

const REFUSED: Partial<Record<TrapRecord['reason'], string>> = {
  'gpde-absent': "the Guest's page directory entry is not present",
  'gpte-absent': "the Guest's page table entry is not present",
  'gpte-read-only': "the Guest's page table entry is read-only",
  'gpte-supervisor': "the Guest's page table entry is not for user mode",
  'error-code': 'it carries an error code, so it is no port instruction',
  'not-ring-1': 'port instructions of user mode are not emulated',
  'not-in-out': 'the instruction is neither IN nor OUT',
  'ts-set': 'the Guest itself asked for the next use of the FPU to trap (TS)',
  given: 'the Host gives every such trap to the Guest',
};
const HELD: Partial<Record<TrapRecord['reason'], string>> = {
  'before-init': 'the Guest has not made its first hypercall yet',
  blocked: 'the Guest masked it (blocked_interrupts)',
  disabled: 'the Guest has interrupts off (irq_enabled is 0)',
  'noirq-range': 'eip is in the range where the Guest is about to return from an interrupt',
  stepping: 'the debugger holds it while you step (stepVirq); continuing lets it in',
  'no-gate': 'the Guest has no gate for it',
};

/** What became of it, one sentence without a full stop. */
export const becameText = (r: TrapRecord, names: Namer): string => {
  const handler = r.handler === undefined ? 'its handler' : `${names.nameOf(r.handler) ?? hex8(r.handler)}`;
  const gate = r.gate === undefined ? '' : ` (gate type 0x${((r.gate.high >> 8) & 0xf).toString(16).toUpperCase()})`;
  switch (r.outcome) {
    case 'direct':
      return `no Host involved: the processor goes straight to ${handler}${gate}`;
    case 'reflected':
      return `Host: ${REFUSED[r.reason] ?? r.reason} → reflected to the Guest's handler ${handler}${gate}`;
    case 'paged-in': {
      const why: Partial<Record<TrapRecord['reason'], string>> = {
        'read-absent': 'the shadow entry was missing',
        'write-absent': 'the shadow entry was missing, and this is a write',
        'dirty-upgrade': 'the shadow entry was read-only until the first write',
        'filled-before': 'the shadow entry was there already',
      };
      return `Host: the Guest's tables allow it; ${why[r.reason] ?? r.reason} → demand paging fills it${r.walk?.filled === undefined ? '' : ` with ${hex8(r.walk.filled)}`} and the Guest goes on, unaware`;
    }
    case 'emulated':
      return `Host: a port ${r.reason === 'in' ? 'read, answered with all ones' : 'write, ignored'}; eip moves on by ${r.io?.length ?? 0}`;
    case 'fpu-restored':
      return 'Host: TS was set by the Host only → the FPU is given back and the instruction runs again';
    case 'hypercall':
      return r.reason === 'async'
        ? 'Host: it runs now, before the hypercall that emptied the ring'
        : 'Host: it runs before the Guest goes on';
    case 'host-irq':
      return "Host: its own interrupt; nothing for the Guest, but the Host's timers are looked at";
    case 'nmi-ignored':
      return 'Host: ignored';
    case 'virq-delivered':
      return `Host: ${r.reason === 'woke-halted' ? 'it wakes the sleeping Guest' : 'interrupts are on'} → delivered to ${handler}${gate}`;
    case 'virq-held':
      return `Host: held back, ${HELD[r.reason] ?? r.reason}`;
    case 'killed':
      if (r.kind === 'hypercall')
        return r.hypercall?.number === LHCALL.CRASH
          ? 'Host: it ends the Guest, with the text as the reason'
          : `Host: it ends the Guest${r.message === undefined ? '' : `: ${r.message}`}`;
      return `the Guest is killed by the Host: ${r.message ?? r.reason}`;
    case 'switcher-fault':
      return `the Switcher faulted: ${r.message ?? r.reason}`;
  }
};

/** `── #PF(14) err 2: … cr2 0x0804c000 → reflected   trap 48211 ──`: the frame between handler and interrupted code. */
export const boundaryText = (r: TrapRecord): string => {
  const error =
    r.vector === 14 && r.err !== undefined
      ? ` err ${r.err}: ${errorWords(r.err)}`
      : r.err === undefined || r.kind === 'virq'
        ? ''
        : ` err 0x${r.err.toString(16)}`;
  const cr2 = r.cr2 === undefined ? '' : `  cr2 ${hex8(r.cr2)}`;
  const what = r.kind === 'hypercall' ? `hypercall ${hypercallText(r)}` : mnemonic(r);
  return `── ${what}${error}${cr2}${r.cpl === 3 ? '  from user' : ''} → ${r.outcome}   trap ${r.k} ──`;
};

// ---- the decision chain -----------------------------------------------------------------------------------------------------------------

/** Every question that the Host asked about a trap, in order; handlers by name. */
export const decisionChain = (r: TrapRecord, names: Namer): DecisionStep[] => {
  const handler = r.handler === undefined ? undefined : names.nameOf(r.handler);
  if (handler === undefined || r.handler === undefined) return explain(r);
  const plain = hex(r.handler);
  return explain(r).map((s) => (s.values.endsWith(plain) ? { ...s, values: `${s.values} ${handler}` } : s));
};

/** The smallest change that would have led elsewhere, as a sentence, or undefined. */
export const nearestFlip = (r: TrapRecord): string | undefined => {
  const flip = flipOf(r);
  return flip === undefined ? undefined : `It ${flip}.`;
};

/** The decisions as numbered lines, and the nearest flip. */
export const chainText = (r: TrapRecord, names: Namer): string => {
  const flip = nearestFlip(r);
  const steps = decisionChain(r, names).map(
    (s, i) => `${String(i + 1).padStart(2)}. ${s.fn} (${s.section}): ${s.condition}  [${s.values}]  → ${s.taken}`,
  );
  return [...steps, ...(flip === undefined ? [] : ['', flip])].join('\n');
};

/** What differs from the same event without lguest: a paragraph with an empty line before it, or nothing. */
export const differencesText = (r: TrapRecord): string => {
  const lines = differenceLines(nativeDifferences(r));
  return lines.length === 0 ? '' : `\n\nDiffers from native i386 delivery:\n${lines.map((l) => `  - ${l}`).join('\n')}`;
};

/** The whole answer to "why", as lines. */
export const whyText = (r: TrapRecord, names: Namer, instruction: string | undefined): string => {
  const at = names.nameOf(r.eip);
  const lines = [
    `${whatText(r)}${r.injected ? ' Injected by the user.' : ''}`,
    `at ${hex8(r.eip)}${at === undefined ? '' : ` in ${at}`}${instruction === undefined ? '' : `: ${instruction}`}, ${formatPosition(r.pos)}, trap ${r.k}`,
    `${becameText(r, names)}.`,
    '',
    'What was asked on the way (numbers: sections of our documentation of lguest):',
    chainText(r, names),
  ];
  return `${lines.join('\n')}${differencesText(r)}\n`;
};
