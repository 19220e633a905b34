/*
 * l2_fill.h - values on their way to Redis that wait for a barrier: bounded, oldest first. A worker's own, but for `waits`.
 */
#ifndef SUIMON_CACHE_L2_FILL_H
#define SUIMON_CACHE_L2_FILL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "cache.h"
#include "l2_value.h"
#include "list.h"
#include "rc.h"
#include "redis.h"
#include "stats.h"
#include "versions.h"

#define L2_FILLS_MAX 1024
#define L2_FILLS_BYTES (8 * 1024 * 1024)

struct l2_fills {
	const struct rkeys *keys;
	const struct versions *versions;
	const struct bus_view *view;
	struct stats_sink *sink;
	struct list list; /* struct fill.node, by when their tokens were read */
	size_t bytes;
	_Atomic bool waits; /* set by the worker, taken by the control loop when it has passed a barrier */
};

/* All that it is given is kept. */
void l2_fills_init(struct l2_fills *f, const struct rkeys *keys, const struct versions *v, const struct bus_view *view, struct stats_sink *sink);
void l2_fills_reset(struct l2_fills *f);
/* RC_DECLINED: no room, no memory. */
enum rc l2_fills_add(struct l2_fills *f, const struct cache_lookup *l, const struct l2_value *v) must_check;
/* Sends those whose barrier is passed and whose versions hold. True: some still wait. */
bool l2_fills_flush(struct l2_fills *f, struct redis *to) must_check;

#endif
