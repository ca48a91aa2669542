// The commands of the palette and the context menus. Each finds the session it is about, asks the adapter one thing and shows the answer;
// without a session it says so. Titles, icons and menus are in package.json.
import * as vscode from 'vscode';
import type { BreakpointsView } from './breakpoints-view';
import type { ConfigurationProvider } from './configuration-provider';
import type { Formats } from './formats';
import type { GuestTerminals } from './guest-terminal';
import { kernelConfiguration } from './launch-configuration';
import { ACCESS_CHOICES, type AccessChoice, DEBUG_TYPE, REQUESTS, type WhyAnswer } from './protocol';
import { locateFile } from './locate-file';
import { type MemoryView, SPACES } from './memory-view';
import { nodeOf, type RegistersView } from './registers-view';
import type { StopTracker } from './stop-tracker';
import { onlyInThisTask } from './task-breakpoints';
import type { TextPages } from './text-pages';
import type { PageWalkView, TasksView, TrapView } from './views';

/** What the commands work with; made once in main.ts. */
export interface CommandParts {
  provider: ConfigurationProvider;
  terminals: GuestTerminals;
  stops: StopTracker;
  pages: TextPages;
  formats: Formats;
  views: {
    registersView: RegistersView;
    trapView: TrapView;
    pageWalkView: PageWalkView;
    tasksView: TasksView;
    breakpointsView: BreakpointsView;
    memoryView: MemoryView;
  };
}

/** What the editor hands to a command started from a Variables or Watch row. */
interface VariableContext {
  variable?: { name?: string; value?: string; evaluateName?: string; memoryReference?: string };
}

/** Our running session, or a message and undefined. */
async function runningSession(): Promise<vscode.DebugSession | undefined> {
  const session = vscode.debug.activeDebugSession;
  if (session?.type === DEBUG_TYPE) return session;
  const start = 'Debug the Demo Guest';
  const answer = await vscode.window.showInformationMessage('No lguest Guest is being debugged. Start one first (F5).', start);
  if (answer === start) await vscode.commands.executeCommand('lguest.debugDemo');
  return undefined;
}

/** Asks the adapter; an error becomes a message instead of a stack trace in a log. */
async function ask<Answer>(session: vscode.DebugSession, request: string, args: object): Promise<Answer | undefined> {
  try {
    return await session.customRequest(request, args);
  } catch (error) {
    void vscode.window.showErrorMessage(`lguest: ${(error as Error).message}`);
    return undefined;
  }
}

async function explainTrap({ stops, pages }: CommandParts): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  if (!stops.stoppedSession()) {
    void vscode.window.showInformationMessage('The Guest is running. Pause it, or let it stop at a trap, then ask again.');
    return;
  }
  const answer = await ask<WhyAnswer>(session, REQUESTS.why, {});
  if (answer) await pages.show('Why', answer.text);
}

async function sendText(given: unknown): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  const text =
    typeof given === 'string'
      ? given
      : await vscode.window.showInputBox({
          prompt: "Text to type on the Guest's console; Enter is added at the end.",
          placeHolder: 'help',
        });
  if (text !== undefined) await ask(session, REQUESTS.console, { text: `${text}\n` });
}

async function showConsole({ terminals }: CommandParts): Promise<void> {
  const session = await runningSession();
  if (!session || terminals.show(session)) return;
  await vscode.commands.executeCommand('workbench.debug.action.focusRepl');
}

/** The address of a Variables or Watch row: its memory, else its value when that is an address. */
function addressOf({ variable }: VariableContext): string | undefined {
  if (variable?.memoryReference) return variable.memoryReference;
  return /^0x[0-9a-f]{1,8}\b/i.exec(variable?.value ?? '')?.[0] ?? variable?.evaluateName;
}

async function walkAddress({ views: { pageWalkView } }: CommandParts, context: unknown): Promise<void> {
  if (!(await runningSession())) return;
  const fromRow = context && typeof context === 'object' ? addressOf(context as VariableContext) : undefined;
  const va =
    fromRow ??
    (await vscode.window.showInputBox({
      prompt: 'Address to walk: a number or an expression. Empty: cr2 after a page fault, else eip.',
      placeHolder: '0xc0101000, $esp, &current_task',
    }));
  if (va === undefined) return;
  pageWalkView.ask({ va });
  await vscode.commands.executeCommand('lguest.pageWalk.focus');
}

