// A session inside the test's own process: the same adapter and messages, without a program to start, so that a test takes a fraction of a second.

import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeFiles } from '../../src/adapter/node';
import { type AdapterOptions, AdapterSession } from '../../src/adapter/session';
import { demoFile } from './client';

// biome-ignore lint/suspicious/noExplicitAny: answers are read by the tests that know them
export type Body = Record<string, any>;
type Stop = DebugProtocol.StoppedEvent['body'];

const open = new Set<Inside>();
// A test that fails half-way must not leave a Guest running.
afterEach(async () => {
  for (const s of open) await s.end();
});

export class Inside {
  readonly adapter: AdapterSession;
  readonly events: DebugProtocol.Event[] = [];
  /** What came, in order: the name of each event, and of each request that was answered. */
  readonly order: string[] = [];
  console = '';
  /** Text of the Debug Console. */
  output = '';
  private seq = 1;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly stops: Stop[] = [];
  private wanted: ((stop: Stop) => void) | undefined;

  constructor(options: Partial<AdapterOptions> = {}) {
    this.adapter = new AdapterSession({ files: nodeFiles(demoFile('demo.elf')), ...options });
    open.add(this);
    this.adapter.onDidSendMessage((m) => {
      const message = m as DebugProtocol.ProtocolMessage;
      if (message.type === 'response') {
        const response = message as DebugProtocol.Response;
        this.order.push(response.command);
        this.waiting.get(response.request_seq)?.(response);
        this.waiting.delete(response.request_seq);
        return;
      }
      const event = message as DebugProtocol.Event;
      this.events.push(event);
      this.order.push(event.event);
      if (event.event === 'output') {
        if (event.body.category === 'stdout') this.console += event.body.output;
        else this.output += event.body.output;
      }
      if (event.event !== 'stopped') return;
      if (this.wanted === undefined) this.stops.push(event.body);
      else {
        this.wanted(event.body);
        this.wanted = undefined;
      }
    });
  }

  /** A Guest that stands at the entry of a function. No filter is on but for the dead. */
  static async at(name: string, launch: Body = {}, client: Body = {}): Promise<Inside> {
    const s = new Inside();
    await s.request('initialize', { adapterID: 'lguest', supportsMemoryEvent: true, supportsInvalidatedEvent: true, ...client });
    await s.request('launch', { program: demoFile('demo.elf'), runToEntryPoint: name, ...launch });
    await s.request('configurationDone');
    await s.stop();
    return s;
  }

  raw(command: string, args: Body = {}): { seq: number; response: Promise<DebugProtocol.Response> } {
    const seq = this.seq++;
    const response = new Promise<DebugProtocol.Response>((done) => this.waiting.set(seq, done));
    this.adapter.handleMessage({ type: 'request', seq, command, arguments: args } as DebugProtocol.Request);
    return { seq, response };
  }
  async request(command: string, args: Body = {}): Promise<Body> {
    const response = await this.raw(command, args).response;
    if (!response.success) throw new Error(response.message);
    return (response.body ?? {}) as Body;
  }
  async failing(command: string, args: Body = {}): Promise<string> {
    const response = await this.raw(command, args).response;
    assert.equal(response.success, false, `${command} did not fail: ${JSON.stringify(response.body)}`);
    return response.message ?? '';
  }
  stop(): Promise<Stop> {
    const had = this.stops.shift();
    if (had !== undefined) return Promise.resolve(had);
    return new Promise((done, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`no stop; output so far:\n${this.output.slice(-2000)}${this.console.slice(-500)}`)),
        20_000,
      );
      this.wanted = (stop) => {
        clearTimeout(timer);
        done(stop);
      };
    });
  }
  async go(command = 'continue', args: Body = {}): Promise<Stop> {
    await this.request(command, { threadId: 1, ...args });
    return this.stop();
  }
  async evaluate(expression: string, context = 'repl'): Promise<string> {
    return (await this.request('evaluate', { expression, context })).result;
  }
  async frames(): Promise<DebugProtocol.StackFrame[]> {
    return (await this.request('stackTrace', { threadId: 1, levels: 30 })).stackFrames;
  }
  async scopes(): Promise<Record<string, number>> {
    const frame = (await this.frames()).find((f) => f.presentationHint !== 'label');
    const { scopes } = await this.request('scopes', { frameId: frame?.id });
    return Object.fromEntries(scopes.map((x: DebugProtocol.Scope) => [x.name, x.variablesReference]));
  }
  async variables(variablesReference: number): Promise<DebugProtocol.Variable[]> {
    return (await this.request('variables', { variablesReference })).variables;
  }
  /** Data breakpoints by what the user would type. */
  async watch(...wanted: [name: string, accessType: string, condition?: string][]): Promise<Body[]> {
    const breakpoints: Body[] = [];
    for (const [name, accessType, condition] of wanted) {
      const info = await this.request('dataBreakpointInfo', { name });
      assert.ok(info.dataId, `${name}: ${info.description}`);
      breakpoints.push({ dataId: info.dataId, accessType, ...(condition === undefined ? {} : { condition }) });
    }
    return (await this.request('setDataBreakpoints', { breakpoints })).breakpoints;
  }
  /** Stops at functions by name. */
  async functions(...names: (string | Body)[]): Promise<Body[]> {
    const breakpoints = names.map((n) => (typeof n === 'string' ? { name: n } : n));
    return (await this.request('setFunctionBreakpoints', { breakpoints })).breakpoints;
  }
  end(): Promise<Body> {
    open.delete(this);
    return this.request('disconnect');
  }
}
