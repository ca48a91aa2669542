// The decoder against iced-x86, an independent one, over both opcode maps: every opcode, prefix set, ModR/M byte and a few SIB bytes, in 32- and 16-bit code.
//
// Validity, length and operands. Our operands are derived from the record and the row's operand codes, iced's from its instruction; both become the same
// notation ("r32:3", "[ds 3+1*4+11]"), which is compared.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuidFeature, Decoder, DecoderOptions, type Instruction, Mnemonic, OpKind, Register } from 'iced-x86';
import { decode, M, R, RECORD } from '../../src/i386/decode';
import { ROWS } from '../../src/i386/rows';

const PREFIXES: number[][] = [[], [0x66], [0x67], [0xf3], [0xf2], [0x66, 0x67], [0x2e], [0x64, 0x66], [0xf0], [0xf3, 0x66]];
const SIBS = [0x00, 0x25, 0xa5, 0x65, 0xd1];

/** Instruction sets that our processor announces; what belongs to another is #UD for us. */
const OURS = new Set<number>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL8086_ONLY,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.FPU,
  CpuidFeature.FPU387,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.TSC,
  CpuidFeature.MSR,
  CpuidFeature.SEP,
  CpuidFeature.FXSR,
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.CPUID,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.CLFSH,
  CpuidFeature.PAUSE,
]);

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** Register of our notation for each of iced's. */
const REGISTERS = new Map<number, string>();
const ORDER = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI'];
const numberOf = (name: string): number => (Register as unknown as Record<string, number>)[name];
for (let n = 0; n < 8; n++) {
  REGISTERS.set(numberOf(['AL', 'CL', 'DL', 'BL', 'AH', 'CH', 'DH', 'BH'][n]), `r8:${n}`);
  REGISTERS.set(numberOf(ORDER[n]), `r16:${n}`);
  REGISTERS.set(numberOf(`E${ORDER[n]}`), `r32:${n}`);
  REGISTERS.set(numberOf(`MM${n}`), `mm:${n}`);
  REGISTERS.set(numberOf(`XMM${n}`), `xmm:${n}`);
  REGISTERS.set(numberOf(`ST${n}`), `st:${n}`);
  REGISTERS.set(numberOf(`CR${n}`), `cr:${n}`);
  REGISTERS.set(numberOf(`DR${n}`), `dr:${n}`);
  if (n < 6) REGISTERS.set(numberOf(SEGMENTS[n].toUpperCase()), SEGMENTS[n]);
}
const hex = (value: number, mask: number): string => ((value & mask) >>> 0).toString(16);

/** A scale means something only with an index. */
const scaled = (index: string, scale: number): string => (index === '' ? '' : `${index}*${scale}`);

/** Operands as the record and its row give them, in the manual's order. */
const ourOperands = (record: Int32Array, length: number, bits: 16 | 32): string[] => {
  const row = ROWS[record[R.FORM] >> 3];
  const meta = record[R.META];
  const size = (record[R.FORM] >> 1) & 3;
  const regs = record[R.REGS];
  const reg = regs & 7;
  const rm = (regs >> 4) & 7;
  const wide = (meta & M.OP16) === 0;
  const address = (meta & M.ADDR16) !== 0 ? 0xffff : -1;
  const segment = SEGMENTS[(meta >> M.SEG_SHIFT) & 7];
  const memory = (): string => {
    const ea = record[R.EA];
    const part = (n: number): string => (n === 8 ? '' : String(n));
    return `[${segment} ${part(ea & 15)}+${scaled(part((ea >> 4) & 15), 1 << (ea >> 8))}+${hex(record[R.DISP], address)}]`;
  };
  const general = (width: string, n: number): string => {
    if (width === 'b') return `r8:${n}`;
    if (width === 'w') return `r?:${n}`;
    if (width === 'd') return `r32:${n}`;
    return `r${[8, 16, 32][size]}:${n}`;
  };
  return row.args
    .split(' ')
    .filter((arg) => arg !== '')
    .map((arg) => {
      const inMemory = (meta & M.MEMORY) !== 0;
      switch (arg) {
        case 'AL':
          return 'r8:0';
        case 'CL':
          return 'r8:1';
        case 'DX':
          return 'r16:2';
        case 'eAX':
          return wide ? 'r32:0' : 'r16:0';
        case 'ES':
        case 'CS':
        case 'SS':
        case 'DS':
        case 'FS':
        case 'GS':
          return arg.toLowerCase();
        case '1':
          return '1';
        case 'F0':
          return 'st:0';
        case 'Fi':
          return `st:${rm}`;
        case 'Ib':
          return hex(record[row.args.startsWith('Iw') ? R.IMM2 : R.IMM], 0xff);
        case 'Ibs':
        case 'Iz':
        case 'Iv':
          return hex(record[R.IMM], wide ? -1 : 0xffff);
        case 'Iw':
          return hex(record[R.IMM], 0xffff);
        case 'Jb':
        case 'Jz':
          return `to ${hex(length + record[R.IMM], wide ? -1 : 0xffff)}`;
        case 'Ap':
          return `to ${hex(record[R.IMM2], 0xffff)}:${hex(record[R.IMM], wide ? -1 : 0xffff)}`;
      }
      const width = arg.slice(1);
      switch (arg[0]) {
        case 'E':
          return inMemory ? memory() : general(width, rm);
        case 'R':
          return general(width, rm);
        case 'G':
          return general(width, reg);
        case 'Z':
          return general(width, rm);
        case 'M':
          return memory();
        case 'O':
          return `[${segment} ++${hex(record[R.DISP], address)}]`;
        case 'S':
          return SEGMENTS[reg];
        case 'C':
          return `cr:${reg}`;
        case 'D':
          return `dr:${reg}`;
        case 'P':
          return `mm:${reg}`;
        case 'N':
          return `mm:${rm}`;
        case 'Q':
          return inMemory ? memory() : `mm:${rm}`;
        case 'V':
          return `xmm:${reg}`;
        case 'U':
          return `xmm:${rm}`;
        case 'W':
          return inMemory ? memory() : `xmm:${rm}`;
        case 'X':
          return `string ${segment} ${address === -1 ? 32 : 16}`;
        case 'Y':
          return `string es ${address === -1 ? 32 : 16}`;
        default:
          return `? ${arg} in ${bits}-bit code`;
      }
    });
};

