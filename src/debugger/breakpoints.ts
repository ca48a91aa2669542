// Breakpoints: which addresses each stands at, and whether a hit counts: condition, hit count, log message.
//
// They live in the processor's own list, never in Guest memory, and a false condition never leaves the processor's loop (Debugger asks `hit` from there). A place in
// a program stands at its virtual and, early in a boot, its physical address. What it leaves out: stops and stepping (run-loop.ts, stepping.ts).

import { ExpressionError } from './expression';
import { hostPlace } from './host-places';
import type { Program, Programs } from './programs';
import { W } from '../i386/state';
import { eachPage } from './mappings';
import type { Space, Target } from './target';

/** What a breakpoint does with what it meets. */
export const BREAKPOINT_MODES = ['stop', 'log', 'count'] as const;
export type BreakpointMode = (typeof BREAKPOINT_MODES)[number];
export type BreakpointKind = 'source' | 'function' | 'instruction';

export interface BreakpointSpec {
  kind: BreakpointKind;
  /** Source: path and line; function: pattern; instruction: address. Listing: addresses given. */
  file?: string;
  line?: number;
  column?: number;
  pattern?: string;
  address?: number;
  /** Instruction: what the address counts in; missing: linear, in whatever address space. */
  space?: Space;
  condition?: string;
  hitCondition?: string;
  logMessage?: string;
  /** What it does when it is met; missing: stop. log without a message tells where the Guest came by. */
  mode?: BreakpointMode;
  /** Made in the Debug Console: the client's lists do not replace it. */
  console?: boolean;
  /** Goes with its first hit. */
  once?: boolean;
}

export interface Breakpoint {
  id: number;
  spec: BreakpointSpec;
  /** Run-time linear addresses; `when`: must hold there for the breakpoint to be meant. */
  places: { address: number; when: (() => boolean) | undefined }[];
  /** Stops once so many instructions have retired. */
  count: number | undefined;
  /** The guest-physical address that is meant, whatever alias runs there. */
  physical: number | undefined;
  /** The traps that are meant: the id of a filter for the Host's own work (host-places.ts). */
  trap: string | undefined;
  /** Its condition or the like is wrong: it stays unbound. */
  problem: boolean;
  /** Not bound because what it belongs to may be loaded later. */
  pending: boolean;
  verified: boolean;
  message: string | undefined;
  /** Where it really is. */
  file: string | undefined;
  line: number | undefined;
  column: number | undefined;
  hits: number;
  /** Conditions and log, made by the debugger. */
  test: (() => boolean) | undefined;
  log: (() => string) | undefined;
  wantsHit: ((hits: number) => boolean) | undefined;
}

/** `5`, `>= 3`, `% 10`: a function of the number of hits. @throws ExpressionError. */
export const hitCondition = (text: string): ((hits: number) => boolean) => {
  const m = /^\s*(>=|<=|>|<|==|=|%)?\s*(\d+)\s*$/.exec(text);
  if (m === null) throw new ExpressionError(`"${text}" is no hit count; write 5, >= 5, < 5 or % 5`);
  const n = Number(m[2]);
  switch (m[1]) {
    case '>=':
      return (h) => h >= n;
    case '<=':
      return (h) => h <= n;
    case '>':
      return (h) => h > n;
    case '<':
      return (h) => h < n;
    case '%':
      return (h) => n !== 0 && h % n === 0;
    case '==':
    case '=':
      return (h) => h === n;
    default:
      return (h) => h >= n; // VS Code's users expect "5" to mean: from the fifth time on
  }
};

/** A breakpoint at one of its addresses. */
interface Placed {
  b: Breakpoint;
  when: (() => boolean) | undefined;
}
const NONE: readonly Placed[] = [];

const FREED = 'Its code is not in memory now: a module frees what only its start needs';

export class Breakpoints {
  private readonly all = new Map<number, Breakpoint>();
  private readonly byAddress = new Map<number, Placed[]>();
  /** Hits of all of them since the machine was made: what changed when a number does. */
  hits = 0;
  /** Those at a number of instructions. */
  private counted: Breakpoint[] = [];
  /** Whether the process on the processor has a user program. */
  isMine: (program: Program) => boolean = () => true;
  /** What may still bring a function or a file that is not known: a module, a program; undefined: nothing. */
  mayCome: () => string | undefined = () => undefined;

