// Continue, pause, steps, goto, and the ways to end a session.

import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debugger, Granularity, StopInfo } from '../debugger/session';
import { restartFrame } from '../debugger/restart-frame';
import { hex8 } from '../debugger/target';
import { trapTargetOf } from '../debugger/trap-steps';
import type { Context } from './context';
import { exitCode, stopMachine, stopped, terminated } from './events';
import { taskOfThread } from './threads';
import { type Arguments, ERRORS, type Handlers, RequestError, wantNumber } from './requests';

export const resume = (s: Context, how: (d: Debugger) => void): void => {
  const d = s.standing;
  if (!s.configured) throw new RequestError(ERRORS.notLaunched, 'The session is not configured yet.');
  s.forgetHandles();
  s.registersView.remember(d);
  s.memoryGrid.remember(d);
  d.changes.remember();
  s.afterResponse = () => how(d);
};

const step = (s: Context, kind: 'in' | 'over' | 'out', args: Arguments): undefined => {
  const granularity: Granularity = args.granularity === 'instruction' ? 'instruction' : 'line';
  const task = taskOfThread(s, args.threadId);
  resume(s, (d) => d.step(kind, granularity, task));
  return undefined;
};

const gotoTargets = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const source = (args.source ?? {}) as DebugProtocol.Source;
  const line = s.inLine(wantNumber(args, 'line'));
  const listing = (source.sourceReference ?? 0) > 0 ? s.sources?.listing(source.sourceReference ?? 0) : undefined;
  const places =
    listing === undefined
      ? d.programs
          .locationsForLine(source.path ?? source.name ?? '', line)
          .flatMap(({ program, at }) => d.programs.addresses(program, at.address).slice(0, 1))
      : [listing.addresses[line - 1]].filter((a) => a !== undefined);
  return {
    targets: places.map((a) => ({
      id: a,
      label: d.programs.nameOf(a) ?? hex8(a),
      line: s.outLine(line),
      instructionPointerReference: hex8(a),
    })),
  };
};

const goto = (s: Context, args: Arguments): undefined => {
  const d = s.standing;
  d.goto(wantNumber(args, 'targetId'));
  s.afterResponse = () => stopped(s, d.stop as StopInfo);
  return undefined;
};

const restart = (s: Context, args: Arguments): undefined => {
  const d = s.standing;
  const frame = s.frame(wantNumber(args, 'frameId'));
  if (frame === undefined) throw new RequestError(ERRORS.badArgument, '"frameId" is missing.');
  const stop = restartFrame(d, frame);
  s.afterResponse = () => stopped(s, stop);
  return undefined;
};

export const runRequests = (s: Context): Handlers => ({
  continue: () => {
    resume(s, (d) => d.continue());
    return { allThreadsContinued: true };
  },
  pause: () => {
    s.core.pause();
    return undefined;
  },
  next: (a) => step(s, 'over', a),
  stepIn: (a) => {
    const { targetId } = a;
    if (typeof targetId !== 'number') return step(s, 'in', a);
    const trap = trapTargetOf(targetId);
    resume(s, (d) => (trap === undefined ? d.stepInto(targetId) : d.stepIntoTrap(trap)));
    return undefined;
  },
  stepOut: (a) => step(s, 'out', a),
  stepInTargets: () => {
    const d = s.standing;
    return { targets: [...d.trapTargets(), ...(d.stop?.pending ? [] : d.calls().map((c) => ({ id: c.address, label: c.name })))] };
  },
  gotoTargets: (a) => gotoTargets(s, a),
  goto: (a) => goto(s, a),
  restartFrame: (a) => restart(s, a),
  terminate: () => {
    const code = exitCode(s);
    stopMachine(s);
    s.afterResponse = () => terminated(s, code);
    return undefined;
  },
});
