#include "upstream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "lease.h"
#include "log.h"
#include "mem.h"

#define LOOK_NS NS_PER_SEC /* between looks at whether a server's host still acknowledges what it is sent */

void upstream_set_vars(struct upstream *u, const struct varset *vars)
{
	const struct varset *old = u->vars;

	u->vars = vars ? varset_ref(vars) : NULL;
	varset_unref(old);
}

/* ---- sending ---- */

enum rc upstream_await(struct upstream *u, enum track_reply reply)
{
	track_begin(&u->track, reply, u->caps);
	u->tracking = true;
	atomic_fetch_add_explicit(&u->load->queries, 1, memory_order_relaxed);
	return channel_flush(&u->ch) == RC_ERROR ? RC_ERROR : RC_OK;
}

static enum rc put_command(struct upstream *u, const void *payload, size_t len)
{
	uint8_t header[PACKET_HEADER] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), 0};

	if (len >= PACKET_MAX_PAYLOAD || channel_command(&u->ch) != RC_OK ||
	    channel_put(&u->ch, header, sizeof(header)) != RC_OK)
		return RC_ERROR;
	return channel_put(&u->ch, payload, len);
}

enum rc upstream_command(struct upstream *u, enum track_reply reply, const void *payload, size_t len)
{
	if (put_command(u, payload, len) != RC_OK)
		return RC_ERROR;
	return upstream_await(u, reply);
}

size_t upstream_query_head(uint64_t caps, void *head)
{
	static const uint8_t no_attributes[UPSTREAM_QUERY_HEAD] = {COM_QUERY, 0, 1};
	size_t len = caps & CLIENT_QUERY_ATTRIBUTES ? sizeof(no_attributes) : 1;

	memcpy(head, no_attributes, len);
	return len;
}

enum rc upstream_query(struct upstream *u, struct span sql)
{
	uint8_t head[PACKET_HEADER + UPSTREAM_QUERY_HEAD];
	size_t more = upstream_query_head(u->caps, head + PACKET_HEADER), len = sql.len + more;

	if (len >= PACKET_MAX_PAYLOAD)
		return RC_ERROR;
	head[0] = (uint8_t)len;
	head[1] = (uint8_t)(len >> 8);
	head[2] = (uint8_t)(len >> 16);
	head[3] = 0;
	if (channel_command(&u->ch) != RC_OK || channel_put(&u->ch, head, PACKET_HEADER + more) != RC_OK ||
	    channel_put(&u->ch, sql.p, sql.len) != RC_OK)
		return RC_ERROR;
	return upstream_await(u, TRACK_RESULT);
}

enum rc upstream_notify(struct upstream *u, const void *payload, size_t len)
{
	if (put_command(u, payload, len) != RC_OK)
		return RC_ERROR;
	return channel_flush(&u->ch) == RC_ERROR ? RC_ERROR : RC_OK;
}

/* ---- the connection phase ---- */

static void open_failed(struct upstream *u, const char *why)
{
	lease_opened(u, false, why);
	upstream_close(u, why);
}

/* Has the server report every system variable a session changes, and that other state changed: what P3 rests on. The
 * isolation level and the sql_mode are set to themselves so that they are reported now: the level's global value may be READ UNCOMMITTED, and
 * the mode says how text reads. */
#define TRACK_ALL "SET session_track_system_variables='*',session_track_state_change=ON,sql_mode=@@sql_mode,"

struct span upstream_tracking_sql(const struct upstream *u)
{
	return u->mariadb ? span_str(TRACK_ALL "tx_isolation=@@tx_isolation")
			  : span_str(TRACK_ALL "session_track_gtids=OWN_GTID,transaction_isolation=@@transaction_isolation");
}

/* What the primary says is how text is read before it is known where it will go. */
static void begins_with_mode(struct upstream *u, struct span sql_mode)
{
	u->mode = varset_mode_of(sql_mode);
	u->mode_known = true;
	if (atomic_load_explicit(&u->backend->role, memory_order_relaxed) == BACKEND_PRIMARY)
		varsets_begin_with(&u->pool->varsets, sql_mode);
}

