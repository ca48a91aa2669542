// Finding a source that lies elsewhere than where the kernel was built: the user shows one file, and all that lie beside it are found from then on.
//
// The mapping goes to the running session and into the workspace's setting `lguest.launch.sourceMap`, from which later sessions start.
import * as vscode from 'vscode';
import { type MissingSource, REQUESTS } from './protocol';

/** What two paths of one file differ in: the longest common end is left out. Undefined when not even the names agree. */
export function mappingOf(built: string, found: string): { from: string; to: string } | undefined {
  const a = built.split(/[\\/]/);
  const b = found.split(/[\\/]/);
  let common = 0;
  while (common < a.length && common < b.length && a[a.length - 1 - common] === b[b.length - 1 - common]) common++;
  if (common === 0) return undefined;
  // A path that is wholly the end of the other begins at its folder.
  const keep = Math.min(common, a.length - 1, b.length - 1);
  return { from: a.slice(0, a.length - keep).join('/'), to: b.slice(0, b.length - keep).join('/') };
}

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
