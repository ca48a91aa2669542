// The code of every case: what one instruction does, on its plain road, as WebAssembly.
//
// A case finds its record at `i`, works on the state block and the machine's memory, and goes on to the next record, or to the end of the block. Whatever is not plain
// (a page that the TLB does not have, an operand across a page end, a division that faults) goes to the exit "slow" before anything has changed: the form's handler does
// the instruction then. The machine is known to have flat DS, ES and SS, a 32-bit stack and a code segment of 4 GB. Results are the handlers' to the bit
// (test/i386/quick/cases.test.ts). What it leaves out: the loop around the cases (quick.ts).

import { R } from '../decode';
import { FunctionBody, I64, OP } from '../jit/wasm';
import { CODE, EAX, EBP, ECX, EDI, EDX, ESI, ESP, FL, S } from '../state';

/** Bits of FLAG_AUX (flags.ts). */
const AUX_BITS = 0xc0000008 | 0;
const OTHERS = 0x3fffffff;
const reg = (n: number): number => S.REGS + 4 * n;

type Size = 0 | 1 | 2;
/** Pushes a value. */
type Push = () => void;

/** One function with the cases in it. The exits are depths of enclosing blocks, told for each case. */
export class Cases extends FunctionBody {
  // Parameters.
  readonly at = 0;
  readonly i = 1;
  readonly chain = 2;
  // Locals.
  readonly last = this.local();
  readonly eip = this.local();
  readonly next = this.local();
  readonly readTable = this.local();
  readonly writeTable = this.local();
  readonly a = this.local();
  readonly t = this.local();
  /** Block entry whose first link is the one to the next block, or 4 more for its second link; the entry of the next block. */
  readonly link = this.local();
  readonly to = this.local();
  private readonly regs = this.local();
  private readonly e = this.local();
  private readonly x = this.local();
  private readonly y = this.local();
  private readonly r = this.local();
  private readonly carries = this.local();
  private readonly wide = this.local(I64);
  /** Depth of the exit "next record"; the others lie beyond it. */
  private exits = 0;

  constructor() {
    super(3);
  }

  // ---- pieces ---------------------------------------------------------------------------------------------------------------------------

  field(n: number): void {
    this.get(this.i);
    this.mem(OP.i32_load, CODE + 4 * n, 2);
  }
  load(address: number): void {
    this.i32(0);
    this.mem(OP.i32_load, address, 2);
  }
  store(address: number, value: Push): void {
    this.i32(0);
    value();
    this.mem(OP.i32_store, address, 2);
  }
  /** Applies an operation to two constants or values. */
  private with(value: number, opcode: number): void {
    this.i32(value);
    this.op(opcode);
  }
  private toNext(): void {
    this.br(OP.br, this.exits);
  }
  private toTaken(opcode: number = OP.br): void {
    this.br(opcode, this.exits + 1);
  }
  private toSlow(): void {
    this.br(OP.br_if, this.exits + 2);
  }
  private toDone(): void {
    this.br(OP.br, this.exits + 3);
  }
  private inside(opcode: number, body: () => void): void {
    super.block(opcode);
    this.exits++;
    body();
    this.exits--;
    this.op(OP.end);
  }

  private loadRegs(): void {
    this.field(R.REGS);
    this.set(this.regs);
  }
  /** Address of the register that the record names: 'G' by its low field, 'E' by the next one. */
  private place(letter: 'E' | 'G', size: Size): void {
    if (size === 0) {
      // AL CL DL BL AH CH DH BH.
      this.get(this.regs);
      if (letter === 'G') this.with(2, OP.i32_shl);
      else this.with(2, OP.i32_shr_u);
      this.with(12, OP.i32_and);
      this.get(this.regs);
      this.with(letter === 'G' ? 2 : 6, OP.i32_shr_u);
      this.with(1, OP.i32_and);
      this.op(OP.i32_or);
      return;
    }
    this.get(this.regs);
    if (letter === 'G') {
      this.with(7, OP.i32_and);
      this.with(2, OP.i32_shl);
    } else {
      this.with(2, OP.i32_shr_u);
      this.with(28, OP.i32_and);
    }
  }
  private register(letter: 'E' | 'G', size: Size): void {
    this.place(letter, size);
    this.mem(LOADS[size], S.REGS, size);
  }
  private setRegister(letter: 'E' | 'G', size: Size, value: Push): void {
    this.place(letter, size);
    value();
    this.mem(STORES[size], S.REGS, size);
  }

