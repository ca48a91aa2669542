// The facade: one file's symbols as a debugger asks for them. Everything below is opened lazily, by unit, when a question needs it.
// All addresses are link-time addresses (uint32) unless a Frame is passed in, which carries its own bias.
// It leaves out registers, memory and stops: those come in as a `Frame`. Answers about lines are in lines.ts, split off for size.

import { type FrameTable as FrameTableType, FrameTable, type UnwindRow } from './dwarf/cfi';
import * as D from './dwarf/constants';
import type { DebugUnit, Die } from './dwarf/die';
import { Dwarf } from './dwarf/dwarf';
import type { Location } from './dwarf/expression';
import { type Frame, type Unwound, lookupPc, unwindByRow } from './dwarf/frame';
import { type FunctionEntry, type Scope, UnitFunctions } from './dwarf/functions';
import { filePath, readLineHeader } from './dwarf/line';
import { LineTable } from './dwarf/line-table';
import { NameIndex, nameOf, originChain, withAttribute } from './dwarf/name-index';
import type { AddressRange } from './dwarf/ranges';
import { SourceIndex, basename } from './dwarf/source-index';
import { type EnumType, type Type, Types, VOID, stripType } from './dwarf/types';
import type { Unit } from './dwarf/unit';
import { UnitMap } from './dwarf/unit-map';
import { Variable } from './dwarf/variables';
import { ElfFile, type ElfOptions, ET_REL } from './elf';
import { type BreakpointSpot, type CodeLocation, type LineInfo, Lines } from './lines';
import { type Pieces, whole } from './pieces';
import { SymbolTable, isPattern, namePattern } from './symbol-table';

/** A function. `ranges[0]` starts at `entry`. Lines and types are missing when only the symbol table knows it. */
export interface FunctionInfo {
  name: string;
  linkageName: string | undefined;
  entry: number;
  /** Address after the prologue: where a breakpoint on the function stops with its arguments readable. */
  postPrologue: number;
  ranges: readonly AddressRange[];
  file: string | undefined;
  line: number | undefined;
  external: boolean;
  /** An inlined copy: `entry` lies inside `within`. */
  inlined: boolean;
  within: string | undefined;
  /** Name of the compilation unit, or undefined without debug information. */
  unit: string | undefined;
  /** The function's type where known. */
  readonly type: Type | undefined;
}

/** One level of the inline chain at a pc; [0] is the innermost. */
export interface InlineFrame {
  name: string;
  /** Where execution stands in this function: the line of the pc for [0], else that of the call to the level before. */
  file: string | undefined;
  line: number | undefined;
  column: number | undefined;
  inlined: boolean;
  /** Start of this copy of the function. */
  entry: number;
  declFile: string | undefined;
  declLine: number | undefined;
}

export interface UnitInfo {
  name: string;
  directory: string;
  producer: string;
  language: string;
  version: number;
  ranges: readonly AddressRange[];
}

const CACHED_UNITS = 256;

/** Opens an ELF file. Throws SymbolError when it is no i386 ELF file; damage inside is listed in `problems`. */
export function loadProgram(bytes: Uint8Array, options: ElfOptions = {}): ProgramSymbols {
  return new ProgramSymbols(new ElfFile(bytes, options));
}

/** As loadProgram(), with compressed sections unpacked in pieces. Ended early, the file has names only. */
export function* loadingProgram(bytes: Uint8Array, options: ElfOptions = {}): Pieces<ProgramSymbols> {
  const elf = new ElfFile(bytes, options);
  yield* elf.unpack();
  return new ProgramSymbols(elf);
}

export class ProgramSymbols {
  readonly name: string;
  readonly dwarf: Dwarf;
  private tableCache: SymbolTable | undefined;
  private unitMapCache: UnitMap | undefined;
  private indexCache: NameIndex | undefined;
  private sourcesCache: SourceIndex | undefined;
  private framesCache: FrameTableType | undefined;
  private readonly functionsByUnit = new Map<Unit, UnitFunctions>();
  private readonly lineTables = new Map<number, LineTable | undefined>();
  private readonly localTypes = new Map<Unit, Map<string, number>>();
  private readonly codeRanges: AddressRange[];
  private readonly lines: Lines;
  readonly types: Types;

