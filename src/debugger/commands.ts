// Commands of the Debug Console: what cannot be said as an expression. Text in, text out, so that every client has them.
//
// A line is a command when its first word is one and what follows does not make it an expression. What it leaves out: expressions (session.ts).

import { W } from '../i386/state';
import { HYPERCALLS } from '../lguest/abi';
import { formatPosition } from '../lguest/trap-record';
import { BREAKPOINT_COMMANDS, SPELLINGS } from './breakpoint-commands';
import { breakpointTable } from './breakpoint-rows';
import { operandNote } from './code-notes';
import { coverageText } from './coverage';
import { ExpressionError } from './expression';
import { vectorName } from './filters';
import { targetNote } from './listing';
import { flagNames } from './machine-rows';
import type { Debugger, Granularity } from './session';
import { askInConsole, QUESTION_HELP, questionNames } from './questions';
import { splitSpace } from './space-text';
import { hex8, segmentedText } from './target';
import { stringAt } from './value';
import { trapTree, treeText } from './views';

/** What commands need beside the debugger. */
export interface CommandHost {
  debugger: Debugger;
  /** Types on the Guest's console. */
  send(text: string): void;
  /** An expression's value as text. */
  print?(expression: string): string;
  number(expression: string): number;
  /** The machine was moved without running. */
  jumped?(): void;
  /** What stands in the scope `Globals (pinned)`. */
  pinned?: string[];
  resume(how: 'continue' | 'in' | 'over' | 'out', granularity: Granularity): void;
}

const HELP = `Expressions are C: registers ($eax or eax), symbols, casts, members; a format may follow a comma (,x ,d ,u ,o ,b ,c ,s ,p ,i ,f ,y ,Y ,[8]).
Commands:
  why [K]              why the trap at hand (or trap K) ended as it did
  trap [K]             a trap record and the words that were pushed
  stats [by GROUP [FILTER]]  counts; GROUP one of vector outcome reason function page hypercall refault
  page VA [ACCESS]     Guest and shadow tables for an address (read, write, user write ...)
  x/NFU ADDRESS        memory: N units, F one of x d u s i c, U one of b h w
  bt [host]            the call chain, and by what each frame was found; with the Host's functions
  info reg|cr|trap|b    registers; the trap at hand as the view shows it
  info symbols         the files with symbols, what each has and what of it is damaged
  disas [ADDRESS]      instructions
  executed [ADDRESS]   what of the function there was ever executed
  when                 position and Guest time
  b PLACE [if COND] [-> LOG], tb  breakpoint: NAME, file.c:LINE, 0xADDR, p:0xADDR, v@0xCR3:0xADDR, #INSTRUCTIONS
  watch|rwatch|awatch WHAT [if COND] [| log]  variable, $reg, eflags.IF, cr3, pte(VA) & MASK
  catch FILTER [if COND], log FILTER [if COND]   stop at traps, or only log them; catch off FILTER
  last EXPR            who wrote it last, where a watch records it
  console [once] /REGEX/[i]   stops when a line of the Guest's console matches
  delete [N], info b, watchlog [N]
  find "text"|0xWORD|bytes 12 34 [from 0x… to 0x…], what ADDRESS, set PLACE = VALUE
  pin [EXPR], unpin [EXPR]   what the scope Globals (pinned) shows at every stop
  send TEXT            types TEXT and Enter on the Guest's console
  c, s, n, si, ni, fin continue, step, next, by instruction, finish
  jump PLACE           goes on elsewhere in this function: 0xADDRESS, file.c:LINE
  help                 this
gdb's and Bochs' words are known too: break, tbreak, print/x, stepi, finish, where; vb, lb, pb, sb, blist, bpd, r, creg, xp, u.
`;

const fail = (message: string): never => {
  throw new ExpressionError(message);
};

