// Stacks, scopes, variables, and sources: what is shown at a stop.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { hitLines } from '../debugger/breakpoint-rows';
import { neverLines } from '../debugger/coverage';
import { store } from '../debugger/expression';
import { mayRestart } from '../debugger/restart-frame';
import { type Item, valueItem } from '../debugger/item';
import { Scopes, type ScopeItem } from '../debugger/scopes';
import type { Debugger } from '../debugger/session';
import type { Frame, Method } from '../debugger/stack';
import { hex8 } from '../debugger/target';
import { FORMAT_LETTERS } from '../debugger/value';
import type { Context } from './context';
import { type Arguments, ERRORS, type Handlers, RequestError, wantNumber, wantText } from './requests';
import { lastPart } from './sources';
import { stackOfThread } from './threads';

const stackTrace = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const stack = stackOfThread(s, args.threadId);
  const start = wantNumber(args, 'startFrame', 0);
  const levels = wantNumber(args, 'levels', 0) || 1000;
  stack.need(start + levels);
  const stackFrames = stack.frames.slice(start, start + levels).map((f) => frameBody(s, d, f));
  return { stackFrames, ...(stack.complete ? { totalFrames: stack.frames.length } : { totalFrames: stack.frames.length + 20 }) };
};

/** A frame as DAP has it; `method`, beside the protocol, tells a client how the frame was found. */
const frameBody = (s: Context, d: Debugger, f: Frame): DebugProtocol.StackFrame & { method?: Method } => {
  const id = s.nextHandle++;
  s.frames.set(id, f);
  if (f.decision !== undefined && s.sources !== undefined) {
    const { record, steps, index } = f.decision;
    const page = s.sources.page(
      `decisions of trap ${record.k}`,
      steps.map((x, i) => `${i + 1}. ${x.fn} (${x.section}): ${x.condition}  [${x.values}]  → ${x.taken}`).join('\n'),
    );
    // Editors do not open these by themselves, unless the user walks the decisions.
    const behind = f.kind === 'host';
    const source = behind ? { ...page, presentationHint: 'deemphasize' as const } : page;
    const place = { id, name: f.name, line: s.outLine(index + 1), column: s.columnsStartAt1 ? 1 : 0, source };
    return behind ? { ...place, presentationHint: 'subtle' } : place;
  }
  if (f.kind === 'boundary' && f.record !== undefined && s.launchArguments?.trapFrames === 'selectable' && s.sources !== undefined) {
    const source = s.sources.page(`trap ${f.record.k}`, d.why(f.record.k));
    return { id, name: f.name, line: s.outLine(1), column: s.columnsStartAt1 ? 1 : 0, source };
  }
  if (f.kind !== 'code') return { id, name: f.name, line: 0, column: 0, presentationHint: 'label' };
  // The line that did what the stop is about, when that is not the line of the next instruction.
  const about = f.pc === d.target.pc && f.method === 'exact' ? d.stop?.instruction : undefined;
  const did =
    about === undefined || d.programs.functionAt(about)?.entry !== d.programs.functionAt(f.pc)?.entry
      ? undefined
      : d.programs.lineAt(about);
  const place = s.sources?.at(d, f.pc, did?.file ?? f.file, did?.line ?? f.line, f.afterCall);
  return {
    id,
    name: f.name,
    line: s.outLine(place?.line ?? 1),
    column: s.columnsStartAt1 ? (place?.column ?? 1) : 0,
    instructionPointerReference: hex8(f.pc),
    method: f.method,
    canRestart: mayRestart(d, f),
    ...(place === undefined ? {} : { source: place.source }),
  };
};

const scopes = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const frame = s.frame(args.frameId);
  if (frame === undefined) throw new RequestError(ERRORS.badArgument, '"frameId" is missing.');
  const scopes = new Scopes(d, () => s.hex, s.pinned).of(frame).map((scope: ScopeItem) => ({
    name: scope.name,
    variablesReference: s.handle(scope),
    expensive: scope.expensive,
    ...(scope.hint === undefined ? {} : { presentationHint: scope.hint }),
  }));
  return { scopes };
};

