/*
 * monitor_aurora.c - discovery: aurora. Every server of the cluster lists them all:
 *
 *   each check → replica_host_status → servers not known yet join the topology and get a watch of their own
 *                                    → the writer's list says who has left
 *
 * Who the writer is follows from what each server says of itself (innodb_read_only), as anywhere else (topology.h): the
 * list may be seconds old. The configured endpoint is where it begins, and what is left when no server can be reached by
 * its own name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "monitor_impl.h"

#define ROW_TOO_OLD_US (300 * 1000000ll) /* a server that has said nothing for so long is no more: the AWS drivers' limit */

struct collected {
	struct topology_listing list;
	const struct watch *w;
	struct lag *own;
	bool is_writer; /* the server that answers */
	bool bad;
};

/* "?" becomes id. false: it cannot be a host name. */
static bool name_of(const char *template, struct span id, char *out, size_t cap)
{
	const char *mark = strchr(template, '?');
	int n;

	for (size_t i = 0; i < id.len; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			return false;
	}
	n = snprintf(out, cap, "%.*s" SPAN_FMT "%s", (int)(mark - template), template, SPAN_ARG(id), mark + 1);
	return id.len && n > 0 && (size_t)n < cap;
}

/* A number with a fraction perhaps; RC_DECLINED: NULL or none. */
static enum rc take_us(struct span v, double factor, int64_t *us)
{
	char text[32], *end;
	double d;

	if (!v.p || v.len == 0 || v.len >= sizeof(text))
		return RC_DECLINED;
	memcpy(text, v.p, v.len);
	text[v.len] = '\0';
	d = strtod(text, &end);
	if (*end || !(d > -1e12 && d < 1e12))
		return RC_DECLINED;
	*us = (int64_t)(d * factor);
	return RC_OK;
}

static void take_own_lag(struct collected *c, const struct sqlconn_row *row)
{
	int64_t lag_us, age_us;

	if (take_us(sqlconn_field(row, "lag"), 1000, &lag_us) != RC_OK)
		lag_us = 0; /* the writer has none */
	c->own->known = true;
	c->own->lag_ns = lag_us > 0 ? (uint64_t)lag_us * 1000 : 0;
	if (take_us(sqlconn_field(row, "age"), 1, &age_us) == RC_OK && age_us >= 0 && age_us < ROW_TOO_OLD_US) {
		c->own->exact = true;
		c->own->age_ns = (uint64_t)age_us * 1000;
	}
}

static enum rc on_server(void *arg, const struct sqlconn_row *row)
{
	struct collected *c = arg;
	struct span id = sqlconn_field(row, "id"), mine = sqlconn_field(row, "mine");
	bool writer = span_eq(sqlconn_field(row, "session"), span_str("MASTER_SESSION_ID"));
	int64_t age_us;

	if (mine.len == 1 && mine.p[0] == '1') {
		take_own_lag(c, row);
		c->is_writer = writer;
	}
	if (!writer && take_us(sqlconn_field(row, "age"), 1, &age_us) == RC_OK && age_us > ROW_TOO_OLD_US)
		return RC_OK;
	if (c->list.n == TOPOLOGY_LISTED_MOST ||
	    !name_of(c->w->conf.aurora_host, id, c->list.host[c->list.n], sizeof(c->list.host[0]))) {
		c->bad = true;
		return RC_OK;
	}
	c->list.n++;
	return RC_OK;
}

static void said_once(struct watch *w, const char *what, const char *detail)
{
	char quoted[320];

	if (!w->said_aurora)
		log_warn("monitor", what, "addr=%s detail=%s", w->b->text,
			 log_quote(quoted, sizeof(quoted), span_str(detail)));
	w->said_aurora = true;
}

enum rc monitor_aurora_ask(struct watch *w, struct lag *own)
{
	static const char sql[] =
		"SELECT SERVER_ID id, SESSION_ID session, REPLICA_LAG_IN_MILLISECONDS lag, "
		"TIMESTAMPDIFF(MICROSECOND, LAST_UPDATE_TIMESTAMP, NOW(6)) age, SERVER_ID = @@aurora_server_id mine "
		"FROM information_schema.replica_host_status";
	struct collected collected = {.w = w, .own = own}, *c = &collected;

	*own = (struct lag){0};
	if (sqlconn_query(w->conn, span_str(sql), w->conf.connect_ns, on_server, c) != RC_OK) {
		if (!sqlconn_is_open(w->conn))
			return RC_ERROR;
		said_once(w, "discovery: the server does not list a cluster: is it Aurora?", sqlconn_error(w->conn));
		return RC_DECLINED;
	}
	if (c->bad)
		said_once(w, "discovery: too many servers, or an identifier that is no host name", "replica_host_status");
	if (c->list.n == 0)
		return RC_DECLINED;
	c->list.complete = c->is_writer && !c->bad;
	topology_listed(w->m->topology, &c->list);
	monitor_follow(w->m);
	return RC_OK;
}
