// Data breakpoints through DAP on the demo Guest: what can be watched, what the stop says, conditions, logging, aliases and moved pages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineOf } from './client';
import { type Body, Inside } from './inside';

test('a watch stops on writes, reads or both of a variable, and says old value, new value and the instruction', async () => {
  const s = await Inside.at('show_held_interrupt');
  await s.watch(['ticks', 'write']);
  const write = await s.go();
  assert.equal(write.reason, 'data breakpoint');
  assert.match(write.text ?? '', /^ticks: 0x00000000 → 0x00000001 by the Guest at handle_irq\+0x\w+: mov /);
  // The line that wrote is shown, not the one behind it.
  assert.equal((await s.frames())[0].line, lineOf('clock.c', 'ticks++;'));
  await s.watch(['ticks', 'read']);
  const read = await s.go();
  assert.match(read.text ?? '', /^ticks: read as 0x0000000\d by the Guest at \w+/);
  await s.watch(['ticks', 'readWrite']);
  assert.equal((await s.go()).reason, 'data breakpoint');
  await s.end();
});

test('conditions know old, new, pc and host; hit counts hold; log mode makes rows and no stop', async () => {
  const s = await Inside.at('show_held_interrupt');
  const [bad] = await s.watch(['ticks', 'write', 'new +']);
  assert.equal(bad.verified, false);
  await s.watch(['ticks', 'write', 'new == 3 && old == 2 && !host']);
  assert.match((await s.go()).text ?? '', /0x00000002 → 0x00000003/);
  await s.watch(['ticks', 'write', 'new > 3 | log']);
  await s.functions('shell');
  assert.equal((await s.go()).reason, 'function breakpoint');
  const { rows } = await s.request('lguest/watchLog');
  assert.ok(rows.length >= 1, `${rows.length} rows`);
  assert.equal(rows[0].name, 'ticks');
  assert.equal(Number(rows[0].new), Number(rows[0].old) + 1);
  const { text } = await s.request('lguest/watchLog', { format: 'csv' });
  assert.equal(text.trim().split('\n').length, rows.length + 1);
  await s.end();
});

test('an address with a length is watched in any space, through every alias, and the description says which memory', async () => {
  const s = await Inside.at('show_held_interrupt');
  const address = Number(/0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0]);
  const physical = `p:0x${(address - 0xc0000000).toString(16).padStart(8, '0')}`;
  const info = await s.request('dataBreakpointInfo', { name: physical, asAddress: true, bytes: 2 });
  assert.match(info.description, /^guest-physical 0x0\w+, 2 bytes \(p:0x\w+\), all aliases, Guest and Host writers$/);
  assert.equal(info.canPersist, true);
  await s.request('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] });
  assert.match((await s.go()).text ?? '', /^p:0x\w+: 0x0000 → 0x0001 by the Guest/);
  // 4 GB at once: the whole address space.
  const all = await s.request('dataBreakpointInfo', { name: '0x00000000', asAddress: true, bytes: 2 ** 32 });
  assert.ok(all.dataId, all.description);
  const [made] = (await s.request('setDataBreakpoints', { breakpoints: [{ dataId: all.dataId, accessType: 'write' }] })).breakpoints;
  assert.equal(made.verified, true);
  assert.equal((await s.go()).reason, 'data breakpoint');
  assert.match((await s.request('dataBreakpointInfo', { name: '0xfffffff0', asAddress: true, bytes: 32 })).description, /4 GB/);
  await s.end();
});

test('ten thousand watches are set at once, and the one that is touched stops', async () => {
  const s = await Inside.at('show_held_interrupt');
  const address = Number(/0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0]);
  const breakpoints = [...Array(10_000).keys()].map((i) => ({
    dataId: `mem:v:0x${(0xc0200000 + 16 * i).toString(16)}:4`,
    accessType: 'write',
  }));
  breakpoints[5000] = { dataId: `mem:v:0x${address.toString(16)}:4`, accessType: 'write' };
  const answer = await s.request('setDataBreakpoints', { breakpoints });
  assert.equal(answer.breakpoints.filter((b: { verified: boolean }) => b.verified).length, 10_000);
  const stop = await s.go();
  assert.deepEqual(stop.hitBreakpointIds, [answer.breakpoints[5000].id]);
  await s.end();
});

