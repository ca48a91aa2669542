// The scopes of a frame: their order, what each row carries, what the Guest believes beside what the machine has, and what can be changed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Inside } from './inside';

type Row = DebugProtocol.Variable;
const scopesOf = async (s: Inside, frameId?: number): Promise<DebugProtocol.Scope[]> =>
  (await s.request('scopes', { frameId: frameId ?? (await s.frames()).find((f) => f.presentationHint !== 'label')?.id })).scopes;
const rowsOf = async (s: Inside, scope: string): Promise<Map<string, Row>> =>
  new Map((await s.variables((await s.scopes())[scope])).map((v) => [v.name, v]));
const value = (rows: Map<string, Row>, name: string): string =>
  rows.get(name)?.value ?? assert.fail(`no ${name} in ${[...rows.keys()].join()}`);

test('scopes come in one order, the cheap ones first, without a range, and pinned names last in every frame', async () => {
  const s = await Inside.at('handle_irq');
  assert.match(await s.evaluate('pin ticks'), /^pinned: ticks$/);
  assert.match(await s.evaluate('pin ticks,x'), /^pinned: ticks; ticks,x$/);
  await s.evaluate('pin virt.irq_enabled');
  const [top, ...others] = (await s.frames()).filter((f) => f.presentationHint !== 'label');
  const all = ['Locals', 'Registers', 'Trap', 'Flags', 'Segments', 'Control & cr2', 'FPU', 'Debug registers'];
  all.push('Page walk', 'lguest', 'lguest_data', 'Task', 'Statics', 'Globals (pinned)');
  for (const frame of [top, ...others.slice(0, 2)]) {
    const scopes = await scopesOf(s, frame.id);
    const names = scopes.map((x) => x.name);
    assert.deepEqual(
      names,
      all.filter((name) => names.includes(name)),
    );
    assert.deepEqual(names.slice(-1), ['Globals (pinned)']);
    for (const x of scopes) {
      assert.equal(x.expensive, !['Locals', 'Registers', 'Trap'].includes(x.name), x.name);
      assert.deepEqual([x.line, x.column], [undefined, undefined]);
    }
  }
  const pinned = await rowsOf(s, 'Globals (pinned)');
  assert.deepEqual([...pinned.keys()], ['ticks', 'ticks,x', 'virt.irq_enabled']);
  assert.equal(Number(value(pinned, 'ticks,x')), Number(value(pinned, 'ticks')));
  await s.request('setVariable', { variablesReference: (await s.scopes())['Globals (pinned)'], name: 'ticks', value: '77' });
  assert.equal(await s.evaluate('ticks'), '77');
  assert.match(await s.failing('evaluate', { expression: 'pin nothing_like_it', context: 'repl' }), /no symbol/);
  assert.match(await s.failing('evaluate', { expression: 'unpin esp', context: 'repl' }), /"esp" is not pinned: ticks/);
  assert.equal((await s.go('restart')).reason, 'entry');
  assert.deepEqual([...(await rowsOf(s, 'Globals (pinned)')).keys()], ['ticks', 'ticks,x', 'virt.irq_enabled'], 'they stay over a restart');
  assert.equal(await s.evaluate('unpin'), 'nothing is pinned');
  assert.ok(!(await scopesOf(s)).some((x) => x.name === 'Globals (pinned)'));
  await s.end();
});

test('every row has a type, a name of its own, and an expression that gives the same value where one can', async () => {
  const s = await Inside.at('handle_irq');
  const [frame] = await s.frames();
  const without: string[] = [];
  for (const scope of await scopesOf(s, frame.id)) {
    const rows = await s.variables(scope.variablesReference);
    assert.equal(new Set(rows.map((r) => r.name)).size, rows.length, scope.name);
    for (const row of rows) {
      assert.ok(row.type, `${scope.name}: ${row.name} has no type`);
      if (row.evaluateName === undefined) without.push(`${scope.name}: ${row.name}`);
      else if (row.value !== '' && !row.presentationHint?.lazy) {
        const body = await s.request('evaluate', { expression: row.evaluateName, context: 'variables', frameId: frame.id });
        const [shown] = /^-?(0x)?[0-9a-f]+/.exec(row.value) ?? [];
        const [given] = /^-?(0x)?[0-9a-f]+/.exec(body.result) ?? [];
        if (shown !== undefined && scope.name !== 'Trap')
          assert.equal(Number(given), Number(shown), `${row.evaluateName} is ${body.result}, not ${row.value}`);
      }
    }
  }
  // What is told in words only.
  for (const row of without)
    assert.match(
      row,
      /^(Trap: (entries|pushed words|decisions|nearest flip)|Segments: (IDT|GDT) .*|FPU: (owner|next use|mmx|sse)|lguest: phase)$/,
    );
  await s.end();
});

