// What initialize promises: each promise is kept by a request that answers, and no request is left unpromised.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
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

/** A session of its own: what a check sets or moves troubles no other. */
const own = async <T>(at: string, work: (s: Inside) => Promise<T>): Promise<T> => {
  const s = await Inside.at(at);
  try {
    return await work(s);
  } finally {
    await s.end();
  }
};
const place = async (s: Inside): Promise<number> => Number((await s.frames())[0].instructionPointerReference);
/** What set_gate() is asked for at its first stops. */
const gates = (count: number, more: Body = {}): Promise<string[]> =>
  own('start_kernel', async (s) => {
    await s.functions({ name: 'set_gate', ...more });
    const seen: string[] = [];
    for (let n = 0; n < count; n++) {
      await s.go();
      seen.push(await s.evaluate('vector,d'));
    }
    return seen;
  });
const base64 = (...bytes: number[]): string => Buffer.from(bytes).toString('base64');

/** For each capability what a user gets by it, which only comes about when it is there. */
const KEPT: Readonly<Record<string, (s: Inside) => Promise<boolean>>> = {
  // Nothing moves before it.
  supportsConfigurationDoneRequest: async () => {
    const s = await launched({ stopOnEntry: true });
    await s.request('threads');
    const early = s.order.includes('stopped');
    await s.request('configurationDone');
    return !early && (await s.stop()).reason === 'entry';
  },
  supportsFunctionBreakpoints: () =>
    own('start_kernel', async (s) => {
      const [b] = await s.functions('show_halt');
      return isDeepStrictEqual((await s.go()).hitBreakpointIds, [b.id]) && (await s.frames())[0].name === 'show_halt';
    }),
  supportsConditionalBreakpoints: async () => {
    const [first, second] = await gates(2);
    return first !== second && (await gates(1, { condition: `vector == ${second}` }))[0] === second;
  },
  supportsHitConditionalBreakpoints: async () => {
    const [first, , third, fourth] = await gates(4);
    return first !== third && isDeepStrictEqual(await gates(2, { hitCondition: '>= 3' }), [third, fourth]);
  },
  supportsLogPoints: async () => {
    const [first, second] = await gates(2);
    return own('start_kernel', async (s) => {
      await s.functions({ name: 'set_gate', logMessage: 'gate {vector,d}, twice {vector * 2,d}' }, 'show_halt');
      await s.go();
      const lines = s.output.match(/gate \d+, twice \d+/g) ?? [];
      const text = (v = ''): string => `gate ${v}, twice ${2 * Number(v)}`;
      return (await s.frames())[0].name === 'show_halt' && lines[0] === text(first) && lines[1] === text(second);
    });
  },
  supportsEvaluateForHovers: async (s) =>
    (await s.evaluate('ticks', 'hover')) === '0' &&
    /nothing can be changed/.test(await s.failing('evaluate', { expression: 'ticks = 5', context: 'hover' })) &&
    (await s.evaluate('ticks')) === '0',
  supportsClipboardContext: async (s) => {
    const whole = await s.evaluate('lguest_data', 'clipboard');
    const row = await s.evaluate('lguest_data', 'watch');
    return row.includes('...') && !whole.includes('...') && whole.length > 2 * row.length && /noirq_end = \d/.test(whole);
  },
  supportsSetVariable: async (s) => {
    const set = async (value: string): Promise<string> =>
      (await s.request('setVariable', { variablesReference: (await s.scopes()).Registers, name: 'ebx', value })).value;
    return (await set('1')) === '0x00000001' && (await s.evaluate('$ebx,d')) === '1' && (await set('0x77')) === '0x00000077';
  },
  supportsSetExpression: async (s) => {
    const set = async (value: string): Promise<string> => (await s.request('setExpression', { expression: 'ticks', value })).value;
    return (await set('5 + 2')) === '7' && (await s.evaluate('ticks')) === '7' && (await set('0')) === '0';
  },
  supportsRestartFrame: () =>
    own('start_kernel', async (s) => {
      await s.functions('printk');
      await s.go();
      const [, caller] = await s.frames();
      const stop = await s.go('restartFrame', { frameId: caller.id });
      return stop.reason === 'restart' && (await s.evaluate('$eip')) === (await s.evaluate(`(int)&${caller.name},x`));
    }),
  supportsGotoTargetsRequest: () =>
    own('start_kernel', async (s) => {
      const line = lineOf('boot.c', '\tload_segments();');
      const { targets } = await s.request('gotoTargets', { source, line });
      const stop = await s.go('goto', { targetId: targets[0].id });
      return stop.reason === 'goto' && (await s.frames())[0].line === line;
    }),
  supportsStepInTargetsRequest: () =>
    own('start_kernel', async (s) => {
      const { targets: places } = await s.request('gotoTargets', { source, line: lineOf('boot.c', '\tload_segments();') });
      await s.go('goto', { targetId: places[0].id });
      const { targets } = await s.request('stepInTargets', { frameId: (await s.frames())[0].id });
      const call = targets.find((t: Body) => t.label === 'load_segments');
      await s.go('stepIn', { targetId: call.id });
      return (await s.frames())[0].name === 'load_segments';
    }),
  supportsCompletionsRequest: async (s) =>
    (await s.request('completions', { text: '1 + tick', column: 9 })).targets.some((t: Body) => t.label === 'ticks' && t.start === 4),
  supportsModulesRequest: async (s) => {
    const { modules, totalModules } = await s.request('modules');
    return totalModules === 1 && modules[0].name === 'demo.elf' && modules[0].addressRange.length > 0;
  },
  supportsLoadedSourcesRequest: async (s) => {
    const paths = (await s.request('loadedSources')).sources.map((x: Body) => x.path);
    return ['boot.c', 'head.S', 'tour.c'].every((name) => paths.includes(demoFile(name)));
  },
  supportsRestartRequest: () =>
    own('start_kernel', async (s) => {
      const [b] = await s.functions('set_gate');
      const first = await s.evaluate('when');
      await s.go();
      await s.request('restart');
      const again = (await s.stop()).reason === 'entry' && (await s.evaluate('when')) === first;
      return again && isDeepStrictEqual((await s.go()).hitBreakpointIds, [b.id]);
    }),
  supportsValueFormattingOptions: async (s) =>
    (await s.request('evaluate', { expression: 'ticks + 16', context: 'watch', format: { hex: true } })).result === '0x00000010' &&
    (await s.request('evaluate', { expression: 'ticks + 16', context: 'watch' })).result === '16',
  supportsExceptionInfoRequest: (s) =>
    own('start_kernel', async (x) => {
      await x.request('setExceptionBreakpoints', { filters: ['syscall'] });
      await x.go();
      const info = await x.request('exceptionInfo', { threadId: 1 });
      return (
        info.exceptionId === 'syscall int 0x80' &&
        info.breakMode === 'always' &&
        /^int 0x80 from user mode/.test(info.description) &&
        /about no trap/.test(await s.failing('exceptionInfo', { threadId: 1 }))
      );
    }),
  supportsExceptionFilterOptions: () =>
    own('start_kernel', async (s) => {
      const filterOptions = [
        { filterId: 'pf.guest', condition: 'cr2 == 0xd0000000' },
        { filterId: 'syscall', mode: 'count' },
      ];
      const { breakpoints } = await s.request('setExceptionBreakpoints', { filters: [], filterOptions });
      const stop = await s.go();
      return (
        breakpoints.every((b: Body) => b.verified) && stop.reason === 'exception' && (await s.evaluate('trap(-1).cr2,x')) === '0xd0000000'
      );
    }),
  supportsDelayedStackTraceLoading: () =>
    own('set_gate', async (s) => {
      const all = await s.frames();
      const one = await s.request('stackTrace', { threadId: 1, startFrame: 1, levels: 1 });
      return all.length > 1 && one.stackFrames.length === 1 && one.stackFrames[0].name === all[1].name && one.totalFrames > 1;
    }),
  supportsSteppingGranularity: () =>
    own('start_kernel', async (s) => {
      const { line } = (await s.frames())[0];
      const from = await place(s);
      const { instructions } = await s.request('disassemble', { memoryReference: `0x${from.toString(16)}`, instructionCount: 2 });
      await s.go('next', { granularity: 'instruction' });
      const one = (await place(s)) === Number(instructions[1].address);
      await s.go('next', { granularity: 'line' });
      return one && (await s.frames())[0].line !== line;
    }),
  supportsInstructionBreakpoints: () =>
    own('start_kernel', async (s) => {
      const address = /0x[0-9a-f]+/.exec(await s.evaluate('&set_gate'))?.[0] ?? '';
      const { breakpoints } = await s.request('setInstructionBreakpoints', {
        breakpoints: [{ instructionReference: address, offset: 1 }, { instructionReference: address }],
      });
      const stop = await s.go();
      return (
        stop.reason === 'instruction breakpoint' && stop.hitBreakpointIds?.[0] === breakpoints[1].id && (await place(s)) === Number(address)
      );
    }),
  supportsBreakpointLocationsRequest: async (s) => {
    const line = lineOf('boot.c', '\tload_segments();');
    const { breakpoints } = await s.request('breakpointLocations', { source, line: line - 3, endLine: line });
    return breakpoints.some((b: Body) => b.line === line) && breakpoints.every((b: Body) => b.line >= line - 3 && b.line <= line);
  },
  supportsDataBreakpoints: () =>
    own('start_kernel', async (s) => {
      const [b] = await s.watch(['ticks', 'write']);
      const stop = await s.go();
      return (
        stop.reason === 'data breakpoint' &&
        isDeepStrictEqual(stop.hitBreakpointIds, [b.id]) &&
        /0 → 1|was 0|ticks/.test(stop.text ?? stop.description ?? '')
      );
    }),
  supportsDataBreakpointBytes: () =>
    own('start_kernel', async (s) => {
      const name = /0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0] ?? '';
      const { dataId } = await s.request('dataBreakpointInfo', { name, asAddress: true, bytes: 3 });
      await s.request('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] });
      return dataId === `mem:v:${name}:3` && (await s.go()).reason === 'data breakpoint';
    }),
  supportsReadMemoryRequest: async (s) => {
    await s.request('setExpression', { expression: 'ticks', value: '0x11223344' });
    const { data, address } = await s.request('readMemory', { memoryReference: '&ticks', count: 4 });
    await s.request('setExpression', { expression: 'ticks', value: '0' });
    return data === base64(0x44, 0x33, 0x22, 0x11) && Number(address) > 0xc0000000;
  },
  supportsWriteMemoryRequest: async (s) => {
    const { bytesWritten } = await s.request('writeMemory', { memoryReference: '&ticks', data: base64(2, 1, 0, 0) });
    const value = await s.evaluate('ticks,d');
    await s.request('writeMemory', { memoryReference: '&ticks', data: base64(0, 0, 0, 0) });
    return bytesWritten === 4 && value === '258';
  },
  supportsDisassembleRequest: async (s) => {
    const memoryReference = (await s.frames())[0].instructionPointerReference;
    const { instructions } = await s.request('disassemble', { memoryReference, instructionOffset: -2, instructionCount: 7 });
    const at = instructions.map((x: Body) => Number(x.address));
    return (
      instructions.length === 7 &&
      at[2] === Number(memoryReference) &&
      at.every((a: number, i: number) => i === 0 || a === at[i - 1] + instructions[i - 1].instructionBytes.split(' ').length) &&
      instructions.every((x: Body) => x.instruction.length > 1)
    );
  },
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
});

for (const [name, keep] of Object.entries(KEPT))
  test(`${name} is kept`, async () => {
    const s = await Inside.at('start_kernel');
    assert.equal(await keep(s), true);
    await s.end();
  });
