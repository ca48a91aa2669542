// The machine in rows: general registers, flags, segments with their hidden parts, control, debug and x87 registers; beside each what the Guest believes, where that differs.
//
// Each row has the expression that gives the same value. What it leaves out: the Host's own fields (host-rows.ts) and names that are typed (machine-names.ts).

import { W } from '../i386/state';
import { KERNEL_CS, GDT, LD } from '../lguest/abi';
import { accessText, descriptorText } from './descriptor-text';
import { gdtRows } from './descriptors';
import { evaluate, number, parse, realFromBytes, store } from './expression';
import { vectorName } from './filters';
import { fpuState } from './fpu-state';
import { type Item, valueItem } from './item';
import { FLAG_BITS, machineRegister, stackBytes, stackEmpty } from './machine-names';
import type { Debugger } from './session';
import { DWARF_REGISTERS, type Frame } from './stack';
import { hex8, type SegmentName } from './target';
import { formatValue, PLAIN_FORMAT } from './value';

const GENERAL = ['eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp', 'eip'] as const;
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const UINT_TEXT = 'unsigned int';
const hex4 = (value: number): string => `0x${(value & 0xffff).toString(16).padStart(4, '0')}`;

/** What a row does when its value is changed: the assignment that the console would do. */
const assign =
  (d: Debugger, expression: string) =>
  (text: string): void => {
    const env = d.environment(undefined, true);
    store(env, evaluate(parse(expression), env), evaluate(parse(text), env));
  };

// ---- general registers and flags ------------------------------------------------------------------------------------------------------------

export const registerRows = (d: Debugger, frame: Frame): Item[] => {
  const { target } = d;
  const row = (name: string, value: number | undefined, editable: boolean): Item => {
    const shown = value === undefined ? 'unknown' : wordText(d, `$${name}`, value);
    const item: Item = { name, value: shown, type: UINT_TEXT, evaluateName: `$${name}` };
    if (value === undefined) return item;
    item.memory = value;
    if (name === 'eip') item.code = item.memory = editable ? target.pc : value;
    if (!editable) return item;
    if (name === 'esp') item.memory = (target.segmentBase('ss') + value) >>> 0;
    item.watch = { id: `reg:${name}`, description: `register ${name}` };
    item.set = assign(d, `$${name}`);
    return item;
  };
  if (frame.method !== 'exact') return GENERAL.map((name) => row(name, frame.registers[DWARF_REGISTERS.indexOf(name)], false));
  const flags = target.register('eflags');
  return [
    ...GENERAL.map((name) => row(name, target.register(name), true)),
    { ...row('eflags', flags, true), value: `${wordText(d, '$eflags', flags)} [${flagNames(flags)}]` },
  ];
};

/** A register as the user wants to see it: hexadecimal with leading zeros unless another format was chosen. */
export const wordText = (d: Debugger, expression: string, value: number): string => {
  const letter = d.formats.get(expression);
  if (letter === undefined) return hex8(value);
  return formatValue(number(value >>> 0), d.valueContext(d.environment(undefined, false)), { letter, count: undefined });
};

export const flagRows = (d: Debugger): Item[] => {
  const { target } = d;
  const flags = target.register('eflags');
  const row = (name: string, value: number): Item => ({
    name,
    value: String(value),
    type: 'flag',
    evaluateName: `eflags.${name}`,
    watch: { id: `reg:eflags.${name}`, description: `flag ${name}` },
    set: assign(d, `eflags.${name}`),
  });
  const rows = Object.entries(FLAG_BITS).map(([name, bit]) => row(name, flags & bit ? 1 : 0));
  rows.push(row('IOPL', (flags >> 12) & 3));
  const { host } = target;
  if (host !== undefined) {
    const enabled = host.lg.ld < 0 ? 'unknown before LGUEST_INIT' : host.lg.ld32(LD.irqEnabled) & 0x200 ? '1' : '0';
    rows.push({
      name: 'irq_enabled (guest believes)',
      value: enabled,
      type: 'flag',
      evaluateName: 'virt.irq_enabled',
      watch: { id: 'reg:irq_enabled', description: 'irq_enabled' },
    });
  }
  return rows;
};

// ---- segments and tables -----------------------------------------------------------------------------------------------------------------------