  /** The memory operand's linear address into `a`. */
  private address(): void {
    this.field(R.EA);
    this.tee(this.e);
    this.with(15, OP.i32_and);
    this.with(2, OP.i32_shl);
    this.mem(OP.i32_load, S.REGS, 2);
    this.get(this.e);
    this.with(2, OP.i32_shr_u);
    this.with(60, OP.i32_and);
    this.mem(OP.i32_load, S.REGS, 2);
    this.get(this.e);
    this.with(8, OP.i32_shr_u);
    this.op(OP.i32_shl);
    this.op(OP.i32_add);
    this.field(R.DISP);
    this.op(OP.i32_add);
    this.set(this.a);
  }
  /** From linear address to place in the memory, both in `a`. */
  private translate(write: boolean, size: Size, a = this.a): void {
    this.get(a);
    this.with(12, OP.i32_shr_u);
    this.with(2, OP.i32_shl);
    this.get(write ? this.writeTable : this.readTable);
    this.op(OP.i32_add);
    this.mem(OP.i32_load, 0, 2);
    this.tee(this.t);
    if (size === 0) {
      this.with(1, OP.i32_and);
      this.op(OP.i32_eqz);
      this.toSlow();
    } else {
      const low = (1 << size) - 1;
      this.get(a);
      this.with(-1, OP.i32_xor);
      this.op(OP.i32_and);
      this.with(low, OP.i32_and);
      this.with(low, OP.i32_ne);
      // Not aligned is plain too, within the page.
      this.inside(OP.if, () => {
        this.get(this.t);
        this.with(1, OP.i32_and);
        this.op(OP.i32_eqz);
        this.get(a);
        this.with(0xfff, OP.i32_and);
        this.with(0x1000 - (1 << size), OP.i32_gt_u);
        this.op(OP.i32_or);
        this.toSlow();
      });
    }
    this.get(a);
    this.get(this.t);
    this.op(OP.i32_add);
    this.with(1, OP.i32_add);
    this.set(a);
  }
  private fetch(size: Size): void {
    this.get(this.a);
    this.mem(LOADS[size], 0);
  }
  private put(size: Size, value: Push): void {
    this.get(this.a);
    value();
    this.mem(STORES[size], 0);
  }
  /** Address and translation of the memory operand. */
  private operand(write: boolean, size: Size): void {
    this.address();
    this.translate(write, size);
  }
  /** Reads operand E (or M) of an instruction into a local. */
  private source(letter: string, size: Size, into: number): void {
    if (letter === 'M') {
      this.operand(false, size);
      this.fetch(size);
    } else this.register('E', size);
    this.set(into);
  }

  // ---- flags ------------------------------------------------------------------------------------------------------------------------------

