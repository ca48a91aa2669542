// Dims the lines of listings whose instructions were never executed. Asked anew at every stop, for the listings that can be seen.
// The adapter knows which lines; this file only paints. The Disassembly view cannot be painted: there the rows say it in words.
import * as vscode from 'vscode';
import { type ExecutedAnswer, REQUESTS } from './protocol';
import type { StopTracker } from './stop-tracker';

const LISTING = 'lguest-listing';

export class NeverExecuted implements vscode.Disposable {
  private readonly dim = vscode.window.createTextEditorDecorationType({ opacity: '0.5', isWholeLine: true });
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly stops: StopTracker) {
    const paint = (): void => {
      for (const editor of vscode.window.visibleTextEditors) void this.paint(editor);
    };
    this.subscriptions = [
      stops.onDidChange(paint),
      vscode.window.onDidChangeVisibleTextEditors(paint),
      vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration('lguest.disassembly') && paint()),
    ];
  }

  private async paint(editor: vscode.TextEditor): Promise<void> {
    const { document } = editor;
    if (document.languageId !== LISTING) return;
    if (vscode.workspace.getConfiguration('lguest').get('disassembly.dimNeverExecuted') === false) {
      editor.setDecorations(this.dim, []);
      return;
    }
    const session = this.stops.stoppedSession();
    if (!session) return;
    try {
      const name = document.uri.path.split('/').pop() ?? '';
      const { never }: ExecutedAnswer = await session.customRequest(REQUESTS.executed, { name });
      editor.setDecorations(
        this.dim,
        never.filter((line) => line <= document.lineCount).map((line) => document.lineAt(line - 1).range),
      );
    } catch {
      editor.setDecorations(this.dim, []); // a listing of another session, or the Guest runs again
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.dim.dispose();
  }
}