async function walkAccess({ views: { pageWalkView } }: CommandParts): Promise<void> {
  if (!(await runningSession())) return;
  const access = (await vscode.window.showQuickPick([...ACCESS_CHOICES], { placeHolder: 'Would this access be allowed?' })) as
    | AccessChoice
    | undefined;
  if (access) pageWalkView.ask({ access });
}

/** From a row: its own memory. From the palette: a space, then a place in it. */
async function memoryAt({ views: { memoryView } }: CommandParts, context: unknown): Promise<void> {
  if (!(await runningSession())) return;
  const node = nodeOf(context);
  const fromRow = context && typeof context === 'object' ? (node?.reference ?? addressOf(context as VariableContext)) : undefined;
  let place = fromRow;
  if (place === undefined) {
    const space = await vscode.window.showQuickPick(SPACES, { placeHolder: 'Which memory?' });
    if (!space) return;
    place = await vscode.window.showInputBox({
      prompt: 'Where: an address or an expression, which is followed from stop to stop. Empty: the stack pointer.',
      placeHolder: '$esp, &jiffies, current->mm',
      value: space.prefix,
    });
  }
  if (place === undefined) return;
  memoryView.ask({ memoryReference: place, ...(node?.as === undefined ? {} : { as: node.as }) });
  await vscode.commands.executeCommand('lguest.memory.focus');
}

async function memoryAs({ views: { memoryView } }: CommandParts): Promise<void> {
  if (!(await runningSession())) return;
  const as = await vscode.window.showInputBox({
    prompt: 'Type to lay over the bytes of the Memory view. Empty: none.',
    placeHolder: 'struct task_struct, struct pt_regs, pte_t[16]',
  });
  if (as !== undefined) memoryView.ask({ as });
}

async function setBytes({ views: { memoryView } }: CommandParts, row: unknown): Promise<void> {
  const node = nodeOf(row);
  const session = await runningSession();
  if (!session || node?.reference === undefined) return;
  const text = await vscode.window.showInputBox({
    prompt: `Bytes to write from ${node.reference} on, in hexadecimal.`,
    placeHolder: 'de ad be ef',
  });
  if (!text) return;
  if (!/^\s*([0-9a-f]{2}\s*)+$/i.test(text)) {
    void vscode.window.showErrorMessage(
      `lguest: "${text}" is no list of bytes: write two hexadecimal digits for each, such as de ad be ef`,
    );
    return;
  }
  const bytes = Buffer.from(text.replace(/\s+/g, ''), 'hex');
  await ask(session, 'writeMemory', { memoryReference: node.reference, data: bytes.toString('base64') });
  memoryView.refresh();
}

/** A row of Variables or Watch, or of the Registers view. */
async function formatValue({ formats, views: { registersView } }: CommandParts, row: unknown): Promise<void> {
  const name = (row as VariableContext | undefined)?.variable?.evaluateName ?? nodeOf(row)?.evaluateName;
  const session = await runningSession();
  if (!session) return;
  if (!name) void vscode.window.showInformationMessage('This row has no expression whose format could be kept.');
  else await formats.choose(session, name);
  registersView.refresh();
}

async function locate(context: unknown): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  const fromRow = (context as { frameId?: unknown } | undefined)?.frameId;
  const active = vscode.debug.activeStackItem;
  const frameId = typeof fromRow === 'number' ? fromRow : active && 'frameId' in active ? active.frameId : undefined;
  try {
    await locateFile(session, frameId);
  } catch (error) {
    void vscode.window.showErrorMessage(`lguest: ${(error as Error).message}`);
  }
}

async function hostFrames(): Promise<void> {
  const session = await runningSession();
  if (session) await ask(session, REQUESTS.hostFrames, {});
}

