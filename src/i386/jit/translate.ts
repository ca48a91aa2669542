// From a region of decoded blocks to one WebAssembly function.
//
// A region is entered at one EIP with the eight general registers and the instruction count as parameters; it leaves by a tail call to the next region or by
// spilling everything and returning. Everything observable is exact: an access that would fault, touch code or a watch leaves the region at that
// instruction with the registers, flags and count of the moment before it, and the interpreter takes over.
// What it leaves out: which regions exist (region.ts), nesting (structure.ts), when to translate (jit.ts). Reasons and figures: README.md.

import { M, R, RECORD } from '../decode';
import { ROWS } from '../rows';
import { EAX, EBP, ECX, EDI, EDX, ESI, ESP, S, TLB } from '../state';
import { J, JUMP_CACHE, JUMP_CACHE_BYTES, JUMP_CACHE_ENTRIES, KIND } from './layout';
import type { Region, RegionBlock } from './region';
import { type Structure, structure } from './structure';
import { KERNEL, KERNEL_TYPES } from '../x87/kernel';
import { canTranslate, EFFECT, flagEffect, X87_ENTRY } from './coverage';
import { FunctionBody, I32, I64, OP } from './wasm';

/** Types of a region module: a region's own, and those of the x87 kernel's entries, which stand in the function table from slot KERNEL_SLOT. */
export const KERNEL_SLOT = 1;
const REGISTER_ENTRY = 1;
const MEMORY_ENTRY = 2;
/** Indexes of the imported functions, in this order (jit.ts binds them). */
export const IMPORT = { READ8: 0, READ16: 1, READ32: 2, WRITE8: 3, WRITE16: 4, WRITE32: 5, PROBE: 6, INTERPRET: 7 } as const;
export const REGION_TYPE = { params: [I32, I32, I32, I32, I32, I32, I32, I32, I32], results: [] };
export const MODULE_TYPES = [REGION_TYPE, ...KERNEL_TYPES];

const LEFT = 8;
/** Flags at a point of the translation: still in memory as on entry, in locals with a kind known only at run time, or in locals of a known kind. */
type FlagState = 'memory' | 'dynamic' | number;

/** Condition numbers (low four bits of Jcc) that come in pairs: even = as named, odd = negated. */
const CC = { O: 0, B: 2, Z: 4, BE: 6, S: 8, P: 10, L: 12, LE: 14 } as const;

interface Label {
  /** Position of the node a branch to this label reaches, or -1 for the exit block, -2 for plain nesting. */
  target: number;
}

/** Thrown when a region cannot be translated at all (its first instruction is not ours). */
export class Untranslatable extends Error {}

export class Translator {
  private readonly f = new FunctionBody(9);
  private readonly fr = this.f.local();
  private readonly fa = this.f.local();
  private readonly fb = this.f.local();
  private readonly fk = this.f.local();
  private readonly exitEip = this.f.local();
  private readonly lin = this.f.local();
  private readonly entry = this.f.local();
  private readonly t0 = this.f.local();
  private readonly t1 = this.f.local();
  private readonly t2 = this.f.local();
  private readonly addr = this.f.local();
  private readonly l0 = this.f.local(I64);
  private readonly labels: Label[] = [];
  private flags: FlagState = 'memory';
  private readonly shape: Structure;
  private readonly code: Int32Array;
  private readonly tlbRead: number;
  private readonly tlbWrite: number;
  /** Of the instruction being translated: its address, the next one's, and how many of the block's count have not retired when it faults. */
  private eip = 0;
  private next = 0;
  private refund = 0;
  private flagsDead = false;
  /** Set when the code calls the x87 kernel. */
  usesKernel = false;

  constructor(private readonly region: Region) {
    this.code = region.code;
    this.shape = structure(region.blocks.map((b) => b.internal));
    this.tlbRead = region.user ? TLB.USER_READ : TLB.SUPER_READ;
    this.tlbWrite = region.user ? TLB.USER_WRITE : TLB.SUPER_WRITE;
  }

  translate(): FunctionBody {
    const { f } = this;
    f.block(OP.block);
    this.labels.push({ target: -1 });
    if (this.shape.loopHeader[0]) this.loadFlags();
    this.tree(0);
    f.op(OP.unreachable);
    this.labels.pop();
    f.op(OP.end);
    // Exit: kind -1 in fk means that memory still holds the flags.
    this.spillRegisters();
    f.i32(0);
    f.get(this.exitEip);
    f.mem(OP.i32_store, S.EIP, 2);
    f.get(this.fk);
    f.i32(0);
    f.op(OP.i32_ge_s);
    f.block(OP.if);
    this.storeFlagLocals();
    f.i32(0);
    f.get(this.fk);
    f.mem(OP.i32_store, J.FLAG_KIND, 2);
    f.op(OP.end);
    return f;
  }

  // ---- nesting ----------------------------------------------------------------------------------------------------------------------

  private tree(p: number): void {
    const merges = this.shape.children[p].filter((c) => this.shape.merge[c]).sort((a, b) => b - a);
    if (this.shape.loopHeader[p]) {
      this.flags = 'dynamic';
      this.f.block(OP.loop);
      this.labels.push({ target: p });
      this.within(p, merges);
      this.labels.pop();
      this.f.op(OP.end);
    } else this.within(p, merges);
  }

  private within(p: number, merges: number[]): void {
    if (merges.length === 0) {
      this.block(p);
      return;
    }
    const [first, ...rest] = merges;
    this.f.block(OP.block);
    this.labels.push({ target: first });
    this.within(p, rest);
    this.labels.pop();
    this.f.op(OP.end);
    this.flags = 'dynamic';
    this.tree(first);
  }

  private depthOf(target: number): number {
    for (let i = this.labels.length - 1; i >= 0; i--) if (this.labels[i].target === target) return this.labels.length - 1 - i;
    throw new Error(`no label for node ${target}`);
  }

  /** Goes on at node position `to` from `from`. */
  private branch(from: number, to: number): void {
    const backward = to <= from;
    if (backward || this.shape.merge[to]) {
      this.enterDynamic();
      this.f.br(OP.br, this.depthOf(to));
      return;
    }
    if (this.shape.loopHeader[to]) this.enterDynamic();
    this.tree(to);
  }

