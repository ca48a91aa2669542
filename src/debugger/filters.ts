// Which traps stop the Guest: the filters that the editor offers as check boxes, their conditions, and their translation into what the Host asks.
//
// The Host calls test() only for records of vectors that some filter wants, before the decision is applied. Killed, panicked and emulator stops need no record
// and are judged by id alone (trap-stops.ts). What it leaves out: words (explain.ts).

import { passes } from './host-places';
import { LHCALL } from '../lguest/abi';
import type { Guest } from '../lguest/guest';
import type { TrapFilter } from '../lguest/host';
import type { TrapRecord } from '../lguest/trap-record';
import type { Target } from './target';

export interface FilterDescription {
  id: string;
  label: string;
  description: string;
  on: boolean;
}

const row = (id: string, label: string, description: string, on = false): FilterDescription => ({ id, label, description, on });

/** The compact set, in the order shown. */
export const COMPACT_FILTERS: readonly FilterDescription[] = [
  row('killed', 'Guest killed by the Host', 'The Host ends the Guest: a trap without a gate, a bad page table entry, a bad address.', true),
  row(
    'panic',
    'Guest panic',
    'The Guest gives up by itself: BUG(), die(), panic(), or the CRASH hypercall with any text but "Power down".',
    true,
  ),
  row('switcher', 'Fault inside the Switcher', 'The code that changes worlds faulted (trap 256, or IRET into the Guest).', true),
  row('emulator', 'Emulator fault', 'Something that cannot happen happened: a defect of this debugger.', true),
  row('pf.guest', 'Page fault the Guest sees', "The Guest's own tables refuse the access, so its handler gets the fault and cr2."),
  row('pf.shadow', 'Page fault filled silently', 'The Host fills a shadow entry and goes on; the Guest never knows.'),
  row('gp', 'General protection (#GP)', 'Vector 13, port instructions that the Host emulates included.'),
  row('fault', 'Other processor faults', '#DE #DB NMI #BP #OF #BR #UD #DF #TS #NP #SS #MF #AC #XM.'),
  row('nm', 'Lazy FPU (#NM)', 'Vector 7: first use of the FPU after a task switch.'),
  row('syscall', 'System call', "The Guest's programs call their kernel."),
  row('hypercall', 'Hypercall', 'Vector 0x1f, and each entry of the asynchronous ring when it runs.'),
  row('virq', 'Virtual interrupt delivered', 'Before the frame is pushed.'),
  row('virqHeld', 'Virtual interrupt held back', 'When one is pending and may not go in, each time the reason changes.'),
  row('hostIrq', 'Exit for a Host interrupt', "Vectors 32 and up: the Host's own timer tick."),
  row('worldSwitch', 'Every entry into and exit from the Guest', 'Before each entry and after each exit.'),
  row('taskSwitch', 'Task switch', 'SET_STACK with another stack than before.'),
];

const NAMES: Readonly<Record<number, string>> = {
  0: '#DE divide error',
  1: '#DB debug',
  2: 'NMI',
  3: '#BP breakpoint',
  4: '#OF overflow',
  5: '#BR bound',
  6: '#UD invalid opcode',
  7: '#NM no FPU',
  8: '#DF double fault',
  9: 'FPU segment overrun',
  10: '#TS invalid TSS',
  11: '#NP segment not present',
  12: '#SS stack fault',
  13: '#GP general protection',
  14: '#PF page fault',
  16: '#MF FPU error',
  17: '#AC alignment check',
  18: '#MC machine check',
  19: '#XM SIMD error',
  31: 'hypercall',
  128: 'system call',
};
export const vectorName = (vector: number): string =>
  NAMES[vector] ?? (vector >= 32 && vector < 256 ? `interrupt ${vector}` : `vector ${vector}`);

const NOT_VECTORS = new Set(['killed', 'panic', 'switcher', 'emulator', 'virq', 'virqHeld', 'hostIrq', 'worldSwitch', 'taskSwitch']);
/** One filter a vector, and those without one. */
export const VECTOR_FILTERS: readonly FilterDescription[] = [
  ...COMPACT_FILTERS.filter((f) => NOT_VECTORS.has(f.id)),
  ...[...Array(32).keys(), 128].map((n) => row(`v${n}`, `${n}: ${vectorName(n)}`, `Every trap and direct delivery of vector ${n}.`)),
];

const FAULTS = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 16, 17, 18, 19];

/** What a filter does with what it finds. stop: before the trap is applied. handler: at the first instruction of the Guest's handler, if it gets one. */
export const FILTER_MODES = ['stop', 'handler', 'log', 'count'] as const;
export type FilterMode = (typeof FILTER_MODES)[number];

export interface ActiveFilter {
  id: string;
  /** Missing: stop. */
  mode?: FilterMode;
  /** Records found since it was set. */
  seen?: number;
  /** Asked with the record at hand; missing: always. */
  condition?: (record: TrapRecord) => boolean;
}

/** The debugger's own: a step stops before a virtual interrupt. */
export const STEP_VIRQ = 'step.virq';

