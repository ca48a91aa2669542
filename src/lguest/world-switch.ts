// The world switch in one go: what the Switcher's some thirty instructions each way do to registers, memory and counters, without running them.
//
// The Switcher is real code and the Host can be stepped through it; but when nobody looks (no breakpoint there, no watch on its pages, no stepping), the same effects come
// from one function each way, twenty times faster. Each answers false, having changed nothing, whenever anything is not as it nearly always is: a selector or
// frame that would fault, flags with a meaning of their own, a Switcher that faulted. Then the instructions run. test/lguest/world-switch.test.ts compares the
// two bit for bit. What it leaves out: the trap's own delivery to the Switcher's stub, which is the processor's (i386/plain.ts).

import { accessOf, baseOf, isFlatStack, limitOf, setNull } from '../i386/descriptors';
import { PageFlag } from '../i386/cpu';
import type { Processor } from '../i386/processor';
import { CS, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, F, FL, FS, GS, pushesErrorCode, RAM_BASE, SS, TR, W } from '../i386/state';
import { GDT, KERNEL_CS, KERNEL_DS, LGUEST_DS, PAGE, PAGES, REGS, SWITCHER_ADDR, TSS, TSS_SELECTOR } from './abi';
import type { Guest } from './guest';
import { HOST, HOST_BASE, type Layout } from './layout';

/** Instructions from the Host's PUSHF to the Switcher's IRET. */
const ENTER_COUNT = 29;
/** From the stub's push of the vector to the Host's HLT: a trap for the Host to see, and a hardware interrupt that the Host's own handler takes first. */
const RETURN_COUNT = 33;
const DELIVER_COUNT = 41;
const NMI = 2;
const WATCH = PageFlag.WATCH_READ | PageFlag.WATCH_WRITE;
/** Access rights of flat 32-bit ring-0 segments, as in the state block. */
const FLAT_CODE_0 = 0xc09b;
const FLAT_DATA_0 = 0xc093;
/** Words from bytes. */
const word = (offset: number): number => offset >> 2;

export class WorldSwitch {
  /** Vector by offset in the Switcher's text, -1 = no stub begins here. */
  private readonly vectorAt: Int16Array;
  /** Word indexes into m32. */
  private readonly regs: number;
  private readonly pages: number;
  private readonly hostStack: number;
  private readonly regsLinear: number;
  /** Pages of the machine's memory that the Switcher's instructions and the Host's stubs read or write. */
  private readonly touched: readonly number[];

  constructor(
    private readonly processor: Processor,
    private readonly lg: Guest,
    private readonly layout: Layout,
  ) {
    const { switcher, switcherPages, stackTop, pagesAddress } = layout;
    this.vectorAt = new Int16Array(switcherPages * PAGE).fill(-1);
    switcher.stubs.forEach((offset, vector) => {
      this.vectorAt[offset] = vector;
    });
    this.regs = (RAM_BASE + layout.regs) >> 2;
    this.pages = (RAM_BASE + layout.statePage - PAGE) >> 2;
    this.hostStack = (RAM_BASE + stackTop - HOST_BASE) >> 2;
    this.regsLinear = (pagesAddress + PAGE - REGS.size) | 0;
    const touched = [layout.regs, layout.statePage - PAGE, layout.statePage, stackTop - HOST_BASE - 4, HOST.gdt, HOST.idt, HOST.tss];
    this.touched = touched.map((at) => at >>> 12);
    const stub = [layout.stubEip >>> 0, layout.stubEnd >>> 0];
    processor.isHidden = (linear) => linear >= SWITCHER_ADDR || (linear >= stub[0] && linear < stub[1]);
  }

  /** True while somebody may look at single instructions or at the memory that they touch. */
  private get watched(): boolean {
    const { processor } = this;
    const { cpu } = processor;
    if (processor.hiddenBreakpoints > 0 || cpu.stopRequested || (cpu.m32[W.DR + 7] & 0xff) !== 0) return true;
    return cpu.watcher !== undefined && this.touched.some((page) => (cpu.pageFlags[page] & WATCH) !== 0);
  }

