// Data breakpoints: memory by its place in the machine, so that every alias counts, and the three cr2.
//
// Pages with a watch take the processor's slow path; everything else runs at full speed. A Guest's access is stopped before it happens and then done as one step, so
// that old and new value and the instruction are known; what the Host writes is noticed when the Guest would go on. What it leaves out: stops (session.ts).

import { type MemoryWatcher, PageFlag, WatchStop } from '../i386/cpu';
import { RAM_BASE, W } from '../i386/state';
import { LD } from '../lguest/abi';
import type { Programs } from './programs';
import { hex8, LINEAR, type Space, type Target } from './target';

export type WatchAccess = 'read' | 'write' | 'readWrite';
export interface WatchWish {
  dataId: string;
  access: WatchAccess;
  condition?: string;
  hitCondition?: string;
}
export interface Watch {
  id: number;
  wish: WatchWish;
  problem: string | undefined;
  /** Which cr2, for those. */
  cr2: 'hw' | 'host' | 'guest' | undefined;
  /** Parts of the machine's memory, page by page. */
  parts: { physical: number; length: number }[];
  address: number;
  length: number;
  /** What the Host does there is no hit. */
  guestOnly: boolean;
  hits: number;
  test: (() => boolean) | undefined;
  wantsHit: ((hits: number) => boolean) | undefined;
}

/** An access that a watch saw. */
export interface WatchHit {
  watch: Watch;
  kind: 'read' | 'write';
  /** Address of the instruction, or undefined when the Host did it. */
  eip: number | undefined;
  by: string;
  before: Uint8Array;
}

const LONGEST = 0x1000000;

