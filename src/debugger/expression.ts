// C expressions: read into a tree once, evaluated against a frame as often as needed.
//
// The tree is plain data, so that a condition that is met a million times is parsed once; compile() turns the integer part of the language into closures over
// numbers, which is what breakpoint conditions use. What it leaves out: how values look (value.ts) and where names come from (an Environment).

import type { Member, Type } from '../symbols/dwarf/types';
import { stripType } from '../symbols/dwarf/types';
import { typeName } from '../symbols/dwarf/type-names';

/** Something is wrong with what the user wrote, or with what it asks for now. One line. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}
const fail = (message: string): never => {
  throw new ExpressionError(message);
};

/** A value, and where it is. `bits`: the integer (signed as its type says); aggregates have bytes instead. */
export interface Value {
  type: Type;
  bits: bigint;
  bytes?: Uint8Array;
  /** Linear address of an lvalue in memory. */
  address?: number;
  /** Bit-field: lowest bit counted from `address`, width. */
  bitOffset?: number;
  bitSize?: number;
  /** An lvalue in a register. */
  register?: string;
  /** An lvalue that is some bytes of a wide register, from `offset` on. */
  part?: { register: string; offset: number };
  /** Why there is no value. */
  missing?: string;
  /** What is shown instead of the number: an answer in words. */
  text?: string;
}

export const INT: Type = { kind: 'base', name: 'int', size: 4, encoding: 'signed' };
export const UINT: Type = { kind: 'base', name: 'unsigned int', size: 4, encoding: 'unsigned' };
/** A number that reads best in hexadecimal. */
export const ADDRESS: Type = { kind: 'base', name: 'unsigned int', size: 4, encoding: 'address' };
export const UCHAR: Type = { kind: 'base', name: 'unsigned char', size: 1, encoding: 'unsigned char' };
const LLONG: Type = { kind: 'base', name: 'long long', size: 8, encoding: 'signed' };
const ULLONG: Type = { kind: 'base', name: 'unsigned long long', size: 8, encoding: 'unsigned' };
const USHORT: Type = { kind: 'base', name: 'unsigned short', size: 2, encoding: 'unsigned' };
const SHORT: Type = { kind: 'base', name: 'short', size: 2, encoding: 'signed' };
const CHAR: Type = { kind: 'base', name: 'char', size: 1, encoding: 'signed char' };
export const DOUBLE: Type = { kind: 'base', name: 'double', size: 8, encoding: 'float' };
export const FLOAT: Type = { kind: 'base', name: 'float', size: 4, encoding: 'float' };
const VOID: Type = { kind: 'void', name: 'void', size: 0 };
const PLAIN: Readonly<Record<string, Type>> = {
  int: INT,
  unsigned: UINT,
  'unsigned int': UINT,
  long: INT,
  'unsigned long': UINT,
  short: SHORT,
  'unsigned short': USHORT,
  char: CHAR,
  'unsigned char': UCHAR,
  'signed char': CHAR,
  'long long': LLONG,
  'unsigned long long': ULLONG,
  void: VOID,
  float: FLOAT,
  double: DOUBLE,
  u8: UCHAR,
  u16: USHORT,
  u32: UINT,
  u64: ULLONG,
  s8: CHAR,
  s16: SHORT,
  s32: INT,
  uint8_t: UCHAR,
  uint16_t: USHORT,
  uint32_t: UINT,
  uint64_t: ULLONG,
};
export const pointerTo = (target: Type): Type => ({ kind: 'pointer', what: 'pointer', size: 4, target });
export const number = (value: number | bigint, type: Type = UINT): Value => ({ type, bits: fit(BigInt(value), type) });

/** What an expression may ask. */
export interface Environment {
  /** A register of the frame; undefined: no such register. Throws ExpressionError when it is not known in this frame. */
  register(name: string): Value | undefined;
  /** A variable or other name. */
  variable(name: string): Value | undefined;
  read(address: number, size: number): Uint8Array | undefined;
  type(name: string): Type | undefined;
  /** A machine function; undefined: no such function. */
  call?(name: string, args: Value[]): Value | undefined;
  /** Missing in hovers and watches: nothing may change there. */
  write?(address: number, bytes: Uint8Array): boolean;
  /** `real`: the value when it is a floating-point number, for x87 registers. */
  setRegister?(name: string, value: number, real?: number): void;
  /** Writes bytes of a wide register. */
  setRegisterPart?(register: string, offset: number, bytes: Uint8Array): void;
  /** Help with a name that is not known. */
  similar?(name: string): string | undefined;
}

export type Node =
  | { k: 'num'; value: bigint; type: Type; real?: number }
  | { k: 'str'; text: string }
  | { k: 'reg'; name: string }
  | { k: 'name'; name: string }
  | { k: 'unary'; op: string; a: Node }
  | { k: 'binary'; op: string; a: Node; b: Node }
  | { k: 'cond'; a: Node; b: Node; c: Node }
  | { k: 'member'; a: Node; name: string; arrow: boolean }
  | { k: 'index'; a: Node; b: Node }
  | { k: 'cast'; type: string; a: Node }
  | { k: 'sizeof'; type: string | undefined; a: Node | undefined }
  | { k: 'offsetof'; type: string; path: string[] }
  | { k: 'container'; a: Node; type: string; path: string[] }
  | { k: 'call'; name: string; args: Node[] }
  | { k: 'assign'; op: string; a: Node; b: Node };

