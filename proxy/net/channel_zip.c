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

struct channel_zip {
	struct zipped state;
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

/* Unpacks and hands up; *used tells how far it came when it is false. */
static bool unzip(struct channel *ch, const uint8_t *p, size_t len, size_t *used)
{
	struct channel_zip *z = ch->zip;
	size_t n, made;

	*used = 0;
	do {
		if (zipped_read(&z->state, p + *used, len - *used, &n, ch->scratch->unpacked, CHANNEL_SCRATCH, &made) != RC_OK) {
			ch->ops->closed(ch, "malformed compressed packet");
			return false;
		}
		*used += n;
		z->more = made == CHANNEL_SCRATCH;
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
	return zipped_write(&ch->zip->state, ch->scratch->iov, ch->scratch->niov, &ch->out);
}
