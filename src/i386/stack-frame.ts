// Writing a frame onto a stack that may not be the current one yet: call gates, interrupts and task switches push before they switch.
//
// The writer keeps its own stack pointer; the registers change only when the caller commits with `commit()` or takes `esp`, after the last push.
// It leaves out: where the stack comes from (innerStack() reads it from the TSS). Source: 386 PRM §6.3.4.2, §9.6; SDM vol. 3 "Stack Switching".

import type { Cpu } from './cpu';
import { type Descriptor, fetchDescriptor, isNull, setAccessed, setSegment } from './descriptors';
import { ESP, EXC, SS, TR, W } from './state';

export class StackFrame {
  private readonly base: number;
  private readonly limit: number;
  private readonly access: number;
  private readonly wrap: number;

  private constructor(
    private readonly c: Cpu,
    private readonly selector: number,
    private readonly descriptor: Descriptor | undefined,
    private esp: number,
    private readonly cpl: number,
    private readonly error: number,
    private readonly program: boolean,
  ) {
    const m = c.m32;
    this.base = descriptor ? descriptor.base : m[W.BASE + SS];
    this.limit = (descriptor ? descriptor.limit : m[W.LIMIT + SS]) >>> 0;
    this.access = descriptor ? descriptor.access : m[W.ACCESS + SS];
    this.wrap = this.access & 0x4000 ? -1 : 0xffff;
  }

  /** The stack in use. @param ext EXT bit of a stack fault's error code. @param program the pushes are an instruction's own: #AC applies. */
  static current(c: Cpu, ext = 0, program = false): StackFrame {
    return new StackFrame(c, c.m32[W.SELECTOR + SS], undefined, c.m32[ESP], c.m32[W.CPL], ext, program);
  }

  /**
   * The stack that the TSS holds for a more privileged level, all checks done (#TS, #SS).
   * @param cpl level to enter, 0 to 2. @param ext EXT bit of error codes.
   */
  static inner(c: Cpu, cpl: number, ext: number): StackFrame {
    const m = c.m32;
    const wide = (m[W.ACCESS + TR] & 8) !== 0;
    const at = wide ? 8 * cpl + 4 : 4 * cpl + 2;
    if (at + (wide ? 7 : 3) > m[W.LIMIT + TR] >>> 0) c.raise(EXC.TS, (m[W.SELECTOR + TR] & 0xfffc) | ext);
    const tss = (m[W.BASE + TR] + at) | 0;
    const esp = wide ? c.sysRead32(tss) : c.sysRead16(tss);
    const selector = c.sysRead16((tss + (wide ? 4 : 2)) | 0);
    if (isNull(selector)) c.raise(EXC.TS, ext);
    const d = fetchDescriptor(c, selector, EXC.TS, ext);
    const error = (selector & 0xfffc) | ext;
    if ((selector & 3) !== cpl || d.dpl !== cpl || !d.isWritableData) c.raise(EXC.TS, error);
    if (!d.present) c.raise(EXC.SS, error);
    return new StackFrame(c, selector, d, esp, cpl, error, false);
  }

  /** Raises the stack fault that `count` pushes would run into, before any of them is made: the limit alone, no page. */
  room(count: number, wide: boolean): void {
    const size = wide ? 4 : 2;
    for (let n = 1; n <= count; n++) this.check(((this.esp - n * size) & this.wrap) >>> 0, size);
  }

  push(wide: boolean, value: number): void {
    const size = wide ? 4 : 2;
    const offset = (this.esp - size) & this.wrap;
    this.check(offset >>> 0, size);
    const linear = (this.base + offset) | 0;
    const { c } = this;
    if (this.program && c.alignmentChecks && linear & (size - 1)) c.raise(EXC.AC, 0);
    if (c.dataBreakpoints) c.matchData(linear, size, true);
    if (this.cpl === 3) {
      if (wide) c.write32(linear, value);
      else c.write16(linear, value);
    } else if (wide) c.sysWrite32(linear, value);
    else c.sysWrite16(linear, value);
    this.esp = (this.esp & ~this.wrap) | offset;
  }

  private check(first: number, size: number): void {
    const { access, limit } = this;
    const last = first + size - 1;
    const bad = (access & 0xc) === 4 ? first <= limit || last > (access & 0x4000 ? 0xffffffff : 0xffff) : last > limit;
    if (bad || (access & 0x80) === 0) this.c.raise(EXC.SS, this.error);
  }

  /** Sets the accessed bit of the new SS. The last thing that may fault. */
  touch(): void {
    if (this.descriptor) setAccessed(this.c, this.descriptor);
  }

  /** Makes this the current stack. The caller calls updateMode(). */
  commit(): void {
    const m = this.c.m32;
    if (this.descriptor) setSegment(this.c, SS, this.selector, this.descriptor);
    m[ESP] = this.wrap === -1 ? this.esp : (m[ESP] & ~0xffff) | (this.esp & 0xffff);
  }
}
