// Register forms of every MMX, SSE and SSE2 instruction against results recorded on a processor: values, MXCSR, flags and faults.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CR4, EXC, FL, W } from '../../../src/i386/state';
import { Unit } from '../x87/unit-under-test';
import captured from './captured.json';

const unit = new Unit();
const { m, cpu } = unit;
m[W.CR4] = CR4.OSFXSR | CR4.OSXMMEXCPT;
const poke = (word: number, hex: string): void => cpu.m8.set(Buffer.from(hex, 'hex'), word * 4);
const peek = (word: number, bytes: number): string => Buffer.from(cpu.m8.subarray(word * 4, word * 4 + bytes)).toString('hex');
/** RCP and RSQRT promise 12 bits; which ones beyond is the processor's affair. */
const approximate = (name: string): boolean => /^r(cp|sqrt)/.test(name);

for (const [instruction, cases] of Object.entries(captured.cases)) {
  const [name, opcode] = instruction.split(' ');
  test(`${name} (${opcode}) leaves what the captured processor left`, () => {
    for (const line of cases) {
      const [bytes, mxcsr, x0, x1, eax, ecx, fault, wantMxcsr, want0, wantMm0, wantEax, wantEcx, wantFlags] = line.split(' ');
      m[W.FPU_SW] = 0;
      m[W.MXCSR] = Number.parseInt(mxcsr, 16);
      poke(W.XMM, x0);
      poke(W.XMM + 4, x1);
      poke(W.FPU_REGS, x0.slice(0, 16));
      poke(W.FPU_REGS + 4, x1.slice(0, 16));
      m[0] = Number.parseInt(eax, 16);
      m[1] = Number.parseInt(ecx, 16);
      cpu.setStatus(0);
      const vector = unit.execute([...Buffer.from(bytes, 'hex')]);
      assert.equal(vector, fault === '1' ? EXC.XM : -1, `fault of ${line}`);
      assert.equal(m[W.MXCSR].toString(16), wantMxcsr, `MXCSR of ${line}`);
      if (fault === '1') {
        assert.equal(peek(W.XMM, 16), x0, `a fault leaves the destination alone: ${line}`);
        continue;
      }
      if (approximate(name)) {
        const lanes = name.endsWith('ps') ? 4 : 1;
        for (let n = 0; n < lanes; n++) {
          const got = Buffer.from(peek(W.XMM + n, 4), 'hex').readFloatLE(0);
          const want = Buffer.from(want0.slice(8 * n, 8 * n + 8), 'hex').readFloatLE(0);
          const near = Object.is(got, want) || Math.abs(got - want) <= Math.abs(want) * 2 ** -11;
          assert.ok(near, `lane ${n} of ${line}: got ${got}, want ${want}`);
        }
      } else assert.equal(peek(W.XMM, 16), want0, `xmm0 of ${line}`);
      assert.equal(peek(W.FPU_REGS, 8), wantMm0, `mm0 of ${line}`);
      assert.equal((m[0] >>> 0).toString(16), wantEax, `eax of ${line}`);
      assert.equal((m[1] >>> 0).toString(16), wantEcx, `ecx of ${line}`);
      if (/comis/.test(name)) assert.equal((cpu.getFlags() & FL.STATUS).toString(16), wantFlags, `flags of ${line}`);
    }
  });
}
