// The processor's state block: one list of fields with offset and meaning, for TypeScript views and for translated code alike.
//
// One WebAssembly.Memory holds, from its start: the state block (this file), the software TLB, scratch for the translator, and the
// physical memory of the emulated machine. It is a file of its own because everything else leans on these numbers.
// What it leaves out: behaviour. See cpu.ts for access, README.md for the picture.

/** Byte offsets in the linear memory. Everything is an int32 unless said otherwise. Register numbers are the i386's own order. */
export const enum S {
  /** eax ecx edx ebx esp ebp esi edi, then a word that is always zero (index 8: "no base", "no index"). */
  REGS = 0x00,
  ZERO = 0x20,
  EIP = 0x24,
  /** ZF, SF and PF come from here: the last result, sign-extended to 32 bits. See flags.ts. */
  FLAG_RESULT = 0x28,
  /** Bit 31 CF, bit 30 CF^OF, bit 3 AF, bit 0 flips SF, bits 8-15 are XORed into the byte whose parity is PF. */
  FLAG_AUX = 0x2c,
  /** EFLAGS without CF PF AF ZF SF OF; bit 1 is always set. */
  EFLAGS = 0x30,
  CPL = 0x34,
  /** 1 when CS is a 32-bit code segment. */
  CS_BIG = 0x38,
  /** 1 when SS is a 32-bit stack segment (ESP, not SP). */
  SS_BIG = 0x3c,
  /** ES CS SS DS FS GS LDTR TR: selectors, bases, limits (bytes, uint32), access rights (descriptor's high dword bits 8-23, >> 8). */
  SELECTOR = 0x40,
  BASE = 0x60,
  LIMIT = 0x80,
  ACCESS = 0xa0,
  GDT_BASE = 0xc0,
  GDT_LIMIT = 0xc4,
  IDT_BASE = 0xc8,
  IDT_LIMIT = 0xcc,
  CR0 = 0xd0,
  CR2 = 0xd4,
  CR3 = 0xd8,
  CR4 = 0xdc,
  /** DR0 to DR7. */
  DR = 0xe0,
  /** Bit n: segment n has base 0, limit 4 GB - 1 and may be read and written (CS: read and executed) without a check. */
  FLAT = 0x100,
  /** Counted instructions left until run() must return; translated code counts it down. */
  LEFT = 0x104,
  /** Byte offsets of the TLB tables for the current privilege (supervisor or user). */
  TLB_READ = 0x108,
  TLB_WRITE = 0x10c,
  /** What waits until after the next instruction, or is to be raised before it: see Shadow. */
  SHADOW = 0x110,
  HALTED = 0x114,
  SYSENTER_CS = 0x118,
  SYSENTER_ESP = 0x11c,
  SYSENTER_EIP = 0x120,
  /** 1 = IGNNE#: with CR0.NE clear the machine lets x87 instructions run in spite of a pending error (see x87/unit.ts). */
  FPU_IGNORE = 0x124,
  /** Float64: instructions retired and counted before the present run() (the clock is this plus what LEFT has used up). */
  RETIRED = 0x128,
  /** Float64: instructions retired in ring 0 while ring 0 is not counted. */
  RETIRED_HOST = 0x130,
  /** Float64: what a write to the time-stamp counter's MSR added to it. */
  TSC_OFFSET = 0x138,
  /** x87: control, status (TOP kept in bits 11-13), tag word as one bit a physical register (1 = not empty), last opcode and pointers. */
  FPU_CW = 0x180,
  FPU_SW = 0x184,
  FPU_VALID = 0x188,
  FPU_FOP = 0x18c,
  FPU_FIP = 0x190,
  FPU_FCS = 0x194,
  FPU_FDP = 0x198,
  FPU_FDS = 0x19c,
  /** R0 to R7, physical, 16 bytes each: mantissa low dword, mantissa high dword, sign and exponent (16 bits), unused. */
  FPU_REGS = 0x1a0,
  MXCSR = 0x220,
  /** xmm0 to xmm7, 16 bytes each. */
  XMM = 0x230,
  /** Working slots of the x87 arithmetic, 5 of 16 bytes; nothing lives here between instructions. */
  FPU_TEMP = 0x2b0,
  /** Free for translated code. */
  SCRATCH = 0x300,
  END = 0x400,
}

