/*
 * The IDT, and what to do when something arrives through it.
 *
 * Each entry goes to the Host by LOAD_IDT_ENTRY, and its type decides the way:
 * a trap gate (0xF) is installed as it is, so the processor comes straight to
 * us; an interrupt gate (0xE) has to turn interrupts off, which only the Host
 * can do for us, so the trap goes to the Switcher and is reflected.  Page
 * faults, protection faults and "no FPU" always go to the Host first.
 */
#include "demo.h"

u32 trap_count[256];
static bool gate_is_direct[256];

static const char *const trap_names[20] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no FPU",
	"double fault", "FPU overrun", "invalid TSS", "segment absent", "stack fault", "protection fault",
	"page fault", "reserved", "FPU error", "alignment", "machine check", "SIMD error",
};

const char *trap_name(u32 vector)
{
	if (vector < 20)
		return trap_names[vector];
	if (vector == VECTOR_SYSCALL)
		return "system call";
	return vector >= VECTOR_IRQ0 ? "interrupt" : "reserved";
}

void set_gate(u32 vector, const void *handler, enum gate_type type, u32 dpl)
{
	u32 address = (u32)handler;
	u32 low = (KERNEL_CS << 16) | (address & 0xffff);
	u32 high = (address & 0xffff0000) | 0x8000 | (dpl << 13) | ((u32)type << 8);

	gate_is_direct[vector] = type == TRAP_GATE && vector != VECTOR_NO_FPU &&
				 vector != VECTOR_PROTECTION && vector != VECTOR_PAGE_FAULT;
	hypercall(LHCALL_LOAD_IDT_ENTRY, vector, low, high);
}

void clear_gate(u32 vector)
{
	gate_is_direct[vector] = false;
	hypercall(LHCALL_LOAD_IDT_ENTRY, vector, 0, 0);
}

void set_breakpoint_gate(enum gate_type type)
{
	set_gate(VECTOR_BREAKPOINT, trap_entries[VECTOR_BREAKPOINT], type, 3);
}

noinline void load_traps(void)
{
	u32 vector, reflected = 0, direct = 0;

	for (vector = 0; vector < 48; vector++) {
		if (vector == 2 || vector == 8 || vector == 15 || vector == LGUEST_TRAP_ENTRY)
			continue;	/* the Host keeps these for itself */
		switch (vector) {
		case VECTOR_DIVIDE:
		case VECTOR_INVALID_OPCODE:
			set_gate(vector, trap_entries[vector], TRAP_GATE, 0);
			direct++;
			break;
		case VECTOR_OVERFLOW:
		case VECTOR_BOUND:
			set_gate(vector, trap_entries[vector], TRAP_GATE, 3);
			direct++;
			break;
		case VECTOR_BREAKPOINT:
			set_breakpoint_gate(INTERRUPT_GATE);	/* as Linux has it; show_breakpoints() explains */
			reflected++;
			break;
		default:
			set_gate(vector, trap_entries[vector], INTERRUPT_GATE, 0);
			reflected++;
		}
	}
	set_gate(VECTOR_SYSCALL, entry_syscall, TRAP_GATE, 3);
	direct++;
	printk(" 3. LOAD_IDT_ENTRY: %u gates by way of the Host, %u direct (int 0x80 among them)\n", reflected, direct);
}

/* A task has done something for which there is no excuse. */
static void noreturn kill_current(const struct regs *regs)
{
	printk("    task %u \"%s\" killed: %s at eip 0x%08x, error code 0x%x\n", current->pid, current->name,
	       trap_name(regs->vector), regs->eip, regs->error_code);
	exit_task(-(s32)regs->vector - 1);
}

/*
 * #GP is where everything ends up that ring 1 and 3 may not do.  The error code
 * tells: bit 1 set means a gate refused, and the vector is in the bits above.
 */
static noinline void handle_protection_fault(struct regs *regs)
{
	u32 refused = regs->error_code >> 3;

	if ((regs->error_code & 2) && refused == VECTOR_BREAKPOINT) {
		printk("    int3 at 0x%08x came as #GP(0x%x): the Host's own gate 3 lets only ring 0 in\n", regs->eip,
		       regs->error_code);
		regs->eip += 1;		/* a fault, so eip is at the int3, not behind it */
		return;
	}
	if (from_user(regs))
		kill_current(regs);
	oops(regs, "protection fault");
}

static noinline void handle_breakpoint(struct regs *regs)
{
	printk("    int3 before 0x%08x came as #BP, direct: eip is already past it\n", regs->eip);
}

/*
 * All traps meet here.  eflags in the frame of a direct trap show the
 * processor's IF, which is always on; ours is the one in lguest_data.
 */
void handle_trap(struct regs *regs)
{
	u32 vector = regs->vector;

	if (gate_is_direct[vector]) {
		regs->eflags = (regs->eflags & ~EFLAGS_IF) | (lguest_data.irq_enabled & EFLAGS_IF);
		irq_disable();
	}
	trap_count[vector]++;

	switch (vector) {
	case VECTOR_SYSCALL:
		handle_syscall(regs);
		break;
	case VECTOR_PAGE_FAULT:
		handle_page_fault(regs);
		break;
	case VECTOR_NO_FPU:
		handle_no_fpu();
		break;
	case VECTOR_PROTECTION:
		handle_protection_fault(regs);
		break;
	case VECTOR_BREAKPOINT:
		handle_breakpoint(regs);
		break;
	default:
		if (vector >= VECTOR_IRQ0)
			handle_irq(vector - VECTOR_IRQ0, regs);
		else if (from_user(regs))
			kill_current(regs);
		else
			oops(regs, trap_name(vector));
	}

	if (need_resched && from_user(regs))
		schedule();
}

/* ---- the end ---- */

static void print_call_chain(u32 frame)
{
	u32 depth;

	for (depth = 0; depth < 8 && frame >= PAGE_OFFSET && frame < LAZY_START; depth++) {
		const u32 *saved = (const u32 *)frame;

		printk("    called from 0x%08x\n", saved[1]);
		if (saved[0] <= frame)
			break;		/* stacks grow down, so callers lie above */
		frame = saved[0];
	}
}

/* The kernel itself has gone wrong: show what is known, then die by CRASH. */
void noreturn oops(const struct regs *regs, const char *what)
{
	static char last_words[128];

	printk("Oops: %s, error code 0x%x, cr2 0x%08x\n", what, regs->error_code, lguest_data.cr2);
	printk("    eip 0x%08x cs 0x%02x eflags 0x%08x ds 0x%02x es 0x%02x\n", regs->eip, regs->cs, regs->eflags,
	       regs->ds, regs->es);
	printk("    eax 0x%08x ebx 0x%08x ecx 0x%08x edx 0x%08x\n", regs->eax, regs->ebx, regs->ecx, regs->edx);
	printk("    esi 0x%08x edi 0x%08x ebp 0x%08x esp 0x%08x\n", regs->esi, regs->edi, regs->ebp, (u32)&regs->esp);
	print_call_chain(regs->ebp);
	format_line(last_words, sizeof(last_words), "Oops: %s at 0x%08x", what, regs->eip);
	power_off(last_words);
}

void noreturn power_off(const char *last_words)
{
	hypercall(LHCALL_CRASH, __pa(last_words), 0, 0);
	for (;;)
		halt();			/* not reached: nothing survives LHCALL_CRASH */
}
