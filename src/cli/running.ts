// What `run` and `bare` share: when a run is over, how it ended, and what is said about the engine.
//
// What it leaves out: the runs themselves (run.ts, bare.ts), options' syntax (options.ts).

import { JIT_REFUSED, type Processor } from '../i386/processor';
import { UsageError, wholeNumber } from './options';

/** Exit statuses. */
export const EXIT = { ok: 0, killed: 1, panic: 2, emulator: 3, limit: 4, nothingLeft: 5, usage: 64 } as const;

/** Bytes of console text that a pattern is looked for in. */
export const LOOK_BACK = 65_536;

export type Until = { kind: 'console'; pattern: RegExp } | { kind: 'traps' | 'instructions'; count: number };

/** `console:/REGEX/`, `traps:N`, `instructions:N`. The slashes may be left out where there are no flags. @throws UsageError. */
export const parseUntil = (text: string): Until => {
  const m = /^(console|traps|instructions):(.*)$/s.exec(text);
  if (m === null) throw new UsageError(`--until ${text}: write console:/REGEX/, traps:N or instructions:N`);
  const [, kind, rest] = m;
  if (kind !== 'console') return { kind: kind as 'traps' | 'instructions', count: wholeNumber('until', rest) };
  const slashes = /^\/(.*)\/([a-z]*)$/s.exec(rest);
  try {
    // A pattern with g or y would go on where it last matched.
    return { kind: 'console', pattern: slashes === null ? new RegExp(rest) : new RegExp(slashes[1], slashes[2].replace(/[gy]/g, '')) };
  } catch (error) {
    throw new UsageError(`--until ${text}: ${(error as Error).message}`);
  }
};

/** Says once on stderr when translation was wanted and cannot be had. */
export const tellRefusal = (processor: Processor): void => {
  if (processor.jitRefused) process.stderr.write(`lguest-debug: ${JIT_REFUSED}\n`);
};
