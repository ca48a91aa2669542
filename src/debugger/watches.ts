// Data breakpoints: notices accesses to memory, page table entries, registers and fields of the Host, and keeps what was seen until the debugger asks.
//
// Memory is watched by its place in the machine, so that every alias counts; the page table entries that lead to it are watched too, and when one changes the place is
// looked up again. Pages with a watch take the processor's slow path; everything else runs at full speed. A Guest's access is stopped before it happens and then done
// as one step, so that old and new value and the instruction are known; what the Host writes is noticed when the Guest would go on. Registers are compared after every
// instruction, fields of the Host after every act of it. What it leaves out: stops (watch-stops.ts), ids (watch-places.ts).

import { type MemoryWatcher, PageFlag, WatchStop } from '../i386/cpu';
import { RAM_BASE, W } from '../i386/state';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { LastWrites } from './last-writes';
import type { Programs } from './programs';
import type { Target } from './target';
import { type Place, type Probed, type Range, type Subject, subjectOf } from './watch-places';

export type WatchAccess = 'read' | 'write' | 'readWrite';
export interface WatchWish {
  dataId: string;
  access: WatchAccess;
  /** May end in `| log` or `| count`: then no stop. */
  condition?: string;
  hitCondition?: string;
  /** Made in the Debug Console: the client's list does not replace it. */
  console?: boolean;
}
export interface Watch {
  id: number;
  wish: WatchWish;
  subject: Subject | undefined;
  problem: string | undefined;
  mode: 'stop' | 'log' | 'count';
  place: Place;
  /** A probe's value when it was last looked at. */
  last: Probed;
  hits: number;
  /** Position at which it was set. */
  since: string;
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
  /** The trap for which the Host did it, where that is known. */
  record?: TrapRecord | undefined;
  /** Where the Guest was left, while no record tells it yet. */
  exitAt?: number;
  /** What was accessed, in the machine's memory, at most 8 bytes; and its content before. Probes: -1, and `change` has the values. */
  at: number;
  before: Uint8Array;
  old: number;
  change?: { old: Probed; now: Probed };
}

/** One access of a watch that only logs. */
export interface WatchRow {
  name: string;
  position: string;
  /** `pid 7 cat`, or '' when it is not known what a task is. */
  task: string;
  /** Page directory of the task. */
  directory: number;
  pc: number | undefined;
  by: string;
  kind: 'read' | 'write';
  old: string;
  new: string;
}
const MOST_ROWS = 100_000;

/** How the end of a condition says that a watch does not stop. */
const MODE_SUFFIX = /\|\s*(log|count)\s*$/;
const modeKey = (wish: WatchWish): string => `${wish.dataId} ${wish.access}`;

const WORD = 4;
const SHOWN = 8;
const enum Kind {
  READ = 1,
  WRITE = 2,
  FOLLOW = 4,
}

/** The watches of one page. `bits`: what each byte is watched for; undefined: the whole page for everything that `kinds` says. */
interface PageWatches {
  entries: { watch: Watch; from: number; to: number; kinds: number }[];
  kinds: number;
  bits: Uint8Array | undefined;
}

