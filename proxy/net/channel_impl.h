/*
 * channel_impl.h - what channel.c, channel_peer.c and channel_zip.c know of each other.
 */
#ifndef SUIMON_CHANNEL_IMPL_H
#define SUIMON_CHANNEL_IMPL_H

#include "channel.h"

/* channel.c: hands bytes up; false when the channel must not be read further now. */
bool channel_offer(struct channel *ch, const uint8_t *p, size_t len);

void channel_watch_peer(int fd); /* channel_peer.c: a socket's options */

/* channel_zip.c: the same for bytes that are compressed; what the channel may not hand up now is kept as it came. */
bool channel_unzip(struct channel *ch, const uint8_t *p, size_t len);
bool channel_unzip_kept(struct channel *ch); /* after a pause: the same for what was kept */
bool channel_zip_pending(const struct channel *ch);
enum rc channel_zip_gathered(struct channel *ch) must_check; /* what is gathered goes to ch->out */
void channel_zip_free(struct channel *ch);

/* channel_batch.c: sends that leave together. NULL: no memory, or the kernel or this build does not have that way. */
struct channel_batch *channel_batch_new(struct loop *loop, enum sends_way way) must_check;
enum sends_way channel_batch_way(const struct channel_batch *b); /* NULL: SENDS_ALONE */
void channel_batch_free(struct channel_batch *b);
/* What the channel has gathered, total bytes, is to leave with others'. False: it has to send it itself. */
bool channel_batch_take(struct channel *ch, size_t total) must_check;
void channel_batch_step(struct channel_batch *b); /* another event of a channel begins */
void channel_batch_send(struct channel_batch *b); /* all of it, now; may be NULL */

#endif
