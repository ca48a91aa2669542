// Work that takes a while: it gives way to other requests, tells how far it is, and can be cancelled.
//
// What it leaves out: what the work is.

import type { Context } from './context';
import type { Job } from './requests';
import { ERRORS, RequestError } from './requests';

/** Progress is shown only for what takes longer than this. */
const SHOWN_AFTER_MS = 300;
const TURN_MS = 10;

/**
 * Does `step` again and again until it returns undefined. @param step does a piece of the work; returns the share that is done, 0 to 1.
 * Throws RequestError when the client cancels the request or its progress.
 */
export const inPieces = async (s: Context, job: Job, title: string, step: () => number | undefined): Promise<void> => {
  const from = performance.now();
  let turned = from;
  let told = 0;
  let progressId: string | undefined;
  try {
    for (;;) {
      const share = step();
      if (share === undefined) return;
      const now = performance.now();
      if (now - turned < TURN_MS) continue;
      if (progressId === undefined && s.supports.supportsProgressReporting && now - from > SHOWN_AFTER_MS) {
        progressId = `job ${job.seq}`;
        s.progress.set(progressId, job);
        s.event('progressStart', { progressId, title, requestId: job.seq, cancellable: true, percentage: Math.floor(share * 100) });
      } else if (progressId !== undefined && now - told > 100) {
        told = now;
        s.event('progressUpdate', { progressId, percentage: Math.floor(share * 100) });
      }
      await new Promise<void>((done) => setTimeout(done, 0));
      turned = performance.now();
      if (job.cancelled) throw new RequestError(ERRORS.cancelled, 'cancelled');
    }
  } finally {
    if (progressId !== undefined) {
      s.progress.delete(progressId);
      s.event('progressEnd', { progressId });
    }
  }
};
