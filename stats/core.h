/*
 * core.h - inside the statistics layer: what a sink keeps, and how other threads may look at it.
 *
 *   stats ── digests (registry: one struct stats_digest per digest + schema + user, at most options.digests)
 *     │          ▲ names, text, sample; guarded by stats.lock
 *     └─ sinks ─ table ─ rows (numbers; written by the sink's thread only, relaxed atomics)
 *
 * Reading. A row is published by a pointer in table.row[]. A reader enters (stats_enter), loads pointers, reads,
 * leaves. The writer that takes a row away clears its pointer first and then puts the row into its limbo; the limbo
 * is freed when no reader is inside. Pointers and stats.readers are sequentially consistent: if the writer sees no
 * reader after clearing, every later reader sees the cleared pointer. So neither side ever waits for the other.
 *
 * stats.lock guards the registry, the samples and the advice. It is held for microseconds: to admit a digest a sink
 * has not seen, to swap a sample (tried only, never waited for by a worker), to copy one out.
 *
 * Memory. digests x (0.1 KiB + text and names up to 4.7 KiB + sample up to 4 KiB), and for each sink with
 * statements: rows it has seen x (0.8 KiB + 128 bytes an octave of its latencies), 0.1 MiB of fixed tables.
 */
#ifndef SUIMON_STATS_CORE_H
#define SUIMON_STATS_CORE_H

#include <pthread.h>

#include "clock.h"
#include "hist.h"
#include "map.h"
#include "stats.h"

#define STATS_NAME_MAX 256 /* bytes of a schema, user or table name kept */
#define STATS_TAGS 4       /* routes kept a row; others are counted in none */
#define STATS_FRAMEWORK_MAX 31 /* bytes of a framework's name kept */
#define STATS_TAG_MAX 128  /* bytes of a route, or of a server's address, kept */
#define STATS_SERVERS 4    /* servers told apart a row; others are counted in none */
#define STATS_ERRORS 4     /* error codes told apart a row */
#define STATS_RECENT 4096  /* reads remembered to see identical ones again; a power of two */
#define STATS_RECENT_NS (60 * NS_PER_SEC)
#define STATS_DOOR 4096      /* digests remembered at the door of a full table; a power of two */
#define STATS_LIMBO_MAX 1024 /* objects waiting for readers to leave; when full, nothing is admitted */
#define STATS_NPLUS1_MAX 256 /* loops told apart a sink */
#define STATS_TRACES 256     /* traces looked at at once, all sinks together; a power of two */
#define STATS_TRACE_LOCKS 16
#define STATS_SPENDERS 1024  /* combinations of service, route, account and host a sink; a power of two, 3/4 of it are used */
#define STATS_SECONDS 512    /* seconds of history; a power of two */
#define STATS_LOCKS_MAX 128 /* combinations of waiter, holder and table */
#define STATS_ADVICE_MAX 512 /* digests with an index verdict */
#define STATS_DROPS 64       /* tables remembered that were dropped */
#define STATS_PLAN_MAX 65536 /* bytes of an EXPLAIN kept */
#define STATS_GHOSTS 128       /* digests whose caching is foretold; a power of two */
#define STATS_PREDICT_KEYS 256 /* sampled of each at most; a power of two */
#define STATS_EXPLAIN_AGAIN_NS (600 * NS_PER_SEC)

/* The numbers of a row that add up. */
enum stats_number {
	STATS_N_CALLS,
	STATS_N_ERRORS,
	STATS_N_TOTAL_NS,
	STATS_N_WAIT_NS,
	STATS_N_SERVER_NS,
	STATS_N_ANSWER_NS,
	STATS_N_ROWS_SENT,
	STATS_N_ROWS_AFFECTED,
	STATS_N_BYTES_IN,
	STATS_N_BYTES_OUT,
	STATS_N_CACHE_HITS,
	STATS_N_CACHE_MISSES,
	STATS_N_CACHE_REFUSED,
	STATS_N_RETRIES,
	STATS_N_ROUTED, /* and one for each further route */
	STATS_N_NO_INDEX = STATS_N_ROUTED + STATS_ROUTES,
	STATS_N_NO_GOOD_INDEX,
	STATS_N_SLOW,
	STATS_N_WARNINGS,
	STATS_N_CACHEABLE,  /* calls that a cache rule could have covered and none did */
	STATS_N_REPEATS,    /* of these, the same literals again within STATS_RECENT_NS */
	STATS_N_REPEATS_NS, /* and their time */
	STATS_N_QUEUEABLE,  /* calls that a queue rule could have covered and none did */
	STATS_N_BATCHES,    /* transactions that the queue would have applied these in */
	STATS_N_ASKED,      /* inserts after which the session asked for the id, or how many rows: none to be queued */
	STATS_NUMBERS
};

