/*
 * monitor.c - the threads that look after the servers, one each:
 *
 *   watch_run → monitor_check (monitor_check.c) → sleep until the next interval, or until settings change or the end
 */
#include "monitor_impl.h"

#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define LEAST_INTERVAL_NS (10 * NS_PER_MS)

/* The present settings for one check; the secret's reference is the watch's. */
static void take_conf(struct watch *w)
{
	struct monitor *m = w->m;
	uint64_t before = w->conf.generation;

	secret_unref(w->conf.password);
	pthread_mutex_lock(&m->lock);
	w->conf = m->conf;
	secret_ref(w->conf.password);
	pthread_mutex_unlock(&m->lock);
	if (before == w->conf.generation)
		return;
	sqlconn_close(w->conn); /* perhaps another account now */
	w->denied_login = 0;
	w->said_denied = w->said_privilege = false;
}

/* Another server may have its place now. */
static void take_backend(struct watch *w)
{
	struct backend *b = w->m->topology->all[w - w->m->watches];

	if (w->b == b)
		return;
	sqlconn_close(w->conn);
	w->b = b;
	w->resolve_ns = w->replicating_ns = w->denied_login = 0;
	w->beyond_lag = w->told = false;
	w->said_aurora = w->said_denied = w->said_privilege = w->said_read_only = false;
}

static void watch_run(void *arg)
{
	struct watch *w = arg;
	uint64_t next;

	do {
		next = clock_mono_ns();
		take_backend(w);
		take_conf(w);
		monitor_check(w);
		next += w->conf.interval_ns > LEAST_INTERVAL_NS ? w->conf.interval_ns : LEAST_INTERVAL_NS;
	} while (ticker_sleep(&w->ticker, next));
}

static void set_conf(struct monitor *m, const struct settings *s)
{
	struct monitor_conf *c = &m->conf;

	pthread_mutex_lock(&m->lock);
	snprintf(c->user, sizeof(c->user), "%s", s->backend.monitor.user ? s->backend.monitor.user : "");
	secret_unref(c->password);
	c->password = secret_ref(s->backend.monitor.password);
	c->interval_ns = s->backend.monitor.interval_ns;
	c->max_lag_ns = s->backend.monitor.max_lag_ns;
	c->connect_ns = s->backend.connect_timeout_ns;
	c->tls.mode = (enum tls_mode)s->backend.tls.mode;
	snprintf(c->tls.ca, sizeof(c->tls.ca), "%s", s->backend.tls.ca ? s->backend.tls.ca : "");
	c->compress = s->backend.compress > SETTINGS_COMPRESS_CLIENT;
	c->generation++;
	if (s->discovery_aurora && settings_aurora_host(s, c->aurora_host, sizeof(c->aurora_host)) != RC_OK)
		c->aurora_host[0] = '\0'; /* settings_check does not let it come to this */
	pthread_mutex_unlock(&m->lock);
}

static void look_now(void *arg)
{
	struct monitor *m = arg;

	for (size_t i = 0; i < m->n; i++)
		ticker_wake(&m->watches[i].ticker);
}

void monitor_reconfigure(struct monitor *m, const struct settings *s)
{
	set_conf(m, s);
	look_now(m);
}

struct monitor *monitor_new(struct topology *t, struct accounts *as, struct stats *stats, const struct settings *s,
			    const struct monitor_hooks *hooks)
{
	struct monitor *m = mem_zalloc(sizeof(*m));

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->topology = t;
	m->accounts = as;
	m->hooks = *hooks;
	t->on_look = look_now;
	t->look_arg = m;
	set_conf(m, s);
	m->watches = mem_zalloc(t->cap * sizeof(*m->watches));
	if (!m->watches) {
		monitor_free(m);
		return NULL;
	}
	for (; m->n < t->cap; m->n++) {
		struct watch *w = &m->watches[m->n];

		w->m = m;
		w->sink = stats_sink_new(stats, false);
		w->conn = sqlconn_new();
		ticker_init(&w->ticker);
		if (!w->sink || !w->conn) {
			m->n++;
			monitor_free(m);
			return NULL;
		}
	}
	return m;
}

enum rc monitor_follow(struct monitor *m)
{
	enum rc rc = RC_OK;

	pthread_mutex_lock(&m->lock);
	while (!m->stopping && m->started < m->topology->n && rc == RC_OK) {
		struct watch *w = &m->watches[m->started];

		rc = ticker_start(&w->ticker, "monitor", watch_run, w);
		if (rc == RC_OK)
			m->started++;
		else
			log_error("monitor", "cannot start a thread", NULL);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

enum rc monitor_start(struct monitor *m)
{
	if (monitor_follow(m) == RC_OK)
		return RC_OK;
	monitor_stop(m);
	return RC_ERROR;
}

void monitor_stop(struct monitor *m)
{
	size_t n;

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	n = m->started;
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < n; i++) {
		ticker_ask_stop(&m->watches[i].ticker);
		sqlconn_interrupt(m->watches[i].conn);
	}
	for (size_t i = 0; i < n; i++)
		ticker_stop(&m->watches[i].ticker);
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		sqlconn_free(m->watches[i].conn);
		secret_unref(m->watches[i].conf.password);
		ticker_reset(&m->watches[i].ticker);
	}
	mem_free(m->watches);
	secret_unref(m->conf.password);
	pthread_mutex_destroy(&m->lock);
	mem_free(m);
}
