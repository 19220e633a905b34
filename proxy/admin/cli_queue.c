/*
 * cli_queue.c - `suimon queue`: what is in the queue of a running instance, or in a stopped one's directory, and working it.
 *
 * Both come as the same JSON (queue_json.h) and are printed by the same tables.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_queue.h"

static const char usage_text[] =
	"usage: suimon queue ls [--limit N] [--from ID]      what is queued, and the dead letters\n"
	"       suimon queue show ID [--pending]             a dead letter, or a record that is not applied yet\n"
	"       suimon queue retry ID | discard ID           append a dead letter anew, or drop it\n"
	"       suimon queue bury SEQ                        the record that all wait for becomes a dead letter\n"
	"       suimon queue pause | resume | drain          stop applying, go on, apply all there is now\n"
	"       suimon queue check --dir DIR                 of a stopped instance: is its log whole, what is lost\n"
	"       suimon queue skip --dir DIR                  goes on without what is lost; damaged files are kept\n"
	"options: --http HOST:PORT   the instance (default: listen.http of -c FILE, else $SUIMON_HTTP, else 127.0.0.1:6034)\n"
	"         --token TOKEN      its admin_token (default: $SUIMON_ADMIN_TOKEN, else that of -c FILE)\n"
	"         --dir DIR          ls, show, check, skip: the queue directory of a stopped instance\n"
	"         --json             the answer as JSON\n";

/* ---- from a running instance ---- */

static int exit_of(enum rc rc)
{
	return rc == RC_OK ? CLI_FINE : rc == RC_DECLINED ? CLI_REFUSED : CLI_UNREACHED;
}

/* get or post, with what failed printed. */
static int ask(struct cli_http *h, bool post, const char *path, json_t **answer)
{
	enum rc rc = post ? cli_http_post(h, path, answer) : cli_http_get(h, path, answer);

	if (rc != RC_OK)
		(void)fprintf(stderr, "suimon queue: %s\n", cli_http_why(h));
	return exit_of(rc);
}

/* Moves the member of that name, or the whole answer where the name is NULL, into what. */
static int collect(struct cli_http *h, const char *path, const char *member, json_t *what, const char *as)
{
	json_t *answer;
	int code = ask(h, false, path, &answer);

	if (code != CLI_FINE)
		return code;
	if (json_object_set(what, as, member ? json_object_get(answer, member) : answer) != 0)
		code = CLI_UNREACHED;
	json_decref(answer);
	return code;
}

static int list_remote(const struct cli_options *o, json_t *what)
{
	struct cli_http *h = cli_options_connect(o);
	char dead[128], pending[128];
	int code;

	if (!h)
		return CLI_REFUSED;
	(void)snprintf(dead, sizeof(dead), "/api/queue/dead?limit=%lu&from=%lu", o->limit, o->from);
	(void)snprintf(pending, sizeof(pending), "/api/queue/pending?limit=%lu&from=%lu", o->limit, o->from);
	code = collect(h, "/api/queue", NULL, what, "queue");
	if (code == CLI_FINE)
		code = collect(h, dead, "dead", what, "dead");
	if (code == CLI_FINE)
		code = collect(h, pending, "pending", what, "pending");
	cli_http_free(h);
	return code;
}

static int show_remote(const struct cli_options *o, json_t *what)
{
	struct cli_http *h = cli_options_connect(o);
	char path[128];
	int code;

	if (!h)
		return CLI_REFUSED;
	(void)snprintf(path, sizeof(path), "/api/queue/%s/%" PRIu64, o->pending ? "pending" : "dead",
		       (uint64_t)strtoull(o->words[1], NULL, 10));
	code = collect(h, path, NULL, what, "record");
	cli_http_free(h);
	return code;
}

/* ---- the verbs ---- */

