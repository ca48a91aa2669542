// The two trees beside the editor: cr2 and the current trap, and one address through the Guest's and the shadow tables.
//
// Rows are finished text. What it leaves out: scopes (scopes.ts) and who shows them.

import { PT } from '../lguest/abi';
import type { Walk } from '../lguest/host';
import { formatPosition } from '../lguest/trap-record';
import { becameText, decisionChain, entryBits, errorWords, hypercallText, mnemonic, nearestFlip, whatText } from './explain';
import type { Debugger } from './session';
import { hex8 } from './target';

export interface TreeRow {
  label: string;
  description?: string;
  tooltip?: string;
  expanded?: boolean;
  children?: TreeRow[];
}

const HISTORY = 10;
const HISTORY_REACH = 5000;

export const trapTree = (d: Debugger): TreeRow[] => {
  const { target, programs, record: r } = d;
  const { host } = target;
  const named = (address: number): string =>
    `${hex8(address)}${programs.nameOf(address) === undefined ? '' : ` ${programs.nameOf(address)}`}`;
  const rows: TreeRow[] = [];
  if (host !== undefined) {
    const { cr2 } = host;
    rows.push(
      {
        label: 'cr2.hw',
        description: hex8(cr2.hw),
        tooltip: 'cr2 as the processor has it: the address of the newest page fault of anyone.',
      },
      { label: 'cr2.host', description: hex8(cr2.host), tooltip: 'cr2 as the Host saved it at the newest page fault of this Guest.' },
      {
        label: 'cr2.guest',
        description: cr2.guest === undefined ? 'not before LGUEST_INIT' : hex8(cr2.guest),
        tooltip: 'cr2 as the Guest sees it, in lguest_data: written only for faults that the Guest gets.',
      },
    );
  }
  if (r === undefined) return [...rows, { label: 'Nothing has trapped yet' }];
  const children: TreeRow[] = [{ label: whatText(r) }];
  if (r.err !== undefined)
    children.push({
      label: 'error code',
      description: r.vector === 14 ? `0x${r.err.toString(16)}: ${errorWords(r.err)}` : `0x${r.err.toString(16)}`,
    });
  children.push({ label: 'at', description: `${named(r.eip)}, ring ${r.cpl}, ${formatPosition(r.pos)}` });
  if (r.hypercall !== undefined) children.push({ label: 'call', description: hypercallText(r) });
  children.push({ label: becameText(r, programs) });
  if (r.handler !== undefined) children.push({ label: 'handler', description: named(r.handler) });
  if (r.message !== undefined) children.push({ label: 'message', description: r.message });
  rows.push({
    label: d.stop?.pending ? 'Trap at hand' : 'Newest trap',
    description: `${r.k}: ${mnemonic(r)} → ${r.outcome}`,
    expanded: true,
    children,
  });
  rows.push({
    label: 'Why',
    description: `${decisionChain(r, programs).length} decisions`,
    children: [
      ...decisionChain(r, programs).map((s) => ({
        label: s.condition,
        description: `→ ${s.taken}`,
        tooltip: `${s.fn}, section ${s.section}: ${s.values}`,
      })),
      ...(nearestFlip(r) === undefined ? [] : [{ label: nearestFlip(r) ?? '' }]),
    ],
  });
  const { frame } = r;
  if (frame !== undefined) {
    rows.push({
      label: d.stop?.pending ? 'Words to be pushed' : 'Pushed words',
      description: `${frame.words.length} from ${hex8(frame.at)}`,
      children: frame.words.map((w, i) => ({
        label: w.name,
        description: `${hex8(w.value)} at ${hex8(frame.at + 4 * (frame.words.length - 1 - i))}, by the ${w.by}`,
      })),
    });
  }
  rows.push(history(d));
  return rows;
};

/** The newest page faults: how cr2 came to be what it is. */
const history = (d: Debugger): TreeRow => {
  const { records } = d.target;
  const children: TreeRow[] = [];
  for (let k = records.count - 1; k >= Math.max(records.first, records.count - HISTORY_REACH) && children.length < HISTORY; k--) {
    const r = records.get(k);
    if (r?.cr2 === undefined) continue;
    const at = d.programs.nameOf(r.eip) ?? hex8(r.eip);
    children.push({
      label: hex8(r.cr2),
      description: `${r.outcome} ${formatPosition(r.pos)} ${at}`,
      tooltip: `trap ${r.k}: ${whatText(r)}`,
    });
  }
  return { label: 'cr2 history', description: children.length === 0 ? 'no page fault yet' : `newest ${children.length}`, children };
};

