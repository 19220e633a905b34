/*
 * monitor_login.c - as whom the monitor asks, and where: accounts and addresses.
 */
#include <netdb.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "monitor_impl.h"

#define DENIED_AGAIN_NS (10 * NS_PER_SEC)          /* how long a refused account is not tried again */
#define RESOLVE_AGAIN_NS (5 * NS_PER_SEC)          /* names move: a cluster's endpoint at a failover */
#define RESOLVE_AFTER_FAILURE_NS (30 * NS_PER_SEC) /* a resolver that is gone may take long to say so */
#define ER_TOO_MANY_CONNECTIONS 1040

enum rc monitor_choose(struct watch *w, struct login_as *as)
{
	*as = (struct login_as){.user = w->conf.user, .password = w->conf.password, .login = 1};
	if (w->conf.user[0])
		return RC_OK;
	as->account = accounts_any(w->m->accounts);
	if (!as->account)
		return RC_DECLINED;
	as->user = as->account->user;
	as->password = as->account->password;
	as->login = as->account->id + 2;
	return RC_OK;
}

/* By the address that the workers use, so that one that is resolved wrongly is noticed; by name where the server's certificate
 * must bear it. */
static enum rc address_text(struct backend *b, bool by_name, char *out, size_t cap, uint16_t *port)
{
	struct sockaddr_storage addr;
	socklen_t len;

	*port = b->is_unix ? 0 : b->port;
	if (b->is_unix || by_name) {
		snprintf(out, cap, "%s", b->host);
		return RC_OK;
	}
	if (backend_address(b, &addr, &len) != RC_OK)
		return RC_ERROR;
	return getnameinfo((struct sockaddr *)&addr, len, out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) == 0 ? RC_OK
													     : RC_ERROR;
}

void monitor_refused(struct watch *w, const struct login_as *as)
{
	char user[256], quoted[320];

	if (sqlconn_errno(w->conn) == ER_TOO_MANY_CONNECTIONS)
		return; /* not the account's fault: the next check tries again */
	w->denied_login = as->login;
	w->denied_ns = clock_mono_ns();
	if (!w->said_denied)
		log_warn("monitor",
			 "the server refuses the account that checks it: set backend.monitor.user and password",
			 "addr=%s user=%s error=%u text=%s", w->b->text, log_quote(user, sizeof(user), span_str(as->user)), sqlconn_errno(w->conn),
			 log_quote(quoted, sizeof(quoted), span_str(sqlconn_error(w->conn))));
	w->said_denied = true;
}

enum rc monitor_log_in(struct watch *w, const struct login_as *as)
{
	char host[256];
	struct sqlconn_target t = {
		.host = host, .user = as->user, .password = as->password, .connect_ns = w->conf.connect_ns, .tls = w->conf.tls,
		.compress = w->conf.compress};

	if (address_text(w->b, w->conf.tls.mode == TLS_VERIFY_IDENTITY, host, sizeof(host), &t.port) != RC_OK)
		return RC_ERROR;
	if (sqlconn_connect(w->conn, &t) == RC_OK) {
		w->plain_variables = false;
		return RC_OK;
	}
	if (!sqlconn_refused(w->conn))
		return RC_ERROR;
	monitor_refused(w, as);
	return RC_DECLINED;
}

bool monitor_is_pointless(const struct watch *w, const struct login_as *as)
{
	return !sqlconn_is_open(w->conn) && w->denied_login == as->login && backend_state(w->b) == BACKEND_UP &&
	       clock_mono_ns() - w->denied_ns < DENIED_AGAIN_NS;
}

enum rc monitor_resolve(struct watch *w)
{
	struct sockaddr_storage before, after;
	socklen_t had, has;
	uint64_t now = clock_mono_ns();
	bool failed_before;

	if (backend_address(w->b, &before, &had) == RC_OK && now < w->resolve_ns)
		return RC_OK;
	w->resolve_ns = now + RESOLVE_AGAIN_NS;
	failed_before = w->resolve_failed;
	w->resolve_failed = backend_resolve(w->b) != RC_OK;
	if (w->resolve_failed) {
		stats_count(w->sink, STATS_C_RESOLVE_FAILURES, 1);
		if (!failed_before)
			log_warn("monitor", "a server's name cannot be resolved: its last address is used, if it had one",
				 "addr=%s known=%s", w->b->text, had ? "yes" : "no");
		w->resolve_ns = now + RESOLVE_AFTER_FAILURE_NS;
		return had ? RC_OK : RC_ERROR;
	}
	if (backend_address(w->b, &after, &has) == RC_OK && had && (had != has || memcmp(&before, &after, has) != 0))
		sqlconn_close(w->conn);
	return RC_OK;
}
