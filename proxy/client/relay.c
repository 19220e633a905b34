/*
 * relay.c - moving a reply from the server to the client, and a client's long data the other way.
 *
 * Bytes pass as they are; OK packets are read for what they change, and rewritten only for a client that did not ask
 * for session tracking. A client that reads slowly stops the reading from its server, and the other way round.
 */
#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "listed.h"
#include "pieces.h"
#include "request.h"
#include "result.h"

#define INFILE_BACKLOG (256 * 1024)

static struct request *request_of(struct upstream *u)
{
	return ((struct session *)u->owner)->request;
}

/* ---- to the client ---- */

static void forward(struct request *r, const void *p, size_t len)
{
	if (!r->reply_started) {
		r->reply_started = true;
		if (!r->first_ns)
			r->first_ns = clock_mono_ns();
	}
	r->bytes_out += len;
	cached_capture(r, p, len);
	listed_take(r, p, len);
	(void)channel_push(&r->s->ch, p, len);
}

/* A packet made here instead of the server's. */
static void forward_copy(struct request *r, const void *p, size_t len)
{
	if (!r->first_ns)
		r->first_ns = clock_mono_ns();
	r->reply_started = true;
	r->bytes_out += len;
	cached_capture(r, p, len);
	listed_take(r, p, len);
	(void)channel_put(&r->s->ch, p, len);
}

static void forward_made(struct request *r, const struct iobuf *b)
{
	forward_copy(r, iobuf_data(b), iobuf_len(b));
}

/* Suimon has servers report more than a client would be told. One whose connection alone knows what it has chosen gets all that
 * is reported then; that anything has changed is suimon's unless it was chosen. */
static bool reported(const struct request *r, const struct track_item *item)
{
	const struct session *s = r->s;

	if (s->tracks_itself)
		return item->type != TRACK_STATE_CHANGE || s->tracks_change;
	if (item->type != TRACK_SYSTEM_VARIABLES)
		return item->type == TRACK_SCHEMA;
	if (unlikely(r->choosing) && !choosing_reports(r->choosing, item->name))
		return false;
	return s->choice ? choice_has(s->choice, item->name) : choice_default_has(item->name);
}

static enum rc filter_report(const struct request *r, struct span track, struct iobuf *out)
{
	struct track_iter it;
	struct track_item item;
	enum rc rc = RC_OK;

	packet_track_begin(&it, track);
	while (rc == RC_OK && packet_track_next(&it, &item) == RC_OK)
		if (reported(r, &item))
			rc = packet_put_track(out, &item);
	return rc;
}

/* The server's OK as it would have been without suimon's interest in it. */
static void remake_ok(struct request *r, struct ok_packet *ok, uint8_t seq)
{
	struct session *s = r->s;
	struct iobuf b, track;
	enum rc rc = RC_OK;

	iobuf_init(&b, 0);
	iobuf_init(&track, 0);
	if (s->caps & CLIENT_SESSION_TRACK)
		rc = filter_report(r, ok->track, &track);
	ok->track = span_of(iobuf_data(&track), iobuf_len(&track));
	if (ok->track.len == 0)
		ok->status &= (uint16_t)~STATUS_SESSION_STATE_CHANGED;
	else if (r->fill_refusal == CACHE_STORED)
		r->fill_refusal = CACHE_REFUSED_STATUS;
	if (rc == RC_OK)
		rc = packet_put_ok(&b, &seq, s->caps, ok);
	if (rc == RC_OK)
		forward_made(r, &b);
	else
		session_close(s, CLOSE_MEMORY, "an OK packet could not be made");
	iobuf_reset(&track);
	iobuf_reset(&b);
}

static void forward_ok(struct request *r, const struct track_piece *piece)
{
	struct session *s = r->s;
	struct span payload = span_of(piece->p + PACKET_HEADER, piece->len - PACKET_HEADER);
	struct ok_packet ok;
	uint8_t seq = packet_seq(piece->p);
	bool last;

	if (packet_parse_ok(payload, s->up->caps, &ok) != RC_OK) {
		session_close(s, CLOSE_BACKEND, "the server's OK packet could not be read");
		return;
	}
	r->affected += ok.affected;
	r->warnings = ok.warnings;
	reported_ok(r, &ok);
	last = !(ok.status & STATUS_MORE_RESULTS);
	if (last)
		deltas_settle(r);
	else
		deltas_partial(r);
	if (ok.track.len == 0)
		forward(r, piece->p, piece->len);
	else
		remake_ok(r, &ok, seq);
	if (!last && s->state != SESSION_CLOSED) /* else the request is over */
		pieces_result(r);
}

