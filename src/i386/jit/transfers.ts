// INT, IRET and loads of data segments on the plain road, as WebAssembly: what ../plain.ts does, without leaving translated code.
//
// A system call is two deliveries and a handful of segment loads; by way of the runtime each costs more than a hundred translated instructions. Each function
// either does the whole of it exactly as plain.ts would, or answers 0 having changed nothing but lazy flags, and the runtime does it. They fill no TLB entries:
// an entry that is missing is the runtime's. What it leaves out: everything unusual, and faults (processor.ts). Source: as plain.ts.

import { CS, DELIVERED, DS, ES, ESP, FL, FS, GS, INTERCEPT, LINES, S, SS, TLB, TR } from '../state';
import { auxWord, bitOf, resultWord } from './flag-words';
import { J, JUMP_CACHE, JUMP_CACHE_BYTES, JUMP_CACHE_ENTRIES, KIND, LENGTHS, LENGTHS_SLOTS } from './layout';
import { encodeModule, FunctionBody, I32, OP } from './wasm';

/** Imports of the module, in this order: transfer(vector, cs, eip, cpl) after a delivery, returned(esp, cpl) after an IRET. */
export const TRANSFER_IMPORTS = { TRANSFER: 0, RETURNED: 1 } as const;
const IMPORTS = 2;
/** The functions: see make() for each. */
const TRANSFERS = { DELIVER: 0, IRET: 1, LOAD_DATA: 2, PLACE: 3, DESCRIPTOR: 4, GO: 5 } as const;

type Push = () => void;
const seg = (field: number, n: number): number => field + 4 * n;
const FLAT_DATA = 0b001111;
/** High dwords of the descriptors of flat code (32-bit, readable, accessed, not conforming) and of a flat stack, DPL 0. */
const FLAT_CODE = 0x00cf9b00;
const FLAT_STACK = 0x00cf9300;
const DPL_SHIFT = 13;
/** Access rights of flat code and stack, without DPL. */
const CODE_ACCESS = (FLAT_CODE >> 8) & 0xf0ff;
const STACK_ACCESS = (FLAT_STACK >> 8) & 0xf0ff;

