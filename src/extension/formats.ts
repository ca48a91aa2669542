// How single values look: a format that the user chose for a name, kept with the workspace and told to each session as it starts.
//
// The adapter formats; this file remembers and asks. Left out: the editor's own switch for hexadecimal numbers, which it sends with its requests.
import * as vscode from 'vscode';
import { DEBUG_TYPE, REQUESTS } from './protocol';

const KEPT = 'formats';
const CHOICES = [
  { label: 'Usual', letter: '' },
  { label: 'Hexadecimal', letter: 'x' },
  { label: 'Decimal', letter: 'd' },
  { label: 'Unsigned', letter: 'u' },
  { label: 'Octal', letter: 'o' },
  { label: 'Binary', letter: 'b' },
  { label: 'Character', letter: 'c' },
  { label: 'Symbol', letter: 'p', description: 'with the name of what lies there' },
  { label: 'Text', letter: 's', description: 'what it points to' },
  { label: 'Floating Point', letter: 'f' },
  { label: 'Bytes', letter: 'Y', description: 'as they lie in memory, and as text' },
];

export class Formats implements vscode.Disposable {
  private readonly subscription: vscode.Disposable;

  /** @param memory what may be remembered for the workspace. */
  constructor(private readonly memory: vscode.Memento) {
    this.subscription = vscode.debug.onDidStartDebugSession((session) => {
      if (session.type === DEBUG_TYPE && Object.keys(this.kept()).length > 0) void this.tell(session, this.kept());
    });
  }
  private kept(): Record<string, string> {
    return this.memory.get<Record<string, string>>(KEPT) ?? {};
  }
  private async tell(session: vscode.DebugSession, formats: Record<string, string>): Promise<void> {
    try {
      await session.customRequest(REQUESTS.formats, { formats });
    } catch (error) {
      void vscode.window.showErrorMessage(`lguest: ${(error as Error).message}`);
    }
  }

  /** Asks for a format of this expression and remembers it. */
  async choose(session: vscode.DebugSession, expression: string): Promise<void> {
    const picked = await vscode.window.showQuickPick(CHOICES, { placeHolder: `How should ${expression} look?` });
    if (!picked) return;
    const { [expression]: _, ...others } = this.kept();
    await this.memory.update(KEPT, picked.letter === '' ? others : { ...others, [expression]: picked.letter });
    await this.tell(session, { [expression]: picked.letter });
  }

  dispose(): void {
    this.subscription.dispose();
  }
}
