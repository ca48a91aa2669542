// How values look: one line of text for a value, and its parts for those who open it.
//
// One format grammar serves variables, watches, hovers, logpoints and the console: a comma, then a letter (x d u o b c s p i, f floating point, y bytes, Y bytes and
// text) or [n]. Text holds the value only,
// never decorations, because editors mark a changed text. What it leaves out: where values come from (expression.ts).

import { typeName } from '../symbols/dwarf/type-names';
import { type Member, type Type, stripType } from '../symbols/dwarf/types';
import { type Environment, load, member, partOf, realFromBytes, toLittleEndian, UINT, type Value } from './expression';

export interface Format {
  letter: string | undefined;
  /** `,[n]`: so many elements from there. */
  count: number | undefined;
}
export const PLAIN_FORMAT: Format = { letter: undefined, count: undefined };

/** Letters of formats. */
export const FORMAT_LETTERS = 'xduobcspifyY';

/** Splits `expr,fmt`. A comma inside brackets or text is not a format. */
export const splitFormat = (text: string): { expression: string; format: Format } => {
  const m = /^(.*),\s*(?:\[(\d+)\])?\s*([xduobcsphifyY]|hex)?\s*$/s.exec(text);
  if (m === null || (m[2] === undefined && m[3] === undefined)) return { expression: text, format: PLAIN_FORMAT };
  const depth = [...m[1]].reduce((n, c) => n + ('([{'.includes(c) ? 1 : ')]}'.includes(c) ? -1 : 0), 0);
  if (depth !== 0) return { expression: text, format: PLAIN_FORMAT };
  return {
    expression: m[1],
    format: { letter: m[3] === 'h' || m[3] === 'hex' ? 'x' : m[3], count: m[2] === undefined ? undefined : Number(m[2]) },
  };
};

export interface Namer {
  nameOf(address: number): string | undefined;
}

/** Knows types by meaning: see printers.ts. */
export interface Printer {
  summary(env: Pick<Environment, 'read'>, v: Value): string | undefined;
  /** Parts behind the plain members. */
  more(env: Pick<Environment, 'read'>, v: Value): Child[] | undefined;
  named(name: string, v: Value): string | undefined;
  pointed(env: Pick<Environment, 'read'>, v: Value): string | undefined;
}

/** What children of a value need. */
export interface ValueContext {
  env: Pick<Environment, 'read'>;
  names: Namer;
  printers?: Printer;
  readonly hex?: boolean;
  /** The letter that the user chose for the value of an expression. */
  formatOf?: (expression: string) => string | undefined;
  /** Nothing is shortened, as for the clipboard, until so many values are written. */
  whole?: { left: number };
}

const TEXT_LIMIT = 80;
const ELEMENTS_SHOWN = 12;
const MEMBERS_SHOWN = 6;
const ARRAY_DEPTH = 2;
const STRUCT_DEPTH = 1;
/** Limits of a value that is not shortened: far beyond what anybody pastes. */
const WHOLE_DEPTH = 16;
const WHOLE_ELEMENTS = 4096;

const escaped = (byte: number): string => {
  if (byte === 0x0a) return '\\n';
  if (byte === 0x0d) return '\\r';
  if (byte === 0x09) return '\\t';
  if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
};
const quoted = (bytes: Uint8Array, closed: boolean): string => `"${Array.from(bytes, escaped).join('')}"${closed ? '' : '...'}`;

/** The C string at an address, or undefined. */
export const stringAt = (env: Pick<Environment, 'read'>, address: number, limit = TEXT_LIMIT): string | undefined => {
  for (let length = limit; length > 0; length = length > 8 ? length >> 1 : length - 1) {
    const bytes = env.read(address, length);
    if (bytes === undefined) continue;
    const end = bytes.indexOf(0);
    return quoted(end < 0 ? bytes : bytes.subarray(0, end), end >= 0);
  }
  return undefined;
};

const hexOf = (value: bigint, size: number): string =>
  `0x${BigInt.asUintN(size * 8, value)
    .toString(16)
    .padStart(size * 2, '0')}`;