/** The same fields as indexes into an Int32Array over the memory (Float64 fields are left out: see F). */
export const enum W {
  REGS = 0,
  ZERO = 8,
  EIP = 9,
  FLAG_RESULT = 10,
  FLAG_AUX = 11,
  EFLAGS = 12,
  CPL = 13,
  CS_BIG = 14,
  SS_BIG = 15,
  SELECTOR = 16,
  BASE = 24,
  LIMIT = 32,
  ACCESS = 40,
  GDT_BASE = 48,
  GDT_LIMIT = 49,
  IDT_BASE = 50,
  IDT_LIMIT = 51,
  CR0 = 52,
  CR2 = 53,
  CR3 = 54,
  CR4 = 55,
  DR = 56,
  FLAT = 64,
  LEFT = 65,
  TLB_READ = 66,
  TLB_WRITE = 67,
  SHADOW = 68,
  HALTED = 69,
  SYSENTER_CS = 70,
  SYSENTER_ESP = 71,
  SYSENTER_EIP = 72,
  FPU_IGNORE = 73,
  FPU_CW = 96,
  FPU_SW = 97,
  FPU_VALID = 98,
  FPU_FOP = 99,
  FPU_FIP = 100,
  FPU_FCS = 101,
  FPU_FDP = 102,
  FPU_FDS = 103,
  FPU_REGS = 104,
  MXCSR = 136,
  XMM = 140,
  FPU_TEMP = 172,
}

/** Values of the SHADOW word. */
export const enum Shadow {
  NONE = 0,
  /** After STI: external interrupts wait. */
  INTERRUPTS = 1,
  /** After MOV SS and POP SS: external interrupts, single-step traps and breakpoint registers wait, so that SS:ESP can be loaded as one. */
  ALL = 2,
  /** An exception between two instructions is to be raised before the next one. */
  PENDING = 4,
  /** Above: with ALL the data breakpoints that the load hit (four bits), with PENDING the vector. */
  SHIFT = 8,
  /** Above: the error code that goes with PENDING. */
  ERROR_SHIFT = 16,
}

/** Float64 fields as indexes into a Float64Array over the memory. */
export const enum F {
  RETIRED = 37,
  RETIRED_HOST = 38,
  TSC_OFFSET = 39,
}

export const EAX = 0;
export const ECX = 1;
export const EDX = 2;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;

export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;

/** EFLAGS bits, by the manual's names. */
export const FL = {
  CF: 1,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  ID: 0x200000,
  /** The six that arithmetic sets. */
  STATUS: 0x8d5,
} as const;

export const CR0 = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000 | 0,
} as const;
export const CR4 = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
} as const;

/** Exception vectors. */
export const EXC = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  MP: 9,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Mnemonics as debuggers print them, by vector. */
export const VECTOR_NAMES = [
  '#DE',
  '#DB',
  'NMI',
  '#BP',
  '#OF',
  '#BR',
  '#UD',
  '#NM',
  '#DF',
  '#MP',
  '#TS',
  '#NP',
  '#SS',
  '#GP',
  '#PF',
  '#15',
  '#MF',
  '#AC',
  '#MC',
  '#XM',
] as const;

/** True for the exceptions that push an error code. 386 PRM table 9-7. */
export const pushesErrorCode = (vector: number): boolean => vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;

/** One full TLB table: 2^20 entries of 4 bytes. */
export const TLB_TABLE_BYTES = 0x400000;
/** Tables in this order: supervisor read, supervisor write, user read, user write. */
export const TLB = {
  SUPER_READ: 0x100000,
  SUPER_WRITE: 0x100000 + TLB_TABLE_BYTES,
  USER_READ: 0x100000 + 2 * TLB_TABLE_BYTES,
  USER_WRITE: 0x100000 + 3 * TLB_TABLE_BYTES,
} as const;
/**
 * An entry is what to add to a linear address of its page for the index into the memory, less 1, so that its low twelve bits are set; or 0, and the access takes the slow
 * way. Untouched memory is 0, so nobody has to prepare 16 MB of tables.
 */