struct stats_limbo {
	struct stats_limbo *next;
	void (*drop)(struct stats *s, struct stats_limbo *l); /* frees the object; on the sink's thread */
};

/* A statement as it was sent. Immutable. */
struct stats_sample {
	uint64_t total_ns, at_ns; /* how long it took, when (monotonic) */
	uint64_t rows_sent;
	bool cut; /* longer than what is kept */
	size_t len;
	char text[]; /* NUL-terminated */
};

/* One distinct statement of one schema and user: what does not change, and its sample. */
struct stats_digest {
	struct map_node node; /* registry.map; node.hash is the key's hash */
	uint64_t digest;
	char *verb, *schema, *user;     /* behind this struct, immutable */
	_Atomic(char *) text, table;    /* likewise, until they are learnt */
	_Atomic bool hidden;            /* text is the verb: of the statements seen so far nobody could tell where their literals end */
	char *learnt;                   /* owned: text and table of a later one; lock */
	bool is_read;
	bool kept;                   /* in the registry; lock */
	uint32_t at;                 /* where in registry.all; lock */
	unsigned refs;               /* the registry's and one a row; lock */
	struct stats_row *rows;      /* lock */
	_Atomic bool evicted;        /* its rows are to be given up by their writers */
	_Atomic uint64_t batch_closes_ns; /* until when the queue would have gathered its last batch */
	_Atomic uint64_t examined;   /* rows a call, by the servers' count, in thousandths, and one; 0: not known */
	_Atomic uint64_t sample_ns;  /* how long the sample took; 0: none */
	struct stats_sample *sample; /* owned; lock */
	_Atomic bool looks_inside;   /* its text has JSON functions or arrows: */
	_Atomic uint64_t paths;      /* hash of the paths in it (paths.c); 0: none yet */
};

struct stats_row_tag {
	_Atomic(char *) text; /* owned; NULL: free. Immutable once published */
	uint64_t hash;        /* writer's */
	_Atomic uint64_t count;
};

struct stats_row_error {
	_Atomic uint32_t code; /* 0: free */
	_Atomic uint64_t count;
};

/* The numbers of one digest in one sink. */
struct stats_row {
	struct map_node node; /* table.map; writer's */
	struct stats_limbo limbo;
	struct stats_digest *digest;      /* holds a reference */
	struct stats_row *next_of_digest; /* digest.rows; lock */
	uint32_t at;                      /* where in table.row; writer's */
	_Atomic uint64_t n[STATS_NUMBERS];
	_Atomic uint64_t min_ns, max_ns, first_ns, last_ns; /* times are monotonic */
	_Atomic uint64_t ttl_ns; /* of the cache rule that covers it; 0: none does */
	struct stats_row_error error[STATS_ERRORS];
	struct stats_row_tag tag[STATS_TAGS], server[STATS_SERVERS];
	struct hist hist;
};

/* A loop: child read repeatedly after the list `parent`. Key fields are immutable, the rest the writer's atomics. */
struct stats_loop {
	struct stats_limbo limbo;
	uint64_t parent, child;
	char route[STATS_TAG_MAX + 1], framework[STATS_FRAMEWORK_MAX + 1];
	_Atomic uint64_t occurrences, queries, spent_ns, parent_rows, overruns, max_repeats, first_ns, last_ns;
	_Atomic uint64_t compared, matched;
	_Atomic uint64_t varied; /* of all its runs, as in struct stats_run */
};

enum stats_dimension { STATS_BY_SERVICE, STATS_BY_ROUTE, STATS_BY_USER, STATS_BY_HOST, STATS_DIMENSIONS };
enum stats_spent {
	STATS_SPENT_CALLS,
	STATS_SPENT_ERRORS,
	STATS_SPENT_NS,
	STATS_SPENT_SERVER_NS,
	STATS_SPENT_CACHEABLE, /* calls that the cache could answer, or does */
	STATS_SPENT_NUMBERS
};

/* What one combination of names has used (costs.c). Names are immutable once published. */
struct stats_spender {
	char name[STATS_DIMENSIONS][STATS_TAG_MAX + 1];
	uint8_t len[STATS_DIMENSIONS]; /* of the names: they are compared for every statement */
	_Atomic uint64_t n[STATS_SPENT_NUMBERS];
};

struct stats_second {
	_Atomic uint64_t second; /* which one; monotonic */
	_Atomic uint32_t count[STATS_ROUTES], errors;
	_Atomic uint64_t total_ns;
};

struct stats_recent {
	uint64_t key, at_ns;
};

