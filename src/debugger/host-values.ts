// What the Host keeps of its Guest, as values of expressions: `lg` is the Host's struct lguest, `virt` the page that both share.
// Watches ask for single fields by their paths.
//
// Made anew at each question, so they are always those of now; nothing here changes anything. What it leaves out: reasons (irq-state.ts, explain.ts).

import { LD, RING_ENTRIES } from '../lguest/abi';
import type { Guest } from '../lguest/guest';
import type { Host } from '../lguest/host';
import type { Type } from '../symbols/dwarf/types';
import { ADDRESS, fromBytes, INT, UCHAR, UINT, type Value } from './expression';
import { array, arrayOf, type MadeMember, structure, UWIDE } from './made-values';

type Kept = number | bigint | string;
/** The fields of `lg` that are one value each, in the order in which they are shown. */
const FIELDS: readonly (readonly [name: string, type: Type | 'text', now: (lg: Guest) => Kept])[] = [
  ['irqs_pending', ADDRESS, (lg) => lg.irqsPending >>> 0],
  ['halted', INT, (lg) => (lg.halted ? 1 : 0)],
  ['ts', INT, (lg) => lg.ts],
  ['esp1', ADDRESS, (lg) => lg.esp1 >>> 0],
  ['ss1', ADDRESS, (lg) => lg.ss1 >>> 0],
  ['stack_pages', INT, (lg) => lg.stackPages],
  ['gpgdir', ADDRESS, (lg) => lg.pgdirs[lg.pgdidx].gpgdir >>> 0],
  ['pgdidx', INT, (lg) => lg.pgdidx],
  ['changed', ADDRESS, (lg) => lg.changed],
  ['last_pagefault', ADDRESS, (lg) => lg.lastPagefault >>> 0],
  ['next_hcall', INT, (lg) => lg.nextHcall],
  ['hcall_pending', INT, (lg) => (lg.hcallPending ? 1 : 0)],
  ['pending_notify', ADDRESS, (lg) => lg.pendingNotify >>> 0],
  ['break_out', INT, (lg) => (lg.breakOut ? 1 : 0)],
  ['kernel_address', ADDRESS, (lg) => lg.kernelAddress >>> 0],
  ['noirq_start', ADDRESS, (lg) => lg.noirqStart >>> 0],
  ['noirq_end', ADDRESS, (lg) => lg.noirqEnd >>> 0],
  ['syscall_vector', INT, (lg) => lg.syscallVector],
  ['pfn_limit', UINT, (lg) => lg.pfnLimit],
  ['tsc_khz', UINT, (lg) => lg.tscKhz],
  ['lguest_data', ADDRESS, (lg) => lg.ld >>> 0],
  ['timer', UWIDE, (lg) => (lg.timer < 0 ? 0n : BigInt(Math.round(lg.timer)))],
  ['dead', 'text', (lg) => lg.dead ?? ''],
];
/** Eight bytes of a descriptor table, shown in hexadecimal. */
const DESCRIPTOR: Type = { kind: 'base', name: 'unsigned long long', size: 8, encoding: 'address' };
const TABLES = ['gdt', 'idt'] as const;
/** An entry of a table that the Host keeps. */
const entryOf = (table: Uint32Array, n: number): bigint => (BigInt(table[n * 2 + 1]) << 32n) | BigInt(table[n * 2]);

/** Before LGUEST_INIT the fields have their first values. */
export const hostValue = (host: Host): Value => {
  const { lg } = host;
  const members = FIELDS.map(([name, type, now]): MadeMember => [name, type, now(lg)]);
  const pgdirs: MadeMember = [
    'pgdirs',
    'value',
    array(
      lg.pgdirs.map((p) =>
        structure('pgdir', [
          ['gpgdir', ADDRESS, p.gpgdir >>> 0],
          ['shadow', ADDRESS, p.shadow >>> 0],
        ]),
      ),
    ),
  ];
  const tables = TABLES.map((name): MadeMember => {
    const table = lg[name];
    const bytes = new Uint8Array(table.buffer, table.byteOffset, table.byteLength).slice();
    return [name, 'value', { type: arrayOf(DESCRIPTOR, table.length / 2), bits: 0n, bytes }];
  });
  const behind = FIELDS.findIndex(([name]) => name === 'pgdidx') + 1;
  return structure('lguest', [...members.slice(0, behind), pgdirs, ...members.slice(behind), ...tables]);
};

/**
 * A field of `lg` by its path (`ts`, `pgdirs[2].gpgdir`, `gdt[3]`) as a question that costs little: what it is now, a number as uint32, wider ones as bigint.
 * Undefined: there is none, or it has members of its own.
 */
export const hostField = (host: Host, path: string): (() => Kept) | undefined => {
  const { lg } = host;
  const [, , plain] = FIELDS.find(([name]) => name === path) ?? [];
  if (plain !== undefined) return () => plain(lg);
  const slot = /^pgdirs\[(\d+)\]\.(gpgdir|shadow)$/.exec(path);
  if (slot !== null) {
    const n = Number(slot[1]);
    const member = slot[2] as 'gpgdir' | 'shadow';
    return n < lg.pgdirs.length ? () => lg.pgdirs[n][member] >>> 0 : undefined;
  }
  const entry = /^(gdt|idt)\[(\d+)\]$/.exec(path);
  if (entry === null) return undefined;
  const table = lg[entry[1] as 'gdt' | 'idt'];
  const n = Number(entry[2]);
  return n < table.length / 2 ? () => entryOf(table, n) : undefined;
};
/** Paths of `lg` that hostField() knows, without those in tables. */
export const HOST_PATHS: readonly string[] = FIELDS.map(([name]) => name);