  constructor(readonly elf: ElfFile) {
    this.name = elf.name;
    this.codeRanges = elf.sections
      .filter((section) => section.alloc && section.executable && section.address !== undefined)
      .map((section) => ({ low: section.address!, high: section.address! + section.size }));
    this.dwarf = new Dwarf(
      {
        section: (name) => elf.contentsOf(name),
        sectionAddress: (name) => elf.sectionNamed(name)?.address,
        isCode: (address) => this.isCode(address),
      },
      elf.problems,
    );
    this.types = new Types((tag, name) => this.index.tagged(tag, name));
    this.lines = new Lines({
      units: this.dwarf.units,
      tableOf: (unit) => this.lineTable(unit),
      unitAt: (address) => this.unitAt(address),
      functionAt: (address) => this.entryAt(address),
      symbolStart: (address) => this.symbols.lookup(address)?.address,
      sources: () => this.sources,
    });
    if (this.dwarf.units.length < 8) this.dwarf.noteSplit(); // needs every root DIE: left out for big programs, which say it on use
  }

  /** Lines that say what a cancelled reading left out; empty when everything is there. */
  get leftOut(): readonly string[] {
    return this.elf.problems.leftOut;
  }
  /** What was left out, damaged or not understood so far, a line each. Grows as more is read. */
  get problems(): readonly string[] {
    return this.elf.problems.list;
  }

  /** Whether the file has any DWARF. */
  get hasDebugInfo(): boolean {
    return this.dwarf.units.length > 0;
  }

  private isCode(address: number): boolean {
    if (this.codeRanges.length === 0) return this.elf.type !== ET_REL || address !== 0;
    return this.codeRanges.some((range) => address >= range.low && address < range.high);
  }

  /** The ELF symbol table. */
  get symbols(): SymbolTable {
    this.tableCache ??= SymbolTable.fromElf(this.elf);
    return this.tableCache;
  }

  private get unitMap(): UnitMap {
    this.unitMapCache ??= new UnitMap(this.dwarf);
    return this.unitMapCache;
  }

  /** Whether the pass over all names and types, which takes a kernel a third of a second, has been made. */
  get indexed(): boolean {
    return this.indexCache?.complete === true;
  }
  /** Makes that pass in pieces; nothing when it is made. */
  *indexing(): Pieces<void> {
    this.indexCache ??= new NameIndex(this.dwarf);
    yield* this.indexCache.building();
  }
  /** Whether the file lists of all line tables have been read: what a breakpoint on a line needs first. */
  get hasSources(): boolean {
    return this.sourcesCache?.complete === true;
  }
  /** Reads them in pieces. */
  *listingSources(): Pieces<void> {
    this.sourcesCache ??= new SourceIndex(this.dwarf);
    yield* this.sourcesCache.building();
  }
  /** Bytes of debug information: what such a pass goes through. */
  get debugBytes(): number {
    return this.dwarf.section('.debug_info').length + this.dwarf.section('.debug_line').length;
  }

  /**
   * Whether the debug information has this name: of a variable, a parameter, a member, a type. Searches its bytes, so it needs no pass over it; the end of a longer name
   * counts too, since linkers share ends.
   */
  mentions(name: string): boolean {
    const text = new TextEncoder().encode(`${name}\0`);
    return ['.debug_str', '.debug_info'].some((section) => contains(this.dwarf.section(section), text));
  }

  private get index(): NameIndex {
    if (!this.indexed) whole(this.indexing());
    return this.indexCache!;
  }

  private get sources(): SourceIndex {
    if (!this.hasSources) whole(this.listingSources());
    return this.sourcesCache!;
  }

