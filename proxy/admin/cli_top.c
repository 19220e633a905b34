/*
 * cli_top.c - `suimon top`: asks a running instance every second and shows a frame, until q or Ctrl-C.
 *
 * Keys, signals and the timer are events of the HTTP client's loop: they are served while an answer is awaited.
 */
#include "cli_top.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <event2/http.h>

#include "cli.h"
#include "cli_options.h"

static const char usage_text[] =
	"usage: suimon top [--http HOST:PORT] [-c FILE] [--user NAME] [--schema NAME] [--interval SECONDS] [--once]\n"
	"  --http HOST:PORT    the instance (default: listen.http of -c FILE, else $SUIMON_HTTP, else 127.0.0.1:6034)\n"
	"  --token TOKEN       its admin_token (default: $SUIMON_ADMIN_TOKEN, else that of -c FILE)\n"
	"  --user NAME         statements of this account alone\n"
	"  --schema NAME       statements sent in this schema alone\n"
	"  --interval SECONDS  between two looks (default: 1)\n"
	"  --once              one frame as plain text, and done\n"
	"keys: q leave, t c p r sort by total time, calls, p99, rows examined\n";

#define ENTER_SCREEN "\033[?1049h\033[?25l\033[?7l"
#define LEAVE_SCREEN "\033[?7h\033[?25h\033[?1049l"

struct top {
	const struct cli_options *o;
	struct cli_http *http;
	struct top_answers now, then;
	const char *sort;
	bool quit, due;
	struct termios saved;
	struct event *events[5];
	size_t nevents;
};

/* ---- asking ---- */

/* Appends a parameter, unless it is NULL. */
static enum rc put_param(struct iobuf *path, const char *name, const char *value)
{
	char *encoded = value ? evhttp_encode_uri(value) : NULL;
	enum rc rc = encoded ? iobuf_printf(path, "&%s=%s", name, encoded) : value ? RC_ERROR : RC_OK;

	free(encoded);
	return rc;
}

/* NUL-terminated. */
static enum rc put_queries(const struct top *t, struct iobuf *path)
{
	if (iobuf_printf(path, "/api/queries?limit=100&sort=%s", t->sort) != RC_OK || put_param(path, "user", t->o->user) != RC_OK ||
	    put_param(path, "schema", t->o->schema) != RC_OK)
		return RC_ERROR;
	return iobuf_append(path, "", 1);
}

static enum rc ask_all(struct top *t)
{
	struct iobuf queries;
	const struct {
		const char *path;
		json_t **answer;
	} calls[] = {
		{"/api/overview", &t->now.overview}, {NULL, &t->now.queries},       {"/api/findings", &t->now.findings},
		{"/api/backends", &t->now.backends}, {"/api/cache", &t->now.cache}, {"/api/queue", &t->now.queue},
	};
	enum rc rc;

	iobuf_init(&queries, 0);
	rc = put_queries(t, &queries);
	for (size_t i = 0; i < countof(calls) && rc == RC_OK; i++)
		rc = cli_http_get(t->http, calls[i].path ? calls[i].path : (const char *)iobuf_data(&queries), calls[i].answer);
	iobuf_reset(&queries);
	return rc;
}

/* The answers of the time before become those that rates are taken from; of another process they are not. */
static enum rc look(struct top *t)
{
	const json_t *now, *then;

	if (t->now.overview) {
		top_answers_reset(&t->then);
		t->then = t->now;
		t->now = (struct top_answers){NULL};
	}
	if (ask_all(t) != RC_OK) {
		top_answers_reset(&t->now);
		return RC_ERROR;
	}
	now = json_object_get(t->now.overview, "uptime");
	then = json_object_get(t->then.overview, "uptime");
	if (json_number_value(now) < json_number_value(then))
		top_answers_reset(&t->then);
	return RC_OK;
}

/* ---- showing ---- */

static void write_all(const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

/* Every line clears what stood behind it, the last one what stood below. */
static enum rc to_screen(struct iobuf *screen, const struct iobuf *frame)
{
	const char *p = (const char *)iobuf_data(frame), *end = p + iobuf_len(frame);
	enum rc rc = iobuf_printf(screen, "\033[H");

	for (bool first = true; rc == RC_OK && p < end; first = false) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		nl = nl ? nl : end;
		rc = iobuf_printf(screen, "%s%s%.*s\033[0m\033[K", first ? "" : "\r\n", first ? "\033[7m" : "",
				  (int)(nl - p), p);
		p = nl + 1;
	}
	return rc == RC_OK ? iobuf_printf(screen, "\033[J") : rc;
}

