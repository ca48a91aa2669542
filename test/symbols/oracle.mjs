// Compares src/symbols with readelf, addr2line, llvm-symbolizer and gdb on any i386 ELF file. Not part of npm test: it needs those tools.
// Usage: node test/symbols/oracle.mjs FILE... [--only lines,frames,addresses,gdblines,types,functions,breaks] [--count N] [--show N]
// Build the matrix of fixtures first: test/symbols/fixtures/build.sh /tmp/matrix all; a kernel with debug information does as well.
// Each check prints how many answers were compared and how many differ; differences that are known and explained are counted apart.
// For values, unwinding and locals in running programs see oracle/live.mjs.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { loadSymbols } from './oracle/load.mjs';

const args = process.argv.slice(2);
const option = (name, otherwise) => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? otherwise : args.splice(at, 2)[1];
};
const only = option('only')?.split(',');
const count = Number(option('count', '10000'));
const show = Number(option('show', '5'));
const S = await loadSymbols();

const run = (command, parameters, input) =>
  execFileSync(command, parameters, { encoding: 'utf8', maxBuffer: 1 << 30, input, stdio: ['pipe', 'pipe', 'ignore'] });
const hex = (n) => `0x${(n >>> 0).toString(16)}`;

/** A small generator, so that a run can be repeated. */
function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

let failures = 0;
function report(what, compared, differing, explained = 0, reasons = new Map()) {
  if (differing.length > 0) failures++;
  console.log(`${what}: ${compared} compared, ${differing.length} differ${explained ? `, ${explained} differ for known reasons` : ''}`);
  for (const [reason, times] of reasons) console.log(`    known: ${reason} (${times})`);
  for (const text of differing.slice(0, show)) console.log(`    ${text}`);
}

/** Every row of every line table, in the order of the program. */
function lines(file, program) {
  const text = run('readelf', ['-W', '--debug-dump=decodedline', file]);
  const theirs = [];
  for (const row of text.split('\n')) {
    const m = /^(\S.*?)\s+(\d+|-)\s+(0x[0-9a-f]+|0)(?:\[\d+\])?(?:\s+\d+)?(\s+x)?(?:\s+END)?\s*$/.exec(row);
    if (m) theirs.push(`${m[2] === '-' ? 'end' : `${basename(m[1])}:${m[2]}${m[4] ? ' x' : ''}`} ${hex(Number(m[3]))}`);
  }
  const ours = [];
  const seen = new Set();
  for (const unit of program.dwarf.units) {
    if (unit.lineOffset === undefined || seen.has(unit.lineOffset)) continue;
    seen.add(unit.lineOffset);
    const header = S.readLineHeader(program.dwarf, unit.lineOffset, 4);
    const rows = S.readLineRows(program.dwarf, header);
    for (let i = 0; i < rows.count; i++) {
      const path = S.filePath(header, rows.file[i], unit.directory, unit.name) ?? '?';
      const end = rows.flags[i] & S.ROW_END_SEQUENCE;
      ours.push(`${end ? 'end' : `${basename(path)}:${rows.line[i]}${rows.flags[i] & 1 ? ' x' : ''}`} ${hex(rows.address[i])}`);
    }
  }
  const differing = [];
  for (let i = 0; i < Math.max(ours.length, theirs.length) && differing.length < 1000; i++) {
    if (ours[i] !== theirs[i]) differing.push(`row ${i}: ours ${ours[i]}, readelf ${theirs[i]}`);
  }
  report('line rows against readelf', Math.max(ours.length, theirs.length), differing);
}