  private aux(): void {
    this.load(S.FLAG_AUX);
  }
  private result(): void {
    this.load(S.FLAG_RESULT);
  }
  private setAux(value: Push): void {
    this.store(S.FLAG_AUX, value);
  }
  private setResult(size: Size): void {
    this.store(S.FLAG_RESULT, () => {
      this.get(this.r);
      if (size === 0) this.op(OP.i32_extend8_s);
      else if (size === 1) this.op(OP.i32_extend16_s);
    });
  }
  /** FLAG_AUX from the carries of x + y = r or the borrows of x - y = r. */
  private setCarries(subtract: boolean, size: Size): void {
    const { x, y, r } = this;
    const head = (): void => {
      this.get(x);
      if (subtract) this.with(-1, OP.i32_xor);
    };
    head();
    this.get(y);
    this.op(OP.i32_and);
    head();
    this.get(y);
    this.op(OP.i32_or);
    this.get(r);
    if (!subtract) this.with(-1, OP.i32_xor);
    this.op(OP.i32_and);
    this.op(OP.i32_or);
    if (size === 2) {
      this.set(this.carries);
      this.setAux(() => {
        this.get(this.carries);
        this.with(AUX_BITS, OP.i32_and);
      });
      return;
    }
    this.set(this.carries);
    this.setAux(() => {
      this.get(this.carries);
      this.with(size === 0 ? 24 : 16, OP.i32_shl);
      this.with(0xc0000000 | 0, OP.i32_and);
      this.get(this.carries);
      this.with(8, OP.i32_and);
      this.op(OP.i32_or);
    });
  }
  /** r = x op y, with all flags. */
  private arithmetic(name: string, size: Size): void {
    const { x, y, r } = this;
    this.get(x);
    this.get(y);
    switch (name) {
      case 'add':
        this.op(OP.i32_add);
        break;
      case 'adc':
        this.op(OP.i32_add);
        this.aux();
        this.with(31, OP.i32_shr_u);
        this.op(OP.i32_add);
        break;
      case 'sub':
      case 'cmp':
        this.op(OP.i32_sub);
        break;
      case 'sbb':
        this.op(OP.i32_sub);
        this.aux();
        this.with(31, OP.i32_shr_u);
        this.op(OP.i32_sub);
        break;
      case 'or':
        this.op(OP.i32_or);
        break;
      case 'xor':
        this.op(OP.i32_xor);
        break;
      default:
        this.op(OP.i32_and);
    }
    this.set(r);
    if (name === 'add' || name === 'adc') this.setCarries(false, size);
    else if (name === 'sub' || name === 'cmp' || name === 'sbb') this.setCarries(true, size);
    else this.setAux(() => this.i32(0));
    this.setResult(size);
  }
  /** Pushes something that is not zero exactly when the condition (its number in the opcode map) holds. */
  private condition(cc: number): void {
    switch (cc >> 1) {
      case 0:
        this.aux();
        this.aux();
        this.with(1, OP.i32_shl);
        this.op(OP.i32_xor);
        this.with(31, OP.i32_shr_u);
        break;
      case 1:
        this.aux();
        this.with(31, OP.i32_shr_u);
        break;
      case 2:
        this.result();
        this.op(OP.i32_eqz);
        break;
      case 3:
        this.aux();
        this.with(31, OP.i32_shr_u);
        this.result();
        this.op(OP.i32_eqz);
        this.op(OP.i32_or);
        break;
      case 4:
        this.result();
        this.aux();
        this.with(31, OP.i32_shl);
        this.op(OP.i32_xor);
        this.with(31, OP.i32_shr_u);
        break;
      case 5:
        this.result();
        this.aux();
        this.with(8, OP.i32_shr_u);
        this.op(OP.i32_xor);
        this.with(0xff, OP.i32_and);
        this.op(OP.i32_popcnt);
        this.with(1, OP.i32_and);
        this.op(OP.i32_eqz);
        break;
      default:
        this.result();
        this.aux();
        this.tee(this.t);
        this.with(31, OP.i32_shl);
        this.op(OP.i32_xor);
        this.get(this.t);
        this.op(OP.i32_xor);
        this.get(this.t);
        this.with(1, OP.i32_shl);
        this.op(OP.i32_xor);
        this.with(31, OP.i32_shr_u);
        if (cc >> 1 === 7) {
          this.result();
          this.op(OP.i32_eqz);
          this.op(OP.i32_or);
        }
    }
    if (cc & 1) this.op(OP.i32_eqz);
  }

  // ---- families ---------------------------------------------------------------------------------------------------------------------------

  private alu(name: string, size: Size, form: string): void {
    const { x, y, r } = this;
    const keeps = name !== 'cmp' && name !== 'test';
    const immediate = (): void => {
      this.field(R.IMM);
      this.set(y);
    };
    const value = (): void => this.get(r);
    if (form === 'AI') {
      this.i32(0);
      this.mem(LOADS[size], reg(EAX), size);
      this.set(x);
      immediate();
      this.arithmetic(name, size);
      if (keeps) {
        this.i32(0);
        this.get(r);
        this.mem(STORES[size], reg(EAX), size);
      }
      this.toNext();
      return;
    }
    this.loadRegs();
    const [to, from] = form as unknown as [string, string];
    if (to === 'M') {
      this.operand(keeps, size);
      this.fetch(size);
      this.set(x);
    } else {
      this.register(to as 'E' | 'G', size);
      this.set(x);
    }
    if (from === 'M') {
      this.operand(false, size);
      this.fetch(size);
      this.set(y);
    } else if (from === 'I') immediate();
    else {
      this.register(from as 'E' | 'G', size);
      this.set(y);
    }
    this.arithmetic(name, size);
    if (keeps) {
      if (to === 'M') this.put(size, value);
      else this.setRegister(to as 'E' | 'G', size, value);
    }
    this.toNext();
  }

