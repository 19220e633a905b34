#include "store.h"

#include <pthread.h>
#include <string.h>

#include "arena.h"
#include "ghost.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "tables.h"

#define FULL_SHARE 16  /* the store is full when less than this share of it is free */
#define CHEAP_SHARE 8  /* cheap: less than this share of the mean cost */
#define SHARDS 64
#define SMALL_SHARE 10     /* small is one in this many of the shard's bytes */
#define PROMOTE_HITS 2     /* hits in small that earn a place in main */
#define ROUNDS_MAX 128     /* entries sent round again in one eviction, so that a lock is never held long */
#define GHOST_WINDOW_MIN 64
#define LOOK_SHARE 128     /* memory is looked at when this share of the limit was stored since, */
#define LOOK_MIN (32 * 1024) /* and so many bytes */
#define TIDY_SHARE 6       /* memory is tidied while the surplus is more than this share of what is counted, */
#define TIDY_ENTRIES 4     /* so many of a shard's with each that is stored there, */
#define TIDY_BUCKETS 64    /* looked for in so many buckets, which are nearly empty where there were more entries once */
#define SHARE_LEAST(mean) ((mean) / 4 * 3) /* bytes of a shard that gives none for others' sake */

struct fifo {
	struct list list; /* oldest first; struct entry.fifo */
	uint64_t bytes;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	struct map map;
	struct fifo small, main;
	struct ghost ghost;
	size_t tidied; /* buckets of the map, lately */
};

struct store {
	const struct versions *versions;
	struct tables *tables; /* not owned; that of the entries; NULL: they are not counted by table */
	struct heads *heads;   /* owned */
	_Atomic uint64_t limit, bytes, entries; /* bytes: but for the heads */
	_Atomic uint64_t surplus; /* what memory they took beyond what is counted when it was looked at last, */
	_Atomic uint64_t unseen;  /* and bytes stored since */
	_Atomic uint64_t mean_cost; /* ns, of what was admitted lately */
	struct shard *shards; /* SHARDS, aligned inside `memory` */
	void *memory;         /* owned */
};

static bool key_equal(const struct map_node *node, const void *key)
{
	return entry_key_eq(entry_key(container_of(node, struct entry, node)), *(const struct entry_key *)key);
}

struct store *store_new(const struct versions *v, uint64_t limit)
{
	const size_t line = _Alignof(struct shard);
	struct store *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->memory = mem_zalloc(SHARDS * sizeof(struct shard) + line);
	s->heads = heads_new();
	if (!s->memory || !s->heads) {
		mem_free(s->memory);
		heads_free(s->heads);
		mem_free(s);
		return NULL;
	}
	s->shards = (struct shard *)(((uintptr_t)s->memory + line - 1) / line * line);
	s->versions = v;
	atomic_init(&s->limit, limit);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *h = &s->shards[i];

		if (pthread_mutex_init(&h->lock, NULL) != 0)
			log_fatal("cache", "cannot make a lock", NULL);
		map_init(&h->map, key_equal);
		list_init(&h->small.list);
		list_init(&h->main.list);
	}
	return s;
}

struct heads *store_heads(const struct store *s)
{
	return s->heads;
}

void store_count_in(struct store *s, struct tables *t)
{
	s->tables = t;
}

/* More: 1 for an entry that comes, -1 for one that goes. */
static void count_tables(const struct store *s, const struct entry *e, int more)
{
	for (uint8_t i = 0; i < e->pub.ntables; i++)
		tables_add_entry(s->tables, e->places[i], more, more * (int64_t)entry_charge(e));
}

static struct shard *shard_of(const struct store *s, uint64_t hash)
{
	return &s->shards[(hash >> 58) % SHARDS]; /* the map uses the low bits */
}

static struct fifo *fifo_of(struct shard *h, const struct entry *e)
{
	return e->in_main ? &h->main : &h->small;
}

static void fifo_push(struct shard *h, struct entry *e, bool to_main)
{
	struct fifo *f = to_main ? &h->main : &h->small;

	e->in_main = to_main;
	e->freq = 0;
	list_push_back(&f->list, &e->fifo);
	f->bytes += entry_charge(e);
}

static void fifo_remove(struct shard *h, struct entry *e)
{
	struct fifo *f = fifo_of(h, e);

	list_remove(&f->list, &e->fifo);
	f->bytes -= entry_charge(e);
}

