// A kernel's own structures, read by its debug information: so the same code fits every version that still has the members asked for.
//
// Offsets are looked up once by name and kept; reading is a few bytes from memory. A member that a version lacks, or memory that is not mapped, is `undefined`,
// never an error: whoever asks says what cannot be shown. What it leaves out: what the structures mean (tasks.ts, printers.ts, modules.ts).

import { type Type, stripType } from '../symbols/dwarf/types';
import type { Programs } from './programs';
import { LINEAR, type Space, type Target } from './target';

/** A member's place inside its structure. Bits only for bit-fields, counted from `offset`. */
export interface Field {
  offset: number;
  type: Type;
  size: number;
  bitOffset?: number;
  bitSize?: number;
}

/** Lists in memory are cut here: a broken one must not keep anyone busy. */
export const LIST_LIMIT = 10_000;

const latin = new TextDecoder('latin1');

const findField = (type: Type, name: string, depth = 0): Field | undefined => {
  const t = stripType(type);
  if ((t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'class') || depth > 8) return undefined;
  for (const m of t.members) {
    if (m.name === name) {
      const field: Field = { offset: m.offset, type: m.type, size: stripType(m.type).size };
      if (m.bitSize !== undefined && m.bitOffset !== undefined) {
        field.bitOffset = m.bitOffset - m.offset * 8;
        field.bitSize = m.bitSize;
      }
      return field;
    }
    if (m.name === undefined) {
      const inner = findField(m.type, name, depth + 1);
      if (inner !== undefined) return { ...inner, offset: m.offset + inner.offset };
    }
  }
  return undefined;
};

/** `a.b.c` inside a type, anonymous members looked through. */
export const fieldOf = (type: Type, path: string): Field | undefined => {
  let field: Field | undefined = { offset: 0, type, size: stripType(type).size };
  for (const name of path.split('.')) {
    const inner: Field | undefined = findField(field.type, name);
    if (inner === undefined) return undefined;
    field = { ...inner, offset: field.offset + inner.offset };
  }
  return field;
};

export class KernelData {
  private readonly types = new Map<string, Type>();
  private readonly fields = new Map<string, Field>();
  /** Names that no file has, asked when the list of files was that of `generation`: some are asked for at every stop. */
  private readonly missing = new Set<string>();
  private generation = 0;

  constructor(
    readonly target: Target,
    readonly programs: Programs,
    readonly space: Space = LINEAR,
  ) {}

  /** A complete type, as C writes it (`struct task_struct`), from the first file that has it. */
  type(name: string): Type | undefined {
    const known = this.types.get(name);
    if (known !== undefined) return known;
    if (this.generation !== this.programs.generation) this.missing.clear();
    this.generation = this.programs.generation;
    if (this.missing.has(name)) return undefined;
    for (const program of this.programs.list) {
      const found = program.symbols?.typeNamed(name);
      if (found === undefined) continue;
      const t = stripType(found);
      if ((t.kind === 'struct' || t.kind === 'union') && t.incomplete) continue;
      this.types.set(name, found);
      return found;
    }
    this.missing.add(name);
    return undefined;
  }

  /** Where `path` lies in a structure; several paths: the first that this version has. */
  field(structure: string, ...paths: string[]): Field | undefined {
    for (const path of paths) {
      const key = `${structure}.${path}`;
      const known = this.fields.get(key);
      if (known !== undefined) return known;
      const type = this.type(`struct ${structure}`);
      const found = type === undefined ? undefined : fieldOf(type, path);
      if (found !== undefined) {
        this.fields.set(key, found);
        return found;
      }
    }
    return undefined;
  }

  /** Every run-time address of a global, by debug information, else by the symbol table: virtual, then the physical one of an early boot. */
  addresses(name: string): number[] {
    const { programs } = this;
    const global = programs.globalNamed(name);
    if (global !== undefined) return programs.addresses(global.program, global.address);
    const symbol = programs.addressOf(name);
    const at = symbol === undefined ? undefined : programs.linked(symbol);
    return at === undefined ? (symbol === undefined ? [] : [symbol]) : programs.addresses(at.program, at.link);
  }
  /** Run-time address of the first of these globals that there is; of its two, the one that is mapped. */
  address(...names: string[]): number | undefined {
    for (const name of names) {
      const places = this.addresses(name);
      if (places.length > 0) return places.find((a) => this.target.locate(a) >= 0) ?? places[0];
    }
    return undefined;
  }