  private move(size: Size, form: string): void {
    if (form === 'AO') {
      this.operand(false, size);
      this.i32(0);
      this.fetch(size);
      this.mem(STORES[size], reg(EAX), size);
    } else if (form === 'OA') {
      this.operand(true, size);
      this.put(size, () => {
        this.i32(0);
        this.mem(LOADS[size], reg(EAX), size);
      });
    } else {
      const [to, from] = form as unknown as [string, string];
      const value = (): void => {
        if (from === 'I') this.field(R.IMM);
        else if (from === 'M') this.fetch(size);
        else this.register(from as 'E' | 'G', size);
      };
      this.loadRegs();
      if (to === 'M' || from === 'M') this.operand(to === 'M', size);
      if (to === 'M') this.put(size, value);
      else this.setRegister(to as 'E' | 'G', size, value);
    }
    this.toNext();
  }

  /** INC and DEC: the carry stays, so OF is worked out against it. */
  private step(name: string, size: Size, letter: string): void {
    const { x, r, carries } = this;
    const up = name === 'inc';
    this.loadRegs();
    if (letter === 'M') {
      this.operand(true, size);
      this.fetch(size);
    } else this.register('E', size);
    this.tee(x);
    this.with(1, up ? OP.i32_add : OP.i32_sub);
    this.set(r);
    this.aux();
    this.with(1 << 31, OP.i32_and);
    this.set(carries);
    // (up ? ~x & r : x & ~r)
    const sign = (): void => {
      this.get(up ? x : r);
      this.with(-1, OP.i32_xor);
      this.get(up ? r : x);
      this.op(OP.i32_and);
      if (size === 0) this.with(24, OP.i32_shl);
    };
    this.setAux(() => {
      this.get(carries);
      sign();
      this.get(carries);
      this.op(OP.i32_xor);
      this.with(1, OP.i32_shr_u);
      this.with(0x40000000, OP.i32_and);
      this.op(OP.i32_or);
      this.get(up ? r : x);
      this.with(-1, OP.i32_xor);
      this.get(up ? x : r);
      this.op(OP.i32_and);
      this.with(8, OP.i32_and);
      this.op(OP.i32_or);
    });
    this.setResult(size);
    if (letter === 'M') this.put(size, () => this.get(r));
    else this.setRegister('E', size, () => this.get(r));
    this.toNext();
  }

  private negate(letter: string): void {
    const { x, y, r } = this;
    this.loadRegs();
    if (letter === 'M') {
      this.operand(true, 2);
      this.fetch(2);
    } else this.register('E', 2);
    this.set(y);
    this.i32(0);
    this.set(x);
    this.arithmetic('sub', 2);
    if (letter === 'M') this.put(2, () => this.get(r));
    else this.setRegister('E', 2, () => this.get(r));
    this.toNext();
  }
  private invert(letter: string): void {
    this.loadRegs();
    const value = (): void => {
      if (letter === 'M') this.fetch(2);
      else this.register('E', 2);
      this.with(-1, OP.i32_xor);
    };
    if (letter === 'M') {
      this.operand(true, 2);
      this.put(2, value);
    } else this.setRegister('E', 2, value);
    this.toNext();
  }

  private extend(name: string, letter: string): void {
    const size: Size = name.endsWith('b') ? 0 : 1;
    this.loadRegs();
    if (letter === 'M') this.operand(false, size);
    this.setRegister('G', 2, () => {
      if (letter === 'M') this.fetch(size);
      else this.register('E', size);
      if (name.startsWith('movsx')) this.op(size === 0 ? OP.i32_extend8_s : OP.i32_extend16_s);
    });
    this.toNext();
  }

