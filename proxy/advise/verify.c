#include "verify.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>

#include "clock.h"

#define CONNECT_NS (5 * NS_PER_SEC)
#define RUNS 3 /* of which the fastest counts */

static volatile sig_atomic_t interrupted;

void verify_interrupt(int signal)
{
	interrupted = signal;
}

bool verify_is_interrupted(void)
{
	return interrupted != 0;
}

enum rc verify_fail(struct verify *v, enum rc rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(v->why, sizeof(v->why), fmt, args);
	va_end(args);
	return rc;
}

enum rc verify_sql(struct verify *v, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	uint64_t limit = (v->o->seconds + 1) * NS_PER_SEC; /* the server's own comes first */
	enum rc rc = sqlconn_query(v->conn, span_of(iobuf_data(sql), iobuf_len(sql)), limit, row, arg);

	if (rc != RC_OK)
		(void)verify_fail(v, rc, "%.*s...: %s", (int)(iobuf_len(sql) < 40 ? iobuf_len(sql) : 40), (const char *)iobuf_data(sql),
				  sqlconn_error(v->conn));
	iobuf_reset(sql);
	return rc == RC_OK ? RC_OK : RC_ERROR;
}

static enum rc run(struct verify *v, struct span text, sqlconn_row_fn row, void *arg)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	return iobuf_append(&sql, text.p, text.len) == RC_OK ? verify_sql(v, &sql, row, arg) : RC_ERROR;
}

/* Without locks on what is read; and, where the account may say so, without the copy in the binary log. */
static enum rc log_in(struct verify *v)
{
	static const char *const settings[] = {"SET SESSION sql_mode=''", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
					       "SET SESSION lock_wait_timeout=5"};
	struct sqlconn_target t = {.host = v->o->host, .port = v->o->port, .user = v->o->user, .password = v->o->password,
				   .tls = v->o->tls, .connect_ns = CONNECT_NS};
	char limit[96];

	if (sqlconn_connect(v->conn, &t) != RC_OK)
		return verify_fail(v, RC_ERROR, "%s", sqlconn_error(v->conn));
	for (size_t i = 0; i < countof(settings); i++)
		if (run(v, span_str(settings[i]), NULL, NULL) != RC_OK)
			return RC_ERROR;
	(void)snprintf(limit, sizeof(limit), "SET SESSION %s%s",
		       sqlconn_is_mariadb(v->conn) ? "max_statement_time=" : "max_execution_time=1000*", "");
	(void)snprintf(limit + strlen(limit), sizeof(limit) - strlen(limit), "%lu", v->o->seconds);
	if (run(v, span_str(limit), NULL, NULL) != RC_OK)
		return RC_ERROR;
	(void)!run(v, span_str("SET SESSION sql_log_bin=0"), NULL, NULL);
	v->why[0] = '\0';
	return RC_OK;
}

/* ---- measuring ---- */

static enum rc on_explain(void *arg, const struct sqlconn_row *row)
{
	static const char *const shown[] = {"table", "type", "key", "rows", "Extra"};
	const struct verify *v = arg;

	(void)fprintf(v->o->out, "          ");
	for (size_t i = 0; i < countof(shown); i++) {
		struct span value = sqlconn_field(row, shown[i]);

		if (value.len)
			(void)fprintf(v->o->out, " %s=" SPAN_FMT, shown[i], SPAN_ARG(value));
	}
	(void)fprintf(v->o->out, "\n");
	return RC_OK;
}

static enum rc explain(struct verify *v, struct span text)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "EXPLAIN ") == RC_OK && iobuf_append(&sql, text.p, text.len) == RC_OK)
		return verify_sql(v, &sql, on_explain, v);
	iobuf_reset(&sql);
	return RC_ERROR;
}

static enum rc on_row(void *arg, const struct sqlconn_row *row)
{
	struct verify *v = arg;

	(void)row;
	v->rows++;
	return RC_OK;
}

static enum rc measure(struct verify *v, const char *when, struct span text, uint64_t *best)
{
	*best = UINT64_MAX;
	for (unsigned i = 0; i <= RUNS; i++) { /* the first one warms up */
		uint64_t begin = clock_mono_ns(), took;

		if (interrupted)
			return verify_fail(v, RC_ERROR, "interrupted");
		v->rows = 0;
		if (run(v, text, on_row, v) != RC_OK)
			return RC_ERROR;
		took = clock_mono_ns() - begin;
		if (i && took < *best)
			*best = took ? took : 1;
	}
	(void)fprintf(v->o->out, "  %-8s %.3f ms, rows sent: %" PRIu64 "\n", when, (double)*best / NS_PER_MS, v->rows);
	return explain(v, text);
}

