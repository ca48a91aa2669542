// Marks lines of listings: dimmed those whose instructions were never executed, and behind those with breakpoints how often they were met. Asked anew
// at every stop, for the listings that can be seen. The adapter knows which lines; this file only paints. The Disassembly view cannot be painted: there the rows say it in words.
import * as vscode from 'vscode';
import { type ExecutedAnswer, REQUESTS } from './protocol';
import type { StopTracker } from './stop-tracker';

const LISTING = 'lguest-listing';

export class NeverExecuted implements vscode.Disposable {
  private readonly dim = vscode.window.createTextEditorDecorationType({ opacity: '0.5', isWholeLine: true });
  private readonly counted = vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor('editorCodeLens.foreground'), margin: '0 0 0 2em' },
  });
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
    const dims = vscode.workspace.getConfiguration('lguest').get('disassembly.dimNeverExecuted') !== false;
    if (!dims) editor.setDecorations(this.dim, []);
    const session = this.stops.stoppedSession();
    if (!session) return;
    const inside = (line: number): boolean => line >= 1 && line <= document.lineCount;
    const range = (line: number): vscode.Range => document.lineAt(line - 1).range;
    try {
      const name = document.uri.path.split('/').pop() ?? '';
      const { never, hits = [] }: ExecutedAnswer = await session.customRequest(REQUESTS.executed, { name });
      if (dims) editor.setDecorations(this.dim, never.filter(inside).map(range));
      editor.setDecorations(
        this.counted,
        hits
          .filter(({ line }) => inside(line))
          .map(({ line, text }) => ({ range: range(line), renderOptions: { after: { contentText: text } } })),
      );
    } catch {
      // A listing of another session, or the Guest runs again.
      editor.setDecorations(this.dim, []);
      editor.setDecorations(this.counted, []);
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.dim.dispose();
    this.counted.dispose();
  }
}