class Body extends FunctionBody {
  /** Applies an operation to the value on the stack and a constant. */
  with(value: number, opcode: number): void {
    this.i32(value);
    this.op(opcode);
  }
  word(address: number): void {
    this.i32(0);
    this.mem(OP.i32_load, address, 2);
  }
  at(local: number, offset = 0): void {
    this.get(local);
    this.mem(OP.i32_load, offset, 2);
  }
  put(address: number, value: Push): void {
    this.i32(0);
    value();
    this.mem(OP.i32_store, address, 2);
  }
  putAt(local: number, offset: number, value: Push): void {
    this.get(local);
    value();
    this.mem(OP.i32_store, offset, 2);
  }
  /** Answers 0 when the value on the stack is not zero. */
  refuseIf(): void {
    this.block(OP.if);
    this.i32(0);
    this.op(OP.return);
    this.op(OP.end);
  }
  refuseUnless(): void {
    this.op(OP.i32_eqz);
    this.refuseIf();
  }
  when(then: Push, otherwise?: Push): void {
    this.block(OP.if);
    then();
    if (otherwise !== undefined) {
      this.op(OP.else);
      otherwise();
    }
    this.op(OP.end);
  }
  own(n: number): void {
    this.call(IMPORTS + n);
  }
  /** Refuses what only the general code knows about (unusual() in plain.ts). */
  refuseUnusual(): void {
    this.word(LINES.GENERAL);
    this.word(S.CR0);
    this.with(1, OP.i32_and);
    this.with(1, OP.i32_xor);
    this.op(OP.i32_or);
    this.word(S.EFLAGS);
    this.with(FL.VM, OP.i32_and);
    this.op(OP.i32_or);
    this.word(S.DR + 28);
    this.with(0xff, OP.i32_and);
    this.op(OP.i32_or);
    this.refuseIf();
  }
  /** Something that is not zero onto the stack when the descriptor at local `d` is not one of flat code. */
  isNotFlatCode(d: number): void {
    this.at(d);
    this.with(0xffff, OP.i32_xor);
    this.at(d, 4);
    this.with(~(3 << DPL_SHIFT), OP.i32_and);
    this.with(FLAT_CODE, OP.i32_xor);
    this.op(OP.i32_or);
  }
  /** Refuses unless local `ss` names a flat stack of privilege `dpl`. @param s local for its place. */
  refuseOtherStacks(ss: number, s: number, dpl: number): void {
    this.get(ss);
    this.own(TRANSFERS.DESCRIPTOR);
    this.tee(s);
    this.refuseUnless();
    this.get(ss);
    this.with(3, OP.i32_and);
    this.get(dpl);
    this.op(OP.i32_xor);
    this.at(s);
    this.with(0xffff, OP.i32_xor);
    this.op(OP.i32_or);
    this.at(s, 4);
    this.get(dpl);
    this.with(DPL_SHIFT, OP.i32_shl);
    this.with(FLAT_STACK, OP.i32_or);
    this.op(OP.i32_xor);
    this.op(OP.i32_or);
    this.refuseIf();
  }
  setFlat(n: number, selector: Push, access: number, dpl: number): void {
    this.put(seg(S.SELECTOR, n), selector);
    this.put(seg(S.BASE, n), () => this.i32(0));
    this.put(seg(S.LIMIT, n), () => this.i32(-1));
    this.put(seg(S.ACCESS, n), () => {
      this.get(dpl);
      this.with(5, OP.i32_shl);
      this.with(access, OP.i32_or);
    });
  }
  /** What settle() in plain.ts does once CS and SS are flat. */
  settle(cpl: number): void {
    this.put(S.CPL, () => this.get(cpl));
    const table = (field: number, supervisor: number, user: number): void => {
      this.put(field, () => {
        this.i32(user);
        this.i32(supervisor);
        this.get(cpl);
        this.with(3, OP.i32_eq);
        this.op(OP.select);
      });
    };
    table(S.TLB_READ, TLB.SUPER_READ, TLB.USER_READ);
    table(S.TLB_WRITE, TLB.SUPER_WRITE, TLB.USER_WRITE);
    this.put(S.CS_BIG, () => this.i32(1));
    this.put(S.SS_BIG, () => this.i32(1));
    this.put(S.FLAT, () => {
      this.word(S.FLAT);
      this.with((1 << CS) | (1 << SS), OP.i32_or);
    });
  }
}

/**
 * place(table, linear address, bytes): index into the memory of so many bytes that the processor reads or writes by itself, 0 when they are not aligned, not in
 * one page, or not in the TLB.
 */
const place = (): Body => {
  const f = new Body(3);
  const [table, at, bytes] = [0, 1, 2];
  const e = f.local();
  f.get(at);
  f.with(3, OP.i32_and);
  f.get(at);
  f.with(0xfff, OP.i32_and);
  f.get(bytes);
  f.op(OP.i32_add);
  f.with(0x1000, OP.i32_gt_u);
  f.op(OP.i32_or);
  f.refuseIf();
  f.get(at);
  f.with(12, OP.i32_shr_u);
  f.with(2, OP.i32_shl);
  f.get(table);
  f.op(OP.i32_add);
  f.mem(OP.i32_load, 0, 2);
  f.tee(e);
  f.with(1, OP.i32_and);
  f.refuseUnless();
  f.get(at);
  f.get(e);
  f.op(OP.i32_add);
  f.with(1, OP.i32_add);
  return f;
};

/** descriptor(selector): place of its GDT entry, 0 when it is null, in the LDT, beyond the table or not at hand. */
const descriptor = (): Body => {
  const f = new Body(1);
  const offset = f.local();
  f.get(0);
  f.with(0xfff8, OP.i32_and);
  f.tee(offset);
  f.op(OP.i32_eqz);
  f.get(0);
  f.with(4, OP.i32_and);
  f.op(OP.i32_or);
  f.get(offset);
  f.with(7, OP.i32_add);
  f.word(S.GDT_LIMIT);
  f.op(OP.i32_gt_u);
  f.op(OP.i32_or);
  f.refuseIf();
  f.i32(TLB.SUPER_READ);
  f.word(S.GDT_BASE);
  f.get(offset);
  f.op(OP.i32_add);
  f.i32(8);
  f.own(TRANSFERS.PLACE);
  return f;
};

