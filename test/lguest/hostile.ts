// Hostile Guests: random programs of hypercalls, descriptors, page tables, rings, device queues and plain nonsense, run under the whole machine.
//
// After each, the Host must be what it was: no exception escaped, no shadow entry outside the Guest's memory, no ring-0 descriptor, its own tables and the
// Switcher untouched, nothing hanging. A round is its seed: run(seed) repeats it. Used by hostile.test.ts for seconds, and for as long as one likes by
// `HOSTILE_SECONDS=3600 node --test dist/test/lguest/hostile.test.js`.

import { pushesErrorCode, RAM_BASE } from '../../src/i386/state';
import { isIgnoredGdt, LD, LHCALL } from '../../src/lguest/abi';
import { Random } from '../../src/lguest/random';
import type { Machine, MachineState, Stop } from '../../src/launcher/machine';
import { elf, LOOP, machine } from '../launcher/bench';
import { Code } from './bench';

const MEGABYTE = 0x100000;
const RAM = 4 * MEGABYTE;
const DATA = 0x200000;
const STACK = 0x210ff0;
const USER = 0x120000;
const TABLE = 0x220000;
/** Addresses that are interesting to everybody. */
const ODD = [
  0,
  1,
  0xfff,
  0x1000,
  RAM - 1,
  RAM,
  RAM + 0x1000,
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

class Dice extends Random {
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
    return this.chance(80) ? this.below(RAM + 0x10000) : this.next();
  }
  value(): number {
    return this.chance(50) ? this.address() : this.next();
  }
}

/** A page table entry, mostly sensible. */
const pte = (d: Dice): number => (d.chance(85) ? (d.below(RAM >>> 12) << 12) | (d.chance(70) ? 7 : d.below(0x1000)) : d.next());

