// The Debug Console: expressions and commands, and what completes them.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { commandNames, runCommand } from '../debugger/commands';
import { ExpressionError } from '../debugger/expression';
import { COMPACT_FILTERS } from '../debugger/filters';
import { aboutByte } from '../debugger/memory-tools';
import { valueItem } from '../debugger/item';
import type { Debugger, StopInfo } from '../debugger/session';
import type { Frame } from '../debugger/stack';
import { hex8 } from '../debugger/target';
import { splitFormat } from '../debugger/value';
import { watchableRegisters } from '../debugger/watch-places';
import { GUEST_REGISTERS } from '../lguest/context';
import { stripType } from '../symbols/dwarf/types';
import { type Context, THREAD } from './context';
import { stopped } from './events';
import { variableBody } from './inspection';
import { type Arguments, ERRORS, type Handlers, RequestError, wantNumber, wantText } from './requests';
import { resume } from './run-control';

/** A whole address, as listings have them; shorter numbers are numbers. */
const ADDRESS_TEXT = /^0x[0-9a-f]{7,8}$/i;

const evaluate = (s: Context, args: Arguments): object => {
  const d = s.core;
  const text = wantText(args, 'expression');
  const repl = args.context === 'repl';
  const format = args.format as { hex?: boolean } | undefined;
  if (repl || args.context === undefined) {
    const result = runCommand(
      {
        debugger: d,
        send: (typed) => type(s, typed),
        pinned: s.pinned,
        print: (expression) => String((evaluate(s, { ...args, expression, context: 'watch' }) as { result: string }).result),
        number: (expression) => Number(BigInt.asUintN(32, d.evaluate(expression, undefined, false).value.bits)),
        jumped: () => {
          s.afterResponse = () => stopped(s, d.stop as StopInfo);
        },
        resume: (how, granularity) => resume(s, (x) => (how === 'continue' ? x.continue() : x.step(how, granularity))),
      },
      text.replace(/^\?\s*/, ''),
    );
    if (result !== undefined) {
      if (s.afterResponse !== undefined) {
        const go = s.afterResponse;
        s.afterResponse = () => {
          s.event('continued', { threadId: THREAD, allThreadsContinued: true });
          go?.();
        };
      }
      return { result: result.replace(/\n$/, ''), variablesReference: 0 };
    }
  }
  void s.standing;
  // An address under the pointer: what it is, who may do what there, who wrote there last.
  if (args.context === 'hover' && ADDRESS_TEXT.test(text) && d.target.locate(Number(text)) >= 0)
    return {
      result: aboutByte(d.target, d.programs, d.watches, Number(text)).join('; '),
      variablesReference: 0,
      memoryReference: hex8(Number(text)),
    };
  s.hex = format?.hex === true;
  const frame = s.frame(args.frameId);
  const found = d.evaluate(text, frame?.kind === 'code' ? frame : undefined, repl);
  const expression = splitFormat(text).expression;
  const item = valueItem(
    text,
    expression,
    found.value,
    d.valueContext(found.env, () => s.hex, args.context === 'clipboard'),
    found.format,
  );
  const v = variableBody(s, item);
  return {
    result: v.value,
    variablesReference: v.variablesReference,
    ...(v.type === undefined ? {} : { type: v.type }),
    ...(v.memoryReference === undefined ? {} : { memoryReference: v.memoryReference }),
    ...(v.indexedVariables === undefined ? {} : { indexedVariables: v.indexedVariables }),
    ...(v.valueLocationReference === undefined ? {} : { valueLocationReference: v.valueLocationReference }),
  };
};

const REGISTERS = [
  ...GUEST_REGISTERS,
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((n) => [`st${n}`, `mm${n}`, `xmm${n}`, `dr${n}`]),
  ...['mxcsr', 'fcw', 'fsw', 'ftw', 'tr', 'ldtr'],
  ...['cr0', 'cr2', 'cr3', 'cr4', 'al', 'ah', 'ax', 'bl', 'bh', 'bx', 'cl', 'ch', 'cx', 'dl', 'dh', 'dx'],
];

const completions = (s: Context, args: Arguments): object => {
  const d = s.core;
  const text = wantText(args, 'text');
  const column = wantNumber(args, 'column', text.length + 1) - (s.columnsStartAt1 ? 1 : 0);
  const before = text.slice(0, column);
  const m = /(\$?)([\w']*)$/.exec(before);
  const word = m?.[2] ?? '';
  const start = column - word.length;
  const targets: DebugProtocol.CompletionItem[] = [];
  const add = (label: string, type: DebugProtocol.CompletionItemType): void => {
    if (label.startsWith(word)) targets.push({ label, type, start, length: word.length });
  };
  // Behind a dot or an arrow: the members of what stands before it.
  const member = /([\w$.>\-[\]()*&']+?)(?:\.|->)\w*$/.exec(before);
  if (member !== null && !d.running) {
    const frame = s.frame(args.frameId);
    for (const name of membersOf(d, member[1], frame?.kind === 'code' ? frame : undefined)) add(name, 'field');
    for (const name of watchableRegisters(d.target))
      if (name.startsWith(`${member[1]}.`)) add(name.slice(member[1].length + 1), 'property');
    return { targets };
  }
  if (/^\s*(log|catch|filter)\s+\w*$/.test(before)) for (const f of COMPACT_FILTERS) add(f.id, 'enum');
  if (before.trim() === word) for (const name of commandNames()) add(name, 'keyword');
  for (const name of REGISTERS) add(name, 'variable');
  if (m?.[1] === '') {
    if (!d.running) for (const v of d.environment(s.frame(args.frameId), false).locals()) add(v.name, 'variable');
    if (word.length > 0)
      for (const name of d.programs.completions(word, 200)) targets.push({ label: name, type: 'text', start, length: word.length });
  }
  return { targets };
};

/** Members of a structure, or of what a pointer leads to. */
const membersOf = (d: Debugger, expression: string, frame: Frame | undefined): string[] => {
  try {
    let t = stripType(d.evaluate(expression, frame, false).value.type);
    if (t.kind === 'pointer') t = stripType(t.target);
    return t.kind === 'struct' || t.kind === 'union' || t.kind === 'class'
      ? t.members.flatMap((x) => (x.name === undefined || x.name === '' ? [] : [x.name]))
      : [];
  } catch (error) {
    if (error instanceof ExpressionError) return [];
    throw error;
  }
};

const type = (s: Context, text: string): void => {
  const { machine } = s;
  if (machine === undefined) throw new RequestError(ERRORS.notLaunched, 'Nothing is launched yet.');
  machine.inputs.console(new TextEncoder().encode(text));
  s.d?.nudge();
};

export const evaluationRequests = (s: Context): Handlers => ({
  evaluate: (a) => evaluate(s, a),
  completions: (a) => completions(s, a),
  'lguest/console': (a) => {
    type(s, wantText(a, 'text'));
    return {};
  },
});
