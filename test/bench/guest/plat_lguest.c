/* lguest shim: the workloads in ring 1 and ring 3 of a lguest Guest, with the Host between them and the processor.
 * Everything is mapped once, present, accessed and dirty, user pages all (bench.c runs at both levels), so that the
 * compute workloads meet the Host only on first touch. The window is in the user half: FLUSH_TLB(0) drops it and
 * nothing else, as a task switch would. Interrupts stay off. Output goes by NOTIFY, a line at a time. */
#include "plat.h"
#define PAGE_OFFSET 0xC0000000u
#define RAM_MB 48u
#define ARENA (PAGE_OFFSET + 0x400000u)
#define WINDOW 0x10000000u
#define FLAGS 0x67u                                      /* present, writable, user, accessed, dirty */
enum { CRASH = 2, LOAD_GDT = 3, NEW_PGTABLE = 4, FLUSH_TLB = 5, LOAD_IDT_ENTRY = 6, SET_STACK = 7, TS = 8, NOTIFY = 17 };

struct lguest_data { u32 irq_enabled, blocked, cr2, sec, nsec; u8 status[64]; u32 ring[64][4];
    u32 reserve_mem, tsc_khz, pgdir, noirq_start, noirq_end, kernel_address, syscall_vec; };
volatile struct lguest_data lguest_data __attribute__((section(".data"), aligned(4096))) =
    { .blocked = ~0u, .status = { [0 ... 63] = 0xff }, .kernel_address = PAGE_OFFSET, .syscall_vec = 0x80 };

static u32 pd[1024] __attribute__((aligned(4096))), pt[RAM_MB / 4][1024] __attribute__((aligned(4096))), wpt[4][1024] __attribute__((aligned(4096)));
static u64 gdt[32];
void entry_80(void); void entry_13(void); void entry_14(void); void entry_bad(void);

static void hypercall(u32 call, u32 a, u32 b, u32 c) { asm volatile("int $0x1f" :: "a"(call), "d"(a), "b"(b), "c"(c) : "memory"); }
static void gate(u32 n, void (*f)(void), u32 type, u32 dpl) { u32 a = (u32)f; hypercall(LOAD_IDT_ENTRY, n, (0x61u << 16) | (a & 0xffff), (a & 0xffff0000u) | 0x8000 | (dpl << 13) | (type << 8)); }
static void crash(const char *why) { hypercall(CRASH, (u32)why - PAGE_OFFSET, 0, 0); for (;;); }

void plat_putc(char c) {
    static char line[128]; static u32 n;
    line[n++] = c;
    if (c == '\n' || n == sizeof line - 1) { line[n] = 0; n = 0; hypercall(NOTIFY, (u32)line - PAGE_OFFSET, 0, 0); }
}
u64 plat_tsc(void) { u64 t; asm volatile("rdtsc" : "=A"(t)); return t; }
u8 *plat_arena(void) { return (u8 *)ARENA; }
u32 plat_caps(void) { return CAP_WINDOW | CAP_TRAPS | CAP_FLUSH | CAP_FAULT | CAP_HYPER; }
u8 *plat_window(void) { return (u8 *)WINDOW; }
void plat_flush_tlb(void) { hypercall(FLUSH_TLB, 0, 0, 0); }
void plat_hypercall(void) { hypercall(TS, 0, 0, 0); }
void plat_window_map(u32 k, u32 page) { ((volatile u32 *)wpt)[k] = (ARENA - PAGE_OFFSET + page * 4096) | FLAGS; }
void plat_window_unmap_all(void) { for (u32 k = 0; k < 4096; k++) ((volatile u32 *)wpt)[k] = 0; plat_flush_tlb(); }
void plat_set_stack(u32 esp) { hypercall(SET_STACK, 0x69, esp, 1); }
void plat_bad(void) { crash("bench: a trap that was not expected"); }
void plat_fault(void) { u32 addr = lguest_data.cr2; if (addr - WINDOW < (16u << 20)) bench_fault(addr); else plat_bad(); }
void plat_init(void) {
    if (*(volatile u32 *)(PAGE_OFFSET + 0x2d8) < RAM_MB << 20) crash("bench: needs 48 MB of memory");
    for (u32 i = 0; i < RAM_MB / 4; i++) { for (u32 k = 0; k < 1024; k++) pt[i][k] = ((i * 1024 + k) << 12) | FLAGS; pd[(PAGE_OFFSET >> 22) + i] = ((u32)pt[i] - PAGE_OFFSET) | 7; }
    for (u32 i = 0; i < 4; i++) pd[(WINDOW >> 22) + i] = ((u32)wpt[i] - PAGE_OFFSET) | 7;
    hypercall(NEW_PGTABLE, (u32)pd - PAGE_OFFSET, 0, 0);
    gdt[12] = 0x00cf9a000000ffffull; gdt[13] = 0x00cf92000000ffffull; gdt[14] = 0x00cffa000000ffffull; gdt[15] = 0x00cff2000000ffffull;
    hypercall(LOAD_GDT, (u32)gdt - PAGE_OFFSET, 32, 0);
    for (u32 i = 0; i < 32; i++) if (i != 2 && i != 8 && i != 15 && i != 31) gate(i, entry_bad, 0xe, 0);
    gate(13, entry_13, 0xe, 0); gate(14, entry_14, 0xe, 0); gate(0x80, entry_80, 0xf, 3);
    asm volatile("fninit");
}
void plat_exit(void) { crash("Power down"); }
