#include "fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define POLL_MS 500
#define ANSWER_NS (2 * NS_PER_SEC) /* then another connection is tried */
#define SILENT_NS (3 * NS_PER_SEC) /* without an answer: Redis is not reached */
#define FIRST_MS 2000
#define WHY_MAX (64 * 1024) /* bytes of faults kept to be shown */
#define COPY_AGAIN_NS (10 * NS_PER_SEC)

struct fleet {
	fleet_take_fn take;
	struct stats_sink *sink;     /* NULL until fleet_start */
	struct secret *source;       /* owned reference */
	char *copy;                  /* owned; NULL: none */
	uint64_t copy_again_ns;      /* monotonic: it could not be written, and is tried again then; 0: it says what is in force */
	uint64_t copy_failed_us;     /* wall clock: when that was tried last */
	char *key;                   /* owned */
	struct fleet_doc force;      /* what is in force */
	struct settings_shared shared;
	char origin[256];            /* shared's, and of a document that is tried: KEY@VERSION */
	bool from_copy;              /* force came from disk, or from a former process, and Redis has not said the same yet */
	uint64_t taken_us;           /* wall clock */
	struct fleet_doc refused;    /* without its text; version 0: nothing is */
	struct iobuf why;            /* ... its faults */
	struct fleet_doc head;       /* what Redis has, without its text */
	uint64_t head_ns;            /* monotonic, when it said so last; 0: never */
	char error[200];             /* what it said instead; empty: nothing */
	struct fleet_store store;
	struct fleet_store_hooks hooks;
	bool open;                   /* store is in use, on loop */
	struct loop *loop;           /* not owned */
	struct event *tick;          /* owned */
	bool first, missing_told;
};

/* ---- what comes of a document ---- */

static void count(struct fleet *f, enum stats_counter c)
{
	if (f->sink)
		stats_count(f->sink, c, 1);
}

static bool is_same(const struct fleet_doc *d, uint64_t version, struct span sum)
{
	return d->version == version && span_eq(span_str(d->sum), sum);
}

static void note(struct fleet_doc *d, uint64_t version, struct span sum)
{
	d->version = version;
	(void)snprintf(d->sum, sizeof(d->sum), SPAN_FMT, SPAN_ARG(sum));
}

static void settled(struct fleet *f)
{
	if (f->first)
		loop_stop(f->loop);
}

/* Redis, or this host, is not as it should be: the next look tries again. */
static void trouble(struct fleet *f, const char *why)
{
	char quoted[200];

	if (!f->error[0])
		log_error("config", "shared documents cannot be read: what is in force stays", "key=%s reason=%s", f->key,
			  log_quote(quoted, sizeof(quoted), span_str(why)));
	(void)snprintf(f->error, sizeof(f->error), "%s", why);
	settled(f);
}

/* All that was to be read was read. */
static void no_trouble(struct fleet *f)
{
	if (f->error[0])
		log_info("config", "Redis answers as it should again", "key=%s", f->key);
	f->error[0] = '\0';
}

/* Its faults are in f->why, and in the log. */
static void refuse(struct fleet *f, uint64_t version, struct span sum)
{
	no_trouble(f);
	note(&f->refused, version, sum);
	count(f, STATS_C_SHARED_REFUSED);
	log_error("config", "a shared document is refused: what was in force stays", "key=%s version=%" PRIu64 " sum=%.12s", f->key, version,
		  f->refused.sum);
	settled(f);
}

static void refuse_unread(struct fleet *f, uint64_t version, struct span sum, const char *why)
{
	char quoted[200];

	iobuf_consume(&f->why, iobuf_len(&f->why));
	(void)!iobuf_printf(&f->why, "%s@%" PRIu64 ":0: document: %s\n", f->key, version, why);
	log_error("config", "a shared document cannot be used", "reason=%s", log_quote(quoted, sizeof(quoted), span_str(why)));
	refuse(f, version, sum);
}

/* A disk that was full for a while must not leave an older document there for good: it might allow what this one denies. */
static void keep_copy(struct fleet *f)
{
	bool again = f->copy_again_ns != 0;

	if (!f->copy)
		return;
	if (fleet_copy_write(f->copy, f->key, &f->force) == RC_OK) {
		f->copy_again_ns = 0;
		if (again)
			log_info("config", "the shared document is kept on disk again", "file=%s version=%" PRIu64, f->copy, f->force.version);
		return;
	}
	count(f, STATS_C_SHARED_COPY_FAILURES);
	if (!again)
		log_warn("config", "the shared document cannot be kept on disk, and is tried again every ten seconds: until then a start without Redis "
				   "would go without it, or with the one before", "file=%s error=\"%s\"", f->copy, strerror(errno));
	f->copy_again_ns = clock_mono_ns() + COPY_AGAIN_NS;
	f->copy_failed_us = clock_wall_us(); /* this document's: what another instance wrote before may be the one before */
}

