// Source files of the whole program: which units mention a file, and which files a path typed by the user can mean.
// Built once from the headers of all line tables; each path is kept once although hundreds of units mention it.
// Paths on the developer's machine differ from those in the file, so a path matches by its longest common end.

import type { Pieces } from '../pieces';
import type { Dwarf } from './dwarf';
import { filePath, joinPath, readLineHeader } from './line';
import type { Unit } from './unit';

/** A unit that mentions a file, and the file's number in that unit's line table. */
export interface FileUse {
  unit: Unit;
  file: number;
}

const FILES_PER_UNIT = 0x10000;

const MOST_SHARING = 16;

export class SourceIndex {
  readonly paths: string[] = [];
  private readonly ids = new Map<string, number>();
  /** By path id: unit index * FILES_PER_UNIT + file number. */
  private readonly users: number[][] = [];
  private byBasename: Map<string, number[]> | undefined;

  /** Joining and tidying a path costs more than finding it: directory, then name, to path id. */
  private known = new Map<string, Map<string, number>>();
  /** Units by line table. */
  private readonly sharing = new Map<number, number>();
  /** Units gone through so far. */
  private next = 0;

  constructor(private readonly dwarf: Dwarf) {}

  get complete(): boolean {
    return this.next >= this.dwarf.units.length;
  }
  /** The pass over all line tables' headers, in pieces. Several may drive it; ended early, the files of the rest are not known. */
  *building(): Pieces<void> {
    const { dwarf } = this;
    while (!this.complete) {
      this.addUnit(dwarf.units[this.next++]!);
      if ((yield this.next / dwarf.units.length) && !this.complete) {
        dwarf.problems.leave(
          `Reading source files was cancelled: those of ${this.next} of ${dwarf.units.length} line tables are known; restart to read all.`,
        );
        this.next = dwarf.units.length;
      }
    }
    this.known = new Map();
  }

  private addUnit(unit: Unit): void {
    const { dwarf, known } = this;
    const { lineOffset } = unit;
    if (lineOffset === undefined || unit.signature !== undefined) return;
    // Units may share a table, which need not be run for each of them.
    const sharing = (this.sharing.get(lineOffset) ?? 0) + 1;
    this.sharing.set(lineOffset, sharing);
    if (sharing > MOST_SHARING) return;
    const header = dwarf.problems.guard(undefined, () => readLineHeader(dwarf, lineOffset, unit.addressSize));
    if (!header) return;
    const { directory, name } = unit;
    const folders = header.directories.map((folder) => this.folder(known, joinPath(directory, folder)));
    for (let file = 0; file < header.files.length; file++) {
      const entry = header.files[file];
      if (!entry) continue;
      const folder = folders[entry.directory];
      let id = folder?.get(entry.name);
      if (id === undefined) {
        const path = filePath(header, file, directory, name);
        if (path === undefined) continue;
        id = this.idOf(path);
        folder?.set(entry.name, id);
      }
      const users = this.users[id]!;
      const use = unit.index * FILES_PER_UNIT + file;
      if (users[users.length - 1] !== use) users.push(use);
    }
  }

  private folder(known: Map<string, Map<string, number>>, path: string): Map<string, number> {
    let folder = known.get(path);
    if (!folder) known.set(path, (folder = new Map()));
    return folder;
  }

  private idOf(path: string): number {
    let id = this.ids.get(path);
    if (id === undefined) {
      id = this.paths.length;
      this.ids.set(path, id);
      this.paths.push(path);
      this.users.push([]);
    }
    return id;
  }

  usesOf(path: string): FileUse[] {
    const id = this.ids.get(path);
    if (id === undefined) return [];
    return this.users[id]!.map((use) => ({ unit: this.dwarf.units[Math.floor(use / FILES_PER_UNIT)]!, file: use % FILES_PER_UNIT }));
  }

  /** The program's paths that share the longest end with `path` (at least the file name); case is ignored only when nothing else fits. */
  match(path: string): string[] {
    const wanted = joinPath('', path);
    if (this.ids.has(wanted)) return [wanted];
    return this.bestMatch(wanted, (text) => text) ?? this.bestMatch(wanted, (text) => text.toLowerCase()) ?? [];
  }

  private bestMatch(path: string, fold: (text: string) => string): string[] | undefined {
    const wanted = fold(path).split('/').reverse();
    if (!this.byBasename) {
      this.byBasename = new Map();
      for (const [id, known] of this.paths.entries()) {
        const base = basename(known).toLowerCase();
        const list = this.byBasename.get(base);
        if (list) list.push(id);
        else this.byBasename.set(base, [id]);
      }
    }
    let best = 1;
    let found: string[] = [];
    for (const id of this.byBasename.get(wanted[0]!.toLowerCase()) ?? []) {
      const known = fold(this.paths[id]!).split('/').reverse();
      let common = 0;
      while (common < wanted.length && common < known.length && wanted[common] === known[common]) common++;
      if (common < best) continue;
      if (common > best) found = [];
      best = common;
      found.push(this.paths[id]!);
    }
    return found.length > 0 ? found : undefined;
  }
}

export function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
