// Programs written by hand: an ELF header, a page of code, and the sections that a test gives. For shapes that no compiler makes.
import { withSection } from './add-section';

const NAMES = '\0.shstrtab\0';
export const TEXT = 0xc0100000;
export const CODE = 4096;

/** Little-endian bytes of a number. */
export const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
export const u32 = (value: number): number[] => [...u16(value), ...u16(value >>> 16)];
export const uleb = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...uleb(Math.floor(value / 128))]);
export const text = (value: string): number[] => [...new TextEncoder().encode(value), 0];
/** A part that says its own length first. */
export const counted = (bytes: readonly number[]): number[] => [...u32(bytes.length), ...bytes];
export const block = (bytes: readonly number[]): number[] => [...uleb(bytes.length), ...bytes];

/** A program with code at 0xc0100000 to 0xc0101000 and these sections. @param type 2 a program, 1 an object file. */
export function made(sections: Readonly<Record<string, ArrayLike<number>>>, type = 2): Uint8Array {
  const out = new Uint8Array(52 + 32 + CODE + 12 + 3 * 40);
  const view = new DataView(out.buffer);
  const codeAt = 84;
  const namesAt = codeAt + CODE;
  const table = namesAt + 12;
  out.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  for (const [at, value] of [
    [16, type],
    [18, 3],
    [42, 32],
    [44, 1],
    [46, 40],
    [48, 3],
    [50, 1],
  ] as const)
    view.setUint16(at, value, true);
  view.setUint32(28, 52, true);
  view.setUint32(32, table, true);
  for (const [i, value] of [1, codeAt, TEXT, 0x100000, CODE, CODE, 5, 4].entries()) view.setUint32(52 + 4 * i, value, true);
  out.fill(0x90, codeAt, namesAt);
  out.set(new TextEncoder().encode(NAMES), namesAt);
  const row = (index: number, values: readonly number[]): void => {
    for (const [i, value] of values.entries()) view.setUint32(table + index * 40 + 4 * i, value, true);
  };
  row(1, [1, 3, 0, 0, namesAt, NAMES.length]);
  row(2, [0, 1, 6, TEXT, codeAt, CODE]);
  let program: Uint8Array = out;
  for (const [name, bytes] of Object.entries(sections)) program = withSection(program, name, Uint8Array.from(bytes));
  return program;
}

/** As made(), with functions by name: offset from TEXT and size. */
export const madeWithSymbols = (
  sections: Readonly<Record<string, ArrayLike<number>>>,
  symbols: readonly (readonly [name: string, at: number, size: number])[],
): Uint8Array => {
  const names = ['', ...symbols.map(([name]) => name)];
  const offset = (i: number): number => names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0);
  const table = symbols.flatMap(([, at, size], i) => [...u32(offset(i + 1)), ...u32(TEXT + at), ...u32(size), 0x12, 0, ...u16(1)]);
  const file = made({ ...sections, '.strtab': names.flatMap(text), '.symtab': [...new Array<number>(16).fill(0), ...table] });
  const view = new DataView(file.buffer, file.byteOffset);
  const [headers, count] = [view.getUint32(32, true), view.getUint16(48, true)];
  for (const [row, type, link, size] of [
    [count - 2, 3, 0, 0],
    [count - 1, 2, count - 2, 16],
  ] as const) {
    view.setUint32(headers + 40 * row + 4, type, true);
    view.setUint32(headers + 40 * row + 24, link, true);
    view.setUint32(headers + 40 * row + 36, size, true);
  }
  return file;
};

// ---- debug information of version 4 ---------------------------------------------------------------------------------------------------

const DW_FORM = { addr: 1, data4: 6, string: 8, ref4: 0x13, offset: 0x17, expression: 0x18, refAddr: 0x10, present: 0x19 } as const;
const AT = {
  name: 3,
  sibling: 1,
  location: 2,
  size: 0xb,
  lines: 0x10,
  low: 0x11,
  high: 0x12,
  upper: 0x2f,
  origin: 0x31,
  base: 0x40,
} as const;
const REST = { place: 0x38, specification: 0x47, type: 0x49, import: 0x18, external: 0x3f, inline: 0x20 } as const;

