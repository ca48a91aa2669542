// Addresses and names: one sorted table made from an ELF symbol table, a System.map or /proc/kallsyms text, or several of them.
// It answers "what is here" and "where is that" without any debug information, which is all that many kernels have.
// It leaves out lines and types (program-symbols.ts), and reading a Guest's memory (kallsyms.ts says what to read).

import type { ElfFile } from './elf';

export type SymbolKind = 'function' | 'object' | 'label';
export type SymbolSource = 'elf' | 'System.map' | 'kallsyms';

/** A named address. `size` is in bytes; when the source gives none it reaches to the next symbol and `sized` is false. */
export interface ProgramSymbol {
  name: string;
  /** uint32, link-time. */
  address: number;
  size: number;
  sized: boolean;
  kind: SymbolKind;
  binding: 'local' | 'global' | 'weak';
  source: SymbolSource;
  /** Kernel module (from kallsyms), otherwise undefined. */
  module?: string;
}

/** The symbol at or before an address. `offset` is the address minus the symbol's, in bytes. */
export interface SymbolHit extends ProgramSymbol {
  offset: number;
}

/** How a row of the table is kept: names are made when asked for, so that 30,000 symbols cost little. */
interface Rows {
  count: number;
  address: Uint32Array;
  size: Uint32Array;
  /** bit 0 sized, bits 1-2 kind, bits 3-4 binding, bits 5-6 source. */
  flags: Uint8Array;
  names: string[];
  modules: Map<number, string>;
}

const KINDS: readonly SymbolKind[] = ['function', 'object', 'label'];
const BINDINGS = ['global', 'weak', 'local'] as const;
const SOURCES: readonly SymbolSource[] = ['elf', 'System.map', 'kallsyms'];
/** How far a lookup goes back for a symbol that encloses the address although a smaller one starts after it. */
const LOOK_BACK = 32;

/** A glob (`sys_*`, `do_?`, `[ab]*`) or `/regex/` as a regular expression over whole names; a bad one is undefined. */
export function namePattern(pattern: string): RegExp | undefined {
  try {
    if (pattern.length > 2 && pattern.startsWith('/') && pattern.endsWith('/')) return new RegExp(pattern.slice(1, -1));
    const body = pattern
      .replace(/[.+^${}()|\\]/g, '\\$&')
      .replace(/\*+/g, '.*')
      .replace(/\?/g, '.');
    return new RegExp(`^(?:${body})$`);
  } catch {
    return undefined;
  }
}

