// What a data breakpoint can be about, by its id: memory of an address space, a symbol, a page table entry, a register, a field of the Host.
//
// An id is a text, so that clients keep it: `mem:v:0x…:4`, `mem:p:…`, `mem:host:…`, `mem:v@0x<cr3>:0x…:4`, `sym:jiffies+0x4:4`, `local:0x…:4:0x<return>:0x<esp>`,
// `pte:g:0x…`, `pte:s:0x…`, `pgd:g:…`, `pgd:s:…`, `reg:eflags.IF`, `fld:lguest.ts`, each of the last with `&mask`; `fld:lguest_data.cr2`, `ring:hcall[3]`,
// `desc:gdt:2`, `desc:idt:14`, `desc:tls:0`, `desc:console:status`, `ring:console.0:used`; `cr2:hw`. Memory may end in `:changed`.
// What it leaves out: noticing accesses (watches.ts).

import { CR0, CR4, W } from '../i386/state';
import { GDT, GDT_ENTRIES, IDT_ENTRIES, LD, RING_ENTRIES } from '../lguest/abi';
import type { Host, Walk } from '../lguest/host';
import { HOST_PATHS, hostField, SHARED_PATHS, type SharedPart, SLOT_BYTES, sharedPart } from './host-values';
import { CONTROL_REGISTERS, FLAG_BITS, isGuestRegister, machineRegister, partOf } from './machine-names';
import type { Programs } from './programs';
import { hex8, LINEAR, type Space, type Target } from './target';

/** Bytes of the machine's memory. */
export interface Range {
  physical: number;
  length: number;
}
/** Where something lies now. */
export interface Place {
  ranges: Range[];
  /** The page table entries that say so: when one of these is written, it may lie elsewhere. */
  follow: Range[];
}

/** A value that is compared: uint32 as a number, wider ones as bigint, texts. */
export type Probed = number | bigint | string;

/** What an id is about. Exactly one of `memory` and `probe` is there, or `cr2`. */
export interface Subject {
  /** What it is called in texts. */
  name: string;
  /** Linear or other address, for memory. */
  address: number;
  length: number;
  memory?: { space: Space; changedOnly: boolean };
  /** The value, masked. */
  probe?: () => Probed;
  mask: number;
  /** When a probe is to be compared: after every instruction, after every act of the Host, or when its memory is written. */
  when: 'memory' | 'step' | 'host';
  /** Memory that lies where the Host says: looked up again at every world switch. */
  floating?: boolean;
  /** What of it lies at a place of the machine's memory, for what has parts with names. */
  partAt?: (physical: number) => string;
  place: () => Place;
  cr2?: 'hw' | 'host' | 'guest';
  /** What the Host does there is no hit. */
  guestOnly?: boolean;
  /** A local variable: gone once control is at `pc` with the stack at `esp` or above. */
  until?: { pc: number; esp: number };
}

const PAGE = 0x1000;
const TABLE = 0x400000;
const NOWHERE: Place = { ranges: [], follow: [] };

/** Adds a range, joined with the last where they touch. */
const add = (list: Range[], physical: number, length: number): void => {
  const last = list[list.length - 1];
  if (last !== undefined && last.physical + last.length === physical) last.length += length;
  else list.push({ physical, length });
};

/** Entries on the way to an address, in the machine's memory. */
const entriesOf = (target: Target, address: number, directory: number | undefined): { pde: number; pte: number } => {
  const { host, processor } = target;
  if (host !== undefined) {
    const w = host.guestWalk(address, directory);
    const at = (guest: number | undefined): number =>
      guest === undefined || !host.lg.readable(guest, 4) ? -1 : host.layout.memBase + guest;
    return { pde: at(w.pdeAt), pte: w.pde !== undefined && w.pde & 1 ? at(w.pteAt) : -1 };
  }
  const { m32 } = processor.cpu;
  if ((m32[W.CR0] & CR0.PG) === 0) return { pde: -1, pte: -1 };
  const pdeAt = ((directory ?? m32[W.CR3]) & ~0xfff) + ((address >>> 22) << 2);
  const pde = target.read32(pdeAt, { kind: 'physical' });
  if (pde === undefined) return { pde: -1, pte: -1 };
  const large = (pde & 0x80) !== 0 && (m32[W.CR4] & CR4.PSE) !== 0;
  return { pde: pdeAt, pte: (pde & 1) === 0 || large ? -1 : (pde & ~0xfff) + ((address >>> 10) & 0xffc) };
};

