/*
 * stats.h - what suimon counts: process counters, the digest table, N+1 and index findings.
 *
 * Each thread that counts has a sink of its own (single writer, relaxed atomics, no lock); readers add the sinks up.
 * Knows nothing of MySQL: an event is numbers and names.
 */
#ifndef SUIMON_STATS_H
#define SUIMON_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "counters.h" /* enum stats_counter, from the X-macro table of names, kinds and helps */
#include "rc.h"
#include "span.h"

#define STATS_TEXT_MAX 4096   /* bytes of normalised text kept a digest */
#define STATS_SAMPLE_MAX 4096 /* bytes of a sample kept; a longer statement is cut and says so */

struct stats;
struct stats_sink {
	_Atomic uint64_t counter[STATS_COUNTERS_N];
	struct stats_table *table; /* digest table of this sink; owned; NULL for sinks that see no statements */
	struct stats *stats;
	struct stats_sink *next;
};

struct stats_options {
	uint64_t slow_ns;
	uint64_t digests; /* most distinct digests kept, all sinks together */
	bool samples;
	uint64_t nplus1_repeats, nplus1_window_ns;
	bool explain;
	double cost_per_hour; /* of the database; 0: not known */
	uint64_t batch_wait_ns, batch_rows; /* what the queue would gather into one transaction */
	/* Appends to an iobuf a sample as its normalised text is, with names in the letters they were sent in. May be NULL; not changed by
	 * a reload. */
	void (*spell)(struct span sent, void *into_iobuf);
};

struct stats *stats_new(const struct stats_options *opt) must_check;
void stats_free(struct stats *s);
void stats_reconfigure(struct stats *s, const struct stats_options *opt); /* all but digests */
/* statements: the sink gets a digest table. Lives until stats_free. */
struct stats_sink *stats_sink_new(struct stats *s, bool statements) must_check;

static inline void stats_count(struct stats_sink *k, enum stats_counter c, uint64_t n)
{
	/* single writer: a plain load and store, no locked instruction */
	atomic_store_explicit(&k->counter[c], atomic_load_explicit(&k->counter[c], memory_order_relaxed) + n,
			      memory_order_relaxed);
}
uint64_t stats_sum(struct stats *s, enum stats_counter c); /* any thread */

enum stats_route { STATS_PRIMARY, STATS_REPLICA, STATS_CACHE, STATS_QUEUE, STATS_LOCAL, STATS_ROUTES };
/* How the server ended it over a lock. */
enum stats_lock_end { STATS_LOCK_NONE, STATS_LOCK_TIMEOUT, STATS_LOCK_DEADLOCK };
enum stats_cached { STATS_NOT_CACHEABLE, STATS_HIT, STATS_MISS };

/* The first literals of a statement or values bound to it, in order, as hashes. */
#define STATS_VALUES 4
struct stats_values {
	uint64_t hash[STATS_VALUES];
	unsigned n;
	unsigned keys; /* those that something must equal, as bits: a row may be looked up by them, unlike by a bound or a LIMIT */
	unsigned at[STATS_VALUES]; /* the how many-th question mark of the normalised text each is, from 0 */
	uint64_t fixed; /* hash of what stands beside them: what is bound has a text, which may hold literals of its own */
	bool all;       /* there are no more */
};
#define STATS_VARIED_UNTOLD (UINT64_C(1) << 62)
#define STATS_LIST_UNKNOWN UINT64_MAX
/* A reply of some rows. */
struct stats_list {
	uint64_t digest; /* of the read */
	uint64_t rows;
	uint64_t which; /* tells a session's replies apart; 0: none */
	bool back, again; /* the value stands before the one that the same read asked for last; it asks for it oftener than the reply has it */
};

/* Where a statement was counted last: the caller keeps one, zeroed, for what has one stats_key(), and for one sink. The fields are
 * stats/table.c's own. */
struct stats_place {
	struct stats_row *row; /* not owned; NULL: none yet */
	uint64_t retired;      /* the sink's rows that were given up until then: a further one may be this */
};

