// A DAP client for tests: a whole session written down as text, so that what a user would notice can be compared line by line.
//
// Requests are "> ", answers "< ", events "* ". Ids become <n>, paths of this checkout ${workspace}. What the Guest prints is shown when it stops, since its arrival in
// pieces is no one's promise.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { DebugClient } from '@vscode/debugadapter-testsupport';
import type { DebugProtocol } from '@vscode/debugprotocol';

export const workspace = resolve('.');
export const demoFile = (name: string): string => resolve('examples/demo', name);

/** Number of the first line of a demo source that contains `text`. */
export const lineOf = (file: string, text: string): number => {
  const at = readFileSync(demoFile(file), 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text));
  assert.ok(at >= 0, `${file} has no line with "${text}"`);
  return at + 1;
};

type Body = Record<string, unknown>;

export class Session {
  readonly lines: string[] = [];
  readonly client: DebugClient;
  console = '';
  private stops: DebugProtocol.StoppedEvent['body'][] = [];
  private waiting: ((body: DebugProtocol.StoppedEvent['body']) => void)[] = [];
  ended: Promise<number>;

  private constructor(
    command: string[],
    private readonly port?: number,
  ) {
    this.client = new DebugClient(process.execPath, command[0] ?? '', 'lguest');
    this.client.defaultTimeout = 60_000; // the machine that runs tests may be busy with other things
    this.client.on('output', ({ body }: DebugProtocol.OutputEvent) => {
      if (body.category === 'stdout') this.console += body.output;
      else this.lines.push(`* output ${body.category}: ${this.plain(body.output.trimEnd())}`);
    });
    this.client.on('lguest/consoleData', ({ body }: { body: { data: string } }) => {
      this.console += body.data;
    });
    this.client.on('stopped', ({ body }: DebugProtocol.StoppedEvent) => {
      const next = this.waiting.shift();
      if (next !== undefined) next(body);
      else this.stops.push(body);
    });
    this.ended = new Promise((done) => {
      let code = -1;
      this.client.on('exited', ({ body }: DebugProtocol.ExitedEvent) => {
        code = body.exitCode;
      });
      this.client.on('terminated', () => done(code));
    });
  }

  /** Over stdio, or to a port that listens already. */
  static async start(port?: number): Promise<Session> {
    const session = new Session([resolve('dist/adapter.js')], port);
    await session.client.start(port);
    await session.client.initializeRequest({
      adapterID: 'lguest',
      clientID: 'test',
      linesStartAt1: true,
      columnsStartAt1: true,
      pathFormat: 'path',
      supportsVariableType: true,
      supportsMemoryReferences: true,
      supportsMemoryEvent: true,
      supportsInvalidatedEvent: true,
    } as DebugProtocol.InitializeRequestArguments);
    return session;
  }

  /** Launches and waits until breakpoints may be set. */
  async launch(args: Body): Promise<void> {
    this.lines.push(`> launch ${this.plain(JSON.stringify(args))}`);
    const initialized = this.client.waitForEvent('initialized');
    const answer = this.client.launchRequest(args as unknown as DebugProtocol.LaunchRequestArguments);
    await Promise.all([answer, initialized]);
  }
  async done(): Promise<void> {
    await this.client.configurationDoneRequest();
  }

  /** The next stop, as one line of the transcript. */
  async stop(): Promise<DebugProtocol.StoppedEvent['body']> {
    const body =
      this.stops.shift() ??
      (await new Promise<DebugProtocol.StoppedEvent['body']>((done, fail) => {
        const timer = setTimeout(() => fail(new Error(`no stop; so far:\n${this.lines.slice(-20).join('\n')}`)), 60_000);
        this.waiting.push((b) => {
          clearTimeout(timer);
          done(b);
        });
      }));
    this.printConsole();
    this.lines.push(`* stopped ${body.reason}: ${body.description}${body.text === undefined ? '' : ` (${body.text})`}`);
    return body;
  }
  printConsole(): void {
    for (const line of this.console.replace(/\r/g, '').split('\n')) if (line !== '') this.lines.push(`  | ${line}`);
    this.console = '';
  }