  /** Pushes a value held by `x`. Order: the write that may fail, then ESP. */
  private pushX(): void {
    this.load(reg(ESP));
    this.with(4, OP.i32_sub);
    this.tee(this.a);
    this.set(this.r);
    this.translate(true, 2);
    this.put(2, () => this.get(this.x));
    this.store(reg(ESP), () => this.get(this.r));
  }
  private push(letter: string): void {
    if (letter === 'I') {
      this.field(R.IMM);
      this.set(this.x);
    } else {
      this.loadRegs();
      this.source(letter, 2, this.x);
    }
    this.pushX();
    this.toNext();
  }
  private pop(): void {
    this.loadRegs();
    this.load(reg(ESP));
    this.tee(this.a);
    this.set(this.r);
    this.translate(false, 2);
    this.store(reg(ESP), () => {
      this.get(this.r);
      this.with(4, OP.i32_add);
    });
    this.setRegister('E', 2, () => this.fetch(2));
    this.toNext();
  }
  private leave(): void {
    this.load(reg(EBP));
    this.tee(this.a);
    this.set(this.r);
    this.translate(false, 2);
    this.store(reg(ESP), () => {
      this.get(this.r);
      this.with(4, OP.i32_add);
    });
    this.store(reg(EBP), () => this.fetch(2));
    this.toNext();
  }

  /** The count of a shift into `t`; a count of zero changes nothing. */
  private count(how: string): void {
    if (how === '1') {
      this.i32(1);
      this.set(this.t);
      return;
    }
    if (how === 'C') this.load(reg(ECX));
    else this.field(R.IMM);
    this.with(31, OP.i32_and);
    this.tee(this.t);
    this.op(OP.i32_eqz);
    this.br(OP.br_if, this.exits);
  }
  private shift(name: string, how: string): void {
    const { x, r, t } = this;
    const rotates = name === 'rol' || name === 'ror';
    this.count(how);
    this.loadRegs();
    this.register('E', 2);
    this.tee(x);
    this.get(t);
    this.op({ shl: OP.i32_shl, shr: OP.i32_shr_u, sar: OP.i32_shr_s, rol: OP.i32_rotl, ror: OP.i32_rotr }[name] ?? OP.unreachable);
    this.set(r);
    this.setAux(() => {
      if (rotates) {
        this.aux();
        this.with(OTHERS, OP.i32_and);
      }
      switch (name) {
        case 'shl':
          this.get(x);
          this.i32(32);
          this.get(t);
          this.op(OP.i32_sub);
          this.op(OP.i32_shr_u);
          this.with(31, OP.i32_shl);
          this.get(r);
          this.with(1, OP.i32_shr_u);
          this.with(0x40000000, OP.i32_and);
          break;
        case 'shr':
          this.lastOut();
          this.with(31, OP.i32_shl);
          this.lastOut();
          this.with(30, OP.i32_shl);
          this.get(r);
          this.op(OP.i32_xor);
          this.with(0x40000000, OP.i32_and);
          break;
        case 'sar':
          this.lastOut();
          this.with(31, OP.i32_shl);
          this.lastOut();
          this.with(1, OP.i32_and);
          this.with(30, OP.i32_shl);
          break;
        case 'rol':
          this.get(r);
          this.with(31, OP.i32_shl);
          this.op(OP.i32_or);
          this.get(r);
          this.with(31, OP.i32_shr_u);
          this.with(30, OP.i32_shl);
          break;
        default:
          this.get(r);
          this.with(0xc0000000 | 0, OP.i32_and);
      }
      this.op(OP.i32_or);
    });
    if (!rotates) this.setResult(2);
    this.setRegister('E', 2, () => this.get(r));
    this.toNext();
  }
  /** Pushes x >> (t - 1), whose lowest bit is the last one shifted out to the right. */
  private lastOut(): void {
    this.get(this.x);
    this.get(this.t);
    this.with(1, OP.i32_sub);
    this.op(OP.i32_shr_s);
  }

