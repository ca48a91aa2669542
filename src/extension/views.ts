// The tree views of the Run and Debug side bar. Each shows the rows that the adapter answers to one custom request, and asks again
// after every stop. No view knows what its rows mean; what they say is decided below, in the adapter.
import * as vscode from 'vscode';
import { type AccessChoice, REQUESTS, type ViewAnswer, type ViewNode } from './protocol';
import type { StopTracker } from './stop-tracker';

/** A row with its identity: the path of labels from the root, so that what the user opened stays open over stops. */
export interface Row {
  node: ViewNode;
  id: string;
}

export class AdapterTree implements vscode.TreeDataProvider<Row>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscription: vscode.Disposable;
  readonly onDidChangeTreeData = this.changed.event;

  /** @param request custom request that answers a ViewAnswer; `argumentsOf` gives its arguments anew each time, `paint` adds to an item, `session` is whom to ask. */
  constructor(
    stops: StopTracker,
    private readonly request: string,
    private readonly argumentsOf: () => object = () => ({}),
    private readonly paint: (item: vscode.TreeItem, row: Row) => void = () => {},
    private readonly session: () => vscode.DebugSession | undefined = () => stops.stoppedSession(),
  ) {
    this.subscription = stops.onDidChange(() => this.refresh());
  }

  refresh(): void {
    this.changed.fire();
  }

  getTreeItem(row: Row): vscode.TreeItem {
    const { node, id } = row;
    const { None, Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.children?.length ? (node.expanded ? Expanded : Collapsed) : None);
    item.id = id;
    item.description = node.description ?? '';
    item.tooltip = node.tooltip ?? (node.description ? `${node.label} ${node.description}` : node.label);
    item.contextValue = 'lguest.row';
    this.paint(item, row);
    return item;
  }

  async getChildren(parent?: Row): Promise<Row[]> {
    if (parent) return rows(parent.node.children ?? [], parent.id);
    const session = this.session();
    if (!session) return []; // the view's welcome text says what to do
    try {
      const answer: ViewAnswer = await session.customRequest(this.request, this.argumentsOf());
      return rows(answer.nodes, '');
    } catch (error) {
      return rows([{ label: 'Not available', description: (error as Error).message }], '');
    }
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
  }
}

/** A view of the side bar with such a tree. */
export abstract class AdapterView implements vscode.Disposable {
  protected readonly view: vscode.TreeView<Row>;

  /** @param others what goes with the view. */
  constructor(
    id: string,
    protected readonly tree: AdapterTree,
    private readonly others: vscode.Disposable[] = [],
  ) {
    this.view = vscode.window.createTreeView(id, { treeDataProvider: tree, showCollapseAll: true });
  }

  refresh(): void {
    this.tree.refresh();
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
      new AdapterTree(stops, REQUESTS.viewPageWalk, () => {
        const { va } = question;
        const access = question.access ?? vscode.workspace.getConfiguration('lguest').get<AccessChoice>('pageWalk.access');
        return { ...(va ? { va } : {}), ...(access && access !== 'automatic' ? { access } : {}) };
      }),
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
    super('lguest.trap', new AdapterTree(stops, REQUESTS.viewTrap), [
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
      new AdapterTree(
        stops,
        REQUESTS.tasks,
        () => ({}),
        (item, { node }) => {
          if (node.task !== undefined) item.contextValue = 'lguest.task';
        },
      ),
    );
  }
}
