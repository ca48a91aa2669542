// Shadow paging: the tables that the processor uses are the Host's, filled on demand from the Guest's.
//
// The Guest's own tables hold Guest-physical addresses and must never reach CR3. So four shadow directories mirror Guest directories, filled entry by entry as
// the Guest faults, and forgotten when it says so. A page fault is decided first, without writing (decidePage), and applied afterwards (applyPage), so that a
// debugger can stop between the two. Our documentation, section 8. Left out: which traps come here (disposition.ts).

import { RAM_BASE } from '../i386/state';
import { GPDE_ALLOWED, GPTE_FORBIDDEN, hex, PAGE, PT, SWITCHER_PGD_INDEX } from './abi';
import { badRead, type Guest } from './guest';
import type { Reason } from './trap-record';

const FRAME = 0xfffff000 | 0;

/** What demand_page would do, and everything it read. */
export class PagePlan {
  result: 'filled' | 'declined' | 'killed' = 'declined';
  reason: Reason = 'none';
  message = '';
  /** Entries, int32; valid as far as `depth` says: 1 gpde, 2 spde, 3 gpte, 4 spte. */
  depth = 0;
  gpde = 0;
  spde = 0;
  gpte = 0;
  spte = 0;
  /** Guest-physical address of the Guest's PTE. */
  gpteAt = 0;
  /** Physical address of the shadow PDE. */
  spdeAt = 0;
  /** A page table must be allocated for the shadow PDE (also when the fault is declined later). */
  allocate = false;
  newGpte = 0;
  newSpte = 0;
}

const currentShadow = (lg: Guest): number => lg.pgdirs[lg.pgdidx].shadow;
const currentGpgdir = (lg: Guest): number => lg.pgdirs[lg.pgdidx].gpgdir;

/** check_pde: message of the kill, or undefined. */
const badGpde = (lg: Guest, gpde: number): string | undefined =>
  (gpde & 0xfff & ~GPDE_ALLOWED) !== 0 || gpde >>> 12 >= lg.pfnLimit ? 'bad page directory entry' : undefined;
/** check_pte */
const badGpte = (lg: Guest, gpte: number): string | undefined =>
  (gpte & GPTE_FORBIDDEN) !== 0 || gpte >>> 12 >= lg.pfnLimit ? 'bad page table entry' : undefined;

/** The shadow PTE for a Guest PTE; never global, so that a CR3 load forgets it. */
const convert = (lg: Guest, gpte: number): number => ((lg.memBase & FRAME) + (gpte & FRAME)) | (gpte & 0xfff & ~PT.G);
/** Message when the frame is not there, or undefined. */
const noFrame = (lg: Guest, gpte: number): string | undefined =>
  (gpte & FRAME) >>> 0 >= lg.backedBytes ? `failed to get page ${gpte >>> 12}` : undefined;

/**
 * Decides a page fault at `vaddr` without changing anything.
 * @param errorCode as the processor gave it: bits P W U.
 * Quirks: US and RW of the Guest's PDE are never asked; the switcher's slot is only refused once the Guest's PDE for it is present.
 */
