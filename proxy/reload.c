/*
 * reload.c - the configuration taken again: validated whole, refused whole, or handed to every part that may change.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "digest.h"
#include "hooks.h"
#include "log.h"
#include "otlp.h"
#include "process.h"
#include "supervisor.h"
#include "takeover.h"
#include "worker.h"

void process_log_setup(const struct settings *s)
{
	log_setup(getenv("SUIMON_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, s->log_json);
}

static void spell(struct span sent, void *into)
{
	if (sql_normalise_spelt(sent, 0, STATS_TEXT_MAX, into) != RC_OK)
		return; /* what is there of it is not the whole text, and is seen not to be */
}

struct stats_options process_stats_options(const struct settings *s)
{
	return (struct stats_options){
		.slow_ns = s->stats.slow_ns,
		.digests = (uint64_t)s->stats.digests,
		.samples = s->stats.samples,
		.nplus1_repeats = (uint64_t)s->stats.nplus1.repeats,
		.nplus1_window_ns = s->stats.nplus1.window_ns,
		.explain = s->stats.explain,
		.cost_per_hour = s->stats.cost_per_hour,
		.batch_wait_ns = s->queue.drain.batch_wait_ns,
		.batch_rows = (uint64_t)s->queue.drain.batch_rows,
		.spell = spell,
	};
}

struct cache_options process_cache_options(const struct settings *s)
{
	return (struct cache_options){
		.memory = s->cache.memory,
		.max_result = s->cache.max_result,
		.redis = secret_text(s->cache.redis).p,
		.stale_if_error_ns = s->cache.stale_if_error_ns,
		.lag_window_ns = instance_lag_window(s),
	};
}

struct queue_options process_queue_options(const struct settings *s)
{
	static const enum queue_engine_kind engines[] = {[SETTINGS_ENGINE_FILE] = QUEUE_ENGINE_FILE,
							 [SETTINGS_ENGINE_REDIS] = QUEUE_ENGINE_REDIS,
							 [SETTINGS_ENGINE_SQS] = QUEUE_ENGINE_SQS,
							 [SETTINGS_ENGINE_KAFKA] = QUEUE_ENGINE_KAFKA};

	return (struct queue_options){
		.engine = engines[s->queue.engine],
		.dir = s->queue.dir,
		.url = secret_text(s->queue.url).p,
		.sync_ns = s->queue.sync_ns,
		.max_bytes = s->queue.max_bytes,
		.batch_rows = (uint64_t)s->queue.drain.batch_rows,
		.batch_wait_ns = s->queue.drain.batch_wait_ns,
		.rate = (uint64_t)s->queue.drain.rate,
		.workers = (unsigned)s->queue.drain.workers,
		.hooks = hooks_queue(&process.in),
	};
}

/* A line of the log for each line of why; those beyond the log's limit on repeats `suimon check` shows. */
void process_log_refusal(const char *text, const struct iobuf *why)
{
	struct span left = span_of(iobuf_data(why), iobuf_len(why));
	char quoted[1024];

	while (left.len) {
		const char *nl = memchr(left.p, '\n', left.len);
		size_t len = nl ? (size_t)(nl - left.p) : left.len;

		log_error("config", text, "fault=%s", log_quote(quoted, sizeof(quoted), span_of(left.p, len)));
		len += nl != NULL;
		left = span_of(left.p + len, left.len - len);
	}
}

/* Hands every part its share of the settings. */
static void take_options(const struct settings *s)
{
	struct instance *in = &process.in;
	struct stats_options so = process_stats_options(s);

	stats_reconfigure(in->stats, &so);
	if (otlp_configure(in->otlp, s->stats.otlp.url, s->stats.otlp.share) != RC_OK)
		log_warn("config", "spans go where they went: no memory", NULL);
	if (emf_configure(process.emf, s) != RC_OK)
		log_warn("config", "no metrics are written for CloudWatch: no memory", NULL);
	if (s->cache.nrules || settings_wants_queue(s))
		catalog_want(in->catalog);
	if (in->cache) {
		struct cache_options co = process_cache_options(s);

		cache_reconfigure(in->cache, &co);
	}
	if (in->queue) {
		struct queue_options qo = process_queue_options(s);

		queue_reconfigure(in->queue, &qo);
	}
}

/* Opened anew even if nothing changed: whoever rotates the file asks for that by a reload. */
static enum rc open_slow_log(const struct settings *next, struct iobuf *why)
{
	char err[512];