  /** Word index of an entry of the Guest's live GDT that may be loaded without a fault or a write at privilege `cpl`, or -1. */
  private descriptor(selector: number): number {
    const offset = selector & 0xfff8;
    return offset === 0 || (selector & 4) !== 0 || offset + 7 > 0xff ? -1 : this.pages + word(PAGES.guestGdt) + (offset >> 2);
  }
  /** May ring 0 pop this selector into a data segment? */
  private loads(selector: number): boolean {
    if ((selector & 0xfffc) === 0) return true;
    const d = this.descriptor(selector);
    if (d < 0) return false;
    const high = this.processor.cpu.m32[d + 1];
    const data = (high & 0x9900) === 0x9100 || (high & 0x9f00) === 0x9b00;
    return data && ((high >> 13) & 3) >= (selector & 3);
  }
  /** Loads it, as far as code at `rpl` may keep it. */
  private load(seg: number, selector: number, rpl: number): void {
    const { cpu } = this.processor;
    const m = cpu.m32;
    const d = this.descriptor(selector);
    const high = d < 0 ? 0 : m[d + 1];
    if (d < 0 || ((high >> 13) & 3) < rpl) {
      setNull(cpu, seg, d < 0 ? selector : 0);
      return;
    }
    m[W.SELECTOR + seg] = selector;
    m[W.BASE + seg] = baseOf(m[d], high);
    m[W.LIMIT + seg] = limitOf(m[d], high);
    m[W.ACCESS + seg] = accessOf(high);
  }

