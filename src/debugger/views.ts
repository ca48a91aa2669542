// The two trees beside the editor: cr2 and the current trap, and one address through the Guest's and the shadow tables.
//
// Rows are finished text. What it leaves out: scopes (scopes.ts) and who shows them.

import { formatPosition } from '../lguest/trap-record';
import { becameText, decisionChain, errorWords, hypercallText, mnemonic, nearestFlip, whatText } from './explain';
import { type PageAccess, type WalkLevel, walkPage } from './page-walk';
import { addressKind } from './address-kind';
import type { Debugger } from './session';
import { hex8 } from './target';

export interface TreeRow {
  label: string;
  description?: string;
  tooltip?: string;
  expanded?: boolean;
  /** Where what the row is about lies, as a memory reference, and its type. */
  reference?: string;
  as?: string;
  /** A task's number. */
  task?: number;
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
  if (r.cr2 !== undefined) children.push({ label: 'address', description: `${hex8(r.cr2)}: ${addressKind(d, r.cr2)}` });
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

/** One address through both tables for one kind of access, as rows. */
export const walkTree = (d: Debugger, va: number, access: PageAccess): { rows: TreeRow[]; verdict: string } => {
  const { host } = d.target;
  if (host === undefined) return { rows: [{ label: 'This machine has no Host' }], verdict: 'This machine has no Host.' };
  const answer = walkPage(host, va, access);
  const level = (l: WalkLevel): TreeRow => ({
    label: `${l.deciding ? '▶ ' : ''}${l.level === 'directory' ? 'directory entry' : 'table entry'} [${l.index}]`,
    description: l.raw === undefined ? 'not reached' : `${hex8(l.raw)}  ${l.bits}${l.deciding ? '  ← decides' : ''}`,
    tooltip: `${l.at === undefined ? 'The level above leads nowhere.' : `at ${l.table === 'guest' ? 'guest-physical' : 'physical'} ${hex8(l.at)}`}${l.refuses === undefined || l.raw === undefined ? '' : ` Refuses: ${l.refuses}.`}`,
  });
  const ladder = (label: string, table: 'guest' | 'shadow', kind: string): TreeRow => {
    const levels = answer.levels.filter((l) => l.table === table);
    const frame = levels[1].frame;
    return {
      label,
      description: frame === undefined ? 'does not map it' : `→ ${kind} ${hex8(frame | (answer.va & 0xfff))}`,
      expanded: true,
      children: levels.map(level),
    };
  };
  const name = d.programs.nameOf(answer.va);
  return {
    rows: [
      { label: hex8(answer.va), description: `${name ?? addressKind(d, answer.va)}, ${answer.access}` },
      { label: answer.answer },
      ...(answer.flip === undefined ? [] : [{ label: answer.flip }]),
      ladder('Guest tables', 'guest', 'guest-physical'),
      ladder('Shadow tables', 'shadow', 'physical'),
      { label: 'page directory', description: `guest ${hex8(answer.directory.guest)}, shadow ${hex8(answer.directory.shadow)}` },
    ],
    verdict: answer.answer,
  };
};

export const treeText = (rows: TreeRow[], indent = ''): string =>
  rows
    .map(
      (r) => `${indent}${r.label}${r.description === undefined ? '' : `  ${r.description}`}\n${treeText(r.children ?? [], `${indent}  `)}`,
    )
    .join('');
