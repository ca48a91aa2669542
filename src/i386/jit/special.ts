// String instructions without a repeat, x87 through its kernel, FNSTSW, and the flags as a word: SAHF, LAHF, PUSHF, POPF.
//
// What it leaves out: repeats (repeats.ts), the x87 arithmetic itself (x87/kernel).

import { M, R } from '../decode';
import { ROWS } from '../rows';
import { EAX, EDI, ESI, ESP, FL, S } from '../state';
import { CC } from './conditions';
import { auxWord, bitOf, resultWord } from './flag-words';
import { J, KIND } from './layout';
import { KERNEL } from '../x87/kernel';
import { X87_ENTRY } from './coverage';
import { OP } from './wasm';
import { Floating } from './floating';
import { KERNEL_SLOT, MEMORY_ENTRY, REGISTER_ENTRY, type FlagState } from './emission';

export abstract class Special extends Floating {
  /** MOVS, LODS, STOS, SCAS, CMPS without a repeat prefix. */
  protected string(i: number, name: string): void {
    const { f } = this;
    const { size } = this.get(i);
    const step = this.temp();
    // Bytes to move on: the element's size, negative with DF.
    f.i32(1 << size);
    f.i32(0);
    f.mem(OP.i32_load, S.EFLAGS, 2);
    f.i32(0x400);
    f.op(OP.i32_and);
    f.i32(9 - size);
    f.op(OP.i32_shr_u);
    f.op(OP.i32_sub);
    f.set(step);
    const move = (reg: number): void => {
      f.get(reg);
      f.get(step);
      f.op(OP.i32_add);
      f.set(reg);
    };
    const a = this.temp();
    const b = this.temp();
    const r = this.temp();
    const compare = (): void => {
      f.get(a);
      f.get(b);
      f.op(OP.i32_sub);
      f.set(r);
      this.arithmeticFlags(true, size, a, b, r);
      if (!this.flagsDead) this.compared = true;
    };
    switch (name) {
      case 'movs':
        this.load(this.based(ESI), size);
        f.set(a);
        this.store(this.based(EDI), size, a);
        move(ESI);
        move(EDI);
        return;
      case 'lods':
        this.load(this.based(ESI), size);
        f.set(a);
        this.setReg(EAX, size, a);
        move(ESI);
        return;
      case 'stos':
        this.store(this.based(EDI), size, EAX);
        move(EDI);
        return;
      case 'scas':
        this.getReg(EAX, size);
        f.set(a);
        this.load(this.based(EDI), size);
        f.set(b);
        compare();
        move(EDI);
        return;
      default:
        this.load(this.based(ESI), size);
        f.set(a);
        this.load(this.based(EDI), size);
        f.set(b);
        compare();
        move(ESI);
        move(EDI);
    }
  }

  /** An x87 instruction by its kernel entry; what the entry does not take on is the handler's. */
  protected x87(i: number, name: string): void {
    if (this.floating(i, name)) return;
    this.endRun();
    const { f, code } = this;
    const n = X87_ENTRY.get(name) ?? 0;
    const { memory, writes } = KERNEL[n];
    const row = ROWS[code[i + R.FORM] >> 3];
    const fop = ((row.op & 7) << 8) | ((code[i + R.REGS] >> 8) & 0xff);
    if (memory) {
      this.ea(i);
      f.i32(writes ? this.tlbWrite : this.tlbRead);
      f.i32(this.eip);
      f.i32(fop | (((code[i + R.META] >> M.SEG_SHIFT) & 7) << 16));
    } else {
      f.i32((code[i + R.REGS] >> 4) & 7);
      f.i32(this.eip);
      f.i32(fop);
    }
    this.usesKernel = true;
    f.i32(KERNEL_SLOT + n);
    f.op(OP.call_indirect);
    f.code.u32(memory ? MEMORY_ENTRY : REGISTER_ENTRY);
    f.code.u32(0);
    f.op(OP.i32_eqz);
    this.otherwise(i, /comip?$/.test(name) ? 'memory' : this.flags);
  }

  /** When the value on the stack is not zero, the handler does record i; in both cases the flags are then in state `after`. */
  protected otherwise(i: number, after: FlagState): void {
    const { f } = this;
    if (this.patience < 2) this.leaveIf();
    else {
      f.block(OP.if);
      this.labels.push({ target: -2 });
      this.interpret(i);
      this.labels.pop();
      f.op(OP.end);
    }
    this.flags = after;
  }