const variables = (s: Context, args: Arguments): object => {
  void s.standing;
  const item = s.opened.get(wantNumber(args, 'variablesReference'));
  if (item?.open === undefined) throw new RequestError(ERRORS.badArgument, 'These variables are gone: the Guest has run since.');
  s.hex = (args.format as { hex?: boolean } | undefined)?.hex === true;
  const filter = args.filter;
  if (filter === 'named' && item.indexed !== undefined) return { variables: [] };
  const start = wantNumber(args, 'start', 0);
  const count = wantNumber(args, 'count', 0) || 1000;
  return { variables: item.open(start, count).map((i) => variableBody(s, i)) };
};

const locationOf = (s: Context, place: number | { file: string; line: number }): number => {
  const n = s.nextHandle++;
  s.locations.set(n, place);
  return n;
};
const locations = (s: Context, args: Arguments): object => {
  const to = s.locations.get(wantNumber(args, 'locationReference'));
  if (to === undefined) throw new RequestError(ERRORS.badArgument, 'This place is gone: the Guest has run since.');
  const d = s.standing;
  if (typeof to !== 'number') {
    const path = s.sources?.resolve(to.file);
    if (path === undefined) throw new RequestError(ERRORS.badArgument, `There is no file ${to.file}; "sourceMap" may say where it is.`);
    return { source: { name: lastPart(path), path }, line: s.outLine(to.line) };
  }
  const line = d.programs.lineAt(to);
  const place = s.sources?.at(d, to, line?.file, line?.line);
  if (place === undefined) throw new RequestError(ERRORS.badArgument, `There is no text for ${hex8(to)}.`);
  return { source: place.source, line: s.outLine(place.line), column: s.columnsStartAt1 ? place.column : place.column - 1 };
};

/** The user watches just this. */
const isWatched = (s: Context, i: Item): boolean =>
  i.watch !== undefined && (s.d?.watches.all.some((w) => w.wish.dataId === i.watch?.id) ?? false);

export const variableBody = (s: Context, i: Item): DebugProtocol.Variable => {
  const v: DebugProtocol.Variable = { name: i.name, value: i.value, variablesReference: s.handle(i) };
  v.type = i.type ?? 'text';
  if (i.evaluateName !== undefined) v.evaluateName = i.evaluateName;
  if (i.memory !== undefined) v.memoryReference = hex8(i.memory);
  if (i.indexed !== undefined) v.indexedVariables = i.indexed;
  if (i.code !== undefined) v.valueLocationReference = locationOf(s, i.code);
  if (i.declared !== undefined) v.declarationLocationReference = locationOf(s, i.declared);
  const attributes = [...(i.set === undefined ? ['readOnly'] : []), ...(isWatched(s, i) ? ['hasDataBreakpoint'] : [])];
  if (attributes.length > 0 || i.lazy)
    v.presentationHint = { ...(attributes.length > 0 ? { attributes } : {}), ...(i.lazy ? { lazy: true } : {}) };
  return v;
};

const setVariable = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const parent = s.opened.get(wantNumber(args, 'variablesReference'));
  const name = wantText(args, 'name');
  const item = parent?.open?.(0, 100_000).find((i) => i.name === name);
  if (item === undefined) throw new RequestError(ERRORS.badArgument, `No variable "${name}" here.`);
  if (item.set === undefined) throw new RequestError(ERRORS.expression, `${name} cannot be changed.`);
  item.set(wantText(args, 'value'));
  d.forget();
  const after = parent?.open?.(0, 100_000).find((i) => i.name === name) ?? item;
  const body = variableBody(s, after);
  if (s.supports.supportsInvalidatedEvent) s.afterResponse = () => s.event('invalidated', { areas: ['variables'] });
  return { value: body.value, variablesReference: body.variablesReference, ...(body.type === undefined ? {} : { type: body.type }) };
};

const setExpression = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const frame = s.frame(args.frameId);
  const env = d.environment(frame, true);
  const value = store(
    env,
    d.evaluate(wantText(args, 'expression'), frame, true).value,
    d.evaluate(wantText(args, 'value'), frame, true).value,
  );
  d.forget();
  const body = variableBody(
    s,
    valueItem(
      '',
      undefined,
      value,
      d.valueContext(env, () => s.hex),
      { letter: undefined, count: undefined },
    ),
  );
  return { value: body.value, variablesReference: body.variablesReference, ...(body.type === undefined ? {} : { type: body.type }) };
};

