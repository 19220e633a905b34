/*
 * registry.c - which distinct statements are kept: names, text and sample of each, one record for all sinks.
 *
 * When it is full, a new digest takes the place of the least of sixteen looked at in turn (the hand goes round):
 * least by time spent, of what has lately been seen. What is heavy stays; what was seen once goes first.
 */
#include "core.h"

#include "iobuf.h"
#include "mem.h"
#include "paths.h"

#define CANDIDATES 16
#define CALL_WEIGHT_NS 10000              /* a call counts as this much time */
#define HEAT_HALVES_NS (300 * NS_PER_SEC) /* unseen for so long: half the weight */

bool stats_registry_full(const struct stats *s)
{
	return atomic_load_explicit(&s->ndigests, memory_order_relaxed) >= s->registry.cap;
}

static struct span name_cut(struct span name)
{
	return span_of(name.p, name.len < STATS_NAME_MAX ? name.len : STATS_NAME_MAX);
}

static bool name_is(const char *kept, struct span name)
{
	name = name_cut(name);
	return strncmp(kept, name.len ? name.p : "", name.len) == 0 && kept[name.len] == '\0';
}

bool stats_registry_is(const struct stats_digest *d, const struct stats_event *e)
{
	return d->digest == e->digest && name_is(d->schema, e->schema) && name_is(d->user, e->user);
}

static bool digest_eq(const struct map_node *node, const void *key)
{
	return stats_registry_is(container_of(node, struct stats_digest, node), key);
}

static bool hides(const struct stats_event *e)
{
	return e->private_text || e->unsure_text;
}

/* The normalised text of e, or what stands for it: text that might hold a password is not kept in any form, nor what is left
 * of one whose literals nobody can tell from the rest. */
static void text_of(const struct stats_event *e, struct iobuf *text)
{
	if (!hides(e) && e->normalise)
		e->normalise(e, text);
	if (iobuf_len(text) == 0 && iobuf_printf(text, "%s ...", e->verb ? e->verb : "") != RC_OK)
		iobuf_reset(text);
}

static char *put_name(char **at, struct span name)
{
	char *start = *at;

	if (name.len)
		memcpy(start, name.p, name.len);
	start[name.len] = '\0';
	*at += name.len + 1;
	return start;
}

static struct stats_digest *digest_new(const struct stats_event *e)
{
	struct span schema = name_cut(e->schema), user = name_cut(e->user), table = name_cut(e->table), verb;
	struct stats_digest *d;
	struct iobuf text;
	char *at;

	iobuf_init(&text, STATS_TEXT_MAX);
	text_of(e, &text);
	verb = span_str(e->verb ? e->verb : "");
	d = mem_zalloc(sizeof(*d) + verb.len + schema.len + user.len + table.len + iobuf_len(&text) + 5);
	if (d) {
		at = (char *)(d + 1);
		d->digest = e->digest;
		d->verb = put_name(&at, verb);
		d->is_read = e->is_read;
		d->hidden = hides(e);
		d->schema = put_name(&at, schema);
		d->user = put_name(&at, user);
		d->table = put_name(&at, table);
		d->text = put_name(&at, span_of(iobuf_len(&text) ? iobuf_data(&text) : NULL, iobuf_len(&text)));
		d->looks_inside = paths_in(d->text);
	}
	iobuf_reset(&text);
	return d;
}

static void digest_free(struct stats_digest *d)
{
	mem_free(d->learnt);
	mem_free(d->sample);
	mem_free(d);
}

/* Lock held. What the digest has cost in all sinks, fading while it is not seen. */
static uint64_t heat(const struct stats_digest *d, uint64_t now)
{
	uint64_t sum = 0, last = 0, halves;

	for (const struct stats_row *r = d->rows; r; r = r->next_of_digest) {
		uint64_t seen = stats_get(&r->last_ns);

		sum += stats_get(&r->n[STATS_N_TOTAL_NS]) + stats_get(&r->n[STATS_N_CALLS]) * CALL_WEIGHT_NS;
		if (last == 0 || stats_before(last, seen))
			last = seen;
	}
	halves = stats_before(last, now) ? (now - last) / HEAT_HALVES_NS : 0;
	return halves < 63 ? sum >> halves : 0;
}

/* Lock held, registry full. */
static struct stats_digest *least(struct stats *s, uint64_t now)
{
	struct stats_digest *found = NULL;
	uint64_t found_heat = 0;

