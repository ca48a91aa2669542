// Hostile Guests: random programs (hostile-programs.ts) run under the whole machine.
//
// After each slice, the Host must be what it was: no exception escaped, no shadow entry outside the Guest's memory, no ring-0 descriptor, its own tables and the
// Switcher untouched, nothing hanging. A round is its seed: run(seed) repeats it. Used by hostile.test.ts for seconds, and for as long as one likes by
// `HOSTILE_SECONDS=3600 node --test dist/test/lguest/hostile.test.js`.

import { RAM_BASE } from '../../src/i386/state';
import { isIgnoredGdt, LD, LHCALL } from '../../src/lguest/abi';
import type { Machine, MachineState, Stop } from '../../src/launcher/machine';
import { elf, LOOP, machine } from '../launcher/bench';
import { Code } from './bench';
import { DATA, DEVICE_TABLE, Dice, hypercall, LIMIT, MEGABYTE, piece, type Places, RAM, STACK, stumble, USER } from './hostile-programs';

export class Hostile {
  private readonly machine: Machine;
  private readonly start: MachineState;
  private readonly pgdir: number;
  /** What the Host's own pages hold at the beginning; the TSS descriptor's busy bit comes and goes. */
  private readonly hostPages: Uint8Array;
  ends: Record<string, number> = {};

  constructor(jit: boolean, fastSwitch = true) {
    this.machine = machine({
      kernel: elf(LOOP),
      blockDevices: [new Uint8Array(4096)],
      network: 'loopback',
      jit,
      jitThreshold: 20,
      records: 256,
      fastSwitch,
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
    // The Launcher's tables stop at RAM; the device pages come after it.
    if (d.chance(90)) {
      m.memory.set32(this.pgdir + (RAM >>> 22) * 4, DEVICE_TABLE | 7);
      for (let page = RAM; page < LIMIT; page += 4096) m.memory.set32(DEVICE_TABLE + ((page - RAM) >>> 12) * 4, page | 7);
    }
    const data = d.chance(75)
      ? DATA
      : d.of([DATA + 0xff1, DATA + 0x1000 - LD.size, RAM - 600, LIMIT - LD.size - 1, LIMIT - LD.size, LIMIT - 16, 0]);
    const places: Places = { pgdir: this.pgdir, data };
    const program = new Code(MEGABYTE).esp(STACK);
    if (d.chance(97)) program.hcall(LHCALL.LGUEST_INIT, d.chance(98) ? data : d.address());
    stumble(program, d, m);
    const pieces = 5 + d.below(40);
    for (let i = 0; i < pieces; i++) piece(program, d, places);
    program.raw(...LOOP);
    m.memory.load(MEGABYTE, Uint8Array.from(program.bytes));
    const user = new Code(USER);
    for (let i = d.below(12); i >= 0; i--) piece(user, d, places);
    m.memory.load(USER, Uint8Array.from(user.raw(...LOOP).bytes));
    this.fillData(d, places);
    // A Host short of memory, and a Launcher that took some of the Guest's away.
    if (d.chance(6)) m.host.lg.freePages.splice(0, m.host.lg.freePages.length - d.below(6));
    if (d.chance(4)) m.host.lg.backedBytes = d.address();

    let stop: Stop = { kind: 'budget' };
    for (let slice = 0; slice < 6; slice++) {
      stop = m.run({ instructions: 3000 + d.below(20_000), entries: 300 });
      this.check(seed, stop);
      if (m.end !== undefined) break;
      if (d.chance(40)) m.host.raiseIrq(d.below(33));
      if (d.chance(30)) m.inputs.console(Uint8Array.of(d.below(256), d.below(256)));
      if (d.chance(20)) m.inputs.netReceive(new Uint8Array(d.below(100)));
      if (d.chance(10)) m.host.setBreak(true);
      if (d.chance(5)) m.restore(m.save());
      if (d.chance(5)) m.skipIdle();
    }
    const kind = 'message' in stop ? stop.message.replace(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 40) : stop.kind;
    this.ends[kind] = (this.ends[kind] ?? 0) + 1;
    return stop;
  }

  /** The machine as the last Guest left it. */
  hash(): string {
    return this.machine.stateHash();
  }

  /** lguest_data as the Guest prepared it; sometimes with a ring full of requests. */
  private fillData(d: Dice, { data, pgdir }: Places): void {
    const { memory } = this.machine;
    const put = (offset: number, value: number): void => {
      if (data + offset + 4 <= LIMIT) memory.set32(data + offset, value);
    };
    put(LD.kernelAddress, d.chance(95) ? 0xc0000000 : d.address());
    put(LD.syscallVec, d.chance(98) ? 0x80 : d.value());
    if (d.chance(10)) put(LD.noirqStart, d.address());
    if (d.chance(10)) put(LD.noirqEnd, d.address());
    const full = d.chance(15);
    for (let i = 0; i < 64; i++)
      if (data + LD.hcallStatus + i < LIMIT) memory.set8(data + LD.hcallStatus + i, full && d.chance(97) ? d.below(255) : 0xff);
    if (full)
      for (let i = 0; i < 64; i++) for (const [j, word] of hypercall(d, pgdir).entries()) put(LD.hcalls + i * 16 + [0, 12, 4, 8][j], word);
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
