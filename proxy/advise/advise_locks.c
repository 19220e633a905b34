/*
 * advise_locks.c - who waits for whom on the primary: looked at once a second while a statement of ours takes longer than it
 * should, and said to the statistics.
 *
 * Only what InnoDB itself calls a wait counts, and only where the statement that waits came through here. How long it has waited
 * is the server's word, in whole seconds; a wait is told apart from the next one by when it began.
 */
#include <stdio.h>
#include <string.h>

#include "advise_impl.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#define LIMIT_NS (2 * NS_PER_SEC)
#define IDLE_NS (10 * NS_PER_SEC)     /* so long the connection stays when nothing waits any more */
#define REFUSED_NS (600 * NS_PER_SEC) /* and so long nothing is asked after the account was refused */
#define WAITS_MOST 100                /* looked at at once */

/* One that has been told of, so that it is told of once. */
struct wait {
	uint32_t thread;
	uint64_t since, seconds; /* the server's clock; told so far */
	bool seen;               /* in the look that is under way */
};

struct advise_locks {
	struct stats *stats;
	const struct advise_hooks *hooks;
	struct sqlconn *conn; /* owned */
	struct catalog_target at; /* where it leads; without the password */
	struct wait wait[WAITS_MOST];
	unsigned n;
	uint64_t needed_ns;   /* when there was a reason to look last */
	uint64_t not_before_ns;
};

/* The one that holds up the others where it waits for nobody itself; who waits alike shows in rows of their own. */
static const char mariadb_sql[] =
	"SELECT r.trx_mysql_thread_id waiter, b.trx_mysql_thread_id holder, l.lock_table tab, l.lock_index idx,"
	" UNIX_TIMESTAMP(r.trx_wait_started) since, TIMESTAMPDIFF(SECOND, r.trx_wait_started, NOW()) seconds,"
	" b.trx_wait_started IS NOT NULL waits_too, p.command command, p.user user"
	" FROM information_schema.INNODB_LOCK_WAITS w"
	" JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id"
	" JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id"
	" JOIN information_schema.INNODB_LOCKS l ON l.lock_id = w.requested_lock_id"
	" LEFT JOIN information_schema.PROCESSLIST p ON p.id = b.trx_mysql_thread_id"
	" WHERE r.trx_wait_started IS NOT NULL ORDER BY waiter, waits_too LIMIT 100";
static const char mysql_sql[] =
	"SELECT r.trx_mysql_thread_id waiter, b.trx_mysql_thread_id holder,"
	" CONCAT(l.object_schema, '.', l.object_name) tab, l.index_name idx,"
	" UNIX_TIMESTAMP(r.trx_wait_started) since, TIMESTAMPDIFF(SECOND, r.trx_wait_started, NOW()) seconds,"
	" b.trx_wait_started IS NOT NULL waits_too, p.processlist_command command, p.processlist_user user"
	" FROM performance_schema.data_lock_waits w"
	" JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_engine_transaction_id"
	" JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_engine_transaction_id"
	" JOIN performance_schema.data_locks l ON l.engine_lock_id = w.requesting_engine_lock_id"
	" LEFT JOIN performance_schema.threads p ON p.processlist_id = b.trx_mysql_thread_id"
	" WHERE r.trx_wait_started IS NOT NULL ORDER BY waiter, waits_too LIMIT 100";

static uint64_t number(const struct sqlconn_row *row, const char *name)
{
	return advise_number(sqlconn_field(row, name));
}

static struct wait *wait_of(struct advise_locks *a, uint32_t thread, uint64_t since)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->wait[i].thread == thread && a->wait[i].since == since)
			return &a->wait[i];
	if (a->n == WAITS_MOST)
		return NULL;
	a->wait[a->n] = (struct wait){.thread = thread, .since = since};
	return &a->wait[a->n++];
}

/* `shop`.`t` [a comment: its partition] as schema and table, in place. */
static void split_table(struct span name, struct span *schema, struct span *table)
{
	const char *comment = name.len ? memchr(name.p, '/', name.len) : NULL, *dot;
	struct span *parts[] = {schema, table};

	if (comment)
		name.len = (size_t)(comment - name.p);
	while (name.len && name.p[name.len - 1] == ' ')
		name.len--;
	dot = name.len ? memchr(name.p, '.', name.len) : NULL;
	*schema = dot ? span_of(name.p, (size_t)(dot - name.p)) : span_of("", 0);
	*table = dot ? span_of(dot + 1, name.len - schema->len - 1) : name;
	for (size_t i = 0; i < 2; i++)
		if (parts[i]->len >= 2 && parts[i]->p[0] == '`' && parts[i]->p[parts[i]->len - 1] == '`')
			*parts[i] = span_of(parts[i]->p + 1, parts[i]->len - 2);
}