export interface Access {
  write: boolean;
  user: boolean;
  execute: boolean;
}
export const parseAccess = (text: string | undefined): Access => ({
  write: text?.includes('write') ?? false,
  user: text?.includes('user') ?? false,
  execute: text?.includes('execute') ?? false,
});

interface Level {
  name: string;
  at: number | undefined;
  entry: number | undefined;
}
const levels = (walk: Walk): Level[] => [
  { name: 'directory entry', at: walk.pdeAt, entry: walk.pde },
  { name: 'table entry', at: walk.pteAt, entry: walk.pte },
];

/** Why an entry refuses, or undefined. */
const refusal = (entry: number | undefined, access: Access): string | undefined => {
  if (entry === undefined) return 'not reached';
  if ((entry & PT.P) === 0) return 'not present';
  if (access.user && (entry & PT.US) === 0) return 'not for user mode';
  if (access.write && (entry & PT.RW) === 0) return 'read-only';
  return undefined;
};

export interface WalkAnswer {
  rows: TreeRow[];
  /** One sentence. */
  verdict: string;
}

/** One address through both tables for one kind of access. */
export const walkTree = (d: Debugger, vaddr: number, access: Access): WalkAnswer => {
  const { host } = d.target;
  if (host === undefined) return { rows: [{ label: 'This machine has no Host' }], verdict: 'no Host' };
  const guest = host.guestWalk(vaddr);
  const shadow = host.shadowWalk(vaddr);
  const words = `${access.user ? 'user' : 'kernel'} ${access.execute ? 'execute' : access.write ? 'write' : 'read'}`;
  let deciding: string | undefined;
  // The shadow tables are what the processor asks first.
  const shadowNo = levels(shadow).map((l) => refusal(l.entry, access));
  const guestNo = levels(guest).map((l, i) => (i === 0 && l.entry !== undefined && l.entry & PT.P ? undefined : refusal(l.entry, access)));
  let verdict: string;
  if (vaddr >>> 22 === 1023)
    verdict =
      'the Switcher lies there: any access by the Guest ends in a fault that it does not survive, unless its own directory has nothing there';
  else if (shadowNo.every((x) => x === undefined)) verdict = `a ${words} goes through without a trap: the shadow entry is there`;
  else {
    const i = guestNo.findIndex((x) => x !== undefined);
    if (i >= 0) {
      deciding = `g${i}`;
      verdict = `a ${words} faults, and the Guest gets the fault: its ${i === 0 ? 'page directory' : 'page table'} entry is ${guestNo[i]}`;
    } else {
      const s = shadowNo.findIndex((x) => x !== undefined);
      deciding = `s${s}`;
      verdict = `a ${words} faults, and the Host fills the shadow entry silently: it is ${shadowNo[s]} there, but the Guest's tables allow it`;
    }
  }
  const ladder = (name: string, letter: string, walk: Walk, kind: string): TreeRow => ({
    label: name,
    description: walk.target === undefined ? 'does not map it' : `→ ${kind} ${hex8(walk.target)}`,
    expanded: true,
    children: levels(walk).map((l, i) => ({
      label: `${deciding === `${letter}${i}` ? '▶ ' : ''}${l.name}${i === 0 ? ` [${vaddr >>> 22}]` : ` [${(vaddr >>> 12) & 0x3ff}]`}`,
      description:
        l.entry === undefined
          ? 'not reached'
          : `${hex8(l.entry)}  ${entryBits(l.entry)}${deciding === `${letter}${i}` ? '  ← decides' : ''}`,
      tooltip: l.at === undefined ? 'The level above leads nowhere.' : `at ${kind} ${hex8(l.at)}`,
    })),
  });
  const name = d.programs.nameOf(vaddr);
  return {
    rows: [
      { label: hex8(vaddr), description: name === undefined ? words : `${name}, ${words}` },
      { label: verdict[0].toUpperCase() + verdict.slice(1) + '.' },
      ladder('Guest tables', 'g', guest, 'guest-physical'),
      ladder('Shadow tables', 's', shadow, 'physical'),
      { label: 'page directory', description: `guest ${hex8(guest.directory)}, shadow ${hex8(shadow.directory)}` },
    ],
    verdict,
  };
};

export const treeText = (rows: TreeRow[], indent = ''): string =>
  rows
    .map(
      (r) => `${indent}${r.label}${r.description === undefined ? '' : `  ${r.description}`}\n${treeText(r.children ?? [], `${indent}  `)}`,
    )
    .join('');
