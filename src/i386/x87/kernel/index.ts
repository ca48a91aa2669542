// The common x87 instructions as one WebAssembly module, for translated code: what there is, and how it is compiled for a machine.
//
// Translated code calls an entry through the function table and, when it returns 0, lets the interpreter's handler do the instruction. See entries.ts for what entries
// take on. What it leaves out: the calls (jit/special.ts, jit/floating.ts).

import { encodeModule, type FuncType } from '../../jit/wasm';
import { ENTRIES, MEMORY, REGISTER } from './entries';

/** Types of the entries without and with a memory operand. */
export const KERNEL_TYPES: readonly [FuncType, FuncType] = [REGISTER, MEMORY];

/** What translated code must know to call an entry: the row it stands for, its type, the TLB table it wants. */
export interface KernelEntry {
  readonly name: string;
  readonly memory: boolean;
  readonly writes: boolean;
}
export const KERNEL: readonly KernelEntry[] = Object.entries(ENTRIES).map(([name, { memory, writes }]) => ({ name, memory, writes }));

export type KernelFunction = (...args: number[]) => number;

/** Modules by number of memory pages, which is part of the imported memory's type: several machines of one size share a module. */
const modules = new Map<number, WebAssembly.Module>();
const moduleFor = (pages: number): WebAssembly.Module => {
  let module = modules.get(pages);
  if (module === undefined) {
    const functions = Object.values(ENTRIES).map((entry) => ({ type: entry.memory ? 1 : 0, body: entry.body() }));
    module = new WebAssembly.Module(encodeModule(pages, [], KERNEL_TYPES, functions) as BufferSource);
    modules.set(pages, module);
  }
  return module;
};

/** Compiles the kernel for one machine's memory; its functions by row name, WebAssembly exports that a function table takes. */
export const createKernel = (memory: WebAssembly.Memory): Readonly<Record<string, KernelFunction>> => {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const { exports } = new WebAssembly.Instance(moduleFor(memory.buffer.byteLength / 65536), { e: { m: memory, t: table } });
  return Object.fromEntries(KERNEL.map(({ name }, n) => [name, exports[`f${n}`] as KernelFunction]));
};
