// Kernel modules as the kernel itself lists them: name, place, the sections of each and where they were loaded, so that a `.ko` file can be read at its place.
//
// The list is read from memory, by debug information; no breakpoint is written into the Guest to follow it. Whoever calls sync() decides when to look: the debugger does
// so at every stop, and when the kernel announces a module before it runs its first function. What it leaves out: finding files on the workstation (the adapter).

import { KernelData } from './kernel-data';
import { type Pieces, whole } from '../symbols/pieces';
import { openingProgram, type Program, type Programs } from './programs';
import type { Target } from './target';

export interface ModuleInfo {
  name: string;
  /** Linear address of the `struct module`. */
  address: number;
  core: { low: number; high: number };
  /** Code and data that is freed once the module runs; empty then. */
  init: { low: number; high: number };
  /** Where each section was loaded. */
  sections: ReadonlyMap<string, number>;
  /** live, coming, going. */
  state: string;
  program?: Program;
  /** Why there are no symbols. */
  problem?: string;
}

/** What is different since the look before. `freed`: the init part of one is gone. */
export interface ModuleChanges {
  added: ModuleInfo[];
  removed: ModuleInfo[];
  freed: boolean;
}

/** A file of the workstation. */
export interface FoundFile {
  path: string;
  bytes: Uint8Array;
}

const MOST = 500;
const MOST_SECTIONS = 256;
const STATES = ['live', 'coming', 'going'];
/** Functions that the kernel passes with a new module on its list, before the module's own first function runs. */
export const MODULE_EVENTS: readonly string[] = ['do_init_module', 'blocking_notifier_call_chain', 'free_module'];

export class Modules {
  private readonly data: KernelData;
  /** What was there at the newest sync(), in the kernel's order. */
  readonly list: ModuleInfo[] = [];
  /** Finds the `.ko` of a module. */
  find: ((name: string) => Pieces<FoundFile | undefined>) | undefined;
  /** Folders were named in which modules are looked for. */
  searched = false;

  constructor(
    target: Target,
    private readonly programs: Programs,
  ) {
    this.data = new KernelData(target, programs);
  }

  /** Whether this kernel can have modules. */
  get known(): boolean {
    return this.programs.addressOf('modules') !== undefined && this.data.field('module', 'list') !== undefined;
  }

  /** The modules as memory has them now, without symbols. */
  walk(): ModuleInfo[] {
    const { data } = this;
    const link = data.field('module', 'list');
    const head = data.address('modules');
    if (link === undefined || head === undefined || data.read32(head) === undefined || data.read32(head) === 0) return [];
    return data.list(head, link.offset, MOST).objects.map((address) => this.read(address));
  }

  private read(address: number): ModuleInfo {
    const o = this.data.at('module', address);
    const range = (low: number | undefined, size: number | undefined): { low: number; high: number } => ({
      low: low ?? 0,
      high: ((low ?? 0) + (size ?? 0)) >>> 0,
    });
    const core = range(o.number('module_core', 'core_layout.base'), o.number('core_size', 'core_layout.size'));
    const init = range(o.number('module_init', 'init_layout.base'), o.number('init_size', 'init_layout.size'));
    const state = o.number('state') ?? 0;
    return {
      name: o.text('name') ?? '?',
      address,
      core,
      init: init.low === 0 ? { low: 0, high: 0 } : init,
      sections: this.sectionsOf(address, core.low),
      state: STATES[state] ?? String(state),
    };
  }

  /** From what the kernel keeps for /sys/module/NAME/sections; without it only the text's place is known: it begins the core. */
  private sectionsOf(address: number, core: number): ReadonlyMap<string, number> {
    const { data } = this;
    const found = new Map<string, number>();
    const table = data.at('module', address).follow('module_sect_attrs', 'sect_attrs');
    const type = data.type('struct module_sect_attr');
    const first = data.field('module_sect_attrs', 'attrs');
    if (table !== undefined && type !== undefined && first !== undefined) {
      const counted = table.number('nsections') ?? this.listed(table.number('grp.attrs'));
      for (let i = 0; i < Math.min(counted, MOST_SECTIONS); i++) {
        const attr = data.at('module_sect_attr', table.address + first.offset + i * type.size);
        const name = attr.text('name');
        const at = attr.number('address');
        if (name === undefined || at === undefined || name === '') break;
        found.set(name, at);
      }
    }
    if (found.size === 0 && core !== 0) found.set('.text', core);
    return found;
  }
  /** Length of an array of pointers that a null ends. */
  private listed(array: number | undefined): number {
    let n = 0;
    while (array !== undefined && n < MOST_SECTIONS && (this.data.read32(array + 4 * n) ?? 0) !== 0) n++;
    return n;
  }

  /** Looks at the list again: opens what is new, closes what is gone. */
  sync(): ModuleChanges {
    return whole(this.syncing());
  }
  /** As sync(), in pieces. Ended early, what is not read yet has no symbols. */
  *syncing(): Pieces<ModuleChanges> {
    if (!this.known) return { added: [], removed: [], freed: false };
    let freed = false;
    const now = this.walk();
    const same = (a: ModuleInfo, b: ModuleInfo): boolean => a.address === b.address && a.name === b.name && a.core.low === b.core.low;
    const removed = this.list.filter((m) => !now.some((n) => same(m, n)));
    const added = now.filter((n) => !this.list.some((m) => same(m, n)));
    for (const m of removed) if (m.program !== undefined) this.programs.remove(m.program);
    let stop: boolean | undefined;
    for (const [i, m] of added.entries()) {
      if (stop) m.problem = 'reading it was cancelled';
      else yield* this.open(m);
      if (!stop && i + 1 < added.length) stop = yield (i + 1) / added.length;
    }
    const kept = now.map((n) => {
      const before = this.list.find((m) => same(m, n));
      if (before === undefined) return n;
      before.state = n.state;
      if (before.init.low !== n.init.low) {
        this.dropInit(before);
        freed = true;
      }
      return before;
    });
    this.list.splice(0, this.list.length, ...kept);
    return { added, removed, freed };
  }

  private *open(m: ModuleInfo): Pieces<void> {
    const file = this.find === undefined ? undefined : yield* this.find(m.name);
    if (file === undefined) {
      m.problem = this.searched ? `${m.name}.ko was not found in "modulePaths"` : 'name the folder of its .ko file in "modulePaths"';
      return;
    }
    try {
      const program = yield* openingProgram(file.bytes, file.path, 0, { sectionAddresses: m.sections });
      program.segments = [m.core, m.init].filter((r) => r.high > r.low).map((r) => ({ ...r, physicalBias: 0 }));
      m.program = program;
      this.programs.add(program);
    } catch (error) {
      m.problem = (error as Error).message;
    }
  }
  /** The kernel gave the memory of the init part back: other code may lie there. */
  private dropInit(m: ModuleInfo): void {
    const { low, high } = m.init;
    m.init = { low: 0, high: 0 };
    if (m.program !== undefined) m.program.segments = m.program.segments.filter((s) => s.low !== low || s.high !== high);
  }

  /** One line a module. */
  text(): string {
    if (!this.known) return 'this kernel has no modules (no list "modules", or no debug information)\n';
    if (this.list.length === 0) return 'no module is loaded\n';
    const hex = (n: number): string => `0x${n.toString(16).padStart(8, '0')}`;
    return this.list
      .map(
        (m) =>
          `${m.name.padEnd(20)} ${m.state.padEnd(7)} ${hex(m.core.low)}-${hex(m.core.high)} ${m.program?.path ?? `no symbols: ${m.problem ?? ''}`}\n`,
      )
      .join('');
  }
}