  private get frames(): FrameTableType {
    this.framesCache ??= new FrameTable(this.dwarf);
    return this.framesCache;
  }

  private unitAt(address: number): Unit | undefined {
    return this.unitMap.at(address);
  }

  private functionsOf(unit: Unit): UnitFunctions {
    let functions = this.functionsByUnit.get(unit);
    if (!functions) {
      if (this.functionsByUnit.size >= CACHED_UNITS) this.functionsByUnit.delete(this.functionsByUnit.keys().next().value!);
      this.functionsByUnit.set(unit, (functions = new UnitFunctions(unit)));
    }
    return functions;
  }

  private lineTable(unit: DebugUnit): LineTable | undefined {
    const key = unit.lineOffset;
    if (key === undefined) return undefined;
    if (!this.lineTables.has(key)) this.lineTables.set(key, LineTable.of(unit));
    return this.lineTables.get(key);
  }

  private entryAt(address: number): FunctionEntry | undefined {
    const unit = this.unitAt(address);
    return unit && this.functionsOf(unit).at(address);
  }

  private fileOf(unit: DebugUnit, file: number | undefined): string | undefined {
    if (file === undefined) return undefined;
    const table = this.lineTable(unit);
    if (table) return table.path(file);
    const { lineOffset } = unit;
    if (lineOffset === undefined) return undefined;
    const header = this.dwarf.problems.guard(undefined, () => readLineHeader(this.dwarf, lineOffset, unit.addressSize));
    return header && filePath(header, file, unit.directory, unit.name);
  }

  private infoOf(entry: FunctionEntry): FunctionInfo {
    const file = entry.attribute(D.DW_AT_decl_file);
    const line = entry.attribute(D.DW_AT_decl_line)?.number(D.DW_AT_decl_line);
    const { types, lines } = this;
    return {
      name: entry.name,
      linkageName: entry.linkageName,
      entry: entry.entry,
      get postPrologue() {
        return lines.postPrologue(entry);
      },
      ranges: entry.ranges,
      file: file && this.fileOf(file.unit, file.number(D.DW_AT_decl_file)),
      line,
      external: entry.external,
      inlined: false,
      within: undefined,
      unit: entry.unit.name,
      get type() {
        return types.fromDie(entry.attribute(D.DW_AT_prototyped) ?? entry.die);
      },
    };
  }

  private inlinedInfo(scope: Scope, within: FunctionEntry): FunctionInfo {
    const chain = originChain(scope.die);
    const file = withAttribute(chain, D.DW_AT_decl_file);
    const line = withAttribute(chain, D.DW_AT_decl_line)?.number(D.DW_AT_decl_line);
    const { types } = this;
    return {
      name: nameOf(scope.die) ?? '',
      linkageName: undefined,
      entry: scope.entry,
      postPrologue: scope.entry,
      ranges: scope.ranges,
      file: file && this.fileOf(file.unit, file.number(D.DW_AT_decl_file)),
      line,
      external: false,
      inlined: true,
      within: within.name,
      unit: within.unit.name,
      get type() {
        return types.fromDie(chain[chain.length - 1]!);
      },
    };
  }

  /** The function that contains `pc`, from DWARF, else from the symbol table. */
  functionAt(pc: number): FunctionInfo | undefined {
    const entry = this.entryAt(pc);
    if (entry) return this.infoOf(entry);
    const symbol = this.symbols.lookup(pc);
    if (!symbol || symbol.kind === 'object' || !this.isCode(pc)) return undefined;
    return this.symbolFunction(symbol.name, symbol.address, symbol.size, symbol.binding !== 'local');
  }

  private symbolFunction(name: string, address: number, size: number, external: boolean): FunctionInfo {
    const line = this.lineAt(address);
    return {
      name,
      linkageName: undefined,
      entry: address,
      postPrologue: address,
      ranges: [{ low: address, high: address + Math.max(size, 1) }],
      file: line?.file,
      line: line?.line,
      external,
      inlined: false,
      within: undefined,
      unit: this.unitAt(address)?.name,
      type: undefined,
    };
  }

