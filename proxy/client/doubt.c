#include "doubt.h"

#include <string.h>

#include "clock.h"
#include "instance.h"
#include "mem.h"

#define FIRST_NS (500 * NS_PER_MS)
#define LAST_NS (32 * NS_PER_SEC)
#define DOUBTS_MOST 256 /* further ones are about anything */

struct doubt {
	struct list_node node;
	uint64_t at_ns, wait_ns; /* when it is invalidated next, and how long that had been waited for */
	bool anything;
	unsigned n;
	cache_tag tags[];
};

void doubts_init(struct doubts *d)
{
	list_init(&d->list);
	d->n = 0;
}

static void forget(struct doubts *d, struct doubt *e)
{
	list_remove(&d->list, &e->node);
	d->n--;
	mem_free(e);
}

void doubts_reset(struct doubts *d)
{
	while (!list_empty(&d->list))
		forget(d, container_of(list_first(&d->list), struct doubt, node));
}

/* The doubt about the same tables, or about anything. NULL: there is none. */
static struct doubt *find(const struct doubts *d, const cache_tag *tags, unsigned n, bool anything)
{
	list_each(&d->list, node) {
		struct doubt *e = container_of(node, struct doubt, node);

		if (e->anything == anything && e->n == n && (n == 0 || memcmp(e->tags, tags, n * sizeof(e->tags[0])) == 0))
			return e;
	}
	return NULL;
}

/* One more write: from here on as for it alone, but what is due for those before it comes when it is due. */
static void begin_again(struct doubt *e, uint64_t now_ns)
{
	if (e->at_ns > now_ns + FIRST_NS)
		e->at_ns = now_ns + FIRST_NS;
	e->wait_ns = FIRST_NS / 2;
}

void doubts_add(struct worker *w, const cache_tag *tags, unsigned n, bool anything)
{
	struct doubts *d = &w->doubts;
	struct doubt *e;

	if (!w->cache)
		return;
	if (anything)
		n = 0;
	e = find(d, tags, n, anything);
	if (e) { /* some tables are written so all the time */
		begin_again(e, clock_mono_ns());
		return;
	}
	if (d->n >= DOUBTS_MOST) {
		doubts_reset(d);
		anything = true;
		n = 0;
	}
	e = mem_zalloc(sizeof(*e) + n * sizeof(e->tags[0]));
	if (!e)
		return; /* it was invalidated once, and its results end with their ttl */
	e->wait_ns = FIRST_NS;
	e->at_ns = clock_mono_ns() + FIRST_NS;
	e->anything = anything;
	e->n = n;
	if (n)
		memcpy(e->tags, tags, n * sizeof(e->tags[0]));
	list_push_back(&d->list, &e->node);
	d->n++;
}

void doubts_tick(struct worker *w, uint64_t now_ns)
{
	struct doubts *d = &w->doubts;
	uint64_t window = instance_lag_window(w->settings);

	list_each_safe(&d->list, node, tmp) {
		struct doubt *e = container_of(node, struct doubt, node);

		if (now_ns < e->at_ns)
			continue;
		stats_count(w->sink, STATS_C_CACHE_DOUBTS, 1);
		if (e->anything)
			cache_invalidate_all(w->cache, CACHE_BY_LOSS, window);
		else
			cache_invalidate(w->cache, CACHE_BY_LOSS, e->tags, e->n, NULL, window);
		if (e->wait_ns >= LAST_NS) {
			forget(d, e);
			continue;
		}
		e->wait_ns *= 2;
		e->at_ns = now_ns + e->wait_ns;
	}
}
