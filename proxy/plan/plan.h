/*
 * plan.h - rules + facts + session state → what to do with a statement: plain data, with a reason for each choice.
 *
 * plan_make is pure: it touches no socket, no clock, no cache. `suimon digest` and the debug log print the same plan.
 */
#ifndef SUIMON_PLAN_H
#define SUIMON_PLAN_H

#include "iobuf.h"
#include "rules.h"

/* Why a session keeps one server connection to itself; a set of these. */
enum plan_pin {
	PIN_TRANSACTION = 1 << 0,
	PIN_USER_VARIABLE = 1 << 1,
	PIN_TEMP_TABLE = 1 << 2,
	PIN_LOCK = 1 << 3,          /* LOCK TABLES, FLUSH .. READ LOCK: until UNLOCK TABLES */
	PIN_USER_LOCK = 1 << 4,     /* GET_LOCK */
	PIN_CURSOR = 1 << 5,
	PIN_LONG_DATA = 1 << 6,
	PIN_SESSION_STATE = 1 << 7, /* a variable that cannot be replayed, or a server that does not track */
	PIN_SQL_PREPARE = 1 << 8,   /* PREPARE as text */
	PIN_NEXT_TRANSACTION = 1 << 9, /* SET TRANSACTION without SESSION: the next one only */
	PIN_CONNECTION_ID = 1 << 11, /* it has asked for the connection's id */
	PIN_UNKNOWN = 1 << 10,      /* the statement was not understood (P2) */
	PIN_XA = 1 << 12,           /* from XA START to XA COMMIT or XA ROLLBACK, over XA END and XA PREPARE */
	PIN_TIME = 1 << 13,         /* it has set its clock: until SET timestamp=DEFAULT */
	PIN_UNKNOWN_YET = 1 << 14,  /* what it has run is not known: until the schema has been read */
};
const char *plan_pin_name(unsigned pins); /* of xa, else of the lowest one; or "" */
/* Pins that hide tables or change what a read means: while one lasts nothing is cached or queued. */
#define PINS_ANY (~0u)

enum plan_target { PLAN_PRIMARY, PLAN_REPLICA };

/* What is known of the stored routines a statement calls. */
enum plan_calls {
	PLAN_CALLS_UNKNOWN = 0, /* they may do anything; or there are none */
	PLAN_CALLS_WRITES,      /* they change tables that are known */
	PLAN_CALLS_READS,       /* they change no table; what they answer may hang on more than tables */
	PLAN_CALLS_PLAIN,       /* plain reads of tables that are known */
};

struct plan_session { /* what of a session matters to a plan */
	unsigned pins;
	bool in_transaction;
	bool autocommit;
	bool has_replicas;
	bool stays;         /* what it has set holds on the primary alone */
	bool reads_only;    /* its transactions change nothing, unless they say otherwise (SET SESSION TRANSACTION READ ONLY) */
	bool sees_anew;     /* READ COMMITTED or less, set so: every statement of a transaction sees what is there by then */
	bool serializable;  /* set so: plain reads in a transaction lock */
	bool reads_away;    /* its open transaction changes nothing, and runs on a replica */
	unsigned held;      /* ... of this group (settings_group), and keeps to it until it ends; 0: not so */
	bool stuck;         /* no such transaction, but its connection, which its pins keep, is to a replica */
	bool has_queued;    /* queued writes of its own may not be applied yet */
	bool tracked;       /* its server connections report session state */
	bool tracks_reads;  /* ... at the end of result sets too (DEPRECATE_EOF) */
	enum plan_calls calls; /* of the statement, by the schema at this moment */
};

struct plan_verdict { /* what the rules say of a statement; may be kept for its digest (rule_verdicts_last) */
	const struct settings_route_rule *route;
	const struct settings_cache_rule *cache;
	const struct settings_queue_rule *queue;
	const struct settings_limit_rule *limit;
};

struct plan {
	enum plan_target target;
	const char *target_why;
	bool needs_primary;       /* R1, whatever pins the session: it writes, locks, or its effect is not known */
	bool opens;               /* it begins a transaction that changes nothing: on a replica, if that is its target */
	bool leaves;              /* what the transaction on a replica must leave it for */
	bool holds;               /* with opens: it is not to leave its group's replica before it ends */
	bool strays;              /* what a session that is held or stuck on a replica cannot have there */
	bool eventual;            /* the reader asked for a replica however old */
	unsigned group;           /* target is a replica of this group, or nobody (settings_group); 0: any of none */
	bool denied;              /* a rule forbids it */
	const struct settings_limit_rule *limit; /* holds it back; NULL: none */
	bool follow_up;           /* asks for what the last statement left on its connection */
	bool cache;               /* look in the cache, and fill it */
	uint64_t cache_ttl_ns;
	const struct settings_cache_rule *cache_rule; /* NULL where a hint asked */
	const char *cache_why;
	bool queue;
	const struct settings_queue_rule *queue_rule;
	const char *queue_why;
	bool cacheable, queueable; /* eligible, asked for or not */
	/* Deltas, applied when it has run: */
	unsigned pins;            /* to add */
	unsigned unpins;          /* to take away */
	bool writes;              /* may have changed tables: those it names are invalidated */
	bool writes_anything;     /* what it changed is not known: everything is invalidated */
};

void plan_verdict(const struct settings *cfg, const struct rule_subject *s, struct plan_verdict *out);
void plan_make(const struct settings *cfg, const struct plan_verdict *v, const struct sql_facts *f, const struct sql_lexed *lexed,
	       const struct plan_session *ss, struct plan *out);
enum rc plan_print(const struct plan *p, struct iobuf *out) must_check; /* one line for people */

#endif
