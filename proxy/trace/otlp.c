/*
 * otlp.c - spans gathered and sent: see otlp.h.
 */
#include "otlp.h"

#include <pthread.h>
#include <string.h>

#include "clock.h"
#include "iobuf.h"
#include "log.h"
#include "mem.h"
#include "otlp_impl.h"
#include "ticker.h"

#define SEND_NS NS_PER_SEC          /* between two batches */
#define FAILED_NS (5 * NS_PER_SEC)  /* until the collector is asked again */
#define TIMEOUT_S 5
#define LAST_TIMEOUT_S 1

struct otlp {
	struct ticker ticker;
	struct stats_sink *counts; /* the thread's */
	_Atomic uint64_t limit;    /* traces whose last bytes are below it are wanted; 0: off */
	pthread_mutex_t lock;
	/* lock: */
	struct iobuf pending; /* spans, each with a comma in front */
	uint64_t npending;
	char *url; /* owned */
	/* the thread's: */
	struct iobuf sending;
};

bool otlp_is_on(const struct otlp *o)
{
	return atomic_load_explicit(&o->limit, memory_order_relaxed) != 0;
}

bool otlp_wants(const struct otlp *o, const uint8_t trace[16])
{
	uint64_t tail = (uint64_t)trace[12] << 24 | (uint64_t)trace[13] << 16 | (uint64_t)trace[14] << 8 | trace[15];

	return tail < atomic_load_explicit(&o->limit, memory_order_relaxed);
}

void otlp_add(struct otlp *o, struct stats_sink *k, const struct otlp_span *s)
{
	struct iobuf one;
	enum rc rc;

	iobuf_init(&one, OTLP_SPAN_MAX);
	rc = otlp_put_span(s, &one);
	if (rc == RC_OK) {
		pthread_mutex_lock(&o->lock);
		rc = iobuf_append(&o->pending, iobuf_data(&one), iobuf_len(&one));
		o->npending += rc == RC_OK;
		pthread_mutex_unlock(&o->lock);
	}
	if (rc != RC_OK)
		stats_count(k, STATS_C_SPANS_DROPPED, 1);
	iobuf_reset(&one);
}

/* ---- the thread's ---- */

/* What is pending, and where it is to go; for the caller to mem_free. NULL: nothing, or nowhere. */
static char *take(struct otlp *o, uint64_t *n)
{
	struct iobuf swap;
	char *url;

	pthread_mutex_lock(&o->lock);
	swap = o->sending;
	o->sending = o->pending;
	o->pending = swap;
	*n = o->npending;
	o->npending = 0;
	url = *n && *o->url ? mem_strdup(o->url) : NULL;
	pthread_mutex_unlock(&o->lock);
	return url;
}

/* RC_ERROR: they are lost. */
static enum rc send_pending(struct otlp *o, int timeout_s)
{
	char why[256] = "no memory", quoted[512];
	enum rc rc = RC_OK;
	uint64_t n;
	char *url = take(o, &n);

	if (url)
		rc = otlp_post(url, &o->sending, timeout_s, why, sizeof(why));
	if (n)
		stats_count(o->counts, url && rc == RC_OK ? STATS_C_SPANS_SENT : STATS_C_SPANS_DROPPED, n);
	if (url && rc != RC_OK)
		log_warn("trace", "spans were not taken", "url=%.*s spans=%lu reason=%s",
			 (int)strcspn(url, "?"), url, /* behind the ? there may be a key */
			 (unsigned long)n, log_quote(quoted, sizeof(quoted), span_str(why)));
	iobuf_consume(&o->sending, iobuf_len(&o->sending));
	mem_free(url);
	return rc;
}

static void run(void *arg)
{
	struct otlp *o = arg;
	uint64_t pause = SEND_NS;

	while (ticker_sleep(&o->ticker, clock_mono_ns() + pause))
		pause = send_pending(o, TIMEOUT_S) == RC_OK ? SEND_NS : FAILED_NS;
	(void)!send_pending(o, LAST_TIMEOUT_S);
}

/* ---- life ---- */

struct otlp *otlp_new(struct stats *stats)
{
	struct otlp *o = mem_zalloc(sizeof(*o));

	if (!o)
		return NULL;
	o->counts = stats_sink_new(stats, false);
	o->url = mem_strdup("");
	if (!o->counts || !o->url || pthread_mutex_init(&o->lock, NULL) != 0) {
		mem_free(o->url);
		mem_free(o);
		return NULL;
	}
	ticker_init(&o->ticker);
	iobuf_init(&o->pending, OTLP_PENDING_MAX);
	iobuf_init(&o->sending, OTLP_PENDING_MAX);
	return o;
}

enum rc otlp_start(struct otlp *o)
{
	return ticker_start(&o->ticker, "trace", run, o);
}

void otlp_stop(struct otlp *o)
{
	ticker_stop(&o->ticker);
}

void otlp_free(struct otlp *o)
{
	if (!o)
		return;
	ticker_reset(&o->ticker);
	iobuf_reset(&o->pending);
	iobuf_reset(&o->sending);
	pthread_mutex_destroy(&o->lock);
	mem_free(o->url);
	mem_free(o);
}

enum rc otlp_configure(struct otlp *o, const char *url, double share)
{
	uint64_t limit = *url ? (uint64_t)(share * 4294967296.0) : 0;
	char *copy = mem_strdup(url);

	if (!copy)
		return RC_ERROR;
	pthread_mutex_lock(&o->lock);
	mem_free(o->url);
	o->url = copy;
	pthread_mutex_unlock(&o->lock);
	atomic_store(&o->limit, limit);
	return RC_OK;
}
