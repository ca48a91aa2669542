// What a launch request may say, checked: every attribute by name and type, every mistake as one line that names the fix.
//
// What it leaves out: opening files (they come through Files) and building the session.

import { STEP_VIRQS, type StepVirq } from '../debugger/session';
import { openingProgram, type Program } from '../debugger/programs';
import type { Pieces } from '../symbols/pieces';

/** The workstation's files, so that the adapter runs where there is no Node. */
export interface Files {
  /** Throws an Error with one line. */
  read(path: string): Uint8Array;
  exists(path: string): boolean;
  /** Opens a file for writing in place. Throws an Error with one line. Missing where files cannot be written. */
  writeInto?(path: string): (at: number, bytes: Uint8Array) => void;
  /** What a folder holds; empty when it cannot be read. Missing where folders cannot be listed. */
  list?(folder: string): { name: string; folder: boolean }[];
  join(folder: string, name: string): string;
  dirname(path: string): string;
  isAbsolute(path: string): boolean;
  /** The bundled demo Guest. */
  readonly demo: string;
}

/** One line for the user; the request fails with it. */
export class LaunchProblem extends Error {
  override readonly name = 'LaunchProblem';
}

/** Where filters stop that say no mode. */
const STOP_PLACES = ['beforeDelivery', 'handler'] as const;

export interface LaunchArguments {
  program: string;
  machine: 'lguest' | 'bare';
  /** `process`: a user program's, for processes of that name. */
  symbolFiles: { file: string; offset: number; process: string | undefined }[];
  modulePaths: string[];
  threads: 'cpu' | 'tasks';
  initrd: string | undefined;
  cmdline: string;
  memoryBytes: number;
  stopOnEntry: boolean;
  runToEntryPoint: string | undefined;
  blockDevices: string[];
  /** The Guest's writes go into the images too. */
  blockWrite: boolean;
  network: 'none' | 'loopback';
  sourceMap: [from: string, to: string][];
  sysroot: string | undefined;
  console: 'integratedTerminal' | 'internalConsole' | undefined;
  disassemblySyntax: 'att' | 'intel';
  stepVirq: StepVirq;
  exceptionsStopAt: (typeof STOP_PLACES)[number];
  trapFrames: 'label' | 'selectable';
  hostFrames: 'off' | 'frames' | 'thread';
  /** Where lines of logpoints go. */
  logTo: 'console' | 'trapLog';
  jit: boolean;
  tscKhz: number | undefined;
  seed: number | undefined;
  module: string | undefined;
  rom: boolean;
  postPort: number;
  noDebug: boolean;
  /** Lines to print: attributes that nobody knows. */
  notes: string[];
}

const KNOWN = [
  'program',
  'machine',
  'symbolFiles',
  'initrd',
  'cmdline',
  'memory',
  'stopOnEntry',
  'runToEntryPoint',
  'blockDevices',
  'blockWrite',
  'network',
  'exceptionFilters',
  'sourceMap',
  'sysroot',
  'modulePaths',
  'threads',
  'console',
  'disassemblySyntax',
  'stepVirq',
  'exceptionsStopAt',
  'trapFrames',
  'hostFrames',
  'logTo',
  'jit',
  'tscKhz',
  'seed',
  'module',
  'rom',
  'postPort',
];
/** Other tools' words, and what every client adds by itself. */
const ALIASES: Readonly<Record<string, string>> = { args: 'cmdline', bootargs: 'cmdline', sourceFileMap: 'sourceMap', kernel: 'program' };
const CLIENTS = new Set([
  ...[
    'type',
    'request',
    'name',
    'presentation',
    'preLaunchTask',
    'postDebugTask',
    'internalConsoleOptions',
    'debugServer',
    'serverReadyAction',
    'noDebug',
  ],
  ...['trace', 'suppressMultipleSessionWarning', 'windows', 'linux', 'osx', 'timeout', 'cwd', 'env'],
]);

const problem = (text: string): never => {
  throw new LaunchProblem(text);
};

/** Bytes of `64M`. */
export const memoryBytes = (value: unknown): number => {
  const m = /^\s*(\d+)\s*([KMG]?)B?\s*$/i.exec(String(value));
  if (m === null) return problem(`"memory": ${JSON.stringify(value)} is no size; write a number with K, M or G, such as "64M".`);
  const unit = { '': 1, k: 1024, m: 1 << 20, g: 1 << 30 }[m[2].toLowerCase()] ?? 1;
  const bytes = Number(m[1]) * unit;
  if (bytes % (1 << 20) !== 0 || bytes < 1 << 20 || bytes > 1 << 30)
    return problem(`"memory": ${JSON.stringify(value)} must be a whole number of MB from "1M" to "1G".`);
  return bytes;
};