/* One finished statement. Spans are copied where they are kept. */
struct stats_event {
	uint64_t digest;
	uint64_t key;      /* stats_key() of digest, schema and user, if the caller has kept it; else 0 */
	struct stats_place *place; /* of this key; NULL: it is looked for */
	uint64_t literals; /* hash of its literals */
	const char *verb;  /* "select" */
	struct span text;  /* the statement as sent (for a sample; normalised only when the digest is new) */
	/* Appends the normalised text of `text` to an iobuf of at most STATS_TEXT_MAX bytes; called when the digest is new. */
	void (*normalise)(const struct stats_event *e, void *into_iobuf);
	unsigned mode; /* the caller's, for normalise */
	const void *arg; /* the caller's, for the functions below, which may be NULL */
	void (*values)(const struct stats_event *e, struct stats_values *out);
	/* Which list the session has read lately that holds all these values in its rows: the reply `first` is preferred, then the last
	 * of its digest. Digest 0: none. STATS_LIST_UNKNOWN: the rows of that digest are not all at hand. */
	struct stats_list (*listed)(const struct stats_event *e, const struct stats_list *first, const struct stats_values *sought);
	struct span schema, user, host;
	uint64_t session; /* its id */
	struct span table;     /* first table read or written, "" if none */
	struct span tag_route; /* sqlcommenter's route, or controller:action, decoded; "" if none */
	struct span tag_service; /* sqlcommenter's application; "" if none */
	struct span tag_framework; /* sqlcommenter's framework; "" if none */
	uint64_t trace;        /* hash of the trace its traceparent names; 0: none */
	uint64_t start_ns;     /* monotonic */
	uint64_t total_ns;     /* first byte in to last byte out */
	uint64_t wait_ns;      /* of that, waiting for a connection */
	uint64_t server_ns;    /* of that, waiting for the server's first byte */
	uint64_t answer_ns;    /* of that, from the sending to the server's last byte */
	uint64_t rows_sent, rows_affected, bytes_in, bytes_out;
	struct span server; /* its address; "": none answered */
	uint64_t server_hash; /* map_hash() of it, if the caller has kept it; else 0 */
	uint16_t error, warnings;
	enum stats_lock_end lock;
	unsigned retries;   /* how often it was sent anew */
	bool cache_refused; /* its answer was meant for the cache, which did not take it */
	bool no_index, no_good_index, slow_flag;
	bool is_read;
	bool asks_outcome; /* LAST_INSERT_ID(), ROW_COUNT(): what became of the statement before */
	uint64_t insert_id; /* that its answer gave; 0: none */
	/* The tables it reads, or as a write those it writes, views and triggers looked through, as numbers, at most `most`; 0: not known. May
	 * be NULL. */
	unsigned (*tables)(const struct stats_event *e, uint64_t *out, unsigned most);
	bool private_text; /* holds a password: never kept */
	bool unsure_text;  /* where its literals end cannot be told: as sent it is a sample like others, normalised it is not kept */
	enum stats_route route;
	enum stats_cached cached;
	bool cacheable, queueable; /* would be eligible, whether or not a rule asks for it */
	uint64_t ttl_ns;           /* that of the rule it was looked up in the cache by */
	/* For predictions of what a rule would do: */
	bool alone;                /* no transaction and no pinned state keeps it from the cache */
	bool too_large;            /* its answer, for the cache */
	uint64_t state;            /* what else of its session decides about its answer, as a hash */
	/* What its answer depends on, at most `most`, of any meaning; 0: not known, or more. May be NULL. */
	unsigned (*depends)(const struct stats_event *e, uint64_t *deps, unsigned most);
	/* Differs when any of these has been written. */
	uint64_t (*version)(const struct stats_event *e, const uint64_t *deps, unsigned n);
};
#define STATS_DEPENDS 6

/*
 * A session's memory of its last statements, for N+1: embed one a session, zeroed; zero it again when the session is
 * handed to somebody else (COM_RESET_CONNECTION, COM_CHANGE_USER): user, host and sink are the same all the while. A run is
 * one read digest, repeated; the fields are stats/nplus1.c's own.
 */
