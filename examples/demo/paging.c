/*
 * Page tables: ours, which the processor never looks at.
 *
 * cr3 holds the Host's shadow tables.  The Host fills them from ours when a
 * page fault shows that an entry is missing; if our entry allows the access we
 * never hear of it, else the fault is handed on and lguest_data.cr2 says where.
 * So our tables are a promise, and the shadow is a cache of it, with the rule
 * of every TLB: a new entry needs no announcement, a changed one does.
 */
#include "demo.h"

#define LOWMEM_MAX	(16u << 20)	/* all the memory the demo uses, however much there is */

pte_t kernel_directory[1024] __attribute__((aligned(PAGE_SIZE)));
struct page_stats page_stats;

/* ---- pages: never used ones from the heap, used ones from a list that lives in them ---- */

struct free_page {
	struct free_page *next;
};

static struct free_page *free_list;
static u8 *heap_next, *heap_end;

static void *take_page(void)
{
	struct free_page *page = free_list;

	if (page) {
		free_list = page->next;
	} else {
		if (heap_next == heap_end)
			power_off("out of memory");
		page = (struct free_page *)heap_next;
		heap_next += PAGE_SIZE;
	}
	page_stats.free--;
	page_stats.used++;
	return page;
}

void *alloc_page(void)
{
	return memset(take_page(), 0, PAGE_SIZE);
}

void free_page(void *address)
{
	struct free_page *page = address;

	page->next = free_list;
	free_list = page;
	page_stats.free++;
	page_stats.used--;
}

/* ---- tables ---- */

/* The entry that maps `address`, or NULL if there is not even a table. */
pte_t *find_pte(pte_t *directory, u32 address)
{
	pte_t pde = directory[address >> 22];
	pte_t *table = __va(pde & ~PTE_FLAGS);

	return pde & PTE_PRESENT ? &table[(address >> 12) & 1023] : NULL;
}

static pte_t *make_pte(pte_t *directory, u32 address, pte_t flags)
{
	if (!(directory[address >> 22] & PTE_PRESENT))
		directory[address >> 22] = __pa(alloc_page()) | PTE_PRESENT | PTE_WRITE | flags;
	return find_pte(directory, address);
}

/* Change an entry, and tell the Host if its shadow may hold the old one. */
noinline void set_pte(pte_t *directory, u32 address, pte_t pte)
{
	pte_t *entry = make_pte(directory, address, address < PAGE_OFFSET ? PTE_USER : 0);
	pte_t old = *entry;

	*entry = pte;
	if (old & PTE_PRESENT)
		hypercall(LHCALL_SET_PTE, __pa(directory), address, pte);
}

static void map_low_memory(u32 bytes)
{
	u32 physical;

	for (physical = 0; physical < bytes; physical += PAGE_SIZE) {
		u8 *page = __va(physical);
		pte_t flags = PTE_PRESENT | PTE_WRITE;

		if (page >= kernel_text_start && page < kernel_text_end)
			flags = PTE_PRESENT;		/* nobody writes to code, not even we */
		*make_pte(kernel_directory, (u32)page, 0) = physical | flags;
	}
}

noinline void start_paging(void)
{
	u32 lowmem = boot_info.memory < LOWMEM_MAX ? boot_info.memory : LOWMEM_MAX;

	heap_next = image_end;
	heap_end = __va(lowmem & ~(PAGE_SIZE - 1));
	page_stats.free = (heap_end - heap_next) / PAGE_SIZE;

	map_low_memory(lowmem & ~(PAGE_SIZE - 1));
	/* Empty tables now, so that every directory made later shares them. */
	make_pte(kernel_directory, LAZY_START, 0);
	make_pte(kernel_directory, DEVICES_START, 0);

	hypercall(LHCALL_NEW_PGTABLE, __pa(kernel_directory), 0, 0);
	printk(" 4. NEW_PGTABLE: our own directory at physical 0x%08x, %u MB mapped at 0x%08x\n", __pa(kernel_directory),
	       lowmem >> 20, PAGE_OFFSET);
}

/* The Launcher's pages lie above RAM, where no table of ours has mapped anything yet. */
void *map_device_page(u32 pfn)
{
	u32 address = DEVICES_START + (pfn * PAGE_SIZE - boot_info.memory);

	set_pte(kernel_directory, address, pfn * PAGE_SIZE | PTE_PRESENT | PTE_WRITE);
	return (void *)address;
}

/* ---- user space ---- */

/* A directory for a new task: the kernel's half shared, the user's half empty. */
pte_t *new_directory(void)
{
	pte_t *directory = alloc_page();
	u32 index;

	for (index = PAGE_OFFSET >> 22; index < 1024; index++)
		directory[index] = kernel_directory[index];
	return directory;
}

