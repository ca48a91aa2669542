// Turns what a launch.json says (or leaves out) into the complete configuration the adapter gets, and checks its paths.
// Apart from the provider and free of the editor's API, so that every rule can be tested as a plain function.
// Leaves to the adapter: everything that needs the image's content, and unknown attributes.
import { DEBUG_TYPE } from './protocol';

/** A launch.json entry: any attribute, most of them optional. */
export interface LaunchConfiguration {
  type: string;
  request: string;
  name: string;
  [attribute: string]: unknown;
}

/** Attributes whose default is the setting `lguest.launch.<attribute>`. */
export const LAUNCH_SETTINGS = [
  'memory',
  'cmdline',
  'stopOnEntry',
  'console',
  'exceptionFilters',
  'threads',
  'network',
  'jit',
  'sysroot',
  'sourceMap',
] as const;

/** Other tools' words for our attributes, accepted so that an entry can be carried over. */
const ALIASES: Readonly<Record<string, string>> = { args: 'cmdline', sourceFileMap: 'sourceMap', kernel: 'program', bootargs: 'cmdline' };

/** Reads one setting below `lguest.`; undefined when it has no value. */
export type ReadSetting = (name: string) => unknown;

const blank = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0);

/** The demo Guest as a configuration. `program` is the absolute path of the bundled image. */
export function demoConfiguration(program: string): LaunchConfiguration {
  return { type: DEBUG_TYPE, request: 'launch', name: 'lguest: demo Guest', program, runToEntryPoint: 'start_kernel' };
}

/** A kernel image found in the workspace, as a configuration. `shown` is the path as a person would say it. */
export function kernelConfiguration(program: string, shown: string): LaunchConfiguration {
  return { type: DEBUG_TYPE, request: 'launch', name: `lguest: ${shown}`, program };
}

/** True for the empty object that F5 without a launch.json hands to the provider. */
export const isEmpty = (config: Partial<LaunchConfiguration>): boolean => !config.type && !config.request && !config.name;

/**
 * Fills what is left out: type, request, name, aliases, then each setting's value.
 * @param program image to use when the entry names none.
 * @returns a new object; values the entry gives always win.
 */
export function completeConfiguration(config: Partial<LaunchConfiguration>, program: string, setting: ReadSetting): LaunchConfiguration {
  const full: LaunchConfiguration = {
    ...config,
    type: config.type || DEBUG_TYPE,
    request: config.request || 'launch',
    name: config.name || 'lguest Guest',
  };
  for (const [alias, attribute] of Object.entries(ALIASES)) {
    if (full[alias] === undefined) continue;
    const value = full[alias];
    if (full[attribute] === undefined) full[attribute] = Array.isArray(value) ? value.join(' ') : value;
    delete full[alias];
  }
  if (blank(full['program'])) full['program'] = program;
  for (const attribute of LAUNCH_SETTINGS) {
    const value = setting(`launch.${attribute}`);
    if (full[attribute] === undefined && !blank(value)) full[attribute] = value;
  }
  if (full['stepVirq'] === undefined) full['stepVirq'] = setting('step.virq') ?? 'hold';
  if (full['exceptionsStopAt'] === undefined) full['exceptionsStopAt'] = setting('exceptions.stopAt') ?? 'beforeDelivery';
  if (full['trapFrames'] === undefined) full['trapFrames'] = setting('frames.trap') ?? 'label';
  if (full['hostFrames'] === undefined) full['hostFrames'] = setting('frames.host') ?? 'off';
  if (full['disassemblySyntax'] === undefined) full['disassemblySyntax'] = setting('disassembly.syntax') ?? 'att';
  return full;
}

/** Attributes that name files which must exist, with every path they hold. */
function pathsOf(config: LaunchConfiguration): [attribute: string, path: unknown][] {
  const list = (attribute: string): [string, unknown][] => {
    const value = config[attribute];
    return (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((entry) => [
      attribute,
      typeof entry === 'object' && entry !== null && 'file' in entry ? entry.file : entry,
    ]);
  };
  return ['program', 'initrd', 'symbolFiles', 'blockDevices', 'module', 'sysroot', 'modulePaths'].flatMap(list);
}

/**
 * The first thing wrong with a configuration whose variables have been substituted, as one sentence that names the fix; undefined when fine.
 * @param exists tells whether an absolute path is there.
 */
export function configurationProblem(config: LaunchConfiguration, exists: (path: string) => boolean): string | undefined {
  if (config.request !== 'launch') return `"request": "${config.request}" is not known; use "launch".`;
  for (const [attribute, path] of pathsOf(config)) {
    if (typeof path !== 'string' || path === '') return `"${attribute}" must be a path, not ${JSON.stringify(path)}.`;
    if (!exists(path)) return `"${attribute}" names ${path}, which does not exist; correct the path in launch.json.`;
  }
  return undefined;
}