/** Everything about one task, as a page. */
async function taskDetails({ pages }: CommandParts, row: unknown): Promise<void> {
  const pid = nodeOf(row)?.task;
  const session = await runningSession();
  if (!session || pid === undefined) return;
  const answer = await ask<{ result: string }>(session, 'evaluate', { expression: `tasks ${pid}`, context: 'repl' });
  if (answer) await pages.show(`Task ${pid}`, answer.result);
}

/** The scope `Globals (pinned)` shows the row's expression at every stop. */
async function pinGlobal(context: unknown): Promise<void> {
  const session = await runningSession();
  const name = (context as VariableContext | undefined)?.variable?.evaluateName;
  if (!session) return;
  if (!name) void vscode.window.showInformationMessage('This row has no expression that could be pinned.');
  else await ask(session, 'evaluate', { expression: `pin ${name}`, context: 'repl' });
}

async function debugKernel({ provider }: CommandParts, given: unknown): Promise<void> {
  const config =
    given instanceof vscode.Uri ? kernelConfiguration(given.fsPath, vscode.workspace.asRelativePath(given)) : await provider.choose();
  if (config) await vscode.debug.startDebugging(undefined, config);
}

async function pickKernel({ provider }: CommandParts): Promise<string | undefined> {
  const kernels = await provider.kernels();
  const items = kernels.map((kernel) => ({
    label: vscode.workspace.asRelativePath(String(kernel['program'])),
    path: String(kernel['program']),
  }));
  const browse = { label: 'Browse…', path: '' };
  const picked = await vscode.window.showQuickPick([...items, browse], { placeHolder: 'Guest kernel (vmlinux, bzImage)' });
  if (picked !== browse) return picked?.path;
  const files = await vscode.window.showOpenDialog({ canSelectMany: false, title: 'Guest kernel' });
  return files?.[0]?.fsPath;
}

async function pinRegister({ views: { registersView } }: CommandParts, row: unknown): Promise<void> {
  const name =
    nodeOf(row)?.label ??
    (await vscode.window.showInputBox({
      prompt: 'Register or expression to keep in the first group of the Registers view.',
      placeHolder: 'esi, cr2.guest, jiffies',
    }));
  if (name) await registersView.pin(name);
}

async function setRegister({ views: { registersView } }: CommandParts, row: unknown): Promise<void> {
  const node = nodeOf(row);
  const session = await runningSession();
  if (!session || node?.evaluateName === undefined) return;
  const value = await vscode.window.showInputBox({
    prompt: `New value of ${node.label}: a number or an expression.`,
    value: (node.description ?? '').split(' ')[0] ?? '',
  });
  if (value === undefined) return;
  await ask(session, 'evaluate', { expression: `${node.evaluateName} = ${value}`, context: 'repl' });
  registersView.refresh();
}

async function limitToTask(given: unknown): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  try {
    await onlyInThisTask(session, given);
  } catch (error) {
    void vscode.window.showErrorMessage(`lguest: ${(error as Error).message}`);
  }
}

/** An address that lies in the clipboard, as *Copy Address* of the Disassembly view puts it there. */
async function copiedAddress(): Promise<string> {
  const text = (await vscode.env.clipboard.readText()).trim();
  return /^0x[0-9a-f]{1,8}$/i.test(text) ? text : '';
}

async function breakAtAddress({ views: { breakpointsView } }: CommandParts): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  const place = await vscode.window.showInputBox({
    prompt:
      'Where to stop: an address (0x…, p:0x… guest-physical, v@0xCR3:0x…), a function, file.c:LINE or #INSTRUCTIONS; then "if CONDITION" or "-> LOG TEXT".',
    placeHolder: '0xc0101234 if $eax == 0',
    value: await copiedAddress(),
  });
  if (!place) return;
  await ask(session, REQUESTS.addBreakpoint, { place });
  breakpointsView.refresh();
}

async function watchExpression({ views: { breakpointsView } }: CommandParts, context: unknown): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  const place = await vscode.window.showInputBox({
    prompt:
      'What to watch for writes: a variable, an address, $register, eflags.IF, cr3, pte(0x…); then "if CONDITION", "| log" or "| count".',
    placeHolder: 'jiffies if new > 100',
    value: (context as VariableContext | undefined)?.variable?.evaluateName ?? '',
  });
  if (!place) return;
  await ask(session, REQUESTS.addBreakpoint, { what: 'watch', place });
  breakpointsView.refresh();
}

