// Options of the command line: `--name value`, `--name=value` and flags, checked against a table. A mistake is one line and exit status 64.

/** The user's mistake, one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface OptionTable {
  /** Options with a value; those listed in `many` may come more than once. */
  values: readonly string[];
  flags: readonly string[];
  many?: readonly string[];
}
export interface Parsed {
  positional: string[];
  values: Map<string, string[]>;
  flags: Set<string>;
}

/** @throws UsageError. */
export const parseOptions = (argv: readonly string[], table: OptionTable): Parsed => {
  const parsed: Parsed = { positional: [], values: new Map(), flags: new Set() };
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i];
    if (arg === '--') {
      parsed.positional.push(...argv.slice(i + 1));
      break;
    }
    if (!arg.startsWith('--')) {
      parsed.positional.push(arg);
      continue;
    }
    const equals = arg.indexOf('=');
    const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
    if (table.flags.includes(name)) {
      if (equals >= 0) throw new UsageError(`--${name} takes no value`);
      parsed.flags.add(name);
    } else if (table.values.includes(name)) {
      const value = equals >= 0 ? arg.slice(equals + 1) : argv[++i];
      if (value === undefined) throw new UsageError(`--${name} needs a value`);
      const list = parsed.values.get(name) ?? [];
      if (list.length > 0 && !(table.many ?? []).includes(name)) throw new UsageError(`--${name} is given twice`);
      parsed.values.set(name, [...list, value]);
    } else {
      const known = [...table.values, ...table.flags].map((n) => `--${n}`).join(' ');
      throw new UsageError(`unknown option --${name}; the options are ${known}`);
    }
  }
  return parsed;
};

/** A whole number from 0 on. @throws UsageError. */
export const wholeNumber = (name: string, text: string): number => {
  const n = Number(text.replace(/_/g, ''));
  if (!Number.isSafeInteger(n) || n < 0 || text.trim() === '')
    throw new UsageError(`--${name} ${text}: a whole number from 0 on is wanted`);
  return n;
};

/** Bytes of `64M`. @throws UsageError. */
export const sizeInBytes = (name: string, text: string): number => {
  const m = /^(\d+)([KMG]?)$/i.exec(text);
  const unit = m === null ? undefined : { '': 1, k: 1024, m: 1 << 20, g: 1 << 30 }[m[2].toLowerCase()];
  if (m === null || unit === undefined) throw new UsageError(`--${name} ${text}: a number with K, M or G is wanted, such as 64M`);
  return Number(m[1]) * unit;
};

/** `--no-jit` and `--jit off|on|forced` (forced: translate before the first execution, for tests) as machine options. @throws UsageError. */
export const jitOptions = ({ values, flags }: Parsed): { jit: boolean; jitThreshold?: number } => {
  const text = values.get('jit')?.[0] ?? (flags.has('no-jit') ? 'off' : 'on');
  if (flags.has('no-jit') && text !== 'off') throw new UsageError(`--no-jit and --jit ${text} contradict each other; give one of them`);
  switch (text) {
    case 'off':
      return { jit: false };
    case 'on':
      return { jit: true };
    case 'forced':
      return { jit: true, jitThreshold: 0 };
    default:
      throw new UsageError(`--jit ${text}: off, on or forced`);
  }
};
