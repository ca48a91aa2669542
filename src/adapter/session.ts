// The debug adapter: DAP requests in, answers and events out. Each handler translates arguments, asks the debugger, translates the answer.
//
// Only dispatch() knows about sequence numbers, success and errors; every request is answered, unknown ones too. It runs wherever streams or messages can be had;
// files come through Files. The handlers are in the files beside it, by area. What it leaves out: streams and sockets (main.ts), debugging (debugger/).

import { ProtocolServer } from '@vscode/debugadapter/lib/protocol';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { ExpressionError } from '../debugger/expression';
import { LauncherError } from '../launcher/errors';
import { breakpointRequests } from './breakpoint-requests';
import { type AdapterOptions, Context } from './context';
import { dataBreakpointRequests } from './data-breakpoints';
import { evaluationRequests } from './evaluation';
import { stopMachine } from './events';
import { hitCountRequests } from './hit-counts';
import { followRequests } from './following';
import { inspectionRequests } from './inspection';
import { LaunchProblem } from './launch';
import { memoryRequests } from './memory';
import { moduleRequests } from './modules';
import { type Arguments, ERRORS, type Handlers, RequestError } from './requests';
import { runRequests } from './run-control';
import { threadRequests } from './threads';
import { startRequests } from './starting';
import { prepared, tellProblems } from './symbol-loading';
import { trapRequests } from './traps';

export type { AdapterOptions } from './context';

/** Answered also while symbols are read; everything else keeps its turn. */
const URGENT = new Set(['cancel', 'pause', 'disconnect', 'terminate', 'threads']);
/** Requests whose own work may be to read symbols. */
const READS = new Set(['launch', 'restart']);

export class AdapterSession extends ProtocolServer {
  private readonly context: Context;
  private readonly handlers: Handlers;

  constructor(options: AdapterOptions) {
    super();
    const s = new Context(options, (event, body) =>
      this.sendEvent({ type: 'event', seq: 0, event, ...(body === undefined ? {} : { body }) }),
    );
    this.context = s;
    this.handlers = {
      ...startRequests(s),
      ...runRequests(s),
      ...threadRequests(s),
      ...breakpointRequests(s),
      ...dataBreakpointRequests(s),
      ...hitCountRequests(s),
      ...inspectionRequests(s),
      ...followRequests(s),
      ...evaluationRequests(s),
      ...memoryRequests(s),
      ...moduleRequests(s),
      ...trapRequests(s),
      cancel: (a) => {
        const job =
          typeof a.requestId === 'number'
            ? s.jobs.get(a.requestId)
            : typeof a.progressId === 'string'
              ? s.progress.get(a.progressId)
              : undefined;
        if (job !== undefined) job.cancelled = true;
        return undefined;
      },
      disconnect: () => {
        stopMachine(s);
        s.finished = true;
        s.closed = true;
        s.afterResponse = () => this.emit('finished');
        return undefined;
      },
    };
  }

  /** The last of the requests that wait for one that reads symbols; a client's order stays. */
  private queue: Promise<void> | undefined;

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    if (this.queue !== undefined && !URGENT.has(request.command)) {
      this.wait(this.queue.then(() => this.safely(request)));
      return;
    }
    const before = this.context.waiting;
    const done = this.safely(request);
    if (this.context.waiting > before) this.wait(done);
  }
  private wait(done: Promise<void>): void {
    this.queue = done;
    void done.then(() => {
      if (this.queue === done) this.queue = undefined;
    });
  }
  private safely(request: DebugProtocol.Request): Promise<void> {
    return this.dispatch(request).catch((error: Error) => this.context.output(`lguest-debug: ${error.stack ?? error.message}`, 'stderr'));
  }
  private async dispatch(request: DebugProtocol.Request): Promise<void> {
    const { command } = request;
    const answer: Record<string, unknown> = { type: 'response', seq: 0, request_seq: request.seq, command, success: true };
    let after: (() => void) | undefined;
    const job = { seq: request.seq, cancelled: false };
    this.context.jobs.set(request.seq, job);
    try {
      const handler = Object.hasOwn(this.handlers, command) ? this.handlers[command] : undefined;
      if (handler === undefined) throw new RequestError(ERRORS.unknownRequest, `The request "${command}" is not known to this adapter.`);
      const args = typeof request.arguments === 'object' && request.arguments !== null ? (request.arguments as Arguments) : {};
      const symbols = prepared(this.context, command, args, job);
      if (symbols !== undefined) await this.waited(symbols);
      const work = handler(args, job);
      // What is ready at once is answered at once: a request right behind this one finds what this one did.
      const body = work instanceof Promise ? await (READS.has(command) ? this.waited(work) : work) : work;
      if (body !== undefined) answer.body = body;
      after = this.context.afterResponse;
      this.context.afterResponse = undefined;
    } catch (error) {
      const e = error instanceof RequestError ? error : this.translate(error as Error);
      answer.success = false;
      answer.message = e.message;
      answer.body = { error: { id: e.id, format: e.message, showUser: e.showUser } };
      this.context.afterResponse = undefined;
    }
    this.context.jobs.delete(request.seq);
    this.sendResponse(answer as unknown as DebugProtocol.Response);
    tellProblems(this.context);
    after?.();
  }
  /** Requests that come meanwhile wait. */
  private waited<T>(work: Promise<T>): Promise<T> {
    this.context.waiting++;
    return work;
  }
  private translate(error: Error): RequestError {
    if (error instanceof ExpressionError) return new RequestError(ERRORS.expression, error.message);
    if (error instanceof LaunchProblem || error instanceof LauncherError) return new RequestError(ERRORS.launch, error.message, true);
    return new RequestError(ERRORS.internal, error.message || String(error));
  }
}