/* Out of the shard; the store's reference goes with it. */
static void unlink_entry(struct store *s, struct shard *h, struct entry *e)
{
	fifo_remove(h, e);
	map_remove(&h->map, &e->node);
	if (e->ruled && !entry_current(e, s->versions))
		tables_invalidated(tables_at(s->tables, e->places[e->pub.ntables - 1]));
	count_tables(s, e, -1);
	atomic_fetch_sub_explicit(&s->bytes, entry_charge(e), memory_order_relaxed);
	atomic_fetch_sub_explicit(&s->entries, 1, memory_order_relaxed);
	entry_unref(e);
}

static size_t ghost_window(const struct shard *h)
{
	return h->map.count > GHOST_WINDOW_MIN ? h->map.count : GHOST_WINDOW_MIN;
}

/* Drops an entry that can never be served again. A key that was worth keeping comes back straight into main. */
static void drop_dead(struct store *s, struct shard *h, struct entry *e)
{
	if (e->in_main || e->freq >= PROMOTE_HITS)
		ghost_add(&h->ghost, e->node.hash, ghost_window(h));
	unlink_entry(s, h, e);
}

static void clear_shard(struct store *s, struct shard *h)
{
	struct list_node *n;

	while ((n = list_first(&h->small.list)) || (n = list_first(&h->main.list)))
		unlink_entry(s, h, container_of(n, struct entry, fifo));
}

void store_clear(struct store *s)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&s->shards[i].lock);
		clear_shard(s, &s->shards[i]);
		pthread_mutex_unlock(&s->shards[i].lock);
	}
}

static void free_shard(struct store *s, struct shard *h)
{
	clear_shard(s, h);
	map_reset(&h->map);
	ghost_reset(&h->ghost);
	pthread_mutex_destroy(&h->lock);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < SHARDS; i++)
		free_shard(s, &s->shards[i]);
	heads_free(s->heads);
	mem_free(s->memory);
	mem_free(s);
}

static bool alive(const struct store *s, const struct entry *e, uint64_t now)
{
	return entry_expires_ns(e) > now && entry_current(e, s->versions);
}

static void evict_main(struct store *s, struct shard *h, uint64_t now)
{
	for (unsigned round = 0;; round++) {
		struct entry *e = container_of(list_first(&h->main.list), struct entry, fifo);
		uint8_t freq = e->freq;

		if (freq == 0 || round >= ROUNDS_MAX || !alive(s, e, now)) {
			unlink_entry(s, h, e);
			return;
		}
		fifo_remove(h, e);
		fifo_push(h, e, true);
		e->freq = freq - 1;
	}
}

/* False: everything in small has earned its place in main. */
static bool evict_small(struct store *s, struct shard *h, uint64_t now)
{
	struct list_node *n;

	while ((n = list_first(&h->small.list))) {
		struct entry *e = container_of(n, struct entry, fifo);

		if (e->freq < PROMOTE_HITS || !alive(s, e, now)) {
			ghost_add(&h->ghost, e->node.hash, ghost_window(h));
			unlink_entry(s, h, e);
			return true;
		}
		fifo_remove(h, e);
		fifo_push(h, e, true);
	}
	return false;
}

/* False: the shard is empty. */
static bool evict_one(struct store *s, struct shard *h, uint64_t now)
{
	bool small_is_full = h->small.bytes * SMALL_SHARE >= h->small.bytes + h->main.bytes;

	if (list_empty(&h->small.list) && list_empty(&h->main.list))
		return false;
	if ((small_is_full || list_empty(&h->main.list)) && evict_small(s, h, now))
		return true;
	if (!list_empty(&h->main.list))
		evict_main(s, h, now);
	else
		return evict_small(s, h, now);
	return true;
}

/*
 * What is counted, and what goes with it: rounding, and what lies unused between entries. So memory, not the count alone, stays within
 * the limit. Half of that is the entries' whatever the allocator does.
 */
static uint64_t taken(const struct store *s)
{
	uint64_t surplus = atomic_load_explicit(&s->surplus, memory_order_relaxed), most = store_limit(s) / 2;

	return store_bytes(s) + (surplus < most ? surplus : most);
}

static void look_at_memory(struct store *s)
{
	uint64_t resident, counted;

	atomic_store_explicit(&s->unseen, 0, memory_order_relaxed);
	resident = store_resident(s);
	counted = store_bytes(s);
	atomic_store_explicit(&s->surplus, resident > counted ? resident - counted : 0, memory_order_relaxed);
}

