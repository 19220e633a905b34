/*
 * main.c - the command line, and the wiring of an instance: what is made in which order, and taken down in which.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "admin.h"
#include "advise.h"
#include "check.h"
#include "cli.h"
#include "clock.h"
#include "digest.h"
#include "hooks.h"
#include "instance.h"
#include "listener.h"
#include "log.h"
#include "mem.h"
#include "monitor.h"
#include "version.h"
#include "worker.h"

enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_START = 2, EXIT_FATAL = 3 };

#define LISTENERS_MOST 16

struct process {
	struct instance in;
	const char *file, *primary;       /* from the command line */
	struct listener *listeners[LISTENERS_MOST];
	size_t nlisteners;
	struct admin *admin;
	struct monitor *monitor;
	struct advise *advise;
	struct event *on_term, *on_int, *on_hup;
	size_t next_worker;
	size_t undrained;                 /* workers that still have sessions */
	struct mail drained_mail;
};

static struct process process; /* one a process: signal handlers and worker callbacks find it here */

/* ---- small verbs ---- */

static const char usage_text[] =
	"usage: suimon --primary HOST:PORT              run with defaults in front of a server\n"
	"       suimon -c FILE                          run from a configuration\n"
	"       suimon check -c FILE                    validate it and print what is in effect\n"
	"       suimon digest 'SQL' | -                 what suimon makes of a statement\n"
	"       suimon top [--http ADDR]                live view of a running instance\n"
	"       suimon queue ls|show|retry|discard|pause|resume|drain\n"
	"       suimon version\n";

static int usage(FILE *out)
{
	(void)fputs(usage_text, out);
	return out == stdout ? EXIT_FINE : EXIT_CONFIG;
}

static int version(void)
{
	version_print();
	return EXIT_FINE;
}

/* ---- reload ---- */

/* A line of the log for each line of why; those beyond the log's limit on repeats `suimon check` shows. */
static void log_refusal(const char *text, const struct iobuf *why)
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

static enum rc reload(void *arg, struct iobuf *why)
{
	struct instance *in = &process.in;
	struct settings *next = settings_load(process.file, process.primary, why), *now;

	(void)arg;
	if (!next) {
		log_refusal("reload refused: nothing was changed", why);
		return RC_ERROR;
	}
	now = instance_settings(in);
	if (settings_reload_check(now, next, why) != RC_OK || iobuf_len(why)) {
		log_refusal("reload refused: an option differs that only a restart can change", why);
		settings_unref(now);
		settings_unref(next);
		return RC_ERROR;
	}
	settings_unref(now);
	if (accounts_configure(in->accounts, next) != RC_OK) {
		settings_unref(next);
		return RC_ERROR;
	}
	log_setup(LOG_LEVEL_INFO, next->log_json);
	stats_reconfigure(in->stats, &(struct stats_options){
					     .slow_ns = next->stats.slow_ns,
					     .samples = next->stats.samples,
					     .nplus1_repeats = (uint64_t)next->stats.nplus1.repeats,
					     .nplus1_window_ns = next->stats.nplus1.window_ns,
					     .explain = next->stats.explain,
				     });
	if (in->cache)
		cache_reconfigure(in->cache, &(struct cache_options){
						     .memory = next->cache.memory,
						     .max_result = next->cache.max_result,
						     .redis = next->cache.redis,
						     .stale_if_error_ns = next->cache.stale_if_error_ns,
					     });
	if (in->queue) {
		struct queue_options opt = {
			.sync_ns = next->queue.sync_ns,
			.max_bytes = next->queue.max_bytes,
			.batch_rows = (uint64_t)next->queue.drain.batch_rows,
			.batch_wait_ns = next->queue.drain.batch_wait_ns,
			.rate = (uint64_t)next->queue.drain.rate,
		};

		queue_reconfigure(in->queue, &opt);
	}
	monitor_reconfigure(process.monitor, next);
	advise_enable(process.advise, next->stats.explain);
	instance_put_settings(in, next);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_reload(in->workers[i]);
	log_info("config", "reloaded", "file=%s", process.file ? process.file : "-");
	return RC_OK;
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct iobuf why;

