// Descriptors and gates in three columns: what the Guest asked for, what the Host installed where the processor reads it, and why the two differ.
//
// Asked comes from the newest hypercalls in the trap log (IDT) and from the table that LOAD_GDT or LOAD_TLS named (GDT); installed is read from the live tables on the
// Switcher's state page. There is no LDT: lguest has none, and LLDT is what a Guest cannot do. What it leaves out: the processor's hidden parts (scopes).

import { GDT, GDT_ENTRIES, IDT_ENTRIES, isIgnoredGdt, LHCALL, PAGES, TSS } from '../lguest/abi';
import type { Host } from '../lguest/host';
import { isDirect, isDirectCandidate } from '../lguest/segments';
import { vectorName } from './filters';
import { descriptorText } from './descriptor-text';
import { hex8 } from './target';
import type { Names } from './record-query';

export interface Pair {
  low: number;
  high: number;
}
export interface DescriptorRow {
  index: number;
  selector: number;
  asked: Pair | undefined;
  installed: Pair;
  /** Decoded, of the installed words. */
  text: string;
  /** Segment registers of the Guest that hold it. */
  usedBy: string[];
  why: string;
}
export interface GateRow {
  vector: number;
  name: string;
  /** What LOAD_IDT_ENTRY said; undefined: the log does not reach back, or it never did. */
  asked: Pair | undefined;
  /** The Host's copy, for deliveries through it. */
  kept: Pair;
  installed: Pair;
  /** E interrupt gate, F trap gate; undefined: no gate. */
  type: 'E' | 'F' | undefined;
  dpl: number;
  handler: number | undefined;
  /** direct: the processor goes to ring 1. reflected: through the Host. killed: no gate. Host: the Guest never gets this vector as a trap. */
  route: 'direct' | 'reflected' | 'killed' | 'Host';
  why: string;
  /** Traps and deliveries of this vector so far. */
  hits: number;
}

const live = (host: Host, table: number, index: number): Pair => {
  const at = host.layout.statePage - 0x1000 + table + index * 8;
  return { low: host.lg.hostRead(at) >>> 0, high: host.lg.hostRead(at + 4) >>> 0 };
};
const words = (p: Pair): string => `${hex8(p.high).slice(2)}:${hex8(p.low).slice(2)}`;
const isZero = (p: Pair): boolean => p.low === 0 && p.high === 0;

/** Newest GDT and TLS tables that the Guest named, guest-physical. */
const askedTables = (host: Host): { gdt?: { at: number; count: number }; tls?: { at: number }; tlsNewer: boolean } => {
  const { records } = host;
  const found: { gdt?: { at: number; count: number }; tls?: { at: number }; tlsNewer: boolean } = { tlsNewer: false };
  for (let k = records.count - 1; k >= records.first && found.gdt === undefined; k--) {
    const call = records.get(k)?.hypercall;
    if (call?.number === LHCALL.LOAD_TLS && found.tls === undefined) {
      found.tls = { at: call.args[0] };
      found.tlsNewer = true;
    } else if (call?.number === LHCALL.LOAD_GDT) found.gdt = { at: call.args[0], count: call.args[1] };
  }
  return found;
};

