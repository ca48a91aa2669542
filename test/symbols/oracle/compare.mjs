// What gdb says of a stop beside what we say: frames, lines, registers of callers and values of variables, counted, with the reason where a difference is known.
// live.mjs asks for a program that runs elsewhere, test/debugger/oracle/stacks.mjs for a Guest under the debugger itself.

const hex = (n) => (n === undefined || n === null ? '-' : `0x${(n >>> 0).toString(16)}`);

/** @param S src/symbols as load.mjs gives it. @param program the file that is asked about. */
export function comparison(S, program) {
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

  /** One stop: gdb's frames, and ours as `{ frame, level, depth, lookup, registers }`, inlined levels as frames of their own. */
  function compare(stop, ours) {
    tally.stops++;
    for (const [index, theirs] of stop.frames.entries()) {
      const mine = ours[index];
      if (theirs.pc === 0) break; // the end of a kernel thread's stack
      if (index > 0 && mine === undefined && !program.elf.sectionAt(theirs.pc)) {
        explain('gdb makes a frame of a word that is no address of the program, at the end of the chain');
        break;
      }
      if (mine?.cpl === 3) break; // a user program: of it gdb has nothing
      const where = `stop ${tally.stops} frame ${index} ${hex(theirs.pc)} ${theirs.name}`;
      if (!mine) {
        // Without call frame information gdb guesses from the machine code of the prologue.
        const above = ours[ours.length - 1];
        if (!program.unwind(above.lookup)) explain('gdb guesses where there is no call frame information');
        else differ('frames', `${where}: we stop at ${hex(above.frame.pc)}`);
        break;
      }
      tally.frames[0]++;
      if (
        index > 0 &&
        (mine.frame.pc !== theirs.pc || mine.registers[4] !== theirs.registers[4]) &&
        !program.unwind(ours[index - 1].lookup)
      ) {
        explain('gdb guesses where there is no call frame information');
        break;
      }
      if (mine.method === 'shadow stack' && mine.frame.pc !== theirs.pc && !program.functionAt((theirs.pc - 1) >>> 0)) {
        explain('call frame information leads to no code (inline assembly has moved the stack pointer): the call that was noted goes on');
        break;
      }
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
        } else if (value === 'optimized out' && first.die.has(0x1c))
          explain('a constant (DW_AT_const_value): gdb lists it as optimized out');
        else if (value === 'optimized out' && entry && !/^unknown/.test(mineIs))
          explain('gdb gives up a value on entry: the function was inlined elsewhere too, or jumps through pointers might call it again');
        else if (kind === 'implicit-pointer') explain('a pointer that was optimized out: gdb says 0');
        else if (entry && mine.depth < program.inlineChain(mine.lookup).length - 1)
          explain('gdb evaluates values on entry of inlined levels in the wrong frame');
        else if (/^unknown: (eax|ecx|edx) is not known/.test(mineIs))
          explain('in a register that the callee may have changed: we say unknown');
        else if (/^unknown: its value on entry/.test(mineIs) && value === 'optimized out')
          explain('value on entry not kept: gdb says optimized out');
        else if (/^unknown: memory/.test(mineIs)) explain('memory outside of what was recorded');
        else if (stop.tailcalls && /^unknown: its value on entry|parameter that the caller/.test(mineIs))
          explain('gdb follows tail calls to a value on entry');
        else if (value === 'optimized out' && /^unknown: it was a parameter/.test(mineIs))
          explain('value on entry not kept: gdb says optimized out');
        else differ('variables', `${where} ${hex(mine.lookup)}: ${name} is ${value}, ours ${mineIs}`);
      }
    }
  }

  /** @returns whether nothing differs but for known reasons. */
  function report(show) {
    for (const [kind, figures] of Object.entries(tally)) {
      console.log(Array.isArray(figures) ? `${kind}: ${figures[0]} compared, ${figures[1]} differ` : `${kind}: ${figures}`);
    }
    for (const [reason, times] of known) console.log(`    known: ${reason} (${times})`);
    for (const text of differing.slice(0, show)) console.log(`    ${text}`);
    return differing.length === 0;
  }
  return { tally, compare, report, explain, differ };
}