const isChar = (type: Type): boolean => {
  const t = stripType(type);
  return t.kind === 'base' && t.size === 1 && t.encoding.endsWith('char');
};

/** A number in a given format; `size` in bytes. */
export const formatNumber = (bits: bigint, size: number, letter: string): string => {
  const unsigned = BigInt.asUintN(size * 8, bits);
  switch (letter) {
    case 'd':
      return BigInt.asIntN(size * 8, bits).toString();
    case 'u':
      return unsigned.toString();
    case 'o':
      return `0${unsigned.toString(8)}`;
    case 'b':
      return `0b${unsigned
        .toString(2)
        .padStart(size * 8, '0')
        .replace(/\B(?=(\d{8})+$)/g, '_')}`;
    case 'c':
      return `${BigInt.asIntN(size * 8, bits)} '${escaped(Number(unsigned & 0xffn))}'`;
    default:
      return hexOf(bits, size);
  }
};

const floatText = (bytes: Uint8Array, size: number): string => {
  const x = realFromBytes(bytes.subarray(0, size));
  return x === undefined ? bytesText(bytes) : Object.is(x, -0) ? '-0' : String(x).replace('Infinity', 'inf').replace('NaN', 'nan');
};
/** A floating-point number in another format: `,d` without its fraction, `,x` and the like its bits. */
const floatIn = (bytes: Uint8Array, size: number, letter: string | undefined): string => {
  if (letter === undefined) return floatText(bytes, size);
  const x = realFromBytes(bytes.subarray(0, size)) ?? Number.NaN;
  if (letter === 'd' || letter === 'u') return Number.isFinite(x) ? BigInt(Math.trunc(x)).toString() : floatText(bytes, size);
  const bits = Array.from(bytes.subarray(0, Math.min(size, 10))).reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);
  return formatNumber(bits, Math.min(size, 10), letter);
};
const bytesText = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
/** A value as it lies in memory: `,y` its bytes, `,Y` also as text. */
const rawText = (v: Value, size: number, withText: boolean): string => {
  const all = v.bytes ?? toLittleEndian(v.bits, Math.min(8, size));
  const shown = all.subarray(0, RAW_LIMIT);
  const text = withText ? ` |${Array.from(shown, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('')}|` : '';
  return `${bytesText(shown)}${all.length > shown.length ? ' ...' : ''}${text}`;
};
const RAW_LIMIT = 256;