/** Kinds of entries, with their attributes in the order of their values. */
export const ENTRY = {
  unit: [0x11, true, [AT.name, 'string'], [AT.low, 'addr'], [AT.high, 'data4'], [AT.lines, 'offset']],
  function: [0x2e, true, [REST.external, 'present'], [AT.name, 'string'], [AT.low, 'addr'], [AT.high, 'data4'], [AT.base, 'expression']],
  variable: [0x34, false, [REST.external, 'present'], [AT.name, 'string'], [REST.type, 'ref4'], [AT.location, 'expression']],
  typedef: [0x16, false, [AT.name, 'string'], [REST.type, 'ref4']],
  const: [0x26, false, [REST.type, 'ref4']],
  pointer: [0x0f, false, [REST.type, 'ref4']],
  struct: [0x13, true, [AT.name, 'string'], [AT.size, 'data4']],
  member: [0x0d, false, [AT.name, 'string'], [REST.type, 'ref4'], [REST.place, 'data4']],
  array: [0x01, true, [REST.type, 'ref4']],
  range: [0x21, false, [AT.upper, 'data4']],
  copy: [0x2e, true, [AT.origin, 'ref4'], [AT.low, 'addr'], [AT.high, 'data4']],
  inlined: [0x1d, true, [AT.origin, 'ref4'], [AT.low, 'addr'], [AT.high, 'data4']],
  variableCopy: [0x34, false, [AT.origin, 'ref4'], [AT.location, 'expression']],
  specified: [0x34, false, [REST.specification, 'ref4'], [AT.location, 'expression']],
  functionSpecified: [0x2e, false, [REST.specification, 'ref4'], [AT.low, 'addr'], [AT.high, 'data4']],
  imported: [0x3d, false, [REST.import, 'refAddr']],
  blockOf: [0x0b, true],
  blockAt: [0x0b, true, [AT.low, 'addr'], [AT.high, 'data4']],
  skipping: [0x2e, true, [AT.sibling, 'ref4'], [AT.name, 'string']],
  functionType: [0x15, true, [REST.type, 'ref4']],
  parameter: [0x05, false, [REST.type, 'ref4']],
} as const satisfies Record<string, readonly [number, boolean, ...(readonly [number, keyof typeof DW_FORM])[]]>;
type Kind = keyof typeof ENTRY;
const KINDS = Object.keys(ENTRY) as Kind[];

export const ABBREVIATIONS: readonly number[] = [
  ...KINDS.flatMap((kind, i) => {
    const [tag, children, ...attributes] = ENTRY[kind] as readonly [number, boolean, ...(readonly [number, keyof typeof DW_FORM])[]];
    return [...uleb(i + 1), ...uleb(tag), children ? 1 : 0, ...attributes.flatMap(([name, form]) => [...uleb(name), DW_FORM[form]]), 0, 0];
  }),
  0,
];

/** A value of an attribute; a string that begins with @ is a reference to the entry so labelled. */
export type Value = number | string | readonly number[];

/** Writes entries of one unit. */
export class Entries {
  private readonly bytes: number[] = [...u16(4), ...u32(0), 4];
  private readonly labels = new Map<string, number>();
  private readonly patches: [at: number, label: string][] = [];

  /** @param label a name for references, or '' */
  add(kind: Kind, label: string, ...values: Value[]): this {
    if (label !== '') this.labels.set(label, this.bytes.length + 4);
    this.bytes.push(...uleb(KINDS.indexOf(kind) + 1));
    const forms = (ENTRY[kind].slice(2) as (readonly [number, keyof typeof DW_FORM])[]).filter(([, form]) => form !== 'present');
    for (const [i, [, form]] of forms.entries()) {
      const value = values[i] ?? 0;
      if (form === 'string') this.bytes.push(...text(String(value)));
      else if (form === 'expression') for (const byte of block(value as number[])) this.bytes.push(byte);
      else if (typeof value === 'string') {
        this.patches.push([this.bytes.length, value.slice(1)]);
        this.bytes.push(0, 0, 0, 0);
      } else this.bytes.push(...u32(value as number));
    }
    return this;
  }
  /** The end of an entry's children. */
  end(): this {
    this.bytes.push(0);
    return this;
  }
  unit(): number[] {
    for (const [at, label] of this.patches) for (const [i, byte] of u32(this.labels.get(label) ?? 0).entries()) this.bytes[at + i] = byte;
    return counted(this.bytes);
  }
}

/** A unit over the whole code, and a function `work` in it that goes on. */
export const unitWithWork = (lines = 0): Entries =>
  new Entries().add('unit', 'unit', 'main.c', TEXT, CODE, lines).add('function', 'work', 'work', TEXT, CODE, [0x77, 0]);