test('what the Guest believes stands beside what the machine has: interrupts, TS, cr3, and the privilege of its segments', async () => {
  const s = await Inside.at('show_held_interrupt');
  const flags = await rowsOf(s, 'Flags');
  assert.match(value(flags, 'irq_enabled (guest believes)'), /^[01]$/);
  assert.equal(value(flags, 'IF'), '1');
  assert.match(value(flags, 'IOPL'), /^[0-3]$/);
  const control = await rowsOf(s, 'Control & cr2');
  assert.match(value(control, 'TS (guest believes)') + value(control, 'TS (machine has)'), /^[01]{2}$/);
  assert.equal(value(control, 'TS (machine has)'), /\bTS\b/.test(value(control, 'cr0')) ? '1' : '0');
  assert.notEqual(value(control, 'cr3 (guest)'), value(control, 'cr3 (shadow)'));
  const cs = (await rowsOf(s, 'Segments')).get('cs');
  const hidden = new Map((await s.variables(cs?.variablesReference ?? 0)).map((v) => [v.name, v]));
  assert.deepEqual([value(hidden, 'dpl'), value(hidden, 'dpl (guest believes)')], ['1', '0'], 'lguest makes ring 1 of ring 0');
  await s.end();
});

test('cr2, debug and x87 registers and IOPL are changed where they are shown; what is the Host’s is refused with the reason', async () => {
  const s = await Inside.at('show_held_interrupt');
  const scopes = await s.scopes();
  const set = async (scope: string, name: string, text: string): Promise<string> =>
    (await s.request('setVariable', { variablesReference: scopes[scope], name, value: text })).value;
  for (const name of ['cr2.hw', 'cr2.host', 'cr2.guest']) {
    assert.equal(await set('Control & cr2', name, '0x1234'), '0x00001234', name);
    assert.equal(await s.evaluate(`${name} = ${name} + 1`), '0x00001235');
  }
  assert.equal(await set('Debug registers', 'dr1', '&ticks'), await s.evaluate('&ticks,x'));
  assert.equal(await set('Debug registers', 'dr7', '0x00d00404'), '0x00d00404 [L1]');
  assert.match((await rowsOf(s, 'Debug registers')).get('dr1')?.value ?? '', /\[write, 4 bytes\]$/);
  await set('Debug registers', 'dr7', '0');
  assert.match(await set('FPU', 'st0', '1.5'), /^1\.5 \(0x3fffc000000000000000\)$/);
  assert.match(await s.evaluate('$st0 = $st0 * -2'), /^-3$/);
  assert.match((await rowsOf(s, 'FPU')).get('st0')?.value ?? '', /^-3 \(0xc000c000000000000000\)$/);
  assert.match(await set('FPU', 'cw', '0x27f'), /^0x027f \[53 bits, nearest; masked IM DM ZM OM UM PM\]$/);
  assert.equal(await set('Flags', 'IOPL', '1'), '1');
  assert.match(await s.evaluate('info reg'), /IOPL=1/);
  assert.match(
    await s.failing('evaluate', { expression: '$cr3 = 0', context: 'repl' }),
    /cr3 is the Host's: the Guest runs on shadow tables/,
  );
  await s.end();
});

test('a row says that it is watched, and for how long', async () => {
  const s = await Inside.at('show_held_interrupt');
  const hints = async (): Promise<string[] | undefined> => (await rowsOf(s, 'Registers')).get('esi')?.presentationHint?.attributes;
  assert.equal(await hints(), undefined);
  await s.watch(['esi', 'write']);
  assert.deepEqual(await hints(), ['hasDataBreakpoint']);
  await s.watch();
  assert.equal(await hints(), undefined);
  await s.end();
});