	iobuf_init(&why, 1024 * 1024);
	(void)reload(NULL, &why);
	iobuf_reset(&why);
}

/* ---- drain ---- */

#define SETTLE_TRIES 20 /* of 50 ms: the other instances learn of the last writes, if Redis answers */

static void leave(evutil_socket_t fd, short what, void *arg)
{
	static int tries;
	struct timeval tv = {.tv_usec = 50000};

	if (process.in.cache && !cache_settled(process.in.cache) && ++tries < SETTLE_TRIES &&
	    event_base_once(loop_base(process.in.control), -1, EV_TIMEOUT, leave, NULL, &tv) == 0)
		return;
	loop_stop(process.in.control);
}

/* No session is left: the queue applies what it has in hand, while the control loop still carries its invalidations. */
static void all_drained(void)
{
	log_info("main", "drained", NULL);
	if (process.in.queue)
		queue_stop(process.in.queue);
	leave(-1, 0, NULL);
}

static void on_drained_mail(struct mail *m)
{
	mem_free(m);
	if (--process.undrained == 0)
		all_drained();
}

static void worker_is_drained(struct worker *w)
{
	struct mail *m = mem_zalloc(sizeof(*m));

	(void)w;
	if (!m)
		_exit(EXIT_FINE); /* nothing acknowledged is lost by it: the queue's log is its own memory */
	m->run = on_drained_mail;
	loop_post(process.in.control, m);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	struct settings *s;
	uint64_t deadline;

	if (atomic_exchange(&process.in.draining, true)) {
		log_warn("main", "second signal: exiting at once", NULL);
		_exit(EXIT_FINE);
	}
	s = instance_settings(&process.in);
	deadline = clock_mono_ns() + s->drain_timeout_ns;
	log_info("main", "draining", "sessions=%u timeout=%lums", atomic_load(&process.in.sessions),
		 (unsigned long)(s->drain_timeout_ns / NS_PER_MS));
	settings_unref(s);
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_stop(process.listeners[i]);
	process.undrained = process.in.nworkers;
	for (size_t i = 0; i < process.in.nworkers; i++) {
		process.in.workers[i]->drained = worker_is_drained;
		worker_drain(process.in.workers[i], deadline);
	}
}

/* ---- start ---- */

static void on_accept(void *arg, int fd, const char *peer)
{
	struct instance *in = &process.in;

	worker_adopt(in->workers[process.next_worker++ % in->nworkers], fd, peer);
}

static bool add_signal(struct event **at, int sig, event_callback_fn fn)
{
	*at = evsignal_new(loop_base(process.in.control), sig, fn, NULL);
	return *at && event_add(*at, NULL) == 0;
}

static void raise_file_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static enum rc make_parts(const struct settings *s)
{
	struct instance *in = &process.in;
	struct stats_options so = {
		.slow_ns = s->stats.slow_ns,
		.digests = (uint64_t)s->stats.digests,
		.samples = s->stats.samples,
		.nplus1_repeats = (uint64_t)s->stats.nplus1.repeats,
		.nplus1_window_ns = s->stats.nplus1.window_ns,
		.explain = s->stats.explain,
	};
	struct catalog_hooks ch = hooks_catalog(in);
	struct monitor_hooks mh = hooks_monitor(in);

	in->control = loop_new("control");
	in->stats = stats_new(&so);
	in->topology = topology_new(s);
	in->accounts = accounts_new(s);
	in->rsa = auth_rsa_new();
	in->catalog = catalog_new(&ch);
	if (!in->control || !in->stats || !in->topology || !in->accounts || !in->rsa || !in->catalog)
		return RC_ERROR;
	process.monitor = monitor_new(in->topology, in->accounts, in->stats, s, &mh);
	process.advise = advise_new(in->stats, &(struct advise_hooks){.arg = in, .target = hooks_explain_target});
	return process.monitor && process.advise ? RC_OK : RC_ERROR;
}

