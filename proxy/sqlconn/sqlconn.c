#include "sqlconn.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <errmsg.h>
#include <mysql.h>

#include "clock.h"
#include "mem.h"

/* Server errors that say it is not serving: going down, or closed to this host. */
#define ER_SERVER_SHUTDOWN 1053
#define ER_HOST_IS_BLOCKED 1129
#define ER_HOST_NOT_PRIVILEGED 1130
struct sqlconn {
	MYSQL *my;            /* NULL: not connected */
	int wake_fd;          /* readable once interrupted */
	uint64_t deadline_ns; /* of the call that runs */
	unsigned err;
	bool late; /* err came of the deadline */
	char text[256];
};

/* The connection this thread is calling libmariadb for: its io_wait hook has no argument of its own. */
static _Thread_local struct sqlconn *current;

/* 1: ready, -1 and errno: out of time or interrupted. timeout_ms is libmariadb's own idea, which is in whole seconds. */
static int io_wait(my_socket fd, my_bool is_read, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = fd, .events = is_read ? POLLIN : POLLOUT},
			      {.fd = current->wake_fd, .events = POLLIN}};

	for (;;) {
		uint64_t now = clock_mono_ns();
		int rc;

		if (now >= current->deadline_ns) {
			errno = ETIMEDOUT;
			return -1;
		}
		rc = poll(p, 2, (int)((current->deadline_ns - now) / NS_PER_MS) + 1);
		if (rc > 0 && p[1].revents) {
			errno = EINTR;
			return -1;
		}
		if (rc > 0)
			return 1;
		if (rc < 0 && errno != EINTR)
			return -1;
	}
}

static bool interrupted(const struct sqlconn *c)
{
	struct pollfd p = {.fd = c->wake_fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static void library_start(void)
{
	mysql_library_init(0, NULL, NULL);
}

struct sqlconn *sqlconn_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sqlconn *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	pthread_once(&once, library_start);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0) {
		mem_free(c);
		return NULL;
	}
	return c;
}

void sqlconn_interrupt(struct sqlconn *c)
{
	uint64_t one = 1;
	ssize_t n = write(c->wake_fd, &one, sizeof(one));

	(void)n; /* fails only when it is readable already */
}

void sqlconn_close(struct sqlconn *c)
{
	if (!c->my)
		return;
	current = c;
	c->deadline_ns = clock_mono_ns() + 100 * NS_PER_MS; /* COM_QUIT is a courtesy */
	mysql_close(c->my);
	c->my = NULL;
	current = NULL;
}

void sqlconn_free(struct sqlconn *c)
{
	if (!c)
		return;
	sqlconn_close(c);
	close(c->wake_fd);
	mem_free(c);
}

/* ---- errors ---- */

static enum rc fail(struct sqlconn *c, unsigned err, const char *text)
{
	c->err = err;
	c->late = false;
	snprintf(c->text, sizeof(c->text), "%s", text);
	return RC_ERROR;
}

static bool library_error(unsigned err)
{
	return err >= CR_MIN_ERROR && err <= CR_MAX_ERROR;
}

/* Takes over libmariadb's error; a connection that is no good any more is closed. */
static enum rc fail_as_library(struct sqlconn *c)
{
	bool lost = library_error(mysql_errno(c->my));
	bool late = lost && clock_mono_ns() >= c->deadline_ns;

	fail(c, mysql_errno(c->my), late ? "no answer in time" : mysql_error(c->my));
	c->late = late;
	if (lost)
		sqlconn_close(c);
	return RC_ERROR;
}

unsigned sqlconn_errno(const struct sqlconn *c)
{
	return c->err;
}

const char *sqlconn_error(const struct sqlconn *c)
{
	return c->text;
}

bool sqlconn_late(const struct sqlconn *c)
{
	return c->late;
}

bool sqlconn_refused(const struct sqlconn *c)
{
	switch (c->err) {
	case 0:
	case ER_SERVER_SHUTDOWN:
	case ER_HOST_IS_BLOCKED:
	case ER_HOST_NOT_PRIVILEGED:
		return false;
	case CR_AUTH_PLUGIN_CANNOT_LOAD: /* the server was there */
	case CR_AUTH_PLUGIN_ERR:
		return true;
	default:
		return !library_error(c->err);
	}
}

/* ---- connecting ---- */

static enum rc set_options(MYSQL *my, const struct sqlconn_target *t)
{
	unsigned seconds = (unsigned)(t->connect_ns / NS_PER_SEC) + 1; /* io_wait is the one that measures */
	unsigned no = 0, tcp = MYSQL_PROTOCOL_TCP; /* else "localhost" is not that port, but the library's own idea of a socket */
	my_bool off = 0;

