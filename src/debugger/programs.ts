// All symbols of a session: the kernel, and whatever files were named beside it, each at its place.
//
// A kernel is linked at virtual addresses and runs its first instructions at physical ones, so every address may be given in two ways: `link` is the file's own,
// a run-time address is either that plus the file's offset, or the physical one. What it leaves out: reading files, memory and registers.

import type { BreakpointSpot, CodeLocation, LineInfo } from '../symbols/lines';
import { type FunctionInfo, type InlineFrame, loadingProgram, type ProgramSymbols } from '../symbols/program-symbols';
import type { Variable } from '../symbols/dwarf/variables';
import type { ElfOptions } from '../symbols/elf';
import { findingKallsyms, readKallsyms } from '../symbols/kallsyms';
import { type Pieces, whole } from '../symbols/pieces';
import { type SymbolHit, SymbolTable } from '../symbols/symbol-table';

export interface Program {
  name: string;
  path: string;
  /** Undefined for a System.map. */
  symbols: ProgramSymbols | undefined;
  table: SymbolTable;
  /** Run-time minus link-time address. */
  offset: number;
  /** Link-time address ranges of the file's segments, and virtual minus physical address of each. */
  segments: { low: number; high: number; physicalBias: number }[];
  /** Path in the Guest of a user program. */
  guestPath?: string;
}

/** A run-time address in terms of one file. */
export interface Linked {
  program: Program;
  link: number;
  /** Run-time minus link-time address for this very address. */
  bias: number;
}

/** Answers about variables that are kept. */
const KEPT = 512;

const decoder = new TextDecoder('latin1');

/** Opens an ELF file or a System.map. @throws SymbolError or Error with one line. */
export const openProgram = (bytes: Uint8Array, path: string, offset = 0, options: Pick<ElfOptions, 'sectionAddresses'> = {}): Program =>
  whole(openingProgram(bytes, path, offset, options));

/** As openProgram(), in pieces. Ended early, an ELF file has names only. */
export function* openingProgram(
  bytes: Uint8Array,
  path: string,
  offset = 0,
  options: Pick<ElfOptions, 'sectionAddresses'> = {},
): Pieces<Program> {
  const name = path.split(/[\\/]/).pop() ?? path;
  if (bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45) {
    const symbols = yield* loadingProgram(bytes, { name, ...options });
    const segments = symbols.elf.segments
      .filter((s) => s.type === 1 && s.memorySize > 0)
      .map((s) => ({ low: s.vaddr, high: s.vaddr + s.memorySize, physicalBias: (s.vaddr - s.paddr) >>> 0 }));
    return { name, path, symbols, table: symbols.symbols, offset, segments };
  }
  const text = decoder.decode(bytes);
  if (!/^[0-9a-fA-F]{8,16} [A-Za-z] \S/m.test(text.slice(0, 4096))) {
    throw new Error(`${path} is neither an ELF file nor a System.map; name a vmlinux or a System.map in symbolFiles.`);
  }
  return { name, path, symbols: undefined, table: SymbolTable.fromText(text), offset, segments: [] };
}

/** The names that a Linux kernel carries in its own memory, or undefined. @param memory Guest-physical memory from 0 on. */
export function* programInMemory(memory: Uint8Array): Pieces<Program | undefined> {
  const layout = yield* findingKallsyms(memory);
  if (layout === undefined) return undefined;
  return { name: 'kallsyms', path: 'kallsyms', symbols: undefined, table: readKallsyms(memory, layout), offset: 0, segments: [] };
}

export class Programs {
  private readonly locals = new Map<number, Variable[]>();
  private readonly globals = new Map<string, { program: Program; variable: Variable; address: number } | undefined>();

  /** Of the process on the processor; asked after the kernel's. */
  private user: readonly Program[] = [];
  /** User programs that are known, also while another process runs: breakpoints are bound in them. */
  private known: readonly Program[] = [];

  /** @param list the kernel's files: they count in every address space. */
  constructor(readonly list: Program[]) {}

  add(program: Program): void {
    this.list.push(program);
    this.forget();
  }
  remove(program: Program): void {
    const at = this.list.indexOf(program);
    if (at >= 0) this.list.splice(at, 1);
    this.forget();
  }
  setUser(user: readonly Program[]): void {
    if (user.length === this.user.length && user.every((p, i) => p === this.user[i])) return;
    this.user = user;
    this.forget();
  }
  setKnown(known: readonly Program[]): void {
    this.known = known;
  }
  /** Whether a program belongs to processes, not to the kernel. */
  isUser(program: Program): boolean {
    return this.user.includes(program) || this.known.some((p) => p.path === program.path);
  }
  /** Grows whenever files come or go: what was not found may be found now. */
  generation = 0;
  private forget(): void {
    this.generation++;
    this.locals.clear();
    this.globals.clear();
  }
  /** What counts now: the kernel's, then the process's. */
  private get all(): readonly Program[] {
    return this.user.length === 0 ? this.list : [...this.list, ...this.user];
  }
  /** Where breakpoints can be. */
  private get bindable(): readonly Program[] {
    const more = this.user.filter((p) => !this.known.some((k) => k.path === p.path));
    return this.known.length === 0 && more.length === 0 ? this.list : [...this.list, ...this.known, ...more];
  }

