// What the machine and the debugger report by themselves, as events: stops, ends, the console, log lines, changed memory.

import type { Breakpoint } from '../debugger/breakpoints';
import type { EndInfo, StopInfo } from '../debugger/session';
import { type Context, THREAD } from './context';
import { tellHits } from './hit-counts';
import { lastPart } from './sources';
import { refreshThreads } from './threads';

const CONSOLE_DELAY_MS = 5;

export const guestPrinted = (s: Context, bytes: Uint8Array): void => {
  s.d?.consoleStops.printed(bytes);
  s.consoleText.push(bytes.slice());
  if (s.consoleTimer) return;
  s.consoleTimer = true;
  setTimeout(() => flushConsole(s), CONSOLE_DELAY_MS);
};

export const flushConsole = (s: Context): void => {
  s.consoleTimer = false;
  if (s.consoleText.length === 0) return;
  const text = s.consoleText.map((b) => s.decoder.decode(b, { stream: true })).join('');
  s.consoleText.length = 0;
  if (text === '') return;
  if (s.launchArguments?.console === 'integratedTerminal') s.event('lguest/consoleData', { data: text });
  else s.output(text, 'stdout');
};

export const logged = (s: Context, text: string, b: Breakpoint): void => {
  const line = b.line;
  const path = b.file === undefined ? undefined : s.sources?.resolve(b.file);
  s.output(
    `${text}\n`,
    'console',
    path === undefined || line === undefined ? {} : { source: { name: lastPart(path), path }, line: s.outLine(line) },
  );
};

export const stopped = (s: Context, stop: StopInfo): void => {
  flushConsole(s);
  s.forgetHandles();
  if (s.finished) return;
  tellHits(s);
  warm(s);
  refreshThreads(s);
  const dead = stop.filter === 'killed' || stop.filter === 'panic' || stop.filter === 'emulator';
  if (dead) s.output(`${stop.text ?? stop.description}\n`, 'important');
  s.event('stopped', {
    reason: stop.reason,
    description: stop.description,
    threadId: THREAD,
    allThreadsStopped: true,
    hitBreakpointIds: stop.hitBreakpoints,
    ...(stop.text === undefined ? {} : { text: stop.text }),
  });
  if (s.supports.supportsMemoryEvent)
    for (const [memoryReference, count] of s.memoryRead) s.event('memory', { memoryReference, offset: 0, count });
  if (s.memoryRead.size > 0) s.memoryRead.clear();
  s.followed?.();
};

/**
 * The client asks for the top frame at once, and editors get confused when its answer lags: what it needs is read before the stop is told. In a page of code where it
 * stood before all that is known already, and single steps would only wait for it.
 */
const warm = (s: Context): void => {
  const { d, warmed } = s;
  if (d === undefined) return;
  const page = d.target.pc >>> 12;
  if (warmed.has(page)) return;
  warmed.add(page);
  const stack = d.stack();
  stack.need(2);
  for (const f of stack.frames.slice(0, 2)) if (f.kind === 'code') s.sources?.at(d, f.pc, f.file, f.line, f.afterCall);
};

export const guestEnded = (s: Context, end: EndInfo): void => {
  flushConsole(s);
  s.output(`${end.message}\n`, end.exitCode === 0 ? 'console' : 'important');
  terminated(s, end.exitCode);
};

export const terminated = (s: Context, exitCode: number): void => {
  if (s.finished) return;
  s.finished = true;
  s.event('exited', { exitCode });
  s.event('terminated');
};

export const changed = (s: Context): void => {
  s.core.forget();
  s.forgetHandles();
  if (s.supports.supportsInvalidatedEvent) s.event('invalidated', { areas: ['variables', 'stacks'] });
};

export const exitCode = (s: Context): number => {
  const kind = s.machine?.end?.kind;
  return kind === 'panic' ? 2 : kind === 'killed' ? 1 : s.d?.stop?.filter === 'emulator' ? 3 : 0;
};

export const stopMachine = (s: Context): void => {
  flushConsole(s);
  s.d?.pause();
  if (s.d !== undefined) s.d.onStop = () => {};
};