/* The cache is there whenever it could be asked for: a hint needs no rule. */
static enum rc make_cache(const struct settings *s)
{
	struct cache_options opt = {
		.memory = s->cache.memory,
		.max_result = s->cache.max_result,
		.redis = s->cache.redis,
		.stale_if_error_ns = s->cache.stale_if_error_ns,
		.lag_window_ns = instance_lag_window(s),
	};

	if (s->cache.memory == 0 && !s->cache.redis[0])
		return RC_OK;
	process.in.cache = cache_new(&opt, process.in.control, process.in.stats);
	return process.in.cache ? RC_OK : RC_ERROR;
}

static enum rc make_queue(const struct settings *s)
{
	struct queue_options opt = {
		.dir = s->queue.dir,
		.sync_ns = s->queue.sync_ns,
		.max_bytes = s->queue.max_bytes,
		.batch_rows = (uint64_t)s->queue.drain.batch_rows,
		.batch_wait_ns = s->queue.drain.batch_wait_ns,
		.rate = (uint64_t)s->queue.drain.rate,
		.workers = (unsigned)s->queue.drain.workers,
		.hooks = hooks_queue(&process.in),
	};
	char err[512];

	if (s->queue.nrules == 0)
		return RC_OK;
	process.in.queue = queue_open(&opt, process.in.stats, err, sizeof(err));
	if (process.in.queue)
		return RC_OK;
	log_error("main", "the queue cannot be opened", "reason=\"%s\"", err);
	return RC_ERROR;
}

static enum rc make_workers(const struct settings *s)
{
	struct instance *in = &process.in;
	long n = s->threads ? (long)s->threads : sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		n = 1;
	in->workers = mem_zalloc((size_t)n * sizeof(*in->workers));
	for (long i = 0; in->workers && i < n; i++) {
		in->workers[i] = worker_new(in, (unsigned)i);
		if (!in->workers[i])
			return RC_ERROR;
		in->nworkers++;
	}
	return in->workers ? RC_OK : RC_ERROR;
}

static enum rc open_listeners(const struct settings *s)
{
	char err[512];

	for (size_t i = 0; i < s->listen.nmysql && i < LISTENERS_MOST; i++) {
		const struct settings_addr *a = &s->listen.mysql[i];
		struct listener *l = listener_open(process.in.control, a->host, a->port, a->is_unix, on_accept, NULL, err,
						   sizeof(err));

		if (!l) {
			log_error("main", "cannot listen for clients", "reason=\"%s\"", err);
			return RC_ERROR;
		}
		process.listeners[process.nlisteners++] = l;
		log_info("main", "listening for clients", "addr=%s port=%u", a->text, listener_port(l));
	}
	process.admin = admin_open(&process.in, &(struct admin_hooks){.reload = reload}, err, sizeof(err));
	if (!process.admin) {
		log_error("main", "cannot listen for HTTP", "reason=\"%s\"", err);
		return RC_ERROR;
	}
	log_info("main", "listening for HTTP", "addr=%s port=%u", s->listen.http.text, admin_port(process.admin));
	return RC_OK;
}

static enum rc start_threads(void)
{
	struct instance *in = &process.in;

	for (size_t i = 0; i < in->nworkers; i++)
		if (worker_start(in->workers[i]) != RC_OK)
			return RC_ERROR;
	if (monitor_start(process.monitor) != RC_OK || catalog_start(in->catalog) != RC_OK ||
	    advise_start(process.advise) != RC_OK)
		return RC_ERROR;
	return in->queue ? queue_start(in->queue) : RC_OK;
}