export const segmentRows = (d: Debugger): Item[] => {
  const { target } = d;
  const { m32 } = target.processor.cpu;
  const rows: Item[] = SEGMENT_NAMES.map((name) => ({
    name,
    value: hex4(target.register(name)),
    type: 'selector',
    evaluateName: `$${name}`,
    set: assign(d, `$${name}`),
    open: () => hiddenRows(d, name),
  }));
  for (const [name, n] of [
    ['ldtr', 6],
    ['tr', 7],
  ] as const) {
    const access = m32[W.ACCESS + n];
    rows.push({
      name,
      value: hex4(m32[W.SELECTOR + n]),
      type: 'selector',
      evaluateName: `$${name}`,
      open: () => partRows(name, { base: m32[W.BASE + n] >>> 0, limit: m32[W.LIMIT + n] >>> 0, access }),
    });
  }
  const table = (name: string, base: number, limit: number): Item => ({
    name,
    value: `${hex8(base)} limit 0x${limit.toString(16)}`,
    type: 'table',
    evaluateName: `${name}.base`,
    memory: base >>> 0,
  });
  rows.push(table('gdtr', m32[W.GDT_BASE], m32[W.GDT_LIMIT]), table('idtr', m32[W.IDT_BASE], m32[W.IDT_LIMIT]));
  return [...rows, ...tableRows(d)];
};
const partRows = (segment: SegmentName | 'tr' | 'ldtr', hidden: { base: number; limit: number; access: number }): Item[] => {
  const named = (part: string): { evaluateName: string } => ({ evaluateName: `${segment}.${part}` });
  return [
    { name: 'base', value: hex8(hidden.base), type: UINT_TEXT, memory: hidden.base, ...named('base') },
    { name: 'limit', value: hex8(hidden.limit), type: UINT_TEXT, ...named('limit') },
    { name: 'dpl', value: String((hidden.access >> 5) & 3), type: UINT_TEXT, ...named('dpl') },
    { name: 'type', value: accessText(hidden.access), type: 'text', ...named('access') },
  ];
};
/** What the processor has of a segment, and the privilege that the Guest gave it: lguest makes 1 of 0. */
const hiddenRows = (d: Debugger, name: SegmentName): Item[] => {
  const { target } = d;
  const rows = partRows(name, target.segment(name));
  const selector = target.register(name);
  if (target.host === undefined || selector < 4) return rows;
  const asked = gdtRows(target.host)[selector >> 3]?.asked;
  if (asked !== undefined) rows.push({ name: 'dpl (guest believes)', value: String((asked.high >> 13) & 3), type: UINT_TEXT });
  return rows;
};

/** The tables as the Host keeps them for the Guest; the processor's own lie at gdtr and idtr. */
const tableRows = (d: Debugger): Item[] => {
  const lg = d.target.host?.lg;
  if (lg === undefined) return [];
  const { programs } = d;
  const gate = (n: number): Item => {
    const low = lg.idt[n * 2];
    const high = lg.idt[n * 2 + 1];
    const handler = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
    const present = (high & 0x8000) !== 0;
    return {
      name: `[${n}] ${vectorName(n)}`,
      value: present
        ? `${programs.nameOf(handler) ?? hex8(handler)} type 0x${((high >> 8) & 15).toString(16)} dpl ${(high >> 13) & 3}`
        : 'not present',
      type: 'gate',
      evaluateName: `idt(${n})`,
      ...(present ? { code: handler, memory: handler } : {}),
    };
  };
  return [
    {
      name: 'IDT (Guest)',
      value: '256 gates',
      type: 'table',
      indexed: 256,
      open: (start, count) => [...Array(Math.max(0, Math.min(count, 256 - start))).keys()].map((i) => gate(start + i)),
    },
    {
      name: 'GDT (Guest)',
      value: '32 descriptors',
      type: 'table',
      open: () =>
        [...Array(32).keys()].map((n) => ({
          name: `[${n}]${n === KERNEL_CS / 8 ? ' kernel code' : n === GDT.KERNEL_DS ? ' kernel data' : ''}`,
          value: descriptorText(lg.gdt[n * 2], lg.gdt[n * 2 + 1]),
          type: 'descriptor',
          evaluateName: `gdt(${n})`,
        })),
    },
  ];
};

// ---- control and debug registers -------------------------------------------------------------------------------------------------------------

const CR2_TEXT = {
  hw: ['the processor has', 'the processor has it: every page fault'],
  host: ['the Host saved', 'the Host saves it: every page fault'],
  guest: ['the Guest sees', 'the Guest sees it: every fault that is given to it'],
} as const;

