/*
 * queue_driver.c - the queue alone, worked by lines on stdin: what the crash and engine tests drive.
 *
 *   queue_driver DIR SOCKET USER [option=value ...]
 *
 * Options: url (the Redis or the Kafka engine; DIR is not used then) sync_ms max_bytes segment_bytes batch_rows batch_wait_ms rate workers target_ms; power=SEED: dying is a power cut (power_files.h).
 *
 * Commands, one a line; fields are separated by tabs:
 *   add TAG SCHEMA TABLE SQL [ENV [TIME_US [halt [KEY]]]]  append; the values of an INSERT are found by " VALUES "; KEY: the
 *                    value within which the table's order is kept; "alone": runs beside no other
 *   fill N SCHEMA TABLE  append N rows of (n, v), numbered from the last fill's end on, and say so when all are durable
 *   applied SEQ      wait until applied, then say so
 *   pause resume hurry totals dead
 *   retry ID, discard ID, bury SEQ
 *   moved            somebody says that another server is the primary
 *   quit             stop in order
 * Answers, one a line: "ready", "ack TAG SEQ", "nack TAG declined|error TEXT", "applied SEQ", "totals {json}", "filled N",
 * "dead ID CODE SEQ SQL", "retry ID RC", "discard ID RC", "bury RC", "changed TABLES GTID", "open ERROR" (and exit 2).
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "power_files.h"
#include "queue.h"

struct add {
	struct queue_ticket ticket;
	char tag[64];
};

struct wait {
	struct queue_waiter waiter;
};

static const char *db_socket, *db_user;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

/* One write a line: a line seen by the test was said before the process died. */
static void say(const char *fmt, ...) printf_like(1, 2);
static void say(const char *fmt, ...)
{
	char line[8192];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	pthread_mutex_lock(&out_lock);
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(3);
	pthread_mutex_unlock(&out_lock);
}

static enum rc on_target(void *arg, struct queue_target *out)
{
	snprintf(out->host, sizeof(out->host), "%s", db_socket);
	snprintf(out->user, sizeof(out->user), "%s", db_user);
	return RC_OK;
}

static void on_applied(void *arg, struct span tables, struct span gtid)
{
	char text[1024];
	size_t n = tables.len < sizeof(text) ? tables.len : sizeof(text);

	for (size_t i = 0; i < n; i++)
		text[i] = tables.p[i] ? tables.p[i] : '.';
	say("changed %.*s " SPAN_FMT, (int)n, text, SPAN_ARG(gtid));
}

static void on_ticket(struct mail *m)
{
	struct add *a = container_of(m, struct add, ticket.mail);

	if (a->ticket.rc == RC_OK)
		say("ack %s %" PRIu64, a->tag, a->ticket.seq);
	else
		say("nack %s %s %s", a->tag, a->ticket.rc != RC_DECLINED ? "error" : a->ticket.unfit ? "unfit" : "declined",
		    a->ticket.error);
	mem_free(a);
}

static void on_waited(struct mail *m)
{
	struct wait *w = container_of(m, struct wait, waiter.mail);

	say("applied %" PRIu64, w->waiter.seq);
	mem_free(w);
}

static char *field(char **rest)
{
	char *f = strsep(rest, "\t");

	return f ? f : (char *)(uintptr_t) "";
}

static void find_rows(struct queue_record *r)
{
	const char *at = memmem(r->sql.p, r->sql.len, " VALUES ", 8), *end = NULL;

	if (!at)
		return;
	for (const char *p = at; p < r->sql.p + r->sql.len; p++) {
		if (*p == ')')
			end = p + 1;
		if (strncmp(p, " ON DUPLICATE", 13) == 0)
			break;
	}
	if (!end)
		return;
	r->rows_at = (uint32_t)(at + 8 - r->sql.p);
	r->rows_end = (uint32_t)(end - r->sql.p);
}

static uint64_t digest_of(struct span sql, uint32_t upto)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < (upto ? upto : sql.len); i++)
		h = (h ^ (uint8_t)sql.p[i]) * 1099511628211u;
	return h;
}

#define PARTS_MOST 64

/* ";\n", which a line cannot hold, is ";\f" in the command. */
static void find_parts(struct queue_record *r, char *sql, uint8_t ends[4 * PARTS_MOST])
{
	size_t n = 0, len = strlen(sql);

	for (size_t i = 0; i <= len && n < PARTS_MOST; i++) {
		bool gap = i + 1 < len && sql[i] == ';' && sql[i + 1] == '\f';

		if (gap)
			sql[i + 1] = '\n';
		if (gap || (i == len && n))
			bytes_put(ends + 4 * n++, 4, i);
	}
	r->parts = span_of(ends, 4 * n);
}