/** Checks a launch request's arguments. @throws LaunchProblem. */
export const parseLaunch = (given: Readonly<Record<string, unknown>>, files: Pick<Files, 'demo'>): LaunchArguments => {
  const a: Record<string, unknown> = {};
  const notes: string[] = [];
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const name = ALIASES[key] ?? key;
    if (KNOWN.includes(name)) {
      if (name === key || a[name] === undefined) a[name] = name === 'cmdline' && Array.isArray(value) ? value.join(' ') : value;
    } else if (!CLIENTS.has(key) && !key.startsWith('__')) {
      const close = KNOWN.find((k) => k.toLowerCase() === key.toLowerCase() || distance(k.toLowerCase(), key.toLowerCase()) <= 2);
      notes.push(
        `Unknown launch attribute "${key}" is ignored${close === undefined ? '; docs/attributes.md lists the known ones' : `; did you mean "${close}"?`}`,
      );
    }
  }
  const text = (name: string): string | undefined => {
    const v = a[name];
    if (v === undefined || v === '') return undefined;
    return typeof v === 'string' ? v : problem(`"${name}" must be a text, not ${JSON.stringify(v)}.`);
  };
  const bool = (name: string, otherwise: boolean): boolean => {
    const v = a[name];
    return v === undefined ? otherwise : typeof v === 'boolean' ? v : problem(`"${name}" must be true or false, not ${JSON.stringify(v)}.`);
  };
  const one = <T extends string>(name: string, values: readonly T[], otherwise: T): T => {
    const v = a[name];
    if (v === undefined || v === '') return otherwise;
    return values.includes(v as T)
      ? (v as T)
      : problem(`"${name}" must be ${values.map((x) => `"${x}"`).join(' or ')}, not ${JSON.stringify(v)}.`);
  };
  const integer = (name: string): number | undefined => {
    const v = a[name];
    if (v === undefined || v === '') return undefined;
    const n = typeof v === 'string' ? Number(v) : v;
    return typeof n === 'number' && Number.isInteger(n) && n >= 0
      ? n
      : problem(`"${name}" must be a whole number from 0 on, not ${JSON.stringify(v)}.`);
  };
  const list = (name: string): unknown[] => {
    const v = a[name];
    if (v === undefined || v === '') return [];
    return Array.isArray(v) ? v : typeof v === 'string' ? [v] : problem(`"${name}" must be a list, not ${JSON.stringify(v)}.`);
  };
  one('exceptionFilters', ['compact', 'perVector'], 'compact');
  const map = a.sourceMap ?? {};
  if (typeof map !== 'object' || Array.isArray(map)) problem(`"sourceMap" must be an object of "from": "to", not ${JSON.stringify(map)}.`);
  const seed = integer('seed');
  return {
    program: text('program') ?? files.demo,
    machine: one('machine', ['lguest', 'bare'], 'lguest'),
    symbolFiles: list('symbolFiles').map((v) => symbolFile(v)),
    initrd: text('initrd'),
    cmdline: text('cmdline') ?? '',
    memoryBytes: memoryBytes(a.memory ?? '64M'),
    stopOnEntry: bool('stopOnEntry', false),
    runToEntryPoint: text('runToEntryPoint'),
    blockDevices: list('blockDevices').map((v) =>
      typeof v === 'string' ? v : problem(`"blockDevices" must hold paths, not ${JSON.stringify(v)}.`),
    ),
    blockWrite: bool('blockWrite', false),
    network: one('network', ['none', 'loopback'], 'none'),
    sourceMap: Object.entries(map as Record<string, unknown>).map(([from, to]) => [
      from,
      typeof to === 'string' ? to : problem(`"sourceMap": ${JSON.stringify(from)} must lead to a path, not ${JSON.stringify(to)}.`),
    ]),
    sysroot: text('sysroot'),
    modulePaths: list('modulePaths').map((v) =>
      typeof v === 'string' ? v : problem(`"modulePaths" must hold paths, not ${JSON.stringify(v)}.`),
    ),
    threads: one('threads', ['cpu', 'tasks'], 'cpu'),
    console:
      a.console === undefined
        ? undefined
        : one<'integratedTerminal' | 'internalConsole'>('console', ['integratedTerminal', 'internalConsole'], 'internalConsole'),
    disassemblySyntax: one('disassemblySyntax', ['att', 'intel'], 'att'),
    stepVirq: one('stepVirq', STEP_VIRQS, 'hold'),
    exceptionsStopAt: one('exceptionsStopAt', STOP_PLACES, 'beforeDelivery'),
    trapFrames: one('trapFrames', ['label', 'selectable'], 'label'),
    hostFrames: one('hostFrames', ['off', 'frames', 'thread'], 'off'),
    logTo: one('logTo', ['console', 'trapLog'], 'console'),
    jit: bool('jit', true),
    tscKhz: integer('tscKhz'),
    seed,
    module: text('module'),
    rom: bool('rom', false),
    postPort: integer('postPort') ?? 0x80,
    noDebug: given.noDebug === true,
    notes,
  };
};