test('registers, flags and control registers are watched by name', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match((await s.request('dataBreakpointInfo', { name: '$ebx' })).description, /step by step/);
  const before = await s.evaluate('$ebp');
  await s.watch(['$ebp', 'write']);
  const register = await s.go();
  assert.match(register.text ?? '', new RegExp(`^ebp: ${before} → 0x\\w+ by the Guest at \\w+`));
  await s.watch(['eflags.ZF', 'write']);
  assert.match((await s.go()).text ?? '', /^eflags.ZF: 0x0000000[01] → 0x0000000[01] by the Guest/);
  await s.watch(['irq_enabled', 'write']);
  assert.match((await s.go()).text ?? '', /^irq_enabled: 0x00000\d00 → 0x00000\d00 by the /);
  await s.watch(['cr3.guest', 'write']);
  await s.functions('shell');
  assert.match(
    (await s.go()).text ?? '',
    /^cr3.guest: 0x\w+ → 0x\w+ by the Host \(NEW_PGTABLE\), slot \d+ of the ring, at hypercall\+0x\w+$/,
  );
  assert.equal((await s.request('dataBreakpointInfo', { name: 'nothing_like_it' })).dataId, null);
  for (const name of ['cs.base', 'ss.limit', 'eflags.IOPL', 'cr0', 'cr4', 'dr7', 'gdtr.limit', 'tr', '$eip'])
    assert.equal((await s.request('dataBreakpointInfo', { name })).dataId, `reg:${name.replace('$', '')}`, name);
  await s.end();
});

test('the stop of a watch says in which handler the writer was, and parts of segments are watched', async () => {
  const s = await Inside.at('show_held_interrupt');
  await s.watch(['ticks', 'write']);
  assert.match(
    (await s.go()).text ?? '',
    /^ticks: 0x0+ → 0x0+1 by the Guest at handle_irq\+0x\w+: mov .* \(in the handler of virq 0, trap \d+\)$/,
  );
  await s.watch(['ss.dpl', 'write']);
  assert.match((await s.go()).text ?? '', /^ss.dpl: 0x00000001 → 0x00000003 by the Guest at /, 'into ring 3');
  await s.end();
});

test('page table entries are watched by virtual address with a mask: Guest entry, shadow entry, and the Host that writes them', async () => {
  const s = await Inside.at('show_demand_paging');
  const page = /0x[0-9a-f]+/.exec(await s.evaluate('&fresh'))?.[0];
  await s.watch([`pte(${page}) & 0x20`, 'write']);
  assert.match((await s.go()).text ?? '', /^pte\(0x\w+\): 0x00000000 → 0x00000020 by the Host \(demand_page\)$/, 'the Host sets ACCESSED');
  await s.watch([`spte(${page})`, 'write']);
  assert.match((await s.go()).text ?? '', /^spte\(0x\w+\): 0x\w+ → 0x\w+ by the Host \(demand_page\)$/, 'the shadow entry is upgraded');
  await s.functions('show_visible_page_fault');
  await s.request('setDataBreakpoints', { breakpoints: [] });
  await s.go();
  const lazy = '0xd0000000';
  await s.watch([`pte(${lazy})`, 'write']);
  assert.match(
    (await s.go()).text ?? '',
    /^pte\(0xd0000000\): 0x00000000 → 0x\w+ by the Guest at \w+/,
    'there was no table: it came, and the entry with it',
  );
  assert.match((await s.go()).text ?? '', /^pte\(0xd0000000\): 0x\w+ → 0x\w+ by the Host/);
  await s.end();
});

