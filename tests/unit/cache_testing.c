#include "cache_testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "rkey.h"
#include "log.h"

/* ---- redis-server ---- */

static struct sockaddr_in loopback(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

unsigned free_port(void)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

bool server_available(void)
{
	return system("command -v redis-server >/dev/null && command -v redis-cli >/dev/null") == 0;
}

static bool answers(unsigned port)
{
	struct sockaddr_in a = loopback(port);
	struct timeval limit = {.tv_sec = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[64];
	bool good;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	good = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
	       recv(fd, buf, sizeof(buf), 0) > 0 && (buf[0] == '+' || strncmp(buf, "-NOAUTH", 7) == 0);
	close(fd);
	return good;
}

static void run_server(const struct server *s)
{
	char port[16];
	const char *argv[32] = {"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s->dir, "--appendonly", "no",
				"--logfile", "log", "--daemonize", "no"};
	unsigned n = 13;
	int null = open("/dev/null", O_RDWR);

	snprintf(port, sizeof(port), "%u", s->port);
	for (unsigned i = 0; i < countof(s->extra) && s->extra[i]; i++)
		argv[n++] = s->extra[i];
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is stopped leaves no server behind */
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(126);
	execvp("redis-server", (char *const *)(uintptr_t)argv);
	_exit(127);
}

void server_start(struct server *s)
{
	if (!s->port) {
		s->port = free_port();
		snprintf(s->dir, sizeof(s->dir), "/tmp/suimon-cache-XXXXXX");
		assert_non_null(mkdtemp(s->dir));
	}
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		run_server(s);
	assert_true(WITHIN(10000, answers(s->port)));
}

void server_stop(struct server *s, int signal)
{
	if (!s->pid)
		return;
	kill(s->pid, signal);
	kill(s->pid, SIGCONT);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void server_remove(struct server *s)
{
	char command[128];

	server_stop(s, SIGKILL);
	if (!s->dir[0])
		return;
	snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
	assert_int_equal(system(command), 0);
}

const char *server_cli(const struct server *s, const char *fmt, ...)
{
	static char out[4096];
	char command[1024];
	size_t n;
	va_list ap;
	FILE *f;
	int at = snprintf(command, sizeof(command), "redis-cli -p %u ", s->port);

	va_start(ap, fmt);
	vsnprintf(command + at, sizeof(command) - (size_t)at, fmt, ap);
	va_end(ap);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	pclose(f);
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	return out;
}

/* ---- the link ---- */

#define PAIRS 32

struct link_state {
	pthread_t thread;
	int listener;
	unsigned to_port;
	_Atomic bool stop, cut, silent;
	_Atomic unsigned delay_ms;
	struct { int client, server; } pair[PAIRS];
};

static void pair_close(struct link_state *s, unsigned i)
{
	close(s->pair[i].client);
	close(s->pair[i].server);
	s->pair[i].client = -1;
}

static void pair_open(struct link_state *s)
{
	struct sockaddr_in a = loopback(s->to_port);
	int client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (unsigned i = 0; i < PAIRS && !s->cut && client >= 0; i++) {
		if (s->pair[i].client >= 0)
			continue;
		if (connect(server, (struct sockaddr *)&a, sizeof(a)) != 0)
			break;
		s->pair[i].client = client;
		s->pair[i].server = server;
		return;
	}
	if (client >= 0)
		close(client);
	close(server);
}

/* False: one side has ended. */
static bool forward(int from, int to)
{
	char buf[65536];
	ssize_t n = recv(from, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN;
	for (ssize_t at = 0; at < n;) {
		ssize_t sent = send(to, buf + at, (size_t)(n - at), MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
	}
	return n > 0;
}

static void pump(struct link_state *s, const struct pollfd *p, unsigned i)
{
	bool good = true;

	if (p[0].revents)
		good = forward(s->pair[i].client, s->pair[i].server);
	if (good && p[1].revents) {
		if (s->delay_ms)
			usleep(s->delay_ms * 1000);
		good = forward(s->pair[i].server, s->pair[i].client);
	}
	if (!good)
		pair_close(s, i);
}

static void link_turn(struct link_state *s)
{
	struct pollfd p[1 + 2 * PAIRS] = {{.fd = s->listener, .events = POLLIN}};

	for (unsigned i = 0; i < PAIRS; i++) {
		if (s->cut && s->pair[i].client >= 0)
			pair_close(s, i);
		p[1 + 2 * i] = (struct pollfd){.fd = s->silent ? -1 : s->pair[i].client, .events = POLLIN};
		p[2 + 2 * i] = (struct pollfd){.fd = s->pair[i].client < 0 || s->silent ? -1 : s->pair[i].server,
					       .events = POLLIN};
	}
	if (poll(p, 1 + 2 * PAIRS, 10) <= 0)
		return;
	for (unsigned i = 0; i < PAIRS; i++) {
		if (s->pair[i].client >= 0 && !s->silent)
			pump(s, &p[1 + 2 * i], i);
	}
	if (p[0].revents)
		pair_open(s);
}

static void *link_run(void *arg)
{
	struct link_state *s = arg;

	while (!s->stop)
		link_turn(s);
	return NULL;
}

struct link link_start(unsigned to_port)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	struct link l = {.state = calloc(1, sizeof(*l.state))};

	assert_non_null(l.state);
	l.state->to_port = to_port;
	for (unsigned i = 0; i < PAIRS; i++)
		l.state->pair[i].client = -1;
	l.state->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l.state->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l.state->listener, 64), 0);
	assert_int_equal(getsockname(l.state->listener, (struct sockaddr *)&a, &len), 0);
	l.port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&l.state->thread, NULL, link_run, l.state), 0);
	return l;
}

