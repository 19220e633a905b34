#include "redis_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "log.h"
#include "mem.h"

#define CONNECT_LIMIT_MS 1000   /* for the socket and the greeting together */
#define READ_SIZE (32 * 1024)
#define READS_A_TURN 8          /* then others on the loop have their turn */
#define WAITING_MAX 16384       /* commands without a reply */
#define INFO_MAX (64 * 1024)    /* bytes of the greeting's answers */

static void on_flush(evutil_socket_t fd, short what, void *arg);
static void on_limit(evutil_socket_t fd, short what, void *arg);

struct redis *redis_new(struct event_base *base, const struct redis_options *opt)
{
	struct redis *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	r->opt = *opt;
	r->fd = -1;
	r->base = base;
	iobuf_init(&r->out, opt->output_max);
	r->flush = event_new(base, -1, 0, on_flush, r);
	r->limit = evtimer_new(base, on_limit, r);
	if (!r->flush || !r->limit) {
		redis_free(r);
		return NULL;
	}
	return r;
}

void redis_raise_limits(struct redis *r, size_t reply_max, size_t output_max)
{
	if (reply_max > r->opt.reply_max)
		r->opt.reply_max = reply_max;
	if (output_max > r->out.max)
		r->out.max = output_max;
	if (r->state == REDIS_UP) /* before that the greeting's own limit holds */
		r->budget.max = r->opt.reply_max;
}

static void drop_event(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

/* Everyone waiting hears that nothing will come. They may not send: the state is closed already. */
static void abandon_waiting(struct redis *r)
{
	while (r->count > 0) {
		struct waiting w = r->ring[r->head];

		r->head = (r->head + 1) % r->size;
		r->count--;
		if (w.fn)
			w.fn(w.arg, NULL);
	}
}

static void shut(struct redis *r)
{
	r->state = REDIS_CLOSED;
	r->run = 0;
	r->pushing = false;
	drop_event(&r->readable);
	drop_event(&r->writable);
	event_del(r->flush);
	event_del(r->limit);
	if (r->tls)
		tls_bye(r->tls);
	tls_free(r->tls);
	r->tls = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	if (r->reader)
		redisReaderFree(r->reader);
	r->reader = NULL;
	iobuf_reset(&r->out);
	abandon_waiting(r);
}

void redis_close(struct redis *r, const char *why)
{
	if (r->state == REDIS_CLOSED)
		return;
	shut(r);
	r->opt.ops->down(r->opt.arg, why);
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	if (r->state != REDIS_CLOSED)
		shut(r);
	drop_event(&r->flush);
	drop_event(&r->limit);
	mem_free(r->ring);
	mem_free(r);
}

enum redis_state redis_state(const struct redis *r)
{
	return r->state;
}

size_t redis_waiting(const struct redis *r)
{
	return r->count;
}

uint64_t redis_run(const struct redis *r)
{
	return r->state == REDIS_UP ? r->run : 0;
}

/* ---- sending ---- */

static enum rc waiting_push(struct redis *r, redis_reply_fn fn, void *arg)
{
	if (r->count == r->size) {
		size_t size = r->size ? r->size * 2 : 64;
		struct waiting *ring = size <= WAITING_MAX ? mem_alloc(size * sizeof(*ring)) : NULL;

		if (!ring)
			return RC_ERROR;
		for (size_t i = 0; i < r->count; i++)
			ring[i] = r->ring[(r->head + i) % r->size];
		mem_free(r->ring);
		r->ring = ring;
		r->size = size;
		r->head = 0;
	}
	r->ring[(r->head + r->count++) % r->size] = (struct waiting){.fn = fn, .arg = arg};
	return RC_OK;
}

static enum rc append_command(struct redis *r, unsigned argc, const struct span *argv)
{
	const char *text[REDIS_ARGS_MAX];
	size_t lens[REDIS_ARGS_MAX];
	char *command;
	enum rc rc;
	int len;

	if (argc > REDIS_ARGS_MAX)
		return RC_ERROR;
	for (unsigned i = 0; i < argc; i++) {
		text[i] = argv[i].len ? argv[i].p : "";
		lens[i] = argv[i].len;
	}
	len = redisFormatCommandArgv(&command, (int)argc, text, lens);
	if (len < 0)
		return RC_ERROR;
	rc = iobuf_append(&r->out, command, (size_t)len);
	if (r->out.wipes)
		secret_wipe(command, (size_t)len);
	redisFreeCommand(command);
	if (rc == RC_OK)
		event_active(r->flush, EV_WRITE, 0);
	return rc;
}

enum rc redis_send_now(struct redis *r, unsigned argc, const struct span *argv, redis_reply_fn fn, void *arg)
{
	if (waiting_push(r, fn, arg) != RC_OK)
		return RC_ERROR;
	if (append_command(r, argc, argv) == RC_OK)
		return RC_OK;
	r->count--;
	return RC_ERROR;
}

enum rc redis_send(struct redis *r, unsigned argc, const struct span *argv, redis_reply_fn fn, void *arg)
{
	if (r->state != REDIS_UP || r->pushing)
		return RC_ERROR;
	return redis_send_now(r, argc, argv, fn, arg);
}

enum rc redis_subscribe(struct redis *r, struct span channel)
{
	const struct span argv[] = {span_str("SUBSCRIBE"), channel};

	if (r->state != REDIS_UP || r->count > 0)
		return RC_ERROR;
	r->pushing = true;
	return append_command(r, 2, argv);
}

enum rc redis_send_push(struct redis *r, unsigned argc, const struct span *argv)
{
	return r->state == REDIS_UP && r->pushing ? append_command(r, argc, argv) : RC_ERROR;
}

static void close_errno(struct redis *r, const char *what, int err)
{
	char why[96];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(err));
	redis_close(r, why);
}

