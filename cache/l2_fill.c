#include "l2_fill.h"

#include <stdio.h>

#include "rkey.h"
#include "mem.h"

struct fill {
	struct list_node node;
	struct rkey name;
	uint8_t *bytes;   /* owned; the value */
	size_t len;
	uint64_t ttl_ms;
	uint64_t run, tokens_at, epoch;
	unsigned ntags;
	uint32_t slots[CACHE_MAX_TAGS];
	uint64_t versions[CACHE_MAX_TAGS];
};

void l2_fills_init(struct l2_fills *f, const struct rkeys *keys, const struct versions *v, const struct bus_view *view, struct stats_sink *sink)
{
	f->keys = keys;
	f->versions = v;
	f->view = view;
	f->sink = sink;
	list_init(&f->list);
}

static void drop(struct l2_fills *f, struct fill *x)
{
	list_remove(&f->list, &x->node);
	f->bytes -= x->len;
	mem_free(x->bytes);
	mem_free(x);
}

void l2_fills_reset(struct l2_fills *f)
{
	struct list_node *n;

	while ((n = list_first(&f->list)))
		drop(f, container_of(n, struct fill, node));
}

enum rc l2_fills_add(struct l2_fills *f, const struct cache_lookup *l, const struct l2_value *v)
{
	struct fill *x;

	if (f->list.count >= L2_FILLS_MAX || f->bytes >= L2_FILLS_BYTES)
		return RC_DECLINED;
	x = mem_zalloc(sizeof(*x));
	if (!x)
		return RC_DECLINED;
	x->bytes = l2_value_encode(v, &x->len);
	if (!x->bytes) {
		mem_free(x);
		return RC_DECLINED;
	}
	x->name = rkey_value(f->keys, l->key);
	x->ttl_ms = v->ttl_ms;
	x->run = l->run;
	x->tokens_at = l->tokens_at;
	x->epoch = l->epoch;
	x->ntags = l->ntags;
	for (unsigned i = 0; i < l->ntags; i++) {
		x->slots[i] = v->slots[i];
		x->versions[i] = l->versions[i];
	}
	list_push_back(&f->list, &x->node);
	f->bytes += x->len;
	return RC_OK;
}

static bool holds(const struct l2_fills *f, const struct fill *x, struct redis *to)
{
	if (x->run != redis_run(to) || x->epoch != versions_epoch(f->versions))
		return false;
	for (unsigned i = 0; i < x->ntags; i++) {
		if (x->versions[i] != versions_get(f->versions, x->slots[i]))
			return false;
	}
	return true;
}

static void on_stored(void *arg, struct redis_reply *reply)
{
	if (redis_reply_is(reply, REDIS_REPLY_ERROR))
		stats_count(arg, STATS_C_CACHE_REDIS_ERRORS, 1);
	redis_reply_free(reply);
}

static void store(struct l2_fills *f, const struct fill *x, struct redis *to)
{
	char ttl[24];
	struct span argv[5] = {span_str("SET"), span_of(x->name.text, x->name.len), span_of(x->bytes, x->len), span_str("PX")};

	argv[4] = span_of(ttl, (size_t)snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)x->ttl_ms));
	if (redis_send(to, 5, argv, on_stored, f->sink) != RC_OK)
		stats_count(f->sink, STATS_C_CACHE_REDIS_ERRORS, 1);
}

bool l2_fills_flush(struct l2_fills *f, struct redis *to)
{
	struct list_node *n;

	/* The barrier before the versions: what it has let through has bumped them. */
	while ((n = list_first(&f->list))) {
		struct fill *x = container_of(n, struct fill, node);

		if (x->run == redis_run(to) && atomic_load_explicit(&f->view->barrier, memory_order_acquire) < x->tokens_at)
			break;
		if (holds(f, x, to))
			store(f, x, to);
		drop(f, x);
	}
	if (n)
		atomic_store_explicit(&f->waits, true, memory_order_release);
	return n != NULL;
}