/*
 * Give back what the running task's user half holds.  FLUSH_TLB(0) makes the
 * Host forget its shadow of it: the page of this directory will be used again,
 * perhaps as a directory, and must not bring a dead task's pages with it.
 */
void free_user_pages(pte_t *directory)
{
	u32 index, entry;

	for (index = 0; index < PAGE_OFFSET >> 22; index++) {
		pte_t *table = __va(directory[index] & ~PTE_FLAGS);

		if (!(directory[index] & PTE_PRESENT))
			continue;
		for (entry = 0; entry < 1024; entry++) {
			u8 *page = __va(table[entry] & ~PTE_FLAGS);

			if ((table[entry] & PTE_PRESENT) && page >= image_end)
				free_page(page);	/* below image_end are the pages all tasks share */
		}
		directory[index] = 0;
		free_page(table);
	}
	hypercall(LHCALL_FLUSH_TLB, 0, 0, 0);
}

bool user_range_ok(pte_t *directory, u32 address, u32 length)
{
	u32 page, end = address + length;

	if (end < address || end > PAGE_OFFSET)
		return false;
	for (page = address & ~(PAGE_SIZE - 1); page < end; page += PAGE_SIZE) {
		pte_t *entry = find_pte(directory, page);

		if (!entry || !(*entry & PTE_PRESENT) || !(*entry & PTE_USER))
			return false;
	}
	return true;
}

/* ---- faults that the Host hands on to us ---- */

/* A kernel page that exists once somebody wants it. */
static bool fill_lazy_page(u32 address, u32 error)
{
	if (address - LAZY_START >= LAZY_PAGES * PAGE_SIZE || (error & PF_PRESENT))
		return false;
	set_pte(kernel_directory, address & ~(PAGE_SIZE - 1), __pa(alloc_page()) | PTE_PRESENT | PTE_WRITE);
	page_stats.lazy_faults++;
	return true;
}

/* Forget a lazy page; properly, which means that the Host is told. */
void unmap_lazy_page(u32 index)
{
	pte_t *entry = find_pte(kernel_directory, (u32)lazy_page(index));
	void *page = __va(*entry & ~PTE_FLAGS);

	if (!(*entry & PTE_PRESENT))
		return;
	set_pte(kernel_directory, (u32)lazy_page(index), 0);
	free_page(page);
}

static bool grow_stack(struct task *task, u32 address)
{
	if (address < USER_STACK_TOP - USER_STACK_MAX || address >= USER_STACK_TOP)
		return false;
	set_pte(task->directory, address & ~(PAGE_SIZE - 1), __pa(alloc_page()) | PTE_PRESENT | PTE_WRITE | PTE_USER);
	page_stats.stack_faults++;
	return true;
}

/* All tasks share the pages of user.c's variables until one of them writes. */
static bool copy_on_write(struct task *task, u32 address, pte_t *entry)
{
	void *copy;

	if (!(*entry & PTE_COPY_ON_WRITE))
		return false;
	copy = memcpy(take_page(), __va(*entry & ~PTE_FLAGS), PAGE_SIZE);
	set_pte(task->directory, address & ~(PAGE_SIZE - 1), __pa(copy) | PTE_PRESENT | PTE_WRITE | PTE_USER);
	page_stats.copy_faults++;
	return true;
}

static bool repair_user_page(struct task *task, u32 address, u32 error)
{
	pte_t *entry = find_pte(task->directory, address);

	if (entry && (*entry & PTE_PRESENT))
		return (error & PF_WRITE) && copy_on_write(task, address, entry);
	return grow_stack(task, address);
}

/*
 * The error code describes the shadow's state, not ours: its PRESENT bit may
 * be clear although our entry is present, if the Host had not copied it yet.
 */
noinline void handle_page_fault(struct regs *regs)
{
	u32 address = lguest_data.cr2;	/* first of all: the next fault will overwrite it */
	u32 error = regs->error_code;
	struct task *task = current;
	bool repaired;

	task->stats.faults++;
	if (address >= PAGE_OFFSET)
		repaired = !(error & PF_USER) && fill_lazy_page(address, error);
	else
		repaired = task->directory != kernel_directory && repair_user_page(task, address, error);

	if (repaired || from_user(regs))
		printk("    page fault: cr2 0x%08x, error code %u (%s%s%s), eip 0x%08x: %s\n", address, error,
		       error & PF_USER ? "user " : "kernel ", error & PF_WRITE ? "write" : "read",
		       error & PF_PRESENT ? ", protected" : ", not present", regs->eip,
		       repaired ? "repaired" : "nothing to be done");
	if (repaired)
		return;
	if (!from_user(regs))
		oops(regs, "page fault");
	printk("    task %u \"%s\" killed: no page at 0x%08x\n", task->pid, task->name, address);
	exit_task(-(s32)VECTOR_PAGE_FAULT - 1);
}