/** A stretch of the page that Host and Guest share. */
export interface SharedPart {
  offset: number;
  length: number;
}
const WORDS: Readonly<Record<string, number>> = {
  irq_enabled: LD.irqEnabled,
  blocked_interrupts: LD.blockedInterrupts,
  cr2: LD.cr2,
  'time.tv_sec': LD.time,
  'time.tv_nsec': LD.time + 4,
  reserve_mem: LD.reserveMem,
  tsc_khz: LD.tscKhz,
  noirq_start: LD.noirqStart,
  noirq_end: LD.noirqEnd,
  kernel_address: LD.kernelAddress,
  syscall_vec: LD.syscallVec,
};
const SLOT_REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const;
export const SLOT_BYTES = 16;
/** Where a member of the shared page lies in it, by its path: `cr2`, `hcall_status[3]`, `hcalls[3].eax`. Undefined: there is none. */
export const sharedPart = (path: string): SharedPart | undefined => {
  if (Object.hasOwn(WORDS, path)) return { offset: WORDS[path], length: 4 };
  if (path === 'time') return { offset: LD.time, length: 8 };
  if (path === 'hcall_status') return { offset: LD.hcallStatus, length: RING_ENTRIES };
  if (path === 'hcalls') return { offset: LD.hcalls, length: RING_ENTRIES * SLOT_BYTES };
  const m = /^(hcall_status|hcalls)\[(\d+)\](?:\.(\w+))?$/.exec(path);
  if (m === null || Number(m[2]) >= RING_ENTRIES) return undefined;
  const n = Number(m[2]);
  if (m[1] === 'hcall_status') return m[3] === undefined ? { offset: LD.hcallStatus + n, length: 1 } : undefined;
  const offset = LD.hcalls + n * SLOT_BYTES;
  if (m[3] === undefined) return { offset, length: SLOT_BYTES };
  const at = (SLOT_REGISTERS as readonly string[]).indexOf(m[3]);
  return at < 0 ? undefined : { offset: offset + at * 4, length: 4 };
};
/** Paths of `virt` that sharedPart() knows and that are one word. */
export const SHARED_PATHS: readonly string[] = Object.keys(WORDS);

const MISSING = 'unknown before LGUEST_INIT';

/** The page that the Guest named with LGUEST_INIT. */
export const sharedValue = (host: Host): Value => {
  const { lg } = host;
  if (!lg.ldReachable(0, LD.size)) return { type: UINT, bits: 0n, missing: MISSING };
  const word = (name: string, offset: number): MadeMember => [name, ADDRESS, lg.ld32(offset) >>> 0];
  const ring = [...Array(RING_ENTRIES).keys()];
  return structure('lguest_data', [
    word('irq_enabled', LD.irqEnabled),
    word('blocked_interrupts', LD.blockedInterrupts),
    word('cr2', LD.cr2),
    [
      'time',
      'value',
      structure('timespec', [
        ['tv_sec', INT, lg.ld32(LD.time)],
        ['tv_nsec', INT, lg.ld32(LD.time + 4)],
      ]),
    ],
    [
      'hcall_status',
      'value',
      array(ring.map((n) => ({ type: UCHAR, bits: 0n, bytes: Uint8Array.of(lg.ld32(LD.hcallStatus + (n & ~3)) >>> (8 * (n & 3))) }))),
    ],
    [
      'hcalls',
      'value',
      array(
        ring.map((n) =>
          structure(
            'hcall_ring',
            SLOT_REGISTERS.map((name, i) => word(name, LD.hcalls + SLOT_BYTES * n + 4 * i)),
          ),
        ),
      ),
    ],
    word('reserve_mem', LD.reserveMem),
    word('tsc_khz', LD.tscKhz),
    word('noirq_start', LD.noirqStart),
    word('noirq_end', LD.noirqEnd),
    word('kernel_address', LD.kernelAddress),
    word('syscall_vec', LD.syscallVec),
  ]);
};

/** `lg`, `lguest`, `virt` and their members in dotted form. Undefined: another name. */
export const hostName = (host: Host, name: string): Value | undefined => {
  const [whole, member] = name.split('.');
  if (whole !== 'lg' && whole !== 'lguest' && whole !== 'virt') return undefined;
  const value = whole === 'virt' ? sharedValue(host) : hostValue(host);
  if (member === undefined || value.missing !== undefined) return value;
  const t = value.type.kind === 'struct' ? value.type.members.find((m) => m.name === member) : undefined;
  if (t === undefined) return undefined;
  const bytes = value.bytes?.subarray(t.offset, t.offset + t.type.size);
  return {
    type: t.type,
    bits: t.type.kind === 'base' && bytes !== undefined ? fromBytes(bytes, t.type) : 0n,
    ...(bytes === undefined ? {} : { bytes }),
  };
};