async function removeBreakpoint({ views: { breakpointsView } }: CommandParts, row: unknown): Promise<void> {
  const id = nodeOf(row)?.breakpoint;
  const session = await runningSession();
  if (!session || id === undefined) return;
  await ask(session, REQUESTS.removeBreakpoint, { id });
  breakpointsView.refresh();
}

const WATCH_MODES = [
  { label: 'Stop', mode: 'stop' },
  { label: 'Log', mode: 'log', description: 'a row of the watch log for each access' },
  { label: 'Count', mode: 'count', description: 'only count' },
];
async function watchMode({ views: { breakpointsView } }: CommandParts, row: unknown): Promise<void> {
  const id = nodeOf(row)?.breakpoint;
  const session = await runningSession();
  if (!session || id === undefined) return;
  const picked = await vscode.window.showQuickPick(WATCH_MODES, { placeHolder: 'What shall the watch do?' });
  if (!picked) return;
  await ask(session, REQUESTS.watchMode, { id, mode: picked.mode });
  breakpointsView.refresh();
}

/** Also for the Disassembly view, which has no menu for extensions: its *Copy Address* is where this begins. */
async function jumpTo({ stops }: CommandParts): Promise<void> {
  const session = await runningSession();
  if (!session) return;
  if (!stops.stoppedSession()) {
    void vscode.window.showInformationMessage('The Guest is running. Pause it, then jump.');
    return;
  }
  const place = await vscode.window.showInputBox({
    prompt: 'Where to go on, without running anything: an address or file.c:LINE of the function at hand.',
    placeHolder: '0xc0101234',
    value: await copiedAddress(),
  });
  if (place) await ask(session, 'evaluate', { expression: `jump ${place}`, context: 'repl' });
}

async function copyRow(row: unknown): Promise<void> {
  const node = nodeOf(row);
  if (node) await vscode.env.clipboard.writeText([node.label, node.description].filter(Boolean).join(' '));
}

/** Registers every command that package.json contributes. */
export function registerCommands(parts: CommandParts): vscode.Disposable {
  const commands: Record<string, (argument?: unknown) => unknown> = {
    'lguest.debugDemo': () => vscode.debug.startDebugging(undefined, parts.provider.demo()),
    'lguest.debugKernel': (uri) => debugKernel(parts, uri),
    'lguest.pickKernel': () => pickKernel(parts),
    'lguest.explainTrap': () => explainTrap(parts),
    'lguest.sendText': sendText,
    'lguest.showConsole': () => showConsole(parts),
    'lguest.walkAddress': (context) => walkAddress(parts, context),
    'lguest.walkAccess': () => walkAccess(parts),
    'lguest.refreshViews': () => {
      for (const view of Object.values(parts.views)) view.refresh();
    },
    'lguest.memoryAt': (context) => memoryAt(parts, context),
    'lguest.memoryAs': () => memoryAs(parts),
    'lguest.setBytes': (row) => setBytes(parts, row),
    'lguest.pinGlobal': pinGlobal,
    'lguest.taskDetails': (row) => taskDetails(parts, row),
    'lguest.locateFile': locate,
    'lguest.hostFrames': hostFrames,
    'lguest.formatValue': (row) => formatValue(parts, row),
    'lguest.pinRegister': (row) => pinRegister(parts, row),
    'lguest.unpinRegister': (row) => parts.views.registersView.unpin(nodeOf(row)?.label ?? ''),
    'lguest.setRegister': (row) => setRegister(parts, row),
    'lguest.onlyInThisTask': limitToTask,
    'lguest.breakAtAddress': () => breakAtAddress(parts),
    'lguest.watchExpression': (context) => watchExpression(parts, context),
    'lguest.removeBreakpoint': (row) => removeBreakpoint(parts, row),
    'lguest.watchMode': (row) => watchMode(parts, row),
    'lguest.jumpTo': () => jumpTo(parts),
    'lguest.copyRow': copyRow,
  };
  return vscode.Disposable.from(...Object.entries(commands).map(([id, run]) => vscode.commands.registerCommand(id, run)));
}
