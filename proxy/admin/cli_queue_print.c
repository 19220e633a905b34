/*
 * cli_queue_print.c - the queue's JSON for people.
 */
#include "cli_queue.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli_text.h"

static size_t terminal_width(void)
{
	struct winsize ws;

	if (!isatty(STDOUT_FILENO))
		return CLI_TEXT_MAX;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20 ? ws.ws_col : 120;
}

/* In full: those of Redis and SQS have more digits than a double. */
static json_int_t whole(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void cell_id(const json_t *row, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%" JSON_INTEGER_FORMAT, whole(row, json_object_get(row, "id") ? "id" : "seq"));
}

static void cell_failed(const json_t *row, char *out, size_t cap)
{
	(void)cli_time(json_object_get(row, "failed"), out, cap);
}

static void cell_time(const json_t *row, char *out, size_t cap)
{
	(void)cli_time(json_object_get(row, "time"), out, cap);
}

static void cell_tables(const json_t *row, char *out, size_t cap)
{
	(void)cli_joined(json_object_get(row, "tables"), out, cap);
}

static void cell_user(const json_t *row, char *out, size_t cap)
{
	(void)cli_line(cli_string(row, "user"), out, cap);
}

static void cell_error(const json_t *row, char *out, size_t cap)
{
	char text[100];

	(void)snprintf(out, cap, "%.0f %s", cli_number(row, "error_code"),
		       cli_line(cli_string(row, "error"), text, sizeof(text)));
}

static void cell_statement(const json_t *row, char *out, size_t cap)
{
	if (json_is_string(json_object_get(row, "statement")))
		(void)cli_line(cli_string(row, "statement"), out, cap);
	else
		(void)snprintf(out, cap, "(%.0f bytes, not shown)", cli_number(row, "statement_bytes"));
}

static const struct cli_column dead_columns[] = {
	{"ID", true, cell_id},        {"FAILED", false, cell_failed},       {"TABLES", false, cell_tables},
	{"ERROR", false, cell_error}, {"STATEMENT", false, cell_statement}, {NULL, false, NULL},
};
static const struct cli_column pending_columns[] = {
	{"SEQ", true, cell_id},         {"TIME", false, cell_time},           {"USER", false, cell_user},
	{"TABLES", false, cell_tables}, {"STATEMENT", false, cell_statement}, {NULL, false, NULL},
};

enum rc queue_put_totals(struct iobuf *out, const json_t *what)
{
	const json_t *q = json_object_get(what, "queue");
	char a[CLI_TEXT_MAX], b[64], c[64];
	enum rc rc;

	rc = iobuf_printf(
		out, "state    %s%s%s\npending  %.0f, %s, oldest %s\ntotals   %.0f queued, %.0f applied, %.0f dead\n",
		cli_string(q, "state"), cli_string(q, "reason")[0] ? ": " : "",
		cli_line(cli_string(q, "reason"), a, sizeof(a)), cli_number(q, "depth"),
		cli_bytes(cli_number(q, "bytes"), b, sizeof(b)),
		cli_seconds(json_object_get(q, "oldest_age"), c, sizeof(c)), cli_number(q, "enqueued"),
		cli_number(q, "applied"), cli_number(q, "dead"));
	if (rc == RC_OK && whole(q, "waits_for") > 0)
		rc = iobuf_printf(out, "waits for %" JSON_INTEGER_FORMAT ": `bury` makes it a dead letter\n", whole(q, "waits_for"));
	return rc;
}

enum rc queue_put_list(struct iobuf *out, const json_t *what)
{
	const json_t *dead = json_object_get(what, "dead"), *pending = json_object_get(what, "pending");
	size_t width = terminal_width();
	enum rc rc = queue_put_totals(out, what);

	if (rc == RC_OK && json_array_size(dead))
		rc = iobuf_printf(out, "\nDead letters\n");
	if (rc == RC_OK && json_array_size(dead))
		rc = cli_table(out, dead_columns, dead, SIZE_MAX, width);
	if (rc == RC_OK && json_array_size(pending))
		rc = iobuf_printf(out, "\nPending\n");
	if (rc == RC_OK && json_array_size(pending))
		rc = cli_table(out, pending_columns, pending, SIZE_MAX, width);
	return rc;
}

static enum rc put_member(struct iobuf *out, const char *key, const json_t *v)
{
	char line[CLI_TEXT_MAX * 8];
	enum rc rc;

	if (json_is_array(v))
		return iobuf_printf(out, "%-16s %s\n", key, cli_joined(v, line, sizeof(line)));
	if (strcmp(key, "time") == 0 || strcmp(key, "failed") == 0)
		return iobuf_printf(out, "%-16s %s\n", key, cli_time(v, line, sizeof(line)));
	if (json_is_integer(v))
		return iobuf_printf(out, "%-16s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(v));
	if (json_is_number(v))
		return iobuf_printf(out, "%-16s %.0f\n", key, json_number_value(v));
	if (!json_is_string(v))
		return iobuf_printf(
			out, "%-16s (not shown: it holds values, and stats.samples is off or the token missing)\n",
			key);
	rc = iobuf_printf(out, "%-16s ", key);
	if (rc == RC_OK)
		rc = cli_put_text(out, json_string_value(v));
	return rc == RC_OK ? iobuf_printf(out, "\n") : rc;
}

enum rc queue_put_record(struct iobuf *out, const json_t *what)
{
	json_t *record = json_object_get(what, "record"), *v;
	const char *key;
	enum rc rc = RC_OK;

	json_object_foreach(record, key, v) {
		if (rc == RC_OK)
			rc = put_member(out, key, v);
	}
	return rc;
}
