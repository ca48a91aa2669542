// What Guest and Host of Linux 2.6.24 agree on: selectors, shared structures, the Switcher's pages, hypercall numbers.
//
// Every number of the contract is written here once; the rest of the folder asks by name. Offsets are bytes. Source: our documentation of lguest, sections
// 1.2, 3 and 4 (docs of the same numbering in the project's specification).

export const PAGE = 4096;
export const GUEST_PL = 1;
export const LGUEST_TRAP_ENTRY = 0x1f;
export const LGUEST_IRQS = 32;
export const FIRST_EXTERNAL_VECTOR = 0x20;
export const SYSCALL_VECTOR = 0x80;
/** What trapnum holds while the Guest runs: seen afterwards only when the Switcher itself faulted. */
export const TRAP_SENTINEL = 256;

export const SWITCHER_ADDR = 0xffc00000;
/** Page directory slot of the Switcher: the last one. */
export const SWITCHER_PGD_INDEX = 1023;
export const RESERVE_MEM = 0x400000;

/** Descriptor table indexes (section 7.1). */
export const GDT_ENTRIES = 32;
export const IDT_ENTRIES = 256;
export const GDT = {
  TLS_MIN: 6,
  TLS_MAX: 8,
  LGUEST_CS: 10,
  LGUEST_DS: 11,
  KERNEL_CS: 12,
  KERNEL_DS: 13,
  TSS: 16,
  DOUBLEFAULT_TSS: 31,
} as const;
export const LGUEST_CS = GDT.LGUEST_CS * 8;
export const LGUEST_DS = GDT.LGUEST_DS * 8;
export const KERNEL_CS = GDT.KERNEL_CS * 8;
export const KERNEL_DS = GDT.KERNEL_DS * 8;
export const TSS_SELECTOR = GDT.TSS * 8;
/** Never fixed up and never copied from the Guest's table to the live one. */
export const isIgnoredGdt = (index: number): boolean =>
  index === GDT.LGUEST_CS || index === GDT.LGUEST_DS || index === GDT.TSS || index === GDT.DOUBLEFAULT_TSS;

/** Flat 4 GB segments as {low, high} words; the high word's DPL is for the caller to OR in. */
export const FLAT_LOW = 0x0000ffff;
export const FLAT_CODE = 0x00cf9b00;
export const FLAT_DATA = 0x00cf9300;

/** Page table bits. */
export const PT = { P: 1, RW: 2, US: 4, PWT: 8, PCD: 0x10, A: 0x20, D: 0x40, PSE: 0x80, G: 0x100 } as const;
/** Low bits of a Guest PDE that may be set (8.4): present, write, user, accessed, dirty. */
export const GPDE_ALLOWED = 0x067;
/** Low bits of a Guest PTE that may not be set. */
export const GPTE_FORBIDDEN = 0x088;

/** struct lguest_data. */
export const LD = {
  irqEnabled: 0,
  blockedInterrupts: 4,
  cr2: 8,
  time: 12,
  hcallStatus: 20,
  hcalls: 84,
  reserveMem: 1108,
  tscKhz: 1112,
  pgdir: 1116,
  noirqStart: 1120,
  noirqEnd: 1124,
  kernelAddress: 1128,
  syscallVec: 1132,
  size: 1136,
} as const;
export const RING_ENTRIES = 64;
export const RING_FREE = 0xff;

/** struct lguest_regs, at the end of the register page. */
export const REGS = {
  eax: 0,
  ebx: 4,
  ecx: 8,
  edx: 12,
  esi: 16,
  edi: 20,
  ebp: 24,
  gs: 28,
  fs: 32,
  ds: 36,
  es: 40,
  trapnum: 44,
  errcode: 48,
  eip: 52,
  cs: 56,
  eflags: 60,
  esp: 64,
  ss: 68,
  size: 72,
} as const;
export const REGS_AT = PAGE - REGS.size;

/** struct lguest_pages: the register page, then the state page. Offsets in the pair. */
export const PAGES = {
  hostCr3: 0x1000,
  hostIdtDesc: 0x1004,
  hostGdtDesc: 0x100c,
  hostSp: 0x1014,
  guestIdtDesc: 0x1018,
  guestGdtDesc: 0x1020,
  guestTss: 0x1028,
  guestIdt: 0x1090,
  guestGdt: 0x1890,
} as const;
/** In the TSS. */
export const TSS = { esp0: 4, ss0: 8, esp1: 12, ss1: 16, ioBitmapBase: 102, size: 104 } as const;

export const LHCALL = {
  FLUSH_ASYNC: 0,
  LGUEST_INIT: 1,
  CRASH: 2,
  LOAD_GDT: 3,
  NEW_PGTABLE: 4,
  FLUSH_TLB: 5,
  LOAD_IDT_ENTRY: 6,
  SET_STACK: 7,
  TS: 8,
  SET_CLOCKEVENT: 9,
  HALT: 10,
  SET_PTE: 14,
  SET_PMD: 15,
  LOAD_TLS: 16,
  NOTIFY: 17,
} as const;

/** Name and argument names, by number; arguments in the order edx, ebx, ecx. */
export const HYPERCALLS: Readonly<Record<number, { name: string; args: readonly string[] }>> = {
  0: { name: 'FLUSH_ASYNC', args: [] },
  1: { name: 'LGUEST_INIT', args: ['lguest_data'] },
  2: { name: 'CRASH', args: ['text'] },
  3: { name: 'LOAD_GDT', args: ['table', 'count'] },
  4: { name: 'NEW_PGTABLE', args: ['pgdir'] },
  5: { name: 'FLUSH_TLB', args: ['kernel'] },
  6: { name: 'LOAD_IDT_ENTRY', args: ['number', 'low', 'high'] },
  7: { name: 'SET_STACK', args: ['selector', 'esp', 'pages'] },
  8: { name: 'TS', args: ['value'] },
  9: { name: 'SET_CLOCKEVENT', args: ['ns'] },
  10: { name: 'HALT', args: [] },
  14: { name: 'SET_PTE', args: ['pgdir', 'vaddr', 'pte'] },
  15: { name: 'SET_PMD', args: ['pgdir', 'index'] },
  16: { name: 'LOAD_TLS', args: ['table'] },
  17: { name: 'NOTIFY', args: ['address'] },
};
export const hypercallName = (number: number): string => HYPERCALLS[number]?.name ?? `hypercall ${number | 0}`;

/** `%#lx`: as the kernel's printf prints it (zero is 0x0). */
export const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
/** `%p` */
export const pointer = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
