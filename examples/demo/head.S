/*
 * The first instructions.
 *
 * The Launcher has put us at physical 0x100000, in ring 1, with paging already
 * on: its page tables map every address below the end of memory to itself.
 * But we are linked at 0xC0100000.  So until the jump at the end each address
 * of ours is written as `symbol - PAGE_OFFSET`, and no stack exists.
 *
 * A breakpoint on _start must therefore work at 0x00100000, and one on
 * start_kernel at 0xC01xxxxx, though both come from the same image.
 */
#include "demo.h"

	.section .text.head, "ax", @progbits
	.globl	_start
	.type	_start, @function
_start:
	cld

	/*
	 * "I am alive" to port 0x80, as every PC has done since 1984.  In ring 1
	 * it is a general protection fault, and we have no handler: the Host
	 * sees an `out`, skips it, and we never learn.
	 */
	movb	$0x01, %al
	outb	%al, $0x80

	/*
	 * Clear the BSS.  Each page of it is touched for the first time here,
	 * and each time the Host fills one entry of its shadow table and
	 * resumes us: demand paging, before we have said a word.
	 */
	xorl	%eax, %eax
	movl	$(bss_start - PAGE_OFFSET), %edi
	movl	$bss_dwords, %ecx
	rep stosl

	/*
	 * The first hypercall tells the Host where our shared page lies; any
	 * other first call is fatal.  The Host checks it, fills in its part,
	 * and from now on may write to it at any time.
	 */
	movl	$LHCALL_LGUEST_INIT, %eax
	movl	$(lguest_data - PAGE_OFFSET), %edx
	int	$LGUEST_TRAP_ENTRY

	/*
	 * Make low memory appear a second time at PAGE_OFFSET, by copying
	 * entries of the Launcher's page directory by plain stores.  No
	 * hypercall announces them: entries that were empty need no news,
	 * the Host will look when the next instruction faults.
	 */
	movl	lguest_data - PAGE_OFFSET + LGUEST_DATA_PGDIR, %esi
	leal	(PAGE_OFFSET >> 22) * 4(%esi), %edi
	movl	$BOOT_MAPPED_PDES, %ecx
	rep movsl

	movl	$(init_stack + INIT_STACK_PAGES * PAGE_SIZE), %esp
	xorl	%ebp, %ebp			/* the outermost frame, for whoever walks the stack */
	movl	$jump_high, %eax
	jmp	*%eax
jump_high:
	call	start_kernel
1:	jmp	1b				/* it does not return */
	.size	_start, . - _start

	.section .bss
	.balign	PAGE_SIZE
	.globl	init_stack
	.type	init_stack, @object
init_stack:
	.skip	INIT_STACK_PAGES * PAGE_SIZE
	.size	init_stack, . - init_stack
