// Commands of the Debug Console: what cannot be said as an expression. Text in, text out, so that every client has them.
//
// A line is a command when its first word is one and what follows does not make it an expression. What it leaves out: expressions (session.ts).

import { HYPERCALLS, LD } from '../lguest/abi';
import { formatPosition, type TrapRecord } from '../lguest/trap-record';
import { becameText, mnemonic, whatText, whyText } from './explain';
import { ExpressionError } from './expression';
import { vectorName } from './filters';
import { descriptorText } from './descriptor-text';
import { flagNames } from './scopes';
import type { Debugger, Granularity } from './session';
import { askInConsole, QUESTION_HELP, questionNames } from './questions';
import { GROUPS, type Group, gateAudit, groupText, groupTraps, irqState } from './trap-log';
import { hex8 } from './target';
import { stringAt } from './value';
import { parseAccess, trapTree, treeText, walkTree } from './views';

/** What commands need beside the debugger. */
export interface CommandHost {
  debugger: Debugger;
  /** Types on the Guest's console. */
  send(text: string): void;
  number(expression: string): number;
  resume(how: 'continue' | 'in' | 'over' | 'out', granularity: Granularity): void;
}

const HELP = `Expressions are C: registers ($eax or eax), symbols, casts, members; a format may follow a comma (,x ,d ,b ,s ,[8]).
Commands:
  why [K]              why the trap at hand (or trap K) ended as it did
  trap [K]             a trap record
  traps [N]            the newest N records (20)
  stats [by GROUP [FILTER]]  counts; GROUP one of vector outcome reason function page hypercall ring
  gates, irqs          gates asked for and installed; why each interrupt is or is not delivered
  page VA [ACCESS]     Guest and shadow tables for an address (read, write, user write ...)
  x/NFU ADDRESS        memory: N units, F one of x d u s i c, U one of b h w
  bt                   the call chain
  info reg|idt|gdt|irq|cr2|hcall|shadow|mem
  disas [ADDRESS]      instructions
  when                 position and Guest time
  send TEXT            types TEXT and Enter on the Guest's console
  c, s, n, si, ni, fin continue, step, next, by instruction, finish
  help                 this
`;

const recordLine = (r: TrapRecord, d: Debugger): string => {
  const at = d.programs.nameOf(r.eip) ?? hex8(r.eip);
  const cr2 = r.cr2 === undefined ? '' : ` cr2 ${hex8(r.cr2)}`;
  const call = r.hypercall === undefined ? '' : ` ${r.hypercall.name}`;
  return `${String(r.k).padStart(6)} ${formatPosition(r.pos).padEnd(12)} ${mnemonic(r)}${call}${cr2} ${at} → ${r.outcome}${r.reason === 'none' ? '' : ` (${r.reason})`}`;
};

const record = (d: Debugger, text: string): TrapRecord => {
  if (text === '') return d.record ?? fail('nothing has trapped yet');
  const k = Number(text);
  const { records } = d.target;
  if (!Number.isInteger(k)) fail(`"${text}" is no trap number`);
  return records.get(k < 0 ? records.count + k : k) ?? fail(`trap ${text} is not kept; traps ${records.first} to ${records.count - 1} are`);
};
const fail = (message: string): never => {
  throw new ExpressionError(message);
};

