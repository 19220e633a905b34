#include "ghost.h"

#include <string.h>

#include "mem.h"
#include "rc.h"

#define WAYS 4
#define SIZE_MIN 64
#define SIZE_MAX_CELLS (1u << 20)

void ghost_reset(struct ghost *g)
{
	mem_free(g->cells);
	*g = (struct ghost){.cells = NULL};
}

static uint32_t fingerprint(uint64_t hash)
{
	uint32_t f = (uint32_t)(hash >> 32);

	return f ? f : 1; /* 0 is the empty cell */
}

static uint64_t *bucket(const struct ghost *g, uint32_t f)
{
	return &g->cells[(f * UINT64_C(0x9e3779b97f4a7c15) >> 20) % (g->size / WAYS) * WAYS];
}

static uint32_t age(const struct ghost *g, uint64_t cell)
{
	return (cell >> 32) == 0 ? UINT32_MAX : g->time - (uint32_t)cell;
}

static void put(struct ghost *g, uint32_t f, uint32_t time)
{
	uint64_t *b = bucket(g, f), *oldest = b;

	for (unsigned i = 0; i < WAYS; i++) {
		if (b[i] >> 32 == f) {
			oldest = &b[i];
			break;
		}
		if (age(g, b[i]) > age(g, *oldest))
			oldest = &b[i];
	}
	*oldest = (uint64_t)f << 32 | time;
}

static void grow(struct ghost *g, size_t size)
{
	struct ghost bigger = {.cells = mem_zalloc(size * sizeof(uint64_t)), .size = size, .time = g->time};

	if (!bigger.cells)
		return;
	for (size_t i = 0; i < g->size; i++) {
		if (g->cells[i] >> 32)
			put(&bigger, (uint32_t)(g->cells[i] >> 32), (uint32_t)g->cells[i]);
	}
	mem_free(g->cells);
	*g = bigger;
}

void ghost_add(struct ghost *g, uint64_t hash, size_t window)
{
	if (g->size < window && g->size < SIZE_MAX_CELLS)
		grow(g, g->size ? g->size * 2 : SIZE_MIN);
	if (!g->cells)
		return;
	put(g, fingerprint(hash), ++g->time);
}

bool ghost_take(struct ghost *g, uint64_t hash, size_t window)
{
	uint32_t f = fingerprint(hash);
	uint64_t *b;

	if (!g->cells)
		return false;
	b = bucket(g, f);
	for (unsigned i = 0; i < WAYS; i++) {
		if (b[i] >> 32 == f) {
			bool young = age(g, b[i]) <= window;

			b[i] = 0;
			return young;
		}
	}
	return false;
}
