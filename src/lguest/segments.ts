// The Guest's descriptor tables: what it asks for, what the Host makes of it, and what the processor really gets.
//
// The Host keeps a copy of the Guest's GDT and IDT as asked (after making them safe) and writes them to the live tables on the state page just before the
// next entry. Safe means: no ring-0 segment, nothing the processor would want to write to, gates that only lead to ring 1. Our documentation, 6.6, 6.7, 7.

import {
  FLAT_CODE,
  FLAT_DATA,
  FLAT_LOW,
  GDT,
  GDT_ENTRIES,
  GUEST_PL,
  IDT_ENTRIES,
  isIgnoredGdt,
  KERNEL_CS,
  LGUEST_TRAP_ENTRY,
  PAGES,
  SYSCALL_VECTOR,
} from './abi';
import { CHANGED, type Guest } from './guest';
import { defaultGate } from './layout';

/** The two segments that a Guest starts with. */
export const setupBootGdt = (lg: Guest): void => {
  lg.gdt[GDT.KERNEL_CS * 2] = FLAT_LOW;
  lg.gdt[GDT.KERNEL_CS * 2 + 1] = FLAT_CODE | (GUEST_PL << 13);
  lg.gdt[GDT.KERNEL_DS * 2] = FLAT_LOW;
  lg.gdt[GDT.KERNEL_DS * 2 + 1] = FLAT_DATA | (GUEST_PL << 13);
};

/**
 * DPL 0 becomes the Guest's ring; the accessed bit is set, so that the processor need not write to its read-only table.
 * Quirk: the bit is set in every descriptor, which turns call gates into something that cannot be called.
 */
const fixup = (lg: Guest, from: number, to: number): void => {
  for (let i = from; i <= to; i++) {
    if (isIgnoredGdt(i)) continue;
    if ((lg.gdt[i * 2 + 1] & 0x6000) === 0) lg.gdt[i * 2 + 1] |= GUEST_PL << 13;
    lg.gdt[i * 2 + 1] |= 0x100;
  }
};

const copyIn = (lg: Guest, first: number, bytes: Uint8Array): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < bytes.length / 4; i++) lg.gdt[first * 2 + i] = view.getUint32(i * 4, true);
};

/** LOAD_GDT(table, count). */
export const loadGuestGdt = (lg: Guest, table: number, count: number): void => {
  if (count >>> 0 > GDT_ENTRIES) {
    lg.kill(`too many gdt entries ${count | 0}`);
    return;
  }
  copyIn(lg, 0, lg.lgread(table, count * 8));
  fixup(lg, 0, GDT_ENTRIES - 1);
  lg.changed |= CHANGED.GDT;
};

/** LOAD_TLS(table): three descriptors. */
export const loadGuestTls = (lg: Guest, table: number): void => {
  copyIn(lg, GDT.TLS_MIN, lg.lgread(table, 24));
  fixup(lg, GDT.TLS_MIN, GDT.TLS_MAX);
  lg.changed |= CHANGED.TLS;
};

/** Vectors that a Guest can never set. */
const isReservedGate = (n: number): boolean => n === 2 || n === 8 || n === 15 || n === LGUEST_TRAP_ENTRY;

/** LOAD_IDT_ENTRY(number, low, high). */
export const loadGuestIdtEntry = (lg: Guest, number: number, low: number, high: number): void => {
  const n = number >>> 0;
  if (isReservedGate(n)) return;
  lg.changed |= CHANGED.IDT;
  if (n >= IDT_ENTRIES) {
    lg.kill(`Setting idt entry ${n}`);
    return;
  }
  if ((high & 0x8000) === 0) {
    lg.idt[n * 2] = 0;
    lg.idt[n * 2 + 1] = 0;
    return;
  }
  const type = (high >> 8) & 0xf;
  if (type !== 0xe && type !== 0xf) {
    lg.kill(`bad IDT type ${type}`);
    return;
  }
  lg.idt[n * 2] = ((KERNEL_CS | GUEST_PL) << 16) | (low & 0xffff);
  lg.idt[n * 2 + 1] = high & 0xffffef00;
};

/** Vectors that the processor may deliver to the Guest without the Host: not those the Host must see, and no interrupts. */
export const isDirectCandidate = (lg: Guest, v: number): boolean => {
  if (v === 7 || v === 13 || v === 14 || v === LGUEST_TRAP_ENTRY) return false;
  return v < 32 || v === SYSCALL_VECTOR || v === lg.syscallVector;
};
/** True when vector `v` goes straight to the Guest: a candidate whose gate is a trap gate (an interrupt gate would turn interrupts off for real). */
export const isDirect = (lg: Guest, v: number): boolean => isDirectCandidate(lg, v) && ((lg.idt[v * 2 + 1] >>> 8) & 0xf) === 0xf;

/** Brings the live tables up to date before an entry. */
export const copyDescriptors = (lg: Guest): void => {
  const pages = lg.layout.statePage - 0x1000;
  const put = (table: number, index: number, low: number, high: number): void => {
    lg.hostWrite(pages + table + index * 8, low);
    lg.hostWrite(pages + table + index * 8 + 4, high);
  };
  if (lg.changed & CHANGED.IDT) {
    for (let v = 0; v < IDT_ENTRIES; v++) {
      if (!isDirectCandidate(lg, v)) continue;
      if (isDirect(lg, v)) put(PAGES.guestIdt, v, lg.idt[v * 2], lg.idt[v * 2 + 1]);
      else put(PAGES.guestIdt, v, ...defaultGate(lg.layout.switcher, v));
    }
  }
  if (lg.changed & CHANGED.GDT) {
    for (let i = 0; i < GDT_ENTRIES; i++) if (!isIgnoredGdt(i)) put(PAGES.guestGdt, i, lg.gdt[i * 2], lg.gdt[i * 2 + 1]);
  } else if (lg.changed & CHANGED.TLS) {
    for (let i = GDT.TLS_MIN; i <= GDT.TLS_MAX; i++) put(PAGES.guestGdt, i, lg.gdt[i * 2], lg.gdt[i * 2 + 1]);
  }
  lg.changed = 0;
};
