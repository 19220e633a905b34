/*
 * cache.h - the result cache: an in-process store, Redis as second level and invalidation bus, and the versions that
 * keep both correct (promises C1, C2, C3).
 *
 * The protocol. Every cacheable result depends on tags (tables, rows). A tag hashes to a slot of the version
 * table; a collision costs an invalidation too many, never one too few. An entry carries the versions its slots had
 * before its read was sent; it is served only while they are still current. A write bumps the slots of all it touched
 * after the server's answer and before the client's (cache_invalidate), so:
 *   - a read begun before the bump carries the old version, and what it stores is dead on arrival;
 *   - a read begun after the bump sees the write, if the server that answers it has applied it: each slot keeps the
 *     position (GTID domain and sequence) of its last write, and a fill from a replica must prove it was past all of them.
 * Redis holds for each slot a random version token and for each value the tokens its tags had before the read; a value
 * is good only while all of them match. A bump deletes the token and publishes; until Redis has acknowledged it, this
 * process does not read values of that slot from Redis. Without a live bus nothing is served or stored. See docs/cache.md.
 *
 * Knows nothing of SQL: keys, tags and values are bytes. Thread-safe where it says so; otherwise a cache_worker belongs
 * to one loop's thread.
 */
#ifndef SUIMON_CACHE_H
#define SUIMON_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "map.h"
#include "loop.h"
#include "rc.h"
#include "span.h"
#include "stats.h"

#define CACHE_MAX_TAGS 32

struct cache;
struct cache_bound; /* bound.h */
struct cache_lookup;
struct cache_worker;
struct l2_request;

struct cache_options {
	uint64_t memory;        /* bytes of it, keys and overhead included; 0: no in-process store */
	uint64_t max_result;    /* bytes a value */
	const char *redis;      /* URL or "" */
	uint64_t stale_if_error_ns;
	uint64_t lag_window_ns; /* how long replicas are distrusted after writes of unknown position whose caller names no
				 * window, and after a gap in the bus; 0: 5 s */
	void (*schema_changed)(void *arg); /* may be NULL; on `control`: another instance has changed the schema, or may have */
	void *arg;
};

/*
 * What a result depends on and what a write bumps (C6). Of a table T with the key columns K, K' ...:
 *
 *                                          read not named   read of K = v   write not named   write of K = v
 *   cache_tag_table(schema, table)   T        depends          depends           bumps
 *   cache_tag_rows(T)                         depends                                              bumps
 *   cache_tag_key(T, K)                                        depends                             bumps those of K' ...
 *   cache_tag_row(cache_tag_key(T, K), v)                      depends                             bumps
 *
 * schema, table and column as the catalog folds them; v so that values the server may hold equal are equal bytes.
 */
typedef uint64_t cache_tag;
#define CACHE_TAG_KIND UINT64_C(3) /* a tag's lowest bits: what it stands for */
enum { CACHE_TAG_TABLE, CACHE_TAG_ROW, CACHE_TAG_ROWS, CACHE_TAG_KEY };
cache_tag cache_tag_table(struct span schema, struct span table);
cache_tag cache_tag_rows(cache_tag table);
cache_tag cache_tag_key(cache_tag table, struct span column);
cache_tag cache_tag_row(cache_tag key, struct span value);

/* How far a server must have come to have applied a write. */
struct cache_pos { uint32_t domain; uint64_t seq; };
struct cache_needs {
	struct cache_pos pos[CACHE_MAX_TAGS]; /* one a domain, the largest */
	unsigned n;
	bool unknown;           /* a write whose position is not known: no replica can prove to be past it ... */
	uint64_t unknown_until_ns; /* ... before this (monotonic: when it happened + the caller's lag window) */
};

/* A stored reply. Immutable; reference counted across threads. */
struct cache_entry {
	uint64_t read_ns;       /* monotonic; what was committed later is not in it */
	uint32_t len;           /* of cache_entry_data */
	uint32_t rows;          /* at most UINT32_MAX */
	uint32_t cost_us;       /* what the server took to make it, microseconds; at most UINT32_MAX */
	uint16_t results_status; /* caller's own 16 bits (status flags of the reply) */
	/* For the cache: */
	uint8_t ntags, ntables;
	uint32_t lives_ms;      /* from read_ns on; ENTRY_LIVES_ON */
	uint32_t behind_us;     /* what was committed so long before read_ns is in it; ENTRY_BEHIND_UNKNOWN */
};
const uint8_t *cache_entry_data(const struct cache_entry *e); /* the reply's packets, ready to send */
void cache_entry_ref(const struct cache_entry *e);
void cache_entry_unref(const struct cache_entry *e);

