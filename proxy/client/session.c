#include "session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "choice.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "request.h"

#define STATEMENT_WHOLE (1024 * 1024) /* a command up to this size is looked at whole; a larger one streams through */
#define STATEMENT_PREFIX (64 * 1024)  /* ... after this much of it has been looked at */
#define LOGIN_WHOLE (64 * 1024)
#define KEPT_MOST (64 * 1024)         /* bytes kept of a client that sends while its request runs */
#define UNREAD_MOST (1024 * 1024)     /* a client that has not read this much of its replies gets no further ones */

static const struct {
	const char *text;
	enum stats_counter counter;
} reasons[] = {
	[CLOSE_QUIT] = {"quit", STATS_C_CLIENT_CLOSED_QUIT},
	[CLOSE_EOF] = {"closed by client", STATS_C_CLIENT_CLOSED_EOF},
	[CLOSE_IO] = {"network error", STATS_C_CLIENT_CLOSED_ERROR},
	[CLOSE_AUTH] = {"not let in", STATS_C_CLIENT_CLOSED_AUTH},
	[CLOSE_MALFORMED] = {"malformed packet", STATS_C_CLIENT_CLOSED_MALFORMED},
	[CLOSE_TIMEOUT] = {"timeout", STATS_C_CLIENT_CLOSED_TIMEOUT},
	[CLOSE_BACKEND] = {"server connection lost", STATS_C_CLIENT_CLOSED_BACKEND},
	[CLOSE_KILLED] = {"killed", STATS_C_CLIENT_CLOSED_KILLED},
	[CLOSE_LIMIT] = {"limit", STATS_C_CLIENT_CLOSED_LIMIT},
	[CLOSE_MEMORY] = {"out of memory", STATS_C_CLIENT_CLOSED_MEMORY},
	[CLOSE_SHUTDOWN] = {"shutdown", STATS_C_CLIENT_CLOSED_SHUTDOWN},
};

/* Which state may follow which: anything else is a bug. */
static const unsigned allowed[] = {
	[SESSION_HEADER] = 1u << SESSION_GREETED | 1u << SESSION_CLOSED,
	[SESSION_GREETED] = 1u << SESSION_HEADER | 1u << SESSION_AUTH | 1u << SESSION_RUNNING | 1u << SESSION_READY | 1u << SESSION_CLOSED,
	[SESSION_AUTH] = 1u << SESSION_AUTH | 1u << SESSION_RUNNING | 1u << SESSION_READY | 1u << SESSION_CLOSED,
	[SESSION_READY] = 1u << SESSION_RUNNING | 1u << SESSION_STREAMING | 1u << SESSION_AUTH | 1u << SESSION_CLOSED,
	[SESSION_RUNNING] = 1u << SESSION_READY | 1u << SESSION_STREAMING | 1u << SESSION_INFILE | 1u << SESSION_AUTH |
			    1u << SESSION_CLOSED,
	[SESSION_STREAMING] = 1u << SESSION_RUNNING | 1u << SESSION_CLOSED,
	[SESSION_INFILE] = 1u << SESSION_RUNNING | 1u << SESSION_CLOSED,
	[SESSION_CLOSED] = 0,
};

void session_set_state(struct session *s, enum session_state state)
{
	if (s->state == state)
		return;
	if (!(allowed[s->state] & 1u << state))
		log_impossible("session", "impossible change of state", "id=%lu from=%d to=%d", (unsigned long)s->id, s->state, state);
	s->state = state;
}

void session_set_vars(struct session *s, const struct varset *vars)
{
	varset_unref(s->vars);
	s->vars = vars;
}

uint16_t session_status(const struct session *s)
{
	uint16_t status = session_autocommit(s) ? STATUS_AUTOCOMMIT : 0;

	if (s->in_transaction)
		status |= STATUS_IN_TRANS | (s->told & STATUS_IN_TRANS_READONLY);
	if (s->vars && varset_mode(s->vars)->no_backslash)
		status |= STATUS_NO_BACKSLASH_ESCAPES;
	return status | (s->told & STATUS_ANSI_QUOTES); /* MySQL has no such flag */
}

