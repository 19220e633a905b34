/*
 * The first byte says what the rest is read as, the next eight are capabilities. What was read is written and read
 * again and must be the same.
 */
#include <stdlib.h>

#include "handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct span written(const struct iobuf *b)
{
	return span_of(iobuf_data(b) + PACKET_HEADER, iobuf_len(b) - PACKET_HEADER);
}

static void try_greeting(struct span payload, struct iobuf *b)
{
	struct greeting g, again;
	uint8_t seq = 0;

	if (handshake_parse_greeting(payload, &g) != RC_OK)
		return;
	must(handshake_put_greeting(b, &seq, &g) == RC_OK);
	must(handshake_parse_greeting(written(b), &again) == RC_OK);
	must(again.caps == g.caps && again.mariadb == g.mariadb && again.thread_id == g.thread_id);
	must(memcmp(again.scramble, g.scramble, sizeof(g.scramble)) == 0 && strcmp(again.version, g.version) == 0);
	must(again.status == g.status && again.collation == g.collation && strcmp(again.plugin, g.plugin) == 0);
}

static void try_login(struct span payload, uint64_t caps, struct iobuf *b)
{
	struct login l, again;
	uint8_t seq = 0;

	if (handshake_parse_login(payload, caps, &l) != RC_OK || (l.ssl_request && !(l.caps & CLIENT_SSL)))
		return;
	must(handshake_put_login(b, &seq, &l) == RC_OK);
	must(handshake_parse_login(written(b), l.caps, &again) == RC_OK);
	must(again.caps == l.caps && again.max_packet == l.max_packet && again.collation == l.collation);
	must(again.ssl_request == l.ssl_request && again.zstd_level == l.zstd_level);
	must(span_eq(again.user, l.user) && span_eq(again.auth, l.auth) && span_eq(again.schema, l.schema));
	must(span_eq(again.plugin, l.plugin) && span_eq(again.attrs, l.attrs));
}

static void try_change_user(struct span payload, uint64_t caps, struct iobuf *b)
{
	struct change_user c, again;
	struct span s;
	uint8_t seq = 0;

	if (handshake_parse_change_user(payload, caps, &c) != RC_OK)
		return;
	must(handshake_put_change_user(b, &seq, caps, &c) == RC_OK);
	s = written(b);
	must(handshake_parse_change_user(span_of(s.p + 1, s.len - 1), caps, &again) == RC_OK);
	must(span_eq(again.user, c.user) && span_eq(again.auth, c.auth) && span_eq(again.schema, c.schema));
	must(span_eq(again.plugin, c.plugin) && span_eq(again.attrs, c.attrs) && again.collation == c.collation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbuf m = mbuf_of(data, size);
	struct auth_switch s;
	struct iobuf b;
	struct span payload;
	uint64_t caps;
	uint8_t what;

	if (mbuf_u8(&m, &what) != RC_OK || mbuf_u64(&m, &caps) != RC_OK ||
	    mbuf_bytes(&m, mbuf_left(&m), &payload) != RC_OK)
		return 0;
	iobuf_init(&b, 0);
	if (what % 4 == 0)
		try_greeting(payload, &b);
	else if (what % 4 == 1)
		try_login(payload, caps, &b);
	else if (what % 4 == 2)
		try_change_user(payload, caps, &b);
	else if (handshake_parse_auth_switch(payload, &s) == RC_OK)
		must(s.data.len <= payload.len);
	iobuf_reset(&b);
	return 0;
}