static ssize_t send_some(struct redis *r)
{
	const struct iovec iov = {.iov_base = (char *)(uintptr_t)iobuf_data(&r->out), .iov_len = iobuf_len(&r->out)};

	return r->tls ? tls_writev(r->tls, &iov, 1) : send(r->fd, iov.iov_base, iov.iov_len, MSG_NOSIGNAL);
}

static void write_out(struct redis *r)
{
	while (iobuf_len(&r->out) > 0) {
		ssize_t n = send_some(r);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			close_errno(r, "write failed", errno);
			return;
		}
		if (n < 0) {
			if (event_add(r->writable, NULL) != 0)
				redis_close(r, "cannot wait for the socket");
			return;
		}
		iobuf_consume(&r->out, (size_t)n);
	}
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct redis *r = arg;

	if (r->state == REDIS_GREETING || r->state == REDIS_UP)
		write_out(r);
}

/* ---- receiving ---- */

static bool is_refusal(const struct redis_reply *reply)
{
	static const char script[] = "The user executing the script can't"; /* up to Redis 7.0; later ones say NOPERM, too */

	return redis_reply_is(reply, REDIS_REPLY_ERROR) &&
	       (strncmp(reply->str, "NOPERM", 6) == 0 || memmem(reply->str, reply->len, script, sizeof(script) - 1));
}

/* Part of what the caller is for fails, at each try, and only Redis can say why. The greeting's own failure is told by who opened. */
static void tell_refusal(struct redis *r, const struct redis_reply *reply)
{
	char quoted[200];

	if (r->told || r->state != REDIS_UP || !is_refusal(reply))
		return;
	r->told = true;
	log_warn("redis", "Redis refuses a command; its account lacks a right", "host=%s why=%s", r->host,
		 log_quote(quoted, sizeof(quoted), redis_reply_text(reply)));
}

static void deliver(struct redis *r, struct redis_reply *reply)
{
	struct waiting w;

	tell_refusal(r, reply);
	if (r->pushing) {
		r->opt.ops->push(r->opt.arg, reply);
		return;
	}
	if (r->count == 0) {
		redis_reply_free(reply);
		redis_close(r, "a reply to nothing");
		return;
	}
	w = r->ring[r->head];
	r->head = (r->head + 1) % r->size;
	r->count--;
	if (w.fn)
		w.fn(w.arg, reply);
	else
		redis_reply_free(reply);
}

/* All complete replies the reader holds. False: the connection was closed meanwhile. */
static bool deliver_all(struct redis *r)
{
	uint64_t opened = r->opened;

	for (;;) {
		void *reply = NULL;

		if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
			redis_close(r, "a malformed or oversized reply");
			return false;
		}
		if (!reply)
			break;
		r->budget.used = 0;
		deliver(r, reply);
		if (r->state == REDIS_CLOSED || r->opened != opened)
			return false;
	}
	if (r->reader->len - r->reader->pos > r->budget.max) {
		redis_close(r, "an oversized reply");
		return false;
	}
	return true;
}