const info = (c: CommandHost, what: string): string => {
  const d = c.debugger;
  const { target, programs } = d;
  switch (what) {
    case 'reg':
    case 'registers': {
      const row = (names: readonly string[]): string => names.map((n) => `${n.padEnd(3)} ${hex8(target.register(n as 'eax'))}`).join('  ');
      const eip = target.register('eip');
      const segmented = segmentedText(target, target.pc);
      return [
        row(['eax', 'ebx', 'ecx', 'edx']),
        row(['esi', 'edi', 'ebp', 'esp']),
        `eip ${hex8(eip)}  ${segmented === undefined ? '' : `${segmented} = linear ${hex8(target.pc)}  `}${programs.nameOf(target.pc) ?? ''}`,
        `eflags ${hex8(target.register('eflags'))} [${flagNames(target.register('eflags'))}]`,
        ['cs', 'ss', 'ds', 'es', 'fs', 'gs']
          .map(
            (n) =>
              `${n} ${target
                .register(n as 'cs')
                .toString(16)
                .padStart(4, '0')}`,
          )
          .join('  '),
        '',
      ].join('\n');
    }
    case 'b':
    case 'break':
    case 'breakpoints':
      return breakpointTable(d);
    case 'cr': {
      const { m32 } = target.processor.cpu;
      return `cr0 ${hex8(m32[W.CR0])} cr2 ${hex8(m32[W.CR2])} cr3 ${hex8(m32[W.CR3])} cr4 ${hex8(m32[W.CR4])}\n`;
    }
    case 'trap':
      return treeText(trapTree(d));
    case 'symbols':
      return symbolsText(d);
    default:
      return fail(`info what? reg, trap, symbols, idt, gdt, ldt, tss, mem, tlb, audit, irq, hcall, shadow, cr2, traps, filters, storm`);
  }
};

const symbolsText = (d: Debugger): string => {
  const files = d.allPrograms();
  if (files.length === 0) return 'no file with symbols\n';
  return files
    .map(({ path, table, symbols }) => {
      const units = symbols?.dwarf.units.length ?? 0;
      const lines = units === 0 ? 'no lines and types' : `lines and types of ${units} source files`;
      return `${path}: ${table.size} names, ${lines}\n${(symbols?.problems ?? []).map((p) => `  ${p}\n`).join('')}`;
    })
    .join('');
};

export const stats = (d: Debugger): string => {
  const t = d.target.records.totals;
  const rows: [string, number][] = [];
  for (const [name, n] of Object.entries(t.outcomes)) if (n > 0) rows.push([name, n]);
  const block = (title: string, list: [string, number][]): string => {
    const sum = list.reduce((s, [, n]) => s + n, 0) || 1;
    return `${title}\n${list
      .sort((a, b) => b[1] - a[1])
      .map(([name, n]) => `  ${name.padEnd(28)} ${String(n).padStart(9)} ${((100 * n) / sum).toFixed(1).padStart(6)} %`)
      .join('\n')}\n`;
  };
  const vectors: [string, number][] = [];
  t.traps.forEach((n, v) => {
    if (n > 0) vectors.push([`${v} ${v === 256 ? 'Switcher fault' : vectorName(v)}`, n]);
  });
  t.direct.forEach((n, v) => {
    if (n > 0) vectors.push([`${v} ${vectorName(v)} (direct)`, n]);
  });
  const calls: [string, number][] = [];
  t.hypercallsSync.forEach((n, i) => {
    if (n > 0) calls.push([HYPERCALLS[i]?.name ?? 'unknown', n]);
  });
  t.hypercallsAsync.forEach((n, i) => {
    if (n > 0) calls.push([`${HYPERCALLS[i]?.name ?? 'unknown'} (ring)`, n]);
  });
  return `${block('by outcome', rows)}${block('by vector', vectors)}${block('hypercalls', calls)}world switches ${t.worldSwitches}\n`;
};

