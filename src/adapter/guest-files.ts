// Files of the workstation that belong to what the Guest loads: kernel modules in "modulePaths", user programs below "sysroot".
//
// Folders are listed once, when the first module is looked for. What it leaves out: what is read from the files (debugger/modules.ts, debugger/user-programs.ts).

import type { FoundFile } from '../debugger/modules';
import { openProgram } from '../debugger/programs';
import type { Debugger } from '../debugger/session';
import type { Pieces } from '../symbols/pieces';
import type { Context } from './context';
import { type Files, type LaunchArguments, readFile } from './launch';
import { moduleOf, moduleOfKernel } from './modules';

const MOST_FILES = 50_000;
const DEPTH = 16;

/** Module names have underscores where file names may have dashes. */
const normal = (name: string): string => name.replace(/-/g, '_');

/** Every `.ko` below some folders, by the module's name. */
function* moduleIndex(files: Files, paths: readonly string[]): Pieces<Map<string, string>> {
  const found = new Map<string, string>();
  let seen = 0;
  const note = (path: string, name: string): void => {
    const m = /^(.+)\.ko(?:\.debug)?$/.exec(name);
    if (m !== null && !found.has(normal(m[1]))) found.set(normal(m[1]), path);
  };
  let stop: boolean | undefined;
  function* walk(folder: string, depth: number): Pieces<void> {
    stop ||= yield seen / MOST_FILES;
    for (const entry of files.list?.(folder) ?? []) {
      if (stop || ++seen > MOST_FILES) return;
      const path = files.join(folder, entry.name);
      if (entry.folder) {
        if (depth < DEPTH) yield* walk(path, depth + 1);
      } else note(path, entry.name);
    }
  }
  for (const path of paths) {
    if (path.endsWith('.ko')) note(path, path.split(/[\\/]/).pop() ?? path);
    else yield* walk(path, 0);
  }
  return found;
}

/**
 * Where a file of the Guest lies below the sysroot, or undefined. The path is what the Guest's memory says, so it may be anything: one that would lead out of the
 * sysroot has no file.
 */
export const belowSysroot = (files: Pick<Files, 'join'>, sysroot: string, guestPath: string): string | undefined => {
  const parts = guestPath.split(/[\\/]/);
  return parts.includes('..') || guestPath.includes('\0') ? undefined : files.join(sysroot, parts.filter((x) => x !== '').join('/'));
};

/** Lets a debugger find what the Guest loads, and tells the client of it. */
export const connectGuestFiles = (s: Context, d: Debugger, a: LaunchArguments): void => {
  const { files } = s;
  const read = (path: string): FoundFile | undefined => {
    try {
      return { path, bytes: files.read(path) };
    } catch {
      return undefined;
    }
  };
  if (a.modulePaths.length > 0) {
    let index: Map<string, string> | undefined;
    d.modules.searched = true;
    d.modules.find = function* (name) {
      index ??= yield* moduleIndex(files, a.modulePaths);
      const path = index.get(normal(name));
      return path === undefined ? undefined : read(path);
    };
  }
  d.onModule = (m, what) => {
    s.event('module', { reason: what, module: moduleOfKernel(m) });
    if (what === 'new' && m.program === undefined && d.modules.searched)
      s.output(`No symbols for module ${m.name}: ${m.problem ?? 'no file'}.`);
  };
  const { sysroot } = a;
  if (sysroot !== undefined)
    d.userPrograms.find = (path) => {
      const file = belowSysroot(files, sysroot, path);
      return file === undefined ? undefined : read(file);
    };
  d.userPrograms.onProblem = (text) => s.output(text);
  for (const { file, offset, process } of a.symbolFiles) {
    if (process === undefined) continue;
    try {
      const program = openProgram(readFile(files, 'symbolFiles', file), file, offset);
      d.userPrograms.named.push({ program, process });
      s.event('module', { reason: 'new', module: moduleOf(program) });
    } catch (error) {
      s.output((error as Error).message);
    }
  }
  d.follow();
};
