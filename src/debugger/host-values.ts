// What the Host keeps of its Guest, as values of expressions: `lg` is the Host's struct lguest, `virt` the page that both share.
//
// Made anew at each question, so they are always those of now; nothing here changes anything. What it leaves out: reasons (irq-state.ts, explain.ts).

import { LD, RING_ENTRIES } from '../lguest/abi';
import type { Host } from '../lguest/host';
import { ADDRESS, fromBytes, INT, UCHAR, UINT, type Value } from './expression';
import { array, type MadeMember, structure, UWIDE } from './made-values';

/** Before LGUEST_INIT the fields have their first values. */
export const hostValue = (host: Host): Value => {
  const { lg } = host;
  return structure('lguest', [
    ['irqs_pending', ADDRESS, lg.irqsPending >>> 0],
    ['halted', INT, lg.halted ? 1 : 0],
    ['ts', INT, lg.ts],
    ['esp1', ADDRESS, lg.esp1 >>> 0],
    ['ss1', ADDRESS, lg.ss1 >>> 0],
    ['stack_pages', INT, lg.stackPages],
    ['gpgdir', ADDRESS, lg.pgdirs[lg.pgdidx].gpgdir >>> 0],
    ['pgdidx', INT, lg.pgdidx],
    [
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
    ],
    ['changed', ADDRESS, lg.changed],
    ['last_pagefault', ADDRESS, lg.lastPagefault >>> 0],
    ['next_hcall', INT, lg.nextHcall],
    ['noirq_start', ADDRESS, lg.noirqStart >>> 0],
    ['noirq_end', ADDRESS, lg.noirqEnd >>> 0],
    ['syscall_vector', INT, lg.syscallVector],
    ['pfn_limit', UINT, lg.pfnLimit],
    ['tsc_khz', UINT, lg.tscKhz],
    ['lguest_data', ADDRESS, lg.ld >>> 0],
    ['timer', UWIDE, lg.timer < 0 ? 0n : BigInt(Math.round(lg.timer))],
    ['dead', 'text', lg.dead ?? ''],
  ]);
};

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
            (['eax', 'ebx', 'ecx', 'edx'] as const).map((name, i) => word(name, LD.hcalls + 16 * n + 4 * i)),
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