void upstream_tracked(struct upstream *u, struct span payload)
{
	struct track_iter it;
	struct track_item item;
	struct ok_packet ok;

	if (packet_parse_ok(payload, u->caps, &ok) != RC_OK)
		return;
	packet_track_begin(&it, ok.track);
	while (packet_track_next(&it, &item) == RC_OK) {
		if (item.type != TRACK_SYSTEM_VARIABLES)
			continue;
		if (span_ieq(item.name, span_str("tx_isolation")) || span_ieq(item.name, span_str("transaction_isolation")))
			u->dirty_reads = span_ieq(item.value, span_str("READ-UNCOMMITTED"));
		else if (span_ieq(item.name, span_str("sql_mode")))
			begins_with_mode(u, item.value);
	}
}

/* The login's OK was the last that came as it is. */
static enum rc begin_compression(struct upstream *u)
{
	enum zipped_kind kind = u->caps & CLIENT_ZSTD_COMPRESSION ? ZIPPED_ZSTD : ZIPPED_ZLIB;

	if (!(u->caps & (CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION)))
		return RC_OK;
	stats_count(u->pool->sink, STATS_C_UPSTREAM_COMPRESSED, 1);
	return channel_compress(&u->ch, kind, UPSTREAM_ZSTD_LEVEL);
}

static void begin_init(struct upstream *u)
{
	u->ch.out.wipes = false;
	if (begin_compression(u) != RC_OK) {
		open_failed(u, CHANNEL_NO_MEMORY);
		return;
	}
	if (!u->tracks) {
		lease_opened(u, true, NULL);
		return;
	}
	u->state = UPSTREAM_INIT;
	if (upstream_query(u, upstream_tracking_sql(u)) != RC_OK)
		open_failed(u, "the connection broke at once");
}

static size_t connection_phase(struct upstream *u, const uint8_t *p, size_t len)
{
	size_t used = 0;

	while (u->ch.open && (u->state == UPSTREAM_GREETING || u->state == UPSTREAM_AUTH) && len - used >= PACKET_HEADER) {
		uint32_t n = packet_len(p + used);
		enum rc rc;

		if (n > 64 * 1024) {
			open_failed(u, "not the MySQL protocol");
			return len;
		}
		if (len - used - PACKET_HEADER < n)
			break;
		rc = upstream_login_packet(u, span_of(p + used + PACKET_HEADER, n), packet_seq(p + used));
		used += PACKET_HEADER + n;
		if (rc == RC_ERROR)
			open_failed(u, u->err_text);
		else if (rc == RC_OK)
			begin_init(u);
	}
	return used;
}

static void init_done(struct upstream *u)
{
	if (u->track.error) {
		log_warn("upstream", "session tracking refused: changed session state will pin connections",
			 "addr=%s error=%u", u->backend->text, u->track.error);
		u->tracks = false;
	}
	lease_opened(u, true, NULL);
}

/* ---- reset, the only conversation this layer has on an established connection ---- */

static void resetting_done(struct upstream *u)
{
	if (u->track.error) {
		upstream_close(u, "reset refused");
		return;
	}
	if (u->track.reply == TRACK_SIMPLE && u->tracks) { /* the reset took session tracking with it */
		u->state = UPSTREAM_RESETTING;
		if (upstream_query(u, upstream_tracking_sql(u)) == RC_OK)
			return;
		upstream_close(u, "connection lost at reset");
		return;
	}
	lease_ready(u);
}

/* ---- channel ---- */

static void reply_ended(struct upstream *u)
{
	u->tracking = false;
	if (u->track.error)
		atomic_fetch_add_explicit(&u->load->errors, 1, memory_order_relaxed);
	switch (u->state) {
	case UPSTREAM_INIT:
		init_done(u);
		break;
	case UPSTREAM_RESETTING:
		resetting_done(u);
		break;
	case UPSTREAM_ASKED:
		lease_left_done(u);
		break;
	default:
		u->ops->done(u);
	}
}

