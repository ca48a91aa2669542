// The kernel's own log, read from its ring in memory: at any stop, early in a boot, and after the Guest's death.
//
// Linux up to 3.4 keeps plain text: `log_buf` with `log_buf_len` bytes, a power of two, `log_end` counting every byte ever written and `logged_chars` how many are
// kept. Later kernels keep records, which are not read here. What it leaves out: the console (what the Guest chose to print).

import { ExpressionError } from './expression';
import { KernelData } from './kernel-data';
import type { Programs } from './programs';
import type { Target } from './target';

const LARGEST = 1 << 24;
const latin = new TextDecoder('latin1');

/** The text of the log. @throws ExpressionError with one line when it cannot be found. */
export const kernelLog = (target: Target, programs: Programs): string => {
  const data = new KernelData(target, programs);
  const number = (name: string): number | undefined => {
    const at = data.address(name);
    return at === undefined ? undefined : data.read32(at);
  };
  if (programs.list.length === 0)
    throw new ExpressionError(
      'no symbols: the kernel log is found by the names log_buf and log_end; name the vmlinux or System.map in "symbolFiles"',
    );
  const buffer = number('log_buf');
  const end = number('log_end');
  if (buffer === undefined || end === undefined) {
    throw new ExpressionError('this kernel has no log_buf and log_end: it is no Linux up to 3.4, or they are not mapped yet');
  }
  const size = number('log_buf_len') ?? 0;
  if (size <= 0 || size > LARGEST || (size & (size - 1)) !== 0)
    throw new ExpressionError(`log_buf_len is ${size}, which is no size of a log`);
  const kept = Math.min(size, number('logged_chars') ?? end, end);
  // Before its own tables are in use, a kernel runs at physical addresses, and its pointers cannot be followed: the symbol tells the place then.
  const static_ = data.address('__log_buf');
  const base = target.locate(buffer) >= 0 ? buffer : static_;
  if (base === undefined || target.locate(base) < 0) throw new ExpressionError('log_buf is not mapped now');
  const start = ((end - kept) >>> 0) & (size - 1);
  const first = Math.min(kept, size - start);
  const parts = [target.read(base + start, first), target.read(base, kept - first)];
  return parts.map((p) => latin.decode(p)).join('');
};

/** Log lines without their `<level>`; `level` keeps those of that level and more urgent ones. */
export const logLines = (text: string, level = 15): string[] => {
  let urgency = 4;
  return text
    .split('\n')
    .filter((line, i, all) => line !== '' || i < all.length - 1)
    .flatMap((line) => {
      const m = /^<(\d)>(.*)$/s.exec(line);
      if (m !== null) urgency = Number(m[1]);
      return urgency <= level ? [m === null ? line : m[2]] : [];
    });
};
