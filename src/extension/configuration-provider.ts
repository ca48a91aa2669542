// Answers the editor's questions about launch configurations: what to offer when there is no launch.json, and what is missing in one.
// The rules are in launch-configuration.ts; this file only asks the editor for settings, files and the user's choice.
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import * as vscode from 'vscode';
import { HEAD_BYTES, KERNEL_GLOB, kernelKind } from './kernel-images';
import {
  completeConfiguration,
  configurationProblem,
  demoConfiguration,
  isEmpty,
  kernelConfiguration,
  type LaunchConfiguration,
} from './launch-configuration';
import { DEBUG_TYPE } from './protocol';

/** First bytes of a file; an empty array when it cannot be read. */
function head(path: string): Uint8Array {
  try {
    const bytes = new Uint8Array(HEAD_BYTES);
    const file = openSync(path, 'r');
    try {
      return bytes.subarray(0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return new Uint8Array();
  }
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  /** @param demoImage absolute path of the bundled demo Guest. */
  constructor(private readonly demoImage: string) {}

  demo(): LaunchConfiguration {
    return demoConfiguration(this.demoImage);
  }

  /** Kernel images of the workspace (or of one folder), nearest to the root first. */
  async kernels(folder?: vscode.WorkspaceFolder): Promise<LaunchConfiguration[]> {
    const settings = vscode.workspace.getConfiguration('lguest', folder);
    const include = settings.get<string>('kernels.include') || KERNEL_GLOB;
    const limit = settings.get<number>('kernels.limit') ?? 50;
    const pattern = folder ? new vscode.RelativePattern(folder, include) : include;
    const found = await vscode.workspace.findFiles(pattern, '**/node_modules/**', limit * 4);
    const depth = (uri: vscode.Uri): number => uri.path.split('/').length;
    return found
      .filter((uri) => uri.scheme === 'file' && uri.fsPath !== this.demoImage && kernelKind(head(uri.fsPath)) !== undefined)
      .sort((a, b) => depth(a) - depth(b) || a.path.localeCompare(b.path))
      .slice(0, limit)
      .map((uri) => kernelConfiguration(uri.fsPath, vscode.workspace.asRelativePath(uri)));
  }

  async provideDebugConfigurations(folder: vscode.WorkspaceFolder | undefined): Promise<vscode.DebugConfiguration[]> {
    return [this.demo(), ...(await this.kernels(folder))];
  }

  async resolveDebugConfiguration(
    folder: vscode.WorkspaceFolder | undefined,
    config: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    const chosen = isEmpty(config) ? await this.choose(folder) : config;
    if (!chosen) return undefined;
    const settings = vscode.workspace.getConfiguration('lguest', folder);
    return completeConfiguration(chosen, this.demoImage, (name) => settings.get(name));
  }

  async resolveDebugConfigurationWithSubstitutedVariables(
    folder: vscode.WorkspaceFolder | undefined,
    config: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined | null> {
    const problem = configurationProblem(config, existsSync);
    if (problem === undefined) return config;
    const open = folder ? ['Open launch.json'] : [];
    const answer = await vscode.window.showErrorMessage(`lguest: ${problem}`, ...open);
    return answer === undefined ? undefined : null; // null: the editor opens launch.json
  }

  /** F5 without a launch.json: the demo at once when there is nothing else, otherwise the user's choice. */
  async choose(folder?: vscode.WorkspaceFolder): Promise<LaunchConfiguration | undefined> {
    const kernels = await this.kernels(folder);
    if (kernels.length === 0) return this.demo();
    const items = [this.demo(), ...kernels].map((config) => ({
      label: config.name.replace(/^lguest: /, ''),
      description: config['program'] === this.demoImage ? 'bundled' : '',
      config,
    }));
    const picked = await vscode.window.showQuickPick(items, { placeHolder: 'Which Guest kernel shall be booted?' });
    return picked?.config;
  }
}

/** Registers the provider for the Run view's list, for F5 and for "Create a launch.json". */
export function registerConfigurationProvider(provider: ConfigurationProvider): vscode.Disposable {
  const { Initial, Dynamic } = vscode.DebugConfigurationProviderTriggerKind;
  return vscode.Disposable.from(
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, provider, Initial),
    vscode.debug.registerDebugConfigurationProvider(
      DEBUG_TYPE,
      { provideDebugConfigurations: (folder) => provider.provideDebugConfigurations(folder) },
      Dynamic,
    ),
  );
}