export class Watches implements MemoryWatcher {
  private list: Watch[] = [];
  /** While the watched instruction runs as one step: note, do not stop. */
  private noting = false;
  /** Where that instruction is. */
  private eip = 0;
  hits: WatchHit[] = [];
  /** An access of the Guest is about to happen at the instruction where it stands. */
  stoppedBefore = false;

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
  ) {}

  get all(): readonly Watch[] {
    return this.list;
  }

  /** `mem:v:0x…:4`, `mem:p:0x…:4`, `sym:name:4`, `cr2:hw`. */
  make(id: number, wish: WatchWish): Watch {
    const watch: Watch = {
      id,
      wish,
      problem: undefined,
      cr2: undefined,
      parts: [],
      address: 0,
      length: 0,
      guestOnly: false,
      hits: 0,
      test: undefined,
      wantsHit: undefined,
    };
    const cr2 = /^cr2:(hw|host|guest)$/.exec(wish.dataId);
    if (cr2 !== null) {
      watch.cr2 = cr2[1] as 'hw' | 'host' | 'guest';
      if (wish.access === 'read') watch.problem = 'reads of cr2 cannot be watched';
      return watch;
    }
    const memory = /^mem:(v|p|host):(0x[0-9a-f]+):(\d+)$/i.exec(wish.dataId);
    if (memory === null) {
      watch.problem = `"${wish.dataId}" names nothing that can be watched`;
      return watch;
    }
    const space: Space = memory[1] === 'v' ? LINEAR : memory[1] === 'p' ? { kind: 'physical' } : { kind: 'machine' };
    watch.address = Number(memory[2]) >>> 0;
    watch.length = Number(memory[3]);
    if (watch.length < 1 || watch.length > LONGEST) watch.problem = `a watch covers 1 byte to 16 MB, not ${watch.length} bytes`;
    else this.place(watch, space);
    return watch;
  }

  private place(watch: Watch, space: Space): void {
    let { address } = watch;
    // Early in a boot only the physical place of a kernel's variable is mapped.
    if (this.target.locate(address, space) < 0 && space.kind === 'linear') {
      const at = this.programs.linked(address);
      const other = at === undefined ? undefined : this.programs.addresses(at.program, at.link).find((a) => this.target.locate(a) >= 0);
      if (other !== undefined) address = other;
    }
    for (let done = 0; done < watch.length; ) {
      const physical = this.target.locate(address + done, space);
      if (physical < 0) {
        watch.problem = `${hex8(address + done)} is not mapped now`;
        watch.parts = [];
        return;
      }
      const length = Math.min(watch.length - done, 0x1000 - (physical & 0xfff));
      watch.parts.push({ physical, length });
      done += length;
    }
  }

  /** Replaces all watches. */
  set(list: Watch[]): void {
    const { cpu } = this.target.processor;
    for (const page of this.pages(this.list)) {
      cpu.clearPageFlag(page, PageFlag.WATCH_READ);
      cpu.clearPageFlag(page, PageFlag.WATCH_WRITE);
    }
    this.list = list.filter((w) => w.problem === undefined);
    this.arm();
  }
  private *pages(list: readonly Watch[]): Generator<number> {
    for (const w of list) for (const p of w.parts) yield p.physical >>> 12;
  }
  /** Before every run: cr2.guest is memory once the Guest has said where. */
  arm(): void {
    const { processor, host } = this.target;
    const { cpu } = processor;
    for (const w of this.list) {
      if (w.cr2 !== 'guest' || w.parts.length > 0 || host === undefined || host.lg.ld < 0) continue;
      w.parts = [{ physical: host.layout.memBase + host.lg.ld + LD.cr2, length: 4 }];
      w.length = 4;
      w.guestOnly = true;
    }
    cpu.watcher = this.list.some((w) => w.parts.length > 0) ? this : undefined;
    for (const w of this.list) {
      for (const p of w.parts) {
        if (w.wish.access !== 'read') cpu.setPageFlag(p.physical >>> 12, PageFlag.WATCH_WRITE);
        if (w.wish.access !== 'write') cpu.setPageFlag(p.physical >>> 12, PageFlag.WATCH_READ);
      }
    }
  }

  read(physical: number, _linear: number, size: number): void {
    this.seen(physical, size, 'read');
  }
  write(physical: number, _linear: number, size: number): void {
    this.seen(physical, size, 'write');
  }

  private seen(physical: number, size: number, kind: 'read' | 'write'): void {
    const { cpu } = this.target.processor;
    const byGuest = cpu.cur >= 0 && (cpu.m32[W.CPL] !== 0 || this.target.host === undefined);
    for (const w of this.list) {
      if (kind === 'read' ? w.wish.access === 'write' : w.wish.access === 'read') continue;
      if (!byGuest && (w.guestOnly || kind === 'read')) continue;
      if (!w.parts.some((p) => physical < p.physical + p.length && physical + size > p.physical)) continue;
      if (byGuest && !this.noting) {
        this.stoppedBefore = true;
        throw new WatchStop();
      }
      if (this.hits.some((h) => h.watch === w && h.kind === kind)) continue;
      const doing = this.target.host?.lg.doing ?? '';
      this.hits.push({
        watch: w,
        kind,
        eip: byGuest ? this.eip : undefined,
        by: byGuest ? 'the Guest' : `the Host${doing === '' ? '' : ` (${doing})`}`,
        before: this.bytes(w),
      });
      if (!byGuest) this.target.processor.requestStop();
    }
  }

  /** What a watch covers, as it is now; at most 8 bytes. */
  bytes(w: Watch): Uint8Array {
    const { m8 } = this.target.processor.cpu;
    const out: number[] = [];
    for (const p of w.parts) for (let i = 0; i < p.length && out.length < 8; i++) out.push(m8[RAM_BASE + p.physical + i]);
    return Uint8Array.from(out);
  }

  /** Runs `work` without stopping at accesses; they are noted in `hits`. */
  note<T>(work: () => T): T {
    this.noting = true;
    this.eip = this.target.pc;
    this.stoppedBefore = false;
    try {
      return work();
    } finally {
      this.noting = false;
    }
  }
}

export const numberText = (bytes: Uint8Array): string =>
  `0x${[...bytes]
    .reverse()
    .map((b) => b.toString(16).padStart(2, '0'))
    .join('')}`;
