/*
 * mem.h - allocation that may fail, counted, with a debug mode that fails the Nth call.
 *
 * Out of memory is an answered outcome at run time: every caller tests for NULL. All run-time allocation of suimon
 * goes through here or through pool.h; libraries have their own.
 */
#ifndef SUIMON_MEM_H
#define SUIMON_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rc.h"

void *mem_alloc(size_t size) must_check;             /* uninitialised; NULL when out of memory */
void *mem_zalloc(size_t size) must_check;            /* zeroed */
void *mem_realloc(void *p, size_t size) must_check;  /* p stays valid when NULL is returned */
char *mem_strdup(const char *s) must_check;          /* NULL gives NULL */
void *mem_dup(const void *p, size_t len) must_check; /* len bytes and a NUL behind them */
char *mem_printf(const char *fmt, ...) must_check printf_like(1, 2);
void mem_free(void *p); /* NULL is allowed */

/* Debug builds and tests: let the n-th allocation from now fail (1 = the next), then every one after it if sticky.
 * 0 switches it off. Affects the calling thread only. */
void mem_fail_after(uint64_t n, int sticky);
/* True when an allocation asked for now is to be refused: for allocators that do not always come to mem_alloc. */
bool mem_refuse(void);
uint64_t mem_failures(void); /* allocations refused since start, all threads */
void mem_failed(void);       /* one more, that another allocator refused */

#endif