export const decidePage = (lg: Guest, vaddr: number, errorCode: number, plan: PagePlan): PagePlan => {
  const write = (errorCode & 2) !== 0;
  plan.result = 'declined';
  plan.depth = 0;
  plan.allocate = false;
  const index = vaddr >>> 22;
  const gpdeAt = (currentGpgdir(lg) + index * 4) >>> 0;
  if (!lg.readable(gpdeAt, 4)) return killPlan(plan, 'bad-read', badRead(gpdeAt, 4));
  const gpde = lg.peek32(gpdeAt);
  plan.gpde = gpde;
  plan.depth = 1;
  if ((gpde & PT.P) === 0) {
    plan.reason = 'gpde-absent';
    return plan;
  }
  if (index >= SWITCHER_PGD_INDEX) return killPlan(plan, 'switcher-slot', 'attempt to access switcher pages');
  plan.spdeAt = currentShadow(lg) + index * 4;
  const spde = lg.hostRead(plan.spdeAt);
  plan.spde = spde;
  plan.depth = 2;
  if ((spde & PT.P) === 0) {
    if (lg.freePages.length === 0) return killPlan(plan, 'out-of-memory', 'out of memory allocating pte page');
    const bad = badGpde(lg, gpde);
    if (bad !== undefined) return killPlan(plan, 'bad-gpde', bad);
    plan.allocate = true;
  }
  const gpteAt = ((gpde & FRAME) + ((vaddr >>> 10) & 0xffc)) >>> 0;
  plan.gpteAt = gpteAt;
  if (!lg.readable(gpteAt, 4)) return killPlan(plan, 'bad-read', badRead(gpteAt, 4));
  const gpte = lg.peek32(gpteAt);
  plan.gpte = gpte;
  plan.depth = 3;
  if ((gpte & PT.P) === 0) {
    plan.reason = 'gpte-absent';
    return plan;
  }
  if (write && (gpte & PT.RW) === 0) {
    plan.reason = 'gpte-read-only';
    return plan;
  }
  if ((errorCode & 4) !== 0 && (gpte & PT.US) === 0) {
    plan.reason = 'gpte-supervisor';
    return plan;
  }
  const bad = badGpte(lg, gpte) ?? noFrame(lg, gpte);
  if (bad !== undefined) return killPlan(plan, 'bad-gpte', bad);
  const spte = plan.allocate ? 0 : lg.hostRead((spde & FRAME) + ((vaddr >>> 10) & 0xffc));
  plan.spte = spte;
  plan.depth = 4;
  plan.newGpte = gpte | PT.A | (write ? PT.D : 0);
  plan.newSpte = convert(lg, plan.newGpte & PT.D ? plan.newGpte : plan.newGpte & ~PT.RW);
  plan.result = 'filled';
  if ((spte & PT.P) === 0) plan.reason = write ? 'write-absent' : 'read-absent';
  else plan.reason = write && (spte & PT.RW) === 0 ? 'dirty-upgrade' : 'filled-before';
  return plan;
};

const killPlan = (plan: PagePlan, reason: Reason, message: string): PagePlan => {
  plan.result = 'killed';
  plan.reason = reason;
  plan.message = message;
  return plan;
};

/** Does what decidePage decided. */
export const applyPage = (lg: Guest, vaddr: number, plan: PagePlan): void => {
  if (plan.result === 'killed') {
    lg.kill(plan.message);
    return;
  }
  let spde = plan.spde;
  if (plan.allocate) {
    spde = lg.allocatePage() | (plan.gpde & 0xfff);
    lg.hostWrite(plan.spdeAt, spde);
  }
  if (plan.result === 'declined') return;
  lg.hostWrite((spde & FRAME) + ((vaddr >>> 10) & 0xffc), plan.newSpte);
  lg.cpu.tableChanged(currentShadow(lg), vaddr);
  if (plan.newGpte !== plan.gpte) lg.poke32(plan.gpteAt, plan.newGpte);
};

// ---- the Host's own look at a Guest address -----------------------------------------------------------------------------------------------

/**
 * Guest-physical address of a Guest-virtual one, by the Guest's present tables.
 * @returns uint32, or the message of the kill. RW, US and pfn_limit are not asked.
 */
export const guestPa = (lg: Guest, vaddr: number): number | string => {
  const gpdeAt = (currentGpgdir(lg) + (vaddr >>> 22) * 4) >>> 0;
  if (!lg.readable(gpdeAt, 4)) return badRead(gpdeAt, 4);
  const gpde = lg.peek32(gpdeAt);
  if ((gpde & PT.P) === 0) return `Bad address ${hex(vaddr)}`;
  const gpteAt = ((gpde & FRAME) + ((vaddr >>> 10) & 0xffc)) >>> 0;
  if (!lg.readable(gpteAt, 4)) return badRead(gpteAt, 4);
  const gpte = lg.peek32(gpteAt);
  if ((gpte & PT.P) === 0) return `Bad address ${hex(vaddr)}`;
  return ((gpte & FRAME) | (vaddr & 0xfff)) >>> 0;
};

