// The tree views of the Run and Debug side bar. Each shows the rows that the adapter answers to one custom request, or sends along with every stop.
// After a stop the editor is told of those rows only that look otherwise, which it paints without asking back: a step is on the screen at once.
// No view knows what its rows mean; what they say is decided below, in the adapter.
import * as vscode from 'vscode';
import { type AccessChoice, REQUESTS, type ViewAnswer, type ViewNode } from './protocol';
import type { StopTracker } from './stop-tracker';

/** A row with its identity: the path of labels from the root, so that what the user opened stays open over stops. */
export interface Row {
  node: ViewNode;
  readonly id: string;
  /** Those that the editor has asked for. */
  children?: Row[];
  /** How the editor was told to paint it. */
  painted?: string;
}

/** The editor takes news of a tree at once, but those within 200 ms of the last ones only when 200 ms have brought none: they are kept back and told together. */
const PAUSE_MS = 210;

interface TreeOptions {
  /** Custom request that answers a ViewAnswer. */
  request: string;
  /** Its arguments, anew each time. */
  argumentsOf?: () => object;
  /** Adds to an item; `open`: the user sees the row's children. */
  paint?: (item: vscode.TreeItem, row: Row, open: boolean) => void;
  /** Whom to ask. */
  session?: () => vscode.DebugSession | undefined;
  /** The rows come with each stop. */
  followed?: boolean;
}

export class AdapterTree implements vscode.TreeDataProvider<Row>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<Row[] | undefined>();
  private readonly subscription: vscode.Disposable;
  /** What the editor shows, as far as it has asked; undefined: nothing, or nothing that holds. */
  private roots: Row[] | undefined;
  /** Grows with each question; only the newest answer counts. */
  private turn = 0;
  /** What the editor is to be told: some rows, or that all may differ. */
  private readonly news = new Set<Row>();
  private allNew = false;
  /** The editor was told that all may differ, and has not asked since: out of sight it does not. */
  private toAsk = false;
  private lastTold = Number.NEGATIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;
  /** Identities of rows that the user opened or closed. */
  private readonly openOrNot = new Map<string, boolean>();
  /** The view can be seen. */
  visible: () => boolean = () => true;
  readonly onDidChangeTreeData = this.changed.event;

  constructor(
    private readonly stops: StopTracker,
    private readonly options: TreeOptions,
  ) {
    this.subscription = stops.onDidChange(() => this.refresh());
    if (options.followed)
      stops.follow({ request: options.request, visible: () => this.visible(), arguments: () => options.argumentsOf?.() ?? {} });
  }

  /** The rows may be others: those that the editor shows are compared with new ones, and it is told which differ. Out of sight nothing is asked. */
  refresh(): void {
    const session = this.session();
    if (this.roots === undefined || session === undefined || !this.visible()) this.tellAll();
    else void this.compare(session);
  }

  /** The question is another one now. */
  askAnew(): void {
    if (this.options.followed) this.stops.followAnew();
    this.refresh();
  }

  getTreeItem(row: Row): vscode.TreeItem {
    const item = this.item(row);
    row.painted = JSON.stringify(item);
    return item;
  }

  async getChildren(parent?: Row): Promise<Row[]> {
    if (parent) {
      parent.children = rows(parent.node.children ?? [], parent.id);
      return parent.children;
    }
    const session = this.session();
    const turn = ++this.turn;
    this.toAsk = false;
    this.roots = undefined; // who refreshes meanwhile makes the editor ask again
    const made = session ? rows(await this.ask(session), '') : []; // the view's welcome text says what to do
    if (turn === this.turn) this.roots = made;
    return made;
  }

  /** The user opened or closed a row, which may be painted otherwise then. */
  opened(row: Row, open: boolean): void {
    this.openOrNot.set(row.id, open);
    if (JSON.stringify(this.item(row)) !== row.painted) this.tell(row);
    this.flush();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscription.dispose();
    this.changed.dispose();
  }

  private session(): vscode.DebugSession | undefined {
    return this.options.session ? this.options.session() : this.stops.stoppedSession();
  }

  private item(row: Row): vscode.TreeItem {
    const { node, id } = row;
    const { None, Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.children?.length ? (node.expanded ? Expanded : Collapsed) : None);
    item.id = id;
    item.description = node.description ?? '';
    item.tooltip = node.tooltip ?? (node.description ? `${node.label} ${node.description}` : node.label);
    item.contextValue = 'lguest.row';
    this.options.paint?.(item, row, this.openOrNot.get(id) ?? node.expanded ?? false);
    return item;
  }

  private told(session: vscode.DebugSession): ViewAnswer | undefined {
    return this.options.followed ? this.stops.told(session)?.views[this.options.request] : undefined;
  }

  private async ask(session: vscode.DebugSession): Promise<readonly ViewNode[]> {
    try {
      const { request, argumentsOf } = this.options;
      const answer: ViewAnswer = this.told(session) ?? (await session.customRequest(request, argumentsOf?.() ?? {}));
      return answer.nodes;
    } catch (error) {
      return [{ label: 'Not available', description: (error as Error).message }];
    }
  }

  private async compare(session: vscode.DebugSession): Promise<void> {
    const turn = ++this.turn;
    const told = this.told(session);
    const nodes = told ? told.nodes : await this.ask(session);
    if (turn !== this.turn) return; // asked again since
    if (this.roots === undefined) this.tellAll();
    else this.renew(this.roots, nodes);
    this.flush();
  }

  /** Gives rows new contents and notes which look otherwise. Rows that came, went or moved are the editor's to ask for again. */
  private renew(level: Row[], nodes: readonly ViewNode[], parent?: Row): void {
    const fresh = rows(nodes, parent?.id ?? '');
    if (fresh.length !== level.length || fresh.some(({ id }, n) => id !== level[n]?.id)) {
      if (parent) this.tell(parent);
      else this.tellAll();
      return;
    }
    level.forEach((row, n) => {
      row.node = fresh[n]?.node ?? row.node;
      if (row.painted !== undefined && JSON.stringify(this.item(row)) !== row.painted) this.tell(row);
      if (row.children) this.renew(row.children, row.node.children ?? [], row);
    });
  }

  private tell(row: Row): void {
    this.news.add(row);
  }

  private tellAll(): void {
    this.roots = undefined;
    if (this.toAsk && !this.visible()) return;
    this.toAsk = true;
    this.allNew = true;
    this.flush();
  }

  private flush(): void {
    if (this.timer || (!this.allNew && this.news.size === 0)) return;
    const wait = this.lastTold + PAUSE_MS - performance.now();
    if (wait > 0) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.flush();
      }, wait);
      return;
    }
    const news = this.allNew ? undefined : [...this.news];
    this.allNew = false;
    this.news.clear();
    this.lastTold = performance.now();
    this.changed.fire(news);
  }
}

