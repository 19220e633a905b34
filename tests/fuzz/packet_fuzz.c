/*
 * Reads the bytes as OK, EOF and ERR packets, as session-state items and as a result's rows. What an OK packet was read as is written and
 * read again and must be the same.
 */
#include <stdlib.h>

#include "packet.h"
#include "result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void walk_items(struct span track)
{
	struct track_iter it;
	struct track_item item;
	size_t sum = 0;

	packet_track_begin(&it, track);
	while (packet_track_next(&it, &item) == RC_OK) {
		must(item.type <= TRACK_TRANSACTION_STATE);
		sum += item.name.len + item.value.len;
		must(sum <= track.len);
	}
}

/* Values lie inside the reply, or are integers made of it. */
static void count_value(void *arg, struct span text)
{
	must(text.len <= *(size_t *)arg || text.len <= 20);
}

static void try_ok(struct span payload, uint64_t caps)
{
	struct ok_packet ok, again;
	struct iobuf b;
	uint8_t seq = 0;

	if (packet_parse_ok(payload, caps, &ok) != RC_OK)
		return;
	walk_items(ok.track);
	iobuf_init(&b, 0);
	must(packet_put_ok(&b, &seq, caps, &ok) == RC_OK);
	must(packet_parse_ok(span_of(iobuf_data(&b) + 4, iobuf_len(&b) - 4), caps, &again) == RC_OK);
	must(again.header == ok.header && again.affected == ok.affected && again.insert_id == ok.insert_id);
	must(again.warnings == ok.warnings && span_eq(again.info, ok.info) && span_eq(again.track, ok.track));
	must((again.status ^ ok.status) == 0 ||
	     (!(caps & CLIENT_SESSION_TRACK) && (again.status ^ ok.status) == STATUS_SESSION_STATE_CHANGED));
	iobuf_reset(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span payload = span_of(data, size);
	struct err_packet err;
	uint16_t warnings, status;

	try_ok(payload, CLIENT_PROTOCOL_41);
	try_ok(payload, CLIENT_PROTOCOL_41 | CLIENT_SESSION_TRACK | CLIENT_DEPRECATE_EOF);
	walk_items(payload);
	result_each_value(payload, 0, false, count_value, &size);
	result_each_value(payload, CLIENT_DEPRECATE_EOF, true, count_value, &size);
	if (packet_parse_err(payload, &err) == RC_OK)
		must(err.sqlstate[5] == '\0' && err.message.len < size);
	if (packet_parse_eof(payload, &warnings, &status) == RC_OK)
		must(size == 5);
	return 0;
}