static enum rc build(struct verify *v)
{
	uint64_t begin = clock_mono_ns();
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	if (verify_moved(span_str(v->what->alter), v->what->schema, v->o->scratch, &sql) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	rc = verify_sql(v, &sql, NULL, NULL);
	if (rc == RC_OK)
		(void)fprintf(v->o->out, "  fix      %s\n           built on the copy in %.3f s\n", v->what->alter,
			      (double)(clock_mono_ns() - begin) / NS_PER_SEC);
	return rc;
}

static enum rc fix(struct verify *v)
{
	if (v->what->statement[0])
		(void)fprintf(v->o->out, "  mended   %s\n", v->what->statement);
	return v->what->alter[0] ? build(v) : RC_OK;
}

static enum rc compare(struct verify *v, struct span was, struct span is)
{
	char use[VERIFY_NAME + 8];
	uint64_t before, after, rows;

	(void)snprintf(use, sizeof(use), "USE `%s`", v->o->scratch);
	if (run(v, span_str(use), NULL, NULL) != RC_OK || measure(v, "before", was, &before) != RC_OK)
		return RC_ERROR;
	rows = v->rows;
	if (fix(v) != RC_OK || measure(v, "after", is, &after) != RC_OK)
		return RC_ERROR;
	if (v->rows != rows)
		return verify_fail(v, RC_DECLINED, "with the fix it sends other rows on the copy");
	(void)fprintf(v->o->out, "  result   %.2f times as fast on the copy\n", (double)before / (double)after);
	return RC_OK;
}

static enum rc moved(const struct verify *v, struct span text, struct iobuf *out)
{
	return verify_moved(text, v->what->schema, v->o->scratch, out);
}

static enum rc on_copy(struct verify *v)
{
	struct span mended = span_of(iobuf_data(&v->mended), iobuf_len(&v->mended));
	struct iobuf was, is;
	enum rc rc = verify_make_schema(v);

	iobuf_init(&was, 0);
	iobuf_init(&is, 0);
	if (rc == RC_OK)
		rc = verify_copy_tables(v);
	if (rc == RC_OK)
		rc = moved(v, span_str(v->what->sql), &was);
	if (rc == RC_OK)
		rc = moved(v, mended.len ? mended : span_str(v->what->sql), &is);
	if (rc == RC_OK)
		rc = compare(v, span_of(iobuf_data(&was), iobuf_len(&was)), span_of(iobuf_data(&is), iobuf_len(&is)));
	iobuf_reset(&was);
	iobuf_reset(&is);
	return rc;
}

/* By a new connection where the old one is lost. */
static enum rc clean_up(struct verify *v)
{
	if (!sqlconn_is_open(v->conn) && log_in(v) != RC_OK)
		return RC_ERROR;
	return verify_drop(v);
}

static bool made_something(const struct verify *v)
{
	bool made = v->made_schema;

	for (size_t i = 0; i < v->n; i++)
		made |= v->table[i].made;
	return made;
}

enum rc verify_run(const struct verify_options *o, const struct verify_case *what)
{
	struct verify v = {.o = o, .what = what, .conn = sqlconn_new()};
	enum rc rc;

	iobuf_init(&v.mended, 0);
	rc = v.conn ? verify_tables(&v) : RC_ERROR;
	(void)fprintf(o->out, "%s in %s\n", what->digest, what->schema);
	if (rc == RC_OK)
		rc = log_in(&v);
	if (rc == RC_OK)
		rc = on_copy(&v);
	if (rc != RC_OK)
		(void)fprintf(o->out, "  not verified: %s\n", v.why[0] ? v.why : "out of memory");
	if (made_something(&v) && clean_up(&v) != RC_OK) {
		(void)fprintf(o->out, "  what was made in the schema %s could not be dropped: %s\n", o->scratch, v.why);
		rc = RC_ERROR;
	}
	iobuf_reset(&v.mended);
	sqlconn_free(v.conn);
	return rc;
}
