// What hostile Guests are made of: random hypercalls, ring entries, descriptors, page tables, device queues, instructions and moves between rings.
//
// Every piece is drawn from a Dice, so a Guest is its seed. Values are mostly near what makes sense, because a program that dies in its first instruction tries
// nothing. Left out: running them and looking at the Host afterwards (hostile.ts).

import { pushesErrorCode } from '../../src/i386/state';
import { LD, LHCALL } from '../../src/lguest/abi';
import { Random } from '../../src/lguest/random';
import type { Machine } from '../../src/launcher/machine';
import type { Code } from './bench';

export const MEGABYTE = 0x100000;
export const RAM = 4 * MEGABYTE;
/** RAM and the device pages in use: one of itself, two each for the queues of a block, a net and a console. */
export const LIMIT = RAM + 11 * 4096;
export const DATA = 0x200000;
export const STACK = 0x210ff0;
export const USER = 0x120000;
export const TABLE = 0x220000;
/** Page table of the device pages. */
export const DEVICE_TABLE = 0x230000;
/** Addresses that are interesting to everybody. */
const ODD = [
  0,
  1,
  0xfff,
  0x1000,
  RAM - 1,
  RAM,
  RAM + 0x1000,
  LIMIT - 1,
  LIMIT - 4,
  LIMIT,
  RAM + 0xffff0,
  0x7fffffff,
  0x80000000,
  0xc0000000,
  0xffbff000,
  0xffc00000,
  0xffc01000,
  0xffc02000,
  0xfffffffc,
  0xffffffff,
  DATA,
  TABLE,
  STACK,
  USER,
];
const GATES = [0, 1, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 32, 33, 34, 0x80];