/* ---- packets in ---- */

/* Inside compressed packets clients number as they like, and servers do not look. */
static bool is_out_of_order(const struct session *s, const uint8_t *p)
{
	return packet_seq(p) != 0 && !s->ch.zip;
}

/* One whole command or login packet at p; n is its payload's length. */
static void session_packet(struct session *s, const uint8_t *p, size_t n)
{
	if (s->state != SESSION_READY) {
		login_packet(s, span_of(p + PACKET_HEADER, n), packet_seq(p));
		return;
	}
	if (is_out_of_order(s, p) || n == 0) {
		reply_error(s, 1156, "08S01", "got packets out of order");
		session_close(s, CLOSE_MALFORMED, packet_seq(p) ? "a command must have sequence number 0" : "empty command");
		return;
	}
	command_begin(s, p, PACKET_HEADER + n, 0, false);
}

/* Takes one packet, or the beginning of a large one; 0: not enough of it is here. */
static size_t session_take(struct session *s, const uint8_t *p, size_t len)
{
	size_t n, whole = s->state == SESSION_READY ? STATEMENT_WHOLE : LOGIN_WHOLE, part;

	if (len < PACKET_HEADER)
		return 0;
	n = packet_len(p);
	if (n <= whole) {
		if (len - PACKET_HEADER < n)
			return 0;
		session_packet(s, p, n);
		return PACKET_HEADER + n;
	}
	if (s->state != SESSION_READY) {
		login_malformed(s, packet_seq(p), "login packet too large");
		return len;
	}
	if (len < STATEMENT_PREFIX)
		return 0;
	part = len < PACKET_HEADER + n ? len : PACKET_HEADER + n;
	if (part > STATEMENT_WHOLE)
		part = STATEMENT_WHOLE;
	if (is_out_of_order(s, p)) {
		reply_error(s, 1156, "08S01", "got packets out of order");
		session_close(s, CLOSE_MALFORMED, "a command must have sequence number 0");
		return len;
	}
	command_begin(s, p, part, PACKET_HEADER + n - part, n == PACKET_MAX_PAYLOAD);
	return part;
}

static size_t session_input(struct channel *ch, const uint8_t *p, size_t len)
{
	struct session *s = container_of(ch, struct session, ch);
	size_t used = 0;

	while (used < len && s->state != SESSION_CLOSED && !ch->securing) {
		size_t n = 0;

		if (unlikely(s->discard)) {
			n = s->discard < len - used ? (size_t)s->discard : len - used;
			s->discard -= n;
			used += n;
			continue;
		}
		switch (s->state) {
		case SESSION_HEADER:
			n = entry_header(s, p + used, len - used);
			break;
		case SESSION_STREAMING:
		case SESSION_INFILE:
			n = relay_from_client(s, p + used, len - used);
			break;
		case SESSION_RUNNING:
		case SESSION_CLOSED:
			break;
		case SESSION_READY:
			if (unlikely(iobuf_len(&ch->out) > UNREAD_MOST)) {
				channel_pause(ch); /* session_drained reads on */
				break;
			}
			/* fall through */
		default:
			n = session_take(s, p + used, len - used);
		}
		if (n == 0)
			break;
		used += n;
	}
	if (s->state == SESSION_CLOSED)
		return len;
	if (s->state == SESSION_RUNNING && len - used > KEPT_MOST)
		channel_pause(ch); /* session_next reads on */
	(void)channel_flush(ch);
	return used;
}

static void session_drained(struct channel *ch)
{
	struct session *s = container_of(ch, struct session, ch);

	relay_client_drained(s);
	if (s->state == SESSION_READY && !s->kills) /* else kill_settle reads on: the KILL must not meet the next statement */
		channel_resume(ch);
}

static void session_secured(struct channel *ch)
{
	struct session *s = container_of(ch, struct session, ch);

	stats_count(s->worker->sink, STATS_C_CLIENT_TLS, 1);
	log_debug("session", "secured", "id=%lu version=%s cipher=%s", (unsigned long)s->id, tls_version(ch->stream.tls),
		  tls_cipher(ch->stream.tls));
}

