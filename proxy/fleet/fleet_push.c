#include "fleet_push.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fleet_copy.h"
#include "fleet_diff.h"
#include "log.h"
#include "mem.h"
#include "settings.h"

#define LIMIT_S 10 /* for all that is asked of Redis */

enum { FINE = 0, REFUSED = 1, UNREACHED = 2 };

static const char usage_text[] =
	"usage: suimon push-config -c FILE DOCUMENT|-         validate a document, show what it changes, and put it where\n"
	"                                                    config.source of FILE says; every instance takes it within a second\n"
	"       suimon push-config -c FILE --show [VERSION]   print what is there\n"
	"       suimon push-config -c FILE --history          the versions that are kept, when and by whom\n"
	"       suimon push-config -c FILE --rollback VERSION push an earlier one anew\n"
	"options: --expect VERSION   only if this is the current version (0: there is none)\n"
	"         --dry-run          validate and show, but write nothing\n";

enum verb { VERB_PUSH, VERB_SHOW, VERB_HISTORY, VERB_ROLLBACK };

struct push {
	enum verb verb;
	const char *file, *document; /* the command line's */
	const struct settings *own;  /* of the file */
	uint64_t version, expect;    /* version: of --show and --rollback; 0: the current one */
	bool dry;

	struct loop *loop;
	struct fleet_store store;
	struct fleet_store_hooks hooks;
	enum fleet_store_question q; /* under way, with n, text and about */
	uint64_t n;
	struct span text;
	char about[160];
	enum rc rc;                  /* of the answer; RC_AGAIN: there was none */
	bool over, lost;             /* it was answered, or is too late; and may have been done */
	uint64_t current;            /* version */
	struct fleet_doc doc;        /* the text of the answer */
	char why[256];
};

/* ---- one question to Redis ---- */

static void ask_now(struct push *p)
{
	enum rc rc = RC_ERROR;

	if (p->q == FLEET_STORE_HEAD)
		rc = fleet_store_head(&p->store);
	else if (p->q == FLEET_STORE_GET)
		rc = fleet_store_get(&p->store, p->n);
	else if (p->q == FLEET_STORE_ABOUT)
		rc = fleet_store_about(&p->store, p->n);
	else if (p->q == FLEET_STORE_PUT)
		rc = fleet_store_put(&p->store, p->n, p->text, span_str(p->about));
	if (rc == RC_ERROR && fleet_store_up(&p->store)) {
		(void)snprintf(p->why, sizeof(p->why), "out of memory");
		p->rc = RC_ERROR;
		p->over = true;
	}
}

static void on_up(void *arg)
{
	ask_now(arg);
}

static void on_down(void *arg)
{
	(void)arg;
}

static void on_answer(void *arg, const struct fleet_store_answer *a)
{
	struct push *p = arg;

	if (a->rc == RC_AGAIN && !(a->lost && a->to == FLEET_STORE_PUT))
		return; /* on_up asks anew */
	p->rc = a->rc;
	p->lost = a->lost;
	p->current = a->version;
	if (a->rc == RC_ERROR)
		(void)snprintf(p->why, sizeof(p->why), "%s", a->why);
	if (a->rc == RC_OK && fleet_doc_set(&p->doc, a->version, a->sum, a->text) != RC_OK) {
		(void)snprintf(p->why, sizeof(p->why), "out of memory");
		p->rc = RC_ERROR;
	}
	p->over = true;
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct push *p = arg;

	p->over = true;
}

/* FINE when it was answered with RC_OK or RC_DECLINED, else what is wrong has been printed. */
static int ask(struct push *p, enum fleet_store_question q, uint64_t n)
{
	static const struct timeval limit = {.tv_sec = LIMIT_S};
	char text[300];

	p->q = q;
	p->n = n;
	p->rc = RC_AGAIN;
	p->lost = p->over = false;
	if (event_base_once(loop_base(p->loop), -1, EV_TIMEOUT, on_late, p, &limit) != 0)
		return UNREACHED;
	if (fleet_store_up(&p->store))
		ask_now(p);
	while (!p->over && event_base_loop(loop_base(p->loop), EVLOOP_ONCE) == 0)
		;
	p->q = FLEET_STORE_NOTHING;
	if (p->rc == RC_OK || p->rc == RC_DECLINED)
		return FINE;
	if (p->rc == RC_ERROR)
		(void)fprintf(stderr, "suimon push-config: %s\n", log_quote(text, sizeof(text), span_str(p->why)));
	else if (p->lost)
		(void)fprintf(stderr, "suimon push-config: the connection was lost, and it is not known whether it was written: --show tells\n");
	else
		(void)fprintf(stderr, "suimon push-config: Redis does not answer\n");
	return UNREACHED;
}

/* ---- what is shown ---- */