/**
 * go(): where to go on after a transfer to flat code: 2 = out to the run loop, else slot * 4 + 3. RF is cleared only where an instruction follows for sure.
 */
const go = (): Body => {
  const f = new Body(0);
  const eip = f.local();
  const eflags = f.local();
  const at = f.local();
  const slot = f.local();
  const outIf = (): void => {
    f.block(OP.if);
    f.i32(2);
    f.op(OP.return);
    f.op(OP.end);
  };
  f.word(S.EFLAGS);
  f.set(eflags);
  f.word(S.EIP);
  f.set(eip);
  f.word(LINES.STOP);
  f.word(LINES.INTR);
  f.get(eflags);
  f.with(9, OP.i32_shr_u);
  f.op(OP.i32_and);
  f.op(OP.i32_or);
  f.get(eflags);
  f.with(FL.TF, OP.i32_and);
  f.op(OP.i32_or);
  f.word(S.SHADOW);
  f.op(OP.i32_or);
  f.word(S.HALTED);
  f.op(OP.i32_or);
  f.word(S.FLAT);
  f.with(FLAT_DATA, OP.i32_and);
  f.with(FLAT_DATA, OP.i32_xor);
  f.op(OP.i32_or);
  outIf();
  // The jump cache's entry.
  f.get(eip);
  f.get(eip);
  f.with(12, OP.i32_shr_u);
  f.op(OP.i32_xor);
  f.with(JUMP_CACHE_ENTRIES - 1, OP.i32_and);
  f.with(4, OP.i32_shl);
  f.i32(JUMP_CACHE + JUMP_CACHE_BYTES);
  f.i32(JUMP_CACHE);
  f.word(S.CPL);
  f.with(3, OP.i32_eq);
  f.op(OP.select);
  f.op(OP.i32_add);
  f.set(at);
  f.at(at);
  f.get(eip);
  f.op(OP.i32_xor);
  f.at(at, 4);
  f.get(eip);
  f.with(12, OP.i32_shr_u);
  f.with(2, OP.i32_shl);
  f.word(S.TLB_READ);
  f.op(OP.i32_add);
  f.mem(OP.i32_load, 0, 2);
  f.op(OP.i32_xor);
  f.op(OP.i32_or);
  outIf();
  f.at(at, 8);
  f.mem(OP.i32_load, 0, 2);
  f.tee(slot);
  f.with(1, OP.i32_sub);
  f.with(LENGTHS_SLOTS - 1, OP.i32_ge_u);
  outIf();
  f.word(S.LEFT);
  f.with(1, OP.i32_sub);
  f.get(slot);
  f.with(2, OP.i32_shl);
  f.mem(OP.i32_load, LENGTHS, 2);
  f.op(OP.i32_lt_s);
  outIf();
  f.put(S.EFLAGS, () => {
    f.get(eflags);
    f.with(~FL.RF, OP.i32_and);
  });
  f.get(slot);
  f.with(2, OP.i32_shl);
  f.with(3, OP.i32_or);
  return f;
};

