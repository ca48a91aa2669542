// What the user calls something, turned into the id of a data breakpoint: an expression, a register, a page table entry, an address with a length.
//
// What it leaves out: what an id means (watch-places.ts) and where variables are (frame-environment.ts).

import { ExpressionError } from './expression';
import { valueItem } from './item';
import { machineRegister, partOf } from './machine-names';
import type { Debugger } from './session';
import type { Frame } from './stack';
import { hex8, type Space } from './target';
import { PLAIN_FORMAT } from './value';
import { describe, subjectOf, watchableRegisters } from './watch-places';
import type { WatchAccess } from './watches';

export interface Watchable {
  id: string;
  description: string;
  access: WatchAccess[];
  /** Means the same in another session. */
  persistent: boolean;
}
/** A function that has just begun has not yet moved its stack pointer: its locals lie below. */
const FRAME = 4096;
const ALL: WatchAccess[] = ['read', 'write', 'readWrite'];

/** What an id offers, or one line that says why it is none. */
const offered = (d: Debugger, id: string): Watchable | string => {
  const subject = subjectOf(d.target, d.programs, id);
  if (typeof subject === 'string') return subject;
  return {
    id,
    description: describe(d.target, subject),
    access: subject.memory === undefined ? ['write'] : ALL,
    persistent: !id.startsWith('local:') && !/^(pte|pgd):/.test(id),
  };
};

/** Bytes of an address space. */
export const watchBytes = (d: Debugger, address: number, space: Space, bytes: number): Watchable | string => {
  if (space.kind === 'host') {
    const at = d.target.locate(address, space);
    return at < 0 ? `the Host maps nothing at ${hex8(address)}` : watchBytes(d, at, { kind: 'machine' }, bytes);
  }
  const name =
    space.kind === 'physical'
      ? 'p'
      : space.kind === 'machine'
        ? 'host'
        : space.directory === undefined
          ? 'v'
          : `v@${hex8(space.directory)}`;
  return offered(d, `mem:${name}:${hex8(address)}:${bytes}`);
};

const indexOf = (d: Debugger, text: string, frame: Frame | undefined): number =>
  Number(BigInt.asUintN(32, d.evaluate(text, frame, false).value.bits));
/** The id of what `lg.…` and `virt.…` name; indexes are expressions. Words of the page that are also registers by name keep that. */
const hostPath = (d: Debugger, text: string, frame: Frame | undefined): string | undefined => {
  const m = /^(lg|lguest|virt)((?:\.\w+|\[[^\]]+\])+)$/.exec(text);
  if (m === null || d.target.host === undefined || d.programs.addressOf(m[1]) !== undefined) return undefined;
  const path = m[2].slice(1).replace(/\[([^\]]+)\]/g, (_, index: string) => `[${indexOf(d, index, frame)}]`);
  return m[1] === 'virt' ? `fld:lguest_data.${path}` : `fld:lguest.${path}`;
};

/** A register by its name with or without `$`: `eflags.IF`, `cr3`, `lg.ts`, `irq_enabled`. A symbol of that name goes first unless `$` is there. */
const registerName = (d: Debugger, text: string): string | undefined => {
  const m = /^(\$?)([\w.]+)$/.exec(text);
  if (m === null) return undefined;
  const [, dollar, name] = m;
  if (dollar === '' && d.programs.addressOf(name) !== undefined) return undefined;
  if (partOf(d.target, name) !== undefined) return name;
  if (machineRegister(d.target, name)?.bytes === undefined && machineRegister(d.target, name) !== undefined) return name;
  if (/^e?(ax|bx|cx|dx|si|di|bp|sp|ip|flags)$/.test(name) || /^[c-gs]s$/.test(name) || watchableRegisters(d.target).includes(name))
    return name;
  return undefined;
};

/**
 * An expression that names a place. `pte(va)`, `spte(va)`, `pgd(va)`, `spgd(va)` and registers may be followed by `& mask`; any may be followed by `, changed`.
 * @returns one line that says why it cannot be watched.
 */