/** Every row of call frame information. */
function frames(file, program) {
  const text = run('readelf', ['-W', '--debug-dump=frames-interp', file]);
  const differing = [];
  let compared = 0;
  let columns = [];
  let section = '';
  let range;
  for (const row of text.split('\n')) {
    const where = /Contents of the (\S+) section/.exec(row);
    if (where) section = where[1];
    const fde = /FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)/.exec(row);
    if (fde) range = [Number.parseInt(fde[1], 16), Number.parseInt(fde[2], 16)];
    if (/ CIE /.test(row)) range = undefined;
    if (/^\s+LOC\s+CFA/.test(row)) columns = row.trim().split(/\s+/).slice(2);
    const m = /^([0-9a-f]{8}) (\S.*)$/.exec(row);
    if (!m || !range || / FDE | CIE /.test(row) || range[0] === range[1]) continue;
    const pc = Number.parseInt(m[1], 16);
    if (pc >= range[1]) continue;
    const unwound = program.unwind(pc);
    if (unwound && unwound.section !== section) continue;
    const [cfa, ...rules] = m[2].trim().split(/\s+/);
    compared++;
    const ours = !unwound
      ? 'nothing'
      : [
          unwound.cfa.kind === 'expression'
            ? 'exp'
            : `${S.registerName(unwound.cfa.register)}${unwound.cfa.offset >= 0 ? '+' : ''}${unwound.cfa.offset}`,
          ...columns.map((name) => {
            const number = name === 'ra' ? unwound.returnAddress : S.REGISTER_NAMES.indexOf(name);
            const rule = unwound.rules.get(number);
            if (!rule || rule.kind === 'undefined') return 'u';
            if (rule.kind === 'same') return 's';
            if (rule.kind === 'offset') return `c${rule.offset >= 0 ? '+' : ''}${rule.offset}`;
            if (rule.kind === 'value-offset') return `v${rule.offset >= 0 ? '+' : ''}${rule.offset}`;
            if (rule.kind === 'register') return S.registerName(rule.register);
            return rule.kind === 'expression' ? 'exp' : 'vexp';
          }),
        ].join(' ');
    const theirs = [cfa, ...rules].join(' ');
    if (ours !== theirs) differing.push(`${hex(pc)} ${section}: ours ${ours}, readelf ${theirs} (${columns})`);
  }
  report('unwind rows against readelf', compared, differing);
}

const codeRanges = (program) => program.elf.sections.filter((s) => s.executable && s.alloc && s.size > 0);

function randomAddresses(program, seed) {
  const pick = random(seed);
  const ranges = codeRanges(program);
  const total = ranges.reduce((sum, s) => sum + s.size, 0);
  const list = [];
  for (let i = 0; i < count; i++) {
    let at = pick(total);
    let index = 0;
    while (at >= ranges[index].size) at -= ranges[index++].size;
    list.push(ranges[index].address + at);
  }
  return list;
}

/** Random addresses: function, file and line of every level of the inline chain, against two symbolizers. */
function addresses(file, program) {
  const list = randomAddresses(program, 1);
  const input = `${list.map(hex).join('\n')}\n`;
  const parse = (text) => {
    const chains = [];
    for (const line of text.split('\n')) {
      if (/^0x[0-9a-f]+$/.test(line)) chains.push([]);
      else if (line !== '' && chains.length > 0) chains[chains.length - 1].push(line);
    }
    return chains.map((chain) => {
      const levels = [];
      for (let i = 0; i + 1 < chain.length; i += 2) {
        const place = chain[i + 1].replace(/ \(discriminator \d+\)/, '');
        levels.push(`${chain[i]} ${place.startsWith('??') ? '' : basename(place.replace(/:\?$/, ':0'))}`);
      }
      return levels;
    });
  };
  const theirs = parse(run('addr2line', ['-i', '-f', '-a', '-e', file], input));
  const llvm = parse(run('llvm-symbolizer', ['-e', file, '--output-style=GNU', '-f', '-i', '-a'], input));
  const differing = [];
  let explained = 0;
  const reasons = new Map();
  for (const [index, address] of list.entries()) {
    const chain = program.inlineChain(address);
    const ours = chain.map((f) => `${f.name} ${f.file === undefined ? '' : `${basename(f.file)}:${f.line ?? 0}`}`);
    const [a, b, c] = [ours, theirs[index] ?? [], llvm[index] ?? []].map((x) => x.join(' < '));
    if (a === b || a === c) continue;
    const reason = explain(ours, theirs[index] ?? [], llvm[index] ?? [], program, address);
    if (reason) {
      explained++;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    } else differing.push(`${hex(address)}: ours ${a} | addr2line ${b} | llvm ${c}`);
  }
  report('addresses against addr2line and llvm-symbolizer (right when one of them agrees)', list.length, differing, explained, reasons);
}

/**
 * Known differences: at padding between functions and in hand-written code both tools name the last symbol or `??`; where the rows of an
 * address disagree (a statement before a non-statement), we follow gdb, they the last row; lines of level 0 only.
 */
function explain(ours, theirs, llvm, program, address) {
  const names = (chain) => chain.map((level) => level.split(' ')[0]).join(' < ');
  const rest = (chain) => chain.slice(1).join(' < ');
  if (!program.functionAt(address)?.unit) return 'no debug information';
  for (const other of [theirs, llvm]) {
    if (names(ours) !== names(other) || rest(ours) !== rest(other)) continue;
    const unit = program.dwarf.units.find((u) => u.ranges.some((r) => address >= r.low && address < r.high));
    const table = unit && S.LineTable.of(unit);
    const row = table?.rowAt(address);
    if (row && table) {
      const same = [...table.within(row.address, row.address + 1)].map((r) => `${basename(table.path(r.file) ?? '')}:${r.line}`);
      if (same.includes(other[0]?.split(' ')[1])) return 'another row of the same address';
    }
    if (/^$|:0$/.test(other[0]?.split(' ')[1] ?? '')) return 'line 0: we give the line before, as gdb does';
  }
  // The part of a function that gcc moved away (.cold): llvm names it by its symbol, addr2line leaves out the inlined levels there.
  if (names(ours) === names(llvm).replace(/\.cold\b/g, '') && rest(ours) === rest(llvm).replace(/\.cold\b/g, '')) return 'cold part';
  return undefined;
}

