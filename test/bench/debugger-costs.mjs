// What debugging costs: node bench.mjs --debugger-costs [--turns 5] [--costs core-steps,dap] [--out-costs F.json]
// Every figure stands beside its goal. Slowdowns are ratios of alternating turns with and without; what goes through the adapter goes through a process of its own on
// stdin and stdout, as an editor has it. The part inside is debugger-costs.ts.
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const STEPPING_SECONDS = 0.7;
/** The engine optimises the adapter's JavaScript late (src/adapter/engine.ts): the first few thousand steps cost up to four times as much. */
const WARM_STEPS = 25_000;
const now = () => Number(process.hrtime.bigint()) / 1e9;

/** name: what it says, unit, goal; `least`: the figure must be at least that. */
const FIGURES = {
  'dap-steps': { text: 'single steps through DAP (stdio)', unit: '/s', goal: 20_000, least: true },
  'dap-steps-of-echo': { text: 'the same, of what a program does that only answers "stopped"', unit: 'x' },
  'dap-step-cpu': { text: "the adapter's processor time for one of them", unit: 'us' },
  'dap-editor-steps': { text: 'the same, with stack, scopes and registers as an editor asks', unit: '/s' },
  'core-steps': { text: 'single steps inside', unit: '/s', goal: 1_000_000, least: true },
  'condition-register': { text: 'false condition on registers', unit: '/s', goal: 2_000_000, least: true },
  'condition-global': { text: 'false condition on a variable of the Guest', unit: '/s', goal: 2_000_000, least: true },
  'condition-local': { text: 'false condition on a parameter', unit: '/s', goal: 2_000_000, least: true },
  'breakpoint-same-page': { text: 'breakpoint never hit, on the hot code page', unit: 'x', goal: 1.1 },
  'watch-hot-page': { text: 'watch never hit, on the hot data page', unit: 'x', goal: 1.5 },
  'watch-100-ranges': { text: '100 watched ranges never hit, 50 of them on the hot data page', unit: 'x' },
  'first-stop': { text: 'adapter up (initialize answered) to the first stop', unit: 's', goal: 0.2 },
  'first-stop-cpu': { text: "the adapter's processor time for that (its main thread)", unit: 's' },
  'process-to-stop': { text: 'start of the process to the first stop', unit: 's' },
  'memory-first-stop': { text: 'resident memory at the first stop, Guest of 64 MB', unit: 'MB', goal: 300 },
  'memory-after-work': { text: 'most resident memory, Guest of 64 MB that used 48', unit: 'MB', goal: 300 },
};

/** A program that answers each request with what a step is answered with, and does nothing: what the pipes and Node allow. */
const ECHO = `
const frame = (json) => 'Content-Length: ' + json.length + '\\r\\n\\r\\n' + json;
const answer =
  frame('{"type":"response","seq":0,"request_seq":1,"command":"stepIn","success":true}') +
  frame(JSON.stringify({ type: 'event', seq: 0, event: 'stopped', body: { reason: 'step', description: 'Paused on step', threadId: 1, allThreadsStopped: true, hitBreakpointIds: [] } }));
process.stdin.on('data', () => process.stdout.write(answer, 'latin1'));
process.stdin.on('close', () => process.exit());
`;

/**
 * A client that speaks DAP to dist/adapter.js and does nothing else: it blocks on two named pipes, so that what is measured is the adapter and not the client's event loop.
 */