export const watchNamed = (d: Debugger, given: string, frame: Frame | undefined): Watchable | string => {
  const changed = /,\s*changed\s*$/.test(given);
  const text = given.replace(/,\s*changed\s*$/, '').trim();
  const as = (id: string): Watchable | string =>
    offered(d, changed && /^(mem|sym|local|ring|desc|fld:lguest_data)\b/.test(id) ? `${id}:changed` : id);
  const cr2 = /^cr2\.(hw|host|guest)$/.exec(text);
  if (cr2 !== null) return as(`cr2:${cr2[1]}`);
  try {
    const masked = /^(.*[\w)])\s*&\s*(0x[0-9a-f]+|\d+)$/i.exec(text);
    const subject = masked?.[1].trim() ?? text;
    const mask = masked === null ? '' : `&${masked[2]}`;
    const table = /^(s?)(pte|pgd)\s*\((.+)\)$/.exec(subject);
    if (table !== null) {
      const va = Number(BigInt.asUintN(32, d.evaluate(table[3], frame, false).value.bits));
      return as(`${table[2]}:${table[1] === 's' ? 's' : 'g'}:${hex8(va)}${mask}`);
    }
    const entry = /^(gdt|idt|tls)\s*\((.+)\)$/.exec(subject);
    if (entry !== null && mask === '') return as(`desc:${entry[1]}:${indexOf(d, entry[2], frame)}`);
    const ring = /^ring:hcall(?:\[(.+)\])?$/.exec(text);
    if (ring !== null) return as(`ring:hcall${ring[1] === undefined ? '' : `[${indexOf(d, ring[1], frame)}]`}`);
    // What has no other name is named by its id.
    if (/^(desc|ring|fld):/.test(text)) return as(text);
    const kept = hostPath(d, subject, frame);
    if (kept !== undefined) {
      const masks = kept.startsWith('fld:lguest.') ? mask : '';
      return masks === mask
        ? as(`${kept}${masks}`)
        : `${subject} is memory: it is watched whole, with a condition such as (new & ${masked?.[2]}) != (old & ${masked?.[2]})`;
    }
    const register = registerName(d, subject);
    if (register !== undefined) return as(`reg:${register}${mask}`);
    const { value, env } = d.evaluate(text, frame, false);
    const item = valueItem(text, text, value, d.valueContext(env), PLAIN_FORMAT);
    if (item.watch === undefined) return value.register === undefined ? `${text} is not in memory` : as(`reg:${value.register}`);
    return as(memoryId(d, item.watch.id, text, frame));
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return error.message;
  }
};

/** The id of memory by what it is: a symbol's keeps its meaning in the next run, a local's ends with its frame. */
export const memoryId = (d: Debugger, id: string, name: string, frame: Frame | undefined): string => {
  const m = /^mem:v:(0x[0-9a-f]+):(\d+)$/.exec(id);
  if (m === null) return id;
  const address = Number(m[1]);
  const stack = d.stack();
  stack.need(64);
  const code = stack.frames.filter((f) => f.kind === 'code');
  const at = Math.max(0, frame === undefined ? 0 : code.indexOf(frame));
  const own = code[at]?.registers;
  const caller = code.slice(at + 1).find((f) => f.registers !== own);
  const low = own?.[4];
  const high = caller?.registers[4];
  if (low !== undefined && caller !== undefined && high !== undefined && address >= low - FRAME && address < high + 64)
    return `local:${hex8(address)}:${m[2]}:${hex8(caller.pc)}:${hex8(high)}${/^\w+$/.test(name) ? `:${name}` : ''}`;
  const hit = d.programs.symbolAt(address);
  if (
    hit !== undefined &&
    hit.kind === 'object' &&
    hit.offset < Math.max(1, hit.size) &&
    d.programs.addressOf(hit.name) === (address - hit.offset) >>> 0
  )
    return `sym:${hit.name}${hit.offset === 0 ? '' : `+0x${hit.offset.toString(16)}`}:${m[2]}`;
  return id;
};

/** What a row of a scope offers. */
export const watchItem = (d: Debugger, id: string, name: string, frame: Frame | undefined): Watchable | string =>
  offered(d, memoryId(d, id, name, frame));