	if (stats_slow_log(process.in.stats, next->stats.slow_log, err, sizeof(err)) == RC_OK)
		return RC_OK;
	(void)!iobuf_printf(why, "%s\n", err);
	return RC_ERROR;
}

/* Parts that are made at the start or not at all. */
static void refuse_late_parts(const struct settings *next, struct iobuf *why)
{
	if (next->queue.nrules && !process.in.queue)
		(void)!iobuf_printf(why, "queue.rules: only a restart can open the queue, without which this process was started\n");
	if ((next->cache.memory || next->cache.redis) && !process.in.cache)
		(void)!iobuf_printf(why, "cache.memory: only a restart can make the cache, without which this process was started\n");
}

/* Both or neither. */
static enum rc take_what_may_fail(const struct settings *now, const struct settings *next, struct iobuf *why)
{
	if (open_slow_log(next, why) != RC_OK)
		return RC_ERROR;
	if (accounts_configure(process.in.accounts, next) == RC_OK)
		return RC_OK;
	(void)!iobuf_printf(why, "users: there is no memory for them\n");
	(void)open_slow_log(now, why);
	return RC_ERROR;
}

/* A pipe was read at the start: whoever opens it again waits for somebody who writes, and on this thread clients with him. */
static bool is_there_again(const char *file, struct iobuf *why)
{
	struct stat st;

	if (!file || stat(file, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return true;
	(void)!iobuf_printf(why, "%s:0: file: no regular file: it is read once, at the start, allowed is a restart\n", file);
	return false;
}

struct settings *process_load_again(const struct settings_shared *shared, struct iobuf *why)
{
	return is_there_again(process.file, why) ? settings_load_shared(process.file, shared, process.primary, why) : NULL;
}

static enum rc reload(const struct settings_shared *shared, struct iobuf *why)
{
	struct instance *in = &process.in;
	struct settings *next = process_load_again(shared, why), *now;
	bool anew;

	if (!next) {
		process_log_refusal("reload refused: nothing was changed", why);
		return RC_ERROR;
	}
	now = instance_settings(in);
	refuse_late_parts(next, why);
	if (settings_reload_check(now, next, why) != RC_OK || iobuf_len(why)) {
		process_log_refusal("reload refused: an option differs that only a restart can change", why);
		settings_unref(now);
		settings_unref(next);
		return RC_ERROR;
	}
	if (take_what_may_fail(now, next, why) != RC_OK) {
		process_log_refusal("reload refused: nothing was changed", why);
		settings_unref(now);
		settings_unref(next);
		return RC_ERROR;
	}
	anew = hooks_queue_login_differs(now, next);
	settings_unref(now);
	process_log_setup(next);
	take_options(next);
	monitor_reconfigure(process.monitor, next);
	advise_enable(process.advise, next->stats.explain);
	instance_put_settings(in, next);
	if (in->queue && anew)
		queue_log_in_anew(in->queue);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_reload(in->workers[i]);
	log_info("config", "reloaded", "file=%s", process.file ? process.file : "-");
	return RC_OK;
}

static enum rc reload_counted(const struct settings_shared *shared, struct iobuf *why)
{
	enum rc rc = reload(shared, why);

	stats_count(process.sink, rc == RC_OK ? STATS_C_RELOADS : STATS_C_RELOAD_FAILURES, 1);
	return rc;
}

static enum rc take_file(struct iobuf *why)
{
	enum rc rc;

	supervisor_reloading();
	rc = reload_counted(fleet_in_force(process.fleet), why);
	supervisor_reloaded(rc == RC_OK ? NULL : why);
	if (rc == RC_OK)
		fleet_again(process.fleet);
	return rc;
}

enum rc process_reload(void *arg, struct iobuf *why)
{
	enum rc rc = take_file(why);

	(void)arg;
	if (rc == RC_OK) {
		upgrade_reloaded();
		takeover_reloaded();
	}
	return rc;
}

void process_reload_said(void)
{
	struct iobuf why;

	iobuf_init(&why, 1024 * 1024);
	(void)process_reload(NULL, &why);
	iobuf_reset(&why);
}

enum rc process_reload_heard(void (*pass_on)(void))
{
	struct iobuf why;
	enum rc rc;

	iobuf_init(&why, 1024 * 1024);
	rc = take_file(&why);
	iobuf_reset(&why);
	pass_on(); /* one beyond may take what this one refuses */
	return rc;
}

/* Nobody has asked the supervisor for it. */
enum rc process_take_shared(const struct settings_shared *doc, struct iobuf *why)
{
	return reload_counted(doc, why);
}
