// Operands of translated instructions: effective addresses, memory through the software TLB in line, registers by width, and the interpreter's handler.
//
// Accesses of a block whose addresses differ by constants share one check: that they all lie in one page with a fast TLB entry. The block is emitted twice, the
// first time only to see which accesses there are. An access that fails its check leaves the region before the instruction; places where that happens often are
// translated again with a call to the runtime instead (patience 2). What it leaves out: what is done with the operands (the layers above).

import { PATCHABLE } from '../blocks';
import { M, R } from '../decode';
import { CALLS, ESP, GAPS, S } from '../state';
import { flatOperand } from './coverage';
import { Emission, IMPORT } from './emission';
import { I32, OP } from './wasm';

/** Widest stretch of addresses that shares a check, in bytes: wider ones too often cross a page. */
const SPAN = 512;
/** Access rights of present, writable data that grows upwards. */
const UPWARD_MASK = 0x9e;
const UPWARD = 0x92;
/** Register number for "none". */
const NO = 8;

/** A memory operand: registers and constants, or a local that holds the linear address. */
export interface Ref {
  base: number;
  index: number;
  scale: number;
  disp: number;
  narrow: boolean;
  local?: number;
}
/** Where an operand lies in the memory: a local and a constant. */
export interface Place {
  p: number;
  offset: number;
}
interface Access {
  /** undefined: shares nothing. '' marks a point where the TLB may change. */
  key: string | undefined;
  d: number;
  size: number;
  write: boolean;
  patience: number;
}

export abstract class Operands extends Emission {
  /** True during the first of the two emissions of a block. */
  protected collecting = false;
  protected accesses: Access[] = [];
  protected cursor = 0;
  /** Of the operand being modified. */
  protected at: Place = { p: 0, offset: 0 };

  /** The operand's offset: base, index and displacement, without its segment. */
  protected offsetOf(i: number): Ref {
    const e = this.code[i + R.EA];
    return {
      base: e & 15,
      index: (e >> 4) & 15,
      scale: e >> 8,
      disp: this.code[i + R.DISP],
      narrow: (this.code[i + R.META] & M.ADDR16) !== 0,
    };
  }
  protected refOf(i: number): Ref {
    return flatOperand(this.code, i)
      ? this.offsetOf(i)
      : this.inSegment(this.offsetOf(i), (this.code[i + R.META] >> M.SEG_SHIFT) & 7, this.get(i).size);
  }
  /** Linear address of an operand in FS or GS. Leaves the region unless that is a writable segment that grows upwards and the operand lies in it. */
  private inSegment(ref: Ref, seg: number, size: number): Ref {
    const { f } = this;
    const local = this.temp();
    const last = (1 << size) - 1;
    const word = (offset: number): void => {
      f.i32(0);
      f.mem(OP.i32_load, offset + 4 * seg, 2);
    };
    this.address(ref);
    f.tee(local);
    word(S.LIMIT);
    f.i32(last);
    f.op(OP.i32_sub);
    f.op(OP.i32_gt_u);
    word(S.LIMIT);
    f.i32(last);
    f.op(OP.i32_lt_u);
    f.op(OP.i32_or);
    word(S.ACCESS);
    f.i32(UPWARD_MASK);
    f.op(OP.i32_and);
    f.i32(UPWARD);
    f.op(OP.i32_ne);
    f.op(OP.i32_or);
    this.leaveIf();
    f.get(local);
    word(S.BASE);
    f.op(OP.i32_add);
    f.set(local);
    return { ...ref, local };
  }
  protected based(base: number, disp = 0): Ref {
    return { base, index: NO, scale: 0, disp, narrow: false };
  }

  /** Effective address, plus `by`, on the stack. */
  protected address({ base, index, scale, disp, narrow, local }: Ref, by = 0): void {
    const { f } = this;
    if (local !== undefined) {
      f.get(local);
      if (by !== 0) {
        f.i32(by);
        f.op(OP.i32_add);
      }
      return;
    }
    let any = false;
    if (base !== NO) {
      f.get(base);
      any = true;
    }
    if (index !== NO) {
      f.get(index);
      if (scale > 0) {
        f.i32(scale);
        f.op(OP.i32_shl);
      }
      if (any) f.op(OP.i32_add);
      any = true;
    }
    const constant = (disp + by) | 0;
    if (constant !== 0 || !any) {
      f.i32(constant);
      if (any) f.op(OP.i32_add);
    }
    if (narrow) {
      f.i32(0xffff);
      f.op(OP.i32_and);
    }
  }
  protected ea(i: number): void {
    this.address(this.offsetOf(i));
  }

  // ---- memory -------------------------------------------------------------------------------------------------------------------------

