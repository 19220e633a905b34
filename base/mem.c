/*
 * mem.c - the process's allocator behind counters and failure injection.
 */
#include "mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t failures;
static _Thread_local uint64_t fail_in; /* allocations until one is refused; 0 = off */
static _Thread_local int fail_sticky;

void mem_fail_after(uint64_t n, int sticky)
{
	fail_in = n;
	fail_sticky = sticky;
}

uint64_t mem_failures(void)
{
	return atomic_load_explicit(&failures, memory_order_relaxed);
}

void mem_failed(void)
{
	atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
}

#ifdef MEM_SCARCE /* for tests/fault/test_memory.py: while the file $SUIMON_SCARCE is there, one allocation of so many is refused */
#include <unistd.h>

#define REFUSE_ONE_OF 300 /* or $SUIMON_SCARCE_ONE_OF */

static bool is_scarce(void)
{
	static _Thread_local uint64_t state, one_of;
	const char *path;

	if (!state) {
		const char *told = getenv("SUIMON_SCARCE_ONE_OF");

		state = (uint64_t)(uintptr_t)&state | 1; /* another in each thread, and at each start */
		one_of = told ? strtoull(told, NULL, 10) : REFUSE_ONE_OF;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	path = state % one_of ? NULL : getenv("SUIMON_SCARCE");
	return path && access(path, F_OK) == 0;
}
#else
static bool is_scarce(void)
{
	return false;
}
#endif

bool mem_refuse(void)
{
	if (is_scarce()) {
		mem_failed();
		return true;
	}
	if (likely(fail_in == 0))
		return false;
	if (fail_in > 1) {
		fail_in--;
		return false;
	}
	if (!fail_sticky)
		fail_in = 0;
	mem_failed();
	return true;
}

/* The C library may answer NULL to a size of 0, which callers would take for a failure. */
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

static void *counted(void *p)
{
	if (unlikely(!p))
		mem_failed();
	return p;
}

void *mem_alloc(size_t size)
{
	return mem_refuse() ? NULL : counted(malloc(at_least_one(size)));
}

void *mem_zalloc(size_t size)
{
	return mem_refuse() ? NULL : counted(calloc(1, at_least_one(size)));
}

void *mem_realloc(void *p, size_t size)
{
	return mem_refuse() ? NULL : counted(realloc(p, at_least_one(size)));
}

void *mem_dup(const void *p, size_t len)
{
	char *copy = len < SIZE_MAX ? mem_alloc(len + 1) : NULL;

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return s ? mem_dup(s, strlen(s)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	text = len < 0 ? NULL : mem_alloc((size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, args);
	va_end(args);
	return text;
}

void mem_free(void *p)
{
	if (p) /* of what a request may have owned there mostly is nothing, which jemalloc takes 43 instructions to see */
		free(p);
}
