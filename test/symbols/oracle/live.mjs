// Compares stacks, inlined levels, registers of callers and values of variables with gdb at many stops of a running program.
// gdb drives an emulator's gdb stub (live.py); each stop carries registers and memory, from which src/symbols must find the same.
// Usage: node test/symbols/oracle/live.mjs PROGRAM.elf --stops 500 [--system vmlinux-boot-arguments...]
//   a fixture:  node test/symbols/oracle/live.mjs m-gcc-O2-dwarf5.elf --stops 300            (needs qemu-i386)
//   a kernel:   node test/symbols/oracle/live.mjs vmlinux --stops 500 --kernel bzImage --initrd initramfs --append 'console=ttyS0'
// Differences that are known and explained are counted apart, with the reason.
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { comparison } from './compare.mjs';
import { loadSymbols } from './load.mjs';

const args = process.argv.slice(2);
const option = (name) => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? undefined : args.splice(at, 2)[1];
};
const stops = option('stops') ?? '200';
const kernel = option('kernel');
const initrd = option('initrd');
const append = option('append') ?? '';
const show = Number(option('show') ?? 12);
const port = Number(option('port') ?? 23456);
const recorded = option('recorded');
const seed = option('seed') ?? '7';
const [file] = args;
const S = await loadSymbols();
const program = S.loadProgram(readFileSync(file), { name: basename(file) });
const hex = (n) => (n === undefined || n === null ? '-' : `0x${(n >>> 0).toString(16)}`);

function record() {
  const out = join(mkdtempSync(join(tmpdir(), 'live-')), 'stops');
  const environment = { ...process.env, TARGET: `localhost:${port}`, STOPS: stops, OUT: out, SEED: seed };
  let emulator;
  if (kernel) {
    const parameters = [
      '-cpu',
      'pentium3',
      '-m',
      '64',
      '-display',
      'none',
      '-serial',
      'null',
      '-monitor',
      'none',
      '-no-reboot',
      '-gdb',
      `tcp::${port}`,
      '-S',
      '-kernel',
      kernel,
    ];
    if (initrd) parameters.push('-initrd', initrd);
    emulator = spawn('qemu-system-i386', [...parameters, '-append', append], { stdio: 'ignore' });
    const places = [];
    let state = 99;
    const functions = program.functionsNamed('*').filter((f) => f.unit?.endsWith('.c'));
    for (let i = 0; i < 4000; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      const f = functions[Math.floor((state / 2 ** 32) * functions.length)];
      const rows = program.breakpointLocations(f.file ?? '', f.line ?? 0, (f.line ?? 0) + 30);
      const spot = rows[state % Math.max(rows.length, 1)];
      const place = spot && program.locationsForLine(f.file, spot.line)[0];
      if (place) places.push(hex(place.address));
      if (places.length >= 600) break;
    }
    environment.PLACES = places.join();
    const writable = program.elf.sections.filter((s) => s.alloc && s.flags & 1 && s.size > 0 && /^\.(data|bss)$/.test(s.name));
    environment.REGIONS = writable.map((s) => `${hex(s.address)},${s.size}`).join(';');
  } else {
    emulator = spawn('qemu-i386', ['-g', String(port), file], { stdio: 'ignore' });
    environment.STEP = '1-9';
    environment.REGIONS = '0xc0200000,0x90';
  }
  const script = join(dirname(fileURLToPath(import.meta.url)), 'live.py');
  const started = spawnSync('sleep', ['1']).status;
  const result = spawnSync('gdb', ['-nx', '-batch', '-x', script, file], { env: environment, encoding: 'utf8', timeout: 1_200_000 });
  emulator.kill('SIGKILL');
  if (started !== 0 || result.status !== 0) console.log(result.stdout?.slice(-500), result.stderr?.slice(-500));
  console.log(`recorded ${out}`);
  return out;
}

function memoryOf(regions) {
  const parts = regions.map(([start, text]) => [start, Buffer.from(text, 'hex')]);
  return (address, size) => {
    for (const [start, bytes] of parts) {
      const at = address - start;
      if (at >= 0 && at + size <= bytes.length) return bytes.subarray(at, at + size);
    }
    // What the program file holds and nobody writes.
    const section = program.elf.sectionAt(address);
    return section && !(section.flags & 1) ? program.elf.read(address, size) : undefined;
  };
}

/** The frames that our call frame information finds, innermost first, with inlined levels as frames of their own. */
function walk(stop, readMemory, limit) {
  const frames = [];
  let registers = stop.registers;
  let afterCall = false;
  while (frames.length < limit) {
    const own = registers;
    const frame = { pc: registers[8], afterCall, register: (n) => own[n] ?? undefined, readMemory };
    const lookup = (frame.pc - (afterCall ? 1 : 0)) >>> 0;
    const chain = program.inlineChain(lookup);
    const unwound = program.unwindFrame(frame);
    let caller;
    frame.caller = () => caller;
    for (const [depth, level] of chain.entries()) frames.push({ frame, level, depth, lookup, registers: own });
    if (chain.length === 0) frames.push({ frame, level: { name: undefined }, depth: 0, lookup, registers: own });
    if (!unwound || unwound.registers[8] === undefined || unwound.registers[8] === 0) break;
    registers = unwound.registers;
    afterCall = !unwound.signalFrame;
    const up = registers;
    caller = { pc: up[8], afterCall, register: (n) => up[n] ?? undefined, readMemory };
  }
  // Callers of callers, for values on entry.
  const real = [...new Set(frames.map((f) => f.frame))];
  for (const [i, frame] of real.entries()) frame.caller = () => real[i + 1];
  return frames;
}

const { compare, report } = comparison(S, program);
for await (const line of createInterface({ input: createReadStream(recorded ?? record()) })) {
  if (line === '') continue;
  const stop = JSON.parse(line);
  compare(stop, walk(stop, memoryOf(stop.memory), stop.frames.length));
}
process.exit(report(show) ? 0 : 1);