	return (t->port && mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &tcp)) ||
			       mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds) ||
			       mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &seconds) ||
			       mysql_optionsv(my, MYSQL_OPT_WRITE_TIMEOUT, &seconds) ||
			       mysql_optionsv(my, MARIADB_OPT_IO_WAIT, io_wait) ||
			       mysql_optionsv(my, MYSQL_OPT_RECONNECT, &off) ||
			       mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &no) ||
			       (t->compress && mysql_optionsv(my, MYSQL_OPT_COMPRESS)) ||
			       mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4") ||
			       mysql_optionsv(my, MYSQL_INIT_COMMAND, "SET autocommit=1")
		     ? RC_ERROR
		     : RC_OK;
}

enum rc sqlconn_connect(struct sqlconn *c, const struct sqlconn_target *t)
{
	bool is_unix = t->port == 0;
	bool ok;

	sqlconn_close(c);
	if (interrupted(c))
		return fail(c, 0, "interrupted");
	c->my = mysql_init(NULL);
	if (!c->my)
		return fail(c, 0, "out of memory");
	if (set_options(c->my, t) != RC_OK) {
		sqlconn_close(c);
		return fail(c, 0, "out of memory");
	}
	current = c;
	c->deadline_ns = clock_mono_ns() + t->connect_ns;
	ok = sqlconn_tls_ask(c->my, &t->tls, is_unix) == RC_OK &&
	     mysql_real_connect(c->my, is_unix ? "localhost" : t->host, t->user, secret_text(t->password).p, NULL,
				t->port, is_unix ? t->host : NULL, 0);
	current = NULL;
	sqlconn_forget_password(c->my);
	if (!sqlconn_tls_stands(c->my, &t->tls, is_unix, ok)) {
		sqlconn_close(c);
		return fail(c, CR_SSL_CONNECTION_ERROR, SQLCONN_NO_TLS);
	}
	if (!ok) {
		fail_as_library(c);
		sqlconn_close(c);
		return RC_ERROR;
	}
	c->err = 0;
	return RC_OK;
}

bool sqlconn_is_open(const struct sqlconn *c)
{
	return c->my != NULL;
}

bool sqlconn_is_mariadb(const struct sqlconn *c)
{
	return mariadb_connection(c->my);
}

unsigned long sqlconn_version(const struct sqlconn *c)
{
	return mysql_get_server_version(c->my);
}

const char *sqlconn_version_text(const struct sqlconn *c)
{
	const char *text = mysql_get_server_info(c->my);

	return text ? text : "";
}

/* ---- statements ---- */

static enum rc give_rows(struct sqlconn *c, MYSQL_RES *res, sqlconn_row_fn fn, void *arg)
{
	unsigned n = mysql_num_fields(res);
	struct span *room = mem_alloc(2 * ((size_t)n + 1) * sizeof(*room));
	struct sqlconn_row row = {.n = n, .value = room, .name = room + n};
	const MYSQL_FIELD *fields = mysql_fetch_fields(res);
	enum rc rc = RC_OK;
	MYSQL_ROW values;

	if (!room)
		return fail(c, 0, "out of memory");
	for (unsigned i = 0; i < n; i++)
		room[n + i] = span_of(fields[i].name, fields[i].name_length);
	while (rc == RC_OK && (values = mysql_fetch_row(res))) {
		const unsigned long *len = mysql_fetch_lengths(res);

		for (unsigned i = 0; i < n; i++)
			room[i] = span_of(values[i], values[i] ? len[i] : 0);
		if (fn)
			rc = fn(arg, &row);
	}
	mem_free(room);
	return rc;
}

static enum rc run(struct sqlconn *c, struct span sql, sqlconn_row_fn row, void *arg)
{
	MYSQL_RES *res;
	enum rc rc;

	if (mysql_real_query(c->my, sql.p, sql.len) != 0)
		return fail_as_library(c);
	res = mysql_use_result(c->my);
	if (!res)
		return mysql_field_count(c->my) ? fail_as_library(c) : RC_OK;
	rc = give_rows(c, res, row, arg);
	mysql_free_result(res); /* reads what is left of it */
	if (!mysql_errno(c->my))
		return rc;
	fail_as_library(c);
	return rc == RC_OK ? RC_ERROR : rc;
}

enum rc sqlconn_query(struct sqlconn *c, struct span sql, uint64_t limit_ns, sqlconn_row_fn row, void *arg)
{
	enum rc rc;

	if (!c->my)
		return fail(c, CR_SERVER_GONE_ERROR, "not connected");
	if (interrupted(c))
		return fail(c, 0, "interrupted");
	c->err = 0;
	c->text[0] = '\0';
	c->deadline_ns = clock_mono_ns() + limit_ns;
	current = c;
	rc = run(c, sql, row, arg);
	current = NULL;
	return rc;
}

struct span sqlconn_field(const struct sqlconn_row *row, const char *name)
{
	struct span key = span_str(name);

	for (unsigned i = 0; i < row->n; i++)
		if (span_ieq(row->name[i], key))
			return row->value[i];
	return span_of(NULL, 0);
}
