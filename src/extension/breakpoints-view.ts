// The Breakpoints+ view: every breakpoint, watch and filter with how often it was met, live while the Guest runs; and places that the editor's own list
// cannot hold, such as an address or a watch that only logs. The adapter keeps them all; this file asks and paints.
import * as vscode from 'vscode';
import { DEBUG_TYPE, LIVE_EVENT, REQUESTS } from './protocol';
import type { StopTracker } from './stop-tracker';
import { AdapterTree, AdapterView } from './views';

/** The active session, when it is ours, whether its Guest runs or not. */
const anySession = (): vscode.DebugSession | undefined => {
  const session = vscode.debug.activeDebugSession;
  return session?.type === DEBUG_TYPE ? session : undefined;
};

export class BreakpointsView extends AdapterView {
  constructor(stops: StopTracker) {
    const tree = new AdapterTree(stops, {
      request: REQUESTS.viewBreakpoints,
      paint: (item, { node }) => {
        if (node.kind !== undefined) item.contextValue = `lguest.${node.kind}${node.own ? '.own' : ''}`;
      },
      session: anySession,
    });
    super('lguest.breakpoints', tree, stops, [
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ event }) => event === LIVE_EVENT && tree.refresh()),
      vscode.debug.onDidChangeBreakpoints(() => tree.refresh()),
    ]);
  }
}