// ---- forgetting ---------------------------------------------------------------------------------------------------------------------------

/** Frees the page table of one shadow PDE and clears it. */
const releasePde = (lg: Guest, spdeAt: number): void => {
  const spde = lg.hostRead(spdeAt);
  if ((spde & PT.P) === 0) return;
  lg.freePage(spde & FRAME);
  lg.hostWrite(spdeAt, 0);
  lg.cpu.tablesChanged(spdeAt & FRAME);
};
/** Releases the PDEs [0, end) of one directory. Most are empty, and this runs at every flush, so it looks before it calls. */
const releaseBelow = (lg: Guest, shadow: number, end: number): void => {
  const { m32 } = lg.cpu;
  const first = (RAM_BASE + shadow) >> 2;
  for (let i = 0; i < end; i++) if (m32[first + i] & PT.P) releasePde(lg, shadow + i * 4);
};
const releaseUser = (lg: Guest, shadow: number): void => releaseBelow(lg, shadow, lg.kernelAddress >>> 22);
/** Everything below the Switcher, in every slot. */
export const flushAll = (lg: Guest): void => {
  for (const { shadow } of lg.pgdirs) if (shadow !== 0) releaseBelow(lg, shadow, SWITCHER_PGD_INDEX);
  pinStack(lg);
};
/** FLUSH_TLB(kernel). */
export const flushTlb = (lg: Guest, kernel: boolean): void => {
  if (kernel) flushAll(lg);
  else releaseUser(lg, currentShadow(lg));
};

// ---- the kernel stack ---------------------------------------------------------------------------------------------------------------------

const pinPlan = new PagePlan();
/** Makes sure that the stack to which the processor switches by itself is mapped and writable. */
export const pinStack = (lg: Guest): void => {
  for (let i = 0; i < lg.stackPages; i++) {
    const vaddr = (lg.esp1 - 1 - i * PAGE) >>> 0;
    pinPage(lg, vaddr);
    if (lg.dead !== undefined) return;
  }
};
const pinPage = (lg: Guest, vaddr: number): void => {
  if (vaddr >>> 22 >= SWITCHER_PGD_INDEX) {
    lg.kill('attempt to access switcher pages');
    return;
  }
  const spde = lg.hostRead(currentShadow(lg) + (vaddr >>> 22) * 4);
  if (spde & PT.P) {
    const spte = lg.hostRead((spde & FRAME) + ((vaddr >>> 10) & 0xffc));
    if ((spte & (PT.P | PT.RW)) === (PT.P | PT.RW)) return;
  }
  decidePage(lg, vaddr, 2, pinPlan);
  applyPage(lg, vaddr, pinPlan);
  if (pinPlan.result === 'filled') lg.onPinned();
  if (pinPlan.result === 'declined') lg.kill(`bad stack page ${hex(vaddr)}`);
};

/** SET_STACK(selector, esp, pages). */
export const setStack = (lg: Guest, selector: number, esp: number, pages: number): void => {
  if ((selector & 3) !== 1) {
    lg.kill(`bad stack segment ${selector | 0}`);
    return;
  }
  if (pages >>> 0 > 2) {
    lg.kill(`bad stack pages ${pages >>> 0}`);
    return;
  }
  lg.ss1 = selector & 0xff;
  lg.esp1 = esp >>> 0;
  lg.stackPages = pages;
  pinStack(lg);
};

// ---- directories --------------------------------------------------------------------------------------------------------------------------