static int write_out(const void *bytes, size_t len)
{
	if ((len == 0 || fwrite(bytes, 1, len, stdout) == len) && fflush(stdout) == 0)
		return FINE;
	(void)fprintf(stderr, "suimon push-config: the output could not be written\n");
	return REFUSED;
}

/* The document of a version into p->doc. REFUSED where there is none (said). */
static int fetch(struct push *p, uint64_t version)
{
	int code = version ? FINE : ask(p, FLEET_STORE_HEAD, 0);

	if (code != FINE)
		return code;
	if (version == 0)
		version = p->current;
	if (version)
		code = ask(p, FLEET_STORE_GET, version);
	if (code != FINE)
		return code;
	if (version && p->rc == RC_OK)
		return FINE;
	if (version)
		(void)fprintf(stderr, "suimon push-config: there is no version %" PRIu64 ": --history names those that are kept\n", version);
	else
		(void)fprintf(stderr, "suimon push-config: nothing was pushed there yet\n");
	return REFUSED;
}

static int show(struct push *p)
{
	int code = fetch(p, p->version);

	return code == FINE ? write_out(p->doc.text, p->doc.len) : code;
}

static int history(struct push *p)
{
	int code = ask(p, FLEET_STORE_HEAD, 0);
	uint64_t last = p->current;

	for (uint64_t v = last; code == FINE && v > 0 && last - v < FLEET_STORE_KEPT; v--) {
		char text[300];

		code = ask(p, FLEET_STORE_ABOUT, v);
		if (code == FINE && p->rc == RC_OK)
			(void)printf("%" PRIu64 " %s\n", v, log_quote(text, sizeof(text), span_of(p->doc.text, p->doc.len)));
	}
	return code == FINE ? write_out("", 0) : code;
}

/* ---- what is pushed ---- */

static void put_faults(const struct iobuf *faults)
{
	(void)fwrite(iobuf_data(faults), 1, iobuf_len(faults), stderr);
}

/* By the rules that instances go by, over this host's own file. */
static int validate(const struct push *p, const char *name, struct span text)
{
	struct settings_shared shared = {.origin = name, .text = text};
	struct iobuf faults;
	struct settings *s;

	iobuf_init(&faults, 0);
	s = settings_load_shared(p->file, &shared, NULL, &faults);
	put_faults(&faults);
	iobuf_reset(&faults);
	if (s && s->queue.nrules && !settings_wants_queue(p->own))
		(void)fprintf(stderr,
			      "suimon push-config: queue.rules: an instance that was started without a queue (its file has neither rules "
			      "for it nor queue.user, as %s) refuses this version until it is restarted\n", p->file);
	settings_unref(s);
	return s ? FINE : REFUSED;
}

static int show_changes(struct push *p, struct span text)
{
	struct iobuf out;
	int code = ask(p, FLEET_STORE_HEAD, 0);

	if (code != FINE)
		return code;
	if (p->expect == FLEET_STORE_ANY)
		p->expect = p->current; /* what is shown is what is changed */
	if (p->current && (code = ask(p, FLEET_STORE_GET, p->current)) != FINE)
		return code;
	iobuf_init(&out, 0);
	if (fleet_diff(p->doc.version ? span_of(p->doc.text, p->doc.len) : span_str(""), text, &out) != RC_OK)
		code = REFUSED;
	else
		code = write_out(iobuf_data(&out), iobuf_len(&out));
	iobuf_reset(&out);
	return code;
}

