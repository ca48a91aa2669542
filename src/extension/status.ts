// The status bar: where the Guest is (in instructions), how fast it runs, and which virtual interrupts wait because the user is stepping.
// While the Guest runs the adapter sends numbers by itself; at a stop they are asked for. Hidden without a session of ours.
import * as vscode from 'vscode';
import { DEBUG_TYPE, type InfoAnswer, LIVE_EVENT, type LiveNumbers, REQUESTS } from './protocol';
import type { StopTracker } from './stop-tracker';

const grouped = (position: string): string => position.replace(/\B(?=(\d{3})+(?!\d))(?=\d*(?:\.|$))/g, ',');

/** Text for a running Guest. */
export const liveText = ({ position, mips, trapsPerSecond }: LiveNumbers): string =>
  `$(pulse) ${grouped(position.split('.')[0] ?? '')}  ${mips.toFixed(mips < 10 ? 1 : 0)} MIPS  ${trapsPerSecond} traps/s`;
/** Text for a Guest that stands still. */
export const stopText = ({ position, held }: InfoAnswer): string =>
  `$(debug-pause) ${grouped(position.split('.')[0] ?? '')}${held.length === 0 ? '' : `  $(bell-slash) irq ${held.join(', ')} held`}`;

export class Status implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('lguest.position', vscode.StatusBarAlignment.Left, 10);
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly stops: StopTracker) {
    this.item.name = 'lguest position';
    this.subscriptions = [
      stops.onDidChange(() => void this.update()),
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
        if (session !== vscode.debug.activeDebugSession || event !== LIVE_EVENT || stops.stoppedSession()) return;
        const numbers = body as LiveNumbers;
        this.show(
          liveText(numbers),
          `Position ${numbers.position}, ${(numbers.ns / 1e9).toFixed(3)} s of Guest time, ${numbers.traps} traps so far`,
        );
      }),
    ];
  }

  private show(text: string, tooltip: string): void {
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.show();
  }

  private async update(): Promise<void> {
    if (vscode.debug.activeDebugSession?.type !== DEBUG_TYPE) {
      this.item.hide();
      return;
    }
    const session = this.stops.stoppedSession();
    if (!session) return;
    try {
      const info: InfoAnswer = this.stops.told(session)?.info ?? (await session.customRequest(REQUESTS.info, {}));
      const held = info.held.length === 0 ? '' : '; the interrupts held back while stepping are delivered once the Guest continues';
      this.show(
        stopText(info),
        `Position ${info.position}, ${(info.ns / 1e9).toFixed(3)} s of Guest time, ${info.traps} traps so far${held}`,
      );
    } catch {
      // The Guest runs again: its numbers come by themselves.
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.item.dispose();
  }
}
