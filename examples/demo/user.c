/*
 * The user side: ring 3, linked at 0x08048000, nothing of the kernel in reach.
 *
 * Each task starts in one of the functions below with its own copy of the
 * address space.  `int $0x80` goes straight from here to entry_syscall in
 * ring 1: the gate is a trap gate, so the Host has no part in it.
 */
#include "demo.h"

/* Shared by all tasks until written to: the write is a page fault, the page is copied. */
static u32 generation = 1;

static s32 syscall(u32 number, u32 arg1, u32 arg2, u32 arg3)
{
	s32 result;

	asm volatile("int $0x80" : "=a"(result) : "0"(number), "b"(arg1), "c"(arg2), "d"(arg3) : "memory");
	return result;
}

static void noreturn user_exit(u32 code)
{
	for (;;)
		syscall(1, code, 0, 0);
}

static void user_yield(void) { syscall(158, 0, 0, 0); }

static char *append(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	return to;
}

static char *append_number(char *to, u32 value)
{
	if (value >= 10)
		to = append_number(to, value / 10);
	*to++ = '0' + value % 10;
	return to;
}

/* Prints `before`, a number, and `after`. */
static void say(const char *before, u32 number, const char *after)
{
	char line[96], *end = append(line, "    ring 3: ");

	end = append(append_number(append(end, before), number), after);
	syscall(4, 1, (u32)line, end - line);
}

/* Each turn takes a kilobyte of stack, so a few of them leave the page we were given. */
static noinline u32 grow_deep(u32 depth)
{
	volatile u8 room[1024];

	room[0] = (u8)depth;
	return depth ? grow_deep(depth - 1) + room[0] : 0;
}

void user_hello(u32 unused)
{
	u32 pid = syscall(20, 0, 0, 0), depth = 6, sum;

	(void)unused;
	say("I am task ", pid, ", and this line came by int 0x80\n");
	sum = grow_deep(depth);
	say("the stack has grown under me, sum ", sum, "\n");
	say("my variable reads ", generation, ", now I write to it\n");
	generation++;
	say("and reads ", generation, " in my own copy of the page\n");
	user_yield();
	user_exit(0);
}

/* Doubles a number in the FPU, giving the processor away each time: the FPU must remember. */
void user_fpu(u32 seed)
{
	s32 result = (s32)seed;
	u32 turn;

	asm volatile("fildl %0" :: "m"(result));
	for (turn = 0; turn < 4; turn++) {
		asm volatile("fadd %st(0), %st");
		user_yield();
	}
	asm volatile("fistpl %0" : "=m"(result));
	say("doubled four times in the FPU, my number is ", (u32)result,
	    (u32)result == seed * 16 ? ", as it should be\n" : ", WHICH IS WRONG\n");
	user_exit((u32)result != seed * 16);
}

/* Never gives the processor away, so it is taken: virtual interrupt 0 finds us in ring 3. */
void user_spin(u32 rounds)
{
	u32 x = 1, round;

	for (round = 0; round < rounds; round++)
		x = x * 1664525 + 1013904223;
	say("spun to ", x, " without asking for anything\n");
	user_exit(0);
}

void user_crash(u32 how)
{
	volatile u32 zero = 0;

	say("about to go wrong in way ", how, "\n");
	if (how == CRASH_NULL)
		*(volatile u32 *)zero = how;
	else if (how == CRASH_DIVIDE)
		asm volatile("divl %1" :: "a"(how), "m"(zero), "d"(0) : "cc");
	else
		asm volatile("cli");
	say("still here, which is odd: ", how, "\n");
	user_exit(1);
}
