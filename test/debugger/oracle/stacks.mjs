// Compares the debugger's stacks with gdb's at many stops of a Linux Guest: every frame's place, name, line, registers and variables. Not part of npm test: it needs gdb
// and a kernel with debug information. The Guest runs here, as in a session, with calls noted; gdb is told by its remote protocol what memory and registers hold.
// Usage: node test/debugger/oracle/stacks.mjs vmlinux --initrd FILE [--kernel bzImage] [--cmdline TEXT] [--stops 1000] [--span INSTRUCTIONS] [--from INSTRUCTIONS] [--seed N]
//   stops come every 1 to `span` instructions, `from` the start; --kernel boots that image (a bzImage), the symbols are those of vmlinux.
// Stops in user programs are passed over: gdb knows nothing of them. Differences that are known and explained are counted apart.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { comparison } from '../../symbols/oracle/compare.mjs';
import { parts } from '../../symbols/oracle/load.mjs';

const args = process.argv.slice(2);
const option = (name, otherwise) => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? otherwise : args.splice(at, 2)[1];
};
const kernelFile = option('kernel');
const initrd = option('initrd');
const cmdline = option('cmdline', 'console=hvc0');
const stops = Number(option('stops', '1000'));
const span = Number(option('span', '60000'));
const from = Number(option('from', '0'));
const show = Number(option('show', '20'));
let state = Number(option('seed', '7')) >>> 0;
const [vmlinux] = args;
const random = (below) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const root = fileURLToPath(new URL('../../../', import.meta.url));
const outfile = join(root, 'dist/oracle/debugger.mjs');
const modules = [
  'launcher/machine',
  'debugger/target',
  'debugger/session',
  'debugger/programs',
  'debugger/stack',
  'debugger/frame-environment',
];
await build({
  stdin: {
    contents: [...parts.map((p) => `symbols/${p}`), ...modules].map((p) => `export * from './${p}';`).join('\n'),
    resolveDir: join(root, 'src'),
    loader: 'ts',
  },
  bundle: true,
  platform: 'node',
  format: 'esm',
  external: ['iced-x86'],
  outfile,
  logLevel: 'error',
});
const S = await import(pathToFileURL(outfile).href);

const image = new Uint8Array(readFileSync(vmlinux));
const machine = new S.Machine({
  kernel: kernelFile ? new Uint8Array(readFileSync(kernelFile)) : image,
  ...(initrd ? { initrd: new Uint8Array(readFileSync(initrd)) } : {}),
  memoryBytes: 64 << 20,
  cmdline,
});
const opened = S.openProgram(image, vmlinux);
const d = new S.Debugger(new S.GuestTarget(machine), new S.Programs([opened]));
const { target } = d;
const program = opened.symbols;
const { tally, compare, report, differ } = comparison(S, program);
const methods = new Map();

const inKernel = () => (target.register('cs') & 3) !== 3;
function run(instructions) {
  machine.run({ instructions });
  target.skipIdle();
}
/** To the next stop. @returns whether there is one. */
function advance() {
  run(1 + random(span));
  while (!machine.end && !inKernel()) run(1 + random(40));
  d.forget();
  return machine.end === undefined;
}

/** The debugger's frames in the form that compare() takes. */
function ours(limit) {
  const stack = d.stack();
  stack.need(limit + 64);
  const code = stack.frames.filter((f) => f.kind === 'code');
  for (const f of code) if (f.inlineDepth === 0) methods.set(f.method, (methods.get(f.method) ?? 0) + 1);
  const real = code.filter((f) => f.inlineDepth === 0);
  const cores = new Map();
  const readMemory = (address, size) => {
    const bytes = target.read(address >>> 0, size);
    return bytes.length === size ? bytes : undefined;
  };
  for (const f of real) {
    const core = { pc: f.pc, afterCall: f.afterCall, register: (n) => f.registers[n], readMemory };
    const next = real[real.indexOf(f) + 1];
    core.caller = () => (next?.afterCall ? cores.get(next.registers) : undefined);
    cores.set(f.registers, core);
  }
  return code.map((f) => {
    const lookup = (f.pc - (f.afterCall ? 1 : 0)) >>> 0;
    const level = program.inlineChain(lookup)[f.inlineDepth] ?? { name: undefined };
    if (f.line !== level.line && f.cpl !== 3) differ('lines', `frame ${f.name} has line ${f.line}, its place ${level.line}`);
    return { frame: cores.get(f.registers), level, depth: f.inlineDepth, lookup, registers: f.registers, method: f.method, cpl: f.cpl };
  });
}

const out = join(mkdtempSync(join(tmpdir(), 'stacks-')), 'stops');
let answered = 0;
function judge() {
  const lines = readFileSync(out, 'utf8').split('\n');
  const line = lines[lines.length - 2];
  if (line === undefined || lines.length - 1 === answered) return;
  answered = lines.length - 1;
  const stop = JSON.parse(line);
  compare(stop, ours(stop.frames.length));
}

// ---- gdb's remote protocol, as much of it as reading a stopped machine takes ----
const little = (value, bytes = 4) => {
  const b = Buffer.alloc(bytes);
  b.writeUInt32LE(value >>> 0, 0);
  return b.toString('hex');
};
const ORDER = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip', 'eflags', 'cs', 'ss', 'ds', 'es', 'fs', 'gs'];
function answer(packet) {
  if (packet === '?') return 'S05';
  if (packet.startsWith('qSupported')) return 'PacketSize=4000';
  if (packet === 'g') return ORDER.map((name) => little(target.register(name))).join('') + '00'.repeat(8 * 10 + 8 * 4);
  if (packet.startsWith('H')) return 'OK';
  if (packet === 'qAttached') return '1';
  const m = /^m([0-9a-f]+),([0-9a-f]+)$/.exec(packet);
  if (m) {
    const bytes = target.read(Number.parseInt(m[1], 16), Number.parseInt(m[2], 16));
    return bytes.length === 0 ? 'E14' : Buffer.from(bytes).toString('hex');
  }
  if (packet === 'c' || packet.startsWith('vCont;c')) {
    judge();
    return advance() ? 'S05' : 'W00';
  }
  if (packet === 'k') return judge();
  return '';
}
const server = createServer((socket) => {
  let text = '';
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    text += data.toString('latin1');
    for (;;) {
      const m = /\$([^#]*)#../.exec(text);
      if (!m) break;
      text = text.slice(m.index + m[0].length);
      const reply = answer(m[1]);
      if (reply === undefined) return socket.end('+');
      const sum = [...Buffer.from(reply, 'latin1')].reduce((a, b) => (a + b) & 255, 0);
      socket.write(`+$${reply}#${sum.toString(16).padStart(2, '0')}`);
    }
  });
});

run(from);
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const script = fileURLToPath(new URL('../../symbols/oracle/live.py', import.meta.url));
const gdb = spawn('gdb', ['-nx', '-batch', '-x', script, vmlinux], {
  env: { ...process.env, TARGET: `127.0.0.1:${server.address().port}`, STOPS: String(stops), OUT: out, CONTINUE: '1' },
  stdio: ['ignore', 'pipe', 'pipe'],
});
let said = '';
gdb.stdout.on('data', (b) => (said += b));
gdb.stderr.on('data', (b) => (said += b));
await new Promise((done) => gdb.on('exit', done));
server.close();
if (tally.stops < stops) console.log(said.slice(-1000));
console.log(
  `${basename(kernelFile ?? vmlinux)}: ${machine.processor.retired} instructions; frames by method: ${[...methods].map(([k, n]) => `${k} ${n}`).join(', ')}`,
);
process.exit(report(show) ? 0 : 1);