  /** The functions that `pc` is in, innermost first: inlined ones, then the one with the frame. Empty where nothing is known. */
  inlineChain(pc: number): InlineFrame[] {
    const entry = this.entryAt(pc);
    const at = this.lineAt(pc);
    let { file, line, column } = at ?? { file: undefined, line: undefined, column: undefined };
    if (!entry) {
      const symbol = this.functionAt(pc);
      if (!symbol) return [];
      return [{ name: symbol.name, file, line, column, inlined: false, entry: symbol.entry, declFile: symbol.file, declLine: symbol.line }];
    }
    const chain: InlineFrame[] = [];
    for (const scope of entry.scope.pathTo(pc).reverse()) {
      if (scope.kind === 'block') continue;
      const inlined = scope.kind === 'inlined';
      const info = inlined ? this.inlinedInfo(scope, entry) : this.infoOf(entry);
      chain.push({ name: info.name, file, line, column, inlined, entry: info.entry, declFile: info.file, declLine: info.line });
      if (!inlined) break;
      file = this.fileOf(scope.die.unit, scope.die.number(D.DW_AT_call_file));
      line = scope.die.number(D.DW_AT_call_line);
      column = scope.die.number(D.DW_AT_call_column);
    }
    return chain;
  }

  /** The source line of `pc`; undefined where there is none, or where the compiler names no line (line 0). */
  lineAt(pc: number): LineInfo | undefined {
    return this.lines.at(pc);
  }

  /** Where a breakpoint on a source line belongs. See Lines.forLine. */
  locationsForLine(file: string, line: number, column?: number): CodeLocation[] {
    return this.lines.forLine(file, line, column);
  }

  /** Places in [fromLine, toLine] where a breakpoint can be, by line and column. */
  breakpointLocations(file: string, fromLine: number, toLine: number): BreakpointSpot[] {
    return this.lines.spots(file, fromLine, toLine);
  }

  /** The addresses around `pc` without a gap that belong to its line, cut to its function: what a step over a line runs through. */
  lineRange(pc: number): AddressRange | undefined {
    return this.lines.range(pc);
  }

  /** Path names in this program that `path` can mean: equal, or with the longest common end. */
  matchFiles(path: string): string[] {
    return this.sources.match(path);
  }

  /** Full paths of all source files, sorted. */
  sourceFiles(): string[] {
    return [...this.sources.paths].sort();
  }

  compilationUnits(): UnitInfo[] {
    return this.dwarf.units
      .filter((unit) => unit.signature === undefined)
      .map((unit) => ({
        name: unit.name,
        directory: unit.directory,
        producer: unit.producer,
        language: D.LANGUAGES[unit.language] ?? `language 0x${unit.language.toString(16)}`,
        version: unit.version,
        ranges: unit.ranges.filter((range) => this.isCode(range.low)),
      }));
  }

  /**
   * Functions by name, wildcard (`sys_*`), `/regex/`, or any of these in one file (`fork.c:copy_*`). Inlined copies are included
   * for plain names (a debugger stops at each), and symbols without DWARF.
   */
  functionsNamed(pattern: string): FunctionInfo[] {
    const { file, name } = splitFile(pattern);
    const found: FunctionInfo[] = [];
    const entries = new Set<number>();
    const add = (info: FunctionInfo): void => {
      if (entries.has(info.entry) || (file !== undefined && !sameFile(info, file))) return;
      entries.add(info.entry);
      found.push(info);
    };
    for (const match of this.functionNames(name)) {
      const exact = match === name;
      for (const index of this.index.functions.get(match) ?? []) {
        const functions = this.functionsOf(this.dwarf.units[index]!);
        const { functions: own, inlined } = exact
          ? functions.named(match)
          : { functions: functions.list.filter((f) => f.name === match), inlined: [] };
        for (const entry of own) add(this.infoOf(entry));
        for (const { scope, within } of inlined) add(this.inlinedInfo(scope, within));
      }
    }
    for (const symbol of this.symbols.search(name)) {
      if (symbol.kind === 'object' || !this.isCode(symbol.address) || entries.has(symbol.address)) continue;
      const entry = this.entryAt(symbol.address);
      if (symbol.kind === 'label' && (isPattern(name) || (entry && entry.entry !== symbol.address && !symbol.name))) continue;
      add(
        entry && entry.entry === symbol.address
          ? this.infoOf(entry)
          : this.symbolFunction(symbol.name, symbol.address, symbol.size, symbol.binding !== 'local'),
      );
    }
    return found.sort((a, b) => a.entry - b.entry);
  }