static void handshake_failed(struct session *s)
{
	char why[160], quoted[320];

	tls_why(s->ch.stream.tls, why, sizeof(why));
	stats_count(s->worker->sink, STATS_C_CLIENT_TLS_FAILURES, 1);
	log_warn("session", "a TLS handshake failed", "id=%lu peer=%s why=%s", (unsigned long)s->id, s->peer,
		 log_quote(quoted, sizeof(quoted), span_str(why)));
}

static void session_lost(struct channel *ch, const char *why)
{
	struct session *s = container_of(ch, struct session, ch);

	if (ch->securing)
		handshake_failed(s);
	if (strcmp(why, CHANNEL_NO_MEMORY) == 0)
		session_close(s, CLOSE_MEMORY, why);
	else if (strcmp(why, CHANNEL_MALFORMED) == 0)
		session_close(s, CLOSE_MALFORMED, why);
	else
		session_close(s, why[0] == 'c' ? CLOSE_EOF : CLOSE_IO, why);
}

static const struct channel_ops session_channel_ops = {session_input, session_drained, session_lost, NULL,
						       session_secured};

/* ---- life ---- */

static bool prepared_eq(const struct map_node *node, const void *key)
{
	return container_of(node, struct prepared, node)->id == *(const uint32_t *)key;
}

void session_open(struct worker *w, int fd, const char *peer)
{
	struct instance *in = w->in;
	struct session *s = pool_get(w->session_pool);
	uint32_t open;

	stats_count(w->sink, STATS_C_CLIENT_CONNECTIONS, 1);
	if (!s) {
		close(fd);
		return;
	}
	s->worker = w;
	s->state = SESSION_GREETED;
	s->id = atomic_fetch_add_explicit(&in->next_session, 1, memory_order_relaxed);
	snprintf(s->peer, sizeof(s->peer), "%s", peer);
	s->peer_len = (uint8_t)strlen(s->peer);
	s->opened_ns = s->active_ns = clock_mono_ns();
	map_init(&s->prepared, prepared_eq);
	s->vars = varset_ref(w->leases->empty);
	list_push_back(&w->sessions, &s->node);
	open = atomic_fetch_add_explicit(&in->sessions, 1, memory_order_relaxed) + 1;
	stats_count(w->sink, STATS_C_CLIENT_CONNECTIONS_ACTIVE, 1);
	if (channel_open(&s->ch, w->scratch, &session_channel_ops, fd) != RC_OK) {
		session_close(s, CLOSE_IO, "cannot watch the socket");
		return;
	}
	s->ch.in.wipes = true;
	if (open > (uint32_t)w->settings->listen.max_connections) {
		reply_error(s, 1040, "08004", "too many connections: listen.max_connections is %ld",
			    (long)w->settings->listen.max_connections);
		session_close(s, CLOSE_LIMIT, "max_connections");
		return;
	}
	if (w->draining) {
		reply_error(s, 1053, "08S01", "server shutdown in progress");
		session_close(s, CLOSE_SHUTDOWN, "draining");
		return;
	}
	entry_begin(s);
}

struct session *session_find(struct worker *w, uint64_t number)
{
	list_each(&w->sessions, n) {
		struct session *s = container_of(n, struct session, node);

		if (session_number(s) == number || s->id == number)
			return s;
	}
	return NULL;
}

static void session_free(struct mail *m)
{
	struct session *s = container_of(m, struct session, free_mail);
	struct worker *w = s->worker;

	prepared_free_all(s);
	map_reset(&s->prepared);
	login_free(s->login);
	account_unref(s->account);
	varset_unref(s->vars);
	mem_free(s->transaction);
	mem_free(s->shown);
	mem_free(s->choice);
	aftermath_reset(&s->aftermath);
	pool_put(w->session_pool, s);
}