/** A view of the side bar with such a tree. */
export abstract class AdapterView implements vscode.Disposable {
  protected readonly view: vscode.TreeView<Row>;

  /** @param others what goes with the view. */
  constructor(
    id: string,
    protected readonly tree: AdapterTree,
    private readonly stops: StopTracker,
    private readonly others: vscode.Disposable[] = [],
  ) {
    this.view = vscode.window.createTreeView(id, { treeDataProvider: tree, showCollapseAll: true });
    tree.visible = () => this.view.visible;
    others.push(
      this.view.onDidChangeVisibility(() => this.stops.followAnew()),
      this.view.onDidExpandElement(({ element }) => tree.opened(element, true)),
      this.view.onDidCollapseElement(({ element }) => tree.opened(element, false)),
    );
  }

  refresh(): void {
    this.tree.askAnew();
  }

  dispose(): void {
    for (const other of this.others) other.dispose();
    this.view.dispose();
    this.tree.dispose();
  }
}

/** Rows of one level. Equal labels beside each other get a number, since the editor refuses a repeated identity. */
function rows(nodes: readonly ViewNode[], parent: string): Row[] {
  const seen = new Map<string, number>();
  return nodes.map((node) => {
    const count = seen.get(node.label) ?? 0;
    seen.set(node.label, count + 1);
    return { node, id: `${parent}/${node.label}${count > 0 ? `#${count}` : ''}` };
  });
}

/** What the user chose so far. */
interface PageWalkQuestion {
  va?: string;
  access?: AccessChoice;
}

/** The Page Walk view: a tree plus the address and the kind of access it is about. */
export class PageWalkView extends AdapterView {
  private readonly question: PageWalkQuestion;

  constructor(stops: StopTracker) {
    const question: PageWalkQuestion = {};
    super(
      'lguest.pageWalk',
      new AdapterTree(stops, {
        request: REQUESTS.viewPageWalk,
        argumentsOf: () => {
          const { va } = question;
          const access = question.access ?? vscode.workspace.getConfiguration('lguest').get<AccessChoice>('pageWalk.access');
          return { ...(va ? { va } : {}), ...(access && access !== 'automatic' ? { access } : {}) };
        },
      }),
      stops,
    );
    this.question = question;
  }

  /** Changes what is asked; an empty `va` and the access `automatic` go back to the adapter's choice. */
  ask(change: PageWalkQuestion): void {
    Object.assign(this.question, change);
    this.view.description = [this.question.va, this.question.access].filter(Boolean).join(', ');
    this.refresh();
  }
}

/** Remembers that the view has been opened once, since the editor starts every view of the debug side bar closed. */
const OPENED = 'trapViewOpened';

/** The cr2 & Trap view. Opens by itself at the first stop after the installation; from then on it is as the user left it. */
export class TrapView extends AdapterView {
  /** @param memory what the extension may remember between sessions of the editor. */
  constructor(stops: StopTracker, memory: vscode.Memento) {
    super('lguest.trap', new AdapterTree(stops, { request: REQUESTS.viewTrap, followed: true }), stops, [
      stops.onDidChange(() => {
        if (!stops.stoppedSession() || memory.get(OPENED)) return;
        void memory.update(OPENED, true);
        void vscode.commands.executeCommand('lguest.trap.focus', { preserveFocus: true });
      }),
    ]);
  }
}

/** The Tasks view: the Guest's tasks as a tree of parents and children. */
export class TasksView extends AdapterView {
  constructor(stops: StopTracker) {
    super(
      'lguest.tasks',
      new AdapterTree(stops, {
        request: REQUESTS.tasks,
        paint: (item, { node }) => {
          if (node.task !== undefined) item.contextValue = 'lguest.task';
        },
      }),
      stops,
    );
  }
}
