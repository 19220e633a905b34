/*
 * admin_metrics.c - /metrics: the counters that the statistics layer keeps, and the gauges that are read here and now.
 */
#include "admin_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "prom.h"

/* ---- backends ---- */

static const char *role_of(const struct backend *b)
{
	return backend_role_name(b);
}

#define BACKEND_LABELS(b) PROM_LABELS({"addr", (b)->text}, {"role", role_of(b)})

static void put_backend_states(struct prom *p, const struct topology *t)
{
	static const enum backend_state all[] = {BACKEND_UNKNOWN, BACKEND_UP, BACKEND_LAGGING, BACKEND_DOWN,
						 BACKEND_DISABLED, BACKEND_GONE};

	prom_family(p, "backend_up", "gauge", "1 while the server answers its checks and may be used.");
	for (size_t i = 0; i < t->n; i++)
		prom_uint(p, BACKEND_LABELS(t->all[i]), backend_state(t->all[i]) == BACKEND_UP);
	prom_family(p, "backend_state", "gauge", "1 for the state the server is in.");
	for (size_t i = 0; i < t->n; i++) {
		const char *is = backend_state_name(backend_state(t->all[i]));

		for (size_t k = 0; k < countof(all); k++)
			prom_state(p, BACKEND_LABELS(t->all[i]), backend_state_name(all[k]), is);
	}
}

static void put_backend_times(struct prom *p, const struct topology *t)
{
	prom_family(p, "backend_lag_seconds", "gauge",
		    "How far a replica is behind; not shown while that is not known.");
	for (size_t i = 0; i < t->n; i++) {
		uint64_t lag = atomic_load(&t->all[i]->lag_ns);

		if (lag != BACKEND_LAG_UNKNOWN)
			prom_seconds(p, BACKEND_LABELS(t->all[i]), lag);
	}
	prom_family(p, "backend_check_latency_seconds", "gauge", "How long the server's last health check took.");
	for (size_t i = 0; i < t->n; i++)
		prom_seconds(p, BACKEND_LABELS(t->all[i]), atomic_load(&t->all[i]->latency_ns));
}

static void put_backend_load(struct prom *p, const struct topology *t, const struct settings *s)
{
	prom_family(
		p, "backend_connections", "gauge",
		"Connections to the server: open, of them active (used by a session), and requests waiting for one.");
	for (size_t i = 0; i < t->n; i++) {
		const struct backend *b = t->all[i];
		const char *role = role_of(b);

		prom_uint(p, PROM_LABELS({"addr", b->text}, {"role", role}, {"state", "open"}),
			  atomic_load(&b->connections));
		prom_uint(p, PROM_LABELS({"addr", b->text}, {"role", role}, {"state", "active"}),
			  backend_active(b->loads));
		prom_uint(p, PROM_LABELS({"addr", b->text}, {"role", role}, {"state", "waiting"}),
			  atomic_load(&b->waiting));
	}
	prom_gauge(p, "backend_connections_limit", "Most connections to one server (backend.pool.max).",
		   (uint64_t)s->backend.pool.max);
	prom_family(p, "backend_queries_total", "counter", "Statements sent to the server.");
	for (size_t i = 0; i < t->n; i++)
		prom_uint(p, BACKEND_LABELS(t->all[i]), backend_queries(t->all[i]->loads));
	prom_family(p, "backend_errors_total", "counter",
		    "Statements the server answered with an error, or not at all.");
	for (size_t i = 0; i < t->n; i++)
		prom_uint(p, BACKEND_LABELS(t->all[i]), backend_errors(t->all[i]->loads));
}

static void put_roles(struct prom *p, const struct topology *t)
{
	prom_family(p, "failovers_total", "counter", "Times another server became the primary.");
	prom_uint(p, NULL, atomic_load(&t->moves));
	prom_gauge(p, "writable_servers", "Servers that take writes, as far as is known: more than one is a mistake.",
		   atomic_load(&t->writable));
	prom_family(p, "backend_read_only", "gauge", "1 while the server is known to be read-only.");
	for (size_t i = 0; i < t->n; i++)
		prom_uint(p, BACKEND_LABELS(t->all[i]), backend_is_read_only(t->all[i]));
}

/* ---- cache, queue, catalog ---- */

