/*
 * follow_stream.c - the dump's packets to events: an event is a packet's payload behind its first byte, and goes on in the next
 * packet where that is a full one. Of a long event only the beginning is kept.
 */
#include "follow_impl.h"
#include "packet.h"

void follow_stream_begin(struct follow *f)
{
	iobuf_reset(&f->event);
	f->nheader = 0;
	f->packet_left = 0;
	f->continued = f->cut = false;
	f->place = (struct follow_place){.file = 0};
	f->tx.open = false;
	binlog_restart(f->binlog);
}

static void keep(struct follow *f, const uint8_t *p, size_t len)
{
	size_t have = iobuf_len(&f->event), room = have < FOLLOW_EVENT_MOST ? FOLLOW_EVENT_MOST - have : 0;

	if (len > room) {
		f->cut = true;
		len = room;
	}
	if (len && iobuf_append(&f->event, p, len) != RC_OK)
		f->cut = true;
}

static void take_event(struct follow *f)
{
	struct span payload = span_of(iobuf_data(&f->event), iobuf_len(&f->event));
	struct binlog_event e;

	if (payload.len < 1 || payload.p[0] != 0 ||
	    binlog_read(f->binlog, span_of(payload.p + 1, payload.len - 1), f->cut, &e) != RC_OK) {
		follow_drop(f, "an event cannot be read");
		return;
	}
	stats_count(f->sink, STATS_C_CACHE_BINLOG_EVENTS, 1);
	follow_event(f, &e);
}

static size_t take_header(struct follow *f, const uint8_t *p, size_t len)
{
	size_t n = sizeof(f->header) - f->nheader;

	if (n > len)
		n = len;
	memcpy(f->header + f->nheader, p, n);
	f->nheader += (unsigned)n;
	if (f->nheader == sizeof(f->header)) {
		f->packet_left = packet_len(f->header);
		f->continued = f->packet_left == PACKET_MAX_PAYLOAD;
	}
	return n;
}

void follow_stream_bytes(struct follow *f, const uint8_t *p, size_t len)
{
	while (len && f->state == FOLLOW_STREAMING) {
		size_t n;

		if (f->nheader < sizeof(f->header)) {
			n = take_header(f, p, len);
		} else {
			n = len < f->packet_left ? len : f->packet_left;
			keep(f, p, n);
			f->packet_left -= (uint32_t)n;
		}
		p += n;
		len -= n;
		if (f->nheader < sizeof(f->header) || f->packet_left)
			continue;
		f->nheader = 0;
		if (f->continued)
			continue;
		take_event(f);
		iobuf_consume(&f->event, iobuf_len(&f->event));
		f->cut = false;
	}
}
