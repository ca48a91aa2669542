// Functions of a unit and the scopes inside them: lexical blocks and inlined calls, with the variables that each declares.
// A unit's functions are listed when its first address is asked for; the scopes of one function when a stop needs them.
// It leaves out where variables are (variables.ts) and lines (line-table.ts).

import * as D from './constants';
import type { Die } from './die';
import { nameOf, originChain, withAttribute } from './name-index';
import { type AddressRange, readRanges } from './ranges';
import type { Unit } from './unit';

const DEPTH_LIMIT = 64;

/** A variable or parameter as a scope lists it. `optimizedOut`: only the abstract instance has it, so no code here holds it. */
export interface ScopeVariable {
  die: Die;
  parameter: boolean;
  optimizedOut: boolean;
}

/** A function body, an inlined call or a block. Ranges are link-time addresses. */
export class Scope {
  readonly children: Scope[] = [];
  /** DW_TAG_call_site DIEs: what callers kept about arguments. */
  readonly callSites: Die[] = [];
  readonly variables: ScopeVariable[] = [];

  constructor(
    readonly kind: 'function' | 'inlined' | 'block',
    readonly die: Die,
    readonly parent: Scope | undefined,
    readonly ranges: readonly AddressRange[],
  ) {}

  contains(address: number): boolean {
    return this.ranges.some((range) => address >= range.low && address < range.high);
  }

  /** The first address: DW_AT_entry_pc where it is an address, else the start of the first range. */
  get entry(): number {
    const stated = this.die.isAddress(D.DW_AT_entry_pc) ? this.die.address(D.DW_AT_entry_pc) : undefined;
    return stated !== undefined && this.contains(stated) ? stated : (this.ranges[0]?.low ?? 0);
  }

  /** Scopes from this one to the innermost that contains `address`. */
  pathTo(address: number): Scope[] {
    const path: Scope[] = [this];
    for (let at: Scope | undefined = this; at; ) {
      at = at.children.find((child) => child.contains(address));
      if (at) path.push(at);
    }
    return path;
  }

  /** This scope and all below. */
  *all(): Generator<Scope> {
    yield this;
    for (const child of this.children) yield* child.all();
  }
}

/** A function with code of its own. */
export class FunctionEntry {
  private tree: Scope | undefined;
  private readonly chain: Die[];

  constructor(
    readonly unit: Unit,
    readonly die: Die,
    readonly ranges: readonly AddressRange[],
  ) {
    this.chain = originChain(die);
  }

  get name(): string {
    return this.attribute(D.DW_AT_name)?.string(D.DW_AT_name) ?? '';
  }

