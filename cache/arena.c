#include "arena.h"

#include "mem.h"

#ifdef SUIMON_JEMALLOC
#include <pthread.h>
#include <stdio.h>

#include <jemalloc/jemalloc.h>

/* Tests and tools are linked without it. */
#pragma weak mallocx
#pragma weak dallocx
#pragma weak mallctl

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned number;
static int flags; /* 0: there is none */

static void make(void)
{
	size_t len = sizeof(number);

	if (mallocx && mallctl("arenas.create", &number, &len, NULL, 0) == 0)
		flags = MALLOCX_ARENA(number) | MALLOCX_TCACHE_NONE;
}

static int own(void)
{
	pthread_once(&once, make);
	return flags;
}

void *arena_alloc(size_t size)
{
	void *p;

	if (!own())
		return mem_alloc(size);
	if (mem_refuse())
		return NULL;
	p = mallocx(size ? size : 1, flags);
	if (!p)
		mem_failed();
	return p;
}

void arena_free(void *p)
{
	if (!flags)
		mem_free(p);
	else if (p)
		dallocx(p, MALLOCX_TCACHE_NONE);
}

uint64_t arena_resident(void)
{
	uint64_t epoch = 1;
	size_t resident = 0, len = sizeof(resident);
	char name[64];

	if (!own())
		return 0;
	(void)snprintf(name, sizeof(name), "arena.%u.purge", number);
	(void)mallctl(name, NULL, NULL, NULL, 0);
	(void)snprintf(name, sizeof(name), "stats.arenas.%u.resident", number);
	if (mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) != 0 || mallctl(name, &resident, &len, NULL, 0) != 0)
		return 0;
	return resident;
}
#else
void *arena_alloc(size_t size)
{
	return mem_alloc(size);
}

void arena_free(void *p)
{
	mem_free(p);
}

uint64_t arena_resident(void)
{
	return 0;
}
#endif
