// The Registers view: groups of registers with a mark on what changed since the stop before, which the adapter knows. The setting says which groups
// there are; what is pinned comes first and is remembered with the workspace. The same tree shows tasks in the view below; both only ask and paint.
import * as vscode from 'vscode';
import { REQUESTS, type ViewNode } from './protocol';
import type { StopTracker } from './stop-tracker';
import { AdapterTree, type Row } from './views';

const PINNED = 'pinnedRegisters';
const PINNED_GROUP = 'Pinned';

export class RegistersView implements vscode.Disposable {
  private readonly tree: AdapterTree;
  private readonly view: vscode.TreeView<Row>;
  private readonly subscription: vscode.Disposable;

  /** @param memory what may be remembered for the workspace. */
  constructor(
    stops: StopTracker,
    private readonly memory: vscode.Memento,
  ) {
    this.tree = new AdapterTree(
      stops,
      REQUESTS.viewRegisters,
      () => ({ groups: this.groups() }),
      (item, { node, id }) => {
        if (node.evaluateName !== undefined) item.contextValue = id.startsWith(`/${PINNED_GROUP}/`) ? 'lguest.pinned' : 'lguest.register';
        if (!node.changed) return;
        item.label = { label: node.label, highlights: [[0, node.label.length]] };
        item.iconPath = new vscode.ThemeIcon('circle-small-filled', new vscode.ThemeColor('charts.orange'));
        item.accessibilityInformation = { label: `${node.label} ${node.description ?? ''}, changed` };
      },
    );
    this.view = vscode.window.createTreeView('lguest.registers', { treeDataProvider: this.tree, showCollapseAll: true });
    this.subscription = vscode.workspace.onDidChangeConfiguration(
      (change) => change.affectsConfiguration('lguest.registers') && this.tree.refresh(),
    );
  }

  private get pinned(): string[] {
    return this.memory.get<string[]>(PINNED) ?? [];
  }
  private groups(): unknown[] {
    const groups = vscode.workspace.getConfiguration('lguest').get<unknown[]>('registers.groups') ?? [];
    const { pinned } = this;
    const all = groups.length > 0 ? groups : ['General', 'Flags', 'Segments', 'Control'];
    return pinned.length === 0 ? all : [{ name: PINNED_GROUP, registers: pinned }, ...all];
  }

  /** Puts a register or an expression into the first group. */
  async pin(name: string): Promise<void> {
    if (this.pinned.includes(name)) return;
    await this.memory.update(PINNED, [...this.pinned, name]);
    this.tree.refresh();
  }
  async unpin(name: string): Promise<void> {
    await this.memory.update(
      PINNED,
      this.pinned.filter((n) => n !== name),
    );
    this.tree.refresh();
  }

  refresh(): void {
    this.tree.refresh();
  }

  dispose(): void {
    this.subscription.dispose();
    this.view.dispose();
    this.tree.dispose();
  }
}

/** The Tasks view: the Guest's tasks as a tree of parents and children. */
export class TasksView implements vscode.Disposable {
  private readonly tree: AdapterTree;
  private readonly view: vscode.TreeView<Row>;

  constructor(stops: StopTracker) {
    this.tree = new AdapterTree(stops, REQUESTS.tasks);
    this.view = vscode.window.createTreeView('lguest.tasks', { treeDataProvider: this.tree, showCollapseAll: true });
  }

  refresh(): void {
    this.tree.refresh();
  }

  dispose(): void {
    this.view.dispose();
    this.tree.dispose();
  }
}

/** The row that a command of a view's menu is about. */
export const nodeOf = (row: unknown): ViewNode | undefined => (row as { node?: ViewNode } | undefined)?.node;