  /** Makes the locals hold the flags with their kind in fk, as merge points and loops expect. */
  private enterDynamic(): void {
    if (this.flags === 'memory') this.loadFlags();
    else if (this.flags !== 'dynamic') {
      this.f.i32(this.flags);
      this.f.set(this.fk);
    }
  }
  private loadFlags(): void {
    const { f } = this;
    const load = (offset: number, local: number): void => {
      f.i32(0);
      f.mem(OP.i32_load, offset, 2);
      f.set(local);
    };
    load(S.FLAG_RESULT, this.fr);
    load(S.FLAG_AUX, this.fa);
    load(J.FLAG_B, this.fb);
    load(J.FLAG_KIND, this.fk);
    this.flags = 'dynamic';
  }
  private storeFlagLocals(): void {
    const { f } = this;
    const store = (offset: number, local: number): void => {
      f.i32(0);
      f.get(local);
      f.mem(OP.i32_store, offset, 2);
    };
    store(S.FLAG_RESULT, this.fr);
    store(S.FLAG_AUX, this.fa);
    store(J.FLAG_B, this.fb);
  }
  /** Writes the flags to memory if they are not there. */
  private spillFlags(): void {
    if (this.flags === 'memory') return;
    this.storeFlagLocals();
    this.f.i32(0);
    if (this.flags === 'dynamic') this.f.get(this.fk);
    else this.f.i32(this.flags);
    this.f.mem(OP.i32_store, J.FLAG_KIND, 2);
  }

  private spillRegisters(): void {
    const { f } = this;
    for (let n = 0; n < 8; n++) {
      f.i32(0);
      f.get(n);
      f.mem(OP.i32_store, S.REGS + 4 * n, 2);
    }
    f.i32(0);
    f.get(LEFT);
    f.mem(OP.i32_store, S.LEFT, 2);
  }

  // ---- leaving ----------------------------------------------------------------------------------------------------------------------

  /** Leaves through the exit block with EIP `eip`; `refund` instructions of the block have not retired. Does not change what follows. */
  private exitAt(eip: number, refund: number): void {
    const { f } = this;
    f.i32(eip);
    f.set(this.exitEip);
    this.exitWithEip(refund);
  }
  private exitWithEip(refund: number): void {
    const { f } = this;
    if (refund !== 0) {
      f.get(LEFT);
      f.i32(refund);
      f.op(OP.i32_add);
      f.set(LEFT);
    }
    if (this.flags !== 'dynamic') {
      f.i32(this.flags === 'memory' ? -1 : this.flags);
      f.set(this.fk);
    }
    f.br(OP.br, this.depthOf(-1));
  }
  /** After a call into the runtime: leaves at the current instruction when it could not be done. */
  private checkStatus(): void {
    const { f } = this;
    f.i32(0);
    f.mem(OP.i32_load, J.STATUS, 2);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(this.eip, this.refund);
    this.labels.pop();
    f.op(OP.end);
  }
  /** Tail call to the region whose slot stands in `cell`, at `eip`. */
  private chain(cell: number, eip: number): void {
    const { f } = this;
    this.spillFlags();
    f.i32(0);
    f.i32(eip);
    f.mem(OP.i32_store, S.EIP, 2);
    for (let n = 0; n < 9; n++) f.get(n);
    f.i32(0);
    f.mem(OP.i32_load, cell, 2);
    f.op(OP.return_call_indirect);
    f.code.u32(0);
    f.code.u32(0);
  }

  /** Control goes to linear address `target`, outside the region or at an internal node. */
  private goto(from: RegionBlock, p: number, target: number): void {
    const node = from.edges.get(target);
    if (node !== undefined) {
      const to = this.shape.position[node];
      const backward = to <= p;
      if (!(backward && this.shape.irreducible(p, to))) {
        this.checkMapping(from, target);
        this.branch(p, to);
        return;
      }
    }
    const cell = this.region.cellFor(target);
    if (cell < 0) {
      this.exitAt(target, 0);
      return;
    }
    this.checkMapping(from, target);
    this.chain(cell, target);
  }

  /** A page change inside a region holds only while the TLB still maps the page to where the region's code was read. */
  private checkMapping(from: RegionBlock, target: number): void {
    if ((from.linear ^ target) >>> 12 === 0) return;
    const { f } = this;
    const delta = this.region.deltaOf(target);
    f.i32(0);
    f.mem(OP.i32_load, this.tlbRead + ((target >>> 12) << 2), 2);
    f.i32(delta);
    f.op(OP.i32_ne);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.exitAt(target, 0);
    this.labels.pop();
    f.op(OP.end);
  }

  /** Control goes to the EIP in local t0: through the jump cache, else out. */
  private gotoIndirect(): void {
    const { f } = this;
    const cache = JUMP_CACHE + (this.region.user ? JUMP_CACHE_BYTES : 0);
    // The cache entry's address: (eip ^ eip >>> 12) & mask, times 16.
    f.get(this.t0);
    f.get(this.t0);
    f.i32(12);
    f.op(OP.i32_shr_u);
    f.op(OP.i32_xor);
    f.i32(JUMP_CACHE_ENTRIES - 1);
    f.op(OP.i32_and);
    f.i32(4);
    f.op(OP.i32_shl);
    f.tee(this.t1);
    f.mem(OP.i32_load, cache, 2);
    f.get(this.t0);
    f.op(OP.i32_eq);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    f.get(this.t1);
    f.mem(OP.i32_load, cache + 4, 2);
    f.get(this.t0);
    f.i32(10);
    f.op(OP.i32_shr_u);
    f.i32(0x3ffffc);
    f.op(OP.i32_and);
    f.mem(OP.i32_load, this.tlbRead, 2);
    f.op(OP.i32_eq);
    f.block(OP.if);
    this.labels.push({ target: -2 });
    const before = this.flags;
    this.spillFlags();
    f.i32(0);
    f.get(this.t0);
    f.mem(OP.i32_store, S.EIP, 2);
    for (let n = 0; n < 9; n++) f.get(n);
    f.get(this.t1);
    f.mem(OP.i32_load, cache + 8, 2);
    f.mem(OP.i32_load, 0, 2);
    f.op(OP.return_call_indirect);
    f.code.u32(0);
    f.code.u32(0);
    this.flags = before;
    this.labels.pop();
    f.op(OP.end);
    this.labels.pop();
    f.op(OP.end);
    f.get(this.t0);
    f.set(this.exitEip);
    this.exitWithEip(0);
  }

  // ---- a block ----------------------------------------------------------------------------------------------------------------------

  private block(p: number): void {
    const { f, code } = this;
    const node = this.shape.order[p];
    const b = this.region.blocks[node];
    const first = b.first;
    if (p === 0 || this.shape.loopHeader[p]) {
      // Enough instructions left for the longest way to the next such check?
      f.get(LEFT);
      f.i32(this.region.checkLength);
      f.op(OP.i32_lt_s);
      f.block(OP.if);
      this.labels.push({ target: -2 });
      this.exitAt(b.linear, 0);
      this.labels.pop();
      f.op(OP.end);
    }
    f.get(LEFT);
    f.i32(b.translated);
    f.op(OP.i32_sub);
    f.set(LEFT);
    const dead = this.deadFlags(b);
    for (let k = 0; k < b.translated; k++) {
      const i = first + k * RECORD;
      this.next = (b.linear + code[i + R.END]) | 0;
      this.eip = (this.next - (code[i + R.META] & M.LENGTH)) | 0;
      this.refund = b.translated - k;
      this.flagsDead = dead[k] === 1;
      const last = k === b.translated - 1;
      if (last && b.terminator !== undefined) {
        this.terminate(b, p, i);
        return;
      }
      this.instruction(i);
    }
    // Straight on: to the next block, or out before an instruction that is the interpreter's.
    if (b.stopsAt !== undefined) this.exitAt(b.stopsAt, 0);
    else this.goto(b, p, (b.linear + b.bytes) | 0);
  }

