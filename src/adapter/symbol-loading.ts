// Symbols when they are wanted: passes over a whole file are made before the request that needs them, in pieces; and what is wrong with a file is told once.
//
// A small file is read within the request and nobody notices. What it leaves out: opening files at launch (launch.ts), doing work in pieces (jobs.ts).

import type { Program } from '../debugger/programs';
import type { Pieces } from '../symbols/pieces';
import type { Context } from './context';
import { loading } from './jobs';
import type { Arguments, Job } from './requests';

/** Requests that ask for names of any unit, and those that ask which units have a source file. */
const NAMES = new Set(['setFunctionBreakpoints', 'evaluate', 'completions', 'setExpression', 'dataBreakpointInfo', 'setDataBreakpoints']);
const LINES = new Set(['setBreakpoints', 'breakpointLocations', 'gotoTargets', 'loadedSources']);

function* passes(wanted: readonly Program[], names: boolean): Pieces<void> {
  for (const { symbols } of wanted) if (symbols !== undefined) yield* names ? symbols.indexing() : symbols.listingSources();
}

/** Makes the pass that a request needs. @returns undefined when there is nothing to wait for. */
export const prepared = (s: Context, command: string, args: Arguments, job: Job): Promise<void> | undefined => {
  const names = NAMES.has(command);
  if (s.d === undefined || (!names && !LINES.has(command))) return undefined;
  const wanted = s.d.programs.list.filter((p) => p.symbols !== undefined && !(names ? p.symbols.indexed : p.symbols.hasSources));
  if (wanted.length === 0) return undefined;
  // A register, a number or a bare command needs no names.
  if (command === 'evaluate' && /^\s*(?:\$\w*|0x[\da-f]+|\d+|[a-z]{1,4}|help|when|page .*)\s*$/i.test(String(args.expression)))
    return undefined;
  const title = `Reading symbols of ${wanted.map((p) => p.name).join(', ')}`;
  const done = loading(s, title, passes(wanted, names), job);
  return done instanceof Promise ? done : undefined;
};

/** Tells of each damaged file once, with the first thing that was found, and of each reading that was cancelled. */
export const tellProblems = (s: Context): void => {
  const { d } = s;
  if (d === undefined) return;
  for (const { name, path, symbols } of d.allPrograms()) {
    if (symbols === undefined || symbols.problems.length === 0) continue;
    for (const text of symbols.leftOut) {
      if (s.toldCancelled.get(text) === symbols) continue;
      s.toldCancelled.set(text, symbols);
      s.output(text);
    }
    const [first, ...others] = symbols.problems.slice(symbols.leftOut.length);
    if (first === undefined || s.toldProblems.has(path)) continue;
    s.toldProblems.add(path);
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    s.output(`${first.includes(name) ? '' : `${name}: `}${first}${more} What is readable is used; "info symbols" tells what.`);
  }
};
