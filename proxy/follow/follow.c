/*
 * follow.c - the follower's life: a thread with a loop, a connection for the dump, one for questions.
 *
 *   FOLLOW_WAITING → follow_ask_begin → FOLLOW_LEASING → SET … → FOLLOW_SETTING → COM_BINLOG_DUMP → FOLLOW_STREAMING
 *     → (lost, silent, refused, another primary) follow_drop → FOLLOW_WAITING
 *
 * A new connection goes on behind the last position of which all was done. Where that is not to be had any more, everything stored is
 * dropped, and it begins where the primary is.
 */
#include "follow_impl.h"

#include <stdio.h>
#include <string.h>

#include "hooks.h"
#include "log.h"
#include "mem.h"
#include "packet.h"
#include "worker.h"

#define TICK_NS (100 * NS_PER_MS)
#define SOON_NS (5 * NS_PER_MS)      /* between two questions about what waits */
#define ASK_NS (500 * NS_PER_MS)     /* between two questions otherwise */
#define RETRY_NS NS_PER_SEC
#define LEASE_NS (5 * NS_PER_SEC)    /* to connect, and to set what the dump needs */
#define SILENT_NS (5 * NS_PER_SEC)   /* the server has promised a heartbeat in a tenth of that */
#define HEARTBEAT "500000000"        /* nanoseconds */

#define ER_FATAL_READING_BINLOG 1236 /* among others: the position is not there any more */

static void move(struct follow *f, enum follow_state to)
{
	f->state = to;
	f->since_ns = clock_mono_ns();
}

void follow_drop(struct follow *f, const char *why)
{
	struct upstream *u = f->up;

	if (f->state == FOLLOW_WAITING)
		return;
	if (f->state == FOLLOW_LEASING)
		lease_cancel(f->leases, &f->request);
	stats_count(f->sink, STATS_C_CACHE_BINLOG_ERRORS, 1);
	follow_say(f, "why", why);
	log_debug("follow", "dropped", "addr=%s why=\"%s\"", f->backend->text, why);
	f->up = NULL;
	f->good = false;
	move(f, FOLLOW_WAITING);
	f->retry_ns = f->since_ns + RETRY_NS;
	if (u)
		lease_discard(u, why);
	sqlconn_close(f->conn);
	f->tx.open = f->tx.many = false; /* what was read of it is read again, if it was committed at all */
	follow_answer_forget(&f->goal);
	follow_settle_unproven(f);
}

void follow_gap(struct follow *f, const char *why)
{
	char quoted[400];

	log_warn("follow", "the primary's binary log cannot be continued where it was left: everything stored is dropped",
		 "addr=%s from=%s why=%s", f->backend->text, f->resume, log_quote(quoted, sizeof(quoted), span_str(why)));
	stats_count(f->sink, STATS_C_CACHE_BINLOG_GAPS, 1);
	mem_free(f->resume);
	f->resume = NULL;
}

/* ---- the dump ---- */

static enum rc put_dump_gtid(struct follow *f, struct iobuf *b)
{
	struct iobuf set;
	enum rc rc;

	iobuf_init(&set, 0);
	rc = binlog_gtids_encode(span_str(f->resume), &set);
	if (rc == RC_OK &&
	    (packet_put_uint(b, COM_BINLOG_DUMP_GTID, 1) != RC_OK || packet_put_uint(b, 0, 2) != RC_OK ||
	     packet_put_uint(b, f->own_id, 4) != RC_OK || packet_put_uint(b, 0, 4) != RC_OK || /* no file's name */
	     packet_put_uint(b, 4, 8) != RC_OK || packet_put_uint(b, iobuf_len(&set), 4) != RC_OK ||
	     iobuf_append(b, iobuf_data(&set), iobuf_len(&set)) != RC_OK))
		rc = RC_ERROR;
	iobuf_reset(&set);
	return rc;
}

static enum rc put_dump(struct follow *f, struct iobuf *b)
{
	if (f->mysql)
		return put_dump_gtid(f, b);
	if (packet_put_uint(b, COM_BINLOG_DUMP, 1) != RC_OK || packet_put_uint(b, 4, 4) != RC_OK || packet_put_uint(b, 0, 2) != RC_OK)
		return RC_ERROR;
	return packet_put_uint(b, f->own_id, 4);
}