// ---- reading --------------------------------------------------------------------------------------------------------------------------

interface Token {
  t: 'num' | 'id' | 'reg' | 'op' | 'str' | 'end';
  text: string;
  at: number;
}
const TOKEN =
  /\s*(?:(0[xX][0-9a-fA-F]+[uUlL]*|\d+\.\d*(?:[eE][-+]?\d+)?[fFlL]?|\d+[eE][-+]?\d+[fFlL]?|\d+[uUlL]*)|('(?:[^'\\]|\\.)*'::\w+)|('(?:[^'\\]|\\.)')|'([A-Za-z_]\w*)'|("(?:[^"\\]|\\.)*")|\$(\w+)|([A-Za-z_][\w]*(?:::\w+)?)|(<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^~!<>=?:.,()[\]@]))/y;

const tokenize = (text: string): Token[] => {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < text.length && text.slice(at).trim() !== '') {
    TOKEN.lastIndex = at;
    const m = TOKEN.exec(text);
    if (m === null) return fail(`unexpected "${text.slice(at).trim()[0]}" at column ${at + 1}`);
    const start = at + (m[0].length - m[0].trimStart().length);
    if (m[1] !== undefined) tokens.push({ t: 'num', text: m[1], at: start });
    else if (m[2] !== undefined) tokens.push({ t: 'id', text: m[2], at: start });
    else if (m[3] !== undefined) tokens.push({ t: 'num', text: String(charValue(m[3].slice(1, -1))), at: start });
    else if (m[4] !== undefined) tokens.push({ t: 'id', text: m[4], at: start });
    else if (m[5] !== undefined) tokens.push({ t: 'str', text: m[5].slice(1, -1), at: start });
    else if (m[6] !== undefined) tokens.push({ t: 'reg', text: m[6], at: start });
    else if (m[7] !== undefined) tokens.push({ t: 'id', text: m[7], at: start });
    else tokens.push({ t: 'op', text: m[8], at: start });
    at += m[0].length;
  }
  tokens.push({ t: 'end', text: '', at: text.length });
  return tokens;
};
/** A leading zero makes it octal. */
const integerOf = ({ text, at }: Token): bigint => {
  const digits = text.replace(/[uUlL]+$/, '');
  if (!/^0\d+$/.test(digits)) return BigInt(digits);
  return /^[0-7]+$/.test(digits) ? BigInt(`0o${digits}`) : fail(`"${digits}" at column ${at + 1} is no octal number`);
};
const charValue = (text: string): number => {
  if (text[0] !== '\\') return text.charCodeAt(0);
  return { n: 10, r: 13, t: 9, '0': 0 }[text[1]] ?? text.charCodeAt(1);
};