  /** From here on nothing is known of the TLB. */
  protected forgetPages(): void {
    this.proven = [];
    if (this.collecting) this.accesses.push({ key: '', d: 0, size: 0, write: false, patience: 0 });
    else this.cursor++;
  }

  /** TLB entry of the linear address in this.lin into this.entry; leaves on the stack whether `span` bytes from there are not all in that page or the entry is not fast. */
  private pageTest(write: boolean, span: number): void {
    const { f } = this;
    f.get(this.lin);
    f.i32(10);
    f.op(OP.i32_shr_u);
    f.i32(0x3ffffc);
    f.op(OP.i32_and);
    f.mem(OP.i32_load, write ? this.tlbWrite : this.tlbRead, 2);
    f.tee(this.entry);
    if (span === 1) {
      f.i32(1);
      f.op(OP.i32_and);
      f.op(OP.i32_eqz);
      return;
    }
    // A fast entry has its low twelve bits set, so this is how many bytes follow in the page, or 0.
    f.get(this.lin);
    f.i32(-1);
    f.op(OP.i32_xor);
    f.op(OP.i32_and);
    f.i32(0xfff);
    f.op(OP.i32_and);
    f.i32(span - 1);
    f.op(OP.i32_lt_u);
  }

  /** Leaves on the stack whether the runtime knows a gap for `span` bytes from this.lin on; this.entry is then as if the page were not watched. */
  private gapTest(write: boolean, span: number): void {
    const { f } = this;
    const gaps = GAPS.START + (write ? GAPS.WRITE : 0) + (this.region.user ? GAPS.USER : 0);
    const gap = this.temp();
    f.get(this.lin);
    f.i32(GAPS.MASK);
    f.op(OP.i32_and);
    f.tee(gap);
    f.mem(OP.i32_load, gaps + 8, 2);
    f.set(this.entry);
    const inside = (by: number): void => {
      f.get(this.lin);
      f.get(gap);
      f.mem(OP.i32_load, gaps, 2);
      f.op(OP.i32_sub);
      if (by > 0) {
        f.i32(by);
        f.op(OP.i32_add);
      }
      f.get(gap);
      f.mem(OP.i32_load, gaps + 4, 2);
      f.op(OP.i32_lt_u);
    };
    inside(0);
    if (span <= 4) return;
    inside(span - 4);
    f.op(OP.i32_and);
  }

  /** Place of an operand of 1 << size bytes; leaves the region when it has none. */
  protected place(ref: Ref, size: number, write: boolean): Place {
    const { f, patience } = this;
    const bytes = 1 << size;
    let key: string | undefined;
    let d = ref.disp;
    if (ref.local === undefined && !ref.narrow) {
      const { base, index, scale } = ref;
      key = `${base === NO ? '' : this.values[base]}+${index === NO ? '' : this.values[index]}<${scale}`;
      if (base !== NO) d += this.offsets[base];
      if (index !== NO) d += this.offsets[index] << scale;
      d |= 0;
    }
    if (this.collecting) {
      this.accesses.push({ key, d, size, write, patience });
      return { p: this.lin, offset: 0 };
    }
    const n = this.cursor++;
    if (key !== undefined) {
      for (const known of this.proven)
        if (known.key === key && known.lo <= d && d + bytes <= known.hi && (known.write || !write))
          return { p: known.p, offset: d - known.lo + 1 };
    }
    let lo = d;
    let hi = d + bytes;
    let writes = write;
    if (key !== undefined && patience === 0) {
      for (let m = n + 1; m < this.accesses.length && this.accesses[m].key !== ''; m++) {
        const a = this.accesses[m];
        if (a.key !== key || a.patience > 0) continue;
        const from = Math.min(lo, a.d);
        const to = Math.max(hi, a.d + (1 << a.size));
        if (to - from > SPAN) continue;
        lo = from;
        hi = to;
        writes ||= a.write;
      }
    }
    this.address(ref, (lo - d) | 0);
    f.set(this.lin);
    this.pageTest(writes, hi - lo);
    if (this.region.gaps && patience === 1) {
      f.block(OP.if, I32);
      this.gapTest(writes, hi - lo);
      f.op(OP.i32_eqz);
      f.op(OP.else);
      f.i32(0);
      f.op(OP.end);
    }
    // Alone already: sharing is not what makes it fail.
    this.leaveIf(hi - lo > bytes ? patience : 1);
    const p = key === undefined ? this.temp() : f.local();
    f.get(this.lin);
    f.get(this.entry);
    f.op(OP.i32_add);
    f.set(p);
    if (key !== undefined) this.proven.push({ key, lo, hi, write: writes, p });
    return { p, offset: d - lo + 1 };
  }