/* RC_ERROR: refused; f->why says. RC_AGAIN: no memory. */
static enum rc try_doc(struct fleet *f, uint64_t version, struct span sum, struct span text)
{
	struct settings_shared shared = {.origin = f->origin, .text = text};
	struct fleet_doc doc = {.version = 0};

	iobuf_consume(&f->why, iobuf_len(&f->why));
	if (fleet_doc_set(&doc, version, sum, text) != RC_OK)
		return RC_AGAIN;
	(void)snprintf(f->origin, sizeof(f->origin), "%s@%" PRIu64, f->key, version);
	if (f->take(&shared, &f->why) != RC_OK) {
		fleet_doc_reset(&doc);
		(void)snprintf(f->origin, sizeof(f->origin), "%s@%" PRIu64, f->key, f->force.version);
		return RC_ERROR;
	}
	fleet_doc_reset(&f->force);
	f->force = doc;
	f->taken_us = clock_wall_us();
	f->refused.version = 0;
	count(f, STATS_C_SHARED_TAKEN);
	log_info("config", "a shared document is in force", "key=%s version=%" PRIu64 " sum=%.12s bytes=%zu", f->key, version, doc.sum, doc.len);
	return RC_OK;
}

/* An empty sum is none: the library had no memory for it. */
static void take(struct fleet *f, const struct fleet_store_answer *a)
{
	char sum[FLEET_STORE_SUM];
	enum rc rc;

	fleet_store_sum(a->text, sum);
	if (sum[0] && !span_eq(span_str(sum), a->sum)) {
		refuse_unread(f, a->version, a->sum, "its sum is not the one it was written with, allowed is what suimon push-config writes");
		return;
	}
	rc = sum[0] ? try_doc(f, a->version, a->sum, a->text) : RC_AGAIN;
	if (rc == RC_OK) {
		no_trouble(f);
		f->from_copy = false;
		keep_copy(f);
		settled(f);
	} else if (rc == RC_AGAIN) {
		trouble(f, "out of memory");
	} else {
		refuse(f, a->version, a->sum);
	}
}

/* ---- asking ---- */

static void tell_missing(struct fleet *f)
{
	if (!f->missing_told)
		log_warn("config", "there is no shared document: what is in force stays", "key=%s version=%" PRIu64, f->key, f->force.version);
	f->missing_told = true;
	settled(f);
}

static void on_head(struct fleet *f, const struct fleet_store_answer *a)
{
	note(&f->head, a->version, a->sum);
	f->head_ns = clock_mono_ns();
	if (a->version == 0) {
		no_trouble(f);
		tell_missing(f);
		return;
	}
	f->missing_told = false;
	if (f->force.version && is_same(&f->force, a->version, a->sum)) {
		f->from_copy = false;
		f->refused.version = 0;
		no_trouble(f);
		settled(f);
	} else if (is_same(&f->refused, a->version, a->sum)) {
		no_trouble(f);
	} else {
		(void)!fleet_store_get(&f->store, a->version); /* else the next turn asks; what troubles that stands until it is read */
	}
}

static void on_document(struct fleet *f, const struct fleet_store_answer *a)
{
	uint64_t wanted = f->head.version;

	if (a->rc == RC_ERROR && a->too_large)
		refuse_unread(f, wanted, span_str(f->head.sum), a->why);
	else if (a->rc == RC_ERROR)
		trouble(f, a->why);
	else if (a->version != wanted)
		(void)!fleet_store_head(&f->store); /* another one was pushed meanwhile */
	else if (a->rc == RC_OK)
		take(f, a);
	else
		refuse_unread(f, a->version, a->sum, "it is not there, allowed is what suimon push-config writes");
}

static void on_answer(void *arg, const struct fleet_store_answer *a)
{
	struct fleet *f = arg;

	if (a->rc == RC_AGAIN)
		return; /* up() asks anew */
	if (a->to == FLEET_STORE_GET) {
		on_document(f, a);
		return;
	}
	if (a->rc == RC_OK) {
		on_head(f, a);
		return;
	}
	trouble(f, a->why);
}

static void look(struct fleet *f)
{
	if (fleet_store_waiting_ns(&f->store) > ANSWER_NS)
		fleet_store_give_up(&f->store);
	else if (fleet_store_up(&f->store))
		(void)!fleet_store_head(&f->store); /* one that waits is enough */
}

static void on_up(void *arg)
{
	look(arg);
}

static void on_down(void *arg)
{
	(void)arg;
}