static int print(const struct cli_options *o, const json_t *what, enum rc (*put)(struct iobuf *out, const json_t *what))
{
	struct iobuf out;
	int code = CLI_FINE;

	if (o->json)
		return json_dumpf(what, stdout, JSON_INDENT(2)) == 0 && putchar('\n') == '\n' ? CLI_FINE : CLI_REFUSED;
	iobuf_init(&out, 0);
	if (put(&out, what) != RC_OK || fwrite(iobuf_data(&out), 1, iobuf_len(&out), stdout) != iobuf_len(&out)) {
		(void)fprintf(stderr, "suimon queue: the output could not be written\n");
		code = CLI_REFUSED;
	}
	iobuf_reset(&out);
	return code;
}

static int run_ls(const struct cli_options *o, json_t *what)
{
	int code = o->dir ? queue_list_dir(o, what) : list_remote(o, what);

	return code == CLI_FINE ? print(o, what, queue_put_list) : code;
}

static int run_show(const struct cli_options *o, json_t *what)
{
	int code = o->dir ? queue_show_dir(o, what) : show_remote(o, what);

	return code == CLI_FINE ? print(o, what, queue_put_record) : code;
}

static int run_post(const struct cli_options *o, json_t *what)
{
	struct cli_http *h = cli_options_connect(o);
	json_t *answer;
	char path[128];
	int code;

	if (!h)
		return CLI_REFUSED;
	if (o->nwords == 2 && strcmp(o->words[0], "bury") == 0)
		(void)snprintf(path, sizeof(path), "/api/queue/pending/%s/bury", o->words[1]);
	else if (o->nwords == 2)
		(void)snprintf(path, sizeof(path), "/api/queue/dead/%s/%s", o->words[1], o->words[0]);
	else
		(void)snprintf(path, sizeof(path), "/api/queue/%s", o->words[0]);
	code = ask(h, true, path, &answer);
	cli_http_free(h);
	if (code != CLI_FINE)
		return code;
	if (json_object_set_new(what, "queue", answer) != 0)
		return CLI_REFUSED;
	return print(o, what, queue_put_totals);
}

static int run_check(const struct cli_options *o, json_t *what)
{
	if (!o->dir) {
		(void)fprintf(stderr, "suimon queue: %s works on a stopped instance: --dir DIR is needed\n", o->words[0]);
		return CLI_REFUSED;
	}
	return queue_check_dir(o, strcmp(o->words[0], "skip") == 0);
}

static const struct verb {
	const char *name;
	int words; /* with itself */
	bool dir;  /* works on a directory, too */
	int (*run)(const struct cli_options *o, json_t *what);
} verbs[] = {
	{"ls", 1, true, run_ls},         {"show", 2, true, run_show},   {"retry", 2, false, run_post},
	{"discard", 2, false, run_post}, {"pause", 1, false, run_post}, {"resume", 1, false, run_post},
	{"drain", 1, false, run_post},   {"check", 1, true, run_check}, {"skip", 1, true, run_check},
	{"bury", 2, false, run_post},
};

static bool is_id(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len < 20 && strspn(text, "0123456789") == len;
}

static int wrong(const char *what, const char *word)
{
	(void)fprintf(stderr, "suimon queue: %s%s\n%s", what, word, usage_text);
	return CLI_REFUSED;
}

static int run_verb(const struct cli_options *o)
{
	for (size_t i = 0; i < countof(verbs); i++) {
		json_t *what;
		int code;

		if (strcmp(verbs[i].name, o->words[0]) != 0)
			continue;
		if (o->nwords != verbs[i].words || (o->nwords == 2 && !is_id(o->words[1])))
			return wrong(verbs[i].words == 2 ? "one number is needed after " : "nothing may follow ",
				     verbs[i].name);
		if (o->dir && !verbs[i].dir)
			return wrong("--dir is for a stopped instance, which cannot ", verbs[i].name);
		what = json_object();
		code = what ? verbs[i].run(o, what) : CLI_REFUSED;
		json_decref(what);
		return code;
	}
	return wrong("there is no verb ", o->words[0]);
}

int cli_queue(int argc, char **argv)
{
	struct cli_options o;

	if (cli_options_parse(argc, argv, &o) != RC_OK)
		return wrong("see below", "");
	if (o.help) {
		(void)fputs(usage_text, stdout);
		return CLI_FINE;
	}
	if (o.nwords == 0)
		return wrong("a verb is needed", "");
	return run_verb(&o);
}
