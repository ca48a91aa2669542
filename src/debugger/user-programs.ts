// Symbols of the Guest's user programs: what the current process maps, found by path in a `sysroot`, or named in the launch configuration for a process by name.
//
// Every process has its own programs at the same addresses, so what counts is decided by the task on the processor (or the one looked at). Files are opened once.
// What it leaves out: reading files of the workstation (the adapter) and the tasks themselves (tasks.ts).

import type { FoundFile } from './modules';
import { openProgram, type Program, Programs } from './programs';
import type { Mapping, Task, Tasks } from './tasks';

/** Functions of the kernel that have made a new program's mappings when they return. */
export const EXEC_FUNCTIONS: readonly string[] = ['load_elf_binary'];
const ET_DYN = 3;
const KEPT = 64;
const VDSO_MOST = 0x4000;

export class UserPrograms {
  /** Finds a file of the Guest by its path there. */
  find: ((guestPath: string) => FoundFile | undefined) | undefined;
  /** Programs named for processes of a name. */
  readonly named: { program: Program; process: string }[] = [];
  onProblem: (text: string) => void = () => {};
  /** Everything that was opened by path, so that breakpoints know it also while another process runs. */
  readonly opened = new Map<string, Program | undefined>();
  /** Programs by file and place, so that the same one stays the same object. */
  private readonly placed = new Map<string, Program>();

  constructor(
    private readonly tasks: Tasks,
    private readonly programs: Programs,
  ) {}

  get wanted(): boolean {
    return this.find !== undefined || this.named.length > 0;
  }

  /** Programs of a task, at their places. Empty for kernel threads. */
  of(task: Task): Program[] {
    if (!this.wanted || task.mm === 0) return [];
    const named = this.named.filter((n) => n.process === task.comm).map((n) => n.program);
    if (this.find === undefined) return named;
    const found = this.tasks.mappings(task.mm).flatMap((m) => this.program(m));
    return [...named, ...found];
  }

  private program(m: Mapping): Program[] {
    if (m.executable && m.file === undefined) return this.inMemory(m);
    if (!m.executable || !m.file?.startsWith('/')) return [];
    const path = m.file;
    if (!this.opened.has(path)) this.opened.set(path, this.open(path));
    const base = this.opened.get(path);
    if (base === undefined) return [];
    if (base.symbols?.elf.type !== ET_DYN) return [base];
    const segment = base.symbols.elf.segments.find(
      (s) => s.type === 1 && m.offset >= (s.offset & ~0xfff) && m.offset < s.offset + s.fileSize,
    );
    const offset = segment === undefined ? 0 : (m.start - ((segment.vaddr & ~0xfff) + (m.offset - (segment.offset & ~0xfff)))) >>> 0;
    return [this.at(path, base, offset)];
  }
  private at(name: string, base: Program, offset: number): Program {
    const key = `${name}@${offset}`;
    let found = this.placed.get(key);
    if (found === undefined) {
      if (this.placed.size >= KEPT) this.placed.clear();
      this.placed.set(key, (found = base.offset === offset ? base : { ...base, offset }));
    }
    return found;
  }

  /** The kernel's own page in every process (vDSO) is an ELF file in memory, with call frame information for the way into the kernel. */
  private inMemory(m: Mapping): Program[] {
    this.vdso ??= this.readVdso(m);
    if (this.vdso === undefined) return [];
    const low = this.vdso.segments[0]?.low ?? 0;
    return [this.at('[vdso]', this.vdso, (m.start - (low & ~0xfff)) >>> 0)];
  }
  private vdso: Program | undefined;
  private readVdso(m: Mapping): Program | undefined {
    const bytes = this.tasks.target.read(m.start, Math.min(m.end - m.start, VDSO_MOST));
    if (bytes.length < 52 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) return undefined;
    try {
      return openProgram(bytes, '[vdso]');
    } catch {
      return undefined;
    }
  }
  private open(path: string): Program | undefined {
    const file = this.find?.(path);
    if (file === undefined) return undefined;
    try {
      const program = openProgram(file.bytes, file.path);
      program.guestPath = path;
      return program;
    } catch (error) {
      this.onProblem((error as Error).message);
      return undefined;
    }
  }

  /** Takes over the programs of the task on the processor. @returns whether a program was seen for the first time. */
  sync(): boolean {
    if (!this.wanted || !this.tasks.known) return false;
    const before = this.opened.size;
    const task = this.tasks.current();
    this.programs.setUser(task === undefined ? [] : this.of(task));
    this.programs.setKnown([...this.named.map((n) => n.program), ...[...this.opened.values()].filter((p) => p !== undefined)]);
    return this.opened.size !== before;
  }

  /** Names as another task sees them. */
  view(task: Task): Programs {
    const view = new Programs(this.programs.list);
    view.setUser(this.of(task));
    return view;
  }

  /** Whether the task on the processor has a program: what a breakpoint in it asks. */
  isCurrent(program: Program): boolean {
    const task = this.tasks.current();
    if (task === undefined) return false;
    return this.named.some((n) => n.program === program && n.process === task.comm) || this.of(task).some((p) => p.path === program.path);
  }
}