/* What a sink that sees statements keeps. Writer's, but for what is marked atomic. */
struct stats_table {
	struct stats *stats;
	struct stats_sink *sink;
	struct map map;             /* hash of digest, schema, user → struct stats_row */
	uint32_t cap;               /* rows at most */
	_Atomic uint32_t used;      /* slots of row[] ever used; grows only */
	uint32_t nfree, *free_slot; /* slots used and given back */
	uint64_t retired;           /* rows given up so far */
	uint32_t sweep;             /* where the search for evicted rows goes on */
	_Atomic(struct stats_row *) *row;
	struct stats_row *other; /* sum of what has no row of its own; digest NULL */
	struct hist route[STATS_ROUTES];
	_Atomic(struct stats_loop *) loop[STATS_NPLUS1_MAX];
	struct stats_second second[STATS_SECONDS];
	_Atomic(struct stats_spender *) spender[STATS_SPENDERS];
	struct stats_spender spender_other;
	unsigned nspenders;
	struct stats_spender *spender_last; /* not owned; the sink's: whoever asks often asks often in a row */
	struct stats_limbo *limbo;
	unsigned nlimbo;
	uint16_t door[STATS_DOOR];
	struct stats_recent recent[STATS_RECENT];
};

/* What the adviser said of a digest, or only when it was asked. */
struct stats_advice {
	uint64_t digest, asked_ns, given_ns;             /* 0: never */
	uint64_t due_ns, wait_ns;  /* when it is asked for again, and how long that was put off */
	uint64_t flagged, servers; /* when it was asked for: calls that the servers flagged, and all that they answered */
	uint64_t seen_ns, unseen_ns; /* its table was last known to have changed, and some table, while it had a finding; 0: never */
	bool doubted;              /* asked for since, as they flagged none any more */
	bool outdated;             /* some table has changed while it was being explained, and it had no finding yet */
	char *table, *columns, *reason, *fix_sql, *fix_text, *fix_statement, *path, *plan; /* owned; NULL before it is given */
	uint64_t rows_examined, rows_left;
	bool covered;
};

/* A table that was dropped, or a schema. */
struct stats_drop {
	char table[2 * STATS_NAME_MAX + 2]; /* "shop.orders"; "shop.": all of it */
	uint64_t at_ns;
};

/* Waits for locks of one statement: those that the server ended, or those that were seen, by holder and table. */
struct stats_lock {
	uint64_t waiter, holder; /* digests; 0: not known */
	bool failed;             /* the former: timeouts, deadlocks; else the latter: waits, idle, longest_ns */
	char table[STATS_TAG_MAX + 1], index[STATS_TAG_MAX + 1], user[STATS_TAG_MAX + 1];
	uint64_t timeouts, deadlocks;
	uint64_t waits, idle; /* idle: of these, while the holder's transaction ran no statement */
	uint64_t ns, longest_ns, first_ns, last_ns;
};

/* A trace's statements, of whatever session: one request of an application that takes a connection for each of them. */
struct stats_trace {
	uint64_t id; /* stats_event.trace; 0: free */
	struct stats_nplus1 n;
};

struct stats {
	pthread_mutex_t lock;
	pthread_mutex_t trace_lock[STATS_TRACE_LOCKS]; /* of the traces whose slot has this remainder */
	struct stats_trace trace[STATS_TRACES];
	_Atomic(struct stats_sink *) sinks; /* grows only */
	_Atomic uint64_t readers;
	uint64_t mono_ns, wall_us; /* read together at the start */
	uint64_t since_us;         /* when counting began: here, or in an earlier life whose snapshot was taken */
	uint64_t before_ns;        /* for how long it was counted in those */
	struct snapshot *snapshot; /* owned; NULL: nothing is kept */

	_Atomic uint64_t slow_ns, nplus1_repeats, nplus1_window_ns, cost_millionths;
	_Atomic uint64_t batch_wait_ns, batch_rows;
	void (*spell)(struct span sent, void *into_iobuf); /* as in struct stats_options */
	_Atomic bool samples, explain;
	_Atomic(struct slowlog *) slowlog; /* owned; NULL until one is asked for */

	struct { /* lock */
		struct map map;
		struct stats_digest **all; /* owned, cap */
		uint32_t cap, hand;
	} registry;
	_Atomic uint32_t ndigests;

	_Atomic(struct predict_ghost *) ghost[STATS_GHOSTS]; /* owned; predict.c */

	struct stats_advice advice[STATS_ADVICE_MAX]; /* lock */
	uint32_t nadvice;                             /* lock */
	uint64_t explained_ns;                        /* when the last digest was handed out; lock */
	bool explained_changed;                       /* it was asked about again before its time; lock */
	uint64_t explaining;                          /* the digest that the adviser is at; 0: none; lock */
	struct stats_drop drop[STATS_DROPS];          /* lock; the oldest goes first */
	uint64_t ndrops;                              /* lock; so far */
	struct stats_lock locks[STATS_LOCKS_MAX];     /* lock */
	unsigned nlocks;                              /* lock */
};

