// One address through the Guest's and the shadow tables for one kind of access: every level decoded, the level that decides, what would happen, and the nearest change.
//
// The answer is the Host's own decision (decidePage), asked without applying it; so it holds for exactly this moment. Two levels of tables, 4 KB pages: lguest has no other.
// What it leaves out: all addresses at once (mappings.ts).

import { hex, LD, PT } from '../lguest/abi';
import { guestNow } from '../lguest/context';
import { entryFlags, nearestFlip } from '../lguest/explain';
import type { Host, Walk } from '../lguest/host';
import { FramePlan, guestGate, planFrame } from '../lguest/interrupts';
import { decidePage, PagePlan } from '../lguest/page-tables';
import type { TrapRecord } from '../lguest/trap-record';
import { hex8 } from './target';

export interface PageAccess {
  write: boolean;
  user: boolean;
}
export type Outlook = 'goes through' | 'fills silently' | 'reflects' | 'kills';

export interface WalkLevel {
  table: 'guest' | 'shadow';
  level: 'directory' | 'table';
  index: number;
  /** Guest-physical for the Guest's, physical for the shadow's; undefined: not reached. */
  at: number | undefined;
  raw: number | undefined;
  /** `P RW US A D`. */
  bits: string;
  /** Address of what it leads to. */
  frame: number | undefined;
  /** Why this level refuses this access; undefined: it does not. */
  refuses: string | undefined;
  deciding: boolean;
}
export interface WalkAnswer {
  va: number;
  access: string;
  /** Guest-physical address of the Guest directory; physical address of the shadow directory. */
  directory: { guest: number; shadow: number };
  levels: WalkLevel[];
  outlook: Outlook;
  /** One sentence with full stop. */
  answer: string;
  /** Message of the death. */
  message: string | undefined;
  /** What would have to differ. */
  flip: string | undefined;
  /** Guest-physical address, by the Guest's tables. */
  target: number | undefined;
}

/** `user write`, `read`; words in any order. */
export const parsePageAccess = (text: string | undefined): PageAccess => ({
  write: /\bw(rite)?\b/.test(text ?? ''),
  user: /\bu(ser)?\b/.test(text ?? ''),
});
/** The access that a page fault's error code tells of. */
export const accessOf = (err: number): PageAccess => ({ write: (err & 2) !== 0, user: (err & 4) !== 0 });
export const accessText = (a: PageAccess): string => `${a.user ? 'user' : 'kernel'} ${a.write ? 'write' : 'read'}`;

/** As the processor asks: CR0.WP is set, and ring 1 counts as supervisor. */
const processorRefuses = (raw: number | undefined, a: PageAccess): string | undefined => {
  if (raw === undefined) return 'not reached';
  if ((raw & PT.P) === 0) return 'P=0';
  if (a.user && (raw & PT.US) === 0) return 'US=0 and access is from user mode';
  if (a.write && (raw & PT.RW) === 0) return 'RW=0 and access is write';
  return undefined;
};
/** As the Host asks: RW and US of the Guest's directory entry are never looked at. */
const hostRefuses = (raw: number | undefined, level: number, a: PageAccess): string | undefined =>
  level === 0 ? (raw === undefined ? 'not readable' : raw & PT.P ? undefined : 'P=0') : processorRefuses(raw, a);

const REASON_LEVEL: Readonly<Record<string, string>> = {
  'gpde-absent': 'guest0',
  'bad-gpde': 'guest0',
  'switcher-slot': 'guest0',
  'gpte-absent': 'guest1',
  'gpte-read-only': 'guest1',
  'gpte-supervisor': 'guest1',
  'bad-gpte': 'guest1',
};