  private functionNames(name: string): string[] {
    if (!isPattern(name)) return [name];
    const expression = namePattern(name);
    if (!expression) return [];
    const names: string[] = [];
    for (const known of this.index.functions.keys()) if (expression.test(known)) names.push(known);
    return names;
  }

  /**
   * Arguments and locals in sight at `pc`: those of inlined functions too, each with the level it belongs to (`inlineDepth`, as in
   * inlineChain). Per level: arguments, then locals from the outermost block inwards.
   */
  variablesAt(pc: number): Variable[] {
    const entry = this.entryAt(pc);
    if (!entry) return [];
    const levels: Scope[][] = [];
    for (const scope of entry.scope.pathTo(pc).reverse()) {
      const level = levels[levels.length - 1];
      if (!level || level[0]!.kind !== 'block') levels.push([scope]);
      else level.unshift(scope);
    }
    return levels.flatMap((scopes, depth) => this.levelVariables(scopes, entry, depth));
  }

  /** `scopes` are one function's, outermost first. */
  private levelVariables(scopes: readonly Scope[], entry: FunctionEntry, depth: number): Variable[] {
    const all = scopes.flatMap((scope, level) =>
      scope.variables.map((variable) => ({ ...variable, level, name: nameOf(variable.die) ?? '' })),
    );
    // What the whole copy lacks may be there in one of its blocks.
    const present = new Set(all.map(({ die }) => die.reference(D.DW_AT_abstract_origin)));
    const listed = all.filter(({ die, optimizedOut }) => !optimizedOut || !present.has(die.id));
    const innermost = new Map<string, number>();
    for (const { name, level } of listed) innermost.set(name, level);
    const ordered = [...listed.filter((v) => v.parameter), ...listed.filter((v) => !v.parameter)];
    return ordered.map(({ die, parameter, optimizedOut, name, level }) => {
      const shadowed = innermost.get(name) !== level;
      return new Variable(this.home, die, parameter ? 'argument' : 'local', entry, optimizedOut, depth, shadowed);
    });
  }

  private get home() {
    return { types: this.types, frames: this.frames, functionAt: (address: number) => this.entryAt(address) };
  }