  private double(name: string, how: string): void {
    const { x, y, r, t } = this;
    const left = name === 'shld';
    this.count(how);
    this.loadRegs();
    this.register('E', 2);
    this.tee(x);
    this.get(t);
    this.op(left ? OP.i32_shl : OP.i32_shr_u);
    this.register('G', 2);
    this.tee(y);
    this.i32(32);
    this.get(t);
    this.op(OP.i32_sub);
    this.op(left ? OP.i32_shr_u : OP.i32_shl);
    this.op(OP.i32_or);
    this.set(r);
    this.setAux(() => {
      if (left) {
        this.get(x);
        this.i32(32);
        this.get(t);
        this.op(OP.i32_sub);
        this.op(OP.i32_shr_u);
      } else this.lastOut();
      this.with(1, OP.i32_and);
      this.tee(this.carries);
      this.with(31, OP.i32_shl);
      // CF ^ OF: to the left the result's sign, to the right CF ^ (whether the two top bits differ).
      this.get(r);
      this.with(31, OP.i32_shr_u);
      if (!left) {
        this.get(r);
        this.with(30, OP.i32_shr_u);
        this.op(OP.i32_xor);
        this.get(this.carries);
        this.op(OP.i32_xor);
        this.with(1, OP.i32_and);
      }
      this.with(30, OP.i32_shl);
      this.op(OP.i32_or);
    });
    this.setResult(2);
    this.setRegister('E', 2, () => this.get(r));
    this.toNext();
  }

  /** Flags of a product: CF = OF = the upper half matters. The value on the stack says so. */
  private overflow(): void {
    this.set(this.t);
    this.setAux(() => {
      this.get(this.t);
      this.with(31, OP.i32_shl);
    });
    this.setResult(2);
  }
  private multiply(name: string, letter: string): void {
    const { x, y, r, wide } = this;
    const signed = name !== 'mul';
    const half = signed ? OP.i64_extend_i32_s : OP.i64_extend_i32_u;
    this.loadRegs();
    this.source(letter, 2, x);
    if (name === 'imul3') this.field(R.IMM);
    else if (name === 'imul2') this.register('G', 2);
    else this.load(reg(EAX));
    this.set(y);
    this.get(x);
    this.op(half);
    this.get(y);
    this.op(half);
    this.op(OP.i64_mul);
    this.tee(wide);
    this.op(OP.i32_wrap_i64);
    this.set(r);
    if (name === 'imul2' || name === 'imul3') this.setRegister('G', 2, () => this.get(r));
    else {
      this.store(reg(EAX), () => this.get(r));
      this.store(reg(EDX), () => {
        this.get(wide);
        this.i64(32n);
        this.op(OP.i64_shr_u);
        this.op(OP.i32_wrap_i64);
      });
    }
    this.get(wide);
    this.get(r);
    this.op(half);
    this.op(OP.i64_ne);
    this.overflow();
    this.toNext();
  }
  private divide(letter: string): void {
    const { x, y, wide } = this;
    this.loadRegs();
    this.source(letter, 2, x);
    // A quotient that does not fit, or division by zero.
    this.load(reg(EDX));
    this.tee(y);
    this.get(x);
    this.op(OP.i32_ge_u);
    this.toSlow();
    this.get(y);
    this.op(OP.i64_extend_i32_u);
    this.i64(32n);
    this.op(OP.i64_shl);
    this.load(reg(EAX));
    this.op(OP.i64_extend_i32_u);
    this.op(OP.i64_or);
    this.set(wide);
    for (const [to, opcode] of [
      [EAX, OP.i64_div_u],
      [EDX, OP.i64_rem_u],
    ]) {
      this.store(reg(to), () => {
        this.get(wide);
        this.get(x);
        this.op(OP.i64_extend_i32_u);
        this.op(opcode);
        this.op(OP.i32_wrap_i64);
      });
    }
    this.toNext();
  }

  private exchange(letter: string): void {
    const { x } = this;
    this.loadRegs();
    if (letter === 'A') {
      this.load(reg(EAX));
      this.set(x);
      this.store(reg(EAX), () => this.register('E', 2));
      this.setRegister('E', 2, () => this.get(x));
    } else if (letter === 'M') {
      this.operand(true, 2);
      this.fetch(2);
      this.set(x);
      this.put(2, () => this.register('G', 2));
      this.setRegister('G', 2, () => this.get(x));
    } else {
      this.register('E', 2);
      this.set(x);
      this.setRegister('E', 2, () => this.register('G', 2));
      this.setRegister('G', 2, () => this.get(x));
    }
    this.toNext();
  }