#define STATS_NPLUS1_SLOTS 8
#define STATS_INSERTED 4
struct stats_nplus1 {
	struct stats_run {
		uint64_t digest; /* 0: free */
		uint64_t seen;   /* which literals, as a bitmap by hash */
		uint64_t first_ns, last_ns, spent_ns;
		uint64_t first_at; /* which statement of the session it began with, */
		uint64_t last_at;  /* and which was the last of it so far */
		uint32_t repeats, distinct;
		uint64_t parent;       /* the list read before the run; 0: none */
		uint64_t rows;         /* that its statements have returned */
		uint64_t parent_rows;  /* what that and other lists since have returned, */
		uint64_t counted_rows; /* and had returned when it was reported */
		uint32_t entry;        /* where it is reported */
		struct stats_values values; /* of its last statement */
		uint64_t varied;            /* question marks whose values were seen to vary, as bits; STATS_VARIED_UNTOLD: perhaps others */
		uint32_t written;           /* repeats behind which a write came soon, */
		uint32_t rewritten;         /* and one to the table that they read, since it is known: */
		uint32_t table;             /* as a hash, from the second repeat on */
		uint64_t which;             /* the reply that held them; 0: none yet */
		uint8_t compared, matched;  /* statements whose values were looked for in a list; and found */
		uint8_t in_turn;            /* that were found in this reply, one after the other */
		uint8_t back, again;        /* that were found behind the one before them; and oftener than their list has them */
		bool reported, overrun;
		bool changed, rechanged;    /* so did one behind the last */
		bool later;                 /* it did not begin with its list, but behind another loop over that */
	} run[STATS_NPLUS1_SLOTS];
	uint64_t last_digest; /* the last read that returned two rows or more, */
	uint64_t last_rows;   /* how many, */
	uint64_t last_end_ns; /* when it was done, */
	uint64_t last_at;     /* and which statement of the session that was */
	uint64_t statements;  /* of the session so far */
	uint64_t parents;     /* the lowest six bits of the runs' parents, as a bitmap: what is not in it is none's */
	/* Its last inserts that could have been queued (outcome.c): whether the application needs what comes of them at once. */
	struct stats_inserted {
		uint64_t digest;     /* 0: free */
		uint64_t table, id;  /* which (0: not known); hash of the generated id, as of a value (0: none) */
		unsigned left;       /* statements that are still looked at */
		bool last;           /* no other insert since */
	} inserted[STATS_INSERTED];
	unsigned next_inserted, waiting; /* waiting: of inserted, those of a digest */
	struct stats_spender *spender; /* whom its statements without tags are counted for; NULL: none yet (costs.c) */
};

/*
 * The slow log: statements that take longer than slow_ns go to the file at path, in MySQL's format; "" ends it. Calling it
 * again opens the file anew, as after a rotation. RC_ERROR: it cannot be opened, err says why, all stays as it was.
 * One thread at a time.
 */
enum rc stats_slow_log(struct stats *s, const char *path, char *err, size_t cap) must_check;

/*
 * Keeps the statistics in the file at path: what an earlier life has left there is added; from then on a thread of its own
 * writes it every interval, and stats_free for the last time. Where that cannot be, it is logged, and tried again: all else
 * works. RC_ERROR: no memory, or no thread.
 */
enum rc stats_keep(struct stats *s, const char *path, uint64_t interval_ns) must_check;

/* Writes it for the last time and gives the file up, to another process; nothing where none is kept. */
void stats_keep_no_more(struct stats *s);
/* That process did not keep it: the file is ours again as soon as it is let go of, and is written at once. Nothing where none
 * was given up. RC_ERROR: no thread. */
enum rc stats_keep_again(struct stats *s) must_check;

/* What names a row of the digest table: the same for the same digest, schema and user, in this process. */
uint64_t stats_key(uint64_t digest, struct span schema, struct span user);
/* Counts it all: the digest table, the N+1 detector, the counters by route, the slow log. Sink's thread only. */
void stats_record(struct stats_sink *k, struct stats_nplus1 *n, const struct stats_event *e);

/* ---- reading: any thread ---- */

