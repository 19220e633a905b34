/*
 * start.c - the wiring of an instance: what is made in which order, and taken down in which.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "clock.h"
#include "cpus.h"
#include "failpoint.h"
#include "hooks.h"
#include "kept.h"
#include "log.h"
#include "mem.h"
#include "otlp.h"
#include "process.h"
#include "rest.h"
#include "session.h"
#include "supervisor.h"
#include "takeover.h"
#include "version.h"
#include "wallclock.h"
#include "worker.h"

struct process process;

static void on_accept(void *arg, int fd, const char *peer)
{
	struct instance *in = &process.in;

	worker_adopt(in->workers[process.next_worker++ % in->nworkers], fd, peer);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	process_term();
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	process_reload_said();
}

static void on_usr2(evutil_socket_t sig, short what, void *arg)
{
	process_upgrade();
}

static bool add_signal(struct event **at, int sig, event_callback_fn fn)
{
	*at = evsignal_new(loop_base(process.in.control), sig, fn, NULL);
	return *at && event_add(*at, NULL) == 0;
}

/* Until they are handled they wait: process 1 of a container would never hear of them, any other would die of them. how: sigprocmask's. */
static void mask_signals(int how, bool ends)
{
	sigset_t set;

	sigemptyset(&set);
	if (ends) {
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGINT);
	}
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(how, &set, NULL);
}

static bool handle_signals(void)
{
	if (!add_signal(&process.on_term, SIGTERM, on_term) || !add_signal(&process.on_int, SIGINT, on_term) ||
	    !add_signal(&process.on_hup, SIGHUP, on_hup) || !add_signal(&process.on_usr2, SIGUSR2, on_usr2))
		return false;
	mask_signals(SIG_UNBLOCK, true);
	return true;
}

/* What is logged, and metrics on stdout, must not end in a client's socket that got the number of a closed one. */
static void hold_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
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
	struct stats_options so = process_stats_options(s);
	struct catalog_hooks ch = hooks_catalog(in);
	struct monitor_hooks mh = hooks_monitor(in);

	in->control = loop_new("control");
	in->stats = stats_new(&so);
	process.sink = in->stats ? stats_sink_new(in->stats, false) : NULL;
	in->otlp = in->stats ? otlp_new(in->stats) : NULL;
	in->topology = topology_new(s);
	in->accounts = accounts_new(s);
	if (in->topology) {
		in->topology->moved_arg = in;
		in->topology->on_moved = hooks_primary_moved;
	}
	in->login_key = login_key_new();
	in->throttle = throttle_new();
	in->limits = limits_new();
	in->catalog = catalog_new(&ch);
	if (!in->control || !in->stats || !in->otlp || !process.sink || !in->topology || !in->accounts || !in->login_key || !in->throttle ||
	    !in->limits || !in->catalog)
		return RC_ERROR;
	if (otlp_configure(in->otlp, s->stats.otlp.url, s->stats.otlp.share) != RC_OK)
		return RC_ERROR;
	if (s->cache.nrules || settings_wants_queue(s))
		catalog_want(in->catalog);
	process.monitor = monitor_new(in->topology, in->accounts, in->stats, s, &mh);
	process.advise = advise_new(in->stats, &(struct advise_hooks){.arg = in, .target = hooks_explain_target, .primary = ch.target,
								       .stuck = hooks_stuck, .locker = hooks_locker});
	process.emf = emf_new(in);
	if (!process.monitor || !process.advise || !process.emf)
		return RC_ERROR;
	return wallclock_begin(in->control, process.sink);
}

/* Another instance has changed the schema, or a message that said so may have been missed. */
static void schema_changed(void *arg)
{
	struct instance *in = arg;

	catalog_invalidate(in->catalog);
}

void process_doubt_all(void)
{
	catalog_doubt(process.in.catalog); /* in force meanwhile, or what is to be queued would not be; at the end of its rest memory has it read anew (rest.c) */
	accounts_changed(process.in.accounts);
}

/* The cache is there whenever it could be asked for: a hint needs no rule. */
static enum rc make_cache(const struct settings *s)
{
	struct cache_options opt = process_cache_options(s);

	if (s->cache.memory == 0 && !s->cache.redis)
		return RC_OK;
	opt.schema_changed = schema_changed;
	opt.arg = &process.in;
	process.in.cache = cache_new(&opt, process.in.control, process.in.stats);
	if (!process.in.cache)
		return RC_ERROR;
	cache_distrust(process.in.cache, instance_lag_window(s)); /* C1: of what a process before this one wrote */
	return RC_OK;
}

static enum rc make_follow(const struct settings *s)
{
	if (!s->cache.binlog || !process.in.cache)
		return RC_OK;
	process.follow = follow_new(&process.in);
	return process.follow ? RC_OK : RC_ERROR;
}

