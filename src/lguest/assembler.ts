// A very small assembler: just the instructions that the Switcher and the Host's stub are made of.
//
// The Switcher is real i386 machine code and really runs, so it is written as one would write it in assembly, one line an instruction, with the mnemonic
// visible. All operands are 32-bit. What it leaves out is nearly everything: see switcher.ts for its only customer.

/** Register numbers as in the instruction encoding. */
export const enum Reg {
  eax = 0,
  ecx = 1,
  edx = 2,
  ebx = 3,
  esp = 4,
  ebp = 5,
  esi = 6,
  edi = 7,
}
export type Segment = 'es' | 'ss' | 'ds' | 'fs' | 'gs';
const PUSH_SEGMENT: Record<Segment, number[]> = { es: [0x06], ss: [0x16], ds: [0x1e], fs: [0x0f, 0xa0], gs: [0x0f, 0xa8] };
const POP_SEGMENT: Record<Segment, number[]> = { es: [0x07], ss: [0x17], ds: [0x1f], fs: [0x0f, 0xa1], gs: [0x0f, 0xa9] };

export class Assembler {
  private readonly bytes: number[] = [];
  private readonly labels = new Map<string, number>();
  private readonly fixups: { at: number; label: string }[] = [];

  get here(): number {
    return this.bytes.length;
  }
  label(name: string): this {
    this.labels.set(name, this.here);
    return this;
  }
  offsetOf(label: string): number {
    const at = this.labels.get(label);
    if (at === undefined) throw new Error(`assembler: no label ${label}`);
    return at;
  }
  /** Fills with NOP up to a multiple of `n`. */
  align(n: number): this {
    while (this.here % n !== 0) this.emit(0x90);
    return this;
  }
  emit(...bytes: number[]): this {
    this.bytes.push(...bytes);
    return this;
  }
  private dword(value: number): this {
    return this.emit(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff);
  }
  /** ModR/M for [base + disp32]; base is not esp. */
  private memory(reg: number, base: Reg, disp: number): this {
    return this.emit(0x80 | (reg << 3) | base).dword(disp);
  }

  pushSegment(s: Segment): this {
    return this.emit(...PUSH_SEGMENT[s]);
  }
  popSegment(s: Segment): this {
    return this.emit(...POP_SEGMENT[s]);
  }
  push(r: Reg): this {
    return this.emit(0x50 + r);
  }
  pop(r: Reg): this {
    return this.emit(0x58 + r);
  }
  /** The short form where the value survives sign extension. */
  pushImmediate(value: number): this {
    return value < 0x80 ? this.emit(0x6a, value) : this.emit(0x68).dword(value);
  }
  pushf(): this {
    return this.emit(0x9c);
  }
  movImmediate(r: Reg, value: number): this {
    return this.emit(0xb8 + r).dword(value);
  }
  mov(to: Reg, from: Reg): this {
    return this.emit(0x89, 0xc0 | (from << 3) | to);
  }
  load(r: Reg, base: Reg, disp: number): this {
    return this.emit(0x8b).memory(r, base, disp);
  }
  store(base: Reg, disp: number, r: Reg): this {
    return this.emit(0x89).memory(r, base, disp);
  }
  /** movzx r, word [base + disp] */
  loadWord(r: Reg, base: Reg, disp: number): this {
    return this.emit(0x0f, 0xb7).memory(r, base, disp);
  }
  /** lea r, [base + disp] */
  lea(r: Reg, base: Reg, disp: number): this {
    return this.emit(0x8d).memory(r, base, disp);
  }
  /** lea r, [base + index * 8] */
  leaIndex8(r: Reg, base: Reg, index: Reg): this {
    return this.emit(0x8d, 0x04 | (r << 3), 0xc0 | (index << 3) | base);
  }
  /** add esp-like registers by a small number. */
  addSmall(r: Reg, value: number): this {
    return this.emit(0x83, 0xc0 | r, value);
  }
  andImmediate(r: Reg, value: number): this {
    return this.emit(0x81, 0xe0 | r).dword(value);
  }
  or(to: Reg, from: Reg): this {
    return this.emit(0x09, 0xc0 | (from << 3) | to);
  }
  /** and byte [base + disp], value */
  andByte(base: Reg, disp: number, value: number): this {
    return this.emit(0x80).memory(4, base, disp).emit(value);
  }
  movToDs(r: Reg): this {
    return this.emit(0x8e, 0xd8 | r);
  }
  movToCr3(r: Reg): this {
    return this.emit(0x0f, 0x22, 0xd8 | r);
  }
  lgdt(base: Reg, disp: number): this {
    return this.emit(0x0f, 0x01).memory(2, base, disp);
  }
  lidt(base: Reg, disp: number): this {
    return this.emit(0x0f, 0x01).memory(3, base, disp);
  }
  ltr(r: Reg): this {
    return this.emit(0x0f, 0x00, 0xd8 | r);
  }
  jmpRegister(r: Reg): this {
    return this.emit(0xff, 0xe0 | r);
  }
  jmp(label: string): this {
    this.emit(0xe9);
    this.fixups.push({ at: this.here, label });
    return this.dword(0);
  }
  /** lcall *address: far call through a pointer in memory. */
  callFarThrough(address: number): this {
    return this.emit(0xff, 0x1d).dword(address);
  }
  iret(): this {
    return this.emit(0xcf);
  }
  hlt(): this {
    return this.emit(0xf4);
  }
  cld(): this {
    return this.emit(0xfc);
  }

  finish(): Uint8Array {
    for (const { at, label } of this.fixups) {
      const relative = this.offsetOf(label) - (at + 4);
      for (let i = 0; i < 4; i++) this.bytes[at + i] = (relative >> (8 * i)) & 0xff;
    }
    return Uint8Array.from(this.bytes);
  }
}
