// Functions of the machine in expressions: walk(a) pa(a) va(p) sym(a) idt(n) gdt(n) task(p) trap(k) why() count(filter) changed(x) lastwrite(x) list(head, type, member).
//
// Answers are values like any other, so they can be opened, formatted and watched: a walk and a trap are structures, tasks are pointers with their type. None of them
// changes anything. What it leaves out: the language (expression.ts) and frames (frame-environment.ts).

import { baseOf, limitOf } from '../i386/descriptors';
import type { TrapRecord } from '../lguest/trap-record';
import { type Type, stripType } from '../symbols/dwarf/types';
import { descriptorText } from './descriptor-text';
import { becameText, whatText } from './explain';
import { ADDRESS, ExpressionError, INT, number, parse, pointerTo, UCHAR, UINT, type Environment, type Value } from './expression';
import { fieldOf } from './kernel-data';
import type { LastWrite } from './last-writes';
import { mappingsOf } from './mappings';
import { CODE, prose, structure, textValue, UWIDE } from './made-values';
import { type PageAccess, walkPage } from './page-walk';
import type { KernelPrinters } from './printers';
import type { Programs } from './programs';
import type { Target } from './target';
import type { Tasks } from './tasks';
import { splitFormat } from './value';

/** What the functions ask; the debugger offers it. */
export interface MachineQuestions {
  target: Target;
  programs: Programs;
  tasks: Tasks;
  printers: KernelPrinters;
  /** The trap at hand or the newest. */
  record(): TrapRecord | undefined;
  /** Newest first when negative. */
  recordNumbered(k: number): TrapRecord | undefined;
  why(k?: number): string;
  lastWrite(address: number, length: number): LastWrite | string;
  recordTest(text: string): (record: TrapRecord) => boolean;
  /** Whether an expression's value is another one than when the Guest was last set running; undefined: nobody asked before. */
  changed(text: string): boolean | undefined;
}

const trapValue = (q: MachineQuestions, r: TrapRecord): Value =>
  structure('trap', [
    ['k', UINT, r.k],
    ['kind', 'text', r.kind],
    ['vector', UINT, r.vector],
    ['err', ADDRESS, r.err],
    ['cr2', ADDRESS, r.cr2],
    ['eip', CODE, r.eip],
    ['cpl', UINT, r.cpl],
    ['esp', ADDRESS, r.esp >>> 0],
    ['outcome', 'text', r.outcome],
    ['reason', 'text', r.reason],
    ['handler', CODE, r.handler],
    ['nr', UINT, r.hypercall?.number],
    ['call', 'text', r.hypercall?.name],
    ['arg1', ADDRESS, r.hypercall?.args[0]],
    ['arg2', ADDRESS, r.hypercall?.args[1]],
    ['arg3', ADDRESS, r.hypercall?.args[2]],
    ['virq', INT, r.virq?.irq],
    ['insns', UWIDE, BigInt(r.pos.retired)],
    ['what', 'text', whatText(r)],
    ['became', 'text', becameText(r, q.programs)],
    ['message', 'text', r.message],
  ]);

type Call = (q: MachineQuestions, env: Environment, args: Value[]) => Value;
const fail = (message: string): never => {
  throw new ExpressionError(message);
};
const word = (v: Value | undefined, what: string): number =>
  v === undefined ? fail(`${what} is missing`) : v.missing !== undefined ? fail(v.missing) : Number(BigInt.asUintN(32, v.bits));
const textOf = (v: Value | undefined, what: string): string => {
  const { bytes } = v ?? fail(`${what} is missing`);
  if (v?.type.kind !== 'void' || bytes === undefined) return fail(`${what} must be a text in quotes`);
  return new TextDecoder().decode(bytes);
};

