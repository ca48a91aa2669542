/*
 * The GDT: four flat segments, because protection is the page tables' work.
 *
 * We fill in what a native kernel would, privilege level 0 and all.  The Host
 * copies the table, turns each level 0 into 1 (ring 0 is its own), and keeps
 * its own code, data and TSS in entries 10, 11 and 16, which it takes from
 * nobody.
 */
#include "demo.h"

#define GDT_ENTRIES	32
#define ACCESS_CODE	0x9a		/* present, code, readable */
#define ACCESS_DATA	0x92		/* present, data, writable */
#define ACCESS_RING3	0x60

struct descriptor {
	u16 limit_low, base_low;
	u8 base_middle, access;
	u8 limit_high_flags;		/* 0xC: counts pages, 32-bit */
	u8 base_high;
} __attribute__((packed));

static struct descriptor gdt[GDT_ENTRIES];

static void set_flat_segment(u32 selector, u8 access)
{
	gdt[selector >> 3] = (struct descriptor) { .limit_low = 0xffff, .access = access, .limit_high_flags = 0xcf };
}

noinline void load_segments(void)
{
	u32 access_rights = 0;

	set_flat_segment(KERNEL_CS, ACCESS_CODE);
	set_flat_segment(KERNEL_DS, ACCESS_DATA);
	set_flat_segment(USER_CS, ACCESS_CODE | ACCESS_RING3);
	set_flat_segment(USER_DS, ACCESS_DATA | ACCESS_RING3);
	hypercall(LHCALL_LOAD_GDT, __pa(gdt), GDT_ENTRIES, 0);

	/* Ask the processor what became of it: the level has changed, and the accessed bit is set. */
	asm volatile("larl %1, %0" : "=r"(access_rights) : "r"(KERNEL_DS));
	printk(" 2. LOAD_GDT: kernel data went in with access byte 0x%02x, the processor says 0x%02x\n",
	       gdt[KERNEL_DS >> 3].access, (access_rights >> 8) & 0xff);
}