const examine = (c: CommandHost, spec: string, text: string): string => {
  const parts = /^(\d*)([xdusicbhw]{0,2})$/.exec(spec) ?? fail('x/NFU: a count, a format of x d u s i c, a unit of b h w');
  const count = Math.min(1000, Number(parts[1] || '1'));
  const letter = /[xdusic]/.exec(parts[2])?.[0] ?? 'x';
  const unitLetter = /[bhw]/.exec(parts[2])?.[0];
  const { target, programs } = c.debugger;
  const { space, rest } = splitSpace(text);
  let at = c.number(rest);
  const lines: string[] = [];
  if (letter === 's') {
    for (let i = 0; i < count; i++) {
      const s = stringAt(
        {
          read: (a, n) => {
            const b = target.read(a, n);
            return b.length === n ? b : undefined;
          },
        },
        at,
        200,
      );
      lines.push(`${hex8(at)}: ${s ?? '(not mapped)'}`);
      at += (s?.length ?? 2) - 1;
    }
  } else if (letter === 'i') {
    for (let i = 0; i < count; i++) {
      const d = c.debugger.decode(at);
      const place = [hex8(at), segmentedText(target, at), programs.nameOf(at)].filter((x) => x !== undefined).join(' ');
      const here = d === undefined || at !== target.pc ? '' : operandNote(c.debugger, d);
      lines.push(`${place}: ${d === undefined ? '(bad)' : `${d.text}${targetNote(programs, d)}${here}`}`);
      at += d?.length ?? 1;
    }
  } else {
    const unit = { b: 1, h: 2, w: 4 }[unitLetter ?? (letter === 'c' ? 'b' : 'w')] ?? 4;
    const perLine = 16 / unit;
    for (let i = 0; i < count; i += perLine) {
      const values: string[] = [];
      for (let k = i; k < Math.min(count, i + perLine); k++) {
        const bytes = target.read(at + k * unit, unit, space);
        if (bytes.length < unit) values.push('??');
        else {
          const v = bytes.reduceRight((s, b) => s * 256 + b, 0);
          const signed = v >= 2 ** (unit * 8 - 1) ? v - 2 ** (unit * 8) : v;
          values.push(
            letter === 'd'
              ? String(signed)
              : letter === 'u'
                ? String(v)
                : letter === 'c'
                  ? `${v} '${v >= 32 && v < 127 ? String.fromCharCode(v) : '.'}'`
                  : `0x${v.toString(16).padStart(unit * 2, '0')}`,
          );
        }
      }
      lines.push(`${hex8(at + i * unit)}: ${values.join(' ')}`);
    }
  }
  return `${lines.join('\n')}\n`;
};

