// The Guest's console as a terminal of the editor: what the Guest prints appears there, what is typed goes to the Guest.
// One terminal per debug session. It stays readable after the session's end and makes room for the next run of the same name.
import * as vscode from 'vscode';
import { inputText, OutputLines } from './console-text';
import { CONSOLE_EVENT, type ConsoleData, DEBUG_TYPE, REQUESTS } from './protocol';

/** One terminal. Text that arrives before the editor has opened it is kept. */
class GuestTerminal implements vscode.Pseudoterminal {
  private readonly written = new vscode.EventEmitter<string>();
  private readonly lines = new OutputLines();
  private waiting: string[] | undefined = [];
  private ended = false;
  readonly onDidWrite = this.written.event;

  constructor(private readonly session: vscode.DebugSession) {}

  open(): void {
    const early = this.waiting ?? [];
    this.waiting = undefined;
    for (const text of early) this.written.fire(text);
  }

  close(): void {
    this.written.dispose();
  }

  write(data: string): void {
    const text = this.lines.convert(data);
    if (this.waiting) this.waiting.push(text);
    else this.written.fire(text);
  }

  end(): void {
    this.ended = true;
    this.write('\n\x1b[2m[the session has ended]\x1b[0m\n');
  }

  handleInput(keys: string): void {
    if (this.ended) return;
    this.session.customRequest(REQUESTS.console, { text: inputText(keys) }).then(undefined, (error: Error) => {
      this.write(`\n\x1b[31m[the Guest did not get that: ${error.message}]\x1b[0m\n`);
    });
  }
}

/** All terminals, by session. */
export class GuestTerminals implements vscode.Disposable {
  private readonly bySession = new Map<string, { pty: GuestTerminal; terminal: vscode.Terminal }>();
  private readonly idle = new Map<string, vscode.Terminal>();
  private readonly subscriptions: vscode.Disposable[];

  constructor() {
    this.subscriptions = [
      vscode.debug.onDidStartDebugSession((session) => this.started(session)),
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
        if (session.type === DEBUG_TYPE && event === CONSOLE_EVENT) this.of(session).pty.write((body as ConsoleData).data);
      }),
      vscode.debug.onDidTerminateDebugSession((session) => this.ended(session)),
    ];
  }

  /** Brings the terminal of a session to the front; false when the session prints elsewhere. */
  show(session: vscode.DebugSession): boolean {
    const entry = this.bySession.get(session.id);
    entry?.terminal.show();
    return entry !== undefined;
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    for (const { terminal } of this.bySession.values()) terminal.dispose();
    for (const terminal of this.idle.values()) terminal.dispose();
  }

  private started(session: vscode.DebugSession): void {
    if (session.type !== DEBUG_TYPE || session.configuration['console'] !== 'integratedTerminal') return;
    const { terminal } = this.of(session);
    if (vscode.workspace.getConfiguration('lguest').get('console.reveal') !== false) terminal.show(true);
  }

  private ended(session: vscode.DebugSession): void {
    const entry = this.bySession.get(session.id);
    if (!entry) return;
    entry.pty.end();
    this.bySession.delete(session.id);
    this.idle.set(session.name, entry.terminal);
  }

  private of(session: vscode.DebugSession): { pty: GuestTerminal; terminal: vscode.Terminal } {
    const known = this.bySession.get(session.id);
    if (known) return known;
    this.idle.get(session.name)?.dispose();
    this.idle.delete(session.name);
    const pty = new GuestTerminal(session);
    const terminal = vscode.window.createTerminal({
      name: `Guest console: ${session.name.replace(/^lguest: /, '')}`,
      pty,
      isTransient: true,
    });
    const entry = { pty, terminal };
    this.bySession.set(session.id, entry);
    return entry;
  }
}
