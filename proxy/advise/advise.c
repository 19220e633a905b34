#include "advise.h"

#include <stdatomic.h>
#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "ticker.h"

#define EVERY_NS NS_PER_SEC
#define CONNECT_NS (2 * NS_PER_SEC)
#define MOST_TRIES 5 /* of one statement, when the server cannot be reached or has no time */

struct advise {
	struct stats *stats;
	struct advise_hooks hooks;
	struct ticker ticker;
	struct sqlconn *conn; /* owned */
	struct advise_locks *locks; /* owned */
	struct advise_examined *examined; /* owned */
	_Atomic bool enabled;
	struct stats_explain work; /* strings owned; sql NULL: none */
	unsigned tries;
};

static void drop_work(struct advise *a)
{
	mem_free(a->work.schema);
	mem_free(a->work.user);
	mem_free(a->work.sql);
	a->work = (struct stats_explain){0};
	a->tries = 0;
}

enum rc advise_log_in(struct sqlconn *c, const struct catalog_target *at)
{
	struct sqlconn_target t = {.host = at->host, .port = at->port, .user = at->user, .password = at->password,
				   .tls = at->tls, .compress = at->compress, .connect_ns = CONNECT_NS};
	enum rc rc = sqlconn_connect(c, &t);

	secret_unref(at->password);
	return rc;
}

uint64_t advise_number(struct span digits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < digits.len && digits.p[i] >= '0' && digits.p[i] <= '9' && n < UINT64_MAX / 100; i++)
		n = n * 10 + (uint64_t)(digits.p[i] - '0');
	return n;
}

static enum rc log_in(struct advise *a)
{
	struct catalog_target at = {0};

	return a->hooks.target(a->hooks.arg, a->work.user, &at) == RC_OK ? advise_log_in(a->conn, &at) : RC_ERROR;
}

/* Its time was up: it is a busy moment, or DDL holds a table. That passes. 1969 is MariaDB's number, 3024 MySQL's. */
static bool is_late(const struct sqlconn *c)
{
	return sqlconn_errno(c) == 1969 || sqlconn_errno(c) == 3024;
}

static void work(struct advise *a)
{
	enum rc rc = log_in(a);
	bool refused = false;

	if (rc == RC_OK) {
		rc = advise_statement(a->conn, a->stats, &a->work);
		refused = rc == RC_ERROR && sqlconn_refused(a->conn) && !is_late(a->conn);
	}
	if (rc == RC_ERROR && (refused || a->tries + 1 >= MOST_TRIES))
		/* not in the server's words: they quote the statement */
		log_debug("advise", "a statement could not be explained", "digest=0x%016llx error=%u",
			  (unsigned long long)a->work.digest, sqlconn_errno(a->conn));
	sqlconn_close(a->conn);
	if (rc != RC_ERROR || refused || ++a->tries >= MOST_TRIES)
		drop_work(a);
}

static void advise_run(void *arg)
{
	struct advise *a = arg;

	while (ticker_sleep(&a->ticker, clock_mono_ns() + EVERY_NS)) {
		advise_locks_look(a->locks);
		if (!atomic_load_explicit(&a->enabled, memory_order_acquire)) {
			drop_work(a);
			continue;
		}
		advise_examined_look(a->examined);
		if (a->work.sql || stats_next_explain(a->stats, &a->work) == RC_OK)
			work(a);
	}
}

struct advise *advise_new(struct stats *stats, const struct advise_hooks *hooks)
{
	struct advise *a = mem_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->stats = stats;
	a->hooks = *hooks;
	a->enabled = true;
	a->conn = sqlconn_new();
	a->locks = advise_locks_new(stats, &a->hooks);
	a->examined = advise_examined_new(stats, &a->hooks);
	if (!a->conn || !a->locks || !a->examined) {
		sqlconn_free(a->conn);
		advise_locks_free(a->locks);
		advise_examined_free(a->examined);
		mem_free(a);
		return NULL;
	}
	ticker_init(&a->ticker);
	return a;
}

enum rc advise_start(struct advise *a)
{
	return ticker_start(&a->ticker, "advise", advise_run, a);
}

void advise_stop(struct advise *a)
{
	if (!a)
		return;
	ticker_ask_stop(&a->ticker);
	sqlconn_interrupt(a->conn);
	advise_locks_interrupt(a->locks);
	advise_examined_interrupt(a->examined);
	ticker_stop(&a->ticker);
}

void advise_free(struct advise *a)
{
	if (!a)
		return;
	drop_work(a);
	sqlconn_free(a->conn);
	advise_locks_free(a->locks);
	advise_examined_free(a->examined);
	ticker_reset(&a->ticker);
	mem_free(a);
}

void advise_enable(struct advise *a, bool on)
{
	atomic_store_explicit(&a->enabled, on, memory_order_release);
}