  private setByte(cc: number, letter: string): void {
    this.loadRegs();
    const value = (): void => {
      this.condition(cc);
      this.i32(0);
      this.op(OP.i32_ne);
    };
    if (letter === 'M') {
      this.operand(true, 0);
      this.put(0, value);
    } else this.setRegister('E', 0, value);
    this.toNext();
  }
  private moveIf(cc: number, letter: string): void {
    this.loadRegs();
    this.source(letter, 2, this.x);
    this.condition(cc);
    this.op(OP.i32_eqz);
    this.br(OP.br_if, this.exits);
    this.setRegister('G', 2, () => this.get(this.x));
    this.toNext();
  }

  private callTo(letter: string): void {
    if (letter !== '') {
      this.loadRegs();
      this.source(letter, 2, this.y);
    }
    this.get(this.eip);
    this.field(R.END);
    this.op(OP.i32_add);
    this.set(this.x);
    this.pushX();
    if (letter === '') {
      this.get(this.x);
      this.field(R.IMM);
      this.op(OP.i32_add);
    } else this.get(this.y);
    this.set(this.next);
    this.toDone();
  }
  private ret(more: boolean): void {
    this.load(reg(ESP));
    this.tee(this.a);
    this.set(this.r);
    this.translate(false, 2);
    this.store(reg(ESP), () => {
      this.get(this.r);
      this.with(4, OP.i32_add);
      if (!more) return;
      this.field(R.IMM);
      this.op(OP.i32_add);
    });
    this.fetch(2);
    this.set(this.next);
    this.toDone();
  }
  private jumpTo(letter: string): void {
    this.loadRegs();
    this.source(letter, 2, this.next);
    this.toDone();
  }
  private loop(name: string): void {
    this.store(reg(ECX), () => {
      this.load(reg(ECX));
      this.with(1, OP.i32_sub);
      this.tee(this.x);
    });
    this.get(this.x);
    this.i32(0);
    this.op(OP.i32_ne);
    if (name !== 'loop') {
      this.result();
      this.op(OP.i32_eqz);
      if (name === 'loopne') this.op(OP.i32_eqz);
      this.op(OP.i32_and);
    }
    this.toTaken(OP.br_if);
    this.toDone();
  }

  private bit(name: string, form: string): void {
    const { x, t } = this;
    this.loadRegs();
    const memory = form[0] === 'M';
    if (memory) {
      this.operand(name !== 'bt', 2);
      this.fetch(2);
    } else this.register('E', 2);
    this.set(x);
    if (form[1] === 'I') this.field(R.IMM);
    else this.register('G', 2);
    this.set(t);
    // CF becomes the bit; OF keeps its value, so the bit below changes with it.
    this.setAux(() => {
      this.aux();
      this.tee(this.carries);
      this.get(this.carries);
      this.with(31, OP.i32_shr_u);
      this.get(x);
      this.get(t);
      this.op(OP.i32_shr_u);
      this.with(1, OP.i32_and);
      this.op(OP.i32_xor);
      this.with(0xc0000000 | 0, OP.i32_mul);
      this.op(OP.i32_xor);
    });
    const value = (): void => {
      this.get(x);
      this.i32(1);
      this.get(t);
      this.op(OP.i32_shl);
      if (name === 'btr') this.with(-1, OP.i32_xor);
      this.op(name === 'bts' ? OP.i32_or : name === 'btr' ? OP.i32_and : OP.i32_xor);
    };
    if (name !== 'bt') {
      if (memory) this.put(2, value);
      else this.setRegister('E', 2, value);
    }
    this.toNext();
  }
  private scan(name: string, letter: string): void {
    const { x } = this;
    this.loadRegs();
    this.source(letter, 2, x);
    this.setAux(() => this.i32(0));
    this.store(S.FLAG_RESULT, () => {
      this.get(x);
      this.i32(0);
      this.op(OP.i32_ne);
    });
    this.get(x);
    this.op(OP.i32_eqz);
    this.br(OP.br_if, this.exits);
    this.setRegister('G', 2, () => {
      if (name === 'bsr') this.i32(31);
      this.get(x);
      this.op(name === 'bsf' ? OP.i32_ctz : OP.i32_clz);
      if (name === 'bsr') this.op(OP.i32_sub);
    });
    this.toNext();
  }

