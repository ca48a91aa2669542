// Instructions as text, and what a debugger asks about one: its length, whether it calls, where it goes, which memory it touches.
//
// iced-x86 does the decoding and the writing; this file is our only door to it, so that nothing else depends on its shapes. AT&T is the default, as in the
// kernel's own listings. What it leaves out: executing (interpreter/) and reading memory, which the caller does.

import {
  type Instruction as IcedInstruction,
  Decoder,
  DecoderOptions,
  FlowControl,
  Formatter,
  FormatterSyntax,
  Mnemonic,
  OpKind,
  MemorySizeExt,
  Register,
} from 'iced-x86';

export type Syntax = 'att' | 'intel';

/** How control leaves an instruction. `int`: a software interrupt. */
export type Flow = 'next' | 'jump' | 'branch' | 'call' | 'return' | 'int' | 'iret' | 'halt' | 'invalid';

/** A memory operand: base and index are register names or undefined. `displacement` uint32; `segment` undefined: the default one. */
export interface MemoryOperand {
  base: string | undefined;
  index: string | undefined;
  scale: number;
  displacement: number;
  segment: string | undefined;
  /** The address is cut to 16 bits before the segment's base is added. */
  wraps: boolean;
  /** Bytes accessed; 0 = unknown, or none as with LEA. */
  size: number;
}

export interface Decoded {
  address: number;
  length: number;
  text: string;
  flow: Flow;
  /** A near call or jump with a constant target. */
  target: number | undefined;
  /** Vector of `int n`. */
  vector: number | undefined;
  /** A string instruction with a REP prefix. */
  rep: boolean;
  memory: MemoryOperand | undefined;
  /** What a string instruction accesses without naming it. */
  strings: MemoryOperand[];
  /** Some immediate or displacement as it stands, for naming. */
  constants: number[];
}

// Made with the first disassembler, not with the program: iced-x86 is large, and most runs never disassemble.

const NARROW: ReadonlySet<number> = new Set([Register.BX, Register.BP, Register.SI, Register.DI]);

/** Name by number. */
const makeRegisters = (): Map<number, string> =>
  new Map<number, string>(
    (
      [
        'EAX',
        'ECX',
        'EDX',
        'EBX',
        'ESP',
        'EBP',
        'ESI',
        'EDI',
        'AX',
        'CX',
        'DX',
        'BX',
        'SP',
        'BP',
        'SI',
        'DI',
        'ES',
        'CS',
        'SS',
        'DS',
        'FS',
        'GS',
      ] as const
    ).map((name) => [Register[name], name.toLowerCase()]),
  );

const makeFlows = (): Map<number, Flow> =>
  new Map<number, Flow>([
    [FlowControl.Next, 'next'],
    [FlowControl.UnconditionalBranch, 'jump'],
    [FlowControl.IndirectBranch, 'jump'],
    [FlowControl.ConditionalBranch, 'branch'],
    [FlowControl.Call, 'call'],
    [FlowControl.IndirectCall, 'call'],
    [FlowControl.Return, 'return'],
    [FlowControl.Interrupt, 'int'],
  ]);

export class Disassembler {
  private readonly formatter: Formatter;
  private readonly registers = makeRegisters();
  private readonly flows = makeFlows();

  constructor(readonly syntax: Syntax = 'att') {
    this.formatter = new Formatter(syntax === 'att' ? FormatterSyntax.Gas : FormatterSyntax.Nasm);
    this.formatter.hexPrefix = '0x';
    this.formatter.hexSuffix = '';
    this.formatter.uppercaseHex = false;
    this.formatter.spaceAfterOperandSeparator = false;
    this.formatter.smallHexNumbersInDecimal = false;
    this.formatter.showBranchSize = false;
  }

  /**
   * Decodes one instruction.
   * @param bytes at least 15 if there are that many.
   * @param address linear.
   * @param base where the code segment begins: jumps are relative to EIP, which counts from there, and in 16-bit code wrap at 64 KB.
   * @returns undefined when there is no valid instruction. A target is linear.
   */
  decode(bytes: Uint8Array, address: number, bits: 16 | 32 = 32, base = 0): Decoded | undefined {
    if (bytes.length === 0) return undefined;
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.ip = BigInt((address - base) >>> 0);
    const instruction = decoder.decode();
    try {
      if (instruction.isInvalid) return undefined;
      return this.describe(instruction, address, base);
    } finally {
      instruction.free();
      decoder.free();
    }
  }

  private describe(i: IcedInstruction, address: number, base: number): Decoded {
    let flow = this.flows.get(i.flowControl) ?? 'next';
    if (i.mnemonic === Mnemonic.Iret || i.mnemonic === Mnemonic.Iretd) flow = 'iret';
    else if (i.mnemonic === Mnemonic.Hlt) flow = 'halt';
    let target: number | undefined;
    const constants: number[] = [];
    let memory: MemoryOperand | undefined;
    const strings: MemoryOperand[] = [];
    const string = (base: string, segment: string | undefined): void => {
      const size = MemorySizeExt.size(i.memorySize);
      strings.push({ base, index: undefined, scale: 1, displacement: 0, segment, wraps: base.length === 2, size });
    };
    let vector: number | undefined;
    for (let n = 0; n < i.opCount; n++) {
      switch (i.opKind(n)) {
        case OpKind.NearBranch16:
        case OpKind.NearBranch32:
          target = (Number(i.nearBranchTarget) + base) >>> 0;
          break;
        case OpKind.MemorySegSI:
        case OpKind.MemorySegESI:
          string(i.opKind(n) === OpKind.MemorySegSI ? 'si' : 'esi', this.registers.get(i.segmentPrefix));
          break;
        case OpKind.MemoryESDI:
        case OpKind.MemoryESEDI:
          string(i.opKind(n) === OpKind.MemoryESDI ? 'di' : 'edi', 'es');
          break;
        case OpKind.Immediate32:
          constants.push(i.immediate32 >>> 0);
          break;
        case OpKind.Immediate8:
          if (flow === 'int') vector = i.immediate8;
          break;
        case OpKind.Memory:
          memory = {
            base: this.registers.get(i.memoryBase),
            index: this.registers.get(i.memoryIndex),
            scale: i.memoryIndexScale,
            displacement: Number(i.memoryDisplacement & 0xffffffffn) >>> 0,
            segment: this.registers.get(i.segmentPrefix),
            wraps: i.memoryDisplSize === 2 || NARROW.has(i.memoryBase) || NARROW.has(i.memoryIndex),
            size: i.mnemonic === Mnemonic.Lea ? 0 : MemorySizeExt.size(i.memorySize),
          };
          constants.push(memory.displacement);
          break;
        default:
      }
    }
    if (i.mnemonic === Mnemonic.Int3) vector = 3;
    return {
      address,
      length: i.length,
      text: this.formatter.format(i).replace('\t', ' '),
      flow,
      target,
      vector,
      rep: i.hasRepPrefix || i.hasRepnePrefix,
      memory,
      strings,
      constants,
    };
  }
}