static void do_add(struct queue *q, char *rest)
{
	struct add *a = mem_zalloc(sizeof(*a));
	struct queue_record r = {.account = span_str("driver")};
	char tables[256], key[256], *schema, *table, *time, *value, *sql;
	uint8_t ends[4 * PARTS_MOST];
	const char *why = "out of memory";

	if (!a)
		exit(3);
	snprintf(a->tag, sizeof(a->tag), "%s", field(&rest));
	schema = field(&rest);
	table = field(&rest);
	snprintf(tables, sizeof(tables), "%s", schema);
	snprintf(tables + strlen(schema) + 1, sizeof(tables) - strlen(schema) - 1, "%s", table);
	r.schema = span_str(schema);
	r.tables = span_of(tables, strlen(schema) + strlen(table) + 2);
	sql = field(&rest);
	r.sql = span_str(sql);
	r.environment = span_str(field(&rest));
	time = field(&rest);
	r.time_us = *time ? strtoull(time, NULL, 10) : clock_wall_us();
	r.on_error = strcmp(field(&rest), "halt") == 0 ? QUEUE_HALT : QUEUE_DEAD_LETTER;
	value = field(&rest);
	memcpy(key, tables, r.tables.len);
	snprintf(key + r.tables.len, sizeof(key) - r.tables.len, "%s", value);
	r.order_key = span_of(key, strcmp(value, "alone") == 0 ? 0 : r.tables.len + strlen(value));
	find_parts(&r, sql, ends);
	if (!r.parts.len)
		find_rows(&r);
	r.digest = digest_of(r.sql, r.rows_at);
	a->ticket.mail.run = on_ticket;
	if (queue_append(q, &r, &a->ticket, &why) == RC_AGAIN)
		return;
	say("nack %s %s %s", a->tag, a->ticket.unfit ? "unfit" : "declined", why);
	mem_free(a);
}

static _Atomic uint64_t fill_open; /* rows whose fate is not known */

static void on_filled(struct mail *m)
{
	struct add *a = container_of(m, struct add, ticket.mail);

	if (a->ticket.rc != RC_OK)
		say("nack fill error %s", a->ticket.error);
	mem_free(a);
	atomic_fetch_sub(&fill_open, 1);
}

/* Waits while the queue says that its disk does not keep up. */
static void fill_one(struct queue *q, struct queue_record *r)
{
	struct add *a = mem_zalloc(sizeof(*a));
	const char *why;

	if (!a)
		exit(3);
	a->ticket.mail.run = on_filled;
	r->time_us = clock_wall_us();
	find_rows(r);
	r->digest = digest_of(r->sql, r->rows_at);
	atomic_fetch_add(&fill_open, 1);
	while (queue_append(q, r, &a->ticket, &why) != RC_AGAIN) {
		if (!strstr(why, "keep up")) {
			say("nack fill declined %s", why);
			exit(3);
		}
		usleep(1000);
	}
}

static void do_fill(struct queue *q, char *rest)
{
	static uint64_t number;
	uint64_t n = strtoull(field(&rest), NULL, 10);
	struct queue_record r = {.account = span_str("driver"), .environment = span_str("sql_mode='STRICT_TRANS_TABLES'")};
	char tables[256], sql[512], *table;

	r.schema = span_str(field(&rest));
	table = field(&rest);
	r.tables = r.order_key =
		span_of(tables, (size_t)snprintf(tables, sizeof(tables), SPAN_FMT "%c%s", SPAN_ARG(r.schema), 0, table) + 1);
	for (uint64_t i = 0; i < n; i++) {
		int len = snprintf(sql, sizeof(sql), "INSERT INTO %s (n,v) VALUES (%" PRIu64 ",'/products/%" PRIu64 "?from=search')",
				   table, number, number % 100003);

		r.sql = span_of(sql, (size_t)len);
		fill_one(q, &r);
		number++;
	}
	while (atomic_load(&fill_open))
		usleep(1000);
	say("filled %" PRIu64, n);
}

static void do_applied(struct queue *q, const char *rest)
{
	struct wait *w = mem_zalloc(sizeof(*w));

	if (!w)
		exit(3);
	w->waiter.mail.run = on_waited;
	w->waiter.seq = strtoull(rest, NULL, 10);
	if (queue_wait(q, &w->waiter) == RC_OK)
		on_waited(&w->waiter.mail);
}

static void do_totals(struct queue *q)
{
	struct queue_totals t;

	queue_totals(q, &t);
	say("totals {\"state\": \"%s\", \"depth\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"oldest_age_ns\": %" PRIu64
	    ", \"applied\": %" PRIu64 ", \"dead\": %" PRIu64 ", \"dead_waiting\": %" PRIu64 ", \"retries\": %" PRIu64
	    ", \"batches\": %" PRIu64 ", \"last_batch_rows\": %" PRIu64 ", \"first_seq\": %" PRIu64
	    ", \"last_seq\": %" PRIu64 ", \"applied_seq\": %" PRIu64 ", \"fsyncs\": %" PRIu64
	    ", \"fsync_ns_total\": %" PRIu64 ", \"batch_rows_now\": %" PRIu64 ", \"waits_for\": %" PRIu64 "}",
	    queue_state_name(t.state), t.depth, t.bytes, t.oldest_age_ns, t.applied, t.dead, t.dead_waiting, t.retries,
	    t.batches, t.last_batch_rows, t.first_seq, t.last_seq, t.applied_seq, t.fsyncs, t.fsync_ns_total,
	    t.batch_rows_now, t.waits_for);
}