static void name_author(struct push *p)
{
	const char *user = getenv("USER");
	char when[32], host[65] = "", uid[24];
	time_t now = time(NULL);
	struct tm tm;

	if (!gmtime_r(&now, &tm) || strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		when[0] = '\0';
	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	(void)snprintf(uid, sizeof(uid), "uid:%lu", (unsigned long)geteuid()); /* in a container there is no name */
	(void)snprintf(p->about, sizeof(p->about), "%s %.60s@%s", when, user && *user ? user : uid, host);
}

static int put(struct push *p, struct span text)
{
	int code;

	p->text = text;
	name_author(p);
	code = ask(p, FLEET_STORE_PUT, p->expect);
	if (code != FINE)
		return code;
	if (p->rc == RC_OK) {
		(void)printf("version %" PRIu64 "\n", p->current);
		return write_out("", 0);
	}
	(void)fprintf(stderr, "suimon push-config: nothing was written: version %" PRIu64 " is there, not %" PRIu64 "\n", p->current, p->expect);
	return REFUSED;
}

static int push(struct push *p, const char *name, struct span text)
{
	int code = validate(p, name, text);

	if (code == FINE)
		code = show_changes(p, text);
	if (code == FINE && p->dry)
		(void)printf("nothing was written: --dry-run\n");
	return code == FINE && !p->dry ? put(p, text) : code;
}

static int push_file(struct push *p)
{
	bool standard = strcmp(p->document, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(p->document, O_RDONLY | O_CLOEXEC), code = REFUSED;
	char *buf = mem_alloc(CONF_MAX_BYTES + 1);
	size_t len = 0;
	ssize_t n = fd < 0 || !buf ? -1 : 1;

	while (n > 0 && len < CONF_MAX_BYTES + 1) {
		n = read(fd, buf + len, CONF_MAX_BYTES + 1 - len);
		len += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		(void)fprintf(stderr, "suimon push-config: %s: %s\n", p->document, strerror(errno));
	else
		code = push(p, standard ? "(input)" : p->document, span_of(buf, len));
	if (fd >= 0 && !standard)
		(void)close(fd);
	mem_free(buf);
	return code;
}

static int roll_back(struct push *p)
{
	struct fleet_doc old;
	char name[40];
	int code = fetch(p, p->version);

	if (code != FINE)
		return code;
	old = p->doc;
	p->doc = (struct fleet_doc){.version = 0};
	(void)snprintf(name, sizeof(name), "(version %" PRIu64 ")", p->version);
	code = push(p, name, span_of(old.text, old.len));
	fleet_doc_reset(&old);
	return code;
}

/* ---- the command ---- */

static int run_on(struct push *p, const char *source)
{
	int code = UNREACHED;

	p->hooks = (struct fleet_store_hooks){.arg = p, .up = on_up, .down = on_down, .answer = on_answer};
	p->loop = loop_new("push-config");
	if (p->loop && fleet_store_init(&p->store, p->loop, source, &p->hooks, p->why, sizeof(p->why)) == RC_OK) {
		fleet_store_open(&p->store);
		if (p->verb == VERB_SHOW)
			code = show(p);
		else if (p->verb == VERB_HISTORY)
			code = history(p);
		else
			code = p->verb == VERB_ROLLBACK ? roll_back(p) : push_file(p);
	} else {
		(void)fprintf(stderr, "suimon push-config: %s\n", p->why);
	}
	fleet_store_reset(&p->store);
	fleet_doc_reset(&p->doc);
	if (p->loop)
		loop_free(p->loop);
	return code;
}

static int run(struct push *p)
{
	struct iobuf faults;
	struct settings *s;
	int code = REFUSED;

	iobuf_init(&faults, 0);
	s = settings_load(p->file, NULL, &faults);
	put_faults(&faults);
	iobuf_reset(&faults);
	p->own = s;
	if (s && s->config.source)
		code = run_on(p, secret_text(s->config.source).p);
	else if (s)
		(void)fprintf(stderr, "suimon push-config: %s has no config.source\n", p->file);
	settings_unref(s);
	return code;
}

static enum rc number(const char *text, uint64_t least, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= least && *out <= FLEET_STORE_VERSION_MAX ? RC_OK
																   : RC_ERROR;
}

/* RC_DECLINED: help is asked for. */
static enum rc parse(int argc, char **argv, struct push *p)
{
	static const struct option rows[] = {
		{"config", required_argument, NULL, 'c'}, {"show", no_argument, NULL, 's'},    {"history", no_argument, NULL, 'H'},
		{"rollback", no_argument, NULL, 'r'},     {"dry-run", no_argument, NULL, 'n'}, {"expect", required_argument, NULL, 'e'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	enum rc rc = RC_OK;
	int c;

	optind = 1;
	while (rc == RC_OK && (c = getopt_long(argc, argv, "c:h", rows, NULL)) != -1) {
		if (c == 'c')
			p->file = optarg;
		else if (c == 's' || c == 'H' || c == 'r')
			p->verb = c == 's' ? VERB_SHOW : c == 'H' ? VERB_HISTORY : VERB_ROLLBACK;
		else if (c == 'n')
			p->dry = true;
		else if (c == 'e')
			rc = number(optarg, 0, &p->expect);
		else
			rc = c == 'h' ? RC_DECLINED : RC_ERROR;
	}
	argv += optind;
	argc -= optind;
	if (rc != RC_OK)
		return rc;
	if (p->verb == VERB_PUSH && argc == 1)
		p->document = argv[0];
	else if (p->verb != VERB_PUSH && p->verb != VERB_HISTORY && argc == 1)
		rc = number(argv[0], 1, &p->version);
	else if (argc != 0 || p->verb == VERB_PUSH || p->verb == VERB_ROLLBACK)
		rc = RC_ERROR;
	return p->file ? rc : RC_ERROR;
}

int fleet_push_main(int argc, char **argv)
{
	struct push p = {.expect = FLEET_STORE_ANY, .why = "out of memory"};
	enum rc rc = parse(argc, argv, &p);

	if (rc != RC_OK)
		(void)fputs(usage_text, rc == RC_DECLINED ? stdout : stderr);
	return rc == RC_OK ? run(&p) : rc == RC_DECLINED ? FINE : REFUSED;
}
