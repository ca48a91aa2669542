// Operands of translated instructions: effective addresses, memory through the software TLB in line, registers by width, and the interpreter's handler.
//
// Every access that the TLB does not answer goes to the runtime; when that cannot do it, the region leaves at the instruction.
// What it leaves out: what is done with the operands (the layers above).

import { M, R } from '../decode';
import { ESP, S } from '../state';
import { I32, OP } from './wasm';
import { Emission, IMPORT } from './emission';

export abstract class Operands extends Emission {
  /** Effective address on the stack. */
  protected ea(i: number): void {
    const { f, code } = this;
    const e = code[i + R.EA];
    const base = e & 15;
    const index = (e >> 4) & 15;
    const scale = e >> 8;
    const disp = code[i + R.DISP];
    let any = false;
    if (base !== 8) {
      f.get(base);
      any = true;
    }
    if (index !== 8) {
      f.get(index);
      if (scale > 0) {
        f.i32(scale);
        f.op(OP.i32_shl);
      }
      if (any) f.op(OP.i32_add);
      any = true;
    }
    if (disp !== 0 || !any) {
      f.i32(disp);
      if (any) f.op(OP.i32_add);
    }
    if (code[i + R.META] & M.ADDR16) {
      f.i32(0xffff);
      f.op(OP.i32_and);
    }
  }

  /** TLB entry of the linear address in this.lin, into this.entry; leaves the alignment-and-validity test on the stack (0 = fast). */
  protected tlbTest(table: number, size: number): void {
    const { f } = this;
    f.get(this.lin);
    f.i32(10);
    f.op(OP.i32_shr_u);
    f.i32(0x3ffffc);
    f.op(OP.i32_and);
    f.mem(OP.i32_load, table, 2);
    f.tee(this.entry);
    if (size > 0) {
      f.get(this.lin);
      f.op(OP.i32_or);
    }
    f.i32(size === 2 ? 3 : 1);
    f.op(OP.i32_and);
  }

  /** Value at the linear address on the stack, zero-extended (or sign-extended), onto the stack. */
  protected load(size: number, signed = false): void {
    const { f } = this;
    f.set(this.lin);
    this.tlbTest(this.tlbRead, size);
    f.block(OP.if, I32);
    this.labels.push({ target: -2 });
    f.get(this.lin);
    f.call(IMPORT.READ8 + size);
    f.set(this.t2);
    this.checkStatus();
    f.get(this.t2);
    if (signed && size < 2) f.op(size === 0 ? OP.i32_extend8_s : OP.i32_extend16_s);
    f.op(OP.else);
    f.get(this.lin);
    f.get(this.entry);
    f.op(OP.i32_add);
    if (size === 2) f.mem(OP.i32_load, 0, 2);
    else if (size === 1) f.mem(signed ? OP.i32_load16_s : OP.i32_load16_u, 0, 1);
    else f.mem(signed ? OP.i32_load8_s : OP.i32_load8_u, 0, 0);
    this.labels.pop();
    f.op(OP.end);
  }

  /** Stores local `value` at the linear address on the stack. */
  protected store(size: number, value: number): void {
    const { f } = this;
    f.set(this.lin);
    this.tlbTest(this.tlbWrite, size);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    f.get(this.lin);
    f.get(value);
    f.call(IMPORT.WRITE8 + size);
    this.checkStatus();
    f.op(OP.else);
    f.get(this.lin);
    f.get(this.entry);
    f.op(OP.i32_add);
    f.get(value);
    this.rawStore(size);
    this.labels.pop();
    f.op(OP.end);
  }
  protected rawStore(size: number): void {
    if (size === 2) this.f.mem(OP.i32_store, 0, 0);
    else if (size === 1) this.f.mem(OP.i32_store16, 0, 0);
    else this.f.mem(OP.i32_store8, 0, 0);
  }
  protected rawLoad(size: number): void {
    if (size === 2) this.f.mem(OP.i32_load, 0, 0);
    else if (size === 1) this.f.mem(OP.i32_load16_u, 0, 0);
    else this.f.mem(OP.i32_load8_u, 0, 0);
  }
  /** Index into the memory for reading and writing the operand whose linear address is on the stack, into this.addr. */
  protected probe(size: number): void {
    const { f } = this;
    f.set(this.lin);
    this.tlbTest(this.tlbWrite, size);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    f.get(this.lin);
    f.i32(1 << size);
    f.call(IMPORT.PROBE);
    f.tee(this.addr);
    f.op(OP.i32_eqz);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(this.eip, this.refund);
    this.labels.pop();
    f.op(OP.end);
    f.op(OP.else);
    f.get(this.lin);
    f.get(this.entry);
    f.op(OP.i32_add);
    f.set(this.addr);
    this.labels.pop();
    f.op(OP.end);
  }