  read32(address: number): number | undefined {
    return this.target.read32(address >>> 0, this.space);
  }
  bytes(address: number, length: number): Uint8Array | undefined {
    const found = this.target.read(address >>> 0, length, this.space);
    return found.length === length ? found : undefined;
  }
  /** Text up to the first NUL, at most `limit` bytes. */
  text(address: number, limit = 256): string | undefined {
    const found = this.target.read(address >>> 0, limit, this.space);
    if (found.length === 0) return undefined;
    const end = found.indexOf(0);
    return latin.decode(end < 0 ? found : found.subarray(0, end));
  }

  at(structure: string, address: number): KernelObject {
    return new KernelObject(this, structure, address >>> 0);
  }

  /**
   * The objects on a circular `list_head`, without its head, in order. Ends at the head, at memory that is not there, at an element met before, and at LIST_LIMIT.
   * @param link where the list_head lies in each object.
   */
  list(head: number, link: number, limit = LIST_LIMIT): { objects: number[]; broken: string | undefined } {
    const objects: number[] = [];
    const seen = new Set<number>([head >>> 0]);
    for (let at = this.read32(head); ; at = this.read32(at)) {
      if (at === undefined) return { objects, broken: objects.length === 0 ? 'the list head is not mapped' : 'an element is not mapped' };
      if (at >>> 0 === head >>> 0) return { objects, broken: undefined };
      if (seen.has(at)) return { objects, broken: at === 0 ? 'an element is null' : 'an element comes twice' };
      if (objects.length >= limit) return { objects, broken: `only the first ${limit}` };
      if (at < 0x1000) return { objects, broken: `an element is 0x${at.toString(16)}` };
      seen.add(at);
      objects.push((at - link) >>> 0);
    }
  }
}

/** One structure in the Guest's memory. */
export class KernelObject {
  constructor(
    readonly data: KernelData,
    readonly structure: string,
    readonly address: number,
  ) {}

  field(...paths: string[]): Field | undefined {
    return this.data.field(this.structure, ...paths);
  }
  /** Address of a member. */
  addressOf(...paths: string[]): number | undefined {
    const f = this.field(...paths);
    return f === undefined ? undefined : (this.address + f.offset) >>> 0;
  }
  /** An unsigned number of at most 4 bytes, or the low word of a wider one. */
  number(...paths: string[]): number | undefined {
    const f = this.field(...paths);
    if (f === undefined) return undefined;
    const bytes = this.data.bytes(this.address + f.offset, Math.min(4, Math.max(1, f.size)));
    if (bytes === undefined) return undefined;
    const value = bytes.reduceRight((sum, b) => sum * 256 + b, 0);
    return f.bitSize === undefined ? value : (value >>> (f.bitOffset ?? 0)) & (2 ** f.bitSize - 1);
  }
  /** An unsigned number of 8 bytes. */
  wide(...paths: string[]): bigint | undefined {
    const f = this.field(...paths);
    const bytes = f === undefined ? undefined : this.data.bytes(this.address + f.offset, Math.min(8, f.size));
    return bytes?.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);
  }
  /** A char array, or the text that a char pointer points to. */
  text(...paths: string[]): string | undefined {
    const f = this.field(...paths);
    if (f === undefined) return undefined;
    if (stripType(f.type).kind === 'array') return this.data.text(this.address + f.offset, f.size);
    const at = this.data.read32(this.address + f.offset);
    return at === undefined || at === 0 ? undefined : this.data.text(at);
  }
  /** What a pointer member points to; undefined for null. */
  follow(structure: string, ...paths: string[]): KernelObject | undefined {
    const at = this.number(...paths);
    return at === undefined || at === 0 ? undefined : this.data.at(structure, at);
  }
}