/* opt is copied. NULL: out of memory or a bad URL (logged). The bus, if any, runs on `control`. */
struct cache *cache_new(const struct cache_options *opt, struct loop *control, struct stats *stats) must_check;
void cache_free(struct cache *c); /* after all workers are gone and all loops have ended */
/* Names the Redis where it tells of writes, and the format of what is said there: caches that have the same keep each other right.
 * 0: it has none. Any thread. */
uint64_t cache_bus_id(const struct cache *c);
void cache_reconfigure(struct cache *c, const struct cache_options *opt); /* all but redis: any thread */

struct cache_worker *cache_worker_new(struct cache *c, struct loop *loop, struct stats_sink *sink) must_check;
void cache_worker_free(struct cache_worker *w); /* its loop's thread, or after that has ended; open look-ups are cancelled */

/* A look-up's part in a shared miss (flight.h). */
enum cache_flying {
	CACHE_ALONE,
	CACHE_LEADING, /* asks for others too: cache_fill or cache_abandon must follow */
	CACHE_WAITING, /* for a leader */
};
struct cache_flight {
	enum cache_flying state;
	bool listed;              /* leading: others find it */
	uint8_t joins, ended;
	struct map_node node;     /* leading */
	struct list waiters;      /* leading: their `beside` */
	struct cache_lookup *leader; /* waiting: NULL once it has ended */
	struct list_node beside, mine; /* waiting: among the leader's, among the worker's */
	uint64_t deadline_ns;     /* waiting */
};

/* One look-up. The caller fills the upper part and keeps the struct until done or cache_lookup_cancel. */
struct cache_lookup {
	struct span key;        /* everything that can change the bytes (C3); compared in full; kept by the caller */
	uint32_t key_head;      /* so many bytes of it are what many keys begin with: kept once. The same key has always the same */
	const cache_tag *tags;  /* kept by the caller */
	/* May be NULL; else tags and ntags are set by it, should they be needed: a hit goes by the key alone. Called once, in cache_get. */
	void (*tell_tags)(struct cache_lookup *l);
	unsigned ntags;         /* more than CACHE_MAX_TAGS: never cached */
	bool stale_ok;          /* no server can answer: a result past its time by less than stale_if_error will do */
	bool may_wait;          /* for the answer to an identical look-up that is under way (C7) */
	uint64_t refresh_ns;    /* a result past its time by less will do while somebody fetches it anew */
	uint64_t rule;          /* the rule that asks, for counting: any number of its own; 0: none */
	const struct cache_bound *bound; /* what results may not be older than; kept by the caller; NULL: nothing */
	uint64_t bound_past_ns; /* ... where that was shown after this: before it, nothing is missing here (cache_heard) */
	uint64_t has_ns;        /* before cache_fill: the answer has all that the primary had committed by then; 0: that is not known */
	void (*done)(struct cache_lookup *l, enum rc rc, const struct cache_entry *e); /* only after RC_AGAIN */
	/* For the cache: */
	uint64_t key_hash;
	uint32_t rule_key;      /* 0: not counted */
	bool outdone;           /* after cache_fill: what is stored is another one's answer, which may be newer, or older */
	bool refused;           /* there was a result, or there may be one in Redis, and it may be older than what `bound` says */
	uint64_t versions[CACHE_MAX_TAGS];   /* local, taken before anything is asked */
	uint8_t tokens[CACHE_MAX_TAGS][16];  /* Redis's, when it was asked */
	uint8_t token_all[16];
	bool tokens_known;
	uint64_t run;           /* the run of Redis the tokens are of */
	uint64_t tokens_at;     /* bus_clock; when they were known */
	uint64_t epoch;         /* 0: what is read may not be stored */
	struct l2_request *request; /* while done() is to come */
	struct cache_flight flight;
	struct cache_worker *worker;
};

/* RC_OK: *e is a reference to send and to release. RC_DECLINED: a miss; the lookup now holds the versions for a fill, and
 * cache_fill or cache_abandon is to follow, for others may wait for it. RC_AGAIN: Redis is asked (within a few milliseconds), or
 * an identical look-up's answer is waited for (at most ten seconds); done() will bring one of the former. */
enum rc cache_get(struct cache_worker *w, struct cache_lookup *l, const struct cache_entry **e) must_check;
void cache_lookup_cancel(struct cache_lookup *l);
/* After a miss: there will be no fill. failed: the query was, and another may fare better. More than once is harmless. */
void cache_abandon(struct cache_lookup *l, bool failed);
/* After a miss whose query no server could answer: the result past its time, if stale_if_error allows it. */
enum rc cache_get_stale(struct cache_lookup *l, const struct cache_entry **e) must_check;
/* What a replica must have applied for its answer to be stored under these versions (C2). Thread-safe. */
void cache_needs(struct cache *c, const cache_tag *tags, unsigned ntags, struct cache_needs *out);