/** Where a stretch of an address space lies. What is not mapped is left out. */
export const locateRange = (target: Target, address: number, length: number, space: Space): Place => {
  const place: Place = { ranges: [], follow: [] };
  const end = Math.min(address + length, 2 ** 32);
  if (space.kind !== 'linear') {
    for (let at = address; at < end; ) {
      const size = Math.min(end - at, PAGE - (at % PAGE));
      const physical = target.locate(at, space);
      if (physical < 0) break; // both other spaces are one piece from 0 on
      add(place.ranges, physical, size);
      at += size;
    }
    return place;
  }
  for (let at = address; at < end; ) {
    const { pde, pte } = entriesOf(target, at, space.directory);
    if (pde >= 0 && (at === address || at % TABLE === 0)) add(place.follow, pde, 4);
    if (pde >= 0 && pte < 0 && target.locate(at, space) < 0) {
      at = Math.min(end, (Math.floor(at / TABLE) + 1) * TABLE);
      continue;
    }
    const size = Math.min(end - at, PAGE - (at % PAGE));
    if (pte >= 0) add(place.follow, pte, 4);
    const physical = target.locate(at, space);
    if (physical >= 0) add(place.ranges, physical, size);
    at += size;
  }
  return place;
};

/** What the debugger calls fields of the Host beside `lg.…`. */
const HOST_NAMES: Readonly<Record<string, (host: Host) => number>> = {
  cr3: ({ lg }) => lg.pgdirs[lg.pgdidx].gpgdir,
  'cr3.guest': ({ lg }) => lg.pgdirs[lg.pgdidx].gpgdir,
  'cr3.shadow': ({ lg }) => lg.pgdirs[lg.pgdidx].shadow,
};
/** Words of the shared page of which changes are watched, whoever makes them. */
const SHARED: Readonly<Record<string, number>> = {
  irq_enabled: LD.irqEnabled,
  'virt.irq_enabled': LD.irqEnabled,
  'virt.blocked_interrupts': LD.blockedInterrupts,
  'virt.cr2': LD.cr2,
};

/** Names that can be watched as registers, for completion and messages. */
export const watchableRegisters = (target: Target): string[] => [
  ...(target.host === undefined
    ? Object.keys(CONTROL_REGISTERS)
    : [...Object.keys(HOST_NAMES), 'irq_enabled', ...HOST_PATHS.map((p) => `lg.${p}`), ...SHARED_PATHS.map((p) => `virt.${p}`)]),
  ...Object.keys(FLAG_BITS).map((f) => `eflags.${f}`),
];

/** Bytes as one number, lowest first. */
const wide = (bytes: Uint8Array = new Uint8Array()): bigint => bytes.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);

const register = (target: Target, name: string, mask: number): Subject | string => {
  const base = { name, address: 0, length: 4, mask, place: () => NOWHERE };
  const { host } = target;
  const flag = /^eflags\.([A-Z]+)$/.exec(name)?.[1];
  if (flag !== undefined && flag in FLAG_BITS)
    return { ...base, when: 'step', probe: () => ((target.register('eflags') & FLAG_BITS[flag]) === 0 ? 0 : 1) };
  const part = /^(x?mm[0-7])@(\d+):(\d+)$/.exec(name);
  if (part !== null) {
    const [from, length] = [Number(part[2]), Number(part[3])];
    const bytes = (): Uint8Array | undefined => machineRegister(target, part[1])?.bytes?.subarray(from, from + length);
    if (length < 1 || bytes()?.length !== length) return `${part[1]} has no ${length} bytes from ${from} on`;
    const whole = `${part[1]} bytes ${from} to ${from + length - 1}`;
    return { ...base, name: whole, length, when: 'step', probe: () => wide(bytes()) };
  }
  if (isGuestRegister(name)) return { ...base, when: 'step', probe: () => (target.register(name) & mask) >>> 0 };
  // Control registers under a Host are the Guest's as the Host keeps them; all else is as an expression shows it.
  const machine =
    host === undefined || !['cr2', 'cr3'].includes(name) ? (partOf(target, name) ?? machineRegister(target, name)) : undefined;
  if (machine?.bytes !== undefined) {
    // x87, MMX and SSE registers: all their bytes as one number.
    return { ...base, length: machine.bytes.length, when: 'step', probe: () => wide(machineRegister(target, name)?.bytes) };
  }
  if (machine !== undefined) {
    const now = (): number => Number((partOf(target, name) ?? machineRegister(target, name))?.bits ?? 0n);
    return { ...base, when: 'step', probe: () => (now() & mask) >>> 0 };
  }
  if (host === undefined) {
    if (Object.hasOwn(CONTROL_REGISTERS, name))
      return { ...base, when: 'step', probe: () => (target.processor.cpu.m32[CONTROL_REGISTERS[name]] & mask) >>> 0 };
    return `no register "${name}" can be watched; ${watchableRegisters(target).join(' ')} and the general registers can`;
  }
  if (name.startsWith('lg.')) return hostSubject(host, name.slice(3), mask);
  const kept = Object.hasOwn(HOST_NAMES, name) ? HOST_NAMES[name] : undefined;
  if (kept !== undefined) return { ...base, when: 'host', probe: () => (kept(host) & mask) >>> 0 };
  if (Object.hasOwn(SHARED, name)) {
    const offset = SHARED[name];
    return {
      ...base,
      when: 'memory',
      probe: () => (host.lg.ld < 0 ? 0 : (host.lg.ld32(offset) & mask) >>> 0),
      place: () =>
        host.lg.ld < 0 ? NOWHERE : { ranges: [{ physical: host.layout.memBase + host.lg.ld + offset, length: 4 }], follow: [] },
    };
  }
  return `no register "${name}" can be watched; ${watchableRegisters(target).join(' ')} and the general registers can`;
};

/** A field of `lg` by its path. */
const hostSubject = (host: Host, path: string, mask: number): Subject | string => {
  const now = hostField(host, path);
  if (now === undefined)
    return `lg.${path} is no field with one value: ${HOST_PATHS.join(' ')} pgdirs[n].gpgdir pgdirs[n].shadow gdt[n] idt[n] are`;
  return {
    name: `lg.${path}`,
    address: 0,
    length: 4,
    mask,
    when: 'host',
    probe: () => {
      const value = now();
      return typeof value === 'number' ? (value & mask) >>> 0 : value;
    },
    place: () => NOWHERE,
  };
};

/** Stretches of the shared page, wherever the Guest has it. */
const sharedSubject = (
  host: Host,
  name: string,
  parts: SharedPart[],
  changedOnly: boolean,
  partAt?: (offset: number) => string,
): Subject => {
  const { lg, layout } = host;
  const start = (): number => layout.memBase + lg.ld;
  return {
    name,
    address: parts[0].offset,
    length: parts.reduce((sum, p) => sum + p.length, 0),
    mask: -1,
    memory: { space: { kind: 'physical' }, changedOnly },
    when: 'memory',
    floating: true,
    partAt: (physical) => partAt?.(physical - start()) ?? `${name}+0x${(physical - start() - parts[0].offset).toString(16)}`,
    place: () =>
      lg.ld < 0
        ? NOWHERE
        : {
            ranges: parts
              .filter((p) => lg.ldReachable(p.offset, p.length))
              .map((p) => ({ physical: start() + p.offset, length: p.length })),
            follow: [],
          },
  };
};
/** The ring of hypercalls, or one slot of it with its status. */
const ringSubject = (host: Host, slot: number | undefined, changedOnly: boolean): Subject | string => {
  if (slot !== undefined && slot >= RING_ENTRIES) return `the ring of hypercalls has slots 0 to ${RING_ENTRIES - 1}, not ${slot}`;
  const which = slot === undefined ? '' : `[${slot}]`;
  const parts = [sharedPart(`hcall_status${which}`), sharedPart(`hcalls${which}`)].filter((p) => p !== undefined);
  const partAt = (offset: number): string => {
    if (offset < LD.hcalls) return `ring:hcall[${offset - LD.hcallStatus}] status`;
    const at = offset - LD.hcalls;
    return `ring:hcall[${Math.floor(at / SLOT_BYTES)}].${['eax', 'ebx', 'ecx', 'edx'][(at % SLOT_BYTES) >> 2]}`;
  };
  return sharedSubject(host, `ring:hcall${which}`, parts, changedOnly, partAt);
};

