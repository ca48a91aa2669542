// Work that takes a while, in pieces: whoever drives it may look at the clock between two of them, show how far it is, or ask it to come to an end early.
// Generators, because this folder answers synchronously and runs in a worker as in Node; who is not in a hurry drains one with whole().
// It leaves out clocks, turns and progress: those are the driver's.

/**
 * Yields the share that is done, 0 to 1, and returns its result. `next(true)` asks it to end with what it has: the rest counts as not there, and a line in
 * `problems` says so.
 */
export type Pieces<T> = Generator<number, T, boolean | undefined>;

/** Does all of it at once. */
export function whole<T>(pieces: Pieces<T>): T {
  for (;;) {
    const step = pieces.next();
    if (step.done) return step.value;
  }
}
