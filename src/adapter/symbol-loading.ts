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

/** Tells of each damaged file once, with the first thing that was found. */
export const tellProblems = (s: Context): void => {
  const { d } = s;
  if (d === undefined) return;
  for (const program of d.allPrograms()) {
    const problems = program.symbols?.problems ?? [];
    if (problems.length === 0 || s.toldProblems.has(program.path)) continue;
    s.toldProblems.add(program.path);
    const [first] = problems;
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    s.output(
      `${first.includes(program.name) ? '' : `${program.name}: `}${first}${more} What is readable is used; "info symbols" tells what.`,
    );
  }
};
