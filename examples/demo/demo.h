/*
 * What the files of the demo Guest share: types, layout, and who offers what.
 *
 * The layout is that of Linux: linked at 0xC0100000, loaded at physical
 * 0x100000.  Physical memory (as the Guest believes in it) appears once at
 * PAGE_OFFSET, so __pa() and __va() are a subtraction and an addition.
 */
#ifndef DEMO_H
#define DEMO_H

#define PAGE_SIZE	4096
#define PAGE_OFFSET	0xC0000000	/* user space below, the kernel from here up */
#define LAZY_START	0xD0000000	/* kernel pages that appear when touched: see paging.c */
#define LAZY_PAGES	64
#define DEVICES_START	0xE0000000	/* the Launcher's device pages are mapped here */
#define USER_TEXT	0x08048000	/* where user.c is linked */
#define USER_STACK_TOP	0xBFFFF000
#define USER_STACK_MAX	(16 * PAGE_SIZE)

#define BOOT_MAPPED_PDES 32		/* 128 MB: how much of the Launcher's table head.S reuses */
#define INIT_STACK_PAGES 2
#define TASK_STACK_PAGES 1

#define EFLAGS_IF	0x200

/* Offset of task.esp for switch_to(); checked in task.c. */
#define TASK_ESP	0

#ifdef __ASSEMBLER__
#include "lguest.h"
#else

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define noinline __attribute__((noinline))
#define noreturn __attribute__((noreturn))
#define barrier() asm volatile("" ::: "memory")

#include "lguest.h"

