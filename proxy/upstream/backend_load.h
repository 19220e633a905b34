/*
 * backend_load.h - what a server is doing for us, counted by each worker in a place of its own: a count that several
 * processors write for every statement would travel between them for every statement.
 */
#ifndef SUIMON_BACKEND_LOAD_H
#define SUIMON_BACKEND_LOAD_H

#include <stdatomic.h>
#include <stdint.h>

#define BACKEND_LOADS 8 /* further workers share these */

struct backend_load {
	_Atomic uint32_t active; /* connections leased to sessions */
	_Atomic uint64_t queries, errors;
	uint8_t apart[104]; /* no two of them share a pair of cache lines */
};

/* The place of one more worker, less than BACKEND_LOADS. */
unsigned backend_load_place(void);

/* Their sums; any thread. */
uint32_t backend_active(const struct backend_load loads[BACKEND_LOADS]);
uint64_t backend_queries(const struct backend_load loads[BACKEND_LOADS]);
uint64_t backend_errors(const struct backend_load loads[BACKEND_LOADS]);

#endif
