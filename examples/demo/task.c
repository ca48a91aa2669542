/*
 * Tasks: each with a directory, a kernel stack and, if it wants, an FPU.
 *
 * Scheduling is round robin.  What is particular to a Guest is how little of a
 * switch it can do itself: the stack for traps from ring 3 (SET_STACK), the
 * address space (NEW_PGTABLE) and the FPU trap (TS) are all the Host's, so they
 * go into the ring, and one hypercall runs the three.
 */
#include "demo.h"

#define MAX_TASKS 8

/* System call numbers are Linux's, so that they look familiar. */
enum { SYS_EXIT = 1, SYS_WRITE = 4, SYS_GETPID = 20, SYS_YIELD = 158 };
#define EFAULT 14
#define ENOSYS 38

_Static_assert(__builtin_offsetof(struct task, esp) == TASK_ESP, "switch_to() in entry.S");
_Static_assert(sizeof(struct fpu_state) == 108, "what fnsave writes");

static struct task tasks[MAX_TASKS];
struct list_head task_list = { &task_list, &task_list };
struct task *current = &tasks[0];
bool need_resched;

extern u8 init_stack[];

/* Task 0 is what has been running all along, from start_kernel() to the shell. */
noinline void start_tasks(void)
{
	struct task *init = &tasks[0];

	init->name = "init";
	init->state = TASK_RUNNABLE;
	init->directory = kernel_directory;
	init->kernel_stack = init_stack;
	init->stack_pages = INIT_STACK_PAGES;
	/* Not the very top: reflecting a trap, the Host looks up the page that esp0 lies in. */
	init->esp0 = (u32)init_stack + INIT_STACK_PAGES * PAGE_SIZE - 16;
	list_add_tail(&init->list, &task_list);
	hypercall(LHCALL_SET_STACK, KERNEL_DS, init->esp0, init->stack_pages);
	hypercall(LHCALL_TS, 8, 0, 0);
	printk(" 5. SET_STACK: traps from ring 3 will start at 0x%08x; TS: the first FPU instruction will trap\n",
	       init->esp0);
}

static struct task *unused_task(void)
{
	static u32 last_pid;
	u32 slot;

	for (slot = 1; slot < MAX_TASKS; slot++)
		if (tasks[slot].state == TASK_UNUSED) {
			memset(&tasks[slot], 0, sizeof(struct task));
			tasks[slot].pid = ++last_pid;
			return &tasks[slot];
		}
	power_off("too many tasks");
}

/* Text and variables are the same pages for all; the variables are copied when written to. */
static void map_user_image(struct task *task)
{
	u32 address, physical = __pa(user_image_start);

	for (address = USER_TEXT; address < (u32)user_data_end; address += PAGE_SIZE, physical += PAGE_SIZE) {
		pte_t flags = PTE_PRESENT | PTE_USER;

		if (address >= (u32)user_data_start)
			flags |= PTE_COPY_ON_WRITE;
		set_pte(task->directory, address, physical | flags);
	}
}

/* One page of stack, with the argument where a C function looks for it. */
static u32 make_user_stack(struct task *task, u32 argument)
{
	u32 *page = alloc_page();

	page[PAGE_SIZE / 4 - 1] = argument;
	page[PAGE_SIZE / 4 - 2] = 0;		/* the return address: tasks exit, they do not return */
	set_pte(task->directory, USER_STACK_TOP - PAGE_SIZE, __pa(page) | PTE_PRESENT | PTE_WRITE | PTE_USER);
	return USER_STACK_TOP - 8;
}

noinline struct task *create_task(const char *name, void (*entry)(u32), u32 argument)
{
	struct task *task = unused_task();
	struct regs *regs;
	struct { u32 edi, esi, ebx, ebp; void (*eip)(void); } *frame;

	task->name = name;
	task->directory = new_directory();
	map_user_image(task);
	task->kernel_stack = alloc_page();
	task->stack_pages = TASK_STACK_PAGES;
	task->esp0 = (u32)task->kernel_stack + TASK_STACK_PAGES * PAGE_SIZE - 16;

	/* As if it had been in ring 3 before, and had just trapped ... */
	regs = (struct regs *)task->esp0 - 1;
	regs->ds = regs->es = regs->ss = USER_DS;
	regs->cs = USER_CS;
	regs->eip = (u32)entry;
	regs->esp = make_user_stack(task, argument);
	regs->eflags = EFLAGS_IF | 2;

	/* ... and had then called switch_to() from just before the way back. */
	frame = (void *)((u32)regs - sizeof(*frame));
	frame->ebp = 0;
	frame->eip = trap_return;
	task->esp = (u32)frame;

	task->state = TASK_RUNNABLE;
	list_add_tail(&task->list, &task_list);
	return task;
}

