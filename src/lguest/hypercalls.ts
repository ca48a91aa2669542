// What the Guest asks for with int 0x1f, at once or through the ring of 64 requests.
//
// A hypercall only becomes pending when the trap is handled; it runs at the top of the next round, after the ring. No hypercall returns a value: what is wrong
// ends the Guest. A NOTIFY in the ring stops the ring, because the Launcher must see it first. Our documentation, 2.10, 4. Left out: the services themselves.

import {
  HYPERCALLS,
  hex,
  LD,
  LHCALL,
  pointer,
  REGS,
  RESERVE_MEM,
  RING_ENTRIES,
  RING_FREE,
  SWITCHER_PGD_INDEX,
  SYSCALL_VECTOR,
} from './abi';
import type { Guest } from './guest';
import { writeTime } from './interrupts';
import { flushAll, flushTlb, newPgtable, setPmd, setPte, setStack } from './page-tables';
import { loadGuestGdt, loadGuestIdtEntry, loadGuestTls } from './segments';

/** Number and arguments, in the order of the registers' use: eax, edx, ebx, ecx. int32. */
export interface HypercallArgs {
  number: number;
  arg1: number;
  arg2: number;
  arg3: number;
}

export const argsFromRegs = (lg: Guest): HypercallArgs => ({
  number: lg.reg(REGS.eax),
  arg1: lg.reg(REGS.edx),
  arg2: lg.reg(REGS.ebx),
  arg3: lg.reg(REGS.ecx),
});

type Service = (lg: Guest, a: HypercallArgs, nowNs: number) => void;

const SERVICES: Readonly<Record<number, Service>> = {
  [LHCALL.FLUSH_ASYNC]: () => {},
  [LHCALL.LGUEST_INIT]: (lg) => lg.kill('already have lguest_data'),
  [LHCALL.CRASH]: (lg, a) => crash(lg, a.arg1),
  [LHCALL.LOAD_GDT]: (lg, a) => loadGuestGdt(lg, a.arg1, a.arg2),
  [LHCALL.NEW_PGTABLE]: (lg, a) => newPgtable(lg, a.arg1),
  [LHCALL.FLUSH_TLB]: (lg, a) => flushTlb(lg, a.arg1 !== 0),
  [LHCALL.LOAD_IDT_ENTRY]: (lg, a) => loadGuestIdtEntry(lg, a.arg1, a.arg2, a.arg3),
  [LHCALL.SET_STACK]: (lg, a) => setStack(lg, a.arg1, a.arg2, a.arg3),
  [LHCALL.TS]: (lg, a) => {
    lg.ts = a.arg1;
  },
  [LHCALL.SET_CLOCKEVENT]: (lg, a, nowNs) => {
    lg.timer = a.arg1 === 0 ? -1 : nowNs + (a.arg1 >>> 0);
  },
  [LHCALL.HALT]: (lg) => {
    lg.halted = true;
  },
  [LHCALL.SET_PTE]: (lg, a) => setPte(lg, a.arg1, a.arg2, a.arg3),
  [LHCALL.SET_PMD]: (lg, a) => setPmd(lg, a.arg1, a.arg2),
  [LHCALL.LOAD_TLS]: (lg, a) => loadGuestTls(lg, a.arg1),
  [LHCALL.NOTIFY]: (lg, a) => {
    lg.pendingNotify = a.arg1 >>> 0;
  },
};

/** CRASH(text): the Guest's own end, also the normal power-off. */
const crash = (lg: Guest, address: number): void => {
  const bytes = lg.lgread(address, 128);
  const end = bytes.subarray(0, 127).indexOf(0);
  lg.kill(`CRASH: ${latin1(bytes.subarray(0, end < 0 ? 127 : end))}`);
};
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Runs one hypercall. */
export const doHypercall = (lg: Guest, a: HypercallArgs, nowNs: number): void => {
  lg.doing = HYPERCALLS[a.number]?.name ?? 'do_hcall';
  const service = SERVICES[a.number];
  if (service === undefined) lg.kill(`Bad hypercall ${a.number | 0}\n`);
  else service(lg, a, nowNs);
};