static void put_cache(struct prom *p, struct cache *cache)
{
	struct cache_totals t = {0};

	if (cache)
		cache_totals(cache, &t);
	prom_gauge(p, "cache_entries", "Results in the in-process store.", t.entries);
	prom_gauge(p, "cache_bytes", "Bytes of these results, keys and overhead included.", t.bytes);
	prom_gauge(p, "cache_resident_bytes", "Bytes of memory they take, what the allocator rounds and keeps for them included.", t.resident);
	prom_gauge(p, "cache_limit_bytes", "Bytes it may take (cache.memory).", t.limit);
	prom_gauge(p, "cache_redis_configured", "1 where cache.redis is set.", t.redis_configured);
	prom_gauge(p, "cache_redis_up", "1 while Redis answers.", t.redis_up);
	prom_gauge(p, "cache_binlog_configured", "1 where cache.binlog is on.", t.follows);
	prom_gauge(p, "cache_binlog_live", "1 while the primary's binary log is followed and caught up with.", t.follows && t.followed);
	prom_gauge(p, "cache_bus_live", "1 while invalidations of other instances arrive.", t.bus_live);
}

static void put_queue_states(struct prom *p, const char *is)
{
	static const enum queue_state all[] = {QUEUE_RUNNING, QUEUE_PAUSED, QUEUE_WAITING,
					       QUEUE_HALTED,  QUEUE_FAILED, QUEUE_STOPPED};

	prom_family(p, "queue_state", "gauge", "1 for the state the queue's drain is in.");
	prom_state(p, NULL, "off", is);
	for (size_t i = 0; i < countof(all); i++)
		prom_state(p, NULL, queue_state_name(all[i]), is);
}

static void put_queue(struct prom *p, struct queue *queue, const struct settings *s)
{
	struct queue_totals t = {0};

	if (queue)
		queue_totals(queue, &t);
	put_queue_states(p, queue ? queue_state_name(t.state) : "off");
	prom_gauge(p, "queue_depth", "Acknowledged writes that are not applied yet.", t.depth);
	prom_gauge(p, "queue_bytes", "Bytes of the queue's log on disk.", t.bytes);
	prom_gauge(p, "queue_limit_bytes", "Bytes it may take (queue.max_bytes).", queue ? s->queue.max_bytes : 0);
	prom_family(p, "queue_oldest_age_seconds", "gauge", "Age of the oldest write that is not applied yet.");
	prom_seconds(p, NULL, t.oldest_age_ns);
	prom_gauge(p, "queue_lanes", "Parts of the queue, each with an order of its own.", t.lanes);
	prom_gauge(p, "queue_lanes_here", "Of these, how many this process applies.", t.lanes_here);
	prom_gauge(p, "queue_dead_letters", "Dead letters that nobody has retried or discarded.", t.dead_waiting);
	prom_gauge(p, "queue_last_batch_rows", "Records in the last batch applied.", t.last_batch_rows);
	prom_gauge(p, "queue_batch_rows_now", "Most records in a transaction just now, as its latency allows.", t.batch_rows_now);
}

static void put_catalog(struct prom *p, struct catalog *catalog)
{
	struct catalog_status st;

	catalog_status(catalog, &st);
	prom_gauge(p, "catalog_wanted", "1 since something is cached or queued: the schema is read for that.", st.wanted);
	prom_gauge(p, "catalog_readable", "1 while the schema can be read from information_schema.", st.readable);
	prom_gauge(p, "catalog_stale", "1 after DDL until the schema was read again: nothing is cached meanwhile.",
		   st.stale);
	prom_gauge(p, "catalog_hidden", "1 where a schema is used that the account which reads it does not see as a whole: nothing of it is cached or queued.",
		   st.hidden);
	prom_gauge(p, "catalog_tables", "Base tables known.", st.tables);
	prom_gauge(p, "catalog_views", "Views known.", st.views);
	prom_gauge(p, "catalog_triggers", "Triggers known.", st.triggers);
	prom_gauge(p, "catalog_cascades", "Cascading foreign keys known.", st.cascades);
	prom_gauge(p, "catalog_routines", "Stored functions and procedures known.", st.routines);
	prom_family(p, "catalog_age_seconds", "gauge", "Time since the schema was last read.");
	prom_seconds(p, NULL, st.age_ns);
}

/* ---- the process ---- */