  private rawLoad(size: number, offset: number, signed = false): void {
    const { f } = this;
    if (size === 2) f.mem(OP.i32_load, offset, 0);
    else if (size === 1) f.mem(signed ? OP.i32_load16_s : OP.i32_load16_u, offset, 0);
    else f.mem(signed ? OP.i32_load8_s : OP.i32_load8_u, offset, 0);
  }
  private rawStore(size: number, offset: number): void {
    if (size === 2) this.f.mem(OP.i32_store, offset, 0);
    else if (size === 1) this.f.mem(OP.i32_store16, offset, 0);
    else this.f.mem(OP.i32_store8, offset, 0);
  }

  /**
   * An access of patience 2: `fast` with the operand's index into the memory on the stack, or `slow`, which calls the runtime with its address (this.lin). Both leave
   * a value of `type` on the stack, if any. Between watched bytes of a page, where the runtime was once, it is fast too.
   */
  private patiently(ref: Ref, size: number, write: boolean, slow: () => void, fast: () => void, type?: number): void {
    const { f } = this;
    this.address(ref);
    f.set(this.lin);
    f.block(OP.block, type);
    this.labels.push({ target: -2 });
    this.pageTest(write, 1 << size);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.gapTest(write, 1 << size);
    f.op(OP.i32_eqz);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    slow();
    f.br(OP.br, 2);
    this.labels.pop();
    f.op(OP.end);
    this.labels.pop();
    f.op(OP.end);
    f.get(this.lin);
    f.get(this.entry);
    f.op(OP.i32_add);
    f.i32(1);
    f.op(OP.i32_add);
    fast();
    this.labels.pop();
    f.op(OP.end);
    this.forgetPages();
  }

  /** Operand in memory, zero-extended (or sign-extended), onto the stack. */
  protected load(ref: Ref, size: number, signed = false): void {
    const { f } = this;
    if (this.patience < 2) {
      const { p, offset } = this.place(ref, size, false);
      f.get(p);
      this.rawLoad(size, offset, signed);
      return;
    }
    const slow = (): void => {
      f.get(this.lin);
      f.call(IMPORT.READ8 + size);
      f.set(this.t2);
      this.checkStatus();
      f.get(this.t2);
      if (signed && size < 2) f.op(size === 0 ? OP.i32_extend8_s : OP.i32_extend16_s);
    };
    this.patiently(ref, size, false, slow, () => this.rawLoad(size, 0, signed), I32);
  }

  /** Stores local `value`. */
  protected store(ref: Ref, size: number, value: number): void {
    const { f } = this;
    if (this.patience < 2) {
      const { p, offset } = this.place(ref, size, true);
      f.get(p);
      f.get(value);
      this.rawStore(size, offset);
      return;
    }
    const slow = (): void => {
      f.get(this.lin);
      f.get(value);
      f.call(IMPORT.WRITE8 + size);
      this.checkStatus();
    };
    const fast = (): void => {
      f.get(value);
      this.rawStore(size, 0);
    };
    this.patiently(ref, size, true, slow, fast);
  }

  /** Finds the place of an operand for reading and writing: this.at. */
  protected probe(ref: Ref, size: number): void {
    const { f } = this;
    if (this.patience < 2) {
      this.at = this.place(ref, size, true);
      return;
    }
    const p = this.temp();
    const slow = (): void => {
      f.get(this.lin);
      f.i32(1 << size);
      f.call(IMPORT.PROBE);
      f.tee(p);
      f.op(OP.i32_eqz);
      this.exitIf(this.eip, this.refund);
    };
    this.patiently(ref, size, true, slow, () => f.set(p));
    this.at = { p, offset: 0 };
  }
  /** Value at this.at onto the stack; local `value` to there. */
  protected loadProbed(size: number): void {
    this.f.get(this.at.p);
    this.rawLoad(size, this.at.offset);
  }
  protected storeProbed(size: number, value: number): void {
    this.f.get(this.at.p);
    this.f.get(value);
    this.rawStore(size, this.at.offset);
  }

  // ---- registers and E ----------------------------------------------------------------------------------------------------------------

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
  /** The record's immediate onto the stack, from the memory when the program patches it. */
  protected immediate(i: number): void {
    const { f } = this;
    const a = this.patchedAt(i);
    f.i32(a === 0 ? this.code[i + R.IMM] : 0);
    if (a !== 0) f.mem(OP.i32_load, a, 0);
  }
  /** Where the record's immediate is to be read, 0 when it is a constant. */
  protected patchedAt(i: number): number {
    return this.get(i).size === 2 && PATCHABLE[this.code[i + R.FORM] >> 3] !== 0 ? this.region.patched((this.next - 4) | 0) : 0;
  }
  /** E operand, zero-extended, onto the stack. */
  protected getE(i: number): void {
    const { rm, memory, size } = this.get(i);
    if (memory) this.load(this.refOf(i), size);
    else this.getReg(rm, size);
  }

