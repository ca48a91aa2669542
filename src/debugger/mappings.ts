// All of a directory's mappings as merged ranges, Guest or shadow; what the shadow tables lack; an audit of what looks wrong; the four shadow slots.
//
// Every present table is read once, straight from memory. What it leaves out: one address in depth (page-walk.ts).

import { LHCALL, PT } from '../lguest/abi';
import type { Host } from '../lguest/host';
import { formatPosition } from '../lguest/trap-record';
import { hex8 } from './target';
import type { Names } from './record-query';

export interface Mapping {
  /** First and last address. */
  from: number;
  to: number;
  /** Where `from` leads: guest-physical, or physical for shadow tables. */
  target: number;
  user: boolean;
  write: boolean;
  /** Pages whose D bit is set. */
  dirty: number;
  pages: number;
}
export type TableKind = 'guest' | 'shadow';

/** Calls `see` for every present page below the Switcher, ascending. Bits are those that hold: both levels' for the shadow tables, the table's for the Guest's. */
export const eachPage = (host: Host, kind: TableKind, directory: number | undefined, see: (va: number, pte: number) => void): void => {
  const { lg } = host;
  const slot = lg.pgdirs[lg.pgdidx];
  const base = directory ?? (kind === 'guest' ? slot.gpgdir : slot.shadow);
  const read =
    kind === 'guest' ? (at: number): number => (lg.readable(at, 4) ? lg.peek32(at) : 0) : (at: number): number => lg.hostRead(at);
  if (kind === 'shadow' && base === 0) return;
  for (let i = 0; i < 1023; i++) {
    const pde = read(base + i * 4);
    if ((pde & PT.P) === 0) continue;
    const table = (pde & 0xfffff000) >>> 0;
    const held = kind === 'shadow' ? pde | ~(PT.RW | PT.US) : -1;
    for (let j = 0; j < 1024; j++) {
      const pte = read(table + j * 4);
      if (pte & PT.P) see((i * 0x400000 + j * 0x1000) >>> 0, pte & held);
    }
  }
};

export const mappingsOf = (host: Host, kind: TableKind, directory?: number): Mapping[] => {
  const out: Mapping[] = [];
  let last: Mapping | undefined;
  eachPage(host, kind, directory, (va, pte) => {
    const target = (pte & 0xfffff000) >>> 0;
    const user = (pte & PT.US) !== 0;
    const write = (pte & PT.RW) !== 0;
    if (
      last === undefined ||
      last.to + 1 !== va ||
      last.user !== user ||
      last.write !== write ||
      last.target + (va - last.from) !== target
    ) {
      last = { from: va, to: va, target, user, write, dirty: 0, pages: 0 };
      out.push(last);
    }
    last.to = va + 0xfff;
    last.pages++;
    if (pte & PT.D) last.dirty++;
  });
  return out;
};

export const mappingsText = (list: readonly Mapping[], kind: TableKind, names: Names): string => {
  if (list.length === 0) return 'nothing is mapped\n';
  return list
    .map((m) => {
      const name = names.nameOf(m.from);
      return `${hex8(m.from)}-${hex8(m.to)} → ${kind === 'guest' ? '' : 'physical '}${hex8(m.target)} ${m.user ? 'user  ' : 'kernel'} ${m.write ? 'rw' : 'r-'} ${String(m.pages).padStart(6)} pages${m.dirty === 0 ? '' : `, ${m.dirty} dirty`}${name === undefined ? '' : `  ${name}`}\n`;
    })
    .join('');
};

// ---- what the shadow tables lack ------------------------------------------------------------------------------------------------------------