/* ---- list.h in nine lines: circular, doubly linked, the head is one of the links ---- */
struct list_head {
	struct list_head *next, *prev;
};
#define container_of(link, type, member) ((type *)((u8 *)(link) - __builtin_offsetof(type, member)))
static inline void list_add_tail(struct list_head *link, struct list_head *head)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}
static inline void list_del(struct list_head *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

/* ---- the machine ---- */
#define __pa(virtual) ((u32)(virtual) - PAGE_OFFSET)
#define __va(physical) ((void *)((u32)(physical) + PAGE_OFFSET))

/*
 * The registers of whoever was interrupted, as entry.S leaves them on the
 * kernel stack.  The last two are there only when ring 3 was interrupted.
 */
struct regs {
	u32 edi, esi, ebp, esp_unused, ebx, edx, ecx, eax;
	u32 es, ds;
	u32 vector, error_code;
	u32 eip, cs, eflags;
	u32 esp, ss;
};
static inline bool from_user(const struct regs *regs) { return (regs->cs & 3) == 3; }

enum vector {
	VECTOR_DIVIDE = 0, VECTOR_DEBUG = 1, VECTOR_BREAKPOINT = 3, VECTOR_OVERFLOW = 4, VECTOR_BOUND = 5,
	VECTOR_INVALID_OPCODE = 6, VECTOR_NO_FPU = 7, VECTOR_PROTECTION = 13, VECTOR_PAGE_FAULT = 14,
	VECTOR_IRQ0 = 32, VECTOR_SYSCALL = 0x80,
};

/* Error code of a page fault. */
#define PF_PRESENT	1	/* a protection fault; clear: nothing was mapped (in the shadow table!) */
#define PF_WRITE	2
#define PF_USER		4

/* ---- boot.c ---- */
struct boot_info {
	u32 memory;			/* bytes of RAM the Launcher gave us */
	u32 subarch;
	const char *command_line;
};
extern struct boot_info boot_info;

/* ---- hypercall.c ---- */
void hypercall(u32 call, u32 arg1, u32 arg2, u32 arg3);
void queue_hypercall(u32 call, u32 arg1, u32 arg2, u32 arg3);
void flush_queued_hypercalls(void);
u32 queued_hypercalls(void);
static inline void irq_disable(void) { lguest_data.irq_enabled = 0; barrier(); }
static inline void irq_enable(void) { barrier(); lguest_data.irq_enabled = EFLAGS_IF; }

/* ---- segments.c ---- */
void load_segments(void);

/* ---- traps.c ---- */
enum gate_type { INTERRUPT_GATE = 0xe, TRAP_GATE = 0xf };
extern u32 trap_count[256];
const char *trap_name(u32 vector);
void load_traps(void);
void set_gate(u32 vector, const void *handler, enum gate_type type, u32 dpl);
void clear_gate(u32 vector);
void set_breakpoint_gate(enum gate_type type);
void handle_trap(struct regs *regs);
void noreturn oops(const struct regs *regs, const char *what);
void noreturn power_off(const char *last_words);

/* ---- paging.c ---- */
typedef u32 pte_t;
#define PTE_PRESENT	0x001
#define PTE_WRITE	0x002
#define PTE_USER	0x004
#define PTE_WRITE_THROUGH 0x008		/* the Host kills whoever sets this */
#define PTE_ACCESSED	0x020
#define PTE_DIRTY	0x040
#define PTE_COPY_ON_WRITE 0x200		/* one of the three bits the processor leaves to us */
#define PTE_FLAGS	0xfff

struct page_stats {
	u32 free, used, lazy_faults, stack_faults, copy_faults;
};
extern struct page_stats page_stats;
extern pte_t kernel_directory[1024];

void start_paging(void);
void *alloc_page(void);
void free_page(void *page);
pte_t *find_pte(pte_t *directory, u32 address);
void set_pte(pte_t *directory, u32 address, pte_t pte);
void *map_device_page(u32 pfn);
pte_t *new_directory(void);
void free_user_pages(pte_t *directory);
bool user_range_ok(pte_t *directory, u32 address, u32 length);
void handle_page_fault(struct regs *regs);
void unmap_lazy_page(u32 index);
static inline volatile u32 *lazy_page(u32 index) { return (volatile u32 *)(LAZY_START + index * PAGE_SIZE); }

/* ---- task.c ---- */
enum task_state { TASK_UNUSED, TASK_RUNNABLE, TASK_ZOMBIE };

struct fpu_state {
	u32 environment[7];
	u8 registers[8][10];
};

struct task {
	u32 esp;			/* kernel stack while not running: first, for switch_to() */
	u32 esp0;			/* where traps from ring 3 start their frame */
	u32 pid;
	enum task_state state;
	const char *name;
	pte_t *directory;
	u8 *kernel_stack;
	u32 stack_pages;
	bool fpu_live;			/* its numbers are in the FPU: save before switching */
	bool fpu_saved;			/* its numbers are in `fpu` */
	struct fpu_state fpu;
	s32 exit_code;
	struct { u32 syscalls, faults, preempted, switches, fpu_traps; } stats;
	struct list_head list;
};

extern struct task *current;
extern struct list_head task_list;
extern bool need_resched;
void start_tasks(void);
struct task *create_task(const char *name, void (*entry)(u32), u32 argument);
void wait_for_tasks(void);
void schedule(void);
void noreturn exit_task(s32 code);
void handle_no_fpu(void);
void handle_syscall(struct regs *regs);

/* entry.S */
void switch_to(struct task *previous, struct task *next);
void trap_return(void);
extern const void *const trap_entries[48];
void entry_syscall(void);

/* ---- clock.c ---- */
extern volatile u32 ticks;
extern u32 time_slice;			/* nanoseconds between ticks while tasks run, 0: no ticks */
void set_timer(u32 nanoseconds);
void halt(void);
void handle_irq(u32 irq, struct regs *regs);
u64 read_tsc(void);

/* ---- console.c ---- */
extern u32 console_irq;			/* virtual interrupt of console input, 0: no console */
void console_write(const char *text, u32 length);
void start_console(void);
bool console_has_input(void);
char console_read(void);

/* ---- printk.c ---- */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
void format_line(char *buffer, u32 size, const char *format, ...) __attribute__((format(printf, 3, 4)));
void *memcpy(void *to, const void *from, u32 length);
void *memset(void *to, int byte, u32 length);
u32 strlen(const char *text);
bool starts_with(const char *text, const char *prefix);
bool same(const char *a, const char *b);

/* ---- tour.c ---- */
void show_demand_paging(void);
void show_visible_page_fault(void);
void show_batched_hypercalls(void);
void show_ports(void);
void show_breakpoints(void);
void show_held_interrupt(void);
void show_halt(void);
void show_user_task(void);
void show_task_switches(void);

/* ---- shell.c ---- */
void noreturn shell(void);

/* ---- user.c: runs in ring 3, linked low; only the addresses are used here ---- */
void user_hello(u32 unused);
void user_fpu(u32 seed);
void user_spin(u32 rounds);
void user_crash(u32 how);
enum { CRASH_NULL, CRASH_DIVIDE, CRASH_PRIVILEGED };

/* ---- link.ld ---- */
extern u8 kernel_text_start[], kernel_text_end[], image_end[];
extern u8 user_image_start[], user_text_end[], user_data_start[], user_data_end[];

#endif /* __ASSEMBLER__ */
#endif /* DEMO_H */