/** The first hypercall, LGUEST_INIT: Host and Guest get to know each other. A kill in the middle does not stop the later steps. */
export const initialize = (lg: Guest, a: HypercallArgs, nowNs: number): void => {
  lg.doing = 'LGUEST_INIT';
  if (a.number !== LHCALL.LGUEST_INIT) {
    lg.kill(`hypercall ${a.number | 0} before INIT`);
    return;
  }
  let reached = lg.ok(a.arg1, LD.size);
  if (reached) {
    lg.ld = a.arg1 >>> 0;
    reached = lg.setLd32(LD.tscKhz, lg.tscKhz);
    if (reached) {
      const vector = lg.ld32(LD.syscallVec);
      if (vector !== SYSCALL_VECTOR && vector !== lg.syscallVector) lg.kill('bad syscall vector');
    }
  }
  const badPage = (): void => lg.kill(`bad guest page ${lg.ld < 0 ? pointer(0) : pointer(lg.memBase + lg.ld)}`);
  if (!reached) badPage();
  if (lg.ld < 0) return;
  if (!lg.ldReachable(LD.noirqStart, 8)) badPage();
  lg.noirqStart = lg.ld32(LD.noirqStart) >>> 0;
  lg.noirqEnd = lg.ld32(LD.noirqEnd) >>> 0;
  if (!writeTime(lg, nowNs)) lg.kill('Writing timestamp');
  if (!lg.ldReachable(LD.kernelAddress, 4)) badPage();
  lg.kernelAddress = lg.ld32(LD.kernelAddress) >>> 0;
  if (!lg.setLd32(LD.reserveMem, RESERVE_MEM) || !lg.setLd32(LD.pgdir, lg.pgdirs[lg.pgdidx].gpgdir)) badPage();
  if (lg.kernelAddress >>> 22 >= SWITCHER_PGD_INDEX) lg.kill(`bad kernel address ${hex(lg.kernelAddress)}`);
  flushAll(lg);
};

// ---- the ring -------------------------------------------------------------------------------------------------------------------------------

/** A drain of the ring in progress: which slots were ready when it began, and how many turns are left. */
export interface Drain {
  status: Uint8Array;
  turns: number;
}

/** Begins a drain: the Guest's statuses are looked at once, all together. */
export const startDrain = (lg: Guest): Drain | undefined => {
  if (!lg.ldReachable(LD.hcallStatus, RING_ENTRIES)) return undefined;
  const status = new Uint8Array(RING_ENTRIES);
  for (let i = 0; i < RING_ENTRIES; i++) status[i] = lg.peek8(lg.ld + LD.hcallStatus + i);
  return { status, turns: RING_ENTRIES };
};

/** The slot that is next, or -1 when the ring is done. */
export const nextSlot = (lg: Guest, drain: Drain): number =>
  drain.turns > 0 && drain.status[lg.nextHcall] !== RING_FREE ? lg.nextHcall : -1;

/** A ring entry, or undefined when it cannot be read. */
export const ringEntry = (lg: Guest, slot: number): HypercallArgs | undefined => {
  const at = LD.hcalls + slot * 16;
  if (!lg.ldReachable(at, 16)) return undefined;
  return { number: lg.ld32(at), arg2: lg.ld32(at + 4), arg3: lg.ld32(at + 8), arg1: lg.ld32(at + 12) };
};

/** Runs the entry in `slot` and frees it. */
export const runSlot = (lg: Guest, drain: Drain, slot: number, a: HypercallArgs, nowNs: number): void => {
  drain.turns--;
  lg.nextHcall = (slot + 1) % RING_ENTRIES;
  doHypercall(lg, a, nowNs);
  if (!lg.setLd8(LD.hcallStatus + slot, RING_FREE)) lg.kill('Writing result for async hypercall');
};