void link_stop(struct link *l)
{
	l->state->stop = true;
	pthread_join(l->state->thread, NULL);
	for (unsigned i = 0; i < PAIRS; i++) {
		if (l->state->pair[i].client >= 0)
			pair_close(l->state, i);
	}
	close(l->state->listener);
	free(l->state);
}

void link_cut(struct link *l, bool cut)
{
	l->state->cut = cut;
	usleep(30000);
}

void link_silence(struct link *l, bool silent)
{
	l->state->silent = silent;
	usleep(30000);
}

void link_delay(struct link *l, unsigned ms)
{
	l->state->delay_ms = ms;
}

/* ---- an instance ---- */

void instance_start(struct instance *i, const char *url, uint64_t memory)
{
	struct stats_options so = {.slow_ns = NS_PER_SEC, .digests = 100, .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC};
	struct cache_options co = {.memory = memory, .max_result = 65536, .redis = url, .stale_if_error_ns = 0,
				   .lag_window_ns = i->lag_window_ns, .schema_changed = i->schema_changed,
				   .arg = i->schema_arg};

	log_setup(getenv("CACHE_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_FATAL, false);
	i->stats = stats_new(&so);
	i->control = loop_new("control");
	i->loop = loop_new("worker");
	assert_true(i->stats && i->control && i->loop);
	i->cache = cache_new(&co, i->control, i->stats);
	assert_non_null(i->cache);
	i->worker = cache_worker_new(i->cache, i->loop, stats_sink_new(i->stats, false));
	assert_non_null(i->worker);
	assert_int_equal(loop_start(i->control), RC_OK);
	assert_int_equal(loop_start(i->loop), RC_OK);
}

void instance_join(struct instance *i, const struct instance *first)
{
	*i = *first;
	i->loop = loop_new("worker");
	assert_non_null(i->loop);
	i->worker = cache_worker_new(i->cache, i->loop, stats_sink_new(i->stats, false));
	assert_non_null(i->worker);
	assert_int_equal(loop_start(i->loop), RC_OK);
}

void instance_leave(struct instance *i)
{
	loop_stop(i->loop);
	loop_join(i->loop);
	cache_worker_free(i->worker);
	loop_free(i->loop);
}

void instance_stop(struct instance *i)
{
	loop_stop(i->loop);
	loop_join(i->loop);
	loop_stop(i->control);
	loop_join(i->control);
	cache_worker_free(i->worker);
	cache_free(i->cache);
	loop_free(i->loop);
	loop_free(i->control);
	stats_free(i->stats);
}

struct cache_totals instance_totals(struct instance *i)
{
	struct cache_totals t;

	cache_totals(i->cache, &t);
	return t;
}

uint64_t instance_count(struct instance *i, enum stats_counter c)
{
	return stats_sum(i->stats, c);
}

bool instance_live(struct instance *i)
{
	return instance_totals(i).bus_live;
}

bool instance_wait_live(struct instance *i, bool live, unsigned ms)
{
	return WITHIN(ms, instance_live(i) == live);
}

struct job {
	struct mail mail;
	sem_t done;
	void (*fn)(void *arg);
	void *arg;
};

static void job_run(struct mail *mail)
{
	struct job *j = container_of(mail, struct job, mail);

	j->fn(j->arg);
	sem_post(&j->done);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) != 0)
		assert_int_equal(errno, EINTR);
}

static void run_on(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct job j = {.mail.run = job_run, .fn = fn, .arg = arg};

	sem_init(&j.done, 0, 0);
	loop_post(loop, &j.mail);
	wait_for(&j.done);
	sem_destroy(&j.done);
}

void instance_run(struct instance *i, void (*fn)(void *arg), void *arg)
{
	run_on(i->loop, fn, arg);
}

void instance_control(struct instance *i, void (*fn)(void *arg), void *arg)
{
	run_on(i->control, fn, arg);
}