static void lose(struct upstream *u, const char *why)
{
	const struct upstream_ops *ops = u->ops;
	enum upstream_state state = u->state;

	if (state < UPSTREAM_IDLE) {
		open_failed(u, why);
		return;
	}
	upstream_close(u, why);
	if (state == UPSTREAM_LEASED)
		ops->gone(u, why);
}

static void count_malformed(struct upstream *u, const char *what)
{
	stats_count(u->pool->sink, STATS_C_MALFORMED_PACKETS_SERVER, 1);
	log_warn("upstream", "the server breaks the protocol", "addr=%s thread=%u what=\"%s\"", u->backend->text, u->thread_id,
		 what);
}

/* A server that closes an idle connection may say why first (ERR 1927, 4031 and the like): not news for anybody. */
static size_t unexpected(struct upstream *u, size_t len)
{
	if (u->state == UPSTREAM_LEASED)
		count_malformed(u, "bytes that were not asked for");
	lose(u, u->state == UPSTREAM_LEASED ? "the server sent what was not asked for" : "closed by the server");
	return len;
}

static size_t upstream_input(struct channel *ch, const uint8_t *p, size_t len)
{
	struct upstream *u = container_of(ch, struct upstream, ch);
	size_t used = 0;

	if (u->state == UPSTREAM_GREETING || u->state == UPSTREAM_AUTH) {
		used = connection_phase(u, p, len);
		if (!ch->open || u->state < UPSTREAM_INIT)
			return used;
	}
	while (used < len) {
		struct track_piece piece;
		size_t n;

		if (!u->tracking)
			return unexpected(u, len);
		n = track_next(&u->track, p + used, len - used, &piece);
		if (piece.kind == TRACK_NEED)
			break;
		if (piece.kind == TRACK_BROKEN) {
			if (u->state == UPSTREAM_LEASED) /* what was forwarded may lie in the buffer that closing frees */
				u->ops->turn(u);
			count_malformed(u, "a reply");
			lose(u, "the server's reply is not the MySQL protocol");
			return len;
		}
		used += n;
		if (u->state == UPSTREAM_LEASED)
			u->ops->piece(u, &piece);
		else if (u->state == UPSTREAM_ASKED)
			lease_left_piece(u, &piece);
		else if (piece.kind == TRACK_OK_PACKET)
			upstream_tracked(u, span_of(piece.p + PACKET_HEADER, piece.len - PACKET_HEADER));
		if (!ch->open)
			return len;
		if (u->track.done)
			reply_ended(u);
		if (!ch->open)
			return len;
	}
	if (u->state == UPSTREAM_LEASED && u->tracking)
		u->ops->turn(u);
	return used;
}

static void upstream_drained(struct channel *ch)
{
	struct upstream *u = container_of(ch, struct upstream, ch);

	if (u->state == UPSTREAM_LEASED)
		u->ops->drained(u);
}

static void upstream_closed(struct channel *ch, const char *why)
{
	struct upstream *u = container_of(ch, struct upstream, ch);

	if (ch->securing) {
		upstream_login_unsecured(u);
		open_failed(u, u->err_text);
		return;
	}
	if (strcmp(why, CHANNEL_MALFORMED) == 0)
		count_malformed(u, why);
	lose(u, why);
}

static void upstream_secured(struct channel *ch)
{
	struct upstream *u = container_of(ch, struct upstream, ch);

	if (upstream_login_secured(u) == RC_ERROR)
		open_failed(u, u->err_text);
}

static void upstream_connected(struct channel *ch, int error)
{
	struct upstream *u = container_of(ch, struct upstream, ch);

	if (error) {
		snprintf(u->err_text, sizeof(u->err_text), "cannot connect to %s: %s", u->backend->text, strerror(error));
		open_failed(u, u->err_text);
		return;
	}
	u->state = UPSTREAM_GREETING;
}