const backtrace = (d: Debugger, rest: string): string => {
  if (rest !== '' && rest !== 'host') fail('bt, or bt host with the functions of the Host');
  const stack = rest === 'host' ? d.stackWithHost() : d.stack();
  stack.need(64);
  let n = 0;
  return `${stack.frames
    .map((f) =>
      f.kind === 'code'
        ? `#${n++}  ${hex8(f.pc)} ${f.name}${f.file === undefined ? '' : ` at ${f.file}:${f.line}`}${f.method === 'exact' || f.inlineDepth > 0 ? '' : ` (${f.method})`}`
        : `    ${f.name}`,
    )
    .join('\n')}\n`;
};

/** `file.c:LINE`, or an expression for an address. @throws ExpressionError. */
export const jumpPlace = (d: Debugger, text: string): number => {
  const line = /^([^:\s]+):(\d+)$/.exec(text);
  if (line === null)
    return Number(
      BigInt.asUintN(32, d.evaluate(text === '' ? fail('where? jump 0xADDRESS or jump file.c:LINE') : text, undefined, false).value.bits),
    );
  const [found] = d.programs.locationsForLine(line[1], Number(line[2]));
  return found === undefined ? fail(`no code at ${text}`) : d.programs.addresses(found.program, found.at.address)[0];
};
/** `pin [EXPRESSION]`: the scope `Globals (pinned)` shows it at every stop. */
const pin = (c: CommandHost, rest: string): string => {
  const pinned = c.pinned ?? fail('there are no scopes here to pin anything in');
  if (rest !== '' && !pinned.includes(rest)) {
    c.debugger.evaluate(rest, undefined, false);
    pinned.push(rest);
  }
  return pinned.length === 0 ? 'nothing is pinned\n' : `pinned: ${pinned.join('; ')}\n`;
};
const unpin = (c: CommandHost, rest: string): string => {
  const pinned = c.pinned ?? fail('there are no scopes here to unpin anything from');
  const at = pinned.indexOf(rest);
  if (rest !== '' && at < 0) fail(`"${rest}" is not pinned: ${pinned.join('; ') || 'nothing is'}`);
  pinned.splice(rest === '' ? 0 : at, rest === '' ? pinned.length : 1);
  return pin(c, '');
};

type Command = (c: CommandHost, rest: string) => string;
const COMMANDS: Readonly<Record<string, Command>> = {
  help: () => HELP + QUESTION_HELP,
  send: (c, rest) => {
    c.send(`${rest}\r`);
    return '';
  },
  why: (c) => c.debugger.why(),
  stats: (c) => stats(c.debugger),
  bt: (c, rest) => backtrace(c.debugger, rest),
  ...Object.fromEntries(
    Object.entries(BREAKPOINT_COMMANDS).map(([name, run]): [string, Command] => [name, (c, rest) => run(c.debugger, rest)]),
  ),
  info: (c, rest) => info(c, rest),
  disas: (c, rest) => {
    const at = rest === '' ? c.debugger.target.pc : c.number(rest);
    return examine(c, '12i', hex8(at));
  },
  jump: (c, rest) => {
    c.debugger.goto(jumpPlace(c.debugger, rest));
    c.jumped?.();
    return '';
  },
  pin: (c, rest) => pin(c, rest),
  unpin: (c, rest) => unpin(c, rest),
  executed: (c, rest) => coverageText(c.debugger, rest === '' ? c.debugger.target.pc : c.number(rest)),
  when: (c) => {
    const { target } = c.debugger;
    return `${formatPosition(target.position)}, ${target.nowNs} ns of Guest time, ${target.records.count} trap records\n`;
  },
};
/** Bochs' and gdb's words in ours. A symbol of the program with that name goes first. */
const spelled = (c: CommandHost, text: string): string => {
  // Both gdb and Bochs let a blank stand before the slash.
  const m = /^([a-z]+)(?:\s*(\/\d*[a-z]+))?(?:\s+(.*))?$/s.exec(text);
  if (m === null || !Object.hasOwn(SPELLINGS, m[1]) || c.debugger.programs.addressOf(m[1]) !== undefined) return text;
  if (/^(=|\+=|-=|->|\[|\.|==)/.test(m[3] ?? '')) return text;
  const ours = SPELLINGS[m[1]];
  if (ours === 'xp') return `x${m[2] ?? ''} p:${m[3] ?? ''}`;
  if (ours === 'print') return (m[3] ?? '') + (m[2] === undefined ? '' : m[2].replace('/', ','));
  return /[:#]$/.test(ours) ? `${ours}${m[3] ?? ''}` : `${ours}${m[2] ?? ''}${m[3] === undefined ? '' : ` ${m[3]}`}`;
};
const RESUME: Readonly<Record<string, ['continue' | 'in' | 'over' | 'out', Granularity]>> = {
  c: ['continue', 'line'],
  s: ['in', 'line'],
  n: ['over', 'line'],
  si: ['in', 'instruction'],
  ni: ['over', 'instruction'],
  fin: ['out', 'line'],
};
/** Commands that may be given while the Guest runs. */
const ANY_TIME = new Set(['help', 'send']);

export const commandNames = (): string[] => [...new Set([...Object.keys(COMMANDS), ...questionNames()]), 'x', ...Object.keys(RESUME)];

/** Runs a line if it is a command. @returns the text, or undefined when the line is an expression. Throws ExpressionError. */
export const runCommand = (c: CommandHost, line: string): string | undefined => {
  const text = spelled(c, line.trim());
  if (text !== line.trim() && /^(p|print)\b/.test(line.trim())) {
    standing(c);
    return c.print?.(text);
  }
  const x = /^x(?:\s*\/(\d*[a-z]+|\d+(?=\s)))?\s+(.+)$/.exec(text);
  if (x !== null && (x[1] !== undefined || !/^[-+*/=.[<>&|^]/.test(x[2]))) {
    standing(c);
    return examine(c, x[1] ?? '', x[2]);
  }
  const m = /^([a-z]+)(?:\s+(.*))?$/s.exec(text);
  if (m === null) return undefined;
  const [, word, rest = ''] = m;
  // A local variable of that name goes first; of a global one, `'name'` is the expression.
  if (
    rest === '' &&
    !c.debugger.running &&
    c.debugger
      .environment(undefined, false)
      .locals()
      .some((v) => v.name === word)
  )
    return undefined;
  if (Object.hasOwn(RESUME, word) && rest === '' && c.debugger.programs.addressOf(word) === undefined) {
    standing(c);
    c.resume(...RESUME[word]);
    return '';
  }
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if ((command === undefined && !questionNames().includes(word)) || /^(=|\+=|-=|->|\[|\.|==)/.test(rest)) return undefined;
  if (!ANY_TIME.has(word)) standing(c);
  return askInConsole(c.debugger, word, rest.trim()) ?? command?.(c, rest.trim());
};
const standing = (c: CommandHost): void => {
  if (c.debugger.running) throw new ExpressionError('the Guest is running; pause it first');
};
