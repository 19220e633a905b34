/*
 * handshake.c - what the server says while a connection is made: greeting, AuthSwitch, AuthMoreData.
 */
#include "handshake.h"

#include <stdbool.h>

#include "auth.h"

#define PROTOCOL_VERSION 10
#define SCRAMBLE_HEAD 8 /* the scramble comes in two pieces */
#define SCRAMBLE_TAIL (SCRAMBLE_LEN - SCRAMBLE_HEAD)

static enum rc copy_text(char *to, size_t cap, struct span s)
{
	if (s.len >= cap || (s.len && memchr(s.p, 0, s.len)))
		return RC_ERROR;
	if (s.len)
		memcpy(to, s.p, s.len);
	to[s.len] = '\0';
	return RC_OK;
}

static enum rc read_caps(struct mbuf *m, struct greeting *g, uint8_t *auth_len)
{
	uint64_t low, high, extended;

	if (mbuf_uint(m, 2, &low) != RC_OK || mbuf_u8(m, &g->collation) != RC_OK || mbuf_u16(m, &g->status) != RC_OK ||
	    mbuf_uint(m, 2, &high) != RC_OK || mbuf_u8(m, auth_len) != RC_OK || mbuf_skip(m, 6) != RC_OK ||
	    mbuf_uint(m, 4, &extended) != RC_OK)
		return RC_ERROR;
	g->caps = low | high << 16;
	g->mariadb = !(g->caps & CLIENT_LONG_PASSWORD);
	if (g->mariadb)
		g->caps |= extended << 32;
	return RC_OK;
}

/* The scramble's second piece is announced with its NUL, at least 13 bytes; longer ones belong to other plugins. */
static enum rc read_tail(struct mbuf *m, struct greeting *g, uint8_t auth_len)
{
	size_t announced = auth_len > SCRAMBLE_LEN + 1 ? (size_t)auth_len - SCRAMBLE_HEAD : SCRAMBLE_TAIL + 1;
	struct span tail;

	if (mbuf_left(m) < SCRAMBLE_TAIL)
		return RC_ERROR;
	if (mbuf_bytes(m, announced < mbuf_left(m) ? announced : mbuf_left(m), &tail) != RC_OK)
		return RC_ERROR;
	memcpy(g->scramble + SCRAMBLE_HEAD, tail.p, SCRAMBLE_TAIL);
	if (!(g->caps & CLIENT_PLUGIN_AUTH))
		return copy_text(g->plugin, sizeof(g->plugin), span_str(AUTH_NATIVE));
	return copy_text(g->plugin, sizeof(g->plugin), packet_get_text(m));
}

enum rc handshake_parse_greeting(struct span payload, struct greeting *g)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	struct span version, head;
	uint8_t protocol, auth_len;

	*g = (struct greeting){0};
	if (mbuf_u8(&m, &protocol) != RC_OK)
		return RC_ERROR;
	if (protocol == 0xff)
		return RC_DECLINED;
	if (protocol != PROTOCOL_VERSION || mbuf_str_nul(&m, &version) != RC_OK ||
	    copy_text(g->version, sizeof(g->version), version) != RC_OK || mbuf_u32(&m, &g->thread_id) != RC_OK ||
	    mbuf_bytes(&m, SCRAMBLE_HEAD, &head) != RC_OK || mbuf_skip(&m, 1) != RC_OK)
		return RC_ERROR;
	memcpy(g->scramble, head.p, SCRAMBLE_HEAD);
	if (read_caps(&m, g, &auth_len) != RC_OK)
		return RC_ERROR;
	if (!(g->caps & CLIENT_PROTOCOL_41) || !(g->caps & CLIENT_SECURE_CONNECTION))
		return RC_ERROR;
	return read_tail(&m, g, auth_len);
}

static enum rc put_greeting_body(struct iobuf *b, const struct greeting *g)
{
	static const uint8_t filler[6];
	uint64_t caps = g->mariadb ? g->caps & ~CLIENT_LONG_PASSWORD : (g->caps | CLIENT_LONG_PASSWORD) & 0xffffffff;
	uint8_t auth_len = caps & CLIENT_PLUGIN_AUTH ? SCRAMBLE_LEN + 1 : 0;

	if (packet_put_uint(b, PROTOCOL_VERSION, 1) != RC_OK || packet_put_str_nul(b, span_str(g->version)) != RC_OK ||
	    packet_put_uint(b, g->thread_id, 4) != RC_OK || iobuf_append(b, g->scramble, SCRAMBLE_HEAD) != RC_OK ||
	    packet_put_uint(b, 0, 1) != RC_OK)
		return RC_ERROR;
	if (packet_put_uint(b, caps, 2) != RC_OK || packet_put_uint(b, g->collation, 1) != RC_OK ||
	    packet_put_uint(b, g->status, 2) != RC_OK || packet_put_uint(b, caps >> 16, 2) != RC_OK ||
	    packet_put_uint(b, auth_len, 1) != RC_OK || iobuf_append(b, filler, sizeof(filler)) != RC_OK ||
	    packet_put_uint(b, caps >> 32, 4) != RC_OK)
		return RC_ERROR;
	if (iobuf_append(b, g->scramble + SCRAMBLE_HEAD, SCRAMBLE_TAIL) != RC_OK || packet_put_uint(b, 0, 1) != RC_OK)
		return RC_ERROR;
	return caps & CLIENT_PLUGIN_AUTH ? packet_put_str_nul(b, span_str(g->plugin)) : RC_OK;
}

enum rc handshake_put_greeting(struct iobuf *b, uint8_t *seq, const struct greeting *g)
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (put_greeting_body(b, g) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

enum rc handshake_parse_auth_switch(struct span payload, struct auth_switch *s)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint8_t header;

	if (mbuf_u8(&m, &header) != RC_OK || header != 0xfe)
		return RC_ERROR;
	s->data = span_of(NULL, 0);
	if (mbuf_left(&m) == 0) { /* the switch to the hash of MySQL before 4.1 names nothing */
		s->plugin = span_str("mysql_old_password");
		return RC_OK;
	}
	if (mbuf_str_nul(&m, &s->plugin) != RC_OK || mbuf_bytes(&m, mbuf_left(&m), &s->data) != RC_OK)
		return RC_ERROR;
	if (s->data.len == SCRAMBLE_LEN + 1 && s->data.p[SCRAMBLE_LEN] == '\0')
		s->data.len--; /* longer ones are another plugin's, and may end in any byte */
	return RC_OK;
}

enum rc handshake_put_auth_switch(struct iobuf *b, uint8_t *seq, const char *plugin,
				  const uint8_t scramble[SCRAMBLE_LEN])
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (packet_put_uint(b, 0xfe, 1) != RC_OK || packet_put_str_nul(b, span_str(plugin)) != RC_OK ||
	    iobuf_append(b, scramble, SCRAMBLE_LEN) != RC_OK || packet_put_uint(b, 0, 1) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

enum rc handshake_put_auth_more(struct iobuf *b, uint8_t *seq, struct span data)
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (packet_put_uint(b, 0x01, 1) != RC_OK || (data.len && iobuf_append(b, data.p, data.len) != RC_OK))
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}