test('a watch on an address that nothing maps waits, and follows the page to where it is mapped', async () => {
  const s = await Inside.at('show_visible_page_fault');
  const info = await s.request('dataBreakpointInfo', { name: '0xd0000000', asAddress: true, bytes: 4 });
  assert.match(info.description, /not mapped now: watched once it is/);
  const [made] = (await s.request('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] })).breakpoints;
  assert.equal(made.verified, true);
  let text = '';
  for (let n = 0; n < 6 && !text.includes('0x0000002a'); n++) text = (await s.go()).text ?? '';
  assert.match(text, /^0xd0000000: 0x00000000 → 0x0000002a by the Guest at show_visible_page_fault/);
  await s.end();
});

test('a watch on a local variable ends when its function returns, and the client is told', async () => {
  const s = await Inside.at('show_held_interrupt');
  const scopes = await s.scopes();
  const locals = await s.variables(scopes.Locals);
  const seen: string[] = [];
  let found: { dataId: string; canPersist: boolean } | undefined;
  for (const v of locals) {
    const info = await s.request('dataBreakpointInfo', { variablesReference: scopes.Locals, name: v.name });
    seen.push(`${v.name} ${info.dataId} ${info.description}`);
    if (String(info.dataId).startsWith('local:')) found = info as { dataId: string; canPersist: boolean };
  }
  assert.ok(found, `no local is on the stack: ${seen.join('; ')}`);
  assert.equal(found.canPersist, false);
  await s.request('setDataBreakpoints', { breakpoints: [{ dataId: found.dataId, accessType: 'write', condition: 'new == 0x12345678' }] });
  await s.functions('shell');
  await s.go();
  const gone = s.events.find((e) => e.event === 'breakpoint' && e.body.reason === 'removed');
  assert.match(gone?.body.breakpoint.message ?? '', /has returned/);
  await s.end();
});

test('who wrote a byte last is exact for what a watch records, in expressions, in the console and under the pointer; else it says that nobody records', async () => {
  const s = await Inside.at('show_held_interrupt');
  assert.match(
    await s.failing('evaluate', { expression: 'lastwrite(ticks)', context: 'watch' }),
    /not recorded: set a watch on it that logs/,
  );
  assert.match(await s.evaluate('watch ticks | log'), /^Watch \d+: /, 'as the message says');
  assert.match(await s.failing('evaluate', { expression: 'lastwrite(ticks)', context: 'watch' }), /^not written since #\d+/);
  await s.functions('shell');
  await s.go();
  const { rows } = await s.request('lguest/watchLog');
  const last = rows[rows.length - 1];
  const about = await s.evaluate('lastwrite(ticks)', 'watch');
  assert.match(about, /by = "the Guest"/);
  assert.equal(Number(await s.evaluate('lastwrite(&ticks).pc', 'watch').then((t: string) => t.split(' ')[0])), last.pc);
  assert.equal(`#${await s.evaluate('lastwrite(ticks).insns,d', 'watch')}`, last.position.split('.')[0]);
  const address = (await s.evaluate('&ticks', 'watch')).split(' ')[0];
  const hover = await s.evaluate(address, 'hover');
  assert.match(hover, /: ticks; Guest's table: kernel read-write.*; shadow table: .*; last write: #\d+ by the Guest at handle_irq\+0x/);
  assert.match(await s.evaluate('what &ticks'), /last write: #\d+ by the Guest at handle_irq/);
  assert.match(await s.evaluate('what &received'), /last write: not recorded/);
  assert.match(await s.failing('evaluate', { expression: 'lastwrite($eax)', context: 'watch' }), /eax is a register/);
  assert.equal(
    await s.evaluate('0x7ffffff0', 'hover'),
    await s.evaluate('0x7ffffff0', 'watch'),
    'where nothing is mapped a number is a number',
  );
  await s.end();
});

test('a watch may cover anything up to the whole 4 GB, and stops at the first change in it', async () => {
  const s = await Inside.at('start_kernel');
  const ticks = Number(/0x[0-9a-f]+/.exec(await s.evaluate('&ticks'))?.[0]);
  const set = async (from: number, bytes: number, accessType: string): Promise<Body> => {
    const { dataId } = await s.request('dataBreakpointInfo', { name: `0x${from.toString(16)}`, asAddress: true, bytes });
    return (await s.request('setDataBreakpoints', { breakpoints: [{ dataId, accessType, condition: 'new != old' }] })).breakpoints[0];
  };
  assert.equal((await set(ticks, 0x1_0000_0000 - ticks, 'write')).verified, true);
  const whole = await set(0, 0x1_0000_0000, 'write');
  assert.equal(whole.verified, true, whole.message);
  const stop = await s.go();
  assert.deepEqual([stop.reason, stop.hitBreakpointIds], ['data breakpoint', [whole.id]]);
  await s.end();
});

test('a write of the same value is a write, and no change', async () => {
  const s = await Inside.at('show_held_interrupt');
  const expression = 'lguest_data.blocked_interrupts';
  const { dataId } = await s.request('dataBreakpointInfo', { name: expression });
  const changed = await s.request('dataBreakpointInfo', { name: `${expression}, changed` });
  assert.equal(changed.dataId, `${dataId}:changed`);
  await s.request('setDataBreakpoints', {
    breakpoints: [
      { dataId, accessType: 'write', condition: '| count' },
      { dataId: changed.dataId, accessType: 'write', condition: '| count' },
    ],
  });
  await s.functions('show_task_switches');
  await s.go();
  const { nodes } = await s.request('lguest/view/breakpoints');
  const hits = nodes
    .find((n: { label: string }) => n.label === 'Watches')
    .children.map((c: { description: string }) => Number.parseInt(c.description, 10));
  assert.ok(hits[0] > 0 && hits[0] > hits[1], `${hits}: set_timer() clears a bit that is clear already`);
  await s.end();
});

test('a stop says its reason once and in at most 80 characters, however long the names are', async () => {
  const s = await Inside.at('show_held_interrupt');
  await s.watch(['ticks', 'write'], ['*(char *)&ticks', 'write'], ['*(unsigned short *)(char *)&ticks', 'readWrite']);
  await s.functions('handle_irq', 'printk');
  await s.request('setExceptionBreakpoints', { filters: ['virq', 'hypercall', 'pf.guest'] });
  let asked = 1; // the entry
  for (let n = 0; n < 40; n++) {
    await s.go(n % 3 === 0 ? 'continue' : 'next');
    asked++;
  }
  await new Promise((done) => setTimeout(done, 20));
  const stops = s.events.filter((e) => e.event === 'stopped');
  assert.equal(stops.length, asked);
  for (const { body } of stops) {
    assert.ok((body.description ?? '').length <= 80 && body.description.length > 0, body.description);
    assert.ok(Array.isArray(body.hitBreakpointIds) && body.allThreadsStopped === true);
  }
  await s.end();
});

test('every row of the scopes that show the machine and the Host can be watched, but for those that are no value', async () => {
  const s = await Inside.at('show_held_interrupt');
  const scopes = await s.scopes();
  const refused: string[] = [];
  const ids = new Set<string>();
  const look = async (variablesReference: number, path: string, deep: number): Promise<void> => {
    for (const v of (await s.variables(variablesReference)).slice(0, 40)) {
      const info = await s.request('dataBreakpointInfo', { variablesReference, name: v.name });
      if (info.dataId === null) refused.push(`${path}${v.name}`);
      else ids.add(info.dataId);
      if (v.variablesReference !== 0 && deep > 0) await look(v.variablesReference, `${path}${v.name}/`, deep - 1);
    }
  };
  for (const name of ['Registers', 'Flags', 'Segments', 'Control & cr2', 'FPU', 'Debug registers', 'lguest', 'lguest_data'])
    await look(scopes[name], `${name}/`, 1);
  assert.deepEqual(
    refused.filter((r) => !r.includes('guest believes')),
    [
      ...[
        'Segments/IDT (Guest)',
        'Segments/GDT (Guest)',
        'FPU/mmx',
        'FPU/sse',
        'FPU/owner',
        'FPU/next use',
        'lguest/phase',
        'lguest/position',
      ],
      ...['lguest/pgdirs', 'lguest/pgdirs/[0]', 'lguest/pgdirs/[1]', 'lguest/pgdirs/[2]', 'lguest/pgdirs/[3]'],
      ...['lguest/dead/[0]', 'lguest/gdt', 'lguest/idt'],
    ],
  );
  assert.ok(ids.size > 300, String(ids.size));
  const breakpoints = [...ids].map((dataId) => ({ dataId, accessType: 'write' }));
  const made = (await s.request('setDataBreakpoints', { breakpoints })).breakpoints as Body[];
  assert.deepEqual(
    made.filter((b) => !b.verified).map((b) => b.message),
    [],
  );
  await s.end();
});

test('fields of the Host stop with both values, the act that wrote them and the instruction that it was for', async () => {
  const call = 'hypercall at hypercall\\+0x12';
  for (const [name, text] of [
    ['lg.changed', `0x00000000 → 0x00000002 by the Host \\(LOAD_GDT\\), ${call}$`],
    [
      'lg.next_hcall',
      '0x0+ → 0x0+1 by the Host \\(SET_PTE\\), slot 0 of the ring, at hypercall\\+0x12; lg.next_hcall: 0x0+1 → 0x0+2 by the Host',
    ],
    ['lg.esp1', `0x0+ → 0xc0\\w+ by the Host \\(SET_STACK\\), ${call}$`],
    ['lg.pgdirs[lg.pgdidx].gpgdir', `0x\\w+ → 0x\\w+ by the Host \\(NEW_PGTABLE\\), ${call}$`],
    ['lg.pgdirs[1].shadow', `0x00000000 → 0x\\w+ by the Host \\(NEW_PGTABLE\\), ${call}$`],
    ['idt(0x80)', `0x0000000000000000 → 0x\\w{8}0061\\w{4} by the Host \\(LOAD_IDT_ENTRY\\), ${call}$`],
    ['lg.gdt[6]', `0x0000000000000000 → 0x0000210000000000 by the Host \\(LOAD_GDT\\), ${call}$`],
    ['tls(0)', `0x0000000000000000 → 0x0000210000000000 by the Host \\(LOAD_GDT\\), ${call}$`],
    ['virt.cr2', '0x00000000 → 0xd0000000 by the Host \\(\\w+\\)$'],
    ['lg.last_pagefault', '0x\\w+ → 0x\\w+ by the Host \\(lguest_arch_run_guest\\), exit at \\w+'],
  ]) {
    const s = await Inside.at('start_kernel');
    await s.watch([name, 'write']);
    const stop = await s.go();
    assert.equal(stop.reason, 'data breakpoint', name);
    const shown = name.replace('lg.pgdidx', '0');
    const escaped = shown.replace(/[[\]().]/g, '\\$&').replace('0x80', '128');
    assert.match(stop.text ?? '', new RegExp(`^${escaped}: ${text}`));
    await s.end();
  }
});

test('a field that the Host sets and clears before the Guest goes on is seen, while the Guest sleeps and when it dies', async () => {
  const s = await Inside.at('show_held_interrupt');
  await s.watch(['lg.halted', 'write']);
  assert.match((await s.go()).text ?? '', /^lg.halted: 0x00000000 → 0x00000001 by the Host \(HALT\), hypercall at /);
  assert.match((await s.go()).text ?? '', /^lg.halted: 0x00000001 → 0x00000000 by the Host \(\w+\)/, 'the timer woke it');
  await s.watch(['lg.irqs_pending & 1', 'write']);
  assert.match(
    (await s.go()).text ?? '',
    /^lg.irqs_pending: 0x0+ → 0x0+1 by the Host \(clock event\).*; lg.irqs_pending: 0x0+1 → 0x0+ by the Host \(set_guest_interrupt\)/,
  );
  await s.watch(['lg.ts', 'write', 'new == 0 && host']);
  assert.match((await s.go()).text ?? '', /^lg.ts: 0x00000008 → 0x00000000 by the Host \(TS\)/);
  await s.watch(['lg.dead', 'write']);
  await s.evaluate('send off');
  assert.match((await s.go()).text ?? '', /^lg.dead: "" → "CRASH: Power down" by the Host \(CRASH\), hypercall at /);
  await s.request('continue', { threadId: 1 });
  await s.end();
});

test('the ring of hypercalls and the shared page are watched as memory: who fills a slot and who frees it', async () => {
  const s = await Inside.at('start_kernel');
  await s.watch(['ring:hcall[0]', 'write']);
  assert.match((await s.go()).text ?? '', /^ring:hcall\[0\]\.eax: 0x0+ → 0x0000000e by the Guest at queue_hypercall\+0x\w+: mov /);
  await s.watch(['ring:hcall[0]', 'write', 'host']);
  assert.match((await s.go()).text ?? '', /^ring:hcall\[0\] status: 0x00 → 0xff by the Host \(SET_PTE\)/);
  const info = await s.request('dataBreakpointInfo', { name: 'virt.blocked_interrupts' });
  assert.deepEqual(info.accessTypes, ['read', 'write', 'readWrite']);
  assert.match(info.description, /^guest-physical 0x\w+, 4 bytes \(virt.blocked_interrupts\), all aliases, Guest and Host writers$/);
  assert.match((await s.request('dataBreakpointInfo', { name: 'ring:hcall[64]' })).description, /slots 0 to 63/);
  assert.match((await s.request('dataBreakpointInfo', { name: 'idt(256)' })).description, /entries 0 to 255/);
  assert.match(
    (await s.request('dataBreakpointInfo', { name: 'lg.nothing' })).description,
    /^lg.nothing is no field with one value: irqs_pending/,
  );
  assert.match(await s.evaluate('watch lg.pgdirs[2].gpgdir'), /^Watch \d+: lg.pgdirs\[2\].gpgdir, after every act of the Host/);
  await s.end();
});

test('the descriptor page and the rings of devices are watched by device and queue, and how far the Launcher has looked', async () => {
  const s = await Inside.at('start_kernel');
  await s.watch(['desc:console:status', 'write']);
  assert.match((await s.go()).text ?? '', /^desc:console:status: 0x00 → 0x0\w by the Guest at \w+/);
  await s.watch(['ring:console.1:avail', 'write']);
  assert.match((await s.go()).text ?? '', /^ring:console.1:avail: 0x0000 → 0x0001 by the Guest at \w+/);
  await s.watch(['ring:console.1:used', 'write'], ['ring:console.1:last', 'write']);
  const launcher = 'ring:console.1:used: 0x0000 → 0x0001 by the Launcher; ring:console.1:last: 0x00000000 → 0x00000001 by the Launcher';
  assert.equal((await s.go()).text, launcher);
  for (const [name, text] of [
    ['desc:disk:status', /there is no device "disk"; there are console/],
    ['ring:console.7:used', /console has queues 0 to 1, not 7/],
    ['ring:console.1:size', /a queue has avail and used/],
  ] as const)
    assert.match((await s.request('dataBreakpointInfo', { name })).description, text);
  for (const id of ['desc:console:status', 'ring:console.1:used'])
    assert.equal((await s.request('dataBreakpointInfo', { name: `${id}, changed` })).dataId, `${id}:changed`);
  await s.end();
});

test('what watches of the Host see is the same with and without the translator', async () => {
  const seen: string[] = [];
  for (const jit of [true, false]) {
    const s = await Inside.at('start_kernel', { jit });
    const names = [
      'lg.ts',
      'lg.halted',
      'lg.changed',
      'lg.irqs_pending',
      'lg.timer',
      'lg.last_pagefault',
      'gdt(12)',
      'ring:hcall',
      'virt.cr2',
    ];
    await s.watch(...names.map((name): [string, string, string] => [name, 'write', '| log']));
    await s.functions('shell');
    assert.equal((await s.go()).reason, 'function breakpoint');
    const { text } = await s.request('lguest/watchLog', { format: 'csv' });
    seen.push(`${text}${await s.evaluate('insns,d')}`);
    await s.end();
  }
  assert.ok(seen[0].split('\n').length > 200, `${seen[0].split('\n').length} rows`);
  assert.equal(seen[0], seen[1]);
});
