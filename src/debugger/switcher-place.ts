// Where in the Switcher the processor stands, in words: the label before an address, and whose address space is in force there.
//
// The Switcher's code is the same in both address spaces, so only CR3 tells them apart. What it leaves out: stepping through it (trap-steps.ts).

import { W } from '../i386/state';
import { hex, PAGE, SWITCHER_ADDR } from '../lguest/abi';
import type { Host } from '../lguest/host';

/** `switch_to_guest+0x12`, `trap_stub_14`; undefined outside the Switcher's code. */
export const switcherName = (host: Host, address: number): string | undefined => {
  const { switcher, switcherPages } = host.layout;
  const offset = (address >>> 0) - SWITCHER_ADDR;
  if (offset < 0 || offset >= switcherPages * PAGE) return undefined;
  let best: { name: string; offset: number } | undefined;
  for (const s of switcher.symbols) if (s.offset <= offset && (best === undefined || s.offset >= best.offset)) best = s;
  if (best === undefined) return undefined;
  return best.offset === offset ? best.name : `${best.name}+${hex(offset - best.offset)}`;
};

/** Whose page directory the processor uses now. */
export const addressSpace = (host: Host): 'Host' | 'Guest' => {
  const { lg, cpu } = host;
  return (cpu.m32[W.CR3] & ~0xfff) >>> 0 === lg.pgdirs[lg.pgdidx].shadow ? 'Guest' : 'Host';
};

/** The place and the address space, for the name of a frame. */
export const switcherPlace = (host: Host): string => {
  const eip = host.cpu.m32[W.EIP];
  const name = switcherName(host, eip);
  return name === undefined
    ? `the Host's call of the Switcher, ${addressSpace(host)}'s address space`
    : `${name} in the Switcher, ${addressSpace(host)}'s address space`;
};
