// The Switcher: the few hundred bytes that stand at one address in Host and Guest and carry the processor from one to the other.
//
// Going in: save the Host's registers and stack, stand on the register page, exchange GDT, IDT and TSS, change the page directory (the same stack address is
// now the Guest's own register page), pop everything and IRET. Coming back: any of 256 stubs, which make all traps look alike, then the same steps backwards.
// A hardware interrupt that hit the Guest is handed to the Host's own handler as if it had hit the Host. Our documentation, section 9.
// Why the order is what it is: the Guest's TSS must be marked busy before CR3 changes, because the Guest's tables map it read-only; the trap number must be
// read before CR3 changes back, because the Host sees another page there; and at every instruction ESP is a usable stack, because an NMI cannot be held off.

import { pushesErrorCode } from '../i386/state';
import { LGUEST_DS, PAGE, PAGES, REGS, REGS_AT, TSS_SELECTOR } from './abi';
import { Assembler, Reg } from './assembler';

const { eax, ecx, edx, ebx, esp, ebp, esi, edi } = {
  eax: Reg.eax,
  ecx: Reg.ecx,
  edx: Reg.edx,
  ebx: Reg.ebx,
  esp: Reg.esp,
  ebp: Reg.ebp,
  esi: Reg.esi,
  edi: Reg.edi,
};

/** Byte of the TSS descriptor that holds its type, and the mask that takes "busy" away. */
const TSS_TYPE = TSS_SELECTOR + 5;
const NOT_BUSY = 0xfd;

export interface SwitcherCode {
  bytes: Uint8Array;
  /** Offset of switch_to_guest. */
  entry: number;
  /** Offset of each vector's stub. */
  stubs: number[];
  /** Names for a debugger, offsets from the start, ascending. */
  symbols: { name: string; offset: number }[];
}

/** Called with eax = address of lguest_pages, ebx = physical address of the shadow directory, by a far call whose frame looks like an interrupt's. */
const switchToGuest = (a: Assembler): void => {
  a.label('switch_to_guest');
  a.pushSegment('es').pushSegment('ds').pushSegment('gs').pushSegment('fs').push(ebp);
  a.store(eax, PAGES.hostSp, esp);
  a.lea(esp, eax, REGS_AT);
  a.lgdt(eax, PAGES.guestGdtDesc);
  a.lidt(eax, PAGES.guestIdtDesc);
  a.movImmediate(edx, TSS_SELECTOR).ltr(edx);
  a.load(edx, eax, PAGES.hostGdtDesc + 2).andByte(edx, TSS_TYPE, NOT_BUSY); // the Host's own TSS, for the way back
  a.movToCr3(ebx);
  a.pop(eax).pop(ebx).pop(ecx).pop(edx).pop(esi).pop(edi).pop(ebp);
  a.popSegment('gs').popSegment('fs').popSegment('ds').popSegment('es');
  a.addSmall(esp, 8); // trapnum and errcode
  a.label('switch_to_guest_iret').iret();
};

/** Saves the Guest and brings the Host back, up to the Host's own stack. Leaves eax = pages, ebx = trap number. */
const comeBack = (a: Assembler): void => {
  a.pushSegment('es').pushSegment('ds').pushSegment('fs').pushSegment('gs');
  a.push(ebp).push(edi).push(esi).push(edx).push(ecx).push(ebx).push(eax);
  a.movImmediate(edx, LGUEST_DS).movToDs(edx);
  a.mov(eax, esp).andImmediate(eax, -PAGE);
  a.load(ebx, eax, REGS_AT + REGS.trapnum);
  a.load(edx, eax, PAGES.hostCr3).movToCr3(edx);
  a.andByte(eax, PAGES.guestGdt + TSS_TYPE, NOT_BUSY);
  a.lgdt(eax, PAGES.hostGdtDesc);
  a.lidt(eax, PAGES.hostIdtDesc);
  a.load(esp, eax, PAGES.hostSp);
  a.movImmediate(edx, TSS_SELECTOR).ltr(edx);
  a.pop(ebp).popSegment('fs').popSegment('gs').popSegment('ds').popSegment('es');
};

const returnToHost = (a: Assembler): void => {
  a.label('return_to_host');
  comeBack(a);
  a.iret();
};

/** A hardware interrupt: jump to the Host's handler, whose IRET then returns after the far call. */
const deliverToHost = (a: Assembler): void => {
  a.label('deliver_to_host');
  comeBack(a);
  a.load(edx, eax, PAGES.hostIdtDesc + 2).leaIndex8(edx, edx, ebx);
  a.loadWord(eax, edx, 0).load(edx, edx, 4);
  a.andImmediate(edx, 0xffff0000 | 0).or(edx, eax);
  a.jmpRegister(edx);
};

const path = (vector: number): string => (vector === 2 ? 'nmi' : vector < 32 || vector === 128 ? 'return_to_host' : 'deliver_to_host');

/** @param stubAlignment 4 gives one page of code, 16 two: both kernels existed, and Guests can see the addresses. */
export const assembleSwitcher = (stubAlignment: 4 | 16): SwitcherCode => {
  const a = new Assembler();
  switchToGuest(a);
  returnToHost(a);
  deliverToHost(a);
  a.label('nmi').addSmall(esp, 8).iret(); // an NMI is lost: nobody may find out
  const stubs: number[] = [];
  for (let vector = 0; vector < 256; vector++) {
    a.align(stubAlignment);
    stubs.push(a.here);
    if (!pushesErrorCode(vector)) a.pushImmediate(0);
    a.pushImmediate(vector).jmp(path(vector));
  }
  const names = ['switch_to_guest', 'return_to_host', 'deliver_to_host', 'nmi'];
  const symbols = [
    ...names.map((name) => ({ name, offset: a.offsetOf(name) })),
    ...stubs.map((offset, v) => ({ name: `trap_stub_${v}`, offset })),
  ];
  return { bytes: a.finish(), entry: a.offsetOf('switch_to_guest'), stubs, symbols };
};