/* ---- stats.c ---- */
static inline uint64_t stats_get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void stats_set(_Atomic uint64_t *at, uint64_t v)
{
	atomic_store_explicit(at, v, memory_order_relaxed);
}

/* Single writer. */
static inline void stats_add(_Atomic uint64_t *at, uint64_t n)
{
	stats_set(at, stats_get(at) + n);
}

/* Two numbers as one, the first of them hashed with the process's seed (stats_key): what nobody can foresee spreads whatever
 * the second is. A bijection of either. */
static inline uint64_t stats_mix(uint64_t seeded, uint64_t with)
{
	uint64_t h = (seeded ^ with) * UINT64_C(0xbf58476d1ce4e5b9);

	h = (h ^ h >> 29) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 32;
}

/* Of moments (monotonic); one before the machine's start, of a life before that, is still before all others. */
static inline bool stats_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

void stats_enter(struct stats *s);
void stats_leave(struct stats *s);
uint64_t stats_wall_us(const struct stats *s, uint64_t mono_ns);    /* when that was, microseconds since 1970 */
uint64_t stats_mono_ns(const struct stats *s, uint64_t wall_us);    /* the other way round; never 0, nor after now */
void stats_limbo_put(struct stats_table *t, struct stats_limbo *l); /* frees it as soon as no reader can hold it */
void stats_limbo_empty(struct stats_table *t);                      /* all that is possible now */

/* ---- registry.c ---- */
enum rc stats_registry_init(struct stats *s, uint32_t cap) must_check;
/* The digest of this event, with a reference; made if need be. NULL: none and not admitted, or no memory. */
struct stats_digest *stats_registry_get(struct stats *s, uint64_t hash, const struct stats_event *e, bool admit);
bool stats_registry_full(const struct stats *s);
void stats_registry_join(struct stats *s, struct stats_row *r);  /* the row counts for its digest */
void stats_registry_leave(struct stats *s, struct stats_row *r); /* it no longer does */
void stats_registry_unref(struct stats *s, struct stats_digest *d);
void stats_registry_free(struct stats *s);
bool stats_registry_is(const struct stats_digest *d, const struct stats_event *e);
/* Takes over the text of a statement that may be shown, where those before might not. */
void stats_registry_learn(struct stats *s, struct stats_digest *d, const struct stats_event *e);

/* ---- sample.c ---- */
void stats_sample_forget(struct stats *s); /* all of them, and the plans, which show their values */
void stats_sample_offer(struct stats *s, struct stats_digest *d, const struct stats_event *e);
struct stats_sample *stats_sample_new(struct span text) must_check; /* cut where it is too long */
struct stats_sample *stats_sample_copy(struct stats *s, const struct stats_digest *d) must_check; /* NULL: none */
void stats_sample_put(struct stats *s, struct stats_digest *d, struct stats_sample *m); /* takes m over */

/* ---- table.c ---- */
struct stats_table *stats_table_new(struct stats_sink *k, uint32_t cap) must_check;
void stats_table_free(struct stats_table *t);
void stats_table_sweep(struct stats_table *t); /* gives up all rows that the registry has evicted */
/* The row of the event's digest, schema and user; NULL: there is none. */
struct stats_row *stats_table_find(struct stats_table *t, uint64_t hash, const struct stats_event *e);
/* The event's row, or the sum of others; never NULL. */
struct stats_row *stats_table_row(struct stats_table *t, uint64_t hash, const struct stats_event *e);

/* ---- row.c ---- */
struct stats_row *stats_row_new(struct stats_digest *d) must_check; /* takes over a reference of d's; d may be NULL */
void stats_row_free(struct stats *s, struct stats_row *r);
/* batch_wait_ns: how long the queue's batches wait for more rows, for what it could gather */
void stats_row_add(struct stats_row *r, const struct stats_event *e, bool slow, bool again, uint64_t batch_wait_ns);
/* RC_ERROR: no memory; the histogram is not complete. */
enum rc stats_row_fold(struct stats_row *into, const struct stats_row *from) must_check;
void stats_row_fold_names(struct stats_row *into, const struct stats_row *from); /* routes and servers */
/* hash: map_hash() of text */
void stats_row_name(struct stats_row_tag *tags, unsigned most, struct span text, uint64_t hash, uint64_t n);
void stats_row_error(struct stats_row *r, uint32_t code, uint64_t n);

/* ---- prometheus.c ---- */
const char *stats_route_name(enum stats_route route);

/* ---- nplus1.c ---- */
void stats_nplus1_note(struct stats_sink *k, struct stats_nplus1 *n, const struct stats_event *e);
void stats_nplus1_add(struct stats_table *t, const struct stats_loop *l); /* its numbers; the sink's thread, or before it runs */

#endif
