// Where everything of the Host lies in the emulated machine's physical memory, and the Host's own tables.
//
// The "Host kernel" here is this program, so the emulated machine needs just enough of one for the Switcher to be at home: GDT, IDT, TSS, a stack, a page
// directory that maps these and the Switcher, a stub that calls the Switcher and an interrupt handler that does nothing (our documentation, 9.10).
// The Guest's memory follows above all this, at `memBase`. Left out: anything that changes after start-up.

import type { Cpu } from '../i386/cpu';
import { CR0, CS, DS, EAX, ES, FS, GS, LDTR, RAM_BASE, SS, TR, W } from '../i386/state';
import {
  FLAT_CODE,
  FLAT_DATA,
  FLAT_LOW,
  GDT,
  IDT_ENTRIES,
  KERNEL_CS,
  KERNEL_DS,
  LGUEST_CS,
  LGUEST_DS,
  PAGE,
  PAGES,
  PT,
  REGS_AT,
  REGS,
  SWITCHER_ADDR,
  TSS,
  TSS_SELECTOR,
} from './abi';
import { Assembler } from './assembler';
import { assembleSwitcher, type SwitcherCode } from './switcher';

/** The Host's own pages, physical. */
export const HOST = {
  gdt: 0x1000,
  idt: 0x2000,
  tss: 0x3000,
  code: 0x4000,
  stack: 0x5000,
  pgdir: 0x6000,
  lowTable: 0x7000,
  switcherTable: 0x8000,
} as const;
/** Page table that every shadow directory's slot 1023 points to. */
const GUEST_SWITCHER_TABLE = 0x9000;
const REGISTER_PAGE = 0xa000;
const SWITCHER_TEXT = 0xb000;
/** Shadow directories and shadow page tables are taken from here on. */
const POOL = 0x10000;
/** Linear address of physical 0 in the Host's directory, as in Linux. */
export const HOST_BASE = 0xc0000000;

/** Four directories, each with every page table it can have. */
export const ALL_SHADOW_PAGES = 4 * 1024;

export interface Layout {
  /** Physical addresses. */
  hostPgdir: number;
  /** The register page of the Guest; lguest_regs stands at its end. */
  registerPage: number;
  regs: number;
  /** The state page of lguest_pages. */
  statePage: number;
  guestSwitcherTable: number;
  pool: number;
  poolPages: number;
  memBase: number;
  /** Pages of Switcher text, 1 or 2. */
  switcherPages: number;
  switcher: SwitcherCode;
  /** Linear address of lguest_pages, in Host and Guest. */
  pagesAddress: number;
  /** EIP of the Host's stub: pushf, far call into the Switcher, hlt. */
  stubEip: number;
  /** EIP after that hlt: where the Host stands when the Guest is out. */
  stubEnd: number;
  /** Top of the Host's stack. */
  stackTop: number;
}

export const planLayout = (o: { stubAlignment: 4 | 16; shadowPages: number }): Layout => {
  const switcher = assembleSwitcher(o.stubAlignment);
  const switcherPages = Math.ceil(switcher.bytes.length / PAGE);
  const memBase = POOL + o.shadowPages * PAGE;
  return {
    hostPgdir: HOST.pgdir,
    registerPage: REGISTER_PAGE,
    regs: REGISTER_PAGE + REGS_AT,
    statePage: SWITCHER_TEXT + (switcherPages + 1) * PAGE,
    guestSwitcherTable: GUEST_SWITCHER_TABLE,
    pool: POOL,
    poolPages: o.shadowPages,
    memBase,
    switcherPages,
    switcher,
    pagesAddress: SWITCHER_ADDR + switcherPages * PAGE,
    stubEip: HOST_BASE + HOST.code + 16,
    stubEnd: 0, // set by build()
    stackTop: HOST_BASE + HOST.stack + PAGE,
  };
};