/* Each of these appends to out: an iobuf. samples: the caller may see literals (S2). */
struct iobuf;
enum stats_sort { STATS_BY_TOTAL_TIME, STATS_BY_CALLS, STATS_BY_P99, STATS_BY_ROWS_EXAMINED };
/* Whose statements, and in which schema they were sent; NULL: any. */
struct stats_of {
	const char *user, *schema;
};
enum rc stats_json_queries(struct stats *s, enum stats_sort sort, unsigned limit, struct stats_of of, struct iobuf *out) must_check;
/* RC_DECLINED: this digest is not known. */
enum rc stats_json_query(struct stats *s, uint64_t digest, bool samples, struct iobuf *out) must_check;
enum rc stats_json_findings(struct stats *s, bool samples, struct iobuf *out) must_check;
/* Time and price by service, route, account, host. */
enum rc stats_json_costs(struct stats *s, struct iobuf *out) must_check;
/* "predictions": [...] into an open object: what was foretold of the statements that the cache or the queue has been told to
 * serve since, beside what came of it. */
struct jsonw;
enum rc stats_put_cache_predictions(struct stats *s, struct jsonw *w) must_check;
enum rc stats_put_queue_predictions(struct stats *s, struct jsonw *w) must_check;
/* What happened lately, for the dashboard: totals by route, latency buckets, the last minutes second by second. */
enum rc stats_json_overview(struct stats *s, struct iobuf *out) must_check;
/* The time all statements took, added to out. RC_ERROR: no memory. */
struct hist;
enum rc stats_latency(struct stats *s, struct hist *out) must_check;
/* The counters, and latencies by route. No label holds anything of a client's. */
enum rc stats_prometheus(struct stats *s, struct iobuf *out) must_check;

/* The index adviser's work list: the next digest worth an EXPLAIN (slow or without index, not explained lately), with a
 * sample of it. RC_DECLINED: none just now. Strings are for the caller to mem_free. */
struct stats_explain {
	uint64_t digest;
	char *schema, *user, *sql;
	uint64_t calls, rows_sent, total_ns; /* of the digest so far */
};
enum rc stats_next_explain(struct stats *s, struct stats_explain *out) must_check;
/* One row of the adviser's verdict on a digest. plan_json: EXPLAIN FORMAT=JSON's output. Copied. */
struct stats_index_advice {
	uint64_t digest;
	struct span table, columns; /* "shop.orders", "customer_email" */
	struct span reason;         /* "full scan of 50000 rows" */
	struct span fix_sql;        /* ALTER TABLE ..., or the statement mended, or empty */
	struct span fix_text;       /* what to do where that is not to add an index alone; else empty */
	struct span fix_statement;  /* the statement mended, which fix_sql needs as well: neither helps alone; or empty */
	struct span path;           /* within the column's JSON documents; "": it is about the column itself. fix_sql and fix_statement hold it (S2) */
	struct span plan_json;
	uint64_t rows_examined;
	bool covered;               /* with the fix these are read from an index alone, one after the other */
	uint64_t rows_left;         /* of them with the fix; STATS_ROWS_UNKNOWN: it cannot be told */
};
#define STATS_ROWS_UNKNOWN UINT64_MAX
#define STATS_ROWS_UNTOLD (UINT64_MAX - 1) /* nor from how many are sent */
void stats_put_advice(struct stats *s, const struct stats_index_advice *a);
/* This table has another definition or other indexes; name empty: some table, nobody knows which. What was found there is asked about
 * again within seconds, and again, at growing distances, as a replica may come to it later. Any thread. */
void stats_table_changed(struct stats *s, struct span schema, struct span name);
/* This table is there no more, or none of the schema's (name empty): what was found of it is no finding until it is seen again. Any thread. */
void stats_table_dropped(struct stats *s, struct span schema, struct span name);
/* The adviser's server says that a table, column or schema of the digest's is not there: what it said before holds no more. */
void stats_withdraw_advice(struct stats *s, uint64_t digest);

/* A statement was seen waiting for a lock, and is so again as the wait goes on. Copied. Any thread. */
struct stats_lock_wait {
	uint64_t waiter, holder;  /* digests; holder: that locked the table there; 0: not known */
	struct span table, index; /* what is locked: "shop.t", "PRIMARY" */
	struct span holder_user;
	bool begins;              /* seen for the first time */
	bool holder_idle;         /* its transaction runs no statement */
	uint64_t more_ns, so_far_ns; /* since it was last told of; in all */
};
void stats_lock_seen(struct stats *s, const struct stats_lock_wait *w);

/* A file of the dashboard ("/", "/app.js", "/style.css"), embedded at build; an empty span (p NULL): no such file.
 * content_type: a literal. */
struct span stats_web_file(const char *path, const char **content_type);

#endif
