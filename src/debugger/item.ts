// A row of what a frame shows: a named text that may be opened, changed, watched and led to.
//
// Numbering, as a protocol needs it, is the adapter's. What it leaves out: which rows there are (scopes.ts, machine-rows.ts, host-rows.ts).

import { stripType } from '../symbols/dwarf/types';
import { evaluate, parse, store, type Value } from './expression';
import type { FrameEnvironment } from './frame-environment';
import { hex8 } from './target';
import { children, type Format, formatValue, hasChildren, PLAIN_FORMAT, typeText, type ValueContext } from './value';
import type { TreeRow } from './views';

export interface Item {
  name: string;
  value: string;
  type?: string;
  evaluateName?: string;
  /** Worth more than a millisecond: its value is worked out when it is opened. */
  lazy?: boolean;
  /** Linear address of what the value is or points to. */
  memory?: number;
  /** Where the source declares it. */
  declared?: { file: string; line: number };
  /** The value is a place in code. */
  code?: number;
  /** Parts; `indexed`: how many numbered ones, fetched by range. */
  open?: (start: number, count: number) => Item[];
  indexed?: number;
  /** Changes the value. Throws ExpressionError or Error with one line. */
  set?: (text: string) => void;
  /** Data breakpoint that this row offers. */
  watch?: { id: string; description: string; bytes?: number };
}

/** A C value as a row. */
export const valueItem = (
  name: string,
  evaluateName: string | undefined,
  v: Value,
  context: ValueContext,
  given: Format,
  assign?: (text: string) => void,
): Item => {
  const chosen = given.letter === undefined && evaluateName !== undefined ? context.formatOf?.(evaluateName) : undefined;
  const format = chosen === undefined ? given : { ...given, letter: chosen };
  const named = format.letter === undefined ? context.printers?.named(name, v) : undefined;
  const item: Item = { name, value: named ?? formatValue(v, context, format), type: typeText(v.type) };
  if (evaluateName !== undefined) item.evaluateName = evaluateName;
  const isPointer = item.type?.endsWith('*') ?? false;
  if (isPointer) item.memory = Number(BigInt.asUintN(32, v.bits));
  const code = codeOf(v, format);
  if (code !== undefined) item.code = code;
  else if (v.address !== undefined) item.memory = v.address;
  if (v.address !== undefined && v.missing === undefined && v.bitSize === undefined) {
    const bytes = Math.max(1, v.bytes?.length ?? 4);
    item.watch = {
      id: `mem:v:${hex8(v.address)}:${Math.min(bytes, sizeFor(v))}`,
      description: `${evaluateName ?? name}: ${sizeFor(v)} bytes at ${hex8(v.address)}`,
    };
  }
  if (v.part !== undefined && v.missing === undefined)
    item.watch = {
      id: `reg:${v.part.register}${v.part.offset === 0 && isWhole(v) ? '' : `@${v.part.offset}:${sizeFor(v)}`}`,
      description: evaluateName ?? name,
    };
  const isPlace = v.address !== undefined || v.register !== undefined || (v.part !== undefined && !hasChildren(v, PLAIN_FORMAT));
  if (assign !== undefined && v.missing === undefined && isPlace) item.set = assign;
  if (hasChildren(v, format)) {
    const { total } = children(v, context, format, 0, 0);
    item.open = (start, count) =>
      children(v, context, format, start, count).items.map((c) => {
        const path =
          evaluateName === undefined || c.path === ''
            ? c.expression
            : c.path === '*'
              ? `*(${evaluateName})`
              : `${needsParens(evaluateName) ? `(${evaluateName})` : evaluateName}${c.path}`;
        return valueItem(
          c.name,
          path ?? evaluateName,
          c.value,
          context,
          { ...given, count: undefined },
          path === undefined ? undefined : assign && ((text) => assignText(context, c.value, text)),
        );
      });
    if (total > 100 || item.type?.endsWith(']')) item.indexed = total;
  }
  return item;
};
/** The place in code that a value names: functions, pointers to them, and whatever is shown as a place. */
const codeOf = (v: Value, format: Format): number | undefined => {
  const t = stripType(v.type);
  if (v.missing !== undefined) return undefined;
  if (t.kind === 'function') return v.address;
  const at = Number(BigInt.asUintN(32, v.bits));
  const isCode = t.kind === 'pointer' ? stripType(t.target).kind === 'function' : t.kind === 'base' && t.size === 4;
  return at !== 0 && (t.kind === 'pointer' ? isCode || format.letter === 'i' : isCode && (format.letter === 'i' || format.letter === 'p'))
    ? at
    : undefined;
};
/** The register, not one of the ways in which it is seen. */
const isWhole = (v: Value): boolean => v.type.kind === 'union';
const sizeFor = (v: Value): number => Math.max(1, 'size' in v.type ? v.type.size : 4);
const needsParens = (expression: string): boolean => !/^[\w$.>\-[\]:']+$/.test(expression) || expression.startsWith('-');

/** A row of a tree as an item that opens. */
export const fromRow = (r: TreeRow): Item => ({
  name: r.label,
  value: r.description ?? '',
  ...(r.children === undefined || r.children.length === 0 ? {} : { open: () => (r.children ?? []).map(fromRow) }),
});

const assignText = (context: ValueContext, to: Value, text: string): void => {
  const env = context.env as FrameEnvironment;
  store(
    env,
    to,
    evaluate(
      parse(text, (name) => env.type(name) !== undefined),
      env,
    ),
  );
};