	for (unsigned i = 0; i < CANDIDATES; i++) {
		struct stats_digest *d = s->registry.all[s->registry.hand];
		uint64_t h = heat(d, now);

		s->registry.hand = (s->registry.hand + 1) % s->registry.cap;
		if (!found || h < found_heat) {
			found = d;
			found_heat = h;
		}
	}
	return found;
}

/* Lock held. */
static void unref(struct stats_digest *d)
{
	if (--d->refs == 0)
		digest_free(d);
}

/* Lock held. The place in registry.all it leaves. */
static uint32_t evict(struct stats *s, struct stats_digest *d)
{
	uint32_t at = d->at;

	map_remove(&s->registry.map, &d->node);
	d->kept = false;
	mem_free(d->sample);
	d->sample = NULL;
	atomic_store_explicit(&d->evicted, true, memory_order_relaxed);
	unref(d);
	return at;
}

/* Lock held. */
static enum rc insert(struct stats *s, struct stats_digest *d, uint64_t hash, uint64_t now)
{
	uint32_t n = atomic_load_explicit(&s->ndigests, memory_order_relaxed);

	if (map_insert(&s->registry.map, &d->node, hash) != RC_OK)
		return RC_ERROR;
	d->kept = true;
	d->refs = 2; /* the registry's and the caller's */
	if (n < s->registry.cap) {
		d->at = n;
		atomic_store_explicit(&s->ndigests, n + 1, memory_order_relaxed);
	} else {
		d->at = evict(s, least(s, now));
	}
	s->registry.all[d->at] = d;
	return RC_OK;
}

/* Lock held. */
static struct stats_digest *find(struct stats *s, uint64_t hash, const struct stats_event *e)
{
	struct map_node *node;

	node = map_find(&s->registry.map, hash, e);
	if (!node)
		return NULL;
	container_of(node, struct stats_digest, node)->refs++;
	return container_of(node, struct stats_digest, node);
}

struct stats_digest *stats_registry_get(struct stats *s, uint64_t hash, const struct stats_event *e, bool admit)
{
	struct stats_digest *d, *made;

	pthread_mutex_lock(&s->lock);
	d = find(s, hash, e);
	pthread_mutex_unlock(&s->lock);
	if (d || !admit)
		return d;
	made = digest_new(e); /* normalises: not under the lock */
	if (!made)
		return NULL;
	pthread_mutex_lock(&s->lock);
	d = find(s, hash, e); /* another sink may have been faster */
	if (!d && insert(s, made, hash, e->start_ns) == RC_OK) {
		d = made;
		made = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (made)
		digest_free(made);
	return d;
}

void stats_registry_learn(struct stats *s, struct stats_digest *d, const struct stats_event *e)
{
	struct span table = name_cut(e->table);
	struct iobuf text;
	char *made, *at;

	if (hides(e))
		return;
	iobuf_init(&text, STATS_TEXT_MAX);
	text_of(e, &text);
	made = at = mem_alloc(iobuf_len(&text) + table.len + 2);
	pthread_mutex_lock(&s->lock);
	if (made && !d->learnt) {
		d->learnt = made;
		d->text = put_name(&at, span_of(iobuf_len(&text) ? iobuf_data(&text) : NULL, iobuf_len(&text)));
		d->table = put_name(&at, table);
		d->looks_inside = paths_in(d->text);
		d->hidden = false;
		made = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	mem_free(made);
	iobuf_reset(&text);
}

void stats_registry_join(struct stats *s, struct stats_row *r)
{
	pthread_mutex_lock(&s->lock);
	r->next_of_digest = r->digest->rows;
	r->digest->rows = r;
	pthread_mutex_unlock(&s->lock);
}

void stats_registry_leave(struct stats *s, struct stats_row *r)
{
	struct stats_row **at;

	pthread_mutex_lock(&s->lock);
	for (at = &r->digest->rows; *at != r; at = &(*at)->next_of_digest)
		;
	*at = r->next_of_digest;
	pthread_mutex_unlock(&s->lock);
}

void stats_registry_unref(struct stats *s, struct stats_digest *d)
{
	pthread_mutex_lock(&s->lock);
	unref(d);
	pthread_mutex_unlock(&s->lock);
}

enum rc stats_registry_init(struct stats *s, uint32_t cap)
{
	s->registry.all = mem_zalloc(cap * sizeof(struct stats_digest *));
	s->registry.cap = cap;
	map_init(&s->registry.map, digest_eq);
	return s->registry.all ? RC_OK : RC_ERROR;
}

void stats_registry_free(struct stats *s)
{
	uint32_t n = atomic_load_explicit(&s->ndigests, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		digest_free(s->registry.all[i]);
	mem_free(s->registry.all);
	map_reset(&s->registry.map);
}
