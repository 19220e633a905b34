#include "kill_user.h"

#include <string.h>
#include <sys/socket.h>

#include <event2/util.h>

#include "mem.h"
#include "thread.h"

static void end_sessions(struct worker *w, void *arg)
{
	const char *user = arg;

	list_each_safe(&w->sessions, n, tmp) {
		struct session *s = container_of(n, struct session, node);

		if (s->account && strcmp(s->account->user, user) == 0)
			session_close(s, CLOSE_KILLED, "KILL USER");
	}
}

/* The server compares the host with the one that it sees a connection come from: this one. It may call it by a name that only it knows;
 * then the sessions live on, and have lost the connections. */
static bool is_our_host(const struct upstream *u, struct span host)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char text[64] = "";

	if (span_eq(host, span_str("%")))
		return true;
	if (u->backend->is_unix)
		return span_eq(host, span_str("localhost"));
	if (getsockname(u->ch.stream.fd, (struct sockaddr *)&ss, &len) != 0)
		return false;
	if (ss.ss_family == AF_INET)
		(void)evutil_inet_ntop(AF_INET, &((const struct sockaddr_in *)&ss)->sin_addr, text, sizeof(text));
	else if (ss.ss_family == AF_INET6)
		(void)evutil_inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&ss)->sin6_addr, text, sizeof(text));
	if (span_eq(host, span_str("localhost")))
		return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0;
	return span_eq(host, span_str(text));
}

/* The killer's own session may be among them: it has its OK, as the server gives it, before it ends. */
void kill_user_ran(struct request *r)
{
	struct span user, host;
	char *name;

	if (r->error || r->affected == 0 || sql_kill_user_parse(r->sql, r->mode, &user, &host) != RC_OK || !is_our_host(r->s->up, host))
		return;
	name = mem_dup(user.p, user.len);
	if (!name)
		return;
	stats_count(r->worker->sink, STATS_C_KILLS, 1);
	if (!workers_each(r->worker->in, end_sessions, mem_free, name))
		mem_free(name);
}
