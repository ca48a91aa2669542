// What a kernel means to the debugger: tasks, types, its log, modules and user programs; and the expressions that ask for them.
//
// fixtures/kernel.c is a kernel of a few tasks whose structures have Linux's names, run on the bare machine. Its module and its user program lie in its image as if they
// had been loaded, so their places are taken out of the kernel's own symbols.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runCommand } from '../../src/debugger/commands';
import { kernelLog, logLines } from '../../src/debugger/dmesg';
import { openProgram, Programs } from '../../src/debugger/programs';
import { restartFrame } from '../../src/debugger/restart-frame';
import type { Frame } from '../../src/debugger/stack';
import { QUESTIONS } from '../../src/debugger/questions';
import { type Item, valueItem } from '../../src/debugger/item';
import { Scopes } from '../../src/debugger/scopes';
import { Debugger, type StopInfo } from '../../src/debugger/session';
import { BareTarget } from '../../src/debugger/target';
import { taskListText, taskName, waitChannel } from '../../src/debugger/task-views';
import { formatValue } from '../../src/debugger/value';
import { BareMachine } from '../../src/launcher/bare';

const FIXTURES = 'test/debugger/fixtures';
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(`${FIXTURES}/${name}`));
const IMAGE = file('kernel.elf');

interface Run {
  d: Debugger;
  machine: BareMachine;
  /** Runs on to the next stop. */
  on(): Promise<StopInfo | 'ended'>;
  step(kind: 'in' | 'over' | 'out'): Promise<StopInfo | 'ended'>;
}
const boot = (prepare: (d: Debugger) => void = () => {}): Run => {
  const machine = new BareMachine({ image: IMAGE, memoryBytes: 8 << 20, jit: false, records: 1024 });
  const kernel = openProgram(IMAGE, 'kernel.elf');
  kernel.segments = kernel.segments.filter((s) => s.low < 0x200000);
  const d = new Debugger(new BareTarget(machine), new Programs([kernel]));
  d.realTime = false;
  prepare(d);
  const stopped = (go: () => void): Promise<StopInfo | 'ended'> =>
    new Promise((done) => {
      d.onStop = done;
      d.onEnd = () => done('ended');
      go();
    });
  return { d, machine, on: () => stopped(() => d.continue()), step: (kind) => stopped(() => d.step(kind, 'line')) };
};
const breakAt = (d: Debugger, ...patterns: string[]): void => {
  d.setBreakpoints(
    'function',
    () => true,
    patterns.map((pattern) => ({ kind: 'function', pattern })),
  );
};
/** Stands in ready(): tasks 1, 7, 8, 9 have not run, 2 sleeps. */
const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};
const ready = once(async () => {
  const run = boot((d) => breakAt(d, 'ready'));
  await run.on();
  return run;
});
const show = (d: Debugger, text: string): string => {
  const { value, env, format } = d.evaluate(text, undefined, false);
  return formatValue(value, d.valueContext(env), format);
};
const item = (d: Debugger, text: string): Item => {
  const { value, env, format } = d.evaluate(text, undefined, false);
  return valueItem(text, text, value, d.valueContext(env), format);
};
const ask = (d: Debugger, line: string): string =>
  runCommand({ debugger: d, send: () => {}, number: () => 0, resume: () => {} }, line) ?? assert.fail(`"${line}" is no command`);

// ---- tasks --------------------------------------------------------------------------------------------------------------------------------

test('tasks are found from init_task on, threads behind their process', async () => {
  const { d } = await ready();
  const { tasks, broken } = d.tasks.list();
  assert.equal(broken, undefined);
  assert.deepEqual(
    tasks.map((t) => `${t.pid} ${t.tgid} ${t.comm} ${t.state}${t.current ? ' *' : ''}`),
    ['0 0 swapper R *', '1 1 init D', '2 2 worker S', '7 7 cat R', '8 7 cat Z', '9 9 dog R'],
  );
  assert.equal(new Set(tasks.map((t) => t.key)).size, 6);
  assert.equal(d.tasks.byPid(2).comm, 'worker');
  assert.throws(() => d.tasks.byPid(77), /no task with pid 77/);
});