/* Another instance, which has the same copy, has written it since: perhaps a later one than this has. What bears a time to come was written
 * before the clock was set back. */
static bool others_kept_it(const struct fleet *f)
{
	uint64_t at_us, now_us = clock_wall_us();
	struct stat st;

	if (stat(f->copy, &st) != 0)
		return false;
	at_us = (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000;
	return at_us > f->copy_failed_us && at_us <= now_us;
}

static void keep_copy_again(struct fleet *f)
{
	if (!f->copy_again_ns || clock_mono_ns() < f->copy_again_ns)
		return;
	if (others_kept_it(f)) {
		f->copy_again_ns = 0;
		log_info("config", "the shared document's copy on disk was written by another instance", "file=%s", f->copy);
	} else {
		keep_copy(f);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *f = arg;

	keep_copy_again(f);
	look(f);
}

static const char *source_host(const struct fleet *f)
{
	return f->open ? f->store.url.host : NULL;
}

/* ---- life ---- */

static enum rc open_on(struct fleet *f, struct loop *loop)
{
	static const struct timeval every = {.tv_usec = POLL_MS * 1000};
	char why[300], quoted[300];

	f->hooks = (struct fleet_store_hooks){.arg = f, .up = on_up, .down = on_down, .answer = on_answer};
	f->loop = loop;
	f->open = true;
	if (fleet_store_init(&f->store, loop, secret_text(f->source).p, &f->hooks, why, sizeof(why)) != RC_OK) {
		log_error("config", "config.source cannot be used", "reason=%s", log_quote(quoted, sizeof(quoted), span_str(why)));
		return RC_ERROR;
	}
	f->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, f);
	if (!f->tick || event_add(f->tick, &every) != 0)
		return RC_ERROR;
	fleet_store_open(&f->store);
	return RC_OK;
}

static void shut(struct fleet *f)
{
	if (f->tick)
		event_free(f->tick);
	f->tick = NULL;
	if (f->open)
		fleet_store_reset(&f->store);
	f->open = false;
}

static void use_copy(struct fleet *f)
{
	struct fleet_doc doc;
	const char *why;
	enum rc rc = f->copy ? fleet_copy_read(f->copy, f->key, &doc, &why) : RC_DECLINED;

	if (rc == RC_OK && try_doc(f, doc.version, span_str(doc.sum), span_of(doc.text, doc.len)) == RC_OK) {
		f->from_copy = true;
		log_warn("config", "shared rules are those kept on disk", "file=%s version=%" PRIu64, f->copy, doc.version);
	} else if (rc == RC_OK) {
		log_error("config", "what is kept on disk of shared rules is refused: the host's own file stands alone", "file=%s", f->copy);
	} else if (rc == RC_ERROR) {
		log_error("config", "what is kept on disk of shared rules is not used", "file=%s reason=\"%s\"", f->copy, why);
	} else {
		log_warn("config", "no shared rules are at hand: the host's own file stands alone", "key=%s", f->key);
	}
	if (rc == RC_OK)
		fleet_doc_reset(&doc);
}

static void on_first_over(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *f = arg;

	loop_stop(f->loop);
}

static void ask_first(struct fleet *f)
{
	static const struct timeval limit = {.tv_sec = FIRST_MS / 1000, .tv_usec = FIRST_MS % 1000 * 1000};
	struct loop *loop = loop_new("shared config");
	struct event *over = loop ? event_new(loop_base(loop), -1, 0, on_first_over, f) : NULL;

	f->first = true;
	if (over && event_add(over, &limit) == 0 && open_on(f, loop) == RC_OK)
		(void)loop_run(loop); /* what fails is logged, and the copy is there */
	shut(f);
	f->first = false;
	if (over)
		event_free(over);
	if (loop)
		loop_free(loop);
}

/* What was in force stays, whatever becomes of Redis: an upgrade is no exception. Another key is its owner's word. */
static enum rc use_lent(struct fleet *f, int lent)
{
	struct fleet_doc doc;
	const char *why;
	enum rc rc;

	if (lent < 0)
		return RC_OK;
	if (fleet_copy_take(lent, f->key, &doc, &why) != RC_OK) {
		log_warn("config", "shared rules of the former process are not used", "key=%s reason=\"%s\"", f->key, why);
		return RC_OK;
	}
	rc = try_doc(f, doc.version, span_str(doc.sum), span_of(doc.text, doc.len));
	if (rc == RC_OK) {
		f->from_copy = true;
		log_warn("config", "shared rules are those of the former process", "version=%" PRIu64, doc.version);
		keep_copy(f);
	}
	fleet_doc_reset(&doc);
	return rc == RC_OK ? RC_OK : RC_DECLINED;
}

enum rc fleet_first(struct fleet *f, int lent)
{
	enum rc rc = RC_OK;

	if (f->copy)
		fleet_copy_tidy(f->copy);
	ask_first(f);
	if (!f->force.version)
		rc = use_lent(f, lent);
	if (!f->force.version && rc == RC_OK)
		use_copy(f);
	return rc;
}

int fleet_lend(const struct fleet *f)
{
	return f && f->force.version ? fleet_copy_lend(f->key, &f->force) : -1;
}

/* What came of the start is counted now that there is somewhere to count it. */
enum rc fleet_start(struct fleet *f, const struct fleet_live *live)
{
	f->sink = live->sink;
	f->take = live->take;
	if (f->force.version)
		count(f, STATS_C_SHARED_TAKEN);
	if (f->refused.version)
		count(f, STATS_C_SHARED_REFUSED);
	return open_on(f, live->loop);
}

struct fleet *fleet_new(const struct fleet_options *opt)
{
	struct fleet *f = mem_zalloc(sizeof(*f));
	char *url = NULL;

	if (!f)
		return NULL;
	f->take = opt->take;
	iobuf_init(&f->why, WHY_MAX);
	f->source = secret_ref(opt->source);
	f->copy = mem_strdup(opt->copy);
	if ((f->copy || !opt->copy) && settings_source_split(secret_text(f->source).p, &url, &f->key) == RC_OK) {
		secret_wipe(url, strlen(url));
		mem_free(url);
		return f;
	}
	fleet_free(f);
	return NULL;
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	shut(f);
	fleet_doc_reset(&f->force);
	iobuf_reset(&f->why);
	secret_unref(f->source);
	mem_free(f->copy);
	mem_free(f->key);
	mem_free(f);
}

const struct settings_shared *fleet_in_force(struct fleet *f)
{
	if (!f || !f->force.version)
		return NULL;
	f->shared = (struct settings_shared){.origin = f->origin, .text = span_of(f->force.text, f->force.len)};
	return &f->shared;
}

void fleet_again(struct fleet *f)
{
	if (f)
		f->refused.version = 0;
}

/* ---- what people see ---- */

static bool is_up(const struct fleet *f)
{
	return f->head_ns && !f->error[0] && clock_mono_ns() - f->head_ns < SILENT_NS;
}

struct fleet_gauges fleet_gauges(const struct fleet *f)
{
	if (!f)
		return (struct fleet_gauges){.version = 0};
	return (struct fleet_gauges){.version = f->force.version, .up = is_up(f), .refused = f->refused.version != 0};
}

static const char *state_name(const struct fleet *f)
{
	if (!is_up(f))
		return "unreachable";
	if (f->head.version == 0)
		return "missing";
	if (f->refused.version)
		return "refused";
	return f->force.version && is_same(&f->force, f->head.version, span_str(f->head.sum)) ? "current" : "behind";
}

static void put_refused(const struct fleet *f, struct jsonw *w)
{
	if (!f->refused.version) {
		jsonw_null(w, "refused");
		return;
	}
	jsonw_open(w, "refused", '{');
	jsonw_uint(w, "version", f->refused.version);
	jsonw_text(w, "sum", f->refused.sum);
	jsonw_lines(w, "faults", span_of(iobuf_data(&f->why), iobuf_len(&f->why)));
	jsonw_close(w, '}');
}

/* Why it is not asked as it should be, of Redis' own words or of the connection; NULL: nothing is known to be wrong. */
static const char *problem(const struct fleet *f)
{
	if (f->error[0])
		return f->error;
	return f->open && f->store.link.why[0] ? f->store.link.why : NULL;
}

void fleet_put(const struct fleet *f, const char *shared, struct jsonw *w)
{
	if (!f) {
		jsonw_null(w, "source");
		return;
	}
	jsonw_open(w, "source", '{');
	jsonw_text(w, "host", source_host(f));
	jsonw_text(w, "key", f->key);
	jsonw_text(w, "state", state_name(f));
	jsonw_uint(w, "version", f->force.version);
	jsonw_text(w, "sum", f->force.version ? f->force.sum : NULL);
	jsonw_text(w, "origin", !f->force.version ? NULL : f->from_copy ? "copy" : "redis");
	if (f->force.version)
		jsonw_time(w, "taken", f->taken_us);
	else
		jsonw_null(w, "taken");
	jsonw_uint(w, "available", f->head.version);
	if (f->head_ns)
		jsonw_seconds(w, "answered_ago", clock_mono_ns() - f->head_ns);
	else
		jsonw_null(w, "answered_ago");
	jsonw_text(w, "error", problem(f));
	jsonw_lines(w, "options", span_str(shared ? shared : ""));
	put_refused(f, w);
	jsonw_close(w, '}');
}
