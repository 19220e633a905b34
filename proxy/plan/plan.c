#include "plan.h"

static const char *const pin_names[] = {"transaction", "user_variable", "temp_table", "lock", "user_lock", "cursor",
					"long_data", "session_state", "sql_prepare", "next_transaction", "unknown", "connection_id", "xa", "timestamp",
					"unknown_yet"};

const char *plan_pin_name(unsigned pins)
{
	if (pins & PIN_XA)
		return "xa"; /* its transaction is seen, too, part of the time */
	for (size_t i = 0; i < countof(pin_names); i++)
		if (pins & (1u << i))
			return pin_names[i];
	return "";
}

#define FOLLOW_UPS (SQL_F_LAST_INSERT_ID | SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT | SQL_F_DIAGNOSTICS)

/* What the statement leaves behind on its connection that no varset can carry to another. */
static void plan_pins(const struct sql_facts *f, const struct plan_session *ss, struct plan *p)
{
	if (f->flags & SQL_F_UNKNOWN)
		p->pins |= PIN_UNKNOWN;
	if (f->flags & SQL_F_USER_VAR_WRITE || (f->verbs & SQL_VERB(SQL_CALL) && f->flags & SQL_F_USER_VAR_READ)) /* the latter may be for OUT */
		p->pins |= PIN_USER_VARIABLE;
	if (f->flags & SQL_F_TEMP_TABLE)
		p->pins |= PIN_TEMP_TABLE;
	if (f->flags & SQL_F_CONNECTION_ID)
		p->pins |= PIN_CONNECTION_ID;
	if (f->flags & SQL_F_USER_LOCK)
		p->pins |= PIN_USER_LOCK;
	/* A stored function may set user variables; where the server would not say so, assume it. */
	if ((f->flags & SQL_F_STORED_FUNCTION) && !ss->tracks_reads)
		p->pins |= PIN_UNKNOWN;
	if ((f->flags & SQL_F_SESSION_SET) && !ss->tracked)
		p->pins |= PIN_SESSION_STATE;
	if (f->flags & SQL_F_COUNTERS) /* who has them begin anew wants to know what its own statements cost */
		p->pins |= PIN_SESSION_STATE;
	switch (f->verb) {
	case SQL_LOCK_TABLES:
		p->pins |= PIN_LOCK;
		break;
	case SQL_UNLOCK_TABLES:
		p->unpins |= PIN_LOCK;
		break;
	case SQL_PREPARE:
	case SQL_EXECUTE:
		p->pins |= PIN_SQL_PREPARE;
		break;
	case SQL_SET_TRANSACTION:
		if (!(f->flags & (SQL_F_SESSION_SET | SQL_F_GLOBAL_SET)))
			p->pins |= PIN_NEXT_TRANSACTION;
		break;
	case SQL_XA:
		p->pins |= f->flags & SQL_F_XA_BEGIN ? PIN_XA : 0;
		p->unpins |= f->flags & SQL_F_XA_END ? PIN_XA : 0;
		break;
	case SQL_HANDLER:
		p->pins |= PIN_UNKNOWN;
		break;
	default:
		break;
	}
}

static void plan_writes(const struct sql_facts *f, enum plan_calls calls, struct plan *p)
{
	bool stored = f->flags & SQL_F_STORED_FUNCTION;

	p->writes = (f->flags & (SQL_F_WRITES | SQL_F_DDL | SQL_F_UNKNOWN)) || calls == PLAN_CALLS_WRITES ||
		    (stored && calls == PLAN_CALLS_UNKNOWN);
	switch (f->verb) {
	case SQL_CALL:
		p->writes_anything = calls == PLAN_CALLS_UNKNOWN || (f->flags & SQL_F_UNKNOWN);
		break;
	case SQL_EXECUTE:
	case SQL_COMPOUND:
	case SQL_XA:
	case SQL_GRANT:
	case SQL_REVOKE:
		p->writes_anything = true;
		break;
	default:
		/* DDL on what is not a named table (a schema, a view, a routine) is not followed: all of it may have changed. */
		p->writes_anything = (f->flags & SQL_F_UNKNOWN) || (stored && calls == PLAN_CALLS_UNKNOWN) ||
				     ((f->flags & SQL_F_DDL) && !(f->flags & SQL_F_TEMP_TABLE));
	}
	p->writes |= p->writes_anything;
}

/* What no replica may ever run, not even for a session whose state lies on one (R1). */
static bool needs_primary(const struct sql_facts *f, const struct plan *p)
{
	return p->writes || f->verb == SQL_LOCK_TABLES || f->verb == SQL_XA || f->verb == SQL_CALL ||
	       (f->flags & (SQL_F_LOCKING_READ | SQL_F_USER_LOCK | SQL_F_SEQUENCE | SQL_F_SERVER_FILE | SQL_F_STORED_FUNCTION));
}

/* START TRANSACTION READ ONLY, and what means the same in a session whose transactions are so. With a snapshot from its
 * beginning it could not leave the replica again unnoticed. */
