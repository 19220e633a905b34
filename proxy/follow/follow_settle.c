/*
 * follow_settle.c - transactions that have been read wait until the primary has made them visible; then their tags are invalidated.
 *
 * Those that came through suimon are known by then: their positions stand in the version table, written when they were acknowledged.
 * Where the primary cannot tell that a transaction is visible (XA COMMIT, a transaction without a position that can be read, one whose
 * connection is gone), it is invalidated at once, and again at intervals that double, for about a minute.
 */
#include <stdio.h>

#include "catalog.h"
#include "follow_impl.h"
#include "log.h"
#include "mem.h"

#define FIRST_NS (500 * NS_PER_MS)
#define LAST_NS (32 * NS_PER_SEC)
#define TAGS_MOST 65536 /* that wait; more: they may be anything */

/* ---- what has been read ---- */

static bool position_of(const struct binlog_gtid *g, struct cache_pos *out)
{
	const uint8_t *u = g->uuid;
	char text[GTID_UUID_LEN + 1];

	*out = (struct cache_pos){.domain = g->domain, .seq = g->seq};
	if (!g->known || !g->mysql)
		return g->known;
	(void)snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
		       u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
	return gtid_source_number(span_str(text), span_of(NULL, 0), &out->domain) == RC_OK;
}

/* It came through suimon, or another instance has told of it: all that hangs on it ended then. */
static bool is_known(const struct follow *f, const struct follow_change *c)
{
	bool known = !c->anything && !c->accounts && c->n && c->native && c->gtid.known && !c->gtid.xa;

	for (unsigned i = 0; known && i < c->n; i++) {
		const struct follow_tag *t = &c->tags[i];

		known = cache_knows(f->in->cache, t->tag, &c->pos) || cache_knows(f->in->cache, t->key, &c->pos) ||
			cache_knows(f->in->cache, t->table, &c->pos);
	}
	return known;
}

static void forget(struct follow *f, struct follow_change *c)
{
	f->pending_tags -= c->n;
	list_remove(&f->pending, &c->node);
	mem_free(c);
}

void follow_settle_forget(struct follow *f)
{
	while (!list_empty(&f->pending))
		forget(f, container_of(list_first(&f->pending), struct follow_change, node));
}

static void apply(struct follow *f, const struct follow_change *c)
{
	uint64_t window = instance_lag_window(f->settings), rows = 0, tables = 0;
	cache_tag tags[FOLLOW_TAGS_MOST];

	if (is_known(f, c)) {
		stats_count(f->sink, STATS_C_CACHE_BINLOG_KNOWN, 1);
		return;
	}
	for (unsigned i = 0; i < c->n; i++) {
		tags[i] = c->tags[i].tag;
		tables += (tags[i] & CACHE_TAG_KIND) == CACHE_TAG_TABLE;
		rows += (tags[i] & CACHE_TAG_KIND) == CACHE_TAG_ROW;
	}
	if (c->schema) { /* first: what is resolved from now on is not invalidated by what was known */
		catalog_invalidate(f->in->catalog);
		cache_schema_changed(f->in->cache);
	}
	if (c->accounts)
		accounts_changed(f->in->accounts);
	if (c->anything) {
		stats_count(f->sink, STATS_C_CACHE_BINLOG_ALL, 1);
		cache_invalidate_all_from(f->in->cache, CACHE_BY_BINLOG, window);
		return;
	}
	stats_count(f->sink, STATS_C_CACHE_BINLOG_TABLES, tables);
	stats_count(f->sink, STATS_C_CACHE_BINLOG_ROWS, rows);
	cache_invalidate_from(f->in->cache, CACHE_BY_BINLOG, tags, c->n, c->gtid.known ? &c->pos : NULL, window);
}

/* Too many wait: one that is about anything stands for all. */
static void collapse(struct follow *f, struct follow_change *last)
{
	while (list_first(&f->pending) != &last->node) {
		struct follow_change *c = container_of(list_first(&f->pending), struct follow_change, node);

		last->schema |= c->schema;
		last->accounts |= c->accounts;
		forget(f, c);
	}
	last->anything = true;
}

static void settle_doubts(struct follow *f)
{
	uint64_t now = clock_mono_ns();

	list_each_safe(&f->pending, n, tmp) {
		struct follow_change *c = container_of(n, struct follow_change, node);

		if (c->provable || now < c->due_ns)
			continue;
		apply(f, c);
		c->wait_ns = c->wait_ns ? 2 * c->wait_ns : FIRST_NS;
		c->due_ns = now + c->wait_ns;
		if (c->wait_ns > LAST_NS)
			forget(f, c);
	}
}

