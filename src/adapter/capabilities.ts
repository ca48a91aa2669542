// What the adapter says it can do at initialize. Each line has a test in test/adapter.

import type { FilterDescription } from '../debugger/filters';

export const filterBody = (f: FilterDescription): object => ({
  filter: f.id,
  label: f.label,
  description: f.description,
  default: f.on,
  supportsCondition: true,
  conditionDescription: 'An expression, such as err.W && cr2 < 0x1000',
});

const EVERYWHERE = ['source', 'instruction', 'exception'];

export const capabilities = (filters: readonly FilterDescription[]): object => ({
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsEvaluateForHovers: true,
  supportsSetVariable: true,
  supportsRestartFrame: true,
  supportsGotoTargetsRequest: true,
  supportsStepInTargetsRequest: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: ['.', '>', '$', ':', '/', '#', ','],
  supportsModulesRequest: true,
  additionalModuleColumns: [
    { attributeName: 'addressRange', label: 'Range', type: 'string' },
    { attributeName: 'offset', label: 'Offset', type: 'string' },
    { attributeName: 'symbolStatus', label: 'Symbols', type: 'string' },
  ],
  supportsRestartRequest: true,
  supportsValueFormattingOptions: true,
  supportsExceptionInfoRequest: true,
  supportTerminateDebuggee: true,
  supportsDelayedStackTraceLoading: true,
  supportsLoadedSourcesRequest: true,
  supportsLogPoints: true,
  supportsSetExpression: true,
  supportsTerminateRequest: true,
  supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsCancelRequest: true,
  supportsBreakpointLocationsRequest: true,
  supportsClipboardContext: true,
  supportsANSIStyling: true,
  supportsSteppingGranularity: true,
  supportsInstructionBreakpoints: true,
  supportsExceptionFilterOptions: true,
  breakpointModes: [
    { mode: 'stop', label: 'Stop', description: 'Stop the Guest: at a trap before it is applied.', appliesTo: EVERYWHERE },
    {
      mode: 'handler',
      label: 'Stop at the handler',
      description: "Stop at the first instruction of the Guest's handler, where the Guest gets one.",
      appliesTo: ['exception'],
    },
    { mode: 'log', label: 'Log', description: 'Write a line to the Debug Console and go on.', appliesTo: EVERYWHERE },
    {
      mode: 'count',
      label: 'Count',
      description: 'Only count: the Breakpoints+ view, "info b" and "info filters" tell how many.',
      appliesTo: EVERYWHERE,
    },
  ],
  exceptionBreakpointFilters: filters.map(filterBody),
});
