// Finds the expression under the pointer in assembly text, so that a hover over a register or a memory operand shows its value.
// Works on one line of AT&T or Intel assembly as found in .S files and listings; knows nothing about documents or the editor.
// Leaves out: symbols in C files, where the editor's own word rule is right.

/** A part of a line, columns from 0, `end` exclusive, with the expression to evaluate. */
export interface Operand {
  start: number;
  end: number;
  expression: string;
}

const REGISTER =
  /^(?:e?(?:ax|bx|cx|dx|si|di|bp|sp|ip)|[abcd][hl]|[cdefgs]s|cr[0-4]|dr[0-7]|st(?:\([0-7]\))?|mm[0-7]|xmm[0-7]|eflags|gdtr|idtr|ldtr|tr)$/;

/** `disp(base,index,scale)` in AT&T syntax, as a C expression of the address. */
function address(displacement: string, base: string, index: string, scale: string): string {
  const parts: string[] = [];
  if (base) parts.push(`$${base}`);
  if (index) parts.push(scale && scale !== '1' ? `$${index}*${scale}` : `$${index}`);
  const sum = parts.join('+');
  if (!displacement) return sum;
  return displacement.startsWith('-') ? `${sum}${displacement}` : `${sum}+${displacement}`;
}

const MEMORY = /(-?(?:0x[0-9a-f]+|\d+|[A-Za-z_.$][\w.$]*))?\((?:%(\w+))?(?:,%(\w+)(?:,([1248]))?)?\)/gi;
const WORD = /%?[A-Za-z_.$][\w.$]*(?:\([0-7]\))?|0x[0-9a-f]+/gi;

const covers = (match: RegExpMatchArray, column: number): boolean =>
  match.index !== undefined && column >= match.index && column <= match.index + match[0].length;

function registerAt(line: string, column: number): Operand | undefined {
  for (const match of line.matchAll(WORD)) {
    const name = match[0].replace(/^[%$]/, '').toLowerCase();
    if (covers(match, column) && REGISTER.test(name))
      return { start: match.index, end: match.index + match[0].length, expression: `$${name}` };
  }
  return undefined;
}

function memoryAt(line: string, column: number): Operand | undefined {
  for (const match of line.matchAll(MEMORY)) {
    const [whole, displacement = '', base = '', index = '', scale = ''] = match;
    if (!covers(match, column) || (!base && !index)) continue;
    return {
      start: match.index,
      end: match.index + whole.length,
      expression: `*(unsigned int *)(${address(displacement, base, index, scale)})`,
    };
  }
  return undefined;
}

/** A symbol or address: only where it cannot be a mnemonic, that is, not the first word of the instruction. */
function symbolAt(line: string, column: number): Operand | undefined {
  const code =
    /^\s*(?:(?:0x)?[0-9a-f]{8}(?:\s*<[^>]*>)?:?(?:\s+[0-9a-f]{2})*\s+)?(?:[\w.$]+:\s*)?(?:(?:lock|repn?[ez]?)\s+)?[a-z][\w.]*/i.exec(line);
  const operandsFrom = code ? code[0].length : 0;
  for (const match of line.matchAll(WORD)) {
    if (!covers(match, column) || match.index < operandsFrom) continue;
    const expression = match[0].replace(/^\$/, '');
    return { start: match.index, end: match.index + match[0].length, expression };
  }
  return undefined;
}

/** The text before a comment: `;` anywhere, `#` after a space, `//`. */
const commentStart = (line: string): number => {
  const at = line.search(/;|\/\/|(?:^|\s)#/);
  return at < 0 ? line.length : at;
};

/**
 * The expression under `column` (0-based) of an assembly line: a register first, then a memory operand, then a symbol or number.
 * Undefined on mnemonics, comments and blank space.
 */
export function operandAt(line: string, column: number): Operand | undefined {
  if (column > commentStart(line)) return undefined;
  return registerAt(line, column) ?? memoryAt(line, column) ?? symbolAt(line, column);
}
