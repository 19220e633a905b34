/*
 * packet_track.c - walks the session-state block of an OK packet.
 *
 * A block is a row of items: a type byte and a length-encoded string, whose inside depends on the type. Both servers
 * send one variable an item, but the protocol allows several.
 */
#include "packet.h"

void packet_track_begin(struct track_iter *it, struct span track)
{
	it->rest = mbuf_of(track.p, track.len);
	it->vars = mbuf_of(NULL, 0);
}

static enum rc next_variable(struct track_iter *it, struct track_item *item)
{
	item->type = TRACK_SYSTEM_VARIABLES;
	if (packet_get_lenenc_str(&it->vars, &item->name) != RC_OK)
		return RC_ERROR;
	return packet_get_lenenc_str(&it->vars, &item->value);
}

/* Of an item that is no system variable. RC_DECLINED: a type that is not known, to be skipped. */
static enum rc read_item(uint8_t type, struct span data, struct track_item *item)
{
	struct mbuf m = mbuf_of(data.p, data.len);

	if (type > TRACK_TRANSACTION_STATE)
		return RC_DECLINED;
	item->type = (enum session_track)type;
	item->name = span_of(NULL, 0);
	if (type == TRACK_STATE_CHANGE) { /* the one type whose text has no length of its own */
		item->value = data;
		return RC_OK;
	}
	/* GTIDs are preceded by a byte that names their encoding; 0 (text) is the only one there is. */
	if (type == TRACK_GTIDS && mbuf_skip(&m, 1) != RC_OK)
		return RC_ERROR;
	return packet_get_lenenc_str(&m, &item->value);
}

enum rc packet_track_next(struct track_iter *it, struct track_item *item)
{
	struct span data;
	uint8_t type;
	enum rc rc;

	for (;;) {
		if (mbuf_left(&it->vars))
			return next_variable(it, item);
		if (mbuf_left(&it->rest) == 0)
			return RC_DECLINED;
		if (mbuf_u8(&it->rest, &type) != RC_OK || packet_get_lenenc_str(&it->rest, &data) != RC_OK)
			return RC_ERROR;
		if (type == TRACK_SYSTEM_VARIABLES) {
			it->vars = mbuf_of(data.p, data.len);
			continue;
		}
		rc = read_item(type, data, item);
		if (rc != RC_DECLINED)
			return rc;
	}
}

enum rc packet_put_track(struct iobuf *b, const struct track_item *item)
{
	struct iobuf body;
	enum rc rc = RC_OK;

	iobuf_init(&body, 0);
	if (item->type == TRACK_SYSTEM_VARIABLES)
		rc = packet_put_lenenc_str(&body, item->name);
	else if (item->type == TRACK_GTIDS)
		rc = packet_put_uint(&body, 0, 1);
	if (rc == RC_OK)
		rc = item->type == TRACK_STATE_CHANGE ? iobuf_append(&body, item->value.p, item->value.len)
						      : packet_put_lenenc_str(&body, item->value);
	if (rc == RC_OK)
		rc = packet_put_uint(b, item->type, 1);
	if (rc == RC_OK)
		rc = packet_put_lenenc_str(b, span_of(iobuf_data(&body), iobuf_len(&body)));
	iobuf_reset(&body);
	return rc;
}