export class Dice extends Random {
  below(n: number): number {
    return this.next() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
  address(): number {
    if (this.chance(25)) return (this.of(ODD) + this.below(9) - 4) >>> 0;
    if (this.chance(10)) return (this.below(RAM >>> 12) * 4096 + 4096 - this.of([1, 2, 3, 4, 8, 16, 24, 128, LD.size])) >>> 0;
    return this.chance(80) ? this.below(RAM + 0x10000) : this.next();
  }
  value(): number {
    return this.chance(50) ? this.address() : this.next();
  }
}

/** A page table entry, mostly sensible. */
const pte = (d: Dice): number => (d.chance(85) ? (d.below(RAM >>> 12) << 12) | (d.chance(70) ? 7 : d.below(0x1000)) : d.next());

export const hypercall = (d: Dice, pgdir: number): [number, number, number, number] => {
  const table = (): number => (d.chance(70) ? pgdir : d.address() & ~0xfff);
  switch (d.below(14)) {
    case 0:
      return [LHCALL.LOAD_GDT, d.chance(80) ? TABLE : d.address(), d.chance(80) ? 32 : d.value(), 0];
    case 1:
      return [
        LHCALL.LOAD_IDT_ENTRY,
        d.chance(90) ? d.of(GATES) : d.value(),
        d.next(),
        d.chance(85) ? (USER & ~0xffff) | 0x8e00 | (d.below(2) << 8) | (d.below(4) << 13) : d.next(),
      ];
    case 2:
      return [LHCALL.SET_STACK, d.chance(80) ? 0x69 : d.value(), d.address(), d.chance(80) ? d.below(3) : d.value()];
    case 3:
      return [LHCALL.NEW_PGTABLE, table(), 0, 0];
    case 4:
      return [LHCALL.FLUSH_TLB, d.below(2), 0, 0];
    case 5:
    case 6:
      return [LHCALL.SET_PTE, table(), d.address(), pte(d)];
    case 7:
      return [LHCALL.SET_PMD, table(), d.chance(80) ? d.below(1024) : d.value(), 0];
    case 8:
      return [LHCALL.TS, d.below(2) * 8, 0, 0];
    case 9:
      return [LHCALL.SET_CLOCKEVENT, d.of([0, 1, 400, d.below(100_000), d.below(100_000), 0x7fffffff, 0xffffffff]), 0, 0];
    case 10:
      return [LHCALL.LOAD_TLS, d.chance(80) ? TABLE : d.address(), 0, 0];
    case 11:
      return [LHCALL.NOTIFY, d.chance(60) ? RAM + 0x1000 + d.below(9) * 0x1000 : d.chance(80) ? d.below(RAM) : d.address(), 0, 0];
    case 12:
      return [d.chance(60) ? LHCALL.HALT : LHCALL.FLUSH_ASYNC, 0, 0, 0];
    default:
      return [d.chance(96) ? d.of([0, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17]) : d.next(), d.value(), d.value(), d.value()];
  }
};

/** Where a Guest's tables and lguest_data are. */
export interface Places {
  pgdir: number;
  data: number;
}

/** One random piece of Guest code. */
export const piece = (c: Code, d: Dice, { pgdir, data }: Places): void => {
  switch (d.below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      c.hcall(...hypercall(d, pgdir));
      break;
    case 5:
      c.put(pgdir - 4096 + d.below(1024) * 4, pte(d));
      break;
    case 6:
      c.put(pgdir + (d.chance(50) ? d.of([0, 1, 512, 768, 1022, 1023]) : d.below(1024)) * 4, d.chance(60) ? (pgdir - 4096) | 7 : pte(d));
      break;
    case 7: {
      const slot = d.below(64);
      const [number, arg1, arg2, arg3] = hypercall(d, pgdir);
      const at = data + LD.hcalls + slot * 16;
      c.put(at, number)
        .put(at + 4, arg2)
        .put(at + 8, arg3)
        .put(at + 12, arg1);
      c.raw(0xc6, 0x05)
        .dword(data + LD.hcallStatus + slot)
        .raw(d.chance(90) ? 0 : d.below(256));
      break;
    }
    case 8:
      c.put(data + d.below(22) * 4, d.value()); // flags, times, ring statuses
      break;
    case 9:
      c.put(TABLE + d.below(64) * 4, d.next());
      break;
    case 10: // the device page and the queues
      c.put(RAM + d.below(LIMIT - RAM), d.value());
      break;
    case 11:
      chain(c, d);
      break;
    case 12:
      for (let n = d.below(8); n >= 0; n--) c.raw(d.below(256));
      break;
    case 13:
      if (d.chance(50)) c.load(d.address());
      else c.store(d.address());
      break;
    case 14:
      c.mov(0, d.chance(70) ? d.below(33) * 8 + d.below(8) : d.next()).raw(0x8e, 0xc0 | (d.of([0, 3, 4, 5, 2]) << 3));
      break;
    case 15:
      c.raw(...d.of(NASTY));
      break;
    case 16:
      selfMap(c, d, pgdir);
      break;
    case 17:
      descriptor(c, d);
      break;
    case 18:
      jump(c, d);
      break;
    default:
      odds(c, d);
  }
};

/** Some descriptors in a queue, linked by chance, and some of them made available; then the kick. */
const chain = (c: Code, d: Dice): void => {
  const number = d.below(5);
  const queue = RAM + 0x1000 + number * 0x2000;
  for (let n = d.below(4); n >= 0; n--) {
    const i = d.chance(90) ? d.below(5) : d.below(128);
    c.put(queue + i * 16, d.chance(80) ? d.below(RAM) : d.address())
      .put(queue + i * 16 + 4, d.chance(95) ? 0 : d.next())
      .put(queue + i * 16 + 8, d.chance(60) ? d.of([0, 1, 8, 16, 24, 512, 1024]) : d.value())
      .put(queue + i * 16 + 12, d.below(4) | ((d.chance(95) ? d.below(5) : d.next()) << 16));
  }
  // avail: flags and idx, then the ring of 16-bit heads.
  const available = d.chance(85) ? d.below(5) : d.of([127, 128, 129, 0x7fff, 0xffff]);
  c.put(queue + 2052, d.below(5) | (d.below(5) << 16)).put(queue + 2048, d.below(2) | (available << 16));
  if (d.chance(10)) c.put(queue + 4096, d.next()); // used is the Launcher's, but the Guest can write there
  if (d.chance(70)) c.hcall(LHCALL.NOTIFY, queue);
};

/** Instructions that are none of a Guest's business. */
const NASTY: readonly (readonly number[])[] = [
  [0xf4], // hlt
  [0xfa],
  [0xfb],
  [0x0f, 0x06], // clts
  [0x0f, 0x08], // invd
  [0x0f, 0x01, 0x15, 0, 0, 0x20, 0], // lgdt
  [0x0f, 0x01, 0x1d, 0, 0, 0x20, 0], // lidt
  [0x0f, 0x01, 0x3d, 0, 0, 0x20, 0], // invlpg
  [0x0f, 0x01, 0xf0], // lmsw %ax
  [0x66, 0xb8, 0x80, 0, 0x0f, 0x00, 0xd8], // ltr
  [0x0f, 0x00, 0xd0], // lldt %ax
  [0x0f, 0x22, 0xc0], // mov %eax, %cr0
  [0x0f, 0x22, 0xd8], // mov %eax, %cr3
  [0x0f, 0x22, 0xe0], // mov %eax, %cr4
  [0x0f, 0x20, 0xd0], // mov %cr2, %eax
  [0x0f, 0x23, 0xf8], // mov %eax, %db7
  [0x0f, 0x30], // wrmsr
  [0x0f, 0x32], // rdmsr
  [0x0f, 0x33], // rdpmc
  [0x0f, 0x34], // sysenter
  [0x0f, 0x35], // sysexit
  [0x68, 0x02, 0x03, 0, 0, 0x9d], // popf with TF
  [0x68, 0x02, 0x42, 0x24, 0, 0x9d, 0xcf], // popf with NT, AC and ID, then iret
  [0x68, 0x02, 0x32, 0x02, 0, 0x9d], // popf with IOPL 3 and VM
  [0xcc],
  [0xce], // into
  [0x62, 0x05, 0, 0, 0x20, 0], // bound
  [0x0f, 0x0b], // ud2
  [0xf0, 0x0f, 0xc7, 0xc8], // lock cmpxchg8b %eax
  [0x31, 0xc9, 0xf7, 0xf1], // div by zero
  [0xc8, 0xff, 0xff, 0x1f], // enter with 31 levels
  [0xb9, 0xff, 0xff, 0xff, 0xff, 0xf3, 0xa4], // rep movsb without an end
  [0xb9, 0, 0, 1, 0, 0xf3, 0xaa], // rep stosb
  [0xb9, 4, 0, 0, 0, 0xf3, 0x6c], // rep insb
  [0xb9, 4, 0, 0, 0, 0xf3, 0x6f], // rep outsl
  [0x66, 0xed],
  [0x66, 0xef],
  [0xe4, 0x60],
  [0xe6, 0x64],
  [0xdd, 0x35, 0xf0, 0x2f, 0xc0, 0xff], // fnsave over the TSS
  [0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b], // a masked FPU division by zero, fwait
  [0x0f, 0xa2], // cpuid
  [0x0f, 0x31], // rdtsc
  [0xf3, 0x90],
  [0xcf],
  [0xcb],
  [0xcd, 0x1f],
];

/** Page directories and tables that lead back to themselves, to each other, to the Host's pages or to lguest_data. */
const selfMap = (c: Code, d: Dice, pgdir: number): void => {
  const tables = [pgdir, pgdir - 4096, d.below(RAM >>> 12) << 12];
  const from = d.of(tables);
  const to = d.of([...tables, DATA, RAM, LIMIT - 4096, LIMIT, 0x4000, 0x6000, 0xfffff000]);
  c.put(
    from + (d.chance(70) ? d.of([0, 1, 2, 511, 767, 768, 1022, 1023]) : d.below(1024)) * 4,
    (to & ~0xfff) | (d.chance(80) ? 7 : d.below(4096)),
  );
  if (d.chance(50)) c.hcall(LHCALL.NEW_PGTABLE, d.of(tables));
  if (d.chance(30)) c.hcall(LHCALL.FLUSH_TLB, d.below(2));
};

/** A descriptor of any type in some place of the table, loaded, and perhaps used. */
const descriptor = (c: Code, d: Dice): void => {
  const index = d.chance(60) ? 6 + d.below(3) : d.below(33);
  // Call gates, task gates, TSSs, LDTs, conforming code, expand-down data, absent and 16-bit ones.
  const type = d.of([
    0x8c,
    0xec,
    0x85,
    0xe5,
    0x89,
    0xe9,
    0x8b,
    0x82,
    0x8e,
    0xef,
    0x9e,
    0xfe,
    0x96,
    0xf6,
    0xf2,
    0x92,
    0x7a,
    0x12,
    d.below(256),
  ]);
  c.put(TABLE + index * 8, d.chance(50) ? 0x0000ffff : d.next()).put(TABLE + index * 8 + 4, (d.next() & 0xffff00ff) | (type << 8));
  if (d.chance(50)) c.put(TABLE + index * 8 + 4, (d.of([0x00cf0000, 0x00000000, 0x00400000]) | (type << 8)) >>> 0);
  if (d.chance(50)) c.hcall(LHCALL.LOAD_GDT, TABLE, 32);
  else c.hcall(LHCALL.LOAD_TLS, TABLE + (d.chance(80) ? 48 : d.below(256)));
  const selector = index * 8 + d.below(8);
  switch (d.below(7)) {
    case 0:
      c.raw(0x9a).dword(d.chance(50) ? USER : d.next()); // lcall
      break;
    case 1:
      c.raw(0xea).dword(d.chance(50) ? USER : d.next()); // ljmp
      break;
    case 2:
      c.push(selector).push(USER).raw(0xcb); // lret
      return;
    case 3:
      c.push(d.of([0x202, 0x4202, 0x20202, 0x3302]))
        .push(selector)
        .push(USER)
        .raw(0xcf);
      return;
    case 4:
      c.mov(0, selector).raw(0x0f, d.of([0x02, 0x03]), 0xc0); // lar, lsl
      return;
    default:
      c.mov(0, selector).raw(0x8e, 0xc0 | (d.of([0, 2, 3, 4, 5]) << 3));
      return;
  }
  c.raw(selector & 0xff, selector >>> 8);
};

/** On with the code elsewhere: over the end of a page, of memory, into the Switcher, into lguest_data. */
const jump = (c: Code, d: Dice): void => {
  const to = d.chance(60)
    ? d.of([LIMIT, LIMIT - 4096, RAM, USER + 4096, DATA + 4096, 0xffc01000, 0xffc00000, 0xffc03000, 0]) - d.below(16)
    : d.address();
  // Some code there first, as far as memory goes; its last bytes may be the beginning of an instruction.
  for (let i = 0; i < d.below(4); i++) c.put((to + i * 4) >>> 0, d.of([0x90909090, 0xff1fcd90, 0x66666666, 0xf36667f0, d.next()]));
  c.push(to >>> 0).raw(0xc3);
};

const odds = (c: Code, d: Dice): void => {
  switch (d.below(6)) {
    case 0:
      c.esp(d.chance(60) ? STACK : d.address());
      break;
    case 1:
      c.toUser(USER, d.chance(70) ? STACK : d.address(), d.chance(80) ? 0x202 : d.next());
      break;
    case 2:
      c.spin(1 + d.below(2000));
      break;
    default:
      c.mov(0, d.of([LHCALL.FLUSH_ASYNC, LHCALL.TS])).int(d.of([3, 4, 0x1f, 0x20, 0x80, d.below(256)]));
  }
};

/** Handlers that step over three bytes and go on: a Guest that stumbles but does not fall. */
const STUMBLE = 0x130000;
export const stumble = (program: Code, d: Dice, m: Machine): void => {
  m.memory.load(STUMBLE, Uint8Array.of(0x83, 0x44, 0x24, 4, 3, 0x83, 0xc4, 4, 0xcf)); // with error code
  m.memory.load(STUMBLE + 16, Uint8Array.of(0x83, 0x04, 0x24, 1, 0xcf));
  for (const [index, low, high] of [
    [12, 0xffff, 0xcf9a00],
    [13, 0xffff, 0xcf9200],
    [14, 0xffff, 0xcffa00],
    [15, 0xffff, 0xcff200],
  ]) {
    m.memory.set32(TABLE + index * 8, low);
    m.memory.set32(TABLE + index * 8 + 4, high);
  }
  if (d.chance(90)) program.hcall(LHCALL.LOAD_GDT, TABLE, 32);
  if (d.chance(90)) program.hcall(LHCALL.SET_STACK, 0x69, STACK, 1);
  for (const v of GATES) {
    const at = STUMBLE + (pushesErrorCode(v) ? 0 : 16);
    if (d.chance(95))
      program.hcall(
        LHCALL.LOAD_IDT_ENTRY,
        v,
        at & 0xffff,
        (at & 0xffff0000) | 0x8e00 | (d.chance(30) ? 0x100 : 0) | (v === 0x80 || v === 3 ? 0x6000 : 0),
      );
  }
};