static void show(struct top *t, const char *problem)
{
	struct top_view v = {
		.now = &t->now,
		.then = &t->then,
		.where = cli_http_where(t->http),
		.problem = problem,
		.sort = t->sort,
		.user = t->o->user,
		.schema = t->o->schema,
		.width = 160,
		.height = 60,
	};
	struct iobuf frame, screen;
	struct winsize ws;

	if (!t->o->once && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col && ws.ws_row) {
		v.width = ws.ws_col;
		v.height = ws.ws_row;
	}
	iobuf_init(&frame, 0);
	iobuf_init(&screen, 0);
	if (top_frame(&frame, &v) == RC_OK) {
		if (t->o->once)
			write_all(iobuf_data(&frame), iobuf_len(&frame));
		else if (to_screen(&screen, &frame) == RC_OK)
			write_all(iobuf_data(&screen), iobuf_len(&screen));
	}
	iobuf_reset(&frame);
	iobuf_reset(&screen);
}

/* ---- the terminal ---- */

static void leave(struct top *t)
{
	t->quit = true;
	cli_http_abort(t->http);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct top *t = arg;

	if (sig == SIGWINCH)
		t->due = true;
	else
		leave(t);
}

static void on_key(evutil_socket_t fd, short what, void *arg)
{
	static const struct {
		char key;
		const char *sort;
	} keys[] = {{'t', "total_time"}, {'c', "calls"}, {'p', "p99"}, {'r', "rows_examined"}};
	struct top *t = arg;
	char c;

	if (read(fd, &c, 1) != 1 || c == 'q' || c == 'Q') {
		leave(t);
		return;
	}
	for (size_t i = 0; i < countof(keys); i++) {
		if (keys[i].key == c) {
			t->sort = keys[i].sort;
			t->due = true;
		}
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct top *t = arg;

	t->due = true;
}

static enum rc add_event(struct top *t, int fd, short what, event_callback_fn fn, const struct timeval *tv)
{
	struct event *e = event_new(cli_http_base(t->http), fd, what, fn, t);

	if (!e || event_add(e, tv) != 0) {
		if (e)
			event_free(e);
		return RC_ERROR;
	}
	t->events[t->nevents++] = e;
	return RC_OK;
}

static enum rc add_events(struct top *t)
{
	struct timeval tv = {.tv_sec = (time_t)t->o->interval};

	if (add_event(t, SIGINT, EV_SIGNAL | EV_PERSIST, on_signal, NULL) != RC_OK ||
	    add_event(t, SIGTERM, EV_SIGNAL | EV_PERSIST, on_signal, NULL) != RC_OK ||
	    add_event(t, SIGWINCH, EV_SIGNAL | EV_PERSIST, on_signal, NULL) != RC_OK ||
	    add_event(t, STDIN_FILENO, EV_READ | EV_PERSIST, on_key, NULL) != RC_OK ||
	    add_event(t, -1, EV_PERSIST, on_timer, &tv) != RC_OK) {
		(void)fprintf(stderr, "suimon top: out of memory, or the input is no terminal\n");
		return RC_ERROR;
	}
	return RC_OK;
}

static bool enter_terminal(struct top *t)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &t->saved) != 0)
		return false;
	raw = t->saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped process would leave the terminal like this */
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
		return false;
	write_all(ENTER_SCREEN, strlen(ENTER_SCREEN));
	return true;
}

static int run_live(struct top *t)
{
	if (!enter_terminal(t)) {
		(void)fprintf(stderr, "suimon top: the input is no terminal; use --once\n");
		return CLI_REFUSED;
	}
	if (add_events(t) != RC_OK)
		t->quit = true;
	while (!t->quit) {
		enum rc rc = look(t);

		t->due = false;
		if (!t->quit)
			show(t, rc == RC_OK ? NULL : cli_http_why(t->http));
		while (!t->quit && !t->due)
			if (event_base_loop(cli_http_base(t->http), EVLOOP_ONCE) != 0)
				t->quit = true;
	}
	write_all(LEAVE_SCREEN, strlen(LEAVE_SCREEN));
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
	return CLI_FINE;
}

static int run_once(struct top *t)
{
	enum rc rc = look(t);

	if (rc == RC_OK)
		show(t, NULL);
	else
		(void)fprintf(stderr, "suimon top: %s\n", cli_http_why(t->http));
	return rc == RC_OK ? CLI_FINE : CLI_UNREACHED;
}

int cli_top(int argc, char **argv)
{
	struct cli_options o;
	struct top t = {.o = &o, .sort = "total_time"};
	int code;

	if (cli_options_parse(argc, argv, &o) != RC_OK || o.nwords > 0 || o.dir || o.json || o.pending) {
		(void)fputs(usage_text, stderr);
		return CLI_REFUSED;
	}
	if (o.help) {
		(void)fputs(usage_text, stdout);
		return CLI_FINE;
	}
	o.once = o.once || !isatty(STDOUT_FILENO);
	t.http = cli_options_connect(&o);
	if (!t.http)
		return CLI_REFUSED;
	code = o.once ? run_once(&t) : run_live(&t);
	for (size_t i = 0; i < t.nevents; i++)
		event_free(t.events[i]);
	top_answers_reset(&t.now);
	top_answers_reset(&t.then);
	cli_http_free(t.http);
	return code;
}