/* ---- switching ---- */

static struct task *next_runnable(struct task *task)
{
	struct list_head *link = task->list.next;

	for (;; link = link->next) {
		if (link == &task_list)
			continue;
		task = container_of(link, struct task, list);
		if (task->state == TASK_RUNNABLE)	/* init always is, so the search ends */
			return task;
	}
}

/* The FPU still holds the numbers of the task that used it last; put them where they belong. */
static void save_fpu(struct task *task)
{
	if (!task->fpu_live)
		return;
	asm volatile("fnsave %0" : "=m"(task->fpu));
	task->fpu_live = false;
	task->fpu_saved = true;
	queue_hypercall(LHCALL_TS, 8, 0, 0);
}

/* Called with interrupts off; returns, still with interrupts off, when it is our turn again. */
noinline void schedule(void)
{
	struct task *previous = current;
	struct task *next = next_runnable(previous);

	need_resched = false;
	if (next == previous)
		return;
	save_fpu(previous);
	queue_hypercall(LHCALL_NEW_PGTABLE, __pa(next->directory), 0, 0);
	queue_hypercall(LHCALL_SET_STACK, KERNEL_DS, next->esp0, next->stack_pages);
	flush_queued_hypercalls();
	next->stats.switches++;
	current = next;
	switch_to(previous, next);
}

/* #NM: somebody wants the FPU.  Lazily: tasks that never do are never saved. */
noinline void handle_no_fpu(void)
{
	hypercall(LHCALL_TS, 0, 0, 0);
	if (current->fpu_saved)
		asm volatile("frstor %0" :: "m"(current->fpu));
	else
		asm volatile("fninit");
	current->fpu_live = true;
	current->stats.fpu_traps++;
}

void noreturn exit_task(s32 code)
{
	struct task *task = current;
	pte_t *directory = task->directory;

	free_user_pages(directory);
	task->directory = kernel_directory;
	hypercall(LHCALL_NEW_PGTABLE, __pa(kernel_directory), 0, 0);
	free_page(directory);
	if (task->fpu_live) {
		task->fpu_live = false;
		hypercall(LHCALL_TS, 8, 0, 0);
	}
	task->exit_code = code;
	task->state = TASK_ZOMBIE;
	schedule();			/* we still stand on its stack: wait_for_tasks() frees that */
	power_off("a dead task was scheduled");
}

/* Init's only job while tasks run: let them, and bury the dead. */
noinline void wait_for_tasks(void)
{
	u32 slot, alive;

	irq_disable();
	do {
		schedule();
		alive = 0;
		for (slot = 1; slot < MAX_TASKS; slot++) {
			struct task *task = &tasks[slot];

			if (task->state == TASK_ZOMBIE) {
				printk("    task %u \"%s\" ended with %d: %u system calls, %u faults, %u times preempted, "
				       "%u FPU traps\n", task->pid, task->name, task->exit_code, task->stats.syscalls,
				       task->stats.faults, task->stats.preempted, task->stats.fpu_traps);
				list_del(&task->list);
				free_page(task->kernel_stack);
				task->state = TASK_UNUSED;
			}
			alive += task->state == TASK_RUNNABLE;
		}
	} while (alive);
	irq_enable();
}

/* ---- system calls: int $0x80, number in eax, arguments in ebx, ecx, edx ---- */

static s32 sys_write(u32 address, u32 length)
{
	static char text[128];

	if (length >= sizeof(text))
		length = sizeof(text) - 1;
	if (!user_range_ok(current->directory, address, length))
		return -EFAULT;
	memcpy(text, (const void *)address, length);
	text[length] = 0;
	console_write(text, length);
	return (s32)length;
}

noinline void handle_syscall(struct regs *regs)
{
	current->stats.syscalls++;
	switch (regs->eax) {
	case SYS_EXIT:
		exit_task((s32)regs->ebx);
	case SYS_WRITE:
		regs->eax = (u32)sys_write(regs->ecx, regs->edx);
		break;
	case SYS_GETPID:
		regs->eax = current->pid;
		break;
	case SYS_YIELD:
		regs->eax = 0;
		schedule();
		break;
	default:
		regs->eax = (u32)-ENOSYS;
	}
}