  /**
   * Global and file-static variables by name. `'file.c'::name` (quotes optional) asks for the one of a file, `function::name` for a
   * static variable inside a function.
   */
  globals(name: string): Variable[] {
    const split = /^'?([^']+?)'?::(\w+)$/.exec(name);
    if (!split) return this.globalVariables(name);
    const [, where, variable] = split as unknown as [string, string, string];
    const inFile = this.globalVariables(variable).filter((v) => sameEnd(v.unitName, where) || sameEnd(this.declaredIn(v) ?? '', where));
    return inFile.length > 0 ? inFile : this.functionStatics(where, variable);
  }

  private globalVariables(name: string): Variable[] {
    const variables: Variable[] = [];
    const addresses = new Set<number>();
    for (const id of this.index.variables.get(name) ?? []) {
      const die = this.dwarf.die(id);
      if (!die) continue;
      const external = withAttribute(originChain(die), D.DW_AT_external)?.flag(D.DW_AT_external);
      const variable = new Variable(this.home, die, external ? 'global' : 'static', undefined, false);
      const address = variable.staticAddress;
      if (address !== undefined && addresses.has(address)) continue;
      if (address !== undefined) addresses.add(address);
      variables.push(variable);
    }
    // Definitions with a place before those without, exported ones before statics.
    const rank = (v: Variable) => (v.staticAddress === undefined ? 2 : 0) + (v.kind === 'static' ? 1 : 0);
    return variables.sort((a, b) => rank(a) - rank(b));
  }

  private functionStatics(name: string, variable: string): Variable[] {
    return (this.index.functions.get(name) ?? []).flatMap((index) =>
      this.functionsOf(this.dwarf.units[index]!)
        .list.filter((entry) => entry.name === name)
        .flatMap((entry) => [...entry.scope.all()].flatMap((scope) => scope.variables.map((v) => ({ entry, v }))))
        .filter(({ v }) => nameOf(v.die) === variable)
        .map(({ entry, v }) => new Variable(this.home, v.die, 'static', entry, v.optimizedOut))
        .filter((v) => v.staticAddress !== undefined),
    );
  }

  /** File-level variables of the unit that contains `pc`: the Statics scope of a stop there. */
  staticsAt(pc: number): Variable[] {
    const unit = this.unitAt(pc);
    if (!unit?.root) return [];
    return unit.root
      .children()
      .filter((die) => die.tag === D.DW_TAG_variable && !die.flag(D.DW_AT_declaration))
      .map((die) => new Variable(this.home, die, withAttribute(originChain(die), D.DW_AT_external) ? 'global' : 'static', undefined, false))
      .filter((variable) => variable.name !== '');
  }

  /** Full path of the file that declares a variable. */
  declaredIn(variable: Variable): string | undefined {
    const { declaration } = variable;
    return declaration && this.fileOf(variable.die.unit, declaration.file);
  }

  /** The variable that an implicit pointer (Location of that kind) points to, at the same pc. */
  variableOf(location: Extract<Location, { kind: 'implicit-pointer' }>, pc: number): Variable | undefined {
    const die = this.dwarf.die(location.die);
    if (!die) return undefined;
    return new Variable(this.home, die, die.tag === D.DW_TAG_formal_parameter ? 'argument' : 'local', this.entryAt(pc), false);
  }

  /** Names of functions and variables with that prefix, sorted: for completion. */
  completions(prefix: string, limit = 100): string[] {
    const found = new Set(this.symbols.completions(prefix, limit));
    for (const names of [this.index.functions.keys(), this.index.variables.keys()]) {
      for (const name of names) if (name.startsWith(prefix)) found.add(name);
    }
    return [...found].sort().slice(0, limit);
  }

  /** Names of types with that prefix, as C writes them (`struct list_head`): for completion after a cast. */
  typeCompletions(prefix: string, limit = 100): string[] {
    const found: string[] = [];
    for (const [category, word] of [
      ['struct', 'struct '],
      ['union', 'union '],
      ['enum', 'enum '],
      ['typedef', ''],
      ['base', ''],
    ] as const) {
      for (const name of this.index.namesOf(category)) if (`${word}${name}`.startsWith(prefix)) found.push(word + name);
    }
    return found.sort().slice(0, limit);
  }

  /**
   * A type as C writes it: `struct list_head`, `union u`, `enum e`, a typedef, a base type in any spelling (`unsigned long`), with `*`
   * and `[n]` behind. With `pc`, definitions of its unit go first (two drivers may define the same name differently).
   */
  typeNamed(text: string, pc?: number): Type | undefined {
    const match = /^\s*((?:\w+\s*)+?)\s*((?:\*|\[\d+\]|\s)*)$/.exec(text);
    if (!match) return undefined;
    const words = match[1]!
      .trim()
      .split(/\s+/)
      .filter((word) => word !== 'const' && word !== 'volatile');
    let type = this.namedType(words, pc === undefined ? undefined : this.unitAt(pc));
    for (const [suffix, count] of match[2]!.matchAll(/\*|\[(\d+)\]/g)) {
      if (!type) return undefined;
      const inner: Type = type;
      if (suffix === '*') type = { kind: 'pointer', what: 'pointer', size: 4, target: inner };
      else type = { kind: 'array', element: inner, count: Number(count), size: Number(count) * inner.size, vector: false };
    }
    return type;
  }

  private namedType(words: readonly string[], unit: Unit | undefined): Type | undefined {
    const [first, second] = words;
    if (first === undefined) return undefined;
    const tagged = words.length === 2 && (first === 'struct' || first === 'union' || first === 'enum' || first === 'class');
    const name = tagged ? second! : words.join(' ');
    const local = unit && this.localType(unit, tagged ? (first === 'class' ? 'struct' : first) : 'plain', name);
    if (local) return this.types.fromDie(local);
    let die: Die | undefined;
    if (tagged) die = first === 'union' ? this.index.union(name) : first === 'enum' ? this.index.enum(name) : this.index.struct(name);
    else
      die =
        this.index.plain(name) ??
        this.index.plain(this.baseSpelling(words) ?? '') ??
        (words.length === 1 ? this.index.struct(name) : undefined);
    if (die) return this.types.fromDie(die);
    return tagged ? undefined : BUILT_IN.get(baseKey(words));
  }

  /** `unsigned long` is `long unsigned int` in DWARF: compares the words, whatever their order. */
  private baseSpelling(words: readonly string[]): string | undefined {
    const wanted = baseKey(words);
    for (const name of this.index.baseNames()) if (baseKey(name.split(' ')) === wanted) return name;
    return undefined;
  }

  private localType(unit: Unit, category: string, name: string): Die | undefined {
    let map = this.localTypes.get(unit);
    if (!map) {
      if (this.localTypes.size >= 8) this.localTypes.delete(this.localTypes.keys().next().value!);
      this.localTypes.set(unit, (map = localTypesOf(unit)));
    }
    const id = map.get(`${category} ${name}`);
    return id === undefined ? undefined : this.dwarf.die(id);
  }

  /** The value and type of an enumerator. */
  enumerator(name: string): { value: bigint; type: EnumType } | undefined {
    const die = this.index.enumerator(name);
    if (!die) return undefined;
    // An enumerator does not say which enumeration it belongs to: look for the one around it.
    let owner: number | undefined;
    this.dwarf.problems.guard(undefined, () => {
      const unit = this.dwarf.unitOf(die.id)!;
      unit.scan(unit.firstDie, (abbrev, _at, offset) => {
        if (offset > die.offset) return false;
        if (abbrev.tag === D.DW_TAG_enumeration_type) owner = unit.base + offset;
        return abbrev.tag !== D.DW_TAG_subprogram;
      });
    });
    const ownerDie = owner === undefined ? undefined : this.dwarf.die(owner);
    const type = ownerDie && stripType(this.types.fromDie(ownerDie));
    if (type?.kind !== 'enum') return undefined;
    const value = type.enumerators.find((e) => e.name === name)?.value;
    return value === undefined ? undefined : { value, type };
  }

  /** The row of call frame information for a link-time address. */
  unwind(pc: number): UnwindRow | undefined {
    return this.frames.rowAt(pc);
  }

  /**
   * One step up the stack by call frame information; undefined where there is none or the CFA is not known.
   * @param cfa the frame's CFA, when the caller knows it from elsewhere.
   */
  unwindFrame(frame: Frame, cfa?: number): Unwound | undefined {
    const row = this.unwind(lookupPc(frame));
    return row && unwindByRow(row, frame, this.dwarf.anyUnit, cfa);
  }
}

