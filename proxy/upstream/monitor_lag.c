/*
 * monitor_lag.c - how far a replica is behind: by what it says of its replication threads, or, where the account may not
 * ask for that, by when the primary was seen past the replica's position.
 */
#include <stdio.h>

#include "clock.h"
#include "monitor_impl.h"

struct collected {
	struct lag *out;
	unsigned channels;
};

static bool parse_uint(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 18)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = v;
	return true;
}

/* MySQL 8.0.22 and MariaDB's newer columns say replica and source, older ones slave and master. */
static struct span either(const struct sqlconn_row *row, const char *newer, const char *older)
{
	struct span v = sqlconn_field(row, newer);

	return v.p ? v : sqlconn_field(row, older);
}

/* One channel; the worst of them counts. */
static enum rc on_channel(void *arg, const struct sqlconn_row *row)
{
	struct collected *c = arg;
	struct lag *out = c->out;
	struct span io = either(row, "Replica_IO_Running", "Slave_IO_Running");
	struct span sql = either(row, "Replica_SQL_Running", "Slave_SQL_Running");
	struct span behind = either(row, "Seconds_Behind_Source", "Seconds_Behind_Master");
	uint64_t seconds;

	c->channels++;
	out->replicates = true;
	if (!span_ieq(sql, span_str("Yes"))) {
		struct span error = sqlconn_field(row, "Last_SQL_Error");

		out->stopped = true;
		snprintf(out->why, sizeof(out->why), "its replication does not apply%s%.*s", error.len ? ": " : "",
			 (int)(error.len < 90 ? error.len : 90), error.len ? error.p : "");
	} else if (span_ieq(io, span_str("No"))) {
		out->stopped = true;
		snprintf(out->why, sizeof(out->why), "its replication does not receive");
	} else if (!span_ieq(io, span_str("Yes"))) {
		out->disconnected = true;
	} else if (parse_uint(behind, &seconds)) {
		if (!out->known || seconds * NS_PER_SEC > out->lag_ns)
			out->lag_ns = seconds * NS_PER_SEC;
		out->known = true;
	}
	return RC_OK;
}

static enum rc on_milliseconds(void *arg, const struct sqlconn_row *row)
{
	struct lag *out = arg;
	struct span v = row->n ? row->value[0] : span_of(NULL, 0), whole = v;
	const char *point = v.p ? memchr(v.p, '.', v.len) : NULL;
	uint64_t ms;

	if (point)
		whole.len = (size_t)(point - v.p);
	if (parse_uint(whole, &ms)) {
		out->known = true;
		out->lag_ns = ms * NS_PER_MS;
	}
	return RC_OK;
}

/* Aurora's readers share the writer's storage: no replication threads, a view of their own instead. */
static enum rc ask_aurora(struct watch *w, struct lag *out)
{
	static const char sql[] = "SELECT REPLICA_LAG_IN_MILLISECONDS FROM information_schema.REPLICA_HOST_STATUS "
				  "WHERE SERVER_ID = @@aurora_server_id";

	if (sqlconn_is_mariadb(w->conn))
		return RC_DECLINED;
	if (sqlconn_query(w->conn, span_str(sql), w->conf.connect_ns, on_milliseconds, out) == RC_OK)
		return RC_OK;
	return sqlconn_is_open(w->conn) ? RC_DECLINED : RC_ERROR;
}

static const char *status_sql(const struct watch *w)
{
	if (sqlconn_is_mariadb(w->conn))
		return "SHOW ALL SLAVES STATUS";
	return sqlconn_version(w->conn) >= 80022 ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

enum rc monitor_lag_ask(struct watch *w, struct lag *out)
{
	struct collected c = {.out = out};
	enum rc rc;

	*out = (struct lag){0};
	rc = sqlconn_query(w->conn, span_str(status_sql(w)), w->conf.connect_ns, on_channel, &c);
	if (rc != RC_OK && !sqlconn_is_open(w->conn))
		return RC_ERROR;
	if (rc == RC_OK && c.channels)
		return RC_OK;
	out->denied = rc != RC_OK;
	rc = ask_aurora(w, out);
	if (rc == RC_ERROR)
		return RC_ERROR;
	if (rc == RC_OK && out->known) {
		out->denied = false;
	} else if (!out->denied) {
		out->stopped = true;
		snprintf(out->why, sizeof(out->why), "it replicates from nobody");
	}
	return RC_OK;
}

/* ---- by position ---- */

static const struct lag_mark *mark(const struct lag_history *h, size_t i)
{
	return &h->at[(h->first + i) % LAG_MARKS];
}

void lag_history_saw(struct lag_history *h, const struct gtid_pos *primary, uint64_t asked_ns, uint64_t now_ns)
{
	if (gtid_empty(primary))
		return;
	if (h->n && gtid_reached(&mark(h, h->n - 1)->pos, primary)) {
		h->at[(h->first + h->n - 1) % LAG_MARKS].asked_ns = asked_ns;
		return;
	}
	if (h->n == LAG_MARKS) {
		h->first = (h->first + 1) % LAG_MARKS;
		h->n--;
	}
	h->at[(h->first + h->n) % LAG_MARKS] = (struct lag_mark){.seen_ns = now_ns, .asked_ns = asked_ns, .pos = *primary};
	h->n++;
}

enum rc lag_history_measure(const struct lag_history *h, const struct gtid_pos *replica, uint64_t now_ns,
			    uint64_t *lag_ns)
{
	size_t i = h->n;

	if (h->n == 0 || gtid_empty(replica))
		return RC_DECLINED;
	while (i > 0 && !gtid_reached(replica, &mark(h, i - 1)->pos))
		i--;
	*lag_ns = i == h->n ? 0 : now_ns - mark(h, i)->seen_ns;
	return RC_OK;
}

uint64_t lag_history_fresh(const struct lag_history *h, const struct gtid_pos *replica)
{
	for (size_t i = h->n; i > 0; i--)
		if (gtid_reached(replica, &mark(h, i - 1)->pos))
			return mark(h, i - 1)->asked_ns;
	return 0;
}
