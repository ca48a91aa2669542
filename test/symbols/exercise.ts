// Every question that a debugger asks of a program, for programs that are damaged.
import assert from 'node:assert/strict';
import { SymbolError } from '../../src/symbols/errors';
import { declaration } from '../../src/symbols/dwarf/type-names';
import { type Type, stripType } from '../../src/symbols/dwarf/types';
import { fetchBytes } from '../../src/symbols/dwarf/value';
import { type ProgramSymbols, loadProgram } from '../../src/symbols/program-symbols';
import { frameOf } from './fixture';

function walkType(type: Type, depth: number): number {
  if (depth > 6) return 0;
  let count = 1;
  void type.size;
  declaration(type, 'x');
  const plain = stripType(type);
  if (plain.kind === 'pointer') count += walkType(plain.target, depth + 2);
  if (plain.kind === 'array') count += walkType(plain.element, depth + 1);
  if (plain.kind === 'enum') count += plain.enumerators.length;
  if (plain.kind === 'function') for (const parameter of plain.parameters) count += walkType(parameter.type, depth + 2);
  if (plain.kind === 'struct' || plain.kind === 'union')
    for (const member of plain.members.slice(0, 30)) count += walkType(member.type, depth + 1);
  return count;
}

/** Asks everything that a debugger asks, some thousand questions. @returns the program, when there is one. Throws SymbolError when there is not. */
export function exercise(bytes: Uint8Array): ProgramSymbols {
  const program = loadProgram(bytes, { name: 'damaged' });
  const words: Record<number, number> = {};
  for (let at = 0x8f00; at < 0x9100; at += 4) words[at] = 0xc0100010 + at;
  const frame = (pc: number) =>
    frameOf({ eip: pc, esp: 0x9000, ebp: 0x9010, eax: 1, ebx: 2, ecx: 3, edx: 4, esi: 5, edi: 6 }, words, {
      caller: () => frameOf({ eip: 0xc0100140, esp: 0x9020, ebp: 0x9030 }, words, { afterCall: true }),
    });
  for (const pattern of ['work', 'clamp', 'make_opaque', '*']) {
    for (const info of program.functionsNamed(pattern).slice(0, 40)) {
      void info.postPrologue;
      if (info.type) walkType(info.type, 0);
      for (const pc of [info.entry, info.entry + 9, info.ranges[0]!.high - 1]) {
        program.inlineChain(pc);
        program.lineRange(pc);
        program.unwindFrame(frame(pc));
        for (const variable of program.variablesAt(pc)) {
          walkType(variable.type, 2);
          const location = variable.locate(frame(pc));
          fetchBytes(location, Math.min(variable.type.size, 4096), frame(pc));
          if (location.kind === 'implicit-pointer') program.variableOf(location, pc);
        }
      }
    }
  }
  for (const file of ['main.c', 'shapes.h', 'entry.S']) {
    for (const line of [1, 20, 53]) program.locationsForLine(file, line);
    program.breakpointLocations(file, 1, 80);
  }
  for (const name of ['counter', "'other.c'::hidden", 'twice::calls', 'square']) {
    for (const variable of program.globals(name)) walkType(variable.type, 0);
  }
  for (const name of ['struct shape', 'union word', 'enum level', 'u64', 'unsigned long']) {
    const type = program.typeNamed(name, 0xc0100000);
    if (type) walkType(type, 0);
  }
  program.enumerator('BLUE');
  program.sourceFiles();
  program.compilationUnits();
  program.staticsAt(0xc0100000);
  program.completions('a');
  assert.ok(program.problems.length <= 100 && program.problems.every((problem) => !problem.includes('\n')));
  return program;
}

/** Seconds of the processor that one damaged program may take for all that is asked of it. */
const SLOWEST = 2;

/** Exercises a damaged program: an answer or a SymbolError, and in time. @returns the program, when it could be opened. */
export function survive(what: string, bytes: Uint8Array): ProgramSymbols | undefined {
  const started = process.cpuUsage().user;
  let program: ProgramSymbols | undefined;
  try {
    program = exercise(bytes);
  } catch (error) {
    if (!(error instanceof SymbolError)) throw new Error(`${what} caused ${(error as Error).stack}`);
    assert.doesNotMatch(error.message, /\n/);
  }
  const seconds = (process.cpuUsage().user - started) / 1e6;
  assert.ok(seconds < SLOWEST, `${what} took ${seconds} s`);
  return program;
}