export class Watches implements MemoryWatcher {
  private list: Watch[] = [];
  private pages = new Map<number, PageWatches>();
  /** While the watched instruction runs as one step: note, do not stop. */
  private noting = false;
  /** Where that instruction is. */
  private eip = 0;
  hits: WatchHit[] = [];
  /** What the user chose beside the editor's list, which has no room for it; a condition that names one goes first. */
  readonly modes = new Map<string, Watch['mode']>();
  /** Accesses that counted, of all watches. */
  counted = 0;
  /** Probes whose memory was written, and by whom. */
  private touched = new Map<Watch, { eip: number | undefined; by: string }>();
  /** A page table entry on the way to something watched was written. */
  private moved = false;
  /** An access of the Guest is about to happen at the instruction where it stands. */
  stoppedBefore = false;
  /** What logging watches saw, oldest first; the oldest go when there are too many. */
  readonly rows: WatchRow[] = [];
  readonly lastWrites = new LastWrites();
  addRow(row: WatchRow): void {
    if (this.rows.length >= MOST_ROWS) this.rows.splice(0, MOST_ROWS / 10);
    this.rows.push(row);
  }
  /** Some watch needs a look after every instruction, or at every world switch. */
  needsSteps = false;
  needsSwitches = false;
  /** Watches of what the Host keeps, compared after each of its acts. */
  private kept: Watch[] = [];

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
  ) {}

  get all(): readonly Watch[] {
    return this.list;
  }

  /** The watches of the run before, so that they keep their numbers when they are set anew. */
  adopt(old: Watches): void {
    this.list = old.list.map((w) => ({ ...w, hits: 0, since: '#0', place: { ranges: [], follow: [] } }));
    for (const [key, mode] of old.modes) this.modes.set(key, mode);
  }

  /** Since when all of these bytes of the machine's memory are watched for writes; undefined: they are not. */
  watchedSince(physical: number, length: number): string | undefined {
    const entries = this.pages.get(physical >>> 12)?.entries ?? [];
    return entries.find((e) => e.kinds & Kind.WRITE && physical >= e.from && physical + length <= e.to)?.watch.since;
  }

  /** A watch that is not set yet; `problem` says why it cannot be. */
  make(id: number, wish: WatchWish): Watch {
    const mode = MODE_SUFFIX.exec(wish.condition ?? '')?.[1] as 'log' | 'count' | undefined;
    const watch: Watch = {
      id,
      wish,
      subject: undefined,
      problem: undefined,
      mode: mode ?? this.modes.get(modeKey(wish)) ?? 'stop',
      place: { ranges: [], follow: [] },
      last: 0,
      hits: 0,
      since: formatPosition(this.target.position),
      test: undefined,
      wantsHit: undefined,
    };
    const subject = subjectOf(this.target, this.programs, wish.dataId);
    if (typeof subject === 'string') watch.problem = subject;
    else if (wish.access === 'read' && subject.memory === undefined)
      watch.problem = `reads of ${subject.name} cannot be watched, only changes`;
    else watch.subject = subject;
    return watch;
  }

  /** Whether a watch stops, logs or only counts from now on, also when the client sends its list anew. @returns whether it took: a condition may say otherwise. */
  setMode(watch: Watch, mode: Watch['mode']): boolean {
    if (MODE_SUFFIX.test(watch.wish.condition ?? '')) return false;
    this.modes.set(modeKey(watch.wish), mode);
    watch.mode = mode;
    return true;
  }

  /** Replaces all watches. */
  set(list: Watch[]): void {
    this.list = list.filter((w) => w.problem === undefined);
    for (const w of this.list) {
      if (w.subject === undefined) continue;
      w.place = w.subject.place();
      w.last = w.subject.probe?.() ?? 0;
    }
    this.needsSteps = this.list.some((w) => w.subject?.when === 'step');
    this.needsSwitches = this.list.some((w) => w.subject?.floating || (w.subject?.probe !== undefined && w.subject.when !== 'step'));
    this.kept = this.list.filter((w) => w.subject?.when === 'host');
    const { host } = this.target;
    if (host !== undefined) host.onAct = this.kept.length === 0 ? undefined : (entered) => this.compareAct(entered);
    this.index();
  }
  remove(watch: Watch): void {
    this.set(this.list.filter((w) => w !== watch));
  }

  /** Before every run: places that were not mapped may be now, and what the user changed is no hit. */
  arm(): void {
    if (this.list.length === 0) return;
    this.hits = [];
    this.touched.clear();
    this.settle(true);
  }

  /** Looks up places again. @param all also of watches whose tables were not seen to change. */
  private settle(all: boolean): void {
    let changed = false;
    for (const w of this.list) {
      const { subject } = w;
      if (subject === undefined) continue;
      if (all) w.last = subject.probe?.() ?? 0;
      if (!this.moved && !(all && subject.length <= 0x10000)) continue;
      const place = subject.place();
      if (same(place.ranges, w.place.ranges) && same(place.follow, w.place.follow)) continue;
      w.place = place;
      changed = true;
    }
    this.moved = false;
    if (changed) this.index();
  }

  /** Page flags and the index of pages, from the places of all watches. */
  private index(): void {
    const { cpu } = this.target.processor;
    for (const page of this.pages.keys()) {
      cpu.clearPageFlag(page, PageFlag.WATCH_READ);
      cpu.clearPageFlag(page, PageFlag.WATCH_WRITE);
    }
    this.pages.clear();
    const put = (watch: Watch, range: Range, kinds: number): void => {
      const end = range.physical + range.length;
      for (let at = range.physical; at < end; ) {
        const page = at >>> 12;
        const to = Math.min(end, (page + 1) * 4096);
        let entry = this.pages.get(page);
        if (entry === undefined) {
          entry = { entries: [], kinds: 0, bits: to - at === 4096 ? undefined : new Uint8Array(4096) };
          this.pages.set(page, entry);
        }
        entry.entries.push({ watch, from: at, to, kinds });
        entry.kinds |= kinds;
        if (entry.bits !== undefined) for (let i = at; i < to; i++) entry.bits[i & 0xfff] |= kinds;
        at = to;
      }
    };
    for (const w of this.list) {
      const { access } = w.wish;
      const kinds =
        w.subject?.memory === undefined
          ? Kind.WRITE
          : access === 'read'
            ? Kind.READ
            : access === 'write'
              ? Kind.WRITE
              : Kind.READ | Kind.WRITE;
      for (const r of w.place.ranges) put(w, r, kinds);
      for (const r of w.place.follow) put(w, r, Kind.FOLLOW);
    }
    cpu.watcher = this.pages.size > 0 ? this : undefined;
    for (const [page, { kinds }] of this.pages) {
      if (kinds & (Kind.WRITE | Kind.FOLLOW)) cpu.setPageFlag(page, PageFlag.WATCH_WRITE);
      if (kinds & Kind.READ) cpu.setPageFlag(page, PageFlag.WATCH_READ);
    }
  }

  read(physical: number, _linear: number, size: number): void {
    this.seen(physical, size, Kind.READ);
  }
  write(physical: number, _linear: number, size: number): void {
    this.seen(physical, size, Kind.WRITE | Kind.FOLLOW);
  }

  gap(physical: number, write: boolean): number {
    const page = this.pages.get(physical >>> 12);
    const what = write ? Kind.WRITE | Kind.FOLLOW : Kind.READ;
    if (page === undefined || (page.kinds & what) === 0) return 4096 << 16;
    const { bits } = page;
    let from = physical & 0xfff;
    if (bits === undefined || (bits[from] & what) !== 0) return 0;
    let end = from + 1;
    while (from > 0 && (bits[from - 1] & what) === 0) from--;
    while (end < 4096 && (bits[end] & what) === 0) end++;
    return from | (end << 16);
  }

  private seen(physical: number, size: number, what: number): void {
    const page = this.pages.get(physical >>> 12);
    if (page === undefined) return;
    const { bits } = page;
    if (bits !== undefined) {
      let any = 0;
      for (let i = 0; i < size; i++) any |= bits[(physical + i) & 0xfff];
      if ((any & what) === 0) return;
    }
    const { processor, host } = this.target;
    const { cpu } = processor;
    let wrote = false;
    const byGuest = cpu.cur >= 0 && (cpu.m32[W.CPL] !== 0 || host === undefined);
    const kind = what === Kind.READ ? 'read' : 'write';
    if (!byGuest && kind === 'read') return;
    for (const { watch, from, to, kinds } of page.entries) {
      if ((kinds & what) === 0 || physical >= to || physical + size <= from) continue;
      if (!byGuest && watch.subject?.guestOnly) continue;
      if (byGuest && !this.noting) {
        this.stoppedBefore = true;
        throw new WatchStop();
      }
      if (!byGuest) processor.requestStop();
      if (kind === 'write' && kinds & Kind.WRITE) wrote = true;
      if (kinds & Kind.FOLLOW) this.moved = true;
      if (watch.subject?.probe !== undefined) {
        this.touched.set(watch, { eip: byGuest ? this.eip : undefined, by: this.writer(byGuest) });
        continue;
      }
      if (kinds & Kind.FOLLOW) continue;
      if (this.hits.some((h) => h.watch === watch && h.kind === kind)) continue;
      // A short thing is shown whole, of a long one what was accessed.
      const short = (watch.subject?.length ?? SHOWN + 1) <= SHOWN && to - from === watch.subject?.length;
      const at = short ? from : physical;
      const before = cpu.m8.slice(RAM_BASE + at, RAM_BASE + at + (short ? to - from : Math.min(size, SHOWN)));
      this.hits.push({ watch, kind, eip: byGuest ? this.eip : undefined, by: this.writer(byGuest), at, before, old: numberOf(before) });
    }
    if (wrote) {
      // The position behind the instruction, as in the rows of the log.
      const { retired, hostStep } = this.target.position;
      const position = byGuest ? { retired: retired + 1, hostStep: 0 } : { retired, hostStep };
      this.lastWrites.note(physical, size, { position, pc: byGuest ? this.eip : undefined, by: this.writer(byGuest) });
    }
  }

  private writer(byGuest: boolean): string {
    if (byGuest) return 'the Guest';
    const { host } = this.target;
    const doing = host?.lg.doing ?? '';
    if (doing === 'Launcher') return 'the Launcher';
    const record = host?.current;
    const name =
      doing === 'trap'
        ? record?.outcome === 'paged-in'
          ? 'demand_page'
          : record?.outcome === 'reflected'
            ? 'set_guest_interrupt'
            : 'handle_trap'
        : doing === 'maybe_do_interrupt'
          ? 'set_guest_interrupt'
          : doing;
    return `the Host${name === '' ? '' : ` (${name})`}`;
  }

  /** Compares probes whose memory was written. */
  compareTouched(): void {
    if (this.moved) this.settle(false);
    for (const [watch, { eip, by }] of this.touched) this.compare(watch, eip, by);
    this.touched.clear();
  }
  /** Compares the probes that are looked at after every instruction. */
  compareSteps(eip: number): void {
    for (const watch of this.list) if (watch.subject?.when === 'step') this.compare(watch, eip, 'the Guest');
  }
  /** The Host has done something: compares what it keeps. On its way into the Guest nothing else would stop it. */
  private compareAct(entered: boolean): void {
    const had = this.hits.length;
    for (const watch of this.kept) this.compare(watch, undefined);
    if (entered && this.hits.length > had) this.target.processor.requestStop();
  }
  /** Compares the probes whose memory the Host may have written or moved. */
  compareSwitches(): void {
    this.compareTouched();
    for (const watch of this.list) {
      const { subject } = watch;
      if (subject === undefined || subject.when !== 'memory') continue;
      if (subject.probe !== undefined || subject.floating) {
        const place = subject.place();
        if (!same(place.ranges, watch.place.ranges) || !same(place.follow, watch.place.follow)) {
          watch.place = place;
          this.index();
        }
      }
      if (subject.probe !== undefined) this.compare(watch, undefined);
    }
  }
  /** @param by who did it; else the Host, for what it is doing. */
  private compare(watch: Watch, eip: number | undefined, by?: string): void {
    const now = watch.subject?.probe?.() ?? 0;
    const old = watch.last;
    if (now === old) return;
    watch.last = now;
    this.hits.push({
      watch,
      kind: 'write',
      eip,
      by: by ?? this.writer(false),
      ...this.causeOf(watch),
      at: -1,
      before: bytesOf(old),
      old: probedNumber(old),
      change: { old, now },
    });
  }

  /** For what the Host does something: the trap at hand; right behind an exit, before that is known, the place of the exit. */
  private causeOf({ subject }: Watch): Pick<WatchHit, 'record' | 'exitAt'> {
    const { host } = this.target;
    if (subject?.when !== 'host' || host === undefined || host.lg.doing === 'Launcher') return {};
    if (host.lg.doing !== 'lguest_arch_run_guest') return { record: host.current };
    return host.inSwitcher ? {} : { exitAt: host.context.get('eip') };
  }

  /** What a hit's access covers, as it is now. */
  after(hit: WatchHit): Uint8Array {
    if (hit.change !== undefined) return bytesOf(hit.change.now);
    return this.target.processor.cpu.m8.slice(RAM_BASE + hit.at, RAM_BASE + hit.at + hit.before.length);
  }

  /** Local variables whose function has returned to `pc`: their watches end. */
  expired(pc: number, esp: number): Watch[] {
    return this.list.filter((w) => w.subject?.until !== undefined && w.subject.until.pc === pc && esp >= w.subject.until.esp);
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
      if (this.moved || this.touched.size > 0) this.compareTouched();
    }
  }
}

const same = (a: readonly Range[], b: readonly Range[]): boolean =>
  a.length === b.length && a.every((r, i) => r.physical === b[i].physical && r.length === b[i].length);
/** A number as four bytes, a wider one as eight or more, a text as it is. */
const bytesOf = (value: Probed): Uint8Array => {
  if (typeof value === 'string') return new TextEncoder().encode(value);
  if (typeof value === 'number') return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
  const bytes: number[] = [];
  for (let rest = value; rest !== 0n || bytes.length < 8; rest >>= 8n) bytes.push(Number(rest & 0xffn));
  return Uint8Array.from(bytes);
};
const probedNumber = (value: Probed): number => numberOf(bytesOf(value));
export const probedText = (value: Probed): string => (typeof value === 'string' ? JSON.stringify(value) : numberText(bytesOf(value)));
/** The first word as a number. */
export const numberOf = (bytes: Uint8Array): number => {
  let value = 0;
  for (let i = Math.min(WORD, bytes.length) - 1; i >= 0; i--) value = value * 256 + bytes[i];
  return value;
};

export const numberText = (bytes: Uint8Array): string =>
  `0x${[...bytes]
    .reverse()
    .map((b) => b.toString(16).padStart(2, '0'))
    .join('')}`;