  /** From the Host's stub into the Guest. The processor stands before the stub, as Host.enter() has left it. */
  enter(): boolean {
    const { cpu } = this.processor;
    const m = cpu.m32;
    const { regs, pages, hostStack } = this;
    if (this.watched || (m[W.EFLAGS] & (FL.NT | FL.AC | FL.TF | FL.VM)) !== 0) return false;
    const cs = m[regs + word(REGS.cs)] & 0xffff;
    const ss = m[regs + word(REGS.ss)] & 0xffff;
    const flags = m[regs + word(REGS.eflags)];
    const eip = m[regs + word(REGS.eip)];
    const rpl = cs & 3;
    if (rpl === 0 || (ss & 3) !== rpl || (flags & (FL.VM | FL.AC)) !== 0) return false;
    const code = this.descriptor(cs);
    const stack = this.descriptor(ss);
    if (code < 0 || stack < 0) return false;
    // Present, accessed, not conforming code of that privilege; a flat 32-bit stack.
    if ((m[code + 1] & 0xfd00) !== (0x9900 | (rpl << 13))) return false;
    if (!isFlatStack(m[stack], m[stack + 1], rpl)) return false;
    const limit = limitOf(m[code], m[code + 1]);
    if (eip >>> 0 > limit >>> 0) return false;
    const gs = m[regs + word(REGS.gs)] & 0xffff;
    const fs = m[regs + word(REGS.fs)] & 0xffff;
    const ds = m[regs + word(REGS.ds)] & 0xffff;
    const es = m[regs + word(REGS.es)] & 0xffff;
    if (!this.loads(gs) || !this.loads(fs) || !this.loads(ds) || !this.loads(es)) return false;
    const tss = pages + word(PAGES.guestGdt) + GDT.TSS * 2;
    if ((m[tss + 1] & 0x9f00) !== 0x8900) return false;

    // The Host's stack: flags and the way back of the far call, then what the Switcher saves of the Host.
    m[hostStack - 1] = cpu.getFlags() & ~(FL.VM | FL.RF);
    m[hostStack - 2] = m[W.SELECTOR + CS];
    m[hostStack - 3] = (this.layout.stubEnd - 1) | 0;
    m[hostStack - 4] = m[W.SELECTOR + ES];
    m[hostStack - 5] = m[W.SELECTOR + DS];
    m[hostStack - 6] = m[W.SELECTOR + GS];
    m[hostStack - 7] = m[W.SELECTOR + FS];
    m[hostStack - 8] = m[EBP];
    m[pages + word(PAGES.hostSp)] = (this.layout.stackTop - 32) | 0;
    // The tables of the Guest; its TSS becomes busy, the Host's is free again.
    m[W.GDT_BASE] = (this.layout.pagesAddress + PAGES.guestGdt) | 0;
    m[W.GDT_LIMIT] = 0xff;
    m[W.IDT_BASE] = (this.layout.pagesAddress + PAGES.guestIdt) | 0;
    m[W.IDT_LIMIT] = 0x7ff;
    m[W.SELECTOR + TR] = TSS_SELECTOR;
    m[W.BASE + TR] = (this.layout.pagesAddress + PAGES.guestTss) | 0;
    m[W.LIMIT + TR] = TSS.size - 1;
    m[W.ACCESS + TR] = accessOf(m[tss + 1]) | 2;
    m[tss + 1] |= 0x200;
    m[((RAM_BASE + HOST.gdt) >> 2) + GDT.TSS * 2 + 1] &= ~0x200;
    m[W.CR3] = m[EBX];
    cpu.unparkTlb();
    m[EAX] = m[regs + word(REGS.eax)];
    m[EBX] = m[regs + word(REGS.ebx)];
    m[ECX] = m[regs + word(REGS.ecx)];
    m[EDX] = m[regs + word(REGS.edx)];
    m[ESI] = m[regs + word(REGS.esi)];
    m[EDI] = m[regs + word(REGS.edi)];
    m[EBP] = m[regs + word(REGS.ebp)];
    this.load(GS, gs, rpl);
    this.load(FS, fs, rpl);
    this.load(DS, ds, rpl);
    this.load(ES, es, rpl);
    // IRET at privilege 0: every flag but RF's neighbours may change.
    const mask = FL.STATUS | FL.TF | FL.DF | FL.NT | FL.AC | FL.ID | FL.RF | FL.IF | FL.IOPL;
    cpu.setFlags((m[W.EFLAGS] & ~mask) | (flags & mask));
    m[W.SELECTOR + SS] = ss;
    m[W.BASE + SS] = 0;
    m[W.LIMIT + SS] = -1;
    m[W.ACCESS + SS] = accessOf(m[stack + 1]);
    m[ESP] = m[regs + word(REGS.esp)];
    m[W.SELECTOR + CS] = cs;
    m[W.BASE + CS] = baseOf(m[code], m[code + 1]);
    m[W.LIMIT + CS] = limit;
    m[W.ACCESS + CS] = accessOf(m[code + 1]);
    m[W.EIP] = eip;
    m[W.CPL] = rpl;
    cpu.updateMode();
    cpu.f64[F.RETIRED_HOST] += ENTER_COUNT;
    // The next trap will need both pages.
    cpu.tryTranslate(this.layout.pagesAddress + PAGE, false, false);
    cpu.tryTranslate(this.layout.pagesAddress, true, false);
    return true;
  }