  protected storeStatusWord(i: number): void {
    if (this.statusToAx()) return;
    const { f } = this;
    const wait = this.temp();
    f.i32(0);
    f.mem(OP.i32_load, S.CR0, 2);
    f.i32(0xc);
    f.op(OP.i32_and);
    f.set(wait);
    f.get(wait);
    this.otherwise(i, this.flags);
    f.get(wait);
    f.op(OP.i32_eqz);
    f.block(OP.if);
    f.i32(0);
    f.mem(OP.i32_load16_u, S.FPU_SW, 1);
    f.set(this.t0);
    this.setReg(EAX, 1, this.t0);
    f.op(OP.end);
  }

  protected direction(down: boolean): void {
    const { f } = this;
    f.i32(0);
    f.i32(0);
    f.mem(OP.i32_load, S.EFLAGS, 2);
    f.i32(down ? FL.DF : ~FL.DF);
    f.op(down ? OP.i32_or : OP.i32_and);
    f.mem(OP.i32_store, S.EFLAGS, 2);
  }

  /** The six status flags at their places in EFLAGS onto the stack. */
  private flagsWord(): void {
    const { f } = this;
    this.canonical();
    const place = (by: number): void => {
      f.i32(1);
      f.op(OP.i32_and);
      f.i32(by);
      f.op(OP.i32_shl);
    };
    f.get(this.fa);
    f.i32(31);
    f.op(OP.i32_shr_u);
    this.condition(CC.P);
    place(2);
    f.op(OP.i32_or);
    f.get(this.fa);
    f.i32(3);
    f.op(OP.i32_shr_u);
    place(4);
    f.op(OP.i32_or);
    f.get(this.fr);
    f.op(OP.i32_eqz);
    place(6);
    f.op(OP.i32_or);
    this.sign();
    place(7);
    f.op(OP.i32_or);
    this.overflow();
    place(11);
    f.op(OP.i32_or);
  }
  protected lahf(): void {
    const { f } = this;
    this.flagsWord();
    f.i32(0xd5);
    f.op(OP.i32_and);
    f.i32(2);
    f.op(OP.i32_or);
    f.set(this.t0);
    this.setReg(4, 0, this.t0);
  }
  /** Outside virtual-8086 mode, whose code is not translated: IOPL does not matter. */
  protected pushFlags(): void {
    const { f } = this;
    const value = this.temp();
    f.i32(0);
    f.mem(OP.i32_load, S.EFLAGS, 2);
    f.i32(~(FL.VM | FL.RF | FL.STATUS));
    f.op(OP.i32_and);
    this.flagsWord();
    f.op(OP.i32_or);
    f.set(value);
    this.push(value);
  }
  /**
   * POPF that changes no more than the status flags and DF, as nearly every one does, written to memory; `otherwise` emits what is done with any other. The flags are
   * in memory afterwards.
   */
  protected popFlags(otherwise: () => void): void {
    const { f } = this;
    const value = this.temp();
    const old = this.temp();
    this.load(this.based(ESP), 2);
    f.set(value);
    f.i32(0);
    f.mem(OP.i32_load, S.EFLAGS, 2);
    f.tee(old);
    f.get(value);
    f.op(OP.i32_xor);
    f.i32(FL.TF | FL.IF | FL.IOPL | FL.NT | FL.AC | FL.ID);
    f.op(OP.i32_and);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    otherwise();
    f.op(OP.else);
    f.i32(0);
    f.get(old);
    f.i32(~FL.DF);
    f.op(OP.i32_and);
    f.get(value);
    f.i32(FL.DF);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
    f.mem(OP.i32_store, S.EFLAGS, 2);
    f.i32(0);
    resultWord(f, value);
    f.mem(OP.i32_store, S.FLAG_RESULT, 2);
    f.i32(0);
    auxWord(f, value, () => bitOf(f, value, 11));
    f.mem(OP.i32_store, S.FLAG_AUX, 2);
    f.i32(0);
    f.i32(KIND.AUX);
    f.mem(OP.i32_store, J.FLAG_KIND, 2);
    f.get(ESP);
    f.i32(4);
    f.op(OP.i32_add);
    f.set(ESP);
    this.labels.pop();
    f.op(OP.end);
  }

  /** SF ZF AF PF CF from AH; OF stays. */
  protected sahf(): void {
    const { f } = this;
    const of = this.temp();
    const h = this.temp();
    if (this.flags === 'memory') this.loadFlags();
    this.overflow();
    f.set(of);
    f.get(EAX);
    f.i32(8);
    f.op(OP.i32_shr_u);
    f.set(h);
    resultWord(f, h);
    f.set(this.fr);
    auxWord(f, h, () => f.get(of));
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = false;
  }
}
