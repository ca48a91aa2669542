// The Registers view: groups of registers and expressions, with a mark on what changed since the Guest last stood still.
//
// The comparison is with the moment at which the Guest was set running, which is what the user saw last: editors mark by what they happened to fetch before.
// Groups are the user's: `General`, `Flags`, `Segments`, `Control`, or a name with a list of registers and expressions. What it leaves out: editing (scopes.ts).

import { ExpressionError } from './expression';
import { CONTROL_REGISTERS, FLAG_BITS, isGuestRegister } from './machine-names';
import { flagNames, wordText } from './machine-rows';
import type { Debugger } from './session';
import { hex8 } from './target';
import { formatValue } from './value';

/** A row for the view. `changed`: the value is another one than at the stop before. */
export interface RegisterRow {
  label: string;
  description?: string;
  tooltip?: string;
  expanded?: boolean;
  changed?: boolean;
  /** What sets it in the console, when something does. */
  evaluateName?: string;
  children?: RegisterRow[];
}
export type RegisterGroup = string | { name: string; registers: string[] };

const GROUPS: Readonly<Record<string, (d: Debugger) => string[]>> = {
  General: () => ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip', 'eflags'],
  Flags: () => Object.keys(FLAG_BITS).map((flag) => `eflags.${flag}`),
  Segments: () => ['cs', 'ss', 'ds', 'es', 'fs', 'gs'],
  Control: (d) => [
    ...['cr0', 'cr3', 'cr4'],
    ...(d.target.host === undefined ? ['cr2'] : ['cr2.hw', 'cr2.host', 'cr2.guest', 'lg.gpgdir', 'lg.ts', 'virt.irq_enabled']),
  ],
};
export const BUILT_IN_GROUPS: readonly string[] = Object.keys(GROUPS);
const MOST_ROWS = 500;

/** Checks what a setting says. @throws ExpressionError with one line. */
export const parseGroups = (given: unknown): RegisterGroup[] => {
  if (given === undefined || (Array.isArray(given) && given.length === 0)) return [...BUILT_IN_GROUPS];
  if (!Array.isArray(given)) throw new ExpressionError('register groups must be a list');
  return given.map((g: unknown): RegisterGroup => {
    if (typeof g === 'string') {
      if (!Object.hasOwn(GROUPS, g))
        throw new ExpressionError(`"${g}" is no group: ${BUILT_IN_GROUPS.join(', ')}, or { "name", "registers" }`);
      return g;
    }
    const { name, registers } = (typeof g === 'object' && g !== null ? g : {}) as { name?: unknown; registers?: unknown };
    if (typeof name !== 'string' || !Array.isArray(registers) || !registers.every((r) => typeof r === 'string'))
      throw new ExpressionError(`a register group is ${BUILT_IN_GROUPS.join(', ')} or { "name", "registers" }, not ${JSON.stringify(g)}`);
    return { name, registers: registers.slice(0, MOST_ROWS) };
  });
};

export class RegistersView {
  /** What was asked for last; undefined: nobody has a view. */
  private groups: RegisterGroup[] | undefined;
  /** By name, when the Guest was last set running. */
  private before: Map<string, string> | undefined;

  /** The Guest is about to run: what stands in the registers now is what the next stop is compared with. */
  remember(d: Debugger): void {
    if (this.groups === undefined) return;
    this.before = new Map(this.groups.flatMap((g) => namesOf(d, g)).map((name) => [name, shownValue(d, name)]));
  }
  /** Another run: nothing to compare with. */
  forget(): void {
    this.before = undefined;
  }

  tree(d: Debugger, groups: RegisterGroup[]): RegisterRow[] {
    this.groups = groups;
    return groups.map((g, n) => {
      const children = namesOf(d, g).map((name) => this.row(d, name));
      const changes = children.filter((r) => r.changed).length;
      return {
        label: typeof g === 'string' ? g : g.name,
        ...(changes === 0 ? {} : { description: `${changes} changed` }),
        expanded: n === 0,
        children,
      };
    });
  }

  private row(d: Debugger, name: string): RegisterRow {
    const value = shownValue(d, name);
    const old = this.before?.get(name);
    const row: RegisterRow = { label: name, description: value, evaluateName: sourceOf(name) };
    if (old === undefined) return row;
    row.tooltip = old === value ? `${name} ${value}\nas at the stop before` : `${name} ${value}\nat the stop before: ${old}`;
    if (old !== value) row.changed = true;
    return row;
  }
}

const namesOf = (d: Debugger, g: RegisterGroup): string[] => (typeof g === 'string' ? (GROUPS[g]?.(d) ?? []) : g.registers);
/** Plain register names are registers, whatever the program calls its variables. */
const sourceOf = (name: string): string =>
  /^(e?[abcd]x|e?[sd]i|e?[bs]p|eip|eflags|[abcd][hl]|[c-gs]s|cr[0-4])$/.test(name) ? `$${name}` : name;

const shownValue = (d: Debugger, name: string): string => {
  const { target, programs } = d;
  if (isGuestRegister(name)) {
    const value = target.register(name);
    if (d.formats.has(`$${name}`)) return wordText(d, `$${name}`, value);
    if (name === 'eflags') return `${hex8(value)} [${flagNames(value)}]`;
    if (/^[c-gs]s$/.test(name)) return `0x${value.toString(16).padStart(4, '0')}`;
    const symbol = value < 0x1000 ? undefined : programs.nameOf(value);
    return symbol === undefined ? hex8(value) : `${hex8(value)} ${symbol}`;
  }
  const flag = /^eflags\.(\w+)$/.exec(name)?.[1];
  if (flag !== undefined && Object.hasOwn(FLAG_BITS, flag)) return target.register('eflags') & FLAG_BITS[flag] ? '1' : '0';
  if (Object.hasOwn(CONTROL_REGISTERS, name)) return hex8(target.processor.cpu.m32[CONTROL_REGISTERS[name]]);
  try {
    const { value, env, format } = d.evaluate(sourceOf(name), undefined, false);
    const letter = format.letter ?? d.formats.get(sourceOf(name));
    return formatValue(value, d.valueContext(env), letter === undefined ? format : { ...format, letter });
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return error.message;
  }
};
