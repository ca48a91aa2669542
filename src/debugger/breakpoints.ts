// Breakpoints: which addresses each stands at, and whether a hit counts: condition, hit count, log message.
//
// They live in the processor's own list, never in Guest memory, and a false condition never leaves the processor's loop (Debugger asks `hit` from there). A place in
// a program stands at its virtual and, early in a boot, its physical address. What it leaves out: stops and stepping (session.ts).

import { W } from '../i386/state';
import { ExpressionError } from './expression';
import type { Program, Programs } from './programs';
import type { Target } from './target';

export type BreakpointKind = 'source' | 'function' | 'instruction';

export interface BreakpointSpec {
  kind: BreakpointKind;
  /** Source: path and line; function: pattern; instruction: address. Listing: addresses given. */
  file?: string;
  line?: number;
  column?: number;
  pattern?: string;
  address?: number;
  condition?: string;
  hitCondition?: string;
  logMessage?: string;
}

export interface Place {
  address: number;
  alias: boolean;
  /** In a user program: whether its process is the one that runs. */
  mine?: () => boolean;
}

export interface Breakpoint {
  id: number;
  spec: BreakpointSpec;
  /** Run-time addresses; `low`: a physical alias, which only ring 1 can mean. */
  places: Place[];
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
  /** Asked before everything else: not true, not met. An address space, a process. */
  only: (() => boolean) | undefined;
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

export interface AddressPlace {
  /** v, all: this linear address in any address space; p: physical; v@: linear in one address space. */
  space: 'v' | 'all' | 'p' | 'v@';
  address: number;
  /** Guest-physical address of the page directory, for v@. */
  directory: number;
}
/** `0x…`, `*0x…`, `v:0x…`, `p:0x…`, `v@0xDIRECTORY:0x…`, `all:0x…`; undefined: no address. */
export const parsePlace = (text: string): AddressPlace | undefined => {
  const m = /^\*?\s*(?:(v|p|all)(?:@(0x[0-9a-f]{1,8}))?:)?(0x[0-9a-f]{1,8})$/i.exec(text.trim());
  if (m === null) return undefined;
  const space = (m[1] ?? 'v').toLowerCase() as 'v' | 'p' | 'all';
  if (m[2] !== undefined && space !== 'v') return undefined;
  return { space: m[2] === undefined ? space : 'v@', address: Number(m[3]) >>> 0, directory: Number(m[2] ?? 0) >>> 0 };
};
/** The page directory in use: a Guest's own, not the shadow. */
const directoryNow = (target: Target): number => {
  const lg = target.host?.lg;
  return (lg === undefined ? target.processor.cpu.m32[W.CR3] & ~0xfff : lg.pgdirs[lg.pgdidx].gpgdir) >>> 0;
};

export class Breakpoints {
  private readonly all = new Map<number, Breakpoint>();
  private readonly byAddress = new Map<number, Breakpoint[]>();
  /** Whether the process on the processor has a user program. */
  isMine: (program: Program) => boolean = () => true;
  /** What may still bring a function or a file that is not known: a module, a program; undefined: nothing. */
  mayCome: () => string | undefined = () => undefined;

  constructor(
    private readonly target: Target,
    private readonly programs: Programs,
  ) {}

  *[Symbol.iterator](): Generator<Breakpoint> {
    yield* this.all.values();
  }

  at(address: number): readonly Breakpoint[] {
    return this.byAddress.get(address) ?? [];
  }

  /** Finds where a breakpoint belongs and puts it there. `make` compiles its texts and may throw ExpressionError. */
  add(id: number, spec: BreakpointSpec, make: (b: Breakpoint) => void): Breakpoint {
    const b: Breakpoint = {
      id,
      spec,
      places: [],
      problem: false,
      pending: false,
      verified: false,
      message: undefined,
      file: spec.file,
      line: spec.line,
      column: undefined,
      hits: 0,
      test: undefined,
      only: undefined,
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
    for (const { address } of b.places) {
      const list = this.byAddress.get(address);
      if (list === undefined) this.byAddress.set(address, [b]);
      else list.push(b);
      this.target.processor.addBreakpoint(address);
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
    if (!this.all.delete(b.id)) return;
    for (const { address } of b.places) {
      const rest = (this.byAddress.get(address) ?? []).filter((x) => x !== b);
      if (rest.length === 0) this.byAddress.delete(address);
      else this.byAddress.set(address, rest);
      this.target.processor.removeBreakpoint(address);
    }
  }

  private bind(b: Breakpoint): void {
    const { spec } = b;
    b.pending = false;
    if (spec.kind === 'instruction') {
      const address = (spec.address ?? 0) >>> 0;
      b.places = [{ address, alias: false }];
      b.verified = true;
      return;
    }
    if (spec.kind === 'function') this.bindFunction(b, spec.pattern ?? '');
    else this.bindLine(b, spec.file ?? '', spec.line ?? 0, spec.column);
  }

  /** An address by space: linear ones stand where they are, physical ones wherever the kernel's own mapping and the early boot have them. */
  private bindPlace(b: Breakpoint, { space, address, directory }: AddressPlace): void {
    const { target, programs } = this;
    b.verified = true;
    b.places = [{ address, alias: false }];
    if (space === 'v@') b.only = () => directoryNow(target) === directory;
    if (space !== 'p') return;
    const biases = new Set(programs.list.flatMap((p) => p.segments.map((s) => s.physicalBias)).filter((bias) => bias !== 0));
    for (const bias of biases) b.places.push({ address: (address + bias) >>> 0, alias: false });
    b.only = () => target.physical(target.pc) === address || target.physical(target.pc) === undefined;
  }

  private place(b: Breakpoint, program: Program, link: number): void {
    const isUser = this.programs.isUser(program);
    for (const [i, address] of this.programs.addresses(program, link).entries()) {
      if (b.places.some((p) => p.address === address)) continue;
      b.places.push({ address, alias: i > 0, ...(isUser ? { mine: () => this.isMine(program) } : {}) });
    }
    b.verified = true;
  }

  private bindFunction(b: Breakpoint, text: string): void {
    const place = parsePlace(text);
    if (place !== undefined) {
      this.bindPlace(b, place);
      return;
    }
    const found = this.programs.functionsNamed(text.trim());
    for (const f of found) this.place(b, f.program, f.postPrologue);
    if (found.length === 0) {
      const similar = this.programs.similar(text);
      const later = this.mayCome();
      b.pending = later !== undefined;
      b.message = `No function "${text}" is known${later === undefined ? '' : ` yet: ${later}`}${similar === undefined ? '' : `; did you mean ${similar}?`}`;
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
    b.line = found[0].at.line;
    b.column = found[0].at.column === 0 ? undefined : found[0].at.column;
    if (found.length > 1) b.message = `${found.length} places`;
  }
}
