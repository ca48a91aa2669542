/*
 * Time and sleep.
 *
 * Virtual interrupt 0 is the timer: one shot, so many nanoseconds from now.
 * The Host delivers it when irq_enabled is not zero, the interrupt is not
 * blocked, and eip is outside the noirq range.  There is nothing to
 * acknowledge: the Host has forgotten it as soon as it has delivered it.
 */
#include "demo.h"

volatile u32 ticks;
u32 time_slice;

void set_timer(u32 nanoseconds)
{
	lguest_data.blocked_interrupts &= ~1u;
	hypercall(LHCALL_SET_CLOCKEVENT, nanoseconds, 0, 0);
}

/*
 * Sleep until a virtual interrupt.  Called with interrupts off, so that
 * nothing slips in between the caller's last look and the sleep; the Host
 * turns them on when it wakes us.
 */
noinline void halt(void)
{
	hypercall(LHCALL_HALT, 0, 0, 0);
}

noinline void handle_irq(u32 irq, struct regs *regs)
{
	if (irq != 0)
		return;			/* console input: waking up is all it is for */
	ticks++;
	if (time_slice)
		set_timer(time_slice);
	if (from_user(regs)) {
		current->stats.preempted++;
		need_resched = true;
	}
}

u64 read_tsc(void)
{
	u64 tsc;

	asm volatile("rdtsc" : "=A"(tsc));
	return tsc;
}