test('the chain of a sleeping task begins where it left the processor and has its locals', async () => {
  const { d } = await ready();
  const task = d.tasks.byPid(2);
  const stack = d.stackOf(task);
  stack.need(10);
  assert.deepEqual(
    stack.frames.map((f) => f.name),
    ['schedule', 'wait_for_event', 'worker'],
  );
  assert.equal(stack.frames[0].method, 'saved by the switch');
  assert.equal(stack.frames[1].method, 'shadow stack');
  const env = d.environment(stack.frames[1], false);
  assert.deepEqual(
    env
      .locals()
      .map((v) => v.name)
      .sort(),
    ['me', 'number', 'waited'],
  );
  const scopes = new Scopes(d, () => false).of(stack.frames[1]);
  assert.deepEqual(
    scopes.map((s) => s.name),
    ['Locals', 'Registers', 'Task', 'Statics'],
  );
  const locals = scopes[0].open?.(0, 10) ?? [];
  assert.match(locals.find((i) => i.name === 'me')?.value ?? '', /^pid 2 worker \[S\], woken by wake$/);
  assert.equal(d.evaluate('comm', stack.frames[1], false).value.bytes?.[0], 'w'.charCodeAt(0));
  assert.equal(waitChannel(d, task), 'wait_for_event');
  assert.equal(taskName(d, task), 'pid 2 worker [S] wait_for_event');
});

test('an argument that only its caller still has is read from what the caller kept', async () => {
  const run = boot((d) => {
    d.addBreakpoint({ kind: 'instruction', address: 0x10011c }); // the end of adopt(), its registers are back in the caller's hands
  });
  const { d } = run;
  for (const [task, pid] of [
    ['&init_task', '0'],
    ['&pool[0]', '1'],
  ]) {
    await run.on();
    const stack = d.stack();
    stack.need(1);
    assert.equal(stack.frames[0].name, 'adopt');
    assert.equal(show(d, 'task'), show(d, task));
    assert.equal(show(d, 'task->pid'), pid);
    assert.match(show(d, 'comm'), /^0x[0-9a-f]+ .*"(swapper|init)"/);
  }
});

test('a frame whose arguments came in registers is restarted with what its caller kept, and refused when that is not known', async () => {
  const run = boot((d) => {
    d.addBreakpoint({ kind: 'instruction', address: d.programs.functionsNamed('adopt')[0].entry });
    d.addBreakpoint({ kind: 'instruction', address: 0x10011c });
  });
  const { d } = run;
  const registers = (): number[] =>
    (['eip', 'esp', 'eax', 'ecx', 'edx', 'ebx', 'ebp', 'esi', 'edi'] as const).map((n) => d.target.register(n) >>> 0);
  const top = (): Frame => {
    d.stack().need(1);
    return d.stack().frames[0];
  };
  await run.on();
  const first = registers();
  await run.on();
  assert.notDeepEqual(registers().slice(2), first.slice(2));
  assert.equal(restartFrame(d, top()).reason, 'restart');
  assert.deepEqual(registers(), first);
  await run.on();
  // A return address behind another call: nobody has passed anything to adopt() there.
  const behind = d.target.read32(d.target.register('esp') + 4) ?? 0;
  const esp = d.target.register('esp') + 4;
  assert.ok(behind > 0x100000);
  d.target.write(esp, Uint8Array.of(0x45, 0x04, 0x10, 0));
  d.forget();
  const before = registers();
  assert.throws(() => restartFrame(d, top()), /the argument "\w+" came in e[acd]x, and its caller has not kept it; nothing was changed/);
  assert.deepEqual(registers(), before);
});

