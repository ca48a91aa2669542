// What CPUID says: an Intel P6-class processor that announces exactly what this one does.
//
// No APIC, machine check, PAE, virtual-8086 extensions or MTRRs. MMX and SSE come from sse/, which knows what it implements.
// Source: SDM vol. 2 "CPUID".

import type { Cpu } from './cpu';
import { SSE_FEATURES } from './sse';
import { EAX, EBX, ECX, EDX } from './state';

/** Bits of leaf 1 EDX. */
const FEATURE = {
  FPU: 1 << 0,
  DE: 1 << 2,
  PSE: 1 << 3,
  TSC: 1 << 4,
  MSR: 1 << 5,
  CX8: 1 << 8,
  SEP: 1 << 11,
  PGE: 1 << 13,
  CMOV: 1 << 15,
  FXSR: 1 << 24,
} as const;

/** Leaf 1 EDX. */
export const FEATURES = Object.values(FEATURE).reduce((all, bit) => all | bit, SSE_FEATURES);

/** Family 6, model 8, stepping 3: late enough that software trusts SEP. */
const SIGNATURE = 0x683;

/** [EAX, EBX, ECX, EDX] by leaf; a leaf beyond the last one reads like the last. */
const LEAVES: readonly (readonly [number, number, number, number])[] = [
  // "GenuineIntel"
  [2, 0x756e6547, 0x6c65746e, 0x49656e69],
  [SIGNATURE, 0, 0, FEATURES],
  // TLB and cache descriptors: 4 KB and 4 MB pages, 16 KB L1 code and data, 512 KB L2.
  [0x03020101, 0, 0, 0x0c040843],
];

/** Executes CPUID: EAX selects. */
export const cpuid = (c: Cpu): void => {
  const m = c.m32;
  const [a, b, cx, d] = LEAVES[Math.min(m[EAX] >>> 0, LEAVES.length - 1)];
  m[EAX] = a;
  m[EBX] = b;
  m[ECX] = cx;
  m[EDX] = d;
};