const BINARY: Readonly<Record<string, number>> = {
  '*': 10,
  '/': 10,
  '%': 10,
  '+': 9,
  '-': 9,
  '<<': 8,
  '>>': 8,
  '<': 7,
  '<=': 7,
  '>': 7,
  '>=': 7,
  '==': 6,
  '!=': 6,
  '&': 5,
  '^': 4,
  '|': 3,
  '&&': 2,
  '||': 1,
};
const TYPE_WORDS = new Set(['struct', 'union', 'enum', 'unsigned', 'signed', 'const', 'volatile', 'int', 'char', 'short', 'long', 'void']);
const ASSIGN = new Set(['=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '<<=', '>>=']);
const DEEP = 200;
/** Machine functions whose argument is a condition over trap records, not an expression of the frame. */
const RAW_ARGUMENT = new Set(['count', 'changed']);
/** Machine functions that take words behind their first argument: `walk(esp, g, uw)`. */
const WORD_ARGUMENTS = new Set(['walk']);

class Parser {
  private at = 0;
  private depth = 0;
  constructor(
    private readonly tokens: Token[],
    private readonly isType: (name: string) => boolean,
    private readonly source: string,
  ) {}

  whole(): Node {
    const node = this.assignment();
    const rest = this.peek();
    if (rest.t !== 'end') fail(`unexpected "${rest.text}" at column ${rest.at + 1}`);
    return node;
  }
  private peek(ahead = 0): Token {
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)];
  }
  private take(): Token {
    return this.tokens[Math.min(this.at++, this.tokens.length - 1)];
  }
  private accept(op: string): boolean {
    const t = this.peek();
    if (t.t !== 'op' || t.text !== op) return false;
    this.at++;
    return true;
  }
  private expect(op: string): void {
    if (!this.accept(op)) {
      const t = this.peek();
      fail(t.t === 'end' ? `"${op}" is missing at the end` : `"${op}" expected before "${t.text}" at column ${t.at + 1}`);
    }
  }
  private assignment(): Node {
    const a = this.conditional();
    const t = this.peek();
    if (t.t === 'op' && ASSIGN.has(t.text)) {
      this.at++;
      return { k: 'assign', op: t.text, a, b: this.assignment() };
    }
    return a;
  }
  private conditional(): Node {
    if (++this.depth > DEEP) fail('the expression is nested too deeply');
    const a = this.binary(0);
    this.depth--;
    if (!this.accept('?')) return a;
    const b = this.conditional();
    this.expect(':');
    return { k: 'cond', a, b, c: this.conditional() };
  }
  private binary(min: number): Node {
    let a = this.unary();
    for (;;) {
      const t = this.peek();
      const level = t.t === 'op' ? BINARY[t.text] : undefined;
      if (level === undefined || level <= min) return a;
      this.at++;
      a = { k: 'binary', op: t.text, a, b: this.binary(level) };
    }
  }
  private unary(): Node {
    if (++this.depth > DEEP) fail('the expression is nested too deeply');
    try {
      const t = this.peek();
      if (t.t === 'op' && ['-', '+', '~', '!', '*', '&'].includes(t.text)) {
        this.at++;
        return { k: 'unary', op: t.text, a: this.unary() };
      }
      if (t.t === 'id' && t.text === 'sizeof') {
        this.at++;
        if (this.peek().text === '(') {
          const type = this.typeInParens();
          if (type !== undefined) return { k: 'sizeof', type, a: undefined };
        }
        return { k: 'sizeof', type: undefined, a: this.unary() };
      }
      if (t.t === 'op' && t.text === '(') {
        const type = this.typeInParens();
        if (type !== undefined) return { k: 'cast', type, a: this.unary() };
      }
      return this.postfix();
    } finally {
      this.depth--;
    }
  }
  /** At "(": the type's text when a type stands in the parentheses, which are taken then. */
  private typeInParens(): string | undefined {
    const first = this.peek(1);
    if (first.t !== 'id' || (!TYPE_WORDS.has(first.text) && !this.isType(first.text))) return undefined;
    let n = 1;
    const words: string[] = [];
    while (this.peek(n).t === 'id') words.push(this.peek(n++).text);
    let suffix = '';
    for (;;) {
      const t = this.peek(n);
      if (t.text === '*') suffix += '*';
      else if (t.t === 'id' && (t.text === 'const' || t.text === 'volatile')) suffix += '';
      else if (t.text === '[' && this.peek(n + 1).t === 'num' && this.peek(n + 2).text === ']') {
        suffix += `[${Number(this.peek(n + 1).text.replace(/[uUlL]+$/, ''))}]`;
        n += 2;
      } else break;
      n++;
    }
    if (this.peek(n).text !== ')') return undefined;
    this.at += n + 1;
    return words.join(' ') + (suffix === '' ? '' : ` ${suffix}`);
  }
  private postfix(): Node {
    let a = this.primary();
    for (;;) {
      if (this.accept('->')) a = { k: 'member', a, name: this.identifier(), arrow: true };
      else if (this.accept('.')) a = { k: 'member', a, name: this.identifier(), arrow: false };
      else if (this.accept('[')) {
        a = { k: 'index', a, b: this.assignment() };
        this.expect(']');
      } else if (this.peek().text === '(' && a.k === 'name') {
        this.at++;
        if (a.name === 'offsetof') {
          a = { k: 'offsetof', ...this.typeAndMember() };
          continue;
        }
        if (a.name === 'container_of' || a.name === 'list_entry') {
          const inner = this.assignment();
          this.expect(',');
          a = { k: 'container', a: inner, ...this.typeAndMember() };
          continue;
        }
        if (RAW_ARGUMENT.has(a.name)) {
          a = { k: 'call', name: a.name, args: [{ k: 'str', text: this.rawArgument() }] };
          continue;
        }
        const args: Node[] = [];
        if (!this.accept(')')) {
          do {
            const word = WORD_ARGUMENTS.has(a.name) && args.length > 0 && this.peek().t === 'id' && /^[,)]$/.test(this.peek(1).text);
            args.push(word ? { k: 'str', text: this.take().text } : this.assignment());
          } while (this.accept(','));
          this.expect(')');
        }
        a = { k: 'call', name: a.name, args };
      } else return a;
    }
  }
  /** `struct task_struct, tasks.next)`, as the kernel's own offsetof() and container_of() take them. */
  private typeAndMember(): { type: string; path: string[] } {
    const words: string[] = [];
    while (this.peek().t === 'id') words.push(this.take().text);
    this.expect(',');
    const path = [this.identifier()];
    while (this.accept('.')) path.push(this.identifier());
    this.expect(')');
    return { type: words.join(' '), path };
  }
  /** Behind "(": what stands up to the ")" that belongs to it, as it is written. */
  private rawArgument(): string {
    const from = this.peek().at;
    for (let depth = 0; ; ) {
      const t = this.take();
      if (t.t === 'end') return fail('")" is missing at the end');
      if (t.text === '(' && t.t === 'op') depth++;
      if (t.text === ')' && t.t === 'op' && depth-- === 0) {
        const raw = this.source.slice(from, t.at).trim();
        return /^".*"$/.test(raw) ? raw.slice(1, -1) : raw;
      }
    }
  }
  private identifier(): string {
    const t = this.take();
    return t.t === 'id' ? t.text : fail(`a member's name expected at column ${t.at + 1}`);
  }
  private primary(): Node {
    const t = this.take();
    switch (t.t) {
      case 'num': {
        if (!/^0x/i.test(t.text) && /[.eE]/.test(t.text))
          return { k: 'num', value: 0n, type: DOUBLE, real: Number(t.text.replace(/[fFlL]$/, '')) };
        const value = integerOf(t);
        const isHex = /^0[xX]/.test(t.text) || /u/i.test(t.text);
        const type = value > 0xffffffffn ? (value > 0x7fffffffffffffffn ? ULLONG : LLONG) : isHex || value > 0x7fffffffn ? UINT : INT;
        return { k: 'num', value, type };
      }
      case 'reg':
        return { k: 'reg', name: t.text };
      case 'id':
        return { k: 'name', name: t.text };
      case 'str':
        return { k: 'str', text: t.text };
      case 'op':
        if (t.text === '(') {
          const a = this.assignment();
          this.expect(')');
          return a;
        }
        return fail(`unexpected "${t.text}" at column ${t.at + 1}`);
      default:
        return fail('the expression ends too early');
    }
  }
}

