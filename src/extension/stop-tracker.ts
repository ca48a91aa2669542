// Knows which Guests are stopped, by listening to the messages between editor and adapters. Views and menus lean on it.
// A tracker only reads: it must never change or delay a message. A step is over in milliseconds: what is shown stays until its stop, or until the Guest has run a while.
import * as vscode from 'vscode';
import { DEBUG_TYPE, type Message, REQUESTS, STOP_EVENT, type StopDetails } from './protocol';

/** Requests that set the Guest running. Taken from the request, not its answer: an adapter may report the next stop before it answers. */
const RESUMING = new Set(['continue', 'next', 'stepIn', 'stepOut', 'stepBack', 'reverseContinue', 'goto', 'restart']);
/** Requests, and events, after which values may differ although the Guest did not move. */
const EDITING = new Set(['setVariable', 'setExpression', 'writeMemory']);
const CHANGING = new Set(['invalidated', 'memory']);
/** From when on a Guest that runs is shown as running. */
const RUNNING_MS = 300;
/** How long a stop waits for its details, which follow it at once. */
const DETAILS_MS = 50;

/** A view whose rows come with each stop while it can be seen. */
export interface Followed {
  readonly request: string;
  visible(): boolean;
  arguments(): object;
}

export class StopTracker implements vscode.Disposable {
  private readonly stopped = new Set<string>();
  /** What came with the stop, by session. */
  private readonly details = new Map<string, StopDetails>();
  /** What a session's adapter was asked to tell, as text. */
  private readonly following = new Map<string, string>();
  /** Sessions whose adapter does not know how to tell. */
  private readonly mute = new Set<string>();
  private readonly followed: Followed[] = [];
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  private shownStopped: boolean | undefined;
  readonly onDidChange = this.changed.event;

  constructor() {
    this.subscriptions = [
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: (session) => ({
          onWillReceiveMessage: (message: Message) => this.asked(session.id, message),
          onDidSendMessage: (message: Message) => this.saw(session.id, message),
          onExit: () => {
            this.following.delete(session.id);
            this.mute.delete(session.id);
            this.details.delete(session.id);
            this.stopped.delete(session.id);
            this.announce();
          },
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

  /** What a stopped session told by itself, as long as it holds. */
  told(session: vscode.DebugSession): StopDetails | undefined {
    return this.details.get(session.id);
  }

  /** From now on a view's rows come with each stop. */
  follow(view: Followed): void {
    this.followed.push(view);
  }

  /** A followed view came into sight, went out of it, or asks something else now: what was told holds no longer. */
  followAnew(): void {
    const session = this.stoppedSession();
    if (!session) return;
    this.details.delete(session.id);
    void this.tellWhatToFollow(session);
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const subscription of this.subscriptions) subscription.dispose();
    this.changed.dispose();
  }

  private async tellWhatToFollow(session: vscode.DebugSession): Promise<void> {
    const { id } = session;
    const views = Object.fromEntries(this.followed.filter((view) => view.visible()).map((view) => [view.request, view.arguments()]));
    const text = JSON.stringify(views);
    if (this.mute.has(id) || this.following.get(id) === text) return;
    this.following.set(id, text);
    this.details.delete(id);
    try {
      await session.customRequest(REQUESTS.follow, { views });
    } catch {
      this.mute.add(id); // every view asks by itself then
    }
  }

  private asked(id: string, { command }: Message): void {
    if (!command || !RESUMING.has(command)) return;
    this.stopped.delete(id);
    this.details.delete(id);
    this.announceIn(RUNNING_MS);
  }

  private saw(id: string, message: Message): void {
    if (message.type === 'event') {
      if (message.event === 'stopped') {
        this.stopped.add(id);
        this.details.delete(id);
        this.announceIn(this.following.has(id) && !this.mute.has(id) ? DETAILS_MS : 0);
      } else if (message.event === STOP_EVENT) {
        if (!this.stopped.has(id)) return; // an older stop's
        this.details.set(id, message.body as StopDetails);
        this.announce();
      } else if (message.event === 'continued' || message.event === 'terminated' || message.event === 'exited') {
        if (this.stopped.delete(id) || message.event !== 'continued') this.announceIn(RUNNING_MS);
      } else if (message.event && CHANGING.has(message.event)) this.doubt(id);
    } else if (message.type === 'response' && message.command) {
      if (!message.success && RESUMING.has(message.command)) {
        this.stopped.add(id);
        this.announce();
      } else if (message.success && EDITING.has(message.command)) this.doubt(id);
    }
  }

  /** Values may be others than those told. A stop whose details are on the way is told with them. */
  private doubt(id: string): void {
    if (this.timer && this.stopped.has(id) && !this.details.has(id)) return;
    this.details.delete(id);
    this.announce();
  }

  private announceIn(ms: number): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (ms === 0) this.announce();
    else this.timer = setTimeout(() => this.announce(), ms);
  }

  private announce(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const session = this.stoppedSession();
    if (this.shownStopped !== (session !== undefined)) {
      this.shownStopped = session !== undefined;
      void vscode.commands.executeCommand('setContext', 'lguest.stopped', this.shownStopped);
    }
    this.changed.fire();
    if (session) void this.tellWhatToFollow(session);
  }
}
