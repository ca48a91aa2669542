/* Platform shim: everything bench.c needs from its environment.
 * plat_mb.c    bare metal, multiboot1, ring 0 (QEMU, v86, Bochs, a new emulator)
 * plat_linux.c 32-bit Linux process (native reference)
 * plat_lguest.c ring 1 and 3 of a lguest Guest
 * Another platform is one more file with these functions. */
#ifndef PLAT_H
#define PLAT_H
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;

/* Patched in the image by the harness (search for the magic). */
struct bench_config {
    char magic[16];          /* "PERFBENCHCONFIG1" */
    u32 mask;                /* bit n: run test n */
    u32 num, den;            /* iterations = default * num / den (min 1) */
    u32 reserved;
};
extern volatile struct bench_config bench_config;

void plat_putc(char c);
u64  plat_tsc(void);
u8  *plat_arena(void);               /* >= 32 MB zeroed RAM, 4 KB aligned, executable */
#define ARENA_SIZE (32u << 20)

/* capability bits */
#define CAP_WINDOW 1                 /* plat_window is 16 MB of memory in 4 KB pages */
#define CAP_TRAPS  2                 /* plat_user + int 0x80 usable */
#define CAP_FLUSH  4                 /* plat_flush_tlb really flushes */
#define CAP_FAULT  8                 /* page faults in the window reach bench_fault */
#define CAP_HYPER 16                 /* plat_hypercall asks a Host for next to nothing */
u32  plat_caps(void);

/* A 16 MB virtual window (4096 pages). plat_window_map(k, arena_page): map window page k to an arena page;
 * plat_window_unmap_all(): not-present everywhere + TLB flush. */
u8  *plat_window(void);
void plat_window_map(u32 k, u32 arena_page);
void plat_window_unmap_all(void);
void plat_flush_tlb(void);           /* reload CR3 (or hypercall) */
void plat_hypercall(void);

/* Run fn(arg) at ring 3 until it returns. While it runs int 0x80 with eax=n calls bench_syscall(n, ebx);
 * a page fault in the window calls bench_fault(address), then the instruction is restarted. */
void plat_user(void (*fn)(u32), u32 arg);
u32  bench_syscall(u32 n, u32 a);
void bench_fault(u32 addr);

void bench_main(void);
#endif
