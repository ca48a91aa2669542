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

/** Whether a row of `line` stands at or shortly before the row that covers `pc`. */
function joined(pc, line) {
  const unit = program.dwarf.units.find((u) => u.ranges.some((r) => pc >= r.low && pc < r.high));
  const table = unit && S.LineTable.of(unit);
  const row = table?.rowAt(pc);
  return row !== undefined && [...table.within(row.address - 16, pc + 1)].some((r) => r.line === line);
}

function ourValue(variable, frame) {
  const type = S.stripType(variable.type);
  const location = variable.locate(frame);
  if (location.kind === 'optimized-out') return 'optimized out';
  if (type.kind === 'struct' || type.kind === 'union' || type.kind === 'array') {
    return location.kind === 'memory' ? `@${location.address}` : undefined;
  }
  const fetched = S.fetchBytes(location, type.size, frame);
  if (!fetched.bytes) return /optimized out/.test(fetched.why) ? 'optimized out' : `unknown: ${fetched.why}`;
  let value = 0n;
  for (let at = type.size - 1; at >= 0; at--) value = (value << 8n) | BigInt(fetched.bytes[at]);
  const signed = type.kind === 'base' ? /^signed/.test(type.encoding) : type.kind === 'enum' && type.signed;
  if (type.kind === 'base' && type.encoding === 'float') return undefined;
  return String(signed ? BigInt.asIntN(type.size * 8, value) : value);
}

const tally = { stops: 0, frames: [0, 0], lines: [0, 0], registers: [0, 0], variables: [0, 0] };
const known = new Map();
const differing = [];
const explain = (reason) => known.set(reason, (known.get(reason) ?? 0) + 1);
const differ = (kind, text) => {
  tally[kind][1]++;
  differing.push(text);
};

for await (const line of createInterface({ input: createReadStream(recorded ?? record()) })) {
  if (line === '') continue;
  const stop = JSON.parse(line);
  tally.stops++;
  const readMemory = memoryOf(stop.memory);
  const ours = walk(stop, readMemory, stop.frames.length);
  for (const [index, theirs] of stop.frames.entries()) {
    const mine = ours[index];
    if (theirs.pc === 0) break; // the end of a kernel thread's stack
    const where = `stop ${tally.stops} frame ${index} ${hex(theirs.pc)} ${theirs.name}`;
    if (!mine) {
      // Without call frame information gdb guesses from the machine code of the prologue.
      const above = ours[ours.length - 1];
      if (!program.unwind(above.lookup)) explain('gdb guesses where there is no call frame information');
      else differ('frames', `${where}: we stop at ${hex(above.frame.pc)}`);
      break;
    }
    tally.frames[0]++;
    if (mine.frame.pc !== theirs.pc || (theirs.name && mine.level.name !== theirs.name)) {
      if (index === 0 && program.inlineChain(theirs.pc).some((level) => level.name === theirs.name)) {
        explain('gdb stops outside of an inlined function at its first instruction');
        break;
      }
      const label = program.symbols.named(mine.level.name ?? '');
      if (mine.frame.pc === theirs.pc && label && !label.sized) {
        explain('a label of assembly inside of a sized symbol: gdb names the whole');
        continue;
      }
      differ('frames', `${where}: ours ${hex(mine.frame.pc)} ${mine.level.name}`);
      break;
    }
    tally.lines[0]++;
    if (theirs.line && (mine.level.line ?? 0) !== theirs.line) {
      if (joined(mine.lookup, theirs.line)) explain('gdb joins rows of one line that differ in the discriminator');
      else differ('lines', `${where}: line ${theirs.line}, ours ${mine.level.line}`);
    }
    for (const [n, value] of theirs.registers.entries()) {
      const mineIs = mine.registers[n];
      if (mineIs === undefined || mineIs === null) {
        if (index > 0 && n < 3) explain("eax, ecx, edx of callers: gdb shows the callee's, we say unknown");
        else if (value !== null) differ('registers', `${where}: register ${n} is ${hex(value)}, ours unknown`);
        continue;
      }
      tally.registers[0]++;
      if (value !== mineIs) differ('registers', `${where}: register ${n} is ${hex(value)}, ours ${hex(mineIs)}`);
    }
    const variables = program.variablesAt(mine.lookup).filter((v) => v.inlineDepth === mine.depth);
    const used = new Set();
    for (const [name, value] of theirs.variables) {
      if (value === null) continue;
      const candidates = variables.filter((v) => v.name === name && !used.has(v));
      tally.variables[0]++;
      if (candidates.length === 0 && value === 'optimized out' && variables.some((v) => v.name === name)) {
        explain('gdb lists a variable twice: for its block, and optimized out for the function');
        continue;
      }
      if (candidates.length === 0 && value === 'optimized out') {
        explain('gdb lists variables of blocks that the optimizer removed');
        continue;
      }
      if (candidates.length === 0) {
        differ('variables', `${where}: no variable ${name}`);
        continue;
      }
      const values = candidates.map((v) => [v, ourValue(v, mine.frame)]);
      const equal = values.find(([, v]) => v === value || v === undefined);
      if (equal) {
        used.add(equal[0]);
        continue;
      }
      const mineIs = values[0][1];
      const first = values[0][0];
      const kind = first.locate(mine.frame).kind;
      const entry = Buffer.from(first.expressionAt(mine.lookup) ?? [])
        .toString('hex')
        .startsWith('a3');
      if (value === 'optimized out' && theirs.variables.filter(([other]) => other === name).length > 1) {
        explain('gdb lists a variable twice: for its block, and optimized out for the function');
      } else if (value === 'optimized out' && first.die.has(0x1c)) explain('a constant (DW_AT_const_value): gdb lists it as optimized out');
      else if (kind === 'implicit-pointer') explain('a pointer that was optimized out: gdb says 0');
      else if (entry && mine.depth < program.inlineChain(mine.lookup).length - 1)
        explain('gdb evaluates values on entry of inlined levels in the wrong frame');
      else if (/^unknown: (eax|ecx|edx) is not known/.test(mineIs))
        explain('in a register that the callee may have changed: we say unknown');
      else if (/^unknown: its value on entry/.test(mineIs) && value === 'optimized out')
        explain('value on entry not kept: gdb says optimized out');
      else if (/^unknown: memory/.test(mineIs) && !recorded) explain('memory outside of what was recorded');
      else if (/^unknown: memory/.test(mineIs)) explain('memory outside of what was recorded');
      else if (stop.tailcalls && /^unknown: its value on entry|parameter that the caller/.test(mineIs))
        explain('gdb follows tail calls to a value on entry');
      else if (value === 'optimized out' && /^unknown: it was a parameter/.test(mineIs))
        explain('value on entry not kept: gdb says optimized out');
      else differ('variables', `${where} ${hex(mine.lookup)}: ${name} is ${value}, ours ${mineIs}`);
    }
  }
}
for (const [kind, figures] of Object.entries(tally)) {
  console.log(Array.isArray(figures) ? `${kind}: ${figures[0]} compared, ${figures[1]} differ` : `${kind}: ${figures}`);
}
for (const [reason, times] of known) console.log(`    known: ${reason} (${times})`);
for (const text of differing.slice(0, show)) console.log(`    ${text}`);
process.exit(differing.length > 0 ? 1 : 0);