/* Positions are reported to suimon, not to a client that did not ask: the flag that announces a report goes with it. */
static void forward_eof_packet(struct request *r, const struct track_piece *piece)
{
	uint8_t packet[PACKET_HEADER + 5];

	if ((r->s->caps & CLIENT_SESSION_TRACK) || piece->len != sizeof(packet) ||
	    !(piece->p[PACKET_HEADER + 4] & (STATUS_SESSION_STATE_CHANGED >> 8))) {
		forward(r, piece->p, piece->len);
		return;
	}
	memcpy(packet, piece->p, sizeof(packet));
	packet[PACKET_HEADER + 4] &= (uint8_t) ~(STATUS_SESSION_STATE_CHANGED >> 8);
	forward_copy(r, packet, sizeof(packet));
}

static void forward_eof(struct request *r, const struct track_piece *piece)
{
	const struct session *s = r->s;
	const struct track *t = &s->up->track;
	bool last = t->done;

	r->warnings = t->warnings;
	reported_eof(r, t->status);
	if (last)
		deltas_settle(r);
	else
		deltas_partial(r);
	forward_eof_packet(r, piece);
	if (!last && s->state != SESSION_CLOSED)
		pieces_result(r);
}

static bool parse_error(const struct track_piece *piece, struct err_packet *e)
{
	return packet_parse_err(span_of(piece->p + PACKET_HEADER, piece->len - PACKET_HEADER), e) == RC_OK;
}

/* The error becomes the request's own, to be told if nothing else helps. */
static void keep_error(struct request *r, const struct err_packet *e)
{
	r->lease.err_code = e->code;
	r->lease.err_theirs = true;
	memcpy(r->lease.err_state, e->sqlstate, sizeof(r->lease.err_state));
	(void)snprintf(r->lease.err_text, sizeof(r->lease.err_text), SPAN_FMT, SPAN_ARG(e->message));
}

static void forward_err(struct request *r, const struct track_piece *piece)
{
	struct err_packet e;

	if (parse_error(piece, &e) && failover_takes(r, &e)) {
		keep_error(r, &e);
		return;
	}
	r->error = r->s->up->track.error;
	r->not_there = r->error == ER_SP_DOES_NOT_EXIST && parse_error(piece, &e) && sets_names_called(r, e.message);
	deltas_settle(r);
	forward(r, piece->p, piece->len);
}

/* A prepare's reply begins: the statement gets an id of the client's own. */
static void forward_prepared(struct request *r, const struct track_piece *piece)
{
	struct session *s = r->s;
	struct stmt_prepared sp;
	struct prepared *p;
	struct upstream_stmt *twin;
	uint8_t packet[64];

	if (piece->len > sizeof(packet) ||
	    stmt_parse_prepared(span_of(piece->p + PACKET_HEADER, piece->len - PACKET_HEADER), &sp) != RC_OK) {
		session_close(s, CLOSE_BACKEND, "the server's answer to a prepare could not be read");
		return;
	}
	p = prepared_new(r, &sp);
	twin = p ? upstream_stmt_find(s->up, p->key) : NULL;
	if (twin && twin->claimed_by)
		prepared_own_key(p);
	if (!p || !upstream_stmt_add(s->up, p->key, sp.id)) {
		session_close(s, CLOSE_LIMIT, "too many prepared statements in one session");
		return;
	}
	memcpy(packet, piece->p, piece->len);
	for (int i = 0; i < 4; i++)
		packet[PACKET_HEADER + 1 + i] = (uint8_t)(p->id >> (8 * i));
	forward_copy(r, packet, piece->len);
	r->warnings = sp.warnings;
}