/** True when a name has to be searched for rather than looked up. */
export function isPattern(name: string): boolean {
  return /[*?[]/.test(name) || (name.length > 2 && name.startsWith('/') && name.endsWith('/'));
}

export class SymbolTable {
  private readonly rows: Rows;
  private byName: Map<string, number[]> | undefined;

  /** `symbols` in any order. Of two with equal name and address the first stays: put the most trusted source first. */
  constructor(symbols: Iterable<ProgramSymbol>) {
    const list = [...symbols];
    const order = list.map((_, index) => index);
    order.sort((a, b) => list[a]!.address - list[b]!.address || rank(list[a]!) - rank(list[b]!) || a - b);
    const count = list.length;
    const rows: Rows = {
      count: 0,
      address: new Uint32Array(count),
      size: new Uint32Array(count),
      flags: new Uint8Array(count),
      names: [],
      modules: new Map(),
    };
    const here = new Set<string>(); // names at the current address
    for (const index of order) {
      const symbol = list[index]!;
      const at = rows.count;
      if (at > 0 && rows.address[at - 1] !== symbol.address) here.clear();
      if (here.has(symbol.name)) continue;
      here.add(symbol.name);
      rows.address[at] = symbol.address;
      rows.size[at] = symbol.size;
      rows.flags[at] =
        (symbol.sized ? 1 : 0) |
        (KINDS.indexOf(symbol.kind) << 1) |
        (BINDINGS.indexOf(symbol.binding) << 3) |
        (SOURCES.indexOf(symbol.source) << 5);
      rows.names.push(symbol.name);
      if (symbol.module !== undefined) rows.modules.set(at, symbol.module);
      rows.count++;
    }
    this.rows = rows;
  }

  get size(): number {
    return this.rows.count;
  }

  /** The table of an ELF file; empty when the file was stripped. Section and file symbols are left out. */
  static fromElf(elf: ElfFile): SymbolTable {
    return new SymbolTable(elfSymbols(elf));
  }

  /** The table of a System.map or kallsyms text: `c0100000 T _text` a line, with `[module]` at the end for modules. Other lines are skipped. */
  static fromText(text: string, source: 'System.map' | 'kallsyms' = 'System.map'): SymbolTable {
    return new SymbolTable(parseSymbolText(text, source));
  }

  /** One table of several; the first has priority where they say the same. */
  static merge(tables: readonly SymbolTable[]): SymbolTable {
    return new SymbolTable(tables.flatMap((table) => [...table.all()]));
  }

  /** How many symbols each source gave. */
  counts(): Partial<Record<SymbolSource, number>> {
    const counts: Partial<Record<SymbolSource, number>> = {};
    for (let row = 0; row < this.rows.count; row++) {
      const source = SOURCES[this.rows.flags[row]! >> 5]!;
      counts[source] = (counts[source] ?? 0) + 1;
    }
    return counts;
  }

  /** Every symbol, by address. */
  *all(): Generator<ProgramSymbol> {
    for (let row = 0; row < this.rows.count; row++) yield this.at(row);
  }

  private at(row: number): ProgramSymbol {
    const { address, size, flags, names, modules } = this.rows;
    const bits = flags[row]!;
    const module = modules.get(row);
    return {
      name: names[row]!,
      address: address[row]!,
      size: bits & 1 ? size[row]! : this.gapAfter(row),
      sized: (bits & 1) !== 0,
      kind: KINDS[(bits >> 1) & 3]!,
      binding: BINDINGS[(bits >> 3) & 3]!,
      source: SOURCES[bits >> 5]!,
      ...(module === undefined ? {} : { module }),
    };
  }

  private gapAfter(row: number): number {
    const { address, count } = this.rows;
    for (let next = row + 1; next < count; next++) if (address[next] !== address[row]) return address[next]! - address[row]!;
    return 0;
  }

  /** Index of the last row at or below `address`, or -1. */
  private rowBelow(address: number): number {
    let low = 0;
    let high = this.rows.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows.address[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The first row of those that share the address of `row`: the best name. */
  private bestOf(row: number): number {
    while (row > 0 && this.rows.address[row - 1] === this.rows.address[row]) row--;
    return row;
  }

  /**
   * The symbol that contains `address` (uint32): a sized one that encloses it, else one of unknown size that stands before it.
   * Undefined in the padding after a sized symbol and before the first; `nearest` is less strict.
   */
  lookup(address: number): SymbolHit | undefined {
    const { rows } = this;
    const last = this.rowBelow(address);
    for (let row = last, tries = 0; row >= 0 && tries < LOOK_BACK; row--, tries++) {
      const offset = address - rows.address[row]!;
      const sized = (rows.flags[row]! & 1) !== 0;
      if (sized ? offset < rows.size[row]! || offset === 0 : rows.address[row] === rows.address[last]) {
        const best = this.bestEnclosing(row, offset);
        return { ...this.at(best), offset };
      }
    }
    return undefined;
  }

  /** Of the rows at the same address as `row`, the best named one that reaches `offset`. */
  private bestEnclosing(row: number, offset: number): number {
    const { rows } = this;
    const address = rows.address[row];
    for (let at = this.bestOf(row); at < rows.count && rows.address[at] === address; at++) {
      if (rows.flags[at]! & 1 && (offset < rows.size[at]! || offset === 0)) return at;
    }
    return this.bestOf(row);
  }

  /** The last symbol at or before `address`, however far; undefined only before the first. */
  nearest(address: number): SymbolHit | undefined {
    const row = this.rowBelow(address);
    if (row < 0) return undefined;
    const symbol = this.at(this.bestOf(row));
    return { ...symbol, offset: address - symbol.address };
  }

  private names(): Map<string, number[]> {
    if (this.byName) return this.byName;
    const map = new Map<string, number[]>();
    for (let row = 0; row < this.rows.count; row++) {
      const name = this.rows.names[row]!;
      const list = map.get(name);
      if (list) list.push(row);
      else map.set(name, [row]);
    }
    return (this.byName = map);
  }

  /** Every address of that name, ascending. */
  addressesOf(name: string): number[] {
    return (this.names().get(name) ?? []).map((row) => this.rows.address[row]!);
  }

  /** The symbol of that name; globals before weak ones before locals. */
  named(name: string): ProgramSymbol | undefined {
    const found = (this.names().get(name) ?? []).map((row) => this.at(row));
    return found.sort((a, b) => rank(a) - rank(b))[0];
  }

  /**
   * Symbols whose name equals `pattern` or matches it as a glob or `/regex/`, by address.
   * @param limit most results to give, so that completion stays quick.
   */
  search(pattern: string, limit = Number.POSITIVE_INFINITY): ProgramSymbol[] {
    if (!isPattern(pattern)) return (this.names().get(pattern) ?? []).map((row) => this.at(row));
    const expression = namePattern(pattern);
    const found: ProgramSymbol[] = [];
    if (!expression) return found;
    for (let row = 0; row < this.rows.count && found.length < limit; row++) {
      if (expression.test(this.rows.names[row]!)) found.push(this.at(row));
    }
    return found;
  }

  /** Names that start with `prefix`, sorted, at most `limit`: for completion. */
  completions(prefix: string, limit = 100): string[] {
    const found = new Set<string>();
    for (const name of this.rows.names) if (name.startsWith(prefix)) found.add(name);
    return [...found].sort().slice(0, limit);
  }
}

/** Which of several names of one address is shown: functions and objects before labels, globals before locals, plain before dotted. */
function rank(symbol: ProgramSymbol): number {
  return (symbol.kind === 'label' ? 8 : 0) + BINDINGS.indexOf(symbol.binding) * 2 + (/[.$]/.test(symbol.name) ? 1 : 0);
}

function* elfSymbols(elf: ElfFile): Generator<ProgramSymbol> {
  for (const symbol of elf.symbols()) {
    if (symbol.type === 'section' || symbol.type === 'file' || symbol.type === 'tls' || symbol.name === '') continue;
    if (symbol.section === undefined && symbol.type === 'none' && symbol.binding === 'local') continue; // a constant of the assembler
    yield {
      name: symbol.name,
      address: symbol.value,
      size: symbol.size,
      sized: symbol.size > 0,
      kind:
        symbol.type === 'function' || symbol.type === 'ifunc'
          ? 'function'
          : symbol.type === 'object' || symbol.type === 'common'
            ? 'object'
            : 'label',
      binding: symbol.binding,
      source: 'elf',
    };
  }
}

/** The letters of nm: lower case is local; t text, d b r g s data, w v weak, everything else a label. */
function* parseSymbolText(text: string, source: SymbolSource): Generator<ProgramSymbol> {
  const line = /^([0-9a-fA-F]{1,16})[ \t]+([A-Za-z?-])[ \t]+(\S+)(?:[ \t]+\[([^\]]+)\])?[ \t]*$/;
  for (const row of text.split(/\r?\n/)) {
    const match = line.exec(row);
    if (!match) continue;
    const address = Number.parseInt(match[1]!, 16);
    if (address > 0xffffffff) continue;
    const letter = match[2]!;
    const lower = letter.toLowerCase();
    if (lower === 'u' || lower === 'a') continue; // undefined; absolute: not a place
    yield {
      name: match[3]!,
      address,
      size: 0,
      sized: false,
      kind: lower === 't' || lower === 'w' ? 'function' : 'dbrgsvc'.includes(lower) ? 'object' : 'label',
      binding: lower === 'w' || lower === 'v' ? 'weak' : letter === lower ? 'local' : 'global',
      source,
      ...(match[4] === undefined ? {} : { module: match[4] }),
    };
  }
}
