/*
 * `demo> `: a line from the console, a word, a function.
 *
 * While nobody types the Guest is halted, with no timer running, so a waiting
 * shell costs nothing.  Commands given on the command line as `do=one;two` run
 * first.
 */
#include "demo.h"

#define LINE_MAX 80

struct command {
	const char *name, *arguments, *help;
	void (*run)(const char *argument);
};

static const struct command commands[];

static u32 parse_number(const char *text, u32 otherwise)
{
	u32 value = 0;

	if (*text < '0' || *text > '9')
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (*text - '0');
	return value;
}

static void run_help(const char *argument)
{
	const struct command *command;

	(void)argument;
	for (command = commands; command->name; command++)
		printk("  %-6s %-18s %s\n", command->name, command->arguments, command->help);
}

/* ---- spin: work for the processor, none for the Host ---- */

#define SPIN_INSTRUCTIONS	20	/* in one round of the loop, by the disassembly */

noinline u32 spin(u32 rounds)
{
	static u32 table[64];
	u32 x = 2463534242u, sum = 0, round;

	for (round = 0; round < 64; round++)
		table[round] = round;
	for (round = 0; round < rounds; round++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		table[x & 63] += round;
		sum = ((sum << 7) | (sum >> 25)) ^ table[(x >> 8) & 63];
	}
	return sum;
}

static void run_spin(const char *argument)
{
	u32 instructions = parse_number(argument, 200000000);
	u32 rounds = instructions / SPIN_INSTRUCTIONS;

	printk("spin: %u rounds, checksum 0x%08x\n", rounds, spin(rounds));
}

/* ---- faults, of the kernel and of tasks ---- */

static void run_fault(const char *argument)
{
	if (same(argument, "null")) {
		create_task("crash", user_crash, CRASH_NULL);
	} else if (same(argument, "divide")) {
		create_task("crash", user_crash, CRASH_DIVIDE);
	} else if (same(argument, "cli")) {
		create_task("crash", user_crash, CRASH_PRIVILEGED);
	} else if (*argument) {
		printk("fault: null, divide or cli, or nothing for one of the kernel's own\n");
		return;
	} else {
		unmap_lazy_page(0);
		*lazy_page(0) = ticks;
		return;
	}
	wait_for_tasks();
}

static void run_user(const char *argument)
{
	(void)argument;
	show_user_task();
	show_task_switches();
}

static void run_int3(const char *argument)
{
	(void)argument;
	show_breakpoints();
}

static void run_ticks(const char *argument)
{
	u32 wanted = parse_number(argument, 3), start = ticks;

	printk("ticks: %u so far, %u more at 10 ms each\n", start, wanted);
	time_slice = 10 * 1000 * 1000;
	set_timer(time_slice);
	for (;;) {
		irq_disable();
		if (ticks - start >= wanted)
			break;
		halt();
	}
	time_slice = 0;
	set_timer(0);
	irq_enable();
	printk("ticks: %u\n", ticks);
}

static void run_mem(const char *argument)
{
	(void)argument;
	printk("mem: %u MB, kernel 0x%08x-0x%08x, pages used %u, free %u\n", boot_info.memory >> 20, (u32)kernel_text_start,
	       (u32)image_end, page_stats.used, page_stats.free);
	printk("mem: faults repaired: lazy %u, stack %u, copy on write %u\n", page_stats.lazy_faults,
	       page_stats.stack_faults, page_stats.copy_faults);
}

static void run_traps(const char *argument)
{
	u32 vector;

	(void)argument;
	for (vector = 0; vector < 256; vector++)
		if (trap_count[vector])
			printk("  vector %3u %s: %u\n", vector, trap_name(vector), trap_count[vector]);
}

/* ---- three ways to die, and one to leave ---- */

/* The kernel's own mistake: its handler finds no excuse, prints an Oops, and asks to be crashed. */
static noinline void die_null(u32 value)
{
	volatile u32 *nowhere = (volatile u32 *)parse_number("0", 1);

	*nowhere = value;
}