static bool begins_reading(const struct sql_facts *f, const struct plan_session *ss)
{
	return f->verb == SQL_BEGIN && !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_SNAPSHOT | SQL_F_TRX_READ_WRITE)) &&
	       ((f->flags & SQL_F_TRX_READ_ONLY) || ss->reads_only);
}

/* What a rule or hint sends to a group and says that it reads one state: it keeps to one of the group's replicas. To leave it would
 * show it another state, and put what is meant for the group on the primary. */
static bool begins_held(const struct sql_facts *f, const struct plan_session *ss)
{
	return f->verb == SQL_BEGIN && !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_TRX_READ_WRITE)) && !ss->serializable &&
	       (f->flags & (SQL_F_TRX_READ_ONLY | SQL_F_SNAPSHOT) || ss->reads_only);
}

/* What reads, or concerns this session and its transaction alone: known as such, or it may not run where the transaction is held. */
static bool runs_held(const struct sql_facts *f, const struct plan *p)
{
	static const uint64_t verbs = SQL_VERB(SQL_SELECT) | SQL_VERB(SQL_VALUES) | SQL_VERB(SQL_TABLE) |
				      SQL_VERB(SQL_SHOW) | SQL_VERB(SQL_DESCRIBE) | SQL_VERB(SQL_EXPLAIN) |
				      SQL_VERB(SQL_HELP) | SQL_VERB(SQL_DO) | SQL_VERB(SQL_SET) |
				      SQL_VERB(SQL_SET_TRANSACTION) | SQL_VERB(SQL_USE) | SQL_VERB(SQL_BEGIN) |
				      SQL_VERB(SQL_COMMIT) | SQL_VERB(SQL_ROLLBACK) | SQL_VERB(SQL_SAVEPOINT) |
				      SQL_VERB(SQL_ROLLBACK_TO) | SQL_VERB(SQL_RELEASE_SAVEPOINT) | SQL_VERB(SQL_UNLOCK_TABLES);

	return !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_GLOBAL_SET | SQL_F_PASSWORD)) && !p->needs_primary &&
	       (verbs & SQL_VERB(f->verb));
}

/* What leaves state on the connection would keep the session there when its transaction is over, and SERIALIZABLE, set meanwhile, would
 * lock what a later one reads. */
static bool strays(const struct sql_facts *f, const struct plan_session *ss, unsigned group, const struct plan *p)
{
	if (ss->held)
		return !runs_held(f, p) || p->pins || (p->holds && group != ss->held);
	return ss->stuck && (!runs_held(f, p) || (f->verb == SQL_BEGIN && ss->serializable) ||
			     ((ss->in_transaction || !ss->autocommit) && ss->serializable && f->ntables));
}

/* Of a transaction on a replica: what may run there, and what ends it. All else the primary answers for. */
static bool stays_away(const struct sql_facts *f, const struct plan *p)
{
	const char *why;

	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_CHAIN) || p->needs_primary || p->pins)
		return false;
	return f->verb == SQL_COMMIT || f->verb == SQL_ROLLBACK || sql_replica_safe(f, &why) ||
	       (f->flags & (SQL_F_FOUND_ROWS | SQL_F_ROW_COUNT | SQL_F_DIAGNOSTICS));
}

/* A transaction that keeps to one snapshot would notice that it has left its replica: it goes there only where somebody
 * has said so. */
static const char *why_not_opened_away(const struct plan_session *ss, bool asked)
{
	if (ss->serializable)
		return "it would lock what it reads";
	if (ss->has_queued)
		return "queued writes of its own may not be applied yet";
	if (!ss->sees_anew && !asked)
		return "a read-only transaction that keeps to one snapshot goes to a replica by a rule or hint only";
	return NULL;
}

static const char *why_primary(const struct settings *cfg, const struct sql_facts *f, const struct sql_lexed *lexed,
			       const struct plan_verdict *v, const struct plan_session *ss, const struct plan *p)
{
	const char *why = NULL;

	if (!p->holds && !begins_reading(f, ss) && !sql_replica_safe(f, &why))
		return why;
	if (ss->in_transaction)
		return "inside a transaction";
	if (!ss->autocommit && !ss->reads_only)
		return "autocommit is off: the read opens a transaction";
	if (ss->pins)
		return "the session is pinned to its connection";
	if (p->follow_up)
		return "asks for what the last statement left on its connection";
	if (!ss->has_replicas)
		return "no replica is configured";
	if (ss->stays)
		return "the session has set what holds on the primary alone";
	if (lexed->hints & SQL_HINT_PRIMARY)
		return "a hint says primary";
	if (!(lexed->hints & SQL_HINT_REPLICA) && !p->group) {
		if (v->route && v->route->to == TO_PRIMARY)
			return "a routing rule says primary";
		if (!v->route && cfg->routing.consistency == CONSISTENCY_STRONG)
			return "routing.consistency is strong";
	}
	return p->opens ? why_not_opened_away(ss, v->route || (lexed->hints & (SQL_HINT_REPLICA | SQL_HINT_GROUP))) : NULL;
}