  /** Register n of a width, zero-extended, onto the stack. */
  protected getReg(n: number, size: number): void {
    const { f } = this;
    if (size === 2) f.get(n);
    else if (size === 1) {
      f.get(n);
      f.i32(0xffff);
      f.op(OP.i32_and);
    } else if (n < 4) {
      f.get(n);
      f.i32(0xff);
      f.op(OP.i32_and);
    } else {
      f.get(n & 3);
      f.i32(8);
      f.op(OP.i32_shr_u);
      f.i32(0xff);
      f.op(OP.i32_and);
    }
  }
  /** Register n of a width := local `value` (upper bits of the local are ignored). */
  protected setReg(n: number, size: number, value: number): void {
    const { f } = this;
    if (size === 2) {
      f.get(value);
      f.set(n);
      return;
    }
    const high = size === 0 && n >= 4;
    const reg = size === 0 ? n & 3 : n;
    const mask = size === 1 ? 0xffff : 0xff;
    f.get(reg);
    f.i32(high ? ~0xff00 : ~mask);
    f.op(OP.i32_and);
    f.get(value);
    f.i32(mask);
    f.op(OP.i32_and);
    if (high) {
      f.i32(8);
      f.op(OP.i32_shl);
    }
    f.op(OP.i32_or);
    f.set(reg);
  }
  protected get(i: number): { reg: number; rm: number; memory: boolean; size: number } {
    const form = this.code[i + R.FORM];
    const regs = this.code[i + R.REGS];
    return { reg: regs & 7, rm: (regs >> 4) & 7, memory: (form & 1) !== 0, size: (form >> 1) & 3 };
  }
  /** E operand, zero-extended, onto the stack. */
  protected getE(i: number): void {
    const { rm, memory, size } = this.get(i);
    if (memory) {
      this.ea(i);
      this.load(size);
    } else this.getReg(rm, size);
  }

  /** Reads E for modification into `value` (register or, through this.addr, memory). */
  protected readModify(i: number, value: number): void {
    const { f } = this;
    const { rm, memory, size } = this.get(i);
    if (memory) {
      this.ea(i);
      this.probe(size);
      f.get(this.addr);
      this.rawLoad(size);
    } else this.getReg(rm, size);
    f.set(value);
  }
  protected writeBack(i: number, value: number): void {
    const { f } = this;
    const { rm, memory, size } = this.get(i);
    if (memory) {
      f.get(this.addr);
      f.get(value);
      this.rawStore(size);
    } else this.setReg(rm, size, value);
  }
  /** Pushes local `value` (dword). */
  protected push(value: number): void {
    const { f } = this;
    f.get(ESP);
    f.i32(4);
    f.op(OP.i32_sub);
    this.store(2, value);
    f.get(ESP);
    f.i32(4);
    f.op(OP.i32_sub);
    f.set(ESP);
  }

  /** Lets the interpreter's handler do record i, then goes on. */
  protected interpret(i: number): void {
    const { f } = this;
    this.spillFlags();
    this.flags = 'memory';
    this.spillRegisters();
    f.i32(i);
    f.i32(this.next);
    f.call(IMPORT.INTERPRET);
    for (let n = 0; n < 8; n++) {
      f.i32(0);
      f.mem(OP.i32_load, S.REGS + 4 * n, 2);
      f.set(n);
    }
    // 0 done; 1 fault or not finished: leave here, not retired; 2 done, but leave.
    f.tee(this.t0);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    f.get(this.t0);
    f.i32(1);
    f.op(OP.i32_eq);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(this.eip, this.refund);
    this.labels.pop();
    f.op(OP.end);
    this.exitAt(this.next, this.refund - 1);
    this.labels.pop();
    f.op(OP.end);
  }
}