/* With no gate for it, a trap has nowhere to go: "unhandled trap 13". */
static noinline void die_trap(void)
{
	clear_gate(VECTOR_PROTECTION);
	asm volatile("cli");
}

/* A bit that the Host allows nobody in a page table entry: "bad page table entry". */
static noinline void die_page(void)
{
	volatile u32 *page = lazy_page(1);
	pte_t *entry;

	*page = 1;
	entry = find_pte(kernel_directory, (u32)page);
	set_pte(kernel_directory, (u32)page, (*entry & ~(PTE_ACCESSED | PTE_DIRTY)) | PTE_WRITE_THROUGH);
	*page = 2;
}

static void run_die(const char *argument)
{
	if (same(argument, "null"))
		die_null(0xdead);
	else if (same(argument, "trap"))
		die_trap();
	else if (same(argument, "page"))
		die_page();
	else
		printk("die: how? null, trap or page\n");
}

static void run_off(const char *argument)
{
	(void)argument;
	power_off("Power down");
}

static const struct command commands[] = {
	{ "help", "", "this list", run_help },
	{ "spin", "[instructions]", "compute, about 200 million instructions unless told otherwise", run_spin },
	{ "fault", "[null|divide|cli]", "a page fault the kernel repairs, or a task that is killed", run_fault },
	{ "user", "", "chapters 14 and 15 again: tasks, system calls, the FPU", run_user },
	{ "int3", "", "chapter 10 again: a breakpoint instruction, reflected and direct", run_int3 },
	{ "ticks", "[n]", "wait for n timer interrupts in HALT", run_ticks },
	{ "mem", "", "pages and repaired faults", run_mem },
	{ "traps", "", "what has arrived through the IDT so far", run_traps },
	{ "die", "null|trap|page", "an Oops, an unhandled trap, a forbidden page table entry", run_die },
	{ "off", "", "power off", run_off },
	{ NULL, NULL, NULL, NULL },
};

static noinline void run_command(char *line)
{
	const struct command *command;
	char *argument, *end;

	while (*line == ' ')
		line++;
	for (end = line + strlen(line); end > line && end[-1] == ' '; end--)
		end[-1] = 0;
	for (argument = line; *argument && *argument != ' '; argument++)
		;
	while (*argument == ' ')
		*argument++ = 0;
	if (!*line)
		return;
	for (command = commands; command->name; command++)
		if (same(command->name, line)) {
			command->run(argument);
			return;
		}
	printk("%s: unknown command, try help\n", line);
}

/* Reads and echoes a line; the terminal at the other end is raw. */
static noinline void read_line(char *line)
{
	u32 length = 0;

	for (;;) {
		char c = console_read();

		if (c == '\r' || c == '\n') {
			printk("\n");
			break;
		}
		if ((c == '\b' || c == 0x7f) && length) {
			length--;
			printk("\b \b");
		} else if (c >= ' ' && c < 0x7f && length < LINE_MAX - 1) {
			line[length++] = c;
			printk("%c", c);
		}
	}
	line[length] = 0;
}

/* `do=` and the rest of the command line: commands, separated by semicolons. */
static noinline void run_command_line(const char *text)
{
	char line[LINE_MAX];
	u32 length;

	while (*text && !starts_with(text, "do="))
		text++;
	if (!*text)
		return;
	text += 3;
	while (*text) {
		for (length = 0; *text && *text != ';'; text++)
			if (length < LINE_MAX - 1)
				line[length++] = *text;
		line[length] = 0;
		if (*text)
			text++;
		printk("demo> %s\n", line);
		run_command(line);
	}
}

void noreturn shell(void)
{
	char line[LINE_MAX];

	printk("16. shell: try help\n");
	run_command_line(boot_info.command_line);
	for (;;) {
		printk("demo> ");
		read_line(line);
		run_command(line);
	}
}
