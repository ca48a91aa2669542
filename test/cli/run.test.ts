// The command line as a user meets it: exit statuses, what is printed where, files that are written, and bad input in one line.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LD, LHCALL } from '../../src/lguest/abi';
import { kernel } from '../launcher/bare-kernel';
import { elf, LOOP } from '../launcher/bench';
import { Code } from '../lguest/bench';

const folder = mkdtempSync(join(tmpdir(), 'lguest-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const DEMO = 'examples/demo/demo.elf';

interface Outcome {
  status: number | null;
  out: string;
  err: string;
}
const cli = (args: string[], input = ''): Outcome => {
  const r = spawnSync(process.execPath, ['dist/cli.js', ...args], { input, encoding: 'utf8', timeout: 120_000 });
  return { status: r.status, out: r.stdout, err: r.stderr };
};

test('run ends with 0 at a power-off, and says what lguest would say', () => {
  const r = cli(['run', DEMO, '--cmdline', 'do=off', '--memory', '32M']);
  assert.deepEqual([r.status, r.err], [0, 'lguest: CRASH: Power down\n']);
  assert.match(r.out, /^lguest demo Guest: hello from ring 1/);
});

test('run ends with 1 for a killed Guest and 2 for a panic, the message on stderr', () => {
  const killed = cli(['run', DEMO, '--cmdline', 'do=die trap']);
  assert.equal(killed.status, 1);
  assert.match(killed.err, /^lguest: unhandled trap 13 at 0x[0-9a-f]+ \(0x0\)\n$/);
  const panic = cli(['run', DEMO, '--cmdline', 'do=die null', '--no-jit']);
  assert.equal(panic.status, 2);
  assert.match(panic.err, /^lguest: CRASH: Oops: page fault at 0x/);
});

test('run ends with 5 when nothing is left to do, with 4 at its limit, with 0 when --until is reached and 4 when it is not', () => {
  const idle = cli(['run', DEMO]);
  assert.equal(idle.status, 5);
  assert.match(idle.out, /demo> $/);
  assert.match(idle.err, /nothing left to do/);
  assert.equal(cli(['run', DEMO, '--limit', '100_000']).status, 4);
  const until = cli(['run', DEMO, '--until', 'console:/^ 5\\. SET_STACK/m']);
  assert.equal(until.status, 0);
  assert.match(until.out, / 5\. SET_STACK/);
  assert.equal(cli(['run', DEMO, '--until', 'traps:100']).status, 0);
  const stats = join(folder, 'until.json');
  assert.equal(cli(['run', DEMO, '--until', 'instructions:123456', '--stats', stats]).status, 0);
  assert.equal(JSON.parse(readFileSync(stats, 'utf8')).instructions, 123456);
  assert.equal(cli(['run', DEMO, '--cmdline', 'do=off', '--until', 'console:/never/']).status, 4);
});

test('input from a file is typed on the console', () => {
  const keys = join(folder, 'keys');
  writeFileSync(keys, 'ticks 1\roff\r');
  const r = cli(['run', DEMO, '--input', keys]);
  assert.equal(r.status, 0);
  assert.match(r.out, /demo> ticks 1\r?\nticks: /);
  assert.match(cli(['run', DEMO, '--input', '-'], 'mem\roff\r').out, /demo> mem/);
});

test('two runs give the same state hash and trap log, whatever engine runs them and however the run is cut', () => {
  const run = (name: string, ...more: string[]): [hash: string, log: string] => {
    const stats = join(folder, `${name}.json`);
    const log = join(folder, `${name}.ndjson`);
    assert.equal(cli(['run', DEMO, '--cmdline', 'do=spin 100000;off', '--stats', stats, '--trap-log', log, ...more]).status, 0);
    return [JSON.parse(readFileSync(stats, 'utf8')).stateHash, readFileSync(log, 'utf8')];
  };
  const first = run('a');
  assert.match(first[0], /^[0-9a-f]{16}$/);
  assert.deepEqual(run('b'), first);
  assert.deepEqual(run('c', '--no-jit'), first);
  const rows = first[1]
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(rows.length > 300);
  assert.deepEqual(Object.keys(rows[0]).slice(0, 2), ['k', 'pos']);
  assert.deepEqual(
    rows.map((row) => row.k),
    rows.map((_, k) => k),
  );
  assert.notEqual(run('d', '--tsc-khz', '0')[0], first[0]);
});

test('--trap-totals counts what happened, on stderr', () => {
  const r = cli(['run', DEMO, '--cmdline', 'do=off', '--trap-totals']);
  assert.match(r.err, /trap 14 \/ 31 \/ 13 \/ 7 at the Host +\d+ \/ \d+ \/ \d+ \/ \d+/);
  assert.match(r.err, /LOAD_IDT_ENTRY sync \+ async +47 \+ 0/);
});

test('bad input is one line on stderr and status 64', () => {
  const elf = readFileSync(DEMO);
  const cut = join(folder, 'cut.elf');
  writeFileSync(cut, elf.subarray(0, 5000));
  const cases: [string[], RegExp][] = [
    [['run'], /name a kernel/],
    [['run', '/no/such'], /kernel \/no\/such: no such file/],
    [['run', folder], /is a folder; name a file/],
    [['run', cut], /truncated/],
    [['run', DEMO, '--memory', 'lots'], /--memory lots: a number with K, M or G/],
    [['run', DEMO, '--memory', '1536K'], /whole number of MB/],
    [['run', DEMO, '--bogus'], /unknown option --bogus; the options are --initrd/],
    [['run', DEMO, '--limit'], /--limit needs a value/],
    [['run', DEMO, '--limit', '-5'], /whole number/],
    [['run', DEMO, '--until', 'later'], /--until later: write console/],
    [['run', DEMO, '--until', 'console:/(/'], /Unterminated group|Invalid regular expression/],
    [['run', DEMO, 'other'], /one kernel at a time/],
    [['run', DEMO, '--initrd', '/no/such'], /--initrd \/no\/such: no such file/],
    [['bare'], /one IMAGE is wanted, not 0; lguest-debug bare --help/],
    [['bare', '/no/such'], /image \/no\/such: no such file/],
    [['bare', DEMO, '--module', folder], /--module .* is a folder; name a file/],
    [['bare', DEMO, '--until', 'later'], /--until later: write console/],
    [['dap', '--port', '99999'], /at most 65535/],
    [['dap', 'x'], /takes no x/],
    [['fly'], /unknown command "fly"/],
  ];
  for (const [args, message] of cases) {
    const r = cli(args);
    assert.equal(r.status, 64, args.join(' '));
    assert.match(r.err, message);
    assert.equal(r.err.trimEnd().split('\n').length, 1, r.err);
  }
  assert.equal(cli([]).status, 64);
  for (const args of [['--help'], ['run', '--help'], ['bare', '--help'], ['dap', '--help']]) {
    const help = cli(args);
    assert.deepEqual([help.status, help.err], [0, ''], args.join(' '));
    assert.match(help.out, /^usage: lguest-debug|^lguest-debug: /);
  }
});

test('the guided demo runs through without a key and ends with a death explained', () => {
  const r = cli(['demo']);
  assert.equal(r.status, 0);
  for (const chapter of ['A breakpoint', 'Registers', 'A page fault that the Guest sees', 'Three values of cr2', 'A death, explained'])
    assert.ok(r.out.includes(`== ${chapter}`), chapter);
  assert.match(r.out, /stopped: Guest killed by the Host: bad page table entry/);
  assert.match(r.out, /cr2\.guest\n {4}0xd0000000/);
});

test('--trap-log writes CSV and Chrome trace when the file is named so, with as many records as NDJSON has', () => {
  const [ndjson, csv, chrome] = ['t.ndjson', 't.csv', 't.json'].map((name) => {
    const path = join(folder, name);
    assert.equal(cli(['run', DEMO, '--cmdline', 'do=off', '--trap-log', path]).status, 0);
    return readFileSync(path, 'utf8');
  });
  const records = ndjson.trimEnd().split('\n').length;
  assert.match(csv, /^k,pos,ns,kind,vector,err,eip,/);
  assert.equal(csv.trimEnd().split('\n').length, records + 1);
  const { traceEvents } = JSON.parse(chrome) as { traceEvents: { ph: string }[] };
  assert.equal(traceEvents.filter((e) => e.ph === 'i').length, records);
});

/** A kernel that writes one sector of 0x5a to sector 1 of its disk, waits for nothing, and powers off. */
const diskWriter = (): Uint8Array => {
  const [data, pgdir, table, queue, header] = [0x200000, 0x3ff000, 0x230000, 0x401000, 0x210000];
  const c = new Code(0x100000).esp(0x220ff0);
  for (const [at, value] of [
    [data + LD.kernelAddress, 0xc0000000],
    [data + LD.syscallVec, 0x80],
    [pgdir + 4, table | 7],
    [table + 4, queue | 7],
    [table + 8, (queue + 0x1000) | 7],
    [header, 1],
    [header + 8, 1],
    [queue, header],
    [queue + 8, 24],
    [queue + 12, 1 | (1 << 16)],
    [queue + 16, header + 0x1000],
    [queue + 24, 512],
    [queue + 28, 1 | (2 << 16)],
    [queue + 32, header + 0x2000],
    [queue + 40, 1],
    [queue + 44, 2],
    [queue + 2048, 1 << 16],
  ])
    c.put(at, value);
  for (let i = 0; i < 64; i += 4) c.put(data + LD.hcallStatus + i, 0xffffffff);
  for (let i = 0; i < 128; i++) c.put(header + 0x1000 + i * 4, 0x5a5a5a5a);
  for (const [i, b] of [...Buffer.from('Power down\0\0').entries()].filter(([i]) => i % 4 === 0))
    c.put(header + 0x3000 + i, b | (Buffer.from('Power down\0\0').readUIntLE(i + 1, 3) << 8));
  return elf(
    c
      .hcall(LHCALL.LGUEST_INIT, data)
      .hcall(LHCALL.NOTIFY, queue)
      .hcall(LHCALL.CRASH, header + 0x3000)
      .raw(...LOOP).bytes,
  );
};

test('disks are left alone, and written into only with --block-write', () => {
  const kernel = join(folder, 'writer.elf');
  const disk = join(folder, 'disk.img');
  writeFileSync(kernel, diskWriter());
  writeFileSync(disk, new Uint8Array(2048));
  const args = ['run', kernel, '--memory', '4M', '--block', disk];
  assert.deepEqual(cli(args).status, 0);
  assert.ok(readFileSync(disk).every((b) => b === 0));
  const r = cli([...args, '--block-write']);
  assert.deepEqual([r.status, r.err], [0, 'lguest: CRASH: Power down\n']);
  const after = readFileSync(disk);
  assert.deepEqual([after.length, after.indexOf(0x5a), after.lastIndexOf(0x5a)], [2048, 512, 1023]);
  assert.match(cli(['run', DEMO, '--block-write']).err, /--block-write needs a disk: name one with --block/);
});

test('where the engine refuses to compile WebAssembly, run and bare say so once and go on', () => {
  const refuse = join(folder, 'refuse.cjs');
  writeFileSync(refuse, "WebAssembly.Module = function () { throw new WebAssembly.CompileError('refused'); };\n");
  const endless = join(folder, 'endless.bin');
  writeFileSync(endless, kernel([0xeb, 0xfe]));
  for (const command of ['run', 'bare']) {
    const args = ['-r', refuse, 'dist/cli.js', command, command === 'run' ? DEMO : endless, '--limit', '20000'];
    const { status, stderr } = spawnSync(process.execPath, args, { input: '', encoding: 'utf8' });
    assert.deepEqual(stderr.match(/^lguest-debug: this engine refuses to compile WebAssembly;.*$/gm)?.length, 1, `${command}: ${stderr}`);
    assert.equal(status, 4, command);
  }
});

test('run and bare take --jit off, on and forced, and the state after so many instructions is the same', () => {
  const hashes = ['off', 'on', 'forced'].map((jit) => {
    const file = join(folder, `jit-${jit}.json`);
    const r = cli(['run', DEMO, '--jit', jit, '--until', 'instructions:60000', '--stats', file]);
    assert.equal(r.status, 0, r.err);
    return JSON.parse(readFileSync(file, 'utf8')).stateHash;
  });
  assert.deepEqual(hashes, [hashes[0], hashes[0], hashes[0]]);
  for (const command of ['run', 'bare']) {
    const odd = cli([command, DEMO, '--jit', 'maybe']);
    assert.deepEqual([odd.status, odd.err], [64, 'lguest-debug: --jit maybe: off, on or forced\n']);
    const both = cli([command, DEMO, '--jit', 'forced', '--no-jit']);
    assert.deepEqual([both.status, both.err], [64, 'lguest-debug: --no-jit and --jit forced contradict each other; give one of them\n']);
  }
});
