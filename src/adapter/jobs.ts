// Work that takes a while: it gives way to other requests, tells how far it is, and can be cancelled.
//
// Two kinds: a request's own work, which fails when it is cancelled, and reading symbols, which ends early then and leaves what was read. What it leaves out: what the
// work is.

import type { Pieces } from '../symbols/pieces';
import type { Context } from './context';
import type { Job } from './requests';
import { ERRORS, RequestError } from './requests';

/** Progress is shown only for what takes longer than this. */
const SHOWN_AFTER_MS = 300;
const LOADING_SHOWN_AFTER_MS = 500;
const TURN_MS = 10;

const turn = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

/** What the client shows of a piece of work, from some time on. */
class Progress {
  private id: string | undefined;
  private told = 0;

  constructor(
    private readonly s: Context,
    private readonly job: Job,
    private readonly title: string,
    private readonly visibleAt: number,
  ) {}

  at(share: number): void {
    const { s, job, title } = this;
    const now = performance.now();
    const percentage = Math.floor(Math.min(1, share) * 100);
    if (this.id === undefined) {
      if (!s.supports.supportsProgressReporting || now < this.visibleAt) return;
      this.id = `job ${++s.progressCount}`;
      this.told = now;
      s.progress.set(this.id, job);
      const request = job.seq === undefined ? {} : { requestId: job.seq };
      s.event('progressStart', { progressId: this.id, title, ...request, cancellable: true, percentage });
    } else if (now - this.told > 100) {
      this.told = now;
      s.event('progressUpdate', { progressId: this.id, percentage });
    }
  }
  end(): void {
    if (this.id === undefined) return;
    this.s.progress.delete(this.id);
    this.s.event('progressEnd', { progressId: this.id });
  }
}

/**
 * Does `step` again and again until it returns undefined. @param step does a piece of the work; returns the share that is done, 0 to 1.
 * Throws RequestError when the client cancels the request or its progress.
 */
export const inPieces = async (s: Context, job: Job, title: string, step: () => number | undefined): Promise<void> => {
  let turned = performance.now();
  const progress = new Progress(s, job, title, turned + SHOWN_AFTER_MS);
  try {
    for (;;) {
      const share = step();
      if (share === undefined) return;
      if (performance.now() - turned < TURN_MS) continue;
      progress.at(share);
      await turn();
      turned = performance.now();
      if (job.cancelled) throw new RequestError(ERRORS.cancelled, 'cancelled');
    }
  } finally {
    progress.end();
  }
};

/**
 * Reads symbols. What takes less than a turn is there at once; the rest gives way, and a cancel or the end of the session ends it early.
 * @param job the request that waits for it; missing: nobody does.
 */
export const loading = <T>(s: Context, title: string, pieces: Pieces<T>, job: Job = { cancelled: false }): T | Promise<T> => {
  const from = performance.now();
  for (;;) {
    const step = pieces.next();
    if (step.done) return step.value;
    if (performance.now() - from > TURN_MS) return rest(s, title, pieces, job, from, step.value);
  }
};
const rest = async <T>(s: Context, title: string, pieces: Pieces<T>, job: Job, from: number, share: number): Promise<T> => {
  const progress = new Progress(s, job, title, from + (s.options.progressAfterMs ?? LOADING_SHOWN_AFTER_MS));
  let at = share;
  try {
    for (;;) {
      progress.at(at);
      await turn();
      for (const turned = performance.now(); performance.now() - turned < TURN_MS; ) {
        const step = pieces.next(job.cancelled || s.closed);
        if (step.done) return step.value;
        at = step.value;
      }
    }
  } finally {
    progress.end();
  }
};

/** `next` of a result that may be there already. */
export const after = <T, R>(result: T | Promise<T>, next: (value: T) => R): R | Promise<R> =>
  result instanceof Promise ? result.then(next) : next(result);