export interface MappingDifference {
  /** Guest pages that have no shadow entry yet. */
  notYet: number;
  /** Shadow entries that are read-only until the first write. */
  untilWritten: number;
  /** Shadow entries for pages that the Guest no longer maps so: it has not told the Host. */
  stale: number[];
  equal: number;
}
/** Shadow against Guest tables of the current directory; shadow frames are compared at their Guest-physical places. */
export const mappingDifference = (host: Host): MappingDifference => {
  const guest = new Map<number, number>();
  eachPage(host, 'guest', undefined, (va, pte) => guest.set(va, pte));
  const d: MappingDifference = { notYet: guest.size, untilWritten: 0, stale: [], equal: 0 };
  eachPage(host, 'shadow', undefined, (va, spte) => {
    const pte = guest.get(va);
    const frame = (spte & 0xfffff000) - host.layout.memBase;
    if (pte === undefined || (pte & 0xfffff000) >>> 0 !== frame >>> 0 || (spte & PT.RW && (pte & PT.RW) === 0)) {
      if (pte !== undefined) d.notYet--;
      d.stale.push(va);
      return;
    }
    d.notYet--;
    if (pte & PT.RW && (spte & PT.RW) === 0) d.untilWritten++;
    else d.equal++;
  });
  return d;
};

// ---- audit ----------------------------------------------------------------------------------------------------------------------------------

export interface Finding {
  rule: 'user-visible kernel' | 'writable and executable' | 'alias' | 'stale shadow entry' | 'beyond memory';
  from: number;
  to: number;
  text: string;
}
/** What in the Guest's tables lets more happen than it should. i386 of that time has no NX bit, so every readable page can be executed: text that is writable is what is told. */
export const auditMappings = (host: Host, names: Names, text: readonly { low: number; high: number }[] = []): Finding[] => {
  const { lg } = host;
  const out: Finding[] = [];
  const kernel = lg.kernelAddress === 0 ? 0xc0000000 : lg.kernelAddress;
  const byFrame = new Map<number, Mapping[]>();
  for (const m of mappingsOf(host, 'guest')) {
    const range = `${hex8(m.from)}-${hex8(m.to)}`;
    if (m.from >= kernel && m.user)
      out.push({
        rule: 'user-visible kernel',
        from: m.from,
        to: m.to,
        text: `${range}: kernel addresses with US=1: user mode can ${m.write ? 'read and write' : 'read'} them`,
      });
    for (const t of text) {
      const from = Math.max(t.low, m.from);
      const to = Math.min(t.high - 1, m.to);
      if (m.write && from <= to)
        out.push({
          rule: 'writable and executable',
          from,
          to,
          text: `${hex8(from)}-${hex8(to)}: code${names.nameOf(from) === undefined ? '' : ` (${names.nameOf(from)})`} is mapped writable${m.user ? ', for user mode too' : ''}`,
        });
    }
    if (m.target + m.pages * 0x1000 > lg.pfnLimit * 0x1000)
      out.push({
        rule: 'beyond memory',
        from: m.from,
        to: m.to,
        text: `${range}: leads to ${hex8(m.target)}, beyond the Guest's ${lg.pfnLimit} pages: touching it kills the Guest`,
      });
    for (let page = 0; page < m.pages; page++) {
      const frame = m.target + page * 0x1000;
      const list = byFrame.get(frame);
      if (list === undefined) byFrame.set(frame, [m]);
      else list.push(m);
    }
  }
  // Aliases, merged: pages of one pair of mappings that follow each other.
  let open: (Finding & { a: Mapping; b: Mapping; frame: number }) | undefined;
  for (const frame of [...byFrame.keys()].sort((a, b) => a - b)) {
    const [a, b] = byFrame.get(frame) ?? [];
    if (b === undefined || (a.write === b.write && a.user === b.user)) continue;
    const va = frame - a.target + a.from;
    if (open !== undefined && open.a === a && open.b === b && open.frame + 0x1000 === frame) {
      open.to = va + 0xfff;
      open.frame = frame;
      continue;
    }
    const words = (m: Mapping): string => `${m.user ? 'user' : 'kernel'} ${m.write ? 'rw' : 'r-'}`;
    open = { rule: 'alias', from: va, to: va + 0xfff, text: '', a, b, frame };
    const other = frame - b.target + b.from;
    open.text = `${hex8(va)} (${words(a)}) and ${hex8(other)} (${words(b)}) are the same memory with different rights, guest-physical ${hex8(frame)} on`;
    out.push(open);
  }
  for (const va of mappingDifference(host).stale)
    out.push({
      rule: 'stale shadow entry',
      from: va,
      to: va + 0xfff,
      text: `${hex8(va)}: the processor still has what the Guest's tables no longer say; it has not told the Host (SET_PTE or FLUSH_TLB)`,
    });
  return out.map(({ rule, from, to, text }) => ({ rule, from, to, text }));
};

