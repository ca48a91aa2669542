/*
 * Asking the Host: at once, or in a batch.
 *
 * A hypercall costs a whole journey through the Switcher and back.  Where
 * several can wait for one another (a task switch needs three) they go into
 * the ring in lguest_data instead; the next hypercall made directly, whichever
 * it is, runs the waiting ones first.
 */
#include "demo.h"

extern const u8 noirq_start[], noirq_end[];

volatile struct lguest_data lguest_data = {
	.blocked_interrupts = ~0u,
	.hcall_status = { [0 ... LHCALL_RING_SIZE - 1] = HCALL_SLOT_FREE },
	.noirq_start = (u32)noirq_start,
	.noirq_end = (u32)noirq_end,
	.kernel_address = PAGE_OFFSET,
	.syscall_vec = VECTOR_SYSCALL,
};

_Static_assert(sizeof(struct lguest_data) == 1136, "the Host's idea of its size");
_Static_assert(__builtin_offsetof(struct lguest_data, hcalls) == 84, "and of the ring");
_Static_assert(__builtin_offsetof(struct lguest_data, pgdir) == LGUEST_DATA_PGDIR, "head.S");
_Static_assert(__builtin_offsetof(struct lguest_data, irq_enabled) == LGUEST_DATA_IRQ_ENABLED, "entry.S");

/* The slot that is filled next; the Host keeps a cursor of its own, in step with this one. */
static u32 next_slot;

noinline void hypercall(u32 call, u32 arg1, u32 arg2, u32 arg3)
{
	asm volatile("int %0"
		     :: "i"(LGUEST_TRAP_ENTRY), "a"(call), "d"(arg1), "b"(arg2), "c"(arg3)
		     : "memory");
}

noinline void queue_hypercall(u32 call, u32 arg1, u32 arg2, u32 arg3)
{
	volatile struct hypercall_slot *slot = &lguest_data.hcalls[next_slot];

	if (lguest_data.hcall_status[next_slot] != HCALL_SLOT_FREE) {
		hypercall(call, arg1, arg2, arg3);	/* full: the direct call drains it */
		return;
	}
	slot->call = call;
	slot->arg1 = arg1;
	slot->arg2 = arg2;
	slot->arg3 = arg3;
	lguest_data.hcall_status[next_slot] = HCALL_SLOT_READY;	/* last: now it counts */
	next_slot = (next_slot + 1) % LHCALL_RING_SIZE;
}

/* A hypercall that asks for nothing but what every hypercall does. */
void flush_queued_hypercalls(void)
{
	hypercall(LHCALL_FLUSH_ASYNC, 0, 0, 0);
}

u32 queued_hypercalls(void)
{
	u32 slot, waiting = 0;

	for (slot = 0; slot < LHCALL_RING_SIZE; slot++)
		waiting += lguest_data.hcall_status[slot] != HCALL_SLOT_FREE;
	return waiting;
}
