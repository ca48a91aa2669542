// A stand-in for the editor's API, just large enough to activate the extension in a plain Node process. It records what was registered and
// shown, and lets a test play the editor: start sessions, send events, answer pickers. Anything the extension uses that is missing here
// fails loudly as "not a function", so the stand-in cannot hide a mistake by being lenient.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

type Listener = (value: unknown) => void;

class EventEmitter {
  private readonly listeners = new Set<Listener>();
  readonly event = (listener: Listener): { dispose(): void } => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };
  fire(value?: unknown): void {
    for (const listener of [...this.listeners]) listener(value);
  }
  dispose(): void {
    this.listeners.clear();
  }
}

/** What an extension keeps, in a map. */
const memory = (map: Map<string, unknown>): object => ({
  get: (key: string) => map.get(key),
  update: async (key: string, value: unknown) => void map.set(key, value),
});

class SourceBreakpoint {
  constructor(
    readonly location: never,
    readonly enabled: boolean,
    readonly condition: string | undefined,
  ) {}
}

export class Uri {
  private constructor(
    readonly scheme: string,
    readonly path: string,
  ) {}
  static file(path: string): Uri {
    return new Uri('file', path);
  }
  static from({ scheme, path }: { scheme: string; path: string }): Uri {
    return new Uri(scheme, path);
  }
  get fsPath(): string {
    return this.path;
  }
}

export interface FakeSession {
  id: string;
  type: string;
  name: string;
  configuration: Record<string, unknown>;
  customRequest(command: string, args?: unknown): Promise<unknown>;
}

export interface FakeTerminal {
  name: string;
  text: string;
  shown: boolean;
  disposed: boolean;
  open(): void;
  type(keys: string): void;
}

interface Pseudoterminal {
  onDidWrite(listener: (text: string) => void): unknown;
  open(): void;
  close(): void;
  handleInput(keys: string): void;
}

/** Everything a test can look at or decide. */
export class FakeEditor {
  settings: Record<string, unknown> = {};
  files: string[] = [];
  /** Answers of the next quick pick and input box: the label, or undefined for Escape. */
  pick: string | undefined;
  /** What the next dialog for files answers. */
  chosenFile: string | undefined;
  input: string | undefined;
  readonly commands = new Map<string, (argument?: unknown) => unknown>();
  readonly executed: unknown[][] = [];
  readonly messages: string[] = [];
  readonly terminals: FakeTerminal[] = [];
  readonly trees = new Map<
    string,
    { getChildren(row?: unknown): Promise<unknown[]>; getTreeItem(row: unknown): Record<string, unknown> }
  >();
  readonly started: Record<string, unknown>[] = [];
  readonly pages: string[] = [];
  readonly providers: { trigger: number; provider: Record<string, (...args: unknown[]) => unknown> }[] = [];
  readonly hovers: { languages: string[]; provideEvaluatableExpression(document: unknown, position: unknown): unknown }[] = [];
  factory:
    | {
        createDebugAdapterDescriptor(session: { configuration: Record<string, unknown> }): {
          command: string;
          args: string[];
          options: { env: Record<string, string> };
        };
      }
    | undefined;
  active: FakeSession | undefined;
  /** How often the editor was told that a view may have other rows, and of which rows if not of all. */
  refreshed = 0;
  readonly news: { view: string; rows: string[] | undefined }[] = [];
  /** The adapter knows how to tell what comes with each stop, and what it was asked to tell. */
  follows = false;
  readonly followed: unknown[] = [];
  /** Views that cannot be seen. */
  readonly hidden = new Set<string>();
  readonly remembered = new Map<string, unknown>();
  /** Lines, from 0, that were painted last. */
  painted: number[] = [];
  /** What stands behind lines, as it was set last. */
  notes: { range: number; renderOptions: { after: { contentText: string } } }[] = [];
  clipboard = '';
  /** The text that the newest input box began with. */
  offered: string | undefined;
  readonly visibleChanged = new EventEmitter();
  readonly settingsChanged = new EventEmitter();
  /** The status bar, '' when hidden. */
  status = '';
  breakpoints: { location: { uri: Uri; range: { start: { line: number } } }; condition: string | undefined }[] = [];
  readonly inWorkspace = new Map<string, unknown>();
  private readonly subscriptions: { dispose(): void }[] = [];

