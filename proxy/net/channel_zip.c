/*
 * channel_zip.c - a channel whose packets are compressed: unpacked before they are handed up, packed as they are sent.
 *
 *   socket → bytes → zipped_read, a buffer at a time → ops->input
 *   gathered pieces → zipped_write → ch->out → socket
 *
 * Nothing is unpacked while the channel is paused: what a slow peer's partner sends stays packed, and stays with the kernel.
 */
#include "channel_impl.h"

#include "mem.h"
#include "numbered.h"

struct channel_zip {
	struct zipped state;
	struct numbered to, from; /* packets as they pass */
	uint8_t number;   /* of the next packet, whosever it is */
	struct iobuf raw; /* packed bytes that have been read and not unpacked */
	bool more;        /* the unpacker holds bytes that no buffer had room for */
};

enum rc channel_compress(struct channel *ch, enum zipped_kind kind, int level)
{
	struct channel_scratch *s = ch->scratch;

	if (!s->unpacked)
		s->unpacked = mem_alloc(CHANNEL_SCRATCH);
	if (!s->unpacked || channel_flush(ch) == RC_ERROR)
		return RC_ERROR;
	ch->zip = mem_zalloc(sizeof(*ch->zip));
	if (!ch->zip)
		return RC_ERROR;
	zipped_init(&ch->zip->state, kind, level);
	iobuf_init(&ch->zip->raw, 0);
	return RC_OK;
}

void channel_zip_free(struct channel *ch)
{
	if (!ch->zip)
		return;
	zipped_reset(&ch->zip->state);
	iobuf_reset(&ch->zip->raw);
	mem_free(ch->zip);
	ch->zip = NULL;
}

bool channel_zip_pending(const struct channel *ch)
{
	return ch->zip && (iobuf_len(&ch->zip->raw) || ch->zip->more);
}

/* A server counts compressed packets from 0 with each command, and takes what is in one for one exchange's. */
enum rc channel_zip_command(struct channel *ch)
{
	if (channel_flush(ch) == RC_ERROR)
		return RC_ERROR;
	ch->zip->state.seq = 0;
	return RC_OK;
}

void channel_zip_expect(struct channel *ch)
{
	ch->zip->number = 0;
}

/* Inside compressed packets peers number as they like; who is behind us and has no compression expects the plain count. */
static void number_packets(struct channel_zip *z, uint8_t *p, size_t len)
{
	for (size_t at = numbered_next(&z->from, p, len); at < len; at += 1 + numbered_next(&z->from, p + at + 1, len - at - 1))
		p[at] = z->number++;
}

static void count_packets(struct channel_zip *z, const uint8_t *p, size_t len)
{
	for (size_t at = numbered_next(&z->to, p, len); at < len; at += 1 + numbered_next(&z->to, p + at + 1, len - at - 1))
		z->number = (uint8_t)(p[at] + 1);
}

/* Unpacks and hands up; *used tells how far it came when it is false. */
static bool unzip(struct channel *ch, const uint8_t *p, size_t len, size_t *used)
{
	struct channel_zip *z = ch->zip;
	size_t n, made;

	*used = 0;
	do {
		if (zipped_read(&z->state, p + *used, len - *used, &n, ch->scratch->unpacked, CHANNEL_SCRATCH, &made) != RC_OK) {
			ch->ops->closed(ch, CHANNEL_MALFORMED);
			return false;
		}
		*used += n;
		z->more = made == CHANNEL_SCRATCH;
		number_packets(z, ch->scratch->unpacked, made);
		if (made && !channel_offer(ch, ch->scratch->unpacked, made))
			return false;
	} while (*used < len || z->more);
	return true;
}

bool channel_unzip(struct channel *ch, const uint8_t *p, size_t len)
{
	size_t used;

	if (unzip(ch, p, len, &used))
		return true;
	if (ch->open && iobuf_append(&ch->zip->raw, p + used, len - used) != RC_OK)
		ch->ops->closed(ch, CHANNEL_NO_MEMORY);
	return false;
}

bool channel_unzip_kept(struct channel *ch)
{
	struct iobuf *raw = &ch->zip->raw;
	size_t used;
	bool on;

	if (!channel_zip_pending(ch))
		return true;
	on = unzip(ch, iobuf_data(raw), iobuf_len(raw), &used);
	if (!ch->open)
		return false;
	iobuf_consume(raw, used);
	if (iobuf_len(raw) == 0)
		iobuf_reset(raw);
	return on;
}

enum rc channel_zip_gathered(struct channel *ch)
{
	struct channel_scratch *s = ch->scratch;

	for (int i = 0; i < s->niov; i++)
		count_packets(ch->zip, s->iov[i].iov_base, s->iov[i].iov_len);
	return zipped_write(&ch->zip->state, s->iov, s->niov, &ch->out);
}
