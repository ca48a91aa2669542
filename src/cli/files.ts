// Files that the command line names: read whole, with a line that names the fix when that fails.

import { openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { UsageError } from './options';

export const readBytes = (what: string, path: string): Uint8Array => {
  try {
    if (statSync(path).isDirectory()) throw new UsageError(`${what} ${path} is a folder; name a file`);
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`${what} ${path}: ${code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : message}`);
  }
};

export const writeText = (what: string, path: string, text: string): void => {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UsageError(`${what} ${path} cannot be written: ${(error as Error).message}`);
  }
};

/** Opens a file for writing in place. @returns writes bytes at an offset; a full disk ends the run with its line. */
export const writeInto = (what: string, path: string): ((at: number, bytes: Uint8Array) => void) => {
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw new UsageError(`${what} ${path} cannot be written: ${(error as Error).message}`);
    }
  };
  const file = guarded(() => openSync(path, 'r+'));
  return (at, bytes) => {
    guarded(() => writeSync(file, bytes, 0, bytes.length, at));
  };
};