/* The answer to SELECT CONNECTION_ID() and its like, or to SHOW PROCESSLIST, is kept until its rows are here. RC_OK: kept. */
static enum rc keep_number(struct request *r, const struct track_piece *piece)
{
	if (piece->kind != TRACK_BYTES && piece->kind != TRACK_MIDDLE_EOF)
		return RC_DECLINED;
	return iobuf_append(&r->number_reply, piece->p, piece->len);
}

/* The number that is meant in place of the server's. What is not the result that was expected passes as it came. */
static void forward_number(struct request *r)
{
	struct iobuf *kept = &r->number_reply, changed;
	struct span reply = span_of(iobuf_data(kept), iobuf_len(kept));
	const struct upstream *u = r->s->up;
	enum rc rc;

	r->own_number = false;
	iobuf_init(&changed, 0);
	rc = r->number_in_list ? result_put_listed(&changed, reply, u->caps, r->prepared != NULL, u->thread_id, r->numbers.n[0])
			       : result_put_numbers(&changed, reply, u->caps, r->prepared != NULL, &r->numbers);
	if (rc == RC_OK)
		forward_made(r, &changed);
	else if (reply.len)
		forward_copy(r, reply.p, reply.len);
	iobuf_reset(&changed);
	iobuf_reset(kept);
}

static void relay_visible(struct request *r, const struct track_piece *piece)
{
	struct session *s = r->s;

	if (unlikely(r->own_number)) {
		if (keep_number(r, piece) == RC_OK)
			return;
		forward_number(r);
	}
	switch (piece->kind) {
	case TRACK_PROGRESS:
		r->fill_refusal = CACHE_REFUSED_STATUS; /* it is of this time */
		forward(r, piece->p, piece->len);
		break;
	case TRACK_BYTES:
		forward(r, piece->p, piece->len);
		break;
	case TRACK_OK_PACKET:
		forward_ok(r, piece);
		break;
	case TRACK_EOF_PACKET:
		forward_eof(r, piece);
		break;
	case TRACK_MIDDLE_EOF:
		forward_eof_packet(r, piece);
		break;
	case TRACK_ERR_PACKET:
		forward_err(r, piece);
		break;
	case TRACK_INFILE:
		forward(r, piece->p, piece->len);
		track_infile_begin(&r->infile);
		session_set_state(s, SESSION_INFILE);
		(void)channel_flush(&s->ch);
		channel_kick(&s->ch);
		break;
	case TRACK_PREPARED:
		forward_prepared(r, piece);
		break;
	case TRACK_NEED:
	case TRACK_BROKEN:
		break;
	}
}

/* ---- hidden conversations: their replies go nowhere ---- */

static void keep_hidden_error(struct request *r, const struct track_piece *piece)
{
	struct err_packet e;

	if (parse_error(piece, &e))
		keep_error(r, &e);
}

/* The reply ends with one row of one column: "0" when the position waited for was reached, when no column is left out. */
static void look_for_answer(struct request *r, const struct track_piece *piece)
{
	if (piece->len >= 2)
		r->hidden_answer = piece->p[piece->len - 2] == 1 && piece->p[piece->len - 1] == '0';
}

static void relay_hidden(struct request *r, const struct track_piece *piece)
{
	struct ok_packet ok;
	struct stmt_prepared sp;
	struct span payload = span_of(piece->p + PACKET_HEADER, piece->len > PACKET_HEADER ? piece->len - PACKET_HEADER : 0);

	switch (piece->kind) {
	case TRACK_ERR_PACKET:
		keep_hidden_error(r, piece);
		break;
	case TRACK_OK_PACKET:
		if (r->hidden == HIDDEN_COLLATION && packet_parse_ok(payload, r->s->up->caps, &ok) == RC_OK)
			reported_ok(r, &ok);
		else if (r->hidden == HIDDEN_TRACKING)
			upstream_tracked(r->s->up, payload);
		break;
	case TRACK_BYTES:
		if (r->hidden == HIDDEN_POSITION || r->hidden == HIDDEN_CHECK_COLUMNS)
			look_for_answer(r, piece);
		break;
	case TRACK_PREPARED:
		if (stmt_parse_prepared(payload, &sp) == RC_OK)
			r->hidden_stmt = sp.id;
		break;
	default:
		break;
	}
}

