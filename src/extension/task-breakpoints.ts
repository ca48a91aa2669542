// "Only in This Task": limits the breakpoint of a line to one task of the Guest by its condition, from the menu of the line's number.
// The condition is the debugger's own (`pid == 7`), so it can be seen and changed where every condition is. Left out: conditions themselves.
import * as vscode from 'vscode';
import { REQUESTS, type TasksAnswer } from './protocol';

/** What the editor hands over from the menu of a line number: lines from 1. */
interface LineContext {
  lineNumber?: number;
  uri?: vscode.Uri;
}

/** A condition with the task added; one for another task is replaced. */
export const taskCondition = (before: string | undefined, pid: number): string => {
  const rest = before
    ?.replace(/^\((.*)\) && pid == -?\d+$/s, '$1')
    .replace(/^pid == -?\d+$/, '')
    .trim();
  return rest ? `(${rest}) && pid == ${pid}` : `pid == ${pid}`;
};

/** Asks for a task (the current one first) and limits the line's breakpoint to it; makes the breakpoint when there is none. */
export async function onlyInThisTask(session: vscode.DebugSession, given: unknown): Promise<void> {
  const context = (given ?? {}) as LineContext;
  const editor = vscode.window.activeTextEditor;
  const uri = context.uri ?? editor?.document.uri;
  const line = context.lineNumber !== undefined ? context.lineNumber - 1 : editor?.selection.active.line;
  if (!uri || line === undefined) return;
  const { tasks }: TasksAnswer = await session.customRequest(REQUESTS.tasks, {});
  if (tasks.length === 0) {
    void vscode.window.showInformationMessage('The Guest has no tasks that are known: that takes a Linux kernel with debug information.');
    return;
  }
  const items = [...tasks]
    .sort((a, b) => Number(b.current) - Number(a.current))
    .map((t) => ({ label: `pid ${t.pid} ${t.comm}`, description: t.current ? 'on the processor' : '', pid: t.pid }));
  const picked = await vscode.window.showQuickPick(items, { placeHolder: 'Stop only in which task?' });
  if (!picked) return;
  const old = vscode.debug.breakpoints.find(
    (b): b is vscode.SourceBreakpoint =>
      b instanceof vscode.SourceBreakpoint && b.location.uri.toString() === uri.toString() && b.location.range.start.line === line,
  );
  const location = old?.location ?? new vscode.Location(uri, new vscode.Position(line, 0));
  const made = new vscode.SourceBreakpoint(location, true, taskCondition(old?.condition, picked.pid), old?.hitCondition, old?.logMessage);
  if (old) vscode.debug.removeBreakpoints([old]);
  vscode.debug.addBreakpoints([made]);
}