enum cache_refusal { /* why a result was not stored; counted each */
	CACHE_STORED = 0, CACHE_REFUSED_VERSION, CACHE_REFUSED_LAG, CACHE_REFUSED_SIZE, CACHE_REFUSED_WARNINGS,
	CACHE_REFUSED_ERROR, CACHE_REFUSED_STATUS, CACHE_REFUSED_MEMORY, CACHE_REFUSED_CHEAP,
	CACHE_REFUSED_BUS, /* Redis is configured and the bus was not live when the read began */
	CACHE_REFUSED_TODAY, /* it hangs on the day: the caller's to tell */
	CACHE_REFUSALS
};
const char *cache_refusal_name(enum cache_refusal r);
/* Stores a reply under the lookup's key and versions, in process and in Redis. Copies what it keeps. */
enum cache_refusal cache_fill(struct cache_worker *w, struct cache_lookup *l, struct span reply, uint64_t ttl_ns,
			      uint64_t rows, uint64_t cost_ns, uint16_t results_status);
/* Counts a result that the caller did not offer, and why. */
void cache_refused(struct cache_worker *w, enum cache_refusal why);

/*
 * A write says before it is sent which tables it may change, so that the other instances can invalidate them should this
 * process die between the write's COMMIT and its invalidation. Kept by the caller until cache_announce_end.
 */
struct cache_slots { unsigned n; uint16_t slot[2 * CACHE_MAX_TAGS]; };
struct cache_announcement {
	void (*done)(struct cache_announcement *a); /* only after RC_AGAIN, within some milliseconds: the write may go on */
	/* For the cache: */
	struct cache_worker *worker;
	struct list_node node;  /* while done() is to come */
	uint64_t deadline_ns;
	struct cache_slots slots;
};
/* tags: of tables; more than there is room for, or anything: it may change anything. RC_OK: go on. RC_AGAIN: done() comes. */
enum rc cache_announce(struct cache_worker *w, struct cache_announcement *a, const cache_tag *tags, unsigned ntags,
		       bool anything) must_check;
void cache_announce_end(struct cache_announcement *a); /* invalidated, or never sent; done() will not be called any more */
/* The same from a thread without a loop: returns when the write may go on, within some milliseconds. One thread at a time. */
void cache_announce_from(struct cache *c, struct cache_slots *held, const cache_tag *tags, unsigned ntags, bool anything);
void cache_announce_end_from(struct cache *c, struct cache_slots *held); /* more than once is harmless */
/* This process has changed the schema, or may have: tells the other instances. Any thread. */
void cache_schema_changed(struct cache *c);

/* Differs once any of these tags has been bumped: what would end an entry, for whoever only wants to know. Any thread. */
uint64_t cache_stamp(struct cache *c, const cache_tag *tags, unsigned ntags);

/* What invalidates, for people. */
enum cache_cause {
	CACHE_BY_WRITE,    /* a client's */
	CACHE_BY_LOSS,     /* a write whose outcome nobody knows: its session or its server was lost */
	CACHE_BY_QUEUE,    /* a batch has been applied */
	CACHE_BY_BINLOG,
	CACHE_BY_FAILOVER, /* what the former primary had need not be on the new one */
	CACHE_BY_SCHEMA,   /* it is another one than it was when it was read before */
	CACHE_BY_FLUSH,    /* somebody asked for it, or a process that was to end goes on */
	CACHE_CAUSES,
};
const char *cache_cause_name(enum cache_cause cause);

/* A write's answer is here: bump all it touched. before_reply: call this before the client gets its answer.
 * pos NULL: position unknown (lag_window_ns says for how long replicas are distrusted). Also tells the other instances. */
void cache_invalidate(struct cache_worker *w, enum cache_cause cause, const cache_tag *tags, unsigned ntags,
		      const struct cache_pos *pos, uint64_t lag_window_ns);
void cache_invalidate_all(struct cache_worker *w, enum cache_cause cause, uint64_t lag_window_ns);
/* The same from any other thread (drain, binlog, admin). The local bump has happened when it returns. */
void cache_invalidate_from(struct cache *c, enum cache_cause cause, const cache_tag *tags, unsigned ntags,
			   const struct cache_pos *pos, uint64_t lag_window_ns);
void cache_invalidate_all_from(struct cache *c, enum cache_cause cause, uint64_t lag_window_ns);
/* What was written before this process began a replica may lack: its answers are stored when it is known to have all, or the window is over.
 * Tells nobody. */