/** Writes all of it and leaves the processor in ring 0 on the Host's tables, as it will be found after each exit. Our documentation, 9.1. */
export const buildHost = (cpu: Cpu, layout: Layout): Layout => {
  const m = cpu.m32;
  const put = (physical: number, value: number): void => {
    m[(RAM_BASE + physical) >> 2] = value;
  };
  const bytesTo = (physical: number, bytes: Uint8Array): void => cpu.m8.set(bytes, RAM_BASE + physical);
  const descriptor = (table: number, index: number, low: number, high: number): void => {
    put(table + index * 8, low);
    put(table + index * 8 + 4, high);
  };
  const tssDescriptor = (table: number, at: number): void =>
    descriptor(table, GDT.TSS, (at << 16) | (TSS.size - 1), 0x8900 | (at & 0xff000000) | ((at >> 16) & 0xff));

  descriptor(HOST.gdt, GDT.LGUEST_CS, FLAT_LOW, FLAT_CODE);
  descriptor(HOST.gdt, GDT.LGUEST_DS, FLAT_LOW, FLAT_DATA);
  descriptor(HOST.gdt, GDT.KERNEL_CS, FLAT_LOW, FLAT_CODE);
  descriptor(HOST.gdt, GDT.KERNEL_DS, FLAT_LOW, FLAT_DATA);
  tssDescriptor(HOST.gdt, HOST_BASE + HOST.tss);

  // The Host's code: an interrupt handler, the far pointer lguest_entry, the stub.
  const code = new Assembler();
  code.cld().iret().align(8);
  const pointerAt = code.here;
  code.emit(0, 0, 0, 0, LGUEST_CS, 0).align(16);
  code
    .label('stub')
    .pushf()
    .callFarThrough(HOST_BASE + HOST.code + pointerAt)
    .hlt()
    .label('end');
  bytesTo(HOST.code, code.finish());
  put(HOST.code + pointerAt, SWITCHER_ADDR + layout.switcher.entry);
  const stubEnd = HOST_BASE + HOST.code + code.offsetOf('end');

  const handler = HOST_BASE + HOST.code;
  for (let v = 0; v < IDT_ENTRIES; v++) descriptor(HOST.idt, v, (KERNEL_CS << 16) | (handler & 0xffff), (handler & 0xffff0000) | 0x8e00);
  put(HOST.tss + TSS.esp0, layout.stackTop);
  put(HOST.tss + TSS.ss0, KERNEL_DS);

  const { switcherPages } = layout;
  const pagesPhysical = SWITCHER_TEXT + switcherPages * PAGE;
  put(HOST.pgdir + (HOST_BASE >>> 22) * 4, HOST.lowTable | PT.P | PT.RW | PT.A);
  put(HOST.pgdir + (SWITCHER_ADDR >>> 22) * 4, HOST.switcherTable | PT.P | PT.RW | PT.A);
  for (let page = 1; page <= HOST.switcherTable / PAGE; page++) put(HOST.lowTable + page * 4, (page * PAGE) | PT.P | PT.RW | PT.A | PT.D);
  for (let page = 0; page < switcherPages + 2; page++)
    put(HOST.switcherTable + page * 4, (SWITCHER_TEXT + page * PAGE) | PT.P | PT.RW | PT.A | PT.D);
  for (let page = 0; page < switcherPages; page++) put(GUEST_SWITCHER_TABLE + page * 4, (SWITCHER_TEXT + page * PAGE) | PT.P | PT.A);
  put(GUEST_SWITCHER_TABLE + switcherPages * 4, pagesPhysical | PT.P | PT.RW | PT.A);
  put(GUEST_SWITCHER_TABLE + (switcherPages + 1) * 4, (pagesPhysical + PAGE) | PT.P | PT.A);

  bytesTo(SWITCHER_TEXT, layout.switcher.bytes);

  // lguest_pages: what the Switcher exchanges.
  const pages = pagesPhysical;
  const at = layout.pagesAddress;
  const tableDescriptor = (where: number, limit: number, base: number): void => {
    put(pages + where, limit | (base << 16));
    put(pages + where + 4, base >>> 16);
  };
  tableDescriptor(PAGES.hostGdtDesc, 0xff, HOST_BASE + HOST.gdt);
  tableDescriptor(PAGES.hostIdtDesc, 0x7ff, HOST_BASE + HOST.idt);
  tableDescriptor(PAGES.guestIdtDesc, 0x7ff, at + PAGES.guestIdt);
  tableDescriptor(PAGES.guestGdtDesc, 0xff, at + PAGES.guestGdt);
  put(pages + PAGES.guestTss + TSS.esp0, at + REGS_AT + REGS.size);
  put(pages + PAGES.guestTss + TSS.ss0, LGUEST_DS);
  put(pages + PAGES.guestTss + TSS.ioBitmapBase - 2, TSS.size << 16);
  put(pages + PAGES.hostCr3, HOST.pgdir);
  descriptor(pages + PAGES.guestGdt, GDT.LGUEST_CS, FLAT_LOW, FLAT_CODE);
  descriptor(pages + PAGES.guestGdt, GDT.LGUEST_DS, FLAT_LOW, FLAT_DATA);
  tssDescriptor(pages + PAGES.guestGdt, at + PAGES.guestTss);
  for (let v = 0; v < IDT_ENTRIES; v++) {
    const [low, high] = defaultGate(layout.switcher, v);
    descriptor(pages + PAGES.guestIdt, v, low, high);
  }

  // The processor, as the Host leaves it when it looks around: ring 0, paging, WP, no global pages, no LDT.
  // TS is set because the Launcher's task has not used the FPU yet: the Guest's first use of it is one silent exit.
  m[W.CR0] = CR0.PE | CR0.MP | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.PG;
  m[W.CR3] = HOST.pgdir;
  m[W.CR4] = 0;
  m[W.GDT_BASE] = (HOST_BASE + HOST.gdt) | 0;
  m[W.GDT_LIMIT] = 0xff;
  m[W.IDT_BASE] = (HOST_BASE + HOST.idt) | 0;
  m[W.IDT_LIMIT] = 0x7ff;
  const segment = (n: number, selector: number, base: number, limit: number, access: number): void => {
    m[W.SELECTOR + n] = selector;
    m[W.BASE + n] = base;
    m[W.LIMIT + n] = limit;
    m[W.ACCESS + n] = access;
  };
  segment(CS, KERNEL_CS, 0, -1, 0xc09b);
  for (const n of [SS, DS, ES]) segment(n, KERNEL_DS, 0, -1, 0xc093);
  for (const n of [FS, GS, LDTR]) segment(n, 0, 0, 0, 0);
  segment(TR, TSS_SELECTOR, (HOST_BASE + HOST.tss) | 0, TSS.size - 1, 0x008b);
  m[(RAM_BASE + HOST.gdt + GDT.TSS * 8 + 4) >> 2] |= 0x200; // busy, as after LTR
  m[W.DR + 6] = 0xffff0ff0 | 0;
  m[W.DR + 7] = 0x400;
  // The FPU as the Launcher's task has it at its start.
  m[W.FPU_CW] = 0x37f;
  m[W.MXCSR] = 0x1f80;
  m[W.CPL] = 0;
  cpu.setFlags(2);
  for (let r = EAX; r < 8; r++) m[r] = 0;
  m[W.EIP] = stubEnd | 0;
  cpu.updateMode();
  cpu.flushTlb();
  return { ...layout, stubEnd };
};

/** The gate that leads vector `v` to its Switcher stub; only int 0x1f may be asked for from ring 1. Our documentation, 6.6. */
export const defaultGate = (switcher: SwitcherCode, v: number): [low: number, high: number] => {
  const stub = SWITCHER_ADDR + (switcher.stubs[v] ?? 0);
  return [(LGUEST_CS << 16) | (stub & 0xffff), (stub & 0xffff0000) | (v === 0x1f ? 0xae00 : 0x8e00)];
};