/** Brings the flags words into the interpreter's form (Jit.settleFlags). */
const settleFlags = (f: Body): void => {
  const kind = f.local();
  const a = f.local();
  const b = f.local();
  const carries = f.local();
  f.word(J.FLAG_KIND);
  f.tee(kind);
  f.when(() => {
    f.word(S.FLAG_AUX);
    f.set(a);
    f.word(J.FLAG_B);
    f.set(b);
    // Borrows of a - b = r are the carries of ~a and b with ~r.
    f.get(kind);
    f.with(1, OP.i32_and);
    f.with(1, OP.i32_sub);
    f.tee(carries);
    f.get(a);
    f.op(OP.i32_xor);
    f.tee(a);
    f.get(b);
    f.op(OP.i32_and);
    f.get(a);
    f.get(b);
    f.op(OP.i32_or);
    f.word(S.FLAG_RESULT);
    f.get(carries);
    f.with(-1, OP.i32_xor);
    f.op(OP.i32_xor);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
    f.set(carries);
    // The two top carries of the operation's width go to the top.
    f.put(S.FLAG_AUX, () => {
      f.get(carries);
      f.i32(24);
      f.i32(16);
      f.i32(0);
      f.get(kind);
      f.with(KIND.ADD16, OP.i32_ge_s);
      f.op(OP.select);
      f.get(kind);
      f.with(KIND.ADD8, OP.i32_ge_s);
      f.op(OP.select);
      f.op(OP.i32_shl);
      f.with(0xc0000000 | 0, OP.i32_and);
      f.get(carries);
      f.with(8, OP.i32_and);
      f.op(OP.i32_or);
    });
    f.put(J.FLAG_KIND, () => f.i32(0));
  });
};

/** The whole EFLAGS image onto the stack (statusFlags() in ../flags.ts), from settled flags. */
const wholeFlags = (f: Body): void => {
  const aux = f.local();
  const result = f.local();
  f.word(S.FLAG_AUX);
  f.set(aux);
  f.word(S.FLAG_RESULT);
  f.set(result);
  f.word(S.EFLAGS);
  // CF, and OF by the difference of the two top bits.
  f.get(aux);
  f.with(31, OP.i32_shr_u);
  f.op(OP.i32_or);
  f.get(aux);
  f.get(aux);
  f.with(1, OP.i32_shl);
  f.op(OP.i32_xor);
  f.with(31, OP.i32_shr_u);
  f.with(11, OP.i32_shl);
  f.op(OP.i32_or);
  f.get(result);
  f.get(aux);
  f.with(8, OP.i32_shr_u);
  f.op(OP.i32_xor);
  f.with(0xff, OP.i32_and);
  f.op(OP.i32_popcnt);
  f.with(1, OP.i32_and);
  f.op(OP.i32_eqz);
  f.with(2, OP.i32_shl);
  f.op(OP.i32_or);
  f.get(aux);
  f.with(8, OP.i32_and);
  f.with(1, OP.i32_shl);
  f.op(OP.i32_or);
  f.get(result);
  f.op(OP.i32_eqz);
  f.with(6, OP.i32_shl);
  f.op(OP.i32_or);
  f.get(result);
  f.with(31, OP.i32_shr_u);
  f.get(aux);
  f.with(1, OP.i32_and);
  f.op(OP.i32_xor);
  f.with(7, OP.i32_shl);
  f.op(OP.i32_or);
};