  async request(command: string, args: Body = {}): Promise<Body> {
    const answer = await this.client.customRequest(command, args);
    return (answer.body ?? {}) as Body;
  }
  /** A request that must fail; its message. */
  async failing(command: string, args: Body = {}): Promise<string> {
    try {
      await this.client.customRequest(command, args);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`${command} did not fail`);
  }

  async frames(levels = 20): Promise<DebugProtocol.StackFrame[]> {
    const { stackFrames } = (await this.request('stackTrace', { threadId: 1, levels })) as unknown as {
      stackFrames: DebugProtocol.StackFrame[];
    };
    return stackFrames;
  }
  async writeStack(levels = 20): Promise<DebugProtocol.StackFrame[]> {
    const frames = await this.frames(levels);
    this.lines.push('> stackTrace');
    for (const f of frames) {
      const where = f.source === undefined ? '' : `  ${this.plain(f.source.path ?? f.source.name ?? '')}:${f.line}`;
      this.lines.push(`<   ${f.name}${where}${f.instructionPointerReference === undefined ? '' : `  ${f.instructionPointerReference}`}`);
    }
    return frames;
  }
  /** Variables of a scope of the first frame in code. */
  async scope(name: string): Promise<DebugProtocol.Variable[]> {
    const frame = (await this.frames()).find((f) => f.presentationHint !== 'label');
    const { scopes } = (await this.request('scopes', { frameId: frame?.id })) as unknown as { scopes: DebugProtocol.Scope[] };
    const scope = scopes.find((s) => s.name === name);
    assert.ok(scope, `no scope ${name} among ${scopes.map((s) => s.name).join(', ')}`);
    return this.variables(scope.variablesReference);
  }
  async variables(variablesReference: number): Promise<DebugProtocol.Variable[]> {
    const { variables } = (await this.request('variables', { variablesReference })) as unknown as { variables: DebugProtocol.Variable[] };
    return variables;
  }
  async writeScope(name: string): Promise<void> {
    this.lines.push(`> variables of ${name}`);
    for (const v of await this.scope(name)) this.lines.push(`<   ${v.name} = ${v.value}`);
  }
  async evaluate(expression: string, context = 'repl', frameId?: number): Promise<string> {
    const body = await this.request('evaluate', { expression, context, ...(frameId === undefined ? {} : { frameId }) });
    return String(body.result);
  }
  async writeEvaluate(expression: string): Promise<void> {
    this.lines.push(`> ${expression}`);
    let text: string;
    try {
      text = await this.evaluate(expression);
    } catch (error) {
      text = `error: ${(error as Error).message}`;
    }
    for (const line of text.split('\n')) this.lines.push(`<   ${line}`);
  }
  /** A request that sets the Guest running, and the stop that follows. */
  async go(command: string, args: Body = {}): Promise<DebugProtocol.StoppedEvent['body']> {
    this.lines.push(`> ${command}${Object.keys(args).length === 0 ? '' : ` ${JSON.stringify(args)}`}`);
    await this.request(command, { threadId: 1, ...args });
    return this.stop();
  }

  plain(text: string): string {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder's own spelling
    return text.replaceAll(workspace, '${workspace}').replaceAll('\\', '/');
  }
  async end(): Promise<void> {
    await this.client.disconnectRequest({}).catch(() => {});
    // Not client.stop(): that disconnects once more, and who asks a program that is about to end may never be answered.
    if (this.port === undefined) (this.client as unknown as { stopAdapter(): void }).stopAdapter();
  }
}

/** Compares a transcript with its golden file; UPDATE_GOLDEN=1 rewrites it. */
export const compareGolden = (name: string, lines: readonly string[]): void => {
  const path = `test/golden/${name}.txt`;
  const text = `${lines.join('\n')}\n`;
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, text);
  assert.ok(existsSync(path), `${path} is missing: UPDATE_GOLDEN=1 writes it`);
  assert.equal(text, readFileSync(path, 'utf8'));
};
