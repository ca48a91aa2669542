// Makes an exception show on busy machines too. The editor shows one beside the frame that it focused, as long as that is the topmost of its stack. When its Call Stack view asks
// for the frames before those that it asked for first have come, the second answer takes the place of the first, the focused frame is none of the stack any more,
// and nothing is shown. Then the topmost frame is focused once more, which is what a user would do by a click.
import * as vscode from 'vscode';
import { DEBUG_TYPE, type Message } from './protocol';

/** How long the editor is given to ask for the exception by itself. */
const PATIENCE_MS = 600;

export class ExceptionFrame implements vscode.Disposable {
  private timer: NodeJS.Timeout | undefined;
  private readonly subscription = vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
    createDebugAdapterTracker: (session) => {
      /** At a stop by an exception that the editor has not asked about: how often it asked for the frames from the top on. */
      let asked: number | undefined;
      return {
        onWillReceiveMessage: ({ type, command, arguments: args }: Message) => {
          if (type !== 'request') return;
          if (command === 'stackTrace') {
            if (asked !== undefined && !args?.startFrame && ++asked === 2) this.focusSoon(session, () => asked !== undefined);
          } else if (command === 'exceptionInfo' || command === 'continue' || command === 'next' || command?.startsWith('step'))
            asked = undefined;
        },
        onDidSendMessage: ({ type, event, body }: Message) => {
          if (type !== 'event' || event !== 'stopped') return;
          clearTimeout(this.timer); // an older stop's
          asked = (body as { reason?: string } | undefined)?.reason === 'exception' ? 0 : undefined;
        },
        onExit: () => {
          asked = undefined;
        },
      };
    },
  });

  private focusSoon(session: vscode.DebugSession, wanted: () => boolean): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (wanted() && vscode.debug.activeDebugSession === session)
        void vscode.commands.executeCommand('workbench.action.debug.callStackTop');
    }, PATIENCE_MS);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscription.dispose();
  }
}