/** deliver(vector, next): INT n; registers and flags are in the state block. @returns 0, or as go(). */
const deliver = (): Body => {
  const f = new Body(2);
  const [vector, next] = [0, 1];
  const g = f.local();
  const gateLow = f.local();
  const gateHigh = f.local();
  const selector = f.local();
  const d = f.local();
  const dpl = f.local();
  const cpl = f.local();
  const esp = f.local();
  const ss = f.local();
  const s = f.local();
  const p = f.local();
  const flags = f.local();
  const oldCs = f.local();
  f.refuseUnusual();
  f.get(vector);
  f.with(1, OP.i32_eq);
  f.get(vector);
  f.with(3, OP.i32_shl);
  f.with(7, OP.i32_or);
  f.word(S.IDT_LIMIT);
  f.op(OP.i32_gt_u);
  f.op(OP.i32_or);
  f.get(vector);
  f.mem(OP.i32_load8_u, INTERCEPT, 0);
  f.op(OP.i32_or);
  f.word(LINES.PASS);
  f.op(OP.i32_or);
  f.refuseIf();
  f.i32(TLB.SUPER_READ);
  f.word(S.IDT_BASE);
  f.get(vector);
  f.with(3, OP.i32_shl);
  f.op(OP.i32_add);
  f.i32(8);
  f.own(TRANSFERS.PLACE);
  f.tee(g);
  f.refuseUnless();
  f.at(g);
  f.set(gateLow);
  f.at(g, 4);
  f.tee(gateHigh);
  f.with(0x9e00, OP.i32_and);
  f.with(0x8e00, OP.i32_ne);
  f.get(gateHigh);
  f.with(DPL_SHIFT, OP.i32_shr_u);
  f.with(3, OP.i32_and);
  f.word(S.CPL);
  f.tee(cpl);
  f.op(OP.i32_lt_u);
  f.op(OP.i32_or);
  f.refuseIf();
  f.get(gateLow);
  f.with(16, OP.i32_shr_u);
  f.tee(selector);
  f.own(TRANSFERS.DESCRIPTOR);
  f.tee(d);
  f.refuseUnless();
  f.isNotFlatCode(d);
  f.refuseIf();
  f.at(d, 4);
  f.with(DPL_SHIFT, OP.i32_shr_u);
  f.with(3, OP.i32_and);
  f.tee(dpl);
  f.get(cpl);
  f.op(OP.i32_gt_u);
  f.get(dpl);
  f.op(OP.i32_eqz);
  f.word(LINES.HOST_RING0);
  f.op(OP.i32_and);
  f.op(OP.i32_or);
  f.refuseIf();
  f.get(dpl);
  f.get(cpl);
  f.op(OP.i32_lt_u);
  f.when(
    () => {
      // The inner stack stands in the TSS: 8 bytes at 8 * dpl + 4.
      f.word(seg(S.ACCESS, TR));
      f.with(8, OP.i32_and);
      f.op(OP.i32_eqz);
      f.get(dpl);
      f.with(3, OP.i32_shl);
      f.with(11, OP.i32_add);
      f.word(seg(S.LIMIT, TR));
      f.op(OP.i32_gt_u);
      f.op(OP.i32_or);
      f.refuseIf();
      f.i32(TLB.SUPER_READ);
      f.word(seg(S.BASE, TR));
      f.get(dpl);
      f.with(3, OP.i32_shl);
      f.op(OP.i32_add);
      f.with(4, OP.i32_add);
      f.i32(8);
      f.own(TRANSFERS.PLACE);
      f.tee(s);
      f.refuseUnless();
      f.at(s);
      f.with(20, OP.i32_sub);
      f.set(esp);
      f.get(s);
      f.mem(OP.i32_load16_u, 4, 1);
      f.set(ss);
      f.refuseOtherStacks(ss, s, dpl);
      f.i32(TLB.SUPER_WRITE);
      f.get(esp);
      f.i32(20);
      f.own(TRANSFERS.PLACE);
      f.set(p);
    },
    () => {
      // Translated code runs with a flat 32-bit stack.
      f.word(ESP << 2);
      f.with(12, OP.i32_sub);
      f.set(esp);
      f.word(S.TLB_WRITE);
      f.get(esp);
      f.i32(12);
      f.own(TRANSFERS.PLACE);
      f.set(p);
    },
  );
  f.get(p);
  f.refuseUnless();
  // Nothing can go wrong from here on.
  settleFlags(f);
  wholeFlags(f);
  f.set(flags);
  f.word(seg(S.SELECTOR, CS));
  f.set(oldCs);
  f.putAt(p, 0, () => f.get(next));
  f.putAt(p, 4, () => f.get(oldCs));
  f.putAt(p, 8, () => f.get(flags));
  f.put(DELIVERED, () => f.get(gateLow));
  f.put(DELIVERED + 4, () => f.get(gateHigh));
  f.put(DELIVERED + 8, () => f.get(esp));
  f.put(DELIVERED + 12, () => f.word(seg(S.SELECTOR, SS)));
  f.put(DELIVERED + 16, () => f.word(ESP << 2));
  f.put(DELIVERED + 20, () => f.get(flags));
  f.get(dpl);
  f.get(cpl);
  f.op(OP.i32_lt_u);
  f.when(() => {
    f.putAt(p, 12, () => f.word(ESP << 2));
    f.putAt(p, 16, () => f.word(seg(S.SELECTOR, SS)));
    f.setFlat(SS, () => f.get(ss), STACK_ACCESS, dpl);
  });
  f.put(ESP << 2, () => f.get(esp));
  f.put(S.EFLAGS, () => {
    f.word(S.EFLAGS);
    f.i32(~(FL.TF | FL.NT | FL.RF));
    f.i32(~(FL.TF | FL.NT | FL.RF | FL.IF));
    f.get(gateHigh);
    f.with(0x100, OP.i32_and);
    f.op(OP.select);
    f.op(OP.i32_and);
  });
  const newCs = (): void => {
    f.get(selector);
    f.with(0xfffc, OP.i32_and);
    f.get(dpl);
    f.op(OP.i32_or);
  };
  f.setFlat(CS, newCs, CODE_ACCESS, dpl);
  f.put(S.EIP, () => {
    f.get(gateHigh);
    f.with(0xffff0000 | 0, OP.i32_and);
    f.get(gateLow);
    f.with(0xffff, OP.i32_and);
    f.op(OP.i32_or);
  });
  f.settle(dpl);
  f.get(vector);
  f.get(oldCs);
  f.get(next);
  f.get(cpl);
  f.call(TRANSFER_IMPORTS.TRANSFER);
  f.own(TRANSFERS.GO);
  return f;
};