/** `file.c:func` in two; the colon of C++ `a::b` does not count. */
function splitFile(pattern: string): { file: string | undefined; name: string } {
  if (pattern.startsWith('/') && pattern.endsWith('/')) return { file: undefined, name: pattern };
  const match = /^(.+?[^:]):(?!:)(.+)$/.exec(pattern);
  return match ? { file: match[1]!, name: match[2]! } : { file: undefined, name: pattern };
}

function sameFile(info: FunctionInfo, file: string): boolean {
  return sameEnd(info.file ?? '', file) || sameEnd(info.unit ?? '', file);
}

/** Whether `path` is `end` or ends with it at a directory's boundary. */
function sameEnd(path: string, end: string): boolean {
  return path === end || path.endsWith(`/${end}`) || (basename(path) === end && end !== '');
}

/** Whether a text's bytes lie somewhere in these. */
const contains = (bytes: Uint8Array, text: Uint8Array): boolean => {
  for (let at = bytes.indexOf(text[0]); at >= 0; at = bytes.indexOf(text[0], at + 1)) {
    let n = 1;
    while (n < text.length && bytes[at + n] === text[n]) n++;
    if (n === text.length) return true;
  }
  return false;
};

/** The words of a base type in an order of their own: `unsigned long`, `long unsigned int` and `unsigned long int` become the same. */
function baseKey(words: readonly string[]): string {
  const kept = words.filter((word) => word !== 'int' && (word !== 'signed' || words.includes('char')));
  return kept.length === 0 ? 'int' : kept.sort().join(' ');
}

