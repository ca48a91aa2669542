// Finding a source that lies elsewhere than where the kernel was built: the user shows one file, and all that lie beside it are found from then on.
//
// The mapping goes to the running session and into the workspace's setting `lguest.launch.sourceMap`, from which later sessions start.
import * as vscode from 'vscode';
import { type MissingSource, REQUESTS } from './protocol';
import { mappingOf } from './source-mapping';

/** @param frameId of the frame whose file is wanted. */
export async function locateFile(session: vscode.DebugSession, frameId: number | undefined): Promise<void> {
  const { file, path }: MissingSource = await session.customRequest(REQUESTS.missingSource, { frameId });
  if (path !== undefined) {
    void vscode.window.showInformationMessage(`${file} is found already: ${path}`);
    return;
  }
  const [chosen] = (await vscode.window.showOpenDialog({ canSelectMany: false, title: `Where is ${file}?` })) ?? [];
  if (!chosen) return;
  const mapping = mappingOf(file, chosen.fsPath);
  if (!mapping) {
    void vscode.window.showErrorMessage(`lguest: ${chosen.fsPath} has another name than ${file}; choose the same file where it lies now`);
    return;
  }
  const settings = vscode.workspace.getConfiguration('lguest');
  await settings.update('launch.sourceMap', { ...settings.get<Record<string, string>>('launch.sourceMap'), [mapping.from]: mapping.to });
  await session.customRequest(REQUESTS.mapSource, mapping);
}