/* Down in the reverse order: nobody is left who could call into what is freed. */
static void tear_down(void)
{
	struct instance *in = &process.in;

	admin_close(process.admin);
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_free(process.listeners[i]);
	advise_stop(process.advise);
	catalog_stop(in->catalog);
	monitor_stop(process.monitor);
	if (in->queue)
		queue_stop(in->queue);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_stop(in->workers[i]);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_free(in->workers[i]);
	mem_free(in->workers);
	if (in->queue)
		queue_close(in->queue);
	if (in->cache)
		cache_free(in->cache);
	advise_free(process.advise);
	monitor_free(process.monitor);
	catalog_free(in->catalog);
	event_free(process.on_term);
	event_free(process.on_int);
	event_free(process.on_hup);
	loop_free(in->control);
	stats_free(in->stats);
	auth_rsa_free(in->rsa);
	accounts_free(in->accounts);
	topology_free(in->topology);
	settings_unref(in->settings);
}

static int run(const char *file, const char *primary)
{
	struct instance *in = &process.in;
	struct iobuf faults;
	struct settings *s;
	int code;

	iobuf_init(&faults, 1024 * 1024);
	s = settings_load(file, primary, &faults);
	if (!s) {
		(void)fprintf(stderr, "%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
		iobuf_reset(&faults);
		return EXIT_CONFIG;
	}
	iobuf_reset(&faults);
	process.file = file;
	process.primary = primary;
	log_setup(getenv("SUIMON_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, s->log_json);
	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	if (libraries_begin() != RC_OK)
		return EXIT_START;
	in->settings = s;
	in->started_ns = clock_mono_ns();
	/* Out of the range of servers' own ids: a KILL of one, which passes to the server, hits nobody else. */
	in->next_session = UINT64_C(0x80000001);
	pthread_mutex_init(&in->settings_lock, NULL);
	pthread_mutex_init(&in->drain_lock, NULL);
	log_info("main", "starting", "version=%s primary=%s replicas=%zu cache=%s queue=%s", SUIMON_VERSION,
		 s->primary.text, s->nreplicas, s->cache.redis[0] ? "memory+redis" : s->cache.memory ? "memory" : "off",
		 s->queue.nrules ? s->queue.dir : "off");
	if (make_parts(s) != RC_OK || make_cache(s) != RC_OK || make_queue(s) != RC_OK || make_workers(s) != RC_OK ||
	    !add_signal(&process.on_term, SIGTERM, on_term) || !add_signal(&process.on_int, SIGINT, on_term) ||
	    !add_signal(&process.on_hup, SIGHUP, on_hup) || open_listeners(s) != RC_OK || start_threads() != RC_OK) {
		log_error("main", "could not start", NULL);
		return EXIT_START;
	}
	log_info("main", "ready", "workers=%zu", in->nworkers);
	code = loop_run(in->control) == 0 ? EXIT_FINE : EXIT_FATAL;
	tear_down();
	libraries_end();
	log_info("main", "stopped", NULL);
	return code;
}

/* ---- the command line ---- */

static int run_options(int argc, char **argv, bool check)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"primary", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},	  {"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	const char *file = NULL, *primary = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'p':
			primary = optarg;
			break;
		case 'h':
			return usage(stdout);
		case 'v':
			return version();
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || (!file && !primary))
		return usage(stderr);
	return check ? settings_check_main(file, primary) : run(file, primary);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "check") == 0)
		return run_options(argc - 1, argv + 1, true);
	if (strcmp(verb, "run") == 0)
		return run_options(argc - 1, argv + 1, false);
	if (strcmp(verb, "digest") == 0)
		return argc == 3 ? sql_digest_main(argv[2]) : usage(stderr);
	if (strcmp(verb, "queue") == 0)
		return cli_queue(argc - 1, argv + 1);
	if (strcmp(verb, "top") == 0)
		return cli_top(argc - 1, argv + 1);
	if (strcmp(verb, "version") == 0)
		return version();
	if (strcmp(verb, "help") == 0)
		return usage(stdout);
	return run_options(argc, argv, false);
}