  /** Reads E for modification into `value` (register or, through this.at, memory). */
  protected readModify(i: number, value: number): void {
    const { f } = this;
    const { rm, memory, size } = this.get(i);
    if (memory) {
      this.probe(this.refOf(i), size);
      this.loadProbed(size);
    } else this.getReg(rm, size);
    f.set(value);
  }
  protected writeBack(i: number, value: number): void {
    const { rm, memory, size } = this.get(i);
    if (memory) this.storeProbed(size, value);
    else this.setReg(rm, size, value);
  }
  /** Register n += by, and remembers that. */
  protected move(n: number, by: number): void {
    const { f } = this;
    const value = this.values[n];
    const offset = this.offsets[n];
    f.get(n);
    f.i32(by);
    f.op(OP.i32_add);
    f.set(n);
    this.isNow(n, value, offset, by);
  }
  /** Pushes local `value` (dword). */
  protected push(value: number): void {
    this.store(this.based(ESP, -4), 2, value);
    this.move(ESP, -4);
  }
  /** Pops a dword into local `value`, a register or not. @param more bytes to take off besides. */
  protected pop(value: number, more = 0): void {
    this.load(this.based(ESP), 2);
    this.f.set(this.t0);
    this.move(ESP, 4 + more);
    this.f.get(this.t0);
    this.f.set(value);
  }

  /** Offset in the table of calls of the entry for the place in local `a`, onto the stack: as in ../calls.ts. */
  private callEntry(a: number): void {
    const { f } = this;
    f.get(a);
    f.i32(2);
    f.op(OP.i32_shl);
    f.get(a);
    f.i32(15);
    f.op(OP.i32_shr_u);
    f.op(OP.i32_xor);
    f.i32(CALLS.MASK);
    f.op(OP.i32_and);
  }
  /** The place of the top of the stack (`below` bytes under ESP) into a local, which is returned. `access` does the access with its index on the stack, `slow` by its address. */
  private stackPlace(below: number, write: boolean, access: () => void, slow: () => void, type?: number): number {
    const { f } = this;
    const a = this.temp();
    const ref = this.based(ESP, -below);
    if (this.patience < 2) {
      const { p, offset } = this.place(ref, 2, write);
      f.get(p);
      if (offset !== 0) {
        f.i32(offset);
        f.op(OP.i32_add);
      }
      f.tee(a);
      access();
      return a;
    }
    this.patiently(
      ref,
      2,
      write,
      () => {
        slow();
        f.get(this.lin);
        f.call(IMPORT.STACK_PLACE);
        f.set(a);
      },
      () => {
        f.tee(a);
        access();
      },
      type,
    );
    return a;
  }
  /** Pushes local `value`, which holds the return address `back` of a CALL, and notes it when calls are noted. */
  protected pushReturn(value: number, back: number): void {
    if (!this.region.calls) {
      this.push(value);
      return;
    }
    const { f } = this;
    const a = this.stackPlace(
      4,
      true,
      () => {
        f.get(value);
        this.rawStore(2, 0);
      },
      () => {
        f.get(this.lin);
        f.get(value);
        f.call(IMPORT.WRITE8 + 2);
        this.checkStatus();
      },
    );
    const at = this.temp();
    this.callEntry(a);
    f.tee(at);
    f.get(a);
    f.mem(OP.i32_store, CALLS.TABLE, 2);
    f.get(at);
    f.i32(back);
    f.mem(OP.i32_store, CALLS.TABLE + 4, 2);
    f.get(at);
    f.i32(0);
    f.mem(OP.i64_load, CALLS.TIME, 3);
    f.i64(1n);
    f.op(OP.i64_add);
    f.tee(this.l0);
    f.mem(OP.i64_store, CALLS.TABLE + 8, 3);
    f.i32(0);
    f.get(this.l0);
    f.mem(OP.i64_store, CALLS.TIME, 3);
    this.move(ESP, -4);
  }
  /** Pops the return address of a RET into local t0. @param more bytes to take off besides. */
  protected popReturn(more: number): void {
    if (!this.region.calls) {
      this.pop(this.t0, more);
      return;
    }
    const { f } = this;
    const a = this.stackPlace(
      0,
      false,
      () => this.rawLoad(2, 0),
      () => {
        f.get(this.lin);
        f.call(IMPORT.READ8 + 2);
        f.set(this.t2);
        this.checkStatus();
        f.get(this.t2);
      },
      I32,
    );
    f.set(this.t0);
    this.callEntry(a);
    f.i32(0);
    f.mem(OP.i32_store, CALLS.TABLE, 2);
    this.move(ESP, 4 + more);
  }

  /** Lets the interpreter's handler do record i, then goes on. */
  protected interpret(i: number): void {
    const { f } = this;
    this.endRun();
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
    this.forgetPages();
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