// ---- shadow slots ---------------------------------------------------------------------------------------------------------------------------

export interface ShadowSlot {
  slot: number;
  current: boolean;
  /** Guest-physical; undefined: free. */
  directory: number | undefined;
  shadow: number | undefined;
  /** Shadow page tables and entries in them, below the Switcher. */
  tables: number;
  entries: number;
  /** k of the newest NEW_PGTABLE for this directory, as far as the log reaches. */
  lastUse: number | undefined;
}
export interface Eviction {
  slot: number;
  /** k of the hypercall. */
  k: number;
  position: string;
  lost: number;
  taken: number;
}

const histories = new WeakMap<Host, { slots: number[]; evictions: Eviction[] }>();
const KEPT = 1000;
/** Notes from now on which directory loses its slot to which. Once for each Host; the choice of the slot is random and in no record. */
export const watchSlots = (host: Host | undefined): void => {
  if (host === undefined || histories.has(host)) return;
  const { lg } = host;
  const h = { slots: lg.pgdirs.map((p) => p.gpgdir), evictions: [] as Eviction[] };
  histories.set(host, h);
  const before = lg.onSlot;
  lg.onSlot = (slot, blank) => {
    const taken = lg.pgdirs[slot].gpgdir;
    if (!blank) h.evictions.push({ slot, k: host.records.count - 1, position: formatPosition(host.position), lost: h.slots[slot], taken });
    if (h.evictions.length > KEPT) h.evictions.shift();
    h.slots[slot] = taken;
    before(slot, blank);
  };
};

export const shadowSlots = (host: Host): { slots: ShadowSlot[]; evictions: Eviction[] } => {
  const { lg, records } = host;
  const lastUse = new Map<number, number>();
  for (let k = records.count - 1; k >= records.first; k--) {
    const r = records.get(k);
    if (r?.hypercall?.number === LHCALL.NEW_PGTABLE && !lastUse.has(r.hypercall.args[0])) lastUse.set(r.hypercall.args[0], k);
  }
  const slots = lg.pgdirs.map((p, slot): ShadowSlot => {
    const free = p.shadow === 0;
    let tables = 0;
    let entries = 0;
    if (!free) {
      for (let i = 0; i < 1023; i++) if (lg.hostRead(p.shadow + i * 4) & PT.P) tables++;
      eachPage(host, 'shadow', p.shadow, () => entries++);
    }
    return {
      slot,
      current: slot === lg.pgdidx,
      directory: free ? undefined : p.gpgdir,
      shadow: free ? undefined : p.shadow,
      tables,
      entries,
      lastUse: lastUse.get(p.gpgdir),
    };
  });
  return { slots, evictions: histories.get(host)?.evictions ?? [] };
};

export const slotsText = (host: Host): string => {
  const { slots, evictions } = shadowSlots(host);
  const lines = slots.map(
    (s) =>
      `${s.current ? '*' : ' '} slot ${s.slot}: ${s.directory === undefined ? 'free' : `Guest directory ${hex8(s.directory)}, shadow ${hex8(s.shadow ?? 0)}, ${s.entries} entries in ${s.tables} tables${s.lastUse === undefined ? '' : `, last loaded by trap ${s.lastUse}`}`}`,
  );
  lines.push(evictions.length === 0 ? 'no directory has lost its slot' : `${evictions.length} evictions; newest:`);
  for (const e of evictions.slice(-10))
    lines.push(`  ${e.position} trap ${e.k}: slot ${e.slot}, ${hex8(e.lost)} gave way to ${hex8(e.taken)}`);
  return `${lines.join('\n')}\n`;
};