/** Reads an expression. @throws ExpressionError. */
export const parse = (text: string, isType: (name: string) => boolean = () => false): Node => {
  if (text.trim() === '') fail('the expression is empty');
  if (text.length > 10_000) fail('the expression is too long');
  return new Parser(tokenize(text), (name) => name in PLAIN || isType(name), text).whole();
};

// ---- integers -------------------------------------------------------------------------------------------------------------------------

const isSigned = (type: Type): boolean => {
  const t = stripType(type);
  return (t.kind === 'base' && (t.encoding === 'signed' || t.encoding === 'signed char')) || (t.kind === 'enum' && t.signed);
};
const sizeOf = (type: Type): number => stripType(type).size;
export const fit = (value: bigint, type: Type): bigint => {
  const bits = Math.min(8, sizeOf(type) || 4) * 8;
  return isSigned(type) ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
};
export const fromBytes = (bytes: Uint8Array, type: Type): bigint => {
  let value = 0n;
  for (let i = Math.min(bytes.length, 8) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return fit(value, type);
};
export const toLittleEndian = (value: bigint, size: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(64, value);
  for (let i = 0; i < size && i < 8; i++) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
};

// ---- floating point -------------------------------------------------------------------------------------------------------------------

const isReal = (type: Type): boolean => {
  const t = stripType(type);
  return t.kind === 'base' && t.encoding === 'float';
};
/** The number that 4, 8, 10, 12 or 16 bytes hold, to double precision; undefined for other sizes. */
export const realFromBytes = (bytes: Uint8Array): number | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 4) return view.getFloat32(0, true);
  if (bytes.length === 8) return view.getFloat64(0, true);
  if (bytes.length < 10) return undefined;
  const se = view.getUint16(8, true);
  const [low, high] = [view.getUint32(0, true), view.getUint32(4, true)];
  const sign = se & 0x8000 ? -1 : 1;
  if ((se & 0x7fff) === 0x7fff) return (high & 0x7fffffff) === 0 && low === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * ((high * 2 ** 32 + low) / 2 ** 63) * 2 ** ((se & 0x7fff) - 16383);
};
const realOf = (v: Value): number => {
  if (v.missing !== undefined) return fail(v.missing);
  if (!isReal(v.type)) return Number(decay(v).bits);
  return realFromBytes(v.bytes ?? new Uint8Array()) ?? fail(`${typeName(v.type)} has no bytes to read`);
};
const real = (x: number, type: Type = DOUBLE): Value => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, x, true);
  if (sizeOf(type) !== 4) return { type: DOUBLE, bits: 0n, bytes };
  const narrow = new Uint8Array(4);
  new DataView(narrow.buffer).setFloat32(0, x, true);
  return { type, bits: 0n, bytes: narrow };
};
const realBinary = (op: string, a: number, b: number): Value => {
  switch (op) {
    case '+':
      return real(a + b);
    case '-':
      return real(a - b);
    case '*':
      return real(a * b);
    case '/':
      return real(a / b);
    case '<':
      return number(a < b ? 1 : 0, INT);
    case '<=':
      return number(a <= b ? 1 : 0, INT);
    case '>':
      return number(a > b ? 1 : 0, INT);
    case '>=':
      return number(a >= b ? 1 : 0, INT);
    case '==':
      return number(a === b ? 1 : 0, INT);
    case '!=':
      return number(a !== b ? 1 : 0, INT);
    default:
      return fail(`"${op}" of a floating-point number means nothing`);
  }
};

const isAggregate = (type: Type): boolean => {
  const t = stripType(type);
  return t.kind === 'struct' || t.kind === 'union' || t.kind === 'class' || t.kind === 'array';
};

// ---- evaluating -----------------------------------------------------------------------------------------------------------------------

/** Reads what lies at an address as a type. */
export const load = (env: Pick<Environment, 'read'>, type: Type, address: number): Value => {
  const t = stripType(type);
  if (t.kind === 'function' || t.kind === 'void') return { type, bits: BigInt(address >>> 0), address };
  const bytes = env.read(address, Math.min(t.size, 1 << 16));
  if (bytes === undefined)
    return { type, bits: 0n, address, missing: `memory at 0x${(address >>> 0).toString(16).padStart(8, '0')} is not mapped` };
  if (isAggregate(type)) return { type, bits: BigInt(address >>> 0), bytes, address };
  if (t.kind === 'base' && (t.encoding === 'float' || t.encoding === 'complex')) return { type, bits: 0n, bytes, address };
  return { type, bits: fromBytes(bytes, type), address };
};

