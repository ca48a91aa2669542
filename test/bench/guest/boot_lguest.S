/* Entry, traps and ring 3 of the lguest shim. Linked at 0xC0100000, loaded and entered at 0x100000: until the jump
 * every address is written minus PAGE_OFFSET. The traps are those of boot.S, but for int 0x81: its gate cannot be had
 * under lguest, so leaving ring 3 arrives as #GP with error code 0x81 * 8 + 2. */
    .set PAGE_OFFSET, 0xC0000000
    .section .text.head, "ax"
    .global _start
_start:
    cld
    xorl %eax, %eax
    movl $(__bss_start - PAGE_OFFSET), %edi
    movl $__bss_dwords, %ecx
    rep stosl
    movl $1, %eax                       /* LGUEST_INIT */
    movl $(lguest_data - PAGE_OFFSET), %edx
    int $0x1f
    movl lguest_data - PAGE_OFFSET + 1116, %esi
    leal 0xC00(%esi), %edi              /* the same memory at PAGE_OFFSET */
    movl $32, %ecx
    rep movsl
    movl $stack_top, %esp
    movl $1f, %eax
    jmp *%eax
1:  call plat_init
    call bench_main
    call plat_exit
2:  jmp 2b

    .text
    .global entry_80, entry_13, entry_14, entry_bad
.macro ENTER
    pushl %es; pushl %ds; pushal
    movl $0x69, %eax
    movl %eax, %ds; movl %eax, %es
    cld
.endm
.macro LEAVE
    popal; popl %ds; popl %es
.endm
entry_80:
    ENTER
    pushl 16(%esp)          /* ebx */
    pushl 32(%esp)          /* eax (28 + 4) */
    call bench_syscall
    addl $8, %esp
    movl %eax, 28(%esp)
    LEAVE
    iret
entry_14:
    ENTER
    call plat_fault
    LEAVE
    addl $4, %esp
    iret
entry_13:                   /* leave user mode: back to plat_user's caller */
    cmpl $(0x81 * 8 + 2), (%esp)
    jne entry_bad
    movl $0x69, %eax
    movl %eax, %ds; movl %eax, %es
    movl user_saved_esp, %esp
    popl %edi; popl %esi; popl %ebx; popl %ebp
    ret
entry_bad:
    call plat_bad
    /* void plat_user(fn, arg) */
    .global plat_user
plat_user:
    pushl %ebp; pushl %ebx; pushl %esi; pushl %edi
    movl %esp, user_saved_esp
    leal -64(%esp), %ecx
    pushl %ecx
    call plat_set_stack     /* below the saved registers */
    addl $4, %esp
    movl 20(%esp), %eax
    movl 24(%esp), %edx
    movl $ustack_top-16, %ecx
    movl %edx, 4(%ecx)
    movl $user_ret, (%ecx)
    movl $0x7b, %edx
    movl %edx, %ds; movl %edx, %es
    pushl $0x7b
    pushl %ecx
    pushl $0x202
    pushl $0x73
    pushl %eax
    iret
user_ret:
    int $0x81
    .data
user_saved_esp: .long 0
    .bss
    .align 4096
    .skip 65536
stack_top:
    .skip 65536
ustack_top:
