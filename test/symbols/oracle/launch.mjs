// What symbols cost a session: launch to the first breakpoint by the processor time of the adapter, through DAP on stdio, and the memory that symbols take.
// Usage: node test/symbols/oracle/launch.mjs vmlinux [--kernel bzImage] [--initrd F] [--at start_kernel] [--runs 5] [--profile FOLDER]
//        node --expose-gc test/symbols/oracle/launch.mjs vmlinux --memory      (heap and outside memory: loaded, asked as a session asks, every unit read)
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const option = (name) => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? undefined : args.splice(at, 2)[1];
};
const runs = Number(option('runs') ?? 5);
const kernel = option('kernel');
const initrd = option('initrd');
const at = option('at') ?? 'start_kernel';
const profile = option('profile');
const memory = args.includes('--memory');
const file = resolve(args.find((a) => !a.startsWith('--')) ?? '');
const root = fileURLToPath(new URL('../../../', import.meta.url));

const once = async () => {
  const from = performance.now();
  const options = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const p = spawn(process.execPath, [...options, `${root}dist/adapter.js`], { stdio: ['pipe', 'pipe', 'inherit'] });
  let seq = 1;
  let data = Buffer.alloc(0);
  const answers = new Map();
  let stopped = () => {};
  p.stdout.on('data', (chunk) => {
    data = Buffer.concat([data, chunk]);
    for (;;) {
      const head = data.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/Content-Length: (\d+)/.exec(data.latin1Slice(0, head))[1]);
      if (data.length < head + 4 + length) return;
      const m = JSON.parse(data.utf8Slice(head + 4, head + 4 + length));
      data = data.subarray(head + 4 + length);
      if (m.type === 'response') answers.get(m.request_seq)?.(m);
      else if (m.event === 'stopped') stopped(m.body);
    }
  });
  const request = (command, given = {}) =>
    new Promise((done) => {
      answers.set(seq, done);
      const text = JSON.stringify({ seq: seq++, type: 'request', command, arguments: given });
      p.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    });
  const spent = () => {
    const fields = readFileSync(`/proc/${p.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  await request('initialize', { adapterID: 'lguest' });
  const up = spent();
  const launch = { program: kernel ?? file, symbolFiles: [file], memory: '64M', console: 'internalConsole', ...(initrd ? { initrd } : {}) };
  const launched = await request('launch', launch);
  if (!launched.success) throw new Error(launched.message);
  const set = await request('setFunctionBreakpoints', { breakpoints: [{ name: at }] });
  if (!set.body.breakpoints[0].verified) throw new Error(`no function ${at}`);
  const bound = spent();
  const stop = new Promise((done) => {
    stopped = done;
  });
  await request('configurationDone');
  await stop;
  await request('stackTrace', { threadId: 1, levels: 1 });
  const all = spent();
  const wall = (performance.now() - from) / 1000;
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${p.pid}/status`, 'utf8'))[1]) / 1024;
  await request('disconnect', { terminateDebuggee: true });
  const gone = new Promise((done) => p.on('exit', done));
  p.stdin.end();
  const late = setTimeout(() => p.kill(), 5000);
  await gone;
  clearTimeout(late);
  return { up, bound, all, wall, resident };
};

const measure = async () => {
  const all = [];
  for (let n = 0; n < runs; n++) all.push(await once());
  const median = (key) =>
    all
      .map((r) => r[key])
      .sort((a, b) => a - b)
      [all.length >> 1].toFixed(2);
  console.log(
    `processor seconds of the adapter, median of ${runs}: up ${median('up')}, bound ${median('bound')}, at the first breakpoint ${median('all')}`,
  );
  console.log(`all: ${all.map((r) => r.all.toFixed(2)).join(' ')}; wall ${median('wall')} s; resident ${median('resident')} MB`);
};

const measureMemory = async () => {
  const { loadSymbols } = await import('./load.mjs');
  const S = await loadSymbols();
  const used = () => {
    globalThis.gc?.();
    const m = process.memoryUsage();
    return (m.heapUsed + m.external) / 1e6;
  };
  const before = used();
  const program = S.loadProgram(readFileSync(file), { name: 'program' });
  const say = (what) => console.log(`${what}: ${(used() - before).toFixed(1)} MB more in use`);
  say('loaded, the file itself included');
  const [first] = program.functionsNamed(at);
  program.lineAt(first.entry);
  say('a function by name');
  program.locationsForLine(first.file, first.line);
  say('a line');
  const functions = program.functionsNamed('*');
  let state = 1;
  for (let n = 0; n < 2000; n++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const f = functions[Math.floor((state / 2 ** 32) * functions.length)];
    program.inlineChain(f.entry + 4);
    for (const v of program.variablesAt(f.entry + 4)) void v.type;
    program.lineAt(f.entry);
  }
  say('places in 2,000 functions: scopes, locals, types');
  for (const f of functions) {
    program.inlineChain(f.entry);
    for (const v of program.variablesAt(f.entry + 1)) void v.type;
    program.lineAt(f.entry);
  }
  say(`all ${functions.length} functions of every unit`);
};

await (memory ? measureMemory() : measure());
