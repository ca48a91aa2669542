/*
 * The story in order: head.S jumps to start_kernel(), which sets the Guest up,
 * shows each kind of event once, and ends in the shell.
 *
 * Each line on the console that begins with a number is one chapter, and the
 * function called just before is the place for a breakpoint.
 */
#include "demo.h"

struct boot_info boot_info;

/* The Launcher left a page of parameters at physical 0, and the command line behind it. */
static noinline void read_boot_parameters(struct boot_info *info)
{
	const u8 *parameters = __va(0);

	info->memory = *(const u32 *)(parameters + BOOT_E820_SIZE);
	info->subarch = *(const u32 *)(parameters + BOOT_SUBARCH);
	info->command_line = __va(*(const u32 *)(parameters + BOOT_CMD_LINE_PTR));
}

static void announce(void)
{
	u32 eip;

	asm volatile("1: movl $1b, %0" : "=r"(eip));	/* where we are: high, and no longer where we were loaded */
	printk("lguest demo Guest: hello from ring %u at 0x%08x\n", KERNEL_CS & 3, eip);
	printk(" 1. boot: %u MB of memory, subarch %u, command line \"%s\"\n",
	       boot_info.memory >> 20, boot_info.subarch, boot_info.command_line);
}

void noreturn start_kernel(void)
{
	read_boot_parameters(&boot_info);
	announce();

	/* The tables of an i386 kernel, each handed over by hypercall. */
	load_segments();
	load_traps();
	start_paging();
	start_tasks();

	/* One of each. */
	show_demand_paging();
	show_visible_page_fault();
	show_batched_hypercalls();
	show_ports();
	show_breakpoints();
	show_held_interrupt();
	show_halt();
	start_console();
	show_user_task();
	show_task_switches();

	shell();
}