/** `suffix`, here and below: `:changed` or nothing. An entry of a descriptor table: the Guest's as the Host keeps it; the bare machine's own in its memory. */
const descriptor = (target: Target, programs: Programs, table: 'gdt' | 'idt' | 'tls', n: number, suffix: string): Subject | string => {
  const { host } = target;
  const most = table === 'tls' ? GDT.TLS_MAX - GDT.TLS_MIN + 1 : table === 'idt' ? IDT_ENTRIES : host === undefined ? 8192 : GDT_ENTRIES;
  if (n >= most) return `${table} has entries 0 to ${most - 1}, not ${n}`;
  const name = `${table}(${n})`;
  if (host !== undefined) {
    const s = hostSubject(host, table === 'idt' ? `idt[${n}]` : `gdt[${table === 'tls' ? GDT.TLS_MIN + n : n}]`, -1);
    return typeof s === 'string' ? s : { ...s, name, length: 8 };
  }
  if (table === 'tls') return 'a bare machine has no TLS entries of its own: watch gdt(n)';
  const base = target.processor.cpu.m32[table === 'gdt' ? W.GDT_BASE : W.IDT_BASE];
  const s = subjectOf(target, programs, `mem:v:${hex8(base + 8 * n)}:8${suffix}`);
  return typeof s === 'string' ? s : { ...s, name };
};

/** Fields of a device's descriptor, and of its queues' rings: where they lie. The Launcher's own cursor lies nowhere. */
const DESCRIPTOR_FIELDS: Readonly<Record<string, [offset: number, length: number]>> = { type: [0, 1], config_len: [1, 1], status: [2, 1] };
const device = (
  target: Target,
  programs: Programs,
  name: string,
  queue: number | undefined,
  field: string,
  suffix: string,
): Subject | string => {
  const all = target.devices ?? [];
  // Of several of a kind the second is `block2`.
  const [, kind, nth] = /^(\D*)(\d*)$/.exec(name) ?? [];
  const found = all.filter((d) => d.name === kind)[Number(nth || 1) - 1];
  if (found === undefined)
    return `there is no device "${name}"${all.length === 0 ? '' : `; there are ${all.map((d) => d.name).join(' ')}`}`;
  const text = queue === undefined ? `desc:${name}:${field}` : `ring:${name}.${queue}:${field}`;
  const memory = (address: number, length: number): Subject | string => {
    const subject = subjectOf(target, programs, `mem:p:${hex8(address)}:${length}${suffix}`);
    return typeof subject === 'string' ? subject : { ...subject, name: text };
  };
  if (queue === undefined) {
    const at = Object.hasOwn(DESCRIPTOR_FIELDS, field) ? DESCRIPTOR_FIELDS[field] : undefined;
    return at === undefined
      ? `a device's descriptor has ${Object.keys(DESCRIPTOR_FIELDS).join(' ')}`
      : memory(found.descriptor + at[0], at[1]);
  }
  const ring = found.queues[queue];
  if (ring === undefined) return `${name} has queues 0 to ${found.queues.length - 1}, not ${queue}`;
  if (field === 'avail' || field === 'used') return memory(ring[field] + 2, 2);
  if (field !== 'last') return 'a queue has avail and used, the indexes of its rings, and last, how far the Launcher has looked';
  return { name: text, address: 0, length: 4, mask: -1, when: 'host', probe: () => ring.lastAvail, place: () => NOWHERE };
};