/** C's own types as the i386 ABI lays them out, for programs that use a type nowhere but in an expression. */
const BUILT_IN: ReadonlyMap<string, Type> = new Map(
  (
    [
      ['char', 1, 'signed char'],
      ['signed char', 1, 'signed char'],
      ['unsigned char', 1, 'unsigned char'],
      ['short int', 2, 'signed'],
      ['short unsigned int', 2, 'unsigned'],
      ['int', 4, 'signed'],
      ['unsigned int', 4, 'unsigned'],
      ['long int', 4, 'signed'],
      ['long unsigned int', 4, 'unsigned'],
      ['long long int', 8, 'signed'],
      ['long long unsigned int', 8, 'unsigned'],
      ['float', 4, 'float'],
      ['double', 8, 'float'],
      ['long double', 12, 'float'],
      ['_Bool', 1, 'boolean'],
    ] as const
  )
    .map(([name, size, encoding]): [string, Type] => [baseKey(name.split(' ')), { kind: 'base', name, size, encoding }])
    .concat([['void', VOID]]),
);

/** Definitions at the top level of one unit: `struct name`, `union name`, `enum name`, `plain name` to DIE id. */
function localTypesOf(unit: Unit): Map<string, number> {
  const map = new Map<string, number>();
  const categories: Readonly<Record<number, string>> = {
    [D.DW_TAG_structure_type]: 'struct',
    [D.DW_TAG_class_type]: 'struct',
    [D.DW_TAG_union_type]: 'union',
    [D.DW_TAG_enumeration_type]: 'enum',
    [D.DW_TAG_typedef]: 'plain',
    [D.DW_TAG_base_type]: 'plain',
  };
  unit.dwarf.problems.guard(undefined, () => {
    if (unit.firstDie >= unit.end) return;
    unit.scan(unit.firstDie, (abbrev, at, offset) => {
      const category = categories[abbrev.tag];
      if (category === undefined)
        return abbrev.tag === D.DW_TAG_compile_unit || abbrev.tag === D.DW_TAG_partial_unit || abbrev.tag === D.DW_TAG_namespace;
      const name = abbrev.declaration ? undefined : unit.nameOf(abbrev, at);
      const text = typeof name === 'number' ? unit.dwarf.string(name) : name;
      if (text !== undefined && !map.has(`${category} ${text}`)) map.set(`${category} ${text}`, unit.base + offset);
      return false;
    });
  });
  return map;
}