  /** One element of a string instruction; the decoder keeps repeated ones away from here. */
  private string(name: string, size: Size): void {
    const { x, y, a } = this;
    if (name === 'stos') {
      this.i32(0);
      this.mem(LOADS[size], reg(EAX), size);
      this.set(x);
    } else {
      this.load(reg(ESI));
      this.set(a);
      this.translate(false, size);
      this.fetch(size);
      this.set(x);
    }
    if (name !== 'lods') {
      this.load(reg(EDI));
      this.set(a);
      this.translate(true, size);
      this.put(size, () => this.get(x));
    } else {
      this.i32(0);
      this.get(x);
      this.mem(STORES[size], reg(EAX), size);
    }
    this.i32(-(1 << size));
    this.i32(1 << size);
    this.load(S.EFLAGS);
    this.with(FL.DF, OP.i32_and);
    this.op(OP.select);
    this.set(y);
    for (const n of [ESI, EDI]) {
      if ((n === ESI && name === 'stos') || (n === EDI && name === 'lods')) continue;
      this.store(reg(n), () => {
        this.load(reg(n));
        this.get(y);
        this.op(OP.i32_add);
      });
    }
    this.toNext();
  }

  // ---- all of them --------------------------------------------------------------------------------------------------------------------------

  /** Code of the case called `name`. @param exits depth of "next record"; after it "taken jump", "slow" and "block done". */
  make(name: string, exits: number): void {
    this.exits = exits;
    const [what, one, two, three] = name.split(' ');
    switch (what) {
      case 'alu':
        this.alu(one, Number(two) as Size, three);
        break;
      case 'mov':
        this.move(Number(one) as Size, two);
        break;
      case 'step':
        this.step(one, Number(two) as Size, three);
        break;
      case 'neg':
        this.negate(one);
        break;
      case 'not':
        this.invert(one);
        break;
      case 'extend':
        this.extend(one, two);
        break;
      case 'lea':
        this.loadRegs();
        this.address();
        this.setRegister('G', 2, () => this.get(this.a));
        this.toNext();
        break;
      case 'push':
        this.push(one);
        break;
      case 'pop':
        this.pop();
        break;
      case 'leave':
        this.leave();
        break;
      case 'shift':
        this.shift(one, two);
        break;
      case 'double':
        this.double(one, two);
        break;
      case 'imul2':
      case 'imul3':
      case 'imul':
      case 'mul':
        this.multiply(what, one);
        break;
      case 'div':
        this.divide(one);
        break;
      case 'cwde':
        this.store(reg(EAX), () => {
          this.load(reg(EAX));
          this.op(OP.i32_extend16_s);
        });
        this.toNext();
        break;
      case 'cdq':
        this.store(reg(EDX), () => {
          this.load(reg(EAX));
          this.with(31, OP.i32_shr_s);
        });
        this.toNext();
        break;
      case 'xchg':
        this.exchange(one);
        break;
      case 'set':
        this.setByte(Number(one), two);
        break;
      case 'cmov':
        this.moveIf(Number(one), two);
        break;
      case 'nop':
        this.toNext();
        break;
      case 'jump':
        this.condition(Number(one));
        this.toTaken(OP.br_if);
        this.toDone();
        break;
      case 'jmp':
        this.toTaken();
        break;
      case 'call':
        this.callTo('');
        break;
      case 'call_ind':
        this.callTo(one);
        break;
      case 'jmp_ind':
        this.jumpTo(one);
        break;
      case 'ret':
        this.ret(one === 'I');
        break;
      case 'jcxz':
        this.load(reg(ECX));
        this.op(OP.i32_eqz);
        this.toTaken(OP.br_if);
        this.toDone();
        break;
      case 'loop':
      case 'loope':
      case 'loopne':
        this.loop(what);
        break;
      case 'bit':
        this.bit(one, two);
        break;
      case 'scan':
        this.scan(one, two);
        break;
      case 'string':
        this.string(one, Number(two) as Size);
        break;
      default:
        throw new Error(`no code for the case "${name}"`);
    }
  }
}

const LOADS = [OP.i32_load8_u, OP.i32_load16_u, OP.i32_load] as const;
const STORES = [OP.i32_store8, OP.i32_store16, OP.i32_store] as const;