test('a decision of the Host has scopes of its own: the step, the trap, and the Host’s side', async () => {
  const s = await Inside.at('start_paging');
  await s.request('setExceptionBreakpoints', { filters: ['pf.guest'] });
  await s.go();
  const { targets } = await s.request('stepInTargets', { frameId: (await s.frames()).find((f) => f.presentationHint !== 'label')?.id });
  const decisions = targets.find((t: { label: string }) => /decision/i.test(t.label));
  await s.go('stepIn', { targetId: decisions.id });
  const [frame] = await s.frames();
  const scopes = await scopesOf(s, frame.id);
  assert.deepEqual(
    scopes.map((x) => x.name),
    ['Step', 'Trap', 'Page walk', 'lguest', 'lguest_data'],
  );
  const step = new Map((await s.variables(scopes[0].variablesReference)).map((v) => [v.name, v]));
  assert.match(value(step, 'step'), /^1 of \d+$/);
  assert.match(value(step, 'function'), /demand_page/);
  assert.ok(value(step, 'condition').endsWith('?') && value(step, 'inputs') !== '' && /^(yes|no)/.test(value(step, 'value')));
  await s.end();
});

test('machine functions answer with values of their own: walks of one table or for an access, addresses back from physical ones, descriptors, changes', async () => {
  const s = await Inside.at('handle_irq');
  const ask = (text: string): Promise<string> => s.evaluate(text, 'watch');
  const whole = await ask('walk(&ticks)');
  assert.match(whole, /gpde = .*gpte = .*physical = .*spde = /);
  assert.doesNotMatch(await ask('walk(&ticks, g)'), /spde/);
  assert.doesNotMatch(await ask('walk(&ticks, s)'), /gpde/);
  assert.equal(await ask('walk(&ticks, w).outlook'), '"goes through"');
  assert.match(await ask('walk(&ticks, g, uw).answer'), /^"A user write /);
  assert.match(await s.failing('evaluate', { expression: 'walk(&ticks, q)', context: 'watch' }), /walk\(\) does not know "q"/);
  assert.equal(await ask('va(pa(&ticks)) == &ticks'), '1');
  assert.match(await ask('va(0x7ffffff0)'), /maps it nowhere/);
  assert.deepEqual([await ask('gdt(12).dpl'), await ask('gdt(12).limit')], ['1', '0xffffffff']);
  assert.match(await s.failing('evaluate', { expression: 'gdt(32)', context: 'watch' }), /32 is no descriptor: 0 to 31/);
  assert.match(await ask('changed(ticks)'), /known from the next stop on/);
  assert.match(await ask('changed($eip)'), /known from the next stop on/);
  await s.go('stepIn', { granularity: 'instruction' });
  assert.deepEqual([await ask('changed(ticks)'), await ask('changed($eip)')], ['0', '1']);
  assert.match(await s.failing('evaluate', { expression: 'changed(ticks +)', context: 'watch' }), /ends too early/);
  await s.functions('handle_irq');
  await s.go();
  assert.deepEqual([await ask('changed(ticks)'), await ask('changed($eip) && changed(ticks)')], ['1', '1']);
  await s.end();
});

test('the Host’s fields are a structure: members, arrays and the shared page by name', async () => {
  const s = await Inside.at('handle_irq');
  const ask = (text: string): Promise<string> => s.evaluate(text, 'watch');
  assert.equal(await ask('lg.pgdirs[lg.pgdidx].gpgdir == lg.gpgdir'), '1');
  assert.equal(await ask('sizeof(lg.pgdirs) / sizeof(lg.pgdirs[0])'), '4');
  assert.equal(await ask('lguest.esp1'), await ask('lg.esp1'));
  assert.equal(await ask('virt.irq_enabled == lguest_data.irq_enabled'), '1');
  assert.equal(await ask('virt.hcalls[3].eax == read32(&lguest_data.hcalls[3])'), '1');
  const body = await s.request('evaluate', { expression: 'lg', context: 'watch' });
  const names = (await s.variables(body.variablesReference)).map((v) => v.name);
  for (const name of ['irqs_pending', 'halted', 'ts', 'esp1', 'ss1', 'pgdidx', 'pgdirs', 'changed', 'dead'])
    assert.ok(names.includes(name), name);
  await s.end();
});

test('the editor’s hexadecimal format holds for variables at any depth, and comes and goes with each request', async () => {
  const s = await Inside.at('handle_irq');
  await s.evaluate('ticks = 26');
  await s.evaluate('pin ticks');
  await s.evaluate('pin *(struct task *)&init_stack');
  const reference = (await s.scopes())['Globals (pinned)'];
  const read = async (variablesReference: number, hex?: boolean): Promise<Row[]> =>
    (await s.request('variables', { variablesReference, ...(hex === undefined ? {} : { format: { hex } }) })).variables;
  assert.equal((await read(reference))[0].value, '26');
  const [ticks, task] = await read(reference, true);
  assert.equal(ticks.value, '0x0000001a');
  const members = (await read(task.variablesReference, true)).map((r) => r.value);
  assert.ok(members.some((v) => /^0x[0-9a-f]{8}$/.test(v)) && members.every((v) => !/^[1-9]\d*$/.test(v)), members.join());
  assert.equal((await read(reference, false))[0].value, '26');
  await s.end();
});

test('a format chosen for a value holds wherever it is shown, over steps and a restart, until it is taken back', async () => {
  const s = await Inside.at('handle_irq');
  await s.evaluate('ticks = 26');
  await s.evaluate('pin ticks');
  const shown = async (): Promise<string[]> => [
    value(await rowsOf(s, 'Globals (pinned)'), 'ticks'),
    value(await rowsOf(s, 'Registers'), 'eip'),
    await s.evaluate('ticks', 'watch'),
    (await s.request('lguest/view/registers')).nodes[0].children.find((r: { label: string }) => r.label === 'eip').description,
  ];
  assert.deepEqual((await s.request('lguest/formats', { formats: { ticks: 'b', $eip: 'p' } })).formats, { ticks: 'b', $eip: 'p' });
  const binary = '0b00000000_00000000_00000000_00011010';
  const [pinned, eip, watched, view] = await shown();
  assert.deepEqual([pinned, watched], [binary, binary]);
  assert.match(eip, /^0x[0-9a-f]{8} <handle_irq/);
  assert.equal(view, eip);
  assert.equal(await s.evaluate('ticks,d', 'watch'), '26', 'what stands behind the comma goes first');
  assert.ok(s.events.some((e) => e.event === 'invalidated'));
  await s.go('stepIn', { granularity: 'instruction' });
  assert.equal((await shown())[0], binary);
  await s.go('restart');
  assert.match((await shown())[0], /^0b/);
  await s.request('lguest/formats', { formats: { ticks: '', $eip: '' } });
  assert.deepEqual(
    (await shown()).slice(0, 2).map((v) => /^\d+$|^0x[0-9a-f]{8}$/.test(v)),
    [true, true],
  );
  assert.match(await s.failing('lguest/formats', { formats: { ticks: 'q' } }), /"ticks": "q" is no format; the letters are x d u/);
  await s.end();
});

test('a caller shows the registers that could be recovered, and says unknown of the others', async () => {
  const s = await Inside.at('handle_irq');
  const code = (await s.frames()).filter((f) => f.presentationHint === undefined && f.instructionPointerReference !== undefined);
  const caller = code[1];
  const registers = (await scopesOf(s, caller.id)).find((x) => x.name === 'Registers');
  const rows = new Map((await s.variables(registers?.variablesReference ?? 0)).map((v) => [v.name, v]));
  assert.equal(value(rows, 'eip'), caller.instructionPointerReference);
  assert.ok(
    [...rows.values()].some((r) => r.value === 'unknown' && r.memoryReference === undefined),
    [...rows.values()].map((r) => r.value).join(),
  );
  assert.ok([...rows.values()].filter((r) => r.value !== 'unknown').every((r) => /^0x[0-9a-f]{8}$/.test(r.value)));
  await s.end();
});

test('MMX and SSE registers and MXCSR are changed part by part, as their instructions would change them', async () => {
  const s = await Inside.at('show_held_interrupt');
  const ask = (text: string): Promise<string> => s.evaluate(text, 'watch');
  const fpu = await rowsOf(s, 'FPU');
  const parts = async (whole: string, n: number, row: number): Promise<number> => {
    const registers = await s.variables(fpu.get(whole)?.variablesReference ?? 0);
    return (await s.variables(registers[n].variablesReference))[row].variablesReference;
  };
  const floats = await parts('sse', 3, 0);
  const set = await s.request('setVariable', { variablesReference: floats, name: '[1]', value: '2.5' });
  assert.equal(set.value, '2.5');
  assert.equal(await ask('$xmm3.v4_float'), '{0, 2.5, 0, 0}');
  await s.request('setExpression', { expression: '$xmm3.v8_int16[7]', value: '0x1234' });
  assert.equal(await ask('$xmm3.v2_int64[1],x'), '0x1234000000000000');
  await s.evaluate('$xmm3.v2_double[0] = -1');
  assert.equal(await ask('$xmm3.v4_int32'), '{0x00000000, 0xbff00000, 0x00000000, 0x12340000}');
  // As MOVQ does it: TOP is 0, every register is in use, sign and exponent are all ones.
  await s.evaluate('$fsw = 0x3800');
  await s.request('setExpression', { expression: '$mm2.uint64', value: '0x8000000000000001' });
  assert.equal(await ask('$mm2.v2_int32'), '{0x00000001, 0x80000000}');
  assert.equal(await ask('$fsw & 0x3800,d'), '0');
  assert.equal(await ask('$ftw,x'), '0x00ff');
  assert.match(await ask('$st2'), /nan/);
  await s.evaluate('$mxcsr = 0x1f81');
  assert.equal(await ask('$mxcsr,x'), '0x00001f81');
  assert.match(await s.failing('setExpression', { expression: '$mxcsr', value: '0x10000' }), /the processor refuses 0x00010000 for mxcsr/);
  assert.match(await s.failing('setExpression', { expression: '$xmm3.v4_float', value: '1' }), /one by one/);
  await s.watch(['$xmm3.v4_int32[1]', 'write']);
  assert.equal((await s.request('dataBreakpointInfo', { variablesReference: floats, name: '[1]' })).dataId, 'reg:xmm3@4:4');
  await s.end();
});

test('MMX registers are the mantissas of the x87 ones, and SSE registers are seen as floats and as integers of each width', async () => {
  const s = await Inside.at('show_held_interrupt');
  const ask = (text: string): Promise<string> => s.evaluate(text, 'watch');
  await s.evaluate('$st0 = 1.5');
  const top = Number(await ask('($fsw >> 11) & 7,d'));
  assert.equal(await ask(`$mm${top}.uint64,x`), '0xc000000000000000');
  assert.equal(await ask(`$mm${top}.v2_int32[1]`), '0xc0000000');
  const fpu = await rowsOf(s, 'FPU');
  const mm = await s.variables(fpu.get('mmx')?.variablesReference ?? 0);
  assert.deepEqual(
    mm.map((r) => r.name),
    ['mm0', 'mm1', 'mm2', 'mm3', 'mm4', 'mm5', 'mm6', 'mm7'],
  );
  const xmm = await s.variables(fpu.get('sse')?.variablesReference ?? 0);
  const parts = await s.variables(xmm[3].variablesReference);
  assert.deepEqual(
    parts.map((r) => [r.name, r.evaluateName]),
    [
      ['v4_float', '$xmm3.v4_float'],
      ['v2_double', '$xmm3.v2_double'],
      ['v2_int64', '$xmm3.v2_int64'],
      ['v4_int32', '$xmm3.v4_int32'],
      ['v8_int16', '$xmm3.v8_int16'],
      ['v16_int8', '$xmm3.v16_int8'],
    ],
  );
  assert.equal(await ask('$xmm3.v4_float'), '{0, 0, 0, 0}');
  assert.equal(await ask('sizeof($xmm0) + sizeof($mm0)'), '24');
  assert.match(value(fpu, 'mxcsr'), /^0x0000[0-9a-f]{4}$/);
  await s.end();
});