static void secure(struct redis *r);

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct redis *r = arg;
	char buf[READ_SIZE];

	if (r->state == REDIS_SECURING) {
		secure(r);
		return;
	}
	for (unsigned i = 0; i < READS_A_TURN; i++) {
		ssize_t n = r->tls ? tls_read(r->tls, buf, sizeof(buf)) : recv(r->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			if (n < 0)
				close_errno(r, "read failed", errno);
			else
				redis_close(r, "closed by the server");
			return;
		}
		if (redisReaderFeed(r->reader, buf, (size_t)n) != REDIS_OK) {
			redis_close(r, "out of memory");
			return;
		}
		if (!deliver_all(r) || (size_t)n < sizeof(buf))
			return;
	}
	if (r->tls && tls_pending(r->tls)) /* the socket will not say so */
		event_active(r->readable, EV_READ, 0);
}

/* ---- connecting ---- */

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	redis_close(arg, "no connection within a second");
}

static void greet(struct redis *r)
{
	r->state = REDIS_GREETING;
	if (redis_greet(r) != RC_OK)
		redis_close(r, "out of memory");
}

/* One step of the handshake. */
static void secure(struct redis *r)
{
	bool wants_write;
	char why[200];

	switch (tls_handshake(r->tls, &wants_write)) {
	case RC_OK:
		greet(r);
		break;
	case RC_AGAIN:
		if (wants_write && event_add(r->writable, NULL) != 0)
			redis_close(r, "cannot wait for the socket");
		break;
	default:
		tls_why(r->tls, why, sizeof(why));
		redis_close(r, why);
	}
}

static void connected(struct redis *r)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	if (err) {
		close_errno(r, "cannot connect", err);
		return;
	}
	if (event_add(r->readable, NULL) != 0) {
		redis_close(r, "cannot wait for the socket");
		return;
	}
	if (!r->opt.url->tls) {
		greet(r);
		return;
	}
	r->state = REDIS_SECURING;
	r->tls = tls_open(r->opt.url->context, r->fd, r->host);
	if (!r->tls) {
		redis_close(r, "out of memory");
		return;
	}
	if (r->opt.url->verify && r->opt.url->nseeds) /* nodes may be known to each other by what stands in no certificate */
		tls_also(r->tls, r->opt.url->host);
	secure(r);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct redis *r = arg;

	if (r->state == REDIS_CONNECTING)
		connected(r);
	else if (r->state == REDIS_SECURING)
		secure(r);
	else
		write_out(r);
}

/* A socket under way, its events and a reader. What fails is left to shut(). */
static enum rc start(struct redis *r, const struct sockaddr_storage *to, socklen_t len, const char **why)
{
	const struct timeval limit = {.tv_sec = CONNECT_LIMIT_MS / 1000, .tv_usec = CONNECT_LIMIT_MS % 1000 * 1000};
	int one = 1;

	*why = "cannot make a socket";
	r->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		return RC_ERROR;
	(void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* slower without, no worse */
	*why = "out of memory";
	r->readable = event_new(r->base, r->fd, EV_READ | EV_PERSIST, on_readable, r);
	r->writable = event_new(r->base, r->fd, EV_WRITE, on_writable, r);
	r->reader = redisReaderCreateWithFunctions(&redis_reply_functions);
	if (!r->readable || !r->writable || !r->reader)
		return RC_ERROR;
	r->budget = (struct redis_reply_budget){.max = INFO_MAX};
	r->reader->privdata = &r->budget;
	*why = "cannot connect";
	if (connect(r->fd, (const struct sockaddr *)to, len) != 0 && errno != EINPROGRESS)
		return RC_ERROR;
	if (event_add(r->writable, NULL) != 0 || event_add(r->limit, &limit) != 0)
		return RC_ERROR;
	return RC_OK;
}

void redis_open(struct redis *r, const struct sockaddr_storage *to, socklen_t len, const char *host)
{
	const char *why;

	if (r->state != REDIS_CLOSED)
		log_impossible("redis", "a connection to Redis opened twice", "state=%d", (int)r->state);
	r->state = REDIS_CONNECTING;
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	r->opened++;
	if (start(r, to, len, &why) != RC_OK)
		redis_close(r, why);
}