/** The slot that mirrors `gpgdir`, or -1. A slot without a shadow page mirrors nothing (the original went wrong here). */
const findSlot = (lg: Guest, gpgdir: number): number => lg.pgdirs.findIndex((slot) => slot.shadow !== 0 && slot.gpgdir === gpgdir >>> 0);

/** NEW_PGTABLE(gpgdir): a cached directory comes back as it was; a new one takes a random slot. */
export const newPgtable = (lg: Guest, gpgdir: number): void => {
  let slot = findSlot(lg, gpgdir);
  let blank = false;
  if (slot < 0) {
    slot = lg.random.next() % lg.pgdirs.length;
    if (lg.pgdirs[slot].shadow === 0) {
      const page = lg.allocatePage();
      if (page === 0) slot = lg.pgdidx;
      else {
        lg.pgdirs[slot].shadow = page;
        blank = true;
      }
    }
    lg.pgdirs[slot].gpgdir = gpgdir >>> 0;
    lg.onSlot(slot, blank);
    releaseUser(lg, lg.pgdirs[slot].shadow); // the kernel's part stays: it is the same in every directory
  }
  lg.pgdidx = slot;
  if (blank) pinStack(lg);
};

/** The first directory, from the Launcher. */
export const initPgdirs = (lg: Guest, gpgdir: number): void => {
  lg.pgdirs[0] = { gpgdir: gpgdir >>> 0, shadow: lg.allocatePage() };
  lg.pgdidx = 0;
};

/** SET_PTE(gpgdir, vaddr, pte): the Guest changed one entry. Kernel addresses concern every slot. */
export const setPte = (lg: Guest, gpgdir: number, vaddr: number, gpte: number): void => {
  if (vaddr >>> 0 >= lg.kernelAddress) {
    for (const { shadow } of lg.pgdirs) if (shadow !== 0 && lg.dead === undefined) setPteIn(lg, shadow, vaddr, gpte);
  } else {
    const slot = findSlot(lg, gpgdir);
    if (slot >= 0) setPteIn(lg, lg.pgdirs[slot].shadow, vaddr, gpte);
  }
};
/** Quirks: P is not asked; with A set and D clear the page becomes writable at once. */
const setPteIn = (lg: Guest, shadow: number, vaddr: number, gpte: number): void => {
  if (vaddr >>> 22 >= SWITCHER_PGD_INDEX) {
    lg.kill('attempt to access switcher pages');
    return;
  }
  const spde = lg.hostRead(shadow + (vaddr >>> 22) * 4);
  if ((spde & PT.P) === 0) return;
  let spte = 0;
  if (gpte & (PT.A | PT.D)) {
    const bad = badGpte(lg, gpte) ?? noFrame(lg, gpte);
    if (bad !== undefined) {
      lg.kill(bad);
      return;
    }
    spte = convert(lg, gpte);
  }
  lg.hostWrite((spde & FRAME) + ((vaddr >>> 10) & 0xffc), spte);
  lg.cpu.tableChanged(shadow, vaddr);
};

/** SET_PMD(gpgdir, index): forget one page table; the next fault finds the new one. */
export const setPmd = (lg: Guest, gpgdir: number, index: number): void => {
  if (index >>> 0 >= SWITCHER_PGD_INDEX) return;
  const slot = findSlot(lg, gpgdir);
  if (slot >= 0) releasePde(lg, lg.pgdirs[slot].shadow + index * 4);
};

/** Puts the Switcher and the Guest's register page into the current directory: before every entry. */
export const mapSwitcher = (lg: Guest): void => {
  const at = currentShadow(lg) + SWITCHER_PGD_INDEX * 4;
  const { guestSwitcherTable, switcherPages, registerPage } = lg.layout;
  const m = lg.cpu.m32;
  m[(RAM_BASE + at) >> 2] = guestSwitcherTable | PT.P | PT.RW | PT.A | PT.D;
  m[(RAM_BASE + guestSwitcherTable + switcherPages * 4) >> 2] = registerPage | PT.P | PT.RW | PT.A | PT.D;
};