/** The pointer that an array or a function stands for, else the value. Throws when there is none. */
const decay = (v: Value): Value => {
  if (v.missing !== undefined) fail(v.missing);
  const t = stripType(v.type);
  if (t.kind === 'array')
    return v.address === undefined ? fail('this array has no address') : { type: pointerTo(t.element), bits: BigInt(v.address >>> 0) };
  if (t.kind === 'function') return { type: pointerTo(v.type), bits: BigInt((v.address ?? 0) >>> 0) };
  if (t.kind === 'struct' || t.kind === 'union' || t.kind === 'class') return fail(`${typeName(v.type)} is not a number`);
  if (isReal(v.type)) return number(BigInt(Math.trunc(wholeOf(v))), LLONG);
  return v;
};

/** A floating-point number where an integer is wanted. */
const wholeOf = (v: Value): number => {
  const x = realOf(v);
  return Number.isFinite(x) ? x : fail(`${x} is no integer`);
};

export const member = (env: Pick<Environment, 'read'>, v: Value, m: Member): Value => {
  const out: Value = { type: m.type, bits: 0n };
  if (v.missing !== undefined) {
    // What is not readable still lies somewhere, as in &((struct page *)0)->lru.
    const at = v.address === undefined || m.bitSize !== undefined ? {} : { address: (v.address + m.offset) >>> 0 };
    return { ...out, ...at, missing: v.missing };
  }
  if (m.bitSize !== undefined && m.bitOffset !== undefined) {
    const first = m.bitOffset >> 3;
    const size = (m.bitOffset + m.bitSize + 7) >> 3;
    const bytes = v.bytes?.subarray(first, size) ?? (v.address === undefined ? undefined : env.read(v.address + first, size - first));
    if (bytes === undefined) return { ...out, missing: 'not readable' };
    let raw = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) raw = (raw << 8n) | BigInt(bytes[i]);
    raw >>= BigInt(m.bitOffset & 7);
    out.bits = isSigned(m.type) ? BigInt.asIntN(m.bitSize, raw) : BigInt.asUintN(m.bitSize, raw);
    if (v.address !== undefined) Object.assign(out, { address: v.address + first, bitOffset: m.bitOffset & 7, bitSize: m.bitSize });
    return out;
  }
  if (v.address !== undefined) return load(env, m.type, (v.address + m.offset) >>> 0);
  const bytes = v.bytes?.subarray(m.offset, m.offset + sizeOf(m.type));
  if (bytes === undefined) return { ...out, missing: 'not readable' };
  const part = partOf(v, m.offset);
  return isAggregate(m.type) || isReal(m.type) ? { ...out, ...part, bytes } : { ...out, ...part, bits: fromBytes(bytes, m.type) };
};

/** Where a member or an element of a wide register lies in that. */
export const partOf = ({ part }: Value, offset: number): Pick<Value, 'part'> =>
  part === undefined ? {} : { part: { register: part.register, offset: part.offset + offset } };

/** A member by name, anonymous structures and unions looked through. */
export const findMember = (env: Pick<Environment, 'read'>, v: Value, name: string): Value | undefined => {
  const t = stripType(v.type);
  if (t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'class') return undefined;
  for (const m of t.members) {
    if (m.name === name) return member(env, v, m);
    if (m.name === undefined) {
      const inner = findMember(env, member(env, v, m), name);
      if (inner !== undefined) return inner;
    }
  }
  return undefined;
};

/** Types by name: plain C, else what the environment knows. */
export const namedType = (env: Pick<Environment, 'type'>, text: string): Type => {
  const m = /^(.*?)\s*((?:\*|\[\d+\])*)$/.exec(text);
  const words = (m?.[1] ?? text)
    .split(/\s+/)
    .filter((w) => w !== 'const' && w !== 'volatile' && w !== 'signed')
    .join(' ');
  const plain = words.replace(/^(.*?) ?\bint$/, (all, front: string) => (front === '' || !/long|short|unsigned/.test(front) ? all : front));
  let type = env.type(words) ?? PLAIN[plain === '' ? 'int' : plain] ?? fail(`no type "${words}" is known`);
  for (const [suffix, count] of (m?.[2] ?? '').matchAll(/\*|\[(\d+)\]/g)) {
    const element: Type = type;
    type =
      suffix === '*'
        ? pointerTo(element)
        : { kind: 'array', element, count: Number(count), size: Number(count) * element.size, vector: false };
  }
  return type;
};

const usual = (a: Type, b: Type): Type => {
  const size = Math.max(4, sizeOf(a), sizeOf(b));
  const unsigned = (!isSigned(a) && sizeOf(a) === size) || (!isSigned(b) && sizeOf(b) === size);
  return size > 4 ? (unsigned ? ULLONG : LLONG) : unsigned ? UINT : INT;
};
const arith = (op: string, a: bigint, b: bigint): bigint => {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? fail('division by zero') : a / b;
    case '%':
      return b === 0n ? fail('division by zero') : a % b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<':
      return a < b ? 1n : 0n;
    case '<=':
      return a <= b ? 1n : 0n;
    case '>':
      return a > b ? 1n : 0n;
    case '>=':
      return a >= b ? 1n : 0n;
    case '==':
      return a === b ? 1n : 0n;
    case '!=':
      return a !== b ? 1n : 0n;
    default:
      return fail(`"${op}" is not done here`);
  }
};
const COMPARE = new Set(['<', '<=', '>', '>=', '==', '!=']);