/* A transaction that is left is rolled back, but not what it wrote to tables without transactions. */
static void leave_transaction(struct session *s)
{
	const struct write_set *w = s->transaction;
	uint64_t window = instance_lag_window(s->worker->settings);

	if (w && s->worker->cache && w->anything)
		cache_invalidate_all(s->worker->cache, CACHE_BY_LOSS, window);
	else if (w && s->worker->cache)
		cache_invalidate(s->worker->cache, CACHE_BY_LOSS, w->tags, w->n, NULL, window);
	mem_free(s->transaction);
	s->transaction = NULL;
	s->in_transaction = false;
	s->told &= (uint16_t)~STATUS_IN_TRANS_READONLY;
}

void session_forget(struct session *s)
{
	session_unpin_all(s);
	prepared_free_all(s);
	memset(&s->nplus1, 0, sizeof(s->nplus1));
	aftermath_reset(&s->aftermath);
	s->last_insert_id = 0;
	s->told = 0;
	s->tracks_itself = s->tracks_change = s->set_global = false;
	choice_forget(s);
	shown_forget(s);
	s->last_backend = NULL;
}

void session_unpin_all(struct session *s)
{
	struct upstream *u = s->up;
	bool xa = s->pins & PIN_XA;

	s->pins = 0;
	s->executes_anything = s->executes_ddl = s->executes_delayed = false;
	s->own_past = false;
	s->readonly = READONLY_NOT;
	temps_forget(s);
	holds_forget(s);
	sets_forget(s);
	leave_transaction(s);
	if (!s->request) /* else it has its place until it ends */
		limited_leave(s);
	if (!u)
		return;
	s->up = NULL;
	u->dirty = true;
	u->condemned |= xa; /* what is prepared is left to whoever commits it: the server does that for a session that ends */
	u->keep = false;
	lease_release(u);
}

static void log_closed(const struct session *s, enum log_level level, const char *reason, const char *detail)
{
	char user[256], quoted[400];

	if (!log_enabled(level))
		return;
	log_write(level, "session", "closed", "id=%lu peer=%s user=%s reason=\"%s\" detail=%s", (unsigned long)s->id, s->peer,
		  log_quote(user, sizeof(user), span_str(s->account ? s->account->user : "-")), reason,
		  log_quote(quoted, sizeof(quoted), span_str(detail)));
}

void session_close(struct session *s, enum close_reason reason, const char *detail)
{
	struct worker *w = s->worker;
	bool malformed = reason == CLOSE_MALFORMED;

	if (s->state == SESSION_CLOSED)
		return;
	if (malformed)
		stats_count(w->sink, STATS_C_MALFORMED_PACKETS, 1);
	log_closed(s, malformed ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, reasons[reason].text, detail);
	if (s->ch.scratch)
		(void)channel_flush(&s->ch); /* what was said to the client last */
	session_set_state(s, SESSION_CLOSED);
	stats_count(w->sink, reasons[reason].counter, 1);
	stats_count(w->sink, STATS_C_CLIENT_CONNECTIONS_ACTIVE, (uint64_t)-1);
	atomic_fetch_sub_explicit(&w->in->sessions, 1, memory_order_relaxed);
	if (s->request)
		request_abort(s->request);
	session_unpin_all(s);
	limited_leave(s);
	lease_park_end(&s->park);
	list_remove(&w->sessions, &s->node);
	channel_close(&s->ch);
	stats_count(w->sink, STATS_C_BYTES_CLIENT_IN, s->ch.bytes_in);
	stats_count(w->sink, STATS_C_BYTES_CLIENT_OUT, s->ch.bytes_out);
	s->free_mail.run = session_free;
	loop_defer(w->loop, &s->free_mail);
}

void session_next(struct session *s)
{
	s->active_ns = loop_now_ns(s->worker->loop);
	if (s->state == SESSION_RUNNING || s->state == SESSION_AUTH)
		session_set_state(s, SESSION_READY);
	if (unlikely(s->ch.zip != NULL))
		channel_zip_expect(&s->ch);
	if (s->worker->draining && !s->pins) {
		session_close(s, CLOSE_SHUTDOWN, "draining");
		return;
	}
	if (unlikely(s->kills))
		channel_pause(&s->ch);
	else if (s->ch.paused)
		channel_resume(&s->ch);
	else
		channel_kick(&s->ch);
}