export const gdtRows = (host: Host): DescriptorRow[] => {
  const { lg } = host;
  const tables = askedTables(host);
  const pairAt = (at: number): Pair | undefined =>
    lg.readable(at, 8) ? { low: lg.peek32(at) >>> 0, high: lg.peek32(at + 4) >>> 0 } : undefined;
  const rows: DescriptorRow[] = [];
  for (let i = 0; i < GDT_ENTRIES; i++) {
    const installed = live(host, PAGES.guestGdt, i);
    const tls = i >= GDT.TLS_MIN && i <= GDT.TLS_MAX;
    let asked: Pair | undefined;
    if (tls && tables.tls !== undefined && tables.tlsNewer) asked = pairAt(tables.tls.at + (i - GDT.TLS_MIN) * 8);
    else if (tables.gdt !== undefined && i < tables.gdt.count) asked = pairAt(tables.gdt.at + i * 8);
    rows.push({
      index: i,
      selector: i * 8,
      asked,
      installed,
      text: descriptorText(installed.low, installed.high),
      usedBy: (['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const).filter(
        (s) => host.context.get(s) >> 3 === i && (host.context.get(s) & 4) === 0 && i > 0,
      ),
      why: whyDescriptor(i, asked, installed, lg.gdt[i * 2], lg.gdt[i * 2 + 1]),
    });
  }
  return rows;
};

const whyDescriptor = (i: number, asked: Pair | undefined, installed: Pair, keptLow: number, keptHigh: number): string => {
  if (isIgnoredGdt(i)) {
    const whose =
      i === GDT.TSS
        ? "the Host's TSS for this Guest"
        : i === GDT.DOUBLEFAULT_TSS
          ? 'no double fault task: nothing is installed'
          : "the Switcher's own segment, ring 0";
    return `ignored: ${whose}${asked === undefined || isZero(asked) ? '' : '; what the Guest asked is never copied'}`;
  }
  if (keptLow >>> 0 !== installed.low || keptHigh >>> 0 !== installed.high) return 'changed: goes to the live table before the next entry';
  if (asked === undefined) return 'not asked for: LOAD_GDT is not in the log';
  const parts: string[] = [];
  if (asked.low !== installed.low || (asked.high & ~0x6100) >>> 0 !== (installed.high & ~0x6100) >>> 0)
    parts.push('the Guest changed its table since it was loaded');
  if ((asked.high & 0x6000) === 0 && (installed.high & 0x6000) === 0x2000) parts.push('DPL 0 → 1: the Guest kernel runs in ring 1');
  if ((asked.high & 0x100) === 0 && (installed.high & 0x100) !== 0)
    parts.push('accessed bit set: the table is read-only for the processor');
  return parts.length === 0 ? 'as asked' : parts.join('; ');
};

export const gdtText = (rows: readonly DescriptorRow[], all = false): string =>
  rows
    .filter((r) => all || (!isZero(r.installed) && r.installed.high !== 0x2100) || isIgnoredGdt(r.index))
    .map(
      (r) =>
        `${String(r.index).padStart(3)} ${hex8(r.selector).slice(-4)} ${r.text}${r.usedBy.length === 0 ? '' : `  [${r.usedBy.join(' ')}]`}\n      asked ${r.asked === undefined ? 'unknown' : words(r.asked)}, installed ${words(r.installed)}: ${r.why}\n`,
    )
    .join('');

// ---- IDT --------------------------------------------------------------------------------------------------------------------------------------

export const idtRows = (host: Host): GateRow[] => {
  const { lg, records } = host;
  const asked = new Map<number, Pair>();
  for (const r of records) {
    const call = r.hypercall;
    if (call?.number === LHCALL.LOAD_IDT_ENTRY) asked.set(call.args[0], { low: call.args[1], high: call.args[2] });
  }
  const { totals } = records;
  const rows: GateRow[] = [];
  for (let v = 0; v < IDT_ENTRIES; v++) {
    const kept = { low: lg.idt[v * 2], high: lg.idt[v * 2 + 1] };
    const present = (kept.high & 0x8000) !== 0;
    const type = !present ? undefined : ((kept.high >> 8) & 15) === 15 ? 'F' : 'E';
    const direct = isDirect(lg, v);
    rows.push({
      vector: v,
      name: v >= 32 && v < 64 ? `virtual interrupt ${v - 32}` : vectorName(v),
      asked: asked.get(v),
      kept,
      installed: live(host, PAGES.guestIdt, v),
      type,
      dpl: (kept.high >> 13) & 3,
      handler: present ? ((kept.high & 0xffff0000) | (kept.low & 0xffff)) >>> 0 : undefined,
      route: v === 31 || v === 2 ? 'Host' : direct ? 'direct' : present ? 'reflected' : 'killed',
      why: whyGate(host, v, type, asked.get(v), kept),
      hits: (v >= 32 && v < 64 ? totals.virqsDelivered[v - 32] : totals.traps[v]) + totals.direct[v],
    });
  }
  return rows;
};

const whyGate = (host: Host, v: number, type: 'E' | 'F' | undefined, asked: Pair | undefined, kept: Pair): string => {
  const { lg } = host;
  if (v === 31) return 'ignored: hypercalls; the only gate of the Host that ring 1 may call by INT';
  if (v === 2 || v === 8 || v === 15)
    return `ignored: a Guest can never set vector ${v}${v === 2 ? "; NMIs are the Host's" : ', so such a trap kills it'}`;
  const fix =
    asked !== undefined &&
    ((asked.low & 0xffff0000) !== (kept.low & 0xffff0000) || (asked.high & 0xff) !== 0 || (asked.high & 0x1000) !== 0)
      ? '; selector made 0x61'
      : '';
  if (type === undefined)
    return v < 32
      ? 'no gate: such a trap kills the Guest'
      : v < 64
        ? 'no gate: the interrupt stays pending'
        : 'no gate: INT from the Guest is #GP, as the default gate has DPL 0';
  if (!isDirectCandidate(lg, v)) {
    const why = v === 14 ? 'demand paging' : v === 13 ? 'port emulation' : v === 7 ? 'the lazy FPU' : 'only the Host injects interrupts';
    return `reflected: the Host must see this vector first, for ${why}${fix}`.replace('for only', 'since only');
  }
  if (type === 'E') return `reflected: type E, an interrupt gate must clear irq_enabled, which is memory, so only the Host can do it${fix}`;
  return `direct: type F, a trap gate leaves interrupts as they are, so the processor can go to ring 1 itself${fix}`;
};

export const idtText = (rows: readonly GateRow[], names: Names): string =>
  rows
    .filter((r) => r.handler !== undefined || r.hits > 0 || r.route === 'Host')
    .map((r) => {
      const handler =
        r.handler === undefined ? 'no gate' : `${hex8(r.handler)} ${names.nameOf(r.handler) ?? ''} type ${r.type} dpl ${r.dpl}`;
      return `${String(r.vector).padStart(3)} ${r.name.padEnd(24)} ${handler}, ${r.hits} hits\n      asked ${r.asked === undefined ? 'unknown' : words(r.asked)}, installed ${words(r.installed)}; ${r.why}\n`;
    })
    .join('');

// ---- TSS ----------------------------------------------------------------------------------------------------------------------------------------

/** Gates that the Guest asked for or that were used, in words. */
export const gateAudit = (
  host: Host,
  names: Names,
): { vector: number; name: string; route: string; asked: string; installed: string; why: string; hits: number }[] => {
  const gate = ({ low, high }: Pair): string => {
    if ((high & 0x8000) === 0) return 'not present';
    const to = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
    return `${names.nameOf(to) ?? hex8(to)} type 0x${((high >> 8) & 15).toString(16)} dpl ${(high >> 13) & 3}`;
  };
  return idtRows(host)
    .filter((g) => g.handler !== undefined || g.hits > 0)
    .map(({ vector, name, route, why, hits, handler, asked, kept, installed }) => ({
      vector,
      name,
      route,
      asked: asked !== undefined ? gate(asked) : handler === undefined ? 'nothing' : gate(kept),
      installed: gate(installed),
      why,
      hits,
    }));
};

export interface TssFields {
  /** Linear, as the processor finds it. */
  at: number;
  esp0: number;
  ss0: number;
  esp1: number;
  ss1: number;
  ioBitmap: number;
  /** Of SET_STACK. */
  pages: number;
  pinned: { page: number; state: string }[];
  warning?: string;
}
/** The TSS that the processor uses while the Guest runs, and whether the kernel stack in it is really there: a direct trap onto a missing page would kill. */
export const tssFields = (host: Host): TssFields => {
  const { lg, layout } = host;
  const base = layout.statePage - 0x1000 + PAGES.guestTss;
  const word = (at: number): number => lg.hostRead(base + at) >>> 0;
  const pinned: { page: number; state: string }[] = [];
  for (let i = 0; i < lg.stackPages; i++) {
    const page = ((lg.esp1 - 1 - i * 0x1000) & ~0xfff) >>> 0;
    const { pte } = host.shadowWalk(page);
    pinned.push({ page, state: pte === undefined || (pte & 1) === 0 ? 'missing' : pte & 2 ? 'pinned, writable' : 'read-only' });
  }
  const bad = pinned.find((p) => p.state !== 'pinned, writable');
  return {
    at: layout.pagesAddress + PAGES.guestTss,
    esp0: word(TSS.esp0),
    ss0: word(TSS.ss0) & 0xffff,
    esp1: lg.esp1 >>> 0,
    ss1: lg.ss1,
    ioBitmap: word(TSS.ioBitmapBase & ~3) >>> 16,
    pages: lg.stackPages,
    pinned,
    ...(bad === undefined
      ? {}
      : {
          warning: `stack page ${hex8(bad.page)} is ${bad.state}: the next direct trap from user mode onto it ends in a double fault, which kills the Guest`,
        }),
  };
};
export const tssText = (t: TssFields): string =>
  [
    `TSS at ${hex8(t.at)} (the Host's, on the Switcher's state page)`,
    `  ss0:esp0 ${hex8(t.ss0).slice(-4)}:${hex8(t.esp0)}  the Switcher's: the end of lguest_regs`,
    `  ss1:esp1 ${hex8(t.ss1).slice(-4)}:${hex8(t.esp1)}  the Guest kernel's, by SET_STACK, ${t.pages} pages`,
    ...t.pinned.map((p) => `    ${hex8(p.page)}  ${p.state}`),
    `  I/O bitmap at ${t.ioBitmap}: beyond the limit, so every port instruction traps`,
    ...(t.warning === undefined ? [] : [`  warning: ${t.warning}`]),
    '',
  ].join('\n');