test('what a task waits in is found once, and anew when its stack holds something else', async () => {
  const run = boot((x) => breakAt(x, 'ready'));
  const { d } = run;
  await run.on();
  const task = d.tasks.byPid(2);
  assert.equal(waitChannel(d, task), 'wait_for_event');
  let looked = 0;
  const { stackOf } = d;
  d.stackOf = (t) => {
    looked++;
    return stackOf.call(d, t);
  };
  assert.equal(waitChannel(d, task), 'wait_for_event');
  assert.equal(looked, 0);
  const esp = d.tasks.object(task).number('thread.esp') ?? 0;
  for (let at = esp; at < esp + 256; at += 4) {
    if (!d.programs.nameOf(d.target.read32(at) ?? 0)?.startsWith('wait_for_event')) continue;
    const other = (d.programs.addressOf('shared_work') ?? 0) + 8;
    d.target.write(at, Uint8Array.of(other, other >> 8, other >> 16, other >> 24));
    break;
  }
  assert.notEqual(waitChannel(d, task), 'wait_for_event');
  assert.equal(looked, 1);
});

test('a task shows its mappings, and its files by path through mounts', async () => {
  const { d } = await ready();
  const cat = d.tasks.byPid(7);
  assert.deepEqual(
    d.tasks.mappings(cat.mm).map((m) => `${m.start.toString(16)} ${m.access} ${m.file}`),
    ['300000 r-xp /bin/cat', '3f0000 rw-p [stack]'],
  );
  assert.deepEqual(
    d.tasks.files(cat).map((f) => `${f.fd} ${f.path}`),
    ['0 /proc/stat', '2 /bin/cat'],
  );
  assert.match(ask(d, 'tasks 7'), /pid 7 cat\n.*mm .*2 mappings\n.*0x00300000-0x00301000 r-xp {2}\/bin\/cat/s);
  assert.match(taskListText(d), /2 {5}0 S {2}0x\w+ \[worker\] +wait_for_event\n/);
  const answer = QUESTIONS.tasks(d, {}) as {
    tasks: { pid: number; waitChannel?: string }[];
    nodes: { label: string; children: { label: string }[] }[];
  };
  assert.deepEqual(
    answer.tasks.map((t) => t.pid),
    [0, 1, 2, 7, 8, 9],
  );
  assert.deepEqual(
    answer.nodes[0].children.map((n) => n.label),
    ['1 [init]', '2 [worker]', '7 cat', '9 dog'],
  );
  const [, worker] = answer.nodes[0].children as unknown as { task: number; reference: string; as: string }[];
  assert.deepEqual([worker.task, worker.as, Number(worker.reference)], [2, 'struct task_struct', d.tasks.byPid(2).address]);
});

test('a damaged list of tasks is cut and said to be damaged', async () => {
  const run = boot((x) => breakAt(x, 'ready'));
  const { d } = run;
  await run.on();
  const second = d.tasks.byPid(2);
  const link = d.tasks.data.field('task_struct', 'tasks');
  d.target.write(second.address + (link?.offset ?? 0), Uint8Array.of(0, 0, 0, 0));
  const { tasks, broken } = d.tasks.list();
  assert.deepEqual(
    tasks.map((t) => t.pid),
    [0, 1, 2],
  );
  assert.equal(broken, 'an element is 0x0');
});

test('pid, comm and ring are names in every condition, and a step stays in its task', async () => {
  const run = boot((d) => {
    d.setBreakpoints('function', () => true, [
      { kind: 'function', pattern: 'shared_work', condition: 'pid == 9 && ring == 0' },
      { kind: 'function', pattern: 'user_main' },
    ]);
  });
  const { d } = run;
  assert.equal((await run.on()) === 'ended', false);
  assert.equal(show(d, 'comm'), '"dog"');
  assert.equal(show(d, 'step'), '9');
  d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'shared_work', condition: 'comm == "cat"' }]);
  await run.on();
  assert.equal(show(d, 'pid'), '7');
  d.setBreakpoints('function', () => true, []);
  const told: string[] = [];
  d.onNotice = (text) => told.push(text);
  d.patienceMs = 0;
  // It looks between slices of the run: here of one instruction, so that some end in the other task.
  Object.defineProperty(d.runner, 'sliceSize', { get: () => 1, set: () => {} });
  await run.step('over');
  await run.step('over');
  assert.deepEqual(told, ['Step gave way to pid 9 (dog): it ends when its own task runs again.']);
  assert.equal(show(d, 'pid'), '7', 'dog has run through the same function meanwhile');
  assert.equal(show(d, 'before'), '7');
});