const symbolFile = (v: unknown): LaunchArguments['symbolFiles'][number] => {
  if (typeof v === 'string') return { file: v, offset: 0, process: undefined };
  if (typeof v === 'object' && v !== null && 'file' in v && typeof v.file === 'string') {
    const raw = 'offset' in v ? v.offset : 0;
    const offset = typeof raw === 'number' ? raw : Number(raw);
    if (!Number.isInteger(offset)) problem(`"symbolFiles": offset ${JSON.stringify(raw)} of ${v.file} is no number; write "0xc8800000".`);
    const process = 'process' in v ? v.process : undefined;
    if (process !== undefined && typeof process !== 'string')
      problem(`"symbolFiles": process ${JSON.stringify(process)} of ${v.file} must be the name of a process, such as "sh".`);
    return { file: v.file, offset: offset >>> 0, process: typeof process === 'string' ? process : undefined };
  }
  return problem(`"symbolFiles" must hold paths or { "file", "offset" }, not ${JSON.stringify(v)}.`);
};

/** Edits between two words. */
const distance = (a: string, b: string): number => {
  let row = [...Array(b.length + 1).keys()];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length];
};

export const readFile = (files: Files, attribute: string, path: string): Uint8Array => {
  try {
    return files.read(path);
  } catch (error) {
    return problem(`"${attribute}": ${path} cannot be read: ${(error as Error).message.replace(/^\w+: /, '')}; correct the path.`);
  }
};

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

/** Opens symbols: of the files named, else of the kernel if it has any. Problems are lines for the user, never an end. @param kept what a run before had opened: used again when the file is the same. */
export function* openSymbols(
  a: LaunchArguments,
  image: Uint8Array,
  files: Files,
  kept: Map<string, { bytes: Uint8Array; program: Program }>,
): Pieces<{ programs: Program[]; notes: string[] }> {
  const programs: Program[] = [];
  const notes: string[] = [];
  function* open(bytes: Uint8Array, path: string, offset: number): Pieces<void> {
    try {
      const key = `${path} ${offset}`;
      const before = kept.get(key);
      const whole = before !== undefined && (before.program.symbols?.leftOut.length ?? 0) === 0;
      const program = whole && sameBytes(before.bytes, bytes) ? before.program : yield* openingProgram(bytes, path, offset);
      kept.set(key, { bytes, program });
      programs.push(program);
    } catch (error) {
      notes.push((error as Error).message);
    }
  }
  for (const { file, offset, process } of a.symbolFiles)
    if (process === undefined) yield* open(file === a.program ? image : readFile(files, 'symbolFiles', file), file, offset);
  const isElf = image.length > 4 && image[0] === 0x7f && image[1] === 0x45;
  if (isElf && !a.symbolFiles.some((s) => s.file === a.program)) yield* open(image, a.program, 0);
  if (programs.length === 0)
    notes.push(
      `No symbols: ${isElf ? 'the image has none' : 'this one has none; its vmlinux or System.map can be named in "symbolFiles"'}. A Linux kernel's own table is looked for once it runs; addresses and listings always work.`,
    );
  // To follow modules and processes is to know the kernel's types: one pass over all names.
  if (a.modulePaths.length > 0 || a.sysroot !== undefined)
    for (const p of programs) if (p.symbols !== undefined) yield* p.symbols.indexing();
  return { programs, notes };
}
