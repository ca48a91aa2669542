// What initialize promises: each promise is kept by a request that answers, and no request is left unpromised.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoFile, lineOf } from './client';
import { type Body, Inside } from './inside';

const source = { path: demoFile('boot.c') };

/** A session whose client has not said yet that it is configured. */
const launched = async (launch: Body): Promise<Inside> => {
  const s = new Inside();
  await s.request('initialize', { adapterID: 'lguest' });
  await s.request('launch', { program: demoFile('demo.elf'), ...launch });
  return s;
};

/** For each capability a request that only works when it is there. */
const KEPT: Readonly<Record<string, (s: Inside) => Promise<boolean>>> = {
  // Nothing moves before it.
  supportsConfigurationDoneRequest: async () => {
    const s = await launched({ stopOnEntry: true });
    await s.request('threads');
    const early = s.order.includes('stopped');
    await s.request('configurationDone');
    return !early && (await s.stop()).reason === 'entry';
  },
  supportsFunctionBreakpoints: async (s) => (await s.functions('shell'))[0].verified,
  supportsConditionalBreakpoints: async (s) => (await s.functions({ name: 'shell', condition: 'ticks == 7' }))[0].verified,
  supportsHitConditionalBreakpoints: async (s) => (await s.functions({ name: 'shell', hitCondition: '% 2' }))[0].verified,
  supportsLogPoints: async (s) => (await s.functions({ name: 'shell', logMessage: '{ticks}' }))[0].verified,
  supportsEvaluateForHovers: async (s) => (await s.evaluate('ticks', 'hover')) === '0',
  supportsClipboardContext: async (s) => (await s.evaluate('lguest_data', 'clipboard')).length > 0,
  supportsSetVariable: async (s) =>
    (await s.request('setVariable', { variablesReference: (await s.scopes()).Registers, name: 'ebx', value: '1' })).value === '0x00000001',
  supportsSetExpression: async (s) => (await s.request('setExpression', { expression: 'ticks', value: '0' })).value === '0',
  supportsGotoTargetsRequest: async (s) =>
    (await s.request('gotoTargets', { source, line: lineOf('boot.c', 'start_paging();') })).targets.length === 1,
  supportsStepInTargetsRequest: async (s) =>
    Array.isArray((await s.request('stepInTargets', { frameId: (await s.frames())[0].id })).targets),
  supportsCompletionsRequest: async (s) => (await s.request('completions', { text: 'tic', column: 4 })).targets.length > 0,
  supportsModulesRequest: async (s) => (await s.request('modules')).totalModules === 1,
  supportsLoadedSourcesRequest: async (s) => (await s.request('loadedSources')).sources.length > 5,
  supportsRestartRequest: async (s) => {
    await s.request('restart');
    return (await s.stop()).reason === 'entry';
  },
  supportsValueFormattingOptions: async (s) =>
    (await s.request('evaluate', { expression: 'ticks + 16', context: 'watch', format: { hex: true } })).result === '0x00000010',
  supportsExceptionInfoRequest: async (s) => /about no trap/.test(await s.failing('exceptionInfo', { threadId: 1 })),
  supportsExceptionFilterOptions: async (s) =>
    (await s.request('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'gp', condition: 'cpl == 3', mode: 'log' }] }))
      .breakpoints[0].verified,
  supportsDelayedStackTraceLoading: async (s) =>
    (await s.request('stackTrace', { threadId: 1, startFrame: 1, levels: 1 })).stackFrames.length === 1,
  supportsSteppingGranularity: async (s) => (await s.go('next', { granularity: 'instruction' })).reason === 'step',
  supportsInstructionBreakpoints: async (s) =>
    (await s.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0xc0100000' }] })).breakpoints[0].verified,
  supportsBreakpointLocationsRequest: async (s) =>
    (await s.request('breakpointLocations', { source, line: 1, endLine: 60 })).breakpoints.length > 5,
  supportsDataBreakpoints: async (s) => (await s.watch(['ticks', 'write']))[0].verified,
  supportsDataBreakpointBytes: async (s) =>
    (await s.request('dataBreakpointInfo', { name: '0xc0100000', asAddress: true, bytes: 3 })).dataId === 'mem:v:0xc0100000:3',
  supportsReadMemoryRequest: async (s) => (await s.request('readMemory', { memoryReference: '0xc0100000', count: 4 })).data.length > 0,
  supportsWriteMemoryRequest: async (s) =>
    (await s.request('writeMemory', { memoryReference: '&ticks', data: 'AAAAAA==' })).bytesWritten === 4,
  supportsDisassembleRequest: async (s) =>
    (await s.request('disassemble', { memoryReference: '0xc0100000', instructionCount: 7 })).instructions.length === 7,
  supportsCancelRequest: async (s) => {
    const { seq, response } = s.raw('disassemble', { memoryReference: '0xc0100000', instructionCount: 20_000 });
    await s.request('cancel', { requestId: seq });
    return (await response).message === 'cancelled';
  },
  // The Guest's own escape sequences come through as they are.
  supportsANSIStyling: async () => {
    const s = await Inside.at('read_line', { cmdline: 'do=\x1b[31mred\x1b[0m' });
    return s.console.includes('\x1b[31mred\x1b[0m: unknown command');
  },
  // A Guest that runs is ended: it stands still, and the session is over.
  supportTerminateDebuggee: async () => {
    const s = await launched({ cmdline: 'do=spin 4000000000' });
    await s.request('configurationDone');
    await s.failing('stackTrace', { threadId: 1 }); // it runs
    let over = false;
    s.adapter.on('finished', () => {
      over = true;
    });
    await s.request('disconnect', { terminateDebuggee: true });
    for (let n = 0; n < 400; n++) {
      if ((await s.raw('stackTrace', { threadId: 1 }).response).success) return over;
      await new Promise((done) => setTimeout(done, 5));
    }
    return false;
  },
  supportsTerminateRequest: async (s) => {
    await s.request('terminate');
    return s.events.some((e) => e.event === 'terminated') && s.events.some((e) => e.event === 'exited');
  },
};

test('each capability that is claimed is kept, and nothing else is claimed', async () => {
  const s = new Inside();
  const claimed = await s.request('initialize', { adapterID: 'lguest' });
  await s.end();
  const names = Object.entries(claimed).flatMap(([name, value]) => (value === true ? [name] : []));
  assert.deepEqual(names.sort(), Object.keys(KEPT).sort());
  assert.ok(
    claimed.exceptionBreakpointFilters.length >= 16 && claimed.breakpointModes.length >= 3 && claimed.additionalModuleColumns.length >= 2,
  );
  const standing = await Inside.at('start_kernel');
  for (const [name, keep] of Object.entries(KEPT)) assert.equal(await keep(standing), true, name);
  await standing.end();
});
