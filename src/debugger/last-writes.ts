// Who wrote a byte last, for the bytes that data breakpoints watch: exact since the watch was set, also when it does not stop.
//
// Kept by place in the machine's memory, so every alias has the same answer. What it leaves out: bytes that nobody watches, of which nothing is known.

import { formatPosition, type Position } from '../lguest/trap-record';
import type { Programs } from './programs';
import { hex8, LINEAR, type Space, type Target } from './target';

export interface LastWrite {
  position: Position;
  /** Address of the instruction, or undefined when the Host or the Launcher did it. */
  pc: number | undefined;
  by: string;
}

/** Bytes remembered; the ones written longest ago go first. */
const MOST_BYTES = 200_000;

/** Who records: the watches. */
export interface WriteRecorder {
  readonly lastWrites: LastWrites;
  /** Since when all of these bytes are watched for writes; undefined: they are not. */
  watchedSince(physical: number, length: number): string | undefined;
}

export class LastWrites {
  private readonly bytes = new Map<number, LastWrite>();

  note(physical: number, length: number, write: LastWrite): void {
    for (let at = physical; at < physical + length; at++) {
      this.bytes.delete(at);
      this.bytes.set(at, write);
    }
    if (this.bytes.size <= MOST_BYTES) return;
    let surplus = MOST_BYTES / 10;
    for (const at of this.bytes.keys()) {
      this.bytes.delete(at);
      if (--surplus === 0) break;
    }
  }
  /** The newest write to any of the bytes. */
  of(physical: number, length: number): LastWrite | undefined {
    let newest: LastWrite | undefined;
    for (let at = physical; at < physical + length; at++) {
      const write = this.bytes.get(at);
      if (write === undefined) continue;
      if (newest === undefined || later(write.position, newest.position)) newest = write;
    }
    return newest;
  }
  clear(): void {
    this.bytes.clear();
  }
}

const later = (a: Position, b: Position): boolean => a.retired > b.retired || (a.retired === b.retired && a.hostStep > b.hostStep);

/** What is known about the newest write to `length` bytes at an address; a text says why nothing is. */
export const lastWrite = (
  target: Target,
  recorder: WriteRecorder,
  address: number,
  length: number,
  space: Space = LINEAR,
): LastWrite | string => {
  const at = target.locate(address, space);
  if (at < 0) return `${hex8(address)} is not mapped`;
  const known = recorder.lastWrites.of(at, length);
  if (known !== undefined) return known;
  const since = recorder.watchedSince(at, length);
  return since === undefined
    ? 'not recorded: set a watch on it that logs (watch PLACE | log)'
    : `not written since ${since}, when its watch was set`;
};

export const lastWriteText = (programs: Programs, write: LastWrite | string): string =>
  typeof write === 'string'
    ? write
    : `${formatPosition(write.position)} by ${write.by}${write.pc === undefined ? '' : ` at ${programs.nameOf(write.pc) ?? hex8(write.pc)}`}`;