export const controlRows = (d: Debugger): Item[] => {
  const { target } = d;
  const { m32 } = target.processor.cpu;
  const { host } = target;
  const rows: Item[] = [];
  const bits = (name: string, value: number, names: Readonly<Record<string, number>>): Item => ({
    name,
    value: `${hex8(value)} [${bitNames(value, names)}]`,
    type: UINT_TEXT,
    evaluateName: `$${name}`,
    ...(host === undefined ? { set: assign(d, `$${name}`) } : {}),
  });
  if (host === undefined) {
    const cr2 = m32[W.CR2];
    rows.push({ name: 'cr2', value: hex8(cr2), type: UINT_TEXT, evaluateName: '$cr2', memory: cr2 >>> 0, set: assign(d, '$cr2') });
  } else {
    const { cr2, lg } = host;
    for (const which of ['hw', 'host', 'guest'] as const) {
      const value = cr2[which];
      rows.push({
        name: `cr2.${which}`,
        value: value === undefined ? 'unknown before LGUEST_INIT' : hex8(value),
        type: CR2_TEXT[which][0],
        evaluateName: `cr2.${which}`,
        watch: { id: `cr2:${which}`, description: `cr2 as ${CR2_TEXT[which][1]}` },
        ...(value === undefined ? {} : { memory: value, set: assign(d, `cr2.${which}`) }),
      });
    }
    const slot = lg.pgdirs[lg.pgdidx];
    rows.push(
      { name: 'cr3 (guest)', value: hex8(slot.gpgdir), type: 'guest-physical', evaluateName: 'lg.gpgdir' },
      { name: 'cr3 (shadow)', value: hex8(slot.shadow), type: 'physical', evaluateName: 'lg.pgdirs[lg.pgdidx].shadow' },
      {
        name: 'TS (guest believes)',
        value: lg.ts === 0 ? '0' : '1',
        type: 'flag',
        evaluateName: 'lg.ts != 0',
        watch: { id: 'fld:lguest.ts', description: 'lg.ts' },
      },
      {
        name: 'TS (machine has)',
        value: m32[W.CR0] & CR0_NAMES.TS ? '1' : '0',
        type: 'flag',
        evaluateName: `($cr0 & ${CR0_NAMES.TS}) != 0`,
        watch: { id: `reg:cr0&${CR0_NAMES.TS}`, description: 'cr0.TS' },
      },
    );
  }
  rows.push(bits('cr0', m32[W.CR0], CR0_NAMES));
  rows.push({ ...bits('cr3', m32[W.CR3], {}), value: hex8(m32[W.CR3]) });
  rows.push(bits('cr4', m32[W.CR4], CR4_NAMES));
  return rows;
};

export const debugRows = (d: Debugger): Item[] => {
  const { m32 } = d.target.processor.cpu;
  const dr7 = m32[W.DR + 7];
  return [0, 1, 2, 3, 6, 7].map((n) => {
    const value = m32[W.DR + n];
    const text = n === 7 ? dr7Text(value) : n === 6 ? bitNames(value, DR6_NAMES) : breakText(dr7, n);
    return {
      name: `dr${n}`,
      value: `${hex8(value)}${text === '' ? '' : ` [${text}]`}`,
      type: UINT_TEXT,
      evaluateName: `$dr${n}`,
      ...(n < 4 ? { memory: value >>> 0 } : {}),
      set: assign(d, `$dr${n}`),
    };
  });
};
const DR6_NAMES: Readonly<Record<string, number>> = { B0: 1, B1: 2, B2: 4, B3: 8, BD: 0x2000, BS: 0x4000, BT: 0x8000 };
/** What breakpoint n of DR7 waits for; empty: off. */
const breakText = (dr7: number, n: number): string => {
  if (((dr7 >> (2 * n)) & 3) === 0) return '';
  const kind = (dr7 >> (16 + 4 * n)) & 3;
  const length = [1, 2, 8, 4][(dr7 >> (18 + 4 * n)) & 3];
  return kind === 0 ? 'execution' : `${['', 'write', 'I/O', 'access'][kind]}, ${length} ${length === 1 ? 'byte' : 'bytes'}`;
};
const dr7Text = (dr7: number): string => {
  const on = [0, 1, 2, 3].flatMap((n) => [...(dr7 & (1 << (2 * n)) ? [`L${n}`] : []), ...(dr7 & (2 << (2 * n)) ? [`G${n}`] : [])]);
  return [...on, ...(dr7 & 0x2000 ? ['GD'] : [])].join(' ');
};

// ---- x87 -----------------------------------------------------------------------------------------------------------------------------------------