/** One line. */
export const formatValue = (v: Value, context: ValueContext, format: Format = PLAIN_FORMAT, depth = 0): string => {
  if (v.missing !== undefined) return `<${v.missing}>`;
  if (v.text !== undefined) return v.text;
  const t = stripType(v.type);
  const whole = context.whole !== undefined && --context.whole.left > 0;
  const elements = whole ? WHOLE_ELEMENTS : ELEMENTS_SHOWN;
  const meaning = format.letter === undefined && format.count === undefined ? context.printers?.summary(context.env, v) : undefined;
  if (meaning !== undefined) return meaning;
  if (format.count !== undefined && (t.kind === 'pointer' || t.kind === 'base')) {
    const { items, total } = children(v, context, format, 0, elements);
    return `{${items.map((c) => formatValue(c.value, context, { ...format, count: undefined }, depth + 1)).join(', ')}${total > items.length ? ', ...' : ''}}`;
  }
  if (format.letter === 'y' || format.letter === 'Y') return rawText(v, t.size || 4, format.letter === 'Y');
  if (format.letter === 'f' && (t.kind === 'base' || t.kind === 'enum')) {
    const isFloat = t.kind === 'base' && t.encoding === 'float';
    return floatText(isFloat && v.bytes !== undefined ? v.bytes : toLittleEndian(v.bits, t.size), t.size);
  }
  // Registers read best in hexadecimal; their flags and floating-point ones do not.
  const isWord = v.register !== undefined && t.kind === 'base' && t.encoding !== 'float' && t.encoding !== 'signed';
  const letter = format.letter ?? (context.hex || isWord ? 'x' : undefined);
  switch (t.kind) {
    case 'pointer': {
      const address = Number(BigInt.asUintN(32, v.bits));
      const text = hexOf(v.bits, 4);
      if (letter !== undefined && letter !== 's' && letter !== 'p' && letter !== 'i') return formatNumber(v.bits, 4, letter);
      const target = stripType(t.target);
      if (isChar(target) || letter === 's') {
        const string = address === 0 ? undefined : stringAt(context.env, address);
        return string === undefined ? text : `${text} ${string}`;
      }
      const name = target.kind === 'function' || letter === 'p' || letter === 'i' ? context.names.nameOf(address) : undefined;
      if (name !== undefined) return `${text} <${name}>`;
      if (letter !== undefined || depth > 0 || address === 0 || target.kind !== 'struct' || context.printers === undefined) return text;
      const pointed = context.printers.pointed(context.env, load(context.env, t.target, address));
      return pointed === undefined ? text : `${text} ${pointed}`;
    }
    case 'enum': {
      const found = t.enumerators.find((e) => e.value === v.bits);
      if (letter !== undefined) return formatNumber(v.bits, t.size || 4, letter);
      return found === undefined ? v.bits.toString() : `${found.name} (${v.bits})`;
    }
    case 'base':
      if ((t.encoding === 'float' || t.encoding === 'complex') && v.bytes !== undefined) return floatIn(v.bytes, t.size, letter);
      if (letter === 'p' || letter === 'i') {
        const name = context.names.nameOf(Number(BigInt.asUintN(32, v.bits)));
        return name === undefined ? hexOf(v.bits, t.size) : `${hexOf(v.bits, t.size)} <${name}>`;
      }
      if (letter === 's') return stringAt(context.env, Number(BigInt.asUintN(32, v.bits))) ?? hexOf(v.bits, t.size);
      if (letter !== undefined) return formatNumber(v.bits, t.size, letter);
      if (t.encoding === 'address') return hexOf(v.bits, t.size);
      if (t.encoding === 'boolean') return v.bits === 0n ? 'false' : 'true';
      if (isChar(t)) return formatNumber(v.bits, 1, 'c').replace(/^-?\d+/, v.bits.toString());
      return v.bits.toString();
    case 'array': {
      if (isChar(t.element) && (letter === undefined || letter === 's') && v.bytes !== undefined) {
        const end = v.bytes.indexOf(0);
        const bytes = end < 0 ? v.bytes : v.bytes.subarray(0, end);
        const shown = letter === 's' || whole ? bytes.length : TEXT_LIMIT;
        return quoted(bytes.subarray(0, shown), bytes.length <= shown);
      }
      if (depth > (whole ? WHOLE_DEPTH : ARRAY_DEPTH)) return '{...}';
      const { items, total } = children(v, context, format, 0, elements);
      return `{${items.map((c) => formatValue(c.value, context, format, depth + 1)).join(', ')}${total > items.length ? ', ...' : ''}}`;
    }
    case 'struct':
    case 'union':
    case 'class': {
      if (t.incomplete) return '<incomplete type>';
      if (depth > (whole ? WHOLE_DEPTH : STRUCT_DEPTH)) return '{...}';
      const { items, total } = children(v, context, format, 0, whole ? WHOLE_ELEMENTS : MEMBERS_SHOWN);
      return `{${items.map((c) => `${c.name} = ${formatValue(c.value, context, format, depth + 1)}`).join(', ')}${total > items.length ? ', ...' : ''}}`;
    }
    case 'function': {
      const name = context.names.nameOf(v.address ?? 0);
      return `${hexOf(BigInt(v.address ?? 0), 4)}${name === undefined ? '' : ` <${name}>`}`;
    }
    case 'void':
      return 'void';
    default:
      return v.bits.toString();
  }
};

export interface Child {
  name: string;
  /** Suffix that, put behind the parent's expression, names the child. */
  path: string;
  value: Value;
  /** The child's whole expression, where no suffix can name it. */
  expression?: string;
}