export const TLB_INVALID = 0;

/**
 * Stretches between watched bytes where translated code may go on by itself: an entry for each 16 bytes of 4 pages, by the low bits of the linear address, for each kind of
 * access and privilege. Each {linear address of its start, bytes where an access of up to 4 may start, what to add for the index into the memory, unused}. Cpu.inGap() fills them.
 */
export const GAPS = { START: 0x1120000, WRITE: 0x4000, USER: 0x8000, MASK: 0x3ff0, LINE: 16, END: 0x1130000 } as const;

/**
 * The table of calls (calls.ts): entries of 16 bytes {where the return address was pushed, as an index into the memory; the address; when, 64 bits}. Before it the
 * number of calls so far, 64 bits.
 */
export const CALLS = { TIME: 0x1dffff8, TABLE: 0x1e00000, MASK: 0x1ffff0, END: 0x2000000 } as const;

/** Words for translated code that say what is on outside (cpu.ts keeps them): not part of the machine's state. */
export const LINES = {
  /** The interrupt line; run() shall come back; the next delivery is not to be intercepted; somebody is told of IRETs. Each 0 or 1. */
  INTR: S.SCRATCH + 0x60,
  STOP: S.SCRATCH + 0x64,
  PASS: S.SCRATCH + 0x68,
  ON_RETURN: S.SCRATCH + 0x6c,
  /** 1 while transfers have to take the general road; when ring 0 is the Host's. */
  GENERAL: S.SCRATCH + 0x70,
  HOST_RING0: S.SCRATCH + 0x78,
} as const;
/** 256 bytes: Cpu.intercept. */
export const INTERCEPT = 0xf1000;
/** Six words: Cpu.delivered. */
export const DELIVERED = 0xf1100;

/**
 * The table of blocks (blocks.ts), one entry of SIZE words for each, shared by the run loop and the quick interpreter (quick/): the words of an entry.
 */
export const enum BLOCK {
  /** Index of the block's first byte in the memory. */
  ADDRESS = 0,
  /** Index of its first record in Cpu.code, how many there are, and how many bytes they cover. */
  FIRST = 1,
  COUNT = 2,
  BYTES = 3,
  /** 1 when one block may follow another without the run loop: all of it has run before, 32-bit, within a page, alive, no breakpoint, no translation. */
  GO = 4,
  /** How often it ran, and at which number the run loop wants to know. */
  RUNS = 5,
  HEAT = 6,
  /** EIP after its last run: where an indirect jump went. A hint, nothing more. */
  FOLLOW = 7,
  /** So many of its records have been begun (executed.ts), and 0x100 when it is decoded for a 32-bit segment. */
  BEGUN = 8,
  /** The physical page where an instruction across a page end ends, -1 for blocks inside a page. */
  SECOND = 9,
  /** Two words: entries (in bytes from BLOCKS) of the blocks that came next without and with a jump. Hints, nothing more. */
  LINKS = 10,
  /** For CPL below 3, and two words further for CPL 3: function table slot of its translation (0 = none) and the linear address that it holds for. */
  SLOT = 12,
  LINEAR = 13,
  SIZE = 16,
}
export const MAX_BLOCKS = 1 << 18;
export const BLOCKS = 0x2000000;
/** Decoded records (decode.ts): Cpu.code begins here. */
export const CODE = BLOCKS + MAX_BLOCKS * BLOCK.SIZE * 4;
export const MAX_RECORDS = 1 << 19;
/** Blocks by address: FOUND[(a ^ a >>> 16) & FOUND_MASK] is the entry (in bytes from BLOCKS) of the block at index `a` of the memory, or some other block's. */
export const FOUND = CODE + MAX_RECORDS * 32 + 0x1000;
export const FOUND_MASK = 0xffff;

/** Where the emulated machine's physical address 0 lies in the linear memory. */
export const RAM_BASE = FOUND + 4 * (FOUND_MASK + 1) + 0xf000;
export const PAGE = 4096;