static void tell(struct advise_locks *a, const struct sqlconn_row *row, struct wait *w, uint64_t waiter, uint64_t seconds)
{
	struct span schema, table;
	char name[2 * 256 + 2];
	struct stats_lock_wait seen = {.waiter = waiter, .begins = w->seconds == 0, .index = sqlconn_field(row, "idx"),
				       .holder_user = sqlconn_field(row, "user"),
				       .holder_idle = span_ieq(sqlconn_field(row, "command"), span_str("Sleep")),
				       .more_ns = (seconds - w->seconds) * NS_PER_SEC, .so_far_ns = seconds * NS_PER_SEC};

	split_table(sqlconn_field(row, "tab"), &schema, &table);
	seen.holder = a->hooks->locker(a->hooks->arg, (uint32_t)number(row, "holder"), schema, table);
	(void)snprintf(name, sizeof(name), SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(table));
	seen.table = span_str(name);
	stats_lock_seen(a->stats, &seen);
	w->seconds = seconds;
}

static enum rc on_wait(void *arg, const struct sqlconn_row *row)
{
	struct advise_locks *a = arg;
	uint32_t thread = (uint32_t)number(row, "waiter");
	uint64_t seconds = number(row, "seconds");
	uint64_t waiter = a->hooks->locker(a->hooks->arg, thread, span_of("", 0), span_of("", 0));
	struct wait *w = wait_of(a, thread, number(row, "since"));

	if (!w || w->seen) /* its first row names the holder */
		return RC_OK;
	w->seen = true;
	if (waiter && seconds > w->seconds)
		tell(a, row, w, waiter, seconds);
	return RC_OK;
}

/* What was not seen this time has ended. */
static void forget_ended(struct advise_locks *a)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < a->n; i++)
		if (a->wait[i].seen)
			a->wait[kept++] = a->wait[i];
	a->n = kept;
	for (unsigned i = 0; i < a->n; i++)
		a->wait[i].seen = false;
}

static enum rc log_in(struct advise_locks *a)
{
	struct catalog_target at = {0};

	if (a->hooks->primary(a->hooks->arg, &at) != RC_OK)
		return RC_ERROR;
	if (sqlconn_is_open(a->conn) && a->at.port == at.port && strcmp(a->at.host, at.host) == 0) {
		secret_unref(at.password);
		return RC_OK;
	}
	a->at = at;
	a->at.password = NULL;
	a->n = 0;
	return advise_log_in(a->conn, &at);
}

void advise_locks_look(struct advise_locks *a)
{
	uint64_t now = clock_mono_ns();
	const char *sql;
	char quoted[320];

	if (a->hooks->stuck(a->hooks->arg))
		a->needed_ns = now;
	if (a->needed_ns == 0 || now - a->needed_ns > IDLE_NS) {
		sqlconn_close(a->conn);
		a->n = 0;
		return;
	}
	if (now < a->not_before_ns || log_in(a) != RC_OK)
		return;
	sql = sqlconn_is_mariadb(a->conn) || sqlconn_version(a->conn) < 80000 ? mariadb_sql : mysql_sql;
	if (sqlconn_query(a->conn, span_str(sql), LIMIT_NS, on_wait, a) == RC_OK) {
		forget_ended(a);
		return;
	}
	if (sqlconn_refused(a->conn)) { /* it lacks the right (PROCESS) */
		a->not_before_ns = now + REFUSED_NS;
		log_info("advise", "waits for locks cannot be looked at", "why=%s", log_quote(quoted, sizeof(quoted), span_str(sqlconn_error(a->conn))));
	}
	sqlconn_close(a->conn);
}

void advise_locks_interrupt(struct advise_locks *a)
{
	sqlconn_interrupt(a->conn);
}

struct advise_locks *advise_locks_new(struct stats *stats, const struct advise_hooks *hooks)
{
	struct advise_locks *a = mem_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->stats = stats;
	a->hooks = hooks;
	a->conn = sqlconn_new();
	if (a->conn)
		return a;
	mem_free(a);
	return NULL;
}

void advise_locks_free(struct advise_locks *a)
{
	if (a)
		sqlconn_free(a->conn);
	mem_free(a);
}
