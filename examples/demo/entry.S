/*
 * Where traps arrive, how they leave, and how one task becomes another.
 *
 * A trap gets here in one of two ways.  Reflected: the processor went to the
 * Switcher, the Host decided that the Guest must see it and wrote the frame
 * onto our stack itself.  Direct: the vector has a trap gate (type 0xF), so the
 * processor pushed the frame, and the Host has not even noticed.  Both frames
 * look the same, which is the point.
 */
#include "demo.h"

	.cfi_sections .debug_frame
	.text

/* One stub a vector: make the frames equally long, note the vector, go on. */
.macro STUB vector, name
	.globl	entry_\name
	.type	entry_\name, @function
entry_\name:
	.cfi_startproc simple
	.cfi_signal_frame
	.if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
	.cfi_def_cfa esp, 16
	.cfi_offset eip, -12
	.else
	.cfi_def_cfa esp, 12
	.cfi_offset eip, -12
	pushl	$0				/* no error code comes with this one */
	.cfi_adjust_cfa_offset 4
	.endif
	pushl	$\vector
	.cfi_adjust_cfa_offset 4
	jmp	common_trap
	.cfi_endproc
	.size	entry_\name, . - entry_\name
.endm

/* The stub, and its address in the table that load_traps() reads. */
.macro TRAP vector, name
	STUB	\vector, \name
	.pushsection .rodata
	.long	entry_\name
	.popsection
.endm

	.section .rodata
	.balign	4
	.globl	trap_entries
	.type	trap_entries, @object
trap_entries:
	.text

	TRAP	0, divide
	TRAP	1, debug
	TRAP	2, nmi				/* the Host keeps 2, 8, 15 and 31 */
	TRAP	3, breakpoint
	TRAP	4, overflow
	TRAP	5, bound
	TRAP	6, invalid_opcode
	TRAP	7, no_fpu
	TRAP	8, double_fault
	TRAP	9, fpu_overrun
	TRAP	10, invalid_tss
	TRAP	11, segment_absent
	TRAP	12, stack_fault
	TRAP	13, protection
	TRAP	14, page_fault
	TRAP	15, reserved15
	TRAP	16, fpu_error
	TRAP	17, alignment
	TRAP	18, machine_check
	TRAP	19, simd_error
	.irp n, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	TRAP	\n, reserved\n
	.endr
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	TRAP	(32 + \n), irq\n
	.endr
	STUB	0x80, syscall

	.pushsection .rodata
	.size	trap_entries, . - trap_entries
	.popsection

/* Save the rest of struct regs, run the C code, put everything back. */
	.type	common_trap, @function
common_trap:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa esp, 20
	.cfi_offset eip, -12
	pushl	%ds
	.cfi_adjust_cfa_offset 4
	pushl	%es
	.cfi_adjust_cfa_offset 4
	pushal
	.cfi_adjust_cfa_offset 32
	.cfi_rel_offset eax, 28
	.cfi_rel_offset ecx, 24
	.cfi_rel_offset edx, 20
	.cfi_rel_offset ebx, 16
	.cfi_rel_offset ebp, 8
	.cfi_rel_offset esi, 4
	.cfi_rel_offset edi, 0
	movl	$KERNEL_DS, %eax		/* ds and es may be ring 3's */
	movl	%eax, %ds
	movl	%eax, %es
	cld					/* the Host leaves DF as it was */
	movl	%esp, %eax
	pushl	%eax
	.cfi_adjust_cfa_offset 4
	call	handle_trap
	addl	$4, %esp
	.cfi_adjust_cfa_offset -4

	/* New tasks start their life here: see create_task(). */
	.globl	trap_return
trap_return:
	popal
	.cfi_adjust_cfa_offset -32
	.cfi_restore eax
	.cfi_restore ecx
	.cfi_restore edx
	.cfi_restore ebx
	.cfi_restore ebp
	.cfi_restore esi
	.cfi_restore edi
	popl	%es
	.cfi_adjust_cfa_offset -4
	popl	%ds
	.cfi_adjust_cfa_offset -4
	addl	$8, %esp			/* vector and error code */
	.cfi_adjust_cfa_offset -8

	/*
	 * An iret in ring 1 cannot change IF, so the flag the frame asks for
	 * goes where the Host looks: lguest_data.irq_enabled.  Between that
	 * store and the iret an interrupt would find us half gone; the Host
	 * promised at LGUEST_INIT to send none while eip is in this range.
	 * (The store uses ss, as ds may be ring 3's again.  Linux stores the
	 * whole of eflags; we keep to the one bit that means something.)
	 */
	pushl	%eax
	.cfi_adjust_cfa_offset 4
	movl	12(%esp), %eax
	andl	$EFLAGS_IF, %eax
	.globl	noirq_start
noirq_start:
	movl	%eax, %ss:lguest_data + LGUEST_DATA_IRQ_ENABLED
	popl	%eax
	.cfi_adjust_cfa_offset -4
	iret
	.globl	noirq_end
noirq_end:
	.cfi_endproc
	.size	common_trap, . - common_trap

/*
 * void switch_to(struct task *previous, struct task *next)
 *
 * Called by one task, returns in another: everything C expects to survive a
 * call is pushed, the stack pointer is exchanged, and what is popped was
 * pushed when `next` last came through here.
 */
	.globl	switch_to
	.type	switch_to, @function
switch_to:
	.cfi_startproc
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset ebp, 0
	pushl	%ebx
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset ebx, 0
	pushl	%esi
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset esi, 0
	pushl	%edi
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset edi, 0
	movl	%esp, TASK_ESP(%eax)
	movl	TASK_ESP(%edx), %esp
	popl	%edi
	.cfi_adjust_cfa_offset -4
	.cfi_restore edi
	popl	%esi
	.cfi_adjust_cfa_offset -4
	.cfi_restore esi
	popl	%ebx
	.cfi_adjust_cfa_offset -4
	.cfi_restore ebx
	popl	%ebp
	.cfi_adjust_cfa_offset -4
	.cfi_restore ebp
	ret
	.cfi_endproc
	.size	switch_to, . - switch_to
