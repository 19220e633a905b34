/*
 * monitor_check.c - one check of one server:
 *
 *   resolve → log in, unless still logged in → greeting, when the server is new → variables → replication → verdict
 *
 * Without an account there is no login: the primary's greeting is read until it was seen once. Not again and again:
 * a server blocks hosts that connect often and never log in (max_connect_errors).
 */
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "monitor_impl.h"

#define ER_UNKNOWN_SYSTEM_VARIABLE 1193
#define WITHIN_LAG_CHECKS 5

struct asked {
	struct gtid_pos current, replayed;
	bool read_only;
	uint64_t asked_ns;
};

static bool is_primary(const struct watch *w)
{
	return atomic_load_explicit(&w->b->role, memory_order_acquire) == BACKEND_PRIMARY;
}

/* ---- verdicts ---- */

/* An operator's word stands. */
static void set_state(struct watch *w, enum backend_state s, const char *why)
{
	if (backend_state(w->b) != BACKEND_DISABLED)
		backend_set_state(w->b, s, why);
}

static void failed(struct watch *w, const char *why)
{
	if (ticker_stopping(&w->ticker)) /* it was cut short */
		return;
	stats_count(w->sink, STATS_C_MONITOR_FAILURES, 1);
	if (!w->resolve_failed)
		w->resolve_ns = 0; /* perhaps it has moved */
	backend_problem(w->b, why);
	if (!is_primary(w))
		atomic_store_explicit(&w->b->lag_ns, BACKEND_LAG_UNKNOWN, memory_order_relaxed);
	set_state(w, BACKEND_DOWN, why);
	topology_judge(w->m->topology);
}

/* ---- the greeting ---- */

/* Is what is known of the server that of another version? MariaDB's prefix is not part of its version. */
static bool greeting_is_old(struct watch *w)
{
	static const char prefix[] = "5.5.5-";
	struct backend_identity id;
	const char *known = id.version;

	if (!backend_identity(w->b, &id))
		return true;
	if (strncmp(known, prefix, sizeof(prefix) - 1) == 0)
		known += sizeof(prefix) - 1;
	return sqlconn_is_open(w->conn) && strcmp(known, sqlconn_version_text(w->conn)) != 0;
}

static enum rc read_greeting(struct watch *w)
{
	char problem[256] = "";
	uint64_t start = clock_mono_ns();
	enum rc rc = monitor_greeting(w->b, w->conf.connect_ns, &w->ticker, problem, sizeof(problem));

	if (rc == RC_ERROR) {
		failed(w, problem);
		return RC_ERROR;
	}
	backend_problem(w->b, problem);
	atomic_store_explicit(&w->b->latency_ns, clock_mono_ns() - start, memory_order_relaxed);
	return rc;
}

/* Nobody to log in as. */
static void check_by_greeting(struct watch *w)
{
	struct backend_identity id;

	if (!is_primary(w) || (backend_identity(w->b, &id) && backend_state(w->b) != BACKEND_DOWN &&
			       backend_state(w->b) != BACKEND_UNKNOWN))
		return;
	stats_count(w->sink, STATS_C_MONITOR_CHECKS, 1);
	if (read_greeting(w) == RC_OK) {
		atomic_store_explicit(&w->b->lag_ns, 0, memory_order_relaxed);
		set_state(w, BACKEND_UP, "greeting seen");
	}
}

/* ---- questions ---- */

static bool is_on(struct span v)
{
	return v.len && !span_eq(v, span_str("0")) && !span_ieq(v, span_str("off"));
}

/* Where a server gives its own transactions no GTIDs, what others have given them says nothing of its writes. */
static void take_positions(struct asked *a, const struct sqlconn_row *row)
{
	struct span mode = sqlconn_field(row, "mode"), logs = sqlconn_field(row, "logs"), executed = sqlconn_field(row, "rep");
	bool numbers = !mode.p || (mode.len >= 2 && strncasecmp(mode.p, "on", 2) == 0); /* ON, ON_PERMISSIVE */

	if (!numbers || (logs.p && !is_on(logs)) || gtid_parse(sqlconn_field(row, "cur"), &a->current) != RC_OK)
		a->current = (struct gtid_pos){0};
	if (!numbers || gtid_parse_applied(executed, &a->replayed) != RC_OK)
		a->replayed = (struct gtid_pos){0};
}

static enum rc on_variables(void *arg, const struct sqlconn_row *row)
{
	struct asked *a = arg;

	a->read_only = is_on(sqlconn_field(row, "ro")) || is_on(sqlconn_field(row, "iro"));
	take_positions(a, row);
	return RC_OK;
}

static enum rc ask_variables(struct watch *w, struct asked *a)
{
	const char *sql;
	uint64_t start = clock_mono_ns();
	enum rc rc;

