/*
 * One function for each kind of event, in the order of the numbers they print.
 *
 * They are written to be stopped in: every interesting value has a name, and
 * each event is a line of its own.  README.md says what to watch.
 */
#include "demo.h"

/*
 * Nobody has touched these pages.  A read makes the Host set ACCESSED in our
 * entry, a write DIRTY; to us it looks as if the processor had done it.
 */
noinline void show_demand_paging(void)
{
	static u8 fresh[4][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE), section(".bss.untouched")));
	u32 page, sum = 0;

	for (page = 0; page < 4; page++) {
		volatile u8 *byte = fresh[page];
		volatile pte_t *entry = find_pte(kernel_directory, (u32)byte);	/* the Host writes it too */
		u32 before, after_read, after_write;

		before = *entry & PTE_FLAGS;
		sum += *byte;				/* a silent fault: filled, read-only */
		after_read = *entry & PTE_FLAGS;
		*byte = 1;				/* another: upgraded, dirty */
		after_write = *entry & PTE_FLAGS;
		if (page == 0)
			printk(" 6. demand paging: entry flags 0x%03x, after a read 0x%03x, after a write 0x%03x, "
			       "and we felt nothing\n", before, after_read, after_write);
	}
	printk("    4 pages, 8 silent faults, sum %u, page faults seen by us: %u\n", sum, trap_count[VECTOR_PAGE_FAULT]);
}

/* Touching what is mapped nowhere is a fault that the Host hands on; handle_page_fault() maps a page. */
noinline void show_visible_page_fault(void)
{
	volatile u32 *page = lazy_page(0);
	volatile pte_t *entry = find_pte(kernel_directory, (u32)page);
	pte_t old;
	u32 stale, fresh;

	printk(" 7. page fault: writing to 0x%08x, which nothing maps\n", (u32)page);
	*page = 42;

	/* Break our promise without a word: the shadow still has the old entry, as a TLB would. */
	old = *entry;
	*entry = 0;
	stale = *page;
	hypercall(LHCALL_SET_PTE, __pa(kernel_directory), (u32)page, 0);
	fresh = *page;
	free_page(__va(old & ~PTE_FLAGS));
	printk("    entry cleared: still reads %u; SET_PTE told the Host: faults, then reads %u\n", stale, fresh);
}

/* Three hypercalls for the price of one. */
noinline void show_batched_hypercalls(void)
{
	u32 page, waiting, after;

	for (page = 1; page <= 3; page++)
		*lazy_page(page) = page;
	printk(" 8. batch: clearing three of our entries, and telling the Host later\n");
	for (page = 1; page <= 3; page++) {
		pte_t *entry = find_pte(kernel_directory, (u32)lazy_page(page));

		free_page(__va(*entry & ~PTE_FLAGS));
		*entry = 0;
		queue_hypercall(LHCALL_SET_PTE, __pa(kernel_directory), (u32)lazy_page(page), 0);
	}
	waiting = queued_hypercalls();
	flush_queued_hypercalls();
	after = queued_hypercalls();
	printk("    hypercalls waiting in the ring: %u, after one that does nothing: %u\n", waiting, after);
}

/* There are no ports, but the instructions must not fail: the Host skips them, reading ones. */
noinline void show_ports(void)
{
	u32 byte, word, dword, prefixed;

	asm volatile("inb $0x60, %%al" : "=a"(byte) : "0"(0x12345678));
	asm volatile("inw %%dx, %%ax" : "=a"(word) : "0"(0x12345678), "d"(0x3f8));
	asm volatile("inl %%dx, %%eax" : "=a"(dword) : "0"(0x12345678), "d"(0xcf8));
	asm volatile(".byte 0x66, 0xec" : "=a"(prefixed) : "0"(0x12345678), "d"(0x3f8));
	asm volatile("outb %%al, $0x80" :: "a"(2));
	printk(" 9. ports: eax 0x12345678 after inb 0x%08x, inw 0x%08x, inl 0x%08x, 66-prefixed inb 0x%08x\n", byte, word,
	       dword, prefixed);
}

/*
 * Gate 3 is an interrupt gate, as in Linux, so the real IDT has the Switcher's
 * gate there, which is for ring 0.  Our int3 is refused: a protection fault
 * that names gate 3.  As a trap gate it is ours alone.
 */
noinline void show_breakpoints(void)
{
	printk("10. int3: once through an interrupt gate, once through a trap gate\n");
	asm volatile("int3");
	set_breakpoint_gate(TRAP_GATE);
	asm volatile("int3");
	set_breakpoint_gate(INTERRUPT_GATE);
}

/* A virtual interrupt that comes while we have them off has to wait. */
noinline void show_held_interrupt(void)
{
	u32 before = ticks, while_off, after_enable, after_exit;
	volatile u32 delay;

	irq_disable();
	set_timer(5000);
	for (delay = 0; delay < 4000; delay++)
		;			/* far longer than five microseconds */
	flush_queued_hypercalls();	/* the Host looks, and holds it: irq_enabled is 0 */
	while_off = ticks - before;
	irq_enable();			/* a store; the Host knows nothing of it yet */
	after_enable = ticks - before;
	flush_queued_hypercalls();	/* on the way back from here it arrives */
	after_exit = ticks - before;
	printk("11. held interrupt: timer ticks while interrupts are off: %u, right after on: %u, after the next hypercall: %u\n",
	       while_off, after_enable, after_exit);
}

noinline void show_halt(void)
{
	u32 before = ticks, microseconds;
	u64 start = read_tsc();

	irq_disable();
	set_timer(10 * 1000 * 1000);
	halt();
	microseconds = (u32)(read_tsc() - start) / 1000;
	printk("12. HALT: asleep with interrupts off, woken by %u tick after %u us, now they are %s\n", ticks - before, microseconds,
	       lguest_data.irq_enabled ? "on" : "off");
}

noinline void show_user_task(void)
{
	printk("14. user task: ring 3, its own page directory, system calls, faults\n");
	create_task("hello", user_hello, 0);
	wait_for_tasks();
	create_task("crash", user_crash, CRASH_NULL);
	wait_for_tasks();
}

/* Two tasks with numbers in the FPU and one that never yields, with the timer cutting in. */
noinline void show_task_switches(void)
{
	printk("15. task switches: two tasks share the FPU, a third has to be interrupted\n");
	create_task("fpu-a", user_fpu, 3);
	create_task("fpu-b", user_fpu, 5);
	create_task("spin", user_spin, 10000);
	time_slice = 20 * 1000;
	set_timer(time_slice);
	wait_for_tasks();
	time_slice = 0;
	set_timer(0);
}