/** Random addresses: file and line as gdb says them. Settles which of several rows of an address counts. */
function gdblines(file, program) {
  const list = randomAddresses(program, 5).slice(0, 3000);
  const text = gdb(
    file,
    list.flatMap((at) => [`echo \\n@@${hex(at)}\\n`, `info line *${hex(at)}`]),
  );
  const differing = [];
  for (const block of text.split('\n@@').slice(1)) {
    const [where, ...rows] = block.split('\n');
    const m = /Line (\d+) of "(.*?)"/.exec(rows.join(' '));
    const theirs = m && m[1] !== '0' ? `${basename(m[2])}:${m[1]}` : '';
    const at = Number(where);
    const line = program.lineAt(at);
    const ours = line ? `${basename(line.file)}:${line.line}` : '';
    if (ours === theirs) continue;
    differing.push(`${where}: ours ${ours}, gdb ${theirs}`);
  }
  report('lines of addresses against gdb', list.length, differing);
}

function gdb(file, commands) {
  return run('gdb', [
    '-nx',
    '-batch',
    '-ex',
    'set width 0',
    '-ex',
    'set pagination off',
    '-ex',
    'set confirm off',
    ...commands.flatMap((c) => ['-ex', c]),
    file,
  ]);
}

/** Offsets and sizes of structures and unions. */
function types(file, program) {
  const names = program.typeCompletions('struct ', 1e6).concat(program.typeCompletions('union ', 1e6));
  const pick = random(2);
  while (names.length > 400) names.splice(pick(names.length), 1);
  const text = gdb(
    file,
    names.flatMap((name) => [`echo \\n@@${name}\\n`, `ptype /o ${name}`]),
  );
  const differing = [];
  let compared = 0;
  for (const block of text.split('\n@@').slice(1)) {
    const [name, ...rows] = block.split('\n');
    const type = program.typeNamed(name);
    const theirs = [];
    let size;
    let depth = 0;
    for (const row of rows) {
      // Members of the outermost structure only: nested ones have a row of their own in another block.
      const m = /^\/\*([^*]*)\*\/( *)(.*)$/.exec(row);
      const end = /total size \(bytes\): +(\d+)/.exec(row);
      if (end) size = Number(end[1]);
      if (!m || m[1].includes('XXX')) {
        if (/^\s*\}/.test(row)) depth--;
        continue;
      }
      const [offset, bytes] = m[1].split('|').map((part) => part.trim());
      const opens = m[3].endsWith('{');
      if (m[3].startsWith('type = ')) depth = 1;
      else {
        if (depth === 1)
          theirs.push(
            `${type?.kind === 'union' ? '0' : offset.replace(/\s+/g, ' ').replace(': ', ':')} ${type?.kind === 'union' ? offset : bytes}`,
          );
        if (opens) depth++;
      }
    }
    if (size === undefined) continue;
    compared++;
    const ours = (type?.members ?? []).map((m) => {
      if (m.bitSize === undefined) return `${m.offset} ${m.type.size}`;
      return `${type.kind === 'union' ? 0 : `${m.offset}:${m.bitOffset - m.offset * 8}`} ${m.type.size}`;
    });
    if (type?.size !== size || ours.join(', ') !== theirs.join(', ')) {
      differing.push(`${name}: ours ${type?.size} {${ours}}, gdb ${size} {${theirs}}`);
    }
  }
  report('structures against gdb ptype /o', compared, differing);
}

/** `break SPEC` of gdb: every address. */
function gdbBreaks(file, specs) {
  const text = gdb(
    file,
    specs.flatMap((spec) => [`echo \\n@@${spec}\\n`, `break ${spec}`, 'info breakpoints', 'delete']),
  );
  const found = new Map();
  for (const block of text.split('\n@@').slice(1)) {
    const [spec, ...rows] = block.split('\n');
    const places = new Map();
    for (const row of rows) {
      const m = /^\d+(?:\.\d+)?\s+(?:breakpoint\s+keep\s+)?y\s+(0x[0-9a-f]+)\s*(?:in .* at (.*):(\d+))?/.exec(row);
      if (m) places.set(Number(m[1]), m[3] === undefined ? undefined : Number(m[3]));
    }
    found.set(spec, places);
  }
  return found;
}

/** Breakpoints on functions: the address after the prologue, and every inlined copy. */
function functions(file, program) {
  const names = [
    ...new Set(
      program
        .functionsNamed('*')
        .filter((f) => f.unit !== undefined && f.name !== '')
        .map((f) => f.name),
    ),
  ];
  const pick = random(3);
  while (names.length > 300) names.splice(pick(names.length), 1);
  const theirs = gdbBreaks(file, names);
  const differing = [];
  let explained = 0;
  for (const name of names) {
    const ours = [...new Set(program.functionsNamed(name).map((f) => f.postPrologue))].sort((a, b) => a - b).map(hex);
    const expected = [...theirs.get(name).keys()].sort((a, b) => a - b).map(hex);
    if (`${ours}` === `${expected}`) continue;
    // gdb 13 starts an inlined copy at its lowest address, we where its code is entered (DW_AT_entry_pc), as gdb does since 16.
    const lowest = program.functionsNamed(name).map((f) => hex(f.inlined ? f.ranges[0].low : f.postPrologue));
    if ([...new Set(lowest)].sort().join() === expected.sort().join()) explained++;
    else differing.push(`${name}: ours ${ours}, gdb ${expected}`);
  }
  report('function breakpoints against gdb', names.length, differing, explained);
}

/** Breakpoints on source lines. */
function breaks(file, program) {
  const pick = random(4);
  const files = program.sourceFiles().filter((f) => /\.[chS]$/.test(f));
  const specs = [];
  const wanted = Math.min(count, 300);
  for (let tries = 0; specs.length < wanted && tries < wanted * 20; tries++) {
    const path = files[pick(files.length)];
    const spots = program.breakpointLocations(path, 1, 100000);
    if (spots.length === 0) continue;
    specs.push([path, spots[pick(spots.length)].line]);
  }
  // gdb keeps `./` of clang's paths and then does not find the tidy one.
  const specOf = (path, line) => `${files.filter((f) => basename(f) === basename(path)).length === 1 ? basename(path) : path}:${line}`;
  const theirs = gdbBreaks(
    file,
    specs.map(([path, line]) => specOf(path, line)),
  );
  const differing = [];
  let explained = 0;
  for (const [path, line] of specs) {
    const places = theirs.get(specOf(path, line));
    const found = program.locationsForLine(path, line);
    const ours = found.map((l) => hex(l.address)).sort();
    const expected = [...places.keys()].map(hex).sort();
    if (`${ours}` === `${expected}`) continue;
    // gdb forgets rows of a line when rows of another file follow at the same address: a line that only calls an inlined function
    // then "has no code", and the breakpoint slides to a later line or is short of a place.
    const slid = [...places.values()].every((at) => at !== undefined && at !== line);
    const missing = found.filter((l) => !places.has(l.address));
    const onlyMissing = expected.every((at) => ours.includes(at)) && missing.every((l) => superseded(program, l));
    // For gdb all assembly of a file is one block; a macro in a loop makes a function each time.
    const assembly = found.every((l) => l.function === undefined) && expected.length > 0 && expected.every((at) => ours.includes(at));
    const everySymbol = new Set(found.map((l) => program.symbols.lookup(l.address)?.address)).size === found.length;
    if ((slid && found.every((l) => superseded(program, l))) || onlyMissing || (assembly && everySymbol)) explained++;
    else differing.push(`${path}:${line}: ours ${ours}, gdb ${expected} (line ${[...new Set(places.values())]})`);
  }
  report('line breakpoints against gdb', specs.length, differing, explained);
}

/** Whether all rows of a place's line at its address are followed by another file's rows there. */
function superseded(program, { address, line, file }) {
  const unit = program.dwarf.units.find((u) => u.ranges.some((r) => address >= r.low && address < r.high));
  const table = unit && S.LineTable.of(unit);
  const rows = table
    ? [...table.within(address, address + 1)].filter((r) => r.isStmt && r.line === line && table.path(r.file) === file)
    : [];
  return rows.length > 0 && rows.every((r) => table.isSuperseded(r.index));
}

const checks = { lines, frames, addresses, gdblines, types, functions, breaks };
for (const file of args) {
  console.log(`== ${file}`);
  const program = S.loadProgram(readFileSync(file), { name: basename(file) });
  for (const [name, check] of Object.entries(checks)) if (!only || only.includes(name)) check(file, program);
  for (const problem of program.problems.slice(0, show)) console.log(`    problem: ${problem}`);
}
process.exit(failures > 0 ? 1 : 0);