export const fpuRows = (d: Debugger): Item[] => {
  const { target } = d;
  const { m32 } = target.processor.cpu;
  const rows: Item[] = [...Array(8).keys()].map((n) => {
    const bytes = stackBytes(target, n);
    const digits = Array.from(bytes, (b) => b.toString(16).padStart(2, '0'))
      .reverse()
      .join('');
    return {
      name: `st${n}`,
      value: stackEmpty(target, n) ? 'empty' : `${realText(realFromBytes(bytes))} (0x${digits})`,
      type: 'long double',
      evaluateName: `$st${n}`,
      set: assignStack(d, n),
    };
  });
  const word = (name: string, register: string, text: string): Item => ({
    name,
    value: `${hex4(Number(machineRegister(target, register)?.bits ?? 0n))}${text === '' ? '' : ` [${text}]`}`,
    type: 'unsigned short',
    evaluateName: `$${register}`,
    set: assign(d, `$${register}`),
  });
  const [cw, sw] = [m32[W.FPU_CW], m32[W.FPU_SW]];
  rows.push(
    word(
      'cw',
      'fcw',
      `${['24', 'reserved', '53', '64'][(cw >> 8) & 3]} bits, ${['nearest', 'down', 'up', 'to zero'][(cw >> 10) & 3]}; masked ${bitNames(cw, FPU_FAULTS)}`,
    ),
    word('sw', 'fsw', bitNames(sw, FPU_STATUS)),
    {
      name: 'top',
      value: String((sw >> 11) & 7),
      type: UINT_TEXT,
      evaluateName: '($fsw >> 11) & 7',
      watch: { id: 'reg:fsw&0x3800', description: 'TOP of fsw' },
    },
    word('tags', 'ftw', ''),
    vectorRows(d, 'mmx', 'mm', 'MMX registers, the mantissas of the x87 ones'),
    vectorRows(d, 'sse', 'xmm', 'SSE registers'),
    { name: 'mxcsr', value: hex8(m32[W.MXCSR]), type: UINT_TEXT, evaluateName: '$mxcsr', set: assign(d, '$mxcsr') },
  );
  const { host } = target;
  if (host === undefined) return rows;
  const { owner, nextUse, ts } = fpuState(host);
  rows.push(
    { name: 'lg.ts', value: String(ts), type: 'int', evaluateName: 'lg.ts' },
    { name: 'owner', value: owner, type: 'text' },
    { name: 'next use', value: nextUse, type: 'text' },
  );
  return rows;
};
/** Eight registers behind one row: most kernels never use them. */
const vectorRows = (d: Debugger, name: string, prefix: string, value: string): Item => ({
  name,
  value,
  type: 'registers',
  open: () => {
    const context = d.valueContext(d.environment(undefined, true));
    return [...Array(8).keys()].flatMap((n) => {
      const register = machineRegister(d.target, `${prefix}${n}`);
      return register === undefined ? [] : [valueItem(`${prefix}${n}`, `$${prefix}${n}`, register, context, PLAIN_FORMAT, () => {})];
    });
  },
});

/** An empty register can be given a value too. */
const assignStack =
  (d: Debugger, n: number) =>
  (text: string): void => {
    const env = d.environment(undefined, true);
    const register = machineRegister(d.target, `st${n}`);
    if (register !== undefined) store(env, register, evaluate(parse(text), env));
  };
const realText = (x: number | undefined): string =>
  x === undefined || Number.isNaN(x) ? 'nan' : Object.is(x, -0) ? '-0' : String(x).replace('Infinity', 'inf');
const FPU_FAULTS: Readonly<Record<string, number>> = { IM: 1, DM: 2, ZM: 4, OM: 8, UM: 16, PM: 32 };
const FPU_STATUS: Readonly<Record<string, number>> = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 16,
  PE: 32,
  SF: 64,
  ES: 128,
  C0: 0x100,
  C1: 0x200,
  C2: 0x400,
  C3: 0x4000,
  B: 0x8000,
};

// ---- names of bits --------------------------------------------------------------------------------------------------------------------------------

const CR0_NAMES = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 16,
  NE: 32,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000,
} as const;
const CR4_NAMES: Readonly<Record<string, number>> = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 16,
  PAE: 32,
  MCE: 64,
  PGE: 128,
  PCE: 256,
  OSFXSR: 512,
};
const bitNames = (value: number, names: Readonly<Record<string, number>>): string =>
  Object.entries(names)
    .filter(([, bit]) => value & bit)
    .map(([name]) => name)
    .join(' ');
export const flagNames = (flags: number): string => {
  const names = bitNames(flags, FLAG_BITS);
  return (flags >> 12) & 3 ? `${names} IOPL=${(flags >> 12) & 3}` : names;
};