	if (w->plain_variables)
		sql = "SELECT @@global.read_only ro";
	else if (sqlconn_is_mariadb(w->conn))
		sql = "SELECT @@global.read_only ro, @@global.innodb_read_only iro, @@global.gtid_current_pos cur, "
		      "@@global.gtid_slave_pos rep";
	else
		sql = "SELECT @@global.read_only ro, @@global.innodb_read_only iro, @@global.gtid_executed cur, "
		      "@@global.gtid_executed rep, @@global.gtid_mode mode, @@global.log_bin logs";
	*a = (struct asked){.asked_ns = start};
	rc = sqlconn_query(w->conn, span_str(sql), w->conf.connect_ns, on_variables, a);
	if (rc == RC_OK)
		atomic_store_explicit(&w->b->latency_ns, clock_mono_ns() - start, memory_order_relaxed);
	else if (sqlconn_errno(w->conn) == ER_UNKNOWN_SYSTEM_VARIABLE && !w->plain_variables)
		w->plain_variables = true;
	else
		return rc;
	return rc == RC_OK ? rc : ask_variables(w, a);
}

/* ---- what they mean ---- */

static void judge_primary(struct watch *w, const struct asked *a)
{
	struct lag_history *h = &w->m->history;

	pthread_mutex_lock(&w->m->lock);
	if (h->of != w->b) /* what a former primary had need not have come through */
		h->n = 0;
	h->of = w->b;
	lag_history_saw(h, &a->current, a->asked_ns, clock_mono_ns());
	pthread_mutex_unlock(&w->m->lock);
	backend_at_position(w->b, &a->current, a->asked_ns);
	if (w->m->hooks.primary_at && !gtid_empty(&a->current) && !a->current.overflow)
		w->m->hooks.primary_at(w->m->hooks.arg, &a->current, a->asked_ns);
	atomic_store_explicit(&w->b->lag_ns, 0, memory_order_relaxed);
	backend_problem(w->b, a->read_only ? "the primary is read-only" : "");
	if (a->read_only && !w->said_read_only)
		log_warn("monitor", "the primary is read-only", "addr=%s", w->b->text);
	w->said_read_only = a->read_only;
	set_state(w, BACKEND_UP, "answers");
}

/* Where the account may not ask for the replication's state. */
static void measure_by_position(struct watch *w, const struct asked *a, struct lag *l)
{
	uint64_t lag_ns;

	if (!w->said_privilege)
		log_info("monitor",
			 "the account may not see the replication's state: lag is measured by GTID, or unknown",
			 "addr=%s wanted=\"REPLICA MONITOR or REPLICATION CLIENT\"", w->b->text);
	w->said_privilege = true;
	pthread_mutex_lock(&w->m->lock);
	l->known = lag_history_measure(&w->m->history, &a->replayed, clock_mono_ns(), &lag_ns) == RC_OK;
	pthread_mutex_unlock(&w->m->lock);
	l->lag_ns = l->known ? lag_ns : 0;
}

/* It applies what it has but has no link to its source. With the primary gone too, what it has is all there is, and
 * reads go on (R4); otherwise it ages from when it was last connected. */
static void judge_disconnected(struct watch *w, struct lag *l)
{
	l->known = backend_state(topology_primary(w->m->topology)) != BACKEND_DOWN && w->replicating_ns;
	l->lag_ns = l->known ? clock_mono_ns() - w->replicating_ns : 0;
}

/* Beyond max_lag it is out, and comes back when it is well within, or within for a while: not at every check. */
static bool is_beyond_lag(struct watch *w, uint64_t lag_ns)
{
	if (lag_ns > w->conf.max_lag_ns) {
		w->beyond_lag = true;
		w->within_lag = 0;
	} else if (w->beyond_lag && (lag_ns <= w->conf.max_lag_ns / 2 || ++w->within_lag >= WITHIN_LAG_CHECKS)) {
		w->beyond_lag = false;
	}
	return w->beyond_lag;
}

static void set_fresh(struct watch *w, const struct asked *a, const struct lag *l)
{
	uint64_t fresh = 0;

	if (l->known && l->exact && a->asked_ns > l->lag_ns + l->age_ns) {
		fresh = a->asked_ns - l->lag_ns - l->age_ns;
	} else if (!gtid_empty(&a->replayed)) {
		pthread_mutex_lock(&w->m->lock);
		fresh = lag_history_fresh(&w->m->history, &a->replayed);
		pthread_mutex_unlock(&w->m->lock);
	}
	backend_set_fresh(w->b, fresh, a->asked_ns);
}

static void judge_replica(struct watch *w, const struct asked *a, struct lag *l)
{
	bool by_position = l->denied;

	backend_at_position(w->b, &a->replayed, a->asked_ns);
	if (by_position)
		measure_by_position(w, a, l);
	else if (l->disconnected && !l->stopped)
		judge_disconnected(w, l);
	else if (!l->stopped)
		w->replicating_ns = clock_mono_ns();
	atomic_store_explicit(&w->b->lag_ns, l->known ? l->lag_ns : BACKEND_LAG_UNKNOWN, memory_order_relaxed);
	set_fresh(w, a, l);
	if (!l->stopped && l->known && is_beyond_lag(w, l->lag_ns) &&
	    !(by_position && backend_state(topology_primary(w->m->topology)) == BACKEND_DOWN)) {
		l->stopped = true;
		snprintf(l->why, sizeof(l->why), "%llu ms behind the primary",
			 (unsigned long long)(l->lag_ns / NS_PER_MS));
	}
	backend_problem(w->b, l->stopped ? l->why : "");
	set_state(w, l->stopped ? BACKEND_LAGGING : BACKEND_UP, l->stopped ? l->why : "answers");
}

