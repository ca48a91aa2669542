// What debugging costs: node bench.mjs --debugger-costs [--turns 5] [--costs core-steps,dap] [--out-costs F.json]
// Every figure stands beside its goal. Slowdowns are ratios of alternating turns with and without; what goes through the adapter goes through a process of its own on
// stdin and stdout, as an editor has it. The part inside is debugger-costs.ts.
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const now = () => Number(process.hrtime.bigint()) / 1e9;

/** name: what it says, unit, goal; `least`: the figure must be at least that. */
const FIGURES = {
  'dap-steps': { text: 'single steps through DAP (stdio)', unit: '/s', goal: 20_000, least: true },
  'dap-editor-steps': { text: 'the same, with stack, scopes and registers as an editor asks', unit: '/s' },
  'core-steps': { text: 'single steps inside', unit: '/s', goal: 1_000_000, least: true },
  'condition-register': { text: 'false condition on registers', unit: '/s', goal: 2_000_000, least: true },
  'condition-global': { text: 'false condition on a variable of the Guest', unit: '/s', goal: 2_000_000, least: true },
  'condition-local': { text: 'false condition on a parameter', unit: '/s' },
  'breakpoint-same-page': { text: 'breakpoint never hit, on the hot code page', unit: 'x', goal: 1.1 },
  'watch-hot-page': { text: 'watch never hit, on the hot data page', unit: 'x', goal: 1.5 },
  'watch-100-ranges': { text: '100 watched ranges never hit, 50 of them on the hot data page', unit: 'x' },
  'first-stop': { text: 'adapter up (initialize answered) to the first stop', unit: 's', goal: 0.2 },
  'process-to-stop': { text: 'start of the process to the first stop', unit: 's' },
  'memory-first-stop': { text: 'resident memory at the first stop, Guest of 64 MB', unit: 'MB', goal: 300 },
  'memory-after-work': { text: 'most resident memory, Guest of 64 MB that used 48', unit: 'MB', goal: 300 },
};

/** A client that speaks DAP to dist/adapter.js and does nothing else. */
class Client {
  constructor() {
    this.p = spawn(process.execPath, [path.join(root, 'dist/adapter.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.data = Buffer.alloc(0);
    this.seq = 1;
    this.answers = new Map();
    this.waiting = [];
    this.p.stdout.on('data', (chunk) => {
      this.data = this.data.length === 0 ? chunk : Buffer.concat([this.data, chunk]);
      for (;;) {
        const head = this.data.indexOf('\r\n\r\n');
        if (head < 0) return;
        const length = +/Content-Length: (\d+)/.exec(this.data.latin1Slice(0, head))[1];
        if (this.data.length < head + 4 + length) return;
        const message = JSON.parse(this.data.utf8Slice(head + 4, head + 4 + length));
        this.data = this.data.subarray(head + 4 + length);
        this.take(message);
      }
    });
  }
  take(m) {
    if (m.type === 'response') {
      const [done, fail] = this.answers.get(m.request_seq);
      this.answers.delete(m.request_seq);
      if (m.success) done(m.body);
      else fail(new Error(`${m.command}: ${m.message}`));
    } else {
      const i = this.waiting.findIndex((w) => w.event === m.event);
      if (i >= 0) this.waiting.splice(i, 1)[0].done(m.body);
    }
  }
  request(command, args = {}) {
    const json = JSON.stringify({ seq: this.seq, type: 'request', command, arguments: args });
    this.p.stdin.write(`Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
    return new Promise((done, fail) => this.answers.set(this.seq++, [done, fail]));
  }
  event(event) {
    return new Promise((done) => this.waiting.push({ event, done }));
  }
  /** Megabytes by /proc, where there is one. @param what VmRSS: now, VmHWM: the most so far. */
  resident(what) {
    try {
      return +new RegExp(`${what}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${this.p.pid}/status`, 'latin1'))[1] / 1024;
    } catch {
      return Number.NaN;
    }
  }
  /** @returns seconds from the answer to initialize to the stop. */
  async start(program, more) {
    await this.request('initialize', { adapterID: 'lguest', pathFormat: 'path', linesStartAt1: true, columnsStartAt1: true });
    const up = now();
    const ready = this.event('initialized');
    const launched = this.request('launch', { program, memory: '64M', ...more });
    await ready;
    if (more.stopOnEntry !== true) {
      await launched;
      await this.request('configurationDone');
      return undefined;
    }
    const stop = this.event('stopped');
    await this.request('configurationDone');
    await stop;
    return now() - up;
  }
  async close() {
    const gone = new Promise((done) => this.p.on('close', done));
    await this.request('disconnect');
    await gone;
  }
}

const throughAdapter = async (guest, turns) => {
  const steps = [];
  const editor = [];
  const first = [];
  const whole = [];
  const memory = [];
  for (let turn = 0; turn < turns; turn++) {
    const from = now();
    const c = new Client();
    first.push(await c.start(guest, { stopOnEntry: true }));
    whole.push(now() - from);
    memory.push(c.resident('VmRSS'));
    const step = async () => {
      const stop = c.event('stopped');
      await c.request('stepIn', { threadId: 1, granularity: 'instruction' });
      await stop;
    };
    for (let i = 0; i < 2000; i++) await step();
    let n = 0;
    let t = now();
    for (; now() - t < 0.5; ) for (let k = 0; k < 100; k++, n++) await step();
    steps.push(n / (now() - t));
    n = 0;
    t = now();
    for (; now() - t < 0.5; n++) {
      await step();
      const { stackFrames } = await c.request('stackTrace', { threadId: 1, startFrame: 0, levels: 1 });
      const { scopes } = await c.request('scopes', { frameId: stackFrames[0].id });
      const registers = scopes.find((s) => s.presentationHint === 'registers') ?? scopes[0];
      await c.request('variables', { variablesReference: registers.variablesReference });
    }
    editor.push(n / (now() - t));
    await c.close();
  }
  return {
    'dap-steps': median(steps),
    'dap-editor-steps': median(editor),
    'first-stop': median(first),
    'process-to-stop': median(whole),
    'memory-first-stop': median(memory),
  };
};

/** @param image the workloads as a Guest: those that go all over its memory. */
const memoryAfterWork = async (image) => {
  const c = new Client();
  const ended = c.event('terminated');
  await c.start(image, { stopOnEntry: false });
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, c.resident('VmHWM'));
  }, 100);
  await ended;
  most = Math.max(most, c.resident('VmHWM'));
  clearInterval(timer);
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
  if (['dap-steps', 'dap-editor-steps', 'first-stop', 'process-to-stop', 'memory-first-stop'].some(only))
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