class Client {
  /** @param program arguments of Node. */
  constructor(program = [path.join(root, 'dist/adapter.js')]) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lguest-costs-'));
    const [to, from] = ['to', 'from'].map((name) => path.join(folder, name));
    execFileSync('mkfifo', [to, from]);
    // Each side has a descriptor of its own: the adapter sets its own to not block.
    const theirs = [fs.openSync(to, 'r+'), fs.openSync(from, 'r+')];
    this.to = fs.openSync(to, 'r+');
    this.from = fs.openSync(from, 'r+');
    fs.rmSync(folder, { recursive: true });
    this.p = spawn(process.execPath, program, { stdio: [...theirs, 'inherit'] });
    for (const file of theirs) fs.closeSync(file);
    this.data = Buffer.alloc(1 << 20);
    this.start = 0;
    this.last = 0;
    this.seq = 1;
  }
  /** The next message. */
  next() {
    for (;;) {
      const head = this.data.subarray(this.start, this.last).indexOf('\r\n\r\n');
      if (head >= 0) {
        const at = this.start + head + 4;
        const length = Number.parseInt(this.data.latin1Slice(this.start + 'Content-Length: '.length, at - 4), 10);
        if (this.last >= at + length) {
          this.start = at + length;
          const message = JSON.parse(this.data.utf8Slice(at, at + length));
          if (message.success === false) throw new Error(`${message.command}: ${message.message}`);
          return message;
        }
      }
      this.data.copyWithin(0, this.start, this.last);
      this.last -= this.start;
      this.start = 0;
      this.last += fs.readSync(this.from, this.data, this.last, this.data.length - this.last);
    }
  }
  until(wanted) {
    for (;;) {
      const message = this.next();
      if (wanted(message)) return message.body;
    }
  }
  send(command, args = {}) {
    const json = JSON.stringify({ seq: this.seq++, type: 'request', command, arguments: args });
    fs.writeSync(this.to, `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
  }
  /** @returns the answer's body. */
  request(command, args) {
    const { seq } = this;
    this.send(command, args);
    return this.until((m) => m.request_seq === seq);
  }
  event(name) {
    return this.until((m) => m.event === name);
  }
  /** Megabytes by /proc, where there is one. @param what VmRSS: now, VmHWM: the most so far. */
  resident(what) {
    try {
      return +new RegExp(`${what}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${this.p.pid}/status`, 'latin1'))[1] / 1024;
    } catch {
      return Number.NaN;
    }
  }
  /** Seconds of processor time of the main thread so far: unlike the clock's, other work on the machine hardly changes it. */
  cpu() {
    try {
      return +fs.readFileSync(`/proc/${this.p.pid}/task/${this.p.pid}/schedstat`, 'latin1').split(' ')[0] / 1e9;
    } catch {
      return Number.NaN;
    }
  }
  /** Ready to run. @returns when the adapter was up, and its processor time until then, in seconds. */
  launch(program, more) {
    this.request('initialize', { adapterID: 'lguest', pathFormat: 'path', linesStartAt1: true, columnsStartAt1: true });
    const up = { at: now(), cpu: this.cpu() };
    this.send('launch', { program, memory: '64M', ...more });
    this.event('initialized');
    this.send('configurationDone');
    return up;
  }
  /** A single step, until it is told. */
  step() {
    this.send('stepIn', { threadId: 1, granularity: 'instruction' });
    this.event('stopped');
  }
  async close() {
    this.request('disconnect');
    await this.end();
  }
  /** Waits for the program's end. @param kill it does not end by itself. */
  async end(kill = false) {
    const gone = new Promise((done) => this.p.on('close', done));
    if (kill) this.p.kill();
    await gone;
    for (const file of [this.to, this.from]) fs.closeSync(file);
  }
}

/** How often `work` is done in a second, over some time. */
const rate = (work) => {
  let n = 0;
  const from = now();
  for (; now() - from < STEPPING_SECONDS; n += 50) for (let k = 0; k < 50; k++) work();
  return n / (now() - from);
};

const echoed = async () => {
  const c = new Client(['-e', ECHO]);
  for (let i = 0; i < WARM_STEPS; i++) c.step();
  const steps = rate(() => c.step());
  await c.end(true);
  return steps;
};

const throughAdapter = async (guest, turns) => {
  const steps = [];
  const echo = [];
  const editor = [];
  const stepCpu = [];
  const first = [];
  const firstCpu = [];
  const whole = [];
  const memory = [];
  for (let turn = 0; turn < turns; turn++) {
    const from = now();
    const c = new Client();
    const up = c.launch(guest, { stopOnEntry: true });
    c.event('stopped');
    first.push(now() - up.at);
    firstCpu.push(c.cpu() - up.cpu);
    whole.push(now() - from);
    memory.push(c.resident('VmRSS'));
    for (let i = 0; i < WARM_STEPS; i++) c.step();
    let n = 0;
    const before = c.cpu();
    steps.push(
      rate(() => {
        c.step();
        n++;
      }),
    );
    stepCpu.push(((c.cpu() - before) * 1e6) / n);
    echo.push(steps.at(-1) / (await echoed()));
    editor.push(
      rate(() => {
        c.step();
        const { stackFrames } = c.request('stackTrace', { threadId: 1, startFrame: 0, levels: 1 });
        const { scopes } = c.request('scopes', { frameId: stackFrames[0].id });
        const registers = scopes.find((s) => s.presentationHint === 'registers') ?? scopes[0];
        c.request('variables', { variablesReference: registers.variablesReference });
      }),
    );
    await c.close();
  }
  return {
    'dap-steps': median(steps),
    'dap-steps-of-echo': median(echo),
    'dap-step-cpu': median(stepCpu),
    'dap-editor-steps': median(editor),
    'first-stop': median(first),
    'first-stop-cpu': median(firstCpu),
    'process-to-stop': median(whole),
    'memory-first-stop': median(memory),
  };
};

/** @param image the workloads as a Guest: those that go all over its memory. */
const memoryAfterWork = async (image) => {
  const c = new Client();
  c.launch(image, { stopOnEntry: false });
  c.event('terminated');
  const most = c.resident('VmHWM');
  await c.close();
  return most;
};

const inside = async (guest, turns, only) => {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [path.join(here, 'debugger-costs.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
    external: ['iced-x86'],
  });
  const module = { exports: {} };
  new Function('module', 'exports', 'require', outputFiles[0].text)(module, module.exports, createRequire(import.meta.url));
  return module.exports.measure(guest, turns, only);
};

/** @param workloads path of a Guest image that runs to its end. @returns { name: { value, unit, goal?, met? } } and prints the table. */
export const debuggerCosts = async ({ turns = 5, wanted = '', workloads }) => {
  execFileSync('make', ['-C', path.join(here, 'guest'), 'dbg-lguest.elf'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const guest = path.join(here, 'guest/dbg-lguest.elf');
  const list = wanted.split(',').filter((w) => w !== '');
  const only = (name) => list.length === 0 || list.some((w) => name.startsWith(w));
  const found = {};
  if (Object.keys(FIGURES).some((name) => /^(dap|first|process|memory-first)/.test(name) && only(name)))
    Object.assign(found, await throughAdapter(guest, turns));
  if (only('memory-after-work')) found['memory-after-work'] = await memoryAfterWork(workloads());
  Object.assign(found, await inside(guest, turns, only));
  const results = {};
  console.log(`\n${'debugger costs, medians'.padEnd(70)}${'figure'.padStart(12)}${'goal'.padStart(14)}`);
  for (const [name, { text, unit, goal, least }] of Object.entries(FIGURES)) {
    const value = found[name];
    if (value === undefined) continue;
    const met = goal === undefined ? undefined : least ? value >= goal : value <= goal;
    results[name] = { value, unit, ...(goal === undefined ? {} : { goal, met }) };
    const show = (v) => (v >= 100 ? Math.round(v).toLocaleString('en') : v.toPrecision(3));
    const right = goal === undefined ? '' : `${least ? '>=' : '<='} ${show(goal)} ${met ? 'yes' : 'NO'}`;
    console.log(`${text.padEnd(66)}${`${show(value)} ${unit}`.padStart(16)}${right.padStart(18)}`);
  }
  return results;
};