const CALLS: Readonly<Record<string, Call>> = {
  pa: (q, _, [a]) => {
    const at = word(a, 'the address');
    const p = q.target.physical(at);
    return p === undefined ? { type: UINT, bits: 0n, missing: 'the Guest maps nothing there' } : number(p, ADDRESS);
  },
  sym: (q, _, [a]) => textValue(q.programs.nameOf(word(a, 'the address')) ?? 'no symbol'),
  read8: (_, env, [a]) => memory(env, word(a, 'the address'), UCHAR),
  read16: (_, env, [a]) => memory(env, word(a, 'the address'), { kind: 'base', name: 'unsigned short', size: 2, encoding: 'unsigned' }),
  read32: (_, env, [a]) => memory(env, word(a, 'the address'), UINT),
  idt: (q, _, [n]) => {
    const vector = word(n, 'the vector');
    if (vector > 255) fail(`${vector} is no vector: 0 to 255`);
    const gates = q.target.host?.lg.idt ?? fail("this machine has no Host, which keeps the Guest's gates");
    const high = gates[vector * 2 + 1];
    if ((high & 0x8000) === 0) return { type: CODE, bits: 0n, missing: 'the Guest has no gate there' };
    return number(((high & 0xffff0000) | (gates[vector * 2] & 0xffff)) >>> 0, CODE);
  },
  walk: (q, _, [a, ...words]) => {
    const va = word(a, 'the address');
    const { host } = q.target;
    const { tables, access } = walkWords(words.map((w) => textOf(w, 'what to walk for')));
    if (host === undefined) {
      const physical = q.target.physical(va);
      return structure('walk', [
        ['va', ADDRESS, va],
        ['physical', ADDRESS, physical],
      ]);
    }
    const guest = tables === 's' ? undefined : host.guestWalk(va);
    const shadow = tables === 'g' ? undefined : host.shadowWalk(va);
    const answer = access === undefined ? undefined : walkPage(host, va, access);
    return structure('walk', [
      ['va', ADDRESS, va],
      ['gpde', ADDRESS, guest?.pde],
      ['gpte', ADDRESS, guest?.pte],
      ['physical', ADDRESS, guest?.target],
      ['spde', ADDRESS, shadow?.pde],
      ['spte', ADDRESS, shadow?.pte],
      ['machine', ADDRESS, shadow?.target],
      ['access', 'text', answer?.access],
      ['outlook', 'text', answer?.outlook],
      ['answer', 'text', answer?.answer],
    ]);
  },
  va: (q, _, [p]) => {
    const physical = word(p, 'the guest-physical address');
    const host = q.target.host ?? fail("this machine has no Host, which keeps the Guest's tables");
    // The kernel's own mapping is the lowest of many above user space.
    const places = mappingsOf(host, 'guest')
      .filter((m) => physical >= m.target && physical - m.target <= m.to - m.from)
      .map((m) => ({ at: (m.from + (physical - m.target)) >>> 0, user: m.user }));
    const place = places.find((m) => !m.user) ?? places[0];
    return place === undefined ? { type: ADDRESS, bits: 0n, missing: 'the Guest maps it nowhere now' } : number(place.at, ADDRESS);
  },
  gdt: (q, _, [n]) => {
    const index = word(n, 'the index');
    const gdt = q.target.host?.lg.gdt ?? fail("this machine has no Host, which keeps the Guest's descriptors");
    if (index * 2 >= gdt.length) fail(`${index} is no descriptor: 0 to ${gdt.length / 2 - 1}`);
    const [low, high] = [gdt[index * 2], gdt[index * 2 + 1]];
    return structure('descriptor', [
      ['base', ADDRESS, baseOf(low, high) >>> 0],
      ['limit', ADDRESS, limitOf(low, high) >>> 0],
      ['dpl', UINT, (high >> 13) & 3],
      ['low', ADDRESS, low],
      ['high', ADDRESS, high],
      ['text', 'text', descriptorText(low, high)],
    ]);
  },
  changed: (q, env, [x]) => {
    const text = textOf(x, 'the expression');
    parse(splitFormat(text).expression, (name) => env.type(name) !== undefined);
    const changed = q.changed(text);
    return changed === undefined ? { type: INT, bits: 0n, missing: 'known from the next stop on' } : number(changed ? 1 : 0, INT);
  },
  task: (q, _, [p]) => {
    const type = q.tasks.data.type('struct task_struct') ?? fail('the kernel has no debug information about tasks');
    const text = p?.type.kind === 'void' && p.bytes !== undefined ? textOf(p, 'the name') : undefined;
    const task =
      p === undefined
        ? q.tasks.current()
        : text === undefined
          ? q.tasks.byPid(word(p, 'the pid') | 0)
          : q.tasks.list().tasks.find((t) => t.comm === text);
    if (task === undefined) return fail(text === undefined ? 'no task is current' : `there is no task called "${text}"`);
    return number(task.address, pointerTo(type));
  },
  trap: (q, _, [k]) => {
    const n = k === undefined ? -1 : word(k, 'the number') | 0;
    const r = k === undefined ? q.record() : q.recordNumbered(n);
    return r === undefined ? fail(k === undefined ? 'nothing has trapped yet' : `trap ${n} is not kept`) : trapValue(q, r);
  },
  why: (q, _, [k]) => prose(k === undefined ? q.why() : q.why(word(k, 'the number') | 0)),
  count: (q, _, [filter]) => {
    const test = q.recordTest(textOf(filter, 'the filter'));
    const { records } = q.target;
    let n = 0;
    for (let k = records.first; k < records.count; k++) {
      const r = records.get(k);
      if (r !== undefined && test(r)) n++;
    }
    return number(n, UINT);
  },
  lastwrite: (q, _, [x]) => {
    if (x === undefined) return fail('what was written is missing');
    if (x.register !== undefined) return fail(`${x.register} is a register: writes to registers are not recorded`);
    // A pointer that lies nowhere, such as &x, stands for what it leads to.
    const t = stripType(x.type);
    const size = x.address !== undefined ? x.type.size : t.kind === 'pointer' ? t.target.size : 1;
    const write = q.lastWrite(x.address ?? word(x, 'the address'), Math.max(1, size));
    if (typeof write === 'string') return fail(write);
    return structure('write', [
      ['insns', UWIDE, BigInt(write.position.retired)],
      ['pc', CODE, write.pc],
      ['by', 'text', write.by],
    ]);
  },
  list: (q, env, [head, type, link]) => {
    const name = textOf(type, 'the type of the elements');
    const t = q.tasks.data.type(name) ?? env.type(name) ?? fail(`no type "${name}" is known`);
    const member = textOf(link, 'the member that links them');
    const field = fieldOf(t, member) ?? fail(`${name} has no member "${member}"`);
    if (head === undefined) return fail('the head of the list is missing');
    const pointer = stripType(head.type);
    const value = pointer.kind === 'pointer' ? { type: pointer.target, bits: 0n, address: Number(BigInt.asUintN(32, head.bits)) } : head;
    return q.printers.elements(env, value, t, field.offset);
  },
};

