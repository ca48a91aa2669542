// Knows which Guests are stopped, by listening to the messages between editor and adapters. Views and menus lean on it.
// A tracker only reads: it must never change or delay a message.
import * as vscode from 'vscode';
import { DEBUG_TYPE } from './protocol';

interface Message {
  type: string;
  seq?: number;
  request_seq?: number;
  event?: string;
  command?: string;
  success?: boolean;
}

/** Requests that set the Guest running. Taken from the request, not its answer: an adapter may report the next stop before it answers. */
const RESUMING = new Set(['continue', 'next', 'stepIn', 'stepOut', 'stepBack', 'reverseContinue', 'goto', 'restart']);
/** Requests, and events, after which values may differ although the Guest did not move. */
const EDITING = new Set(['setVariable', 'setExpression', 'writeMemory']);
const CHANGING = new Set(['invalidated', 'memory']);

export class StopTracker implements vscode.Disposable {
  private readonly stopped = new Set<string>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  readonly onDidChange = this.changed.event;

  constructor() {
    this.subscriptions = [
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: (session) => ({
          onWillReceiveMessage: (message: Message) => this.asked(session.id, message),
          onDidSendMessage: (message: Message) => this.saw(session.id, message),
          onExit: () => this.set(session.id, false),
        }),
      }),
      vscode.debug.onDidChangeActiveDebugSession(() => this.announce()),
    ];
  }

  /** The active session, when it is ours and stopped. */
  stoppedSession(): vscode.DebugSession | undefined {
    const session = vscode.debug.activeDebugSession;
    return session?.type === DEBUG_TYPE && this.stopped.has(session.id) ? session : undefined;
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.changed.dispose();
  }

  private asked(id: string, { command }: Message): void {
    if (command && RESUMING.has(command)) this.set(id, false);
  }

  private saw(id: string, message: Message): void {
    if (message.type === 'event') {
      if (message.event === 'stopped') this.set(id, true);
      else if (message.event === 'continued' || message.event === 'terminated' || message.event === 'exited') this.set(id, false);
      else if (message.event && CHANGING.has(message.event)) this.announce();
    } else if (message.type === 'response' && message.command) {
      if (!message.success && RESUMING.has(message.command)) this.set(id, true);
      else if (message.success && EDITING.has(message.command)) this.announce();
    }
  }

  private set(id: string, isStopped: boolean): void {
    if (isStopped) this.stopped.add(id);
    else this.stopped.delete(id);
    this.announce();
  }

  private announce(): void {
    void vscode.commands.executeCommand('setContext', 'lguest.stopped', this.stoppedSession() !== undefined);
    this.changed.fire();
  }
}