test('a step over the switch of a task that has ended stops at the first instruction of the next, and says whose frame is gone', async () => {
  const run = boot((d) => breakAt(d, 'shared_work'));
  const { d } = run;
  await run.on();
  assert.equal(show(d, 'pid'), '7');
  d.setBreakpoints('function', () => true, []);
  d.evaluate('per_cpu__current_task->exit_state = 16', undefined, true);
  assert.equal(((await run.step('over')) as StopInfo).text, undefined, 'about to end is not ended');
  d.evaluate('per_cpu__current_task->state = 64', undefined, true);
  const stop = (await run.step('over')) as StopInfo;
  assert.deepEqual(
    [stop.reason, stop.description, stop.text],
    ['step', 'Paused on step: its frame is gone', 'The frame is gone: pid 7 (cat) has ended.'],
  );
  assert.equal(show(d, 'pid'), '9');
  assert.equal(d.programs.nameOf(d.target.pc), 'process');
});

test('a step for a sleeping task runs until the task is on the processor', async () => {
  const run = boot((d) => breakAt(d, 'shared_work'));
  const { d } = run;
  await run.on();
  await run.on();
  assert.equal(show(d, 'pid'), '9');
  d.setBreakpoints('function', () => true, []);
  const cat = d.tasks.byPid(7);
  const stop = await new Promise<StopInfo>((done) => {
    d.onStop = done;
    d.step('out', 'line', cat);
  });
  assert.match(stop.description, /pid 7 ran again/);
  assert.equal(show(d, 'pid'), '7');
});

test('after stepping out, the returned value is the first of the locals, with its type', async () => {
  const run = boot((d) => d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'shared_work', condition: 'pid == 7' }]));
  const { d } = run;
  await run.on();
  d.setBreakpoints('function', () => true, []);
  await run.step('out');
  d.stack().need(1);
  const frame = d.stack().frames[0];
  const locals = new Scopes(d, () => false).of(frame)[0];
  assert.equal(locals.name, 'Locals');
  const [first] = locals.open?.(0, 5) ?? [];
  assert.deepEqual([first.name, first.value, first.type], ['return of shared_work', '14', 'int']);
});

// ---- types by meaning ---------------------------------------------------------------------------------------------------------------------

for (const [expression, text] of [
  ['a_pte', '0x00345067 → 0x00345000 P RW US A D'],
  ['directory[0]', '0x00101067 → 0x00101000 P RW US A D'],
  ['directory[1]', 'none'],
  ['some_cpus', 'CPU 0,2,4-7'],
  ['a_gate', '0x00100000 interrupt gate selector 0x8 dpl 0'],
  ['a_segment', 'base 0x00000000 limit 0xffffffff dpl 0 code readable, 32-bit'],
  ['chain', '2 elements'],
  ['nothing', 'empty'],
  ['removed', 'removed from its list (poisoned)'],
  ['circle[0]', '2 elements, broken: element 2 was there before, in a circle without the head'],
  ['torn', '1 element, broken: element 1 is not mapped'],
  ['init_task.tasks', '4 elements'],
  ['init_task', 'pid 0 swapper [R]'],
  ['&init_task', /^0x\w{8} pid 0 swapper \[R\]$/],
  ['events', '1 waits: pid 2 worker [S]'],
  ['a_timer', 'on_time in 0.500 s'],
  ['jiffies', '4294937546 (2.500 s after boot)'],
  ['some_registers', 'ring 3 eip 0x00300000 esp 0x003f2ff0'],
  ['init_task.start_time', '0.000000000 s'],
  ['pool[2].files->count', '2'],
  ['*pool[2].files->fdt->fd[0]', '/proc/stat'],
  ['cat', '"cat"'],
  ['text_area', '0x00300000-0x00301000 r-xp /bin/cat'],
  ['gadget', '"gadget"'],
  ['a_pte,x', '{pte_low = 0x00345067}'],
] as const)
  test(`${expression} is shown as ${String(text)}`, async () => {
    const { d } = await ready();
    if (typeof text === 'string') {
      const shown = item(d, expression).value;
      assert.equal(shown.replace(/^(0x0010\w{4}) interrupt/, '0x00100000 interrupt').replace(/^\w+ (0x00100000)/, '$1'), text);
    } else assert.match(item(d, expression).value, text);
  });