/** `g` or `s`: one of the two tables; letters of r w x u k: the access that is asked about. */
const walkWords = (words: readonly string[]): { tables: string | undefined; access: PageAccess | undefined } => {
  let tables: string | undefined;
  let access: PageAccess | undefined;
  for (const w of words) {
    if (w === 'g' || w === 's') tables = w;
    else if (/^[rwxuk]+$/.test(w)) access = { write: w.includes('w'), user: w.includes('u') };
    else fail(`walk() does not know "${w}": g or s for one of the tables, letters of r w x u k for an access`);
  }
  return { tables, access };
};

const memory = (env: Environment, address: number, type: Type): Value => {
  const bytes = env.read(address, type.size);
  return bytes === undefined
    ? { type, bits: 0n, missing: `memory at 0x${address.toString(16).padStart(8, '0')} is not mapped` }
    : { type, bits: bytes.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n), address };
};

/** Names of the functions, for completion. */
export const MACHINE_FUNCTIONS: readonly string[] = Object.keys(CALLS);

/** @returns undefined: no such function. Throws ExpressionError. */
export const callMachine = (q: MachineQuestions, env: Environment, name: string, args: Value[]): Value | undefined =>
  Object.hasOwn(CALLS, name) ? CALLS[name](q, env, args) : undefined;