/** The same from iced's instruction, which was decoded at address 0. */
const icedOperands = (iced: Instruction): string[] =>
  Array.from({ length: iced.opCount }, (_, n) => {
    const kind = iced.opKind(n);
    const part = (register: number): string => (REGISTERS.get(register) ?? '').replace(/^r(16|32):/, '');
    switch (kind) {
      case OpKind.Register:
        return REGISTERS.get(iced.opRegister(n)) ?? `register ${iced.opRegister(n)}`;
      case OpKind.Memory: {
        const narrow =
          [iced.memoryBase, iced.memoryIndex].some((r) => (REGISTERS.get(r) ?? '').startsWith('r16')) || iced.memoryDisplSize === 2;
        const displacement = Number(BigInt.asIntN(32, BigInt(iced.memoryDisplacement)));
        return `[${REGISTERS.get(iced.memorySegment)} ${part(iced.memoryBase)}+${scaled(part(iced.memoryIndex), iced.memoryIndexScale)}+${hex(displacement, narrow ? 0xffff : -1)}]`;
      }
      case OpKind.MemorySegSI:
        return `string ${REGISTERS.get(iced.memorySegment)} 16`;
      case OpKind.MemorySegESI:
        return `string ${REGISTERS.get(iced.memorySegment)} 32`;
      case OpKind.MemorySegDI:
      case OpKind.MemorySegEDI:
        return 'implied [(E)DI]';
      case OpKind.MemoryESDI:
        return 'string es 16';
      case OpKind.MemoryESEDI:
        return 'string es 32';
      case OpKind.NearBranch16:
        return `to ${hex(iced.nearBranch16, 0xffff)}`;
      case OpKind.NearBranch32:
        return `to ${hex(iced.nearBranch32, -1)}`;
      case OpKind.FarBranch16:
        return `to ${hex(iced.farBranchSelector, 0xffff)}:${hex(iced.farBranch16, 0xffff)}`;
      case OpKind.FarBranch32:
        return `to ${hex(iced.farBranchSelector, 0xffff)}:${hex(iced.farBranch32, -1)}`;
      case OpKind.Immediate8:
      case OpKind.Immediate8_2nd:
        return hex(Number(BigInt.asIntN(32, BigInt(iced.immediate(n)))), 0xff);
      case OpKind.Immediate16:
      case OpKind.Immediate8to16:
        return hex(Number(BigInt.asIntN(32, BigInt(iced.immediate(n)))), 0xffff);
      default:
        return hex(Number(BigInt.asIntN(32, BigInt(iced.immediate(n)))), -1);
    }
  });

/** True when two operands say the same; "r?" is a register whose width the manual leaves open (selectors). */
const sameOperand = (ours: string, theirs: string): boolean =>
  ours === theirs || (ours.startsWith('r?:') && theirs.replace(/^r(16|32)/, 'r?') === ours);

interface Tally {
  compared: number;
  operands: number;
  /** The first case of each difference. */
  examples: Map<string, string>;
  /** What differs, by opcode and reason, with how often. */
  differences: Map<string, number>;
}

const kinds = (operands: string[]): string => `(${operands.join(', ')})`;