static enum rc ask_replication(struct watch *w, bool is_primary, struct lag *l)
{
	enum rc rc = w->conf.aurora_host[0] ? monitor_aurora_ask(w, l) : RC_DECLINED;

	if (rc == RC_DECLINED && is_primary)
		return RC_OK;
	if (rc == RC_DECLINED)
		rc = monitor_lag_ask(w, l);
	l->asked = rc == RC_OK;
	return rc;
}

static enum rc ask_all(struct watch *w)
{
	struct asked a;
	struct lag l = {0};

	bool was_primary = is_primary(w);

	if (ask_variables(w, &a) != RC_OK || ask_replication(w, was_primary, &l) != RC_OK)
		return RC_ERROR;
	topology_saw(w->m->topology, w->b, &(struct topology_sight){.read_only = a.read_only,
								    .may_ask = l.asked && !l.denied,
								    .replicates = l.replicates});
	if (is_primary(w))
		judge_primary(w, &a);
	else if (w->b->endpoint) /* stands for a server that has its own name */
		set_state(w, BACKEND_UP, "answers");
	else if (!was_primary) /* one that has just ceased to be is judged by its next check */
		judge_replica(w, &a, &l);
	return RC_OK;
}

/* ---- one check ---- */

/* The server answers, but not to us: it is there, and nothing else is known of it. */
static void judge_refused(struct watch *w)
{
	if (is_primary(w) && greeting_is_old(w) && read_greeting(w) != RC_OK)
		return;
	if (!is_primary(w))
		atomic_store_explicit(&w->b->lag_ns, BACKEND_LAG_UNKNOWN, memory_order_relaxed);
	backend_problem(w->b, sqlconn_error(w->conn));
	set_state(w, BACKEND_UP, "answers");
}

/* MariaDB lets in whose password has expired, and then answers nothing. */
static bool has_expired(const struct watch *w, const struct login_as *as)
{
	if (sqlconn_errno(w->conn) != ER_MUST_CHANGE_PASSWORD)
		return false;
	if (as->account)
		atomic_store_explicit(&as->account->expired, true, memory_order_relaxed);
	return true;
}

static void check_logged_in(struct watch *w, const struct login_as *as)
{
	bool open = sqlconn_is_open(w->conn);
	enum rc rc;

	stats_count(w->sink, STATS_C_MONITOR_CHECKS, 1);
	rc = open ? ask_all(w) : RC_AGAIN;
	/* A connection that has ended since its last use says nothing of the server: a new one does. */
	if (rc == RC_ERROR && open && !sqlconn_is_open(w->conn) && !sqlconn_late(w->conn))
		rc = RC_AGAIN;
	if (rc == RC_AGAIN) {
		rc = monitor_log_in(w, as);
		if (rc == RC_DECLINED) {
			judge_refused(w);
			return;
		}
		if (rc == RC_OK && greeting_is_old(w) && read_greeting(w) != RC_OK)
			return;
		if (rc == RC_OK)
			rc = ask_all(w);
		if (rc == RC_ERROR && has_expired(w, as)) {
			monitor_refused(w, as);
			judge_refused(w);
			sqlconn_close(w->conn);
			return;
		}
	}
	if (rc == RC_OK) {
		w->said_denied = false;
		w->denied_login = 0;
		return;
	}
	failed(w, sqlconn_error(w->conn));
	sqlconn_close(w->conn);
}

static void tell(struct watch *w, bool was_up)
{
	bool up = backend_state(w->b) == BACKEND_UP;

	if (!is_primary(w) || (w->told && w->told_up == up && was_up == up))
		return;
	w->told = true;
	w->told_up = up;
	if (w->m->hooks.primary_changed)
		w->m->hooks.primary_changed(w->m->hooks.arg, w->b);
}

static void copy_problem(struct backend *b, char *out, size_t cap)
{
	pthread_mutex_lock(&b->lock);
	snprintf(out, cap, "%s", b->problem);
	pthread_mutex_unlock(&b->lock);
}

void monitor_check(struct watch *w)
{
	bool was_up = backend_state(w->b) == BACKEND_UP;
	struct login_as as;
	char problem[256];

	if (backend_state(w->b) == BACKEND_GONE) {
		sqlconn_close(w->conn);
		return;
	}
	if (monitor_resolve(w) != RC_OK) {
		stats_count(w->sink, STATS_C_MONITOR_CHECKS, 1);
		copy_problem(w->b, problem, sizeof(problem));
		failed(w, problem);
	} else if (monitor_is_quiet(w)) {
		monitor_hush(w);
	} else if (monitor_choose(w, &as) != RC_OK) {
		check_by_greeting(w);
	} else {
		if (!monitor_is_pointless(w, &as))
			check_logged_in(w, &as);
		monitor_hush(w);
		account_unref(as.account);
	}
	topology_judge(w->m->topology);
	tell(w, was_up);
}
