// The Registers view: groups of registers with a mark on what changed since the stop before, which the adapter knows. The setting says which groups
// there are; what is pinned comes first and is remembered with the workspace. It only asks and paints.
import * as vscode from 'vscode';
import { REQUESTS, type ViewNode } from './protocol';
import type { StopTracker } from './stop-tracker';
import { AdapterTree, AdapterView } from './views';

const PINNED = 'pinnedRegisters';
const PINNED_GROUP = 'Pinned';

/** @param memory what may be remembered for the workspace. */
const pinned = (memory: vscode.Memento): string[] => memory.get<string[]>(PINNED) ?? [];
const groups = (memory: vscode.Memento): unknown[] => {
  const chosen = vscode.workspace.getConfiguration('lguest').get<unknown[]>('registers.groups') ?? [];
  const registers = pinned(memory);
  return registers.length === 0 ? chosen : [{ name: PINNED_GROUP, registers }, ...chosen];
};

export class RegistersView extends AdapterView {
  /** @param memory what may be remembered for the workspace. */
  constructor(
    stops: StopTracker,
    private readonly memory: vscode.Memento,
  ) {
    const tree = new AdapterTree(stops, {
      request: REQUESTS.viewRegisters,
      followed: true,
      argumentsOf: () => ({ groups: groups(memory) }),
      paint: (item, { node, id }, open) => {
        // How many have changed is said of a closed group; in an open one it can be seen, and the editor would ask for all its rows again.
        if (node.children !== undefined && open) {
          item.description = '';
          item.tooltip = node.label;
        }
        if (node.evaluateName !== undefined) item.contextValue = id.startsWith(`/${PINNED_GROUP}/`) ? 'lguest.pinned' : 'lguest.register';
        if (!node.changed) return;
        item.label = { label: node.label, highlights: [[0, node.label.length]] };
        item.iconPath = new vscode.ThemeIcon('circle-small-filled', new vscode.ThemeColor('charts.orange'));
        item.accessibilityInformation = { label: `${node.label} ${node.description ?? ''}, changed` };
      },
    });
    super('lguest.registers', tree, stops, [
      vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration('lguest.registers') && tree.askAnew()),
    ]);
  }

  /** Puts a register or an expression into the first group. */
  async pin(name: string): Promise<void> {
    const before = pinned(this.memory);
    if (before.includes(name)) return;
    await this.memory.update(PINNED, [...before, name]);
    this.refresh();
  }
  async unpin(name: string): Promise<void> {
    await this.memory.update(
      PINNED,
      pinned(this.memory).filter((n) => n !== name),
    );
    this.refresh();
  }
}

/** The row that a command of a view's menu is about. */
export const nodeOf = (row: unknown): ViewNode | undefined => (row as { node?: ViewNode } | undefined)?.node;