const target = (v: Value): Type => {
  const t = stripType(v.type);
  return t.kind === 'pointer' ? t.target : UINT;
};

const binary = (op: string, x: Value, y: Value): Value => {
  if ((isReal(x.type) || isReal(y.type)) && op !== '<<' && op !== '>>') return realBinary(op, realOf(x), realOf(y));
  const a = decay(x);
  const b = decay(y);
  const ta = stripType(a.type);
  const tb = stripType(b.type);
  if (op === '<<' || op === '>>') {
    const type = usual(a.type, INT);
    const count = b.bits & 63n;
    return { type, bits: fit(op === '<<' ? fit(a.bits, type) << count : fit(a.bits, type) >> count, type) };
  }
  if (!COMPARE.has(op) && (ta.kind === 'pointer' || tb.kind === 'pointer')) {
    if (ta.kind === 'pointer' && tb.kind === 'pointer') {
      if (op !== '-') return fail(`"${op}" of two pointers means nothing`);
      return number((a.bits - b.bits) / BigInt(sizeOf(ta.target) || 1), INT);
    }
    const pointer = ta.kind === 'pointer' ? a : b;
    const other = ta.kind === 'pointer' ? b : a;
    if (op !== '+' && op !== '-') return { type: UINT, bits: fit(arith(op, a.bits, b.bits), UINT) };
    const step = other.bits * BigInt(sizeOf(target(pointer)) || 1);
    return { type: pointer.type, bits: BigInt.asUintN(32, op === '+' ? pointer.bits + step : pointer.bits - step) };
  }
  const type = usual(a.type, b.type);
  const bits = arith(op, fit(a.bits, type), fit(b.bits, type));
  return COMPARE.has(op) ? number(bits, INT) : { type, bits: fit(bits, type) };
};

export const truth = (v: Value): boolean => (isReal(v.type) ? realOf(v) !== 0 : decay(v).bits !== 0n);

const nameValue = (env: Environment, name: string): Value => {
  const found = env.variable(name) ?? env.register(name);
  if (found !== undefined) return found;
  const similar = env.similar?.(name);
  return fail(`no symbol, variable or register "${name}"${similar === undefined ? '' : `; did you mean ${similar}?`}`);
};

export const evaluate = (node: Node, env: Environment): Value => {
  switch (node.k) {
    case 'num':
      return node.real === undefined ? { type: node.type, bits: node.value } : real(node.real);
    case 'str':
      return fail('text is only an argument of functions');
    case 'reg':
      return env.register(node.name) ?? fail(`no register "$${node.name}"`);
    case 'name':
      return nameValue(env, node.name);
    case 'unary':
      return unary(node.op, node.a, env);
    case 'binary': {
      if (node.op === '&&') return number(truth(evaluate(node.a, env)) && truth(evaluate(node.b, env)) ? 1 : 0, INT);
      if ((node.op === '==' || node.op === '!=') && (node.a.k === 'str') !== (node.b.k === 'str')) {
        const [text, other] = node.a.k === 'str' ? [node.a.text, node.b] : [(node.b as { text: string }).text, node.a];
        return number(sameText(env, evaluate(other, env), text) === (node.op === '==') ? 1 : 0, INT);
      }
      if (node.op === '||') return number(truth(evaluate(node.a, env)) || truth(evaluate(node.b, env)) ? 1 : 0, INT);
      return binary(node.op, evaluate(node.a, env), evaluate(node.b, env));
    }
    case 'cond':
      return truth(evaluate(node.a, env)) ? evaluate(node.b, env) : evaluate(node.c, env);
    case 'member': {
      // `err.W` and the like are names of their own.
      if (!node.arrow && node.a.k === 'name') {
        const dotted = env.variable(`${node.a.name}.${node.name}`);
        if (dotted !== undefined) return dotted;
      }
      let v = evaluate(node.a, env);
      if (stripType(v.type).kind === 'pointer') v = load(env, target(v), Number(decay(v).bits));
      return findMember(env, v, node.name) ?? fail(`${typeName(v.type)} has no member "${node.name}"`);
    }
    case 'index': {
      const array = evaluate(node.a, env);
      const t = stripType(array.type);
      if (t.kind === 'array' && array.address === undefined && array.bytes !== undefined) {
        const size = sizeOf(t.element);
        const from = Number(decay(evaluate(node.b, env)).bits) * size;
        const bytes = array.bytes.subarray(from, from + size);
        if (from < 0 || bytes.length < size) return fail('there are not that many elements');
        const bits = isAggregate(t.element) ? 0n : fromBytes(bytes, t.element);
        return { type: t.element, bits, bytes, ...partOf(array, from) };
      }
      const a = decay(array);
      const at = binary('+', stripType(a.type).kind === 'pointer' ? a : { ...a, type: pointerTo(UINT) }, evaluate(node.b, env));
      return load(env, target(at), Number(at.bits));
    }
    case 'cast': {
      const type = namedType(env, node.type);
      const v = evaluate(node.a, env);
      if (isAggregate(type))
        return v.address === undefined ? fail('only something in memory can be seen as a structure') : load(env, type, v.address);
      return isReal(type) ? real(realOf(v), type) : { type, bits: fit(decay(v).bits, type) };
    }
    case 'sizeof':
      return number(sizeOf(node.type !== undefined ? namedType(env, node.type) : evaluate(node.a as Node, env).type), UINT);
    case 'offsetof':
      return number(offsetIn(namedType(env, node.type), node.path), UINT);
    case 'container': {
      const type = namedType(env, node.type);
      const at = decay(evaluate(node.a, env)).bits - BigInt(offsetIn(type, node.path));
      return number(at, pointerTo(type));
    }
    case 'call': {
      const args = node.args.map(
        (a): Value => (a.k === 'str' ? { type: VOID, bits: 0n, bytes: new TextEncoder().encode(a.text) } : evaluate(a, env)),
      );
      return (
        env.call?.(node.name, args) ??
        fail(
          `"${node.name}" cannot be called: only the machine's functions can (walk, pa, va, sym, task, idt, gdt, trap, why, count, changed, lastwrite, list, read8, read16, read32)`,
        )
      );
    }
    case 'assign': {
      const to = evaluate(node.a, env);
      const value = evaluate(node.b, env);
      const stored = node.op === '=' ? value : binary(node.op.slice(0, -1), to, value);
      return store(env, to, isReal(stored.type) ? stored : decay(stored));
    }
  }
};

