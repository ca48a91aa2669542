// /dev/lguest: the file through which the Launcher talks to the Host, with its requests, its answers and its errors.
//
// write() takes a request of u32 words and answers with a number as the system call would, errors negative. read() runs the Guest until it wants something.
// One thing is added, because nobody here can block: read() may come back early with whatever else made the Host stop. Our documentation, 2.7, 5.1, 5.6, 11.1.
// Left out: the Launcher (above) and every step of the Host's loop (host.ts).

import type { Processor } from '../i386/processor';
import { Host, type HostExit, type HostOptions } from './host';

export const LHREQ = { INITIALIZE: 0, GETDMA: 1, IRQ: 2, BREAK: 3 } as const;
export const ERRNO = { EPERM: 1, ENOENT: 2, EAGAIN: 11, EFAULT: 14, EBUSY: 16, EINVAL: 22 } as const;
/** What a successful INITIALIZE answers: the size of its four arguments, not of the whole request. */
const INITIALIZED = 16;

/** What read() comes back with. */
export type ReadResult =
  /** 4: four bytes that are the address of a NOTIFY. */
  | { kind: 'notify'; result: 4; address: number }
  /** The reason of the death, length with its NUL. */
  | { kind: 'reason'; result: number; text: string }
  /** A negative error number. */
  | { kind: 'error'; result: number }
  /** The Guest sleeps, or a budget, a breakpoint or a filter stopped it: call read() again. */
  | { kind: 'early'; exit: HostExit };

export type ControlOptions = Omit<HostOptions, 'pfnLimit' | 'pgdir' | 'entry'>;

export class ControlFile {
  host: Host | undefined;
  /** The task that wrote INITIALIZE. */
  private owner = -1;

  constructor(
    private readonly processor: Processor,
    private readonly options: ControlOptions,
  ) {}

  /** @param request words of the request, the number first. @param task who asks. @returns bytes, 0, or a negative error number. */
  write(request: readonly number[], task = 0): number {
    const [number] = request;
    if (number === undefined) return -ERRNO.EFAULT;
    const { host } = this;
    if (number !== LHREQ.INITIALIZE) {
      if (host === undefined) return -ERRNO.EINVAL;
      if (host.lg.dead !== undefined) return -ERRNO.ENOENT;
      if (task !== this.owner && number !== LHREQ.BREAK) return -ERRNO.EPERM;
    } else if (host !== undefined) return host.lg.dead !== undefined ? -ERRNO.ENOENT : -ERRNO.EBUSY;
    switch (number) {
      case LHREQ.INITIALIZE:
        return this.initialize(request, task);
      case LHREQ.IRQ:
        if (request.length < 2) return -ERRNO.EFAULT;
        return this.host?.raiseIrq(request[1]) ? 0 : -ERRNO.EINVAL;
      case LHREQ.BREAK:
        if (request.length < 2) return -ERRNO.EFAULT;
        this.host?.setBreak(request[1] !== 0);
        return 0;
      default:
        return -ERRNO.EINVAL;
    }
  }

  /** Words: memory base (the emulated machine has its own), pages, page directory, first instruction. None is validated. */
  private initialize(request: readonly number[], task: number): number {
    const [, base, pfnLimit, pgdir, entry] = request;
    if (base === undefined || entry === undefined) return -ERRNO.EFAULT;
    this.host = new Host(this.processor, { ...this.options, pfnLimit, pgdir, entry });
    this.owner = task;
    return INITIALIZED;
  }

  /** Runs the Guest. @param run how: Host.run or Host.step with its limits. @param size of the reader's buffer; only the reason of a death is cut to it. */
  read(run: (host: Host) => HostExit, size = 4, task = 0): ReadResult {
    const { host } = this;
    if (host === undefined) return { kind: 'error', result: -ERRNO.EINVAL };
    if (task !== this.owner) return { kind: 'error', result: -ERRNO.EPERM };
    const exit = run(host);
    switch (exit.kind) {
      case 'notify':
        return { kind: 'notify', result: 4, address: exit.address };
      case 'dead':
        return { kind: 'error', result: -ERRNO.ENOENT };
      case 'reason': {
        const text = `${exit.message}\0`.slice(0, size);
        return { kind: 'reason', result: text.length, text };
      }
      case 'break':
        return { kind: 'error', result: -ERRNO.EAGAIN };
      default:
        return { kind: 'early', exit };
    }
  }
}
