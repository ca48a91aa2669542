// Breakpoints by source line, function, address and exception filter.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { hitsText } from '../debugger/breakpoint-rows';
import { type Breakpoint, BREAKPOINT_MODES, type BreakpointSpec } from '../debugger/breakpoints';
import { hex8 } from '../debugger/target';
import type { Context } from './context';
import { reference } from './memory-reference';
import { type Arguments, ERRORS, type Handlers, list, oneOf, RequestError, wantNumber, wantText } from './requests';
import { lastPart } from './sources';

export const breakpointBody = (s: Context, b: Breakpoint, source?: DebugProtocol.Source): DebugProtocol.Breakpoint => {
  const body: DebugProtocol.Breakpoint = { id: b.id, verified: b.verified };
  const message = [b.message, b.hits === 0 ? undefined : hitsText(b.hits)].filter((x) => x !== undefined).join('; ');
  if (message !== '') body.message = message;
  if (!b.verified) body.reason = b.pending ? 'pending' : 'failed';
  if (!b.verified && b.spec.kind === 'function' && s.d?.awaitsNames) {
    body.reason = 'pending';
    body.message = "Waits for the symbol table in the kernel's own memory";
  }
  if (b.line !== undefined && b.verified) body.line = s.outLine(b.line);
  if (b.column !== undefined) body.column = s.columnsStartAt1 ? b.column : b.column - 1;
  const [place] = b.places;
  if (place !== undefined) body.instructionReference = hex8(place.address);
  if (source !== undefined) body.source = source;
  else if (b.file !== undefined && b.verified) {
    const path = s.sources?.resolve(b.file);
    if (path !== undefined) body.source = { name: lastPart(path), path };
  }
  return body;
};

export const common = (x: Arguments): Partial<BreakpointSpec> => {
  const spec: Partial<BreakpointSpec> = {};
  for (const key of ['condition', 'hitCondition', 'logMessage'] as const) {
    const v = x[key];
    if (typeof v === 'string' && v !== '') spec[key] = v;
  }
  const { mode } = x;
  if (mode !== undefined && mode !== '' && mode !== 'software') spec.mode = oneOf(x, 'mode', BREAKPOINT_MODES, 'stop');
  return spec;
};

const setBreakpoints = (s: Context, args: Arguments): object => {
  const d = s.core;
  const source = (args.source ?? {}) as DebugProtocol.Source;
  const wanted = list(args, 'breakpoints');
  const lines = wanted.length === 0 && Array.isArray(args.lines) ? (args.lines as number[]).map((line) => ({ line }) as Arguments) : wanted;
  const isListing = (source.sourceReference ?? 0) > 0 || (source.path?.endsWith('.lgl') ?? false) || source.name?.endsWith('.lgl') === true;
  if (isListing) {
    const listing = s.sources?.listing(source.sourceReference ?? 0) ?? s.sources?.listingNamed(d, source.name ?? source.path ?? '');
    const file = `listing ${listing?.name ?? source.name}`;
    const specs = lines.map((x): BreakpointSpec => {
      const line = s.inLine(wantNumber(x, 'line'));
      const at = listing?.addresses.findIndex((a, i) => i >= line - 1 && a !== undefined) ?? -1;
      const address = at < 0 ? undefined : listing?.addresses[at];
      return { kind: 'instruction', file, line: at + 1, ...(address === undefined ? {} : { address }), ...common(x) };
    });
    const made = d.setBreakpoints('instruction', (b) => b.spec.file === file, specs);
    return { breakpoints: made.map((b) => breakpointBody(s, b, source)) };
  }
  const path = source.path ?? source.name;
  if (typeof path !== 'string') throw new RequestError(ERRORS.badArgument, '"source" needs a path or a sourceReference.');
  if (source.path !== undefined) s.sources?.seen(source.path);
  const specs = lines.map((x): BreakpointSpec => {
    const column = typeof x.column === 'number' ? (s.columnsStartAt1 ? x.column : x.column + 1) : undefined;
    return {
      kind: 'source',
      file: path,
      line: s.inLine(wantNumber(x, 'line')),
      ...(column === undefined ? {} : { column }),
      ...common(x),
    };
  });
  const made = d.setBreakpoints('source', (b) => b.spec.file === path, specs);
  return { breakpoints: made.map((b) => breakpointBody(s, b, b.verified ? { name: lastPart(path), path } : undefined)) };
};

const setFunctionBreakpoints = (s: Context, args: Arguments): object => {
  const specs = list(args, 'breakpoints').map((x): BreakpointSpec => ({ kind: 'function', pattern: wantText(x, 'name'), ...common(x) }));
  return { breakpoints: s.core.setBreakpoints('function', () => true, specs).map((b) => breakpointBody(s, b)) };
};

const setInstructionBreakpoints = (s: Context, args: Arguments): object => {
  const specs = list(args, 'breakpoints').map((x): BreakpointSpec => {
    const { address } = reference(s, wantText(x, 'instructionReference'));
    return { kind: 'instruction', address: (address + wantNumber(x, 'offset', 0)) >>> 0, ...common(x) };
  });
  return {
    breakpoints: s.core.setBreakpoints('instruction', (b) => b.spec.file === undefined, specs).map((b) => breakpointBody(s, b)),
  };
};

const setExceptionBreakpoints = (s: Context, args: Arguments): object => {
  const plain = Array.isArray(args.filters) ? args.filters.map((id) => ({ id: String(id) })) : [];
  const optioned = list(args, 'filterOptions').map((x) => ({
    id: wantText(x, 'filterId'),
    ...(typeof x.condition === 'string' ? { condition: x.condition } : {}),
    ...(typeof x.mode === 'string' ? { mode: x.mode } : {}),
  }));
  s.filterWishes = [...plain, ...optioned];
  const problems = s.core.setFilters(s.filterWishes);
  return {
    breakpoints: problems.map((message) => (message === undefined ? { verified: true } : { verified: false, message, reason: 'failed' })),
  };
};

const breakpointLocations = (s: Context, args: Arguments): object => {
  const source = (args.source ?? {}) as DebugProtocol.Source;
  const line = s.inLine(wantNumber(args, 'line'));
  const end = args.endLine === undefined ? line : s.inLine(wantNumber(args, 'endLine'));
  const listing = (source.sourceReference ?? 0) > 0 ? s.sources?.listing(source.sourceReference ?? 0) : undefined;
  if (listing !== undefined) {
    return {
      breakpoints: listing.addresses.flatMap((a, i) =>
        a !== undefined && i + 1 >= line && i + 1 <= end ? [{ line: s.outLine(i + 1) }] : [],
      ),
    };
  }
  const spots = s.core.programs.breakpointLocations(source.path ?? source.name ?? '', line, end);
  return {
    breakpoints: spots.map((spot) => ({
      line: s.outLine(spot.line),
      ...(spot.column > 0 ? { column: s.columnsStartAt1 ? spot.column : spot.column - 1 } : {}),
    })),
  };
};

export const breakpointRequests = (s: Context): Handlers => ({
  setBreakpoints: (a) => setBreakpoints(s, a),
  setFunctionBreakpoints: (a) => setFunctionBreakpoints(s, a),
  setInstructionBreakpoints: (a) => setInstructionBreakpoints(s, a),
  setExceptionBreakpoints: (a) => setExceptionBreakpoints(s, a),
  breakpointLocations: (a) => breakpointLocations(s, a),
});