/* So much is stored now. */
static void look_now_and_then(struct store *s, uint64_t stored)
{
	uint64_t every = store_limit(s) / LOOK_SHARE;

	if (atomic_fetch_add_explicit(&s->unseen, stored, memory_order_relaxed) + stored >= (every > LOOK_MIN ? every : LOOK_MIN))
		look_at_memory(s);
}

/* With its shard locked, so that nobody comes who would have it, too. */
static struct map_node *set_down_again(struct map_node *node)
{
	struct entry *e = container_of(node, struct entry, node), *to;

	to = atomic_load_explicit(&e->refs, memory_order_acquire) == 1 ? entry_move(e) : NULL;
	if (!to)
		return node;
	to->fifo.prev->next = to->fifo.next->prev = &to->fifo;
	return &to->node;
}

/* Entries that have lived for long lie scattered between what others have left. Set down again they lie close, and pages become free. */
static void tidy(struct store *s, struct shard *h)
{
	size_t seen = 0;

	if (atomic_load_explicit(&s->surplus, memory_order_relaxed) <= store_bytes(s) / TIDY_SHARE)
		return;
	for (unsigned i = 0; i < TIDY_BUCKETS && seen < TIDY_ENTRIES && h->map.count; i++)
		seen += map_replace_each(&h->map, h->tidied++, set_down_again);
}

/*
 * Evicts, first from the shard at `from`, until all is within the limit. Who has less than his share keeps it: a shard that was emptied would stay
 * so, for what comes there would take the place of what came there before. False: nothing was left to evict.
 */
static bool make_room(struct store *s, unsigned from, uint64_t now, struct store_effects *fx)
{
	unsigned passed = 0; /* shards in turn, in which nothing was to be evicted; in a second round whatever they have is */

	for (unsigned i = from; taken(s) > store_limit(s);) {
		struct shard *h = &s->shards[i % SHARDS];
		uint64_t least = passed < SHARDS ? SHARE_LEAST(atomic_load_explicit(&s->bytes, memory_order_relaxed) / SHARDS) : 0;
		bool evicted;

		pthread_mutex_lock(&h->lock);
		evicted = h->small.bytes + h->main.bytes >= least && evict_one(s, h, now);
		pthread_mutex_unlock(&h->lock);
		if (evicted) {
			fx->evicted++;
			passed = 0;
		} else if (++passed == 2 * SHARDS) {
			return false;
		} else {
			i++;
		}
	}
	return true;
}

/* To as much memory as its entries need, which are fewer than they were. */
static void fit_shard(struct shard *h)
{
	pthread_mutex_lock(&h->lock);
	map_fit(&h->map);
	ghost_fit(&h->ghost, ghost_window(h));
	for (size_t i = 0; i < h->map.size; i++)
		map_replace_each(&h->map, i, set_down_again);
	pthread_mutex_unlock(&h->lock);
}

void store_set_limit(struct store *s, uint64_t limit, struct store_effects *fx)
{
	uint64_t before = atomic_exchange_explicit(&s->limit, limit, memory_order_relaxed);

	if (limit >= before)
		return;
	make_room(s, 0, 0, fx);
	for (unsigned i = 0; i < SHARDS; i++)
		fit_shard(&s->shards[i]);
	look_at_memory(s);
	make_room(s, 0, 0, fx);
}

enum rc store_get(struct store *s, struct entry_key key, uint64_t hash, uint64_t now, uint64_t stale_ns,
		  struct store_effects *fx, struct entry **out)
{
	struct shard *h = shard_of(s, hash);
	struct map_node *node;
	struct entry *e = NULL;

	pthread_mutex_lock(&h->lock);
	node = map_find(&h->map, hash, &key);
	if (node)
		e = container_of(node, struct entry, node);
	if (e) {
		bool current = entry_current(e, s->versions), expired = now >= entry_expires_ns(e);

		if (!current || (expired && now - entry_expires_ns(e) >= stale_ns)) {
			fx->expired += current;
			drop_dead(s, h, e);
			e = NULL;
		}
	}
	if (e) {
		if (e->freq < STORE_FREQ_MAX)
			e->freq++;
		entry_ref(e);
	}
	pthread_mutex_unlock(&h->lock);
	*out = e;
	return e ? RC_OK : RC_DECLINED;
}

static bool same_answer(const struct entry *a, const struct entry *b)
{
	return a->pub.len == b->pub.len && memcmp(entry_data(a), entry_data(b), a->pub.len) == 0;
}