/** Bytes from the start of a type to a member of a member. */
const offsetIn = (type: Type, path: readonly string[]): number => {
  let v: Value = { type, bits: 0n, address: 0, missing: 'nowhere' };
  for (const name of path) v = findMember({ read: () => undefined }, v, name) ?? fail(`${typeName(v.type)} has no member "${name}"`);
  return v.address ?? fail(`"${path.join('.')}" is a bit-field: it has no offset in bytes`);
};

/** Whether a char array, or what a pointer points to, is this text. */
const sameText = (env: Environment, v: Value, text: string): boolean => {
  if (v.missing !== undefined) return fail(v.missing);
  const wanted = new TextEncoder().encode(`${text}\0`);
  const t = stripType(v.type);
  const bytes =
    t.kind === 'array' ? v.bytes : t.kind === 'pointer' ? env.read(Number(BigInt.asUintN(32, v.bits)), wanted.length) : undefined;
  if (t.kind !== 'array' && t.kind !== 'pointer') return fail(`${typeName(v.type)} is no text to compare with "${text}"`);
  if (bytes === undefined) return false;
  const end = bytes.indexOf(0);
  return (end < 0 ? bytes.length : end) === wanted.length - 1 && wanted.every((b, i) => i === wanted.length - 1 || bytes[i] === b);
};

const unary = (op: string, a: Node, env: Environment): Value => {
  if (op === '&') {
    const v = evaluate(a, env);
    if (v.address === undefined) return fail('this has no address');
    return { type: pointerTo(v.type), bits: BigInt(v.address >>> 0) };
  }
  if (op === '*') {
    const v = decay(evaluate(a, env));
    const type = target(v);
    return load(env, stripType(type).kind === 'void' ? UCHAR : type, Number(v.bits));
  }
  const whole = evaluate(a, env);
  if (isReal(whole.type) && op !== '~') {
    const x = realOf(whole);
    return op === '!' ? number(x === 0 ? 1 : 0, INT) : real(op === '-' ? -x : x);
  }
  const v = decay(whole);
  if (op === '!') return number(v.bits === 0n ? 1 : 0, INT);
  const type = usual(v.type, INT);
  const bits = fit(v.bits, type);
  return { type, bits: fit(op === '-' ? -bits : op === '~' ? ~bits : bits, type) };
};

/** Writes a value to an lvalue. @returns what is there then. */
export const store = (env: Environment, to: Value, value: Value): Value => {
  if (to.register !== undefined) {
    if (env.setRegister === undefined) return fail('nothing can be changed from here; use the Debug Console');
    const exact = isReal(value.type) ? realOf(value) : undefined;
    env.setRegister(to.register, exact === undefined ? Number(BigInt.asUintN(32, value.bits)) : Math.trunc(exact), exact);
    return env.register(to.register) ?? env.variable(to.register) ?? value;
  }
  if (to.part !== undefined) {
    if (env.setRegisterPart === undefined) return fail('nothing can be changed from here; use the Debug Console');
    if (isAggregate(to.type)) return fail('assign to its members one by one');
    const bytes = bytesFor(to.type, value);
    env.setRegisterPart(to.part.register, to.part.offset, bytes);
    return isReal(to.type) ? { ...to, bytes } : { ...to, bits: fromBytes(bytes, to.type), bytes };
  }
  if (to.address === undefined) return fail(to.missing ?? 'this cannot be assigned to');
  if (env.write === undefined) return fail('nothing can be changed from here; use the Debug Console');
  if (isAggregate(to.type)) return fail('assign to its members one by one');
  let bytes: Uint8Array;
  if (to.bitSize !== undefined) {
    const size = ((to.bitOffset ?? 0) + to.bitSize + 7) >> 3;
    const old = env.read(to.address, size) ?? fail('not readable');
    const shift = BigInt(to.bitOffset ?? 0);
    const mask = ((1n << BigInt(to.bitSize)) - 1n) << shift;
    const merged = (fromBytes(old, ULLONG) & ~mask) | ((value.bits << shift) & mask);
    bytes = toLittleEndian(merged, size);
  } else bytes = bytesFor(to.type, value);
  if (!env.write(to.address, bytes)) return fail(`memory at 0x${to.address.toString(16).padStart(8, '0')} cannot be written`);
  return to.bitSize !== undefined ? { ...to, bits: fit(value.bits, to.type) } : load(env, to.type, to.address);
};