  /** The assembler's name where it differs (C++, or `asm("name")`). */
  get linkageName(): string | undefined {
    for (const attribute of [D.DW_AT_linkage_name, D.DW_AT_MIPS_linkage_name]) {
      const name = this.attribute(attribute)?.string(attribute);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** The first DIE of the origin chain that has the attribute. */
  attribute(attribute: number): Die | undefined {
    return withAttribute(this.chain, attribute);
  }

  get external(): boolean {
    return this.attribute(D.DW_AT_external)?.flag(D.DW_AT_external) ?? false;
  }

  get entry(): number {
    return this.ranges[0]!.low;
  }

  /** End of the range that contains the entry. */
  get end(): number {
    return this.ranges[0]!.high;
  }

  get scope(): Scope {
    this.tree ??= buildScope('function', this.die, undefined, this.ranges, 0);
    return this.tree;
  }
}

function buildScope(kind: Scope['kind'], die: Die, parent: Scope | undefined, ranges: readonly AddressRange[], depth: number): Scope {
  const scope = new Scope(kind, die, parent, ranges);
  addChildren(scope, die, depth);
  addAbstract(scope);
  return scope;
}

function addChildren(scope: Scope, die: Die, depth: number): void {
  if (depth > DEPTH_LIMIT) return;
  const { problems, source } = die.unit.dwarf;
  for (const child of die.children()) {
    switch (child.tag) {
      case D.DW_TAG_formal_parameter:
      case D.DW_TAG_variable:
        if (!child.flag(D.DW_AT_declaration)) {
          scope.variables.push({ die: child, parameter: child.tag === D.DW_TAG_formal_parameter, optimizedOut: false });
        }
        break;
      case D.DW_TAG_lexical_block:
      case D.DW_TAG_inlined_subroutine: {
        if (!child.has(D.DW_AT_low_pc) && !child.has(D.DW_AT_ranges)) {
          if (child.tag === D.DW_TAG_lexical_block) addChildren(scope, child, depth + 1); // no code of its own: its variables belong here
          break;
        }
        const ranges = problems.guard([], () => readRanges(child)).filter((range) => source.isCode(range.low));
        if (ranges.length === 0) break;
        scope.children.push(buildScope(child.tag === D.DW_TAG_lexical_block ? 'block' : 'inlined', child, scope, ranges, depth + 1));
        break;
      }
      case D.DW_TAG_call_site:
      case D.DW_TAG_GNU_call_site:
        scope.callSites.push(child);
        break;
    }
  }
}

/**
 * Adds the variables of the abstract instance that this copy does not mention: the optimizer removed them, altogether or outside of a
 * block that it made. Then puts all in the order of the source, which the abstract instance keeps and gcc's inlined copies reverse.
 */
function addAbstract(scope: Scope): void {
  const origin = scope.die.referenced(D.DW_AT_abstract_origin);
  if (!origin) return;
  const mentioned = new Set(scope.variables.map(({ die }) => die.reference(D.DW_AT_abstract_origin)));
  for (const child of origin.children()) {
    const parameter = child.tag === D.DW_TAG_formal_parameter;
    if ((!parameter && child.tag !== D.DW_TAG_variable) || mentioned.has(child.id) || child.flag(D.DW_AT_declaration)) continue;
    const hasPlace = child.has(D.DW_AT_location) || child.has(D.DW_AT_const_value);
    scope.variables.push({ die: child, parameter, optimizedOut: !hasPlace });
  }
  const order = ({ die }: ScopeVariable) => die.reference(D.DW_AT_abstract_origin) ?? die.id;
  scope.variables.sort((a, b) => order(a) - order(b));
}

/** The functions of one unit, by address. */
export class UnitFunctions {
  readonly list: FunctionEntry[] = [];
  /** All ranges, ascending, with the function they belong to. */
  private readonly ranges: { low: number; high: number; entry: FunctionEntry }[] = [];

  constructor(readonly unit: Unit) {
    const { problems, source } = unit.dwarf;
    problems.guard(undefined, () => {
      if (unit.firstDie >= unit.end) return;
      unit.scan(unit.firstDie, (abbrev, _at, offset) => {
        if (abbrev.tag === D.DW_TAG_subprogram) {
          if (abbrev.names.includes(D.DW_AT_low_pc) || abbrev.names.includes(D.DW_AT_ranges)) {
            problems.guard(undefined, () => this.add(offset, source.isCode));
          }
          return false;
        }
        return abbrev.tag === D.DW_TAG_compile_unit || abbrev.tag === D.DW_TAG_partial_unit || abbrev.tag === D.DW_TAG_namespace;
      });
    });
    for (const entry of this.list) for (const range of entry.ranges) this.ranges.push({ ...range, entry });
    this.ranges.sort((a, b) => a.low - b.low || b.high - a.high);
  }

  private add(offset: number, isCode: (address: number) => boolean): void {
    const die = this.unit.dwarf.die(this.unit.base + offset);
    const ranges = die ? readRanges(die).filter((range) => isCode(range.low)) : [];
    if (die && ranges.length > 0) this.list.push(new FunctionEntry(this.unit, die, ranges));
  }

  at(address: number): FunctionEntry | undefined {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.ranges[low - 1];
    return range && address < range.high ? range.entry : undefined;
  }

  /** Functions of that name, and inlined copies of it in all functions of the unit. */
  named(name: string): { functions: FunctionEntry[]; inlined: { scope: Scope; within: FunctionEntry }[] } {
    const functions = this.list.filter((entry) => entry.name === name || entry.linkageName === name);
    const inlined: { scope: Scope; within: FunctionEntry }[] = [];
    for (const within of this.inliners(name)) {
      for (const scope of within.scope.all()) {
        if (scope.kind === 'inlined' && nameOf(scope.die) === name) inlined.push({ scope, within });
      }
    }
    return { functions, inlined };
  }

  /** Functions that contain an inlined copy of `name`, found without opening the scopes of all. */
  private inliners(name: string): Set<FunctionEntry> {
    const { unit } = this;
    const found = new Set<FunctionEntry>();
    const isWanted = new Map<number, boolean>(); // by id of the abstract instance
    const byOffset = new Map(this.list.map((entry) => [entry.die.offset, entry]));
    let within: FunctionEntry | undefined;
    unit.dwarf.problems.guard(undefined, () => {
      if (unit.firstDie >= unit.end) return;
      unit.scan(unit.firstDie, (abbrev, at, offset) => {
        if (abbrev.tag === D.DW_TAG_subprogram) {
          const entry = byOffset.get(offset);
          if (entry) within = entry; // a declaration inside of a function does not end it
          return entry !== undefined;
        }
        if (abbrev.tag === D.DW_TAG_inlined_subroutine && within) {
          const origin = unit.referenceOf(abbrev, at, D.DW_AT_abstract_origin);
          let wanted = origin === undefined || isWanted.get(origin);
          if (wanted === undefined) {
            const die = unit.dwarf.die(origin!);
            isWanted.set(origin!, (wanted = die !== undefined && nameOf(die) === name));
          }
          if (wanted) found.add(within);
        }
        return DESCENDS.has(abbrev.tag);
      });
    });
    return found;
  }
}

const DESCENDS = new Set([
  D.DW_TAG_compile_unit,
  D.DW_TAG_partial_unit,
  D.DW_TAG_namespace,
  D.DW_TAG_lexical_block,
  D.DW_TAG_inlined_subroutine,
]);
