/*
 * reply.c - packets that suimon makes for a client.
 */
#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "session.h"

static void send_built(struct session *s, struct iobuf *b, enum rc built)
{
	if (built == RC_OK)
		(void)channel_put(&s->ch, iobuf_data(b), iobuf_len(b)); /* a lost client is noticed by the reader */
	else
		log_error("session", "a reply could not be made: out of memory", "id=%lu", (unsigned long)s->id);
	iobuf_reset(b);
}

void reply_ok(struct session *s)
{
	struct ok_packet ok = {.status = session_status(s)};
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_ok(&b, &s->seq, s->caps, &ok));
}

void reply_eof(struct session *s)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_eof(&b, &s->seq, 0, session_status(s)));
}

void reply_error(struct session *s, uint16_t code, const char *state, const char *fmt, ...)
{
	char text[512] = "suimon: ";
	size_t len = strlen(text);
	struct iobuf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	va_end(ap);
	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_err(&b, &s->seq, code, state, span_str(text)));
}

void reply_server_error(struct session *s, const struct err_packet *e)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_built(s, &b, packet_put_err(&b, &s->seq, e->code, e->sqlstate, e->message));
}