  /** Those about traps are others now. */
  onTraps: () => void = () => {};
  /** Those about traps of this id. */
  withTrap(id: string): Breakpoint[] {
    return [...this.all.values()].filter((b) => b.trap === id);
  }

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
  ) {}

  *[Symbol.iterator](): Generator<Breakpoint> {
    yield* this.all.values();
  }

  at(address: number): readonly Placed[] {
    return this.byAddress.get(address) ?? NONE;
  }
  /** The next number of retired instructions above `now` at which a breakpoint is; Infinity: none. */
  due(now: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { count } of this.counted) if (count !== undefined && count > now && count < due) due = count;
    return due;
  }
  countsAt(retired: number): Breakpoint[] {
    return this.counted.filter((b) => b.count === retired);
  }
  /** Before every run: physical places may have other aliases now. */
  refresh(): void {
    for (const b of [...this.all.values()]) {
      if (b.physical === undefined) continue;
      this.disarm(b);
      b.places = [];
      this.bindPhysical(b);
      this.arm(b);
    }
  }

  /** Finds where a breakpoint belongs and puts it there. `make` compiles its texts and may throw ExpressionError. */
  add(id: number, spec: BreakpointSpec, make: (b: Breakpoint) => void): Breakpoint {
    const b: Breakpoint = {
      id,
      spec,
      places: [],
      problem: false,
      pending: false,
      count: undefined,
      physical: undefined,
      trap: undefined,
      verified: false,
      message: undefined,
      file: spec.file,
      line: spec.line,
      column: undefined,
      hits: 0,
      test: undefined,
      log: undefined,
      wantsHit: undefined,
    };
    this.bind(b);
    try {
      if (spec.hitCondition !== undefined && spec.hitCondition.trim() !== '') b.wantsHit = hitCondition(spec.hitCondition);
      make(b);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      b.message = error.message;
      b.problem = true;
      b.verified = false;
      b.places = [];
      return b;
    }
    this.arm(b);
    return b;
  }

  private arm(b: Breakpoint): void {
    this.all.set(b.id, b);
    if (b.trap !== undefined) this.onTraps();
    if (b.count !== undefined) this.counted.push(b);
    for (const { address, when } of b.places) {
      const list = this.byAddress.get(address);
      if (list === undefined) this.byAddress.set(address, [{ b, when }]);
      else list.push({ b, when });
      this.target.processor.addBreakpoint(address);
    }
  }
  private disarm(b: Breakpoint): void {
    if (b.trap !== undefined) this.onTraps();
    this.counted = this.counted.filter((x) => x !== b);
    for (const { address } of b.places) {
      const rest = (this.byAddress.get(address) ?? []).filter((x) => x.b !== b);
      if (rest.length === 0) this.byAddress.delete(address);
      else this.byAddress.set(address, rest);
      this.target.processor.removeBreakpoint(address);
    }
  }

  /** Names came or went: binds anew. @returns whether anything is different now. */
  rebind(b: Breakpoint, make: (b: Breakpoint) => void): boolean {
    if (b.spec.kind === 'instruction' || b.problem) return false;
    const before = b.places.map((p) => p.address).join();
    const { message, verified } = b;
    this.remove(b);
    Object.assign(b, { message: undefined, verified: false, places: [], file: b.spec.file, line: b.spec.line, column: undefined });
    this.bind(b);
    make(b);
    this.arm(b);
    return before !== b.places.map((p) => p.address).join() || message !== b.message || verified !== b.verified;
  }

  remove(b: Breakpoint): void {
    if (this.all.delete(b.id)) this.disarm(b);
  }

  private bind(b: Breakpoint): void {
    const { spec } = b;
    b.pending = false;
    b.count = undefined;
    b.physical = undefined;
    b.trap = undefined;
    if (spec.kind === 'instruction') this.bindAddress(b, (spec.address ?? 0) >>> 0, spec.space);
    else if (spec.kind === 'function') this.bindFunction(b, (spec.pattern ?? '').trim());
    else this.bindLine(b, spec.file ?? '', spec.line ?? 0, spec.column);
  }

  private bindAddress(b: Breakpoint, address: number, space: Space | undefined): void {
    b.verified = true;
    if (space?.kind === 'physical') {
      b.physical = address;
      this.bindPhysical(b);
      return;
    }
    if (space?.kind === 'machine' || space?.kind === 'host') {
      b.verified = false;
      b.message = 'code runs at linear addresses: name one, or a guest-physical one as p:0x…';
      return;
    }
    b.places = [{ address, when: this.inSpace(space?.directory) }];
  }
  private inSpace(directory: number | undefined): (() => boolean) | undefined {
    if (directory === undefined) return undefined;
    const { host, processor } = this.target;
    if (host === undefined) return () => (processor.cpu.m32[W.CR3] & ~0xfff) >>> 0 === directory;
    return () => host.lg.pgdirs[host.lg.pgdidx].gpgdir === directory;
  }
  /** Every linear address at which a guest-physical one is mapped now. */
  private bindPhysical(b: Breakpoint): void {
    const physical = b.physical ?? 0;
    const { host, processor } = this.target;
    const page = physical & ~0xfff;
    const found = new Set<number>();
    if (host !== undefined) {
      eachPage(host, 'guest', undefined, (va, pte) => {
        if ((pte & ~0xfff) === page) found.add((va | (physical & 0xfff)) >>> 0);
      });
      // And where the kernel's own mapping has it, or will: it may come before the next look.
      for (const s of this.programs.list.flatMap((p) => p.segments)) found.add((physical + s.physicalBias) >>> 0);
      const means = (linear: number): boolean => host.guestPhysical(linear) === physical;
      b.places = [...found].map((address) => ({ address, when: () => means(address) }));
    } else {
      const { cpu } = processor;
      for (let va = 0; va < 2 ** 32; va += 0x1000) if (cpu.peekTranslate(va | 0) === page >>> 0) found.add(va + (physical & 0xfff));
      b.places = [...found].map((address) => ({ address, when: () => cpu.peekTranslate(address | 0) === physical }));
    }
    b.message = found.size === 1 ? undefined : `${found.size} linear addresses lead there now; looked up again at each start`;
  }

  private place(b: Breakpoint, program: Program, link: number): void {
    // A module's init part is gone once it runs, and other code lies there then.
    if (program.segments.length > 0 && !program.segments.some((s) => link >= s.low && link < s.high)) return;
    const { m32 } = this.target.processor.cpu;
    // A user program's place counts in its own process; at a physical alias only a kernel before its paging can mean this code.
    const mine = this.programs.isUser(program) ? () => this.isMine(program) : undefined;
    for (const [i, address] of this.programs.addresses(program, link).entries()) {
      if (b.places.some((p) => p.address === address)) continue;
      b.places.push({ address, when: mine ?? (i === 0 ? undefined : () => m32[W.CPL] !== 3) });
    }
    b.verified = true;
  }

  /** `name`, `sys_*`, `/regex/`, `file.c:name`, `0x…`, `*0x…`, `#1000`, and before an address or a name `v:`, `p:`, `v@0x…:`, `all:`. */
  private bindFunction(b: Breakpoint, text: string): void {
    const count = /^#\s*([\d_,]+)$/.exec(text);
    if (count !== null) {
      b.count = Number(count[1].replace(/[_,]/g, ''));
      b.verified = true;
      if (b.count <= this.target.processor.retired) b.message = 'That many instructions have run already; it counts after a restart';
      return;
    }
    const prefix = /^(v|p|all)(?:@(0x[0-9a-f]+))?:(.+)$/i.exec(text);
    const kind = prefix?.[1].toLowerCase();
    const rest = (prefix?.[3] ?? text).trim();
    const directory = prefix?.[2] === undefined ? undefined : Number(prefix[2]);
    const address = /^\*?\s*(0x[0-9a-f]{1,8})$/i.exec(rest);
    if (address !== null) {
      const at = Number(address[1]) >>> 0;
      this.bindAddress(b, at, kind === 'p' ? { kind: 'physical' } : { kind: 'linear', ...(directory === undefined ? {} : { directory }) });
      return;
    }
    const found = this.programs.functionsNamed(rest);
    const host = found.length === 0 || /^(host|hcall):/i.test(text) ? hostPlace(text) : undefined;
    if (host !== undefined) {
      if (typeof host === 'string') b.message = host;
      else if (this.target.host === undefined) b.message = 'this machine has no Host that could stop there';
      else {
        b.trap = host.id;
        b.verified = true;
        b.message = `in the Host, for each trap that comes through there`;
      }
      return;
    }
    if (found.length === 0) {
      const similar = this.programs.similar(rest);
      const later = this.mayCome();
      b.pending = later !== undefined;
      b.message =
        this.programs.list.length === 0
          ? `No function "${rest}" is known: this session has no symbols; name a vmlinux or a System.map in "symbolFiles"`
          : `No function "${rest}" is known${later === undefined ? '' : ` yet: ${later}`}${similar === undefined ? '' : `; did you mean ${similar}?`}`;
      return;
    }
    for (const f of found) {
      if (kind === undefined || kind === 'all') this.place(b, f.program, f.postPrologue);
      else {
        const [virtual] = this.programs.addresses(f.program, f.postPrologue);
        b.places.push({ address: virtual, when: this.inSpace(directory) });
        b.verified = true;
      }
    }
    if (b.places.length === 0) {
      b.message = FREED;
      b.pending = true;
      return;
    }
    const line = this.programs.lineAt(b.places[0].address);
    b.file = line?.file;
    b.line = line?.line;
    if (found.length > 1) b.message = `${found.length} places`;
  }

  private bindLine(b: Breakpoint, file: string, line: number, column: number | undefined): void {
    const found = this.programs.locationsForLine(file, line, column);
    if (found.length === 0) {
      const known = this.programs.knowsFile(file);
      const later = known ? undefined : this.mayCome();
      const name = file.split(/[\\/]/).pop();
      b.pending = later !== undefined;
      b.message = known
        ? `No code at line ${line} or behind it`
        : `No program of this session was built from ${name}${later === undefined ? '' : ` yet: ${later}`}`;
      return;
    }
    for (const { program, at } of found) this.place(b, program, at.address);
    if (b.places.length === 0) {
      b.message = FREED;
      b.pending = true;
      return;
    }
    b.line = found[0].at.line;
    b.column = found[0].at.column === 0 ? undefined : found[0].at.column;
    if (found.length > 1) b.message = `${found.length} places`;
  }
}