/** iret(): IRETD; registers are in the state block. @returns 0, or as go(). */
const interruptReturn = (): Body => {
  const f = new Body(0);
  const old = f.local();
  const esp = f.local();
  const p = f.local();
  const eip = f.local();
  const selector = f.local();
  const flags = f.local();
  const cpl = f.local();
  const rpl = f.local();
  const d = f.local();
  const ss = f.local();
  const s = f.local();
  f.refuseUnusual();
  f.word(S.EFLAGS);
  f.tee(old);
  f.with(FL.NT | FL.AC, OP.i32_and);
  f.refuseIf();
  f.word(S.TLB_READ);
  f.word(ESP << 2);
  f.tee(esp);
  f.i32(20);
  f.own(TRANSFERS.PLACE);
  f.tee(p);
  f.refuseUnless();
  f.at(p);
  f.set(eip);
  f.get(p);
  f.mem(OP.i32_load16_u, 4, 1);
  f.tee(selector);
  f.with(3, OP.i32_and);
  f.tee(rpl);
  f.word(S.CPL);
  f.tee(cpl);
  f.op(OP.i32_lt_u);
  f.at(p, 8);
  f.tee(flags);
  f.with(FL.VM | FL.AC | FL.TF, OP.i32_and);
  f.op(OP.i32_or);
  f.refuseIf();
  f.get(selector);
  f.own(TRANSFERS.DESCRIPTOR);
  f.tee(d);
  f.refuseUnless();
  f.isNotFlatCode(d);
  f.at(d, 4);
  f.with(DPL_SHIFT, OP.i32_shr_u);
  f.with(3, OP.i32_and);
  f.get(rpl);
  f.op(OP.i32_xor);
  f.op(OP.i32_or);
  f.refuseIf();
  f.get(rpl);
  f.get(cpl);
  f.op(OP.i32_eq);
  f.when(
    () =>
      f.put(ESP << 2, () => {
        f.get(esp);
        f.with(12, OP.i32_add);
      }),
    () => {
      f.get(p);
      f.mem(OP.i32_load16_u, 16, 1);
      f.set(ss);
      f.refuseOtherStacks(ss, s, rpl);
      f.put(ESP << 2, () => f.at(p, 12));
      f.setFlat(SS, () => f.get(ss), STACK_ACCESS, rpl);
    },
  );
  // Nothing can go wrong from here on. IF by IOPL, IOPL itself by CPL 0.
  f.put(S.EFLAGS, () => {
    const mask = f.local();
    f.i32(FL.DF | FL.NT | FL.ID | FL.RF | FL.TF | FL.AC);
    f.get(cpl);
    f.get(old);
    f.with(12, OP.i32_shr_u);
    f.with(3, OP.i32_and);
    f.op(OP.i32_le_u);
    f.with(9, OP.i32_shl);
    f.op(OP.i32_or);
    f.get(cpl);
    f.op(OP.i32_eqz);
    f.with(FL.IOPL, OP.i32_mul);
    f.op(OP.i32_or);
    f.tee(mask);
    f.get(flags);
    f.op(OP.i32_and);
    f.get(mask);
    f.with(-1, OP.i32_xor);
    f.get(old);
    f.op(OP.i32_and);
    f.op(OP.i32_or);
    f.with(~FL.STATUS & 0x3f7fd7, OP.i32_and);
    f.with(2, OP.i32_or);
  });
  f.put(S.FLAG_RESULT, () => resultWord(f, flags));
  f.put(S.FLAG_AUX, () => auxWord(f, flags, () => bitOf(f, flags, 11)));
  f.put(J.FLAG_KIND, () => f.i32(0));
  f.setFlat(CS, () => f.get(selector), CODE_ACCESS, rpl);
  f.put(S.EIP, () => f.get(eip));
  f.settle(rpl);
  f.get(rpl);
  f.get(cpl);
  f.op(OP.i32_ne);
  f.when(() => {
    for (const n of [ES, DS, FS, GS]) dropWhenPrivileged(f, n, rpl);
  });
  f.word(LINES.ON_RETURN);
  f.when(() => {
    f.get(esp);
    f.get(cpl);
    f.call(TRANSFER_IMPORTS.RETURNED);
  });
  f.own(TRANSFERS.GO);
  return f;
};