static void begin_dump(struct follow *f)
{
	struct iobuf b;
	enum rc rc;

	iobuf_init(&b, 0);
	rc = put_dump(f, &b);
	follow_stream_begin(f);
	f->heard_ns = clock_mono_ns();
	f->error_code = 0;
	if (rc == RC_OK)
		move(f, FOLLOW_STREAMING);
	if (rc == RC_OK && upstream_command(f->up, TRACK_ROWS, iobuf_data(&b), iobuf_len(&b)) != RC_OK)
		rc = RC_ERROR;
	iobuf_reset(&b);
	if (rc != RC_OK) {
		follow_drop(f, rc == RC_DECLINED ? "its GTIDs cannot be read" : "the dump could not be asked for");
		return;
	}
	if (f->anew) { /* the position was read before: what was written behind it comes, what was before it ends here */
		cache_renumber(f->in->cache, CACHE_BY_BINLOG, instance_lag_window(f->settings));
		f->anew = false;
	}
}

/* What the server must know of us before it dumps: that we know GTIDs and checksums, how often we want to hear from it, and that a
 * position it does not have is an error. */
static void set_up(struct follow *f)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "SET @master_binlog_checksum=@@global.binlog_checksum,@source_binlog_checksum=@@global.binlog_checksum,"
				"@master_heartbeat_period=" HEARTBEAT ",@source_heartbeat_period=" HEARTBEAT);
	if (rc == RC_OK && !f->mysql)
		rc = iobuf_printf(&sql, ",@mariadb_slave_capability=4,@slave_gtid_strict_mode=1,@slave_gtid_ignore_duplicates=0,"
					"@slave_connect_state='%s'", f->resume);
	move(f, FOLLOW_SETTING);
	if (rc == RC_OK)
		rc = upstream_query(f->up, span_of(iobuf_data(&sql), iobuf_len(&sql)));
	iobuf_reset(&sql);
	if (rc != RC_OK)
		follow_drop(f, "the connection broke at once");
}

/* ---- replies ---- */

static void keep_error(struct follow *f, const struct track_piece *piece)
{
	struct err_packet e;

	if (packet_parse_err(span_of(piece->p + PACKET_HEADER, piece->len - PACKET_HEADER), &e) != RC_OK)
		return;
	f->error_code = e.code;
	(void)snprintf(f->error, sizeof(f->error), "%u " SPAN_FMT, e.code, SPAN_ARG(e.message));
}

static void on_piece(struct upstream *u, const struct track_piece *piece)
{
	struct follow *f = u->owner;

	f->heard_ns = clock_mono_ns();
	if (piece->kind == TRACK_ERR_PACKET)
		keep_error(f, piece);
	else if (piece->kind == TRACK_BYTES && f->state == FOLLOW_STREAMING)
		follow_stream_bytes(f, piece->p, piece->len);
}

static void on_done(struct upstream *u)
{
	struct follow *f = u->owner;

	if (f->state == FOLLOW_SETTING && !u->track.error) {
		begin_dump(f);
		return;
	}
	if (f->state == FOLLOW_STREAMING && f->error_code == ER_FATAL_READING_BINLOG)
		follow_gap(f, f->error);
	follow_drop(f, u->track.error ? f->error : "the server ended the dump");
}

static void on_turn(struct upstream *u)
{
}

static void on_gone(struct upstream *u, const char *why)
{
	struct follow *f = u->owner;

	f->up = NULL; /* closed already */
	follow_drop(f, why);
}

static const struct upstream_ops ops = {on_piece, on_done, on_turn, on_gone, on_turn};

/* ---- connecting ---- */

static void on_lease(struct lease_request *r, enum rc rc, struct upstream *u)
{
	struct follow *f = container_of(r, struct follow, request);

	if (rc != RC_OK) {
		follow_drop(f, r->err_text[0] ? r->err_text : "no connection");
		return;
	}
	f->up = u;
	u->ops = &ops;
	u->owner = f;
	set_up(f);
}

static struct lease_limits limits_of(const struct settings *s)
{
	struct lease_limits limits = worker_limits(s);

	limits.min_idle = 0; /* connections are made to be kept busy */
	return limits;
}

static void take_settings(struct follow *f)
{
	struct settings *old = f->settings;

	f->settings = instance_settings(f->in);
	f->leases->limits = limits_of(f->settings);
	settings_unref(old);
}

static void begin(struct follow *f)
{
	struct upstream *u;
	enum rc rc;

	take_settings(f);
	f->backend = topology_primary(f->in->topology);
	move(f, FOLLOW_LEASING);
	if (follow_ask_begin(f) != RC_OK) {
		move(f, FOLLOW_WAITING);
		f->retry_ns = f->since_ns + RETRY_NS;
		return;
	}
	f->request = (struct lease_request){.backend = f->backend, .account = f->account, .plain = true, .fresh = true,
					    .epoch = accounts_epoch(f->in->accounts), .deadline_ns = clock_mono_ns() + LEASE_NS,
					    .done = on_lease};
	rc = lease_acquire(f->leases, &f->request, &u);
	if (rc != RC_AGAIN)
		on_lease(&f->request, rc, u);
}