test('a list opens into its elements, each with an expression of its own', async () => {
  const { d } = await ready();
  const elements = item(d, 'init_task.tasks').open?.(0, 100) ?? [];
  assert.deepEqual(
    elements.map((e) => e.name),
    ['next', 'prev', '[0]', '[1]', '[2]', '[3]'],
  );
  const second = elements[3];
  assert.match(second.evaluateName ?? '', /^\*\(struct list_head \*\)0x/);
  assert.equal(item(d, second.evaluateName ?? '').type, 'struct list_head');
  assert.equal((item(d, 'circle[0]').open?.(0, 100) ?? []).length, 4);
});

// ---- expressions --------------------------------------------------------------------------------------------------------------------------

for (const [expression, text] of [
  ['matrix[1][2]', '6'],
  ['&matrix[1][0] - &matrix[0][0]', '3'],
  ['sizeof(struct pt_regs)', '64'],
  ['pool[2].in_trouble', '1'],
  ['pool[2].color', '21'],
  ['pool[2].depth', '-3'],
  ['pool[2].color,b', '0b00000000_00000000_00000000_00010101'],
  ['matrix[0][1],o', '02'],
  ['matrix[0][2],c', "3 '\\x03'"],
  ['-1,u', '4294967295'],
  ['0xffffffff,d', '-1'],
  ['pool[2].comm', '"cat"'],
  ['&pool[2].comm[0],s', /"cat"$/],
  ['&matrix[0][0],[4]', '{1, 2, 3, 4}'],
  ['&matrix[0][0],[2]x', '{0x00000001, 0x00000002}'],
  ['(char[4])pool[2].comm', '"cat"'],
  ['(short)0x12345', '9029'],
  ['*(int *)&matrix[1][1]', '5'],
  ['((struct task_struct *)&pool[3])->pid', '9'],
  ['pool[2].comm == "cat"', '1'],
  ['pool[2].comm != "cat" || pool[2].pid == 7', '1'],
  ["'kernel.c'::log_end == log_end", '1'],
  ['handler,p', /<on_time>$/],
  ['task(7)->comm', '"cat"'],
  ['task("dog")->pid', '9'],
  ['task()->pid', '0'],
  ['current->pid', '0'],
  ['sym(handler)', '"on_time"'],
  ['pa(&matrix) == (unsigned)&matrix', '1'],
  ['read8(pool[2].comm)', "99 'c'"],
  ['walk(0x100000).physical', '0x00100000'],
  ['list(init_task.tasks, "struct task_struct", "tasks")[1]->comm', '"worker"'],
  ['offsetof(struct task_struct, comm) == (unsigned)&pool[2].comm - (unsigned)&pool[2]', '1'],
  ['container_of(&pool[2].comm, struct task_struct, comm) == &pool[2]', '1'],
  ['container_of(init_task.tasks.next, struct task_struct, tasks)->comm', '"init"'],
  ['list_entry(&init_task.tasks.prev, struct task_struct, tasks.prev)->pid', '0'],
] as const)
  test(`${expression} is ${String(text)}`, async () => {
    const { d } = await ready();
    if (typeof text === 'string') assert.equal(show(d, expression), text);
    else assert.match(show(d, expression), text);
  });

for (const [expression, problem] of [
  ['task(77)', /no task with pid 77/],
  ['task("nobody")', /no task called "nobody"/],
  ['list(init_task.tasks, "struct nothing", "tasks")', /no type "struct nothing"/],
  ['list(init_task.tasks, "struct task_struct", "links")', /no member "links"/],
  ['idt(3)', /no Host/],
  ['pool[2].pid == "cat"', /int is no text/],
  ['count(vector == )', /ends too early/],
  ['start_kernel()', /cannot be called/],
  ['offsetof(struct task_struct, nothing)', /has no member "nothing"/],
  ['offsetof(struct task_struct, color)', /"color" is a bit-field/],
  ['container_of(1, struct nothing, a)', /no type "struct nothing"/],
] as const)
  test(`${expression} is refused in one line`, async () => {
    const { d } = await ready();
    assert.throws(() => d.evaluate(expression, undefined, false), problem);
  });