void follow_settle_unproven(struct follow *f)
{
	list_each(&f->pending, n)
		container_of(n, struct follow_change, node)->provable = false;
	settle_doubts(f);
}

static struct follow_change *change_of(const struct follow *f, uint32_t end)
{
	const struct follow_tx *tx = &f->tx;
	const struct follow_set *s = &tx->set;
	unsigned n = s->anything ? 0 : s->by_table ? s->ntables : s->n;
	struct follow_change *c = mem_zalloc(sizeof(*c) + n * sizeof(c->tags[0]));

	if (!c)
		return NULL;
	*c = (struct follow_change){.gtid = tx->gtid, .anything = s->anything, .schema = s->schema, .accounts = s->accounts, .n = n};
	c->end = (struct follow_place){.file = f->place.file, .at = end ? end : f->place.at};
	c->native = tx->server_id == f->primary_id;
	c->gtid.known = position_of(&tx->gtid, &c->pos);
	c->provable = c->gtid.known && !tx->gtid.xa;
	for (unsigned i = 0; i < n; i++)
		c->tags[i] = s->by_table ? (struct follow_tag){s->tables[i], s->tables[i], s->tables[i]} : s->tags[i];
	return c;
}

static void is_done(struct follow *f)
{
	const struct binlog_gtid *g = &f->tx.gtid;

	if (g->known && !g->mysql)
		gtid_advance(&f->done, &(struct gtid){.domain = g->domain, .server = f->tx.server_id, .seq = g->seq});
}

void follow_settle_add(struct follow *f, uint32_t end)
{
	const struct follow_set *s = &f->tx.set;
	struct follow_change *c;

	is_done(f);
	if (!s->anything && !s->schema && !s->accounts && !s->n && !s->ntables)
		return;
	c = change_of(f, end);
	if (!c) {
		cache_invalidate_all_from(f->in->cache, CACHE_BY_BINLOG, instance_lag_window(f->settings));
		follow_drop(f, CHANNEL_NO_MEMORY);
		return;
	}
	if (is_known(f, c)) {
		stats_count(f->sink, STATS_C_CACHE_BINLOG_KNOWN, 1);
		mem_free(c);
		return;
	}
	list_push_back(&f->pending, &c->node);
	f->pending_tags += c->n;
	if (f->pending_tags > TAGS_MOST)
		collapse(f, c);
	settle_doubts(f);
	follow_soon(f);
}

/* ---- what is visible ---- */

static bool is_visible(const struct follow_change *c, const struct follow_answer *a)
{
	if (c->gtid.mysql)
		return a->gtids && binlog_gtids_has(span_str(a->gtids), c->gtid.uuid, c->gtid.seq);
	return a->has_place && follow_reached(&a->place, &c->end);
}

/* What is done by now need not be read again. RC_ERROR: it cannot be told. */
static enum rc remember(struct follow *f)
{
	char text[GTID_TEXT_CAP];
	char *resume = f->goal.gtids;

	f->goal.gtids = NULL;
	if (!f->mysql) {
		if (f->done.overflow)
			return RC_ERROR;
		resume = mem_dup(text, gtid_print(&f->done, text));
	}
	if (!resume)
		return RC_ERROR;
	mem_free(f->resume);
	f->resume = resume;
	return RC_OK;
}

/* While others write the primary is always a little ahead. So an answer is kept until it has been read up to; all that it found visible is
 * invalidated by then, for later answers have made sure of that. */
static void reach_goal(struct follow *f, struct follow_answer *a, uint64_t asked)
{
	if (!f->goal.has_place) {
		f->goal = *a;
		f->goal_asked = asked;
		*a = (struct follow_answer){.has_place = false};
	}
	if (!f->goal.has_place || !follow_reached(&f->place, &f->goal.place))
		return;
	if (remember(f) == RC_OK) {
		cache_followed(f->in->cache, f->goal_asked);
		if (!f->good)
			log_info("follow", "following the primary's binary log", "addr=%s at=%s", f->backend->text, f->resume);
		f->good = true;
		f->said = false;
	}
	follow_answer_forget(&f->goal);
}

void follow_settle(struct follow *f)
{
	uint64_t asked = cache_clock();
	struct follow_answer a;

	settle_doubts(f);
	if (f->state != FOLLOW_STREAMING)
		return;
	f->asked_ns = clock_mono_ns();
	if (follow_ask(f, &a) != RC_OK)
		return;
	list_each_safe(&f->pending, n, tmp) {
		struct follow_change *c = container_of(n, struct follow_change, node);

		if (!c->provable || !is_visible(c, &a))
			continue;
		apply(f, c);
		forget(f, c);
	}
	reach_goal(f, &a, asked);
	follow_answer_forget(&a);
	if (!list_empty(&f->pending))
		follow_soon(f);
}
