/*
 * entry.c - what comes before the greeting: a PROXY header from those who owe one, and the door for addresses that guess
 * passwords.
 */
#include <stdio.h>
#include <string.h>

#include "cidr.h"
#include "clock.h"
#include "proxy_header.h"
#include "request.h"

static bool owes_header(const struct session *s)
{
	const struct settings *cfg = s->worker->settings;
	uint8_t addr[16];

	if (cfg->listen.nproxy_protocol == 0 || cidr_address(s->peer, addr) != RC_OK)
		return false;
	for (size_t i = 0; i < cfg->listen.nproxy_protocol; i++)
		if (cidr_has(&cfg->proxy_networks[i], addr))
			return true;
	return false;
}

static void admit(struct session *s)
{
	if (entry_is_blocked(s))
		return;
	if (login_greet(s) == RC_ERROR)
		session_close(s, CLOSE_MEMORY, "no greeting");
}

void entry_begin(struct session *s)
{
	if (owes_header(s))
		session_set_state(s, SESSION_HEADER);
	else
		admit(s);
}

bool entry_is_blocked(struct session *s)
{
	if (!throttle_blocks(s->worker->in->throttle, s->peer, clock_mono_ns()))
		return false;
	stats_count(s->worker->sink, STATS_C_AUTH_THROTTLED, 1);
	reply_error(s, 1129, "HY000", "host '%s' is blocked because of many failed logins; it may try again in a second", s->peer);
	session_close(s, CLOSE_AUTH, "too many failed logins from its address");
	return true;
}

size_t entry_header(struct session *s, const uint8_t *p, size_t len)
{
	struct proxy_header h;
	const char *why = "";

	switch (proxy_header_parse(p, len, &h, &why)) {
	case RC_AGAIN:
		return 0;
	case RC_OK:
		s->proxied = true;
		if (!h.own) {
			memcpy(s->peer, h.peer, sizeof(h.peer));
			s->peer_len = (uint8_t)strlen(s->peer);
		}
		stats_count(s->worker->sink, STATS_C_PROXY_HEADERS, 1);
		session_set_state(s, SESSION_GREETED);
		admit(s);
		return h.len;
	default:
		reply_error(s, 1043, "08S01", "%s", why);
		session_close(s, CLOSE_MALFORMED, why);
		return len;
	}
}

void entry_tick(struct session *s, uint64_t now)
{
	if (now - s->active_ns <= s->worker->settings->listen.handshake_timeout_ns)
		return;
	reply_error(s, 1043, "08S01", "no PROXY header came within listen.handshake_timeout, and listen.proxy_protocol expects one "
				      "from %s", s->peer);
	session_close(s, CLOSE_TIMEOUT, "no PROXY header");
}
