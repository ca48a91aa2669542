/*
 * Formatted output and the handful of C library functions a kernel needs.
 *
 * printk() builds a whole line first: each call to console_write() is at least
 * one hypercall, and hypercalls are dear.
 */
#include "demo.h"

#define LINE_SIZE 256

struct line {
	char *text;
	u32 length, size;
};

static void put(struct line *line, char c)
{
	if (line->length + 1 < line->size)
		line->text[line->length++] = c;
}

static void put_number(struct line *line, u32 value, u32 base, u32 width, char fill)
{
	char digits[12];
	u32 count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (width > count) {
		put(line, fill);
		width--;
	}
	while (count)
		put(line, digits[--count]);
}

static void put_string(struct line *line, const char *text, u32 width)
{
	u32 length = 0;

	for (; text[length]; length++)
		put(line, text[length]);
	for (; length < width; length++)
		put(line, ' ');
}

/* Understands %s %c %d %u %x %%, a width, a leading 0, and - (strings always go to the left). */
static void format(struct line *line, const char *pattern, __builtin_va_list values)
{
	u32 width;
	s32 number;
	char fill;

	for (; *pattern; pattern++) {
		if (*pattern != '%') {
			put(line, *pattern);
			continue;
		}
		pattern++;
		fill = ' ';
		width = 0;
		if (*pattern == '-')
			pattern++;
		if (*pattern == '0')
			fill = '0';
		for (; *pattern >= '0' && *pattern <= '9'; pattern++)
			width = width * 10 + (*pattern - '0');
		switch (*pattern) {
		case 's':
			put_string(line, __builtin_va_arg(values, const char *), width);
			break;
		case 'c':
			put(line, (char)__builtin_va_arg(values, int));
			break;
		case 'd':
			number = __builtin_va_arg(values, s32);
			if (number < 0) {
				put(line, '-');
				number = -number;
			}
			put_number(line, (u32)number, 10, width, fill);
			break;
		case 'u':
			put_number(line, __builtin_va_arg(values, u32), 10, width, fill);
			break;
		case 'x':
			put_number(line, __builtin_va_arg(values, u32), 16, width, fill);
			break;
		default:
			put(line, *pattern);
		}
	}
	line->text[line->length] = 0;
}

void format_line(char *buffer, u32 size, const char *pattern, ...)
{
	struct line line = { buffer, 0, size };
	__builtin_va_list values;

	__builtin_va_start(values, pattern);
	format(&line, pattern, values);
	__builtin_va_end(values);
}

noinline void printk(const char *pattern, ...)
{
	static char text[LINE_SIZE];	/* one processor, and interrupt handlers do not print */
	struct line line = { text, 0, LINE_SIZE };
	__builtin_va_list values;

	__builtin_va_start(values, pattern);
	format(&line, pattern, values);
	__builtin_va_end(values);
	console_write(text, line.length);
}

void *memcpy(void *to, const void *from, u32 length)
{
	void *start = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) :: "memory");
	return start;
}

void *memset(void *to, int byte, u32 length)
{
	void *start = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(byte) : "memory");
	return start;
}

u32 strlen(const char *text)
{
	u32 length = 0;

	while (text[length])
		length++;
	return length;
}

bool starts_with(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return false;
	return true;
}

bool same(const char *a, const char *b)
{
	return starts_with(a, b) && starts_with(b, a);
}