  private readonly startedSession = new EventEmitter();
  private readonly endedSession = new EventEmitter();
  private readonly customEvent = new EventEmitter();
  private readonly activeChanged = new EventEmitter();
  private readonly trackerFactories: { createDebugAdapterTracker(session: FakeSession): Record<string, (message?: unknown) => void> }[] =
    [];
  private readonly trackers = new Map<string, Record<string, (message?: unknown) => void>[]>();
  private content: { provideTextDocumentContent(uri: Uri): string } | undefined;

  /** Starts a session as the editor does: tracker, active session, event. */
  start(session: Omit<FakeSession, 'customRequest'>, answer: (command: string, args: unknown) => unknown = () => ({})): FakeSession {
    const full: FakeSession = {
      ...session,
      customRequest: async (command, args) => {
        if (command !== 'lguest/follow') return answer(command, args);
        if (!this.follows) throw new Error('Unknown request.');
        this.followed.push(args);
        return {};
      },
    };
    if (full.type === 'lguest')
      this.trackers.set(
        full.id,
        this.trackerFactories.map((factory) => factory.createDebugAdapterTracker(full)),
      );
    this.active = full;
    this.startedSession.fire(full);
    this.activeChanged.fire(full);
    return full;
  }

  end(session: FakeSession): void {
    for (const tracker of this.trackers.get(session.id) ?? []) tracker['onExit']?.();
    this.active = undefined;
    this.endedSession.fire(session);
    this.activeChanged.fire(undefined);
  }

  /** The adapter says something (event, response) or the editor asks something (request). */
  message(session: FakeSession, message: { type: string; [key: string]: unknown }): void {
    for (const tracker of this.trackers.get(session.id) ?? [])
      tracker[message.type === 'request' ? 'onWillReceiveMessage' : 'onDidSendMessage']?.(message);
    if (message.type === 'event') this.customEvent.fire({ session, event: message['event'], body: message['body'] });
  }

  async run(command: string, argument?: unknown): Promise<unknown> {
    const run = this.commands.get(command);
    if (!run) throw new Error(`no command ${command}`);
    return run(argument);
  }

  /** Last value of a context key. */
  context(key: string): unknown {
    return this.executed.filter(([command, name]) => command === 'setContext' && name === key).at(-1)?.[2];
  }

  /** Rows of a view as nested `label description` texts. */
  async rows(view: string): Promise<string[]> {
    const tree = this.trees.get(view);
    if (!tree) throw new Error(`no view ${view}`);
    const walk = async (parent: unknown, indent: string): Promise<string[]> => {
      const lines: string[] = [];
      for (const row of await tree.getChildren(parent)) {
        const item = tree.getTreeItem(row);
        // A label with highlights is an object.
        const { label } = (typeof item['label'] === 'object' ? item['label'] : item) as { label: string };
        lines.push(`${indent}${label} ${item['description']}`.trimEnd(), ...(await walk(row, `${indent}  `)));
      }
      return lines;
    };
    return walk(undefined, '');
  }