static const struct channel_ops upstream_channel_ops = {upstream_input, upstream_drained, upstream_closed,
							upstream_connected, upstream_secured};

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *u = arg;

	snprintf(u->err_text, sizeof(u->err_text), "%s did not answer in time", u->backend->text);
	if (u->state < UPSTREAM_IDLE)
		open_failed(u, u->err_text);
	else
		lose(u, "no answer between two statements");
}

bool upstream_is_gone(struct upstream *u, uint64_t now_ns)
{
	if (now_ns - u->looked_ns < LOOK_NS)
		return false;
	if (now_ns - u->looked_ns > 3 * LOOK_NS || !u->tracking || !channel_is_unheard(&u->ch))
		u->heard_ns = now_ns; /* a first look, or a good one */
	u->looked_ns = now_ns;
	if (now_ns - u->heard_ns < u->pool->limits.unheard_ns)
		return false;
	lose(u, "its host does not answer");
	return true;
}

/* ---- life ---- */

static void upstream_free(struct mail *m)
{
	struct upstream *u = container_of(m, struct upstream, free_mail);

	iobuf_reset(&u->answer);
	upstream_stmt_forget_all(u);
	map_reset(&u->stmts);
	varset_unref(u->vars);
	account_unref(u->account);
	mem_free(u);
}

struct upstream *upstream_open(struct lease_pool *pool, struct backend *b, struct account *a, uint64_t wire,
			       uint16_t collation)
{
	struct sockaddr_storage ss;
	socklen_t len;
	struct upstream *u;
	struct timeval tv = {.tv_sec = (time_t)(pool->limits.connect_timeout_ns / NS_PER_SEC),
			     .tv_usec = (suseconds_t)(pool->limits.connect_timeout_ns % NS_PER_SEC / 1000)};

	if (backend_address(b, &ss, &len) != RC_OK)
		return NULL;
	u = mem_zalloc(sizeof(*u));
	if (!u)
		return NULL;
	u->pool = pool;
	u->backend = b;
	u->load = &b->loads[pool->load];
	u->account = account_ref(a);
	u->epoch = u->chose_epoch = accounts_epoch(pool->accounts);
	u->wire = wire;
	u->collation = collation;
	u->dirty_reads = true; /* until it says otherwise */
	u->born_ns = u->since_ns = clock_mono_ns();
	upstream_stmt_init(u);
	if (channel_connect(&u->ch, pool->scratch, &upstream_channel_ops, (struct sockaddr *)&ss, len) != RC_OK) {
		account_unref(u->account);
		mem_free(u);
		return NULL;
	}
	u->ch.out.wipes = true;
	evtimer_assign(&u->timer, loop_base(pool->loop), on_timeout, u);
	evtimer_add(&u->timer, &tv);
	return u;
}

void upstream_close(struct upstream *u, const char *why)
{
	if (u->state == UPSTREAM_CLOSED)
		return;
	if (u->state == UPSTREAM_IDLE || u->state == UPSTREAM_LEASED) {
		static const uint8_t quit = COM_QUIT;

		if (!u->tracking)
			(void)upstream_notify(u, &quit, 1); /* politeness: the server need not count an aborted client */
		else if (u->ch.open && u->ch.stream.tls)
			tls_hush(u->ch.stream.tls); /* a server at work takes the farewell's bytes for a client that is there */
	}
	log_debug("upstream", "closed", "addr=%s thread=%u why=\"%s\"", u->backend->text, u->thread_id, why);
	channel_close(&u->ch); /* what leaves then is counted, too */
	lease_lost(u);
	u->state = UPSTREAM_CLOSED;
	u->tracking = false;
	evtimer_del(&u->timer);
	u->free_mail.run = upstream_free;
	loop_defer(u->pool->loop, &u->free_mail);
}