const info = (c: CommandHost, what: string): string => {
  const d = c.debugger;
  const { target, programs } = d;
  const { host } = target;
  switch (what) {
    case 'reg':
    case 'registers': {
      const row = (names: readonly string[]): string => names.map((n) => `${n.padEnd(3)} ${hex8(target.register(n as 'eax'))}`).join('  ');
      const eip = target.register('eip');
      return [
        row(['eax', 'ebx', 'ecx', 'edx']),
        row(['esi', 'edi', 'ebp', 'esp']),
        `eip ${hex8(eip)}  ${programs.nameOf(eip) ?? ''}`,
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
    case 'cr2':
    case 'trap':
      return treeText(trapTree(d));
    case 'idt': {
      if (host === undefined) return 'no Host\n';
      const rows: string[] = [];
      for (let n = 0; n < 256; n++) {
        const low = host.lg.idt[n * 2];
        const high = host.lg.idt[n * 2 + 1];
        if ((high & 0x8000) === 0) continue;
        const handler = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
        rows.push(
          `${String(n).padStart(3)} ${vectorName(n).padEnd(24)} ${hex8(handler)} ${programs.nameOf(handler) ?? ''} type 0x${((high >> 8) & 15).toString(16)} dpl ${(high >> 13) & 3}`,
        );
      }
      return `${rows.join('\n')}\n`;
    }
    case 'gdt':
      return host === undefined
        ? 'no Host\n'
        : `${[...Array(32).keys()].map((n) => `${String(n).padStart(2)} ${descriptorText(host.lg.gdt[n * 2], host.lg.gdt[n * 2 + 1])}`).join('\n')}\n`;
    case 'irq': {
      if (host === undefined) return 'no Host\n';
      const { lg } = host;
      const enabled = lg.ld < 0 ? 'unknown before LGUEST_INIT' : `0x${(lg.ld32(LD.irqEnabled) >>> 0).toString(16)}`;
      const lines = [
        `pending ${hex8(lg.irqsPending)}, blocked ${lg.ld < 0 ? '-' : hex8(lg.ld32(LD.blockedInterrupts))}, irq_enabled ${enabled}, ${lg.halted ? 'halted' : 'not halted'}`,
      ];
      lines.push(lg.timer < 0 ? 'timer not set' : `timer at ${lg.timer} ns, now ${host.nowNs} ns`);
      const records = host.records;
      for (let k = records.count - 1; k >= records.first; k--) {
        const r = records.get(k);
        if (r?.kind !== 'virq') continue;
        lines.push(`newest: ${recordLine(r, d)}`, `  ${becameText(r, programs)}`);
        break;
      }
      return `${lines.join('\n')}\n`;
    }
    case 'hcall':
    case 'traps':
      return stats(d);
    case 'shadow':
      return host === undefined
        ? 'no Host\n'
        : `${host.lg.pgdirs.map((p, n) => `${n === host.lg.pgdidx ? '*' : ' '} slot ${n}: ${p.shadow === 0 ? 'free' : `Guest directory ${hex8(p.gpgdir)}, shadow ${hex8(p.shadow)}`}`).join('\n')}\n`;
    case 'mem':
      return mappings(d);
    default:
      return fail(`info what? reg, idt, gdt, irq, cr2, hcall, shadow, mem`);
  }
};

/** The Guest's mappings as merged ranges. */
export const mappings = (d: Debugger): string => {
  const { host } = d.target;
  if (host === undefined) return 'no Host\n';
  const rows: string[] = [];
  let from = -1;
  let target = 0;
  let bits = 0;
  const end = (at: number): void => {
    if (from >= 0) rows.push(`${hex8(from)}-${hex8(at - 1)} → ${hex8(target)} ${bits & 4 ? 'user' : 'kernel'} ${bits & 2 ? 'rw' : 'r-'}`);
    from = -1;
  };
  for (let pde = 0; pde < 1023; pde++) {
    const top = host.guestWalk(pde * 0x400000);
    if (top.pde === undefined || (top.pde & 1) === 0) {
      end(pde * 0x400000);
      continue;
    }
    for (let pte = 0; pte < 1024; pte++) {
      const va = pde * 0x400000 + pte * 0x1000;
      const w = host.guestWalk(va);
      const b = w.pte === undefined ? 0 : w.pte & 6;
      if (from >= 0 && (w.target === undefined || w.target !== target + (va - from) || b !== bits)) end(va);
      if (w.target !== undefined && from < 0) {
        from = va;
        target = w.target;
        bits = b;
      }
    }
  }
  end(1023 * 0x400000);
  return rows.length === 0 ? 'nothing is mapped\n' : `${rows.join('\n')}\n`;
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
  let at = c.number(text);
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
      lines.push(`${hex8(at)} ${programs.nameOf(at) ?? ''}: ${d?.text ?? '(bad)'}`);
      at += d?.length ?? 1;
    }
  } else {
    const unit = { b: 1, h: 2, w: 4 }[unitLetter ?? (letter === 'c' ? 'b' : 'w')] ?? 4;
    const perLine = 16 / unit;
    for (let i = 0; i < count; i += perLine) {
      const values: string[] = [];
      for (let k = i; k < Math.min(count, i + perLine); k++) {
        const bytes = target.read(at + k * unit, unit);
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

const backtrace = (d: Debugger): string => {
  const stack = d.stack();
  stack.need(64);
  let n = 0;
  return `${stack.frames
    .map((f) =>
      f.kind === 'code' ? `#${n++}  ${hex8(f.pc)} ${f.name}${f.file === undefined ? '' : ` at ${f.file}:${f.line}`}` : `    ${f.name}`,
    )
    .join('\n')}\n`;
};

type Command = (c: CommandHost, rest: string) => string;
const COMMANDS: Readonly<Record<string, Command>> = {
  help: () => HELP + QUESTION_HELP,
  send: (c, rest) => {
    c.send(`${rest}\r`);
    return '';
  },
  why: (c, rest) => {
    if (rest === '') return c.debugger.why();
    const r = record(c.debugger, rest);
    return whyText(r, c.debugger.programs, c.debugger.decode(r.eip)?.text);
  },
  trap: (c, rest) => {
    const r = record(c.debugger, rest);
    return `${recordLine(r, c.debugger)}\n${whatText(r)}\n${becameText(r, c.debugger.programs)}.\n`;
  },
  traps: (c, rest) => {
    const { records } = c.debugger.target;
    const n = rest === '' ? 20 : Number(rest);
    if (!(n > 0)) fail(`"${rest}" is no count`);
    const lines: string[] = [];
    for (let k = Math.max(records.first, records.count - n); k < records.count; k++) {
      const r = records.get(k);
      if (r !== undefined) lines.push(recordLine(r, c.debugger));
    }
    return lines.length === 0 ? 'nothing has trapped yet\n' : `${lines.join('\n')}\n`;
  },
  stats: (c, rest) => {
    const by = /^by (\w+)\s*(.*)$/.exec(rest);
    if (by === null) return stats(c.debugger);
    if (!(GROUPS as readonly string[]).includes(by[1])) return fail(`stats by what? ${GROUPS.join(', ')}`);
    return groupText(groupTraps(c.debugger, by[1] as Group, by[2]));
  },
  gates: (c) =>
    gateAudit(c.debugger)
      .map(
        (g) =>
          `${String(g.vector).padStart(3)} ${g.name.padEnd(24)} ${g.route.padEnd(9)} asked ${g.asked}; installed ${g.installed}; ${g.why}\n`,
      )
      .join('') || 'the Guest has no gates yet\n',
  irqs: (c) =>
    irqState(c.debugger)
      .map((i) => `irq ${i.irq}: ${i.verdict}\n`)
      .join('') || 'no interrupt is set up or pending\n',
  page: (c, rest) => {
    const m = /^(.*?)\s*((?:user )?(?:read|write|execute))?$/.exec(rest);
    const answer = walkTree(c.debugger, c.number(m?.[1] ?? rest), parseAccess(m?.[2]));
    return treeText(answer.rows);
  },
  bt: (c) => backtrace(c.debugger),
  info: (c, rest) => info(c, rest),
  disas: (c, rest) => {
    const at = rest === '' ? c.debugger.target.pc : c.number(rest);
    return examine(c, '12i', hex8(at));
  },
  when: (c) => {
    const { target } = c.debugger;
    return `${formatPosition(target.position)}, ${target.nowNs} ns of Guest time, ${target.records.count} trap records\n`;
  },
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
  const text = line.trim();
  const x = /^x(?:\/(\S+))?\s+(.+)$/.exec(text);
  if (x !== null && (x[1] !== undefined || !/^[-+*/=.[<>&|^]/.test(x[2]))) {
    standing(c);
    return examine(c, x[1] ?? '', x[2]);
  }
  const m = /^([a-z]+)(?:\s+(.*))?$/s.exec(text);
  if (m === null) return undefined;
  const [, word, rest = ''] = m;
  const resume = RESUME[word];
  if (resume !== undefined && rest === '' && c.debugger.programs.addressOf(word) === undefined) {
    standing(c);
    c.resume(...resume);
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