struct get {
	struct mail mail;
	struct instance *i;
	struct read *r;
	sem_t done;
};

static void get_end(struct get *g, enum rc rc, const struct cache_entry *e)
{
	struct read *r = g->r;

	r->hit = rc == RC_OK;
	if (r->hit) {
		assert_true(e->len < sizeof(r->data));
		memcpy(r->data, cache_entry_data(e), e->len);
		r->data[e->len] = '\0';
		cache_entry_unref(e);
	} else {
		cache_abandon(&r->l, false); /* a test's reads are each for themselves, and may never be filled */
	}
	sem_post(&g->done);
}

static void get_done(struct cache_lookup *l, enum rc rc, const struct cache_entry *e)
{
	get_end(container_of(l, struct read, l)->get, rc, e);
}

static void get_begin(struct mail *mail)
{
	struct get *g = container_of(mail, struct get, mail);
	const struct cache_entry *e = NULL;
	enum rc rc;

	g->r->get = g;
	g->r->l.done = get_done;
	rc = cache_get(g->i->worker, &g->r->l, &e);
	if (rc != RC_AGAIN)
		get_end(g, rc, e);
}

bool read_get(struct instance *i, struct read *r, const char *key, cache_tag tag)
{
	struct get g = {.mail.run = get_begin, .i = i, .r = r};
	uint64_t began = clock_mono_ns();

	memset(r, 0, sizeof(*r));
	snprintf(r->key, sizeof(r->key), "%s", key);
	r->tag = tag;
	r->l.key = span_str(r->key);
	r->l.tags = &r->tag;
	r->l.ntags = 1;
	sem_init(&g.done, 0, 0);
	loop_post(i->loop, &g.mail);
	wait_for(&g.done);
	sem_destroy(&g.done);
	r->took_ns = clock_mono_ns() - began;
	return r->hit;
}

struct fill {
	struct instance *i;
	struct read *r;
	const char *data;
	enum cache_refusal why;
};

static void fill_run(void *arg)
{
	struct fill *f = arg;

	f->why = cache_fill(f->i->worker, &f->r->l, span_str(f->data), 60 * NS_PER_SEC, 1, 1000, 2);
}

enum cache_refusal read_fill(struct instance *i, struct read *r, const char *data)
{
	struct fill f = {.i = i, .r = r, .data = data};

	instance_run(i, fill_run, &f);
	return f.why;
}

struct invalidation {
	struct instance *i;
	cache_tag tag;
	const struct cache_pos *pos;
};

static void invalidation_run(void *arg)
{
	struct invalidation *v = arg;

	cache_invalidate(v->i->worker, CACHE_BY_WRITE, &v->tag, 1, v->pos, 0);
}

void instance_invalidate(struct instance *i, cache_tag tag, const struct cache_pos *pos)
{
	struct invalidation v = {.i = i, .tag = tag, .pos = pos};

	instance_run(i, invalidation_run, &v);
}

/* ---- two instances ---- */

struct pair two;

void pair_start(const char *const *extra, const char *url_fmt)
{
	char url[128];

	memset(&two, 0, sizeof(two));
	for (unsigned i = 0; extra && i < countof(two.server.extra) - 1 && extra[i]; i++)
		two.server.extra[i] = extra[i];
	server_start(&two.server);
	two.link = link_start(two.server.port);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(url, sizeof(url), url_fmt, two.server.port);
	instance_start(&two.a, url, PAIR_MEMORY);
	snprintf(url, sizeof(url), url_fmt, two.link.port);
	instance_start(&two.b, url, PAIR_MEMORY);
#pragma GCC diagnostic pop
}

int pair_setup(void **state)
{
	pair_start(NULL, "redis://127.0.0.1:%u/0");
	assert_true(instance_wait_live(&two.a, true, 5000));
	assert_true(instance_wait_live(&two.b, true, 5000));
	return 0;
}

int pair_teardown(void **state)
{
	instance_stop(&two.a);
	instance_stop(&two.b);
	link_stop(&two.link);
	server_remove(&two.server);
	return 0;
}

const char *value_name(const char *key)
{
	static struct rkey n;
	struct rkeys k;

	assert_int_equal(rkeys_init(&k, span_str("")), RC_OK);
	n = rkey_value(&k, span_str(key));
	return n.text;
}

bool in_redis(const char *name)
{
	return strcmp(server_cli(&two.server, "EXISTS %s", name), "1") == 0;
}

void fill_through(struct instance *i, const char *key, const char *data)
{
	struct read r;

	/* The first look-ups may come before the worker's connection is up. */
	assert_true(WITHIN(3000, (!read_get(i, &r, key, PAIR_TAG) && r.l.tokens_known)));
	assert_int_equal(read_fill(i, &r, data), CACHE_STORED);
	assert_true(WITHIN(2000, in_redis(value_name(key))));
}
