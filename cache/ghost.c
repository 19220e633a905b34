#include "ghost.h"

#include "mem.h"
#include "rc.h"

#define WAYS 4
#define SIZE_MIN 64
#define SIZE_MAX_CELLS (1u << 20)
#define TICKS 1024

void ghost_reset(struct ghost *g)
{
	mem_free(g->cells);
	*g = (struct ghost){.cells = NULL};
}

void ghost_fit(struct ghost *g, size_t window)
{
	if (g->size / 2 >= window && g->size > SIZE_MIN)
		ghost_reset(g);
}

/* From other bits of the hash than the bucket. */
static uint32_t fingerprint(uint64_t hash)
{
	uint32_t f = (uint32_t)(hash >> 16) & 0xffff;

	return f ? f : 1; /* 0 is the empty cell */
}

static uint32_t *bucket(const struct ghost *g, uint64_t hash)
{
	return &g->cells[((hash >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20) % (g->size / WAYS) * WAYS];
}

static uint16_t tick(const struct ghost *g)
{
	return (uint16_t)(g->time >> g->shift);
}

/* In ticks. After 65,536 of them, 64 times as many ghosts as there is room for, one that is still there would seem young. */
static uint32_t age(const struct ghost *g, uint32_t cell)
{
	return cell == 0 ? UINT32_MAX : (uint16_t)(tick(g) - (uint16_t)cell);
}

static void grow(struct ghost *g, size_t size)
{
	struct ghost bigger = {.cells = mem_zalloc(size * sizeof(*g->cells)), .size = size, .time = g->time};

	if (!bigger.cells)
		return;
	while (size >> bigger.shift > TICKS)
		bigger.shift++;
	mem_free(g->cells);
	*g = bigger;
}

void ghost_add(struct ghost *g, uint64_t hash, size_t window)
{
	uint32_t f = fingerprint(hash), *b, *oldest;

	if (g->size < window && g->size < SIZE_MAX_CELLS)
		grow(g, g->size ? g->size * 2 : SIZE_MIN);
	if (!g->cells)
		return;
	g->time++;
	oldest = b = bucket(g, hash);
	for (unsigned i = 0; i < WAYS; i++) {
		if (b[i] >> 16 == f) {
			oldest = &b[i];
			break;
		}
		if (age(g, b[i]) > age(g, *oldest))
			oldest = &b[i];
	}
	*oldest = f << 16 | tick(g);
}

bool ghost_take(struct ghost *g, uint64_t hash, size_t window)
{
	uint32_t f = fingerprint(hash), *b;

	if (!g->cells)
		return false;
	b = bucket(g, hash);
	for (unsigned i = 0; i < WAYS; i++) {
		if (b[i] >> 16 == f) {
			bool young = (uint64_t)age(g, b[i]) << g->shift <= window;

			b[i] = 0;
			return young;
		}
	}
	return false;
}