/* Neither cache nor queue for a statement that hangs together with others of its session. */
static const char *why_not_alone(const struct plan_session *ss)
{
	if (ss->in_transaction || !ss->autocommit)
		return "inside a transaction";
	if (ss->pins)
		return "the session is pinned to its connection";
	return NULL;
}

static const char *why_not_cached(const struct sql_facts *f, const struct sql_lexed *lexed, const struct plan_verdict *v,
				  const struct plan_session *ss, struct plan *p)
{
	const char *why = NULL;

	p->cacheable = sql_cacheable(f, &why);
	if (!p->cacheable)
		return why;
	if (lexed->hints & SQL_HINT_NOCACHE)
		return "a hint says nocache";
	if (lexed->hints & SQL_HINT_CACHE) {
		p->cache_ttl_ns = lexed->hint_cache_ns;
	} else if (v->cache) {
		p->cache_rule = v->cache;
		p->cache_ttl_ns = v->cache->ttl_ns;
	}
	if (!p->cache_ttl_ns)
		return "no rule or hint asks for it";
	if (p->group)
		return "what a group of replicas answers may be old";
	return why_not_alone(ss);
}

static const char *why_not_queued(const struct sql_facts *f, const struct sql_lexed *lexed, const struct plan_verdict *v,
				  const struct plan_session *ss, struct plan *p)
{
	const char *why = NULL;

	p->queueable = sql_queueable(f, &why);
	if (!p->queueable)
		return why;
	if (lexed->hints & SQL_HINT_SYNC)
		return "a hint says sync";
	p->queue_rule = v->queue;
	if (!v->queue && !(lexed->hints & SQL_HINT_QUEUE))
		return "no rule or hint asks for it";
	return why_not_alone(ss);
}

void plan_verdict(const struct settings *cfg, const struct rule_subject *s, struct plan_verdict *out)
{
	out->route = rule_route(cfg, s);
	out->cache = rule_cache(cfg, s);
	out->queue = rule_queue(cfg, s);
	out->limit = rule_limit(cfg, s);
}

/* A hint goes before a rule; one that names a group that is not there says nothing. */
static unsigned group_of(const struct settings *cfg, const struct sql_lexed *lexed, const struct plan_verdict *v)
{
	if (lexed->hints & SQL_HINT_GROUP && settings_group(cfg, lexed->hint_group))
		return settings_group(cfg, lexed->hint_group);
	if (lexed->hints & (SQL_HINT_PRIMARY | SQL_HINT_REPLICA) || !v->route || v->route->to != TO_GROUP)
		return 0;
	return settings_group(cfg, span_str(v->route->group));
}

void plan_make(const struct settings *cfg, const struct plan_verdict *v, const struct sql_facts *f, const struct sql_lexed *lexed,
	       const struct plan_session *ss, struct plan *out)
{
	struct sql_facts plain;

	/* A function that only reads is one of the server's own as far as it matters here. */
	if (ss->calls == PLAN_CALLS_PLAIN && f->verb != SQL_CALL) {
		plain = *f;
		plain.flags &= ~SQL_F_STORED_FUNCTION;
		f = &plain;
	}
	*out = (struct plan){.follow_up = f->flags & FOLLOW_UPS};
	plan_pins(f, ss, out);
	plan_writes(f, ss->calls, out);
	out->needs_primary = needs_primary(f, out);
	out->group = group_of(cfg, lexed, v);
	out->holds = out->group && begins_held(f, ss);
	out->opens = out->holds || begins_reading(f, ss) || (!ss->autocommit && ss->reads_only && !ss->in_transaction);
	/* Another BEGIN ends it, and is one like any other. */
	out->leaves = ss->reads_away && (ss->held ? f->verb == SQL_BEGIN && !out->holds : !stays_away(f, out));
	out->strays = strays(f, ss, out->group, out);
	out->limit = v->limit;
	out->denied = v->route && v->route->to == TO_DENY;
	out->target_why = why_primary(cfg, f, lexed, v, ss, out);
	if (!out->target_why) {
		out->target = PLAN_REPLICA;
		out->target_why = out->opens ? "it begins a transaction that changes nothing" : "a plain read";
		out->eventual = cfg->routing.consistency == CONSISTENCY_EVENTUAL || (lexed->hints & SQL_HINT_REPLICA) || out->group;
	} else {
		out->group = 0;
	}
	out->cache_why = why_not_cached(f, lexed, v, ss, out);
	out->cache = !out->cache_why;
	out->queue_why = why_not_queued(f, lexed, v, ss, out);
	out->queue = !out->queue_why;
}

enum rc plan_print(const struct plan *p, struct iobuf *out)
{
	return iobuf_printf(out, "to=%s (%s) cache=%s (%s) queue=%s (%s) writes=%s pins=%s",
			    p->denied ? "nobody" : p->group ? "group" : p->target == PLAN_REPLICA ? "replica" : "primary", p->target_why, p->cache ? "yes" : "no",
			    p->cache ? "asked for" : p->cache_why, p->queue ? "yes" : "no",
			    p->queue ? "asked for" : p->queue_why,
			    p->writes_anything ? "anything" : p->writes ? "its tables" : "nothing",
			    p->pins ? plan_pin_name(p->pins) : "none");
}