/* With the shard locked: e takes the place of an entry of the same key, or a place of its own. RC_AGAIN: the former is to stay. */
static enum rc link_entry(struct store *s, struct shard *h, struct entry *e, uint64_t hash, uint64_t now)
{
	struct entry_key key = entry_key(e);
	struct map_node *node = map_find(&h->map, hash, &key);
	struct entry *old = node ? container_of(node, struct entry, node) : NULL;
	bool to_main = old ? old->in_main : ghost_take(&h->ghost, hash, ghost_window(h));
	uint8_t freq = old ? old->freq : 0;

	if (old && alive(s, old, now) && entry_has(e) < old->pub.read_ns) {
		if (!same_answer(e, old))
			return RC_AGAIN; /* who was answered by that one is not to be answered by what may be older */
		entry_confirm(e, old); /* so many that ask at once have all been shown what is stored */
	}
	if (map_insert(&h->map, &e->node, hash) != RC_OK)
		return RC_DECLINED;
	if (old)
		unlink_entry(s, h, old);
	entry_ref(e);
	fifo_push(h, e, to_main);
	e->freq = freq;
	count_tables(s, e, 1);
	atomic_fetch_add_explicit(&s->entries, 1, memory_order_relaxed);
	return RC_OK;
}

bool store_admits(struct store *s, uint64_t hash, uint64_t cost_ns)
{
	struct shard *h = shard_of(s, hash);
	uint64_t limit = store_limit(s), mean = atomic_load_explicit(&s->mean_cost, memory_order_relaxed);
	bool known;

	if (taken(s) < limit - limit / FULL_SHARE || cost_ns >= mean / CHEAP_SHARE)
		return true;
	pthread_mutex_lock(&h->lock);
	known = ghost_take(&h->ghost, hash, ghost_window(h));
	ghost_add(&h->ghost, hash, ghost_window(h)); /* if it is turned away: the next time it is known; else it is as new in main */
	pthread_mutex_unlock(&h->lock);
	return known;
}

/* Of about the last 64 admitted. Threads that meet here lose one another's: it is a mean. */
static void count_cost(struct store *s, uint64_t cost_ns)
{
	uint64_t mean = atomic_load_explicit(&s->mean_cost, memory_order_relaxed);

	atomic_store_explicit(&s->mean_cost, mean - mean / 64 + cost_ns / 64, memory_order_relaxed);
}

enum rc store_put(struct store *s, struct entry *e, uint64_t hash, uint64_t now, struct store_effects *fx)
{
	struct shard *h = shard_of(s, hash);
	enum rc rc;

	if ((uint64_t)entry_charge(e) + head_charge(e->head) > store_limit(s) / 2)
		return RC_DECLINED;
	/* Counted before it is linked: whatever other threads do meanwhile, the linked entries stay within the limit. */
	atomic_fetch_add_explicit(&s->bytes, entry_charge(e), memory_order_relaxed);
	look_now_and_then(s, entry_charge(e));
	rc = make_room(s, (unsigned)(h - s->shards), now, fx) ? RC_OK : RC_DECLINED;
	if (rc == RC_OK) {
		pthread_mutex_lock(&h->lock);
		rc = link_entry(s, h, e, hash, now);
		tidy(s, h);
		pthread_mutex_unlock(&h->lock);
	}
	if (rc == RC_OK)
		count_cost(s, e->pub.cost_us * UINT64_C(1000));
	else
		atomic_fetch_sub_explicit(&s->bytes, entry_charge(e), memory_order_relaxed);
	return rc;
}

uint64_t store_bytes(const struct store *s)
{
	return atomic_load_explicit(&s->bytes, memory_order_relaxed) + heads_bytes(s->heads);
}

uint64_t store_resident(const struct store *s)
{
	uint64_t resident = arena_resident();

	if (!resident)
		return store_bytes(s);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *h = &s->shards[i];

		pthread_mutex_lock(&h->lock);
		resident += h->map.size * sizeof(*h->map.buckets) + h->ghost.size * sizeof(*h->ghost.cells);
		pthread_mutex_unlock(&h->lock);
	}
	return resident;
}

uint64_t store_entries(const struct store *s)
{
	return atomic_load_explicit(&s->entries, memory_order_relaxed);
}

uint64_t store_limit(const struct store *s)
{
	return atomic_load_explicit(&s->limit, memory_order_relaxed);
}