export const walkPage = (host: Host, va: number, access: PageAccess): WalkAnswer => {
  const { lg } = host;
  const address = va >>> 0;
  const guest = host.guestWalk(address);
  const shadow = host.shadowWalk(address);
  const levels: WalkLevel[] = [];
  const add = (table: 'guest' | 'shadow', w: Walk): void => {
    const entries = [
      [w.pdeAt, w.pde],
      [w.pteAt, w.pte],
    ] as const;
    for (const [i, [at, raw]] of entries.entries()) {
      levels.push({
        table,
        level: i === 0 ? 'directory' : 'table',
        index: i === 0 ? address >>> 22 : (address >>> 12) & 0x3ff,
        at,
        raw,
        bits: raw === undefined ? 'not reached' : entryFlags(raw),
        frame: raw === undefined || (raw & PT.P) === 0 ? undefined : (raw & 0xfffff000) >>> 0,
        refuses: table === 'guest' ? hostRefuses(raw, i, access) : processorRefuses(raw, access),
        deciding: false,
      });
    }
  };
  add('guest', guest);
  add('shadow', shadow);
  const decides = (name: string): void => {
    const i = ['guest0', 'guest1', 'shadow0', 'shadow1'].indexOf(name);
    if (i >= 0) levels[i].deciding = true;
  };
  const words = accessText(access);
  const done = (outlook: Outlook, answer: string, flip: string | undefined, message?: string): WalkAnswer => ({
    va: address,
    access: words,
    directory: { guest: guest.directory, shadow: shadow.directory },
    levels,
    outlook,
    answer,
    message,
    flip,
    target: guest.target,
  });
  const shadowLevels = levels.slice(2);
  const s = shadowLevels.findIndex((l) => l.refuses !== undefined);
  if (s < 0) {
    decides('shadow1');
    return done(
      'goes through',
      `A ${words} goes through without a trap: the shadow tables allow it.`,
      'It would trap if the shadow entry were gone: after FLUSH_TLB, SET_PTE or SET_PMD, or when another directory takes the slot.',
    );
  }
  const plan = decidePage(lg, address, (access.write ? 2 : 0) | (access.user ? 4 : 0), new PagePlan());
  const flipText = nearestFlip({ kind: 'trap', vector: 14, outcome: 'reflected', reason: plan.reason } as TrapRecord);
  const flip = flipText === undefined ? undefined : `It ${flipText}.`;
  if (plan.result === 'killed') {
    decides(REASON_LEVEL[plan.reason] ?? (plan.depth >= 2 ? 'guest1' : 'guest0'));
    return done('kills', `A ${words} kills the Guest: lguest: ${plan.message}.`, flip, plan.message);
  }
  if (plan.result === 'declined') {
    decides(REASON_LEVEL[plan.reason] ?? 'guest1');
    const level = levels.find((l) => l.deciding);
    const why = `the Guest's ${level?.level === 'directory' ? 'page directory' : 'page table'} entry has ${(level?.refuses ?? '').replace(/ and access is.*$/, '')}`;
    const gate = guestGate(lg, 14);
    if (gate === undefined) {
      const message = `unhandled trap 14 at ${hex(host.context.get('eip'))} (${hex(address)})`;
      return done(
        'kills',
        `A ${words} faults, ${why}, and the Guest has no gate for page faults: it is killed (lguest: ${message}).`,
        'It would have been given to the Guest if it had a present gate for vector 14.',
        message,
      );
    }
    const frame = new FramePlan();
    const user = (host.context.get('ss') & 3) === 3;
    const guest = guestNow(host, user === access.user ? {} : access.user ? { cs: 0x73, ss: 0x7b } : { cs: 0x61, ss: 0x69, esp: lg.esp1 });
    planFrame(guest, gate.low, gate.high, 0, frame);
    if (!frame.ok)
      return done(
        'kills',
        `A ${words} faults, ${why}, and the frame for the Guest's handler cannot be pushed: it is killed (lguest: ${frame.message}).`,
        'It would have been given to the Guest if its tables mapped the stack that its handler gets.',
        frame.message,
      );
    const cr2 = lg.ldReachable(LD.cr2, 4) ? `; cr2.guest becomes ${hex8(address)}` : '';
    return done('reflects', `A ${words} faults and the Guest gets the fault: ${why}${cr2}.`, flip);
  }
  decides(`shadow${s}`);
  const what =
    plan.reason === 'dirty-upgrade'
      ? 'is read-only until the first write'
      : `has ${shadowLevels[s].refuses?.replace(/ and access is.*$/, '') ?? ''}`;
  const flipFill =
    plan.reason === 'dirty-upgrade'
      ? 'It would have gone through if the page had been written before.'
      : 'It would have been given to the Guest if the Guest PTE had P=0.';
  return done(
    'fills silently',
    `A ${words} faults, and the Host fills silently: the shadow ${s === 0 ? 'directory' : 'table'} entry ${what}, but the Guest's tables allow it; it becomes ${hex8(plan.newSpte)} (${entryFlags(plan.newSpte)}).`,
    flipFill,
  );
};

export const walkText = (a: WalkAnswer, name: string | undefined): string => {
  const lines = [
    `${hex8(a.va)}${name === undefined ? '' : ` ${name}`}, ${a.access}${a.target === undefined ? '' : `, guest-physical ${hex8(a.target)}`}`,
  ];
  const title = {
    guest: `Guest  (directory ${hex8(a.directory.guest)}, guest-physical)`,
    shadow: `Shadow (directory ${hex8(a.directory.shadow)}, physical)`,
  };
  const cell = (l: WalkLevel): string =>
    `${l.deciding ? '▶' : ' '} [${l.index}] ${l.at === undefined ? '-' : hex8(l.at)}: ${l.raw === undefined ? 'not reached' : `${hex8(l.raw)} ${l.bits}`}${l.refuses === undefined || l.raw === undefined ? '' : ` (${l.refuses})`}`;
  const width = Math.max(...a.levels.slice(0, 2).map((l) => cell(l).length), title.guest.length);
  lines.push(`          ${title.guest.padEnd(width)} | ${title.shadow}`);
  for (const i of [0, 1])
    lines.push(`${(i === 0 ? 'directory' : 'table').padEnd(9)} ${cell(a.levels[i]).padEnd(width)} | ${cell(a.levels[i + 2])}`);
  lines.push(a.answer);
  if (a.flip !== undefined) lines.push(a.flip);
  return `${lines.join('\n')}\n`;
};
