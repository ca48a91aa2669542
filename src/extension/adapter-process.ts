// Starts the debug adapter as a process of its own, so that a busy Guest never holds up the editor's extension host.
// The program is the editor's own Node (Electron made to behave as one), so nothing has to be installed.
import { existsSync } from 'node:fs';
import * as vscode from 'vscode';

export class AdapterProcess implements vscode.DebugAdapterDescriptorFactory {
  /** @param script absolute path of the bundled adapter, which speaks DAP on stdin and stdout. */
  constructor(private readonly script: string) {}

  createDebugAdapterDescriptor(session: vscode.DebugSession): vscode.DebugAdapterDescriptor {
    if (!existsSync(this.script))
      throw new Error(`${this.script} is missing; reinstall the extension, or run "npm run build" in a checkout.`);
    // The editor asks for the filters before it launches, so the choice among them goes with the command.
    const filters = session.configuration['exceptionFilters'] === 'perVector' ? ['--exception-filters', 'perVector'] : [];
    return new vscode.DebugAdapterExecutable(process.execPath, [this.script, ...filters], { env: { ELECTRON_RUN_AS_NODE: '1' } });
  }
}
