#include "backend_load.h"

static _Atomic unsigned workers;

unsigned backend_load_place(void)
{
	return atomic_fetch_add_explicit(&workers, 1, memory_order_relaxed) % BACKEND_LOADS;
}

/* Places that no worker has been given hold nothing. */
static unsigned places(void)
{
	unsigned n = atomic_load_explicit(&workers, memory_order_relaxed);

	return n < BACKEND_LOADS ? n : BACKEND_LOADS;
}

uint32_t backend_active(const struct backend_load loads[BACKEND_LOADS])
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < places(); i++)
		sum += atomic_load_explicit(&loads[i].active, memory_order_relaxed);
	return sum;
}

uint64_t backend_queries(const struct backend_load loads[BACKEND_LOADS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < places(); i++)
		sum += atomic_load_explicit(&loads[i].queries, memory_order_relaxed);
	return sum;
}

uint64_t backend_errors(const struct backend_load loads[BACKEND_LOADS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < places(); i++)
		sum += atomic_load_explicit(&loads[i].errors, memory_order_relaxed);
	return sum;
}