  /** Locals and arguments in sight at a run-time address. Kept, since conditions ask again and again. */
  localsAt(address: number): Variable[] {
    let found = this.locals.get(address);
    if (found === undefined) {
      const at = this.linked(address);
      found = (at?.program.symbols?.variablesAt(at.link) ?? []).filter((v) => v.name !== '');
      if (this.locals.size >= KEPT) this.locals.clear();
      this.locals.set(address, found);
    }
    return found;
  }
  /** Where the source declares a variable that is in sight at a run-time address. */
  declared(v: Variable, address: number): { file: string; line: number } | undefined {
    const file = this.linked(address)?.program.symbols?.declaredIn(v);
    const line = v.declaration?.line;
    return file === undefined || line === undefined ? undefined : { file, line };
  }
  /** A global or static variable with a place; its link-time address. */
  globalNamed(name: string): { program: Program; variable: Variable; address: number } | undefined {
    if (this.globals.has(name)) return this.globals.get(name);
    let found: { program: Program; variable: Variable; address: number } | undefined;
    for (const program of this.all) {
      const [variable] = program.symbols?.globals(name) ?? [];
      const address = variable?.staticAddress;
      if (variable !== undefined && address !== undefined) {
        found = { program, variable, address };
        break;
      }
    }
    if (this.globals.size >= KEPT) this.globals.clear();
    this.globals.set(name, found);
    return found;
  }

  /** The file that has something at a run-time address; virtual addresses first. */
  linked(address: number): Linked | undefined {
    for (const program of this.all) {
      const link = (address - program.offset) >>> 0;
      if (program.segments.length === 0 || program.segments.some((s) => link >= s.low && link < s.high))
        return { program, link, bias: program.offset };
    }
    for (const program of this.all) {
      for (const s of program.segments) {
        if (s.physicalBias === 0) continue;
        const link = (address - program.offset + s.physicalBias) >>> 0;
        if (link >= s.low && link < s.high) return { program, link, bias: (address - link) | 0 };
      }
    }
    return undefined;
  }

  /** Every run-time address at which a link-time one may run: virtual, then physical. */
  addresses(program: Program, link: number): number[] {
    const virtual = (link + program.offset) >>> 0;
    const segment = program.segments.find((s) => link >= s.low && link < s.high);
    return segment === undefined || segment.physicalBias === 0 ? [virtual] : [virtual, (virtual - segment.physicalBias) >>> 0];
  }

  symbolAt(address: number): SymbolHit | undefined {
    const at = this.linked(address);
    return at?.program.table.lookup(at.link) ?? undefined;
  }
  /** `start_kernel+0x4`, or undefined. @param afterCall a return address: it belongs to what has the call, also behind its last instruction. */
  nameOf(address: number, afterCall = false): string | undefined {
    const hit = this.symbolAt(afterCall ? address - 1 : address);
    if (hit === undefined || hit.offset > 0xfffff) return undefined;
    const offset = hit.offset + (afterCall ? 1 : 0);
    return offset === 0 ? hit.name : `${hit.name}+0x${offset.toString(16)}`;
  }
  functionAt(address: number): (FunctionInfo & { bias: number; program: Program }) | undefined {
    const at = this.linked(address);
    const found = at?.program.symbols?.functionAt(at.link);
    if (at === undefined || found === undefined) return undefined;
    return { ...found, postPrologue: found.postPrologue, type: found.type, bias: at.bias, program: at.program };
  }
  lineAt(address: number): LineInfo | undefined {
    const at = this.linked(address);
    return at?.program.symbols?.lineAt(at.link);
  }
  inlineChain(address: number): InlineFrame[] {
    const at = this.linked(address);
    return at?.program.symbols?.inlineChain(at.link) ?? [];
  }
  /** Run-time range of the line around an address. */
  lineRange(address: number): { low: number; high: number } | undefined {
    const at = this.linked(address);
    const range = at?.program.symbols?.lineRange(at.link);
    return at === undefined || range === undefined ? undefined : { low: (range.low + at.bias) >>> 0, high: (range.high + at.bias) >>> 0 };
  }

  locationsForLine(file: string, line: number, column?: number): { program: Program; at: CodeLocation }[] {
    return this.bindable.flatMap((program) => (program.symbols?.locationsForLine(file, line, column) ?? []).map((at) => ({ program, at })));
  }
  breakpointLocations(file: string, from: number, to: number): BreakpointSpot[] {
    return this.bindable.flatMap((program) => program.symbols?.breakpointLocations(file, from, to) ?? []);
  }
  knowsFile(file: string): boolean {
    return this.bindable.some((program) => (program.symbols?.matchFiles(file).length ?? 0) > 0);
  }

  /** Functions by name, wildcard, /regex/ or file.c:func; link-time addresses. */
  functionsNamed(pattern: string): { program: Program; name: string; entry: number; postPrologue: number }[] {
    return this.bindable.flatMap((program) => {
      if (program.symbols === undefined) {
        return program.table
          .search(pattern)
          .filter((s) => s.kind !== 'object')
          .map((s) => ({ program, name: s.name, entry: s.address, postPrologue: s.address }));
      }
      return program.symbols.functionsNamed(pattern).map((f) => ({ program, name: f.name, entry: f.entry, postPrologue: f.postPrologue }));
    });
  }
  /** Run-time address of a symbol. */
  addressOf(name: string): number | undefined {
    for (const program of this.all) {
      const symbol = program.table.named(name);
      if (symbol !== undefined) return (symbol.address + program.offset) >>> 0;
    }
    return undefined;
  }
  completions(prefix: string, limit: number): string[] {
    return [...new Set(this.all.flatMap((p) => p.symbols?.completions(prefix, limit) ?? p.table.completions(prefix, limit)))]
      .sort()
      .slice(0, limit);
  }
  /** Names of undefined help: what is close to a name that was not found. */
  similar(name: string): string | undefined {
    const part = name.replace(/[^A-Za-z0-9_]/g, '');
    if (part.length < 3) return undefined;
    return this.all.flatMap((p) => p.table.search(`*${part}*`, 3)).map((s) => s.name)[0];
  }
}