const source = (s: Context, args: Arguments): object => {
  const source = (args.source ?? {}) as DebugProtocol.Source;
  const reference = source.sourceReference ?? wantNumber(args, 'sourceReference', 0);
  const page = s.sources?.pageText(reference);
  if (page !== undefined) return { content: page, mimeType: 'text/plain' };
  const listing = s.sources?.listing(reference) ?? (source.name === undefined ? undefined : s.sources?.listingNamed(s.core, source.name));
  if (listing === undefined) throw new RequestError(ERRORS.badArgument, 'There is no such listing.');
  return { content: listing.text, mimeType: 'text/x-lguest-listing' };
};

const loadedSources = (s: Context): object => {
  const names = s.core.programs.list.flatMap((p) => p.symbols?.sourceFiles() ?? []);
  const sources = names.flatMap((file) => {
    const path = s.sources?.resolve(file);
    return path === undefined ? [] : [{ name: lastPart(path), path }];
  });
  return { sources };
};

/** The file that debug information names for a frame, when it is not found. */
const missingSource = (s: Context, args: Arguments): object => {
  void s.standing;
  const file = s.frame(args.frameId)?.file;
  if (file === undefined) throw new RequestError(ERRORS.badArgument, 'No file is known for this frame: it has no debug information.');
  const path = s.sources?.resolve(file);
  return path === undefined ? { file } : { file, path };
};
/** What stacks show changes from now on. */
const stacksChanged = (s: Context): void => {
  s.d?.forget();
  if (s.supports.supportsInvalidatedEvent) s.afterResponse = () => s.event('invalidated', { areas: ['stacks'] });
};
const mapSource = (s: Context, args: Arguments): object => {
  s.sources?.map(wantText(args, 'from'), wantText(args, 'to'));
  stacksChanged(s);
  return {};
};
/** Shows the Host's functions in stacks, or hides them. */
const showHost = (s: Context, args: Arguments): object => {
  const d = s.standing;
  d.hostFrames = typeof args.host === 'boolean' ? args.host : !d.hostFrames;
  stacksChanged(s);
  return { host: d.hostFrames };
};

/** Chooses how single values look: `formats` by expression, a letter each, an empty one for the usual look. */
const setFormats = (s: Context, args: Arguments): object => {
  const given = args.formats;
  if (typeof given !== 'object' || given === null)
    throw new RequestError(ERRORS.badArgument, '"formats" must be an object of expressions and letters.');
  for (const [name, letter] of Object.entries(given as Record<string, unknown>)) {
    if (letter === '') s.formats.delete(name);
    else if (typeof letter === 'string' && letter.length === 1 && FORMAT_LETTERS.includes(letter)) s.formats.set(name, letter);
    else
      throw new RequestError(
        ERRORS.badArgument,
        `"${name}": ${JSON.stringify(letter)} is no format; the letters are ${[...FORMAT_LETTERS].join(' ')}.`,
      );
  }
  if (s.supports.supportsInvalidatedEvent) s.afterResponse = () => s.event('invalidated', { areas: ['variables'] });
  return { formats: Object.fromEntries(s.formats) };
};

/** Lines of a listing whose instructions were never executed, for an editor to dim, and those with breakpoints and their counts. */
const executed = (s: Context, args: Arguments): object => {
  const d = s.standing;
  const listing = s.sources?.listingNamed(d, wantText(args, 'name'));
  if (listing === undefined) throw new RequestError(ERRORS.badArgument, 'There is no such listing.');
  const hits = hitLines(d, listing).map(({ line, text }) => ({ line: s.outLine(line), text }));
  return { never: neverLines(d, listing).map((line) => s.outLine(line)), hits };
};

export const inspectionRequests = (s: Context): Handlers => ({
  stackTrace: (a) => stackTrace(s, a),
  scopes: (a) => scopes(s, a),
  variables: (a) => variables(s, a),
  setVariable: (a) => setVariable(s, a),
  setExpression: (a) => setExpression(s, a),
  locations: (a) => locations(s, a),
  source: (a) => source(s, a),
  'lguest/source/missing': (a) => missingSource(s, a),
  'lguest/source/map': (a) => mapSource(s, a),
  'lguest/hostFrames': (a) => showHost(s, a),
  'lguest/formats': (a) => setFormats(s, a),
  'lguest/executed': (a) => executed(s, a),
  loadedSources: () => loadedSources(s),
});