test('a pointer to a function carries its place in code, and other numbers do only when shown as one', async () => {
  const { d } = await ready();
  const entry = d.programs.addressOf('on_time');
  assert.equal(item(d, 'handler').code, entry);
  assert.equal(item(d, 'start_kernel').code, d.programs.addressOf('start_kernel'));
  assert.equal(item(d, 'init_task.pid').code, undefined);
  assert.equal(item(d, '$eip,i').code, d.target.pc);
});

test('bit-fields, arrays and members are assigned to where they are, and neighbours stay', async () => {
  const run = boot((d) => breakAt(d, 'ready'));
  await run.on();
  const { d } = run;
  assert.equal(Number(d.evaluate('pool[2].color = 9', undefined, true).value.bits), 9);
  assert.deepEqual([show(d, 'pool[2].in_trouble'), show(d, 'pool[2].color'), show(d, 'pool[2].depth')], ['1', '9', '-3']);
  d.evaluate('matrix[1][1] += 10', undefined, true);
  assert.equal(show(d, 'matrix'), '{{1, 2, 3}, {4, 15, 6}}');
  assert.throws(() => d.evaluate('matrix[1][1] = 1', undefined, false), /nothing can be changed from here/);
});

// ---- the log ------------------------------------------------------------------------------------------------------------------------------

test('the log is read from its ring, oldest kept byte first, and filtered by level', async () => {
  const { d } = await ready();
  const text = kernelLog(d.target, d.programs);
  assert.equal(text.length, 64);
  assert.match(text, /<6>booting\n<3>something failed\n<7>details\n$/);
  assert.deepEqual(logLines(text, 3), ['something failed']);
  assert.match(ask(d, 'dmesg 6'), /booting\nsomething failed\n$/);
  assert.throws(() => ask(d, 'dmesg high'), /no level/);
});

// ---- modules and user programs --------------------------------------------------------------------------------------------------------------

test('a module is followed as it loads: its breakpoints wait, bind at their place, and go with it', async () => {
  const told: string[] = [];
  const run = boot((d) => {
    d.modules.searched = true;
    // biome-ignore lint/correctness/useYield: a file that is read at once
    d.modules.find = function* (name) {
      return name === 'gadget' ? { path: 'gadget.ko', bytes: file('gadget.ko') } : undefined;
    };
    d.onModule = (m, what) => told.push(`${what} ${m.name} ${m.core.low.toString(16)}`);
    d.follow();
    const made = d.setBreakpoints('function', () => true, [
      { kind: 'function', pattern: 'gadget_init' },
      { kind: 'function', pattern: 'gadget_ask' },
      { kind: 'function', pattern: 'done' },
    ]);
    assert.deepEqual(
      made.map((b) => [b.verified, b.pending]),
      [
        [false, true],
        [false, true],
        [true, false],
      ],
    );
    assert.match(made[0].message ?? '', /the module that has it is not loaded/);
  });
  const { d } = run;
  const first = await run.on();
  assert.notEqual(first, 'ended');
  assert.deepEqual(told, ['new gadget 280000']);
  assert.equal(d.target.pc, 0x282000);
  assert.deepEqual([show(d, 'by'), show(d, 'answers')], ['2', '40']);
  assert.match(ask(d, 'modules'), /^gadget {15}coming {2}0x00280000-0x00282000 gadget\.ko\n$/);
  const stack = d.stack();
  stack.need(4);
  assert.deepEqual(
    stack.frames.slice(0, 2).map((f) => f.name),
    ['gadget_init', 'load_gadget'],
  );
  await run.on();
  assert.equal(d.programs.functionAt(d.target.pc)?.name, 'gadget_ask');
  assert.equal(show(d, 'question'), '1');
  const [init] = [...d.breakpoints].filter((b) => b.spec.pattern === 'gadget_init');
  assert.deepEqual([init.verified, init.pending], [false, true]);
  assert.match(init.message ?? '', /not in memory now/);
  await run.on();
  assert.deepEqual(told, ['new gadget 280000', 'removed gadget 280000']);
  assert.throws(() => show(d, 'answers'), /no symbol/);
  assert.equal(ask(d, 'modules'), 'no module is loaded\n');
  assert.equal(await run.on(), 'ended');
});