static enum rc make_queue(const struct settings *s)
{
	struct queue_options opt = process_queue_options(s);
	char err[512];

	if (!settings_wants_queue(s))
		return RC_OK;
	process.in.queue = queue_open(&opt, process.in.stats, err, sizeof(err));
	if (process.in.queue)
		return RC_OK;
	/* A former process that has it needs somebody to take it. */
	if (!s->queue.nrules && (!takeover_is_one() || queue_place_of(s->queue.dir) == 0)) {
		log_warn("main", "the queue cannot be opened: shared rules for it are refused until a restart", "reason=\"%s\"", err);
		return RC_OK;
	}
	log_error("main", "the queue cannot be opened", "reason=\"%s\"", err);
	return RC_ERROR;
}

static enum rc open_slow_log(const struct settings *s)
{
	char err[512];

	if (stats_slow_log(process.in.stats, s->stats.slow_log, err, sizeof(err)) == RC_OK)
		return RC_OK;
	log_error("main", "the slow log cannot be opened", "reason=\"%s\"", err);
	return RC_ERROR;
}

/* Before there are parts: the settings that they are made of are these. */
static enum rc take_first(const struct settings_shared *doc, struct iobuf *why)
{
	struct settings *s = process_load_again(doc, why);

	if (!s) {
		process_log_refusal("shared rules refused", why);
		return RC_ERROR;
	}
	settings_unref(process.in.settings);
	process.in.settings = s;
	return RC_OK;
}

/* What instances share is in force from the first statement on, if it can be had at all. */
static enum rc make_fleet(void)
{
	const struct settings *s = process.in.settings;
	bool wanted;
	char *copy;

	if (!s->config.source)
		return takeover_shared(NULL);
	copy = kept_shared(s, &wanted);
	if (copy || !wanted)
		process.fleet = fleet_new(&(struct fleet_options){.source = s->config.source, .copy = copy, .take = take_first});
	mem_free(copy);
	if (!process.fleet)
		return RC_ERROR;
	return takeover_shared(process.fleet);
}

static enum rc make_workers(const struct settings *s)
{
	struct instance *in = &process.in;
	unsigned n = s->threads ? (unsigned)s->threads : cpus_usable();

	in->workers = mem_zalloc(n * sizeof(*in->workers));
	for (unsigned i = 0; in->workers && i < n; i++) {
		in->workers[i] = worker_new(in, i);
		if (!in->workers[i])
			return RC_ERROR;
		in->nworkers++;
	}
	return in->workers ? RC_OK : RC_ERROR;
}

static const char *sends_of_all(const struct instance *in)
{
	enum sends_way first = channel_scratch_way(in->workers[0]->scratch);

	for (size_t i = 1; i < in->nworkers; i++)
		if (channel_scratch_way(in->workers[i]->scratch) != first)
			return "mixed";
	return sends_name(first);
}

static enum rc add_listener(struct listener *l, const char *addr, const char *err)
{
	if (!l) {
		log_error("main", "cannot listen for clients", "reason=\"%s\"", err);
		return RC_ERROR;
	}
	(void)snprintf(process.listener_names[process.nlisteners], sizeof(process.listener_names[0]), "%s", addr);
	process.listeners[process.nlisteners++] = l;
	log_info("main", "listening for clients", "addr=%s port=%u", addr, listener_port(l));
	return takeover_is_one() ? listener_pause(l, true) : RC_OK;
}

static int given_socket(void)
{
	int fd = supervisor_client_socket();

	return fd >= 0 ? fd : takeover_socket(HANDOVER_GIVEN);
}

/* Sockets that were handed over stand instead of listen.mysql: whoever binds them decides where clients connect. */
static enum rc take_listeners(void)
{
	char err[512];
	int fd;