const compare = (bytes: Uint8Array, bits: 16 | 32, tally: Tally): void => {
  const record = new Int32Array(RECORD);
  const length = decode(bytes, 0, 15, bits === 32, record, 0);
  const row = ROWS[record[R.FORM] >> 3];
  const valid = row.name !== 'ud';
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const iced = decoder.decode();
  tally.compared++;
  const other = iced.mnemonic !== Mnemonic.INVALID;
  const differs = (what: string, example = ''): void => {
    let p = 0;
    while ([0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64].includes(bytes[p])) p++;
    const opcode = bytes[p] === 0x0f ? `0f ${bytes[p + 1].toString(16)}` : bytes[p].toString(16);
    const key = `${opcode}: ${what}`;
    tally.differences.set(key, (tally.differences.get(key) ?? 0) + 1);
    if (!tally.examples.has(key)) tally.examples.set(key, `${example} ${Buffer.from(bytes.subarray(0, 12)).toString('hex')}`);
  };
  if (valid && other) {
    if (length !== iced.length) differs(`${row.name} is ${length} bytes for us, ${iced.length} for iced`);
    const ends = (record[R.META] & M.LENGTH) === length;
    if (!ends) differs('the record has another length than decode() returned');
    const ours = ourOperands(record, length, bits);
    const theirs = icedOperands(iced);
    tally.operands += theirs.length;
    // x87: iced names ST(0) where the manual implies it, and always first in a comparison.
    const implied = ours.length === 1 && theirs.length === 2 && theirs[0] === 'st:0' ? ['st:0', ...ours] : ours;
    const ordered = /^fcomp?$/.test(row.name) && implied[1] === 'st:0' ? [...implied].reverse() : implied;
    if (ordered.length !== theirs.length || ordered.some((operand, n) => !sameOperand(operand, theirs[n])))
      differs(`${row.name} has other operands`, `${kinds(ours)} for us, ${kinds(theirs)} for iced`);
  } else if (valid) differs(`${row.name} does not exist for iced`);
  else if (other && iced.cpuidFeatures().every((feature) => OURS.has(feature)))
    differs(`iced has ${Mnemonic[iced.mnemonic]}, we have nothing`);
  iced.free();
  decoder.free();
};

const enumerate = (bits: 16 | 32, map: number[]): Tally => {
  const tally: Tally = { compared: 0, operands: 0, differences: new Map(), examples: new Map() };
  const bytes = new Uint8Array(24);
  for (const prefixes of PREFIXES) {
    for (let opcode = 0; opcode < 256; opcode++) {
      if (map.length === 0 && [0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3].includes(opcode)) continue;
      for (let modrm = 0; modrm < 256; modrm++) {
        const sibs = (modrm & 7) === 4 && modrm < 0xc0 ? SIBS : [0x11];
        for (const sib of sibs) {
          bytes.fill(0x11);
          bytes.set([...prefixes, ...map, opcode, modrm, sib]);
          compare(bytes, bits, tally);
        }
      }
    }
  }
  return tally;
};

/** Where we differ on purpose, by opcode. */
const KNOWN: [RegExp, string][] = [
  [/^8[ce]: mov_(from|to)_sreg does not exist/, 'segment registers 6 and 7, and CS as a destination: the handler raises #UD'],
  [/^0f 2[0123]: mov_(from|to)_[cd]r does not exist/, 'control registers that do not exist: the handler raises #UD, or #GP at CPL 3 first'],
  [/^90: xchg has other operands/, 'the exchange of EAX with itself is a NOP without operands for iced'],
  [/^9[89]: c[bw][wd] has other operands/, 'the list names EAX, for its width; iced leaves it implied'],
  [/^d7: xlat has other operands/, 'iced names the implied [(E)BX + AL]'],
  [/^df: fnstsw_ax has other operands/, 'iced names the implied AX'],
  [/^0f f7: maskmov(q|dqu) has other operands/, 'iced names the implied [(E)DI]'],
  [/^0f (d|1[89a-f]): (nop_ev|prefetch) has other operands/, 'iced names the register field of a hint, which does nothing'],
  [/^0f ff: iced has Ud0/, 'an undefined opcode by name is still undefined'],
];

const check = (tally: Tally): void => {
  const unexplained = [...tally.differences].filter(([key]) => !KNOWN.some(([pattern]) => pattern.test(key)));
  assert.ok(tally.compared > 500_000, `only ${tally.compared} encodings were compared`);
  assert.ok(tally.operands > 500_000, `only ${tally.operands} operands were compared`);
  assert.deepEqual(
    unexplained.map(([key, n]) => `${key} (${n}): ${tally.examples.get(key)}`),
    [],
  );
};

for (const bits of [32, 16] as const) {
  test(`one-byte opcodes have the length, validity and operands that iced-x86 gives them in ${bits}-bit code`, () =>
    check(enumerate(bits, [])));
  test(`0F opcodes have the length, validity and operands that iced-x86 gives them in ${bits}-bit code`, () =>
    check(enumerate(bits, [0x0f])));
}
