/*
 * upstream_stmt.c - the statements prepared on a connection: shared by all sessions that prepare the same, and bounded.
 */
#include <string.h>

#include "mem.h"
#include "upstream.h"

static bool stmt_eq(const struct map_node *node, const void *key)
{
	return memcmp(container_of(node, struct upstream_stmt, node)->key, key, 16) == 0;
}

static uint64_t stmt_hash(const uint8_t key[16])
{
	uint64_t h;

	memcpy(&h, key, sizeof(h));
	return h;
}

void upstream_stmt_init(struct upstream *u)
{
	map_init(&u->stmts, stmt_eq);
	list_init(&u->stmts_lru);
}

struct upstream_stmt *upstream_stmt_find(struct upstream *u, const uint8_t key[16])
{
	struct map_node *n = map_find(&u->stmts, stmt_hash(key), key);
	struct upstream_stmt *s = n ? container_of(n, struct upstream_stmt, node) : NULL;

	if (s) {
		list_remove(&u->stmts_lru, &s->lru);
		list_push_front(&u->stmts_lru, &s->lru);
	}
	return s;
}

void upstream_stmt_drop(struct upstream *u, struct upstream_stmt *s)
{
	map_remove(&u->stmts, &s->node);
	list_remove(&u->stmts_lru, &s->lru);
	mem_free(s);
}

static void stmt_close_on_server(struct upstream *u, uint32_t id)
{
	uint8_t payload[5] = {COM_STMT_CLOSE, (uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

	(void)upstream_notify(u, payload, sizeof(payload)); /* a lost connection has no statements */
}

/* The one used longest ago gives up its place on the server. */
static void stmt_evict(struct upstream *u)
{
	for (struct list_node *n = list_last(&u->stmts_lru); n; n = list_prev(&u->stmts_lru, n)) {
		struct upstream_stmt *s = container_of(n, struct upstream_stmt, lru);

		if (s->claimed_by)
			continue;
		stmt_close_on_server(u, s->id);
		upstream_stmt_drop(u, s);
		return;
	}
}

struct upstream_stmt *upstream_stmt_add(struct upstream *u, const uint8_t key[16], uint32_t id)
{
	struct upstream_stmt *s = upstream_stmt_find(u, key);

	if (s) {
		stmt_close_on_server(u, s->id);
		s->id = id;
		s->types_of = 0;
		return s;
	}
	if (u->stmts_lru.count >= UPSTREAM_MOST_STMTS)
		stmt_evict(u);
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	memcpy(s->key, key, sizeof(s->key));
	s->id = id;
	if (map_insert(&u->stmts, &s->node, stmt_hash(key)) != RC_OK) {
		mem_free(s);
		return NULL;
	}
	list_push_front(&u->stmts_lru, &s->lru);
	return s;
}

void upstream_stmt_close_all(struct upstream *u)
{
	list_each_safe(&u->stmts_lru, n, tmp) {
		struct upstream_stmt *s = container_of(n, struct upstream_stmt, lru);

		if (s->claimed_by)
			continue;
		stmt_close_on_server(u, s->id);
		upstream_stmt_drop(u, s);
	}
}

void upstream_stmt_forget_all(struct upstream *u)
{
	while (!list_empty(&u->stmts_lru))
		upstream_stmt_drop(u, container_of(list_first(&u->stmts_lru), struct upstream_stmt, lru));
}