/* ---- the upstream's ops ---- */

static void relay_piece(struct upstream *u, const struct track_piece *piece)
{
	struct request *r = request_of(u);

	if (!r)
		return;
	if (r->hidden)
		relay_hidden(r, piece);
	else
		relay_visible(r, piece);
}

/* Flushes what points into the bytes at hand; a client that does not keep up stops its server. */
static void relay_turn(struct upstream *u)
{
	struct session *s = u->owner;
	struct request *r = request_of(u);

	if (s->state == SESSION_CLOSED || channel_flush(&s->ch) != RC_AGAIN || !u->tracking)
		return;
	channel_pause(&u->ch);
	if (r && r->filling) /* how long that client takes is nobody else's business: one of those who wait asks itself */
		cache_abandon(&r->lookup, true);
}

static void relay_done(struct upstream *u)
{
	struct request *r = request_of(u);

	if (!r)
		return;
	if (!r->hidden)
		(void)channel_flush(&r->s->ch);
	exec_replied(r);
}

static void relay_gone(struct upstream *u, const char *why)
{
	static const struct err_packet killed = {.code = 1927, .sqlstate = "70100",
						 .message = {.p = "Connection was killed", .len = 21}};
	struct session *s = u->owner;

	s->up = NULL;
	stats_count(s->worker->sink, STATS_C_UPSTREAM_LOST, 1);
	if (u->holds) { /* which somebody is about to tell us anyway */
		reply_server_error(s, &killed);
		session_close(s, CLOSE_KILLED, "KILL");
		return;
	}
	if (s->request) {
		exec_lost(s->request, why);
		return;
	}
	exec_lost_between(s, why);
}

static void relay_server_drained(struct upstream *u)
{
	struct session *s = u->owner;

	if ((s->state == SESSION_STREAMING || s->state == SESSION_INFILE) && s->ch.paused)
		channel_resume(&s->ch);
}

const struct upstream_ops relay_ops = {relay_piece, relay_done, relay_turn, relay_gone, relay_server_drained};

/* ---- from the client ---- */

void relay_client_drained(struct session *s)
{
	if (s->up && s->up->ch.paused)
		channel_resume(&s->up->ch);
}

/* The rest of a packet, and the packets that continue it. */
static size_t stream_on(struct request *r, const uint8_t *p, size_t len)
{
	size_t n;

	if (r->stream_left == 0) { /* the next packet's header */
		if (len < PACKET_HEADER)
			return 0;
		r->stream_left = PACKET_HEADER + (uint64_t)packet_len(p);
		r->s->seq = (uint8_t)(packet_seq(p) + 1);
		r->stream_more = packet_len(p) == PACKET_MAX_PAYLOAD;
	}
	n = len < r->stream_left ? len : (size_t)r->stream_left;
	(void)channel_push(&r->s->up->ch, p, n);
	r->stream_left -= n;
	return n;
}

size_t relay_from_client(struct session *s, const uint8_t *p, size_t len)
{
	struct request *r = s->request;
	size_t n;
	bool ended;

	if (!s->up || !r) {
		session_close(s, CLOSE_BACKEND, "nothing to stream to");
		return len;
	}
	if (s->state == SESSION_INFILE) {
		n = track_infile_next(&r->infile, p, len);
		ended = r->infile.done;
		(void)channel_push(&s->up->ch, p, n);
	} else {
		n = stream_on(r, p, len);
		ended = r->stream_left == 0 && !r->stream_more;
	}
	switch (channel_flush(&s->up->ch)) {
	case RC_AGAIN:
		if (!ended && iobuf_len(&s->up->ch.out) > INFILE_BACKLOG)
			channel_pause(&s->ch);
		break;
	case RC_OK:
		break;
	default: /* its closing is reported by its reader */
		break;
	}
	if (ended && s->state != SESSION_CLOSED) {
		session_set_state(s, SESSION_RUNNING);
		if (r->cmd == COM_STMT_SEND_LONG_DATA) /* has no reply to wait for */
			exec_resume(r, STEP_END);
	}
	return n;
}
