/*
 * handshake_login.c - what the client says while a connection is made or changes its user.
 */
#include "handshake.h"

#define LOGIN_FILLER 19 /* and 4 bytes of extended capabilities; an SSLRequest ends behind them */

static enum rc get_short_str(struct mbuf *m, struct span *out)
{
	uint8_t len;

	if (mbuf_u8(m, &len) != RC_OK)
		return RC_ERROR;
	return mbuf_bytes(m, len, out);
}

static enum rc put_short_str(struct iobuf *b, struct span s)
{
	if (s.len > UINT8_MAX || packet_put_uint(b, s.len, 1) != RC_OK)
		return RC_ERROR;
	return s.len ? iobuf_append(b, s.p, s.len) : RC_OK;
}

static enum rc get_auth(struct mbuf *m, uint64_t caps, struct span *auth)
{
	if (caps & CLIENT_PLUGIN_AUTH_LENENC)
		return packet_get_lenenc_str(m, auth);
	if (caps & CLIENT_SECURE_CONNECTION)
		return get_short_str(m, auth);
	return mbuf_str_nul(m, auth);
}

static enum rc put_auth(struct iobuf *b, uint64_t caps, struct span auth)
{
	if (caps & CLIENT_PLUGIN_AUTH_LENENC)
		return packet_put_lenenc_str(b, auth);
	if (caps & CLIENT_SECURE_CONNECTION)
		return put_short_str(b, auth);
	return packet_put_str_nul(b, auth);
}

static enum rc get_fixed(struct mbuf *m, uint64_t server_caps, struct login *l)
{
	uint64_t low, extended;
	bool tls;

	if (mbuf_uint(m, 4, &low) != RC_OK || mbuf_u32(m, &l->max_packet) != RC_OK ||
	    mbuf_u8(m, &l->collation) != RC_OK || mbuf_skip(m, LOGIN_FILLER) != RC_OK ||
	    mbuf_uint(m, 4, &extended) != RC_OK)
		return RC_ERROR;
	if (!(low & CLIENT_PROTOCOL_41))
		return RC_ERROR;
	tls = low & CLIENT_SSL;
	l->ssl_request = tls && mbuf_left(m) == 0;
	if (!((low | server_caps) & CLIENT_LONG_PASSWORD))
		low |= extended << 32;
	l->caps = low & (server_caps | CLIENT_PROTOCOL_41);
	return RC_OK;
}

/* Clients write the optional fields by what the server has offered, even where they set the flag regardless. */
enum rc handshake_parse_login(struct span payload, uint64_t server_caps, struct login *l)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);

	*l = (struct login){0};
	if (get_fixed(&m, server_caps, l) != RC_OK)
		return RC_ERROR;
	if (l->ssl_request)
		return RC_OK;
	if (mbuf_str_nul(&m, &l->user) != RC_OK || get_auth(&m, l->caps, &l->auth) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_CONNECT_WITH_DB) && mbuf_left(&m) && mbuf_str_nul(&m, &l->schema) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_PLUGIN_AUTH) && mbuf_left(&m))
		l->plugin = packet_get_text(&m);
	if ((l->caps & CLIENT_CONNECT_ATTRS) && mbuf_left(&m) && packet_get_lenenc_str(&m, &l->attrs) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_ZSTD_COMPRESSION) && mbuf_left(&m))
		return mbuf_u8(&m, &l->zstd_level);
	return RC_OK;
}

static enum rc put_fixed(struct iobuf *b, const struct login *l)
{
	static const uint8_t filler[LOGIN_FILLER];
	uint64_t extended = l->caps & CLIENT_LONG_PASSWORD ? 0 : l->caps >> 32;

	if (packet_put_uint(b, l->caps, 4) != RC_OK || packet_put_uint(b, l->max_packet, 4) != RC_OK ||
	    packet_put_uint(b, l->collation, 1) != RC_OK || iobuf_append(b, filler, sizeof(filler)) != RC_OK)
		return RC_ERROR;
	return packet_put_uint(b, extended, 4);
}

static enum rc put_login_body(struct iobuf *b, const struct login *l)
{
	if (put_fixed(b, l) != RC_OK)
		return RC_ERROR;
	if (l->ssl_request)
		return RC_OK;
	if (packet_put_str_nul(b, l->user) != RC_OK || put_auth(b, l->caps, l->auth) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_CONNECT_WITH_DB) && packet_put_str_nul(b, l->schema) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_PLUGIN_AUTH) && packet_put_str_nul(b, l->plugin) != RC_OK)
		return RC_ERROR;
	if ((l->caps & CLIENT_CONNECT_ATTRS) && packet_put_lenenc_str(b, l->attrs) != RC_OK)
		return RC_ERROR;
	return l->caps & CLIENT_ZSTD_COMPRESSION ? packet_put_uint(b, l->zstd_level, 1) : RC_OK;
}

enum rc handshake_put_login(struct iobuf *b, uint8_t *seq, const struct login *l)
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (put_login_body(b, l) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

/* Here the answer's length is one byte even where CLIENT_PLUGIN_AUTH_LENENC was agreed on. */
enum rc handshake_parse_change_user(struct span payload, uint64_t caps, struct change_user *c)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);

	*c = (struct change_user){0};
	if (mbuf_str_nul(&m, &c->user) != RC_OK || get_auth(&m, caps & ~CLIENT_PLUGIN_AUTH_LENENC, &c->auth) != RC_OK ||
	    mbuf_str_nul(&m, &c->schema) != RC_OK)
		return RC_ERROR;
	if (mbuf_left(&m) == 0)
		return RC_OK;
	if (mbuf_u16(&m, &c->collation) != RC_OK)
		return RC_ERROR;
	if ((caps & CLIENT_PLUGIN_AUTH) && mbuf_left(&m))
		c->plugin = packet_get_text(&m);
	if ((caps & CLIENT_CONNECT_ATTRS) && mbuf_left(&m))
		return packet_get_lenenc_str(&m, &c->attrs);
	return RC_OK;
}

static enum rc put_change_user_body(struct iobuf *b, uint64_t caps, const struct change_user *c)
{
	if (packet_put_uint(b, COM_CHANGE_USER, 1) != RC_OK || packet_put_str_nul(b, c->user) != RC_OK ||
	    put_auth(b, caps & ~CLIENT_PLUGIN_AUTH_LENENC, c->auth) != RC_OK ||
	    packet_put_str_nul(b, c->schema) != RC_OK || packet_put_uint(b, c->collation, 2) != RC_OK)
		return RC_ERROR;
	if ((caps & CLIENT_PLUGIN_AUTH) && packet_put_str_nul(b, c->plugin) != RC_OK)
		return RC_ERROR;
	return caps & CLIENT_CONNECT_ATTRS ? packet_put_lenenc_str(b, c->attrs) : RC_OK;
}

enum rc handshake_put_change_user(struct iobuf *b, uint8_t *seq, uint64_t caps, const struct change_user *c)
{
	size_t mark;

	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if (put_change_user_body(b, caps, c) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}