	while (process.nlisteners < PROCESS_LISTENERS_MOST && (fd = given_socket()) >= 0)
		if (add_listener(listener_take(process.in.control, fd, on_accept, NULL, err, sizeof(err)), HANDOVER_GIVEN, err) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

/* The former process' socket of the same address, else one of its own. */
static struct listener *open_listener(const struct settings_addr *a, char *err, size_t cap)
{
	int fd = takeover_socket(a->text);
	struct listener *l;

	if (fd < 0)
		return listener_open(process.in.control, a->host, a->port, a->is_unix, on_accept, NULL, err, cap);
	l = listener_take(process.in.control, fd, on_accept, NULL, err, cap);
	if (l && a->is_unix)
		listener_owns(l, a->host);
	return l;
}

enum rc process_listen_again(size_t i)
{
	struct settings *s = instance_settings(&process.in);
	const char *name = process.listener_names[i];
	char err[512] = "it is no address of listen.mysql";
	struct listener *l = NULL;

	for (size_t k = 0; k < s->listen.nmysql && !l; k++)
		if (strcmp(s->listen.mysql[k].text, name) == 0)
			l = open_listener(&s->listen.mysql[k], err, sizeof(err));
	settings_unref(s);
	if (!l) {
		log_error("main", "cannot listen for clients again", "addr=%s reason=\"%s\"", name, err);
		return RC_ERROR;
	}
	listener_free(process.listeners[i]);
	process.listeners[i] = l;
	return listener_pause(l, true);
}

static enum rc open_listeners(const struct settings *s)
{
	char err[512];

	if (take_listeners() != RC_OK)
		return RC_ERROR;
	for (size_t i = 0, taken = process.nlisteners; !taken && i < s->listen.nmysql && i < PROCESS_LISTENERS_MOST; i++) {
		const struct settings_addr *a = &s->listen.mysql[i];

		if (add_listener(open_listener(a, err, sizeof(err)), a->text, err) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc process_open_http(int fd)
{
	char err[512];

	process.admin = admin_open(&process.in, &(struct admin_hooks){.reload = process_reload, .fleet = process.fleet}, fd, err, sizeof(err));
	if (!process.admin) {
		log_error("main", "cannot listen for HTTP", "reason=\"%s\"", err);
		return RC_ERROR;
	}
	log_info("main", "listening for HTTP", "addr=%s port=%u", process.http_name + sizeof(HANDOVER_HTTP), admin_port(process.admin));
	return RC_OK;
}

static enum rc open_http(const struct settings *s)
{
	int fd = supervisor_http_socket();

	if (fd < 0)
		fd = takeover_socket(HANDOVER_HTTP " " HANDOVER_GIVEN);
	(void)snprintf(process.http_name, sizeof(process.http_name), HANDOVER_HTTP " %s", fd >= 0 ? HANDOVER_GIVEN : s->listen.http.text);
	if (fd < 0)
		fd = takeover_socket(process.http_name);
	return process_open_http(fd);
}

static enum rc start_threads(void)
{
	struct instance *in = &process.in;

	if (monitor_start(process.monitor) != RC_OK || catalog_start(in->catalog) != RC_OK ||
	    advise_start(process.advise) != RC_OK || (process.follow && follow_start(process.follow) != RC_OK) ||
	    otlp_start(in->otlp) != RC_OK)
		return RC_ERROR;
	return RC_OK;
}

static enum rc start_workers(void)
{
	for (size_t i = 0; i < process.in.nworkers; i++)
		if (worker_start(process.in.workers[i]) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

enum rc process_serve(void)
{
	struct settings *s = instance_settings(&process.in);
	bool takes_over = takeover_is_one();
	enum rc rc = takes_over ? make_queue(s) : RC_OK;

	if (takes_over)
		FAILPOINT("upgrade-queue");
	if (rc == RC_OK)
		rc = kept_begin(s);
	if (rc == RC_OK)
		rc = start_workers();
	if (rc == RC_OK && process.in.queue)
		rc = queue_start(process.in.queue);
	if (rc == RC_OK && !takes_over)
		rc = open_http(s);
	if (rc == RC_OK)
		rc = emf_configure(process.emf, s);
	settings_unref(s);
	for (size_t i = 0; takes_over && i < process.nlisteners && rc == RC_OK; i++)
		rc = listener_pause(process.listeners[i], false);
	if (takes_over && rc == RC_OK)
		admin_pause(process.admin, false);
	if (process.fleet && rc == RC_OK)
		rc = fleet_start(process.fleet, &(struct fleet_live){process.in.control, process.sink, process_take_shared});
	return rc;
}

/* An address that is taken is to be known before the former process gives anything up. */
static enum rc wait_for_former(void)
{
	struct settings *s = instance_settings(&process.in);
	enum rc rc = open_http(s);

	settings_unref(s);
	if (rc != RC_OK)
		return rc;
	admin_pause(process.admin, true);
	atomic_store(&process.in.cache_rests, takeover_rests_beside_former() ? CACHE_RESTS_BESIDE : CACHE_RESTS_NOT);
	return takeover_wait();
}

/* At once; or, in the place of another process, when that says so. */
static enum rc begin(void)
{
	if (takeover_is_one())
		return wait_for_former();
	return process_serve() == RC_OK ? supervisor_ready(&process.in) : RC_ERROR;
}

/* Down in the reverse order: nobody is left who could call into what is freed. */
static void tear_down(void)
{
	struct instance *in = &process.in;

	rest_end();
	upgrade_end();
	takeover_end();
	supervisor_end();
	admin_close(process.admin);
	for (size_t i = 0; i < process.nlisteners; i++)
		listener_free(process.listeners[i]);
	follow_stop(process.follow);
	advise_stop(process.advise);
	otlp_stop(process.in.otlp);
	catalog_stop(in->catalog);
	monitor_stop(process.monitor);
	if (in->queue)
		queue_stop(in->queue);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_stop(in->workers[i]);
	login_key_free(in->login_key);
	for (size_t i = 0; i < in->nworkers; i++)
		worker_free(in->workers[i]);
	mem_free(in->workers);
	emf_free(process.emf);
	if (in->queue)
		queue_close(in->queue);
	follow_free(process.follow);
	if (in->cache)
		cache_free(in->cache);
	advise_free(process.advise);
	otlp_free(in->otlp);
	monitor_free(process.monitor);
	catalog_free(in->catalog);
	wallclock_end();
	event_free(process.on_term);
	event_free(process.on_int);
	event_free(process.on_hup);
	event_free(process.on_usr2);
	fleet_free(process.fleet);
	loop_free(in->control);
	stats_free(in->stats);
	throttle_free(in->throttle);
	limits_free(in->limits);
	accounts_free(in->accounts);
	topology_free(in->topology);
	settings_unref(in->settings);
}

/* Where acknowledged writes are kept, for the log. */
static const char *queue_text(const struct settings *s)
{
	static const char *const engines[] = {[SETTINGS_ENGINE_FILE] = "",
					      [SETTINGS_ENGINE_REDIS] = "redis",
					      [SETTINGS_ENGINE_SQS] = "sqs",
					      [SETTINGS_ENGINE_KAFKA] = "kafka"};

	if (!settings_wants_queue(s))
		return "off";
	return s->queue.engine == SETTINGS_ENGINE_FILE ? s->queue.dir : engines[s->queue.engine];
}

/* The one line that says what this process is. */
static void log_start(const struct settings *s)
{
	static const char *const consistency[] = {[CONSISTENCY_EVENTUAL] = "eventual", [CONSISTENCY_SESSION] = "session",
						  [CONSISTENCY_STRONG] = "strong"};
	const char *file = s->file ? s->file : "";
	char config[512], queue[512];

	log_info("main", "starting", "version=%s config=%s primary=%s replicas=%zu discovery=%s consistency=%s cache=%s queue=%s users=%zu%s",
		 SUIMON_VERSION, log_quote(config, sizeof(config), span_str(file)), s->primary.text, s->nreplicas,
		 s->discovery_aurora ? "aurora" : "none", consistency[s->routing.consistency],
		 s->cache.redis ? "memory+redis" : s->cache.memory ? "memory" : "off",
		 log_quote(queue, sizeof(queue), span_str(queue_text(s))), s->nusers, s->passthrough ? "+passthrough" : "");
}

int process_run(char **argv, const char *file, const char *primary)
{
	struct instance *in = &process.in;
	struct iobuf faults;
	struct settings *s;
	int code;

	mask_signals(SIG_BLOCK, getpid() == 1); /* a file may be slow to read, and who waits at a terminal ends that */
	iobuf_init(&faults, 1024 * 1024);
	s = settings_load(file, primary, &faults);
	if (!s) {
		(void)fprintf(stderr, "%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
		iobuf_reset(&faults);
		return EXIT_CONFIG;
	}
	iobuf_reset(&faults);
	mask_signals(SIG_BLOCK, true);
	hold_standard_files();
	process.argv = argv;
	process.file = file;
	process.primary = primary;
	process_log_setup(s);
	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	if (libraries_begin() != RC_OK)
		return EXIT_START;
	in->settings = s;
	in->next_session = SESSION_NUMBERS + 1;
	if (takeover_begin() != RC_OK || make_fleet() != RC_OK)
		return EXIT_START;
	s = in->settings;
	in->started_ns = clock_mono_ns();
	in->salt = (uint64_t)clock_wall_us() ^ in->started_ns << 20 ^ (uint64_t)getpid() << 48;
	pthread_mutex_init(&in->settings_lock, NULL);
	pthread_mutex_init(&in->drain_lock, NULL);
	log_start(s);
	if (supervisor_begin() != RC_OK || make_parts(s) != RC_OK || open_slow_log(s) != RC_OK ||
	    make_cache(s) != RC_OK || make_follow(s) != RC_OK || (!takeover_is_one() && make_queue(s) != RC_OK) || make_workers(s) != RC_OK ||
	    !handle_signals() || open_listeners(s) != RC_OK || start_threads() != RC_OK || begin() != RC_OK) {
		log_error("main", "could not start", NULL);
		_exit(EXIT_START); /* threads are at work, with what libraries put away at an exit in order */
	}
	log_info("main", "ready", "workers=%zu sends=%s", in->nworkers, sends_of_all(in));
	code = loop_run(in->control) == 0 ? EXIT_FINE : EXIT_FATAL;
	if (code != EXIT_FINE)
		rest_disown(); /* nothing was drained: that is no end in order */
	tear_down();
	libraries_end();
	log_info("main", "stopped", NULL);
	return code;
}
