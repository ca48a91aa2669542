// What the kernel loads while it runs: its modules, the programs of its processes, and the names of a kernel that came without files.
//
// Places in the kernel's code tell when to look; breakpoints are bound again then. What modules and programs are is modules.ts and user-programs.ts.

import { type Pieces, whole } from '../symbols/pieces';
import type { Breakpoint, Breakpoints } from './breakpoints';
import { MODULE_EVENTS, type ModuleInfo, type Modules } from './modules';
import { type Program, type Programs, programInMemory } from './programs';
import type { Target } from './target';
import type { Tasks } from './tasks';
import { EXEC_FUNCTIONS, type UserPrograms } from './user-programs';

/** What this needs of the debugger. */
export interface FollowingOwner {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
  readonly modules: Modules;
  readonly userPrograms: UserPrograms;
  readonly breakpoints: Breakpoints;
  onModule: (module: ModuleInfo, what: 'new' | 'removed') => void;
  onNames: (program: Program) => void;
  onBound: (b: Breakpoint) => void;
  prepare(b: Breakpoint): void;
  /** Does work in pieces, so that whoever asks is answered meanwhile; it can be ended early there. */
  inPieces<T>(title: string, pieces: Pieces<T>): T | Promise<T>;
  /** Other names are known now, before breakpoints look for their places. */
  namesChanged(): void;
}

export class Following {
  /** No file gave names: they are looked for in the Guest's memory once its kernel is there. */
  namesWanted: boolean;

  constructor(private readonly d: FollowingOwner) {
    this.namesWanted = d.programs.list.length === 0 && d.target.guestMemory !== undefined;
  }

  /** After the Guest's first hypercall its kernel is unpacked: its own symbol table can be read. */
  async lookForNames(): Promise<void> {
    this.namesWanted = false;
    const memory = this.d.target.guestMemory?.();
    const program =
      memory === undefined ? undefined : await this.d.inPieces("Looking for names in the Guest's memory", programInMemory(memory));
    if (program === undefined) return;
    this.d.programs.add(program);
    this.d.onNames(program);
    this.bindAgain();
    this.follow();
  }

  /** Places in the kernel that are watched for the debugger's own sake: nothing stops there. */
  readonly hooks = new Map<number, () => void>();

  private hook(address: number, act: () => void): void {
    if (this.hooks.has(address)) return;
    this.hooks.set(address, act);
    this.d.target.processor.addBreakpoint(address);
  }
  /** Follows modules and user programs from now on. Called once their files can be found, and when new names are known. */
  follow(): void {
    const { programs, modules, userPrograms, tasks } = this.d;
    const entries = (names: readonly string[]): number[] =>
      names.flatMap((name) =>
        programs.list.flatMap((p) => (p.table.named(name) === undefined ? [] : [(p.table.named(name)?.address ?? 0) + p.offset])),
      );
    const look = (): void => {
      this.due = true;
    };
    if (modules.searched && modules.known) for (const at of entries(MODULE_EVENTS)) this.hook(at >>> 0, look);
    if (userPrograms.find !== undefined && tasks.known)
      for (const at of entries(EXEC_FUNCTIONS))
        this.hook(at >>> 0, () => {
          const back = this.d.target.read32(this.d.target.register('esp'));
          if (back !== undefined) this.hook(back, look);
        });
    this.lookNow();
  }
  /** A hook was met: what the kernel has loaded is to be looked at before it goes on. */
  due = false;
  /** Looks at what the kernel has loaded; breakpoints find their places in what is new. Cheap when nothing is. */
  loaded(): void | Promise<void> {
    this.due = false;
    if (!this.wanted) return;
    return this.d.inPieces('Reading symbols of what the Guest has loaded', this.look());
  }
  /** As loaded(), at once. */
  lookNow(): void {
    whole(this.look());
  }
  /** Unless this, nobody asked for modules, and to know what one is would cost a pass over all names. */
  private get wanted(): boolean {
    const { modules, userPrograms, tasks } = this.d;
    return modules.searched || userPrograms.wanted || tasks.ready;
  }
  /** A look on its way is joined: two would open the same file twice. */
  private current: Pieces<void> | undefined;
  private look(): Pieces<void> {
    this.current ??= this.onlyOne();
    return this.current;
  }
  private *onlyOne(): Pieces<void> {
    try {
      yield* this.looking();
    } finally {
      this.current = undefined;
    }
  }
  private *looking(): Pieces<void> {
    if (!this.wanted) return;
    const { modules, userPrograms } = this.d;
    const { added, removed, freed } = yield* modules.syncing();
    const programs = userPrograms.sync();
    if (added.length === 0 && removed.length === 0 && !freed && !programs) return;
    for (const m of removed) this.d.onModule(m, 'removed');
    for (const m of added) this.d.onModule(m, 'new');
    this.bindAgain();
  }
  private bindAgain(): void {
    const { d } = this;
    d.namesChanged();
    for (const b of [...d.breakpoints]) if (d.breakpoints.rebind(b, (x) => d.prepare(x))) d.onBound(b);
  }
}