void cache_distrust(struct cache *c, uint64_t lag_window_ns);
/* The primary is another server, or its binary log has begun anew: the same of everything, and positions from before count no more. Any thread. */
void cache_renumber(struct cache *c, enum cache_cause cause, uint64_t lag_window_ns);
void cache_flush(struct cache *c, enum cache_cause cause); /* everything, everywhere: any thread */
/* The primary, asked at asked_ns (clock_mono_ns before the question was sent), was at these positions: bounds all writes
 * of unknown position before, so that replicas are believed again without waiting for the lag window. Any thread. */
void cache_primary_at(struct cache *c, const struct cache_pos *pos, unsigned n, uint64_t asked_ns);
/* Redis has acknowledged all invalidations so far, or is not configured: what an orderly shutdown waits for. Any thread. */
bool cache_settled(struct cache *c);
/* Then: the others need not stand in for this instance (bus_leave has the outcomes). On the control loop. */
enum rc cache_leave(struct cache *c) must_check;

/*
 * Writes that go past every instance, seen in the primary's binary log by a caller who follows it and invalidates what it says
 * (cache.binlog). Once cache_follow was called, answers are given only while cache_followed says that nothing can be missing:
 * for CACHE_FOLLOW_LEASE_NS after the moment it names. Results are stored all the same, and dead if a write shows up that was before them.
 */
#define CACHE_FOLLOW_LEASE_NS (UINT64_C(3) * 1000000000)
void cache_follow(struct cache *c); /* before any worker starts */
uint64_t cache_clock(void);         /* nanoseconds, on a clock that goes on while the machine sleeps */
/* All that had been committed by asked_ns (cache_clock) is invalidated. Any thread. */
void cache_followed(struct cache *c, uint64_t asked_ns);
void cache_unfollowed(struct cache *c); /* nothing is known any more: no answers from now on. Any thread */
/*
 * What had been committed by this moment (monotonic) is invalidated here, whoever has written it: as far as the primary's log is followed,
 * or else, through any instance on the same Redis, as far as those that live tell within CACHE_TOLD_WITHIN_NS of what they have committed.
 * UINT64_MAX: neither is configured, and nobody asks. Any thread.
 */
#define CACHE_TOLD_WITHIN_NS (UINT64_C(2) * 1000000000)
uint64_t cache_heard(struct cache *c);
/* After cache_get: could it have been a hit? False while Redis, or the primary's log, cannot be reached. */
bool cache_may_answer(const struct cache_lookup *l);
bool cache_binds(const struct cache *c); /* ... and it is asked: others write, and what they write is heard of later */
/* A write of this position, or a later one of its domain, has invalidated the tag. Any thread. */
bool cache_knows(struct cache *c, cache_tag tag, const struct cache_pos *pos);

/* By table and by rule, for people: bounded; a table counts from when it has been named. All of it from any thread. */
enum cache_outcome { CACHE_HIT, CACHE_MISS, CACHE_FILL, CACHE_REFUSED };
struct cache_table {
	const char *name; /* schema.table; NULL: a rule's, or all tables without a place of their own */
	/* invalidations: of a table, by writes; of a rule, of its entries, when they are found or leave. */
	uint64_t entries, bytes, hits, misses, fills, invalidations, refused[CACHE_REFUSALS];
	uint64_t saved_us; /* microseconds that servers took for what was then a hit, once a hit */
};
typedef void (*cache_table_fn)(void *arg, const struct cache_table *t);
void cache_table_name(struct cache *c, struct span schema, struct span table);
bool cache_table_named(struct cache *c, cache_tag table);
/* rule: as in cache_lookup. why: of a CACHE_REFUSED. saved_us: of a CACHE_HIT, its entry's cost; else 0. */
void cache_table_count(struct cache *c, const cache_tag *tags, unsigned ntags, uint64_t rule, enum cache_outcome what,
		       enum cache_refusal why, uint32_t saved_us);
void cache_tables(struct cache *c, cache_table_fn fn, void *arg);
/* Calls fn once. RC_DECLINED: it has no place, and is not counted. */
enum rc cache_rule(struct cache *c, uint64_t rule, cache_table_fn fn, void *arg) must_check;

struct cache_totals {
	uint64_t entries, bytes, resident, limit; /* store.h */
	uint64_t hits, hits_redis, misses, fills, evictions, expirations, bus_received;
	uint64_t refused[CACHE_REFUSALS], invalidations[CACHE_CAUSES], saved_ns;
	bool redis_configured, redis_up, bus_live; /* !bus_live with redis: the in-process store is not served from (C1) */
	bool follows, followed; /* the primary's log; follows and not followed: nothing is answered */
};
void cache_totals(struct cache *c, struct cache_totals *out); /* any thread */

#endif