for (const cancelled of [false, true])
  test(`a module that takes a while to read is opened once though another look comes meanwhile${cancelled ? '; cancelled, it is named with the reason' : ', and its breakpoints stop at its first instruction'}`, async () => {
    let searches = 0;
    let asked = '';
    const told: string[] = [];
    const run = boot((d) => {
      d.modules.searched = true;
      d.modules.find = function* (name) {
        if (name !== 'gadget') return undefined;
        searches++;
        for (let i = 0; i < 4; i++) if (yield i / 4) return undefined;
        return { path: 'gadget.ko', bytes: file('gadget.ko') };
      };
      d.onModule = (m, what) => told.push(`${what} ${m.name}`);
      d.follow();
      d.inPieces = (async (_: string, pieces: Generator<number, unknown, boolean | undefined>) => {
        for (let n = 0; ; n++) {
          const step = pieces.next(cancelled && n === 2);
          if (step.done) return step.value;
          await new Promise((done) => setImmediate(done));
          if (n === 1 && !cancelled) {
            d.following.lookNow();
            asked = d.modules.text();
          }
        }
      }) as typeof d.inPieces;
      breakAt(d, 'gadget_init', 'blocking_notifier_call_chain', 'done');
    });
    const { d } = run;
    const places: (string | undefined)[] = [];
    while ((await run.on()) !== 'ended' && places.length < 20) places.push(d.programs.functionAt(d.target.pc)?.name);
    assert.equal(searches, 1);
    assert.equal(told.filter((line) => line === 'new gadget').length, 1);
    if (cancelled) assert.deepEqual(places, ['blocking_notifier_call_chain', 'done']);
    else {
      assert.match(asked, /^gadget .*gadget\.ko\n$/);
      assert.deepEqual(places, ['blocking_notifier_call_chain', 'gadget_init', 'done']);
    }
  });

test('a module without its file is named with the reason', async () => {
  const run = boot((d) => breakAt(d, 'blocking_notifier_call_chain'));
  await run.on();
  assert.match(ask(run.d, 'modules'), /^gadget .*no symbols: name the folder of its \.ko file in "modulePaths"\n$/);
});

test('a user program is found by what a process maps, and its breakpoints count in that process only', async () => {
  const run = boot((d) => {
    d.userPrograms.find = (path) => (path === '/bin/cat' ? { path: 'root/bin/cat', bytes: file('user.elf') } : undefined);
    breakAt(d, 'process');
    d.follow();
  });
  const { d } = run;
  await run.on();
  assert.equal(show(d, 'pid'), '7');
  const [b] = d.setBreakpoints('source', () => true, [{ kind: 'source', file: '/somewhere/user.c', line: 12 }]);
  assert.equal(b.verified, true);
  d.setBreakpoints('function', () => true, []);
  for (let n = 0; n < 2; n++) {
    const stop = await run.on();
    assert.notEqual(stop, 'ended');
    assert.equal(show(d, 'pid'), '7', 'dog runs the same code at the same place');
    const stack = d.stack();
    stack.need(4);
    assert.deepEqual(
      stack.frames.slice(0, 3).map((f) => f.name),
      ['twice', 'user_main', 'process'],
    );
    assert.equal(show(d, 'value'), '7');
  }
  assert.equal(await run.on(), 'ended');
});

test('a program named for a process counts in processes of that name, from the start', async () => {
  const run = boot((d) => {
    d.userPrograms.named.push({ program: openProgram(file('user.elf'), 'user.elf'), process: 'dog' });
    d.follow();
    const [b] = d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'user_main' }]);
    assert.equal(b.verified, true);
  });
  await run.on();
  assert.equal(show(run.d, 'comm'), '"dog"');
  assert.equal(show(run.d, 'argc'), '9');
});