  /** From a trap stub at `eip`, where the Guest's trap has just led, to the HLT of the Host's stub and past it. */
  leave(eip: number): boolean {
    const vector = eip >>> 0 >= SWITCHER_ADDR ? this.vectorAt[(eip >>> 0) - SWITCHER_ADDR] : -1;
    if (vector === undefined || vector < 0 || vector === NMI || this.watched || this.lg.switcherFaulted) return false;
    const { cpu } = this.processor;
    const m = cpu.m32;
    const { regs, pages, hostStack } = this;
    const hasError = pushesErrorCode(vector);
    // What the trap has pushed must end where lguest_regs begin.
    if (m[ESP] !== ((this.regsLinear + (hasError ? REGS.errcode : REGS.eip)) | 0) || m[W.SELECTOR + SS] !== LGUEST_DS) return false;
    if ((m[regs + word(REGS.cs)] & 3) === 0 || m[W.CR3] === HOST.pgdir || (m[W.EFLAGS] & (FL.NT | FL.TF | FL.VM)) !== 0) return false;
    const flags = m[hostStack - 1];
    if (m[hostStack - 2] !== KERNEL_CS || m[hostStack - 3] !== ((this.layout.stubEnd - 1) | 0) || (flags & (FL.VM | FL.AC | FL.NT)) !== 0)
      return false;
    if (m[hostStack - 4] !== KERNEL_DS || m[hostStack - 5] !== KERNEL_DS || m[hostStack - 6] !== 0 || m[hostStack - 7] !== 0) return false;
    if (m[pages + word(PAGES.hostSp)] !== ((this.layout.stackTop - 32) | 0)) return false;
    const direct = vector < 32 || vector === 128;
    const gate = ((RAM_BASE + HOST.idt) >> 2) + vector * 2;
    const handler = (m[gate] & 0xffff) | (m[gate + 1] & (0xffff0000 | 0));
    if (!direct && handler !== ((HOST_BASE + HOST.code) | 0)) return false;

    if (!hasError) m[regs + word(REGS.errcode)] = 0;
    m[regs + word(REGS.trapnum)] = vector;
    m[regs + word(REGS.es)] = m[W.SELECTOR + ES];
    m[regs + word(REGS.ds)] = m[W.SELECTOR + DS];
    m[regs + word(REGS.fs)] = m[W.SELECTOR + FS];
    m[regs + word(REGS.gs)] = m[W.SELECTOR + GS];
    m[regs + word(REGS.ebp)] = m[EBP];
    m[regs + word(REGS.edi)] = m[EDI];
    m[regs + word(REGS.esi)] = m[ESI];
    m[regs + word(REGS.edx)] = m[EDX];
    m[regs + word(REGS.ecx)] = m[ECX];
    m[regs + word(REGS.ebx)] = m[EBX];
    m[regs + word(REGS.eax)] = m[EAX];
    // Loading CR3 forgets every translation; but the Host runs no code of its own, so those that are still true when it comes back may stay.
    cpu.parkTlb();
    m[W.CR3] = m[pages + word(PAGES.hostCr3)];
    m[pages + word(PAGES.guestGdt) + GDT.TSS * 2 + 1] &= ~0x200;
    m[W.GDT_BASE] = (HOST_BASE + HOST.gdt) | 0;
    m[W.GDT_LIMIT] = 0xff;
    m[W.IDT_BASE] = (HOST_BASE + HOST.idt) | 0;
    m[W.IDT_LIMIT] = 0x7ff;
    const tss = ((RAM_BASE + HOST.gdt) >> 2) + GDT.TSS * 2;
    m[tss + 1] |= 0x200;
    m[W.SELECTOR + TR] = TSS_SELECTOR;
    m[W.BASE + TR] = (HOST_BASE + HOST.tss) | 0;
    m[W.LIMIT + TR] = TSS.size - 1;
    m[W.ACCESS + TR] = accessOf(m[tss + 1]);
    m[EAX] = direct ? this.layout.pagesAddress | 0 : handler & 0xffff;
    m[EBX] = vector;
    m[EDX] = direct ? TSS_SELECTOR : handler;
    m[EBP] = m[hostStack - 8];
    m[ESP] = this.layout.stackTop | 0;
    for (let seg = ES; seg <= GS; seg++) {
      if (seg === SS) continue;
      const none = seg === FS || seg === GS;
      m[W.SELECTOR + seg] = none ? 0 : seg === CS ? KERNEL_CS : KERNEL_DS;
      m[W.BASE + seg] = 0;
      m[W.LIMIT + seg] = none ? 0 : -1;
      m[W.ACCESS + seg] = none ? 0 : seg === CS ? FLAT_CODE_0 : FLAT_DATA_0;
    }
    cpu.setFlags(flags);
    m[W.EIP] = this.layout.stubEnd | 0;
    m[W.SHADOW] = 0;
    cpu.updateMode();
    cpu.f64[F.RETIRED_HOST] += (direct ? RETURN_COUNT : DELIVER_COUNT) + (hasError ? 0 : 1);
    return true;
  }
}