/* Pages, the second number of statm; 0 where the system has no such file. */
static uint64_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128];

	if (f && fgets(line, sizeof(line), f) && sscanf(line, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		(void)fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ns_of(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * NS_PER_SEC + (uint64_t)tv.tv_usec * 1000;
}

static void put_shared(struct prom *p, const struct fleet *fleet)
{
	struct fleet_gauges g = fleet_gauges(fleet);

	prom_gauge(p, "shared_config_configured", "1 where config.source is set.", fleet != NULL);
	prom_gauge(p, "shared_config_up", "1 while Redis answers for config.source.", g.up);
	prom_gauge(p, "shared_config_version", "Version of the shared document that is in force; 0: none.", g.version);
	prom_gauge(p, "shared_config_refused", "1 while the one in Redis is refused.", g.refused);
}

/* No sample where clients are offered no TLS: there is nothing that ends. */
static void put_certificate(struct prom *p, const struct tls_context *listen)
{
	uint64_t at;

	prom_family(p, "listen_tls_not_after_timestamp_seconds", "gauge",
		    "When the certificate of listen.tls ends, since 1970.");
	if (listen && tls_not_after(listen, &at) == RC_OK)
		prom_uint(p, NULL, at);
}

static void put_process(struct prom *p, struct instance *in)
{
	struct rusage ru = {0};

	(void)getrusage(RUSAGE_SELF, &ru);
	prom_family(p, "build_info", "gauge", "1; the version is the label.");
	prom_uint(p, PROM_LABELS({"version", SUIMON_VERSION}), 1);
	prom_gauge(p, "ready", "1 while a client could run a read, as /readyz says.", admin_ready(in, NULL));
	prom_gauge(p, "draining", "1 after SIGTERM.", atomic_load(&in->draining));
	prom_gauge(p, "upgrade_overlap", "1 while the process that this one took over from has sessions yet.",
		   atomic_load(&in->has_former));
	prom_gauge(p, "cache_rests", "1 while another process may write of which this one is not told: nothing is answered from the cache.",
		   in->cache && atomic_load(&in->cache_rests));
	prom_gauge(p, "limit_waiting", "Statements that wait for their turn by a rule of limits.", limits_waiting(in->limits));
	prom_gauge(p, "limit_gates", "Rules, accounts, digests and clients whose share is kept count of.", limits_gates(in->limits));
	prom_gauge(p, "client_sessions", "Client sessions open now.", atomic_load(&in->sessions));
	prom_gauge(p, "workers", "Worker threads.", in->nworkers);
	prom_gauge(p, "process_resident_bytes", "Resident memory of the process.", resident_bytes());
	prom_family(p, "out_of_memory_total", "counter",
		    "Allocations that were refused: what needed them was answered with an error, or was done without.");
	prom_uint(p, NULL, mem_failures());
	prom_family(p, "log_lines_lost_total", "counter", "Lines of the log that stderr did not take: whoever reads it stands still, or its disk is full.");
	prom_uint(p, NULL, log_lost());
	prom_family(p, "process_cpu_seconds_total", "counter", "Processor time of the process, by mode.");
	prom_seconds(p, PROM_LABELS({"mode", "user"}), ns_of(ru.ru_utime));
	prom_seconds(p, PROM_LABELS({"mode", "system"}), ns_of(ru.ru_stime));
}

/* Prometheus asks for it first of all that it takes. */
static bool wants_openmetrics(const struct call *c)
{
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(c->req), "Accept");

	return accept && strstr(accept, "application/openmetrics-text");
}

static enum rc to_openmetrics(struct call *c)
{
	struct iobuf out;
	enum rc rc;

	iobuf_init(&out, c->out.max);
	rc = prom_openmetrics(&c->out, &out);
	if (rc != RC_OK) {
		iobuf_reset(&out);
		return rc;
	}
	iobuf_reset(&c->out);
	c->out = out;
	c->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
	return RC_OK;
}

int get_metrics(struct call *c)
{
	struct instance *in = c->a->in;
	struct prom p = {.out = &c->out, .rc = stats_prometheus(in->stats, &c->out)};

	put_backend_states(&p, in->topology);
	put_backend_times(&p, in->topology);
	put_backend_load(&p, in->topology, c->settings);
	put_roles(&p, in->topology);
	put_cache(&p, in->cache);
	put_queue(&p, in->queue, c->settings);
	put_catalog(&p, in->catalog);
	put_shared(&p, c->a->hooks.fleet);
	put_certificate(&p, c->settings->listen.tls_context);
	put_process(&p, in);
	c->content_type = "text/plain; version=0.0.4; charset=utf-8";
	if (p.rc == RC_OK && wants_openmetrics(c))
		p.rc = to_openmetrics(c);
	if (p.rc == RC_OK)
		return 200;
	c->content_type = "application/json";
	return call_done(c, p.rc);
}