  /** The object that `require('vscode')` returns. */
  readonly api = {
    EventEmitter,
    Uri,
    Disposable: class {
      static from(...parts: { dispose(): void }[]): { dispose(): void } {
        return {
          dispose: () => {
            for (const part of parts) part.dispose();
          },
        };
      }
    },
    TreeItem: class {
      constructor(
        readonly label: string,
        readonly collapsibleState: number,
      ) {}
    },
    TreeItemCollapsibleState: { None: 0, Collapsed: 1, Expanded: 2 },
    DebugConfigurationProviderTriggerKind: { Initial: 1, Dynamic: 2 },
    ViewColumn: { Beside: -2 },
    StatusBarAlignment: { Left: 1, Right: 2 },
    ThemeIcon: class {
      constructor(readonly id: string) {}
    },
    ThemeColor: class {},
    Position: class {
      constructor(readonly line: number) {}
    },
    Location: class {
      readonly range: object;
      constructor(
        readonly uri: Uri,
        start: unknown,
      ) {
        this.range = { start };
      }
    },
    SourceBreakpoint,
    RelativePattern: class {},
    Range: class {
      readonly at: number[];
      constructor(...at: number[]) {
        this.at = at;
      }
    },
    EvaluatableExpression: class {
      constructor(
        readonly range: unknown,
        readonly expression: string,
      ) {}
    },
    DebugAdapterExecutable: class {
      constructor(
        readonly command: string,
        readonly args: string[],
        readonly options: unknown,
      ) {}
    },
    env: { clipboard: { readText: async () => this.clipboard, writeText: async (text: string) => this.messages.push(`copied: ${text}`) } },
    commands: {
      registerCommand: (id: string, run: (argument?: unknown) => unknown) => {
        this.commands.set(id, run);
        return { dispose: () => this.commands.delete(id) };
      },
      executeCommand: async (...call: unknown[]) => {
        this.executed.push(call);
        return this.commands.get(String(call[0]))?.(call[1]);
      },
    },
    languages: {
      registerEvaluatableExpressionProvider: (
        languages: string[],
        provider: { provideEvaluatableExpression(d: unknown, p: unknown): unknown },
      ) => {
        this.hovers.push({ languages, provideEvaluatableExpression: provider.provideEvaluatableExpression });
        return { dispose() {} };
      },
    },
    workspace: {
      getConfiguration: (section: string) => ({
        get: (name: string) => this.settings[`${section}.${name}`],
        update: async (name: string, value: unknown) => {
          this.settings[`${section}.${name}`] = value;
        },
      }),
      findFiles: async () => this.files.map((file) => Uri.file(file)),
      asRelativePath: (uri: Uri | string) => (typeof uri === 'string' ? uri : uri.path).replace(/^.*\/ws\//, ''),
      registerTextDocumentContentProvider: (_scheme: string, provider: { provideTextDocumentContent(uri: Uri): string }) => {
        this.content = provider;
        return { dispose() {} };
      },
      openTextDocument: async (uri: Uri) => ({ uri }),
      onDidChangeConfiguration: this.settingsChanged.event,
    },
    window: {
      visibleTextEditors: [] as unknown[],
      onDidChangeVisibleTextEditors: this.visibleChanged.event,
      createStatusBarItem: () => {
        const editor = this;
        let text = '';
        return {
          set text(given: string) {
            text = given;
          },
          show() {
            editor.status = text;
          },
          hide() {
            editor.status = '';
          },
          dispose() {},
        };
      },
      createTextEditorDecorationType: (look: object) => ({ look, dispose() {} }),
      showInformationMessage: async (text: string) => void this.messages.push(text),
      showErrorMessage: async (text: string) => void this.messages.push(`error: ${text}`),
      showInputBox: async ({ value }: { value?: string } = {}) => {
        this.offered = value;
        return this.input;
      },
      showOpenDialog: async () => (this.chosenFile === undefined ? undefined : [Uri.file(this.chosenFile)]),
      showQuickPick: async (items: (string | { label: string })[]) =>
        items.find((item) => (typeof item === 'string' ? item : item.label) === this.pick),
      showTextDocument: async ({ uri }: { uri: Uri }) => void this.pages.push(this.content?.provideTextDocumentContent(uri) ?? ''),
      createTreeView: (id: string, { treeDataProvider }: { treeDataProvider: never }) => {
        this.trees.set(id, treeDataProvider);
        (treeDataProvider as { onDidChangeTreeData(listener: (rows?: { id: string }[]) => void): void }).onDidChangeTreeData((rows) => {
          this.refreshed++;
          this.news.push({ view: id, rows: rows?.map((row) => row.id) });
        });
        const nothing = () => ({ dispose() {} });
        const editor = this;
        return {
          description: '',
          get visible() {
            return !editor.hidden.has(id);
          },
          onDidChangeVisibility: nothing,
          onDidExpandElement: nothing,
          onDidCollapseElement: nothing,
          dispose() {},
        };
      },
      createTerminal: ({ name, pty }: { name: string; pty: Pseudoterminal }) => {
        const terminal: FakeTerminal = {
          name,
          text: '',
          shown: false,
          disposed: false,
          open: () => pty.open(),
          type: (keys) => pty.handleInput(keys),
        };
        pty.onDidWrite((text) => {
          terminal.text += text;
        });
        this.terminals.push(terminal);
        return {
          show: () => {
            terminal.shown = true;
          },
          dispose: () => {
            terminal.disposed = true;
            pty.close();
          },
        };
      },
    },
    debug: this.debug(),
  };

  private debug(): Record<string, unknown> {
    const editor = this;
    return {
      get activeDebugSession() {
        return editor.active;
      },
      get breakpoints() {
        return editor.breakpoints;
      },
      addBreakpoints: (made: never[]) => void editor.breakpoints.push(...made),
      removeBreakpoints: (gone: unknown[]) => {
        editor.breakpoints = editor.breakpoints.filter((b) => !gone.includes(b));
      },
      onDidStartDebugSession: this.startedSession.event,
      onDidTerminateDebugSession: this.endedSession.event,
      onDidChangeBreakpoints: () => ({ dispose() {} }),
      onDidReceiveDebugSessionCustomEvent: this.customEvent.event,
      onDidChangeActiveDebugSession: this.activeChanged.event,
      startDebugging: async (_folder: unknown, config: Record<string, unknown>) => void this.started.push(config),
      registerDebugConfigurationProvider: (_type: string, provider: never, trigger: number) => {
        this.providers.push({ trigger, provider });
        return { dispose() {} };
      },
      registerDebugAdapterDescriptorFactory: (_type: string, factory: never) => {
        this.factory = factory;
        return { dispose() {} };
      },
      registerDebugAdapterTrackerFactory: (_type: string, factory: never) => {
        this.trackerFactories.push(factory);
        return { dispose() {} };
      },
    };
  }

  /** Shows a document with so many lines in an editor. */
  show(path: string, languageId: string, lineCount: number): void {
    this.api.window.visibleTextEditors.push({
      document: { languageId, uri: { path }, lineCount, lineAt: (line: number) => ({ range: line }) },
      setDecorations: (type: { look: object }, lines: never[]) => {
        if ('after' in type.look) this.notes = lines;
        else this.painted = lines;
      },
    });
    this.visibleChanged.fire();
  }

  /** What the editor does on shutdown. */
  deactivate(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  /** Activates the built extension (dist/extension.js) on this editor. */
  activate(): void {
    const require = createRequire(resolve('dist/test/extension/x.js'));
    const loader = require('node:module') as { _load(request: string, ...rest: unknown[]): unknown };
    const original = loader._load;
    loader._load = (request, ...rest) => (request === 'vscode' ? this.api : original.call(loader, request, ...rest));
    try {
      const bundle = resolve('dist/extension.js');
      delete require.cache[bundle];
      const extension = require(bundle) as { activate(context: unknown): void };
      extension.activate({
        subscriptions: this.subscriptions,
        globalState: memory(this.remembered),
        workspaceState: memory(this.inWorkspace),
        asAbsolutePath: (path: string) => resolve(path),
      });
    } finally {
      loader._load = original;
    }
  }
}