/** An entry of the Guest's or the shadow tables, in the directory that is current when the watch is made. */
const entry = (target: Target, level: 'pte' | 'pgd', kind: 'g' | 's', va: number, mask: number): Subject | string => {
  const { host } = target;
  const name = `${kind === 's' ? 's' : ''}${level}(${hex8(va)})`;
  if (host === undefined && kind === 's') return 'a bare machine has no shadow tables';
  const directory = host === undefined ? (target.processor.cpu.m32[W.CR3] & ~0xfff) >>> 0 : host.lg.pgdirs[host.lg.pgdidx].gpgdir;
  const shadow = (): Walk | undefined => {
    const slot = host?.lg.pgdirs.findIndex((p) => p.shadow !== 0 && p.gpgdir === directory) ?? -1;
    return slot < 0 ? undefined : host?.shadowWalk(va, slot);
  };
  const at = (): { pde: number; pte: number } => {
    if (kind === 'g') return entriesOf(target, va, directory);
    const w = shadow();
    return { pde: w?.pdeAt ?? -1, pte: w?.pde !== undefined && w.pde & 1 ? (w.pteAt ?? -1) : -1 };
  };
  return {
    name,
    address: va,
    length: 4,
    mask,
    when: 'memory',
    probe: () => {
      const { pde, pte } = at();
      const physical = level === 'pgd' ? pde : pte;
      return physical < 0 ? 0 : ((target.read32(physical, { kind: 'machine' }) ?? 0) & mask) >>> 0;
    },
    place: () => {
      const { pde, pte } = at();
      const place: Place = { ranges: [], follow: [] };
      if (level === 'pgd') {
        if (pde >= 0) add(place.ranges, pde, 4);
      } else {
        if (pde >= 0) add(place.follow, pde, 4);
        if (pte >= 0) add(place.ranges, pte, 4);
      }
      return place;
    },
  };
};

/** Reads an id. @returns the subject, or one line that says what is wrong. */
export const subjectOf = (target: Target, programs: Programs, id: string): Subject | string => {
  const cr2 = /^cr2:(hw|host|guest)$/.exec(id)?.[1] as Subject['cr2'];
  if (cr2 !== undefined) {
    if (target.host === undefined) return 'a bare machine has one cr2: watch the register cr2';
    const { host } = target;
    // What the Host writes there is known by the trap's record; the Guest's own writes are seen in memory.
    const place = (): Place =>
      cr2 !== 'guest' || host.lg.ld < 0
        ? NOWHERE
        : { ranges: [{ physical: host.layout.memBase + host.lg.ld + LD.cr2, length: 4 }], follow: [] };
    return { name: `cr2.${cr2}`, address: 0, length: 4, mask: -1, when: 'memory', cr2, guestOnly: true, place };
  }
  const reg = /^reg:([\w.$]+(?:@\d+:\d+)?)(?:&(0x[0-9a-f]+|\d+))?$/i.exec(id);
  if (reg !== null) return register(target, reg[1].replace(/^\$/, ''), reg[2] === undefined ? -1 : Number(reg[2]) | 0);
  const field = /^fld:lguest\.([\w.[\]]+?)(?:&(0x[0-9a-f]+|\d+))?$/i.exec(id);
  const shared = /^(?:fld:lguest_data\.([\w.[\]]+)|ring:hcall(?:\[(\d+)\])?)(:changed)?$/i.exec(id);
  if (field !== null || shared !== null) {
    const { host } = target;
    if (host === undefined) return 'a bare machine has no Host: nothing is kept of a Guest';
    if (field !== null) return hostSubject(host, field[1], field[2] === undefined ? -1 : Number(field[2]) | 0);
    if (shared?.[1] === undefined)
      return ringSubject(host, shared?.[2] === undefined ? undefined : Number(shared[2]), shared?.[3] !== undefined);
    const part = sharedPart(shared[1]);
    if (part === undefined)
      return `virt.${shared[1]} is nothing on the page that Guest and Host share: ${SHARED_PATHS.join(' ')} hcall_status[n] hcalls[n] are`;
    return sharedSubject(host, `virt.${shared[1]}`, [part], shared[3] !== undefined);
  }
  const entryId = /^desc:(gdt|idt|tls):(\d+)(:changed)?$/i.exec(id);
  if (entryId !== null) return descriptor(target, programs, entryId[1] as 'gdt', Number(entryId[2]), entryId[3] ?? '');
  const onDevice = /^(?:desc:(\w+)|ring:(\w+)\.(\d+)):(\w+?)(:changed)?$/.exec(id);
  if (onDevice !== null) {
    const [, described, ringed, queue, field, changed] = onDevice;
    return device(target, programs, described ?? ringed, queue === undefined ? undefined : Number(queue), field, changed ?? '');
  }
  const table = /^(pte|pgd):(g|s):(0x[0-9a-f]+)(?:&(0x[0-9a-f]+|\d+))?$/i.exec(id);
  if (table !== null)
    return entry(target, table[1] as 'pte', table[2] as 'g', Number(table[3]) >>> 0, table[4] === undefined ? -1 : Number(table[4]) | 0);

  let space: Space = LINEAR;
  let address = 0;
  let length = 0;
  let until: Subject['until'];
  let name: string | undefined;
  const changedOnly = id.endsWith(':changed');
  const text = id.replace(/:changed$/, '');
  const memory = /^mem:(v|p|host|all)(?:@(0x[0-9a-f]+))?:(0x[0-9a-f]+):(\d+)$/i.exec(text);
  const symbol = /^sym:([\w.$]+)(?:\+(0x[0-9a-f]+|\d+))?:(\d+)$/i.exec(text);
  const local = /^local:(0x[0-9a-f]+):(\d+):(0x[0-9a-f]+):(0x[0-9a-f]+)(?::(\w+))?$/i.exec(text);
  if (memory !== null) {
    address = Number(memory[3]);
    length = Number(memory[4]);
    if (memory[1] === 'p') space = { kind: 'physical' };
    else if (memory[1] === 'host') space = { kind: 'machine' };
    else if (memory[2] !== undefined) space = { kind: 'linear', directory: Number(memory[2]) };
  } else if (symbol !== null) {
    const at = programs.addressOf(symbol[1]);
    if (at === undefined) return `no symbol "${symbol[1]}" is known`;
    const offset = Number(symbol[2] ?? 0);
    address = at + offset;
    length = Number(symbol[3]);
    name = offset === 0 ? symbol[1] : `${symbol[1]}+0x${offset.toString(16)}`;
  } else if (local !== null) {
    address = Number(local[1]);
    length = Number(local[2]);
    until = { pc: Number(local[3]), esp: Number(local[4]) };
    name = local[5];
  } else return `"${id}" names nothing that can be watched`;
  if (!(address <= 0xffffffff)) return `${id} is beyond 4 GB`;
  if (length < 1 || address + length > 2 ** 32)
    return `a watch covers 1 byte to 4 GB, up to 0xffffffff; not ${length} bytes from ${hex8(address)} on`;
  const { host } = target;
  // The tables of now: another task's page at the same address is other memory.
  if (space.kind === 'linear' && space.directory === undefined && host !== undefined)
    space = { kind: 'linear', directory: host.lg.pgdirs[host.lg.pgdidx].gpgdir };
  const wanted = space;
  return {
    name: name ?? (space.kind === 'physical' ? `p:${hex8(address)}` : (programs.nameOf(address) ?? hex8(address))),
    address,
    length,
    memory: { space, changedOnly },
    mask: -1,
    when: 'memory',
    place: () => {
      const place = locateRange(target, address, length, wanted);
      if (place.ranges.length > 0 || wanted.kind !== 'linear') return place;
      // Early in a boot only the physical place of a kernel's variable is mapped.
      const at = programs.linked(address);
      const other = at === undefined ? undefined : programs.addresses(at.program, at.link).find((a) => target.locate(a, wanted) >= 0);
      return other === undefined ? place : { ranges: locateRange(target, other, length, wanted).ranges, follow: place.follow };
    },
    ...(until === undefined ? {} : { until }),
  };
};

