/*
 * cli_queue_dir.c - reads a stopped instance's queue directory.
 */
#include "cli_queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue_json.h"
#include "repair.h"

static enum rc peek(const struct cli_options *o, bool dead, struct queue_json_list *l, uint64_t from, unsigned limit,
		    struct queue_totals *totals)
{
	char err[512] = "";
	enum rc rc = queue_peek_dir(o->dir, dead, from, limit, queue_json_view, l, totals, err, sizeof(err));

	if (err[0])
		(void)fprintf(stderr, "suimon queue: %s\n", err);
	return rc;
}

/* Parses what was written. RC_ERROR: it was not written in full. */
static int parsed(const struct jsonw *w, struct iobuf *text, const char *as, json_t *what)
{
	json_t *v = NULL;
	int code = CLI_FINE;

	if (jsonw_end(w) == RC_OK)
		v = json_loadb((const char *)iobuf_data(text), iobuf_len(text), 0, NULL);
	if (!v || json_object_set_new(what, as, v) != 0) {
		(void)fprintf(stderr, "suimon queue: out of memory\n");
		code = CLI_REFUSED;
	}
	iobuf_reset(text);
	return code;
}

static int peek_list(const struct cli_options *o, bool dead, struct queue_totals *totals, json_t *what)
{
	struct iobuf text;
	struct jsonw w;
	struct queue_json_list l = {.w = &w, .samples = true, .statement_most = QUEUE_JSON_STATEMENT};
	enum rc rc;

	iobuf_init(&text, 0);
	jsonw_init(&w, &text);
	jsonw_open(&w, NULL, '[');
	rc = peek(o, dead, &l, o->from, (unsigned)o->limit, totals);
	jsonw_close(&w, ']');
	if (rc != RC_OK && l.shown == 0) {
		iobuf_reset(&text);
		return CLI_REFUSED;
	}
	return parsed(&w, &text, dead ? "dead" : "pending", what);
}

/* What is applied of it is known to the process that applies. */
static void note_use(const struct cli_options *o, const struct queue_totals *t)
{
	if (t->state != QUEUE_STOPPED)
		(void)fprintf(stderr, "suimon queue: %s is in use by a running suimon: this is what its files say; without --dir it is asked itself\n",
			      o->dir);
}

int queue_list_dir(const struct cli_options *o, json_t *what)
{
	struct queue_totals totals = {.state = QUEUE_STOPPED};
	struct iobuf text;
	struct jsonw w;
	int code = peek_list(o, true, &totals, what);

	if (code == CLI_FINE)
		code = peek_list(o, false, &totals, what);
	if (code != CLI_FINE)
		return code;
	note_use(o, &totals);
	iobuf_init(&text, 0);
	jsonw_init(&w, &text);
	jsonw_open(&w, NULL, '{');
	queue_json_totals(&w, &totals);
	jsonw_close(&w, '}');
	return parsed(&w, &text, "queue", what);
}

int queue_show_dir(const struct cli_options *o, json_t *what)
{
	struct queue_totals totals = {.state = QUEUE_STOPPED};
	struct iobuf text;
	struct jsonw w;
	struct queue_json_list l = {.w = &w, .samples = true, .statement_most = SIZE_MAX};

	l.only = strtoull(o->words[1], NULL, 10);
	iobuf_init(&text, 0);
	jsonw_init(&w, &text);
	if (peek(o, !o->pending, &l, l.only, 1, &totals) == RC_OK && l.shown) {
		note_use(o, &totals);
		return parsed(&w, &text, "record", what);
	}
	if (!l.shown)
		(void)fprintf(stderr, "suimon queue: %s has no %s %s\n", o->dir,
			      o->pending ? "pending record" : "dead letter", o->words[1]);
	iobuf_reset(&text);
	return CLI_REFUSED;
}

static void put_damage(void *arg, const struct repair_damage *d)
{
	const bool *skip = arg;

	(void)printf("%s: byte %" PRIu64 ": records %" PRIu64 " to %" PRIu64 " %s%s\n", d->file, d->at, d->first_seq,
		     d->last_seq, *skip ? "are skipped" : "cannot be read", d->passed ? ", and had been applied" : "");
}

int queue_check_dir(const struct cli_options *o, bool skip)
{
	struct repair_totals t;
	char err[512];

	if (repair_dir(o->dir, skip, put_damage, &skip, &t, err, sizeof(err)) != RC_OK) {
		(void)fprintf(stderr, "suimon queue: %s\n", err);
		return CLI_REFUSED;
	}
	(void)printf("%" PRIu64 " segments, %" PRIu64 " records, %" PRIu64 " damaged places, %" PRIu64 " records lost",
		     t.segments, t.records, t.damages, t.lost);
	if (t.skipped)
		(void)printf(", %" PRIu64 " skipped before", t.skipped);
	(void)printf("\n");
	return t.damages && !skip ? CLI_REFUSED : CLI_FINE;
}