const makeNull = (f: Body, n: number, selector: Push): void => {
  f.put(seg(S.SELECTOR, n), selector);
  for (const field of [S.BASE, S.LIMIT, S.ACCESS]) f.put(seg(field, n), () => f.i32(0));
  f.put(S.FLAT, () => {
    f.word(S.FLAT);
    f.with(~(1 << n), OP.i32_and);
  });
};
const dropWhenPrivileged = (f: Body, n: number, cpl: number): void => {
  const access = f.local();
  f.word(seg(S.ACCESS, n));
  f.tee(access);
  f.i32(0);
  f.op(OP.i32_ne);
  f.get(access);
  f.with(0x1c, OP.i32_and);
  f.with(0x1c, OP.i32_ne);
  f.op(OP.i32_and);
  f.get(access);
  f.with(5, OP.i32_shr_u);
  f.with(3, OP.i32_and);
  f.get(cpl);
  f.op(OP.i32_lt_u);
  f.op(OP.i32_and);
  f.when(() => makeNull(f, n, () => f.i32(0)));
};

/** loadData(segment, selector): loads ES, DS, FS or GS. @returns 1, or 0: not done; ES and DS must stay flat, or the region has to be left. */
const loadData = (): Body => {
  const f = new Body(2);
  const [n, selector] = [0, 1];
  const at = f.local();
  const low = f.local();
  const high = f.local();
  const raw = f.local();
  const flat = f.local();
  const put = (field: number, value: Push): void => f.putAt(at, field, value);
  f.refuseUnusual();
  f.get(n);
  f.with(2, OP.i32_shl);
  f.set(at);
  f.get(selector);
  f.with(0xfffc, OP.i32_and);
  f.op(OP.i32_eqz);
  f.when(() => {
    f.get(n);
    f.with(FS, OP.i32_lt_u);
    f.refuseIf();
    put(S.SELECTOR, () => f.get(selector));
    for (const field of [S.BASE, S.LIMIT, S.ACCESS]) put(field, () => f.i32(0));
    f.put(S.FLAT, () => {
      f.word(S.FLAT);
      f.i32(1);
      f.get(n);
      f.op(OP.i32_shl);
      f.with(-1, OP.i32_xor);
      f.op(OP.i32_and);
    });
    f.i32(1);
    f.op(OP.return);
  });
  f.get(selector);
  f.own(TRANSFERS.DESCRIPTOR);
  f.tee(raw);
  f.refuseUnless();
  f.at(raw);
  f.set(low);
  f.at(raw, 4);
  f.tee(high);
  // Present, accessed data; code is the runtime's.
  f.with(0x9900, OP.i32_and);
  f.with(0x9100, OP.i32_ne);
  f.get(high);
  f.with(DPL_SHIFT, OP.i32_shr_u);
  f.with(3, OP.i32_and);
  f.tee(raw);
  f.get(selector);
  f.with(3, OP.i32_and);
  f.op(OP.i32_lt_u);
  f.op(OP.i32_or);
  f.get(raw);
  f.word(S.CPL);
  f.op(OP.i32_lt_u);
  f.op(OP.i32_or);
  f.refuseIf();
  // Flat: base 0, limit 4 GB, writable, expand-up.
  f.get(low);
  f.with(0xffff, OP.i32_eq);
  f.get(high);
  f.with(0xff8f9eff | 0, OP.i32_and);
  f.with(0x008f9200, OP.i32_eq);
  f.op(OP.i32_and);
  f.tee(flat);
  f.op(OP.i32_eqz);
  f.get(n);
  f.with(FS, OP.i32_lt_u);
  f.op(OP.i32_and);
  f.refuseIf();
  put(S.SELECTOR, () => f.get(selector));
  put(S.BASE, () => {
    f.get(low);
    f.with(16, OP.i32_shr_u);
    f.get(high);
    f.with(0xff, OP.i32_and);
    f.with(16, OP.i32_shl);
    f.op(OP.i32_or);
    f.get(high);
    f.with(0xff000000 | 0, OP.i32_and);
    f.op(OP.i32_or);
  });
  f.get(low);
  f.with(0xffff, OP.i32_and);
  f.get(high);
  f.with(0xf0000, OP.i32_and);
  f.op(OP.i32_or);
  f.set(raw);
  put(S.LIMIT, () => {
    f.get(raw);
    f.with(12, OP.i32_shl);
    f.with(0xfff, OP.i32_or);
    f.get(raw);
    f.get(high);
    f.with(0x800000, OP.i32_and);
    f.op(OP.select);
  });
  put(S.ACCESS, () => {
    f.get(high);
    f.with(8, OP.i32_shr_u);
    f.with(0xf0ff, OP.i32_and);
  });
  f.put(S.FLAT, () => {
    f.word(S.FLAT);
    f.i32(1);
    f.get(n);
    f.op(OP.i32_shl);
    f.with(-1, OP.i32_xor);
    f.op(OP.i32_and);
    f.get(flat);
    f.get(n);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
  });
  f.i32(1);
  return f;
};