/* ---- time ---- */

void follow_soon(struct follow *f)
{
	uint64_t due = f->asked_ns + SOON_NS, now = clock_mono_ns();
	const struct timeval soon = {.tv_usec = due > now ? (suseconds_t)((due - now) / 1000) : 0};

	if (!evtimer_pending(f->soon, NULL))
		(void)event_add(f->soon, &soon); /* else the tick does it */
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	follow_settle(arg);
}

static const char *trouble(const struct follow *f, uint64_t now)
{
	if (!topology_is_primary(f->in->topology, f->backend))
		return "another server is the primary";
	if (f->state == FOLLOW_SETTING && now - f->since_ns > LEASE_NS)
		return "no answer in time";
	if (f->state == FOLLOW_STREAMING && now - f->heard_ns > SILENT_NS)
		return "the server has fallen silent";
	return NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct follow *f = arg;
	uint64_t now = clock_mono_ns();
	const char *why = f->state == FOLLOW_WAITING ? NULL : trouble(f, now);

	if (why)
		follow_drop(f, why);
	if (f->state == FOLLOW_WAITING && now >= f->retry_ns)
		begin(f);
	if (f->state != FOLLOW_STREAMING || now - f->asked_ns >= ASK_NS || !list_empty(&f->pending))
		follow_settle(f);
}

/* ---- life ---- */

struct follow *follow_new(struct instance *in)
{
	struct follow *f = mem_zalloc(sizeof(*f));
	struct lease_limits limits;

	if (!f)
		return NULL;
	f->in = in;
	list_init(&f->prepared);
	list_init(&f->pending);
	iobuf_init(&f->event, FOLLOW_EVENT_MOST);
	f->settings = instance_settings(in);
	limits = limits_of(f->settings);
	f->own_id = (uint32_t)(in->salt ^ in->salt >> 32) | 0x80000000u; /* unlike the servers': who bears one of theirs ends its dump */
	f->loop = loop_new("binlog");
	f->scratch = f->loop ? channel_scratch_new(f->loop) : NULL;
	f->sink = stats_sink_new(in->stats, false);
	f->conn = sqlconn_new();
	f->binlog = binlog_new();
	if (f->scratch && f->sink)
		f->leases = lease_pool_new(f->loop, f->scratch, in->topology, in->accounts, f->sink, &limits);
	if (f->leases) {
		f->tick = event_new(loop_base(f->loop), -1, EV_PERSIST, on_tick, f);
		f->soon = evtimer_new(loop_base(f->loop), on_soon, f);
	}
	if (!f->tick || !f->soon || !f->conn || !f->binlog ||
	    event_add(f->tick, &(struct timeval){.tv_usec = TICK_NS / 1000}) != 0) {
		follow_free(f);
		return NULL;
	}
	cache_follow(in->cache);
	catalog_want(in->catalog);
	return f;
}

enum rc follow_start(struct follow *f)
{
	f->started = loop_start(f->loop) == RC_OK;
	return f->started ? RC_OK : RC_ERROR;
}

static void on_stop(struct mail *m)
{
	struct follow *f = container_of(m, struct follow, stop);

	if (f->state == FOLLOW_LEASING)
		lease_cancel(f->leases, &f->request);
	if (f->up)
		lease_discard(f->up, "stopping");
	f->up = NULL;
	lease_pool_close(f->leases);
	loop_stop(f->loop);
}

void follow_stop(struct follow *f)
{
	if (!f || !f->started)
		return;
	f->started = false;
	sqlconn_interrupt(f->conn);
	f->stop.run = on_stop;
	loop_post(f->loop, &f->stop);
	loop_join(f->loop);
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	if (f->tick)
		event_free(f->tick);
	if (f->soon)
		event_free(f->soon);
	lease_pool_free(f->leases);
	channel_scratch_free(f->scratch);
	loop_free(f->loop);
	sqlconn_free(f->conn);
	binlog_free(f->binlog);
	follow_settle_forget(f);
	follow_answer_forget(&f->goal);
	follow_forget_prepared(f);
	iobuf_reset(&f->event);
	account_unref(f->account);
	settings_unref(f->settings);
	mem_free(f->resume);
	mem_free(f);
}