/** True when a value can be opened. */
export const hasChildren = (v: Value, format: Format = PLAIN_FORMAT): boolean => {
  if (v.missing !== undefined) return false;
  const t = stripType(v.type);
  if (format.count !== undefined) return true;
  if (t.kind === 'array') return (t.count ?? 0) > 0;
  if (t.kind === 'struct' || t.kind === 'union' || t.kind === 'class') return t.members.length > 0;
  if (t.kind !== 'pointer' || v.bits === 0n) return false;
  const to = stripType(t.target);
  return to.kind !== 'void' && to.kind !== 'function' && !(to.kind === 'base' && to.size === 0);
};

/** The parts of a value, from `start` on, `count` of them. */
export const children = (
  v: Value,
  context: ValueContext,
  format: Format = PLAIN_FORMAT,
  start = 0,
  count = 1000,
): { items: Child[]; total: number } => {
  const { env } = context;
  const t = stripType(v.type);
  if (format.count !== undefined && (t.kind === 'pointer' || t.kind === 'base')) {
    const element: Type = t.kind === 'pointer' ? t.target : v.address !== undefined ? v.type : UINT;
    // `array,[8]` of a symbol without a type is about what lies there; a number, as in a register, is an address.
    const from = t.kind === 'base' && v.address !== undefined ? v.address : Number(BigInt.asUintN(32, v.bits));
    return elements(env, element, from, v, format.count, start, count);
  }
  if (t.kind === 'array') return elements(env, t.element, v.address, v, Math.min(format.count ?? t.count ?? 0, 1 << 20), start, count);
  if (t.kind === 'struct' || t.kind === 'union' || t.kind === 'class') {
    const more = count > 0 && format.letter === undefined ? context.printers?.more(env, v) : undefined;
    if (more !== undefined && more.length > 0) {
      const plain = children(v, { ...context, printers: undefined } as ValueContext, format, 0, 1000).items;
      const all = [...plain, ...more];
      return { items: all.slice(start, start + count), total: all.length };
    }
    const names = memberNames(t.members);
    const items = t.members.slice(start, start + count).map((m, i) => {
      const name = names[start + i];
      return { name, path: m.name === undefined ? '' : `.${m.name}`, value: member(env, v, m) };
    });
    return { items, total: t.members.length };
  }
  if (t.kind === 'pointer') {
    const inner = load(env, t.target, Number(v.bits));
    const to = stripType(t.target);
    if (to.kind === 'struct' || to.kind === 'union' || to.kind === 'class') {
      const parts = children(inner, context, { ...format, count: undefined }, start, count);
      return { ...parts, items: parts.items.map((c) => ({ ...c, path: c.path.replace(/^\./, '->') })) };
    }
    return { items: [{ name: '*', path: '*', value: inner }], total: 1 };
  }
  return { items: [], total: 0 };
};

/** Editors know rows by their names, so members without one are numbered. */
const memberNames = (members: readonly Member[]): string[] => {
  const times = new Map<string, number>();
  return members.map((m) => {
    if (m.name !== undefined) return m.name;
    const kind = stripType(m.type).kind === 'union' ? 'union' : 'struct';
    const n = (times.get(kind) ?? 0) + 1;
    times.set(kind, n);
    return n === 1 ? `(${kind})` : `(${kind} ${n})`;
  });
};

const elements = (
  env: Pick<Environment, 'read'>,
  element: Type,
  address: number | undefined,
  { bytes, part }: Value,
  total: number,
  start: number,
  count: number,
): { items: Child[]; total: number } => {
  const size = stripType(element).size || 1;
  const items: Child[] = [];
  for (let i = start; i < Math.min(total, start + count); i++) {
    const value =
      address !== undefined
        ? load(env, element, (address + i * size) >>> 0)
        : load({ read: (at, n) => bytes?.subarray(at, at + n) }, element, i * size);
    if (address === undefined) {
      delete value.address;
      Object.assign(value, partOf({ part } as Value, i * size));
    }
    items.push({ name: `[${i}]`, path: `[${i}]`, value });
  }
  return { items, total };
};

export const typeText = (type: Type): string => typeName(type);