export const isFilterId = (id: string): boolean =>
  COMPACT_FILTERS.some((f) => f.id === id) || (/^v\d{1,3}$/.test(id) && Number(id.slice(1)) < 256);

/** Whether a record is what a filter is about. */
const concerns = (id: string, r: TrapRecord, lg: Guest | undefined, isBug: (r: TrapRecord) => boolean): boolean => {
  const trap = r.kind === 'trap' || r.kind === 'direct';
  switch (id) {
    case 'panic':
      return trap && r.vector === 6 && r.cpl !== 3 && isBug(r); // its other causes are not by record
    case 'killed':
    case 'emulator':
    case 'worldSwitch':
      return false; // not by record
    case 'switcher':
      return r.outcome === 'switcher-fault';
    case 'pf.guest':
      // On the bare machine every page fault is the software's own.
      return r.vector === 14 && (r.kind === 'direct' || (r.kind === 'trap' && r.outcome === 'reflected'));
    case 'pf.shadow':
      return r.vector === 14 && trap && r.outcome === 'paged-in';
    case 'cr2.hw':
    case 'cr2.host':
      return r.vector === 14 && r.kind === 'trap';
    case 'cr2.guest':
      return r.vector === 14 && r.kind === 'trap' && r.outcome === 'reflected';
    case 'gp':
      return r.vector === 13 && trap;
    case 'nm':
      return r.vector === 7 && trap;
    case 'fault':
      return trap && FAULTS.includes(r.vector);
    case 'syscall':
      return trap && (r.vector === 0x80 || r.vector === lg?.syscallVector) && r.outcome !== 'host-irq';
    case 'hypercall':
      return r.kind === 'hypercall';
    case 'virq':
    case STEP_VIRQ:
      return r.kind === 'virq' && r.outcome !== 'virq-held';
    case 'virqHeld':
      return r.kind === 'virq' && r.outcome === 'virq-held';
    case 'hostIrq':
      return r.outcome === 'host-irq';
    case 'taskSwitch':
      return r.hypercall?.number === LHCALL.SET_STACK && r.hypercall.args[1] !== (lg?.esp1 ?? 0) >>> 0;
    default:
      if (id.startsWith('hcall.') || id.startsWith('host.')) return passes(id, r);
      return r.kind !== 'virq' && r.kind !== 'kill' && r.vector === Number(id.slice(1));
  }
};

/** What the Host is to ask about. `onStop` gets the filter that said stop. @param isBug whether a #UD of the kernel is a BUG(). */
export const hostFilter = (
  active: readonly ActiveFilter[],
  target: Pick<Target, 'host' | 'current'>,
  onStop: (id: string, record: TrapRecord | undefined, direction?: 'enter' | 'exit') => boolean,
  isBug: (record: TrapRecord) => boolean = () => false,
): TrapFilter | undefined => {
  const lg = target.host?.lg;
  const ids = new Set(active.map((f) => f.id));
  const vectors = new Uint8Array(257);
  const want = (...list: number[]): void => {
    for (const v of list) vectors[v] = 1;
  };
  if (['pf.guest', 'pf.shadow', 'cr2.hw', 'cr2.host', 'cr2.guest'].some((id) => ids.has(id))) want(14);
  if (ids.has('gp')) want(13);
  if (ids.has('nm')) want(7);
  if (ids.has('panic')) want(6);
  if (ids.has('fault')) want(...FAULTS);
  if (ids.has('syscall')) want(0x80, lg?.syscallVector ?? 0x80);
  if (ids.has('hypercall') || ids.has('taskSwitch')) want(31);
  if (ids.has('hostIrq')) for (let v = 32; v < 256; v++) vectors[v] = 1;
  if (ids.has('switcher')) want(80, 256);
  for (const id of ids) if (/^v\d+$/.test(id)) want(Number(id.slice(1)));
  const host = [...ids].some((id) => id.startsWith('host.'));
  const calls = [...ids].some((id) => id.startsWith('hcall.'));
  if (calls) want(31);
  if (host) vectors.fill(1);
  const byRecord = active.filter((f) => f.id !== 'worldSwitch');
  const filter: TrapFilter = {
    vectors,
    ring: ids.has('hypercall') || ids.has('taskSwitch') || ids.has('v31') || host || calls,
    virqDelivered: ids.has('virq') || ids.has(STEP_VIRQ) || host,
    virqHeld: ids.has('virqHeld') || host,
    test: (record) => byRecord.some((f) => concerns(f.id, record, lg, isBug) && (f.condition?.(record) ?? true) && onStop(f.id, record)),
  };
  if (ids.has('worldSwitch')) {
    const f = active.find((a) => a.id === 'worldSwitch');
    filter.worldSwitch = (direction) => {
      const record = target.current;
      return (f?.condition === undefined || (record !== undefined && f.condition(record))) && onStop('worldSwitch', record, direction);
    };
  }
  const nothing =
    vectors.every((v) => v === 0) && !filter.ring && !filter.virqDelivered && !filter.virqHeld && filter.worldSwitch === undefined;
  return nothing ? undefined : filter;
};