const hypercall = (d: Dice, pgdir: number): [number, number, number, number] => {
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
      return [LHCALL.SET_CLOCKEVENT, d.below(3) === 0 ? 0 : d.below(100_000), 0, 0];
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

/** One random piece of Guest code. */
const piece = (c: Code, d: Dice, pgdir: number): void => {
  switch (d.below(16)) {
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
      const at = DATA + LD.hcalls + slot * 16;
      c.put(at, number)
        .put(at + 4, arg2)
        .put(at + 8, arg3)
        .put(at + 12, arg1);
      c.raw(0xc6, 0x05)
        .dword(DATA + LD.hcallStatus + slot)
        .raw(d.chance(90) ? 0 : d.below(256));
      break;
    }
    case 8:
      c.put(DATA + d.below(22) * 4, d.value()); // flags, times, ring statuses
      break;
    case 9:
      c.put(TABLE + d.below(64) * 4, d.next());
      break;
    case 10: // the device page and the queues
      c.put(RAM + d.below(0xb000), d.value());
      break;
    case 11: {
      // A plausible chain of buffers in some queue.
      const queue = RAM + 0x1000 + d.below(5) * 0x2000;
      const i = d.below(4);
      c.put(queue + i * 16, d.chance(80) ? d.below(RAM) : d.address())
        .put(queue + i * 16 + 8, d.chance(60) ? d.of([1, 8, 24, 512]) : d.value())
        .put(queue + i * 16 + 12, d.below(4) | (d.below(5) << 16))
        .put(queue + 2048, d.below(4) << 16);
      break;
    }
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
    default:
      odds(c, d);
  }
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
const stumble = (program: Code, d: Dice, m: Machine): void => {
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

export class Hostile {
  private readonly machine: Machine;
  private readonly start: MachineState;
  private readonly pgdir: number;
  /** What the Host's own pages hold at the beginning; the TSS descriptor's busy bit comes and goes. */
  private readonly hostPages: Uint8Array;
  ends: Record<string, number> = {};

  constructor(jit: boolean) {
    this.machine = machine({
      kernel: elf(LOOP),
      blockDevices: [new Uint8Array(4096)],
      network: 'loopback',
      jit,
      records: 256,
    }).machine;
    this.start = this.machine.save();
    this.pgdir = this.machine.host.lg.pgdirs[0].gpgdir;
    this.hostPages = this.ownPages();
  }

  /** Host GDT, IDT, code and tables, the Switcher's table and text. */
  private ownPages(): Uint8Array {
    const { m8 } = this.machine.processor.cpu;
    const part = (from: number, to: number): Uint8Array => m8.slice(RAM_BASE + from, RAM_BASE + to);
    const gdt = part(0x1000, 0x2000);
    gdt[16 * 8 + 5] &= 0xfd;
    const switcherTable = part(0x9000, 0xa000);
    switcherTable.fill(0, 4, 8); // the register page's entry is written before each entry
    return Buffer.concat([gdt, part(0x2000, 0x3000), part(0x4000, 0x5000), part(0x6000, 0x9000), switcherTable, part(0xb000, 0xc000)]);
  }

  /** One random Guest. Throws when the Host was hurt. */
  run(seed: number): Stop {
    const d = new Dice(seed);
    const { machine: m } = this;
    m.restore(this.start);
    const program = new Code(MEGABYTE).esp(STACK);
    if (d.chance(97)) program.hcall(LHCALL.LGUEST_INIT, d.chance(98) ? DATA : d.address());
    stumble(program, d, m);
    const pieces = 5 + d.below(40);
    for (let i = 0; i < pieces; i++) piece(program, d, this.pgdir);
    program.raw(...LOOP);
    m.memory.load(MEGABYTE, Uint8Array.from(program.bytes));
    const user = new Code(USER);
    for (let i = d.below(12); i >= 0; i--) piece(user, d, this.pgdir);
    m.memory.load(USER, Uint8Array.from(user.raw(...LOOP).bytes));
    m.memory.set32(DATA + LD.kernelAddress, d.chance(95) ? 0xc0000000 : d.address());
    m.memory.set32(DATA + LD.syscallVec, d.chance(98) ? 0x80 : d.value());
    for (let i = 0; i < 64; i++) m.memory.set8(DATA + LD.hcallStatus + i, 0xff);

    let stop: Stop = { kind: 'budget' };
    for (let slice = 0; slice < 6; slice++) {
      stop = m.run({ instructions: 3000 + d.below(20_000), entries: 300 });
      this.check(seed, stop);
      if (m.end !== undefined) break;
      if (d.chance(40)) m.host.raiseIrq(d.below(33));
      if (d.chance(30)) m.inputs.console(Uint8Array.of(d.below(256), d.below(256)));
      if (d.chance(20)) m.inputs.netReceive(new Uint8Array(d.below(100)));
      if (d.chance(10)) m.host.setBreak(true);
    }
    const kind = 'message' in stop ? stop.message.replace(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 40) : stop.kind;
    this.ends[kind] = (this.ends[kind] ?? 0) + 1;
    return stop;
  }

  private check(seed: number, stop: Stop): void {
    const fail = (what: string): never => {
      throw new Error(`seed ${seed}: ${what} (${JSON.stringify({ ...stop, record: undefined })})`);
    };
    if (!['budget', 'slice', 'idle', 'killed', 'panic', 'power-off'].includes(stop.kind)) fail(`unexpected stop ${stop.kind}`);
    const { host } = this.machine;
    const { lg, layout } = host;
    const low = layout.memBase;
    const high = layout.memBase + lg.pfnLimit * 4096;
    const tables = new Set<number>();
    for (const slot of lg.pgdirs) {
      if (slot.shadow === 0) continue;
      for (let i = 0; i < 1023; i++) {
        const pde = lg.hostRead(slot.shadow + i * 4);
        if ((pde & 1) === 0) continue;
        const table = pde & ~0xfff;
        if (tables.has(table)) fail('two shadow PDEs share a page table');
        tables.add(table);
        for (let j = 0; j < 1024; j++) {
          const entry = lg.hostRead(table + j * 4);
          if ((entry & 1) === 0) continue;
          const frame = (entry & ~0xfff) >>> 0;
          if (frame < low || frame >= high) fail(`a shadow entry leads to ${frame.toString(16)}`);
          if (entry & 0x188) fail(`a shadow entry has flags ${(entry & 0xfff).toString(16)}`);
        }
      }
    }
    for (const page of lg.freePages) if (tables.has(page)) fail('a page table in use is in the pool');
    for (let i = 0; i < 32; i++) {
      const high32 = lg.hostRead(layout.statePage - 0x1000 + 0x1890 + i * 8 + 4);
      if (!isIgnoredGdt(i) && lg.changed === 0 && (high32 & 0x6000) === 0 && high32 !== 0) fail(`descriptor ${i} has DPL 0`);
    }
    for (let v = 0; v < 256; v++) {
      const lowWord = lg.hostRead(layout.statePage - 0x1000 + 0x1090 + v * 8);
      if (lowWord >>> 16 !== 0x50 && lowWord >>> 16 !== 0x61) fail(`gate ${v} leads to selector ${(lowWord >>> 16).toString(16)}`);
    }
    const own = this.ownPages();
    for (let i = 0; i < own.length; i++) if (own[i] !== this.hostPages[i]) fail(`the Host's own pages changed at ${i.toString(16)}`);
  }
}