/** One line that says exactly what will be watched. */
export const describe = (target: Target, subject: Subject): string => {
  const { memory } = subject;
  if (subject.cr2 !== undefined)
    return `cr2 as ${{ hw: 'the processor has it: every page fault', host: 'the Host saves it: every page fault', guest: 'the Guest sees it: every fault that is given to it' }[subject.cr2]}`;
  if (memory === undefined) {
    const how = {
      step: 'after every instruction: the Guest runs step by step while this is on',
      host: 'after every act of the Host',
      memory: 'Guest and Host writers',
    };
    return `${subject.name}${subject.mask === -1 ? '' : ` & 0x${(subject.mask >>> 0).toString(16)}`}, ${how[subject.when]}`;
  }
  const { ranges } = subject.place();
  const guest = target.host?.layout.memBase ?? 0;
  const [first] = ranges;
  const size = `${subject.length} ${subject.length === 1 ? 'byte' : 'bytes'}`;
  if (first === undefined) return `${size} at ${hex8(subject.address)} (${subject.name}), not mapped now: watched once it is`;
  const where = first.physical >= guest ? `guest-physical ${hex8(first.physical - guest)}` : `the machine's ${hex8(first.physical)}`;
  return `${where}, ${size} (${subject.name})${ranges.length > 1 ? ` in ${ranges.length} pieces` : ''}, all aliases, Guest and Host writers`;
};
