// One instruction of a block: which piece of the translator does it, and the small ones at once.
//
// Whatever has no code here is done by the interpreter's handler, called from the region. Must agree with coverage.ts. What it leaves out: block ends (translate.ts).

import { R } from '../decode';
import { ROWS } from '../rows';
import { EAX, EBP, EDX, ESP, S } from '../state';
import { canTranslate, SEGMENT_NAMES, X87_ENTRY } from './coverage';
import { OP } from './wasm';
import { Special } from './special';

export abstract class Instructions extends Special {
  protected instruction(i: number): void {
    const { f, code } = this;
    const form = code[i + R.FORM];
    const row = ROWS[form >> 3];
    const { reg, rm, memory, size } = this.get(i);
    const name = row.name;
    if (!canTranslate(code, i)) {
      this.interpret(i);
      this.compared = false;
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
        {
          const { base, index, disp, narrow } = this.offsetOf(i);
          const value = this.values[base];
          const offset = this.offsets[base];
          this.setReg(reg, size, this.t0);
          if (size === 2 && !narrow && base !== 8 && index === 8) this.isNow(reg, value, offset, disp);
        }
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
        else this.immediate(i);
        f.set(this.t0);
        this.push(this.t0);
        return;
      case 'push_sreg':
        f.i32(0);
        f.mem(OP.i32_load, S.SELECTOR + 4 * SEGMENT_NAMES.indexOf(row.args), 2);
        f.set(this.t0);
        this.push(this.t0);
        return;
      case 'pusha':
        // EAX first, EDI last and lowest; ESP as it was.
        for (let n = 0; n < 8; n++) this.store(this.based(ESP, -4 * (n + 1)), 2, n);
        this.move(ESP, -32);
        return;
      case 'popa': {
        const values = Array.from({ length: 8 }, () => this.temp());
        values.forEach((value, n) => {
          this.load(this.based(ESP, 4 * n), 2);
          f.set(value);
        });
        values.forEach((value, n) => {
          if (7 - n === ESP) return;
          f.get(value);
          f.set(7 - n);
        });
        this.move(ESP, 32);
        return;
      }
      case 'pop':
        if (row.args === 'Zv') {
          this.pop(rm);
          return;
        }
        break;
      case 'leave':
        this.load(this.based(EBP), 2);
        f.set(this.t0);
        f.get(EBP);
        f.i32(4);
        f.op(OP.i32_add);
        f.set(ESP);
        this.isNow(ESP, this.values[EBP], this.offsets[EBP], 4);
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
          this.load(this.refOf(i), from, signed);
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
      case 'xadd':
        this.exchangeAdd(i);
        return;
      case 'cmpxchg':
        this.compareExchange(i);
        return;
      case 'shl':
      case 'shr':
      case 'sar':
      case 'rol':
      case 'ror':
      case 'rcl':
      case 'rcr':
        this.shift(i, name, row.args);
        return;
      case 'shld':
      case 'shrd':
        this.doubleShift(i, name === 'shld');
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
        this.compared = false;
        return;
      }
      case 'nop_ev':
        return;
      case 'cld':
      case 'std':
        this.direction(name === 'std');
        return;
      case 'sahf':
        this.sahf();
        return;
      case 'lahf':
        this.lahf();
        return;
      case 'pushf':
        this.pushFlags();
        return;
      case 'fnstsw_ax':
        this.storeStatusWord(i);
        return;
      default:
        if (name.startsWith('set')) {
          this.condition(row.op & 15);
          f.set(this.t0);
          if (memory) this.store(this.refOf(i), 0, this.t0);
          else this.setReg(rm, 0, this.t0);
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
    this.compared = false;
  }
}