/** What is written where a value of this type lies. */
const bytesFor = (type: Type, value: Value): Uint8Array => {
  if (!isReal(type)) return toLittleEndian((isReal(value.type) ? decay(value) : value).bits, sizeOf(type));
  if (sizeOf(type) > 8) return fail(`${typeName(type)} is only read here`);
  return real(realOf(value), sizeOf(type) === 4 ? FLOAT : DOUBLE).bytes ?? fail('not a number');
};

// ---- conditions at speed ----------------------------------------------------------------------------------------------------------------

/** Numbers for compiled conditions. */
export interface FastEnvironment {
  /** A reader for a register or name whose place never changes, or undefined. */
  reader(name: string): FastReader | (() => number) | undefined;
  /** A reader for what a member, an element or a pointer leads to, or undefined. It may throw SLOW. */
  lvalue?(node: Node): FastReader | undefined;
  /** Whether a name's text is this one, for names whose place is known. */
  textIs?(name: string, text: string): (() => boolean) | undefined;
}
/** Thrown by a reader that cannot tell now: the expression is to be evaluated instead. */
export const SLOW = Symbol('slow');
/** int32 when signed, else uint32, as a bare function is. */
export type FastReader = { get: () => number; signed: boolean };
type Fast = FastReader;

/** A closure for the integer part of the language, or undefined when the expression needs more. Same results as evaluate(). */
export const compile = (node: Node, env: FastEnvironment): (() => number) | undefined => fast(node, env)?.get;

const asFast = (r: FastReader | (() => number) | undefined): Fast | undefined => (typeof r === 'function' ? { get: r, signed: false } : r);

const fast = (node: Node, env: FastEnvironment): Fast | undefined => {
  switch (node.k) {
    case 'num': {
      if (node.type.size > 4 || node.real !== undefined) return undefined;
      const value = Number(node.value);
      return { get: () => value, signed: isSigned(node.type) };
    }
    case 'reg':
    case 'name': {
      return asFast(env.reader(node.name));
    }
    case 'member': {
      const dotted = !node.arrow && node.a.k === 'name' ? asFast(env.reader(`${node.a.name}.${node.name}`)) : undefined;
      return dotted ?? env.lvalue?.(node);
    }
    case 'index':
      return env.lvalue?.(node);
    case 'unary': {
      if (node.op === '*') return env.lvalue?.(node);
      const a = fast(node.a, env);
      if (a === undefined) return undefined;
      const { get, signed } = a;
      if (node.op === '!') return { get: () => (get() === 0 ? 1 : 0), signed: true };
      if (node.op === '~') return { get: signed ? () => ~get() : () => ~get() >>> 0, signed };
      if (node.op === '-') return { get: signed ? () => -get() | 0 : () => -get() >>> 0, signed };
      return node.op === '+' ? a : undefined;
    }
    case 'binary': {
      if ((node.op === '==' || node.op === '!=') && node.a.k === 'name' && node.b.k === 'str') {
        const same = env.textIs?.(node.a.name, node.b.text);
        const wanted = node.op === '==';
        return same === undefined ? undefined : { get: () => (same() === wanted ? 1 : 0), signed: true };
      }
      const x = fast(node.a, env);
      const y = fast(node.b, env);
      return x === undefined || y === undefined ? undefined : fastBinary(node.op, x, y);
    }
    default:
      return undefined;
  }
};
const fastBinary = (op: string, x: Fast, y: Fast): Fast | undefined => {
  const signed = x.signed && y.signed;
  const a = signed || !x.signed ? x.get : () => x.get() >>> 0;
  const b = signed || !y.signed ? y.get : () => y.get() >>> 0;
  const yes = (get: () => boolean): Fast => ({ get: () => (get() ? 1 : 0), signed: true });
  const int = (get: () => number): Fast => ({ get: signed ? () => get() | 0 : () => get() >>> 0, signed });
  switch (op) {
    case '&&':
      return yes(() => x.get() !== 0 && y.get() !== 0);
    case '||':
      return yes(() => x.get() !== 0 || y.get() !== 0);
    case '==':
      return yes(() => a() === b());
    case '!=':
      return yes(() => a() !== b());
    case '<':
      return yes(() => a() < b());
    case '<=':
      return yes(() => a() <= b());
    case '>':
      return yes(() => a() > b());
    case '>=':
      return yes(() => a() >= b());
    case '+':
      return int(() => a() + b());
    case '-':
      return int(() => a() - b());
    case '*':
      return int(() => Math.imul(a(), b()));
    case '&':
      return int(() => a() & b());
    case '|':
      return int(() => a() | b());
    case '^':
      return int(() => a() ^ b());
    case '<<':
    case '>>': {
      const value = x.get;
      const count = y.get;
      const { signed: s } = x;
      return {
        get:
          op === '<<' ? () => (s ? value() << count() : (value() << count()) >>> 0) : () => (s ? value() >> count() : value() >>> count()),
        signed: s,
      };
    }
    default:
      return undefined;
  }
};
