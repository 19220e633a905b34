/*
 * backoff.h - how long not to ask a server that failed: doubles from 100 ms to 5 s, with jitter, so that many instances
 * do not come back at once. Forgotten once the server has been good for a while.
 */
#ifndef SUIMON_BACKOFF_H
#define SUIMON_BACKOFF_H

#include <stdint.h>

#include "clock.h"
#include "random.h"

#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_SEC)

struct backoff {
	uint64_t delay_ns; /* the next one before jitter; 0: nothing has failed lately */
	uint64_t since;    /* monotonic; when the server was found good; 0: it is not */
};

static inline void backoff_good(struct backoff *b, uint64_t now)
{
	if (b->since == 0)
		b->since = now;
}

/* Returns how long to wait: half to all of the delay. */
static inline uint64_t backoff_failed(struct backoff *b, uint64_t now)
{
	uint16_t random = 0;
	uint64_t delay;

	if (b->since && now - b->since >= BACKOFF_MAX_NS)
		b->delay_ns = 0;
	b->since = 0;
	delay = b->delay_ns < BACKOFF_MIN_NS ? BACKOFF_MIN_NS : b->delay_ns;
	b->delay_ns = delay * 2 > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : delay * 2;
	if (random_bytes(&random, sizeof(random)) != RC_OK)
		random = UINT16_MAX / 2;
	return delay / 2 + delay / 2 * random / UINT16_MAX;
}

#endif
