/*
 * reply.c - packets that suimon makes for a client.
 */
#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "session.h"

void reply_failed(struct session *s)
{
	log_error("session", "a reply could not be made: out of memory", "id=%lu", (unsigned long)s->id);
	channel_fail(&s->ch, CHANNEL_NO_MEMORY);
}

static void send_built(struct session *s, struct iobuf *b, enum rc built)
{
	if (built == RC_OK)
		(void)channel_put(&s->ch, iobuf_data(b), iobuf_len(b)); /* a lost client is noticed by the reader */
	else
		reply_failed(s);
	iobuf_reset(b);
}

static void send_ok(struct session *s, struct ok_packet *ok)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_ok(&b, &s->seq, s->caps, ok));
}

void reply_ok(struct session *s)
{
	send_ok(s, &(struct ok_packet){.status = session_status(s)});
}

void reply_login(struct session *s)
{
	struct track_item schema = {.type = TRACK_SCHEMA, .value = s->vars->schema};
	struct iobuf track;

	if (!schema.value.len || !(s->caps & CLIENT_SESSION_TRACK)) {
		reply_ok(s);
		return;
	}
	iobuf_init(&track, 0);
	if (packet_put_track(&track, &schema) == RC_OK)
		send_ok(s, &(struct ok_packet){.status = session_status(s) | STATUS_SESSION_STATE_CHANGED,
					       .track = span_of(iobuf_data(&track), iobuf_len(&track))});
	else
		reply_failed(s);
	iobuf_reset(&track);
}

void reply_eof(struct session *s)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_eof(&b, &s->seq, 0, session_status(s)));
}

static void make_own(struct reply_own *own, uint16_t code, const char *state, const char *fmt, va_list ap) printf_like(4, 0);

static void make_own(struct reply_own *own, uint16_t code, const char *state, const char *fmt, va_list ap)
{
	static const char mark[] = "suimon: ";

	memcpy(own->text, mark, sizeof(mark));
	(void)vsnprintf(own->text + sizeof(mark) - 1, sizeof(own->text) - sizeof(mark) + 1, fmt, ap);
	own->packet = (struct err_packet){.code = code, .message = span_str(own->text)};
	(void)snprintf(own->packet.sqlstate, sizeof(own->packet.sqlstate), "%s", state);
}

void reply_make_own(struct reply_own *own, uint16_t code, const char *state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	make_own(own, code, state, fmt, ap);
	va_end(ap);
}

void reply_error(struct session *s, uint16_t code, const char *state, const char *fmt, ...)
{
	struct reply_own own;
	va_list ap;

	va_start(ap, fmt);
	make_own(&own, code, state, fmt, ap);
	va_end(ap);
	reply_server_error(s, &own.packet);
}

void reply_server_error(struct session *s, const struct err_packet *e)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_err(&b, &s->seq, e->code, e->sqlstate, e->message));
}