const takes = (params: number, results = 1): { params: number[]; results: number[] } => ({
  params: Array(params).fill(I32),
  results: Array(results).fill(I32),
});
const TYPES = [takes(0), takes(1), takes(2), takes(3)];

/** What the module calls in its turn; both return nothing. */
export interface TransferHooks {
  transfer: (vector: number, cs: number, eip: number, cpl: number) => void;
  returned: (esp: number, cpl: number) => void;
}

/** Of the module's functions those that others call; they take int32s. */
export type Transfers = Record<'deliver' | 'iret' | 'loadData' | 'go', (...values: number[]) => number>;

/** The functions for a memory. */
export const createTransfers = (memory: WebAssembly.Memory, hooks: TransferHooks): Transfers => {
  const pages = memory.buffer.byteLength / 65536;
  const imports = [
    { name: 'transfer', type: takes(4, 0) },
    { name: 'returned', type: takes(2, 0) },
  ];
  // In the order of TRANSFERS; a function's type is its number of parameters.
  const functions = [
    { type: 2, make: deliver },
    { type: 0, make: interruptReturn },
    { type: 2, make: loadData },
    { type: 3, make: place },
    { type: 1, make: descriptor },
    { type: 0, make: go },
  ].map(({ type, make }) => ({ type, body: make().encode() }));
  const bytes = encodeModule(pages, imports, TYPES, functions);
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { e: { m: memory, t: table, ...hooks } });
  const named = (n: number): Transfers['go'] => exports[`f${n}`] as Transfers['go'];
  return {
    deliver: named(TRANSFERS.DELIVER),
    iret: named(TRANSFERS.IRET),
    loadData: named(TRANSFERS.LOAD_DATA),
    go: named(TRANSFERS.GO),
  };
};