static void show_dead(void *arg, const struct queue_view *v)
{
	char sql[4096];
	size_t n = v->sql.len < sizeof(sql) ? v->sql.len : sizeof(sql);

	for (size_t i = 0; i < n; i++)
		sql[i] = v->sql.p[i] == '\n' ? '\f' : v->sql.p[i];
	say("dead %" PRIu64 " %u %" PRIu64 " %.*s", v->dead_id, v->error_code, v->seq, (int)n, sql);
}

static bool run_command(struct queue *q, char *line)
{
	char *verb = field(&line);

	if (strcmp(verb, "add") == 0)
		do_add(q, line);
	else if (strcmp(verb, "fill") == 0)
		do_fill(q, line);
	else if (strcmp(verb, "applied") == 0)
		do_applied(q, field(&line));
	else if (strcmp(verb, "pause") == 0)
		queue_pause(q);
	else if (strcmp(verb, "resume") == 0)
		queue_resume(q);
	else if (strcmp(verb, "hurry") == 0)
		queue_drain_now(q);
	else if (strcmp(verb, "totals") == 0)
		do_totals(q);
	else if (strcmp(verb, "dead") == 0)
		say("dead end %d", queue_list_dead(q, 0, 100000, show_dead, NULL));
	else if (strcmp(verb, "retry") == 0)
		say("retry %d", queue_dead_retry(q, strtoull(field(&line), NULL, 10)));
	else if (strcmp(verb, "discard") == 0)
		say("discard %d", queue_dead_discard(q, strtoull(field(&line), NULL, 10)));
	else if (strcmp(verb, "bury") == 0)
		say("bury %d", queue_bury(q, strtoull(field(&line), NULL, 10)));
	else if (strcmp(verb, "moved") == 0)
		queue_primary_moved(q);
	else if (strcmp(verb, "quit") == 0)
		return false;
	else
		say("what? %s", verb);
	return true;
}

static void cut_power(struct queue_options *opt, unsigned seed)
{
	power_files_seed(seed);
	opt->files = &power_files;
}

static void set_option(struct queue_options *opt, const char *text)
{
	const char *eq = strchr(text, '=');
	uint64_t v = eq ? strtoull(eq + 1, NULL, 10) : 0;

	if (strncmp(text, "sync_ms=", 8) == 0)
		opt->sync_ns = v * NS_PER_MS;
	else if (strncmp(text, "max_bytes=", 10) == 0)
		opt->max_bytes = v;
	else if (strncmp(text, "segment_bytes=", 14) == 0)
		opt->segment_bytes = v;
	else if (strncmp(text, "batch_rows=", 11) == 0)
		opt->batch_rows = v;
	else if (strncmp(text, "batch_wait_ms=", 14) == 0)
		opt->batch_wait_ns = v * NS_PER_MS;
	else if (strncmp(text, "rate=", 5) == 0)
		opt->rate = v;
	else if (strncmp(text, "workers=", 8) == 0)
		opt->workers = (unsigned)v;
	else if (strncmp(text, "target_ms=", 10) == 0)
		opt->batch_target_ns = v * NS_PER_MS;
	else if (strncmp(text, "url=", 4) == 0) {
		opt->engine = strncmp(text + 4, "kafka", 5) == 0 ? QUEUE_ENGINE_KAFKA
			      : strncmp(text + 4, "http", 4) == 0 ? QUEUE_ENGINE_SQS
								  : QUEUE_ENGINE_REDIS;
		opt->url = text + 4;
	} else if (strncmp(text, "power=", 6) == 0)
		cut_power(opt, (unsigned)v);
	else
		exit(1);
}

int main(int argc, char **argv)
{
	struct queue_options opt = {
		.max_bytes = 1u << 30, .batch_rows = 500, .batch_wait_ns = 5 * NS_PER_MS, .workers = 1, .batch_target_ns = 60 * NS_PER_SEC};
	struct queue *q;
	char err[512], *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (argc < 4)
		return 1;
	opt.dir = argv[1];
	db_socket = argv[2];
	db_user = argv[3];
	opt.hooks = (struct queue_hooks){.target = on_target, .on_applied = on_applied};
	for (int i = 4; i < argc; i++)
		set_option(&opt, argv[i]);
	q = queue_open(&opt, NULL, err, sizeof(err));
	if (!q || queue_start(q) != RC_OK) {
		say("open %s", q ? "threads" : err);
		return 2;
	}
	say("ready");
	while ((n = getline(&line, &cap, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (!run_command(q, line))
			break;
	}
	free(line);
	queue_stop(q);
	queue_close(q);
	say("bye");
	return 0;
}
