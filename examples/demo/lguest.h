/*
 * What Guest and Host agreed on: hypercall numbers and the shared page.
 *
 * A lguest Guest asks its Host for things with `int $0x1f`.  The number goes
 * in eax, up to three arguments in edx, ebx and ecx (in that order), and
 * nothing ever comes back: a request the Host dislikes is answered by death.
 * State that both must see lies in `struct lguest_data`, which the Guest
 * places where it likes and names once, in LHCALL_LGUEST_INIT.
 *
 * The file is read by C and by the assembler; the #ifs hide each from the other.
 */
#ifndef LGUEST_H
#define LGUEST_H

#define LGUEST_TRAP_ENTRY	0x1f	/* the only vector that leads to the Host by choice */

#define LHCALL_FLUSH_ASYNC	0	/* nothing: but any hypercall drains the ring first */
#define LHCALL_LGUEST_INIT	1	/* physical address of lguest_data */
#define LHCALL_CRASH		2	/* physical address of the last words, 128 bytes read */
#define LHCALL_LOAD_GDT		3	/* physical address of the table, number of entries */
#define LHCALL_NEW_PGTABLE	4	/* physical address of the page directory */
#define LHCALL_FLUSH_TLB	5	/* 0: the user part, else everything */
#define LHCALL_LOAD_IDT_ENTRY	6	/* vector, low dword, high dword */
#define LHCALL_SET_STACK	7	/* ss, esp for traps from ring 3, pages to pin below esp */
#define LHCALL_TS		8	/* CR0.TS: 8 makes the next FPU instruction trap */
#define LHCALL_SET_CLOCKEVENT	9	/* nanoseconds from now, 0 cancels */
#define LHCALL_HALT		10	/* sleep until a virtual interrupt; returns with them enabled */
#define LHCALL_SET_PTE		14	/* directory, linear address, the new entry */
#define LHCALL_SET_PMD		15	/* directory, index of the changed entry */
#define LHCALL_LOAD_TLS		16	/* physical address of three descriptors */
#define LHCALL_NOTIFY		17	/* a virtqueue's page, or (early) a string to print */

#define LHCALL_RING_SIZE	64
#define HCALL_SLOT_FREE		0xff	/* the Host has run it (or nobody has filled it) */
#define HCALL_SLOT_READY	0x00	/* the Guest has filled it */

/* The kernel runs in ring 1: ring 0 belongs to the Host. */
#define KERNEL_CS		0x61
#define KERNEL_DS		0x69
#define USER_CS			0x73
#define USER_DS			0x7b

/* Offsets into struct lguest_data for the assembler; checked in hypercall.c. */
#define LGUEST_DATA_IRQ_ENABLED	0
#define LGUEST_DATA_PGDIR	1116

#ifndef __ASSEMBLER__

struct hypercall_slot {
	u32 call, arg2, arg3, arg1;	/* eax, ebx, ecx, edx: the order of the Host's own record */
};

struct lguest_data {
	u32 irq_enabled;		/* our EFLAGS.IF: 0x200 on, 0 off; the real IF is always on */
	u32 blocked_interrupts;		/* bit n masks virtual interrupt n */
	u32 cr2;			/* written by the Host when it hands us a page fault */
	struct { s32 sec, nsec; } time;
	u8 hcall_status[LHCALL_RING_SIZE];
	struct hypercall_slot hcalls[LHCALL_RING_SIZE];
	/* Filled in by the Host during LHCALL_LGUEST_INIT: */
	u32 reserve_mem;		/* bytes at the top of the address space that are the Switcher's */
	u32 tsc_khz;
	u32 pgdir;			/* physical address of the Launcher's page directory */
	/* Filled in by us before it: */
	u32 noirq_start, noirq_end;	/* no virtual interrupt while eip is in here */
	u32 kernel_address;		/* where the kernel's half begins */
	u32 syscall_vec;
};

extern volatile struct lguest_data lguest_data;

/* The boot parameter page at physical 0, as far as we care. */
#define BOOT_E820_ENTRIES	0x1e8	/* u8 */
#define BOOT_CMD_LINE_PTR	0x228	/* u32 */
#define BOOT_SUBARCH		0x23c	/* u32: 1 says "you are a lguest Guest" */
#define BOOT_E820_SIZE		0x2d8	/* u32: bytes of RAM in the only entry */

/* The device page, first page above RAM: packed descriptors, ended by type 0. */
struct lguest_device_desc {
	u8 type;
	u8 config_len;			/* bytes of fields that follow */
	u8 status;
	u8 config[];			/* {u8 type, u8 length, data} and so on */
} __attribute__((packed));

#define VIRTIO_ID_CONSOLE		3
#define VIRTIO_CONFIG_F_VIRTQUEUE	2
#define VIRTIO_CONFIG_FIELD_SEEN	0x80
#define VIRTIO_CONFIG_S_ACKNOWLEDGE	1
#define VIRTIO_CONFIG_S_DRIVER		2
#define VIRTIO_CONFIG_S_DRIVER_OK	4

struct lguest_vqconfig {
	u16 num;			/* descriptors in the ring */
	u16 irq;			/* virtual interrupt raised for used buffers */
	u32 pfn;			/* page of the ring, and the address to NOTIFY */
} __attribute__((packed));

#define VRING_DESC_F_WRITE		2	/* the other side writes this buffer */
#define VRING_AVAIL_F_NO_INTERRUPT	1

struct vring_desc {
	u32 address, address_high;	/* physical */
	u32 length;
	u16 flags, next;
};

struct vring_avail {
	u16 flags, index;
	u16 ring[];
};

struct vring_used {
	u16 flags, index;
	struct { u32 id, length; } ring[];
};

#endif /* __ASSEMBLER__ */
#endif /* LGUEST_H */