  /** dead[k] = 1: the flags of instruction k are replaced before anybody can see them. */
  private deadFlags(b: RegionBlock): Uint8Array {
    const dead = new Uint8Array(b.translated);
    let needed = true;
    for (let k = b.translated - 1; k >= 0; k--) {
      const i = b.first + k * RECORD;
      const effect = flagEffect(this.code, i);
      if (effect & EFFECT.DEFINES && !needed) dead[k] = 1;
      if (effect & EFFECT.DEFINES) needed = false;
      if (effect & (EFFECT.USES | EFFECT.MAY_LEAVE)) needed = true;
    }
    return dead;
  }

  // ---- operands ---------------------------------------------------------------------------------------------------------------------

  /** Effective address on the stack. */
  private ea(i: number): void {
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
  private tlbTest(table: number, size: number): void {
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
  private load(size: number, signed = false): void {
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
  private store(size: number, value: number): void {
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
  private rawStore(size: number): void {
    if (size === 2) this.f.mem(OP.i32_store, 0, 0);
    else if (size === 1) this.f.mem(OP.i32_store16, 0, 0);
    else this.f.mem(OP.i32_store8, 0, 0);
  }
  private rawLoad(size: number): void {
    if (size === 2) this.f.mem(OP.i32_load, 0, 0);
    else if (size === 1) this.f.mem(OP.i32_load16_u, 0, 0);
    else this.f.mem(OP.i32_load8_u, 0, 0);
  }
  /** Index into the memory for reading and writing the operand whose linear address is on the stack, into this.addr. */
  private probe(size: number): void {
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
  private getReg(n: number, size: number): void {
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
  private setReg(n: number, size: number, value: number): void {
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
  private get(i: number): { reg: number; rm: number; memory: boolean; size: number } {
    const form = this.code[i + R.FORM];
    const regs = this.code[i + R.REGS];
    return { reg: regs & 7, rm: (regs >> 4) & 7, memory: (form & 1) !== 0, size: (form >> 1) & 3 };
  }
  /** E operand, zero-extended, onto the stack. */
  private getE(i: number): void {
    const { rm, memory, size } = this.get(i);
    if (memory) {
      this.ea(i);
      this.load(size);
    } else this.getReg(rm, size);
  }

  // ---- flags ------------------------------------------------------------------------------------------------------------------------

  /** Sign-extends the value on the stack from a width. */
  private extend(size: number): void {
    if (size === 0) this.f.op(OP.i32_extend8_s);
    else if (size === 1) this.f.op(OP.i32_extend16_s);
  }
  /** Flags of an addition or subtraction: operands in locals a and b, result in local r (any upper bits). */
  private arithmeticFlags(kind: number, size: number, a: number, b: number, r: number): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(a);
    f.set(this.fa);
    f.get(b);
    f.set(this.fb);
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    this.flags = kind;
  }
  private logicFlags(size: number, r: number): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    f.i32(0);
    f.set(this.fa);
    this.flags = KIND.AUX;
  }

  /** The aux word of the present flags onto the stack. */
  private aux(): void {
    const { f } = this;
    if (this.flags === 'memory') this.loadFlags();
    const carries = (subtract: boolean): void => {
      // add: (a & b) | ((a | b) & ~r); subtract: (~a & b) | ((~a | b) & r)
      const a = (): void => {
        f.get(this.fa);
        if (subtract) {
          f.i32(-1);
          f.op(OP.i32_xor);
        }
      };
      a();
      f.get(this.fb);
      f.op(OP.i32_and);
      a();
      f.get(this.fb);
      f.op(OP.i32_or);
      f.get(this.fr);
      if (!subtract) {
        f.i32(-1);
        f.op(OP.i32_xor);
      }
      f.op(OP.i32_and);
      f.op(OP.i32_or);
    };
    const ofKind = (kind: number): void => {
      carries((kind & 1) === 0);
      if (kind >= KIND.ADD16) {
        const t = this.t2;
        f.tee(t);
        f.i32(kind >= KIND.ADD8 ? 24 : 16);
        f.op(OP.i32_shl);
        f.i32(0xc0000000 | 0);
        f.op(OP.i32_and);
        f.get(t);
        f.i32(8);
        f.op(OP.i32_and);
        f.op(OP.i32_or);
      } else {
        f.i32(0xc0000008 | 0);
        f.op(OP.i32_and);
      }
    };
    if (this.flags === KIND.AUX) f.get(this.fa);
    else if (typeof this.flags === 'number') ofKind(this.flags);
    else {
      // Only now and then: the six kinds one after another.
      f.get(this.fk);
      f.op(OP.i32_eqz);
      f.block(OP.if, I32);
      f.get(this.fa);
      f.op(OP.else);
      for (let kind = 1; kind <= 6; kind++) {
        if (kind < 6) {
          f.get(this.fk);
          f.i32(kind);
          f.op(OP.i32_eq);
          f.block(OP.if, I32);
        }
        ofKind(kind);
        if (kind < 6) f.op(OP.else);
      }
      for (let kind = 1; kind <= 6; kind++) f.op(OP.end);
    }
  }
  /** Turns the flags into result and aux word (kind AUX) in the locals. */
  private canonical(): void {
    if (this.flags === KIND.AUX) return;
    this.aux();
    this.f.set(this.fa);
    this.flags = KIND.AUX;
  }
  /** CF as 0 or 1 onto the stack. */
  private carry(): void {
    const { f } = this;
    this.aux();
    f.i32(31);
    f.op(OP.i32_shr_u);
  }

  /** Condition `cc` (0-15) as 0/1 (or any non-zero for true when used as a test) onto the stack. */
  private condition(cc: number): void {
    const { f } = this;
    const negated = (cc & 1) !== 0;
    const base = cc & ~1;
    if (this.flags === 'memory') this.loadFlags();
    const kind = this.flags;
    const compare = this.compared;
    if (
      compare !== undefined &&
      (kind === KIND.SUB32 || kind === KIND.SUB16 || kind === KIND.SUB8) &&
      base !== CC.O &&
      base !== CC.P &&
      base !== CC.S
    ) {
      // Directly after a subtraction without borrow-in: compare its operands.
      const shift = kind === KIND.SUB8 ? 24 : kind === KIND.SUB16 ? 16 : 0;
      const operand = (local: number): void => {
        f.get(local);
        if (shift) {
          f.i32(shift);
          f.op(OP.i32_shl);
        }
      };
      operand(this.fa);
      operand(this.fb);
      const ops: Record<number, [number, number]> = {
        [CC.B]: [OP.i32_lt_u, OP.i32_ge_u],
        [CC.Z]: [OP.i32_eq, OP.i32_ne],
        [CC.BE]: [OP.i32_le_u, OP.i32_gt_u],
        [CC.L]: [OP.i32_lt_s, OP.i32_ge_s],
        [CC.LE]: [OP.i32_le_s, OP.i32_gt_s],
      };
      f.op(ops[base][negated ? 1 : 0]);
      return;
    }
    switch (base) {
      case CC.Z:
        f.get(this.fr);
        if (negated) {
          f.i32(0);
          f.op(OP.i32_ne);
        } else f.op(OP.i32_eqz);
        return;
      case CC.B:
        this.carry();
        break;
      case CC.BE:
        this.carry();
        f.get(this.fr);
        f.op(OP.i32_eqz);
        f.op(OP.i32_or);
        break;
      case CC.S:
        this.sign();
        break;
      case CC.O:
        this.overflow();
        break;
      case CC.P: {
        // Parity of the low byte of result ^ aux >> 8.
        f.get(this.fr);
        this.aux();
        f.i32(8);
        f.op(OP.i32_shr_u);
        f.op(OP.i32_xor);
        f.i32(0xff);
        f.op(OP.i32_and);
        f.op(OP.i32_popcnt);
        f.i32(1);
        f.op(OP.i32_and);
        f.i32(1);
        f.op(OP.i32_xor);
        break;
      }
      case CC.L:
      case CC.LE:
        this.sign();
        this.overflow();
        f.op(OP.i32_xor);
        if (base === CC.LE) {
          f.get(this.fr);
          f.op(OP.i32_eqz);
          f.op(OP.i32_or);
        }
        break;
    }
    if (negated) f.op(OP.i32_eqz);
  }
  private sign(): void {
    const { f } = this;
    f.get(this.fr);
    f.i32(31);
    f.op(OP.i32_shr_u);
    if (this.flags === KIND.AUX || this.flags === 'dynamic') {
      this.aux();
      f.i32(1);
      f.op(OP.i32_and);
      f.op(OP.i32_xor);
    }
  }
  private overflow(): void {
    const { f } = this;
    this.aux();
    f.tee(this.t1);
    f.i32(31);
    f.op(OP.i32_shr_u);
    f.get(this.t1);
    f.i32(30);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.op(OP.i32_xor);
  }
  /** Defined while the flags come from a plain CMP or SUB (no borrow-in), so that conditions may compare its operands. */
  private compared: true | undefined;

  // ---- block ends -------------------------------------------------------------------------------------------------------------------

  private terminate(b: RegionBlock, p: number, i: number): void {
    const { f, code } = this;
    const t = b.terminator;
    if (t === undefined) return;
    // Emitting one way may translate whole blocks, which moves this.next on.
    const { next } = this;
    const { rm, memory } = this.get(i);
    switch (t.kind) {
      case 'jmp':
        this.goto(b, p, t.target);
        return;
      case 'jcc': {
        this.condition(t.cc);
        const before = this.flags;
        const { compared } = this;
        f.block(OP.if);
        this.labels.push({ target: -2 });
        this.goto(b, p, t.target);
        this.labels.pop();
        f.op(OP.end);
        this.flags = before;
        this.compared = compared;
        this.goto(b, p, next);
        return;
      }
      case 'loop': {
        // LOOP, LOOPE, LOOPNE, JCXZ with 32-bit counts.
        if (t.name !== 'jcxz') {
          f.get(ECX);
          f.i32(1);
          f.op(OP.i32_sub);
          f.set(ECX);
        }
        f.get(ECX);
        if (t.name === 'jcxz') f.op(OP.i32_eqz);
        else {
          f.i32(0);
          f.op(OP.i32_ne);
          if (t.name !== 'loop') {
            this.condition(t.name === 'loope' ? CC.Z : CC.Z | 1);
            f.op(OP.i32_and);
          }
        }
        const before = this.flags;
        const { compared } = this;
        f.block(OP.if);
        this.labels.push({ target: -2 });
        this.goto(b, p, t.target);
        this.labels.pop();
        f.op(OP.end);
        this.flags = before;
        this.compared = compared;
        this.goto(b, p, next);
        return;
      }
      case 'call':
        f.i32(this.next);
        f.set(this.t0);
        this.push(this.t0);
        this.goto(b, p, t.target);
        return;
      case 'ret':
        f.get(ESP);
        this.load(2);
        f.set(this.t0);
        f.get(ESP);
        f.i32(4 + code[i + R.IMM]);
        f.op(OP.i32_add);
        f.set(ESP);
        this.gotoIndirect();
        return;
      case 'jmp_ind':
      case 'call_ind':
        if (memory) {
          this.ea(i);
          this.load(2);
        } else f.get(rm);
        f.set(this.t0);
        if (t.kind === 'call_ind') {
          f.i32(this.next);
          f.set(this.t1);
          this.push(this.t1);
        }
        this.gotoIndirect();
        return;
      case 'interpret':
        // A REP string instruction: straight on when it is done.
        this.interpret(i);
        this.goto(b, p, next);
        return;
    }
  }

  /** Pushes local `value` (dword). */
  private push(value: number): void {
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
  private interpret(i: number): void {
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

  // ---- instructions -----------------------------------------------------------------------------------------------------------------

  private instruction(i: number): void {
    const { f, code } = this;
    const form = code[i + R.FORM];
    const row = ROWS[form >> 3];
    const { reg, rm, memory, size } = this.get(i);
    const imm = code[i + R.IMM];
    const name = row.name;
    if (!canTranslate(code, i)) {
      this.interpret(i);
      this.compared = undefined;
      return;
    }
    switch (name) {
      case 'mov': {
        this.mov(i, row.args);
        return;
      }
      case 'lea':
        this.ea(i);
        f.set(this.t0);
        this.setReg(reg, size, this.t0);
        return;
      case 'add':
      case 'sub':
      case 'and':
      case 'or':
      case 'xor':
      case 'cmp':
      case 'adc':
      case 'sbb':
      case 'test':
        this.alu(i, name, row.args);
        return;
      case 'inc':
      case 'dec':
        this.incDec(i, name === 'inc');
        return;
      case 'not':
      case 'neg':
        this.notNeg(i, name === 'neg');
        return;
      case 'push':
        if (row.args === 'Zv') f.get(rm);
        else if (row.args === 'Ev') this.getE(i);
        else f.i32(imm);
        f.set(this.t0);
        this.push(this.t0);
        return;
      case 'pop':
        if (row.args === 'Zv') {
          f.get(ESP);
          this.load(2);
          f.set(this.t0);
          f.get(ESP);
          f.i32(4);
          f.op(OP.i32_add);
          f.set(ESP);
          f.get(this.t0);
          f.set(rm);
          return;
        }
        break;
      case 'leave':
        f.get(EBP);
        this.load(2);
        f.set(this.t0);
        f.get(EBP);
        f.i32(4);
        f.op(OP.i32_add);
        f.set(ESP);
        f.get(this.t0);
        f.set(EBP);
        return;
      case 'movzx_b':
      case 'movzx_w':
      case 'movsx_b':
      case 'movsx_w': {
        const from = name.endsWith('b') ? 0 : 1;
        const signed = name[3] === 's';
        if (memory) {
          this.ea(i);
          this.load(from, signed);
        } else {
          this.getReg(rm, from);
          if (signed) this.extend(from);
        }
        f.set(this.t0);
        this.setReg(reg, size, this.t0);
        return;
      }
      case 'xchg':
        this.xchg(i, row.args);
        return;
      case 'shl':
      case 'shr':
      case 'sar':
      case 'rol':
      case 'ror':
        this.shift(i, name, row.args);
        return;
      case 'shld':
      case 'shrd':
        this.doubleShift(i, name === 'shld', row.args);
        return;
      case 'imul2':
      case 'imul3':
        this.imul(i, row.args);
        return;
      case 'mul':
      case 'imul':
        this.multiply(i, name === 'imul');
        return;
      case 'div':
      case 'idiv':
        this.divide(i, name === 'idiv');
        return;
      case 'cbw':
        if (size === 2) {
          f.get(EAX);
          f.op(OP.i32_extend16_s);
          f.set(EAX);
        } else {
          f.get(EAX);
          f.op(OP.i32_extend8_s);
          f.set(this.t0);
          this.setReg(EAX, 1, this.t0);
        }
        return;
      case 'cwd':
        f.get(EAX);
        f.i32(31);
        f.op(OP.i32_shr_s);
        f.set(EDX);
        return;
      case 'bswap': {
        f.get(rm);
        f.i32(8);
        f.op(OP.i32_rotl);
        f.i32(0x00ff00ff);
        f.op(OP.i32_and);
        f.get(rm);
        f.i32(8);
        f.op(OP.i32_rotr);
        f.i32(0xff00ff00 | 0);
        f.op(OP.i32_and);
        f.op(OP.i32_or);
        f.set(rm);
        return;
      }
      case 'bt':
      case 'bts':
      case 'btr':
      case 'btc':
        this.bitTest(i, name, row.args);
        return;
      case 'bsf':
      case 'bsr':
        this.bitScan(i, name === 'bsf');
        return;
      case 'movs':
      case 'lods':
      case 'stos':
      case 'scas':
      case 'cmps':
        this.string(i, name);
        return;
      case 'mov_from_sreg':
        f.i32(0);
        f.mem(OP.i32_load16_u, S.SELECTOR + 4 * reg, 1);
        f.set(this.t0);
        this.setReg(rm, size, this.t0);
        return;
      case 'clc':
      case 'stc':
      case 'cmc': {
        this.canonical();
        // CF sits in bit 31, and bit 30 is CF^OF: both flip when CF does.
        if (name === 'cmc') {
          f.get(this.fa);
          f.i32(0xc0000000 | 0);
          f.op(OP.i32_xor);
        } else {
          f.get(this.fa);
          f.get(this.fa);
          if (name === 'stc') {
            f.i32(-1);
            f.op(OP.i32_xor);
          }
          f.i32(31);
          f.op(OP.i32_shr_s);
          f.i32(0xc0000000 | 0);
          f.op(OP.i32_and);
          f.op(OP.i32_xor);
        }
        f.set(this.fa);
        this.compared = undefined;
        return;
      }
      case 'nop_ev':
        return;
      case 'sahf':
        this.sahf();
        return;
      case 'fnstsw_ax':
        this.storeStatusWord(i);
        return;
      default:
        if (name.startsWith('set')) {
          this.condition(row.op & 15);
          f.set(this.t0);
          if (memory) {
            this.ea(i);
            this.store(0, this.t0);
          } else this.setReg(rm, 0, this.t0);
          return;
        }
        if (X87_ENTRY.has(name)) {
          this.x87(i, name);
          return;
        }
        if (name.startsWith('cmov')) {
          this.getE(i);
          f.set(this.t0);
          f.get(this.t0);
          this.getReg(reg, size);
          this.condition(row.op & 15);
          f.op(OP.select);
          f.set(this.t0);
          this.setReg(reg, size, this.t0);
          return;
        }
    }
    this.interpret(i);
    this.compared = undefined;
  }

  private mov(i: number, args: string): void {
    const { f, code } = this;
    const { reg, rm, memory, size } = this.get(i);
    const imm = code[i + R.IMM];
    switch (args) {
      case 'Eb Gb':
      case 'Ev Gv':
        if (memory) {
          if (size === 2) {
            this.ea(i);
            this.store(2, reg);
          } else {
            this.getReg(reg, size);
            f.set(this.t0);
            this.ea(i);
            this.store(size, this.t0);
          }
        } else if (size === 2) {
          f.get(reg);
          f.set(rm);
        } else {
          this.getReg(reg, size);
          f.set(this.t0);
          this.setReg(rm, size, this.t0);
        }
        return;
      case 'Gb Eb':
      case 'Gv Ev':
        this.getE(i);
        f.set(this.t0);
        this.setReg(reg, size, this.t0);
        return;
      case 'AL Ob':
      case 'eAX Ov':
        this.ea(i);
        this.load(size);
        f.set(this.t0);
        this.setReg(EAX, size, this.t0);
        return;
      case 'Ob AL':
      case 'Ov eAX':
        this.ea(i);
        this.store(size, EAX);
        return;
      default: {
        // Zb Ib, Zv Iv, Eb Ib, Ev Iz
        f.i32(imm);
        f.set(this.t0);
        if (memory) {
          this.ea(i);
          this.store(size, this.t0);
        } else this.setReg(rm, size, this.t0);
      }
    }
  }

  private alu(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { reg, rm, memory, size } = this.get(i);
    const imm = code[i + R.IMM];
    const a = this.f.local();
    const b = this.f.local();
    const r = this.f.local();
    const writes = name !== 'cmp' && name !== 'test';
    let destination: 'memory' | number;
    // Operand b first when it is a register or an immediate: it cannot fault.
    if (args === 'Eb Gb' || args === 'Ev Gv') {
      this.getReg(reg, size);
      f.set(b);
      destination = memory ? 'memory' : rm;
    } else if (args === 'Gb Eb' || args === 'Gv Ev') {
      this.getE(i);
      f.set(b);
      destination = reg;
    } else if (args === 'AL Ib' || args === 'eAX Iz') {
      f.i32(imm);
      f.set(b);
      destination = EAX;
    } else {
      f.i32(imm);
      f.set(b);
      destination = memory ? 'memory' : rm;
    }
    if (destination === 'memory') {
      this.ea(i);
      if (writes) {
        this.probe(size);
        f.get(this.addr);
        this.rawLoad(size);
      } else this.load(size);
    } else this.getReg(destination, size);
    f.set(a);
    if (name === 'adc' || name === 'sbb') this.carry();
    switch (name) {
      case 'add':
        f.get(a);
        f.get(b);
        f.op(OP.i32_add);
        break;
      case 'adc':
        f.get(a);
        f.op(OP.i32_add);
        f.get(b);
        f.op(OP.i32_add);
        break;
      case 'sub':
      case 'cmp':
        f.get(a);
        f.get(b);
        f.op(OP.i32_sub);
        break;
      case 'sbb':
        f.set(this.t1);
        f.get(a);
        f.get(b);
        f.op(OP.i32_sub);
        f.get(this.t1);
        f.op(OP.i32_sub);
        break;
      case 'and':
      case 'test':
        f.get(a);
        f.get(b);
        f.op(OP.i32_and);
        break;
      case 'or':
        f.get(a);
        f.get(b);
        f.op(OP.i32_or);
        break;
      case 'xor':
        f.get(a);
        f.get(b);
        f.op(OP.i32_xor);
        break;
    }
    f.set(r);
    if (writes) {
      if (destination === 'memory') {
        f.get(this.addr);
        f.get(r);
        this.rawStore(size);
      } else this.setReg(destination, size, r);
    }
    if (name === 'add' || name === 'adc')
      this.arithmeticFlags(size === 2 ? KIND.ADD32 : size === 1 ? KIND.ADD16 : KIND.ADD8, size, a, b, r);
    else if (name === 'sub' || name === 'cmp' || name === 'sbb')
      this.arithmeticFlags(size === 2 ? KIND.SUB32 : size === 1 ? KIND.SUB16 : KIND.SUB8, size, a, b, r);
    else this.logicFlags(size, r);
    if (!this.flagsDead) this.compared = name === 'sub' || name === 'cmp' ? true : undefined;
  }

  /** Reads E for modification into `value` (register or, through this.addr, memory). */
  private readModify(i: number, value: number): void {
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
  private writeBack(i: number, value: number): void {
    const { f } = this;
    const { rm, memory, size } = this.get(i);
    if (memory) {
      f.get(this.addr);
      f.get(value);
      this.rawStore(size);
    } else this.setReg(rm, size, value);
  }

  private incDec(i: number, inc: boolean): void {
    const { f } = this;
    const { size } = this.get(i);
    const a = f.local();
    const r = f.local();
    this.readModify(i, a);
    f.get(a);
    f.i32(1);
    f.op(inc ? OP.i32_add : OP.i32_sub);
    f.set(r);
    this.writeBack(i, r);
    if (this.flagsDead) return;
    // CF stays: take it over, then build the aux word. OF: 0x7f..f -> 0x80..0 (inc), 0x80..0 -> 0x7f..f (dec).
    const cf = f.local();
    this.carry();
    f.set(cf);
    f.get(r);
    this.extend(size);
    f.set(this.fr);
    f.get(cf);
    f.i32(31);
    f.op(OP.i32_shl);
    f.get(cf);
    f.get(this.fr);
    f.i32(inc ? [-0x80, -0x8000, 0x80000000 | 0][size] : [0x7f, 0x7fff, 0x7fffffff][size]);
    f.op(OP.i32_eq);
    f.op(OP.i32_xor);
    f.i32(30);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    // AF: low nibble became 0 (inc) or f (dec).
    f.get(r);
    f.i32(15);
    f.op(OP.i32_and);
    f.i32(inc ? 0 : 15);
    f.op(OP.i32_eq);
    f.i32(3);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = undefined;
  }

  private notNeg(i: number, neg: boolean): void {
    const { f } = this;
    const { size } = this.get(i);
    const a = f.local();
    const r = f.local();
    this.readModify(i, a);
    if (neg) {
      f.i32(0);
      f.get(a);
      f.op(OP.i32_sub);
    } else {
      f.get(a);
      f.i32(-1);
      f.op(OP.i32_xor);
    }
    f.set(r);
    this.writeBack(i, r);
    if (!neg || this.flagsDead) return;
    const zero = f.local();
    f.i32(0);
    f.set(zero);
    this.arithmeticFlags(size === 2 ? KIND.SUB32 : size === 1 ? KIND.SUB16 : KIND.SUB8, size, zero, a, r);
    this.compared = true;
  }

  private xchg(i: number, args: string): void {
    const { f } = this;
    const { reg, rm, memory, size } = this.get(i);
    if (args === 'Zv eAX') {
      if (rm === EAX) return;
      f.get(EAX);
      f.set(this.t0);
      this.getReg(rm, size);
      f.set(this.t1);
      this.setReg(EAX, size, this.t1);
      this.setReg(rm, size, this.t0);
      return;
    }
    const a = f.local();
    this.readModify(i, a);
    this.getReg(reg, size);
    f.set(this.t0);
    if (memory) {
      f.get(this.addr);
      f.get(this.t0);
      this.rawStore(size);
    } else this.setReg(rm, size, this.t0);
    this.setReg(reg, size, a);
  }

  /** Shifts and rotates by a constant or, for dwords, by CL; the rest is left to the interpreter (canTranslate). */
  private shift(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { size } = this.get(i);
    const a = f.local();
    const r = f.local();
    const byCl = args.endsWith('CL');
    const n = f.local();
    const constant = args.endsWith('1') ? 1 : code[i + R.IMM] & 31;
    if (!byCl && constant === 0) return;
    this.readModify(i, a);
    if (byCl) {
      f.get(ECX);
      f.i32(31);
      f.op(OP.i32_and);
    } else f.i32(constant);
    f.set(n);
    const rotate = name === 'rol' || name === 'ror';
    const op = { shl: OP.i32_shl, shr: OP.i32_shr_u, sar: OP.i32_shr_s, rol: OP.i32_rotl, ror: OP.i32_rotr }[name] ?? OP.i32_shl;
    f.get(a);
    if (name === 'sar') this.extend(size);
    f.get(n);
    f.op(op);
    f.set(r);
    this.writeBack(i, r);
    if (this.flagsDead) return;
    if (byCl) {
      // A count of zero leaves the flags alone.
      this.canonical();
      f.get(n);
      f.block(OP.if);
    }
    if (rotate) {
      // CF: the bit that went round (rol: bit 0, ror: bit 31); OF: rol MSB ^ CF, ror two top bits; the rest stays. Dwords only.
      this.canonical();
      const cf = f.local();
      f.get(r);
      if (name === 'ror') {
        f.i32(31);
        f.op(OP.i32_shr_u);
      } else {
        f.i32(1);
        f.op(OP.i32_and);
      }
      f.set(cf);
      f.get(this.fa);
      f.i32(0x3fffffff);
      f.op(OP.i32_and);
      f.get(cf);
      f.i32(31);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
      // bit 30 = CF ^ OF: rol: OF = MSB ^ CF, so bit 30 = MSB; ror: OF = MSB ^ next, CF = MSB, so bit 30 = next.
      f.get(r);
      if (name === 'ror') {
        f.i32(1);
        f.op(OP.i32_shl);
      }
      f.i32(1);
      f.op(OP.i32_shr_u);
      f.i32(0x40000000);
      f.op(OP.i32_and);
      f.op(OP.i32_or);
      f.set(this.fa);
      this.flags = KIND.AUX;
    } else {
      const bits = 8 << size;
      f.get(r);
      this.extend(size);
      f.set(this.fr);
      const cf = f.local();
      // The last bit out.
      if (name === 'shl') {
        f.get(a);
        f.i32(bits);
        f.get(n);
        f.op(OP.i32_sub);
        f.op(OP.i32_shr_u);
      } else {
        f.get(a);
        if (name === 'sar') this.extend(size);
        f.get(n);
        f.i32(1);
        f.op(OP.i32_sub);
        f.op(name === 'sar' ? OP.i32_shr_s : OP.i32_shr_u);
      }
      f.i32(1);
      f.op(OP.i32_and);
      f.set(cf);
      f.get(cf);
      f.i32(31);
      f.op(OP.i32_shl);
      // bit 30 = CF ^ OF. shl: OF = MSB(result) ^ CF. shr: OF = the result's second bit (MSB(a) for a count of 1). sar: OF = 0.
      if (name === 'shl') {
        f.get(this.fr);
        f.i32(31);
        f.op(OP.i32_shr_u);
      } else if (name === 'shr') {
        f.get(cf);
        f.get(r);
        f.i32(bits - 2);
        f.op(OP.i32_shr_u);
        f.i32(1);
        f.op(OP.i32_and);
        f.op(OP.i32_xor);
      } else f.get(cf);
      f.i32(30);
      f.op(OP.i32_shl);
      f.op(OP.i32_or);
      f.set(this.fa);
      this.flags = KIND.AUX;
    }
    if (byCl) f.op(OP.end);
    this.compared = undefined;
  }

  private doubleShift(i: number, left: boolean, args: string): void {
    const { f, code } = this;
    const { reg } = this.get(i);
    const constant = code[i + R.IMM] & 31;
    if (!args.endsWith('CL') && constant === 0) return;
    const a = f.local();
    const n = f.local();
    const r = f.local();
    this.readModify(i, a);
    f.i32(constant);
    f.set(n);
    f.get(a);
    f.get(n);
    f.op(left ? OP.i32_shl : OP.i32_shr_u);
    f.get(reg);
    f.i32(32);
    f.get(n);
    f.op(OP.i32_sub);
    f.op(left ? OP.i32_shr_u : OP.i32_shl);
    f.op(OP.i32_or);
    f.set(r);
    this.writeBack(i, r);
    if (this.flagsDead) return;
    f.get(r);
    f.set(this.fr);
    const cf = f.local();
    f.get(a);
    if (left) f.i32(32 - constant);
    else f.i32(constant - 1);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.set(cf);
    f.get(cf);
    f.i32(31);
    f.op(OP.i32_shl);
    // OF as the interpreter has it for every count. bit 30 = CF ^ OF: shld MSB(r), shrd CF ^ the two top bits of r.
    f.get(r);
    f.i32(31);
    f.op(OP.i32_shr_u);
    if (!left) {
      f.get(r);
      f.i32(30);
      f.op(OP.i32_shr_u);
      f.op(OP.i32_xor);
      f.i32(1);
      f.op(OP.i32_and);
      f.get(cf);
      f.op(OP.i32_xor);
    }
    f.i32(30);
    f.op(OP.i32_shl);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = undefined;
  }

  private imul(i: number, args: string): void {
    const { f, code } = this;
    const { reg } = this.get(i);
    this.getE(i);
    f.op(OP.i64_extend_i32_s);
    if (args === 'Gv Ev') f.get(reg);
    else f.i32(code[i + R.IMM]);
    f.op(OP.i64_extend_i32_s);
    f.op(OP.i64_mul);
    f.tee(this.l0);
    f.op(OP.i32_wrap_i64);
    f.set(reg);
    this.productFlags(reg, true);
  }
  /** Flags of a multiplication whose product is in l0, low dword in local `low`: CF = OF = the high half matters. */
  private productFlags(low: number, signed: boolean): void {
    if (this.flagsDead) return;
    const { f } = this;
    f.get(low);
    f.set(this.fr);
    f.get(low);
    f.op(signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u);
    f.get(this.l0);
    f.op(OP.i64_ne);
    // CF = OF, so bit 30 is 0. AF and the parity follow the interpreter: AF 0, result = low dword.
    f.i32(31);
    f.op(OP.i32_shl);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = undefined;
  }
  private multiply(i: number, signed: boolean): void {
    const { f } = this;
    const extend = signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u;
    this.getE(i);
    f.op(extend);
    f.get(EAX);
    f.op(extend);
    f.op(OP.i64_mul);
    f.tee(this.l0);
    f.op(OP.i32_wrap_i64);
    f.set(EAX);
    f.get(this.l0);
    f.i64(32n);
    f.op(OP.i64_shr_u);
    f.op(OP.i32_wrap_i64);
    f.set(EDX);
    this.productFlags(EAX, signed);
  }
  /** 32-bit division; anything that would raise #DE goes to the interpreter. Flags are left as they are (undefined on hardware). */
  private divide(i: number, signed: boolean): void {
    const { f } = this;
    const divisor = f.local();
    this.getE(i);
    f.set(divisor);
    const leave = (): void => {
      f.block(OP.if);
      this.labels.push({ target: -2 });
      f.i32(0);
      f.i32(2);
      f.mem(OP.i32_store, J.STATUS, 2);
      this.exitAt(this.eip, this.refund);
      this.labels.pop();
      f.op(OP.end);
    };
    f.get(divisor);
    f.op(OP.i32_eqz);
    leave();
    const q = f.local(I64);
    f.get(EDX);
    f.op(OP.i64_extend_i32_u);
    f.i64(32n);
    f.op(OP.i64_shl);
    f.get(EAX);
    f.op(OP.i64_extend_i32_u);
    f.op(OP.i64_or);
    f.set(this.l0);
    if (signed) {
      // -2^63 / -1 would trap in WebAssembly; EDX = 80000000 never gives a quotient that fits.
      f.get(EDX);
      f.i32(0x80000000 | 0);
      f.op(OP.i32_eq);
      leave();
    }
    const extend = signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u;
    f.get(this.l0);
    f.get(divisor);
    f.op(extend);
    f.op(signed ? OP.i64_div_s : OP.i64_div_u);
    f.tee(q);
    f.get(q);
    f.op(OP.i32_wrap_i64);
    f.op(extend);
    f.op(OP.i64_ne);
    leave();
    f.get(this.l0);
    f.get(q);
    f.get(divisor);
    f.op(extend);
    f.op(OP.i64_mul);
    f.op(OP.i64_sub);
    f.op(OP.i32_wrap_i64);
    f.set(EDX);
    f.get(q);
    f.op(OP.i32_wrap_i64);
    f.set(EAX);
  }

  /** BT, BTS, BTR, BTC on dwords. */
  private bitTest(i: number, name: string, args: string): void {
    const { f, code } = this;
    const { reg, rm, memory } = this.get(i);
    const writes = name !== 'bt';
    const value = f.local();
    const n = f.local();
    if (args === 'Ev Ib') f.i32(code[i + R.IMM] & 31);
    else {
      f.get(reg);
      f.i32(31);
      f.op(OP.i32_and);
    }
    f.set(n);
    if (memory) {
      this.ea(i);
      if (args !== 'Ev Ib') {
        // A register's bit offset reaches beyond the dword.
        f.get(reg);
        f.i32(5);
        f.op(OP.i32_shr_s);
        f.i32(2);
        f.op(OP.i32_shl);
        f.op(OP.i32_add);
      }
      if (writes) {
        this.probe(2);
        f.get(this.addr);
        this.rawLoad(2);
      } else this.load(2);
    } else f.get(rm);
    f.set(value);
    if (writes) {
      const r = f.local();
      f.get(value);
      f.i32(1);
      f.get(n);
      f.op(OP.i32_shl);
      if (name === 'btr') {
        f.i32(-1);
        f.op(OP.i32_xor);
      }
      f.op(name === 'bts' ? OP.i32_or : name === 'btr' ? OP.i32_and : OP.i32_xor);
      f.set(r);
      this.writeBack(i, r);
    }
    if (this.flagsDead) return;
    this.canonical();
    f.get(value);
    f.get(n);
    f.op(OP.i32_shr_u);
    f.i32(1);
    f.op(OP.i32_and);
    f.set(this.t0);
    // Only CF changes; OF is kept, so bit 30 (CF ^ OF) flips with CF.
    f.get(this.fa);
    f.get(this.fa);
    f.i32(31);
    f.op(OP.i32_shr_u);
    f.get(this.t0);
    f.op(OP.i32_ne);
    f.i32(30);
    f.op(OP.i32_shl);
    f.i32(3);
    f.op(OP.i32_mul);
    f.op(OP.i32_xor);
    f.set(this.fa);
    this.compared = undefined;
  }

  /** BSF and BSR on dwords; zero leaves the destination alone, the undefined flags are cleared as in the interpreter. */
  private bitScan(i: number, forward: boolean): void {
    const { f } = this;
    const { reg } = this.get(i);
    const value = f.local();
    this.getE(i);
    f.tee(value);
    f.block(OP.if);
    if (forward) {
      f.get(value);
      f.op(OP.i32_ctz);
    } else {
      f.i32(31);
      f.get(value);
      f.op(OP.i32_clz);
      f.op(OP.i32_sub);
    }
    f.set(reg);
    f.op(OP.end);
    if (this.flagsDead) return;
    f.get(value);
    f.i32(0);
    f.op(OP.i32_ne);
    f.set(this.fr);
    f.i32(0);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = undefined;
  }

  /** MOVS, LODS, STOS, SCAS, CMPS without a repeat prefix. */
  private string(i: number, name: string): void {
    const { f } = this;
    const { size } = this.get(i);
    const step = f.local();
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
    const a = f.local();
    const b = f.local();
    const r = f.local();
    const compare = (): void => {
      f.get(a);
      f.get(b);
      f.op(OP.i32_sub);
      f.set(r);
      this.arithmeticFlags(size === 2 ? KIND.SUB32 : size === 1 ? KIND.SUB16 : KIND.SUB8, size, a, b, r);
      if (!this.flagsDead) this.compared = true;
    };
    switch (name) {
      case 'movs':
        f.get(ESI);
        this.load(size);
        f.set(a);
        f.get(EDI);
        this.store(size, a);
        move(ESI);
        move(EDI);
        return;
      case 'lods':
        f.get(ESI);
        this.load(size);
        f.set(a);
        this.setReg(EAX, size, a);
        move(ESI);
        return;
      case 'stos':
        f.get(EDI);
        this.store(size, EAX);
        move(EDI);
        return;
      case 'scas':
        this.getReg(EAX, size);
        f.set(a);
        f.get(EDI);
        this.load(size);
        f.set(b);
        compare();
        move(EDI);
        return;
      default:
        f.get(ESI);
        this.load(size);
        f.set(a);
        f.get(EDI);
        this.load(size);
        f.set(b);
        compare();
        move(ESI);
        move(EDI);
    }
  }

  /** An x87 instruction by its kernel entry; what the entry does not take on is the handler's. */
  private x87(i: number, name: string): void {
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
  private otherwise(i: number, after: FlagState): void {
    const { f } = this;
    f.block(OP.if);
    this.labels.push({ target: -2 });
    this.interpret(i);
    this.labels.pop();
    f.op(OP.end);
    this.flags = after;
  }

  private storeStatusWord(i: number): void {
    const { f } = this;
    const wait = f.local();
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

  /** SF ZF AF PF CF from AH; OF stays. See flags.ts for the words. */
  private sahf(): void {
    const { f } = this;
    const of = f.local();
    const h = f.local();
    if (this.flags === 'memory') this.loadFlags();
    this.overflow();
    f.set(of);
    f.get(EAX);
    f.i32(8);
    f.op(OP.i32_shr_u);
    f.set(h);
    const bit = (n: number): void => {
      f.get(h);
      if (n > 0) {
        f.i32(n);
        f.op(OP.i32_shr_u);
      }
      f.i32(1);
      f.op(OP.i32_and);
    };
    const place = (n: number): void => {
      if (n > 0) {
        f.i32(n);
        f.op(OP.i32_shl);
      }
    };
    bit(6);
    f.op(OP.i32_eqz);
    f.set(this.fr);
    bit(0);
    place(31);
    bit(0);
    f.get(of);
    f.op(OP.i32_xor);
    place(30);
    f.op(OP.i32_or);
    bit(4);
    place(3);
    f.op(OP.i32_or);
    bit(7);
    f.op(OP.i32_or);
    bit(2);
    bit(6);
    f.op(OP.i32_xor);
    place(8);
    f.op(OP.i32_or);
    f.set(this.fa);
    this.flags = KIND.AUX;
    this.compared = undefined;
  }
}
